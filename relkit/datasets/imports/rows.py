"""What is read from another tool's dataset: rows, and its further columns as slice columns.

Columns are renamed where their name is taken. A slice column is a property of a recording: what
holds a transcript is none, as slice values are copied into ``results.parquet``, which has no text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Literal

from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.values import Shape
from relkit.core.yaml_text import shown, where
from relkit.datasets.selection import RESERVED, default_id
from relkit.datasets.types import NO_VALUE, Consent

SPEAKER = "speaker"
"""The column of independent units that every imported dataset has."""

Attributes = Mapping[str, str]


class ImportKind(StrEnum):
    """The layouts that can be imported."""

    NEMO = "nemo"
    KALDI = "kaldi"
    COMMON_VOICE = "common-voice"
    AUDIO_FOLDER = "audiofolder"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A text file of the source: its name for messages, and the folder its paths start from.

    Both are relative to the source, with forward slashes; the source itself is ``""``.
    """

    name: str
    folder: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """One utterance as the source describes it.

    ``audio`` is a path as written, to be looked for below ``folder``; ``confined`` says that the
    layout allows no path outside of the source. ``id`` is None where the source gives none.
    ``offset_s`` and ``length_s`` in seconds. ``file`` and ``line`` say where it stands.
    """

    audio: str
    folder: str
    reference: str
    file: str
    line: int
    id: str | None = None
    offset_s: float | None = None
    length_s: float | None = None
    attributes: Attributes = field(default_factory=lambda: MappingProxyType({}))
    consent: Consent = Consent.UNKNOWN
    confined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSource:
    """All that a parser found, with everything it did not take.

    ``renamed`` maps a column to its new name, ``dropped`` a column to the reason it was left out;
    ``left_out`` counts entries of the source by the reason they became no utterance.
    """

    rows: tuple[ImportedRow, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedAudio:
    """Where the audio of a row is: its absolute path, what that resolves to, and if it is there."""

    path: str
    real: str
    exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedAudio:
    """Where the audio of a dataset lies.

    ``roots`` are absolute folders that hold all files and ``linked`` those that links among them
    lead to. ``places`` has each row's root by number and its path below that root.
    """

    roots: tuple[str, ...]
    linked: tuple[str, ...]
    places: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """What an import made, for people and for ``--json``.

    ``speakers`` is None where the source names none. ``hours`` covers the ``timed`` utterances
    whose length is known. ``missing_audio`` counts utterances whose file is not there,
    ``unlisted_audio`` files that no entry names (None where nobody looked).
    """

    FILE: ClassVar = Shape(derived={"path": "dataset"})

    dataset: str
    kind: str
    utterances: int
    speakers: int | None
    columns: tuple[str, ...]
    slices: tuple[str, ...]
    hours: float
    timed: int
    audio: Literal["copied", "linked"]
    missing_audio: int
    unlisted_audio: int | None
    left_out: Mapping[str, int]
    renamed: Mapping[str, str]
    dropped: Mapping[str, str]
    consent: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where the dataset lies, relative to the workspace."""
        return f"datasets/{self.dataset}"


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


class ImportedColumns:
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


MOST_VALUES = 50
"""Values up to which a column is worth a slice of its own."""


def with_ids(
    rows: Sequence[ImportedRow], paths: Sequence[str]
) -> tuple[tuple[ImportedRow, ...], int]:
    """Return rows that all have an id, and how many of these had to be numbered.

    ``paths`` are the rows' audio paths below their roots: an id that the source lacks is made from
    them. Raises InvalidInput where the source gives one id twice.
    """
    by_id: dict[str, ImportedRow] = {}
    for row in rows:
        if row.id is None:
            continue
        if first := by_id.get(row.id):
            raise InvalidInput(
                f'{where(row.file, row.line)}: the id "{shown(row.id)}" stands already in '
                f"{where(first.file, first.line)}",
                hint="give every utterance an id of its own",
            )
        by_id[row.id] = row
    taken = set(by_id)
    named, numbered = [], 0
    for row, path in zip(rows, paths, strict=True):
        if row.id is not None:
            named.append(row)
            continue
        name = default = default_id(path, row.offset_s)
        count = 1
        while name in taken:
            count += 1
            name = f"{default}~{count}"
        numbered += name != default
        taken.add(name)
        named.append(replace(row, id=name))
    return tuple(named), numbered


def with_cluster(rows: Sequence[ImportedRow]) -> tuple[ImportedRow, ...]:
    """Return rows of which at least one names a speaker.

    Where the source names none, all are one unknown speaker: evaluations then claim no interval.
    """
    if any(SPEAKER in row.attributes for row in rows):
        return tuple(rows)
    return tuple(replace(row, attributes={**row.attributes, SPEAKER: NO_VALUE}) for row in rows)


_IDENTIFIER = re.compile(
    r"[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)
"""A hash, or a UUID (RFC 9562)."""

_OF_NO_RECORDING = frozenset({"sentence_id", "up_votes", "down_votes"})
"""Columns of Common Voice that say nothing of how a clip sounds: an id of its text, and votes."""


def cutting_columns(rows: Sequence[ImportedRow]) -> tuple[str, ...]:
    """Return the columns that cut the data: 2 to 50 values, of which some repeat.

    Hashes and UUIDs name things, and a slice of one of them would say nothing.
    """
    columns = sorted({name for row in rows for name in row.attributes} - {SPEAKER})
    most = min(MOST_VALUES, len(rows) - 1)
    values = {name: {row.attributes.get(name, NO_VALUE) for row in rows} for name in columns}
    return tuple(
        name
        for name in columns
        if 1 < len(values[name]) <= most
        and name not in _OF_NO_RECORDING
        and not any(_IDENTIFIER.fullmatch(value) for value in values[name])
    )
