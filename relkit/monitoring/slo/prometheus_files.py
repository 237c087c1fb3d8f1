"""An objective as files of Prometheus: recording rules and alerts, rule tests, a dashboard.

Formats: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/ and
``unit_testing_rules``; Grafana's dashboard JSON. Recorded series are named by the convention
level:metric:operations.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction as Exact
from typing import Any

import yaml

from relkit.core.errors import UsageError
from relkit.core.values import duration_s
from relkit.core.wording import percent
from relkit.monitoring.slo.burn import LEAST_BAD, alerts_of, factor_of
from relkit.monitoring.slo.selectors import (
    Selector,
    event_queries,
    example_labels,
    selector_of,
)
from relkit.monitoring.slo.types import AlertSeverity, BurnAlert, PrometheusEvents, SloPolicy

_LEAST_WINDOW = "5m"
_ABSENT_FOR = "10m"
_HOUR = 60
_CALLS_A_MINUTE = 1000
_MOST_PANEL_SLICES = 3


class _Text(str):
    """Text that is written over several lines."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes expressions as blocks."""


def _block(dumper: yaml.SafeDumper, text: _Text) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Text, _block)


def _written(document: object, head: str) -> str:
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"{head}\n{text}"


def prometheus_export(policy: SloPolicy) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return file names with their texts, and notes on what could not be written.

    Raises UsageError for an objective that says nothing about Prometheus.
    """
    events = policy.good.prometheus
    if events is None:
        raise UsageError(
            f'"{policy.name}" says nothing about Prometheus',
            hint='add to its good: prometheus: {bad: "turns_total{…}", total: turns_total}',
        )
    rules = Rules(policy=policy, events=events)
    head = f"# Made by: relkit slo {policy.name} --export prometheus"
    files = {f"{policy.name}.rules.yaml": _written(rules.document(), head)}
    notes: list[str] = []
    tests = [] if events.native else list(rule_tests(rules))
    if tests:
        document = {
            "rule_files": [f"{policy.name}.rules.yaml"],
            "evaluation_interval": "1m",
            "tests": tests,
        }
        run = f"{head}\n# Run: promtool test rules {policy.name}.tests.yaml"
        files[f"{policy.name}.tests.yaml"] = _written(document, run)
    else:
        why = "promtool has no native histograms" if events.native else "no labels would match"
        notes.append(f"no rule tests: {why}")
    dashboard = json.dumps(_dashboard(rules), indent=2, ensure_ascii=False)
    files[f"{policy.name}.dashboard.json"] = f"{dashboard}\n"
    return files, tuple(notes)


_UNITS_S = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def promql_duration(written: str) -> str:
    """Return a duration as PromQL reads it, in whole units: ``1.5h`` is ``90m``."""
    seconds = round(duration_s(written))
    if written[:-1].isdecimal():
        return written
    unit, size = next(pair for pair in _UNITS_S if seconds % pair[1] == 0)
    return f"{seconds // size}{unit}"


def _decimal(value: Exact) -> str:
    """Return a number as PromQL reads it: 0.005, 14.4."""
    return f"{float(value):.15g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one objective."""

    policy: SloPolicy
    events: PrometheusEvents

    @property
    def alerts(self) -> tuple[BurnAlert, ...]:
        """The pairs of windows, spelt as PromQL reads them."""
        return tuple(
            replace(alert, short=promql_duration(alert.short), long=promql_duration(alert.long))
            for alert in alerts_of(self.policy.window_s, self.policy.alerts)
        )

    def alert_name(self, what: str) -> str:
        """Return the name of an alert: ``TurnsAnsweredPage``."""
        words = "".join(char if char.isalnum() else " " for char in self.policy.name).split()
        return "".join(word[:1].upper() + word[1:] for word in words) + what

    def document(self) -> dict[str, Any]:
        """Return the groups of recording rules and of alerts."""
        name = self.policy.name
        windows = {_LEAST_WINDOW} | {
            window for alert in self.alerts for window in (alert.short, alert.long)
        }
        recorded = [
            rule
            for window in sorted(windows, key=duration_s)
            for rule in self._window_rules(window)
        ]
        budget = {"interval": _LEAST_WINDOW, "rules": self._budget_rules()}
        return {
            "groups": [
                {"name": f"slo-{name}-events", "rules": recorded},
                {"name": f"slo-{name}-budget", **budget},
                {"name": f"slo-{name}-alerts", "rules": list(self.alert_rules())},
            ]
        }

    def counts(self, window: str, by: str = "") -> tuple[str, str]:
        """Return the expressions of bad events and of all, in a window; ``by`` a label or none."""
        grouped = f"sum by ({by})" if by else "sum"
        queries = event_queries(self.events)
        if self.events.native:
            base = selector_of(self.events.histogram or "").text
            grown = f"increase({base}[{window}])"
            total = f"{grouped} (histogram_count({grown}))"
            share = f"histogram_fraction(-Inf, {self.events.below!r}, {grown})"
            side = f"{grouped} (({share} * histogram_count({grown})) >= 0)"
        else:
            total = f"{grouped} (increase({queries.total}[{window}]))"
            side = f"{grouped} (increase({queries.side}[{window}]))"
        # A label value that has not occurred yet has no series: that is 0 of the total.
        side = f"({side} or 0 * {total})"
        return (side if queries.bad else f"clamp_min({total} - {side}, 0)"), total

    def _recorded(self, metric: str, window: str) -> str:
        return f'slo:{metric}:{window}{{slo="{self.policy.name}"}}'

    def _record(self, name: str, expression: str) -> dict[str, Any]:
        return {"record": name, "expr": _Text(expression), "labels": {"slo": self.policy.name}}

    def _window_rules(self, window: str) -> Iterator[dict[str, Any]]:
        bad, total = self.counts(window)
        yield self._record(f"slo:bad_events:increase{window}", bad)
        yield self._record(f"slo:events:increase{window}", total)
        ratio = f"{self._recorded('bad_events', f'increase{window}')}\n  / "
        ratio += self._recorded("events", f"increase{window}")
        yield self._record(f"slo:burn:ratio{window}", f"{ratio}\n  / {self._allowed}")

    @property
    def _allowed(self) -> str:
        return _decimal(self.policy.allowed)

    def _budget_rules(self) -> list[dict[str, Any]]:
        """Return the budget from sums of counts: a quiet minute does not weigh like a busy one.

        The group's interval is the window that is summed, so that none is counted twice.
        """
        period = promql_duration(self.policy.window)
        rules = []
        for metric in ("bad_events", "events"):
            rules.append(
                self._record(
                    f"slo:{metric}:step{_LEAST_WINDOW}",
                    self._recorded(metric, f"increase{_LEAST_WINDOW}"),
                )
            )
            steps = self._recorded(metric, f"step{_LEAST_WINDOW}")
            summed = f"sum_over_time({steps}[{period}])"
            rules.append(self._record(f"slo:{metric}:increase{period}", summed))
        share_left = f"1 - {self._recorded('bad_events', f'increase{period}')}\n  / "
        share_left += f"({self._allowed} * {self._recorded('events', f'increase{period}')})"
        return [*rules, self._record("slo:budget_left:ratio", share_left)]

    def alert_rules(self) -> Iterator[dict[str, Any]]:
        """Yield the alerts: page, ticket, missing data, counts that contradict each other."""
        name = self.policy.name
        goal = f"{percent(self.policy.objective)} over {self.policy.window}"
        for severity in ("page", "ticket"):
            pairs = [alert for alert in self.alerts if alert.severity == severity]
            if pairs:
                yield {
                    "alert": self.alert_name(severity.capitalize()),
                    "expr": _Text("\nor\n".join(map(self._pair, pairs))),
                    "labels": {"severity": severity, "slo": name},
                    "annotations": {
                        "summary": f"{name}: the error budget burns too fast",
                        "description": f"Objective {goal}. Who spends it: relkit slo {name}.",
                    },
                }
        yield {
            "alert": self.alert_name("NoData"),
            "expr": f"absent({self._recorded('events', f'increase{_LEAST_WINDOW}')})",
            "for": _ABSENT_FOR,
            "labels": {"severity": "ticket", "slo": name},
            "annotations": {
                "summary": f"{name}: no events are counted",
                "description": "Missing data is not a good service: nothing else would fire.",
            },
        }
        hour = self.alerts[0].long
        bad, total = (self._recorded(what, f"increase{hour}") for what in ("bad_events", "events"))
        yield {
            "alert": self.alert_name("Contradiction"),
            "expr": f"{bad} > 1.01 * {total} + 1",
            "for": _ABSENT_FOR,
            "labels": {"severity": "ticket", "slo": name},
            "annotations": {
                "summary": f"{name}: more bad events than events",
                "description": "The two counters do not count the same events.",
            },
        }

    def _pair(self, alert: BurnAlert) -> str:
        factor = _decimal(factor_of(alert, self.policy.window_s))
        short = self._recorded("bad_events", f"increase{alert.short}")
        return (
            f"(\n  {self._recorded('burn', f'ratio{alert.long}')} > {factor}"
            f"\n  and {self._recorded('burn', f'ratio{alert.short}')} > {factor}"
            f"\n  and {self._recorded('events', f'increase{alert.short}')}"
            f" >= {self.policy.min_events}"
            f"\n  and {short} >= {LEAST_BAD}\n)"
        )


Stretch = tuple[int, float, float]
"""Minutes, events a minute, and the share of them that is bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """Two series that events of a test are written to, and what each of them counts."""

    side: str
    rest: str
    side_is_bad: bool
    side_in_total: bool

    def series(self, stretches: Sequence[Stretch], reset_at: int | None) -> list[dict[str, str]]:
        """Return the input series of a test; both counters restart before a stretch."""
        side, rest = [], []
        for minutes, events, bad_share in stretches:
            bad = events * bad_share
            counted = bad if self.side_is_bad else events - bad
            side.append((minutes, counted))
            rest.append((minutes, events - counted if self.side_in_total else events))
        return [
            {"series": name, "values": _values(rates, reset_at)}
            for name, rates in ((self.side, side), (self.rest, rest))
        ]


def _values(rates: Sequence[tuple[int, float]], reset_at: int | None) -> str:
    """Return a counter in promtool's notation: ``0+10x60 630+30x59``."""
    parts, value = [], 0.0
    for i, (minutes, rate) in enumerate(rates):
        begins = i in {0, reset_at}
        start = 0.0 if begins else value + rate
        steps = minutes if i == 0 else minutes - 1
        parts.append(f"{start:.10g}+{rate:.10g}x{steps}")
        value = start + rate * steps
    return " ".join(parts)


def _inputs(events: PrometheusEvents) -> _Inputs | None:
    """Return series that the selectors of an objective select; None where none were found."""
    queries = event_queries(events)
    side, total = selector_of(queries.side), selector_of(queries.total)
    merged = Selector(metric=side.metric, matchers=(*side.matchers, *total.matchers))
    shared = side.metric == total.metric and example_labels(merged) is not None
    side_labels = example_labels(merged if shared else side)
    if side_labels is None:
        return None
    rest_labels = example_labels(total, apart_from=side)
    if rest_labels is None or rest_labels == side_labels:
        return None
    return _Inputs(
        side=_series_name(side_labels),
        rest=_series_name(rest_labels),
        side_is_bad=queries.bad,
        side_in_total=total.matches(side_labels),
    )


def _series_name(labels: Mapping[str, str]) -> str:
    inside = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in labels.items()
        if name != "__name__"
    )
    return labels["__name__"] + (f"{{{inside}}}" if inside else "")


def rule_tests(rules: Rules) -> Iterator[dict[str, Any]]:
    """Yield tests for promtool: a page, a ticket, a recovered hour, a quiet night, a restart.

    A test whose alert could not fire at this objective is left out; none at all where no series
    would be selected.
    """
    inputs = _inputs(rules.events)
    if inputs is None:
        return
    allowed = float(rules.policy.allowed)
    factors = {
        severity: [
            float(factor_of(alert, rules.policy.window_s))
            for alert in rules.alerts
            if alert.severity == severity
        ]
        for severity in ("page", "ticket")
    }
    page = max(factors["page"], default=math.inf) * allowed
    least_page = min(factors["page"], default=math.inf) * allowed
    ticket = max(factors["ticket"], default=math.inf) * allowed
    calls = float(max(_CALLS_A_MINUTE, math.ceil(rules.policy.min_events), 4 / allowed))
    quiet = allowed / 10
    good: Stretch = (2 * _HOUR, calls, quiet)

    def test(
        name: str,
        stretches: Sequence[Stretch],
        fires: Mapping[tuple[int, AlertSeverity], bool],
        reset_at: int | None = None,
    ) -> dict[str, Any]:
        return {
            "name": name,
            "interval": "1m",
            "input_series": inputs.series(stretches, reset_at),
            "alert_rule_test": [
                _expected(rules, minute, severity, firing=firing)
                for (minute, severity), firing in fires.items()
            ],
        }

    failing = min(1.0, 3 * page)
    if page < 1:
        yield test(
            "an hour of failures pages",
            [good, (_HOUR, calls, failing)],
            {(2 * _HOUR, "page"): False, (3 * _HOUR, "page"): True},
        )
        yield test(
            "an hour that recovered pages no longer",
            [good, (_HOUR, calls, failing), (_HOUR, calls, quiet)],
            {(3 * _HOUR, "page"): True, (4 * _HOUR, "page"): False},
        )
    if ticket < min(1.0, least_page):
        share = math.sqrt(ticket * min(1.0, least_page))
        yield test(
            "a slow burn is a ticket and no page",
            [(3 * _HOUR, calls, share)],
            {(3 * _HOUR, "page"): False, (3 * _HOUR, "ticket"): True},
        )
    if rules.policy.min_events > 3:  # noqa: PLR2004 - three calls
        yield test(
            "three calls at night, all of them bad, wake nobody",
            [(_HOUR, 0.0, 0.0), (3, 1.0, 1.0), (2, 0.0, 0.0)],
            {(_HOUR + 4, "page"): False, (_HOUR + 4, "ticket"): False},
        )
    yield test(
        "a restart of the counters is no burn",
        [(_HOUR, calls, quiet), (_HOUR, calls, quiet)],
        {
            (_HOUR + 1, "page"): False,
            (_HOUR + 1, "ticket"): False,
            (2 * _HOUR, "page"): False,
            (2 * _HOUR, "ticket"): False,
        },
        reset_at=1,
    )
    if page < 1:
        yield test(
            "a restart of the counters hides no failures",
            [good, (_HOUR, calls, failing), (5, calls, failing)],
            {(3 * _HOUR + 3, "page"): True},
            reset_at=2,
        )
    missing = test("missing data has an alert of its own", [good], {(3 * _HOUR, "page"): False})
    missing["alert_rule_test"] += [
        _expected(rules, 2 * _HOUR, "NoData", firing=False),
        _expected(rules, 3 * _HOUR, "NoData", firing=True),
    ]
    yield missing


def _expected(rules: Rules, minute: int, what: str, *, firing: bool) -> dict[str, Any]:
    name = rules.alert_name(what if what == "NoData" else what.capitalize())
    alert = next((rule for rule in rules.alert_rules() if rule["alert"] == name), None)
    expected = []
    if firing and alert is not None:
        expected.append({"exp_labels": alert["labels"], "exp_annotations": alert["annotations"]})
    return {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": expected}


def _dashboard(rules: Rules) -> dict[str, Any]:
    """Return a dashboard for Grafana: budget left, burn by window, events, who spends it."""
    policy = rules.policy
    label = f'{{slo="{policy.name}"}}'
    windows = sorted(
        {window for alert in rules.alerts for window in (alert.short, alert.long)}, key=duration_s
    )
    burns = [(f"slo:burn:ratio{window}{label}", window) for window in windows]
    hour = rules.alerts[0].long
    panels = [
        _panel("stat", "Error budget left", [("slo:budget_left:ratio" + label, "left")], 0, 0, 6),
        _panel(
            "timeseries", "Burn rate by window (1 spends the budget in its period)", burns, 6, 0, 18
        ),
        _panel(
            "timeseries", "Error budget left", [("slo:budget_left:ratio" + label, "left")], 0, 8, 12
        ),
        _panel(
            "timeseries",
            f"Events in {hour}",
            [
                (f"slo:events:increase{hour}{label}", "events"),
                (f"slo:bad_events:increase{hour}{label}", "bad"),
            ],
            12,
            8,
            12,
        ),
    ]
    labels = [name for name in (*policy.slices, policy.release) if "." not in name]
    for i, name in enumerate(labels[: _MOST_PANEL_SLICES + 1]):
        bad, total = rules.counts("1d", by=name)
        expression = f"({bad}) / ({total}) / {_decimal(policy.allowed)}"
        panels.append(
            _panel(
                "timeseries",
                f"Burn of the last day by {name}",
                [(expression, f"{{{{{name}}}}}")],
                12 * (i % 2),
                16 + 8 * (i // 2),
                12,
            )
        )
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    panels[0]["fieldConfig"]["defaults"]["unit"] = "percentunit"
    panels[2]["fieldConfig"]["defaults"]["unit"] = "percentunit"
    return {
        "title": f"SLO {policy.name}",
        "uid": f"slo-{policy.name}"[:40],
        "description": policy.description,
        "tags": ["slo", "relkit"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-7d", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": panels,
    }


def _panel(
    kind: str, title: str, queries: Sequence[tuple[str, str]], x: int, y: int, width: int
) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": kind,
        "title": title,
        "datasource": source,
        "gridPos": {"x": x, "y": y, "w": width, "h": 8},
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": source,
                "expr": expression,
                "legendFormat": legend,
            }
            for i, (expression, legend) in enumerate(queries)
        ],
    }
