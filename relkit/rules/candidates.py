"""Ranks utterances for human review by what a run's numbers say about them.

Each signal lies between 0 and 1, and the score is ``1 - prod(1 - weight * signal)``: the chance
that at least one of independent reasons holds. It rises with every signal and never leaves [0, 1).
docs/importing.md lists the signals.
"""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from rapidfuzz.distance import Levenshtein

from relkit.domain.candidates import ReviewCandidate, ScoredItem, Signals
from relkit.domain.slices import OVERALL
from relkit.rules.review_slices import MIN_UTTERANCES, SliceState, slices_of

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

Tokens = Sequence[str]


def score(signals: Signals) -> float:
    """Return ``1 - prod(1 - weight * signal)`` over the signals that are known."""
    parts = ((weight, getattr(signals, name)) for name, weight in WEIGHTS.items())
    return 1.0 - math.prod(1.0 - weight * (value or 0.0) for weight, value in parts)


def regression_signal(worse: float, error: float | None) -> float:
    """Return ``worse / (worse + 0.05) * error``: what went right says nothing about the slice."""
    gap = max(0.0, worse)
    return gap / (gap + HALF) * (error or 0.0)


def disagreement_signal(hypotheses: Sequence[Tokens]) -> float | None:
    """Return the mean distance between the answers of two or more systems, else None.

    The distance is ``E / max(N, M)`` on tokens: 0 for the same words, 1 for none in common.
    """
    pairs = list(itertools.combinations(hypotheses, 2))
    return math.fsum(_distance(a, b) for a, b in pairs) / len(pairs) if pairs else None


def _distance(first: Tokens, second: Tokens) -> float:
    longest = max(len(first), len(second))
    return Levenshtein.distance(first, second) / longest if longest else 0.0


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
    item: ScoredItem, others: Sequence[ScoredItem], states: Mapping[str, SliceState]
) -> ReviewCandidate:
    """Return what is known about one utterance; ``others`` are other systems' answers to it."""
    names = slices_of(item) or (OVERALL,)
    worst = max(names, key=lambda name: (states[name].likely_worse, name))
    rarest = max(names, key=lambda name: (states[name].coverage_gap, name))
    heard = [one for one in (item, *others) if one.tokens is not None and one.counts is not None]
    disagreement = disagreement_signal([one.tokens for one in heard if one.tokens is not None])
    rest = _rest(item, names, states)
    regression = regression_signal(states[worst].likely_worse, item.error)
    gap = states[rarest].coverage_gap
    runs = max(1, item.repeats)
    signals = Signals(
        slice_regression=regression,
        low_coverage=gap,
        disagreement=disagreement,
        label_error=_label_signal(item, heard, disagreement, rest),
        runaway=item.runaways / runs,
        failure=item.failures / runs,
        unusable=item.unusable / runs,
    )
    by_slice = WEIGHTS["slice_regression"] * regression >= WEIGHTS["low_coverage"] * gap
    shown = worst if by_slice else rarest
    return ReviewCandidate(
        id=item.id,
        score=score(signals),
        slice=shown,
        signals=signals,
        numbers=_numbers(item, states[shown], rest=rest, systems=len(heard)),
    )


def _rest(item: ScoredItem, names: Sequence[str], states: Mapping[str, SliceState]) -> float:
    """Return the highest capped WER around an utterance, small slices pooled with the whole run."""
    whole = states[OVERALL]
    prior = whole.rate_without(item)
    weight = MIN_UTTERANCES * whole.words / whole.utterances
    pooled = (states[name].rate_without(item, prior=prior, weight=weight) for name in names)
    return max(prior, *pooled)


def _label_signal(
    item: ScoredItem, heard: Sequence[ScoredItem], disagreement: float | None, rest: float
) -> float:
    """Return how likely the label is wrong: by agreement of systems, else by a lonely error.

    A failure or a runaway is the system's fault and says nothing about the label.
    """
    if disagreement is not None:
        counted = [one.counts for one in heard if one.counts is not None]
        errors = [
            counts.errors / max(1, counts.reference_length, counts.hypothesis_length)
            for counts in counted
        ]
        return agreed_label_signal(disagreement, errors)
    if item.error is None or item.failures or item.runaways or item.tokens is None:
        return 0.0
    return lonely_error_signal(item.error, rest)


def _numbers(
    item: ScoredItem, state: SliceState, *, rest: float, systems: int
) -> dict[str, float | None]:
    return {
        "error": item.error,
        "words": item.words,
        "slice_worse": state.worse,
        "slice_wer": state.errors / state.words if state.words else None,
        "slice_utterances": state.utterances,
        "slice_clusters": state.clusters,
        "rest_wer": rest,
        "systems": systems,
    }


def rank(candidates: Collection[ReviewCandidate]) -> tuple[ReviewCandidate, ...]:
    """Return those with a score above 0, highest first; equal ones by id."""
    flagged = [one for one in candidates if one.score > 0]
    return tuple(sorted(flagged, key=lambda one: (-one.score, one.id)))
