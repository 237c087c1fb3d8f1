"""``relkit capacity`` as a user types it: load tests and telemetry in, what is needed out."""

import json
from pathlib import Path
from typing import Any

import pytest

from relkit.core.errors import ExitCode
from tests.conftest import SHARED, Said, Workspace
from tests.serving_data import NOW, Row, bare_workspace, turns, write_turns

POLICY = """\
schema: relkit.capacity/v1
name: sizing
slo: {p95_ms: 1100, error_rate: 1%}
waiting: 1%
arrivals_per_hour: 3600
mean_call_s: 180
streams_per_replica: {rtf: 0.1, utilisation: 0.7}
ramp_per_s: 0.5
startup_s: 90
model: {parameters_b: 8, bytes: 2, overhead: 1.2, layers: 32, kv_heads: 8, head_dim: 128,
  context: 8192, streams: 4, kv_bytes: 2}
"""
STEPS = """\
concurrency,throughput,p95_ms,error_rate,duration_s
1,2,400,0,60
2,4,420,0,60
4,7.9,500,0.1%,60
8,15,700,0.002,60
12,16,1000,0.004,60
16,40,900,0,60
"""


@pytest.fixture
def workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a workspace with policies and nothing else."""
    return bare_workspace(tmp_path, capsys)


def capacity(
    workspace: Workspace,
    *options: str,
    steps: str | None = STEPS,
    policy: str = POLICY,
    rows: list[Row] | None = None,
) -> Said:
    """Judge a load test, telemetry, or both."""
    folder = workspace.folder
    (folder / "gates" / "sizing.yaml").write_text(policy, encoding="utf-8")
    sources: list[str] = []
    if steps is not None:
        (folder / "steps.csv").write_text(steps, encoding="utf-8")
        sources += ["--load-test", str(folder / "steps.csv")]
    if rows is not None:
        sources += ["--telemetry", write_turns(folder / "turns.jsonl", rows)]
    return workspace.relkit("capacity", "sizing", *sources, "--now", NOW, *options)


def test_the_figures_of_the_method(workspace: Workspace) -> None:
    """3,600 calls an hour of 180 s: 214 slots, 31 replicas of 7 streams, 7 of them warm."""
    answer = capacity(workspace, "--json")
    report = answer.document
    assert (answer.code, report["verdict"]) == (ExitCode.OK, "pass")
    assert (report["knee"], report["knee_reason"], report["safe"]) == (12, "throughput", 8)
    assert report["streams_per_replica"] == 7
    assert (report["slots_needed"], report["replicas_needed"], report["warm_pool"]) == (214, 31, 7)
    assert report["gpu_memory_gb"]["weights"] == pytest.approx(19.2)
    assert report["gpu_memory_gb"]["kv_cache"] == pytest.approx(4.29, abs=0.01)
    assert report["peak"] == {"observed": None, "at": None}
    assert report["steps"][2]["error_rate"] == 0.001


def test_observed_sessions_decide_the_rest(workspace: Workspace) -> None:
    """Arrivals, length, peak and ramp come from sessions, grown by the forecast."""
    policy = POLICY.replace("arrivals_per_hour: 3600", "arrivals_per_hour: observed\ngrowth: 20%")
    policy = policy.replace("mean_call_s: 180\n", "").replace(
        "ramp_per_s: 0.5", "ramp_per_s: observed"
    )
    answer = capacity(workspace, "--json", policy=policy, steps=None, rows=turns())
    report = answer.document
    assert answer.code == ExitCode.OK, report["reasons"]
    assert report["peak"]["observed"] == 24
    assert report["arrivals_per_hour"] == pytest.approx(24 * 20 * 1.2, rel=0.01)
    assert 110 < report["mean_call_s"] < 130
    assert report["replicas_needed"] * 7 >= 24 * 1.2
    assert 0 <= report["headroom"] < 1
    short = capacity(workspace, "--json", policy=policy + "replicas: 2\n", steps=None, rows=turns())
    assert (short.code, short.document["verdict"]) == (ExitCode.FAILED, "fail")
    assert short.document["headroom"] < 0


def test_a_pause_longer_than_the_gap_ends_a_session(workspace: Workspace) -> None:
    """A session id that comes back after half an hour is another interval."""
    rows = [row | {"session": "one"} for row in turns() if row["turn_id"] in {"0-0", "2-0", "80-0"}]
    policy = POLICY.replace("arrivals_per_hour: 3600", "arrivals_per_hour: observed")
    report = capacity(workspace, "--json", policy=policy, steps=None, rows=rows).document
    assert report["telemetry"]["sessions"] == 1
    assert report["arrivals_per_hour"] == 1
    assert report["peak"]["observed"] == 1


def changed(line: int, text: str) -> str:
    """Return the load test with another line."""
    lines = STEPS.splitlines()
    lines[line] = text
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("steps", "code", "verdict", "word"),
    [
        (changed(3, "4,,500,0,60"), ExitCode.NO_DATA, "no_data", "missing: throughput"),
        (changed(1, "1,2,,0,60"), ExitCode.NO_DATA, "no_data", "missing: p95_ms"),
        (changed(1, "1,2,1200,0,60"), ExitCode.FAILED, "fail", "the first step"),
        (changed(3, "4,7.9,1101,0,60"), ExitCode.FAILED, "fail", "safe up to 2 only"),
    ],
)
def test_a_bad_load_test_never_passes(
    workspace: Workspace, steps: str, code: ExitCode, verdict: str, word: str
) -> None:
    """A missing figure is no data; a first step that is no good, or one under the RTF, fails."""
    answer = capacity(workspace, "--json", steps=steps)
    assert (answer.code, answer.document["verdict"]) == (code, verdict)
    assert any(word in reason for reason in answer.document["reasons"])


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("", "holds no step"),
        (STEPS.splitlines()[0] + "\n", "holds no step"),
        (changed(3, "4,nan,500,0,60"), "is no number"),
        (changed(3, "4,-1,500,0,60"), "greater than or equal to 0"),
        (changed(3, "4,7.9,500,2,60"), "less than or equal to 1"),
        (changed(3, "0,7.9,500,0,60"), "greater than 0"),
        (changed(3, "4,7.9,500,0"), "4 fields where the first line has 5"),
        (STEPS.replace("p95_ms", "p95_msec"), "no column p95_ms"),
    ],
)
def test_a_load_test_that_cannot_be_read_is_refused(
    workspace: Workspace, steps: str, message: str
) -> None:
    """Empty, not a number, negative, a share over 1, cut, and a misspelt column exit 2."""
    answer = capacity(workspace, steps=steps)
    assert answer.code == ExitCode.INVALID
    assert message in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mean_call_s: 180", "mean_call: 180", 'unknown key "mean_call"'),
        ("waiting: 1%", "waiting: 0", "greater than 0"),
        ("rtf: 0.1", "rtf: .nan", "NaN and infinities"),
        ("arrivals_per_hour: 3600", "arrivals_per_hour: -1", "greater than 0"),
        ("arrivals_per_hour: 3600", "arrivals_per_hour: seen", 'a number, or "observed"'),
        ("waiting: 1%", "mapping: {latency_ms: e2e}", 'no column "e2e"'),
    ],
)
def test_a_wrong_policy_is_refused(workspace: Workspace, old: str, new: str, message: str) -> None:
    """A misspelt key, a number that cannot be and a column that is not there exit 2."""
    answer = capacity(workspace, policy=POLICY.replace(old, new), rows=turns(minutes=2))
    assert answer.code == ExitCode.INVALID
    assert message in answer.err


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("arrivals_per_hour: 3600", "arrivals_per_hour: observed", "no --telemetry is there"),
        ("ramp_per_s: 0.5", "ramp_per_s: observed", "ramp_per_s is observed"),
        ("mean_call_s: 180\n", "", "mean_call_s is not given"),
    ],
)
def test_what_is_to_be_observed_needs_telemetry(
    workspace: Workspace, old: str, new: str, word: str
) -> None:
    """Without it the verdict is no data, never a pass."""
    answer = capacity(workspace, "--json", policy=POLICY.replace(old, new))
    assert (answer.code, answer.document["verdict"]) == (ExitCode.NO_DATA, "no_data")
    assert any(word in reason for reason in answer.document["reasons"])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row | {"ts": row["ts"].removesuffix("Z")} for row in turns(minutes=3)],
        [row | {"latency_ms": -1} for row in turns(minutes=30)],
    ],
    ids=["empty", "naive", "negative"],
)
def test_strange_telemetry_never_passes(workspace: Workspace, rows: list[Row]) -> None:
    """No turn, times without an offset and values that cannot be are no data."""
    answer = capacity(workspace, "--json", rows=rows)
    assert (answer.code, answer.document["verdict"]) == (ExitCode.NO_DATA, "no_data")


def test_too_little_memory_and_an_impossible_rtf_fail(workspace: Workspace) -> None:
    """A model that does not fit the device, and a stream that no replica serves in real time."""
    small = POLICY.replace("kv_bytes: 2}", "kv_bytes: 2, device_gb: 16}")
    slow = POLICY.replace("rtf: 0.1", "rtf: 0.9")
    for policy, word in ((small, "the device has 16"), (slow, "no stream in real time")):
        answer = capacity(workspace, "--json", policy=policy)
        assert (answer.code, answer.document["verdict"]) == (ExitCode.FAILED, "fail")
        assert any(word in reason for reason in answer.document["reasons"])


def test_several_load_tests_count_with_their_worst(workspace: Workspace) -> None:
    """A step that was run twice has the worse of each figure, whatever the file's format."""
    again = {"concurrency": 4, "throughput": 7.9, "p95_ms": 1300, "error_rate": 0, "duration_s": 60}
    path = workspace.folder / "again.jsonl"
    path.write_text(json.dumps(again) + "\n", encoding="utf-8")
    answer = capacity(workspace, "--load-test", str(path), "--json")
    assert (answer.document["knee"], answer.document["safe"]) == (4, 2)


def test_the_text_fits_a_terminal(workspace: Workspace, tmp_path: Path) -> None:
    """Eighty columns, the knee beside its step, a JUnit case for the load test."""
    junit = tmp_path / "capacity.xml"
    answer = capacity(workspace, "--junit", str(junit), rows=turns())
    assert answer.out.startswith("PASS: sizing has what it needs")
    assert "knee: throughput" in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines())
    assert 'classname="load_test"' in junit.read_text(encoding="utf-8")


AZURE = """\
schema: relkit.capacity/v1
name: sizing
slo: {p95_ms: 1100, error_rate: 1%}
growth: 20%
mean_call_s: 10
streams_per_replica: {rtf: 0.1}
ramp_per_s: observed
mapping:
  ts: {column: TIMESTAMP, zone: UTC}
  session: TIMESTAMP
  turn_id: TIMESTAMP
  input_tokens: ContextTokens
  output_tokens: GeneratedTokens
"""


@pytest.mark.parametrize(
    ("trace", "figures"),
    [
        ("conv", {"sessions": 19366, "peak": 112, "slots": 87, "warm": 7}),
        ("code", {"sessions": 8819, "peak": 415, "slots": 46, "warm": 53}),
    ],
)
def test_a_real_trace_without_sessions_is_read_through_a_mapping(
    workspace: Workspace, trace: str, figures: dict[str, Any]
) -> None:
    """Each request is a session of its own, in UTC because the mapping says so."""
    path = SHARED / "telemetry" / f"AzureLLMInferenceTrace_{trace}.csv"
    if not path.is_file():
        pytest.skip("the real trace is not here")
    (workspace.folder / "gates" / "sizing.yaml").write_text(AZURE, encoding="utf-8")
    answer = workspace.relkit("capacity", "sizing", "--telemetry", str(path), "--json")
    report = answer.document
    assert (answer.code, report["telemetry"]["sessions"]) == (ExitCode.OK, figures["sessions"])
    assert report["peak"]["observed"] == figures["peak"]
    assert (report["slots_needed"], report["warm_pool"]) == (figures["slots"], figures["warm"])
