"""Faults by name, with what a right tool says of each; ``rehearsal`` makes one ready to run."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from relkit.core.codec import encode, nearest, parse
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import duration_s, fraction_of
from relkit.core.yaml_text import shown
from relkit.telemetry.simulation.traffic import rate_for
from relkit.telemetry.simulation.types import (
    CategoryShift,
    JudgedAt,
    Rehearsal,
    Scenario,
    SimulatedStep,
    TelemetryDefect,
    TrafficChange,
)

ROLLOUT = tuple(
    SimulatedStep(share=share, hours=hours)
    for share, hours in ((0.0, 6), (0.01, 4), (0.05, 4), (0.25, 5), (0.5, 5))
)
"""A day: six hours of the control alone, for a reference, then a canary that grows."""

_DAY_H = 24

_NOT_ADVANCE = ("hold", "roll_back")

_HARM = TrafficChange(quantity="failures", factor=2.5, arm="canary")

_ALL = (
    Scenario(
        name="equal",
        description="no fault: the canary is the control under another number",
        expected={
            "canary": ("advance", "hold"),
            "drift": ("quiet",),
            "cost": ("pass", "inconclusive"),
            "health": ("ok",),
        },
    ),
    Scenario(
        name="better",
        description="the canary fails 40 % less and answers 8 % faster",
        expected={"canary": ("advance", "hold")},
        changes=(
            TrafficChange(quantity="failures", factor=0.6, arm="canary"),
            TrafficChange(quantity="latency_ms", factor=0.92, arm="canary"),
        ),
    ),
    Scenario(
        name="harm",
        description="the canary fails 2.5 times as often, everywhere",
        expected={"canary": ("roll_back",)},
        changes=(_HARM,),
    ),
    Scenario(
        name="slice",
        description="the canary fails 6 times as often in one language (de)",
        expected={"canary": ("roll_back",)},
        changes=(
            TrafficChange(quantity="failures", factor=6.0, arm="canary", only={"language": "de"}),
        ),
    ),
    Scenario(
        name="tails",
        description="5 % of the canary's turns wait far longer for the language model",
        expected={"canary": ("roll_back",)},
        changes=(TrafficChange(quantity="slow_share", factor=8.0, arm="canary"),),
    ),
    Scenario(
        name="slower",
        description="every turn of the canary takes 15 % longer",
        expected={"canary": ("roll_back",)},
        changes=(TrafficChange(quantity="latency_ms", factor=1.15, arm="canary"),),
    ),
    Scenario(
        name="hang-ups",
        description="four times as many callers of the canary hang up without an answer",
        expected={"canary": ("roll_back",)},
        changes=(TrafficChange(quantity="abandoned", factor=4.0, arm="canary"),),
    ),
    Scenario(
        name="unsolved",
        description="the canary solves a fifth fewer tasks, so each one costs more",
        expected={"canary": ("roll_back",)},
        changes=(TrafficChange(quantity="success", factor=0.8, arm="canary"),),
    ),
    Scenario(
        name="dear",
        description="a turn of the canary costs 25 % more",
        expected={"canary": ("roll_back",)},
        changes=(TrafficChange(quantity="price", factor=1.25, arm="canary"),),
    ),
    Scenario(
        name="fast-timeouts",
        description="the canary gives up fast: more failures, and the rest looks faster",
        expected={"canary": ("roll_back",)},
        changes=(
            TrafficChange(quantity="failures", factor=4.0, arm="canary"),
            TrafficChange(quantity="timeout_ms", factor=0.1, arm="canary"),
            TrafficChange(quantity="latency_ms", factor=0.93, arm="canary"),
        ),
    ),
    Scenario(
        name="lost-logs",
        description="the canary fails more, and sessions with a failure leave no record",
        expected={"canary": _NOT_ADVANCE},
        changes=(TrafficChange(quantity="failures", factor=3.0, arm="canary"),),
        defects=(TelemetryDefect(kind="lost_sessions", arm="canary"),),
    ),
    Scenario(
        name="lost-outcomes",
        description="6 % of the canary's turns have no outcome",
        expected={"canary": _NOT_ADVANCE},
        defects=(TelemetryDefect(kind="lost_outcomes", share=0.06, arm="canary"),),
    ),
    Scenario(
        name="sample-ratio",
        description="the canary gets 20 % less traffic than its step says",
        expected={"canary": ("hold",)},
        changes=(TrafficChange(quantity="share", factor=0.8),),
    ),
    Scenario(
        name="moving-rates",
        description="failures of both arms double while the canary's share grows",
        expected={"canary": ("advance", "hold")},
        changes=(TrafficChange(quantity="failures", factor=2.0, ramp_hours=24.0),),
        steps=tuple(SimulatedStep(share=share, hours=6) for share in (0.01, 0.05, 0.25, 0.5)),
    ),
    Scenario(
        name="hostile-caller",
        description="one caller fails thousands of times, in the canary alone",
        expected={"canary": ("advance", "hold")},
        defects=(TelemetryDefect(kind="hostile_caller", share=0.08),),
    ),
    Scenario(
        name="unit-change",
        description="latencies are written in seconds from the onset on",
        expected={"telemetry check": ("unit_change",), "canary": ("hold",)},
        defects=(TelemetryDefect(kind="seconds_for_ms", after_onset=True),),
    ),
    Scenario(
        name="clock-skew",
        description="3 % of the rows are a month in the future, 3 % have no offset",
        expected={"canary": ("hold",)},
        defects=(
            TelemetryDefect(kind="future_rows", share=0.03),
            TelemetryDefect(kind="naive_rows", share=0.03),
        ),
    ),
    Scenario(
        name="late-rows",
        description="3 % of the rows come an hour late, in the next file (seen with --state)",
        expected={"canary --state": ("hold",)},
        defects=(TelemetryDefect(kind="late_rows", share=0.03),),
    ),
    Scenario(
        name="duplicate-files",
        description="some files are delivered twice, under two names",
        expected={"canary": ("advance", "hold")},
        defects=(TelemetryDefect(kind="duplicate_files"),),
    ),
    Scenario(
        name="both-arms",
        description="4 % of the sessions change their arm half-way",
        expected={"canary": ("hold",)},
        defects=(TelemetryDefect(kind="both_arms", share=0.04),),
    ),
    Scenario(
        name="control-release",
        description="the control gets a hotfix at the onset, while the canary runs",
        expected={"canary": ("hold",)},
        defects=(TelemetryDefect(kind="control_release", after_onset=True),),
    ),
    Scenario(
        name="drift-snr",
        description="the signal-to-noise ratio falls by 3 dB at the onset",
        expected={"drift": ("drifted",)},
        changes=(TrafficChange(quantity="snr_db", add=-3.0, after_onset=True),),
    ),
    Scenario(
        name="drift-language",
        description="15 % of the sessions are in a rare language (ta) from the onset on",
        expected={"drift": ("drifted",)},
        shifts=(CategoryShift(column="language", value="ta", share=0.15),),
    ),
    Scenario(
        name="drift-device",
        description="10 % of the sessions come from a new device (watch)",
        expected={"drift": ("drifted",)},
        shifts=(CategoryShift(column="device", value="watch", share=0.1),),
    ),
    Scenario(
        name="drift-mos",
        description="the predicted MOS falls by 0.1 at the onset",
        expected={"drift": ("drifted",)},
        changes=(TrafficChange(quantity="dnsmos_ovrl", add=-0.1, after_onset=True),),
    ),
    Scenario(
        name="drift-label",
        description="a quarter of the sessions want to cancel from the onset on",
        expected={"drift": ("drifted",)},
        shifts=(CategoryShift(column="label", value="cancel", share=0.25),),
    ),
    Scenario(
        name="new-category",
        description="2 % of the sessions come from a region never seen before (br)",
        expected={"drift": ("quiet", "drifted"), "drift schema": ("new_category:region:br",)},
        shifts=(CategoryShift(column="region", value="br", share=0.02),),
    ),
    Scenario(
        name="missing-column",
        description="the confidence is no longer written from the onset on",
        expected={"drift": ("drifted", "no_data")},
        defects=(TelemetryDefect(kind="missing_column", column="confidence", after_onset=True),),
    ),
    Scenario(
        name="price-change",
        description="every price rises by 30 % at the onset",
        expected={"cost": ("fail",)},
        changes=(TrafficChange(quantity="price", factor=1.3, after_onset=True),),
    ),
    Scenario(
        name="token-growth",
        description="from the onset on a word of Hindi takes 2.5 times the tokens",
        expected={"cost": ("pass", "inconclusive", "fail")},
        changes=(
            TrafficChange(quantity="tokens", factor=2.5, only={"language": "hi"}, after_onset=True),
        ),
    ),
    Scenario(
        name="retry-storm",
        description="retries pile up for two hours after the onset",
        expected={"health": ("storm",)},
        changes=(
            TrafficChange(
                quantity="retries", factor=60.0, after_onset=True, hours=2, ramp_hours=0.5
            ),
            TrafficChange(quantity="failures", factor=6.0, after_onset=True, hours=2),
        ),
        look=JudgedAt(hours=1),
    ),
    Scenario(
        name="queue-collapse",
        description="the wait for a slot grows without end from the onset on",
        expected={"health": ("saturated",)},
        changes=(TrafficChange(quantity="queue_ms", add=4000.0, after_onset=True, ramp_hours=3.0),),
        look=JudgedAt(hours=1),
    ),
    Scenario(
        name="churn",
        description="partial transcripts change three times as often from the onset on",
        expected={"health": ("fail",)},
        changes=(TrafficChange(quantity="partial_changes", factor=3.0, after_onset=True),),
        look=JudgedAt(hours=1),
    ),
    Scenario(
        name="tenant-spike",
        description="free tenants call five times as often for an hour",
        expected={"health": ("spike",)},
        changes=(
            TrafficChange(
                quantity="arrivals",
                factor=5.0,
                only={"tenant_class": "free"},
                after_onset=True,
                hours=1,
            ),
        ),
        look=JudgedAt(hours=1),
    ),
    Scenario(
        name="outage",
        description="half of the turns fail for 40 minutes after the onset",
        expected={"slo": ("page",)},
        changes=(
            TrafficChange(quantity="failures", factor=0.1),
            TrafficChange(quantity="failures", factor=600.0, after_onset=True, hours=0.67),
        ),
        look=JudgedAt(hours=0.5),
    ),
    Scenario(
        name="slow-burn",
        description="from the onset on 2.4 % of the turns fail, where 0.25 % did",
        expected={"slo": ("ticket",)},
        changes=(
            TrafficChange(quantity="failures", factor=0.1),
            TrafficChange(quantity="failures", factor=11.5, after_onset=True),
        ),
    ),
    Scenario(
        name="three-calls-at-night",
        description="nobody calls before 6:00, but for three calls after 3:00 that fail",
        expected={"slo": ("none", "no_data")},
        changes=(TrafficChange(quantity="failures", factor=0.1),),
        defects=(TelemetryDefect(kind="night_calls"),),
        look=JudgedAt(hours=4, since="start"),
    ),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
"""Scenarios by name, in the order in which they are listed."""


def scenario_named(name: str) -> Scenario:
    """Return a scenario; raises InvalidInput with the nearest name."""
    if name not in SCENARIOS:
        hint = nearest(name, tuple(SCENARIOS)) or "see: relkit simulate telemetry --list"
        raise InvalidInput(f'no scenario "{shown(name)}"', hint=hint)
    return SCENARIOS[name]


def rehearsal(
    name: str = "equal",
    *,
    turns: int | None = None,
    turns_per_hour: float = 2000.0,
    hours: int | None = None,
    steps: tuple[SimulatedStep, ...] = (),
    onset_hours: float | None = None,
    **others: Any,  # noqa: ANN401 - the other fields of a rehearsal, checked by its type
) -> Rehearsal:
    """Return a scenario by name, ready to run.

    ``turns`` is about how many there are in all, instead of ``turns_per_hour``. Without ``hours``
    they are those of the steps; without an onset faults begin after 12 hours, or half-way where
    that is earlier. Raises InvalidInput for an unknown name, UsageError for values out of range.
    """
    scenario = scenario_named(name)
    steps = steps or scenario.steps
    hours = hours or math.ceil(sum(step.hours for step in steps)) or _DAY_H
    onset_hours = min(_DAY_H / 2, hours / 2) if onset_hours is None else onset_hours
    starting = any(change.after_onset for change in scenario.changes)
    starting |= any(defect.after_onset for defect in scenario.defects) or bool(scenario.shifts)
    if starting and onset_hours >= hours:
        raise UsageError(
            "the fault would begin after the last hour", hint="set --onset below --hours"
        )
    unchecked = Rehearsal(
        scenario=scenario,
        turns_per_hour=turns_per_hour,
        hours=hours,
        steps=steps or (SimulatedStep(share=0.5, hours=hours),),
        onset_hours=onset_hours,
        **others,
    )
    plan = parse(Rehearsal, encode(unchecked), source="the rehearsal")
    return plan if turns is None else replace(plan, turns_per_hour=rate_for(plan, turns))


def parse_steps(text: str, hours: int | None) -> tuple[SimulatedStep, ...]:
    """Return the steps of ``0%:6h,1%:4h``; a step without a time has its part of ``hours``.

    Raises UsageError.
    """
    parts = [part.strip().partition(":") for part in text.split(",")]
    each = (hours or _DAY_H) / len(parts)
    steps = []
    for share, colon, length in parts:
        try:
            steps.append(
                SimulatedStep(
                    share=float(str(fraction_of(share.strip()))),
                    hours=duration_s(length) / 3600 if colon else each,
                )
            )
        except ValueError as error:
            raise UsageError(
                f'--steps: "{shown(share)}:{shown(length)}" is no share and time',
                hint="write it as 0%:6h,1%:4h,5%:4h",
            ) from error
    return tuple(steps)
