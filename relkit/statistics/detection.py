"""Detecting spoofed speech by a score: equal error rate and detection cost, as sums over trials.

A trial is *bona fide* (a person) or *spoofed* (synthetic, converted, replayed); the higher its
score, the more it is taken for bona fide. At a threshold t the miss rate is the share of bona fide
trials below t, the false-acceptance rate the share of spoofed trials from t on.
"""

from dataclasses import dataclass

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.statistics.types import BoolArray, DetectionCost


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSums:
    """What each of N trials adds to both metrics, (N,) each; ``eer`` and ``min_dcf`` are values.

    ``impersonation_eer`` is the sum of ``eer_errors`` over that of ``eer_weight``, ``min_dcf`` that
    of ``dcf_cost`` over ``dcf_weight``. Weights add up to N. ``scarce`` is 1 for trials of the
    class with fewer of them: what was never seen can be as frequent as these are few.
    """

    eer: float
    min_dcf: float
    eer_errors: FloatArray
    eer_weight: FloatArray
    dcf_cost: FloatArray
    dcf_weight: FloatArray
    scarce: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCurve:
    """Rates at every threshold that tells trials apart, ascending: T points for T - 1 scores.

    ``thresholds`` (T,) are the scores from which on trials are accepted, the last one infinite;
    ``miss`` and ``acceptance`` (T,) the two error rates there. Equal scores are never told apart.
    """

    thresholds: FloatArray
    miss: FloatArray
    acceptance: FloatArray


def error_curve(scores: FloatArray, spoofed: BoolArray) -> ErrorCurve:
    """Return the error rates of N finite scores; ValueError where a class has no trial."""
    bona_fide, spoofs = np.sort(scores[~spoofed]), np.sort(scores[spoofed])
    if not len(bona_fide) or not len(spoofs):
        raise ValueError("bona fide and spoofed trials are needed")
    thresholds = np.append(np.unique(scores), np.inf)
    return ErrorCurve(
        thresholds=thresholds,
        miss=np.searchsorted(bona_fide, thresholds, side="left") / len(bona_fide),
        acceptance=1.0 - np.searchsorted(spoofs, thresholds, side="left") / len(spoofs),
    )


def trial_sums(scores: FloatArray, spoofed: BoolArray, cost: DetectionCost) -> TrialSums:
    """Return both metrics of N finite scores, and what each trial adds to them.

    The equal error rate is that of the convex hull of the error curve (Brummer and de Villiers
    2011, "The BOSARIS toolkit"): a threshold drawn at random between two neighbouring corners has
    miss rate = false-acceptance rate = EER. It does not depend on how ties or steps are resolved,
    and lies at or below the mean of both rates at the threshold where they are closest (what the
    ASVspoof packages print). With p and 1 - p the weights for which both corners cost the same,
    EER = p * miss + (1 - p) * acceptance does not move, to first order, with the threshold or with
    p: so the sums at fixed corners carry the whole uncertainty.

    The detection cost is C(t) = w_m miss(t) + w_a acceptance(t) at the threshold where it is
    least, normalised (Martin and Przybocki 2000; ASVspoof 5 evaluation plan). ValueError where a
    class has no trial.
    """
    curve = error_curve(scores, spoofed)
    total, spoofs = len(scores), int(np.count_nonzero(spoofed))
    share = np.where(spoofed, total / spoofs, total / (total - spoofs))
    left, right = _crossing(curve)
    missing = curve.miss[[left, right]]
    accepting = curve.acceptance[[left, right]]
    gap = missing - accepting
    mixing = 0.0 if left == right else float(gap[1] / (gap[1] - gap[0]))
    rises, falls = float(missing[1] - missing[0]), float(accepting[0] - accepting[1])
    weight = 0.5 if rises + falls == 0 else falls / (rises + falls)
    wrong = mixing * _wrong(scores, spoofed, curve.thresholds[left]) + (1.0 - mixing) * _wrong(
        scores, spoofed, curve.thresholds[right]
    )
    eer_weight = share * np.where(spoofed, 1.0 - weight, weight)
    of_miss, of_acceptance = cost.weights
    costs = of_miss * curve.miss + of_acceptance * curve.acceptance
    best = int(np.argmin(costs))
    dcf = share * np.where(spoofed, of_acceptance, of_miss)
    errors = eer_weight * wrong
    return TrialSums(
        eer=float(errors.sum() / eer_weight.sum()),
        min_dcf=float(costs[best]),
        eer_errors=errors,
        eer_weight=eer_weight,
        dcf_cost=dcf * _wrong(scores, spoofed, curve.thresholds[best]),
        dcf_weight=dcf / (of_miss + of_acceptance),
        scarce=spoofed if 2 * spoofs <= total else ~spoofed,
    )


def _wrong(scores: FloatArray, spoofed: BoolArray, threshold: float) -> FloatArray:
    """Return 1.0 for each trial that a threshold decides wrongly, else 0.0."""
    return np.asarray((scores >= threshold) == spoofed, dtype=np.float64)


def _crossing(curve: ErrorCurve) -> tuple[int, int]:
    """Return the corners of the lower convex hull between which both rates are equal.

    The curve runs from (miss 0, acceptance 1) to (1, 0). Both corners are the same where one of
    them has equal rates.
    """
    hull: list[int] = []
    miss, acceptance = curve.miss, curve.acceptance
    for i in range(len(miss)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            turn = (miss[b] - miss[a]) * (acceptance[i] - acceptance[a])
            if turn - (acceptance[b] - acceptance[a]) * (miss[i] - miss[a]) > 0:
                break
            hull.pop()
        hull.append(i)
    after = next(k for k, i in enumerate(hull) if miss[i] >= acceptance[i])
    if miss[hull[after]] == acceptance[hull[after]]:
        return hull[after], hull[after]
    return hull[after - 1], hull[after]
