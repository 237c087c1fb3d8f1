"""What the registry's commands print for people, and the documents of ``--json``."""

from collections.abc import Sequence

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.errors import UsageError
from relkit.core.wording import columns, counted, percent, safe, short_digest
from relkit.registry.ledger import LedgerState, RecordedEvents, RegisteredRelease
from relkit.registry.types import (
    EventKind,
    ImportedModel,
    RegistryValidation,
    RegistryVerification,
    ReleaseEvent,
)


def share_of(text: str) -> float:
    """Return a share of traffic from ``5``, ``5%`` or ``0.5%``; raises UsageError."""
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:  # noqa: PLR2004 - per cent; NaN is none
        raise UsageError(
            f'"{safe(text)}" is no share of the traffic', hint="a percentage such as 5%"
        )
    return value / 100


def recorded_json(done: RecordedEvents) -> dict[str, JsonValue]:
    """Return the document of a command that appended events."""
    event = done.event
    return {
        "model": event.model,
        "version": event.version,
        "event": str(event.kind),
        "sequence": event.sequence,
        "digest": event.digest,
        "from": event.from_version,
        "traffic": event.traffic,
        "overridden": any(e.kind is EventKind.OVERRIDDEN for e in done.events),
        "live": done.state.live,
        "candidate": done.state.candidate,
        "previous": done.state.previous,
        "mirror": done.mirror,
    }


def recorded_text(done: RecordedEvents) -> str:
    """Return in one line what was appended."""
    event = done.event
    return f"{safe(event.model)} {safe(event.version)}: {event.kind} (event {event.sequence})"


def promoted_text(done: RecordedEvents) -> str:
    """Return what was appended, and what is served since."""
    return f"{recorded_text(done)}\n{state_line(done.state)}"


def registered_json(done: RegisteredRelease) -> dict[str, JsonValue]:
    """Return the document of ``relkit registry register``."""
    release = done.release
    return {
        "model": release.model,
        "version": release.version,
        "digest": release.digest,
        "artifact": release.artifact_digest,
        "registered": done.recorded is not None,
        "sequence": None if done.recorded is None else done.recorded.event.sequence,
        "notes": list(done.notes),
    }


def registered_text(done: RegisteredRelease) -> str:
    """Return which release is registered, by which digest."""
    return f"{done.release.model} {done.release.version}: {done.release.digest}"


def validation_json(validation: RegistryValidation) -> dict[str, JsonValue]:
    """Return the document of ``relkit registry validate``."""
    return {
        "valid": not validation.defects,
        "releases": validation.releases,
        "problems": [
            {
                "file": f"registry/{defect.source}",
                "line": defect.line,
                "message": defect.message,
                "hint": defect.hint,
            }
            for defect in validation.defects
        ],
    }


def validation_text(validation: RegistryValidation) -> str:
    """Return every defect with its hint, and how many there are."""
    lines = []
    for defect in validation.defects:
        lines.append(f"registry/{safe(str(defect))}")
        if defect.hint:
            lines.append(f"  {safe(defect.hint)}")
    count = len(validation.defects)
    lines.append(f"{counted(validation.releases, 'release')}, {counted(count, 'problem')}")
    return "\n".join(lines)


def verification_json(verification: RegistryVerification) -> dict[str, JsonValue]:
    """Return the document of ``relkit registry verify``."""
    silent = verification.silent
    return {
        "valid": not verification.problems,
        **encode(verification),
        "mirror_error": None if silent is None else silent.message,
    }


def verification_text(verification: RegistryVerification) -> str:
    """Return what was repaired, what is wrong, and how much was looked at."""
    lines = [f"repaired: {safe(line)}" for line in verification.repaired]
    lines += [safe(line) for line in verification.problems]
    problems, models = len(verification.problems), len(verification.models)
    state = counted(problems, "problem") if problems else "valid"
    lines.append(f"{counted(models, 'model')}, {counted(verification.events, 'event')}: {state}")
    return "\n".join(lines)


def imported_json(models: Sequence[ImportedModel]) -> dict[str, JsonValue]:
    """Return the document of ``relkit registry import``."""
    return {
        "models": encode(tuple(models)),
        "conflicts": _conflicts(models),
    }


def imported_text(models: Sequence[ImportedModel]) -> str:
    """Return what came in by model, then what was refused."""
    lines = []
    for model in models:
        versions = ", ".join(model.registered) or "no new version"
        lines.append(f"{safe(model.name)}: {safe(versions)}; live: {safe(model.live or 'unknown')}")
        lines += [f"  {safe(note)}" for note in model.notes]
    count = sum(len(model.registered) for model in models)
    lines.append(f"{counted(len(models), 'model')}, {counted(count, 'version')} came in")
    lines += [f"refused: {safe(conflict)}" for conflict in _conflicts(models)]
    return "\n".join(lines)


def _conflicts(models: Sequence[ImportedModel]) -> list[str]:
    return [f"{model.model}: {conflict}" for model in models for conflict in model.conflicts]


def state_line(state: LedgerState) -> str:
    """Return in one line what is served."""
    if state.live is None:
        return f"{state.model}: nothing is served"
    line = f"{state.model}: {state.live} has {percent(1 - state.share)} of the traffic"
    if state.candidate is not None:
        line += f", {state.candidate} {percent(state.share)}"
    return line


def history_json(history: tuple[Sequence[ReleaseEvent], LedgerState]) -> dict[str, JsonValue]:
    """Return the document of ``relkit registry history``."""
    events, state = history
    return {
        "model": state.model,
        "live": state.live,
        "candidate": state.candidate,
        "share": state.share,
        "previous": state.previous,
        "registered": list(state.registered),
        "yanked": dict(state.yanked),
        "events": encode(tuple(events)),
        "served": encode(state.served),
    }


def history_text(history: tuple[Sequence[ReleaseEvent], LedgerState]) -> str:
    """Return what was served when, by share of traffic, and below it every event."""
    events, state = history
    served = [["served", "traffic", "since", "until", "by event"]]
    served += [
        [
            safe(span.version),
            percent(span.share),
            span.since,
            span.until or "now",
            f"{span.sequence} {span.kind}",
        ]
        for span in state.served
    ]
    rows = [["event", "what", "version", "at", "by", "why"]]
    rows += [
        [
            str(event.sequence),
            str(event.kind) + ("" if event.attested != "legacy" else " (legacy)"),
            safe(event.version),
            event.at,
            safe(event.by),
            _why(event),
        ]
        for event in events
    ]
    parts = [state_line(state)]
    if len(served) > 1:
        parts.append(columns(served, to_left=(0, 2, 3, 4)))
    if len(rows) > 1:
        parts.append(columns(rows, to_left=(1, 2, 3, 4, 5)))
    return "\n\n".join(parts)


def _why(event: ReleaseEvent) -> str:
    words = [safe(event.reason)] if event.reason else []
    if event.kind is EventKind.CANARY and event.traffic is not None:
        words.insert(0, percent(event.traffic))
    if event.bad:
        words.append("bad: " + ", ".join(safe(version) for version in event.bad))
    if event.slice:
        words.append(safe(event.slice))
    if event.decision:
        words.append(f"decision {short_digest(event.decision)}")
    return "; ".join(words)
