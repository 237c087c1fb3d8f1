"""Results and texts of a run as Parquet files, apart from each other; rows for pages and review.

Transcripts are read only where they were asked for.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from relkit.audio.types import Quality, SpokenAudio
from relkit.comparison.types import Row
from relkit.conversation.types import RESPONSE_STAGES
from relkit.core import storage
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.metrics import QUALITY_METRICS, column_of
from relkit.core.tokens import Segmenter, tokens
from relkit.core.values import ErrorCounts
from relkit.curation.types import ScoredItem
from relkit.datasets.types import (
    NO_VALUE,
    Answer,
    Failure,
    FailureReason,
    Prediction,
    Unusable,
    UnusableReason,
)
from relkit.evaluation.run_files import parse_answer, render_answer
from relkit.evaluation.types import Outcome, Result
from relkit.scoring.types import ScoredText, Texts
from relkit.statistics.sums import (
    CONVERSATION_COUNTS,
    CONVERSATION_PREFIX,
    CONVERSATION_TIMES,
    CORE_COLUMNS,
    DETECTION_COLUMNS,
    PASS_SHARES,
    PROMPT,
    SAFETY_COUNTS,
    SAFETY_PREFIX,
    SPEECH_COLUMNS,
    UNIT,
)

_COUNTS = ("hits", "substitutions", "deletions", "insertions")
_TEXTS = ("reference", "hypothesis", "reference_normalized", "hypothesis_normalized")
_OF_PAGES = ("id", "repeat", *_COUNTS, "runaway", "loop", "failure", "unusable")
_OF_ITEMS = (*_OF_PAGES, "capped_errors", "cluster")
_OTHER_ROWS = "results.parquet and texts.parquet hold different utterances"

_TYPECODES = {"int32": "i", "int64": "q", "float64": "d"}
_MOST_BYTES = 2**31 - 1
"""Bytes of text that one array of Arrow's strings can hold."""

Cells = dict[str, Any]
"""A row by column."""


class ParquetResults:
    """Writes and reads ``results.parquet`` and ``texts.parquet``."""

    def write_results(self, path: Path, results: Sequence[Result]) -> None:
        """Write one row per utterance and repeat; counts are null where an item was unusable."""
        slices = list(results[0].slices) if results else []
        speech = [r.speech for r in results]
        _write(
            path,
            _columns(results, "string", "id")
            | _columns(results, "int32", "repeat")
            | {name: column([r.slices[name] for r in results], "string") for name in slices}
            | _columns(results, "string", "cluster")
            | _scores([r.score for r in results])
            | _columns(results, "string", "failure", "unusable")
            | _columns(results, "float64", "latency_ms", "first_byte_ms", "duration")
            | _columns(results, "int32", "attempts")
            | _columns(results, "bool_", "cached")
            | _columns(results, "string", "load")
            | _qualities(results)
            | _columns(speech, "float64", *SPEECH_COLUMNS)
            | _columns(speech, "int64", "clipped", "dropouts")
            | _columns(results, "int64", PROMPT)
            | _columns([r.trial for r in results], "float64", *DETECTION_COLUMNS)
            | _columns([r.safety for r in results], "int64", *SAFETY_COUNTS, prefix=SAFETY_PREFIX)
            | _conversations(results),
        )

    def write_texts(
        self, path: Path, results: Sequence[Result], outcomes: Sequence[Outcome]
    ) -> None:
        """Write the texts of the same rows, with the whole answer as JSON and the audio digest.

        Those stand on the rows of items; a part of one, such as a turn, has its texts alone.
        """
        by_key = {(outcome.id, outcome.repeat): outcome for outcome in outcomes}
        of_rows = [by_key[r.id, r.repeat] if r.is_item else None for r in results]
        answers = {
            "answer": [None if outcome is None else _answer(outcome) for outcome in of_rows],
            "detail": [None if outcome is None else _detail(outcome) for outcome in of_rows],
            "audio": [None if outcome is None else outcome.audio for outcome in of_rows],
        }
        _write(
            path,
            _columns(results, "string", "id")
            | _columns([r.texts for r in results], "string", *_TEXTS)
            | {name: column(values, "string") for name, values in answers.items()}
            | _columns(results, "int32", "repeat"),
        )

    def read_outcomes(self, results: Path, texts: Path) -> list[Outcome]:
        """Return the outcomes of a finished run; raises InvalidInput where the files disagree."""
        from pyarrow import ArrowException
        from pyarrow import parquet as pq

        names = ["id", "repeat", "failure", "unusable", "attempts", "cached", "load", "duration"]
        try:
            held = set(pq.read_schema(results).names)  # older runs know nothing of speech
            names += [name for name in (*SPEECH_COLUMNS, UNIT) if name in held]
            rows = _read(results, names).to_pylist()
            stored = _read(texts, ["id", "repeat", "answer", "detail", "audio"])
        except (OSError, ArrowException) as error:
            raise InvalidInput(
                "the stored predictions of the run cannot be read",
                hint="run the suite again with: relkit eval SUITE",
            ) from error
        by_key = {(row["id"], row["repeat"]): row for row in stored.to_pylist()}
        keys = {(row["id"], row["repeat"]) for row in rows}
        if keys != set(by_key) or not len(keys) == len(rows) == stored.num_rows:
            raise InvalidInput(_OTHER_ROWS)
        return [
            _outcome(row, by_key[row["id"], row["repeat"]])
            for row in rows
            if row.get(UNIT) in {None, "conversation"}
        ]


def column(values: Sequence[Any], kind: str) -> Any:  # noqa: ANN401  # an Arrow array; pyarrow has no types
    """Return values as an array of Arrow, made without the pandas that ``pyarrow.array`` imports.

    None is null.
    ``kind`` is ``int32``, ``int64``, ``float64``, ``bool_`` or ``string``. Raises TypeError,
    OverflowError or UnicodeError for a value that the type does not have.
    """
    import pyarrow as pa

    present = np.fromiter((value is not None for value in values), dtype=np.bool_)
    buffers = _text(values) if kind == "string" else [_numbers(values, kind)]
    if buffers is None:  # as several arrays
        return pa.array(values, pa.string())
    masked = None if present.all() else _bits(present)
    return pa.Array.from_buffers(
        getattr(pa, kind)(),
        len(present),
        [None if data is None else pa.py_buffer(data) for data in (masked, *buffers)],
    )


def _bits(flags: Any) -> bytes:  # noqa: ANN401  # an array of booleans
    return np.packbits(flags, bitorder="little").tobytes()


def _numbers(values: Sequence[Any], kind: str) -> bytes:
    if kind == "bool_":
        return _bits(np.fromiter((bool(value) for value in values), dtype=np.bool_))
    # An array of Python's takes no number of another type, as Arrow does not.
    filled = (0 if value is None else value for value in values)
    return array(_TYPECODES[kind], filled).tobytes()


def _text(values: Sequence[str | None]) -> list[bytes] | None:
    """Return offsets and bytes; None where they are too many for one array."""
    texts = [b"" if value is None else value.encode() for value in values]
    offsets = list(accumulate(map(len, texts), initial=0))
    if offsets[-1] > _MOST_BYTES:
        return None
    return [array("i", offsets).tobytes(), b"".join(texts)]


def _columns(items: Sequence[object], kind: str, *names: str, prefix: str = "") -> Cells:
    """Return attributes of items as columns of a type of Arrow; null where there is no item."""
    return {
        prefix + name: column(
            [None if item is None else getattr(item, name) for item in items], kind
        )
        for name in names
    }


def _scores(scores: Sequence[ScoredText | None]) -> Cells:
    counts = [None if score is None else score.counts for score in scores]
    raw = [None if score is None else score.raw for score in scores]
    characters = [None if score is None else score.characters for score in scores]
    return (
        _columns(counts, "int64", *_COUNTS)
        | _columns(raw, "int64", *_COUNTS, prefix="raw_")
        | _columns(characters, "int64", *_COUNTS, prefix="char_")
        | _columns(counts, "int64", "capped_errors")
        | _columns(scores, "int64", "entities", "entity_errors", "keywords", "keyword_errors")
        | _columns(scores, "bool_", "runaway", "loop")
    )


def _conversations(results: Sequence[Result]) -> Cells:
    """Return what rows add to the metrics of conversations and streams, nothing for others."""
    if results and all(
        r.unit is None and r.conversation is None and r.times is None for r in results
    ):
        return {}

    counts = [r.conversation for r in results]
    times = [r.times for r in results]
    plain = [name for name in CONVERSATION_TIMES if not name.startswith("stage_ms")]
    return (
        _columns(results, "string", UNIT)
        | _columns(counts, "int64", *CONVERSATION_COUNTS, prefix=CONVERSATION_PREFIX)
        | _columns(counts, "float64", *PASS_SHARES, prefix=CONVERSATION_PREFIX)
        | _columns(times, "float64", *plain)
        | {
            column_of(f"stage_ms.{stage}"): column(
                [None if row is None else row.stages.get(stage) for row in times], "float64"
            )
            for stage in RESPONSE_STAGES
        }
    )


def _qualities(results: Sequence[Result]) -> Cells:

    qualities = [r.quality or Quality() for r in results]
    columns: Cells = {
        name: column([quality.scores.get(name) for quality in qualities], "float64")
        for name in QUALITY_METRICS
    }
    levels = [None if q.level is None else q.level.active_dbfs for q in qualities]
    reasons = [", ".join(sorted(set(quality.reasons.values()))) or None for quality in qualities]
    return columns | {
        "level_dbfs": column(levels, "float64"),
        "quality_reason": column(reasons, "string"),
    }


def _write(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table(columns), path, compression="zstd")


def _answer(outcome: Outcome) -> str | None:
    if outcome.prediction is None or not isinstance(outcome.prediction.outcome, Answer):
        return None
    return render_answer(outcome.id, outcome.prediction.outcome)


def _detail(outcome: Outcome) -> str | None:
    if outcome.unusable is not None:
        return outcome.unusable.detail
    if outcome.prediction is not None and isinstance(outcome.prediction.outcome, Failure):
        return outcome.prediction.outcome.detail
    return None


def _outcome(row: Cells, text: Cells) -> Outcome:
    unusable = prediction = None
    detail = text["detail"] or ""
    # An answer that could not be judged may be, by another suite.
    if row["unusable"] is not None and text["answer"] is None:
        unusable = Unusable(reason=UnusableReason(row["unusable"]), detail=detail)
    else:
        prediction = Prediction(
            id=row["id"],
            repeat=row["repeat"],
            outcome=_stored(row, text, detail),
            attempts=row["attempts"],
            cached=row["cached"],
            load=row["load"],
        )
    return Outcome(
        id=row["id"],
        repeat=row["repeat"],
        prediction=prediction,
        unusable=unusable,
        audio=text["audio"],
        duration=row["duration"],
        speech=None
        if row.get("leading_silence_ms") is None
        else SpokenAudio(**{name: row[name] for name in SPEECH_COLUMNS}),
    )


def _stored(row: Cells, text: Cells, detail: str) -> Answer | Failure:
    if row["failure"] is not None and text["answer"] is None:
        return Failure(reason=FailureReason(row["failure"]), detail=detail)
    if text["answer"] is None:
        raise InvalidInput("texts.parquet: an utterance has neither an answer nor a failure")
    _, answer = parse_answer(text["answer"], source="texts.parquet")
    return answer


def _read(file: Any, columns: list[str] | None) -> Any:  # noqa: ANN401  # a path or buffer; an Arrow table
    """Return columns of a Parquet file; raises ArrowException and OSError, also for one it lacks.

    ``pyarrow.parquet.read_table`` goes through ``pyarrow.dataset``, which imports pandas for
    nobody's use.
    """
    from pyarrow import ArrowInvalid
    from pyarrow import parquet as pq

    with pq.ParquetFile(file) as parquet:
        held = parquet.schema_arrow.names
        if missing := [name for name in columns or () if name not in held]:
            raise ArrowInvalid(f"no column {missing[0]}")
        return parquet.read(columns=columns)


def read_table(
    path: Path, columns: Iterable[str] | None = None, *, outputs: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401  # an Arrow table; pyarrow has no types
    """Return a run's Parquet file as an Arrow table; raises InvalidInput.

    With ``outputs``, the digests that the run's header names, a file that was changed is refused.
    """
    import pyarrow as pa
    from pyarrow import ArrowException

    source = path.name if outputs is None else f"{path.parent.name}/{path.name}"
    file: Any = path
    if outputs is not None:
        data = storage.read_bytes(path, what=source)
        if outputs.get(path.name) != sha256_bytes(data):
            raise InvalidInput(f"{source}: was changed after the run", hint="run the suite again")
        file = pa.BufferReader(data)
    try:
        return _read(file, None if columns is None else list(columns))
    except (OSError, ArrowException) as error:
        raise InvalidInput(
            f"{source}: cannot be read as Parquet", hint="run the suite again"
        ) from error


def _results(folder: Path, outputs: Mapping[str, str], needed: Sequence[str]) -> Any:  # noqa: ANN401  # as above
    """Return the results of a run that have the needed columns."""
    table = read_table(folder / "results.parquet", outputs=outputs)
    if missing := [name for name in needed if name not in table.column_names]:
        raise InvalidInput(f"{folder.name}/results.parquet: has no column {missing[0]}")
    return table


def _slice_columns(table: Any) -> list[str]:  # noqa: ANN401  # as above
    """Return the columns that hold slice values: text, and none of the columns all runs have."""
    import pyarrow as pa

    return [
        field.name
        for field in table.schema
        if field.name not in CORE_COLUMNS and pa.types.is_string(field.type)
    ]


def read_rows(
    folder: Path, outputs: Mapping[str, str], *, with_text: bool, with_audio: bool
) -> tuple[Row, ...]:
    """Return the rows of a run in their order; ``outputs`` are the digests its header names.

    Without ``with_text`` no transcript leaves ``texts.parquet``; without either flag the file is
    not opened at all. Raises InvalidInput where a file was changed or cannot be read.
    """
    table = _results(folder, outputs, _OF_PAGES)
    slices, measures = _slice_columns(table), _measure_columns(table)
    rows = table.to_pylist()
    by_key: dict[tuple[str, int], Cells] = {}
    if with_text or with_audio:
        columns = [
            "id",
            "repeat",
            *(_TEXTS if with_text else ()),
            *(("audio",) if with_audio else ()),
        ]
        texts = read_table(folder / "texts.parquet", columns, outputs=outputs).to_pylist()
        by_key = {(row["id"], row["repeat"]): row for row in texts}
        if set(by_key) != {(row["id"], row["repeat"]) for row in rows}:
            raise InvalidInput(f"{folder.name}: {_OTHER_ROWS}")
    return tuple(
        _row(row, by_key.get((row["id"], row["repeat"]), {}), slices, measures) for row in rows
    )


def _measure_columns(table: Any) -> list[str]:  # noqa: ANN401  # as above
    """Return the columns of further measurements, numbers all of them."""
    import pyarrow as pa

    return [
        field.name
        for field in table.schema
        if pa.types.is_floating(field.type)
        and field.name not in {"latency_ms", "first_byte_ms", "duration"}
    ]


def _row(row: Cells, text: Cells, slices: list[str], measures: list[str]) -> Row:
    counts = None
    if row["unusable"] is None:
        counts = ErrorCounts(**{name: row[name] for name in _COUNTS})
    texts = Texts(**{name: text[name] for name in _TEXTS}) if "reference" in text else None
    return Row(
        id=row["id"],
        repeat=row["repeat"],
        slices={name: row[name] for name in slices if row[name] is not None},
        counts=counts,
        runaway=bool(row["runaway"]),
        loop=bool(row["loop"]),
        failure=row["failure"],
        unusable=row["unusable"],
        latency_ms=_finite(row.get("latency_ms")),
        first_byte_ms=_finite(row.get("first_byte_ms")),
        duration=_finite(row.get("duration")),
        measures={name: row[name] for name in measures if _finite(row[name]) is not None},
        texts=texts,
        audio=text.get("audio"),
        unsafe=tuple(_unsafe(row)),
    )


def _unsafe(row: Cells) -> Iterator[str]:
    """Yield in words what was counted against an agent: its events, and the tasks not done."""
    for units, events in zip(SAFETY_COUNTS[::2], SAFETY_COUNTS[1::2], strict=True):
        total, counted = (row.get(SAFETY_PREFIX + name) or 0 for name in (units, events))
        wrong = total - counted if events in _BETTER_MORE else counted
        if wrong:
            yield _BETTER_MORE.get(events, events.replace("_", " "))


_BETTER_MORE = {
    "attacked_tasks_done": "task not done",
    "consented_voices": "voice without consent",
}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def read_items(
    folder: Path, outputs: Mapping[str, str], segmenter: Segmenter
) -> tuple[ScoredItem, ...]:
    """Return the utterances of a run, sorted by id; ``outputs`` are its recorded digests.

    Answers are needed to compare systems and leave here as tokens, never references. Raises
    InvalidInput where a file was changed after the run or cannot be read.
    """
    table = _results(folder, outputs, _OF_ITEMS)
    columns = ["id", "repeat", "hypothesis_normalized"]
    answers = {
        (row["id"], row["repeat"]): row["hypothesis_normalized"]
        for row in read_table(folder / "texts.parquet", columns, outputs=outputs).to_pylist()
    }
    repeats: dict[str, list[Cells]] = defaultdict(list)
    for row in table.to_pylist():
        if (row["id"], row["repeat"]) not in answers:
            raise InvalidInput(f"{folder.name}: {_OTHER_ROWS}")
        repeats[row["id"]].append(row)
    slices = _slice_columns(table)
    return tuple(
        _item(name, sorted(rows, key=lambda row: int(row["repeat"])), answers, slices, segmenter)
        for name, rows in sorted(repeats.items())
    )


def _item(
    name: str,
    rows: Sequence[Cells],
    answers: Mapping[tuple[str, int], str | None],
    slices: Sequence[str],
    segmenter: Segmenter,
) -> ScoredItem:
    scored = [row for row in rows if row["unusable"] is None]
    answered = [
        (row, answer) for row in scored if (answer := answers[name, row["repeat"]]) is not None
    ]
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
        tokens=tuple(tokens(answered[0][1], segmenter)) if answered else None,
        counts=ErrorCounts(**{count: answered[0][0][count] for count in _COUNTS})
        if answered
        else None,
    )
