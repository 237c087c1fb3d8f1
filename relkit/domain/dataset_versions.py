"""What is kept of a dataset's version, and a dataset with the digests of its audio."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relkit.domain.datasets import Dataset

LockState = Literal["none", "fresh", "stale"]
"""No lock, one that says what the files say, or one that was written before they changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLock:
    """What ``lock.json`` records of one version.

    ``registered`` maps each slice column to the values it had, ``outs`` each path under DVC to its
    DVC hash (``.dir`` at the end for a folder), ``audio`` each audio file to the hex SHA-256 of its
    bytes. All paths are relative to the dataset's folder, with forward slashes.
    """

    name: str
    digest: str
    utterances: int
    registered: Mapping[str, tuple[str, ...]]
    outs: Mapping[str, str]
    audio: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSnapshot:
    """A dataset with the hex SHA-256 of the audio of each utterance.

    ``audio`` maps utterance ids to digests, None for what is missing; it is None where no
    fresh lock tells them, and ``dataset.version.digest`` then says nothing. ``files`` maps
    utterance ids to paths inside the dataset. ``present`` says that no path under DVC is absent.
    """

    dataset: Dataset
    audio: Mapping[str, str | None] | None
    files: Mapping[str, str]
    lock: DatasetLock | None
    present: bool

    @property
    def state(self) -> LockState:
        """Whether the lock still says what the dataset is."""
        if self.lock is None:
            return "none"
        return "fresh" if self.lock.digest == self.dataset.version.digest else "stale"
