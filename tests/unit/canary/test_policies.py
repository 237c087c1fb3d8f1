"""Canary policies: what they say, and what is refused with its line."""

import pytest

from relkit.core.errors import InvalidInput
from tests.canary_data import POLICY, policy


def test_tails_are_spelled_out_and_percent_is_a_fraction() -> None:
    """Each percentile of each time is a trigger of its own; 5 % and 0.05 are the same."""
    read = policy(POLICY.replace("at: [p95, p99]}", "at: [p99, p50]}"))
    assert [trigger.id for trigger in read.watched] == [
        "failures",
        "hangups",
        "latency.p99",
        "latency.p50",
    ]
    assert [step.share for step in read.steps] == [0.25, 0.5]
    assert read.threshold == 20
    assert read.digest == policy(POLICY.replace("at: [p95, p99]}", "at: [p99, p50]} # slow")).digest


def test_several_times_of_a_tail_name_their_stage() -> None:
    """Two stages at one percentile are two triggers."""
    text = POLICY.replace(
        "{id: latency, tail: latency_ms, at: [p95, p99]}",
        "{id: stages, tail: [asr_ms, eou_ms], at: [p95]}",
    )
    assert [t.id for t in policy(text).watched][2:] == ["stages.asr_ms.p95", "stages.eou_ms.p95"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("relkit.canary/v1", "relkit.canary/v2", 'line 1: unknown schema "relkit.canary/v2"'),
        ("relkit.canary/v1", "relkit.gate/v1", "line 1: unknown schema"),
        ("name: rollout", "nmae: rollout", 'line 2: unknown key "nmae"'),
        ("control: {arm: control}", "control: {arm: canary}", "line 3: the control is the arm"),
        ("control: {arm: control}\n", "", "nothing says which turns are of the control"),
        ("{arm: canary}", '{release: "1"}', "line 4: one arm is told by its release"),
        ("{arm: canary}", "{}", 'line 4: "canary" has either a release or an arm'),
        ("slices: [language]", "slices: [language, language]", 'line 5: "language" stands twice'),
        ("slices: [language]", "slices: [latency_ms]", "line 5: .* no attribute to slice by"),
        ("slices: [language]", "slices: [user_id]", 'line 5: "user_id" names persons'),
        (
            "slices: [language]",
            "slices: [{column: language, detectable: 3}]",
            'line 5: "detectable" says nothing here',
        ),
        ("share: 50%", "share: 25%", "line 8: the share does not rise"),
        ("share: 50%", "share: 100%", 'line 8: "share: 1" is no canary'),
        ("share: 25%", "share: 0", 'line 7: "share: 0" is no canary'),
        ("detectable: 2,", "detectable: 2.5,", 'line 7: "detectable: 2.5" is not among'),
        ("min_duration: 4h", "min_duration: 4", "line 7"),
        ("from: 2026-03-01T12:00:00Z", "from: 2026-03-01T12:00:00", "line 7"),
        ("detectable: 1.5}", "detectable: 1.5, from: 2026-03-01T11:00:00Z}", "line 8: the step"),
        ("rate: failed}", "rate: failed, mode: watch}", "is not ruled|no trigger is required"),
        ("rate: failed}", "rate: failed, mean: cost}", 'line 10: trigger "failures": has one of'),
        ("rate: failed}", "rate: failed, at: [p95]}", '"at" says nothing to a rate'),
        ("rate: failed}", "rate: failed, floor: 2}", '"floor" is a rate between 0 and 1'),
        ("rate: failed}", "rate: failed, per: success}", "per turn or per session"),
        ("id: hangups", "id: failures", 'line 11: the trigger id "failures" stands twice'),
        ("tail: latency_ms", "tail: latency", 'no time "latency"'),
        ("at: [p95, p99]", "at: [p95, p95]", "names each percentile once"),
        ("at: [p95, p99]", "at: [p0]", "every turn is slower than p0"),
        ("max: 50%", "max: 100%", 'limit "hard": "max: 1" can never fire'),
        ("rate: failed, max: 50%", "budget: voice-clod", 'no budget "voice-clod"'),
        ("rate: failed, max: 50%", "rate: failed", 'lacks "max"'),
        ("limits:", "alpha: 0\nlimits:", 'line 13: "alpha: 0" is no such chance'),
        ("limits:", "max_missing: 1\nlimits:", "allows that every turn is lost"),
    ],
)
def test_what_is_senseless_is_refused_with_its_line(before: str, after: str, message: str) -> None:
    """A policy that could never fire, or never stop anything, is refused before any data."""
    assert before in POLICY
    position = POLICY.rfind(before) if before == "rate: failed}" else POLICY.find(before)
    text = POLICY[:position] + after + POLICY[position + len(before) :]
    if "mode: watch}" in after and before == "rate: failed}":
        text = text.replace("at: [p95, p99]}", "at: [p95, p99], mode: watch}")
    with pytest.raises(InvalidInput, match=message):
        policy(text)
