"""When the entries of a script begin, what is sent, and a loudspeaker that can be emptied."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.audio.samples import FULL_SCALE
from relkit.conversation.loudspeaker import Loudspeaker
from relkit.conversation.player import ScriptPlayer
from relkit.conversation.types import ConversationScript, ScriptClip
from relkit.datasets.types import Acoustics, AnswerEvent, ScriptEntry, When

RATE, FRAME = 1000, 20  # a sample a millisecond
SILENT = np.zeros(FRAME, dtype=np.int16)


def clip(turn: str, when: When, length: int = 100, label: str = "turn") -> ScriptClip:
    """Return an entry of so many ms at half of full scale, its speech 10 ms within its ends."""
    entry = ScriptEntry(turn=turn, audio_filepath="a", label=label, when=when)  # type: ignore[arg-type]
    samples = np.full(length, 0.5, dtype="<f4").tobytes()
    return ScriptClip(entry=entry, samples=samples, bounds_ms=(10.0, length - 10.0))


def player(
    *clips: ScriptClip, acoustics: Acoustics | None = None, noise: bytes | None = None
) -> ScriptPlayer:
    """Return a player of clips."""
    script = ConversationScript(
        id="a",
        clips=clips,
        sample_rate=RATE,
        acoustics=acoustics,
        noise=noise,
        digest="d",
        folder="f",
    )
    return ScriptPlayer(script, FRAME)


def truths(
    player_: ScriptPlayer, frames: int, heard: dict[int, AnswerEvent] | None = None
) -> list[tuple[str, str, float]]:
    """Play frames and return (kind, turn, time) of the truth; ``heard`` comes before its frame."""
    events: list[AnswerEvent] = []
    for i in range(frames):
        if heard and i in heard:
            player_.observe((heard[i],))
        events.extend(player_.frame(SILENT)[1])
    return [(event.kind, event.turn or "", event.t_ms) for event in events]


def test_an_entry_begins_so_long_after_the_start() -> None:
    """Its speech begins and ends at its bounds within the clip."""
    said = truths(player(clip("u1", When(after="start", ms=45))), 10)
    assert said == [("user_speech_start", "u1", 55.0), ("user_speech_stop", "u1", 135.0)]


def test_an_interruption_begins_so_long_after_the_agent() -> None:
    """The agent's sound is known a little late, and its own time counts."""
    script = player(
        clip("u1", When(after="start")), clip("u2", When(after="agent_speech_start", ms=100))
    )
    heard = {12: AnswerEvent(t_ms=200.0, kind="agent_speech_start")}
    assert truths(script, 30, heard)[2] == ("user_speech_start", "u2", 310.0)


def test_a_pause_between_sentences_is_not_the_end() -> None:
    """Who waits for the agent to be silent goes on waiting where it speaks again."""
    script = player(
        clip("u1", When(after="start")), clip("u2", When(after="agent_speech_stop", ms=200))
    )
    heard = {
        10: AnswerEvent(t_ms=150.0, kind="agent_speech_start"),
        15: AnswerEvent(t_ms=250.0, kind="agent_speech_stop"),
        18: AnswerEvent(t_ms=320.0, kind="agent_speech_start"),
        25: AnswerEvent(t_ms=480.0, kind="agent_speech_stop"),
    }
    assert truths(script, 50, heard)[2] == ("user_speech_start", "u2", 690.0)


def test_an_event_from_before_the_entry_before_does_not_count() -> None:
    """An answer to an earlier turn is no answer to this one."""
    script = player(
        clip("u1", When(after="start", ms=300)), clip("u2", When(after="agent_speech_start", ms=50))
    )
    heard = {2: AnswerEvent(t_ms=40.0, kind="agent_speech_start")}
    assert [name for _, name, _ in truths(script, 60, heard)] == ["u1", "u1"]
    assert not script.said_all


def test_noise_lies_at_its_distance_below_the_speech() -> None:
    """The mean power of speech within its bounds is 10 dB above that of the noise."""
    noise = np.random.default_rng(1).normal(0, 0.1, 500).astype("<f4").tobytes()
    acoustics = Acoustics(noise="n", snr_db=10.0, seed=3)
    silent = player(clip("u1", When(after="start", ms=5000)), acoustics=acoustics, noise=noise)
    sent = np.concatenate([silent.frame(SILENT)[0] for _ in range(25)]) / FULL_SCALE
    assert 10 * np.log10(0.25 / np.mean(sent**2)) == pytest.approx(10.0, abs=0.01)


def test_noise_is_the_same_with_the_same_seed() -> None:
    """What is sent can be sent again."""
    noise = np.random.default_rng(1).normal(0, 0.1, 500).astype("<f4").tobytes()

    def sent(seed: int) -> list[float]:
        acoustics = Acoustics(noise="n", snr_db=10.0, seed=seed)
        script = player(clip("u1", When(after="start")), acoustics=acoustics, noise=noise)
        return [float(x) for _ in range(5) for x in script.frame(SILENT)[0]]

    assert sent(1) == sent(1) != sent(2)


def test_the_loudspeaker_comes_back_as_echo() -> None:
    """After its delay, at its level; the user's own channel is free of it."""
    acoustics = Acoustics(echo_db=-20.0, echo_ms=40.0)
    script = player(clip("u1", When(after="start", ms=5000)), acoustics=acoustics)
    loud = np.full(FRAME, 16384, dtype=np.int16)
    sent = [script.frame(loud if i == 0 else SILENT)[0][0] / FULL_SCALE for i in range(4)]
    assert sent == pytest.approx([0.0, 0.0, 0.05, 0.0], abs=1 / FULL_SCALE)
    assert not np.concatenate(script.said).any()


@given(st.integers(0, 90), st.integers(21, 90), st.integers(0, 70))
def test_what_is_said_stands_where_its_entry_begins(first: int, length: int, then: int) -> None:
    """Sample by sample, however entries lie across frames and over each other."""
    script = player(
        clip("u1", When(after="start", ms=first), length),
        clip("u2", When(after="user_speech_start", ms=then), 40),
    )
    for _ in range(20):
        script.frame(SILENT)
    seen = (first + 10) // FRAME * FRAME + FRAME  # the frame after that of its cue
    second = max(first + 10 + then, seen)
    expected = np.zeros(20 * FRAME)
    expected[first : first + length] += 0.5
    expected[second : second + 40] += 0.5
    loudest = (FULL_SCALE - 1) / FULL_SCALE
    assert np.concatenate(script.said) / FULL_SCALE == pytest.approx(expected.clip(-1, loudest))


@given(st.lists(st.one_of(st.integers(0, 50), st.just(-1)), max_size=30))
def test_what_is_played_is_what_came_less_what_was_thrown_away(steps: Sequence[int]) -> None:
    """Samples come out in their order; those that an interruption finds queued never do."""
    speaker = Loudspeaker(RATE, FRAME, bridge_ms=200.0)
    queued: list[int] = []
    expected: list[int] = []
    number = 0
    for step in steps:
        if step < 0:
            assert speaker.clear(0.0).data == {"ms": float(len(queued))}
            queued = []
        else:
            samples = list(range(number + 1, number + 1 + step))
            number += step
            speaker.feed(np.array(samples, dtype=np.int16))
            queued += samples
        frame, _ = speaker.play()
        expected += queued[:FRAME] + [0] * (FRAME - len(queued[:FRAME]))
        queued = queued[FRAME:]
        assert len(frame) == FRAME
    assert [int(x) for frame in speaker.played for x in frame] == expected
    assert speaker.queued_ms == float(len(queued))
