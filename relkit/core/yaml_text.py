"""YAML 1.2 as settings files need it: plain data, each thing written once, lines remembered."""

import contextlib
import math
import re
from collections.abc import Callable

import yaml
from yaml.reader import ReaderError

from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput

_Loader = type[yaml.SafeLoader] | type[yaml.CSafeLoader]
_FAST: _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it: about ten times as fast."""
_READ_OTHERWISE = re.compile("[\t?\ufeff]")
"""What the two parsers read differently: libyaml takes a tab in a plain text, for example."""

MAX_YAML_BYTES = 1 << 20
MAX_YAML_DEPTH = 64
_LONGEST_NUMBER = 40
KeyPath = tuple[str | int, ...]
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def where(source: str, line: int | None = None) -> str:
    """Return ``file, line 3`` for messages."""
    return source if line is None else f"{source}, line {line}"


def shown(text: str, limit: int = 80) -> str:
    """Return text that is safe in a terminal and short: control characters are escaped."""
    safe = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


class LinesOfKeys(dict[KeyPath, int]):
    """The line of each key; ``plain`` has the scalars that are no text for YAML, as written."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.plain: dict[KeyPath, str] = {}


def load(text: str, *, source: str) -> tuple[JsonValue, LinesOfKeys]:
    """Return the document and the line of each of its keys; an empty file gives None.

    Raises InvalidInput for aliases, tags, duplicate keys, a second document, NaN and infinities,
    deep nesting and more than 1 MiB.
    """
    if len(text.encode(errors="replace")) > MAX_YAML_BYTES:
        raise InvalidInput(f"{source}: larger than 1 MiB", hint="a settings file is small")
    if not _READ_OTHERWISE.search(text):
        # What libyaml refuses Python's parser says: messages are the same on every machine.
        with contextlib.suppress(yaml.YAMLError, UnicodeError):
            return _loaded(text, source, _FAST)
    try:
        return _loaded(text, source, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark: yaml.Mark | None = error.problem_mark
        at = source if mark is None else where(source, mark.line + 1)
        raise InvalidInput(f"{at}: not YAML: {error.problem}") from error
    except ReaderError as error:
        at = where(source, text.count("\n", 0, error.position) + 1)
        raise InvalidInput(f"{at}: not YAML: it holds a forbidden character") from error


def _loaded(text: str, source: str, loader: _Loader) -> tuple[JsonValue, LinesOfKeys]:
    lines = LinesOfKeys()
    _refuse_events(text, source, loader)
    node = yaml.compose(text, Loader=loader)
    return (_value(node, (), source, lines) if node is not None else None), lines


def _refuse_events(text: str, source: str, loader: _Loader) -> None:
    """Refuse what means more than it says, before anything is built from it."""
    documents = depth = 0
    for event in yaml.parse(text, Loader=loader):
        start = event.start_mark
        at = source if start is None else where(source, start.line + 1)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:  # here and not later: PyYAML's time grows with the square of it
            raise InvalidInput(f"{at}: nested too deeply")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidInput(f"{at}: anchors and aliases are not allowed", hint="write it out")
        if getattr(event, "tag", None):
            raise InvalidInput(f"{at}: tags are not allowed", hint="remove the !tag")
        if documents > 1:
            raise InvalidInput(f"{at}: a second document begins", hint="keep one document a file")


def _value(node: yaml.Node, path: KeyPath, source: str, lines: LinesOfKeys) -> JsonValue:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, source, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), source, lines) for i, item in enumerate(node.value)]
    at = where(source, node.start_mark.line + 1)
    scalar = _scalar(node, at) if isinstance(node, yaml.ScalarNode) else None
    if not isinstance(scalar, str):
        lines.plain[path] = str(node.value)
    return scalar


def _mapping(
    node: yaml.MappingNode, path: KeyPath, source: str, lines: LinesOfKeys
) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {}
    for key_node, value_node in node.value:
        at = where(source, key_node.start_mark.line + 1)
        if not isinstance(key_node, yaml.ScalarNode) or not isinstance(_scalar(key_node, at), str):
            raise InvalidInput(f"{at}: keys must be strings", hint="put the key in quotes")
        key = str(key_node.value)
        if key in document:
            raise InvalidInput(
                f'{at}: the key "{shown(key)}" stands twice', hint="keep one of them"
            )
        lines[(*path, key)] = key_node.start_mark.line + 1
        document[key] = _value(value_node, (*path, key), source, lines)
    return document


def _scalar(node: yaml.ScalarNode, at: str) -> str | int | float | bool | None:
    """Resolve a scalar by the YAML 1.2 core schema (PyYAML's own resolver is YAML 1.1)."""
    text = str(node.value)
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput(f"{at}: holds a character that is no text", hint="remove the escape")
    if node.style:  # quoted or block text is always a string
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.fullmatch(text):
        raise InvalidInput(f"{at}: NaN and infinities are not allowed")
    for pattern, number in _NUMBERS:
        if pattern.fullmatch(text):
            value = number(text) if len(text) <= _LONGEST_NUMBER else math.inf
            if not math.isfinite(value):
                raise InvalidInput(f"{at}: the number {shown(text)} is out of range")
            return value
    return text


_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], int | float]], ...] = (
    (_INTEGER, lambda text: int(text, 0) if text.startswith(("0o", "0x")) else int(text)),
    (_FLOAT, float),
)
