"""What ``relkit incident verify``, ``resolve`` and ``open`` answer, for programs and people."""

from collections.abc import Mapping

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.wording import counted, safe, short_digest
from relkit.disclosure.types import PacketCheck
from relkit.incident.received.types import OpenedCommitments, ResolvedName
from relkit.incident.received.verify import VerifiedPacket
from relkit.incident.received.words import span_words

PROBLEM_WORDS: Mapping[str, str] = {
    "too_large": "is larger than 1 MiB",
    "envelope": "is no signed packet",
    "unsigned": "is not signed",
    "signature": "the key that was named has not signed it, or it was changed since",
    "signatures": "has more than the one signature, or one in the name of another key",
    "spelling": "is not written in the one spelling",
    "schema": "does not have the form of a packet",
    "kind": "is another kind of signed file",
    "page": "is not the page that was signed with it",
    "summary": "is no summary of a decision",
    "summary_signature": "is a summary that the key has not signed",
    "k": "tells of fewer people or events than may be shown",
    "hours": "tells of turns more exactly than in whole hours",
    "minutes": "is more exact than to the minute",
    "order": "is in another order than can be",
    "name": "holds a name that may not be shared",
    "twice": "says something twice",
    "no_cell": "is about a slice that is not shown",
    "band": "holds a count that is no band",
    "grid": "holds a number that is not on its grid",
    "tail": "is a percentile with too few values beyond it",
    "crossings": "crosses more columns than may be shown",
    "pooled": "is a pool of which the packet does not say that it pools",
    "audit": "lets a count that is hidden be told from what is shown",
    "chain": "does not follow the packets before it",
    "overlap": "overlaps the window of another packet",
    "changed": "is not what was shown before of the same window",
    "previous": "is an earlier packet that does not hold itself",
    "leak": "holds what must not be in it",
}
"""What each code of a problem means."""


def verified_document(check: PacketCheck) -> dict[str, JsonValue]:
    """Return a check as ``--json`` prints it."""
    document: dict[str, JsonValue] = encode(check)
    return document


def verified_text(verified: VerifiedPacket, *, name: str, page: str | None, chained: bool) -> str:
    """Return a check for people: what it is and who signed it, or everything that is wrong.

    ``page`` is the page that was checked with it, ``chained`` says that earlier packets were given.
    """
    check, packet = verified.check, verified.packet
    if packet is None or not check.valid:
        lines = [f"{safe(name)}: not valid"]
        for problem in check.problems:
            words = PROBLEM_WORDS.get(problem.code, problem.code)
            lines.append(f"  {problem.code}: {safe(problem.where, 120)}: {words}")
        return "\n".join(lines)
    whom = "people" if packet.unit == "user" else "sessions (not people)"
    lines = [
        f"{safe(name)}: valid",
        f"  {packet.stage} report of {packet.incident}, {span_words(packet.window)}",
        f"  {counted(check.cells, 'cell')}, at least {packet.k} {whom} in each",
        f"  signed by {check.signer}",
        "  its page was not looked at: there is none beside it"
        if page is None
        else f"  {safe(page)} is the page that was signed with it",
    ]
    if packet.previous is not None:
        state = "follows" if chained else "says it follows (name that one by --previous)"
        lines.append(f"  {state} {short_digest(packet.previous)}")
    return "\n".join(lines)


def resolved_document(resolved: ResolvedName) -> dict[str, JsonValue]:
    """Return a name as ``--json`` prints it."""
    document: dict[str, JsonValue] = encode(resolved)
    return document


def resolved_text(resolved: ResolvedName) -> str:
    """Return a name for people."""
    return safe(f"{resolved.name} of {resolved.incident}: {resolved.stands_for}")


def opened_document(opened: OpenedCommitments) -> dict[str, JsonValue]:
    """Return openings as ``--json`` prints them."""
    document: dict[str, JsonValue] = encode(opened)
    return document


def opened_text(opened: OpenedCommitments) -> str:
    """Return openings for people, or whether a file is one that the packet is committed to."""
    if opened.file is not None:
        if opened.committed is None:
            return safe(f"{opened.file}: is nothing that {opened.incident} is committed to")
        return safe(f"{opened.file}: is the {opened.committed} of {opened.incident}")
    lines = [f"{opened.incident}: {counted(len(opened.openings), 'commitment')}"]
    for item in opened.openings:
        lines += [
            f"{item.kind} {item.name}",
            f"  digest {item.digest}",
            f"  random {item.random}",
            f"  commitment {item.sha256}",
        ]
    return "\n".join(map(safe, lines))
