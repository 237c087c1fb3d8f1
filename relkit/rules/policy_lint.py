"""What is doubtful about a policy that can be read: rules that never fire, or never pass.

:func:`lint` looks at the policy alone; with the facts of a selection of data also at what the rules
would be judged on. A ``refuse`` makes the policy unusable, a ``warn`` is said and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence

from relkit.domain.gates import GatePolicy, Rule
from relkit.domain.plans import Finding, RulePlan, SelectionFacts
from relkit.domain.quality import PREDICTED, QUALITY_METRICS
from relkit.rules.binomial import UNSEEN
from relkit.rules.data_lint import finding_of, on_data, severity_of
from relkit.rules.planned_words import change
from relkit.rules.rate_metrics import RATE_METRICS

MOS_NOISE = 0.035
"""Standard deviation of a predicted MOS between repeats on the same clip (rules.md section 3)."""


_UNCAPPED = frozenset({"wer"})


def lint(
    policy: GatePolicy,
    facts: SelectionFacts | None = None,
    plans: Sequence[RulePlan] = (),
    *,
    observed: Mapping[tuple[str, str], float] | None = None,
) -> tuple[Finding, ...]:
    """Return what is doubtful about a policy, refusals first, else in the order of its rules.

    ``facts`` are counted from the data it would be judged on and ``plans`` say what its rules can
    decide there (:func:`relkit.rules.planning.plan_rules`). ``observed`` maps (slice, metric) to a
    value that a finished run had.
    """
    findings = [*_whole(policy)]
    by_rule = {plan.rule: plan for plan in plans}
    for rule in policy.rules:
        findings += _alone(rule, policy)
        findings += _noise(rule, facts, observed or {})
        if facts is not None:
            findings += on_data(rule, facts, by_rule.get(rule.id))
    return tuple(sorted(findings, key=lambda finding: finding.severity != "refuse"))


def _whole(policy: GatePolicy) -> Iterator[Finding]:
    if policy.rules and all(rule.mode != "required" for rule in policy.rules):
        yield Finding(
            rule=None,
            severity="warn",
            code="nothing_required",
            message="no rule is required: the gate gives error, never pass",
            hint="leave out the mode of at least one rule",
        )
    seen: dict[tuple[object, ...], str] = {}
    for rule in policy.rules:
        key = (rule.metric, rule.slice, rule.test, rule.mode)
        if key in seen:
            yield finding_of(
                rule,
                "warn",
                "same_twice",
                f"asks the same of {rule.metric} on {rule.slice} as rule {seen[key]}",
                "keep the stricter one",
            )
        seen.setdefault(key, rule.id)


def _alone(rule: Rule, policy: GatePolicy) -> Iterator[Finding]:
    if rule.metric in _UNCAPPED and rule.test != "bound":
        yield finding_of(
            rule,
            "warn",
            "wer_not_capped",
            "compares wer, whose interval one repetition loop makes wrong",
            "use wer_capped, and a rule on runaway_rate beside it",
        )
    known = RATE_METRICS.get(rule.metric)
    if rule.test == "bound" and rule.max == 0 and known is not None and known.counted:
        yield finding_of(
            rule,
            severity_of(rule),
            "never_passes",
            f"a maximum of 0 never passes: a rate of which nothing was seen may still be {UNSEEN} "
            "/ utterances",
            "write the rate that you can live with",
        )
    if rule.test == "no_regression" and not policy.paired:
        yield finding_of(
            rule,
            "warn",
            "needs_pairs",
            "no_regression compares utterance by utterance: runs that answered different ones "
            "give no data",
            "remove paired: false, or use non_inferiority",
        )


def _noise(
    rule: Rule, facts: SelectionFacts | None, observed: Mapping[tuple[str, str], float]
) -> Iterator[Finding]:
    """Find bounds on quality scores that lie within the noise of the model that predicts them."""
    base = rule.metric.partition(".")[0]
    if base not in QUALITY_METRICS:
        return
    default = MOS_NOISE if base in PREDICTED else 0.0
    floor = default if facts is None else facts.noise_floors.get(base, default)
    asked = rule.margin if rule.test == "non_inferiority" else rule.min_change
    if asked is not None and asked < floor:
        yield finding_of(
            rule,
            "warn",
            "below_noise",
            f"asks for {change(rule, asked)}, and the score of one clip moves by {floor:.2g} "
            "between repeats",
            f"use at least {floor:.2g}",
        )
    value = observed.get((rule.slice, rule.metric))
    for limit in (rule.max, rule.min):
        if limit is not None and value is not None and abs(value - limit) < floor:
            yield finding_of(
                rule,
                "warn",
                "bound_in_noise",
                f"the measured {value:.3g} is nearer to {limit:g} than the noise of {floor:.2g}",
                "move the bound, or expect a verdict that changes between repeats",
            )
