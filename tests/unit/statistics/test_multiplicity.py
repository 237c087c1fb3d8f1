"""Adjusted p-values and MAPSSWE against published figures."""

import json
from pathlib import Path

import pytest

from relkit.comparison.mapsswe import Word, mapsswe, segment_differences
from relkit.statistics.families import benjamini_hochberg, holm

VECTORS = Path(__file__).resolve().parents[3].parent / "shared" / "vectors" / "statistics.json"
needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason="the shared vectors are not here")


@needs_vectors
def test_adjusted_p_values_agree_with_r() -> None:
    """Holm and Benjamini-Hochberg of R's multtest, also out of order."""
    first, *others = json.loads(VECTORS.read_text())["multiple_testing"]
    at = {name: k for k, name in enumerate(first["columns"])}
    rows = {row[at["rawp"]]: row for row in first["rows"]}
    raw = first["unsorted_pvalues"]
    assert holm(raw) == pytest.approx([rows[p][at["holm"]] for p in raw])
    assert benjamini_hochberg(raw) == pytest.approx([rows[p][at["bh"]] for p in raw])
    for one in others:
        by = one["by_method"]
        assert holm(by["rawp"]) == pytest.approx(by["holm"])
        assert benjamini_hochberg(by["rawp"]) == pytest.approx(by["bh"])


def test_p_values_outside_0_to_1_are_refused() -> None:
    """NaN among them; none at all give none."""
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="within"):
            holm([0.5, bad])
    assert benjamini_hochberg([]) == []


@needs_vectors
def test_mapsswe_reproduces_nist_and_refuses_three_segments() -> None:
    """Mean, deviation and z as sc_stats printed them, and no decision."""
    case = json.loads(VECTORS.read_text())["mapsswe"]
    found = mapsswe(case["segment_diffs"])
    assert found.mean == pytest.approx(case["mean"], abs=5e-4)
    assert found.sd == pytest.approx(case["sd"], abs=5e-4)
    assert found.z == pytest.approx(case["z"])
    assert (found.p, found.different) == (None, None)
    assert found.note == "3 segments: the test needs 30"


def test_mapsswe_decides_from_thirty_segments() -> None:
    """The normal distribution's two-sided p; equal segments have none."""
    found = mapsswe([1.0, 0.0, 1.0] * 10)
    assert found.z == pytest.approx(7.615773)
    assert found.different is True
    assert mapsswe([1.0] * 30).different is None


def test_segments_of_the_nist_example() -> None:
    """Two utterances of SCTK's test1 give the differences 0, 1, 1."""
    # Right words as sc_stats has them: yeah how do we handle how do we ha address that.
    # "do we handle" is apart from what follows by "we ha", which both have right.
    both, none = (1, 1), (0, 0)
    words = [both, none, none, both, none, none, none, both, both, none, (1, 0)]
    listed = [Word(right_a=bool(x), right_b=bool(y)) for x, y in words]
    assert sorted([*segment_differences(listed, after_a=2), *segment_differences([], 1, 0)]) == [
        0,
        1,
        1,
    ]


def test_short_calm_stretches_do_not_end_a_segment() -> None:
    """One word right between two errors joins them; two part them."""
    right, wrong = Word(right_a=True, right_b=True), Word(right_a=False, right_b=True)
    assert segment_differences([wrong, right, wrong]) == [2]
    assert segment_differences([wrong, right, right, wrong]) == [1, 1]
    assert segment_differences([right] * 5) == []
