"""The one place where errors become messages and exit codes."""

import json
import os
import signal
import sys
import traceback
from types import FrameType

from relkit.core.errors import ExitCode, Interrupted, RelkitError


class _Terminated(BaseException):
    """SIGTERM arrived; runs are resumable, so unwinding is enough."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; prints every error once."""
    signal.signal(signal.SIGTERM, _terminate)
    debug = "--debug" in arguments
    as_json = "--json" in arguments
    try:
        return _run(arguments)
    except RelkitError as error:
        if debug:
            traceback.print_exc()
        hint = _with_notes(error, error.hint)
        return _say(error.code, error.message, hint, error.exit_code, as_json=as_json)
    except _Terminated as error:
        hint, code = _with_notes(error), ExitCode.TERMINATED
        return _say("terminated", "ended by SIGTERM", hint, code, as_json=as_json)
    except (KeyboardInterrupt, Interrupted) as error:
        hint, code = _with_notes(error), ExitCode.INTERRUPTED
        return _say("interrupted", "interrupted", hint, code, as_json=as_json)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001  # the last resort: a defect must read as one, not as "blocked"
        if debug:
            traceback.print_exc()
        message = f"a defect in relkit: {type(error).__name__}"
        hint = "run it again with --debug and report the traceback"
        return _say("defect", message, hint, ExitCode.DEFECT, as_json=as_json)


def _with_notes(error: BaseException, hint: str | None = None) -> str | None:
    """Return a hint with what was noted on the way out, such as how a run goes on."""
    notes: list[str] = getattr(error, "__notes__", [])
    return "; ".join([*([hint] if hint else []), *notes]) or None


def _run(arguments: list[str]) -> int:
    from typer.exceptions import TyperException
    from typer.main import get_command

    from relkit.cli.app import app

    try:
        code = get_command(app).main(args=arguments, prog_name="relkit", standalone_mode=False)
    except TyperException as error:
        if not (message := error.format_message()):  # the help was printed instead of an error
            return ExitCode.INVALID
        context = getattr(error, "ctx", None)
        hint = f"see: {context.command_path if context else 'relkit'} --help"
        return _say("usage", message, hint, ExitCode.INVALID, as_json="--json" in arguments)
    if code == ExitCode.INTERRUPTED:  # Typer turns Ctrl-C into this code
        raise KeyboardInterrupt
    return int(code) if isinstance(code, int) else ExitCode.OK


def _say(code: str, message: str, hint: str | None, exit_code: ExitCode, *, as_json: bool) -> int:
    if as_json:
        document = {"error": {"code": code, "message": message, "hint": hint}}
        print(json.dumps(document, ensure_ascii=False))  # noqa: T201  # the one document on stdout
    else:
        sys.stderr.write(f"relkit: error: {message}\n" + (f"  {hint}\n" if hint else ""))
    return exit_code


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated
