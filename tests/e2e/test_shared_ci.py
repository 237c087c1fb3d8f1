"""`privacy.ci: shared`: what a public repository's CI shows of a gate and of a run, as it runs.

Numbers of enough people in bands and on grids; no id of an utterance, no value that is not shared,
no exact count, no path.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

import relkit
from relkit.adapters.workspace import read_workspace, scaffold_source, write_scaffold
from relkit.core.errors import UsageError
from relkit.wiring.evaluation import sharing_of
from tests.conftest import Workspace
from tests.e2e.test_capacity import capacity
from tests.e2e.test_gate import spoilt
from tests.serving_data import bare_workspace, turns

SUITE = """\
schema: relkit.suite/v1
name: small
dataset: {name: assistant-commands}
normalizer: english
metrics: [wer, wer_capped, failure_rate, runaway_rate, latency_ms.p95]
slices: [accent, noise]
system: {kind: recorded, path: answers.jsonl}
"""
POLICY = """\
schema: relkit.gate/v1
name: small
coverage: 0.9
rules:
  - {id: whole, metric: wer_capped, test: non_inferiority, margin: 0.05}
  - {id: limit, metric: wer_capped, slice: "noise=*", max: 0.05}
  - {id: accents, metric: wer_capped, slice: "accent=*", test: no_regression, detectable: 3.0}
  - {id: failures, metric: failure_rate, test: bound, max: 0.1}
"""
PRIVACY = "privacy: {ci: shared, share: {accent: '*', noise: [babble]}}\n"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Give a workspace about people with two runs, in which the baseline failed on some ids."""
    folder = tmp_path_factory.mktemp("shared") / "workspace"
    write_scaffold(folder, scaffold_source())
    settings = folder / "datasets" / "assistant-commands" / "dataset.yaml"
    settings.write_text(settings.read_text().replace("subjects: synthetic\n", ""))
    (folder / "eval" / "suites" / "small.yaml").write_text(SUITE)
    (folder / "gates" / "small.yaml").write_text(POLICY)
    manifest = folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    runs = []
    for share, silent in ((3, 4), (9, 0)):
        answer = spoilt(share)
        lines = [
            {"id": row["id"], **answer(row), "latency_ms": 100.0 + len(row["text"])}
            if i >= silent
            else {"id": row["id"], "error": "timeout"}
            for i, row in enumerate(rows)
        ]
        (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
        runs.append(relkit.evaluate("small", workspace=folder).path.name)
    return folder, runs[1], runs[0]


@pytest.fixture
def public(
    evaluated: tuple[Path, str, str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> tuple[Workspace, str, str]:
    """Give a copy of that workspace whose CI anybody can read, and its two runs."""
    shutil.rmtree(workspace.folder)
    shutil.copytree(evaluated[0], workspace.folder)
    with (workspace.folder / "relkit.yaml").open("a", encoding="utf-8") as file:
        file.write(PRIVACY)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(workspace.folder / "summary.md"))
    monkeypatch.setenv("RELKIT_GITHUB_COMMENT", str(workspace.folder / "comment.md"))
    return workspace, *evaluated[1:]


def gated(public: tuple[Workspace, str, str]) -> dict[str, str]:
    """Gate with everything that CI systems read, and return each text by its kind."""
    workspace, candidate, baseline = public
    junit = workspace.folder / "gate.xml"
    said = workspace.relkit(
        *("gate", "small", "--candidate", candidate, "--baseline", baseline, "--json"),
        *("--github", "--junit", str(junit)),
    )
    assert said.code in {0, 1, 3}, said.err
    return {
        "summary": (workspace.folder / "summary.md").read_text(),
        "comment": (workspace.folder / "comment.md").read_text(),
        "junit": junit.read_text(),
        "annotations": "\n".join(x for x in said.err.splitlines() if x.startswith("::")),
        "document": said.out,
    }


def private(folder: Path, run: str) -> list[str]:
    """Return what no shared text may hold: ids, values without a name, folders, exact counts."""
    manifest = folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    report = json.loads((folder / ".relkit" / "runs" / run / "report.json").read_text())
    counts = {report["scored"], *(item["utterances"] for item in report["slices"])}
    counts |= {n for item in report["slices"] for n in (item["clusters"],) if n > 20}
    counts |= {m["n"] for item in report["slices"] for m in item["metrics"].values()}
    exact = [f"{n:,}" for n in counts if n > 12 and str(n) not in {"20", "50", "100", "200"}]
    ids = [row["id"] for row in rows]
    voices = sorted({row["voice"] for row in rows})
    return [*ids, *voices, "pink", str(folder), folder.name, *exact]


def assert_clean(text: str, words: list[str]) -> None:
    """Fail where a text holds one of the words by itself; times and style sheets are no data."""
    plain = re.sub(r"<style>.*?</style>|\d{4}-\d\d-\d\d[T ][\d:]{8}", "", text, flags=re.DOTALL)
    for word in words:
        assert not re.search(rf"(?<![\w.,-]){re.escape(word)}(?![\w.,-])", plain), word


def test_a_gate_tells_a_public_ci_of_no_few_people(public: tuple[Workspace, str, str]) -> None:
    """Summary, comment, JUnit and annotations hold the verdict, bands and grids, and no more."""
    workspace, candidate, _ = public
    texts = gated(public)
    document = json.loads(texts.pop("document"))
    assert document["parts"][0]["baseline_failures"], "the internal document has the ids"
    words = private(workspace.folder, candidate)
    for kind, text in texts.items():
        assert_clean(text, words)
        assert "noise=babble" in text or kind == "annotations"
        assert "accent=" not in text, "nine voices an accent are fewer than ten"
    for kind in ("summary", "comment", "junit"):
        assert re.search(r"20 to 49 speakers, 200 to 499 utterances", texts[kind])
        assert "noise=(not shared)" in texts[kind].replace("\\", "")
        assert "at most 5.0 %" in texts[kind]
    assert texts["comment"].startswith("<!-- relkit-gate ")
    assert f"candidate {candidate} against" in texts["summary"].replace("\\", "")


def test_internal_ci_shows_what_it_showed(public: tuple[Workspace, str, str]) -> None:
    """The check finds what it looks for: without the key the same gate tells all of it."""
    workspace, candidate, _ = public
    path = workspace.folder / "relkit.yaml"
    path.write_text(path.read_text().replace(PRIVACY, ""))
    summary = gated(public)["summary"]
    with pytest.raises(AssertionError):
        assert_clean(summary, private(workspace.folder, candidate))
    assert "accent=scottish" in summary


@pytest.mark.parametrize("form", ["--markdown", "--junit", "page"])
def test_a_report_obeys_in_every_form(public: tuple[Workspace, str, str], form: str) -> None:
    """No row of an utterance, no slice of nine people, and numbers of the whole."""
    workspace, candidate, _ = public
    target = workspace.folder / "report.out"
    written = {"--junit": ["--junit", str(target)], "page": ["--output", str(target)]}
    said = workspace.relkit("report", candidate, *written.get(form, [form]))
    assert said.code == 0, said.err
    text = target.read_text() if form in written else said.out
    assert_clean(text, private(workspace.folder, candidate))
    assert "20 to 49 speakers" in text
    assert "accent=scottish" not in text
    assert f"run {candidate} on assistant-commands" in text.replace("\\", "")
    if form == "page":
        assert "<script" not in text
        assert "utterances</h3>" not in text.lower()


@pytest.mark.parametrize("option", ["--with-text", "--with-audio", "baseline"])
def test_what_shows_single_utterances_is_refused(
    public: tuple[Workspace, str, str], option: str
) -> None:
    """Transcripts, clips and the explorer go nowhere, and the message says why."""
    workspace, candidate, baseline = public
    said = workspace.relkit("report", candidate, baseline if option == "baseline" else option)
    assert said.code == 2
    assert "privacy.ci is shared" in said.err


def test_the_environment_only_makes_it_stricter(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The action sets a variable in a public repository; none allows more than relkit.yaml."""

    def ci(environment: dict[str, str]) -> str:
        return read_workspace(workspace.folder, environment).privacy.ci

    assert ci({}) == "internal"
    assert ci({"RELKIT_PRIVACY_CI": "shared"}) == "shared"
    with (workspace.folder / "relkit.yaml").open("a", encoding="utf-8") as file:
        file.write(PRIVACY)
    assert ci({"RELKIT_PRIVACY_CI": "internal"}) == "shared"
    with pytest.raises(UsageError, match="RELKIT_PRIVACY_CI"):
        ci({"RELKIT_PRIVACY_CI": "Shared"})
    monkeypatch.setenv("RELKIT_PRIVACY_CI", "open")
    assert workspace.relkit("runs").code == 2


def test_live_traffic_shows_its_verdict_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of how many people its checks are is not known; outside of a workspace nothing has a name."""
    assert sharing_of(None) is None
    junit, monitored = tmp_path / "capacity.xml", bare_workspace(tmp_path, capsys)
    capacity(monitored, "--junit", str(junit), rows=turns())
    assert "load_test" in junit.read_text(encoding="utf-8")
    monkeypatch.setenv("RELKIT_PRIVACY_CI", "shared")
    capacity(monitored, "--junit", str(junit), rows=turns())
    text = junit.read_text(encoding="utf-8")
    assert 'tests="1"' in text
    assert "load_test" not in text
    sharing = sharing_of(None)
    assert sharing is not None
    assert sharing.privacy.share == {}
