"""Datasets that are one table: NeMo, Hugging Face's AudioFolder, Common Voice, any CSV.

NeMo: one JSON object a line with the keys of ``nemo.collections.common.parts.preprocessing
.manifest``: ``audio_filename`` stands for ``audio_filepath``, and a relative path is looked for
beside the manifest. AudioFolder: ``metadata.csv`` or ``metadata.jsonl`` beside the audio it names.
Common Voice: ``validated.tsv`` and its kin beside a folder of ``clips``; fields are separated by
tabs and never quoted: a quotation mark is part of a sentence.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType

from relkit.core.csv_rows import csv_rows
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.json_lines import row_blocks
from relkit.core.values import id_text
from relkit.core.yaml_text import shown, where
from relkit.datasets.imports.rows import (
    SPEAKER,
    SPEAKERS,
    ImportedColumns,
    ImportedRow,
    ParsedSource,
    SourceFile,
    consent_of,
    seconds,
    with_speaker,
)

TableRow = dict[str, JsonValue]

_AUDIO = ("audio_filepath", "audio_filename")
_TEXTS = ("text", "normalized_text")
_MANIFEST_KEYS = frozenset({*_AUDIO, "text", "id", "offset", "duration", "consent"})
_SHARDS = re.compile(r"_OP_\d+\.\.\d+_CL_|\.tar$", re.IGNORECASE)


def parse_nemo(files: Sequence[SourceFile]) -> ParsedSource:
    """Return the rows of manifests; raises InvalidInput with file and line.

    Manifests of tarred datasets are refused: their audio lies inside archives.
    """
    columns = ImportedColumns()
    rows = [
        _manifest_row(row, line, file, columns) for file in files for line, row in _json_lines(file)
    ]
    return ParsedSource(rows=tuple(rows), renamed=columns.renamed, dropped=columns.dropped)


def _json_lines(file: SourceFile) -> Iterator[tuple[int, TableRow]]:
    for block, numbers in row_blocks(file.text, source=file.name):
        yield from zip(numbers, block, strict=True)


def _manifest_row(
    row: TableRow, line: int, file: SourceFile, columns: ImportedColumns
) -> ImportedRow:
    at = where(file.name, line)
    audio = _audio(row, at)
    if "shard_id" in row or _SHARDS.search(audio):
        raise InvalidInput(
            f"{at}: this is the manifest of a tarred dataset",
            hint="unpack the tar files and import the manifest they were made from",
        )
    reference = next((row[key] for key in _TEXTS if row.get(key) is not None), None)
    if not isinstance(reference, str):
        raise InvalidInput(
            f'{at}: "text" is missing or no string',
            hint='write the reference, and "" for a clip without speech',
        )
    rest = {name: value for name, value in row.items() if name not in _MANIFEST_KEYS}
    return ImportedRow(
        audio=audio,
        folder=file.folder,
        reference=reference,
        file=file.name,
        line=line,
        id=_name(row, at),
        offset_s=seconds(row.get("offset"), "offset", source=file.name, line=line),
        length_s=seconds(row.get("duration"), "duration", source=file.name, line=line),
        attributes=columns.attributes(with_speaker(rest), source=file.name, line=line),
        consent=consent_of(row.get("consent"), source=file.name, line=line),
    )


def _audio(row: TableRow, at: str) -> str:
    value = next((row[key] for key in _AUDIO if row.get(key)), None)
    if isinstance(value, list):
        raise InvalidInput(
            f'{at}: "audio_filepath" is a list of channels',
            hint="import one channel: write one path a line",
        )
    if not isinstance(value, str):
        raise InvalidInput(
            f'{at}: "audio_filepath" is missing or no string', hint="name the audio file"
        )
    return value


def _name(row: TableRow, at: str) -> str | None:
    value = id_text(row.get("id"))
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidInput(f'{at}: "id" is neither a string nor a whole number')
    return value


TEXT_COLUMNS = ("transcription", "text", "sentence", "transcript", "normalized_text")
"""Columns that may hold the reference, the first of them that a table has."""

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def parse_audio_folder(files: Sequence[SourceFile]) -> ParsedSource:
    """Return a row per entry of the tables; raises InvalidInput with file and line.

    A folder called as Hugging Face calls its splits gives the attribute ``split``.
    """
    tables = defaultdict(list)
    for file in files:
        tables[file.folder].append(file.name)
    for names in tables.values():
        if len(names) > 1:
            raise InvalidInput(
                f"{' and '.join(sorted(names))}: two tables for one folder", hint="keep one of them"
            )
    columns = ImportedColumns()
    rows = [
        _folder_row(row, line, file, columns)
        for file in files
        for line, row in (_csv(file) if file.name.endswith(".csv") else _json_lines(file))
    ]
    return ParsedSource(rows=tuple(rows), renamed=columns.renamed, dropped=columns.dropped)


def _csv(file: SourceFile) -> Iterator[tuple[int, TableRow]]:
    for line, row in csv_rows(file.text, source=file.name):
        yield line, dict(row)


def _folder_row(
    row: TableRow, line: int, file: SourceFile, columns: ImportedColumns
) -> ImportedRow:
    at = where(file.name, line)
    audio = row.get("file_name")
    if not isinstance(audio, str) or not audio:
        raise InvalidInput(
            f'{at}: "file_name" is missing', hint="name the audio file in a column file_name"
        )
    column = next((name for name in TEXT_COLUMNS if name in row), None)
    reference = None if column is None else row[column]
    if not isinstance(reference, str):
        raise InvalidInput(
            f"{at}: no transcript", hint=f"it needs one of: {', '.join(TEXT_COLUMNS)}"
        )
    taken = {"file_name", "consent", column}
    rest = {name: value for name, value in row.items() if name not in taken}
    folders = PurePosixPath(f"{file.folder}/{audio}").parts[:-1]
    if splits := [_SPLITS[part.lower()] for part in folders if part.lower() in _SPLITS]:
        rest.setdefault("split", splits[0])  # the outermost folder that is called like one
    return ImportedRow(
        audio=audio,
        folder=file.folder,
        reference=reference,
        file=file.name,
        line=line,
        attributes=columns.attributes(with_speaker(rest), source=file.name, line=line),
        consent=consent_of(row.get("consent"), source=file.name, line=line),
        confined=True,
    )


CSV_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "audio": (*_AUDIO, "file_name", "audio", "path", "file", "filename", "wav"),
        "text": (*TEXT_COLUMNS, "reference", "ref"),
        "speaker": SPEAKERS,
        "id": ("id", "utterance_id", "utt_id"),
        "offset": ("offset",),
        "duration": ("duration",),
        "consent": ("consent",),
    }
)
"""What a table says of an utterance, and the columns it may stand in, the first that is there."""


def parse_csv(files: Sequence[SourceFile], *, columns: Mapping[str, str]) -> ParsedSource:
    """Return the rows of tables; raises InvalidInput with file and line.

    ``columns`` says in which column something of ``CSV_COLUMNS`` stands.
    """
    imported = ImportedColumns()
    rows = [
        _csv_row(row, line, file, imported, _columns(row, columns, where(file.name, 1)))
        for file in files
        for line, row in csv_rows(file.text, source=file.name)
    ]
    return ParsedSource(rows=tuple(rows), renamed=imported.renamed, dropped=imported.dropped)


def _columns(row: Mapping[str, str], named: Mapping[str, str], at: str) -> dict[str, str]:
    """Return the column of each thing that the table has; audio and text it has to have."""
    listed = ", ".join(shown(name, 30) for name in row)
    for name in named.values():
        if name not in row:
            raise InvalidInput(f'{at}: has no column "{shown(name)}"', hint=f"it has: {listed}")
    columns = {
        key: named.get(key) or next((name for name in names if name in row), "")
        for key, names in CSV_COLUMNS.items()
    }
    for key in ("audio", "text"):
        if not columns[key]:
            raise InvalidInput(
                f"{at}: no column is known to hold the {key}",
                hint=f"name it: --column {key}=COLUMN; it has: {listed}",
            )
    return columns


def _csv_row(
    row: Mapping[str, str],
    line: int,
    file: SourceFile,
    imported: ImportedColumns,
    columns: Mapping[str, str],
) -> ImportedRow:
    cells = {key: row.get(name, "") for key, name in columns.items()}
    if not cells["audio"]:
        raise InvalidInput(
            f'{where(file.name, line)}: "{shown(columns["audio"])}" is empty',
            hint="name the audio file",
        )
    rest: TableRow = {name: value for name, value in row.items() if name not in columns.values()}
    return ImportedRow(
        audio=cells["audio"],
        folder=file.folder,
        reference=cells["text"],
        file=file.name,
        line=line,
        id=cells["id"] or None,
        offset_s=seconds(cells["offset"], columns["offset"], source=file.name, line=line),
        length_s=seconds(cells["duration"], columns["duration"], source=file.name, line=line),
        attributes=imported.attributes(
            {SPEAKER: cells["speaker"], **rest}, source=file.name, line=line
        ),
        consent=consent_of(cells["consent"], source=file.name, line=line),
    )


VALIDATED = "validated.tsv"
CLIP_SPLITS = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}

LENGTHS = "clip_durations.tsv"
"""Lengths of the clips in ms, which newer releases carry."""

_NEEDED = ("client_id", "path", "sentence")
_CLIP_KEYS = frozenset({*_NEEDED, "consent"})
_CLIPS = "clips"


def parse_common_voice(files: Sequence[SourceFile]) -> ParsedSource:
    """Return a row per clip; raises InvalidInput with file and line.

    With ``validated.tsv`` the other tables say only which split a clip is in. The speaker is the
    ``client_id`` as it is written: whoever stores the rows has to replace it.
    """
    tables = {PurePosixPath(file.name).name: file for file in files}
    lengths = _lengths(tables.pop(LENGTHS)) if LENGTHS in tables else {}
    parsed = {name: _clip_table(file) for name, file in tables.items()}
    splits = {
        row["path"]: split for name, split in CLIP_SPLITS.items() for _, row in parsed.get(name, ())
    }
    used = [VALIDATED] if VALIDATED in parsed else list(parsed)
    columns = ImportedColumns()
    rows = [
        _clip_row(row, line, tables[name], columns, splits, lengths)
        for name in used
        for line, row in parsed[name]
    ]
    note = f"the split is that of {', '.join(sorted(set(parsed) & set(CLIP_SPLITS)))}"
    return ParsedSource(
        rows=tuple(rows),
        renamed=columns.renamed,
        dropped=columns.dropped,
        notes=(note,) if splits and used == [VALIDATED] else (),
    )


def _clip_table(file: SourceFile) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a table with their lines; every line has a field per column."""
    lines = [line.removesuffix("\r") for line in file.text.split("\n")]
    header = lines[0].split("\t")
    missing = [name for name in _NEEDED if name not in header]
    if missing or len(set(header)) != len(header):
        raise InvalidInput(
            f"{where(file.name, 1)}: is not the head of a Common Voice table",
            hint=f"it needs {', '.join(_NEEDED)}, each once, separated by tabs",
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise InvalidInput(
                f"{where(file.name, number)}: {len(fields)} fields where the first line has "
                f"{len(header)}",
                hint="a tab or a line end stands inside of a field: remove it",
            )
        rows.append((number, dict(zip(header, fields, strict=True))))
    return rows


def _lengths(file: SourceFile) -> dict[str, float]:
    """Return the length of each clip in s."""
    lengths: dict[str, float] = {}
    for number, line in enumerate(file.text.split("\n")[1:], start=2):
        name, _, value = line.removesuffix("\r").partition("\t")
        if not name:
            continue
        if not (value.isascii() and value.isdigit()):
            raise InvalidInput(
                f"{where(file.name, number)}: names no length", hint="a line is: clip, tab, ms"
            )
        lengths[name] = int(value) / 1000
    return lengths


def _clip_row(
    row: Mapping[str, str],
    line: int,
    file: SourceFile,
    columns: ImportedColumns,
    splits: Mapping[str, str],
    lengths: Mapping[str, float],
) -> ImportedRow:
    clip = row["path"]
    if not clip or not row["client_id"]:
        raise InvalidInput(
            f'{where(file.name, line)}: "path" or "client_id" is empty', hint="remove the line"
        )
    rest = {name: value for name, value in row.items() if name not in _CLIP_KEYS}
    table = PurePosixPath(file.name).name
    split = splits.get(clip) or CLIP_SPLITS.get(table) or PurePosixPath(table).stem
    rest |= {SPEAKER: row["client_id"], "split": split}
    name = clip if PurePosixPath(clip).suffix else f"{clip}.mp3"  # the first releases left it out
    return ImportedRow(
        audio=f"{_CLIPS}/{name}",
        folder=file.folder,
        reference=row["sentence"],
        file=file.name,
        line=line,
        id=PurePosixPath(name).stem,
        length_s=lengths.get(name),
        attributes=columns.attributes(dict(rest), source=file.name, line=line),
        consent=consent_of(row.get("consent"), source=file.name, line=line),
        confined=True,
    )
