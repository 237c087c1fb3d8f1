"""What triage needs from outside."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from relkit.incident.types import IncidentCounts, ReleaseColumn, Signal
from relkit.telemetry.types import Telemetry


class IncidentTurns(Protocol):
    """Turns that were opened, as triage counts them."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns of text that turns can be cut by."""

    @property
    def quantities(self) -> frozenset[str]:
        """The columns that a signal may be about, those that are made from others included."""

    @property
    def flags(self) -> frozenset[str]:
        """Those of them that are true or false."""

    def span(self) -> tuple[int, int] | None:
        """Return the first and last second since 1970 with a turn; None without turns."""

    def versions(self, column: str, *, before: int) -> tuple[str, ...]:
        """Return the values of a column in the order of first appearance, up to a second."""

    def counts(
        self,
        signals: Sequence[Signal],
        slices: Sequence[str],
        releases: Mapping[str, ReleaseColumn],
        *,
        start: int,
        reference: int,
        end: int,
    ) -> IncidentCounts:
        """Return turns counted in bins from second ``start`` (of a bin) to before ``end``.

        What is before second ``reference`` gives the quantiles that a quantity is bad above, and
        the dispersion.
        """

    def without_heaviest(
        self, signal: str, component: str, version: str, *, first: int
    ) -> tuple[float, IncidentCounts] | None:
        """Return what was counted last, without the two people with the most events of a signal.

        Events from bin ``first`` on count, of turns with a version or a later one; with them comes
        the share of these events that the two hold. None where nobody is known, or has an event.
        """

    def summary(self) -> Telemetry:
        """Return what was read and what was dropped, and why."""
