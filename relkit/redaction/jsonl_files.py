"""Lines of JSON in which only some strings are looked at; every other byte stays."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from relkit.core.errors import Malformed

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]:,]')
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class JsonString:
    """A string of a line: its text, where its quotes stand, and its path (``turns.text``)."""

    text: str
    start: int
    end: int
    path: str

    def place(self, line: str, start: int, end: int) -> tuple[int, int]:
        """Return where characters ``start`` to ``end`` of the text stand in the line."""
        inner = self.start + 1
        if self.end - inner - 1 == len(self.text):
            return inner + start, inner + end
        starts = [match.start() for match in _CHARACTER.finditer(line, inner, self.end - 1)]
        starts.append(self.end - 1)
        return starts[start], starts[end]


def parse_strings(line: str, number: int, *, source: str) -> list[JsonString]:
    """Return the string values of a line of JSON, in order; names of members are none of them.

    Raises Malformed where the line is no JSON.
    """
    try:
        json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed(
            "is not one JSON value",
            source=source,
            line=number,
            hint="--format lines masks text of any kind",
        ) from error
    return list(_strings(line))


def _strings(line: str) -> Iterator[JsonString]:
    """Walk through JSON that is well-formed; arrays add nothing to a path."""
    names: list[str | None] = []  # an object's name that is current, None for an array
    is_name = [False]
    for match in _TOKEN.finditer(line):
        sign = match[0]
        if sign in "{[":
            names.append("" if sign == "{" else None)
            is_name.append(sign == "{")
        elif sign in "}]":
            names.pop()
            is_name.pop()
        elif sign == ",":
            is_name[-1] = bool(names) and names[-1] is not None
        elif sign == ":":
            is_name[-1] = False
        elif is_name[-1]:
            names[-1] = json.loads(sign, strict=False)
        else:
            path = ".".join(name for name in names if name is not None)
            text = json.loads(sign, strict=False)
            yield JsonString(text, match.start(), match.end(), path)


def in_fields(path: str, fields: Collection[str]) -> str | None:
    """Return the field that a path is or lies within, or None."""
    return next(
        (field for field in fields if path == field or path.startswith(f"{field}.")),
        None,
    )


def encode_string(text: str, like: str) -> str:
    """Return a string of JSON with its quotes, in ASCII where the line it replaces one of is."""
    ascii_only = like.isascii() or any("\ud800" <= char <= "\udfff" for char in text)
    return json.dumps(text, ensure_ascii=ascii_only)
