"""``relkit agent demo``."""

import sys
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.output import show

DEMO_PORT = 8765


def agent_demo(
    *,
    port: Annotated[
        int,
        typer.Option(
            "--port", metavar="N", min=0, max=65535, help="Loopback port; 0 is any free one."
        ),
    ] = DEMO_PORT,
    stop_ms: Annotated[
        int,
        typer.Option(
            "--stop-ms", metavar="MS", min=50, max=10_000, help="Silence that ends a turn, in ms."
        ),
    ] = 500,
    no_barge_in: Annotated[
        bool, typer.Option("--no-barge-in", help="Go on speaking when somebody speaks.")
    ] = False,
    partials: Annotated[
        bool, typer.Option("--partials", help="Send partial transcripts, twice a second.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Whisper model, or a folder with one.")
    ] = "tiny.en",
    voice: Annotated[
        str, typer.Option("--voice", metavar="NAME", help="A voice of espeak-ng.")
    ] = "en-us",
    common: Common,
) -> None:
    """Serve a small voice agent on this machine, to hold conversations with.

    Silero VAD, faster-whisper, rules with tools, espeak-ng; protocol pcm; until Ctrl-C.
    Example: relkit agent demo --stop-ms 900
    """
    from relkit.evaluation.types import DemoAgent
    from relkit.wiring.conversation import ListeningAgent, agent_weights, serve_agent
    from relkit.wiring.stores import workspace_if_any

    def say(agent: ListeningAgent) -> None:
        show(agent, common, text=lambda where: f"listening on {where.url}")
        sys.stdout.flush()  # who started it waits for this line

    workspace = workspace_if_any(common.start)  # it needs none
    system = DemoAgent(stop_ms=stop_ms, barge_in=not no_barge_in, model=model, voice=voice)
    weights = agent_weights(system, workspace, common.start)
    serve_agent(system, weights.folder, port=port, partials=partials, ready=say)
