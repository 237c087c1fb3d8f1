"""The slices of a run as review sees them: how good, how well covered, how much worse."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from relkit.domain.candidates import ScoredItem
from relkit.domain.slices import OVERALL, SliceSpec

MIN_CLUSTERS = 5
MIN_UTTERANCES = 30
"""Evidence below which a slice says too little (rules.md section 4)."""

FEW = 5
"""Utterances at which a slice's worsening counts half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceState:
    """One slice: capped errors and words of all of it, and how much worse it is than expected.

    ``worse`` is its capped WER less the baseline's on the same utterances, or less that of the
    whole run where there is no baseline; never below 0.
    """

    utterances: int
    clusters: int
    errors: int
    words: int
    worse: float

    def rate_without(self, item: ScoredItem, *, prior: float = 0.0, weight: float = 0.0) -> float:
        """Return the capped WER of the slice without one of its utterances.

        It is pooled with ``weight`` words of rate ``prior``: a small slice says little by itself.
        """
        words = self.words - item.words + weight
        return (self.errors - item.errors + prior * weight) / words if words > 0 else 0.0

    @property
    def likely_worse(self) -> float:
        """Return ``worse * n / (n + 5)`` for n utterances: few may be worse by chance."""
        return self.worse * self.utterances / (self.utterances + FEW)

    @property
    def coverage_gap(self) -> float:
        """How far clusters or utterances fall short of the least that can be judged, 0 to 1."""
        clusters = 1 - self.clusters / MIN_CLUSTERS
        return max(0.0, clusters, 1 - self.utterances / MIN_UTTERANCES)


def slice_states(
    items: Collection[ScoredItem], baseline: Mapping[str, ScoredItem] | None
) -> dict[str, SliceState]:
    """Return every slice of one column by its name, and ``overall``.

    Against a baseline only utterances of both runs count, and where the baseline gave no answer it
    counts as perfect (rules.md section 4).
    """
    groups: dict[str, list[ScoredItem]] = {}
    for item in items:
        for name in (OVERALL, *slices_of(item)):
            groups.setdefault(name, []).append(item)
    whole = _rate(groups.get(OVERALL, ())) or 0.0
    return {name: _state(group, baseline, whole) for name, group in sorted(groups.items())}


def slices_of(item: ScoredItem) -> tuple[str, ...]:
    """Return the names of the slices an utterance is in, one per column."""
    columns = sorted(item.slices.items())
    return tuple(SliceSpec(columns=(column,)).key((value,)) for column, value in columns)


def _rate(items: Collection[ScoredItem]) -> float | None:
    words = sum(item.words for item in items)
    return sum(item.errors for item in items) / words if words else None


def _state(
    items: Sequence[ScoredItem], baseline: Mapping[str, ScoredItem] | None, whole: float
) -> SliceState:
    rate = _rate(items)
    worse = 0.0 if rate is None else rate - whole
    if baseline is not None:
        pairs = [(item, baseline[item.id]) for item in items if item.id in baseline]
        worse = _worsening([(now, before) for now, before in pairs if now.words and before.words])
    return SliceState(
        utterances=len(items),
        clusters=len({item.cluster for item in items}),
        errors=sum(item.errors for item in items),
        words=sum(item.words for item in items),
        worse=max(0.0, worse),
    )


def _worsening(pairs: Sequence[tuple[ScoredItem, ScoredItem]]) -> float:
    now, before = _rate([now for now, _ in pairs]), _answered_rate([old for _, old in pairs])
    return 0.0 if now is None or before is None else now - before


def _answered_rate(items: Sequence[ScoredItem]) -> float | None:
    words = sum(item.words for item in items)
    return sum(item.errors for item in items if not item.failures) / words if words else None
