"""The child process: carries out one order with ``MlflowClient`` and says how it goes.

Its task ``track`` logs one run, request by request; those of registered models are in
``registering``.
"""

import http.client
import importlib
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.adapters.mlflow import registering
from relkit.core.errors import Busy, RelkitError
from relkit.core.storage import lock_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput


WHOLE_S = 120.0
"""The longest that one order may take, in seconds."""

_CONNECT_S = 3.0
_METRICS_A_STEP = 500  # the deadline holds for a step; MLflow's client keeps its own limits


def run_client() -> None:
    """Carry out the orders on stdin, a line each, and say on stdout, as JSON, how it goes.

    ``now`` names what begins (``connecting``, ``loading``, ``telling``), ``failed`` and ``reason``
    why it ended, ``done`` that all of it is stored, with what the task returns. Whatever else
    writes to stdout goes to stderr.
    """
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**message: object) -> None:
        stdout.write(json.dumps(message) + "\n")
        stdout.flush()

    def give_up(kind: type[BaseException], error: BaseException, _: object) -> None:
        # The class alone: messages of MLflow, SQLAlchemy and requests hold addresses and folders.
        if isinstance(error, ImportError) and error.name:
            say(failed="import", reason=error.name)
        else:
            say(failed="refused", reason=registering.failure_of(error, kind.__name__))

    sys.excepthook = give_up
    for line in sys.stdin:
        signal.alarm(round(WHOLE_S))  # should the parent be gone by then, end all the same
        order = json.loads(line)
        if order["probe"] is not None:
            say(now="connecting")
            _probe(say, *order["probe"])
        say(now="loading")
        importlib.import_module("mlflow")  # this takes the seconds; what follows is the server's
        say(now="telling")
        with nullcontext() if order["lock"] is None else _turn(Path(order["lock"])):
            _carry_out(order, say)
        signal.alarm(0)


def _carry_out(order: Mapping[str, Any], say: Callable[..., None]) -> None:
    """Carry out one order; what a server refuses ends the order and not the child."""
    from mlflow.exceptions import MlflowException

    try:
        done = TASKS[order["task"]](order, lambda: say(now="telling"))
    except RelkitError as error:
        say(failed="told", reason=error.message, hint=error.hint)
    except MlflowException as error:
        say(failed="refused", reason=registering.failure_of(error, type(error).__name__))
    else:
        say(done=done)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Wait for our turn: two processes that both make the database break each other's migration."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock_file(path, what="the tracking database"))
                break
            except Busy:
                time.sleep(0.1)
        yield


def _probe(say: Callable[..., None], scheme: str, host: str, port: int, path: str) -> None:
    """Return if a server answers there, with anything at all; otherwise say so and exit.

    This takes milliseconds where MLflow takes seconds to be imported before it can ask.
    """
    try:
        if scheme not in {"http", "https"}:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
            return
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = kind(host, port, timeout=_CONNECT_S)
        connection.connect()
        connection.sock.settimeout(None)  # from here on it is silence, which the parent times
        connection.request("GET", f"{path}/health")
        connection.getresponse()
    except ConnectionError as error:
        say(failed="connect", reason=error.strerror or "it closed the connection")
        sys.exit(1)
    except (ssl.SSLError, http.client.HTTPException):
        return  # it answered; whether that is good enough is for MLflow's own settings to say
    except OSError as error:
        say(failed="connect", reason=error.strerror or "timed out")
        sys.exit(1)


def track(order: Mapping[str, Any], progress: Callable[[], None]) -> str:
    """Log the order, calling ``progress`` between requests; return MLflow's id."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=order["uri"])
    experiment = order["experiment_id"] or _experiment(client, order)
    progress()
    runs = client.search_runs([experiment], f"tags.`relkit.run` = '{order['run']}'", max_results=1)
    run = (
        runs[0]
        if runs
        else client.create_run(
            experiment, order["started_ms"], {"relkit.run": order["run"]}, order["run"]
        )
    )
    identifier = str(run.info.run_id)
    for batch in _batches(order):
        progress()
        client.log_batch(identifier, **batch, synchronous=True)
    progress()
    client.log_inputs(identifier, [_dataset_input(order["dataset"])])
    if run.info.status != "FINISHED":
        progress()
        client.set_terminated(identifier)
    # Artifacts come last: their store may be another system, and the numbers do not wait for it.
    for name, text in order["files"].items():
        progress()
        client.log_text(identifier, text, name)
    return identifier


def _experiment(client: "MlflowClient", order: Mapping[str, Any]) -> str:
    from mlflow.exceptions import MlflowException

    name = order["experiment"]
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, order["artifacts"])
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another process may have been first
            if experiment is None:
                raise
    return experiment.experiment_id


def _batches(order: Mapping[str, Any]) -> Iterator[dict[str, list[Any]]]:
    from mlflow.entities import Metric, Param, RunTag

    now = time.time_ns() // 1_000_000  # of two values at step 0 MLflow shows the later one
    tags = [RunTag(name, value) for name, value in order["tags"].items()]
    parameters = [Param(name, value) for name, value in order["parameters"].items()]
    metrics = [Metric(name, value, now, 0) for name, value in order["metrics"].items()]
    yield {"tags": tags}
    for i in range(0, len(metrics), _METRICS_A_STEP):
        yield {"metrics": metrics[i : i + _METRICS_A_STEP]}
    yield {"params": parameters}  # last: MLflow refuses to change one, the rest is up to date then


def _dataset_input(dataset: Mapping[str, Any]) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    entity = Dataset(
        name=dataset["name"],
        digest=dataset["digest"],
        source_type="local",
        source=json.dumps(dataset["source"]),
        profile=json.dumps({"num_rows": dataset["rows"]}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "evaluation")])


TASKS = {
    "track": track,
    "read": registering.read,
    "repair": registering.repair,
}
"""What an order can ask for."""
