"""Builds what versions of datasets need."""

from typing import TYPE_CHECKING

from relkit.core.config import Settings

if TYPE_CHECKING:
    from relkit.adapters.datasets import DatasetFiles
    from relkit.adapters.dvc import DvcAudio
    from relkit.datasets.types import DatasetLock
    from relkit.datasets.versions import DiffOutcome, LockOutcome, StatsOutcome


def dataset_files(settings: Settings) -> "DatasetFiles":
    """Return the datasets of a workspace, audio under DVC included."""
    from relkit.adapters.datasets import DatasetFiles
    from relkit.adapters.git import GitRevisions

    return DatasetFiles(
        settings.datasets,
        cache=settings.cache / "datasets",
        revisions=GitRevisions,
        audio=dvc_audio(settings),
    )


def dvc_audio(settings: Settings) -> "DvcAudio":
    """Return the audio that lies under DVC; DVC itself is not imported."""
    from relkit.adapters.dvc import DvcAudio

    return DvcAudio(settings.workspace, site=settings.cache / "dvc")


def lock_dataset(settings: Settings, name: str) -> "LockOutcome":
    """Lock a dataset; see :func:`relkit.datasets.versions.lock`."""
    from relkit.datasets.versions import lock

    return lock(name, dataset_files(settings), dvc_audio(settings))


def diff_dataset(settings: Settings, name: str, before: str, after: str | None) -> "DiffOutcome":
    """Compare two versions; see :func:`relkit.datasets.versions.diff`."""
    from relkit.datasets.versions import diff

    return diff(name, before, after, dataset_files(settings))


def dataset_stats(settings: Settings, name: str) -> "StatsOutcome":
    """Say what a dataset holds; see :func:`relkit.datasets.versions.stats`."""
    from relkit.datasets.versions import stats

    return stats(name, dataset_files(settings))


def locked_version(settings: Settings, name: str, rev: str) -> "DatasetLock | None":
    """Return what the lock of a revision says, reading nothing else; None where it has none."""
    return dataset_files(settings).locked(name, rev=rev)
