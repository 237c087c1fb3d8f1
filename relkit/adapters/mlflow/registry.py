"""Keeps MLflow's registered models, which serving systems read, as the ledger says."""

import math
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relkit.adapters.mlflow.access import Access, Patience, Talk, patient
from relkit.core.config import MlflowSettings
from relkit.core.errors import InvalidInput
from relkit.core.values import time_text
from relkit.registry.mirror import differences
from relkit.registry.types import (
    LegacyModel,
    LegacyVersion,
    MirrorModel,
    MirrorVersion,
    RequiredModel,
)

TIMEOUT = "RELKIT_MLFLOW_TIMEOUT"
_WHOLE_S = 12.0
_SILENCE_S = 10.0
_A_VERSION_S = 0.1
_MANY = 300  # of a registry that is read whole nobody knows how much it is
_HINT = "check MLFLOW_REGISTRY_URI, MLFLOW_TRACKING_URI, or mlflow.tracking_uri in relkit.yaml"


class MlflowRegistry:
    """Implements the ``Mirror`` port with an MLflow server, or a database in the workspace.

    The address is ``MLFLOW_REGISTRY_URI``, else that of tracking. ``RELKIT_MLFLOW_TIMEOUT`` is how
    many seconds a server is given in all (default 12, and 0.1 for every version of the model);
    MLflow's own variables keep their meaning, save that no request is sent twice.
    """

    def __init__(
        self,
        settings: MlflowSettings,
        *,
        state: Path,
        environment: Mapping[str, str],
        uri: str | None = None,
    ) -> None:
        """Keep the settings; nothing is imported or asked yet.

        ``state`` is the absolute folder ``<workspace>/.relkit``; ``uri`` wins over all settings.
        """
        address = (
            uri or environment.get("MLFLOW_REGISTRY_URI") or environment.get("MLFLOW_TRACKING_URI")
        )
        self._uri = address or settings.tracking_uri or f"sqlite:///{state.name}/mlflow.db"
        self._folder = None if address else state.parent
        self._state = state
        self._environment = environment
        self._talk: Talk | None = None

    def compare(self, required: RequiredModel) -> tuple[str, ...]:
        """Return where MLflow differs from the ledger, in words; raises BackendUnavailable."""
        models = self._ask(
            "read", {"names": [required.model], "locations": False}, len(required.versions)
        )
        return differences(required, _model(models.get(required.model)))

    def repair(self, required: RequiredModel) -> tuple[str, ...]:
        """Make MLflow say what the ledger says and return what was changed, in words.

        Raises BackendUnavailable where it does not answer, and, where ``guarded``, where somebody
        else moved an alias or deleted the version it has to name.
        """
        order = {"required": asdict(required)}
        return tuple(self._ask("repair", order, len(required.versions)))

    def legacy(self, names: Sequence[str] | None) -> dict[str, LegacyModel]:
        """Return models (None: all of them) by name.

        A model that does not exist has no entry. Raises BackendUnavailable.
        """
        order = {"names": None if names is None else list(names), "locations": True}
        models = self._ask("read", order, _MANY)
        return {
            name: LegacyModel(versions=tuple(_legacy(name, model)), aliases=model["aliases"])
            for name, model in models.items()
        }

    def _ask(self, task: str, order: Mapping[str, object], versions: int) -> Any:  # noqa: ANN401  # JSON of the task
        """Ask the child, which stays for the next order: MLflow is imported once a command."""
        silence_s = patient(self._environment, _SILENCE_S)
        whole_s = max(_WHOLE_S, silence_s)
        seconds = self._environment.get(TIMEOUT)
        if seconds:
            whole_s = _seconds(seconds)
            silence_s = min(silence_s, whole_s)
        patience = Patience(silence_s=silence_s, whole_s=whole_s + _A_VERSION_S * versions)
        if self._talk is None:
            # Half for a request, so that a write which hung is read back within the whole.
            request_s = math.ceil(patience.silence_s / 2)
            access = Access(
                uri=self._uri,
                folder=self._folder,
                state=self._state,
                environment={"MLFLOW_HTTP_REQUEST_TIMEOUT": str(request_s), **self._environment},
                patience=patience,
                refused="do what the registry needs",
                lock="mlflow.lock" if self._uri.startswith("sqlite") else "mlflow-registry.lock",
                variables={"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
                hint=_HINT,
            )
            self._talk = Talk(access)
            weakref.finalize(self, self._talk.close)
        return self._talk.ask(task, order, patience)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - an hour; NaN is none
        raise InvalidInput(f"{TIMEOUT} is no number of seconds", hint="for example 12")
    return seconds


def _model(document: Mapping[str, Any] | None) -> MirrorModel:
    if document is None:
        return MirrorModel()
    return MirrorModel(
        versions=tuple(
            MirrorVersion(number=version["number"], source=version["source"], tags=version["tags"])
            for version in document["versions"]
        ),
        aliases=document["aliases"],
        tags=document["tags"],
        there=True,
    )


def _legacy(name: str, document: Mapping[str, Any]) -> Iterable[LegacyVersion]:
    versions = sorted(
        document["versions"], key=lambda version: (version["created_ms"], int(version["number"]))
    )
    for version in versions:
        created = datetime.fromtimestamp(version["created_ms"] // 1000, UTC)
        yield LegacyVersion(
            model=name,
            number=version["number"],
            created=time_text(created),
            source=version["source"],
            location=version["location"],
            run=version["run"],
            stage=None if version["stage"] in {None, "None"} else version["stage"],
            tags=version["tags"],
        )
