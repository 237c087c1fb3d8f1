"""Facts about a dataset that its contract judges: one row per utterance, one row per slice.

A first contract: what any dataset should keep, and what this one keeps now.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL, escape_value
from relkit.core.tokens import tokens
from relkit.curation.leakage import elsewhere, near_elsewhere
from relkit.curation.types import (
    SLICES,
    UTTERANCES,
    Cell,
    Doubt,
    Expectation,
    ExpectationMeta,
    ExpectationSettings,
    FactTable,
    Severity,
    Table,
)
from relkit.datasets.selection import slice_values
from relkit.datasets.types import NO_VALUE, Clip, Dataset, Unusable, Utterance

CLIPPED_FROM = 0.999
"""Amplitude from which a sample counts as clipped, of 1."""

SILENCE = 1e-3
"""RMS of a 20 ms frame below which it is silence: -60 dBFS."""

_FRAMES_A_SECOND = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What decoding one utterance's audio showed; all but ``state`` are None where it failed.

    ``state`` is ``ok`` or the reason; ``peak`` is of full scale 1; ``level_dbfs`` is the RMS level
    (None for digital silence); the shares are fractions of samples and of 20 ms frames.
    """

    state: str
    digest: str | None = None
    duration: float | None = None
    sample_rate: int | None = None
    peak: float | None = None
    level_dbfs: float | None = None
    clipped_share: float | None = None
    silence_share: float | None = None


def clip_facts(clip: Clip | Unusable) -> ClipFacts:
    """Return the facts of one decoded clip."""
    if isinstance(clip, Unusable):
        return ClipFacts(state=clip.reason.value)
    samples = np.frombuffer(clip.samples, dtype="<f4").astype(np.float64)
    power = samples**2
    starts = np.arange(0, len(samples), max(1, clip.sample_rate // _FRAMES_A_SECOND))
    lengths = np.diff(starts, append=len(samples))
    levels = np.sqrt(np.add.reduceat(power, starts) / lengths)
    level = float(np.sqrt(np.mean(power)))
    return ClipFacts(
        state="ok",
        digest=clip.digest,
        duration=clip.duration_s,
        sample_rate=clip.sample_rate,
        peak=float(np.abs(samples).max()),
        level_dbfs=float(20 * np.log10(level)) if level else None,
        clipped_share=float(np.mean(np.abs(samples) >= CLIPPED_FROM)),
        silence_share=float(np.mean(levels < SILENCE)),
    )


def conversation_facts(entries: Sequence[ClipFacts], files: Sequence[ClipFacts]) -> ClipFacts:
    """Return the facts of a conversation from those of its script and of all its files.

    Its length is that of its script's clips together, without pauses; its state that of the first
    file that is not usable; its sample rate None where they differ; other numbers are the worst.
    """
    broken = next((item for item in files if item.state != "ok"), None)
    if broken is not None:
        return ClipFacts(state=broken.state)
    rates = {item.sample_rate for item in files}
    digests = [item.digest for item in files]
    levels = [item.level_dbfs for item in files]
    return ClipFacts(
        state="ok",
        digest=digests[0] if len(digests) == 1 else digest_of(digests),
        duration=sum(item.duration or 0.0 for item in entries),
        sample_rate=rates.pop() if len(rates) == 1 else None,
        peak=_highest(item.peak for item in files),
        level_dbfs=None if None in levels else min(level for level in levels if level is not None),
        clipped_share=_highest(item.clipped_share for item in files),
        silence_share=_highest(item.silence_share for item in files),
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


LEAKAGE = ("leak_audio", "leak_speaker", "leak_text")
LABEL = ("label_error_rate", "label_neighbours_rate", "label_excess", "label_systems")
"""Facts that need a split, and facts that need a run."""


def utterance_facts(
    dataset: Dataset,
    sounds: Mapping[str, ClipFacts],
    *,
    split: str | None,
    alike: float,
    labels: Mapping[str, Doubt] | None,
) -> FactTable:
    """Return one row per utterance: the manifest's columns, and what was heard and counted.

    Raises InvalidInput where a manifest column has the name of a fact.
    """
    items = dataset.utterances
    references = [item.spoken for item in items]
    attributes = sorted({column for item in items for column in item.attributes})
    columns: dict[str, Sequence[Cell]] = {
        "id": [item.id for item in items],
        "text": references,
        "consent": [item.consent.value for item in items],
    }
    measured = _audio_columns(items, [sounds[item.id] for item in items])
    measured |= _text_columns(references)
    taken = {*columns, *measured, *LEAKAGE, *LABEL}
    for column in attributes:
        if column in taken:
            raise InvalidInput(
                f'{dataset.manifest}: the column "{column}" has the name of a fact that contracts '
                "judge",
                hint="rename the column",
            )
    columns |= {column: [item.attributes.get(column) for item in items] for column in attributes}
    columns |= measured
    if split is not None:
        splits = [item.attributes.get(split) for item in items]
        speakers = [item.attributes.get(dataset.settings.ways.column) for item in items]
        columns |= {
            "leak_audio": elsewhere([sounds[item.id].digest for item in items], splits),
            "leak_speaker": elsewhere(speakers, splits),
            "leak_text": near_elsewhere(references, splits, alike=alike),
        }
    if labels is not None:
        doubts = [labels[item.id] for item in items]
        columns |= {
            "label_error_rate": [doubt.rate for doubt in doubts],
            "label_neighbours_rate": [doubt.neighbours for doubt in doubts],
            "label_excess": [doubt.excess for doubt in doubts],
            "label_systems": [doubt.systems for doubt in doubts],
        }
    return FactTable(key="id", columns=columns)


def _audio_columns(
    items: Sequence[Utterance], sounds: Sequence[ClipFacts]
) -> dict[str, Sequence[Cell]]:
    digests = Counter(sound.digest for sound in sounds)
    written = [item.audio.length_s for item in items]
    measured = ("state", "sample_rate", "peak", "level_dbfs", "clipped_share", "silence_share")
    return {
        **{f"audio_{name}": [getattr(sound, name) for sound in sounds] for name in measured},
        "audio_copies": [
            None if sound.digest is None else digests[sound.digest] - 1 for sound in sounds
        ],
        "duration": [sound.duration for sound in sounds],
        "duration_manifest": written,
        "duration_difference": [
            None if length is None or sound.duration is None else abs(length - sound.duration)
            for length, sound in zip(written, sounds, strict=True)
        ],
    }


_SPACES = re.compile(r"\s{2,}")
_JOINERS = "\u200b\u200c\u200d"  # needed to write Khmer, Persian, Hindi …


def _text_columns(texts: Sequence[str]) -> dict[str, Sequence[Cell]]:
    return {
        "text_characters": [len(text) for text in texts],
        "text_words": [len(tokens(text)) for text in texts],
        "text_control_characters": [sum(map(_is_control, text)) for text in texts],
        "text_nfc": [unicodedata.is_normalized("NFC", text) for text in texts],
        "text_double_spaces": [len(_SPACES.findall(text)) for text in texts],
        "text_outer_spaces": [text != text.strip() for text in texts],
    }


def _is_control(char: str) -> bool:
    """Tell whether a character is no text: controls, formats, private use, replacements."""
    if char in _JOINERS:
        return False
    return char == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(char)[0] == "C"


def slice_facts(dataset: Dataset, sounds: Mapping[str, ClipFacts]) -> FactTable:
    """Return one row for the whole and one per slice value, ``(none)`` included.

    ``speakers`` are distinct values of the dataset's cluster column; utterances without one count
    as no speaker. ``seconds`` is what could be decoded.
    """
    settings = dataset.settings
    names = [*settings.slices, *(bins.name for bins in settings.bins)]
    columns = tuple(dict.fromkeys(names))
    members: dict[tuple[str, str], list[Utterance]] = {(OVERALL, ""): list(dataset.utterances)}
    for item in dataset.utterances:
        values = slice_values(item, columns, settings.bins, sounds[item.id].duration)
        for column in columns:
            members.setdefault((column, values[column]), []).append(item)
    keys = sorted(members, key=lambda key: (key[0] != OVERALL, key))
    speakers = [
        {item.attributes.get(settings.ways.column) for item in members[key]} for key in keys
    ]
    return FactTable(
        key="slice",
        columns={
            "slice": [OVERALL if c == OVERALL else f"{c}={escape_value(v)}" for c, v in keys],
            "column": [column for column, _ in keys],
            "value": [value or None for _, value in keys],
            "utterances": [len(members[key]) for key in keys],
            "speakers": [len(who - {None, NO_VALUE}) for who in speakers],
            "seconds": [sum(sounds[i.id].duration or 0.0 for i in members[key]) for key in keys],
        },
    )


NOTES = (
    "Written from the data as it was: read every line, and change what only happens to be so. "
    "The expectations are Great Expectations' own; docs/contracts.md lists the facts they judge."
)

_IN_SET = "expect_column_values_to_be_in_set"
_BETWEEN = "expect_column_values_to_be_between"

_SPOKEN = {"type": "comparison", "column": {"name": "text_words"}, "operator": ">", "parameter": 0}
"""Rows with words, in the form that Great Expectations writes conditions."""


def default_expectations(
    dataset: Dataset, facts: FactTable, slices: FactTable
) -> Iterator[Expectation]:
    """Yield what any dataset should keep, and what this one keeps now."""
    required = ["id", "text", "consent", dataset.settings.ways.column]
    yield _expect("expect_table_row_count_to_be_between", min_value=facts.rows)
    yield _expect("expect_table_columns_to_match_set", column_set=required, exact_match=False)
    yield _expect("expect_column_values_to_be_unique", column="id")
    for column in ("text_control_characters", "text_double_spaces"):
        yield _expect(_BETWEEN, column=column, min_value=0, max_value=0)
    yield _expect(_IN_SET, column="text_nfc", value_set=[True])
    yield _expect(_IN_SET, column="text_outer_spaces", value_set=[False])
    yield _expect(_BETWEEN, column="text_words", max_value=100)
    yield _expect(_IN_SET, column="audio_state", value_set=["ok"])
    yield _among(facts, "audio_sample_rate")
    if any(value is not None for value in facts.columns["duration_difference"]):
        yield _expect(_BETWEEN, column="duration_difference", max_value=0.05)
    yield _expect(_BETWEEN, column="duration", min_value=0.1, max_value=60)
    yield _expect(_BETWEEN, column="audio_clipped_share", max_value=0.001)
    yield _expect(_BETWEEN, column="audio_silence_share", max_value=0.9, row_condition=_SPOKEN)
    yield _expect(_BETWEEN, column="audio_copies", max_value=0)
    allowed = ["granted"] if dataset.settings.consent == "required" else ["granted", "unknown"]
    yield _expect(_IN_SET, column="consent", value_set=allowed)
    for column in dataset.settings.slices:
        if column in facts.columns:
            yield _among(facts, column)
    yield _expect(
        "expect_column_distinct_values_to_contain_set",
        table=SLICES,
        column="slice",
        value_set=list(slices.columns["slice"]),
    )
    for column in ("utterances", "speakers"):
        least = min(value for value in slices.columns[column] if isinstance(value, int))
        yield _expect(_BETWEEN, table=SLICES, column=column, min_value=max(1, least))
    yield _expect(_BETWEEN, severity="warning", needs="run", column="label_excess", max_value=0.6)


def _among(facts: FactTable, column: str) -> Expectation:
    values = sorted({value for value in facts.columns[column] if value is not None}, key=str)
    return _expect(_IN_SET, column=column, value_set=values)


def _expect(
    kind: str,
    *,
    table: Table = UTTERANCES,
    severity: Severity = "critical",
    needs: Literal["run"] | None = None,
    **kwargs: object,
) -> Expectation:
    settings = ExpectationSettings(table=table, needs=needs)
    return Expectation(
        type=kind, kwargs=kwargs, meta=ExpectationMeta(relkit=settings), severity=severity
    )
