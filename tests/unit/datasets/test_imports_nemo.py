"""NeMo manifests, with the keys and quirks that NeMo itself reads."""

import json

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.imports.rows import SourceFile
from relkit.datasets.imports.tables import parse_nemo
from relkit.datasets.types import Consent

ROW = {"audio_filepath": "/data/a.wav", "duration": 2.5, "text": "hello there"}


def manifest(*rows: object, folder: str = "") -> list[SourceFile]:
    """Return a manifest of these rows; strings are lines as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return [SourceFile(name="train.json", folder=folder, text="\n".join(lines) + "\n")]


def test_a_row_keeps_what_nemo_says() -> None:
    """Path, times and text are taken as they are; further keys become strings."""
    extra = {"offset": 1.25, "speaker": 7, "lang": "cy", "snr": 12.5, "far": True, "note": None}
    (row,) = parse_nemo(manifest(ROW | extra)).rows
    assert (row.audio, row.reference) == ("/data/a.wav", "hello there")
    assert (row.offset_s, row.length_s, row.id, row.line) == (1.25, 2.5, None, 1)
    assert row.attributes == {"speaker": "7", "lang": "cy", "snr": "12.5", "far": "true"}
    assert row.consent is Consent.UNKNOWN
    assert not row.confined


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"audio_filename": "b.wav", "audio_filepath": None}, "b.wav"),
        ({"audio_filepath": "clips/c.flac"}, "clips/c.flac"),
    ],
)
def test_both_spellings_of_the_path_are_read(change: dict[str, object], expected: str) -> None:
    """``audio_filename`` is what older scripts wrote."""
    (row,) = parse_nemo(manifest(ROW | change)).rows
    assert row.audio == expected


def test_taken_names_are_renamed_and_texts_left_out() -> None:
    """A column that results use gets a new name; another transcript is no property of a clip."""
    more = {"hits": 3, "a=b": "x", "pred_text": "hello", "words": ["hello"], "id": 9}
    parsed = parse_nemo(manifest(ROW | more, ROW | {"source_hits": 1}))
    assert parsed.rows[0].attributes == {"source_hits": "3", "a_b": "x"}
    assert parsed.rows[0].id == "9"
    assert parsed.rows[1].attributes == {"source_hits_2": "1"}
    assert parsed.renamed == {"hits": "source_hits", "a=b": "a_b", "source_hits": "source_hits_2"}
    assert parsed.dropped == {"pred_text": "holds a text", "words": "holds lists or objects"}


def test_consent_is_what_the_source_says() -> None:
    """Only the three words count, in any case."""
    rows = parse_nemo(manifest(ROW | {"consent": "Granted"}, ROW | {"consent": "revoked"})).rows
    assert [row.consent for row in rows] == [Consent.GRANTED, Consent.REVOKED]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"audio_filepath": "a.wav"', "not JSON"),
        ("[1]", "no JSON object"),
        ({"text": "a", "duration": 1}, '"audio_filepath" is missing'),
        (ROW | {"audio_filepath": ["a.wav", "b.wav"]}, "list of channels"),
        ({"audio_filepath": "a.wav", "duration": 1}, '"text" is missing'),
        (ROW | {"duration": "long"}, '"duration" is no length'),
        (ROW | {"duration": -1}, '"duration" is no length'),
        (ROW | {"offset": True}, '"offset" is no length'),
        (ROW | {"shard_id": 3}, "tarred dataset"),
        (ROW | {"audio_filepath": "audio__OP_0..127_CL_.tar"}, "tarred dataset"),
        (ROW | {"consent": "yes"}, 'consent "yes" is not known'),
        (ROW | {"id": [1]}, '"id" is neither'),
        (ROW | {"": "x"}, "a column has no name"),
        ('{"audio_filepath": "a.wav", "text": "a", "duration": NaN}', "NaN"),
    ],
)
def test_a_bad_line_is_named(row: object, words: str) -> None:
    """The message has the file, the line and what is wrong, and no transcript."""
    with pytest.raises(InvalidInput, match=r"train\.json, line 2") as caught:
        parse_nemo(manifest(ROW, row))
    assert words in caught.value.message
    assert "hello there" not in caught.value.message
