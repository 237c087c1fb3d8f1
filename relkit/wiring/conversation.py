"""Builds what conversations are held with: the demo agent, here or as a program of a worker."""

import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.codec import encode, parse
from relkit.core.config import Workspace
from relkit.core.errors import MissingDependency, RelkitError
from relkit.evaluation.types import DemoAgent

if TYPE_CHECKING:
    from relkit.adapters.demo_agent.ports import Hear, Speak
    from relkit.adapters.demo_agent.server import AgentParts
    from relkit.adapters.systems.faster_whisper import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningAgent:
    """Where an agent listens."""

    url: str


def agent_weights(system: DemoAgent, workspace: Workspace | None, start: Path) -> "Weights":
    """Return the weights of the agent's recogniser; raises InvalidInput, MissingDependency.

    Outside of a workspace a folder is relative to ``start``.
    """
    from relkit.adapters.systems.faster_whisper import find_weights

    cache = Path.home() / ".cache/relkit" if workspace is None else workspace.cache
    return find_weights(
        system.model,
        base=start if workspace is None else workspace.folder,
        cache=cache / "weights",
        environment=os.environ if workspace is None else workspace.environment,
    )


def agent_parts(system: DemoAgent, weights: Path) -> "AgentParts":
    """Return what the demo agent hears and speaks with, loaded.

    Raises MissingDependency, InvalidInput.
    """
    from relkit._version import with_extra

    if importlib.util.find_spec("websockets") is None:
        raise MissingDependency("the package websockets is not installed", hint=with_extra("demo"))
    from relkit.adapters.demo_agent.server import AgentParts
    from relkit.adapters.voice_activity import Resampler, SileroVad

    return AgentParts(
        activity=SileroVad().stream,
        rate_change=Resampler,
        speak=_speak(system),
        hear=_hear(system, weights),
    )


def serve_agent(
    system: DemoAgent,
    weights: Path,
    *,
    port: int,
    ready: Callable[[ListeningAgent], None],
    partials: bool = False,
) -> None:
    """Serve the demo agent until a signal ends it; ``ready`` is told once where it listens.

    Raises MissingDependency, InvalidInput, and UsageError where the port is taken.
    """
    from relkit.adapters.demo_agent.server import HOST, AgentSettings, DemoAgentServer

    settings = AgentSettings(stop_ms=system.stop_ms, barge_in=system.barge_in, partials=partials)
    server = DemoAgentServer(agent_parts(system, weights), settings)
    server.run(port, lambda port: ready(ListeningAgent(url=f"ws://{HOST}:{port}")))


def _speak(system: DemoAgent) -> "Speak":
    from relkit.adapters.systems.engines import EspeakEngine
    from relkit.adapters.voice_activity import Resampler
    from relkit.evaluation.types import Espeak

    Resampler(22_050, 16_000)  # what espeak-ng speaks at: said now where soxr is not installed
    engine = EspeakEngine(Espeak(voice=system.voice))
    return lambda sentence: b"".join(engine.say(sentence))


def _hear(system: DemoAgent, weights: Path) -> "Hear":
    from relkit.adapters.demo_agent.dialogue import VOCABULARY
    from relkit.adapters.demo_agent.ports import HEARING_RATE, Sound
    from relkit.adapters.systems.faster_whisper import FasterWhisperSystem
    from relkit.datasets.types import Answer, Clip
    from relkit.evaluation.types import FasterWhisper

    settings = FasterWhisper(
        model=system.model, language="en", cpu_threads=1, initial_prompt=VOCABULARY
    )
    recogniser = FasterWhisperSystem(settings, weights)

    def hear(samples: Sound) -> str:
        data = samples.astype("<f4").tobytes()
        clip = Clip(samples=data, sample_rate=HEARING_RATE, digest="", path="", whole=False)
        answer = recogniser.answer(clip)
        return answer.text if isinstance(answer, Answer) else ""

    return hear


def agent_arguments(system: DemoAgent, weights: Path) -> list[str]:
    """Return the command line of a program that serves the agent until its input ends.

    It is for :class:`relkit.adapters.systems.demo.AgentProgram`.
    """
    code = f"from {__name__} import serve_for_parent; serve_for_parent()"
    return [sys.executable, "-c", code, json.dumps(encode(system)), str(weights)]


def serve_for_parent() -> None:
    """Serve the agent of the command line on a free port until standard input ends."""
    system = parse(DemoAgent, json.loads(sys.argv[1]), source="system")

    def end_with_parent() -> None:
        while os.read(0, 1 << 10):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    def say(agent: ListeningAgent) -> None:
        sys.stdout.write(f"{agent.url}\n")
        sys.stdout.flush()

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        serve_agent(system, Path(sys.argv[2]), port=0, ready=say)
    except RelkitError as error:
        sys.stderr.write(f"relkit: the demo agent: {error.message}\n")
        raise SystemExit(error.exit_code) from None
