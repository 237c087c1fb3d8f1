"""Imported rows to ``dataset.yaml`` and ``manifest.jsonl``, as relkit reads them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from relkit.domain.errors import InvalidInput
from relkit.domain.imports import SPEAKER, ImportedRow
from relkit.domain.utterances import NO_VALUE, Consent
from relkit.records.datasets import default_id, parse_dataset, parse_manifest
from relkit.records.digests import JsonValue
from relkit.records.yaml_text import shown, where

MOST_VALUES = 50
"""Values up to which a column is worth a slice of its own."""


def with_ids(
    rows: Sequence[ImportedRow], paths: Sequence[str]
) -> tuple[tuple[ImportedRow, ...], int]:
    """Return rows that all have an id, and how many of these had to be numbered.

    ``paths`` are the rows' audio paths below their roots: an id that the source lacks is made from
    them. Raises InvalidInput where the source gives one id twice.
    """
    _refuse_duplicates(rows)
    taken = {row.id for row in rows if row.id is not None}
    named, numbered = [], 0
    for row, path in zip(rows, paths, strict=True):
        if row.id is not None:
            named.append(row)
            continue
        name = wanted = default_id(path, row.offset_s)
        count = 1
        while name in taken:
            count += 1
            name = f"{wanted}~{count}"
        numbered += name != wanted
        taken.add(name)
        named.append(replace(row, id=name))
    return tuple(named), numbered


def _refuse_duplicates(rows: Iterable[ImportedRow]) -> None:
    seen: dict[str, ImportedRow] = {}
    for row in rows:
        if row.id is not None and row.id in seen:
            first = seen[row.id]
            raise InvalidInput(
                f'{where(row.file, row.line)}: the id "{shown(row.id)}" stands already in '
                f"{where(first.file, first.line)}",
                hint="give every utterance an id of its own",
            )
        if row.id is not None:
            seen[row.id] = row


def with_cluster(rows: Sequence[ImportedRow]) -> tuple[ImportedRow, ...]:
    """Return rows of which at least one names a speaker.

    Where the source names none, all are one unknown speaker: evaluations then claim no interval.
    """
    if any(SPEAKER in row.attributes for row in rows):
        return tuple(rows)
    return tuple(replace(row, attributes={**row.attributes, SPEAKER: NO_VALUE}) for row in rows)


def slices_of(rows: Sequence[ImportedRow]) -> tuple[str, ...]:
    """Return the columns that cut the data: 2 to 50 values, of which some repeat."""
    columns = sorted({name for row in rows for name in row.attributes} - {SPEAKER})
    chosen = []
    for column in columns:
        values = Counter(row.attributes.get(column, NO_VALUE) for row in rows)
        if 1 < len(values) <= min(MOST_VALUES, len(rows) - 1):
            chosen.append(column)
    return tuple(chosen)


def render_manifest(rows: Sequence[ImportedRow], paths: Sequence[str]) -> str:
    """Return the manifest; it is read back before it is given, so that what is written loads."""
    lines = []
    for row, path in zip(rows, paths, strict=True):
        document: dict[str, JsonValue] = {"audio_filepath": path}
        if row.offset_s is not None:
            document["offset"] = row.offset_s
        if row.length_s is not None:
            document["duration"] = row.length_s
        document |= {"text": row.reference, "id": row.id}
        if row.consent is not Consent.UNKNOWN:
            document["consent"] = row.consent.value
        lines.append(json.dumps(document | dict(row.attributes), ensure_ascii=False))
    text = "\n".join(lines) + "\n"
    parse_manifest(text, source="manifest.jsonl")
    return text


def render_dataset(name: str, *, roots: Sequence[str], slices: Sequence[str]) -> str:
    """Return ``dataset.yaml``, read back likewise; a JSON string is a YAML string."""
    lines = ["schema: relkit.dataset/v1", f"name: {json.dumps(name)}", "manifest: manifest.jsonl"]
    if roots:
        lines += ["audio_roots:", *(f"  - {json.dumps(root)}" for root in roots)]
    lines += [f"cluster: {SPEAKER}", "consent: optional"]
    lines.append(f"slices: [{', '.join(json.dumps(column) for column in slices)}]")
    text = "\n".join(lines) + "\n"
    parse_dataset(text, source="dataset.yaml")
    return text
