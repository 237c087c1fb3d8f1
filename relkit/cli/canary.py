"""``relkit canary``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import GitHub, Junit, Now, TelemetryPaths, conclude
from relkit.cli.output import say, show
from relkit.core.errors import UsageError


def canary(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name, or a path.")],
    *,
    telemetry: TelemetryPaths = None,
    reference: Annotated[
        list[str] | None,
        typer.Option("--reference", metavar="PATH…", help="Control's turns before the canary."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="What was seen before, and goes on."),
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option("--merge", metavar="STATE…", help="Join states of shards into --state."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what each step can find; judge nothing.")
    ] = False,
    turns_per_hour: Annotated[
        float | None,
        typer.Option("--turns-per-hour", metavar="N", min=1.0, help="Traffic to plan for."),
    ] = None,
    decision: Annotated[
        Path | None, typer.Option("--decision", metavar="FILE", help="Write the decision.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="Sign it with this private key.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Key of ids (default: the workspace's)."),
    ] = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Judge a canary on live traffic: advance, hold or roll back.

    Exits 0 to advance, 1 to roll back, 3 to hold, 4 where there is no data.
    Example: relkit canary rollout --telemetry traces/ --state rollout.state
    """
    from relkit.canary.run import CanaryOptions, CanaryPlanOptions, MergeOptions
    from relkit.canary.view import canary_finding, canary_text, plan_text
    from relkit.wiring import canary as wiring
    from relkit.wiring.telemetry import as_of

    workspace = common.open()
    at = as_of(now)
    if plan:
        if telemetry or state is not None or merge or decision is not None:
            raise UsageError("--plan judges nothing", hint="--reference or --turns-per-hour")
        planned = CanaryPlanOptions(
            policy=policy,
            reference=tuple(reference or ()),
            turns_per_hour=turns_per_hour,
            now=at,
        )
        show(wiring.plan_canary_rollout(workspace, planned), common, text=plan_text)
        return
    if sign is not None and decision is None:
        raise UsageError("--sign signs a decision", hint="--decision FILE")
    if turns_per_hour is not None:
        raise UsageError("--turns-per-hour belongs to --plan")
    if merge:
        if state is None or telemetry or reference:
            raise UsageError(
                "--merge joins states into --state, and reads no telemetry",
                hint="relkit canary POLICY --merge A --merge B --state OUT",
            )
        merged = MergeOptions(
            policy=policy,
            states=tuple(merge),
            state=state,
            decision=decision,
            now=at,
        )
        judged = wiring.merge_canary_states(workspace, merged, key, sign)
    else:
        if not telemetry:
            raise UsageError("no telemetry was named", hint="--telemetry PATH")
        options = CanaryOptions(
            policy=policy,
            telemetry=tuple(telemetry),
            reference=tuple(reference or ()),
            state=state,
            decision=decision,
            now=at,
        )
        judged = wiring.judge_canary_telemetry(workspace, options, key, sign)
    if judged.decision_file is not None:
        say(f"decision: {judged.decision_file}", quiet=common.quiet)
    conclude(
        canary_finding(judged, at),
        workspace,
        common,
        text=lambda _: canary_text(judged),
        junit=junit,
        github=github,
    )
