"""Servers of hosted APIs on a free loopback port, for tests: what the ones for one API share."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self


@dataclass
class LoopbackServer:
    """Serves on a free port while its context is open, with a handler of the subclass.

    ``faults`` are used up one a request, before real answers begin.
    """

    handler: ClassVar[type["LoopbackHandler"]]
    faults: list[str] = field(default_factory=list)
    retry_after: str = "1"
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Start serving."""
        bound = type("Bound", (self.handler,), {"server_app": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
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


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers one API; ``server_app`` is the server that a test made."""

    server_app: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take a request."""
        self.answer()

    def answer(self) -> None:
        """Read the request, then answer or do the next fault."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        """Stay silent: tests read their own output."""

    def send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        """Send one whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status in {429, 503}:
            self.send_header("Retry-After", self.server_app.retry_after)
        if status == 307:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(body)

    def fail(self, fault: str) -> None:
        """Do the faults that every API has: no answer, or a status with an error."""
        if fault == "hang":
            self.server_app.stopping.wait(60)
        if fault in {"hang", "close"}:
            self.close_connection = True
            return
        # Servers do repeat what they were sent: none of this may reach a report.
        refusal = {"error": {"message": f"refused {self.headers['Authorization']}"}}
        self.send(int(fault), json.dumps(refusal).encode())
