"""What a gate judges from: reports, and sums of two runs over the same utterances.

Which slices a rule is judged in and which have to be there, and the A/A certificate: how often the
gate's own data would block a candidate that is as good.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.core.metrics import column_of, metric_of, split_metric
from relkit.core.slices import SliceSpec, columns_of, is_pattern, matches, spec_of
from relkit.core.values import Estimate
from relkit.datasets.types import NO_VALUE
from relkit.evaluation.types import EvalReport
from relkit.gate.types import GatePolicy, Rule
from relkit.statistics.differences import rate_differences, unpaired_differences
from relkit.statistics.estimates import PERCENTILES
from relkit.statistics.families import Correction
from relkit.statistics.intervals import RateEvidence
from relkit.statistics.percentile_differences import percentile_differences
from relkit.statistics.percentiles import TimingEvidence
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.replays import REPLAYS, ReplayedFamily, ReplayedMargin, replay_null
from relkit.statistics.types import (
    ClusterSums,
    Difference,
    NullReplay,
    PairedSums,
    PairedValues,
    Pairing,
    Regression,
)

COMPARING = ("non_inferiority", "no_regression", "min_change")
"""Tests that need another run."""

FAMILY_ALPHA = 0.05
"""The chance that ``no_regression`` blocks equal systems, over all families of a policy."""


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
        differences: tuple[Difference, ...] = ()
        if metric in RATE_METRICS:
            if self.pairs is not None:
                differences = rate_differences(RATE_METRICS[metric], self.pairs)
            elif self.unpaired is not None:
                differences = unpaired_differences(RATE_METRICS[metric], *self.unpaired)
        else:
            base, statistic = split_metric(metric)
            column = column_of(base)
            if column in self.values and statistic in PERCENTILES:
                share, definition = PERCENTILES[statistic], metric_of(metric)
                differences = percentile_differences(
                    share, self.values[column], unit=definition.unit, better=definition.better
                )
        return {item.slice: item for item in differences}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything one policy is judged on.

    ``estimates`` maps slice to metric to what the candidate's report says, or its results where the
    report was not cut that way; ``utterances`` counts them by slice. ``specs`` are the cuts that
    were possible (``accent``, ``channel&noise``). ``rates`` and ``timings`` (by column) are what
    the candidate's own bounds rest on, for those who recompute the verdict. ``any_load``: bounds on
    times hold whatever load these were measured under. ``families`` is over
    how many families of slices a policy shares its chance of blocking equal systems; ``together``
    maps a metric to the slices of its family: those of all required ``no_regression`` rules.
    ``alone`` says of which closed set of clusters it speaks, None where of others like them.
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
    alone: str | None = None
    any_load: bool = False
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tested: Mapping[tuple[str, float], Mapping[str, Regression]] = field(default_factory=dict)

    @property
    def seed(self) -> str:
        """What seeds everything random: the same data and systems always give the same verdict."""
        baseline_digest = "" if self.baseline is None else self.baseline.report.candidate.digest
        parts = (self.candidate.dataset.digest, self.candidate.candidate.digest, baseline_digest)
        return "\n".join(parts)


ClusterOrder = Callable[[str], bytes]
"""What clusters are sorted by, of the name of each."""


def cluster_order(key: bytes, inputs: Sequence[str]) -> ClusterOrder:
    """Return the order of a decision's clusters: HMAC-SHA-256(key, inputs, name).

    ``inputs`` are the digests that the decision rests on. The same ones give the same order;
    without the key it tells nothing about a name or about the order of another decision.
    """
    listed = hashlib.sha256("\n".join(inputs).encode("utf-8", "surrogatepass")).digest()
    keyed = hmac.new(key, listed, hashlib.sha256)

    def place(cluster: str) -> bytes:
        of_cluster = keyed.copy()
        of_cluster.update(cluster.encode("utf-8", "surrogatepass"))
        return of_cluster.digest()

    return place


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


def correction_of(rule: Rule, families: int) -> Correction:
    """Return how the p-values of a rule's family are adjusted.

    Families that block share their chance (Bonferroni), and dry runs show what they would do. An
    advisory one can block nothing: it holds its own false discovery rate (docs/method.md, section
    "Tests of a rule").
    """
    if rule.mode == "advisory":
        return Correction(alpha=FAMILY_ALPHA, discoveries=True)
    return Correction(alpha=FAMILY_ALPHA / families)


def joined(slices: Iterable[tuple[Rule, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    """Return the families of a policy by metric, from its rules with the slices of each."""
    members: dict[str, dict[str, None]] = {}
    for rule, keys in slices:
        if blocks_as_family(rule):
            members.setdefault(rule.metric, {}).update(dict.fromkeys(keys))
    return {metric: tuple(keys) for metric, keys in members.items()}


def slice_specs(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the cuts that rules need, ``overall`` first, each once."""
    names = dict.fromkeys(spec_of(rule.slice).name for rule in rules)
    return tuple(dict.fromkeys(["overall", *names]))


RegisteredValues = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSlices:
    """The slices of a rule: those required and ``found``, those ``vanished``, and ``new`` ones."""

    found: tuple[str, ...]
    vanished: tuple[str, ...]
    new: tuple[str, ...]


def rule_slices(
    pattern: str,
    measured: Iterable[str],
    registered: RegisteredValues | None,
    before: Iterable[str] = (),
) -> RuleSlices:
    """Return what a rule's slice means among the ``measured`` slices of a candidate.

    What has to be there is what the dataset's lock promises (``registered``); where it does not
    say, what the baseline has (``before``); without either, what the candidate has. A slice of
    missing labels, ``(none)``, is never required of a pattern that asks for all values.
    """
    matching = [key for key in measured if matches(pattern, key)]
    promised = _promised(pattern, registered)
    if promised is None:
        earlier = [key for key in before if matches(pattern, key) and not unlabelled(key)]
        promised = tuple(earlier or (key for key in matching if not unlabelled(key)))
    expected = set(promised)
    return RuleSlices(
        found=tuple(key for key in matching if key in expected),
        vanished=tuple(key for key in promised if key not in matching),
        new=tuple(key for key in matching if key not in expected and not unlabelled(key)),
    )


def _promised(pattern: str, registered: RegisteredValues | None) -> tuple[str, ...] | None:
    """Return the keys that have to be there, None where the dataset does not say.

    Which values of two columns occur together, a lock does not say.
    """
    if not is_pattern(pattern):
        return (pattern,)
    columns = columns_of(pattern)
    if registered is None or len(columns) > 1 or columns[0] not in registered:
        return None
    spec = SliceSpec(columns=columns)
    return tuple(spec.key([value]) for value in registered[columns[0]] if value != NO_VALUE)


def unlabelled(key: str) -> bool:
    """Return whether a slice is one of missing labels."""
    return any(part.endswith(f"={NO_VALUE}") for part in key.split("&"))


MOST_REPLAYS = 2_000
_AT_ONCE = 20_000_000  # rows of all replays: a fraction of a second


def replay(
    policy: GatePolicy, evidence: Evidence, *, replays: int | None = None
) -> NullReplay | None:
    """Return the replay of a policy's required comparing rules of rates.

    ``replays`` is 2,000 where the data is small enough for that to take no time, and not less than
    400: a share of 5 % is then known to half a point, or to one. None without paired sums. Bounds
    compare nothing, percentiles are no function of sums, and a wanted improvement is not met by
    equal systems: those rules take no part.
    """
    baseline = evidence.baseline
    if baseline is None or baseline.pairs is None:
        return None
    pairs = baseline.pairs
    margins: list[ReplayedMargin] = []
    families: dict[str, ReplayedFamily] = {}
    measured = [key for key in evidence.utterances if key in pairs.candidate.slices]
    for rule in policy.rules:
        if rule.mode != "required" or rule.metric not in RATE_METRICS:
            continue
        keys = rule_slices(
            rule.slice, measured, evidence.candidate.registered, pairs.baseline.slices
        ).found
        if rule.test == "non_inferiority" and rule.margin is not None:
            margin = rule.margin
            margins += [ReplayedMargin(metric=rule.metric, slice=k, margin=margin) for k in keys]
        elif rule.test == "no_regression" and keys:
            # The slices of rules about one metric are one family; the stricter ratio counts.
            family = families.get(rule.metric)
            earlier, ratio = (
                ((), math.inf) if family is None else (family.slices, family.detectable)
            )
            families[rule.metric] = ReplayedFamily(
                metric=rule.metric,
                slices=tuple(dict.fromkeys((*earlier, *keys))),
                detectable=min(ratio, rule.detectable),
            )
    rows = max(1, len(pairs.candidate.slice_index))
    affordable = min(MOST_REPLAYS, max(REPLAYS, _AT_ONCE // rows))
    together: list[ReplayedMargin | ReplayedFamily] = [*margins, *families.values()]
    return replay_null(
        {rule.metric: pairs for rule in together},
        together,
        seed=evidence.seed,
        replays=affordable if replays is None else replays,
        alpha=FAMILY_ALPHA / evidence.families,
    )
