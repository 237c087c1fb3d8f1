"""``relkit registry promote`` and ``yank``: a version is served by a decision, or withdrawn.

A decision is checked with every reason against it, kept beside the release by its digest, and the
promotion recorded.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from relkit.attestation.checks import LoggedDecision
from relkit.attestation.envelopes import parse_envelope
from relkit.attestation.types import TrustedKey
from relkit.attestation.verify import Verification, VerifyOptions, verify
from relkit.core import storage
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.core.errors import InvalidInput, UsageError
from relkit.gate.run import Policies
from relkit.gate.types import GateDecision, GatePolicy, Override, Verdict
from relkit.registry.ledger import (
    LedgerState,
    RecordedEvents,
    known,
    plan_canary,
    plan_held,
    plan_overridden,
    plan_promoted,
    plan_restored,
    plan_yanked,
    refuse_condemned,
)
from relkit.registry.mirror import entry, read_state, record
from relkit.registry.ports import RegistryPorts, ReleaseFolder
from relkit.registry.types import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """The version that is to be served, and the files of the decision and override that allow it.

    ``share`` is its part of the traffic as a canary, None for all of it. ``hold`` records that the
    canary does not go on instead. ``by`` None: the actor.
    """

    model: str
    version: str
    decision: Path | None = None
    override: Path | None = None
    share: float | None = None
    hold: bool = False
    by: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotePorts:
    """What a promotion needs: the registry, and what decisions are believed by.

    ``keys`` gives the trusted keys, ``log`` the decisions of the workspace, oldest first.
    """

    registry: RegistryPorts
    keys: Callable[[], Sequence[TrustedKey]]
    policies: Policies
    log: Callable[[], Sequence[LoggedDecision]]


def promote(options: PromoteOptions, promoting: PromotePorts) -> RecordedEvents:
    """Give a release all traffic, or a share of it (a canary), and record why it may have it.

    Only one of several promotions at once wins: the others raise Busy. Raises InvalidInput with
    every reason why the decision does not allow it, UsageError for an unknown release, without a
    decision, and for one that is to hold a canary.
    """
    model, version, share = options.model, options.version, options.share
    ports = promoting.registry
    if options.hold:
        return _hold(options, ports)
    if options.decision is None:
        raise UsageError("no decision was named", hint="--decision FILE, made by: relkit gate")
    decision = _decision(options.decision, promoting)
    override = None if options.override is None else _override(options.override, promoting)
    state = read_state(ports, model)
    known(state, version)
    _refuse(ports.releases.read(model, version), state, decision, override, ports)
    reason = options.reason or f"{decision.content.policy.name} passed"
    note = entry(ports, options.by, reason)
    planned = (
        plan_promoted(state, version, note, decision=decision.digest)
        if share is None
        else plan_canary(state, version, share, note, decision=decision.digest)
    )
    # A decision nobody needed does no harm; an event whose decision is gone would.
    name = evidence_name(DECISION, decision.digest)
    ports.releases.keep(model, version, name, decision.data)
    if override is None:
        return record(ports, planned)
    ports.releases.keep(model, version, evidence_name(_OVERRIDE, override.digest), override.data)
    signed = override.content
    reason = f"{signed.reason} ({signed.ticket}, signed by {signed.by})"
    first = plan_overridden(state, version, replace(note, reason=reason), override=override.digest)
    sealed = ports.ledger.append(first, expected=state.sequence)
    done = record(ports, replace(planned, sequence=planned.sequence + 1, reason=reason))
    return replace(done, events=(sealed, *done.events))


def _hold(options: PromoteOptions, ports: RegistryPorts) -> RecordedEvents:
    """Record that a canary does not go on; a share changes what it has, 0 ends it."""
    if options.decision is not None or options.override is not None:
        raise UsageError("--hold takes no decision", hint="leave out --decision, --override")
    if not options.reason:
        raise UsageError("say why it is held", hint="--reason TEXT")
    note = entry(ports, options.by, options.reason)
    state = read_state(ports, options.model)
    return record(ports, plan_held(state, options.version, note, share=options.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """A decision's file as it was handed in, and what is known of it besides what it says.

    ``problems`` are those of its verification (form, signature, time, recomputed verdict);
    ``signed`` whether a trusted key has signed it. ``policy`` is None where it is gone. ``newer``
    says which later decision about the same runs there is.
    """

    name: str
    data: bytes
    content: GateDecision
    digest: str
    problems: tuple[str, ...]
    signed: bool
    policy: GatePolicy | None
    newer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Override:
    """An override's file as it was handed in, and what is wrong with it."""

    data: bytes
    content: Override
    digest: str
    problems: tuple[str, ...]


def _decision(path: Path, ports: PromotePorts) -> _Decision:
    data, verified = _verified(path, ports, VerifyOptions(unsigned=True))
    decision = verified.content
    if not isinstance(decision, GateDecision) or verified.digest is None:
        why = "; ".join(verified.problems) or f"is a signed {verified.kind}"
        raise InvalidInput(
            f"{path.name}: is no decision that can be believed: {why}",
            hint="make one: relkit gate POLICY …",
        )
    policy = None
    with suppress(UsageError):
        policy, _ = ports.policies.read(decision.policy.name)
    runs = {part.candidate.run for part in decision.parts}
    newer = (
        f"{logged.file} (serial {logged.serial}, {logged.verdict})"
        for logged in ports.log()
        if logged.serial > decision.serial
        and logged.policy == decision.policy.name
        and logged.run in runs
    )
    return _Decision(
        name=path.name,
        data=data,
        content=decision,
        digest=verified.digest,
        problems=verified.problems,
        signed=bool(verified.signers),
        policy=policy,
        newer=next(newer, None),
    )


def _override(path: Path, ports: PromotePorts) -> _Override:
    data, verified = _verified(path, ports, VerifyOptions())
    content, digest = verified.content, verified.digest
    if not isinstance(content, Override) or digest is None:
        why = "; ".join(verified.problems) or f"is a signed {verified.kind}"
        raise InvalidInput(f"{path.name}: is no override that can be believed: {why}")
    return _Override(data=data, content=content, digest=digest, problems=verified.problems)


def _verified(
    path: Path, ports: PromotePorts, options: VerifyOptions
) -> tuple[bytes, Verification]:
    data, now = storage.read_bytes(path, what=path.name), ports.registry.clock.now()
    return data, verify(data, ports.keys(), now=now, options=options, source=path.name)


def _refuse(
    release: Release,
    state: LedgerState,
    decision: _Decision,
    override: _Override | None,
    ports: RegistryPorts,
) -> None:
    """Raise InvalidInput with every reason against a promotion.

    An override stands for the verdict and for nothing else: artifact, dataset, policy, time and
    signature have to be right, too.
    """
    pinned = tuple(ports.releases.read(*pin) for pin in release.pins.items())
    reasons = [
        *decision.problems,
        *_verdict(decision, override),
        *_policy(decision),
        *_subject(release, pinned, decision.content),
        *_dataset(release, pinned, decision.content),
    ]
    if release.digest != state.registered[release.version]:
        reasons.append("its release.json is not the one that was registered")
    if (why := ports.artifacts.verify(release)) is not None:
        reasons.append(f"its artifact does not verify: {why}")
    if reasons:
        raise InvalidInput(
            f"{decision.name} does not let {release.model} {release.version} be promoted: "
            f"{'; '.join(dict.fromkeys(reasons))}",
            hint="gate it again: relkit gate POLICY --candidate RUN --baseline RUN",
        )
    decided = decision.content if override is None else override.content
    refuse_condemned(state, release.version, decided.created)


def _verdict(decision: _Decision, override: _Override | None) -> Iterator[str]:
    content = decision.content
    if content.policy.enforcement != "enforce":
        yield "the policy's enforcement is shadow: such a decision never promotes"
    if not content.parts:
        yield "no candidate was judged"
    if decision.newer is not None:
        yield f"there is a newer decision about this run: {decision.newer}"
    if override is not None:
        yield from (f"the override: {problem}" for problem in override.problems)
        if content.verdict is Verdict.PASS:
            yield "the decision passes: there is nothing to override"
        if override.content.decision.digest != decision.digest:
            yield "the override is about another decision"
        if override.content.key is None:
            yield "the override is not signed by a trusted key"
    elif content.verdict is not Verdict.PASS:
        codes = ", ".join(content.reason_codes[:5])
        yield f"the verdict is {content.verdict}" + (f" ({codes})" if codes else "")


def _policy(decision: _Decision) -> Iterator[str]:
    name, policy = decision.content.policy.name, decision.policy
    if policy is None:
        yield f"the policy {name} is not in this workspace"
    elif policy.digest != decision.content.policy.digest:
        yield f"the policy {name} no longer matches its digest: it was changed since"
    if policy is not None and policy.signature == "required" and not decision.signed:
        yield f"the policy {name} requires a signature, and no trusted key has signed it"


def _subject(release: Release, pinned: Sequence[Release], decision: GateDecision) -> Iterator[str]:
    served = {
        _identity(member): member for member in (pinned if release.kind == "stack" else (release,))
    }
    judged = {part.candidate.artifact or part.candidate.candidate for part in decision.parts}
    for digest, member in served.items():
        if digest not in judged:
            yield f"it is not about the artifact of {member.model} {member.version} ({digest})"
    for digest in sorted(judged - set(served)):
        yield f"it is about another artifact ({digest})"


def _identity(release: Release) -> str:
    """Return what a decision about a release has to name; a vendor's model has its settings."""
    if release.hosted is not None:
        return release.hosted.configuration
    return release.artifact_digest or release.digest


def _dataset(release: Release, pinned: Sequence[Release], decision: GateDecision) -> Iterator[str]:
    evaluated = {
        lineage.digest: lineage.dataset
        for member in (release, *pinned)
        for lineage in member.lineage
        if lineage.use == "evaluation"
    }
    for part in decision.parts:
        dataset = part.dataset
        if dataset.digest not in evaluated:
            names = ", ".join(sorted(evaluated.values())) or "none"
            yield (
                f"it was decided on the dataset {dataset.name} ({dataset.digest}), which is "
                f"not one the release names (lineage: {names})"
            )


REPORT = "report.json"
DECISION = "decision"
_OVERRIDE = "override"
_SHOWN = 16


def evidence_name(kind: str, digest: str) -> str:
    """Return the name of a piece of evidence: ``decision-0123456789abcdef.json``."""
    return f"{kind}-{digest.removeprefix(PREFIX)[:_SHOWN]}.json"


def evidence_digests(releases: ReleaseFolder, model: str, version: str) -> frozenset[str]:
    """Return the digests of what lies beside a release: of bytes, and of signed statements."""
    digests = set()
    for name, data in releases.evidence(model, version):
        digests.add(sha256_bytes(data))
        with suppress(InvalidInput):
            digests.add(parse_envelope(data, source=name).digest)
    return frozenset(digests)


@dataclass(frozen=True, slots=True, kw_only=True)
class YankOptions:
    """The version to withdraw, or to restore; by whom (None: the actor) and why."""

    model: str
    version: str
    reason: str
    restore: bool = False
    by: str | None = None


def yank(options: YankOptions, ports: RegistryPorts) -> RecordedEvents:
    """Withdraw a version for good, or take that back; a version that is served stays served.

    Raises UsageError for an unknown version and without a reason, InvalidInput where it is so.
    """
    if not options.reason:
        raise UsageError("say why", hint='--reason "wrong labels in training"')
    plan = plan_restored if options.restore else plan_yanked
    note = entry(ports, options.by, options.reason)
    return record(ports, plan(read_state(ports, options.model), options.version, note))
