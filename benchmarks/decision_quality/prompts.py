"""Texts that all speakers read: clustered by speakers alone, and by speakers and prompts."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.decision_quality.gates import default_policy, fewer_flips, judged, planned_margin
from benchmarks.decision_quality.tables import percent, with_error
from benchmarks.decision_quality.worlds import World, draw
from relkit.core.slices import OVERALL
from relkit.gate.types import Verdict
from relkit.statistics.differences import rate_differences
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import PairedSums

READ = (
    World(name="own, all read 20 prompts", prompts=20),
    World(name="same, all read 20 prompts", crossed=True, prompts=20),
    World(name="own, all read 100", prompts=100),
    World(name="same, all read 100", crossed=True, prompts=100),
    World(name="own, all read 8", prompts=8),
    World(name="own, 4 slices, 20 prompts", slices=4, prompts=20),
    World(name="own, 20 prompts, alike for all", prompts=20, by_prompt=0.0),
    World(name="20, 500 x 20, sd 0.3", prompts=20, by_prompt=0.3),
    World(name="100, 100 x 20, sd 0.3", slices=10, prompts=100, by_prompt=0.3),
    World(name="250, 100 x 40, sd 0.3", slices=10, utterances=40, prompts=250, by_prompt=0.3),
    World(name="145, 40 x 4, sd 0.3", slices=4, utterances=4, prompts=145, by_prompt=0.3),
)

READ_HEAD = (
    f"{'':31} gates    alone: fail   +- se at margin: pass   +- se margin"
    "   both: fail   +- se undecided      pass at margin   +- se margin  2x: found      pass"
)
COVERAGE_HEAD = f"{'':31}  runs  WER: alone      both  difference: alone      both"


def alone(pairs: PairedSums) -> PairedSums:
    """Return pairs of which nobody knows what was read."""
    return replace(
        pairs,
        candidate=replace(pairs.candidate, by_prompt=None),
        baseline=replace(pairs.baseline, by_prompt=None),
    )


def prompt_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: equal systems, a candidate at the margin, and a doubled slice.

    The margins are those of the plan: alone it does not know of prompts either.
    """
    for number, world in enumerate(READ):
        margins = {
            "alone": planned_margin(replace(world, prompts=0)),
            "both": planned_margin(world),
        }
        policies = {name: default_policy(margin) for name, margin in margins.items()}
        random = np.random.default_rng([9, number])
        verdicts: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
        seen = 0
        with fewer_flips():
            for k in range(gates):
                equal = draw(world, random).pairs()
                for name, policy in policies.items():
                    edge = draw(world, random, worse=margins[name]).pairs()
                    for case, pairs in (("equal", equal), ("edge", edge)):
                        judged_pairs = pairs if name == "both" else alone(pairs)
                        verdicts[case, name].append(judged(policy, judged_pairs, k).verdict)
                twice = judged(policies["both"], draw(world, random, ratio=2.0).pairs(), k)
                verdicts["twice", "both"].append(twice.verdict)
                seen += twice.at("wer-accents", "accent=0").verdict is Verdict.FAIL
        counted = {key: Counter(values) for key, values in verdicts.items()}
        both = counted["equal", "both"]
        yield (
            f"{world.name:31}{gates:6d}"
            f"{with_error(counted['equal', 'alone'][Verdict.FAIL], gates)}"
            f"{with_error(counted['edge', 'alone'][Verdict.PASS], gates)}"
            f" {100 * margins['alone']:6.2f} {with_error(both[Verdict.FAIL], gates)}"
            f"{percent(both[Verdict.INCONCLUSIVE], gates)}{percent(both[Verdict.PASS], gates)}"
            f"{with_error(counted['edge', 'both'][Verdict.PASS], gates)}"
            f" {100 * margins['both']:6.2f} {percent(seen, gates)}"
            f"{percent(counted['twice', 'both'][Verdict.PASS], gates)}"
        )


def coverage_rows(runs: int) -> Iterator[str]:
    """Yield a line per world: how often an interval of the whole holds the truth."""
    metric = RATE_METRICS["wer_capped"]
    for number, world in enumerate(READ):
        random = np.random.default_rng([10, number])
        values, covered = [], {"alone": 0, "both": 0}
        ends: dict[str, list[tuple[float, float]]] = {"alone": [], "both": []}
        for _ in range(runs):
            pairs = draw(world, random).pairs()
            for name, each in (("alone", alone(pairs)), ("both", pairs)):
                place = pairs.candidate.slices.index(OVERALL)
                difference = rate_differences(metric, each)[place]
                covered[name] += (difference.low or 0.0) <= 0.0 <= (difference.high or 0.0)
                value = estimate_rates(metric, RateEvidence(sums=each.candidate))[place]
                ends[name].append((value.low or 0.0, value.high or np.inf))
            values.append(value.value or 0.0)
        truth = float(np.mean(values))
        holds = {
            name: sum(low <= truth <= high for low, high in pairs_of_ends)
            for name, pairs_of_ends in ends.items()
        }
        yield (
            f"{world.name:31}{runs:6d}  {percent(holds['alone'], runs)}"
            f"{percent(holds['both'], runs)}         {percent(covered['alone'], runs)}"
            f"{percent(covered['both'], runs)}"
        )
