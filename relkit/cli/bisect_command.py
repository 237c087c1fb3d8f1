"""``relkit bisect``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from relkit.cli.common import Common
from relkit.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from relkit.domain.bisections import Bisection

_EXIT = {
    "found": ExitCode.OK,
    "set": ExitCode.INCONCLUSIVE,
    "contradiction": ExitCode.FAILED,
    "no_bad": ExitCode.FAILED,
    "no_good": ExitCode.FAILED,
    "no_data": ExitCode.NO_DATA,
}


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model with a ledger.")],
    *,
    good: Annotated[
        str | None,
        typer.Option(
            "--good",
            metavar="V",
            help="A good release; default: the newest before that passed and held all traffic.",
        ),
    ] = None,
    bad: Annotated[
        str | None,
        typer.Option("--bad", metavar="V", help="A bad release; default: what is live."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="CMD", help="Test with a command: 0 good, 125 skip, 1 bad."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="Read a metric from stored reports."),
    ] = None,
    slice_: Annotated[
        str | None, typer.Option("--slice", metavar="COL=VALUE", help="The failing slice.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", min=0.01, help="Seconds a command may take."),
    ] = None,
    on_timeout: Annotated[
        Literal["abort", "skip", "bad"],
        typer.Option("--on-timeout", help="What a command that takes too long means."),
    ] = "abort",
    check_bounds: Annotated[
        bool, typer.Option("--check-bounds", help="Test the named good and bad releases, too.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Keep answers here; the same again goes on."),
    ] = None,
    common: Common,
) -> None:
    """Find the first bad release, or the set that cannot be told apart.

    Example: relkit bisect assistant-asr --good 1.2.0 --run "./check-release"
    """
    from relkit import wiring
    from relkit.cli.output import print_json, put, say
    from relkit.records.bisect_documents import bisect_document
    from relkit.wiring import bisecting

    settings = wiring.settings(common.start)
    if (run is None) == (metric is None):
        raise UsageError("needs --run or --metric, and not both", hint="see: relkit bisect --help")
    if run is not None:
        found = bisecting.bisect_by_command(
            settings,
            model,
            run,
            good=good,
            bad=bad,
            slice_=slice_,
            timeout_s=timeout,
            on_timeout=on_timeout,
            check_bounds=check_bounds,
            log=log,
            tell=lambda text: say(text, quiet=common.quiet),
        )
    else:
        if timeout is not None or check_bounds or log is not None or on_timeout != "abort":
            raise UsageError(
                "--timeout, --on-timeout, --check-bounds and --log are for --run",
                hint="leave them out with --metric",
            )
        found = bisecting.bisect_by_metric(
            settings, model, str(metric), good=good, bad=bad, slice_=slice_
        )
    if common.as_json:
        print_json(bisect_document(found))
    else:
        put(_text(found))
    if _EXIT[found.status] != ExitCode.OK:
        raise typer.Exit(_EXIT[found.status])


_HEAD = {
    "contradiction": "contradiction: no one first bad release",
    "no_bad": "no first bad release: nothing bad was found",
    "no_good": "no first bad release: nothing good was found",
    "no_data": "no data: too few releases have the metric",
}


def _text(found: "Bisection") -> str:
    from relkit.cli.output import safe

    head = _HEAD.get(found.status)
    if head is None and found.first_bad is not None:
        head = f"{found.first_bad} is the first bad release of {found.model}"
    lines = [head or f"the first bad release of {found.model} is one of these:"]
    if found.first_bad is None:
        lines += [f"  {version}" for version in found.candidates]
    lines += [f"  bad, though a later one is good: {one}" for one in found.bad_before]
    lines += [f"  good, though an earlier one is bad: {one}" for one in found.good_after]
    lines += [f"  {reason}" for reason in found.reasons]
    lines += [f"  skipped: {version}: {why}" for version, why in found.skipped.items()]
    noun = "tested" if found.by == "command" else "measured"
    again = f", {found.replayed} from the log" if found.replayed else ""
    lines.append(f"{found.steps} releases {noun}{again}")
    return "\n".join(safe(line) for line in lines)
