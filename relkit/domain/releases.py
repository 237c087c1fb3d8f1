"""What can be served, and the ledger that says what was served when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Component = Literal["asr", "llm", "tts", "retriever", "safety", "stack"]
ReleaseKind = Literal["files", "reference", "hosted", "stack"]
Attested = Literal["gate", "legacy", "none"]
"""Whether a gate stands behind a release, or it came from a registry that knew of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """One file of an artifact: path relative to the release's folder or workspace, and digest."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What is served: files by digest, or an OCI or HTTP reference with its digest.

    ``digest`` is that of decisions about it: the SHA-256 of the sorted ``path, sha256`` lines of
    files, of the one file, or the one that the reference names. ``root`` is the folder of the
    files, relative to the workspace.
    """

    digest: str
    root: str | None = None
    files: tuple[ArtifactFile, ...] = ()
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedIdentity:
    """A vendor's model, which has no artifact: what was asked for, and how it behaved.

    ``configuration`` is the digest of its effective configuration, ``fingerprint`` that of its
    answers to fixed probe clips (None: never taken).
    """

    provider: str
    model: str
    configuration: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What has to fit between a release and what runs beside it; None: it does not say."""

    sample_rate_hz: int | None = None
    languages: tuple[str, ...] = ()
    label_schema: str | None = None
    feature_schema: str | None = None
    api_version: str | None = None
    tokenizer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCost:
    """What one unit of serving costs; ``per`` names it (``call``, ``minute``)."""

    amount: float
    currency: str
    per: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A dataset a release was trained or evaluated on."""

    dataset: str
    digest: str
    revision: str | None = None
    use: Literal["evaluation", "training"] = "evaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an imported release comes from: a registry, its number there, and what it knew."""

    registry: str
    version: str
    source: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a model, as ``release.json`` has it.

    ``report`` and ``decision`` are digests of the evaluation's report and of the gate's decision.
    ``requires`` maps a partner model to a range of its versions (``>=1.2,<2``), ``pins`` of a stack
    each component model to its one version. ``worse_slices`` are slices this release is known to be
    worse on. ``digest`` is that of the record, canonical. ``origin`` says where an imported one
    comes from.
    """

    model: str
    version: str
    component: Component
    kind: ReleaseKind
    digest: str
    created: str
    artifact: Artifact | None = None
    hosted: HostedIdentity | None = None
    report: str | None = None
    run: str | None = None
    decision: str | None = None
    lineage: tuple[Lineage, ...] = ()
    interface: Interface = Interface()
    requires: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    worse_slices: tuple[str, ...] = ()
    owner: str = ""
    licence: str = ""
    serving_cost: ServingCost | None = None
    runtime: str | None = None
    attested: Attested = "none"
    origin: Origin | None = None

    @property
    def artifact_digest(self) -> str | None:
        """The digest a decision has to be about, None for what has no artifact."""
        return None if self.artifact is None else self.artifact.digest


class EventKind(StrEnum):
    """What can happen to a release."""

    REGISTERED = "registered"
    CANARY = "canary"
    PROMOTED = "promoted"
    HELD = "held"
    ROLLED_BACK = "rolled_back"
    YANKED = "yanked"
    RESTORED = "restored"
    OVERRIDDEN = "overridden"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEvent:
    """One line of a model's ledger, in the order of ``sequence`` (from 1, without gaps).

    ``version`` is what the event is about: the version served from now on for ``promoted`` and
    ``rolled_back``. ``from_version`` is what was served before. ``traffic`` is the share of traffic
    the version has from now on (0 to 1). ``release`` is the digest of its release record,
    ``decision`` that of the decision behind the event. ``bad`` names the versions a rollback
    removes, ``slice`` the slice that failed. ``previous`` is the digest of the line before, None
    for the first; ``digest`` that of this line.
    """

    model: str
    sequence: int
    kind: EventKind
    version: str
    at: str
    by: str
    digest: str
    previous: str | None
    reason: str = ""
    from_version: str | None = None
    traffic: float | None = None
    release: str | None = None
    decision: str | None = None
    bad: tuple[str, ...] = ()
    slice: str | None = None
    attested: Attested = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A release that rollback may not go to, and why."""

    version: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTarget:
    """Where to go back to and why.

    ``target`` is None where no release fits; ``refused`` lists every release that was looked at
    with its reason, newest first. ``bad`` is the whole first-bad set, ``live`` what is served now.
    ``evidence`` says in words what speaks for the target; ``steps`` is the plan, ``checklist`` what
    people check after it. For a stack ``revert`` maps each component to go back to its version, and
    ``alternatives`` are further sets, the next best first.
    """

    model: str
    live: str | None
    bad: tuple[str, ...]
    target: str | None
    refused: tuple[Refused, ...]
    evidence: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    checklist: tuple[str, ...] = ()
    revert: Mapping[str, str] = field(default_factory=dict)
    alternatives: tuple[Mapping[str, str], ...] = ()
    attested: Attested = "none"
