"""What a runbook is filled with: read from the workspace, never measured for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.canary.types import CanaryPolicy
from relkit.documents.types import NOT_MEASURED
from relkit.gate.types import CheckRecord, GateDecision, GatePolicy
from relkit.incident.received.words import NOT_STATED
from relkit.incident.types import AbusePolicy
from relkit.monitoring.cost.types import CostPolicy
from relkit.monitoring.drift.types import DriftPolicy
from relkit.monitoring.serving.types import CapacityPolicy, HealthPolicy
from relkit.monitoring.slo.types import SloPolicy
from relkit.monitoring.types import LiveFinding, Watch
from relkit.registry.ledger import LedgerState
from relkit.registry.types import Release, ReleaseEvent
from relkit.rollback.types import RollbackTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspacePolicies:
    """The policies of a workspace by kind, each in the order of their names.

    ``abuse`` has the file of each, which it is given by. ``unread`` are files of another kind.
    """

    gates: tuple[GatePolicy, ...] = ()
    canaries: tuple[CanaryPolicy, ...] = ()
    objectives: tuple[SloPolicy, ...] = ()
    drifts: tuple[DriftPolicy, ...] = ()
    costs: tuple[CostPolicy, ...] = ()
    health: tuple[HealthPolicy, ...] = ()
    capacity: tuple[CapacityPolicy, ...] = ()
    abuse: tuple[tuple[str, AbusePolicy], ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInService:
    """A model of the registry: what its ledger says is served, and whose it is.

    ``live`` has the traffic since ``since``, less the ``share`` of ``candidate``; None where the
    ledger has no such release. ``component`` and ``owner`` are those of the record of what is live,
    or of the newest release; ``pins`` those of a stack.
    """

    model: str
    component: str | None
    owner: str
    live: str | None
    since: str | None
    previous: str | None = None
    candidate: str | None = None
    share: float = 0.0
    pins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookFacts:
    """Everything that the runbooks of one release are made from.

    ``state`` and ``events`` are those of the model's ledger. ``served`` are all models of the
    registry, by name. ``decision`` is the gate's that the record names, in the file
    ``decision_file`` of the workspace; None where it does not lie beside the release. ``rollback``
    says where to go back to if this release is bad, ``stacks`` the same for each live stack that
    pins it. ``findings`` are the newest of each policy. ``checks`` are those that policies require,
    by name, or why one cannot be used. ``as_of`` is the time of the newest record: no runbook looks
    at a clock.
    """

    model: str
    version: str
    release: Release
    state: LedgerState
    events: tuple[ReleaseEvent, ...]
    served: tuple[ModelInService, ...]
    policies: WorkspacePolicies
    decision: GateDecision | None
    decision_file: str | None
    rollback: RollbackTarget
    stacks: tuple[RollbackTarget, ...] = ()
    findings: tuple[LiveFinding, ...] = ()
    checks: Mapping[str, CheckRecord | str] = field(default_factory=dict)
    as_of: str

    def finding(self, kind: Watch, policy: str) -> LiveFinding | None:
        """Return the newest look by a policy, None where there was none."""
        looks = {(look.kind, look.policy.name): look for look in self.findings}
        return looks.get((kind, policy))


@dataclass(slots=True)
class OpenPoints:
    """Collects what a document has to leave open, in its own order and each once."""

    not_measured: list[str] = field(default_factory=list)
    not_stated: list[str] = field(default_factory=list)

    def measured(self, text: str | None, what: str) -> str:
        """Return a number in words, or "not measured" where there is none; ``what`` names it."""
        return _noted(text, what, self.not_measured, NOT_MEASURED)

    def stated(self, text: str | None, what: str) -> str:
        """Return what people said, or "not stated" where they did not; ``what`` names it."""
        return _noted(text, what, self.not_stated, NOT_STATED)


def _noted(text: str | None, what: str, points: list[str], word: str) -> str:
    if text:
        return text
    if what not in points:
        points.append(what)
    return word
