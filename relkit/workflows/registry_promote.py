"""``relkit registry promote``: a decision is checked, kept, and the promotion recorded."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from relkit.domain.errors import InvalidInput, UsageError
from relkit.domain.releases import Release
from relkit.rules.ledger import LedgerState
from relkit.rules.ledger_plans import (
    Entry,
    known,
    plan_canary,
    plan_held,
    plan_overridden,
    plan_promoted,
    refuse_condemned,
)
from relkit.rules.promotion import DecisionFacts, OverrideFacts, why_not
from relkit.workflows.registry import Recorded, read_state, record
from relkit.workflows.registry_evidence import DECISION, OVERRIDE, evidence_name
from relkit.workflows.registry_ports import RegistryPorts


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A decision as it was handed in: what is known of it, and its bytes; and an override's."""

    name: str
    facts: DecisionFacts
    data: bytes
    override: OverrideFacts | None = None
    override_data: bytes = b""


def promote(
    model: str,
    version: str,
    evidence: Evidence,
    ports: RegistryPorts,
    *,
    entry: Callable[[str], Entry],
    share: float | None = None,
) -> Recorded:
    """Give a release all traffic, or ``share`` of it (a canary), and record why it may have it.

    ``entry`` makes an entry of a reason that is the default. Only one of several promotions at once
    wins: the others raise Busy. Raises InvalidInput with every reason why the decision does not
    allow it, UsageError for an unknown release.
    """
    state = read_state(ports, model)
    known(state, version)
    release = ports.releases.read(model, version)
    _refuse(release, state, evidence, ports)
    digest = evidence.facts.digest
    note = entry(f"{evidence.facts.decision.policy} passed")
    planned = (
        plan_promoted(state, version, note, decision=digest)
        if share is None
        else plan_canary(state, version, share, note, decision=digest)
    )
    # A decision nobody needed does no harm; an event whose decision is gone would.
    ports.releases.keep(model, version, evidence_name(DECISION, digest), evidence.data)
    override = evidence.override
    if override is None:
        return record(ports, planned)
    name = evidence_name(OVERRIDE, override.digest)
    ports.releases.keep(model, version, name, evidence.override_data)
    said = override.override
    reason = f"{said.reason} ({said.ticket}, signed by {said.by})"
    first = plan_overridden(state, version, replace(note, reason=reason), override=override.digest)
    sealed = ports.ledger.append(first, expected=state.sequence)
    done = record(ports, replace(planned, sequence=planned.sequence + 1, reason=reason))
    return replace(done, events=(sealed, *done.events))


def hold(
    model: str,
    version: str,
    ports: RegistryPorts,
    *,
    entry: Entry,
    share: float | None = None,
) -> Recorded:
    """Record that a canary does not go on; ``share`` changes what it has, 0 ends it."""
    if not entry.reason:
        raise UsageError("say why it is held", hint="--reason TEXT")
    state = read_state(ports, model)
    return record(ports, plan_held(state, version, entry, share=share))


def _refuse(release: Release, state: LedgerState, evidence: Evidence, ports: RegistryPorts) -> None:
    """Raise InvalidInput with every reason against a promotion."""
    name = f"{release.model} {release.version}"
    pinned = tuple(ports.releases.read(*one) for one in release.pins.items())
    reasons = list(why_not(release, pinned, evidence.facts, evidence.override))
    if release.digest != state.registered[release.version]:
        reasons.append("its release.json is not the one that was registered")
    if (why := ports.artifacts.verify(release)) is not None:
        reasons.append(f"its artifact does not verify: {why}")
    if reasons:
        raise InvalidInput(
            f"{evidence.name} does not let {name} be promoted: {'; '.join(reasons)}",
            hint="gate it again: relkit gate POLICY --candidate RUN --baseline RUN",
        )
    decided = evidence.facts.decision.created
    said = evidence.override
    refuse_condemned(state, release.version, decided if said is None else said.override.created)
