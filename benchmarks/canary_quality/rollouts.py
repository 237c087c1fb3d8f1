"""Whole rollouts: 1-5-25-50 %, each step until its harm is ruled out, or rolled back."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.canary_quality.dense import capitals, histograms, log_evidences, policy
from benchmarks.canary_quality.tables import share_of
from benchmarks.canary_quality.watches import LEVEL, STEPS
from benchmarks.canary_quality.worlds import (
    EQUAL,
    MEAN_TURNS,
    METRICS,
    SLICES,
    Harm,
    Sessions,
    World,
    draw,
)
from relkit.core.arrays import FloatArray
from relkit.statistics.bets import RULED_OUT, THETAS

DETECTABLE = (5.0, 3.0, 2.0, 1.5)
HOURS = (1.0, 2.0, 4.0, 8.0)
"""The least duration of each step."""

LOOK_HOURS = 0.5
MOST_HOURS = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How one ended: rolled back, or at full traffic, or neither after so many ``hours``.

    ``exposed`` are the turns that the canary served, ``step`` is where it ended.
    """

    rolled_back: bool
    full: bool
    hours: float
    exposed: int
    step: int


class _Step:
    """The sessions of a step so far, and what they make of each trigger."""

    def __init__(self) -> None:
        self.parts: list[Sessions] = []

    def capitals(self, share: float) -> tuple[FloatArray, FloatArray]:
        """Return the log capitals (6, 21, 6) of the step, and the likelihood ratios overall."""
        sessions = Sessions(
            canary=np.concatenate([part.canary for part in self.parts]),
            slice_index=np.concatenate([part.slice_index for part in self.parts]),
            turns=np.concatenate([part.turns for part in self.parts]),
            events=np.concatenate([part.events for part in self.parts], axis=1),
        )
        looks = np.zeros(len(sessions.turns), dtype=np.int64)
        tables = histograms(sessions, looks, 1)
        bets = np.stack([capitals(cells, table, share)[0] for cells, table in tables])
        ratios = [
            capitals(cells, table[:, :1], share, likelihoods=True)[0, 0] for cells, table in tables
        ]
        return bets, np.stack(ratios)


def roll_out(
    harm: Harm, turns_per_hour: int, random: np.random.Generator, *, likelihoods: bool = False
) -> Rollout:
    """Draw traffic look by look, and advance or roll back as the rules say.

    ``likelihoods``: a harm must be ruled out by its likelihood ratio, too.
    """
    before = np.zeros((len(METRICS), 1 + SLICES, len(THETAS)))
    ratios_before = np.zeros((len(METRICS), len(THETAS)))
    per_look = int(turns_per_hour * LOOK_HOURS / MEAN_TURNS)
    hours, exposed = 0.0, 0
    for number, (share, detectable, least) in enumerate(zip(STEPS, DETECTABLE, HOURS, strict=True)):
        step, since = _Step(), hours
        while True:
            sessions = draw(
                World(),
                harm,
                random,
                when=np.zeros(per_look),
                shares=np.full(per_look, share),
            )
            step.parts.append(sessions)
            hours += LOOK_HOURS
            exposed += int(sessions.turns[sessions.canary].sum())
            bets, ratios = step.capitals(share)
            logs, ratios = before + bets, ratios_before + ratios
            if float(policy(log_evidences(logs))) >= LEVEL:
                return Rollout(
                    rolled_back=True, full=False, hours=hours, exposed=exposed, step=number
                )
            place = THETAS.index(detectable)
            overall = logs[:, 0, place]
            if likelihoods:
                overall = np.maximum(overall, ratios[:, place])
            if hours - since >= least and bool(np.all(overall <= -math.log(RULED_OUT))):
                before, ratios_before = logs, ratios
                break
            if hours >= MOST_HOURS:
                return Rollout(
                    rolled_back=False, full=False, hours=hours, exposed=exposed, step=number
                )
    return Rollout(rolled_back=False, full=True, hours=hours, exposed=exposed, step=len(STEPS))


BETTER = Harm(name="better (failures x 0.5, latency - 10 %)", times=0.5, latency=0.9)
HARMS = (
    Harm(name="failures x 1.5", times=1.5),
    Harm(name="failures x 2.5", times=2.5),
    Harm(name="failures x 5", times=5.0),
    Harm(name="5 % of turns 20 x slower", slow=0.05),
    Harm(name="+15 % latency", latency=1.15),
    Harm(name="failures x 2.5 on one slice of 20", times=2.5, slices=1),
)
SOUND = (EQUAL, BETTER)

ROLLOUT_HEAD = (
    f"{'':42}{'turns/h':>8}{'rolled back':>15}{'full traffic':>15}{'hours':>8}{'canary':>9}"
    f"{'at step':>9}"
)


def rollout_rows(sound: int, harmed: int) -> Iterator[str]:
    """Yield a line per canary and traffic: how its rollouts ended, and the medians."""
    cases = [(harm, per_hour, False) for harm in (*SOUND, *HARMS) for per_hour in (2_000, 20_000)]
    cases += [(EQUAL, 2_000, True), (EQUAL, 20_000, True)]
    for number, (harm, per_hour, likelihoods) in enumerate(cases):
        random = np.random.default_rng([31, number])
        runs = [
            roll_out(harm, per_hour, random, likelihoods=likelihoods)
            for _ in range(sound if harm in SOUND else harmed)
        ]
        name = f"{harm.name}{', likelihood too' if likelihoods else ''}"
        back, full = (
            share_of([getattr(run, end) for run in runs]) for end in ("rolled_back", "full")
        )
        hours, exposed, step = (
            float(np.median([getattr(run, figure) for run in runs]))
            for figure in ("hours", "exposed", "step")
        )
        at = "-" if step == len(STEPS) else f"{100 * STEPS[int(step)]:g} %"
        yield (f"{name:42}{per_hour:8,}{back:>15}{full:>15}{hours:8.1f}{exposed:9,.0f}{at:>9}")
