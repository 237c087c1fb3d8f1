"""What a runbook is filled with: read from the workspace, never measured for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.canary.types import CanaryPolicy
from relkit.core.values import REQUIRED, WRITTEN, Limits, Shape
from relkit.disclosure.types import Packet
from relkit.documents.types import NOT_MEASURED, Prose
from relkit.gate.types import CheckRecord, GateDecision, GatePolicy
from relkit.incident.received.words import NOT_STATED
from relkit.incident.types import AbusePolicy
from relkit.monitoring.cost.types import CostPolicy
from relkit.monitoring.drift.types import DriftPolicy
from relkit.monitoring.serving.types import CapacityPolicy, HealthPolicy
from relkit.monitoring.slo.types import SloPolicy
from relkit.monitoring.types import LiveFinding, Watch
from relkit.registry.ledger import LedgerState
from relkit.registry.types import ModelName, Release, ReleaseEvent
from relkit.rollback.types import RollbackTarget

TimedStage = Literal[
    "eou_ms", "asr_ms", "llm_ttft_ms", "tool_ms", "tts_ttfb_ms", "network_ms", "latency_ms"
]
"""A stage of a turn as telemetry names it, or the whole turn."""


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
    or of the newest release; ``pins`` those of a stack. ``previous`` had the traffic before it;
    ``unfit`` says why it is nothing to go back to (yanked, removed as bad), empty where it may be.
    """

    model: str
    component: str | None
    owner: str
    live: str | None
    since: str | None
    previous: str | None = None
    unfit: str = ""
    candidate: str | None = None
    share: float = 0.0
    pins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationStep:
    """What is switched off when: ``at`` says when, ``keeps`` what still works then.

    ``command`` is what does it, as people run it.
    """

    FILE: ClassVar = Shape(omitted=True)

    at: Prose
    switch_off: Prose
    keeps: Prose | None = None
    command: Prose | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationPlan:
    """``runbooks/degradation.yaml``: what people decided of a service that is not well.

    ``steps`` stand in the order in which they are taken. ``timeouts_ms`` are by stage of a turn, or
    for ``latency_ms``, the whole of it. ``fallbacks`` say by model what answers instead.
    """

    FILE: ClassVar = Shape(omitted=True)

    schema: Literal["relkit.degradation/v1"] = field(
        default="relkit.degradation/v1", metadata=REQUIRED | WRITTEN
    )
    steps: tuple[DegradationStep, ...] = ()
    timeouts_ms: Mapping[TimedStage, Annotated[float, Limits(gt=0, le=1e9)]] = field(
        default_factory=dict
    )
    fallbacks: Mapping[ModelName, Prose] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchDecision:
    """The newest decision about a release by a policy that requires records.

    ``digest`` is that of its statement. ``signers`` are the trusted keys that signed it;
    ``refused`` says why its signatures are not to be believed. ``policy`` is what the workspace
    has under its name now, with the digest of it and its parts; None where that policy is gone.
    """

    decision: GateDecision
    digest: str
    signers: tuple[str, ...]
    refused: str | None
    policy: GatePolicy | None
    policy_digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """An incident of the workspace: its name, and its packets that are out, the first hours first.

    ``packets`` are (name, digest of the statement, packet).
    """

    name: str
    packets: tuple[tuple[str, str, Packet], ...]

    @property
    def last(self) -> Packet:
        """The newest packet."""
        return self.packets[-1][2]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookFacts:
    """Everything that the runbooks of one release are made from.

    ``state`` and ``events`` are those of the model's ledger. ``served`` are all models of the
    registry, by name. ``decision`` is the gate's that the record names, in the file
    ``decision_file`` of the workspace; None where it does not lie beside the release. ``rollback``
    says where to go back to if this release is bad, ``stacks`` the same for each live stack that
    pins it. ``findings`` are the newest of each policy. ``checks`` are those that policies require,
    by name, or why one cannot be used. ``launch`` is the decision about
    its launch, ``incidents`` are those of which a packet is out, ``degradation`` is what people
    wrote. ``as_of`` is the time of the newest record: no runbook looks at a clock.
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
    launch: LaunchDecision | None = None
    incidents: tuple[IncidentRecord, ...] = ()
    degradation: DegradationPlan | None = None
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
