"""Slices as rules name them: ``overall``, ``col=value``, ``col=*`` and crossings of those."""

import re
from collections.abc import Iterable

from relkit.domain.slices import OVERALL, SliceSpec, escape_value

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
    plain = _unescaped(value)
    if "*" in value or "=" in value or "%" in _ESCAPE.sub("", value):
        raise ValueError("has a value that is not escaped", _WRITE_OUT)
    return column, escape_value(plain)


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0].upper()], value)


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
    wanted, found = pattern.split("&"), key.split("&")
    return len(wanted) == len(found) and all(
        one == other or (one.endswith("=*") and other.startswith(one[:-1]))
        for one, other in zip(wanted, found, strict=True)
    )


def spec_of(pattern: str) -> SliceSpec:
    """Return the columns of a pattern as what an aggregator cuts by."""
    return SliceSpec(columns=columns_of(pattern))


def expand_slices(pattern: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``keys`` that a pattern stands for, in their order."""
    return tuple(key for key in keys if matches(pattern, key))
