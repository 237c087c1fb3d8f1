"""NIST's TRN format: ``text (utterance-id)`` a line, with alternations and marked words.

A transcript file as it was read, whatever its format.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown, where
from relkit.scoring.networks import Alternation, Marked, Phrase, plain_text
from relkit.scoring.types import TrnOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcripts:
    """The n utterances of a file, in its order.

    ``texts`` holds None where a system answered with an error. ``phrases`` holds, by row, the
    utterances with alternatives or marked words; their text is what stands in the file. ``written``
    are the texts before any change of case, where that makes a difference. ``lines`` are the lines
    of the rows, ``source`` is the file's name, for messages, and ``ignored`` the number of segments
    that the file says not to score.
    """

    source: str
    ids: Sequence[str]
    texts: Sequence[str | None]
    lines: Sequence[int]
    phrases: Mapping[int, Phrase] = field(default_factory=dict)
    written: Sequence[str | None] | None = None
    ignored: int = 0

    def __post_init__(self) -> None:
        """Refuse an empty file and an id that stands twice; raises InvalidInput."""
        if not self.ids:
            raise InvalidInput(f"{self.source}: holds no utterance")
        if len(set(self.ids)) != len(self.ids):
            self._refuse_duplicate()

    def _refuse_duplicate(self) -> None:
        first_line: dict[str, int] = {}
        for name, line in zip(self.ids, self.lines, strict=True):
            if name in first_line:
                raise InvalidInput(
                    f'{where(self.source, line)}: the id "{shown(name)}" stands already in line '
                    f"{first_line[name]}",
                    hint="give every utterance an id of its own",
                )
            first_line[name] = line

    def as_written(self) -> Sequence[str | None]:
        """Return the texts as they stand in the file."""
        return self.texts if self.written is None else self.written


def check_same_length(expected: Transcripts, answered: Transcripts) -> None:
    """Refuse files with different numbers of lines; raises InvalidInput."""
    if len(expected.ids) != len(answered.ids):
        raise InvalidInput(
            f"{expected.source} has {len(expected.ids)} lines, "
            f"{answered.source} has {len(answered.ids)}",
            hint="line i is scored against line i; use a format with ids where some are missing",
        )


def matching_rows(expected: Transcripts, answered: Transcripts) -> Sequence[int | None]:
    """Return the row in ``answered`` for each row of ``expected``, None where there is none.

    Raises InvalidInput for an id that is not expected.
    """
    if expected.ids == answered.ids:
        return range(len(answered.ids))
    rows = {name: row for row, name in enumerate(answered.ids)}
    order = [rows.get(name) for name in expected.ids]
    if len(order) - order.count(None) != len(rows):
        reference_ids = frozenset(expected.ids)
        row = next(row for row, name in enumerate(answered.ids) if name not in reference_ids)
        raise InvalidInput(
            f"{where(answered.source, answered.lines[row])}: "
            f'the id "{shown(answered.ids[row])}" is not in {expected.source}',
            hint="score only what has a reference, or add the reference",
        )
    return order


def refuse_empty(text: str, source: str) -> None:
    """Refuse a file without anything in it; raises InvalidInput."""
    if not text or text.isspace():
        raise InvalidInput(f"{source}: is empty", hint="it needs at least one utterance")


COMMENT = ";;"
"""How a line begins that nobody reads, in all of NIST's formats."""

_NULL = "@"
_DEPTH = 64
_ITEM = re.compile(r"[{}]|[^\s{}]+")
_BRANCH_ITEM = re.compile(r"[{}/]|[^\s{}/]+")
_TAG = re.compile(r"(?<!\\);.*", re.DOTALL)


def parse_trn(text: str, *, source: str, options: TrnOptions) -> Transcripts:
    r"""Return the utterances of a TRN file; raises InvalidInput naming file and line.

    Lines that begin with ``;;`` and blank lines are passed over. ``{ a / b c / @ }`` are
    alternatives, which may hold others, and ``@`` is a word that says nothing. ``word;tag`` loses
    its tags, ``\;`` is a semicolon, backslashes go, and so does the ``*`` behind a word.
    """
    refuse_empty(text, source)
    rows: Sequence[str] = text.removesuffix("\n").split("\n")
    lines: Sequence[int] = range(1, len(rows) + 1)
    closed = text.count(")\n") + text.endswith(")") == len(rows)
    if COMMENT in text or not closed:
        rows, lines = _without_comments(rows)
        closed = all(row.endswith(")") for row in rows)
    opened = [row.rfind("(") for row in rows]
    ids = [row[at + 1 : -1] for row, at in zip(rows, opened, strict=True)]
    if -1 in opened or "" in ids or not closed:
        bad = next(
            place
            for place, row in enumerate(rows)
            if opened[place] < 0 or not ids[place] or not row.endswith(")")
        )
        raise InvalidInput(
            f"{where(source, lines[bad])}: the line does not end with an id in parentheses",
            hint="a line is: text (utterance-id)",
        )
    written = [row[:at].strip(" ") for row, at in zip(rows, opened, strict=True)]
    return with_marks(ids, written, lines, source=source, options=options)


def _without_comments(rows: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
    """Return the lines that are to be read, nothing behind them, and their numbers."""
    lines = [
        number
        for number, row in enumerate(rows, start=1)
        if row.strip() and not row.startswith(COMMENT)
    ]
    return [rows[number - 1].rstrip() for number in lines], lines


def with_marks(
    ids: Sequence[str],
    written: Sequence[str],
    lines: Sequence[int],
    *,
    source: str,
    options: TrnOptions,
    ignored: int = 0,
) -> Transcripts:
    """Return utterances whose texts have TRN's marks; raises InvalidInput."""
    texts = list(written)
    if not options.case_sensitive:
        texts = [body.lower() for body in written]
        ids = [name.lower() for name in ids]
    phrases: dict[int, Phrase] = {}
    characters = _mark_characters(options)
    joined = "\n".join(texts)
    marks = "".join(mark for mark in characters if mark in joined)
    holds_mark = re.compile(f"[{re.escape(marks)}]" if marks else r"(?!)").search
    marked = [row for row, body in enumerate(texts) if holds_mark(body)] if marks else []
    for row in marked:
        phrase = _Parser(texts[row], where(source, lines[row]), options).phrase()
        plain = plain_text(phrase)
        if plain is None:
            phrases[row] = phrase
        else:
            texts[row] = plain
    return Transcripts(
        source=source,
        ids=ids,
        texts=texts,
        lines=lines,
        phrases=phrases,
        written=written,
        ignored=ignored,
    )


def _mark_characters(options: TrnOptions) -> str:
    """Return the characters of which one stands in everything that is not plain text."""
    return "{}@*;\\" + "(" * options.optional_deletable + "-" * options.fragments


class _Parser:
    """Reads the words of one line, by recursive descent."""

    def __init__(self, text: str, at: str, options: TrnOptions) -> None:
        self._text = text
        self._at = at
        self._options = options
        self._position = 0

    def phrase(self) -> Phrase:
        """Return the whole line."""
        phrase, end = self._sequence(0)
        if end == "}":
            raise InvalidInput(
                f"{self._at}: a }} closes nothing", hint="alternatives are { a / b }"
            )
        return phrase

    def _sequence(self, depth: int) -> tuple[Phrase, str]:
        """Return the items up to a brace or slash that ends them, and what that was."""
        pattern = _BRANCH_ITEM if depth else _ITEM
        elements: list[str | Marked | Alternation] = []
        run: list[str] = []
        end = ""
        while (match := pattern.search(self._text, self._position)) is not None:
            self._position = match.end()
            item = match.group()
            if item == "}" or (depth and item == "/"):
                end = item
                break
            element = self._alternation(depth + 1) if item == "{" else self._word(item)
            if isinstance(element, str):
                run += [element] if element else []
                continue
            elements += [" ".join(run)] if run else []
            run = []
            elements.append(element)
        elements += [" ".join(run)] if run else []
        return tuple(elements), end

    def _alternation(self, depth: int) -> Alternation:
        if depth > _DEPTH:
            raise InvalidInput(f"{self._at}: alternatives are nested too deeply")
        branches: list[Phrase] = []
        end = "/"
        while end == "/":
            start = self._position
            branch, end = self._sequence(depth)
            if not end:
                raise InvalidInput(
                    f"{self._at}: a {{ is never closed", hint="alternatives are { a / b }"
                )
            if not self._text[start : self._position - 1].strip():
                raise InvalidInput(
                    f"{self._at}: an alternative is empty", hint="write @ where nothing is said"
                )
            branches.append(branch)
        return Alternation(branches=tuple(branches))

    def _word(self, item: str) -> str | Marked:
        """Return a word without its tags and escapes, "" for the null word."""
        word = _TAG.sub("", item).replace("\\", "") or item
        if len(word) > 1:
            word = word.removesuffix("*")
        if word == _NULL:
            return ""
        options = self._options
        optional = options.optional_deletable and len(word) > 2 and word[0] + word[-1] == "()"  # noqa: PLR2004  # two parentheses and a word
        bare = word[1:-1] if optional else word
        if options.fragments and len(bare) > 1:
            if bare.startswith("-"):
                return Marked(text=bare[1:], optional=optional, fragment="end")
            if bare.endswith("-"):
                return Marked(text=bare[:-1], optional=optional, fragment="start")
        return Marked(text=bare, optional=True) if optional else word
