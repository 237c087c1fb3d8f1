"""What judging an objective needs from outside."""

from typing import Literal, Protocol

from relkit.monitoring.slo.types import EventCounts, SloPolicy


class ServiceLevels(Protocol):
    """Where events are counted: telemetry, or a Prometheus server."""

    @property
    def source(self) -> Literal["telemetry", "prometheus"]:
        """What the counts are from."""

    def counts(self, policy: SloPolicy, at: str) -> EventCounts:
        """Return the events of an objective up to the last whole minute at a UTC time.

        Raises InvalidInput for what the source does not have, BackendUnavailable for a server that
        does not answer.
        """
