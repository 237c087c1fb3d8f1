"""``relkit drift`` over a million turns, 20 columns and 168 hours, beside a bare grouped scan.

    python -m benchmarks.drift_speed [--turns 1000000] [--hours 168]

Both sides read the same Parquet file: 12 columns of numbers, 4 of categories, 4 of flags, about six
turns a caller. The peer is one DuckDB query that groups the same 20 columns by hour (mean, maximum,
count). Our side opens the telemetry, removes duplicates, counts what does not count, sorts every
turn into frozen bins, and judges each hour. Each is a process of its own, in turn; CPU seconds are
those of the second time in a process, memory is the process's peak. The turns of each hour are
checked to be the peer's before a time is printed.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relkit.monitoring.drift.types import DriftPolicy

RUNS = 5
START = 1_789_999_200
NUMBERS = tuple(f"number_{i:02}" for i in range(12))
CATEGORIES = tuple(f"category_{i}" for i in range(4))
FLAGS = tuple(f"flag_{i}" for i in range(4))
SHARES = (0.5, 0.2, 0.15, 0.1, 0.046, 0.004)
NOW = "2027-01-01T00:00:00Z"
POLICY = DriftPolicy(
    schema="relkit.drift/v1",
    name="large",
    cluster="speaker",
    columns=(*NUMBERS, *CATEGORIES, *FLAGS),
    digest="sha256:" + "0" * 64,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Turns by window, CPU seconds and peak memory in MiB."""

    turns: tuple[int, ...]
    cpu: float
    peak: float


def write_turns(path: Path, turns: int, hours: int, seed: int) -> None:
    """Write turns of callers who differ in every number and have one value of every category."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    random = np.random.default_rng(seed)
    callers = turns // 6
    caller = random.integers(0, callers, turns)
    times = np.sort(random.integers(START * 10**6, (START + hours * 3600) * 10**6, turns))
    table = {
        "ts": pa.array(times.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC")),
        "session": pa.array([f"{seed}-session-{i}" for i in caller]),
        "turn_id": pa.array([f"{seed}-{i}" for i in range(turns)]),
        "speaker": pa.array([f"{seed}-speaker-{i}" for i in caller]),
        "ok": random.random(turns) > 0.02,
    }
    for i, name in enumerate(NUMBERS):
        mine = random.normal(size=callers)
        table[name] = 0.7 * mine[caller] + 0.7 * random.normal(size=turns) + i
    for name in CATEGORIES:
        value = np.array([f"value-{i}" for i in range(len(SHARES))])
        table[name] = pa.array(value[random.choice(len(SHARES), callers, p=SHARES)][caller])
    for name in FLAGS:
        table[name] = random.random(turns) < 0.03
    pq.write_table(pa.table(table), path, compression="zstd")


def profile(reference: Path) -> tuple[str, float]:
    """Return the profile of a reference as text, and the CPU seconds it took."""
    from relkit.adapters.duckdb.drift import DuckDBDrift
    from relkit.adapters.duckdb.turns import TurnTable
    from relkit.monitoring.drift.files import render_profile
    from relkit.monitoring.drift.run import make_profile
    from relkit.telemetry.types import TelemetryOptions

    began = time.process_time()
    with TurnTable(TelemetryOptions(paths=(str(reference),), now=NOW)) as table:
        text = render_profile(make_profile(DuckDBDrift(table, "speaker"), POLICY))
    return text, time.process_time() - began


def ours(path: Path, text: str) -> Timed:
    """Judge every hour."""
    from relkit.adapters.duckdb.drift import DuckDBDrift
    from relkit.adapters.duckdb.turns import TurnTable
    from relkit.monitoring.drift.files import parse_profile
    from relkit.monitoring.drift.run import judge_turns
    from relkit.telemetry.types import TelemetryOptions

    began = time.process_time()
    frozen = parse_profile(text, source="profile")
    with TurnTable(TelemetryOptions(paths=(str(path),), now=NOW)) as table:
        report = judge_turns(DuckDBDrift(table, "speaker"), POLICY, frozen)
    cpu = time.process_time() - began
    if report.verdict != "quiet":
        raise SystemExit(f"nothing changed, and drift says {report.verdict}: {report.reasons}")
    return Timed(turns=tuple(window.rows for window in report.windows), cpu=cpu, peak=_peak())


def peer(path: Path, _text: str) -> Timed:
    """Group the same columns by hour."""
    import duckdb

    began = time.process_time()
    shown = [f"avg({name})" for name in NUMBERS]
    shown += [f"max({name})" for name in CATEGORIES]
    shown += [f"count(*) FILTER ({name})" for name in FLAGS]
    connection = duckdb.connect()
    rows = connection.execute(
        f"SELECT epoch_us(ts) // 3600000000 AS hour, count(*), {', '.join(shown)}"  # noqa: S608 - names above
        f" FROM read_parquet('{path}') GROUP BY hour ORDER BY hour"
    ).fetchall()
    cpu = time.process_time() - began
    return Timed(turns=tuple(row[1] for row in rows), cpu=cpu, peak=_peak())


def warm(work: Callable[[Path, str], Timed], path: Path, text: str) -> Timed:
    """Do the work twice in one process, so that neither side pays for a cold start."""
    work(path, text)
    return work(path, text)


def _peak() -> float:
    """Return this process's own peak: that of the system call begins with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")) / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000_000)
    parser.add_argument("--hours", type=int, default=168)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as temporary,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):
        folder = Path(temporary)
        current, reference = folder / "current.parquet", folder / "reference.parquet"
        write_turns(current, options.turns, options.hours, 1)
        # Five times the callers of an hour, and no more than what is judged.
        before = min(options.turns, 40 * options.turns // options.hours)
        write_turns(reference, before, options.hours, 2)
        text, frozen_in = pool.submit(profile, reference).result()
        timed = [
            tuple(pool.submit(warm, work, current, text).result() for work in (peer, ours))
            for _ in range(RUNS)
        ]
    for scan, judged in timed:
        if scan.turns != judged.turns:
            raise SystemExit("the two sides do not count the same turns")
    cpu = [statistics.median(pair[i].cpu for pair in timed) for i in (0, 1)]
    ratios = sorted(judged.cpu / scan.cpu for scan, judged in timed)
    peak = [max(pair[i].peak for pair in timed) for i in (0, 1)]
    columns = len(POLICY.columns)
    print(
        f"{options.turns:,} turns x {columns} columns x {len(timed[0][0].turns)} windows,"
        f" CPU seconds, median of {RUNS}"
    )
    print(f"  grouped scan by DuckDB        {cpu[0]:6.2f} s   {peak[0]:6.0f} MiB")
    print(f"  all that relkit drift does    {cpu[1]:6.2f} s   {peak[1]:6.0f} MiB")
    print(f"  {statistics.median(ratios):.1f} x ({ratios[0]:.1f} to {ratios[-1]:.1f})")
    print(f"  all of relkit drift profile   {frozen_in:6.2f} s   of {before:,} turns")


if __name__ == "__main__":
    main()
