"""Servers that speak OpenAI's transcription API or its speech API, over httpx."""

import math
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx

from relkit.audio.samples import wav_bytes
from relkit.audio.types import Unspoken
from relkit.core.codec import parse_json
from relkit.core.errors import BackendUnavailable, InvalidInput
from relkit.core.wording import limit
from relkit.datasets.types import Answer, AnswerEvent, Clip, Failure, FailureReason
from relkit.evaluation.types import OpenAIHttp, OpenAISpeech, Scalar

MAX_RESPONSE = 1 << 20
"""The longest transcription that is read, in bytes."""

LONGEST_WAIT_S = 30.0
"""How long a server's Retry-After is honoured at most, in seconds."""

CONNECT_S = 10.0
"""How long opening a connection may take; a host that stays silent is unreachable, not slow."""

MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}
"""Endings of files that such servers take as they are."""

_RETRYABLE = {408, 409, 429}
_NOT_LET_IN = {401, 403}  # every later call would end the same way
_LARGEST = 1e15

_WAITS = {
    f"http11.{direction}_{part}.started"
    for direction in ("send_request", "receive_response")
    for part in ("headers", "body")
}
"""What httpcore says, through its trace extension, before it waits for a server."""


class OpenAIHttpSystem:
    """Implements SpeechSystem with ``{base_url}/audio/transcriptions``.

    A whole file is sent byte for byte, a segment as 16-bit WAV. Latency runs from the first byte of
    the request to the last of the response; opening the connection is not part of it.
    """

    def __init__(self, system: OpenAIHttp, environment: Mapping[str, str]) -> None:
        """Take the key from the environment; raises InvalidInput, and nothing is sent yet.

        The system's ``timeout_s`` bounds one call, waiting included.
        """
        self._fields = form_fields(system)
        self._server = _Server(system, "/audio/transcriptions", environment)

    def answer(self, clip: Clip) -> Answer | Failure:
        """Ask the server once; a time-out, an outage and a refusal are failures by their names."""
        audio, ending = _audio(clip)
        # The file's real name may hold a speaker's name, or the reference.
        file = (f"audio{ending}", audio, MEDIA_TYPES[ending])
        try:
            with self._server.post(
                "application/json", data=self._fields, files={"file": file}
            ) as response:
                first_byte_ms = response.elapsed_ms()
                events: list[AnswerEvent] = []
                if response.media_type == "text/event-stream":
                    reply, events = _read_events(response)
                    first_byte_ms = events[0].t_ms
                else:
                    reply = parse_reply(b"".join(response.blocks(MAX_RESPONSE)))
                return Answer(
                    text=reply.text,
                    latency_ms=response.elapsed_ms(),
                    first_byte_ms=first_byte_ms,
                    usage=reply.usage,
                    events=tuple(events),
                )
        except _Failed as failed:
            return failed.failure

    def close(self) -> None:
        """Close the connection; the next answer opens another."""
        self._server.close()


class OpenAISpeechEngine:
    """Asks ``{base_url}/audio/speech`` for WAV, and gives it out as it arrives.

    Opening the connection is part of the first call, which is a warm-up anyway.
    """

    def __init__(self, system: OpenAISpeech, environment: Mapping[str, str]) -> None:
        """Take the key from the environment; raises InvalidInput, and nothing is sent yet.

        The system's ``timeout_s`` bounds one call, waiting included.
        """
        optional = {"speed": system.rate, "instructions": system.instructions}
        self._fields: dict[str, Scalar] = {
            "model": system.model,
            "voice": system.voice,
            "response_format": "wav",
            **{name: value for name, value in optional.items() if value is not None},
        }
        self._server = _Server(system, "/audio/speech", environment)

    def say(self, text: str) -> Iterator[bytes]:
        """Yield the pieces of the response; raises Unspoken, BackendUnavailable."""
        document = {**self._fields, "input": text}
        try:
            with self._server.post("audio/wav", json=document) as response:
                yield from response.blocks()
        except _Failed as failed:
            raise Unspoken(failed.failure) from None

    def close(self) -> None:
        """Close the connection; the next text opens another."""
        self._server.close()


class _Failed(Exception):
    """A call that gave no answer."""

    def __init__(self, reason: FailureReason, detail: str, *, retryable: bool) -> None:
        super().__init__(reason.value)
        self.failure = Failure(reason=reason, detail=detail, retryable=retryable)


@dataclass(slots=True)
class _Response:
    """A successful response whose body is still to come; ``started`` by ``time.perf_counter``."""

    response: httpx.Response
    started: float
    deadline: float

    @property
    def media_type(self) -> str:
        header: str = self.response.headers.get("Content-Type", "")
        return header.partition(";")[0].strip().lower()

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000

    def blocks(self, limit: float = math.inf) -> Iterator[bytes]:
        """Yield the body as it comes; raises when there is too much of it, or too late."""
        total = 0
        for block in self.response.iter_raw():
            total += len(block)
            if total > limit:
                raise InvalidInput("a response of more than 1 MiB")
            _remaining_s(self.deadline)
            yield block


class _Server:
    """One address of a server, over one kept-alive connection; no proxies, redirects or cookies."""

    def __init__(
        self, system: OpenAIHttp | OpenAISpeech, path: str, environment: Mapping[str, str]
    ) -> None:
        self._url = _url(system.base_url, path)
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "relkit"}
        if system.api_key_env is not None:
            self._headers["Authorization"] = f"Bearer {_key(environment, system.api_key_env)}"
        self._timeout_s = system.timeout_s
        self._not_before = 0.0
        # A transport and no client: a client follows the environment, and keeps cookies.
        self._transport = httpx.HTTPTransport(
            verify=ssl.create_default_context(), limits=httpx.Limits(keepalive_expiry=None)
        )

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._transport.close()

    @contextmanager
    def post(self, accept: str, **content: Any) -> Iterator[_Response]:  # noqa: ANN401 - what httpx.Request takes
        """Send the content and give the response; raises _Failed also for what its reader meets.

        No failure repeats the address or the body: they may hold the key.
        """
        deadline = time.monotonic() + self._timeout_s
        # A server that asked for a pause gets it, as far as half of this call's time allows.
        time.sleep(max(0.0, min(self._not_before - time.monotonic(), self._timeout_s / 2)))
        try:
            response = self._send(accept, content, deadline)
            with closing(response.response):
                if not response.response.is_success:
                    self._refuse(response.response)
                yield response
        except httpx.ConnectTimeout:
            raise _Failed(FailureReason.UNREACHABLE, "ConnectTimeout", retryable=True) from None
        except (TimeoutError, httpx.TimeoutException):
            detail = f"no answer in {limit(self._timeout_s, 's')}"
            raise _Failed(FailureReason.TIMEOUT, detail, retryable=True) from None
        except httpx.TransportError as error:
            # The error below httpx's holds what it met: an error of the system, a malformed answer,
            # or words where the connection ended before any answer.
            cause = next(iter((error.__cause__ or error).args), error)
            silent = isinstance(cause, OSError | str)
            reason = FailureReason.UNREACHABLE if silent else FailureReason.PROTOCOL
            name = type(error if isinstance(cause, str) else cause).__name__
            raise _Failed(reason, name, retryable=silent) from None
        except InvalidInput as error:
            raise _Failed(FailureReason.PROTOCOL, error.message, retryable=False) from None

    def _send(self, accept: str, content: Mapping[str, Any], deadline: float) -> _Response:
        fresh, started = False, 0.0
        waits: dict[str, float] = {}

        def trace(event: str, _: object) -> None:
            nonlocal fresh, started
            if event == "connection.connect_tcp.started":
                fresh = True
            elif event == "http11.send_request_headers.started":
                started = time.perf_counter()
            if event in _WAITS:
                waits["read"] = waits["write"] = _remaining_s(deadline)

        while True:
            waits["connect"] = min(_remaining_s(deadline), CONNECT_S)
            request = httpx.Request(
                "POST",
                self._url,
                headers={**self._headers, "Accept": accept},
                extensions={"timeout": waits, "trace": trace},
                **content,
            )
            try:
                response = self._transport.handle_request(request)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                # A server may close an idle connection at any moment: that says nothing about the
                # request.
                if fresh:
                    raise
            else:
                return _Response(response, started, deadline)

    def _refuse(self, response: httpx.Response) -> NoReturn:
        """Raise the failure for a status; the body is not looked at, as it may repeat the key."""
        status = response.status_code
        if status in _NOT_LET_IN:
            raise BackendUnavailable(
                f"the server does not let us in (status {status})",
                hint="check the key in the variable that api_key_env names",
            )
        wait_s = _retry_after_s(response.headers.get("Retry-After"))
        if wait_s is not None:
            self._not_before = time.monotonic() + min(wait_s, LONGEST_WAIT_S)
        retryable = status in _RETRYABLE or response.is_server_error
        raise _Failed(FailureReason.REFUSED, f"status {status}", retryable=retryable)


def _url(base_url: str, path: str) -> str:
    """Return the address below a base; raises InvalidInput for no plain address."""
    address = urlsplit(base_url)
    try:
        host, _ = address.hostname, address.port
        plain = bool((host or "").encode("idna")) and address.path.isascii()
    except ValueError:  # a port that is no number, a name that is none
        plain = False
    if not plain or address.query or address.fragment or address.username:
        raise InvalidInput(
            "system: base_url is no plain address",
            hint="for example https://api.example.com/v1, the key in the variable of api_key_env",
        )
    return address._replace(path=address.path.rstrip("/") + path).geturl()


def _key(environment: Mapping[str, str], name: str) -> str:
    """Return the key that a variable holds; raises InvalidInput, which never repeats it."""
    key = environment.get(name, "").strip()
    if not key:
        raise InvalidInput(
            f"system: the environment variable {name} is not set",
            hint=f"export {name} with the key of the server, or leave api_key_env out",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidInput(
            f"system: the environment variable {name} holds no key", hint="look at it"
        )
    return key


def _retry_after_s(value: str | None) -> float | None:
    """Return the seconds a server asks to wait (RFC 9110, 10.2.3), None where it does not."""
    if value is None:
        return None
    with suppress(ValueError):
        seconds = float(value)
        return seconds if math.isfinite(seconds) and seconds > 0 else None
    with suppress(ValueError):
        date = parsedate_to_datetime(value)
        return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None


def _remaining_s(deadline: float) -> float:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError
    return remaining_s


def _audio(clip: Clip) -> tuple[bytes, str]:
    """Return the audio to send, and the ending that says what it is."""
    ending = Path(clip.path).suffix.lower()
    if clip.whole and ending in MEDIA_TYPES:
        with suppress(OSError):  # gone since it was decoded: its samples are still here
            return Path(clip.path).read_bytes(), ending
    return wav_bytes(clip.samples, clip.sample_rate), ".wav"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The text of a reply, whole or (for a ``delta``) a piece of it, and its usage."""

    kind: str
    text: str
    usage: Mapping[str, float] = field(default_factory=dict)


def form_fields(system: OpenAIHttp) -> dict[str, str]:
    """Return the fields of the form, without the audio."""
    fields = {
        "model": system.model,
        "language": system.language,
        "prompt": system.prompt,
        "response_format": "json",
        "temperature": f"{system.temperature:g}",
        "stream": "true" if system.stream else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def parse_reply(data: bytes) -> Reply:
    """Return a whole JSON reply; raises InvalidInput, whose words repeat nothing of it."""
    document = _document(data)
    return Reply(kind="done", text=_string(document, "text"), usage=_usage(document))


def parse_event(line: bytes) -> Reply | None:
    """Return what one line of a stream of server-sent events says; None for all other lines.

    ``kind`` is ``delta`` or ``done``. Raises InvalidInput, whose words repeat nothing of it.
    """
    data = line.removeprefix(b"data:").strip()
    if not line.startswith(b"data:") or data == b"[DONE]":
        return None
    document = _document(data)
    match document.get("type"):
        case "transcript.text.delta":
            return Reply(kind="delta", text=_string(document, "delta"))
        case "transcript.text.done":
            return Reply(kind="done", text=_string(document, "text"), usage=_usage(document))
    return None


def _read_events(response: _Response) -> tuple[Reply, list[AnswerEvent]]:
    """Read a stream: deltas as they come, and the text of the one that says done."""
    reply: Reply | None = None
    events: list[AnswerEvent] = []
    for line in _lines(response.blocks(MAX_RESPONSE)):
        if (event := parse_event(line)) is None:
            continue
        text = None if event.kind == "done" else event.text
        events.append(AnswerEvent(t_ms=response.elapsed_ms(), kind=event.kind, text=text))
        if event.kind == "done":
            reply = event
    if reply is None:
        raise InvalidInput("a stream that ends without transcript.text.done")
    return reply, events


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    yield rest


def _document(data: bytes) -> Mapping[str, object]:
    try:
        document = parse_json(data.decode("utf-8"), source="response")
    except UnicodeDecodeError:
        raise InvalidInput("a response that is not UTF-8") from None
    except InvalidInput:
        raise InvalidInput("a response that is not JSON") from None
    if not isinstance(document, Mapping):
        raise InvalidInput("a response that is no JSON object")
    return document


def _string(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise InvalidInput(f'a response without "{name}"')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput("a response with half of a surrogate pair") from None
    return value


def _usage(document: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers of ``usage`` (seconds, or tokens); what lies deeper is part of these."""
    usage = document.get("usage")
    if not isinstance(usage, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in usage.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        if abs(value) <= _LARGEST and str(name).isidentifier() and str(name).isascii()
    }
