"""Tells MLflow about a finished run."""

from collections.abc import Mapping
from pathlib import Path

from relkit.adapters.mlflow.access import Access, Patience, patient
from relkit.core.config import MlflowSettings
from relkit.evaluation.tracking_files import tracking_contents
from relkit.evaluation.types import EvalReport, Scalar


class MlflowTracker:
    """Implements the ``RunTracker`` port with an MLflow server, or a database in the workspace.

    MLflow's own variables keep their meaning and win over ``relkit.yaml``: the address, the
    experiment (``MLFLOW_EXPERIMENT_NAME``, ``_ID``), credentials, TLS, proxies, time limits.
    """

    def __init__(
        self,
        settings: MlflowSettings,
        *,
        state: Path,
        environment: Mapping[str, str],
        deadline_s: float = 10.0,
    ) -> None:
        """Keep the settings; nothing is imported or asked yet.

        ``state`` is the absolute folder ``<workspace>/.relkit``. ``deadline_s`` is how many seconds
        a server may stay silent; a longer ``MLFLOW_HTTP_REQUEST_TIMEOUT`` of the user's counts.
        """
        address = environment.get("MLFLOW_TRACKING_URI")
        named = environment.get("MLFLOW_EXPERIMENT_NAME")
        self._state = state
        self._access = Access(
            uri=address or settings.tracking_uri or f"sqlite:///{state.name}/mlflow.db",
            # A relative path in relkit.yaml starts at the workspace, one in a variable where we are
            folder=None if address else state.parent,
            state=state,
            environment=environment,
            patience=Patience(silence_s=patient(environment, deadline_s)),
            refused="take the run",
        )
        self._experiment = named or settings.experiment
        self._experiment_id = None if named else environment.get("MLFLOW_EXPERIMENT_ID")

    def track(self, report: EvalReport, *, parameters: Mapping[str, Scalar], page: str) -> None:
        """Log a run's metrics, parameters, dataset, ``report.json`` and ``page`` (Markdown).

        A run that was told before is found by its tag ``relkit.run`` and brought up to date.
        Raises as ``Access.ask`` does.
        """
        local = self._access.place.local
        self._access.ask(
            "track",
            {
                "experiment": self._experiment,
                "experiment_id": self._experiment_id,
                "artifacts": (self._state / "mlartifacts").as_uri() if local else None,
                **tracking_contents(report, parameters=parameters, page=page),
            },
        )
