"""Values of the types that are files, for the laws that hold for all of them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from relkit.core.values import (
    Checked,
    Limits,
    Read,
    Shape,
    checked_duration,
    checked_time,
    fraction_of,
    one_line,
)
from relkit.datasets.types import checked_bounds, checked_edges, one_or_two
from relkit.documents.types import plain_prose
from relkit.evaluation.types import (
    ANSWER_KEYS,
    Recorded,
    Suite,
    checked_mapping,
    checked_metrics,
    checked_systems,
    with_overall,
)
from relkit.monitoring.cost.types import (
    checked_currency,
    checked_date,
    checked_token_price,
)
from relkit.monitoring.slo.types import checked_target
from relkit.registry.types import language_name, no_line_break, printable
from relkit.scoring.normalizers import checked_replacements, free_name

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
CHECKED: dict[object, st.SearchStrategy[Any]] = {
    checked_time: st.integers(0, 2**32).map(
        lambda second: f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
    ),
    checked_bounds: st.tuples(st.floats(0, 1e5), st.floats(1e5, 1e6, exclude_min=True)),
    one_or_two: st.sampled_from(["speaker", ("speaker",), ("speaker", "text")]),
    checked_edges: st.sets(
        st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3
    ).map(lambda edges: tuple(sorted(edges))),
    checked_mapping: st.dictionaries(st.sampled_from(ANSWER_KEYS), st.text("abc", min_size=1)),
    checked_metrics: st.lists(st.sampled_from(["wer", "rtf", "latency_ms.p95"]), min_size=1).map(
        lambda names: tuple(dict.fromkeys(names))
    ),
    with_overall: st.lists(st.sampled_from(["accent", "noise", "accent&noise"])).map(
        lambda names: with_overall(tuple(names))
    ),
    checked_systems: st.deferred(lambda: _later(Suite)).map(
        lambda suite: replace(suite, task="asr", system=Recorded(path="a"), recogniser=None)
    ),
    checked_replacements: st.dictionaries(
        st.text("abc", min_size=1, max_size=3), st.text("abc ", max_size=3), min_size=1
    ),
    checked_target: st.floats(0.5, 0.9999),
    free_name: st.sampled_from(["mine", "a.b-c"]),
    fraction_of: st.sampled_from([0.01, 0.1, 0.5]),
    checked_duration: st.integers(1, 999_999).map("{}s".format),
    checked_currency: st.sampled_from(["USD", "EUR"]),
    checked_date: st.dates().map(str),
    checked_token_price: st.floats(0, 1),
    one_line: st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9),
    printable: st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9),
    plain_prose: st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9),
    no_line_break: st.text(st.characters(categories=["L", "N", "Zs"]), max_size=9).filter(
        str.isprintable
    ),
    language_name: st.sampled_from(["en", "en-GB", "zh-Hant-TW"]),
}
"""What passes a check: random text hardly ever would."""
_PLAIN: dict[object, st.SearchStrategy[Any]] = {
    str: _TEXT,
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=8),
    object: _JSON,
    Any: _JSON,
    NoneType: st.none(),
}


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any annotation
    """Return values of a type: what its annotations let each field hold."""
    if dataclasses.is_dataclass(kind):
        return _instances(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    arguments: Any = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            made = _limited(arguments[0], arguments[1:])
        case origin if origin in (Union, UnionType):
            made = st.one_of([values(member) for member in reversed(arguments)])
        case origin if origin is Literal:
            made = st.sampled_from(arguments)
        case origin if origin is Mapping:
            made = st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
        case origin if origin is tuple and arguments[-1] is ...:
            made = st.lists(values(arguments[0]), max_size=2).map(tuple)
        case origin if origin is tuple:
            made = st.tuples(*map(values, arguments))
        case _:
            made = _PLAIN[kind]
    return made


def _instances(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - as above
    hints = get_type_hints(kind, include_extras=True)
    needed: dict[str, st.SearchStrategy[Any]] = {}
    others: dict[str, st.SearchStrategy[Any]] = {}
    for item in dataclasses.fields(kind):
        has_default = item.default is not item.default_factory
        if item.metadata.get("outside"):
            continue
        # Later: a type may hold others of itself.
        made = _later(hints[item.name]) if has_default else values(hints[item.name])
        optional = has_default and not getattr(kind, "FILE", Shape()).required
        (others if optional else needed)[item.name] = made
    return st.fixed_dictionaries(needed, optional=others).map(lambda made: kind(**made))


def _later(hint: object) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: values(hint))


def _limited(base: Any, marks: tuple[object, ...]) -> st.SearchStrategy[Any]:  # noqa: ANN401 - as above
    limits: dict[str, Any] = {}
    for mark in marks:
        check = getattr(mark, "check", None) or getattr(mark, "read", None)
        if isinstance(mark, Checked | Read) and check in CHECKED:
            return CHECKED[check]
        if isinstance(mark, Limits):
            limits |= mark.limits
    if "pattern" in limits:
        return st.from_regex(limits["pattern"].removesuffix("$") + r"\Z")
    low, high = limits.get("ge", limits.get("gt")), limits.get("le")
    if base is int:
        return st.integers(low, high)
    if base is float:
        return st.floats(
            low, high, exclude_min="gt" in limits, allow_nan=False, allow_infinity=False
        )
    least, most = limits.get("min_length", 0), limits.get("max_length", 100)
    made = values(base)
    return made.filter(lambda value: least <= len(value) <= most) if limits else made
