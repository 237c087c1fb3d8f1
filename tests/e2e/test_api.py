"""From Python: the same options and the same answers as the command line."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import relkit
from relkit.cli import canary, cost, documents, drift, evaluate, serving, slo
from relkit.cli import triage as triage_command
from relkit.core.errors import InvalidInput, UsageError
from tests.conftest import Workspace

RENAMED = {"common", "workspace", "progress"}

SPELLED = {"map_": "mapping", "format_": "format"}

OF_A_COMMAND = {"more", "junit", "github", "export", "merge", "plan", "turns_per_hour"}
"""What a command line alone has: further paths, what CI reads, and other jobs of the command."""


WRITTEN = {
    "triage": {"out", "packet", "sign"},
    "card": {"out", "strict"},
    "runbook": {"out"},
}
"""What a command writes, a file or a check, and a verb returns."""


@pytest.mark.parametrize(
    ("verb", "command"),
    [
        (relkit.evaluate, evaluate.evaluate),
        (relkit.rescore, evaluate.rescore),
        (relkit.compare, evaluate.compare),
        (relkit.canary, canary.canary),
        (relkit.drift, drift.drift),
        (relkit.cost, cost.cost),
        (relkit.slo, slo.slo),
        (relkit.health, serving.health),
        (relkit.capacity, serving.capacity),
        (relkit.triage, triage_command.triage),
        (relkit.card, documents.card),
        (relkit.runbook, documents.runbook),
    ],
)
def test_a_verb_takes_the_options_of_its_command(verb: Any, command: Any) -> None:  # noqa: ANN401  # any function
    """What can be said on the command line can be said from Python, by the same names."""
    ours = set(inspect.signature(verb).parameters) - RENAMED
    theirs = {SPELLED.get(name, name) for name in inspect.signature(command).parameters}
    theirs -= RENAMED | OF_A_COMMAND | WRITTEN.get(verb.__name__, set())
    assert ours == theirs


@pytest.mark.parametrize("name", relkit.__all__)
def test_a_package_of_the_same_name_hides_no_verb(name: str) -> None:
    """``relkit.gate`` is called before and after the package of that name was imported."""
    importlib.import_module("relkit.gate.types")
    importlib.import_module("relkit.canary.types")
    assert not inspect.ismodule(getattr(relkit, name))


def test_evaluate_gives_what_the_command_prints(workspace: Workspace) -> None:
    """The same suite gives the same slices both ways."""
    name = workspace.recorded(lambda row: {"text": row["text"].replace("a", "e")})
    printed = workspace.relkit("eval", name, "--json").document
    run = relkit.evaluate(name, workspace=workspace.folder)
    written = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
    assert written["slices"] == printed["slices"]
    overall = run.report.slices[0]
    assert overall.metrics["wer"].value == printed["slices"][0]["metrics"]["wer"]["value"]


def test_score_gives_what_the_command_prints(workspace: Workspace, tmp_path: Path) -> None:
    """The same texts give the same counts both ways."""
    references, hypotheses = ["Turn on", "the light", ""], ["turn of", "light", "what"]
    (tmp_path / "ref.txt").write_text("\n".join(references) + "\n", encoding="utf-8")
    (tmp_path / "hyp.txt").write_text("\n".join(hypotheses) + "\n", encoding="utf-8")
    files = ("--ref", str(tmp_path / "ref.txt"), "--hyp", str(tmp_path / "hyp.txt"))
    for normalizer in ("none", "english"):
        printed = workspace.relkit("score", *files, "--normalizer", normalizer, "--json").document
        result = relkit.score(references, hypotheses, normalizer=normalizer)
        assert (result.wer, result.cer) == (printed["wer"], printed["cer"])
        assert result.counts.insertions == printed["insertions"]


def test_a_failure_is_none() -> None:
    """A missing answer deletes all words; it is not an empty transcript."""
    result = relkit.score(["turn on the light"], [None])
    assert result.failures == 1
    assert result.counts.deletions == 4


def test_load_run_by_folder_or_by_id(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished run opens as frames, with one row per utterance and no text."""
    name = workspace.recorded(lambda row: {"text": row["text"]})
    workspace.relkit("eval", name)
    folder = workspace.runs[0]
    by_folder = relkit.load_run(folder)
    by_id = relkit.load_run(folder.name[:14], workspace=workspace.folder)
    monkeypatch.chdir(workspace.folder)
    assert relkit.load_run("@latest").report == by_folder.report == by_id.report
    frame = by_folder.to_pandas()
    assert len(frame) == by_folder.report.expected == by_folder.to_arrow().num_rows
    assert not {"reference", "hypothesis", "text"} & set(frame.columns)


def test_errors_are_the_ones_of_the_command_line(workspace: Workspace) -> None:
    """Nothing has to be parsed from a message."""
    with pytest.raises(UsageError, match="no suite"):
        relkit.evaluate("nope", workspace=workspace.folder)
    with pytest.raises(UsageError, match="unknown normalizer"):
        relkit.score(["a"], ["b"], normalizer="englsih")
    with pytest.raises(InvalidInput):
        relkit.score(["a"], [])
