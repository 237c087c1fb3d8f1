"""What is read from another tool's dataset, before it becomes a dataset of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from relkit.domain.utterances import Consent

SPEAKER = "speaker"
"""The column of independent units that every imported dataset has."""

Attributes = Mapping[str, str]


class ImportKind(StrEnum):
    """The layouts that can be imported."""

    NEMO = "nemo"
    KALDI = "kaldi"
    COMMON_VOICE = "common-voice"
    AUDIO_FOLDER = "audiofolder"


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
    found: bool


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
    whose length the source knows. ``missing_audio`` counts utterances whose file is not there,
    ``unlisted_audio`` files that no entry names (None where nobody looked).
    """

    dataset: str
    kind: str
    utterances: int
    speakers: int | None
    columns: tuple[str, ...]
    slices: tuple[str, ...]
    hours: float
    timed: int
    copied: bool
    missing_audio: int
    unlisted_audio: int | None
    left_out: Mapping[str, int]
    renamed: Mapping[str, str]
    dropped: Mapping[str, str]
    consent: Mapping[str, int]
    notes: tuple[str, ...]
