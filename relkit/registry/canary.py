"""What the ledger says of a canary: its releases and steps; and that it was rolled back."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from relkit.canary.ports import LedgerCanary
from relkit.canary.types import CanaryReport, FinalRollback
from relkit.core.errors import UsageError
from relkit.registry.ledger import LedgerState, plan_held
from relkit.registry.mirror import entry, read_history, record
from relkit.registry.ports import RegistryPorts
from relkit.registry.types import EventKind, ReleaseEvent

ROLLED_BACK = "canary rolled back: "
"""How the reason of the event begins that ends a canary for good."""


class LedgerCanaries:
    """Implements :class:`relkit.canary.ports.Ledgers` over the ledgers of a workspace."""

    def __init__(self, ports: RegistryPorts) -> None:
        """Read and append by these ports."""
        self._ports = ports

    def canary(self, model: str) -> LedgerCanary:
        """Return the canary of a model; raises UsageError where none is served."""
        events, state = read_history(self._ports, model)
        canary = canary_of(state, events)
        with suppress(UsageError):  # a ledger whose release record lies elsewhere
            release = self._ports.releases.read(model, canary.canary)
            return replace(canary, artifact=release.artifact_digest)
        return canary

    def hold(self, model: str, version: str, report: CanaryReport) -> None:
        """Record that a canary is rolled back, once; it keeps its share until that is done."""
        events, state = read_history(self._ports, model)
        if canary_of(state, events).rolled_back is not None:
            return
        reason = ROLLED_BACK + ", ".join(report.reason_codes[:10])
        record(self._ports, plan_held(state, version, entry(self._ports, None, reason)))


def canary_of(state: LedgerState, events: Sequence[ReleaseEvent]) -> LedgerCanary:
    """Return the canary that is served, with its steps; raises UsageError where there is none."""
    version, control = state.candidate, state.live
    if version is None or control is None:
        raise UsageError(
            f"{state.model} has no release in canary",
            hint=f"relkit registry promote {state.model} VERSION --canary 1% --decision FILE",
        )
    final = None
    shares: list[tuple[float, str]] = []
    for event in events:
        if event.version != version:
            continue
        if event.kind is EventKind.CANARY and event.traffic is not None:
            if not shares or shares[-1][0] != event.traffic:
                shares.append((event.traffic, event.at))
        elif event.kind is EventKind.HELD:
            if event.reason.startswith(ROLLED_BACK):
                codes = tuple(event.reason.removeprefix(ROLLED_BACK).split(", "))
                final = FinalRollback(at=event.at, evidence=0.0, reason_codes=codes)
            elif not event.traffic:
                shares = []
    if version in state.condemned and final is None:
        final = FinalRollback(at=state.condemned[version], evidence=0.0, reason_codes=())
    return LedgerCanary(control=control, canary=version, shares=tuple(shares), rolled_back=final)
