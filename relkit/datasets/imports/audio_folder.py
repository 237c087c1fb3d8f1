"""Hugging Face AudioFolder: ``metadata.csv`` or ``metadata.jsonl`` beside the audio it names."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.json_lines import row_blocks
from relkit.core.yaml_text import where
from relkit.datasets.imports.rows import (
    Columns,
    ImportedRow,
    ParsedSource,
    SourceFile,
    consent_of,
    with_speaker,
)

TEXT_COLUMNS = ("transcription", "text", "sentence", "transcript", "normalized_text")
"""Columns that may hold the reference, the first of them that a table has."""


_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


_LONGEST_FIELD = 1 << 20


Row = dict[str, JsonValue]


def parse_audio_folder(files: Sequence[SourceFile]) -> ParsedSource:
    """Return a row per entry of the tables; raises InvalidInput with file and line.

    A folder called as Hugging Face calls its splits gives the attribute ``split``.
    """
    _refuse_two_tables(files)
    columns = Columns()
    rows = [_row(row, line, file, columns) for file in files for line, row in _table(file)]
    return ParsedSource(rows=tuple(rows), renamed=columns.renamed, dropped=columns.dropped)


def _refuse_two_tables(files: Sequence[SourceFile]) -> None:
    tables = defaultdict(list)
    for file in files:
        tables[file.folder].append(file.name)
    for names in tables.values():
        if len(names) > 1:
            raise InvalidInput(
                f"{' and '.join(sorted(names))}: two tables for one folder", hint="keep one of them"
            )


def _table(file: SourceFile) -> Iterator[tuple[int, Row]]:
    if file.name.endswith(".csv"):
        yield from _csv(file)
        return
    for rows, numbers in row_blocks(file.text, source=file.name):
        yield from zip(numbers, rows, strict=True)


def _csv(file: SourceFile) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a CSV table with the line each begins in; quoting as in RFC 4180."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(file.text, newline=""), strict=True)
    before = 0
    try:
        header = next(reader, [])
        if "file_name" not in header or len(set(header)) != len(header):
            raise InvalidInput(
                f'{where(file.name, 1)}: has no column "file_name", or one stands twice',
                hint="the first line names the columns: file_name,transcription",
            )
        before = reader.line_num
        for fields in reader:
            line, before = before + 1, reader.line_num
            if not fields:
                continue
            if len(fields) != len(header):
                raise InvalidInput(
                    f"{where(file.name, line)}: {len(fields)} fields where the first line has "
                    f"{len(header)}",
                    hint='put a field that holds a comma into quotes: "so, and so"',
                )
            yield line, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise InvalidInput(
            f"{where(file.name, before + 1)}: not CSV: {error}",
            hint='quotes inside of a quoted field are written twice: ""',
        ) from error


def _row(row: Row, line: int, file: SourceFile, columns: Columns) -> ImportedRow:
    at = where(file.name, line)
    audio = row.get("file_name")
    if not isinstance(audio, str) or not audio:
        raise InvalidInput(f'{at}: "file_name" is missing', hint="name the audio file")
    column = next((name for name in TEXT_COLUMNS if name in row), None)
    reference = None if column is None else row[column]
    if not isinstance(reference, str):
        raise InvalidInput(
            f"{at}: no transcript", hint=f"it needs one of: {', '.join(TEXT_COLUMNS)}"
        )
    taken = {"file_name", "consent", column}
    rest = {name: value for name, value in row.items() if name not in taken}
    if (split := _split(f"{file.folder}/{audio}")) is not None:
        rest.setdefault("split", split)
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


def _split(path: str) -> str | None:
    """Return the split of the outermost folder that is called like one."""
    folders = PurePosixPath(path).parts[:-1]
    return next((_SPLITS[part.lower()] for part in folders if part.lower() in _SPLITS), None)
