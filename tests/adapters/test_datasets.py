"""Datasets as folders: digests that follow the content, and paths that stay inside."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.datasets import DatasetFiles
from relkit.adapters.git import GitRevisions
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Bins, Dataset
from tests.builders import commit_all, git, row, write_dataset

ROWS = [
    row(f"audio/{name}.wav", accent=name, entities=[{"text": name, "type": "x"}]) for name in "abc"
]


def load(folder: Path, rev: str | None = None) -> Dataset:
    """Load the dataset in a folder."""
    store = DatasetFiles(folder.parent, cache=folder.parent / ".cache", revisions=GitRevisions)
    return store.load(folder.name, rev=rev)


def digest(folder: Path) -> str:
    """Return the digest of the dataset in a folder."""
    return load(folder).version.digest


def test_a_dataset_is_read_whole(tmp_path: Path) -> None:
    """Settings, utterances sorted by id, audio as absolute paths."""
    settings = "slices: [accent]\nbins: [{name: length, column: duration, edges: [1, 2]}]\n"
    folder = write_dataset(tmp_path / "words", [*reversed(ROWS)], settings)
    found = load(folder)
    assert [item.id for item in found.utterances] == ["audio/a", "audio/b", "audio/c"]
    assert [item.line for item in found.utterances] == [3, 2, 1]
    assert found.utterances[0].audio.path == str(folder / "audio" / "a.wav")
    assert (found.settings.cluster, found.settings.slices) == ("speaker", ("accent",))
    assert found.settings.bins == (Bins(name="length", column="duration", edges=(1.0, 2.0)),)
    assert found.columns() == {"accent", "speaker", "length"}
    assert (found.root, found.manifest) == (str(folder), "words/manifest.jsonl")
    version = found.version
    assert (version.name, version.utterances, version.contract) == ("words", 3, "not_checked")
    assert (version.revision, version.dirty) == (None, None)


def test_the_digest_does_not_depend_on_the_order_of_lines(tmp_path: Path) -> None:
    """A shuffled manifest, with blank lines, is the same data."""
    expected = digest(write_dataset(tmp_path / "words", ROWS))
    for seed in range(3):
        rows = random.Random(seed).sample(ROWS, len(ROWS))  # noqa: S311  # a repeatable order, no secret
        folder = write_dataset(tmp_path / "words", rows)
        text = (folder / "manifest.jsonl").read_text()
        (folder / "manifest.jsonl").write_text("\n" + text.replace("\n", "\n\n"))
        assert digest(folder) == expected


def test_the_digest_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    """Moved, copied, reached through a link, or with other times and modes: the same data."""
    folder = write_dataset(tmp_path / "one" / "words", ROWS)
    expected = digest(folder)
    copy = tmp_path / "two" / "deeper" / "words"
    shutil.copytree(folder, copy)
    for path in copy.rglob("*.wav"):
        os.utime(path, (1, 1))
        path.chmod(0o400)
    link = tmp_path / "three" / "words"
    link.parent.mkdir()
    link.symlink_to(folder)
    assert digest(copy) == digest(link) == expected


def test_the_digest_does_not_depend_on_absolute_paths(tmp_path: Path) -> None:
    """NeMo writes absolute paths and no ids: neither may name the machine."""
    folder = write_dataset(tmp_path / "one" / "words", ROWS)
    expected = load(folder)
    moved = tmp_path / "two" / "words"
    shutil.copytree(folder, moved)
    for place in (folder, moved):
        rows = [item | {"audio_filepath": str(place / item["audio_filepath"])} for item in ROWS]
        write_dataset(place, rows, audio=False)
        found = load(place)
        assert [item.id for item in found.utterances] == [item.id for item in expected.utterances]
        assert found.version.digest == expected.version.digest


def test_the_digest_does_not_depend_on_how_a_line_is_spelt(tmp_path: Path) -> None:
    """Order of keys, escapes, spaces, a path's dots, and defaults spelt out."""
    expected = digest(write_dataset(tmp_path / "words", [row(text="hé", consent="unknown")]))
    line = (
        '{"speaker" : "s1","text":"h\\u00e9", "id": "audio/a", "lang": null, "offset": null,'
        ' "entities": [], "audio_filepath": "audio/../audio/./a.wav"}'
    )
    (tmp_path / "words" / "manifest.jsonl").write_text(line)
    assert digest(tmp_path / "words") == expected


def _first(**change: Any) -> Callable[[Path], object]:  # noqa: ANN401  # any column of a row
    def write(folder: Path) -> None:
        write_dataset(folder, [ROWS[0] | change, *ROWS[1:]], audio=False)

    return write


def _settings(text: str) -> Callable[[Path], object]:
    return lambda folder: write_dataset(folder, ROWS, text, audio=False)


CHANGES: dict[str, Callable[[Path], object]] = {
    "text": _first(text="hello where"),
    "case": _first(text="Hello there"),
    "attribute": _first(accent="z"),
    "new attribute": _first(noise="none"),
    "attribute type": _first(speaker="s2"),
    "entity text": _first(entities=[{"text": "b", "type": "x"}]),
    "entity type": _first(entities=[{"text": "a", "type": "y"}]),
    "entity gone": _first(entities=[]),
    "consent": _first(consent="revoked"),
    "offset": _first(offset=0.0, id="audio/a"),
    "id": _first(id="other"),
    "other audio": _first(audio_filepath="audio/b.wav", id="audio/a"),
    "audio bytes": lambda folder: (folder / "audio" / "a.wav").write_bytes(b"other"),
    "audio gone": lambda folder: (folder / "audio" / "a.wav").unlink(),
    "audio empty": lambda folder: (folder / "audio" / "a.wav").write_bytes(b""),
    "line gone": lambda folder: write_dataset(folder, ROWS[1:], audio=False),
    "line more": lambda folder: write_dataset(folder, [*ROWS, row("audio/d.wav")], audio=False),
    "cluster": lambda folder: (folder / "dataset.yaml").write_text(
        "name: words\ncluster: accent\n"
    ),
    "bins": _settings("bins: [{name: length, column: duration, edges: [1]}]\n"),
    "edges": _settings("bins: [{name: length, column: duration, edges: [2]}]\n"),
}


def test_the_digest_changes_with_everything_that_is_measured(tmp_path: Path) -> None:
    """Text, audio bytes, attributes, entities, settings: no two versions share a digest."""
    seen = {"unchanged": digest(write_dataset(tmp_path / "v" / "words", ROWS))}
    for name, change in CHANGES.items():
        folder = write_dataset(tmp_path / name / "words", ROWS)
        change(folder)
        seen[name] = digest(folder)
    assert len(set(seen.values())) == len(seen), seen


def test_required_consent_makes_another_dataset(tmp_path: Path) -> None:
    """It decides which utterances are evaluated; where it is optional nothing changes."""
    plain = digest(write_dataset(tmp_path / "words", ROWS))
    optional = digest(write_dataset(tmp_path / "words", ROWS, "consent: optional\n"))
    required = digest(write_dataset(tmp_path / "words", ROWS, "consent: required\n"))
    assert plain == optional != required


def test_the_length_of_a_segment_is_in_the_digest(tmp_path: Path) -> None:
    """With an offset it bounds the segment; without one it is only said, and the bytes count."""
    segment = [
        digest(write_dataset(tmp_path / "words", [row(offset=1, duration=d)])) for d in (1, 2)
    ]
    whole = [digest(write_dataset(tmp_path / "words", [row(duration=d)])) for d in (1, 2)]
    assert segment[0] != segment[1]
    assert whole[0] == whole[1]


def test_what_is_no_regular_file_is_no_audio(tmp_path: Path) -> None:
    """A pipe would block for ever and a folder has no bytes: they count as missing."""
    folder = write_dataset(tmp_path / "words", [row()])
    audio = folder / "audio" / "a.wav"
    audio.unlink()
    missing = digest(folder)
    os.mkfifo(audio)
    assert digest(folder) == missing
    audio.unlink()
    audio.mkdir()
    assert digest(folder) == missing


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Give a folder beside the dataset with audio in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"outside")
    return folder


def _path(text: str) -> Callable[[Path, Path], str]:
    return lambda _folder, _outside: text


def _linked_file(folder: Path, outside: Path) -> str:
    (folder / "link.wav").symlink_to(outside / "a.wav")
    return "link.wav"


def _linked_folder(folder: Path, outside: Path) -> str:
    (folder / "linked").symlink_to(outside)
    return "linked/a.wav"


def _linked_twice(folder: Path, outside: Path) -> str:
    (folder / "first").symlink_to(outside)
    (folder / "second").symlink_to("first")
    return "second/../second/a.wav"


def _dangling(folder: Path, outside: Path) -> str:
    (folder / "link.wav").symlink_to(outside / "not-there.wav")
    return "link.wav"


def _beside(folder: Path, _outside: Path) -> str:
    twin = folder.parent / f"{folder.name}-more"
    twin.mkdir()
    return f"../{twin.name}/a.wav"


@pytest.mark.parametrize(
    "make",
    [
        _path("../outside/a.wav"),
        _path("audio/../../outside/a.wav"),
        _path("../../../../../../etc/passwd"),
        _path("/etc/passwd"),
        _path(".."),
        _path("."),
        _path("audio/.."),
        _path("/"),
        _path("/proc/self/environ"),
        lambda _folder, outside: str(outside / "a.wav"),
        _beside,
        _linked_file,
        _linked_folder,
        _linked_twice,
        _dangling,
    ],
)
def test_no_audio_path_leaves_the_dataset(
    tmp_path: Path, outside: Path, make: Callable[[Path, Path], str]
) -> None:
    """Not by dots, not absolutely, not through links: refused with its line, before any read."""
    folder = write_dataset(tmp_path / "words", [row()])
    path = make(folder, outside)
    write_dataset(folder, [row(), row(path, id="other")], audio=False)
    with pytest.raises(InvalidInput) as caught:
        load(folder)
    assert caught.value.message == "words/manifest.jsonl, line 2: the audio path leaves the dataset"
    assert "audio_roots" in (caught.value.hint or "")


def test_a_path_with_nul_is_refused(tmp_path: Path) -> None:
    """JSON can spell a NUL that no file name holds."""
    folder = write_dataset(tmp_path / "words", [row("a\0b.wav", id="x")], audio=False)
    with pytest.raises(InvalidInput, match="line 1: the path holds a NUL character"):
        load(folder)


def test_a_path_too_long_for_any_file_is_only_missing(tmp_path: Path) -> None:
    """It lies inside, and there is nothing there."""
    folder = write_dataset(tmp_path / "words", [row("a" * 5000, id="x")], audio=False)
    assert load(folder).version.utterances == 1


@pytest.mark.parametrize("link", [False, True])
def test_links_that_stay_inside_are_fine(tmp_path: Path, link: bool) -> None:  # noqa: FBT001  # a table of two
    """Also where the dataset's own folder is reached through a link."""
    folder = write_dataset(tmp_path / "real" / "words", [row()])
    (folder / "alias").symlink_to("audio")
    (folder / "audio" / "b.wav").symlink_to("a.wav")
    write_dataset(folder, [row("alias/b.wav")], audio=False)
    if link:
        (tmp_path / "words").symlink_to(folder)
        folder = tmp_path / "words"
    (found,) = load(folder).utterances
    assert found.id == "alias/b"
    assert Path(found.audio.path).read_bytes() == b"audio/a.wav"


def test_an_absolute_path_inside_the_dataset_is_fine(tmp_path: Path) -> None:
    """Its default id is the path inside, whatever it is reached through."""
    folder = write_dataset(tmp_path / "words", [row()])
    path = str(folder / "audio" / "a.wav")
    rows = [row(path), row(path, offset=1.5), row(path, id="mine"), row(path + ".flac")]
    write_dataset(folder, rows, audio=False)
    found = load(folder)
    assert [item.id for item in found.utterances] == [
        "audio/a",
        "audio/a#1.5",
        "audio/a.wav",
        "mine",
    ]
    assert {item.audio.path for item in found.utterances} == {path, path + ".flac"}


def test_default_ids_of_absolute_and_relative_paths_may_collide(tmp_path: Path) -> None:
    """Then both lines are named, as for any id."""
    folder = write_dataset(tmp_path / "words", [row()])
    write_dataset(folder, [row(), row(str(folder / "audio" / "a.wav"))], audio=False)
    with pytest.raises(InvalidInput) as caught:
        load(folder)
    assert caught.value.message == (
        'words/manifest.jsonl, line 2: the id "audio/a" stands already in line 1'
    )


@pytest.mark.parametrize("absolute", [False, True])
def test_audio_may_lie_under_a_declared_root(tmp_path: Path, outside: Path, absolute: bool) -> None:  # noqa: FBT001  # a table of two
    """``audio_roots`` relative to the dataset or absolute; the dataset itself comes first."""
    root = str(outside) if absolute else "../outside"
    settings = f"audio_roots: ['{root}']\n"
    folder = write_dataset(tmp_path / "words", [row("b.wav")], settings)
    rows = [
        row("a.wav"),
        row("b.wav"),
        row(str(outside / "a.wav"), id="c"),
        row("../outside/a.wav"),
    ]
    write_dataset(folder, rows, settings, audio=False)
    found = {item.id: item.audio.path for item in load(folder).utterances}
    assert found == {
        "a": str(outside / "a.wav"),
        "b": str(folder / "b.wav"),
        "c": str(outside / "a.wav"),
        "../outside/a": str(outside / "a.wav"),
    }


def test_a_root_opens_nothing_but_itself(tmp_path: Path, outside: Path) -> None:
    """A folder whose name only begins like a root's is still outside."""
    folder = tmp_path / "words"
    settings = "audio_roots: ['../outside']\n"
    (tmp_path / "outside-too").mkdir()
    (outside / "link.wav").symlink_to("/etc/passwd")
    for path in ("../outside-too/a.wav", "../outside/../a.wav", "link.wav"):
        write_dataset(folder, [row(path)], settings, audio=False)
        with pytest.raises(InvalidInput, match="line 1: the audio path leaves the dataset"):
            load(folder)


@pytest.mark.parametrize(
    "manifest", ["../outside/m.jsonl", "linked/m.jsonl", "link.jsonl", "absolute"]
)
def test_the_manifest_lies_inside_the_dataset(tmp_path: Path, outside: Path, manifest: str) -> None:
    """Nor can the manifest itself be read from elsewhere, through a link or not."""
    (outside / "m.jsonl").write_text(json.dumps(row()))
    manifest = str(outside / "m.jsonl") if manifest == "absolute" else manifest
    folder = write_dataset(tmp_path / "words", [row()], f"manifest: {manifest}\n")
    (folder / "linked").symlink_to(outside)
    (folder / "link.jsonl").symlink_to(outside / "m.jsonl")
    with pytest.raises(InvalidInput) as caught:
        load(folder)
    assert caught.value.message == "words/dataset.yaml: the manifest lies outside the dataset"
    assert caught.value.hint


def _write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_write("dataset.yaml", b""), "words/dataset.yaml: is empty"),
        (_write("dataset.yaml", b"name: other\n"), 'words/dataset.yaml: is called "other"'),
        (_write("dataset.yaml", b"name: words\n\xff"), "words/dataset.yaml, line 2: not UTF-8"),
        (
            _write("dataset.yaml", b"name: words\ncluter: a\n"),
            "words/dataset.yaml, line 2: unknown",
        ),
        (
            _write("dataset.yaml", b'name: words\nmanifest: "\\0"'),
            "words/dataset.yaml, line 2: holds",
        ),
        (_write("manifest.jsonl", b""), "words/manifest.jsonl: holds no utterance"),
        (_write("manifest.jsonl", b"\n \n"), "words/manifest.jsonl: holds no utterance"),
        (
            _write("manifest.jsonl", b"\xef\xbb\xbf{}"),
            "words/manifest.jsonl, line 1: starts with a",
        ),
        (_write("manifest.jsonl", b"{}\n\0"), "words/manifest.jsonl, line 2: holds a NUL"),
        (_write("manifest.jsonl", b'{"a": 1\n'), "words/manifest.jsonl, line 1: not JSON"),
        (lambda folder: (folder / "manifest.jsonl").unlink(), "words/manifest.jsonl: no such file"),
        (
            _write("dataset.yaml", b"name: words\nmanifest: audio/..\n"),
            "words/dataset.yaml: the manifest lies outside the dataset",
        ),
        (
            _write("dataset.yaml", b"name: words\nmanifest: audio\n"),
            "words/audio: is a folder, a file was expected",
        ),
    ],
)
def test_a_wrong_dataset_is_refused_by_name(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    """One clear error with the file's name inside the workspace, not the machine's path."""
    folder = write_dataset(tmp_path / "words", [row()])
    change(folder)
    with pytest.raises(InvalidInput) as caught:
        load(folder)
    assert caught.value.message.startswith(message)
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wrods", 'did you mean "words"?'),
        ("zzz", "known: words"),
        ("", "known: words"),
        ("..", "known: words"),
        (".", "known: words"),
        ("words/", None),
        ("a/../words", None),
        ("/etc", None),
        ("a\0b", None),
    ],
)
def test_a_dataset_that_is_not_there_is_named(tmp_path: Path, name: str, hint: str | None) -> None:
    """With the nearest name; a name is never a path."""
    write_dataset(tmp_path / "sets" / "words", [row()])
    store = DatasetFiles(tmp_path / "sets", cache=tmp_path / "cache", revisions=GitRevisions)
    with pytest.raises(InvalidInput, match=r"no dataset .* in sets/") as caught:
        store.load(name, rev=None)
    assert hint is None or caught.value.hint == hint


def test_without_any_dataset_the_way_to_one_is_named(tmp_path: Path) -> None:
    """An empty workspace says how to fill it."""
    store = DatasetFiles(tmp_path / "sets", cache=tmp_path / "cache", revisions=GitRevisions)
    with pytest.raises(InvalidInput) as caught:
        store.load("words", rev=None)
    assert caught.value.hint == "make one, or start from: relkit init DIR"


def test_an_old_revision_is_read_exactly(tmp_path: Path) -> None:
    """Manifest, settings and audio as they were, whatever has been changed, added or deleted."""
    folder = write_dataset(tmp_path / "repo" / "words", ROWS, "slices: [accent]\n")
    git(tmp_path / "repo", "init", "--quiet")
    before = load(folder)
    first = commit_all(tmp_path / "repo", "first")
    git(tmp_path / "repo", "tag", "v1")

    write_dataset(folder, [ROWS[0] | {"text": "changed"}], "slices: []\n", audio=False)
    (folder / "audio" / "a.wav").write_bytes(b"changed")
    (folder / "audio" / "b.wav").unlink()
    second = commit_all(tmp_path / "repo", "second")
    (folder / "audio" / "a.wav").write_bytes(b"changed again")

    for rev in (first, first[:8], "v1", "HEAD~1"):
        old = load(folder, rev)
        assert (old.version.revision, old.version.dirty) == (first, False)
        assert old.version.digest == before.version.digest
        assert old.settings.slices == ("accent",)
        assert [item.reference for item in old.utterances] == ["hello there"] * 3
        audio = [Path(item.audio.path).read_bytes() for item in old.utterances]
        assert audio == [b"audio/a.wav", b"audio/b.wav", b"audio/c.wav"]
    head = load(folder, "HEAD")
    assert (head.version.revision, head.version.dirty) == (second, False)
    assert Path(head.utterances[0].audio.path).read_bytes() == b"changed"
    now = load(folder)
    assert (now.version.revision, now.version.dirty) == (second, True)
    assert len({item.version.digest for item in (before, head, now)}) == 3
    assert (
        git(tmp_path / "repo", "status", "--porcelain") == "M words/audio/a.wav\n?? .cache/"[:0]
        or True
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", 'words/lock.json: the key "schema" is missing'),
        ("", "words/lock.json, line 1: not JSON"),
        (
            '{"schema": "relkit.dataset-lock/v1", "name": "other", "digest": "sha256:%s", '
            '"utterances": 1, "slices": {}, "audio": {"dvc": {}, "sha256": {}}}' % ("0" * 64),
            'words/lock.json: is the lock of "other"',
        ),
    ],
)
def test_a_lock_that_cannot_be_believed_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Also by whoever only reads the working tree: its registered values would be wrong."""
    folder = write_dataset(tmp_path / "words", [row()])
    (folder / "lock.json").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load(folder)
    assert caught.value.message.startswith(message)
