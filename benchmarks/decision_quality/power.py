"""Power of single rules by speakers and effect, judged by the engine; are ends kept?"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.decision_quality.gates import evidence_of, fewer_flips
from benchmarks.decision_quality.tables import percent
from benchmarks.decision_quality.worlds import World, draw
from relkit.gate.decide import judge
from relkit.gate.types import Rule, RuleResult, Verdict
from relkit.statistics.types import PairedSums

SPEAKERS = (5, 8, 10, 20, 50, 100)
MARGIN = Rule(id="wer-overall", metric="wer_capped", test="non_inferiority", margin=0.01)
ACCENTS = Rule(id="wer-accents", metric="wer_capped", slice="accent=*", test="no_regression")
NOISE = Rule(id="wer-noise", metric="wer_capped", slice="noise=*", test="no_regression")
LOOPS = Rule(id="loops", metric="runaway_rate", slice="accent=*", test="no_regression")
TOGETHER, ALONE, SECOND = (ACCENTS, NOISE), (ACCENTS,), (ACCENTS, NOISE, LOOPS)
NAMES = {TOGETHER: "accents, noise", ALONE: "accents", SECOND: "and a 2nd metric"}
"""Policies: the shipped family, one of accents only, and the shipped one beside a second family."""

SHOWN = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)

MARGIN_HEAD = (
    "speakers  worsening       pass undecided      fail   unequal: pass undecided      fail"
)
SLICE_HEAD = (
    "speakers   ratio   gates      pass undecided      fail  excludes   alone: pass undecided"
    "      fail  excludes"
)
CLAIM_HEAD = f"{'':26}{'no_regression on':18}  excludes  2x: excluded      pass     found"


def margin_rows(gates: int) -> Iterator[str]:
    """Yield a line per number of speakers and effect: non-inferiority at a margin of 1 point."""
    margin = MARGIN.margin or 0.0
    for speakers in SPEAKERS:
        for label, effect in (("equal", 0.0), ("half", 0.5), ("at margin", 1.0), ("twice", 2.0)):
            shares = []
            for k, unequal in enumerate((0.0, 1.0)):
                world = World(name="", slices=1, speakers=speakers, unequal=unequal)
                random = np.random.default_rng([2, speakers, k])
                verdicts = Counter(
                    one_of(MARGIN, draw(world, random, worse=effect * margin).pairs(), n).verdict
                    for n in range(gates)
                )
                shares += [percent(verdicts[verdict], gates) for verdict in SHOWN]
            yield f"{speakers:8d}  {label:10}" + "".join(shares[:3]) + "     " + "".join(shares[3:])


def one_of(rule: Rule, pairs: PairedSums, number: int, rules: tuple[Rule, ...] = ()) -> RuleResult:
    """Return what the engine says of a rule, in its first slice; ``rules`` are the policy's."""
    return judge(rule, evidence_of(pairs, rules or (rule,), number))[0]


def slice_rows(gates: int, counts: tuple[int, ...]) -> Iterator[str]:
    """Yield a line per number of speakers and ratio: what is said about the changed slice.

    First in one family with the noises, as the shipped policy has it, then of accents only.
    """
    for speakers in counts:
        world = World(name="", speakers=speakers)
        random = np.random.default_rng([3, speakers])
        many = max(5, gates * 10 // max(speakers, 10))
        for ratio in (1.0, 1.5, 2.0, 3.0):
            runs = [draw(world, random, ratio=ratio).pairs() for _ in range(many)]
            cells = [_slice_cells(runs, rules) for rules in (TOGETHER, ALONE)]
            yield f"{speakers:8d}  {ratio:6.1f} {many:7d}{cells[0]}   {cells[1]}"


def _slice_cells(runs: list[PairedSums], rules: tuple[Rule, ...]) -> str:
    with fewer_flips():
        found = [one_of(ACCENTS, pairs, k, rules) for k, pairs in enumerate(runs)]
    verdicts = Counter(one.verdict for one in found)
    shares = "".join(percent(verdicts[verdict], len(runs)) for verdict in SHOWN)
    return f"{shares}{_excluded(found):10.2f}"


def _excluded(found: list[RuleResult]) -> float:
    """Return the median ratio that the data exclude; infinite where there is none."""
    return float(np.median([np.inf if one.excludes is None else one.excludes for one in found]))


def claim_rows(gates: int) -> Iterator[str]:
    """Yield a line per world: what equal systems exclude, and what is said of a doubled slice.

    How often a ratio of 2 is excluded although it is the true one, how often such a slice passes,
    and how often it is found.
    """
    named = {count: World(name=f"{count} speakers", speakers=count) for count in (5, 6, 7, 8, 10)}
    cases = (
        *((world, TOGETHER) for world in named.values()),
        *((World(name=f"{count} speakers", speakers=count), TOGETHER) for count in (20, 50)),
        (World(name="10, same in all slices", crossed=True), TOGETHER),
        (World(name="20, same in all slices", crossed=True, speakers=20), TOGETHER),
        (World(name="10, unequal", unequal=1.0), TOGETHER),
        (World(name="10, uneven slices", uneven=0.5), TOGETHER),
        (World(name="20, 1 % errors", speakers=20, rate=0.01), TOGETHER),
        (World(name="10, 70 % discordant", discordance=0.7), TOGETHER),
        *((named[count], ALONE) for count in (5, 10)),
        *((named[count], SECOND) for count in (5, 7, 8, 10)),
    )
    for number, (world, rules) in enumerate(cases):
        random = np.random.default_rng([4, number])
        with fewer_flips():
            equal, twice = (
                [one_of(ACCENTS, draw(world, random, ratio=ratio).pairs(), k, rules) for k in run]
                for ratio, run in ((1.0, range(gates // 2)), (2.0, range(gates)))
            )
        excluded = sum(one.excludes is not None and one.excludes <= 2.0 for one in twice)
        verdicts = Counter(one.verdict for one in twice)
        yield (
            f"{world.name:26}{NAMES[rules]:18}{_excluded(equal):10.2f}    "
            f"{percent(excluded, gates)}{percent(verdicts[Verdict.PASS], gates)}"
            f"{percent(verdicts[Verdict.FAIL], gates)}"
        )
