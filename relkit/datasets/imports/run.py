"""``relkit dataset import``: another tool's dataset as one of the workspace's.

A dataset is allowed to read few and narrow folders; its audio is named below them.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Protocol

from relkit.core.codec import nearest
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.ports import Progress
from relkit.core.yaml_text import shown, where
from relkit.datasets.files import parse_dataset, parse_manifest
from relkit.datasets.imports.kaldi import parse_kaldi, within_recordings
from relkit.datasets.imports.rows import (
    SPEAKER,
    ImportedRow,
    ImportKind,
    ImportSummary,
    LocatedAudio,
    ParsedSource,
    PlacedAudio,
    SourceFile,
    cutting_columns,
    with_cluster,
    with_ids,
)
from relkit.datasets.imports.tables import (
    CSV_COLUMNS,
    parse_audio_folder,
    parse_common_voice,
    parse_csv,
    parse_nemo,
)
from relkit.datasets.types import NO_VALUE, Consent

PARSERS: Mapping[ImportKind, Callable[[Sequence[SourceFile]], ParsedSource]] = MappingProxyType(
    {
        ImportKind.NEMO: parse_nemo,
        ImportKind.KALDI: parse_kaldi,
        ImportKind.COMMON_VOICE: parse_common_voice,
        ImportKind.AUDIO_FOLDER: parse_audio_folder,
    }
)
"""How the text files of each layout are read; each raises InvalidInput naming file and line."""

MOST_ROOTS = 16


class Source(Protocol):
    """Another tool's dataset."""

    @property
    def name(self) -> str:
        """What it is called."""

    def files(self) -> tuple[SourceFile, ...]:
        """Return its text files; raises InvalidInput."""

    def locate(self, rows: Sequence[ImportedRow]) -> tuple[LocatedAudio, ...]:
        """Return where the audio of each row is; raises InvalidInput."""

    def unlisted(self, located: Sequence[LocatedAudio]) -> int | None:
        """Return how many audio files no row names, None where that cannot be asked."""


class Target(Protocol):
    """Where datasets are kept."""

    def check_name(self, name: str) -> None:
        """Raise InvalidInput where a dataset cannot be called so, or is there already."""

    def root_entry(self, name: str, root: str) -> str:
        """Return how ``audio_roots`` names a folder."""

    def write(
        self,
        name: str,
        texts: Mapping[str, str],
        copies: Sequence[tuple[str, str]],
        progress: Progress,
    ) -> None:
        """Write a dataset whole; raises InvalidInput, StorageFailed, Busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What to import: ``name`` None for the source's own, ``copy`` to take the audio in.

    ``columns`` are ``KEY=COLUMN`` for a table of any form.
    """

    kind: ImportKind
    path: Path
    name: str | None = None
    copy: bool = False
    columns: tuple[str, ...] = ()


def import_kind(text: str) -> ImportKind:
    """Return a kind of data by its name; raises UsageError."""
    kinds = tuple(item.value for item in ImportKind)
    if text not in kinds:
        raise UsageError(f'unknown kind "{shown(text)}"', hint=nearest(text, kinds))
    return ImportKind(text)


def _parser(options: ImportOptions) -> Callable[[Sequence[SourceFile]], ParsedSource]:
    """Return what reads the text files; raises UsageError for columns that are none."""
    if options.kind is not ImportKind.CSV:
        if options.columns:
            raise UsageError("--column is for csv", hint="the other kinds have fixed names")
        return PARSERS[options.kind]
    columns = {}
    for text in options.columns:
        key, _, column = text.partition("=")
        if key not in CSV_COLUMNS or not column:
            raise UsageError(
                f'--column "{shown(text)}": KEY=COLUMN was expected',
                hint=f"KEY is one of {', '.join(CSV_COLUMNS)}",
            )
        columns[key] = column
    return partial(parse_csv, columns=columns)


def import_dataset(
    options: ImportOptions,
    source: Source,
    target: Target,
    *,
    pseudonym: Callable[[str], str],
    readable: frozenset[str],
    length: Callable[[str], float | None],
    progress: Progress,
) -> ImportSummary:
    """Make a dataset and return what is in it; raises InvalidInput, StorageFailed, Busy.

    ``pseudonym`` replaces the account ids of Common Voice; ``readable`` are the endings of audio
    that can be decoded, and ``length`` is that of a file in s, where the source does not say it.
    """
    derived = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).strip("-._").lower()
    name = options.name or derived or "imported"
    target.check_name(name)
    parsed = _parser(options)(source.files())
    if not parsed.rows:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in parsed.left_out.items())
        raise InvalidInput(f"{source.name}: holds no utterance", hint=reasons or "it has no entry")
    located = source.locate(parsed.rows)
    if not any(item.exists for item in located):
        first = parsed.rows[0]
        raise InvalidInput(
            f"{where(first.file, first.line)}: none of the {len(parsed.rows)} audio files is there",
            hint="paths start from the folder of the file that names them; check that it was moved "
            "together with its audio",
        )
    placed = place_audio(located)
    within: tuple[ImportedRow, ...] = parsed.rows
    cut: tuple[str, ...] = ()
    if options.kind is ImportKind.KALDI:
        within, cut = within_recordings(parsed.rows, located, length)
    rows, numbered = with_ids(within, [path for _, path in placed.places])
    if options.kind is ImportKind.COMMON_VOICE:
        rows = tuple(
            replace(row, attributes={**row.attributes, SPEAKER: pseudonym(row.attributes[SPEAKER])})
            for row in rows
        )
    rows = _timed(with_cluster(rows), located, length, progress)
    paths, roots = _references(options, placed, located, source.name)
    slices = cutting_columns(rows)
    texts = {
        "dataset.yaml": render_dataset(
            name, roots=[target.root_entry(name, root) for root in roots], slices=slices
        ),
        "manifest.jsonl": render_manifest(rows, paths),
    }
    # Each file that is there once, in order: recordings are named by many segments.
    sources = {path: item.real for path, item in zip(paths, located, strict=True) if item.exists}
    copies = [(real, path) for path, real in sources.items()] if options.copy else []
    target.write(name, texts, copies, progress)
    speakers = {row.attributes.get(SPEAKER, NO_VALUE) for row in rows} - {NO_VALUE}
    return ImportSummary(
        dataset=name,
        kind=options.kind.value,
        utterances=len(rows),
        speakers=len(speakers) or None,
        columns=tuple(sorted({column for row in rows for column in row.attributes})),
        slices=slices,
        hours=round(sum(row.length_s or 0.0 for row in rows) / 3600, 6),
        timed=sum(row.length_s is not None for row in rows),
        audio="copied" if options.copy else "linked",
        missing_audio=sum(not item.exists for item in located),
        unlisted_audio=source.unlisted(located),
        left_out=parsed.left_out,
        renamed=parsed.renamed,
        dropped=parsed.dropped,
        consent=dict(sorted(Counter(row.consent.value for row in rows).items())),
        notes=(*parsed.notes, *cut, *_notes(rows, located, placed, numbered, readable)),
    )


def _timed(
    rows: Sequence[ImportedRow],
    located: Sequence[LocatedAudio],
    length: Callable[[str], float | None],
    progress: Progress,
) -> tuple[ImportedRow, ...]:
    """Return rows with the length of whole files that the source does not tell."""
    timed = []
    for done, (row, item) in enumerate(zip(rows, located, strict=True), start=1):
        known = row.length_s is not None or row.offset_s is not None or not item.exists
        timed.append(row if known else replace(row, length_s=length(item.real)))
        progress(done, len(rows))
    return tuple(timed)


def _references(
    options: ImportOptions, placed: PlacedAudio, located: Sequence[LocatedAudio], name: str
) -> tuple[list[str], tuple[str, ...]]:
    """Return what each row's ``audio_filepath`` says, and the folders to declare.

    With one folder paths are relative, so that moving the audio means changing one line; with
    several a relative path could mean more than one file.
    """
    if options.copy:
        single = len(placed.roots) == 1
        return [f"audio/{path}" if single else f"audio/{i}/{path}" for i, path in placed.places], ()
    roots = (*placed.roots, *placed.linked)
    if len(roots) > MOST_ROOTS:
        raise InvalidInput(
            f"{name}: its audio lies in {len(roots)} unrelated folders",
            hint="bring it together with --copy",
        )
    if len(placed.roots) == 1:
        return [path for _, path in placed.places], roots
    return [item.path for item in located], roots


def _notes(
    rows: Sequence[ImportedRow],
    located: Sequence[LocatedAudio],
    placed: PlacedAudio,
    numbered: int,
    readable: frozenset[str],
) -> tuple[str, ...]:
    notes = []
    unnamed = sum(row.attributes.get(SPEAKER, NO_VALUE) == NO_VALUE for row in rows)
    if unnamed == len(rows):
        notes.append(
            "no speaker is named: all utterances count as one cluster, and no interval is claimed"
        )
    elif unnamed:
        notes.append(f"{unnamed} utterances name no speaker: together they count as one cluster")
    if missing := sum(not item.exists for item in located):
        notes.append(f"{missing} utterances name audio that is not there: unusable until it is")
    if numbered:
        notes.append(f"{numbered} utterances share audio and offset with another: ids numbered")
    endings = Counter(PurePosixPath(item.path).suffix.lower() for item in located)
    notes += [
        f"{count} files end in {ending}, which is not decoded: convert them"
        for ending, count in sorted(endings.items())
        if ending not in readable
    ]
    if len(placed.roots) > 1:
        notes.append(f"the audio lies in {len(placed.roots)} unrelated folders")
    return tuple(notes)


_NARROW = 3
"""Parts of a path from which it stands for a corpus: ``/``, a disk, a folder."""


def place_audio(located: Sequence[LocatedAudio]) -> PlacedAudio:
    """Return the fewest narrow folders that hold all files, and each file's path below its own.

    Files that lie elsewhere and are only linked to need their real folders as well; those come
    last. Paths are absolute and normalized.
    """
    roots = _roots(PurePosixPath(item.path).parent for item in located)
    inside = (*roots, *(PurePosixPath(item.path) for item in located))
    targets = [
        PurePosixPath(item.real).parent
        for item in located
        if item.exists and not any(PurePosixPath(item.real).is_relative_to(root) for root in inside)
    ]
    return PlacedAudio(
        roots=tuple(str(root) for root in roots),
        linked=tuple(str(root) for root in _roots(targets)),
        places=tuple(
            next(
                (i, str(path.relative_to(root)))
                for i, root in enumerate(roots)
                if path.is_relative_to(root)
            )
            for path in (PurePosixPath(item.path) for item in located)
        ),
    )


def _roots(folders: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Return folders, none inside of another, that hold all of the given ones."""
    return sorted(_common(sorted({folder.parts for folder in folders})))


def _common(folders: list[tuple[str, ...]]) -> list[PurePosixPath]:
    """Return the common folder where it is narrow enough, else those of each branch."""
    if not folders:
        return []
    first, last = folders[0], folders[-1]  # sorted: what these share, all share
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    if shared >= _NARROW or len(folders) == 1 or shared == len(first):
        return [PurePosixPath(*first[:shared])]
    branches: dict[str, list[tuple[str, ...]]] = {}
    for folder in folders:
        branches.setdefault(folder[shared], []).append(folder)
    return [root for branch in branches.values() for root in _common(branch)]


def render_manifest(rows: Sequence[ImportedRow], paths: Sequence[str]) -> str:
    """Return the manifest; it is read back before it is given, so that what is written loads."""
    lines = []
    for row, path in zip(rows, paths, strict=True):
        document: dict[str, JsonValue] = {"audio_filepath": path}
        if row.offset_s is not None:
            document["offset"] = row.offset_s
        if row.length_s is not None:
            document["duration"] = row.length_s
        document |= {"text": row.reference, "id": row.id}
        if row.consent is not Consent.UNKNOWN:
            document["consent"] = row.consent.value
        lines.append(json.dumps(document | dict(row.attributes), ensure_ascii=False))
    text = "\n".join(lines) + "\n"
    parse_manifest(text, source="manifest.jsonl")
    return text


def render_dataset(name: str, *, roots: Sequence[str], slices: Sequence[str]) -> str:
    """Return ``dataset.yaml``, read back likewise; a JSON string is a YAML string."""
    lines = ["schema: relkit.dataset/v1", f"name: {json.dumps(name)}", "manifest: manifest.jsonl"]
    if roots:
        lines += ["audio_roots:", *(f"  - {json.dumps(root)}" for root in roots)]
    lines += [f"cluster: {SPEAKER}", "consent: optional"]
    lines.append(f"slices: [{', '.join(json.dumps(column) for column in slices)}]")
    text = "\n".join(lines) + "\n"
    parse_dataset(text, source="dataset.yaml")
    return text
