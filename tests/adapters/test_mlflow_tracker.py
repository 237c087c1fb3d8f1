"""The tracker against a real database, a real server, and servers that are no good."""

import json
import os
import posixpath
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters.mlflow.tracker import MlflowTracker
from relkit.core.config import MlflowSettings
from relkit.core.errors import BackendUnavailable, MissingDependency
from relkit.core.slices import SliceSpec
from relkit.core.values import ErrorCounts, Estimate, Named, SystemId
from relkit.datasets.types import DatasetVersion
from relkit.evaluation.run_files import render_report
from relkit.evaluation.tracking_files import mlflow_metric
from relkit.evaluation.types import EvalReport, Hallucinations, Runaways, Scalar, SliceResult
from tests.mlflow_proxy import ask

RUN = "20260131T120000Z-0a1b2c"
PAGE = "# A page\n\nWER 10.0 %, größer\n"
HONEY = "honeytoken-marmalade"
DIGEST = "sha256:" + "c0ffee" * 10 + "beef"
ODD = ("accent=(none)", "intent=what's up?", "length=[1,2)", "channel=a%26b/c&noise=ä b")


def _slice(key: str, wer: float) -> SliceResult:
    estimate = Estimate(value=wer, low=wer / 2, high=None, n=30, clusters=5)
    return SliceResult(
        slice=key,
        utterances=30,
        clusters=5,
        failures=2,
        counts=ErrorCounts(),
        metrics={"wer": estimate, "latency_ms.p95": Estimate(value=None)},
    )


def _report(*, wer: float = 0.1, slices: tuple[str, ...] = ODD) -> EvalReport:
    return EvalReport(
        run=RUN,
        suite=Named(name="demo", digest="sha256:5"),
        candidate=SystemId(digest="sha256:4", artifact=None),
        dataset=DatasetVersion(
            name="commands", revision="1f2e", dirty=True, digest=DIGEST, utterances=60
        ),
        normalizer=Named(name="english", digest="sha256:3"),
        scorer="relkit 1",
        tool_version="0.1.0",
        created="2026-01-31T12:00:00Z",
        expected=60,
        scored=57,
        failures=2,
        unusable=3,
        repeats=1,
        load="sha256:2",
        slices=tuple(_slice(key, wer) for key in ("overall", *slices)),
        masking=(),
        runaways=Runaways(count=1, loops=0),
        hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
    )


def _tracker(
    workspace: Path, uri: str | None = None, *, deadline_s: float = 10.0, **variables: str
) -> MlflowTracker:
    return MlflowTracker(
        MlflowSettings(tracking_uri=uri, experiment="speech"),
        state=workspace / ".relkit",
        environment={"HOME": str(workspace), "PATH": os.environ["PATH"], **variables},
        deadline_s=deadline_s,
    )


def _error(tracker: MlflowTracker) -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as caught:
        tracker.track(_report(), parameters={}, page=PAGE)
    return caught.value


# Names


@pytest.mark.parametrize(
    ("key", "metric", "name"),
    [
        ("overall", "latency_ms.p95", "latency_ms.p95"),
        ("accent=us", "wer", "accent:us/wer"),
        ("channel=phone&noise=babble", "wer.low", "channel:phone/noise:babble/wer.low"),
        ("length=[1,2)", "wer", "length:1:to:2/wer"),
        ("length=[-inf,0.5)", "wer", "length:-inf:to:0.5/wer"),
        ("accent=(none)", "wer", "accent::none/wer"),
        ("accent=none", "wer", "accent:none/wer"),
        ("intent=turn on: now", "wer", "intent:turn on:3A now/wer"),
        ("intent=a%26b/c%3D%25", "wer", "intent:a:26b:2Fc:3D:25/wer"),
        ("city=Köln", "wer", "city:Köln/wer"),
        ("mood=🙂", "wer", "mood::F0:9F:99:82/wer"),
        ("a b.c=d", "wer", "a 20b 2Ec:d/wer"),
    ],
)
def test_a_name_says_slice_and_metric(key: str, metric: str, name: str) -> None:
    """Slices keep their spelling wherever MLflow allows it."""
    assert mlflow_metric(key, metric) == name


def _keys() -> st.SearchStrategy[str]:
    hard = st.text("ab2378CFno=&%*:/ [(,)\n.-ü", max_size=8)
    values = hard | st.sampled_from(["(none)", "[1,2)", "none", "1:to:2"]) | st.text(max_size=400)
    columns = (hard | st.text(max_size=300)).map(lambda text: re.sub("[&=]", "", text))
    return st.dictionaries(columns, values, min_size=1, max_size=3).map(
        lambda pairs: SliceSpec(columns=tuple(pairs)).key(pairs.values())
    )


@given(_keys(), _keys(), st.sampled_from(["wer", "latency_ms.p95.high"]))
def test_names_are_accepted_and_differ_where_slices_do(one: str, other: str, metric: str) -> None:
    """MLflow's rules hold for any slice (mlflow.utils.validation), and no two share a name."""
    name = mlflow_metric(one, metric)
    assert re.fullmatch(r"[/\w.\- :]*", name)
    assert posixpath.normpath(name) == name
    assert not name.startswith(("..", "/"))
    assert len(name) <= 250
    assert (name == mlflow_metric(other, metric)) == (one == other)


def test_a_name_too_long_is_cut_to_mlflow_s_limit_and_stays_its_own() -> None:
    """The longest name fits exactly, and a slice keeps one prefix for all its metrics."""
    name = mlflow_metric("a=" + "x" * 300, "m" * 300)
    prefix, _, _ = mlflow_metric("a=" + "x" * 300, "wer").partition("/")
    assert len(name) == 250
    assert name.startswith(f"{prefix}/mmm")
    assert re.fullmatch(r"a:x{180}:x[0-9a-f]{16}", prefix)
    assert prefix not in mlflow_metric("a=" + "x" * 301, "wer")


# A database in the workspace

PARAMETERS: dict[str, Scalar] = {
    "system.kind": "openai-http",
    "system.base_url": f"https://user:{HONEY}@host:8000/v1?api_key={HONEY}",
    "system.api_key": HONEY,
    "system.api_key_env": "SPEECH_KEY",
    "system.run": f"TOKEN={HONEY} decode --api-key {HONEY} --beam 1",
    "system.prompt": "x" * 501,
    "system.max_tokens": 5,
    "system.vad": True,
    "system.language": None,
    "versions.a(b": "1.0",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace in which one run was tracked to the default database."""
    folder = tmp_path_factory.mktemp("workspace") / "a folder"
    texts = folder / ".relkit" / "runs" / RUN / "texts.parquet"
    texts.parent.mkdir(parents=True)
    texts.write_text(f"text {HONEY}")
    tracker = _tracker(folder, MLFLOW_TRACKING_PASSWORD=HONEY)
    report = _report(wer=0.4, slices=(*ODD, *(f"speaker=s{i}" for i in range(200))))
    tracker.track(report, parameters=PARAMETERS, page=PAGE)
    return folder


def _rows(workspace: Path, query: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(workspace / ".relkit" / "mlflow.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def _pairs(workspace: Path, query: str) -> dict[object, object]:
    return {row[0]: row[1] for row in _rows(workspace, query)}


@pytest.mark.slow
def test_parameters_are_cut_and_hold_no_secret(workspace: Path) -> None:
    """What is stored is what was given, less nothing, long values and what looks like a key."""
    assert _pairs(workspace, "SELECT key, value FROM params") == {
        "suite": "demo",
        "dataset": "commands",
        "dataset_digest": DIGEST,
        "normalizer": "english",
        "repeats": "1",
        "relkit": "0.1.0",
        "system.kind": "openai-http",
        "system.base_url": "https://host:8000/v1",
        "system.api_key": "(hidden)",
        "system.api_key_env": "SPEECH_KEY",
        "system.run": "TOKEN=(hidden) decode --api-key (hidden) --beam 1",
        "system.prompt": "x" * 499 + "…",
        "system.max_tokens": "5",
        "system.vad": "true",
        "versions.a:28b": "1.0",
    }


@pytest.mark.slow
def test_tags_name_the_evidence(workspace: Path) -> None:
    """The run carries every digest it rests on, and nothing of the machine or its user."""
    assert _pairs(workspace, "SELECT key, value FROM tags") == {
        "mlflow.runName": RUN,
        "relkit.run": RUN,
        "relkit.suite_digest": "sha256:5",
        "relkit.candidate_digest": "sha256:4",
        "relkit.dataset_digest": DIGEST,
        "relkit.dataset_revision": "1f2e",
        "relkit.dataset_dirty": "true",
        "relkit.normalizer_digest": "sha256:3",
        "relkit.load_digest": "sha256:2",
        "relkit.scorer": "relkit 1",
        "relkit.version": "0.1.0",
        "relkit.contract": "not_checked",
    }


@pytest.mark.slow
def test_metrics_of_every_slice_are_there_and_missing_ones_are_not(workspace: Path) -> None:
    """Overall has plain names; a value that is None leaves no metric; all batches arrive."""
    stored = _pairs(workspace, "SELECT key, value FROM latest_metrics WHERE is_nan = 0")
    whole = {key: value for key, value in stored.items() if "/" not in str(key)}
    assert set(whole) == {
        *("expected", "scored", "unusable", "coverage", "runaways"),
        *("utterances", "failures", "wer", "wer.low"),
    }
    assert (whole["expected"], whole["coverage"], whole["runaways"]) == (60, 57 / 60, 1)
    slices = {str(key).removesuffix("/wer") for key in stored if str(key).endswith("/wer")}
    assert slices == {
        *("accent::none", "intent:what:27s up:3F", "length:1:to:2"),
        "channel:a:26b:2Fc/noise:ä b",
        *(f"speaker:s{i}" for i in range(200)),
    }
    assert len(stored) == len(whole) + 4 * len(slices)


@pytest.mark.slow
def test_the_dataset_is_an_input_of_the_run(workspace: Path) -> None:
    """Name, shortened digest, where it lies and how much it is, without reading it."""
    query = (
        "SELECT name, digest, dataset_source_type, dataset_source, dataset_profile FROM datasets"
    )
    source = {"uri": "datasets/commands", "revision": "1f2e"}
    assert _rows(workspace, query) == [
        ("commands", ("c0ffee" * 6), "local", json.dumps(source), json.dumps({"num_rows": 60}))
    ]


@pytest.mark.slow
def test_a_run_told_twice_is_one_run_with_the_later_numbers(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Resuming updates the run, and neither stdout nor stderr hears of MLflow."""
    report = _report(wer=0.2)
    _tracker(workspace).track(report, parameters=PARAMETERS, page=PAGE + "again\n")
    assert capfd.readouterr() == ("", "")
    query = (
        "SELECT r.name, r.status, r.start_time, e.name"
        " FROM runs r JOIN experiments e USING (experiment_id)"
    )
    assert _rows(workspace, query) == [(RUN, "FINISHED", 1769860800000, "speech")]
    assert _pairs(workspace, "SELECT key, value FROM latest_metrics")["wer"] == 0.2
    assert len(_rows(workspace, "SELECT * FROM inputs")) == 1
    files = {path.name: path for path in (workspace / ".relkit" / "mlartifacts").rglob("report.*")}
    assert set(files) == {"report.json", "report.md"}
    assert files["report.json"].read_text() == render_report(report)
    assert files["report.md"].read_text() == PAGE + "again\n"


@pytest.mark.slow
def test_no_text_and_no_secret_is_stored(workspace: Path) -> None:
    """Neither the database nor an artifact holds what lay beside the report."""
    texts = workspace / ".relkit" / "runs" / RUN / "texts.parquet"
    stored = [path for path in workspace.rglob("*") if path.is_file() and path != texts]
    assert {"mlflow.db", "report.json", "report.md"} <= {path.name for path in stored}
    assert [path.name for path in stored if HONEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_two_processes_may_make_the_database_at_once(tmp_path: Path) -> None:
    """The first runs of a workspace, evaluated side by side, are both there."""
    names = ["first", "second"]

    def track(name: str) -> None:
        report = replace(_report(slices=()), run=name)
        _tracker(tmp_path).track(report, parameters={}, page=PAGE)

    with ThreadPoolExecutor() as pool:
        list(pool.map(track, names))
    assert sorted(_pairs(tmp_path, "SELECT name, status FROM runs").items()) == [
        (name, "FINISHED") for name in names
    ]


@pytest.mark.slow
def test_a_broken_database_is_named_without_its_folder(tmp_path: Path) -> None:
    """A relative address in relkit.yaml starts at the workspace; what lies there is reported."""
    (tmp_path / "broken.db").write_text("no database " * 1000)
    error = _error(_tracker(tmp_path, "sqlite:///broken.db"))
    assert error.message.startswith("MLflow at broken.db did not take the run: ")
    assert str(tmp_path) not in f"{error.message} {error.hint}"


# Servers that are no good


def _listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_a_dead_port_is_named_without_credentials(tmp_path: Path) -> None:
    """Nothing listens there: the message says where, and not with which password."""
    with _listen() as free:
        port = free.getsockname()[1]
    uri = f"http://user:{HONEY}@127.0.0.1:{port}"
    error = _error(_tracker(tmp_path, MLFLOW_TRACKING_URI=uri))
    assert error.message == f"MLflow did not answer at 127.0.0.1:{port}: Connection refused"
    assert error.hint == "check MLFLOW_TRACKING_URI, or mlflow.tracking_uri in relkit.yaml"


def test_a_dead_database_server_is_found_the_same_way(tmp_path: Path) -> None:
    """Not only HTTP has a port to try."""
    with _listen() as free:
        port = free.getsockname()[1]
    error = _error(_tracker(tmp_path, f"postgresql://user:{HONEY}@127.0.0.1:{port}/mlflow"))
    assert error.message == f"MLflow did not answer at 127.0.0.1:{port}: Connection refused"


def test_a_server_that_accepts_and_never_answers_is_given_up(tmp_path: Path) -> None:
    """The kernel accepts, nobody reads: the deadline ends it."""
    with _listen() as silent:
        port = silent.getsockname()[1]
        error = _error(_tracker(tmp_path, f"http://127.0.0.1:{port}", deadline_s=1))
    assert error.message == f"MLflow did not answer at 127.0.0.1:{port} in 1 s"


def test_a_server_that_hangs_up_is_unavailable(tmp_path: Path) -> None:
    """A closed connection is no answer."""

    def hang_up(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.close()

    with _listen() as rude:
        Thread(target=hang_up, args=(rude,), daemon=True).start()
        port = rude.getsockname()[1]
        error = _error(_tracker(tmp_path, f"http://127.0.0.1:{port}"))
    assert error.message == f"MLflow did not answer at 127.0.0.1:{port}: it closed the connection"


class _Healthy(BaseHTTPRequestHandler):
    """Answers ``/health`` and refuses what needs a login; the rest waits until ``leave``."""

    leave = Event()

    def do_GET(self) -> None:  # the name http.server calls
        if "/closed/" not in self.path and not self.path.endswith("/health"):
            self.leave.wait()
        self.send_response(401 if "/closed/api" in self.path else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def healthy() -> Iterator[str]:
    """Give the address of a server that is well until it is asked for something."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
    _Healthy.leave.clear()
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    _Healthy.leave.set()
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_healthy_server_that_hangs_later_is_given_up(tmp_path: Path, healthy: str) -> None:
    """The deadline holds for every request, whatever number of retries a user has set."""
    tracker = _tracker(
        tmp_path, f"http://{healthy}", deadline_s=1, MLFLOW_HTTP_REQUEST_MAX_RETRIES="7"
    )
    assert _error(tracker).message == f"MLflow did not answer at {healthy} in 1 s"


@pytest.mark.slow
def test_a_server_that_wants_a_login_says_which_variables(tmp_path: Path, healthy: str) -> None:
    """Refusal is told apart from silence."""
    error = _error(_tracker(tmp_path, f"http://{healthy}/closed"))
    assert error.message.startswith(f"MLflow at {healthy} did not take the run: ")
    assert error.hint is not None
    assert "MLFLOW_TRACKING_TOKEN" in error.hint


@pytest.mark.slow
def test_a_proxy_is_asked_instead_of_the_server_itself(tmp_path: Path, healthy: str) -> None:
    """A server that only the proxy can reach is not declared dead by its unknown name."""
    variables = {"HTTP_PROXY": f"http://{healthy}", "http_proxy": f"http://{healthy}"}
    error = _error(_tracker(tmp_path, "http://tracking.invalid", deadline_s=1, **variables))
    assert error.message == "MLflow did not answer at tracking.invalid:80 in 1 s"


@pytest.mark.parametrize("uri", ["http://host:abc", "http://[::1"])
def test_an_unreadable_address_is_unavailable(tmp_path: Path, uri: str) -> None:
    """A typing error in a variable costs the tracking, not the run."""
    assert _error(_tracker(tmp_path, MLFLOW_TRACKING_URI=uri)).hint is not None


# A client that is no good


def _fake_mlflow(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    package = folder / "packages" / "mlflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(package.parent)


def test_missing_mlflow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the hint says how to install it."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingDependency) as caught:
        _tracker(tmp_path).track(_report(), parameters={}, page=PAGE)
    assert caught.value.hint == "pip install 'relkit-speech[mlflow]'"


@pytest.mark.parametrize(
    ("package", "hint"),
    [("sqlalchemy", "pip install 'relkit-speech[mlflow]'"), ("boto3", "install boto3")],
)
def test_a_missing_part_of_mlflow_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, hint: str
) -> None:
    """A bare client or a missing driver is a missing dependency, too."""
    _fake_mlflow(tmp_path, monkeypatch, f"raise ModuleNotFoundError('no', name='{package}')")
    with pytest.raises(MissingDependency) as caught:
        _tracker(tmp_path).track(_report(), parameters={}, page=PAGE)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os; os._exit(9)", "MLflow's client ended early (exit status 9)"),
        (f"raise ValueError('{HONEY}')", "MLflow at mlflow.db did not take the run: ValueError"),
    ],
)
def test_a_client_that_breaks_is_a_short_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    source: str,
    message: str,
) -> None:
    """Whatever MLflow prints or raises, its words stay in the child."""
    _fake_mlflow(tmp_path, monkeypatch, f"import os; os.write(1, b'{{}}\\n'); print(1)\n{source}")
    assert _error(_tracker(tmp_path)).message == message
    assert capfd.readouterr() == ("", "")


def test_the_caller_s_environment_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's variables are set for the child alone, telemetry is off, a user's own value wins."""
    _fake_mlflow(
        tmp_path,
        monkeypatch,
        "import json, os, pathlib\n"
        "pathlib.Path('seen.json').write_text(json.dumps(dict(os.environ)))\nos._exit(0)",
    )
    before = dict(os.environ)
    own = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_DISABLE_TELEMETRY": "false"}
    _error(_tracker(tmp_path, deadline_s=2.5, **own))
    seen: dict[str, str] = json.loads((tmp_path / "seen.json").read_text())
    assert {name: value for name, value in seen.items() if name.startswith("MLFLOW_")} == {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    assert dict(os.environ) == before


# A real server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Give the port of a real MLflow server, ended with its whole process group."""
    folder = tmp_path_factory.mktemp("server")
    with _listen() as free:
        port = int(free.getsockname()[1])
    store = ["--backend-store-uri", "sqlite:///m.db", "--artifacts-destination", "artifacts"]
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *store, *where],
        cwd=folder,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as started:
        try:
            _wait_for(port, started)
            yield port
        finally:
            os.killpg(started.pid, signal.SIGKILL)


def _wait_for(port: int, started: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and started.poll() is None:
        try:
            if ask(port, "GET", "/health") == b"OK":
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the MLflow server did not start")


@pytest.mark.slow
def test_a_server_is_told_once_however_often(tmp_path: Path, server: int) -> None:
    """Run, metrics, dataset and artifacts arrive over HTTP, in the experiment of the variable."""
    tracker = _tracker(tmp_path, f"http://127.0.0.1:{server}", MLFLOW_EXPERIMENT_NAME="theirs")
    for wer in (0.4, 0.2):
        tracker.track(_report(wer=wer), parameters=PARAMETERS, page=PAGE)
    named = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=theirs"
    experiment = json.loads(ask(server, "GET", named))["experiment"]["experiment_id"]
    search = {"experiment_ids": [experiment]}
    (run,) = json.loads(ask(server, "POST", "/api/2.0/mlflow/runs/search", search))["runs"]
    metrics = {item["key"]: item["value"] for item in run["data"]["metrics"]}
    assert (run["info"]["run_name"], run["info"]["status"]) == (RUN, "FINISHED")
    assert metrics["wer"] == metrics["length:1:to:2/wer"] == 0.2
    assert run["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "commands"
    artifact = f"/get-artifact?run_uuid={run['info']['run_id']}&path="
    assert ask(server, "GET", artifact + "report.json").decode() == render_report(_report(wer=0.2))
    assert ask(server, "GET", artifact + "report.md").decode() == PAGE
