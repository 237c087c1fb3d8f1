"""Runs that ask every utterance several times: more answers, and no more utterances."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.decision_quality.gates import planned_margin
from benchmarks.decision_quality.power import one_of
from benchmarks.decision_quality.tables import percent, with_error
from benchmarks.decision_quality.whole import gates_of, shares_of
from benchmarks.decision_quality.worlds import World
from relkit.core.arrays import FloatArray
from relkit.gate.types import Rule, Verdict
from relkit.statistics.intervals import group_sum
from relkit.statistics.types import ClusterSums, PairedSums

ASKED_HEAD = (
    f"{'':40} margin   gates     fail   +- se undecided      pass  at margin: pass   +- se"
    "  2x: found      pass"
)
_SMALL = World(name="own speakers, 8 x 10", speakers=8, utterances=10)
_SAME = World(name="same speakers, 10 x 20", crossed=True)
_TIMES = (
    (1, 0.0, ""),
    (3, 0.0, ", the same"),
    (3, 0.3, ", 30 % anew"),
    (3, 1.0, ", all anew"),
    (10, 0.3, ", 30 % anew"),
    (10, 1.0, ", all anew"),
)
"""How often each utterance is asked, and how much of it is another answer the next time."""


def asked_rows(gates: int) -> Iterator[str]:
    """Yield a line per world, repeats and unsteadiness: whole policies, as in the other tables.

    The margin is the plan's, which knows nothing of repeats.
    """
    for number, world in enumerate((_SMALL, _SAME)):
        for times, unsteady, words in _TIMES:
            asked = replace(world, repeats=times, unsteady=unsteady)
            label = f"{world.name}, {times} x{words}"
            yield _asked_row(label, asked, gates, [12, number, times, round(10 * unsteady)])


def _asked_row(label: str, world: World, gates: int, seed: list[int]) -> str:
    random, margin = np.random.default_rng(seed), planned_margin(world)

    def counted(worse: float) -> Counter[str]:
        found = gates_of(world, gates, random, 0, worse=worse)
        return Counter(one.verdict.value for one in found)

    equal, edge = counted(0.0), counted(margin)
    twice = list(gates_of(world, gates, random, 0, ratio=2.0))
    seen = sum(one.at("wer-accents", "accent=0").verdict is Verdict.FAIL for one in twice)
    passed = sum(one.verdict is Verdict.PASS for one in twice)
    return (
        f"{label:40} {100 * margin:6.2f}  {shares_of(equal, gates)}      "
        f"{with_error(edge['pass'], gates)} {percent(seen, gates)}{percent(passed, gates)}"
    )


RARE = Rule(
    id="failures", metric="failure_rate", test="non_inferiority", margin=0.12, min_utterances=30
)
RARE_HEAD = f"{'':30}   gates   once: pass   +- se      fail  as utterances: pass   +- se      fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """Speakers with so many utterances each, to which the candidate gives no answer by chance.

    ``alike`` (rho) is how much utterances of a speaker have in common: their rates are beta
    distributed with this intraclass correlation. ``unsteady`` is the chance that an utterance is
    drawn anew in another repeat.
    """

    speakers: int
    utterances: int
    alike: float = 0.1
    unsteady: float = 0.0


def rare_rows(gates: int) -> Iterator[str]:
    """Yield a line per size, repeats and unsteadiness: a candidate at a margin of 12 points.

    It is worse by exactly that; the baseline answers all. First as the engine counts, then as if
    every answer were an utterance.
    """
    for number, world in enumerate(
        (
            Failing(speakers=6, utterances=2),
            Failing(speakers=6, utterances=5),
            Failing(speakers=12, utterances=3),
        )
    ):
        for times, unsteady, words in _TIMES:
            random = np.random.default_rng([13, number, times, round(10 * unsteady)])
            counted: tuple[Counter[Verdict], Counter[Verdict]] = (Counter(), Counter())
            for k in range(gates):
                pairs = _failures(replace(world, unsteady=unsteady), times, random)
                counted[0][one_of(RARE, pairs, k).verdict] += 1
                counted[1][one_of(RARE, _as_utterances(pairs), k).verdict] += 1
            label = f"{world.speakers} x {world.utterances}, {times} x{words}"
            yield f"{label:30}{gates:8d}   " + "           ".join(
                with_error(each[Verdict.PASS], gates) + percent(each[Verdict.FAIL], gates)
                for each in counted
            )


def _failures(world: Failing, times: int, random: np.random.Generator) -> PairedSums:
    """Return sums of a candidate that fails in 12 % of its answers, and of a perfect baseline."""
    strength = 1.0 / world.alike - 1.0
    rate = random.beta(RATE * strength, (1.0 - RATE) * strength, world.speakers)
    speaker = np.repeat(np.arange(world.speakers), world.utterances)
    first = random.random(len(speaker)) < rate[speaker]
    failures = first.astype(np.float64)
    for _ in range(1, times):
        other = random.random(len(speaker)) < rate[speaker]
        anew = random.random(len(speaker)) < world.unsteady
        failures += np.where(anew, other, first)
    by_speaker = group_sum(failures, speaker, world.speakers)
    index = np.arange(world.speakers)
    asked = np.full(world.speakers, float(times * world.utterances))

    def sums(failed: FloatArray) -> ClusterSums:
        nothing = np.zeros(world.speakers)
        return ClusterSums(
            slices=("overall",),
            slice_index=0 * index,
            cluster_index=index,
            columns={
                "failures": failed,
                "utterances": asked,
                "capped_errors": nothing,
                "words": asked,
                "with_words": asked,
                "runaways": nothing,
            },
            repeats=times,
        )

    return PairedSums(
        candidate=sums(by_speaker), baseline=sums(0.0 * by_speaker), clusters=world.speakers
    )


RATE = 0.12
"""The margin of :data:`RARE`: a candidate that fails so often is exactly at it."""


def _as_utterances(pairs: PairedSums) -> PairedSums:
    """Return the pairs as if each answer were an utterance of its own."""
    return replace(
        pairs,
        candidate=replace(pairs.candidate, repeats=1),
        baseline=replace(pairs.baseline, repeats=1),
    )
