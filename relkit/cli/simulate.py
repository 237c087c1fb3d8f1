"""``relkit simulate telemetry`` and ``relkit simulate incident``."""

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


def incident(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="The kind of incident; see --list.")
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A new or empty folder for the incident."),
    ] = None,
    turns_per_hour: Annotated[
        float,
        typer.Option("--turns-per-hour", metavar="N", min=1, help="Mean over a week."),
    ] = 800.0,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Another seed, other traffic.")
    ] = 0,
    list_: Annotated[bool, typer.Option("--list", help="Show the kinds, and no more.")] = False,
    common: Common,
) -> None:
    """Write an incident with its answer: telemetry, ledgers, events elsewhere.

    Eight days of traffic; the incident is in the last two. The same seed gives the same files.
    Example: relkit simulate incident noise --out incident
    """
    from relkit.incident.simulation import kinds
    from relkit.incident.simulation.view import incident_text, kind_right, kinds_text
    from relkit.wiring.simulation import simulate_incident

    if list_:
        show(
            tuple(kinds.INCIDENT_KINDS.values()),
            common,
            text=kinds_text,
            document=lambda every: {
                "kinds": [
                    {
                        "name": kind_.name,
                        "description": kind_.description,
                        "right": kind_right(kind_),
                    }
                    for kind_ in every
                ]
            },
        )
        return
    if kind is None or out is None:
        raise UsageError(
            "needs KIND and --out", hint="see the kinds: relkit simulate incident --list"
        )
    plan = kinds.incident(kind, seed=seed, turns_per_hour=turns_per_hour)
    with progress_bar("hours", quiet=common.quiet) as progress:
        written = simulate_incident(out, plan, progress)
    result_is_stored()
    show(written, common, text=lambda result: incident_text(result, out.name))
