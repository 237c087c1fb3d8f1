"""What a gate judges from: reports, and sums of two runs over the same utterances."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from relkit.domain.comparisons import Difference, Pairing, Regression
from relkit.domain.estimates import Estimate
from relkit.domain.gates import GatePolicy, Rule
from relkit.domain.metrics import metric_of
from relkit.domain.reports import EvalReport
from relkit.rules.cluster_sums import ClusterSums, PairedSums, PairedValues
from relkit.rules.differences import rate_differences, unpaired_differences
from relkit.rules.intervals import RateEvidence
from relkit.rules.ordered_values import TimingEvidence
from relkit.rules.percentile_differences import percentile_differences
from relkit.rules.rate_metrics import RATE_METRICS
from relkit.rules.slice_patterns import spec_of
from relkit.rules.statistics import PERCENTILES

COMPARING = ("non_inferiority", "no_regression", "min_change")
"""Tests that need another run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run the candidate is held against, the baseline or the anchor.

    ``pairs`` and ``values`` (by column) hold the slices of the policy's rules; None and empty where
    the run's results are not there. ``unpaired`` is (candidate, baseline) for a policy that allows
    runs that did not answer the same utterances.
    """

    report: EvalReport
    pairing: Pairing | None = None
    pairs: PairedSums | None = None
    values: Mapping[str, PairedValues] = field(default_factory=dict)
    unpaired: tuple[ClusterSums, ClusterSums] | None = None

    def differences(self, metric: str) -> dict[str, Difference]:
        """Return the difference of a metric by slice; empty where it cannot be known."""
        if metric in RATE_METRICS:
            found = self._rates(metric)
        else:
            base, _, statistic = metric.partition(".")
            pairs = self.values.get(base)
            share = PERCENTILES.get(statistic)
            if pairs is None or share is None:
                return {}
            known = metric_of(metric)
            found = percentile_differences(share, pairs, unit=known.unit, better=known.better)
        return {item.slice: item for item in found}

    def _rates(self, metric: str) -> tuple[Difference, ...]:
        if self.pairs is not None:
            return rate_differences(RATE_METRICS[metric], self.pairs)
        if self.unpaired is not None:
            return unpaired_differences(RATE_METRICS[metric], *self.unpaired)
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything one policy is judged on.

    ``estimates`` maps slice to metric to what the candidate's report says, or its results where the
    report was not cut that way; ``utterances`` counts them by slice. ``specs`` are the cuts that
    were possible (``accent``, ``channel&noise``). ``rates`` and ``timings`` (by column) are what
    the candidate's own bounds rest on, for those who recompute the verdict. ``families`` is over
    how many families of slices a policy shares its chance of blocking equal systems; ``together``
    maps a metric to the slices of its family: those of all required ``no_regression`` rules.
    ``tested`` maps (metric, detectable ratio) to what the test of that family said, once it did.
    """

    candidate: EvalReport
    estimates: Mapping[str, Mapping[str, Estimate]]
    utterances: Mapping[str, int]
    specs: frozenset[str]
    baseline: Compared | None = None
    anchor: Compared | None = None
    rates: RateEvidence | None = None
    timings: Mapping[str, TimingEvidence] = field(default_factory=dict)
    families: int = 1
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tested: Mapping[tuple[str, float], Mapping[str, Regression]] = field(default_factory=dict)

    @property
    def seed(self) -> str:
        """What seeds everything random: the same data and systems always give the same verdict."""
        other = "" if self.baseline is None else self.baseline.report.candidate_digest
        parts = (self.candidate.dataset.digest, self.candidate.candidate_digest, other)
        return "\n".join(parts)


def comparing_rules(policy: GatePolicy) -> tuple[Rule, ...]:
    """Return the rules that need a baseline, in order."""
    return tuple(rule for rule in policy.rules if rule.test in COMPARING)


def family_count(rules: Iterable[Rule]) -> int:
    """Return how many families of slices can block: they share one chance of a false alarm.

    The slices of all rules about one metric are one family.
    """
    return max(1, len({rule.metric for rule in rules if blocks_as_family(rule)}))


def blocks_as_family(rule: Rule) -> bool:
    """Return whether the slices of a rule are tested together, and can block."""
    return rule.test == "no_regression" and rule.mode == "required"


def joined(slices: Iterable[tuple[Rule, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    """Return the families of a policy by metric, from its rules with the slices of each."""
    found: dict[str, dict[str, None]] = {}
    for rule, keys in slices:
        if blocks_as_family(rule):
            found.setdefault(rule.metric, {}).update(dict.fromkeys(keys))
    return {metric: tuple(keys) for metric, keys in found.items()}


def slice_specs(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the cuts that rules need, ``overall`` first, each once."""
    names = dict.fromkeys(spec_of(rule.slice).name for rule in rules)
    return tuple(dict.fromkeys(["overall", *names]))
