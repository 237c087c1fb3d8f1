"""What is doubtful about a rule on the data it would be judged on."""

import difflib
from collections.abc import Iterable, Iterator, Sequence

from relkit.domain.gates import Rule
from relkit.domain.plans import Finding, RulePlan, SelectionFacts, Severity, SlicePlan
from relkit.domain.quality import QUALITY_METRICS
from relkit.domain.slices import escape_value
from relkit.rules.intervals import MIN_CLUSTERS
from relkit.rules.planned_words import change
from relkit.rules.slice_patterns import expand_slices, is_pattern
from relkit.rules.supposing import size_of, slices_of

LEAST_CHANCE = 0.5
"""An equal system that passes less often than this makes a gate that is red for no reason."""

_SPOKEN = frozenset({"first_audio_ms", "leading_silence_ms", "clipping_rate", "dropout_rate"})


def finding_of(rule: Rule, severity: Severity, code: str, message: str, hint: str) -> Finding:
    """Return a finding about a rule, with the rule's line."""
    return Finding(
        rule=rule.id, severity=severity, code=code, message=message, hint=hint, line=rule.line
    )


def severity_of(rule: Rule) -> Severity:
    """Return how bad it is if a rule never passes: one that is not required blocks nothing."""
    return "refuse" if rule.mode == "required" else "warn"


def on_data(rule: Rule, facts: SelectionFacts, plan: RulePlan | None) -> Iterator[Finding]:
    """Yield what is doubtful about a rule on this data; ``plan`` says what it can decide there."""
    missing = _unmeasured(rule, facts)
    if missing is not None:
        yield missing
        return
    if not expand_slices(rule.slice, facts.slices):
        yield _no_slice(rule, facts)
        return
    keys = slices_of(rule, facts)
    if not keys:
        yield finding_of(
            rule,
            "refuse",
            "slice_matches_nothing",
            f"{rule.slice} has only slices without a label",
            "label the data, or name another column",
        )
    yield from _one_cluster(rule, facts, keys)
    if plan is not None:
        yield from _never_pass(rule, plan, facts)
        yield from _too_fine(rule, plan.slices)


def _unmeasured(rule: Rule, facts: SelectionFacts) -> Finding | None:
    """Find a metric that the suite does not measure and that results cannot be asked for later."""
    base = rule.metric.partition(".")[0]
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
        _near(base, [name.partition(".")[0] for name in facts.metrics])
        or f'add "{base}" to the metrics of the suite, or remove the rule',
    )


def _no_slice(rule: Rule, facts: SelectionFacts) -> Finding:
    """Name what a slice without an utterance was probably meant to be."""
    for part in rule.slice.split("&"):
        column, _, value = part.partition("=")
        if column not in facts.values:
            message = f'no column "{column}" in {facts.dataset}'
            hint = _near(column, facts.values) or "columns: " + ", ".join(sorted(facts.values))
            return finding_of(rule, "refuse", "unknown_column", message, hint)
        present = _escaped(facts.values[column])
        if value not in ("*", *present):
            message = f'no utterance has {column} "{value}"'
            known = _near(value, present)
            hint = known or f"values of {column}: {', '.join(present[:8])}"
            return finding_of(rule, "refuse", "slice_matches_nothing", message, hint)
    return finding_of(
        rule,
        "refuse",
        "slice_matches_nothing",
        f"no utterance is in {rule.slice}",
        "its values never occur together: name one of them",
    )


def _escaped(values: Iterable[str]) -> list[str]:
    return [escape_value(value) for value in values]


def _near(name: str, known: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f'did you mean "{close[0]}"?' if close else None


def _one_cluster(rule: Rule, facts: SelectionFacts, keys: Sequence[str]) -> Iterator[Finding]:
    inside = [key for key in keys if facts.slices[key].clusters == 1]
    if not inside:
        return
    what = inside[0] if len(inside) == 1 else f"{inside[0]} and {len(inside) - 1} more"
    yield finding_of(
        rule,
        severity_of(rule),
        "inside_one_cluster",
        f"{what}: a single {facts.cluster} says nothing about others",
        f"make the rule advisory, or add data of other values of {facts.cluster}",
    )


def _never_pass(rule: Rule, plan: RulePlan, facts: SelectionFacts) -> Iterator[Finding]:
    """Find slices in which no system whatever could pass; the rest of a pattern may be fine."""
    hopeless = [
        item
        for item in plan.slices
        if item.outlook == "cannot"
        and item.finds_ratio is None
        and facts.slices[item.slice].clusters > 1
        and (rule.test != "no_regression" or _short(rule, facts, item))
    ]
    if not hopeless:
        return
    whole = len(hopeless) == len(plan.slices) or not is_pattern(rule.slice)
    first = hopeless[0]
    missing = first.missing_clusters
    wanted = f"add {missing} or more of {facts.cluster}" if missing else "use other data"
    no_units = size_of(rule.metric, facts.slices[first.slice]).units <= 0
    yield finding_of(
        rule,
        severity_of(rule) if whole else "warn",
        "no_units" if no_units else "never_passes",
        f"{first.slice}: {first.says}"
        + ("" if len(hopeless) == 1 else f" (and {len(hopeless) - 1} more slices)"),
        f"{wanted}, or make the rule advisory",
    )


def _short(rule: Rule, facts: SelectionFacts, item: SlicePlan) -> bool:
    """Return whether counts alone decide it, and no supposed rate."""
    size = size_of(rule.metric, facts.slices[item.slice])
    return (
        size.units <= 0
        or size.clusters < max(rule.min_clusters, MIN_CLUSTERS)
        or size.utterances < rule.min_utterances
    )


def _too_fine(rule: Rule, slices: Sequence[SlicePlan]) -> Iterator[Finding]:
    """Find margins and ratios that are finer than what the data shows."""
    fine = [
        item
        for item in slices
        if item.equal_passes is not None and item.equal_passes < LEAST_CHANCE
    ]
    if fine:
        worst = min(fine, key=lambda item: item.equal_passes or 0.0)
        yield finding_of(
            rule,
            "warn",
            "margin_below_data",
            f"{worst.slice}: an equal system passes in {100 * (worst.equal_passes or 0.0):.0f} % "
            f"at a margin of {change(rule, rule.margin)}",
            f"use {change(rule, worst.smallest)}"
            + (f", or {worst.needed_clusters} clusters" if worst.needed_clusters else ""),
        )
    weak = [
        item
        for item in slices
        if rule.test == "no_regression" and item.supposed is not None and item.outlook == "cannot"
    ]
    if weak:
        first = weak[0]
        yield finding_of(
            rule,
            "warn",
            "ratio_below_data",
            f"{first.slice}: {first.says}",
            (f"use {first.needed_clusters} clusters" if first.needed_clusters else "use more data")
            + f", or a larger detectable than {rule.detectable:g}",
        )
