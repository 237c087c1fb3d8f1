"""Terminal tables: plain text in columns, the worst slices first."""

from collections import Counter
from collections.abc import Sequence

from relkit.core.slices import OVERALL
from relkit.core.values import WITHIN, Estimate
from relkit.core.wording import NONE, amount, columns, count, counted, interval, number, safe
from relkit.datasets.view import revision
from relkit.evaluation.types import EvalReport, SliceResult, overall, primary_metric, worst_first

MOST_SLICES = 30


def eval_summary(report: EvalReport) -> str:
    """Return what ``relkit eval`` prints: headline, metrics with intervals, slices, remarks."""
    version = report.dataset
    head = (
        f"run {report.run}\n"
        f"suite {safe(report.suite.name)} on {safe(version.name)} ({revision(version)}), "
        f"normalizer {safe(report.normalizer.name)}\n"
        f"{count(report.expected)} expected, {count(report.scored)} scored, "
        f"{count(report.failures)} failures, {count(report.unusable)} unusable"
    )
    parts = [head, _metrics(overall(report)), _slices(report), _remarks(report)]
    return "\n\n".join(part for part in parts if part)


def _metrics(item: SliceResult) -> str:
    rows = [["metric", "value", "95 % interval", "n", "clusters", ""]]
    rows += [
        [
            name,
            number(e.value, e.unit),
            interval(e.low, e.high, e.unit),
            count(e.n),
            count(e.clusters),
            e.note or "",
        ]
        for name, e in item.metrics.items()
    ]
    return columns(rows, to_left=(0, 5))


def _slices(report: EvalReport) -> str:
    metric = primary_metric(report)
    ranked = [item for item in report.slices if item.slice != OVERALL]
    if metric is None or not ranked:
        return ""
    ranked = worst_first(ranked, metric)
    rows = [["slice, worst first", metric, "95 % interval", "utterances", "clusters", ""]]
    for item in ranked[:MOST_SLICES]:
        estimate = item.metrics[metric]
        rows.append(
            [
                safe(item.slice),
                number(estimate.value, estimate.unit),
                interval(estimate.low, estimate.high, estimate.unit),
                count(item.utterances),
                count(item.clusters),
                _mark(estimate),
            ]
        )
    hidden = len(ranked) - MOST_SLICES
    more = f"\n… and {hidden} more in the report" if hidden > 0 else ""
    return columns(rows, to_left=(0, 5)) + more + _notes(ranked[:MOST_SLICES], metric)


def _mark(estimate: Estimate) -> str:
    """Return what sets a slice apart: an interval inside one cluster, a note below the table."""
    within = [WITHIN] if estimate.method == WITHIN else []
    return " ".join([*within, *(["*"] if estimate.note else [])])


def _notes(items: Sequence[SliceResult], metric: str) -> str:
    """Return why slices have no interval, or a special one, each reason once."""
    noted = (item.metrics[metric].note for item in items)
    notes = Counter(note for note in noted if note is not None)
    return "".join(f"\n* {note} ({total} of the slices)" for note, total in notes.items())


def _remarks(report: EvalReport) -> str:
    lines = [
        f"normalizer step {safe(step.step)}: {count(step.errors_before)} word errors before, "
        f"{count(step.errors_after)} after ({count(step.hidden)} hidden)"
        for step in report.masking
    ]
    if report.entity_types:
        by_type = ", ".join(
            f"{safe(item.type)} {count(item.errors)} of {count(item.entities)}"
            for item in report.entity_types
        )
        lines.append(f"entities wrong: {by_type}")
    runaways = report.runaways
    if runaways.count == 0 and runaways.hidden_rate is not None:
        cost = NONE if runaways.hidden_wer is None else amount(runaways.hidden_wer, "fraction")
        lines.append(
            f"no runaway seen; up to {number(runaways.hidden_rate, 'fraction')} of utterances "
            f"could be one unseen, which would add {cost} to wer"
        )
    elif runaways.count:
        lines.append(
            f"{counted(runaways.count, 'runaway utterance')}, {runaways.loops} with a loop"
        )
    silent = report.hallucinations
    if silent.clips:
        rate = (
            ""
            if silent.words_per_minute is None
            else f", {number(silent.words_per_minute, 'ratio')} a minute"
        )
        lines.append(
            f"{count(silent.with_words)} of {count(silent.clips)} clips without speech got words "
            f"({count(silent.words)} words{rate})"
        )
    lines += [f"{count(total)} failed: {name}" for name, total in report.failure_reasons.items()]
    lines += [f"{count(total)} unusable: {name}" for name, total in report.unusable_reasons.items()]
    lines += [safe(note) for note in report.notes]
    return "\n".join(lines)
