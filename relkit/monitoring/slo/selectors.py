"""Selectors of PromQL: the counter that a query is about, and labels that it would select.

A burn rate is computed here from a counter's own samples, so that restarts and gaps are seen; a
query that sums or derives rates is read for the selector inside it
(https://prometheus.io/docs/prometheus/latest/querying/basics/).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from relkit.monitoring.slo.types import PrometheusEvents

Comparison = Literal["=", "!=", "=~", "!~"]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_MATCHER = re.compile(
    r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"
    r"(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')\s*(,|$)"
)
_SELECTOR = re.compile(rf"\s*({_NAME})?\s*(?:\{{(.*)\}})?\s*", re.DOTALL)
_GROUPING = r"(?:by|without)\s*\([^()]*\)"
_AGGREGATE = re.compile(rf"sum\s*(?:{_GROUPING}\s*)?\((.*)\)", re.DOTALL)
_GROUPED_AFTER = re.compile(rf"(?<=\))\s*{_GROUPING}$")
_DERIVED = re.compile(r"\s*(?:rate|increase|irate|delta)\s*\((.*)\)\s*", re.DOTALL)
_RANGE = re.compile(r"\s*\[[^\[\]]*\]\s*$")

WRITE_A_COUNTER = 'give the counter itself, such as turns_total{outcome="failed"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """What a selector asks of a label; a label that is absent has the value ""."""

    label: str
    comparison: Comparison
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels fulfil it; expressions match from end to end, as in Prometheus."""
        value = labels.get(self.label, "")
        if self.comparison in {"=", "!="}:
            return (value == self.value) == (self.comparison == "=")
        return bool(re.fullmatch(self.value, value)) == (self.comparison == "=~")

    @property
    def text(self) -> str:
        """The matcher as PromQL spells it."""
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.comparison}"{value}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A metric and what its labels have to be."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    @property
    def text(self) -> str:
        """The selector in one spelling."""
        inside = ", ".join(matcher.text for matcher in self.matchers)
        return self.metric + (f"{{{inside}}}" if inside else "")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series with these labels, ``__name__`` included, is selected."""
        return labels.get("__name__") == self.metric and all(
            matcher.matches(labels) for matcher in self.matchers
        )


def selector_of(query: str) -> Selector:
    """Return the one counter that a query is about; raises ValueError(what is wrong, what to do).

    ``m``, ``m{a="b"}``, ``sum(m)``, ``sum by (a) (rate(m[5m]))`` all name ``m``; arithmetic,
    several metrics and other functions are refused.
    """
    text = query.strip()
    if match := _AGGREGATE.fullmatch(_GROUPED_AFTER.sub("", text)):
        text = match[1].strip()
    if match := _DERIVED.fullmatch(text):
        text = _RANGE.sub("", match[1])
    text = _RANGE.sub("", text)
    match = _SELECTOR.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        raise ValueError("is no selector of one counter", WRITE_A_COUNTER)
    matchers = tuple(_matchers(match[2] or ""))
    metric = match[1]
    if metric is None:
        named = [item for item in matchers if item.label == "__name__" and item.comparison == "="]
        if len(named) != 1:
            raise ValueError("names no metric", WRITE_A_COUNTER)
        metric = named[0].value
        matchers = tuple(item for item in matchers if item is not named[0])
    return Selector(metric=metric, matchers=matchers)


def _matchers(text: str) -> Iterator[Matcher]:
    rest = text.strip()
    while rest:
        match = _MATCHER.match(rest)
        if match is None:
            raise ValueError("has a label that cannot be read", WRITE_A_COUNTER)
        label, comparison, written = match[1], match[2], match[3]
        value = re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), written)
        value = value[1:-1]
        if comparison in {"=~", "!~"}:
            try:
                re.compile(value)
            except re.error:
                raise ValueError("has an expression that cannot be read", WRITE_A_COUNTER) from None
        comparisons: dict[str, Comparison] = {"=": "=", "!=": "!=", "=~": "=~", "!~": "!~"}
        yield Matcher(label=label, comparison=comparisons[comparison], value=value)
        rest = rest[match.end() :]


def example_labels(selector: Selector, apart_from: Selector | None = None) -> dict[str, str] | None:
    """Return labels that a selector selects and another does not, None where none were found.

    Without ``apart_from`` any that it selects. The rule tests of an export are made of them.
    """
    labels = {"__name__": selector.metric}
    for matcher in selector.matchers:
        if matcher.matches(labels):
            continue
        for value in _candidates(matcher):
            trial = {**labels, matcher.label: value}
            if matcher.matches(trial):
                labels = trial
                break
    if not selector.matches(labels):
        return None
    if apart_from is None or not apart_from.matches(labels):
        return labels
    for matcher in apart_from.matchers:
        for value in ("ok", "other", "200", "", "true", "false", *_candidates(matcher)):
            trial = {**labels, matcher.label: value}
            if selector.matches(trial) and not apart_from.matches(trial):
                return {name: text for name, text in trial.items() if text}
    return None


def _candidates(matcher: Matcher) -> Iterator[str]:
    """Yield values that a matcher may fulfil, the likely ones first."""
    if matcher.comparison == "=":
        yield matcher.value
    elif matcher.comparison == "=~":
        for part in re.split(r"[|()]", matcher.value):
            plain = part.replace(".*", "").replace(".+", "x").replace("\\", "")
            yield plain
            digits = re.sub(r"\[[^\]]*\]|\.|\\d", "0", part)
            yield re.sub(r"[*+?^$]|\{[^}]*\}", "", digits)
    yield from ("ok", "other", "x", "200", "500", "true", "false", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQueries:
    """What is asked: all events, and the ``bad`` (or the good) ones beside them.

    ``scraped`` are the selectors whose freshness matters, ``buckets`` those of a histogram.
    """

    total: str
    side: str
    bad: bool
    scraped: tuple[Selector, ...]
    buckets: Selector | None = None


def event_queries(events: PrometheusEvents) -> EventQueries:
    """Return what to ask for; the policy has been read, so that its queries can be."""
    if events.histogram is not None:
        base = selector_of(events.histogram)
        if events.native:
            number = f"histogram_count({base.text})"
            share = f"histogram_fraction(-Inf, {events.below!r}, {base.text})"
            # Before its first observation the share is NaN, which a comparison drops.
            side = f"({share} * {number} >= 0) or {number}"
            return EventQueries(total=number, side=side, bad=False, scraped=(base,))
        count = replace(base, metric=f"{base.metric}_count")
        buckets = replace(base, metric=f"{base.metric}_bucket")
        return EventQueries(
            total=count.text,
            side=bucket_of(events).text,
            bad=False,
            scraped=(count,),
            buckets=buckets,
        )
    events_total = selector_of(events.total or "")
    part = selector_of(events.bad or events.good or "")
    # A label value that has not occurred yet has no series, so the metric itself is looked at.
    separate = (
        () if part.metric == events_total.metric or events.good else (Selector(metric=part.metric),)
    )
    return EventQueries(
        total=events_total.text,
        side=part.text,
        bad=events.bad is not None,
        scraped=(events_total, *separate),
    )


def bucket_of(events: PrometheusEvents) -> Selector:
    """Return the bucket of a classic histogram that ends at its bound, however that is spelt."""
    base = selector_of(events.histogram or "")
    below = events.below or 0.0
    plain = f"{below:.12g}"
    spelt = f"{plain}|{plain}.0" if below == int(below) else plain
    le = Matcher(label="le", comparison="=~", value=spelt.replace(".", "\\."))
    return Selector(metric=f"{base.metric}_bucket", matchers=(*base.matchers, le))
