"""Clips through a system in worker processes: bounded time, bounded restarts, nothing left over.

A worker is a process with a system in it. The executor says who gets which clip, what is asked
again, and whether failures are results or only show that there is nobody to ask. Workers share the
cores by the number of their threads.
"""

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from relkit.core.errors import BackendUnavailable, RelkitError, describe_exit
from relkit.core.wording import limit
from relkit.datasets.types import Answer, Clip, Failure, FailureReason, Prediction
from relkit.evaluation.pool import ClipTask, predictions
from relkit.evaluation.ports import SpeechSystem

_NUMPY = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MEMORY = Path("/sys/fs/cgroup/memory.max")


def cores() -> int:
    """Return how many cores this process may use: affinity, and a container's quota (cgroup v2)."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no container, or "max" for no quota
        quota, period = _QUOTA.read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, count)


def memory_gib() -> float:
    """Return how much memory this process may use, in GiB: the machine's, or a container's."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no container, or "max" for no limit
        pages = min(pages, int(_MEMORY.read_text()))
    return pages / 2**30


def threads_per_job(jobs: int) -> int:
    """Return the threads each of ``jobs`` workers gets so that together they fill the cores."""
    return max(1, cores() // jobs)


@contextmanager
def threads_in_environment(threads: int) -> Iterator[None]:
    """Let a process that starts now use so many threads, unless the user has said how many.

    numpy's own threads are always one: their number changes the last bits of a matrix product, and
    with them the words of a recogniser (measured: 4 of 30 noisy clips, tiny.en, 1 against 2). It
    has to be said before numpy is imported, hence by the environment.
    """
    variables = {"OMP_NUM_THREADS": str(threads), **dict.fromkeys(_NUMPY, "1")}
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


Build = Callable[[], SpeechSystem]

START_S = 300.0
"""How long a worker may take to load its system, in seconds."""

END_S = 4.0
"""How long a worker may take to close its system, which may have programs of its own to end."""


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
        self.task: ClipTask | None = None
        self.deadline = time.monotonic() + START_S
        self.alive = True

    def give(self, task: ClipTask) -> None:
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

    def _send(self, task: ClipTask) -> None:
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
        why = (
            f"it was not ready after {limit(START_S, 's')}"
            if late
            else f"its process ended: {detail}"
        )
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
    try:
        _answer_all(pipe, build)
    except Exception as error:  # noqa: BLE001  # a message may quote what was said: only kind and place
        *_, place = traceback.extract_tb(error.__traceback__)
        kind, name = type(error).__name__, Path(place.filename).name
        sys.stderr.write(f"relkit: a worker ended: {kind} in {name}, line {place.lineno}\n")
        raise SystemExit(1) from None


def _answer_all(pipe: Connection, build: Build) -> None:
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has gone on
        try:
            system = build()
        except RelkitError as error:
            pipe.send(error)
            return
        try:
            pipe.send("ready")
            while True:
                clip, pause_s = pipe.recv()
                time.sleep(pause_s)
                pipe.send(system.answer(clip))
        except RelkitError as error:
            pipe.send(error)
        finally:
            system.close()


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


_GRACE_S = 2.0
"""How much longer than its time-out a call may take before its worker is killed, in seconds.

Systems that watch the time themselves say more about what was late, so they come first.
"""


class ProcessExecutor:
    """Implements Executor with spawned workers, each of which builds one system.

    ``build`` travels to the workers by pickle: a ``functools.partial`` of something at the top of a
    module. Clips are taken from the iterable at most ``jobs`` ahead, while the workers are busy, so
    that memory stays bounded. Workers end with this process, however it ends.
    """

    def __init__(
        self,
        build: Build,
        *,
        jobs: int,
        timeout_s: float,
        retries: int,
        load: str = "",
        grace_s: float = _GRACE_S,
    ) -> None:
        """Keep the settings; nothing is started before ``predict``.

        ``timeout_s`` bounds one call, ``grace_s`` is what it may take beyond that until the worker
        is killed; ``retries`` is how often a retryable failure is asked again; ``load`` is written
        into every prediction.
        """
        self._build = build
        self._jobs = max(1, jobs)
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._retries = retries
        self._load = load

    def predict(self, clips: Iterable[tuple[str, int, Clip]]) -> Iterator[Prediction]:
        """Yield a prediction per (utterance id, repeat, clip), in the order they are finished.

        Raises as :func:`relkit.evaluation.pool.predictions` does.
        """
        pool = _Pool(
            self._build, jobs=self._jobs, limit_s=self._timeout_s + self._grace_s, load=self._load
        )
        with pool.running():
            yield from predictions(
                pool, clips, jobs=self._jobs, timeout_s=self._timeout_s, retries=self._retries
            )


class _Pool:
    """The workers, started one by one as there is work for them."""

    def __init__(self, build: Build, *, jobs: int, limit_s: float, load: str) -> None:
        self._build = build
        self._jobs = jobs
        self._limit_s = limit_s
        self._load = load
        self._workers: list[Worker] = []
        self.lost_in_a_row = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """End every worker with the block, whatever ends it."""
        try:
            yield
        finally:
            for worker in self._workers:
                worker.ask_to_end()
            for worker in self._workers:
                worker.end()

    @property
    def busy(self) -> bool:
        """Whether any worker has a task."""
        return any(worker.task is not None for worker in self._workers)

    def hand_out(self, waiting: deque[ClipTask]) -> None:
        """Give tasks to free workers, or to new ones where there may be more."""
        while waiting:
            worker = next((worker for worker in self._workers if worker.task is None), None)
            if worker is None:
                if len(self._workers) >= self._jobs:
                    return
                threads = threads_per_job(self._jobs)
                worker = Worker(self._build, threads=threads, limit_s=self._limit_s)
                self._workers.append(worker)
            worker.give(waiting.popleft())

    def finished(self, *, wait: bool) -> Iterator[tuple[ClipTask, Answer | Failure]]:
        """Yield the tasks that are done; ``wait`` for a result or a deadline if there is none."""
        working = [worker for worker in self._workers if worker.task is not None]
        nearest = min((worker.deadline for worker in working), default=0.0) - time.monotonic()
        pipes = [worker.pipe for worker in working]
        ready = connection.wait(pipes, max(0.0, nearest) if wait else 0.0)
        for worker in working:
            # A result that is there counts, even if we come late to look: see Worker.result.
            late = time.monotonic() >= worker.deadline
            task = worker.task
            if (worker.pipe in ready or late) and task and (outcome := worker.result()):
                worker.task, task.load = None, self._load
                if worker.alive:
                    self.lost_in_a_row = 0
                else:
                    self.lost_in_a_row += 1
                    self._workers.remove(worker)
                    worker.ask_to_end()
                yield task, outcome
