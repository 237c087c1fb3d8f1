"""What a run of a recogniser that gives partials counts, clip by clip, and when.

The true bounds of speech are those that a recorded answer tells (``user_speech_start`` and
``user_speech_stop``), else those of the clip's own level. Clips without them have no times.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from relkit.conversation.partials import (
    SplitText,
    StreamBounds,
    TextStream,
    cached_words,
    early_partial,
    most_taken_back,
    stream_counts,
    stream_of,
    stream_times,
    words_taken_back,
)
from relkit.conversation.types import ConversationCounts, ConversationTimes
from relkit.core.errors import InvalidInput
from relkit.core.metrics import METRICS, STREAM_METRICS, split_metric
from relkit.core.tokens import tokens, visible
from relkit.core.wording import counted, number
from relkit.core.yaml_text import where
from relkit.datasets.types import (
    Answer,
    Failure,
    FailureReason,
    Unusable,
    UnusableReason,
)
from relkit.evaluation.types import Outcome, Suite
from relkit.scoring.types import Normalizer

TRUTH = ("user_speech_start", "user_speech_stop")
TIMED_METRICS = frozenset(
    {"false_final_rate", *(name for name in STREAM_METRICS if METRICS[name].unit == "ms")}
)
"""What only streams that are sent in real time have."""

DEFAULT_STREAM_METRICS = (
    "wer",
    "wer_capped",
    *(name for name in STREAM_METRICS if name != "speculation_waste"),
)
"""What a suite of the task stream measures where it names no metrics."""


def default_metrics(pace: object) -> list[str]:
    """Return the metrics of a suite of the task stream that names none."""
    fast = pace == "fast"
    return [name for name in DEFAULT_STREAM_METRICS if not (fast and name in TIMED_METRICS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStreams:
    """What each outcome (O,) counts and when, and what became of it.

    ``outcomes`` are those of the run, but that a stream which contradicts itself has failed, and
    one that was sent too late is unusable. ``notes`` are what a reader of the report has to know.
    """

    outcomes: tuple[Outcome, ...]
    counts: tuple[ConversationCounts | None, ...]
    times: tuple[ConversationTimes | None, ...]
    notes: tuple[str, ...] = ()


def check_stream(answer: Answer, source: str, line: int) -> None:
    """Refuse an answer whose events contradict it; raises InvalidInput with file and line."""
    try:
        stream = stream_of(answer)
        told_bounds(answer)
    except ValueError as error:
        raise InvalidInput(
            f"{where(source, line)}: {error}",
            hint="partials and the final hold the whole text so far (docs/streaming.md)",
        ) from None
    if stream is None:
        raise InvalidInput(
            f'{where(source, line)}: the answer has no event "partial" or "final"',
            hint="record what was shown as events (docs/streaming.md), or write task: asr",
        )


def told_bounds(answer: Answer) -> StreamBounds | None:
    """Return the bounds of speech that an answer's events tell, None where they tell none.

    Raises ValueError for half of them, and for an end that is not after the start.
    """
    starts, stops = ([e.t_ms for e in answer.events if e.kind == kind] for kind in TRUTH)
    if not starts and not stops:
        return None
    if not starts or not stops or max(stops) <= min(starts):
        raise ValueError("the bounds of speech are no start with a stop after it")
    return min(starts), max(stops)


def stream_words(suite: Suite, normalizer: Normalizer) -> SplitText:
    """Return how a suite makes words of a text: its normalizer and its segmenter."""

    def normalize(text: str) -> str:
        stages = normalizer.stages(visible(text))
        return stages[-1] if stages else text

    return cached_words(normalize, partial(tokens, segmenter=suite.segmenter))


def run_streams(
    outcomes: Sequence[Outcome],
    *,
    suite: Suite,
    normalizer: Normalizer,
    by_level: Mapping[str, StreamBounds],
) -> RunStreams:
    """Return what the streams of a run count.

    An answer that shows nothing counts nothing, one that contradicts itself is a failure
    (``protocol``), and one whose audio was sent too late is unusable (``not_paced``). Streams that
    are sent faster than real time have no times.
    """
    words = stream_words(suite, normalizer)
    counts: list[ConversationCounts | None] = [None] * len(outcomes)
    times: list[ConversationTimes | None] = [None] * len(outcomes)
    judged = list(outcomes)
    seen: Counter[str] = Counter()
    for i, outcome in enumerate(outcomes):
        prediction = outcome.prediction
        if prediction is None or not isinstance(answer := prediction.outcome, Answer):
            continue
        try:
            stream, told = stream_of(answer), told_bounds(answer)
        except ValueError as error:
            failure = Failure(reason=FailureReason.PROTOCOL, detail=str(error))
            judged[i] = replace(outcome, prediction=replace(prediction, outcome=failure))
            continue
        if stream is None:
            seen["silent"] += 1
            continue
        if suite.pace == "realtime" and _was_late(answer, suite):
            reason = Unusable(reason=UnusableReason.NOT_PACED)
            judged[i] = replace(outcome, prediction=None, unusable=reason)
            continue
        bounds = told or by_level.get(outcome.id)
        seen["told" if told else "level" if bounds else "unbounded"] += 1
        if suite.pace == "fast":
            bounds = None
        if bounds is not None:
            seen["early"] += early_partial(stream, words, bounds)
        seen["open"] += not stream.finals_ms
        counts[i] = stream_counts(stream, words, bounds)
        times[i] = stream_times(stream, words, bounds)
    return RunStreams(
        outcomes=tuple(judged),
        counts=tuple(counts),
        times=tuple(times),
        notes=tuple(_notes(seen, suite)),
    )


def _was_late(answer: Answer, suite: Suite) -> bool:
    late = answer.usage.get("pacing_p99_ms")
    return late is not None and late > suite.windows.pacing_ms


def _notes(seen: Counter[str], suite: Suite) -> Iterator[str]:
    if suite.update_ms is not None:
        every = number(suite.update_ms, "ms")
        yield f"text is made again every {every}: churn depends on it, and runs compare by it"
    if suite.pace == "fast":
        yield "audio was sent faster than real time (pace: fast): there are no times"
    elif seen["told"] or seen["level"]:
        ways = [
            f"{seen[kind]} {how}"
            for kind, how in (("told", "by the record"), ("level", "by the level of the clip"))
            if seen[kind]
        ]
        yield f"bounds of speech: {', '.join(ways)} (docs/streaming.md)"
    if suite.pace != "fast" and seen["unbounded"]:
        streams = counted(seen["unbounded"], "stream")
        yield f"{streams} without known bounds of speech: no times, no false finals"
    if seen["silent"]:
        yield f"{counted(seen['silent'], 'answer')} without a partial or a final: in no stream rate"
    if seen["open"]:
        yield f"{counted(seen['open'], 'stream')} without a final event: no time of settling"
    if seen["early"]:
        yield f"{counted(seen['early'], 'stream')} showed a word before anybody spoke"


def taken_back_words(
    outcomes: Iterable[Outcome],
    slices: Mapping[str, Iterable[str]],
    words: SplitText,
    *,
    most: int = 20,
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return by slice the words taken back most often; these are transcripts.

    ``slices`` maps an utterance to the names of the slices that it is in.
    """
    counters: dict[str, list[Counter[str]]] = {}
    for outcome in outcomes:
        if (stream := answered_stream(outcome)) is None:
            continue
        counter = words_taken_back(words(item.text) for item in stream.shown)
        for name in slices.get(outcome.id, ()):
            counters.setdefault(name, []).append(counter)
    return most_taken_back(counters, most=most)


def answered_stream(outcome: Outcome) -> TextStream | None:
    """Return the stream of an outcome, None where it has none that can be measured."""
    answer = None if outcome.prediction is None else outcome.prediction.outcome
    if not isinstance(answer, Answer):
        return None
    try:
        return stream_of(answer)
    except ValueError:
        return None


def is_timed(name: str) -> bool:
    """Tell whether a metric, with or without its statistic, is in ms."""
    base, _ = split_metric(name)
    return base in METRICS and METRICS[base].unit == "ms"
