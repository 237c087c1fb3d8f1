"""Who is believed: public keys, as those see them that only ask whether a signature is good.

Further what a verifier says about an artifact without its evidence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.values import Limits, Shape, Time, named


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key that is believed: its id, and whether it made a signature over a message."""

    key: str
    made: Callable[[bytes, bytes], bool]
    """Called with (signature, message)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestSet:
    """Digests of a subject by algorithm; there is one."""

    sha256: Annotated[str, Limits(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What verified an artifact, and the version of each tool of it."""

    id: Literal["urn:relkit:gate", "urn:relkit:canary"]
    version: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryPolicy:
    """The policy that an artifact was held to, by digest; ``uri`` has its name."""

    uri: Annotated[str, Limits(pattern=r"^urn:relkit:policy:[A-Za-z0-9._+-]{1,64}$")]
    digest: DigestSet


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSummary:
    """That an artifact was verified, and nothing of the evidence: details stay confidential.

    The predicate ``https://slsa.dev/verification_summary/v1``. ``resource_uri`` is
    ``urn:relkit:artifact:sha256:`` and the digest of the artifact, which is the subject.
    ``verified_levels`` are names of relkit's own, as SLSA allows, or ``FAILED``.
    """

    FILE: ClassVar = Shape(required=True)

    verifier: Verifier
    time_verified: Time = field(metadata=named("timeVerified"))
    resource_uri: Annotated[str, Limits(pattern=r"^urn:relkit:artifact:sha256:[0-9a-f]{64}$")] = (
        field(metadata=named("resourceUri"))
    )
    policy: SummaryPolicy
    verification_result: Literal["PASSED", "FAILED"] = field(metadata=named("verificationResult"))
    verified_levels: tuple[Literal["RELKIT_GATE_PASSED", "RELKIT_CANARY_PASSED", "FAILED"], ...] = (
        field(metadata=named("verifiedLevels"))
    )
