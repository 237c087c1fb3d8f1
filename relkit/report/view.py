"""A report as a page shows it: what stands where, in which words; markup is the template's."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from relkit.comparison.types import CompareReport, Finding, OverallChange, SliceChange
from relkit.comparison.view import change_cells, finding_words
from relkit.core.charts import PlottedEstimate, Scale, estimate_scale, mark
from relkit.core.metrics import help_of, split_metric
from relkit.core.slices import OVERALL, slice_parts
from relkit.core.values import WITHIN, Estimate
from relkit.core.wording import NONE, OPINION, interval, markdown, number, signed, tick
from relkit.evaluation.types import (
    EvalReport,
    SliceResult,
    comparable,
    overall,
    primary_metric,
    worst_first,
)
from relkit.evaluation.view import settings_line
from relkit.gate.types import Override
from relkit.gate.view import override_line


def overrides_markdown(overrides: Sequence[Override]) -> str:
    """Return overrides as the last section of a Markdown report, empty without any."""
    if not overrides:
        return ""
    lines = [f"- {markdown(override_line(override))}" for override in overrides]
    return "\n".join(["", "## Overrides", "", *lines, ""])


MOST_ROWS = 40
"""Slices a forest plot shows; the table below it has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One number: as text, with its interval, what it was in the baseline, and the difference."""

    value: str
    span: str
    note: str
    n: int
    clusters: int
    method: str
    raw: float | None
    mark: PlottedEstimate | None = None
    was: str = ""
    was_mark: PlottedEstimate | None = None
    difference: str = ""

    @property
    def advisory(self) -> bool:
        """Whether the interval is made within one cluster and so claims little."""
        return self.method == WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A headline metric, or the statistics of one: (label, number) pairs."""

    name: str
    help: str
    shown: tuple[tuple[str, Shown], ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLine:
    """One slice in a plot or table: its key, its (column, value) parts, and its numbers."""

    key: str
    parts: tuple[tuple[str, str], ...]
    item: SliceResult
    cells: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Slices of one metric on one axis, worst first; ``reference`` is where overall lies.

    ``notes`` are what the estimates say of themselves, each with how many of the slices say so.
    """

    metric: str
    help: str
    ticks: tuple[tuple[float, str], ...]
    reference: float | None
    lines: tuple[SliceLine, ...]
    left_out: int
    overall: Shown
    notes: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTable:
    """All slices with all metrics; ``columns`` are the slice columns to filter by."""

    metrics: tuple[str, ...]
    lines: tuple[SliceLine, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedLine:
    """One slice of a paired comparison in words: ``finding`` says what the evidence is."""

    parts: tuple[tuple[str, str], ...]
    key: str
    was: str
    now: str
    change: str
    span: str
    finding: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedView:
    """A paired comparison as a page shows it, the strongest evidence first."""

    metric: str
    overall: ComparedLine
    lines: tuple[ComparedLine, ...]
    settings: str
    notes: tuple[str, ...]
    flipped: tuple[int, int]
    left_out: int


_TONES = {Finding.WORSE: "bad", Finding.BETTER: "good"}


def compared_view(report: CompareReport) -> ComparedView:
    """Return what a page shows of a comparison."""

    def line(item: SliceChange | OverallChange, finding: str) -> ComparedLine:
        was, now, changed, span = change_cells(item, report.metric)
        return ComparedLine(
            parts=() if item.slice == OVERALL else slice_parts(item.slice),
            key=item.slice,
            was=was,
            now=now,
            change=changed,
            span=span,
            finding=finding,
            tone=_TONES.get(item.finding, "plain"),
        )

    return ComparedView(
        metric=report.metric,
        overall=line(report.overall, report.overall.reason),
        lines=tuple(
            line(item, finding_words(item, report.cluster)) for item in report.slices[:MOST_ROWS]
        ),
        settings=settings_line(report.settings),
        notes=report.notes,
        flipped=(report.flips.broken, report.flips.mended),
        left_out=max(0, len(report.slices) - MOST_ROWS),
    )


class ReportView:
    """What a page shows of a report, beside that of a baseline where there is one."""

    def __init__(self, report: EvalReport, baseline: EvalReport | None = None) -> None:
        """Look at a report; ``baseline`` must be of the same dataset, suite and normalizer."""
        self.report = report
        self.baseline = baseline
        self.primary = primary_metric(report)
        self.overall = overall(report)
        self._before: Mapping[str, SliceResult] = (
            {} if baseline is None else {item.slice: item for item in baseline.slices}
        )
        self._slices = [item for item in report.slices if item.slice != OVERALL]

    def tiles(self) -> tuple[Tile, ...]:
        """Return the headline numbers, the primary metric first, statistics of one together."""
        names = sorted(self.overall.metrics, key=lambda name: name != self.primary)
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(split_metric(name)[0], []).append(name)
        return tuple(self._tile(group, members) for group, members in groups.items())

    def forests(self, *, opinion: bool = False) -> tuple[Forest, ...]:
        """Return one plot per metric that any slice has a value of, the primary one first.

        With ``opinion`` those of mean opinion scores, without it the others.
        """
        names = sorted(self.overall.metrics, key=lambda name: name != self.primary)
        shown = (n for n in names if (self.overall.metrics[n].unit == OPINION) == opinion)
        forests = (self._forest(name) for name in shown)
        return tuple(forest for forest in forests if forest is not None)

    def table(self) -> SliceTable:
        """Return every slice with every metric, in the order of the primary metric's plot."""
        metrics = tuple(self.overall.metrics)
        ordered = _worst_first(self._slices, self.primary) if self.primary else self._slices
        lines = tuple(
            _line(item, tuple(self._shown(item, name) for name in metrics))
            for item in [self.overall, *ordered]
        )
        columns = dict.fromkeys(column for line in lines for column, _ in line.parts)
        return SliceTable(metrics=metrics, lines=lines, columns=tuple(columns))

    def _tile(self, group: str, members: Sequence[str]) -> Tile:
        estimates = [self.overall.metrics[name] for name in members]
        scale = estimate_scale(estimates, unit=estimates[0].unit)
        shown = tuple(
            (split_metric(name)[1], self._shown(self.overall, name, scale_of=estimates))
            for name in members
        )
        return Tile(
            name=group if len(members) > 1 else members[0],
            help=help_of(members[0]),
            shown=shown,
            ticks=_ticks(scale, estimates[0].unit),
        )

    def _forest(self, name: str) -> Forest | None:
        ranked = [
            item
            for item in _worst_first(self._slices, name)
            if name in item.metrics and item.metrics[name].value is not None
        ]
        if not ranked:
            return None
        overall = self.overall.metrics[name]
        shown = ranked[:MOST_ROWS]
        estimates = [overall, *(item.metrics[name] for item in shown)]
        scale = estimate_scale(estimates, unit=overall.unit)
        return Forest(
            metric=name,
            help=help_of(name),
            ticks=_ticks(scale, overall.unit),
            reference=None if overall.value is None else scale.at(overall.value),
            lines=tuple(
                _line(item, (self._shown(item, name, scale_of=estimates),)) for item in shown
            ),
            left_out=len(ranked) - len(shown),
            overall=self._shown(self.overall, name, scale_of=estimates),
            notes=_counted(item.metrics[name].note for item in shown),
        )

    def _shown(self, item: SliceResult, name: str, *, scale_of: Sequence[Estimate] = ()) -> Shown:
        """Return one number; with ``scale_of`` also where it lies on the axis of those."""
        estimate = item.metrics.get(name, Estimate(value=None, note="not measured"))
        scale = estimate_scale(scale_of, unit=estimate.unit) if scale_of else None
        old = self._was(item.slice, name, estimate)
        span = interval(estimate.low, estimate.high, estimate.unit)
        return Shown(
            value=number(estimate.value, estimate.unit),
            span="" if span == NONE else span,
            note=estimate.note or "",
            n=estimate.n,
            clusters=estimate.clusters,
            method=estimate.method,
            raw=estimate.value,
            mark=None if scale is None else mark(estimate, scale),
            was="" if old is None else number(old.value, old.unit),
            was_mark=None if scale is None or old is None else mark(old, scale),
            difference=""
            if old is None or old.value is None or estimate.value is None
            else signed(estimate.value - old.value, estimate.unit),
        )

    def _was(self, key: str, name: str, estimate: Estimate) -> Estimate | None:
        """Return the baseline's number, None where it has none that may stand beside this one."""
        if self.baseline is None or key not in self._before:
            return None
        old = self._before[key].metrics.get(name)
        if old is None or not comparable(name, estimate.unit, self.report, self.baseline):
            return None
        return old


def _counted(notes: Iterable[str | None]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(note for note in notes if note).most_common())


def _ticks(scale: Scale, unit: str) -> tuple[tuple[float, str], ...]:
    return tuple((scale.at(value), tick(value, unit)) for value in scale.ticks)


def _line(item: SliceResult, cells: tuple[Shown, ...]) -> SliceLine:
    return SliceLine(key=item.slice, parts=slice_parts(item.slice), item=item, cells=cells)


def _worst_first(slices: Sequence[SliceResult], name: str) -> list[SliceResult]:
    """Return slices ranked by a metric; by name where its better direction is not known."""
    try:
        return worst_first(slices, name)
    except KeyError:
        return sorted(slices, key=lambda item: item.slice)
