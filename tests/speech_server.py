"""A small server of OpenAI's speech API, for tests: a real engine speaks, and faults on demand.

Run by itself it prints its address and serves until it is killed::

    python -m tests.speech_server [--fault 429 --fault hang ...]
"""

import argparse
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from relkit.audio.samples import stream_header
from tests.loopback import LoopbackHandler, LoopbackServer

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


class _Handler(LoopbackHandler):
    def answer(self) -> None:
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

    def _fail(self, fault: str) -> None:
        match fault:
            case "drip":
                self._stream(self._drops(), whole=False)
            case "garbage":
                self.send(200, b"<html>it works</html>", "text/html")
            case "nothing":
                self.send(200, b"", "audio/wav")
            case "header-only":
                self.send(200, stream_header(16_000), "audio/wav")
            case "silence":
                self.send(200, stream_header(16_000) + bytes(32_000), "audio/wav")
            case "torn":
                self._stream(iter([stream_header(16_000), bytes(100)]), whole=False)
            case _:
                self.fail(fault)

    def _drops(self) -> Iterator[bytes]:
        yield stream_header(16_000)
        while not self.server_app.stopping.wait(0.05):
            yield bytes(2)


@dataclass
class SpeechServer(LoopbackServer):
    """Serves ``/v1/audio/speech``; ``asked`` is what came."""

    handler = _Handler
    retry_after: str = "0.01"
    speak: Speak = espeak
    asked: list[Asked] = field(default_factory=list)


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
