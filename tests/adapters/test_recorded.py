"""Recorded answers: two formats that mean the same, and files that are refused whole."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from relkit.adapters.systems.recorded import RecordedAnswers
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, AnswerEvent, Failure, FailureReason
from relkit.evaluation.run_files import render_answer

FULL = Answer(
    text="hello",
    latency_ms=12.5,
    first_byte_ms=3.0,
    clock="system",
    events=(AnswerEvent(t_ms=1.0, kind="partial", text="he"), AnswerEvent(t_ms=2.0, kind="end")),
    usage={"tokens": 7.0},
    tool_calls=({"name": "call"},),
    audio="out.wav",
)
REPORTED = Failure(reason=FailureReason.REPORTED, detail="no_speech")


def _jsonl(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _table(path: Path, *rows: dict[str, object], **schema: pa.DataType) -> Path:
    names = {name: None for row in rows for name in row}
    columns = {
        name: pa.array([row.get(name) for row in rows], type=schema.get(name)) for name in names
    }
    parquet.write_table(pa.table(columns), path)
    return path


def test_answers_and_errors_are_found_by_their_ids(tmp_path: Path) -> None:
    """A line is found as what it says; an id that is not there has no answer."""
    path = _jsonl(
        tmp_path / "a.jsonl", render_answer("u1", FULL), '{"id": "u2", "error": "no_speech"}'
    )
    answers = RecordedAnswers(path)
    assert len(answers) == 2
    assert answers.lookup("u1") == FULL
    assert answers.lookup("u2") == REPORTED
    assert answers.lookup("u3") == Failure(reason=FailureReason.NO_ANSWER)


def test_ids_that_no_utterance_has_are_listed(tmp_path: Path) -> None:
    """What was recorded for other data does not vanish in silence."""
    lines = [f'{{"id": "u{i}", "text": ""}}' for i in range(4)]
    answers = RecordedAnswers(_jsonl(tmp_path / "a.jsonl", *lines))
    assert answers.unknown(["u1", "u3", "u9"]) == ("u0", "u2")


def test_the_artifact_is_the_digest_of_the_file(tmp_path: Path) -> None:
    """Its bytes are its identity."""
    path = _jsonl(tmp_path / "a.jsonl", '{"id": "u1", "text": ""}')
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert RecordedAnswers(path).artifact == f"sha256:{expected}"


def test_empty_lines_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    """A file that went through an editor is read all the same."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "u1", "text": "a"}\r\n\n  \n{"id": "u2", "text": "b"}')
    assert len(RecordedAnswers(path)) == 2


def test_parquet_says_the_same_as_jsonl(tmp_path: Path) -> None:
    """Nested columns, columns of JSON text and a file of lines give the same answers."""
    nested: dict[str, object] = {
        "id": "u1",
        "text": "hello",
        "error": None,
        "latency_ms": 12.5,
        "first_byte_ms": 3.0,
        "clock": "system",
        "events": [
            {"t_ms": 1.0, "kind": "partial", "text": "he"},
            {"t_ms": 2.0, "kind": "end", "text": None},
        ],
        "usage": {"tokens": 7.0, "seconds": None},
        "tool_calls": [{"name": "call"}],
        "audio": "out.wav",
    }
    as_text = nested | {
        "events": '[{"t_ms": 1, "kind": "partial", "text": "he"}, {"t_ms": 2, "kind": "end"}]',
        "usage": '{"tokens": 7}',
        "tool_calls": '[{"name": "call"}]',
    }
    as_map = nested | {"usage": [("tokens", 7.0)]}
    error: dict[str, object] = {"id": "u2", "error": "no_speech"}
    paths = [
        _table(tmp_path / "nested.parquet", nested, error),
        _table(tmp_path / "text.bin", as_text, error),
        _table(tmp_path / "map", as_map, error, usage=pa.map_(pa.string(), pa.float64())),
    ]
    for path in paths:
        answers = RecordedAnswers(path)
        assert answers.lookup("u1") == FULL
        assert answers.lookup("u2") == REPORTED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": "u1", "text": "a"}\n{"id": "u1", "text": "b"}\n', 'line 2: the id "u1" stands'),
        (b'{"id": "u1", "text": "a"}\n{"id": "u2"}\n', "line 2: neither"),
        (b'{"id": "u1", "text": "a"}\n{"id": "u2", "txt": "a"}\n', 'line 2: unknown key "txt"'),
        (b'{"id": "u1", "text": "a"}\nnonsense\n', "line 2: not JSON"),
        (b'{"id": "u1", "text": "a"}\n{"id": "u2", "text": "caf\xe9"}\n', "line 2: not UTF-8"),
        (b'\n\n{"id": "u2", "text": "\0"}\n', "line 3: holds a NUL"),
        (b'\xef\xbb\xbf{"id": "u1", "text": "a"}\n', "line 1: starts with a byte order mark"),
        (b'{"id": "u1", "text": "' + b"x" * (2 << 20) + b'"}\n', "line 1: longer than 1 MiB"),
        (b"", "holds no answer"),
        (b"\n\n", "holds no answer"),
        (b"PAR1 and then nothing", "not a Parquet file"),
    ],
)
def test_a_file_with_a_defect_is_refused_by_file_and_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """One bad line refuses the whole file: nothing is dropped in silence."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        RecordedAnswers(path, source="runs/a.jsonl")
    assert caught.value.message.startswith("runs/a.jsonl")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "u2", "text": None}, "line 2: neither"),
        ({"id": "u2", "text": "a", "latency_ms": float("nan")}, "line 2"),
        ({"id": "u2", "text": "a", "latency_ms": -1.0}, "line 2"),
        ({"id": "u2", "text": "a", "tool_calls": [{"x": float("inf")}]}, "line 2"),
        ({"id": "u2", "text": "a", "events": [1.0]}, "line 2"),
        ({"id": "u2", "text": "a", "usage": [1.0]}, "line 2"),
        ({"id": "u2", "text": "a", "usage": "nonsense"}, "line 2: not JSON"),
        ({"id": "u2", "text": "a", "extra": None}, 'unknown key "extra"'),
        ({"id": "u1", "text": "a"}, "line 2: the id"),
        ({"id": None, "text": "a"}, 'the key "id" is missing'),
    ],
)
def test_a_table_with_a_defect_is_refused_by_file_and_row(
    tmp_path: Path, row: dict[str, object], message: str
) -> None:
    """Parquet is held to the same protocol as JSON."""
    path = _table(tmp_path / "a.parquet", {"id": "u1", "text": "a"}, row)
    with pytest.raises(InvalidInput) as caught:
        RecordedAnswers(path)
    assert caught.value.message.startswith("a.parquet")
    assert message in caught.value.message


def test_whole_numbers_are_ids_and_others_are_refused(tmp_path: Path) -> None:
    """A data frame's 1 is the id "1"; its 1.0 would match nothing."""
    path = _table(tmp_path / "a.parquet", {"id": 1, "text": "a"})
    assert RecordedAnswers(path).unknown([]) == ("1",)
    path = _table(tmp_path / "b.parquet", {"id": 1.0, "text": "a"})
    with pytest.raises(InvalidInput, match='"id"'):
        RecordedAnswers(path)


def test_a_number_and_its_text_are_one_id(tmp_path: Path) -> None:
    """An answer that stands twice is found, however its id is written."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n')
    with pytest.raises(InvalidInput, match='line 2: the id "1" stands twice'):
        RecordedAnswers(path)


def test_a_torn_parquet_file_is_refused(tmp_path: Path) -> None:
    """Damage inside a file ends in a message, wherever it lies."""
    rows: list[dict[str, object]] = [{"id": f"u{i}", "text": "word " * 20} for i in range(500)]
    data = _table(tmp_path / "a.parquet", *rows).read_bytes()
    for at in range(4, len(data), len(data) // 40):
        damaged = data[:at] + b"\xff" * 20 + data[at + 20 :]
        (tmp_path / "b.parquet").write_bytes(damaged)
        try:
            RecordedAnswers(tmp_path / "b.parquet")
        except InvalidInput as error:
            assert "b.parquet" in error.message  # noqa: PT017 - some damage is no defect of a row


@pytest.mark.parametrize("name", ["nowhere.jsonl", "."])
def test_a_file_that_cannot_be_read_is_refused_without_its_path(tmp_path: Path, name: str) -> None:
    """A missing file and a folder are input errors."""
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        RecordedAnswers(tmp_path / name, source="answers")
    assert str(tmp_path) not in caught.value.message


CSV = "id,text,error,latency_ms\nu1,hello there,,12.5\nu2,,no_speech,\nu3,,,\n"
OUTCOMES = {
    "u1": Answer(text="hello there", latency_ms=12.5),
    "u2": REPORTED,
    "u3": Answer(text=""),
}


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_means_what_the_lines_mean(tmp_path: Path, name: str, mark: str) -> None:
    """CSV and TSV, as spreadsheets write them, too; empty fields are absent, but for a text."""
    path = tmp_path / name
    text = mark + (CSV.replace(",", "\t") if name.endswith("tsv") else CSV)
    path.write_text(text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    answers = RecordedAnswers(path)
    assert {name: answers.lookup(name) for name in ("u1", "u2", "u3")} == OUTCOMES


def test_nested_keys_of_a_table_are_json(tmp_path: Path) -> None:
    """As in a column of text of a Parquet file."""
    path = tmp_path / "a.csv"
    path.write_text('id,text,usage\nu1,hello,"{""tokens"": 7}"\n', encoding="utf-8")
    assert RecordedAnswers(path).lookup("u1") == Answer(text="hello", usage={"tokens": 7.0})


MAPPING = {"id": "file", "text": "hyp", "latency_ms": "took"}


def _foreign(tmp_path: Path, kind: str) -> Path:
    rows: list[dict[str, object]] = [
        {"file": "u1", "ref": "hallo", "hyp": "hello there", "took": 12.5},
        {"file": "u3", "ref": "", "hyp": "", "took": None},
    ]
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        return _jsonl(
            path, *(json.dumps({k: v for k, v in r.items() if v is not None}) for r in rows)
        )
    if kind == "parquet":
        return _table(path, *rows)
    path.write_text("file,ref,hyp,took\nu1,hallo,hello there,12.5\nu3,,,\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_mapping_reads_columns_of_other_names(tmp_path: Path, kind: str) -> None:
    """Other tools' tables hold more than answers, under names of their own."""
    path = _foreign(tmp_path, kind)
    answers = RecordedAnswers(path, mapping=MAPPING)
    assert {name: answers.lookup(name) for name in ("u1", "u3")} == {
        name: OUTCOMES[name] for name in ("u1", "u3")
    }
    with pytest.raises(InvalidInput, match="unknown key"):
        RecordedAnswers(path)
    with pytest.raises(InvalidInput, match='has no column "hpy", which mapping names'):
        RecordedAnswers(path, mapping={**MAPPING, "error": "hpy"})


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_says_at_its_first_row_which_column_is_missing(tmp_path: Path, kind: str) -> None:
    """Not that an answer lacks its text, and what reads a table with columns of its own."""
    path = _foreign(tmp_path, kind)
    for key in ("id", "text", "latency_ms"):
        with pytest.raises(InvalidInput, match='has no column "hpy", which mapping names'):
            RecordedAnswers(path, mapping={**MAPPING, key: "hpy"})
    with pytest.raises(InvalidInput, match='unknown key "file"') as caught:
        RecordedAnswers(path)
    assert "mapping={id: COLUMN, text: COLUMN}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,text,latency_ms\nu1,a,fast\n",
            r'line 2: "latency_ms": Input should be a valid number',
        ),
        ("id,text,latency_ms\nu1,a,nan\n", r'line 2: "latency_ms"'),
        ("id,text,ref\nu1,a,b\n", r'line 2: unknown key "ref"'),
        ("id;text\nu1;a\n", "line 1: is one column"),
        ("id,text\nu1,a,b\n", "line 2: 3 fields where the first line has 2"),
        ("id,text,text\nu1,a,b\n", "line 1: two columns have one name"),
        ("id,text\nu1,a\nu1,b\n", 'line 3: the id "u1" stands twice'),
        ("text\nhello\n", r'the key "id" is missing'),
        ("id,text,usage\nu1,a,{\n", "line 2: not JSON"),
        ("", "line 1: a column has no name"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    """Never guessed, and never read in part."""
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        RecordedAnswers(path)
