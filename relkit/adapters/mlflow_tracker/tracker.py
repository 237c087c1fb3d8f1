"""The caller's side: one order to a child process, and a limit on how long it may be silent."""

import importlib.util
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO
from urllib.parse import urlsplit

from relkit.adapters.mlflow_tracker.client import WHOLE_S
from relkit.config import MlflowSettings
from relkit.domain.errors import BackendUnavailable, MissingDependency, RelkitError
from relkit.domain.reports import EvalReport
from relkit.domain.suites import Scalar
from relkit.records.tracking import tracking_contents

_LOAD_S = 60.0  # importing MLflow and migrating a local database: our own work, no dead server
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from relkit.adapters.mlflow_tracker.client import run_client; run_client()"
)
_HINT = "check MLFLOW_TRACKING_URI, or mlflow.tracking_uri in relkit.yaml"
_LOGIN_HINT = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


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
        given = environment.get("MLFLOW_TRACKING_URI")
        named = environment.get("MLFLOW_EXPERIMENT_NAME")
        patience = environment.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
        self._state = state
        self._environment = environment
        self._deadline_s = max(deadline_s, float(patience) if patience.isdecimal() else 0.0)
        self._uri = given or settings.tracking_uri or f"sqlite:///{state.name}/mlflow.db"
        # A relative path in relkit.yaml starts at the workspace, one in a variable where we are.
        self._folder = None if given else state.parent
        self._experiment = named or settings.experiment
        self._experiment_id = None if named else environment.get("MLFLOW_EXPERIMENT_ID")

    def track(self, report: EvalReport, *, parameters: Mapping[str, Scalar], page: str) -> None:
        """Log a run's metrics, parameters, dataset, ``report.json`` and ``page`` (Markdown).

        A run that was told before is found by its tag ``relkit.run`` and brought up to date.
        Raises MissingDependency without MLflow and BackendUnavailable for whatever else goes wrong,
        after seconds; the message names host and port, never credentials or folders.
        """
        if importlib.util.find_spec("mlflow") is None:
            raise _missing("mlflow")
        place = _place(self._uri)
        order = {
            "uri": self._uri,
            "probe": None if self._behind_proxy() else place.probe,
            "experiment": self._experiment,
            "experiment_id": self._experiment_id,
            "artifacts": (self._state / "mlartifacts").as_uri() if place.local else None,
            "lock": str(self._state / "mlflow.lock") if place.local else None,
            **tracking_contents(report, parameters=parameters, page=page),
        }
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile() as stdin:
                stdin.write(json.dumps(order).encode())
                stdin.seek(0)
                self._run(stdin, place)
        except OSError as error:
            raise BackendUnavailable(
                f"MLflow's client could not be started: {error.strerror}",
                hint="check free disk space and the permissions of the workspace",
            ) from error

    def _run(self, stdin: IO[bytes], place: "_Place") -> None:
        with subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            cwd=self._folder,
            env=self._child_environment(),
        ) as child:
            try:
                _follow(child, place, _LOAD_S if place.local else self._deadline_s)
            finally:
                child.kill()

    def _child_environment(self) -> dict[str, str]:
        return {
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(math.ceil(self._deadline_s)),
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            **self._environment,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def _behind_proxy(self) -> bool:
        # Then the server's own port is not ours to try, and the deadline alone has to do.
        return any(value and name.lower() in _PROXIES for name, value in self._environment.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A tracking address as people may see it; ``probe`` is scheme, host, port, path, or None."""

    label: str
    local: bool = False
    probe: tuple[str, str, int, str] | None = None


def _place(uri: str) -> _Place:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BackendUnavailable("the MLflow address is not readable", hint=_HINT) from error
    if parts.scheme.startswith("sqlite"):
        return _Place(label=Path(parts.path).name, local=True)
    if host is None:
        return _Place(label=parts.scheme or "a folder")
    port = port or {"http": 80, "https": 443}.get(parts.scheme)
    if port is None:
        return _Place(label=host)
    label = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _Place(label=label, probe=(parts.scheme, host, port, parts.path.rstrip("/")))


def _missing(package: str) -> MissingDependency:
    if package.partition(".")[0] in {"mlflow", "sqlalchemy", "alembic"}:
        return MissingDependency(
            "tracking needs MLflow, which is not installed", hint="pip install 'relkit[mlflow]'"
        )
    return MissingDependency(
        f"MLflow needs {package} for this server or its artifacts", hint=f"install {package}"
    )


def _follow(child: subprocess.Popen[str], place: _Place, silence_s: float) -> None:
    """Return when the child has told everything; raises what it reports, or its silence."""
    lines: SimpleQueue[str] = SimpleQueue()
    Thread(target=_pump, args=(child.stdout, lines), daemon=True).start()
    end = time.monotonic() + WHOLE_S
    limit, late = _LOAD_S, "MLflow's client could not be started in time"
    while True:
        try:
            line = lines.get(timeout=min(limit, max(end - time.monotonic(), 0)))
        except Empty:
            raise BackendUnavailable(late, hint=_HINT) from None
        if not line:
            break
        message = json.loads(line)
        if "failed" in message:
            raise _refusal(message, place)
        if "done" in message:
            return
        if message["now"] == "loading":
            limit, late = _LOAD_S, f"MLflow could not be loaded within {_LOAD_S:g} s"
        else:
            limit, late = silence_s, f"MLflow did not answer at {place.label} in {silence_s:g} s"
    raise BackendUnavailable(
        f"MLflow's client ended early (exit status {child.wait()})",
        hint="install it again: pip install 'relkit[mlflow]'",
    )


def _pump(source: IO[str], lines: SimpleQueue[str]) -> None:
    for line in source:
        lines.put(line)
    lines.put("")


def _refusal(message: Mapping[str, str], place: _Place) -> RelkitError:
    reason = message["reason"]
    if message["failed"] == "import":
        return _missing(reason)
    if message["failed"] == "connect":
        return BackendUnavailable(f"MLflow did not answer at {place.label}: {reason}", hint=_HINT)
    login = reason in {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}
    return BackendUnavailable(
        f"MLflow at {place.label} did not take the run: {reason}",
        hint=_LOGIN_HINT if login else _HINT,
    )
