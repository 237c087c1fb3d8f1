"""What other tools and people say about a candidate: ``relkit.check/v1``, plain or signed.

The log of a workspace's decisions: a line each, chained by digest; no file is opened here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from relkit.attestation.envelopes import parse_envelope
from relkit.attestation.statements import parse_content
from relkit.attestation.types import TrustedKey
from relkit.attestation.verify import signed_by
from relkit.core.codec import as_type, decode, encode, parse, parse_json
from relkit.core.digests import JsonValue, canonical, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.values import Digest, Limits
from relkit.gate.types import CheckRecord, Verdict, WrittenCheck
from relkit.monitoring.types import LiveFinding

_LONGEST_REASON = 500
_BROKEN = "it was changed by hand: put back the one of a backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEntry:
    """What the log says about a decision besides its place: all of it stands in the decision."""

    policy: str
    run: str
    verdict: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDecision:
    """A line of the log: which decision was made when, and the name of the file it went to.

    ``digest`` is that of the statement (its payload), ``previous`` that of the line before.
    """

    serial: Annotated[int, Limits(ge=1)]
    digest: Digest
    previous: Digest | None
    policy: str
    run: str
    verdict: str
    created: str
    file: str


def render_log_line(entry: LoggedDecision) -> str:
    """Return a line of the log, without its line feed."""
    return json.dumps(encode(entry), ensure_ascii=False)


def parse_log(lines: Sequence[str], *, source: str) -> tuple[LoggedDecision, ...]:
    """Return a log, oldest first; raises InvalidInput where it does not hang together.

    Serials count up from 1, and each line names the digest of the one before.
    """
    log: list[LoggedDecision] = []
    for number, line in enumerate(lines, start=1):
        document = parse_json(line, source=source, line=number)
        entry = parse(LoggedDecision, document, source=source, line=number)
        before = log[-1].digest if log else None
        if (entry.serial, entry.previous) != (number, before):
            raise InvalidInput(
                f"{source} line {number}: does not follow the line before", hint=_BROKEN
            )
        log.append(entry)
    return tuple(log)


def parse_check(data: bytes, *, source: str) -> CheckRecord:
    """Return a plain check; its digest is that of the file. Raises InvalidInput."""
    document = parse_json(decode(data, source=source), source=source)
    written = parse(WrittenCheck, document, source=source)
    return as_type(CheckRecord, written, digest=sha256_bytes(data))


def new_check(
    name: str, *, verdict: str, by: str, reason: str, created: str, candidate: str | None
) -> CheckRecord:
    """Return a check that is made now; raises InvalidInput naming what is wrong with it."""
    document: dict[str, JsonValue] = {
        "schema": "relkit.check/v1",
        "name": name,
        "verdict": verdict,
        "reason": reason.strip(),
        "by": by.strip(),
        "created": created,
    }
    if candidate is not None:
        document["candidate"] = candidate
    return parse_check(canonical(document), source="the check")


def check_of(finding: LiveFinding, digest: str, *, by: str) -> WrittenCheck:
    """Return what a finding says as a check that a gate's ``requires:`` can name.

    ``digest`` is that of the finding's file. What was seen in shadow never promotes: it is
    inconclusive there, whatever it was. It is about the artifact that the finding names, if any.
    """
    shadow = finding.enforcement == "shadow"
    words = f"in shadow: {finding.reason}" if shadow else finding.reason
    return WrittenCheck(
        name=finding.policy.name,
        verdict=Verdict.INCONCLUSIVE if shadow else Verdict(finding.gate_verdict),
        reason=words[:_LONGEST_REASON],
        by=by,
        created=finding.created,
        candidate=finding.artifact,
        finding=digest,
    )


def read_check(
    name: str, data: bytes, keys: Sequence[TrustedKey], *, source: str
) -> CheckRecord | str:
    """Return a check, with the key of a trusted signature where there is one, or why not.

    A signature by a key that is not trusted counts as none; one of a trusted key that is not good
    makes the record unusable.
    """
    try:
        check = _read(data, keys, source)
    except InvalidInput as error:
        return error.message
    if isinstance(check, CheckRecord) and check.name != name:
        return f"{source}: is a check of another name"
    return check


def _read(data: bytes, keys: Sequence[TrustedKey], source: str) -> CheckRecord | str:
    document = parse_json(decode(data, source=source), source=source)
    if not isinstance(document, dict) or "payload" not in document:
        return parse_check(data, source=source)
    envelope = parse_envelope(data, source=source)
    trusted = {key.key for key in keys}
    signers, problems = signed_by(envelope, keys)
    if problems and any(signature.key in trusted for signature in envelope.signatures):
        return f"{source}: {problems[0]}"
    record = parse_content(envelope.payload, CheckRecord, source=source)
    return replace(record, key=signers[0] if signers else None)
