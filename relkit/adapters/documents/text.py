"""What templates print: values as text that stays text in Markdown, and numbers as they read."""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from relkit.core import wording
from relkit.core.errors import InvalidInput
from relkit.documents.types import NOT_MEASURED

# As ``wording.markdown``, but no more than is needed: people read this Markdown as it is, times and
# names such as rolled_back in it. ``_`` is nothing inside of a word, ``:`` only in an address or an
# emoji.
_MARKUP = re.compile(
    r"[\\`*{}\[\]<>#!|~$@&]|(?<![^\W_])_|_(?![^\W_])"
    r"|:(?=/)|(?<=mailto):|(?<=xmpp):|:(?!\d\d:)(?=[\w+-]+:)|(?<=www)\.",
    re.IGNORECASE,
)

# What makes a list, a heading, a table or a link of a line, or of the text before a value.
_START = re.compile(r"^( ?(?:\d{1,9}(?=[.)](?: |$))|(?=[-=+](?:[-= ]|$)|\(|:-)))")


def inert(text: str) -> Markup:
    """Return text that stays text wherever it stands in Markdown, at the start of a line, too."""
    line = re.sub(r"\s+", " ", wording.flat(text))
    return Markup(_START.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", line)))  # noqa: S704 - escaped


def present(value: object) -> None:
    """Raise what says that a value is not there, and which one."""
    if isinstance(value, StrictUndefined):
        str(value)  # fails with its name
    if isinstance(value, Undefined):
        raise InvalidInput("an if without else has nothing to print", hint="add what else it is")


def words_of(value: object) -> str:
    """Return a single value as text; raises InvalidInput for what has to be taken apart."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    present(value)
    raise InvalidInput(
        f"a {type(value).__name__} cannot be printed", hint="name a field of it, or loop over it"
    )


@pass_context
def printed(context: Context, value: object) -> Markup:
    """Return what is printed by ``{{ }}``: laid out already, or text."""
    del context  # asked for so that constants come through here, too
    return value if isinstance(value, Markup) else inert(wording.flat(words_of(value)).strip())


def laid_out(part: object) -> str:
    """Return a part of a text that is laid out: as it is where it is that already, or escaped."""
    return part if isinstance(part, Markup) else inert(words_of(part))


def _fenced(text: object, language: str = "", indent: int = 0) -> Markup:
    """Return text as a block of code whose fence no line of it can end.

    ``indent`` is in spaces, of the lines after the first: for a block in an item of a list.
    """
    lines = [
        "".join(char if char.isprintable() else " " for char in line)
        for line in words_of(text).splitlines()
    ]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    name = re.sub(r"[^a-z]", "", language)
    block = f"\n{' ' * min(indent, 12)}".join([fence + name, *lines, fence])
    return Markup(block)  # noqa: S704 - nothing ends the fence


def _measured(value: float | None, unit: str = "ratio") -> str:
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    return wording.number(value, unit)


def _ends(estimate: Any) -> str:  # noqa: ANN401 - an estimate, or what reads like one
    shown = wording.interval(estimate.low, estimate.high, estimate.unit)
    return NOT_MEASURED if shown == wording.NONE else shown


def _round(value: float, digits: int = 0) -> float:
    if not 0 <= digits <= 9:  # noqa: PLR2004 - Python counts the digits of an exponent out
        raise InvalidInput("round takes 0 to 9 digits", hint="use percent, ms or number")
    return round(value, digits)


FORMATS: Mapping[str, Callable[..., object]] = {
    "md": lambda value: inert(words_of(value)),
    "code": lambda value: Markup(wording.code(words_of(value))),  # noqa: S704 - inside a code span
    "fenced": _fenced,
    "quoted": lambda value: shlex.quote(wording.flat(words_of(value))),
    "round": _round,
    "value": lambda estimate: _measured(estimate.value, estimate.unit),
    "interval": _ends,
    "number": _measured,
    "percent": lambda value: _measured(value, "fraction"),
    "ms": lambda value: _measured(value, "ms"),
    "points": lambda value: NOT_MEASURED if value is None else wording.amount(value, "fraction"),
    "thousands": lambda value: NOT_MEASURED if value is None else wording.count(value),
}
"""Filters: where text goes, and how a number reads."""
