"""Intervals of rates: the formula, and every case in which there is another answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.core.values import WITHIN, ErrorCounts, Estimate
from relkit.statistics.intervals import RateEvidence, claimed_of, estimate_rates
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums

Row = tuple[float, ...]
Data = Mapping[str, Mapping[int, Row]]

WER = ("errors", "words", "with_words")
SER = ("wrong", "utterances")
WIL = ("hits", "words", "hypothesis_words", "with_words")
SPEED = ("processing_s", "audio_s", "paced")


def sums_of(columns: Sequence[str], data: Data) -> ClusterSums:
    """Return sums from slice to cluster to one number per column."""
    rows = [(i, c, row) for i, by in enumerate(data.values()) for c, row in by.items()]
    return ClusterSums(
        slices=tuple(data),
        slice_index=np.array([i for i, _, _ in rows], dtype=np.int64),
        cluster_index=np.array([c for _, c, _ in rows], dtype=np.int64),
        columns={
            name: np.array([row[k] for _, _, row in rows], dtype=np.float64)
            for k, name in enumerate(columns)
        },
    )


def estimates(
    metric: str,
    columns: Sequence[str],
    data: Data,
    *,
    within: Data | None = None,
    by_repeat: Data | None = None,
) -> dict[str, Estimate]:
    """Return the metric by slice."""
    evidence = RateEvidence(
        sums=sums_of(columns, data),
        within=None if within is None else sums_of(columns, within),
        by_repeat=None if by_repeat is None else sums_of(columns, by_repeat),
    )
    return dict(zip(data, estimate_rates(RATE_METRICS[metric], evidence), strict=True))


def wer(clusters: Sequence[Row]) -> Estimate:
    """Return the WER of one slice of clusters given as (errors, words, utterances)."""
    return estimates("wer", WER, {"overall": dict(enumerate(clusters))})["overall"]


SPEAKERS: tuple[Row, ...] = (
    (3, 100, 10),
    (9, 80, 8),
    (1, 120, 12),
    (12, 60, 6),
    (5, 90, 9),
    (7, 50, 5),
)


def test_interval_by_hand() -> None:
    """Leave one speaker out, log scale, effective degrees of freedom, t quantile of scipy."""
    errors, words = sum(s[0] for s in SPEAKERS), sum(s[1] for s in SPEAKERS)
    logs = [math.log((errors - e) / (words - n)) for e, n, _ in SPEAKERS]
    mean = sum(logs) / 6
    second, fourth = (sum((x - mean) ** k for x in logs) for k in (2, 4))
    half = stats.t.ppf(0.975, second**2 / fourth) * math.sqrt(5 / 6 * second)
    found = wer(SPEAKERS)
    assert found.value == pytest.approx(errors / words)
    assert found.low == pytest.approx(errors / words * math.exp(-half))
    assert found.high == pytest.approx(errors / words * math.exp(half))
    assert (found.n, found.clusters, found.unit) == (500, 6, "fraction")
    assert (found.method, found.note) == ("log-jackknife", None)


def test_equal_speakers_have_no_spread() -> None:
    """The interval is a point, and the note says why."""
    found = wer([(5, 100, 10)] * 8)
    assert found.low == found.value == found.high == 0.05
    assert found.note == "no spread: all clusters have the same rate"


@pytest.mark.parametrize(
    ("clusters", "value", "note"),
    [
        ([(0, 0, 0), (0, 0, 0)], None, "no words"),
        ([], None, "no words"),
        ([(1, 50, 5)] * 4, 0.02, "4 clusters: an interval needs 5"),
        ([(1, 50, 5)], 0.02, "1 cluster: an interval needs 5"),
        ([(0, 50, 5)] * 4, 0.0, "4 clusters: an interval needs 5"),
        ([(1, 50, 5)] * 4 + [(3, 0, 0)], 0.02, "4 clusters: an interval needs 5"),
        ([(9, 50, 5)] + [(0, 50, 5)] * 7, 0.0225, "no interval: one cluster has all the errors"),
    ],
)
def test_no_interval_and_why(clusters: list[Row], value: float | None, note: str) -> None:
    """What cannot be claimed is None, never 0, and the note says what is missing."""
    found = wer(clusters)
    assert found.value == value
    assert found.low is None
    assert found.high is None
    assert found.method == "none"
    assert found.note == note


def test_a_cluster_without_a_unit_is_no_cluster_of_the_metric() -> None:
    """Speakers without a word change neither the estimate nor the number of clusters."""
    silent: list[Row] = [(2, 0, 0), (0, 0, 0)]
    assert wer([*SPEAKERS, *silent]) == wer(SPEAKERS)


def test_no_errors_many_utterances() -> None:
    """The upper end is 3.7 / utterances where no cluster of the run has an error."""
    found = wer([(0, 100, 10)] * 8)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.7 / 80)
    assert found.method == "no-errors"
    assert found.note == "no errors in 80 utterances: upper end 3.7 / utterances"


def test_no_errors_in_a_slice_of_a_run_with_a_bad_speaker() -> None:
    """The share of speakers that can hide, as bad as the worst whole speaker of the run."""
    clean = dict.fromkeys(range(6), (0.0, 1000.0, 500.0))
    spoiled = {6: (80.0, 100.0, 10.0), 7: (10.0, 10.0, 1.0)}
    run = {**clean, **spoiled}
    data = {"overall": run, "noise=no": clean, "noise=yes": {**spoiled, 6: (80.0, 80.0, 8.0)}}
    found = estimates("wer", WER, data)["noise=no"]
    assert found.high == pytest.approx((1 - 0.025 ** (1 / 6)) * 1.0)
    data["overall"][7] = (1.0, 100.0, 10.0)
    found = estimates("wer", WER, data)["noise=no"]
    assert found.high == pytest.approx((1 - 0.025 ** (1 / 6)) * 0.8)
    assert found.note is not None
    assert "as bad as the worst of the run" in found.note


def test_without_an_overall_slice_the_worst_piece_of_a_cluster_counts() -> None:
    """Other slices stand for the run where nothing better is at hand."""
    data = {
        "a=1": dict.fromkeys(range(5), (0.0, 1000.0, 500.0)),
        "a=2": {0: (30.0, 50.0, 5.0), 1: (1.0, 90.0, 9.0)},
    }
    found = estimates("wer", WER, data)["a=1"]
    assert found.high == pytest.approx((1 - 0.025 ** (1 / 5)) * 0.6)


def test_shares_stop_at_one_and_word_rates_do_not() -> None:
    """Insertions have no limit; capped errors and wrong utterances have."""
    many: list[Row] = [(30, 30, 3), (20, 20, 2), (3, 30, 3), (9, 9, 1), (1, 8, 1), (40, 40, 4)]
    rate = wer(many)
    assert rate.high is not None
    assert rate.high > 1.0
    capped = ("capped_errors", *WER[1:])
    share = estimates("wer_capped", capped, {"overall": dict(enumerate(many))})["overall"]
    assert share.low is not None
    assert share.high is not None
    assert 0.0 < share.low < 0.75 < share.high < 1.0


def test_a_rate_that_cannot_exceed_one_by_hand() -> None:
    """Leave one speaker out on the logit scale; the ends are turned back."""
    capped = ("capped_errors", *WER[1:])
    found = estimates("wer_capped", capped, {"overall": dict(enumerate(SPEAKERS))})["overall"]
    errors, words = sum(s[0] for s in SPEAKERS), sum(s[1] for s in SPEAKERS)

    def logit(share: float) -> float:
        return math.log(share / (1 - share))

    left = [logit((errors - e) / (words - n)) for e, n, _ in SPEAKERS]
    mean = sum(left) / 6
    second, fourth = (sum((x - mean) ** k for x in left) for k in (2, 4))
    half = stats.t.ppf(0.975, second**2 / fourth) * math.sqrt(5 / 6 * second)
    assert found.method == "logit-jackknife"
    assert logit(found.low or 0) == pytest.approx(logit(errors / words) - half)
    assert logit(found.high or 0) == pytest.approx(logit(errors / words) + half)


@pytest.mark.parametrize(
    ("errors", "note"),
    [
        ([200.0, *[1.0] * 7], "no interval: 1.1 effective clusters carry the errors, it needs 3"),
        ([9.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], None),
    ],
)
def test_errors_of_a_few_speakers_give_no_interval(errors: list[float], note: str | None) -> None:
    """Where under three effective clusters carry them, it would reach from nothing to all."""
    found = wer([(e, 1000.0, 100.0) for e in errors])
    assert (found.note, found.low is None) == (note, note is not None)
    within = {"voice=a": {i: (e, 1000.0, 1.0) for i, e in enumerate(errors)}}
    whole = {"voice=a": {0: (sum(errors), 8000.0, 8.0)}}
    inside = estimates("wer", WER, whole, within=within)["voice=a"]
    assert (inside.low is None) == (note is not None)


def test_nothing_but_errors_leaves_room_below() -> None:
    """The mirrored ends of no errors at all, and of few utterances without one."""
    wrong = dict.fromkeys(range(8), (5.0, 5.0))
    found = estimates("ser", SER, {"overall": wrong})["overall"]
    assert (found.value, found.high, found.method) == (1.0, 1.0, "only-errors")
    assert found.low == pytest.approx(1 - 3.7 / 40)
    nearly = estimates("ser", SER, {"overall": {**wrong, 0: (3.0, 5.0)}})["overall"]
    few = estimates("ser", SER, {"overall": {**dict.fromkeys(range(8), (0.0, 5.0)), 0: (2.0, 5.0)}})
    assert nearly.method == "few-events"
    assert nearly.low == pytest.approx(1 - (few["overall"].high or 0))
    assert nearly.high == pytest.approx(1 - (few["overall"].low or 0))


def test_one_cluster_has_an_advisory_interval_over_its_utterances() -> None:
    """Only where utterance sums are given, and the same numbers as clusters would have."""
    data = {"voice=a": {3: (37.0, 500.0, 6.0)}}
    utterances = {"voice=a": {i: (e, n, 1.0) for i, (e, n, _) in enumerate(SPEAKERS)}}
    found = estimates("wer", WER, data, within=utterances)["voice=a"]
    clustered = wer(SPEAKERS)
    assert (found.value, found.low, found.high) == (clustered.value, clustered.low, clustered.high)
    assert (found.clusters, found.n, found.method) == (1, 500, "within-cluster")
    assert found.note is not None
    assert found.note.startswith("advisory")
    alone = estimates("wer", WER, data)["voice=a"]
    assert (alone.low, alone.note) == (None, "1 cluster: an interval needs 5")


def test_one_cluster_without_errors_and_one_with_few_utterances() -> None:
    """Within a cluster the worst cluster of the run has no say, and five utterances are needed."""
    data = {
        "overall": {0: (0.0, 60.0, 6.0), 1: (9.0, 10.0, 1.0)},
        "voice=a": {0: (0.0, 60.0, 6.0)},
        "voice=b": {1: (9.0, 10.0, 1.0)},
    }
    within = {
        "voice=a": dict.fromkeys(range(6), (0.0, 10.0, 1.0)),
        "voice=b": {0: (9.0, 10.0, 1.0)},
    }
    found = estimates("wer", WER, data, within=within)
    assert found["voice=a"].high == pytest.approx(3.7 / 6)
    assert found["voice=a"].method == "within-cluster"
    assert found["voice=b"].low is None
    assert found["voice=b"].note == "1 utterance: an interval needs 5"


def test_a_slice_of_two_clusters_never_gets_an_interval_within() -> None:
    """Utterance sums do not stand in for missing clusters."""
    data = {"overall": {0: (1.0, 60.0, 6.0), 1: (2.0, 60.0, 6.0)}}
    within = {"overall": dict.fromkeys(range(12), (1.0, 10.0, 1.0))}
    found = estimates("wer", WER, data, within=within)["overall"]
    assert (found.low, found.clusters) == (None, 2)


def test_information_lost_is_jackknifed_as_a_function() -> None:
    """WIL is no ratio of sums: each leave-one-out value is that of the counts left."""
    counts = [
        ErrorCounts(hits=90 - 7 * k, substitutions=k + 1, deletions=2 * k, insertions=k % 3)
        for k in range(6)
    ]
    rows = [(c.hits, c.reference_length, c.hypothesis_length, 9.0) for c in counts]
    found = estimates("wil", WIL, {"overall": dict(enumerate(rows))})["overall"]
    whole = sum(counts, ErrorCounts()).information_lost
    logits = []
    for k in range(6):
        lost = sum((c for i, c in enumerate(counts) if i != k), ErrorCounts()).information_lost
        assert lost is not None
        logits.append(math.log(lost / (1 - lost)))
    mean = sum(logits) / 6
    second, fourth = (sum((x - mean) ** k for x in logits) for k in (2, 4))
    half = stats.t.ppf(0.975, second**2 / fourth) * math.sqrt(5 / 6 * second)
    assert whole is not None
    assert found.value == pytest.approx(whole)
    odds = whole / (1 - whole) * math.exp(half)
    assert found.high == pytest.approx(odds / (1 + odds))


def test_information_lost_where_nothing_was_said() -> None:
    """A silent system lost everything in 30 utterances."""
    silent = dict.fromkeys(range(6), (0.0, 50.0, 0.0, 5.0))
    found = estimates("wil", WIL, {"overall": silent})["overall"]
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - 3.7 / 30)


def test_rtfx_is_the_inverse_of_rtf_with_its_ends_swapped() -> None:
    """The log scale treats both alike."""
    rows = {k: (1.0 + k**2, 10.0 + k, 4.0 + k) for k in range(7)}
    rtf = estimates("rtf", SPEED, {"overall": rows})["overall"]
    rtfx = estimates("rtfx", SPEED, {"overall": rows})["overall"]
    assert (rtf.n, rtfx.n, rtf.unit) == (49, 49, "ratio")
    for value, inverse in ((rtf.value, rtfx.value), (rtf.low, rtfx.high), (rtf.high, rtfx.low)):
        assert value is not None
        assert inverse == pytest.approx(1 / value)


def test_times_of_zero_are_no_evidence_that_times_are_short() -> None:
    """The rule for unseen events is about counts only."""
    rows = dict.fromkeys(range(6), (0.0, 10.0, 4.0))
    found = estimates("rtf", SPEED, {"overall": rows})["overall"]
    assert (found.value, found.low, found.high) == (0.0, None, None)
    assert found.note == "no interval: all measured values are 0"


def _repeated(by_repeat: Sequence[Row]) -> Estimate:
    """Return the WER of the speakers asked as often as there are repeats."""
    times = len(by_repeat)
    data = {"overall": {c: tuple(times * x for x in row) for c, row in enumerate(SPEAKERS)}}
    repeats = {"overall": dict(enumerate(by_repeat))}
    return estimates("wer", WER, data, by_repeat=repeats)["overall"]


def test_spread_between_repeats_widens_the_interval() -> None:
    """By hand: variances add on the log scale, df by Satterthwaite, units count once."""
    errors = (30.0, 37.0, 44.0)
    found, single = _repeated([(e, 500.0, 50.0) for e in errors]), wer(SPEAKERS)
    total = sum(s[0] for s in SPEAKERS)
    logs = [math.log((total - e) / (500 - n)) for e, n, _ in SPEAKERS]
    mean = sum(logs) / 6
    second, fourth = (sum((x - mean) ** k for x in logs) for k in (2, 4))
    of_clusters, df = 5 / 6 * second, second**2 / fourth
    of_repeats = float(np.var(np.log([e / 500 for e in errors]), ddof=1)) / 3
    both = of_clusters + of_repeats
    df_both = both**2 / (of_clusters**2 / df + of_repeats**2 / 2)
    half = stats.t.ppf(0.975, df_both) * math.sqrt(both)
    assert found.high == pytest.approx(37 / 500 * math.exp(half))
    assert (found.n, found.clusters) == (single.n, single.clusters)
    assert found.method == "log-jackknife+repeats"


def test_repeats_that_agree_change_nothing() -> None:
    """A deterministic system pays nothing for being asked again."""
    found, single = _repeated([(37.0, 500.0, 50.0)] * 4), wer(SPEAKERS)
    assert found == replace(single, low=found.low, high=found.high, method="log-jackknife+repeats")
    assert (found.low, found.high) == pytest.approx((single.low, single.high))


def test_a_repeat_without_errors_still_counts_as_spread() -> None:
    """Where the logarithm does not exist, the relative variance stands for it."""
    found = _repeated([(0.0, 500.0, 50.0), (74.0, 500.0, 50.0)])
    single = wer(SPEAKERS)
    assert found.high is not None
    assert single.high is not None
    assert found.high > single.high


def test_no_errors_in_any_repeat_counts_each_utterance_once() -> None:
    """Asking the same again shows nothing about other utterances."""
    data = {"overall": dict.fromkeys(range(8), (0.0, 300.0, 30.0))}
    repeats = {"overall": dict.fromkeys(range(3), (0.0, 800.0, 80.0))}
    found = estimates("wer", WER, data, by_repeat=repeats)["overall"]
    assert found.high == pytest.approx(3.7 / 80)
    assert found.n == 800


_CLUSTER = st.tuples(st.integers(0, 30), st.integers(0, 60)).map(
    lambda pair: (float(pair[0]), float(pair[1]), float(pair[1] // 6 + (pair[1] > 0)))
)
_SLICE = st.dictionaries(st.integers(0, 40), _CLUSTER, max_size=9)


@given(parts=st.lists(_SLICE, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_slices_do_not_touch_each_other(parts: list[dict[int, Row]]) -> None:
    """All at once gives what one at a time gives, whatever else the run holds."""
    run = dict.fromkeys(range(3), (1.0, 10.0, 1.0))
    together = estimates("wer", WER, {"overall": run} | {f"s={i}": p for i, p in enumerate(parts)})
    for i, part in enumerate(parts):
        alone = estimates("wer", WER, {"overall": run, f"s={i}": part})[f"s={i}"]
        found = together[f"s={i}"]
        for end, other in ((found.low, alone.low), (found.high, alone.high)):
            assert other is None or end == pytest.approx(other, rel=1e-12)
        assert replace(found, low=alone.low, high=alone.high) == alone


@given(part=_SLICE)
@settings(max_examples=100, deadline=None)
def test_every_estimate_is_finite_ordered_and_explained(part: dict[int, Row]) -> None:
    """The ends lie around the value, and without an interval there is a note."""
    found = estimates("wer", WER, {"overall": part})["overall"]
    assert found.clusters == sum(1 for _, words, _ in part.values() if words)
    if found.low is None or found.high is None or found.value is None:
        assert found.note
        assert found.method == "none"
    else:
        assert 0.0 <= found.low <= found.value <= found.high < math.inf


@given(part=_SLICE, times=st.integers(2, 9))
@settings(max_examples=60, deadline=None)
def test_more_of_the_same_from_the_same_speakers_shows_nothing_new(
    part: dict[int, Row], times: int
) -> None:
    """Multiplying every count leaves rate and interval, for clusters are what was sampled."""
    before = estimates("wer", WER, {"overall": part})["overall"]
    longer = {c: tuple(times * x for x in row) for c, row in part.items()}
    after = estimates("wer", WER, {"overall": longer})["overall"]
    if before.method == "log-jackknife":
        assert (after.low, after.high) == pytest.approx((before.low, before.high))
        assert after.n == times * before.n
    assert after.value == pytest.approx(before.value)


@pytest.mark.parametrize(
    ("metric", "high", "method", "claimed"),
    [
        ("wer", 4.0, "log-jackknife", True),
        ("wer", 4.1, "log-jackknife", False),
        ("cer", 9.9, "log-jackknife", False),
        ("wer", None, "none", True),
        ("wer", 6.3, WITHIN, True),
        ("ser", 4.1, "logit-jackknife", True),
        ("rtf", 4.1, "log-jackknife", True),
    ],
)
def test_a_report_claims_no_interval_that_reaches_five_times_an_error_rate(
    metric: str, high: float | None, method: str, *, claimed: bool
) -> None:
    """One repetition loop made "82.7 % (10.9 to 630.3 %)", which nobody can believe."""
    low = None if high is None else 0.1
    estimate = Estimate(value=0.8, low=low, high=high, n=886, clusters=36, method=method)
    shown = claimed_of(RATE_METRICS[metric], estimate)
    if claimed:
        assert shown == estimate
    else:
        assert (shown.value, shown.low, shown.high, shown.method) == (0.8, None, None, "none")
        assert "no interval: it would reach 5 times the value" in str(shown.note)
