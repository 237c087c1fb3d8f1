"""The numbers of one gate result: as text with digits that tell them apart, and drawn."""

import math
from dataclasses import dataclass

from relkit.domain.estimates import Estimate
from relkit.domain.gates import RuleResult
from relkit.rules.charts import Mark, mark, nice_scale
from relkit.rules.presenting import NONE

_DIGITS = (1, 2, 3, 4)
"""Tried until two different numbers look different: 1.04 must not be "1.0, allowed 1.0"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Observed value, interval and bound as text; "-" where there is none."""

    observed: str
    span: str
    allowed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An interval on an axis of its own, in percent; None where there is no bound or no zero."""

    mark: Mark
    bound: float | None
    zero: float | None


def figures(result: RuleResult) -> Figures:
    """Return the numbers of a result for people; changes in points, and which way they go."""
    observed, low, high, bound = _texts(result)
    return Figures(
        observed=_observed(result, observed),
        span=_span(low, high),
        allowed=_allowed(result, bound),
    )


def basis(result: RuleResult) -> str:
    """Return what a result rests on: clusters, utterances, units of the denominator."""
    counted = [(result.clusters, "cluster"), (result.utterances, "utterance")]
    parts = [f"{count:,} {word}{'' if count == 1 else 's'}" for count, word in counted if count]
    return ", ".join([*parts, f"n {result.n:,}"] if result.n else parts) or NONE


def drawn(result: RuleResult) -> Drawn | None:
    """Return interval and bound on an axis that holds both; None without numbers to draw."""
    if result.observed is None:
        return None
    zero = result.quantity != "value"
    ends = [result.observed, result.low, result.high, result.bound, 0.0 if zero else None]
    known = [value for value in ends if value is not None]
    if not all(map(math.isfinite, known)):
        return None
    scale = nice_scale(min(known), max(known))
    estimate = Estimate(value=result.observed, low=result.low, high=result.high)
    placed = mark(estimate, scale)
    if placed is None:
        return None
    return Drawn(
        mark=placed,
        bound=None if result.bound is None else scale.at(result.bound),
        zero=scale.at(0.0) if zero else None,
    )


def _texts(result: RuleResult) -> tuple[str, str, str, str]:
    """Return observed, low, high and bound with as many digits as tell them apart."""
    values = (result.observed, result.low, result.high, result.bound)
    known = {value for value in values if value is not None}
    texts = tuple(NONE for _ in values)
    for digits in _DIGITS:
        texts = tuple(_figure(value, result, digits) for value in values)
        if len({text for text in texts if text != NONE}) >= len(known):
            break
    return texts[0], texts[1], texts[2], texts[3]


def _figure(value: float | None, result: RuleResult, digits: int) -> str:
    if value is None:
        return NONE
    if result.unit == "fraction":
        unit = " %" if result.quantity == "value" else ""
        return f"{100 * value:.{digits}f}{unit}"
    if result.unit == "ms":
        return f"{value:.{digits - 1}f} ms"
    return f"{value:.{digits + 2}g}"


def _span(low: str, high: str) -> str:
    if low == high == NONE:
        return NONE
    start = "…" if low == NONE else low
    end = "…" if high == NONE else high
    for unit in (" %", " ms"):
        if start.endswith(unit) and end.endswith(unit):
            start = start.removesuffix(unit)
    return f"{start} to {end}"


def _observed(result: RuleResult, text: str) -> str:
    """Return a change without its sign, and in words which way it goes."""
    if result.observed is None or result.quantity == "value":
        return text
    if not result.observed:
        return "no difference"
    worse = (result.observed > 0) == (result.quantity == "worsening")
    return f"{text.removeprefix('-')}{_points(result)} {'worse' if worse else 'better'}"


def _allowed(result: RuleResult, text: str) -> str:
    """Return the bound, and of a change which way it is meant."""
    if result.bound is None:
        return NONE
    if result.test == "no_regression":
        return "no worsening"
    before = {"worsening": "worse by ", "improvement": "better by "}.get(result.quantity, "")
    return f"{before}{text}{_points(result)}"


def _points(result: RuleResult) -> str:
    return " points" if result.unit == "fraction" and result.quantity != "value" else ""
