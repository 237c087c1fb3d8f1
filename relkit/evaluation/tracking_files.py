"""What an experiment tracker is told about a run, spelled as MLflow takes it."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from urllib.parse import unquote

from relkit.core.slices import OVERALL
from relkit.core.wording import HIDDEN, without_secrets
from relkit.datasets.types import NO_VALUE
from relkit.evaluation.run_files import render_report
from relkit.evaluation.types import EvalReport, Scalar

_NAME_LIMIT = 250  # MLflow's own limit, for the names of metrics and parameters
_SLICE_LIMIT = 200
_VALUE_LIMIT = 500
_NOT_IN_COLUMN = re.compile(r"[^\w\-]")
_NOT_IN_VALUE = re.compile(r"[^\w.\- ]")
_BIN = re.compile(r"\[([^,\[\]()]+),([^,\[\]()]+)\)")

_SECRET_WORD = re.compile(
    r"(?i)(?<![a-z])(api_?key|authorization|cookie|credentials?|key|pass(phrase|word|wd)|secret|token)"
    r"(?![a-z])(?!.*_(env|file)$)"
)


def mlflow_metric(slice_key: str, metric: str) -> str:
    """Return MLflow's name for a metric of a slice; different slices never share one.

    ``wer`` stays ``wer`` in ``overall``; ``accent=us&noise=babble`` gives
    ``accent:us/noise:babble/wer``, a missing value ``accent::none/wer``, the bin ``[1,2)``
    ``length:1:to:2/wer``. Other characters that MLflow refuses become ``:`` and two hex digits a
    UTF-8 byte (in a column: a space and the digits); a slice of over 200 characters is cut and
    ends in a part of its SHA-256.
    """
    shown = _capped(_escaped(_NOT_IN_VALUE, metric, ":"), _NAME_LIMIT - _SLICE_LIMIT - 1)
    if slice_key == OVERALL:
        return shown
    pairs = (part.rpartition("=") for part in slice_key.split("&"))
    parts = (
        f"{_escaped(_NOT_IN_COLUMN, column, ' ')}:{_value(unquote(value))}"
        for column, _, value in pairs
    )
    return f"{_capped('/'.join(parts), _SLICE_LIMIT)}/{shown}"


def _value(value: str) -> str:
    # No escape begins with ":n" or ":t", so the two spellings below cannot be another value's.
    if value == NO_VALUE:
        return ":none"
    ends = _BIN.fullmatch(value)
    if ends:
        return ":to:".join(_escaped(_NOT_IN_VALUE, end, ":") for end in ends.groups())
    return _escaped(_NOT_IN_VALUE, value, ":")


def _escaped(refused: re.Pattern[str], text: str, mark: str) -> str:
    return refused.sub(lambda m: "".join(f"{mark}{byte:02X}" for byte in m[0].encode()), text)


def _capped(name: str, limit: int) -> str:
    if len(name) <= limit:
        return name
    return f"{name[: limit - 18]}:x{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def shown_parameter(name: str, value: Scalar) -> str:
    """Return a parameter's value, cut to 500 characters and without what looks like a secret.

    Secrets belong in environment variables; this catches what was written down all the same.
    """
    if _SECRET_WORD.search(name):
        return HIDDEN
    if not isinstance(value, str):
        return json.dumps(value)
    text = without_secrets(value)
    return text if len(text) <= _VALUE_LIMIT else text[: _VALUE_LIMIT - 1] + "…"


def parameter_name(name: str) -> str:
    """Return MLflow's name for a parameter: other characters escaped, at most 250 long."""
    return _capped(_escaped(_NOT_IN_VALUE, name, ":"), _NAME_LIMIT)


_DIGEST_LIMIT = 36  # MLflow's own, for a dataset's digest


def tracking_contents(
    report: EvalReport, *, parameters: Mapping[str, Scalar], page: str
) -> dict[str, object]:
    """Return the JSON document of all that is logged for a run: no text of any utterance."""
    settings: dict[str, Scalar] = {
        "suite": report.suite.name,
        "dataset": report.dataset.name,
        "dataset_digest": report.dataset.digest,
        "normalizer": report.normalizer.name,
        "repeats": report.repeats,
        "relkit": report.tool_version,
    }
    return {
        "run": report.run,
        "started_ms": round(datetime.fromisoformat(report.created).timestamp() * 1000),
        "tags": _tags(report),
        "parameters": {
            parameter_name(name): shown_parameter(name, value)
            for name, value in {**settings, **parameters}.items()
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
        "suite_digest": report.suite.digest,
        "candidate_digest": report.candidate.digest,
        "artifact_digest": report.candidate.artifact,
        "dataset_digest": report.dataset.digest,
        "dataset_revision": report.dataset.revision,
        "dataset_dirty": None if dirty is None else json.dumps(dirty),
        "normalizer_digest": report.normalizer.digest,
        "load_digest": report.load,
        "scorer": report.scorer,
        "version": report.tool_version,
        "contract": report.dataset.contract,
    }
    return {f"relkit.{name}": value for name, value in tags.items() if value is not None}


def _metrics(report: EvalReport) -> Iterator[tuple[str, float]]:
    """Yield every number there is: a missing one has no metric, and NaN no report."""
    yield "expected", report.expected
    yield "scored", report.scored
    yield "unusable", report.unusable
    if report.coverage is not None:
        yield "coverage", report.coverage
    yield "runaways", report.runaways.count
    for item in report.slices:
        numbers: dict[str, float | None] = {
            "utterances": item.utterances,
            "failures": item.failures,
        }
        for name, estimate in item.metrics.items():
            numbers |= {
                name: estimate.value,
                f"{name}.low": estimate.low,
                f"{name}.high": estimate.high,
            }
        for name, value in numbers.items():
            if value is not None:
                yield mlflow_metric(item.slice, name), value
