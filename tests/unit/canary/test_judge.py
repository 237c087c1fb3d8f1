"""The judge: harm rolls back, what is ruled out advances, everything else holds."""

from collections.abc import Mapping
from typing import Any

import pytest

from relkit.canary.judge import control_beside, judge_canary
from relkit.canary.types import (
    CanaryLook,
    CellKey,
    FinalRollback,
    FrozenThresholds,
    LostTurns,
    ServedRelease,
    StepTime,
)
from relkit.statistics.types import UnitCounts
from tests.canary_data import BEGAN, POLICY, counts, look, policy

UnitHistogram = Mapping[CellKey, UnitCounts]

QUIET = counts({(4, 0): 2800, (4, 1): 150, (4, 2): 30}, {(4, 0): 930, (4, 1): 50, (4, 2): 10})
HARM = counts({(4, 0): 2800, (4, 1): 150, (4, 2): 30}, {(4, 0): 800, (4, 1): 130, (4, 2): 60})
ONE = POLICY.replace("  - {id: hangups, rate: abandoned, per: session, mode: watch}\n", "").replace(
    "  - {id: latency, tail: latency_ms, at: [p95, p99]}\n", ""
)


def only(units: UnitCounts, key: str = "overall") -> UnitHistogram:
    """Return the histogram of one trigger in one slice, overall as well."""
    return {(1, "failures", "overall"): units, (1, "failures", key): units}


def judged(histogram: UnitHistogram, **changes: Any) -> Any:  # noqa: ANN401 - as CanaryLook has them
    """Judge a look by the policy with one trigger."""
    return judge_canary(policy(ONE), look(histogram, **changes))


def test_equal_arms_advance_once_the_harm_is_ruled_out() -> None:
    """Every required trigger rules out ``detectable``, and the step has lasted long enough."""
    report = judged(only(QUIET))
    assert (report.verdict, report.gate_verdict, report.reason_codes) == ("advance", "pass", ())
    assert report.next_step is not None
    assert report.next_step.share == 0.5
    assert report.checks[0].status == "ruled_out"
    assert report.checks[0].smallest_ruled_out <= 2
    assert report.evidence < 1


def test_harm_rolls_back_whatever_else_is_wrong() -> None:
    """Evidence of 1/alpha is enough, with lost turns, too, and the sentence says it."""
    report = judged(only(HARM), elapsed_h=0.1, lost=LostTurns(used=900, late=100))
    assert (report.verdict, report.gate_verdict) == ("roll_back", "fail")
    assert report.reason_codes == ("harm:failures",)
    assert report.evidence >= 20
    assert "failures in 250 of 3,960 canary turns (6.3 %), control 1.8 %" in report.reason
    assert "needed 20" in report.reason


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"elapsed_h": 3.9}, "min_duration"),
        ({"lost": LostTurns(used=980, late=20)}, "missing_data"),
        ({"lost": LostTurns(used=980, unknown_arm=20)}, "missing_data"),
        ({"lost": LostTurns(used=980, both_arms=20)}, "missing_data"),
        ({"lost": LostTurns(used=980, bad_value=20)}, "missing_data"),
        ({"suspect": ("unit_change:latency_ms",)}, "unit_change:latency_ms"),
        ({"suspect": ("stale:5 hours",)}, "stale:5 hours"),
        (
            {
                "served": (
                    ServedRelease(step=1, arm="control", release="1.4.0", turns=900),
                    ServedRelease(step=1, arm="control", release="1.4.1", turns=10),
                )
            },
            "control_changed",
        ),
        (
            {
                "served": (
                    ServedRelease(step=1, arm="canary", release="1.5.0", turns=900),
                    ServedRelease(step=1, arm="canary", release="1.5.1", turns=10),
                )
            },
            "canary_changed",
        ),
        ({"steps": (StepTime(index=1, share=0.4, since=BEGAN),)}, "sample_ratio"),
    ],
)
def test_what_is_wrong_with_the_data_holds(changes: dict[str, Any], code: str) -> None:
    """Quiet arms do not advance on data that is not fit for it."""
    report = judged(only(QUIET), **changes)
    assert (report.verdict, report.gate_verdict) == ("hold", "inconclusive")
    assert code in report.reason_codes
    assert report.reason


NOTHING = counts({}, {})
ALONE = counts({(4, 0): 2800, (4, 1): 150}, {})
FEW = counts({(4, 0): 28, (4, 1): 2}, {(4, 0): 9, (4, 1): 1})
NO_EVENT = counts({(4, 0): 300}, {(4, 0): 100})
EVERY_EVENT = counts({(4, 4): 3000}, {(4, 4): 1000})


@pytest.mark.parametrize(
    ("units", "gate", "code"),
    [
        (NOTHING, "no_data", "no_data"),
        (ALONE, "inconclusive", "one_arm"),
        (FEW, "inconclusive", "not_ruled_out:failures"),
        (NO_EVENT, "inconclusive", "not_ruled_out:failures"),
        (EVERY_EVENT, "inconclusive", "not_ruled_out:failures"),
    ],
)
def test_too_little_or_one_sided_data_never_advances(
    units: UnitCounts, gate: str, code: str
) -> None:
    """No turn, one arm, few turns, no event and nothing but events: each holds and says why."""
    report = judged(only(units))
    assert (report.verdict, report.gate_verdict) == ("hold", gate)
    assert code in report.reason_codes


def test_no_step_has_begun() -> None:
    """Before the first step there is nothing to judge."""
    report = judged({}, steps=(), elapsed_h=0.0)
    assert (report.verdict, report.gate_verdict, report.reason_codes) == (
        "hold",
        "no_data",
        ("no_data",),
    )


def test_a_trigger_that_nothing_measures_holds() -> None:
    """A required trigger without a turn is no data, and never ruled out."""
    held = FrozenThresholds(source="reference", turns=5000)
    report = judge_canary(policy(POLICY), look(only(QUIET), thresholds=held))
    assert report.verdict == "hold"
    assert "no_data:latency.p95" in report.reason_codes
    assert report.gate_verdict == "no_data"


def test_tails_wait_for_what_they_are_held_against() -> None:
    """While the first turns are still coming in, the canary is on hold and not without data."""
    report = judge_canary(policy(POLICY), look(only(QUIET)))
    assert (report.verdict, report.gate_verdict) == ("hold", "inconclusive")
    assert report.reason_codes == ("not_ruled_out:latency.p95", "not_ruled_out:latency.p99")
    assert report.reason.startswith("latency.p95 waits for the turns")


def test_a_rare_event_may_be_shown_to_be_below_the_floor() -> None:
    """Where no event is seen in many units, the rate is small enough by itself."""
    report = judged(only(counts({(4, 0): 9000}, {(4, 0): 3000})))
    assert report.verdict == "advance"
    assert report.checks[0].below_floor


def test_a_rollback_is_final() -> None:
    """Once it fired, later quiet traffic changes nothing."""
    final = FinalRollback(at=BEGAN, evidence=31.0, reason_codes=("harm:failures",))
    report = judged(only(QUIET), final=final)
    assert report.verdict == "roll_back"
    assert report.reason_codes == ("harm:failures", "final")


def test_a_broken_limit_rolls_back() -> None:
    """No comparison excuses a rate over a plain bound, once there are enough units."""
    broken = counts({(4, 0): 100}, {(4, 0): 30, (4, 4): 50})
    report = judged({**only(QUIET), (1, "limit.hard", "overall"): broken})
    assert report.reason_codes == ("limit:hard",)
    assert report.limits[0].broken
    few = counts({(4, 0): 100}, {(4, 4): 20})
    report = judged({**only(QUIET), (1, "limit.hard", "overall"): few})
    assert report.verdict == "advance"


def test_slices_share_half_of_the_stake_and_are_named() -> None:
    """A harm on one slice is found, named, and the others are said to be blind."""
    sliced = {(1, "failures", f"language={name}"): FEW for name in ("de", "en")}
    report = judged({**only(QUIET, "overall"), **sliced, (1, "failures", "language=fr"): HARM})
    assert report.verdict == "roll_back"
    assert report.reason.startswith("failures on language=fr in")
    assert report.checks[0].slice == "language=fr"
    assert sum(c.share_of_evidence for c in report.checks) == pytest.approx(1.0)
    assert {blind.slice for blind in report.blind} >= {"language=de", "language=en"}


def test_a_required_slice_is_waited_for_in_the_last_step() -> None:
    """``mode: required`` makes the last step wait, and no other."""
    text = ONE.replace("[language]", "[{column: language, mode: required, detectable: 3}]")
    cells = {**only(QUIET), (1, "failures", "language=de"): FEW}
    first = judge_canary(policy(text), look(cells))
    assert first.verdict == "advance"
    last = look(cells, elapsed_h=9, steps=(StepTime(index=2, share=0.25, since=BEGAN),))
    report = judge_canary(policy(text.replace("detectable: 1.5", "detectable: 2")), last)
    assert report.reason_codes == ("not_ruled_out:failures:language=de",)


def test_rates_that_move_while_the_share_grows_are_no_harm() -> None:
    """Everybody's rate doubles between two steps: each step is compared with itself."""
    first = counts({(4, 0): 9500, (4, 1): 300}, {(4, 0): 97, (4, 1): 3})
    second = counts({(4, 0): 4700, (4, 1): 300}, {(4, 0): 4700, (4, 1): 300})
    steps = (
        StepTime(index=1, share=0.01, since=BEGAN),
        StepTime(index=2, share=0.5, since="2026-03-01T16:00:00Z"),
    )
    cells = {(1, "failures", "overall"): first, (2, "failures", "overall"): second}
    report = judged(cells, steps=steps, elapsed_h=9)
    assert report.verdict != "roll_back"
    assert report.evidence < 1


def test_what_is_needed_shrinks_as_turns_come() -> None:
    """A hold says how many more turns and hours an equal canary takes at today's traffic."""
    few = judged(only(counts({(4, 0): 280, (4, 1): 18}, {(4, 0): 93, (4, 1): 6})))
    more = judged(only(counts({(4, 0): 560, (4, 1): 36}, {(4, 0): 186, (4, 1): 12})))
    assert few.needed is not None
    assert more.needed is not None
    assert few.needed.turns > more.needed.turns > 0
    assert few.needed.hours > 0


def test_tails_say_what_they_are_held_against() -> None:
    """Without a reference the report says that the first turns stand for it."""
    source = FrozenThresholds(source="first_turns", turns=2000)
    report = judge_canary(policy(POLICY), look(only(QUIET), thresholds=source))
    assert "first 2,000 turns of both arms" in report.notes[0]
    report = judge_canary(policy(POLICY), look(only(QUIET)))
    assert "--reference" in report.notes[0]


def test_the_look_is_judged_without_a_clock() -> None:
    """The same look gives the same report."""
    assert judged(only(HARM)) == judged(only(HARM))
    assert isinstance(look(only(HARM)), CanaryLook)


def test_control_is_shown_at_the_shares_of_the_canary() -> None:
    """Rates that double between steps make no difference that is not there."""
    first = counts({(4, 0): 9520, (4, 1): 380}, {(4, 0): 96, (4, 1): 4})
    second = counts({(4, 0): 4600, (4, 1): 400}, {(4, 0): 4600, (4, 1): 400})
    steps = (
        StepTime(index=1, share=0.01, since=BEGAN),
        StepTime(index=2, share=0.5, since="2026-03-01T16:00:00Z"),
    )
    cells = {(1, "failures", "overall"): first, (2, "failures", "overall"): second}
    check = judged(cells, steps=steps, elapsed_h=9).checks[0]
    assert check.canary.value - check.control.value > 0.005
    assert abs(check.canary.value - control_beside(check)) < 0.0005
