"""The joint sign-flip test: against a slow one in plain Python, and against simulated data."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.families import (
    EXCUSED,
    FAMILY_METRICS,
    MAX_T,
    Correction,
    Differences,
    benjamini_hochberg,
    family_of,
    flipped_sums,
    packed_flips,
    run_flips,
)
from relkit.statistics.families import test_regressions as regressions
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, PairedSums, Regression

WER = RATE_METRICS["wer_capped"]
Cell = tuple[int, int, int, int, int]  # slice, cluster, candidate, baseline, words


def paired(cells: Sequence[Cell]) -> PairedSums:
    """Return sums of slices s=0, s=1 …."""
    rows = sorted(cells)
    slices = tuple(f"s={i}" for i in range(1 + max(row[0] for row in rows)))
    index: list[IntArray] = [np.array([row[k] for row in rows], dtype=np.int64) for k in (0, 1)]
    value: list[FloatArray] = [np.array([row[k] for row in rows], float) for k in (2, 3, 4)]
    candidate, baseline = (
        ClusterSums(
            slices=slices,
            slice_index=index[0],
            cluster_index=index[1],
            columns={"capped_errors": one, "words": value[2], "with_words": value[2] / 10},
        )
        for one in value[:2]
    )
    return PairedSums(candidate=candidate, baseline=baseline, clusters=1 + int(index[1].max()))


def ran(
    pairs: PairedSums,
    *,
    seed: str = "x",
    detectable: float = 2.0,
    correction: Correction = MAX_T,
) -> tuple[Regression, ...]:
    """Return the test over all slices."""
    return regressions(
        WER,
        pairs,
        pairs.candidate.slices,
        seed=seed,
        detectable=detectable,
        correction=correction,
    )


def slow_signs(clusters: int, seed: str) -> Iterator[list[int]]:
    """Yield the flips from the text of their definition."""
    if clusters <= 12:
        for k in range(2**clusters):
            yield [-1 if k >> c & 1 else 1 for c in range(clusters)]
        return
    yield [1] * clusters
    width = math.ceil(clusters / 8)
    stream = hashlib.shake_256(f"relkit-sign-flip/1\n{seed}".encode()).digest(9999 * width)
    for k in range(9999):
        taken = stream[k * width : (k + 1) * width]
        yield [-1 if taken[c // 8] >> (c % 8) & 1 else 1 for c in range(clusters)]


def slow_test(cells: Sequence[Cell], seed: str) -> dict[int, tuple[float, float, float]]:
    """Return slice to adjusted p, simultaneous low end and own p, one number at a time."""
    clusters = sorted({row[1] for row in cells})
    slices = sorted({row[0] for row in cells})
    of = {s: [row for row in cells if row[0] == s] for s in slices}
    v = {s: sum((a - b) ** 2 for _, _, a, b, _ in of[s]) for s in slices}
    errors = {s: sum(a + b for _, _, a, b, _ in of[s]) for s in slices}
    shares = [v[s] / errors[s] for s in slices if v[s] > 0]
    phi = median(shares) if shares else 0.0
    root = {s: math.sqrt(v[s] / 4 + 0.75 * phi * errors[s]) for s in slices}
    largest: list[float] = []
    reached = dict.fromkeys(slices, 0)
    first: dict[int, float] = {}
    for signs in slow_signs(len(clusters), seed):
        t = {
            s: sum(signs[clusters.index(c)] * (a - b) for _, c, a, b, _ in of[s]) / root[s]
            if root[s]
            else 0.0
            for s in slices
        }
        first = first or t
        largest.append(max(t.values()))
        for s in slices:
            reached[s] += t[s] >= first[s] - 1e-9
    largest.sort()
    q = largest[len(largest) - 1 - math.floor(0.05 * len(largest) + 1e-9)]
    return {
        s: (
            sum(m >= first[s] - 1e-9 for m in largest) / len(largest),
            (sum(a - b for _, _, a, b, _ in of[s]) - q * root[s]) / sum(r[4] for r in of[s]),
            reached[s] / len(largest),
        )
        for s in slices
    }


def drawn(clusters: int, slices: int, *, seed: int = 1, ratio: float = 1.0) -> list[Cell]:
    """Return crossed cells, slice 0 worse by ``ratio``."""
    random = np.random.default_rng(seed)
    cells = []
    for s in range(slices):
        shared, a, b = random.poisson([[6.0], [2.0], [2.0]], (3, clusters))
        extra = random.poisson(8.0 * (ratio - 1.0), clusters) * (s == 0)
        words = random.integers(60, 140, clusters)
        cells += [
            (s, c, int(shared[c] + a[c] + extra[c]), int(shared[c] + b[c]), int(words[c]))
            for c in range(clusters)
        ]
    return cells


@pytest.mark.parametrize(("clusters", "slices"), [(5, 1), (8, 3), (12, 2), (13, 3)])
@pytest.mark.parametrize("ratio", [1.0, 1.6])
def test_agrees_with_plain_python(clusters: int, slices: int, ratio: float) -> None:
    """All flips up to 12 clusters, and the seeded stream above."""
    cells = drawn(clusters, slices, ratio=ratio)
    expected = slow_test(cells, "seed/ü")
    for i, one in enumerate(ran(paired(cells), seed="seed/ü")):
        assert one.p_adjusted == pytest.approx(expected[i][0], abs=1e-12)
        assert one.low == pytest.approx(expected[i][1], abs=1e-12)
        assert one.p == pytest.approx(expected[i][2], abs=1e-12)
    own = [p for _, _, p in expected.values()]
    for one, p in zip(
        ran(paired(cells), seed="seed/ü", correction=Correction(discoveries=True)),
        benjamini_hochberg(own),
        strict=True,
    ):
        assert one.p_adjusted == pytest.approx(p, abs=1e-12)


def test_disjoint_clusters_agree_with_plain_python() -> None:
    """Each cluster in one slice: the sparse way gives the same."""
    cells = [(s, 5 * s + c % 5, a, b, n) for s, c, a, b, n in drawn(5, 4, ratio=3.0)]
    expected = slow_test(cells, "x")
    found = ran(paired(cells))
    assert [one.p_adjusted for one in found] == pytest.approx([p for p, *_ in expected.values()])


@pytest.mark.parametrize("clusters", [3, 40, 700])
def test_sparse_and_dense_sums_are_the_same(clusters: int) -> None:
    """Whole numbers and others, rows few and many."""
    random = np.random.default_rng(4)
    rows = np.sort(random.choice(clusters * 30, min(clusters * 2, 90), replace=False))
    for value in (random.integers(-9, 9, len(rows)).astype(float), random.normal(size=len(rows))):
        one = Differences(
            slices=30,
            clusters=clusters,
            slice=rows // clusters,
            cluster=rows % clusters,
            value=value,
        )
        packed = packed_flips(clusters, "s", 50)
        bits = np.unpackbits(packed, axis=1, count=clusters, bitorder="little")
        dense = np.zeros((clusters, 30))
        dense[one.cluster, one.slice] = value
        expected = (1.0 - 2.0 * bits) @ dense
        assert np.concatenate(list(flipped_sums(one, packed))) == pytest.approx(expected)


def test_fewer_flips_are_the_first_of_all() -> None:
    """What simulations use is the beginning of what decisions use."""
    assert np.array_equal(packed_flips(40, "s", 500), packed_flips(40, "s")[:500])


def test_p_and_low_end_decide_the_same() -> None:
    """A slice fails by p at 5 % exactly where its simultaneous low end is above 0."""
    for seed in range(12):
        for one in ran(paired(drawn(9, 3, seed=seed, ratio=1.0 + seed / 12))):
            assert one.p_adjusted is not None
            assert one.low is not None
            assert (one.p_adjusted <= 0.05) == (one.low > 0)


@given(st.integers(0, 500), st.permutations(range(7)), st.permutations(range(3)))
@settings(max_examples=20, deadline=None)
def test_order_of_clusters_and_slices_does_not_matter(
    seed: int, clusters: list[int], slices: list[int]
) -> None:
    """With all flips, names are only names."""
    cells = drawn(7, 3, seed=seed, ratio=1.5)
    renamed = [(slices[s], clusters[c], a, b, n) for s, c, a, b, n in cells]
    one, two = ran(paired(cells)), ran(paired(renamed))
    for s in range(3):
        assert one[s].p_adjusted == pytest.approx(two[slices[s]].p_adjusted)
        assert one[s].low == pytest.approx(two[slices[s]].low)
        assert one[s].excludes == pytest.approx(two[slices[s]].excludes)


@given(st.integers(0, 500))
@settings(max_examples=8, deadline=None)
def test_more_errors_in_every_cluster_are_never_less_evidence(seed: int) -> None:
    """Monotone in the effect where the whole slice gets worse alike."""
    cells = drawn(10, 2, seed=seed)
    p = [
        ran(paired([(s, c, a + more * (s == 0), b, n) for s, c, a, b, n in cells]))[0].p_adjusted
        or 0.0
        for more in (0, 3, 6)
    ]
    assert p == sorted(p, reverse=True)


def test_too_few_clusters_are_said_and_the_others_go_on() -> None:
    """Also a slice that does not exist, and one whose sums are no numbers."""
    cells = [
        *drawn(8, 2),
        *((2, c, 3, 2, 50) for c in range(4)),
        *((3, c, 1, 1, 9) for c in range(6)),
    ]
    pairs = paired(cells)
    spoiled = pairs.candidate.columns["capped_errors"].copy()
    spoiled[-1] = math.nan
    columns = {**pairs.candidate.columns, "capped_errors": spoiled}
    pairs = replace(pairs, candidate=replace(pairs.candidate, columns=columns))
    names = ("s=1", "s=9", "s=2", "s=3", "s=0")
    found = regressions(WER, pairs, names, seed="x", detectable=2.0)
    assert tuple(one.slice for one in found) == names
    assert [one.p_adjusted is not None for one in found] == [True, False, False, False, True]
    assert found[1].note == "no words"
    assert found[2].note == "4 clusters: the test needs 5"
    assert found[3].note == "a sum behind it is not a number"


def test_equal_outputs_are_no_evidence_and_exclude_a_doubled_rate() -> None:
    """No difference anywhere: p is 1, the low end 0, and twice the rate is out of the question."""
    cells = [(s, c, 10, 10, 100) for s in range(3) for c in range(10)]
    for one in ran(paired(cells)):
        assert (one.p_adjusted, one.low) == (1.0, 0.0)
        assert one.excludes is not None
        assert one.excludes < 2.0


def test_no_errors_at_all_have_no_ratio() -> None:
    """Nothing can be said about a multiple of 0."""
    one = ran(paired([(0, c, 0, 0, 100) for c in range(8)]))[0]
    assert (one.excludes, one.needed_clusters) == (None, None)


def test_errors_where_the_baseline_failed_are_left_out_of_the_test() -> None:
    """They count in the difference, but could not have changed places."""
    cells = drawn(10, 2)
    plain = ran(paired(cells))
    pairs = paired([(s, c, a + 20, b, n) for s, c, a, b, n in cells])
    assert (ran(pairs)[0].p_adjusted or 0.0) <= 0.05
    columns = {**pairs.candidate.columns, EXCUSED + "capped_errors": np.full(20, 20.0)}
    excused = ran(replace(pairs, candidate=replace(pairs.candidate, columns=columns)))
    assert excused[0].p_adjusted == plain[0].p_adjusted
    assert excused[0].difference.worsening == ran(pairs)[0].difference.worsening


def test_equal_systems_fail_one_family_in_twenty() -> None:
    """Exact under exchange: at most 5 % within the error of 300 simulations."""
    failed = []
    for k in range(300):
        pairs = paired(drawn(8, 4, seed=k))
        family = family_of(WER, pairs, pairs.candidate.slices, pairs.candidate.slices)
        failed.append(run_flips(family, "x").p_adjusted.min() <= 0.05)
    assert np.mean(failed) <= 0.085


def test_few_discoveries_are_false() -> None:
    """At most 5 % of what an advisory family reports, on average, and more than max-T reports."""
    false, by_discoveries, by_max_t = [], 0, 0
    for k in range(300):
        cells = [(s, c, a + (s > 5) * (2 + c % 3), b, n) for s, c, a, b, n in drawn(9, 10, seed=k)]
        pairs = paired(cells)
        family = family_of(WER, pairs, pairs.candidate.slices, pairs.candidate.slices)
        test = run_flips(family, "x")
        worse = np.array(benjamini_hochberg(test.p)) <= 0.05
        false.append(worse[:6].sum() / max(1, worse.sum()))
        by_discoveries += worse[6:].sum()
        by_max_t += (test.p_adjusted <= 0.05)[6:].sum()
    assert np.mean(false) <= 0.05 + 2 * np.std(false) / math.sqrt(len(false))
    assert by_discoveries > by_max_t


def test_family_metrics_divide_by_the_same_units() -> None:
    """Each has the columns its metric is made from; others are refused."""
    assert FAMILY_METRICS["wer"] == ("errors", "words")
    assert FAMILY_METRICS["ser"] == ("wrong", "utterances")
    with pytest.raises(KeyError):
        regressions(RATE_METRICS["mer"], paired(drawn(6, 1)), ["s=0"], seed="", detectable=2.0)
