"""One worker: a process with a system in it, seen from the parent and from inside."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from types import FrameType

from relkit.adapters.processes.threads import threads_in_environment
from relkit.domain.errors import BackendUnavailable, RelkitError
from relkit.domain.utterances import Answer, Clip, Failure, FailureReason
from relkit.ports import SpeechSystem
from relkit.rules.exit_status import describe_exit

Build = Callable[[], SpeechSystem]

START_S = 300.0
"""How long a worker may take to load its system, in seconds."""

END_S = 4.0
"""How long a worker may take to close its system, which may have programs of its own to end."""

_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
"""The pause before the first, second … retry; the last one also serves later ones."""


@dataclass(slots=True, kw_only=True)
class Task:
    """A clip on its way, and how often it was asked."""

    id: str
    repeat: int
    clip: Clip
    attempts: int = 0

    @property
    def pause_s(self) -> float:
        """How long a worker waits before it asks again."""
        last = len(_PAUSES_S) - 1
        return _PAUSES_S[min(self.attempts - 2, last)] if self.attempts > 1 else 0.0


class Worker:
    """A process, its pipe, and the task it is at; ``alive`` until it is lost."""

    def __init__(self, build: Build, *, threads: int, limit_s: float) -> None:
        """Start the process; it builds its system and then says that it is ready."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, build), daemon=True)
        with threads_in_environment(threads):
            self._process.start()
        theirs.close()
        self._limit_s = limit_s
        self._ready = False
        self.task: Task | None = None
        self.deadline = time.monotonic() + START_S
        self.alive = True

    def give(self, task: Task) -> None:
        """Hand over a task; a worker that is still starting gets it as soon as it is ready."""
        task.attempts += 1
        self.task = task
        if self._ready:
            self._send(task)

    def result(self) -> Answer | Failure | None:
        """Return what has become of the task by its deadline; None where it has only just begun.

        Raises the RelkitError that ended the system, BackendUnavailable where it did not start.
        """
        if not self.pipe.poll():
            return self._lost(FailureReason.TIMEOUT)
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            return self._lost(FailureReason.CRASHED)
        if isinstance(message, RelkitError):
            raise message
        if isinstance(message, Answer | Failure):
            return message
        self._ready = True
        if self.task is not None:
            self._send(self.task)
        return None

    def ask_to_end(self) -> None:
        """Close the pipe, at which an idle worker ends, and interrupt a busy one."""
        self.pipe.close()
        if self.alive and self.task is not None:
            self._process.terminate()

    def end(self) -> int:
        """Wait a little for the end, then make it; return the exit code (or -signal)."""
        self._process.join(END_S)
        self._process.kill()
        self._process.join()
        return self._process.exitcode or 0

    def _send(self, task: Task) -> None:
        self.deadline = time.monotonic() + task.pause_s + self._limit_s
        with suppress(OSError):  # a worker that has died says so when its result is asked for
            self.pipe.send((task.clip, task.pause_s))

    def _lost(self, reason: FailureReason) -> Failure:
        """End the worker and say how it was lost."""
        if reason is FailureReason.TIMEOUT:
            self._process.terminate()
        detail = describe_exit(self.end())
        self.alive = False
        if self._ready:
            return Failure(reason=reason, detail=detail, retryable=True)
        late = reason is FailureReason.TIMEOUT
        why = f"it was not ready after {START_S:g} s" if late else f"its process ended: {detail}"
        raise BackendUnavailable(
            f"the system could not be started: {why}",
            hint="try one job, or a smaller model; there may be too little memory",
        )


def serve(pipe: Connection, build: Build) -> None:
    """Run in a worker: build the system, then answer clip after clip until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what a library prints must not reach the document on the parent's output
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has gone on
        try:
            system = build()
        except RelkitError as error:
            pipe.send(error)
            return
        try:
            _answer_all(pipe, system)
        except RelkitError as error:
            pipe.send(error)
        finally:
            system.close()


def _answer_all(pipe: Connection, system: SpeechSystem) -> None:
    pipe.send("ready")
    while True:
        clip, pause_s = pipe.recv()
        time.sleep(pause_s)
        pipe.send(system.answer(clip))


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    """End a worker whose parent was killed while it was busy: nobody will read its answer."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)  # first politely, so that the system is closed
    time.sleep(END_S)
    os._exit(1)
