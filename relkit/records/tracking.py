"""What an experiment tracker is told about a run, as one JSON document."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from relkit.domain.reports import EvalReport, SliceResult
from relkit.domain.suites import Scalar
from relkit.records.reports import render_report
from relkit.rules.tracking_names import metric_name, parameter_name, shown_parameter

_DIGEST_LIMIT = 36  # MLflow's own, for a dataset's digest


def tracking_contents(
    report: EvalReport, *, parameters: Mapping[str, Scalar], page: str
) -> dict[str, object]:
    """Return the JSON document of all that is logged for a run: no text of any utterance."""
    own: dict[str, Scalar] = {
        "suite": report.suite,
        "dataset": report.dataset.name,
        "dataset_digest": report.dataset.digest,
        "normalizer": report.normalizer,
        "repeats": report.repeats,
        "relkit": report.tool_version,
    }
    return {
        "run": report.run,
        "started_ms": round(datetime.fromisoformat(report.created).timestamp() * 1000),
        "tags": _tags(report),
        "parameters": {
            parameter_name(name): shown_parameter(name, value)
            for name, value in {**own, **parameters}.items()
            if value is not None
        },
        "metrics": dict(_metrics(report)),
        "dataset": {
            "name": report.dataset.name,
            "digest": report.dataset.digest.removeprefix("sha256:")[:_DIGEST_LIMIT],
            "source": {
                "uri": f"datasets/{report.dataset.name}",
                "revision": report.dataset.revision,
            },
            "rows": report.dataset.utterances,
        },
        "files": {"report.json": render_report(report), "report.md": page},
    }


def _tags(report: EvalReport) -> dict[str, str]:
    dirty = report.dataset.dirty
    tags = {
        "run": report.run,
        "suite_digest": report.suite_digest,
        "candidate_digest": report.candidate_digest,
        "artifact_digest": report.artifact_digest,
        "dataset_digest": report.dataset.digest,
        "dataset_revision": report.dataset.revision,
        "dataset_dirty": None if dirty is None else json.dumps(dirty),
        "normalizer_digest": report.normalizer_digest,
        "load_digest": report.load_digest,
        "scorer": report.scorer,
        "version": report.tool_version,
        "contract": report.dataset.contract,
    }
    return {f"relkit.{name}": value for name, value in tags.items() if value is not None}


def _metrics(report: EvalReport) -> Iterator[tuple[str, float]]:
    """Yield every number there is: a missing one has no metric, and NaN no report."""
    whole: dict[str, float | None] = {
        "expected": report.expected,
        "scored": report.scored,
        "unusable": report.unusable,
        "coverage": report.coverage,
        "runaways": report.runaways.count,
    }
    yield from ((name, value) for name, value in whole.items() if value is not None)
    for item in report.slices:
        for name, value in _slice_numbers(item):
            if value is not None:
                yield metric_name(item.slice, name), value


def _slice_numbers(item: SliceResult) -> Iterator[tuple[str, float | None]]:
    yield "utterances", item.utterances
    yield "failures", item.failures
    for name, estimate in item.metrics.items():
        yield name, estimate.value
        yield f"{name}.low", estimate.low
        yield f"{name}.high", estimate.high
