"""Suites of recognisers that give partials, and what their runs count."""

from typing import Any

import pytest

from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, AnswerEvent, Failure, FailureReason, Prediction
from relkit.evaluation.streams import check_stream, default_metrics, run_streams, taken_back_words
from relkit.evaluation.suites import parse_suite, suite_digest
from relkit.evaluation.types import Outcome, Suite
from relkit.scoring.normalizers import PURE_STEPS, Pipeline

STREAM = """\
schema: relkit.suite/v1
name: stream
dataset: {name: words}
task: stream
metrics: [wer, partial_churn, settled_ms]
system: {kind: recorded, path: answers.jsonl}
"""
RECORDED = "{kind: recorded, path: answers.jsonl}"
METRICS = "metrics: [wer, partial_churn, settled_ms]"
SERVER = "kind: openai-http, base_url: 'http://a', model: m"
NORMALIZER = Pipeline(name="lower", steps=[PURE_STEPS["lowercase"]], digest_of=digest_of)


def stream_suite(text: str = STREAM) -> Suite:
    """Return a suite of the task stream."""
    return parse_suite(text, source="stream.yaml")


def answered(name: str, *events: AnswerEvent, text: str = "a b", **fields: Any) -> Outcome:  # noqa: ANN401  # any field of the type
    """Return the outcome of a clip that was streamed."""
    answer = Answer(text=text, events=events, **fields)
    return Outcome(id=name, repeat=0, prediction=Prediction(id=name, outcome=answer))


def at(t_ms: float, kind: str, text: str | None = None) -> AnswerEvent:
    """Return an event of a stream."""
    return AnswerEvent(t_ms=t_ms, kind=kind, text=text)


STABLE = (at(100, "partial", "A"), at(600, "final", "a b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            (METRICS, "pace: fast\nmetrics: [wer, settled_ms]"),
            'line 6: the metric "settled_ms" needs speech at its own pace',
        ),
        (
            ("metrics: [wer, partial_churn,", "pace: fast\nmetrics: [latency_ms.p95,"),
            'line 6: the metric "latency_ms.p95" needs speech',
        ),
        (
            ("task: stream", "task: asr"),
            'line 5: the metric "partial_churn" is about a recogniser that gives partials',
        ),
        (
            (RECORDED, "{kind: faster-whisper, model: tiny.en}"),
            "line 6: faster-whisper gives partials by decoding again",
        ),
        (
            (
                RECORDED,
                "{" + SERVER + "}",
            ),
            "line 6: openai-http gives partials only as a stream",
        ),
        (
            (
                RECORDED,
                "{" + SERVER + ", stream: true}",
            ),
            "line 6: openai-http is sent the clip at once",
        ),
        (
            (
                "task: stream\nmetrics: [wer, partial_churn, settled_ms]",
                "task: asr\nupdate_ms: 500",
            ),
            'line 5: "update_ms" is about recognisers that give partials',
        ),
        (("task: stream", "task: stream\nupdate_ms: 3"), '"update_ms"'),
        (
            ("kind: recorded, path: answers.jsonl", "kind: hibari-tts"),
            "no system that gives partials",
        ),
    ],
)
def test_suites_that_cannot_be_measured_are_refused(change: tuple[str, str], message: str) -> None:
    """Each by its line: times at a pace that has none, systems without partials."""
    with pytest.raises(InvalidInput) as refused:
        stream_suite(STREAM.replace(*change))
    assert message in refused.value.message
    assert refused.value.message.startswith("stream.yaml")


def test_a_suite_without_metrics_measures_what_its_pace_allows() -> None:
    """Sent in real time a stream has times and false finals, faster it has none of them."""
    plain = STREAM.replace("metrics: [wer, partial_churn, settled_ms]\n", "")
    assert "settled_ms.p50" in stream_suite(plain).metrics
    fast = stream_suite(plain + "pace: fast\n").metrics
    assert fast == tuple(default_metrics("fast"))
    assert fast == ("wer", "wer_capped", "partial_churn", "revision_rate", "unstable_rate")


def test_the_rate_of_updates_is_in_the_digest_where_the_suite_says_it() -> None:
    """Churn by another rate is another measure; a suite without the key keeps its digest."""
    plain, often = stream_suite(), stream_suite(STREAM + "update_ms: 200\n")
    seldom = stream_suite(STREAM + "update_ms: 500\n")
    assert len({suite_digest(plain), suite_digest(often), suite_digest(seldom)}) == 3


def test_streams_are_measured_by_the_normalizer_and_the_clip() -> None:
    """Case is no change, and the bounds of the clip's level give the times."""
    streams = run_streams(
        [answered("u1", *STABLE)],
        suite=stream_suite(),
        normalizer=NORMALIZER,
        by_level={"u1": (50.0, 500.0)},
    )
    assert streams.counts[0] is not None
    assert (streams.counts[0].updates, streams.counts[0].taken_back) == (2, 0)
    assert streams.times[0] is not None
    assert (streams.times[0].first_partial_ms, streams.times[0].settled_ms) == (50.0, 100.0)
    assert streams.notes == ("bounds of speech: 1 by the level of the clip (docs/streaming.md)",)


def test_bounds_that_a_record_tells_come_first() -> None:
    """Truth of whoever recorded the answer stands before a guess by level."""
    told = (at(0, "user_speech_start"), at(400, "user_speech_stop"))
    streams = run_streams(
        [answered("u1", *STABLE, *told)],
        suite=stream_suite(),
        normalizer=NORMALIZER,
        by_level={"u1": (50.0, 500.0)},
    )
    assert streams.times[0] is not None
    assert streams.times[0].settled_ms == 200.0


def test_what_cannot_be_measured_is_never_a_stable_stream() -> None:
    """Nothing shown counts nothing, a contradiction has failed, a late sender is unusable."""
    outcomes = [
        answered("silent", at(5, "end")),
        answered("other", at(5, "final", "c")),
        answered("late", *STABLE, usage={"pacing_p99_ms": 101.0}),
        answered("open", at(5, "partial", "a b")),
        Outcome(
            id="failed",
            repeat=0,
            prediction=Prediction(id="failed", outcome=Failure(reason=FailureReason.TIMEOUT)),
        ),
    ]
    streams = run_streams(outcomes, suite=stream_suite(), normalizer=NORMALIZER, by_level={})
    assert [item is not None for item in streams.counts] == [False, False, False, True, False]
    other, late = streams.outcomes[1], streams.outcomes[2]
    assert other.prediction is not None
    assert isinstance(other.prediction.outcome, Failure)
    assert other.prediction.outcome.reason is FailureReason.PROTOCOL
    assert late.unusable is not None
    assert late.unusable.reason.value == "not_paced"
    assert streams.notes == (
        "1 stream without known bounds of speech: no times, no false finals",
        "1 answer without a partial or a final: in no stream rate",
        "1 stream without a final event: no time of settling",
    )


def test_faster_than_real_time_there_is_no_time() -> None:
    """Counts of words stand, times and false finals do not."""
    suite = stream_suite(STREAM.replace(", settled_ms", "") + "pace: fast\n")
    streams = run_streams(
        [answered("u1", *STABLE)],
        suite=suite,
        normalizer=NORMALIZER,
        by_level={"u1": (50.0, 500.0)},
    )
    assert streams.counts[0] is not None
    assert (streams.counts[0].streamed, streams.counts[0].finals) == (1, 0)
    assert streams.times[0] is not None
    assert streams.times[0].finalisation_ms is None


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ((at(1, "partial"),), 'line 7: an event "partial" has no "text"'),
        ((at(1, "end"),), 'line 7: the answer has no event "partial" or "final"'),
        ((at(1, "final", "x"),), 'line 7: the last "final" is another text'),
        ((*STABLE, at(0, "user_speech_start")), "line 7: the bounds of speech are no start"),
    ],
)
def test_recorded_streams_are_refused_by_line(
    events: tuple[AnswerEvent, ...], message: str
) -> None:
    """A record that contradicts itself, or shows nothing, belongs to another task."""
    with pytest.raises(InvalidInput) as refused:
        check_stream(Answer(text="a b", events=events), "answers.jsonl", 7)
    assert refused.value.message.startswith(f"answers.jsonl, {message}")


def test_words_are_explored_by_slice() -> None:
    """What was taken back most, in every slice that the utterance is in."""
    outcomes = [
        answered("u1", at(1, "partial", "A x"), at(2, "final", "a b")),
        answered("u2", at(1, "partial", "x"), at(2, "final", "a b")),
        answered("u3", at(5, "end")),
    ]
    words = taken_back_words(
        outcomes, {"u1": ("all", "accent=plain"), "u2": ("all",)}, lambda text: tuple(text.split())
    )
    assert words == {
        "all": (("x", 2), ("A", 1)),
        "accent=plain": (("A", 1), ("x", 1)),
    }
