"""`relkit gate` as a user runs it: runs on disk, a decision on disk, and an exit code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import relkit
from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.core.digests import sha256_bytes
from relkit.gate.types import Verdict
from tests.conftest import ROOT, Said, Workspace

POLICY = """\
schema: relkit.gate/v1
name: small
coverage: 0.9
rules:
  - {id: whole, metric: wer_capped, test: non_inferiority, margin: 0.05}
  - {id: accents, metric: wer_capped, slice: "accent=*", test: no_regression, detectable: 3.0}
  - {id: failures, metric: failure_rate, test: bound, max: 0.1}
"""
SUITE = """\
schema: relkit.suite/v1
name: small
dataset: {name: assistant-commands}
normalizer: english
metrics: [wer, wer_capped, failure_rate, runaway_rate]
slices: [accent]
system: {kind: recorded, path: answers.jsonl}
"""

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def spoilt(share: int, *, accent: str | None = None) -> Answer:
    """Return answers in which the last word of every ``share``-th utterance is wrong.

    With ``accent`` half of each utterance of that accent is wrong besides.
    """

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        words = str(row["text"]).split()
        if accent is not None and row.get("accent") == accent:
            return {"text": " ".join(["wrong" for _ in words[::2]] + words[len(words[::2]) :])}
        if words and sum(map(ord, row["audio_filepath"])) % share == 0:
            words[-1] = "wrong"
        return {"text": " ".join(words)}

    return answer


def write_answers(folder: Path, answer: Answer) -> None:
    """Write recorded answers, the suite that uses them, and a policy."""
    manifest = folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({"id": row["id"], **answer(row)}) for row in rows]
    (folder / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "eval" / "suites" / "small.yaml").write_text(SUITE, encoding="utf-8")
    (folder / "gates" / "small.yaml").write_text(POLICY, encoding="utf-8")


def answered(workspace: Workspace, answer: Answer) -> str:
    """Run the suite over recorded answers and return the run."""
    write_answers(workspace.folder, answer)
    said = workspace.relkit("eval", "small", "--json")
    assert said.code == 0, said.err
    run: str = said.document["run"]
    return run


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Give a workspace with a better candidate and its baseline: folder and the two runs."""
    folder = tmp_path_factory.mktemp("evaluated") / "workspace"
    write_scaffold(folder, scaffold_source())
    runs = []
    for share in (9, 3):
        write_answers(folder, spoilt(share))
        runs.append(relkit.evaluate("small", workspace=folder).path.name)
    return folder, runs[0], runs[1]


def gate(workspace: Workspace, candidate: str, baseline: str, *more: str) -> Said:
    """Run the gate with ``--json``."""
    return workspace.relkit(
        "gate", "small", "--candidate", candidate, "--baseline", baseline, "--json", *more
    )


def test_a_better_candidate_passes_and_its_decision_is_on_disk(workspace: Workspace) -> None:
    """Exit 0, a document, and a decision file that says the same."""
    baseline = answered(workspace, spoilt(3))
    candidate = answered(workspace, spoilt(9))
    said = gate(workspace, candidate, baseline)
    document = said.document
    assert (said.code, document["verdict"], document["reason_codes"]) == (0, "pass", [])
    assert document["decision_file"] == f".relkit/decisions/small-{candidate}.json"
    envelope = json.loads((workspace.folder / document["decision_file"]).read_text())
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert envelope["signatures"] == []
    assert {check["rule"] for check in document["checks"]} == {"whole", "accents", "failures"}
    assert document["parts"][0]["null_replay"]["replays"] == 2000


def test_a_slice_that_became_worse_blocks_although_the_whole_is_better(
    workspace: Workspace,
) -> None:
    """The average improves, one accent does not: exit 1, and the accent is named."""
    baseline = answered(workspace, spoilt(1))
    candidate = answered(workspace, spoilt(50, accent="scottish"))
    said = gate(workspace, candidate, baseline)
    failed = [check for check in said.document["checks"] if check["verdict"] == "fail"]
    whole = next(check for check in said.document["checks"] if check["rule"] == "whole")
    assert said.code == 1
    assert [(check["rule"], check["slice"]) for check in failed] == [("accents", "accent=scottish")]
    assert whole["observed"] < 0
    shown = workspace.relkit("gate", "small", "--candidate", candidate, "--baseline", baseline)
    assert "BLOCKED" in shown.out
    assert shown.out.index("accent=scottish") < shown.out.index("failures")


def test_serials_go_up_and_a_shadow_policy_leaves_with_0(workspace: Workspace) -> None:
    """Each decision names the one before; shadow shows the verdict and lets the pipeline go on."""
    baseline = answered(workspace, spoilt(9))
    candidate = answered(workspace, spoilt(1))
    first = gate(workspace, candidate, baseline)
    assert first.code == 1
    path = workspace.folder / "gates" / "small.yaml"
    path.write_text(POLICY + "enforcement: shadow\n", encoding="utf-8")
    second = gate(workspace, candidate, baseline)
    assert (second.code, second.document["verdict"]) == (0, "fail")
    assert not second.document["promotes"]
    assert (first.document["serial"], second.document["serial"]) == (1, 2)
    assert second.document["previous"] is not None


LOADED = """
import json, sys
from relkit.cli.boundary import run
code = run(json.loads(sys.argv[1]))
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def test_a_gate_loads_nothing_that_it_does_not_need(workspace: Workspace) -> None:
    """Trackers, frames and contract libraries cost seconds, and judge nothing."""
    baseline = answered(workspace, spoilt(3))
    candidate = answered(workspace, spoilt(9))
    arguments = ("gate", "small", "--candidate", candidate, "--baseline", baseline)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LOADED,
            json.dumps([*arguments, "--workspace", str(workspace.folder)]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    heavy = {"mlflow", "dvc", "great_expectations", "pandas", "scipy", "faster_whisper", "jinja2"}
    assert not heavy & set(modules)


def test_unpaired_runs_need_a_policy_that_says_so(workspace: Workspace) -> None:
    """A run that asked twice has rows without a partner: refused, unless `paired: false`."""
    baseline = answered(workspace, spoilt(3))
    answered(workspace, spoilt(9))
    candidate = workspace.relkit("eval", "small", "--repeat", "2", "--json").document["run"]
    path = workspace.folder / "gates" / "small.yaml"
    whole = "".join(line for line in POLICY.splitlines(keepends=True) if "accents" not in line)
    path.write_text(whole, encoding="utf-8")
    refused = gate(workspace, candidate, baseline)
    assert (refused.code, refused.document["reason_codes"]) == (2, ["unpaired", "not_comparable"])
    path.write_text(whole + "paired: false\n", encoding="utf-8")
    allowed = gate(workspace, candidate, baseline)
    assert (allowed.code, allowed.document["verdict"]) == (0, "pass"), allowed.out
    worse = next(one for one in allowed.document["checks"] if one["rule"] == "whole")
    assert worse["low"] < worse["observed"] < 0


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Change a file behind relkit's back."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def _same(_workspace: Workspace, candidate: str, _baseline: str) -> tuple[str, str]:
    return candidate, candidate


def _edited_report(workspace: Workspace, candidate: str, baseline: str) -> tuple[str, str]:
    report = workspace.folder / ".relkit" / "runs" / candidate / "report.json"
    edit(report, lambda text: text.replace('"failures": 0', '"failures": 1', 1))
    return candidate, baseline


def _edited_results(workspace: Workspace, candidate: str, baseline: str) -> tuple[str, str]:
    path = workspace.folder / ".relkit" / "runs" / baseline / "results.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    return candidate, baseline


def _nan_report(workspace: Workspace, candidate: str, baseline: str) -> tuple[str, str]:
    folder = workspace.folder / ".relkit" / "runs" / candidate
    edit(folder / "report.json", lambda text: text.replace('"coverage": 1.0', '"coverage": NaN'))
    return _with_digest(folder), baseline


def _nested_report(workspace: Workspace, candidate: str, baseline: str) -> tuple[str, str]:
    folder = workspace.folder / ".relkit" / "runs" / candidate
    deep = "[" * 5000 + "]" * 5000
    edit(
        folder / "report.json",
        lambda text: text.replace('"notes": [', f'"deep": {deep}, "notes": [', 1),
    )
    return _with_digest(folder), baseline


def _double_key(workspace: Workspace, candidate: str, baseline: str) -> tuple[str, str]:
    folder = workspace.folder / ".relkit" / "runs" / candidate
    edit(folder / "report.json", lambda text: text.replace("{", '{"run": "x",', 1))
    return _with_digest(folder), baseline


def _with_digest(folder: Path) -> str:
    """Write the digest of a damaged report into its run, as a careful forger would."""
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    outputs = document["outputs"]
    outputs["report.json"] = sha256_bytes((folder / "report.json").read_bytes())
    (folder / "run.json").write_text(json.dumps(document), encoding="utf-8")
    return folder.name


def _gone(workspace: Workspace, candidate: str, _baseline: str) -> tuple[str, str]:
    shutil.rmtree(workspace.folder / ".relkit" / "runs" / _baseline)
    return candidate, _baseline


def _no_results(workspace: Workspace, candidate: str, baseline: str) -> tuple[str, str]:
    (workspace.folder / ".relkit" / "runs" / candidate / "results.parquet").unlink()
    return candidate, baseline


def _policy(old: str, new: str) -> Callable[[Workspace, str, str], tuple[str, str]]:
    def change(workspace: Workspace, candidate: str, baseline: str) -> tuple[str, str]:
        edit(workspace.folder / "gates" / "small.yaml", lambda text: text.replace(old, new))
        return candidate, baseline

    return change


@pytest.mark.parametrize(
    ("damage", "code", "word"),
    [
        (_same, 2, "same_run"),
        (_edited_report, 2, "was changed after the run"),
        (_edited_results, 2, "was changed after the run"),
        (_nan_report, 2, "NaN"),
        (_nested_report, 2, "nested too deeply"),
        (_double_key, 2, "stands twice"),
        (_gone, 2, "names no run"),
        (_no_results, 4, "not_comparable"),
        (_policy("relkit.gate/v1", "relkit.gate/v9"), 2, "relkit.gate/v1"),
        (_policy("relkit.gate/v1", "relkit.suite/v1"), 2, "relkit.gate/v1"),
        (_policy("rules:", "rulez:"), 2, "rules"),
        (_policy("metric: failure_rate", "metric: failure_rte"), 2, "failure_rate"),
        (_policy("id: accents", "id: whole"), 2, "whole"),
        (_policy("margin: 0.05", "margin: -0.05"), 2, "line 5"),
        (_policy("margin: 0.05", "margin: .nan"), 2, "line 5"),
        (_policy('"accent=*"', '"acent=*"'), 2, "acent"),
        (_policy('"accent=*"', '"accent=welsh"'), 4, "slice_missing"),
        (_policy("max: 0.1}", "max: 0.1, mode: advisory}"), 0, "pass"),
        (_policy("test: bound, max: 0.1", "test: bound, max: 1"), 2, "never"),
        (_policy("coverage: 0.9", "max_age: 0s"), 2, "max_age"),
        (_policy("coverage: 0.9", "requires: [load-test]"), 4, "check_missing"),
        (_policy("coverage: 0.9", "anchor: nobody"), 2, "names no run"),
    ],
)
def test_what_is_damaged_never_promotes(
    evaluated: tuple[Path, str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Workspace, str, str], tuple[str, str]],
    code: int,
    word: str,
) -> None:
    """Each damage to runs or policy has its exit code, and says what is wrong."""
    source, *runs = evaluated
    # A gate reads runs and policies, never the recordings.
    shutil.copytree(source, tmp_path / "copy", ignore=shutil.ignore_patterns("audio"))
    workspace = Workspace(folder=tmp_path / "copy", capture=capsys)
    candidate, baseline = damage(workspace, runs[0], runs[1])
    said = gate(workspace, candidate, baseline)
    assert said.code == code, said.out + said.err
    assert word in said.out
    assert "Traceback" not in said.err


def test_a_decision_that_cannot_be_written_is_no_pass(workspace: Workspace) -> None:
    """The file comes before the exit code: without it there is no 0."""
    baseline = answered(workspace, spoilt(3))
    candidate = answered(workspace, spoilt(9))
    (workspace.folder / "taken").mkdir()
    said = gate(workspace, candidate, baseline, "--decision", str(workspace.folder / "taken"))
    assert said.code != 0
    assert "error" in said.document


def test_from_python_the_decision_is_the_same(workspace: Workspace) -> None:
    """`relkit.gate` and `relkit.compare` answer as the commands do."""
    baseline = answered(workspace, spoilt(3))
    candidate = answered(workspace, spoilt(9))
    printed = gate(workspace, candidate, baseline).document
    decision = relkit.gate(
        "small", candidate=candidate, baseline=baseline, workspace=workspace.folder
    )
    assert decision.verdict is Verdict(printed["verdict"])
    assert [item.observed for item in decision.results] == [
        check["observed"] for check in printed["checks"]
    ]
    found = relkit.compare(baseline, candidate, workspace=workspace.folder)
    shown = workspace.relkit("compare", baseline, candidate, "--json").document
    assert [item.slice for item in found.slices] == [item["slice"] for item in shown["slices"]]


def test_the_policies_of_the_project_are_read_and_plan_the_demo(workspace: Workspace) -> None:
    """What ships is valid: each policy plans, or is a launch whose parts do."""
    for path in sorted((ROOT / "gates").glob("*.yaml")):
        suite = {"asr-promotion": "demo", "tts-promotion": "speech"}.get(path.stem)
        if suite is None:
            continue
        said = workspace.relkit(
            "gate", path.stem, "--plan", "--dataset", "assistant-commands", "--suite", suite
        )
        assert said.code == 0, said.err
        assert "decides" in said.out


def test_an_override_is_printed_in_every_later_report(workspace: Workspace) -> None:
    """Page, Markdown, summary and document name author, reason and ticket of the exception."""
    baseline = answered(workspace, spoilt(50))
    candidate = answered(workspace, spoilt(1))
    assert workspace.relkit("doctor", "--make-key", str(workspace.folder / "keys")).code == 0
    settings = "schema: relkit.workspace/v1\nname: w\nsigning: {keys: [keys/relkit.pub]}\n"
    (workspace.folder / "relkit.yaml").write_text(settings, encoding="utf-8")
    key = str(workspace.folder / "keys" / "relkit.key")
    blocked = gate(workspace, candidate, baseline, "--sign", key)
    assert blocked.code == 1
    decision = str(workspace.folder / blocked.document["decision_file"])
    said = ("--by", "A. Lee", "--reason", "only the last word", "--ticket", "REL-7")
    done = workspace.relkit("override", decision, *said, "--sign", key)
    assert done.code == 0, done.err
    page = workspace.folder / "page.html"
    assert workspace.relkit("report", candidate, "--output", str(page)).code == 0
    shown = (
        page.read_text(encoding="utf-8"),
        workspace.relkit("report", candidate, "--markdown").out,
        workspace.relkit("gate", "small", "--candidate", candidate, "--baseline", baseline).out,
    )
    for text in shown:
        assert all(word in text for word in ("A. Lee", "REL", "only the last word"))
    (override,) = gate(workspace, candidate, baseline).document["overrides"]
    assert (override["by"], override["ticket"]) == ("A. Lee", "REL-7")
    assert gate(workspace, candidate, baseline).code == 1


def test_a_decision_on_prompts_that_are_shared_says_so_and_verifies(workspace: Workspace) -> None:
    """Each text of the bundled dataset has two voices: the decision is clustered by both ways."""
    baseline = answered(workspace, spoilt(3))
    candidate = answered(workspace, spoilt(4))
    document = gate(workspace, candidate, baseline).document
    part = document["parts"][0]
    assert (part["cluster"], part["shared_prompts"]) == ("voice", 144)
    notes = workspace.relkit("report", candidate, "--json").document["notes"]
    assert "clustered by voice and prompt: 44 voices, 144 shared prompts" in notes
    path = str(workspace.folder / document["decision_file"])
    judged = workspace.relkit("verify", path, "--allow-unsigned", "--json").document
    assert (judged["problems"], judged["believed"]) == ([], [])
    compared = workspace.relkit("compare", baseline, candidate)
    assert "clustered by voice and prompt: 144 shared prompts" in compared.out


@pytest.mark.parametrize(
    ("chosen", "crossed", "prompts", "words"),
    [
        ("[voice, text]", "text", 144, "clustered by voice and text: 44 voices, 144 shared values"),
        ("[voice, intent]", "intent", 8, "clustered by voice and intent: 44 voices, 8 shared"),
        ("[voice]", "(none)", 0, "clustered by voice alone, as chosen: numbers hold for the texts"),
    ],
)
def test_the_second_way_of_clusters_can_be_chosen(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    crossed: str,
    prompts: int,
    words: str,
) -> None:
    """Another column, the texts or none: the decision says which, and verifies."""
    monkeypatch.setitem(globals(), "SUITE", f"{SUITE}cluster: {chosen}\n")
    baseline = answered(workspace, spoilt(3))
    candidate = answered(workspace, spoilt(4))
    document = gate(workspace, candidate, baseline).document
    part = document["parts"][0]
    assert (part["cluster"], part["crossed"], part["shared_prompts"]) == ("voice", crossed, prompts)
    assert words in " ".join(workspace.relkit("report", candidate, "--json").document["notes"])
    path = str(workspace.folder / document["decision_file"])
    judged = workspace.relkit("verify", path, "--allow-unsigned", "--json").document
    assert (judged["problems"], judged["believed"]) == ([], [])


def test_a_closed_set_is_judged_over_its_utterances_and_says_so(workspace: Workspace) -> None:
    """A fleet of voices: the decision says that it is about these, and can be verified."""
    limited = POLICY + "  - {id: limit, metric: wer_capped, max: 0.5}\n"
    limited += '  - {id: accent, metric: wer_capped, slice: "accent=scottish", max: 0.9}\n'
    run = answered(workspace, spoilt(9))
    baseline = answered(workspace, spoilt(3))
    path = workspace.folder / "gates" / "small.yaml"
    path.write_text(limited, encoding="utf-8")
    sampled = gate(workspace, run, baseline).document
    path.write_text(limited + "population: these_clusters\n", encoding="utf-8")
    closed = gate(workspace, run, baseline).document
    clusters = [
        {check["rule"]: check["clusters"] for check in document["checks"]}["limit"]
        for document in (sampled, closed)
    ]
    assert clusters == [36, 288]
    assert "population" not in sampled["parts"][0]
    assert closed["parts"][0]["population"] == "these_clusters"
    alone = "it speaks of these 44 voices alone"
    assert alone in closed["parts"][0]["warnings"][0]
    said = workspace.relkit("gate", "small", "--candidate", run, "--baseline", baseline)
    assert alone in " ".join(said.out.split())
    file = str(workspace.folder / closed["decision_file"])
    judged = workspace.relkit("verify", file, "--allow-unsigned", "--json")
    assert (judged.document["problems"], judged.document["believed"]) == ([], [])
    plan = workspace.relkit("gate", "small", "--plan", "--suite", "small", "--json").document
    assert plan["cluster"] == "utterance"
