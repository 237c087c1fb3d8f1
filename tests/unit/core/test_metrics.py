"""Slices in the order that matters."""

import pytest

from relkit.core.metrics import METRICS, expand, metric_of
from relkit.evaluation.types import SliceResult, overall, primary_metric, worst_first
from tests.builders import estimate, report, slice_result


def ranked(metric: str, *values: float | None) -> list[str]:
    """Return the order of slices a, b, c … with these values."""
    slices = [
        slice_result(chr(ord("a") + i), {metric: estimate(value)}) for i, value in enumerate(values)
    ]
    return [item.slice for item in worst_first(slices, metric)]


@pytest.mark.parametrize(
    ("metric", "values", "order"),
    [
        ("wer", (0.1, 0.3, 0.2), "bca"),
        ("wer", (0.1, None, 0.0), "acb"),
        ("wer", (None, None, 0.0), "cab"),
        ("wer", (0.2, 0.2, 0.2), "abc"),
        ("latency_ms.p95", (100.0, 900.0, None), "bac"),
        ("rtfx", (10.0, 30.0, 20.0), "acb"),
        ("rtfx", (10.0, None, 20.0), "acb"),
        ("rtfx", (None, 0.0), "ba"),
    ],
)
def test_the_worst_slice_comes_first(
    metric: str, values: tuple[float | None, ...], order: str
) -> None:
    """Highest first where down is better, lowest where up is; those without a value last."""
    assert "".join(ranked(metric, *values)) == order


def test_a_slice_without_the_metric_comes_last() -> None:
    """As one without a value."""
    slices = [slice_result("a", {}), slice_result("b", {"wer": estimate(0.0)})]
    assert [item.slice for item in worst_first(slices, "wer")] == ["b", "a"]


@pytest.mark.parametrize(
    ("measured", "primary"),
    [
        (("rtf", "wer", "wer_capped"), "wer_capped"),
        (("rtf", "cer", "wer"), "wer"),
        (("rtf", "latency_ms.p95"), "rtf"),
        ((), None),
    ],
)
def test_slices_are_ranked_by_the_metric_intervals_are_claimed_for(
    measured: tuple[str, ...], primary: str | None
) -> None:
    """The capped rate where it was measured, else the next best."""
    item = slice_result("overall", {name: estimate() for name in measured})
    assert primary_metric(report(item)) == primary


def test_a_report_without_overall_is_a_defect() -> None:
    """No page is made from a part."""
    with pytest.raises(ValueError, match="overall"):
        overall(report(slice_result("accent=plain")))
    found: SliceResult = overall(report(slice_result("accent=plain"), slice_result("overall")))
    assert found.slice == "overall"


@pytest.mark.parametrize("name", ["wre", "", "wer.p95", "latency_ms.p42", "latency_ms.", ".p95"])
def test_an_unknown_metric_has_no_direction(name: str) -> None:
    """Nothing is ranked by a guess."""
    with pytest.raises(KeyError):
        metric_of(name)


def test_every_metric_is_found_under_every_name_it_expands_to() -> None:
    """Timings and DNSMOS scores are spelled out, the rest stays, and nothing stands twice."""
    names = expand((*METRICS, "wer", "latency_ms.p95"))
    assert len(names) == len(set(names)) == len(METRICS) + 18 * 3 + 2 * 2 + 4
    assert {metric_of(name).name for name in names} == set(METRICS)
