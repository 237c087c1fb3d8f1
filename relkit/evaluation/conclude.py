"""Outcomes to scored results, one per utterance and repeat, and results to a report by slice."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from relkit.audio.quality import bases_of
from relkit.audio.types import Quality, QualityEvidence, SpeechSummary
from relkit.conversation.stages import stage_times
from relkit.core.metrics import PREDICTED
from relkit.core.slices import OVERALL
from relkit.core.values import ErrorCounts, Named
from relkit.core.wording import clustering
from relkit.datasets.selection import TEXT, cluster_of, prompts_of, slice_values
from relkit.datasets.types import NO_VALUE, Answer, Failure, Utterance
from relkit.evaluation.conversations import AgentSound, conversation_rows, run_conversations
from relkit.evaluation.ports import OpenRun, SliceAggregator
from relkit.evaluation.safety import RunSafety, judges_text, run_safety
from relkit.evaluation.slicing import Cut, Plan
from relkit.evaluation.streams import run_streams
from relkit.evaluation.types import (
    MIXED_LOAD,
    EvalReport,
    Hallucinations,
    Outcome,
    Result,
    Runaways,
    SliceResult,
    Suite,
)
from relkit.scoring.normalizers import masking_steps
from relkit.scoring.text import TextScorer, entity_types
from relkit.scoring.types import Normalizer, ScoredText, Texts
from relkit.scoring.words import SCORER
from relkit.statistics.crossed import leaves_texts
from relkit.statistics.distributions import unseen_share
from relkit.statistics.estimates import estimate_metrics, slice_totals, sums_needed, timings_needed
from relkit.statistics.intervals import RateEvidence, distinct
from relkit.statistics.percentiles import TimingEvidence


def score_outcomes(
    outcomes: Sequence[Outcome],
    utterances: Mapping[str, Utterance],
    *,
    suite: Suite,
    normalizer: Normalizer,
    cut: Cut,
    qualities: Mapping[str, Quality] = MappingProxyType({}),
    safety: RunSafety | None = None,
) -> list[Result]:
    """Return a result per outcome, in the same order.

    A failed item is scored as all deleted; an unusable one has no score. ``qualities`` are those of
    the audio by utterance id. ``safety`` is what the exchanges of an agent count, whose texts are
    held against references only where the suite asks for it.
    """
    scorer = TextScorer(normalizer.stages, keywords=suite.keywords, segmenter=suite.segmenter)
    results = [
        _result(outcome, utterances[outcome.id], scorer, cut, qualities.get(outcome.id))
        for outcome in outcomes
    ]
    if safety is not None:
        wordless = None if judges_text(suite.metrics) else scorer.score("", "", [])
        results = [_exchange(result, safety, i, wordless) for i, result in enumerate(results)]
    prompts = prompts_of(
        [utterances[result.id] for result in results],
        [result.texts.reference_normalized for result in results],
        [result.cluster for result in results],
        cut.crossed,
    )
    numbers: dict[str, int] = {}
    return [
        replace(result, prompt_number=numbers.setdefault(prompt, len(numbers)))
        if prompt
        else result
        for result, prompt in zip(results, prompts, strict=True)
    ]


def _result(
    outcome: Outcome, utterance: Utterance, scorer: TextScorer, cut: Cut, quality: Quality | None
) -> Result:
    prediction = outcome.prediction
    response = None if prediction is None else prediction.outcome
    answer = response if isinstance(response, Answer) else None
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
        failure=response.reason.value if isinstance(response, Failure) else None,
        unusable=None if outcome.unusable is None else outcome.unusable.reason.value,
        latency_ms=None if answer is None else answer.latency_ms,
        first_byte_ms=None if answer is None else answer.first_byte_ms,
        attempts=0 if prediction is None else prediction.attempts,
        cached=prediction is not None and prediction.cached,
        load="" if prediction is None else prediction.load,
        quality=quality if usable else None,
        speech=outcome.speech,
    )


def _exchange(result: Result, safety: RunSafety, place: int, wordless: ScoredText | None) -> Result:
    """Return the result of an exchange: what could not be judged is not scored at all."""
    if place in safety.unusable:
        return replace(result, score=None, quality=None, unusable=safety.unusable[place])
    score = result.score if wordless is None or result.score is None else wordless
    failure = safety.failures.get(place, result.failure)
    return replace(result, score=score, failure=failure, safety=safety.counts[place])


_COUNTS = ("hits", "substitutions", "deletions", "insertions")

LOOP_WORDS = 200
"""How many words a repetition loop is taken to insert (docs/method.md, section "Scoring text")."""


def count_runaways(results: Sequence[Result]) -> Runaways:
    """Return the runaways among results, and what an unseen rate of them would cost.

    An utterance counts once, in however many repeats it ran away. Each utterance of the rate that
    shows nothing with 2.5 % chance is taken to insert 200 words.
    """
    scored = [(result, result.score) for result in results if result.score is not None]
    count = len({result.id for result, score in scored if score.runaway})
    loops = len({result.id for result, score in scored if score.loop})
    utterances = len({result.id for result, _ in scored})
    words = sum(score.counts.reference_length for _, score in scored)
    if count or not utterances:
        return Runaways(count=count, loops=loops, loop_words=LOOP_WORDS)
    rate = unseen_share(utterances)
    cost = rate * LOOP_WORDS * len(scored) / words if words else None
    return Runaways(count=0, loops=loops, hidden_rate=rate, hidden_wer=cost, loop_words=LOOP_WORDS)


def hallucinations(results: Sequence[Result]) -> Hallucinations:
    """Return how many words were heard on answered clips whose reference is empty.

    A clip counts once, words in all repeats. Words per minute are over the clips of known length;
    None where there is none.
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
        clips=len({result.id for result, _ in empty}),
        with_words=len({result.id for result, words in empty if words > 0}),
        words=sum(words for _, words in empty),
        words_per_minute=sum(words for _, words in timed) / minutes if minutes else None,
    )


Aggregators = Callable[[Path], SliceAggregator]
"""Opens the aggregator of a results file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """What was measured on the audio of a run, besides the answers.

    ``quality`` is that of the audio, where the suite asks for it, ``speech`` a summary of a round
    trip. ``sound`` finds the agent's sound in recordings of conversations, of which ``held_again``
    had to be held a second time.
    """

    quality: QualityEvidence | None = None
    speech: SpeechSummary | None = None
    sound: AgentSound | None = None
    held_again: int = 0


NO_EVIDENCE = RunEvidence()


def conclude(
    run: OpenRun,
    outcomes: Sequence[Outcome],
    planned: Plan,
    aggregators: Aggregators,
    *,
    evidence: RunEvidence = NO_EVIDENCE,
    notes: tuple[str, ...] = (),
) -> EvalReport:
    """Score outcomes, write the results into the run, and return the report (not yet written).

    ``notes`` come after our own.
    """
    quality, speech = evidence.quality, evidence.speech
    header, cut, normalizer = run.header, planned.cut, planned.normalizer
    suite = header.suite
    utterances = {item.id: item for item in planned.utterances}
    streams = None
    if suite.task == "stream":
        streams = run_streams(outcomes, suite=suite, normalizer=normalizer, by_level=planned.bounds)
        notes = (*streams.notes, *notes)
    talks = None
    if suite.task == "turn":
        talks = run_conversations(outcomes, utterances, suite, evidence.sound)
    safety = None
    if planned.tools is not None:
        safety = run_safety(
            outcomes if talks is None else talks.outcomes,
            utterances,
            cluster=cut.cluster,
            tools=planned.tools,
            conversations=None if talks is None else talks.conversations,
        )
        notes = (*safety.notes, *notes)
    measured = streams if talks is None else talks
    results = score_outcomes(
        outcomes if measured is None else measured.outcomes,
        utterances,
        suite=suite,
        normalizer=normalizer,
        cut=cut,
        qualities={} if quality is None else quality.by_id,
        safety=safety,
    )
    if streams is not None:
        results = [
            replace(result, conversation=counts, times=times)
            for result, counts, times in zip(results, streams.counts, streams.times, strict=True)
        ]
    held = None
    if talks is not None:
        wordless = TextScorer(normalizer.stages).score("", "", [])
        results, held, talk_notes = conversation_rows(
            results,
            talks,
            utterances,
            suite=suite,
            wordless=wordless,
            held_again=evidence.held_again,
        )
        notes = (*talk_notes, *notes)
    has_words = talks is None and (safety is None or judges_text(suite.metrics))
    path = run.write_results(results, outcomes)
    with aggregators(path) as aggregator:
        slices = slice_results(aggregator, suite.metrics, suite.slices, repeats=header.repeats)
        cells = aggregator.sums((OVERALL,), {}).by_prompt
    items = [result for result in results if result.is_item]
    scored = [result for result in items if result.score is not None]
    prompts = 0 if cells is None else cells.prompts
    voices = slices[0].clusters if slices else None
    twofold = clustering(cut.cluster, prompts, voices, crossed=cut.crossed) if slices else ""
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
        expected=len(items),
        scored=len(scored),
        failures=sum(result.failure is not None for result in scored),
        unusable=len(items) - len(scored),
        repeats=header.repeats,
        load=_load(scored, timed=talks is not None) or header.load_digest,
        slices=slices,
        masking=masking_steps(normalizer.steps, stages),
        runaways=count_runaways(results if has_words else ()),
        hallucinations=hallucinations(results if has_words else ()),
        failure_reasons=_counted(result.failure for result in scored),
        unusable_reasons=_counted(result.unusable for result in items),
        notes=(
            *filter(None, [twofold]),
            *_left_texts(items, utterances, cut),
            *_notes(scored, suite, cut),
            *planned.notes,
            *notes,
        ),
        quality=None if quality is None else quality.summary,
        speech=speech,
        conversations=held,
        registered=cut.registered,
        cluster=cut.cluster,
        crossed=cut.crossed,
        shared_prompts=prompts,
        limit=header.limit,
        entity_types=entity_types(
            ([item.type for item in utterances[result.id].entities], result.score.entity_marks)
            for result in items
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
    totals = {
        column: [round(value) for value in values.tolist()]
        for column, values in slice_totals(rates.sums).items()
    }
    # Utterances count once whatever the repeats, errors in all of them.
    return tuple(
        SliceResult(
            slice=name,
            utterances=distinct(totals["utterances"][i], repeats),
            clusters=totals["clusters"][i],
            failures=totals["failures"][i],
            counts=ErrorCounts(**{part: totals[part][i] for part in _COUNTS}),
            metrics=estimates[name],
            stages=stage_times(estimates[name]),
        )
        for i, name in enumerate(rates.sums.slices)
    )


def _left_texts(
    items: Sequence[Result], utterances: Mapping[str, Utterance], cut: Cut
) -> tuple[str, ...]:
    """Return a note where a second column was chosen, and errors may go with the texts as well."""
    column = cut.crossed
    if column in {None, NO_VALUE, TEXT}:
        return ()
    rows = (
        (
            item.cluster,
            utterances[item.id].attributes.get(column or "", ""),
            item.texts.reference_normalized,
        )
        for item in items
    )
    if not leaves_texts(rows):
        return ()
    words = f"several values of {cut.cluster} share texts, which {column} does not stand for"
    return (f"{words}: cluster: [{cut.cluster}, text] counts these",)


def _load(scored: Sequence[Result], *, timed: bool = False) -> str | None:
    """Return the load of what was timed; ``timed`` says that every answer was."""
    loads = {
        result.load
        for result in scored
        if result.latency_ms is not None or (timed and result.failure is None)
    }
    return next(iter(loads)) if len(loads) == 1 else MIXED_LOAD if loads else None


def _counted(reasons: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(reason for reason in reasons if reason is not None).items()))


def _notes(scored: Sequence[Result], suite: Suite, cut: Cut) -> tuple[str, ...]:
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
    if predicted := bases_of(suite.metrics, PREDICTED):
        notes.append(f"{', '.join(predicted)}: predicted MOS, made by models; nobody listened")
    return tuple(notes)
