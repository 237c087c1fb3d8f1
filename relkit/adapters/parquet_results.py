"""Results and texts of a run as Parquet files, apart from each other."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from relkit.domain.errors import InvalidInput
from relkit.domain.quality import QUALITY_METRICS, Quality
from relkit.domain.results import Outcome, Result
from relkit.domain.speech import AudioFacts, SpokenAudio
from relkit.domain.utterances import (
    Answer,
    Failure,
    FailureReason,
    Prediction,
    Unusable,
    UnusableReason,
)
from relkit.records.answers import parse_answer, render_answer
from relkit.rules.result_columns import SPEECH_COLUMNS

_FACTS = ("leading_silence_ms", "trailing_silence_ms", "clipped", "dropouts")
_COUNTS = ("hits", "substitutions", "deletions", "insertions")
_SCORES = ("entities", "entity_errors", "keywords", "keyword_errors", "runaway", "loop")


class ParquetResults:
    """Writes and reads ``results.parquet`` and ``texts.parquet``."""

    def write_results(self, path: Path, results: Sequence[Result]) -> None:
        """Write one row per utterance and repeat; counts are null where an item was unusable."""
        import pyarrow as pa

        columns = list(results[0].slices) if results else []
        table: dict[str, Any] = {
            "id": pa.array([r.id for r in results], pa.string()),
            "repeat": pa.array([r.repeat for r in results], pa.int32()),
        }
        for column in columns:
            table[column] = pa.array([r.slices[column] for r in results], pa.string())
        table["cluster"] = pa.array([r.cluster for r in results], pa.string())
        table |= _scores(results)
        table |= {
            "failure": pa.array([r.failure for r in results], pa.string()),
            "unusable": pa.array([r.unusable for r in results], pa.string()),
            "latency_ms": pa.array([r.latency_ms for r in results], pa.float64()),
            "first_byte_ms": pa.array([r.first_byte_ms for r in results], pa.float64()),
            "duration": pa.array([r.duration for r in results], pa.float64()),
            "attempts": pa.array([r.attempts for r in results], pa.int32()),
            "cached": pa.array([r.cached for r in results], pa.bool_()),
            "load": pa.array([r.load for r in results], pa.string()),
        }
        table |= _qualities(results)
        table |= _speech(results)
        _write(path, table)

    def write_texts(
        self, path: Path, results: Sequence[Result], outcomes: Sequence[Outcome]
    ) -> None:
        """Write the texts of the same rows, with the whole answer as JSON and the audio digest."""
        import pyarrow as pa

        texts = [r.texts for r in results]
        table: dict[str, Any] = {
            "id": [r.id for r in results],
            "reference": [t.reference for t in texts],
            "hypothesis": [t.hypothesis for t in texts],
            "reference_normalized": [t.reference_normalized for t in texts],
            "hypothesis_normalized": [t.hypothesis_normalized for t in texts],
            "answer": [_answer(outcome) for outcome in outcomes],
            "detail": [_detail(outcome) for outcome in outcomes],
            "audio": [outcome.audio for outcome in outcomes],
        }
        columns = {name: pa.array(values, pa.string()) for name, values in table.items()}
        columns["repeat"] = pa.array([r.repeat for r in results], pa.int32())
        _write(path, columns)

    def read_outcomes(self, results: Path, texts: Path) -> list[Outcome]:
        """Return the outcomes of a finished run; raises InvalidInput where the files disagree."""
        from pyarrow import ArrowException
        from pyarrow import parquet as pq

        names = ["id", "repeat", "failure", "unusable", "attempts", "cached", "load", "duration"]
        try:
            held = set(pq.read_schema(results).names)  # older runs know nothing of speech
            names += [name for name in SPEECH_COLUMNS if name in held]
            rows = pq.read_table(results, columns=names).to_pylist()
            told = pq.read_table(texts, columns=["id", "repeat", "answer", "detail", "audio"])
        except (OSError, ArrowException) as error:
            raise InvalidInput(
                "the stored predictions of the run cannot be read",
                hint="run the suite again with: relkit eval SUITE",
            ) from error
        by_key = {(row["id"], row["repeat"]): row for row in told.to_pylist()}
        keys = {(row["id"], row["repeat"]) for row in rows}
        if keys != set(by_key) or not len(keys) == len(rows) == told.num_rows:
            raise InvalidInput("results.parquet and texts.parquet hold different utterances")
        return [_outcome(row, by_key[row["id"], row["repeat"]]) for row in rows]


def _scores(results: Sequence[Result]) -> dict[str, Any]:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for prefix, kind in (("", "counts"), ("raw_", "raw"), ("char_", "characters")):
        for name in _COUNTS:
            values = [
                None if r.score is None else getattr(getattr(r.score, kind), name) for r in results
            ]
            columns[prefix + name] = pa.array(values, pa.int64())
    capped = [None if r.score is None else r.score.counts.capped_errors for r in results]
    columns["capped_errors"] = pa.array(capped, pa.int64())
    for name in _SCORES:
        values = [None if r.score is None else getattr(r.score, name) for r in results]
        columns[name] = pa.array(values, pa.bool_() if name in {"runaway", "loop"} else pa.int64())
    return columns


def _qualities(results: Sequence[Result]) -> dict[str, Any]:
    import pyarrow as pa

    found = [Quality() if r.quality is None else r.quality for r in results]
    columns: dict[str, Any] = {
        name: pa.array([quality.scores.get(name) for quality in found], pa.float64())
        for name in QUALITY_METRICS
    }
    levels = [None if q.level is None else q.level.active_dbfs for q in found]
    reasons = [", ".join(sorted(set(quality.reasons.values()))) or None for quality in found]
    columns["level_dbfs"] = pa.array(levels, pa.float64())
    columns["quality_reason"] = pa.array(reasons, pa.string())
    return columns


def _speech(results: Sequence[Result]) -> dict[str, Any]:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name in ("first_audio_ms", "warm_up_ms"):
        own = [None if r.speech is None else getattr(r.speech, name) for r in results]
        columns[name] = pa.array(own, pa.float64())
    for name in _FACTS:
        facts = [None if r.speech is None else getattr(r.speech.facts, name) for r in results]
        kind = pa.int64() if name in {"clipped", "dropouts"} else pa.float64()
        columns[name] = pa.array(facts, kind)
    return {name: columns[name] for name in SPEECH_COLUMNS}


def _spoken(row: dict[str, Any]) -> SpokenAudio | None:
    if row.get("leading_silence_ms") is None:
        return None
    return SpokenAudio(
        facts=AudioFacts(**{name: row[name] for name in _FACTS}),
        first_audio_ms=row["first_audio_ms"],
        warm_up_ms=row["warm_up_ms"],
    )


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


def _outcome(row: dict[str, Any], told: dict[str, Any]) -> Outcome:
    unusable = prediction = None
    detail = told["detail"] or ""
    if row["unusable"] is not None:
        unusable = Unusable(reason=UnusableReason(row["unusable"]), detail=detail)
    else:
        prediction = Prediction(
            id=row["id"],
            repeat=row["repeat"],
            outcome=_stored(row, told, detail),
            attempts=row["attempts"],
            cached=row["cached"],
            load=row["load"],
        )
    return Outcome(
        id=row["id"],
        repeat=row["repeat"],
        prediction=prediction,
        unusable=unusable,
        audio=told["audio"],
        duration=row["duration"],
        speech=_spoken(row),
    )


def _stored(row: dict[str, Any], told: dict[str, Any], detail: str) -> Answer | Failure:
    if row["failure"] is not None:
        return Failure(reason=FailureReason(row["failure"]), detail=detail)
    if told["answer"] is None:
        raise InvalidInput("texts.parquet: an utterance has neither an answer nor a failure")
    _, answer = parse_answer(told["answer"], source="texts.parquet")
    return answer


def read_table(path: Path, columns: Iterable[str] | None = None) -> Any:  # noqa: ANN401  # an Arrow table; pyarrow has no types
    """Return a run's Parquet file as an Arrow table; raises InvalidInput."""
    from pyarrow import ArrowException
    from pyarrow import parquet as pq

    try:
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except (OSError, ArrowException) as error:
        raise InvalidInput(f"{path.name}: cannot be read as Parquet") from error
