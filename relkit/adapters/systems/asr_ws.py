"""A recogniser that hears audio over a WebSocket as it is spoken, and gives partials.

The client sends ``{"type": "start", "sample_rate": 16000}``, then frames of 20 ms of 16-bit
samples, and ``{"type": "end"}``. The server sends ``{"type": "partial" or "final", "text",
"t_ms"?}`` as JSON in text frames; other types are left aside. The first final after the end is the
last.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from relkit.audio.samples import to_pcm16
from relkit.core.codec import parse_json
from relkit.core.errors import InvalidInput
from relkit.core.wording import limit
from relkit.datasets.types import Answer, AnswerEvent, Clip, Failure, FailureReason
from relkit.evaluation.types import AsrWs

STREAM_FRAME_MS = 20.0
MOST_MESSAGES = 100_000
"""So many messages in one clip are a flood."""

LARGEST_MESSAGE = 1 << 20
"""The longest message that is read, in bytes."""


class ChangedRate(Protocol):
    """A change of the sample rate."""

    def all_of(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a whole clip (n,) at the other rate."""


class AsrWsSystem:
    """Implements SpeechSystem over a WebSocket: one connection for each clip.

    Frames go out by an absolute schedule, so that a late one delays none after it. ``usage`` says
    how late they were, in ms. The time of a message is that of its arrival since the first frame
    was sent, or its own ``t_ms``.
    """

    def __init__(
        self,
        system: AsrWs,
        environment: Mapping[str, str],
        *,
        is_fast: bool,
        rate_change: Callable[[int, int], ChangedRate],
    ) -> None:
        """Take the headers from the environment; raises InvalidInput, and nothing is sent yet.

        ``is_fast`` sends without waiting; ``timeout_s`` bounds what comes after the clip's length.
        """
        self._system = system
        self._headers = _headers(system, environment)
        self._is_fast = is_fast
        self._rate_change = rate_change

    def answer(self, clip: Clip) -> Answer | Failure:
        """Stream one clip; a server that hangs, closes or floods is a failure by its name."""
        rate = self._system.sample_rate
        samples: NDArray[np.float32] = np.frombuffer(clip.samples, dtype="<f4")
        changed = self._rate_change(clip.sample_rate, rate).all_of(samples)
        pcm = to_pcm16(changed.astype("<f4").tobytes()).astype("<i2").tobytes()
        try:
            return asyncio.run(self._streamed(pcm, clip.duration_s))
        except _Broken as broken:
            return broken.failure

    def close(self) -> None:
        """Nothing stays open between clips."""

    async def _streamed(self, pcm: bytes, duration_s: float) -> Answer:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, WebSocketException

        call = _Call()
        limit_s = duration_s + self._system.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                async with connect(
                    self._system.url,
                    additional_headers=self._headers,
                    max_size=LARGEST_MESSAGE,
                    proxy=None,
                    compression=None,
                    close_timeout=1,
                ) as socket:
                    call.connected = True
                    start = {"type": "start", "sample_rate": self._system.sample_rate}
                    await socket.send(json.dumps(start))
                    listening = asyncio.create_task(call.listen(socket))
                    sending = asyncio.create_task(self._send(socket, pcm, call))
                    try:
                        await listening
                        call.over = True
                    finally:
                        sending.cancel()
                        with suppress(asyncio.CancelledError, WebSocketException, OSError):
                            await sending
        except TimeoutError:
            if call.over:  # only saying goodbye took too long
                return call.answered(1000 * duration_s)
            if not call.connected:
                raise _Broken(FailureReason.UNREACHABLE, "TimeoutError", retryable=True) from None
            detail = f"no final within {limit(self._system.timeout_s, 's')} of the clip's end"
            raise _Broken(FailureReason.TIMEOUT, detail, retryable=True) from None
        except InvalidInput as error:
            raise _Broken(FailureReason.PROTOCOL, error.message) from None
        except ConnectionClosed:
            raise _Broken(FailureReason.CLOSED, "the connection broke") from None
        except (OSError, WebSocketException) as error:
            reason = FailureReason.PROTOCOL if call.connected else FailureReason.UNREACHABLE
            detail = type(error).__name__
            raise _Broken(reason, detail, retryable=not call.connected) from None
        return call.answered(1000 * duration_s)

    async def _send(self, socket: Any, pcm: bytes, call: "_Call") -> None:  # noqa: ANN401 - a connection, imported late
        size = int(2 * self._system.sample_rate * STREAM_FRAME_MS / 1000)
        call.started = time.perf_counter()
        for i, place in enumerate(range(0, len(pcm), size)):
            due_ms = i * STREAM_FRAME_MS
            if not self._is_fast:
                await asyncio.sleep(max(0.0, (due_ms - call.elapsed_ms()) / 1000))
                call.late_ms.append(max(0.0, call.elapsed_ms() - due_ms))
            await socket.send(pcm[place : place + size])
        if not self._is_fast:
            length_s = len(pcm) / (2 * self._system.sample_rate)
            await asyncio.sleep(max(0.0, length_s - call.elapsed_ms() / 1000))
        call.ended = True
        await socket.send(json.dumps({"type": "end"}))


class _Broken(Exception):
    """A stream that gave no answer."""

    def __init__(self, reason: FailureReason, detail: str, *, retryable: bool = False) -> None:
        super().__init__(reason.value)
        self.failure = Failure(reason=reason, detail=detail, retryable=retryable)


@dataclass(slots=True)
class _Call:
    """What one clip has brought so far; ``started`` by ``time.perf_counter``."""

    connected: bool = False
    started: float = 0.0
    ended: bool = False
    over: bool = False
    events: list[AnswerEvent] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000

    async def listen(self, socket: Any) -> None:  # noqa: ANN401 - a connection, imported late
        """Take messages until the last final, or the server's end; raises InvalidInput."""
        count = 0
        async for message in socket:
            arrived_ms = self.elapsed_ms() if self.started else 0.0
            count += 1
            if count > MOST_MESSAGES:
                raise _Broken(FailureReason.FLOODED, f"more than {MOST_MESSAGES} messages")
            event = None if isinstance(message, bytes) else stream_event(message, arrived_ms)
            if event is None:
                continue
            self.events.append(event)
            if event.kind == "final" and self.ended:
                return

    def answered(self, duration_ms: float) -> Answer:
        """Return the answer, its text that of the last final; raises _Broken where none came."""
        final = next((event for event in reversed(self.events) if event.kind == "final"), None)
        if final is None or not self.ended:
            before = "a final" if self.ended else "the end of the clip"
            raise _Broken(FailureReason.CLOSED, f"the server closed before {before}")
        usage = {}
        if self.late_ms:
            p50, p99 = np.percentile(self.late_ms, [50, 99])
            usage = {
                "pacing_p50_ms": float(p50),
                "pacing_p99_ms": float(p99),
                "pacing_max_ms": max(self.late_ms),
            }
        shown = next((event.t_ms for event in self.events if event.text), None)
        return Answer(
            text=final.text or "",
            latency_ms=max(0.0, final.t_ms - duration_ms) if self.late_ms else None,
            first_byte_ms=shown,
            usage=usage,
            events=tuple(self.events),
        )


def stream_event(message: str, arrived_ms: float) -> AnswerEvent | None:
    """Return what a message of a recogniser says, None for types that say nothing of text.

    Raises InvalidInput, whose words repeat nothing of it.
    """
    try:
        document = parse_json(message, source="message")
    except InvalidInput:
        raise InvalidInput("a message that is not JSON") from None
    if not isinstance(document, Mapping):
        raise InvalidInput("a message that is no JSON object")
    kind = document.get("type")
    if kind not in {"partial", "final"}:
        return None
    text, told_ms = document.get("text"), document.get("t_ms", arrived_ms)
    if not isinstance(text, str):
        raise InvalidInput(f'a {kind} without "text"')
    if isinstance(told_ms, bool) or not isinstance(told_ms, int | float):
        raise InvalidInput(f'a {kind} whose "t_ms" is no number')
    if not 0 <= told_ms < math.inf:
        raise InvalidInput(f'a {kind} whose "t_ms" is no time')
    return AnswerEvent(t_ms=float(told_ms), kind=str(kind), text=text)


def _headers(system: AsrWs, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a connection; raises InvalidInput, which never repeats a value."""
    headers = {}
    for name, variable in (system.headers_env or {}).items():
        value = environment.get(variable, "").strip()
        if not value or not value.isprintable():
            raise InvalidInput(
                f"system: the environment variable {variable} is not set, or holds no header",
                hint=f"export {variable}, or leave headers_env out",
            )
        headers[name] = value
    return headers
