"""Opens a workspace, and the files it keeps things in."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace

if TYPE_CHECKING:  # what only annotates costs no command its start-up
    from relkit.adapters.datasets import DatasetFiles
    from relkit.adapters.decisions import CheckFiles, ContractFiles, DecisionFiles
    from relkit.adapters.definitions import (
        MonitorFiles,
        NormalizerFiles,
        PolicyFiles,
        SuiteFiles,
    )
    from relkit.adapters.dvc import DvcAudio
    from relkit.adapters.ledgers import LedgerFiles
    from relkit.adapters.releases import ArtifactFiles, ReleaseFiles
    from relkit.adapters.runs import RunFolders


def open_workspace(start: Path) -> Workspace:
    """Return the workspace at or above a folder; raises InvalidInput."""
    from relkit.adapters.workspace import find_workspace

    return find_workspace(start, os.environ)


def workspace_if_any(start: Path) -> Workspace | None:
    """Return the workspace at or above a folder, None where there is none."""
    from relkit.adapters.workspace import read_workspace, workspace_folder

    folder = workspace_folder(start)
    return None if folder is None else read_workspace(folder, os.environ)


def runs_in(folder: Path) -> "RunFolders":
    """Return the runs below a folder."""
    from relkit.adapters.results import ParquetResults
    from relkit.adapters.runs import RunFolders

    return RunFolders(folder, ParquetResults())


def run_folders(workspace: Workspace) -> "RunFolders":
    """Return the runs of a workspace."""
    return runs_in(workspace.runs)


def suite_files(workspace: Workspace) -> "SuiteFiles":
    """Return the suites of a workspace."""
    from relkit.adapters.definitions import SuiteFiles

    return SuiteFiles(workspace.suites)


def normalizer_files(workspace: Workspace | None) -> "NormalizerFiles":
    """Return the built-in normalizers, and those of a workspace."""
    from relkit.adapters.definitions import NormalizerFiles
    from relkit.adapters.libraries import whisper_steps

    return NormalizerFiles(None if workspace is None else workspace.normalizers, whisper_steps)


def policy_files(workspace: Workspace) -> "PolicyFiles":
    """Return the gate policies of a workspace."""
    from relkit.adapters.definitions import PolicyFiles

    return PolicyFiles(workspace.gates)


def monitor_files(workspace: Workspace) -> "MonitorFiles":
    """Return the policies of live traffic of a workspace."""
    from relkit.adapters.definitions import MonitorFiles

    return MonitorFiles(workspace.gates)


def dataset_files(workspace: Workspace) -> "DatasetFiles":
    """Return the datasets of a workspace, audio under DVC included."""
    from relkit.adapters.datasets import DatasetFiles
    from relkit.adapters.git import GitRevisions

    return DatasetFiles(
        workspace.datasets,
        cache=workspace.cache / "datasets",
        revisions=GitRevisions,
        audio=dvc_audio(workspace),
    )


def dvc_audio(workspace: Workspace) -> "DvcAudio":
    """Return the audio that lies under DVC; DVC itself is not imported."""
    from relkit.adapters.dvc import DvcAudio

    return DvcAudio(workspace.folder, site=workspace.cache / "dvc")


def contract_files(workspace: Workspace) -> "ContractFiles":
    """Return the contracts of a workspace's datasets, with their stored outcomes."""
    from relkit.adapters.decisions import ContractFiles

    return ContractFiles(workspace.state / "contracts")


def decision_files(workspace: Workspace) -> "DecisionFiles":
    """Return the decisions of a workspace."""
    from relkit.adapters.decisions import DecisionFiles

    return DecisionFiles(workspace.state / "decisions")


def check_files(workspace: Workspace) -> "CheckFiles":
    """Return the checks and approvals of a workspace."""
    from relkit.adapters.decisions import CheckFiles

    return CheckFiles(workspace.state / "checks")


def release_files(workspace: Workspace) -> "ReleaseFiles":
    """Return the releases of a workspace."""
    from relkit.adapters.releases import ReleaseFiles

    return ReleaseFiles(workspace.registry / "releases")


def ledger_files(workspace: Workspace) -> "LedgerFiles":
    """Return the ledgers of a workspace."""
    from relkit.adapters.ledgers import LedgerFiles

    return LedgerFiles(workspace.registry / "events", locks=workspace.state / "locks")


def artifact_files(workspace: Workspace) -> "ArtifactFiles":
    """Return the artifacts of a workspace's releases."""
    from relkit.adapters.releases import ArtifactFiles

    read = release_files(workspace).read
    return ArtifactFiles(workspace.folder, workspace.cache / "artifacts", read=read)
