"""``relkit canary`` over millions of turns beside a bare grouped scan of the same columns.

    python -m benchmarks.canary_speed [--turns 10000000] [--runs 3]

16 triggers, overall and in 20 slices. The scan is what one writes first in DuckDB: counts and means
of the same columns by slice and arm. Both read the same Parquet files in processes of their own, in
turn; CPU seconds of the whole process, and peak memory. Then a state that has seen all of it takes
an hour of 100,000 new turns more, while the old files lie elsewhere.
"""

# ruff: noqa: S608 - queries hold numbers and folders of our own

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TURNS = 10_000_000
RUNS = 3
NEW = 100_000
SLICES = 20
FILES = 8

POLICY = """\
schema: relkit.canary/v1
name: speed
control: {arm: control}
canary: {arm: canary}
slices: [language]
steps: [{share: 25%, min_duration: 1h, detectable: 2, from: 2026-03-01T12:00:00Z}]
triggers:
  - {id: failures, rate: failed}
  - {id: interrupted, rate: interrupted, mode: watch}
  - {id: hangups, rate: abandoned, per: session}
  - {id: empty, rate: no_answer}
  - {id: repeats, rate: repeated, mode: watch}
  - {id: escalations, rate: escalated, mode: watch}
  - {id: latency, tail: latency_ms, at: [p50, p95, p99]}
  - {id: stages, tail: [eou_ms], at: [p95], mode: watch}
  - {id: services, tail: [asr_ms, llm_ttft_ms, tts_ttfb_ms], at: [p95, p99], mode: watch}
"""

_SCAN = """\
import duckdb, sys
c = duckdb.connect()
c.execute("SET memory_limit = '1GiB'")
means = ", ".join(f"avg({n}), max({n}), count({n})" for n in
    ("latency_ms", "eou_ms", "asr_ms", "llm_ttft_ms", "tts_ttfb_ms"))
flags = ", ".join(f"count(*) FILTER (WHERE {n})" for n in
    ("NOT ok", "outcome = 'interrupted'", "outcome = 'abandoned'", "repeated", "escalated"))
rows = c.execute("SELECT language, arm, count(*), min(epoch_us(ts)), max(epoch_us(ts)),"
    f" {means}, {flags}, approx_count_distinct(session)"
    f" FROM read_parquet('{sys.argv[1]}/*.parquet')"
    " GROUP BY language, arm").fetchall()
assert len(rows) == 40
"""

_CANARY = """\
import sys
from relkit.__main__ import main
sys.argv = ["relkit", "canary", "speed", "--telemetry", *sys.argv[2:], "--workspace", sys.argv[1],
    "--json", "--quiet"]
main()
"""

_START = """\
import duckdb, numpy, pyarrow.parquet
import relkit.cli.canary, relkit.wiring.canary, relkit.canary.run, relkit.canary.view
import relkit.adapters.duckdb.canary, relkit.adapters.decisions, relkit.registry.canary
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRun:
    """CPU and wall-clock seconds of a process, its peak memory in MiB, and what it printed."""

    cpu: float
    seconds: float
    peak: float
    printed: str


def write_turns(folder: Path, turns: int, *, first: str, hours: float, seed: int) -> None:
    """Write turns of sessions of five, in files of one span of time each, sorted by time."""
    import duckdb

    folder.mkdir(parents=True, exist_ok=True)
    sessions = turns // 5
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SELECT setseed({seed / 1000})")
    connection.execute("SET memory_limit = '3GiB'")
    for part in range(FILES):
        size = sessions // FILES
        span = hours * 3600 / FILES
        connection.execute(
            f"""COPY (
            WITH s AS (SELECT i, random() AS r, random() AS a, random() * {span - 300} AS t0,
                CAST(random() * {SLICES} AS INTEGER) % {SLICES} AS l, -ln(random()) AS g
                FROM range({size}) t(i)),
            t AS (SELECT s.*, k, random() AS x, random() AS y, random() AS z, random() AS w,
                random() AS v, random() AS u FROM s, range(5) q(k))
            SELECT TIMESTAMPTZ '{first}' + to_microseconds(CAST(({part} * {span} + t0 + k * 20 + x)
                * 1e6 AS BIGINT)) AS ts,
            printf('{seed}-%d-%08d', {part}, i) AS session,
            printf('{seed}-%d-%08d-%d', {part}, i, k) AS turn_id,
            CASE WHEN a < 0.25 THEN 'canary' ELSE 'control' END AS arm,
            y > 0.02 * g AS ok,
            CASE WHEN y <= 0.02 * g THEN 'failed' WHEN z < 0.05 THEN 'interrupted'
                WHEN z > 0.995 THEN 'abandoned' ELSE 'completed' END AS outcome,
            CASE WHEN y > 0.02 * g THEN 400 + 300 * -ln(u) END AS latency_ms,
            100 + 50 * -ln(v) AS eou_ms, 80 + 40 * -ln(w) AS asr_ms, 120 + 90 * -ln(z) AS
            llm_ttft_ms, 60 + 30 * -ln(x) AS tts_ttfb_ms, w < 0.01 AS repeated,
            v < 0.003 AS escalated, printf('lang-%02d', l) AS language FROM t ORDER BY ts
            ) TO '{folder}/part-{part}.parquet' (FORMAT parquet)"""
        )
    connection.close()


def timed(code: str, *arguments: str, exits: Container[int] = frozenset({0, 1, 3, 4})) -> TimedRun:
    """Run code in a process of its own; ``exits`` are the codes of a run that did its work."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    printed = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in exits:
        sys.exit(f"a run failed: {printed[:500]}")
    return TimedRun(
        cpu=usage.ru_utime + usage.ru_stime,
        seconds=time.perf_counter() - began,
        peak=usage.ru_maxrss / 1024,
        printed=printed,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--folder", type=Path, help="keep the telemetry here, and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="canary-speed-") as made:
        folder = options.folder or Path(made)
        _run(folder, options.turns, options.runs)


def _run(folder: Path, turns: int, runs: int) -> None:
    from relkit.adapters.workspace import scaffold_source, write_scaffold

    workspace, old, new = folder / "workspace", folder / "old", folder / "new"
    if not workspace.exists():
        write_scaffold(workspace, scaffold_source())
    (workspace / "gates" / "speed.yaml").write_text(POLICY, encoding="utf-8")
    if not old.exists():
        # In processes of their own: those that are measured take over the peak of this one.
        for part, number, first, hours, seed in (
            (old, turns, "2026-03-01 12:00:00+00", 8.0, 1),
            (new, NEW, "2026-03-01 20:00:00+00", 1.0, 2),
            (folder / "before", NEW, "2026-02-28 12:00:00+00", 1.0, 3),
        ):
            call = f"Path({str(part)!r}), {number}, first={first!r}, hours={hours}, seed={seed}"
            code = "from pathlib import Path\nfrom benchmarks.canary_speed import write_turns\n"
            subprocess.run([sys.executable, "-c", f"{code}write_turns({call})"], check=True)
    reference = ("--reference", str(folder / "before"))
    at = ("--now", "2026-03-01T20:10:00Z")
    scans, decisions = [], []
    for _ in range(runs):
        scans.append(timed(_SCAN, str(old)))
        decisions.append(timed(_CANARY, str(workspace), str(old), *reference, *at))
    start = timed(_START)
    rows = [("bare grouped scan", scans), (f"canary over {turns:,} turns", decisions)]
    print(f"{'':34}{'CPU s':>8}{'s':>8}{'MiB':>8}")
    for name, each in (*rows, ("importing the command", [start])):
        print(_row(name, each))
    ratio = median(d.cpu / s.cpu for d, s in zip(decisions, scans, strict=True))
    print(f"ratio of CPU seconds, median of {runs}: {ratio:.2f}")
    verdict = json.loads(decisions[0].printed)
    print(f"verdict {verdict['verdict']}, {len(verdict['checks'])} checks")
    state = folder / "speed.state"
    state.unlink(missing_ok=True)
    for anchor in (workspace / ".relkit" / "canary").glob("*.json"):
        anchor.unlink()
    seen = timed(_CANARY, str(workspace), str(old), *reference, "--state", str(state), *at)
    hidden = old.rename(folder / "elsewhere")
    try:
        later = ("--state", str(state), "--now", "2026-03-01T21:00:00Z")
        folded = timed(_CANARY, str(workspace), str(new), *later)
    finally:
        hidden.rename(old)
    print(_row("the same, with a state", [seen]))
    print(_row(f"{NEW:,} turns more", [folded]))
    print(f"of which beyond the start: {folded.cpu - start.cpu:.2f} CPU s")


def _row(name: str, runs: list[TimedRun]) -> str:
    cpu, seconds, peak = (
        median(values)
        for values in zip(*((run.cpu, run.seconds, run.peak) for run in runs), strict=True)
    )
    return f"{name:34}{cpu:8.2f}{seconds:8.2f}{peak:8.0f}"


if __name__ == "__main__":
    main()
