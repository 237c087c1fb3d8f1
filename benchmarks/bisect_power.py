"""How often change points alarm on pure noise, and how soon they find a change.

Run with ``python -m benchmarks.bisect_power [SERIES]``. Every series is read as ``relkit bisect
--metric`` reads it: after each release, at all lengths from 4 to 60. Seeds are fixed.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from relkit.statistics.change_points import (
    change_in,
    change_points,
    critical_t,
    largest_t,
    without_spikes,
)

Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, int]], Array]

LENGTH = 60
SERIES = 10_000


def _autocorrelated(phi: float) -> Noise:
    def make(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        fresh = rng.normal(size=shape)
        series = fresh.copy()
        series[:, 0] /= np.sqrt(1 - phi**2)
        for i in range(1, shape[1]):
            series[:, i] = phi * series[:, i - 1] + fresh[:, i]
        return series

    return make


def _trend(total: float) -> Noise:
    return lambda rng, shape: rng.normal(size=shape) + np.linspace(0.0, total, shape[1])


def _contaminated(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.normal(size=shape) * np.where(rng.random(shape) < 0.05, 10.0, 1.0)


HELD: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.uniform(size=shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "Student t, 5 df": lambda rng, shape: rng.standard_t(5, size=shape),
    "Student t, 3 df": lambda rng, shape: rng.standard_t(3, size=shape),
    "Student t, 2 df": lambda rng, shape: rng.standard_t(2, size=shape),
    "normal, 5 % outliers x 10": _contaminated,
    "counts, Poisson 3": lambda rng, shape: rng.poisson(3, size=shape).astype(np.float64),
    "counts, Poisson 0.3": lambda rng, shape: rng.poisson(0.3, size=shape).astype(np.float64),
}
LIMITS: dict[str, Noise] = {
    "trend, 0.5 sd over all": _trend(0.5),
    "autocorrelation 0.1": _autocorrelated(0.1),
    "autocorrelation 0.2": _autocorrelated(0.2),
    "autocorrelation 0.3": _autocorrelated(0.3),
    "trend, 1 sd over all": _trend(1.0),
    "exponential (skewed)": lambda rng, shape: rng.exponential(size=shape),
    "lognormal (skewed)": lambda rng, shape: np.exp(rng.normal(size=shape)),
    "Cauchy": lambda rng, shape: rng.standard_cauchy(size=shape),
}


def alarms(noise: Array) -> tuple[int, int]:
    """Return how many series (rows) alarm at any length, and how many of them by 16 points."""
    first = np.zeros(len(noise), dtype=np.int64)
    for n in range(4, noise.shape[1] + 1):
        quiet = np.flatnonzero(first == 0)
        t, _ = largest_t(without_spikes(noise[quiet, :n]))
        for i in quiet[t > critical_t(n)].tolist():  # the rest cannot alarm
            if change_in(noise[i, :n], _floor(noise[i, :n])) is not None:
                first[i] = n
    return int(np.sum(first > 0)), int(np.sum((first > 0) & (first <= 16)))


def _floor(values: Array) -> float:
    steps = np.diff(np.unique(values))
    return float(steps.min()) / 2.0 if len(steps) else 0.0


def false_alarms(series: int) -> None:
    """Print the share of noise series of 60 points that ever alarm."""
    print(
        f"\nfalse alarms: % of {series} series of {LENGTH} points (looked at after every point)\n"
    )
    print("| noise | alarms % | of them by 16 points |")
    print("|---|---|---|")
    for seed, (name, make) in enumerate({**HELD, **LIMITS}.items()):
        noise = make(np.random.default_rng(seed), (series, LENGTH))
        total, early = alarms(noise)
        print(f"| {name} | {100 * total / series:.2f} | {100 * early / series:.2f} |", flush=True)


def power(trials: int) -> None:
    """Print how often, how soon and how exactly a step is found."""
    print(f"\na step of normal noise after K releases, 8 more after it; {trials} series each\n")
    print("| K | step (sd) | found % | by median of | exact % | one candidate % | in the set % |")
    print("|---|---|---|---|---|---|---|")
    for before in (6, 12, 30):
        for step in (3.0, 5.0, 8.0):
            print(_power_row(before, step, trials), flush=True)


def _power_row(before: int, step: float, trials: int) -> str:
    rng = np.random.default_rng(before * 100 + int(step))
    delays, exact, single, covered = [], 0, 0, 0
    for _ in range(trials):
        series = rng.normal(size=before + 8)
        series[before:] += step
        near = [one for one in change_points(series.tolist()) if abs(one.index - before) <= 3]
        if not near:
            continue
        delays.append(near[0].found_at - before)
        exact += near[0].index == before
        single += near[0].low == near[0].high
        covered += near[0].low <= before <= near[0].high
    found = len(delays)
    shares = " | ".join(f"{100 * part / max(found, 1):.0f}" for part in (exact, single, covered))
    median = f"{np.median(delays):.0f} releases" if delays else "-"
    return f"| {before} | {step:g} | {100 * found / trials:.0f} | {median} | {shares} |"


def main() -> None:
    """Print both tables and how long it took."""
    series = int(sys.argv[1]) if len(sys.argv) > 1 else SERIES
    started = time.perf_counter()
    false_alarms(series)
    power(200)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
