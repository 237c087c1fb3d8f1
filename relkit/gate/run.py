"""``relkit gate``: a policy over finished runs, to a decision; nothing is decoded or scored."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
class Judged:
    """A decision, and by part the policy and evidence it was made from."""

    decision: GateDecision
    policies: Mapping[str, GatePolicy]
    evidence: Mapping[str, Evidence]


def gate(
    policy: GatePolicy,
    parts: Mapping[str, GatePolicy],
    request: GateRequest,
    ports: GatePorts,
) -> Judged:
    """Return the decision of a policy over runs; raises InvalidInput, UsageError.

    ``parts`` holds the policies of a launch by part, empty for a policy of rules. What is wrong
    with the runs is part of the decision; what cannot be read at all is raised.
    """
    policies = dict(parts) or {WHOLE: policy}
    _check_request(policies, request)
    results: list[RuleResult] = []
    judged: list[JudgedPart] = []
    evidence: dict[str, Evidence] = {}
    for name, own in policies.items():
        if name not in request.candidates:
            if own.rules:
                absent = finding("part_missing", Verdict.NO_DATA, f"no run was given for {name}")
                results.append(replace(absent, part=name))
            continue
        found = collect(
            own,
            request.candidates[name],
            baseline=request.baselines.get(name),
            anchor=request.anchors.get(name, own.anchor),
            ports=ports,
        )
        evidence[name] = found
        label = name or None
        results += [replace(r, part=label) for r in judge_all(own, found, now=ports.now)]
        judged.append(_part(own, label, found, request, ports))
    wanted = [*policy.requires, *(need for own in parts.values() for need in own.requires)]
    whole = replace(policy, requires=tuple(dict.fromkeys(wanted)))
    records = ports.records(whole.requires)
    digests = {digest for part in judged for digest in _digests(part.candidate)}
    results += judge_requirements(whole, records, candidates=digests, now=ports.now)
    decision = decide(
        whole,
        results,
        parts=judged,
        checks=[record for record in records.values() if isinstance(record, CheckRecord)],
    )
    return Judged(decision=decision, policies=policies, evidence=evidence)


def _check_request(policies: Mapping[str, GatePolicy], request: GateRequest) -> None:
    for option, given in (
        ("--candidate", request.candidates),
        ("--baseline", request.baselines),
        ("--anchor", request.anchors),
    ):
        unknown = [name for name in given if name not in policies]
        if unknown and WHOLE in policies:
            raise UsageError(
                f"{option} names the part {unknown[0]}, and the policy has no parts",
                hint=f"for example {option} RUN",
            )
        if unknown:
            known = ", ".join(policies)
            raise UsageError(
                f"{option} needs one of the policy's parts: {known}",
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
        suite=Named(name=report.suite, digest=report.suite_digest),
        normalizer=Named(name=report.normalizer, digest=report.normalizer_digest),
        scorer=report.scorer,
        coverage=Coverage(expected=report.expected, scored=report.scored, unusable=report.unusable),
        baseline_failures=()
        if baseline is None or baseline.pairing is None
        else baseline.pairing.baseline_failures,
        null_replay=_replayed(policy, evidence),
    )


def _replayed(policy: GatePolicy, evidence: Evidence) -> NullReplay | None:
    return None if evidence.baseline is None else replay(policy, evidence)


def _other_run(run: str | None, other: Compared | None, ports: GatePorts) -> JudgedRun | None:
    return None if run is None or other is None else _judged_run(run, other.report, ports)


def _judged_run(run: str, report: EvalReport, ports: GatePorts) -> JudgedRun:
    _, _, outputs = ports.runs.read_header(run)
    digest = outputs.get("report.json")
    if digest is None:
        raise InvalidInput(f"{report.run}: does not say what its report was")
    return JudgedRun(
        run=report.run,
        report=digest,
        candidate=report.candidate_digest,
        artifact=report.artifact_digest,
        created=report.created,
    )
