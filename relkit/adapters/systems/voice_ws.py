"""Holds conversations with a voice agent over a WebSocket, in real time.

20 ms are sent every 20 ms by a schedule that never drifts, whatever else happens; a virtual
loudspeaker plays what arrives. Who was late, and by how much, is part of the answer.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relkit._version import with_extra
from relkit.conversation.loudspeaker import Loudspeaker
from relkit.conversation.player import ScriptPlayer, longest_s
from relkit.conversation.protocols import (
    PROTOCOLS,
    ProtocolReader,
    Received,
    audio_message,
    bye_messages,
    hello_messages,
)
from relkit.conversation.types import ConversationScript
from relkit.core.errors import InvalidInput, MissingDependency
from relkit.core.wording import limit
from relkit.datasets.types import Answer, AnswerEvent, Failure, FailureReason
from relkit.evaluation.types import VoiceWs

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

WriteRecording = Callable[
    [Path, Sequence[NDArray[np.int16]], Sequence[NDArray[np.int16]], int], str
]

FRAME_MS = 20
MOST_EVENTS = 20_000
"""Events that are kept of one conversation; an agent that sends more floods it."""

MOST_QUEUED_MS = 600_000.0
"""Sound that may wait for the loudspeaker; an agent that sends more floods it."""

MOST_TEXT = 20_000
MOST_MESSAGE = 16 << 20
CONNECTING_S = 10.0
_STALLED_S = 5.0


class _Broken(Exception):
    def __init__(self, reason: FailureReason) -> None:
        self.reason = reason


class VoiceWsSystem:
    """Implements AnsweringSystem: one conversation at a time, a connection for each."""

    def __init__(
        self, system: VoiceWs, environment: Mapping[str, str], write: WriteRecording
    ) -> None:
        """Speak to the agent of a suite; raises MissingDependency, InvalidInput.

        ``write`` keeps both channels at a rate in a folder and returns the file's name there.
        """
        self._write = write
        try:
            import websockets  # noqa: F401
        except ImportError as error:
            raise MissingDependency(
                "speaking to an agent needs the package websockets, which is not installed",
                hint=with_extra("voice"),
            ) from error
        self._system = system
        self._headers: dict[str, str] = {}
        for header, variable in (system.headers_env or {}).items():
            if not environment.get(variable):
                raise InvalidInput(
                    f"system.headers_env: the variable {variable} is not set",
                    hint=f"export {variable}=…",
                )
            self._headers[header] = environment[variable]

    def answer(self, script: ConversationScript) -> Answer | Failure:
        """Hold a conversation; whatever the agent does, it ends, and says why."""
        collecting = gc.isenabled()
        gc.disable()  # a collection takes longer than a frame
        try:
            return asyncio.run(self._hold(script))
        finally:
            if collecting:
                gc.enable()

    def close(self) -> None:
        """Nothing stays open between conversations."""

    async def _hold(self, script: ConversationScript) -> Answer | Failure:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        try:
            connection = await asyncio.wait_for(
                connect(
                    self._system.url,
                    additional_headers=self._headers,
                    max_size=MOST_MESSAGE,
                    compression=None,
                    ping_interval=None,
                    close_timeout=1.0,
                    proxy=None,
                ),
                CONNECTING_S,
            )
        except TimeoutError:
            return Failure(
                reason=FailureReason.TIMEOUT,
                detail=f"no connection in {limit(CONNECTING_S, 's')}",
                retryable=True,
            )
        except OSError:
            return Failure(reason=FailureReason.UNREACHABLE, detail="no connection", retryable=True)
        except WebSocketException:
            return Failure(reason=FailureReason.REFUSED, detail="it refused the connection")
        call = _Call(self._system, script, connection, self._write)
        try:
            return await call.hold()
        finally:
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), 2.0)


class _Call:
    """One conversation that is being held."""

    def __init__(
        self,
        system: VoiceWs,
        script: ConversationScript,
        connection: "ClientConnection",
        write: WriteRecording,
    ) -> None:
        self._write = write
        self._system, self._script, self._connection = system, script, connection
        self._rate = script.sample_rate
        self._frame = self._rate * FRAME_MS // 1000
        self._table = PROTOCOLS[system.protocol]
        self._reader = ProtocolReader(system.protocol)
        self._speaker = Loudspeaker(self._rate, self._frame, bridge_ms=script.windows.bridge_ms)
        self._player = ScriptPlayer(script, self._frame)
        self._events: list[AnswerEvent] = []
        self._spoken: dict[str, list[str]] = {}
        self._tools: list[dict[str, Any]] = []
        self._state: dict[str, Any] | None = None
        self._late: list[float] = []
        self._begun = 0.0
        self._agent_start_ms: float | None = None
        self._agent_stop_ms: float | None = None
        self._failure: FailureReason | None = None
        self._unknown = self._broken = 0
        self._offset_ms = 0.0

    async def hold(self) -> Answer | Failure:
        """Speak and listen until it is over."""
        receiving: asyncio.Task[None] | None = None
        try:
            for message in hello_messages(self._table, self._rate):
                await self._connection.send(message)
            self._begun = time.perf_counter()
            receiving = asyncio.create_task(self._receive())
            await self._speak(receiving)
        except _Broken as error:
            self._failure = error.reason
        except Exception as error:
            if isinstance(error, asyncio.CancelledError):
                raise
            self._failure = self._failure or FailureReason.CLOSED
        if self._failure is None:
            await self._say_goodbye()
        if receiving is not None:
            receiving.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await receiving
        return self._answer()

    async def _speak(self, receiving: "asyncio.Task[None]") -> None:
        """Send a frame every 20 ms, against a schedule that begins with the first."""
        loop_s = FRAME_MS / 1000.0
        bound = longest_s(self._script) + self._system.timeout_s
        number, before = 0, None
        message: str | bytes = b""
        while True:
            due = self._begun + number * loop_s
            wait = due - time.perf_counter()
            # Even a schedule that is late lets what has arrived be read.
            await asyncio.sleep(max(0.0, wait))
            now = time.perf_counter()
            self._late.append(1000.0 * (now - due))
            if receiving.done():
                receiving.result()
                raise _Broken(FailureReason.CLOSED)
            played, sounds = self._speaker.play()
            self._note(sounds)
            frame, truth = self._player.frame(played)
            if truth:
                late_ms = 1000.0 * max(0.0, now - due)
                self._events.extend(replace(item, t_ms=item.t_ms + late_ms) for item in truth)
            if frame is not before:  # silence is the same frame every time
                before, message = frame, audio_message(self._table, frame, self._rate)
            await self._send(message)
            number += 1
            t_ms = number * float(FRAME_MS)
            if self._player.finished(
                t_ms, agent_start_ms=self._agent_start_ms, silent_ms=self._silent_ms(t_ms)
            ):
                return
            if t_ms / 1000.0 > bound:
                raise _Broken(FailureReason.TIMEOUT)

    async def _send(self, message: str | bytes) -> None:
        """Send a frame; an agent that has not read for long is given up."""
        if not self._connection.transport.get_write_buffer_size():  # then nothing has to wait
            await self._connection.send(message)
            return
        try:
            async with asyncio.timeout(_STALLED_S):  # wait_for would make a task of each frame
                await self._connection.send(message)
        except TimeoutError:
            raise _Broken(FailureReason.TIMEOUT) from None

    def _silent_ms(self, t_ms: float) -> float:
        if self._speaker.speaking or self._speaker.queued_ms > 0.0:
            return 0.0
        return t_ms - (self._agent_stop_ms or 0.0)

    def _note(self, sounds: "tuple[AnswerEvent, ...]") -> None:
        for item in sounds:
            if item.kind == "agent_speech_start":
                self._agent_start_ms = item.t_ms
            else:
                self._agent_stop_ms = item.t_ms
        if sounds:
            self._events.extend(sounds)
            self._player.observe(sounds)

    async def _receive(self) -> None:
        """Take what the agent sends, for as long as it does."""
        async for message in self._connection:
            arrived_ms = 1000.0 * max(0.0, time.perf_counter() - self._begun)
            self._take(self._reader.read(message), arrived_ms)

    def _take(self, received: Received, arrived_ms: float) -> None:
        self._broken += received.broken
        if received.audio is not None:
            self._speaker.feed(received.audio)
        if received.clears:
            self._events.append(self._speaker.clear(arrived_ms))
        if received.kind == "state":
            self._state = dict(received.data or {})
        elif received.kind is not None:
            self._unknown += not received.known
            self._believe(received, arrived_ms)
        flooded = max(self._broken, len(self._events)) > MOST_EVENTS
        if flooded or self._speaker.queued_ms > MOST_QUEUED_MS:
            raise _Broken(FailureReason.FLOODED)

    def _believe(self, received: Received, arrived_ms: float) -> None:
        """Keep what the agent says of itself, at the time that it says, or when that arrived."""
        own_clock = received.t_ms is not None and received.t_ms >= 0
        t_ms = received.t_ms if own_clock and received.t_ms is not None else arrived_ms
        text = None if received.text is None else received.text[:MOST_TEXT]
        data = dict(received.data or {})
        called = received.kind in {"readback", "confirm", "deny"}
        speaker = data.get("speaker")
        event = AnswerEvent(
            t_ms=t_ms,
            kind=str(received.kind),
            text=text,
            data=data or None,
            tool=data.get("name") if called else None,
            arguments=data.get("arguments") if called else None,
            speaker=speaker if speaker in {"user", "agent", "other"} else None,
        )
        self._events.append(event)
        self._player.observe((event,))
        if text and event.kind in {"tts_started", "llm_token"}:
            self._spoken.setdefault(event.kind, []).append(text)
        if event.kind == "tool_started":
            call = {"name": data.get("name"), "arguments": data.get("arguments"), "t_ms": t_ms}
            self._tools.append(call)

    async def _say_goodbye(self) -> None:
        with suppress(Exception):
            for message in bye_messages(self._table):
                await asyncio.wait_for(self._connection.send(message), 1.0)
            if self._table.open_kinds:  # an agent may tell how its world was left
                for _ in range(25):
                    if self._state is not None:
                        break
                    await asyncio.sleep(0.02)

    def _answer(self) -> Answer:
        length_ms = float(len(self._speaker.played) * FRAME_MS)
        self._note(self._speaker.finish())
        if self._failure is not None:
            self._events.append(
                AnswerEvent(t_ms=length_ms, kind="failed", data={"reason": self._failure.value})
            )
        name = self._write(
            Path(self._script.folder), self._player.said, self._speaker.played, self._rate
        )
        late = np.array(self._late or [0.0])
        p50, p99 = np.percentile(late, (50, 99))
        truth = ("user_speech", "agent_speech")
        sounded = (event.t_ms for event in self._events if event.kind.startswith(truth))
        spoken = self._spoken.get("tts_started") or self._spoken.get("llm_token") or []
        return Answer(
            text=" ".join(part.strip() for part in spoken),
            audio=name,
            events=tuple(sorted(self._events, key=lambda event: event.t_ms)),
            tool_calls=tuple(self._tools),
            state=self._state,
            duration_ms=max(length_ms, *sounded, 0.0),
            usage={
                "pacing_p50_ms": round(float(p50), 3),
                "pacing_p99_ms": round(float(p99), 3),
                "pacing_max_ms": round(float(late.max()), 3),
                "unknown_messages": float(self._unknown),
                "broken_messages": float(self._broken),
                "half_samples": float(self._reader.halves),
                "not_said": float(not self._player.said_all),
            },
        )
