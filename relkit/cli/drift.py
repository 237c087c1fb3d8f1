"""``relkit drift`` and ``relkit drift profile``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.live import GitHub, Junit, Now, conclude
from relkit.cli.output import result_is_stored, say, show


def drift(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="A drift policy, by name or path.")
    ],
    *,
    reference: Annotated[
        Path,
        typer.Option("--reference", metavar="FILE", help="A profile of: relkit drift profile."),
    ],
    current: Annotated[
        list[str],
        typer.Option(
            "--current", metavar="PATH…", help="Telemetry to judge: files, folders, globs."
        ),
    ],
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="TIME", help="Judge windows of 10m, 1h, 24h."),
    ] = None,
    now: Now = None,
    junit: Junit = None,
    github: GitHub = False,
    common: Common,
) -> None:
    """Judge windows of live traffic against a frozen reference.

    Example: relkit drift inputs --reference inputs.profile.json --current today/
    """
    from relkit.monitoring.drift.run import DriftOptions
    from relkit.monitoring.drift.view import drift_finding, drift_text
    from relkit.wiring import monitoring as wiring
    from relkit.wiring.telemetry import as_of

    at = as_of(now)
    options = DriftOptions(
        policy=policy, reference=reference, current=tuple(current), window=window, now=at
    )
    workspace = common.open()
    report = wiring.drift(workspace, options)
    conclude(
        drift_finding(report, created=at),
        workspace,
        common,
        text=lambda _: drift_text(report),
        junit=junit,
        github=github,
    )


def profile(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Telemetry to freeze: files, folders, globs."),
    ],
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where the profile goes.")],
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="POLICY", help="Freeze the columns, clusters and season of it."
        ),
    ] = None,
    now: Now = None,
    common: Common,
) -> None:
    """Freeze a reference: bins, shares and counts, and no row.

    Example: relkit drift profile week/*.parquet --to inputs.profile.json --policy inputs
    """
    from relkit.monitoring.drift.run import ProfileOptions
    from relkit.monitoring.drift.view import profile_document, profile_text
    from relkit.wiring import monitoring as wiring

    options = ProfileOptions(paths=tuple(paths), to=to, policy=policy, now=now)
    frozen = wiring.drift_profile(common.open(), options)
    result_is_stored()
    show(frozen, common, text=profile_text, document=partial(profile_document, to=to.name))
    say(f"wrote {to.name}", quiet=common.quiet)
