"""How numbers and slices are put before people: order, percent signs, intervals."""

from collections.abc import Iterable

from relkit.domain.estimates import Estimate
from relkit.domain.metrics import metric_of
from relkit.domain.reports import EvalReport, SliceResult
from relkit.domain.slices import OVERALL

NONE = "-"
_LARGEST_SHARE = 9.995
_PREFERRED = ("wer_capped", "wer", "cer", "entity_error_rate", "ser")


def number(value: float | None, unit: str) -> str:
    """Return a value for people: fractions in percent, times in ms, "-" for none."""
    if value is None:
        return NONE
    if unit == "fraction":
        if value >= _LARGEST_SHARE:
            return "> 999 %"
        return f"{100 * value:.1f} %"
    if unit == "ms":
        return f"{value:.0f} ms"
    return f"{value:.3g}"


def interval(estimate: Estimate) -> str:
    """Return the 95 % interval for people, "-" where there is none; open ends are shown as such."""
    if estimate.low is None and estimate.high is None:
        return NONE
    low = "…" if estimate.low is None else number(estimate.low, estimate.unit)
    high = "…" if estimate.high is None else number(estimate.high, estimate.unit)
    return f"{low} to {high}"


def primary_metric(report: EvalReport) -> str | None:
    """Return the metric slices are ranked by: the one intervals are claimed for, where measured."""
    measured = overall(report).metrics if report.slices else {}
    ranked = (name for name in (*_PREFERRED, *measured) if name in measured)
    return next(ranked, None)


def overall(report: EvalReport) -> SliceResult:
    """Return the slice of everything; raises ValueError where a report lacks it."""
    for item in report.slices:
        if item.slice == OVERALL:
            return item
    raise ValueError("a report without its overall slice")


def worst_first(slices: Iterable[SliceResult], metric: str) -> list[SliceResult]:
    """Return slices ranked by a metric, the worst first and those without a value last."""
    sign = 1.0 if metric_of(metric).better == "up" else -1.0

    def rank(item: SliceResult) -> tuple[bool, float, str]:
        value = item.metrics[metric].value if metric in item.metrics else None
        return value is None, sign * (value or 0.0), item.slice

    return sorted(slices, key=rank)
