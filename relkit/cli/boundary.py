"""The one place where errors become messages and exit codes."""

import linecache
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from relkit.cli import host, output
from relkit.core.errors import ExitCode, Interrupted, RelkitError


class _Terminated(BaseException):
    """SIGTERM arrived; runs are resumable, so unwinding is enough."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; prints every error once.

    Where standard output cannot be written that is said, and a command that was done all the same
    has not done what was asked for, unless its result is on disk.
    """
    code = _checked(arguments)
    why = host.lost()
    if why is None:
        return code
    message = f"standard output could not be written: {why}"
    if output.is_stored():
        output.say(f"relkit: {message}; the result is on disk")
        return code
    hint = "what it was to show is not there; look for free space, and run it again"
    return _say("storage", message, hint, ExitCode(code or ExitCode.INVALID), as_json=False)


def _checked(arguments: list[str]) -> int:
    _arrived.clear()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        return _run(arguments)
    except _Terminated as error:
        words = _ended(error, signal.SIGTERM)
    except (KeyboardInterrupt, Interrupted) as error:
        words = _ended(error, signal.SIGINT)
    except Exception as error:  # noqa: BLE001  # the last resort: a defect must read as one, not as "blocked"
        if "--debug" in arguments:
            output.say("\n".join(_traced(error)))
        # DuckDB turns what a signal raises inside of a query into an error of its own.
        words = _ended(error, _arrived[0]) if _arrived else _worded(error)
    return _say(*words, as_json="--json" in arguments)


def _traced(error: BaseException) -> Iterator[str]:
    """Yield a traceback that can be sent to anybody: places, lines of code and kinds of errors.

    Messages are left out, because those of libraries quote what they were given: a transcript, a
    path, a key. Only those of relkit's own errors, which quote nothing of it, are there.
    """
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if behind is not None:
        yield from _traced(behind)
        yield "which led to:" if error.__cause__ is not None else "and while it was dealt with:"
    yield "Traceback (most recent call last), without messages of libraries:"
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        yield f'  File "{_place(code.co_filename)}", line {line}, in {code.co_qualname}'
        if text := linecache.getline(code.co_filename, line).strip():
            yield f"    {text}"
    message = f": {error.message}" if isinstance(error, RelkitError) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{message}"


def _place(name: str) -> str:
    """Return where code is, from the folder it is imported from: no folder of the machine."""
    path = Path(name)
    roots = [Path(root) for root in sys.path if root and path.is_relative_to(root)]
    root = max(roots, key=lambda folder: len(folder.parts), default=path.parent)
    return path.relative_to(root).as_posix()


_arrived: list[int] = []
"""Signals that asked this command to end."""


def _ended(error: BaseException, number: int) -> tuple[str, str, str | None, ExitCode]:
    """Return (code, message, hint, exit code) of a signal that ended the command."""
    if number == signal.SIGTERM:
        return "terminated", "ended by SIGTERM", _with_notes(error), ExitCode.TERMINATED
    return "interrupted", "interrupted", _with_notes(error), ExitCode.INTERRUPTED


def _worded(error: Exception) -> tuple[str, str, str | None, ExitCode]:
    """Return (code, message, hint, exit code) of an error."""
    if (short := _short_of(error)) is not None:
        return "memory", short, host.MORE_MEMORY, ExitCode.INVALID
    if isinstance(error, RelkitError):
        return error.code, error.message, _with_notes(error, error.hint), error.exit_code
    if isinstance(error, UnicodeEncodeError):
        message = f"a name has characters that {error.encoding} cannot encode"
        return "encoding", message, _ENCODING, ExitCode.INVALID
    message = f"a defect in relkit: {type(error).__name__}"
    return "defect", message, "run it again with --debug and report the traceback", ExitCode.DEFECT


_ENCODING = "set a locale that has them: LC_ALL=C.UTF-8, or PYTHONUTF8=1"
_NO_MEMORY = ("cannot allocate memory", "failed to map segment", "can't start new thread")


def _short_of(error: BaseException) -> str | None:
    """Return in words that memory ran out, where that is behind an error; None where it is not."""
    behind: BaseException | None = error
    while behind is not None:
        text, name = str(behind).lower(), type(behind).__name__
        if isinstance(behind, ImportError) and any(words in text for words in _NO_MEMORY):
            return "not enough memory to load a library"
        if (
            isinstance(behind, MemoryError)
            or "OutOfMemory" in name
            or any(words in text for words in _NO_MEMORY)
            or (isinstance(behind, SystemError) and host.memory_limit() is not None)
        ):
            return "not enough memory"
        behind = behind.__cause__ or behind.__context__
    return None


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
        hint = f"see: {context.command_path.rstrip() if context else 'relkit'} --help"
        return _say("usage", message, hint, ExitCode.INVALID, as_json="--json" in arguments)
    if code == ExitCode.INTERRUPTED:  # Typer turns Ctrl-C into this code
        raise KeyboardInterrupt
    return int(code) if isinstance(code, int) else ExitCode.OK


def _say(code: str, message: str, hint: str | None, exit_code: ExitCode, *, as_json: bool) -> int:
    if as_json:
        output.print_json({"error": {"code": code, "message": message, "hint": hint}})
    else:
        output.say(f"relkit: error: {message}" + (f"\n  {hint}" if hint else ""))
    return exit_code


def _interrupt(number: int, _frame: FrameType | None) -> None:
    _arrived.append(number)
    raise KeyboardInterrupt


def _terminate(number: int, _frame: FrameType | None) -> None:
    _arrived.append(number)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, and what follows ends soon
    raise _Terminated
