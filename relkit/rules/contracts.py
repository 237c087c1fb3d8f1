"""Facts about a dataset that its contract judges: one row per utterance, one row per slice."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from relkit.domain.contracts import Cell, FactTable
from relkit.domain.datasets import Dataset
from relkit.domain.errors import InvalidInput
from relkit.domain.slices import OVERALL, escape_value
from relkit.domain.utterances import NO_VALUE, Utterance
from relkit.rules.heard import Heard
from relkit.rules.label_doubts import Doubt
from relkit.rules.leakage import elsewhere, near_elsewhere
from relkit.rules.slicing import slice_values
from relkit.rules.word_errors import tokens

AUDIO = (
    "audio_state",
    "audio_sample_rate",
    "audio_peak",
    "audio_level_dbfs",
    "audio_clipped_share",
    "audio_silence_share",
    "audio_copies",
    "duration",
    "duration_difference",
)
TEXT = (
    "text_characters",
    "text_words",
    "text_control_characters",
    "text_nfc",
    "text_double_spaces",
    "text_outer_spaces",
)
LEAKAGE = ("leak_audio", "leak_speaker", "leak_text")
LABEL = ("label_error_rate", "label_neighbours_rate", "label_excess", "label_systems")
UTTERANCE_COLUMNS = ("id", "text", "consent", "duration_manifest", *AUDIO, *TEXT, *LEAKAGE, *LABEL)
"""Every column of the facts beside those of the manifest; LEAKAGE needs a split, LABEL a run."""

SLICE_COLUMNS = ("slice", "column", "value", "utterances", "speakers", "seconds")


def utterance_facts(
    dataset: Dataset,
    sounds: Mapping[str, Heard],
    *,
    split: str | None,
    alike: float,
    labels: Mapping[str, Doubt] | None,
) -> FactTable:
    """Return one row per utterance: the manifest's columns, and what was heard and counted.

    Raises InvalidInput where a manifest column has the name of a fact.
    """
    items = dataset.utterances
    own = sorted({column for item in items for column in item.attributes})
    for column in own:
        if column in UTTERANCE_COLUMNS:
            raise InvalidInput(
                f'{dataset.manifest}: the column "{column}" has the name of a fact that contracts '
                "judge",
                hint="rename the column",
            )
    columns: dict[str, Sequence[Cell]] = {
        "id": [item.id for item in items],
        "text": [item.reference for item in items],
        "consent": [item.consent.value for item in items],
        **{column: [item.attributes.get(column) for item in items] for column in own},
        **_audio_columns(items, [sounds[item.id] for item in items]),
        **_text_columns([item.reference for item in items]),
    }
    if split is not None:
        columns |= _leak_columns(dataset, sounds, split, alike)
    if labels is not None:
        columns |= _label_columns([labels[item.id] for item in items])
    return FactTable(key="id", columns=columns)


def _audio_columns(
    items: Sequence[Utterance], sounds: Sequence[Heard]
) -> dict[str, Sequence[Cell]]:
    digests = Counter(sound.digest for sound in sounds)
    written = [item.audio.length_s for item in items]
    return {
        "audio_state": [sound.state for sound in sounds],
        "audio_sample_rate": [sound.sample_rate for sound in sounds],
        "audio_peak": [sound.peak for sound in sounds],
        "audio_level_dbfs": [sound.level_dbfs for sound in sounds],
        "audio_clipped_share": [sound.clipped_share for sound in sounds],
        "audio_silence_share": [sound.silence_share for sound in sounds],
        "audio_copies": [
            None if sound.digest is None else digests[sound.digest] - 1 for sound in sounds
        ],
        "duration": [sound.duration for sound in sounds],
        "duration_manifest": written,
        "duration_difference": [
            None if said is None or sound.duration is None else abs(said - sound.duration)
            for said, sound in zip(written, sounds, strict=True)
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


def _leak_columns(
    dataset: Dataset, sounds: Mapping[str, Heard], split: str, alike: float
) -> dict[str, Sequence[Cell]]:
    items = dataset.utterances
    splits = [item.attributes.get(split) for item in items]
    speakers = [item.attributes.get(dataset.cluster) for item in items]
    return {
        "leak_audio": elsewhere([sounds[item.id].digest for item in items], splits),
        "leak_speaker": elsewhere(speakers, splits),
        "leak_text": near_elsewhere([item.reference for item in items], splits, alike=alike),
    }


def _label_columns(labels: Sequence[Doubt]) -> dict[str, Sequence[Cell]]:
    return {
        "label_error_rate": [doubt.rate for doubt in labels],
        "label_neighbours_rate": [doubt.neighbours for doubt in labels],
        "label_excess": [doubt.excess for doubt in labels],
        "label_systems": [doubt.systems for doubt in labels],
    }


def slice_facts(dataset: Dataset, sounds: Mapping[str, Heard]) -> FactTable:
    """Return one row for the whole and one per slice value, ``(none)`` included.

    ``speakers`` are distinct values of the dataset's cluster column; utterances without one count
    as no speaker. ``seconds`` is what could be decoded.
    """
    columns = tuple(dict.fromkeys([*dataset.slices, *(bins.name for bins in dataset.bins)]))
    members: dict[tuple[str, str], list[Utterance]] = {(OVERALL, ""): list(dataset.utterances)}
    for item in dataset.utterances:
        values = slice_values(item, columns, dataset.bins, sounds[item.id].duration)
        for column in columns:
            members.setdefault((column, values[column]), []).append(item)
    keys = sorted(members, key=lambda key: (key[0] != OVERALL, key))
    speakers = [{item.attributes.get(dataset.cluster) for item in members[key]} for key in keys]
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
