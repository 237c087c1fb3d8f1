"""A model's ledger: lines of canonical JSON to events and back, and their chain of digests."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from relkit.core.codec import encode, parse, parse_json
from relkit.core.digests import canonical, digest_of, sha256_bytes
from relkit.core.errors import InvalidInput, Malformed
from relkit.registry.types import Anchor, LedgerLine, ParsedLedger, ReleaseEvent

_ANCHOR = re.compile(r"(?P<sequence>[1-9][0-9]{0,15}) (?P<digest>sha256:[0-9a-f]{64})")
_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_MARKER_BYTES = tuple(mark.encode() for mark in _MARKERS)


def content_key(event: ReleaseEvent) -> str:
    """Return what tells an event from others wherever it stands in the chain."""
    return _digest(event, "digest", "sequence", "previous")


def seal(event: ReleaseEvent, *, sequence: int, previous: str | None) -> ReleaseEvent:
    """Return an event at its place in the chain, with its digest.

    Raises InvalidInput for one that could not be read again.
    """
    placed = replace(event, sequence=sequence, previous=previous)
    sealed = replace(placed, digest=_digest(placed, "digest"))
    parse(ReleaseEvent, encode(sealed), source=f"event {sequence} of {event.model}")
    return sealed


def _digest(event: ReleaseEvent, *without: str) -> str:
    return digest_of({key: item for key, item in encode(event).items() if key not in without})


def rechained(events: Iterable[ReleaseEvent]) -> Iterator[ReleaseEvent]:
    """Yield events chained anew in their order; those that are in their place stay as they are."""
    previous: str | None = None
    for sequence, event in enumerate(events, start=1):
        placed = seal(event, sequence=sequence, previous=previous)
        previous = placed.digest
        yield placed


def render_event(event: ReleaseEvent) -> str:
    """Return the line of a sealed event, canonical (RFC 8785), without its line feed."""
    return canonical(encode(event)).decode("utf-8")


def render_ledger(events: Iterable[ReleaseEvent]) -> bytes:
    """Return a whole ledger."""
    return "".join(render_event(event) + "\n" for event in events).encode("utf-8")


def parse_ledger(data: bytes, *, source: str) -> ParsedLedger:
    """Return what a ledger holds; raises nothing for anything in it: a line says what is wrong.

    A last line without its line feed is whole where it is an event with its own digest; else it
    is torn and no line.
    """
    *ended, tail = data.split(b"\n")
    lines: list[LedgerLine] = []
    markers: list[int] = []
    for number, raw in enumerate(ended, start=1):
        raw = raw.removesuffix(b"\r")  # noqa: PLW2901 - what an editor on Windows adds
        if raw.startswith(_MARKER_BYTES):
            markers.append(number)
        elif raw.strip():
            lines.append(_line(raw, number, source))
    torn, unended = 0, False
    if tail:
        last = _line(tail, len(ended) + 1, source)
        if last.event is not None and last.wrong is None:
            lines.append(last)
            unended = True
        else:
            torn = len(tail)
    return ParsedLedger(lines=tuple(lines), torn=torn, unended=unended, markers=tuple(markers))


def _line(raw: bytes, number: int, source: str) -> LedgerLine:
    try:
        text = raw.decode("utf-8")
        document = parse_json(text, source=source, line=number)
        event = parse(ReleaseEvent, document, source=source, line=number)
    except UnicodeDecodeError:
        return LedgerLine(number=number, event=None, wrong="it is not UTF-8 text")
    except Malformed as error:
        return LedgerLine(number=number, event=None, wrong=error.problem)
    # The line is canonical, so that its digest is one of its own bytes less the key itself; a quote
    # inside a text is escaped, and nothing but the key can look like it.
    body = raw.replace(f'"digest":"{event.digest}",'.encode(), b"", 1)
    good = sha256_bytes(body) == event.digest
    return LedgerLine(number=number, event=event, wrong=None if good else _CHANGED)


_CHANGED = "its content does not have the digest that it names"


def render_anchor(events: tuple[ReleaseEvent, ...]) -> str:
    """Return the anchor of a ledger: the sequence and digest of its last event."""
    return f"{events[-1].sequence} {events[-1].digest}\n" if events else ""


def parse_anchors(text: str, *, source: str) -> tuple[Anchor, ...]:
    """Return the anchors of a file, two after a merge; raises InvalidInput.

    Marks of a git conflict are passed over: either side's anchor has to be in the ledger.
    """
    anchors = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line or line.startswith(_MARKERS):
            continue
        anchor = _ANCHOR.fullmatch(line)
        if anchor is None:
            raise InvalidInput(
                f"{source}, line {number}: a sequence and a digest were expected",
                hint="git checkout this file, or: relkit registry verify --repair",
            )
        anchors.append(Anchor(sequence=int(anchor["sequence"]), digest=anchor["digest"]))
    return tuple(anchors)
