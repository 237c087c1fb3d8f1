"""report.json: what is written is what is read, and no number in it is none."""

import json
from typing import Any

import pytest

from relkit.core.codec import encode
from relkit.core.errors import InvalidInput
from relkit.core.values import Estimate
from relkit.evaluation.run_files import parse_report, render_report
from relkit.evaluation.types import Hallucinations, Runaways
from tests.builders import estimate, report, slice_result


def test_metrics_and_slices_keep_their_order() -> None:
    """People read a report from the top."""
    metrics = {name: estimate() for name in ("wer", "cer", "rtf", "latency_ms.p95")}
    item = report(slice_result("overall", metrics), slice_result("z=1"), slice_result("a=1"))
    again = parse_report(render_report(item), source="report.json")
    assert list(again.slices[0].metrics) == list(metrics)
    assert [found.slice for found in again.slices] == ["overall", "z=1", "a=1"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", ["value", "low", "high"])
def test_no_number_that_is_none_gets_into_a_report(place: str, value: float) -> None:
    """A report with NaN cannot be written at all."""
    wrong = estimate(0.25, **{place: value}) if place != "value" else Estimate(value=value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_report(report(slice_result("overall", {"wer": wrong})))


def test_no_rate_of_a_hallucination_or_runaway_is_nan() -> None:
    """The extremes are checked as the estimates are."""
    for change in (
        {"runaways": Runaways(count=0, loops=0, hidden_rate=float("nan"))},
        {
            "hallucinations": Hallucinations(
                clips=0, with_words=0, words=0, words_per_minute=float("inf")
            )
        },
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            render_report(report(**change))


TEXT_OF_REPORT = render_report(report())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"value": 0.25', '"value": NaN', "report.json: NaN is no JSON number"),
        ('"value": 0.25', '"value": 1e999', "report.json: the number 1e999 is out of range"),
        ('"value": 0.25', '"value": "0.25"', '"slices.0.metrics.wer.value": Input should be a'),
        ('"value": 0.25', '"valeu": 0.25', 'report.json: unknown key "slices.0.metrics.wer.valeu"'),
        ('"scored": 2', '"scored": 2.5', '"scored": Input should be a valid integer'),
        ('"scored": 2', '"scored": true', '"scored": Input should be a valid integer'),
        ('"scored": 2', '"scored": 2, "scored": 3', 'the key "scored" stands twice'),
        ('"scored": 2,', "", 'report.json: the key "scored" is missing'),
        ("relkit.report/v1", "relkit.report/v2", '"schema": Input should be'),
        ('"dirty": false', '"dirty": 0', '"dataset.dirty": Input should be a valid boolean'),
        ("{\n", "{\n,", "report.json, line 2: not JSON"),
    ],
)
def test_a_wrong_report_is_refused(old: str, new: str, message: str) -> None:
    """Types are exact, keys are known and stand once, numbers are numbers."""
    text = TEXT_OF_REPORT.replace(old, new, 1)
    assert text != TEXT_OF_REPORT
    with pytest.raises(InvalidInput) as caught:
        parse_report(text, source="report.json")
    assert message in caught.value.message
    assert caught.value.message.startswith("report.json")


def test_the_document_has_the_keys_that_users_rely_on() -> None:
    """docs/cli.md, ``eval --json``: report.json is the same document."""
    document: dict[str, Any] = json.loads(json.dumps(encode(report())))
    assert document["path"] == f".relkit/runs/{document['run']}"
    assert {"run", "path", "expected", "scored", "failures", "unusable", "slices"} <= set(document)
    first = document["slices"][0]
    assert {"slice", "utterances", "clusters", "metrics"} <= set(first)
    assert first["metrics"]["wer"] == {
        "value": 0.25,
        "low": 0.125,
        "high": 0.5,
        "n": 8,
        "clusters": 5,
        "unit": "fraction",
        "method": "jackknife",
        "note": None,
    }
    assert document["coverage"] == 2 / 3
    assert document["masking"][0]["hidden"] == 1


def test_a_report_on_nothing_has_no_coverage() -> None:
    """Nothing expected is null, not 1 and not 0."""
    assert encode(report(expected=0))["coverage"] is None
