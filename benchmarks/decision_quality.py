"""How often promotion decisions are right: simulated runs through the rules' own functions.

    python -m benchmarks.decision_quality [--quick]

Two systems answer the same utterances of 4 to 14 words. Speakers' error rates are beta distributed
with a standard deviation of half their mean; utterances differ in difficulty for both systems
(gamma with shape 2), so that errors clump; a system has 30 % of its errors to itself. A policy is
``wer_capped`` non-inferiority overall at the margin that the plan proposes, ``wer_capped``
no-regression over 50 slices with ``detectable: 2``, and at most 1 % runaways. Flips are the first
2,000 of a stream (decisions use 10,000). Seeds are fixed; the full run stays under six minutes on
one core, the quick one under 40 s.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from relkit.domain.slices import OVERALL
from relkit.rules.cluster_sums import (
    ClusterSums,
    FloatArray,
    IntArray,
    PairedSums,
    PairedValues,
    SliceValues,
)
from relkit.rules.differences import rate_differences
from relkit.rules.flips import flipped_sums, packed_flips
from relkit.rules.intervals import RateEvidence, estimate_rates
from relkit.rules.jackknife import group_sum
from relkit.rules.multiplicity import holm
from relkit.rules.percentile_differences import percentile_differences
from relkit.rules.power import Assumptions, SliceSize, expected_precision, smallest_margin
from relkit.rules.rate_metrics import RATE_METRICS
from relkit.rules.sign_flips import EXCUSED, Family, family_of, run_flips, test_regressions
from relkit.rules.t_power import t_power

FLIPS = 2000
METRIC = RATE_METRICS["wer_capped"]
DETECTABLE, RUNAWAYS = 2.0, 0.01
SHORTEST, LONGEST, LOOP_WORDS = 4, 14, 200
RATE = 0.08
SEED = "decision-quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Data and systems: ``speakers`` and ``utterances`` of each per slice.

    ``crossed``: the same speakers are in all slices. ``unequal`` is the sd of the log amount of a
    speaker, ``loops`` and ``failing`` are shares of utterances, ``uneven`` the sd of the log rate
    between slices.
    """

    name: str
    slices: int = 50
    speakers: int = 10
    utterances: int = 20
    crossed: bool = False
    unequal: float = 0.0
    loops: float = 0.0
    failing: float = 0.0
    uneven: float = 0.0
    rate: float = RATE
    discordance: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Utterances (U,): their slice, speaker, words, and errors of the two systems."""

    world: World
    slice: IntArray
    speaker: IntArray
    words: FloatArray
    candidate: FloatArray
    baseline: FloatArray
    runaways: FloatArray
    failed: FloatArray

    def pairs(self) -> PairedSums:
        """Return the sums, overall first."""
        world = self.world
        clusters = world.speakers * (1 if world.crossed else world.slices)
        cell = self.slice * clusters + self.speaker
        size = world.slices * clusters
        many = np.bincount(cell, minlength=size)
        used = np.flatnonzero(many)
        names = (OVERALL, *(f"accent={i}" for i in range(world.slices)))
        slice_index = np.concatenate([np.zeros(clusters, np.int64), used // clusters + 1])
        cluster_index = np.concatenate([np.arange(clusters), used % clusters])

        def sums(values: FloatArray) -> FloatArray:
            whole = group_sum(values, self.speaker, clusters)
            return np.concatenate([whole, group_sum(values, cell, size)[used]])

        common = {"words": sums(self.words), "with_words": sums(np.ones(len(cell)))}
        common["utterances"] = common["with_words"]
        common[EXCUSED + METRIC.columns[0]] = sums(self.candidate * self.failed)
        systems = [
            ClusterSums(
                slices=names,
                slice_index=slice_index,
                cluster_index=cluster_index,
                columns={**common, "capped_errors": sums(errors), "runaways": sums(runaways)},
            )
            for errors, runaways in (
                (self.candidate, self.runaways),
                (self.baseline, np.zeros(len(cell))),
            )
        ]
        return PairedSums(candidate=systems[0], baseline=systems[1], clusters=clusters)


def draw(
    world: World, random: np.random.Generator, *, worse: float = 0.0, ratio: float = 1.0
) -> Draw:
    """Return one run: the candidate ``worse`` by so much overall, and ``ratio`` in slice 0."""
    size = (world.slices, world.speakers)
    amount = np.exp(world.unequal * random.standard_normal(size) - world.unequal**2 / 2)
    many = np.maximum(1, np.round(world.utterances * amount)).astype(np.int64).ravel()
    cell = np.repeat(np.arange(len(many)), many)
    slice_ = cell // world.speakers
    speaker = cell % world.speakers if world.crossed else cell
    strength = (1.0 - world.rate) / (0.25 * world.rate) - 1.0
    people = world.speakers * (1 if world.crossed else world.slices)
    own = random.beta(world.rate * strength, (1.0 - world.rate) * strength, people)
    level = np.exp(world.uneven * random.standard_normal(world.slices) - world.uneven**2 / 2)
    level[0] = 1.0
    hard = random.gamma(2.0, 0.5, len(cell))
    p = np.minimum(0.6, own[speaker] * level[slice_] * hard)
    words = random.integers(SHORTEST, LONGEST + 1, len(cell))
    shared = random.binomial(words, p * (1.0 - world.discordance))
    errors = [shared + random.binomial(words, p * world.discordance) for _ in range(2)]
    extra = np.minimum(1.0, p * (worse / world.rate + np.where(slice_ == 0, ratio - 1.0, 0.0)))
    errors[0] = errors[0] + random.binomial(words, extra)
    loops = [random.random(len(cell)) < world.loops for _ in range(2)]
    capped = [
        np.where(loop, words, np.minimum(words, one))
        for one, loop in zip(errors, loops, strict=True)
    ]
    failed = random.random(len(cell)) < world.failing
    return Draw(
        world=world,
        slice=slice_,
        speaker=speaker,
        words=words.astype(np.float64),
        candidate=capped[0].astype(np.float64),
        baseline=np.where(failed, 0, capped[1]).astype(np.float64),
        runaways=loops[0].astype(np.float64),
        failed=failed.astype(np.float64),
    )


def planned_margin(world: World) -> float:
    """Return the margin of the plan: at it an equal system passes four times in five."""
    clusters = world.speakers * (1 if world.crossed else world.slices)
    utterances = world.utterances * world.speakers * world.slices
    size = SliceSize(
        slice=OVERALL,
        clusters=clusters,
        utterances=utterances,
        units=utterances * (SHORTEST + LONGEST) / 2,
    )
    precision = expected_precision(size, Assumptions(rate=world.rate))
    return max(0.002, smallest_margin(precision)) if precision is not None else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Verdicts of the three rules, of the whole, and whether slice 0 was the one that failed."""

    overall: str
    slices: str
    runaways: str
    found: bool

    @property
    def verdict(self) -> str:
        """The most blocking of the three."""
        three = (self.overall, self.slices, self.runaways)
        return next(v for v in ("fail", "undecided", "pass") if v in three)


def judge(pairs: PairedSums, margin: float) -> Judged:
    """Return what the default policy says about a run."""
    first = rate_differences(METRIC, pairs)[0]
    names = pairs.candidate.slices[1:]
    family = test_regressions(METRIC, pairs, names, seed=SEED, detectable=DETECTABLE, flips=FLIPS)
    worse = [one.p_adjusted is not None and one.p_adjusted <= 0.05 for one in family]
    small = [one.detects is None or one.detects > DETECTABLE for one in family]
    evidence = RateEvidence(sums=pairs.candidate)
    loops = estimate_rates(RATE_METRICS["runaway_rate"], evidence)[0]
    return Judged(
        overall=_against(first.low, first.high, margin),
        slices="fail" if any(worse) else "undecided" if any(small) else "pass",
        runaways=_against(loops.low, loops.high, RUNAWAYS),
        found=worse[0],
    )


def _against(low: float | None, high: float | None, bound: float) -> str:
    if low is None or high is None:
        return "undecided"
    return "fail" if low > bound else "pass" if high <= bound else "undecided"


WORLDS = (
    World(name="own speakers per slice"),
    World(name="same speakers in all slices", crossed=True),
    World(name="own, unequal speakers", unequal=1.0),
    World(name="same, unequal amounts", crossed=True, unequal=1.0),
    World(name="own, 0.1 % loops", loops=0.001),
    World(name="same, 0.1 % loops", crossed=True, loops=0.001),
    World(name="own, 2 % baseline failed", failing=0.02),
    World(name="same, 2 % baseline failed", crossed=True, failing=0.02),
    World(name="own, uneven slices", uneven=0.5),
    World(name="own, 8 x 10", speakers=8, utterances=10),
)


def policy_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: equal systems, and one slice doubled, through the whole policy."""
    for number, world in enumerate(WORLDS):
        margin = planned_margin(world)
        random = np.random.default_rng([1, number])
        equal = [judge(draw(world, random).pairs(), margin) for _ in range(gates)]
        doubled = [judge(draw(world, random, ratio=2.0).pairs(), margin) for _ in range(gates)]
        verdicts = Counter(one.verdict for one in equal)
        yield (
            f"{world.name:28} {100 * margin:6.2f}"
            + "".join(_percent(verdicts[v], gates) for v in ("fail", "undecided", "pass"))
            + _percent(sum(one.overall == "fail" for one in equal), gates)
            + _percent(sum(one.slices == "fail" for one in equal), gates)
            + _percent(sum(one.slices == "undecided" for one in equal), gates)
            + _percent(sum(one.found for one in doubled), gates)
            + _percent(sum(one.verdict == "pass" for one in doubled), gates)
        )


SPEAKERS = (5, 8, 10, 20, 50, 100)


def margin_rows(gates: int) -> Iterator[str]:
    """Yield a line per number of speakers and effect: non-inferiority at a margin of 1 point."""
    margin = 0.01
    for speakers in SPEAKERS:
        for label, effect in (("equal", 0.0), ("half", 0.5), ("at margin", 1.0), ("twice", 2.0)):
            shares = []
            for k, unequal in enumerate((0.0, 1.0)):
                world = World(name="", slices=1, speakers=speakers, unequal=unequal)
                random = np.random.default_rng([2, speakers, k])
                verdicts = Counter(
                    _against(one.low, one.high, margin)
                    for one in (
                        rate_differences(
                            METRIC, draw(world, random, worse=effect * margin).pairs()
                        )[0]
                        for _ in range(gates)
                    )
                )
                shares += [_percent(verdicts[v], gates) for v in ("pass", "undecided", "fail")]
            yield f"{speakers:8d}  {label:10}" + "".join(shares[:3]) + "  " + "".join(shares[3:])


def slice_rows(gates: int, counts: tuple[int, ...]) -> Iterator[str]:
    """Yield a line per number of speakers and ratio: what is said about the changed slice."""
    for speakers in counts:
        world = World(name="", speakers=speakers)
        random = np.random.default_rng([3, speakers])
        many = max(5, gates * 10 // max(speakers, 10))
        for ratio in (1.0, 1.5, 2.0, 3.0):
            verdicts: Counter[str] = Counter()
            claims = []
            for _ in range(many):
                pairs = draw(world, random, ratio=ratio).pairs()
                one = test_regressions(
                    METRIC,
                    pairs,
                    pairs.candidate.slices[1:],
                    seed=SEED,
                    detectable=DETECTABLE,
                    flips=FLIPS,
                )[0]
                worse = one.p_adjusted is not None and one.p_adjusted <= 0.05
                small = one.detects is None or one.detects > DETECTABLE
                verdicts["fail" if worse else "undecided" if small else "pass"] += 1
                claims.append(np.inf if one.detects is None else one.detects)
            shares = "".join(_percent(verdicts[v], many) for v in ("pass", "undecided", "fail"))
            yield f"{speakers:8d}  {ratio:6.1f}{shares}   {np.median(claims):7.2f}"


def claim_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: how often a regression as large as the claimed ratio is found.

    A run of equal systems says which ratio it would find; fresh runs with that ratio follow.
    """
    worlds = (
        *(World(name=f"{count} speakers", speakers=count) for count in (5, 6, 7, 8, 10, 20, 50)),
        World(name="10, same in all slices", crossed=True),
        World(name="20, same in all slices", crossed=True, speakers=20),
        World(name="10, unequal", unequal=1.0),
        World(name="10, uneven slices", uneven=0.5),
        World(name="20, 1 % errors", speakers=20, rate=0.01),
        World(name="10, 70 % discordant", discordance=0.7),
    )
    for number, world in enumerate(worlds):
        random = np.random.default_rng([4, number])
        found, claims = 0, []
        for _ in range(gates):
            pairs = draw(world, random).pairs()
            names = pairs.candidate.slices[1:]
            equal = test_regressions(
                METRIC, pairs, names, seed=SEED, detectable=DETECTABLE, flips=FLIPS
            )
            claims.append(equal[0].detects or np.inf)
        claim = float(np.median(claims))
        if np.isfinite(claim):
            for _ in range(gates):
                pairs = draw(world, random, ratio=claim).pairs()
                family = family_of(METRIC, pairs, names, names)
                found += bool(run_flips(family, SEED, flips=FLIPS).p_adjusted[0] <= 0.05)
        yield f"{world.name:28} {claim:7.2f}{_percent(found, gates)}"


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


def by_holm(pairs: PairedSums) -> FloatArray:
    """Return Holm's p-values of one-sided t tests with effective degrees of freedom (S,)."""
    p = [
        t_power(0.0, one.df, one.worsening / one.se)
        if one.se and one.df and one.worsening and one.worsening > 0
        else 1.0
        for one in rate_differences(METRIC, pairs)[1:]
    ]
    return np.array(holm(p))


def method_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: found / false blocks of each method, on the same draws."""
    cases = (
        (World(name="own speakers, 1.6 x"), 1.6),
        (World(name="same speakers, 1.6 x", crossed=True), 1.6),
        (World(name="own, unequal, 2 x", unequal=1.0), 2.0),
        (World(name="own, uneven slices, 2 x", uneven=0.7), 2.0),
        (World(name="own, 8 x 10, 2 x", speakers=8, utterances=10), 2.0),
        (World(name="own, 5 x 20, 2 x", speakers=5), 2.0),
        (World(name="own, 1 % errors, 3 x", rate=0.01), 3.0),
    )
    for number, (world, ratio) in enumerate(cases):
        random = np.random.default_rng([5, number])
        found, blocked = Counter[str](), Counter[str]()
        for _ in range(gates):
            for kind, change in ((blocked, 1.0), (found, ratio)):
                pairs = draw(world, random, ratio=change).pairs()
                slices = pairs.candidate.slices[1:]
                family = family_of(METRIC, pairs, slices, slices)
                sums = flipped(family)
                p = {name: max_t(sums, make(family)) for name, make in DENOMINATORS.items()}
                p |= {"Holm": by_holm(pairs), "step-down": step_down(sums, _relkit(family))}
                for name, values in p.items():
                    kind[name] += bool((values[0] if change > 1 else values.min()) <= 0.05)
        cells = (
            f"{100 * found[name] / gates:8.0f} /{100 * blocked[name] / gates:3.0f}"
            for name in METHODS
        )
        yield f"{world.name:26}" + "".join(cells)


def percentile_rows(runs: int) -> Iterator[str]:
    """Yield a line per kind of candidate and number of speakers: coverage of the interval.

    Log-normal latencies, 50 a speaker; contents are the same for both systems, speakers shift both.
    """
    for kind, shift, stretch in (
        ("same", 0.0, 1.0),
        ("30 % slower", 0.3, 1.0),
        ("wider", 0.0, 1.5),
    ):
        for speakers in (8, 10, 20, 50):
            random = np.random.default_rng([6, speakers])
            speaker = np.repeat(np.arange(runs * speakers), 50)
            run = speaker // speakers
            common = 0.25 * random.standard_normal(runs * speakers)[speaker]
            content = 0.4 * random.standard_normal(len(speaker))
            own = 0.3 * random.standard_normal((2, len(speaker)))
            log = common + stretch * (content + own[0]) + shift
            pairs = PairedValues(
                candidate=_ascending(run, speaker % speakers, np.exp(log), runs),
                baseline=_ascending(
                    run, speaker % speakers, np.exp(common + content + own[1]), runs
                ),
            )
            cells = ""
            for share in (0.5, 0.95, 0.99):
                z = NormalDist().inv_cdf(share)
                sd = [float(np.hypot(0.25, 0.5 * one)) for one in (stretch, 1.0)]
                truth = float(np.exp(shift + sd[0] * z) - np.exp(sd[1] * z))
                found = percentile_differences(share, pairs, unit="ms")
                held = sum(
                    (one.low is None or one.low <= truth)
                    and (one.high is None or truth <= one.high)
                    for one in found
                )
                both = sum(one.low is not None and one.high is not None for one in found)
                cells += _percent(held, runs) + _percent(both, runs)
            yield f"{kind:14}{speakers:4d}{cells}"


def _ascending(run: IntArray, speaker: IntArray, value: FloatArray, runs: int) -> SliceValues:
    order = np.lexsort((value, run))
    return SliceValues(
        slices=tuple(f"run={k}" for k in range(runs)),
        slice_index=run[order],
        cluster_index=speaker[order],
        values=value[order],
    )


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:10.1f}"


POLICY_HEAD = (
    f"{'':28} margin  eq: fail undecided      pass   overall    slices    undec."
    "  2x: found    passed"
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="how often promotion decisions are right")
    parser.add_argument("--quick", action="store_true", help="fewer gates")
    quick = parser.parse_args().quick
    began = time.perf_counter()
    gates, margins, single = (12, 40, 5) if quick else (400, 400, 40)
    tables = (
        (
            f"Whole policies over 50 slices of 10 speakers x 20 utterances, {gates} gates, %",
            POLICY_HEAD,
            policy_rows(gates),
        ),
        (
            f"Non-inferiority at 1 point, WER 8 %, 20 utterances a speaker, {margins} gates, %",
            f"{'speakers  worsening':22}pass undecided      fail   unequal: pass undecided  fail",
            margin_rows(margins),
        ),
        (
            "No regression over 50 slices: the verdict on the slice that got worse, %",
            "speakers   ratio      pass undecided      fail   detects (median)",
            slice_rows(single, SPEAKERS[:4] if quick else SPEAKERS),
        ),
        (
            f"Regressions as large as the claimed ratio, {single * 2} runs: found, %",
            f"{'':28} detects     found",
            claim_rows(single * 2),
        ),
        (
            f"Methods on the same draws, {single * 2} gates: found / false blocks, %",
            f"{'':26}" + "".join(f"{name:>12}" for name in METHODS),
            method_rows(single * 2),
        ),
        (
            f"Differences of percentiles, {margins} runs: coverage, and has both ends, %",
            f"{'speakers':>18}"
            + "".join(f"{one:>10}{'both':>10}" for one in ("p50", "p95", "p99")),
            percentile_rows(margins),
        ),
    )
    for title, head, rows in tables:
        print(f"\n{title}\n{head}")
        for row in rows:
            print(row, flush=True)
        print(f"[{time.perf_counter() - began:.0f} s]")


if __name__ == "__main__":
    main()
