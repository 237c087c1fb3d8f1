"""A packet in words: what its page, its Markdown and its text say, all from the packet alone.

Tables and bars are made of the numbers that are shown; there is nothing else to make them of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from relkit.attestation.envelopes import Envelope
from relkit.attestation.statements import ARTIFACT_URI, parse_content
from relkit.attestation.types import VerificationSummary
from relkit.core.charts import Scale, nice_scale
from relkit.core.codec import parse
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL, columns_of
from relkit.core.wording import NONE, count, counted, number, percent, safe, short_digest
from relkit.disclosure.names import packet_stem
from relkit.disclosure.types import (
    FewerThan,
    Packet,
    ShownCell,
    ShownMetric,
    ShownPercentile,
    ShownRate,
)
from relkit.incident.received.words import (
    CAUSE_WORDS,
    EVIDENCE_WORDS,
    LINK_WORDS,
    METRIC_WORDS,
    MITIGATION_WORDS,
    NOT_READABLE,
    NOT_SHOWN,
    NOT_STATED,
    REFUSAL_WORDS,
    STAGE_WORDS,
    SUBJECT_WORDS,
    TIMELINE_WORDS,
    band_words,
    metric_name_words,
    metric_words,
    slice_words,
    span_words,
    time_words,
)
from relkit.incident.signals import SHIPPED_SIGNALS

_NEAR = 2
"""Slices up to this place are looked at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRange:
    """Where a value and the ends of its interval lie on an axis, in percent of its width."""

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """A slice in a table: its words, what is shown of it, and its bar where it has one.

    ``failing`` marks the slice that the incident is about, ``overall`` the window itself. ``near``
    are those that are looked at first: both, and parts of the failing one.
    """

    slice: str
    failing: bool
    near: bool
    overall: bool
    people: str
    turns: str
    value: str
    interval: str
    bar: DrawnRange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTable:
    """One metric over all slices of the window: the failing one first, then the whole."""

    metric: str
    help: str
    lines: tuple[ShownLine, ...]
    ticks: tuple[tuple[float, str], ...]
    overall_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantityTable:
    """One quantity: its percentiles (``p95``) over slices, in the order of a metric's lines."""

    metric: str
    percentiles: tuple[str, ...]
    lines: tuple["QuantityLine", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantityLine:
    """A slice with what is shown of each percentile: (value, interval, where it lies)."""

    slice: str
    failing: bool
    near: bool
    cells: tuple[tuple[str, str, DrawnRange | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSummary:
    """What a verification summary inside a packet says, as far as it can be read."""

    artifact: str
    result: str
    policy: str
    at: str


class PacketView:
    """A packet as people read it."""

    def __init__(self, packet: Packet) -> None:
        """Show a packet, believed or not: whoever shows it says which."""
        self.packet = packet
        self.noun = "people" if packet.unit == "user" else "sessions"
        metric = packet.cause.metric
        columns = {item.column for item in SHIPPED_SIGNALS if item.name == metric}
        self._seen_in = {metric, *columns}

    @property
    def stage(self) -> str:
        """``Initial report``, ``Update``, ``Final report``."""
        return STAGE_WORDS[self.packet.stage]

    @property
    def headline(self) -> str:
        """What broke, in one sentence."""
        cause = self.packet.cause
        on = "" if cause.slice in (None, OVERALL) else f" on {slice_words(cause.slice)}"
        if cause.cause is None:
            return f"Worse{on}: the cause is not known" if on else "The cause is not known"
        if cause.cause != "release":
            return f"{CAUSE_WORDS[cause.cause]}{f': worse{on}' if on else ''}"
        who = " ".join(filter(None, (cause.component, cause.first_bad)))
        return f"{f'Release {who}' if who else 'A release'} made it worse{on}"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What, since when, for whom, what was done, where it stands: (what, words)."""
        packet, cause, impact = self.packet, self.packet.cause, self.packet.impact
        on = None if cause.slice in (None, OVERALL) else cause.slice
        whom = ["all traffic" if on is None else slice_words(on)]
        if impact.people is not None:
            whom.append(f"{band_words(impact.people)} {self.noun}")
        since = NOT_STATED if cause.onset is None else f"between {span_words(cause.onset, 'and')}"
        done = ", ".join(MITIGATION_WORDS[item] for item in packet.mitigations) or NOT_STATED
        went = []
        if packet.rollback is not None and packet.rollback.target is not None:
            went = [("Target", f"{packet.rollback.target}, {self.target_note}")]
        return (
            ("Status", packet.status),
            ("Severity", packet.severity or NOT_STATED),
            ("Since", since),
            ("For whom", ", ".join(whom)),
            ("Seen in", metric_name_words(cause.metric) if cause.metric else NOT_STATED),
            ("Evidence", EVIDENCE_WORDS[cause.evidence] if cause.evidence else NOT_STATED),
            ("Done", done),
            *went,
            ("Window", span_words(packet.window)),
            *((("Follows", short_digest(packet.previous)),) if packet.previous else ()),
        )

    @property
    def target_note(self) -> str:
        """Whether the release to go back to was verified."""
        rollback = self.packet.rollback
        return "verified" if rollback is not None and rollback.verified else "not verified"

    @property
    def impact(self) -> tuple[tuple[str, str], ...]:
        """How many were affected, for how long, and what of the error budget is spent."""
        impact = self.packet.impact
        minutes = NOT_STATED if impact.minutes is None else counted(impact.minutes, "minute")
        spent = impact.budget_spent
        budget = NOT_STATED if spent is None else f"{band_words(spent)} %"
        return (
            (f"{self.noun} affected", band_words(impact.people)),
            ("turns affected", band_words(impact.turns)),
            ("lasted", minutes),
            ("error budget spent", budget),
        )

    @property
    def metrics(self) -> tuple[MetricTable, ...]:
        """A table per metric that is shown anywhere, the one that the incident is about first."""
        names = {name for cell in self.packet.cells for name in cell.metrics}
        ordered = sorted(names, key=lambda name: (name not in self._seen_in, name))
        tables = (self._metric(name) for name in ordered)
        return tuple(table for table in tables if table is not None)

    def _order(self, key: str) -> int:
        """Return where a slice stands: the failing one, its parts, the whole, those beside it."""
        failing = self.packet.cause.slice
        if key == failing:
            return 0
        if key == OVERALL:
            return 2
        if failing in (None, OVERALL):
            released = f"release_{self.packet.cause.component}"
            return 1 if columns_of(key) == (released,) else 3 + key.count("&")
        parts, failing_parts = set(key.split("&")), set(str(failing).split("&"))
        if parts >= failing_parts:
            return 1
        return 3 if columns_of(key) == columns_of(str(failing)) else 4 + key.count("&")

    def _is_near(self, key: str) -> bool:
        return self._order(key) <= _NEAR

    def _cells(self) -> list[ShownCell]:
        return sorted(self.packet.cells, key=lambda cell: self._order(cell.slice))

    def _metric(self, name: str) -> MetricTable | None:
        shown = [(cell, cell.metrics.get(name)) for cell in self._cells()]
        if all(metric is None or isinstance(metric, FewerThan) for _, metric in shown):
            return None
        rates = [metric for _, metric in shown if isinstance(metric, ShownRate)]
        scale = _scale([rate.value for rate in rates], [rate.high for rate in rates])
        overall = next((metric for cell, metric in shown if cell.slice == OVERALL), None)
        return MetricTable(
            metric=name,
            help=METRIC_WORDS.get(name, ""),
            lines=tuple(self._line(cell, metric, scale) for cell, metric in shown),
            ticks=tuple((scale.at(tick), percent(tick)) for tick in scale.ticks) if rates else (),
            overall_at=scale.at(overall.value) if isinstance(overall, ShownRate) else None,
        )

    def _line(self, cell: ShownCell, metric: ShownMetric, scale: Scale) -> ShownLine:
        value, interval = metric_words(metric)
        bar = None
        if isinstance(metric, ShownRate):
            at, low, high = (scale.at(end) for end in (metric.value, metric.low, metric.high))
            bar = DrawnRange(at=at, low=low, high=high)
        return ShownLine(
            slice=slice_words(cell.slice),
            failing=cell.slice == self.packet.cause.slice,
            near=self._is_near(cell.slice),
            overall=cell.slice == OVERALL,
            people=band_words(cell.people),
            turns=band_words(cell.utterances),
            value=value,
            interval=interval,
            bar=bar,
        )

    @property
    def percentiles(self) -> tuple[QuantityTable, ...]:
        """A table per quantity that percentiles are shown of, that of the incident first."""
        names = dict.fromkeys(item.metric for item in self.packet.percentiles)
        ordered = sorted(names, key=lambda name: name not in self._seen_in)
        return tuple(self._percentiles(name) for name in ordered)

    def _percentiles(self, name: str) -> QuantityTable:
        items = [item for item in self.packet.percentiles if item.metric == name]
        ranks = sorted({item.percentile for item in items})
        values = [item.value for item in items if item.value is not None]
        scale = _scale(values, [item.high or item.value or 0.0 for item in items])
        keys = sorted(dict.fromkeys(item.slice for item in items), key=self._order)
        by_place = {(item.slice, item.percentile): item for item in items}
        return QuantityTable(
            metric=name,
            percentiles=tuple(f"p{rank}" for rank in ranks),
            lines=tuple(
                QuantityLine(
                    slice=slice_words(key),
                    failing=key == self.packet.cause.slice,
                    near=self._is_near(key),
                    cells=tuple(_percentile(by_place.get((key, rank)), scale) for rank in ranks),
                )
                for key in keys
            ),
        )

    @property
    def findings(self) -> tuple[tuple[str, str, str, str, str], ...]:
        """What monitors said: (what they watch, policy, verdict, when, slices)."""
        packet = self.packet
        watched = (("cost", packet.cost), ("drift", packet.drift), ("error budget", packet.burn))
        return tuple(
            (
                what,
                item.policy,
                item.verdict.replace("_", " "),
                time_words(item.at),
                ", ".join(map(slice_words, item.slices)) or NONE,
            )
            for what, items in watched
            for item in items
        )

    @property
    def served(self) -> tuple[tuple[str, str, str, str, str], ...]:
        """What had traffic: (component, version, from, to, its last share)."""
        return tuple(
            (
                item.component,
                item.version,
                time_words(item.from_),
                "still" if item.to is None else time_words(item.to),
                NONE if item.share is None else percent(item.share),
            )
            for item in self.packet.served
        )

    @property
    def refused(self) -> tuple[tuple[str, str], ...]:
        """Releases that may not be gone back to, and why in words."""
        rollback = self.packet.rollback
        refused = () if rollback is None else rollback.refused
        return tuple((item.version, REFUSAL_WORDS.get(item.code, item.code)) for item in refused)

    @property
    def timeline(self) -> tuple[tuple[str, str, str], ...]:
        """What happened: (time, what, component and version)."""
        return tuple(
            (
                time_words(event.at),
                TIMELINE_WORDS[event.kind],
                " ".join(filter(None, (event.component, event.version))) or NONE,
            )
            for event in self.packet.timeline
        )

    @property
    def form(self) -> tuple[tuple[str, str], ...]:
        """What incident forms ask for: (field, answer), to be copied."""
        packet, form = self.packet, self.packet.form
        moments = {
            "aware": form.aware,
            "onset": form.onset,
            "ended": form.ended,
        }
        times = {name: NOT_STATED if at is None else at for name, at in moments.items()}
        parts = dict.fromkeys(f"{item.component} {item.version}" for item in packet.served)
        return (
            ("incident", packet.incident),
            ("report", packet.stage),
            ("status", packet.status),
            ("severity", packet.severity or NOT_STATED),
            ("aware since", times["aware"]),
            ("began", times["onset"]),
            ("ended", times["ended"]),
            ("affected groups", ", ".join(map(slice_words, form.affected_groups)) or NOT_STATED),
            (f"{self.noun} affected", band_words(packet.impact.people)),
            ("system", ", ".join(parts) or NOT_STATED),
            ("causal link", LINK_WORDS[form.causal_link]),
            (
                "corrective measures",
                ", ".join(MITIGATION_WORDS[item] for item in form.corrective) or NOT_STATED,
            ),
        )

    @property
    def summaries(self) -> tuple[DecisionSummary, ...]:
        """What the verification summaries say; their details stay with the sender."""
        return tuple(map(_summary, self.packet.summaries))

    @property
    def commitments(self) -> tuple[tuple[str, str], ...]:
        """What stays at home: (kind, commitment)."""
        return tuple((item.kind, item.sha256) for item in self.packet.commitments)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not shown of this window."""
        packet = self.packet
        tables = {table.metric for table in self.metrics}
        few = sorted(
            {
                name
                for cell in packet.cells
                for name, metric in cell.metrics.items()
                if isinstance(metric, FewerThan) and name not in tables
            }
        )
        notes = []
        if few:
            named = ", ".join(map(safe, few))
            notes.append(f"Fewer than {count(packet.k)} events in every slice: {named}.")
        if packet.pooled:
            names = ", ".join(map(safe, packet.pooled))
            notes.append(f'Values of {names} with too few {self.noun} are counted as "(other)".')
        if packet.hidden:
            notes.append("Some slices are not shown at all.")
        return tuple(notes)

    @property
    def method(self) -> tuple[str, ...]:
        """How the numbers were made, and what they do not protect against."""
        packet, k = self.packet, count(self.packet.k)
        whom = f"Every cell holds at least {k} people and ten turns."
        if packet.unit == "session":
            whom = f"Counted are sessions, not people: at least {k} of them in every cell."
        return (
            whom,
            f'"Fewer than {k} events" may be none, or more of fewer than three {self.noun}.',
            "Counts are bands. A rate and its 95 % interval are as coarse as the evidence.",
            "The ends of intervals are rounded outward; percentiles lie on a grid of 5 %.",
            f"A number is not shown where one or two {self.noun} make most of it.",
            "Turns are told in whole hours (UTC), events of the system to the minute.",
            "Names that are not shared are pseudonyms such as tenant-3fa2, of this incident alone.",
            "The sender can translate pseudonyms back, and nobody else.",
            f"Whose data: {SUBJECT_WORDS[packet.subjects]}.",
            "It does not protect against somebody who holds all other records of this window.",
        )

    @property
    def checks(self) -> tuple[tuple[str, str], ...]:
        """How a receiver verifies it: (why, command)."""
        packet = self.packet
        stem = packet_stem(packet.incident, packet.stage, packet.window.from_)
        version = safe(packet.tool_version)
        return (
            (
                "Offline, with a public key of the sender that came by another way than this file:",
                f"relkit incident verify {stem}.packet.json {stem}.html --key SENDER.pub",
            ),
            (
                f"relkit {version} draws this page again from the signed file, byte for byte:",
                f"relkit incident show {stem}.packet.json --html again.html",
            ),
        )


def _scale(values: Sequence[float], ends: Sequence[float]) -> Scale:
    """Return an axis from 0 that one long interval does not crush the others on."""
    reach = max(1.1 * max(values, default=1.0), 2.0 * median_low(ends or [0.0]))
    furthest = max((end for end in ends if end <= reach), default=reach)
    return nice_scale(0.0, max(furthest, *values) if values else furthest)


def _percentile(item: ShownPercentile | None, scale: Scale) -> tuple[str, str, DrawnRange | None]:
    """Return (value, interval, bar) of a percentile."""
    if item is None or item.value is None:
        return NOT_SHOWN, "", None
    unit = "ms" if item.metric.endswith("_ms") else "ratio"
    low, high = item.low, item.high
    ends = f"{NONE if low is None else number(low, unit).removesuffix(' ms')} to "
    ends += NONE if high is None else number(high, unit)
    bar = DrawnRange(
        at=scale.at(item.value),
        low=scale.at(item.value if low is None else low),
        high=scale.at(item.value if high is None else high),
    )
    return number(item.value, unit), "" if low is None and high is None else ends, bar


def _summary(document: Mapping[str, Any]) -> DecisionSummary:
    """Return what a verification summary says; one that cannot be read says nothing."""
    source = "summary"
    try:
        envelope = parse(Envelope, document, source=source)
        summary = parse_content(envelope.payload, VerificationSummary, source=source)
    except InvalidInput:
        return DecisionSummary(artifact=NONE, result=NOT_READABLE, policy=NONE, at=NONE)
    return DecisionSummary(
        artifact=summary.resource_uri.removeprefix(ARTIFACT_URI),
        result=summary.verification_result,
        policy=summary.policy.uri.rpartition(":")[2],
        at=time_words(summary.time_verified),
    )
