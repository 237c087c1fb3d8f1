"""``relkit cost`` beside a bare DuckDB scan that groups the same columns.

Half of the calls are the baseline's, half the candidate's; five make a session. The scan sums all
usage by session, model and language into a table; relkit reads the same files, removes
duplicates, prices every call (with tiers), and judges by session and slice. Each runs in processes
of its own, in turn; CPU seconds of the process less those of starting it, and peak memory.
"""

# ruff: noqa: S608 - queries of our own text

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

CALLS = 10_000_000
RUNS = 3

_USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_in_s",
    "audio_out_s",
    "tts_chars",
    "words",
)
_COLUMNS = """
'{arm}' || (i // 5) AS session, '{arm}' || i AS turn_id,
TIMESTAMPTZ '2026-11-10 00:00:00+00' + INTERVAL (i % 864000) SECOND AS ts,
TRUE AS ok, 'completed' AS outcome,
CASE WHEN i % 5 = 4 THEN hash(i // 5) % 10 < 9 END AS success,
CASE WHEN hash(i) % 10 < 7 THEN 'mini' ELSE 'large' END AS model,
['en', 'de', 'hi', 'es', 'ta'][CAST(1 + hash(i // 5) % 5 AS BIGINT)] AS language,
CAST(200 + hash(i + 1) % 2000 AS BIGINT) AS input_tokens,
CAST(10 + hash(i + 2) % 100 AS BIGINT) AS output_tokens,
CAST(hash(i + 3) % 150 AS BIGINT) AS cache_read_tokens,
0 AS cache_write_tokens, 0 AS reasoning_tokens,
(hash(i + 4) % 9000) / 1000.0 AS audio_in_s, (hash(i + 5) % 9000) / 1000.0 AS audio_out_s,
CAST(hash(i + 6) % 300 AS BIGINT) AS tts_chars, CAST(1 + hash(i + 7) % 15 AS BIGINT) AS words
"""

POLICY = """\
schema: relkit.cost/v1
name: cost
slices: [language]
margin: 10%
prices: prices.yaml
components: {stt: ears, tts: mouth}
"""
PRICES = """\
schema: relkit.prices/v1
currency: USD
valid: {from: 2026-11-01, to: null}
models:
  mini: {input: 1.5e-7, cache_read: 7.5e-8, output: 6.0e-7}
  large: {input: 2.5e-6, cache_read: 1.25e-6, output: 1.0e-5, tiers: [{above: 1500, input: 5.0e-6}]}
  ears: {audio_minute: 0.0043}
  mouth: {character: 6.5e-5}
"""

_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _USAGE)
_SCAN = (
    "import sys, duckdb\n"
    "connection = duckdb.connect()\n"
    "connection.execute(\"SET threads = 2; SET memory_limit = '1GiB'\")\n"
    "for path in sys.argv[1:3]:\n"
    "    connection.execute('CREATE OR REPLACE TABLE sums AS SELECT session, model, language,"
    " count(*) AS n, bool_or(success) AS success, max(ts) AS ts, count(turn_id) AS ids,"
    f" count(ok) AS ok, count(outcome) AS outcome, {_SUMS}"
    " FROM read_parquet(\"' + path + '\") GROUP BY session, model, language')\n"
)
_COST = (
    "import sys\nfrom relkit.__main__ import main\n"
    "sys.argv = ['relkit', 'cost', 'cost', '--baseline', sys.argv[1], '--candidate', sys.argv[2],"
    " '--now', '2026-11-30T00:00:00Z']\nmain()\n"
)
_NOTHING = {"scan": "import duckdb\nduckdb.connect()\n", "relkit cost": "import relkit.cli.app\n"}


def write(folder: Path, calls: int) -> list[Path]:
    """Write the calls of both arms and a workspace to compare them in."""
    import duckdb

    paths = []
    for arm in ("b", "c"):
        path = folder / f"{arm}.parquet"
        rows = f"SELECT {_COLUMNS.format(arm=arm)} FROM range({calls // 2}) AS numbers(i)"
        duckdb.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")
        paths.append(path)
    (folder / "gates").mkdir()
    (folder / "relkit.yaml").write_text("name: bench\n", encoding="utf-8")
    (folder / "gates" / "cost.yaml").write_text(POLICY, encoding="utf-8")
    (folder / "prices.yaml").write_text(PRICES, encoding="utf-8")
    return paths


def measured(code: str, paths: list[Path], folder: Path) -> tuple[float, float]:
    """Return CPU seconds and peak MiB of a process."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, paths)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{code[:40]!r}: exit code {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print CPU seconds, memory and the ratio, medians of interleaved runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write(folder, arguments.calls)
        codes = {"scan": _SCAN, "relkit cost": _COST}
        figures: dict[str, list[tuple[float, float]]] = {key: [] for key in codes}
        for _ in range(arguments.runs):
            for key, code in codes.items():
                start = measured(_NOTHING[key], [], folder)[0]
                seconds, memory = measured(code, paths, folder)
                figures[key].append((seconds - start, memory))
        print(f"{arguments.calls:,} calls in two arms, medians of {arguments.runs} runs in turn")
        for key, runs in figures.items():
            seconds, memory = (median(values) for values in zip(*runs, strict=True))
            print(f"{key:12}  {seconds:6.1f} CPU s  {memory:6.0f} MiB")
        ratios = [
            cost[0] / scan[0]
            for scan, cost in zip(figures["scan"], figures["relkit cost"], strict=True)
        ]
        print(f"ratio         {median(ratios):6.1f}  (within 4)")


if __name__ == "__main__":
    main()
