"""What a page says of a report: order, intervals in words, differences without claims."""

import pytest

from relkit.core.slices import slice_parts
from relkit.core.values import Estimate
from relkit.core.wording import difference_text
from relkit.evaluation.types import EvalReport
from relkit.report.view import MOST_ROWS, ReportView, span_text
from tests.builders import DIGEST, estimate, report, slice_result

OTHER = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("low", "high", "unit", "text"),
    [
        (0.481, 0.601, "fraction", "48.1\N{EN DASH}60.1 %"),
        (194.6, 274.1, "ms", "195\N{EN DASH}274 ms"),
        (0.0863, 0.109, "ratio", "0.0863\N{EN DASH}0.109"),
        (2.5, 3.004, "mos", "2.50\N{EN DASH}3.00"),
        (231.0, None, "ms", "≥ 231 ms"),
        (None, 0.3, "fraction", "≤ 30.0 %"),
        (None, None, "fraction", ""),
        (0.015, 35.0, "fraction", "1.5 % to > 999 %"),
    ],
)
def test_an_interval_says_its_unit_once_and_an_open_end_as_a_bound(
    low: float | None, high: float | None, unit: str, text: str
) -> None:
    """A missing end is never shown as a number."""
    assert span_text(Estimate(value=0.5, low=low, high=high, unit=unit)) == text


@pytest.mark.parametrize(
    ("value", "was", "unit", "text"),
    [
        (0.5, 0.4, "fraction", "+10.0 points"),
        (0.4, 0.5, "fraction", "\N{MINUS SIGN}10.0 points"),
        (0.4, 0.4, "fraction", "±0 points"),
        (300.0, 250.0, "ms", "+50 ms"),
        (3.25, 3.0, "mos", "+0.25"),
        (3.0, 3.001, "mos", "±0"),
        (None, 0.4, "fraction", ""),
        (0.4, None, "fraction", ""),
    ],
)
def test_differences_are_signed_and_in_points(
    value: float | None, was: float | None, unit: str, text: str
) -> None:
    """Percent of percent is never meant; without both numbers there is no difference."""
    assert difference_text(value, was, unit) == text


def test_slice_keys_come_apart_into_columns_and_values() -> None:
    """Escapes in values are undone only after the key is split."""
    assert slice_parts("overall") == ()
    assert slice_parts("a=1&b=x%26y%3Dz") == (("a", "1"), ("b", "x&y=z"))


def timed(load: str = DIGEST) -> EvalReport:
    """Return a report with a rate and a time, measured under a load."""
    metrics = {"wer": estimate(0.25), "latency_ms.p95": estimate(300.0, unit="ms")}
    return report(
        slice_result("overall", metrics), slice_result("accent=plain", metrics), load_digest=load
    )


def test_times_of_another_load_have_no_difference() -> None:
    """Rates are put side by side, latencies of other hardware are not."""
    for load, was in ((DIGEST, "300 ms"), (OTHER, "")):
        view = ReportView(timed(), timed(load))
        rate, times = view.tiles()
        assert rate.shown[0][1].was == "25.0 %"
        assert times.shown[0][1].was == was
    mixed = ReportView(timed("mixed"), timed("mixed"))
    assert mixed.tiles()[1].shown[0][1].was == ""


def test_tiles_begin_with_the_primary_metric_and_group_statistics() -> None:
    """p50 and p95 of one metric share a tile."""
    ms = {
        "latency_ms.p50": estimate(200.0, unit="ms"),
        "latency_ms.p95": estimate(300.0, unit="ms"),
    }
    view = ReportView(report(slice_result("overall", {"cer": estimate(), **ms, "wer": estimate()})))
    assert [tile.name for tile in view.tiles()] == ["wer", "cer", "latency_ms"]
    assert [label for label, _ in view.tiles()[2].shown] == ["p50", "p95"]
    alone = report(slice_result("overall", {"latency_ms.p95": estimate(300.0, unit="ms")}))
    assert ReportView(alone).tiles()[0].name == "latency_ms.p95"


def test_plots_are_worst_first_and_say_what_they_leave_out() -> None:
    """Slices without a value are not drawn, those beyond the most are counted."""
    many = [slice_result(f"id={i:03}", {"wer": estimate(i / 1000)}) for i in range(MOST_ROWS + 5)]
    nothing = slice_result("id=none", {"wer": Estimate(value=None)})
    view = ReportView(report(slice_result("overall"), *many, nothing))
    (plot,) = view.forests()
    assert plot.lines[0].key == f"id={MOST_ROWS + 4:03}"
    assert len(plot.lines) == MOST_ROWS
    assert plot.left_out == 5
    assert plot.notes == ()
    assert len(view.table().lines) == MOST_ROWS + 5 + 2


def test_notes_are_told_once_with_how_many_slices_they_hold_for() -> None:
    """Why there is no interval is visible without hovering."""
    few = {"wer": Estimate(value=0.5, note="2 clusters: an interval needs 5")}
    items = (slice_result("overall"), slice_result("a=b", few), slice_result("a=c", few))
    (plot,) = ReportView(report(*items)).forests()
    assert plot.notes == (("2 clusters: an interval needs 5", 2),)


def test_opinion_scores_are_plotted_apart() -> None:
    """Any metric of the unit mos is, whatever its name."""
    metrics = {"wer": estimate(), "future_mos.mean": estimate(3.1, low=2.9, high=3.3, unit="mos")}
    view = ReportView(report(slice_result("overall", metrics), slice_result("a=b", metrics)))
    assert [plot.metric for plot in view.forests()] == ["wer"]
    (plot,) = view.forests(opinion=True)
    assert plot.metric == "future_mos.mean"
    assert plot.ticks[0] == (0.0, "1")
    assert plot.reference == pytest.approx(52.5)


def test_a_metric_that_a_slice_lacks_is_a_dash_with_a_reason() -> None:
    """Missing is never 0."""
    view = ReportView(report(slice_result("overall"), slice_result("accent=plain", {})))
    cell = view.table().lines[1].cells[0]
    assert (cell.value, cell.raw, cell.note) == ("-", None, "not measured")
