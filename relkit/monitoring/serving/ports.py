"""What health and capacity need from outside."""

from typing import Protocol

from relkit.monitoring.serving.types import (
    CapacityPolicy,
    HealthPolicy,
    LiveFigures,
    SessionFigures,
)
from relkit.monitoring.types import RangeSamples
from relkit.telemetry.types import Telemetry


class LiveTraffic(Protocol):
    """Live traffic as figures: telemetry files, or a Prometheus."""

    def figures(
        self, policy: HealthPolicy, now: str
    ) -> tuple[LiveFigures | None, Telemetry | None]:
        """Return what traffic looks like until ``now``, None where there is none, and its source.

        The source is what was read and dropped of telemetry files, None of anything else.
        Raises InvalidInput for what cannot be read, BackendUnavailable for a server that is down.
        """


class RangeQueries(Protocol):
    """A metrics server that is asked for samples over time."""

    def samples(self, query: str, *, start: int, end: int, step: int) -> RangeSamples:
        """Return the samples of a query at start, start + step … up to end, in Unix seconds.

        Raises BackendUnavailable for a server that does not answer, InvalidInput for a query that
        it refuses.
        """


class SessionSource(Protocol):
    """The sessions of telemetry files."""

    def sessions(self, policy: CapacityPolicy, now: str) -> SessionFigures:
        """Return the sessions until ``now`` as intervals; raises InvalidInput.

        Parts of a session that are further apart than its gap are several.
        """
