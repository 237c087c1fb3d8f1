"""Two systems on the same utterances: how far apart they are, slice by slice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from relkit.core.values import Count, Shape

if TYPE_CHECKING:
    from relkit.core.arrays import FloatArray, IntArray


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
    them, ``discordant`` the clusters in which the two differ at all.
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
    """

    slices: tuple[str, ...]
    slice_index: "IntArray"
    cluster_index: "IntArray"
    columns: "Mapping[str, FloatArray]"
    by_prompt: PromptSums | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceValues:
    """Single measurements (latencies) per slice, for percentiles.

    Rows are sorted by slice, then by value: ``slice_index`` (R,), ``cluster_index`` (R,) with the
    numbering of :class:`ClusterSums`, ``values`` (R,) finite.
    """

    slices: tuple[str, ...]
    slice_index: "IntArray"
    cluster_index: "IntArray"
    values: "FloatArray"


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
