"""What to measure: a suite names the data, the system, the normalizer, metrics and slices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool | None
Task = Literal["asr", "tts"]
Segmenter = Literal["auto", "words", "characters"]
"""``words``: white space alone; ``characters``: every grapheme cluster; ``auto``: white space,
and one token per grapheme cluster in scripts that are written without spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSpec:
    """A system under test as a suite names it: its kind, its options, its bounds.

    ``timeout_s`` bounds one call in seconds; ``retries`` is how often a retryable failure is asked
    again. ``options`` are the kind's own keys.
    """

    kind: str
    timeout_s: float = 60.0
    retries: int = 1
    options: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """The part of a dataset that a suite uses: ``where`` maps a column to its wanted values."""

    name: str
    rev: str | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite, whole and checked.

    ``digest`` is the SHA-256 of the effective suite without its system (cli.md, A run);
    ``cluster`` overrides the dataset's; ``max_audio_s`` bounds what is decoded of one clip.
    ``recogniser`` listens to what a system of the task tts says, and is None for every other task.
    """

    name: str
    dataset: DatasetRef
    normalizer: str
    metrics: tuple[str, ...]
    slices: tuple[str, ...]
    system: SystemSpec
    digest: str
    task: Task = "asr"
    segmenter: Segmenter = "auto"
    cluster: str | None = None
    keywords: tuple[str, ...] = ()
    max_audio_s: float = 600.0
    recogniser: SystemSpec | None = None
