"""Overload, from counts per minute: a full queue, a retry storm, a spike of one tenant class.

Every rule looks at the minutes up to one of them and says whether it holds then; the rules, with
what they were measured to find, are in docs/serving.md.
"""

from collections.abc import Iterable, Sequence
from math import erfc, exp, log, sqrt

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.monitoring.serving.types import Minutes

RECENT = 5
"""Minutes that a rule looks at, of which three have to agree: one slow minute is no overload."""

AGREEING = 3

TREND_WINDOWS = 12
"""Minutes with a value that a trend needs."""

TREND_MOST = 60
"""Minutes that a trend looks at: slow growth shows in an hour, and what was before is over."""

_TREND_P = 0.01
_WITH_LOAD_P = 0.05

RATIOS = (2.0, 3.0, 5.0, 10.0, 20.0)
"""How many times its usual calls a class is bet to have."""

_FEWEST_CALLS = 20
_BLOCKS_AN_HOUR = 60 // RECENT
_BLOCKS_A_DAY = 24 * _BLOCKS_AN_HOUR
_HOURS_BEFORE = 4 * _BLOCKS_AN_HOUR

FEWEST_BLOCKS = 10
"""Blocks of history that the dispersion of a class is estimated from, at the least."""


def theil_sen(values: FloatArray) -> float:
    """Return the median slope between every two of evenly spaced values, per step; 0 under two.

    Theil 1950, Sen 1968: up to 29 % of the values may be anything.
    """
    first, second = np.triu_indices(len(values), k=1)
    if not len(first):
        return 0.0
    return float(np.median((values[second] - values[first]) / (second - first)))


def mann_kendall(values: FloatArray, against: FloatArray | None = None) -> tuple[float, float]:
    """Return Kendall's S of values in their order, and its two-sided p; S > 0: they rise.

    S counts the pairs that rise less those that fall; its variance allows for ties (Mann 1945,
    Kendall 1975, normal approximation with continuity correction). ``against`` has the order to
    compare with instead, as numbers: S > 0 then says that both rise together.
    """
    order = np.arange(len(values), dtype=float) if against is None else against
    first, second = np.triu_indices(len(values), k=1)
    rising = np.sign(values[second] - values[first])
    s = float((rising * np.sign(order[second] - order[first])).sum())
    variance = _kendall_variance(values, order)
    if variance <= 0 or s == 0:
        return s, 1.0
    return s, erfc((abs(s) - 1) / sqrt(2 * variance))


def _kendall_variance(values: FloatArray, order: FloatArray) -> float:
    """Return the variance of S without association, ties on both sides (Kendall 1975, 4.1)."""
    n = len(values)
    if n < 3:  # noqa: PLR2004 - the formula divides by n - 2
        return 0.0
    ties = [np.unique(part, return_counts=True)[1].astype(float) for part in (values, order)]
    full = n * (n - 1) * (2 * n + 5)
    plain = full - sum(float((t * (t - 1) * (2 * t + 5)).sum()) for t in ties)
    triples = [float((t * (t - 1) * (t - 2)).sum()) for t in ties]
    pairs = [float((t * (t - 1)).sum()) for t in ties]
    variance = plain / 18 + triples[0] * triples[1] / (9 * n * (n - 1) * (n - 2))
    return variance + pairs[0] * pairs[1] / (2 * n * (n - 1))


def is_growing(values: FloatArray) -> bool | None:
    """Tell whether the last values rise: Theil-Sen slope > 0 and Mann-Kendall p < .01.

    Minutes of the last hour without a value (NaN) are passed over; None where fewer than twelve
    are left.
    """
    recent = values[-TREND_MOST:]
    recent = recent[np.isfinite(recent)]
    if len(recent) < TREND_WINDOWS:
        return None
    s, p = mann_kendall(recent)
    return theil_sen(recent) > 0 and s > 0 and p < _TREND_P


def recently(flags: Sequence[bool] | np.ndarray) -> bool:
    """Tell whether three of the last five minutes have it."""
    return int(np.count_nonzero(np.asarray(flags, dtype=bool)[-RECENT:])) >= AGREEING


def utilisation(minutes: Minutes, slots: int, service_s: float | None = None) -> FloatArray:
    """Return the share of the slots that each minute's turns keep busy, a = arrivals * service / c.

    The utilisation law (Denning & Buzen 1978). ``service_s`` is how long a turn holds a slot, in
    seconds; None: as measured in that minute. A minute without turns uses none; NaN where turns
    came and the service time is not known.
    """
    service = minutes.service_s if service_s is None else np.full(len(minutes.turns), service_s)
    busy = np.where(minutes.turns > 0, minutes.turns / 60.0 * service, 0.0)
    return busy / slots


def is_saturated(used: FloatArray, p95_ms: FloatArray, bound_ms: float) -> bool:
    """Tell whether the queue is saturated in the last minute.

    Utilisation of 1 or more in three of five minutes, or the p95 of waiting over its bound *and*
    growing. ``used`` and ``p95_ms`` are per minute, NaN where unknown.
    """
    with np.errstate(invalid="ignore"):
        full = recently(used >= 1.0)
        slow = bool(p95_ms[-1] > bound_ms) if len(p95_ms) else False
    return full or (slow and bool(is_growing(p95_ms)))


def is_slow(p95_ms: FloatArray, bound_ms: float) -> bool:
    """Tell whether p95 of waiting was over its bound in each of the last twelve minutes with one.

    That is no growth, so no saturation, and no single slow minute either.
    """
    recent = p95_ms[np.isfinite(p95_ms)][-TREND_WINDOWS:]
    return len(recent) == TREND_WINDOWS and bool((recent > bound_ms).all())


def queue_burn(waited: float, turns: float, objective: float) -> float | None:
    """Return the burn rate of "waited no longer than the bound": bad / total / (1 - objective).

    1 uses up the error budget exactly (Google SRE workbook, chapter 5). None without turns.
    """
    return waited / turns / (1.0 - objective) if turns > 0 else None


def amplification(attempts: float, first: float) -> float | None:
    """Return attempts / first attempts, None without any.

    At failure rate f and n retries it is the sum of f^k for k = 0 … n: 1.1 at 10 %, 2.8 at 75 % and
    three retries (AWS Builders' Library, "Timeouts, retries and backoff with jitter").
    """
    return attempts / first if first > 0 else None


def expected_amplification(failure_rate: float, retries: int) -> float:
    """Return the sum of f^k for k = 0 … n: what n retries make of each first attempt."""
    return float(sum(failure_rate**k for k in range(retries + 1)))


def storm_minutes(minutes: Minutes, bound: float, last: int = RECENT) -> np.ndarray:
    """Tell for each of the last minutes whether retries multiply the load more than they used to.

    Amplification at ``bound`` or more, and rising: it was under the bound in most of the minutes
    before, or over the last hour it and the offered load rise together (Kendall's S > 0, one-sided
    p < .05). Load is counted in first attempts: what retries add cannot explain retries. A service
    that always retries as much is in no storm. Under twelve minutes before nothing is rising.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(minutes.counted > 0, minutes.attempts / minutes.counted, np.nan)
    flags = np.zeros(min(last, len(ratio)), dtype=bool)
    begin = len(ratio) - len(flags)
    for i in np.nonzero(np.nan_to_num(ratio[begin:]) >= bound)[0] + begin:
        before = ratio[:i][np.isfinite(ratio[:i])]
        if len(before) < TREND_WINDOWS:
            continue
        hour = slice(max(0, int(i) + 1 - TREND_MOST), int(i) + 1)
        present = np.isfinite(ratio[hour])
        s, p = mann_kendall(ratio[hour][present], minutes.turns[hour][present])
        flags[i - begin] = np.median(before) < bound or (s > 0 and p / 2 < _WITH_LOAD_P)
    return flags


def spike_evidence(history: FloatArray, calls: float) -> tuple[float | None, float | None]:
    """Return (calls expected of a class in one block, evidence that they have multiplied).

    ``history`` has the class's calls in earlier blocks of the same length. Calls are Gamma-Poisson:
    mean and dispersion are the class's own (moments), widened by what so few blocks leave open. The
    evidence is the mean likelihood ratio of 2, 3, 5, 10 and 20 times: a fair bet, so that it
    reaches 1,000 in at most one block of a thousand (Ville 1939; Robbins 1970). (None, None) under
    ten blocks of history.
    """
    blocks = len(history)
    if blocks < FEWEST_BLOCKS:
        return None, None
    mean = (float(history.sum()) + 0.5) / blocks
    spread = max(0.0, float(history.var(ddof=1)) - mean)
    # Variance of the rate between blocks, and of its mean over the history.
    rate_variance = spread + (mean + spread) / blocks
    shape = mean**2 / rate_variance
    bets = [
        calls * log(ratio) + (calls + shape) * log((shape + mean) / (shape + ratio * mean))
        for ratio in RATIOS
    ]
    highest = max(bets)
    average = sum(exp(bet - highest) for bet in bets) / len(bets)
    return mean, exp(min(700.0, highest + log(average)))


def class_evidence(blocks: FloatArray) -> tuple[float | None, float | None]:
    """Return (calls expected, evidence) of the last block against its class's own history.

    Calls follow the day, and a spike that lasts must not become its own history: the block is held
    against the three hours that ended an hour ago, and against this time of earlier days, an hour
    around it, where there are ten blocks of them. The lesser evidence counts. Under ten blocks an
    hour or more ago all earlier blocks are the history.
    """
    calls, earlier = float(blocks[-1]) if len(blocks) else 0.0, blocks[:-1]
    hours = earlier[-_HOURS_BEFORE:-_BLOCKS_AN_HOUR]
    if len(hours) < FEWEST_BLOCKS:
        return spike_evidence(earlier[-_HOURS_BEFORE:], calls)
    back = len(earlier) - np.arange(len(earlier))
    of_day = (back + _BLOCKS_A_DAY // 2) % _BLOCKS_A_DAY - _BLOCKS_A_DAY // 2
    same_time = earlier[(np.abs(of_day) <= _BLOCKS_AN_HOUR) & (back > _BLOCKS_A_DAY // 2)]
    looks = [spike_evidence(hours, calls)]
    if len(same_time) >= FEWEST_BLOCKS:
        looks.append(spike_evidence(same_time, calls))
    return min(looks, key=lambda look: look[1] or 0.0)


def is_spike(calls: float, evidence: float, needed: float) -> bool:
    """Tell whether the calls of a block are a spike; under twenty are none, whatever was usual."""
    return calls >= _FEWEST_CALLS and evidence >= needed


def in_blocks(calls: FloatArray, size: int = RECENT) -> FloatArray:
    """Return sums of calls per minute over blocks that end with the last minute, oldest first.

    ``calls`` is (class, minute); minutes before the first whole block are left out.
    """
    whole_blocks = calls.shape[-1] // size
    recent = calls[..., calls.shape[-1] - whole_blocks * size :]
    blocks: FloatArray = recent.reshape(*calls.shape[:-1], whole_blocks, size).sum(axis=-1)
    return blocks


def hysteresis(targets: Iterable[int | None], quiet: int = 3) -> list[int]:
    """Return the level that holds in each minute: up at once, down after ``quiet`` quiet minutes.

    ``targets`` are the levels that the verdicts of each minute ask for, None where nothing is
    known: that is no quiet minute. A minute is quiet when it asks for less than what holds; after
    so many in a row what holds is the most that one of them asked for.
    """
    level, below, levels = 0, list[int](), list[int]()
    for target in targets:
        if target is None:
            below.clear()
        elif target >= level:
            level = target
            below.clear()
        else:
            below.append(target)
            if len(below) >= quiet:
                level = max(below)
                below.clear()
        levels.append(level)
    return levels
