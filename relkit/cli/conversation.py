"""``relkit agent demo``, ``relkit events`` and ``relkit listen``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from relkit.cli.app import Common
from relkit.cli.output import print_json, put, result_is_stored, say, show
from relkit.core.errors import UsageError

if TYPE_CHECKING:
    from relkit.conversation.types import EventFormat, VadKind

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

    def announce(agent: ListeningAgent) -> None:
        show(agent, common, text=lambda where: f"listening on {where.url}")
        sys.stdout.flush()  # who started it waits for this line

    workspace = workspace_if_any(common.start)  # it needs none
    system = DemoAgent(stop_ms=stop_ms, barge_in=not no_barge_in, model=model, voice=voice)
    weights = agent_weights(system, workspace, common.start)
    serve_agent(system, weights.folder, port=port, partials=partials, ready=announce)


def convert(
    form: Annotated[
        str, typer.Argument(metavar="FORMAT", help="otlp, rtvi, livekit, twilio or tau2.")
    ],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Logs; a file names its conversation.")
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the answers here (default: stdout)."),
    ] = None,
    common: Common,
) -> None:
    """Make recorded answers from logs of voice frameworks.

    Numbers that stand for "not measured" become null, and are counted.
    Example: relkit events convert rtvi calls/*.jsonl --out answers.jsonl
    """
    from typing import get_args

    from relkit.conversation.convert_view import converted_text
    from relkit.conversation.types import EventFormat
    from relkit.core.codec import encode, nearest
    from relkit.core.yaml_text import shown
    from relkit.wiring.recordings import convert_events

    formats: tuple[str, ...] = get_args(EventFormat)
    if form not in formats:
        raise UsageError(f'no format "{shown(form)}"', hint=nearest(form, formats))
    if common.as_json and out is None:
        raise UsageError(
            "--json needs --out: the answers are JSON lines and not one document",
            hint="for example --out answers.jsonl",
        )
    converted, lines = convert_events(cast("EventFormat", form), files, out)
    if out is not None:
        result_is_stored()
    if common.as_json:
        print_json(encode(converted))
        return
    if out is None:
        put(lines)
    say(converted_text(converted), quiet=common.quiet)


def listen(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="A stereo recording, or a folder of them."),
    ] = None,
    *,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="CHANNEL", help="left (default), right, or a file."),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="CHANNEL", help="right (default), left, or a file."),
    ] = None,
    vad: Annotated[
        str, typer.Option("--vad", metavar="KIND", help="energy (default) or silero.")
    ] = "energy",
    common: Common,
) -> None:
    """Measure turns and latencies of recordings that were made elsewhere.

    By voice activity: good to about 0.2 s a turn.
    Example: relkit listen call.wav --user left --agent right
    """
    from typing import get_args

    from relkit.conversation.listen_view import listening_text
    from relkit.conversation.types import VadKind
    from relkit.core.codec import nearest
    from relkit.core.yaml_text import shown
    from relkit.wiring import recordings

    kinds: tuple[str, ...] = get_args(VadKind)
    if vad not in kinds:
        raise UsageError(
            f'--vad: "{shown(vad)}" is none of {" and ".join(kinds)}', hint=nearest(vad, kinds)
        )
    listening = recordings.listen(path, user=user, agent=agent, vad=cast("VadKind", vad))
    show(listening, common, text=listening_text)
