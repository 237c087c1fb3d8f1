"""Finds the workspace a command works in and reads its ``relkit.yaml``."""

import os
from collections.abc import Mapping
from pathlib import Path

from relkit import storage
from relkit.config import MARKER, MlflowSettings, Settings
from relkit.domain.errors import InvalidInput
from relkit.records.strict import decode
from relkit.records.workspace import MlflowRecord, WorkspaceRecord, parse_workspace

_HINT = "make one with: relkit init DIR"


def workspace_folder(start: Path) -> Path | None:
    """Return the nearest folder upward with a ``relkit.yaml``, or None."""
    start = start.absolute()
    folders = (start, *start.parents)
    return next((folder for folder in folders if (folder / MARKER).is_file()), None)


def find_workspace(start: Path, environment: Mapping[str, str]) -> Settings:
    """Return the settings of the workspace at or above ``start``; raises InvalidInput."""
    folder = workspace_folder(start)
    if folder is None:
        raise InvalidInput(f"no {MARKER} in this folder or above it", hint=_HINT)
    return read_workspace(folder, environment)


def read_workspace(folder: Path, environment: Mapping[str, str]) -> Settings:
    """Return the settings of one workspace; raises InvalidInput where it is none."""
    data = storage.read_bytes(folder / MARKER, what=MARKER, hint=_HINT)
    record = parse_workspace(decode(data, source=MARKER), source=MARKER)
    root = folder.resolve()
    return Settings(
        workspace=root,
        name=record.name,
        datasets=_inside(root, record.paths.datasets, "paths.datasets"),
        suites=_inside(root, record.paths.suites, "paths.suites"),
        normalizers=_inside(root, record.paths.normalizers, "paths.normalizers"),
        gates=_inside(root, record.paths.gates, "paths.gates"),
        trusted_keys=() if record.signing is None else tuple(record.signing.keys),
        mlflow=_mlflow(record, environment),
        environment=dict(environment),
    )


def _inside(root: Path, relative: str, key: str) -> Path:
    path = Path(os.path.normpath(root / relative))
    if not path.is_relative_to(root):
        raise InvalidInput(f'{MARKER}: "{key}" leaves the workspace', hint="use a folder inside it")
    return path


def _mlflow(record: WorkspaceRecord, environment: Mapping[str, str]) -> MlflowSettings | None:
    """Return tracking settings; the usual MLflow variables win and turn tracking on."""
    uri = environment.get("MLFLOW_TRACKING_URI")
    if record.mlflow is None and not uri:
        return None
    settings = record.mlflow or MlflowRecord()
    return MlflowSettings(
        tracking_uri=uri or settings.tracking_uri,
        experiment=environment.get("MLFLOW_EXPERIMENT_NAME") or settings.experiment or record.name,
    )
