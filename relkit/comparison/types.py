"""What is said about two runs side by side: slice by slice, utterance by utterance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from relkit.core.values import ErrorCounts, Shape, named
from relkit.evaluation.types import ChangedSetting
from relkit.scoring.types import Texts
from relkit.statistics.types import Difference, Pairing


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One utterance and repeat as a page shows it.

    ``counts`` is None where the item was unusable. ``texts`` is None unless transcripts were asked
    for; ``audio`` is the digest of the decoded samples, None where it is not known or not asked
    for. ``unsafe`` names what an agent did wrong ("injections"). ``measures`` are further numbers
    of the row (predicted MOS and the like). Times in ms, ``duration`` in s.
    """

    id: str
    repeat: int = 0
    slices: Mapping[str, str] = field(default_factory=dict)
    counts: ErrorCounts | None = None
    runaway: bool = False
    loop: bool = False
    failure: str | None = None
    unusable: str | None = None
    latency_ms: float | None = None
    first_byte_ms: float | None = None
    duration: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    texts: Texts | None = None
    audio: str | None = None
    unsafe: tuple[str, ...] = ()


class Finding(StrEnum):
    """What the evidence says of one slice; none of these is a verdict of a gate."""

    WORSE = "worse"
    BETTER = "better"
    NOT_SEEN = "no difference seen"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordChange:
    """Words that came out wrong in the candidate less those in the baseline, by kind."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What a difference means to users.

    ``per_thousand`` are extra wrong words per thousand turns of the slice, ``turns`` how many those
    were, ``share`` their share of all turns (a fraction), and ``of_all`` what the slice adds per
    thousand of all turns. An utterance counts at most its own words, so that one repetition loop
    does not hide everything else. None without a turn.
    """

    turns: int
    per_thousand: float | None
    share: float | None
    of_all: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part that a regression is attributed to, and its share of a slice's own excess."""

    slice: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceChange(Difference):
    """One slice: its difference, the test of the family, how it came out, and what it costs.

    ``p_adjusted`` is the family-wise p-value of being worse, ``p_better`` that of the opposite,
    ``simultaneous_low`` the lower end of the worsening over the family; they, ``excludes`` and
    ``test_note`` are as in :class:`relkit.statistics.types.Regression`.
    ``needed_clusters`` is how many clusters there would have to be in all, None where more of the
    same would not say more. ``reason`` says the finding in words. ``elsewhere`` is the part that
    the regression is attributed to, where most of this slice's own excess is in it: such a slice
    is worse because of what it shares with the part.
    """

    finding: Finding
    reason: str
    p_adjusted: float | None = None
    p_better: float | None
    simultaneous_low: float | None = None
    excludes: float | None = None
    needed_clusters: int | None = None
    test_note: str | None = None
    elsewhere: Part | None = None
    harm: Harm
    words: WordChange


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallChange(Difference):
    """All utterances together: the finding rests on the interval of the difference."""

    finding: Finding
    reason: str
    needed_clusters: int | None = None
    harm: Harm
    words: WordChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """An utterance that one run got right and the other did not.

    Errors are word errors; for a metric of safety what it counts, such as attacks obeyed.
    """

    id: str
    repeat: int
    cluster: str
    slices: Mapping[str, str]
    baseline_errors: int
    candidate_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Utterances that flipped: how many each way, and those with the most errors.

    Only utterances that the baseline answered: where it failed, nothing flipped.
    """

    broken: int = field(metadata=named("right_to_wrong"))
    mended: int = field(metadata=named("wrong_to_right"))
    worst_broken: tuple[Flip, ...] = field(default=(), metadata=named("worst_right_to_wrong"))
    worst_mended: tuple[Flip, ...] = field(default=(), metadata=named("worst_wrong_to_right"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionChange:
    """A confusion that became more or less frequent; None where a word was left out or made up."""

    FILE: ClassVar = Shape(derived={"change": "utterances"})

    expected: str | None
    given: str | None
    baseline: int
    candidate: int
    utterances: int

    @property
    def change(self) -> int:
        """How many more there are in the candidate."""
        return self.candidate - self.baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The part of the data that explains most of a regression, with as little data as possible.

    ``of`` is the slice that regressed, ``slice`` the part inside it. ``excess`` counts the errors
    that the candidate has more there, ``share`` is that in relation to the excess of ``of``
    (above 1 where other parts got better), ``data`` the part's share of the units of ``of``.
    """

    of: str
    slice: str
    excess: float
    share: float
    data: float
    utterances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTest:
    """The matched-pairs test of sentence segments (MAPSSWE): reported, never a finding.

    ``mean`` is errors of the candidate less those of the baseline per segment. ``note`` says why
    there is no ``z`` or two-sided ``p``.
    """

    segments: int
    mean: float | None = None
    z: float | None = None
    p: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One of the two runs by what identifies it; ``system`` is its kind, model and compute type."""

    run: str
    candidate: str
    created: str
    load: str
    system: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareReport:
    """Two runs over the same utterances, the candidate against the baseline.

    ``slices`` come by evidence: those found worse first. ``timings`` are differences of the whole,
    metric name to difference; empty where the two were not measured under the same load, which a
    note then says. ``confusions`` and ``segments`` are None unless transcripts were asked for.
    ``settings`` are those of the system in which the two differ.
    ``detectable`` is the ratio of rates that a slice has to be able to show before "no difference
    seen" is said.
    """

    schema: Literal["relkit.compare/v1"] = "relkit.compare/v1"
    baseline: ComparedRun
    candidate: ComparedRun
    dataset: str
    suite: str
    normalizer: str
    settings: tuple[ChangedSetting, ...] = ()
    metric: str
    unit: str
    cluster: str
    detectable: float
    pairing: Pairing
    overall: OverallChange
    slices: tuple[SliceChange, ...]
    new_slices: tuple[str, ...]
    vanished_slices: tuple[str, ...]
    flips: Flips = field(metadata=named("flipped"))
    confusions: tuple[ConfusionChange, ...] | None = None
    segments: SegmentTest | None = field(default=None, metadata=named("mapsswe"))
    attribution: Attribution | None
    timings: Mapping[str, Difference] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
