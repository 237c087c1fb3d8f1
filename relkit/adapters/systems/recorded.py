"""Answers that were given earlier: a JSONL, CSV or Parquet file of the answer protocol."""

import codecs
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO, TypeVar

from relkit.core.codec import decode, parse_json
from relkit.core.csv_rows import csv_rows
from relkit.core.digests import PREFIX, JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown, where
from relkit.datasets.types import Answer, Failure, FailureReason
from relkit.evaluation.run_files import MAX_LINE, AnswerLine, answer_from
from relkit.safety.tau2_files import tau2_answers

_Cell = TypeVar("_Cell")

_KEYS = frozenset(item.name for item in fields(AnswerLine))


_JSON_COLUMNS = ("events", "usage", "tool_calls")
_NUMBERS = ("latency_ms", "first_byte_ms")
_PARQUET = b"PAR1"
_ROWS = 4096


class RecordedAnswers:
    """Implements RecordedSystem from a file that is read whole, and refused whole.

    ``artifact`` is ``sha256:<hex>`` of the file's bytes.
    """

    def __init__(
        self,
        path: Path,
        *,
        source: str | None = None,
        mapping: Mapping[str, str] | str | None = None,
        check: Callable[[Answer, str, int], None] | None = None,
    ) -> None:
        """Read the file; raises InvalidInput naming file and line for anything wrong in it.

        ``source`` is how messages call the file, by default its name. Parquet is told by its first
        bytes, CSV by the ending ``.csv`` or ``.tsv``; columns are the keys of the protocol, nested
        or as JSON text. ``mapping`` says the columns that keys have here (key to column): what it
        does not name, and is no key, is then left out instead of refused; "tau2" says that the file
        holds simulations of tau2-bench. ``check`` is called with
        each answer, the source and the line, and raises InvalidInput for one that is refused.
        """
        self._check = check
        self._source = source or path.name
        self._mapping = {} if mapping is None or isinstance(mapping, str) else mapping
        self._unseen = set(self._mapping.values())
        self._answers: dict[str, Answer | Failure] = {}
        try:
            with path.open("rb") as file:
                self.artifact = PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                is_parquet = file.read(len(_PARQUET)) == _PARQUET
                file.seek(0)
                is_csv = path.suffix.lower() in {".csv", ".tsv"}
                read = self._rows if is_parquet else self._table if is_csv else self._lines
                self._take((self._simulations if mapping == "tau2" else read)(file))
        except OSError as error:
            reason = os.strerror(error.errno or errno.EIO)
            raise InvalidInput(
                f"{self._source}: cannot be read: {reason}",
                hint="system.path is relative to the workspace",
            ) from error
        if not self._answers:
            raise InvalidInput(f"{self._source}: holds no answer")
        self._check_mapping()

    def __len__(self) -> int:
        """Return how many answers there are."""
        return len(self._answers)

    def lookup(self, utterance_id: str) -> Answer | Failure:
        """Return the recorded answer, or the failure ``no_answer`` where there is none."""
        missing = Failure(reason=FailureReason.NO_ANSWER)
        return self._answers.get(utterance_id, missing)

    def unknown(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return the recorded ids, sorted, that are not among ``ids``."""
        return tuple(sorted(self._answers.keys() - set(ids)))

    def _take(self, answers: Iterable[tuple[int, str, Answer | Failure]]) -> None:
        for line, utterance_id, outcome in answers:
            if utterance_id in self._answers:
                raise InvalidInput(
                    f'{where(self._source, line)}: the id "{shown(utterance_id)}" stands twice',
                    hint="keep one answer for each utterance",
                )
            if self._check is not None and isinstance(outcome, Answer):
                self._check(outcome, self._source, line)
            self._answers[utterance_id] = outcome

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, str, Answer | Failure]]:
        line = 0
        while data := file.readline(MAX_LINE + 1):
            line += 1
            if len(data) > MAX_LINE:
                raise InvalidInput(f"{where(self._source, line)}: longer than 1 MiB")
            if text := self._decoded(data, line).strip():
                document = parse_json(text, source=self._source, line=line)
                if self._mapping and isinstance(document, dict):
                    document = self._mapped(document)
                yield line, *answer_from(document, source=self._source, line=line)

    def _simulations(self, file: BinaryIO) -> Iterator[tuple[int, str, Answer | Failure]]:
        """Yield the simulations of a file of tau2-bench; their number serves as the line."""
        text = decode(file.read(), source=self._source)
        answers = tau2_answers(parse_json(text, source=self._source), source=self._source)
        yield from ((number, *answer) for number, answer in enumerate(answers, start=1))

    def _check_mapping(self) -> None:
        """Raise InvalidInput where no row so far had a column that the mapping names."""
        if self._unseen:
            raise InvalidInput(
                f'{self._source}: has no column "{shown(min(self._unseen))}", which mapping names',
                hint="mapping is {key of an answer: column of the file}",
            )

    def _answer_columns(self, row: dict[str, _Cell], line: int) -> dict[str, _Cell]:
        """Return the keys of an answer that a table's row holds; every row has all columns.

        Raises InvalidInput for a column that the mapping names and the table lacks and, where
        there is no mapping, for one that is no key.
        """
        if self._mapping:
            mapped = self._mapped(row)
            self._check_mapping()
            return mapped
        if foreign := min(row.keys() - _KEYS, default=""):
            raise InvalidInput(
                f'{where(self._source, line)}: unknown key "{shown(foreign)}"',
                hint="mapping says which columns to read: "
                "--system 'mapping={id: COLUMN, text: COLUMN}'",
            )
        return row

    def _mapped(self, row: Mapping[str, _Cell]) -> dict[str, _Cell]:
        """Return the keys of an answer that a row holds, by the names that they have in it."""
        self._unseen -= row.keys()
        columns = {key: key for key in _KEYS if key not in self._mapping} | dict(self._mapping)
        return {key: row[column] for key, column in columns.items() if column in row}

    def _table(self, file: BinaryIO) -> Iterator[tuple[int, str, Answer | Failure]]:
        """Yield the rows of a CSV file; empty fields are absent, but for an empty text."""
        text = decode(file.read().removeprefix(codecs.BOM_UTF8), source=self._source)
        for line, cells in csv_rows(text, source=self._source):
            row = self._answer_columns(cells, line)
            plain: dict[str, object] = {
                name: _number(value) if name in _NUMBERS else value
                for name, value in row.items()
                if value or (name == "text" and not row.get("error"))
            }
            yield line, *answer_from(self._plain(plain, line), source=self._source, line=line)

    def _decoded(self, data: bytes, line: int) -> str:
        try:
            return decode(data, source=self._source)
        except InvalidInput as error:  # it counts lines from the start of what it is given
            message = error.message.replace(where(self._source, 1), where(self._source, line), 1)
            raise InvalidInput(message, hint=error.hint) from error

    def _rows(self, file: BinaryIO) -> Iterator[tuple[int, str, Answer | Failure]]:
        """Yield the rows of a Parquet file; their number serves as the line."""
        import pyarrow as pa
        from pyarrow import parquet

        line = 0
        try:
            for batch in parquet.ParquetFile(file).iter_batches(_ROWS):
                for values in batch.to_pylist():
                    line += 1
                    document = self._plain(self._answer_columns(values, line), line)
                    yield line, *answer_from(document, source=self._source, line=line)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{self._source}: not a Parquet file pyarrow reads") from error

    def _plain(self, row: dict[str, object], line: int) -> JsonValue:
        """Return a row as the document a line of JSON would have been: nulls are absent keys."""
        document = {}
        for name, value in row.items():
            if value is None and name in _KEYS:
                continue
            text = isinstance(value, str) and name in _JSON_COLUMNS
            plain = parse_json(str(value), source=self._source, line=line) if text else value
            document[name] = _as_json(plain, name)
        return document


def _number(text: str) -> float | str:
    """Return a field as the number it is; any other is refused with the record."""
    try:
        return float(text)
    except ValueError:
        return text


def _as_json(value: object, name: str) -> JsonValue:
    """Return a nested column as JSON has it; what fits nowhere is left for the record to refuse."""
    if name == "usage" and isinstance(value, list):  # a map comes as a list of pairs
        pairs: dict[str, object] = dict(pair for pair in value if isinstance(pair, tuple))
        value = pairs if len(pairs) == len(value) else value
    if name == "events" and isinstance(value, list):
        return [_without_nulls(event) for event in value]
    return _without_nulls(value) if name == "usage" else value  # type: ignore[return-value]  # as above


def _without_nulls(value: object) -> JsonValue:
    # A struct has every key in every row, and null where the row has nothing to say.
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value  # type: ignore[return-value]  # the record refuses whatever is no JSON
