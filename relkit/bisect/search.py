"""First bad release from tests of single releases: the semantics of ``git bisect``.

Versions are in one order, oldest first, and turn from good to bad once. Without skips the tested
versions are those that git tests. With skips git jumps away by a pseudo-random number; here the
jump is the same each time, and never costs a step more than the skip itself: a history of n
versions after the good one takes at most ceil(log2 n) steps and one for each skip. Which two
releases it is looked for between, unless they are named, follows from the ledger.
"""

from collections.abc import Mapping, Sequence

from relkit.bisect.types import Narrowed, ReleaseMark
from relkit.core.errors import UsageError
from relkit.registry.ledger import LedgerState
from relkit.registry.types import EventKind

SKIP_CODE = 125

NOT_RUN = (126, 127)
"""What a shell says of a program it could not run; git takes it as bad, once a good one is not."""

_LAST_BAD = 127


def mark_of(exit_code: int) -> ReleaseMark | None:
    """Return what an exit code says as ``git bisect run`` reads it, None to abort.

    0 is good, 125 skip, everything else to 127 bad; from 128 on, and below 0 (killed by a signal,
    as Python counts), the command itself came to grief, and nothing follows.
    """
    if exit_code == 0:
        return ReleaseMark.GOOD
    if exit_code == SKIP_CODE:
        return ReleaseMark.SKIP
    return ReleaseMark.BAD if 0 < exit_code <= _LAST_BAD else None


def narrow(versions: Sequence[str], marks: Mapping[str, ReleaseMark]) -> Narrowed:
    """Return what follows from marks of versions (oldest first), and the next one to test.

    A bad version before a good one is a contradiction and ends the search: it is never resolved by
    believing one of them. Only skipped versions left: they and the first bad one are a set.
    """
    good = [i for i, version in enumerate(versions) if marks.get(version) is ReleaseMark.GOOD]
    bad = [i for i, version in enumerate(versions) if marks.get(version) is ReleaseMark.BAD]
    if not good or not bad:
        return Narrowed(
            status="no_good" if bad else "no_bad", candidates=tuple(versions) if bad else ()
        )
    last_good, first_bad = good[-1], bad[0]
    if last_good > first_bad:
        return Narrowed(
            status="contradiction",
            bad_before=tuple(versions[i] for i in bad if i < last_good),
            good_after=tuple(versions[i] for i in good if i > first_bad),
        )
    inside = range(last_good + 1, first_bad)
    candidates = tuple(versions[last_good + 1 : first_bad + 1])
    skipped = [i for i in inside if marks.get(versions[i]) is ReleaseMark.SKIP]
    untested = [i for i in inside if versions[i] not in marks]
    if untested:
        chosen = versions[_choose(last_good, first_bad, untested, skipped)]
        return Narrowed(status="open", candidates=candidates, next=chosen)
    return Narrowed(status="set" if skipped else "found", candidates=candidates)


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
    count_untested = len(untested)
    most = (1 << (count_untested.bit_length() - 1)) - 1  # what one step fewer can still tell apart
    allowed = [i for n, i in enumerate(untested) if max(n, count_untested - 1 - n) <= most]

    def distance(position: int) -> tuple[int, int, int]:
        away = min(abs(position - place) for place in skipped)
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
        good = _newest_good(state, bad)
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


def _newest_good(state: LedgerState, bad: str) -> str:
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
