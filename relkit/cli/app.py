"""The program: its commands by name, each imported when it is called."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command as built

from relkit.cli.completion import complete
from relkit.cli.output import Color
from relkit.cli.values import convert_late
from relkit.core.errors import ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from relkit.core.config import Workspace


COMMANDS = {
    "init": (
        "workspace:init",
        "Make a workspace with a dataset, suites and settings to start from.",
    ),
    "doctor": (
        "workspace:doctor",
        "Look at this machine and workspace, and say how to mend what is missing.",
    ),
    "eval": ("evaluate:evaluate", "Run a suite: decode, score by slice, write a run."),
    "rescore": (
        "evaluate:rescore",
        "Score the stored predictions of a run again; nothing is decoded.",
    ),
    "score": ("evaluate:score", "Score text against text."),
    "runs": ("evaluate:runs", "List the runs, newest first."),
    "report": ("evaluate:report", "Show a finished run as a page."),
    "compare": ("evaluate:compare", "Show where two runs differ, slice by slice."),
    "gate": ("gate:gate", "Decide whether a candidate may be promoted, and why."),
    "override": ("gate:override", "Let a candidate go although its gate did not pass, signed."),
    "approve": ("gate:approve", "Sign a named check or approval that a policy requires."),
    "verify": ("gate:verify", "Verify a signed decision, override or check, offline."),
    "dataset": ("", "Check, version, compare and import datasets."),
    "registry": ("", "Keep releases and the ledger of what was served when."),
    "telemetry": ("", "Look at what a served assistant sent."),
    "simulate": ("", "Make traffic with a fault that is known, to rehearse with."),
    "canary": ("canary:canary", "Judge a canary on live traffic: advance, hold or roll back."),
    "drift": ("drift:drift", "Judge windows of live traffic against a frozen reference."),
    "cost": ("cost:cost", "Compare what two arms cost per call, audio minute and success."),
    "slo": ("slo:slo", "Say whether an error budget burns too fast, and who spent it."),
    "health": ("serving:health", "Say how a service bears its load, from live traffic."),
    "capacity": ("serving:capacity", "Say what a service can bear, and what it needs."),
    "triage": ("triage:triage", "Say what broke, and which release did it, or that none did."),
    "incident": ("", "Tell others of an incident, and of nobody: packets."),
    "drill": ("", "Rehearse an incident, and see what the response was worth."),
    "safety": ("", "Look for abuse, and take results of other tools as runs."),
    "listen": (
        "conversation:listen",
        "Measure turns and latencies of recordings that were made elsewhere.",
    ),
    "events": ("", "Make recorded answers of conversations from what others logged."),
    "runbook": ("documents:runbook", "Write what to do about a release, from records alone."),
    "card": ("documents:card", "Write the model card of a release, from its records alone."),
    "redact": ("redact:redact", "Mask personal values in text, for local debugging only."),
    "agent": ("", "Run the voice agent that comes with relkit."),
    "rollback": ("rollback:rollback", "Find the release to go back to; --apply goes there."),
    "bisect": (
        "rollback:bisect",
        "Find the first bad release, or the set that cannot be told apart.",
    ),
}
"""Command name to the function that is the command (``module:function``), and its one-line help.

A group has none, or the one that is called where its first word is the name of no inner command.
"""

GROUPS = {
    "cost": {"prices": ("", "Check price tables, and make them from those of others.")},
    "cost prices": {
        "check": ("cost:check", "Check a price table: its prices, days and currency."),
        "import": (
            "cost:import_",
            "Make a price table from the price map of LiteLLM or Langfuse.",
        ),
    },
    "dataset": {
        "check": ("dataset:check", "Check a dataset against its contract."),
        "lock": ("dataset:lock", "Put the audio under DVC and record the version."),
        "stats": ("dataset:stats", "Show slices, speakers and coverage."),
        "diff": ("dataset:diff", "Say what changed between two revisions."),
        "import": (
            "dataset:import_",
            "Make a dataset from NeMo, Kaldi, Common Voice, AudioFolder or CSV data.",
        ),
        "candidates": (
            "dataset:candidates",
            "Rank the utterances of a run for human review; ids only.",
        ),
    },
    "registry": {
        "register": (
            "registry:register",
            "Register a release: check it, compute its digests, write it to the ledger.",
        ),
        "validate": (
            "registry:validate",
            "Say everything that is wrong with releases and ledgers, file and line.",
        ),
        "promote": ("registry:promote", "Let a release be served, by a decision that passed."),
        "yank": (
            "registry:yank",
            "Withdraw a release: it is never promoted or rolled back to again.",
        ),
        "history": ("registry:history", "Show what was served when, by share of traffic."),
        "verify": ("registry:verify", "Prove the chain of the ledger and every digest."),
        "import": (
            "registry:import_",
            "Bring in what another registry has: versions and aliases, marked as legacy.",
        ),
    },
    "telemetry": {
        "check": ("telemetry:check", "Say what telemetry holds, what would be dropped, and why."),
        "import": (
            "telemetry:import_",
            "Write traces, or any readable telemetry, to the turn table.",
        ),
    },
    "simulate": {
        "telemetry": (
            "simulate:telemetry",
            "Write turns of simulated calls with a named fault.",
        ),
        "incident": (
            "simulate:incident",
            "Write an incident with its answer: telemetry, ledgers, events elsewhere.",
        ),
    },
    "incident": {
        "packet": (
            "incident:packet",
            "Write a signed packet about an incident: aggregates only.",
        ),
        "show": (
            "incident:show_packet",
            "Read a packet: what broke, since when, for whom, what was done.",
        ),
        "verify": (
            "incident:verify",
            "Check a packet as its receiver: offline, trusting nothing in it.",
        ),
        "resolve": (
            "incident:resolve",
            "Translate a pseudonym back, where the packet was made.",
        ),
        "open": (
            "incident:open_",
            "Print what a packet's commitments are opened with, for an auditor.",
        ),
    },
    "safety": {
        "import": (
            "safety:import_",
            "Take the results of another tool as a run, which a gate can judge.",
        ),
        "voices": ("safety:voices", "Say whether every cloned voice has consent today."),
        "abuse": (
            "safety:abuse",
            "Say whether a class of tenants does far more than at these hours before.",
        ),
    },
    "drill": {
        "list": ("drill:list_", "Show the drills there are."),
        "start": (
            "drill:start",
            "Begin a drill: its first alert has just arrived, and telemetry goes on growing.",
        ),
        "status": (
            "drill:status",
            "Let the drill go on to where its clock is, and say what has arrived.",
        ),
        "answer": ("drill:answer", "Hand in what it was, what was done and what was sent."),
        "score": ("drill:score", "Say what the answer was worth, and where points went."),
    },
    "agent": {
        "demo": (
            "conversation:agent_demo",
            "Serve a small voice agent on this machine, to hold conversations with.",
        ),
    },
    "events": {
        "convert": (
            "conversation:convert",
            "Make recorded answers from logs of voice frameworks.",
        ),
    },
    "drift": {
        "profile": ("drift:profile", "Freeze a reference: bins, shares and counts, and no row."),
    },
}
"""Commands that are groups, each with a table of its own; one inside another by both names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What the common options say; ``workspace`` is None for the nearest one upward."""

    workspace: Path | None = None
    as_json: bool = False
    quiet: bool = False
    debug: bool = False
    color: Color = Color.AUTO

    def over(self, outer: "Common") -> "Common":
        """Return these options, falling back to those given before the command's name."""
        return Common(
            workspace=self.workspace or outer.workspace,
            as_json=self.as_json or outer.as_json,
            quiet=self.quiet or outer.quiet,
            debug=self.debug or outer.debug,
            color=outer.color if self.color is Color.AUTO else self.color,
        )

    @property
    def start(self) -> Path:
        """The folder to look for the workspace from; raises UsageError where it does not exist."""
        folder = self.workspace or Path.cwd()
        if not folder.is_dir():
            raise UsageError("--workspace: no such folder", hint="make one: relkit init DIR")
        return folder

    def settled(self, run: Any, *, finished: bool) -> Any:  # noqa: ANN401  # a name, a list of them, or None
        """Return runs with ``@latest`` and ``@prev`` as ids: they mean one run all the time.

        ``PART=@latest`` is a run of a part. Raises InvalidInput, UsageError.
        """
        if isinstance(run, list):
            return [self.settled(item, finished=finished) for item in run]
        part, sign, name = (run or "").rpartition("=")
        if not name.startswith("@"):
            return run
        from relkit.wiring.stores import run_folders

        return f"{part}{sign}{run_folders(self.open()).named(name, finished=finished)}"

    def open(self) -> "Workspace":
        """Return the workspace the command works in; raises InvalidInput, UsageError."""
        from relkit.wiring.stores import open_workspace

        return open_workspace(self.start)


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
    _option(
        "color",
        Color,
        typer.Option("--color", metavar="WHEN", help="auto, always or never; see NO_COLOR."),
        default=Color.AUTO,
    ),
)

_NAMES = tuple(option.name for option in _OPTIONS)


def with_common(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options; it receives them as one ``common`` argument."""
    declared = inspect.signature(function, eval_str=True)
    runs = complete(declared.parameters.values())
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    parameters = [parameter for name, parameter in declared.parameters.items() if name != "common"]

    @wraps(function)
    def command(ctx: typer.Context, **values: Any) -> None:  # noqa: ANN401  # whatever the command's options are
        common = Common(**{name: values.pop(name) for name in _NAMES})
        if isinstance(ctx.obj, Common):
            common = common.over(ctx.obj)
        ctx.obj = common
        for name in runs:
            values[name] = common.settled(values[name], finished=name != "resume")
        try:
            function(common=common, **values)
        except KeyboardInterrupt as error:  # Typer would leave nothing of it but the exit code
            raise Interrupted.by(error) from error

    signature = inspect.Signature([context, *parameters, *_OPTIONS])
    typed = cast("Any", command)
    typed.__signature__ = signature
    typed.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    del typed.__wrapped__  # Typer would look through it and find the original signature
    return command


class LazyGroup(TyperGroup):
    """Commands that are imported when called, so that ``--help`` stays fast."""

    table: ClassVar[dict[str, tuple[str, str]]] = COMMANDS

    path: ClassVar[str] = ""
    """How the group is called: ``cost prices``; empty for the program."""

    place: ClassVar[str] = ""
    """The command that is called where the first word names none: ``relkit drift POLICY``."""

    @property
    def direct(self) -> Any:  # noqa: ANN401  # Typer's own command type is private
        """The command of that place, imported now; None where there is none."""
        return _command(str(self.name), self.place) if self.place else None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # Typer's own context type is private
        """Print the help where nothing was asked for; that is no success, as before."""
        convert_late(self.get_params(ctx))
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(ExitCode.INVALID)
        # What is no option of a group may be one of the command that it is itself.
        ctx.ignore_unknown_options = bool(self.place)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  # as above
        """Return the command that is called; raises UsageError with the nearest name."""
        if args and args[0] not in self.table and not ctx.resilient_parsing:
            if self.place:
                return "", self.direct, args
            raise _unknown(args[0], tuple(self.table))
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  # as above
        """Return the names in the order of the table above."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002  # as above
        """Return the command, imported now; None for an unknown name."""
        if cmd_name not in self.table:
            return None
        if cmd_name not in self.commands:
            place, _ = self.table[cmd_name]
            path = f"{self.path} {cmd_name}".strip()
            command = _group(path) if path in GROUPS else _command(cmd_name, place)
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # as above
        """Write the help, that of the command which a group is itself before its list."""
        if (direct := self.direct) is None:
            super().format_help(ctx, formatter)
            return
        direct.format_help(
            typer.Context(direct, info_name=ctx.info_name, parent=ctx.parent), formatter
        )
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  # as above
        """List the commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


def _unknown(name: str, names: tuple[str, ...]) -> UsageError:
    """Return what is wrong with a name that is no command; one of another group is named whole."""
    from relkit.core.codec import nearest
    from relkit.core.yaml_text import shown

    elsewhere = [f"relkit {group} {name}" for group, table in GROUPS.items() if name in table]
    if name in COMMANDS:
        elsewhere.insert(0, f"relkit {name}")
    hint = f"it is: {' or '.join(elsewhere)}" if elsewhere else nearest(name, names)
    return UsageError(f'no command "{shown(name)}"', hint=hint)


class SpreadCommand(TyperCommand):
    """A command some of whose options take several words: those shown as ``PATH…``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # Typer's own context type is private
        """Repeat such an option before each of its words, as Typer wants it."""
        convert_late(self.get_params(ctx))
        several = {
            name
            for option in self.params
            if str(option.metavar or "").endswith("…")
            for name in option.opts
            if name.startswith("--")
        }
        spread: list[str] = []
        current, repeated = None, False
        for word in args:
            if word.startswith("-"):
                current, repeated = (word, False) if word in several else (None, False)
            elif current is not None:
                if repeated:
                    spread.append(current)
                repeated = True
            spread.append(word)
        return super().parse_args(ctx, spread)


def _command(name: str, place: str) -> Any:  # noqa: ANN401  # Typer's own command type is private
    """Return the command that is the function ``module:function``."""
    module, function = place.split(":")
    program = typer.Typer(add_completion=False, rich_markup_mode=None)
    implementation = getattr(import_module(f"relkit.cli.{module}"), function)
    program.command(name=name, cls=SpreadCommand)(with_common(implementation))
    return built(program)


def _group(called: str) -> Any:  # noqa: ANN401  # as above
    """Return a group of commands that are imported when called, too, by how it is called."""
    outer, _, name = called.rpartition(" ")
    place_of_group, text = (GROUPS[outer] if outer else COMMANDS)[name]

    class Inner(LazyGroup):
        table = GROUPS[called]
        path = called
        place = place_of_group

    program = typer.Typer(cls=Inner, name=name, add_completion=False, rich_markup_mode=None)

    def group(*, common: Common) -> None:
        """Take the common options before the name of the inner command, too."""

    program.callback(help=text)(with_common(group))
    return built(program)


app = typer.Typer(
    cls=LazyGroup, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
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
        typer.Option(
            "--version", "-V", is_eager=True, callback=_print_version, help="Show the version."
        ),
    ] = False,
    common: Common,
) -> None:
    """Evaluate and release served speech assistants.

    Start with: relkit init my-assistant && cd my-assistant && relkit eval demo
    """
