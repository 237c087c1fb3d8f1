"""``relkit cost`` and ``relkit cost prices``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.live import GitHub, Junit, Now, conclude
from relkit.cli.output import put, result_is_stored, say, show
from relkit.core.errors import ExitCode, UsageError


def cost(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name, or a path.")],
    *,
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="PATH…", help="Turns of what is served now."),
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option("--candidate", metavar="PATH…", help="Turns of what may replace it."),
    ] = None,
    prices: Annotated[
        list[str] | None,
        typer.Option("--prices", metavar="FILE…", help="Price tables, instead of the policy's."),
    ] = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Compare what two arms cost per call, audio minute and success.

    Example: relkit cost cost --baseline control.parquet --candidate canary.parquet
    """
    from relkit.monitoring.cost.run import cost_finding
    from relkit.monitoring.cost.types import CostOptions
    from relkit.monitoring.cost.view import cost_text
    from relkit.wiring import monitoring as wiring
    from relkit.wiring.telemetry import as_of

    workspace = common.open()
    for name, paths in (("--baseline", baseline), ("--candidate", candidate)):
        if not paths:
            raise UsageError(f"needs {name}", hint="see: relkit cost --help")
    options = CostOptions(
        policy=policy,
        baseline=tuple(baseline or ()),
        candidate=tuple(candidate or ()),
        prices=tuple(prices or ()),
        now=as_of(now),
    )
    report = wiring.compare_costs(workspace, options)
    conclude(
        cost_finding(report, options.now),
        workspace,
        common,
        text=lambda _: cost_text(report),
        junit=junit,
        github=github,
    )


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A price table.")],
    *,
    common: Common,
) -> None:
    """Check a price table: its prices, days and currency.

    Prices that look wrong (swapped, per million, all 0) end it with exit code 1.
    Example: relkit cost prices check prices/2026-11.yaml
    """
    from relkit.monitoring.cost.run import check_prices
    from relkit.monitoring.cost.view import checked_text
    from relkit.wiring import monitoring as wiring

    checked = check_prices(wiring.read_prices(str(file)))
    show(checked, common, text=checked_text)
    if checked.suspicions:
        raise typer.Exit(ExitCode.FAILED)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A price map in JSON.")],
    *,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the price table here.")
    ] = None,
    format_: Annotated[
        Literal["litellm", "langfuse"] | None,
        typer.Option("--format", help="Whose map it is (default: as its shape says)."),
    ] = None,
    currency: Annotated[
        str, typer.Option("--currency", metavar="CODE", help="What its prices are in.")
    ] = "USD",
    models: Annotated[
        list[str] | None,
        typer.Option("--models", metavar="NAME…", help="Take these models alone."),
    ] = None,
    valid_from: Annotated[
        str | None,
        typer.Option("--valid-from", metavar="DAY", help="The first day (default: today)."),
    ] = None,
    common: Common,
) -> None:
    """Make a price table from the price map of LiteLLM or Langfuse.

    What has no unit here is listed and not guessed. Without --to the table goes to stdout.
    Example: relkit cost prices import model_prices.json --to prices/litellm.yaml
    """
    from relkit.monitoring.cost.price_files import render_prices
    from relkit.monitoring.cost.view import price_import_text
    from relkit.wiring import monitoring as wiring

    imported = wiring.import_prices(
        file, format_=format_, currency=currency, models=tuple(models or ()), valid_from=valid_from
    )
    table = render_prices(imported.table, comment=f"From a price map of {imported.format}.")
    if to is not None:
        wiring.write_prices(to, table)
        result_is_stored()
    if common.as_json or to is not None:
        show(imported, common, text=price_import_text)
        return
    put(table)
    say(price_import_text(imported), quiet=common.quiet)
