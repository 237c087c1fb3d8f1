"""``relkit dataset lock``, ``diff`` and ``stats``: versions of a dataset and what they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from relkit.domain.dataset_versions import DatasetLock, DatasetSnapshot
from relkit.domain.errors import InvalidInput
from relkit.ports import VersionedDatasets
from relkit.records.yaml_text import shown
from relkit.rules.dataset_changes import (
    DatasetChanges,
    SliceCoverage,
    TextNumbers,
    changes,
    coverage,
    registered_values,
    slice_columns_of,
    text_numbers,
)


class TrackedAudio(Protocol):
    """What putting audio under version control did."""

    @property
    def outs(self) -> Mapping[str, str]:
        """Each path with its DVC hash."""
        ...

    @property
    def untracked(self) -> int:
        """How many files were taken out of git's index."""
        ...

    @property
    def initialised(self) -> bool:
        """Whether DVC was set up first."""
        ...

    @property
    def remote(self) -> bool:
        """Whether there is a remote to push to."""
        ...


class AudioVersions(Protocol):
    """Puts audio under version control."""

    def track(self, folder: Path, outs: Sequence[str]) -> TrackedAudio:
        """Put paths of a dataset's folder under DVC and out of git's index."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOutcome:
    """A dataset's lock and what was done to write it; ``changed`` says that it is another.

    ``untold`` are slice columns whose values the manifest cannot tell.
    """

    lock: DatasetLock
    changed: bool
    untracked: int
    initialised: bool
    remote: bool
    untold: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOutcome:
    """Two versions and what changed from one to the other."""

    before: DatasetSnapshot
    after: DatasetSnapshot
    changes: DatasetChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsOutcome:
    """What a dataset holds; ``timed`` utterances have a length in the manifest."""

    snapshot: DatasetSnapshot
    timed: int
    seconds: float
    coverage: tuple[SliceCoverage, ...]
    untold: tuple[str, ...]
    text: TextNumbers


def lock(name: str, datasets: VersionedDatasets, audio: AudioVersions) -> LockOutcome:
    """Put a dataset's audio under DVC and write its lock; the same again changes nothing.

    Raises InvalidInput for audio that is missing, empty, a pointer, or outside the dataset's
    folder; MissingDependency without DVC.
    """
    dataset = datasets.load(name, rev=None)
    bad = datasets.defects(name)
    if bad:
        path, problem = min(bad.items())
        raise InvalidInput(
            f"{len(bad)} audio files of {name} cannot be locked, such as "
            f"{name}/{shown(path)}, which {problem}",
            hint="restore them, or take their lines out of the manifest",
        )
    snapshot = datasets.snapshot(name, rev=None)
    digests = {snapshot.files[key]: value for key, value in (snapshot.audio or {}).items()}
    tracked = audio.track(datasets.folder(name), _outs(digests, name))
    written = DatasetLock(
        name=name,
        digest=snapshot.dataset.version.digest,
        utterances=snapshot.dataset.version.utterances,
        registered=registered_values(dataset),
        outs=tracked.outs,
        audio={path: digest for path, digest in digests.items() if digest is not None},
    )
    return LockOutcome(
        lock=written,
        changed=datasets.write_lock(written),
        untracked=tracked.untracked,
        initialised=tracked.initialised,
        remote=tracked.remote,
        untold=slice_columns_of(dataset)[1],
    )


def diff(name: str, before: str, after: str | None, datasets: VersionedDatasets) -> DiffOutcome:
    """Return what changed between two revisions; without ``after`` up to the working tree."""
    old = datasets.snapshot(name, rev=before)
    new = datasets.snapshot(name, rev=after)
    return DiffOutcome(before=old, after=new, changes=changes(old, new))


def stats(name: str, datasets: VersionedDatasets) -> StatsOutcome:
    """Return what the working tree of a dataset holds; no audio is fetched."""
    snapshot = datasets.snapshot(name, rev=None)
    dataset = snapshot.dataset
    lengths = [item.audio.length_s for item in dataset.utterances]
    known = [length for length in lengths if length is not None]
    return StatsOutcome(
        snapshot=snapshot,
        timed=len(known),
        seconds=sum(known),
        coverage=coverage(dataset),
        untold=slice_columns_of(dataset)[1],
        text=text_numbers(dataset.utterances),
    )


def _outs(paths: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return the folders at the top of the dataset that hold its audio, or files that lie there."""
    for path in paths:
        if path.startswith("../"):
            raise InvalidInput(
                f"audio of {name} lies outside its folder, under audio_roots, and cannot be locked",
                hint=f"move it below datasets/{name}",
            )
    return tuple(sorted({PurePosixPath(path).parts[0] for path in paths}))
