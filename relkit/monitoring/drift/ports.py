"""What drift needs from outside: turns that are counted by window and bin."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from relkit.core.arrays import IntArray
from relkit.monitoring.drift.types import (
    CategoryCount,
    ColumnCounts,
    FrozenBins,
    ReferenceSums,
    Season,
    WindowTotals,
)
from relkit.telemetry.types import Telemetry


class DriftTurns(Protocol):
    """The turns of one telemetry, clustered by a column; all counting is done where they lie."""

    @property
    def cluster(self) -> str:
        """The column that turns are clustered by."""
        ...

    @property
    def kinds(self) -> Mapping[str, str]:
        """The columns that can be judged, to ``number``, ``category`` or ``flag``."""
        ...

    @property
    def telemetry(self) -> Telemetry:
        """What was read, and what does not count."""
        ...

    def span(self) -> tuple[int, int] | None:
        """Return the first and last second since 1970 with a turn; None without turns."""
        ...

    def deciles(self, column: str) -> tuple[float, ...]:
        """Return the nine deciles of the finite values of a column, none where there are none."""
        ...

    def distinct(self, column: str, most: int) -> tuple[float, ...]:
        """Return the distinct finite values of a column, ascending, at most so many."""
        ...

    def moments(self, column: str) -> tuple[float | None, float | None]:
        """Return the median and the standard deviation of the finite values."""
        ...

    def categories(self, column: str, most: int) -> tuple[CategoryCount, ...]:
        """Return the values of a column with turns and clusters, at most so many."""
        ...

    def reference_sums(
        self, columns: Sequence[FrozenBins], season: Season
    ) -> dict[str, ReferenceSums]:
        """Return the sums by bin that a profile is made of, of each column."""
        ...

    def counts(
        self, columns: Sequence[FrozenBins], seconds: int
    ) -> tuple[WindowTotals, dict[str, ColumnCounts]]:
        """Return the windows that have turns, ascending, and the turns by window and bin.

        The clusters of bins are not counted yet.
        """
        ...

    def clusters(self, column: str, bins: Sequence[int], windows: WindowTotals) -> IntArray:
        """Return the clusters of each window that have each of some bins, of columns counted.

        One row a window, one column for each of ``bins``, ascending.
        """
        ...
