"""``relkit.yaml``: the file that marks a workspace.

The workspace of one command, frozen: where it is and what its relkit.yaml says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from relkit.core.values import Read

MARKER = "relkit.yaml"
"""The file that makes a folder a workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowSettings:
    """Where runs are tracked; without ``tracking_uri`` a database inside the workspace."""

    tracking_uri: str | None = None
    experiment: str = "relkit"


Profile = Literal["default", "health"]
"""A disclosure profile: 10 people per cell, or 11."""


def _listed(written: object) -> object:
    """Return the values of a shared column as a list; a file may say ``*`` for all of them."""
    return [written] if isinstance(written, str) else written


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What may leave the team (section *Privacy* of docs/privacy.md).

    ``unit`` is what is counted as a person: ``session`` only where it is said. With ``ci`` shared
    reports, summaries and comments obey the same rules as packets. ``share`` maps a column to those
    of its values that are named in shared documents, ``*`` for those the dataset was locked with.
    """

    profile: Profile = "default"
    unit: Literal["user", "session"] = "user"
    ci: Literal["internal", "shared"] = "internal"
    share: Mapping[str, Annotated[tuple[str, ...], Read(_listed, str)]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Everything a command needs to know beyond its own options.

    ``folder`` is the absolute folder with ``relkit.yaml``. ``mlflow`` is None where tracking is not
    configured. ``trusted_keys`` are the public keys whose signatures count: PEM files relative to
    the workspace, or ``ed25519:<base64>``. ``privacy`` says what shared documents may
    show. ``environment`` is a copy of the variables the process was started with.
    """

    folder: Path
    name: str
    datasets: Path
    suites: Path
    normalizers: Path
    gates: Path
    trusted_keys: tuple[str, ...] = ()
    privacy: Privacy = Privacy()
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
class WorkspaceFile:
    """``relkit.yaml``, the file that marks a workspace."""

    schema: Literal["relkit.workspace/v1"] = "relkit.workspace/v1"
    name: str
    paths: Paths = Paths()
    mlflow: Tracking | None = None
    signing: Signing | None = None
    privacy: Privacy | None = None
