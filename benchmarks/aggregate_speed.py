"""Slices and intervals of a million result rows, beside pandas.

    python -m benchmarks.aggregate_speed [--rows 1000000] [--speakers 700]

Both sides read the same results.parquet and give seven metrics for every slice: six rates with
jackknifed intervals, and p95 of the latency with its interval on our side and without one on the
other. The peer is what one writes first: a pandas groupby for each specification, then a loop over
slices with scipy's t, vectorised over clusters. Each runs in a process of its own, imports
included; the rates and ends of the two are checked to be the same before a time is printed.
"""

import argparse
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPECS = ("overall", "accent", "noise", "channel", "intent", "accent&noise", "channel&intent")
SIZES = {"accent": 12, "noise": 5, "channel": 3, "intent": 25}
METRICS = ("wer", "wer_capped", "cer", "ser", "runaway_rate", "rtf", "latency_ms.p95")
RATES = {
    "wer": ("errors", "words"),
    "wer_capped": ("capped_errors", "words"),
    "cer": ("char_errors", "characters"),
    "ser": ("wrong", "rows"),
    "runaway_rate": ("runaway", "rows"),
    "rtf": ("latency_ms", "audio_ms"),
}

SHARES = ("wer_capped", "ser", "runaway_rate")
"""Rates that cannot exceed 1: their intervals are on the scale of log odds."""

JACKKNIFED = ("log-jackknife", "logit-jackknife")

Ends = dict[str, dict[str, tuple[float | None, float | None, float | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What one side found, how long it took and how much CPU in s, and its peak memory in MiB."""

    found: Ends
    seconds: float
    cpu: float
    peak: float


def write_results(path: Path, rows: int, speakers: int) -> None:
    """Write random results: speakers of one accent each, a tenth of the words wrong."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    random = np.random.default_rng(7)
    speaker = random.integers(0, speakers, rows)
    words = random.integers(3, 15, rows)
    own = random.beta(4.0, 36.0, speakers)[speaker]
    substitutions = random.binomial(words, 0.6 * own)
    deletions = random.binomial(words - substitutions, 0.4 * own)
    insertions = random.poisson(0.1, rows) + 60 * (random.random(rows) < 0.0005)
    hits = words - substitutions - deletions
    counts = (hits, substitutions, deletions, insertions)
    names = ("hits", "substitutions", "deletions", "insertions")
    slices = {name: random.integers(0, size, rows) for name, size in SIZES.items()}
    slices["accent"] = speaker % SIZES["accent"]
    zeros, nothing = np.zeros(rows, dtype=np.int64), pa.nulls(rows, pa.string())
    table = {
        "id": pa.array([f"utterance-{i:07}" for i in range(rows)]),
        "repeat": zeros,
        **{name: pa.array([f"{name}-{v:02}" for v in column]) for name, column in slices.items()},
        "cluster": pa.array([f"speaker-{v:04}" for v in speaker]),
        **dict(zip(names, counts, strict=True)),
        **{f"raw_{name}": column for name, column in zip(names, counts, strict=True)},
        **{f"char_{name}": 5 * column for name, column in zip(names, counts, strict=True)},
        "capped_errors": np.minimum(words - hits + insertions, words),
        **dict.fromkeys(("entities", "entity_errors", "keywords", "keyword_errors"), zeros),
        "runaway": insertions > np.maximum(10, words),
        "loop": np.zeros(rows, dtype=bool),
        "failure": nothing,
        "unusable": nothing,
        "latency_ms": np.exp(random.normal(5.5, 0.5, rows) + 0.2 * own),
        "first_byte_ms": np.exp(random.normal(4.5, 0.5, rows)),
        "duration": words / 2.5,
        "attempts": zeros + 1,
        "cached": np.zeros(rows, dtype=bool),
        "load": pa.array(["load"] * rows),
    }
    pq.write_table(pa.table(table), path, compression="zstd")


def ours(path: Path) -> Ends:
    """Return estimates by relkit, as the evaluation asks for them."""
    from relkit.adapters.duckdb.results import DuckDBSlices
    from relkit.statistics.estimates import estimate_metrics, sums_needed, timings_needed
    from relkit.statistics.intervals import RateEvidence
    from relkit.statistics.percentiles import TimingEvidence

    with DuckDBSlices(path) as slices:
        rates = RateEvidence(sums=slices.sums(SPECS, sums_needed(METRICS)))
        timings = {
            name: TimingEvidence(values=slices.values(SPECS, name))
            for name in timings_needed(METRICS)
        }
    found = estimate_metrics(METRICS, rates, timings)
    # Of few events relkit's ends are exact binomial, which the peer does not know: only ends by
    # the jackknife are held against each other.
    return {
        key: {
            name: (e.value, e.low, e.high) if e.method in JACKKNIFED else (e.value, None, None)
            for name, e in by_metric.items()
        }
        for key, by_metric in found.items()
    }


def peer(path: Path) -> Ends:
    """Return the same by pandas and scipy."""
    import pandas as pd
    from scipy import stats

    frame = pd.read_parquet(path)
    frame["words"] = frame["hits"] + frame["substitutions"] + frame["deletions"]
    frame["errors"] = frame["substitutions"] + frame["deletions"] + frame["insertions"]
    frame["characters"] = frame["char_hits"] + frame["char_substitutions"] + frame["char_deletions"]
    frame["char_errors"] = (
        frame["char_substitutions"] + frame["char_deletions"] + frame["char_insertions"]
    )
    frame["wrong"] = frame["errors"] > 0
    frame["audio_ms"] = frame["duration"] * 1000
    frame["rows"] = 1
    summed = list(dict.fromkeys(name for pair in RATES.values() for name in pair))
    found: Ends = {}
    for spec in SPECS:
        columns = [] if spec == "overall" else spec.split("&")
        frame["everything"] = "overall"
        keys = columns or ["everything"]
        by_cluster = frame.groupby([*keys, "cluster"], observed=True)[summed].sum()
        slow = frame.groupby(keys, observed=True)["latency_ms"].quantile(0.95)
        for values, part in by_cluster.groupby(level=list(range(len(keys)))):
            labels = values if isinstance(values, tuple) else (values,)
            key = "&".join(f"{c}={v}" for c, v in zip(columns, labels, strict=False)) or "overall"
            found[key] = {
                name: jackknife(
                    part[top].to_numpy(),
                    part[bottom].to_numpy(),
                    stats.t.ppf,
                    is_share=name in SHARES,
                )
                for name, (top, bottom) in RATES.items()
            }
            at = labels if len(labels) > 1 else labels[0]
            found[key]["latency_ms.p95"] = (float(slow.loc[at]), None, None)
    return found


def jackknife(
    top: np.ndarray, bottom: np.ndarray, t: Callable[[float, float], float], *, is_share: bool
) -> tuple[float | None, float | None, float | None]:
    """Return a ratio with its interval; None for the ends where they are not defined."""
    value = float(top.sum() / bottom.sum())
    left = (top.sum() - top) / (bottom.sum() - bottom)
    if len(top) < 5 or not (left > 0).all() or (is_share and not (left < 1).all()):
        return value, None, None
    q = np.log(left / (1 - left)) if is_share else np.log(left)
    q -= q.mean()
    count, second = len(q), float((q**2).sum())
    df = min(max(second**2 / float((q**4).sum()), 1.5), count - 1)
    factor = float(np.exp(t(0.975, df) * np.sqrt((count - 1) / count * second)))
    if is_share:
        odds = value / (1 - value)
        low, high = odds / factor, odds * factor
        return value, low / (1 + low), high / (1 + high)
    return value, value / factor, value * factor


def timed(side: Callable[[Path], Ends], path: Path) -> Timed:
    """Run one side, imports included, and measure its process."""
    began = time.perf_counter()
    found = side(path)
    seconds = time.perf_counter() - began
    cpu = time.process_time()
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return Timed(found=found, seconds=seconds, cpu=cpu, peak=peak)


def alone(side: Callable[[Path], Ends], path: Path) -> Timed:
    """Run one side in a fresh process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(timed, side, path).result()


def check(first: Ends, second: Ends) -> None:
    """Refuse to compare times of different answers."""
    if set(first) != set(second):
        raise SystemExit("the two sides found different slices")
    for key, by_metric in first.items():
        for name, ends in by_metric.items():
            for end, other in zip(ends, second[key][name], strict=True):
                known = end is not None and other is not None
                if known and not math.isclose(end or 0.0, other or 0.0, rel_tol=1e-6):
                    raise SystemExit(f"the two sides differ in {name} of {key}")


def main() -> None:
    """Print seconds, peak memory and the ratio."""
    parser = argparse.ArgumentParser(description="slices and intervals of many results")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--speakers", type=int, default=700)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.parquet"
        write_results(path, arguments.rows, arguments.speakers)
        first, second = alone(ours, path), alone(peer, path)
    check(first.found, second.found)
    print(
        f"{arguments.rows:,} rows, {len(first.found)} slices, {arguments.speakers} speakers,"
        f" {len(METRICS)} metrics"
    )
    for name, side in (("relkit", first), ("pandas + scipy", second)):
        print(f"{name:16} {side.seconds:7.2f} s {side.cpu:7.2f} s of CPU {side.peak:8.0f} MiB")
    print(f"ratio            {second.seconds / first.seconds:7.1f}")


if __name__ == "__main__":
    main()
