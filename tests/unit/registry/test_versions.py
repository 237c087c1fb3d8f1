"""Versions in SemVer's order, and ranges that fail closed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.registry.versions import VersionRange, compare_versions, same_or_newer_minor

ASCENDING = (
    "0.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.2",
    "1.9",
    "1.10",
    "2",
    "2026.1.31",
)
"""SemVer 2.0.0, section 11, and a few of ours."""


def test_versions_are_ordered_as_semver_says() -> None:
    """Numbers as numbers, a pre-release before its release."""
    for older, newer in pairwise(ASCENDING):
        assert compare_versions(older, newer) == -1, (older, newer)
        assert compare_versions(newer, older) == 1, (older, newer)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.2", "1.2.0"), ("v1.2", "1.2"), ("1.2+build.7", "1.2"), ("1.0rc1", "1.0.0-rc.1")],
)
def test_two_spellings_of_one_version_are_the_same(one: str, other: str) -> None:
    """Trailing zeros, a leading v, build metadata and Python's spelling change nothing."""
    assert compare_versions(one, other) == 0


def test_other_names_are_ordered_as_registered() -> None:
    """A name has no place among numbers but the one it was registered at."""
    order = ("1.0", "main-7f3a", "nightly")
    assert compare_versions("main-7f3a", "nightly", order) == -1
    assert compare_versions("nightly", "1.0", order) == 1
    assert compare_versions("main-7f3a", "main-7f3a") == 0
    with pytest.raises(ValueError, match='"main-7f3a" is no numeric version'):
        compare_versions("main-7f3a", "1.0")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.2,<2", ["1.2", "1.2.0", "1.99.9", "1.5.0-rc.1"], ["1.1.9", "2", "2.0.0-rc.1", "3"]),
        (">1.2", ["1.2.1"], ["1.2.0", "1.2+build", "1.2.1-rc.1.", "1.0"]),
        ("<=1.2", ["1.2.0", "1.2.0-rc.1"], ["1.2.1"]),
        ("<2.0.0-rc.2", ["2.0.0-rc.1", "1.9"], ["2.0.0-rc.2", "2.0.0"]),
        ("1.4.0", ["1.4", "v1.4.0"], ["1.4.1"]),
        ("==1.4.*", ["1.4", "1.4.7", "1.4.0-rc.1"], ["1.5", "1", "main"]),
        ("!=1.4.*", ["1.5"], ["1.4.2", "main"]),
        (">=1, !=1.3.1", ["1.3", "1.3.2"], ["1.3.1", "0.9"]),
        ("*", ["1.0", "main-7f3a"], []),
        ("main", ["main"], ["1.0", "nightly"]),
        ("!=main", ["1.0", "nightly"], ["main"]),
        ("=2", ["2.0"], ["2.1"]),
    ],
)
def test_a_range_holds_what_it_says(text: str, inside: list[str], outside: list[str]) -> None:
    """All comparisons have to hold; what has no place in the order is outside."""
    wanted = VersionRange.parse(text)
    assert [v for v in inside if not wanted.holds(v)] == []
    assert [v for v in outside if wanted.holds(v)] == []


def test_a_name_without_a_place_is_outside_a_range() -> None:
    """Not known to hold is not holding; its place among the registered ones makes it known."""
    wanted = VersionRange.parse(">=1.0")
    assert not wanted.holds("main")
    assert wanted.holds("main", ("1.0", "main"))
    assert not wanted.holds("main", ("main", "1.0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no range of versions"),
        (">=1.2,", "is no range of versions"),
        ("latest version", "is no range of versions"),
        (">= 1.2 < 2", "is no range of versions"),
        ("~=1.2", "is no range of versions"),
        ("^1.2", "is no range of versions"),
        (">=main", '"main" is no numeric version, and only those have >='),
        (">=1.*", "a star goes with == or !="),
        ("==*.1", "a star stands alone or after the last dot"),
        ("==main.*", "a star goes with == or !="),
        ("1" * 201, "at most 200 characters"),
    ],
)
def test_what_is_no_range_is_refused(text: str, message: str) -> None:
    """With the text and what one looks like."""
    with pytest.raises(ValueError, match=message):
        VersionRange.parse(text)


@pytest.mark.parametrize(
    ("version", "needed", "fits"),
    [
        ("1.2", "1.2", True),
        ("1.3", "1.2", True),
        ("1.2.0", "1.2.5", True),
        ("1.1", "1.2", False),
        ("2.0", "1.2", False),
        ("0.3", "0.3.1", True),
        ("0.4", "0.3", False),
        ("1.3-rc.1", "1.2", False),
        ("v1", "v1", True),
        ("blue", "green", False),
    ],
)
def test_an_interface_offers_what_its_minor_versions_add(
    version: str, needed: str, *, fits: bool
) -> None:
    """The same major number, and no smaller minor one."""
    assert same_or_newer_minor(version, needed) is fits


VERSIONS = st.builds(
    lambda numbers, pre: ".".join(map(str, numbers)) + (f"-{pre}" if pre else ""),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.sampled_from(["", "rc.1", "rc.2", "alpha", "alpha.1", "1"]),
)


@given(st.lists(VERSIONS, min_size=3, max_size=3))
def test_the_order_of_versions_is_an_order(versions: list[str]) -> None:
    """Antisymmetric and transitive."""
    a, b, c = versions
    assert compare_versions(a, b) == -compare_versions(b, a)
    if compare_versions(a, b) <= 0 and compare_versions(b, c) <= 0:
        assert compare_versions(a, c) <= 0


@given(VERSIONS, VERSIONS)
def test_a_range_and_its_opposite_never_both_hold(version: str, bound: str) -> None:
    """``<`` and ``>=`` exclude each other, and only pre-releases of the bound are in neither."""
    below = VersionRange.parse(f"<{bound}").holds(version)
    above = VersionRange.parse(f">={bound}").holds(version)
    assert not (below and above)
    if not (below or above):
        assert compare_versions(version, bound) == -1
        assert "-" in version
        assert "-" not in bound


@given(st.text(max_size=12))
def test_any_text_is_a_range_or_refused_with_a_reason(text: str) -> None:
    """Nothing else is raised, and a range can be asked about anything."""
    try:
        wanted = VersionRange.parse(text)
    except ValueError:
        return
    assert wanted.holds(text) in {True, False}
    assert wanted.clauses or text.strip() == "*"
