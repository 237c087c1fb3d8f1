"""Files of telemetry: which they are, of what kind, and the SQL that reads them."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from relkit.adapters.duckdb.session import Session, literal
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown
from relkit.telemetry.columns import Held, holds_names
from relkit.telemetry.types import COLUMNS, ColumnMapping, TelemetryProblem

_QUANTITIES = frozenset({"ms", "s", "number", "count"})
_ENDING = re.compile(r"\.(parquet|csv|tsv|jsonl|ndjson|json)(\.(gz|zst))?$", re.IGNORECASE)
_TRACE = re.compile(rb'"(resourceSpans|resource_spans|turnLatencies|costBreakdown|artifact)"')
_HEAD_BYTES = 1 << 16
_WORDS = {"text": "text", "flag": "true and false", "number": "numbers", "other": "something else"}
_NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)$")
_HOLDS: Mapping[str, Held] = {"VARCHAR": "text", "BOOLEAN": "flag"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikeFiles:
    """Files with the same columns of the same types, and the SQL that reads them.

    ``types`` are those that columns are read as, ``held`` says what the files hold. ``full`` are
    columns of which the files say that no value is missing, none an empty text and none a time
    before 1970: nothing has to be read to know it.
    """

    label: str
    reading: str
    types: Mapping[str, str]
    held: Mapping[str, str]
    full: frozenset[str] = frozenset()


def telemetry_files(paths: Iterable[str]) -> tuple[Path, ...]:
    """Return the telemetry files among paths, folders and globs, sorted and each once.

    Raises UsageError where a path gives none.
    """
    files: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if not text.strip():  # of a variable that is not set; it would be the folder one is in
            raise UsageError(
                "a path of telemetry is empty", hint="name files, folders or globs of telemetry"
            )
        if path.is_file():
            matched = [path]
        elif path.is_dir():
            inside = (
                Path(folder, name)
                for folder, _, names in os.walk(path, onerror=_refuse)
                for name in names
            )
            matched = [
                file
                for file in inside
                if _ENDING.search(file.name)
                and file.is_file()
                and not file.name.startswith(".")
                and file.name != "scenario.json"
            ]
        else:
            matched = [Path(name) for name in glob.glob(text, recursive=True)]  # noqa: PTH207 - it may begin at the root
            matched = [file for file in matched if file.is_file()]
        if not matched:
            raise UsageError(
                f"no telemetry at {shown(path.name or text)}",
                hint="name files, folders or globs of Parquet, CSV, JSON lines or OTLP JSON",
            )
        files.update(dict.fromkeys(sorted(matched)))
    return tuple(files)


def _refuse(error: OSError) -> NoReturn:
    """Refuse a folder that cannot be listed: what is in it would be missing unseen."""
    raise error


def sources_of(
    session: Session,
    files: Sequence[Path],
    mapping: ColumnMapping,
    problems: list[TelemetryProblem],
) -> Iterator[AlikeFiles]:
    """Yield the tables among files, those with the same columns together; raises InvalidInput.

    What is to be looked at is added to ``problems``.
    """
    described = []
    for file in files:
        if file.stat().st_size == 0:
            problems.append(
                TelemetryProblem(code="unreadable", where=file.name, message="is empty")
            )
            continue
        kind = _kind(file)
        sniffed = session.describe(f"FROM {_reading(kind, [file], None)}", blamed=file.name)
        if kind == "jsonl" and tuple(sniffed) == ("json",):
            raise InvalidInput(
                f"{file.name}: its lines are no objects", hint="JSON lines: one object a line"
            )
        described.append((kind, tuple(sniffed.items()), file))
    mapped = {column.column for name, column in mapping.items() if name in COLUMNS}
    for (kind, sniffed_types), group in groupby(sorted(described), key=lambda entry: entry[:2]):
        held = dict(sniffed_types)
        # As text, so that no offset of a time, no zero of an id and no bad value is lost.
        types = {
            name: "VARCHAR"
            if kind != "parquet"
            and (name in COLUMNS or holds_names(name) or (name in mapped and sql != "BOOLEAN"))
            else sql
            for name, sql in held.items()
        }
        files_alike = [file for _, _, file in group]
        reading = _reading(kind, files_alike, types)
        yield AlikeFiles(
            label=files_alike[0].name,
            reading=reading,
            types=types,
            held=held,
            full=_full_columns(files_alike) if kind == "parquet" else frozenset(),
        )


def type_changes(sources: Iterable[AlikeFiles]) -> Iterator[TelemetryProblem]:
    """Yield the columns of quantities that hold something else in other files."""
    first: dict[str, str] = {}
    for source in sources:
        for name, kind in held_by(source.held).items():
            if COLUMNS.get(name, "number") not in _QUANTITIES:
                continue
            if first.setdefault(name, kind) != kind:
                message = f"holds {_WORDS[first[name]]} in some files, {_WORDS[kind]} in others"
                yield TelemetryProblem(code="type_change", where=name, message=message)


def held_by(types: Mapping[str, str]) -> dict[str, Held]:
    """Return column to what it holds, from the types that DuckDB has for them."""
    return {
        name: "text"
        if sql.startswith("ENUM")
        else "number"
        if _NUMBERS.match(sql)
        else _HOLDS.get(sql, "other")
        for name, sql in types.items()
    }


def _full_columns(files: Sequence[Path]) -> frozenset[str]:
    """Return columns of Parquet files whose values are all there, by the statistics.

    None is missing or an empty text, and no time is one before 1970.
    """
    try:
        return frozenset.intersection(*(_full_columns_of(file) for file in files))
    except (ValueError, OSError):  # a damaged footer, of which DuckDB has more to say
        return frozenset()


def _full_columns_of(file: Path) -> frozenset[str]:
    from pyarrow import parquet as pq

    metadata = pq.read_metadata(file)
    doubtful, names = set(), set()
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            names.add(column.path_in_schema)
            statistics = column.statistics
            if (
                statistics is None
                or not statistics.has_null_count
                or statistics.null_count
                or not statistics.has_min_max
                # The least of a time would import pandas.
                or (column.physical_type == "BYTE_ARRAY" and statistics.min in ("", b""))
                or (statistics.logical_type.type == "TIMESTAMP" and statistics.min_raw < 0)
            ):
                doubtful.add(column.path_in_schema)
    return frozenset(names - doubtful)


def _reading(kind: str, files: Sequence[Path], types: Mapping[str, str] | None) -> str:
    """Return what reads files of one kind; ``types`` None finds them out."""
    # No character of a path is a wildcard.
    names = ", ".join(literal(re.sub(r"[*?[]", r"[\g<0>]", str(file))) for file in files)
    if kind == "parquet":
        return f"read_parquet([{names}])"
    struct = (
        "" if types is None else ", ".join(f"{literal(n)}: {literal(t)}" for n, t in types.items())
    )
    if kind == "jsonl":
        chosen = f", columns = {{{struct}}}" if struct else ", sample_size = -1"
        return f"read_json([{names}], format = 'newline_delimited'{chosen})"
    chosen = f", types = {{{struct}}}" if struct else ", sample_size = -1"
    return f"read_csv([{names}], delim = {literal(_delimiter(files[0]))}, header = true{chosen})"


def _kind(file: Path) -> str:
    with file.open("rb") as opened:
        if opened.read(4) == b"PAR1":
            return "parquet"
    match = _ENDING.search(file.name)
    ending = match[1].lower() if match else ""
    if ending == "parquet":
        raise InvalidInput(f"{file.name}: is no Parquet file, or was cut", hint="write it anew")
    if ending in {"csv", "tsv"}:
        return "csv"
    if ending:
        return "jsonl"
    raise InvalidInput(
        f"{file.name}: unknown kind of file",
        hint="Parquet, .csv, .jsonl or OTLP .json, or .gz, .zst",
    )


def _head(file: Path) -> bytes:
    """Return the first bytes of a file, decompressed."""
    import gzip

    with file.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic[:2] == b"\x1f\x8b":
            try:
                return gzip.GzipFile(fileobj=raw).read(_HEAD_BYTES)
            except (EOFError, OSError):
                return b""
        if magic == b"\x28\xb5\x2f\xfd":
            import pyarrow as pa

            try:
                with pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd") as stream:
                    return bytes(stream.read(_HEAD_BYTES))
            except OSError:
                return b""
        return raw.read(_HEAD_BYTES)


def is_trace(file: Path) -> bool:
    """Return whether a file holds traces or call records, by what stands at its beginning.

    The collector's exporter writes messages with their length before them where it compresses.
    """
    match = _ENDING.search(file.name)
    ending = "" if match is None else match[1].lower()
    if ending in {"parquet", "csv", "tsv"}:
        return False
    head = _head(file)
    framed = head[:1] == b"\0" and head[4:5] in {b"\x28", b"\n", b"{"}
    return framed or bool(_TRACE.search(head)) or (ending == "json" and b'"ts"' not in head)


def _delimiter(file: Path) -> str:
    first = _head(file).split(b"\n", 1)[0].decode(errors="replace")
    return max(",;\t|", key=first.count)
