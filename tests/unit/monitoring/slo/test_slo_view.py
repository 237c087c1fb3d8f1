"""The text of a report: one screen, whatever is in it."""

import pytest

from relkit.core.wording import WIDTH, terminal
from relkit.monitoring.slo.judge import judge_slo
from relkit.monitoring.slo.types import SloProblem
from relkit.monitoring.slo.view import slo_text
from tests.unit.monitoring.slo.test_burn import counts, judged, policy, steady

NOW = "2026-03-01T00:00:00Z"


def test_a_quiet_report_reads_like_this() -> None:
    """Verdict, windows, budget, who spent it, how long it lasts, freeze."""
    assert (
        slo_text(judged(steady(0.1, 100)))
        == """\
NONE  x: no pair of windows burns too fast
  99.5 % good over 30 days, judged at 2026-03-01T00:00:00Z from telemetry

        windows   over  short  long  events
page    5m & 1h   14.4    0.2   0.2     500  quiet
page    30m & 6h     6    0.2   0.2   3,000  quiet
ticket  2h & 1d      3    0.2   0.2  12,000  quiet
ticket  6h & 3d      1    0.2   0.2  36,000  quiet

budget   80.0 % left: 4,320 bad of 4,320,000, 21,600 allowed
lasts    the last day burns no faster than the budget comes back
freeze   no: budget is left over the last four weeks"""
    )


@pytest.mark.parametrize(
    ("minutes", "line"),
    [
        ({}, "budget   not known: no event that can be counted"),
        (steady(1, 100), "budget   overspent by 100.0 %: 43,200 bad of 4,320,000, 21,600 allowed"),
        (steady(1, 100), "lasts    spent at 2026-02-14T00:00:00Z"),
        (steady(1, 100), "freeze   yes: the budget of the last four weeks is spent: critical and"),
        (
            {**steady(0, 100), **dict.fromkeys(range(1440), (1, 100))},
            "lasts    until 2026-03-15T00:00:00Z at the last day's burn of 2",
        ),
    ],
)
def test_lines_of_a_report(minutes: dict[int, tuple[float, float]], line: str) -> None:
    """A budget that is spent, ends, or is not known."""
    assert line in slo_text(judged(minutes))


def test_a_long_report_fits_a_terminal() -> None:
    """Large counts, long names and words from data stay within a screen, on printable lines."""
    problem = SloProblem(code="partial", message="the server warns: \x1b[31m" + "store " * 40)
    rows = counts(
        steady(2e6, 1e8),
        by_slice={f"language={'x' * 30}{n}": (1e6, 1e8) for n in range(9)},
        problems=(problem,) * 9,
    )
    named = policy(name="a" * 63)
    text = terminal(slo_text(judge_slo(named, rows, NOW, "prometheus")))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.replace("\n", "").isprintable()
    assert "5 more: --json" in text


def test_slices_are_shown_by_column() -> None:
    """The three that spent most of each, and how many more."""
    bad = {"a": 432, "b": 2160, "c": 1080, "d": 0, "e": 648}
    by_slice = {f"language={name}": (float(spent), 1e4) for name, spent in bad.items()}
    rows = counts(steady(0.1, 100), by_slice={**by_slice, "release=1.0": (0.0, 5.0)})
    text = slo_text(judge_slo(policy(), rows, NOW, "telemetry"))
    assert "spent by language: b 50.0 %, c 25.0 %, e 15.0 %, 1 more" in text
    assert "spent by release: nobody" in text
