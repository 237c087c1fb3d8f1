"""``relkit drill``: rehearse an incident, and see what the response was worth."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.output import result_is_stored, say, show

_FOLLOW_S = 2.0
"""Seconds between two looks at the clock of a drill that is followed."""

DrillPath = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the drill.")]


def list_(*, common: Common) -> None:
    """Show the drills there are.

    Example: relkit drill list
    """
    from relkit.core.codec import encode
    from relkit.incident.drills.view import drills_text
    from relkit.wiring.drill import drills

    show(
        drills(common.start),
        common,
        text=drills_text,
        document=lambda every: {
            "drills": [
                {key: encode(getattr(drill, key)) for key in ("name", "title", "lasts")}
                for drill in every
            ]
        },
    )


def start(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A drill; see: relkit drill list.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder for it.")],
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Another seed, other traffic.")
    ] = 0,
    speed: Annotated[
        float,
        typer.Option("--speed", metavar="N", min=0.01, help="Times as fast as our clock."),
    ] = 1.0,
    common: Common,
) -> None:
    """Begin a drill: its first alert has just arrived, and telemetry goes on growing.

    Example: relkit drill start night-call --out drill --speed 10
    """
    from relkit.incident.drills.view import status_text
    from relkit.wiring import drill as wiring

    status = wiring.start(common.start, out, name, seed=seed, speed=speed)
    result_is_stored()
    show(status, common, text=partial(status_text, folder=_called(out)))


def status(
    folder: DrillPath,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the drill is over; alerts on stderr.")
    ] = False,
    common: Common,
) -> None:
    """Let the drill go on to where its clock is, and say what has arrived.

    Example: relkit drill status drill
    """
    from time import sleep

    from relkit.incident.drills.view import status_text
    from relkit.wiring import drill as wiring

    now = wiring.status(folder)
    arrived: tuple[str, ...] = ()
    while follow and not now.over:
        for alert in now.alerts[len(arrived) :]:
            say(f"alert {alert}", quiet=common.quiet)
        arrived = now.alerts
        sleep(_FOLLOW_S)
        now = wiring.status(folder)
    show(now, common, text=partial(status_text, folder=_called(folder)))


def answer(
    folder: DrillPath,
    *,
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="What it was, and what was done.")
    ],
    common: Common,
) -> None:
    """Hand in what it was, what was done and what was sent.

    Example: relkit drill answer drill --file answer.yaml
    """
    from relkit.incident.drills.view import status_text
    from relkit.wiring import drill as wiring

    handed = wiring.answer(folder, file)
    result_is_stored()
    show(handed, common, text=partial(status_text, folder=_called(folder)))


def score(
    folder: DrillPath,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="PUB…", help="Public keys that may have signed the packet."),
    ] = None,
    common: Common,
) -> None:
    """Say what the answer was worth, and where points went.

    Example: relkit drill score drill --key oncall.pub
    """
    from relkit.incident.drills.view import drill_score_text
    from relkit.wiring import drill as wiring

    show(wiring.score(folder, tuple(key or ())), common, text=drill_score_text)


def _called(folder: Path) -> str:
    """Return a folder as it was named, without where on the machine it is."""
    return folder.name if folder.is_absolute() else folder.as_posix()
