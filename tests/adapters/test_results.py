"""Results without a word in them, and texts that give back every answer."""

import secrets
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from relkit.adapters.results import ParquetResults, read_table
from relkit.core import storage
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.datasets.types import (
    Answer,
    AnswerEvent,
    Failure,
    FailureReason,
    Unusable,
    UnusableReason,
)
from relkit.evaluation.types import Outcome
from relkit.scoring.types import Texts
from relkit.statistics.sums import (
    CONVERSATION_COLUMNS,
    CONVERSATION_TIMES,
    CORE_COLUMNS,
    UNIT,
)
from tests.builders import (
    FULL_ANSWER,
    counts,
    outcome,
    outcomes,
    result,
    result_of,
    scored,
    tiny_disk,
)

TABLES = ParquetResults()
TOKEN = "honeytoken-"  # noqa: S105  # no password: a word to look for
"""No file that leaves the machine may hold it."""


def bytes_of(table: pa.Table) -> bytes:
    """Return every byte of every column, names and metadata included, uncompressed."""
    buffers = [
        buffer.to_pybytes()
        for column in table.columns
        for chunk in column.chunks
        for buffer in chunk.buffers()
        if buffer is not None
    ]
    return b"".join([*buffers, table.schema.serialize().to_pybytes()])


def planted() -> tuple[Outcome, Any]:
    """Return an answer, and its row, with a token in every place that can hold a text."""
    answer = Answer(
        text=TOKEN + "text",
        latency_ms=1.0,
        events=(AnswerEvent(t_ms=1, kind=TOKEN + "kind", text=TOKEN + "event"),),
        usage={TOKEN + "usage": 1.0},
        tool_calls=({"name": TOKEN + "tool"},),
        audio=TOKEN + "audio",
    )
    texts = Texts(
        reference=TOKEN + "reference",
        hypothesis=TOKEN + "hypothesis",
        reference_normalized=TOKEN + "reference normalized",
        hypothesis_normalized=TOKEN + "hypothesis normalized",
    )
    return outcome("u1", answer), result("u1", texts=texts)


def test_results_hold_no_text(tmp_path: Path) -> None:
    """Tokens in references, hypotheses, events, usage, tool calls and details reach texts only."""
    answered, row = planted()
    failed = outcome("u2", Failure(reason=FailureReason.REFUSED, detail=TOKEN + "detail"))
    broken = outcome("u3", Unusable(reason=UnusableReason.UNREADABLE, detail=TOKEN + "unusable"))
    items = [answered, failed, broken]
    rows = [row, result_of(failed), result_of(broken)]
    results, texts = tmp_path / "results.parquet", tmp_path / "texts.parquet"
    TABLES.write_results(results, rows)
    TABLES.write_texts(texts, rows, items)

    said = bytes_of(pq.read_table(texts))
    places = ("text", "kind", "event", "usage", "tool", "audio", "detail", "unusable")
    for place in (*places, "reference normalized", "hypothesis normalized"):
        assert (TOKEN + place).encode() in said, place
    assert TOKEN.encode() not in bytes_of(pq.read_table(results))
    assert TOKEN.encode() not in results.read_bytes()
    metadata = pq.read_metadata(results)
    assert metadata.metadata is None or TOKEN.encode() not in str(metadata.metadata).encode()


def test_the_columns_of_results_are_known(tmp_path: Path) -> None:
    """The core columns and the slice columns, nothing else, each of its type."""
    path = tmp_path / "results.parquet"
    TABLES.write_results(path, [result("u1", slices={"accent": "plain", "Hits": "x"})])
    schema = pq.read_schema(path)
    of_talks = {UNIT, *CONVERSATION_COLUMNS, *CONVERSATION_TIMES}
    assert set(schema.names) == {*CORE_COLUMNS, "accent", "Hits"} - of_talks
    assert len(schema.names) == len(set(schema.names))
    strings = {name for name in schema.names if schema.field(name).type == pa.string()}
    names = {"id", "accent", "Hits", "cluster", "failure", "unusable", "load", "quality_reason"}
    assert strings == names
    texts = pq.read_schema(_texts(tmp_path, [outcome()]))
    assert texts.names == [
        "id",
        "reference",
        "hypothesis",
        "reference_normalized",
        "hypothesis_normalized",
        "answer",
        "detail",
        "audio",
        "repeat",
    ]


def _texts(folder: Path, items: list[Outcome]) -> Path:
    TABLES.write_texts(folder / "texts.parquet", [result_of(item) for item in items], items)
    return folder / "texts.parquet"


def test_every_number_of_a_result_is_in_its_row(tmp_path: Path) -> None:
    """Counts with their prefixes, the cap, flags and times; null where nothing was scored."""
    path = tmp_path / "results.parquet"
    score = scored(counts(hits=1, subs=2, dels=3, ins=40), loop=True)
    TABLES.write_results(
        path, [result("a", score=score), result("b", score=None, unusable="empty")]
    )
    first, second = pq.read_table(path).to_pylist()
    for prefix in ("", "raw_", "char_"):
        for name, number in (
            ("hits", 1),
            ("substitutions", 2),
            ("deletions", 3),
            ("insertions", 40),
        ):
            assert first[prefix + name] == number
            assert second[prefix + name] is None
    assert (first["capped_errors"], first["runaway"], first["loop"]) == (6, True, True)
    assert (first["latency_ms"], first["first_byte_ms"], first["duration"]) == (12.5, 3.25, 1.25)
    assert (first["accent"], first["cluster"], first["attempts"]) == ("plain", "s1", 2)
    assert (first["unusable"], second["unusable"]) == (None, "empty")
    assert [second[name] for name in ("capped_errors", "runaway", "loop", "entities")] == [None] * 4


def write(folder: Path, items: list[Outcome]) -> tuple[Path, Path]:
    """Write both files of these outcomes."""
    TABLES.write_results(folder / "results.parquet", [result_of(item) for item in items])
    return folder / "results.parquet", _texts(folder, items)


def test_outcomes_come_back_with_their_whole_answer(tmp_path: Path) -> None:
    """Events, usage, tool calls, clock, failures and reasons: nothing has to be asked again."""
    items = [
        outcome("a", FULL_ANSWER),
        outcome("a", Answer(text=""), repeat=1),
        outcome("\u2028ü\n", Answer(text="a\0b\x85\N{GRINNING FACE}")),
        *(outcome(f"f{i}", Failure(reason=r, detail="x")) for i, r in enumerate(FailureReason)),
        *(outcome(f"u{i}", Unusable(reason=r, detail="9 s")) for i, r in enumerate(UnusableReason)),
    ]
    assert TABLES.read_outcomes(*write(tmp_path, items)) == items


@settings(max_examples=40, deadline=None)
@given(
    st.lists(outcomes(), max_size=4, unique_by=lambda item: (item.id, item.repeat)),
)
def test_any_outcomes_survive_the_files_of_a_run(
    tmp_path_factory: pytest.TempPathFactory, items: list[Outcome]
) -> None:
    """Writing and reading are inverse, in the order of the rows."""
    folder = tmp_path_factory.mktemp("law")
    assert TABLES.read_outcomes(*write(folder, items)) == items


def test_the_order_of_the_texts_does_not_matter(tmp_path: Path) -> None:
    """Rows belong together by id and repeat."""
    items = [outcome("a"), outcome("a", repeat=1), outcome("b", Answer(text="b"))]
    results, texts = write(tmp_path, items)
    table = pq.read_table(texts)
    pq.write_table(table.take([2, 0, 1]), texts)
    assert TABLES.read_outcomes(results, texts) == items


@pytest.mark.parametrize("kept", [["a"], ["a", "b", "b"], ["a", "c"], []])
def test_files_that_disagree_are_refused(tmp_path: Path, kept: list[str]) -> None:
    """Missing, double or foreign rows: the two files are not of one run."""
    results, texts = write(tmp_path, [outcome("a"), outcome("b")])
    items = [outcome(name) for name in kept]
    _texts(tmp_path, items)
    with pytest.raises(InvalidInput, match="hold different utterances"):
        TABLES.read_outcomes(results, texts)


def test_a_row_without_answer_or_failure_is_refused(tmp_path: Path) -> None:
    """Nothing is made up where an answer is missing."""
    results, texts = write(tmp_path, [outcome("a")])
    table = pq.read_table(texts)
    i = table.schema.get_field_index("answer")
    pq.write_table(table.set_column(i, "answer", pa.array([None], pa.string())), texts)
    with pytest.raises(InvalidInput, match="neither an answer nor a failure"):
        TABLES.read_outcomes(results, texts)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", ["gone", "empty", "torn", "columns"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, which: int, damage: str) -> None:
    """Missing, empty, cut off, or without its columns."""
    files = write(tmp_path, [outcome("a")])
    path = files[which]
    if damage == "gone":
        path.unlink()
    elif damage == "columns":
        pq.write_table(pa.table({"id": ["a"]}), path)
    else:
        path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:-20])
    with pytest.raises(InvalidInput) as caught:
        TABLES.read_outcomes(*files)
    assert caught.value.message == "the stored predictions of the run cannot be read"
    assert caught.value.hint
    assert str(tmp_path) not in caught.value.message


def test_a_table_can_be_read_in_part(tmp_path: Path) -> None:
    """For notebooks: all columns, or those asked for; anything else is one clear error."""
    results, _ = write(tmp_path, [outcome("a")])
    of_talks = 1 + len(CONVERSATION_COLUMNS) + len(CONVERSATION_TIMES)
    assert read_table(results).num_columns == len(CORE_COLUMNS) + 1 - of_talks
    assert read_table(results, ["id", "hits"]).to_pylist() == [{"id": "a", "hits": 1}]
    results.write_bytes(b"x")
    with pytest.raises(InvalidInput, match=r"^results\.parquet: cannot be read as Parquet"):
        read_table(results)


def test_a_run_without_results_is_an_empty_table(tmp_path: Path) -> None:
    """Every core column is there, with no row."""
    files = write(tmp_path, [])
    assert pq.read_table(files[0]).num_rows == 0
    assert set(CORE_COLUMNS) <= set(pq.read_schema(files[0]).names)
    assert TABLES.read_outcomes(*files) == []


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    """Arrow's own error for a full disk is understood, and the old file stays."""
    with tiny_disk(tmp_path / "disk", kibibytes=64) as disk:
        path = disk / "results.parquet"
        TABLES.write_results(path, [result("old")])
        before = path.read_bytes()
        many = [result(secrets.token_hex(32)) for _ in range(4000)]
        with (
            pytest.raises(StorageFailed, match=r"no space left to write results\.parquet"),
            storage.replacing(path) as temporary,
        ):
            TABLES.write_results(temporary, many)
        assert path.read_bytes() == before
        assert [item.name for item in disk.iterdir()] == ["results.parquet"]
