"""The plan: what each step takes, and what an equal canary of this traffic would suffer."""

import math

import numpy as np
import pytest

from relkit.canary.plan import assumed_units, false_rollbacks, planned_rollout
from relkit.canary.types import SampledUnits
from tests.canary_data import POLICY, policy

FOUR = POLICY[: POLICY.index("steps:")] + (
    """steps:
  - {share: 1%,  min_duration: 1h, detectable: 5}
  - {share: 5%,  min_duration: 2h, detectable: 3}
  - {share: 25%, min_duration: 4h, detectable: 2}
  - {share: 50%, min_duration: 8h, detectable: 1.5}
triggers:
  - {id: failures, rate: failed}
  - {id: latency, tail: latency_ms, at: [p50, p95]}
"""
)


def sample(sessions: int = 3000, *, rate: float = 0.02, seed: int = 1) -> SampledUnits:
    """Return units with one trigger, overall and in three slices."""
    draw = np.random.default_rng(seed)
    turns = 1 + draw.poisson(3.0, sessions)
    events = draw.binomial(turns, rate)
    return SampledUnits(
        turns=turns,
        counts={("failures", None): (turns, events), ("failures", "language"): (turns, events)},
        codes={"language": draw.choice(3, sessions, p=[0.8, 0.19, 0.01])},
        labels={"language": ("de", "en", "fr")},
        turns_per_hour=2000.0,
    )


def test_busy_services_wait_for_the_clock_and_quiet_ones_for_turns() -> None:
    """At 20,000 turns an hour a rollout takes little more than its least times together."""
    rules = policy(FOUR)
    quiet, busy = (planned_rollout(rules, assumed_units(rules, n)) for n in (2_000, 20_000))
    assert quiet.hours is not None
    assert busy.hours is not None
    assert 15 <= busy.hours < quiet.hours < 80
    assert busy.steps[-1].waits_for is None
    assert all(step.hours is not None and step.hours >= 1 for step in busy.steps)
    assert quiet.false_rollback is None
    assert quiet.assumed


def test_a_larger_harm_is_found_sooner() -> None:
    """Each step says after how many turns it finds its ratio in each trigger."""
    rules = policy(FOUR)
    plan = planned_rollout(rules, assumed_units(rules, 2_000))
    found = next(find for find in plan.steps[-1].finds if find.trigger == "failures")
    assert found.turns is not None
    assert found.hours == pytest.approx(found.turns / 2_000, rel=0.01)
    one = POLICY.replace("detectable: 1.5", "detectable: 3")
    steep = planned_rollout(policy(one), assumed_units(policy(one), 2_000)).steps[-1].finds[0]
    assert steep.turns is not None
    assert steep.turns < found.turns


def test_small_slices_stay_blind_and_are_named() -> None:
    """A language with a hundredth of the traffic could hide a harm at the end, the largest not."""
    rules = policy(POLICY.replace("detectable: 1.5", "detectable: 3"))
    plan = planned_rollout(rules, sample(20_000), runs=0)
    blind = {slice_.slice for slice_ in plan.blind if slice_.trigger == "failures"}
    assert "language=fr" in blind
    assert "language=de" not in blind


def test_a_trigger_that_nothing_measures_never_ends_a_step() -> None:
    """The plan says never, and which trigger it waits for."""
    plan = planned_rollout(policy(POLICY), sample(), runs=0)
    assert plan.steps[0].turns is None
    assert plan.steps[0].waits_for == "latency.p95"
    assert plan.hours is None


def test_false_rollbacks_stay_below_alpha_on_any_traffic() -> None:
    """Arms are drawn again 400 times over the same units; alpha is never exceeded."""
    for rate in (0.001, 0.02, 0.3):
        drawn = false_rollbacks(policy(POLICY), sample(rate=rate), runs=400)
        assert drawn.rate <= 0.05
        assert drawn.rate <= drawn.high <= drawn.rate + 4 / math.sqrt(400)
        assert drawn.runs == 400
