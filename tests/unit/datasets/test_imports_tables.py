"""NeMo manifests, AudioFolder and Common Voice: what a row becomes, and what is refused."""

import json

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.imports.rows import ParsedSource, SourceFile
from relkit.datasets.imports.tables import parse_audio_folder, parse_common_voice, parse_nemo
from relkit.datasets.types import Consent

HEAD = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\t"
    "accents\tvariant\tlocale\tsegment\n"
)
FIRST = 'acc1\tcv_1.mp3\tab\tHe said "no", twice.\t\t2\t0\ttwenties\tmale_masculine\t\t\ten\t\n'
SECOND = "acc2\tcv_2.mp3\tcd\tIt's\u2028here.\t\t3\t1\t\t\tWelsh English,Cardiff\t\ten\tOne\n"


def voices(**texts: str) -> ParsedSource:
    """Parse tables of a Common Voice release by their names."""
    files = [SourceFile(name=f"{name}.tsv", folder="", text=text) for name, text in texts.items()]
    return parse_common_voice(files)


def folder(text: str, name: str = "metadata.csv") -> ParsedSource:
    """Parse one table of an AudioFolder."""
    where = name.rpartition("/")[0]
    return parse_audio_folder([SourceFile(name=name, folder=where, text=text)])


def test_common_voice_rows_are_not_quoted() -> None:
    """Quotation marks are part of a sentence, and empty fields are missing values."""
    first, second = voices(validated=HEAD + FIRST + SECOND).rows
    assert first.reference == 'He said "no", twice.'
    assert (first.audio, first.id, first.confined) == ("clips/cv_1.mp3", "cv_1", True)
    assert first.attributes == {
        "speaker": "acc1",
        "sentence_id": "ab",
        "up_votes": "2",
        "down_votes": "0",
        "age": "twenties",
        "gender": "male_masculine",
        "locale": "en",
        "split": "validated",
    }
    assert second.attributes["accents"] == "Welsh English,Cardiff"
    assert second.attributes["segment"] == "One"
    assert second.reference == "It's\u2028here."


def test_the_splits_of_a_release_become_a_column() -> None:
    """``validated.tsv`` has all clips; the other tables say where each belongs."""
    parsed = voices(
        validated=HEAD + FIRST + SECOND,
        test=HEAD + FIRST,
        clip_durations="clip\tduration[ms]\ncv_1.mp3\t3250\n",
    )
    assert [row.attributes["split"] for row in parsed.rows] == ["test", "validated"]
    assert [row.length_s for row in parsed.rows] == [3.25, None]
    assert parsed.notes == ("the split is that of test.tsv",)


def test_the_first_releases_are_read_too() -> None:
    """They had ``accent``, no locale, and no ending on the clips."""
    text = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\r\n"
    (row,) = voices(train=text + "acc\tabc\tHello.\t1\t0\t\t\tus\r\n").rows
    assert (row.audio, row.attributes["accent"], row.attributes["split"]) == (
        "clips/abc.mp3",
        "us",
        "train",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path\tsentence\n", "line 1: is not the head"),
        (HEAD.replace("locale", "age"), "line 1: is not the head"),
        (HEAD + FIRST + "acc3\tcv_3.mp3\n", "line 3: 2 fields where the first line has 13"),
        (HEAD + SECOND.replace("acc2", ""), 'line 2: "path" or "client_id" is empty'),
    ],
)
def test_a_bad_common_voice_line_is_named(text: str, words: str) -> None:
    """The line is named, neither the account nor the sentence."""
    with pytest.raises(InvalidInput, match=r"validated\.tsv") as caught:
        voices(validated=text)
    assert words in caught.value.message
    assert "acc" not in caught.value.message


def test_clip_lengths_are_whole_milliseconds() -> None:
    """A table of lengths that is something else is refused."""
    with pytest.raises(InvalidInput, match=r"clip_durations\.tsv, line 2: names no length"):
        voices(validated=HEAD + FIRST, clip_durations="clip\tduration[ms]\ncv_1.mp3\t1.5\n")


def test_csv_is_quoted_as_spreadsheets_do() -> None:
    """Commas, quotes and line ends inside of quotes belong to the field."""
    text = (
        "file_name,transcription,speaker_id,duration\r\n"
        '1.wav,"Yes, ""really"".\r\nNow",s1,2.5\r\n2.wav,no,,\r\n'
    )
    parsed = folder(text, "train/metadata.csv")
    assert [row.reference for row in parsed.rows] == ['Yes, "really".\r\nNow', "no"]
    assert [(row.line, row.folder) for row in parsed.rows] == [(2, "train"), (4, "train")]
    first = {"speaker": "s1", "source_duration": "2.5", "split": "train"}
    assert [row.attributes for row in parsed.rows] == [first, {"split": "train"}]
    assert parsed.renamed == {"duration": "source_duration"}


@pytest.mark.parametrize("column", ["transcription", "text", "sentence", "transcript"])
def test_json_lines_name_their_text_as_datasets_do(column: str) -> None:
    """Any of the usual names is the reference; another text beside it is left out."""
    row = {"file_name": "deep/er/1.flac", column: "hello", "raw_text": "Hello!", "take": 2}
    parsed = folder(json.dumps(row) + "\n", "metadata.jsonl")
    assert parsed.rows[0].reference == "hello"
    assert parsed.rows[0].attributes == {"take": "2"}
    assert parsed.dropped == {"raw_text": "holds a text"}


@pytest.mark.parametrize(
    ("path", "name", "split"),
    [
        ("validation/a.wav", "metadata.csv", "validation"),
        ("a.wav", "data/dev/metadata.csv", "validation"),
        ("x/eval/a.wav", "metadata.csv", "test"),
        ("clips/a.wav", "metadata.csv", None),
        ("test.wav", "metadata.csv", None),
    ],
)
def test_split_folders_are_those_of_hugging_face(path: str, name: str, split: str | None) -> None:
    """Folders count, wherever they stand; file names do not."""
    (row,) = folder(f"file_name,text\n{path},hello\n", name).rows
    assert row.attributes.get("split") == split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,text\na.wav,x\n", 'line 2: "file_name" is missing'),
        ("file_name,text\na.wav,so, and so\n", "line 2: 3 fields where the first line has 2"),
        ('file_name,text\na.wav,"open\n', "not CSV"),
        ('file_name,text\nb.wav,x\na.wav,"a"b\n', "line 3: not CSV"),
        ("file_name,text\n,x\n", 'line 2: "file_name" is missing'),
        ("file_name,label\na.wav,dog\n", "line 2: no transcript"),
    ],
)
def test_a_bad_audio_folder_line_is_named(text: str, words: str) -> None:
    """The message has the line and what is wrong."""
    with pytest.raises(InvalidInput, match=r"metadata\.csv") as caught:
        folder(text)
    assert words in caught.value.message


def test_two_tables_for_one_folder_are_refused() -> None:
    """Nobody could say which of them is right."""
    files = [
        SourceFile(name=f"train/metadata.{end}", folder="train", text="")
        for end in ("csv", "jsonl")
    ]
    with pytest.raises(InvalidInput, match="two tables for one folder"):
        parse_audio_folder(files)


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
