"""A promotion decision: the policy that asks, what came of each rule, and the verdict.

What a gate is asked: which runs, by part of a launch.

What a policy can decide on a dataset, said before anything is decoded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from relkit.core.slices import OVERALL
from relkit.core.values import Shape
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What must hold, where, with which bound and evidence.

    ``metric`` is spelled out (``latency_ms.p95``); ``slice`` is ``overall``, ``col=value``,
    ``col=*`` or a crossing of those. All bounds are in the metric's own unit (fractions, ms);
    ``margin`` and ``anchor_margin`` are the largest acceptable worsening against the baseline and
    against the anchor; ``detectable`` is a ratio of rates. ``line`` is its place in the file.
    """

    id: str
    metric: str
    slice: str = OVERALL
    test: Test = "bound"
    mode: Mode = "required"
    max: float | None = None
    min: float | None = None
    margin: float | None = None
    detectable: float = 2.0
    min_change: float | None = None
    min_relative_change: float | None = None
    anchor_margin: float | None = None
    min_clusters: int = 5
    min_utterances: int = 30
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A named check or approval that has to be there; ``signed`` asks for a trusted signature.

    ``max_age_s`` is in seconds, None for no limit besides the record's own expiry.
    """

    name: str
    signed: bool = False
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """What a candidate has to show before it may be promoted.

    Ages in seconds; ``baseline_max_age_s`` None: a baseline ages by its digests only. ``paired``
    False allows runs that did not answer the same utterances. ``anchor`` names an older run.
    ``parts`` maps the name of a part (``asr``) to the name of its own policy, for a launch that is
    decided over several runs. ``signature`` says that only signed decisions can promote.
    ``digest`` is the SHA-256 of the policy as it was read, with those of its parts; ``document`` is
    what it was read from, for those who check that.
    """

    name: str
    digest: str
    rules: tuple[Rule, ...]
    enforcement: Enforcement = "enforce"
    coverage: float = 0.99
    max_age_s: float = 86400.0
    baseline_max_age_s: float | None = None
    valid_for_s: float = 86400.0
    paired: bool = True
    anchor: str | None = None
    requires: tuple[Requirement, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    signature: bool = False
    source: str = ""
    document: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What came of one rule in one slice, always with a reason in words.

    ``code`` is the reason as one of a fixed set of words (``worse_than_margin``). ``quantity`` says
    what ``observed``, ``low``, ``high`` and ``bound`` are about: the candidate's ``value``, its
    ``worsening`` against the baseline, or its ``improvement``. ``candidate`` and ``baseline`` are
    the two values; all are in ``unit``. ``bound`` is what ``observed`` is held against, 0 for a
    family of slices: a worsening that the family's test finds is one. ``detects`` is the smallest
    ratio of rates that this data finds with 80 % power, ``needed_clusters`` how many clusters would
    decide. ``part`` names the part of a launch. ``harm`` is extra wrong words per thousand turns.
    """

    rule: str
    slice: str
    metric: str
    test: str
    mode: Mode
    verdict: Verdict
    code: str
    reason: str
    quantity: Literal["value", "worsening", "improvement"] = "value"
    unit: str = "fraction"
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    candidate: float | None = None
    baseline: float | None = None
    bound: float | None = None
    p_adjusted: float | None = None
    detects: float | None = None
    n: int = 0
    clusters: int = 0
    utterances: int = 0
    needed_clusters: int | None = None
    against: Literal["baseline", "anchor"] | None = None
    part: str | None = None
    harm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what was asked for could be scored (a run's counts)."""

    expected: int
    scored: int
    unusable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """A run that a decision rests on, by digest; ``report`` is the digest of its report.json."""

    run: str
    report: str
    candidate: str
    artifact: str | None
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPart:
    """What one policy was asked about: the runs and what they were measured with.

    ``name`` is None for a policy without parts.
    """

    name: str | None
    policy: str
    policy_digest: str
    candidate: JudgedRun
    baseline: JudgedRun | None
    anchor: JudgedRun | None
    dataset: str
    dataset_revision: str | None
    dataset_digest: str
    suite: str
    suite_digest: str
    normalizer: str
    normalizer_digest: str
    scorer: str
    coverage: Coverage
    baseline_failures: tuple[str, ...] = ()
    null_replay: NullReplay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """What another tool or a person says about a candidate: a load test, a budget, an approval.

    ``candidate`` is the digest of what was checked (artifact or candidate digest), None where the
    check is not about one. ``digest`` is that of the record's bytes; ``key`` the key id of a
    trusted signature over it, None without one. Times are UTC; ``by`` is who or what says so.
    """

    name: str
    verdict: Verdict
    reason: str
    by: str
    created: str
    digest: str
    expires: str | None = None
    candidate: str | None = None
    key: str | None = None
    ticket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """The verdict of a policy over everything it was given, with what it rests on by digest.

    ``reason_codes`` are the codes of every result that is no pass, the most blocking first.
    ``serial`` counts a workspace's decisions upward; ``previous`` is the digest of the one before.
    """

    policy: str
    policy_digest: str
    enforcement: Enforcement
    verdict: Verdict
    reason_codes: tuple[str, ...]
    results: tuple[RuleResult, ...]
    parts: tuple[JudgedPart, ...]
    checks: tuple[CheckRecord, ...] = ()
    created: str = ""
    expires: str = ""
    serial: int = 0
    previous: str | None = None
    tool_version: str = ""

    @property
    def promotes(self) -> bool:
        """Whether this decision may promote: a shadow decision never does."""
        return self.verdict is Verdict.PASS and self.enforcement == "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A person's word that a candidate may go although its gate did not pass.

    ``decision`` is the digest of the overridden statement, ``subjects`` the digests it is about,
    ``verdict`` what it said. ``runs`` are the candidate's runs. ``key`` is the key id of a trusted
    signature, None where there is none: then it counts for nothing, and is shown as such.
    """

    decision: str
    policy: str
    policy_digest: str
    verdict: Verdict
    runs: tuple[str, ...]
    subjects: tuple[str, ...]
    by: str
    reason: str
    ticket: str
    created: str
    expires: str
    tool_version: str = ""
    key: str | None = None


WHOLE = ""
"""The name of the one part of a policy that has no parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """Runs by part (:data:`WHOLE` for a policy without parts): an id, a unique prefix, a folder."""

    candidates: Mapping[str, str]
    baselines: Mapping[str, str] = field(default_factory=dict)
    anchors: Mapping[str, str] = field(default_factory=dict)


Severity = Literal["refuse", "warn"]


Outlook = Literal["decides", "weak", "cannot", "unknown"]
"""``decides``: an equal system passes in at least 80 %, or the wanted ratio is found so often;
``weak``: less often; ``cannot``: never; ``unknown``: only finished runs can tell."""


OUTLOOKS: tuple[Outlook, ...] = ("cannot", "weak", "unknown", "decides")
"""The most worrying first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is doubtful about a policy, or about a policy on certain data.

    ``refuse``: the rule can never do its job, so the policy is refused; ``warn``: it can, but not
    as well as it looks. ``code`` is one of a fixed set of words; ``rule`` is None where the whole
    policy is meant; ``line`` is the rule's place in the file.
    """

    rule: str | None
    severity: Severity
    code: str
    message: str
    hint: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCount:
    """How many units of one kind (words, entities …) a slice has, in how many utterances."""

    total: int
    utterances: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFacts:
    """What is in one slice of a selection; ``units`` by the name of a metric's denominator."""

    slice: str
    utterances: int
    clusters: int
    units: Mapping[str, UnitCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionFacts:
    """What a policy would be judged on, counted from a manifest.

    ``values`` maps every slice column to its values; ``slices`` are those that the policy's rules
    name or match, those without an utterance left out. Words are the scorer's tokens of the texts
    before normalizing. ``task`` and ``metrics`` are those of the suite, None without one.
    ``noise_floors`` maps a quality metric to the standard deviation of one clip's score.
    """

    dataset: str
    revision: str | None
    digest: str
    cluster: str
    values: Mapping[str, tuple[str, ...]]
    slices: Mapping[str, SliceFacts]
    suite: str | None = None
    task: str | None = None
    metrics: tuple[str, ...] | None = None
    noise_floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """What a prediction rests on: the rate of the baseline, and where that number is from.

    The others as ``Assumptions`` says; None where finished runs measured
    the difference itself, or none of it is used.
    """

    rate: float | None
    rate_from: str
    discordance: float | None = None
    clumping: float | None = None
    between_clusters: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """What one rule can decide in one slice.

    ``says`` puts it in words. ``smallest`` is the smallest margin at which an equal system passes
    with 80 %, the smallest improvement that is shown with 80 %, or the value up to which a bound
    can be shown to hold, in the metric's unit; ``equal_passes`` the chance that an equal system
    passes at the policy's margin, ``blocked_from`` the true worsening that is blocked with 80 %;
    ``finds_ratio`` the smallest ratio of rates found with 80 %.
    ``needed_clusters`` would decide it, ``missing_clusters`` of them are not there. ``units`` of
    the metric's denominator are called ``unit``.
    """

    slice: str
    outlook: Outlook
    says: str
    utterances: int
    clusters: int
    units: int
    unit: str
    supposed: Supposed | None = None
    smallest: float | None = None
    equal_passes: float | None = None
    blocked_from: float | None = None
    finds_ratio: float | None = None
    needed_clusters: int | None = None
    missing_clusters: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePlan:
    """What one rule asks, in words, and what it can decide slice by slice."""

    FILE: ClassVar = Shape(derived={"outlook": "slices"})

    rule: str
    metric: str
    slice: str
    test: str
    mode: Mode
    asks: str
    slices: tuple[SlicePlan, ...]

    @property
    def outlook(self) -> Outlook:
        """The most worrying of its slices; ``cannot`` without one."""
        found = {item.outlook for item in self.slices}
        return next((outlook for outlook in OUTLOOKS if outlook in found), "cannot")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What a policy can decide on a dataset, rule by rule, with what would change that.

    ``assumptions`` are sentences: all that the numbers rest on. ``baseline`` and ``candidate`` are
    the runs whose measured values were used.
    """

    schema: Literal["relkit.gate-plan/v1"] = "relkit.gate-plan/v1"
    policy: str
    policy_digest: str
    dataset: str
    revision: str | None
    suite: str | None
    cluster: str
    utterances: int
    clusters: int
    words: int
    baseline: str | None = None
    candidate: str | None = None
    rules: tuple[RulePlan, ...]
    assumptions: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
