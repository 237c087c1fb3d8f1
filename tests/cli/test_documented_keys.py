"""docs/cli.md and ``--json``: every document has the keys that the page lists, and no other."""

from typing import Any

import pytest

from tests.conftest import Workspace
from tests.documented import assert_keys, commands, keys

POLICY = """\
schema: relkit.gate/v1
name: own
rules:
  - {id: limit, metric: wer_capped, test: bound, max: 0.5}
  - {id: no-worse, metric: wer_capped, test: non_inferiority, margin: 0.5, mode: advisory}
"""
RELEASE = """\
schema: relkit.release/v1
model: asr
version: "{version}"
component: asr
owner: speech team
licence: Apache-2.0
run: {run}
artifact: {{root: {answers}}}
interface: {{sample_rate_hz: 16000, languages: [en]}}
"""


class Walk:
    """Goes from two runs to a rollback, and keeps what every command printed."""

    def __init__(self, workspace: Workspace) -> None:
        """Begin in a workspace that ``relkit init`` wrote."""
        self.workspace, self.documents = workspace, dict[str, dict[str, Any]]()

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run one command, whose document ``Workspace`` holds against the page."""
        document = self.workspace.relkit(*arguments, "--json").document
        assert "error" not in document, document["error"]
        name = " ".join(arguments[:2] if arguments[0] in ("dataset", "registry") else arguments[:1])
        self.documents[name] = document
        return document

    def released(self, version: str) -> dict[str, Any]:
        """Evaluate, gate, register and promote one release; returns the decision."""
        folder = self.workspace.folder
        answers = f"answers-{version}.jsonl"
        self.workspace.recorded(lambda row: {"text": row["text"]})
        (folder / "answers.jsonl").rename(folder / answers)
        voices = tuple(dict.fromkeys(row["voice"] for row in self.workspace.manifest()))
        suite = self.workspace.suite(f"{{kind: recorded, path: {answers}}}", "own", voices[:10])
        run = self.run("eval", suite)["run"]
        (folder / "gates" / "own.yaml").write_text(POLICY, encoding="utf-8")
        gated = self.run("gate", "own", "--candidate", run, "--decision", f"{version}.json")
        release = folder / f"{version}.yaml"
        release.write_text(
            RELEASE.format(version=version, run=run, answers=answers), encoding="utf-8"
        )
        self.run("registry", "register", str(release))
        self.run("registry", "promote", "asr", version, "--decision", f"{version}.json")
        return gated


@pytest.fixture
def walk(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Walk:
    """Give a walk whose relative paths start in the workspace."""
    monkeypatch.chdir(workspace.folder)
    return Walk(workspace)


def test_every_document_has_the_keys_of_the_page(walk: Walk) -> None:
    """From two evaluated releases over a signed decision to a rollback, and what is beside it."""
    walk.released("1.0.0")
    gated = walk.released("1.1.0")
    older, newer = (run.name for run in walk.workspace.runs)
    walk.run("rescore", newer, "--normalizer", "basic")
    walk.run("report", newer)
    walk.run("compare", older, newer)
    walk.run("gate", "own", "--plan", "--dataset", "assistant-commands")
    walk.run("dataset", "stats", "assistant-commands")
    walk.run("dataset", "candidates", newer)
    walk.run("doctor")
    walk.run("registry", "validate")
    walk.run("registry", "history", "asr")
    walk.run("registry", "verify")
    walk.run("bisect", "asr", "--metric", "wer")
    walk.run("verify", "1.1.0.json", "--allow-unsigned")
    rolled = walk.run("rollback", "asr", "--apply")
    walk.run("registry", "yank", "asr", "1.1.0", "--reason", "wrong labels")
    assert_keys("gate", "checks[]", gated["checks"][0])
    assert_keys("gate", "coverage", gated["coverage"])
    report = walk.documents["eval"]["slices"][0]
    assert_keys("eval", "slices[]", report)
    assert_keys("eval", "slices[].counts", report["counts"])
    assert_keys("eval", "slices[].metrics.wer", report["metrics"]["wer"])
    assert_keys("compare", "slices[]", walk.documents["compare"]["slices"][0])
    assert_keys("doctor", "checks[]", walk.documents["doctor"]["checks"][0])
    assert_keys("rollback", "refused[]", rolled["refused"][0])
    assert (rolled["target"], rolled["applied"]) == ("1.0.0", True)


def test_scored_text_has_the_keys_of_the_page(walk: Walk) -> None:
    """With and without the comparison with jiwer."""
    for name, text in (("r.txt", "one two\n"), ("h.txt", "one\n")):
        (walk.workspace.folder / name).write_text(text, encoding="utf-8")
    for more in ((), ("--against-jiwer",)):
        document = walk.run("score", "--ref", "r.txt", "--hyp", "h.txt", *more)
        assert_keys("score", "by_utterance[]", document["by_utterance"][0])
        assert ("against" in document) == bool(more)


def test_every_document_belongs_to_a_command() -> None:
    """The page lists keys of commands that it lists, and of each of them."""
    named = {name.partition(" --")[0] for name, _ in keys()} - {"any error", "error"}
    typed = {head.partition(" [")[0] for head in commands()}
    names = {" ".join(word for word in head.split() if word.islower()) for head in typed}
    assert named == names
