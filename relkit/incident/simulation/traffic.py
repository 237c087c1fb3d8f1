"""Turns of an incident: what each session is, which releases it gets, and what goes wrong.

An hour is drawn from the seed and its own number alone, and all its draws are made whatever the
incident is: two kinds with one seed are the same callers, and differ in the fault. Bad events of a
turn are coins whose chance is a base rate times what its slice, its person, its session and the
incident multiply it with. Stages are log-normal and add up to the latency with the wait for a slot.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import Codes
from relkit.core.values import moment
from relkit.incident.simulation.people import (
    PEOPLE_SHARES,
    forced,
    people_of,
    people_profiles,
    proneness,
)
from relkit.incident.simulation.rollouts import served
from relkit.incident.simulation.types import IncidentChange, IncidentQuantity, SimulatedIncident
from relkit.telemetry.simulation.callers import DAY, WEEKEND, chosen, mixed
from relkit.telemetry.simulation.defects import joined_turns
from relkit.telemetry.simulation.traffic import HOUR_S, MEAN_TURNS
from relkit.telemetry.simulation.types import Bools, Floats, Index, Keys, TurnColumns, Values
from relkit.telemetry.types import COLUMNS, OUTCOMES, STAGES

BAD_RATES: Mapping[IncidentQuantity, float] = {
    "failed": 0.02,
    "reprompt": 0.045,
    "ungrounded": 0.07,
    "bad_tool_args": 0.04,
    "false_interrupt": 0.03,
    "retried": 0.025,
    "tts_tail": 0.01,
}
"""Share of turns (of the measured ones) with each bad event, before anything multiplies it."""

MEASURED: Mapping[str, float] = {"grounded": 0.4, "tool_args_ok": 0.3}
"""Share of turns in which there is something to measure: an answer from documents, a tool call."""

_HARDER: Mapping[str, Mapping[str, float]] = {
    "noise": {"street": 1.7, "car": 1.4, "cafe": 3.0},
    "accent": {"scottish": 1.3, "indian": 1.2, "irish": 1.2},
    "device": {"watch": 1.3},
}
"""What multiplies ``reprompt`` and ``false_interrupt`` at all times."""

_MEDIANS: Mapping[str, float] = {
    "eou_ms": 180.0,
    "asr_ms": 110.0,
    "llm_ttft_ms": 210.0,
    "tool_ms": 160.0,
    "tts_ttfb_ms": 95.0,
    "network_ms": 60.0,
}
_TAIL = 6.0
_QUEUE_MS = 9.0
_ERRORS = {"internal": 0.5, "timeout": 0.35, "upstream_error": 0.15}
_PRICES = {"input": 1.5e-7, "output": 6e-7, "character": 1.2e-5}
_LONGEST_S, _MOST_TURNS, _CHANCE = 1500.0, 40, 0.95
_SATURDAY = 5


def incident_hours(incident: SimulatedIncident) -> Iterator[tuple[int, TurnColumns]]:
    """Yield (hour, its turns in the order of time), for all hours."""
    for hour in range(incident.hours):
        yield hour, turns_in_hour(incident, hour)


def incident_turns(incident: SimulatedIncident) -> TurnColumns:
    """Return all turns, in the order of time."""
    return joined_turns([turns for _, turns in incident_hours(incident)])


def usual_load(incident: SimulatedIncident, hour: int) -> float:
    """Return the usual arrivals of an hour, numbered from the start, against their mean."""
    start = moment(incident.start)
    hours = start.hour + hour
    weekday = (start.weekday() + hours // 24) % 7
    weekly = sum(DAY) / 24 * (5 + 2 * WEEKEND) / 7
    return DAY[hours % 24] * (WEEKEND if weekday >= _SATURDAY else 1.0) / weekly


def turns_in_hour(incident: SimulatedIncident, hour: int) -> TurnColumns:
    """Return the turns of the sessions of an hour; a session ends in the hour it begins in."""
    rate = incident.turns_per_hour * usual_load(incident, hour) / MEAN_TURNS
    parts = [_turns(_sessions(incident, hour, rate, group=0, only={}))]
    arrivals = [c for c in incident.kind.changes if c.quantity == "arrivals"]
    for group, change in enumerate(arrivals, start=1):
        # More sessions than there would be, of those that the change is about.
        share = float(np.prod([PEOPLE_SHARES[name][value] for name, value in change.only.items()]))
        more = rate * share * (change.factor - 1.0)
        calls = _sessions(incident, hour, more, group=group, only=change.only)
        parts.append(_turns(calls).take(calls.strength(change) > 0))
    turns = joined_turns(parts)
    return turns.take(np.argsort(turns.times("ts"), kind="stable"))


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Sessions of an hour, and their turns as they are planned.

    Of each turn: its session ``of``, its ``number`` there, when it ends (``hours`` from the start),
    what its session is by column (``texts``), and how prone to bad events it is against others.
    """

    incident: SimulatedIncident
    rng: np.random.Generator
    sessions: Keys
    people: Keys
    of: Index
    number: Index
    hours: Floats
    texts: Mapping[str, Codes]
    prone: Floats

    @property
    def total(self) -> int:
        """The number of turns."""
        return len(self.of)

    def strength(self, change: IncidentChange) -> Floats:
        """Return how much of a change each turn has: 0 for none, 1 for all of it."""
        since = self.hours - self.incident.onset_hours - change.since
        if change.daily is None:
            active = since >= 0
            if change.hours is not None:
                active &= since < change.hours
        else:
            begin, end = change.daily
            of_day = (moment(self.incident.start).hour + self.hours) % 24
            active = (of_day >= begin) & (of_day < end)
        for column, value in change.only.items():
            text = self.texts[column]
            active &= text.codes == text.names.index(value)
        if change.component is not None:
            release = self.texts[f"release_{change.component}"]
            bad = [n for n, version in enumerate(release.names) if version in change.versions]
            active &= np.isin(release.codes, bad)
        grown = 1.0 if change.ramp is None else np.clip(since / change.ramp, 0.0, 1.0)
        return np.asarray(active * grown, np.float64)

    def factor(self, quantity: IncidentQuantity) -> Floats:
        """Return what a quantity is multiplied with, for each turn."""
        factor = np.ones(self.total)
        for change in self.incident.kind.changes:
            if change.quantity == quantity:
                factor *= change.factor ** self.strength(change)
        return factor

    def happens(self, chance: npt.NDArray[np.floating] | float) -> Bools:
        """Return for which turns something happens."""
        return np.asarray(self.rng.random(self.total) < np.minimum(chance, _CHANCE))

    def bad(self, quantity: IncidentQuantity, usual: npt.NDArray[np.floating] | float) -> Bools:
        """Return where a bad event happens; ``usual`` is what its slice multiplies it with."""
        chance = BAD_RATES[quantity] * usual * self.prone
        return self.happens(chance * self.factor(quantity))


def _sessions(
    incident: SimulatedIncident, hour: int, rate: float, *, group: int, only: Mapping[str, str]
) -> _Sessions:
    """Return as many sessions as a Poisson law gives; ``only`` says what all of them are."""
    rng = np.random.Generator(np.random.SFC64([incident.seed, hour, group]))
    count = int(rng.poisson(rate))
    numbers = np.arange(count, dtype=np.uint64) + np.uint64((hour * 64 + group) << 32)
    sessions = mixed(numbers, incident.seed * 4 + 1)
    people = people_of(incident, rng, count)
    turns = np.minimum(rng.geometric(1.0 / MEAN_TURNS, count), _MOST_TURNS)
    of = np.repeat(np.arange(count), turns)
    lasts = np.clip(np.exp(rng.normal(np.log(14.0), 0.5, len(of))), 3.0, 90.0)
    ends = np.cumsum(lasts)
    first = np.searchsorted(of, np.arange(count))
    ends -= (ends - lasts)[first][of]
    rows = ends < _LONGEST_S
    of, ends = of[rows], ends[rows]
    length = np.zeros(count)
    np.maximum.at(length, of, ends)
    start_h = hour + rng.random(count) * (1.0 - length / HOUR_S)
    texts = forced(people_profiles(incident, people, sessions, start_h), only)
    texts |= served(incident, sessions, start_h, texts)
    return _Sessions(
        incident=incident,
        rng=rng,
        sessions=sessions,
        people=people,
        of=of,
        number=np.asarray(np.arange(len(of)) - np.searchsorted(of, np.arange(count))[of]),
        hours=start_h[of] + ends / HOUR_S,
        texts={name: Codes(text.codes[of], text.names) for name, text in texts.items()},
        prone=proneness(people, sessions)[of],
    )


def _turns(calls: _Sessions) -> TurnColumns:
    """Return the turns of sessions, session after session."""
    sessions = calls.sessions[calls.of]
    ends_us = (moment(calls.incident.start).timestamp() + calls.hours * HOUR_S) * 1e6
    columns: dict[str, Values] = {
        "ts": ends_us.astype(np.int64),
        "session": sessions,
        "turn_id": mixed(sessions + calls.number.astype(np.uint64), 3),
        "user": mixed(calls.people, 7)[calls.of],
        **_outcomes(calls),
        **_stages(calls),
        **_usage(calls),
        **calls.texts,
        "_number": calls.number,
        "_naive": np.zeros(calls.total, np.int8),
    }
    order = dict.fromkeys((*(name for name in COLUMNS if name in columns), *columns))
    return _recorded(calls, TurnColumns({name: columns[name] for name in order}))


def _outcomes(calls: _Sessions) -> dict[str, Values]:
    """Return what goes wrong in each turn, or does not apply to it."""
    harder = np.ones(calls.total)
    for column, factors in _HARDER.items():
        text = calls.texts[column]
        harder *= np.array([factors.get(value, 1.0) for value in text.names])[text.codes]
    failed = calls.bad("failed", 1.0)
    interrupted = calls.happens(0.05) & ~failed
    retried = calls.bad("retried", 1.0 + 4.0 * failed)
    flags = {
        "reprompt": calls.bad("reprompt", harder),
        "grounded": ~calls.bad("ungrounded", 1.0),
        "tool_args_ok": ~calls.bad("bad_tool_args", 1.0),
        "false_interrupt": calls.bad("false_interrupt", harder),
    }
    measured = {name: calls.happens(share) & ~failed for name, share in MEASURED.items()}
    everywhere = np.ones(calls.total, np.bool_)
    return {
        "ok": (~failed).astype(np.int8),
        "outcome": Codes(np.select([failed, interrupted], [1, 2], 0).astype(np.int32), OUTCOMES),
        "retries": retried.astype(np.float64),
        "attempt": 1.0 + retried,
        "error_code": _error_codes(calls, failed),
        **{
            name: np.where(measured.get(name, everywhere), flag, -1).astype(np.int8)
            for name, flag in flags.items()
        },
    }


def _error_codes(calls: _Sessions, failed: Bools) -> Codes:
    """Return the error code of each failed turn: the usual ones, or that of what added it."""
    changes = [c for c in calls.incident.kind.changes if c.quantity == "failed" and c.code]
    names = tuple(dict.fromkeys((*_ERRORS, *(str(change.code) for change in changes))))
    codes = chosen(_ERRORS, calls.rng.random(calls.total)).codes
    drawn = calls.rng.random(calls.total)
    for change in changes:
        added = 1.0 - change.factor ** -calls.strength(change)
        codes = np.where(drawn < added, np.int32(names.index(str(change.code))), codes)
    return Codes(np.where(failed, codes, np.int32(-1)), names)


def _stages(calls: _Sessions) -> dict[str, Values]:
    """Return how long each stage took, and the whole; a turn without an answer has no latency."""
    rng, total = calls.rng, calls.total
    speed = np.exp(0.15 * rng.standard_normal(len(calls.sessions)))[calls.of]
    stages: dict[str, Floats] = {}
    for name, median in _MEDIANS.items():
        spread = 0.45 if name in {"llm_ttft_ms", "tool_ms"} else 0.25
        stages[name] = median * np.exp(spread * rng.standard_normal(total)) * speed
    stages["asr_ms"] *= calls.factor("asr_ms")
    stages["llm_ttft_ms"] *= calls.factor("llm_ttft_ms")
    stages["tts_ttfb_ms"] *= calls.factor("tts_ttfb_ms")
    stages["tts_ttfb_ms"] *= np.where(calls.bad("tts_tail", 1.0), _TAIL, 1.0)
    stages["tool_ms"][~calls.happens(MEASURED["tool_args_ok"])] = np.nan
    queue_ms = rng.exponential(1.0, total) * _QUEUE_MS * calls.factor("queue_ms")
    latency_ms = queue_ms + 12.0 + rng.exponential(14.0, total)
    for name in STAGES:
        latency_ms += np.nan_to_num(stages[name])
    return {"latency_ms": latency_ms, **stages, "queue_ms": queue_ms}


def _usage(calls: _Sessions) -> dict[str, Values]:
    """Return what each turn took of the services, and what that costs."""
    rng, total = calls.rng, calls.total
    words = np.maximum(1.0, np.rint(np.exp(rng.normal(np.log(6.0), 0.5, total))))
    answered = np.maximum(1.0, np.rint(np.exp(rng.normal(np.log(17.0), 0.5, total))))
    answered = np.rint(answered * calls.factor("tokens"))
    input_tokens = np.rint(380.0 + 24.0 * calls.number + 1.4 * words)
    output_tokens = np.rint(1.4 * answered)
    cost = (
        input_tokens * _PRICES["input"]
        + output_tokens * _PRICES["output"]
        + 5.7 * answered * _PRICES["character"]
    )
    changes = rng.poisson(0.14 * words * calls.factor("partial_changes"))
    return {
        "partial_changes": np.minimum(changes, 3 * words),
        "partial_words": words,
        "model": _constant("gpt-4o-mini", total),
        "provider": _constant("openai", total),
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cost": cost * calls.factor("price"),
        "currency": _constant("USD", total),
    }


def _recorded(calls: _Sessions, turns: TurnColumns) -> TurnColumns:
    """Return the turns as the pipeline writes them."""
    kinds = {change.quantity for change in calls.incident.kind.changes}
    columns: dict[str, Values] = {}
    if "nulls" in kinds:
        share = sum(c.factor * calls.strength(c) for c in calls.incident.kind.changes)
        lost = calls.happens(share)
        for name in ("reprompt", "grounded", "tool_args_ok", "false_interrupt"):
            columns[name] = np.where(lost, np.int8(-1), turns.flags(name))
        for name in (*STAGES, "latency_ms"):
            columns[name] = np.where(lost, np.nan, turns.numbers(name))
    if "microseconds" in kinds:
        factor = 1000.0 ** np.minimum(1.0, sum(map(calls.strength, calls.incident.kind.changes)))
        for name in (*STAGES, "latency_ms", "queue_ms"):
            columns[name] = turns.numbers(name) * factor
    return turns.but(**columns)


def _constant(text: str, count: int) -> Codes:
    return Codes(np.zeros(count, np.int32), (text,))
