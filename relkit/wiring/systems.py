"""Builds the system under test that a suite names, and what scores the quality of its audio."""

import importlib.util
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from relkit.conversation.types import ConversationScript
from relkit.core.codec import encode
from relkit.core.config import Workspace
from relkit.core.digests import digest_of
from relkit.core.errors import BackendUnavailable, InvalidInput, MissingDependency, UsageError
from relkit.core.values import SystemId
from relkit.evaluation.ports import (
    AnsweringSystem,
    AskingSystem,
    Executor,
    HeldConversations,
    QualityScorer,
    RecordedSystem,
    RoundTrip,
    Speaker,
    SpeakingSystem,
    SpeechSystem,
    SystemUnderTest,
)
from relkit.evaluation.types import (
    DEFAULT_RESOURCES,
    MOST_JOBS,
    AsrWs,
    Command,
    DemoAgent,
    Espeak,
    ExecutorKind,
    FasterWhisper,
    Flite,
    Hibari,
    JobCount,
    JobResources,
    OpenAIHttp,
    OpenAISpeech,
    Recorded,
    Scalar,
    Suite,
    System,
    Task,
    VoiceWs,
    wrong_kind,
)
from relkit.wiring.stores import run_folders

if TYPE_CHECKING:
    from relkit.adapters.ray_cluster import ActorSettings, ClusterWorker, RayCluster
    from relkit.adapters.systems.voice_ws import WriteRecording
    from relkit.evaluation.ports import SpeechEngine
    from relkit.evaluation.quality import QualityPorts


Build = Callable[[], SpeakingSystem]

QUALITY_TIMEOUT_S = 600.0
"""How long the quality of one clip may take in s, loading the models aside."""


@dataclass(slots=True)
class Workers:
    """Who is asked: ``jobs`` processes of this machine, or actors of a Ray cluster.

    Each takes ``resources``. The cluster is joined when it is first needed, and left with
    :meth:`close`.
    """

    jobs: JobCount = 1
    executor: ExecutorKind = "local"
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: JobResources = DEFAULT_RESOURCES
    _joined: "list[RayCluster]" = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there are to be; raises UsageError, BackendUnavailable without place for one."""
        from relkit.adapters.workers import cores, memory_gib

        if self.jobs != "auto":
            return self.jobs
        needs = self.resources
        if (cluster := self.cluster()) is not None:
            places = sum(needs.places(*machine) for machine in cluster.machines)
            if places == 0:
                raise BackendUnavailable(
                    "no machine of the cluster has what a job of this suite takes",
                    hint="add one that has, or take less: resources of the suite",
                )
        elif needs.gpus:
            raise UsageError(
                "--jobs auto cannot tell which GPUs of this machine are free",
                hint="say how many: --jobs 2",
            )
        else:
            places = needs.places(cores(), 0.0, memory_gib())
        return max(1, min(places, MOST_JOBS))

    @property
    def threads(self) -> int:
        """How many threads a worker gets, where its system does not say it."""
        from relkit.adapters.workers import threads_per_job

        if self.resources.cpus is not None:
            return self.resources.cpus
        return 1 if self.executor == "ray" else threads_per_job(self.count)

    def cluster(self) -> "RayCluster | None":
        """Return the cluster, None for processes; raises as :class:`RayCluster` does."""
        if self.executor == "local":
            return None
        if not self._joined:
            from relkit.adapters.ray_cluster import RayCluster

            self._joined.append(RayCluster(self.environment))
        return self._joined[0]

    def close(self) -> None:
        """Leave the cluster, if it was joined."""
        while self._joined:
            self._joined.pop().close()


def system_under_test(
    workspace: Workspace,
    suite: Suite,
    *,
    workers: Workers,
    show_stderr: bool = False,
    allow_remote: bool = False,
) -> SystemUnderTest:
    """Return the suite's system, ready to be asked; raises InvalidInput, MissingDependency.

    ``show_stderr`` lets the standard error of a program pass to ours. Raises UsageError for a
    socket on another machine, unless ``allow_remote``.
    """
    workers = replace(workers, resources=suite.resources or DEFAULT_RESOURCES)
    if workers.executor == "ray" and suite.task in {"tts", "turn"}:
        raise UsageError(
            f"--executor ray does not serve the task {suite.task} yet",
            hint="leave it out: it runs on this machine",
        )
    if suite.task == "tts":
        return speaking_system(workspace, suite, workers=workers, show_stderr=show_stderr)
    match suite.system:
        case Recorded():
            return _recorded(workspace, suite.system, suite.task)
        case FasterWhisper():
            return _faster_whisper(workspace, suite.system, suite, workers)
        case OpenAIHttp():
            return _openai_http(workspace, suite.system, workers)
        case AsrWs() | VoiceWs() | DemoAgent():
            return _over_socket(workspace, suite, workers=workers, allow_remote=allow_remote)
        case Command():
            talks = suite.task == "turn"
            return (conversing_system if talks else _command)(
                workspace, suite.system, workers=workers, show_stderr=show_stderr
            )
    raise InvalidInput(wrong_kind(suite.system.kind, suite.task))


def _recorded(workspace: Workspace, system: Recorded, task: Task) -> SystemUnderTest:
    from relkit.adapters.systems.recorded import RecordedAnswers
    from relkit.evaluation.conversations import check_conversation
    from relkit.evaluation.safety import check_calls
    from relkit.evaluation.streams import check_stream

    answers = RecordedAnswers(
        _inside(workspace, system.path),
        source=system.path,
        mapping=system.mapping,
        check={
            "agent": check_calls,
            "stream": check_stream,
            "turn": check_conversation,
        }.get(task),
    )
    # Nobody knows under which load a file was made: its latencies compare with no other file's.
    load: dict[str, Scalar] = {"recorded": answers.artifact}
    return _under_test(system, artifact=answers.artifact, load=load, recorded=answers)


def _faster_whisper(
    workspace: Workspace, system: FasterWhisper, suite: Suite, workers: Workers
) -> SystemUnderTest:
    from relkit.adapters.systems.faster_whisper import (
        FasterWhisperSystem,
        RedecodedWhisper,
        find_weights,
    )

    weights = find_weights(
        system.model,
        base=workspace.folder,
        cache=workspace.cache / "weights",
        environment=workspace.environment,
    )
    threads = system.cpu_threads or workers.threads
    if suite.task != "stream" or suite.update_ms is None:
        build = partial(FasterWhisperSystem, system, weights.folder, cpu_threads=threads)
        return asked(system, build, artifact=weights.artifact, workers=workers, threads=threads)
    every = suite.update_ms
    streaming = partial(
        RedecodedWhisper, system, weights.folder, update_ms=every, cpu_threads=threads
    )
    return asked(
        system,
        streaming,
        artifact=weights.artifact,
        workers=workers,
        threads=threads,
        # One call decodes so often, and what is decoded once is no answer of a stream.
        limit_s=system.timeout_s * max(1.0, 1000 * suite.max_audio_s / every),
        stream={"update_ms": every},
    )


def _openai_http(workspace: Workspace, system: OpenAIHttp, workers: Workers) -> SystemUnderTest:
    from relkit.adapters.systems.openai import OpenAIHttpSystem

    build = partial(OpenAIHttpSystem, system, dict(workspace.environment))
    return asked(system, build, workers=workers)


def check_address(url: str, *, allow_remote: bool) -> None:
    """Refuse a socket that is not on this machine; raises UsageError.

    What is sent there is speech of people: a suite from elsewhere must not decide that alone.
    """
    host = urlsplit(url).hostname or ""
    is_local = host == "localhost"
    with suppress(ValueError):
        is_local = is_local or ip_address(host).is_loopback
    if not is_local and not allow_remote:
        raise UsageError(
            "system.url is on another machine, and the audio of the dataset would be sent there",
            hint="add --allow-remote if it may be",
        )


def _over_socket(
    workspace: Workspace, suite: Suite, *, workers: Workers, allow_remote: bool
) -> SystemUnderTest:
    """Return a system that sound is sent to as it is spoken; raises UsageError."""
    system = suite.system
    if isinstance(system, AsrWs | VoiceWs):
        check_address(system.url, allow_remote=allow_remote)
    if isinstance(system, AsrWs):
        return _asr_ws(workspace, system, suite, workers)
    if isinstance(system, VoiceWs | DemoAgent):
        return conversing_system(workspace, system, workers=workers)
    raise InvalidInput(wrong_kind(system.kind, suite.task))


def _asr_ws(workspace: Workspace, system: AsrWs, suite: Suite, workers: Workers) -> SystemUnderTest:
    from relkit._version import with_extra
    from relkit.adapters.systems.asr_ws import AsrWsSystem
    from relkit.adapters.voice_activity import Resampler

    if importlib.util.find_spec("websockets") is None:
        raise MissingDependency("the package websockets is not installed", hint=with_extra("voice"))
    build = partial(
        AsrWsSystem,
        system,
        dict(workspace.environment),
        is_fast=suite.pace == "fast",
        rate_change=Resampler,
    )
    return asked(
        system,
        build,
        workers=workers,
        limit_s=suite.max_audio_s + 2 * system.timeout_s,
        stream={"pace": suite.pace},
    )


def _command(
    workspace: Workspace, system: Command, *, workers: Workers, show_stderr: bool
) -> SystemUnderTest:
    from relkit.adapters.systems.command import CommandSystem

    environment = dict(workspace.environment)
    build = partial(
        CommandSystem,
        system,
        folder=workspace.folder,
        environment=environment,
        show_stderr=show_stderr,
    )
    return asked(system, build, workers=workers)


def asked(
    system: System,
    build: Callable[[], SpeechSystem],
    *,
    artifact: str | None = None,
    workers: Workers,
    threads: int = 0,
    limit_s: float | None = None,
    stream: Mapping[str, Scalar] | None = None,
) -> SystemUnderTest:
    """Return a system that is asked now, by workers.

    A call may take ``limit_s``, by default what the system says. ``stream`` is how clips are given
    to one that streams, which makes it another candidate: its answers are others.
    """
    from relkit.adapters.ray_cluster import ActorSettings
    from relkit.adapters.workers import ProcessExecutor, cores
    from relkit.adapters.workspace import load_fingerprint

    jobs, limit_s = workers.count, limit_s or system.timeout_s
    if (cluster := workers.cluster()) is not None:
        settings = ActorSettings(
            jobs=jobs,
            timeout_s=limit_s,
            retries=system.retries,
            threads=max(1, threads),
            resources=workers.resources,
        )
        executor, load = _on_cluster(cluster, build, settings, threads)
        return _under_test(system, artifact=artifact, load=load, executor=executor, stream=stream)
    load = load_fingerprint(cores=cores(), jobs=jobs, threads=threads)
    processes = ProcessExecutor(
        build, jobs=jobs, timeout_s=limit_s, retries=system.retries, load=digest_of(load)
    )
    return _under_test(system, artifact=artifact, load=load, executor=processes, stream=stream)


def _on_cluster(
    cluster: "RayCluster",
    build: Callable[[], SpeechSystem],
    settings: "ActorSettings",
    threads: int,
) -> "tuple[Executor, dict[str, Scalar]]":
    """Return what asks the actors of a cluster, one for each job, and the load that is known."""
    from relkit.adapters.ray_cluster import RayExecutor

    load: dict[str, Scalar] = {
        "executor": "ray",
        "nodes": cluster.node_kinds,
        "jobs": settings.jobs,
        "threads_per_job": threads,
    }
    gpus = settings.resources.gpus
    if gpus:
        load["gpus_per_job"] = gpus
    worker = partial(cluster_worker, settings.jobs, threads, gpus)
    return RayExecutor(build, worker, settings), load


def cluster_worker(jobs: int, threads: int, gpus: float) -> "ClusterWorker":
    """Return what a process of a cluster is, inside of it: its versions and its load.

    Machines of one kind have one load; answers of several kinds are mixed.
    """
    from relkit.adapters.ray_cluster import described
    from relkit.adapters.workers import cores
    from relkit.adapters.workspace import load_fingerprint

    load = load_fingerprint(cores=cores(), jobs=jobs, threads=threads)
    shared = {"gpus_per_job": gpus} if gpus else {}
    return described(digest_of({"executor": "ray", **shared, **load}))


def _under_test(
    system: System,
    *,
    artifact: str | None,
    load: Mapping[str, Scalar],
    executor: Executor | None = None,
    recorded: RecordedSystem | None = None,
    stream: Mapping[str, Scalar] | None = None,
) -> SystemUnderTest:
    """Return a system with its identity: the digest of its settings and its artifact."""
    if artifact and system.artifact and artifact != system.artifact:
        raise InvalidInput(
            "system.artifact is not the digest of what was found", hint=f"it is {artifact}"
        )
    artifact = artifact or system.artifact
    identity = {**encode(system), "artifact": artifact}
    if stream is not None:
        identity["stream"] = dict(stream)
    return SystemUnderTest(
        candidate=SystemId(digest=digest_of(identity), artifact=artifact),
        load=load,
        load_digest=digest_of(load),
        versions={},
        executor=executor,
        recorded=recorded,
    )


def _inside(workspace: Workspace, relative: str) -> Path:
    """Return a path of the workspace; raises InvalidInput where it leaves it."""
    path = Path(os.path.normpath(workspace.folder / relative))
    if not path.is_relative_to(workspace.folder):
        raise InvalidInput(
            "system.path leaves the workspace", hint="copy the file into the workspace"
        )
    return path


def speaking_system(
    workspace: Workspace, suite: Suite, *, workers: Workers, show_stderr: bool
) -> SystemUnderTest:
    """Return the suite's system, ready to speak, with its recogniser.

    Raises InvalidInput, MissingDependency: what cannot speak at all is refused before a run starts.
    """
    if suite.recogniser is None:
        raise InvalidInput('the task tts needs a "recogniser"')
    listening = replace(suite, task="asr", system=suite.recogniser, recogniser=None)
    recogniser = system_under_test(workspace, listening, workers=workers, show_stderr=show_stderr)
    build, versions = _build(workspace, suite.system, show_stderr=show_stderr)
    # Executors never look into what they hand out; their workers get what they were built for.
    worker = cast("Callable[[], SpeechSystem]", build)
    system = asked(suite.system, worker, workers=workers)
    trip = RoundTrip(
        speaker=cast("Speaker", system.executor),
        recogniser=recogniser,
        folder=run_folders(workspace).find,
    )
    # A resumed run must be listened to by the recogniser it was started with.
    versions = {**versions, "recogniser": recogniser.candidate.digest}
    return replace(system, executor=None, round_trip=trip, versions=versions)


def _build(
    workspace: Workspace, system: System, *, show_stderr: bool
) -> tuple[Build, dict[str, str]]:
    """Return how a worker builds the system, and the versions that shape its speech."""
    from relkit.adapters.systems import engines
    from relkit.adapters.systems.command import CommandSpeech
    from relkit.adapters.systems.openai import OpenAISpeechEngine

    environment = dict(workspace.environment)
    match system:
        case OpenAISpeech():
            return partial(build_speaking, OpenAISpeechEngine, system, environment), {}
        case Command():
            folder, keep = workspace.folder, engines.keep_clip
            speech = partial(
                CommandSpeech,
                folder=folder,
                environment=environment,
                keep=keep,
                show_stderr=show_stderr,
            )
            return partial(speech, system), {}
        case Hibari():
            build = partial(build_speaking, engines.HibariEngine, system)
            return build, {system.kind: engines.hibari_version()}
        case Espeak():
            build = partial(build_speaking, engines.EspeakEngine, system)
            return build, {system.kind: engines.program_version(system.kind)}
        case Flite():
            build = partial(build_speaking, engines.FliteEngine, system)
            return build, {system.kind: engines.program_version(system.kind)}
    raise InvalidInput(wrong_kind(system.kind, "tts"))


def build_speaking(engine: "Callable[..., SpeechEngine]", *arguments: object) -> SpeakingSystem:
    """Build a system around an engine, inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem

    return EngineSystem(engine(*arguments))


CONVERSATION_S = 3600.0
"""How long a conversation may take in s; the harness itself ends it long before."""

SPOKEN_RATE = 16_000
"""The sample rate of the demo agent, and of the clips that a program gets, in Hz."""


def conversing_system(
    workspace: Workspace,
    system: VoiceWs | DemoAgent | Command,
    *,
    workers: Workers,
    show_stderr: bool = False,
) -> SystemUnderTest:
    """Return a voice agent, ready to be spoken to by a harness of each worker at a time.

    Raises MissingDependency, InvalidInput.
    """
    from relkit.adapters.recordings import keep_recording, write_recording
    from relkit.adapters.systems.command import CommandConversations
    from relkit.adapters.systems.voice_ws import VoiceWsSystem
    from relkit.conversation.protocols import PROTOCOLS

    environment = dict(workspace.environment)
    build: Callable[[], AnsweringSystem[ConversationScript]]
    versions: dict[str, str] = {}
    artifact: str | None = None
    rate = SPOKEN_RATE
    if isinstance(system, VoiceWs):
        rate = PROTOCOLS[system.protocol].rate or system.sample_rate
        build = partial(VoiceWsSystem, system, environment, write_recording)
    elif isinstance(system, Command):
        build = partial(
            CommandConversations,
            system,
            folder=workspace.folder,
            environment=environment,
            keep=keep_recording,
            show_stderr=show_stderr,
        )
    else:
        build, versions, artifact = _demo_agent(workspace, system)
    worker = cast("Callable[[], SpeechSystem]", build)
    bounded = replace(system, timeout_s=CONVERSATION_S, retries=0)
    several, alone = (
        asked(bounded, worker, workers=replace(workers, jobs=count)) for count in (workers.count, 1)
    )
    under_test = asked(system, worker, artifact=artifact, workers=workers)
    held = HeldConversations(
        executor=cast("AskingSystem[ConversationScript]", several.executor),
        alone=cast("AskingSystem[ConversationScript]", alone.executor),
        sample_rate=rate,
        folder=run_folders(workspace).find,
    )
    return replace(under_test, executor=None, conversations=held, versions=versions)


def _demo_agent(
    workspace: Workspace, system: DemoAgent
) -> "tuple[Callable[[], AnsweringSystem[ConversationScript]], dict[str, str], str | None]":
    """Return how a worker builds the demo agent, what shapes it, and its model's digest."""
    from relkit.adapters.recordings import write_recording
    from relkit.adapters.systems.demo import DemoAgentSystem
    from relkit.adapters.systems.engines import program_version
    from relkit.wiring.conversation import agent_arguments, agent_weights

    weights = agent_weights(system, workspace, workspace.folder)
    arguments = agent_arguments(system, weights.folder)
    speaks = VoiceWs(url="ws://127.0.0.1:1", timeout_s=system.timeout_s)
    connect = partial(_at_address, speaks, dict(workspace.environment), write_recording)
    build = partial(DemoAgentSystem, arguments, dict(workspace.environment), connect)
    return build, {"espeak-ng": program_version("espeak-ng")}, weights.artifact


def _at_address(
    system: VoiceWs, environment: Mapping[str, str], write: "WriteRecording", url: str
) -> "AnsweringSystem[ConversationScript]":
    """Return who speaks to an agent at an address."""
    from relkit.adapters.systems.voice_ws import VoiceWsSystem

    return VoiceWsSystem(replace(system, url=url), environment, write)


def quality_ports(workspace: Workspace, *, jobs: int) -> "QualityPorts":
    """Return the ports of quality scoring; nothing is opened before a metric is asked for."""
    from relkit.adapters.caches import SqliteQualityCache
    from relkit.evaluation.quality import QualityPorts

    return QualityPorts(
        scorer=partial(quality_scorer, jobs=jobs),
        cache=partial(SqliteQualityCache, workspace.cache / "quality.sqlite"),
    )


def quality_scorer(metrics: tuple[str, ...], *, jobs: int) -> QualityScorer:
    """Return the scorer of some quality metrics; raises MissingDependency, InvalidInput."""
    from relkit.adapters.mos.scorers import MosScorer, MosSystem
    from relkit.adapters.workers import ProcessExecutor

    build = partial(MosSystem, metrics)
    executor = ProcessExecutor(build, jobs=jobs, timeout_s=QUALITY_TIMEOUT_S, retries=0)
    return MosScorer(metrics, executor)
