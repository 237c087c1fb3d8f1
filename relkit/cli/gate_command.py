"""``relkit gate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, say
from relkit.domain.errors import ExitCode, UsageError
from relkit.domain.gates import GateDecision, Verdict

if TYPE_CHECKING:
    from relkit.config import Settings

EXIT_CODES = {
    Verdict.PASS: ExitCode.OK,
    Verdict.FAIL: ExitCode.FAILED,
    Verdict.ERROR: ExitCode.INVALID,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Verdict.NO_DATA: ExitCode.NO_DATA,
}
"""How each verdict ends the command (rules.md section 1)."""


def command(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name, or a path.")],
    *,
    candidate: Annotated[
        list[str] | None,
        typer.Option("--candidate", metavar="RUN", help="The run to judge; PART=RUN for parts."),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="RUN", help="What it is compared with."),
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", metavar="RUN", help="An older run that margins also hold for."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="NAME=FILE", help="The record of a required check."),
    ] = None,
    decision: Annotated[
        Path | None, typer.Option("--decision", metavar="FILE", help="Where the decision goes.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="Sign it with this private key.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, too.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Write GitHub's step summary and annotations.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what each rule can decide; decide nothing.")
    ] = False,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="The dataset to plan on.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="SUITE", help="The suite to plan for.")
    ] = None,
    common: Common,
) -> None:
    """Decide whether a candidate may be promoted, and why.

    Example: relkit gate asr-promotion --candidate 20260131T12 --baseline 20260130T09
    """
    from relkit import wiring

    settings = wiring.settings(common.start)
    if plan:
        _only(decision is None and sign is None, "--plan decides nothing, so it writes nothing")
        _plan(settings, policy, candidate, baseline, dataset, suite, common)
        return
    _only(dataset is None and suite is None, "--dataset and --suite belong to --plan")
    _gate(
        settings,
        policy,
        runs=(candidate or [], baseline or [], anchor or []),
        checks=check or [],
        decision=decision,
        sign=sign,
        junit=junit,
        github=github,
        common=common,
    )


def _only(allowed: bool, message: str) -> None:
    if not allowed:
        raise UsageError(message, hint="see: relkit gate --help")


def _plan(
    settings: "Settings",
    policy: str,
    candidate: list[str] | None,
    baseline: list[str] | None,
    dataset: str | None,
    suite: str | None,
    common: Common,
) -> None:
    from relkit.cli.gate_plan import plan_summary
    from relkit.records.plans import plan_document
    from relkit.wiring.planning import plan_gate

    for name, given in (("--candidate", candidate), ("--baseline", baseline)):
        _only(len(given or []) <= 1, f"--plan takes one {name}")
    found = plan_gate(
        settings,
        policy,
        dataset=dataset,
        suite=suite,
        baseline=baseline[0] if baseline else None,
        candidate=candidate[0] if candidate else None,
    )
    if common.as_json:
        print_json(plan_document(found))
    else:
        put(plan_summary(found))


def _gate(
    settings: "Settings",
    policy: str,
    *,
    runs: tuple[list[str], list[str], list[str]],
    checks: list[str],
    decision: Path | None,
    sign: Path | None,
    junit: Path | None,
    github: bool,
    common: Common,
) -> None:
    """Decide, write the decision, and only then show it and leave."""
    from relkit.cli.gate_summary import gate_summary
    from relkit.records.decision_documents import decision_document
    from relkit.wiring import gate_outputs, gating

    judged = gating.gate(
        settings,
        policy,
        candidates=runs[0],
        baselines=runs[1],
        anchors=runs[2],
        checks=checks,
        sign=sign,
        decision=decision,
    )
    made = judged.decision
    overrides = judged.overrides
    for line in gate_outputs.write(made, settings, junit=junit, github=github, overrides=overrides):
        say(line)
    if common.as_json:
        print_json(decision_document(made, decision_file=judged.shown, overrides=overrides))
    else:
        put(gate_summary(made, overrides))
    signed = "" if sign is not None else " (not signed)"
    say(f"decision: {judged.shown}{signed}", quiet=common.quiet)
    raise typer.Exit(exit_code(made))


def exit_code(decision: GateDecision) -> ExitCode:
    """Return how a decision ends the command: a shadow one always lets the pipeline go on."""
    if decision.enforcement == "shadow":
        return ExitCode.OK
    return EXIT_CODES[decision.verdict]
