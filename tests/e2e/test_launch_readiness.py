"""May a release launch: one policy over card, safety, canary, capacity and approvals, signed."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.signing import make_key
from relkit.adapters.workspace import SystemClock, scaffold_source, write_scaffold
from tests.conftest import Said, Workspace

SUITE = """\
schema: relkit.suite/v1
name: {name}
dataset: {{name: assistant-commands}}
normalizer: english
metrics: [wer_capped, wer, failure_rate, runaway_rate, latency_ms]
slices: [accent, noise]
system: {{kind: recorded, path: models/{name}.jsonl}}
"""
GATE = """\
schema: relkit.gate/v1
name: {name}
rules:
  - {{id: wer, metric: wer_capped, test: bound, max: 0.2}}
"""
RELEASE = """\
schema: relkit.release/v1
model: asr
version: "{version}"
component: asr
owner: speech team
licence: Apache-2.0
artifact: {{root: models/{name}.jsonl}}
run: {run}
serving_cost: {{amount: 0.004, currency: EUR, per: minute}}
"""
CANARY = """\
schema: relkit.canary/v1
name: rollout
model: asr
steps:
  - {share: 50%, min_duration: 1h, detectable: 10}
triggers:
  - {id: failures, rate: failed}
"""
STEPS = """\
concurrency,throughput,p95_ms,error_rate,duration_s
1,2,400,0,60
2,4,420,0,60
4,7.9,500,0.1%,60
8,15,700,0.002,60
"""
CARD = """\
schema: relkit.card/v1
intended_use: Short commands to a voice assistant in a room.
out_of_scope: [emergency calls]
limitations: [names of places]
training_data: {description: licensed calls, consent: granted, source: internal}
languages: [en]
base_model: none
contact: speech team
risks: [{risk: wrong number dialled, mitigation: the number is read back}]
fairness: {group: "accent=*", tolerance: 0.03}
"""
SIZING = """\
schema: relkit.capacity/v1
name: sizing
slo: {p95_ms: 1100, error_rate: 1%}
arrivals_per_hour: 3600
mean_call_s: 180
streams_per_replica: {rtf: 0.1, utilisation: 0.7}
ramp_per_s: 0.5
"""
BEGIN = datetime(2026, 11, 2, 8, tzinfo=UTC)
LAUNCH = ("gate", "launch-readiness")


class Desk:
    """A workspace with two runs of two releases, and a clock that the test moves."""

    def __init__(self, workspace: Workspace, at: list[str]) -> None:
        """Use a workspace and the time of its clock."""
        self.workspace, self._at = workspace, at
        self.runs: dict[str, str] = {}
        self.key = ""

    def at(self, hours: float) -> str:
        """Set the clock to so many hours after the beginning, and return the time."""
        self._at[0] = f"{BEGIN + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
        return self._at[0]

    def done(self, *arguments: str) -> Said:
        """Run a command that has to end well."""
        said = self.workspace.relkit(*arguments)
        assert said.code == 0, (arguments, said.err)
        return said

    def write(self, path: str, text: str) -> str:
        """Write a file of the workspace and return its path."""
        file = self.workspace.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return str(file)

    def launch(self, *more: str, tools: str | None = "careful") -> Said:
        """Ask whether the second release may launch, with a run of an agent or without one."""
        parts = [f"asr={self.runs['two']}"]
        parts += [] if tools is None else [f"tools={self.runs[tools]}"]
        candidates = [word for part in parts for word in ("--candidate", part)]
        return self.workspace.relkit(*LAUNCH, *candidates, "--sign", self.key, "--json", *more)


def codes(said: Said) -> dict[str, str]:
    """Return the code of each requirement by its name."""
    checks = said.document["checks"]
    return {check["rule"]: check["code"] for check in checks if check["test"] == "requirement"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Give the folder in which the first test makes its desk, and the runs in it."""
    return tmp_path_factory.mktemp("launch") / "workspace", {}


@pytest.fixture
def desk(
    built: tuple[Path, dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    """Give the first release live, the second in a canary of half the traffic, and two agents."""
    folder, runs = built
    at = [""]
    monkeypatch.setattr(SystemClock, "now", lambda _: at[0])
    if not runs:
        runs.update(make_desk(Desk(Workspace(folder=folder, capture=capsys), at)))
    shutil.copytree(folder, tmp_path / "workspace", symlinks=True)
    desk = Desk(Workspace(folder=tmp_path / "workspace", capture=capsys), at)
    desk.runs.update(runs)
    desk.key = str(next((desk.workspace.folder / "keys").glob("*.key")))
    return desk


def make_desk(desk: Desk) -> dict[str, str]:
    """Fill a new workspace by commands and return its runs."""
    folder = desk.workspace.folder
    write_scaffold(folder, scaffold_source())
    desk.at(0)
    _, public = make_key(folder / "keys", {})
    marker = folder / "relkit.yaml"
    keys = f"signing: {{keys: [{public.relative_to(folder)}]}}\n"
    keys += 'privacy: {share: {accent: "*", noise: "*"}}\n'
    marker.write_text(marker.read_text(encoding="utf-8") + keys, encoding="utf-8")
    desk.write("gates/asr-promotion.yaml", GATE.format(name="asr-promotion"))
    desk.write("gates/rollout.yaml", CANARY)
    desk.write("gates/sizing.yaml", SIZING)
    rows = desk.workspace.manifest()
    for version, name in (("1.0.0", "one"), ("2.0.0", "two")):
        answers = [
            {
                "id": row["id"],
                "text": row["text"] + " so" * (i % 10 == 0),
                "latency_ms": 200 + i % 97 + (name == "two"),
            }
            for i, row in enumerate(rows)
        ]
        desk.write(f"models/{name}.jsonl", "\n".join(map(json.dumps, answers)))
        desk.write(f"eval/suites/{name}.yaml", SUITE.format(name=name))
        desk.runs[name] = run = desk.done("eval", name, "--json").document["run"]
        release = desk.write(f"{version}.yaml", RELEASE.format(version=version, name=name, run=run))
        desk.done("registry", "register", release)
        decision = str(folder / f"{name}.decision.json")
        desk.done("gate", "asr-promotion", "--candidate", run, "--decision", decision)
        share = () if name == "one" else ("--canary", "50%")
        desk.done("registry", "promote", "asr", version, "--decision", decision, *share)
    for name in ("careful", "obedient"):
        system = ("--system", f"path=eval/answers/{name}.jsonl")
        desk.runs[name] = desk.done("eval", "voice-agent", *system, "--json").document["run"]
    return desk.runs


def without_agent(desk: Desk) -> None:
    """Delete the line that a team without an agent deletes."""
    policy = desk.workspace.folder / "gates" / "launch-readiness.yaml"
    lines = policy.read_text(encoding="utf-8").splitlines(keepends=True)
    policy.write_text("".join(line for line in lines if "tools: agent-safety" not in line))


def canary_turns(hours: int = 2, sessions: int = 2000) -> str:
    """Return turns of both arms, of which two in a hundred fail."""
    rows: list[dict[str, Any]] = []
    for number in range(sessions):
        at = BEGIN + timedelta(hours=hours * number / sessions)
        rows.append(
            {
                "ts": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "session": f"s{number}",
                "turn_id": f"t{number}",
                "release": "2.0.0" if number % 2 else "1.0.0",
                "ok": number % 97 > 1,
                "latency_ms": 300 + number % 50,
            }
        )
    return "\n".join(map(json.dumps, rows))


def make_records(desk: Desk) -> None:
    """Leave every record by the command that makes it, three hours after the beginning."""
    folder = desk.workspace.folder
    now = desk.at(3)
    turns = desk.write("turns.jsonl", canary_turns())
    desk.done("canary", "rollout", "--telemetry", turns, "--now", now)
    steps = desk.write("steps.csv", STEPS)
    desk.done("capacity", "sizing", "--load-test", steps, "--about", "asr@2.0.0", "--now", now)
    for name in ("safety-review", "release-approval"):
        candidate = ("--candidate", desk.runs["two"], "--by", "A. Lee")
        desk.done("approve", name, "--sign", desk.key, *candidate)
    desk.write("registry/releases/asr/2.0.0/card.yaml", CARD)
    desk.done("card", "asr@2.0.0", "--strict", "--out", str(folder / "card.md"))


def test_a_release_that_has_everything_is_ready(desk: Desk) -> None:
    """Every record is made by its command; the signed decision is the launch review's last line."""
    review = ("runbook", "launch-review", "asr@2.0.0")
    assert set(codes(desk.launch()).values()) == {"check_missing"}
    last = desk.done(*review).out.replace("\\", "").splitlines()[-1]
    assert last.startswith("Launch decision: not ready (the verdict is no_data); launch-readiness")
    make_records(desk)
    said = desk.launch()
    assert set(codes(said).values()) == {"check_passed"}, said.out
    assert (said.code, said.document["verdict"]) == (0, "pass")
    reasons = [c["reason"] for c in said.document["checks"] if c["test"] == "requirement"]
    assert len(reasons) == 5
    assert all(": pass by " in reason for reason in reasons)
    assert desk.done("verify", str(desk.workspace.folder / said.document["decision_file"]))
    last = desk.done(*review).out.replace("\\", "").splitlines()[-1]
    assert last.startswith("Launch decision: ready; launch-readiness: pass, decided at ")
    assert "signed by " in last
    assert all(reason in last for reason in reasons)
    assert f"asr: pass, by asr-promotion of {desk.runs['two']}; " in last
    assert f"tools: pass, by agent-safety of {desk.runs['careful']}; " in last
    about = desk.workspace.relkit("runbook", "launch-review", "asr@1.0.0").out
    assert about.endswith("Launch decision: not decided.\n")


def test_an_agent_that_obeys_or_that_nobody_attacked_is_never_ready(desk: Desk) -> None:
    """With all else in order; a team without an agent deletes a line, and is ready again."""
    make_records(desk)
    review = ("runbook", "launch-review", "asr@2.0.0")
    obeys = f"by agent-safety of {desk.runs['obedient']}"
    for tools, code, words in (
        ("obedient", 1, f"tools: fail, {obeys}; "),
        (None, 4, "tools: no_data, no run was given; "),
    ):
        said = desk.launch(tools=tools)
        assert said.code == code
        assert set(codes(said).values()) == {"check_passed"}
        last = desk.done(*review).out.replace("\\", "").splitlines()[-1]
        assert last.startswith("Launch decision: not ready (the verdict is ")
        assert words in last
        assert f"asr: pass, by asr-promotion of {desk.runs['two']}; " in last
    without_agent(desk)
    assert desk.launch(tools=None).document["verdict"] == "pass"
    assert "tools" not in desk.done(*review).out.splitlines()[-1]


def test_a_record_of_another_release_or_of_none_is_never_ready(desk: Desk) -> None:
    """The same records about the first release, or about nothing, are refused, each by its code."""
    make_records(desk)
    without_agent(desk)
    checks = desk.workspace.folder / ".relkit" / "checks"
    kept = checks.with_name("kept")
    shutil.copytree(checks, kept)
    record = json.loads((checks / "sizing.json").read_text())
    one = str(desk.workspace.folder / "registry" / "releases" / "asr" / "1.0.0" / "release.json")
    other = json.loads(Path(one).read_text())["artifact"]["digest"]
    changes: list[tuple[dict[str, Any], str, int]] = [
        ({"candidate": other}, "check_of_another", 2),
        ({"candidate": None}, "check_of_nothing", 2),
        ({"created": "2026-10-20T00:00:00Z"}, "check_stale", 4),
        ({"verdict": "fail"}, "check_not_passed", 1),
        ({"verdict": "inconclusive"}, "check_not_passed", 3),
        ({"verdict": "no_data"}, "check_not_passed", 4),
        ({"created": "2026-12-20T00:00:00Z"}, "check_from_the_future", 2),
    ]
    for name, some in (("card", changes), ("rollout", changes[:2]), ("sizing", changes[:2])):
        for change, code, ends in some:
            written = {k: v for k, v in ({**record, "name": name} | change).items() if v}
            (checks / f"{name}.json").write_text(json.dumps(written))
            said = desk.launch(tools=None)
            assert (said.code, codes(said)[name]) == (ends, code), change
        shutil.copy(kept / f"{name}.json", checks / f"{name}.json")
    unsigned = {**record, "name": "release-approval"}
    (checks / "release-approval.json").write_text(json.dumps(unsigned))
    assert codes(desk.launch(tools=None))["release-approval"] == "check_unsigned"
    candidate = ("--candidate", desk.runs["one"])
    desk.done("approve", "release-approval", "--sign", desk.key, *candidate)
    assert codes(desk.launch(tools=None))["release-approval"] == "check_of_another"
    desk.done("approve", "release-approval", "--sign", desk.key)
    assert codes(desk.launch(tools=None))["release-approval"] == "check_of_nothing"


def test_what_was_under_load_has_to_be_a_release(workspace: Workspace) -> None:
    """One message for what is no release, and for one that is not there."""
    (workspace.folder / "steps.csv").write_text(STEPS, encoding="utf-8")
    steps = ("--load-test", str(workspace.folder / "steps.csv"))
    for about, why in (("asr", '"asr" is no release'), ("asr@9", "no model")):
        said = workspace.relkit("capacity", "sizing", *steps, "--about", about)
        assert said.code == 2
        assert why in said.err


def test_telemetry_that_names_releases_has_to_name_the_one_under_load(desk: Desk) -> None:
    """Turns of another release say nothing of this one; those without the column are taken."""
    now = desk.at(3)
    turns = [json.loads(line) for line in canary_turns(sessions=200).splitlines()]
    others = [turn for turn in turns if turn["release"] == "1.0.0"]
    nameless = [{k: v for k, v in turn.items() if k != "release"} for turn in others]
    about = ("--about", "asr@2.0.0", "--now", now)
    looks = [
        desk.workspace.relkit(
            *("capacity", "sizing", "--telemetry"),
            desk.write(f"turns-{number}.jsonl", "\n".join(map(json.dumps, rows))),
            *about,
        )
        for number, rows in enumerate((others, turns, nameless))
    ]
    assert looks[0].code == 2
    assert "is of release 2.0.0: its column release has 1.0.0" in looks[0].err
    assert all(look.code != 2 for look in looks[1:]), [look.err for look in looks]
