"""``dataset.yaml`` and ``manifest.jsonl`` to domain types; no file is opened here."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from relkit.domain.errors import InvalidInput
from relkit.domain.utterances import AudioSpan, Consent, Entity, Utterance
from relkit.records.digests import JsonValue
from relkit.records.strict import Record, check, parse_json, parse_yaml
from relkit.records.yaml_text import shown, where

_COUNTS = ("hits", "substitutions", "deletions", "insertions")
RESERVED = frozenset(
    (
        *("id", "repeat", "cluster", "overall", "duration", "failure", "unusable", "attempts"),
        *(prefix + name for prefix in ("", "raw_", "char_") for name in _COUNTS),
        *("capped_errors", "entities", "entity_errors", "keywords", "keyword_errors"),
        *("runaway", "loop", "latency_ms", "first_byte_ms", "cached", "load"),
    )
)
"""Names of result columns, which a slice column cannot have."""

Seconds = Annotated[float, Field(ge=0)]


class BinsRecord(Record):
    """A slice column derived from a number."""

    name: Annotated[str, Field(min_length=1)]
    column: Annotated[str, Field(min_length=1)]
    edges: Annotated[list[float], Field(min_length=1)]


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
    record = parse_yaml(text, DatasetRecord, source=source)
    for bins in record.bins:
        if sorted(set(bins.edges)) != bins.edges:
            raise InvalidInput(f'{source}: the edges of bins "{shown(bins.name)}" must increase')
        if bins.name in RESERVED:
            raise InvalidInput(f'{source}: bins cannot be called "{bins.name}": the name is taken')
    return record


def parse_manifest(text: str, *, source: str) -> tuple[Utterance, ...]:
    """Return the utterances of a manifest in file order; raises InvalidInput with the line.

    Duplicate ids are refused; blank lines are passed over.
    """
    lines: dict[str, int] = {}
    utterances: list[Utterance] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        utterance = _utterance(line, source, number)
        if utterance.id in lines:
            raise InvalidInput(
                f'{where(source, number)}: the id "{shown(utterance.id)}" stands already in '
                f"line {lines[utterance.id]}",
                hint="give every utterance an id of its own",
            )
        lines[utterance.id] = number
        utterances.append(utterance)
    return tuple(utterances)


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
    """Return the path without its ending, with ``#offset`` where there is one (cli.md)."""
    stem = str(PurePosixPath(path).with_suffix(""))
    return stem if offset is None else f"{stem}#{offset:g}"


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
