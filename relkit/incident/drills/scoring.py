"""What an answer to a drill is worth: points for what is right and fast, more lost for harm."""

from relkit.core.slices import OVERALL, normal_slice
from relkit.core.values import duration_s, moment
from relkit.disclosure.types import Cause
from relkit.incident.drills.types import (
    DrillAnswer,
    DrillScore,
    DrillState,
    HandedIn,
    PacketVerdict,
)
from relkit.incident.simulation.types import IncidentAnswer
from relkit.incident.types import TriageVerdict

POINTS = {
    "cause": 20,
    "first_bad": 20,
    "slice": 15,
    "target": 15,
    "detected": 10,
    "mitigated": 10,
    "packet": 10,
}
"""What each part earns when it is right."""

ALL_POINTS = sum(POINTS.values())

HARM = 150
"""Lost for a release that was blamed and is innocent, and for a rollback that nothing needed:
each more than everything else can earn."""

LEAK = 150
"""Lost for a packet that holds a secret."""

NONE_AFTER = 4.0
"""Times the par of a drill after which time earns nothing."""


def score_answer(
    state: DrillState, truth: IncidentAnswer, handed_in: HandedIn, packet: PacketVerdict | None
) -> DrillScore:
    """Return what an answer was worth; ``packet`` is None where none was sent.

    Nothing is earned for a slice, a target or a time while the cause is wrong: a guess is not
    half an answer. Times are told from the onset, and earn by the drill's par from the first alert.
    A mitigation is owed only by incidents that have a target, and a packet by all of them.
    """
    answer = handed_in.answer
    right = {(truth.verdict, truth.cause), *((also.verdict, also.cause) for also in truth.also)}
    cause = _verdict(answer) in right
    culprit = (truth.component, truth.first_bad) if truth.cause == "release" else (None, None)
    blamed = (answer.component, answer.first_bad) if answer.first_bad else (None, None)
    wrong_blame = answer.first_bad is not None and blamed != culprit
    rolled_back = [action for action in answer.actions if action.kind == "rolled_back"]
    needless = bool(rolled_back) and (
        truth.cause != "release"
        or wrong_blame
        or any(action.version not in {None, truth.target} for action in rolled_back)
    )
    accepted: set[str | None] = {_normal(text) for text in truth.slices}
    if OVERALL in accepted or truth.cause is None:
        accepted |= {None, OVERALL}
    where = None if answer.slice is None else _normal(answer.slice)
    detected = min((action.at for action in answer.actions), default=handed_in.at)
    acted = (a.at for a in answer.actions if a.kind in {"rolled_back", "mitigated"})
    mitigated = min(acted, default=None)
    leaks = 0 if packet is None else packet.leaks
    parts = {
        "cause": float(cause),
        "first_bad": float(cause and blamed == culprit),
        "slice": float(cause and (not truth.slices or where in accepted)),
        "target": float(cause and answer.target == truth.target),
        "detected": cause * _speed(state, detected, owed=truth.onset is not None),
        "mitigated": cause * _speed(state, mitigated, owed=truth.target is not None),
        "packet": float(packet is not None and packet.valid and not leaks),
    }
    words = {
        "cause": f"it was {truth.cause or truth.verdict}",
        "first_bad": "the first bad release was {} {}".format(*culprit)
        if truth.cause == "release"
        else "no release was to blame",
        "slice": f"the slice was {' or '.join(truth.slices) or 'everything'}",
        "target": f"the target was {truth.target or 'none: there is nothing to go back to'}",
        "detected": "detected late, or not what it was",
        "mitigated": "mitigated late, or not at all",
        "packet": "no packet was sent" if packet is None else "the packet that was sent fails",
    }
    harms = (
        (wrong_blame, "a release was blamed that is innocent", HARM),
        (needless, "a rollback that the incident did not need", HARM),
        (leaks > 0, "the packet gives a secret away", LEAK),
    )
    lost = [(reason, points) for harmful, reason, points in harms if harmful]
    earned = sum(round(POINTS[part] * share) for part, share in parts.items())
    return DrillScore(
        points=earned - sum(points for _, points in lost),
        of=ALL_POINTS,
        cause=cause,
        first_bad=parts["first_bad"] == 1.0,
        slice=parts["slice"] == 1.0,
        target=parts["target"] == 1.0,
        wrong_blame=wrong_blame,
        needless_rollback=needless,
        minutes_to_detect=_minutes(truth.onset, detected),
        minutes_to_mitigate=_minutes(truth.onset, mitigated),
        packet_valid=None if packet is None else packet.valid,
        leaks=leaks,
        comments=(
            *(words[part] for part, share in parts.items() if share < 1.0),
            *(() if packet is None else packet.problems),
            *(f"{reason}: {points} points lost" for reason, points in lost),
        ),
    )


def _speed(state: DrillState, at: str | None, *, owed: bool) -> float:
    """Return the share of the points for a time: 1 up to the par, 0 from four times that on."""
    if not owed:
        return 1.0
    waited = _minutes(state.began, at)
    if waited is None:
        return 0.0
    share = (NONE_AFTER - waited * 60 / duration_s(state.drill.par)) / (NONE_AFTER - 1.0)
    return min(1.0, max(0.0, share))


def _verdict(answer: DrillAnswer) -> tuple[TriageVerdict, Cause | None]:
    """Return what an answer says, in the words of triage."""
    if answer.cause is None:
        return "undetermined", None
    if answer.cause == "none":
        return "nothing", None
    return "release" if answer.cause == "release" else "not_release", answer.cause


def _normal(text: str) -> str:
    """Return a slice in its one spelling, or as it is where it is none: it is then wrong."""
    try:
        return normal_slice(text)
    except ValueError:
        return text


def _minutes(since: str | None, at: str | None) -> float | None:
    """Return the minutes from one time to another, at least 0; None where there is none."""
    if since is None or at is None:
        return None
    return round(max(0.0, (moment(at) - moment(since)).total_seconds() / 60), 1)
