"""Capacity: how many streams a replica serves, and how many replicas a load needs.

Each rule is one formula; docs/serving.md has them together.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor, inf

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.monitoring.serving.types import GpuMemory, LoadStep, ModelMemory, ServedSlo

MOST_SLOTS = 10_000_000
"""Where the search for slots ends: nobody has so many."""

RAMP_SHARE = 0.999
"""Percentile of the observed ramp that a warm pool is made for."""

_HOUR_S = 3600.0
_LEAST_SEEN_S = 600.0


def find_knee(steps: Sequence[LoadStep], slo: ServedSlo) -> tuple[int | None, str]:
    """Return the place of the first step that is no good, and why; None where all are good.

    Steps come in the order of their concurrency. A step is no good where throughput per added
    stream falls under half of what the first step has per stream (the knee of Jain 1991, chapter
    33, taken at half the slope), where p95 or errors break the SLO, or where a figure is missing.
    Later steps do not count: a service that recovers at more load was lucky.
    """
    for i, step in enumerate(steps):
        missing = [
            name
            for name, figure in (
                ("throughput", step.throughput),
                ("p95_ms", step.p95_ms),
                ("error_rate", step.error_rate),
            )
            if figure is None
        ]
        if step.throughput is None or step.p95_ms is None or step.error_rate is None:
            return i, f"missing: {' and '.join(missing)}"
        if step.p95_ms > slo.p95_ms:
            return i, "p95_ms"
        if step.error_rate > slo.error_rate:
            return i, "error_rate"
        first = (steps[0].throughput or 0.0) / steps[0].concurrency
        if first <= 0:
            return i, "throughput"
        if i:
            before = steps[i - 1]
            added = step.throughput - (before.throughput or 0.0)
            if added / (step.concurrency - before.concurrency) < first / 2:
                return i, "throughput"
    return None, ""


def erlang_c(slots: int, load: float) -> float:
    """Return the chance that a call waits: M/M/c with ``load`` = arrivals * length in erlangs.

    Erlang 1917, from Erlang B by B(c) = a·B(c-1) / (c + a·B(c-1)) and C = B / (1 - a/c·(1 - B)); 1
    where the load is as large as the slots.
    """
    if load >= slots:
        return 1.0
    blocked = 1.0
    for c in range(1, slots + 1):
        blocked = load * blocked / (c + load * blocked)
    return blocked / (1.0 - load / slots * (1.0 - blocked))


def slots_for(load: float, waiting: float) -> int:
    """Return the fewest slots at which no more than ``waiting`` of the calls wait (Erlang C).

    2 erlangs need 7 slots at 1 %, 18 need 30, 180 need 214. Raises OverflowError for a load that no
    service has.
    """
    blocked, c = 1.0, 0
    while c < MOST_SLOTS:
        c += 1
        blocked = load * blocked / (c + load * blocked)
        if load < c and blocked / (1.0 - load / c * (1.0 - blocked)) <= waiting:
            return c
    raise OverflowError("more slots than can be counted out")


def busiest(slots: int, waiting: float) -> float:
    """Return the share of a pool that may be busy so that no more than ``waiting`` wait.

    The inverse of :func:`slots_for`: pools of 4, 10, 40 and 200 may be 20, 41, 66 and 84 % busy at
    1 %. A fixed utilisation is wrong at both ends.
    """
    low, high = 0.0, float(slots)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if erlang_c(slots, middle) <= waiting else (low, middle)
    return low / slots


def streams_of(rtf: float, most_busy: float) -> int:
    """Return ⌊utilisation / RTF⌋, the streams that one replica serves in real time.

    In decimal, as both were written: 0.7 / 0.1 is 7 and not 6.
    """
    return floor(Fraction(str(most_busy)) / Fraction(str(rtf)))


def warm_pool(ramp_per_s: float, startup_s: float, streams: int) -> int:
    """Return ⌈ramp per second * start-up seconds / streams per replica⌉ replicas to keep warm.

    What arrives until a replica that was asked for now can serve has to find a place.
    """
    return ceil(Fraction(str(ramp_per_s)) * Fraction(str(startup_s)) / streams)


def gpu_memory(model: ModelMemory) -> GpuMemory:
    """Return the GPU memory of a model and the caches of its streams, in GB.

    parameters * bytes * overhead + 2 * layers * kv_heads * head_dim * context * streams * kv_bytes
    (keys and values of grouped-query attention; Kwon et al. 2023, section 3): 8B parameters take
    19.2 GB in 16 bit and 4.8 in 4 bit, a stream of 8,192 tokens 1.07 GB.
    """
    weights = model.parameters_b * model.bytes * model.overhead
    numbers = 2 * model.layers * model.kv_heads * model.head_dim * model.context * model.streams
    cache = numbers * model.kv_bytes / 1e9
    return GpuMemory(weights=weights, kv_cache=cache, total=weights + cache)


def peak_of(starts: FloatArray, ends: FloatArray) -> tuple[int, float | None]:
    """Return the most intervals that hold one moment, and the first such moment.

    Intervals are closed: a session that ends as another starts is open beside it. An exact sweep
    over the sorted ends, O(n log n) (Klee 1977); the peak is always at a start. (0, None) for none.
    """
    if not len(starts):
        return 0, None
    first, last = np.sort(starts), np.sort(ends)
    # Open at a start: those that started until then less those that ended before.
    begun = np.searchsorted(first, first, side="right")
    open_then = begun - np.searchsorted(last, first, side="left")
    at = int(np.argmax(open_then))
    return int(open_then[at]), float(first[at])


def steepest_hour(starts: FloatArray) -> float | None:
    """Return the most arrivals in any hour (every one that begins with an arrival is looked at).

    Where less than an hour was seen, as many as an hour of it would have; None under ten minutes.
    """
    first = np.sort(starts)
    seen_s = float(first[-1] - first[0]) if len(first) else 0.0
    if seen_s < _LEAST_SEEN_S:
        return None
    if seen_s < _HOUR_S:
        return len(first) / seen_s * _HOUR_S
    within = np.searchsorted(first, first + _HOUR_S, side="left") - np.arange(len(first))
    return float(within.max())


def observed_ramp(starts: FloatArray, ends: FloatArray, startup_s: float) -> float | None:
    """Return how fast open sessions grow, per second: the 99.9th percentile of what was observed.

    For every second, the sessions that are more when a replica asked for then is ready, divided by
    the start-up seconds. None where the telemetry is not twice as long as a start-up.
    """
    if not len(starts):
        return None
    begin, end = float(starts.min()), float(ends.max())
    if end - begin < 2 * startup_s:
        return None
    first, last = np.sort(starts), np.sort(ends)
    seconds = np.arange(begin, end - startup_s, max(1.0, (end - begin) / 10_000_000))

    def open_at(at: FloatArray) -> FloatArray:
        begun = np.searchsorted(first, at, side="right")
        return np.asarray(begun - np.searchsorted(last, at, side="left"), dtype=float)

    rise = open_at(seconds + startup_s) - open_at(seconds)
    return max(0.0, float(np.quantile(rise, RAMP_SHARE))) / startup_s


def headroom(peak: float, growth: float, slots: int) -> float:
    """Return the share of the slots that the forecast peak leaves free; negative: too few slots.

    1 - peak * (1 + growth) / slots.
    """
    return 1.0 - peak * (1.0 + growth) / slots if slots else -inf
