"""The demo agent on a loopback port: a WebSocket for each conversation, in the protocol ``pcm``.

Its clock is the audio that it has received: whatever it tells has the ``t_ms`` of that moment, so
that its figures do not depend on how busy the machine is, as far as it waits for audio.
"""

import asyncio
import errno
import io
import json
import logging
import signal
import wave
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np

from relkit.adapters.demo_agent.dialogue import Dialogue, DialogueReply, ToolUse
from relkit.adapters.demo_agent.listening import STEP_MS, Endpointer
from relkit.adapters.demo_agent.ports import (
    HEARING_RATE,
    Hear,
    NewActivity,
    NewRateChange,
    Sound,
    Speak,
)
from relkit.audio.samples import FULL_SCALE, whole_wav
from relkit.core.errors import UsageError

_Done = TypeVar("_Done")

HOST = "127.0.0.1"
CALL_RATES = (8_000, 16_000, 24_000, 48_000)
"""Sample rates in Hz that a conversation can have."""

BARGE_IN_MS = 300.0
"""So much speech while it speaks makes the agent stop."""

AHEAD_MS = 300.0
"""How far the agent sends ahead of the loudspeaker."""

_FRAME_MS = 20
_PAUSE_MS = 150  # between two sentences
_BEFORE_MS = 300.0  # how much sound before its first chunk belongs to a turn
_LEAST_TURN_MS = 160.0
_PARTIAL_MS = 500.0
_LARGEST = 1 << 20
_CHUNK = int(HEARING_RATE * STEP_MS / 1000)
_QUIET = 0.003
_ALWAYS = 2  # tasks of a conversation: reading and answering
_WAITING = 4  # turns that wait to be answered; a client that is faster has to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How the agent behaves: ms of silence that end a turn, whether it lets itself be cut."""

    stop_ms: float = 500.0
    barge_in: bool = True
    partials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What the agent is made of; ``hear`` and ``speak`` run in threads, one call at a time each."""

    activity: NewActivity
    rate_change: NewRateChange
    hear: Hear
    speak: Speak


class DemoAgentServer:
    """One recogniser and one voice for all conversations, which share nothing else."""

    def __init__(self, parts: AgentParts, settings: AgentSettings) -> None:
        """Keep the parts; nothing is opened before :meth:`run`."""
        self.parts = parts
        self.settings = settings
        self._sentences: dict[tuple[str, int], bytes] = {}
        self._ears = ThreadPoolExecutor(1, thread_name_prefix="relkit-hear")
        self._mouth = ThreadPoolExecutor(1, thread_name_prefix="relkit-speak")

    def run(self, port: int, ready: Callable[[int], None]) -> None:
        """Serve until SIGINT or SIGTERM; raises UsageError where the port is taken.

        ``ready`` is told the port, 0 having been any free one, once somebody can connect.
        """

        async def until_signal() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
            await self.serve(port, ready, stop)

        asyncio.run(until_signal())

    async def serve(self, port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; see :meth:`run`."""
        from websockets.asyncio.server import serve

        silent = logging.getLogger("relkit.demo_agent")
        silent.addHandler(logging.NullHandler())
        silent.propagate = False  # nothing of a conversation is logged
        try:
            server = await serve(
                self._hold,
                HOST,
                port,
                origins=[None],  # no page in a browser may speak to it
                compression=None,
                max_size=_LARGEST,
                logger=silent,
            )
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            why = "in use" if error.errno == errno.EADDRINUSE else "not allowed"
            raise UsageError(
                f"port {port} is {why}", hint="take another one; --port 0 is any free one"
            ) from error
        try:
            ready(next(iter(server.sockets)).getsockname()[1])
            await stop.wait()
        finally:
            server.close()
            await server.wait_closed()
            self._ears.shutdown(wait=False, cancel_futures=True)
            self._mouth.shutdown(wait=False, cancel_futures=True)

    async def _hold(self, socket: Any) -> None:  # noqa: ANN401 - the library is imported when used
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            try:
                rate = _sample_rate(await socket.recv())
            except ValueError as error:
                await socket.close(1002, str(error))
                return
            call = _Call(self, socket, rate)
            try:
                await call.hold()
            except ValueError as error:
                await socket.close(1003, str(error))
            finally:
                call.end()

    async def transcript(self, samples: Sound) -> str:
        """Return the words of a turn; other conversations wait for their turn."""
        return await asyncio.get_running_loop().run_in_executor(
            self._ears, self.parts.hear, samples
        )

    async def spoken(self, sentence: str, rate: int) -> bytes:
        """Return a sentence as 16-bit samples at ``rate`` Hz, without silence around it."""
        key = (sentence, rate)
        if key not in self._sentences:
            self._sentences[key] = await asyncio.get_running_loop().run_in_executor(
                self._mouth, self._speech, sentence, rate
            )
        return self._sentences[key]

    def _speech(self, sentence: str, rate: int) -> bytes:
        with wave.open(io.BytesIO(whole_wav(self.parts.speak(sentence)))) as file:
            source = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        samples = pcm.astype(np.float32) / np.float32(FULL_SCALE)
        samples = self.parts.rate_change(source, rate).more(samples, last=True)
        loud = np.flatnonzero(np.abs(samples) > _QUIET)
        samples = samples[loud[0] : loud[-1] + 1] if len(loud) else samples
        scaled = np.clip(samples * FULL_SCALE, -FULL_SCALE, FULL_SCALE - 1)
        return bytes(scaled.astype("<i2").tobytes())


def _sample_rate(message: object) -> int:
    """Return the rate that a conversation starts with; raises ValueError."""
    document = _document(message)
    if document is None or document.get("type") != "start":
        raise ValueError('the first message must be {"type": "start", "sample_rate": HZ}')
    rate = document.get("sample_rate")
    if rate not in CALL_RATES:
        raise ValueError(f"sample_rate must be one of {', '.join(map(str, CALL_RATES))}")
    return cast("int", rate)


def _document(message: object) -> Mapping[str, Any] | None:
    """Return the JSON object of a text frame, None for anything else."""
    if not isinstance(message, str):
        return None
    try:
        document = json.loads(message)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


@dataclass(slots=True)
class _Playing:
    """What was handed to the loudspeaker, by the agent's clock."""

    frames: deque[bytes] = field(default_factory=deque)
    started_ms: float = 0.0
    sent_ms: float = 0.0
    queued_ms: float = 0.0
    on: bool = False

    @property
    def end_ms(self) -> float:
        """When everything that is queued will have been heard."""
        return self.started_ms + self.queued_ms


class _Call:
    """One conversation: its clock, its turn, its dialogue and what it is saying."""

    def __init__(self, server: DemoAgentServer, socket: Any, rate: int) -> None:  # noqa: ANN401
        self._server, self._socket, self._rate = server, socket, rate
        self._settings = server.settings
        self._activity = server.parts.activity()
        self._hearing = server.parts.rate_change(rate, HEARING_RATE)
        self._received = 0
        self._rest = np.zeros(0, dtype=np.float32)
        self._sound: deque[Sound] = deque()
        self._endpointer = Endpointer(stop_ms=self._settings.stop_ms)
        self._dialogue = Dialogue()
        self._playing = _Playing()
        self._began_over_speech = False
        self._partial_ms = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turns: asyncio.Queue[tuple[Sound, float]] = asyncio.Queue(_WAITING)
        self._thinking = False
        self._saying: tuple[str, ...] = ()
        self._starts_ms: list[float] = []  # of each sentence, from where the sound began
        self._unsaid: tuple[str, ...] = ()

    @property
    def clock_ms(self) -> float:
        """Milliseconds of audio that were received."""
        return 1000.0 * self._received / self._rate

    async def hold(self) -> None:
        """Hear, think and speak until the client stops; raises ValueError for half a sample.

        It ends with the connection, and with whatever of it fails, so that nothing waits for ever.
        """
        reading, answering = self._start(self._read()), self._start(self._answer_turns())
        try:
            await asyncio.wait((reading, answering), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end()
        if answering.done():  # it goes on for ever, unless it fails
            answering.result()
        if reading.result():
            await self._send({"type": "state", "data": self._dialogue.state()})

    async def _read(self) -> bool:
        """Hear until the client stops; return whether it said so."""
        async for message in self._socket:
            if isinstance(message, bytes):
                await self._hear(message)
                await asyncio.sleep(0)  # others have their turn, however much is waiting here
            elif (document := _document(message)) and document.get("type") == "stop":
                return True
        return False

    def end(self) -> None:
        """Give up what was begun."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, _Done]) -> "asyncio.Task[_Done]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio writes nothing of it

    async def _send(self, document: Mapping[str, Any]) -> None:
        await self._socket.send(json.dumps(document))

    async def _tell(self, kind: str, **more: object) -> None:
        """Send an event with the time by the agent's clock, unless it says another."""
        await self._send({"type": kind, "t_ms": round(self.clock_ms, 1), **more})

    async def _hear(self, data: bytes) -> None:
        if len(data) % 2:
            raise ValueError("audio must be whole samples of 16 bits")
        pcm = np.frombuffer(data, dtype="<i2")
        self._received += len(pcm)
        samples = self._hearing.more(pcm.astype(np.float32) / np.float32(FULL_SCALE))
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= _CHUNK:
            chunk, self._rest = self._rest[:_CHUNK], self._rest[_CHUNK:]
            await self._chunk(chunk)
        await self._play()

    async def _chunk(self, chunk: Sound) -> None:
        ears = self._endpointer
        events = ears.chunk(self._activity.probability(chunk))
        self._sound.append(chunk)
        while not ears.in_turn and not events and len(self._sound) * STEP_MS > _BEFORE_MS:
            self._sound.popleft()
        for kind in events:
            if kind == "user_started_speaking":
                self._began_over_speech, self._partial_ms = self._playing.on, 0.0
            data = {"data": {"reason": "longest_turn"}} if ears.forced else {}
            await self._tell(kind, **(data if kind == "user_stopped_speaking" else {}))
            if kind == "user_stopped_speaking":
                await self._turn_over()
        is_sustained = ears.in_turn and ears.spoken_ms >= BARGE_IN_MS
        if is_sustained and self._settings.barge_in and self._playing.on:
            await self._interrupt()
        is_due = ears.in_turn and ears.turn_ms - self._partial_ms >= _PARTIAL_MS
        if self._settings.partials and is_due and len(self._tasks) <= _ALWAYS:  # none is at work
            self._partial_ms = ears.turn_ms
            self._start(self._partial(np.concatenate(self._sound)))

    async def _partial(self, samples: Sound) -> None:
        text = await self._server.transcript(samples)
        if text and self._endpointer.in_turn:
            await self._tell("partial", text=text)

    async def _turn_over(self) -> None:
        """Hand a turn over to be answered; what was too short to interrupt is none."""
        spoken_ms, samples = self._endpointer.spoken_ms, np.concatenate(self._sound)
        self._endpointer.next_turn()
        self._sound.clear()
        is_short = spoken_ms < _LEAST_TURN_MS
        is_aside = self._began_over_speech and spoken_ms < BARGE_IN_MS and self._settings.barge_in
        if not is_short and not is_aside:
            await self._turns.put((samples, self.clock_ms))

    async def _interrupt(self) -> None:
        playing = self._playing
        cut_ms = max(0.0, playing.end_ms - self.clock_ms)
        at = bisect_right(self._starts_ms, self.clock_ms - playing.started_ms)
        self._unsaid = self._saying[max(0, at - 1) :]
        playing.frames.clear()  # somebody may be in the middle of sending them
        self._playing = _Playing()
        self._thinking = False
        await self._send({"type": "clear"})
        await self._tell("interrupted", data={"ms": round(cut_ms, 1)})
        await self._tell("agent_stopped_speaking")

    async def _answer_turns(self) -> None:
        """Answer turn after turn; after one that wants no answer, go on where it was cut."""
        while True:
            samples, ended_ms = await self._turns.get()
            text = (await self._server.transcript(samples)).strip()
            await self._tell("final", text=text)
            self._thinking = True
            reply = self._dialogue.hear(text)
            if not reply.sentences and self._unsaid:
                pending = self._dialogue.pending
                reply = replace(reply, sentences=self._unsaid, readback=pending)
            self._unsaid = ()
            if text:
                await self._act(reply, text, ended_ms)
            await self._speak(reply)
            self._thinking = False

    async def _act(self, reply: DialogueReply, text: str, ended_ms: float) -> None:
        """Tell what was decided, and call the tools."""
        if reply.verdict is not None and reply.about is not None:
            # The yes is from when the turn ended, which is before the call, however fast this was.
            at_ms = round(min(ended_ms, self.clock_ms - 1.0), 1)
            data = {**_named(reply.about), "speaker": "user"}
            await self._tell(reply.verdict, t_ms=at_ms, data=data)
        await self._tell("llm_started", text=text)
        for call in reply.calls:
            await self._tell("tool_started", data=_named(call))
            await self._tell("tool_stopped", data={**_named(call), "result": {"rows": 1}})
        for sentence in reply.sentences:
            await self._tell("llm_token", text=sentence)
        await self._tell("llm_stopped")

    async def _speak(self, reply: DialogueReply) -> None:
        """Say a reply sentence by sentence, unless the user goes on, or comes in between."""
        self._saying, self._starts_ms = reply.sentences, []
        for i, sentence in enumerate(reply.sentences):
            await self._tell("tts_started", text=sentence)
            pcm = await self._server.spoken(sentence, self._rate)
            if self._settings.barge_in and self._user_goes_on():
                self._unsaid = reply.sentences[i:]
                if not i:
                    await self._tell("interrupted", data={"ms": 0.0})
                return
            if not self._thinking:  # it was interrupted in between
                return
            if not i:
                await self._tell("tts_first_audio")
                if reply.readback is not None:
                    await self._tell("readback", data=_named(reply.readback))
            await self._queue(pcm)

    def _user_goes_on(self) -> bool:
        return self._endpointer.in_turn and self._endpointer.spoken_ms >= BARGE_IN_MS

    async def _queue(self, pcm: bytes) -> None:
        """Put a sentence behind what is queued, and send as much of it as is due."""
        playing = self._playing
        if not playing.on:
            playing = self._playing = _Playing(started_ms=self.clock_ms, on=True)
            await self._tell("agent_started_speaking")
        elif self.clock_ms < playing.end_ms:
            pcm = bytes(2 * self._rate * _PAUSE_MS // 1000) + pcm
        else:  # the loudspeaker had nothing left
            playing.started_ms = self.clock_ms - playing.queued_ms
        self._starts_ms.append(playing.queued_ms)
        size = 2 * self._rate * _FRAME_MS // 1000
        playing.frames.extend(pcm[at : at + size] for at in range(0, len(pcm), size))
        playing.queued_ms += 1000.0 * len(pcm) / 2 / self._rate
        await self._play()

    async def _play(self) -> None:
        """Send what the loudspeaker needs by now."""
        playing = self._playing
        due_ms = self.clock_ms - playing.started_ms + AHEAD_MS
        while playing.frames and playing.sent_ms < due_ms:
            frame = playing.frames.popleft()
            playing.sent_ms += 1000.0 * len(frame) / 2 / self._rate
            await self._socket.send(frame)
        if playing.on and not self._thinking and self.clock_ms >= playing.end_ms:
            playing.on = False
            await self._tell("agent_stopped_speaking")


def _named(call: ToolUse) -> dict[str, Any]:
    """Return a call as an event names it."""
    return {"name": call.name, "arguments": dict(call.arguments)}
