"""Numbers as people read them: a table, and what holds for every number."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.adapters.html import JinjaPages
from relkit.core import wording
from relkit.core.metrics import Better
from relkit.core.values import Estimate
from relkit.evaluation.view import eval_summary
from relkit.gate.reasons import figures, reason_of
from relkit.gate.types import Rule
from tests.adapters.test_report_pages import Document, render
from tests.builders import report, slice_result
from tests.gate_decisions import result

UNITS = ("fraction", "ms", "ratio", "mos")
FINITE = st.floats(-5, 5, allow_nan=False, width=32)
SHOWN = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "fraction", "-"),
        (None, "ms", "-"),
        (0.0, "fraction", "0.0 %"),
        (0.0004, "fraction", "0.04 %"),
        (0.00996, "fraction", "1.0 %"),
        (0.0015, "fraction", "0.15 %"),
        (0.12345, "fraction", "12.3 %"),
        (2.5, "fraction", "250.0 %"),
        (12.0, "fraction", "> 999 %"),
        (1e-9, "fraction", "0.0 %"),
        (-1e-9, "fraction", "0.0 %"),
        (812.4, "ms", "812 ms"),
        (3.0, "ms", "3 ms"),
        (0.43, "ms", "0.43 ms"),
        (0.04567, "ratio", "0.0457"),
        (21.876, "ratio", "21.9"),
        (1234.5, "ratio", "1234"),
        (3.1, "mos", "3.10"),
        (-26.04, "dBFS", "-26.0 dBFS"),
        (float("nan"), "fraction", "nan %"),
        (float("-inf"), "ratio", "-inf"),
    ],
)
def test_a_measured_number_carries_its_unit(value: float | None, unit: str, text: str) -> None:
    """Fractions in percent, times in ms; nothing is a dash and never a 0."""
    assert wording.number(value, unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "as_limit", "as_margin"),
    [
        (0.2, "fraction", "20.0 %", "20.0 points"),
        (0.0125, "fraction", "1.25 %", "1.25 points"),
        (0.0, "fraction", "0.0 %", "0.0 points"),
        (1 / 3, "fraction", "33.3 %", "33.3 points"),
        (12.0, "fraction", "> 999 %", "> 999 points"),
        (800.0, "ms", "800 ms", "800 ms"),
        (3.5, "ms", "3.5 ms", "3.5 ms"),
        (2.5, "mos", "2.50", "2.50"),
    ],
)
def test_what_people_set_keeps_its_digits(
    value: float, unit: str, as_limit: str, as_margin: str
) -> None:
    """A limit of 1.25 % is not 1.2 %."""
    assert wording.limit(value, unit) == as_limit
    assert wording.margin(value, unit) == as_margin


@pytest.mark.parametrize(
    ("low", "high", "unit", "text"),
    [
        (0.481, 0.601, "fraction", "48.1 to 60.1 %"),
        (194.6, 274.1, "ms", "195 to 274 ms"),
        (0.0863, 0.109, "ratio", "0.0863 to 0.109"),
        (2.5, 3.004, "mos", "2.50 to 3.00"),
        (231.0, None, "ms", "231 ms to …"),
        (None, 0.3, "fraction", "… to 30.0 %"),
        (None, None, "fraction", "-"),
        (0.015, 35.0, "fraction", "1.5 to > 999 %"),
        (0.0, 0.0, "fraction", "0.0 to 0.0 %"),
    ],
)
def test_an_interval_says_its_unit_once_and_which_end_is_open(
    low: float | None, high: float | None, unit: str, text: str
) -> None:
    """An end that nobody can claim is not invented."""
    assert wording.interval(low, high, unit) == text


@pytest.mark.parametrize(
    ("difference", "unit", "text"),
    [
        (0.1, "fraction", "+10.0 points"),
        (-0.1, "fraction", "-10.0 points"),
        (0.0004, "fraction", "+0.04 points"),
        (0.0, "fraction", "±0 points"),
        (50.0, "ms", "+50 ms"),
        (0.25, "mos", "+0.25"),
        (-1e-9, "mos", "±0"),
        (None, "fraction", "-"),
    ],
)
def test_a_difference_is_signed_and_in_points(
    difference: float | None, unit: str, text: str
) -> None:
    """Percent of percent is never meant."""
    assert wording.signed(difference, unit) == text


@pytest.mark.parametrize(
    ("numbers", "unit", "better", "sentence"),
    [
        (
            (0.029, -0.018, 0.075),
            "fraction",
            "down",
            "worse: +2.9 points (-1.8 to +7.5)",
        ),
        (
            (-0.029, -0.075, 0.018),
            "fraction",
            "down",
            "better: -2.9 points (-7.5 to +1.8)",
        ),
        ((0.2, 0.09, 0.31), "mos", "up", "worse: -0.20 (-0.31 to -0.09)"),
        ((-0.2, -0.31, None), "mos", "up", "better: +0.20 (… to +0.31)"),
        ((33.0, 3.0, 61.0), "ms", "down", "worse: +33 ms (+3 to +61)"),
        ((-0.02, None, 0.01), "fraction", "down", "better: -2.0 points (… to +1.0)"),
        ((0.02, None, None), "fraction", "down", "worse: +2.0 points"),
        ((0.0, -0.004, 0.006), "fraction", "down", "the same (-0.4 to +0.6)"),
    ],
)
def test_a_change_and_its_interval_are_those_of_the_metric(
    numbers: tuple[float, float | None, float | None], unit: str, better: Better, sentence: str
) -> None:
    """Candidate less baseline in every row: a word says whether that is good."""
    assert wording.change(*numbers, unit, better=better).sentence == sentence


def test_other_things_have_one_wording_too() -> None:
    """Counts, plurals, ratios, p-values, shares, chances, durations, digests and names."""
    assert wording.count(1204) == "1,204"
    assert wording.counted(1, "utterance") == "1 utterance"
    assert wording.counted(1204, "utterance") == "1,204 utterances"
    assert [wording.clusters(n, "voice") for n in (1, 8)] == ["1 voice", "8 voices"]
    assert [wording.clusters(n, "id") for n in (1, 8)] == ["1 text", "8 texts"]
    assert wording.clusters(8, "speakers") == "8 speakers"
    assert wording.times(1.31) == "1.31 times"
    assert [wording.p_value(p) for p in (0.0312, 0.0004, None)] == ["0.031", "< 0.001", "-"]
    assert [wording.percent(x) for x in (0.05, 0.005, 1.0)] == ["5 %", "0.5 %", "100 %"]
    assert wording.chance(0.814) == "81 %"
    assert wording.tick(0.2, "fraction") == "20 %"
    seconds = (30.0, 600.0, 26 * 3600.0, 3 * 86400.0)
    words = ["30 seconds", "10 minutes", "26 hours", "3 days"]
    assert [wording.duration(s) for s in seconds] == words
    assert [wording.lasted(s) for s in (45.0, 3599.9, 14399.9)] == [
        "45 seconds",
        "59 minutes",
        "3.98 hours",
    ]
    assert wording.short_digest("sha256:" + "ab" * 32) == "sha256:abababababab"
    assert wording.metric_name("wer_capped") == "wer_capped"
    assert wording.metric_name("dnsmos_ovrl.mean") == "dnsmos_ovrl.mean (predicted MOS)"
    assert wording.on_slice("overall") == ""


@given(FINITE, FINITE, FINITE, st.sampled_from(UNITS))
def test_what_is_better_one_way_is_worse_the_other(
    value: float, one: float, other: float, unit: str
) -> None:
    """Exchanging the two systems changes the word and the signs; where more is better, the word."""
    low, high = sorted((one, other))
    there = wording.change(value, low, high, unit)
    back = wording.change(-value, -high, -low, unit)
    turned = wording.change(-value, -high, -low, unit, better="up")
    assert (turned.cell, turned.interval) == (there.cell, there.interval)
    if there.direction == "the same":
        assert back.direction == turned.direction == "the same"
    else:
        assert {there.direction, back.direction} == {"worse", "better"}
        assert turned.direction == back.direction
        assert there.cell.strip("+-") == back.cell.strip("+-")
    assert "-0.0 " not in f"{there.sentence} {wording.signed(value, unit)} "
    assert "\N{MINUS SIGN}" not in there.sentence + wording.signed(value, unit)


@given(st.lists(FINITE, min_size=3, max_size=3), st.sampled_from(UNITS))
def test_order_survives_print(values: list[float], unit: str) -> None:
    """A lower end never reads as more than the value, nor the value as more than the upper end."""
    low, value, high = sorted(values)
    printed = f"{wording.interval(low, high, unit)} {wording.number(value, unit)}"
    start, end, middle = (float(text) for text in SHOWN.findall(printed))
    assert start <= middle <= end


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 9), st.sampled_from(UNITS))
def test_a_number_reads_the_same_in_text_markdown_html_and_a_decision(
    value: float, unit: str
) -> None:
    """Whoever compares a terminal with a page sees one number."""
    estimate = Estimate(value=value, low=value, high=value, n=9, clusters=9, unit=unit)
    item = report(slice_result("overall", {"wer": estimate}))
    number, interval = wording.number(value, unit), wording.interval(value, value, unit)
    page = " ".join(" ".join(Document(render(report=item)).text).split())
    for text in (eval_summary(item), JinjaPages().report_markdown(item), page):
        assert number in text
        assert interval in text
    judged = result(
        quantity="value", test="bound", unit=unit, observed=value, low=None, high=None, bound=None
    )
    rule = Rule(id="r", metric="wer", max=1.0)
    assert figures(judged).observed == number
    assert f" is {number};" in reason_of(rule, replace(judged, metric="wer"), column="voice")


@given(FINITE, FINITE, FINITE, st.floats(0, 1), st.sampled_from(UNITS))
def test_a_check_and_its_reason_say_the_same(
    value: float, one: float, other: float, bound: float, unit: str
) -> None:
    """The row of a check and the sentence below it have the same digits and direction."""
    low, high = sorted((one, other))
    judged = result(unit=unit, observed=value, low=low, high=high, bound=bound)
    shown = figures(judged)
    rule = Rule(id="r", metric="wer", test="non_inferiority", margin=bound)
    words = reason_of(rule, judged, column="voice")
    direction = wording.change(value, low, high, unit).direction
    assert shown.span in words
    assert words.endswith(f"; allowed {shown.allowed}; 12 voices")
    if direction != "the same":
        assert f"is {direction}: {shown.observed}" in words


def test_a_worsening_of_a_family_is_never_at_least_a_negative_one() -> None:
    """What the one-sided end does not show to be worse is not said."""
    rule = Rule(id="r", metric="wer", test="no_regression")
    for low, said in ((0.004, True), (-0.003, False), (0.0, False)):
        judged = result(test="no_regression", observed=0.02, low=low, high=None, bound=0.0)
        words = reason_of(rule, judged, column="voice")
        assert ("at least" in words) == said
