"""Values of options that need no conversion, so that Typer builds no converter for them.

Typer converts by pydantic, whose import is most of what the help of a command costs, and does so
even for options that were not given.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, get_args


class Unconverted:
    """Stands for the converter of an option until a value needs it."""

    def __init__(self, built: Callable[[], Any]) -> None:
        """``built`` returns Typer's converter."""
        self._built = built

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401  # Typer's own types are private
        """Return the value as the command receives it; raises what Typer's converter raises."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        kind = param.type_descriptor.annotation
        kinds = [item for item in get_args(kind) if item is not type(None)] or [kind]
        # The exact type, alone: text that is a path, a number or a choice has to be converted.
        if kinds == [type(value)] and isinstance(value, str | Enum):
            return value
        return self._built().coerce(value, param=param, ctx=ctx)


def convert_late(parameters: Iterable[Any]) -> None:
    """Let the options and arguments of a command be converted only where they have to be."""
    for parameter in parameters:
        built = getattr(parameter, "get_runtime_param", None)
        if built is not None and "get_runtime_param" not in vars(parameter):
            late = Unconverted(built)
            parameter.get_runtime_param = lambda late=late: late
