"""Is a signed decision, override or check to be believed? Bytes to problems: no I/O, no clock.

Only verified bytes are read: the payload is parsed after a signature over it was found good, and
nothing outside it counts.

Checks as they are found: plain JSON or an envelope, to a record or to why it cannot be used.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from relkit.attestation import checks, statements
from relkit.attestation.checks import PREDICATE_TYPE, check_of, parse_check
from relkit.attestation.envelopes import (
    Envelope,
    Statement,
    as_json,
    parse_envelope,
    parse_statement,
    render_statement,
)
from relkit.attestation.recompute import recompute
from relkit.attestation.types import DecisionStatement, TrustedKey
from relkit.core.codec import decode, parse_json
from relkit.core.digests import canonical, digest_of
from relkit.core.errors import InvalidInput
from relkit.core.values import moment
from relkit.gate.policies import parse_policy, policy_digest
from relkit.gate.types import CheckRecord, GatePolicy, Override

SKEW_S = 60.0
"""How far the clock that signed may be ahead of the one that verifies."""


Content = DecisionStatement | Override | CheckRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a verifier insists on beyond the signature; None where it does not care.

    ``artifact`` and ``policy`` are digests, ``serial`` the lowest that is no replay. ``unsigned``
    lets a document without any signature through, for local work.
    """

    artifact: str | None = None
    policy: str | None = None
    serial: int | None = None
    unsigned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found: ``problems`` empty means that it is to be believed.

    ``content`` is None where nothing could be read from verified bytes. ``signers`` are the trusted
    keys that signed. ``agreed`` checks of a decision were recomputed and came out the same;
    ``believed`` ones have no sums in it. ``notes`` is what is right and has to be known.
    """

    problems: tuple[str, ...]
    kind: str | None = None
    content: Content | None = None
    digest: str | None = None
    signers: tuple[str, ...] = ()
    agreed: int = 0
    believed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def verify(
    data: bytes, keys: Sequence[TrustedKey], *, now: str, wanted: Wanted, source: str
) -> Verification:
    """Return what is wrong with an envelope; raises nothing for anything that is in ``data``.

    ``now`` is UTC, ``2026-01-31T12:00:00Z``.
    """
    try:
        envelope = parse_envelope(data, source=source)
    except InvalidInput as error:
        return Verification(problems=(error.message,))
    signers, problems = signed_by(envelope, keys)
    if not signers and not (wanted.unsigned and not envelope.signatures):
        return Verification(problems=problems or (_UNSIGNED,), digest=envelope.digest)
    if problems:
        return Verification(problems=problems, digest=envelope.digest, signers=signers)
    try:
        statement = parse_statement(envelope.payload, source=source)
        kind, content = read_statement(statement, envelope.digest, source=source)
    except InvalidInput as error:
        return Verification(problems=(error.message,), digest=envelope.digest, signers=signers)
    found = Verification(
        problems=tuple(_generally(statement, envelope, content, now, wanted)),
        kind=kind,
        content=content if isinstance(content, DecisionStatement) else _with_key(content, signers),
        digest=envelope.digest,
        signers=signers,
        notes=() if signers else ("it is not signed: nobody vouches for it",),
    )
    return _decided(found, content, source) if isinstance(content, DecisionStatement) else found


_UNSIGNED = "it is not signed"


def signed_by(
    envelope: Envelope, keys: Sequence[TrustedKey]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (ids of the trusted keys that signed, problems).

    A key counts once; one that stands twice is refused, and so is a trusted key's signature that
    is not good. Signatures of keys that nobody asked about are passed over.
    """
    trusted = {key.key: key for key in keys}
    ids = [signature.key for signature in envelope.signatures]
    if len(set(ids)) != len(ids):
        return (), ("a key has signed it twice",)
    values = [signature.value for signature in envelope.signatures]
    if len(set(values)) != len(values):
        return (), ("a signature stands twice",)
    signers, problems = [], []
    for signature in envelope.signatures:
        key = trusted.get(signature.key)
        if key is None:
            continue
        if key.made(signature.value, envelope.message):
            signers.append(key.key)
        else:
            problems.append(f"the signature of key {key.key[:16]}… is not good: it was changed")
    if not signers and not problems and envelope.signatures:
        problems.append("no trusted key has signed it")
    return tuple(signers), tuple(problems)


def read_statement(statement: Statement, digest: str, *, source: str) -> tuple[str, Content]:
    """Return (kind, content) of a statement; raises InvalidInput for an unknown predicate type."""
    readers: Mapping[str, tuple[str, Callable[[], Content]]] = {
        statements.PREDICATE_TYPE: (
            "decision",
            lambda: statements.decision_of(statement, source=source),
        ),
        statements.OVERRIDES_PREDICATE_TYPE: (
            "override",
            lambda: statements.override_of(statement, source=source),
        ),
        checks.PREDICATE_TYPE: (
            "check",
            lambda: checks.check_of(statement, digest=digest, source=source),
        ),
    }
    found = readers.get(statement.predicate_type)
    if found is None:
        raise InvalidInput(f"{source}: is of an unknown predicate type")
    kind, read = found
    return kind, read()


def _with_key(content: Override | CheckRecord, signers: tuple[str, ...]) -> Content:
    return replace(content, key=signers[0] if signers else None)


def _generally(
    statement: Statement, envelope: Envelope, content: Content, now: str, wanted: Wanted
) -> Iterator[str]:
    """Yield what is wrong with a statement of any kind: form, time, subject, policy, serial."""
    if render_statement(statement) != envelope.payload:
        yield "it is not written in the one canonical form"
    whole = content.decision if isinstance(content, DecisionStatement) else content
    yield from _times(whole.created, whole.expires, now)
    if wanted.artifact is not None and wanted.artifact not in dict(statement.subjects).values():
        yield "it is about another artifact"
    if isinstance(whole, CheckRecord):
        return
    if wanted.policy is not None and wanted.policy != whole.policy_digest:
        yield "it was decided by another policy"
    if wanted.serial is not None:
        if isinstance(whole, Override):
            yield "an override has no serial: verify the decision it names"
        elif whole.serial < wanted.serial:
            yield f"it is decision {whole.serial}, older than {wanted.serial}: replayed"


def _times(created: str, expires: str | None, now: str) -> Iterator[str]:
    if moment(created) > moment(now) + timedelta(seconds=SKEW_S):
        yield f"it was issued in the future, at {created}"
    if expires is None:
        return
    if moment(expires) <= moment(created):
        yield "it expires before it was issued"
    if moment(expires) <= moment(now):
        yield f"it expired at {expires}"


def _decided(found: Verification, content: DecisionStatement, source: str) -> Verification:
    """Return the verification of a decision, judged again from its evidence."""
    try:
        policies = policies_of(content, source=source)
    except InvalidInput as error:
        return replace(found, problems=(*found.problems, error.message))
    decision = content.decision
    again = recompute(content, policies)
    notes = list(found.notes)
    if decision.enforcement == "shadow":
        notes.append("shadow: it shows a verdict and can never promote")
    if again.believed:
        notes.append(
            f"{len(again.believed)} checks have no sums in the decision and are believed: "
            + ", ".join(again.believed[:5])
        )
    return replace(
        found,
        problems=(*found.problems, *_policy_problems(content, policies), *again.problems),
        agreed=again.agreed,
        believed=again.believed,
        notes=tuple(notes),
    )


def policies_of(content: DecisionStatement, *, source: str) -> dict[str, GatePolicy]:
    """Return the policies whose documents a decision holds; raises InvalidInput."""
    found = {}
    for name, document in content.policies.items():
        text = canonical(as_json(document)).decode("utf-8")
        policy = parse_policy(text, source=f"{source}: policy {name}")
        if policy.name != name:
            raise InvalidInput(f"{source}: the policy {name} calls itself otherwise")
        found[name] = policy
    return found


def _policy_problems(
    content: DecisionStatement, policies: Mapping[str, GatePolicy]
) -> Iterator[str]:
    """Yield digests of policies that are not those of the documents."""
    decision = content.decision
    digests = {name: digest_of(as_json(one)) for name, one in content.policies.items()}
    for part in decision.parts:
        if digests.get(part.policy) != part.policy_digest:
            yield f"the policy {part.policy} does not have the digest that the decision names"
    policy = policies.get(decision.policy)
    if policy is None:
        return
    own = replace(policy, digest=digests[decision.policy])
    parts = {name: policies[used] for name, used in policy.parts.items() if used in policies}
    if policy_digest(own, parts) != decision.policy_digest:
        yield f"the policy {decision.policy} does not have the digest that the decision names"


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
