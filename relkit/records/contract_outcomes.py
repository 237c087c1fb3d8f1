"""The outcome of a contract, as it is stored and as ``--json`` shows it."""

import json
from typing import Literal

from pydantic import Field

from relkit.domain.contracts import ContractOutcome, Judged, Severity, State
from relkit.domain.errors import InvalidInput
from relkit.records.digests import JsonValue
from relkit.records.strict import Record, check, parse_json

SCHEMA: Literal["relkit.contract-outcome/v1"] = "relkit.contract-outcome/v1"


class _Named(Record):
    name: str
    digest: str


class JudgedRecord(Record):
    """One expectation's outcome as it is stored."""

    type: str
    column: str | None
    table: str
    line: int | None
    severity: Severity
    outcome: State
    loaded: bool
    evaluated: bool
    values: int | None
    unexpected: int | None
    missing: int | None
    observed: float | None
    ids: list[str]
    found: dict[str, int]
    problem: str | None


class OutcomeRecord(Record):
    """The whole of a stored contract outcome, and of ``relkit dataset check --json``."""

    schema_: Literal["relkit.contract-outcome/v1"] = Field(alias="schema")
    outcome: Literal["passed", "failed"]
    dataset: _Named
    contract: _Named
    checked: str
    declared: int
    loaded: int
    evaluated: int
    problems: list[str]
    expectations: list[JudgedRecord]
    runs: list[str]
    versions: dict[str, str]


def outcome_document(outcome: ContractOutcome) -> dict[str, JsonValue]:
    """Return an outcome as a JSON document; ids and numbers, no text."""
    return {
        "schema": SCHEMA,
        "outcome": "passed" if outcome.passed else "failed",
        "dataset": {"name": outcome.dataset, "digest": outcome.dataset_digest},
        "contract": {"name": outcome.contract, "digest": outcome.contract_digest},
        "checked": outcome.checked,
        "declared": outcome.declared,
        "loaded": outcome.loaded,
        "evaluated": outcome.evaluated,
        "problems": list(outcome.problems),
        "expectations": [_judged_document(item) for item in outcome.judged],
        "runs": list(outcome.runs),
        "versions": dict(outcome.versions),
    }


def _judged_document(item: Judged) -> JsonValue:
    return {
        "type": item.expectation.type,
        "column": item.expectation.column,
        "table": item.expectation.table,
        "line": item.expectation.line,
        "severity": item.expectation.severity,
        "outcome": item.state,
        "loaded": item.loaded,
        "evaluated": item.evaluated,
        "values": item.values,
        "unexpected": item.unexpected,
        "missing": item.missing,
        "observed": item.observed,
        "ids": list(item.keys),
        "found": dict(item.found),
        "problem": item.problem,
    }


def render_outcome(outcome: ContractOutcome) -> str:
    """Return a stored outcome as text."""
    document = outcome_document(outcome)
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_outcome(text: str, *, source: str) -> OutcomeRecord:
    """Return a stored outcome; raises InvalidInput, also where its parts contradict each other."""
    record = check(OutcomeRecord, parse_json(text, source=source), source=source)
    whole = (
        not record.problems
        and record.evaluated > 0
        and record.declared == record.loaded == len(record.expectations)
        and all(item.outcome != "failed" for item in record.expectations)
    )
    if whole != (record.outcome == "passed"):
        raise InvalidInput(
            f"{source}: says {record.outcome}, and its expectations say otherwise",
            hint="check the dataset again: relkit dataset check NAME",
        )
    return record
