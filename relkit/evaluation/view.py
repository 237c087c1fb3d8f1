"""Terminal tables: plain text in columns, the worst slices first."""

from collections import Counter
from collections.abc import Sequence

from relkit.conversation.types import ConversationSummary, StageTimes
from relkit.core.metrics import help_of, metric_of
from relkit.core.slices import OVERALL
from relkit.core.values import WITHIN, Estimate
from relkit.core.wording import (
    NONE,
    OPINION,
    amount,
    columns,
    count,
    counted,
    each_asked,
    interval,
    metric_name,
    number,
    safe,
    setting_change,
)
from relkit.datasets.types import FailureReason
from relkit.datasets.view import revision
from relkit.evaluation.types import (
    ChangedSetting,
    EvalReport,
    SliceResult,
    besides,
    overall,
    primary_metric,
    worst_first,
)

MOST_SLICES = 30

_NOTED_IN_PLACE = 2
"""A note that more metrics share than these stands below their table, once."""


def eval_summary(report: EvalReport) -> str:
    """Return what ``relkit eval`` prints: headline, metrics with intervals, slices, remarks."""
    version = report.dataset
    metric = primary_metric(report)
    ranked = [item for item in report.slices if item.slice != OVERALL]
    if metric is not None:
        ranked = worst_first(ranked, metric)
    head = (
        f"run {report.run}\n"
        f"suite {safe(report.suite.name)} on {safe(version.name)} ({revision(version)}), "
        f"normalizer {safe(report.normalizer.name)}\n"
        f"{each_asked(report.items, report.repeats)}"
        f"{count(report.expected)} expected, {count(report.scored)} scored: "
        f"{answered_words(report)}, {count(report.unusable)} unusable"
    )
    if (talks := report.conversations) is not None:
        head += f"\n{_conversations(talks)}"
    stages = _stages(overall(report).stages)
    parts = [head, _metrics(overall(report)), stages, _remarks(report)]
    if metric is not None:
        parts[1:1] = [_headline(overall(report), ranked, metric)]
        parts[-1:-1] = [_slices(ranked, metric, besides(report))]
    return "\n\n".join(part for part in parts if part)


def _headline(whole: SliceResult, ranked: Sequence[SliceResult], metric: str) -> str:
    """Return the metric of the ranking first, with what it means and how far its slices differ."""
    lines = [f"{metric}: {_value(whole.metrics[metric])}, {help_of(metric)}"]
    claimed = [item for item in ranked if item.metrics[metric].low is not None]
    if len(claimed) > 1:
        lines += [
            f"  {word}: {_value(item.metrics[metric])} on {safe(item.slice)}"
            for word, item in (("best slice", claimed[-1]), ("worst slice", claimed[0]))
        ]
    return "\n".join(lines)


def _value(estimate: Estimate) -> str:
    low, high, unit = estimate.low, estimate.high, estimate.unit
    ends = "" if low is None else f" ({interval(low, high, unit)})"
    return number(estimate.value, unit) + ends


def answered_words(report: EvalReport) -> str:
    """Return how many of what was scored was answered, had no answer, and failed otherwise."""
    missing = report.failure_reasons.get(FailureReason.NO_ANSWER, 0)
    failed = report.failures - missing
    words = f"{count(report.scored - report.failures)} answered"
    words += f", {count(missing)} missing" if missing else ""
    return words + (f", {counted(failed, 'failure')}" if failed or not missing else "")


def settings_line(settings: Sequence[ChangedSetting]) -> str:
    """Return the settings in which two systems differ, in a line; empty where there are none."""
    shown = ", ".join(setting_change(s.setting, s.baseline, s.candidate) for s in settings)
    return f"settings that differ: {shown}" if shown else ""


def _conversations(talks: ConversationSummary) -> str:
    """Return what was held, what latencies are measured on, and how exact the harness was."""
    pacing = ""
    if talks.pacing_p99_ms is not None:
        pacing = f", sent at most {number(talks.pacing_p99_ms, 'ms')} late (99 % of frames)"
    again = f", {count(talks.held_again)} held a second time" if talks.held_again else ""
    return (
        f"{counted(talks.held, 'conversation')} with {counted(talks.turns, 'turn')}, "
        f"{count(talks.censored_turns)} without time for an answer{again}\n"
        f"times are those of the {talks.source}{pacing}"
    )


def _metrics(item: SliceResult) -> str:
    """Return the metrics in a table; a note that several share stands once, below it.

    Stages have a table of their own.
    """
    metrics = {
        name: e
        for name, e in item.metrics.items()
        if item.stages is None or not name.startswith("stage_ms.")
    }
    repeated = Counter(e.note for e in metrics.values() if e.note is not None)
    below = [note for note, total in repeated.items() if total > _NOTED_IN_PLACE]
    marks = {note: f"[{i}]" for i, note in enumerate(below, start=1)}
    rows = [["metric", "value", "95 % interval", "n", "clusters", ""]]
    rows += [
        [
            name,
            number(e.value, e.unit),
            interval(e.low, e.high, e.unit),
            count(e.n),
            f"{count(e.clusters)} {marks.get(e.note or '', '')}".rstrip(),
            "" if e.note in marks else e.note or "",
        ]
        for name, e in metrics.items()
    ]
    notes = "".join(f"\n{mark} {note}" for note, mark in marks.items())
    return columns(rows, to_left=(0, 4, 5) if marks else (0, 5)) + notes


def _stages(times: StageTimes | None) -> str:
    """Return what a response is made of; empty where its stages were not measured."""
    if times is None:
        return ""
    rows = [["stage of a response", "mean", "p50", "p95"]]
    rows += [
        [stage, number(time.mean, "ms"), number(time.p50, "ms"), number(time.p95, "ms")]
        for stage, time in times.measured.items()
    ]
    if times.sum_ms is not None:
        rows.append(["sum, in a mean turn", number(times.sum_ms, "ms"), "", ""])
    return columns(rows, to_left=(0,))


def _slices(ranked: Sequence[SliceResult], metric: str, beside: Sequence[str]) -> str:
    """Return the slices by the metric they are ranked by, and beside it those of other kinds."""
    if not ranked:
        return ""
    caption = " and ".join([f"{metric} by slice", *(metric_name(name) for name in beside)])
    labels = ["MOS" if metric_of(name).unit == OPINION else "latency" for name in beside]
    rows = [["slice, worst first", "value", "95 % interval", *(labels or ["n"]), "clusters"]]
    for item in ranked[:MOST_SLICES]:
        e = item.metrics[metric]
        measured = (item.metrics.get(name) for name in beside)
        others = [NONE if o is None else number(o.value, o.unit) for o in measured]
        rows.append(
            [
                safe(item.slice),
                number(e.value, e.unit),
                interval(e.low, e.high, e.unit),
                *(others or [count(item.utterances)]),  # a line holds 80 characters
                f"{count(item.clusters)} {_mark(e)}".rstrip(),
            ]
        )
    hidden = len(ranked) - MOST_SLICES
    more = f"\n… and {hidden} more in the report" if hidden > 0 else ""
    table = columns(rows, to_left=(0, -1))
    return f"{caption}\n{table}{more}{_notes(ranked[:MOST_SLICES], metric)}"


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
    lines = [step.sentence for step in report.masking if step.hidden]
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
