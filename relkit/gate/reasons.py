"""The numbers and the reason of a result in words, from its code and its numbers.

A reason is written into the decision, for people; no program reads it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from relkit.core.metrics import METRICS, Better, split_metric
from relkit.core.wording import (
    NONE,
    amount,
    change,
    clusters,
    count,
    counted,
    digits_apart,
    interval,
    limit,
    margin,
    metric_name,
    number,
    on_slice,
    p_value,
    times,
)
from relkit.gate.types import STRICTLY, Rule, RuleResult, Verdict
from relkit.statistics.ceilings import SCORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Observed value, interval and bound as text; "-" where there is none.

    A change is that of the metric itself, candidate less baseline, its interval likewise and
    without a unit. ``sentence`` says what it is worth: ``worse: +2.1 points (+0.4 to +3.8)``.
    """

    observed: str
    span: str
    allowed: str
    sentence: str


def figures(result: RuleResult) -> Figures:
    """Return the numbers of a result for people, with as many digits as tell them apart."""
    observed, low, high, unit = result.observed, result.low, result.high, result.unit
    more = digits_apart((observed, low, high, result.bound), unit)
    if result.quantity == "value":
        value, span = number(observed, unit, more=more), interval(low, high, unit, more=more)
        return Figures(
            observed=value,
            span=span,
            allowed=NONE if result.bound is None else limit(result.bound, unit, more=more),
            sentence=value if span == NONE else f"{value} ({span})",
        )
    allowed = _allowed(result, more)
    if observed is None:
        return Figures(observed=NONE, span=NONE, allowed=allowed, sentence=NONE)
    if result.quantity == "improvement":
        observed, low, high = -observed, _negative(high), _negative(low)
    better = _better(result.metric)
    shown = change(observed, low, high, unit, better=better, more=more)
    sentence = shown.sentence
    if result.test == "no_regression":  # its end is one-sided: it says something above 0 only
        sentence = change(observed, None, None, unit, better=better, more=more).sentence
        if low is not None and low > 0:
            sentence += f" (at least {amount(low, unit, more=more)} with all slices counted)"
    return Figures(observed=shown.cell, span=shown.interval, allowed=allowed, sentence=sentence)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _allowed(result: RuleResult, more: int) -> str:
    """Return the bound of a change, in the direction of the metric itself."""
    if result.bound is None:
        return NONE
    if result.test == "no_regression":
        return "no worsening"
    up = _better(result.metric) == "up"
    if result.test == "min_change" and result.bound <= STRICTLY:
        return f"{'more' if up else 'less'} than {number(result.baseline, result.unit)}"
    bound = result.bound if (result.quantity == "worsening") != up else -result.bound
    shown = margin(bound, result.unit, more=more)
    return f"{'at least' if up else 'at most'} {'+' if bound > 0 else ''}{shown}"


def _better(metric: str) -> Better:
    """Return which way a metric gets better; down for one of another version of relkit."""
    definition = METRICS.get(split_metric(metric)[0])
    return "down" if definition is None else definition.better


def reason_of(rule: Rule, result: RuleResult, *, column: str, note: str | None = None) -> str:
    """Return what was measured, what is allowed, on how much, and what keeps that from deciding.

    ``column`` says what the clusters are, ``note`` what the numbers say of themselves.
    """
    words = [
        f"{metric_name(rule.metric)}{on_slice(result.slice)} is {_measured(rule, result)}",
        clusters(result.clusters, column),
        *_undecided_by(rule, result, column, note),
    ]
    needed = result.needed_clusters or 0
    if result.verdict is Verdict.INCONCLUSIVE and needed > result.clusters:
        missing = clusters(needed - result.clusters, f"more {column}")
        words.append(f"about {missing} would decide it ({count(needed)} in all)")
    return "; ".join(words)


def _measured(rule: Rule, result: RuleResult) -> str:
    shown = figures(result)
    if rule.test == "no_regression":
        if result.p_adjusted is None:
            return shown.sentence
        how = "by Benjamini-Hochberg" if rule.mode == "advisory" else "over the family"
        words = f"{shown.sentence}; p {p_value(result.p_adjusted)} {how}"
        if rule.tolerate is not None:
            words += f"; {amount(rule.tolerate, result.unit)} tolerated"
        return words
    if rule.test == "bound":
        ends = [("at most", rule.max), ("at least", rule.min)]
        limits = (
            f"{way} {shown.allowed if end == result.bound else limit(end, result.unit)}"
            for way, end in ends
            if end is not None
        )
        tested = result.method == SCORE and shown.span != NONE
        how = f"{shown.observed} ({shown.span} by the test of the limit)"
        return f"{how if tested else shown.sentence}; allowed {' and '.join(limits)}"
    asks = "wanted" if rule.test == "min_change" else "allowed"
    if rule.test == "min_change" and result.bound is not None and result.bound <= STRICTLY:
        asks = "nothing is relatively better than a baseline of 0; wanted"
    return f"{shown.sentence}; {asks} {shown.allowed}"


def _undecided_by(rule: Rule, result: RuleResult, column: str, note: str | None) -> Iterator[str]:
    """Yield what there is too little of, or why the numbers say nothing."""
    if result.code == "one_cluster" and result.verdict is Verdict.ERROR:
        yield "it is one cluster, which says nothing about others: a policy cannot require it"
    elif result.code == "one_cluster":
        yield "one cluster says nothing about others"
    elif result.code == "few_clusters":
        yield f"too few: the rule needs {clusters(rule.min_clusters, column)}"
    elif result.code == "few_utterances":
        few = counted(result.utterances, "utterance")
        yield f"too few: {few}, the rule needs {rule.min_utterances}"
    elif result.code == "maybe_tolerated":
        yield "it is worse, and this data does not tell whether by more than is tolerated"
    elif result.code == "ratio_not_excluded":
        excludes = "no multiple of" if result.excludes is None else f"only {times(result.excludes)}"
        yield f"this data excludes {excludes} the rate, {times(rule.detectable)} is asked for"
    elif result.code == "no_test":
        yield note or "no test is possible"
    elif result.verdict is Verdict.INCONCLUSIVE and note:
        yield note
