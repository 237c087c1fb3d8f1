"""OpenSLO v1 files of kind ``SLO``: read as they are, and written.

Specification: https://github.com/OpenSLO/OpenSLO. What an objective of relkit has beside it stands
in annotations (``relkit/min_events``), which other tools pass over.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, NoReturn

import yaml

from relkit.core.codec import Lines, line_of, parse
from relkit.core.errors import InvalidInput
from relkit.core.values import Checked, Limits, NonEmpty, Shape
from relkit.core.yaml_text import KeyPath, shown, where
from relkit.monitoring.slo.types import (
    GoodEvents,
    PrometheusEvents,
    SloPolicy,
    SloText,
    checked_target,
)

OPENSLO = "openslo/v1"
_OPEN = Shape(open=True, omitted=True)
_PREFIX = "relkit/"
_TELEMETRY = "relkit"
"""The ``type`` of a source that is the telemetry that relkit reads."""

_DAYS = {"w": 7, "M": 30, "Q": 90, "Y": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloSource:
    """Where a number comes from: ``type: Prometheus`` with a query, or relkit's telemetry."""

    FILE: ClassVar = _OPEN

    type: str = ""
    spec: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloMetric:
    """A metric of an indicator."""

    FILE: ClassVar = _OPEN

    metricSource: OpenSloSource  # noqa: N815 - OpenSLO's own key


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloRatio:
    """Good or bad events over all events; ``counter``: they only ever rise."""

    FILE: ClassVar = _OPEN

    counter: bool | None = None
    good: OpenSloMetric | None = None
    bad: OpenSloMetric | None = None
    total: OpenSloMetric | None = None
    raw: OpenSloMetric | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloIndicatorSpec:
    """What is measured."""

    FILE: ClassVar = _OPEN

    thresholdMetric: OpenSloMetric | None = None  # noqa: N815 - OpenSLO's own key
    ratioMetric: OpenSloRatio | None = None  # noqa: N815 - OpenSLO's own key


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloIndicator:
    """An indicator that stands inside its objective."""

    FILE: ClassVar = _OPEN

    spec: OpenSloIndicatorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloWindow:
    """The period of the budget."""

    FILE: ClassVar = _OPEN

    duration: str
    isRolling: bool = False  # noqa: N815 - OpenSLO's own key
    calendar: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloObjective:
    """A target; ``op`` and ``value`` belong to a threshold."""

    FILE: ClassVar = _OPEN

    op: Literal["lte", "gte", "lt", "gt"] | None = None
    value: float | None = None
    target: Annotated[float, Checked(checked_target)] | None = None
    targetPercent: Annotated[float, Limits(ge=0, le=100)] | None = None  # noqa: N815 - OpenSLO's own key
    indicator: OpenSloIndicator | None = None
    timeSliceTarget: float | None = None  # noqa: N815 - OpenSLO's own key


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloSpec:
    """What an objective consists of."""

    FILE: ClassVar = _OPEN

    description: str = ""
    service: str = ""
    indicator: OpenSloIndicator | None = None
    indicatorRef: str | None = None  # noqa: N815 - OpenSLO's own key
    timeWindow: tuple[OpenSloWindow, ...]  # noqa: N815 - OpenSLO's own key
    budgetingMethod: str  # noqa: N815 - OpenSLO's own key
    objectives: tuple[OpenSloObjective, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloMetadata:
    """Name and annotations."""

    FILE: ClassVar = _OPEN

    name: NonEmpty
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSloFile:
    """An OpenSLO v1 file of kind SLO; keys that relkit has no use for are passed over."""

    FILE: ClassVar = _OPEN

    apiVersion: Literal["openslo/v1"]  # noqa: N815 - OpenSLO's own key
    kind: Literal["SLO"]
    metadata: OpenSloMetadata
    spec: OpenSloSpec


@dataclass(frozen=True, slots=True)
class _Reader:
    """A file that is read, and where a defect in it is."""

    source: str
    lines: Lines

    def refuse(self, path: KeyPath, message: str, hint: str) -> NoReturn:
        at = where(self.source, line_of(path, self.lines))
        raise InvalidInput(f"{at}: {message}", hint=hint)


_SPEC: KeyPath = ("spec",)
_INSIDE = "put the indicator inside this SLO: spec.indicator"


def policy_of_openslo(document: Mapping[str, Any], *, source: str, lines: Lines) -> SloPolicy:
    """Return an objective from an OpenSLO document; raises InvalidInput with file and line.

    Refused, for they cannot be judged by counts of events: other budgeting methods than
    Occurrences, calendar periods, several objectives, raw ratios, thresholds on gauges.
    """
    reader = _Reader(source, lines)
    written = parse(OpenSloFile, document, source=source, lines=lines)
    spec = written.spec
    if spec.budgetingMethod != "Occurrences":
        path = (*_SPEC, "budgetingMethod")
        message = f'"budgetingMethod: {shown(spec.budgetingMethod)}" weighs time, not events'
        reader.refuse(path, message, 'write "budgetingMethod: Occurrences"')
    if len(spec.objectives) != 1:
        path = (*_SPEC, "objectives")
        reader.refuse(path, "one objective was expected", "write a file for each objective")
    objective = spec.objectives[0]
    indicator = spec.indicator or objective.indicator
    if indicator is None:
        path = (*_SPEC, "indicatorRef" if spec.indicatorRef else "indicator")
        reader.refuse(path, "the indicator stands in another file", _INSIDE)
    fields: dict[str, object] = {
        "schema": "relkit.slo/v1",
        "name": written.metadata.name,
        "objective": _objective(objective, reader),
        "window": _period(spec, reader),
        **({"description": spec.description[:1050]} if spec.description else {}),
        **_annotated(written.metadata.annotations, reader),
    }
    good = _good(indicator.spec, objective, reader)
    path = ("metadata", "name")
    policy = parse(
        SloPolicy,
        {**fields, "good": {"rate": "failed"}},
        source=source,
        line=line_of(path, lines),
    )
    return replace(policy, good=good)


def _objective(objective: OpenSloObjective, reader: _Reader) -> float:
    if objective.target is not None:
        return objective.target
    if objective.targetPercent is None:
        path = (*_SPEC, "objectives", 0)
        reader.refuse(path, "the objective has no target", "add target: 0.995")
    return float(Decimal(repr(objective.targetPercent)) / 100)


def _period(spec: OpenSloSpec, reader: _Reader) -> str:
    path = (*_SPEC, "timeWindow")
    if len(spec.timeWindow) != 1:
        reader.refuse(path, "one time window was expected", "- {duration: 30d, isRolling: true}")
    window = spec.timeWindow[0]
    if window.calendar is not None or not window.isRolling:
        hint = '"isRolling: true", without calendar'
        reader.refuse(path, "a budget of a calendar period cannot be judged", f"write {hint}")
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhdwMQY])", window.duration)
    if match is None:
        message = f'"duration: {shown(window.duration)}" is no duration of OpenSLO'
        reader.refuse((*path, 0, "duration"), message, "for example 30d or 4w")
    number, unit = int(match[1]), match[2]
    return f"{number * _DAYS[unit]}d" if unit in _DAYS else f"{number}{unit}"


def _annotated(annotations: Mapping[str, str], reader: _Reader) -> dict[str, object]:
    """Return what stands in relkit's own annotations."""
    settings: dict[str, object] = {}
    for key, value in annotations.items():
        name = key.removeprefix(_PREFIX)
        path = ("metadata", "annotations", key)
        if name == key:
            continue
        if name == "min_events":
            if not value.isdecimal():
                reader.refuse(path, f'"{key}" is no number', 'for example "50"')
            settings[name] = int(value)
        elif name == "slices":
            settings[name] = [part.strip() for part in value.split(",") if part.strip()]
        elif name in {"silence", "since", "release", "enforcement"}:
            settings[name] = value
        else:
            hint = "known: enforcement, min_events, release, silence, since, slices"
            reader.refuse(path, f'unknown annotation "{shown(key)}"', hint)
    return settings


def _good(
    indicator: OpenSloIndicatorSpec, objective: OpenSloObjective, reader: _Reader
) -> GoodEvents:
    ratio, threshold = indicator.ratioMetric, indicator.thresholdMetric
    path = (*_SPEC, "indicator", "spec")
    if (ratio is None) == (threshold is None):
        reader.refuse(path, "one of ratioMetric and thresholdMetric was expected", "name one")
    if threshold is not None:
        return _threshold(threshold, objective, reader)
    assert ratio is not None  # noqa: S101 - one of both is there
    path = (*path, "ratioMetric")
    sides = {"bad": ratio.bad, "good": ratio.good}
    name, metric = next(
        ((key, side) for key, side in sides.items() if side is not None), ("", None)
    )
    if ratio.raw is not None or metric is None or ratio.total is None:
        hint = "give total and one of good and bad"
        reader.refuse(path, "a ratio without its events cannot be judged", hint)
    source = metric.metricSource
    if _kind(source) == _TELEMETRY:
        rate = source.spec.get("rate")
        if not isinstance(rate, str):
            reader.refuse(path, "the telemetry's rate is not named", "spec: {rate: failed}")
        is_value = source.spec.get("is", True)
        if not isinstance(is_value, bool):
            reader.refuse(path, '"is" is true or false', "spec: {rate: failed, is: true}")
        return GoodEvents(rate=rate, is_=is_value if name == "good" else not is_value)
    query = _query(metric, reader, (*path, name), counter=ratio.counter)
    total = _query(ratio.total, reader, (*path, "total"), counter=ratio.counter)
    if name == "good":
        return GoodEvents(prometheus=PrometheusEvents(good=query, total=total))
    return GoodEvents(prometheus=PrometheusEvents(bad=query, total=total))


def _threshold(metric: OpenSloMetric, objective: OpenSloObjective, reader: _Reader) -> GoodEvents:
    path = (*_SPEC, "indicator", "spec", "thresholdMetric")
    if objective.op not in {"lte", "lt"} or objective.value is None or objective.value <= 0:
        hint = "op: lte and a value above 0"
        reader.refuse((*_SPEC, "objectives", 0), "a threshold needs an upper bound", hint)
    if _kind(metric.metricSource) == _TELEMETRY:
        tail = metric.metricSource.spec.get("tail")
        if not isinstance(tail, str):
            reader.refuse(path, "the telemetry's duration is not named", "tail: latency_ms")
        return GoodEvents(tail=tail, below=objective.value)
    query = _query(metric, reader, path, counter=True)
    if "(" in query:
        hint = "name the histogram itself; its observations up to the value are good"
        reader.refuse(path, "a threshold on samples counts minutes, not events", hint)
    return GoodEvents(prometheus=PrometheusEvents(histogram=query, below=objective.value))


def _kind(source: OpenSloSource) -> str:
    return source.type.strip().lower()


def _query(
    metric: OpenSloMetric, reader: _Reader, path: KeyPath, *, counter: bool | None
) -> SloText:
    source = metric.metricSource
    if _kind(source) != "prometheus":
        message = f'a source of type "{shown(source.type)}" cannot be asked'
        reader.refuse(path, message, "type: Prometheus, with spec: {query: …}")
    query = source.spec.get("query", source.spec.get("promql"))
    if not isinstance(query, str) or not query.strip():
        reader.refuse(path, "the source has no query", "spec: {query: turns_total}")
    derived = re.search(r"\b(rate|increase|irate|delta)\s*\(", query)
    if counter is False and derived is None:
        hint = 'write "counter: true" where it is a counter'
        reader.refuse(path, "what does not only rise is no counter of events", hint)
    return query.strip()


def render_openslo(policy: SloPolicy) -> str:
    """Return an objective as an OpenSLO v1 file; raises InvalidInput for what it cannot say."""
    good = policy.good
    objective: dict[str, Any] = {"displayName": policy.name}
    indicator: dict[str, Any]
    if policy.alerts:
        raise InvalidInput(
            f'"{policy.name}": OpenSLO has no words for its alerts',
            hint="export its rules: --export prometheus DIR",
        )
    if good.prometheus is not None:
        indicator = _prometheus_indicator(policy, good.prometheus, objective)
    elif good.tail is not None:
        source = {"type": _TELEMETRY, "spec": {"tail": good.tail}}
        objective |= {"op": "lte", "value": good.below}
        indicator = {"thresholdMetric": {"metricSource": source}}
    else:
        name = "good" if good.is_ else "bad"
        spec = {"rate": good.rate, "is": True}
        indicator = {
            "ratioMetric": {
                "counter": True,
                name: {"metricSource": {"type": _TELEMETRY, "spec": spec}},
                "total": {"metricSource": {"type": _TELEMETRY, "spec": {"rate": "turns"}}},
            }
        }
    objective["target"] = policy.objective
    plain = SloPolicy(name=policy.name, objective=policy.objective, good=good)
    written = {
        "enforcement": policy.enforcement,
        "min_events": str(policy.min_events),
        "silence": policy.silence,
        "since": policy.since,
        "slices": ",".join(policy.slices),
        "release": policy.release,
    }
    usual = {
        "enforcement": plain.enforcement,
        "min_events": str(plain.min_events),
        "silence": plain.silence,
        "since": None,
        "slices": "",
        "release": plain.release,
    }
    annotations = {_PREFIX + key: value for key, value in written.items() if value != usual[key]}
    metadata: dict[str, Any] = {"name": policy.name}
    if annotations:
        metadata["annotations"] = annotations
    document = {
        "apiVersion": OPENSLO,
        "kind": "SLO",
        "metadata": metadata,
        "spec": {
            **({"description": policy.description} if policy.description else {}),
            "service": policy.name,
            "indicator": {"metadata": {"name": f"{policy.name}-events"}, "spec": indicator},
            "timeWindow": [{"duration": policy.window, "isRolling": True}],
            "budgetingMethod": "Occurrences",
            "objectives": [objective],
        },
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _prometheus_indicator(
    policy: SloPolicy, events: PrometheusEvents, objective: dict[str, Any]
) -> dict[str, Any]:
    if events.native:
        raise InvalidInput(
            f'"{policy.name}": OpenSLO has no words for a native histogram',
            hint="export its rules: --export prometheus DIR",
        )

    def metric(query: str) -> dict[str, Any]:
        return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}

    if events.histogram is not None:
        objective |= {"op": "lte", "value": events.below}
        return {"thresholdMetric": metric(events.histogram)}
    sides = {"good": events.good, "bad": events.bad, "total": events.total}
    queries = {key: metric(query) for key, query in sides.items() if query is not None}
    return {"ratioMetric": {"counter": True, **queries}}
