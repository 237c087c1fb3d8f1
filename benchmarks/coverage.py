"""How often nominal 95 % intervals hold the truth, simulated, beside what others report.

    python -m benchmarks.coverage [--quick]

Speakers are drawn from a population whose rate or percentile is known; an interval should hold it
in 95 % of the draws. Word errors: 20 utterances of 4 to 14 words a speaker on average, the WER of a
speaker beta distributed with a standard deviation of half its mean. Latencies: 50 a speaker on
average, log-normal, speakers differing by 0.25 of the logarithm. Rare events: shares of utterances,
the share of a speaker beta distributed. Seeds are fixed; the full run stays under five minutes on
one core, the quick one under 40 s.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import NormalDist
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.slices import OVERALL
from relkit.core.values import Estimate
from relkit.statistics import intervals
from relkit.statistics.distributions import exact_ends, t_quantile
from relkit.statistics.intervals import (
    FEW_EVENTS,
    NO_ERRORS,
    RateEvidence,
    estimate_rates,
    group_sum,
    leave_one_out_spread,
)
from relkit.statistics.percentiles import TimingEvidence, estimate_percentiles
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, SliceValues

REPLICATES = 300
CLUSTERS = (5, 8, 10, 20, 50)
LOOP_RATE, LOOP_WORDS = 0.001, 200
SHORTEST, LONGEST = 4, 14
MEAN_WORDS = (SHORTEST + LONGEST) / 2
SHARES = (0.50, 0.95, 0.99)
SPEAKER_SD, UTTERANCE_SD = 0.25, 0.5

Covered = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Speakers with a mean WER, amounts log-normal with ``spread``, and perhaps loops."""

    name: str
    rate: float
    spread: float
    loops: float = 0.0

    def truth(self, *, capped: bool) -> float:
        """Return the rate of the population; amounts and rates of speakers are independent."""
        if capped:
            return (1.0 - self.loops) * self.rate + self.loops
        return self.rate + self.loops * LOOP_WORDS / MEAN_WORDS


POPULATIONS = (
    Population(name="equal speakers, 10 %", rate=0.10, spread=0.0),
    Population(name="equal speakers, 60 %", rate=0.60, spread=0.0),
    Population(name="unequal speakers, 3 %", rate=0.03, spread=1.0),
    Population(name="unequal, 3 %, 0.1 % loops", rate=0.03, spread=1.0, loops=LOOP_RATE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterances:
    """All utterances of all draws: the draw and cluster of each, its words and errors."""

    draw: IntArray
    cluster: IntArray
    words: FloatArray
    errors: FloatArray
    capped: FloatArray


def amounts(
    random: np.random.Generator, draws: int, clusters: int, mean: float, spread: float
) -> IntArray:
    """Return how many utterances each cluster of each draw has (draws * clusters,), at least 1."""
    size = draws * clusters
    wanted = mean * np.exp(spread * random.standard_normal(size) - spread**2 / 2)
    return np.maximum(1, np.round(wanted)).astype(np.int64)


def speak(
    population: Population, random: np.random.Generator, draws: int, clusters: int
) -> Utterances:
    """Return utterances with their errors."""
    many = amounts(random, draws, clusters, 20.0, population.spread)
    speaker = np.repeat(np.arange(draws * clusters), many)
    strength = (1.0 - population.rate) / (0.25 * population.rate) - 1.0
    own = random.beta(population.rate * strength, (1 - population.rate) * strength, len(many))
    words = random.integers(SHORTEST, LONGEST + 1, len(speaker))
    errors = random.binomial(words, own[speaker])
    loop = random.random(len(speaker)) < population.loops
    return Utterances(
        draw=speaker // clusters,
        cluster=speaker,
        words=words.astype(np.float64),
        errors=(errors + LOOP_WORDS * loop).astype(np.float64),
        capped=np.where(loop, words, errors).astype(np.float64),
    )


def ours(metric: str, sums: ClusterSums, truth: float) -> tuple[Covered, Covered]:
    """Return for each draw whether relkit's interval holds the truth, and whether it has one."""
    found = estimate_rates(RATE_METRICS[metric], RateEvidence(sums=sums))
    claimed = np.array([e.low is not None for e in found])
    low = np.array([e.low or 0.0 for e in found])
    high = np.array([e.high or 0.0 for e in found])
    return (low <= truth) & (truth <= high) & claimed, claimed


def textbook(errors: FloatArray, words: FloatArray, truth: float) -> tuple[Covered, Covered]:
    """Return coverage (draws,) of the linearised and of the log jackknife interval with t(C - 1).

    ``errors`` and ``words`` are (draws, C).
    """
    draws, clusters = errors.shape
    all_errors, all_words = errors.sum(1, keepdims=True), words.sum(1, keepdims=True)
    rate = all_errors / np.maximum(all_words, 1.0)
    t = float(t_quantile(0.975, np.array([clusters - 1.0]))[0])
    residual = ((errors - rate * words) ** 2).sum(1)
    half = t * np.sqrt(clusters / (clusters - 1) * residual) / all_words[:, 0]
    linear = np.abs(rate[:, 0] - truth) <= half
    left = (all_errors - errors) / (all_words - words)
    logs = np.log(left, out=np.full(left.shape, np.nan), where=left > 0)
    group = np.repeat(np.arange(draws), clusters)
    se = leave_one_out_spread(logs.ravel(), group, draws).se
    safe = np.where(rate[:, 0] > 0, rate[:, 0], 1.0)
    return linear, np.abs(np.log(safe / truth)) <= t * se


def utterance_bootstrap(
    data: Utterances, draws: int, truth: float, random: np.random.Generator, *, capped: bool
) -> Covered:
    """Return coverage (draws,) of mean +- 1.96 sd over resampled utterances, as Kaldi has it.

    Poisson weights stand for resampling with replacement, the same for every draw.
    """
    ends = np.searchsorted(data.draw, np.arange(draws + 1))
    weights = random.poisson(1.0, (REPLICATES, int(np.diff(ends).max()))).astype(np.float32)
    both = np.stack([data.capped if capped else data.errors, data.words], axis=1)
    both = both.astype(np.float32)
    held = np.zeros(draws, dtype=bool)
    for i, (first, end) in enumerate(pairwise(ends.tolist())):
        resampled = weights[:, : end - first] @ both[first:end]
        rates = resampled[:, 0] / resampled[:, 1]
        held[i] = abs(rates.mean() - truth) <= 1.96 * rates.std(ddof=1)
    return held


def word_error_rows(draws: int) -> Iterator[str]:
    """Yield a line per population, metric and number of speakers."""
    for number, population in enumerate(POPULATIONS):
        for metric in ("wer", "wer_capped"):
            capped = metric == "wer_capped"
            truth = population.truth(capped=capped)
            for clusters in CLUSTERS:
                random = np.random.default_rng([number, clusters])
                data = speak(population, random, draws, clusters)
                size = draws * clusters
                errors = group_sum(data.capped if capped else data.errors, data.cluster, size)
                words = group_sum(data.words, data.cluster, size)
                covered, claimed = ours(metric, cluster_sums(errors, words, draws), truth)
                shape = (draws, clusters)
                linear, log = textbook(errors.reshape(shape), words.reshape(shape), truth)
                naive = utterance_bootstrap(data, draws, truth, random, capped=capped)
                yield (
                    f"{population.name:26} {metric:10} {clusters:3d}"
                    f" {percent(covered[claimed])} {percent(~claimed)}"
                    f" {percent(log[claimed])} {percent(linear)} {percent(naive)}"
                )


def cluster_sums(errors: FloatArray, words: FloatArray, draws: int) -> ClusterSums:
    """Return every draw as a slice."""
    clusters = len(errors) // draws
    return ClusterSums(
        slices=tuple(f"draw={i}" for i in range(draws)),
        slice_index=np.repeat(np.arange(draws), clusters),
        cluster_index=np.tile(np.arange(clusters), draws),
        columns={
            "errors": errors,
            "capped_errors": errors,
            "words": words,
            "with_words": words / MEAN_WORDS,
        },
    )


def latencies(random: np.random.Generator, draws: int, clusters: int) -> SliceValues:
    """Return log latencies of all draws, each a slice."""
    many = amounts(random, draws, clusters, 50.0, 0.7)
    speaker = np.repeat(np.arange(draws * clusters), many)
    centre = SPEAKER_SD * random.standard_normal(len(many))
    values = centre[speaker] + UTTERANCE_SD * random.standard_normal(len(speaker))
    order = np.lexsort((values, speaker // clusters))
    return SliceValues(
        slices=tuple(f"draw={i}" for i in range(draws)),
        slice_index=(speaker // clusters)[order],
        cluster_index=(speaker % clusters)[order],
        values=np.exp(values)[order],
    )


def cluster_bootstrap(
    data: SliceValues, clusters: int, random: np.random.Generator, truths: FloatArray
) -> Covered:
    """Return coverage (draws, shares) of the 2.5 and 97.5 percentiles over resampled speakers."""
    draws = len(data.slices)
    ends = np.searchsorted(data.slice_index, np.arange(draws + 1))
    chance = np.full(clusters, 1.0 / clusters)
    held = np.zeros((draws, len(truths)), dtype=bool)
    for i, (first, end) in enumerate(pairwise(ends.tolist())):
        weights = random.multinomial(clusters, chance, REPLICATES).astype(np.float32)
        reached = np.cumsum(weights[:, data.cluster_index[first:end]], axis=1)
        for k, share in enumerate(SHARES):
            place = (reached < share * reached[:, -1:]).sum(1)
            low, high = np.quantile(data.values[first:end][place], [0.025, 0.975])
            held[i, k] = low <= truths[k] <= high
    return held


def latency_rows(draws: int) -> Iterator[str]:
    """Yield a line per number of speakers and percentile."""
    sd = float(np.hypot(SPEAKER_SD, UTTERANCE_SD))
    truths = np.exp([sd * NormalDist().inv_cdf(share) for share in SHARES])
    for clusters in (10, 20, 50):
        random = np.random.default_rng(clusters)
        data = latencies(random, draws, clusters)
        resampled = cluster_bootstrap(data, clusters, random, truths)
        for k, share in enumerate(SHARES):
            found = estimate_percentiles(share, TimingEvidence(values=data), unit="ms")
            some = np.array([e.low is not None or e.high is not None for e in found])
            low = np.array([-np.inf if e.low is None else e.low for e in found])
            high = np.array([np.inf if e.high is None else e.high for e in found])
            held = (low <= truths[k]) & (truths[k] <= high)
            both = np.isfinite(low) & np.isfinite(high)
            yield (
                f"p{round(100 * share)} {clusters:3d} {percent(held[some])} {percent(held[both])}"
                f" {percent(both)} {percent(~some)} {percent(resampled[:, k])}"
            )


SHAPES = ((40, 4), (20, 20), (10, 20), (40, 20))
RARE = (0.005, 0.01, 0.03)
STRENGTHS = (("alike", None), ("different, beta 20", 20.0), ("very different, beta 3", 3.0))
"""How much speakers differ: a beta distribution of this strength a + b, None for not at all."""


def rare_rows(draws: int) -> Iterator[str]:
    """Yield a line per kind of speakers, shape and rate: coverage, and truths above the interval.

    Then how many draws had no event and how many few, and in how many of all draws the truth was
    above such an interval; the coverage of those with few; and the exact binomial interval, which
    knows no speakers.
    """
    for number, (name, strength) in enumerate(STRENGTHS):
        for clusters, each in SHAPES:
            for rate in RARE:
                random = np.random.default_rng([number, clusters, each, round(1000 * rate)])
                own = np.full((draws, clusters), rate)
                if strength is not None:
                    own = random.beta(rate * strength, (1.0 - rate) * strength, own.shape)
                events = random.binomial(each, own)
                found = _of_events(events, each)
                held, above = _held(found, rate)
                none, few = (
                    np.array([one.method == kind for one in found])
                    for kind in (NO_ERRORS, FEW_EVENTS)
                )
                total = events.sum(axis=1).tolist()
                ends = np.array([_exact(count, clusters * each) for count in total])
                plain = (ends[:, 0] <= rate) & (rate <= ends[:, 1])
                yield (
                    f"{name:24}{clusters:3d} x {each:2d} {100 * rate:4.1f} %"
                    f"{percent(held)}{percent(above)}{percent(none)}{percent(none & above)}"
                    f"{percent(few)}{percent(few & above)}{percent(held[few])}"
                    f"{percent(plain)}{percent(ends[:, 1] < rate)}"
                )


_exact = cache(exact_ends)


def _of_events(events: IntArray, each: int) -> tuple[Estimate, ...]:
    """Return the rate of runaways of every draw, from events (draws, C); each draw is a run."""
    return tuple(_of_run(tuple(row), each) for row in np.sort(events, axis=1).tolist())


@cache  # the same few counts come again and again, and the order of speakers does not matter
def _of_run(events: tuple[int, ...], each: int) -> Estimate:
    clusters = len(events)
    sums = ClusterSums(
        slices=(OVERALL,),
        slice_index=np.zeros(clusters, dtype=np.int64),
        cluster_index=np.arange(clusters),
        columns={
            "runaways": np.array(events, dtype=np.float64),
            "utterances": np.full(clusters, float(each)),
        },
    )
    with patch.object(intervals, "exact_ends", _exact):
        return estimate_rates(RATE_METRICS["runaway_rate"], RateEvidence(sums=sums))[0]


def _held(found: tuple[Estimate, ...], truth: float) -> tuple[Covered, Covered]:
    """Return whether an interval holds the truth, and whether the truth is above it (draws,).

    An end that does not exist is open.
    """
    low = np.array([0.0 if one.low is None else one.low for one in found])
    high = np.array([1.0 if one.high is None else one.high for one in found])
    return (low <= truth) & (truth <= high), high < truth


def percent(outcomes: Covered) -> str:
    """Return a share in percent."""
    return f"{100 * outcomes.mean():9.1f}" if len(outcomes) else "        -"


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description="simulated coverage of 95 % intervals")
    parser.add_argument("--quick", action="store_true", help="fewer draws")
    quick = parser.parse_args().quick
    draws, timed_draws = (1000, 400) if quick else (10_000, 3000)
    began = time.perf_counter()
    print(f"Coverage in % of nominal 95 % intervals of WER, {draws} draws a line")
    print(f"{'':42}     ours  no claim  log t(C-1)  linear  utt. bootstrap")
    for row in word_error_rows(draws):
        print(row, flush=True)
    print(f"\nPercentiles of latency, {timed_draws} draws a line")
    print("        ours, open ends   both ends  have both  no claim  speaker bootstrap")
    for row in latency_rows(timed_draws):
        print(row, flush=True)
    rare_draws = 500 if quick else 10_000
    print(f"\nRare events among utterances, {rare_draws} draws a line")
    heads = ("ours", "above", "none", "above", "few", "above", "these", "plain", "above")
    print(f"{'':39}" + "".join(f"{head:>9}" for head in heads))
    for row in rare_rows(rare_draws):
        print(row, flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
