"""Clips through a system on a Ray cluster: an actor for each job, each holding one system.

What is retried, held back and given up is the rule of :mod:`relkit.evaluation.pool`. Nothing that
was said reaches Ray's logs: actors write to no output, and an error in one comes back as its kind
and place.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relkit._version import __version__, with_extra
from relkit.core.errors import (
    BackendUnavailable,
    MissingDependency,
    RelkitError,
    UsageError,
    describe_exit,
)
from relkit.core.wording import counted, limit
from relkit.datasets.types import Answer, Clip, Failure, FailureReason, Prediction
from relkit.evaluation.pool import ClipTask, predictions
from relkit.evaluation.ports import SpeechSystem
from relkit.evaluation.types import DEFAULT_RESOURCES, JobResources

ADDRESS = "RAY_ADDRESS"
"""The environment variable that holds the cluster's address, HOST:PORT."""

REACH_S = 5.0
"""How long the head of a cluster may take to accept a connection, in seconds."""

JOIN_S = 30.0
"""How long joining a cluster may take, in seconds."""

CLUSTER_START_S = 300.0
"""How long a run may be without any worker that is ready, in seconds."""

LOST_STARTS = 3
"""After so many actors that were lost before they were ready, none in between, a run ends."""

_END_S = 4.0
_GRACE_S = 2.0
_THREADS = ("OMP_NUM_THREADS",)
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_START_IT = "start one on this machine: ray start --head; or set RAY_ADDRESS=HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWorker:
    """What an actor tells before it is asked: its versions, and the load that its answers have."""

    relkit: str
    python: str
    load: str


Describe = Callable[[], ClusterWorker]


def described(load: str) -> ClusterWorker:
    """Return what this process is, as an actor tells it."""
    return ClusterWorker(relkit=__version__, python=sys.version.split()[0], load=load)


class RayCluster:
    """A cluster that this process has joined; it leaves it with :meth:`close`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Join the cluster of ``RAY_ADDRESS``, or else the one of this machine.

        Raises BackendUnavailable in bounded time where there is none, UsageError for the address of
        a client, MissingDependency without Ray.
        """
        address = environment.get(ADDRESS) or "auto"
        if "://" in address:
            raise UsageError(
                f"{ADDRESS} is the address of a client",
                hint="run on a machine of the cluster, with HOST:PORT of its head",
            )
        if address != "auto":
            _reach(address)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError as error:
            raise MissingDependency(
                "a cluster needs the package ray, which is not installed", hint=with_extra("ray")
            ) from error
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        if not self._is_ours:  # a program that has joined one uses that
            return
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        errors: list[Exception] = []
        joining = threading.Thread(target=self._join, args=(address, errors), daemon=True)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        joining.start()
        joining.join(JOIN_S)  # Ray itself waits for minutes where something else listens
        for number, handler in handlers.items():  # Ray puts its own in their place
            with suppress(ValueError):  # not on the main thread: then neither did Ray
                signal.signal(number, handler)
        if errors or joining.is_alive():
            which = "a Ray cluster of this machine" if address == "auto" else "the Ray cluster"
            why = _why(errors[0]) if errors else f"no answer in {limit(JOIN_S, 's')}"
            raise BackendUnavailable(f"{which} could not be joined: {why}", hint=_START_IT)

    def _join(self, address: str, errors: list[Exception]) -> None:
        try:
            self._ray.init(
                address=address,
                namespace="relkit",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
        except Exception as error:  # noqa: BLE001 - raised in the caller's words
            errors.append(error)
        # It would write of every lost worker to our standard output, where a document belongs.
        # No setting keeps it from that: log_to_driver is about what workers print.
        self._ray._private.worker._worker_logs_enabled = False  # noqa: SLF001 - as above

    @property
    def machines(self) -> tuple[tuple[float, float, float], ...]:
        """CPUs, GPUs and memory in GiB of the machines that there are now."""
        return tuple(
            (
                resources.get("CPU", 0.0),
                resources.get("GPU", 0.0),
                resources.get("memory", 0.0) / 2**30,
            )
            for resources in self._resources()
        )

    def _resources(self) -> list[Mapping[str, float]]:
        nodes: Sequence[Mapping[str, Any]] = self._ray.nodes()  # type: ignore[no-untyped-call]  # Ray has no types here
        return [node["Resources"] for node in nodes if node["Alive"]]

    @property
    def node_kinds(self) -> str:
        """How many machines of which kind there are now: ``2 x 8 CPU, 1 x 16 CPU 1 GPU``."""
        kinds: dict[str, int] = {}
        for resources in self._resources():
            parts = [f"{resources[key]:g} {key}" for key in ("CPU", "GPU") if key in resources]
            kind = " ".join(parts)
            kinds[kind] = kinds.get(kind, 0) + 1
        return ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))

    def close(self) -> None:
        """Leave the cluster, unless this process had joined it before."""
        if self._is_ours:
            self._ray.shutdown()


def _reach(address: str) -> None:
    """Raise BackendUnavailable where nobody listens at an address, UsageError where it is none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{ADDRESS} is no HOST:PORT", hint=f"export {ADDRESS}=10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
    except (OSError, OverflowError) as error:
        raise BackendUnavailable(
            f"no Ray cluster listens at {address}: {type(error).__name__}", hint=_START_IT
        ) from error


def _why(error: Exception) -> str:
    text = str(error)
    if "version" in text.casefold() and "mismatch" in text.casefold():
        return "it runs another version of Python or of Ray"
    return type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSettings:
    """How actors are asked.

    ``timeout_s`` bounds one call, ``grace_s`` is what it may take beyond that until its actor is
    killed, ``start_s`` how long there may be no actor that is ready. ``retries`` is how often a
    retryable failure is asked again, ``threads`` are those of an actor, and its CPUs. ``resources``
    says what else it takes.
    """

    jobs: int
    timeout_s: float
    retries: int
    threads: int = 1
    resources: JobResources = DEFAULT_RESOURCES
    start_s: float = CLUSTER_START_S
    grace_s: float = _GRACE_S


class RayExecutor:
    """Implements Executor with the actors of a cluster that this process has joined.

    ``build`` and ``describe`` travel to the actors by pickle: functions at the top of a module, or
    ``functools.partial`` of them. Fewer machines than jobs slow a run down; ones that come later
    are used.
    """

    def __init__(
        self, build: Callable[[], SpeechSystem], describe: Describe, settings: ActorSettings
    ) -> None:
        """Keep the settings; no actor is started before ``predict``."""
        self._build, self._describe, self._settings = build, describe, settings

    def predict(self, clips: Iterable[tuple[str, int, Clip]]) -> Iterator[Prediction]:
        """Yield a prediction per (utterance id, repeat, clip), in the order they are finished.

        Raises as :func:`relkit.evaluation.pool.predictions` does.
        """
        settings = self._settings
        pool = _ActorPool(self._build, self._describe, settings)
        with pool.running():
            yield from predictions(
                pool,
                clips,
                jobs=settings.jobs,
                timeout_s=settings.timeout_s,
                retries=settings.retries,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """An error inside an actor, without its words: they may quote what was said."""

    kind: str
    file: str
    line: int


class ClusterActor:
    """Holds one system in a process of the cluster; what it returns is never an error of Ray's."""

    def __init__(self, build: Callable[[], SpeechSystem], describe: Describe) -> None:
        """Keep how the system is built; building it is the first call."""
        self._build, self._describe = build, describe
        self._system: SpeechSystem | None = None

    def ready(self) -> ClusterWorker | RelkitError | _Ended:
        """Build the system and tell what this process is."""
        silence = os.open(os.devnull, os.O_WRONLY)
        for output in (1, 2):  # a library that prints what it hears would fill Ray's logs with it
            os.dup2(silence, output)
        try:
            worker = self._describe()
            self._system = self._build()
        except RelkitError as error:
            return error
        except Exception as error:  # noqa: BLE001 - told by kind and place
            return _ended(error)
        return worker

    def answer(self, clip: Clip, pause_s: float) -> Answer | Failure | RelkitError | _Ended:
        """Ask the system once, after a pause."""
        if self._system is None:
            raise RuntimeError("an actor is asked before it is ready")
        time.sleep(pause_s)
        try:
            return self._system.answer(clip)
        except RelkitError as error:
            return error
        except Exception as error:  # noqa: BLE001 - as above
            return _ended(error)

    def close(self) -> None:
        """Close the system."""
        with suppress(Exception):
            if self._system is not None:
                self._system.close()


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else round(gib * 2**30)


def _ended(error: Exception) -> _Ended:
    *_, place = traceback.extract_tb(error.__traceback__)
    name = Path(place.filename).name
    return _Ended(kind=type(error).__name__, file=name, line=place.lineno or 0)


class _Actor:
    """An actor of the cluster as we see it: what it is asked, and until when."""

    def __init__(self, handle: Any, *, deadline: float) -> None:  # noqa: ANN401 - Ray's own type
        """Ask it to build its system."""
        self.handle = handle
        self.ref: Any = handle.ready.remote()
        self.deadline = deadline
        self.worker: ClusterWorker | None = None
        self.task: ClipTask | None = None

    def give(self, task: ClipTask, limit_s: float) -> None:
        """Ask it about a clip."""
        task.attempts += 1
        self.task = task
        self.deadline = time.monotonic() + task.pause_s + limit_s
        self.ref = self.handle.answer.remote(task.clip, task.pause_s)


class _ActorPool:
    """The actors of a run, started as there is work for them and given work when they are ready."""

    def __init__(
        self, build: Callable[[], SpeechSystem], describe: Describe, settings: ActorSettings
    ) -> None:
        import ray

        self._ray = ray
        threads = dict.fromkeys(_THREADS, str(settings.threads))
        variables = threads | dict.fromkeys(_ONE_THREAD, "1")
        self._class = ray.remote(ClusterActor).options(
            num_cpus=settings.resources.cpus or settings.threads,
            num_gpus=settings.resources.gpus,
            memory=_bytes(settings.resources.memory_gib),
            max_restarts=0,
            runtime_env={"env_vars": variables},
        )
        self._parts = build, describe
        self._jobs, self._start_s = max(1, settings.jobs), settings.start_s
        self._limit_s = settings.timeout_s + settings.grace_s
        self._actors: list[_Actor] = []
        self._lost_starts = 0
        self.lost_in_a_row = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """End every actor with the block, whatever ends it."""
        try:
            yield
        finally:
            with suppress(Exception):  # a cluster that is gone has ended them itself
                idle = [actor for actor in self._actors if actor.worker and actor.task is None]
                closing = [actor.handle.close.remote() for actor in idle]
                if closing:
                    self._ray.wait(closing, num_returns=len(closing), timeout=_END_S)
                for actor in self._actors:
                    self._ray.kill(actor.handle)

    @property
    def busy(self) -> bool:
        """Whether any actor has a task."""
        return any(actor.task is not None for actor in self._actors)

    def hand_out(self, waiting: deque[ClipTask]) -> None:
        """Give tasks to actors that are ready, and start as many as there is other work for."""
        for actor in self._actors:
            if waiting and actor.worker is not None and actor.task is None:
                actor.give(waiting.popleft(), self._limit_s)
        starting = sum(actor.worker is None for actor in self._actors)
        missing = min(self._jobs - len(self._actors), len(waiting) - starting)
        for _ in range(missing):
            deadline = time.monotonic() + self._start_s
            self._actors.append(_Actor(self._class.remote(*self._parts), deadline=deadline))

    def finished(self, *, wait: bool) -> Iterator[tuple[ClipTask, Answer | Failure]]:
        """Yield the tasks that are done; ``wait`` for a result or a deadline if there is none.

        Raises the RelkitError that ended a system, BackendUnavailable where none can be started.
        """
        asked = [actor for actor in self._actors if actor.ref is not None]
        done = self._done(asked, wait=wait)
        now = time.monotonic()
        for actor in asked:
            if actor.ref not in done and now < actor.deadline:
                continue
            task, was_ready = actor.task, actor.worker is not None
            outcome = self._result(actor) if actor.ref in done else self._late(actor)
            if task is not None and was_ready and outcome is not None:
                yield task, outcome

    def _done(self, asked: list[_Actor], *, wait: bool) -> set[Any]:
        if not asked:
            return set()
        refs = [actor.ref for actor in asked]
        nearest = max(0.0, min(actor.deadline for actor in asked) - time.monotonic())
        if wait:
            self._ray.wait(refs, num_returns=1, timeout=nearest)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        return set(ready)

    def _result(self, actor: _Actor) -> Answer | Failure | None:
        """Return what has become of a task; None where an actor has only become ready.

        Raises the RelkitError that ended the system, BackendUnavailable where it did not start.
        """
        try:
            message = self._ray.get(actor.ref)
        except self._ray.exceptions.RayError as error:
            return self._lost(actor, FailureReason.CRASHED, _loss(error))
        if isinstance(message, RelkitError):
            raise message
        if isinstance(message, _Ended):
            place = f"{message.kind} in {message.file}, line {message.line}"
            sys.stderr.write(f"relkit: a worker ended: {place}\n")
            return self._lost(actor, FailureReason.CRASHED, describe_exit(1))
        actor.ref = None
        if isinstance(message, ClusterWorker):
            _check_versions(message)
            actor.worker, self._lost_starts = message, 0
            return None
        if actor.task is not None and actor.worker is not None:
            actor.task.load = actor.worker.load
        actor.task, self.lost_in_a_row = None, 0
        return message if isinstance(message, Answer | Failure) else None

    def _late(self, actor: _Actor) -> Failure | None:
        if actor.worker is not None:
            return self._lost(actor, FailureReason.TIMEOUT, "")
        if any(other.worker is not None for other in self._actors):
            actor.deadline = time.monotonic() + self._start_s  # the cluster is smaller than asked
            return None
        raise BackendUnavailable(
            f"no worker of the cluster was ready in {limit(self._start_s, 's')}",
            hint="see what it has: ray status; then resume the run",
        )

    def _lost(self, actor: _Actor, reason: FailureReason, detail: str) -> Failure | None:
        """End an actor and say how it was lost; None for one that was not ready yet."""
        with suppress(Exception):
            self._ray.kill(actor.handle)
        self._actors.remove(actor)
        if actor.worker is None:
            self._lost_starts += 1
            if self._lost_starts >= LOST_STARTS:
                lost = counted(self._lost_starts, "worker")
                raise BackendUnavailable(
                    f"the system could not be started: {lost} lost in a row, the last: {detail}",
                    hint="every machine needs the same relkit (docs/scale.md), and enough memory",
                )
            return None
        self.lost_in_a_row += 1
        if actor.task is not None:
            actor.task.load = actor.worker.load
        return Failure(reason=reason, detail=detail, retryable=True)


def _loss(error: Exception) -> str:
    """Return how an actor was lost, in a few words of ours: Ray's may quote an argument."""
    name = type(error).__name__
    return "its worker or its machine was lost" if "Died" in name else name


def _check_versions(worker: ClusterWorker) -> None:
    here = described("")
    for what in ("relkit", "python"):
        theirs, ours = getattr(worker, what), getattr(here, what)
        if theirs != ours:
            raise BackendUnavailable(
                f"a worker of the cluster has {what} {theirs}, and this is {ours}",
                hint="every machine needs the same (docs/scale.md)",
            )
