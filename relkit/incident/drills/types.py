"""What a drill is made of, what a responder hands in, and what that was worth."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.values import (
    OUTSIDE,
    REQUIRED,
    Count,
    Duration,
    Limits,
    NonEmpty,
    Shape,
    Time,
)
from relkit.disclosure.types import Cause

DrillName = Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillAlert:
    """What arrives so long after the onset: the name of an alert, and no more."""

    after: Duration
    name: Annotated[str, Limits(pattern=r"^[A-Za-z0-9 ._:+-]{1,80}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """An incident to rehearse (``runbooks/drills/NAME.yaml``).

    ``kind`` is a kind of ``relkit simulate incident``, ``title`` what the responder is told.
    ``alerts`` arrive after the onset; with the first the drill begins. ``lasts`` is how long it
    unfolds from then on, ``par`` how long after the first alert an answer is as good as at once.
    """

    schema: Literal["relkit.drill/v1"] = field(default="relkit.drill/v1", metadata=REQUIRED)
    name: DrillName
    kind: NonEmpty
    title: Annotated[str, Limits(min_length=1, max_length=200)]
    alerts: Annotated[tuple[DrillAlert, ...], Limits(min_length=1)]
    lasts: Duration = "3h"
    par: Duration = "30m"
    turns_per_hour: Annotated[float, Limits(ge=50, le=100_000)] = 800.0
    source: str = field(default="", metadata=OUTSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillState:
    """A drill that was started (``drill.json``): its clock runs ``speed`` times as fast as ours.

    ``started`` is our time, ``began`` the drill's at that moment, ``ends`` its last.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.drill-state/v1"] = field(
        default="relkit.drill-state/v1", metadata=REQUIRED
    )
    drill: Drill
    seed: Count
    speed: Annotated[float, Limits(gt=0, le=100_000)]
    started: Time
    began: Time
    ends: Time


ActionKind = Literal["detected", "rolled_back", "mitigated", "communicated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillAction:
    """Something the responder did, at a time of the drill; ``version`` is what was gone back to."""

    at: Time
    kind: ActionKind
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillAnswer:
    """What a responder hands in (``answer.yaml``): what it was, what was done, what was sent.

    ``cause`` none: nothing is wrong; null: it cannot be told. Without a release to blame
    ``component``, ``first_bad`` and ``target`` stay null. ``packet`` is the file of the packet that
    was sent, relative to the folder of the drill.
    """

    cause: Cause | Literal["none"] | None
    component: str | None = None
    first_bad: str | None = None
    slice: str | None = None
    target: str | None = None
    actions: tuple[DrillAction, ...] = ()
    packet: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """An answer, and the time of the drill at which it was handed in."""

    FILE: ClassVar = Shape(required=True)

    at: Time
    answer: DrillAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillStatus:
    """Where a drill stands: its time, what lies there, and whether an answer was handed in."""

    name: DrillName
    title: str
    now: Time
    ends: Time
    over: bool
    alerts: tuple[str, ...]
    telemetry: str
    events: str | None
    handed_in: Time | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketVerdict:
    """Whether the packet that was sent holds, and how many secrets are in it."""

    valid: bool
    leaks: Count
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillScore:
    """What an answer was worth, of how many points; ``comments`` say where they went."""

    FILE: ClassVar = Shape(required=True)

    points: int
    of: Count
    cause: bool
    first_bad: bool
    slice: bool
    target: bool
    wrong_blame: bool
    needless_rollback: bool
    minutes_to_detect: float | None
    minutes_to_mitigate: float | None
    packet_valid: bool | None
    leaks: Count
    comments: tuple[str, ...]
