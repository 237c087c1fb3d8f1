"""``relkit.yaml``: the file that marks a workspace.

The workspace of one command, frozen: where it is and what its relkit.yaml says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MARKER = "relkit.yaml"
"""The file that makes a folder a workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowSettings:
    """Where runs are tracked; without ``tracking_uri`` a database inside the workspace."""

    tracking_uri: str | None = None
    experiment: str = "relkit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Everything a command needs to know beyond its own options.

    ``folder`` is the absolute folder with ``relkit.yaml``. ``mlflow`` is None where tracking is not
    configured. ``trusted_keys`` are the public keys whose signatures count: PEM files relative to
    the workspace, or ``ed25519:<base64>``. ``profile`` is the disclosure profile of shared
    documents. ``environment`` is a copy of the variables the process was started with.
    """

    folder: Path
    name: str
    datasets: Path
    suites: Path
    normalizers: Path
    gates: Path
    trusted_keys: tuple[str, ...] = ()
    profile: Literal["default", "health"] = "default"
    mlflow: MlflowSettings | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def shown(self, path: Path) -> str:
        """Return a path without a folder of the machine: relative to the workspace, or a name."""
        path = path.absolute()
        inside = path.is_relative_to(self.folder)
        return path.relative_to(self.folder).as_posix() if inside else path.name

    @property
    def registry(self) -> Path:
        """The folder of releases and ledgers."""
        return self.folder / "registry"

    @property
    def state(self) -> Path:
        """The folder of runs, caches and the local tracking database."""
        return self.folder / ".relkit"

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.state / "runs"

    @property
    def cache(self) -> Path:
        """The folder of what can be made again."""
        return self.state / "cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the folders of a workspace are, relative to it."""

    datasets: str = "datasets"
    suites: str = "eval/suites"
    normalizers: str = "eval/normalizers"
    gates: str = "gates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Experiment tracking; the usual ``MLFLOW_*`` variables win."""

    tracking_uri: str | None = None
    experiment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Public keys that are trusted."""

    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """The disclosure profile of shared documents."""

    profile: Literal["default", "health"] = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceFile:
    """``relkit.yaml``, the file that marks a workspace."""

    schema: Literal["relkit.workspace/v1"] = "relkit.workspace/v1"
    name: str
    paths: Paths = Paths()
    mlflow: Tracking | None = None
    signing: Signing | None = None
    privacy: Privacy | None = None
