"""Packets as a responder sends them: valid ones, with what a test wants changed."""

from dataclasses import replace
from typing import Any

from relkit.disclosure.types import (
    AllButFewer,
    Band,
    Commitment,
    FewerThan,
    FormAnswers,
    HourSpan,
    Impact,
    Packet,
    PacketCause,
    PacketRollback,
    RefusedTarget,
    ServedVersion,
    ShownBand,
    ShownCell,
    ShownFinding,
    ShownMetric,
    ShownPercentile,
    ShownRate,
    TimelineEvent,
)

NO_PAGE = "0" * 64


def rate(value: float, low: float, high: float, step: float) -> ShownRate:
    """Return a rate with its ends."""
    return ShownRate(value=value, low=low, high=high, step=step)


def cell(slice_: str, people: Band, utterances: Band, **metrics: ShownMetric) -> ShownCell:
    """Return a cell; a metric that is not named is not shown."""
    shown: dict[str, ShownMetric] = {"failed": None, "reprompt": None, "grounded": None}
    return ShownCell(
        slice=slice_, people=people, utterances=utterances, metrics={**shown, **metrics}
    )


def grid_ms(n: int) -> float:
    """Return the n-th value of the 5 % logarithmic grid."""
    return float(f"{1.05**n:.4g}")


def percentile(slice_: str, metric: str, p: int, n: int | None) -> ShownPercentile:
    """Return a percentile at a place of the grid, its ends one and two places away."""
    ends = (None, None, None) if n is None else (grid_ms(n), grid_ms(n - 1), grid_ms(n + 2))
    value, low, high = ends
    return ShownPercentile(
        slice=slice_, metric=metric, percentile=p, value=value, low=low, high=high
    )


CELLS = (
    cell(
        "overall",
        (500, 999),
        (5000, 9999),
        failed=rate(0.062, 0.054, 0.07, 0.002),
        reprompt=rate(0.11, 0.09, 0.12, 0.01),
        grounded=rate(0.97, 0.96, 0.98, 0.005),
    ),
    cell(
        "accent=american",
        (200, 499),
        (2000, 4999),
        failed=rate(0.018, 0.012, 0.024, 0.002),
        reprompt=rate(0.08, 0.06, 0.1, 0.01),
        grounded=AllButFewer(above=10),
    ),
    cell(
        "accent=british",
        (100, 199),
        (1000, 1999),
        failed=rate(0.02, 0.01, 0.03, 0.005),
        reprompt=rate(0.08, 0.06, 0.1, 0.01),
        grounded=rate(0.97, 0.95, 0.99, 0.01),
    ),
    cell(
        "accent=scottish",
        (50, 99),
        (500, 999),
        failed=rate(0.42, 0.36, 0.48, 0.02),
        reprompt=rate(0.3, 0.2, 0.4, 0.05),
        grounded=ShownBand(events=(200, 499), than_rest="not_higher"),
    ),
    cell(
        "accent=(other)",
        (20, 49),
        (200, 499),
        failed=FewerThan(below=10),
        reprompt=ShownBand(events=(20, 49), than_rest="not_higher"),
    ),
    cell(
        "region=eu",
        (200, 499),
        (2000, 4999),
        failed=rate(0.06, 0.05, 0.07, 0.005),
        reprompt=rate(0.1, 0.08, 0.12, 0.01),
    ),
    cell(
        "region=us",
        (200, 499),
        (2000, 4999),
        failed=rate(0.06, 0.05, 0.08, 0.01),
        reprompt=rate(0.1, 0.08, 0.12, 0.01),
    ),
)

PERCENTILES = tuple(
    percentile(slice_, metric, p, n)
    for slice_, shift in (("overall", 0), ("accent=scottish", 4))
    for metric, places in (
        ("asr_ms", (106, 113, 118)),
        ("llm_ttft_ms", (117, 125, 131)),
        ("tts_ttfb_ms", (97, 104, 110)),
        ("latency_ms", (132, 140, 146)),
    )
    for p, place in zip((50, 95, 99), places, strict=True)
    for n in (None if shift and p == 99 else place + (shift if metric != "tts_ttfb_ms" else 0),)
)

SERVED = (
    ServedVersion(
        component="asr",
        version="2.3.1",
        from_="2026-11-02T09:00:00Z",
        to="2026-11-29T14:05:00Z",
        share=0.0,
    ),
    ServedVersion(
        component="asr", version="2.4.0", from_="2026-11-28T08:00:00Z", to=None, share=1.0
    ),
    ServedVersion(
        component="llm", version="2026-10", from_="2026-10-20T10:00:00Z", to=None, share=1.0
    ),
)

TIMELINE = (
    TimelineEvent(at="2026-11-28T08:00:00Z", kind="canary_step", component="asr", version="2.4.0"),
    TimelineEvent(at="2026-11-29T14:05:00Z", kind="promoted", component="asr", version="2.4.0"),
    TimelineEvent(at="2026-11-29T14:00:00Z", kind="onset"),
    TimelineEvent(at="2026-11-29T16:20:00Z", kind="alert"),
    TimelineEvent(at="2026-11-29T16:31:00Z", kind="aware"),
    TimelineEvent(at="2026-11-29T17:02:00Z", kind="rolled_back", component="asr", version="2.3.1"),
)


def packet(**changes: Any) -> Packet:  # noqa: ANN401  # whatever a packet's fields are
    """Return a packet of a release that broke one accent and was rolled back."""
    valid = Packet(
        incident="INC-2026-11-29",
        stage="initial",
        previous=None,
        profile="default",
        k=10,
        unit="user",
        subjects="people",
        window=HourSpan(from_="2026-11-29T12:00:00Z", to="2026-11-29T18:00:00Z"),
        created="2026-11-29T18:12:00Z",
        tool_version="0.1.0",
        status="mitigated",
        severity="high",
        cause=PacketCause(
            cause="release",
            evidence="concurrent",
            component="asr",
            first_bad="2.4.0",
            slice="accent=scottish",
            metric="failed",
            onset=HourSpan(from_="2026-11-29T14:00:00Z", to="2026-11-29T15:00:00Z"),
        ),
        mitigations=("rolled_back", "monitoring_added"),
        impact=Impact(people=(50, 99), turns=(200, 499), minutes=180, budget_spent=(20, 49)),
        served=SERVED,
        cells=CELLS,
        percentiles=PERCENTILES,
        pooled=("accent",),
        hidden=1,
        cost=(ShownFinding(policy="cost-per-success", verdict="pass", at="2026-11-29T17:00:00Z"),),
        drift=(
            ShownFinding(
                policy="inputs",
                verdict="drifted",
                at="2026-11-29T15:00:00Z",
                slices=("accent=scottish",),
            ),
        ),
        burn=(ShownFinding(policy="turns-answered", verdict="page", at="2026-11-29T16:20:00Z"),),
        rollback=PacketRollback(
            target="2.3.1",
            verified=True,
            refused=(
                RefusedTarget(version="2.3.2", code="yanked"),
                RefusedTarget(version="2.3.0", code="worse_slice"),
            ),
        ),
        timeline=tuple(sorted(TIMELINE, key=lambda event: event.at)),
        form=FormAnswers(
            aware="2026-11-29T16:31:00Z",
            onset="2026-11-29T14:00:00Z",
            ended="2026-11-29T18:00:00Z",
            affected_groups=("accent=scottish",),
            causal_link="established",
            corrective=("rolled_back", "monitoring_added"),
        ),
        summaries=(),
        commitments=(
            Commitment(kind="telemetry", sha256="3f" * 32),
            Commitment(kind="triage", sha256="a7" * 32),
        ),
        page=NO_PAGE,
    )
    return replace(valid, **changes)


def unclear(**changes: Any) -> Packet:  # noqa: ANN401  # as above
    """Return a first packet of an incident of which little is known, counted by sessions."""
    return packet(
        **{
            "unit": "session",
            "k": 50,
            "status": "open",
            "severity": None,
            "cause": PacketCause(
                cause=None,
                evidence=None,
                component=None,
                first_bad=None,
                slice=None,
                metric="failed",
                onset=None,
            ),
            "mitigations": ("none_yet",),
            "impact": Impact(people=None, turns=None, minutes=None, budget_spent=None),
            "served": (),
            "cells": (
                cell("overall", (500, 999), (1000, 1999), failed=rate(0.05, 0.04, 0.06, 0.01)),
            ),
            "percentiles": (),
            "pooled": (),
            "hidden": 0,
            "cost": (),
            "drift": (),
            "burn": (),
            "rollback": None,
            "timeline": (),
            "form": FormAnswers(),
            "commitments": (),
        }
        | changes
    )
