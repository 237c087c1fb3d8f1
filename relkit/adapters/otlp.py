"""Files of traces and call records to turns: JSON lines as the OpenTelemetry Collector writes them.

Memory is bounded: of a span only what a turn needs is held, and where there are more spans than
``MOST_SPANS`` they wait in temporary files, those of one trace together, until all are read. So
turns are the same however their spans are spread over lines and files.
"""

import gc
import gzip
import io
import marshal
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.wording import count, counted
from relkit.core.yaml_text import shown
from relkit.telemetry.calls import call_key, call_records, observe_call, turns_of_call
from relkit.telemetry.dialects import Readings, detect, source_of, turns_of
from relkit.telemetry.otlp_files import OTHER_SIGNALS, SpanReader, is_trace_document
from relkit.telemetry.spans import AttributeTable, SpanTree, TraceSpan, TraceTurn
from relkit.telemetry.types import COLUMNS, TelemetryOptions, TelemetryProblem
from relkit.telemetry.usage import Accounting

if TYPE_CHECKING:
    import pyarrow as pa

MOST_SPANS = 100_000
"""So many spans are held in memory, about 100 MB; more of them wait in temporary files.

Larger pieces take longer to write and to read back than small ones do.
"""

_BUCKETS = 64
_SIZE = 8
_BUFFER = 1 << 20
_BATCH = 20_000
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_HEAD = 4096
_LENGTH = 4
_SHOWN_LINES = 3

_PROTOBUF_HINT = "have the collector's file exporter write `format: json`"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTurns:
    """Turns with canonical columns, and what became of the spans.

    ``counts`` are ``spans``, ``calls`` (records), ``turns``, ``unused`` (spans of no turn),
    ``duplicate`` (turns) and ``duplicate_spans``, ``bad_value``, ``unfinished`` (turns without an
    end), ``unreadable`` (spans without ids), ``made_inclusive`` and ``stages_exceed``.
    ``attributes`` maps columns to the attributes that labels were read from.
    """

    table: "pa.Table"
    dialect: str
    counts: Mapping[str, int]
    attributes: Mapping[str, str]
    problems: tuple[TelemetryProblem, ...]


def holds_traces(path: Path) -> bool:
    """Tell whether a file holds traces or call records, by its first document."""
    try:
        with _opened(path) as file:
            head = file.read(_HEAD)
            if _is_framed(head) or _looks_like_protobuf(head):
                return True
        for _, document in _Documents(path, []):
            return is_trace_document(document) or any(True for _ in call_records(document))
    except (InvalidInput, OSError, EOFError, zlib.error):
        return False
    return False


def read_traces(files: Sequence[Path], options: TelemetryOptions) -> TraceTurns:
    """Return the turns in files; raises InvalidInput with file and line, UsageError for a mapping.

    Half a line, a cut file or other signals are problems of the result; a file of protobuf, and
    one in which no line can be read, is refused.
    """
    with tempfile.TemporaryDirectory(prefix="relkit-traces-") as folder, _without_collector():
        return _Reading(options, Path(folder)).read(files)


def trace_table(
    files: Sequence[Path], options: TelemetryOptions
) -> tuple["pa.Table", str, tuple[TelemetryProblem, ...]]:
    """Return turns, dialect and problems of files; implements TraceReader.

    The metadata of the table are the counts of :class:`TraceTurns`, those of a column the
    ``attribute`` that it comes from.
    """
    read = read_traces(files, options)
    counts = {name: str(number) for name, number in read.counts.items()}
    table = read.table
    for at, column in enumerate(table.schema):
        if attribute := read.attributes.get(column.name):
            named = column.with_metadata({"attribute": attribute})
            table = table.set_column(at, named, table[column.name])
    return table.replace_schema_metadata(counts), read.dialect, read.problems


@contextmanager
def _without_collector() -> Iterator[None]:
    """Hold back the search for circles: JSON has none, and it takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Reading:
    """One pass over files, and then over traces."""

    def __init__(self, options: TelemetryOptions, folder: Path) -> None:
        try:
            self._table = AttributeTable(options.mapping)
        except ValueError as error:
            raise UsageError(f"mapping: {error}", hint="see docs/telemetry.md") from error
        self._reader = SpanReader(self._table)
        self._accounting = Accounting()
        self._forced = options.dialect
        self._mapping = options.mapping
        self._waiting = _Waiting(folder)
        self._calls: dict[str, _Call] = {}
        self._turns = _TurnColumns(options.key or b"")
        self._counts: Counter[str] = Counter()
        self._problems: list[TelemetryProblem] = []
        self._dialects: Counter[str] = Counter()

    def read(self, files: Sequence[Path]) -> TraceTurns:
        for path in files:
            self._read_file(path)
        readings = Readings(self._table, self._accounting)
        for spans in self._waiting.traces():
            self._read_trace(spans, readings)
        for _, record, repeats in self._calls.values():
            turns, bad = turns_of_call(record, self._table, self._accounting)
            self._counts["bad_value"] += bad
            self._counts["unfinished"] += not record.get("endedAt")
            self._counts["duplicate"] += repeats * len(turns)
            self._add("vapi", turns)
        self._counts["unreadable"] += self._reader.unreadable
        self._counts["turns"] = self._turns.rows
        seen, table = self._reader.label_names, self._turns.table()
        return TraceTurns(
            table=table,
            dialect="+".join(sorted(self._dialects)) or "none",
            counts=dict(self._counts),
            attributes={
                column: next((name for name in names if name in seen), names[0])
                for column, names in self._table.labels.items()
            },
            problems=(*self._problems, *self._findings(), *self._not_there(table.column_names)),
        )

    def _read_file(self, path: Path) -> None:
        """Take in the documents of a file; raises InvalidInput where none can be read."""
        before = self._counts["spans"] + self._counts["calls"]
        others: Counter[str] = Counter()
        documents = _Documents(path, self._problems)
        for line, document in documents:
            if is_trace_document(document):
                try:
                    self._add_spans(document)
                except (ValueError, KeyError, AttributeError, TypeError):
                    documents.unreadable(line, "no OTLP: its lists hold something else")
                continue
            records = list(call_records(document))
            for record in records:
                self._add_call(record)
            if not records:
                others[_signal(document)] += 1
        for what, times in others.items():
            message = f"{counted(times, 'line')} of {what}, not of traces: not read"
            self._problems.append(_problem(_shown(path), message))
        if others or self._counts["spans"] + self._counts["calls"] > before:
            return
        if documents.reason or not documents.read:
            raise InvalidInput(
                f"{_shown(path)}: {documents.reason or 'is empty'}",
                hint="a file of traces holds JSON, one resourceSpans document a line",
            )
        self._problems.append(_problem(_shown(path), "holds no span"))

    def _add_spans(self, document: Mapping[str, Any]) -> None:
        spans = 0
        for span in self._reader.spans(document):
            if span.counts:
                self._accounting.observe(source_of(span), span.counts)
            self._waiting.add(span)
            spans += 1
        self._counts["spans"] += spans

    def _add_call(self, record: Mapping[str, Any]) -> None:
        self._counts["calls"] += 1
        observe_call(record, self._accounting)
        call, written = call_key(record)
        before = self._calls.get(call)
        repeats = 0 if before is None else before.repeats + 1
        if before is None or written > before.written:
            before = _Call(written, _without_text(record), repeats)
        self._calls[call] = before._replace(repeats=repeats)

    def _read_trace(self, spans: Iterable[TraceSpan], readings: Readings) -> None:
        tree = SpanTree(spans)
        self._counts["duplicate_spans"] += sum(tree.repeats.values())
        self._counts["bad_value"] += sum(span.bad for span in tree.spans)
        dialect = self._forced or detect(tree.spans)
        if dialect not in {"pipecat", "livekit", "genai"}:
            self._counts["unused"] += len(tree.spans)
            return
        turns = turns_of(dialect, tree, readings)
        finished = [turn for turn in turns if turn.end > 0]
        self._counts["unfinished"] += len(turns) - len(finished)
        self._counts["unused"] += len(tree.spans) - sum(turn.spans for turn in turns)
        self._add(dialect, finished)

    def _add(self, dialect: str, turns: Iterable[TraceTurn]) -> None:
        for turn in turns:
            self._dialects[dialect] += 1
            self._counts["made_inclusive"] += turn.made_inclusive
            self._counts["duplicate"] += turn.repeats
            self._counts["stages_exceed"] += turn.values.get("stages_exceed") is True
            self._turns.add(turn)

    def _findings(self) -> Iterator[TelemetryProblem]:
        """Yield what the traces say about themselves that a person should know."""
        counts = self._counts
        for source in self._accounting.net_sources:
            name = shown(" ".join(part for part in source if part) or "the model")
            yield TelemetryProblem(
                code="net_tokens",
                where=name,
                message=f"{name} reports tokens net of cache or reasoning: made inclusive",
            )
        for source in self._accounting.mixed_sources:
            name = shown(" ".join(part for part in source if part) or "the model")
            message = f"{name} reports some calls net of cache, some not: taken call by call"
            yield TelemetryProblem(code="net_tokens", where=name, message=message)
        if exceed := counts["stages_exceed"]:
            share = f"{counted(exceed, 'turn')} of {count(counts['turns'])}"
            message = f"the stages of {share} add up to more than latency_ms"
            yield TelemetryProblem(code="stages_exceed", where="latency_ms", message=message)
        if unreadable := counts["unreadable"]:
            message = f"{counted(unreadable, 'span')} without a trace and span id: not read"
            yield _problem("spans", message)
        if unfinished := counts["unfinished"]:
            yield _problem("turns", f"{counted(unfinished, 'turn')} without an end: not read")
        if counts["spans"] and not counts["turns"]:
            message = (
                f"no turn in {counted(counts['spans'], 'span')}: neither pipecat's `turn`,"
                " LiveKit's `agent_turn` nor GenAI's attributes are in them"
            )
            yield _problem("spans", message)

    def _not_there(self, columns: Sequence[str]) -> Iterator[TelemetryProblem]:
        """Yield what the mapping names and no turn has; a session that goes on may lack it."""
        for column, mapped in self._mapping.items():
            if self._counts["turns"] and column not in columns:
                message = f"no turn has {shown(mapped.column)}, which the mapping names"
                yield TelemetryProblem(code="other", where=column, message=message)


def _problem(where: str, message: str) -> TelemetryProblem:
    return TelemetryProblem(code="unreadable", where=where, message=message)


class _Call(NamedTuple):
    """The latest record of a call, and how often it came again."""

    written: str
    record: Mapping[str, Any]
    repeats: int


def _without_text(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call record without what its messages say, to be held until the end."""
    artifact = record.get("artifact")
    kept_artifact: dict[str, Any] = {}
    if isinstance(artifact, Mapping):
        messages = artifact.get("messages")
        kept_artifact = {
            "performanceMetrics": artifact.get("performanceMetrics"),
            "messages": [
                {key: message.get(key) for key in ("role", "endTime")}
                for message in (messages if isinstance(messages, list) else ())
                if isinstance(message, Mapping)
            ],
        }
    return {**record, "artifact": kept_artifact, "messages": None, "transcript": None}


def _signal(document: object) -> str:
    if isinstance(document, Mapping):
        for key, signal in OTHER_SIGNALS.items():
            if key in document:
                return signal
    return "something else"


class _Waiting:
    """Spans until all are read: in memory, or in files that each hold whole traces."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, list[TraceSpan]] = {}
        self._spans = 0
        self._spilled = False

    def add(self, span: TraceSpan) -> None:
        spans = self._held.get(span[0])
        if spans is None:
            self._held[span[0]] = [span]
        else:
            spans.append(span)
        self._spans += 1
        if self._spans >= MOST_SPANS:
            self._spill()

    def _spill(self) -> None:
        buckets: list[list[tuple[object, ...]]] = [[] for _ in range(_BUCKETS)]
        for trace, spans in self._held.items():
            buckets[int(trace[-2:], 16) % _BUCKETS].extend(map(tuple, spans))
        for number, rows in enumerate(buckets):
            if rows:
                data = marshal.dumps(rows)
                with (self._folder / str(number)).open("ab") as file:
                    file.write(len(data).to_bytes(_SIZE, "little") + data)
        self._held, self._spans, self._spilled = {}, 0, True

    def traces(self) -> Iterator[list[TraceSpan]]:
        """Yield the spans of each trace, and let go of them."""
        if not self._spilled:
            while self._held:
                yield self._held.popitem()[1]
            return
        self._spill()
        for path in self._folder.iterdir():
            traces: dict[str, list[TraceSpan]] = {}
            with path.open("rb") as file:
                while size := file.read(_SIZE):
                    data = file.read(int.from_bytes(size, "little"))
                    for row in marshal.loads(data):  # noqa: S302 - we wrote it
                        traces.setdefault(row[0], []).append(TraceSpan._make(row))
            path.unlink()
            yield from traces.values()


class _TurnColumns:
    """Turns by column, in Arrow; sessions, units and turn ids as keyed hashes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.rows = 0
        self._held: list[dict[str, Any]] = []
        self._batches: list[pa.Table] = []
        self._extra: dict[str, list[tuple[int, list[Any]]]] = {}

    def add(self, turn: TraceTurn) -> None:
        row: dict[str, Any] = turn.values
        row["ts"] = turn.end // 1000
        row["session"] = self._hash(turn.session)
        row["turn_id"] = self._hash(turn.turn)
        if "unit" in row:
            row["unit"] = self._hash(row["unit"])
        self._held.append(row)
        self.rows += 1
        if len(self._held) >= _BATCH:
            self._flush()

    def _hash(self, text: str) -> int:
        digest = blake2b(text.encode(errors="replace"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little")

    def _flush(self) -> None:
        import pyarrow as pa

        types = {
            "time": pa.timestamp("us", tz="UTC"),
            "key": pa.uint64(),
            "text": pa.string(),
            "flag": pa.bool_(),
        }
        rows = self._held
        names = {"ts", "session", "turn_id"}.union(*rows)
        self._batches.append(
            pa.table(
                {
                    name: pa.array([row.get(name) for row in rows], types.get(kind, pa.float64()))
                    for name, kind in COLUMNS.items()
                    if name in names
                }
            )
        )
        for name in names.difference(COLUMNS):
            first = self.rows - len(rows)
            self._extra.setdefault(name, []).append((first, [row.get(name) for row in rows]))
        self._held = []

    def table(self) -> "pa.Table":
        """Return the turns by time; columns in which nothing stands are not there.

        A column of nobody's is of flags or numbers where all its values are, else of text.
        """
        import pyarrow as pa

        self._flush()
        table = pa.concat_tables(self._batches, promote_options="default")
        order = [name for name in COLUMNS if name in table.column_names]
        table = table.select(order)
        for name in sorted(self._extra):
            values: list[Any] = []
            for first, batch in self._extra[name]:
                values += [None] * (first - len(values)) + batch
            values += [None] * (self.rows - len(values))
            kinds = set(map(type, values)) - {type(None)}
            if kinds not in ({bool}, {float}):
                values = [None if value is None else str(value) for value in values]
            table = table.append_column(name, pa.array(values))
        return table.sort_by([(name, "ascending") for name in ("ts", "session", "turn_id")])


def _shown(path: Path) -> str:
    return path.name if path.is_absolute() else path.as_posix()


def _opened(path: Path) -> BinaryIO:
    """Return the bytes of a file, unpacked where it is gzip or zstd."""
    try:
        file = io.BufferedReader(io.FileIO(path), _BUFFER)
    except OSError as error:
        reason = os.strerror(error.errno or 5)
        raise InvalidInput(f"{_shown(path)}: cannot be read: {reason}") from error
    magic = file.peek(_LENGTH)[:_LENGTH]
    if magic[:2] == _GZIP:
        file.close()
        return cast("BinaryIO", gzip.open(path))
    if magic == _ZSTD:
        import pyarrow as pa

        file.close()
        stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        # What was read before a cut is lost with the piece that ends there.
        return cast("BinaryIO", io.BufferedReader(stream, _BUFFER >> 5))
    return file


def _is_framed(head: bytes) -> bool:
    """Tell whether messages have their length before them, as with compression or protobuf."""
    length, start = head[:_LENGTH], head[_LENGTH : 2 * _LENGTH]
    framed = len(start) == _LENGTH and length[0] in {0, 1, 2, 3}
    return framed and (start == _ZSTD or start[:1] in {b"\n", b"{", b"["})


def _looks_like_protobuf(head: bytes) -> bool:
    """Tell whether the bytes are no text: OTLP as protobuf starts with a field of lengths."""
    text = head.lstrip()
    if text[:1] in {b"{", b"["}:
        return False
    return bool(head) and (b"\0" in head or not _is_text(head))


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(data) - _LENGTH  # cut inside of a character
    return True


class _Documents:
    """The JSON documents of a file with their lines; what cannot be read becomes a problem.

    ``read`` counts documents, ``reason`` says what is wrong with the first line that is none.
    """

    def __init__(self, path: Path, problems: list[TelemetryProblem]) -> None:
        self._path = path
        self._problems = problems
        self.read = 0
        self.reason = ""
        self._bad: list[tuple[int, str]] = []

    def unreadable(self, line: int, reason: str) -> None:
        self._bad.append((line, reason))
        self.reason = self.reason or f"line {line}: {reason}"

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        with ExitStack() as stack:
            file = stack.enter_context(_opened(self._path))
            line = 0
            try:
                for line, text, last in self._texts(file):
                    yield from self._parse(line, text, cut=last)
            except (EOFError, OSError, zlib.error) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise InvalidInput(f"{_shown(self._path)}: cannot be read") from error
                self.unreadable(line + 1, "the compressed file is cut off or damaged here")
        self._report()

    def _texts(self, file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
        """Yield line number, text, and whether it is the last one and has no line end."""
        head = cast("io.BufferedReader", file).peek(_HEAD)[:_HEAD]
        if _is_framed(head):
            yield from self._frames(file)
            return
        if _looks_like_protobuf(head):
            raise InvalidInput(
                f"{_shown(self._path)}: is no JSON; it looks like OTLP as protobuf",
                hint=_PROTOBUF_HINT,
            )
        if head.startswith(b"\xef\xbb\xbf"):
            file.read(3)
        first = True
        for line, text in enumerate(file, start=1):
            if first and not text.isspace():
                first = False
                if text.strip() in {b"{", b"[", b"[{"} or text.rstrip()[-1:] in b"{[,":
                    yield line, text + file.read(), False  # one document over many lines
                    return
            yield line, text, not text.endswith(b"\n")

    def _frames(self, file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
        """Yield messages that have their length before them; the number is that of the message."""
        import pyarrow as pa

        number = 0
        while header := file.read(_LENGTH):
            number += 1
            size = int.from_bytes(header, "big")
            data = file.read(size)
            if len(header) < _LENGTH or len(data) < size:
                self.unreadable(number, "the message is cut off: the file ends inside of it")
                return
            if data[:4] == _ZSTD:
                data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
            if data[:1] not in {b"{", b"["}:
                raise InvalidInput(
                    f"{_shown(self._path)}: message {number} is OTLP as protobuf, not JSON",
                    hint=_PROTOBUF_HINT,
                )
            yield number, data, False

    def _parse(self, line: int, text: bytes, *, cut: bool) -> Iterator[tuple[int, Any]]:
        from pydantic_core import from_json

        if not text or text.isspace():
            return
        try:
            document = from_json(text, allow_inf_nan=False, cache_strings="keys")
        except ValueError as error:
            reason = "the last line is cut off: half a JSON document" if cut else "not JSON"
            if not cut:
                reason += f" ({str(error).partition(' at line')[0]})"
            self.unreadable(line, reason)
            return
        if isinstance(document, list) and all(map(is_trace_document, document)):
            self.read += 1
            for element in document:
                yield line, element
        else:
            self.read += 1
            yield line, document

    def _report(self) -> None:
        for line, reason in self._bad[:_SHOWN_LINES]:
            where = f"{_shown(self._path)}, line {line}"
            self._problems.append(_problem(where, reason))
        more = len(self._bad) - _SHOWN_LINES
        if more > 0:
            message = f"{counted(more, 'more line')} that cannot be read"
            self._problems.append(_problem(_shown(self._path), message))
