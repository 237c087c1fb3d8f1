"""``dataset.yaml`` and ``manifest.jsonl`` to domain types; no file is opened here."""

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from relkit.domain.errors import InvalidInput
from relkit.domain.utterances import AudioSpan, Consent, Entity, Utterance
from relkit.records.digests import JsonValue
from relkit.records.strict import Record, check, parse_json, parse_yaml
from relkit.records.yaml_text import shown, where
from relkit.rules.result_columns import CORE_COLUMNS

_NOT_IN_COLUMN = frozenset("&=*%")
RESERVED = frozenset({*CORE_COLUMNS, "overall"})
"""Names of result columns, which a slice column cannot have."""

Seconds = Annotated[float, Field(ge=0)]


class BinsRecord(Record):
    """A slice column derived from a number."""

    name: Annotated[str, Field(min_length=1)]
    column: Annotated[str, Field(min_length=1)]
    edges: Annotated[list[float], Field(min_length=1)]

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f'the name "{name}" is taken: results use it')
        return name

    @field_validator("edges")
    @classmethod
    def _ascending(cls, edges: list[float]) -> list[float]:
        if sorted(set(edges)) != edges:
            raise ValueError("the edges must increase")
        return edges


class DatasetRecord(Record):
    """The whole of ``dataset.yaml``."""

    schema_: Literal["relkit.dataset/v1"] | None = Field(default=None, alias="schema")
    name: Annotated[str, Field(min_length=1)]
    licence: str | None = None
    manifest: str = "manifest.jsonl"
    audio_roots: list[str] = []
    cluster: str = "speaker"
    consent: Literal["optional", "required"] = "optional"
    slices: list[str] = []
    bins: list[BinsRecord] = []


class EntityRecord(Record):
    """A labelled span of the reference."""

    text: Annotated[str, Field(min_length=1)]
    type: Annotated[str, Field(min_length=1)]


class ManifestRow(Record):
    """One line of a manifest; further scalar columns are slice attributes."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    audio_filepath: Annotated[str, Field(min_length=1)]
    offset: Seconds | None = None
    duration: Seconds | None = None
    text: str
    id: Annotated[str, Field(min_length=1)] | None = None
    consent: Literal["granted", "revoked", "unknown"] = "unknown"
    entities: list[EntityRecord] = []


def parse_dataset(text: str, *, source: str) -> DatasetRecord:
    """Return ``dataset.yaml`` as a record; raises InvalidInput, also for edges out of order."""
    return parse_yaml(text, DatasetRecord, source=source)


def parse_manifest(text: str, *, source: str) -> tuple[Utterance, ...]:
    """Return the utterances of a manifest in file order; raises InvalidInput with the line.

    Duplicate ids are refused; blank lines are passed over.
    """
    utterances = tuple(
        _utterance(line, source, number)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    )
    refuse_duplicates(utterances, source=source)
    return utterances


def refuse_duplicates(utterances: Iterable[Utterance], *, source: str) -> None:
    """Raise InvalidInput with both lines where two utterances have the same id."""
    lines: dict[str, int] = {}
    for utterance in utterances:
        if utterance.id in lines:
            raise InvalidInput(
                f'{where(source, utterance.line)}: the id "{shown(utterance.id)}" stands already '
                f"in line {lines[utterance.id]}",
                hint="give every utterance an id of its own",
            )
        lines[utterance.id] = utterance.line


def _utterance(line: str, source: str, number: int) -> Utterance:
    row = check(
        ManifestRow, parse_json(line, source=source, line=number), source=source, line=number
    )
    return Utterance(
        id=row.id or default_id(row.audio_filepath, row.offset),
        audio=AudioSpan(path=row.audio_filepath, offset_s=row.offset, length_s=row.duration),
        reference=row.text,
        attributes=_attributes(row.model_extra or {}, source, number),
        entities=tuple(Entity(text=entity.text, type=entity.type) for entity in row.entities),
        consent=Consent(row.consent),
        line=number,
    )


def default_id(path: str, offset: float | None) -> str:
    """Return the path without its ending, with ``#offset`` where there is one (cli.md).

    The offset is written in full: segments of one long recording differ in late digits.
    """
    pure = PurePosixPath(path)
    stem = str(pure.with_suffix("") if pure.name else pure)
    return stem if offset is None else f"{stem}#{str(offset).removesuffix('.0')}"


def _attributes(extra: Mapping[str, JsonValue], source: str, line: int) -> dict[str, str]:
    """Return further columns as strings; numbers as JSON writes them, nulls as missing."""
    attributes: dict[str, str] = {}
    for name, value in extra.items():
        if value is None:
            continue
        if name in RESERVED:
            raise InvalidInput(
                f'{where(source, line)}: the column "{name}" has a name that results use',
                hint="rename the column",
            )
        if not name or _NOT_IN_COLUMN.intersection(name):
            raise InvalidInput(
                f'{where(source, line)}: the column "{shown(name)}" cannot be named in a slice',
                hint="rename it without & = * %",
            )
        if isinstance(value, str):
            attributes[name] = value
        elif isinstance(value, int | float):
            attributes[name] = json.dumps(value)
        else:
            raise InvalidInput(
                f'{where(source, line)}: the column "{shown(name)}" is a list or an object',
                hint="slice columns are strings or numbers",
            )
    return attributes
