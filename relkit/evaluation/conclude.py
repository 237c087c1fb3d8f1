"""Scored results to a report: aggregate by slice, estimate, say what is missing.

Turns outcomes into scored results: one row per utterance and repeat.

What rare events could cost that this much data cannot show.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relkit.audio.quality import bases_of
from relkit.audio.types import Quality, QualityEvidence
from relkit.core.metrics import PREDICTED
from relkit.core.values import ErrorCounts, Estimate, Named
from relkit.datasets.slicing import cluster_of, slice_values
from relkit.datasets.types import NO_VALUE, Answer, Bins, Dataset, Prediction, Utterance
from relkit.evaluation.comparable import MIXED_LOAD
from relkit.evaluation.ports import OpenRun, SliceAggregator
from relkit.evaluation.slicing import cluster_column, promised_values, slice_columns
from relkit.evaluation.types import (
    EvalReport,
    Hallucinations,
    Outcome,
    Result,
    Runaways,
    SliceResult,
    Suite,
)
from relkit.scoring.normalizers import masking_steps
from relkit.scoring.text import SCORER, TextScorer, entity_types
from relkit.scoring.types import Normalizer, Texts
from relkit.statistics.distributions import unseen_share
from relkit.statistics.estimates import estimate_metrics, slice_totals, sums_needed, timings_needed
from relkit.statistics.intervals import RateEvidence
from relkit.statistics.percentiles import TimingEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How results are cut: slice columns, derived bins, and the column of independent units.

    ``registered`` maps slice columns to the values that the dataset's lock promises, None where the
    dataset is not locked.
    """

    columns: tuple[str, ...]
    bins: tuple[Bins, ...]
    cluster: str
    registered: Mapping[str, tuple[str, ...]] | None = None

    @classmethod
    def of(cls, dataset: Dataset, suite: Suite) -> "Cut":
        """Return how a suite cuts a dataset; raises InvalidInput for unknown columns."""
        columns = slice_columns(dataset, suite)
        return cls(
            columns=columns,
            bins=dataset.settings.bins,
            cluster=cluster_column(dataset, suite),
            registered=promised_values(dataset, suite, columns),
        )


def score_outcomes(
    outcomes: Sequence[Outcome],
    utterances: Mapping[str, Utterance],
    *,
    suite: Suite,
    normalizer: Normalizer,
    cut: Cut,
    qualities: Mapping[str, Quality] | None = None,
) -> list[Result]:
    """Return a result per outcome, in the same order.

    A failed item is scored as all deleted; an unusable one has no score. ``qualities`` are those of
    the audio by utterance id.
    """
    scorer = TextScorer(normalizer.stages, keywords=suite.keywords, segmenter=suite.segmenter)
    by_id = qualities or {}
    return [
        _result(outcome, utterances[outcome.id], scorer, cut, by_id.get(outcome.id))
        for outcome in outcomes
    ]


def _result(
    outcome: Outcome, utterance: Utterance, scorer: TextScorer, cut: Cut, quality: Quality | None
) -> Result:
    prediction = outcome.prediction
    answer = _answer(prediction)
    hypothesis = None if answer is None else answer.text
    entities = [entity.text for entity in utterance.entities]
    usable = prediction is not None
    return Result(
        id=outcome.id,
        repeat=outcome.repeat,
        cluster=cluster_of(utterance, cut.cluster),
        slices=slice_values(utterance, cut.columns, cut.bins, outcome.duration),
        duration=outcome.duration,
        score=scorer.score(utterance.reference, hypothesis, entities) if usable else None,
        texts=Texts(
            reference=utterance.reference,
            hypothesis=hypothesis,
            reference_normalized=scorer.normalize(utterance.reference),
            hypothesis_normalized=None if hypothesis is None else scorer.normalize(hypothesis),
        ),
        failure=_failure(prediction),
        unusable=None if outcome.unusable is None else outcome.unusable.reason.value,
        latency_ms=None if answer is None else answer.latency_ms,
        first_byte_ms=None if answer is None else answer.first_byte_ms,
        attempts=0 if prediction is None else prediction.attempts,
        cached=prediction is not None and prediction.cached,
        load="" if prediction is None else prediction.load,
        quality=quality if usable else None,
        speech=outcome.speech,
    )


def _answer(prediction: Prediction | None) -> Answer | None:
    if prediction is not None and isinstance(prediction.outcome, Answer):
        return prediction.outcome
    return None


def _failure(prediction: Prediction | None) -> str | None:
    if prediction is None or isinstance(prediction.outcome, Answer):
        return None
    return prediction.outcome.reason.value


LOOP_WORDS = 200
"""How many words a repetition loop is taken to insert (docs/method.md, section "Scoring text")."""


def runaways(results: Sequence[Result]) -> Runaways:
    """Return the runaways among results, and what an unseen rate of them would cost.

    Each utterance of the rate that shows nothing with 2.5 % chance is taken to insert 200 words.
    """
    scored = [(result, result.score) for result in results if result.score is not None]
    count = sum(score.runaway for _, score in scored)
    loops = sum(score.loop for _, score in scored)
    utterances = len({result.id for result, _ in scored})
    words = sum(score.counts.reference_length for _, score in scored)
    if count or not utterances:
        return Runaways(count=count, loops=loops, loop_words=LOOP_WORDS)
    rate = unseen_share(utterances)
    cost = rate * LOOP_WORDS * len(scored) / words if words else None
    return Runaways(count=0, loops=loops, hidden_rate=rate, hidden_wer=cost, loop_words=LOOP_WORDS)


def hallucinations(results: Sequence[Result]) -> Hallucinations:
    """Return how many words were heard on answered clips whose reference is empty.

    Words per minute are over the clips of known length; None where there is none.
    """
    empty = [
        (result, result.score.counts.insertions)
        for result in results
        if result.score is not None
        and result.failure is None
        and result.score.counts.reference_length == 0
    ]
    timed = [(result.duration, words) for result, words in empty if result.duration]
    minutes = sum(duration for duration, _ in timed) / 60
    return Hallucinations(
        clips=len(empty),
        with_words=sum(words > 0 for _, words in empty),
        words=sum(words for _, words in empty),
        words_per_minute=sum(words for _, words in timed) / minutes if minutes else None,
    )


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
        suite=Named(name=suite.name, digest=header.suite_digest),
        candidate=header.candidate,
        dataset=header.dataset,
        normalizer=header.normalizer,
        scorer=SCORER,
        tool_version=header.versions.get("relkit", ""),
        created=header.created,
        expected=len(results),
        scored=len(scored),
        failures=sum(result.failure is not None for result in scored),
        unusable=len(results) - len(scored),
        repeats=header.repeats,
        load=_load(scored) or header.load_digest,
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
    columns = sums_needed(metrics)
    repeated = repeats > 1
    rates = RateEvidence(
        sums=aggregator.sums(specs, columns),
        within=aggregator.sums(specs, columns, by="utterance"),
        by_repeat=aggregator.sums(specs, columns, by="repeat") if repeated else None,
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
    metrics = bases_of(suite.metrics, PREDICTED)
    if not metrics:
        return ()
    return (f"{', '.join(metrics)}: predicted MOS, made by models; nobody listened",)


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
