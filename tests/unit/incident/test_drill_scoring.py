"""What an answer to a drill is worth."""

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.incident.drills.scoring import ALL_POINTS, HARM, LEAK, score_answer
from relkit.incident.drills.types import (
    Drill,
    DrillAction,
    DrillAlert,
    DrillAnswer,
    DrillScore,
    DrillState,
    HandedIn,
    PacketVerdict,
)
from relkit.incident.simulation.types import IncidentAnswer, RightVerdict

ONSET = "2026-03-02T10:00:00Z"
GUILTY = IncidentAnswer(
    kind="accent",
    description="one accent is understood less",
    seed=0,
    turns_per_hour=800.0,
    now="2026-03-02T14:00:00Z",
    verdict="release",
    also=(),
    innocent=(),
    cause="release",
    component="asr",
    first_bad="2.4",
    slices=("accent=scottish", "accent=scottish&noise=car"),
    target="2.3",
    onset=ONSET,
)
INNOCENT = replace(
    GUILTY,
    verdict="not_release",
    cause="dependency",
    component=None,
    first_bad=None,
    target=None,
    slices=("overall",),
)
QUIET = replace(INNOCENT, verdict="nothing", cause=None, slices=(), onset=None)
RIGHT = DrillAnswer(
    cause="release",
    component="asr",
    first_bad="2.4",
    slice="accent=scottish",
    target="2.3",
    actions=(
        DrillAction(at="2026-03-02T10:20:00Z", kind="detected"),
        DrillAction(at="2026-03-02T10:25:00Z", kind="rolled_back", version="2.3"),
    ),
    packet="incident.packet.json",
)
HOLDS = PacketVerdict(valid=True, leaks=0)


STATE = DrillState(
    drill=Drill(
        name="night-call",
        kind="accent",
        title="Users complain",
        alerts=(DrillAlert(after="10m", name="reprompts"),),
    ),
    seed=0,
    speed=1.0,
    started="2026-11-30T03:00:00Z",
    began="2026-03-02T10:10:00Z",
    ends="2026-03-02T13:10:00Z",
)


def scored(truth: IncidentAnswer, handed_in: HandedIn, packet: PacketVerdict | None) -> DrillScore:
    """Return what an answer to the drill of these tests is worth."""
    return score_answer(STATE, truth, handed_in, packet)


def handed(answer: DrillAnswer) -> HandedIn:
    """Return an answer as it was handed in."""
    return HandedIn(at="2026-03-02T10:30:00Z", answer=answer)


def test_a_right_answer_earns_everything() -> None:
    """Cause, release, slice, target, time and a packet that holds are all of the points."""
    score = scored(GUILTY, handed(RIGHT), HOLDS)
    assert (score.points, score.of, score.comments) == (ALL_POINTS, ALL_POINTS, ())
    assert (score.minutes_to_detect, score.minutes_to_mitigate) == (20.0, 25.0)


def test_nothing_is_right_to_say_where_nothing_is_wrong() -> None:
    """An incident that is none is answered with none, and earns as much as any other."""
    answer = DrillAnswer(cause="none", packet="incident.packet.json")
    assert scored(QUIET, handed(answer), HOLDS).points == ALL_POINTS


@pytest.mark.parametrize(
    ("truth", "answer", "harm"),
    [
        (GUILTY, replace(RIGHT, first_bad="2.3"), "wrong_blame"),
        (GUILTY, replace(RIGHT, component="llm"), "wrong_blame"),
        (INNOCENT, replace(RIGHT, actions=()), "wrong_blame"),
        (QUIET, replace(RIGHT, actions=()), "wrong_blame"),
        (INNOCENT, DrillAnswer(cause="dependency", actions=RIGHT.actions), "needless_rollback"),
        (QUIET, DrillAnswer(cause="none", actions=RIGHT.actions), "needless_rollback"),
        (
            GUILTY,
            replace(
                RIGHT,
                actions=(
                    DrillAction(at="2026-03-02T10:25:00Z", kind="rolled_back", version="1.9"),
                ),
            ),
            "needless_rollback",
        ),
    ],
)
def test_harm_costs_more_than_everything_can_earn(
    truth: IncidentAnswer, answer: DrillAnswer, harm: str
) -> None:
    """A release that is blamed wrongly, and a rollback without need, end below zero."""
    score = scored(truth, handed(answer), HOLDS)
    assert getattr(score, harm)
    assert score.points < 0
    assert HARM > ALL_POINTS


def test_a_packet_that_leaks_costs_more_than_everything_can_earn() -> None:
    """The right answer with a secret in its packet ends below zero."""
    score = scored(GUILTY, handed(RIGHT), PacketVerdict(valid=True, leaks=1))
    assert score.points < 0
    assert LEAK > ALL_POINTS


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        (replace(RIGHT, slice="accent=american"), 15),
        (replace(RIGHT, slice=None), 15),
        (replace(RIGHT, slice="noise=car&accent=scottish"), 0),
        (replace(RIGHT, target="2.2", actions=RIGHT.actions[:1]), 25),
        (replace(RIGHT, actions=RIGHT.actions[:1]), 10),
        (replace(RIGHT, actions=()), 10),
    ],
)
def test_each_part_earns_its_own_points(answer: DrillAnswer, lost: int) -> None:
    """What is wrong, late or missing loses its part, and no other."""
    assert scored(GUILTY, handed(answer), HOLDS).points == ALL_POINTS - lost


def test_what_cannot_be_told_may_be_answered_so() -> None:
    """Where the traffic does not tell, "cannot be told" is as right as the truth."""
    truth = replace(INNOCENT, also=(RightVerdict(verdict="undetermined", cause=None),))
    causes: tuple[Literal["dependency"] | None, ...] = ("dependency", None)
    for cause in causes:
        answer = DrillAnswer(cause=cause, packet="p")
        score = scored(truth, handed(answer), HOLDS)
        assert (score.cause, score.first_bad, score.slice) == (True, True, True)
    assert not scored(truth, handed(DrillAnswer(cause="none")), HOLDS).cause


def test_no_packet_earns_nothing_for_it_and_is_said() -> None:
    """An answer without a packet is short of its points."""
    score = scored(GUILTY, handed(RIGHT), None)
    assert (score.points, score.packet_valid) == (ALL_POINTS - 10, None)
    assert "no packet was sent" in score.comments


@given(minutes=st.integers(0, 300), more=st.integers(0, 300))
def test_later_never_earns_more(minutes: int, more: int) -> None:
    """The points for time do not grow with it."""

    def points(after_min: int) -> int:
        at = f"2026-03-02T{10 + after_min // 60:02d}:{after_min % 60:02d}:00Z"
        action = DrillAction(at=at, kind="mitigated")
        return scored(GUILTY, handed(replace(RIGHT, actions=(action,))), HOLDS).points

    assert points(minutes + more) <= points(minutes)
