"""Whose data it is: `subjects`, from dataset.yaml to lock, run, report and decision."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.files import parse_dataset
from tests.conftest import Workspace
from tests.e2e.test_gate import spoilt, write_answers

HEAD = "schema: relkit.dataset/v1\nname: words\n"


@pytest.mark.parametrize(
    ("line", "subjects"),
    [
        ("", "people"),
        ("subjects: people\n", "people"),
        ("subjects: public\n", "public"),
        ("subjects: synthetic\n", "synthetic"),
    ],
)
def test_data_is_of_people_unless_it_says_otherwise(line: str, subjects: str) -> None:
    """What says nothing is protected."""
    assert parse_dataset(HEAD + line, source="words/dataset.yaml").subjects == subjects


@pytest.mark.parametrize("value", ["nobody", "People", "[people]", "", "3"])
def test_another_word_is_refused_with_file_and_line(value: str) -> None:
    """A misspelt word is no reason to show more."""
    with pytest.raises(InvalidInput, match=r'words/dataset\.yaml.*line 3.*"subjects"'):
        parse_dataset(f"{HEAD}subjects: {value}\n", source="words/dataset.yaml")


def test_run_report_and_decision_say_whose_data_it_was(workspace: Workspace) -> None:
    """A shared document can say it from each of them; what says people needs no key."""
    folder = workspace.folder
    write_answers(folder, spoilt(9))
    first = workspace.relkit("eval", "small", "--json").document["run"]
    assert _of_run(folder, first) == ("synthetic", "synthetic")
    workspace.relkit("gate", "small", "--candidate", first)
    (decision,) = (folder / ".relkit" / "decisions").glob("small-*.json")
    payload = json.loads(b64decode(json.loads(decision.read_text())["payload"]))
    assert payload["predicate"]["parts"][0]["dataset"]["subjects"] == "synthetic"
    settings = folder / "datasets" / "assistant-commands" / "dataset.yaml"
    settings.write_text(settings.read_text().replace("subjects: synthetic\n", ""))
    second = workspace.relkit("eval", "small", "--json").document["run"]
    assert _of_run(folder, second) == (None, None)


def _of_run(folder: Path, run: str) -> tuple[str | None, ...]:
    files = (folder / ".relkit" / "runs" / run / name for name in ("run.json", "report.json"))
    return tuple(json.loads(path.read_text())["dataset"].get("subjects") for path in files)


def test_stats_show_it_and_a_lock_of_other_subjects_is_stale(workspace: Workspace) -> None:
    """Who takes people out of a dataset has to lock it again, where reviewers see it."""
    stats = workspace.relkit("dataset", "stats", "assistant-commands", "--json").document
    assert (stats["subjects"], stats["lock"]) == ("synthetic", "fresh")
    assert "subjects: synthetic" in workspace.relkit("dataset", "stats", "assistant-commands").out
    settings = workspace.folder / "datasets" / "assistant-commands" / "dataset.yaml"
    settings.write_text(settings.read_text().replace("synthetic", "public"))
    stats = workspace.relkit("dataset", "stats", "assistant-commands", "--json").document
    assert (stats["subjects"], stats["lock"]) == ("public", "stale")
