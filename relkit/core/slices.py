"""Slices: the keys of parts of a dataset, in one spelling, and how rules name them.

A rule names ``overall``, ``col=value``, ``col=*`` and crossings of those.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

OVERALL = "overall"
_ESCAPED = {"%": "%25", "&": "%26", "=": "%3D", "*": "%2A"}


def escape_value(value: str) -> str:
    """Return a slice value with ``& = * %`` percent-escaped (docs/cli.md, section "Slices")."""
    return "".join(_ESCAPED.get(char, char) for char in value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSpec:
    """The columns a dataset is cut by: none for ``overall``, two or more for a crossing."""

    columns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "SliceSpec":
        """Return the columns of ``accent`` or ``noise&channel``, sorted and without repeats."""
        if text == OVERALL:
            return cls()
        return cls(columns=tuple(sorted({part.strip() for part in text.split("&")})))

    @property
    def name(self) -> str:
        """``overall``, ``accent`` or ``channel&noise``."""
        return "&".join(self.columns) or OVERALL

    def key(self, values: Iterable[str]) -> str:
        """Return ``col=value&col2=value2`` for values in the order of ``columns``."""
        pairs = zip(self.columns, values, strict=True)
        return "&".join(f"{column}={escape_value(value)}" for column, value in pairs) or OVERALL


ANY = "*"
_ESCAPES = {"%25": "%", "%26": "&", "%3D": "=", "%2A": "*"}
_ESCAPE = re.compile("|".join(_ESCAPES), re.IGNORECASE)
_WRITE_OUT = "inside a value & = * % are written %26 %3D %2A %25"


def normal_slice(text: str) -> str:
    """Return a rule's slice in its one spelling: columns by name, values escaped, ``*`` kept.

    Raises ValueError(what is wrong, what to do).
    """
    if text == OVERALL:
        return text
    pairs = [_pair(part) for part in text.split("&")]
    columns = [column for column, _ in pairs]
    if len(set(columns)) != len(columns):
        raise ValueError("names a column twice", "name each column once")
    return "&".join(f"{column}={value}" for column, value in sorted(pairs))


def _pair(part: str) -> tuple[str, str]:
    column, sign, value = part.partition("=")
    column = column.strip()
    if not sign:
        raise ValueError("is no slice", f'for example "{column or "accent"}=*", or overall')
    if not column or not value:
        raise ValueError("lacks a column or a value", 'write "column=value" or "column=*"')
    if "%" in column or "*" in column:
        raise ValueError("has a column that cannot be", "a column's name holds none of & = * %")
    if value == ANY:
        return column, ANY
    plain = _ESCAPE.sub(lambda escape: _ESCAPES[escape[0].upper()], value)
    if "*" in value or "=" in value or "%" in _ESCAPE.sub("", value):
        raise ValueError("has a value that is not escaped", _WRITE_OUT)
    return column, escape_value(plain)


def columns_of(pattern: str) -> tuple[str, ...]:
    """Return the columns that a normal slice or pattern names, by name; none for ``overall``."""
    if pattern == OVERALL:
        return ()
    return tuple(part.partition("=")[0] for part in pattern.split("&"))


def is_pattern(pattern: str) -> bool:
    """Return whether a normal slice stands for several: it holds ``col=*``."""
    return pattern != OVERALL and any(part.endswith("=*") for part in pattern.split("&"))


def matches(pattern: str, key: str) -> bool:
    """Return whether a slice (``accent=scottish``) is one of those that a pattern stands for."""
    if OVERALL in (pattern, key):
        return pattern == key
    parts, key_parts = pattern.split("&"), key.split("&")
    return len(parts) == len(key_parts) and all(
        part == key_part or (part.endswith("=*") and key_part.startswith(part[:-1]))
        for part, key_part in zip(parts, key_parts, strict=True)
    )


def spec_of(pattern: str) -> SliceSpec:
    """Return the columns of a pattern as what an aggregator cuts by."""
    return SliceSpec(columns=columns_of(pattern))


def expand_slices(pattern: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``keys`` that a pattern stands for, in their order."""
    return tuple(key for key in keys if matches(pattern, key))


def slice_parts(key: str) -> tuple[tuple[str, str], ...]:
    """Return the (column, value) pairs of a slice key, unescaped; empty for ``overall``."""
    if key == OVERALL:
        return ()
    pairs = (part.partition("=") for part in key.split("&"))
    return tuple((column, unquote(value)) for column, _, value in pairs)
