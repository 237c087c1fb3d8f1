"""What rules about slices leave undecided, and which regressions pass them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.decision_quality.gates import default_policy, fewer_flips, judged, planned_margin
from benchmarks.decision_quality.tables import percent, with_error
from benchmarks.decision_quality.whole import gates_of
from benchmarks.decision_quality.worlds import World, draw
from relkit.gate.types import Verdict

SLICED = (
    World(name="own, equal amounts"),
    World(name="unequal, log sd 1", unequal=1.0),
    World(name="unequal, log sd 1.5", unequal=1.5),
    World(name="sizes by Zipf", zipf=True),
    World(name="1 % errors", rate=0.01),
    World(name="100 slices of 6 x 3", slices=100, speakers=6, utterances=3),
    World(name="1 in 10 speakers 2.35 times as bad", react=0.1),
    World(name="six speakers a slice", speakers=6),
    World(name="six speakers, log sd 1", speakers=6, unequal=1.0),
    World(name="heavy tails", tails=True),
    World(name="bursts", bursts=0.05),
    World(name="speaker by system", taste=1.0),
    World(name="2 % baseline failed", failing=0.02),
)
FEW = 0.2
"""The share of a slice's speakers who bring a regression of few."""

SLICED_HEAD = (
    f"{'':36} gates     fail   +- se undecided    slices    whole  at margin: pass   +- se"
)
DOUBLED_HEAD = (
    f"{'':36} gates     pass   +- se     found  by few: pass   +- se     found"
    "   in the data: gates     pass   +- se"
)
_RULES = ("wer-accents", "wer-noise")


def slice_rule_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: equal systems, and all worse by the margin.

    "undecided" are gates that do not fail and of which a slice is undecided, "slices" the share of
    slices that are, "whole" the gates that only the rule about the whole leaves undecided.
    """
    for number, world in enumerate(SLICED):
        random = np.random.default_rng([13, number])
        counts, slices = Counter[str](), 0
        for gate in gates_of(world, gates, random, number):
            failed = gate.verdict is Verdict.FAIL
            open_ = Verdict.INCONCLUSIVE in {gate.of(rule) for rule in _RULES}
            counts["fail"] += failed
            counts["open"] += open_ and not failed
            counts["whole"] += gate.verdict is Verdict.INCONCLUSIVE and not open_
            results = [item for item in gate.results if item.rule in _RULES]
            slices += len(results)
            counts["slices"] += sum(item.verdict is Verdict.INCONCLUSIVE for item in results)
        edge = sum(
            gate.verdict is Verdict.PASS
            for gate in gates_of(world, gates, random, number, worse=planned_margin(world))
        )
        yield (
            f"{world.name:36}{gates:6d}{with_error(counts['fail'], gates)}"
            f"{percent(counts['open'], gates)}{percent(counts['slices'], slices)}"
            f"{percent(counts['whole'], gates)}      {with_error(edge, gates)}"
        )


def doubled_slice_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: what is said of a slice whose rate is doubled, by all or by few.

    "in the data" are gates whose speakers of that slice are twice as bad: where those who bring it
    say little, the rate of all is doubled and that of the data is not.
    """
    for number, world in enumerate(SLICED):
        policy = default_policy(planned_margin(world))
        verdicts: dict[str, list[Verdict]] = {"all": [], "few": [], "there": []}
        with fewer_flips():
            for who, few in (("all", 0.0), ("few", FEW)):
                random = np.random.default_rng([14, number, who == "few"])
                for k in range(gates):
                    drawn = draw(replace(world, few=few), random, ratio=2.0)
                    gate = judged(policy, drawn.pairs(), 10_000 * number + k)
                    verdict = gate.at("wer-accents", "accent=0").verdict
                    verdicts[who].append(verdict)
                    if who == "few" and drawn.ratio >= 2.0:
                        verdicts["there"].append(verdict)
        cells = [
            with_error(verdicts[who].count(Verdict.PASS), gates)
            + percent(verdicts[who].count(Verdict.FAIL), gates)
            for who in ("all", "few")
        ]
        there = verdicts["there"]
        yield (
            f"{world.name:36}{gates:6d}{cells[0]}    {cells[1]}{len(there):14d}"
            f"{with_error(there.count(Verdict.PASS), len(there)) if there else ''}"
        )
