"""Builds what a gate judges with, what it plans with, and what others read of a decision."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core import storage
from relkit.core.config import Workspace
from relkit.core.errors import InvalidInput, UsageError
from relkit.gate.types import (
    WHOLE,
    Against,
    DecisionEvidence,
    GateDecision,
    GatePolicy,
    GateRequest,
)
from relkit.wiring.stores import (
    dataset_files,
    decision_files,
    policy_files,
    run_folders,
    suite_files,
)

if TYPE_CHECKING:
    from relkit.evaluation.types import EvalReport
    from relkit.gate.plan_run import PlanOptions
    from relkit.gate.run import Judged
    from relkit.gate.types import GatePlan, Override


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that is safe on disk: at ``path``, ``shown`` without a folder of the machine."""

    decision: GateDecision
    path: Path
    shown: str


def gate(
    workspace: Workspace,
    policy: str,
    *,
    candidates: Sequence[str],
    baselines: Sequence[str] = (),
    anchors: Sequence[str] = (),
    checks: Sequence[str] = (),
    sign: Path | None = None,
    decision: Path | None = None,
) -> Decided:
    """Judge runs by a policy and write the decision; see :func:`relkit.gate.run.gate`.

    Runs are given as ``RUN``, or ``PART=RUN`` for a policy with parts; checks as ``NAME=FILE``. A
    decision file is on disk before this returns. Raises InvalidInput, UsageError, StorageFailed.
    """
    from relkit.adapters.duckdb.results import DuckDBPairs, DuckDBSlices
    from relkit.adapters.workspace import SystemClock
    from relkit.gate.collect import GatePorts
    from relkit.gate.run import gate as judge
    from relkit.wiring.signing import read_checks

    found, parts = policy_files(workspace).read(policy)
    request = GateRequest(
        candidates=_by_part(candidates, parts, "--candidate"),
        baselines=_by_part(baselines, parts, "--baseline"),
        anchors=_by_part(anchors, parts, "--anchor"),
    )
    if not request.candidates:
        raise UsageError("--candidate is missing", hint="name the run to judge: --candidate RUN")
    given = _named_files(checks)
    now = SystemClock().now()
    ports = GatePorts(
        runs=run_folders(workspace),
        aggregators=DuckDBSlices,
        pairs=DuckDBPairs,
        records=lambda wanted: read_checks(workspace, [need.name for need in wanted], given),
        now=now,
    )
    judged = judge(found, parts, request, ports)
    return _keep(workspace, found, judged, now=now, sign=sign, path=decision)


def _by_part(given: Sequence[str], parts: Mapping[str, GatePolicy], option: str) -> dict[str, str]:
    """Return runs by part; raises UsageError where one is named twice or names no part."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, run = text.partition("=")
        if not parts:
            name, run = WHOLE, text
        elif not sign or not run:
            hint = f"for example {option} {next(iter(parts))}=RUN"
            raise UsageError(f"{option} needs PART=RUN: the policy has parts", hint=hint)
        if name in found:
            raise UsageError(f"{option} names {name or 'a run'} twice", hint="name one run")
        found[name] = run
    return found


def _named_files(given: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not sign or not name or not path or name in found:
            hint = "for example --check load-test=load-test.json"
            raise UsageError("--check takes NAME=FILE, each name once", hint=hint)
        found[name] = Path(path)
    return found


def _keep(
    workspace: Workspace,
    policy: GatePolicy,
    judged: "Judged",
    *,
    now: str,
    sign: Path | None,
    path: Path | None,
) -> Decided:
    """Write the decision with its evidence, signed where a key is given, under the next serial."""
    from relkit.adapters.workspace import versions
    from relkit.core.values import after
    from relkit.wiring.signing import overrides_of, write_decision

    read = (policy, *judged.policies.values())
    decision = replace(
        judged.decision,
        policy=replace(judged.decision.policy, documents={one.name: one.document for one in read}),
        created=now,
        expires=after(now, policy.valid_for_s),
        tool_version=versions()["relkit"],
        overrides=overrides_of(workspace, judged.decision),
        evidence=_evidence(judged),
    )
    written = write_decision(workspace, decision, path=path, key=sign)
    there = written.path.absolute()
    inside = there.is_relative_to(workspace.folder)
    shown = there.relative_to(workspace.folder) if inside else Path(there.name)
    return Decided(decision=written.decision, path=written.path, shown=shown.as_posix())


def _evidence(judged: "Judged") -> DecisionEvidence:
    """Return what others need to recompute a decision."""
    from relkit.attestation.sums import decision_evidence
    from relkit.gate.evidence import Compared

    parts = []
    for name, evidence in judged.evidence.items():
        sides: tuple[tuple[Against, Compared | None], ...] = (
            ("baseline", evidence.baseline),
            ("anchor", evidence.anchor),
        )
        parts.append(
            decision_evidence(
                judged.policies[name].rules,
                part=name or None,
                rates=evidence.rates,
                timings=evidence.timings,
                utterances=evidence.utterances,
                compared={side: other for side, other in sides if other is not None},
            )
        )
    return DecisionEvidence(parts=tuple(parts))


SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file that a GitHub runner shows as the summary of a step."""


COMMENT_VARIABLE = "RELKIT_GITHUB_COMMENT"
"""Names the file that the body of a pull request comment is written to; unset: none is."""


def write(
    decision: GateDecision,
    workspace: Workspace,
    *,
    junit: Path | None = None,
    github: bool = False,
    overrides: Sequence["Override"] = (),
) -> tuple[str, ...]:
    """Write what was asked for; return the lines to print to stderr, GitHub's annotations.

    A runner reads workflow commands on stderr, too, so stdout stays free for ``--json``. With
    ``github`` the summary goes to the file of ``GITHUB_STEP_SUMMARY`` and a comment's body to that
    of ``RELKIT_GITHUB_COMMENT``, where they are set. Raises StorageFailed.
    """
    if junit is not None:
        from relkit.report.junit import decision_junit

        storage.write_bytes(junit, decision_junit(decision, overrides))
    return _github(decision, workspace, overrides) if github else ()


def _github(
    decision: GateDecision, workspace: Workspace, overrides: Sequence["Override"]
) -> tuple[str, ...]:
    from relkit.report import github as github_summary

    if target := workspace.environment.get(SUMMARY_VARIABLE):
        _append(Path(target), decision, overrides)
    if target := workspace.environment.get(COMMENT_VARIABLE):
        storage.write_text(Path(target), github_summary.comment(decision, overrides))
    return github_summary.annotations(decision, overrides)


def _append(path: Path, decision: GateDecision, overrides: Sequence["Override"]) -> None:
    """Add to a step's summary; what another command of the step wrote there takes its room."""
    from relkit.report.github import SUMMARY_BYTES, step_summary

    before = path.read_bytes() if path.is_file() else b""
    left = SUMMARY_BYTES - len(before) - 1
    page = step_summary(decision, overrides, limit=left).encode("utf-8", "replace")
    if len(page) <= left:
        storage.write_bytes(path, before + (b"\n" if before else b"") + page)


def write_report(path: Path, report: "EvalReport") -> None:
    """Write the JUnit XML of a report that no gate judged; raises StorageFailed."""
    from relkit.report.junit import report_junit

    storage.write_bytes(path, report_junit(report))


def decision_about(path: Path, run: str) -> GateDecision:
    """Return the decision in a file; raises InvalidInput where it is about another run."""
    decision = read_decision(path)
    judged = [part.candidate.run for part in decision.parts]
    if run not in judged:
        raise InvalidInput(
            f"{path.name}: is a decision about {', '.join(judged) or 'no run'}, not about {run}",
            hint="name the decision of this run, or the run of this decision",
        )
    return decision


def decision_of_run(workspace: Workspace, path: Path | None, run: str) -> GateDecision | None:
    """Return the decision in a file, or the newest one about a run; None where there is none."""
    if path is not None:
        return decision_about(path, run)
    newest = None
    for name, data in decision_files(workspace).decisions(frozenset({run})):
        newest = _decision_in(data, source=name)
    return newest


def overrides_of_run(workspace: Workspace, report: "EvalReport") -> "tuple[Override, ...]":
    """Return every override about a run or its candidate: each later report shows them."""
    from relkit.wiring.signing import overrides_for

    digests = (report.candidate_digest, report.artifact_digest)
    return overrides_for(workspace, {report.run}, [one for one in digests if one is not None])


def overrides_markdown(workspace: Workspace, report: "EvalReport") -> str:
    """Return the overrides about a run as the last section of its Markdown, empty without any."""
    from relkit.core.wording import markdown
    from relkit.gate.view import override_line

    found = overrides_of_run(workspace, report)
    if not found:
        return ""
    lines = [f"- {markdown(override_line(one))}" for one in found]
    return "\n".join(["", "## Overrides", "", *lines, ""])


def read_decision(path: Path) -> GateDecision:
    """Return the decision in a file, for showing it; raises InvalidInput.

    Its signatures are not looked at: ``relkit verify`` does that.
    """
    data = storage.read_bytes(path, what=path.name, hint="make one: relkit gate POLICY …")
    return _decision_in(data, source=path.name)


def _decision_in(data: bytes, *, source: str) -> GateDecision:
    from relkit.attestation.envelopes import parse_envelope
    from relkit.attestation.statements import parse_content

    return parse_content(parse_envelope(data, source=source).payload, GateDecision, source=source)


def plan_gate(workspace: Workspace, options: "PlanOptions") -> "GatePlan":
    """Return what a policy can decide; see :func:`relkit.gate.plan_run.plan_gate`."""
    from relkit.adapters.duckdb.results import DuckDBPairs
    from relkit.gate import plan_run as workflow

    ports = workflow.PlanPorts(
        policies=policy_files(workspace),
        suites=suite_files(workspace),
        datasets=dataset_files(workspace),
        runs=run_folders(workspace),
        pairs=DuckDBPairs,
    )
    return workflow.plan_gate(options, ports)


REFERENCE = {"asr-promotion": "demo", "tts-promotion": "speech"}
"""Policies of the reference workspace, and the suites whose data they are set for."""


def set_margins(folder: Path) -> dict[str, dict[str, float]]:
    """Write margins that its own data can decide into the policies of a workspace.

    Returns them by policy and rule. A policy or suite that is not there is passed over.
    """
    from relkit.adapters.workspace import read_workspace
    from relkit.core.codec import decode
    from relkit.gate.plan import margins
    from relkit.gate.policies import parse_policy, with_margins
    from relkit.gate.suppose import facts_of_suite

    workspace = read_workspace(folder, os.environ)
    by_policy: dict[str, dict[str, float]] = {}
    for name, suite_name in REFERENCE.items():
        path = workspace.gates / f"{name}.yaml"
        if not path.is_file() or not (workspace.suites / f"{suite_name}.yaml").is_file():
            continue
        text = decode(storage.read_bytes(path, what=path.name), source=path.name)
        policy = parse_policy(text, source=path.name)
        suite = suite_files(workspace).read(suite_name)
        dataset = dataset_files(workspace).snapshot(suite.dataset.name, rev=None).dataset
        by_policy[name] = margins(policy, facts_of_suite(dataset, suite, policy.rules))
        storage.write_text(path, with_margins(text, by_policy[name], source=path.name))
    return by_policy
