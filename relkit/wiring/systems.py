"""Builds the system under test that a suite names, with its identity and load fingerprint."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from relkit.core.config import Settings
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.evaluation.ports import Executor, RecordedSystem, SpeechSystem, SystemUnderTest
from relkit.evaluation.types import Candidate, Scalar, Suite, SystemSpec


def system_under_test(settings: Settings, suite: Suite, *, jobs: int) -> SystemUnderTest:
    """Return the suite's system, ready to be asked; raises InvalidInput, MissingDependency."""
    if suite.task == "tts":
        from relkit.wiring.speech import speaking_system

        return speaking_system(settings, suite, jobs=jobs)
    builders = {
        "faster-whisper": _faster_whisper,
        "openai-http": _openai_http,
        "command": _command,
        "recorded": _recorded,
    }
    return builders[suite.system.kind](settings, suite.system, jobs)


def _recorded(settings: Settings, system: SystemSpec, _jobs: int) -> SystemUnderTest:
    from relkit.adapters.systems.recorded import RecordedAnswers

    relative = str(system.options["path"])
    answers = RecordedAnswers(_inside(settings, relative), source=relative)
    # Nobody knows under which load a file was made: its latencies compare with no other file's.
    load: dict[str, Scalar] = {"recorded": answers.artifact}
    return _under_test(system, artifact=answers.artifact, load=load, recorded=answers)


def _command(settings: Settings, system: SystemSpec, jobs: int) -> SystemUnderTest:
    build = partial(
        build_command,
        dict(system.options),
        system.timeout_s,
        settings.workspace,
        dict(settings.environment),
    )
    return asked(system, build, artifact=None, jobs=jobs, threads=0)


def _openai_http(settings: Settings, system: SystemSpec, jobs: int) -> SystemUnderTest:
    build = partial(
        build_openai_http, dict(system.options), system.timeout_s, dict(settings.environment)
    )
    return asked(system, build, artifact=None, jobs=jobs, threads=0)


def _faster_whisper(settings: Settings, system: SystemSpec, jobs: int) -> SystemUnderTest:
    from relkit.adapters.systems.faster_whisper import find_weights
    from relkit.adapters.workers import threads_per_job

    weights = find_weights(
        str(system.options["model"]),
        base=settings.workspace,
        cache=settings.cache / "weights",
        environment=settings.environment,
    )
    threads = int(system.options.get("cpu_threads") or 0) or threads_per_job(jobs)
    build = partial(build_faster_whisper, weights.folder, dict(system.options), threads)
    return asked(system, build, artifact=weights.artifact, jobs=jobs, threads=threads)


def build_faster_whisper(folder: Path, options: Mapping[str, Scalar], threads: int) -> SpeechSystem:
    """Build the recogniser inside a worker process."""
    from relkit.adapters.systems.faster_whisper import FasterWhisperSystem

    return FasterWhisperSystem(folder, options, cpu_threads=threads)


def build_openai_http(
    options: Mapping[str, Scalar], timeout_s: float, environment: Mapping[str, str]
) -> SpeechSystem:
    """Build the HTTP client inside a worker process."""
    from relkit.adapters.systems.openai import OpenAIHttpSystem

    return OpenAIHttpSystem(options, timeout_s=timeout_s, environment=environment)


def build_command(
    options: Mapping[str, Scalar], timeout_s: float, folder: Path, environment: Mapping[str, str]
) -> SpeechSystem:
    """Start the user's program inside a worker process, in the workspace's folder."""
    from relkit.adapters.systems.command import CommandSystem

    return CommandSystem(options, timeout_s=timeout_s, folder=folder, environment=environment)


def asked(
    system: SystemSpec,
    build: Callable[[], SpeechSystem],
    *,
    artifact: str | None,
    jobs: int,
    threads: int,
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
    system: SystemSpec,
    *,
    artifact: str | None,
    load: Mapping[str, Scalar],
    executor: Executor | None = None,
    recorded: RecordedSystem | None = None,
) -> SystemUnderTest:
    """Return a system with its identity: the digest of its settings and its artifact."""
    from relkit.evaluation.suites import system_document

    named = system.options.get("artifact")
    if artifact and named and artifact != named:
        raise InvalidInput(
            "system.artifact is not the digest of what was found", hint=f"it is {artifact}"
        )
    artifact = artifact or (str(named) if named else None)
    return SystemUnderTest(
        candidate=Candidate(
            digest=digest_of({**system_document(system), "artifact": artifact}),
            artifact=artifact,
        ),
        load=load,
        load_digest=digest_of(load),
        versions={},
        executor=executor,
        recorded=recorded,
    )


def _inside(settings: Settings, relative: str) -> Path:
    """Return a path of the workspace; raises InvalidInput where it leaves it."""
    path = Path(os.path.normpath(settings.workspace / relative))
    if not path.is_relative_to(settings.workspace):
        raise InvalidInput(
            "system.path leaves the workspace", hint="copy the file into the workspace"
        )
    return path
