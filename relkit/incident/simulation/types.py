"""What a simulated incident is made from, and the answer that is right (``answer.json``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.values import Count, Limits, NonEmpty, Shape, Time, after
from relkit.disclosure.types import Cause
from relkit.incident.types import OtherEvent, TriageVerdict
from relkit.registry.types import Release, ReleaseEvent

IncidentComponent = Literal["asr", "llm", "tts", "retrieval"]

IncidentQuantity = Literal[
    "arrivals",
    "failed",
    "reprompt",
    "ungrounded",
    "bad_tool_args",
    "false_interrupt",
    "retried",
    "asr_ms",
    "llm_ttft_ms",
    "tts_ttfb_ms",
    "tts_tail",
    "queue_ms",
    "tokens",
    "price",
    "partial_changes",
    "nulls",
    "microseconds",
]
"""What an incident can change. ``tts_tail`` is the share of turns whose speech starts very late,
``nulls`` the share of turns that lose measurements, ``microseconds`` that of turns whose stages
are recorded in another unit."""

BASE_ONSET_HOURS = 150.0
"""Hours of traffic before an incident begins, but for what the seed adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep:
    """A share of traffic, for so many hours."""

    share: float
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How a version comes to traffic: step by step, then ``final``.

    ``at`` is in hours from the onset. ``only`` maps columns to the values of the sessions that can
    get it. Rollouts with the same ``coin`` choose the same sessions: they are one deployment.
    """

    component: IncidentComponent
    version: str
    at: float
    steps: tuple[RolloutStep, ...] = ()
    final: float = 1.0
    only: Mapping[str, str] = field(default_factory=dict)
    coin: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentChange:
    """A quantity multiplied by ``factor`` where all conditions hold.

    ``only`` maps a column to its value; ``component`` and ``versions`` say which releases it takes.
    It begins ``since`` hours after the onset, lasts ``hours``, and grows for ``ramp`` hours.
    ``daily`` (from hour, to hour) holds every day, before the onset, too. ``code`` is the error
    code of the failures that it adds.
    """

    quantity: IncidentQuantity
    factor: float
    only: Mapping[str, str] = field(default_factory=dict)
    component: IncidentComponent | None = None
    versions: tuple[str, ...] = ()
    since: float = 0.0
    hours: float | None = None
    ramp: float | None = None
    daily: tuple[int, int] | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficMix:
    """From the onset on, ``share`` of the sessions have this value of a column."""

    column: str
    value: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ElsewhereChange:
    """What ``events.jsonl`` has: ``at`` hours after the onset."""

    at: float
    kind: Literal["config", "flag", "dependency", "price", "client", "traffic", "infrastructure"]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RightVerdict:
    """A verdict, and its cause where it has one."""

    verdict: TriageVerdict
    cause: Cause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentKind:
    """An incident by name, and what is right to say of it.

    ``guilty`` is the rollout, by its place, that is to blame. ``slices`` are right, "overall" among
    them where all traffic is concerned; none: any is. ``also`` are verdicts that are right, too.
    Components without a rollout here have an innocent one going on, unless ``quiet``. ``volume``
    multiplies the traffic.
    """

    name: str
    description: str
    right: RightVerdict
    rollouts: tuple[Rollout, ...] = ()
    guilty: int | None = None
    changes: tuple[IncidentChange, ...] = ()
    mix: tuple[TrafficMix, ...] = ()
    elsewhere: tuple[ElsewhereChange, ...] = ()
    slices: tuple[str, ...] = ()
    also: tuple[RightVerdict, ...] = ()
    quiet: bool = False
    volume: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedIncident:
    """An incident with its seed: the same values give the same turns, hour by hour.

    ``onset_hours`` after ``start`` it begins. ``rollouts`` are all that happen, in the order of
    time, those of the kind with them.
    """

    kind: IncidentKind
    seed: int
    turns_per_hour: float
    start: Time
    hours: int
    onset_hours: float
    rollouts: tuple[Rollout, ...]

    @property
    def onset(self) -> str:
        """When it begins, as a UTC time."""
        return after(self.start, round(self.onset_hours * 3600))

    @property
    def until(self) -> str:
        """When the traffic ends, as a UTC time."""
        return after(self.start, self.hours * 3600)

    @property
    def guilty(self) -> Rollout | None:
        """The rollout that is to blame."""
        kind = self.kind
        return None if kind.guilty is None else kind.rollouts[kind.guilty]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseName:
    """One version of a component."""

    component: NonEmpty
    version: NonEmpty


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAnswer:
    """What is right to say of an incident (``answer.json``).

    ``verdict`` and ``cause`` are the truth, ``also`` what else is right, because the traffic does
    not tell. ``slices`` are right, ``overall`` for all traffic; with none any is. ``target`` is
    where to go back to. ``innocent`` has every release that must not be blamed.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.incident-answer/v1"] = "relkit.incident-answer/v1"
    kind: NonEmpty
    description: NonEmpty
    seed: Count
    turns_per_hour: Annotated[float, Limits(gt=0, le=1e8)]
    now: Time
    onset: Time | None
    verdict: TriageVerdict
    cause: Cause | None
    component: str | None
    first_bad: str | None
    slices: tuple[str, ...]
    target: str | None
    also: tuple[RightVerdict, ...]
    innocent: tuple[ReleaseName, ...]


Grade = Literal["right", "undetermined", "wrong", "blamed"]
"""What a verdict is worth; ``blamed``: a release is named that is innocent, the worst there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentHistory:
    """Releases of all components, and their ledgers, events by model in the order of time."""

    releases: tuple[Release, ...]
    events: Mapping[str, tuple[ReleaseEvent, ...]]
    artifacts: Mapping[str, bytes]
    """Files of the releases, and the decisions behind them, by their path in the workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenIncident:
    """What was written: the answer, its files, and how many turns and releases are in them."""

    answer: IncidentAnswer
    telemetry: tuple[str, ...]
    turns: Count
    releases: Count
    elsewhere: tuple[OtherEvent, ...]
