"""Common Voice and AudioFolder: tables beside a folder of audio."""

import json

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.imports.rows import ParsedSource, SourceFile
from relkit.datasets.imports.tables import parse_audio_folder, parse_common_voice

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
        ("path,text\na.wav,x\n", 'line 1: has no column "file_name"'),
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
