"""Is a signed decision, override, check or packet to be believed? Bytes to problems: no I/O.

There is no clock here, either. Only verified bytes are read: the payload is parsed after a
signature over it was found good, and nothing outside it counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from relkit.attestation import auditor
from relkit.attestation.envelopes import Envelope, parse_envelope
from relkit.attestation.statements import Content, Statement, parse_statement
from relkit.attestation.types import TrustedKey, VerificationSummary
from relkit.canary.types import CanaryDecision
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput
from relkit.core.values import moment
from relkit.disclosure.types import Packet
from relkit.gate.types import CheckRecord, GateDecision, Override

SKEW_S = 60.0
"""How far the clock that signed may be ahead of the one that verifies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
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
    data: bytes, keys: Sequence[TrustedKey], *, now: str, options: VerifyOptions, source: str
) -> Verification:
    """Return what is wrong with an envelope; raises nothing for anything that is in ``data``.

    ``now`` is UTC, ``2026-01-31T12:00:00Z``.
    """
    try:
        envelope = parse_envelope(data, source=source)
    except InvalidInput as error:
        return Verification(problems=(error.message,))
    signers, problems = signed_by(envelope, keys)
    if not signers and not (options.unsigned and not envelope.signatures):
        return Verification(problems=problems or (_UNSIGNED,), digest=envelope.digest)
    if problems:
        return Verification(problems=problems, digest=envelope.digest, signers=signers)
    try:
        statement = parse_statement(envelope.payload, source=source)
        general = tuple(_generally(statement, now, options))
    except InvalidInput as error:
        return Verification(problems=(error.message,), digest=envelope.digest, signers=signers)
    content = statement.content
    if isinstance(content, Override | CheckRecord):
        content = replace(content, key=signers[0] if signers else None)
    verification = Verification(
        problems=general,
        kind=statement.kind,
        content=content,
        digest=envelope.digest,
        signers=signers,
        notes=() if signers else ("it is not signed: nobody vouches for it",),
    )
    if isinstance(content, CanaryDecision):
        return _rejudged(verification, statement, content)
    return _decided(verification, statement) if isinstance(content, GateDecision) else verification


_UNSIGNED = "it is not signed"


def signed_by(
    envelope: Envelope, keys: Sequence[TrustedKey]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (ids of the trusted keys that signed, problems).

    What a signature calls its key is a hint that only says which key is tried first. A key counts
    once; one that has signed twice is refused, and so is a signature in the name of a trusted key
    that none has made. Signatures of keys that nobody asked about are passed over.
    """
    trusted = {key.key: key for key in keys}
    values = [signature.value for signature in envelope.signatures]
    if len(set(values)) != len(values):
        return (), ("a signature stands twice",)
    signers: list[str] = []
    problems: list[str] = []
    for signature in envelope.signatures:
        hinted = trusted.get(signature.key or "")
        likely = trusted.values() if hinted is None else (hinted, *trusted.values())
        maker = next((k.key for k in likely if k.made(signature.value, envelope.message)), None)
        if maker in signers:
            return (), ("a key has signed it twice",)
        if maker is not None:
            signers.append(maker)
        elif hinted is not None:
            problems.append(f"the signature of key {hinted.key[:16]}… is not good: it was changed")
    if not signers and not problems and envelope.signatures:
        problems.append("no trusted key has signed it")
    return tuple(signers), tuple(problems)


def _generally(statement: Statement, now: str, options: VerifyOptions) -> Iterator[str]:
    """Yield what is wrong with a statement of any kind: form, time, subject, policy, serial."""
    content = statement.content
    if not statement.canonical:
        yield "it is not written in the one canonical form"
    expires = getattr(content, "expires", None)
    created = content.time_verified if isinstance(content, VerificationSummary) else content.created
    yield from _times(created, expires, now)
    if options.artifact is not None and options.artifact not in statement.subjects:
        yield "it is about another artifact"
    if isinstance(content, CheckRecord):
        return
    policy, serial = _decided_by(content)
    if options.policy not in (None, policy):
        yield "it was decided by another policy"
    if options.serial is None:
        return
    if serial is None:
        yield _NO_SERIAL[type(content)]
    elif serial < options.serial:
        yield f"it is decision {serial}, older than {options.serial}: replayed"


def _decided_by(content: Content) -> tuple[str | None, int | None]:
    """Return (digest of the policy behind a statement, its serial), None for what it has not."""
    if isinstance(content, GateDecision):
        return content.policy.digest, content.serial
    if isinstance(content, CanaryDecision):
        return content.policy.digest, None
    if isinstance(content, Override):
        return content.decision.policy_digest, None
    if isinstance(content, VerificationSummary):
        return PREFIX + content.policy.digest.sha256, None
    return None, None


_NO_SERIAL = {
    CanaryDecision: "a canary decision has no serial: its state and its time say which look it is",
    Override: "an override has no serial: verify the decision it names",
    Packet: "a packet has no serial: it names the one before",
    VerificationSummary: "a verification summary has no serial",
}


def _times(created: str, expires: str | None, now: str) -> Iterator[str]:
    if moment(created) > moment(now) + timedelta(seconds=SKEW_S):
        yield f"it was issued in the future, at {created}"
    if expires is None:
        return
    if moment(expires) <= moment(created):
        yield "it expires before it was issued"
    if moment(expires) <= moment(now):
        yield f"it expired at {expires}"


def _rejudged(
    verification: Verification, statement: Statement, decision: CanaryDecision
) -> Verification:
    """Return the verification of a canary decision, judged again from its histogram."""
    try:
        audit = auditor.CanaryAudit(statement.document["predicate"])
    except auditor.Refused as error:
        return replace(verification, problems=(*verification.problems, str(error)))
    except auditor.MALFORMED as error:
        problem = f"its histogram is malformed ({type(error).__name__})"
        return replace(verification, problems=(*verification.problems, problem))
    notes = [*verification.notes, *(f"to be believed: {claim}" for claim in audit.believed)]
    if decision.report.enforcement == "shadow":
        notes.append("shadow: it shows a verdict and can never promote")
    if decision.subject.artifact is None:
        notes.append("the canary is known by its name only: no registry has a digest of it")
    return replace(
        verification,
        problems=(*verification.problems, *audit.problems),
        agreed=sum(line[4] == "agrees" for line in audit.lines),
        believed=tuple(audit.believed),
        notes=tuple(notes),
    )


def _decided(verification: Verification, statement: Statement) -> Verification:
    """Return the verification of a decision, judged again from its evidence.

    It is judged by the auditors' file, which shares no code with the rules that judged it first.
    """
    predicate = statement.document["predicate"]
    try:
        audit = auditor.Audit(predicate)
    except auditor.MALFORMED as error:
        problem = f"its evidence is malformed ({type(error).__name__})"
        return replace(verification, problems=(*verification.problems, problem))
    believed = tuple(
        auditor.label(check)
        for check in audit.unchecked
        if check["test"] not in ("evidence", "requirement")
        and check["code"] not in auditor.UNKNOWABLE
    )
    notes = list(verification.notes)
    if predicate["policy"]["enforcement"] == "shadow":
        notes.append("shadow: it shows a verdict and can never promote")
    if believed:
        notes.append(
            f"{len(believed)} checks have no sums in the decision and are believed: "
            + ", ".join(believed[:5])
        )
    return replace(
        verification,
        problems=(*verification.problems, *audit.problems),
        agreed=sum(line[4] == "agrees" for line in audit.lines),
        believed=believed,
        notes=tuple(notes),
    )
