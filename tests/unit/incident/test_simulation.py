"""Simulated incidents: the same by seed, whole by their hours, with the fault that they name."""

from functools import lru_cache

import numpy as np
import pytest

from relkit.core.arrays import Codes
from relkit.core.errors import UsageError
from relkit.core.slices import slice_parts
from relkit.incident.simulation.answers import answer, graded
from relkit.incident.simulation.history_files import incident_history
from relkit.incident.simulation.kinds import INCIDENT_KINDS, VERSIONS, incident
from relkit.incident.simulation.rollouts import rollout_share
from relkit.incident.simulation.run import elsewhere_of
from relkit.incident.simulation.traffic import incident_hours, incident_turns, turns_in_hour
from relkit.incident.simulation.types import (
    IncidentAnswer,
    Rollout,
    RolloutStep,
    SimulatedIncident,
)
from relkit.incident.types import TriageRead, TriageReport
from relkit.registry.ledger import refusal_in, state_of
from relkit.telemetry.simulation.types import Bools, TurnColumns
from relkit.telemetry.types import COLUMNS

BAD = {
    "reprompt": 1,
    "grounded": 0,
    "tool_args_ok": 0,
    "false_interrupt": 1,
    "ok": 0,
}
"""Flags, and the value that is bad."""


@lru_cache(maxsize=2)
def simulated(name: str, seed: int = 1) -> tuple[SimulatedIncident, TurnColumns]:
    """Return an incident and all its turns, at half of the usual volume."""
    made = incident(name, seed=seed, turns_per_hour=400.0)
    return made, incident_turns(made)


def hours_of(made: SimulatedIncident, turns: TurnColumns) -> np.ndarray:
    """Return when each turn ended, in hours from the onset."""
    first = np.datetime64(made.start.removesuffix("Z"), "us").astype(np.int64)
    return (turns.times("ts") - first) / 3.6e9 - made.onset_hours


def where(turns: TurnColumns, key: str) -> Bools:
    """Return which turns are in a slice."""
    inside = np.ones(len(turns), np.bool_)
    for column, value in slice_parts(key):
        inside &= turns.is_value(column, value)
    return inside


def rate(turns: TurnColumns, flag: str, rows: Bools) -> float:
    """Return the share of the measured turns in which a flag is bad."""
    values = turns.flags(flag)[rows]
    return float(np.mean(values[values >= 0] == BAD[flag]))


def bytes_of(turns: TurnColumns) -> dict[str, tuple[object, ...]]:
    """Return columns as values that compare."""
    return {
        name: (values.names, values.codes.tobytes())
        if isinstance(values, Codes)
        else (values.tobytes(),)
        for name, values in turns.columns.items()
    }


@pytest.mark.parametrize("name", ["noise", "abusive-tenant", "pipeline-nulls"])
def test_the_same_seed_gives_the_same_turns(name: str) -> None:
    """Another seed gives other traffic."""
    first, again, other = (
        turns_in_hour(incident(name, seed=seed, turns_per_hour=400.0), 170) for seed in (3, 3, 4)
    )
    assert bytes_of(first) == bytes_of(again)
    assert bytes_of(first) != bytes_of(other)


def test_an_hour_does_not_depend_on_the_hours_before() -> None:
    """An hour by itself is the hour among all; its turns end in it and are in order."""
    made = incident("traffic-surge", seed=2, turns_per_hour=60.0)
    for hour, turns in incident_hours(made):
        if hour in {0, 155, 191}:
            assert bytes_of(turns) == bytes_of(turns_in_hour(made, hour))
        ends = hours_of(made, turns) + made.onset_hours
        assert np.all((ends >= hour) & (ends < hour + 1))
        assert np.all(np.diff(turns.times("ts")) >= 0)


def test_two_kinds_with_one_seed_have_the_same_callers() -> None:
    """The fault alone differs: who calls, and what each caller is, stays."""
    left, right = (
        turns_in_hour(incident(name, seed=5, turns_per_hour=300.0), 165)
        for name in ("noise", "client-bug")
    )
    for column in ("session", "user", "ts", "accent", "noise", "region", "client"):
        assert bytes_of(left)[column] == bytes_of(right)[column]


def test_people_differ_in_how_much_they_call_and_in_how_they_fare() -> None:
    """A tenth of them has over a third of the turns; failures come together in people."""
    _, turns = simulated("quiet")
    _, of = np.unique(turns.keys("user"), return_inverse=True)
    counts = np.sort(np.bincount(of))[::-1]
    assert counts[: len(counts) // 10].sum() > 0.33 * len(turns)
    failed = np.bincount(of, weights=turns.flags("ok") == 0)
    expected = np.bincount(of) * np.mean(turns.flags("ok") == 0)
    assert np.mean((failed - expected) ** 2 / expected) > 1.15


def test_the_columns_are_those_of_the_turn_table() -> None:
    """Every incident column is there; tokens and keys are no text."""
    _, turns = simulated("quiet")
    names = [name for name in turns.columns if not name.startswith("_")]
    assert [name for name in names if name in COLUMNS] == [n for n in COLUMNS if n in names]
    needed = {"tenant", "region", "client", "error_code", "attempt", "reprompt", "grounded"}
    needed |= {"tool_args_ok", "false_interrupt", *(f"release_{c}" for c in VERSIONS)}
    assert needed <= set(names)
    assert np.all((turns.texts("error_code").codes >= 0) == (turns.flags("ok") == 0))


@pytest.mark.parametrize(
    ("name", "flag", "component"),
    [
        ("noise", "reprompt", "asr"),
        ("accent", "reprompt", "asr"),
        ("device", "false_interrupt", "asr"),
        ("language", "grounded", "llm"),
        ("grounding", "grounded", "retrieval"),
        ("tool-arguments", "tool_args_ok", "llm"),
        ("false-interruptions", "false_interrupt", "asr"),
        ("release-client", "ok", "llm"),
    ],
)
def test_a_guilty_release_is_worse_in_its_slice_alone(name: str, flag: str, component: str) -> None:
    """Beside it, the old version is as good as before, and so is the new one elsewhere."""
    made, turns = simulated(name)
    right = answer(made)
    inside = where(turns, right.slices[0])
    new = turns.is_value(f"release_{component}", str(right.first_bad))
    before, since = hours_of(made, turns) < 0, hours_of(made, turns) >= 0
    usual = rate(turns, flag, inside & before)
    assert rate(turns, flag, inside & new) > 2.0 * usual
    assert rate(turns, flag, inside & since & ~new) < 1.4 * usual
    if right.slices != ("overall",):
        assert rate(turns, flag, ~inside & new) < 1.3 * rate(turns, flag, ~inside & before)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("client-bug", "client=web"),
        ("switch-then-client-bug", "client=web"),
        ("region-outage", "region=ap"),
        ("region-outage-in-canary", "region=ap"),
        ("region-outage-after-switch", "region=ap"),
        ("dependency-outage", "overall"),
        ("abusive-tenant", "tenant=t6"),
        ("one-region-only", "region=ap"),
    ],
)
def test_other_causes_take_every_version(name: str, key: str) -> None:
    """Failures rise in the slice after the onset, in the old version as in the new one."""
    made, turns = simulated(name)
    since = hours_of(made, turns)
    inside, now = where(turns, key), (since >= 0) & (since < 5)
    usual = rate(turns, "ok", inside & (since < 0))
    assert rate(turns, "ok", inside & now) > 3.0 * usual
    if key != "overall":
        assert rate(turns, "ok", ~inside & now) < 2.0 * usual
    for version in ("3.1", "3.2"):
        served = inside & now & turns.is_value("release_llm", version)
        if served.sum() > 300:
            assert rate(turns, "ok", served) > 2.0 * usual


def test_measurement_load_price_and_mix_are_in_the_data() -> None:
    """Nulls, microseconds, more turns, a higher cost of a token, other shares of a column."""
    made, turns = simulated("pipeline-nulls")
    now, eu = hours_of(made, turns) >= 0, where(turns, "region=eu")
    assert np.mean(turns.flags("reprompt")[now & eu] < 0) > 0.3
    assert np.mean(turns.flags("reprompt")[~now | ~eu] < 0) == 0
    made, turns = simulated("pipeline-units")
    now, us = hours_of(made, turns) >= 0, where(turns, "region=us")
    medians = [np.nanmedian(turns.numbers("asr_ms")[rows]) for rows in (now & us, ~now & us)]
    assert 900 < medians[0] / medians[1] < 1100
    made, turns = simulated("traffic-surge")
    since = hours_of(made, turns)
    counts = [np.sum((since >= low) & (since < low + 5)) for low in (-24, 0)]
    assert counts[1] > 2.0 * counts[0]
    made, turns = simulated("price-spike")
    now = hours_of(made, turns) >= 0
    price = turns.numbers("cost") / (turns.numbers("input_tokens") + turns.numbers("output_tokens"))
    assert np.mean(price[now]) > 1.4 * np.mean(price[~now])
    made, turns = simulated("traffic-mix")
    now, cafe = hours_of(made, turns) >= 0, where(turns, "noise=cafe")
    assert np.mean(cafe[now]) > 4 * np.mean(cafe[~now])
    assert rate(turns, "reprompt", now & cafe) < 1.2 * rate(turns, "reprompt", ~now & cafe)


def test_upstream_codes_are_those_of_a_dependency() -> None:
    """Over half of the failures of an outage carry one, and few of the usual failures."""
    made, turns = simulated("dependency-outage")
    since, codes = hours_of(made, turns), turns.texts("error_code")
    upstream = np.array([name.startswith("upstream") for name in codes.names])[codes.codes]
    failed = codes.codes >= 0
    assert np.mean(upstream[failed & (since >= 0) & (since < 5)]) > 0.6
    assert np.mean(upstream[failed & (since < 0)]) < 0.3


def test_a_leak_grows() -> None:
    """The new version is as fast as the old one at first, and far slower a day later."""
    made, turns = simulated("slow-leak")
    since = hours_of(made, turns)
    new, first = turns.is_value("release_llm", "3.2"), turns.numbers("llm_ttft_ms")
    medians = [np.median(first[new & (since >= low) & (since < low + 3)]) for low in (1, 8, 18)]
    assert medians[0] < medians[1] < medians[2]
    assert medians[2] > 2.5 * np.median(first[since < 0])


def test_most_rollouts_are_innocent_and_go_on_at_the_same_time() -> None:
    """Beside the guilty one each other component has two versions in traffic."""
    made, turns = simulated("noise")
    now = (hours_of(made, turns) > 7) & (hours_of(made, turns) < 12)
    for component in VERSIONS:
        release = turns.texts(f"release_{component}")
        shares = np.bincount(release.codes[now], minlength=3) / now.sum()
        assert shares[1] > 0.2
        assert shares[2] > 0.2
    right = answer(made)
    assert {name.component for name in right.innocent} == set(VERSIONS)
    assert ("asr", "2.4") not in {(name.component, name.version) for name in right.innocent}


def test_a_share_of_a_rollout_follows_its_steps() -> None:
    """None before it, each step for its hours, and what it ends with from then on."""
    steps = (RolloutStep(share=0.01, hours=1.0), RolloutStep(share=0.5, hours=2.0))
    rollout = Rollout(component="asr", version="2.4", at=0.0, steps=steps)
    shares = rollout_share(rollout, np.array([-0.1, 0.0, 0.9, 1.0, 2.9, 3.0, 99.0]))
    assert shares.tolist() == [0.0, 0.01, 0.01, 0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("name", INCIDENT_KINDS)
def test_every_kind_has_ledgers_that_can_have_happened(name: str) -> None:
    """Shares of the ledger are those of the traffic; the target held all of it before."""
    made = incident(name, seed=4)
    past, right = incident_history(made), answer(made)
    served = {(release.model, release.version) for release in past.releases}
    assert served >= {(released.component, released.version) for released in right.innocent}
    for model, events in past.events.items():
        assert refusal_in(events) is None
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert events[-1].at <= made.until
        state = state_of(model, events)
        assert state.live is not None
        if model == right.component:
            assert right.target in state.held_full_traffic
            assert right.first_bad in {state.live, state.candidate, "3.2"}
    assert all(made.start <= event.at <= made.until for event in elsewhere_of(made))


def test_there_are_at_least_thirty_kinds_and_each_fits_its_answer() -> None:
    """A release to blame has a component, a version and a target; nobody else has one."""
    assert len(INCIDENT_KINDS) >= 30
    for name, kind in INCIDENT_KINDS.items():
        right = answer(incident(name))
        blamed = right.verdict == "release"
        assert blamed == (kind.guilty is not None) == (right.target is not None)
        assert (right.verdict == "not_release") == (right.cause not in {None, "release"})
        assert ((right.component, right.first_bad) == (None, None)) != blamed


def test_an_unknown_kind_is_refused_with_the_nearest_name() -> None:
    """A typing error is told."""
    with pytest.raises(UsageError, match="there is no kind of incident") as raised:
        incident("nois")
    assert '"noise"' in str(raised.value.hint)


def report(right: IncidentAnswer, **fields: object) -> TriageReport:
    """Return a report that says what is right, but for some fields."""
    values: dict[str, object] = {
        "verdict": right.verdict,
        "reason": "made up",
        "cause": right.cause,
        "evidence": None,
        "component": right.component,
        "first_bad": right.first_bad,
        "slice": right.slices[0] if right.slices else None,
        "metric": None,
        "onset": None,
        "ended": None,
        "effect": None,
        "log_odds": None,
        "target": right.target,
        "target_verified": False,
        "refused": (),
        "command": None,
        "candidates": (),
        "ruled_out": (),
        "probe": None,
        "packet": None,
        "read": TriageRead(turns=1, seconds=0.0, late=0, future=0, duplicates=0),
    }
    return TriageReport(**(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", INCIDENT_KINDS)
def test_the_answer_itself_is_right(name: str) -> None:
    """For every kind, and so are the verdicts that are right, too."""
    right = answer(incident(name))
    assert graded(right, report(right)) == "right"
    for also in right.also:
        assert graded(right, report(right, verdict=also.verdict, cause=also.cause)) == "right"


@pytest.mark.parametrize(
    ("name", "fields", "grade"),
    [
        ("noise", {"first_bad": "2.3"}, "blamed"),
        ("noise", {"component": "tts", "first_bad": "1.8"}, "blamed"),
        ("noise", {"slice": "noise=car"}, "wrong"),
        ("noise", {"slice": None}, "wrong"),
        ("noise", {"target": "2.2"}, "wrong"),
        ("noise", {"verdict": "undetermined", "cause": None}, "undetermined"),
        ("noise", {"verdict": "nothing", "cause": None}, "wrong"),
        ("region-outage", {"slice": "region=eu"}, "wrong"),
        ("region-outage", {"cause": "client"}, "wrong"),
        ("region-outage", {"verdict": "release", "cause": "release"}, "blamed"),
        ("two-at-once", {"verdict": "release", "component": "llm", "first_bad": "3.2"}, "blamed"),
        ("tts-tail", {"slice": None}, "right"),
    ],
)
def test_a_report_is_graded(name: str, fields: dict[str, object], grade: str) -> None:
    """An innocent release, another slice, and "it cannot be told" are three different things."""
    right = answer(incident(name))
    assert graded(right, report(right, **fields)) == grade
