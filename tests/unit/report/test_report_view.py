"""What a page says of a report: order, intervals in words, differences without claims."""

import pytest

from relkit.core.slices import slice_parts
from relkit.core.values import Estimate
from relkit.evaluation.types import EvalReport
from relkit.report.view import MOST_ROWS, ReportView
from tests.builders import DIGEST, estimate, report, slice_result

OTHER = "sha256:" + "1" * 64


def test_slice_keys_come_apart_into_columns_and_values() -> None:
    """Escapes in values are undone only after the key is split."""
    assert slice_parts("overall") == ()
    assert slice_parts("a=1&b=x%26y%3Dz") == (("a", "1"), ("b", "x&y=z"))


def timed(load: str = DIGEST) -> EvalReport:
    """Return a report with a rate and a time, measured under a load."""
    metrics = {"wer": estimate(0.25), "latency_ms.p95": estimate(300.0, unit="ms")}
    return report(
        slice_result("overall", metrics), slice_result("accent=plain", metrics), load=load
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
