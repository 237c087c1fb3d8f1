"""Intervals of a difference of percentiles of latency: how often they hold the truth."""

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from benchmarks.decision_quality.tables import percent
from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.percentile_differences import percentile_differences
from relkit.statistics.types import PairedValues, SliceValues


def percentile_rows(runs: int) -> Iterator[str]:
    """Yield a line per kind of candidate and number of speakers: coverage of the interval.

    Log-normal latencies, 50 a speaker; contents are the same for both systems, speakers shift both.
    """
    for kind, shift, stretch in (
        ("same", 0.0, 1.0),
        ("30 % slower", 0.3, 1.0),
        ("wider", 0.0, 1.5),
    ):
        for speakers in (8, 10, 20, 50):
            random = np.random.default_rng([6, speakers])
            speaker = np.repeat(np.arange(runs * speakers), 50)
            run = speaker // speakers
            common = 0.25 * random.standard_normal(runs * speakers)[speaker]
            content = 0.4 * random.standard_normal(len(speaker))
            own = 0.3 * random.standard_normal((2, len(speaker)))
            log = common + stretch * (content + own[0]) + shift
            pairs = PairedValues(
                candidate=_ascending(run, speaker % speakers, np.exp(log), runs),
                baseline=_ascending(
                    run, speaker % speakers, np.exp(common + content + own[1]), runs
                ),
            )
            cells = ""
            for share in (0.5, 0.95, 0.99):
                z = NormalDist().inv_cdf(share)
                sd = [float(np.hypot(0.25, 0.5 * one)) for one in (stretch, 1.0)]
                truth = float(np.exp(shift + sd[0] * z) - np.exp(sd[1] * z))
                found = percentile_differences(share, pairs, unit="ms")
                held = sum(
                    (one.low is None or one.low <= truth)
                    and (one.high is None or truth <= one.high)
                    for one in found
                )
                both = sum(one.low is not None and one.high is not None for one in found)
                cells += percent(held, runs) + percent(both, runs)
            yield f"{kind:14}{speakers:4d}{cells}"


def _ascending(run: IntArray, speaker: IntArray, value: FloatArray, runs: int) -> SliceValues:
    order = np.lexsort((value, run))
    return SliceValues(
        slices=tuple(f"run={k}" for k in range(runs)),
        slice_index=run[order],
        cluster_index=speaker[order],
        values=value[order],
    )
