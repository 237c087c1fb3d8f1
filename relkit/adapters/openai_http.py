"""Servers that speak OpenAI's transcription API, over the standard library's HTTP client."""

import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from relkit.domain.errors import BackendUnavailable, InvalidInput
from relkit.domain.suites import Scalar
from relkit.domain.utterances import Answer, AnswerEvent, Clip, Failure, FailureReason
from relkit.records.endpoints import connection_to, key_in, retry_after_s
from relkit.records.strict import check
from relkit.records.suites import OpenAIHttpRecord
from relkit.records.transcriptions import (
    MEDIA_TYPES,
    Reply,
    form_fields,
    parse_event,
    parse_reply,
    render_form,
)
from relkit.rules.waveforms import wav_bytes

MAX_RESPONSE = 1 << 20
"""The longest response that is read, in bytes."""

LONGEST_WAIT_S = 30.0
"""How long a server's Retry-After is honoured at most, in seconds."""

CONNECT_S = 10.0
"""How long opening a connection may take; a host that stays silent is unreachable, not slow."""

_RETRYABLE = {408, 409, 429}
_NOT_LET_IN = {401, 403}  # every later call would end the same way
_BLOCK = 1 << 16


class _Late(Exception):
    """The time for this call is over."""


class OpenAIHttpSystem:
    """Implements SpeechSystem over one kept-alive connection; no proxies, no redirects.

    A whole file is sent byte for byte, a segment as 16-bit WAV. Latency runs from the first byte of
    the request to the last of the response; opening the connection is not part of it.
    """

    def __init__(
        self, options: Mapping[str, Scalar], *, timeout_s: float, environment: Mapping[str, str]
    ) -> None:
        """Check the options (a suite's ``system``) and take the key from the environment.

        ``timeout_s`` bounds one call, waiting included. Raises InvalidInput; nothing is sent yet.
        """
        record = check(OpenAIHttpRecord, {"kind": "openai-http", **options}, source="system")
        address = urlsplit(record.base_url)
        self._connection = connection_to(address)
        self._path = address.path.rstrip("/") + "/audio/transcriptions"
        self._headers = {"Accept": "application/json", "User-Agent": "relkit"}
        if record.api_key_env is not None:
            self._headers["Authorization"] = f"Bearer {key_in(environment, record.api_key_env)}"
        self._fields = form_fields(record)
        self._timeout_s = timeout_s
        self._not_before = 0.0

    def answer(self, clip: Clip) -> Answer | Failure:
        """Ask the server once; a time-out, an outage and a refusal are failures by their names."""
        deadline = time.monotonic() + self._timeout_s
        audio, ending = _audio(clip)
        body, content_type = render_form(self._fields, audio=audio, ending=ending)
        # A server that asked for a pause gets it, as far as half of this call's time allows.
        time.sleep(max(0.0, min(self._not_before - time.monotonic(), self._timeout_s / 2)))
        try:
            return self._ask(body, {**self._headers, "Content-Type": content_type}, deadline)
        except (_Late, TimeoutError):
            reason, detail = FailureReason.TIMEOUT, f"no answer in {self._timeout_s:g} s"
        except OSError as error:  # the words of these errors may hold the address
            reason, detail = FailureReason.UNREACHABLE, type(error).__name__
        except http.client.HTTPException as error:
            reason, detail = FailureReason.PROTOCOL, type(error).__name__
        except InvalidInput as error:
            reason, detail = FailureReason.PROTOCOL, error.message
        self.close()
        return Failure(reason=reason, detail=detail, retryable=reason is not FailureReason.PROTOCOL)

    def close(self) -> None:
        """Close the connection; the next answer opens another."""
        self._connection.close()

    def _ask(self, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer | Failure:
        reused = self._connection.sock is not None
        try:
            started, response = self._send(body, headers, deadline)
        except (ConnectionError, http.client.BadStatusLine):
            if not reused:
                raise
            # A server may close an idle connection at any moment; that says nothing about the clip.
            self.close()
            started, response = self._send(body, headers, deadline)
        with response:
            first_byte_ms = (time.perf_counter() - started) * 1000
            if not 200 <= response.status < 300:  # noqa: PLR2004 - the success class of RFC 9110
                return self._refused(response)
            blocks, events = self._blocks(response, deadline), list[AnswerEvent]()
            if response.headers.get_content_type() == "text/event-stream":
                reply, events = _read_events(blocks, started)
                first_byte_ms = events[0].t_ms
            else:
                reply = parse_reply(b"".join(blocks))
        return Answer(
            text=reply.text,
            latency_ms=(time.perf_counter() - started) * 1000,
            first_byte_ms=first_byte_ms,
            usage=reply.usage,
            events=tuple(events),
        )

    def _send(
        self, body: bytes, headers: Mapping[str, str], deadline: float
    ) -> tuple[float, http.client.HTTPResponse]:
        connection = self._connection
        if connection.sock is None:
            self._connect(deadline)
        connection.sock.settimeout(_left(deadline))
        started = time.perf_counter()
        # A server that refuses a body early closes its side: its answer is still there to read.
        with suppress(BrokenPipeError):
            connection.request("POST", self._path, body=body, headers=dict(headers))
        return started, connection.getresponse()

    def _connect(self, deadline: float) -> None:
        self._connection.timeout = min(_left(deadline), CONNECT_S)
        try:
            self._connection.connect()
        except TimeoutError as error:
            raise ConnectionError from error

    def _blocks(self, response: http.client.HTTPResponse, deadline: float) -> Iterator[bytes]:
        """Yield the body as it comes; raises when there is too much of it, or too late."""
        total = 0
        while True:
            if self._connection.sock is not None:  # None where the server closes after this body
                self._connection.sock.settimeout(_left(deadline))
            if not (block := response.read1(_BLOCK)):
                return
            total += len(block)
            if total > MAX_RESPONSE:
                raise InvalidInput("a response of more than 1 MiB")
            _left(deadline)
            yield block

    def _refused(self, response: http.client.HTTPResponse) -> Failure:
        """Return the failure for a status; the body is not looked at, as it may repeat the key."""
        status = response.status
        if status in _NOT_LET_IN:
            raise BackendUnavailable(
                f"the server does not let us in (status {status})",
                hint="check the key in the variable that api_key_env names",
            )
        wait_s = retry_after_s(response.getheader("Retry-After"))
        if wait_s is not None:
            self._not_before = time.monotonic() + min(wait_s, LONGEST_WAIT_S)
        self.close()
        retryable = status in _RETRYABLE or status >= 500  # noqa: PLR2004 - server errors, RFC 9110
        return Failure(reason=FailureReason.REFUSED, detail=f"status {status}", retryable=retryable)


def _audio(clip: Clip) -> tuple[bytes, str]:
    """Return the audio to send, and the ending that says what it is."""
    ending = Path(clip.path).suffix.lower()
    if clip.whole and ending in MEDIA_TYPES:
        with suppress(OSError):  # gone since it was decoded: its samples are still here
            return Path(clip.path).read_bytes(), ending
    return wav_bytes(clip.samples, clip.sample_rate), ".wav"


def _read_events(blocks: Iterator[bytes], started: float) -> tuple[Reply, list[AnswerEvent]]:
    """Read a stream: deltas as they come, and the text of the one that says done."""
    reply: Reply | None = None
    events: list[AnswerEvent] = []
    for line in _lines(blocks):
        if (event := parse_event(line)) is None:
            continue
        at_ms = (time.perf_counter() - started) * 1000
        if event.kind == "done":
            reply = event
        text = None if event.kind == "done" else event.text
        events.append(AnswerEvent(t_ms=at_ms, kind=event.kind, text=text))
    if reply is None:
        raise InvalidInput("a stream that ends without transcript.text.done")
    return reply, events


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    yield rest


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _Late
    return left
