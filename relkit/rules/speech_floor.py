"""The error rates of a recogniser alone, from results that are in memory."""

from collections.abc import Mapping, Sequence

import numpy as np

from relkit.domain.estimates import Estimate
from relkit.domain.results import Result
from relkit.domain.slices import OVERALL
from relkit.rules.cluster_sums import ClusterSums, FloatArray
from relkit.rules.intervals import RateEvidence, estimate_rates
from relkit.rules.rate_metrics import RATE_METRICS

FLOOR_METRICS = ("wer", "wer_capped", "cer", "entity_error_rate")
"""What is said of a recogniser alone; where one loops, only the capped rate can be read."""


def floor_metrics(results: Sequence[Result]) -> dict[str, Estimate]:
    """Return the floor's metrics over all scored results, clustered as the run's own metrics are.

    Metrics without a unit (no entity in the data) are left out.
    """
    scored = [result for result in results if result.score is not None]
    clusters = sorted({result.cluster for result in scored})
    place = {cluster: i for i, cluster in enumerate(clusters)}
    columns = _columns(scored)
    index = np.array([place[result.cluster] for result in scored], dtype=np.int64)
    sums = ClusterSums(
        slices=(OVERALL,),
        slice_index=np.zeros(len(clusters), dtype=np.int64),
        cluster_index=np.arange(len(clusters), dtype=np.int64),
        columns={
            name: np.bincount(index, weights=column, minlength=len(clusters)).astype(np.float64)
            for name, column in columns.items()
        },
    )
    evidence = RateEvidence(sums=sums)
    found = {name: estimate_rates(RATE_METRICS[name], evidence)[0] for name in FLOOR_METRICS}
    return {name: estimate for name, estimate in found.items() if estimate.value is not None}


def _columns(scored: Sequence[Result]) -> Mapping[str, FloatArray]:
    scores = [result.score for result in scored if result.score is not None]
    counted = {
        "errors": [score.counts.errors for score in scores],
        "capped_errors": [score.counts.capped_errors for score in scores],
        "words": [score.counts.reference_length for score in scores],
        "char_errors": [score.characters.errors for score in scores],
        "characters": [score.characters.reference_length for score in scores],
        "entity_errors": [score.entity_errors for score in scores],
        "entities": [score.entities for score in scores],
    }
    columns = {name: np.array(values, dtype=np.float64) for name, values in counted.items()}
    for name in ("words", "characters", "entities"):
        columns[f"with_{name}"] = (columns[name] > 0).astype(np.float64)
    return columns
