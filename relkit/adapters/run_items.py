"""The utterances of a finished run as review needs them: counts by utterance, answers as tokens."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relkit import storage
from relkit.domain.candidates import ScoredItem
from relkit.domain.counts import ErrorCounts
from relkit.domain.errors import InvalidInput
from relkit.domain.suites import Segmenter
from relkit.domain.utterances import NO_VALUE
from relkit.records.digests import sha256_bytes
from relkit.rules.result_columns import CORE_COLUMNS
from relkit.rules.word_errors import tokens

_COUNTS = ("hits", "substitutions", "deletions", "insertions")
_NEEDED = frozenset(
    {"id", "repeat", "cluster", *_COUNTS, "capped_errors", "runaway", "loop", "failure", "unusable"}
)
_ANSWERS = ["id", "repeat", "hypothesis_normalized"]

Row = dict[str, Any]


def read_items(
    folder: Path, outputs: Mapping[str, str], segmenter: Segmenter
) -> tuple[ScoredItem, ...]:
    """Return the utterances of a run, sorted by id; ``outputs`` are its recorded digests.

    Answers are needed to compare systems and leave here as tokens, never references. Raises
    InvalidInput where a file was changed after the run or cannot be read.
    """
    table = _table(folder, "results.parquet", outputs, None)
    if missing := sorted(_NEEDED - set(table.column_names)):
        raise InvalidInput(f"{folder.name}/results.parquet: has no column {missing[0]}")
    slices = _slice_columns(table)
    answers = {
        (row["id"], row["repeat"]): row["hypothesis_normalized"]
        for row in _table(folder, "texts.parquet", outputs, _ANSWERS).to_pylist()
    }
    repeats: dict[str, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        if (row["id"], row["repeat"]) not in answers:
            raise InvalidInput(
                f"{folder.name}: results.parquet and texts.parquet hold different utterances"
            )
        repeats[row["id"]].append(row)
    return tuple(
        _item(name, sorted(rows, key=lambda row: int(row["repeat"])), answers, slices, segmenter)
        for name, rows in sorted(repeats.items())
    )


def _table(folder: Path, name: str, outputs: Mapping[str, str], columns: list[str] | None) -> Any:  # noqa: ANN401  # an Arrow table; pyarrow has no types
    import pyarrow as pa
    from pyarrow import ArrowException
    from pyarrow import parquet as pq

    source = f"{folder.name}/{name}"
    data = storage.read_bytes(folder / name, what=source)
    if outputs.get(name) != sha256_bytes(data):
        raise InvalidInput(f"{source}: was changed after the run", hint="run the suite again")
    try:
        return pq.read_table(pa.BufferReader(data), columns=columns)
    except (OSError, ArrowException) as error:
        raise InvalidInput(
            f"{source}: cannot be read as Parquet", hint="run the suite again"
        ) from error


def _slice_columns(table: Any) -> list[str]:  # noqa: ANN401  # as above
    """Return the columns that hold slice values: text, and none of the columns all runs have."""
    import pyarrow as pa

    return [
        field.name
        for field in table.schema
        if field.name not in CORE_COLUMNS and pa.types.is_string(field.type)
    ]


def _item(
    name: str,
    rows: Sequence[Row],
    answers: Mapping[tuple[str, int], str | None],
    slices: Sequence[str],
    segmenter: Segmenter,
) -> ScoredItem:
    scored = [row for row in rows if row["unusable"] is None]
    told = [(row, answer) for row in scored if (answer := answers[name, row["repeat"]]) is not None]
    first = rows[0]
    return ScoredItem(
        id=name,
        cluster=NO_VALUE if first["cluster"] is None else first["cluster"],
        slices={column: first[column] for column in slices if first[column] is not None},
        repeats=len(rows),
        errors=sum(row["capped_errors"] for row in scored),
        words=sum(max(1, row["hits"] + row["substitutions"] + row["deletions"]) for row in scored),
        failures=sum(row["failure"] is not None for row in scored),
        unusable=len(rows) - len(scored),
        runaways=sum(bool(row["runaway"] or row["loop"]) for row in scored),
        tokens=tuple(tokens(told[0][1], segmenter)) if told else None,
        counts=ErrorCounts(**{count: told[0][0][count] for count in _COUNTS}) if told else None,
    )
