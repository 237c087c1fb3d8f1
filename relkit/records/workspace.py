"""``relkit.yaml``: the file that marks a workspace."""

from typing import Literal

from pydantic import Field

from relkit.records.strict import Record, parse_yaml


class PathsRecord(Record):
    """Where the folders of a workspace are, relative to it."""

    datasets: str = "datasets"
    suites: str = "eval/suites"
    normalizers: str = "eval/normalizers"
    gates: str = "gates"


class MlflowRecord(Record):
    """Experiment tracking; the usual ``MLFLOW_*`` variables win."""

    tracking_uri: str | None = None
    experiment: str | None = None


class SigningRecord(Record):
    """Public keys that are trusted."""

    keys: list[str] = []


class PrivacyRecord(Record):
    """The disclosure profile of shared documents."""

    profile: Literal["default", "health"] = "default"


class WorkspaceRecord(Record):
    """The whole of ``relkit.yaml``."""

    schema_: Literal["relkit.workspace/v1"] | None = Field(default=None, alias="schema")
    name: str
    paths: PathsRecord = PathsRecord()
    mlflow: MlflowRecord | None = None
    signing: SigningRecord | None = None
    privacy: PrivacyRecord | None = None


def parse_workspace(text: str, *, source: str) -> WorkspaceRecord:
    """Return ``relkit.yaml`` as a record; raises InvalidInput."""
    return parse_yaml(text, WorkspaceRecord, source=source)
