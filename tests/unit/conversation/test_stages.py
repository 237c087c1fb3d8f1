"""Where the time of a response went, by hand-worked event logs."""

import pytest

from relkit.conversation.stages import EventTimes, response_stages, stage_times
from relkit.conversation.types import StageTime, StageTimes
from relkit.core.values import Estimate
from relkit.datasets.types import AnswerEvent

EOT, FINAL, TOKEN, AUDIO = "user_stopped_speaking", "final", "llm_token", "tts_first_audio"
CHAIN = ((500, EOT), (600, FINAL), (900, TOKEN), (1_100, AUDIO))
PLAYED = {"endpoint": 500, "asr": 100, "llm": 300, "tts": 200, "playout": 100, "unexplained": 0}


def stages(*events: tuple[float, str]) -> dict[str, float]:
    """Return the stages of a turn that ends at 0 and sounds at 1,200, from times relative to it."""
    times = EventTimes(AnswerEvent(t_ms=10_000 + time, kind=kind) for time, kind in events)
    return {
        str(name): value
        for name, value in response_stages(
            times, start_ms=8_000, stop_ms=10_000, sound_ms=11_200
        ).items()
    }


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (CHAIN, PLAYED),
        (tuple(reversed(CHAIN)), PLAYED),
        (CHAIN + CHAIN, PLAYED),
        ((*CHAIN, (1_300, FINAL), (5_000, TOKEN)), PLAYED),  # after the sound
        ((*CHAIN, (-700, EOT), (-600, FINAL), (-300, TOKEN)), PLAYED),  # of a false end
        ((*CHAIN, (-2_100, TOKEN)), PLAYED),  # before the turn
        ((), {"unexplained": 1_200}),
        (CHAIN[:1], {"endpoint": 500, "unexplained": 700}),
        (
            CHAIN[1:],
            {
                **{k: v for k, v in PLAYED.items() if k not in {"endpoint", "asr"}},
                "unexplained": 600,
            },
        ),
        (
            (CHAIN[0], *CHAIN[2:]),  # no transcript: a speech-to-speech model
            {"endpoint": 500, "tts": 200, "playout": 100, "unexplained": 400},
        ),
        (  # the transcript was final before the system took the turn for ended
            ((300, FINAL), CHAIN[0], *CHAIN[2:]),
            {**PLAYED, "asr": 0, "llm": 400},
        ),
        (  # everything was ready before the user stopped
            ((-50, EOT), (-300, FINAL), (-200, TOKEN), (-10, AUDIO)),
            {"endpoint": 0, "asr": 0, "llm": 0, "tts": 0, "playout": 1_200, "unexplained": 0},
        ),
        (  # the model began on a partial: its token waited for nothing
            ((500, EOT), (450, TOKEN), (700, FINAL), (1_100, AUDIO)),
            {**PLAYED, "asr": 200, "llm": 0, "tts": 400},
        ),
    ],
)
def test_stages_of_hand_worked_logs(
    events: tuple[tuple[float, str], ...], expected: dict[str, float]
) -> None:
    """Each stage ends at its milestone; a missing one leaves its stretch unexplained."""
    assert stages(*events) == expected


def test_retrieval_and_tools_stand_before_the_answer() -> None:
    """Two calls and a search come before the first token of the request that they lead to."""
    events = (
        (100, EOT),
        (150, FINAL),
        (160, "retrieval_started"),
        (260, "retrieval_stopped"),
        (270, "llm_started"),
        (400, TOKEN),
        (420, "tool_started"),
        (600, "tool_stopped"),
        (610, "tool_started"),
        (700, "tool_stopped"),
        (705, "llm_started"),
        (900, TOKEN),
        (1_000, AUDIO),
        (1_050, "tool_started"),
    )
    assert stages(*events) == {
        "endpoint": 100,
        "asr": 50,
        "retrieval": 110,
        "tool": 440,
        "llm": 200,
        "tts": 100,
        "playout": 200,
        "unexplained": 0,
    }


def test_a_request_without_a_token_is_missing() -> None:
    """Tokens of the request before are not those of the answer."""
    events = ((100, EOT), (150, FINAL), (400, TOKEN), (500, "llm_started"), (1_000, AUDIO))
    assert stages(*events) == {
        "endpoint": 100,
        "asr": 50,
        "unexplained": 850,
        "playout": 200,
    }


def test_a_tool_that_never_stopped_is_unexplained() -> None:
    """What was started and not seen to stop is missing; what was not started is not."""
    events = ((100, EOT), (150, FINAL), (420, "tool_started"), (900, TOKEN), (1_000, AUDIO))
    assert stages(*events) == {
        "endpoint": 100,
        "asr": 50,
        "unexplained": 750,
        "tts": 100,
        "playout": 200,
    }


def test_events_are_looked_up_with_both_ends() -> None:
    """First and last of a kind, at the bounds and outside them."""
    times = EventTimes(AnswerEvent(t_ms=time, kind="final") for time in (30.0, 10.0, 20.0))
    assert [
        event and event.t_ms
        for event in (times.first("final", 10, 30), times.last("final", 10, 30))
    ] == [10, 30]
    assert times.first("final", 21, 29) is None
    assert times.last("final", 31, 40) is None
    assert times.first("partial", 0, 99) is times.last("partial", 0, 99) is None
    assert times.tells("final")
    assert not times.tells("partial")


def timed(name: str, n: int, *values: float) -> dict[str, Estimate]:
    """Return the estimates of a time: mean, p50 and p95 over n turns."""
    parts = zip(("mean", "p50", "p95"), values, strict=True)
    return {f"{name}.{part}": Estimate(value=value, n=n, unit="ms") for part, value in parts}


def test_the_stages_of_a_slice_come_to_its_mean_response() -> None:
    """A stage that only some turns have counts as often as they do."""
    metrics = (
        timed("response_ms", 4, 500, 480, 900)
        | timed("stage_ms.endpoint", 4, 300, 290, 400)
        | timed("stage_ms.tool", 1, 800, 800, 800)
    )
    times = stage_times(metrics)
    assert times == StageTimes(
        endpoint=StageTime(mean=300, p50=290, p95=400),
        tool=StageTime(mean=800, p50=800, p95=800),
        sum_ms=500,
        response_ms=500,
    )
    assert times is not None
    assert list(times.measured) == ["endpoint", "tool"]


def test_a_slice_without_stages_has_none() -> None:
    """Nothing measured is no stage of 0 ms, and without turns there is no sum."""
    missing = {f"stage_ms.asr.{part}": Estimate(value=None) for part in ("mean", "p50", "p95")}
    assert stage_times(missing | timed("response_ms", 4, 500, 480, 900)) is None
    alone = stage_times(timed("stage_ms.asr", 2, 5, 5, 5))
    assert alone is not None
    assert (alone.sum_ms, alone.response_ms) == (None, None)
