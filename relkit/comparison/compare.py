"""``relkit compare``: where two runs over the same utterances differ, slice by slice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.comparison import findings
from relkit.comparison.attribution import attribute, crossings, shared_with
from relkit.comparison.findings import confusion_changes
from relkit.comparison.mapsswe import segment_test
from relkit.comparison.ports import ComparedPairs, Rows
from relkit.comparison.types import (
    Attribution,
    ComparedRun,
    CompareReport,
    ConfusionChange,
    Finding,
    OverallChange,
    Part,
    SegmentTest,
    SliceChange,
)
from relkit.core.codec import as_type
from relkit.core.errors import InvalidInput, NoData, UsageError
from relkit.core.metrics import METRICS, STATISTICS, column_of, expand, split_metric
from relkit.core.slices import OVERALL
from relkit.core.wording import clustering
from relkit.evaluation.plausibility import SAME_ERRORS, hidden_loops
from relkit.evaluation.ports import RunStore
from relkit.evaluation.suites import changed_settings, system_name
from relkit.evaluation.types import (
    MIXED_LOAD,
    EvalReport,
    RunHeader,
    check_same_measure,
    comparable,
    primary_metric,
)
from relkit.statistics.families import FAMILY_METRICS
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import Difference, Pairing

if TYPE_CHECKING:
    from relkit.statistics.types import PairedSums


MOST_CONFUSIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """The runs to compare, by which metric (None: the one that intervals are claimed for).

    ``top`` bounds the utterances named each way. ``with_text`` shows words of transcripts.
    """

    baseline: str
    candidate: str
    metric: str | None = None
    with_text: bool = False
    top: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePorts:
    """What a comparison is made from; ``pairs`` opens the results of (candidate, baseline)."""

    runs: RunStore
    pairs: Callable[[Path, Path], ComparedPairs]
    rows: Rows


def compare(options: CompareOptions, ports: ComparePorts) -> CompareReport:
    """Return what changed from one run to another; raises UsageError, InvalidInput, NoData.

    Both must be of the same dataset, suite, normalizer and scorer.
    """
    candidate, baseline = options.candidate, options.baseline
    ours, theirs = ports.runs.read_report(candidate), ports.runs.read_report(baseline)
    check_same_measure(ours, theirs)
    header, before = ports.runs.read_header(candidate), ports.runs.read_header(baseline)
    name = _metric(options.metric, ours, theirs)
    # The same as a gate's seed: the same systems, the same answer.
    seed = f"{ours.dataset.digest}\n{ours.candidate.digest}\n{theirs.candidate.digest}\n{name}"
    paths = (_results(ports, ours, candidate), _results(ports, theirs, baseline))
    with ports.pairs(*paths) as pairs:
        pairing = pairs.pairing(header.suite.slices)
        _check_pairing(pairing, ours, theirs)
        sums = pairs.sums(header.suite.slices, findings.columns_needed(name))
        column = column_of(split_metric(name)[0])
        values = None if name in RATE_METRICS else pairs.values(header.suite.slices, column)
        differences = findings.metric_differences(name, sums, values)
        overall = _overall(name, differences, sums, ours)
        slices = findings.slice_changes(
            findings.tested(name, sums, differences, seed=seed), sums, cluster=ours.cluster
        )
        flips = pairs.flips(options.top, name)
        attribution, slices = _attributed(name, overall, slices, header, pairs)
        timings = _timings(ours, theirs, pairs)
    confusions, segments = (
        _from_transcripts(baseline, candidate, header, ports) if options.with_text else (None, None)
    )
    new, vanished = findings.new_and_vanished(ours, theirs)
    return CompareReport(
        baseline=_run(theirs, before),
        candidate=_run(ours, header),
        settings=changed_settings(header, before),
        dataset=ours.dataset.name,
        suite=ours.suite.name,
        normalizer=ours.normalizer.name,
        metric=name,
        unit=overall.unit,
        cluster=ours.cluster,
        detectable=findings.DETECTABLE,
        pairing=pairing,
        overall=overall,
        slices=slices,
        new_slices=new,
        vanished_slices=vanished,
        flips=flips,
        attribution=attribution,
        timings=timings,
        confusions=confusions,
        segments=segments,
        notes=_notes(name, pairing, ours, theirs),
    )


def _run(report: EvalReport, header: RunHeader) -> ComparedRun:
    system = system_name(header.suite.system)
    return as_type(ComparedRun, report, candidate=report.candidate.digest, system=system)


def _results(ports: ComparePorts, report: EvalReport, run: str) -> Path:
    path = ports.runs.results(run)
    if path is None:
        raise InvalidInput(
            f"{report.run}: has no results.parquet, and only utterances can be compared",
            hint="fetch the whole run, or run the suite again",
        )
    return path


def _metric(requested: str | None, ours: EvalReport, theirs: EvalReport) -> str:
    """Return the metric to compare; raises UsageError for an unknown one, InvalidInput, NoData."""
    name = requested or primary_metric(ours)
    if name is None:
        raise NoData("the runs measured nothing that could be compared")
    available = expand(tuple(METRICS))
    if name not in available:
        hint = "known: " + ", ".join(available)
        if name in STATISTICS:
            hint = "name a statistic: " + ", ".join(f"{name}.{each}" for each in STATISTICS[name])
        raise UsageError(f'no metric "{name}" to compare', hint=hint)
    if not comparable(name, METRICS[split_metric(name)[0]].unit, ours, theirs):
        raise InvalidInput(
            f"{name} cannot be compared: {_load_reason(ours, theirs)}",
            hint="run both on the same machine with the same --jobs, without cached answers",
        )
    return name


def _check_pairing(pairing: Pairing, ours: EvalReport, theirs: EvalReport) -> None:
    """Refuse results that hold an utterance twice, and those that share none."""
    if pairing.duplicates:
        raise InvalidInput(
            f"{ours.run} and {theirs.run}: {pairing.duplicates} result rows repeat an id and"
            " repeat of the same run",
            hint="run the suite again: relkit eval SUITE",
        )
    if not pairing.compared:
        raise NoData(
            f"{ours.run} and {theirs.run} have no utterance that both could score",
            hint="see what was unusable: relkit report RUN",
        )


def _overall(
    name: str, differences: Mapping[str, Difference], sums: "PairedSums", report: EvalReport
) -> OverallChange:
    difference = differences.get(OVERALL)
    if difference is None or difference.worsening is None:
        reason = difference.note if difference is not None and difference.note else "no values"
        raise NoData(
            f"{name} cannot be compared: {reason}", hint="name another metric with --metric"
        )
    return findings.overall_change(difference, sums, cluster=report.cluster)


def _attributed(
    name: str,
    overall: OverallChange,
    slices: tuple[SliceChange, ...],
    header: RunHeader,
    pairs: ComparedPairs,
) -> tuple[Attribution | None, tuple[SliceChange, ...]]:
    """Return where the regression comes from, and the slices that are worse because of it.

    The regression is that of the whole, else of the slice with the strongest evidence.
    """
    bad = [item.slice for item in slices if item.finding is Finding.WORSE]
    worse = [OVERALL, *bad] if overall.finding is Finding.WORSE else bad
    if not worse or name not in FAMILY_METRICS:
        return None, slices
    metric = RATE_METRICS[name]
    cells = pairs.cells(crossings(header.suite.slices), findings.columns_needed(name))
    attribution = attribute(metric, worse[0], cells)
    if attribution is None:
        return None, slices
    shares = shared_with(metric, attribution.slice, bad, cells)
    return attribution, tuple(
        replace(item, elsewhere=Part(slice=attribution.slice, share=shares[item.slice]))
        if item.slice in shares
        else item
        for item in slices
    )


def _timings(ours: EvalReport, theirs: EvalReport, pairs: ComparedPairs) -> dict[str, Difference]:
    """Return differences of the whole in what a clock made; none under different loads."""
    names = [
        name
        for name, estimate in findings.timing_metrics(ours).items()
        if comparable(name, estimate.unit, ours, theirs)
    ]
    needed: dict[str, str] = {}
    for name in names:
        if name in RATE_METRICS:
            needed |= findings.columns_needed(name)
    sums = pairs.sums([OVERALL], needed) if needed else None
    differences: dict[str, Difference] = {}
    for name in names:
        if sums is not None and name in RATE_METRICS:
            by_slice = findings.metric_differences(name, sums, None)
        else:
            column = column_of(split_metric(name)[0])
            by_slice = findings.percentiles(name, pairs.values([OVERALL], column))
        if OVERALL in by_slice:
            differences[name] = by_slice[OVERALL]
    return differences


def _from_transcripts(
    baseline: str, candidate: str, header: RunHeader, ports: ComparePorts
) -> tuple[tuple[ConfusionChange, ...], SegmentTest]:
    """Return what only transcripts can tell."""
    before, after = (
        ports.rows(run, with_text=True, with_audio=False) for run in (baseline, candidate)
    )
    segmenter = header.suite.segmenter
    changed = confusion_changes(after, before, segmenter, most=MOST_CONFUSIONS)
    return changed, segment_test(after, before, segmenter)


def _load_reason(ours: EvalReport, theirs: EvalReport) -> str:
    if MIXED_LOAD in {ours.load, theirs.load}:
        return "times in one run were measured under more than one load"
    return "the two runs were measured under different loads"


def _notes(name: str, pairing: Pairing, ours: EvalReport, theirs: EvalReport) -> tuple[str, ...]:
    """Return what a reader has to know to read the numbers right."""
    timed, failures = findings.timing_metrics(ours), len(pairing.baseline_failures)
    counted = (
        (failures, "utterances on which the baseline failed count as perfect"),
        (pairing.candidate_failures, "answers the candidate failed to give count as all wrong"),
        (pairing.both - pairing.compared, "results were unusable in one of the runs: left out"),
        (pairing.only_candidate, "results are only in the candidate: left out"),
        (pairing.only_baseline, "results are only in the baseline: left out"),
        (pairing.moved, "results have another cluster or slice now: the candidate's counts"),
    )
    notes = [*filter(None, [clustering(ours.cluster, ours.shared_prompts, crossed=ours.crossed)])]
    notes += [SAME_ERRORS] if pairing.alike else []
    if (loops := hidden_loops(ours, theirs)) is not None:
        notes.append(loops)
    notes += [f"{count} {words}" for count, words in counted if count]
    if any(not comparable(each, item.unit, ours, theirs) for each, item in timed.items()):
        notes.append(f"latency and RTF are not compared: {_load_reason(ours, theirs)}")
    if name not in FAMILY_METRICS:
        notes.append(f"slices of {name}: each by {findings.UNCORRECTED}")
    return tuple(notes)
