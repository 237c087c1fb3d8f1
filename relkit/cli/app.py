"""The program: its commands by name, each imported when it is called."""

from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command as built

from relkit.cli.common import Common, with_common

COMMANDS = {
    "init": "Make a workspace with a dataset, suites and settings to start from.",
    "doctor": "Look at this machine and workspace, and say how to mend what is missing.",
    "eval": "Run a suite: decode, score by slice, write a run.",
    "rescore": "Score the stored predictions of a run again; nothing is decoded.",
    "score": "Score text against text.",
    "report": "Show a finished run as a page.",
    "compare": "Show where two runs differ, slice by slice.",
    "gate": "Decide whether a candidate may be promoted, and why.",
    "override": "Let a candidate go although its gate did not pass, signed.",
    "approve": "Sign a named check or approval that a policy requires.",
    "verify": "Verify a signed decision, override or check, offline.",
    "dataset": "Check, version, compare and import datasets.",
    "registry": "Keep releases and the ledger of what was served when.",
    "rollback": "Find the release to go back to; --apply goes there.",
    "bisect": "Find the first bad release, or the set that cannot be told apart.",
}
"""Command name to the one-line help; the module of the same name holds it."""

GROUPS: dict[str, dict[str, str]] = {
    "dataset": {
        "check": "Check a dataset against its contract.",
        "lock": "Put the audio under DVC and record the version.",
        "stats": "Show slices, speakers and coverage.",
        "diff": "Say what changed between two revisions.",
        "import": "Make a dataset from NeMo, Kaldi, Common Voice or AudioFolder data.",
        "candidates": "Rank the utterances of a run for human review; ids only.",
    },
    "registry": {
        "register": "Register a release: check it, compute its digests, write it to the ledger.",
        "validate": "Say everything that is wrong with releases and ledgers, file and line.",
        "promote": "Let a release be served, by a decision that passed.",
        "yank": "Withdraw a release: it is never promoted or rolled back to again.",
        "history": "Show what was served when, by share of traffic.",
        "verify": "Prove the chain of the ledger and every digest.",
        "import": "Bring in what another registry has: versions and aliases, marked as legacy.",
    },
}
"""Commands that are groups, with theirs: ``dataset lock`` is in ``dataset_lock_command``."""


class LazyGroup(TyperGroup):
    """Commands that are imported when called, so that ``--help`` stays fast."""

    table: ClassVar[dict[str, str]] = COMMANDS
    prefix: ClassVar[str] = ""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  # Typer's own context type is private
        """Return the names in the order of the table above."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002  # as above
        """Return the command, imported now; None for an unknown name."""
        if cmd_name not in self.table:
            return None
        if cmd_name not in self.commands:
            named = f"{self.prefix}{cmd_name}"
            self.commands[cmd_name] = _group(named) if named in GROUPS else _command(named)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  # as above
        """List the commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))


def _command(name: str) -> Any:  # noqa: ANN401  # Typer's own command type is private
    """Return the command that lives in the module of its name."""
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    module = import_module(f"relkit.cli.{name}_command")
    one.command(name=name.rpartition("_")[2])(with_common(module.command))
    return built(one)


def _group(name: str) -> Any:  # noqa: ANN401  # as above
    """Return a group of commands that are imported when called, too."""

    class Inner(LazyGroup):
        table = GROUPS[name]
        prefix = f"{name}_"

    one = typer.Typer(cls=Inner, name=name, add_completion=False, rich_markup_mode=None)

    def group(*, common: Common) -> None:
        """Take the common options before the name of the inner command, too."""

    one.callback(help=COMMANDS[name])(with_common(group))
    return built(one)


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # Typer calls it with the flag
    if value:
        from relkit._version import __version__

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
