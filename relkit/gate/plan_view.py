"""The terminal table of a plan: what each rule can decide, the most worrying first.

The plan of a gate as the JSON document that ``relkit gate --plan --json`` prints.
"""

from relkit.core.slices import OVERALL
from relkit.core.wording import columns, counted, safe, short_digest
from relkit.gate.types import OUTLOOKS, Finding, GatePlan, Outlook, RulePlan, SlicePlan

MOST_SLICES = 12
"""Slices shown of one rule; how many more there are is said."""


_WORDS: dict[Outlook, str] = {
    "cannot": "CANNOT",
    "weak": "weak",
    "unknown": "unknown",
    "decides": "decides",
}


def plan_summary(plan: GatePlan) -> str:
    """Return what ``relkit gate POLICY --plan`` tells people."""
    parts = [_head(plan), *(_rule(rule, plan.cluster) for rule in plan.rules)]
    parts += [_findings(plan.findings), _basis(plan)]
    return "\n\n".join(part for part in parts if part)


def _head(plan: GatePlan) -> str:
    suite = "" if plan.suite is None else f", suite {safe(plan.suite)}"
    revision = "" if plan.revision is None else f" ({short_digest(plan.revision)})"
    about = f"{safe(plan.policy)} on {safe(plan.dataset)}{revision}{suite}"
    return (
        f"plan of {about}: nothing was decoded\n"
        f"{counted(plan.utterances, 'utterance')}, {counted(plan.clusters, 'cluster')} "
        f"({safe(plan.cluster)}), {counted(plan.words, 'word')}"
    )


def _rule(rule: RulePlan, cluster: str) -> str:
    mode = "" if rule.mode == "required" else f", {rule.mode}"
    head = f"{rule.rule}: {rule.metric} on {safe(rule.slice)}, {rule.test}{mode}: {rule.asks}"
    if not rule.slices:
        return f"{head}\n  {_WORDS['cannot']}  no slice of the data is meant"
    ranked = sorted(rule.slices, key=lambda item: OUTLOOKS.index(item.outlook))
    rows = [_row(item, cluster) for item in ranked[:MOST_SLICES]]
    table = columns(rows, to_left=(0, 1, 4))
    hidden = len(ranked) - MOST_SLICES
    more = f"\n  … and {hidden} more slices" if hidden > 0 else ""
    return head + "\n" + "\n".join(f"  {line}" for line in table.split("\n")) + more


def _row(item: SlicePlan, cluster: str) -> list[str]:
    missing = ""
    if item.missing_clusters:
        missing = (
            f"; or {item.missing_clusters} more of {safe(cluster)}, {item.needed_clusters} in all"
        )
    name = "all" if item.slice == OVERALL else safe(item.slice)
    return [
        _WORDS[item.outlook],
        name,
        counted(item.clusters, "cluster"),
        f"{item.units} {item.unit}",
        item.says + missing,
    ]


def _findings(findings: tuple[Finding, ...]) -> str:
    lines = []
    for item in findings:
        about = "policy" if item.rule is None else f"rule {item.rule}"
        at = "" if item.line is None else f" (line {item.line})"
        lines.append(f"{item.severity}: {about}{at}: {safe(item.message)}; {safe(item.hint)}")
    return "\n".join(lines)


def _basis(plan: GatePlan) -> str:
    return "\n".join(["supposed or measured:", *(f"  {safe(line)}" for line in plan.assumptions)])
