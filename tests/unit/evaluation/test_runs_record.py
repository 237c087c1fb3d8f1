"""run.json: what a run was asked to do, written and read."""

import json
from dataclasses import replace

import pytest

from relkit.core.errors import InvalidInput
from relkit.core.values import SystemId
from relkit.evaluation.run_files import parse_run, render_run
from relkit.evaluation.suites import suite_digest
from relkit.evaluation.types import RunHeader, RunStatus
from tests.builders import DIGEST, header, suite, version

OUTPUTS = {"report.json": DIGEST, "results.parquet": DIGEST}


@pytest.mark.parametrize("status", ["running", "finished"])
@pytest.mark.parametrize(
    "item",
    [
        header(),
        header(source="20260101T000000Z-abcdef", repeats=3, versions={}),
        header(dataset=version(revision=None, dirty=None, contract="passed")),
        header(candidate=SystemId(digest=DIGEST, artifact=DIGEST)),
        header(load={}),
        header(load={"one": 1, "whole": 1.0, "yes": True, "word": "ü\u2028", "none": None}),
    ],
)
def test_a_header_survives_the_way_through_its_file(item: RunHeader, status: RunStatus) -> None:
    """Header, status and output digests come back as they were, types included."""
    item = replace(item, status=status, outputs=OUTPUTS)
    found = parse_run(render_run(item), source="r/run.json")
    assert found == item
    for key, value in item.load.items():
        assert type(found.load[key]) is type(value)


def test_the_suite_of_a_run_keeps_its_digest() -> None:
    """The digest in run.json is believed, not made anew by a later relkit."""
    document = json.loads(render_run(header()))
    document["suite_digest"] = "sha256:" + "9" * 64
    found = parse_run(json.dumps(document), source="r/run.json")
    assert found.suite_digest == "sha256:" + "9" * 64
    assert suite_digest(suite()) != found.suite_digest


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_that_is_none_gets_into_a_run(value: float) -> None:
    """A load fingerprint with NaN could never be compared with anything."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_run(header(load={"x": value}))


WHOLE = render_run(header(status="finished", finished="2026-01-31T12:01:00Z", outputs=OUTPUTS))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"finished"', '"done"', "\"status\": Input should be 'running' or 'finished'"),
        ('"repeats": 1', '"repeats": "1"', '"repeats": Input should be a valid integer'),
        ('"repeats": 1', '"repaets": 1', 'unknown key "repaets"'),
        ('"share": 0.5', '"share": Infinity', "Infinity is no JSON number"),
        ('"share": 0.5', '"share": [1]', '"load.share": Input should be'),
        (
            '"kind": "recorded"',
            '"kind": "other"',
            "\"suite.system\": 'other' is none of 'faster-whisper'",
        ),
        ('"normalizer": "english"', '"normalizer": 3', '"suite.normalizer": Input should be'),
        ("relkit.run/v1", "relkit.run/v2", '"schema": Input should be'),
        ("}\n}", "}", "not JSON"),
    ],
)
def test_a_damaged_run_file_is_refused_by_name(old: str, new: str, message: str) -> None:
    """Each error names the run's file."""
    text = WHOLE.replace(old, new, 1)
    assert text != WHOLE
    with pytest.raises(InvalidInput) as caught:
        parse_run(text, source="r/run.json")
    assert caught.value.message.startswith("r/run.json")
    assert message in caught.value.message
