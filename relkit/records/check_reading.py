"""Checks as they are found: plain JSON or an envelope, to a record or to why it cannot be used."""

from collections.abc import Sequence
from dataclasses import replace

from relkit.domain.decisions import TrustedKey
from relkit.domain.errors import InvalidInput
from relkit.domain.gates import CheckRecord
from relkit.records.checks import PREDICATE_TYPE, check_of, parse_check
from relkit.records.envelopes import parse_envelope, parse_statement
from relkit.records.strict import decode, parse_json
from relkit.records.verifying import signed_by


def read_check(
    name: str, data: bytes, keys: Sequence[TrustedKey], *, source: str
) -> CheckRecord | str:
    """Return a check, with the key of a trusted signature where there is one, or why not.

    A signature by a key that is not trusted counts as none; one of a trusted key that is not good
    makes the record unusable.
    """
    try:
        found = _read(data, keys, source)
    except InvalidInput as error:
        return error.message
    if isinstance(found, CheckRecord) and found.name != name:
        return f"{source}: is a check of another name"
    return found


def _read(data: bytes, keys: Sequence[TrustedKey], source: str) -> CheckRecord | str:
    document = parse_json(decode(data, source=source), source=source)
    if not isinstance(document, dict) or "payload" not in document:
        return parse_check(data, source=source)
    envelope = parse_envelope(data, source=source)
    trusted = {key.key for key in keys}
    signers, problems = signed_by(envelope, keys)
    if problems and any(signature.key in trusted for signature in envelope.signatures):
        return f"{source}: {problems[0]}"
    statement = parse_statement(envelope.payload, source=source)
    if statement.predicate_type != PREDICATE_TYPE:
        return f"{source}: is no check"
    record = check_of(statement, digest=envelope.digest, source=source)
    return replace(record, key=signers[0] if signers else None)
