"""What is written about a release: the part that people state, the facts, what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.values import REQUIRED, WRITTEN, Checked, Count, Digest, Fraction, Limits, Shape
from relkit.datasets.types import Consent
from relkit.disclosure.types import PacketRollback, ShownFinding, Subjects
from relkit.evaluation.types import Scalar
from relkit.gate.types import Verdict
from relkit.registry.types import (
    Attested,
    Component,
    EventKind,
    Interface,
    Lineage,
    ReleaseKind,
    ServingCost,
    language_name,
)
from relkit.report.types import SharedDocument, SharedNumber

CardFormat = Literal["markdown", "html", "pdf", "cyclonedx", "eval-results"]
DocumentFormat = Literal["markdown", "html", "pdf"]
RunbookKind = Literal[
    "rollout",
    "rollback",
    "first-hour",
    "post-release",
    "launch-review",
    "degradation",
    "handoff",
    "postmortem",
]

NOT_MEASURED = "not measured"
"""Stands for a number that no record has: never a blank, never 0."""


def plain_prose(text: str) -> str:
    """Return text with runs of blanks and line breaks as one blank; raises ValueError.

    Control characters, and those that turn the direction of text, are refused.
    """
    words = " ".join(text.split())
    if not words:
        raise ValueError("is empty")
    if not words.isprintable():
        raise ValueError("holds a control character")
    return words


Prose = Annotated[str, Limits(max_length=4000), Checked(plain_prose)]
"""What people wrote: one paragraph, never markup or a template."""

Paragraphs = Annotated[tuple[Prose, ...], Limits(max_length=200)]
"""A list of paragraphs; more than fit on paper is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a release was trained on, as people state it."""

    FILE: ClassVar = Shape(omitted=True)

    description: Prose | None = None
    consent: Consent | None = None
    source: Prose | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRisk:
    """Something that can go wrong, and what is done about it."""

    FILE: ClassVar = Shape(omitted=True)

    risk: Prose
    mitigation: Prose | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """Between which groups a gap is looked at (``accent=*``), and how much of one is tolerated."""

    group: Annotated[str, Limits(pattern=r"^[A-Za-z0-9._+-]{1,64}=\*$")]
    tolerance: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """``card.yaml`` beside a release: what no measurement knows.

    Every key may be left out, and reads "not stated" then; so does an empty list.
    """

    FILE: ClassVar = Shape(omitted=True)

    schema: Literal["relkit.card/v1"] = field(default="relkit.card/v1", metadata=REQUIRED | WRITTEN)
    intended_use: Prose | None = None
    out_of_scope: Paragraphs = ()
    limitations: Paragraphs = ()
    training_data: TrainingData | None = None
    languages: Annotated[
        tuple[Annotated[str, Checked(language_name)], ...], Limits(max_length=200)
    ] = ()
    base_model: Prose | None = None
    contact: Prose | None = None
    risks: Annotated[tuple[CardRisk, ...], Limits(max_length=200)] = ()
    fairness: Fairness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRelease:
    """Which release a card is about: what its record says, people's names left out.

    ``digest`` is that of the artifact, of a vendor's model that of its configuration; ``vendor``
    names its provider and model. ``pins`` are the component releases of a stack. Addresses of
    artifacts are not said. ``licence`` is empty where the record has none. ``served`` are the
    events of the ledger about it, to the minute; ``yanked`` since when it is withdrawn.
    """

    model: str
    version: str
    component: Component
    kind: ReleaseKind | None
    created: str
    licence: str
    attested: Attested
    digest: Digest | None
    vendor: str | None
    interface: Interface
    requires: Mapping[str, str]
    pins: Mapping[str, str]
    runtime: str | None
    served: tuple["CardEvent", ...]
    live: bool
    yanked: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEvent:
    """What the ledger says happened to a release, to the minute; ``traffic`` is its share since."""

    at: str
    kind: EventKind
    traffic: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardNumber:
    """One metric in one slice (``overall``, ``accent=american``), as it may be shown.

    ``better`` says which way is good; ``help`` is the metric's one line.
    """

    metric: str
    slice: str
    number: SharedNumber
    better: Literal["down", "up"]
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardGap:
    """The largest less the smallest value of a metric among the groups of a slice column.

    ``best`` and ``worst`` name the two slices, empty where there is no gap, or none to tell.
    ``gap`` has its interval, joint over all pairs of groups. ``visible`` is the smallest gap that
    this data would probably have shown, None where none is, or it cannot be told. ``groups`` are
    compared, ``left_out`` says that others are too small. ``tolerance`` is what card.yaml
    tolerates,
    ``within`` whether the interval keeps to it, None where nobody said or it cannot be told.
    """

    column: str
    metric: str
    best: str
    worst: str
    gap: SharedNumber
    visible: float | None
    groups: Count
    left_out: bool
    tolerance: float | None = None
    within: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEvaluation:
    """What was measured: on what, how, and with what result.

    ``numbers`` come by slice, ``overall`` first; ``latency`` are times, measured under ``load``
    (cores, processes, hardware; empty where only its digest is known, ``mixed`` where there were
    several). ``failures`` and ``runaways`` are shares of utterances. ``subjects`` is whose data it
    is, ``k`` the fewest people of a number (1: of no private person). ``hidden`` says how many
    numbers are not shown. ``report`` is the digest of the report, None where the data is people's:
    a digest would confirm a guess of what is hidden.
    """

    dataset: str
    dataset_digest: Digest
    revision: str | None
    subjects: Subjects
    k: Count
    suite: str
    suite_digest: Digest
    normalizer: str
    scorer: str
    created: str
    cluster: str
    coverage: SharedNumber
    numbers: tuple[CardNumber, ...]
    gaps: tuple[CardGap, ...]
    failures: SharedNumber
    runaways: SharedNumber
    latency: tuple[CardNumber, ...]
    load: Mapping[str, Scalar]
    load_digest: str
    hidden: Count
    limit: Count | None
    report: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDecision:
    """The gate's decision about a release: ``shown`` is what may leave the team of it.

    ``enforcement`` shadow: it promoted nothing. ``overrides`` counts those with a trusted
    signature. ``digest`` is that of the statement, None where the data is people's.
    """

    policy: str
    policy_digest: Digest
    enforcement: Literal["enforce", "shadow"]
    verdict: Verdict
    created: str
    expires: str
    shown: SharedDocument
    overrides: Count
    digest: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSignature:
    """Who vouches for a decision: ids of the trusted keys that signed; none: ``problem`` says why.

    ``problem`` is "unsigned" for a decision without a signature.
    """

    signers: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorseSlice:
    """A slice that a release is known to be worse at, and which record says so."""

    slice: str
    source: Literal["release", "decision", "ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything that a model card says, already fit to be public (docs/privacy.md).

    None stands for what no record has: ``not_measured`` and ``not_stated`` name it, by words for
    people in the order of the card. ``findings`` are the newest looks at its canary, one a policy.
    The same records give the same card.
    """

    release: CardRelease
    text: CardText
    evaluation: CardEvaluation | None
    decision: CardDecision | None
    signature: CardSignature | None
    cost: ServingCost | None
    lineage: tuple[Lineage, ...]
    rollback: PacketRollback | None
    worse: tuple[WorseSlice, ...]
    remarks: tuple[str, ...]
    not_measured: tuple[str, ...]
    not_stated: tuple[str, ...]
    findings: tuple[ShownFinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDocument:
    """A document that was written: what ``card`` and ``runbook`` print with ``--json``.

    ``path`` is None where it went to standard output; ``sha256`` is of its bytes, in hex.
    ``not_measured`` and ``not_stated`` name what it has to leave open, in its own order.
    """

    path: str | None
    sha256: str
    not_measured: tuple[str, ...]
    not_stated: tuple[str, ...]
