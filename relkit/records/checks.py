"""What other tools and people say about a candidate: ``relkit.check/v1``, plain or signed."""

from typing import Annotated, Literal

from pydantic import Field

from relkit.domain.errors import InvalidInput
from relkit.domain.gates import CheckRecord, Verdict
from relkit.records.digests import JsonValue, canonical, sha256_bytes
from relkit.records.envelopes import Digest, Statement, render_statement
from relkit.records.strict import Record, check, decode, parse_json
from relkit.records.times import Time
from relkit.records.words import Line, Reason, VerdictWord

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
