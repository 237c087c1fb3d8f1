"""A harness against agents that are real servers: what they do wrong is a result with a reason."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from relkit.adapters.recordings import read_recording, write_recording
from relkit.adapters.systems.voice_ws import VoiceWsSystem
from relkit.conversation.record import conversation_of
from relkit.conversation.segments import sound_spans
from relkit.conversation.turns import measure_turns
from relkit.conversation.types import ConversationScript, ReactionWindows, ScriptClip
from relkit.core.errors import InvalidInput, UsageError
from relkit.datasets.types import Answer, Failure, ScriptEntry, When
from relkit.evaluation.types import VoiceWs
from relkit.wiring.systems import check_address

RATE = 16_000
WINDOWS = ReactionWindows(answer_ms=1500.0, reply_ms=500.0)
TONE = (np.sin(np.arange(RATE * 2) / 8) * 8000).astype("<i2")

Serving = Callable[[ServerConnection], Awaitable[None]]


@contextmanager
def agent(serving: Serving) -> Iterator[str]:
    """Serve an agent on a free port in a thread of its own, and give its address."""
    ready = threading.Event()
    address: list[str] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        async with serve(serving, "127.0.0.1", 0, max_size=None, close_timeout=0.2) as server:
            address.append(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield address[0]
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def script(folder: Path, *entries: tuple[str, When]) -> ConversationScript:
    """Return a conversation of tones of 300 ms, by default of one."""
    said = entries or (("u1", When(after="start", ms=100.0)),)
    samples = np.full(RATE * 3 // 10, 0.25, dtype="<f4").tobytes()
    return ConversationScript(
        id="a",
        clips=tuple(
            ScriptClip(
                entry=ScriptEntry(turn=name, audio_filepath="a", when=when),
                samples=samples,
                bounds_ms=(0.0, 299.0),
            )
            for name, when in said
        ),
        sample_rate=RATE,
        windows=WINDOWS,
        digest="d",
        folder=str(folder),
    )


def hold(url: str, held: ConversationScript, **options: Any) -> Answer | Failure:  # noqa: ANN401 - any option
    """Hold a conversation with the agent at an address."""
    system = VoiceWs(url=url, timeout_s=3.0, **options)
    return VoiceWsSystem(system, {}, write_recording).answer(held)


def answered(url: str, held: ConversationScript) -> Answer:
    """Hold a conversation that has an answer."""
    answer = hold(url, held)
    assert isinstance(answer, Answer)
    return answer


def failure_of(answer: Answer) -> object:
    """Return the reason that an answer says it failed for."""
    return next((e.data or {})["reason"] for e in answer.events if e.kind == "failed")


async def polite(connection: ServerConnection) -> None:
    """Answer with half a second of sound once 700 ms of sound have come, and stop when cut."""
    count = 0
    async for message in connection:
        if isinstance(message, bytes):
            count += len(message) // 2
            if count == RATE * 7 // 10:
                await connection.send(json.dumps({"type": "user_stopped_speaking", "t_ms": 700}))
                await connection.send(TONE[: RATE // 2].tobytes())
        elif json.loads(message)["type"] == "stop":
            await connection.send(json.dumps({"type": "state", "data": {"timers": 1}}))


def test_a_conversation_is_held_and_recorded(tmp_path: Path) -> None:
    """Events and the recording agree on who spoke when, and the harness says how late it was."""
    with agent(polite) as url:
        answer = answered(url, script(tmp_path))
    assert answer.state == {"timers": 1}
    assert answer.audio is not None
    samples, rate = read_recording(tmp_path / answer.audio)
    assert (rate, samples.shape[1]) == (RATE, 2)
    (sound,) = sound_spans(samples[:, 1], rate)
    by_events = conversation_of(answer, id="a")
    assert by_events.agent[0].start_ms == pytest.approx(sound.start_ms, abs=30)
    assert by_events.agent[0].stop_ms == pytest.approx(sound.stop_ms, abs=30)
    assert by_events.user[0].start_ms == pytest.approx(100.0, abs=60)
    (turn,) = measure_turns(by_events, WINDOWS)
    assert turn.ending == "answered"
    assert sum(turn.stages.values()) == pytest.approx(turn.response_ms or 0, abs=1)
    assert 0.0 <= answer.usage["pacing_p50_ms"] <= answer.usage["pacing_p99_ms"]


def test_an_interruption_empties_the_loudspeaker(tmp_path: Path) -> None:
    """What was queued is never played, and the event says how much it was."""

    async def long_winded(connection: ServerConnection) -> None:
        count = 0
        async for message in connection:
            if isinstance(message, bytes):
                count += len(message) // 2
                if count == RATE // 2:
                    await connection.send(TONE.tobytes())
                if count == RATE * 3 // 2:
                    await connection.send('{"type": "interrupted"}')
                    await connection.send('{"type": "clear"}')

    held = script(
        tmp_path,
        ("u1", When(after="start", ms=0.0)),
        ("u2", When(after="agent_speech_start", ms=700.0)),
    )
    with agent(long_winded) as url:
        answer = answered(url, held)
    (cut,) = [event for event in answer.events if event.kind == "agent_cut"]
    assert (cut.data or {})["ms"] == pytest.approx(1000.0, abs=150)
    turns = measure_turns(
        conversation_of(answer, id="a", script=[c.entry for c in held.clips]), WINDOWS
    )
    assert turns[1].reaction == "yielded"


async def _dies_in_mid_word(connection: ServerConnection) -> None:
    await connection.send(TONE[:4000].tobytes())
    await asyncio.sleep(0.3)
    connection.transport.abort()


async def _hangs(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def _floods_with_events(connection: ServerConnection) -> None:
    for _ in range(1_000_000):
        await connection.send('{"type": "partial", "text": "a"}')


async def _floods_with_sound(connection: ServerConnection) -> None:
    for _ in range(100):
        await connection.send(np.ones(RATE * 30, dtype="<i2").tobytes())


@pytest.mark.parametrize(
    ("serving", "reason"),
    [
        (_dies_in_mid_word, "closed"),
        (_floods_with_events, "flooded"),
        (_floods_with_sound, "flooded"),
    ],
)
def test_an_agent_that_breaks_off_is_a_result_with_a_reason(
    serving: Serving, reason: str, tmp_path: Path
) -> None:
    """What was measured until then stays, and the turn is not answered."""
    with agent(serving) as url:
        answer = answered(url, script(tmp_path))
    assert failure_of(answer) == reason
    assert answer.audio is not None


def test_an_agent_that_never_speaks_leaves_its_turn_unanswered(tmp_path: Path) -> None:
    """It is waited for as long as the window says, and not longer."""
    with agent(_hangs) as url:
        answer = answered(url, script(tmp_path))
    (turn,) = measure_turns(conversation_of(answer, id="a"), WINDOWS)
    assert turn.ending == "unanswered"
    assert answer.duration_ms is not None
    assert answer.duration_ms < 3500.0


async def _odd(connection: ServerConnection) -> None:
    for at in range(0, 14_000, 7):
        await connection.send(TONE.tobytes()[at : at + 7])
    await connection.wait_closed()


async def _early(connection: ServerConnection) -> None:
    await connection.send('{"type": "final", "text": "x", "t_ms": -5}')
    await connection.send('{"type": "llm_started", "t_ms": 900}')
    await connection.send('{"type": "tts_started", "t_ms": 100}')
    await connection.send("no json")
    await connection.wait_closed()


def test_frames_of_seven_bytes_are_put_together(tmp_path: Path) -> None:
    """Halves of samples are counted, and no sample is lost."""
    with agent(_odd) as url:
        answer = answered(url, script(tmp_path))
    assert answer.usage["half_samples"] == 1000.0
    assert answer.audio is not None
    samples, _ = read_recording(tmp_path / answer.audio)
    assert np.count_nonzero(samples[:, 1]) == np.count_nonzero(TONE[:7000])


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        if isinstance(message, bytes):
            await connection.send(message)


def test_an_agent_that_echoes_what_it_hears_answers_nothing(tmp_path: Path) -> None:
    """It speaks into every turn, and its own sound coming back is no answer to one."""
    with agent(_echo) as url:
        answer = answered(url, script(tmp_path))
    (turn,) = measure_turns(conversation_of(answer, id="a"), WINDOWS)
    assert turn.ending == "early"
    assert turn.response_ms is None
    assert answer.usage["not_said"] == 0.0


def test_a_clock_that_goes_backwards_changes_no_order(tmp_path: Path) -> None:
    """A time that is negative is none, and what is no message is counted."""
    with agent(_early) as url:
        answer = answered(url, script(tmp_path))
    times = [event.t_ms for event in answer.events]
    assert times == sorted(times)
    assert min(times) >= 0
    assert answer.usage["broken_messages"] == 1.0


def test_who_does_not_listen_is_unreachable(tmp_path: Path) -> None:
    """A closed port is a failure of the system, and asked again it may help."""
    failure = hold("ws://127.0.0.1:9", script(tmp_path))
    assert isinstance(failure, Failure)
    assert (failure.reason.value, failure.retryable) == ("unreachable", True)


def test_a_header_comes_from_the_environment() -> None:
    """A variable that is not set is named before anybody is spoken to."""
    system = VoiceWs(url="ws://127.0.0.1:9", headers_env={"Authorization": "AGENT_KEY"})
    with pytest.raises(InvalidInput, match="AGENT_KEY is not set"):
        VoiceWsSystem(system, {}, write_recording)


@pytest.mark.parametrize("url", ["ws://10.0.0.7:80", "wss://agent.example", "ws://[2001:db8::1]:1"])
def test_another_machine_is_spoken_to_only_where_that_is_meant(url: str) -> None:
    """What the dataset says would leave this one."""
    with pytest.raises(UsageError, match="another machine"):
        check_address(url, allow_remote=False)
    check_address(url, allow_remote=True)
    for near in ("ws://127.0.0.1:1", "ws://localhost:2", "ws://[::1]:3"):
        check_address(near, allow_remote=False)
