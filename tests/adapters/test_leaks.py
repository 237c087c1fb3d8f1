"""Scanning files: what is in archives, tables, databases and images; bombs; what cannot be read."""

import bz2
import gzip
import io
import lzma
import os
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from relkit.adapters import leaks
from relkit.adapters.leaks import LeakFiles, workspace_secrets
from relkit.adapters.workspace import read_workspace
from relkit.core.errors import InvalidInput, NoData
from relkit.disclosure.leaks import LeakSearch, LeakToken
from relkit.disclosure.types import LeakScan
from tests.conftest import Workspace

TOKEN = "zq7x-kite-40-lemur"  # noqa: S105 - planted
NUMBER = 4155550142
_DAMAGED = "cannot be opened: damaged or encrypted"
_TOKENS = (LeakToken(value=TOKEN, shown="token"), LeakToken(value=str(NUMBER), shown="number"))


def _scan(path: Path) -> LeakScan:
    return LeakFiles(LeakSearch(_TOKENS)).scan(path)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def _zip(data: bytes, name: str = "in/notes.txt") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def _parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def _arrow(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"who": ["x" * 999, data.decode()]})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _sqlite(folder: Path) -> bytes:
    path = folder / "made.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = wal")
    database.execute('CREATE TABLE "a ""b" (who TEXT, number INTEGER)')
    rows = [("x", 1), (TOKEN, NUMBER)]
    database.executemany('INSERT INTO "a ""b" VALUES (?, ?)', rows)
    database.commit()
    database.close()
    data = path.read_bytes()
    path.unlink()
    return data


_TEXT = ("\n".join(f"line {number}" for number in range(99)) + TOKEN).encode()
_HOLDERS: dict[str, tuple[Callable[[Path], bytes], str | None]] = {
    "text": (lambda _: _TEXT, None),
    "gzip": (lambda _: gzip.compress(_TEXT), "(gzip)"),
    "two gzips": (lambda _: gzip.compress(b"first") + gzip.compress(_TEXT), "(gzip)"),
    "bzip2": (lambda _: bz2.compress(_TEXT), "(bzip2)"),
    "xz": (lambda _: lzma.compress(_TEXT), "(xz)"),
    "object of git": (lambda _: zlib.compress(_TEXT), "(zlib)"),
    "zip": (lambda _: _zip(_TEXT), "in/notes.txt"),
    "zip in gzip": (lambda _: gzip.compress(_zip(_TEXT)), "(gzip)/in/notes.txt"),
    "parquet": (lambda _: _parquet(who=["x" * 999, TOKEN]), "who"),
    "binary parquet": (lambda _: _parquet(who=[b"\xff" * 999, TOKEN.encode()]), "who"),
    "nested parquet": (lambda _: _parquet(who=[[{"a": "x" * 999}], [{"a": TOKEN}]]), "who"),
    "arrow": (lambda _: _arrow(TOKEN.encode()), "who"),
    "sqlite": (_sqlite, 'a "b.who'),
    "png, plain": (lambda _: _png(_chunk(b"tEXt", b"Comment\0" + TOKEN.encode())), None),
    "png, packed": (
        lambda _: _png(_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(_TEXT))),
        "zTXt (chunk 1)",
    ),
    "png, international": (
        lambda _: _png(_chunk(b"iTXt", b"Comment\0\1\0en\0K\0" + zlib.compress(_TEXT))),
        "iTXt (chunk 1)",
    ),
    "svg": (lambda _: f'<svg xmlns="s"><desc>{TOKEN}</desc></svg>'.encode(), None),
}


@pytest.mark.parametrize("holder", _HOLDERS)
def test_a_token_is_found_inside_of(holder: str, tmp_path: Path) -> None:
    """Whatever holds it, a token is one hit, and the hit says where inside."""
    make, member = _HOLDERS[holder]
    data = make(tmp_path)
    (tmp_path / "file").write_bytes(data)
    scan = _scan(tmp_path / "file")
    hits = [hit for hit in scan.hits if hit.token == "token"]  # noqa: S105 - its label
    assert [(hit.path, hit.member, hit.encoding) for hit in hits] == [("file", member, "plain")]
    assert (scan.scanned, scan.skipped) == (1, ())


def test_a_number_is_found_in_columns_of_numbers(tmp_path: Path) -> None:
    """A telephone number need not be text: whole numbers and pandas' floats count, by row."""
    (tmp_path / "t.parquet").write_bytes(
        _parquet(whole=[1] * 30_000 + [NUMBER], float=[None] * 30_000 + [float(NUMBER)])
    )
    (tmp_path / "t.db").write_bytes(_sqlite(tmp_path))
    hits = {(hit.path, hit.member, hit.offset) for hit in _scan(tmp_path).hits}
    assert hits >= {
        ("t.parquet", "whole", 30_000),
        ("t.parquet", "float", 30_000),
        ("t.db", 'a "b.number', 1),
        ("t.db", 'a "b.who', 1),
    }


def test_names_are_scanned_and_shown_without_the_token(tmp_path: Path) -> None:
    """Of a file, a folder, an archive's member and where a link points: no hit repeats the name."""
    folder = tmp_path / f"for {TOKEN}"
    folder.mkdir()
    (folder / f"{TOKEN}.{TOKEN.upper()}.txt").write_text("nothing")
    (tmp_path / "plain.txt").symlink_to(f"/home/{TOKEN}/x.txt")
    (tmp_path / "b.zip").write_bytes(_zip(_TEXT, name=f"{TOKEN}.txt"))
    scan = _scan(tmp_path)
    assert {(hit.path, hit.member) for hit in scan.hits} == {
        ("for ***/***.***.txt", "(name)"),
        ("plain.txt", "(link)"),
        ("b.zip", "***.txt"),
    }
    assert TOKEN not in repr(scan)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.7\n", "PDF: its text cannot be read"),
        (b"\x28\xb5\x2f\xfd...", "zstd cannot be opened"),
        (b"PACK\0\0\0\2", "a pack of git cannot be opened; scan git archive instead"),
        (b"12345678DUCK@", "a DuckDB database cannot be opened; export it to Parquet"),
        (gzip.compress(b"x" * 999, mtime=0)[:-9], _DAMAGED),
        (gzip.compress(b"ok", mtime=0) + b"\x1f\x8bxx", _DAMAGED),
        (b"PK\3\4 and no more", _DAMAGED),
        (b"PAR1 and no more", _DAMAGED),
        (b"SQLite format 3\0 and no more", _DAMAGED),
    ],
)
def test_what_cannot_be_opened_is_listed_and_scanned_as_bytes(
    data: bytes, reason: str, tmp_path: Path
) -> None:
    """Nobody knows what it says: that is not "no leak"."""
    (tmp_path / "file").write_bytes(data + f" {TOKEN}".encode())
    scan = _scan(tmp_path)
    assert scan.skipped == (f"file: {reason}",)
    assert [hit.token for hit in scan.hits] == ["token"]


def test_an_encrypted_zip_is_listed(tmp_path: Path) -> None:
    """Its members cannot be read without the password."""
    data = bytearray(_zip(_TEXT))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    assert _scan(tmp_path).skipped == (f"a.zip: {_DAMAGED}",)


def test_bombs_and_nests_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By size, by the number of members, and by depth: what is too much is listed."""
    monkeypatch.setattr(leaks, "_LARGEST", 1 << 16)
    monkeypatch.setattr(leaks, "_MOST_MEMBERS", 9)
    (tmp_path / "large.gz").write_bytes(gzip.compress(b"0" * (1 << 20)))
    (tmp_path / "large.zip").write_bytes(_zip(b"0" * (1 << 20)))
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(12):
            archive.writestr(str(number), "x")
    nested = b"x"
    for _ in range(7):
        nested = gzip.compress(nested)
    (tmp_path / "nested.gz").write_bytes(nested)
    (tmp_path / "huge.gz").write_bytes(gzip.compress(os.urandom(1 << 17)))
    scan = _scan(tmp_path)
    depth = "/".join(["(gzip)"] * 5)
    assert scan.skipped == (
        "huge.gz: is too large to be opened",
        "large.gz: is too large when it is unpacked",
        "large.zip: is too large when it is unpacked",
        "many.zip: is too large when it is unpacked",
        f"nested.gz: {depth}: lies too deep in archives",
    )


def test_a_large_text_is_scanned_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no archive has no limit."""
    monkeypatch.setattr(leaks, "_LARGEST", 1 << 16)
    (tmp_path / "log").write_bytes(b"." * 700_000 + TOKEN.encode() + b"." * 700_000)
    (hit,) = _scan(tmp_path).hits
    assert (hit.offset, hit.encoding) == (700_000, "plain")


def test_what_is_no_file_is_listed_and_nothing_is_no_pass(tmp_path: Path) -> None:
    """A pipe cannot be read; an empty folder and an absent file are no scan."""
    with pytest.raises(NoData, match="no file to scan"):
        _scan(tmp_path)
    with pytest.raises(InvalidInput, match="absent: no such file"):
        _scan(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    assert _scan(tmp_path) == LeakScan(scanned=0, hits=(), skipped=("pipe: is no file",))


def test_a_workspace_knows_its_secrets(workspace: Workspace, tmp_path: Path) -> None:
    """Keys as text, hex and base64, the folder, and the variables that suites name."""
    workspace.suite("{kind: openai, url: 'https://x.example/v1', model: m, api_key_env: ASR_PW}")
    assert workspace.relkit("doctor", "--make-key", str(workspace.folder / "keys")).code == 0
    (workspace.folder / ".relkit").mkdir(exist_ok=True)
    key = bytes(range(32))
    (workspace.folder / ".relkit" / "telemetry.key").write_text(key.hex() + "\n")
    environment = {"ASR_PW": "sk-live-0123456789", "MLFLOW_TRACKING_PASSWORD": "short"}
    settings = read_workspace(workspace.folder, environment)
    secrets = workspace_secrets(settings)
    assert secrets.too_short == ("MLFLOW_TRACKING_PASSWORD",)
    shared = tmp_path / "shared"
    shared.mkdir()
    pem = (workspace.folder / "keys" / "relkit.key").read_text()
    for name, text in {
        "telemetry.txt": f"key: {key.hex(' ')}",
        "binary": key.decode("latin-1"),
        "path.log": f'File "{workspace.folder}/relkit.yaml"',
        "api.json": '{"auth": "Bearer sk-live-0123456789"}',
        "one-line.env": "KEY=" + "".join(pem.splitlines()[1:-1]),
        "signing.pem": pem,
    }.items():
        (shared / name).write_text(text, encoding="latin-1")
    search = LeakFiles(LeakSearch(secrets.tokens), left_out=secrets.files)
    hits = {(hit.path, hit.token) for hit in search.scan(shared).hits}
    assert hits == {
        ("telemetry.txt", ".relkit/telemetry.key"),
        ("binary", ".relkit/telemetry.key"),
        ("path.log", "folder of the workspace"),
        ("api.json", "ASR_PW"),
        ("one-line.env", "keys/relkit.key"),
        ("signing.pem", "keys/relkit.key"),
        ("signing.pem", "private key"),
    }
    # The keys themselves are where they belong.
    assert not search.scan(workspace.folder / "keys").hits
