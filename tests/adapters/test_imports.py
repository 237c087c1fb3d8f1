"""Reading foreign folders and writing a dataset: links, pipes, escapes, kills and the disk."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from relkit.adapters import imports as import_sources
from relkit.adapters.imports import READ, ImportSources, ImportTarget, Pseudonyms
from relkit.core import storage
from relkit.core.errors import Busy, InvalidInput
from relkit.datasets.imports.kaldi import FILES
from relkit.datasets.imports.rows import ImportedRow, ImportKind

KALDI, NEMO = ImportKind.KALDI, ImportKind.NEMO
FOLDER, VOICE = ImportKind.AUDIO_FOLDER, ImportKind.COMMON_VOICE


def source(kind: ImportKind, path: Path) -> ImportSources:
    """Look at a path."""
    return ImportSources(kind, path, kaldi_files=FILES)


def row(audio: str, *, folder: str = "", confined: bool = False) -> ImportedRow:
    """Return a row that names this audio."""
    return ImportedRow(
        audio=audio, folder=folder, reference="", file="m.csv", line=3, confined=confined
    )


def touch(path: Path, data: bytes = b"RIFF") -> Path:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def progress(_done: int, _total: int) -> None:
    """Watch nothing."""


def test_tables_are_found_at_any_depth(tmp_path: Path) -> None:
    """Hidden folders are not looked into; names are relative, for messages."""
    for name in ("metadata.csv", "data/train/metadata.jsonl", ".cache/metadata.csv"):
        touch(tmp_path / name, b"file_name,text\n")
    files = source(FOLDER, tmp_path).files()
    assert [(file.name, file.folder) for file in files] == [
        ("data/train/metadata.jsonl", "data/train"),
        ("metadata.csv", ""),
    ]


def test_a_folder_of_manifests_must_be_told_which(tmp_path: Path) -> None:
    """One manifest is found, two are a question."""
    touch(tmp_path / "train.json", b"{}")
    assert [file.name for file in source(NEMO, tmp_path).files()] == ["train.json"]
    touch(tmp_path / "test.jsonl", b"{}")
    with pytest.raises(InvalidInput, match="2 manifests") as caught:
        source(NEMO, tmp_path).files()
    assert caught.value.hint == "name one: test.jsonl, train.json"


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        (KALDI, "wav.scp", "is a file"),
        (NEMO, "audio_0.tar", "is an archive"),
        (FOLDER, "metadata.parquet", "cannot be imported"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, kind: ImportKind, name: str, words: str
) -> None:
    """Archives and tables that cannot be read are named."""
    with pytest.raises(InvalidInput, match=words):
        source(kind, touch(tmp_path / name)).files()


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\xff\xfe", "not UTF-8"), (b"\xef\xbb\xbfa", "byte order mark"), (b"a\0b", "NUL")],
)
def test_a_table_is_plain_utf_8(tmp_path: Path, data: bytes, words: str) -> None:
    """Other encodings are refused by file and line."""
    touch(tmp_path / "m.json", data)
    with pytest.raises(InvalidInput, match=r"m\.json, line 1") as caught:
        source(NEMO, tmp_path / "m.json").files()
    assert words in caught.value.message


def test_what_is_too_large_or_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading is bounded, and a pipe in place of a table never blocks."""
    monkeypatch.setattr(import_sources, "MAX_TEXT_BYTES", 3)
    monkeypatch.setattr(import_sources, "MAX_FILES", 1)
    with pytest.raises(InvalidInput, match="larger than"):
        source(NEMO, touch(tmp_path / "m.json", b"long")).files()
    os.mkfifo(tmp_path / "metadata.csv")
    with pytest.raises(InvalidInput, match="more than 1 files"):
        source(FOLDER, tmp_path).files()
    (tmp_path / "m.json").unlink()
    with pytest.raises(InvalidInput, match="no regular file"):
        source(FOLDER, tmp_path).files()


def test_kaldi_paths_start_from_the_recipe(tmp_path: Path) -> None:
    """``data/test/wav.scp`` names audio from two folders above; its own folder comes first."""
    data = tmp_path / "s5" / "data" / "test"
    touch(data / "near.wav")
    far = touch(tmp_path / "s5" / "wav" / "far.wav")
    found = source(KALDI, data).locate([row("near.wav"), row("wav/far.wav"), row("no.wav")])
    assert [item.exists for item in found] == [True, True, False]
    assert found[1].path == str(far)


@pytest.mark.parametrize("name", ["id_rsa", "table.csv", "clip", "a.wav\0.flac"])
def test_what_is_no_audio_by_name_is_refused(tmp_path: Path, name: str) -> None:
    """A manifest that names a key or a table gets neither read nor copied."""
    with pytest.raises(InvalidInput, match=r"m\.csv, line 3"):
        source(NEMO, tmp_path).locate([row(f"/elsewhere/{name}")])
    assert ".wav" in READ


@pytest.mark.parametrize("audio", ["../out.wav", "/etc/out.wav", "in/../../out.wav", "link.wav"])
def test_a_confined_layout_cannot_leave_its_folder(tmp_path: Path, audio: str) -> None:
    """Neither by dots, nor by an absolute path, nor by a link."""
    out = touch(tmp_path / "out.wav")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link.wav").symlink_to(out)
    with pytest.raises(InvalidInput, match="leaves the source"):
        source(FOLDER, tmp_path / "data").locate([row(audio, confined=True)])


def test_a_download_of_hugging_face_may_link_to_its_blobs(tmp_path: Path) -> None:
    """Its snapshots hold links into the store two folders above, and nowhere else."""
    blob = touch(tmp_path / "hub" / "blobs" / "0123abcd")
    snapshot = tmp_path / "hub" / "snapshots" / "ef01"
    snapshot.mkdir(parents=True)
    (snapshot / "a.wav").symlink_to("../../blobs/0123abcd")
    (found,) = source(FOLDER, snapshot).locate([row("a.wav", confined=True)])
    assert (found.path, found.real, found.exists) == (str(snapshot / "a.wav"), str(blob), True)


def test_audio_without_an_entry_is_counted(tmp_path: Path) -> None:
    """Only where the layout keeps its audio inside of its folder."""
    for name in ("clips/a.mp3", "clips/b.mp3", "clips/c.txt"):
        touch(tmp_path / name)
    voices = source(VOICE, tmp_path)
    assert voices.unlisted(voices.locate([row("clips/a.mp3", confined=True)])) == 1
    assert source(NEMO, tmp_path).unlisted([]) is None


def test_a_link_to_a_folder_is_a_source_too(tmp_path: Path) -> None:
    """The folder may be reached by a link without its files counting as strangers."""
    touch(tmp_path / "real" / "a.wav")
    (tmp_path / "data").symlink_to(tmp_path / "real", target_is_directory=True)
    found = source(FOLDER, tmp_path / "data")
    located = found.locate([row("a.wav", confined=True)])
    assert located[0].exists
    assert found.unlisted(located) == 0


@pytest.fixture
def target(tmp_path: Path) -> ImportTarget:
    """Give the datasets folder of a workspace."""
    return ImportTarget(tmp_path / "datasets", state=tmp_path / ".relkit")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "-a", "a" * 101, "é"])
def test_a_name_is_a_plain_folder_name(target: ImportTarget, name: str) -> None:
    """Nothing that leaves the folder, hides in it or looks like an option."""
    with pytest.raises(InvalidInput, match="cannot be called"):
        target.check_name(name)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize("make", [_pipe, _nothing, Path.mkdir])
def test_what_cannot_be_copied_leaves_nothing(
    tmp_path: Path, target: ImportTarget, make: Callable[[Path], None]
) -> None:
    """A file that became a pipe, a folder or nothing since it was found ends the import."""
    good = touch(tmp_path / "good.wav")
    make(tmp_path / "bad.wav")
    copies = [(str(good), "audio/good.wav"), (str(tmp_path / "bad.wav"), "audio/bad.wav")]
    with pytest.raises(InvalidInput, match=r"^bad\.wav"):
        target.write("new", {"dataset.yaml": "name: new\n"}, copies, progress)
    assert not list((tmp_path / "datasets").iterdir())


def test_what_a_killed_import_left_is_removed_by_the_next(
    tmp_path: Path, target: ImportTarget
) -> None:
    """Its folder is nobody's once the lock is free, and was never a dataset."""
    touch(tmp_path / "datasets" / ".relkit-import-abc" / "audio" / "half.wav")
    target.write("new", {"dataset.yaml": "name: new\n"}, [], progress)
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["new"]
    assert (tmp_path / "datasets" / "new").stat().st_mode & 0o700 == 0o700


def test_two_imports_at_a_time_are_refused(tmp_path: Path, target: ImportTarget) -> None:
    """The second one would clear away the first one's work."""
    with (
        storage.lock_file(tmp_path / ".relkit" / "import.lock", what="it"),
        pytest.raises(Busy),
    ):
        target.write("new", {}, [], progress)


def test_neighbours_are_named_from_the_dataset(tmp_path: Path, target: ImportTarget) -> None:
    """Audio in the workspace moves with it; audio elsewhere is named by its place."""
    (tmp_path / "datasets").mkdir()
    assert target.root_entry("new", str(tmp_path / "audio")) == "../../audio"
    assert target.root_entry("new", "/data/corpus") == "/data/corpus"


def test_a_pseudonym_needs_the_key(tmp_path: Path) -> None:
    """The same name gives the same pseudonym with one key and another with another."""
    first = Pseudonyms(tmp_path / "a" / "key").of("account")
    assert first == Pseudonyms(tmp_path / "a" / "key").of("account")
    assert first != Pseudonyms(tmp_path / "b" / "key").of("account")
    assert first != Pseudonyms(tmp_path / "a" / "key").of("another")
    touch(tmp_path / "torn" / "key", b"short")
    with pytest.raises(InvalidInput, match="no key of 32 bytes"):
        Pseudonyms(tmp_path / "torn" / "key").of("account")
