"""What a policy can decide on a dataset, said before anything is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from relkit.core.values import OUTSIDE, Shape, named
from relkit.gate.types import Mode

LintSeverity = Literal["refuse", "warn"]

Outlook = Literal["decides", "weak", "cannot", "unknown"]
"""``decides``: an equal system passes in at least 80 %;
``weak``: less often; ``cannot``: never; ``unknown``: only finished runs can tell."""

OUTLOOKS: tuple[Outlook, ...] = ("cannot", "weak", "unknown", "decides")
"""The most worrying first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """What is doubtful about a policy, or about a policy on certain data.

    ``refuse``: the rule can never do its job, so the policy is refused; ``warn``: it can, but not
    as well as it looks. ``code`` is one of a fixed set of words; ``rule`` is None where the whole
    policy is meant; ``line`` is the rule's place in the file.
    """

    rule: str | None
    severity: LintSeverity
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
    """What is in one slice of a selection; ``units`` by the name of a metric's denominator.

    ``shared`` as of :class:`relkit.statistics.power.SliceSize`.
    """

    slice: str
    utterances: int
    clusters: int
    units: Mapping[str, UnitCount]
    shared: float = 0.0


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
class Assumed:
    """What a prediction rests on: the rate of the baseline, and where that number is from.

    ``measured`` says by what it was measured, alike for all slices; None where it is assumed.
    The others as ``Assumptions`` says; None where finished runs measured
    the difference itself, or none of it is used.
    """

    rate: float | None
    rate_from: str
    measured: str | None = field(default=None, metadata=OUTSIDE)
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
    ``excludes_ratio`` the smallest ratio of rates at which equal systems pass with 80 %.
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
    assumed: Assumed | None = field(default=None, metadata=named("supposed"))
    smallest: float | None = None
    equal_passes: float | None = None
    blocked_from: float | None = None
    excludes_ratio: float | None = None
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
        outlooks = {item.outlook for item in self.slices}
        return next((outlook for outlook in OUTLOOKS if outlook in outlooks), "cannot")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What a policy can decide on a dataset, rule by rule, with what would change that.

    ``turns`` counts those of the scripts of conversations. ``assumptions`` are sentences: all that
    the numbers rest on. ``baseline`` and ``candidate`` are the runs whose values were used.
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
    turns: int = 0
    baseline: str | None = None
    candidate: str | None = None
    rules: tuple[RulePlan, ...]
    assumptions: tuple[str, ...]
    findings: tuple[LintFinding, ...] = ()
