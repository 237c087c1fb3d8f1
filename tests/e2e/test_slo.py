"""``relkit slo`` as a user types it, with telemetry on disk and with real tools of Prometheus."""

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from relkit.core.wording import WIDTH
from tests.conftest import Workspace
from tests.documented import assert_keys
from tests.prometheus import Answer, StandIn

NOW = "2026-03-01T00:00:00Z"
END = datetime(2026, 3, 1, tzinfo=UTC)
SLO = """\
schema: relkit.slo/v1
name: turns-answered
objective: 99.5%
good:
  rate: failed
  prometheus: {bad: 'turns_total{outcome=~"failed|timeout"}', total: turns_total}
slices: [language]
"""
ONE_TURN = '{{"ts": "{}", "session": "a", "turn_id": 1, "ok": true, "language": "en"}}\n'
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (package prometheus)"
)


def write(workspace: Workspace, text: str = SLO, name: str = "turns-answered") -> None:
    """Write an objective into the workspace."""
    (workspace.folder / "gates" / f"{name}.yaml").write_text(text, encoding="utf-8")


def telemetry(folder: Path, failing: Callable[[int], bool], days: int = 4) -> str:
    """Write ten turns a minute; ``failing`` says of a minute before the end whether half fail."""
    path = folder / "turns.jsonl"
    with path.open("w") as file:
        for minute in range(days * 1440):
            at = f"{END - timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"
            for n in range(10):
                row = {
                    "ts": at,
                    "session": f"s{minute}",
                    "turn_id": n,
                    "ok": not (failing(minute) and n % 2),
                    "language": "sv" if n in {1, 3} else "en",
                    "release": "1.5.0",
                }
                file.write(json.dumps(row) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("failing", "verdict", "code"),
    [
        (lambda _: False, "none", 0),
        (lambda minute: minute < 60, "page", 1),
        (lambda minute: 40 <= minute < 100, "ticket", 1),
    ],
    ids=["quiet", "burning", "recovered"],
)
def test_the_verdict_is_the_exit_code(
    workspace: Workspace, failing: Callable[[int], bool], verdict: str, code: int
) -> None:
    """A page and a ticket exit 1, none exits 0, and the text fits a terminal."""
    write(workspace)
    path = telemetry(workspace.folder, failing)
    run = ("slo", "turns-answered", "--telemetry", path, "--now", NOW)
    reply = workspace.relkit(*run, "--json")
    assert (reply.document["verdict"], reply.code) == (verdict, code)
    for part in reply.document["windows"]:
        assert_keys("slo", "windows[]", part)
    shown = workspace.relkit(*run)
    lines = shown.out.splitlines()
    assert lines[0].startswith(verdict.upper())
    assert len(lines) <= 24
    assert max(map(len, lines)) <= WIDTH
    if verdict == "page":
        assert "spent by language: en 60.0 %, sv 40.0 %" in lines, shown.out
        assert reply.document["spent_by_slice"][0]["slice"] == "release=1.5.0"


@pytest.mark.parametrize(
    ("rows", "arguments", "code", "says"),
    [
        ("", (), 2, "says of no turn"),
        (ONE_TURN.format("2026-02-28T23:59:00Z"), (), 4, ""),
        (ONE_TURN.format("2026-02-28T23:59:00"), (), 4, ""),
        (ONE_TURN.format("2027-02-28T23:59:00Z"), (), 4, ""),
        ('{"ts": "2026-02-28T23:59:00Z", "sess', (), 2, "turns.jsonl"),
        ("x", ("--prometheus", "http://localhost:9090"), 2, "not both"),
        ("x", ("--now", "2026-03-01"), 2, "--now"),
        ("x", ("--export", "prometheus", "rules"), 2, "--export needs no source"),
    ],
    ids=["empty", "one turn", "naive", "future", "half a line", "two", "now", "export"],
)
def test_bad_input_is_never_none(
    workspace: Workspace, rows: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """Each has its exit code, and one message."""
    write(workspace)
    path = workspace.folder / "turns.jsonl"
    path.write_text(rows)
    now = () if "--now" in arguments or "--export" in arguments else ("--now", NOW)
    run = ("slo", "turns-answered", "--telemetry", str(path), *now, *arguments, "--json")
    reply = workspace.relkit(*run)
    assert reply.code == code
    if code == 2:
        assert says in reply.document["error"]["message"]
    else:
        assert reply.document["verdict"] == "no_data"
        assert reply.document["freeze"] is (rows.count("2026-02-28T23:59:00Z") == 0)


def test_shadow_shows_the_verdict_and_exits_0(workspace: Workspace) -> None:
    """A team can start before it trusts."""
    write(workspace, SLO + "enforcement: shadow\n")
    path = telemetry(workspace.folder, lambda minute: minute < 60)
    reply = workspace.relkit("slo", "turns-answered", "--telemetry", path, "--now", NOW)
    assert (reply.code, reply.out.split()[:2]) == (0, ["SHADOW", "PAGE"])


def test_a_gate_can_require_an_objective(workspace: Workspace) -> None:
    """What was seen is kept as a check; a spent budget fails it although no alert fires."""
    write(workspace)
    path = telemetry(workspace.folder, lambda minute: 3 * 1440 < minute < 3 * 1440 + 900)
    run = ("slo", "turns-answered", "--telemetry", path, "--now", NOW)
    reply = workspace.relkit(*run, "--json")
    assert (reply.code, reply.document["verdict"], reply.document["freeze"]) == (0, "none", True)
    check = workspace.folder / ".relkit" / "checks" / "turns-answered.json"
    assert json.loads(check.read_text("utf-8"))["verdict"] == "fail"


@pytest.mark.parametrize(
    ("failing", "fault", "verdict", "code"),
    [
        (0.0, "", "none", 0),
        (8.0, "", "page", 1),
        (math.nan, "", "no_data", 4),
        (0.0, "503", "", 5),
        (0.0, "close", "", 5),
        (0.0, "cut", "", 5),
        (0.0, "bad query", "", 2),
    ],
    ids=["quiet", "burning", "not a number", "busy", "silent", "cut off", "refused"],
)
def test_a_prometheus_server_is_asked(
    workspace: Workspace, failing: float, fault: str, verdict: str, code: int
) -> None:
    """Its counters decide as telemetry does; one that fails is exit 5 and shows no password."""
    write(workspace)
    end = int(END.timestamp())

    def series(query: str) -> list[Answer]:
        if query.startswith("max(timestamp("):
            return [({}, float)]
        bad: Answer = ({"outcome": "failed"}, lambda at: failing * max(0, at - end + 3600) / 60)
        good: Answer = ({"outcome": "ok"}, lambda at: 20.0 * (at - end + 40 * 86400) / 60)
        return [bad] if "failed" in query else [bad, good]

    with StandIn(series=series, always=fault) as server:
        url = server.url.replace("http://", "http://me:secret@")
        run = ("slo", "turns-answered", "--prometheus", url, "--now", NOW)
        reply, shown = workspace.relkit(*run, "--json"), workspace.relkit(*run)
    assert (reply.code, shown.code) == (code, code)
    assert reply.document.get("verdict", "") == verdict
    assert "secret" not in reply.out + reply.err + shown.out + shown.err


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False
    )


EVENTS = {
    "bad by label": SLO,
    "a histogram": """\
schema: relkit.slo/v1
name: turns-answered
objective: 99%
window: 28d
good: {prometheus: {histogram: 'turn_seconds{job="bot"}', below: 1}}
""",
    "good and total, alerts of its own": SLO.replace(
        "bad: 'turns_total{outcome=~\"failed|timeout\"}'", "good: 'a_ok'"
    )
    + """\
alerts:
  - {severity: page, budget: 3%, short: 10m, long: 1.5h}
  - {severity: ticket, budget: 20%, short: 1h, long: 2d}
""",
}


@needs_promtool
@pytest.mark.parametrize("text", EVENTS.values(), ids=list(EVENTS))
def test_promtool_accepts_the_rules_and_their_tests(workspace: Workspace, text: str) -> None:
    """A page, a ticket, a recovered hour, three calls at night, a restart and missing data."""
    write(workspace, text)
    folder = workspace.folder / "rules"
    reply = workspace.relkit("slo", "turns-answered", "--export", "prometheus", str(folder))
    assert (reply.code, len(reply.out.splitlines())) == (0, 3), reply
    rules = folder / "turns-answered.rules.yaml"
    tests = folder / "turns-answered.tests.yaml"
    checked = promtool("check", "rules", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", tests)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert len(yaml.safe_load(tests.read_text("utf-8"))["tests"]) == 7


@needs_promtool
@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        (">= 50", ">= 1", "three calls at night"),
        ("absent(", "vector(0) < 0 * absent(", "missing data"),
        ("ratio30m{", "ratio6h{", "an hour that recovered"),
        ("(increase(", "(delta(", "a restart of the counters hides no failures"),
    ],
)
def test_the_rule_tests_find_broken_rules(
    workspace: Workspace, old: str, new: str, fails: str
) -> None:
    """Each guard that is taken out of the rules fails a test that stands beside them."""
    write(workspace)
    folder = workspace.folder / "rules"
    workspace.relkit("slo", "turns-answered", "--export", "prometheus", str(folder))
    rules = folder / "turns-answered.rules.yaml"
    text = rules.read_text("utf-8")
    assert old in text
    rules.write_text(text.replace(old, new), encoding="utf-8")
    path = folder / "turns-answered.tests.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    document["tests"] = [test for test in document["tests"] if test["name"].startswith(fails)]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    tested = promtool("test", "rules", path)
    assert tested.returncode == 1
    assert fails in tested.stdout + tested.stderr


def test_the_dashboard_asks_for_what_the_rules_record(workspace: Workspace) -> None:
    """Its panels have places that do not overlap, and no name of a series that nothing writes."""
    write(workspace)
    folder = workspace.folder / "rules"
    workspace.relkit("slo", "turns-answered", "--export", "prometheus", str(folder))
    board = json.loads((folder / "turns-answered.dashboard.json").read_text("utf-8"))
    rules = yaml.safe_load((folder / "turns-answered.rules.yaml").read_text("utf-8"))
    recorded = {
        rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule
    }
    asked = {
        target["expr"].partition("{")[0] for panel in board["panels"] for target in panel["targets"]
    }
    assert {name for name in asked if name.startswith("slo:")} <= recorded
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        area = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not area & cells
        assert place["x"] + place["w"] <= 24
        cells |= area


def test_openslo_is_written_and_judges_the_same(workspace: Workspace) -> None:
    """The file has the same verdict on the same telemetry as the policy it was made of."""
    text = SLO.replace("  prometheus: {bad: 'turns_total{outcome=~\"failed|timeout\"}', ", "#")
    write(workspace, text)
    exported = workspace.folder / "openslo.yaml"
    reply = workspace.relkit(
        "slo", "turns-answered", "--export", "openslo", str(exported), "--json"
    )
    assert reply.document["files"] == ["openslo.yaml"]
    path = telemetry(workspace.folder, lambda minute: minute < 60)

    def report(slo: str) -> dict[str, Any]:
        run = ("slo", slo, "--telemetry", path, "--now", NOW, "--json")
        document = workspace.relkit(*run).document
        return {key: value for key, value in document.items() if key != "policy"}

    assert report(str(exported)) == report("turns-answered")


def test_an_export_needs_metrics(workspace: Workspace) -> None:
    """An objective about telemetry alone says what to add."""
    text = SLO.replace("  prometheus: {bad: 'turns_total{outcome=~\"failed|timeout\"}', ", "#")
    write(workspace, text)
    reply = workspace.relkit("slo", "turns-answered", "--export", "prometheus", "rules")
    assert reply.code == 2
    assert "says nothing about Prometheus" in reply.err
