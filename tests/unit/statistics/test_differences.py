"""How much worse a candidate is: formulas by hand, laws, and what little data must not claim."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.statistics.differences import clusters_needed, rate_differences, unpaired_differences
from relkit.statistics.rates import RATE_METRICS, RateMetric
from relkit.statistics.types import ClusterSums, Difference, PairedSums

Row = tuple[str, int, float, float, float]  # slice, cluster, candidate, baseline, words
WER = RATE_METRICS["wer_capped"]


def paired(rows: Sequence[Row]) -> PairedSums:
    """Return sums from (slice, cluster, candidate errors, baseline errors, words)."""
    slices = tuple(dict.fromkeys(row[0] for row in rows))
    ordered = sorted(rows, key=lambda row: (slices.index(row[0]), row[1]))

    def sums(column: int) -> ClusterSums:
        words = np.array([row[4] for row in ordered], dtype=np.float64)
        errors = np.array([row[column] for row in ordered], dtype=np.float64)
        return ClusterSums(
            slices=slices,
            slice_index=np.array([slices.index(row[0]) for row in ordered], dtype=np.int64),
            cluster_index=np.array([row[1] for row in ordered], dtype=np.int64),
            columns={
                "capped_errors": errors,
                "words": words,
                "with_words": np.ceil(words / 10),
                "dnsmos_ovrl": errors,
                "dnsmos_ovrl_scored": words,
            },
        )

    return PairedSums(candidate=sums(2), baseline=sums(3), clusters=1 + max(r[1] for r in rows))


def overall(
    candidate: Sequence[float], baseline: Sequence[float], words: Sequence[float]
) -> Difference:
    """Return the difference over all clusters."""
    rows: list[Row] = [
        ("overall", c, *three)
        for c, three in enumerate(zip(candidate, baseline, words, strict=True))
    ]
    return rate_differences(WER, paired(rows))[0]


def test_few_clusters_with_most_of_the_words_have_few_degrees_of_freedom() -> None:
    """Two that agree by chance make no narrow interval; equal clusters keep C - 1 of them."""
    words = [5400.0, 5400.0, *[180.0] * 8]
    agreeing = overall([600, 601, *range(10, 18)], [440, 441, *[14.0] * 8], words)
    kish = sum(words) ** 2 / sum(n * n for n in words)
    assert agreeing.df is not None
    assert agreeing.df <= kish - 1.0 < 2.0
    alike = overall([9, 8, 7, 9, 8, 7], [8, 9, 7, 8, 9, 7], [100.0] * 6)
    assert alike.df is not None
    assert alike.df > 3.0


CANDIDATE, BASELINE, WORDS = (
    [9.0, 4, 12, 7, 3, 8],
    [5.0, 4, 9, 8, 1, 6],
    [100.0, 80, 120, 90, 60, 110],
)


def test_interval_by_hand() -> None:
    """The jackknife of the difference on its own scale, with scipy's quantile."""
    found = overall(CANDIDATE, BASELINE, WORDS)
    total = sum(WORDS)
    worsening = (sum(CANDIDATE) - sum(BASELINE)) / total
    left = [
        (sum(CANDIDATE) - a - sum(BASELINE) + b) / (total - n)
        for a, b, n in zip(CANDIDATE, BASELINE, WORDS, strict=True)
    ]
    q = [one - sum(left) / 6 for one in left]
    second, fourth = (sum(x**k for x in q) for k in (2, 4))
    df = min(5.0, max(1.5, second**2 / fourth))
    half = stats.t.ppf(0.975, df) * math.sqrt(5 / 6 * second)
    assert found.worsening == pytest.approx(worsening)
    assert found.df == pytest.approx(df)
    assert (found.low, found.high) == pytest.approx((worsening - half, worsening + half))
    assert (found.n, found.utterances, found.clusters, found.discordant) == (560, 56, 6, 5)
    assert (found.unit, found.method, found.note) == ("fraction", "jackknife", None)


@pytest.mark.parametrize(("count", "has"), [(1, False), (4, False), (5, True)])
def test_under_five_clusters_there_is_no_interval(count: int, has: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """The point stands, and the note says what is missing."""
    found = overall(CANDIDATE[:count], [0.0] * count, WORDS[:count])
    assert found.worsening is not None
    assert (found.low is not None) is has
    assert has or (found.note or "").endswith("an interval needs 5")


def test_no_discordant_cluster_hides_what_the_data_can_miss() -> None:
    """The larger of 3.7 / utterances and the missed share of clusters as the worst of the run."""
    rows: list[Row] = [("overall", c, 5.0 + 3.0 * (c == 0), 5.0, 100.0) for c in range(20)]
    rows += [("a", c, 5.0, 5.0, 100.0) for c in range(1, 11)]
    rows += [("b", c, 5.0, 5.0, 4000.0) for c in range(1, 11)]
    _, few, many = rate_differences(WER, paired(rows))
    assert few.high == pytest.approx(3.7 / 100)
    assert (few.low, few.method, few.discordant) == (-(few.high or 0), "no-discordant", 0)
    assert "3.7 / utterances" in (few.note or "")
    assert many.high == pytest.approx((1 - 0.025 ** (1 / 10)) * 0.03)
    assert "worst" in (many.note or "") or "most different" in (many.note or "")


def test_one_discordant_cluster_claims_no_more_than_none() -> None:
    """Its interval holds the one of no discordant cluster, and 0."""
    none = overall([5.0] * 10, [5.0] * 10, [1000.0] * 10)
    one = overall([6.0, *[5.0] * 9], [5.0] * 10, [1000.0] * 10)
    assert one.df == 1.5
    assert one.method == "few-discordant"
    assert one.low is not None
    assert none.low is not None
    assert one.low <= none.low
    assert one.high is not None
    assert none.high is not None
    assert one.high >= none.high


def test_measured_amounts_that_agree_exactly_agree() -> None:
    """MOS is better when it is larger, and equal values leave nothing to hide."""
    rows: list[Row] = [("overall", c, 30.0, 30.0, 10.0) for c in range(6)]
    found = rate_differences(RATE_METRICS["dnsmos_ovrl.mean"], paired(rows))[0]
    assert (found.low, found.high, found.worsening) == (0.0, 0.0, 0.0)
    assert found.note == "all 6 clusters agree exactly"
    worse = [("overall", c, 29.0 - c, 30.0, 10.0) for c in range(6)]
    down = rate_differences(RATE_METRICS["dnsmos_ovrl.mean"], paired(worse))[0]
    assert down.worsening == pytest.approx(0.35)
    assert down.unit == "mos"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("column", [2, 3, 4])
def test_sums_that_are_no_numbers_make_no_difference(bad: float, column: int) -> None:
    """Never a pass and never a 0; other slices keep theirs."""
    rows: list[Row] = [("overall", c, 5.0, 4.0, 100.0) for c in range(6)]
    rows += [("good", c, 5.0, 4.0, 100.0) for c in range(6)]
    spoiled = [5.0, 4.0, 100.0]
    spoiled[column - 2] = bad
    rows[2] = ("overall", 2, spoiled[0], spoiled[1], spoiled[2])
    first, second = rate_differences(WER, paired(rows))
    if column == 4 and bad == -1.0:
        return  # a negative amount is no cluster of the metric
    assert first.worsening is None
    assert first.low is None
    assert first.note
    assert second.worsening == pytest.approx(0.01)


def test_nothing_measured_is_no_difference() -> None:
    """Without words there is nothing to compare."""
    found = overall([0.0] * 6, [0.0] * 6, [0.0] * 6)
    assert found.worsening is None
    assert found.note == "no words"


_COUNTS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(20, 200)), min_size=5, max_size=12
)


@given(_COUNTS)
@settings(max_examples=25, deadline=None)
def test_exchanging_the_systems_mirrors_the_interval(counts: list[tuple[int, int, int]]) -> None:
    """Nothing but the sign says which system is which."""
    a, b, n = ([float(row[k]) for row in counts] for k in range(3))
    one, two = overall(a, b, n), overall(b, a, n)
    assert one.worsening == pytest.approx(-(two.worsening or 0.0), abs=1e-12)
    assert one.low is not None
    assert one.high is not None
    assert two.low is not None
    assert two.high is not None
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-12)


@given(_COUNTS, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_clusters_have_no_order_and_one_without_words_is_none(
    counts: list[tuple[int, int, int]], random: st.DataObject
) -> None:
    """A permutation changes nothing, nor does a cluster that said nothing."""
    a, b, n = ([float(row[k]) for row in counts] for k in range(3))
    one = overall(a, b, n)
    mixed = list(counts)
    random.shuffle(mixed)  # type: ignore[attr-defined]  # st.randoms gives a random.Random
    c, d, m = ([float(row[k]) for row in mixed] for k in range(3))
    two = overall([*c, 0.0], [*d, 0.0], [*m, 0.0])
    assert two.low == pytest.approx(one.low, abs=1e-12)
    assert two.high == pytest.approx(one.high, abs=1e-12)
    assert two.clusters == one.clusters


def test_twice_the_clusters_narrow_the_interval() -> None:
    """The same data again is twice the evidence."""
    once = overall(CANDIDATE, BASELINE, WORDS)
    twice = overall(CANDIDATE * 2, BASELINE * 2, WORDS * 2)
    assert twice.worsening == pytest.approx(once.worsening)
    assert twice.se is not None
    assert once.se is not None
    assert twice.se == pytest.approx(once.se / math.sqrt(2), rel=0.1)
    assert twice.df is not None
    assert once.df is not None
    assert twice.df > once.df


def test_unpaired_adds_two_jackknives() -> None:
    """Errors by hand, df by Satterthwaite, and slices matched by name."""
    pairs = paired([("overall", c, CANDIDATE[c], BASELINE[c], WORDS[c]) for c in range(6)])
    alone = [
        rate_differences(WER, paired([("overall", c, one[c], 0.0, WORDS[c]) for c in range(6)]))[0]
        for one in (CANDIDATE, BASELINE)
    ]
    found = unpaired_differences(WER, pairs.candidate, pairs.baseline)[0]
    se = [one.se or 0.0 for one in alone]
    df = [one.df or 0.0 for one in alone]
    total = se[0] ** 2 + se[1] ** 2
    assert found.se == pytest.approx(math.sqrt(total))
    assert found.df == pytest.approx(total**2 / (se[0] ** 4 / df[0] + se[1] ** 4 / df[1]))
    assert found.high == pytest.approx(
        (found.worsening or 0.0) + stats.t.ppf(0.975, found.df) * math.sqrt(total)
    )
    renamed = replace(pairs.baseline, slices=("other",))
    missing = unpaired_differences(WER, pairs.candidate, renamed)[0]
    assert (missing.worsening, missing.note) == (None, "the baseline has no such slice")


def test_unpaired_systems_without_errors_hide_some() -> None:
    """No error in either is no proof that they are equal."""
    pairs = paired([("overall", c, 0.0, 0.0, 100.0) for c in range(6)])
    found = unpaired_differences(WER, pairs.candidate, pairs.baseline)[0]
    assert (found.low, found.high) == pytest.approx((-3.7 / 60, 3.7 / 60))


def test_clusters_needed_grow_as_the_margin_shrinks() -> None:
    """And there is an end to it: None at the margin itself, 5 where there are fewer."""
    found = overall(CANDIDATE, BASELINE, WORDS)
    needed = [clusters_needed(found, margin) for margin in (0.02, 0.01, 0.005)]
    assert all(one is not None and one > 6 for one in needed)
    assert needed == sorted(needed, key=lambda one: one or 0)
    assert clusters_needed(found, 0.01, effect=0.01) is None
    assert clusters_needed(found, 1e-9) is None
    assert clusters_needed(replace(found, clusters=3, low=None), 0.01) == 5
    assert clusters_needed(found, 0.01, effect=0.02) == clusters_needed(found, 0.01)
    alike = overall([5.0] * 10, [5.0] * 10, [100.0] * 10)
    assert clusters_needed(alike, 0.0186) == 20
    assert clusters_needed(replace(found, worsening=None), 0.01) is None


def test_needed_clusters_let_equal_systems_pass_with_the_power_promised() -> None:
    """Simulated: at that number, four gates in five pass."""
    random = np.random.default_rng(11)

    def gate(clusters: int) -> Difference:
        words = np.full(clusters, 180.0)
        two = random.poisson(6.0, (2, clusters)).astype(float)
        return overall(two[0].tolist(), two[1].tolist(), words.tolist())

    needed = clusters_needed(gate(30), 0.01) or 0
    passed = [(one.high or 1.0) <= 0.01 for one in (gate(needed) for _ in range(150))]
    assert 0.6 <= float(np.mean(passed)) <= 0.97


def test_metric_without_equal_units_is_compared_as_a_rate() -> None:
    """Denominators may differ: each system is divided by its own."""
    wanted: RateMetric = RATE_METRICS["mer"]
    pairs = paired([("overall", c, 4.0, 2.0, 100.0) for c in range(6)])
    candidate, baseline = (
        replace(
            one,
            columns={
                "errors": one.columns["capped_errors"],
                "aligned": one.columns["words"] + one.columns["capped_errors"],
                "with_aligned": one.columns["with_words"],
            },
        )
        for one in (pairs.candidate, pairs.baseline)
    )
    found = rate_differences(wanted, replace(pairs, candidate=candidate, baseline=baseline))[0]
    assert found.worsening == pytest.approx(4 / 104 - 2 / 102)
