"""A limit on a rate: how often a system exactly at it passes, and one at half of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.decision_quality.worlds import LONGEST, SHORTEST
from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.ceilings import FEWEST_EFFECTIVE, scores_of
from relkit.statistics.distributions import unseen
from relkit.statistics.intervals import RateEvidence, estimate_rates, group_sum
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums

CLUSTERS = (5, 6, 8, 10, 20, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speakers:
    """A world of speakers, all of it relative to the limit ``rate``.

    ``spread`` is the standard deviation of a speaker's rate as a share of the mean, beta
    distributed or ``lognormal``; ``unequal`` the sd of the log of a speaker's amount, ``each`` its
    mean in utterances; ``lost`` the share of utterances that are lost whole, within the rate.
    ``shares``: an utterance has an event or none.
    """

    name: str
    rate: float
    spread: float = 0.0
    lognormal: bool = False
    unequal: float = 0.0
    each: int = 20
    lost: float = 0.0
    shares: bool = False


def _worlds() -> Iterator[Speakers]:
    for rate in (0.15, 0.03, 0.01):
        words = Speakers(name=f"{100 * rate:g} %", rate=rate)
        skewed = replace(words, spread=1.0)
        for world, name in (
            (words, "equal speakers"),
            (replace(words, spread=0.5), "unequal speakers"),
            (skewed, "skewed speakers"),
            (replace(skewed, unequal=1.0), "skewed, unequal amounts"),
            (replace(skewed, each=100), "skewed, 100 each"),
        ):
            yield replace(world, name=f"{world.name}, {name}")
    yield Speakers(name="1 %, half of it in bursts", rate=0.01, spread=0.5, lost=0.005)
    for rate, spread in ((0.01, 2.2), (0.03, 1.25)):
        share = Speakers(name=f"{100 * rate:g} % of utterances, alike", rate=rate, shares=True)
        yield share
        yield replace(share, name=share.name.replace("alike", "differ"), spread=spread)
    yield Speakers(name="15 %, lognormal, sd 1.3", rate=0.15, spread=1.31, lognormal=True)


WORLDS = tuple(_worlds())
"""The last one is beyond what the test is made for: its figure says how far beyond."""


def draw_sums(
    world: Speakers, random: np.random.Generator, draws: int, clusters: int, *, rate: float
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return errors, units and utterances of each speaker of each draw (draws * clusters,)."""
    size = draws * clusters
    amount = np.exp(world.unequal * random.standard_normal(size) - world.unequal**2 / 2)
    many = np.maximum(1, np.round(world.each * amount)).astype(np.int64)
    lost = world.lost * rate / world.rate
    mean = (rate - lost) / (1.0 - lost)
    own = np.full(size, mean)
    if world.lognormal:
        sd = np.sqrt(np.log1p(world.spread**2))
        own = np.minimum(1.0, mean * np.exp(sd * random.standard_normal(size) - sd**2 / 2))
    elif world.spread:
        strength = (1.0 - mean) / (world.spread**2 * mean) - 1.0
        own = random.beta(mean * strength, (1.0 - mean) * strength, size)
    speaker = np.repeat(np.arange(size), many)
    if world.shares:
        events = (random.random(len(speaker)) < own[speaker]).astype(np.float64)
        return group_sum(events, speaker, size), many.astype(np.float64), many
    words = random.integers(SHORTEST, LONGEST + 1, len(speaker))
    hard = random.gamma(2.0, 0.5, len(speaker))
    errors = random.binomial(words, np.minimum(1.0, own[speaker] * hard))
    errors = np.where(random.random(len(speaker)) < lost, words, errors)
    return (
        group_sum(errors.astype(np.float64), speaker, size),
        group_sum(words.astype(np.float64), speaker, size),
        many,
    )


def limit_rows(draws: int) -> Iterator[str]:
    """Yield a line per world: by speakers, passes at the limit, by its test and by the interval.

    On the right a system at half the limit, by the same two.
    """
    for number, world in enumerate(WORLDS):
        cells = {1.0: "", 0.5: ""}
        for clusters in CLUSTERS:
            for share in tuple(cells):
                random = np.random.default_rng([number, clusters, round(10 * share)])
                drawn = draw_sums(world, random, draws, clusters, rate=share * world.rate)
                by_test, by_interval = _passes(world, drawn, draws)
                cells[share] += f"{100 * by_test:6.1f} /{100 * by_interval:5.1f}"
        yield f"{world.name:31}{cells[1.0]}   |{cells[0.5]}"


def _passes(
    world: Speakers, drawn: tuple[FloatArray, FloatArray, IntArray], draws: int
) -> tuple[float, float]:
    """Return how often the limit's test and the interval of the rate let a draw pass."""
    errors, units, utterances = drawn
    metric = RATE_METRICS["failure_rate" if world.shares else "wer_capped"]
    counted = utterances.astype(np.float64)
    columns = {"capped_errors": errors, "words": units, "with_words": counted}
    if world.shares:
        columns = {"failures": errors, "utterances": counted}
    clusters = len(errors) // draws
    sums = ClusterSums(
        slices=tuple(f"draw={i}" for i in range(draws)),
        slice_index=np.repeat(np.arange(draws), clusters),
        cluster_index=np.tile(np.arange(clusters), draws),
        columns=columns,
    )
    estimates = estimate_rates(metric, RateEvidence(sums=sums))
    high = np.array([np.inf if each.high is None else each.high for each in estimates])
    return sum(_holds(world, sums, i) for i in range(draws)) / draws, float(
        np.mean(high <= world.rate)
    )


def _holds(world: Speakers, sums: ClusterSums, draw: int) -> bool:
    """Return whether the test says that the limit holds in one draw."""
    rows = sums.slice_index == draw
    alone = ClusterSums(
        slices=("overall",),
        slice_index=np.zeros(int(rows.sum()), dtype=np.int64),
        cluster_index=sums.cluster_index[rows],
        columns={name: column[rows] for name, column in sums.columns.items()},
    )
    metric = RATE_METRICS["failure_rate" if world.shares else "wer_capped"]
    scores = scores_of(metric, RateEvidence(sums=alone), "overall")
    if scores is None or scores.clusters.effective < FEWEST_EFFECTIVE:
        return False
    reached = scores.below(np.array([world.rate]))[0] >= scores.critical
    return bool(reached) and world.rate >= unseen(scores.utterances)


LIMIT_HEAD = f"{'speakers':31}" + "".join(f"{clusters:13d}" for clusters in CLUSTERS)
