"""What is doubtful about a policy that can be read: rules that never fire, or never pass.

:func:`lint` looks at the policy alone; with the facts of a selection of data also at what the rules
would be judged on. A ``refuse`` makes the policy unusable, a ``warn`` is said and nothing else.
"""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from relkit.core.metrics import PREDICTED, QUALITY_METRICS, metric_of, split_metric
from relkit.core.slices import escape_value, expand_slices, is_pattern
from relkit.core.wording import amount, chance, clusters, counted, limit, margin, number
from relkit.gate.facts import planned_slices, size_of, too_small
from relkit.gate.plan_types import LintFinding, LintSeverity, RulePlan, SelectionFacts, SlicePlan
from relkit.gate.types import GatePolicy, Rule
from relkit.statistics.distributions import UNSEEN
from relkit.statistics.rates import RATE_METRICS

LEAST_CHANCE = 0.5
"""An equal system that passes less often than this makes a gate that is red for no reason."""

_SPOKEN = frozenset({"first_audio_ms", "leading_silence_ms", "clipping_rate", "dropout_rate"})
_UNCAPPED = frozenset({"wer"})
_SEES_LOOPS = frozenset({"runaway_rate", "wer"})

MOS_NOISE = 0.035
"""Standard deviation of a predicted MOS between repeats on the same clip.

See docs/method.md, section "Predicted MOS".
"""


def lint(
    policy: GatePolicy,
    facts: SelectionFacts | None = None,
    plans: Sequence[RulePlan] = (),
    *,
    observed: Mapping[tuple[str, str], float] | None = None,
) -> tuple[LintFinding, ...]:
    """Return what is doubtful about a policy, refusals first, else in the order of its rules.

    ``facts`` are counted from the data it would be judged on and ``plans`` say what its rules can
    decide there (:func:`relkit.gate.plan.plan_rules`). ``observed`` maps (slice, metric) to a
    value that a finished run had.
    """
    findings = [*_of_policy(policy)]
    by_rule = {plan.rule: plan for plan in plans}
    for rule in policy.rules:
        findings += _alone(rule, policy)
        findings += _noise(rule, facts, observed or {})
        if facts is not None:
            findings += _on_data(rule, facts, by_rule.get(rule.id))
    return tuple(sorted(findings, key=lambda finding: finding.severity != "refuse"))


def _of_policy(policy: GatePolicy) -> Iterator[LintFinding]:
    if policy.rules and all(rule.mode != "required" for rule in policy.rules):
        yield LintFinding(
            rule=None,
            severity="warn",
            code="nothing_required",
            message="no rule is required: the gate gives error, never pass",
            hint="leave out the mode of at least one rule",
        )
    metrics = {rule.metric for rule in policy.rules if rule.mode == "required"}
    if "wer_capped" in metrics and not metrics & _SEES_LOOPS:
        yield LintFinding(
            rule=None,
            severity="warn",
            code="loops_unseen",
            message="wer_capped does not see repetition loops, and no required rule does",
            hint="add a rule on runaway_rate, for example test: bound, max: 0.01",
        )
    first_rule: dict[tuple[object, ...], str] = {}
    for rule in policy.rules:
        key = (rule.metric, rule.slice, rule.test, rule.mode)
        if key in first_rule:
            message = f"asks the same of {rule.metric} on {rule.slice} as rule {first_rule[key]}"
            yield finding_of(rule, "warn", "same_twice", message, "keep the stricter one")
        first_rule.setdefault(key, rule.id)


def _alone(rule: Rule, policy: GatePolicy) -> Iterator[LintFinding]:
    if rule.metric in _UNCAPPED and rule.test != "bound":
        message = "compares wer, whose interval one repetition loop makes wrong"
        hint = "use wer_capped, and a rule on runaway_rate beside it"
        yield finding_of(rule, "warn", "wer_not_capped", message, hint)
    rate = RATE_METRICS.get(rule.metric)
    if rule.test == "bound" and rule.max == 0 and rate is not None and rate.counted:
        message = "a maximum of 0 never passes: a rate of which nothing was seen may still be "
        message += f"{UNSEEN} / utterances"
        hint = "write the rate that you can live with"
        yield finding_of(rule, severity_of(rule), "never_passes", message, hint)
    if rule.test == "no_regression" and not policy.paired:
        message = "no_regression compares utterance by utterance: runs that answered different "
        message += "ones give no data"
        hint = "remove paired: false, or use non_inferiority"
        yield finding_of(rule, "warn", "needs_pairs", message, hint)


def _noise(
    rule: Rule, facts: SelectionFacts | None, observed: Mapping[tuple[str, str], float]
) -> Iterator[LintFinding]:
    """Find bounds on quality scores that lie within the noise of the model that predicts them."""
    base, _ = split_metric(rule.metric)
    if base not in QUALITY_METRICS:
        return
    default = MOS_NOISE if base in PREDICTED else 0.0
    floor = default if facts is None else facts.noise_floors.get(base, default)
    unit = metric_of(rule.metric).unit
    moves = number(floor, unit)
    smallest = rule.margin if rule.test == "non_inferiority" else rule.min_change
    if smallest is not None and smallest < floor:
        asked = margin(smallest, unit)
        message = f"asks for {asked}, and the score of one clip moves by {moves} between repeats"
        yield finding_of(rule, "warn", "below_noise", message, f"use at least {moves}")
    value = observed.get((rule.slice, rule.metric))
    for bound in (rule.max, rule.min):
        if bound is not None and value is not None and abs(value - bound) < floor:
            near = f"{number(value, unit)} is nearer to {limit(bound, unit)}"
            message = f"the measured {near} than the noise of {moves}"
            hint = "move the bound, or expect a verdict that changes between repeats"
            yield finding_of(rule, "warn", "bound_in_noise", message, hint)


def _on_data(rule: Rule, facts: SelectionFacts, plan: RulePlan | None) -> Iterator[LintFinding]:
    """Yield what is doubtful about a rule on this data; ``plan`` says what it can decide there."""
    missing = _unmeasured(rule, facts)
    if missing is not None:
        yield missing
        return
    if not expand_slices(rule.slice, facts.slices):
        yield _no_slice(rule, facts)
        return
    keys = planned_slices(rule, facts)
    if not keys:
        message = f"{rule.slice} has only slices without a label"
        hint = "label the data, or name another column"
        yield finding_of(rule, "refuse", "slice_matches_nothing", message, hint)
    yield from _one_cluster(rule, facts, keys)
    if plan is not None:
        yield from _never_pass(rule, plan, facts)
        yield from _too_fine(rule, plan.slices)


def _unmeasured(rule: Rule, facts: SelectionFacts) -> LintFinding | None:
    """Find a metric that the suite does not measure and that results cannot be asked for later."""
    base, _ = split_metric(rule.metric)
    if facts.metrics is None:
        return None
    spoken = base in _SPOKEN and facts.task != "tts"
    scored = base in QUALITY_METRICS and rule.metric not in facts.metrics
    if not spoken and not scored:
        return None
    why = (
        "only for systems that speak" if spoken else f'only where a suite\'s metrics name "{base}"'
    )
    return finding_of(
        rule,
        severity_of(rule),
        "metric_not_measured",
        f"{rule.metric} is measured {why}; the suite {facts.suite} has none",
        _near(base, [split_metric(name)[0] for name in facts.metrics])
        or f'add "{base}" to the metrics of the suite, or remove the rule',
    )


def _no_slice(rule: Rule, facts: SelectionFacts) -> LintFinding:
    """Name what a slice without an utterance was probably meant to be."""
    for part in rule.slice.split("&"):
        column, _, value = part.partition("=")
        if column not in facts.values:
            message = f'no column "{column}" in {facts.dataset}'
            hint = _near(column, facts.values) or "columns: " + ", ".join(sorted(facts.values))
            return finding_of(rule, "refuse", "unknown_column", message, hint)
        present = [escape_value(name) for name in facts.values[column]]
        if value not in ("*", *present):
            message = f'no utterance has {column} "{value}"'
            similar = _near(value, present)
            hint = similar or f"values of {column}: {', '.join(present[:8])}"
            return finding_of(rule, "refuse", "slice_matches_nothing", message, hint)
    message = f"no utterance is in {rule.slice}"
    hint = "its values never occur together: name one of them"
    return finding_of(rule, "refuse", "slice_matches_nothing", message, hint)


def _near(name: str, names: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f'did you mean "{close[0]}"?' if close else None


def _one_cluster(rule: Rule, facts: SelectionFacts, keys: Sequence[str]) -> Iterator[LintFinding]:
    inside = [key for key in keys if facts.slices[key].clusters == 1]
    if not inside:
        return
    what = inside[0] if len(inside) == 1 else f"{inside[0]} and {len(inside) - 1} more"
    message = f"{what}: a single {facts.cluster} says nothing about others"
    hint = f"make the rule advisory, or add data of other values of {facts.cluster}"
    yield finding_of(rule, severity_of(rule), "inside_one_cluster", message, hint)


def _never_pass(rule: Rule, plan: RulePlan, facts: SelectionFacts) -> Iterator[LintFinding]:
    """Find slices in which no system whatever could pass; the rest of a pattern may be fine."""
    sizes = {item.slice: size_of(rule.metric, facts.slices[item.slice]) for item in plan.slices}
    hopeless = [
        item
        for item in plan.slices
        if item.outlook == "cannot"
        and item.excludes_ratio is None
        and facts.slices[item.slice].clusters > 1
        # Of a family only where counts alone decide it, and no assumed rate.
        and (rule.test != "no_regression" or too_small(rule, sizes[item.slice]))
    ]
    if not hopeless:
        return
    everywhere = len(hopeless) == len(plan.slices) or not is_pattern(rule.slice)
    first = hopeless[0]
    missing = first.missing_clusters
    remedy = f"add {clusters(missing, f'more {facts.cluster}')}" if missing else "use other data"
    more = "" if len(hopeless) == 1 else f" (and {len(hopeless) - 1} more slices)"
    yield finding_of(
        rule,
        severity_of(rule) if everywhere else "warn",
        "no_units" if sizes[first.slice].units <= 0 else "never_passes",
        f"{first.slice}: {first.says}{more}",
        f"{remedy}, or make the rule advisory",
    )


def _too_fine(rule: Rule, slices: Sequence[SlicePlan]) -> Iterator[LintFinding]:
    """Find margins and ratios that are finer than what the data shows."""
    fine = [
        (item.equal_passes, item)
        for item in slices
        if item.equal_passes is not None and item.equal_passes < LEAST_CHANCE
    ]
    if fine:
        unit = metric_of(rule.metric).unit
        passes, worst = min(fine, key=itemgetter(0))
        clusters = worst.needed_clusters
        message = f"{worst.slice}: an equal system passes in {chance(passes)} "
        message += f"at a margin of {margin(rule.margin or 0.0, unit)}"
        hint = f"use {amount(worst.smallest or 0.0, unit)}"
        hint += f", or {counted(clusters, 'cluster')}" if clusters else ""
        yield finding_of(rule, "warn", "margin_below_data", message, hint)
    weak = [item for item in slices if item.assumed is not None and item.outlook == "cannot"]
    if weak and rule.test == "no_regression":
        clusters = weak[0].needed_clusters
        more = counted(clusters, "cluster") if clusters else "more data"
        ratios = [item.excludes_ratio for item in weak if item.excludes_ratio is not None]
        least = f"detectable: {math.ceil(10 * max(ratios)) / 10:g}" if ratios else "less"
        hint = f"use {more}, pool slices, or ask for {least}"
        says = f"{weak[0].slice}: {weak[0].says}"
        yield finding_of(rule, "warn", "ratio_below_data", says, hint)


def finding_of(
    rule: Rule, severity: LintSeverity, code: str, message: str, hint: str
) -> LintFinding:
    """Return a finding about a rule, with the rule's line."""
    return LintFinding(
        rule=rule.id, severity=severity, code=code, message=message, hint=hint, line=rule.line
    )


def severity_of(rule: Rule) -> LintSeverity:
    """Return how bad it is if a rule never passes: one that is not required blocks nothing."""
    return "refuse" if rule.mode == "required" else "warn"
