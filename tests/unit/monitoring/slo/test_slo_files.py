"""Objectives in YAML: relkit's own, OpenSLO's, and what is refused in both."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.codec import encode
from relkit.core.errors import InvalidInput
from relkit.monitoring.slo.files import parse_slo
from relkit.monitoring.slo.openslo_files import render_openslo
from relkit.monitoring.slo.prometheus_files import (
    prometheus_export,
    promql_duration,
)
from relkit.monitoring.slo.types import GoodEvents, PrometheusEvents, SloPolicy, exact
from tests.conftest import ROOT

SLO = """\
schema: relkit.slo/v1
name: turns-answered
objective: 99.5%
window: 30d
good: {rate: failed, is: false}
min_events: 50
slices: [language]
"""

OPENSLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout
  displayName: Checkout answers
  labels: {team: [payments]}
spec:
  description: Answers of the checkout bot.
  service: checkout
  indicator:
    metadata: {name: checkout-answers}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            metricSourceRef: thanos
            spec: {query: 'sum(http_requests_total{code=~"2..", job="bot"})'}
        total:
          metricSource: {type: Prometheus, spec: {query: 'sum(http_requests_total{job="bot"})'}}
  timeWindow:
    - {duration: 4w, isRolling: true}
  budgetingMethod: Occurrences
  objectives:
    - {displayName: Good, target: 0.995}
  alertPolicies: []
"""


def test_an_objective_is_what_its_file_says() -> None:
    """Percent and fraction are one number, kept as it was written."""
    policy = parse_slo(SLO, source="a.yaml")
    assert exact(policy.objective) == exact(0.995)
    assert policy.allowed == exact(0.005)
    assert policy.good == GoodEvents(rate="failed", is_=False)
    assert parse_slo(SLO.replace("99.5%", "0.995"), source="b.yaml").digest == policy.digest
    assert parse_slo(SLO.replace(", is: false", ""), source="c.yaml").digest == policy.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema: relkit.slo/v1\n", "", 'line 1: the key "schema" is missing'),
        ("relkit.slo/v1", "relkit.gate/v1", 'line 1: unknown schema "relkit.gate/v1"'),
        ("objective:", "objectve:", 'line 3: unknown key "objectve"'),
        ("99.5%", "100%", "line 3: "),
        ("99.5%", "99.5", "line 3: "),
        ("99.5%", "0", "line 3: "),
        ("99.5%", "-1%", "line 3: "),
        ("99.5%", "many", "line 3: "),
        ("99.5%", ".nan", "line 3: "),
        ("30d", "42d", 'line 4: "window: 42d" is a period without windows of its own'),
        ("30d", "36h", 'line 4: "window: 36h" is a period without windows of its own'),
        ("30d", "a month", 'line 4: "window"'),
        ("{rate: failed, is: false}", "{}", 'line 5: "good" does not say what a good event is'),
        (
            "{rate: failed, is: false}",
            "{rate: no_answer}",
            'line 5: "no_answer" may be good or bad',
        ),
        ("{rate: failed, is: false}", "{is: false}", "line 5: "),
        ("{rate: failed, is: false}", "{tail: latency_ms}", 'line 5: "below" is missing'),
        ("{rate: failed, is: false}", "{rate: failed, below: 3}", 'line 5: "tail" is missing'),
        ("{rate: failed, is: false}", "{tail: latncy_ms, below: 1}", 'line 5: "latncy_ms" is no'),
        (
            "{rate: failed, is: false}",
            "{rate: failed, tail: latency_ms, below: 1}",
            'line 5: "good" has a rate and a tail',
        ),
        ("{rate: failed, is: false}", "{prometheus: {total: a}}", 'line 5: "prometheus" needs'),
        (
            "{rate: failed, is: false}",
            "{prometheus: {total: a, bad: b, good: c}}",
            'line 5: "prometheus" needs',
        ),
        (
            "{rate: failed, is: false}",
            "{prometheus: {total: a, bad: a / b}}",
            'line 5: "bad" is no selector of one counter',
        ),
        (
            "{rate: failed, is: false}",
            "{prometheus: {total: a, bad: 'a{b}'}}",
            'line 5: "bad" has a label that cannot be read',
        ),
        (
            "{rate: failed, is: false}",
            "{prometheus: {histogram: a}}",
            'line 5: "histogram" needs "below"',
        ),
        (
            "{rate: failed, is: false}",
            "{prometheus: {histogram: a_bucket, below: 1}}",
            'line 5: "a_bucket" is a part of it',
        ),
        (
            "{rate: failed, is: false}",
            "{prometheus: {total: a, bad: b, native: true}}",
            'line 5: "below" and "native" belong to a histogram',
        ),
        ("min_events: 50", "min_events: -1", "line 6: "),
        ("min_events: 50", "since: 2026-01-01", 'line 6: "since"'),
        ("slices: [language]", "slices: ['a b']", "line 7: "),
        (
            "slices: [language]",
            "alerts: [{severity: page, budget: 2%, short: 1h, long: 1h}]",
            'line 7: "short: 1h" is no shorter',
        ),
        (
            "slices: [language]",
            "alerts: [{severity: page, budget: 2%, short: 90s, long: 1h}]",
            'line 7: "short: 90s" is no whole number of minutes',
        ),
        (
            "slices: [language]",
            "alerts: [{severity: page, budget: 2%, short: 1h, long: 31d}]",
            'line 7: "long: 31d" is longer',
        ),
        ("slices: [language]", "alerts: [{severity: warn}]", "line 7: "),
    ],
)
def test_a_senseless_objective_is_refused(old: str, new: str, message: str) -> None:
    """With file and line, before any data is looked at."""
    assert old in SLO
    with pytest.raises(InvalidInput) as error:
        parse_slo(SLO.replace(old, new), source="a.yaml")
    assert f"a.yaml, {message}" in error.value.message


def test_other_periods_need_alerts_of_their_own() -> None:
    """A quarter has no usual windows; its factors follow from its budgets."""
    more = "alerts: [{severity: page, budget: 1%, short: 10m, long: 2h}]\n"
    policy = parse_slo(SLO.replace("30d", "90d") + more, source="a.yaml")
    assert policy.alerts[0].budget == 0.01


def test_openslo_is_read_as_it_is() -> None:
    """Sums and rates are read for their counter, weeks as days; other keys are passed over."""
    policy = parse_slo(OPENSLO, source="o.yaml")
    assert (policy.name, policy.objective, policy.window) == ("checkout", 0.995, "28d")
    assert policy.description == "Answers of the checkout bot."
    assert policy.good.prometheus == PrometheusEvents(
        good='sum(http_requests_total{code=~"2..", job="bot"})',
        total='sum(http_requests_total{job="bot"})',
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("openslo/v1", "openslo/v2alpha", "line 1: "),
        ("kind: SLO", "kind: SLI", "line 2: "),
        ("budgetingMethod: Occurrences", "budgetingMethod: Timeslices", "line 24: "),
        ("isRolling: true", "isRolling: false", "line 22: a budget of a calendar period"),
        ("duration: 4w", "duration: 1Q", '"window: 90d" is a period without windows'),
        ("duration: 4w", "duration: four", "line 23: "),
        ("target: 0.995", "target: 1", "line 26: "),
        ("target: 0.995", "value: 1", "line 26: the objective has no target"),
        (
            "    - {displayName: Good, target: 0.995}",
            "    - {target: 0.9}\n    - {target: 0.95}",
            "line 25: one objective was expected",
        ),
        ("  indicator:\n    metadata", "  indicatorRef: x\n  other:\n    metadata", "line 10: the"),
        ("counter: true", "counter: false", "line 15: what does not only rise"),
        ("type: Prometheus\n", "type: Datadog\n", 'a source of type "Datadog" cannot be asked'),
        ("        good:", "        raw:", "a ratio without its events"),
        ('code=~"2..", job="bot"})', 'code=~"2.."}) / sum(x)', "is no selector of one counter"),
        ("name: checkout\n", "name: a/b\n", "line 4: "),
    ],
)
def test_what_openslo_says_beyond_events_is_refused(old: str, new: str, message: str) -> None:
    """Time slices, calendars, several objectives and other files are said, with the line."""
    assert old in OPENSLO
    with pytest.raises(InvalidInput) as error:
        parse_slo(OPENSLO.replace(old, new, 1), source="o.yaml")
    assert message in error.value.message
    assert error.value.message.startswith("o.yaml")


GOODS = st.one_of(
    st.sampled_from(["failed", "success", "no_answer"]).flatmap(
        lambda rate: st.booleans().map(lambda value: GoodEvents(rate=rate, is_=value))
    ),
    st.integers(1, 5000).map(lambda ms: GoodEvents(tail="latency_ms", below=float(ms))),
    st.sampled_from(
        [
            PrometheusEvents(bad='a{b="c"}', total="a"),
            PrometheusEvents(good="d", total="e"),
            PrometheusEvents(histogram="turn_seconds", below=1.5),
        ]
    ).map(lambda events: GoodEvents(prometheus=events)),
)


@given(
    good=GOODS,
    objective=st.integers(1, 9999).map(lambda part: part / 10_000),
    min_events=st.integers(0, 500),
    slices=st.sampled_from([(), ("language",), ("language", "device")]),
    window=st.sampled_from(["7d", "28d", "30d"]),
    silence=st.sampled_from(["5m", "8h"]),
)
def test_an_objective_survives_openslo(
    good: GoodEvents,
    objective: float,
    min_events: int,
    slices: tuple[str, ...],
    window: str,
    silence: str,
) -> None:
    """What is exported as OpenSLO is read back as the same objective."""
    policy = SloPolicy(
        name="x",
        objective=objective,
        good=good,
        min_events=min_events,
        slices=slices,
        window=window,
        silence=silence,
    )
    assert parse_slo(render_openslo(policy), source="o.yaml") == policy


@pytest.mark.parametrize(
    "policy",
    [
        parse_slo(
            SLO.replace("{rate: failed, is: false}", "{prometheus: {histogram: a, below: 1}}"),
            source="a.yaml",
        ),
    ],
)
def test_what_openslo_cannot_say_is_refused(policy: SloPolicy) -> None:
    """A native histogram, and alerts of its own."""
    events = policy.good.prometheus
    assert events is not None
    native = replace(policy, good=GoodEvents(prometheus=replace(events, native=True)))
    with pytest.raises(InvalidInput, match="native histogram"):
        render_openslo(native)
    files, notes = prometheus_export(native)
    assert sorted(files) == ["turns-answered.dashboard.json", "turns-answered.rules.yaml"]
    assert notes == ("no rule tests: promtool has no native histograms",)


@pytest.mark.parametrize(
    ("written", "spelt"), [("5m", "5m"), ("1.5h", "90m"), ("0.5d", "12h"), ("1.0d", "1d")]
)
def test_durations_are_whole_in_promql(written: str, spelt: str) -> None:
    """Prometheus reads no fraction of an hour."""
    assert promql_duration(written) == spelt


def test_selectors_that_nothing_can_match_have_no_tests() -> None:
    """Rules are written all the same, and the note says what is missing."""
    text = SLO.replace(
        "{rate: failed, is: false}", "{prometheus: {bad: 'a{b=\"c\"}', total: 'a{b=\"c\"}'}}"
    )
    files, notes = prometheus_export(parse_slo(text, source="a.yaml"))
    assert len(files) == 2
    assert notes == ("no rule tests: no labels would match",)


def test_the_examples_of_the_guide_are_objectives() -> None:
    """Every policy that the guide shows is read, and none twice under one name."""
    page = (ROOT / "docs" / "slo.md").read_text("utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    policies = [
        parse_slo(block, source="slo.md")
        for block in blocks
        if "relkit.slo/v1" in block or "openslo/v1" in block
    ]
    assert len(policies) >= 1
    assert all(encode(policy) for policy in policies)
    assert all(isinstance(yaml.safe_load(block), dict | list) for block in blocks)
