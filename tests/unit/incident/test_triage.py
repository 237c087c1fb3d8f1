"""What triage says of counted turns: blame, the other causes, and when it cannot be told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relkit.incident.blame import switches_of
from relkit.incident.causes import LACKS, LOG_SUM
from relkit.incident.diagnosis import long_lived, searched
from relkit.incident.expected import fit_rate, part_of
from relkit.incident.scan import _approximate, likelihood_ratio, refined, scan
from relkit.incident.types import IncidentCounts
from tests.incident_data import (
    BINS,
    FAILED,
    FIRST,
    ONSET,
    WINDOW,
    Cells,
    Factor,
    counted_turns,
    diagnosed,
    from_onset,
)


def half(cells: Cells) -> NDArray[Any]:
    """Half of the traffic from the onset on."""
    return np.where(from_onset(cells), 0.5, 0.0)


def all_at_once(cells: Cells) -> NDArray[Any]:
    """All of it from the onset on."""
    return np.where(from_onset(cells), 1.0, 0.0)


def worse(component: str, times: float = 3.0, **only: str) -> Factor:
    """Return what version 2 of a component does, at some values."""

    def factor(cells: Cells) -> NDArray[Any]:
        mask = cells[component] == "2"
        for name, value in only.items():
            mask = mask & (cells[name] == value)
        return np.where(mask, times, 1.0)

    return factor


def place(times: float = 6.0, **only: str) -> Factor:
    """Return what happens from the onset on, at some values, whatever the version."""

    def factor(cells: Cells) -> NDArray[Any]:
        mask = from_onset(cells)
        for name, value in only.items():
            mask = mask & (cells[name] == value)
        return np.where(mask, times, 1.0)

    return factor


def test_a_bad_half_is_blamed_with_the_other_half_as_control() -> None:
    """Version, slice and onset are named, and the evidence is concurrent."""
    counts = counted_turns(shares={"llm": half}, factor=worse("llm", client="web"))
    verdict = diagnosed(counts)
    assert (verdict.verdict, verdict.evidence) == ("release", "concurrent")
    assert (verdict.component, verdict.version) == ("llm", "2")
    assert verdict.slice == "client=web"
    assert verdict.onset is not None
    assert verdict.onset.first <= ONSET - FIRST + 6
    assert verdict.log_odds is not None
    assert verdict.log_odds > 5
    assert verdict.ended is None


def test_what_the_old_version_suffers_too_is_no_release() -> None:
    """A region fails in the middle of an innocent canary."""
    verdict = diagnosed(counted_turns(shares={"llm": half}, factor=place(region="ap")))
    assert (verdict.verdict, verdict.cause) == ("not_release", "region")
    assert verdict.slice == "region=ap"
    assert verdict.component is None


def test_a_client_that_always_got_the_new_version_tells_nothing() -> None:
    """The client and the release are the same cell: nobody is blamed."""
    share = {"llm": lambda cells: all_at_once(cells) * (cells["client"] == "web")}
    verdict = diagnosed(counted_turns(shares=share, factor=worse("llm")))
    assert verdict.verdict in {"undetermined", "not_release"}
    assert verdict.component is None


def test_a_place_that_alone_got_a_release_when_it_began_is_not_said_to_be_no_release() -> None:
    """Its share of all traffic is too small to be a switch, and it may be the release all the same.

    Where the place had it a day before, it is not what changed.
    """

    def from_bin(first: int) -> Factor:
        return lambda cells: (cells["bin"] >= first) * (cells["region"] == "ap") * 1.0

    at_onset = counted_turns(shares={"llm": from_bin(ONSET)}, factor=place(region="ap"))
    verdict = diagnosed(at_onset)
    assert (verdict.verdict, verdict.slice) == ("undetermined", "region=ap")
    long_before = counted_turns(shares={"llm": from_bin(ONSET - 250)}, factor=place(region="ap"))
    verdict = diagnosed(long_before)
    assert (verdict.verdict, verdict.cause) == ("not_release", "region")


def test_two_components_of_the_same_sessions_are_not_told_apart() -> None:
    """Both are candidates, and none is to blame."""
    counts = counted_turns(shares={"llm": half}, factor=worse("llm"))
    both = replace(counts, releases={**counts.releases, "tts": counts.releases["llm"]})
    verdict = diagnosed(both)
    assert verdict.verdict == "undetermined"
    assert {c.component for c in verdict.candidates} >= {"llm", "tts"}


def test_a_switch_of_all_traffic_is_blamed_by_its_time_alone_and_says_so() -> None:
    """The evidence is temporal, with the share on the old version that would decide."""
    counts = counted_turns(shares={"llm": all_at_once}, factor=worse("llm"))
    verdict = diagnosed(counts)
    assert (verdict.verdict, verdict.evidence) == ("release", "temporal")
    assert verdict.probe is not None
    assert (verdict.probe.component, verdict.probe.version) == ("llm", "1")
    assert 0 < verdict.probe.share <= 0.5
    assert verdict.probe.minutes > 0


@pytest.mark.parametrize(
    ("events", "only"),
    [(((ONSET - FIRST, "config limits"),), {}), ((), {"region": "ap"})],
    ids=["something else changed", "one region"],
)
def test_a_switch_is_not_blamed_where_something_else_fits(
    events: tuple[tuple[int, str], ...], only: dict[str, str]
) -> None:
    """Another change at the time, or a single place, leaves it open."""
    counts = counted_turns(shares={"llm": all_at_once}, factor=place(times=4.0, **only))
    verdict = diagnosed(counts, events=events)
    assert verdict.verdict == "undetermined"
    assert verdict.component is None
    assert verdict.probe is not None


def test_two_components_switched_when_it_began_are_both_open() -> None:
    """The time of two switches says nothing about either."""
    counts = counted_turns(shares={"llm": all_at_once}, factor=worse("llm"))
    both = replace(counts, releases={**counts.releases, "tts": counts.releases["llm"]})
    verdict = diagnosed(both)
    assert verdict.verdict == "undetermined"
    assert "several components" in verdict.reason or "as well as" in verdict.reason


def test_nothing_says_what_was_compared_with_what() -> None:
    """No verdict of nothing without the span and the reference."""
    verdict = diagnosed(counted_turns(shares={"llm": half}))
    assert verdict.verdict == "nothing"
    assert "the last 2 days compared with the 6 days before" in verdict.reason


def test_other_traffic_is_mix() -> None:
    """Callers who were always understood worse come in great numbers."""
    counts = counted_turns(
        traffic=lambda cells: np.where(
            from_onset(cells), np.where(cells["noise"] == "cafe", 1.8, 0.2), 1.0
        )
    )
    verdict = diagnosed(counts)
    assert (verdict.verdict, verdict.cause) == ("not_release", "mix")


def test_more_traffic_is_load() -> None:
    """Twice the turns of the hour, and everything fails more often."""
    counts = counted_turns(traffic=place(2.0), factor=place(2.0))
    verdict = diagnosed(counts)
    assert (verdict.verdict, verdict.cause) == ("not_release", "load")


def test_what_one_client_adds_is_the_client() -> None:
    """Most of what was added came from one of them, which sends everything again."""
    counts = counted_turns(traffic=place(4.0, client="web"), factor=place(2.0))
    verdict = diagnosed(counts)
    assert (verdict.verdict, verdict.cause) == ("not_release", "client")
    assert verdict.slice == "client=web"


def test_upstream_codes_are_the_dependency() -> None:
    """Over half of the failures carry them; under half they rule it out."""
    counts = counted_turns(factor=place(3.0))
    failures = counts.events["failed"].astype(float)
    sums = {"failures": failures, "upstream": failures * 0.8}
    verdict = diagnosed(replace(counts, sums=sums))
    assert (verdict.verdict, verdict.cause) == ("not_release", "dependency")
    rare = diagnosed(replace(counts, sums=sums | {"upstream": failures * 0.2}))
    assert rare.verdict == "undetermined"
    assert "dependency" in {ruled.cause for ruled in rare.ruled_out}


def with_missing(counts: IncidentCounts, share: float) -> IncidentCounts:
    """Return counts in which a column lacks a share of its values from the onset on."""
    lost = np.where(counts.bins >= ONSET, (counts.turns * share).astype(np.int64), 0)
    return replace(
        counts,
        measured={**counts.measured, f"{LACKS}llm_ttft_ms": counts.turns},
        events={**counts.events, f"{LACKS}llm_ttft_ms": lost},
    )


def test_values_that_go_missing_are_measurement() -> None:
    """Ten points of nulls, and no sooner."""
    verdict = diagnosed(with_missing(counted_turns(turns=20.0), 0.4))
    assert (verdict.verdict, verdict.cause) == ("not_release", "measurement")
    few = diagnosed(with_missing(counted_turns(turns=20.0), 0.08))
    assert few.verdict == "nothing"


def test_another_unit_in_one_place_is_measurement() -> None:
    """All durations of a region move by a factor of a thousand at once."""
    counts = with_missing(counted_turns(), 0.0)
    region = counts.columns["region"]
    moved = (counts.bins >= ONSET) & (region.codes == region.names.index("us"))
    logs = counts.turns.astype(np.float64) * np.where(moved, 5.0, 2.0)
    verdict = diagnosed(replace(counts, sums={f"{LOG_SUM}llm_ttft_ms": logs}))
    assert (verdict.verdict, verdict.cause) == ("not_release", "measurement")
    assert verdict.slice == "region=us"


def test_what_is_over_has_an_end() -> None:
    """Three hours of failures, long before the last turn."""

    def three_hours(cells: Cells) -> NDArray[Any]:
        return np.where(from_onset(cells) & (cells["bin"] < ONSET + 36), 4.0, 1.0)

    verdict = diagnosed(counted_turns(factor=three_hours))
    assert verdict.ended is not None
    assert abs(verdict.ended - (ONSET + 36 - FIRST)) <= 3


def test_what_rose_before_the_search_and_stayed_is_not_called_nothing() -> None:
    """It is part of what was compared with: the report says since when, and how to look."""

    def for_days(cells: Cells) -> NDArray[Any]:
        return np.where(cells["bin"] >= FIRST - 2 * 288, 1.8, 1.0)

    counts = counted_turns(factor=for_days)
    verdict = diagnosed(counts)
    later = long_lived(
        counts,
        (FAILED,),
        replace(verdict, verdict="nothing"),
        first=FIRST,
        bins=BINS,
        window=WINDOW,
    )
    assert later.verdict == "undetermined"
    assert later.command is not None
    assert later.command.startswith("relkit triage --since 2026-01-1")


def test_a_version_that_was_worse_all_along_is_not_called_nothing() -> None:
    """A tenth of the traffic had it from the first turn on: no onset, no blame, a candidate."""

    def tenth(cells: Cells) -> NDArray[Any]:
        return np.full(len(cells["bin"]), 0.1)

    counts = counted_turns(shares={"llm": tenth}, factor=worse("llm", 1.4), rate=0.02)
    verdict = diagnosed(counts)
    assert verdict.verdict == "nothing"
    later = long_lived(counts, (FAILED,), verdict, first=FIRST, bins=BINS, window=WINDOW)
    assert later.verdict == "undetermined"
    assert later.component is None
    assert "llm 2 has been worse" in later.reason
    assert later.candidates[0].version == "2"
    even = counted_turns(shares={"llm": tenth}, rate=0.02)
    fine = diagnosed(even)
    again = long_lived(even, (FAILED,), fine, first=FIRST, bins=BINS, window=WINDOW)
    assert again.verdict == "nothing"


def test_margins_of_the_reference_fit() -> None:
    """Expected and observed agree in sum and in each slice, and an unknown value has no opinion."""
    counts = counted_turns()
    rate = fit_rate(counts, counts.measured["failed"], counts.events["failed"], ("noise", "region"))
    assert rate is not None
    expected = rate.of(counts) * counts.turns
    seen = counts.events["failed"]
    assert expected.sum() == pytest.approx(seen.sum(), rel=0.01)
    for name in ("noise", "region"):
        column = counts.columns[name]
        for code in range(len(column.names)):
            cells = column.codes == code
            assert expected[cells].sum() == pytest.approx(seen[cells].sum(), rel=0.03)
    assert rate.factors["noise"][-1] == 1.0
    nothing = np.zeros_like(counts.turns)
    assert fit_rate(counts, nothing, nothing, ()) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0.1, 20)), min_size=2, max_size=24),
)
def test_the_quick_search_is_never_above_the_best_window(
    windows: list[tuple[int, float]],
) -> None:
    """It finds at least three quarters of the likelihood ratio of the best window."""
    seen, sums = (np.array(part, dtype=float) for part in zip(*windows, strict=True))
    totals = [
        float(likelihood_ratio(seen[i:j].sum(), sums[i:j].sum()))
        for i in range(len(seen))
        for j in range(i + 1, len(seen) + 1)
    ]
    quick = float(_approximate(seen[None, :], sums[None, :])[0])
    assert quick <= max(totals) + 1e-9
    assert quick >= 0.75 * max(totals) - 1.0


def test_a_few_events_before_do_not_keep_a_window_from_where_it_began() -> None:
    """What has no release would lose two windows of its own, and a release be blamed for that."""
    counts = counted_turns(factor=place(region="ap"))
    scanned, _ = searched(counts, (FAILED,), first=FIRST, bins=BINS, window=WINDOW)
    best = next(h for h in scan(scanned, (FAILED,)) if h.key == "region=ap")
    early = replace(best, first=best.first - 3 * WINDOW)
    assert refined(scanned, early).first == refined(scanned, best).first == ONSET - FIRST


def test_the_scan_names_cell_window_and_version() -> None:
    """The planted cell comes first, in the window in which it was planted."""
    counts = counted_turns(factor=place(region="eu", client="ios"))
    scanned, _ = searched(counts, (FAILED,), first=FIRST, bins=BINS, window=WINDOW)
    best = scan(scanned, (FAILED,))[0]
    assert best.key == "client=ios&region=eu"
    assert best.component is None
    assert abs(best.first - (ONSET - FIRST)) <= WINDOW


def test_a_switch_is_where_it_happened_and_a_ramp_is_none() -> None:
    """All at once to the bin; a share that creeps up never moves much within two hours."""
    counts = counted_turns(shares={"llm": all_at_once})
    recent = part_of(counts, counts.bins >= 0)
    (switch,) = switches_of(recent, BINS)
    assert switch.at.first <= ONSET <= switch.at.last
    assert switch.at_once
    ramp = counted_turns(
        shares={"llm": lambda cells: np.clip((cells["bin"] - FIRST) / 288.0, 0.0, 1.0)}
    )
    assert switches_of(ramp, BINS) == ()
