"""The four options every command takes, before or after the command's name."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from relkit.domain.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What the common options say; ``workspace`` is None for the nearest one upward."""

    workspace: Path | None = None
    as_json: bool = False
    quiet: bool = False
    debug: bool = False

    def over(self, outer: "Common") -> "Common":
        """Return these options, falling back to those given before the command's name."""
        return Common(
            workspace=self.workspace or outer.workspace,
            as_json=self.as_json or outer.as_json,
            quiet=self.quiet or outer.quiet,
            debug=self.debug or outer.debug,
        )

    @property
    def start(self) -> Path:
        """The folder to look for the workspace from; raises UsageError where it does not exist."""
        folder = self.workspace or Path.cwd()
        if not folder.is_dir():
            raise UsageError("--workspace: no such folder", hint="make one: relkit init DIR")
        return folder


def _option(name: str, kind: Any, option: Any, default: object) -> inspect.Parameter:  # noqa: ANN401  # Typer's own types
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=default
    )


def _flag(name: str, spelling: str, text: str) -> inspect.Parameter:
    return _option(name, bool, typer.Option(spelling, help=text), default=False)


_WORKSPACE = "Workspace (default: nearest upward)."
_OPTIONS = (
    _option(
        "workspace",
        Path | None,
        typer.Option("--workspace", metavar="DIR", help=_WORKSPACE),
        default=None,
    ),
    _flag("as_json", "--json", "One JSON document on stdout."),
    _flag("quiet", "--quiet", "Only results and errors."),
    _flag("debug", "--debug", "Show tracebacks."),
)
_NAMES = tuple(option.name for option in _OPTIONS)


def with_common(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options; it receives them as one ``common`` argument."""
    own = inspect.signature(function, eval_str=True)
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    kept = [parameter for name, parameter in own.parameters.items() if name != "common"]

    @wraps(function)
    def command(ctx: typer.Context, **values: Any) -> None:  # noqa: ANN401  # whatever the command's options are
        common = Common(**{name: values.pop(name) for name in _NAMES})
        if isinstance(ctx.obj, Common):
            common = common.over(ctx.obj)
        ctx.obj = common
        function(common=common, **values)

    signature = inspect.Signature([context, *kept, *_OPTIONS])
    typed = cast("Any", command)
    typed.__signature__ = signature
    typed.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    del typed.__wrapped__  # Typer would look through it and find the original signature
    return command
