"""What goes wrong with the record of the traffic: rows lost, late, doubled or beside the truth."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import Codes
from relkit.core.values import moment
from relkit.telemetry.simulation.callers import mixed, uniform
from relkit.telemetry.simulation.types import (
    Bools,
    DefectKind,
    Index,
    Rehearsal,
    TelemetryDefect,
    TurnColumns,
    Values,
)
from relkit.telemetry.types import STAGES

_FUTURE_US = 30 * 86_400 * 1_000_000

_NIGHT_END, _NIGHT_CALLS_AT, _NIGHT_CALLS = 6, 3, 3


def joined_turns(parts: Sequence[TurnColumns], rows: Index | None = None) -> TurnColumns:
    """Return the turns of all parts, or those ``rows`` of them, with the columns all parts have."""
    first = parts[0]
    shared = [name for name in first.columns if all(name in part.columns for part in parts)]
    columns: dict[str, Values] = {}
    for name in shared:
        column = first.columns[name]
        if isinstance(column, Codes):
            texts = [part.texts(name) for part in parts]
            names = tuple(dict.fromkeys(value for text in texts for value in text.names))
            codes = np.concatenate(
                [text.codes if text.names == names else _recoded(text, names) for text in texts]
            )
            columns[name] = Codes(codes if rows is None else codes[rows], names)
        else:
            values = np.concatenate([part.columns[name] for part in parts])
            columns[name] = values if rows is None else values[rows]
    return TurnColumns(columns)


def _recoded(text: Codes, names: tuple[str, ...]) -> npt.NDArray[np.int32]:
    numbers = np.array([*(names.index(value) for value in text.names), -1], np.int32)
    return numbers[text.codes]


def defect_in(rehearsal: Rehearsal, kind: DefectKind, hour: int) -> TelemetryDefect | None:
    """Return a defect of a kind where the scenario has it in an hour."""
    for defect in rehearsal.scenario.defects:
        if defect.kind == kind and (not defect.after_onset or hour >= rehearsal.onset_hours):
            return defect
    return None


def recorded(rehearsal: Rehearsal, hour: int, turns: TurnColumns) -> TurnColumns:
    """Return what is recorded of the turns of an hour; late and doubled files are no part of it."""
    for defect in rehearsal.scenario.defects:
        change = _DEFECTS.get(defect.kind)
        if change is not None and (not defect.after_onset or hour >= rehearsal.onset_hours):
            turns = change(rehearsal, hour, turns, defect)
    return turns


def _hit(turns: TurnColumns, defect: TelemetryDefect, *, by: str = "turn_id") -> Bools:
    """Return which turns a defect hits; ``by`` session it hits all turns of one."""
    hit = uniform(turns.keys(by), 40) < defect.share
    return hit if defect.arm is None else hit & turns.is_value("arm", defect.arm)


def _lost_sessions(
    _: Rehearsal, _hour: int, turns: TurnColumns, defect: TelemetryDefect
) -> TurnColumns:
    return turns.take(~(_hit(turns, defect, by="session") & (turns.flags("_failing") == 1)))


def _lost_outcomes(
    _: Rehearsal, _hour: int, turns: TurnColumns, defect: TelemetryDefect
) -> TurnColumns:
    hit, outcome = _hit(turns, defect), turns.texts("outcome")
    return turns.but(
        ok=np.where(hit, -1, turns.flags("ok")).astype(np.int8),
        outcome=Codes(np.where(hit, np.int32(-1), outcome.codes), outcome.names),
    )


def _seconds_for_ms(
    _: Rehearsal, _hour: int, turns: TurnColumns, _defect: TelemetryDefect
) -> TurnColumns:
    return turns.but(**{name: turns.numbers(name) / 1e3 for name in ("latency_ms", *STAGES)})


def _future_rows(
    _: Rehearsal, _hour: int, turns: TurnColumns, defect: TelemetryDefect
) -> TurnColumns:
    return turns.but(ts=turns.times("ts") + np.where(_hit(turns, defect), _FUTURE_US, 0))


def _naive_rows(
    _: Rehearsal, _hour: int, turns: TurnColumns, defect: TelemetryDefect
) -> TurnColumns:
    # Others than those in the future.
    naive = uniform(turns.keys("turn_id"), 41) < defect.share
    return turns.but(_naive=naive.astype(np.int8))


def _both_arms(
    _: Rehearsal, _hour: int, turns: TurnColumns, defect: TelemetryDefect
) -> TurnColumns:
    second_half = turns.times("_number") >= (turns.times("_turns") + 1) // 2
    crossing = _hit(turns, defect, by="session") & second_half
    arm, release = turns.texts("arm"), turns.texts("release")
    codes = np.where(crossing, 1 - arm.codes, arm.codes).astype(np.int32)
    return turns.but(arm=Codes(codes, arm.names), release=Codes(codes, release.names))


def _control_release(
    rehearsal: Rehearsal, _hour: int, turns: TurnColumns, _defect: TelemetryDefect
) -> TurnColumns:
    release = turns.texts("release")
    names = (*release.names, f"{rehearsal.control}-hotfix")
    codes = np.where(release.codes == 0, np.int32(len(names) - 1), release.codes)
    return turns.but(release=Codes(codes, names))


def _missing_column(
    _: Rehearsal, _hour: int, turns: TurnColumns, defect: TelemetryDefect
) -> TurnColumns:
    columns = turns.columns.items()
    return TurnColumns({name: values for name, values in columns if name != defect.column})


def _hostile_caller(
    rehearsal: Rehearsal, hour: int, turns: TurnColumns, defect: TelemetryDefect
) -> TurnColumns:
    """Return the turns, and more by one caller in one endless session, which all fail."""
    extra = turns.take(uniform(turns.keys("turn_id"), 43) < defect.share)
    count = len(extra)
    caller = mixed(np.full(count, 7, np.uint64), rehearsal.seed)
    same = {
        name: Codes(np.zeros(count, np.int32), extra.texts(name).names)
        for name in ("language", "device", "channel", "region", "tenant_class")
    }
    canary = np.ones(count, np.int32)
    extra = _failing(extra).but(
        session=caller,
        unit=caller,
        speaker=caller,
        turn_id=mixed(extra.keys("turn_id"), 44),
        arm=Codes(canary, extra.texts("arm").names),
        release=Codes(canary, extra.texts("release").names),
        success=np.full(count, -1, np.int8),
        _number=np.arange(count) + hour * 1_000_000 + 1,
        _turns=np.full(count, 1 << 40),
        **same,
    )
    both = joined_turns([turns, extra])
    return both.take(np.argsort(both.times("ts"), kind="stable"))


def _night_calls(
    rehearsal: Rehearsal, hour: int, turns: TurnColumns, _defect: TelemetryDefect
) -> TurnColumns:
    """Return no turn of the night, but for a few calls in one hour of it, which fail."""
    of_day = (moment(rehearsal.start).hour + hour) % 24
    if of_day >= _NIGHT_END:
        return turns
    calls = _NIGHT_CALLS if of_day == _NIGHT_CALLS_AT else 0
    return _failing(turns.take(np.flatnonzero(turns.times("_turns") == 1)[:calls]))


def _failing(turns: TurnColumns) -> TurnColumns:
    """Return the same turns, failed and without an answer."""
    outcome = turns.texts("outcome").names
    failed = np.full(len(turns), outcome.index("failed"), np.int32)
    return turns.but(
        ok=np.zeros(len(turns), np.int8),
        outcome=Codes(failed, outcome),
        success=np.where(turns.flags("success") >= 0, 0, -1).astype(np.int8),
        latency_ms=np.full(len(turns), np.nan),
    )


_DEFECTS: Mapping[
    DefectKind, Callable[[Rehearsal, int, TurnColumns, TelemetryDefect], TurnColumns]
] = {
    "lost_sessions": _lost_sessions,
    "lost_outcomes": _lost_outcomes,
    "seconds_for_ms": _seconds_for_ms,
    "future_rows": _future_rows,
    "naive_rows": _naive_rows,
    "both_arms": _both_arms,
    "control_release": _control_release,
    "missing_column": _missing_column,
    "hostile_caller": _hostile_caller,
    "night_calls": _night_calls,
}
