"""The program: its commands by name, each imported when it is called."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command as built

from relkit.cli.common import Common, with_common

COMMANDS = {
    "init": "Make a workspace with a dataset, suites and settings to start from.",
    "eval": "Run a suite: decode, score by slice, write a run.",
    "rescore": "Score the stored predictions of a run again; nothing is decoded.",
    "score": "Score text against text.",
    "report": "Show a finished run as a page.",
}
"""Command name to the one-line help; the module of the same name holds it."""

_MODULES = {name: f"relkit.cli.{name}_command" for name in COMMANDS}


class LazyGroup(TyperGroup):
    """Commands that are imported when called, so that ``--help`` stays fast."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  # Typer's own context type is private
        """Return the names in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002  # as above
        """Return the command, imported now; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            one = typer.Typer(add_completion=False, rich_markup_mode=None)
            module = import_module(_MODULES[cmd_name])
            one.command(name=cmd_name)(with_common(module.command))
            self.commands[cmd_name] = built(one)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  # as above
        """List the commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # Typer calls it with the flag
    if value:
        from relkit import __version__

        typer.echo(f"relkit {__version__}")
        raise typer.Exit


@app.callback()
@with_common
def relkit(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version."),
    ] = False,
    common: Common,
) -> None:
    """Evaluate and release served speech assistants.

    Start with: relkit init my-assistant && cd my-assistant && relkit eval demo
    """
