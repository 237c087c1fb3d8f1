"""``relkit dataset check``."""

from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say
from relkit.cli.tables import columns
from relkit.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from relkit.domain.contracts import ContractOutcome, Judged

_SHOWN_IDS = 5


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    *,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run", metavar="RUN", help="Compare labels with what a run recognised; repeatable."
        ),
    ] = None,
    rev: Annotated[
        str | None, typer.Option("--rev", metavar="REV", help="Check it at a git revision.")
    ] = None,
    write_default: Annotated[
        bool, typer.Option("--write-default", help="Write a first contract from the data.")
    ] = False,
    common: Common,
) -> None:
    """Check a dataset against its contract.

    Exits 1 where the contract is broken. Needs Great Expectations: pip install 'relkit[contracts]'
    Example: relkit dataset check assistant-commands --run 20260131
    """
    from relkit import wiring
    from relkit.cli.progress import progress_bar
    from relkit.wiring.contracts import check_dataset
    from relkit.wiring.contracts import write_default as write

    if write_default and (run or rev):
        raise UsageError("--write-default reads the working tree alone", hint="check it afterwards")
    settings = wiring.settings(common.start)
    with progress_bar("decoding", quiet=common.quiet) as progress:
        if write_default:
            written = write(settings, name, progress=progress)
        else:
            outcome = check_dataset(settings, name, rev=rev, runs=run or (), progress=progress)
    if write_default:
        if common.as_json:
            print_json({"written": written})
        say(f"wrote {written}: read it, then relkit dataset check {name}", quiet=common.quiet)
        return
    _show(outcome, common)
    if not outcome.passed:
        raise typer.Exit(ExitCode.FAILED)


def _show(outcome: "ContractOutcome", common: Common) -> None:
    from relkit.records.contract_outcomes import outcome_document

    if common.as_json:
        print_json(outcome_document(outcome))
    else:
        put(summary(outcome))


def summary(outcome: "ContractOutcome") -> str:
    """Return the outcome as a table, what is broken first, and the ids below it."""
    order = ("failed", "warning", "not_checked", "passed")
    judged = sorted(outcome.judged, key=lambda item: order.index(item.state))
    rows = [["", "expectation", "column", "judged", "unexpected", ""]]
    rows += [_row(item) for item in judged]
    verdict = "passed" if outcome.passed else "failed"
    head = (
        f"{safe(outcome.dataset)} ({outcome.dataset_digest[:19]}): contract {verdict}\n"
        f"{outcome.declared} declared, {outcome.loaded} loaded, {outcome.evaluated} evaluated"
    )
    parts = [head, columns(rows, left=(0, 1, 2, 5)) if outcome.judged else "", _ids(judged)]
    parts += [safe(problem) for problem in outcome.problems]
    return "\n\n".join(part for part in parts if part)


def _row(item: "Judged") -> list[str]:
    wanted = item.expectation
    kind = wanted.type.removeprefix("expect_").replace("_", " ")
    found = ", ".join(f"{value} ({count})" for value, count in item.found.items())
    observed = "" if item.observed is None else f"observed {item.observed:g}"
    line = f"line {wanted.line}" if wanted.line and item.state == "failed" else ""
    return [
        item.state.replace("_", " "),
        safe(kind),
        safe(f"{wanted.table}: {wanted.column}" if wanted.column else wanted.table),
        "" if item.values is None else str(item.values),
        "" if item.unexpected is None else str(item.unexpected),
        safe("; ".join(part for part in (item.problem, found, observed, line) if part)),
    ]


def _ids(judged: "list[Judged]") -> str:
    lines = []
    for item in judged:
        if item.state == "passed" or not item.keys:
            continue
        named = ", ".join(item.keys[:_SHOWN_IDS])
        more = (item.unexpected or 0) - len(item.keys[:_SHOWN_IDS])
        rest = f" … and {more} more" if more > 0 else ""
        lines.append(safe(f"{item.expectation.column}: {named}{rest}"))
    return "\n".join(lines)
