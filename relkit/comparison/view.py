"""What ``relkit compare`` tells people: what got worse first, then what it costs and where."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import astuple

from relkit.comparison.findings import by_harm
from relkit.comparison.types import (
    Attribution,
    CompareReport,
    ConfusionChange,
    Finding,
    Flip,
    SegmentTest,
    SliceChange,
)
from relkit.core.metrics import SAFETY_METRICS, TURN_METRICS, metric_of, split_metric
from relkit.core.slices import OVERALL, slice_parts
from relkit.core.wording import (
    NONE,
    WordedChange,
    amount,
    change,
    clusters,
    columns,
    count,
    count_change,
    counted,
    number,
    p_value,
    safe,
    signed,
)
from relkit.evaluation.view import settings_line
from relkit.statistics.types import Difference

_ORDER = (Finding.WORSE, Finding.CANNOT_TELL, Finding.NOT_SEEN, Finding.BETTER)
_MADE_UP, _LEFT_OUT = "(made up)", "(left out)"


def compare_summary(report: CompareReport, *, top: int) -> str:
    """Return the whole text; ``top`` bounds the slices, utterances and confusions shown of each."""
    parts = [
        _head(report),
        safe(settings_line(report.settings)),
        _whole(report),
        _evidence(report, top),
        _harm(report.slices, top),
        _attribution(report.attribution),
        _flips(report, top),
        _confusions(report.confusions, top),
        _segments(report.segments),
        _timings(report),
        _cuts(report),
        "\n".join(safe(note) for note in report.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(report: CompareReport) -> str:
    voices = clusters(report.overall.clusters, report.cluster)
    return (
        f"candidate {report.candidate.run} against baseline {report.baseline.run}\n"
        f"suite {safe(report.suite)} on {safe(report.dataset)}, "
        f"normalizer {safe(report.normalizer)}; {report.metric}\n"
        f"{count(report.pairing.compared)} results compared, {safe(voices)}"
        + (f"; system {safe(report.candidate.system)}" if report.candidate.system else "")
    )


def _whole(report: CompareReport) -> str:
    item = report.overall
    note = f"\n  {safe(item.note)}" if item.note else ""
    moved = ""
    if item.worsening is not None:
        moved = f", {worded_change(item, report.metric).sentence}"
    whole = (
        f"overall: {safe(item.reason)}\n"
        f"  {number(item.baseline, item.unit)} -> {number(item.candidate, item.unit)}{moved}"
    )
    if report.metric in SAFETY_METRICS or split_metric(report.metric)[0] in TURN_METRICS:
        return f"{whole}{note}{_trade(report)}"  # no words are counted
    return (
        f"{whole}\n"
        f"  {_per_thousand(item.harm.per_thousand)} wrong words in 1,000 turns; "
        f"substitutions {count_change(item.words.substitutions)}, "
        f"deletions {count_change(item.words.deletions)}, "
        f"insertions {count_change(item.words.insertions)}{note}"
    )


_DELAY = "eot_delay_ms.p50"


def _trade(report: CompareReport) -> str:
    """Return in words what waiting longer, or less long, for the end of a turn buys."""
    delay, ends = report.timings.get(_DELAY), report.overall
    if report.metric != "false_eot_rate" or delay is None:
        return ""
    if delay.worsening is None or ends.worsening is None:
        return ""
    longer = "longer" if delay.worsening >= 0 else "less long"
    lower = "lower" if ends.worsening <= 0 else "higher"
    share = amount(abs(ends.worsening), ends.unit)
    return (
        f"\n  the trade: the candidate waits {number(abs(delay.worsening), delay.unit)} {longer} "
        f"for the end of a turn (p50), and its share of falsely ended turns is {share} {lower}"
    )


def _evidence(report: CompareReport, top: int) -> str:
    """Return the slices by evidence; p-values are adjusted for all of them."""
    if not report.slices:
        return ""
    counts = {kind: sum(item.finding is kind for item in report.slices) for kind in _ORDER}
    totals = ", ".join(f"{total} {kind.value}" for kind, total in counts.items() if total)
    rows = [["by evidence", "was", "is", "change", "95 % interval", ""]]
    rows += [
        [
            safe(item.slice),
            *change_cells(item, report.metric),
            safe(finding_words(item, report.cluster)),
        ]
        for item in report.slices[:top]
    ]
    shown = columns(rows, to_left=(0, 5))
    return f"{len(report.slices)} slices: {totals}\n{shown}{_more(len(report.slices) - top)}"


def finding_words(item: SliceChange, cluster: str) -> str:
    """Return the finding without the numbers that stand beside it, and what it rests on."""
    words = item.reason
    if item.finding in {Finding.WORSE, Finding.BETTER}:
        words = item.finding.value
        if (part := item.elsewhere) is not None:
            words += f": {number(part.share, 'fraction')} of it is in {part.slice}"
    better = item.finding is Finding.BETTER
    adjusted = item.p_better if better else item.p_adjusted
    p = "" if adjusted is None else f", p {p_value(adjusted)}"
    return f"{words} ({clusters(item.clusters, cluster)}{p})"


def _harm(slices: Sequence[SliceChange], top: int) -> str:
    """Return the slices by harm: only those that lost words."""
    ranked = [item for item in by_harm(slices) if (item.harm.of_all or 0.0) > 0]
    if not ranked:
        return ""
    title = "by harm: extra wrong words in 1,000 turns\n"
    rows = [["slice", "of the slice", "share of turns", "of all", "S D I"]]
    rows += [
        [
            safe(item.slice),
            _per_thousand(item.harm.per_thousand),
            number(item.harm.share, "fraction"),
            _per_thousand(item.harm.of_all),
            " ".join(count_change(value) for value in astuple(item.words)),
        ]
        for item in ranked[:top]
    ]
    return title + columns(rows) + _more(len(ranked) - top)


def _attribution(attribution: Attribution | None) -> str:
    if attribution is None:
        return ""
    of = "the regression" + ("" if attribution.of == OVERALL else f" of {safe(attribution.of)}")
    if attribution.slice == attribution.of:
        return (
            f"{of} is spread out: no slice or crossing of two inside it explains it with less data"
        )
    return (
        f"most of {of} is in {safe(attribution.slice)}: "
        f"{number(attribution.share, 'fraction')} of the extra errors "
        f"with {number(attribution.data, 'fraction')} of the data "
        f"({counted(attribution.utterances, 'utterance')})"
    )


def _flips(report: CompareReport, top: int) -> str:
    flips = report.flips
    shown = {column for item in report.slices for column, _ in slice_parts(item.slice)}
    broken, mended = count(flips.broken), count(flips.mended)
    what = f" by {report.metric}" if report.metric in SAFETY_METRICS else ""
    lines = [f"flipped{what}: {broken} from right to wrong, {mended} from wrong to right"]
    lines += _listed("right to wrong", flips.worst_broken[:top], shown)
    lines += _listed("wrong to right", flips.worst_mended[:top], shown)
    return "\n".join(lines)


def _listed(title: str, flips: Iterable[Flip], shown: Container[str]) -> list[str]:
    return [
        f"  {title}: {safe(item.id)}{f' repeat {item.repeat}' if item.repeat else ''}, errors "
        f"{item.baseline_errors} -> {item.candidate_errors} ({safe(_where(item, shown))})"
        for item in flips
    ]


def _where(item: Flip, shown: Container[str]) -> str:
    """Return the cluster and the slice values that the runs were cut by."""
    values = (f"{name}={value}" for name, value in item.slices.items() if name in shown)
    return ", ".join((item.cluster, *values))


def _confusions(confusions: tuple[ConfusionChange, ...] | None, top: int) -> str:
    if not confusions:
        return "" if confusions is None else "confusions: none changed"
    rows = [["expected", "heard", "was", "is", "change", "utterances"]]
    rows += [
        [
            safe(_MADE_UP if item.expected is None else item.expected),
            safe(_LEFT_OUT if item.given is None else item.given),
            count(item.baseline),
            count(item.candidate),
            count_change(item.change),
            count(item.utterances),
        ]
        for item in confusions[:top]
    ]
    return columns(rows, to_left=(0, 1)) + _more(len(confusions) - top)


def _segments(segments: SegmentTest | None) -> str:
    """Return the line for those who know the test from sclite; it takes voices for independent."""
    if segments is None:
        return ""
    if segments.note is not None or segments.z is None:
        return f"MAPSSWE: {segments.note}; reported only"
    return (
        f"MAPSSWE: {count(segments.segments)} segments, "
        f"mean {signed(segments.mean, 'ratio')} errors, z {number(segments.z, 'ratio')}, "
        f"p {p_value(segments.p)}; reported only: it takes segments of "
        "one speaker for independent"
    )


def _timings(report: CompareReport) -> str:
    if not report.timings:
        return ""
    rows = [["under the same load", "was", "is", "change", "95 % interval"]]
    rows += [[name, *change_cells(item, name)] for name, item in report.timings.items()]
    return columns(rows)


def _cuts(report: CompareReport) -> str:
    lines = [
        f"{title}: {', '.join(safe(name) for name in names)}"
        for title, names in (
            ("slices only the candidate has", report.new_slices),
            ("slices only the baseline has", report.vanished_slices),
        )
        if names
    ]
    return "\n".join(lines)


def change_cells(item: Difference, metric: str) -> tuple[str, str, str, str]:
    """Return the cells of a difference: was, is, how the candidate changed, and its interval."""
    was, now = number(item.baseline, item.unit), number(item.candidate, item.unit)
    if item.worsening is None:
        return was, now, NONE, NONE
    shown = worded_change(item, metric)
    return was, now, shown.cell, shown.interval


def worded_change(item: Difference, metric: str) -> WordedChange:
    """Return the change of a metric in words; 0 where there is none."""
    better = metric_of(metric).better
    return change(item.worsening or 0.0, item.low, item.high, item.unit, better=better)


def _per_thousand(value: float | None) -> str:
    return signed(value, "per thousand")


def _more(hidden: int) -> str:
    return f"\n… and {hidden} more: --top" if hidden > 0 else ""
