"""What was simulated, in words."""

from collections.abc import Iterable

from relkit.core import wording
from relkit.incident.simulation.types import IncidentAnswer, IncidentKind, WrittenIncident


def kinds_text(kinds: Iterable[IncidentKind]) -> str:
    """Return the kinds as a table: name, what happens, what is right to say."""
    rows = [("kind", "what happens; what is right to say")]
    rows += [(kind.name, f"{kind.description}; {kind_right(kind)}") for kind in kinds]
    return wording.columns(rows, to_left=(0, 1))


def kind_right(kind: IncidentKind) -> str:
    """Return what is right to say of a kind: ``release``, or ``undetermined or region``."""
    return " or ".join(right.cause or right.verdict for right in (kind.right, *kind.also))


def incident_text(written: WrittenIncident, folder: str) -> str:
    """Return what was written, and how to go on."""
    right = written.answer
    turns = wording.counted(written.turns, "turn")
    files = wording.counted(len(written.telemetry), "file")
    releases = wording.counted(written.releases, "release")
    events = " --events events.jsonl" if written.elsewhere else ""
    lines = [
        f"{folder}: {turns} in {files}, {releases} in the registry",
        f"{right.kind}: {right.description}",
        f"right to say: {answer_text(right)}",
        f"the answer is in answer.json; without it, in {folder}:",
        f"  relkit triage --telemetry telemetry --now {right.now}{events}",
    ]
    return "\n".join(lines)


def answer_text(right: IncidentAnswer) -> str:
    """Return the answer in one line."""
    text: str = right.cause or right.verdict
    if right.first_bad is not None:
        text += f" {right.component} {right.first_bad}"
    if right.slices:
        text += f" ({' or '.join(right.slices)})"
    if right.target is not None:
        text += f", back to {right.target}"
    return " or ".join([text, *(also.cause or also.verdict for also in right.also)])
