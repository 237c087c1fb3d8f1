"""Two systems on the same utterances, slice by slice; two arms of traffic, unit by unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.values import Count, Limits, Shape

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class NullReplay:
    """The run's own data replayed as comparisons of equal systems (A/A).

    ``blocked`` of ``replays`` failed and ``undecided`` were neither failed nor passed. ``method``
    says how the labels of candidate and baseline were exchanged.
    """

    replays: Count
    blocked: Count
    undecided: Count
    method: str

    @property
    def false_block_rate(self) -> float | None:
        """Blocked / replays, a fraction; None where nothing was replayed."""
        return self.blocked / self.replays if self.replays else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much worse a candidate is than a baseline in one slice: positive is worse.

    ``worsening`` with its two-sided 95 % interval is in the metric's unit; None where there is
    none, and ``note`` says why. ``se`` and ``df`` belong to it (None without an interval). ``n``
    counts the units of the candidate's denominator, ``utterances`` and ``clusters`` what is behind
    them, each once whatever the repeats, ``discordant`` the clusters in which the two differ at
    all.
    """

    slice: str
    candidate: float | None
    baseline: float | None
    worsening: float | None
    low: float | None = None
    high: float | None = None
    se: float | None = None
    df: float | None = None
    n: int = 0
    utterances: int = 0
    clusters: int = 0
    discordant: int = 0
    unit: str = "fraction"
    method: str = "none"
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """What the joint test of a family of slices says about one of them.

    ``difference`` with its own interval; ``low`` is the simultaneous lower end of the worsening at
    95 % over the family (one-sided). ``p`` is the slice's own p-value, ``p_adjusted`` that over the
    family: family-wise where it can block, by the false discovery rate where it is only looked at
    (:func:`relkit.statistics.families.test_regressions`). ``excludes`` is the smallest ratio of the
    two rates that this data excludes (None where it excludes none), ``needed_clusters`` how many
    clusters like these would exclude the wanted one in 80 %. ``note`` says why there is no test.
    ``alone``: there is none for its metric, and the slice is read by its own interval, not
    corrected for the number of slices.
    """

    slice: str
    difference: Difference
    p: float | None = None
    p_adjusted: float | None = None
    low: float | None = None
    excludes: float | None = None
    needed_clusters: int | None = None
    note: str | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """How the utterances (and repeats) of two runs match, as counts of result rows.

    ``both`` are in both runs, ``compared`` of them have a score in both. ``moved`` have another
    cluster or slice value in the other run. ``duplicates`` are rows whose id and repeat stand more
    than once in one run. ``baseline_failures`` are the ids, sorted, in which the baseline gave no
    answer; ``candidate_failures`` counts those of the candidate. ``differing`` counts the compared
    rows whose errors (of words, of the texts as they came, or of characters) are not the same.
    """

    FILE: ClassVar = Shape(derived={"whole": "candidate_failures"})

    both: int
    compared: int
    only_candidate: int
    only_baseline: int
    moved: int
    duplicates: int
    baseline_failures: tuple[str, ...] = ()
    candidate_failures: int = 0
    differing: int | None = None

    @property
    def alike(self) -> bool:
        """Whether the two runs made the same errors in every compared row, of which there are."""
        return self.differing == 0 and self.compared > 0

    @property
    def whole(self) -> bool:
        """Whether each row of either run has its one partner in the other."""
        return not (self.only_candidate or self.only_baseline or self.moved or self.duplicates)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSums:
    """Sums per (slice, cluster, prompt), of prompts that several clusters read and of no other.

    As :class:`ClusterSums`, whose slices and clusters they number; ``prompt_index`` (R,) is the
    same number for the same prompt in every slice.
    """

    slice_index: "IntArray"
    cluster_index: "IntArray"
    prompt_index: "IntArray"
    columns: "Mapping[str, FloatArray]"

    @property
    def prompts(self) -> int:
        """How many prompts there are."""
        return len(set(self.prompt_index.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSums:
    """Sums of result columns per (slice, cluster), one row each, sorted by slice.

    ``slices`` names the S slices; ``slice_index`` (R,) says which slice a row belongs to, in
    ascending order; ``cluster_index`` (R,) is the same number for the same cluster in every slice;
    ``columns`` maps a name (``errors``, ``words`` …) to its sums (R,). ``by_prompt`` are the same
    sums by prompt, where clusters share enough of them to be clustered by, too; else None.
    ``repeats`` is how often each utterance was asked: the sums are over all of it.
    """

    slices: tuple[str, ...]
    slice_index: "IntArray"
    cluster_index: "IntArray"
    columns: "Mapping[str, FloatArray]"
    by_prompt: PromptSums | None = None
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceValues:
    """Single measurements (latencies) per slice, for percentiles.

    Rows are sorted by slice, then by value: ``slice_index`` (R,), ``cluster_index`` (R,) with the
    numbering of :class:`ClusterSums`, ``values`` (R,) finite; of every utterance as many as the
    ``repeats`` in which it has one.
    """

    slices: tuple[str, ...]
    slice_index: "IntArray"
    cluster_index: "IntArray"
    values: "FloatArray"
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedSums:
    """The sums of two systems over the same utterances, row by row the same slice and cluster.

    ``candidate`` and ``baseline`` share slices, ``slice_index`` and ``cluster_index``. An utterance
    counts only where both have a score; where the baseline failed it counts as perfect
    (docs/method.md, section "Comparing two systems"). ``clusters`` is how many clusters there are
    in all, numbered from 0.
    """

    candidate: ClusterSums
    baseline: ClusterSums
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedValues:
    """Single measurements of two systems over the same utterances, as :class:`SliceValues` each.

    Only utterances that both have a value for are in it.
    """

    candidate: SliceValues
    baseline: SliceValues


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSums:
    """Units, turns and events of one arm; ``rate`` is events / turns, None without a turn."""

    units: int
    turns: int
    events: int

    @property
    def rate(self) -> float | None:
        """Return events / turns, a fraction."""
        return self.events / self.turns if self.turns else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCounts:
    """The units of one step, trigger and slice, as a histogram of k cells.

    ``units`` (k,) is how many units have the arm ``canary`` (k,), so many ``turns`` (k,), from 1,
    and so many ``events`` (k,) among them. A cell may stand more than once. ValueError where the
    lengths differ, events are not within 0 and turns, or a count is negative.
    """

    canary: BoolArray
    turns: IntArray
    events: IntArray
    units: IntArray

    def __post_init__(self) -> None:
        """Refuse what is no histogram of units."""
        if len({len(self.canary), len(self.turns), len(self.events), len(self.units)}) != 1:
            raise ValueError("the columns of a histogram of units have one length")
        if bool(np.any(self.turns < 1)) or bool(np.any(self.units < 0)):
            raise ValueError("a unit has at least one turn, and a cell no negative count")
        if bool(np.any(self.events < 0)) or bool(np.any(self.events > self.turns)):
            raise ValueError("a unit has between no event and one per turn")

    def __add__(self, other: "UnitCounts") -> "UnitCounts":
        """Return both together, every cell once and in ascending order, whatever the order was."""
        canary = np.concatenate((self.canary, other.canary))
        turns = np.concatenate((self.turns, other.turns))
        events = np.concatenate((self.events, other.events))
        order = np.lexsort((events, turns, canary))
        canary, turns, events = canary[order], turns[order], events[order]
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = (np.diff(canary) != 0) | (np.diff(turns) != 0) | (np.diff(events) != 0)
        units = np.zeros(int(first.sum()), dtype=np.int64)
        np.add.at(units, np.cumsum(first) - 1, np.concatenate((self.units, other.units))[order])
        cells = np.flatnonzero(first)[units > 0]
        return UnitCounts(
            canary=canary[cells], turns=turns[cells], events=events[cells], units=units[units > 0]
        )

    def arm(self, *, canary: bool) -> ArmSums:
        """Return the sums of one arm."""
        units = np.where(self.canary == canary, self.units, 0)
        return ArmSums(
            units=int(units.sum()),
            turns=int((units * self.turns).sum()),
            events=int((units * self.events).sum()),
        )

    @property
    def both_arms(self) -> bool:
        """Whether there are units of the canary and of control: else nothing can be compared."""
        return all(self.arm(canary=canary).units > 0 for canary in (True, False))


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionCost:
    """What errors cost, and how often speech is spoofed.

    The defaults are those of the ASVspoof 5 evaluation plan (track 1): a spoof has the prior
    0.05, a miss costs 1, a false acceptance 10.
    """

    FILE: ClassVar = Shape(omitted=True)

    spoof_prior: Annotated[float, Limits(gt=0, le=0.999999)] = 0.05
    miss: Annotated[float, Limits(gt=0, le=1e6)] = 1.0
    false_acceptance: Annotated[float, Limits(gt=0, le=1e6)] = 10.0

    @property
    def weights(self) -> tuple[float, float]:
        """Weights of miss rate and false-acceptance rate in the normalised cost.

        The cost is divided by that of the better of two systems that do not listen: one accepts
        everything, the other nothing.
        """
        misses = self.miss * (1.0 - self.spoof_prior)
        acceptances = self.false_acceptance * self.spoof_prior
        least = min(misses, acceptances)
        return misses / least, acceptances / least


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCosts:
    """What one trial of a spoofing detector adds to equal error rate and detection cost.

    See :class:`relkit.statistics.detection.TrialSums`, of which it is a row.
    """

    eer_errors: float
    eer_weight: float
    dcf_cost: float
    dcf_weight: float
    scarce: float
