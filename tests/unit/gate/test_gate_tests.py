"""The four tests on numbers alone, and MLflow's thresholds held against them."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.attestation.auditor import of_family
from relkit.core.codec import encode
from relkit.gate.judge import (
    better_by,
    no_regression,
    not_finite,
    not_worse,
    required_change,
    within_bounds,
)
from relkit.gate.types import Rule, Verdict

VECTORS = Path(__file__).resolve().parents[3].parent / "shared/vectors/mlflow_thresholds.json"
P, I, F = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL  # noqa: E741 - a table reads best so


@pytest.mark.parametrize(
    ("interval", "maximum", "minimum", "verdict"),
    [
        ((0.1, 0.2), 0.3, None, P),
        ((0.1, 0.3), 0.3, None, P),
        ((0.1, 0.3000001), 0.3, None, I),
        ((0.3, 0.4), 0.3, None, I),
        ((0.3000001, 0.4), 0.3, None, F),
        ((None, 0.2), 0.3, None, P),
        ((0.1, None), 0.3, None, I),
        ((0.4, None), 0.3, None, F),
        ((None, None), 0.3, None, I),
        ((3.0, 4.0), None, 2.5, P),
        ((2.5, 4.0), None, 2.5, P),
        ((2.4, 4.0), None, 2.5, I),
        ((2.0, 2.4), None, 2.5, F),
        ((2.0, 2.5), None, 2.5, I),
        ((None, 2.0), None, 2.5, F),
        ((0.2, 0.4), 0.5, 0.1, P),
        ((0.05, 0.4), 0.5, 0.1, I),
        ((0.6, 0.9), 0.5, 0.1, F),
    ],
)
def test_a_bound_is_held_against_both_ends(
    interval: tuple[float | None, float | None],
    maximum: float | None,
    minimum: float | None,
    verdict: Verdict,
) -> None:
    """Inside passes, wholly outside fails, everything between is undecided."""
    assert within_bounds(interval, maximum=maximum, minimum=minimum).verdict is verdict


@pytest.mark.parametrize(
    ("worsening", "verdict"),
    [
        ((-0.01, 0.01), P),
        ((-0.01, 0.0099), P),
        ((-0.01, 0.0101), I),
        ((0.01, 0.02), I),
        ((0.0101, 0.02), F),
        ((None, 0.005), P),
        ((0.02, None), F),
        ((0.005, None), I),
        ((None, None), I),
    ],
)
def test_a_worsening_is_held_against_the_margin(
    worsening: tuple[float | None, float | None], verdict: Verdict
) -> None:
    """The upper end decides for the candidate, the lower end against it."""
    assert not_worse(worsening, 0.01).verdict is verdict


@pytest.mark.parametrize(
    ("improvement", "verdict"),
    [((0.02, 0.04), P), ((0.01, 0.04), P), ((0.0, 0.04), I), ((-0.02, 0.0099), F), ((0, 0.01), I)],
)
def test_an_improvement_has_to_be_so_large(
    improvement: tuple[float, float], verdict: Verdict
) -> None:
    """A candidate that must be better by one point is held against the ends of its gain."""
    assert better_by(improvement, 0.01).verdict is verdict


@pytest.mark.parametrize(
    ("p", "worsening", "excludes", "verdict"),
    [
        (0.05, 0.1, 1.5, F),
        (0.0501, 0.1, 1.5, P),
        (0.01, -0.1, 1.5, P),
        (0.01, 0.1, 9.0, F),
        (0.5, 0.0, 2.0, P),
        (0.5, 0.0, 2.01, I),
        (0.5, 0.0, None, I),
    ],
)
def test_a_family_fails_what_it_finds_and_passes_what_excludes_the_ratio(
    p: float, worsening: float, excludes: float | None, verdict: Verdict
) -> None:
    """Data that do not exclude a doubled rate never pass, whatever p says."""
    outcome = no_regression(FAMILY, p, worsening, worsening / 2, excludes)
    assert outcome.verdict is verdict


FAMILY = Rule(id="r", metric="wer_capped", slice="accent=*", test="no_regression")


@pytest.mark.parametrize(
    ("p", "worsening", "low", "excludes", "expected"),
    [
        (0.01, 0.003, 0.001, 1.5, (P, "ratio_excluded")),  # all that was seen is tolerated
        (0.01, 0.003, 0.001, 2.5, (I, "ratio_not_excluded")),
        (0.01, 0.005, 0.005, 1.5, (P, "ratio_excluded")),  # at what is tolerated
        (0.01, 0.02, 0.004, 1.5, (I, "maybe_tolerated")),
        (0.01, 0.02, 0.006, 1.5, (F, "regressed")),
        (0.01, 0.003, None, 1.5, (F, "regressed")),  # nobody knows how little it may be
        (0.5, 0.02, None, 1.5, (P, "ratio_excluded")),
    ],
)
def test_a_worsening_that_does_not_matter_blocks_nothing(
    p: float, worsening: float, low: float | None, excludes: float, expected: tuple[Verdict, str]
) -> None:
    """One that may be more than is tolerated is undecided, and never passes."""
    outcome = no_regression(replace(FAMILY, tolerate=0.005), p, worsening, low, excludes)
    assert (outcome.verdict, outcome.code) == expected


@given(
    p=st.floats(0, 1),
    worsening=st.floats(-1, 1),
    low=st.none() | st.floats(-1, 1),
    excludes=st.none() | st.floats(1, 9),
    tolerate=st.none() | st.floats(0.001, 0.5),
)
def test_the_auditor_decides_a_slice_alike(
    p: float, worsening: float, low: float | None, excludes: float | None, tolerate: float | None
) -> None:
    """By its own code, from what a decision says of its rule and its result."""
    rule = replace(FAMILY, tolerate=tolerate)
    ours = no_regression(rule, p, worsening, low, excludes)
    result = {"observed": worsening, "p_adjusted": p, "low": low, "excludes": excludes}
    theirs = of_family(encode(rule), result | {"formulas": 2})
    assert theirs == (ours.verdict.value, ours.code)


@given(
    low=st.floats(-1, 1),
    width=st.floats(0, 1),
    margin=st.floats(0, 1),
    more=st.floats(0, 1),
)
def test_a_wider_margin_never_hurts(low: float, width: float, margin: float, more: float) -> None:
    """A larger allowed worsening moves a verdict toward pass only."""
    rank = {F: 0, I: 1, P: 2}
    interval = (low, low + width)
    narrow, wide = not_worse(interval, margin), not_worse(interval, margin + more)
    assert rank[wide.verdict] >= rank[narrow.verdict]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_found(value: float) -> None:
    """NaN and infinities never reach a comparison."""
    assert not_finite(0.1, None, value)
    assert not not_finite(0.1, None)


def _vectors() -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip("the shared vectors are not beside the project")
    found: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))
    return found


def _number(value: object) -> float:
    return float(value) if isinstance(value, str | int | float) else math.nan


def _verdicts(case: dict[str, Any]) -> list[Verdict]:
    """Judge a case of exact numbers: each is an interval without width."""
    found = []
    for name, asked in case["thresholds"].items():
        candidate = (case["candidate"] or {}).get(name)
        baseline = (case["baseline"] or {}).get(name)
        up = asked.get("greater_is_better", True)
        if candidate is None or not_finite(_number(candidate)):
            found.append(Verdict.NO_DATA)
            continue
        value = _number(candidate)
        if (limit := asked.get("threshold")) is not None:
            bounds = (
                {"minimum": limit, "maximum": None} if up else {"minimum": None, "maximum": limit}
            )
            found.append(within_bounds((value, value), **bounds).verdict)
        absolute, relative = asked.get("min_absolute_change"), asked.get("min_relative_change")
        allowed = asked.get("max_absolute_regression")
        if absolute is None and relative is None and allowed is None:
            continue
        if baseline is None or not_finite(_number(baseline)):
            found.append(Verdict.NO_DATA)
            continue
        gain = value - _number(baseline) if up else _number(baseline) - value
        if allowed is not None:
            found.append(not_worse((-gain, -gain), allowed).verdict)
            continue
        for one in (
            {"absolute": absolute, "relative": None},
            {"absolute": None, "relative": relative},
        ):
            wanted = required_change(_number(baseline), **one)
            if wanted is not None:
                found.append(better_by((gain, gain), wanted).verdict)
    return found


def test_mlflows_own_cases_come_out_alike() -> None:
    """Each of MLflow's threshold cases passes here exactly where it passes there."""
    for case in _vectors()["cases"]:
        verdicts = _verdicts(case)
        passed = bool(verdicts) and all(verdict is P for verdict in verdicts)
        assert passed == case["expected_pass"], case["name"]


def test_what_mlflow_lets_pass_by_mistake_does_not_pass_here() -> None:
    """NaN, missing baselines and binary rounding come out as the traps ask for."""
    for case in _vectors()["traps"]:
        verdicts = _verdicts(case)
        passed = bool(verdicts) and all(verdict is P for verdict in verdicts)
        assert passed == case["required_of_relkit"].startswith("pass"), case["name"]
