"""The child's task ``track``: logs one run, request by request."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput


_METRICS_A_STEP = 500  # the deadline holds for a step; MLflow's client keeps its own limits


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
