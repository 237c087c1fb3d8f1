"""``relkit gate``: a policy over finished runs, to a decision; nothing is decoded or scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import Named
from relkit.evaluation.types import EvalReport
from relkit.gate.collect import GatePorts, collect
from relkit.gate.decide import decide, finding, judge_all, judge_requirements
from relkit.gate.evidence import Compared, Evidence, replay
from relkit.gate.types import (
    WHOLE,
    CheckRecord,
    Coverage,
    GateDecision,
    GatePolicy,
    GateRequest,
    JudgedDataset,
    JudgedPart,
    JudgedRun,
    RuleResult,
    Verdict,
)
from relkit.statistics.types import NullReplay


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """The policy by name or path, and the runs: ``RUN``, or ``PART=RUN`` for one with parts.

    ``checks`` are ``NAME=FILE``. The decision goes to ``decision`` (None: below ``.relkit``) and is
    signed with the private key ``sign``.
    """

    policy: str
    candidates: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    decision: Path | None = None
    sign: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A decision with its policy, and by part the policy and evidence it was made from."""

    policy: GatePolicy
    decision: GateDecision
    policies: Mapping[str, GatePolicy]
    evidence: Mapping[str, Evidence]


def judge_runs(options: GateOptions, ports: GatePorts) -> Judged:
    """Return the decision of a policy over runs; raises InvalidInput, UsageError.

    What is wrong with the runs is part of the decision; what cannot be read at all is raised.
    """
    policy, parts = ports.policies.read(options.policy)
    policies = dict(parts) or {WHOLE: policy}
    request = _request(options, parts)
    check_files = _named_files(options.checks)
    _check_request(policies, request)
    results: list[RuleResult] = []
    judged: list[JudgedPart] = []
    evidence: dict[str, Evidence] = {}
    for name, part_policy in policies.items():
        if name not in request.candidates:
            if part_policy.rules:
                absent = finding("part_missing", Verdict.NO_DATA, f"no run was given for {name}")
                results.append(replace(absent, part=name))
            continue
        collected = collect(
            part_policy,
            request.candidates[name],
            baseline=request.baselines.get(name),
            anchor=request.anchors.get(name, part_policy.anchor),
            ports=ports,
        )
        evidence[name] = collected
        label = name or None
        results += [
            replace(r, part=label) for r in judge_all(part_policy, collected, now=ports.now)
        ]
        judged.append(_part(part_policy, label, collected, request, ports))
    required = [
        *policy.requires,
        *(need for part_policy in parts.values() for need in part_policy.requires),
    ]
    combined = replace(policy, requires=tuple(dict.fromkeys(required)))
    records = ports.records([need.name for need in combined.requires], check_files)
    digests = {digest for part in judged for digest in _digests(part.candidate)}
    results += judge_requirements(combined, records, candidates=digests, now=ports.now)
    decision = decide(
        combined,
        results,
        parts=judged,
        checks=[record for record in records.values() if isinstance(record, CheckRecord)],
    )
    return Judged(policy=policy, decision=decision, policies=policies, evidence=evidence)


def _request(options: GateOptions, parts: Mapping[str, GatePolicy]) -> GateRequest:
    request = GateRequest(
        candidates=_by_part(options.candidates, parts, "--candidate"),
        baselines=_by_part(options.baselines, parts, "--baseline"),
        anchors=_by_part(options.anchors, parts, "--anchor"),
    )
    if not request.candidates:
        raise UsageError("--candidate is missing", hint="name the run to judge: --candidate RUN")
    return request


def _by_part(runs: Sequence[str], parts: Mapping[str, GatePolicy], option: str) -> dict[str, str]:
    """Return runs by part; raises UsageError where one is named twice or names no part."""
    by_part: dict[str, str] = {}
    for text in runs:
        name, sign, run = text.partition("=")
        if not parts:
            name, run = WHOLE, text
        elif not sign or not run:
            hint = f"for example {option} {next(iter(parts))}=RUN"
            raise UsageError(f"{option} needs PART=RUN: the policy has parts", hint=hint)
        if name in by_part:
            raise UsageError(f"{option} names {name or 'a run'} twice", hint="name one run")
        by_part[name] = run
    return by_part


def _named_files(checks: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in checks:
        name, sign, path = text.partition("=")
        if not sign or not name or not path or name in files:
            hint = "for example --check load-test=load-test.json"
            raise UsageError("--check takes NAME=FILE, each name once", hint=hint)
        files[name] = Path(path)
    return files


def _check_request(policies: Mapping[str, GatePolicy], request: GateRequest) -> None:
    for option, runs in (
        ("--candidate", request.candidates),
        ("--baseline", request.baselines),
        ("--anchor", request.anchors),
    ):
        unknown = [name for name in runs if name not in policies]
        if unknown and WHOLE in policies:
            raise UsageError(
                f"{option} names the part {unknown[0]}, and the policy has no parts",
                hint=f"for example {option} RUN",
            )
        if unknown:
            names = ", ".join(policies)
            raise UsageError(
                f"{option} needs one of the policy's parts: {names}",
                hint=f"for example {option} {next(iter(policies))}=RUN",
            )


def _digests(run: JudgedRun) -> tuple[str, ...]:
    return (run.candidate,) if run.artifact is None else (run.candidate, run.artifact)


def _part(
    policy: GatePolicy, name: str | None, evidence: Evidence, request: GateRequest, ports: GatePorts
) -> JudgedPart:
    report = evidence.candidate
    part = name or WHOLE
    baseline = evidence.baseline
    return JudgedPart(
        name=name,
        policy=Named(name=policy.name, digest=policy.digest),
        candidate=_judged_run(request.candidates[part], report, ports),
        baseline=_other_run(request.baselines.get(part), baseline, ports),
        anchor=_other_run(request.anchors.get(part, policy.anchor), evidence.anchor, ports),
        dataset=JudgedDataset(
            name=report.dataset.name,
            revision=report.dataset.revision,
            digest=report.dataset.digest,
        ),
        suite=report.suite,
        normalizer=report.normalizer,
        scorer=report.scorer,
        coverage=Coverage(expected=report.expected, scored=report.scored, unusable=report.unusable),
        baseline_failures=()
        if baseline is None or baseline.pairing is None
        else baseline.pairing.baseline_failures,
        null_replay=_replayed(policy, evidence),
    )


def _replayed(policy: GatePolicy, evidence: Evidence) -> NullReplay | None:
    return None if evidence.baseline is None else replay(policy, evidence)


def _other_run(run: str | None, compared: Compared | None, ports: GatePorts) -> JudgedRun | None:
    return None if run is None or compared is None else _judged_run(run, compared.report, ports)


def _judged_run(run: str, report: EvalReport, ports: GatePorts) -> JudgedRun:
    digest = ports.runs.read_header(run).outputs.get("report.json")
    if digest is None:
        raise InvalidInput(f"{report.run}: does not say what its report was")
    return JudgedRun(
        run=report.run,
        report=digest,
        candidate=report.candidate.digest,
        artifact=report.candidate.artifact,
        created=report.created,
    )
