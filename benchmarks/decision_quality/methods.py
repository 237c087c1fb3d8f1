"""Ways to test a family of slices, on the same draws: what was tried, and what it finds."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from benchmarks.decision_quality.worlds import World, draw
from relkit.core.arrays import FloatArray
from relkit.statistics.differences import rate_differences
from relkit.statistics.distributions import t_power, t_quantile
from relkit.statistics.families import (
    Correction,
    Family,
    family_of,
    flipped_sums,
    packed_flips,
    test_regressions,
)
from relkit.statistics.intervals import group_sum
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import Difference, PairedSums

METRIC = RATE_METRICS["wer_capped"]
SEED, FLIPS = "decision-quality", 2000

Denominator = Callable[[Family], FloatArray]


def _own(family: Family) -> FloatArray:
    return family.variance


def _half(family: Family) -> FloatArray:
    per_unit = family.variance / family.units
    return np.asarray(family.units * (per_unit + np.median(per_unit)) / 2.0, dtype=np.float64)


def _bayes(family: Family) -> FloatArray:
    """Return variances moderated by empirical Bayes (Smyth 2004, limma), by moments."""
    one = family.differences
    fourth = group_sum(one.value**4, one.slice, one.slices)
    own = np.maximum(family.variance / family.units, 1e-12)
    df = np.clip(family.variance**2 / np.maximum(fourth, 1e-12), 1.5, family.clusters)
    excess = np.var(np.log(own), ddof=1) - np.mean(2.0 / df + 2.0 / df**2)
    prior = 1e6 if excess <= 1e-3 else 2.0 / excess
    moderated = (df * own + prior * np.median(own)) / (df + prior)
    return np.asarray(family.units * moderated, dtype=np.float64)


def _pooled(family: Family) -> FloatArray:
    return np.asarray(family.dispersion * family.both, dtype=np.float64)


def _relkit(family: Family) -> FloatArray:
    return family.denominator


DENOMINATORS: Mapping[str, Denominator] = {
    "plain max-T": _own,
    "half median": _half,
    "emp. Bayes": _bayes,
    "all pooled": _pooled,
    "relkit": _relkit,
}
METHODS = ("Holm", *DENOMINATORS, "step-down")


def flipped(family: Family) -> FloatArray:
    """Return the flipped sums of all slices (flips, S)."""
    packed = packed_flips(family.differences.clusters, SEED, FLIPS)
    return np.concatenate(list(flipped_sums(family.differences, packed)))


def max_t(sums: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return single-step p-values (S,)."""
    statistic = sums / np.sqrt(np.where(denominator > 0, denominator, np.inf))
    largest = np.sort(statistic.max(axis=1))
    below = np.searchsorted(largest, statistic[0] - 1e-9)
    return np.asarray(1.0 - below / len(largest), dtype=np.float64)


def step_down(sums: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return step-down p-values (S,) (Westfall and Young 1993, algorithm 4.1)."""
    statistic = sums / np.sqrt(np.where(denominator > 0, denominator, np.inf))
    order = np.argsort(statistic[0])
    largest = np.maximum.accumulate(statistic[:, order], axis=1)
    share = (largest >= statistic[0, order] - 1e-9).mean(axis=0)
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(share[::-1])[::-1]
    return p


def by_holm(differences: Sequence[Difference]) -> FloatArray:
    """Return Holm's p-values of one-sided t tests with effective degrees of freedom (S,)."""
    p = [
        t_power(0.0, one.df, one.worsening / one.se)
        if one.se and one.df and one.worsening and one.worsening > 0
        else 1.0
        for one in differences
    ]
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.sort(p) * (len(p) - np.arange(len(p))))
    return np.minimum(adjusted, 1.0)


RATIOS = (1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0)
FOUND = 0.8


def method_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: by method the smallest ratio found, and false blocks.

    The ratio is the smallest of :data:`RATIOS` that is found in 80 % of half as many gates; a rule
    with a smaller ``detectable`` than it has to be undecided.
    """
    cases = (
        World(name="own speakers"),
        World(name="same speakers", crossed=True),
        World(name="own, unequal", unequal=1.0),
        World(name="own, uneven slices", uneven=0.7),
        World(name="own, 8 x 10", speakers=8, utterances=10),
        World(name="own, 5 x 20", speakers=5),
        World(name="own, 1 % errors", rate=0.01),
    )
    for number, world in enumerate(cases):
        random = np.random.default_rng([5, number])
        blocked = Counter[str]()
        for _ in range(gates):
            for name, p in p_values(draw(world, random).pairs()).items():
                blocked[name] += bool(p.min() <= 0.05)
        smallest: dict[str, float | str] = {}
        for ratio in RATIOS:
            found = Counter[str]()
            for _ in range(gates // 2):
                for name, p in p_values(draw(world, random, ratio=ratio).pairs()).items():
                    found[name] += bool(p[0] <= 0.05)
            for name in METHODS:
                if found[name] >= FOUND * (gates // 2):
                    smallest.setdefault(name, ratio)
            if len(smallest) == len(METHODS):
                break
        cells = (
            f"{smallest.get(name, 'none'):>8} /{100 * blocked[name] / gates:3.0f}"
            for name in METHODS
        )
        yield f"{world.name:26}" + "".join(cells)


def p_values(pairs: PairedSums) -> dict[str, FloatArray]:
    """Return the p-values of all accents by method (S,)."""
    slices = tuple(name for name in pairs.candidate.slices if name.startswith("accent="))
    family = family_of(METRIC, pairs, slices, slices)
    sums = flipped(family)
    p = {name: max_t(sums, make(family)) for name, make in DENOMINATORS.items()}
    differences = {one.slice: one for one in rate_differences(METRIC, pairs)}
    p["Holm"] = by_holm([differences[name] for name in slices])
    p["step-down"] = step_down(sums, _relkit(family))
    return p


ENDS = ("relkit", "t(C-1)", "5 %", "5 %, t(C-1)", "sign flips")


def end_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: an equal system passes 1 point / one at the margin passes.

    "relkit" is the two-sided 95 % end with effective degrees of freedom, "5 %" the one-sided one.
    """
    margin = 0.01
    for speakers in (6, 10, 20, 50):
        for kind, unequal, loops in (
            ("", 0.0, 0.0),
            (", unequal", 1.0, 0.0),
            (", loops", 1.0, 0.005),
        ):
            world = World(name="", slices=1, speakers=speakers, unequal=unequal, loops=loops)
            random = np.random.default_rng([9, speakers, int(unequal), int(1000 * loops)])
            passed: list[Counter[str]] = [Counter(), Counter()]
            for k, worse in enumerate((0.0, margin)):
                for _ in range(gates):
                    for name, high in _ends(draw(world, random, worse=worse).pairs()).items():
                        passed[k][name] += high <= margin
            cells = (
                f"{100 * passed[0][name] / gates:8.1f} /{100 * passed[1][name] / gates:4.1f}"
                for name in ENDS
            )
            yield f"{f'{speakers} speakers{kind}':26}" + "".join(cells)


def _ends(pairs: PairedSums) -> dict[str, float]:
    """Return the upper end of the overall worsening by method."""
    one = rate_differences(METRIC, pairs)[0]
    if one.worsening is None or one.se is None or one.df is None or one.high is None:
        return dict.fromkeys(ENDS, np.inf)
    df = np.array([one.df, one.clusters - 1.0])
    wide, narrow = t_quantile(0.975, df), t_quantile(0.95, df)
    return {
        "relkit": one.high,
        "t(C-1)": one.worsening + one.se * float(wide[1]),
        "5 %": one.worsening + one.se * float(narrow[0]),
        "5 %, t(C-1)": one.worsening + one.se * float(narrow[1]),
        "sign flips": _flip_end(pairs, one.worsening),
    }


def _flip_end(pairs: PairedSums, worsening: float) -> float:
    """Return d + the 97.5 % point of flipped residuals D - d n: what no denominator is in."""
    rows = pairs.candidate.slice_index == 0
    words = pairs.candidate.columns["words"][rows]
    errors = pairs.candidate.columns["capped_errors"] - pairs.baseline.columns["capped_errors"]
    residual = errors[rows] - worsening * words
    bits = np.unpackbits(
        packed_flips(len(residual), SEED, FLIPS), axis=1, count=len(residual), bitorder="little"
    )
    spread = float(np.quantile((1.0 - 2.0 * bits) @ residual, 0.975))
    return worsening + spread / float(words.sum())


SHARES = ("one family", "2.5 % each", "by slices")


def share_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: undecided accents / gates with one / false blocks by way of sharing.

    Accents and noises are two rules. "one family" is what relkit does: all slices of both are
    tested together. "2.5 % each" and "by slices" (50 / 54 of the 5 % for the accents) test them
    apart.
    """
    cases = (
        World(name="own speakers, 10 x 20"),
        World(name="own, 8 x 10", speakers=8, utterances=10),
        World(name="own, 5 x 20", speakers=5),
        World(name="own, unequal, 10 x 20", unequal=1.0),
        World(name="same speakers, 10 x 20", crossed=True),
        World(name="same speakers, 6 x 20", crossed=True, speakers=6),
    )
    for number, world in enumerate(cases):
        random = np.random.default_rng([10, number])
        undecided, without, blocked = Counter[str](), Counter[str](), Counter[str]()
        for k in range(gates):
            pairs = draw(world, random).pairs()
            for name, (open_, fails) in _shared(pairs, f"{SEED}-{k}").items():
                undecided[name] += open_
                without[name] += open_ > 0
                blocked[name] += fails
        many = gates * world.slices
        cells = (
            f"{100 * undecided[name] / many:9.1f} /{100 * without[name] / gates:4.0f}"
            f" /{100 * blocked[name] / gates:3.0f}"
            for name in SHARES
        )
        yield f"{world.name:26}" + "".join(cells)


def _shared(pairs: PairedSums, seed: str) -> dict[str, tuple[int, bool]]:
    """Return by way of sharing how many accents are undecided, and whether the gate fails."""
    accents = tuple(name for name in pairs.candidate.slices if name.startswith("accent="))
    noises = tuple(name for name in pairs.candidate.slices if name.startswith("noise="))

    def tested(slices: tuple[str, ...], alpha: float) -> tuple[int, bool]:
        found = test_regressions(
            METRIC,
            pairs,
            slices,
            seed=seed,
            detectable=2.0,
            correction=Correction(alpha=alpha),
            flips=FLIPS,
        )
        worse = [one for one in found if one.p_adjusted is not None and one.p_adjusted <= alpha]
        blind = [
            one
            for one in found
            if one.slice in accents and one not in worse and (one.excludes or np.inf) > 2.0
        ]
        return len(blind), bool(worse)

    part = len(accents) / (len(accents) + len(noises))
    return {
        "one family": tested((*accents, *noises), 0.05),
        "2.5 % each": _both(tested(accents, 0.025), tested(noises, 0.025)),
        "by slices": _both(tested(accents, 0.05 * part), tested(noises, 0.05 * (1.0 - part))),
    }


def _both(first: tuple[int, bool], second: tuple[int, bool]) -> tuple[int, bool]:
    return first[0] + second[0], first[1] or second[1]
