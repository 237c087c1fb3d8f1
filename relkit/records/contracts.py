"""``contract.json`` (an ExpectationSuite as Great Expectations writes it)."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from relkit.domain.contracts import (
    SLICES,
    UTTERANCES,
    Contract,
    Expectation,
    Severity,
)
from relkit.domain.errors import InvalidInput
from relkit.records import yaml_text
from relkit.records.digests import JsonValue, sha256_bytes
from relkit.records.strict import Record, check, decode, parse_json
from relkit.records.yaml_text import where

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
    record = check(ContractRecord, document, source=source, lines=lines)
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
    except InvalidInput as error:
        if ", line " in error.message:
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
