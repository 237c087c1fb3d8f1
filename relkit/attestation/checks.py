"""What other tools and people say about a candidate: ``relkit.check/v1``, plain or signed.

The log of a workspace's decisions: a line each, chained by digest; no file is opened here.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import Field

from relkit.attestation.envelopes import Digest, Statement, render_statement
from relkit.core.codec import Record, check, decode, parse_json
from relkit.core.digests import JsonValue, canonical, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.values import Line, Reason, Time, VerdictWord
from relkit.gate.types import CheckRecord, Verdict

_BROKEN = "it was changed by hand: put back the one of a backup"


class _LogLine(Record):
    serial: Annotated[int, Field(ge=1)]
    digest: Digest
    previous: Digest | None
    policy: str
    run: str
    verdict: str
    created: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDecision:
    """A line of the log: which decision was made when, and the name of the file it went to.

    ``digest`` is that of the statement (its payload), ``previous`` that of the line before.
    """

    serial: int
    digest: str
    previous: str | None
    policy: str
    run: str
    verdict: str
    created: str
    file: str


def render_line(entry: LoggedDecision) -> str:
    """Return a line of the log, without its line feed."""
    return json.dumps(asdict(entry), ensure_ascii=False)


def parse_log(lines: Sequence[str], *, source: str) -> tuple[LoggedDecision, ...]:
    """Return a log, oldest first; raises InvalidInput where it does not hang together.

    Serials count up from 1, and each line names the digest of the one before.
    """
    found: list[LoggedDecision] = []
    for number, line in enumerate(lines, start=1):
        document = parse_json(line, source=source, line=number)
        record = check(_LogLine, document, source=source, line=number)
        entry = LoggedDecision(**record.model_dump())
        before = found[-1].digest if found else None
        if (entry.serial, entry.previous) != (number, before):
            raise InvalidInput(
                f"{source} line {number}: does not follow the line before", hint=_BROKEN
            )
        found.append(entry)
    return tuple(found)


SCHEMA: Literal["relkit.check/v1"] = "relkit.check/v1"


PREDICATE_TYPE = "urn:relkit:check:v1"


NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class CheckFileRecord(Record):
    """A check as a file: what a load test or an error budget writes, and what is signed."""

    schema_: Literal["relkit.check/v1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=NAME)]
    verdict: VerdictWord
    reason: Reason
    by: Line
    created: Time
    expires: Time | None = None
    candidate: Digest | None = None
    ticket: Line | None = None


def parse_check(data: bytes, *, source: str) -> CheckRecord:
    """Return a plain check; its digest is that of the file. Raises InvalidInput."""
    document = parse_json(decode(data, source=source), source=source)
    return _record(document, sha256_bytes(data), source)


def check_of(statement: Statement, *, digest: str, source: str) -> CheckRecord:
    """Return the check in a statement whose payload has this digest; raises InvalidInput."""
    record = _record(statement.predicate, digest, source)
    if statement.subjects != _subjects(record):
        raise InvalidInput(f"{source}: the subject is not what was checked")
    return record


def new_check(
    name: str,
    *,
    verdict: str,
    by: str,
    reason: str,
    created: str,
    candidate: str | None,
) -> CheckRecord:
    """Return a check that is made now; raises InvalidInput naming what is wrong with it."""
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "name": name,
        "verdict": verdict,
        "reason": reason.strip(),
        "by": by.strip(),
        "created": created,
    }
    if candidate is not None:
        document["candidate"] = candidate
    return _record(document, sha256_bytes(canonical(document)), "the check")


def check_document(record: CheckRecord) -> dict[str, JsonValue]:
    """Return a check as a file holds it."""
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "name": record.name,
        "verdict": str(record.verdict),
        "reason": record.reason,
        "by": record.by,
        "created": record.created,
    }
    optional = {
        "expires": record.expires,
        "candidate": record.candidate,
        "ticket": record.ticket,
    }
    return document | {key: value for key, value in optional.items() if value is not None}


def render_check(record: CheckRecord) -> bytes:
    """Return the payload of a signed check."""
    return render_statement(
        Statement(
            subjects=_subjects(record),
            predicate_type=PREDICATE_TYPE,
            predicate=check_document(record),
        )
    )


def _subjects(record: CheckRecord) -> tuple[tuple[str, str], ...]:
    """Return what a check is about: the candidate, or the check itself where it is about none."""
    if record.candidate is not None:
        return (("candidate", record.candidate),)
    return ((record.name, sha256_bytes(canonical(check_document(record)))),)


def _record(document: JsonValue, digest: str, source: str) -> CheckRecord:
    record = check(CheckFileRecord, document, source=source)
    return CheckRecord(
        name=record.name,
        verdict=Verdict(record.verdict),
        reason=record.reason,
        by=record.by,
        created=record.created,
        digest=digest,
        expires=record.expires,
        candidate=record.candidate,
        ticket=record.ticket,
    )
