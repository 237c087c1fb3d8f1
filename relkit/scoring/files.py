"""Reads transcripts to be scored: JSON lines, NeMo manifests, Kaldi text, plain text, NIST's."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from relkit.core.codec import decode, nearest
from relkit.core.errors import InvalidInput
from relkit.core.json_lines import JsonRow, column_blocks
from relkit.core.values import id_text
from relkit.core.yaml_text import where
from relkit.scoring.formats import Format, pair_format
from relkit.scoring.timed_files import parse_stm_and_ctm, parse_stm_pair
from relkit.scoring.trn import Transcripts, parse_trn, refuse_empty
from relkit.scoring.types import TrnOptions

Side = Literal["reference", "hypothesis"]
_PREDICTED = "pred_text"
_ERROR = "error"
_KNOWN = ("id", "text", "audio_filepath", "offset", _PREDICTED, _ERROR)


class TranscriptPair(NamedTuple):
    """A reference and a hypothesis as they were read."""

    format: Format
    reference: Transcripts
    hypothesis: Transcripts


def read_pair(
    names: tuple[str, str], data: tuple[bytes, bytes], *, format_: Format | None, trn: TrnOptions
) -> TranscriptPair:
    """Return the utterances of a reference and a hypothesis; raises InvalidInput.

    ``names`` are those of the files; without a ``format_`` their endings tell it, and what looks
    like another format is refused. ``trn`` says how the marks of NIST's formats count. Messages
    name file and line.
    """
    texts = decode(data[0], source=names[0]), decode(data[1], source=names[1])
    chosen = format_ or pair_format(names, texts)
    if chosen in ("stm", "ctm"):
        parse_timed = parse_stm_pair if chosen == "stm" else parse_stm_and_ctm
        return TranscriptPair(chosen, *parse_timed(*texts, sources=names, options=trn))
    sides: tuple[Side, Side] = ("reference", "hypothesis")
    files = (
        _parse(text, source=name, side=side, format_=chosen, trn=trn)
        for text, name, side in zip(texts, names, sides, strict=True)
    )
    return TranscriptPair(chosen, *files)


def _parse(text: str, *, source: str, side: Side, format_: Format, trn: TrnOptions) -> Transcripts:
    if format_ == "trn":
        return parse_trn(text, source=source, options=trn)
    if format_ == "jsonl":
        return parse_jsonl(text, source=source, side=side)
    if format_ == "kaldi":
        return parse_kaldi_text(text, source=source)
    return parse_txt(text, source=source)


def parse_kaldi_text(text: str, *, source: str) -> Transcripts:
    """Return the utterances of Kaldi's ``text``: an id and the words a line; blank lines go."""
    refuse_empty(text, source)
    numbered = [
        (number, line.split(maxsplit=1))
        for number, line in enumerate(text.split("\n"), start=1)
        if line and not line.isspace()
    ]
    return Transcripts(
        source=source,
        ids=[fields[0] for _, fields in numbered],
        texts=[fields[1] if len(fields) > 1 else "" for _, fields in numbered],
        lines=[number for number, _ in numbered],
    )


def parse_txt(text: str, *, source: str) -> Transcripts:
    """Return the lines of a plain text, each an utterance with its line number as id."""
    refuse_empty(text, source)
    texts = text.removesuffix("\n").split("\n")
    numbers = range(1, len(texts) + 1)
    return Transcripts(source=source, ids=list(map(str, numbers)), texts=texts, lines=numbers)


def parse_jsonl(text: str, *, source: str, side: Side) -> Transcripts:
    """Return the utterances of JSON lines: ``id`` and ``text``, or a NeMo manifest.

    Without ``id`` the default of a manifest holds (docs/cli.md, section "Manifest"):
    ``audio_filepath`` without its ending, with ``#offset``. A hypothesis is ``pred_text``,
    ``text``, or an ``error``, which is a failure; where some line has ``pred_text``, the ``text``
    of a line is a reference and never an answer. Further keys are passed over. Duplicate keys, NaN
    and the like are refused with file and line.
    """
    refuse_empty(text, source)
    if text.lstrip().startswith("["):
        raise InvalidInput(
            f"{source}: holds a list, not an object a line", hint="jq -c '.[]' LIST > LINES.jsonl"
        )
    keys = _AnswerKeys(source) if side == "hypothesis" else None
    ids: list[str] = []
    texts: list[str | None] = []
    lines: list[int] = []
    for columns, rows, numbers in list(_parts(text, source, keys)):
        names, column_texts = columns or _columns(rows, numbers, source, keys)
        ids += names
        texts += column_texts
        lines += numbers
    if "\\ud" in text or "\\uD" in text:
        _refuse_half_characters(ids, texts, lines, source)
    return Transcripts(source=source, ids=ids, texts=texts, lines=lines)


TextColumns = tuple[Sequence[str], Sequence[str | None]]


def _parts(
    text: str, source: str, keys: "_AnswerKeys | None"
) -> Iterator[tuple[TextColumns | None, Sequence[JsonRow], Sequence[int]]]:
    """Yield a part of a file at a time: its columns, or its rows where those are not plain.

    Which key holds the answers is known when the last part has been read.
    """
    others = frozenset() if keys is None else frozenset({_PREDICTED, _ERROR})
    for strings, rows, numbers in column_blocks(text, source=source):
        if strings is None:
            plain = keys is None or keys.see(rows, numbers)
            columns = _plain_columns(rows) if plain else None
            yield columns, () if columns else rows, numbers
        elif {"id", "text"} <= strings.keys() and others.isdisjoint(strings) and all(strings["id"]):
            if keys is not None:
                keys.see((), numbers)
            yield (strings["id"], strings["text"]), (), numbers
        else:
            by_line = [
                dict(zip(strings, row, strict=True)) for row in zip(*strings.values(), strict=True)
            ]
            if keys is not None:
                keys.see(by_line, numbers)
            yield None, by_line, numbers


class _AnswerKeys:
    """Finds out which key holds the answers, and that it is the same one in the whole file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._predicted: int | None = None  # the first line with a prediction
        self._lacking: int | None = None  # the first line with neither prediction nor error

    @property
    def key(self) -> str:
        """The key of an answer, once all lines were seen."""
        return "text" if self._predicted is None else _PREDICTED

    def see(self, rows: Sequence[JsonRow], numbers: Sequence[int]) -> bool:
        """Tell whether further lines hold texts only; raises InvalidInput on a contradiction."""
        plain = {_PREDICTED, _ERROR}.isdisjoint(chain.from_iterable(rows))
        if plain and numbers:
            self._lacking = self._lacking or numbers[0]
        for row, number in zip(() if plain else rows, numbers, strict=False):
            if row.get(_PREDICTED) is not None:
                self._predicted = self._predicted or number
            elif row.get(_ERROR) is None:
                self._lacking = self._lacking or number
        if self._predicted is not None and self._lacking is not None:
            raise InvalidInput(
                f'{where(self._source, self._lacking)}: the key "{_PREDICTED}" is missing, which '
                f'line {self._predicted} has (beside it, "text" is the reference)',
                hint=f'give every line "{_PREDICTED}", or an "{_ERROR}" where there is no answer',
            )
        return plain


def _plain_columns(rows: Sequence[JsonRow]) -> TextColumns | None:
    """Return ids and texts where every row has both, else None."""
    try:
        ids = [row["id"] for row in rows]
        texts = [row["text"] for row in rows]
    except KeyError:
        return None
    if int in set(map(type, ids)):
        ids = [id_text(name) for name in ids]
    strings = {*map(type, ids), *map(type, texts)} <= {str}
    return (ids, texts) if strings and all(ids) else None


def _columns(
    rows: Sequence[JsonRow], numbers: Sequence[int], source: str, keys: _AnswerKeys | None
) -> TextColumns:
    """Return ids and texts row by row; ``keys`` of answers, None for references."""
    ids: list[str] = []
    texts: list[str | None] = []
    for row, number in zip(rows, numbers, strict=True):
        at = where(source, number)
        ids.append(_id(row, at))
        texts.append(_reference(row, at) if keys is None else _answer(row, at, keys.key))
    return ids, texts


def _id(row: JsonRow, at: str) -> str:
    """Return the id of a row, or the one its audio file gives it."""
    if row.get("id") is not None:
        name = id_text(row["id"])
        if not isinstance(name, str):
            raise InvalidInput(f'{at}: "id" is neither a string nor a whole number')
        return _string({"id": name}, "id", at, empty=False)
    if row.get("audio_filepath") is None:
        raise InvalidInput(
            f'{at}: the keys "id" and "audio_filepath" are missing', hint=nearest("id", list(row))
        )
    offset = row.get("offset")
    if offset is not None and (isinstance(offset, bool) or not isinstance(offset, int | float)):
        raise InvalidInput(f'{at}: "offset" is not a number of seconds')
    from relkit.datasets.selection import default_id  # noqa: PLC0415  # most files have ids

    return default_id(_string(row, "audio_filepath", at, empty=False), offset)


def _reference(row: JsonRow, at: str) -> str:
    if "text" not in row:
        references = [key for key in row if key not in _KNOWN]
        raise InvalidInput(f'{at}: the key "text" is missing', hint=nearest("text", references))
    return _string(row, "text", at)


def _answer(row: JsonRow, at: str, key: str) -> str | None:
    """Return the answer of a row; None where the system answered with an error."""
    if row.get(_ERROR) is not None:
        if row.get(key) is not None:
            raise InvalidInput(f'{at}: holds both "{key}" and "error"', hint="keep one of them")
        _string(row, _ERROR, at, empty=False)
        return None
    if row.get(key) is None:
        raise InvalidInput(
            f'{at}: the key "{key}" is missing',
            hint='an answer has a "text", or an "error" where there is none',
        )
    return _string(row, key, at)


def _string(row: JsonRow, key: str, at: str, *, empty: bool = True) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise InvalidInput(f'{at}: "{key}" is not a string')
    if not value and not empty:
        raise InvalidInput(f'{at}: "{key}" is empty')
    return value


def _refuse_half_characters(
    ids: Sequence[str], texts: Sequence[str | None], lines: Sequence[int], source: str
) -> None:
    r"""Refuse ``\ud800`` and the like, which no UTF-8 output could show; raises InvalidInput."""
    for line, name, text in zip(lines, ids, texts, strict=True):
        try:
            name.encode()
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"{where(source, line)}: holds half of a surrogate pair, which is no character",
                hint="write the character itself, in UTF-8",
            ) from error
