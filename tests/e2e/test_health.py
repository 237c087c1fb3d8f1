"""``relkit health`` as a user types it: telemetry in, a verdict, its exit code and record out."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relkit.core.errors import ExitCode
from tests.conftest import Said, Workspace
from tests.serving_data import HEALTH, MINUTES, NOW, Row, bare_workspace, turns, write_turns


@pytest.fixture
def workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a workspace with policies and nothing else."""
    return bare_workspace(tmp_path, capsys)


def health(workspace: Workspace, rows: list[Row], *options: str, policy: str = HEALTH) -> Said:
    """Judge turns by a policy."""
    (workspace.folder / "gates" / "serving.yaml").write_text(policy, encoding="utf-8")
    path = write_turns(workspace.folder / "turns.jsonl", rows)
    return workspace.relkit("health", "serving", "--telemetry", path, "--now", NOW, *options)


def test_calm_traffic_is_ok(workspace: Workspace) -> None:
    """Every figure of a calm service is there, and its record lies in the workspace."""
    answer = health(workspace, turns(), "--json")
    report = answer.document
    assert answer.code == ExitCode.OK, report["reasons"]
    assert (report["verdict"], report["states"], report["level"]) == ("ok", ["ok"], "normal")
    assert report["until"] == NOW
    assert report["queue"]["utilisation"] == pytest.approx(24 / 60 * 0.69 / 40, rel=0.05)
    assert report["queue"]["burn"] == 0
    assert report["retries"]["amplification"] == pytest.approx(1.09, abs=0.02)
    assert [tenant["class"] for tenant in report["tenants"]] == ["free", "paid"]
    assert report["tenants"][0]["expected"] == pytest.approx(60, abs=0.1)
    assert report["churn"]["value"] == 0.125
    assert {stage["stage"]: stage["status"] for stage in report["budget"]} == {
        "asr_ms": "ok",
        "llm_ttft_ms": "ok",
        "tts_ttfb_ms": "ok",
        "network_ms": "ok",
        "latency_ms": "ok",
        "eou_ms": "no_line",
    }
    assert 80 < report["unexplained_ms"]["p50"] < 130
    assert list((workspace.folder / ".relkit" / "findings" / "health").iterdir())


def last(minutes: int, **figures: object) -> Callable[[int], dict[str, Any]]:
    """Return a change of the last minutes."""
    return lambda minute: figures if minute >= MINUTES - minutes else {}


def growing(minute: int) -> dict[str, Any]:
    """Queue up, a little more every minute."""
    return {"queue_ms": 20 + 25 * max(0, minute - 70)}


def storm(minute: int) -> dict[str, Any]:
    """Retry the more, the more calls there are."""
    over = max(0, minute - 60)
    return {"turns": 24 + 2 * over, "retries": over // 10}


@pytest.mark.parametrize(
    ("change", "verdict", "level"),
    [
        (last(3, latency_ms=120_000), "saturated", "shed_batch"),
        (growing, "saturated", "shed_batch"),
        (storm, "storm", "smaller_model"),
        (last(5, turns=100), "spike", "normal"),
        (last(60, partial_changes=4), "fail", "normal"),
        (last(60, asr_ms=600), "fail", "normal"),
        (last(60, latency_ms=None, ok=False, outcome="failed"), "fail", "normal"),
    ],
    ids=["full", "growing", "storm", "spike", "churn", "stage", "unanswered"],
)
def test_overload_is_found(
    workspace: Workspace, change: Callable[[int], dict[str, Any]], verdict: str, level: str
) -> None:
    """A queue, a storm, a spike, churn and a slow stage each end with exit code 1."""
    answer = health(workspace, turns(change), "--json")
    report = answer.document
    assert answer.code == ExitCode.FAILED, report
    assert report["verdict"] == verdict, report["reasons"]
    assert report["level"] == level
    assert report["reasons"]


def test_slow_minutes_that_pass_are_no_saturation(workspace: Workspace) -> None:
    """Two full minutes of the last five are no verdict."""
    answer = health(workspace, turns(last(2, queue_ms=900)), "--json")
    assert answer.document["queue"]["saturated"] is False
    assert answer.document["queue"]["burn"] == pytest.approx(0.4 / 0.05)
    assert answer.code == ExitCode.OK


def test_a_storm_that_is_over_holds_its_level_for_three_quiet_minutes(
    workspace: Workspace,
) -> None:
    """The level goes up at once and down after three quiet minutes."""
    levels = []
    for quiet in (2, 3, 8):
        change = last(5 + quiet, latency_ms=120_000)
        rows = [
            row
            | ({} if int(row["turn_id"].split("-")[0]) < MINUTES - quiet else {"latency_ms": 700})
            for row in turns(change)
        ]
        levels.append(health(workspace, rows, "--json").document["level"])
    assert levels == ["shed_batch", "shed_batch", "normal"]


def without(*names: str) -> list[Row]:
    """Return calm turns without some columns."""
    return [{key: cell for key, cell in row.items() if key not in names} for row in turns()]


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (turns(minutes=MINUTES - 12), "the newest turn is"),
        (turns(last(5, turns=2)), "10 turns in the last five minutes"),
        (without("queue_ms"), "queue: queue_ms is missing"),
        (without("retries"), "retries: retries is missing"),
        (without("tenant_class"), "tenants: tenant_class is missing"),
        (without("partial_words"), "churn: under 20 utterances"),
        (without("latency_ms"), "budget: latency_ms is missing"),
        (turns(last(60, asr_ms=None)), "budget: 0 turns with asr_ms"),
        (turns(last(MINUTES, asr_ms=-1)), "asr_ms: 2,160 of 2,160 turns without it"),
        (turns(last(5, queue_ms=None)), "queue: queue_ms is missing"),
        (turns(last(MINUTES, queue_ms=-1)), "queue: queue_ms is missing"),
        (turns(last(MINUTES, retries=-1)), "retries: retries is missing"),
        (turns(last(MINUTES, ts="2026-11-01T11:29:00")), "without an offset"),
        (turns(minutes=6)[:30], "the newest turn is"),
        (turns(lambda minute: {"llm_ttft_ms": 0.15} if minute > 45 else {}), "another unit"),
        (turns(last(60, queue_ms=0.025)), "is it in seconds now?"),
    ],
)
def test_what_is_missing_is_never_ok(workspace: Workspace, rows: list[Row], word: str) -> None:
    """Stale, few, missing, negative, naive and strange telemetry is no data, with its reason."""
    answer = health(workspace, rows, "--json")
    assert answer.document["verdict"] == "no_data", answer.document["reasons"]
    assert answer.code == ExitCode.NO_DATA
    assert any(word in reason for reason in answer.document["reasons"]), answer.document["reasons"]


def test_no_turn_is_no_data(workspace: Workspace) -> None:
    """A file without rows, and one of the future alone, have nothing to judge."""
    for rows in ([], [row | {"ts": "2027-01-01T00:00:00Z"} for row in turns(minutes=2)]):
        answer = health(workspace, rows, "--json")
        assert (answer.code, answer.document["verdict"]) == (ExitCode.NO_DATA, "no_data")
        assert answer.document["reasons"][-1] == "there is no turn until then"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tenant_class", "tenant_clas", 'no column "tenant_clas"'),
        ("voice-cloud", "voice-clod", 'no budget "voice-clod"'),
        ("voice-cloud", "{asr_ms + llm_ttft_ms: {target: [1, 2]}}", "percentiles of stages do not"),
        ("voice-cloud", "{asr_msec: {target: [1, 2]}}", 'no stage "asr_msec"'),
        ("voice-cloud", "{asr_ms: {target: [3, 2]}}", "the target is to rise"),
        ("slots: 40", "slots: 0", "greater than or equal to 1"),
        ("churn: {max", "chrun: {max", 'unknown key "chrun"'),
        ("relkit.health/v1", "relkit.capacity/v1", "relkit.health/v1 was expected"),
        ("retries: {amplification: 1.5}\n", "", 'nothing in this policy says when it is "storm"'),
    ],
)
def test_a_wrong_policy_is_refused(workspace: Workspace, old: str, new: str, message: str) -> None:
    """A misspelt column, budget, stage or key, and a sum of percentiles, exit 2 and say where."""
    policy = HEALTH.replace(old, new)
    answer = health(workspace, turns(minutes=2), policy=policy)
    assert answer.code == ExitCode.INVALID
    assert message in answer.err


@pytest.mark.parametrize("damage", ["parquet", "json", "gzip"])
def test_a_damaged_file_is_refused(workspace: Workspace, damage: str) -> None:
    """A cut Parquet file, half a line and a cut gzip file exit 2, each with its name."""
    whole_file = "".join(json.dumps(row) + "\n" for row in turns(minutes=3)).encode()
    name, data = {
        "parquet": ("turns.parquet", b"PAR1" + b"\0" * 50),
        "json": ("turns.jsonl", whole_file[:-30]),
        "gzip": ("turns.jsonl.gz", gzip.compress(whole_file)[:-30]),
    }[damage]
    (workspace.folder / name).write_bytes(data)
    (workspace.folder / "gates" / "serving.yaml").write_text(HEALTH, encoding="utf-8")
    path = str(workspace.folder / name)
    answer = workspace.relkit("health", "serving", "--telemetry", path, "--now", NOW)
    assert answer.code == ExitCode.INVALID, answer
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs --telemetry or --prometheus"),
        (("--telemetry", "nowhere.jsonl"), "no telemetry at nowhere.jsonl"),
        (("--telemetry", "gates", "--now", "noon"), "--now: a UTC time"),
    ],
)
def test_a_wrong_command_line_is_refused(
    workspace: Workspace, arguments: tuple[str, ...], message: str
) -> None:
    """No source, a path without telemetry, and a time that is none exit 2."""
    (workspace.folder / "gates" / "serving.yaml").write_text(HEALTH, encoding="utf-8")
    answer = workspace.relkit("health", "serving", *arguments)
    assert answer.code == ExitCode.INVALID
    assert message in answer.err


def test_tenants_are_no_classes(workspace: Workspace) -> None:
    """A column with a value per tenant is refused, and none of them is shown."""
    rows = turns()
    for number, row in enumerate(rows):
        row["tenant_class"] = f"acme-{number % 99}"
    answer = health(workspace, rows)
    assert answer.code == ExitCode.INVALID
    assert "99 values" in answer.err
    assert "acme" not in answer.err


def test_shadow_shows_the_verdict_and_lets_the_pipeline_go_on(workspace: Workspace) -> None:
    """``enforcement: shadow`` exits 0, and its check can promote nothing."""
    policy = HEALTH + "enforcement: shadow\n"
    answer = health(workspace, turns(last(5, turns=100)), policy=policy)
    assert answer.code == ExitCode.OK
    assert answer.out.startswith("SHADOW: serving has a spike of calls")
    check = (workspace.folder / ".relkit" / "checks" / "serving.json").read_text(encoding="utf-8")
    assert '"verdict": "inconclusive"' in check


def test_the_text_fits_a_terminal_and_the_verdict_is_in_junit(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Eighty columns, what is wrong first; CI systems see the parts that failed."""
    junit = tmp_path / "health.xml"
    rows = turns(last(5, turns=100, language="a\x1b[31m"))
    answer = health(workspace, rows, "--junit", str(junit))
    assert answer.out.startswith("FAIL: serving has a spike of calls until 2026-11-01T11:30:00Z")
    assert all(len(line) <= 80 for line in answer.out.splitlines())
    assert "\x1b" not in answer.out
    text = junit.read_text(encoding="utf-8")
    assert 'name="tenant_class=free"' in text
    assert "<failure" in text


@pytest.mark.parametrize(
    ("scenario", "now", "verdict"),
    [
        ("equal", "11:30", "ok"),
        ("retry-storm", "11:30", "ok"),
        ("retry-storm", "13:00", "storm"),
        ("queue-collapse", "13:00", "saturated"),
        ("tenant-spike", "12:10", "spike"),
        ("churn", "14:00", "fail"),
    ],
)
def test_simulated_faults_are_called_by_their_names(
    workspace: Workspace, scenario: str, now: str, verdict: str
) -> None:
    """A day of simulated calls is ok before its fault begins at noon, and then it is that fault."""
    folder = str(workspace.folder / "traffic")
    made = ("--scenario", scenario, "--turns", "15000", "--seed", "2")
    assert workspace.relkit("simulate", "telemetry", folder, *made).code == ExitCode.OK
    policy = HEALTH.replace("budget: voice-cloud\n", "")
    (workspace.folder / "gates" / "serving.yaml").write_text(policy, encoding="utf-8")
    at = f"2026-01-05T{now}:00Z"
    answer = workspace.relkit("health", "serving", "--telemetry", folder, "--now", at, "--json")
    assert answer.document["verdict"] == verdict, answer.document["reasons"]


def test_a_stage_that_nobody_measures_is_a_note(workspace: Workspace) -> None:
    """Where no turn ever has a stage of a shipped budget, the whole turn speaks for it."""
    answer = health(workspace, without("network_ms"), "--json")
    assert answer.code == ExitCode.OK, answer.document["reasons"]
    statuses = {line["stage"]: line["status"] for line in answer.document["budget"]}
    assert statuses["network_ms"] == "not_measured"
    own = HEALTH.replace("voice-cloud", "{network_ms: {target: [50, 100], limit: 150}}")
    assert health(workspace, without("network_ms"), policy=own).code == ExitCode.NO_DATA


@pytest.mark.parametrize("form", ["pipecat", "livekit"])
def test_traces_of_voice_frameworks_have_a_budget_on_the_first_day(
    workspace: Workspace, form: str
) -> None:
    """A policy of one line judges what their spans know, sentinels and missing stages included."""
    folder = str(workspace.folder / "traffic")
    made = ("--scenario", "equal", "--turns", "12000", "--seed", "1", "--format", form)
    assert workspace.relkit("simulate", "telemetry", folder, *made).code == ExitCode.OK
    policy = "schema: relkit.health/v1\nname: serving\nbudget: voice-cloud\n"
    (workspace.folder / "gates" / "serving.yaml").write_text(policy, encoding="utf-8")
    now = ("--now", "2026-01-05T12:00:00Z")
    answer = workspace.relkit("health", "serving", "--telemetry", folder, *now, "--json")
    assert answer.code == ExitCode.OK, answer.document["reasons"]
    assert answer.document["budget"][-3]["p95"] == pytest.approx(1070, abs=10)


def test_first_and_warm_turns_have_budgets_of_their_own(workspace: Workspace) -> None:
    """``voice-local-cpu`` judges the first turn of a session apart from the others."""
    policy = HEALTH.replace("voice-cloud", "voice-local-cpu")
    rows = [
        row | {"latency_ms": 1400 if int(row["turn_id"].split("-")[0]) % 3 == 0 else 900}
        for row in turns()
    ]
    budget = health(workspace, rows, "--json", policy=policy).document["budget"]
    assert [(line["of"], line["p50"], line["status"]) for line in budget[:2]] == [
        ("first", 1400, "ok"),
        ("warm", 900, "ok"),
    ]
