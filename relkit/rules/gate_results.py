"""How the results of rules are made: nothing passes on too little evidence."""

from dataclasses import replace

from relkit.domain.comparisons import Difference
from relkit.domain.estimates import Estimate
from relkit.domain.gates import Rule, RuleResult, Verdict
from relkit.domain.metrics import METRICS
from relkit.rules.gate_tests import Outcome
from relkit.rules.gate_words import clusters_words
from relkit.rules.intervals import WITHIN


def if_enough(
    rule: Rule,
    shown: RuleResult,
    outcome: Outcome,
    words: str,
    measured: Estimate | Difference,
) -> RuleResult:
    """Return the result; one on too little evidence is undecided, whatever its numbers say."""
    if shown.clusters == 1 and rule.mode == "required":
        alone = "it is one cluster, which says nothing about others: a policy cannot require it"
        return said(shown, "one_cluster", Verdict.ERROR, f"{words}; {alone}")
    if shown.clusters < rule.min_clusters:
        few = f"{shown.clusters} clusters, the rule needs {rule.min_clusters}"
        result = said(shown, "few_clusters", Verdict.INCONCLUSIVE, f"{words}; too few: {few}")
        return replace(result, needed_clusters=rule.min_clusters)
    if shown.utterances < rule.min_utterances:
        few = f"{shown.utterances} utterances, the rule needs {rule.min_utterances}"
        return said(shown, "few_utterances", Verdict.INCONCLUSIVE, f"{words}; too few: {few}")
    if measured.method == WITHIN:
        alone = "one cluster says nothing about others"
        return said(shown, "one_cluster", Verdict.INCONCLUSIVE, f"{words}; {alone}")
    note = measured.note if outcome.verdict is Verdict.INCONCLUSIVE else None
    return said(shown, outcome.code, outcome.verdict, f"{words}; {note}" if note else words)


def with_missing(result: RuleResult, needed: int | None, column: str) -> RuleResult:
    """Return an undecided result with how many clusters (of ``column``) would decide it."""
    needed = max(needed or 0, result.needed_clusters or 0) or None
    if needed is None or needed <= result.clusters:
        return result
    reason = f"{result.reason}; about {clusters_words(needed, column)} would decide it"
    return replace(result, needed_clusters=needed, reason=reason)


def no_number(shown: RuleResult) -> RuleResult:
    """Return the result of a number that is NaN, infinite or impossible: it is shown as none."""
    bare = replace(shown, observed=None, low=None, high=None, candidate=None, baseline=None)
    return said(bare, "not_finite", Verdict.ERROR, f"{shown.metric} is no number")


def said(shown: RuleResult, code: str, verdict: Verdict, reason: str) -> RuleResult:
    """Return the result with its verdict, the code of its reason, and the reason in words."""
    return replace(shown, verdict=verdict, code=code, reason=reason)


def new_result(rule: Rule, key: str, outcome: Outcome, reason: str) -> RuleResult:
    """Return a result of a rule in one slice, without numbers yet."""
    unit = METRICS[base].unit if (base := rule.metric.partition(".")[0]) in METRICS else "fraction"
    return RuleResult(
        rule=rule.id,
        slice=key,
        metric=rule.metric,
        test=rule.test,
        mode=rule.mode,
        verdict=outcome.verdict,
        code=outcome.code,
        reason=reason,
        unit=unit,
    )


def no_data(rule: Rule, key: str, code: str, reason: str) -> RuleResult:
    """Return the result of a rule whose number is missing."""
    return new_result(rule, key, Outcome(verdict=Verdict.NO_DATA, code=code), reason)
