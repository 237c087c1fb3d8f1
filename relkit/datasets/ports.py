"""What the workflows need from the outside, as narrow Protocols."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from relkit.datasets.types import (
    AudioSpan,
    Clip,
    Dataset,
    DatasetLock,
    DatasetSnapshot,
    TrackedAudio,
    Unusable,
)


class AudioReader(Protocol):
    """Decodes audio files, a bounded length of them."""

    def read(self, root: str, span: AudioSpan, *, max_s: float) -> Clip | Unusable:
        """Return the decoded clip, or why it cannot be used; raises nothing for bad audio."""


class DatasetStore(Protocol):
    """Finds datasets and their versions."""

    def load(self, name: str, *, rev: str | None) -> Dataset:
        """Return the dataset at a git revision, or the working tree; raises InvalidInput."""


class VersionedDatasets(DatasetStore, Protocol):
    """Datasets whose versions can be locked and compared."""

    def snapshot(self, name: str, *, rev: str | None) -> DatasetSnapshot:
        """Return the dataset with the digests of its audio, fetching none of it."""

    def locked(self, name: str, *, rev: str) -> DatasetLock | None:
        """Return what a revision's lock says, None where it has none."""

    def write_lock(self, lock: DatasetLock) -> bool:
        """Write a dataset's lock whole; False where it says the same already."""

    def defects(self, name: str) -> Mapping[str, str]:
        """Return what is wrong with audio files, path inside the dataset to words."""

    def folder(self, name: str) -> Path:
        """Return the absolute folder of a dataset; raises InvalidInput where there is none."""


class SpeechFinder(Protocol):
    """Finds the speech in a clip of a script."""

    def speech(self, path: str) -> tuple[float, float] | str:
        """Return its first and its last moment in ms, or in words why the clip cannot be used."""


class AudioVersions(Protocol):
    """Puts audio under version control."""

    def track(self, folder: Path, outs: Sequence[str]) -> TrackedAudio:
        """Put paths of a dataset's folder under DVC and out of git's index."""
