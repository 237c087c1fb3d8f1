"""``relkit runbook``: the facts of a release are read, worded, filled in and written.

Nothing is judged or measured for a runbook. Where to go back to is planned by the rules that
``relkit rollback`` has, as of the newest record; the same workspace gives the same bytes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from relkit.attestation.envelopes import Envelope, parse_envelope
from relkit.attestation.statements import parse_statement
from relkit.attestation.types import TrustedKey
from relkit.attestation.verify import signed_by
from relkit.canary.policies import CANARY_SCHEMA, parse_canary_policy
from relkit.core.codec import nearest, parse_yaml
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown
from relkit.documents.degradation_view import degradation_values
from relkit.documents.first_hour_view import first_hour_values
from relkit.documents.incident_view import handoff_values, postmortem_values
from relkit.documents.launch_view import launch_review_values
from relkit.documents.layout import document_bytes, write_document
from relkit.documents.ports import DocumentRenderer
from relkit.documents.rollout_view import post_release_values, rollout_values
from relkit.documents.runbook_types import (
    DegradationPlan,
    IncidentRecord,
    LaunchDecision,
    ModelInService,
    OpenPoints,
    RunbookFacts,
    WorkspacePolicies,
)
from relkit.documents.runbook_view import exports_of, rollback_values
from relkit.documents.types import DocumentFormat, RunbookKind, WrittenDocument
from relkit.gate.policies import parse_policy, policy_digest
from relkit.gate.types import CheckRecord, GateDecision
from relkit.incident.packets.types import IssuedPacket
from relkit.incident.policies import parse_abuse_policy
from relkit.monitoring.cost.price_files import parse_cost_policy
from relkit.monitoring.drift.files import parse_drift_policy
from relkit.monitoring.serving.files import (
    CAPACITY,
    HEALTH,
    parse_capacity_policy,
    parse_health_policy,
)
from relkit.monitoring.slo.files import SLO_SCHEMA, parse_slo
from relkit.monitoring.types import LiveFinding
from relkit.registry.ledger import LedgerState, state_of
from relkit.registry.ports import ReleaseFolder
from relkit.registry.types import Release
from relkit.rollback.history import History, served_now
from relkit.rollback.run import RollbackOptions, RollbackPorts, plan_rollback
from relkit.rollback.target import SIGN

WORDED: Mapping[RunbookKind, Callable[[RunbookFacts, OpenPoints], Mapping[str, object]]] = {
    "rollout": rollout_values,
    "rollback": rollback_values,
    "first-hour": first_hour_values,
    "post-release": post_release_values,
    "launch-review": launch_review_values,
    "degradation": degradation_values,
    "handoff": handoff_values,
    "postmortem": postmortem_values,
}
"""What the template of each kind is filled with, from the facts of a release."""

DEGRADATION_FILE = "runbooks/degradation.yaml"
"""What people wrote of a service that is not well, for the runbook ``degradation``."""

KINDS: tuple[RunbookKind, ...] = get_args(RunbookKind)

AFTER_THE_FACT: frozenset[RunbookKind] = frozenset({"rollback", "first-hour", "postmortem"})
"""Runbooks that are needed of a release that was yanked, too."""

_PARSERS: Mapping[str, tuple[str, Callable[..., object]]] = {
    "relkit.gate/v1": ("gates", parse_policy),
    CANARY_SCHEMA: ("canaries", parse_canary_policy),
    SLO_SCHEMA: ("objectives", parse_slo),
    "relkit.drift/v1": ("drifts", parse_drift_policy),
    "relkit.cost/v1": ("costs", parse_cost_policy),
    HEALTH: ("health", parse_health_policy),
    CAPACITY: ("capacity", parse_capacity_policy),
}
"""Schema to the field of :class:`WorkspacePolicies`, and what reads such a file."""

_ABUSE = "relkit.abuse/v1"
_OF_LAUNCH = frozenset({"launch-review", "handoff"})
_OF_INCIDENTS = frozenset({"handoff", "postmortem"})
"""A record that is broken stops the runbooks that are made from it, and no other."""

_SCHEMA = re.compile(r"^[\"']?schema[\"']?:[ ]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_OTHER_KIND = re.compile(r"relkit\.[a-z-]+/v[0-9]+")
_OPENSLO = re.compile(r"^apiVersion:[ ]*[\"']?openslo/", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookOptions:
    """What was asked for: a kind, and ``MODEL[@VERSION]``; None: the only model there is.

    ``out`` None: the document is for standard output.
    """

    kind: str
    subject: str | None = None
    format: DocumentFormat = "markdown"
    out: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookPorts:
    """What a runbook needs.

    ``policies`` gives (file name, text) of every policy of the workspace, by name, ``findings`` the
    records of looks at live traffic. ``checks`` gives those of some names that are there, or why
    one cannot be used. ``decisions`` gives (digest, bytes) of those by policies of some names, the
    newest first, ``keys`` the trusted ones. ``incidents`` gives name and packets of each,
    ``degradation`` the text of :data:`DEGRADATION_FILE`, None without one. ``shown`` names a path
    without a folder of the machine, ``gates`` is the folder of policies by it.
    """

    registry: RollbackPorts
    releases: ReleaseFolder
    policies: Callable[[], Iterable[tuple[str, str]]]
    gates: str
    findings: Callable[[], Iterable[LiveFinding]]
    checks: Callable[[Iterable[str]], Mapping[str, CheckRecord | str]]
    decisions: Callable[[frozenset[str]], Iterable[tuple[str, bytes]]]
    keys: Callable[[], Sequence[TrustedKey]]
    incidents: Callable[[], Iterable[tuple[str, Sequence[IssuedPacket]]]]
    degradation: Callable[[], str | None]
    documents: DocumentRenderer
    shown: Callable[[Path], str]


def runbook(options: RunbookOptions, ports: RunbookPorts) -> tuple[WrittenDocument, bytes]:
    """Return a runbook and its bytes, which are written where there is a file for them.

    Raises UsageError for an unknown kind, model or version, InvalidInput for a release that is
    yanked or not registered and for a broken record, policy or template, MissingDependency where a
    page cannot be drawn, StorageFailed.
    """
    kind = next((known for known in KINDS if known == options.kind), None)
    if kind is None:
        raise UsageError(
            f'no runbook "{shown(options.kind)}"',
            hint=nearest(options.kind, KINDS) or f"one of {', '.join(KINDS)}",
        )
    facts = read_facts(kind, options.subject, ports)
    open_points = OpenPoints()
    worded = WORDED[kind](facts, open_points)
    values = {
        **worded,
        "exports": exports_of(worded),
        "not_measured": tuple(open_points.not_measured),
        "not_stated": tuple(open_points.not_stated),
    }
    text = ports.documents.markdown(f"runbook-{kind}", values)
    data = document_bytes(text, options.format, ports.documents, title=str(values["title"]))
    document = write_document(
        data,
        options.out,
        ports.shown,
        not_measured=tuple(open_points.not_measured),
        not_stated=tuple(open_points.not_stated),
    )
    return document, data


def read_facts(kind: RunbookKind, subject: str | None, ports: RunbookPorts) -> RunbookFacts:
    """Return what runbooks of a release are made from; raises as :func:`runbook` does."""
    registry = ports.registry
    models = sorted({*registry.releases.models(), *registry.ledger.models()})
    model, version = _named(subject, models)
    histories = {name: History(name, registry.ledger.events(name)) for name in models}
    events = histories[model].events
    state = state_of(model, events)
    release = _release(kind, version, state, ports)
    findings = _newest(ports.findings())
    as_of = max(
        (event.at for history in histories.values() for event in history.events),
        default=release.created,
    )
    as_of = max([as_of, *(finding.created for finding in findings)])
    served = tuple(_in_service(ports, histories))
    policies = read_policies(ports.policies(), folder=ports.gates)
    launch = _launch(release, policies, ports) if kind in _OF_LAUNCH else None
    incidents = tuple(_incidents(ports)) if kind in _OF_INCIDENTS else ()
    text = ports.degradation() if kind == "degradation" else None
    times = [record.last.created for record in incidents]
    as_of = max([as_of, *times, *([] if launch is None else [launch.decision.created])])
    required = {needed.name for policy in policies.gates for needed in policy.requires}
    plans = replace(registry, clock=_RecordedTime(as_of), mirror=None)
    digests = frozenset({release.decision, state.decisions.get(release.version)} - {None})
    decision, decision_file = _decision(release, digests, ports)
    return RunbookFacts(
        model=model,
        version=release.version,
        release=release,
        state=state,
        events=events,
        served=served,
        policies=policies,
        decision=decision,
        decision_file=decision_file,
        rollback=plan_rollback(RollbackOptions(model=model, bad=(release.version,)), plans).target,
        stacks=tuple(
            plan_rollback(
                RollbackOptions(model=stack.model, bad=(f"{model}{SIGN}{release.version}",)), plans
            ).target
            for stack in served
            if stack.pins.get(model) == release.version
        ),
        findings=findings,
        checks=ports.checks(sorted(required)),
        launch=launch,
        incidents=incidents,
        degradation=None
        if text is None
        else parse_yaml(text, DegradationPlan, source=DEGRADATION_FILE),
        as_of=as_of,
    )


@dataclass(frozen=True, slots=True)
class _RecordedTime:
    """Implements ``Clock`` with the time of the newest record."""

    at: str

    def now(self) -> str:
        return self.at


def _named(subject: str | None, models: list[str]) -> tuple[str, str | None]:
    """Return model and version; raises UsageError for what is not in the registry."""
    register = "relkit registry register RELEASE"
    if not models:
        raise UsageError("no release is in the registry", hint=register)
    if subject is None:
        if len(models) > 1:
            raise UsageError("which model?", hint=f"name one of {', '.join(models)}")
        return models[0], None
    model, sign, version = subject.partition(SIGN)
    if model not in models:
        raise UsageError(
            f'no model "{shown(model)}" in the registry', hint=nearest(model, models) or register
        )
    if sign and not version:
        raise UsageError(f'"{shown(subject)}": no version after {SIGN}', hint=f"{model}@VERSION")
    return model, version or None


def _release(
    kind: RunbookKind, version: str | None, state: LedgerState, ports: RunbookPorts
) -> Release:
    """Return the release that a runbook is about.

    Unless named that is the canary, else, of a rollout, the newest that was registered after what
    is live, else what is live.
    """
    model, order = state.model, list(state.registered)
    if version is None:
        later = order[order.index(state.live) + 1 :] if state.live in order else order
        waiting = [name for name in later if name not in state.yanked | state.condemned]
        version = state.candidate
        if version is None and (kind in {"rollout", "launch-review"} or state.live is None):
            version = waiting[-1] if waiting else None
        version = version or state.live
    if version is None:
        raise InvalidInput(
            f"{model}: nothing is served, and no release waits for it",
            hint=f"relkit registry history {model}",
        )
    if version not in state.registered:
        names = ports.releases.versions(model)
        if version in names:
            raise InvalidInput(
                f"{model} {version} has a record, and the ledger does not know it",
                hint="register it: relkit registry register RELEASE",
            )
        raise UsageError(
            f'{model} has no release "{shown(version)}"',
            hint=nearest(version, tuple(dict.fromkeys([*order, *names])))
            or f"relkit registry history {model}",
        )
    if version in state.yanked and kind not in AFTER_THE_FACT:
        raise InvalidInput(
            f"{model} {version} was yanked at {state.yanked[version]}: no {kind} is written of it",
            hint=f"name another release, or take it back: "
            f"relkit registry yank {model} {version} --restore --reason TEXT",
        )
    return ports.releases.read(model, version)


def _newest(findings: Iterable[LiveFinding]) -> tuple[LiveFinding, ...]:
    """Return the newest finding of each policy, by kind and name."""
    newest: dict[tuple[str, str], LiveFinding] = {}
    for finding in findings:
        key = (finding.kind, finding.policy.name)
        if key not in newest or newest[key].created <= finding.created:
            newest[key] = finding
    return tuple(newest[key] for key in sorted(newest))


def _in_service(ports: RunbookPorts, histories: Mapping[str, History]) -> Iterator[ModelInService]:
    """Yield every model with what is served of it, also inside of a stack."""

    def read(model: str, version: str) -> Release | str:
        try:
            return ports.releases.read(model, version)
        except (InvalidInput, UsageError) as error:
            return error.message

    live = served_now(histories, read)
    for model, history in histories.items():
        state = state_of(model, history.events)
        newest = next(reversed(state.registered), None)
        version = live.get(model)
        record = None if (version or newest) is None else read(model, version or newest or "")
        release = record if isinstance(record, Release) else None
        own = history.serving if history.serving and history.serving.version == version else None
        yield ModelInService(
            model=model,
            component=None if release is None else release.component,
            owner="" if release is None else release.owner,
            live=version,
            since=None if own is None else own.at,
            previous=state.previous,
            unfit="yanked"
            if state.previous in state.yanked
            else "removed as bad"
            if state.previous in state.condemned
            else "",
            candidate=state.candidate,
            share=state.share,
            pins={} if release is None or version is None else release.pins,
        )


def _decision(
    release: Release, digests: frozenset[str | None], ports: RunbookPorts
) -> tuple[GateDecision | None, str | None]:
    """Return the decision of one of these digests, and where it lies; None where none does."""
    for name, data in ports.releases.evidence(release.model, release.version):
        try:
            envelope = parse_envelope(data, source=name)
            content = parse_statement(envelope.payload, source=name).content
        except InvalidInput:
            continue
        if envelope.digest in digests and isinstance(content, GateDecision):
            return content, f"registry/releases/{release.model}/{release.version}/{name}"
    return None, None


def _incidents(ports: RunbookPorts) -> Iterator[IncidentRecord]:
    for name, issued in ports.incidents():
        if issued:
            packets = tuple((out.name, out.digest, out.packet) for out in issued)
            yield IncidentRecord(name=name, packets=packets)


def _launch(
    release: Release, policies: WorkspacePolicies, ports: RunbookPorts
) -> LaunchDecision | None:
    """Return the newest decision about a release by a policy that requires records.

    One that was written elsewhere counts where it lies beside the release.
    """
    asking = {policy.name: policy for policy in policies.gates if policy.requires}
    by_name = {policy.name: policy for policy in policies.gates}
    logged = next(_about(release, ports.decisions(frozenset(asking))), None)
    beside = _about(release, ((None, data) for _, data in _evidence(release, ports)))
    decided = [logged] if logged is not None else []
    decided += [entry for entry in beside if entry[1].policy.name in asking]
    if not decided:
        return None
    envelope, decision = max(decided, key=lambda entry: (entry[1].created, entry[1].serial))
    signers, problems = signed_by(envelope, ports.keys())
    policy = asking.get(decision.policy.name)
    parts = {} if policy is None else policy.parts
    judged_by = {part: by_name[name] for part, name in parts.items() if name in by_name}
    return LaunchDecision(
        decision=decision,
        digest=envelope.digest,
        signers=() if problems else signers,
        refused=next(iter(problems), None),
        policy=policy,
        policy_digest=None if policy is None else policy_digest(policy, judged_by),
    )


def _evidence(release: Release, ports: RunbookPorts) -> Iterator[tuple[str, bytes]]:
    return ports.releases.evidence(release.model, release.version)


def _about(
    release: Release, written: Iterable[tuple[str | None, bytes]]
) -> Iterator[tuple[Envelope, GateDecision]]:
    """Yield the decisions about a release's artifact, by digest (None: any) and bytes."""
    for digest, data in written:
        try:
            envelope = parse_envelope(data, source="a decision")
            decision = parse_statement(envelope.payload, source="a decision").content
        except InvalidInput:
            continue
        if digest not in {None, envelope.digest} or not isinstance(decision, GateDecision):
            continue
        artifacts = {part.candidate.artifact for part in decision.parts} - {None}
        if release.artifact_digest in artifacts:
            yield envelope, decision


def read_policies(texts: Iterable[tuple[str, str]], *, folder: str) -> WorkspacePolicies:
    """Return the policies of (file name, text) in a folder; raises InvalidInput with the line."""
    by_kind: dict[str, list[object]] = {}
    for source, text in texts:
        written = _SCHEMA.search(text)
        schema = SLO_SCHEMA if _OPENSLO.search(text) else written[1] if written else ""
        if schema == _ABUSE:
            policy = (f"{folder}/{source}", parse_abuse_policy(text, source=source))
            by_kind.setdefault("abuse", []).append(policy)
        elif _OTHER_KIND.fullmatch(schema) and schema not in _PARSERS:
            by_kind.setdefault("unread", []).append(f"{folder}/{source}")
        else:  # what is of no kind at all is refused by the reader of gate policies
            field, parse = _PARSERS.get(schema, _PARSERS["relkit.gate/v1"])
            by_kind.setdefault(field, []).append(parse(text, source=source))
    return WorkspacePolicies(**{kind: tuple(policies) for kind, policies in by_kind.items()})  # type: ignore[arg-type]
