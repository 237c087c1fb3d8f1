"""How clips get through a pool of workers: who gets which, what is asked again, when hope is lost.

A worker may be a process of this machine or an actor of a cluster; failures mean the same.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from relkit.core.errors import BackendUnavailable
from relkit.core.wording import counted, limit
from relkit.datasets.types import Answer, Clip, Failure, FailureReason, Prediction

_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
"""The pause before the first, second … retry; the last one also serves later ones."""


@dataclass(slots=True, kw_only=True)
class ClipTask:
    """A clip on its way: how often it was asked, and the load of who answered it."""

    id: str
    repeat: int
    clip: Clip
    attempts: int = 0
    load: str = ""

    @property
    def pause_s(self) -> float:
        """How long a worker waits before it asks again."""
        last = len(_PAUSES_S) - 1
        return _PAUSES_S[min(self.attempts - 2, last)] if self.attempts > 1 else 0.0


class WorkerPool(Protocol):
    """Workers with one system each, started as there is work for them."""

    @property
    def busy(self) -> bool:
        """Whether any worker has a task."""

    @property
    def lost_in_a_row(self) -> int:
        """How many workers were lost since one had an outcome."""

    def hand_out(self, waiting: deque[ClipTask]) -> None:
        """Take tasks from the left for workers that are free, counting that they are asked."""

    def finished(self, *, wait: bool) -> Iterator[tuple[ClipTask, Answer | Failure]]:
        """Yield the tasks that are done; ``wait`` for a result or a deadline if there is none.

        Raises the RelkitError that ended a system, BackendUnavailable where none can be started.
        """


UNREACHABLE_IN_A_ROW = 10
"""After so many predictions that found nobody, the run ends instead of counting on."""

LOST_IN_A_ROW = 20
"""After so many workers lost without an outcome in between, the run ends."""

_LOST = (FailureReason.CRASHED, FailureReason.TIMEOUT)


@dataclass(slots=True)
class HeldBack:
    """Holds predictions back as long as a later run should rather ask them again.

    These are unreachable ones until somebody answers, and lost workers until one has ever answered.
    """

    held: list[Prediction] = field(default_factory=list)
    answered: bool = False

    def released(self, prediction: Prediction, *, lost: int) -> Iterator[Prediction]:
        """Yield what is certain to be a result; ``lost`` is how many workers were lost in a row.

        Raises BackendUnavailable once there is no hope.
        """
        reason = prediction.outcome.reason if isinstance(prediction.outcome, Failure) else None
        unreachable = reason is FailureReason.UNREACHABLE
        if unreachable or (lost and reason in _LOST and not self.answered):
            self.held.append(prediction)
        else:
            self.answered = self.answered or reason not in _LOST
            yield from self._let_go()
            yield prediction
        if lost >= LOST_IN_A_ROW:
            raise BackendUnavailable(
                f"the system crashed or hung {lost} times in a row",
                hint="try one clip by hand; a longer timeout_s may help",
            )
        if unreachable and len(self.held) >= UNREACHABLE_IN_A_ROW:
            raise self._nobody()

    def rest(self) -> Iterator[Prediction]:
        """Yield what is still held; raises BackendUnavailable where nobody was ever reached."""
        if self.held and not self.answered and all(map(_is_unreachable, self.held)):
            raise self._nobody()
        yield from self._let_go()

    def _let_go(self) -> Iterator[Prediction]:
        held, self.held = self.held, []
        yield from held

    def _nobody(self) -> BackendUnavailable:
        calls = counted(sum(map(_is_unreachable, self.held)), "call")
        return BackendUnavailable(
            f"the endpoint of the system could not be reached for {calls} in a row",
            hint="check that it runs and that its address is right, then resume the run",
        )


def _is_unreachable(prediction: Prediction) -> bool:
    outcome = prediction.outcome
    return isinstance(outcome, Failure) and outcome.reason is FailureReason.UNREACHABLE


def predictions(
    pool: WorkerPool,
    clips: Iterable[tuple[str, int, Clip]],
    *,
    jobs: int,
    timeout_s: float,
    retries: int,
) -> Iterator[Prediction]:
    """Yield a prediction per (utterance id, repeat, clip), in the order they are finished.

    Clips are taken from the iterable at most ``jobs`` ahead, while the workers are busy, so that
    memory stays bounded. ``timeout_s`` is what a call may take, as users read it; ``retries`` how
    often a retryable failure is asked again. Raises the RelkitError with which a system could not
    be built, and BackendUnavailable where it cannot be reached or never answers: the predictions
    that show it are then held back, so that a later run asks again.
    """
    tasks = (ClipTask(id=name, repeat=repeat, clip=clip) for name, repeat, clip in clips)
    held_back = HeldBack()
    for task, outcome in _outcomes(pool, tasks, jobs=jobs, retries=retries):
        if isinstance(outcome, Failure) and outcome.reason is FailureReason.TIMEOUT:
            detail = f"no answer in {limit(timeout_s, 's')}"
            outcome = replace(outcome, detail=detail)  # noqa: PLW2901 - as users read it
        prediction = Prediction(
            id=task.id,
            repeat=task.repeat,
            outcome=outcome,
            attempts=task.attempts,
            load=task.load,
        )
        yield from held_back.released(prediction, lost=pool.lost_in_a_row)
    yield from held_back.rest()


def _outcomes(
    pool: WorkerPool, tasks: Iterator[ClipTask], *, jobs: int, retries: int
) -> Iterator[tuple[ClipTask, Answer | Failure]]:
    """Keep the workers busy until every task has its outcome."""
    waiting: deque[ClipTask] = deque()
    more = True
    while True:
        pool.hand_out(waiting)
        # Taking the next clip decodes it: our work for the time in which the workers are busy.
        ahead = more and len(waiting) < jobs
        if ahead:
            task = next(tasks, None)
            more = task is not None
            if task is not None:
                waiting.append(task)
        elif not waiting and not pool.busy:
            return
        for done, outcome in pool.finished(wait=not ahead):
            again = isinstance(outcome, Failure) and outcome.retryable
            if again and done.attempts <= retries:
                waiting.appendleft(done)
            else:
                yield done, outcome
