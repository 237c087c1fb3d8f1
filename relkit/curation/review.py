"""Ranks utterances for human review by what a run's numbers say about them and their slices.

Each signal lies between 0 and 1, and the score is ``1 - prod(1 - weight * signal)``: the chance
that at least one of independent reasons holds. It rises with every signal and never leaves [0, 1).
docs/importing.md lists the signals.
"""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rapidfuzz.distance import Levenshtein

from relkit.core.slices import OVERALL, SliceSpec
from relkit.curation.types import ReviewCandidate, ScoredItem, Signals

JUDGED_CLUSTERS = 5

JUDGED_UTTERANCES = 30
"""Evidence below which a slice says too little (docs/method.md, section "Tests of a rule")."""

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
        clusters = 1 - self.clusters / JUDGED_CLUSTERS
        return max(0.0, clusters, 1 - self.utterances / JUDGED_UTTERANCES)


def slice_states(
    items: Collection[ScoredItem], baseline: Mapping[str, ScoredItem] | None
) -> dict[str, SliceState]:
    """Return every slice of one column by its name, and ``overall``.

    Against a baseline only utterances of both runs count, and where the baseline gave no answer it
    counts as perfect (docs/method.md, section "Comparing two systems").
    """
    groups: dict[str, list[ScoredItem]] = {}
    for item in items:
        for name in (OVERALL, *item_slices(item)):
            groups.setdefault(name, []).append(item)
    expected = _rate(groups.get(OVERALL, ())) or 0.0
    return {name: _state(group, baseline, expected) for name, group in sorted(groups.items())}


def item_slices(item: ScoredItem) -> tuple[str, ...]:
    """Return the names of the slices an utterance is in, one per column."""
    columns = sorted(item.slices.items())
    return tuple(SliceSpec(columns=(column,)).key((value,)) for column, value in columns)


def _rate(items: Collection[ScoredItem], *, perfect_failures: bool = False) -> float | None:
    words = sum(item.words for item in items)
    errors = (item.errors for item in items if not (perfect_failures and item.failures))
    return sum(errors) / words if words else None


def _state(
    items: Sequence[ScoredItem], baseline: Mapping[str, ScoredItem] | None, expected: float
) -> SliceState:
    if baseline is None:
        now, before = _rate(items), expected
    else:
        pairs = [(item, baseline[item.id]) for item in items if item.id in baseline]
        pairs = [(item, earlier) for item, earlier in pairs if item.words and earlier.words]
        now = _rate([item for item, _ in pairs])
        before = _rate([earlier for _, earlier in pairs], perfect_failures=True) or 0.0
    return SliceState(
        utterances=len(items),
        clusters=len({item.cluster for item in items}),
        errors=sum(item.errors for item in items),
        words=sum(item.words for item in items),
        worse=max(0.0, 0.0 if now is None else now - before),
    )


WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "unusable": 0.9,
        "label_error": 0.8,
        "runaway": 0.7,
        "failure": 0.7,
        "slice_regression": 0.6,
        "disagreement": 0.5,
        "low_coverage": 0.2,
    }
)
"""How far each signal alone can raise the score."""

HALF = 0.05
"""The worsening of a slice's capped WER, 5 points, that counts as half a regression."""


def score(signals: Signals) -> float:
    """Return ``1 - prod(1 - weight * signal)`` over the signals that are known."""
    parts = ((weight, getattr(signals, name)) for name, weight in WEIGHTS.items())
    return 1.0 - math.prod(1.0 - weight * (value or 0.0) for weight, value in parts)


def regression_signal(worse: float, error: float | None) -> float:
    """Return ``worse / (worse + 0.05) * error``: what went right says nothing about the slice."""
    gap = max(0.0, worse)
    return gap / (gap + HALF) * (error or 0.0)


def disagreement_signal(hypotheses: Sequence[Sequence[str]]) -> float | None:
    """Return the mean distance between the answers of two or more systems, else None.

    The distance is ``E / max(N, M)`` on tokens: 0 for the same words, 1 for none in common.
    """
    pairs = list(itertools.combinations(hypotheses, 2))
    return (
        math.fsum(Levenshtein.normalized_distance(a, b) for a, b in pairs) / len(pairs)
        if pairs
        else None
    )


def agreed_label_signal(disagreement: float, errors: Sequence[float]) -> float:
    """Return ``(1 - disagreement) * min(errors)``: systems agree, and not with the label.

    ``errors`` are each system's ``E / max(N, M)`` against the reference.
    """
    return (1.0 - disagreement) * min(errors, default=0.0)


def lonely_error_signal(error: float, rest: float) -> float:
    """Return ``max(0, 2 error - 1) * (1 - min(1, rest))^2``: wrong where all else is fine.

    ``rest`` is the highest capped WER that one of its slices has without this utterance, each
    pooled with 30 utterances of the run's own rate.
    """
    return max(0.0, 2.0 * error - 1.0) * (1.0 - min(1.0, max(0.0, rest))) ** 2


def candidate(
    item: ScoredItem, further: Sequence[ScoredItem], states: Mapping[str, SliceState]
) -> ReviewCandidate:
    """Return what is known about one utterance; ``further`` are other systems' answers to it."""
    names = item_slices(item) or (OVERALL,)
    worst = max(names, key=lambda name: (states[name].likely_worse, name))
    rarest = max(names, key=lambda name: (states[name].coverage_gap, name))
    answered = [
        scored
        for scored in (item, *further)
        if scored.tokens is not None and scored.counts is not None
    ]
    disagreement = disagreement_signal([scored.tokens or () for scored in answered])
    rest = _rest(item, names, states)
    regression = regression_signal(states[worst].likely_worse, item.error)
    gap = states[rarest].coverage_gap
    runs = max(1, item.repeats)
    signals = Signals(
        slice_regression=regression,
        low_coverage=gap,
        disagreement=disagreement,
        label_error=_label_signal(item, answered, disagreement, rest),
        runaway=item.runaways / runs,
        failure=item.failures / runs,
        unusable=item.unusable / runs,
    )
    by_slice = WEIGHTS["slice_regression"] * regression >= WEIGHTS["low_coverage"] * gap
    shown = worst if by_slice else rarest
    state = states[shown]
    return ReviewCandidate(
        id=item.id,
        score=score(signals),
        slice=shown,
        signals=signals,
        numbers={
            "error": item.error,
            "words": item.words,
            "slice_worse": state.worse,
            "slice_wer": state.errors / state.words if state.words else None,
            "slice_utterances": state.utterances,
            "slice_clusters": state.clusters,
            "rest_wer": rest,
            "systems": len(answered),
        },
    )


def _rest(item: ScoredItem, names: Sequence[str], states: Mapping[str, SliceState]) -> float:
    """Return the highest capped WER around an utterance, small slices pooled with the whole run."""
    overall = states[OVERALL]
    prior = overall.rate_without(item)
    weight = JUDGED_UTTERANCES * overall.words / overall.utterances
    pooled = (states[name].rate_without(item, prior=prior, weight=weight) for name in names)
    return max(prior, *pooled)


def _label_signal(
    item: ScoredItem, answered: Sequence[ScoredItem], disagreement: float | None, rest: float
) -> float:
    """Return how likely the label is wrong: by agreement of systems, else by a lonely error.

    A failure or a runaway is the system's fault and says nothing about the label.
    """
    if disagreement is not None:
        counted = [scored.counts for scored in answered if scored.counts is not None]
        errors = [
            counts.errors / max(1, counts.reference_length, counts.hypothesis_length)
            for counts in counted
        ]
        return agreed_label_signal(disagreement, errors)
    if item.error is None or item.failures or item.runaways or item.tokens is None:
        return 0.0
    return lonely_error_signal(item.error, rest)


def rank(candidates: Collection[ReviewCandidate]) -> tuple[ReviewCandidate, ...]:
    """Return those with a score above 0, highest first; equal ones by id."""
    flagged = [item for item in candidates if item.score > 0]
    return tuple(sorted(flagged, key=lambda item: (-item.score, item.id)))
