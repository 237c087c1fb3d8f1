"""Files of other tools with any value replaced: they are read, or refused in one message."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relkit.core.errors import InvalidInput
from relkit.safety.garak_files import parse_garak
from relkit.safety.promptfoo_files import parse_promptfoo
from tests.red_team_data import END, INIT, SETUP, attempt, document, lines, report, result

VALUES: tuple[Any, ...] = (None, 1, "x", [], {}, True, 1e300, [None], {"a": 1}, ["x"], [{}])
Read = Callable[..., object]


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside of JSON."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, item in inside:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:  # noqa: ANN401 - JSON
    """Return JSON with another value at a path."""
    changed = inner = copy.deepcopy(value)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return changed


def read(parse: Read, text: str) -> bool:
    """Tell whether a file was read; everything but one message is a defect."""
    try:
        parse(text, source="results")
    except InvalidInput:
        return False
    return True


PROMPTFOO = json.loads(document(result("a"), result("b", withstood=False)))
GARAK = [SETUP, INIT, attempt("u1", "a"), attempt("u2", "b"), END]


@pytest.mark.parametrize(
    ("parse", "base", "text"),
    [
        (parse_promptfoo, PROMPTFOO, json.dumps),
        (parse_garak, GARAK, lambda rows: lines(*rows)),
    ],
)
def test_any_value_may_be_another(parse: Read, base: Any, text: Callable[[Any], str]) -> None:  # noqa: ANN401 - JSON
    """Other versions hold other shapes: each is read, or refused in words."""
    assert read(parse, text(base))
    for path in places(base):
        for value in VALUES:
            read(parse, text(replaced(base, path, value)))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_promptfoo, document(result("a"))),
        (parse_garak, report(attempt("u1", "a"), attempt("u2", "b")).rstrip("\n")),
    ],
)
def test_no_part_of_a_file_is_a_file(parse: Read, text: str) -> None:
    """Wherever it was cut off."""
    assert read(parse, text)
    assert not any(read(parse, text[:end]) for end in range(0, len(text), 7))
