"""What makes a rule of a policy senseless by itself, before any data is looked at."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from relkit.domain.gates import Rule, Test
from relkit.domain.metrics import metric_of
from relkit.rules.metric_ranges import MetricRange, metric_range
from relkit.rules.sign_flips import FAMILY_METRICS

BOUND_KEYS: Mapping[Test, tuple[str, ...]] = {
    "bound": ("max", "min"),
    "non_inferiority": ("margin", "anchor_margin"),
    "no_regression": ("detectable",),
    "min_change": ("min_change", "min_relative_change"),
}
"""Test to the keys that say what it asks for."""

NEEDED: Mapping[Test, tuple[str, ...]] = {
    "bound": ("max", "min"),
    "non_inferiority": ("margin",),
    "no_regression": (),
    "min_change": ("min_change", "min_relative_change"),
}
"""Test to the keys of which one must be there."""

_ALL_BOUND_KEYS = tuple(dict.fromkeys(key for keys in BOUND_KEYS.values() for key in keys))
_MOST_DETECTABLE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Why a rule is refused: the ``key`` that is wrong (None: the whole rule), and the way out."""

    key: str | None
    message: str
    hint: str | None = None


def test_asked_for(given: Collection[str], named: Test | None) -> Test:
    """Return a rule's test: the named one; ``min_change`` where only its bound says so."""
    if named is not None:
        return named
    return "min_change" if set(given) & set(BOUND_KEYS["min_change"]) else "bound"


def first_defect(rule: Rule, given: Collection[str]) -> Defect | None:
    """Return the first thing that makes a rule senseless; ``given`` are the keys it was written by.

    ``rule.metric`` has to be a known one.
    """
    return next(_defects(rule, given), None)


def _defects(rule: Rule, given: Collection[str]) -> Iterator[Defect]:
    yield from _keys(rule, given)
    limits = metric_range(rule.metric)
    if rule.test == "bound":
        yield from _limits(rule, limits)
    elif rule.test == "non_inferiority":
        yield from _margin("margin", rule.margin, limits)
    elif rule.test == "no_regression":
        yield from _family(rule)
    else:
        yield from _change(rule, limits)
    if "anchor_margin" in given:
        yield from _margin("anchor_margin", rule.anchor_margin, limits)


def _keys(rule: Rule, given: Collection[str]) -> Iterator[Defect]:
    wanted = BOUND_KEYS[rule.test]
    for key in _ALL_BOUND_KEYS:
        if key in given and key not in wanted:
            owner = next(test for test, keys in BOUND_KEYS.items() if key in keys)
            yield Defect(
                key=key,
                message=f'"{key}" says nothing to the test {rule.test}',
                hint=f'add "test: {owner}", or remove "{key}"',
            )
    needed = NEEDED[rule.test]
    if needed and not set(needed) & set(given):
        listed = " or ".join(f'"{key}"' for key in needed)
        yield Defect(
            key=None,
            message=f"the test {rule.test} needs {listed}",
            hint=f"for example {_EXAMPLES[rule.test]}",
        )


_EXAMPLES: Mapping[Test, str] = {
    "bound": "max: 0.20",
    "non_inferiority": "margin: 0.01, the largest acceptable worsening",
    "min_change": "min_change: 0.01",
}


def _limits(rule: Rule, limits: MetricRange) -> Iterator[Defect]:
    low, high, name = limits.low, limits.high, rule.metric
    span = (
        f"{name} is between {low:g} and {high:g}" if high < float("inf") else f"{name} >= {low:g}"
    )
    if rule.max is not None and rule.max >= high:
        yield Defect(key="max", message=f'"max: {rule.max:g}" can never fire', hint=span)
    if rule.max is not None and rule.max < low:
        yield Defect(key="max", message=f'"max: {rule.max:g}" can never hold', hint=span)
    if rule.min is not None and rule.min <= low:
        yield Defect(key="min", message=f'"min: {rule.min:g}" can never fire', hint=span)
    if rule.min is not None and rule.min > high:
        yield Defect(key="min", message=f'"min: {rule.min:g}" can never hold', hint=span)
    if rule.min is not None and rule.max is not None and rule.min >= rule.max:
        yield Defect(
            key="min",
            message=f'"min: {rule.min:g}" leaves nothing below "max: {rule.max:g}"',
            hint="min has to be lower than max",
        )


def _margin(key: str, margin: float | None, limits: MetricRange) -> Iterator[Defect]:
    if margin is None:
        return
    if margin < 0:
        yield Defect(
            key=key,
            message=f'"{key}: {margin:g}" is negative',
            hint="a margin is the largest acceptable worsening; to ask for an improvement use "
            "test: min_change",
        )
    if margin >= limits.width:
        yield Defect(
            key=key,
            message=f'"{key}: {margin:g}" can never fire',
            hint=f"two values are never further apart than {limits.width:g}",
        )


def _family(rule: Rule) -> Iterator[Defect]:
    if rule.metric not in FAMILY_METRICS:
        yield Defect(
            key="metric",
            message=f"no_regression is for error rates, and {rule.metric} is none",
            hint="use test: non_inferiority with a margin, or test: bound",
        )
    if not 1 < rule.detectable <= _MOST_DETECTABLE:
        yield Defect(
            key="detectable",
            message=f'"detectable: {rule.detectable:g}" is no worsening that could be found',
            hint="it is a ratio of rates above 1: 2.0 is a doubled rate",
        )


def _change(rule: Rule, limits: MetricRange) -> Iterator[Defect]:
    lower_is_better = metric_of(rule.metric).better == "down"
    for key, value in (
        ("min_change", rule.min_change),
        ("min_relative_change", rule.min_relative_change),
    ):
        if value is not None and value <= 0:
            yield Defect(
                key=key,
                message=f'"{key}: {value:g}" asks for no improvement',
                hint='write how much better it must be, or use "test: non_inferiority"',
            )
    if rule.min_change is not None and rule.min_change >= limits.width:
        yield Defect(
            key="min_change",
            message=f'"min_change: {rule.min_change:g}" can never hold',
            hint=f"two values are never further apart than {limits.width:g}",
        )
    if rule.min_relative_change is not None and lower_is_better and rule.min_relative_change >= 1:
        yield Defect(
            key="min_relative_change",
            message=f'"min_relative_change: {rule.min_relative_change:g}" can never hold',
            hint="it is a fraction of the baseline: 0.1 is a tenth better",
        )
