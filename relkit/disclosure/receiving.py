"""What a receiver can check of a packet without the data behind it (docs/incidents.md).

Every number has to be one that disclosure control could have shown, every name one that may be
shared, every time as coarse as it has to be. Nothing here needs a file, a network or a clock.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from relkit.core.slices import OVERALL, normal_slice
from relkit.core.values import moment
from relkit.disclosure.audit import POOL_VALUE, pinned_slices
from relkit.disclosure.names import PSEUDONYM, TENANT, is_name, is_version_column
from relkit.disclosure.numbers import band_of, is_band, is_grid_value, is_shown_rate
from relkit.disclosure.percentiles import values_implied
from relkit.disclosure.thresholds import MIN_UTTERANCES, fewest_people
from relkit.disclosure.types import (
    AllButFewer,
    Band,
    FewerThan,
    HourSpan,
    Packet,
    PacketProblem,
    ShownBand,
    ShownCell,
    ShownMetric,
    ShownRate,
)

_MOST_COLUMNS = 2
_MOST_CROSSINGS = 1


def packet_problems(packet: Packet) -> tuple[PacketProblem, ...]:
    """Return everything in a packet that disclosure control could not have shown."""
    return tuple(
        dict.fromkeys(
            (
                *_setting_problems(packet),
                *_time_problems(packet),
                *_name_problems(packet),
                *_cell_problems(packet),
                *_percentile_problems(packet),
                *_pool_problems(packet),
                *_impact_problems(packet),
                *_audit_problems(packet),
            )
        )
    )


def packet_chain_problems(
    packet: Packet, earlier: Mapping[str, Packet]
) -> tuple[PacketProblem, ...]:
    """Return how a packet breaks the chain of those before it, which are given by their digest.

    A packet begins where the one that it names ended. One of a window that is out already shows
    what was shown, and may add to it. Without any at hand nothing can be said.
    """
    if not earlier:
        return ()
    problems = []
    same = [before for before in earlier.values() if before.window == packet.window]
    before = earlier.get(packet.previous or "")
    if before is not None and before.window.to != packet.window.from_:
        problems.append(_problem("chain", "window"))
    if before is None and (packet.previous is not None or len(same) < len(earlier)):
        problems.append(_problem("chain", "previous"))
    for other in earlier.values():
        problems += [
            _problem("chain", key)
            for key in ("incident", "profile", "k", "unit", "subjects")
            if getattr(packet, key) != getattr(other, key)
        ]
        if packet.created < other.created:
            problems.append(_problem("chain", "created"))
        if other not in same and _overlap(packet.window, other.window):
            problems.append(_problem("overlap", "window"))
    shown = {cell.slice: cell for cell in packet.cells}
    problems += [
        _problem("changed", cell.slice)
        for other in same
        for cell in other.cells
        if not _still_shown(cell, shown.get(cell.slice))
    ]
    return tuple(dict.fromkeys(problems))


def _problem(code: str, where: str) -> PacketProblem:
    return PacketProblem(code=code, where=where)


def _still_shown(before: ShownCell, now: ShownCell | None) -> bool:
    """Return whether a cell is shown as it was; metrics may have been added to it."""
    return now is not None and (
        (now.people, now.utterances) == (before.people, before.utterances)
        and all(
            now.metrics.get(name) == metric
            for name, metric in before.metrics.items()
            if metric is not None
        )
    )


def _overlap(window: HourSpan, other: HourSpan) -> bool:
    return window.from_ < other.to and other.from_ < window.to


def _setting_problems(packet: Packet) -> Iterator[PacketProblem]:
    if packet.k != fewest_people(packet.profile, packet.unit):
        yield _problem("k", "k")
    if packet.stage == "update" and packet.previous is None:
        yield _problem("chain", "previous")
    if packet.stage == "initial" and packet.previous is not None:
        yield _problem("chain", "stage")


def _time_problems(packet: Packet) -> Iterator[PacketProblem]:
    """Yield what is told more exactly than in whole hours, or to the minute, or the wrong way."""
    form, spans = packet.form, {"window": packet.window}
    if packet.cause.onset is not None:
        spans["cause.onset"] = packet.cause.onset
    about_turns = [
        *((where, at) for where, span in spans.items() for at in (span.from_, span.to)),
        ("form.onset", form.onset),
        ("form.ended", form.ended),
        *(("timeline", event.at) for event in packet.timeline if event.kind in {"onset", "ended"}),
    ]
    findings = (*packet.cost, *packet.drift, *packet.burn)
    of_the_system = [
        ("form.aware", form.aware),
        *(("timeline", event.at) for event in packet.timeline),
        *(("served", at) for item in packet.served for at in (item.from_, item.to)),
        *(("findings", item.at) for item in findings),
    ]
    yield from (_problem("hours", where) for where, at in about_turns if at and not _is_hour(at))
    yield from (
        _problem("minutes", where) for where, at in of_the_system if at and moment(at).second
    )
    if packet.impact.minutes is not None and packet.impact.minutes % 60:
        yield _problem("hours", "impact.minutes")
    ordered = {
        **{where: span.from_ < span.to for where, span in spans.items()},
        "created": packet.window.to <= packet.created,
        "timeline": all(first.at <= second.at for first, second in pairwise(packet.timeline)),
        "served": all(item.to is None or item.from_ <= item.to for item in packet.served),
    }
    yield from (_problem("order", where) for where, right in ordered.items() if not right)


def _is_hour(time: str) -> bool:
    at = moment(time)
    return at.minute == at.second == 0


def _name_problems(packet: Packet) -> Iterator[PacketProblem]:
    """Yield names of a form that is never shared; slices hold names, pseudonyms and pools."""
    if not is_name(packet.tool_version):
        yield _problem("name", "tool_version")
    for where, keys in _slices(packet).items():
        if not all(map(is_shared_slice, keys)):
            yield _problem("name", where)
    findings = (*packet.cost, *packet.drift, *packet.burn)
    if not all(is_shared_slice(key) or is_name(key) for item in findings for key in item.slices):
        yield _problem("name", "findings")
    if not all(is_name(column) for column in packet.pooled):
        yield _problem("name", "pooled")
    for name, values in {
        "mitigations": packet.mitigations,
        "form.corrective": packet.form.corrective,
        "pooled": packet.pooled,
        "commitments": tuple(item.sha256 for item in packet.commitments),
        "cells": tuple(cell.slice for cell in packet.cells),
    }.items():
        if len(set(values)) != len(values):
            yield _problem("twice", name)


def _slices(packet: Packet) -> dict[str, Sequence[str]]:
    return {
        "cells": [cell.slice for cell in packet.cells],
        "percentiles": [item.slice for item in packet.percentiles],
        "cause.slice": [] if packet.cause.slice is None else [packet.cause.slice],
        "form.affected_groups": packet.form.affected_groups,
    }


def is_shared_slice(key: str) -> bool:
    """Return whether a slice is written as it has to be, of names, pseudonyms and pools.

    A tenant is a pseudonym, always.
    """
    if key == OVERALL:
        return True
    try:
        if normal_slice(key) != key:
            return False
    except ValueError:
        return False
    pairs = [part.partition("=") for part in key.split("&")]
    return all(is_name(column) and _is_value(column, value) for column, _, value in pairs)


def _is_value(column: str, value: str) -> bool:
    if value == POOL_VALUE:
        return True
    if column == TENANT:
        return value.startswith(f"{TENANT}-") and re.fullmatch(PSEUDONYM, value) is not None
    return is_name(value)


def _columns(key: str) -> tuple[str, ...]:
    """Return the columns of a slice; releases are no slice of the traffic."""
    parts = () if key == OVERALL else key.split("&")
    names = (part.partition("=")[0] for part in parts)
    return tuple(name for name in names if not is_version_column(name))


def _cell_problems(packet: Packet) -> Iterator[PacketProblem]:
    k = fewest_people(packet.profile, packet.unit)
    least = band_of(k)[0]
    for cell in packet.cells:
        if not (is_band(cell.people) and is_band(cell.utterances)):
            yield _problem("band", cell.slice)
            continue
        if cell.people[0] < least or cell.utterances[0] < MIN_UTTERANCES:
            yield _problem("k", cell.slice)
        if cell.utterances[1] < cell.people[0]:
            yield _problem("band", cell.slice)
        for name, metric in cell.metrics.items():
            code = _metric_problem(metric, cell.utterances, k)
            if code is not None:
                yield _problem(code, f"{cell.slice}: {name}")
    shown = {cell.slice for cell in packet.cells}
    named = {packet.cause.slice, *packet.form.affected_groups} - {None}
    if not named <= shown:
        yield _problem("no_cell", "cause.slice")
    crossings = {columns for cell in packet.cells if len(columns := _columns(cell.slice)) > 1}
    if len(crossings) > _MOST_CROSSINGS or any(map(_is_too_deep, crossings)):
        yield _problem("crossings", "cells")


def _is_too_deep(columns: Sequence[str]) -> bool:
    return len(columns) > _MOST_COLUMNS


def _metric_problem(metric: ShownMetric, utterances: Band, k: int) -> str | None:
    """Return what is wrong with a metric, by code: another band, grid or k, or too few events."""
    most = utterances[1]
    if isinstance(metric, FewerThan | AllButFewer):
        shown = metric.below if isinstance(metric, FewerThan) else metric.above
        return None if shown == k else "k"
    if isinstance(metric, ShownBand):
        if not is_band(metric.events) or metric.events[0] > most:
            return "band"
        return None if metric.events[1] >= k else "k"
    if isinstance(metric, ShownRate):
        if not is_shown_rate(metric):
            return "grid"
        reach = metric.step / 2
        most_events = (metric.value + reach) * most
        most_others = (1 - metric.value + reach) * most
        return None if min(most_events, most_others) >= k else "k"
    return None


def _percentile_problems(packet: Packet) -> Iterator[PacketProblem]:
    """Yield percentiles off their grid, twice, falling, of no cell, or of too few turns."""
    sizes = {cell.slice: cell.utterances for cell in packet.cells}
    last: dict[tuple[str, str], tuple[int, float]] = {}
    for item in sorted(packet.percentiles, key=lambda item: item.percentile):
        where = f"{item.slice}: {item.metric} p{item.percentile}"
        values = (item.low, item.value, item.high)
        shown = [value for value in values if value is not None]
        if not all(map(is_grid_value, shown)):
            yield _problem("grid", where)
        if shown != sorted(shown) or (item.value is None and shown):
            yield _problem("order", where)
        if item.slice not in sizes:
            yield _problem("no_cell", where)
        # That ten values are beyond it tells of how many there are: no more than the band does.
        elif shown and sizes[item.slice][0] < values_implied(item.percentile):
            yield _problem("tail", where)
        rank, value = last.get((item.slice, item.metric), (0, 0.0))
        if rank == item.percentile:
            yield _problem("twice", where)
        if item.value is not None:
            if item.value < value:
                yield _problem("order", where)
            last[item.slice, item.metric] = item.percentile, item.value


def _pool_problems(packet: Packet) -> Iterator[PacketProblem]:
    """Yield pools of columns that the packet does not say are pooled."""
    for key in _pools(cell.slice for cell in packet.cells):
        if key not in packet.pooled:
            yield _problem("pooled", key)
    for cell in packet.cells:
        if cell.slice.count(POOL_VALUE) > 1:
            yield _problem("pooled", cell.slice)


def _pools(keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        for part in key.split("&"):
            column, _, value = part.partition("=")
            if value == POOL_VALUE:
                yield column


def _impact_problems(packet: Packet) -> Iterator[PacketProblem]:
    impact = packet.impact
    least = band_of(fewest_people(packet.profile, packet.unit))[0]
    for where, band in (("people", impact.people), ("turns", impact.turns)):
        if band is not None and not is_band(band):
            yield _problem("band", f"impact.{where}")
        elif band is not None and band[0] < (least if where == "people" else MIN_UTTERANCES):
            yield _problem("k", f"impact.{where}")
    if impact.budget_spent is not None and not is_band(impact.budget_spent):
        yield _problem("band", "impact.budget_spent")


def _audit_problems(packet: Packet) -> Iterator[PacketProblem]:
    """Yield slices, or columns, of which a hidden count can be told from the cells shown.

    Of cells that are no bands nothing can be worked out; they are refused as what they are.
    """
    bands = (band for cell in packet.cells for band in (cell.people, cell.utterances))
    if all(map(is_band, bands)):
        k = fewest_people(packet.profile, packet.unit)
        for key in pinned_slices(packet.cells, k, packet.hidden):
            yield _problem("audit", key)
