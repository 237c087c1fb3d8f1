"""Values with limits, and how the fields of a type stand in its file. No import of pydantic here.

A number or a text that not every number or text can be is ``Annotated`` with :class:`Limits`,
:class:`Checked` or :class:`Read`; a type whose file is not simply its fields says so in ``FILE``
or in the metadata of a field (see :mod:`relkit.records.codec`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, get_args, get_type_hints

Schema = dict[str, Any]
"""A schema of pydantic-core: a plain dictionary."""


class Limits:
    """Limits of a value by the names pydantic-core has for them: ``ge`` or ``pattern``."""

    def __init__(self, **limits: float | str) -> None:
        """Take them as they are."""
        self.limits = limits

    def __get_pydantic_core_schema__(
        self, source: object, handler: Callable[[object], Schema]
    ) -> Schema:
        """Return the schema of the type with the limits in it."""
        return {**handler(source), **self.limits}


class Checked:
    """What no limit can say: a function that returns the value, or raises ValueError."""

    def __init__(self, check: Callable[[Any], object]) -> None:
        """Call ``check`` with a value that has the right type."""
        self.check = check

    def __get_pydantic_core_schema__(
        self, source: object, handler: Callable[[object], Schema]
    ) -> Schema:
        """Return the schema of the type, and the function after it."""
        function = {"type": "no-info", "function": self.check}
        return {"type": "function-after", "function": function, "schema": handler(source)}


class Read:
    """A spelling of a value that is not its own: ``read`` turns what the file has into it.

    ``read`` is called with anything and raises ValueError; ``schema`` is the JSON Schema of the
    spelling.
    """

    def __init__(self, read: Callable[[Any], object], schema: Schema | None = None) -> None:
        """Call ``read`` with what stands in the file."""
        self.read = read
        self.schema = schema

    def __get_pydantic_core_schema__(
        self, source: object, handler: Callable[[object], Schema]
    ) -> Schema:
        """Return the function, and the schema of the type after it."""
        function = {"type": "no-info", "function": self.read}
        return {"type": "function-before", "function": function, "schema": handler(source)}

    def __get_pydantic_json_schema__(
        self, core: Schema, handler: Callable[[Schema], Schema]
    ) -> Schema:
        """Return the JSON Schema of the spelling."""
        return handler(core) if self.schema is None else dict(self.schema)


class Tagged:
    """A union of types that a key tells apart; each type has it as a ``Literal``."""

    def __init__(self, key: str) -> None:
        """Tell them apart by ``key``."""
        self.key = key

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Schema:  # noqa: ANN401 - pydantic's own
        """Return a union that looks at the key first."""
        choices = {
            tag: handler.generate_schema(member)
            for member in get_args(source)
            for tag in get_args(get_type_hints(member)[self.key])
        }
        return {"type": "tagged-union", "discriminator": self.key, "choices": choices}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a type stands in its file, where that is not simply its fields.

    ``required``: a key whose field has a default may not be left out. ``omitted``: a key is not
    written where the field has its default. Metadata of a field says otherwise for that field.
    ``derived`` maps a property that is written, too, to the field that it stands behind; read, it
    has to be there and counts for nothing.
    """

    required: bool = False
    omitted: bool = False
    derived: Mapping[str, str] = field(default_factory=dict)


REQUIRED = {"required": True}
"""Metadata of a field: its default is for code, a file has to have the key."""
OPTIONAL = {"required": False}
"""Metadata of a field: a file may leave the key out although the others are required."""
OMITTED = {"omitted": True}
"""Metadata of a field: at its default it is not written."""
WRITTEN = {"omitted": False}
"""Metadata of a field: written at its default although the others are not."""
OUTSIDE = {"outside": True}
"""Metadata of a field that is no key of the file: it has a default, and is filled in by code."""


def named(key: str) -> dict[str, str]:
    """Return metadata of a field that has another name in the file (``payloadType``)."""
    return {"key": key}


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@lru_cache(maxsize=4096)
def checked_time(text: str) -> str:
    """Return a UTC time to the second as it is written; raises ValueError for what is none."""
    try:
        datetime.fromisoformat(text if _TIME.fullmatch(text) else "")
    except ValueError as error:
        raise ValueError("a UTC time such as 2026-01-31T12:00:00Z was expected") from error
    return text


def one_line(text: str) -> str:
    """Return text that is one line; raises ValueError for none, several, and blanks around it."""
    if not text.strip():
        raise ValueError("is empty")
    if text != text.strip():
        raise ValueError("has blanks around it")
    if not text.isprintable():
        raise ValueError("holds a line break or another control character")
    return text


Digest = Annotated[str, Limits(pattern=r"^sha256:[0-9a-f]{64}$")]
Time = Annotated[str, Checked(checked_time)]
"""UTC to the second, ``2026-01-31T12:00:00Z``."""
Count = Annotated[int, Limits(ge=0)]
Rate = Annotated[float, Limits(ge=0, le=1)]
"""A fraction, 0 to 1."""
Line = Annotated[str, Limits(max_length=200), Checked(one_line)]
"""One printable line that people wrote into a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A named input by digest."""

    name: str
    digest: Digest
