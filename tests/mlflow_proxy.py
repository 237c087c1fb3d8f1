"""A real MLflow server in a process group of its own, and a proxy before it that injects faults."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Literal

import pytest

Kind = Literal["silent", "500", "409", "html", "empty", "drop before", "drop after", "slow after"]
API = "/api/2.0/mlflow/"
ALIAS = "registered-models/alias"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@dataclass
class Server:
    """``mlflow server`` on a port of its own; it can be killed and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    started: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        store = ["--backend-store-uri", "sqlite:///m.db", "--artifacts-destination", "artifacts"]
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        self.started = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *store, *where],
            cwd=self.folder,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 120
        while time.monotonic() < end and self.started.poll() is None:
            try:
                if ask(self.port, "GET", "/health") == b"OK":
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail("the MLflow server did not start")

    def kill(self) -> None:
        """Kill it with its whole process group."""
        if self.started is not None:
            os.killpg(self.started.pid, signal.SIGKILL)
            self.started.wait()
            self.started = None

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401  # JSON
        """Return what the API answers, as somebody else's client would ask."""
        return json.loads(ask(self.port, method, API + path, body) or b"{}")

    def aliases(self, model: str) -> dict[str, str]:
        """Return the aliases of a model by name."""
        found = self.call("GET", f"registered-models/get?name={model}")["registered_model"]
        return {one["alias"]: one["version"] for one in found.get("aliases", [])}

    def versions(self, model: str) -> dict[str, dict[str, str]]:
        """Return the tags of a model's versions by number."""
        found = self.call("GET", f"model-versions/search?filter=name%3D'{model}'")
        return {
            one["version"]: {tag["key"]: tag["value"] for tag in one.get("tags", [])}
            for one in found.get("model_versions", [])
        }


def ask(port: int, method: str, path: str, body: Mapping[str, object] | None = None) -> bytes:
    """Return the body of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        return connection.getresponse().read()
    finally:
        connection.close()


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Give a server that runs; it is killed at the end, whatever happened to it."""
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@dataclass
class Proxy:
    """Forwards to a server; a request that a fault is set for does not come through as it should.

    ``fault`` is (method, part of the path, kind, how many times); None: all is well. ``seen`` are
    the requests that reached the proxy, ``forwarded`` those that reached the server.
    """

    upstream: int
    fault: tuple[str, str, Kind, int] | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    forwarded: list[tuple[str, str]] = field(default_factory=list)
    leave: Event = field(default_factory=Event)
    port: int = 0

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def clear(self) -> None:
        """Forget what was asked, and let everything through."""
        self.fault = None
        self.seen.clear()
        self.forwarded.clear()

    def writes(self, part: str = ALIAS) -> int:
        """Return how many writes of a kind reached the server."""
        return sum(method != "GET" and part in path for method, path in self.forwarded)

    def taken(self, method: str, path: str) -> Kind | None:
        """Return the fault that a request has to suffer, and count it."""
        if self.fault is None:
            return None
        wanted, part, kind, times = self.fault
        if times < 1 or wanted not in {method, "*"} or part not in path:
            return None
        self.fault = (wanted, part, kind, times - 1)
        return kind


@contextmanager
def proxied(upstream: int) -> Iterator[Proxy]:  # noqa: C901 - one class whose methods count as its
    """Give a proxy before a port."""
    proxy = Proxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the names http.server calls
            self.forward()

        def do_POST(self) -> None:
            self.forward()

        def do_DELETE(self) -> None:
            self.forward()

        def do_PATCH(self) -> None:
            self.forward()

        def forward(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            proxy.seen.append((self.command, self.path))
            kind = proxy.taken(self.command, self.path)
            self.close_connection = True
            if kind == "silent":
                proxy.leave.wait(60)
                return
            if kind == "drop before":
                return
            if kind in {"500", "409", "html", "empty"}:
                self.answer(*_FALSE[kind])
                return
            status, content = self.ask(body)
            if kind == "slow after":
                proxy.leave.wait(60)
            if kind not in {"drop after", "slow after"}:
                self.answer(status, "application/json", content)

        def ask(self, body: bytes) -> tuple[int, bytes]:
            proxy.forwarded.append((self.command, self.path))
            connection = http.client.HTTPConnection("127.0.0.1", proxy.upstream, timeout=30)
            try:
                connection.request(
                    self.command, self.path, body, {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return 502, b"no server"
            finally:
                connection.close()

        def answer(self, status: int, kind: str, content: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                return  # the client was killed meanwhile

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.port = server.server_port
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.leave.set()
        server.shutdown()
        server.server_close()


_FALSE: dict[str, tuple[int, str, bytes]] = {
    "500": (500, "text/html", b"<h1>Internal Server Error</h1>"),
    "409": (
        409,
        "application/json",
        b'{"error_code": "RESOURCE_CONFLICT", "message": "honeytoken-marmalade"}',
    ),
    "html": (200, "text/html", b"<html><title>Sign in</title></html>"),
    "empty": (200, "application/json", b"{}"),
}
