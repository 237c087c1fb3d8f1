"""Servers that speak OpenAI's speech API, over the standard library's HTTP client."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from urllib.parse import urlsplit

from relkit.domain.errors import BackendUnavailable
from relkit.domain.speech import Unspoken
from relkit.domain.suites import Scalar
from relkit.domain.utterances import Failure, FailureReason
from relkit.records.endpoints import connection_to, key_in, retry_after_s
from relkit.records.strict import check
from relkit.records.suites import OpenAISpeechRecord

LONGEST_WAIT_S = 30.0
"""How long a server's Retry-After is honoured at most, in seconds."""

CONNECT_S = 10.0
"""How long opening a connection may take; a host that stays silent is unreachable, not slow."""

_RETRYABLE = {408, 409, 429}
_NOT_LET_IN = {401, 403}  # every later call would end the same way
_BLOCK = 1 << 14


class OpenAISpeechEngine:
    """Asks ``{base_url}/audio/speech`` for WAV, and gives it out as it arrives.

    One connection is kept alive; no proxies, no redirects. Opening it is part of the first call,
    which is a warm-up anyway.
    """

    def __init__(
        self, options: Mapping[str, Scalar], *, timeout_s: float, environment: Mapping[str, str]
    ) -> None:
        """Check the options (a suite's ``system``) and take the key from the environment.

        ``timeout_s`` bounds one call, waiting included. Raises InvalidInput; nothing is sent yet.
        """
        record = check(OpenAISpeechRecord, {"kind": "openai-http", **options}, source="system")
        address = urlsplit(record.base_url)
        self._connection = connection_to(address)
        self._path = address.path.rstrip("/") + "/audio/speech"
        self._headers = {
            "Accept": "audio/wav",
            "Content-Type": "application/json",
            "User-Agent": "relkit",
        }
        if record.api_key_env is not None:
            self._headers["Authorization"] = f"Bearer {key_in(environment, record.api_key_env)}"
        named = {"speed": record.rate, "instructions": record.instructions}
        self._fields: dict[str, Scalar] = {
            "model": record.model,
            "voice": record.voice,
            "response_format": "wav",
            **{name: value for name, value in named.items() if value is not None},
        }
        self._timeout_s = timeout_s
        self._not_before = 0.0

    def say(self, text: str) -> Iterator[bytes]:
        """Yield the pieces of the response; raises Unspoken, BackendUnavailable."""
        deadline = time.monotonic() + self._timeout_s
        # A server that asked for a pause gets it, as far as half of this call's time allows.
        time.sleep(max(0.0, min(self._not_before - time.monotonic(), self._timeout_s / 2)))
        body = json.dumps({**self._fields, "input": text}).encode()
        try:
            yield from self._ask(body, deadline)
        except TimeoutError:
            self.close()
            raise _unspoken(
                FailureReason.TIMEOUT, f"no answer in {self._timeout_s:g} s", again=True
            ) from None
        except OSError as error:  # the words of these errors may hold the address
            self.close()
            raise _unspoken(FailureReason.UNREACHABLE, type(error).__name__, again=True) from None
        except http.client.HTTPException as error:
            self.close()
            raise _unspoken(FailureReason.PROTOCOL, type(error).__name__) from None

    def close(self) -> None:
        """Close the connection; the next text opens another."""
        self._connection.close()

    def _ask(self, body: bytes, deadline: float) -> Iterator[bytes]:
        reused = self._connection.sock is not None
        try:
            response = self._send(body, deadline)
        except (ConnectionError, http.client.BadStatusLine):
            if not reused:
                raise
            # A server may close an idle connection at any moment; that says nothing about the text.
            self.close()
            response = self._send(body, deadline)
        with closing(response):
            if not 200 <= response.status < 300:  # noqa: PLR2004 - the success class of RFC 9110
                raise self._refused(response)
            while True:
                self._wait_until(deadline)
                if not (block := response.read1(_BLOCK)):
                    break
                yield block
            if response.length:  # the server promised more than it sent
                raise http.client.IncompleteRead(b"")

    def _send(self, body: bytes, deadline: float) -> http.client.HTTPResponse:
        connection = self._connection
        if connection.sock is None:
            connection.timeout = min(_left(deadline), CONNECT_S)
            try:
                connection.connect()
            except TimeoutError as error:
                raise ConnectionError from error
        self._wait_until(deadline)
        # A server that refuses a body early closes its side: its answer is still there to read.
        with suppress(BrokenPipeError):
            connection.request("POST", self._path, body=body, headers=self._headers)
        return connection.getresponse()

    def _wait_until(self, deadline: float) -> None:
        left = _left(deadline)
        if self._connection.sock is not None:  # None where the server closes after this body
            self._connection.sock.settimeout(left)

    def _refused(self, response: http.client.HTTPResponse) -> Unspoken | BackendUnavailable:
        """Return what to raise for a status; the body is not looked at: it may repeat the key."""
        status = response.status
        if status in _NOT_LET_IN:
            return BackendUnavailable(
                f"the server does not let us in (status {status})",
                hint="check the key in the variable that api_key_env names",
            )
        wait_s = retry_after_s(response.getheader("Retry-After"))
        if wait_s is not None:
            self._not_before = time.monotonic() + min(wait_s, LONGEST_WAIT_S)
        self.close()
        again = status in _RETRYABLE or status >= 500  # noqa: PLR2004 - server errors, RFC 9110
        return _unspoken(FailureReason.REFUSED, f"status {status}", again=again)


def _unspoken(reason: FailureReason, detail: str, *, again: bool = False) -> Unspoken:
    return Unspoken(Failure(reason=reason, detail=detail, retryable=again))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
