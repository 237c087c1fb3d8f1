"""Whole policies: equal systems, one slice doubled, and a candidate exactly at the margin."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.decision_quality.gates import (
    Judged,
    default_policy,
    evidence_of,
    fewer_flips,
    judged,
    planned_margin,
)
from benchmarks.decision_quality.tables import percent, with_error
from benchmarks.decision_quality.worlds import World, draw
from relkit.gate.evidence import replay
from relkit.gate.types import Verdict

RULES = ("wer-overall", "wer-accents", "wer-noise")
WORLDS = (
    World(name="own speakers per slice"),
    World(name="same speakers in all slices", crossed=True),
    World(name="own, uneven slices", uneven=0.5),
    World(name="own, unequal speakers", unequal=1.0),
    World(name="same, unequal amounts", crossed=True, unequal=1.0),
    World(name="own, 0.1 % loops", loops=0.001),
    World(name="same, 0.1 % loops", crossed=True, loops=0.001),
    World(name="own, 2 % baseline failed", failing=0.02),
    World(name="same, 2 % baseline failed", crossed=True, failing=0.02),
    World(name="own, 8 x 10", speakers=8, utterances=10),
    World(name="own, amounts sd 1.5", unequal=1.5),
    World(name="same, amounts sd 1.5", crossed=True, unequal=1.5),
    World(name="own, slices of unlike size", sizes=0.6),
    World(name="own, tiny slices (5 x 8)", speakers=5, utterances=8),
    World(name="own, 1 % errors", rate=0.01),
    World(name="own, skewed speakers", spread=1.0),
    World(name="same, skewed speakers", crossed=True, spread=1.0),
    World(name="own, speaker by system", taste=1.0),
    World(name="same, speaker by system", crossed=True, taste=1.0),
    World(name="own, bursts", bursts=0.05),
    World(
        name="same, 3 of 20 say most", crossed=True, speakers=20, utterances=5, heavy=3, taste=1.0
    ),
    World(name="own, all read 20 prompts", prompts=20),
    World(name="same, all read 20 prompts", crossed=True, prompts=20),
    World(name="own, all read 100 prompts", prompts=100),
)
MOST = 3
"""The first worlds are the promise's own: they get more gates."""

EQUAL_HEAD = (
    f"{'':28} margin  gates      fail   +- se undecided      pass   overall   accents     noise"
    "    bounds"
)
CHANGED_HEAD = (
    f"{'':28}   gates  2x: found      fail      pass   gates  at margin: pass   +- se undecided"
    "      fail"
)
OPEN_HEAD = f"{'':28}   overall   accents     noise    bounds"


def equal_rows(most: int, gates: int, open_: list[str]) -> Iterator[str]:
    """Yield a line per world: equal systems, and which rules failed.

    ``open_`` receives a line per world on the rules that were undecided in gates that did not fail.
    """
    together = Counter[str]()
    for number, world in enumerate(WORLDS):
        many = most if number < MOST else gates
        found = list(gates_of(world, many, np.random.default_rng([1, number]), number))
        counted = Counter(one.verdict.value for one in found)
        together.update(counted)
        failing = Counter(rule for one in found for rule in _with(one, Verdict.FAIL))
        undecided = [one for one in found if one.verdict is not Verdict.FAIL]
        lacking = Counter(rule for one in undecided for rule in _with(one, Verdict.INCONCLUSIVE))
        yield (
            f"{world.name:28} {100 * planned_margin(world):6.2f} {shares_of(counted, many)}"
            + "".join(percent(failing[rule], many) for rule in (*RULES, "bounds"))
        )
        open_.append(
            f"{world.name:28}"
            + "".join(percent(lacking[rule], many) for rule in (*RULES, "bounds"))
        )
    yield f"{'all worlds':35} {shares_of(together, together.total())}"


def changed_rows(most: int, gates: int) -> Iterator[str]:
    """Yield a line per world: a slice of 10 x 20 doubled, and all worse by the margin."""
    for number, world in enumerate(WORLDS):
        random = np.random.default_rng([2, number])
        doubled, margins = (most // 2, most) if number < MOST else (gates, gates)
        twice = list(gates_of(world, doubled, random, number, ratio=2.0))
        found = sum(one.at("wer-accents", "accent=0").verdict is Verdict.FAIL for one in twice)
        first = Counter(one.verdict.value for one in twice)
        edge = list(gates_of(world, margins, random, number, worse=planned_margin(world)))
        second = Counter(one.verdict.value for one in edge)
        yield (
            f"{world.name:28} {doubled:7d} {percent(found, doubled)}"
            f"{percent(first['fail'], doubled)}{percent(first['pass'], doubled)} {margins:7d}"
            f"      {with_error(second['pass'], margins)}"
            f"{percent(second['inconclusive'], margins)}{percent(second['fail'], margins)}"
        )


def gates_of(
    world: World,
    many: int,
    random: np.random.Generator,
    number: int,
    *,
    worse: float = 0.0,
    ratio: float = 1.0,
) -> Iterator[Judged]:
    """Yield so many gates of the shipped policy over runs of a world."""
    policy = default_policy(planned_margin(world))
    with fewer_flips():
        for k in range(many):
            drawn = draw(world, random, worse=worse, ratio=ratio)
            yield judged(policy, drawn.pairs(), 10_000 * number + k, drawn.by_repeat())


def _with(one: Judged, verdict: Verdict) -> list[str]:
    """Return the rules with this verdict, all bounds as one."""
    rules = {item.rule for item in one.results if item.verdict is verdict}
    return [*(r for r in RULES if r in rules), *(["bounds"] if rules - set(RULES) else [])]


def shares_of(counted: Counter[str], many: int) -> str:
    """Return gates, the shares of verdicts, and the standard error of the failed ones."""
    other = many - counted["fail"] - counted["inconclusive"] - counted["pass"]
    if other:
        raise AssertionError(f"{other} gates could not be judged")
    return (
        f"{many:6d}{with_error(counted['fail'], many)}"
        f"{percent(counted['inconclusive'], many)}{percent(counted['pass'], many)}"
    )


SAME_HEAD = f"{'':32}   gates      same         results      same"


def same_rows(gates: int) -> Iterator[str]:
    """Yield a line per world and change: verdicts with 2,000 flips and with 10,000."""
    for world in (WORLDS[0], WORLDS[3]):
        for ratio in (1.0, 1.4):
            random = np.random.default_rng([7, int(10 * ratio)])
            policy = default_policy(planned_margin(world))
            same, slices, agree = 0, 0, 0
            for k in range(gates):
                pairs = draw(world, random, ratio=ratio).pairs()
                full = judged(policy, pairs, k)
                with fewer_flips():
                    few = judged(policy, pairs, k)
                same += full.verdict is few.verdict
                slices += len(full.results)
                agree += sum(
                    a.verdict is b.verdict for a, b in zip(full.results, few.results, strict=True)
                )
            label = f"{world.name}, {ratio:g} x"
            agreeing = f"{slices:16d}{percent(agree, slices)}"
            yield f"{label:32} {gates:7d}{percent(same, gates)}{agreeing}"


REPLAY_HEAD = f"{'':28}    runs  equal: mean    lowest   highest  2x: mean   highest"


def replay_rows(runs: int) -> Iterator[str]:
    """Yield a line per world: what the A/A certificate says is blocked, over fresh runs."""
    for number in (0, 1, 3, 6, 8):
        world = WORLDS[number]
        policy = default_policy(planned_margin(world))
        random = np.random.default_rng([8, number])
        cells = []
        for ratio in (1.0, 2.0):
            rates = []
            for k in range(runs):
                pairs = draw(world, random, ratio=ratio).pairs()
                found = replay(policy, evidence_of(pairs, policy.rules, k), replays=400)
                rates.append(100 * (found.false_block_rate or 0.0) if found else np.nan)
            cells.append(rates)
        equal, twice = cells
        yield (
            f"{world.name:28} {runs:7d}   {np.mean(equal):10.1f}{min(equal):10.1f}"
            f"{max(equal):10.1f}{np.mean(twice):10.1f}{max(twice):10.1f}"
        )
