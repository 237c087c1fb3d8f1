"""What judging a canary needs from outside: turns folded into histograms, states, the ledger."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from relkit.canary.types import (
    AmountHistogram,
    CanaryPolicy,
    CanaryReport,
    FileBytes,
    FinalRollback,
    FrozenThresholds,
    LostTurns,
    SampledUnits,
    ServedRelease,
    StepTime,
    TimeBins,
    UnitHistogram,
)
from relkit.telemetry.types import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTurns:
    """What a state keeps of single turns and units, as bytes that only the key opens.

    ``open_`` are the units that may go on, ``recent`` the ids of the newest turns, ``first`` the
    times of the first turns while no threshold is frozen. ``watermark_us`` is the time of the
    newest turn, ``hashing`` tells by which function ids were hashed.
    """

    open_: bytes = b""
    recent: bytes = b""
    first: bytes = b""
    watermark_us: int | None = None
    hashing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRequest:
    """Turns to fold into histograms: where they lie, by which policy and steps, onto what.

    ``control`` and ``canary`` are the releases that tell the arms, None where the column ``arm``
    does. ``keep`` None: nothing is kept, and every unit is whole.
    """

    policy: CanaryPolicy
    steps: tuple[StepTime, ...]
    control: str | None
    canary: str | None
    paths: tuple[str, ...]
    reference: tuple[str, ...]
    now: str
    key: bytes = field(repr=False)
    thresholds: FrozenThresholds = field(default_factory=FrozenThresholds)
    keep: tuple[KeptTurns, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedTurns:
    """What came of folding: units that are closed for good, and those that may go on.

    ``newest_us`` is the time of the newest turn. ``times`` are the canary's times of the turns
    read, in bins of 2 %. ``suspect`` are reason codes of data that is not fit to advance on.
    """

    closed: UnitHistogram
    going_on: UnitHistogram
    closed_amounts: AmountHistogram
    amounts_going_on: AmountHistogram
    kept: KeptTurns
    newest_us: int | None
    lost: LostTurns
    served: tuple[ServedRelease, ...]
    thresholds: FrozenThresholds
    times: tuple[TimeBins, ...]
    telemetry: Telemetry | None
    suspect: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class FoldTurns(Protocol):
    """Folds turns into histograms."""

    def __call__(self, request: FoldRequest, /) -> FoldedTurns:
        """Return the histograms; raises UsageError, InvalidInput, StorageFailed."""


class TelemetryFiles(Protocol):
    """The files of telemetry that paths name."""

    def digests(self, paths: tuple[str, ...], lengths: Sequence[int], /) -> Mapping[str, FileBytes]:
        """Return path to digest of every file, and of its first ``lengths`` bytes; UsageError.

        Beginnings are those of files of lines, as far as they end with a line.
        """

    def after(self, path: str, length: int, /) -> str:
        """Return a path to what a file holds beyond its first bytes; raises StorageFailed."""

    def turns(self, paths: tuple[str, ...], now: str, /) -> int:
        """Return how many turns files hold; raises InvalidInput."""


class StateFiles(Protocol):
    """Where states are kept, and what the newest one of each was."""

    def read(self, path: Path, /) -> bytes | None:
        """Return the bytes of a state, None where there is none; raises InvalidInput."""

    def write(self, path: Path, data: bytes, /, *, sequence: int, digest: str) -> None:
        """Write a state whole, and remember that it is the newest; raises StorageFailed."""

    def newest(self, path: Path, /) -> tuple[int, str] | None:
        """Return (sequence, digest) of the newest state that was written there."""

    def hold(self, path: Path, /) -> AbstractContextManager[None]:
        """Keep other processes off a state while it is read, judged and written; raises Busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCanary:
    """What the ledger of a model says of its canary: releases, and (share, since) of its steps.

    ``artifact`` is the digest of the canary's artifact, None for what has none.
    """

    control: str
    canary: str
    shares: tuple[tuple[float, str], ...]
    rolled_back: FinalRollback | None = None
    artifact: str | None = None


class Ledgers(Protocol):
    """The ledgers of a workspace, as far as a canary needs them."""

    def canary(self, model: str, /) -> LedgerCanary:
        """Return the canary of a model; raises UsageError where there is none."""

    def hold(self, model: str, version: str, report: CanaryReport, /) -> None:
        """Record that a canary is rolled back, once."""


class SampleUnits(Protocol):
    """Samples units of traffic before the canary."""

    def __call__(self, request: FoldRequest, /) -> SampledUnits:
        """Return units of ``paths``, whatever arm they were in; raises UsageError, InvalidInput."""
