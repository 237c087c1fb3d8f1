"""``relkit dataset lock``, ``diff`` and ``stats``: what versions hold by slice; no text leaves."""

from collections.abc import Iterable
from dataclasses import replace
from os.path import relpath
from pathlib import PurePosixPath

from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL, SliceSpec
from relkit.core.tokens import tokens
from relkit.core.yaml_text import shown, where
from relkit.datasets.ports import AudioVersions, SpeechFinder, VersionedDatasets
from relkit.datasets.selection import DURATION, slice_values
from relkit.datasets.types import (
    NO_VALUE,
    CoverageMove,
    Dataset,
    DatasetChanges,
    DatasetLock,
    DatasetSnapshot,
    DiffOutcome,
    LockedAudio,
    LockOutcome,
    SliceCoverage,
    StatsOutcome,
    TextNumbers,
    Utterance,
)


def slice_columns_of(dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the dataset's slice columns and bins, and those that its manifest cannot tell.

    A bin of durations needs the length of every utterance.
    """
    present = {column for item in dataset.utterances for column in item.attributes}
    columns = [column for column in dataset.settings.slices if column in present]
    untold = [column for column in dataset.settings.slices if column not in present]
    timed = all(item.audio.length_s is not None for item in dataset.utterances)
    for bins in dataset.settings.bins:
        (columns if timed or bins.column != DURATION else untold).append(bins.name)
    return tuple(dict.fromkeys(columns)), tuple(dict.fromkeys(untold))


def registered_values(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the values of every slice column and bin that the manifest tells, in order."""
    columns, _ = slice_columns_of(dataset)
    keys = _members(dataset, columns)
    return {column: tuple(value for name, value in keys if name == column) for column in columns}


def coverage(dataset: Dataset) -> tuple[SliceCoverage, ...]:
    """Return ``overall`` and every value of every slice column, with what it holds."""
    members = _members(dataset, slice_columns_of(dataset)[0])
    slices = [
        _covered(SliceSpec(columns=(column,)).key([value]), items, dataset)
        for (column, value), items in members.items()
    ]
    return (_covered(OVERALL, list(dataset.utterances), dataset), *slices)


def _members(dataset: Dataset, columns: tuple[str, ...]) -> dict[tuple[str, str], list[Utterance]]:
    """Return the utterances of each column's values, in the order of columns and values."""
    members: dict[tuple[str, str], list[Utterance]] = {}
    for item in dataset.utterances:
        values = slice_values(item, columns, dataset.settings.bins, item.audio.length_s)
        for pair in values.items():
            members.setdefault(pair, []).append(item)
    place = {column: i for i, column in enumerate(columns)}
    return dict(sorted(members.items(), key=lambda item: (place[item[0][0]], _order(item[0][1]))))


def text_numbers(utterances: Iterable[Utterance]) -> TextNumbers:
    """Return how long the references are, in words; at least one utterance."""
    lengths = [len(tokens(item.spoken)) for item in utterances]
    return TextNumbers(
        words=sum(lengths), empty=lengths.count(0), shortest=min(lengths), longest=max(lengths)
    )


def compare_snapshots(before: DatasetSnapshot, after: DatasetSnapshot) -> DatasetChanges:
    """Return what changed from one version to another; every list is sorted by id."""
    old = {item.id: item for item in before.dataset.utterances}
    new = {item.id: item for item in after.dataset.utterances}
    both = [(old[name], new[name]) for name in sorted(old.keys() & new.keys())]
    return DatasetChanges(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        relabelled=tuple(a.id for a, b in both if _labels(a) != _labels(b)),
        attributes={
            a.id: tuple(
                name
                for name in sorted({*a.attributes, *b.attributes})
                if a.attributes.get(name) != b.attributes.get(name)
            )
            for a, b in both
            if a.attributes != b.attributes
        },
        consent={
            a.id: (a.consent.value, b.consent.value) for a, b in both if a.consent != b.consent
        },
        audio=_audio(before, after, both),
        settings=tuple(
            key
            for key in ("cluster", "slices", "bins", "subjects")
            if getattr(before.dataset.settings, key) != getattr(after.dataset.settings, key)
        ),
        coverage=_moves(coverage(before.dataset), coverage(after.dataset)),
    )


def _audio(
    before: DatasetSnapshot, after: DatasetSnapshot, pairs: Iterable[tuple[Utterance, Utterance]]
) -> tuple[str, ...] | None:
    old, new = before.audio, after.audio
    if old is None or new is None:
        return None
    return tuple(a.id for a, b in pairs if old[a.id] != new[b.id] or _segment(a) != _segment(b))


def _labels(item: Utterance) -> tuple[object, ...]:
    # Where the clips lie is no label; what their bytes are is compared elsewhere.
    script = [replace(entry, audio_filepath="", bounds_ms=None) for entry in item.script]
    sound = item.acoustics
    heard = None if sound is None else replace(sound, noise=None)
    return item.reference, item.entities, script, item.expect, heard


def _segment(item: Utterance) -> tuple[float, float | None] | None:
    # Without an offset the whole file is heard, and the length is only said.
    return None if item.audio.offset_s is None else (item.audio.offset_s, item.audio.length_s)


def _covered(name: str, items: list[Utterance], dataset: Dataset) -> SliceCoverage:
    lengths, column = [item.audio.length_s for item in items], dataset.settings.ways.column
    measured = [length for length in lengths if length is not None]
    return SliceCoverage(
        slice=name,
        utterances=len(items),
        clusters=len({item.attributes.get(column, NO_VALUE) for item in items}),
        seconds=sum(measured) if len(measured) == len(lengths) else None,
    )


def _moves(
    before: tuple[SliceCoverage, ...], after: tuple[SliceCoverage, ...]
) -> tuple[CoverageMove, ...]:
    old, new = ({item.slice: item for item in side} for side in (before, after))
    none = SliceCoverage(slice="", utterances=0, clusters=0, seconds=None)
    pairs = {name: (old.get(name, none), new.get(name, none)) for name in [*old, *new]}
    return tuple(
        CoverageMove(
            slice=name, utterances=(a.utterances, b.utterances), clusters=(a.clusters, b.clusters)
        )
        for name, (a, b) in pairs.items()
    )


def _order(value: str) -> tuple[int, float, str]:
    """Order bins by their lower end, before all other values; those by name, ``(none)`` last."""
    if value == NO_VALUE:
        return 2, 0, value
    if value.startswith("[") and value.endswith(")"):
        try:
            return 0, float(value[1:].partition(",")[0]), value
        except ValueError:
            pass
    return 1, 0, value


def lock(
    name: str, datasets: VersionedDatasets, audio: AudioVersions, finder: SpeechFinder
) -> LockOutcome:
    """Put a dataset's audio under DVC and write its lock; the same again changes nothing.

    Raises InvalidInput for audio that is missing, empty, a pointer, or outside the dataset's
    folder, and for a clip of a script without speech; MissingDependency without DVC.
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
    digests = snapshot.files
    if any(path.startswith("../") for path in digests):
        raise InvalidInput(
            f"audio of {name} lies outside its folder, under audio_roots, and cannot be locked",
            hint=f"move it below datasets/{name}",
        )
    # The folders at the top of the dataset that hold its audio, or files that lie there.
    outs = tuple(sorted({PurePosixPath(path).parts[0] for path in digests}))
    speech = _speech(dataset, finder)
    tracked = audio.track(datasets.folder(name), outs)
    written = DatasetLock(
        name=name,
        digest=snapshot.dataset.version.digest,
        utterances=snapshot.dataset.version.utterances,
        slices=registered_values(dataset),
        audio=LockedAudio(
            dvc=tracked.outs,
            sha256={path: digest for path, digest in digests.items() if digest is not None},
            speech=speech,
        ),
        subjects=dataset.settings.subjects,
    )
    return LockOutcome(
        lock=written,
        changed=datasets.write_lock(written),
        tracked=tracked,
        untold=slice_columns_of(dataset)[1],
    )


def _speech(dataset: Dataset, finder: SpeechFinder) -> dict[str, tuple[float, float]]:
    """Return the bounds of speech of every clip of a script; raises InvalidInput with its line."""
    bounds: dict[str, tuple[float, float]] = {}
    noises: set[str] = set()
    for item in dataset.utterances:
        clips = [entry.audio_filepath for entry in item.script]
        for path in item.audio_paths if item.script else ():
            inside = relpath(path, dataset.root)
            if inside in bounds or (inside in noises and path not in clips):
                continue
            heard = finder.speech(path)
            if isinstance(heard, str):
                raise InvalidInput(
                    f'{where(dataset.manifest, item.line)}: the clip "{shown(inside)}" of the '
                    f'conversation "{shown(item.id)}" {heard}',
                    hint="record it again, or take it out of the script",
                )
            if path in clips:
                bounds[inside] = heard
            else:
                noises.add(inside)
    return bounds


def diff(name: str, before: str, after: str | None, datasets: VersionedDatasets) -> DiffOutcome:
    """Return what changed between two revisions; without ``after`` up to the working tree."""
    old = datasets.snapshot(name, rev=before)
    new = datasets.snapshot(name, rev=after)
    return DiffOutcome(before=old, after=new, changes=compare_snapshots(old, new))


def stats(name: str, datasets: VersionedDatasets) -> StatsOutcome:
    """Return what the working tree of a dataset holds; no audio is fetched."""
    snapshot = datasets.snapshot(name, rev=None)
    dataset = snapshot.dataset
    lengths = [item.audio.length_s for item in dataset.utterances]
    measured = [length for length in lengths if length is not None]
    return StatsOutcome(
        snapshot=snapshot,
        timed=len(measured),
        seconds=sum(measured),
        coverage=coverage(dataset),
        untold=slice_columns_of(dataset)[1],
        text=text_numbers(dataset.utterances),
    )
