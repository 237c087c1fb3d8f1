"""The client of recognisers over WebSocket, against real servers on this machine."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from relkit.adapters.systems.asr_ws import AsrWsSystem, stream_event
from relkit.adapters.voice_activity import Resampler
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, Clip, Failure
from relkit.evaluation.types import AsrWs

Serve = Callable[[ServerConnection], Awaitable[None]]
CLIP = Clip(
    samples=np.zeros(4800, dtype="<f4").tobytes(),
    sample_rate=16_000,
    digest="d",
    path="",
    whole=False,
)


@contextmanager
def serving(behaviour: Serve) -> Iterator[str]:
    """Give the address of a server that behaves so on every connection."""
    ready = threading.Event()
    running: dict[str, Any] = {}

    async def run() -> None:
        stop = running["stop"] = asyncio.Event()
        running["loop"] = asyncio.get_running_loop()
        async with serve(behaviour, "127.0.0.1", 0) as server:
            running["port"] = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"ws://127.0.0.1:{running['port']}"
    finally:
        running["loop"].call_soon_threadsafe(running["stop"].set)
        thread.join(10)


def streamed(behaviour: Serve, *, is_fast: bool = False, **fields: Any) -> Answer | Failure:  # noqa: ANN401  # any field of the type
    """Return what becomes of a clip of 300 ms."""
    with serving(behaviour) as url:
        system = AsrWs(url=url, **({"timeout_s": 5.0} | fields))
        return AsrWsSystem(system, {}, is_fast=is_fast, rate_change=Resampler).answer(CLIP)


async def recognise(socket: ServerConnection) -> None:
    """Show a word for every 100 ms of sound, and all of them at the end."""
    start = json.loads(await socket.recv())
    assert start["type"] == "start"
    heard = 0
    async for message in socket:
        if isinstance(message, str):
            assert json.loads(message) == {"type": "end"}
            words = " ".join(["word"] * (heard * 10 // (2 * start["sample_rate"])))
            await socket.send(json.dumps({"type": "final", "text": words}))
            return
        before, heard = heard, heard + len(message)
        step = 2 * start["sample_rate"] // 10
        if heard // step > before // step:
            await socket.send(json.dumps({"type": "partial", "text": "word " * (heard // step)}))
            await socket.send(json.dumps({"type": "metadata", "confidence": 0.5}))


def test_a_clip_is_sent_as_it_was_spoken() -> None:
    """Partials come while the clip lasts, the final after it, and the pacing is told."""
    answer = streamed(recognise)
    assert isinstance(answer, Answer)
    assert answer.text == "word word word"
    assert [event.kind for event in answer.events] == ["partial", "partial", "partial", "final"]
    assert answer.events[0].t_ms >= 80.0  # the fifth frame goes out 80 ms after the first
    assert answer.events[-1].t_ms >= 300.0
    assert 0.0 <= answer.usage["pacing_p50_ms"] <= answer.usage["pacing_max_ms"]


@pytest.mark.parametrize("rate", [8000, 48_000])
def test_a_recogniser_hears_at_its_own_rate(rate: int) -> None:
    """The clip is sent at the rate of the system, as long as it was; fast, nothing is paced."""
    answer = streamed(recognise, is_fast=True, sample_rate=rate)
    assert isinstance(answer, Answer)
    assert answer.text == "word word word"
    assert (answer.latency_ms, answer.usage) == (None, {})


def messages(*texts: str, wait_s: float = 0.0, ends: bool = True) -> Serve:
    """Return a server that hears everything, says these, and closes."""

    async def behave(socket: ServerConnection) -> None:
        if ends:
            async for message in socket:
                if isinstance(message, str) and "end" in message:
                    break
        for text in texts:
            await socket.send(text)
        await asyncio.sleep(wait_s)

    return behave


@pytest.mark.parametrize(
    ("behaviour", "reason", "detail"),
    [
        (messages(), "closed", "the server closed before a final"),
        (messages('{"type": "partial", "text": "a"}'), "closed", "before a final"),
        (messages(ends=False), "closed", ""),
        (messages("{"), "protocol", "a message that is not JSON"),
        (messages('{"type": "final"}'), "protocol", 'a final without "text"'),
        (messages(wait_s=3.0), "timeout", "no final within 1 s of the clip's end"),
    ],
)
def test_a_server_that_does_not_answer_is_a_failure(
    behaviour: Serve, reason: str, detail: str
) -> None:
    """Each by its name and in bounded time."""
    failure = streamed(behaviour, is_fast=True, timeout_s=1.0)
    assert isinstance(failure, Failure)
    assert (failure.reason.value, detail in failure.detail) == (reason, True), failure.detail


def test_nobody_there_is_unreachable() -> None:
    """A port on which nobody listens may be tried again."""
    with serving(recognise) as url:
        pass
    system = AsrWs(url=url, timeout_s=2.0)
    failure = AsrWsSystem(system, {}, is_fast=True, rate_change=Resampler).answer(CLIP)
    assert isinstance(failure, Failure)
    assert (failure.reason.value, failure.retryable) == ("unreachable", True)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("[]", "no JSON object"),
        ('{"type": "partial", "text": 3}', 'a partial without "text"'),
        ('{"type": "final", "text": "a", "t_ms": -1}', "is no time"),
        ('{"type": "final", "text": "a", "t_ms": true}', "is no number"),
        ('{"type": "final", "text": "a", "t_ms": NaN}', "not JSON"),
    ],
)
def test_messages_that_say_nothing_readable_are_refused(message: str, problem: str) -> None:
    """The words of the error repeat nothing of what was sent."""
    with pytest.raises(InvalidInput, match=problem):
        stream_event(message, 5.0)


def test_a_server_may_say_when() -> None:
    """Its own time stands, else that of arrival."""
    told = stream_event('{"type": "partial", "text": "a", "t_ms": 7}', 5.0)
    arrived = stream_event('{"type": "final", "text": "a"}', 5.0)
    assert told is not None
    assert arrived is not None
    assert (told.t_ms, arrived.t_ms) == (7.0, 5.0)


def test_headers_come_from_the_environment() -> None:
    """A variable that is not set is refused before anything is sent, by its name alone."""
    system = AsrWs(url="ws://127.0.0.1:9", headers_env={"Authorization": "RELKIT_TEST_ASR"})
    with pytest.raises(InvalidInput, match="RELKIT_TEST_ASR is not set"):
        AsrWsSystem(system, {}, is_fast=True, rate_change=Resampler)
