"""The search for the first bad release: what was asked, what was answered, what follows.

First bad release from tests of single releases: the semantics of ``git bisect``.

Versions are in one order, oldest first, and turn from good to bad once. Without skips the tested
versions are those that git tests. With skips git jumps away by a pseudo-random number; here the
jump is the same each time, and never costs a step more than the skip itself: a history of n
versions after the good one takes at most ceil(log2 n) steps and one for each skip.

Between which releases the first bad one is looked for, by the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from relkit.core.errors import RelkitError, UsageError
from relkit.core.values import Shape
from relkit.registry.ledger import LedgerState
from relkit.registry.types import EventKind


class Mark(StrEnum):
    """What a release was found to be; ``skip``: it could not be told."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


BisectStatus = Literal["found", "set", "contradiction", "no_bad", "no_good", "no_data"]
"""``found``: exactly one first bad release. ``set``: several that cannot be told apart."""


OnTimeout = Literal["abort", "skip", "bad"]
"""What a command that takes too long means."""


class BisectAborted(RelkitError):
    """The command could not say anything about a release, and nothing may be concluded."""

    code = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The first line of a log: what its answers are answers to."""

    schema: Literal["relkit.bisect/v1"] = "relkit.bisect/v1"
    model: str
    command: str
    on_timeout: OnTimeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A line of a log: what a command said about one release.

    ``exit_code`` is None where it took too long, ``release`` is the digest of the release's record.
    """

    version: str
    release: str
    mark: Mark
    exit_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """What marks say about an ordered history.

    ``next`` is the version to test, None where there is none left. ``candidates`` are the versions
    that may be the first bad one, oldest first. ``bad_before`` and ``good_after`` are the versions
    that contradict a single turn from good to bad: bad ones that a good one follows, and good ones
    that follow a bad one.
    """

    status: Literal["open"] | BisectStatus
    candidates: tuple[str, ...] = ()
    next: str | None = None
    bad_before: tuple[str, ...] = ()
    good_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """A release's stored metric; None with the reason where there is none to read.

    ``low`` and ``high`` are the ends of its two-sided 95 % interval.
    """

    version: str
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """A change of a metric's level: the first release of the new one, and what it may be else."""

    version: str
    candidates: tuple[str, ...]
    direction: Literal["worse", "better"]
    before: float
    after: float
    named_first: str
    found_at: str
    contradicted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A version that could not be told, and why."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """The outcome: ``first_bad`` is None unless exactly one release can be it.

    ``steps`` counts the releases that were tested (or whose metric was read), ``replayed`` those
    of them whose answer an earlier bisect had logged. ``reasons`` say in words
    what the outcome rests on or why there is none.
    """

    FILE: ClassVar = Shape(derived={"first_bad": "status"})

    model: str
    by: Literal["command", "metric"]
    status: BisectStatus
    candidates: tuple[str, ...] = ()
    steps: int = 0
    replayed: int = 0
    good: str | None
    bad: str | None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    bad_before: tuple[str, ...] = ()
    good_after: tuple[str, ...] = ()
    changes: tuple[LevelChange, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def first_bad(self) -> str | None:
        """The one release that was the first bad one, None where that is not known."""
        return self.candidates[0] if self.status == "found" else None


SKIP_CODE = 125


NOT_RUN = (126, 127)
"""What a shell says of a program it could not run; git takes it as bad, once a good one is not."""


_LAST_BAD = 127


def mark_of(exit_code: int) -> Mark | None:
    """Return what an exit code says as ``git bisect run`` reads it, None to abort.

    0 is good, 125 skip, everything else to 127 bad; from 128 on, and below 0 (killed by a signal,
    as Python counts), the command itself came to grief, and nothing follows.
    """
    if exit_code == 0:
        return Mark.GOOD
    if exit_code == SKIP_CODE:
        return Mark.SKIP
    return Mark.BAD if 0 < exit_code <= _LAST_BAD else None


def narrow(versions: Sequence[str], marks: Mapping[str, Mark]) -> Narrowed:
    """Return what follows from marks of versions (oldest first), and the next one to test.

    A bad version before a good one is a contradiction and ends the search: it is never resolved by
    believing one of them. Only skipped versions left: they and the first bad one are a set.
    """
    good = [i for i, version in enumerate(versions) if marks.get(version) is Mark.GOOD]
    bad = [i for i, version in enumerate(versions) if marks.get(version) is Mark.BAD]
    if not good or not bad:
        return _one_sided(versions, bad=bool(bad))
    last_good, first_bad = good[-1], bad[0]
    if last_good > first_bad:
        return Narrowed(
            status="contradiction",
            bad_before=tuple(versions[i] for i in bad if i < last_good),
            good_after=tuple(versions[i] for i in good if i > first_bad),
        )
    inside = range(last_good + 1, first_bad)
    candidates = tuple(versions[last_good + 1 : first_bad + 1])
    skipped = [i for i in inside if marks.get(versions[i]) is Mark.SKIP]
    untested = [i for i in inside if versions[i] not in marks]
    if untested:
        chosen = versions[_choose(last_good, first_bad, untested, skipped)]
        return Narrowed(status="open", candidates=candidates, next=chosen)
    return Narrowed(status="set" if skipped else "found", candidates=candidates)


def _one_sided(versions: Sequence[str], *, bad: bool) -> Narrowed:
    return Narrowed(
        status="no_good" if bad else "no_bad", candidates=tuple(versions) if bad else ()
    )


def _choose(last_good: int, first_bad: int, untested: Sequence[int], skipped: list[int]) -> int:
    """Return which of the untested positions to test, both ends excluded.

    Without skips git's: the older of the two middles, of three candidates the second. With skips:
    of those that leave no more than the steps allow, whatever the answer, the one farthest from
    any skipped version (what breaks one build breaks its neighbours), then nearest to the middle.
    """
    count = first_bad - last_good
    middle = last_good + (2 if count == 3 else count // 2)  # noqa: PLR2004  # git's one exception
    if not skipped:
        return middle
    left = len(untested)
    most = (1 << (left.bit_length() - 1)) - 1  # what one step fewer can still tell apart
    allowed = [i for n, i in enumerate(untested) if max(n, left - 1 - n) <= most]

    def distance(position: int) -> tuple[int, int, int]:
        away = min(abs(position - other) for other in skipped)
        return -away, abs(position - middle), position

    return min(allowed, key=distance)


def between(versions: Sequence[str], good: str, bad: str) -> tuple[str, ...]:
    """Return the versions from ``good`` to ``bad``, both included, in the order of the ledger.

    Raises UsageError where one is unknown, or good does not come before bad.
    """
    for version in (good, bad):
        if version not in versions:
            raise unknown_version(version, versions)
    first, last = versions.index(good), versions.index(bad)
    if first == last:
        raise UsageError(
            f"{good} cannot be good and bad", hint="name two releases with --good and --bad"
        )
    if first > last:
        raise UsageError(
            f"the good release {good} comes after the bad one {bad} in the ledger",
            hint="the order of registration counts; for a mended release bisect in between",
        )
    return tuple(versions[first : last + 1])


def unknown_version(version: str, versions: Sequence[str]) -> UsageError:
    """Return the error for a version that the ledger does not have."""
    shown = "".join(char if char.isprintable() else "?" for char in version[:80])
    return UsageError(
        f'the ledger has no release "{shown}"', hint=f"newest: {', '.join(versions[-3:])}"
    )


def bounds(
    state: LedgerState, *, good: str | None, bad: str | None
) -> tuple[str, str, tuple[str, ...]]:
    """Return (good, bad, how those that nobody named were found); raises UsageError.

    Bad is what is live or, right after a rollback, what it went back from. Good is the newest
    release before it that passed its gate and held all traffic, and that no rollback removed.
    """
    reasons = []
    if bad is None:
        bad, why = default_bad(state)
        reasons.append(f"bad end: {bad}, {why}")
    if good is None:
        good = _default_good(state, bad)
        reasons.append(f"good end: {good}, the newest before that passed and held all traffic")
    return good, bad, tuple(reasons)


def default_bad(state: LedgerState) -> tuple[str, str]:
    """Return the release to explain when nobody named one, and why; raises UsageError."""
    if state.live is None:
        raise UsageError("nothing of this model is live", hint="name a bad release with --bad")
    last = state.full[-1] if state.full else None
    if last is not None and last.kind is EventKind.ROLLED_BACK and state.previous is not None:
        return state.previous, "which the last rollback went back from"
    return state.live, "which is live"


def _default_good(state: LedgerState, bad: str) -> str:
    order = tuple(state.registered)
    if bad not in order:
        raise unknown_version(bad, order)
    held = set(state.held_full_traffic)
    for version in reversed(order[: order.index(bad)]):
        passed = state.decisions.get(version) is not None
        removed = version in state.condemned or version in state.yanked
        if passed and version in held and not removed:
            return version
    raise UsageError(
        f"no release before {bad} passed its gate and held all traffic",
        hint="name one that is good with --good",
    )
