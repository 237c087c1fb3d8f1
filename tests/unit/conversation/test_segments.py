"""Stretches of sound by level, offline and while it is played; speech by energy and by scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.conversation.segments import (
    ChannelSamples,
    SoundTracker,
    energy_spans,
    frame_powers,
    joined_spans,
    probability_spans,
    sound_spans,
)
from relkit.conversation.types import SoundSpan
from relkit.datasets.types import AnswerEvent

RATE = 8_000
Bounds = list[tuple[float, float]]


def channel(frames: str, rate: int = RATE) -> ChannelSamples:
    """Return 10 ms of sound (-40 dBFS) for each "#", of near silence (-70 dBFS) for others."""
    gains = [1e-2 if frame == "#" else 10**-3.5 for frame in frames]
    return np.repeat(np.array(gains, dtype=np.float32), rate // 100)


def bounds(spans: tuple[SoundSpan, ...]) -> Bounds:
    """Return spans as pairs, in ms, rounded to a thousandth."""
    return [(round(span.start_ms, 3), round(span.stop_ms, 3)) for span in spans]


GAP_19 = "." * 19
GAP_20 = "." * 20


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("", []),
        ("....", []),
        ("##..", []),  # 20 ms are no sound
        ("###", [(0, 30)]),
        ("..###..", [(20, 50)]),
        ("##.##.##", []),  # never 30 ms in a row
        ("#.###", [(20, 50)]),  # from the first 30 ms on
        ("###" + GAP_19 + "#", [(0, 230)]),  # a click goes on with what sounds
        ("###" + GAP_19 + "###" + GAP_20 + "###", [(0, 250), (450, 480)]),
        ("###" + GAP_20 + "#", [(0, 30)]),  # ... and begins nothing
        ("###" + GAP_20 + "##" + GAP_19 + "###", [(0, 30), (440, 470)]),
    ],
)
def test_sound_is_a_level_for_30_ms_until_silence_for_200(frames: str, expected: Bounds) -> None:
    """The offline rule and the tracker agree on hand-worked levels."""
    assert bounds(sound_spans(channel(frames), RATE)) == expected
    assert bounds(_tracked(channel(frames), RATE, [7, 160, 33])) == expected


def _tracked(samples: ChannelSamples, rate: int, cuts: list[int]) -> tuple[SoundSpan, ...]:
    tracker = SoundTracker(rate)
    events: list[AnswerEvent] = []
    at, i = 0, 0
    while at < len(samples):
        size = cuts[i % len(cuts)]
        events += tracker.feed(samples[at : at + size])
        at, i = at + size, i + 1
    events += tracker.finish()
    assert [event.kind for event in events] == [
        "agent_speech_start",
        "agent_speech_stop",
    ] * (len(events) // 2)
    return tuple(
        SoundSpan(start_ms=start.t_ms, stop_ms=stop.t_ms)
        for start, stop in zip(events[::2], events[1::2], strict=True)
    )


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 9e-4, 1.1e-3, 0.3]), st.integers(1, 4_000))),
    st.sampled_from([8_000, 11_025, 16_000, 24_000]),
    st.lists(st.integers(1, 5_000), min_size=1, max_size=6),
)
def test_the_tracker_finds_what_the_recording_gives(
    pieces: list[tuple[float, int]], rate: int, cuts: list[int]
) -> None:
    """However sound is cut into pieces, its stretches are those of the whole."""
    samples = np.concatenate(
        [np.full(length, gain, dtype=np.float32) for gain, length in pieces]
        or [np.zeros(0, dtype=np.float32)]
    )
    assert _tracked(samples, rate, cuts) == sound_spans(samples, rate)


def test_a_tracker_tells_while_it_sounds() -> None:
    """A start is known after 30 ms, a stop after the bridge; both with the time of the sound."""
    tracker = SoundTracker(RATE)
    assert tracker.feed(channel("..##")) == ()
    (start,) = tracker.feed(channel("#"))
    assert (start.kind, start.t_ms, tracker.speaking) == ("agent_speech_start", 20, True)
    assert tracker.feed(channel("#" + GAP_19)) == ()
    (stop,) = tracker.feed(channel("."))
    assert (stop.kind, stop.t_ms, tracker.speaking) == ("agent_speech_stop", 60, False)


def test_a_channel_of_a_stereo_recording_is_read_where_it_lies() -> None:
    """A column of (n, 2) gives what a copy of it gives."""
    stereo = np.stack((channel("." * 9), channel("..###....")), axis=1)
    assert bounds(sound_spans(stereo[:, 1], RATE)) == [(20, 50)]


def test_samples_that_are_no_numbers_are_refused() -> None:
    """A level of NaN is neither sound nor silence."""
    samples = channel("###")
    samples[5] = np.nan
    with pytest.raises(ValueError, match="no finite numbers"):
        frame_powers(samples, RATE)
    with pytest.raises(ValueError, match="0 Hz"):
        frame_powers(samples, 0)


def test_energy_finds_speech_over_its_own_floor() -> None:
    """On a clean channel the bounds are those of the speech, in hum those above it."""
    rng = np.random.default_rng(3)
    speech = np.zeros(RATE * 4, dtype=np.float32)
    speech[RATE : 2 * RATE] = 0.1 * rng.standard_normal(RATE).astype(np.float32)
    assert bounds(energy_spans(speech, RATE)) == [(1_000, 2_000)]
    hum = 0.01 * rng.standard_normal(len(speech)).astype(np.float32)
    ((start, stop),) = bounds(energy_spans(speech + hum, RATE))
    assert (start, stop) == (1_000, 2_000)
    assert energy_spans(np.zeros(0, dtype=np.float32), RATE) == ()
    assert energy_spans(np.zeros(RATE, dtype=np.float32), RATE) == ()
    full = 0.1 * rng.standard_normal(RATE).astype(np.float32)
    assert bounds(energy_spans(full, RATE)) == [(0, 1_000)]  # its floor is its speech


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], []),
        ([0.4, 0.4, 0.4], []),  # never begins
        ([0.0, 0.6, 0.4, 0.4, 0.1, 0.0], [(32, 128)]),  # goes on until below the lower bound
        ([0.6, 0.1], []),  # 32 ms are too short
        ([0.9, 0.9, 0.1, 0.4, 0.1, 0.9], [(0, 192)]),  # bridged
        ([0.9, 0.9, *[0.1] * 7, 0.9, 0.9], [(0, 64), (288, 352)]),
    ],
)
def test_scores_of_voice_activity_have_hysteresis(scores: list[float], expected: Bounds) -> None:
    """Speech begins at the higher bound and lasts until the scores stay below the lower one."""
    assert bounds(probability_spans(np.array(scores), 32.0)) == expected


def test_pauses_and_blips_are_no_ends_and_no_speech() -> None:
    """Short gaps are bridged, and a chunk alone is dropped; what is open at the end counts."""
    likely = [0.9] * 5 + [0.4] * 3 + [0.1] * 4 + [0.9] * 5 + [0.1] * 20 + [0.9] + [0.1] * 9
    assert bounds(probability_spans(np.array(likely), 32.0)) == [(0, 17 * 32)]
    assert bounds(probability_spans(np.array([0.1] * 2 + [0.9] * 8), 32.0)) == [(64, 320)]


@pytest.mark.parametrize("scores", [[0.5, float("nan")], [1.5], [-0.1]])
def test_scores_that_are_no_probabilities_are_refused(scores: list[float]) -> None:
    """A detector that gives NaN or logits has not said where speech is."""
    with pytest.raises(ValueError, match="no probabilities"):
        probability_spans(np.array(scores), 32.0)
    with pytest.raises(ValueError, match="no length"):
        probability_spans(np.array([0.5]), 0.0)


def test_spans_close_together_are_one() -> None:
    """Overlapping, unordered and nearly touching stretches join; those without length go."""
    spans = [(500, 600), (0, 100), (50, 80), (299, 300), (900, 900)]
    joined = joined_spans([SoundSpan(start_ms=a, stop_ms=b) for a, b in spans])
    assert bounds(joined) == [(0, 300), (500, 600)]
