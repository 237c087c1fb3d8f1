"""``relkit gate``, ``override``, ``approve`` and ``verify``: what is decided is kept and signed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from relkit.attestation.checks import (
    DecisionEntry,
    LoggedDecision,
    new_check,
    parse_check,
    read_check,
)
from relkit.attestation.envelopes import Envelope, parse_envelope, render_envelope
from relkit.attestation.exceptions import OverrideOptions, plan_approval, plan_override
from relkit.attestation.statements import Content, parse_content, render_statement
from relkit.attestation.sums import decision_evidence
from relkit.attestation.types import TrustedKey
from relkit.attestation.verify import Verification, VerifyOptions, signed_by, verify
from relkit.core import storage
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.ports import Clock
from relkit.core.values import after
from relkit.evaluation.ports import RunStore
from relkit.evaluation.types import EvalReport
from relkit.gate.evidence import Compared
from relkit.gate.run import GateOptions, GatePorts, JudgedRuns, judge_runs
from relkit.gate.types import (
    METHOD,
    Against,
    CheckRecord,
    DecisionEvidence,
    GateDecision,
    Override,
    PartEvidence,
)

_DAY_S = 86400.0


class Signer(Protocol):
    """A private key."""

    @property
    def public(self) -> TrustedKey:
        """The public half."""

    def sign(self, envelope: Envelope) -> Envelope:
        """Return the envelope with this key's signature added."""


class Decisions(Protocol):
    """The decisions of a workspace, and the overrides beside them."""

    def append(
        self,
        facts: DecisionEntry,
        make: Callable[[int, str | None], Envelope],
        *,
        path: Path | None = None,
    ) -> tuple[Path, LoggedDecision]:
        """Write what ``make`` returns for the next (serial, digest of the one before)."""

    def decisions(self, runs: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of the decisions about any of some runs, oldest first."""

    def overrides(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of every override that lies with the decisions."""

    def override_path(self, decision: Path) -> Path:
        """Return where the next override of a decision is written."""


class Checks(Protocol):
    """The checks of a workspace."""

    def path(self, name: str) -> Path:
        """Return where the check of a name is."""

    def read(self, name: str, files: Mapping[str, Path]) -> tuple[str, bytes] | None:
        """Return (file name, bytes) of a check, from ``files`` where it is named there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningPorts:
    """What keeping and signing needs; ``keys`` gives the trusted ones, ``signer`` a private one."""

    decisions: Decisions
    checks: Checks
    runs: RunStore
    keys: Callable[[], tuple[TrustedKey, ...]]
    signer: Callable[[Path], Signer]
    clock: Clock
    tool_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that is safe on disk at ``path``."""

    decision: GateDecision
    path: Path


def decide_and_write(options: GateOptions, gate: GatePorts, ports: SigningPorts) -> Decided:
    """Judge runs by a policy and write the decision with its evidence, under the next serial.

    It is on disk before this returns, signed where a key is named. Raises InvalidInput, UsageError,
    StorageFailed.
    """
    judged = judge_runs(options, gate)
    policies = (judged.policy, *judged.policies.values())
    documents = {policy.name: policy.document for policy in policies}
    decision = replace(
        judged.decision,
        policy=replace(judged.decision.policy, documents=documents),
        created=gate.now,
        expires=after(gate.now, judged.policy.valid_for_s),
        tool_version=ports.tool_version,
        overrides=overrides_of(ports, judged.decision),
        evidence=DecisionEvidence(parts=tuple(_evidence(judged)), method=METHOD),
    )
    path, written = write_decision(ports, decision, path=options.decision, key=options.sign)
    return Decided(decision=written, path=path)


def _evidence(judged: JudgedRuns) -> Iterator[PartEvidence]:
    """Yield what others need to recompute each part of a decision."""
    for name, evidence in judged.evidence.items():
        sides: tuple[tuple[Against, Compared | None], ...] = (
            ("baseline", evidence.baseline),
            ("anchor", evidence.anchor),
        )
        yield decision_evidence(
            judged.policies[name].rules,
            part=name or None,
            rates=evidence.rates,
            timings=evidence.timings,
            utterances=evidence.utterances,
            compared={side: run for side, run in sides if run is not None},
        )


def write_decision(
    ports: SigningPorts,
    decision: GateDecision,
    *,
    path: Path | None = None,
    key: Path | None = None,
) -> tuple[Path, GateDecision]:
    """Give a decision its serial, sign it where there is a key, write it and return it.

    The key is read first: a decision that cannot be signed as asked is not written at all.
    """
    signer = None if key is None else ports.signer(key)

    def make(serial: int, previous: str | None) -> Envelope:
        numbered = replace(decision, serial=serial, previous=previous)
        envelope = Envelope(payload=render_statement(numbered))
        return envelope if signer is None else signer.sign(envelope)

    facts = DecisionEntry(
        policy=decision.policy.name,
        run=decision.parts[0].candidate.run if decision.parts else "none",
        verdict=str(decision.verdict),
        created=decision.created,
    )
    written, entry = ports.decisions.append(facts, make, path=path)
    return written, replace(decision, serial=entry.serial, previous=entry.previous)


def statement_file(content: Content, signer: Signer | None) -> bytes:
    """Return the file of a statement, signed where there is a key."""
    envelope = Envelope(payload=render_statement(content))
    return render_envelope(envelope if signer is None else signer.sign(envelope))


def overrides_of(ports: SigningPorts, decision: GateDecision) -> tuple[Override, ...]:
    """Return the overrides about the candidates of a decision; see :func:`overrides_about`."""
    candidates = [part.candidate for part in decision.parts]
    digests = [digest for run in candidates for digest in (run.artifact, run.candidate)]
    return overrides_about(ports, [run.run for run in candidates], digests)


def overrides_of_run(ports: SigningPorts, report: EvalReport) -> tuple[Override, ...]:
    """Return every override about a run or its candidate: each later report shows them."""
    digests = (report.candidate.digest, report.candidate.artifact)
    return overrides_about(ports, [report.run], digests)


def overrides_about(
    ports: SigningPorts, runs: Iterable[str], digests: Iterable[str | None] = ()
) -> tuple[Override, ...]:
    """Return every override about some runs or candidates, expired ones too, oldest first.

    ``key`` is None where no trusted key has signed it, or the file is not what was signed: such a
    one allows nothing, and is shown so that nobody takes it for one that does. What is no override
    at all is passed over.
    """
    keys = ports.keys()
    named_runs, subjects = set(runs), set(digests)
    overrides = []
    for name, data in ports.decisions.overrides():
        try:
            envelope = parse_envelope(data, source=name)
            override = parse_content(envelope.payload, Override, source=name)
        except InvalidInput:
            continue
        if named_runs & set(override.decision.runs) or subjects & set(override.subjects):
            signers, problems = signed_by(envelope, keys)
            good = signers and not problems
            overrides.append(replace(override, key=signers[0] if good else None))
    return tuple(sorted(overrides, key=lambda override: override.created))


def read_decision(path: Path) -> GateDecision:
    """Return the decision in a file, for showing it; raises InvalidInput.

    Its signatures are not looked at: ``relkit verify`` does that.
    """
    data = storage.read_bytes(path, what=path.name, hint="make one: relkit gate POLICY …")
    return _decision(data, path.name)


def decision_about(ports: SigningPorts, run: str, path: Path | None) -> GateDecision | None:
    """Return the decision in a file, or the newest about a run; None where there is none.

    Raises InvalidInput where the file is about another run.
    """
    if path is None:
        newest = None
        for name, data in ports.decisions.decisions(frozenset({run})):
            newest = _decision(data, name)
        return newest
    decision = read_decision(path)
    judged = [part.candidate.run for part in decision.parts]
    if run not in judged:
        raise InvalidInput(
            f"{path.name}: is a decision about {', '.join(judged) or 'no run'}, not about {run}",
            hint="name the decision of this run, or the run of this decision",
        )
    return decision


def _decision(data: bytes, source: str) -> GateDecision:
    return parse_content(parse_envelope(data, source=source).payload, GateDecision, source=source)


def read_checks(
    ports: SigningPorts, names: Iterable[str], named: Mapping[str, Path]
) -> dict[str, CheckRecord | str]:
    """Return the record of each name, or why there is none that can be used.

    ``named`` maps names to files; the others are looked for in the workspace. A name that has no
    file is left out.
    """
    keys = ports.keys()
    records: dict[str, CheckRecord | str] = {}
    for name in names:
        file = ports.checks.read(name, named)
        if file is not None:
            source, data = file
            records[name] = read_check(name, data, keys, source=source)
    return records


def verify_file(
    path: Path, options: VerifyOptions, keys: Sequence[TrustedKey], *, now: str
) -> Verification:
    """Return what is wrong with a signed file; raises InvalidInput where it cannot be read."""
    data = storage.read_bytes(path, what=path.name)
    return verify(data, keys, now=now, options=options, source=path.name)


def override(options: OverrideOptions, ports: SigningPorts) -> tuple[Path, Override]:
    """Write a signed override of a decision; see :func:`.exceptions.plan_override`.

    The signing key is one of those that may have signed the decision.
    """
    signer = ports.signer(options.sign)
    now = ports.clock.now()
    keys = (*ports.keys(), signer.public)
    verification = verify_file(options.decision, VerifyOptions(unsigned=True), keys, now=now)
    planned, payload = plan_override(
        verification, options, now=now, tool_version=ports.tool_version
    )
    path = options.output or ports.decisions.override_path(options.decision)
    storage.write_bytes(path, render_envelope(signer.sign(Envelope(payload=payload))))
    return path, replace(planned, key=signer.public.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveOptions:
    """The name of a check, or the JSON record of another tool, and what is said of it.

    ``by`` None: the key; ``candidate`` a run that it is only about. ``valid_for_s`` None: a day, or
    as long as the record says. Without ``output`` it goes to the workspace's checks.
    """

    check: str
    sign: Path
    by: str | None = None
    reason: str | None = None
    candidate: str | None = None
    verdict: str | None = None
    valid_for_s: float | None = None
    output: Path | None = None


def approve(options: ApproveOptions, ports: SigningPorts) -> tuple[Path, CheckRecord]:
    """Sign a check and write it; see :func:`relkit.attestation.exceptions.plan_approval`.

    Raises UsageError where the record of another tool would be changed.
    """
    if options.check.endswith(".json"):
        record, valid_for_s = _record_of_another_tool(options), options.valid_for_s
    else:
        record, valid_for_s = _new_check(options, ports), options.valid_for_s or _DAY_S
    signer = ports.signer(options.sign)
    check = plan_approval(record, now=ports.clock.now(), valid_for_s=valid_for_s)
    envelope = Envelope(payload=render_statement(check))
    path = options.output or ports.checks.path(check.name)
    storage.write_bytes(path, render_envelope(signer.sign(envelope)))
    return path, replace(check, digest=envelope.digest, key=signer.public.key)


def _record_of_another_tool(options: ApproveOptions) -> CheckRecord:
    changes = {
        "--by": options.by,
        "--reason": options.reason,
        "--candidate": options.candidate,
        "--verdict": options.verdict,
    }
    for option, value in changes.items():
        if value:
            raise UsageError(
                f"{option} cannot change the record of another tool",
                hint="sign it as it is, or approve under a name of your own",
            )
    path = Path(options.check)
    return parse_check(storage.read_bytes(path, what=path.name), source=path.name)


def _new_check(options: ApproveOptions, ports: SigningPorts) -> CheckRecord:
    verdict = options.verdict or "pass"
    if verdict not in ("pass", "fail"):
        raise UsageError("--verdict: pass or fail was expected")
    by = options.by or f"key {ports.signer(options.sign).public.key[:16]}"
    candidate = None
    if options.candidate is not None:
        report = ports.runs.read_report(options.candidate)
        candidate = report.candidate.artifact or report.candidate.digest
    return new_check(
        options.check,
        verdict=verdict,
        by=by,
        reason=options.reason or f"{verdict} by {by}",
        created=ports.clock.now(),
        candidate=candidate,
    )


def auditors_verifier() -> str:
    """Return the source of the verifier that needs no relkit."""
    return (files("relkit.attestation") / "auditor.py").read_text(encoding="utf-8")
