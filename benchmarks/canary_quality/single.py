"""One trigger alone: against the test that knows both rates, read backwards, and the guards."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.canary_quality.dense import Cells, capitals, log_evidences
from benchmarks.canary_quality.tables import median, share_of
from benchmarks.canary_quality.worlds import ALIKE, MEAN_TURNS
from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.bets import (
    RULED_OUT,
    SUSPECT_RATIO,
    THETAS,
    log_evidence,
    log_sample_ratio,
    rate_at,
)
from relkit.statistics.measured_bets import (
    DELTA_WEIGHTS,
    UnitAmounts,
    step_capitals_of_amounts,
)

_LEVELS = (20.0, 240.0)

_RULES = f"{'bets':>12}{'likelihood':>12}{'oracle':>10}{'ratio':>8}"
ORACLE_HEAD = (
    f"{'':34}{'evidence 20':>42}{'evidence 240':>42}\n{'mean turns to':34}{_RULES}{_RULES}"
)


def oracle_rows(runs: int) -> Iterator[str]:
    """Yield a line per pair of rates, share and unit: mean turns to a level, and the oracle's."""
    number = 0
    for mean_turns, unit in ((1.0, "single turns"), (MEAN_TURNS, "sessions")):
        for control, canary in ((0.02, 0.05), (0.02, 0.04), (0.005, 0.02)):
            for share in (0.5, 0.05):
                number += 1
                random = np.random.default_rng([11, number])
                times = [_race(control, canary, share, mean_turns, random) for _ in range(runs)]
                cells = ""
                for level in range(len(_LEVELS)):
                    bets, likelihood, oracle = (
                        float(np.mean([one[rule][level] for one in times])) for rule in range(3)
                    )
                    cells += f"{bets:12,.0f}{likelihood:12,.0f}{oracle:10,.0f}"
                    cells += f"{bets / oracle:8.2f}"
                name = f"{100 * control:g} -> {100 * canary:g} %, {100 * share:g} %, {unit}"
                yield f"{name:34}{cells}"


def _race(
    control: float, canary: float, share: float, mean_turns: float, random: np.random.Generator
) -> list[list[float]]:
    """Return the turns at which bets, likelihood ratios and the oracle reach each level."""
    rho = ALIKE if mean_turns > 1 else 0.0
    expected = _expected_turns(control, canary, share, mean_turns)
    every = max(1.0, expected / 100.0)
    drawn = _sessions((control, canary), share, mean_turns, 8 * expected, random)
    cells, table = _table(*drawn, every)
    bets, likelihoods = (
        log_evidences(capitals(cells, table, share, likelihoods=ratios))[:, 0]
        for ratios in (False, True)
    )
    logs = [_log_chance(cells, rate, rho) for rate in (control, canary)]
    either = np.logaddexp(math.log(1 - share) + logs[0], math.log(share) + logs[1])
    oracle = table[:, 0, 0] @ (logs[0] - either) + table[:, 0, 1] @ (logs[1] - either)
    return [
        [_reached(values, level) * every for level in _LEVELS]
        for values in (bets, likelihoods, oracle)
    ]


def _expected_turns(control: float, canary: float, share: float, mean_turns: float) -> float:
    """Return about how many turns the oracle needs to the higher level."""
    mixed = share * canary + (1 - share) * control
    growth = share * _divergence(canary, mixed) + (1 - share) * _divergence(control, mixed)
    return math.log(_LEVELS[-1]) / growth * (1 + (mean_turns - 1) * ALIKE)


def _sessions(
    rates: tuple[float, float],
    share: float,
    mean_turns: float,
    total: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.bool_], IntArray, IntArray]:
    """Return arms, turns and events of about so many turns; ``rates`` of control and canary."""
    count = int(total / mean_turns)
    arms = random.random(count) < share
    turns = 1 + random.poisson(mean_turns - 1.0, count)
    chance = np.where(arms, rates[1], rates[0])
    if mean_turns > 1:
        scale = (1 - ALIKE) / ALIKE
        chance = random.beta(chance * scale, (1 - chance) * scale)
    return arms, turns, random.binomial(turns, chance)


def _table(
    arms: NDArray[np.bool_], turns: IntArray, events: IntArray, every: float
) -> tuple[Cells, IntArray]:
    """Return the cumulative histogram (looks, 1, 2, C) of one trigger."""
    looks = (np.cumsum(turns) / every).astype(np.int64)
    keys, cell = np.unique(turns * 64 + events, return_inverse=True)
    size = int(looks[-1]) + 1
    flat = np.bincount((looks * 2 + arms) * len(keys) + cell, minlength=size * 2 * len(keys))
    table = np.cumsum(flat.reshape(size, 1, 2, len(keys)), axis=0)
    return Cells(turns=keys // 64, events=keys % 64), table


def _reached(logs: FloatArray, level: float) -> float:
    over = logs >= math.log(level)
    return float(np.argmax(over) + 1) if bool(over.any()) else math.inf


def _divergence(rate: float, other: float) -> float:
    return rate * math.log(rate / other) + (1 - rate) * math.log((1 - rate) / (1 - other))


def _log_chance(cells: Cells, rate: float, rho: float) -> FloatArray:
    """Return ln P(e | n) but for a constant: binomial, or beta-binomial with this correlation."""
    logs = []
    for n, e in zip(cells.turns.tolist(), cells.events.tolist(), strict=True):
        if not rho:
            logs.append(e * math.log(rate) + (n - e) * math.log1p(-rate))
            continue
        a, b = rate * (1 - rho) / rho, (1 - rate) * (1 - rho) / rho
        logs.append(
            math.lgamma(a + e)
            - math.lgamma(a)
            + math.lgamma(b + n - e)
            - math.lgamma(b)
            - math.lgamma(a + b + n)
            + math.lgamma(a + b)
        )
    return np.array(logs)


RULED_HEAD = f"{'':36}{'bets, ln 50':>14}{'bets, ln 20':>14}{'likelihood, 50':>16}"


def ruled_rows(runs: int) -> Iterator[str]:
    """Yield a line per harm: how often it is ruled out at a look although it is there."""
    number = 0
    for share, theta in ((0.01, 5.0), (0.05, 3.0), (0.25, 2.0), (0.5, 1.5)):
        for control in (0.01, 0.05, 0.5):
            number += 1
            random = np.random.default_rng([12, number])
            canary = rate_at(control, theta)
            total = 4 * _expected_turns(control, canary, share, MEAN_TURNS)
            lows: tuple[list[float], list[float]] = ([], [])
            for _ in range(runs):
                drawn = _sessions((control, canary), share, MEAN_TURNS, total, random)
                cells, table = _table(*drawn, total / 100)
                for ratios, low in zip((False, True), lows, strict=True):
                    logs = capitals(cells, table, share, likelihoods=ratios)
                    low.append(float(logs[:, 0, THETAS.index(theta)].min()))
            name = f"odds x {theta:g} of {100 * control:g} %, {100 * share:g} % of traffic"
            bets, twenty, likelihood = (
                share_of([low <= -math.log(odds) for low in lows[place]])
                for place, odds in ((0, RULED_OUT), (0, 20.0), (1, RULED_OUT))
            )
            yield f"{name:36}{bets}{twenty}{likelihood:>16}"


RATIO_HEAD = (
    f"{'':34}{'evidence 1,000':>16}{'chi2 .001':>16}{'on turns':>16}"
    f"{'sessions: ev.':>16}{'chi2':>10}"
)
_CHI_SQUARE = 10.828  # of one degree of freedom, at .001


def ratio_rows(runs: int) -> Iterator[str]:
    """Yield a line per share: false and true mismatches of 100 looks, and the sessions needed."""
    count = 40_000
    ends = np.arange(1, 101) * (count // 100)
    pairs = ((0.5, 0.5), (0.05, 0.05), (0.01, 0.01), (0.5, 0.47), (0.05, 0.04))
    for number, (share, real) in enumerate(pairs):
        random = np.random.default_rng([13, number])
        hits: tuple[list[float], list[float], list[float]] = ([], [], [])
        for _ in range(runs):
            arms = random.random(count) < real
            turns = 1 + random.poisson(np.where(random.random(count) < 0.1, 20.0, 3.0))
            canary = np.cumsum(arms)[ends - 1]
            logs = np.array(
                [
                    log_sample_ratio(k, n, share)
                    for k, n in zip(canary.tolist(), ends.tolist(), strict=True)
                ]
            )
            hits[0].append(_reached(logs, SUSPECT_RATIO))
            counted = (
                (canary, ends),
                (np.cumsum(turns * arms)[ends - 1], np.cumsum(turns)[ends - 1]),
            )
            for place, (k, n) in enumerate(counted):
                expected = np.asarray(n * share, dtype=np.float64)
                over = (
                    np.square(np.asarray(k, dtype=np.float64) - expected) / (expected * (1 - share))
                    > _CHI_SQUARE
                )
                hits[1 + place].append(_reached(np.where(over, 0.0, -1.0), 1.0))
        name = f"policy {100 * share:g} %, real {100 * real:g} %"
        shares = "".join(f"  {share_of([math.isfinite(at) for at in ats])}" for ats in hits)
        each = count // 100
        first, second = (
            median([at * each for at in ats]) if share != real else f"{'':>10}" for ats in hits[:2]
        )
        yield f"{name:34}{shares}{first:>16}{second}"


AMOUNT_HEAD = f"{'':34}{'false, %':>14}{'':4}{'found after turns':>18}"


def amount_rows(runs: int) -> Iterator[str]:
    """Yield a line per harm to the cost per success, evidence 20 of the one trigger, even split."""
    for number, (name, cost, success) in enumerate(
        (
            ("equal", 1.0, 0.9),
            ("cost + 20 %", 1.2, 0.9),
            ("success .90 -> .72, cost - 4 %", 0.96, 0.72),
            ("one caller costs 10,000 times", 1.0, 0.9),
        )
    ):
        random = np.random.default_rng([14, number])
        looks, per_look = 100, 100
        found = []
        for _ in range(runs):
            size = looks * per_look
            arms = random.random(size) < 0.5
            turns = 1 + random.poisson(MEAN_TURNS - 1.0, size)
            each = random.lognormal(0.0, 0.7, size) * turns
            if number == 3:
                each[np.argmax(arms)] *= 10_000.0
            amounts = each * np.where(arms, cost, 1.0)
            solved = random.random(size) < np.where(arms, success, 0.9)
            reached = math.inf
            for look in range(1, looks + 1):
                first = slice(look * per_look)
                units = UnitAmounts(
                    canary=arms[first], amounts=amounts[first], bases=solved[first].astype(float)
                )
                logs = step_capitals_of_amounts(units, 0.5)
                if log_evidence(logs, DELTA_WEIGHTS) >= math.log(20.0):
                    reached = float(turns[first].sum())
                    break
            found.append(reached)
        hits = [math.isfinite(at) for at in found]
        shown = median(found) if number in {1, 2} else f"{'':>10}"
        false = share_of(hits) if number in {0, 3} else f"{'':>14}"
        yield f"{name:34}{false}{'':4}{shown:>18}"
