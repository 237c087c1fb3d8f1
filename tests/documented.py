"""What docs/cli.md promises: the options of every command, the keys of every JSON document."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
_COMMAND = re.compile(r"^### `relkit ([^`]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (?:`([^`|]+)` of )?(`[^|]+`|any error) \| (.+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_IN_BRACKETS = re.compile(r"\([^)]*\)")


@cache
def commands() -> Mapping[str, frozenset[str]]:
    """Return the page's commands as they are typed, arguments included, with their options."""
    return {
        head: frozenset(
            option.split()[0]
            for row in re.findall(r"^\| (`-[^|]+) \|", section, re.MULTILINE)
            for option in _CODE.findall(row)
        )
        for head, section in _COMMAND.findall(PAGE)
    }


@cache
def keys() -> Mapping[tuple[str, str], tuple[frozenset[str], frozenset[str]]]:
    """Return (document, path inside it) to the keys it always has, and those it sometimes has.

    The path is empty for the document itself, else such as ``slices[].counts``.
    """
    found = {}
    table = PAGE[PAGE.index("## 9. What `--json` prints") :]
    for inside, names, cell in _ROW.findall(table):
        always, _, sometimes = _IN_BRACKETS.sub("", cell).partition(";")
        extra = frozenset(key for key in _CODE.findall(sometimes) if not key.startswith("-"))
        for name in _CODE.findall(names) or ["any error"]:
            found[name, inside] = (frozenset(_CODE.findall(always)), extra)
    return found


def check_keys(arguments: Sequence[str], document: Mapping[str, Any]) -> None:
    """Assert that what a command printed with ``--json`` has the keys that the page lists."""
    name = _document_name(arguments)
    if "error" in document:
        assert_keys("any error", "", document)
        assert_keys("error", "", document["error"])
    elif name is not None:
        assert_keys(name, "", document)


def assert_keys(name: str, path: str, part: Mapping[str, Any]) -> None:
    """Assert that a document, or a part of one, has all keys of the page and no other."""
    always, sometimes = keys()[name, path]
    assert always <= part.keys(), f"{name} {path} lacks {sorted(always - part.keys())}"
    unlisted = part.keys() - always - sometimes
    assert not unlisted, f"docs/cli.md does not list {sorted(unlisted)} of {name} {path}"


def _document_name(arguments: Sequence[str]) -> str | None:
    """Return the document that a command line prints, None for keys, which have no row."""
    words = [word for word in arguments if not word.startswith("-")]
    if "--make-key" in arguments or "--write-default" in arguments:
        return None
    beginnings = (" ".join(words[:length]) for length in (3, 2, 1))
    name = next((name for name in beginnings if (name, "") in keys()), words[0])
    option = next(
        (option for option in ("--plan", "--list", "--export", "--leaks") if option in arguments),
        "",
    )
    return f"{name} {option}".rstrip()
