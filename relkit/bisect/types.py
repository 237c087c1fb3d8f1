"""A search for the first bad release: what was asked, what was answered, what follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from relkit.core.values import Shape


class ReleaseMark(StrEnum):
    """What a release was found to be; ``skip``: it could not be told."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


BisectStatus = Literal["found", "set", "contradiction", "no_bad", "no_good", "no_data"]
"""``found``: exactly one first bad release. ``set``: several that cannot be told apart."""

OnTimeout = Literal["abort", "skip", "bad"]
"""What a command that takes too long means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The first line of a log: what its answers are answers to."""

    schema: Literal["relkit.bisect/v1"] = "relkit.bisect/v1"
    model: str
    command: str
    on_timeout: OnTimeout


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswer:
    """A line of a log: what a command said about one release.

    ``exit_code`` is None where it took too long, ``release`` is the digest of the release's record.
    """

    version: str
    release: str
    mark: ReleaseMark
    exit_code: int | None


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
class Narrowed:
    """What marks say about an ordered history.

    ``next`` is the version to test, None where there is none left. ``candidates`` are the versions
    that may be the first bad one, oldest first. ``bad_before`` and ``good_after`` are the versions
    that contradict a single turn from good to bad: bad ones that a good one follows, and good ones
    that follow a bad one. ``changes`` are those of a metric's level; ``reasons`` say in words what
    it rests on, the first one the most important.
    """

    status: Literal["open"] | BisectStatus
    candidates: tuple[str, ...] = ()
    next: str | None = None
    bad_before: tuple[str, ...] = ()
    good_after: tuple[str, ...] = ()
    changes: tuple[LevelChange, ...] = ()
    reasons: tuple[str, ...] = ()


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
    marks: Mapping[str, ReleaseMark] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    bad_before: tuple[str, ...] = ()
    good_after: tuple[str, ...] = ()
    changes: tuple[LevelChange, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def first_bad(self) -> str | None:
        """The one release that was the first bad one, None where that is not known."""
        return self.candidates[0] if self.status == "found" else None
