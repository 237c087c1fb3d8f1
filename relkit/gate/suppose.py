"""What a limit on a value can decide: how far inside it a system has to be to pass.

How a plan puts rules and numbers into words.

What is supposed of two systems before they are measured, or what finished runs measured.

Counts a selection of a dataset by the slices that a policy's rules name.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np

from relkit.core.metrics import metric_of
from relkit.core.slices import OVERALL, columns_of, expand_slices, is_pattern, matches, spec_of
from relkit.core.tokens import Segmenter, graphemes, tokens
from relkit.core.values import Estimate
from relkit.core.wording import (
    NONE,
    chance,
    count,
    counted,
    interval,
    limit,
    margin,
    number,
    percent,
    times,
)
from relkit.datasets.consent import require_consent
from relkit.datasets.slicing import cluster_of, slice_values
from relkit.datasets.types import NO_VALUE, Dataset, Utterance
from relkit.evaluation.slicing import cluster_column, select, slice_columns
from relkit.evaluation.types import Suite
from relkit.gate.types import (
    GatePolicy,
    Rule,
    RulePlan,
    SelectionFacts,
    SliceFacts,
    SlicePlan,
    Supposed,
    UnitCount,
)
from relkit.scoring.text import NO_KEYWORDS, Keywords
from relkit.statistics import percentiles
from relkit.statistics.distributions import (
    TWO_SIDED_95,
    UNSEEN,
    at_most,
    exact_ends,
    t_quantile,
    unseen,
)
from relkit.statistics.estimates import PERCENTILES
from relkit.statistics.families import FAMILY_METRICS
from relkit.statistics.intervals import MIN_CLUSTERS, MIN_DF
from relkit.statistics.power import (
    POWER,
    Assumptions,
    Precision,
    SliceSize,
    expected_df,
    expected_precision,
    measured_precision,
)
from relkit.statistics.rates import RATE_METRICS, metric_range
from relkit.statistics.types import Difference, Regression

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
    rate = RATE_METRICS.get(metric)
    if rate is None:
        return "answers" if metric_of(metric).unit == "ms" else "scored clips"
    return _UNIT_NAMES.get(rate.n, "scored clips" if rate.n.endswith("_scored") else rate.n)


def value_words(metric: str, value: float) -> str:
    """Return a value of a metric for people."""
    return number(value, metric_of(metric).unit)


def few_words(metric: str, events: int, units: int, unit: str, reach: float) -> str:
    """Return how many events still pass a limit; of ``reach`` 80 % of systems have no more."""
    manage = f"{chance(POWER)} of systems with {value_words(metric, reach)} manage"
    if not events:
        return f"passes only if none is seen, which {manage}"
    return f"passes with up to {counted(events, 'event')} among {count(units)} {unit}; {manage}"


def asks(rule: Rule) -> str:
    """Return what a rule asks for, in words."""
    if rule.test == "non_inferiority":
        return f"worse by at most {_asked(rule, rule.margin)}"
    if rule.test == "no_regression":
        return f"no slice worse; {times(rule.detectable)} the rate would be seen"
    if rule.test == "min_change":
        requests = [] if rule.min_change is None else [_asked(rule, rule.min_change)]
        if rule.min_relative_change is not None:
            requests.append(f"{percent(rule.min_relative_change)} of the baseline")
        return f"better by at least {' and '.join(requests)}"
    unit = metric_of(rule.metric).unit
    limits = [] if rule.max is None else [f"at most {limit(rule.max, unit)}"]
    if rule.min is not None:
        limits.append(f"at least {limit(rule.min, unit)}")
    return " and ".join(limits)


def _asked(rule: Rule, difference: float | None) -> str:
    return NONE if difference is None else margin(difference, metric_of(rule.metric).unit)


SPEAKERS_VARY = 0.3
"""Standard deviation of a rate between clusters, as a share of it: supposed of the bundled kind."""


CLUMPING = 1.5
"""Variance of an utterance's errors over a binomial's, as for differences (statistics/power.py)."""


_POWER_Z = NormalDist().inv_cdf(POWER)


_STEPS = 1000


_BISECTIONS = 50


_MOST_FEW = MIN_CLUSTERS - 1


def plan_bound(rule: Rule, plan: SlicePlan, measured: Estimate | None) -> SlicePlan:
    """Return what ``bound`` can decide in a slice; ``measured`` is a finished run's value there."""
    if (short := _never(rule, plan)) is not None:
        return short
    if measured is not None and measured.value is not None:
        return _around_measured(rule, plan, measured)
    rate = RATE_METRICS.get(rule.metric)
    if rate is None or not rate.counted:
        says = f"how far {rule.metric} varies only a finished run can tell: name one"
        return replace(plan, outlook="unknown", says=says)
    return _around_limit(rule, plan)


def _never(rule: Rule, plan: SlicePlan) -> SlicePlan | None:
    """Return the plan of a slice in which the end that has to be inside can never be."""
    rate = RATE_METRICS.get(rule.metric)
    if rate is None:
        return _too_few_values(rule, plan)
    one_each = rate.counted and rate.n == rate.utterances
    if one_each and rule.max is not None and rule.max < unseen(plan.units):
        utterances = math.ceil(UNSEEN / rule.max) if rule.max > 0 else 0
        needed = f"; it takes {utterances}" if utterances else ""
        says = (
            f"without a single one in {plan.units} {plan.unit} the rate may still be "
            f"{value_words(rule.metric, unseen(plan.units))}{needed}"
        )
        return _grown(replace(plan, outlook="cannot", says=says), utterances)
    return None


def _too_few_values(rule: Rule, plan: SlicePlan) -> SlicePlan | None:
    share = PERCENTILES[rule.metric.partition(".")[2]]
    ends = [share] if rule.max is not None else []
    ends += [1.0 - share] if rule.min is not None else []
    needed = max(percentiles.values_needed(end) for end in ends)
    if plan.clusters < percentiles.MIN_CLUSTERS:
        least = percentiles.MIN_CLUSTERS
        return replace(
            plan,
            outlook="cannot",
            says=f"{plan.clusters} of {least} clusters that the interval of a percentile needs",
            needed_clusters=least,
            missing_clusters=least - plan.clusters,
        )
    if plan.units < needed:
        says = f"{plan.units} of {needed} values that the end of {rule.metric} needs"
        return _grown(replace(plan, outlook="cannot", says=says), needed)
    return None


def _grown(plan: SlicePlan, units: int) -> SlicePlan:
    """Return the plan with the clusters like these that hold so many units; 0: none would do."""
    if not units or not plan.units:
        return plan
    needed = math.ceil(units * plan.clusters / plan.units)
    return replace(plan, needed_clusters=needed, missing_clusters=max(0, needed - plan.clusters))


def _around_measured(rule: Rule, plan: SlicePlan, measured: Estimate) -> SlicePlan:
    """Return what the rule would say of the value that a run had, and how far it is from there."""
    value = measured.value or 0.0
    plan = replace(plan, supposed=Supposed(rate=value, rate_from="measured"))
    shown = value_words(rule.metric, value)
    end_max, end_min = measured.high, measured.low
    if end_max is None and end_min is None:
        note = measured.note or "no interval"
        says = f"a run like the one named ({shown}) would be inconclusive: {note}"
        return replace(plan, outlook="weak", says=says)
    fails = (rule.max is not None and end_min is not None and end_min > rule.max) or (
        rule.min is not None and end_max is not None and end_max < rule.min
    )
    holds = (rule.max is None or (end_max is not None and end_max <= rule.max)) and (
        rule.min is None or (end_min is not None and end_min >= rule.min)
    )
    would = "pass" if holds else "fail" if fails else "be inconclusive"
    ends = interval(end_min, end_max, measured.unit)
    return replace(
        plan,
        outlook="decides" if holds or fails else "weak",
        smallest=_reach(rule, measured),
        says=f"a run like the one named, {shown} ({ends}), would {would}",
    )


def _reach(rule: Rule, measured: Estimate) -> float | None:
    """Return the value whose interval, as wide as the measured one relative to it, still passes."""
    value = measured.value
    if value is None or value <= 0:
        return None
    if rule.max is not None and measured.high is not None:
        return rule.max * value / measured.high
    if rule.min is not None and measured.low is not None and measured.low > 0:
        return rule.min * value / measured.low
    return None


def _around_limit(rule: Rule, plan: SlicePlan) -> SlicePlan:
    """Return from which value on a rate would be shown to be inside its limits, with 80 %."""
    if rule.max is None:
        says = "a rate has to be above a lower limit: only a finished run can tell how far"
        return replace(plan, outlook="unknown", says=says)
    bounded = math.isfinite(metric_range(rule.metric).high)
    plan = replace(plan, supposed=Supposed(rate=None, rate_from="the limit itself"))
    reach = _passing_rate(rule.max, plan.units, plan.clusters, bounded=bounded)
    rate = RATE_METRICS[rule.metric]
    share = rate.bounded and rate.n == rate.utterances
    few = _few_events(rule.max, plan) if share else 0
    manage = _rate_with(few, plan.units)
    unlimited = few == _MOST_FEW or not share
    if reach is not None and unlimited and reach > manage:
        most = value_words(rule.metric, reach)
        says = f"passes in {chance(POWER)} if the true value is {most} or less"
        return replace(plan, outlook="decides", smallest=reach, says=says)
    says = few_words(rule.metric, few, plan.units, plan.unit, manage)
    return replace(plan, outlook="decides" if few else "weak", smallest=manage, says=says)


def _few_events(limit: float, plan: SlicePlan) -> int:
    """Return how many events of a share still pass, at most 4: of more the jackknife decides.

    Events in fewer than 5 clusters have exact ends (statistics/intervals.py). Each is taken to
    be in a cluster of its own, and clusters to be alike.
    """
    passing = (k for k in range(1, _MOST_FEW + 1) if _few_end(k, plan) <= limit)
    return max(passing, default=0)


def _few_end(events: int, plan: SlicePlan) -> float:
    """Return the upper end of a share with so many events, each in a cluster of its own."""
    highest = plan.clusters / plan.units
    of_clusters = exact_ends(min(events, plan.clusters), plan.clusters)[1] * min(1.0, highest)
    return max(exact_ends(min(events, plan.units), plan.units)[1], of_clusters)


def _rate_with(events: int, units: int) -> float:
    """Return the rate of which at most so many events are seen with 80 % chance."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if at_most(events, units, middle) > POWER else (low, middle)
    return low


def _passing_rate(limit: float, units: int, clusters: int, *, bounded: bool) -> float | None:
    """Return the highest true rate whose upper end stays inside the limit with 80 %.

    That is r exp((t + z) se(r)) <= limit. The se of the log grows without bound as the rate falls,
    so the limit is approached from above; None where no rate with events does.
    """
    t = float(t_quantile(TWO_SIDED_95, np.array([expected_df(clusters)]))[0])
    rates = limit * np.geomspace(1.0, 1e-3, _STEPS)
    spare = np.maximum(0.1, 1.0 - rates) if bounded else np.ones(_STEPS)
    se = np.sqrt(CLUMPING * spare / (rates * units) + SPEAKERS_VARY**2 / clusters)
    inside = np.log(rates) + (t + _POWER_Z) * se <= math.log(limit)
    return float(rates[np.argmax(inside)]) if inside.any() else None


USUAL = Assumptions()
"""What is supposed of two systems where nothing was measured."""


RARE = 0.01
"""The rate that is supposed of what should not happen at all (failures, runaways)."""


_RARE_METRICS = (
    "runaway_rate",
    "failure_rate",
    "hallucination_rate",
    "clipping_rate",
    "dropout_rate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What finished runs say: values by slice and metric, and how far apart two runs are.

    ``differences`` by metric and slice, ``regressions`` by rule id and slice.
    """

    run: str | None = None
    values: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    differences: Mapping[tuple[str, str], Difference] = field(default_factory=dict)
    regressions: Mapping[tuple[str, str], Regression] = field(default_factory=dict)


BY_BOTH = "measured by both runs"


def slices_of(rule: Rule, facts: SelectionFacts) -> tuple[str, ...]:
    """Return the slices a rule is judged in; of a pattern, not those of missing labels."""
    keys = expand_slices(rule.slice, facts.slices)
    if not is_pattern(rule.slice):
        return keys
    return tuple(key for key in keys if not _unlabelled(key))


def _unlabelled(key: str) -> bool:
    return any(part.endswith(f"={NO_VALUE}") for part in key.split("&"))


def size_of(metric: str, facts: SliceFacts) -> SliceSize:
    """Return how much a slice has for a metric: its denominator's units and who holds them.

    What only a run can count (latencies, scored clips) is taken as one per utterance.
    """
    rate = RATE_METRICS.get(metric)
    counted = facts.units.get(rate.n if rate is not None else "utterances")
    if counted is None:
        counted = facts.units["utterances"]
    return SliceSize(
        slice=facts.slice,
        clusters=counted.clusters,
        utterances=counted.utterances,
        units=float(counted.total),
    )


def value_at(metric: str, key: str, measured: Measured) -> Estimate | None:
    """Return what a finished run measured in a slice."""
    return measured.values.get(key, {}).get(metric)


def suppose(
    metric: str, key: str, policy: GatePolicy, measured: Measured
) -> tuple[Assumptions, Supposed]:
    """Return what is supposed of two systems in a slice, and where its rate is from.

    First what a finished run measured there, then overall; then the policy's own limit on the
    metric, for at the worst rate it allows an equal system should still pass; then a default.
    """
    for place in (key, OVERALL):
        measured_value = value_at(metric, place, measured)
        if (
            measured_value is not None
            and measured_value.value is not None
            and measured_value.value > 0
        ):
            source = f"measured in {measured.run}"
            return _supposed(
                measured_value.value,
                f"{source}, {place}",
                measured=source if place == key else f"{source}, {place}",
            )
    limit = next(
        (
            rule
            for rule in policy.rules
            if (rule.metric, rule.slice, rule.test) == (metric, OVERALL, "bound") and rule.max
        ),
        None,
    )
    if limit is not None and limit.max is not None:
        return _supposed(limit.max, f"the limit of rule {limit.id}")
    return _supposed(RARE if metric in _RARE_METRICS else USUAL.rate, "a usual rate")


def _supposed(
    rate: float, source: str, *, measured: str | None = None
) -> tuple[Assumptions, Supposed]:
    assumptions = replace(USUAL, rate=rate)
    return assumptions, Supposed(
        rate=rate,
        rate_from=source,
        measured=measured,
        discordance=assumptions.discordance,
        clumping=assumptions.clumping,
        between_clusters=assumptions.between_clusters,
    )


def precision_of(
    metric: str, size: SliceSize, policy: GatePolicy, measured: Measured
) -> tuple[Precision | None, Supposed | None]:
    """Return how precisely a difference will be known, measured or supposed; None: unknown."""
    difference = measured.differences.get((metric, size.slice))
    precision = None if difference is None else measured_precision(difference)
    if difference is not None and precision is not None and precision.se > 0:
        return precision, Supposed(rate=difference.baseline, rate_from=BY_BOTH, measured=BY_BOTH)
    if metric not in FAMILY_METRICS:
        return None, None
    assumptions, supposed = suppose(metric, size.slice, policy, measured)
    return supposed_precision(size, assumptions), supposed


def supposed_precision(size: SliceSize, assumptions: Assumptions) -> Precision | None:
    """Return the precision to expect, with no more degrees of freedom than clusters that differ.

    Of rare events only a few clusters have any: these alone make the spread.
    """
    precision = expected_precision(size, assumptions)
    if precision is None:
        return None
    differing = _differing(size, assumptions.rate, assumptions.discordance)
    return replace(precision, df=max(MIN_DF, min(precision.df, differing)))


def _differing(size: SliceSize, rate: float, discordance: float) -> float:
    """Return in how many clusters two systems are expected to differ at all."""
    events = 2.0 * rate * discordance * size.units / USUAL.clumping
    return size.clusters * (1.0 - math.exp(-events / max(1, size.clusters)))


def quiet_floor(metric: str, size: SliceSize, supposed: Supposed | None) -> float:
    """Return the margin below which systems that hardly differ are inconclusive.

    Where fewer than 5 clusters differ, the interval of a difference reaches at least what so many
    utterances can miss (statistics/differences.py).
    """
    if metric not in FAMILY_METRICS or supposed is None or supposed.rate is None:
        return 0.0
    discordance = USUAL.discordance if supposed.discordance is None else supposed.discordance
    differing = _differing(size, supposed.rate, discordance)
    return unseen(size.utterances) if differing < MIN_CLUSTERS else 0.0


def sentences(plans: Iterable[RulePlan]) -> tuple[str, ...]:
    """Return all that the numbers of a plan rest on, each once."""
    rates: dict[str, None] = {}
    supposed = False
    for plan in plans:
        for item in plan.slices:
            if item.supposed is None or item.supposed.rate is None or plan.test == "bound":
                continue
            rate = limit(item.supposed.rate, "fraction")
            source = item.supposed.measured or f"{rate} ({item.supposed.rate_from})"
            rates[f"{plan.metric}: {source}"] = None
            supposed = supposed or item.supposed.discordance is not None
    lines = tuple(rates)
    if not supposed:
        return lines
    alike = (
        f"two systems of equal rates differ in {percent(USUAL.discordance)} of their errors, "
        f"these come in clumps ({times(USUAL.clumping)} Poisson's variance), and the difference "
        f"varies between clusters by {percent(USUAL.between_clusters)} of the rate"
    )
    return (*lines, alike)


UNITS = ("utterances", "words", "characters", "entities", "keywords", "empty_clips")
"""Denominators of metrics that a manifest can count before anything is decoded."""


@dataclass(slots=True)
class _Counter:
    """What was seen of one slice."""

    utterances: int = 0
    clusters: set[str] = field(default_factory=set)
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))
    holders: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))
    unit_clusters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, cluster: str, units: Mapping[str, int]) -> None:
        """Count one utterance."""
        self.utterances += 1
        self.clusters.add(cluster)
        for name, total in units.items():
            if total:
                self.totals[name] += total
                self.holders[name] += 1
                self.unit_clusters[name].add(cluster)

    def facts(self, key: str) -> SliceFacts:
        """Return what was counted."""
        return SliceFacts(
            slice=key,
            utterances=self.utterances,
            clusters=len(self.clusters),
            units={
                name: UnitCount(
                    total=self.totals[name],
                    utterances=self.holders[name],
                    clusters=len(self.unit_clusters[name]),
                )
                for name in UNITS
            },
        )


def facts_of_suite(dataset: Dataset, suite: Suite, rules: Iterable[Rule]) -> SelectionFacts:
    """Return the facts of what a suite selects; raises InvalidInput as an evaluation would."""
    selected = select(dataset, suite.dataset.where)
    consent, name = dataset.settings.consent, dataset.version.name
    usable = require_consent(selected, consent, dataset=name).utterances
    return _facts(
        dataset,
        usable,
        rules,
        columns=slice_columns(dataset, suite),
        cluster=cluster_column(dataset, suite),
        suite=suite,
    )


def facts_of_dataset(dataset: Dataset, rules: Iterable[Rule]) -> SelectionFacts:
    """Return the facts of a whole dataset, cut by every column it has."""
    consent, name = dataset.settings.consent, dataset.version.name
    usable = require_consent(dataset.utterances, consent, dataset=name)
    return _facts(
        dataset,
        usable.utterances,
        rules,
        columns=tuple(sorted(dataset.columns())),
        cluster=dataset.settings.cluster,
        suite=None,
    )


def _facts(
    dataset: Dataset,
    utterances: Sequence[Utterance],
    rules: Iterable[Rule],
    *,
    columns: tuple[str, ...],
    cluster: str,
    suite: Suite | None,
) -> SelectionFacts:
    patterns = sorted({OVERALL, *(rule.slice for rule in rules)})
    cuttable = [pattern for pattern in patterns if set(columns_of(pattern)) <= set(columns)]
    counters: dict[str, _Counter] = {OVERALL: _Counter()}
    values: dict[str, set[str]] = {column: set() for column in columns}
    segmenter: Segmenter = "auto" if suite is None else suite.segmenter
    keywords = NO_KEYWORDS if suite is None else Keywords.of(suite.keywords, segmenter)
    for item in utterances:
        row_values = slice_values(item, columns, dataset.settings.bins, item.audio.length_s)
        for column, value in row_values.items():
            values[column].add(value)
        units, group = _units(item, keywords, segmenter), cluster_of(item, cluster)
        for key in {_key(pattern, row_values) for pattern in cuttable}:
            if any(matches(pattern, key) for pattern in cuttable):
                counters.setdefault(key, _Counter()).add(group, units)
    return SelectionFacts(
        dataset=dataset.version.name,
        revision=dataset.version.revision,
        digest=dataset.version.digest,
        cluster=cluster,
        values={column: tuple(sorted(column_values)) for column, column_values in values.items()},
        slices={key: counters[key].facts(key) for key in sorted(counters)},
        suite=None if suite is None else suite.name,
        task=None if suite is None else suite.task,
        metrics=None if suite is None else suite.metrics,
    )


def _key(pattern: str, values: Mapping[str, str]) -> str:
    spec = spec_of(pattern)
    return spec.key([values[column] for column in spec.columns])


def _units(item: Utterance, keywords: Keywords, segmenter: Segmenter) -> dict[str, int]:
    """Return how many units of each kind an utterance has, before any normalizing."""
    words = tokens(item.reference, segmenter)
    return {
        "utterances": 1,
        "words": len(words),
        "characters": len(graphemes(item.reference)),
        "entities": len(item.entities),
        "keywords": len(keywords.spans(words)),
        "empty_clips": int(not words),
    }
