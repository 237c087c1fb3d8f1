"""A look at a canary on one screen of 80 columns, whatever comes of it."""

from collections.abc import Mapping

import pytest

from relkit.canary.judge import judge_canary
from relkit.canary.types import CanarySubject, CellKey, JudgedCanary
from relkit.canary.view import canary_finding, canary_text
from relkit.core.wording import terminal
from relkit.statistics.types import UnitCounts
from tests.canary_data import NOW, POLICY, counts, look, policy

HARM = counts({(4, 0): 2800, (4, 1): 150}, {(4, 0): 800, (4, 1): 190})
QUIET = counts({(4, 0): 2800, (4, 1): 150}, {(4, 0): 940, (4, 1): 50})


def judged(cells: Mapping[CellKey, UnitCounts]) -> JudgedCanary:
    """Return a look at these units with many slices."""
    rules = policy(POLICY)
    subject = CanarySubject(model="asr", control="1.4.0", canary="1.5.0")
    report = judge_canary(rules, look(cells))
    return JudgedCanary(report=report, policy=rules, subject=subject, telemetry=None)


def cells(units: UnitCounts, slices: int) -> dict[CellKey, UnitCounts]:
    """Return a histogram in which every trigger has the same units, overall and in slices."""
    keys = ["overall", *(f"language=a-long-name-{i}" for i in range(slices))]
    ids = ("failures", "hangups", "latency.p95", "latency.p99", "limit.hard")
    return {(1, trigger, key): units for trigger in ids for key in keys}


@pytest.mark.parametrize("units", [HARM, QUIET, counts({}, {})])
@pytest.mark.parametrize("slices", [0, 40])
def test_a_look_fits_one_screen(units: UnitCounts, slices: int) -> None:
    """At most 24 lines of 80 characters, with 40 slices that all fail, too."""
    lines = terminal(canary_text(judged(cells(units, slices)))).splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)


def test_the_record_that_a_gate_reads_fails_where_the_canary_does() -> None:
    """Required overall triggers count; slices that are quiet are advisory in it."""
    finding = canary_finding(judged(cells(HARM, 3)), NOW)
    assert (finding.verdict, finding.gate_verdict, finding.subject) == (
        "roll_back",
        "fail",
        "1.5.0",
    )
    assert any(check.verdict == "fail" and not check.advisory for check in finding.checks)
    quiet = canary_finding(judged(cells(QUIET, 3)), NOW)
    assert all(check.verdict != "fail" for check in quiet.checks)
