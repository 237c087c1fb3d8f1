"""``relkit simulate telemetry``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.output import progress_bar, result_is_stored, seconds, show
from relkit.core.errors import UsageError


def telemetry(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A new or empty folder for the files.")
    ] = None,
    *,
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="NAME", help="The fault; see --list.")
    ] = None,
    turns: Annotated[
        int | None,
        typer.Option("--turns", metavar="N", min=1, help="About so many turns in all."),
    ] = None,
    turns_per_hour: Annotated[
        float | None,
        typer.Option(
            "--turns-per-hour", metavar="N", min=1, help="Mean over a week; default 2000."
        ),
    ] = None,
    hours: Annotated[
        int | None,
        typer.Option("--hours", metavar="N", min=1, help="Hours of traffic, a file for each."),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps",
            metavar="LIST",
            help="Share of the canary and how long: 0%:6h,1%:4h,5%:4h; default 50%.",
        ),
    ] = None,
    start: Annotated[
        str, typer.Option("--start", metavar="TIME", help="UTC time of the first hour.")
    ] = "2026-01-05T00:00:00Z",
    onset: Annotated[
        str | None,
        typer.Option("--onset", metavar="TIME", help="When the fault begins: 12h, or half-way."),
    ] = None,
    unit: Annotated[
        Literal["session", "user"],
        typer.Option("--unit", help="What the arm is drawn for."),
    ] = "session",
    format_: Annotated[
        Literal["turns", "otlp", "pipecat", "livekit", "genai", "vapi"],
        typer.Option("--format", help="The turn table, traces, or call records."),
    ] = "turns",
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Another seed, other traffic.")
    ] = 0,
    list_: Annotated[bool, typer.Option("--list", help="Show the faults, and no more.")] = False,
    common: Common,
) -> None:
    """Write turns of simulated calls with a named fault.

    --list shows the faults; the same seed gives the same files.
    Example: relkit simulate telemetry traffic --scenario harm
    """
    from relkit.telemetry.simulation import scenarios
    from relkit.telemetry.simulation.view import scenarios_text, traffic_text
    from relkit.wiring.simulation import simulate_telemetry

    if list_:
        show(
            tuple(scenarios.SCENARIOS.values()),
            common,
            text=scenarios_text,
            document=lambda every: {
                "scenarios": [
                    {
                        "name": scenario.name,
                        "description": scenario.description,
                        "expected": {k: list(v) for k, v in scenario.expected.items()},
                    }
                    for scenario in every
                ]
            },
        )
        return
    if folder is None or scenario is None:
        raise UsageError(
            "needs DIR and --scenario", hint="see the names: relkit simulate telemetry --list"
        )
    if turns is not None and turns_per_hour is not None:
        raise UsageError("--turns and --turns-per-hour exclude each other", hint="leave out one")
    plan = scenarios.rehearsal(
        scenario,
        turns=turns,
        turns_per_hour=turns_per_hour or 2000.0,
        hours=hours,
        steps=() if steps is None else scenarios.parse_steps(steps, hours),
        onset_hours=None if onset is None else seconds(onset, "--onset") / 3600,
        start=start,
        unit=unit,
        format=format_,
        seed=seed,
    )
    with progress_bar("hours", quiet=common.quiet) as progress:
        traffic = simulate_telemetry(folder, plan, progress)
    result_is_stored()
    show(traffic, common, text=lambda result: traffic_text(result, folder.name))
