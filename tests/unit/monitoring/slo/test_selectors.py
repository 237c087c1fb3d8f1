"""Selectors of PromQL: what they mean, and labels that they select."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.monitoring.slo.selectors import (
    Matcher,
    Selector,
    event_queries,
    example_labels,
    selector_of,
)
from relkit.monitoring.slo.types import PrometheusEvents


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("turns_total", "turns_total"),
        ('turns_total{a="b"}', 'turns_total{a="b"}'),
        ("turns_total{a='b', }", 'turns_total{a="b"}'),
        ('{__name__="turns_total", a!="b"}', 'turns_total{a!="b"}'),
        ("sum(turns_total)", "turns_total"),
        ('sum by (job) (rate(turns_total{a=~"b|c"}[5m]))', 'turns_total{a=~"b|c"}'),
        ("sum(increase(a:b[1h])) without (pod)", "a:b"),
        ("rate(x[{{.window}}])", "x"),
        ('x{a="1}[5m]"}', 'x{a="1}[5m]"}'),
        ('x{a="\\"\\\\"}', 'x{a="\\"\\\\"}'),
        (" x ", "x"),
    ],
)
def test_the_counter_of_a_query(query: str, text: str) -> None:
    """Sums and rates are read for the selector inside."""
    assert selector_of(query).text == text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "1",
        "a / b",
        "sum(a) / sum(b)",
        "sum(a) - sum(b)",
        "max(a)",
        "histogram_quantile(0.95, a_bucket)",
        "a offset 5m",
        "a{b}",
        'a{b="c"',
        'a{b=~"("}',
        '{a="b"}',
        'a{b="c"} or d',
        "a; drop",
    ],
)
def test_what_is_no_counter_is_refused(query: str) -> None:
    """Arithmetic, other functions and broken selectors say what to write."""
    with pytest.raises(ValueError, match=r"is no selector|names no metric|cannot be read") as error:
        selector_of(query)
    assert len(error.value.args) == 2


VALUES = st.sampled_from(["ok", "failed", "timeout", "5..", "a|b", 'q"', "\\d+", "é", ""])


@given(
    st.lists(
        st.builds(
            Matcher,
            label=st.sampled_from(["a", "b", "le"]),
            comparison=st.sampled_from(["=", "!=", "=~", "!~"]),
            value=VALUES,
        ),
        max_size=3,
        unique_by=lambda matcher: matcher.label,
    )
)
def test_a_selector_is_read_back_and_has_an_example(matchers: list[Matcher]) -> None:
    """Text and selector are the same, and the example is one that it selects."""
    selector = Selector(metric="m", matchers=tuple(matchers))
    assert selector_of(selector.text) == selector
    labels = example_labels(selector)
    assert labels is not None
    assert selector.matches(labels)


@pytest.mark.parametrize(
    ("total", "bad"),
    [
        ("m", 'm{outcome="failed"}'),
        ("m", 'm{outcome!="ok"}'),
        ('m{job="x"}', 'm{job="x", code=~"5.."}'),
        ("m", 'm{code!~"2.."}'),
        ("m", "n"),
    ],
)
def test_an_example_apart_from_another(total: str, bad: str) -> None:
    """A series of all events that is none of the bad ones."""
    labels = example_labels(selector_of(total), apart_from=selector_of(bad))
    assert labels is not None
    assert selector_of(total).matches(labels)
    assert not selector_of(bad).matches(labels)


def test_the_bucket_of_a_bound_in_any_spelling() -> None:
    """1 is written 1 or 1.0, and a point is no wildcard."""
    whole = selector_of(event_queries(PrometheusEvents(histogram="h", below=1)).side)
    part = selector_of(event_queries(PrometheusEvents(histogram="h", below=0.25)).side)
    for text in ("1", "1.0"):
        assert whole.matches({"__name__": "h_bucket", "le": text})
    assert not whole.matches({"__name__": "h_bucket", "le": "10"})
    assert part.matches({"__name__": "h_bucket", "le": "0.25"})
    assert not part.matches({"__name__": "h_bucket", "le": "0x25"})
