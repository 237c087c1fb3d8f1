"""A few speakers who say most of the words, and to whom a candidate is worse than to others."""

from collections.abc import Iterator

import numpy as np

from benchmarks.decision_quality.power import one_of
from benchmarks.decision_quality.tables import percent
from relkit.core.arrays import FloatArray
from relkit.gate.types import Rule, Verdict
from relkit.statistics.types import ClusterSums, PairedSums

RULE = Rule(id="wer-overall", metric="wer_capped", test="non_inferiority", margin=0.03)
WORDS, TIMES, RATE = 180, 30, 0.08
HEAVY_HEAD = (
    f"{'':36}   gates  worse by      pass      fail  none there: gates, pass  some there: pass"
)


def heavy_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: verdicts at a margin of 3 points, with and without such speakers.

    Each speaks 30 times as much as others. "worse by" is the mean over the words of all speakers
    there are, in points.
    """
    cases = (
        ("2 of 10, always there, at the margin", 10, 2, 0.0),
        ("1 in 10 of them, 10 speakers", 10, 0, 0.1),
        ("1 in 20 of them, 20 speakers", 20, 0, 0.05),
        ("1 in 40 of them, 40 speakers", 40, 0, 0.025),
    )
    for number, (name, speakers, always, share) in enumerate(cases):
        random = np.random.default_rng([11, number])
        verdicts: list[tuple[Verdict, bool]] = []
        for k in range(gates):
            heavy = random.random(speakers) < share
            heavy[:always] = True
            result = one_of(RULE, _pairs(heavy, random, skewed=always > 0), k)
            verdicts.append((result.verdict, bool(heavy.any())))
        part = TIMES * share / (TIMES * share + 1.0 - share)
        worse = 0.03 if always else 0.1 * part
        passed = [there for verdict, there in verdicts if verdict is Verdict.PASS]
        failed = sum(verdict is Verdict.FAIL for verdict, _ in verdicts)
        there = sum(there for _, there in verdicts)
        without = percent(passed.count(False), gates - there) if gates > there else f"{'-':>10}"
        yield (
            f"{name:36}{gates:8d}{100 * worse:10.1f}{percent(len(passed), gates)}"
            f"{percent(failed, gates)}{gates - there:14d}{without}{percent(sum(passed), there):>18}"
        )


def _pairs(heavy: np.ndarray, random: np.random.Generator, *, skewed: bool) -> PairedSums:
    """Return sums: worse by 10 points for the heavy alone, or for all by a skewed amount of 3."""
    count = len(heavy)
    words = np.where(heavy, TIMES * WORDS, WORDS)
    effect = 0.03 * random.gamma(1.0, 1.0, count) if skewed else np.where(heavy, 0.1, 0.0)
    baseline = random.binomial(words, RATE)
    candidate = random.binomial(words, RATE) + random.binomial(words, effect)

    def sums(errors: np.ndarray) -> ClusterSums:
        columns: dict[str, FloatArray] = {
            "capped_errors": errors.astype(float),
            "words": words.astype(float),
            "with_words": words / 9.0,
            "utterances": words / 9.0,
            "failures": np.zeros(count),
            "runaways": np.zeros(count),
        }
        index = np.arange(count)
        return ClusterSums(
            slices=("overall",), slice_index=0 * index, cluster_index=index, columns=columns
        )

    return PairedSums(candidate=sums(candidate), baseline=sums(baseline), clusters=count)
