"""Scored results to a report: aggregate by slice, estimate, say what is missing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from relkit.domain.counts import ErrorCounts
from relkit.domain.estimates import Estimate
from relkit.domain.quality import PREDICTED, QualityEvidence
from relkit.domain.reports import EvalReport, SliceResult
from relkit.domain.results import Outcome, Result
from relkit.domain.suites import Suite
from relkit.domain.utterances import NO_VALUE, Utterance
from relkit.ports import Normalizer, OpenRun, SliceAggregator
from relkit.rules.entity_types import entity_types
from relkit.rules.extremes import hallucinations, runaways
from relkit.rules.intervals import RateEvidence
from relkit.rules.masking import masking_steps
from relkit.rules.ordered_values import TimingEvidence
from relkit.rules.quality import bases_of
from relkit.rules.same_measure import MIXED_LOAD
from relkit.rules.statistics import estimate_metrics, slice_totals, sums_needed, timings_needed
from relkit.rules.text_scoring import SCORER
from relkit.workflows.scoring import Cut, score_outcomes

Aggregators = Callable[[Path], SliceAggregator]
"""Opens the aggregator of a results file."""


def conclude(  # noqa: PLR0913 - each is an input of the report, and has a name
    run: OpenRun,
    outcomes: Sequence[Outcome],
    utterances: Mapping[str, Utterance],
    *,
    normalizer: Normalizer,
    cut: Cut,
    aggregators: Aggregators,
    quality: QualityEvidence | None = None,
    notes: tuple[str, ...] = (),
) -> EvalReport:
    """Score outcomes, write the results into the run, and return the report (not yet written).

    ``quality`` is that of the audio, where the suite asks for it; ``notes`` come after our own.
    """
    header = run.header
    suite = header.suite
    results = score_outcomes(
        outcomes,
        utterances,
        suite=suite,
        normalizer=normalizer,
        cut=cut,
        qualities=None if quality is None else quality.by_id,
    )
    path = run.write_results(results, outcomes)
    with aggregators(path) as aggregator:
        slices = slice_results(aggregator, suite.metrics, suite.slices, repeats=header.repeats)
    scored = [result for result in results if result.score is not None]
    stages = [result.score.stage_errors for result in results if result.score is not None]
    return EvalReport(
        run=header.run,
        suite=suite.name,
        suite_digest=suite.digest,
        candidate_digest=header.candidate.digest,
        artifact_digest=header.candidate.artifact,
        dataset=header.dataset,
        normalizer=header.normalizer,
        normalizer_digest=header.normalizer_digest,
        scorer=SCORER,
        tool_version=header.versions.get("relkit", ""),
        created=header.created,
        expected=len(results),
        scored=len(scored),
        failures=sum(result.failure is not None for result in scored),
        unusable=len(results) - len(scored),
        repeats=header.repeats,
        load_digest=_load(scored) or header.load_digest,
        slices=slices,
        masking=masking_steps(normalizer.steps, stages),
        runaways=runaways(results),
        hallucinations=hallucinations(results),
        failure_reasons=_counted(result.failure for result in scored),
        unusable_reasons=_counted(result.unusable for result in results),
        notes=(*_notes(scored, cut), *_predicted(suite), *notes),
        quality=None if quality is None else quality.summary,
        registered=cut.registered,
        cluster=cut.cluster,
        entity_types=entity_types(
            (
                [entity.type for entity in utterances[result.id].entities],
                result.score.entity_marks,
            )
            for result in results
            if result.score is not None
        ),
    )


def slice_results(
    aggregator: SliceAggregator, metrics: Sequence[str], specs: Sequence[str], *, repeats: int
) -> tuple[SliceResult, ...]:
    """Return every slice that occurs with its metrics, in the order of the cuts ``specs``."""
    wanted = sums_needed(metrics)
    repeated = repeats > 1
    rates = RateEvidence(
        sums=aggregator.sums(specs, wanted),
        within=aggregator.sums(specs, wanted, by="utterance"),
        by_repeat=aggregator.sums(specs, wanted, by="repeat") if repeated else None,
    )
    timings = {
        column: TimingEvidence(
            values=aggregator.values(specs, column),
            within=aggregator.values(specs, column, by="utterance"),
            by_repeat=(aggregator.values(specs, column, by="repeat") if repeated else None),
        )
        for column in timings_needed(metrics)
    }
    estimates = estimate_metrics(metrics, rates, timings)
    totals = {name: values.tolist() for name, values in slice_totals(rates.sums).items()}
    return tuple(
        _slice(
            name,
            {column: round(values[i]) for column, values in totals.items()},
            estimates,
            repeats=repeats,
        )
        for i, name in enumerate(rates.sums.slices)
    )


def _slice(
    name: str,
    totals: Mapping[str, int],
    estimates: Mapping[str, Mapping[str, Estimate]],
    *,
    repeats: int,
) -> SliceResult:
    """Return one slice; utterances count once whatever the repeats, errors in all of them."""
    return SliceResult(
        slice=name,
        utterances=round(totals["utterances"] / repeats),
        clusters=totals["clusters"],
        failures=totals["failures"],
        counts=ErrorCounts(
            hits=totals["hits"],
            substitutions=totals["substitutions"],
            deletions=totals["deletions"],
            insertions=totals["insertions"],
        ),
        metrics=estimates[name],
    )


def _load(scored: Sequence[Result]) -> str | None:
    loads = {result.load for result in scored if result.latency_ms is not None}
    return next(iter(loads)) if len(loads) == 1 else MIXED_LOAD if loads else None


def _counted(reasons: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(reason for reason in reasons if reason is not None).items()))


def _predicted(suite: Suite) -> tuple[str, ...]:
    found = bases_of(suite.metrics, PREDICTED)
    if not found:
        return ()
    return (f"{', '.join(found)}: predicted MOS, made by models; nobody listened",)


def _notes(scored: Sequence[Result], cut: Cut) -> tuple[str, ...]:
    """Return what a reader has to know to read the numbers rightly."""
    notes = []
    if nobody := sum(result.cluster == NO_VALUE for result in scored):
        notes.append(f"{nobody} results have no {cut.cluster}: together they count as one cluster")
    if cached := sum(result.cached for result in scored):
        notes.append(f"{cached} answers came from the cache, with the latency measured then")
    if _load(scored) == MIXED_LOAD:
        notes.append("latencies were measured under different loads: compare them with nothing")
    if unlocated := sum(result.score.unlocated for result in scored if result.score is not None):
        notes.append(f"{unlocated} labelled spans were not found in their reference and left out")
    return tuple(notes)
