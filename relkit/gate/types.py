"""Gate policies and the decisions they lead to, in the shape of their files (docs/gates.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from relkit.core.slices import OVERALL
from relkit.core.values import (
    OMITTED,
    OPTIONAL,
    OUTSIDE,
    REQUIRED,
    WRITTEN,
    Count,
    Digest,
    Duration,
    Limits,
    Line,
    Named,
    NonEmpty,
    Read,
    Reason,
    Shape,
    Time,
    duration_s,
    named,
)
from relkit.disclosure.types import Subjects
from relkit.evaluation.types import ChangedSetting
from relkit.statistics.types import NullReplay


class Verdict(StrEnum):
    """What came of a rule or a policy, the most blocking first.

    See docs/method.md, section "Verdicts and exit codes".
    """

    FAIL = "fail"
    ERROR = "error"
    NO_DATA = "no_data"
    INCONCLUSIVE = "inconclusive"
    PASS = "pass"  # noqa: S105 - a verdict


ORDER: tuple[Verdict, ...] = tuple(Verdict)
"""Overall is the first of these that occurs among required results."""

Test = Literal["bound", "non_inferiority", "no_regression", "min_change"]
Mode = Literal["required", "advisory", "dry_run"]
Enforcement = Literal["enforce", "shadow"]
SignaturePolicy = Literal["required", "optional"]
Population = Literal["clusters", "these_clusters"]

Against = Literal["baseline", "anchor"]
"""What a candidate is compared with."""

CheckName = Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""The name of a policy, of a part, and of a check or approval."""

Number = Annotated[float, Limits(ge=-1e9, le=1e9)]
Least = Annotated[int, Limits(ge=1, le=10**9)]
ReasonText = Annotated[str, Limits(max_length=4000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRule:
    """A rule as a policy has it: what must hold, where, with which bound and evidence.

    ``metric`` is spelled out (``latency_ms.p95``); ``slice`` is ``overall``, ``col=value``,
    ``col=*`` or a crossing of those. All bounds are in the metric's own unit (fractions, ms);
    ``margin`` and ``anchor_margin`` are the largest acceptable worsening against the baseline and
    against the anchor; ``detectable`` is a ratio of rates, ``tolerate`` a worsening of a slice that
    does not matter.
    """

    id: Annotated[str, Limits(pattern=r"^[a-z0-9._-]{1,64}$")]
    metric: NonEmpty
    slice: NonEmpty = OVERALL
    test: Test | None = None
    mode: Mode = "required"
    max: Number | None = None
    min: Number | None = None
    margin: Number | None = None
    detectable: Number | None = None
    tolerate: Number | None = field(default=None, metadata=OPTIONAL | OMITTED)
    min_change: Number | None = None
    min_relative_change: Number | None = None
    anchor_margin: Number | None = None
    min_clusters: Least | None = None
    min_utterances: Least | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(WrittenRule):
    """A rule as it is judged, and as decisions have it: nothing is left to the policy.

    ``line`` is its place in the policy's file.
    """

    FILE: ClassVar = Shape(required=True)

    test: Test = "bound"
    detectable: Number = 2.0
    min_clusters: Least = 5
    min_utterances: Least = 30
    line: int | None = field(default=None, metadata=OUTSIDE)


CANDIDATE = "candidate"
"""What a required record is about: the artifact, or the settings, of what was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A named check or approval that has to be there; ``signed`` asks for a trusted signature.

    ``max_age`` None: no limit besides the record's own expiry. ``about`` asks for a record that
    names what it is about: :data:`CANDIDATE` for what was judged, or a part of a launch for that
    part's. None: one that names nothing will do, one that names another never does.
    """

    name: CheckName
    signed: bool = False
    max_age: Duration | None = None
    about: CheckName | None = None

    @property
    def max_age_s(self) -> float | None:
        """How old the record may be, in seconds; None: as old as it is."""
        return None if self.max_age is None else duration_s(self.max_age)


def _requirement(written: object) -> object:
    """Return a requirement as a mapping; a file may have its name only."""
    return {"name": written} if isinstance(written, str) else written


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPolicy:
    """A policy as its file has it: what a candidate has to show before it may be promoted.

    ``baseline_max_age`` None: a baseline ages by its digests only. ``paired`` False allows runs
    that did not answer the same utterances, ``any_load`` bounds on times that were measured under
    several loads. ``anchor`` names an older run. ``parts`` maps the name
    of a part (``asr``) to the name of its own policy, for a launch that is decided over several
    runs. ``population`` is what a decision speaks of: the clusters that those of the data are a
    sample of, or ``these_clusters`` alone, a closed set. ``signature`` says whether only signed
    decisions can promote. ``min_clusters`` and ``min_utterances`` are those of rules that have
    none.
    """

    schema: Literal["relkit.gate/v1"] = field(default="relkit.gate/v1", metadata=REQUIRED)
    name: CheckName
    enforcement: Enforcement = "enforce"
    max_age: Duration = "24h"
    valid_for: Duration = "24h"
    baseline_max_age: Duration | None = None
    coverage: Annotated[float, Limits(gt=0, le=1)] = 0.99
    paired: bool = True
    any_load: bool = False
    anchor: Annotated[str, Limits(min_length=1, max_length=200)] | None = None
    signature: SignaturePolicy = "optional"
    population: Population = "clusters"
    min_clusters: Least = 5
    min_utterances: Least = 30
    requires: tuple[Annotated[Requirement, Read(_requirement, CheckName)], ...] = ()
    parts: Mapping[CheckName, CheckName] = field(default_factory=dict)
    rules: tuple[WrittenRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy(WrittenPolicy):
    """A policy whose rules can be judged.

    ``digest`` is the SHA-256 of the policy as it was read, with those of its parts; ``document`` is
    what it was read from, for those who check that.
    """

    digest: str
    rules: tuple[Rule, ...] = ()
    source: str = ""
    document: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def max_age_s(self) -> float:
        """How old the candidate's run may be, in seconds."""
        return duration_s(self.max_age)

    @property
    def baseline_max_age_s(self) -> float | None:
        """How old the baseline's run may be, in seconds; None: as old as it is."""
        return None if self.baseline_max_age is None else duration_s(self.baseline_max_age)

    @property
    def valid_for_s(self) -> float:
        """How long a decision is valid, in seconds."""
        return duration_s(self.valid_for)


STRICTLY = 1e-10
"""What a relative change of a baseline of 0 has to reach: better by something."""

NEW_SLICE = "new since the dataset was locked"
"""How the reason of a new slice begins, in every decision file so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What came of one rule in one slice, always with a reason in words.

    ``code`` is the reason as one of a fixed set of words (``worse_than_margin``). ``quantity`` says
    what ``observed``, ``low``, ``high`` and ``bound`` are about: the candidate's ``value``, its
    ``worsening`` against the baseline, or its ``improvement``. ``candidate`` and ``baseline`` are
    the two values; all are in ``unit``. ``bound`` is what ``observed`` is held against, 0 for a
    family of slices: a worsening that the family's test finds is one. ``excludes`` is the smallest
    ratio of the two rates that this data excludes; older decisions have ``detects`` instead, the
    smallest that it finds with 80 % power. ``needed_clusters`` is how many clusters would decide.
    ``part`` names the part of a launch. ``harm`` is extra wrong words per thousand turns.
    ``method`` says how the ends of a rate's own value were made: ``score``, by a test of the limit,
    or as the report made them; older decisions, which knew one way only, do not have it.
    """

    FILE: ClassVar = Shape(required=True)

    rule: str
    slice: str
    metric: str
    test: str
    mode: Mode
    verdict: Verdict
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    bound: float | None = None
    p_adjusted: float | None = None
    n: Count = 0
    clusters: Count = 0
    needed_clusters: Count | None = None
    reason: ReasonText
    code: str
    quantity: Literal["value", "worsening", "improvement"] = "value"
    unit: str = "fraction"
    candidate: float | None = None
    detects: float | None = None
    excludes: float | None = field(default=None, metadata=OPTIONAL)
    utterances: Count = 0
    against: Against | None = None
    part: str | None = None
    harm: float | None = None
    method: str | None = field(default=None, metadata=OPTIONAL | OMITTED)

    @property
    def new_slice(self) -> bool:
        """Whether the slice was not there when the dataset was locked: it advises and never blocks.

        The file has no key for that: its mark is how the reason begins.
        """
        return self.reason.startswith(NEW_SLICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what was asked for could be scored (a run's counts).

    ``failures`` are answers of the scored that the system failed to give: they count as all wrong.
    Counts are of answers, of which every item has as many as there are ``repeats``.
    """

    expected: Count
    scored: Count
    unusable: Count
    failures: Count = field(default=0, metadata=OPTIONAL)
    repeats: Least = field(default=1, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """A run that a decision rests on, by digest; ``report`` is the digest of its report.json.

    ``system`` is the kind of the system with its model and how it computes.
    """

    run: str
    report: Digest
    candidate: Digest
    artifact: Digest | None
    created: Time
    system: str = field(default="", metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDataset:
    """The dataset a candidate was judged on; ``revision`` is the commit, None without one.

    ``subjects`` is whose data it is, None in decisions that do not say: they are taken for people.
    """

    name: str
    revision: str | None
    digest: Digest
    subjects: Subjects | None = field(default=None, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPart:
    """What one policy was asked about: the runs and what they were measured with.

    ``name`` is None for a policy without parts. ``cluster`` is what the numbers are clustered by,
    and by ``shared_prompts`` prompts as well (0: no prompt that counts has several clusters); None
    in decisions that do not say. ``crossed`` is the column of prompts, where one was chosen.
    ``settings`` are those of the system in which candidate and baseline differ, ``warnings`` what
    the verdict leaves out and people should know. ``population`` is there where it speaks of the
    clusters of the data alone: its numbers are then clustered by utterance.
    """

    FILE: ClassVar = Shape(required=True)

    name: str | None
    policy: Named
    candidate: JudgedRun
    baseline: JudgedRun | None
    anchor: JudgedRun | None
    dataset: JudgedDataset
    suite: Named
    normalizer: Named
    scorer: str
    coverage: Coverage
    baseline_failures: tuple[str, ...] = ()
    null_replay: NullReplay | None = None
    cluster: str | None = field(default=None, metadata=OPTIONAL | OMITTED)
    crossed: str | None = field(default=None, metadata=OPTIONAL | OMITTED)
    shared_prompts: Count | None = field(default=None, metadata=OPTIONAL | OMITTED)
    settings: tuple[ChangedSetting, ...] = field(default=(), metadata=OPTIONAL | OMITTED)
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL | OMITTED)
    population: Literal["these_clusters"] | None = field(default=None, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCheck:
    """What another tool or a person says about a candidate: a load test, a budget, an approval.

    ``candidate`` is the digest of what was checked (artifact or candidate digest), None where the
    check is not about one. Times are UTC; ``by`` is who or what says so. ``finding`` is the digest
    of the look at live traffic that it stands for.
    """

    FILE: ClassVar = Shape(omitted=True)

    schema: Literal["relkit.check/v1"] = field(
        default="relkit.check/v1", metadata=REQUIRED | WRITTEN
    )
    name: CheckName
    verdict: Verdict
    reason: Reason
    by: Line
    created: Time
    expires: Time | None = None
    digest: str = field(default="", metadata=OUTSIDE)
    candidate: Digest | None = None
    key: str | None = field(default=None, metadata=OUTSIDE)
    ticket: Line | None = None
    finding: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord(WrittenCheck):
    """A check as decisions have it.

    ``digest`` is that of its bytes; ``key`` the key id of a trusted signature over it, None without
    one.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.check/v1"] = field(default="relkit.check/v1", metadata=OUTSIDE)
    name: str
    reason: ReasonText
    by: str
    digest: Digest
    key: str | None = None
    ticket: str | None = None
    finding: Digest | None = field(default=None, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridden:
    """The decision that an override is about: ``digest`` is that of its statement.

    ``runs`` are the candidate's runs.
    """

    digest: Digest
    policy: str
    policy_digest: Digest
    verdict: Verdict
    runs: Annotated[tuple[str, ...], Limits(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenOverride:
    """A person's word that a candidate may go although its gate did not pass, as it is signed."""

    FILE: ClassVar = Shape(required=True)

    decision: Overridden
    by: Line
    reason: Reason
    ticket: Line
    created: Time
    expires: Time
    tool_version: str = ""
    subjects: tuple[str, ...] = field(default=(), metadata=OUTSIDE)
    key: str | None = field(default=None, metadata=OUTSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override(WrittenOverride):
    """An override with what stands around it.

    ``subjects`` are the digests it is about. ``key`` is the key id of a trusted signature, None
    where there is none: then it counts for nothing, and is shown as such.
    """

    subjects: Annotated[tuple[Digest, ...], Limits(min_length=1)]
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsTable:
    """The sums behind one metric, by slice and cluster.

    A row is (slice number, cluster number, the candidate's sums, then those of what it is compared
    with): slices are numbered as in ``slices``, sums stand in the order of ``columns``. Without
    ``against`` the candidate stands alone. Clusters are numbered from 0 in an order that the
    workspace's key makes of the decision's inputs: it tells no name, and another decision has
    another one. In a table
    ``by`` repeat the second number is the repeat of the run, in one ``by`` prompt that of a prompt
    that several clusters read. In one ``by`` cell it is the place k of a sum x_k in the row, and
    the row holds sum x_k x_j over the cells (cluster by shared prompt) for each j. Sums are over
    the ``repeats`` in which each utterance was asked: it counts once.
    """

    FILE: ClassVar = Shape(required=True)

    metric: str
    against: Against | None = None
    by: Literal["cluster", "repeat", "prompt", "cell"] = "cluster"
    repeats: Least = field(default=1, metadata=OPTIONAL | OMITTED)
    slices: tuple[NonEmpty, ...]
    columns: tuple[NonEmpty, ...]
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatistics:
    """What the interval of one percentile in one slice rests on.

    ``value`` is the percentile; ``rows`` are (values, values above it) by cluster, tied values
    counted by a fraction; ``values`` counts the measurements, ``utterances`` those of the slice.
    ``low`` is the measurement of rank ``low_rank`` in ascending order (1 the smallest), None where
    there is no such rank; ``high`` likewise. The measurements themselves are not given: that these
    are the ones of those ranks has to be believed. ``other`` is the same of the run that it is
    compared with, its rows of the same clusters; the ranks are then those of the difference.
    """

    FILE: ClassVar = Shape(required=True)

    slice: str
    value: float
    values: Count
    utterances: Count
    rows: tuple[tuple[float, float], ...]
    low_rank: int | None = None
    low: float | None = None
    high_rank: int | None = None
    high: float | None = None
    other: "OrderStatistics | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileTable:
    """The percentiles of measurements by slice; ``share`` is 0.95 for p95.

    Without ``against`` the candidate stands alone. Measurements are of all ``repeats`` in which
    each utterance was asked.
    """

    FILE: ClassVar = Shape(required=True)

    metric: str
    against: Against | None = None
    share: float
    repeats: Least = field(default=1, metadata=OPTIONAL | OMITTED)
    slices: tuple[OrderStatistics, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEvidence:
    """What the checks of one part rest on: the rules as they were read, and the sums.

    ``part`` is None for a policy without parts.
    """

    FILE: ClassVar = Shape(required=True)

    part: str | None
    rules: tuple[Rule, ...]
    sums: tuple[SumsTable, ...] = ()
    percentiles: tuple[PercentileTable, ...] = ()


METHOD = 2
"""The formulas by which decisions are made now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvidence:
    """What a decision rests on, part by part, so that others can recompute it.

    ``about_percentiles`` says what a third party cannot recompute. ``method`` numbers the formulas
    that led from the sums to the verdicts (docs/evidence.md): those of older decisions are 1.
    """

    FILE: ClassVar = Shape(required=True)

    about_percentiles: str = (
        "a percentile's rows are (values, values above it) by cluster; that low and high are the "
        "measurements of their ranks has to be believed"
    )
    parts: tuple[PartEvidence, ...] = ()
    method: Annotated[int, Limits(ge=1, le=METHOD)] = field(default=1, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidingPolicy:
    """The policy of a decision; ``documents`` maps the name of a policy to what it was read from.

    The documents are those that the digests of the policy and of its parts are made of.
    """

    FILE: ClassVar = Shape(required=True)

    name: str
    digest: Digest
    enforcement: Enforcement
    documents: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """The verdict of a policy over everything it was given, with what it rests on by digest.

    ``reason_codes`` are the codes of every result that is no pass, the most blocking first.
    ``serial`` counts a workspace's decisions upward; ``previous`` is the digest of the one before.
    ``overrides`` are those that were in force for the candidate when it was decided: they change no
    verdict, and are shown with it.
    """

    FILE: ClassVar = Shape(
        required=True, derived={"promotable": "verdict", "not_promotable": "verdict"}
    )

    verdict: Verdict
    reason_codes: tuple[str, ...]
    policy: DecidingPolicy
    parts: tuple[JudgedPart, ...]
    results: tuple[RuleResult, ...] = field(metadata=named("checks"))
    checks: tuple[CheckRecord, ...] = field(default=(), metadata=named("required_checks"))
    serial: Annotated[int, Limits(ge=1)] = 0
    previous: Digest | None = None
    created: Time = ""
    expires: Time = ""
    tool_version: str = ""
    overrides: tuple[Override, ...] = ()
    evidence: DecisionEvidence = DecisionEvidence()

    @property
    def promotes(self) -> bool:
        """Whether this decision may promote: a shadow decision never does."""
        return self.verdict is Verdict.PASS and self.policy.enforcement == "enforce"

    @property
    def subjects(self) -> tuple[tuple[str, str, bool], ...]:
        """(Name, digest, whether it is an artifact) of what it is about, part by part.

        Without an artifact digest the digest of the candidate's settings stands for it.
        """
        runs = ((part.name or "candidate", part.candidate) for part in self.parts)
        return tuple(
            (n, run.artifact or run.candidate, run.artifact is not None) for n, run in runs
        )

    @property
    def not_promotable(self) -> tuple[str, ...]:
        """Every reason why it can promote nothing, in words; none where it can."""
        reasons = []
        if self.verdict is not Verdict.PASS:
            reasons.append(f"the verdict is {self.verdict}")
        if self.policy.enforcement != "enforce":
            reasons.append("the policy's enforcement is shadow: such a decision never promotes")
        if not self.parts:
            reasons.append("no candidate was judged")
        for name, _, artifact in self.subjects:
            if not artifact:
                reasons.append(
                    f"{name} has no artifact digest: the subject is the digest of its settings"
                )
        return tuple(reasons)

    @property
    def promotable(self) -> bool:
        """Whether it can promote: an enforced pass about artifacts."""
        return not self.not_promotable


SINGLE_PART = ""
"""The name of the one part of a policy that has no parts."""
