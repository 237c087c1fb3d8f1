"""Adjusted p-values and MAPSSWE against published figures."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.comparison.mapsswe import Word, mapsswe, segment_differences
from relkit.statistics.families import benjamini_hochberg

VECTORS = Path(__file__).resolve().parents[3].parent / "shared" / "vectors" / "statistics.json"
needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason="the shared vectors are not here")


@needs_vectors
def test_adjusted_p_values_agree_with_r() -> None:
    """Benjamini-Hochberg of R's multtest, also out of order."""
    first, *others = json.loads(VECTORS.read_text())["multiple_testing"]
    at = {name: k for k, name in enumerate(first["columns"])}
    rows = {row[at["rawp"]]: row for row in first["rows"]}
    raw = first["unsorted_pvalues"]
    assert benjamini_hochberg(raw) == pytest.approx([rows[p][at["bh"]] for p in raw])
    for one in others:
        by = one["by_method"]
        assert benjamini_hochberg(by["rawp"]) == pytest.approx(by["bh"])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.999))
def test_benjamini_hochberg_rejects_what_the_step_up_rule_rejects(
    raw: list[float], rate: float
) -> None:
    """The largest i with p_(i) <= i q / m decides, whatever the order and whatever is equal."""
    ordered = sorted(raw)
    below = [i for i, p in enumerate(ordered, start=1) if p * len(raw) / i <= rate]
    last = ordered[below[-1] - 1] if below else -1.0
    adjusted = benjamini_hochberg(raw)
    assert [p <= rate for p in adjusted] == [p <= last for p in raw]
    for p, q in zip(raw, adjusted, strict=True):
        assert p * (1 - 1e-12) <= q <= min(1.0, p * len(raw))


def test_p_values_outside_0_to_1_are_refused() -> None:
    """NaN among them; none at all give none."""
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="within"):
            benjamini_hochberg([0.5, bad])
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
