"""Releases and the ledger that says what was served when; mirrors, and what the verbs return."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from relkit.core.codec import Defect
from relkit.core.errors import BackendUnavailable
from relkit.core.values import (
    OUTSIDE,
    REQUIRED,
    WRITTEN,
    Checked,
    Digest,
    Limits,
    Rate,
    Shape,
    Time,
    named,
)

Component = Literal["asr", "llm", "tts", "retriever", "safety", "stack"]
ReleaseKind = Literal["files", "reference", "hosted", "stack"]
Attested = Literal["gate", "legacy", "none"]
"""Whether a gate stands behind a release, or it came from a registry that knew of none."""

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
VERSION_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def printable(text: str) -> str:
    """Return one line of text; raises ValueError for control characters and blanks around it."""
    if not text.isprintable() or text.strip() != text:
        raise ValueError("is not one plain line of text")
    return text


def no_line_break(text: str) -> str:
    """Return text without control characters; raises ValueError."""
    if not text.isprintable():
        raise ValueError("holds a line break or another control character")
    return text


def language_name(text: str) -> str:
    """Return a language (``en``, ``en-GB``); raises ValueError."""
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("a language such as en or en-GB was expected")
    return text


ModelName = Annotated[str, Limits(pattern=MODEL_NAME)]
VersionName = Annotated[str, Limits(pattern=VERSION_NAME)]
PlainLine = Annotated[str, Limits(min_length=1, max_length=200), Checked(printable)]
_Text = Annotated[str, Limits(max_length=200), Checked(printable)]
_Place = Annotated[str, Limits(min_length=1, max_length=1000)]
_Address = Annotated[str, Limits(min_length=1, max_length=2000), Checked(printable)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What is served: files below a folder of the workspace, or an OCI or HTTP reference.

    ``digest`` is that of decisions about it: the SHA-256 of the sorted ``path, sha256`` lines of
    the files, of the one file, or the one that the reference names. ``root`` is the folder of the
    files, relative to the workspace; ``files`` maps their paths below it to their digests.
    """

    FILE: ClassVar = Shape(omitted=True)

    digest: Digest
    root: _Place | None = None
    files: Mapping[_Place, Digest] = field(default_factory=dict)
    reference: _Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedIdentity:
    """A vendor's model, which has no artifact: what was asked for, and how it behaved.

    ``configuration`` is the digest of its effective configuration, ``fingerprint`` that of its
    answers to fixed probe clips (None: never taken).
    """

    FILE: ClassVar = Shape(omitted=True)

    provider: PlainLine
    model: PlainLine
    configuration: Digest
    fingerprint: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What has to fit between a release and what runs beside it; None: it does not say."""

    FILE: ClassVar = Shape(omitted=True)

    sample_rate_hz: Annotated[int, Limits(ge=1, le=1_000_000)] | None = None
    languages: tuple[Annotated[str, Checked(language_name)], ...] = ()
    label_schema: PlainLine | None = None
    feature_schema: PlainLine | None = None
    api_version: PlainLine | None = None
    tokenizer: PlainLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCost:
    """What one unit of serving costs; ``per`` names it (``call``, ``minute``)."""

    amount: Annotated[float, Limits(ge=0, le=1e9)]
    currency: Annotated[str, Limits(pattern=r"^[A-Z]{3}$")]
    per: PlainLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A dataset a release was trained or evaluated on."""

    FILE: ClassVar = Shape(omitted=True)

    dataset: PlainLine
    digest: Digest
    revision: PlainLine | None = None
    use: Literal["evaluation", "training"] = field(default="evaluation", metadata=WRITTEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an imported release comes from: a registry, its number there, and what it knew."""

    FILE: ClassVar = Shape(omitted=True)

    registry: PlainLine
    version: PlainLine
    source: _Address | None = None
    run: PlainLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a model, as ``release.json`` has it.

    ``kind`` is told by what there is where a file leaves it out; a sealed release has one.
    ``report`` and ``decision`` are digests of the evaluation's report and of the gate's decision.
    ``requires`` maps a partner model to a range of its versions (``>=1.2,<2``), ``pins`` of a stack
    each component model to its one version. ``worse_slices`` are slices this release is known to be
    worse on. ``origin`` says where an imported one comes from. ``digest`` is that of the record,
    canonical.
    """

    FILE: ClassVar = Shape(omitted=True)

    schema: Literal["relkit.release/v1"] = field(
        default="relkit.release/v1", metadata=REQUIRED | WRITTEN
    )
    model: ModelName
    version: VersionName
    component: Component
    kind: ReleaseKind | None = None
    created: Time
    owner: _Text = ""
    licence: _Text = ""
    artifact: Artifact | None = None
    hosted: HostedIdentity | None = None
    run: PlainLine | None = None
    report: Digest | None = None
    decision: Digest | None = None
    lineage: tuple[Lineage, ...] = ()
    interface: Interface = Interface()
    requires: Mapping[ModelName, PlainLine] = field(default_factory=dict)
    pins: Mapping[ModelName, VersionName] = field(default_factory=dict)
    worse_slices: tuple[PlainLine, ...] = ()
    serving_cost: ServingCost | None = None
    runtime: PlainLine | None = None
    attested: Attested = "none"
    origin: Origin | None = None
    digest: str = field(default="", metadata=OUTSIDE)

    @property
    def artifact_digest(self) -> str | None:
        """The digest a decision has to be about, None for what has no artifact."""
        return None if self.artifact is None else self.artifact.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """How a vendor's model behaved on fixed probe clips: ``probe.json``, without any text.

    ``digest`` is the SHA-256 of the RFC 8785 form of dataset, normalizer and all normalized
    answers; two are comparable where ``dataset``, ``normalizer`` (digests) and ``clips``, the
    number of answers, are the same. ``configuration`` is the digest of the system's settings.
    """

    schema: Literal["relkit.probe/v1"] = field(default="relkit.probe/v1", metadata=REQUIRED)
    digest: Digest = field(metadata=named("fingerprint"))
    configuration: Digest
    dataset: Digest
    normalizer: Digest
    clips: Annotated[int, Limits(ge=1)]
    run: PlainLine


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

    FILE: ClassVar = Shape(omitted=True)

    schema: Literal["relkit.event/v1"] = field(
        default="relkit.event/v1", metadata=REQUIRED | WRITTEN
    )
    model: ModelName
    sequence: Annotated[int, Limits(ge=1)]
    kind: EventKind
    version: VersionName
    at: Time
    by: PlainLine
    previous: Digest | None = None
    reason: Annotated[str, Limits(max_length=1000), Checked(no_line_break)] = ""
    from_version: VersionName | None = None
    traffic: Rate | None = None
    release: Digest | None = None
    decision: Digest | None = None
    bad: tuple[VersionName, ...] = ()
    slice: PlainLine | None = None
    attested: Attested = "none"
    digest: Digest


Code = Literal[
    "edited",
    "foreign",
    "duplicated",
    "removed",
    "forked",
    "reordered",
    "truncated",
    "rewritten",
    "unanchored",
    "torn",
    "conflict",
    "inadmissible",
]

MENDABLE: frozenset[Code] = frozenset(
    {"duplicated", "forked", "reordered", "unanchored", "torn", "conflict"}
)
"""What can be repaired from what is certain: the events are all there, each with its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """A line of a ledger: its event where it holds one, and what is wrong with the line itself."""

    number: int
    event: ReleaseEvent | None
    wrong: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """An event that is known to be in the ledger: nothing up to it may be missing."""

    sequence: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainProblem:
    """What happened to a ledger; ``line`` is None where it is about no one line."""

    code: Code
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedLedger:
    """What a ledger's file holds.

    ``torn`` is how many bytes a last line has that is cut off; ``unended`` says that the last line
    is whole and only its line feed is missing. ``markers`` are the numbers of lines that git wrote
    into it as the marks of a conflict.
    """

    lines: tuple[LedgerLine, ...]
    torn: int = 0
    unended: bool = False
    markers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReading:
    """A ledger as it lies there: what is certain, and what is wrong.

    ``source`` is how messages call its file, ``anchored`` the text of its anchor.
    """

    source: str
    parsed: ParsedLedger
    problems: tuple[ChainProblem, ...] = ()
    anchored: str = ""

    @property
    def events(self) -> tuple[ReleaseEvent, ...]:
        """The events of the lines that are sound, as they stand in the file."""
        return tuple(line.event for line in self.parsed.lines if line.event and line.wrong is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReading:
    """A release as it was read: None with its defects where there are some."""

    release: Release | None
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredVersion:
    """One version as the mirror has to have it; ``adopts`` is the number it was imported from."""

    version: str
    source: str
    tags: Mapping[str, str]
    registered: int
    adopts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredModel:
    """All that a mirror has to have of a model, plain enough to be sent to another process.

    ``aliases`` maps each alias to a version of relkit's or None; ``allowed`` to the versions
    (and None) that the ledger ever had there, by the event since which it had them. ``guarded``
    says that an alias is moved only from where the ledger once had it: the mirror follows an event,
    and repairs nothing.
    """

    model: str
    versions: tuple[RequiredVersion, ...]
    aliases: Mapping[str, str | None]
    sequence: int
    allowed: Mapping[str, tuple[tuple[int, str | None], ...]] = field(default_factory=dict)
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorVersion:
    """A version of a registered model: its own number, where it lies, what it is tagged with."""

    number: str
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorModel:
    """A registered model as it was found; ``aliases`` maps an alias to a number."""

    versions: tuple[MirrorVersion, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyVersion(MirrorVersion):
    """A version of an existing registry, as much of it as there is to know.

    ``source`` is the address it was registered with, ``location`` where that leads to. Times are
    UTC. ``stage`` is that of an old registry (``Production``).
    """

    model: str
    created: str
    location: str = ""
    run: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyModel:
    """A registered model of an existing registry: its versions, oldest first.

    ``aliases`` maps an alias to the number of a version, which may have been deleted since.
    """

    versions: tuple[LegacyVersion, ...]
    aliases: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """What came in of one model; ``name`` is its own, ``model`` relkit's.

    ``registered`` came in now, ``unchanged`` had before; ``unverifiable`` are those whose files are
    not here. ``notes`` say what could not be known, ``conflicts`` what was refused.
    """

    name: str
    model: str
    registered: tuple[str, ...]
    unchanged: tuple[str, ...]
    unverifiable: tuple[str, ...]
    live: str | None
    previous: str | None
    notes: tuple[str, ...]
    conflicts: tuple[str, ...] = field(metadata=OUTSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryValidation:
    """What is wrong with the releases of a workspace."""

    releases: int
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryVerification:
    """What is wrong with models' ledgers and digests; none: all of it is as it was recorded.

    ``repaired`` says what was mended, ``unchecked`` what could not be looked at here, ``recorded``
    which verifications are in the ledger now, ``mirror`` whether there is one. ``silent`` says why
    it could not be asked; what it says is not known then.
    """

    problems: tuple[str, ...]
    models: tuple[str, ...]
    events: int
    repaired: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    mirror: Literal["skipped", "compared", "silent"] = "skipped"
    silent: BackendUnavailable | None = field(default=None, metadata=OUTSIDE)
