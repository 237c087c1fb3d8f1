"""The client of OpenAI's speech API, against a real engine behind a real server."""

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from relkit.adapters.audio import SoundfileReader
from relkit.adapters.systems.engines import EngineSystem
from relkit.adapters.systems.openai import OpenAISpeechEngine
from relkit.audio.samples import audio_facts, stream_header
from relkit.audio.types import Script
from relkit.core.errors import BackendUnavailable, InvalidInput
from relkit.datasets.types import Answer, AudioSpan, Clip, Failure, FailureReason
from relkit.evaluation.types import OpenAISpeech, Scalar
from tests.builders import system as system_of
from tests.speech_server import SpeechServer

KEY = "sk-not-to-be-seen"


def beeps(_text: str) -> Iterator[bytes]:
    """Speak without an engine: half a second of something audible."""
    yield stream_header(16_000)
    yield (b"\x00\x10" + b"\x00\xf0") * 4_000


def system(
    server: SpeechServer,
    options: Mapping[str, Scalar] = MappingProxyType({}),
    timeout_s: float = 5.0,
) -> EngineSystem:
    """Return the system under test that asks this server."""
    given: dict[str, Scalar] = {
        "base_url": server.base_url,
        "model": "m",
        "voice": "v",
        "api_key_env": "SPEECH_KEY",
        **options,
    }
    asked = system_of(OpenAISpeech, timeout_s=timeout_s, **given)
    return EngineSystem(OpenAISpeechEngine(asked, {"SPEECH_KEY": KEY}))


def ask(
    asked: EngineSystem, folder: Path, text: str = "please cancel my order"
) -> Answer | Failure:
    """Return what the server makes of a text."""
    return asked.answer(Script(text=text, folder=str(folder / "audio")))


def test_a_real_engine_behind_the_server_is_heard(tmp_path: Path) -> None:
    """What the engine said arrives decodable, over one kept-alive connection, with the fields."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    with SpeechServer() as server:
        asked = system(server, {"rate": 1.5, "instructions": "calmly"})
        first, second = ask(asked, tmp_path), ask(asked, tmp_path)
        asked.close()
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert second.first_byte_ms is not None
    assert second.latency_ms is not None
    assert 0 < second.first_byte_ms <= second.latency_ms
    clip = SoundfileReader().read(str(tmp_path), AudioSpan(path=str(second.audio)), max_s=60)
    assert isinstance(clip, Clip)
    assert audio_facts(clip.samples, clip.sample_rate) is not None
    assert server.asked[0].path == "/v1/audio/speech"
    assert server.asked[0].authorization == f"Bearer {KEY}"
    assert server.asked[0].document == {
        "model": "m", "voice": "v", "response_format": "wav", "speed": 1.5,
        "instructions": "calmly", "input": "please cancel my order",
    }  # fmt: skip
    assert len({received.connection for received in server.asked}) == 1


def test_the_first_byte_is_there_before_the_last(tmp_path: Path) -> None:
    """A server that streams is timed at its first sample, one second before its last."""

    def slowly(text: str) -> Iterator[bytes]:
        pieces = beeps(text)
        yield next(pieces)
        sample = next(pieces)
        yield sample[:100]
        time.sleep(0.5)
        yield sample[100:]

    with SpeechServer(speak=slowly) as server:
        asked = system(server)
        ask(asked, tmp_path)
        said = ask(asked, tmp_path)
        asked.close()
    assert isinstance(said, Answer)
    assert said.latency_ms is not None
    assert said.first_byte_ms is not None
    assert said.latency_ms - said.first_byte_ms > 400


@pytest.mark.parametrize(
    ("fault", "reason", "retryable"),
    [
        ("400", FailureReason.REFUSED, False),
        ("404", FailureReason.REFUSED, False),
        ("429", FailureReason.REFUSED, True),
        ("500", FailureReason.REFUSED, True),
        ("503", FailureReason.REFUSED, True),
        ("hang", FailureReason.TIMEOUT, True),
        ("drip", FailureReason.TIMEOUT, True),
        ("close", FailureReason.UNREACHABLE, True),
        ("garbage", FailureReason.PROTOCOL, False),
        ("torn", FailureReason.PROTOCOL, False),
        ("nothing", FailureReason.NO_SPEECH, False),
        ("header-only", FailureReason.NO_SPEECH, False),
    ],
)
def test_every_fault_is_a_failure_by_its_name(
    fault: str, reason: FailureReason, retryable: object, tmp_path: Path
) -> None:
    """No key, no text and no address in it; the next text is spoken again."""
    with SpeechServer(speak=beeps, faults=[fault]) as server:
        asked = system(server, timeout_s=0.5)
        said = ask(asked, tmp_path)
        again = ask(asked, tmp_path)
        asked.close()
    assert isinstance(said, Failure)
    assert (said.reason, said.retryable) == (reason, retryable)
    assert not any(word in said.detail for word in (KEY, "cancel", "127.0.0.1"))
    assert isinstance(again, Answer)


def test_a_wrong_key_ends_the_run(tmp_path: Path) -> None:
    """Every later call would end the same way; the message does not repeat the key."""
    with SpeechServer(faults=["401"]) as server:
        asked = system(server)
        with pytest.raises(BackendUnavailable) as caught:
            ask(asked, tmp_path)
        asked.close()
    assert KEY not in caught.value.message


def test_nobody_at_the_address_is_unreachable(tmp_path: Path) -> None:
    """A server that is gone is asked again later."""
    with SpeechServer() as server:
        asked = system(server)
    said = ask(asked, tmp_path)
    assert isinstance(said, Failure)
    assert (said.reason, said.retryable) == (FailureReason.UNREACHABLE, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_url": "http://127.0.0.1:x/v1"}, "base_url"),
        ({"api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
        ({"voice": None}, "voice"),
        ({"rate": 9.0}, "rate"),
        ({"stream": True}, "stream"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(
    change: dict[str, Scalar], message: str
) -> None:
    """A system that cannot work is an input error, not a failed run."""
    with SpeechServer() as server, pytest.raises(InvalidInput, match=message):
        system(server, change)
    assert server.asked == []
