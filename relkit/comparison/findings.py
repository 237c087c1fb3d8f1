"""What two runs say when they stand side by side: findings, harm, and what comes first.

A finding is a reading of the evidence in words. Slices are one family: all of those that are shown
are tested together, so that among many slices an equal candidate is called worse in at most 5 % of
comparisons, and called better in at most 5 % (docs/method.md, section "Comparing two systems").
Confusions are those that became more or less frequent between the runs.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from relkit.comparison.rows import align_row
from relkit.comparison.types import (
    ConfusionChange,
    Finding,
    Harm,
    OverallChange,
    Row,
    SliceChange,
    WordChange,
)
from relkit.core.arrays import FloatArray
from relkit.core.metrics import metric_of, split_metric
from relkit.core.slices import OVERALL
from relkit.core.tokens import Segmenter
from relkit.core.values import Estimate
from relkit.core.wording import amount, clusters, times
from relkit.evaluation.types import EvalReport
from relkit.statistics.differences import clusters_needed, rate_differences
from relkit.statistics.estimates import PERCENTILES, sums_needed
from relkit.statistics.families import FAMILY_METRICS, test_regressions
from relkit.statistics.intervals import group_sum
from relkit.statistics.percentile_differences import percentile_differences
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.sums import expressions
from relkit.statistics.types import Difference, PairedSums, PairedValues, Regression

LEVEL = 0.05
"""Chance of one wrong ``worse`` (and one wrong ``better``) among all slices of equal systems."""

DETECTABLE = 2.0
"""A slice that does not exclude this ratio of rates cannot say that nothing is different."""

SMALL_SHARE = 0.10
"""A difference of the whole below this share of the baseline's value counts as small."""

UNCORRECTED = "its own interval: not corrected for the number of slices"
_TURNS = 1000.0
_WORDS = ("substitutions", "deletions", "insertions")
_PERCENTILE_UNIT = "ms"


def columns_needed(metric: str) -> dict[str, str]:
    """Return the sums that comparing needs for a metric, name to SQL expression."""
    return sums_needed([metric] if metric in RATE_METRICS else []) | expressions(["capped_errors"])


def swapped(pairs: PairedSums) -> PairedSums:
    """Return the same sums with the two systems exchanged."""
    return replace(pairs, candidate=pairs.baseline, baseline=pairs.candidate)


def metric_differences(
    metric: str, pairs: PairedSums, values: PairedValues | None
) -> dict[str, Difference]:
    """Return the difference in each slice; ``values`` are those of a percentile's column."""
    if metric in RATE_METRICS:
        return {item.slice: item for item in rate_differences(RATE_METRICS[metric], pairs)}
    if values is None:
        raise ValueError(f"{metric} needs single measurements")
    return percentiles(metric, values)


def percentiles(metric: str, values: PairedValues) -> dict[str, Difference]:
    """Return the difference of a percentile (``latency_ms.p95``) in each slice."""
    share = PERCENTILES[split_metric(metric)[1]]
    definition = metric_of(metric)
    differences = percentile_differences(
        share, values, unit=definition.unit, better=definition.better
    )
    return {item.slice: item for item in differences}


def tested(
    metric: str, pairs: PairedSums, differences: Mapping[str, Difference], *, seed: str
) -> list[tuple[Regression, float | None]]:
    """Return what the test says of every slice but the whole, and the p-value of being better.

    Error rates are tested together by joint sign flips. For measured amounts there is no such test:
    each slice has its own interval (one of ``differences``), and the note says so.
    """
    keys = tuple(name for name in pairs.candidate.slices if name != OVERALL)
    if not keys:
        return []
    if metric not in FAMILY_METRICS:
        alone = (differences[key] for key in keys if key in differences)
        return [
            (Regression(slice=item.slice, difference=item, note=UNCORRECTED, alone=True), None)
            for item in alone
        ]
    rate = RATE_METRICS[metric]
    worse = test_regressions(rate, pairs, keys, seed=seed, detectable=DETECTABLE)
    better = test_regressions(rate, swapped(pairs), keys, seed=seed, detectable=DETECTABLE)
    p_better = {item.slice: item.p_adjusted for item in better}
    return [(item, p_better.get(item.slice)) for item in worse]


def slice_changes(
    results: Sequence[tuple[Regression, float | None]], pairs: PairedSums, *, cluster: str
) -> tuple[SliceChange, ...]:
    """Return the slices in words, the strongest evidence of being worse first."""
    harm, words = harms(pairs), word_changes(pairs)
    changed = []
    for regression, p_better in results:
        difference, note, needed = regression.difference, regression.note, None
        if regression.alone:
            finding, note = _by_interval(difference), None
        else:
            finding = _by_test(regression, p_better)
        if finding is Finding.CANNOT_TELL:
            needed = regression.needed_clusters
            if regression.alone:
                needed = clusters_needed(difference, _small(difference))
        decide = _within_small(difference)
        if not regression.alone:
            decide = f"exclude {times(DETECTABLE)} the rate"
        reason = _words(finding, difference, needed, cluster, note, decide=decide)
        if finding is Finding.NOT_SEEN and regression.excludes is not None:
            ratio = times(regression.excludes)
            higher = "any higher rate" if ratio == times(1.0) else f"a rate {ratio} as high"
            reason = f"{reason}: {higher} is excluded"
        changed.append(
            SliceChange(
                **asdict(difference),
                finding=finding,
                reason=reason,
                p_adjusted=regression.p_adjusted,
                p_better=p_better,
                simultaneous_low=regression.low,
                excludes=regression.excludes,
                needed_clusters=needed,
                test_note=regression.note,
                harm=harm[regression.slice],
                words=words[regression.slice],
            )
        )
    return tuple(sorted(changed, key=_by_evidence))


def overall_change(difference: Difference, pairs: PairedSums, *, cluster: str) -> OverallChange:
    """Return the whole in words: by the two-sided 95 % interval of its difference.

    Where that holds 0, "no difference seen" needs ends within a tenth of the baseline's value; else
    it cannot be told, and ``needed_clusters`` would show a difference of that size.
    """
    finding = _by_interval(difference)
    margin = _small(difference)
    needed = clusters_needed(difference, margin) if finding is Finding.CANNOT_TELL else None
    return OverallChange(
        **asdict(difference),
        finding=finding,
        reason=_words(finding, difference, needed, cluster, decide=_within_small(difference)),
        harm=harms(pairs)[OVERALL],
        words=word_changes(pairs)[OVERALL],
        needed_clusters=needed,
    )


def by_harm(slices: Sequence[SliceChange]) -> tuple[SliceChange, ...]:
    """Return slices by the wrong words they add per thousand of all turns, the most first."""
    return tuple(sorted(slices, key=lambda item: (-(item.harm.of_all or 0.0), item.slice)))


def harms(pairs: PairedSums) -> dict[str, Harm]:
    """Return what each slice's difference means to users; see :class:`Harm`."""
    here, base = pairs.candidate.columns, pairs.baseline.columns
    asked = pairs.candidate.repeats
    turns = _totals(here["utterances"] / asked, pairs)
    extra = _totals((here["capped_errors"] - base["capped_errors"]) / asked, pairs)
    total = turns.get(OVERALL, 0.0)
    return {
        name: Harm(
            turns=round(turns[name]),
            per_thousand=_TURNS * extra[name] / turns[name] if turns[name] else None,
            share=turns[name] / total if total else None,
            of_all=_TURNS * extra[name] / total if total else None,
        )
        for name in pairs.candidate.slices
    }


def word_changes(pairs: PairedSums) -> dict[str, WordChange]:
    """Return how many more words of each kind are wrong, by slice."""
    totals = {
        name: _totals(pairs.candidate.columns[name] - pairs.baseline.columns[name], pairs)
        for name in _WORDS
    }
    return {
        key: WordChange(**{name: round(totals[name][key]) for name in _WORDS})
        for key in pairs.candidate.slices
    }


def new_and_vanished(
    candidate: EvalReport, baseline: EvalReport
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the slices only the candidate scored something in, and those only the baseline did."""
    ours, theirs = (
        [item.slice for item in report.slices if item.utterances > 0]
        for report in (candidate, baseline)
    )
    return (
        tuple(name for name in ours if name not in set(theirs)),
        tuple(name for name in theirs if name not in set(ours)),
    )


def timing_metrics(report: EvalReport) -> dict[str, Estimate]:
    """Return the metrics of the whole that a clock made."""
    return {
        name: estimate
        for item in report.slices
        if item.slice == OVERALL
        for name, estimate in item.metrics.items()
        if estimate.unit == _PERCENTILE_UNIT or name in {"rtf", "rtfx"}
    }


def _totals(values: FloatArray, pairs: PairedSums) -> Mapping[str, float]:
    slices = pairs.candidate.slices
    summed = group_sum(values, pairs.candidate.slice_index, len(slices))
    return dict(zip(slices, summed.tolist(), strict=True))


def _by_test(regression: Regression, p_better: float | None) -> Finding:
    difference = regression.difference
    worsening, p_worse = difference.worsening, regression.p_adjusted
    if worsening is None or p_worse is None:
        return Finding.CANNOT_TELL
    if worsening > 0 and p_worse <= LEVEL:
        return Finding.WORSE
    if worsening < 0 and p_better is not None and p_better <= LEVEL:
        return Finding.BETTER
    excluded = regression.excludes is not None and regression.excludes <= DETECTABLE
    return Finding.NOT_SEEN if excluded else Finding.CANNOT_TELL


def _by_interval(difference: Difference) -> Finding:
    low, high = difference.low, difference.high
    if difference.worsening is None or low is None or high is None:
        return Finding.CANNOT_TELL
    if low > 0:
        return Finding.WORSE
    if high < 0:
        return Finding.BETTER
    return Finding.NOT_SEEN if max(-low, high) <= _small(difference) else Finding.CANNOT_TELL


def _small(difference: Difference) -> float:
    return SMALL_SHARE * abs(difference.baseline or 0.0)


def _within_small(difference: Difference) -> str:
    within = amount(_small(difference), difference.unit)
    return f"say whether they differ by less than {within}"


def _words(
    finding: Finding,
    difference: Difference,
    needed: int | None,
    cluster: str,
    note: str | None = None,
    *,
    decide: str,
) -> str:
    """Return a finding in words; ``decide`` is what more clusters would do."""
    if finding in {Finding.WORSE, Finding.BETTER}:
        return f"{finding.value} by {amount(difference.worsening or 0.0, difference.unit)}"
    if finding is Finding.NOT_SEEN:
        return finding.value
    more = None if needed is None else needed - difference.clusters
    if more is not None and more > 0:
        return (
            f"{finding.value}: about {clusters(_rounded(more), f'more {cluster}')} would {decide}"
        )
    why = note or difference.note or f"more of the same data would not {decide}"
    return f"{finding.value}: {why}"


def _rounded(count: int) -> int:
    """Return a count with two digits that mean something, never less than it was."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return math.ceil(count / step) * step


def _by_evidence(item: SliceChange) -> tuple[float, float, str]:
    p_worse, worsening = item.p_adjusted, item.worsening
    first = item.finding is Finding.WORSE and p_worse is None
    return (
        0.0 if first else 1.0 if p_worse is None else p_worse,
        -(worsening if worsening is not None else -math.inf),
        item.slice,
    )


WordPair = tuple[str | None, str | None]
"""Expected and given word, None where there is none."""


def confusion_changes(
    candidate: Iterable[Row], baseline: Iterable[Row], segmenter: Segmenter, *, most: int
) -> tuple[ConfusionChange, ...]:
    """Return the confusions whose number changed, in the most utterances first, at most ``most``.

    Rows carry their transcripts. Only utterances that both runs answered count: an answer that
    failed confused no words. Ranked by utterances, since a repetition loop adds one word hundreds
    of times.
    """
    before = {(row.id, row.repeat): row for row in baseline if _answered(row)}
    totals: tuple[Counter[WordPair], Counter[WordPair]] = Counter(), Counter()
    where: defaultdict[WordPair, set[str]] = defaultdict(set)
    for row in candidate:
        earlier = before.get((row.id, row.repeat))
        if earlier is None or not _answered(row):
            continue
        ours, theirs = _confused(row, segmenter), _confused(earlier, segmenter)
        totals[0].update(ours)
        totals[1].update(theirs)
        for pair in ours.keys() | theirs.keys():
            if ours[pair] != theirs[pair]:
                where[pair].add(row.id)
    confusions = [
        ConfusionChange(
            expected=expected,
            given=hypothesis,
            candidate=totals[0][expected, hypothesis],
            baseline=totals[1][expected, hypothesis],
            utterances=len(utterances),
        )
        for (expected, hypothesis), utterances in where.items()
    ]
    changed = sorted((item for item in confusions if item.change), key=_rank)
    return tuple(changed[:most])


def _answered(row: Row) -> bool:
    return row.texts is not None and row.failure is None and row.unusable is None


def _confused(row: Row, segmenter: Segmenter) -> Counter[WordPair]:
    if row.counts is None or row.counts.errors == 0:
        return Counter()
    aligned = align_row(row, segmenter)
    if aligned is None:
        return Counter()
    return Counter((expected, hypothesis) for _, _, expected, hypothesis in aligned.edits)


def _rank(item: ConfusionChange) -> tuple[int, int, str, str]:
    return -item.utterances, -abs(item.change), item.expected or "", item.given or ""
