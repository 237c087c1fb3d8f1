"""A small server of OpenAI's speech API, for tests: a real engine speaks, and faults on demand.

Run by itself it prints its address and serves until it is killed::

    python tests/speech_server.py [--fault 429 --fault hang ...]
"""

import argparse
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from relkit.audio.samples import stream_header

FAULTS = (
    "400", "401", "404", "429", "500", "503",
    "hang", "drip", "garbage", "close", "torn", "header-only", "silence", "nothing",
)  # fmt: skip
"""What a server can be told to do instead of speaking, once each and in order."""

Speak = Callable[[str], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived."""

    path: str
    authorization: str | None
    document: dict[str, Any]
    connection: int


def espeak(text: str) -> Iterator[bytes]:
    """Speak with espeak-ng, as it does."""
    program = shutil.which("espeak-ng") or "espeak-ng"
    done = subprocess.run(
        [program, "-v", "en-us", "--stdin", "--stdout"],
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    for start in range(0, len(done.stdout), 4096):
        yield done.stdout[start : start + 4096]


@dataclass
class SpeechServer:
    """Serves ``/v1/audio/speech`` on a free loopback port while its context is open.

    ``faults`` are used up one a request, before real answers begin; ``asked`` is what came.
    """

    speak: Speak = espeak
    faults: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Start serving."""
        app: SpeechServer = self

        class Bound(_Handler):
            server_app = app

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and let hanging answers go."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """The address that a suite names."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server_app: SpeechServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Read the request, then speak or do the next fault."""
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server_app.asked.append(
            Asked(
                path=self.path,
                authorization=self.headers["Authorization"],
                document=document,
                connection=self.client_address[1],
            )
        )
        if self.server_app.faults:
            self._fail(self.server_app.faults.pop(0))
        else:
            self._stream(self.server_app.speak(document["input"]))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        """Stay silent: tests read their own output."""

    def _stream(self, pieces: Iterator[bytes], *, whole: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = not whole

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status in {429, 503}:
            self.send_header("Retry-After", "0.01")
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, fault: str) -> None:
        match fault:
            case "hang":
                self.server_app.stopping.wait(60)
                self.close_connection = True
            case "drip":
                self._stream(self._drops(), whole=False)
            case "garbage":
                self._send(200, b"<html>it works</html>", "text/html")
            case "nothing":
                self._send(200, b"", "audio/wav")
            case "header-only":
                self._send(200, stream_header(16_000), "audio/wav")
            case "silence":
                self._send(200, stream_header(16_000) + bytes(32_000), "audio/wav")
            case "torn":
                self._stream(iter([stream_header(16_000), bytes(100)]), whole=False)
            case "close":
                self.close_connection = True
            case status:
                # Servers do repeat what they were sent: none of this may reach a report.
                told = {"error": {"message": f"refused {self.headers['Authorization']}"}}
                self._send(int(status), json.dumps(told).encode())

    def _drops(self) -> Iterator[bytes]:
        yield stream_header(16_000)
        while not self.server_app.stopping.wait(0.05):
            yield bytes(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve with espeak-ng until killed."""
    parser = argparse.ArgumentParser(description="A speech server for tests.")
    parser.add_argument("--fault", action="append", default=[], choices=FAULTS)
    options = parser.parse_args(arguments)
    with SpeechServer(faults=options.fault) as server:
        print(server.base_url, flush=True)  # noqa: T201 - this is what the caller reads
        server.stopping.wait()


if __name__ == "__main__":
    main()
