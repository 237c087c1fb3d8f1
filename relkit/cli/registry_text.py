"""What the registry's commands print for people, and the documents of ``--json``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relkit.cli.output import safe
from relkit.cli.tables import columns
from relkit.domain.errors import UsageError
from relkit.domain.releases import EventKind, ReleaseEvent
from relkit.records.digests import JsonValue
from relkit.records.events import event_document
from relkit.rules.ledger import LedgerState, Served

if TYPE_CHECKING:
    from relkit.workflows.registry import Recorded

_SHOWN = 16


def share_of(text: str) -> float:
    """Return a share of traffic from ``5``, ``5%`` or ``0.5%``; raises UsageError."""
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent; NaN is none
        raise UsageError(
            f'"{safe(text)}" is no share of the traffic', hint="a percentage such as 5%"
        )
    return percent / 100


def percent(share: float) -> str:
    """Return a share for people."""
    return f"{share * 100:.6g} %"


def event_json(event: ReleaseEvent) -> dict[str, JsonValue]:
    """Return an event as a document: the line of the ledger."""
    return {**event_document(event), "digest": event.digest}


def recorded_json(done: "Recorded") -> dict[str, JsonValue]:
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
        "overridden": any(one.kind is EventKind.OVERRIDDEN for one in done.events),
        "live": done.state.live,
        "candidate": done.state.candidate,
        "previous": done.state.previous,
        "mirror": done.mirror,
    }


def state_line(state: LedgerState) -> str:
    """Return in one line what is served."""
    if state.live is None:
        return f"{state.model}: nothing is served"
    line = f"{state.model}: {state.live} has {percent(1 - state.share)} of the traffic"
    if state.candidate is not None:
        line += f", {state.candidate} {percent(state.share)}"
    return line


def history_json(events: Sequence[ReleaseEvent], state: LedgerState) -> dict[str, JsonValue]:
    """Return the document of ``relkit registry history``."""
    return {
        "model": state.model,
        "live": state.live,
        "candidate": state.candidate,
        "share": state.share,
        "previous": state.previous,
        "registered": list(state.registered),
        "yanked": dict(state.yanked),
        "events": [event_json(event) for event in events],
        "served": [_span(span) for span in state.served],
    }


def _span(span: Served) -> dict[str, JsonValue]:
    return {
        "version": span.version,
        "share": span.share,
        "since": span.since,
        "until": span.until,
        "sequence": span.sequence,
        "event": str(span.kind),
        "decision": span.decision,
    }


def history_table(events: Sequence[ReleaseEvent], state: LedgerState) -> str:
    """Return what was served when, by share of traffic, and below it every event."""
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
        parts.append(columns(served, left=(0, 2, 3, 4)))
    if len(rows) > 1:
        parts.append(columns(rows, left=(1, 2, 3, 4, 5)))
    return "\n\n".join(parts)


def _why(event: ReleaseEvent) -> str:
    words = [safe(event.reason)] if event.reason else []
    if event.kind is EventKind.CANARY and event.traffic is not None:
        words.insert(0, percent(event.traffic))
    if event.bad:
        words.append("bad: " + ", ".join(safe(one) for one in event.bad))
    if event.slice:
        words.append(safe(event.slice))
    if event.decision:
        words.append(f"decision {event.decision.removeprefix('sha256:')[:_SHOWN]}")
    return "; ".join(words)
