"""What two runs side by side say: findings in words, harm, where a regression is, confusions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.comparison import findings as comparing
from relkit.comparison.attribution import MOST_COLUMNS, attribute, crossings, shared_with
from relkit.comparison.findings import confusion_changes
from relkit.comparison.mapsswe import segment_test
from relkit.comparison.types import Finding, Row, SliceChange
from relkit.comparison.view import finding_words
from relkit.core.values import ErrorCounts
from relkit.scoring.types import Texts
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, Difference, PairedSums, Regression
from tests.builders import counts, estimate, report, slice_result

Cells = Mapping[str, Mapping[int, tuple[int, int, int]]]
"""Slice to cluster to (errors of the candidate, of the baseline, words of either)."""

WER = RATE_METRICS["wer_capped"]


def paired(cells: Cells, *, words_a_turn: int = 10) -> PairedSums:
    """Return sums as the aggregator gives them; all errors are substitutions."""
    rows = [
        (i, cluster, *numbers)
        for i, clusters in enumerate(cells.values())
        for cluster, numbers in clusters.items()
    ]
    index, cluster, ours, theirs, words = np.array(rows, dtype=np.int64).reshape(-1, 5).T

    def side(errors: Any) -> ClusterSums:  # noqa: ANN401  # a column of the array
        wrong = errors.astype(np.float64)
        turns = words.astype(np.float64) / words_a_turn
        names = ("capped_errors", "errors", "substitutions")
        columns = {
            **dict.fromkeys(names, wrong),
            **dict.fromkeys(("deletions", "insertions"), np.zeros(len(words))),
            **dict.fromkeys(("utterances", "with_words"), turns),
            "words": words.astype(np.float64),
        }
        return ClusterSums(
            slices=tuple(cells), slice_index=index, cluster_index=cluster, columns=columns
        )

    clusters = {c for own in cells.values() for c in own}
    return PairedSums(candidate=side(ours), baseline=side(theirs), clusters=len(clusters))


def difference(worsening: float | None = 0.02, **fields: Any) -> Difference:  # noqa: ANN401  # any field
    """Return a difference at a baseline of 10 %, with 20 clusters behind it."""
    given: dict[str, Any] = {
        "slice": "overall",
        "candidate": None if worsening is None else 0.1 + worsening,
        "baseline": 0.1,
        "worsening": worsening,
        "se": 0.01,
        "df": 19.0,
        "n": 1000,
        "utterances": 100,
        "clusters": 20,
        "discordant": 20,
        "method": "jackknife",
    }
    return Difference(**(given | fields))


def one(regression: Regression, p_better: float | None = None) -> SliceChange:
    """Return how one tested slice is read."""
    pairs = paired({"overall": {0: (2, 1, 100)}, "a=x": {0: (2, 1, 100)}})
    return comparing.slice_changes([(regression, p_better)], pairs, cluster="voice")[0]


def judged(**fields: Any) -> Regression:  # noqa: ANN401  # any field of the type
    """Return a tested slice that excludes a rate 1.5 times as high."""
    given: dict[str, Any] = {
        "slice": "a=x",
        "difference": difference(slice="a=x"),
        "p_adjusted": 0.2,
        "excludes": 1.5,
    }
    return Regression(**(given | fields))


@pytest.mark.parametrize(
    ("regression", "p_better", "finding", "words"),
    [
        (judged(p_adjusted=0.05), None, Finding.WORSE, "worse by 2.0 points"),
        (judged(p_adjusted=0.051), None, Finding.NOT_SEEN, "a rate 1.5 times as high is excluded"),
        (
            judged(p_adjusted=1.0, difference=difference(-0.03, slice="a=x")),
            0.05,
            Finding.BETTER,
            "better by 3.0 points",
        ),
        (judged(excludes=2.0), None, Finding.NOT_SEEN, "no difference seen"),
        (judged(excludes=1.001), None, Finding.NOT_SEEN, "seen: any higher rate is excluded"),
        (
            judged(excludes=2.1, needed_clusters=33),
            None,
            Finding.CANNOT_TELL,
            "cannot tell: about 13 more voices would exclude 2 times the rate",
        ),
        (
            judged(excludes=None, needed_clusters=1234),
            None,
            Finding.CANNOT_TELL,
            "about 1,300 more voices would exclude",
        ),
        (
            judged(excludes=None),
            None,
            Finding.CANNOT_TELL,
            "cannot tell: more of the same data would not exclude 2 times the rate",
        ),
        (
            judged(p_adjusted=None, excludes=None, note="3 clusters: a test needs 5"),
            None,
            Finding.CANNOT_TELL,
            "cannot tell: 3 clusters: a test needs 5",
        ),
        (
            judged(difference=difference(None, slice="a=x", note="no words"), p_adjusted=None),
            None,
            Finding.CANNOT_TELL,
            "cannot tell: no words",
        ),
    ],
)
def test_a_slice_is_read_by_the_test_of_its_family(
    regression: Regression, p_better: float | None, finding: Finding, words: str
) -> None:
    """Worse, better, not seen where its size is excluded, or what would be needed."""
    found = one(regression, p_better)
    assert found.finding is finding
    assert words in found.reason
    assert (found.needed_clusters is None) == ("voices would" not in found.reason)


@pytest.mark.parametrize(
    ("worsening", "p"),
    [(0.03, "worse (20 voices, p 0.010)"), (-0.03, "better (20 voices, p 0.020)")],
)
def test_the_p_beside_a_finding_is_that_of_the_finding(worsening: float, p: str) -> None:
    """A slice that is better shows the p of being better, one that is worse that of being worse."""
    p_worse, p_better = (0.01, 1.0) if worsening > 0 else (1.0, 0.02)
    found = one(judged(p_adjusted=p_worse, difference=difference(worsening, slice="a=x")), p_better)
    assert finding_words(found, "voice") == p


@pytest.mark.parametrize(
    ("ends", "finding"),
    [
        ((0.001, 0.04), Finding.WORSE),
        ((-0.04, -0.001), Finding.BETTER),
        ((-0.01, 0.01), Finding.NOT_SEEN),
        ((-0.011, 0.01), Finding.CANNOT_TELL),
        ((0.0, 0.02), Finding.CANNOT_TELL),
        ((None, None), Finding.CANNOT_TELL),
    ],
)
def test_the_whole_is_read_by_its_interval(
    ends: tuple[float | None, float | None], finding: Finding
) -> None:
    """No difference is said only where the ends are within a tenth of the baseline's rate."""
    pairs = paired({"overall": {0: (2, 1, 100)}})
    low, high = ends
    found = comparing.overall_change(difference(0.005, low=low, high=high), pairs, cluster="voice")
    assert found.finding is finding
    if finding is Finding.CANNOT_TELL:
        assert found.needed_clusters is not None
        assert found.needed_clusters > 20
        assert "more voices" in found.reason


def test_slices_come_by_evidence_and_by_harm() -> None:
    """Small p first; harm counts the slice's share of all turns, not only its own rate."""
    cells: Cells = {
        "overall": {0: (40, 20, 1000)},
        "a=rare": {0: (10, 2, 20)},
        "a=common": {0: (30, 18, 980)},
    }
    pairs = paired(cells)
    both = [
        (judged(slice=name, p_adjusted=p, difference=difference(slice=name)), None)
        for name, p in (("a=common", 0.04), ("a=rare", 0.01))
    ]
    found = comparing.slice_changes(both, pairs, cluster="voice")
    assert [item.slice for item in found] == ["a=rare", "a=common"]
    assert [item.slice for item in comparing.by_harm(found)] == ["a=common", "a=rare"]


def test_harm_is_extra_wrong_words_in_a_thousand_turns() -> None:
    """Of the slice's own turns and of all turns, with the share between them."""
    pairs = paired({"overall": {0: (40, 20, 1000)}, "a=x": {0: (6, 1, 250)}, "a=y": {0: (0, 0, 0)}})
    found = comparing.harms(pairs)
    assert (found["overall"].per_thousand, found["overall"].share) == (200.0, 1.0)
    assert (found["a=x"].turns, found["a=x"].per_thousand) == (25, 200.0)
    assert (found["a=x"].share, found["a=x"].of_all) == (0.25, 50.0)
    assert (found["a=y"].turns, found["a=y"].per_thousand, found["a=y"].of_all) == (0, None, 0.0)
    words = comparing.word_changes(pairs)
    assert (words["a=x"].substitutions, words["a=x"].deletions) == (5, 0)


def test_the_seed_and_order_of_systems_decide_the_test() -> None:
    """Planted harm is worse, its mirror image better, and the same seed gives the same p-values."""
    slices: Cells = {
        "overall": dict.fromkeys(range(10), (14, 10, 200)),
        "a=x": dict.fromkeys(range(10), (9, 5, 100)),
        "a=y": dict.fromkeys(range(10), (5, 5, 100)),
    }
    pairs = paired(slices)
    found = {
        item.slice: (item, p_better)
        for item, p_better in comparing.tested("wer_capped", pairs, {}, seed="s")
    }
    assert set(found) == {"a=x", "a=y"}
    assert found["a=x"][0].p_adjusted == pytest.approx(1 / 1024)
    mirrored = comparing.tested("wer_capped", comparing.swapped(pairs), {}, seed="s")
    assert mirrored[0][1] == found["a=x"][0].p_adjusted
    assert mirrored[0][0].p_adjusted == found["a=x"][1]


def test_measured_amounts_are_judged_slice_by_slice() -> None:
    """There is no joint test for them: the note says that nothing is corrected."""
    pairs = paired({"overall": {0: (1, 1, 10)}, "a=x": {0: (1, 1, 10)}})
    own = difference(0.02, slice="a=x", low=0.01, high=0.03)
    found = comparing.tested("rtf", pairs, {"a=x": own}, seed="s")
    assert [(item.slice, item.note, p) for item, p in found] == [
        ("a=x", comparing.UNCORRECTED, None)
    ]
    assert one(found[0][0]).finding is Finding.WORSE


def test_new_and_vanished_slices_are_those_with_something_scored() -> None:
    """A slice in which nothing could be scored has vanished."""
    ours = report(slice_result("overall"), slice_result("a=x"), slice_result("a=y", utterances=0))
    theirs = report(slice_result("overall"), slice_result("a=y"), slice_result("a=z"))
    assert comparing.new_and_vanished(ours, theirs) == (("a=x",), ("a=y", "a=z"))


def test_only_times_are_timing_metrics() -> None:
    """What is compared only under the same load."""
    metrics = {
        "wer": estimate(),
        "rtf": estimate(unit="ratio"),
        "latency_ms.p95": estimate(unit="ms"),
    }
    found = comparing.timing_metrics(report(slice_result("overall", metrics)))
    assert list(found) == ["rtf", "latency_ms.p95"]


PLANTED: Cells = {
    "overall": {0: (60, 40, 1000)},
    "a=x": {0: (38, 20, 500)},
    "a=y": {0: (22, 20, 500)},
    "b=p": {0: (37, 20, 600)},
    "b=q": {0: (23, 20, 400)},
    "a=x&b=p": {0: (26, 10, 150)},
    "a=x&b=q": {0: (12, 10, 350)},
    "a=y&b=p": {0: (11, 10, 450)},
    "a=y&b=q": {0: (11, 10, 50)},
}


def test_the_part_with_most_of_the_excess_in_little_data_is_named() -> None:
    """16 of 20 extra errors are in a crossing with 15 % of the words."""
    found = attribute(WER, "overall", paired(PLANTED))
    assert found is not None
    assert (found.slice, found.excess, found.utterances) == ("a=x&b=p", 16.0, 15)
    assert (found.share, found.data) == pytest.approx((0.8, 0.15))


def test_a_slice_is_attributed_inside_itself() -> None:
    """Only crossings that lie in the slice can explain it, and itself where none does."""
    inside = attribute(WER, "b=p", paired(PLANTED))
    assert inside is not None
    assert (inside.of, inside.slice) == ("b=p", "a=x&b=p")
    alone = attribute(WER, "a=x&b=p", paired(PLANTED))
    assert alone is not None
    assert (alone.slice, alone.share, alone.data) == ("a=x&b=p", 1.0, 1.0)


def test_nothing_is_attributed_where_nothing_is_in_excess() -> None:
    """A candidate with fewer errors has no regression to explain, nor has an absent slice."""
    better = replace(
        paired(PLANTED), candidate=paired(PLANTED).baseline, baseline=paired(PLANTED).candidate
    )
    assert attribute(WER, "overall", better) is None
    assert attribute(WER, "a=absent", paired(PLANTED)) is None


def test_harm_that_is_spread_evenly_is_not_pinned_on_a_half() -> None:
    """Half of a slice holds half of its excess, which explains nothing."""
    cells: Cells = {
        "overall": {0: (60, 40, 1000)},
        "a=x": {0: (40, 20, 250)},
        "a=x&b=p": {0: (20, 10, 125)},
        "a=x&b=q": {0: (20, 10, 125)},
        "b=p": {0: (30, 20, 500)},
    }
    of_all = attribute(WER, "overall", paired(cells))
    of_slice = attribute(WER, "a=x", paired(cells))
    assert of_all is not None
    assert of_slice is not None
    assert (of_all.slice, of_slice.slice) == ("a=x", "a=x")


def test_a_slice_is_worse_because_of_what_it_shares_with_another() -> None:
    """16 of the 17 extra errors of b=p are where it crosses a=x, whose own crossings are inside."""
    found = shared_with(WER, "a=x", [*PLANTED, "b=absent"], paired(PLANTED))
    assert found == {"b=p": pytest.approx(16 / 17), "b=q": pytest.approx(2 / 3)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(10, 60)), min_size=1))
def test_no_other_part_explains_more_with_less(parts: list[tuple[int, int, int]]) -> None:
    """Whatever the parts: none with at least the excess of the named one has less data."""
    cells = {f"a={i}": {0: part} for i, part in enumerate(parts)}
    ours, theirs, words = (sum(part[k] for part in parts) for k in range(3))
    found = attribute(WER, "overall", paired({"overall": {0: (ours, theirs, words)}, **cells}))
    if ours <= theirs:
        assert found is None
        return
    assert found is not None
    assert found.excess >= 0.5 * (ours - theirs)
    if found.slice == "overall":
        assert found.data == 1.0
        return
    less = [p for p in parts if p[2] < found.data * words - 1e-6]
    assert all(p[0] - p[1] < min(found.excess, ours - theirs) for p in less)


def test_crossings_are_bounded() -> None:
    """Every pair of columns once, the suite's own crossings kept, and never hundreds of columns."""
    assert crossings(["overall", "b", "c&b&a"]) == (
        "overall", "b", "a", "c", "a&b&c", "a&b", "b&c", "a&c",
    )  # fmt: skip
    many = crossings([f"c{i:02}" for i in range(40)])
    assert sum("&" in name for name in many) == MOST_COLUMNS * (MOST_COLUMNS - 1) // 2


def said(name: str, text: str, wrong: ErrorCounts, **fields: Any) -> Row:  # noqa: ANN401  # any field
    """Return a row whose reference is always the same."""
    texts = Texts(
        reference="call me now",
        hypothesis=text,
        reference_normalized="call me now",
        hypothesis_normalized=text,
    )
    return Row(id=name, counts=wrong, texts=texts, **fields)


def test_segments_are_made_of_the_words_of_both_systems() -> None:
    """Two right words part two segments; a failed baseline is perfect, unusable rows are out."""
    before = [
        said("u1", "fall me now", counts(2, 1)),
        said("u2", "", counts(0, 0, 3), failure="timeout"),
        said("u3", "call me now", counts(3), unusable="empty"),
    ]
    after = [
        said("u1", "call me now then", counts(3, 0, 0, 1)),
        said("u2", "call we now", counts(2, 1)),
        said("u3", "nothing", counts(0, 1, 2)),
    ]
    found = segment_test(after, before, "auto")
    assert (found.segments, found.p) == (3, None)
    assert found.mean == pytest.approx(1 / 3)
    assert found.note is not None
    assert "needs 30" in found.note
    thrice = [
        [replace(row, repeat=k) for k in range(3) for row in rows] for rows in (after, before)
    ]
    assert segment_test(thrice[0], thrice[1], "auto") == found


def test_confusions_that_changed_come_with_the_most_utterances_first() -> None:
    """A loop in one utterance is not the news; equal confusions and failures are none at all."""
    before = [
        said("u1", "call me now", counts(3)),
        said("u2", "call me now", counts(3)),
        said("u3", "fall me now", counts(2, 1)),
        said("u4", "", counts(0, 0, 3), failure="timeout"),
        said("u5", "call me now", counts(3)),
    ]
    after = [
        said("u1", "call we now", counts(2, 1)),
        said("u2", "call we now", counts(2, 1)),
        said("u3", "fall me now", counts(2, 1)),
        said("u4", "fall me now", counts(2, 1)),
        said("u5", "call me now" + " now" * 40, counts(3, 0, 0, 40)),
        said("u6", "fall me now", counts(2, 1)),
    ]
    found = confusion_changes(after, before, "auto", most=10)
    assert [(c.expected, c.given, c.baseline, c.candidate, c.utterances) for c in found] == [
        ("me", "we", 0, 2, 2),
        (None, "now", 0, 40, 1),
    ]
    assert [c.change for c in confusion_changes(before, after, "auto", most=1)] == [-2]
    twice = [[replace(row, repeat=k) for row in rows for k in range(2)] for rows in (after, before)]
    again = confusion_changes(twice[0], twice[1], "auto", most=10)
    assert [(c.candidate, c.utterances) for c in again] == [(4, 2), (80, 1)]
