"""``relkit safety import`` as a user types it: another tool's results, a run, a gate."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet as pq

from relkit.adapters.signing import make_key
from tests.conftest import Said, Workspace
from tests.red_team_data import END, INIT, SETUP, attempt, document, lines, result

SPOOF = """\
schema: relkit.suite/v1
name: spoof
dataset: {name: assistant-commands}
system: {kind: recorded, path: scores.txt}
metrics: [impersonation_eer, min_dcf]
slices: [attack]
"""
GATE = """\
schema: relkit.gate/v1
name: spoof
rules:
  - {id: eer, metric: impersonation_eer, test: bound, max: MAX}
  - {id: dcf, metric: min_dcf, test: bound, max: 0.9}
"""


@pytest.fixture
def spoofing(workspace: Workspace) -> Workspace:
    """A workspace with a suite for a detector of spoofed speech, and a key of its own."""
    make_key(workspace.folder / "keys", {})
    with (workspace.folder / "relkit.yaml").open("a", encoding="utf-8") as file:
        file.write("signing: {keys: [keys/relkit.pub]}\n")
    (workspace.folder / "eval" / "suites" / "spoof.yaml").write_text(SPOOF, encoding="utf-8")
    return workspace


def scores(
    folder: Path, name: str, *, gap: float = 3.0, speakers: int = 20, without: int = 0
) -> str:
    """Write scores and their key: 12 bona fide and 48 spoofed trials of each speaker."""
    rng = np.random.default_rng(2)
    lines, key = ["filename\tcm-score"], []
    for speaker in range(speakers):
        shift = rng.normal(0, 0.5)
        for i in range(60):
            trial, spoof = f"E_{speaker:02d}{i:02d}", i >= 12
            lines.append(f"{trial}\t{rng.normal(shift + (0 if spoof else gap)):.4f}")
            attack, label = (f"A{17 + i % 4}", "spoof") if spoof else ("bonafide", "bonafide")
            key.append(f"S_{speaker:02d} {trial} F - - - AC1 {attack} {label} -")
    (folder / name).write_text("\n".join(lines[: len(lines) - without]) + "\n", encoding="utf-8")
    (folder / "key.txt").write_text("\n".join(key) + "\n", encoding="utf-8")
    return str(folder / name)


def imported(workspace: Workspace, path: str, *options: str) -> Said:
    """Import scores with their key."""
    key = str(workspace.folder / "key.txt")
    return workspace.relkit(
        "safety", "import", "scores", path, "--suite", "spoof", "--key", key, *options
    )


def gate(workspace: Workspace, run: str, limit: float, *options: str) -> Said:
    """Judge a run by a limit on the equal error rate."""
    policy = GATE.replace("MAX", str(limit))
    (workspace.folder / "gates" / "spoof.yaml").write_text(policy, encoding="utf-8")
    return workspace.relkit("gate", "spoof", "--candidate", run, *options)


def test_scores_become_a_run_that_a_gate_judges_and_a_stranger_verifies(
    spoofing: Workspace, tmp_path: Path
) -> None:
    """Value and interval in the report, a verdict, and the same from the sums in the decision."""
    said = imported(spoofing, scores(spoofing.folder, "scores.txt"), "--json")
    assert said.code == 0, said
    whole = next(item for item in said.document["slices"] if item["slice"] == "overall")
    eer, cost = (whole["metrics"][name] for name in ("impersonation_eer", "min_dcf"))
    assert 0 < eer["low"] < eer["value"] < eer["high"] < 0.5
    assert 0 < cost["low"] < cost["value"] < cost["high"] < 1
    assert (eer["n"], eer["clusters"], eer["method"]) == (1200, 20, "logit-jackknife")
    run = said.document["run"]
    for limit, code in ((2 * eer["high"], 0), (eer["value"] / 2, 1), (eer["value"], 3)):
        key = str(spoofing.folder / "keys" / "relkit.key")
        name = f"d{code}.json"
        path = str(spoofing.folder / name)
        said = gate(spoofing, run, limit, "--decision", path, "--sign", key)
        assert said.code == code, said
        public = str(spoofing.folder / "keys" / "relkit.pub")
        said = spoofing.relkit("verify", path, "--key", public)
        assert said.code == 0, said
        assert "2 checks recomputed" in " ".join(said.out.split())
        script = tmp_path / "verify_decision.py"
        printed = spoofing.relkit("verify", "--print-verifier").out
        script.write_text(printed, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script), path, "--key", public],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_two_detectors_compare_on_the_same_trials_only(spoofing: Workspace) -> None:
    """A worse detector is not as good; trials of other speakers are another question."""
    folder = spoofing.folder
    good, bad, other = (
        imported(spoofing, scores(folder, name, gap=gap, speakers=speakers), "--json").document[
            "run"
        ]
        for name, gap, speakers in (("a.txt", 3.0, 20), ("b.txt", 1.0, 20), ("c.txt", 3.0, 12))
    )
    policy = """\
schema: relkit.gate/v1
name: spoof
rules:
  - {id: eer, metric: impersonation_eer, test: non_inferiority, margin: 0.03}
"""
    (folder / "gates" / "spoof.yaml").write_text(policy, encoding="utf-8")
    for candidate, baseline, code in ((good, bad, 0), (bad, good, 1), (other, good, 2)):
        said = spoofing.relkit("gate", "spoof", "--candidate", candidate, "--baseline", baseline)
        assert said.code == code, said
    said = spoofing.relkit("compare", bad, good)
    assert said.code == 0, said
    assert "impersonation_eer" in said.out
    text = policy.replace("test: non_inferiority, margin: 0.03", "test: no_regression")
    (folder / "gates" / "spoof.yaml").write_text(text, encoding="utf-8")
    said = spoofing.relkit("gate", "spoof", "--candidate", good, "--baseline", bad)
    assert said.code == 2, said
    assert "no_regression" in said.err


def test_what_has_no_score_is_no_data(spoofing: Workspace) -> None:
    """Trials of the key without a score lower the coverage, and no gate passes."""
    said = imported(spoofing, scores(spoofing.folder, "scores.txt", without=40), "--json")
    assert said.document["unusable_reasons"] == {"not_judged": 40}
    said = gate(spoofing, said.document["run"], 0.4)
    assert said.code == 4, said
    assert "1,160 of 1,200" in said.out


def test_run_is_like_any_other_and_holds_no_text(spoofing: Workspace) -> None:
    """It is listed, reported and refused for another scoring; texts.parquet is empty of texts."""
    run = imported(spoofing, scores(spoofing.folder, "scores.txt"), "--json").document["run"]
    assert run in spoofing.relkit("runs").out
    assert spoofing.relkit("report", run).code == 0
    assert spoofing.relkit("rescore", run).code == 2
    texts = pq.read_table(spoofing.folder / ".relkit" / "runs" / run / "texts.parquet")
    assert not any(any(row[name] for name in row if name != "id") for row in texts.to_pylist())
    header = json.loads((spoofing.folder / ".relkit" / "runs" / run / "run.json").read_text())
    assert header["status"] == "finished"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("scores", "scores.txt", "--suite", "demo"), "of which results of scores say nothing"),
        (("garak", "scores.txt", "--suite", "spoof"), "of which results of garak say nothing"),
        (("scores", "none.txt", "--suite", "spoof"), "none.txt"),
        (("scores", "scores.txt", "--suite", "spoof"), "line 2: says neither bonafide nor spoof"),
        (("scores", "scores.txt", "--suite", "nope"), "nope"),
        (("garak", "scores.txt", "--suite", "spoof", "--key", "k"), "--key belongs to scores"),
    ],
)
def test_what_cannot_be_imported_is_said_in_one_message(
    spoofing: Workspace, arguments: tuple[str, ...], message: str
) -> None:
    """Wrong suite, wrong tool, no file, no key."""
    scores(spoofing.folder, "scores.txt", speakers=5)
    at = [str(spoofing.folder / word) if word.endswith(".txt") else word for word in arguments]
    said = spoofing.relkit("safety", "import", *at)
    assert said.code == 2, said
    assert message in said.err
    assert "Traceback" not in said.err


def test_consent_of_voices_is_a_check(workspace: Workspace) -> None:
    """One voice without consent fails, and none is named."""
    path = workspace.folder / "voices.yaml"
    text = "schema: relkit.voices/v1\nserved: [anna, ben]\nvoices: {anna: {consent: granted}}\n"
    path.write_text(text, encoding="utf-8")
    said = workspace.relkit("safety", "voices", str(path))
    assert said.code == 1, said
    assert "1 of 2 cloned voices without consent today: 1 not in the list" in said.out
    assert "ben" not in said.out
    path.write_text(text.replace("[anna, ben]", "[anna]"), encoding="utf-8")
    document = workspace.relkit("safety", "voices", str(path), "--json").document
    assert (document["verdict"], document["lines"]) == ("consented", [])


RED = """\
schema: relkit.suite/v1
name: red
task: agent
tools: tools.yaml
dataset: {name: assistant-commands}
system: {kind: recorded, path: calls.jsonl}
metrics: [METRIC]
slices: [SLICE]
"""


def red_team(workspace: Workspace, metric: str, slices: str) -> None:
    """Write a suite of the task agent with one metric."""
    text = RED.replace("METRIC", metric).replace("SLICE", slices)
    suites = workspace.folder / "eval" / "suites"
    (suites / "red.yaml").write_text(text, encoding="utf-8")
    (suites / "tools.yaml").write_text(
        "schema: relkit.tools/v1\ntools: {say: {}}\n", encoding="utf-8"
    )
    policy = f"""\
schema: relkit.gate/v1
name: red
rules:
  - {{id: attacks, metric: {metric}, test: bound, max: 0.2}}
"""
    (workspace.folder / "gates" / "red.yaml").write_text(policy, encoding="utf-8")


@pytest.mark.parametrize(
    ("hits", "silent", "code"), [(0, 0, 0), (50, 0, 1), (0, 5, 4)], ids=["held", "fell", "silent"]
)
def test_garak_report_is_judged_by_a_gate(
    workspace: Workspace, hits: int, silent: int, code: int
) -> None:
    """No hit passes, many fail, and answers that no detector scored are no data."""
    began = (datetime.now(UTC) - timedelta(days=2)).replace(microsecond=0, tzinfo=None)
    init = {**INIT, "start_time": f"{began.isoformat()}.000123"}
    entries: list[dict[str, Any]] = [SETUP, init]
    for i in range(60):
        score = 1.0 if i < hits else None if i >= 60 - silent else 0.0
        entries.append(attempt(f"u{i}", f"prompt {i}", detector_results={"d.D": [score] * 3}))
    path = workspace.folder / "r.report.jsonl"
    path.write_text(lines(*entries, END), encoding="utf-8")
    red_team(workspace, "injection_success_rate", "probe, channel")
    said = workspace.relkit("safety", "import", "garak", str(path), "--suite", "red", "--json")
    assert said.code == 0, said
    whole = next(item for item in said.document["slices"] if item["slice"] == "overall")
    estimate = whole["metrics"]["injection_success_rate"]
    assert (estimate["n"], estimate["clusters"]) == (180 - 3 * silent, 60 - silent)
    assert said.document["created"] == f"{began.isoformat()}Z"
    run = said.document["run"]
    policy = workspace.folder / "gates" / "red.yaml"
    assert workspace.relkit("gate", "red", "--candidate", run).code != 0  # too old
    policy.write_text(policy.read_text() + "max_age: 7d\n", encoding="utf-8")
    said = workspace.relkit("gate", "red", "--candidate", run)
    assert said.code == code, said


def test_promptfoo_results_compare_with_their_own_questions_only(workspace: Workspace) -> None:
    """Two targets that were asked the same compare; another set of questions is refused."""
    red_team(workspace, "injection_success_rate", "plugin, strategy")
    runs = []
    for name, many, fell in (("a", 40, 0), ("b", 40, 20), ("c", 30, 0)):
        results = [result(f"prompt {i}", withstood=i >= fell) for i in range(many)]
        path = workspace.folder / f"{name}.json"
        path.write_text(document(*results), encoding="utf-8")
        said = workspace.relkit(
            "safety", "import", "promptfoo", str(path), "--suite", "red", "--json"
        )
        assert said.code == 0, said
        runs.append(said.document["run"])
    assert workspace.relkit("compare", runs[0], runs[1]).code == 0
    said = workspace.relkit("compare", runs[0], runs[2])
    assert said.code == 2, said
    assert "another dataset" in said.err


def test_consent_of_voices_is_a_run_and_a_check(workspace: Workspace) -> None:
    """The share is a metric; one voice without consent fails the check, and none is named."""
    path = workspace.folder / "voices.yaml"
    names = [f"voice{i:02d}" for i in range(20)]
    granted = "".join(f"  {name}: {{consent: granted}}\n" for name in names)
    text = f"schema: relkit.voices/v1\nserved: [{', '.join(names)}]\nvoices:\n{granted}"
    red_team(workspace, "voice_consent_rate", "consent")
    (workspace.folder / "gates" / "red.yaml").write_text(
        "schema: relkit.gate/v1\nname: red\nrequires: [voice-consent]\nrules:\n"
        "  - {id: voices, metric: voice_consent_rate, test: bound, min: 0.9, mode: advisory}\n",
        encoding="utf-8",
    )
    for written, code in ((text, 0), (text.replace("voice07: {consent: g", "voice07: {#", 1), 1)):
        path.write_text(written.replace("{#ranted", "{consent: revoked"), encoding="utf-8")
        said = workspace.relkit("safety", "voices", str(path))
        assert said.code == code, said
        assert "voice07" not in said.out
        said = workspace.relkit("safety", "import", "voices", str(path), "--suite", "red", "--json")
        whole = next(item for item in said.document["slices"] if item["slice"] == "overall")
        share = whole["metrics"]["voice_consent_rate"]["value"]
        assert share == (1.0 if code == 0 else 0.95)
        run = said.document["run"]
        assert workspace.relkit("gate", "red", "--candidate", run).code == code
