"""From what is known of an incident to the packet that tells of it, and of nobody."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from relkit.core.errors import InvalidInput
from relkit.core.values import Named
from relkit.disclosure.names import IncidentPseudonyms, SharedNames
from relkit.disclosure.types import Disclosed, HourSpan, Packet
from relkit.gate.types import Enforcement, Verdict
from relkit.incident.packets.build import (
    PacketFacts,
    again,
    columns_to_cut,
    ledger_timeline,
    opened,
    packet_of,
    served_versions,
    summaries_of,
)
from relkit.incident.packets.types import IssuedPacket, PacketOptions
from relkit.incident.types import TriageReport
from relkit.monitoring.types import LiveCheck, LiveFinding
from relkit.registry.ledger import state_of
from relkit.registry.types import EventKind, ReleaseEvent
from tests.decisions import statement
from tests.packet_data import CELLS, PERCENTILES, cell, packet, rate
from tests.packet_turns import REPORT

WINDOW = HourSpan(from_="2026-11-01T03:00:00Z", to="2026-11-01T09:00:00Z")
OPTIONS = PacketOptions(model=None, telemetry=(), window="", now="2026-11-01T10:00:00Z")
SHOWN = Disclosed(cells=CELLS, percentiles=PERCENTILES, pooled=("noise=babble",), hidden=2)


def built(report: TriageReport | None = REPORT, **changes: Any) -> Packet:  # noqa: ANN401 - of facts
    """Return a packet of these facts."""
    share = {"accent": frozenset({"american", "scottish"}), "noise": frozenset({"none"})}
    facts = PacketFacts(
        incident="i",
        stage="initial",
        previous=None,
        profile="default",
        unit="user",
        k=10,
        window=WINDOW,
        created="2026-11-01T10:00:00Z",
        tool_version="0.1.0",
        options=OPTIONS,
        names=SharedNames(share, IncidentPseudonyms(bytes(32))),
        report=report,
        disclosed=SHOWN,
    )
    return packet_of(replace(facts, **changes))


def event(sequence: int, kind: EventKind, version: str, at: str, **more: Any) -> ReleaseEvent:  # noqa: ANN401 - of an event
    """Return an event of the first of November."""
    return ReleaseEvent(
        model="asr",
        sequence=sequence,
        kind=kind,
        version=version,
        at=f"2026-11-01T{at}Z",
        by="Marigold",
        reason="she asked for it",
        digest="sha256:" + f"{sequence:064}",
        **more,
    )


LEDGER = (
    event(1, EventKind.REGISTERED, "2.3", "00:00:00"),
    event(2, EventKind.PROMOTED, "2.3", "01:00:10", traffic=1.0),
    event(3, EventKind.REGISTERED, "2.4", "02:00:00"),
    event(4, EventKind.CANARY, "2.4", "03:10:20", traffic=0.5),
    event(5, EventKind.ROLLED_BACK, "2.3", "05:30:59", traffic=1.0, bad=("2.4",)),
    event(6, EventKind.REGISTERED, "2.5", "09:30:00"),
    event(7, EventKind.PROMOTED, "2.5", "09:45:00", traffic=1.0),
)


def finding(kind: Any, verdict: str, at: str, **more: Any) -> LiveFinding:  # noqa: ANN401 - of a finding
    """Return what a monitor said at some time."""
    values: dict[str, Any] = {
        "kind": kind,
        "policy": Named(name=f"{kind}-policy", digest="sha256:" + "0" * 64),
        "enforcement": "enforce",
        "verdict": verdict,
        "gate_verdict": "fail",
        "reason": "41 of 97 turns of user 7",
        "created": f"2026-11-01T{at}Z",
        "subject": None,
        "checks": (),
        "report": {},
    }
    return LiveFinding(**values | more)


def test_a_cause_has_no_effect_and_no_odds() -> None:
    """Its slice is shown, its onset in whole hours; codes stand for the reasons of refused ones."""
    made = built()
    assert made.cause.slice == "accent=scottish"
    assert made.cause.onset == HourSpan(from_="2026-11-01T03:00:00Z", to="2026-11-01T04:00:00Z")
    failing = next(cell for cell in CELLS if cell.slice == "accent=scottish")
    assert (made.impact.people, made.impact.turns) == (failing.people, failing.utterances)
    assert made.impact.minutes == 360
    assert made.rollback is not None
    assert [(item.version, item.code) for item in made.rollback.refused] == [("2.2", "yanked")]
    assert (made.pooled, made.hidden) == (("accent", "noise"), 2)
    assert "Bob" not in repr(made)


def test_without_a_triage_there_is_no_cause() -> None:
    """Everything about it is null, and nobody is told to go back anywhere."""
    made = built(None)
    assert made.cause.cause is None
    assert made.cause.metric is None
    assert (made.rollback, made.impact.people, made.form.causal_link) == (
        None,
        None,
        "not_established",
    )


@pytest.mark.parametrize("slice_", ["accent=welsh", "accent=scottish&noise=none", "ward=7"])
def test_a_slice_that_is_not_shown_is_not_named(slice_: str) -> None:
    """Neither as the cause nor as an affected group; nor is its band taken for the impact."""
    made = built(replace(REPORT, slice=slice_))
    assert made.cause.slice is None
    assert made.form.affected_groups == ()
    assert made.impact.people is None


def test_a_crossing_is_found_under_its_shown_names() -> None:
    """Columns in the order of their shown names, values under their pseudonyms."""
    names = SharedNames({}, IncidentPseudonyms(bytes(32)))
    pairs = sorted((names.column(c), names.value(c, v)) for c, v in (("ward", "7"), ("zone", "2")))
    key = "&".join(f"{column}={value}" for column, value in pairs)
    crossing = cell(key, (10, 19), (20, 49), failed=rate(0.4, 0.2, 0.6, 0.1))
    shown = replace(SHOWN, cells=(*CELLS, crossing))
    assert (
        built(replace(REPORT, slice="ward=7&zone=2"), disclosed=shown, names=names).cause.slice
        == key
    )


@pytest.mark.parametrize(
    "change",
    [{"first_bad": "2 4"}, {"component": "<b>"}, {"metric": "{{x}}"}, {"target": "a" * 65}],
)
def test_a_name_of_another_form_is_refused(change: dict[str, Any]) -> None:
    """It is not masked: a masked one could stand for another."""
    with pytest.raises(InvalidInput, match="no packet may hold"):
        built(replace(REPORT, **change))


def test_a_ledger_is_told_to_the_minute_without_people() -> None:
    """What happened up to the end of the window; who did it and why stay where they are."""
    timeline = tuple(ledger_timeline(LEDGER, lambda _: "asr", WINDOW, "2026-11-01T02:00:00Z"))
    assert [(item.at, item.kind, item.version) for item in timeline] == [
        ("2026-11-01T03:10:00Z", "canary_step", "2.4"),
        ("2026-11-01T05:30:00Z", "rolled_back", "2.3"),
    ]
    made = built(timeline=timeline)
    assert [item.kind for item in made.timeline] == ["onset", "canary_step", "rolled_back"]
    assert made.status == "mitigated"
    assert "Marigold" not in repr(made)
    assert "she asked" not in repr(made)


def test_what_was_served_is_what_had_traffic_in_the_window() -> None:
    """Each version with the share it was given last; what goes on has no end."""
    served = list(served_versions(state_of("asr", LEDGER).served, lambda _: "asr", WINDOW))
    assert [(item.version, item.from_, item.to, item.share) for item in served] == [
        ("2.3", "2026-11-01T01:00:00Z", None, 1.0),
        ("2.4", "2026-11-01T03:10:00Z", "2026-11-01T05:30:00Z", 0.5),
    ]


def test_findings_keep_their_numbers_to_themselves() -> None:
    """Policy, verdict and minute; columns where they are shared, slices where they are shown."""
    drifted = finding(
        "drift",
        "drifted",
        "05:00:30",
        checks=(
            LiveCheck(name="accent", verdict="fail", reason="PSI 0.31"),
            LiveCheck(name="ward", verdict="fail", reason="PSI 0.31"),
            LiveCheck(name="noise", verdict="pass", reason="PSI 0.01"),
        ),
    )
    costly = finding(
        "cost",
        "fail",
        "06:00:00",
        checks=(
            LiveCheck(name="cost", slice="accent=american", verdict="fail", reason="r"),
            LiveCheck(name="cost", slice="tenant=acme", verdict="fail", reason="r"),
        ),
    )
    burn = finding("slo", "page", "09:00:00", report={"budget_left": 0.7})
    outside = finding("slo", "page", "09:00:01")
    made = built(findings=(drifted, costly, burn, outside))
    assert [(item.policy, item.at, item.slices) for item in made.drift] == [
        ("drift-policy", "2026-11-01T05:00:00Z", ("accent",))
    ]
    assert [item.slices for item in made.cost] == [("accent=american",)]
    assert [item.verdict for item in made.burn] == ["page"]
    assert made.impact.budget_spent == (20, 49)
    assert [item.kind for item in made.timeline].count("alert") == 3
    assert "PSI" not in repr(made)
    assert "user 7" not in repr(made)


@pytest.mark.parametrize(
    ("left_over", "band"),
    [(0.95, None), (0.9, (10, 19)), (0.5, (50, 99)), (-0.2, (100, 199)), (None, None)],
)
def test_a_budget_is_told_in_bands(left_over: float | None, band: tuple[int, int] | None) -> None:
    """In percent; what is under the lowest band is not told."""
    burn = finding(
        "slo", "none", "05:00:00", gate_verdict="pass", report={"budget_left": left_over}
    )
    assert built(findings=(burn,)).impact.budget_spent == band


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "open"),
        ({"options": replace(OPTIONS, mitigations=("none_yet",))}, "open"),
        ({"options": replace(OPTIONS, mitigations=("client_fixed",))}, "mitigated"),
        ({"options": replace(OPTIONS, status="resolved")}, "resolved"),
        ({"stage": "final"}, "open"),
        ({"options": replace(OPTIONS, mitigations=("monitoring_added",))}, "open"),
        ({"stage": "final", "report": replace(REPORT, ended="2026-11-01T08:30:00Z")}, "resolved"),
    ],
)
def test_where_it_stands_is_what_the_timeline_shows(
    changes: Mapping[str, Any], status: str
) -> None:
    """Unless it was said: resolved is only what has ended and whose last packet this is."""
    assert built(**dict(changes)).status == status


def test_decisions_become_summaries_without_their_sums() -> None:
    """PASSED or FAILED about the artifact, by whose policy; none for a decision in shadow."""
    decision = statement()
    (summary,) = summaries_of(replace(decision, verdict=Verdict.FAIL))
    assert (summary.verification_result, summary.verified_levels) == ("FAILED", ("FAILED",))
    assert summary.policy.uri == f"urn:relkit:policy:{decision.policy.name}"
    (summary,) = summaries_of(replace(decision, verdict=Verdict.PASS))
    assert summary.verification_result == "PASSED"
    shadow = replace(decision, policy=replace(decision.policy, enforcement=_SHADOW))
    assert list(summaries_of(shadow)) == []


_SHADOW: Enforcement = "shadow"


def test_commitments_are_salted_and_kept() -> None:
    """SHA-256 of 32 random bytes and the digest; the same material opens as before."""
    digest = "sha256:" + "ab" * 32
    salts = iter([bytes([number]) * 32 for number in range(9)])
    first = opened(
        [("telemetry", "a", digest), ("telemetry", "b", digest)], (), lambda: next(salts)
    )
    assert len(first) == 1
    assert first[0].sha256 == hashlib.sha256(bytes(32) + bytes.fromhex("ab" * 32)).hexdigest()
    second = opened(
        [("telemetry", "a", digest), ("triage", "t", digest)], first, lambda: next(salts)
    )
    assert second[0] == first[0]
    assert second[1].sha256 != first[0].sha256


def test_the_same_window_again_only_adds_cells() -> None:
    """The same cells give the same packet, more give one with more, others are refused."""
    earlier = IssuedPacket(name="i", digest="d", packet=packet(), data=b"")
    assert again(earlier, replace(packet(), created="2027-01-01T00:00:00Z"), last=True) == packet()
    more = cell("device=phone", (10, 19), (20, 49))
    grown = again(earlier, replace(packet(), cells=(*CELLS, more)), last=True)
    assert grown.cells == (*CELLS, more)
    with pytest.raises(InvalidInput, match="a later packet follows"):
        again(earlier, replace(packet(), cells=(*CELLS, more)), last=False)
    changed = replace(CELLS[1], people=(50, 99))
    for cells in ((CELLS[0], changed, *CELLS[2:]), CELLS[:-1]):
        with pytest.raises(InvalidInput, match="telemetry has changed since"):
            again(earlier, replace(packet(), cells=cells), last=True)
    with pytest.raises(InvalidInput, match="severity"):
        again(earlier, replace(packet(), severity="low"), last=True)


ATTRIBUTES = ("accent", "device", "noise", "release_asr", "release_llm", "tenant")


@pytest.mark.parametrize(
    ("columns", "slice_", "cut", "crossing"),
    [
        (None, "accent=irish", ("accent", "release_asr", "noise"), "accent&release_asr"),
        (None, "tenant=a&accent=b", ("tenant", "accent", "release_asr", "noise"), "accent&tenant"),
        (None, None, ("release_asr", "accent", "noise"), None),
        (("device",), "accent=irish", ("accent", "release_asr", "device"), "accent&release_asr"),
    ],
)
def test_what_fails_and_what_is_shared_is_cut_by(
    columns: tuple[str, ...] | None, slice_: str | None, cut: tuple[str, ...], crossing: str | None
) -> None:
    """Columns that were asked for stand in place of the shared ones; one crossing, the failing."""
    options = replace(OPTIONS, columns=columns)
    report = replace(REPORT, slice=slice_)
    assert columns_to_cut(options, report, ATTRIBUTES, ("accent", "noise", "zone")) == (
        cut,
        crossing,
    )


def test_without_a_cause_every_version_is_cut_by() -> None:
    """The versions are what a reader asks for first."""
    columns, crossing = columns_to_cut(OPTIONS, None, ATTRIBUTES, ("noise",))
    assert columns == ("noise", "release_asr", "release_llm")
    assert crossing is None
