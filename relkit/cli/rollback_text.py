"""How a rollback is shown: JSON for programs, text for people."""

from collections.abc import Sequence

from relkit.cli.output import safe
from relkit.domain.releases import Refused
from relkit.records.digests import JsonValue
from relkit.workflows.rollback import Applied, Plan

_SHOWN = 12
"""Refused releases that the terminal shows; ``--json`` has all."""


def rollback_json(planned: Plan, done: Applied) -> dict[str, JsonValue]:
    """Return the document of ``--json``."""
    target = planned.target
    return {
        "model": target.model,
        "live": target.live,
        "bad": list(target.bad),
        "slice": planned.slice,
        "target": target.target,
        "attested": target.attested,
        "revert": dict(target.revert),
        "alternatives": [dict(one) for one in target.alternatives],
        "refused": [
            {"version": one.version, "code": one.code, "reason": one.reason}
            for one in target.refused
        ],
        "evidence": list(target.evidence),
        "plan": list(target.steps),
        "checklist": list(target.checklist),
        "already": target.target is not None and not planned.moves,
        "applied": bool(done.events),
        "events": [
            {
                "model": event.model,
                "sequence": event.sequence,
                "version": event.version,
                "digest": event.digest,
            }
            for event in done.events
        ],
        "mirrored": done.mirrored,
    }


def rollback_lines(planned: Plan, done: Applied) -> str:
    """Return the text for people; whatever came from data cannot steer the terminal."""
    target = planned.target
    lines = [_headline(planned, done)]
    lines += _block("evidence", target.evidence)
    if target.alternatives:
        sets = [
            ", ".join(f"{name} {version}" for name, version in sorted(one.items()))
            for one in target.alternatives
        ]
        lines += _block("next best (artifacts not verified yet)", sets)
    lines += _block("refused", _refusals(target.refused))
    lines += _block("plan", target.steps)
    lines += _block("checklist", [f"[ ] {line}" for line in target.checklist])
    return "\n".join(safe(part) for line in lines for part in line.split("\n")) + "\n"


def _headline(planned: Plan, done: Applied) -> str:
    target = planned.target
    bad = ", ".join(target.bad) or "none"
    where = f"{target.model}: live {target.live or 'none'}, bad {bad}"
    if planned.slice is not None:
        where += f", failing on {planned.slice}"
    if target.target is None:
        return f"{where}\nno target: every release is refused"
    if not planned.moves:
        return f"{where}\ntarget {target.target}: live already, nothing to move"
    state = "rolled back to" if done.events else "target"
    legacy = " (attested: legacy)" if target.attested == "legacy" else ""
    return f"{where}\n{state} {target.target}{legacy}"


def _refusals(refused: Sequence[Refused]) -> list[str]:
    lines = [f"{one.version}: {one.reason}" for one in refused[:_SHOWN]]
    if len(refused) > _SHOWN:
        lines.append(f"and {len(refused) - _SHOWN} more: --json lists them")
    return lines


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []
