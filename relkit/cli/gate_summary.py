"""The terminal summary of a decision: what blocks first, and no line a machine would obey."""

from collections.abc import Sequence

from relkit.cli.output import safe
from relkit.cli.tables import columns
from relkit.domain.decisions import Override
from relkit.domain.gates import GateDecision, JudgedPart
from relkit.rules.escaping import log_line
from relkit.rules.gate_notes import override_line
from relkit.rules.gate_view import Finding, GateView

MOST_BLOCKING = 30
MOST_OTHERS = 20
"""Findings shown of each kind; how many more there are is said."""


def gate_summary(decision: GateDecision, overrides: Sequence[Override] = ()) -> str:
    """Return what ``relkit gate`` tells people about a decision."""
    view = GateView(decision, overrides)
    blocks = [
        _head(view),
        [override_line(item) for item in view.overrides],
        _sentences("what would block" if view.shadow else "what blocks", view.blocking),
        _passed(view),
        _sentences("does not count towards the verdict", view.aside),
        list(view.notes),
    ]
    return "\n\n".join("\n".join(map(_safe, lines)) for lines in blocks if lines)


def _safe(line: str) -> str:
    """Return one line, whatever it holds, that steers neither a terminal nor a CI runner."""
    return log_line(safe(line))


def _head(view: GateView) -> list[str]:
    decision = view.decision
    made = (
        f"policy {decision.policy} ({decision.enforcement}), decision {decision.serial} of "
        f"{decision.created or 'an unknown time'}, until {decision.expires or 'an unknown one'}"
    )
    return [view.headline, made, *(_runs(part) for part in decision.parts)]


def _runs(part: JudgedPart) -> str:
    name = f"{part.name}: " if part.name else ""
    against = f" against {part.baseline.run}" if part.baseline else ", alone"
    anchor = f", anchor {part.anchor.run}" if part.anchor else ""
    return f"{name}candidate {part.candidate.run}{against}{anchor}, on {part.dataset}"


def _sentences(title: str, findings: Sequence[Finding]) -> list[str]:
    """Return findings with their reasons, two lines each."""
    if not findings:
        return []
    lines = [f"{title}:"]
    for item in findings[:MOST_BLOCKING]:
        mode = f", {item.mode}" if item.mode else ""
        lines.append(f"  {item.verdict:<9} {item.name}{item.where}{mode}")
        lines.append(f"            {item.sentence}")
    return lines + _hidden(len(findings) - MOST_BLOCKING)


def _passed(view: GateView) -> list[str]:
    if not view.passed:
        return []
    rows = [["  passed", "slice", "observed", "95 % interval", "allowed", "clusters"]]
    for item in view.passed[:MOST_OTHERS]:
        result = item.result
        numbers = [item.observed, item.span, item.allowed, f"{result.clusters:,}"]
        rows.append([f"  {safe(item.name)}", safe(result.slice), *numbers])
    return columns(rows, left=(0, 1)).split("\n") + _hidden(len(view.passed) - MOST_OTHERS)


def _hidden(count: int) -> list[str]:
    return [f"  … and {count:,} more in the decision file"] if count > 0 else []
