"""Triage against bare DuckDB scans of the same columns: ``python -m benchmarks.triage_speed``.

One million turns of eight days with ten slice columns, two components and a bad release. The bare
scan groups the same columns by one slice column and hour and knows nothing of releases. A quarter
of the turns says whether the time grows in a straight line.
"""

# ruff: noqa: S608 - queries hold numbers and folders of our own

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TURNS, RUNS = 1_000_000, 3
DAYS = 8
NOW = "2026-03-09T00:00:00Z"
SLICES = 10

_WRITE = """\
import sys
from pathlib import Path
from benchmarks.triage_speed import write_turns
write_turns(Path(sys.argv[1]), int(sys.argv[2]))
"""

_SCAN = """\
import duckdb, sys
c = duckdb.connect()
c.execute("SET memory_limit = '1GiB'")
c.execute("SET enable_progress_bar = false")
flags = ", ".join(f"count(*) FILTER (WHERE {n})" for n in
    ("NOT ok", "reprompt", "NOT grounded", "NOT tool_args_ok", "latency_ms > 1500"))
means = ", ".join(f"avg({n}), count({n})" for n in
    ("latency_ms", "asr_ms", "llm_ttft_ms", "tts_ttfb_ms", "cost", "input_tokens"))
columns = [f"s{i}" for i in range(10)] + ["release_asr", "release_llm"]
for name in columns:
    c.execute(f"SELECT {name}, epoch_us(ts) // 3600000000 AS h, count(*), {flags}, {means},"
        f" approx_count_distinct(session) FROM read_parquet('{sys.argv[1]}/*.parquet')"
        f" GROUP BY ALL").fetchall()
"""

_TRIAGE = """\
import sys
from relkit.__main__ import main
sys.argv = ["relkit", "triage", "--telemetry", sys.argv[1], "--now", sys.argv[2], "--json"]
main()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRun:
    """CPU and wall-clock seconds of a process, its peak memory in MiB, and what it printed."""

    cpu: float
    seconds: float
    peak: float
    printed: str


def write_turns(folder: Path, turns: int) -> None:
    """Write turns in sessions of four, a file a day; the newest asr fails twice as often."""
    import duckdb

    folder.mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET memory_limit = '2GiB'")
    connection.execute("SELECT setseed(0.4)")
    sessions = turns // 4 // DAYS
    values = ", ".join(f"CAST(floor(random() * {2 + i}) AS INTEGER) AS v{i}" for i in range(SLICES))
    columns = ", ".join(f"'s{i}-' || v{i} AS s{i}" for i in range(SLICES))
    for day in range(DAYS):
        asr = "CASE WHEN a < 0.25 THEN '2.0' ELSE '1.0' END" if day == DAYS - 1 else "'1.0'"
        connection.execute(
            f"""COPY (
            WITH s AS (SELECT i, random() AS r, random() AS a, random() AS b, {values}
                FROM range({sessions}) t(i)),
            t AS (SELECT s.*, {asr} AS release_asr, k, random() AS x, random() AS y, random() AS z,
                random() AS w FROM s, range(4) q(k))
            SELECT TIMESTAMPTZ '2026-03-01 00:00:00+00' + to_microseconds(CAST(({day} * 86400
                + r * 86000 + k * 30) * 1e6 AS BIGINT)) AS ts,
            printf('{day}-%d', i) AS session, printf('{day}-%d-%d', i, k) AS turn_id, {columns},
            release_asr, CASE WHEN b < 0.5 THEN '7' ELSE '8' END AS release_llm,
            y > 0.02 AS ok, z < (CASE release_asr WHEN '2.0' THEN 0.16 ELSE 0.08 END) AS reprompt,
            w > 0.03 AS grounded, x > 0.01 AS tool_args_ok, 400 - 300 * ln(x) AS latency_ms,
            80 - 40 * ln(y) AS asr_ms, 120 - 90 * ln(z) AS llm_ttft_ms, 60 - 30 * ln(w) AS
            tts_ttfb_ms, CAST(100 + 900 * w AS INTEGER) AS input_tokens, CAST(50 + 200 * x AS
            INTEGER) AS output_tokens, 0.001 + 0.004 * w AS cost FROM t ORDER BY ts
            ) TO '{folder}/day-{day}.parquet' (FORMAT parquet)"""
        )
    connection.close()


def measured(code: str, *arguments: str) -> ProcessRun:
    """Run code in a process of its own."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    printed = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1, 3}:
        sys.exit(f"a run failed: {printed[:500]}")
    return ProcessRun(
        cpu=usage.ru_utime + usage.ru_stime,
        seconds=time.perf_counter() - began,
        peak=usage.ru_maxrss / 1024,
        printed=printed,
    )


def main() -> None:
    """Print the table."""
    import json

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-speed-") as made:
        folders = {turns: Path(made) / str(turns) for turns in (options.turns // 4, options.turns)}
        for turns, folder in folders.items():
            subprocess.run([sys.executable, "-c", _WRITE, str(folder), str(turns)], check=True)
        quarter, full = folders.values()
        scans, quarters, triages = [], [], []
        for _ in range(options.runs):
            scans.append(measured(_SCAN, str(full)))
            quarters.append(measured(_TRIAGE, str(quarter), NOW))
            triages.append(measured(_TRIAGE, str(full), NOW))
    print(f"{'':40}{'CPU s':>8}{'s':>8}{'MiB':>8}")
    print(_row("bare grouped scans of the same columns", scans))
    print(_row(f"triage over {options.turns // 4:,} turns", quarters))
    print(_row(f"triage over {options.turns:,} turns", triages))
    ratio = median(t.cpu / s.cpu for t, s in zip(triages, scans, strict=True))
    grown = median(t.cpu / q.cpu for t, q in zip(triages, quarters, strict=True))
    print(f"ratio of CPU seconds to the scans: {ratio:.2f}; four times the turns: {grown:.2f}")
    report = json.loads(triages[0].printed)
    named = f"{report['component']} {report['first_bad']}"
    print(f"verdict {report['verdict']}: {named}, log odds {report['log_odds']}")


def _row(name: str, runs: list[ProcessRun]) -> str:
    cpu, seconds, peak = (
        median(values)
        for values in zip(*((run.cpu, run.seconds, run.peak) for run in runs), strict=True)
    )
    return f"{name:40}{cpu:8.2f}{seconds:8.2f}{peak:8.0f}"


if __name__ == "__main__":
    main()
