"""Lets a system speak every text, gives the clips to a recogniser, and keeps each outcome.

The recogniser's floor: what it gets wrong by itself, on the dataset's own recordings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from relkit.audio.samples import audio_facts
from relkit.audio.types import WARM_UP, Floor, Script, SpeechSummary, SpokenAudio
from relkit.core.errors import InvalidInput
from relkit.core.ports import Progress
from relkit.core.slices import OVERALL
from relkit.core.values import Estimate
from relkit.core.wording import interval, number
from relkit.datasets.ports import AudioReader
from relkit.datasets.types import (
    Answer,
    AudioSpan,
    Clip,
    Failure,
    FailureReason,
    Prediction,
    Utterance,
)
from relkit.evaluation.conclude import score_outcomes
from relkit.evaluation.ports import OpenRun, PredictionCache, RoundTrip, SystemUnderTest
from relkit.evaluation.predict import Asking, Key
from relkit.evaluation.quality import Spoken
from relkit.evaluation.slicing import Plan
from relkit.evaluation.types import Outcome, Result
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums

FLOOR_METRICS = ("wer", "wer_capped", "cer", "entity_error_rate")
"""What is said of a recogniser alone; where one loops, only the capped rate can be read."""


def floor_metrics(results: Sequence[Result]) -> dict[str, Estimate]:
    """Return the floor's metrics over all scored results, clustered as the run's own metrics are.

    Metrics without a unit (no entity in the data) are left out.
    """
    scored = [result for result in results if result.score is not None]
    clusters = sorted({result.cluster for result in scored})
    place = {cluster: i for i, cluster in enumerate(clusters)}
    scores = [result.score for result in scored if result.score is not None]
    counted = {
        "errors": [score.counts.errors for score in scores],
        "capped_errors": [score.counts.capped_errors for score in scores],
        "words": [score.counts.reference_length for score in scores],
        "char_errors": [score.characters.errors for score in scores],
        "characters": [score.characters.reference_length for score in scores],
        "entity_errors": [score.entity_errors for score in scores],
        "entities": [score.entities for score in scores],
    }
    columns = {name: np.array(values, dtype=np.float64) for name, values in counted.items()}
    for name in ("words", "characters", "entities"):
        columns[f"with_{name}"] = (columns[name] > 0).astype(np.float64)
    index = np.array([place[result.cluster] for result in scored], dtype=np.int64)
    sums = ClusterSums(
        slices=(OVERALL,),
        slice_index=np.zeros(len(clusters), dtype=np.int64),
        cluster_index=np.arange(len(clusters), dtype=np.int64),
        columns={
            name: np.bincount(index, weights=column, minlength=len(clusters)).astype(np.float64)
            for name, column in columns.items()
        },
    )
    evidence = RateEvidence(sums=sums)
    estimates = {name: estimate_rates(RATE_METRICS[name], evidence)[0] for name in FLOOR_METRICS}
    return {name: estimate for name, estimate in estimates.items() if estimate.value is not None}


CLIPS = "audio"
"""The folder of a run that holds what was spoken."""

_NO_RECORDING = "the dataset has no recording of these utterances"


def check_texts(utterances: Sequence[Utterance], name: str) -> None:
    """Refuse utterances without a text; raises InvalidInput that names the first one's line."""
    empty = [item for item in utterances if not item.reference.strip()]
    if empty:
        raise InvalidInput(
            f"{name}, line {empty[0].line}: {len(empty)} of the suite's utterances have no text "
            "to speak",
            hint="choose others with dataset.where in the suite",
        )


def speak(
    run: OpenRun,
    utterances: Sequence[Utterance],
    trip: RoundTrip,
    *,
    audio: AudioReader,
    cache: PredictionCache,
    progress: Progress,
) -> list[Outcome]:
    """Return one outcome per utterance and repeat; the answer's text is what was understood.

    First everything is spoken, then everything is listened to, so that the recogniser takes no
    time from the system under test. The journal holds each step before the next is taken: a
    resumed run speaks and listens only to what is missing. A system that does not speak, an empty
    or silent clip, one that cannot be decoded, and a recogniser that does not answer are failures
    by different names. Raises BackendUnavailable where one of the two cannot be reached.
    """
    folder = trip.folder(run.header.run)
    done = _journalled(run)
    items = [(item, repeat) for repeat in range(run.header.repeats) for item in utterances]
    taken = sum(map(_steps, done.values()))

    def take(outcome: Outcome) -> None:
        nonlocal taken
        run.append(outcome)
        before = done.get((outcome.id, outcome.repeat))
        taken += _steps(outcome) - (0 if before is None else _steps(before))
        done[outcome.id, outcome.repeat] = outcome
        progress(taken, 2 * len(items))

    silent = [(u, r) for u, r in items if _unspoken(done.get((u.id, r)), folder)]
    scripts = (
        (item.id, repeat, Script(text=item.reference, folder=str(folder / CLIPS)))
        for item, repeat in silent
    )
    for prediction in trip.speaker.predict(scripts):
        take(Outcome(id=prediction.id, repeat=prediction.repeat, prediction=prediction))
    limit = run.header.suite.max_audio_s
    listening = _Listening(dict(done))
    unheard = [listening.clip(u, r) for u, r in items if _clip_of(done[u.id, r]) is not None]
    if trip.recogniser.executor is not None and unheard:
        digest = trip.recogniser.candidate.digest
        asking = Asking(digest, audio, cache, str(folder), limit, listening.look)
        asking.ask(
            unheard,
            trip.recogniser.executor,
            lambda transcribed: take(listening.settled(transcribed)),
        )
    return [done[item.id, repeat] for item, repeat in items]


def _journalled(run: OpenRun) -> dict[Key, Outcome]:
    """Return what is done; a clip that nobody could listen to is only spoken so far.

    The recogniser is an instrument: where it was down, the resumed run asks it again.
    """
    done: dict[Key, Outcome] = {}
    for item in run.outcomes():
        result = None if item.prediction is None else item.prediction.outcome
        unheard = isinstance(result, Failure) and result.reason is FailureReason.NOT_HEARD
        if not unheard or (item.id, item.repeat) not in done:
            done[item.id, item.repeat] = item
    return done


def _steps(outcome: Outcome) -> int:
    """Return how many of its two steps an outcome has behind it."""
    return 2 if _clip_of(outcome) is None else 1


def _clip_of(outcome: Outcome) -> str | None:
    """Return the path of a clip that was spoken and not listened to yet; ``audio`` settles it."""
    answer = _answer(outcome)
    return answer.audio if answer is not None and outcome.audio is None else None


def _unspoken(outcome: Outcome | None, folder: Path) -> bool:
    """Return whether a text has yet to be spoken, or its clip is gone before it was heard."""
    if outcome is None:
        return True
    clip = _clip_of(outcome)
    return clip is not None and not (folder / clip).is_file()


def _answer(outcome: Outcome) -> Answer | None:
    result = None if outcome.prediction is None else outcome.prediction.outcome
    return result if isinstance(result, Answer) else None


@dataclass(slots=True)
class _Listening:
    """Puts together what was spoken and what was understood."""

    spoken: Mapping[Key, Outcome]
    _measured: dict[Key, SpokenAudio] = field(default_factory=dict)

    def clip(self, utterance: Utterance, repeat: int) -> tuple[Utterance, int]:
        """Return the utterance with the spoken clip as its audio."""
        path = _clip_of(self.spoken[utterance.id, repeat]) or ""
        return replace(utterance, audio=AudioSpan(path=path)), repeat

    def look(self, utterance: Utterance, repeat: int, clip: Clip) -> Outcome | None:
        """Measure a clip; a silent one needs no recogniser, which might hear words in it."""
        key = utterance.id, repeat
        facts = audio_facts(clip.samples, clip.sample_rate)
        if facts is None:
            return self._failed(key, FailureReason.NO_SPEECH, "a silent clip", clip)
        answer = _answer(self.spoken[key])
        first = None if answer is None else answer.first_byte_ms
        self._measured[key] = replace(
            facts,
            first_audio_ms=None if first is None else first + facts.leading_silence_ms,
            warm_up_ms=None if answer is None else answer.usage.get(WARM_UP),
        )
        return None

    def _failed(
        self, key: Key, reason: FailureReason, detail: str, clip: Clip | None = None
    ) -> Outcome:
        spoken = self.spoken[key]
        if spoken.prediction is None:
            return spoken
        failure = Failure(reason=reason, detail=detail)
        return replace(
            spoken,
            prediction=replace(spoken.prediction, outcome=failure),
            audio=None if clip is None else clip.digest,
            duration=None if clip is None else clip.duration_s,
        )

    def settled(self, transcribed: Outcome) -> Outcome:
        key = transcribed.id, transcribed.repeat
        if transcribed.unusable is not None:
            return self._failed(key, FailureReason.BAD_AUDIO, transcribed.unusable.reason.value)
        measured = self._measured.get(key)
        if measured is None or transcribed.prediction is None:
            return transcribed  # settled by a look
        spoken, answer = self.spoken[key], _answer(self.spoken[key])
        outcome: Answer | Failure = transcribed.prediction.outcome
        if isinstance(outcome, Failure):
            detail = f"recogniser: {outcome.reason.value}"
            outcome = Failure(reason=FailureReason.NOT_HEARD, detail=detail)
        elif answer is not None:
            outcome = replace(answer, text=outcome.text)
        prediction: Prediction | None = spoken.prediction
        if prediction is not None:
            prediction = replace(prediction, outcome=outcome)
        return replace(
            spoken,
            prediction=prediction,
            audio=transcribed.audio,
            duration=transcribed.duration,
            speech=measured,
        )


def spoken_clips(outcomes: Sequence[Outcome]) -> list[Spoken]:
    """Return what was spoken, as audio to be scored: the first repeat, paths inside the run."""
    return [
        Spoken(id=outcome.id, audio=AudioSpan(path=answer.audio), digest=outcome.audio)
        for outcome in outcomes
        if outcome.repeat == 0
        if (answer := _answer(outcome)) is not None and answer.audio is not None
    ]


def recogniser_floor(
    planned: Plan, recogniser: SystemUnderTest, *, audio: AudioReader, cache: PredictionCache
) -> Floor | None:
    """Return what the recogniser gets wrong on the dataset's own recordings, None without any.

    It is the part of the round trip's error rates that is not the voice's, as far as the
    recordings are as clear. What it was asked before comes from the cache.
    """
    if recogniser.executor is None:
        return None
    suite, root = planned.suite, planned.dataset.root
    asking = Asking(recogniser.candidate.digest, audio, cache, root, suite.max_audio_s)
    by_id = {item.id: item for item in planned.utterances}
    outcomes: list[Outcome] = []
    asking.ask([(item, 0) for item in planned.utterances], recogniser.executor, outcomes.append)
    results = score_outcomes(
        outcomes,
        by_id,
        suite=suite,
        normalizer=planned.normalizer,
        cut=planned.cut,
    )
    missing = sum(result.score is None for result in results)
    if missing == len(results):
        return None
    return Floor(
        recordings=len(results) - missing,
        failures=sum(result.failure is not None for result in results),
        missing=missing,
        metrics=floor_metrics(results),
    )


def speech_summary(
    outcomes: Sequence[Outcome], recogniser: SystemUnderTest, floor: Floor | None
) -> SpeechSummary:
    """Return what a report says about a round trip besides its metrics."""
    answers = [answer for outcome in outcomes if (answer := _answer(outcome)) is not None]
    first = [answer.usage[WARM_UP] for answer in answers if WARM_UP in answer.usage]
    warm = [answer.latency_ms for answer in answers if answer.latency_ms is not None]
    return SpeechSummary(
        recogniser=recogniser.candidate.digest,
        artifact=recogniser.candidate.artifact,
        warm_ups=len(first),
        warm_up_ms=fmean(first) if first else None,
        warm_ms=fmean(warm) if warm else None,
        floor=floor,
    )


def rescored_summary(
    summary: SpeechSummary | None, *, same_text_rules: bool
) -> tuple[SpeechSummary | None, tuple[str, ...]]:
    """Return an old run's summary and notes for its scores by other rules.

    A floor that was scored by another normalizer says nothing about the new numbers.
    """
    if summary is None:
        return None, ()
    if same_text_rules:
        return summary, speech_notes(summary)
    without_floor = replace(summary, floor=None)
    return without_floor, speech_notes(
        without_floor, no_floor="it was scored by another normalizer"
    )


def speech_notes(summary: SpeechSummary, *, no_floor: str = _NO_RECORDING) -> tuple[str, ...]:
    """Return what a reader has to know to read a round trip's numbers rightly."""
    notes = []
    if summary.warm_up_ms is not None:
        warm = "" if summary.warm_ms is None else f"; warm calls {number(summary.warm_ms, 'ms')}"
        notes.append(
            f"warm-up: {summary.warm_ups} first calls took {number(summary.warm_up_ms, 'ms')} on "
            f"average and are not among the latencies{warm}"
        )
    if (floor := summary.floor) is None:
        notes.append(f"no recogniser floor: {no_floor}")
        return tuple(notes)
    rates = ", ".join(
        f"{name} {number(estimate.value, estimate.unit)}"
        + (
            f" ({interval(estimate.low, estimate.high, estimate.unit)})"
            if estimate.low is not None
            else ""
        )
        for name, estimate in floor.metrics.items()
    )
    lacking = f", {floor.missing} utterances have none" if floor.missing else ""
    notes.append(
        f"recogniser floor: {rates} on {floor.recordings} recordings of the dataset{lacking}; "
        "error rates count the recogniser's errors, too"
    )
    return tuple(notes)
