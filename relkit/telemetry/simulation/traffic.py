"""Turns of simulated calls: what goes wrong together, how long it takes, and what it costs.

An hour is drawn from the seed and its own number alone. Each session has its own proneness to
failure and its own speed, so that failures and latencies of a session are correlated. The stages
of a turn are log-normal and add up to its latency together with the wait for a slot and a small
rest that nothing explains. Usage grows with the conversation and with the tokens that a word of
the language takes; cost is usage times ``PRICES``.

All draws of an hour are made whatever the scenario is: two scenarios with the same seed are the
same callers, and differ in the fault alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import Codes
from relkit.core.values import moment
from relkit.telemetry.simulation.callers import (
    CATEGORIES,
    Faults,
    arms,
    labels,
    mixed,
    normal,
    profiles,
    traffic_load,
    uniform,
)
from relkit.telemetry.simulation.defects import defect_in, joined_turns, recorded
from relkit.telemetry.simulation.types import (
    Bools,
    Floats,
    Index,
    Keys,
    Rehearsal,
    TurnColumns,
    Values,
)
from relkit.telemetry.types import COLUMNS, OUTCOMES, STAGES

HOUR_S = 3600
MEAN_TURNS = 5.0
"""Turns of a session, on average; their number is geometric."""

TOKENS_PER_WORD: Mapping[str, float] = {
    "en": 1.3,
    "es": 1.6,
    "de": 1.7,
    "fr": 1.6,
    "pt": 1.6,
    "hi": 3.6,
    "ja": 2.2,
    "ta": 5.2,
    "sw": 2.4,
}
FAILURE_RATE = 0.02
NO_OUTCOME_RATE = 0.0005
STAGE_MEDIANS: Mapping[str, float] = {
    "eou_ms": 180.0,
    "asr_ms": 110.0,
    "llm_ttft_ms": 150.0,
    "tool_ms": 220.0,
    "tts_ttfb_ms": 95.0,
    "network_ms": 60.0,
}
PRICES: Mapping[str, float] = {
    "input": 1.5e-7,
    "cache_read": 7.5e-8,
    "output": 6e-7,
    "audio_minute": 0.0043,
    "character": 6.5e-5,
}
"""US dollars for a token of ``gpt-4o-mini``, a minute of ``nova-3``, a character of ``sonic-2``."""

SPREAD_OF_SESSIONS, SPREAD_OF_USERS = 1.0, 0.5
"""Standard deviations of the log of what a session, and a user, multiplies the failures with."""

_LONGEST_S = 2700.0
_MOST_TURNS = 50
_MEAN_SNR = 19.6
_LANDLINE = 3
_LANGUAGE_FAILURES = {"hi": 1.3, "ta": 1.5, "sw": 1.5}
_UNANSWERED, _BARGED_EARLY, _WITH_TOOL = 0.6, 0.35, 0.18
"""Shares: of failed turns without an answer, of interruptions before it, of turns with a tool."""

_DOUBLED_EVERY, _DOUBLED_AT = 8, 5


def rate_for(rehearsal: Rehearsal, turns: int) -> float:
    """Return the ``turns_per_hour`` that gives about so many turns in all hours."""
    return turns / sum(traffic_load(rehearsal, hour) for hour in range(rehearsal.hours))


def hourly(rehearsal: Rehearsal) -> Iterator[tuple[int, TurnColumns]]:
    """Yield (hour, turns that a file of that hour has), in order of time.

    That is those that ended in it, but for late ones, and more than once where a file is
    duplicated.
    """
    going_on: TurnColumns | None = None
    held: TurnColumns | None = None
    begin = int(moment(rehearsal.start).timestamp())
    for hour in range(rehearsal.hours):
        begun = _sessions_of(rehearsal, hour)
        parts = [begun] if going_on is None else [going_on, begun]
        ends = np.concatenate([part.times("ts") for part in parts])
        later = ends // 1_000_000 - begin >= (hour + 1) * HOUR_S
        rows = np.flatnonzero(~later)
        rows = rows[np.argsort(ends[rows], kind="stable")]
        turns = joined_turns(parts, rows)
        going_on = joined_turns(parts, np.flatnonzero(later))
        turns = turns.but(concurrency=_concurrency([turns, going_on], ends[rows]))
        turns = recorded(rehearsal, hour, turns)
        if (late := defect_in(rehearsal, "late_rows", hour)) is not None:
            is_late = uniform(turns.keys("turn_id"), 50) < late.share
            on_time = turns.take(~is_late)
            held, turns = (
                turns.take(is_late),
                on_time if held is None else joined_turns([on_time, held]),
            )
        yield hour, turns
        if (
            defect_in(rehearsal, "duplicate_files", hour) is not None
            and hour % _DOUBLED_EVERY == _DOUBLED_AT
        ):
            yield hour, turns


def traffic(rehearsal: Rehearsal) -> TurnColumns:
    """Return all turns of a rehearsal, file after file."""
    return joined_turns([turns for _, turns in hourly(rehearsal)])


def _sessions_of(rehearsal: Rehearsal, hour: int) -> TurnColumns:
    """Return the turns of the sessions that begin in an hour."""
    rate = rehearsal.turns_per_hour * traffic_load(rehearsal, hour) / MEAN_TURNS
    parts = [_turns_of(_calls(rehearsal, hour, rate, group=0, forced={}))]
    arrivals = [c for c in rehearsal.scenario.changes if c.quantity == "arrivals"]
    for group, change in enumerate(arrivals, start=1):
        since = hour - (rehearsal.onset_hours if change.after_onset else 0.0)
        if since >= 0 and (change.hours is None or since < change.hours):
            share = float(np.prod([CATEGORIES[name][value] for name, value in change.only.items()]))
            more = rate * share * (change.factor - 1.0)
            calls = _calls(rehearsal, hour, more, group=group, forced=change.only)
            parts.append(_turns_of(calls))
    return joined_turns(parts)


@dataclass(frozen=True, slots=True)
class _Calls:
    """Sessions that begin in an hour, and their turns as they are planned.

    Per session: ``sessions``, ``users``, ``units``, ``start_s`` (from the start of all), ``turns``.
    Per turn: its session ``of``, its ``number`` there, the arm and the texts of its session, how
    long the user speaks, what is answered and when the user goes on.
    """

    rehearsal: Rehearsal
    rng: np.random.Generator
    hour: int
    sessions: Keys
    users: Keys
    units: Keys
    start_s: Floats
    turns: Index
    of: Index
    number: Index
    canary: Bools
    texts: Mapping[str, Codes]
    spoken_s: Floats
    answer_words: Floats
    pause_s: Floats
    snr_db: Floats
    faults: Faults

    @property
    def count(self) -> int:
        """The number of sessions."""
        return len(self.sessions)

    @property
    def total(self) -> int:
        """The number of turns."""
        return len(self.of)

    @property
    def last(self) -> Bools:
        """Which turns are the last of their session."""
        return np.asarray(self.number == self.turns[self.of] - 1)

    def happens(self, chance: npt.NDArray[np.floating] | float) -> Bools:
        """Return for which turns something happens by a chance of at most 0.95."""
        return np.asarray(self.rng.random(self.total) < np.minimum(chance, 0.95))


def _calls(
    rehearsal: Rehearsal, hour: int, rate: float, *, group: int, forced: Mapping[str, str]
) -> _Calls:
    """Return as many sessions as a Poisson law gives."""
    rng = np.random.Generator(np.random.SFC64([rehearsal.seed, hour, group]))
    count = int(rng.poisson(rate))
    numbers = np.arange(count, dtype=np.uint64) + np.uint64((hour * 64 + group) << 32)
    sessions = mixed(numbers, rehearsal.seed * 4 + 1)
    start_s = hour * HOUR_S + np.sort(rng.random(count)) * HOUR_S
    population = max(50, int(6 * rehearsal.turns_per_hour))
    user_numbers = (population * rng.random(count) ** 2).astype(np.uint64)
    users = mixed(user_numbers, rehearsal.seed * 4 + 2)
    hours = start_s / HOUR_S
    texts = profiles(rehearsal, users, sessions, hours, forced)
    units = users if rehearsal.unit == "user" else sessions
    canary = arms(rehearsal, units, hours, texts)
    turns = np.minimum(rng.geometric(1.0 / MEAN_TURNS, count), _MOST_TURNS)
    of = np.repeat(np.arange(count), turns)
    spoken_s = np.clip(np.exp(rng.normal(np.log(2.6), 0.55, len(of))), 0.3, 30.0)
    answer_words = np.maximum(1.0, np.rint(np.exp(rng.normal(np.log(17.0), 0.5, len(of)))))
    pause_s = 0.8 + rng.exponential(2.0, len(of))
    planned_s = _begins(spoken_s + 0.7 + answer_words / 2.6 + pause_s, of, count)
    rows = planned_s < _LONGEST_S
    of, planned_s = of[rows], planned_s[rows]
    of_turn = {name: Codes(text.codes[of], text.names) for name, text in texts.items()}
    faults = Faults(rehearsal, hours[of] + planned_s / HOUR_S, canary[of], of_turn)
    snr = 20.0 + 5.0 * rng.standard_normal(count) - 4.0 * (texts["device"].codes == _LANDLINE)
    return _Calls(
        rehearsal=rehearsal,
        rng=rng,
        hour=hour,
        sessions=sessions,
        users=users,
        units=units,
        start_s=start_s,
        turns=np.bincount(of, minlength=count),
        of=of,
        number=_numbers(of, count),
        canary=canary[of],
        texts=of_turn,
        spoken_s=spoken_s[rows],
        answer_words=answer_words[rows],
        pause_s=pause_s[rows],
        snr_db=snr[of] + rng.normal(0.0, 1.5, len(of)) + faults.added("snr_db"),
        faults=faults,
    )


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """What comes of each turn; ``failing``: its session has a failed turn."""

    failed: Bools
    failing: Bools
    unanswered: Bools
    interrupted: Bools
    columns: Mapping[str, Values]


def _outcomes(calls: _Calls) -> _Outcomes:
    """Return what goes wrong in each turn, and what the user does then."""
    rng, faults, total = calls.rng, calls.faults, calls.total
    proneness = np.exp(
        SPREAD_OF_SESSIONS * rng.standard_normal(calls.count)
        - SPREAD_OF_SESSIONS**2 / 2
        + SPREAD_OF_USERS * normal(calls.users, 30)
        - SPREAD_OF_USERS**2 / 2
    )
    language = calls.texts["language"]
    harder = np.array([_LANGUAGE_FAILURES.get(name, 1.0) for name in language.names])
    noise = np.exp(-0.03 * (calls.snr_db - _MEAN_SNR))
    chance = FAILURE_RATE * proneness[calls.of] * harder[language.codes] * noise
    failed = calls.happens(chance * faults.factor("failures"))
    failing = np.asarray(
        (np.bincount(calls.of, weights=failed, minlength=calls.count) > 0)[calls.of]
    )
    unanswered = failed & calls.happens(_UNANSWERED)
    leaving = calls.happens((0.025 + 0.2 * failing) * faults.factor("abandoned"))
    abandoned = leaving & calls.last & ~failed
    barging = calls.happens(0.06 * faults.factor("interrupted"))
    interrupted = barging & ~failed & ~abandoned
    unanswered |= abandoned | (interrupted & calls.happens(_BARGED_EARLY))
    lost = calls.happens(NO_OUTCOME_RATE * faults.factor("no_outcome"))
    no_answer = calls.happens((0.008 + 0.25 * failed) * faults.factor("no_answer"))
    empty = calls.happens(0.01 * np.exp(-0.08 * (calls.snr_db - _MEAN_SNR)))
    solving = calls.happens(np.where(failing, 0.5, 0.88) * faults.factor("success"))
    solved = solving & ~failed & ~abandoned
    codes = np.select([lost, failed, interrupted, abandoned], [-1, 1, 2, 3], 0).astype(np.int32)
    about = labels(
        calls.rehearsal,
        rng.random(total),
        calls.start_s[calls.of] / HOUR_S,
        calls.sessions[calls.of],
    )
    confidence = rng.normal(2.3 + 0.05 * (calls.snr_db - _MEAN_SNR), 0.7)
    mos = rng.normal(3.1 + 0.02 * (calls.snr_db - _MEAN_SNR), 0.25) + faults.added("dnsmos_ovrl")
    return _Outcomes(
        failed,
        failing,
        unanswered,
        interrupted,
        {
            "ok": np.where(lost, -1, ~failed).astype(np.int8),
            "outcome": Codes(codes, OUTCOMES),
            "success": np.where(calls.last, solved, -1).astype(np.int8),
            "no_answer": no_answer.astype(np.int8),
            "empty": empty.astype(np.int8),
            "label": about,
            "snr_db": calls.snr_db,
            "confidence": 1.0 / (1.0 + np.exp(-confidence)),
            "dnsmos_ovrl": np.clip(mos, 1.0, 5.0),
        },
    )


def _timing(calls: _Calls, outcomes: _Outcomes) -> dict[str, Values]:
    """Return how long each stage took, the whole, and when the turn began and ended."""
    rng, faults, total = calls.rng, calls.faults, calls.total
    unanswered, timed_out = outcomes.unanswered, outcomes.unanswered & outcomes.failed
    speed = np.exp(0.12 * rng.standard_normal(calls.count))[calls.of] * faults.factor("latency_ms")
    stages: dict[str, Floats] = {}
    for name, median in STAGE_MEDIANS.items():
        spread = 0.45 if name in {"llm_ttft_ms", "tool_ms"} else 0.25
        stages[name] = median * np.exp(spread * rng.standard_normal(total)) * speed
    slow = calls.happens(0.006 * faults.factor("slow_share"))
    stages["llm_ttft_ms"] *= np.where(slow, 6.0 + rng.exponential(6.0, total), 1.0)
    stages["llm_ttft_ms"] *= faults.factor("llm_ttft_ms")
    stages["tts_ttfb_ms"] *= faults.factor("tts_ttfb_ms")
    stages["tool_ms"][~calls.happens(_WITH_TOOL)] = np.nan
    waiting = 6.0 * traffic_load(calls.rehearsal, calls.hour) + faults.added("queue_ms")
    queue_ms = rng.exponential(1.0, total) * waiting * faults.factor("queue_ms")
    latency_ms = queue_ms + 12.0 + rng.exponential(14.0, total)
    for name in STAGES:
        latency_ms += np.nan_to_num(stages[name])
    retried = calls.happens((0.012 + 0.25 * outcomes.failed) * faults.factor("retries"))
    attempts = np.minimum(rng.geometric(0.7, total), 5)
    timeout_ms = 5000.0 * faults.factor("timeout_ms")
    waited_s = np.where(timed_out, timeout_ms, latency_ms) / 1000.0
    answer_s = calls.answer_words / 2.6 * np.where(outcomes.interrupted, 0.4, 1.0)
    heard_s = np.where(unanswered, 0.0, answer_s)
    busy_s = calls.spoken_s + waited_s + heard_s
    start_s = calls.start_s[calls.of]
    begin_s = start_s + _begins(busy_s + calls.pause_s, calls.of, calls.count)
    end_s = np.minimum(begin_s + busy_s, start_s + HOUR_S - 1.0)
    latency_ms[unanswered] = np.nan
    for name in ("tts_ttfb_ms", "network_ms"):
        stages[name][unanswered] = np.nan
    stages["llm_ttft_ms"][timed_out] = np.nan
    epoch = moment(calls.rehearsal.start).timestamp()
    return {
        "ts": ((epoch + end_s) * 1e6).astype(np.int64),
        "latency_ms": latency_ms,
        **stages,
        "queue_ms": queue_ms,
        "retries": np.where(retried, attempts, 0).astype(np.float64),
        "concurrency": np.zeros(total),
        "audio_in_s": calls.spoken_s,
        "audio_out_s": heard_s,
        "duration_s": calls.spoken_s,
        "_begin": ((epoch + start_s) * 1e6).astype(np.int64),
        "_spoken": ((epoch + begin_s) * 1e6).astype(np.int64),
    }


def _usage(calls: _Calls, outcomes: _Outcomes) -> dict[str, Values]:
    """Return what each turn took of the services, and what that costs."""
    total, language = calls.total, calls.texts["language"]
    per_word = np.array([TOKENS_PER_WORD[name] for name in language.names])[language.codes]
    per_word = per_word * calls.faults.factor("tokens")
    words = np.maximum(1.0, np.rint(calls.spoken_s * 2.4))
    answer_words = np.where(outcomes.unanswered, 0.0, calls.answer_words)
    input_tokens = np.rint(380.0 + (22.0 * calls.number + words) * per_word)
    cached = np.where(calls.number > 0, np.floor(0.6 * input_tokens / 64.0) * 64.0, 0.0)
    output_tokens = np.rint(answer_words * per_word)
    tts_chars = np.rint(answer_words * 5.7)
    cost = (
        (input_tokens - cached) * PRICES["input"]
        + cached * PRICES["cache_read"]
        + output_tokens * PRICES["output"]
        + tts_chars * PRICES["character"]
        + calls.spoken_s / 60.0 * PRICES["audio_minute"]
    )
    churn = 0.14 * np.exp(-0.03 * (calls.snr_db - _MEAN_SNR))
    changes = calls.rng.poisson(words * churn * calls.faults.factor("partial_changes"))
    return {
        "partial_changes": np.minimum(changes, 3 * words),
        "partial_words": words,
        "model": _constant("gpt-4o-mini", total),
        "provider": _constant("openai", total),
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_tokens": cached,
        "cache_write_tokens": np.zeros(total),
        "reasoning_tokens": np.zeros(total),
        "input_audio_tokens": np.full(total, np.nan),
        "output_audio_tokens": np.full(total, np.nan),
        "tts_chars": tts_chars,
        "cost": cost * calls.faults.factor("price"),
        "currency": _constant("USD", total),
        "answer_words": answer_words,
    }


_ATTRIBUTES = ("language", "device", "channel", "region", "speaker", "label")
_MEASURES = ("duration_s", "snr_db", "confidence", "dnsmos_ovrl", "answer_words")


def _turns_of(calls: _Calls) -> TurnColumns:
    """Return the turns of calls, session after session."""
    outcomes = _outcomes(calls)
    arm = calls.canary.astype(np.int32)
    sessions, rehearsal = calls.sessions[calls.of], calls.rehearsal
    columns: dict[str, Values] = {
        **_timing(calls, outcomes),
        **_usage(calls, outcomes),
        **outcomes.columns,
        **calls.texts,
        "session": sessions,
        "turn_id": mixed(sessions + calls.number.astype(np.uint64), 3),
        "unit": calls.units[calls.of],
        "user": mixed(calls.users, 7)[calls.of],
        "speaker": mixed(calls.users, 5)[calls.of],
        "arm": Codes(arm, ("control", "canary")),
        "release": Codes(arm, (rehearsal.control, rehearsal.canary)),
        "_number": calls.number,
        "_turns": calls.turns[calls.of],
        "_failing": outcomes.failing.astype(np.int8),
        "_naive": np.zeros(calls.total, np.int8),
    }
    order = dict.fromkeys((*COLUMNS, *_ATTRIBUTES, *_MEASURES, *columns))
    return TurnColumns({name: columns[name] for name in order})


def _constant(text: str, count: int) -> Codes:
    return Codes(np.zeros(count, np.int32), (text,))


def _begins(seconds: Floats, of: Index, sessions: int) -> Floats:
    """Return when each turn begins in its session, from how long each takes."""
    ends = np.cumsum(seconds)
    begins = ends - seconds
    first = np.searchsorted(of, np.arange(sessions))
    return np.asarray(begins - begins[np.minimum(first, len(of) - 1)][of]) if len(of) else begins


def _numbers(of: Index, sessions: int) -> Index:
    """Return the number of each turn in its session, from 0."""
    return np.asarray(np.arange(len(of)) - np.searchsorted(of, np.arange(sessions))[of])


def _concurrency(parts: Sequence[TurnColumns], at: Index) -> Floats:
    """Return how many sessions are going on at each time; of each the last turn is there."""
    begins, ends = [], []
    for turns in parts:
        last = turns.times("_number") == turns.times("_turns") - 1
        begins.append(turns.times("_begin")[last])
        ends.append(turns.times("ts")[last])
    begun = np.searchsorted(np.sort(np.concatenate(begins)), at, side="right")
    ended = np.searchsorted(np.sort(np.concatenate(ends)), at, side="left")
    return np.asarray(begun - ended, np.float64)
