"""Clips through a real Ray cluster: two raylets of this machine, lost workers and machines."""

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.ray_cluster import (
    ADDRESS,
    ActorSettings,
    ClusterWorker,
    RayCluster,
    RayExecutor,
    described,
)
from relkit.core.errors import BackendUnavailable, InvalidInput, UsageError
from relkit.datasets.types import Answer, Failure, FailureReason, Prediction
from relkit.evaluation.types import JobResources
from relkit.wiring.systems import cluster_worker
from tests.conftest import Workspace
from tests.fakes import EchoSystem, tones

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")

PLANTED = "zq7x-kite-40"
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where it is 0, Ray takes the loopback for the address of a machine, and nothing else listens."""


@dataclass
class Raylets:
    """A cluster that can lose a machine and get another."""

    cluster: Any
    address: str

    def add(self) -> Any:  # noqa: ANN401 - Ray's own type
        """Add a machine with one CPU."""
        return self.cluster.add_node(num_cpus=1)


@pytest.fixture(scope="module")
def raylets() -> Iterator[Raylets]:
    """Start two machines with a CPU each, and join them; nobody else can reach them."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # the path of a socket has to be short
    changes = {"RAY_USAGE_STATS_ENABLED": "0", LOOPBACK: "0", "RAY_TMPDIR": str(folder)}
    before = {name: os.environ.get(name) for name in (*changes, ADDRESS)}
    os.environ.update(changes)
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - reads the environment when imported

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    os.environ[ADDRESS] = cluster.address
    held = Raylets(cluster, cluster.address)
    held.add()
    joined = RayCluster(os.environ)
    yield held
    joined.close()
    cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray has no types here
    shutil.rmtree(folder, ignore_errors=True)
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def executor(
    script: dict[str, str] | None = None,
    diary: Path | None = None,
    **settings: Any,  # noqa: ANN401 - any setting
) -> RayExecutor:
    """Return an executor of two actors with echoes in them."""
    chosen = ActorSettings(**({"jobs": 2, "timeout_s": 20.0, "retries": 1} | settings))
    return RayExecutor(partial(EchoSystem, script, diary), partial(described, "load"), chosen)


def texts(predictions: list[Prediction]) -> Counter[str]:
    """Return how often each clip was answered with its own text."""
    return Counter(
        p.id
        for p in predictions
        if isinstance(p.outcome, Answer) and f"u{p.outcome.text}" == p.id and p.load == "load"
    )


def test_a_lost_worker_and_a_lost_machine_cost_no_clip(
    raylets: Raylets, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every clip is answered once, what was lost with an attempt more."""
    diary = tmp_path / "diary"
    added = raylets.add()
    predictions: list[Prediction] = []
    for prediction in executor(diary=diary, jobs=3).predict(tones(300)):
        predictions.append(prediction)
        if len(predictions) == 50:
            built = [line.split() for line in diary.read_text().splitlines() if "built" in line]
            os.kill(int(built[0][0]), signal.SIGKILL)
        if len(predictions) == 150:
            raylets.cluster.remove_node(added)
    assert texts(predictions) == Counter({f"u{i}": 1 for i in range(300)})
    assert 300 < sum(p.attempts for p in predictions) <= 303
    asked = [line for line in diary.read_text().splitlines() if " asked " in line]
    assert len(asked) <= sum(p.attempts for p in predictions)
    assert capfd.readouterr().out == ""  # a document belongs there, and none of Ray's messages


def test_failures_are_those_of_local_workers(raylets: Raylets) -> None:
    """A hang, a defect and a refusal by their names; the planted words are nowhere."""
    assert raylets.address
    script = {"0": "hang", "1": "defect", "2": "refuse", "3": "print"}
    asked = executor(script, timeout_s=0.5, grace_s=0.2, retries=0)
    found = {p.id: p for p in asked.predict(tones(6))}
    failures = {
        name: (p.outcome.reason, p.attempts)
        for name, p in found.items()
        if isinstance(p.outcome, Failure)
    }
    assert failures == {
        "u0": (FailureReason.TIMEOUT, 1),
        "u1": (FailureReason.CRASHED, 1),
        "u2": (FailureReason.REFUSED, 1),
    }
    late = found["u0"].outcome
    assert isinstance(late, Failure)
    assert late.detail == "no answer in 0.5 s"
    session = Path(os.environ["RAY_TMPDIR"])
    logs = [path for path in session.rglob("*") if path.is_file() and "log" in path.parts[-2:][0]]
    assert logs
    for path in logs:
        assert PLANTED.encode() not in path.read_bytes()


def other_version(_: str) -> ClusterWorker:
    """Tell of another relkit."""
    return ClusterWorker(relkit="0.0.9", python="3.11.0", load="load")


def test_what_cannot_start_ends_the_run_by_name(raylets: Raylets) -> None:
    """Nothing is asked of a system that refuses to be built, or of another version."""
    assert raylets.address
    with pytest.raises(InvalidInput, match="refused to be built"):
        list(executor({"build": "refuse"}).predict(tones(1)))
    other = RayExecutor(
        EchoSystem, partial(other_version, ""), ActorSettings(jobs=1, timeout_s=9, retries=0)
    )
    with pytest.raises(BackendUnavailable, match=r"has relkit 0\.0\.9, and this is"):
        list(other.predict(tones(1)))
    greedy = JobResources(gpus=1)
    with pytest.raises(BackendUnavailable, match=r"was ready in 0\.5 s"):
        list(executor(resources=greedy, start_s=0.5).predict(tones(2)))
    with pytest.raises(BackendUnavailable, match=r"was ready in 0\.5 s"):
        list(executor(threads=64, start_s=0.5).predict(tones(2)))


def test_a_suite_is_evaluated_on_the_cluster(raylets: Raylets, workspace: Workspace) -> None:
    """The texts are those of a local run, each id once, under a load of its own."""
    assert raylets.address
    program = "import json, sys\nfor line in sys.stdin:\n    r = json.loads(line)\n"
    program += "    print(json.dumps({'id': r['id'], 'text': str(r['duration'])}), flush=True)\n"
    (workspace.folder / "echo.py").write_text(program, encoding="utf-8")
    name = workspace.suite('{kind: command, run: "python3 echo.py", timeout_s: 20}', name="echo")
    here = workspace.relkit("eval", name, "--fresh", "--json").document
    file = workspace.folder / "eval" / "suites" / f"{name}.yaml"
    file.write_text(file.read_text("utf-8") + "resources: {cpus: 1}\n", encoding="utf-8")
    there = workspace.relkit(
        "eval", name, "--fresh", "--executor", "ray", "--jobs", "auto", "--json"
    )
    assert there.code == 0, there.err
    report = there.document
    assert report["scored"] == here["scored"] == report["expected"]
    assert report["slices"][0]["metrics"]["wer"] == here["slices"][0]["metrics"]["wer"]
    assert report["load"] != here["load"]
    run = json.loads((workspace.folder / report["path"] / "run.json").read_text("utf-8"))
    assert (run["load"]["jobs"], run["load"]["executor"]) == (2, "ray")
    assert report["suite"] == here["suite"]


def test_a_cluster_that_is_not_there_is_said() -> None:
    """By what is wrong with its address, and how to start one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(BackendUnavailable, match="no Ray cluster listens at") as caught:
            RayCluster({ADDRESS: address})
        assert time.monotonic() - begun < 10
        assert "ray start --head" in (caught.value.hint or "")
    for wrong in ("somewhere", "host:", ":6379", "host:port"):
        with pytest.raises(UsageError, match="is no HOST:PORT"):
            RayCluster({ADDRESS: wrong})
    with pytest.raises(UsageError, match="is the address of a client"):
        RayCluster({ADDRESS: "ray://head:10001"})


def test_what_a_cluster_does_not_serve_yet_is_refused(workspace: Workspace) -> None:
    """Speech and conversations are made on this machine."""
    suite = workspace.folder / "eval" / "suites" / "spoken.yaml"
    suite.write_text(
        "schema: relkit.suite/v1\nname: spoken\ntask: tts\ndataset: {name: assistant-commands}\n"
        "system: {kind: espeak-ng}\nrecogniser: {kind: faster-whisper, model: tiny.en}\n",
        encoding="utf-8",
    )
    refused = workspace.relkit("eval", "spoken", "--executor", "ray")
    assert refused.code == 2
    assert "--executor ray does not serve the task tts yet" in refused.err


def test_machines_of_one_kind_have_one_load() -> None:
    """What decides is the machine and how it is shared, not who asks."""
    assert cluster_worker(2, 1, 0.0) == cluster_worker(2, 1, 0.0)
    assert cluster_worker(2, 1, 0.0).load != cluster_worker(4, 1, 0.0).load
    assert cluster_worker(2, 1, 0.0).load != cluster_worker(2, 1, 0.5).load
