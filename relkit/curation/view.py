"""What a contract's check and a review list look like for people."""

from relkit.core.wording import columns, number, safe
from relkit.curation.review import WEIGHTS
from relkit.curation.types import ContractOutcome, Judged, ReviewCandidate, ReviewList

_SHOWN_IDS = 5

_LEAST_SHOWN = 0.005
"""The least signal that two digits show."""


def check_text(outcome: ContractOutcome) -> str:
    """Return the outcome as a table, what is broken first, and the ids below it."""
    order = ("failed", "warning", "not_checked", "passed")
    judged = sorted(outcome.expectations, key=lambda item: order.index(item.outcome))
    rows = [["", "judged", "unexpected", "expectation"]]
    rows += [_row(item) for item in judged]
    head = (
        f"{safe(outcome.dataset.name)} ({outcome.dataset.digest[:19]}): "
        f"contract {outcome.outcome}\n"
        f"{outcome.declared} declared, {outcome.loaded} loaded, {outcome.evaluated} evaluated"
    )
    parts = [
        head,
        columns(rows, to_left=(0, 3)) if outcome.expectations else "",
        _ids(judged),
    ]
    parts += [safe(text) for text in (*outcome.problems, *outcome.notes)]
    return "\n\n".join(part for part in parts if part)


def _row(item: Judged) -> list[str]:
    kind = item.type.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    of_utterances = item.column and item.table == "utterances"
    about = item.column if of_utterances else ": ".join(filter(None, (item.table, item.column)))
    kind = f"{about}: {kind}"
    values = ", ".join(f"{value} ({count})" for value, count in item.found.items())
    observed = "" if item.observed is None else f"observed {number(item.observed, 'ratio')}"
    line = f"line {item.line}" if item.line and item.outcome == "failed" else ""
    return [
        item.outcome.replace("_", " "),
        "" if item.values is None else str(item.values),
        "" if item.unexpected is None else str(item.unexpected),
        safe("; ".join(part for part in (kind, item.problem, values, observed, line) if part)),
    ]


def _ids(judged: list[Judged]) -> str:
    lines = []
    for item in judged:
        if item.outcome == "passed" or not item.ids:
            continue
        named = ", ".join(item.ids[:_SHOWN_IDS])
        more = (item.unexpected or 0) - len(item.ids[:_SHOWN_IDS])
        rest = f" … and {more} more" if more > 0 else ""
        lines.append(safe(f"{item.column}: {named}{rest}"))
    return "\n".join(lines)


def review_text(review: ReviewList) -> str:
    """Return the utterances to review as a table, what was withheld above it."""
    head = f"{review.flagged} of {review.considered} utterances of {review.dataset} to review"
    head += "".join(f", {count} withheld: {why}" for why, count in review.withheld.items())
    lines = [safe(head), *(safe(note) for note in review.notes)]
    if review.candidates:
        rows = [["id", "score", "slice", "why"]]
        rows += [
            [safe(item.id), number(item.score, "ratio"), safe(item.slice), _why(item)]
            for item in review.candidates
        ]
        lines += ["", columns(rows, to_left=(0, 2, 3))]
    return "\n".join(lines)


def _why(item: ReviewCandidate) -> str:
    values = {name: getattr(item.signals, name) or 0.0 for name in WEIGHTS}
    strongest = sorted(values, key=lambda name: -WEIGHTS[name] * values[name])
    return ", ".join(
        f"{name} {number(values[name], 'ratio')}"
        for name in strongest
        if values[name] >= _LEAST_SHOWN
    )
