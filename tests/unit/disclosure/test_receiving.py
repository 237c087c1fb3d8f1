"""What a receiver refuses in a packet that was signed, by code and place."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from relkit.disclosure.receiving import is_shared_slice, packet_chain_problems, packet_problems
from relkit.disclosure.types import (
    AllButFewer,
    Band,
    FewerThan,
    FormAnswers,
    HourSpan,
    Impact,
    Packet,
    PacketCause,
    ServedVersion,
    ShownBand,
    ShownCell,
    ShownFinding,
    ShownPercentile,
    TimelineEvent,
)
from tests.file_values import values
from tests.packet_data import CELLS, PERCENTILES, TIMELINE, cell, packet, rate, unclear

NEXT = HourSpan(from_="2026-11-29T18:00:00Z", to="2026-11-29T20:00:00Z")


def problems(shown: Packet) -> set[tuple[str, str]]:
    """Return what is wrong with a packet as (code, where)."""
    return {(problem.code, problem.where) for problem in packet_problems(shown)}


def of_cell(**changes: Any) -> Packet:  # noqa: ANN401  # whatever a cell's fields are
    """Return a packet one of whose cells is another."""
    changed = replace(CELLS[1], **changes)
    return packet(cells=tuple(changed if item is CELLS[1] else item for item in CELLS))


def of_metric(metric: Any) -> Packet:  # noqa: ANN401  # as above
    """Return a packet one of whose metrics is another."""
    return of_cell(metrics={**CELLS[1].metrics, "failed": metric})


def of_percentile(item: ShownPercentile) -> Packet:
    """Return a packet with one more percentile."""
    return packet(percentiles=(*PERCENTILES, item))


def p50(value: float | None, low: float | None, high: float | None, slice_: str = "overall") -> Any:  # noqa: ANN401  # as above
    """Return a median of something."""
    return ShownPercentile(
        slice=slice_, metric="queue_ms", percentile=50, value=value, low=low, high=high
    )


def few_turns(utterances: Band, percentile: int) -> Packet:
    """Return a packet with a percentile of a cell of so many turns."""
    few = of_cell(people=(10, 19), utterances=utterances, metrics={})
    item = replace(p50(1.0, None, None, CELLS[1].slice), metric="q", percentile=percentile)
    own = tuple(shown for shown in PERCENTILES if shown.slice != CELLS[1].slice)
    return replace(few, percentiles=(*own, item))


@pytest.mark.parametrize("valid", [packet(), unclear(), packet(profile="health", k=11, cells=())])
def test_a_packet_as_it_is_made_has_no_problem(valid: Packet) -> None:
    """Nothing that disclosure control shows is refused."""
    shown = valid
    if not valid.cells:
        cause = replace(valid.cause, slice=None)
        shown = replace(valid, percentiles=(), cause=cause, form=FormAnswers(), pooled=())
    assert problems(shown) == set()


CASES: tuple[tuple[Packet, str, str], ...] = (
    (packet(k=9), "k", "k"),
    (packet(unit="session"), "k", "k"),
    (packet(profile="health"), "k", "k"),
    (packet(stage="update"), "chain", "previous"),
    (packet(previous="sha256:" + "a" * 64), "chain", "stage"),
    (packet(window=HourSpan(from_="2026-11-29T12:30:00Z", to=NEXT.from_)), "hours", "window"),
    (packet(window=HourSpan(from_=NEXT.from_, to=NEXT.from_)), "order", "window"),
    (packet(window=HourSpan(from_=NEXT.from_, to="2026-11-29T12:00:00Z")), "order", "window"),
    (packet(created="2026-11-29T17:59:59Z"), "order", "created"),
    (
        packet(
            cause=replace(
                packet().cause,
                onset=HourSpan(from_="2026-11-29T14:05:00Z", to="2026-11-29T15:00:00Z"),
            )
        ),
        "hours",
        "cause.onset",
    ),
    (packet(form=FormAnswers(onset="2026-11-29T14:05:00Z")), "hours", "form.onset"),
    (packet(form=FormAnswers(ended="2026-11-29T14:05:00Z")), "hours", "form.ended"),
    (packet(form=FormAnswers(aware="2026-11-29T14:05:03Z")), "minutes", "form.aware"),
    (packet(impact=replace(packet().impact, minutes=179)), "hours", "impact.minutes"),
    (
        packet(timeline=(TimelineEvent(at="2026-11-29T14:05:07Z", kind="promoted"),)),
        "minutes",
        "timeline",
    ),
    (
        packet(timeline=(TimelineEvent(at="2026-11-29T14:05:00Z", kind="onset"),)),
        "hours",
        "timeline",
    ),
    (
        packet(timeline=tuple(sorted(TIMELINE, key=lambda e: e.at, reverse=True))),
        "order",
        "timeline",
    ),
    (
        packet(
            served=(
                ServedVersion(
                    component="asr",
                    version="1",
                    from_="2026-11-29T14:00:00Z",
                    to="2026-11-29T13:00:00Z",
                    share=None,
                ),
            )
        ),
        "order",
        "served",
    ),
    (
        packet(drift=(ShownFinding(policy="p", verdict="v", at="2026-11-29T15:00:01Z"),)),
        "minutes",
        "findings",
    ),
    (packet(tool_version="0.1 of Ann Lee"), "name", "tool_version"),
    (packet(pooled=("an accent",)), "name", "pooled"),
    (packet(pooled=("accent", "accent")), "twice", "pooled"),
    (packet(mitigations=("rolled_back", "rolled_back")), "twice", "mitigations"),
    (packet(commitments=packet().commitments * 2), "twice", "commitments"),
    (packet(cells=(*CELLS, CELLS[1])), "twice", "cells"),
    (of_cell(slice="accent=Ann Lee"), "name", "cells"),
    (of_cell(slice="accent=%26"), "name", "cells"),
    (of_cell(slice="tenant=acme"), "name", "cells"),
    (of_cell(slice="region=us&accent=british"), "name", "cells"),
    (of_cell(slice="accent"), "name", "cells"),
    (
        packet(
            drift=(
                ShownFinding(policy="p", verdict="v", at="2026-11-29T15:00:00Z", slices=("a b=c",)),
            )
        ),
        "name",
        "findings",
    ),
    (packet(form=FormAnswers(affected_groups=("accent=welsh",))), "no_cell", "cause.slice"),
    (of_cell(people=(210, 499)), "band", "accent=american"),
    (of_cell(people=(200, 400)), "band", "accent=american"),
    (of_cell(people=(0, 9)), "band", "accent=american"),
    (of_cell(utterances=(20, 49)), "band", "accent=american"),
    (packet(k=50, unit="session", cells=CELLS), "k", "accent=(other)"),
    (of_metric(FewerThan(below=9)), "k", "accent=american: failed"),
    (of_metric(AllButFewer(above=11)), "k", "accent=american: failed"),
    (of_metric(ShownBand(events=(11, 19), than_rest="higher")), "band", "accent=american: failed"),
    (
        of_metric(ShownBand(events=(5000, 9999), than_rest="higher")),
        "band",
        "accent=american: failed",
    ),
    (of_metric(rate(0.0181, 0.012, 0.024, 0.002)), "grid", "accent=american: failed"),
    (of_metric(rate(0.018, 0.012, 0.024, 0.003)), "grid", "accent=american: failed"),
    (of_metric(rate(0.018, 0.017, 0.019, 0.001)), "", ""),
    (of_metric(rate(0.018, 0.018, 0.018, 0.001)), "grid", "accent=american: failed"),
    (of_metric(rate(0.018, 0.02, 0.024, 0.002)), "grid", "accent=american: failed"),
    (of_metric(rate(0.001, 0.0, 0.002, 0.001)), "k", "accent=american: failed"),
    (of_percentile(p50(123.4, 117.4, 129.4)), "grid", "overall: queue_ms p50"),
    (of_percentile(p50(114.7, 120.4, 129.4)), "order", "overall: queue_ms p50"),
    (
        of_percentile(p50(114.7, 109.2, 120.4, "accent=welsh")),
        "no_cell",
        "accent=welsh: queue_ms p50",
    ),
    (
        of_percentile(replace(p50(None, None, None), metric="asr_ms")),
        "twice",
        "overall: asr_ms p50",
    ),
    (
        of_percentile(
            ShownPercentile(
                slice="accent=(other)", metric="q", percentile=99, value=1.0, low=None, high=None
            )
        ),
        "tail",
        "accent=(other): q p99",
    ),
    (few_turns((100, 199), 95), "tail", "accent=american: q p95"),
    (few_turns((100, 499), 95), "tail", "accent=american: q p95"),
    (few_turns((500, 999), 99), "tail", "accent=american: q p99"),
    (few_turns((10, 19), 50), "tail", "accent=american: q p50"),
    (packet(pooled=()), "pooled", "accent"),
    (of_cell(slice="noise=(other)"), "pooled", "noise"),
    (of_cell(slice="accent=(other)&noise=(other)"), "pooled", "accent=(other)&noise=(other)"),
    (of_cell(slice="accent=american&device=car&region=eu"), "crossings", "cells"),
    (
        packet(
            cells=(
                *CELLS,
                cell("accent=british&region=eu", (20, 49), (200, 499)),
                cell("accent=british&device=car", (20, 49), (200, 499)),
            )
        ),
        "crossings",
        "cells",
    ),
    (
        packet(impact=Impact(people=(10, 18), turns=None, minutes=None, budget_spent=None)),
        "band",
        "impact.people",
    ),
    (
        packet(impact=Impact(people=None, turns=None, minutes=None, budget_spent=(21, 49))),
        "band",
        "impact.budget_spent",
    ),
)


@pytest.mark.parametrize(("shown", "code", "where"), CASES)
def test_what_could_not_have_been_shown_is_refused(shown: Packet, code: str, where: str) -> None:
    """Each is named by its code and its key or slice, and nothing else of the number."""
    assert ((code, where) in problems(shown)) == bool(code)


@pytest.mark.parametrize(
    ("turns", "percentile"), [((200, 499), 95), ((1000, 1999), 99), ((20, 49), 50)]
)
def test_a_percentile_stands_where_the_band_says_that_there_are_enough(
    turns: Band, percentile: int
) -> None:
    """Ten of 182 values can lie beyond a p95: 200 or more say no less."""
    assert "tail" not in {code for code, _ in problems(few_turns(turns, percentile))}


SHARED = (
    "overall",
    "accent=scottish",
    "accent=(other)",
    "tenant=tenant-3fa2",
    "tenant=(other)",
    "value-3fa2=value-11aa",
    "release_asr=2.4.0+b1",
    "accent=scottish&noise=car",
)
NOT_SHARED = (
    "noise=car&accent=scottish",
    "tenant=acme",
    "tenant=tenant-xyz",
    "accent=*",
    "accent=(others)",
    "accent=a b",
    "accent=<b>",
    "accent=\x1b[31m",
    "accent==cmd",
    "accent=",
    "",
    "accent=" + "a" * 65,
    "accent=scottish\n",
)


def test_slices_hold_names_pseudonyms_and_pools() -> None:
    """What could steer a page, a table or a terminal is no name to begin with."""
    assert [key for key in SHARED if not is_shared_slice(key)] == []
    assert [key for key in NOT_SHARED if is_shared_slice(key)] == []


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(shown=values(Packet), earlier=values(Packet))
def test_no_packet_that_has_the_form_of_one_is_too_strange(shown: Packet, earlier: Packet) -> None:
    """Whatever a signed file holds is refused in words, and never by a crash."""
    packet_problems(shown)
    packet_chain_problems(shown, {"sha256:one": earlier})


def follow(**changes: Any) -> Packet:  # noqa: ANN401  # whatever a packet's fields are
    """Return the packet after the example."""
    return packet(
        **{"stage": "update", "previous": "sha256:one", "window": NEXT, "created": NEXT.to}
        | changes
    )


def test_packets_of_an_incident_follow_each_other() -> None:
    """The next one begins where the last ended; more than one may be at hand."""
    first, later = packet(), HourSpan(from_=NEXT.to, to="2026-11-29T21:00:00Z")
    assert packet_chain_problems(follow(), {"sha256:one": first}) == ()
    assert packet_chain_problems(follow(), {}) == ()
    third = follow(previous="sha256:two", window=later, created=later.to)
    assert packet_chain_problems(third, {"sha256:one": first, "sha256:two": follow()}) == ()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (follow(previous="sha256:other"), ("chain", "previous")),
        (follow(incident="other"), ("chain", "incident")),
        (follow(k=11, profile="health"), ("chain", "profile")),
        (follow(window=HourSpan(from_=NEXT.to, to="2026-11-29T23:00:00Z")), ("chain", "window")),
        (
            follow(window=HourSpan(from_="2026-11-29T17:00:00Z", to=NEXT.to)),
            ("overlap", "window"),
        ),
        (follow(created="2026-11-29T18:00:00Z"), ("chain", "created")),
        (packet(window=NEXT), ("chain", "previous")),
    ],
)
def test_what_breaks_a_chain_is_named(shown: Packet, expected: tuple[str, str]) -> None:
    """Windows that slide or overlap are how several packets would tell of one person."""
    broken = packet_chain_problems(shown, {"sha256:one": packet()})
    assert expected in {(problem.code, problem.where) for problem in broken}


def test_the_same_window_again_only_adds() -> None:
    """A cell that is out already stays as it was; others, and metrics, may be added."""
    first = packet(cells=CELLS[:-1])
    assert packet_chain_problems(packet(), {"sha256:one": first}) == ()
    without = packet(cells=CELLS[1:])
    assert [p.where for p in packet_chain_problems(without, {"sha256:one": first})] == ["overall"]
    wider = replace(CELLS[0], people=(500, 1999))
    changed = packet(cells=(wider, *CELLS[1:]))
    assert [p.code for p in packet_chain_problems(changed, {"sha256:one": first})] == ["changed"]


def test_a_cause_that_nobody_knows_has_no_slice() -> None:
    """Nothing is asked of what is not there."""
    nothing = PacketCause(
        cause=None,
        evidence=None,
        component=None,
        first_bad=None,
        slice=None,
        metric=None,
        onset=None,
    )
    assert problems(unclear(cause=nothing)) == set()


def test_a_cell_alone_is_checked_by_its_band_of_people() -> None:
    """Under the health profile a band may begin at ten: it holds eleven."""
    least = ShownCell(slice="overall", people=(10, 19), utterances=(10, 19), metrics={})
    shown = unclear(profile="health", unit="user", k=11, cells=(least,))
    assert problems(shown) == set()
