"""The executor: who gets which clip, what is asked again, and what is waited for."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection

from relkit.adapters.processes.held_back import HeldBack
from relkit.adapters.processes.threads import threads_per_job
from relkit.adapters.processes.worker import Build, Task, Worker
from relkit.domain.utterances import Answer, Clip, Failure, FailureReason, Prediction

GRACE_S = 2.0
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
        grace_s: float = GRACE_S,
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

        Raises the RelkitError with which a system could not be built, and BackendUnavailable where
        it cannot be reached or never answers: the predictions that show it are then held back, so
        that a later run asks again.
        """
        tasks = (Task(id=name, repeat=repeat, clip=clip) for name, repeat, clip in clips)
        held_back = HeldBack()
        pool = _Pool(self._build, jobs=self._jobs, limit_s=self._timeout_s + self._grace_s)
        with pool.running():
            for task, outcome in self._outcomes(pool, tasks):
                prediction = Prediction(
                    id=task.id,
                    repeat=task.repeat,
                    outcome=self._named(outcome),
                    attempts=task.attempts,
                    load=self._load,
                )
                yield from held_back.released(prediction, lost=pool.lost_in_a_row)
        yield from held_back.rest()

    def _outcomes(
        self, pool: "_Pool", tasks: Iterator[Task]
    ) -> Iterator[tuple[Task, Answer | Failure]]:
        """Keep the workers busy until every task has its outcome."""
        waiting: deque[Task] = deque()
        more = True
        while True:
            pool.hand_out(waiting)
            # Taking the next clip decodes it: our work for the time in which the workers are busy.
            ahead = more and len(waiting) < self._jobs
            if ahead:
                task = next(tasks, None)
                more = task is not None
                if task is not None:
                    waiting.append(task)
            elif not waiting and not pool.busy:
                return
            for done, outcome in pool.finished(wait=not ahead):
                again = isinstance(outcome, Failure) and outcome.retryable
                if again and done.attempts <= self._retries:
                    waiting.appendleft(done)
                else:
                    yield done, outcome

    def _named(self, outcome: Answer | Failure) -> Answer | Failure:
        if isinstance(outcome, Failure) and outcome.reason is FailureReason.TIMEOUT:
            return replace(outcome, detail=f"no answer in {self._timeout_s:g} s")
        return outcome


class _Pool:
    """The workers, started one by one as there is work for them."""

    def __init__(self, build: Build, *, jobs: int, limit_s: float) -> None:
        self._build = build
        self._jobs = jobs
        self._limit_s = limit_s
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

    def hand_out(self, waiting: deque[Task]) -> None:
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

    def finished(self, *, wait: bool) -> Iterator[tuple[Task, Answer | Failure]]:
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
                worker.task = None
                self._count(worker)
                yield task, outcome

    def _count(self, worker: Worker) -> None:
        if worker.alive:
            self.lost_in_a_row = 0
            return
        self.lost_in_a_row += 1
        self._workers.remove(worker)
        worker.ask_to_end()
