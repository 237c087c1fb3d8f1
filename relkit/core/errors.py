"""Errors a user can act on, with their exit codes, and the end of a program in words."""

import signal
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a finished process says to its caller.

    See docs/method.md, section "Verdicts and exit codes".
    """

    OK = 0
    FAILED = 1
    INVALID = 2
    INCONCLUSIVE = 3
    NO_DATA = 4
    BACKEND = 5
    DEFECT = 70
    INTERRUPTED = 130
    TERMINATED = 143


class RelkitError(Exception):
    """An error with one clear message and, where there is one, the way out.

    ``message`` says what is wrong and where (file, line); ``hint`` says what to do. Neither holds
    a transcript, a key or an absolute path of the machine.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.INVALID

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the message and the hint apart, so that JSON output can name both."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way through a worker's pipe, hint included."""
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[RelkitError], message: str, hint: str | None) -> RelkitError:
    return kind(message, hint=hint)


class UsageError(RelkitError):
    """The command line itself is wrong: an unknown name, a missing option."""

    code = "usage"


class InvalidInput(RelkitError):
    """A file or value was read and is refused."""

    code = "invalid_input"


class Malformed(InvalidInput):
    """A text breaks its format: ``problem`` says how and ``line`` where; the message has both."""

    def __init__(
        self, problem: str, *, source: str, line: int | None = None, hint: str | None = None
    ) -> None:
        """Take the place apart from the problem, for those who have a place of their own."""
        place = source if line is None else f"{source}, line {line}"
        super().__init__(f"{place}: {problem}", hint=hint)
        self.problem = problem
        self.line = line

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way through a worker's pipe as an error with one message."""
        return _rebuild, (InvalidInput, self.message, self.hint)


class Busy(RelkitError):
    """Another process holds the run or the workspace."""

    code = "busy"


class StorageFailed(RelkitError):
    """A file could not be written (full disk, no permission); nothing half-written is left."""

    code = "storage"


class MissingDependency(RelkitError):
    """An optional package is needed and not installed; the hint names the extra."""

    code = "missing_dependency"


class NoData(RelkitError):
    """There was nothing to score."""

    code = "no_data"
    exit_code = ExitCode.NO_DATA


class BackendUnavailable(RelkitError):
    """A server, registry or endpoint could not be reached."""

    code = "backend_unavailable"
    exit_code = ExitCode.BACKEND


def describe_exit(code: int) -> str:
    """Return ``exit code 3`` or ``signal SIGKILL`` for a process's return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class Interrupted(BaseException):  # no error: the user wanted it
    """Ctrl-C arrived in a command; its notes say how the work goes on."""

    @classmethod
    def by(cls, interrupt: KeyboardInterrupt) -> "Interrupted":
        """Return an interrupt with the same notes that no library takes for its own."""
        interrupted = cls()
        for note in getattr(interrupt, "__notes__", ()):
            interrupted.add_note(note)
        return interrupted
