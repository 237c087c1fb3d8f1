"""Builds the system under test that a suite names, and what scores the quality of its audio.

What is built inside worker processes is a function of this module, which they import.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from relkit.core.codec import encode
from relkit.core.config import Workspace
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.values import SystemId
from relkit.evaluation.ports import (
    Executor,
    QualityScorer,
    RecordedSystem,
    RoundTrip,
    Speaker,
    SpeakingSystem,
    SpeechSystem,
    SystemUnderTest,
)
from relkit.evaluation.types import (
    Command,
    Espeak,
    FasterWhisper,
    Flite,
    Hibari,
    OpenAIHttp,
    OpenAISpeech,
    Recorded,
    Scalar,
    Suite,
    System,
    wrong_kind,
)
from relkit.wiring.stores import run_folders

if TYPE_CHECKING:
    from relkit.evaluation.quality import QualityPorts


Build = Callable[[], SpeakingSystem]

QUALITY_TIMEOUT_S = 600.0
"""How long the quality of one clip may take in s, loading the models aside."""


def system_under_test(workspace: Workspace, suite: Suite, *, jobs: int) -> SystemUnderTest:
    """Return the suite's system, ready to be asked; raises InvalidInput, MissingDependency."""
    if suite.task == "tts":
        return speaking_system(workspace, suite, jobs=jobs)
    system, environment = suite.system, dict(workspace.environment)
    match system:
        case Recorded():
            return _recorded(workspace, system)
        case FasterWhisper():
            return _faster_whisper(workspace, system, jobs)
        case OpenAIHttp():
            return asked(system, partial(build_openai_http, system, environment), jobs=jobs)
        case Command():
            build = partial(build_command, system, workspace.folder, environment)
            return asked(system, build, jobs=jobs)
    raise InvalidInput(wrong_kind(system.kind, suite.task))


def _recorded(workspace: Workspace, system: Recorded) -> SystemUnderTest:
    from relkit.adapters.systems.recorded import RecordedAnswers

    answers = RecordedAnswers(_inside(workspace, system.path), source=system.path)
    # Nobody knows under which load a file was made: its latencies compare with no other file's.
    load: dict[str, Scalar] = {"recorded": answers.artifact}
    return _under_test(system, artifact=answers.artifact, load=load, recorded=answers)


def _faster_whisper(workspace: Workspace, system: FasterWhisper, jobs: int) -> SystemUnderTest:
    from relkit.adapters.systems.faster_whisper import find_weights
    from relkit.adapters.workers import threads_per_job

    weights = find_weights(
        system.model,
        base=workspace.folder,
        cache=workspace.cache / "weights",
        environment=workspace.environment,
    )
    threads = system.cpu_threads or threads_per_job(jobs)
    build = partial(build_faster_whisper, system, weights.folder, threads)
    return asked(system, build, artifact=weights.artifact, jobs=jobs, threads=threads)


def build_faster_whisper(system: FasterWhisper, folder: Path, threads: int) -> SpeechSystem:
    """Build the recogniser inside a worker process."""
    from relkit.adapters.systems.faster_whisper import FasterWhisperSystem

    return FasterWhisperSystem(system, folder, cpu_threads=threads)


def build_openai_http(system: OpenAIHttp, environment: Mapping[str, str]) -> SpeechSystem:
    """Build the HTTP client inside a worker process."""
    from relkit.adapters.systems.openai import OpenAIHttpSystem

    return OpenAIHttpSystem(system, environment)


def build_command(system: Command, folder: Path, environment: Mapping[str, str]) -> SpeechSystem:
    """Start the user's program inside a worker process, in the workspace's folder."""
    from relkit.adapters.systems.command import CommandSystem

    return CommandSystem(system, folder=folder, environment=environment)


def asked(
    system: System,
    build: Callable[[], SpeechSystem],
    *,
    artifact: str | None = None,
    jobs: int,
    threads: int = 0,
) -> SystemUnderTest:
    """Return a system that is asked now, by ``jobs`` processes."""
    from relkit.adapters.workers import ProcessExecutor, cores
    from relkit.adapters.workspace import load_fingerprint

    load = load_fingerprint(cores=cores(), jobs=jobs, threads=threads)
    executor = ProcessExecutor(
        build,
        jobs=jobs,
        timeout_s=system.timeout_s,
        retries=system.retries,
        load=digest_of(load),
    )
    return _under_test(system, artifact=artifact, load=load, executor=executor)


def _under_test(
    system: System,
    *,
    artifact: str | None,
    load: Mapping[str, Scalar],
    executor: Executor | None = None,
    recorded: RecordedSystem | None = None,
) -> SystemUnderTest:
    """Return a system with its identity: the digest of its workspace and its artifact."""
    if artifact and system.artifact and artifact != system.artifact:
        raise InvalidInput(
            "system.artifact is not the digest of what was found", hint=f"it is {artifact}"
        )
    artifact = artifact or system.artifact
    return SystemUnderTest(
        candidate=SystemId(
            digest=digest_of({**encode(system), "artifact": artifact}),
            artifact=artifact,
        ),
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


def speaking_system(workspace: Workspace, suite: Suite, *, jobs: int) -> SystemUnderTest:
    """Return the suite's system, ready to speak, with its recogniser.

    Raises InvalidInput, MissingDependency: what cannot speak at all is refused before a run starts.
    """
    if suite.recogniser is None:
        raise InvalidInput('the task tts needs a "recogniser"')
    listening = replace(suite, task="asr", system=suite.recogniser, recogniser=None)
    recogniser = system_under_test(workspace, listening, jobs=jobs)
    build, versions = _build(workspace, suite.system)
    # Executors never look into what they hand out; their workers get what they were built for.
    worker = cast("Callable[[], SpeechSystem]", build)
    system = asked(suite.system, worker, jobs=jobs)
    trip = RoundTrip(
        speaker=cast("Speaker", system.executor),
        recogniser=recogniser,
        folder=partial(_folder, workspace),
    )
    # A resumed run must be listened to by the recogniser it was started with.
    versions = {**versions, "recogniser": recogniser.candidate.digest}
    return replace(system, executor=None, round_trip=trip, versions=versions)


def _folder(workspace: Workspace, run: str) -> Path:

    return run_folders(workspace).find(run)


def _build(workspace: Workspace, system: System) -> tuple[Build, dict[str, str]]:
    """Return how a worker builds the system, and the versions that shape its speech."""
    from relkit.adapters.systems.engines import hibari_version, program_version

    environment = dict(workspace.environment)
    match system:
        case OpenAISpeech():
            return partial(build_openai_speech, system, environment), {}
        case Command():
            return partial(build_command_speech, system, workspace.folder, environment), {}
        case Hibari():
            return partial(build_hibari, system), {system.kind: hibari_version()}
        case Espeak():
            return partial(build_espeak, system), {system.kind: program_version(system.kind)}
        case Flite():
            return partial(build_flite, system), {system.kind: program_version(system.kind)}
    raise InvalidInput(wrong_kind(system.kind, "tts"))


def build_espeak(system: Espeak) -> SpeakingSystem:
    """Build the engine inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem, EspeakEngine

    return EngineSystem(EspeakEngine(system))


def build_flite(system: Flite) -> SpeakingSystem:
    """Build the engine inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem, FliteEngine

    return EngineSystem(FliteEngine(system))


def build_hibari(system: Hibari) -> SpeakingSystem:
    """Load the engine inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem, HibariEngine

    return EngineSystem(HibariEngine(system))


def build_openai_speech(system: OpenAISpeech, environment: Mapping[str, str]) -> SpeakingSystem:
    """Build the HTTP client inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem
    from relkit.adapters.systems.openai import OpenAISpeechEngine

    return EngineSystem(OpenAISpeechEngine(system, environment))


def build_command_speech(
    system: Command, folder: Path, environment: Mapping[str, str]
) -> SpeakingSystem:
    """Start the user's program inside a worker process, in the workspace's folder."""
    from relkit.adapters.systems.command import CommandSpeech
    from relkit.adapters.systems.engines import keep_clip

    return CommandSpeech(system, folder=folder, environment=environment, keep=keep_clip)


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
    from relkit.adapters.mos.scorers import MosScorer
    from relkit.adapters.workers import ProcessExecutor

    build = partial(build_quality_system, metrics)
    executor = ProcessExecutor(build, jobs=jobs, timeout_s=QUALITY_TIMEOUT_S, retries=0)
    return MosScorer(metrics, executor)


def build_quality_system(metrics: tuple[str, ...]) -> SpeechSystem:
    """Open the models inside a worker process."""
    from relkit.adapters.mos.scorers import MosSystem

    return MosSystem(metrics)
