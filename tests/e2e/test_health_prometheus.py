"""``relkit health --prometheus`` against a real server, whose past was written from a file."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from relkit.core.errors import ExitCode
from tests.conftest import Workspace
from tests.serving_data import HEALTH, MINUTES, NOW, START, bare_workspace

METRICS = """\
churn: {max: 0.35}
prometheus:
  turns: turns_total
  attempts: attempts_total
  queue: {histogram: queue_seconds}
  service: {histogram: service_seconds}
  stages: {latency_ms: {histogram: latency_seconds}}
  partial_changes: changed_total
  partial_words: words_total
"""
POLICY = HEALTH.replace("churn: {max: 0.35}\n", METRICS).replace(
    "voice-cloud", "{latency_ms: {target: [500, 800], limit: 1100}}"
)
STORM = 15
"""Minutes in which attempts double, at the end of what the server knows."""


def counter(name: str, labels: str, per_minute: float, last: float | None = None) -> Iterator[str]:
    """Yield a counter's samples in OpenMetrics, two a minute; it restarts after half an hour."""
    value = 5000.0
    for half in range(2 * MINUTES + 1):
        if half == 60:
            value = 0.0
        at = int(START.timestamp()) + 30 * half
        yield f"{name}{labels} {value} {at}"
        storm = last is not None and half >= 2 * (MINUTES - STORM)
        value += (last if storm and last is not None else per_minute) / 2


def exposition() -> Iterator[str]:
    """Yield what a voice service exposes, in OpenMetrics."""
    yield "# TYPE turns counter"
    for name in ("free", "paid"):
        yield from counter("turns_total", f'{{tenant_class="{name}"}}', 30)
    for name, per_minute, last in (
        ("attempts", 66.0, 150.0),
        ("changed", 60.0, None),
        ("words", 480.0, None),
    ):
        yield f"# TYPE {name} counter"
        yield from counter(f"{name}_total", "", per_minute, last)
    for name, seconds, bounds in (
        ("queue_seconds", 0.03, (0.05, 0.2, 1.0)),
        ("service_seconds", 0.8, (0.5, 1.0)),
        ("latency_seconds", 0.7, (0.6, 0.8, 1.1)),
    ):
        yield f"# TYPE {name} histogram"
        for bound in bounds:
            per_minute = 60.0 if seconds <= bound else 0.0
            yield from counter(f"{name}_bucket", f'{{le="{bound}"}}', per_minute)
        yield from counter(f"{name}_bucket", '{le="+Inf"}', 60)
        yield from counter(f"{name}_count", "", 60)
        yield from counter(f"{name}_sum", "", 60 * seconds)
    yield "# EOF"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a Prometheus server that has scraped the service all morning."""
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        pytest.skip("prometheus and promtool are not installed (apt install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "metrics.txt").write_text("\n".join(exposition()) + "\n", encoding="utf-8")
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1m}\n", encoding="utf-8")
    blocks = ["tsdb", "create-blocks-from", "openmetrics", "metrics.txt", "data"]
    subprocess.run(["promtool", *blocks], cwd=folder, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    options += ["--storage.tsdb.retention.time=90y", f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["prometheus", *options], cwd=folder, stdout=log, stderr=log)
    try:
        _wait(f"http://{address}/-/ready")
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(url, timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail("prometheus did not start")


@pytest.fixture
def workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a workspace with the policy and nothing else."""
    bare = bare_workspace(tmp_path, capsys)
    (bare.folder / "gates" / "serving.yaml").write_text(POLICY, encoding="utf-8")
    return bare


def test_a_real_server_is_judged_minute_by_minute(workspace: Workspace, server: str) -> None:
    """Before the storm it is ok, counters that restarted included; in the storm it is one."""
    calm = workspace.relkit(
        "health", "serving", "--prometheus", server, "--now", "2026-11-01T11:15:00Z", "--json"
    )
    report = calm.document
    assert (calm.code, report["verdict"]) == (ExitCode.OK, "ok"), report["reasons"]
    assert report["queue"]["utilisation"] == pytest.approx(0.8 / 40)
    assert report["retries"]["amplification"] == pytest.approx(1.1)
    assert report["churn"]["value"] == pytest.approx(0.125)
    assert [tenant["calls"] for tenant in report["tenants"]] == [150, 150]
    assert report["telemetry"] is None
    storm = workspace.relkit("health", "serving", "--prometheus", server, "--now", NOW, "--json")
    assert (storm.code, storm.document["verdict"]) == (ExitCode.FAILED, "storm")
    assert storm.document["level"] == "smaller_model"


def test_what_a_server_does_not_have_is_never_ok(workspace: Workspace, server: str) -> None:
    """Just after a restart, after the last sample, and with a misspelt counter it is no data."""
    policy = workspace.folder / "gates" / "serving.yaml"
    for now, word in (
        ("2026-11-01T10:32:00Z", "restarted in the last five minutes"),
        ("2026-11-01T13:00:00Z", "the newest turn is"),
    ):
        answer = workspace.relkit(
            "health", "serving", "--prometheus", server, "--now", now, "--json"
        )
        assert answer.code == ExitCode.NO_DATA, answer.document
        assert any(word in reason for reason in answer.document["reasons"])
    policy.write_text(POLICY.replace("turns: turns_total", "turns: turn_total"), encoding="utf-8")
    answer = workspace.relkit("health", "serving", "--prometheus", server, "--now", NOW, "--json")
    assert answer.code == ExitCode.NO_DATA
    assert any("no series turn_total" in reason for reason in answer.document["reasons"])


def test_a_server_that_is_down_exits_5(workspace: Workspace) -> None:
    """Nothing answers there, and that is said without a traceback."""
    answer = workspace.relkit("health", "serving", "--prometheus", "http://127.0.0.1:1")
    assert answer.code == ExitCode.BACKEND
    assert "did not answer" in answer.err
