"""``relkit safety``: what other tools say about an agent, and abuse of it in live traffic."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import GitHub, Junit, Now, TurnMap, Turns, Until, conclude
from relkit.core.errors import UsageError


class Tool(StrEnum):
    """Whose results are imported."""

    GARAK = "garak"
    PROMPTFOO = "promptfoo"
    SCORES = "scores"
    VOICES = "voices"


def import_(
    tool: Annotated[
        Tool, typer.Argument(metavar="TOOL", help="garak, promptfoo, scores or voices.")
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the tool wrote.")],
    *,
    suite: Annotated[
        str, typer.Option("--suite", metavar="NAME", help="The suite whose run it becomes.")
    ],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Of scores: speaker and label of each trial."),
    ] = None,
    common: Common,
) -> None:
    """Take the results of another tool as a run, which a gate can judge.

    What the tool did not judge lowers the coverage of the run. No text is kept.

    Exits 0 once the run is written, whatever the metrics are; 4 if nothing was judged.
    Example: relkit safety import garak garak.report.jsonl --suite voice-agent
    """
    from relkit.cli.evaluate import show_run
    from relkit.wiring import safety as wiring

    if key is not None and tool is not Tool.SCORES:
        raise UsageError("--key belongs to scores", hint="leave it out")
    result = wiring.import_results(common.open(), tool.value, file, suite=suite, key=key)
    show_run(result, common)


def voices(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The list of voices, such as voices.yaml.")
    ],
    *,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Say whether every cloned voice has consent today.

    The record is a check, voice-consent, that a gate can require. No voice is named.

    Exit code 0: every one, 1: one has none.
    Example: relkit safety voices voices.yaml
    """
    from relkit.monitoring.consent import consent_finding, consent_text
    from relkit.wiring import safety as wiring
    from relkit.wiring.stores import workspace_if_any
    from relkit.wiring.telemetry import as_of

    report, digest = wiring.consent(file, now=as_of(now))
    conclude(
        consent_finding(report, digest),
        workspace_if_any(common.start),
        common,
        text=lambda _: consent_text(report),
        junit=junit,
        github=github,
    )


def abuse(
    *,
    telemetry: Turns,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Search from here; default: the last 24 h."),
    ] = None,
    until: Until = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Classes of tenants, measures, windows."),
    ] = None,
    map_: TurnMap = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Say whether a class of tenants does far more than at these hours before.

    Turns, cost and refusals of each class, against its own hours. Tenants are never named.

    Exit code 0: nothing, 1: a spike, 4: no data.
    Example: relkit safety abuse --telemetry traffic --policy abuse.yaml
    """
    from relkit.incident.abuse_view import abuse_finding, abuse_text
    from relkit.wiring import safety as wiring
    from relkit.wiring.stores import workspace_if_any
    from relkit.wiring.telemetry import as_of

    workspace = workspace_if_any(common.start)
    at = as_of(now)
    report = wiring.abuse(
        workspace,
        telemetry,
        policy=policy,
        since=since,
        until=until,
        mapping=map_ or (),
        now=at,
    )
    conclude(
        abuse_finding(report, created=at),
        workspace,
        common,
        text=lambda _: abuse_text(report),
        junit=junit,
        github=github,
    )
