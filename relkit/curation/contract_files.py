"""``contract.json`` (an ExpectationSuite as Great Expectations writes it).

The outcome of a contract, as it is stored and as ``--json`` shows it.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from relkit.core import yaml_text
from relkit.core.codec import Record, decode, parse, parse_json
from relkit.core.digests import JsonValue, sha256_bytes
from relkit.core.errors import InvalidInput, Malformed
from relkit.core.yaml_text import where
from relkit.curation.types import (
    SLICES,
    UTTERANCES,
    Contract,
    ContractOutcome,
    Expectation,
    Judged,
    Severity,
    State,
)

OWN = "relkit"
"""The key of ``meta`` below which relkit's own settings stand; Great Expectations keeps it."""


_NO_NUMBER = re.compile(r"[:\[,]\s*(NaN|-?Infinity)\b")


Lines = Mapping[tuple[str | int, ...], int]


class ExpectationSettings(Record):
    """``meta.relkit`` of one expectation."""

    table: Literal["utterances", "slices"] = "utterances"
    needs: Literal["run"] | None = None


class SuiteSettings(Record):
    """``meta.relkit`` of the suite."""

    split: Annotated[str, Field(min_length=1)] | None = None
    alike: Annotated[float, Field(ge=0.6, le=1)] = 0.9


class _Meta(Record):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class ExpectationMeta(_Meta):
    """``meta`` of one expectation: whatever a user notes, and relkit's settings."""

    relkit: ExpectationSettings = ExpectationSettings()


class SuiteMeta(_Meta):
    """``meta`` of the suite: the version that wrote it, notes, and relkit's settings."""

    relkit: SuiteSettings = SuiteSettings()


class ExpectationRecord(Record):
    """One expectation, with the keys that Great Expectations 1 writes."""

    type: Annotated[str, Field(min_length=1)]
    kwargs: dict[str, Any] = {}
    meta: ExpectationMeta | None = None
    severity: Severity = "critical"
    id: str | None = None
    notes: str | list[str] | None = None
    description: str | None = None
    rendered_content: list[Any] | None = None


class ContractRecord(Record):
    """The whole of ``contract.json``."""

    name: Annotated[str, Field(min_length=1)]
    expectations: list[ExpectationRecord]
    meta: SuiteMeta | None = None
    id: str | None = None
    notes: str | list[str] | None = None
    suite_parameters: dict[str, Any] | None = None


def parse_contract(data: bytes, *, source: str) -> Contract:
    """Return a contract; raises InvalidInput naming file and line.

    What Great Expectations makes of the names and arguments is not looked at here.
    """
    text = decode(data, source=source)
    document, lines = _load(text, source)
    record = parse(ContractRecord, document, source=source, lines=lines)
    if record.suite_parameters:
        raise InvalidInput(
            f"{source}: suite_parameters are not used", hint="write the values where they belong"
        )
    settings = (record.meta or SuiteMeta()).relkit
    return Contract(
        name=record.name,
        digest=sha256_bytes(data),
        expectations=tuple(
            _expectation(item, lines.get(("expectations", i)))
            for i, item in enumerate(record.expectations)
        ),
        split=settings.split,
        alike=settings.alike,
    )


def _load(text: str, source: str) -> tuple[JsonValue, Lines]:
    """Return the document and the lines of its keys, which YAML's reader knows and JSON's not."""
    try:
        document = parse_json(text, source=source)
    except Malformed as error:
        if error.line is not None:
            raise
        if found := _NO_NUMBER.search(text):
            line = text.count("\n", 0, found.start(1)) + 1
            raise InvalidInput(
                f"{where(source, line)}: {found[1]} is no JSON number", hint=error.hint
            ) from error
        yaml_text.load(text, source=source)  # says where a repeated key stands
        raise
    try:
        return document, yaml_text.load(text, source=source)[1]
    except InvalidInput:  # JSON that is no YAML, such as one indented by tabs
        return document, {}


def _expectation(record: ExpectationRecord, line: int | None) -> Expectation:
    settings = (record.meta or ExpectationMeta()).relkit
    column = record.kwargs.get("column")
    return Expectation(
        type=record.type,
        kwargs=json.dumps(record.kwargs, sort_keys=True, ensure_ascii=False),
        column=column if isinstance(column, str) else None,
        table=SLICES if settings.table == "slices" else UTTERANCES,
        severity=record.severity,
        needs_run=settings.needs == "run",
        line=line,
    )


def render_contract(contract: Contract, *, notes: str) -> str:
    """Return ``contract.json`` as Great Expectations would write it; the digest is not in it."""
    own: dict[str, JsonValue] = {"alike": contract.alike}
    if contract.split is not None:
        own["split"] = contract.split
    document: dict[str, JsonValue] = {
        "name": contract.name,
        "id": None,
        "expectations": [_expectation_document(item) for item in contract.expectations],
        "meta": {OWN: own},
        "notes": notes,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _expectation_document(item: Expectation) -> JsonValue:
    own: dict[str, JsonValue] = {}
    if item.table != UTTERANCES:
        own["table"] = item.table
    if item.needs_run:
        own["needs"] = "run"
    kwargs: JsonValue = json.loads(item.kwargs)
    meta: JsonValue = {OWN: own} if own else {}
    return {"type": item.type, "kwargs": kwargs, "meta": meta, "severity": item.severity}


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
    record = parse(OutcomeRecord, parse_json(text, source=source), source=source)
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
