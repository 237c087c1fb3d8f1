"""How a plan puts rules and numbers into words."""

from relkit.domain.gates import Rule
from relkit.domain.metrics import metric_of
from relkit.rules.presenting import number
from relkit.rules.rate_metrics import RATE_METRICS

_UNIT_NAMES = {
    "timed": "answers",
    "first_byte_timed": "answers",
    "first_audio_timed": "spoken clips",
    "spoken": "spoken clips",
    "paced": "answers",
    "aligned": "words",
    "empty_clips": "clips without speech",
}


def units_name(metric: str) -> str:
    """Return what a metric's denominator counts, in the plural."""
    known = RATE_METRICS.get(metric)
    if known is None:
        return "answers" if metric_of(metric).unit == "ms" else "scored clips"
    return _UNIT_NAMES.get(known.n, "scored clips" if known.n.endswith("_scored") else known.n)


def amount(metric: str, value: float) -> str:
    """Return a value of a metric for people, with two significant digits where it is small."""
    unit = metric_of(metric).unit
    if unit == "fraction":
        return f"{100 * value:.2g} %" if abs(value) < 0.1 else f"{100 * value:.0f} %"  # noqa: PLR2004 - under 10 % two digits say more
    return number(value, unit)


def change(rule: Rule, value: float | None) -> str:
    """Return a difference of two values of a rule's metric: fractions in points."""
    if value is None:
        return "-"
    if metric_of(rule.metric).unit == "fraction":
        return f"{100 * value:.2g} points"
    return amount(rule.metric, value)


def few_words(metric: str, events: int, units: int, unit: str, reach: float) -> str:
    """Return how many events still pass a limit; of ``reach`` 80 % of systems have no more."""
    manage = f"80 % of systems with {amount(metric, reach)} manage"
    if not events:
        return f"passes only if none is seen, which {manage}"
    plural = "" if events == 1 else "s"
    return f"passes with up to {events} event{plural} among {units} {unit}; {manage}"


def times(ratio: float) -> str:
    """Return a ratio of rates for people."""
    return f"{ratio:.3g} times"


def asks(rule: Rule) -> str:
    """Return what a rule asks for, in words."""
    if rule.test == "non_inferiority":
        return f"worse by at most {change(rule, rule.margin)}"
    if rule.test == "no_regression":
        return f"no slice worse; {times(rule.detectable)} the rate would be seen"
    if rule.test == "min_change":
        wanted = [] if rule.min_change is None else [change(rule, rule.min_change)]
        if rule.min_relative_change is not None:
            wanted.append(f"{100 * rule.min_relative_change:g} % of the baseline")
        return f"better by at least {' and '.join(wanted)}"
    limits = [] if rule.max is None else [f"at most {amount(rule.metric, rule.max)}"]
    if rule.min is not None:
        limits.append(f"at least {amount(rule.metric, rule.min)}")
    return " and ".join(limits)
