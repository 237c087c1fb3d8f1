"""Prometheus for tests: a stand-in that fails on demand, a small exporter, and the real server."""

import json
import math
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from tests.loopback import LoopbackHandler, LoopbackServer

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus and promtool are not installed (Debian package prometheus)",
)

Answer = tuple[Mapping[str, str], Callable[[int], float | None]]
"""The labels of a series, and its value at a time; None where there is none."""


class _Handler(LoopbackHandler):
    """Answers range queries."""

    def answer(self) -> None:
        """Read the form, then answer or do the next fault."""
        server: StandIn = self.server_app
        length = int(self.headers["Content-Length"])
        form = {key: value[0] for key, value in parse_qs(self.rfile.read(length).decode()).items()}
        server.asked.append({**form, "authorization": self.headers["Authorization"] or ""})
        fault = server.faults.pop(0) if server.faults else server.always
        body = json.dumps(server.document(form)).encode()
        if fault in {"hang", "close", "401", "404", "500", "503", "307"}:
            self.fail(fault)
        elif fault == "cut":
            self.send(200, body[: len(body) // 2])
        elif fault == "torn":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + 99))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True
        elif fault == "drip":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for byte in body:
                self.wfile.write(bytes([byte]))
                if server.stopping.wait(0.2):
                    break
        elif fault in _BODIES:
            status, text = _BODIES[fault]
            self.send(status, text.encode())
        else:
            self.send(200, body)


def _error(kind: str, message: str) -> str:
    return json.dumps({"status": "error", "errorType": kind, "error": message})


def _matrix(series: str) -> str:
    data = f'{{"resultType": "matrix", "result": [{series}]}}'
    return f'{{"status": "success", "data": {data}}}'


_BODIES = {
    "html": (200, "<html>it works</html>"),
    "vector": (200, '{"status": "success", "data": {"resultType": "vector", "result": []}}'),
    "no data": (200, '{"status": "success"}'),
    "bad query": (400, _error("bad_data", "1:3: parse error")),
    "too many": (422, _error("execution", "query processing would load too many samples")),
    "timeout": (503, _error("timeout", "query timed out in expression evaluation")),
    "odd series": (
        200,
        _matrix('{"metric": {}}'),
    ),
    "other times": (
        200,
        _matrix('{"metric": {}, "values": [[1, "1"]]}'),
    ),
    "native": (
        200,
        _matrix('{"metric": {}, "histograms": [[1, {"count": "1"}]]}'),
    ),
}


@dataclass
class StandIn(LoopbackServer):
    """Answers by ``series``: a query to its series; ``always`` is a fault that does not end."""

    handler = _Handler
    series: Callable[[str], Sequence[Answer]] = lambda _: ()
    warnings: list[str] = field(default_factory=list)
    always: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of the server."""
        return self.base_url.removesuffix("/v1")

    def document(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return what Prometheus would say."""
        times = range(int(form["start"]), int(form["end"]) + 1, int(form["step"]))
        result = []
        for labels, value_at in self.series(form["query"]):
            values = [[at, _text(value)] for at in times if (value := value_at(at)) is not None]
            if values:
                result.append({"metric": dict(labels), "values": values})
        data = {"resultType": "matrix", "result": result}
        warned = {"warnings": self.warnings} if self.warnings else {}
        return {"status": "success", "data": data, **warned}


def _text(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)


class _Exporter(BaseHTTPRequestHandler):
    """Serves what the exporter counts, as text or, where it is asked for, as protobuf."""

    server_app: Any
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a scrape."""
        exporter: Exporter = self.server_app
        if exporter.down:
            self.send_error(500)
            return
        protobuf = "protobuf" in self.headers.get("Accept", "") and exporter.native is not None
        body = exporter.protobuf() if protobuf else exporter.text().encode()
        kind = (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily;"
            " encoding=delimited"
            if protobuf
            else "text/plain; version=0.0.4"
        )
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        """Stay silent: tests read their own output."""


@dataclass
class Exporter(LoopbackServer):
    """A service that exposes a counter by outcome, and a native histogram where there is one.

    ``native`` maps the index of a bucket (schema 0: up to 2^index) to its observations.
    """

    handler = _Exporter  # type: ignore[assignment]
    counts: dict[str, float] = field(default_factory=dict)
    native: dict[int, int] | None = None
    down: bool = False

    @property
    def address(self) -> str:
        """Host and port."""
        return self.base_url.removeprefix("http://").removesuffix("/v1")

    def text(self) -> str:
        """Return the text format."""
        lines = ["# TYPE live_turns_total counter"]
        lines += [f'live_turns_total{{outcome="{k}"}} {v}' for k, v in self.counts.items()]
        return "\n".join(lines) + "\n"

    def protobuf(self) -> bytes:
        """Return delimited messages of io.prometheus.client.MetricFamily (metrics.proto)."""
        families = [
            _message(1, b"live_turns_total")
            + _number(3, 0)
            + b"".join(
                _message(4, _message(1, _pair("outcome", k)) + _message(3, _double(1, v)))
                for k, v in self.counts.items()
            )
        ]
        if self.native is not None:
            indexes = sorted(self.native)
            total = sum(self.native.values())
            deltas, before = b"", 0
            for index in indexes:
                deltas += _varint(_zigzag(self.native[index] - before))
                before = self.native[index]
            spans = b""
            for i, index in enumerate(indexes):
                offset = index if i == 0 else index - indexes[i - 1] - 1
                spans += _message(12, _number(1, _zigzag(offset)) + _number(2, 1))
            histogram = (
                _number(1, total)
                + _double(2, float(total))
                + _number(5, _zigzag(0))
                + _double(6, 1e-128)
                + _number(7, 0)
                + spans
                + _message(13, deltas)
            )
            families.append(
                _message(1, b"live_seconds") + _number(3, 4) + _message(4, _message(7, histogram))
            )
        return b"".join(_varint(len(family)) + family for family in families)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def _message(tag: int, body: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(body)) + body


def _double(tag: int, value: float) -> bytes:
    return _varint(tag << 3 | 1) + struct.pack("<d", value)


def _pair(name: str, value: str) -> bytes:
    return _message(1, name.encode()) + _message(2, value.encode())


@contextmanager
def real_prometheus(folder: Path, target: str, history: str = "") -> Iterator[str]:
    """Run Prometheus over a target scraped every second; ``history`` is OpenMetrics text.

    Gives its address once it is ready, and stops it.
    """
    data = folder / "data"
    if history:
        (folder / "history.txt").write_text(history, encoding="utf-8")
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q",
             "--max-block-duration=240h", str(folder / "history.txt"), str(data)],
            check=True,
            capture_output=True,
        )  # fmt: skip
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: bot, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=90d",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=native-histograms",
            ],
            stdout=log,
            stderr=log,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                try:
                    httpx.get(f"{url}/-/ready").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            else:
                pytest.fail("Prometheus did not become ready")
            yield url
        finally:
            process.terminate()
            process.wait()
