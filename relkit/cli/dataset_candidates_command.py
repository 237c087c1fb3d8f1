"""``relkit dataset candidates``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.domain.candidates import ReviewCandidate, ReviewList

_SHOWN = 0.005
"""The least signal that two digits show."""


def command(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="The run to review; more: other systems' runs."),
    ],
    *,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="RUN", help="Find slices worse than here.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="List at most so many.")
    ] = 50,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write a CSV table.")
    ] = None,
    common: Common,
) -> None:
    """Rank the utterances of a run for human review; ids only.

    Revoked consent keeps an utterance out; unknown consent, too, where the dataset requires it.
    Example: relkit dataset candidates 20260131 --limit 20
    """
    from relkit import storage, wiring
    from relkit.cli.output import print_json, put, say
    from relkit.records.review_lists import review_csv, review_document
    from relkit.wiring.candidates import review_candidates

    settings = wiring.settings(common.start)
    found = review_candidates(settings, tuple(runs), baseline=baseline, limit=limit)
    if output is not None:
        storage.write_text(output, review_csv(found))
        say(f"wrote {output.name}", quiet=common.quiet)
    if common.as_json:
        print_json(review_document(found))
    elif output is None or not common.quiet:
        put(_table(found))


def _table(found: ReviewList) -> str:
    from relkit.cli.output import safe
    from relkit.cli.tables import columns

    withheld = "".join(f", {count} withheld: {why}" for why, count in found.withheld.items())
    head = (
        f"{found.flagged} of {found.considered} utterances of {found.dataset} to review{withheld}"
    )
    lines = [safe(head), *(safe(note) for note in found.notes)]
    if found.candidates:
        rows = [["id", "score", "slice", "why"]]
        rows += [
            [safe(one.id), f"{one.score:.3f}", safe(one.slice), _why(one)]
            for one in found.candidates
        ]
        lines += ["", columns(rows, left=(0, 2, 3))]
    return "\n".join(lines)


def _why(one: ReviewCandidate) -> str:
    from relkit.rules.candidates import WEIGHTS

    values = {name: getattr(one.signals, name) or 0.0 for name in WEIGHTS}
    strongest = sorted(values, key=lambda name: -WEIGHTS[name] * values[name])
    return ", ".join(f"{name} {values[name]:.2f}" for name in strongest if values[name] >= _SHOWN)
