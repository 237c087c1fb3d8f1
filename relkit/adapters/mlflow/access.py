"""The caller's side: one order to a child process, and limits on how long it may take."""

import importlib.util
import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any
from urllib.parse import urlsplit

from relkit._version import with_extra
from relkit.adapters.mlflow.child import WHOLE_S
from relkit.core import wording
from relkit.core.errors import BackendUnavailable, MissingDependency, RelkitError

HINT = "check MLFLOW_TRACKING_URI, or mlflow.tracking_uri in relkit.yaml"
_LOAD_S = 60.0  # importing MLflow and migrating a local database: our own work, no dead server

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from relkit.adapters.mlflow.child import run_client; run_client()"
)

_LOGIN_HINT = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_LOGIN = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"})
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many seconds a server may be silent, and all it is asked may take.

    Neither counts the import of MLflow, which is our own work. A database in the workspace is
    given as long as the import.
    """

    silence_s: float
    whole_s: float = WHOLE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where MLflow is and how it is asked; nothing is imported or asked by making one.

    ``folder`` is where relative addresses start, None where we are. ``state`` is the absolute
    folder ``<workspace>/.relkit``. ``refused`` says what MLflow did not do (``take the run``).
    ``variables`` are those of the child that win over the user's.
    """

    uri: str
    folder: Path | None
    state: Path
    environment: Mapping[str, str]
    patience: Patience
    refused: str
    lock: str | None = None
    variables: Mapping[str, str] | None = None
    hint: str = HINT

    @property
    def place(self) -> "Place":
        """Where it is; raises BackendUnavailable for an address that cannot be read."""
        return place_of(self.uri, self.hint)

    def ask(self, task: str, order: Mapping[str, object]) -> Any:  # noqa: ANN401  # JSON of the task
        """Return what a child says of one order; raises as :meth:`Talk.ask` does."""
        with closing(Talk(self)) as talk:
            return talk.ask(task, order, self.patience)

    def order(self, task: str, order: Mapping[str, object]) -> dict[str, object]:
        """Return a whole order; raises BackendUnavailable for an address that cannot be read."""
        place = self.place
        lock = str(self.state / (self.lock or "mlflow.lock")) if place.local or self.lock else None
        # Behind a proxy the server's own port is not ours to try: the deadline alone has to do.
        proxied = any(text and name.lower() in _PROXIES for name, text in self.environment.items())
        probe = None if proxied else place.probe
        return {"task": task, "uri": self.uri, "probe": probe, "lock": lock, **order}

    def start(self) -> "subprocess.Popen[str]":
        """Start a child; raises MissingDependency without MLflow, BackendUnavailable."""
        if importlib.util.find_spec("mlflow") is None:
            raise _missing("mlflow")
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            return subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                cwd=self.folder,
                env={
                    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
                    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(math.ceil(self.patience.silence_s)),
                    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
                    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
                    **self.environment,
                    **(self.variables or {}),
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                },
            )
        except OSError as error:
            raise BackendUnavailable(
                f"MLflow's client could not be started: {error.strerror}",
                hint="check free disk space and the permissions of the workspace",
            ) from error

    def refusal(self, message: Mapping[str, str]) -> RelkitError:
        """Return the error that a child's message is about."""
        reason = message["reason"]
        if message["failed"] == "import":
            return _missing(reason)
        if message["failed"] == "told":  # it answered, and what it says stands in the way
            return BackendUnavailable(reason, hint=message.get("hint") or self.hint)
        label = self.place.label
        if message["failed"] == "connect":
            return BackendUnavailable(f"MLflow did not answer at {label}: {reason}", hint=self.hint)
        return BackendUnavailable(
            f"MLflow at {label} did not {self.refused}: {reason}",
            hint=_LOGIN_HINT if reason in _LOGIN else self.hint,
        )


class Talk:
    """A child process that is given one order after the other; MLflow is imported once."""

    def __init__(self, access: Access) -> None:
        """Start the child at the first order."""
        self._access = access
        self._child: subprocess.Popen[str] | None = None
        self._lines: SimpleQueue[str] = SimpleQueue()

    @property
    def over(self) -> bool:
        """Whether the child has ended: the next order needs another one."""
        return self._child is None or self._child.poll() is not None

    def close(self) -> None:
        """End the child, whatever it does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            self._child = None

    def ask(self, task: str, order: Mapping[str, object], patience: Patience) -> Any:  # noqa: ANN401  # JSON of the task
        """Return what the child says of an order; the task is one of ``child.TASKS``.

        Raises MissingDependency without MLflow and BackendUnavailable for whatever else goes wrong,
        after seconds; the message names host and port, never credentials or folders.
        """
        line = json.dumps(self._access.order(task, order))
        if self.over:
            self.close()
            self._child = self._access.start()
            self._lines = SimpleQueue()
            Thread(target=_pump, args=(self._child.stdout, self._lines), daemon=True).start()
        child = self._child
        if child is None or child.stdin is None:
            raise BackendUnavailable("MLflow's client could not be started", hint=self._access.hint)
        # A thread writes: a child that never reads would keep us waiting in a long order.
        Thread(target=_hand_over, args=(child.stdin, line), daemon=True).start()
        answered = False
        try:
            message = self._answer(child, patience)
            answered = True
        finally:
            if not answered:
                self.close()
        if "failed" in message:
            raise self._access.refusal(message)
        return message["done"]

    def _answer(self, child: "subprocess.Popen[str]", patience: Patience) -> dict[str, Any]:
        """Return the last message about an order; raises where the child is silent or ends."""
        place, hint = self._access.place, self._access.hint
        silence_s = _LOAD_S if place.local else patience.silence_s
        left_s = whole_s = WHOLE_S if place.local else patience.whole_s
        limit, late = _LOAD_S, "MLflow's client could not be started in time"
        loading = True  # starting Python is no fault of a server either
        while True:
            began = time.monotonic()
            try:
                line = self._lines.get(timeout=limit if loading else min(limit, max(left_s, 0)))
            except Empty:
                raise BackendUnavailable(late, hint=hint) from None
            if not loading:
                left_s -= time.monotonic() - began
            if not line:
                break
            message: dict[str, Any] = json.loads(line)
            if "failed" in message or "done" in message:
                return message
            loading = message["now"] == "loading"
            if loading:
                limit = _LOAD_S
                late = f"MLflow could not be loaded within {wording.limit(limit, 's')}"
            else:
                limit = silence_s
                shown = min(silence_s, whole_s)
                late = f"MLflow did not answer at {place.label} in {wording.limit(shown, 's')}"
        raise BackendUnavailable(
            f"MLflow's client ended early (exit status {child.wait()})",
            hint="install it again: pip install --force-reinstall mlflow",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An address as people may see it; ``probe`` is scheme, host, port, path, or None."""

    label: str
    local: bool = False
    probe: tuple[str, str, int, str] | None = None


def place_of(uri: str, hint: str) -> Place:
    """Return where an address leads; raises BackendUnavailable where it cannot be read."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BackendUnavailable("the MLflow address is not readable", hint=hint) from error
    if parts.scheme.startswith("sqlite"):
        return Place(label=Path(parts.path).name, local=True)
    if host is None:
        return Place(label=parts.scheme or "a folder")
    port = port or {"http": 80, "https": 443}.get(parts.scheme)
    if port is None:
        return Place(label=host)
    label = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Place(label=label, probe=(parts.scheme, host, port, parts.path.rstrip("/")))


def patient(environment: Mapping[str, str], silence_s: float) -> float:
    """Return how long a server may be silent: a longer limit of the user's for MLflow counts."""
    timeout = environment.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
    return max(silence_s, float(timeout) if timeout.isdecimal() else 0.0)


def _missing(package: str) -> MissingDependency:
    if package.partition(".")[0] in {"mlflow", "sqlalchemy", "alembic"}:
        return MissingDependency(
            "tracking needs MLflow, which is not installed", hint=with_extra("mlflow")
        )
    return MissingDependency(
        f"MLflow needs {package} for this server or its artifacts", hint=f"install {package}"
    )


def _pump(source: IO[str], lines: SimpleQueue[str]) -> None:
    for line in source:
        lines.put(line)
    lines.put("")


def _hand_over(target: IO[str], order: str) -> None:
    with suppress(OSError, ValueError):  # it ended, or was ended: who waits for it says so
        target.write(order + "\n")
        target.flush()
