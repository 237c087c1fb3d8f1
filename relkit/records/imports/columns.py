"""Columns of a foreign table to slice columns: renamed where taken, left out where they cannot be.

A slice column is a property of a recording. What holds a transcript (of this or another system) is
none: slice values are copied into ``results.parquet``, which has no text in it.
"""

import json
from collections.abc import Mapping

from relkit.domain.errors import InvalidInput
from relkit.domain.imports import SPEAKER
from relkit.domain.utterances import Consent
from relkit.records.datasets import RESERVED
from relkit.records.digests import JsonValue
from relkit.records.yaml_text import shown, where

SPEAKERS = (SPEAKER, "speaker_id", "spk_id", "spk", "client_id")
"""Columns that name a speaker, the first of them that a table has."""

TEXTS = frozenset(
    {"text", "transcription", "transcript", "sentence", "normalized_text", "raw_text", "text_raw"}
    | {"pred_text", "pred_text_pnc", "text_pnc", "orig_text", "original_text", "text_normalized"}
    | {"raw_transcription", "normalized_transcription", "raw_sentence", "text_filepath"}
)
"""Columns that are known to hold a transcript."""

_TAKEN = RESERVED | {"audio_filepath", "offset", "duration", "text", "id", "consent", "entities"}
_UNNAMEABLE = str.maketrans(dict.fromkeys("&=*%", "_"))


class Columns:
    """Turns the further columns of a table into attributes, and remembers what it did."""

    def __init__(self) -> None:
        """Begin with nothing renamed and nothing left out."""
        self.renamed: dict[str, str] = {}
        self.dropped: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def attributes(
        self, values: Mapping[str, JsonValue], *, source: str, line: int
    ) -> dict[str, str]:
        """Return the values that can be slice values, as strings; empty ones and nulls are missing.

        Raises InvalidInput for a column without a name.
        """
        attributes: dict[str, str] = {}
        for column, value in values.items():
            if not column.strip():
                raise InvalidInput(
                    f"{where(source, line)}: a column has no name", hint="name it, or remove it"
                )
            if column in TEXTS:
                self.dropped[column] = "holds a text"
            elif isinstance(value, list | Mapping):
                self.dropped[column] = "holds lists or objects"
            elif value is not None and value != "":
                written = value if isinstance(value, str) else json.dumps(value)
                attributes[self._named(column)] = written
        return attributes

    def _named(self, column: str) -> str:
        if column not in self._names:
            name = column.translate(_UNNAMEABLE)
            name = f"source_{name}" if name in _TAKEN else name
            while name in self._names.values():
                name += "_2"
            self._names[column] = name
            if name != column:
                self.renamed[column] = name
        return self._names[column]


def consent_of(value: JsonValue, *, source: str, line: int) -> Consent:
    """Return what a source says about consent, unknown where it says nothing.

    Raises InvalidInput for any other word: nobody may guess what it allows.
    """
    if value is None or value == "":
        return Consent.UNKNOWN
    try:
        return Consent(str(value).strip().lower())
    except ValueError as error:
        raise InvalidInput(
            f'{where(source, line)}: the consent "{shown(str(value), 20)}" is not known',
            hint="write granted, revoked or unknown",
        ) from error


def with_speaker(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the columns with the first one that names a speaker called ``speaker``."""
    for column in SPEAKERS:
        if values.get(column) not in (None, ""):
            return {SPEAKER if name == column else name: value for name, value in values.items()}
    return values


def seconds(value: JsonValue, name: str, *, source: str, line: int) -> float | None:
    """Return a time in seconds, None where there is none; raises InvalidInput for any other thing.

    A number in quotes is a number: spreadsheets write them so.
    """
    if value is None or value == "":
        return None
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not 0 <= number < float("inf"):
        raise InvalidInput(
            f'{where(source, line)}: "{name}" is no length of time',
            hint="write seconds as a number of at least 0",
        )
    return number
