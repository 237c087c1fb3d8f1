"""In-toto statements: decisions, overrides, checks, packets, and what each is about.

docs/evidence.md describes them. A new kind of statement is a line of :data:`PREDICATES`, and what
it is about in :func:`_subjects`.

The document that ``relkit gate --json`` prints (docs/cli.md, section "What --json prints").
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from relkit.attestation.types import DigestSet, VerificationSummary
from relkit.canary.types import CanaryDecision
from relkit.core.codec import as_type, decode, encode, parse, parse_json
from relkit.core.digests import MOST_WHOLE, PREFIX, JsonValue, canonical, digest_of, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.values import Limits, NonEmpty, Shape, named
from relkit.disclosure.names import page_name
from relkit.disclosure.types import Packet
from relkit.gate.types import (
    CheckRecord,
    Coverage,
    GateDecision,
    JudgedPart,
    Override,
    RuleResult,
    Verdict,
    WrittenCheck,
    WrittenOverride,
)

Content = GateDecision | Override | CheckRecord | CanaryDecision | Packet | VerificationSummary
C = TypeVar("C", GateDecision, Override, CheckRecord, CanaryDecision, Packet, VerificationSummary)

PREDICATES: Mapping[str, tuple[str, type[Content], type]] = {
    "urn:relkit:gate-decision:v1": ("decision", GateDecision, GateDecision),
    "urn:relkit:override:v1": ("override", Override, WrittenOverride),
    "urn:relkit:check:v1": ("check", CheckRecord, WrittenCheck),
    "urn:relkit:canary-decision:v1": ("canary decision", CanaryDecision, CanaryDecision),
    "urn:relkit:incident-packet:v1": ("incident packet", Packet, Packet),
    "https://slsa.dev/verification_summary/v1": (
        "verification summary",
        VerificationSummary,
        VerificationSummary,
    ),
}
"""Predicate type to (what people call it, its type, the type of what is signed)."""


ARTIFACT_URI = "urn:relkit:artifact:sha256:"
"""What the resource of a verification summary is called by; the hexadecimal digest follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a statement is about, by digest."""

    name: NonEmpty
    digest: DigestSet


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStatement:
    """An in-toto Statement v1 as it is written."""

    FILE: ClassVar = Shape(required=True)

    type: Literal["https://in-toto.io/Statement/v1"] = field(
        default="https://in-toto.io/Statement/v1", metadata=named("_type")
    )
    subject: Annotated[tuple[Subject, ...], Limits(min_length=1)]
    predicate_type: NonEmpty = field(metadata=named("predicateType"))
    predicate: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement as it was read: what it says, about which digests, and in which bytes."""

    kind: str
    content: Content
    subjects: tuple[str, ...]
    document: Any
    payload: bytes

    @property
    def canonical(self) -> bool:
        """Whether it is written in the one canonical form (RFC 8785)."""
        return canonical(self.document) == self.payload


def render_statement(content: Content) -> bytes:
    """Return the payload of an envelope, canonical JSON: `parse_statement` gives the content back.

    The subjects of a decision are the candidate's artifacts. Where a candidate has no artifact
    digest that of its settings is the subject, and ``promotable`` is false with the reason.
    """
    name, content_type, written = next(
        (name, content_type, written)
        for name, (_, content_type, written) in PREDICATES.items()
        if type(content) is content_type
    )
    signed = content if written is content_type else as_type(written, content)
    statement = WrittenStatement(subject=_subjects(content), predicate_type=name, predicate={})
    return canonical({**encode(statement), "predicate": encode(signed)})


def parse_statement(payload: bytes, *, source: str) -> Statement:
    """Return the statement of a payload; raises InvalidInput, also where it contradicts itself."""
    document: Any = parse_json(decode(payload, source=source), source=source)
    statement = parse(WrittenStatement, document, source=source)
    if statement.predicate_type not in PREDICATES:
        raise InvalidInput(f"{source}: is of an unknown predicate type")
    kind, content_type, written = PREDICATES[statement.predicate_type]
    if content_type is CanaryDecision:
        document["predicate"] = _with_doubles(document["predicate"])
    content: Any = parse(written, document["predicate"], source=source)
    subjects = tuple(PREFIX + subject.digest.sha256 for subject in statement.subject)
    if isinstance(content, WrittenOverride):
        if content.decision.verdict is Verdict.PASS:
            raise InvalidInput(f"{source}: overrides a decision that passed")
        content = as_type(Override, content, subjects=subjects)
    elif isinstance(content, WrittenCheck):
        content = as_type(CheckRecord, content, digest=sha256_bytes(payload))
        if statement.subject != _subjects(content):
            raise InvalidInput(f"{source}: the subject is not what was checked")
    elif isinstance(content, GateDecision):
        _check_decision(content, statement, source)
    elif statement.subject != _subjects(content):
        raise InvalidInput(f"{source}: the subject is not {_ABOUT[content_type]}")
    return Statement(
        kind=kind, content=content, subjects=subjects, document=document, payload=payload
    )


_ABOUT: Mapping[type, str] = {
    CanaryDecision: "the canary that was judged",
    Packet: "the page of the packet",
    VerificationSummary: "the artifact that was verified",
}


def _with_doubles(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON in which large whole numbers are the doubles whose canonical form they are.

    RFC 8785 writes evidence of 1e17 as a whole number; read as one, it is beyond those that are
    written. Others than those of a double stay what they are, and are refused.
    """
    if isinstance(value, dict):
        return {key: _with_doubles(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_doubles(inner) for inner in value]
    if type(value) is int and MOST_WHOLE < abs(value) < _EXPONENT_FROM:
        return float(value) if canonical(float(value)) == str(value).encode() else value
    return value


_EXPONENT_FROM = 10**21
"""RFC 8785 writes doubles with an exponent from here on."""


def parse_content(payload: bytes, kind: type[C], *, source: str) -> C:
    """Return what a payload says; raises InvalidInput where it is another kind of statement."""
    content = parse_statement(payload, source=source).content
    if not isinstance(content, kind):
        name = next(name for name, content_type, _ in PREDICATES.values() if content_type is kind)
        raise InvalidInput(f"{source}: is no {'gate ' if kind is GateDecision else ''}{name}")
    return content


def _check_decision(decision: GateDecision, statement: WrittenStatement, source: str) -> None:
    """Raise InvalidInput where a decision contradicts itself.

    It says twice what it is about, and whether it promotes: in what programs of others read first,
    and in what relkit decided.
    """
    if statement.subject != _subjects(decision):
        raise InvalidInput(f"{source}: the subject is not the candidate that was judged")
    derived = ("promotable", "not_promotable")
    if any(statement.predicate[key] != encode(getattr(decision, key)) for key in derived):
        raise InvalidInput(f'{source}: "promotable" contradicts the decision')


def _subjects(content: Content) -> tuple[Subject, ...]:
    """Return what a statement is about.

    A check is about the candidate, or about itself where it is about none. A canary that is only
    called by a name in telemetry has no bytes whose digest anyone knows: its name stands in, with
    the policy that says which traffic it is.
    """
    if isinstance(content, GateDecision):
        named_digests = [(name, digest) for name, digest, _ in content.subjects]
    elif isinstance(content, Override):
        named_digests = [
            (f"candidate-{i}", subject) for i, subject in enumerate(content.subjects, 1)
        ]
    elif isinstance(content, CanaryDecision):
        release = content.subject.canary or "canary"
        called: JsonValue = {"policy": content.policy.digest, "release": release}
        named_digests = [(release, content.subject.artifact or digest_of(called))]
    elif isinstance(content, Packet):
        named_digests = [(page_name(content), content.page)]
    elif isinstance(content, VerificationSummary):
        named_digests = [("artifact", content.resource_uri.removeprefix(ARTIFACT_URI))]
    elif content.candidate is not None:
        named_digests = [("candidate", content.candidate)]
    else:
        named_digests = [(content.name, digest_of(encode(as_type(WrittenCheck, content))))]
    return tuple(
        Subject(name=name, digest=DigestSet(sha256=digest.removeprefix(PREFIX)))
        for name, digest in named_digests
    )


def decision_document(
    decision: GateDecision, *, decision_file: str | None = None, overrides: Sequence[Override] = ()
) -> dict[str, JsonValue]:
    """Return the document of a decision; raises InvalidInput for a pass that rests on NaN.

    ``decision_file`` is relative to the workspace or as the user named it, None where none was
    written. All rates are fractions. A number that is NaN or infinite is null.
    """
    counts = [part.coverage for part in decision.parts]
    return {
        "verdict": decision.verdict.value,
        "enforcement": decision.policy.enforcement,
        "promotes": decision.promotes,
        "reason_codes": list(decision.reason_codes),
        "decision_file": decision_file,
        "policy": {"name": decision.policy.name, "digest": decision.policy.digest},
        "checks": [_check(result) for result in decision.results],
        "coverage": encode(
            Coverage(
                expected=sum(count.expected for count in counts),
                scored=sum(count.scored for count in counts),
                unusable=sum(count.unusable for count in counts),
            )
        ),
        "parts": [_part(part) for part in decision.parts],
        "requires": encode(decision.checks),
        "overrides": [_override(override) for override in overrides],
        "created": decision.created,
        "expires": decision.expires,
        "serial": decision.serial,
        "previous": decision.previous,
        "tool_version": decision.tool_version,
    }


def _check(result: RuleResult) -> dict[str, JsonValue]:
    values: dict[str, JsonValue] = encode(result)
    broken = [
        key
        for key, value in values.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if broken and result.verdict is Verdict.PASS:
        raise InvalidInput(
            f"the check {result.rule} passes on {result.slice}, yet its {broken[0]} is no number",
            hint="this is a defect: keep the runs and report it",
        )
    return values | dict.fromkeys(broken)


def _part(part: JudgedPart) -> dict[str, Any]:
    document: dict[str, Any] = encode(part)
    replay = part.null_replay
    if replay is not None:
        method = document["null_replay"].pop("method")
        document["null_replay"] |= {"false_block_rate": replay.false_block_rate, "method": method}
    return document


def _override(override: Override) -> dict[str, JsonValue]:
    return {
        "decision": override.decision.digest,
        "by": override.by,
        "reason": override.reason,
        "ticket": override.ticket,
        "created": override.created,
        "expires": override.expires,
        "signed": override.key is not None,
        "key": override.key,
    }
