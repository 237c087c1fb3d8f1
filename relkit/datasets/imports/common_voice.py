"""Common Voice releases: ``validated.tsv`` and its kin beside a folder of ``clips``.

Fields are separated by tabs and never quoted: a quotation mark is part of a sentence.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where
from relkit.datasets.imports.rows import (
    SPEAKER,
    Columns,
    ImportedRow,
    ParsedSource,
    SourceFile,
    consent_of,
)

WHOLE = "validated.tsv"


SPLITS = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}


LENGTHS = "clip_durations.tsv"
"""Lengths of the clips in ms, which newer releases carry."""


_NEEDED = ("client_id", "path", "sentence")


_OWN = frozenset({*_NEEDED, "consent"})


_CLIPS = "clips"


def parse_common_voice(files: Sequence[SourceFile]) -> ParsedSource:
    """Return a row per clip; raises InvalidInput with file and line.

    With ``validated.tsv`` the other tables say only which split a clip is in. The speaker is the
    ``client_id`` as it is written: whoever stores the rows has to replace it.
    """
    tables = {PurePosixPath(file.name).name: file for file in files}
    lengths = _lengths(tables.pop(LENGTHS)) if LENGTHS in tables else {}
    parsed = {name: _table(file) for name, file in tables.items()}
    splits = {
        row["path"]: split for name, split in SPLITS.items() for _, row in parsed.get(name, ())
    }
    used = [WHOLE] if WHOLE in parsed else list(parsed)
    columns = Columns()
    rows = [
        _row(row, line, tables[name], columns, splits, lengths)
        for name in used
        for line, row in parsed[name]
    ]
    notes = [f"the split is that of {', '.join(sorted(set(parsed) & set(SPLITS)))}"]
    return ParsedSource(
        rows=tuple(rows),
        renamed=columns.renamed,
        dropped=columns.dropped,
        notes=tuple(notes if splits and used == [WHOLE] else ()),
    )


def _table(file: SourceFile) -> list[tuple[int, dict[str, str]]]:
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


def _row(
    row: Mapping[str, str],
    line: int,
    file: SourceFile,
    columns: Columns,
    splits: Mapping[str, str],
    lengths: Mapping[str, float],
) -> ImportedRow:
    clip = row["path"]
    if not clip or not row["client_id"]:
        raise InvalidInput(
            f'{where(file.name, line)}: "path" or "client_id" is empty', hint="remove the line"
        )
    rest = {name: value for name, value in row.items() if name not in _OWN}
    table = PurePosixPath(file.name).name
    split = splits.get(clip) or SPLITS.get(table) or PurePosixPath(table).stem
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
