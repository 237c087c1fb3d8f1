"""Files to scan for leaks, and what is inside of them; and what a workspace knows to be secret.

A file is scanned as its bytes and, where it is an archive, a table, a database or an image, as what
it holds. What cannot be opened is listed: nobody knows what it says.
"""

import base64
import bz2
import io
import lzma
import os
import re
import sqlite3
import stat
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import accumulate
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from relkit.core.config import Workspace
from relkit.core.errors import InvalidInput, NoData
from relkit.core.storage import read_bytes, unreadable
from relkit.core.wording import safe
from relkit.disclosure.leaks import LeakPlace, LeakSearch, LeakToken, leak_token
from relkit.disclosure.types import LeakHit, LeakScan

_DEEPEST = 5
"""Archives inside of each other."""

_LARGEST = 1 << 28
"""Bytes of one thing that is unpacked, and of a file that is opened as an archive."""

_LARGEST_TOGETHER = 1 << 30
_MOST_MEMBERS = 20_000
_ROWS = 20_000

_CLOSED = (
    (0, b"%PDF-", "PDF: its text cannot be read"),
    (0, b"\x28\xb5\x2f\xfd", "zstd cannot be opened"),
    (0, b"\x04\x22\x4d\x18", "lz4 cannot be opened"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z cannot be opened"),
    (0, b"Rar!\x1a\x07", "rar cannot be opened"),
    (0, b"\x1f\x9d", "compress cannot be opened"),
    (0, b"PACK\0\0\0", "a pack of git cannot be opened; scan git archive instead"),
    (0, b"PARE", "encrypted Parquet cannot be opened"),
    (0, b"ORC", "ORC cannot be opened"),
    (0, b"Obj\x01", "Avro cannot be opened"),
    (0, b"\x89HDF", "HDF5 cannot be opened"),
    (0, b"wOF2", "WOFF2 cannot be opened"),
    (8, b"DUCK", "a DuckDB database cannot be opened; export it to Parquet"),
)
"""Offset, beginning and reason of what may hold text that a scan of its bytes does not see."""

_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, sqlite3.Error, EOFError, OSError, RuntimeError,
    NotImplementedError, ValueError, KeyError,
)  # fmt: skip
"""What damaged archives raise; Arrow's errors are ValueErrors and OSErrors."""


class _Unopened(Exception):
    """What was begun to be opened is too large, too deep, or not to be opened."""


@dataclass(slots=True)
class _Place:
    """Where something is: a file, and what is inside of it; both without a token in them."""

    path: str
    member: str | None = None
    depth: int = 0
    room: list[int] = field(default_factory=lambda: [_LARGEST_TOGETHER, _MOST_MEMBERS])

    def inside(self, member: str) -> "_Place":
        name = member if self.member is None else f"{self.member}/{member}"
        return _Place(self.path, name, self.depth + 1, self.room)

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}: {self.member}"


class LeakFiles:
    """Scans files and folders for tokens."""

    def __init__(self, search: LeakSearch, *, left_out: Iterable[Path] = ()) -> None:
        """Scan with a search; files in ``left_out`` are where the tokens themselves come from."""
        self._search = search
        self._left_out = {path.resolve() for path in left_out}
        self._hits: list[LeakHit] = []
        self._skipped: list[str] = []
        self._scanned = 0

    def scan(self, path: Path) -> LeakScan:
        """Return what was found in a file, or in all files below a folder, names included.

        Symbolic links are not followed; what they point at is scanned as a name. Raises
        InvalidInput where there is no such file, NoData where there is none in the folder.
        """
        self._hits, self._skipped, self._scanned = [], [], 0
        if path.is_dir():
            for name in _below(path):
                self._entry(path / name, name)
        elif path.exists():
            self._entry(path, path.name)
        else:
            raise InvalidInput(f"{safe(path.name)}: no such file or folder")
        if not self._scanned and not self._skipped:
            raise NoData("no file to scan", hint="name a folder that holds what is to be shared")
        return LeakScan(scanned=self._scanned, hits=tuple(self._hits), skipped=tuple(self._skipped))

    def _entry(self, path: Path, name: str) -> None:
        if path.resolve() in self._left_out:
            return
        shown, places = self._masked(name)
        last = len(os.fsencode(name)) - len(os.fsencode(Path(name).name))
        place = _Place(shown)
        self._add((item for item in places if item.end > last), place.inside("(name)"))
        try:
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                target = os.fsencode(path.readlink())
                self._add(self._search.scan(target), place.inside("(link)"))
            elif stat.S_ISREG(status.st_mode):
                self._file(path, status.st_size, place)
            else:
                self._skip(place, "is no file")
                return
        except OSError as error:
            self._skip(place, f"cannot be read: {os.strerror(error.errno or 0)}")
            return
        self._scanned += 1

    def _file(self, path: Path, size: int, place: _Place) -> None:
        if size <= _LARGEST:
            self._data(path.read_bytes(), place)
            return
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            self._add(self._search.scan(data), place)
            if _opener(data[:32]) is not None:
                self._skip(place, "is too large to be opened")

    def _data(self, data: bytes, place: _Place) -> None:
        """Scan bytes, and what is in them."""
        before = len(self._hits)
        try:
            if reason := next(
                (why for at, magic, why in _CLOSED if data.startswith(magic, at)), None
            ):
                raise _Unopened(reason)  # noqa: TRY301 - one place says what was not opened
            if (opener := _opener(data[:32])) is not None:
                if place.depth >= _DEEPEST:
                    raise _Unopened("lies too deep in archives")  # noqa: TRY301 - as above
                for member, inner, rows in opener(data, place.room):
                    self._inner(inner, rows, place.inside(self._masked(member)[0]))
        except _Unopened as error:
            self._skip(place, str(error))
        except _BROKEN:
            self._skip(place, "cannot be opened: damaged or encrypted")
        inside = {(hit.token, hit.encoding) for hit in self._hits[before:]}
        places = self._search.scan(data)
        self._add((item for item in places if (item.token, item.encoding) not in inside), place)

    def _inner(self, data: bytes, rows: "_Rows | None", place: _Place) -> None:
        if rows is None:
            self._data(data, place)
            return
        for item in self._search.scan(data):
            row = rows.first + bisect_right(rows.ends, item.start)
            self._hits.append(_hit(item, place, row))

    def _masked(self, name: str) -> tuple[str, tuple[LeakPlace, ...]]:
        """Return a name without the tokens in it, and where they are."""
        data = os.fsencode(name)
        places = left = self._search.scan(data)
        while left:
            for item in sorted(left, key=lambda item: -item.start):
                data = data[: item.start] + b"***" + data[item.end :]
            left = self._search.scan(data)
        return safe(data.decode("utf-8", "replace")), places

    def _add(self, places: Iterable[LeakPlace], place: _Place) -> None:
        self._hits += (_hit(item, place, item.start) for item in places)

    def _skip(self, place: _Place, reason: str) -> None:
        self._skipped.append(f"{place}: {reason}")


def _hit(item: LeakPlace, place: _Place, offset: int) -> LeakHit:
    return LeakHit(
        path=place.path,
        member=place.member,
        token=item.token,
        encoding=item.encoding,
        offset=offset,
    )


def _below(folder: Path) -> Iterator[str]:
    """Yield the names of everything below a folder but folders, in order."""

    def refuse(error: OSError) -> None:
        raise unreadable(error, among=folder.name) from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in sorted([*files, *links]):
            yield Path(place, name).relative_to(folder).as_posix()


# --- What is inside: (name, bytes, rows of a column) ---


@dataclass(frozen=True, slots=True)
class _Rows:
    """The number of the first row of a text of rows, and where each row ends in it."""

    first: int
    ends: list[int]


_Members = Iterator[tuple[str, bytes, _Rows | None]]
_Opener = Callable[[bytes, list[int]], _Members]


def _opener(beginning: bytes) -> _Opener | None:
    """Return what opens bytes that begin so, None for what is not opened."""
    for magic, opener in _OPENERS:
        if beginning.startswith(magic):
            return opener
    is_zlib = beginning[:1] == b"x" and int.from_bytes(beginning[:2], "big") % 31 == 0
    return _zlib if is_zlib else None


def _take(room: list[int], size: int) -> None:
    room[0] -= size
    room[1] -= 1
    if room[0] < 0 or room[1] < 0:
        raise _Unopened("is too large when it is unpacked")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _unpacked(data: bytes, new: Callable[[], _Decompressor], room: list[int]) -> bytes:
    """Return what a stream, or several after each other, hold; raises _Unopened for a bomb."""
    parts = []
    total = 0
    while data:
        stream = new()
        part = stream.decompress(data, min(_LARGEST, room[0]) - total + 1)
        total += len(part)
        if total > min(_LARGEST, room[0]):
            raise _Unopened("is too large when it is unpacked")
        if not stream.eof:
            raise EOFError
        parts.append(part)
        data = stream.unused_data.lstrip(b"\0")
    _take(room, total)
    return b"".join(parts)


def _gzip(data: bytes, room: list[int]) -> _Members:
    yield "(gzip)", _unpacked(data, lambda: zlib.decompressobj(31), room), None


def _bzip2(data: bytes, room: list[int]) -> _Members:
    yield "(bzip2)", _unpacked(data, bz2.BZ2Decompressor, room), None


def _xz(data: bytes, room: list[int]) -> _Members:
    yield "(xz)", _unpacked(data, lzma.LZMADecompressor, room), None


def _zlib(data: bytes, room: list[int]) -> _Members:
    """Yield what a zlib stream holds, such as an object of git; nothing where it is none."""
    try:
        unpacked = _unpacked(data, zlib.decompressobj, room)
    except (zlib.error, EOFError):
        return
    yield "(zlib)", unpacked, None


def _zip(data: bytes, room: list[int]) -> _Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for item in archive.infolist():
            if item.is_dir():
                continue
            with archive.open(item) as member:
                inner = member.read(min(_LARGEST, room[0]) + 1)
            if len(inner) > _LARGEST:
                raise _Unopened("is too large when it is unpacked")
            _take(room, len(inner))
            yield item.filename, inner, None


def _text(value: object) -> bytes:
    """Return a value of a table as text; whole floats without a fraction, as pandas makes them."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).encode("utf-8", "surrogatepass")


def _column(name: str, values: Iterable[object], first: int) -> tuple[str, bytes, _Rows]:
    texts = [_text(value) for value in values]
    ends = list(accumulate(len(text) + 1 for text in texts))
    return name, b"\n".join(texts), _Rows(first, ends)


def _parquet(data: bytes, room: list[int]) -> _Members:
    import pyarrow as pa
    from pyarrow import parquet

    file = parquet.ParquetFile(pa.BufferReader(data))
    yield from _batches(file.iter_batches(batch_size=_ROWS), room)


def _arrow(data: bytes, room: list[int]) -> _Members:
    import pyarrow as pa

    with pa.ipc.open_file(pa.BufferReader(data)) as file:
        yield from _batches(map(file.get_batch, range(file.num_record_batches)), room)


def _batches(batches: Iterable[Any], room: list[int]) -> _Members:
    first = 0
    for batch in batches:
        _take(room, batch.nbytes)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            yield _column(name, column.to_pylist(), first)
        first += batch.num_rows


def _sqlite(data: bytes, room: list[int]) -> _Members:
    """Yield the columns of all tables of a database that is opened in memory."""
    with closing(sqlite3.connect(":memory:")) as database:
        # A database with a write-ahead log does not open in memory unless it says it has none.
        database.deserialize(data[:18] + b"\1\1" + data[20:])
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
        tables = database.execute(query).fetchall()
        database.text_factory = bytes  # text need not be UTF-8
        for table, sql in tables:
            if str(sql).upper().startswith("CREATE VIRTUAL"):
                continue  # what it holds lies in other tables
            quoted = table.replace('"', '""')
            rows = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - quoted
            names = [item[0] for item in rows.description]
            first = 0
            while batch := rows.fetchmany(_ROWS):
                _take(room, len(batch))
                for name, values in zip(names, zip(*batch, strict=True), strict=True):
                    yield _column(f"{table}.{name}", values, first)
                first += len(batch)


def _png(data: bytes, room: list[int]) -> _Members:
    """Yield the compressed texts of an image; the others stand in its bytes as they are."""
    at, number = 8, 0
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at, number = at + 12 + size, number + 1
        _, _, rest = body.partition(b"\0")
        if kind in {b"zTXt", b"iCCP"}:
            packed = rest[1:]
        elif kind == b"iTXt" and rest[:1] == b"\1":
            packed = rest[2:].split(b"\0", 2)[2]
        else:
            continue
        text = _unpacked(packed, zlib.decompressobj, room)
        yield f"{kind.decode('ascii')} (chunk {number})", text, None


_OPENERS: tuple[tuple[bytes, _Opener], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ\0", _xz),
    (b"PK\3\4", _zip),
    (b"PK\5\6", _zip),
    (b"PAR1", _parquet),
    (b"ARROW1\0\0", _arrow),
    (b"SQLite format 3\0", _sqlite),
    (b"\x89PNG\r\n\x1a\n", _png),
)


# --- What a workspace knows to be secret ---

_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "OPENAI_API_KEY", "RELKIT_KEY_PASSWORD",
)  # fmt: skip
_VARIABLE = re.compile(r"\bapi_key_env:\s*[\"']?(\w+)")
_KEY_FILES = ("*.key", "*/*.key", ".relkit/*.key", ".relkit/incidents/*/key", ".relkit/**/*.key")
_LARGEST_KEY = 1 << 14
_PRIVATE = "-----BEGIN {}PRIVATE KEY-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What is secret in a workspace: the tokens, the files they are from, those too short."""

    tokens: tuple[LeakToken, ...]
    files: tuple[Path, ...]
    too_short: tuple[str, ...]


def workspace_secrets(workspace: Workspace) -> Secrets:
    """Return what must not leave a workspace, as far as it knows.

    That are its keys (telemetry, incidents, signing), the beginning of any private key in PEM, the
    folder it lies in, and the values of variables that its suites name, or that MLflow takes.
    """
    values = [("folder of the workspace", str(workspace.folder), b"")]
    kinds = ("", "ENCRYPTED ", "EC ", "RSA ", "OPENSSH ")
    values += ((f"{kind.lower()}private key", _PRIVATE.format(kind), b"") for kind in kinds)
    files = sorted({path for pattern in _KEY_FILES for path in workspace.folder.glob(pattern)})
    for path in files:
        values += ((workspace.shown(path), *text) for text in _key_texts(path))
    names = set(_VARIABLES)
    for path in workspace.suites.glob("*.yaml"):
        names |= set(_VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")))
    for name in sorted(names & workspace.environment.keys()):
        values.append((name, workspace.environment[name], b""))
    if workspace.mlflow is not None and workspace.mlflow.tracking_uri:
        password = urlsplit(workspace.mlflow.tracking_uri).password or ""
        values.append(("password of MLflow", password, b""))
    tokens, too_short = [], []
    for name, text, raw in values:
        try:
            tokens += [leak_token(text, name, where=name, raw=raw)] if text else []
        except InvalidInput:
            too_short.append(name)
    return Secrets(tokens=tuple(tokens), files=tuple(files), too_short=tuple(too_short))


def _key_texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a key as text, with its bytes: the body of PEM, or hexadecimal and base64."""
    data = read_bytes(path, what=path.name)[:_LARGEST_KEY]
    text = data.decode("utf-8", "replace").strip()
    if "PRIVATE KEY" in text:
        lines = (line for line in text.splitlines() if "-----" not in line and ":" not in line)
        yield "".join(lines), b""
        return
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = data
    yield raw.hex(), raw
    yield base64.b64encode(raw).decode("ascii").rstrip("="), b""
