"""Triage, packet and verify beside their peers: ``python -m benchmarks.incident_speed``.

One million turns of eight days with ten slice columns, two components and a bad release. The bare
scan groups the same columns by one slice column and hour and knows nothing of releases. A quarter
of the turns says whether the time grows in a straight line. The packet is about all eight days, and
cut by five columns beside the failing one; verify's peer checks one signature and nothing else.
"""

# ruff: noqa: S608 - queries hold numbers and folders of our own

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.canary_speed import TimedRun, timed

TURNS, RUNS = 1_000_000, 3
DAYS = 8
NOW = "2026-03-09T00:00:00Z"
SLICES = 10
WINDOW = "2026-03-01T00Z/2026-03-09T00Z"
COLUMNS = ("s0", "s1", "s2", "s3", "s4")

_NAMES = {
    "scan": "bare grouped scans of the same columns",
    "quarter": "triage over {quarter:,} turns",
    "triage": "triage over {turns:,} turns",
    "packet": "packet over {turns:,} turns",
    "verify": "verify of it",
    "signature": "its signature alone, bare",
}

_WRITE = """\
import sys
from pathlib import Path
from benchmarks.incident_speed import write_turns
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

_RELKIT = """\
import sys
from relkit.__main__ import main
sys.argv[0] = "relkit"
main()
"""

_SIGNATURE = """\
import base64, json, sys
from cryptography.hazmat.primitives import serialization
key = serialization.load_pem_public_key(open(sys.argv[2], "rb").read())
envelope = json.load(open(sys.argv[1]))
payload = base64.b64decode(envelope["payload"])
kind = envelope["payloadType"].encode()
message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), message)
"""


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
            SELECT 'caller-' || (i % 20000) AS user,
            TIMESTAMPTZ '2026-03-01 00:00:00+00' + to_microseconds(CAST(({day} * 86400
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


measured = partial(timed, exits=frozenset({0, 1, 3}))
"""Runs code in a process of its own; without data it failed."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="incident-speed-") as made:
        home = Path(made)
        (home / "relkit.yaml").write_text("name: speed\n", encoding="utf-8")
        measured(_RELKIT, "doctor", "--make-key", f"{home}/keys", "--workspace", made)
        folders = {turns: home / str(turns) for turns in (options.turns // 4, options.turns)}
        for turns, folder in folders.items():
            subprocess.run([sys.executable, "-c", _WRITE, str(folder), str(turns)], check=True)
        quarter, full = map(str, folders.values())
        runs: dict[str, list[TimedRun]] = {name: [] for name in _NAMES}
        for run in range(options.runs):
            out = home / f"out-{run}"
            asked = ("--now", NOW, "--workspace", made, "--json")
            report = ("--out", f"{home}/triage.json")
            window = ("--window", WINDOW, "--triage", f"{home}/triage.json", "--slice", *COLUMNS)
            signed = ("--sign", f"{home}/keys/relkit.key", "--out", str(out))
            public = f"{home}/keys/relkit.pub"
            runs["scan"].append(measured(_SCAN, full))
            runs["quarter"].append(measured(_RELKIT, "triage", "--telemetry", quarter, *asked))
            runs["triage"].append(measured(_RELKIT, "triage", "--telemetry", full, *report, *asked))
            runs["packet"].append(
                measured(
                    _RELKIT, "incident", "packet", "--telemetry", full, *window, *signed, *asked
                )
            )
            packet = str(next(out.glob("*.packet.json")))
            runs["verify"].append(measured(_RELKIT, "incident", "verify", packet, "--key", public))
            runs["signature"].append(measured(_SIGNATURE, packet, public))
            shutil.rmtree(home / ".relkit" / "incidents")
    print(f"{'':40}{'CPU s':>8}{'s':>8}{'MiB':>8}")
    for name, text in _NAMES.items():
        print(_row(text.format(turns=options.turns, quarter=options.turns // 4), runs[name]))
    for name, peer in (("triage", "scan"), ("triage", "quarter"), ("packet", "scan")):
        print(f"CPU seconds, {name} to {peer}: {_ratio(runs[name], runs[peer], 'cpu'):.2f}")
    print(
        f"seconds, verify to signature: {_ratio(runs['verify'], runs['signature'], 'seconds'):.2f}"
    )
    verdict = json.loads(runs["triage"][0].printed)
    named = f"{verdict['component']} {verdict['first_bad']}"
    cells = json.loads(runs["packet"][0].printed)["cells"]
    print(f"verdict {verdict['verdict']}: {named}, log odds {verdict['log_odds']}; {cells} cells")


def _ratio(ours: list[TimedRun], peers: list[TimedRun], field: str) -> float:
    pairs = zip(ours, peers, strict=True)
    return float(median(getattr(our, field) / getattr(peer, field) for our, peer in pairs))


def _row(name: str, runs: list[TimedRun]) -> str:
    cpu, seconds, peak = (
        median(values)
        for values in zip(*((run.cpu, run.seconds, run.peak) for run in runs), strict=True)
    )
    return f"{name:40}{cpu:8.2f}{seconds:8.2f}{peak:8.0f}"


if __name__ == "__main__":
    main()
