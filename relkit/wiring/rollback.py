"""Builds what ``relkit rollback`` needs: files only; a mirror is asked when an event is safe."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relkit.core.config import Settings
from relkit.rollback import run as workflow

if TYPE_CHECKING:
    from relkit.registry.ports import RegistryPorts


class _Follower:
    """Implements the rollback's ``Mirror``: the mirror is made to say what the ledger says."""

    def __init__(self, ports: "RegistryPorts") -> None:
        self._ports = ports

    def point(
        self,
        model: str,
        *,
        champion: str,  # noqa: ARG002 - the ledger, which has the event by now, says all three
        previous: str | None,  # noqa: ARG002
        expected: str | None,  # noqa: ARG002
    ) -> None:
        """Move what differs; raises BackendUnavailable."""
        from relkit.registry.mirror import follow, read_state

        if self._ports.mirror is not None:
            follow(self._ports, self._ports.mirror, read_state(self._ports, model))


def rollback_ports(settings: Settings) -> workflow.RollbackPorts:
    """Return the ledgers, records and artifacts of a workspace, and its mirror."""
    from relkit.wiring.registry import registry_ports

    ports = registry_ports(settings)
    return workflow.RollbackPorts(
        releases=ports.releases,
        ledger=ports.ledger,
        artifacts=ports.artifacts,
        clock=ports.clock,
        mirror=None if ports.mirror is None else _Follower(ports),
    )


def plan_rollback(settings: Settings, request: workflow.RollbackRequest) -> workflow.Plan:
    """Return where to go back to; see :func:`relkit.rollback.run.plan`."""
    with _no_collection():
        return workflow.plan(request, rollback_ports(settings))


def apply_rollback(
    settings: Settings,
    request: workflow.RollbackRequest,
    *,
    by: str | None,
    reason: str | None,
) -> tuple[workflow.Plan, workflow.Applied]:
    """Plan and apply; see :func:`relkit.rollback.run.apply`."""
    from relkit.wiring.registry import entry

    ports = rollback_ports(settings)
    with _no_collection():
        planned = workflow.plan(request, ports)
    why = reason or f"rollback of {', '.join(planned.target.bad)}"
    note = entry(settings, by, why)
    done = workflow.apply(planned, ports, by=note.by, reason=note.reason, named=bool(request.bad))
    return planned, done


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: a plan makes thousands of events, and all of them stay."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
