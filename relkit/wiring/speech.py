"""Builds systems that speak, with the recogniser that listens to them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from relkit.core.config import Settings
from relkit.core.errors import InvalidInput
from relkit.evaluation.ports import (
    RoundTrip,
    Speaker,
    SpeakingSystem,
    SpeechSystem,
    SystemUnderTest,
)
from relkit.evaluation.types import Scalar, Suite, SystemSpec
from relkit.wiring.systems import asked, system_under_test

Build = Callable[[], SpeakingSystem]


def speaking_system(settings: Settings, suite: Suite, *, jobs: int) -> SystemUnderTest:
    """Return the suite's system, ready to speak, with its recogniser.

    Raises InvalidInput, MissingDependency: what cannot speak at all is refused before a run starts.
    """
    if suite.recogniser is None:
        raise InvalidInput('the task tts needs a "recogniser"')
    listening = replace(suite, task="asr", system=suite.recogniser, recogniser=None)
    recogniser = system_under_test(settings, listening, jobs=jobs)
    build, versions = _build(settings, suite.system)
    # Executors never look into what they hand out; their workers get what they were built for.
    worker = cast("Callable[[], SpeechSystem]", build)
    system = asked(suite.system, worker, artifact=None, jobs=jobs, threads=0)
    trip = RoundTrip(
        speaker=cast("Speaker", system.executor),
        recogniser=recogniser,
        folder=partial(_folder, settings),
    )
    # A resumed run must be listened to by the recogniser it was started with.
    versions = {**versions, "recogniser": recogniser.candidate.digest}
    return replace(system, executor=None, round_trip=trip, versions=versions)


def _folder(settings: Settings, run: str) -> Path:
    from relkit.wiring import run_folders

    return run_folders(settings).find(run)


def _build(settings: Settings, system: SystemSpec) -> tuple[Build, dict[str, str]]:
    """Return how a worker builds the system, and the versions that shape its speech."""
    from relkit.adapters.systems.engines import hibari_version, program_version

    options, environment = dict(system.options), dict(settings.environment)
    if system.kind == "openai-http":
        return partial(build_openai_speech, options, system.timeout_s, environment), {}
    if system.kind == "command":
        folder = settings.workspace
        return partial(build_command, options, system.timeout_s, folder, environment), {}
    if system.kind == "hibari-tts":
        return partial(build_hibari, options), {system.kind: hibari_version()}
    build = build_espeak if system.kind == "espeak-ng" else build_flite
    version = program_version(system.kind)
    return partial(build, options, system.timeout_s), {system.kind: version}


def build_espeak(options: Mapping[str, Scalar], timeout_s: float) -> SpeakingSystem:
    """Build the engine inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem, EspeakEngine

    return EngineSystem(EspeakEngine(options, timeout_s=timeout_s))


def build_flite(options: Mapping[str, Scalar], timeout_s: float) -> SpeakingSystem:
    """Build the engine inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem, FliteEngine

    return EngineSystem(FliteEngine(options, timeout_s=timeout_s))


def build_hibari(options: Mapping[str, Scalar]) -> SpeakingSystem:
    """Load the engine inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem, HibariEngine

    return EngineSystem(HibariEngine(options))


def build_openai_speech(
    options: Mapping[str, Scalar], timeout_s: float, environment: Mapping[str, str]
) -> SpeakingSystem:
    """Build the HTTP client inside a worker process."""
    from relkit.adapters.systems.engines import EngineSystem
    from relkit.adapters.systems.openai import OpenAISpeechEngine

    return EngineSystem(OpenAISpeechEngine(options, timeout_s=timeout_s, environment=environment))


def build_command(
    options: Mapping[str, Scalar], timeout_s: float, folder: Path, environment: Mapping[str, str]
) -> SpeakingSystem:
    """Start the user's program inside a worker process, in the workspace's folder."""
    from relkit.adapters.systems.command import CommandSpeech
    from relkit.adapters.systems.engines import keep_clip

    return CommandSpeech(
        options, timeout_s=timeout_s, folder=folder, environment=environment, keep=keep_clip
    )
