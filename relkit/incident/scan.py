"""The scan: which signal rose, in which cell and window, and with which version.

Kulldorff's likelihood ratio for a rate that is known (1997, with the expected number given):
O ln(O/E) - (O - E) where O > E, over signals, windows of half an hours and cells. The best window
of a cell is found for a grid of risks at once, as the largest sum of neighbours of
O ln(risk) - E (risk - 1), whose maximum over all risks is that ratio; the best are then searched in
full.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.slices import SliceSpec
from relkit.incident.expected import Mask
from relkit.incident.signals import can_cause
from relkit.incident.types import IncidentCounts, Signal

COLUMN_COST = 3.0
RELEASE_COST = 1.0
ONLY_COST = 1.0
"""What a hypothesis pays for each column, for a release, and for one that a later one mended."""

_RISKS = (1.2, 1.5, 2.0, 3.0, 5.0, 9.0, 20.0, 60.0)
_FEWEST_EVENTS = 5
_FEWEST_SHARE = 0.002
_MOST_VALUES, _MOST_CROSSED = 400, 40
_BEST = 5
_REACH = 4
_CHUNK = 20_000


def cell_key(values: Sequence[tuple[str, str]]) -> str:
    """Return values by column as a slice in its one spelling."""
    ordered = sorted(values)
    return SliceSpec(columns=tuple(name for name, _ in ordered)).key(v for _, v in ordered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """Something that would explain why a signal rose: where, when, and with which version.

    ``slice`` are values by column, none for all traffic. ``version`` stands for it and all later
    ones, or with ``only`` for itself. ``first`` and ``last`` are bins, the last not included.
    With ``rollout`` the window is not free: it is all of the version's own traffic.
    ``likelihood`` is the log-likelihood ratio over the overdispersion, ``score`` the same less what
    its parts cost.
    """

    signal: str
    slice: tuple[tuple[str, str], ...]
    component: str | None
    version: str | None
    only: bool
    first: int
    last: int
    rollout: bool
    observed: float
    expected: float
    likelihood: float
    score: float

    @property
    def key(self) -> str:
        """The slice in its one spelling."""
        return cell_key(self.slice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """The cells that are searched, and what was expected of each signal in them.

    Bins are numbered from the first that is searched; ``bins`` is how many there are, ``window``
    how many make up a window.
    """

    counts: IncidentCounts
    bins: int
    window: int
    expected: Mapping[str, FloatArray] = field(repr=False)

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return -(-self.bins // self.window)

    def cells_of(self, hypothesis: Hypothesis, *, every_window: bool = False) -> Mask:
        """Return which cells a hypothesis is about."""
        mask = np.ones(len(self.counts.bins), dtype=np.bool_)
        for name, value in hypothesis.slice:
            column = self.counts.columns[name]
            mask &= column.codes == column.names.index(value)
        if hypothesis.component is not None and hypothesis.version is not None:
            column = self.counts.releases[hypothesis.component]
            place = column.names.index(hypothesis.version)
            mask &= column.codes == place if hypothesis.only else column.codes >= place
        if not every_window:
            mask &= self.counts.bins >= hypothesis.first
            mask &= self.counts.bins < hypothesis.last
        return mask


def series(scanned: Scanned, signal: str, cells: Mask) -> tuple[FloatArray, FloatArray]:
    """Return events and expected events by bin, in some cells."""
    bins = scanned.counts.bins[cells]
    seen = np.bincount(bins, scanned.counts.events[signal][cells].astype(float), scanned.bins)
    sums = np.bincount(bins, scanned.expected[signal][cells], scanned.bins)
    return seen.astype(np.float64), sums.astype(np.float64)


def likelihood_ratio(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Return O ln(O/E) - (O - E) where more was observed than expected, else 0."""
    expected = np.maximum(expected, 1e-9)
    observed = np.asarray(observed, np.float64)
    logs = np.log(np.maximum(observed, 1e-9) / expected)
    return np.where(observed > expected, observed * logs - (observed - expected), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Cells of one crossing of columns, by window; one row each in every array.

    ``place`` is the number of the crossing's values, ``version`` that of the version, -1 for none.
    """

    signal: int
    columns: tuple[str, ...]
    component: str | None
    only: bool
    place: IntArray
    version: IntArray
    observed: FloatArray
    expected: FloatArray


def scan(
    scanned: Scanned, signals: Sequence[Signal], *, most_columns: int = 2, releases: bool = True
) -> tuple[Hypothesis, ...]:
    """Return the best hypotheses of each signal, without and with each version, the best first."""
    columns = tuple(scanned.counts.columns)
    frequent = _Frequent(scanned)
    best: dict[tuple[int, str | None, int, bool], list[tuple[float, _Rows]]] = {}
    for size in range(most_columns + 1):
        for crossing in combinations(columns, size):
            for rows in _crossed(scanned, signals, crossing, frequent, releases=releases):
                _keep_best(best, rows, scanned, signals)
    hypotheses = [
        _exact(scanned, signals[rows.signal], rows, frequent)
        for listed in best.values()
        for _, rows in listed
    ]
    return tuple(sorted(hypotheses, key=lambda h: (-h.score, h.key, h.version or "")))


class _Frequent:
    """The frequent values of each column: numbered by how frequent they are, -1 for others."""

    def __init__(self, scanned: Scanned) -> None:
        """Take the cells that are searched; nothing is numbered before it is asked for."""
        self._scanned = scanned
        self._numbered: dict[tuple[str, int], tuple[IntArray, IntArray]] = {}

    def of(self, name: str, columns: int) -> tuple[IntArray, IntArray]:
        """Return numbers by cell, and the codes that they stand for, for so many columns at once.

        Where columns are crossed fewer values of each are looked at.
        """
        most = _MOST_CROSSED if columns > 1 else _MOST_VALUES
        if (name, most) not in self._numbered:
            counts = self._scanned.counts
            codes = counts.columns[name].codes.astype(np.int64)
            turns = np.bincount(codes + 1, counts.turns)[1:]
            values = np.flatnonzero(turns)
            values = values[np.argsort(-turns[values], kind="stable")][:most]
            numbers = np.full(len(turns) + 1, -1, np.int64)
            numbers[values] = np.arange(len(values))
            self._numbered[name, most] = numbers[codes], values
        return self._numbered[name, most]


def _crossed(
    scanned: Scanned,
    signals: Sequence[Signal],
    crossing: tuple[str, ...],
    frequent: _Frequent,
    *,
    releases: bool,
) -> Iterator[_Rows]:
    """Yield the cells of a crossing by window, without releases and with those of each component.

    Places count the crossing's frequent values, the last column fastest.
    """
    counts, windows = scanned.counts, scanned.windows
    place = np.zeros(len(counts.bins), np.int64)
    size = 1
    inside = np.ones(len(counts.bins), dtype=np.bool_)
    for name in crossing:
        codes, values = frequent.of(name, len(crossing))
        inside &= codes >= 0
        place = place * len(values) + np.maximum(codes, 0)
        size *= max(1, len(values))
    inside_all = bool(inside.all())
    window = counts.bins // scanned.window
    components: list[str | None] = [None]
    if releases:
        components += [name for name, column in counts.releases.items() if len(column.names) > 1]
    for component in components:
        versions = 1
        oldest = -2
        index = place
        if component is not None:
            column = counts.releases[component]
            versions = len(column.names) + 1
            index = place * versions + (column.codes.astype(np.int64) + 1)
            oldest = _oldest(counts, component)
        index = index * windows + window
        index = index if inside_all else index[inside]
        for number, signal in enumerate(signals):
            if component is not None and not can_cause(signal, component):
                continue
            events, expected = counts.events[signal.name], scanned.expected[signal.name]
            if not inside_all:
                events, expected = events[inside], expected[inside]
            seen = np.flatnonzero(events)
            shape = (size, versions, windows)
            cells = size * versions * windows
            observed = np.bincount(index[seen], events[seen], cells).reshape(shape)
            sums = np.bincount(index, expected, cells).reshape(shape)
            yield from _rows_of(
                number,
                crossing,
                component,
                observed.astype(np.float64),
                sums.astype(np.float64),
                oldest=oldest,
            )


def _oldest(counts: IncidentCounts, component: str) -> int:
    """Return the place of the oldest version with traffic to speak of, -1 for none."""
    column = counts.releases[component]
    turns = np.bincount(column.codes + 1, counts.turns, len(column.names) + 1)[1:]
    places = np.flatnonzero(turns >= _FEWEST_SHARE * max(1.0, float(turns.sum())))
    return int(places[0]) if len(places) else -1


def _rows_of(
    number: int,
    crossing: tuple[str, ...],
    component: str | None,
    observed: FloatArray,
    expected: FloatArray,
    *,
    oldest: int,
) -> Iterator[_Rows]:
    """Yield rows with enough events: of cells, or of cells by "this version or a later one".

    The ``oldest`` version that is searched and those before it are no hypotheses: all traffic has
    them, or a later one.
    """
    cases: list[tuple[bool, FloatArray, FloatArray, int]] = []
    if component is None:
        cases.append((False, observed, expected, -1))
    else:
        alone = observed[:, 2:], expected[:, 2:]  # 0 is for no version, 1 for the oldest
        later = tuple(np.cumsum(part[:, ::-1], axis=1)[:, ::-1] for part in alone)
        cases.append((False, later[0], later[1], 1))
        if alone[0].shape[1] > 1:
            cases.append((True, alone[0][:, :-1], alone[1][:, :-1], 1))
    for only, seen, sums, first in cases:
        newer = np.arange(first, first + seen.shape[1]) > oldest
        enough = np.nonzero((seen.sum(axis=2) >= _FEWEST_EVENTS) & newer)
        if len(enough[0]):
            yield _Rows(
                signal=number,
                columns=crossing,
                component=component,
                only=only,
                place=enough[0],
                version=enough[1] + first,
                observed=seen[enough],
                expected=sums[enough],
            )


def _keep_best(
    best: dict[tuple[int, str | None, int, bool], list[tuple[float, _Rows]]],
    rows: _Rows,
    scanned: Scanned,
    signals: Sequence[Signal],
) -> None:
    """Keep the rows that may hold the best hypotheses of their version."""
    dispersion = _dispersion(scanned, signals[rows.signal])
    parts = [
        _approximate(rows.observed[at : at + _CHUNK], rows.expected[at : at + _CHUNK])
        for at in range(0, len(rows.place), _CHUNK)
    ]
    scores = np.concatenate(parts) / dispersion
    if rows.component is not None:
        total = likelihood_ratio(rows.observed.sum(axis=1), rows.expected.sum(axis=1))
        scores = np.maximum(scores, total / dispersion + np.log(scanned.windows))
    scores = scores - _cost(rows)
    for version in np.unique(rows.version).tolist():
        places = np.flatnonzero(rows.version == version)
        places = places[np.argsort(-scores[places], kind="stable")][:_BEST]
        key = (rows.signal, rows.component, version, rows.only)
        listed = best.setdefault(key, [])
        for row in places.tolist():
            single = _Rows(
                signal=rows.signal,
                columns=rows.columns,
                component=rows.component,
                only=rows.only,
                place=rows.place[row : row + 1],
                version=rows.version[row : row + 1],
                observed=rows.observed[row : row + 1],
                expected=rows.expected[row : row + 1],
            )
            listed.append((float(scores[row]), single))
        listed.sort(key=lambda entry: -entry[0])
        del listed[_BEST:]


def _dispersion(scanned: Scanned, signal: Signal) -> float:
    return max(1.0, scanned.counts.dispersion.get(signal.name, 1.0))


def _cost(rows: _Rows) -> float:
    cost = COLUMN_COST * len(rows.columns)
    if rows.component is not None:
        cost += RELEASE_COST + (ONLY_COST if rows.only else 0.0)
    return cost


def _approximate(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Return about the best likelihood ratio of any window of each row, a few per cent below."""
    best = np.zeros(len(observed))
    for risk in _RISKS:
        total = np.cumsum(np.log(risk) * observed - (risk - 1.0) * expected, axis=1)
        lowest = np.minimum.accumulate(total, axis=1)
        # From the start, or from after the lowest sum before.
        np.maximum(best, total.max(axis=1), out=best)
        np.maximum(best, (total[:, 1:] - lowest[:, :-1]).max(axis=1, initial=0.0), out=best)
    return best


def _exact(scanned: Scanned, signal: Signal, rows: _Rows, frequent: _Frequent) -> Hypothesis:
    """Return the hypothesis of the first row with its best window, or with the rollout.

    The rollout was not searched for: it does not pay for the choice of a window.
    """
    dispersion = _dispersion(scanned, signal)
    seen = np.concatenate([[0.0], np.cumsum(rows.observed[0])])
    sums = np.concatenate([[0.0], np.cumsum(rows.expected[0])])
    ratios = likelihood_ratio(seen[None, :] - seen[:, None], sums[None, :] - sums[:, None])
    ratios = np.triu(ratios, 1)
    first, last = np.unravel_index(int(np.argmax(ratios)), ratios.shape)
    likelihood = float(ratios[first, last]) / dispersion
    score = likelihood
    rollout = False
    if rows.component is not None:
        total = float(ratios[0, -1]) / dispersion
        rollout = total + np.log(scanned.windows) > likelihood
        if rollout:
            served = np.flatnonzero(rows.expected[0] > 0)
            first, last = served[0], served[-1] + 1
            likelihood, score = total, total + float(np.log(scanned.windows))
    values = _values(scanned, rows, frequent)
    component = rows.component
    version = None
    if component is not None:
        version = scanned.counts.releases[component].names[int(rows.version[0])]
    return Hypothesis(
        signal=signal.name,
        slice=values,
        component=component,
        version=version,
        only=rows.only,
        first=int(first) * scanned.window,
        last=min(int(last) * scanned.window, scanned.bins),
        rollout=bool(rollout),
        observed=float(seen[last] - seen[first]),
        expected=float(sums[last] - sums[first]),
        likelihood=likelihood,
        score=score - _cost(rows),
    )


def refined(scanned: Scanned, hypothesis: Hypothesis) -> Hypothesis:
    """Return a hypothesis with the best window in bins, near the one that it has.

    A release begins when it begins, and not at half past: what has no release must not lose by it,
    nor by a few events of chance that drew its window to an earlier half hour.
    """
    if hypothesis.rollout:
        return hypothesis
    seen, sums = series(scanned, hypothesis.signal, scanned.cells_of(hypothesis, every_window=True))
    seen, sums = (np.concatenate([[0.0], np.cumsum(values)]) for values in (seen, sums))
    reach = _REACH * scanned.window
    starts, ends = (
        np.arange(max(0, at - reach), min(scanned.bins, at + reach) + 1)
        for at in (hypothesis.first, hypothesis.last)
    )
    ratios = likelihood_ratio(
        seen[ends][None, :] - seen[starts][:, None], sums[ends][None, :] - sums[starts][:, None]
    )
    ratios = np.where(ends[None, :] > starts[:, None], ratios, 0.0)
    start, end = np.unravel_index(int(np.argmax(ratios)), ratios.shape)
    first, last = int(starts[start]), int(ends[end])
    dispersion = max(1.0, scanned.counts.dispersion.get(hypothesis.signal, 1.0))
    likelihood = float(ratios[start, end]) / dispersion
    return replace(
        hypothesis,
        first=first,
        last=last,
        observed=float(seen[last] - seen[first]),
        expected=float(sums[last] - sums[first]),
        likelihood=likelihood,
        score=hypothesis.score + likelihood - hypothesis.likelihood,
    )


def _values(scanned: Scanned, rows: _Rows, frequent: _Frequent) -> tuple[tuple[str, str], ...]:
    """Return the values of the first row by column."""
    place = int(rows.place[0])
    values: list[tuple[str, str]] = []
    for name in reversed(rows.columns):
        codes = frequent.of(name, len(rows.columns))[1]
        place, code = divmod(place, len(codes))
        values.append((name, scanned.counts.columns[name].names[int(codes[code])]))
    return tuple(sorted(values))
