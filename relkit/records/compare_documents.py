"""The JSON document of ``relkit compare``: fractions, ms, counts; null where there is none."""

from dataclasses import asdict
from typing import Any

from relkit.domain.compare_reports import (
    ComparedRun,
    CompareReport,
    ConfusionChange,
    Flips,
    Harm,
    OverallChange,
    SliceChange,
    WordChange,
)
from relkit.domain.comparisons import Difference
from relkit.records.digests import JsonValue

SCHEMA = "relkit.compare/v1"


def compare_document(report: CompareReport) -> dict[str, JsonValue]:
    """Return the document of a comparison; positive differences are worse."""
    return {
        "schema": SCHEMA,
        "baseline": _run(report.baseline),
        "candidate": _run(report.candidate),
        "dataset": report.dataset,
        "suite": report.suite,
        "normalizer": report.normalizer,
        "metric": report.metric,
        "unit": report.unit,
        "cluster": report.cluster,
        "detectable": report.detectable,
        "pairing": {**_fields(report.pairing), "whole": report.pairing.whole},
        "overall": _overall(report.overall),
        "slices": [_slice(item) for item in report.slices],
        "new_slices": list(report.new_slices),
        "vanished_slices": list(report.vanished_slices),
        "flipped": _flips(report.flips),
        "confusions": None
        if report.confusions is None
        else [_confusion(item) for item in report.confusions],
        "mapsswe": None if report.segments is None else _fields(report.segments),
        "attribution": None if report.attribution is None else _fields(report.attribution),
        "timings": {name: _difference(item) for name, item in report.timings.items()},
        "notes": list(report.notes),
    }


def _overall(item: OverallChange) -> dict[str, JsonValue]:
    return {
        **_difference(item.difference),
        "finding": item.finding.value,
        "reason": item.reason,
        "needed_clusters": item.needed_clusters,
        **_cost(item.harm, item.words),
    }


def _slice(item: SliceChange) -> dict[str, JsonValue]:
    tested = item.regression
    return {
        **_difference(item.difference),
        "finding": item.finding.value,
        "reason": item.reason,
        "p_adjusted": tested.p_adjusted,
        "p_better": item.p_better,
        "simultaneous_low": tested.low,
        "reference": tested.reference,
        "detects": tested.detects,
        "needed_clusters": item.needed_clusters,
        "test_note": tested.note,
        "elsewhere": None
        if item.elsewhere is None
        else {"slice": item.elsewhere[0], "share": item.elsewhere[1]},
        **_cost(item.harm, item.words),
    }


def _cost(harm: Harm, words: WordChange) -> dict[str, JsonValue]:
    return {"harm": _fields(harm), "words": _fields(words)}


def _flips(flips: Flips) -> dict[str, JsonValue]:
    found = _fields(flips)
    return {
        "right_to_wrong": found["broken"],
        "wrong_to_right": found["mended"],
        "worst_right_to_wrong": found["worst_broken"],
        "worst_wrong_to_right": found["worst_mended"],
    }


def _confusion(item: ConfusionChange) -> dict[str, JsonValue]:
    return {**_fields(item), "change": item.change}


def _run(run: ComparedRun) -> dict[str, JsonValue]:
    return _fields(run)


def _difference(item: Difference) -> dict[str, JsonValue]:
    return _fields(item)


def _fields(value: Any) -> dict[str, JsonValue]:  # noqa: ANN401  # any of the domain's dataclasses
    """Return a dataclass as JSON values."""
    return {name: _plain(one) for name, one in asdict(value).items()}


def _plain(value: Any) -> JsonValue:  # noqa: ANN401  # whatever a field of one holds
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    plain: JsonValue = value
    return plain
