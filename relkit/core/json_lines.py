"""JSON lines, strictly and fast: a block at a time, line by line only where something smells."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

from relkit.core.codec import parse_json
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where

JsonRow = dict[str, Any]
StringColumns = Mapping[str, Sequence[str]]
"""The strings of objects that have the same keys in the same order, by key."""

_BLOCK = 1 << 18  # characters


def row_blocks(text: str, *, source: str) -> Iterator[tuple[Sequence[JsonRow], Sequence[int]]]:
    """Yield the objects of a text, one a line, with their line numbers, some thousands at a time.

    Blank lines are passed over. All that :func:`relkit.core.codec.parse_json` refuses is
    refused, and lines that are no objects; raises InvalidInput naming file and line.
    """
    for block, first in _blocks(text):
        yield _rows(block, source, first)


def column_blocks(
    text: str, *, source: str
) -> Iterator[tuple[StringColumns | None, Sequence[JsonRow], Sequence[int]]]:
    """Yield what :func:`row_blocks` does, as columns of strings where all lines are alike.

    Those come without a dictionary for each line, in a quarter of the time; where there are none
    the rows are there.
    """
    for block, first in _blocks(text):
        columns = _read_columns(block)
        if columns is None:
            yield None, *_rows(block, source, first)
        else:
            size = len(next(iter(columns.values())))
            yield columns, (), range(first, first + size)


def _blocks(text: str) -> Iterator[tuple[str, int]]:
    """Yield some thousand lines at a time, with the number of the first."""
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    start, first = 0, 1
    while start < len(text):
        end = text.find("\n", start + _BLOCK) + 1 or len(text)
        block = text[start:end]
        yield block, first
        start = end
        first += block.count("\n")


def _rows(block: str, source: str, first: int) -> tuple[Sequence[JsonRow], Sequence[int]]:
    rows = _read_block(block)
    if rows is not None:
        return rows, range(first, first + len(rows))
    numbers, strict = _read_lines(block, source, first)
    return strict, numbers


_CONTROL = bytes(code for code in range(32) if code != ord("\n"))


def _read_columns(block: str) -> StringColumns | None:
    """Return columns where all lines have the first one's keys, and strings alone, or None.

    Without a backslash a quote is no part of a string, so that between quotes keys and values take
    turns with what separates them: all that has to be checked. A key that stands twice is one more.
    """
    names = _keys_of_strings(block[: block.find("\n") + 1] or block)
    data = block.encode()
    if not names or "\\" in block or len(data.translate(None, _CONTROL)) != len(data):
        return None
    parts = block.split('"')
    period = 4 * len(names)
    size, rest = divmod(len(parts), period)
    # Equal to the first one is told faster than being one of two.
    separators = [({"}\n{"}, parts[period:-1:period], size - 1)]
    for at in range(1, 2 * len(names)):
        separators += [({": ", ":"} if at % 2 else {", ", ","}, parts[2 * at :: period], size)]
    alike = (
        rest == 1
        and parts[0] == "{"
        and parts[-1] in ("}", "}\n")
        and all(
            not between or (between[0] in allowed and between.count(between[0]) == times)
            for allowed, between, times in separators
        )
        and all(parts[4 * at + 1 :: period].count(name) == size for at, name in enumerate(names))
    )
    if not alike:
        return None
    return {name: parts[4 * at + 3 :: period] for at, name in enumerate(names)}


def _keys_of_strings(line: str) -> list[str]:
    """Return the keys of an object whose values are strings, none for anything else."""
    try:
        row = _read_many(line)
    except (ValueError, RecursionError):
        return []
    strings = isinstance(row, dict) and {str}.issuperset(map(type, row.values()))
    return list(row) if strings and line.count('"') == 4 * len(row) else []


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


_read_many = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite).decode

# Objects become tuples of their pairs, so that a key that stands twice is still there to be seen.
_read_one = json.JSONDecoder(
    parse_constant=_refuse, parse_float=_finite, object_pairs_hook=tuple
).raw_decode


def _read_block(block: str) -> list[JsonRow] | None:
    """Return one object a line, or None where the strict reader has to look.

    Objects inside of the rows are tuples of pairs.
    """
    lines = block.count("\n") + (not block.endswith("\n"))
    try:
        return _read_flat(block, lines) or _read_any(block, lines)
    except (ValueError, RecursionError):
        return None


def _read_flat(block: str, lines: int) -> list[JsonRow] | None:
    r"""Return objects that hold no others and no escaped quote, read as one array, or None.

    Where every brace opens a line and there is no bracket, a line is an object of its own. A key
    that stands twice takes a string with it, which the quotes betray: there are two for each
    string that the text holds.
    """
    openings = block.startswith("{") + block.count("\n{")
    if not openings == block.count("{") == lines or "[" in block or '\\"' in block:
        return None
    rows: list[JsonRow] = _read_many("[" + block.removesuffix("\n").replace("\n", ",\n") + "]")
    if len(rows) != lines:
        return None
    values = chain.from_iterable(map(dict.values, rows))
    strings = sum(map(len, rows)) + list(map(type, values)).count(str)
    return rows if block.count('"') == 2 * strings else None


def _read_any(block: str, lines: int) -> list[JsonRow] | None:
    """Return any objects, one a line, or None where a key stands twice or lines are not lines."""
    pairs: list[tuple[tuple[str, Any], ...]] = []
    at, end = 0, len(block)
    while at < end:
        row, at = _read_one(block, at)
        if at < end and block[at] != "\n":
            return None
        at += 1
        pairs.append(row)
    if len(pairs) != lines or set(map(type, pairs)) != {tuple}:
        return None
    return None if any(map(_repeats_key, pairs)) else list(map(dict, pairs))


def _repeats_key(value: object) -> bool:
    """Tell whether an object, a tuple of pairs, has a key twice, on any level."""
    if isinstance(value, tuple):
        keys = {key for key, _ in value}
        return len(keys) != len(value) or any(_repeats_key(item) for _, item in value)
    return isinstance(value, list) and any(map(_repeats_key, value))


def _read_lines(block: str, source: str, first: int) -> tuple[list[int], list[JsonRow]]:
    """Return the objects of the lines that are not blank, strictly, with their line numbers."""
    numbers: list[int] = []
    rows: list[JsonRow] = []
    for number, line in enumerate(block.split("\n"), start=first):
        if not line or line.isspace():
            continue
        row = parse_json(line, source=source, line=number)
        if not isinstance(row, dict):
            raise InvalidInput(
                f"{where(source, number)}: the line holds no JSON object",
                hint='a line is: {"id": "…", "text": "…"}',
            )
        numbers.append(number)
        rows.append(row)
    return numbers, rows
