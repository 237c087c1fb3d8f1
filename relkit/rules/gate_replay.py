"""The A/A certificate of a gate: how often its own data would block a candidate that is as good."""

from relkit.domain.gates import GatePolicy, NullReplay, Rule
from relkit.rules.cluster_sums import PairedSums
from relkit.rules.gate_evidence import Evidence
from relkit.rules.gate_slices import rule_slices
from relkit.rules.gate_tests import FAMILY_ALPHA
from relkit.rules.null_replays import REPLAYS, ReplayedFamily, ReplayedMargin, replay_null
from relkit.rules.rate_metrics import RATE_METRICS

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
    rules: list[ReplayedMargin | ReplayedFamily] = []
    families: dict[str, ReplayedFamily] = {}
    for rule in policy.rules:
        if rule.mode != "required" or rule.metric not in RATE_METRICS:
            continue
        known = [key for key in evidence.utterances if key in pairs.candidate.slices]
        found = rule_slices(
            rule.slice, known, evidence.candidate.registered, pairs.baseline.slices
        ).found
        if rule.test == "non_inferiority" and rule.margin is not None:
            margin = rule.margin
            rules += [ReplayedMargin(metric=rule.metric, slice=k, margin=margin) for k in found]
        elif rule.test == "no_regression" and found:
            families[rule.metric] = _joined(families.get(rule.metric), rule, found)
    together = [*rules, *families.values()]
    return replay_null(
        {rule.metric: pairs for rule in together},
        together,
        seed=evidence.seed,
        replays=_affordable(pairs) if replays is None else replays,
        alpha=FAMILY_ALPHA / evidence.families,
    )


def _affordable(pairs: PairedSums) -> int:
    rows = max(1, len(pairs.candidate.slice_index))
    return min(MOST_REPLAYS, max(REPLAYS, _AT_ONCE // rows))


def _joined(known: ReplayedFamily | None, rule: Rule, found: tuple[str, ...]) -> ReplayedFamily:
    """Return the family of a metric with the slices of one more rule; the stricter ratio counts."""
    slices = found if known is None else tuple(dict.fromkeys((*known.slices, *found)))
    ratio = rule.detectable if known is None else min(known.detectable, rule.detectable)
    return ReplayedFamily(metric=rule.metric, slices=slices, detectable=ratio)
