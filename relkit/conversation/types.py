"""Who spoke when in a conversation, what the agent said of itself, and what each row counts.

Truth and belief are kept apart: the bounds of the user's speech are known from the script, the
agent's sound is that of the loudspeaker; ``events`` are what the system said of itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.values import OMITTED, OPTIONAL, Count, Limits, Shape
from relkit.datasets.types import Acoustics, AnswerEvent, ScriptEntry, SpeechLabel

TimingSource = Literal["audio", "events", "vad"]
"""What latencies are measured on: the recording of what was played, the events of who kept it, or a
recording made elsewhere, by voice activity. Runs with different ones are never compared."""

Window = Annotated[float, Limits(gt=0, le=600_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionWindows:
    """How long each reaction may take, in ms (docs/conversations.md, section "Windows").

    ``answer_ms`` until a turn is unanswered, ``yield_ms`` until the agent has to stop for a turn,
    ``ignore_ms`` in which it must not stop for what is no turn, ``reply_ms`` in which it must not
    answer that. ``bridge_ms`` of silence end a stretch of speech; a conversation whose pacing was
    more than ``pacing_ms`` late at its 99th percentile is unusable.
    """

    FILE: ClassVar = Shape(omitted=True)

    answer_ms: Window = 10_000.0
    yield_ms: Window = 2_000.0
    ignore_ms: Window = 1_000.0
    reply_ms: Window = 2_000.0
    bridge_ms: Window = 200.0
    pacing_ms: Window = 100.0


DEFAULT_WINDOWS = ReactionWindows()

ResponseStage = Literal[
    "endpoint", "asr", "retrieval", "tool", "llm", "tts", "playout", "unexplained"
]
RESPONSE_STAGES: tuple[ResponseStage, ...] = (
    "endpoint",
    "asr",
    "retrieval",
    "tool",
    "llm",
    "tts",
    "playout",
    "unexplained",
)
"""The stages of a response, in the order of its milestones; their times sum to the response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSpan:
    """Uninterrupted sound of one channel, from ``start_ms`` to ``stop_ms`` of the recording."""

    start_ms: float
    stop_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeech(SoundSpan):
    """An entry of the script as it was said, pauses inside it included."""

    turn: str
    label: SpeechLabel = "turn"
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation as it is measured; times in ms from the first audio sample sent.

    ``user`` and ``agent`` are ordered by their start and are truth; ``events``, ordered by time,
    are belief, besides ``agent_cut``. ``pacing_p99_ms`` is how late audio was sent, None where
    nobody knows.
    """

    id: str
    duration_ms: float
    user: tuple[UserSpeech, ...] = ()
    agent: tuple[SoundSpan, ...] = ()
    events: tuple[AnswerEvent, ...] = ()
    source: TimingSource = "events"
    pacing_p99_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptClip:
    """An entry of a script with its sound: float32 little endian, mono, at the script's rate.

    ``bounds_ms`` are the first and the last moment of speech within the clip, in ms.
    """

    entry: ScriptEntry
    samples: bytes
    bounds_ms: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationScript:
    """What a harness is asked to hold: a conversation, ready to be sent.

    ``sample_rate`` in Hz is that of all clips, and what the agent hears. ``noise`` is the clip that
    is mixed in, of the same form. ``digest`` is that of everything that decides what is sent.
    ``folder`` is the absolute folder that the recording is written to.
    """

    id: str
    clips: tuple[ScriptClip, ...]
    sample_rate: int
    acoustics: Acoustics | None = None
    noise: bytes | None = None
    windows: ReactionWindows = DEFAULT_WINDOWS
    digest: str
    folder: str


TurnEnding = Literal["answered", "early", "unanswered", "censored"]
"""How a turn ends; each in exactly one way."""

Reaction = Literal["yielded", "kept_on", "ended", "contradiction"]
"""What the agent's speech did when somebody spoke into it: it was cut, went on, ran out by itself,
or went on although the system said that it was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTurn:
    """What became of one entry of the script.

    ``ending`` is None for what is no turn. ``eot_delay_ms`` is None without an end of turn by the
    system, ``false_end`` and ``missed_end`` where the system told nothing of its belief.
    ``reaction`` is None where the entry began in silence; ``replied`` tells for an entry that is no
    turn and began in silence whether the agent answered it, None elsewhere. ``stages`` sum to
    ``response_ms`` and are empty where that is None.
    """

    speech: UserSpeech
    ending: TurnEnding | None = None
    response_ms: float | None = None
    eot_delay_ms: float | None = None
    false_end: bool | None = None
    missed_end: bool | None = None
    forced_end: bool | None = None
    reaction: Reaction | None = None
    barge_in_stop_ms: float | None = None
    replied: bool | None = None
    stages: Mapping[ResponseStage, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationCounts:
    """What one row of a run adds to the rates of conversations and streams, as counts.

    A rate's units are the field that its definition divides by (docs/conversations.md, section
    "Rates"). Rows of the unit ``turn`` and ``interruption`` hold what became of an entry of the
    script, those of the unit ``conversation`` its task and its tools, and an utterance that was
    streamed its partials. ``pass_any`` and ``pass_all`` are estimates over repeats, and stand on
    one row per conversation.
    """

    turns: Count = 0
    unanswered: Count = 0
    early: Count = 0
    answered: Count = 0
    censored: Count = 0
    endpointed: Count = 0
    false_ends: Count = 0
    observed_ends: Count = 0
    missed_ends: Count = 0
    forced_ends: Count = 0
    interruptions: Count = 0
    yields: Count = 0
    natural_ends: Count = 0
    contradictions: Count = 0
    ignorable_over_speech: Count = 0
    false_yields: Count = 0
    ignorable_in_silence: Count = 0
    false_replies: Count = 0
    budgeted: Count = 0
    over_budget: Count = 0
    tasks: Count = 0
    tasks_done: Count = 0
    pass_scored: Count = 0
    pass_any: float = 0.0
    pass_all: float = 0.0
    tool_calls: Count = 0
    empty_arguments: Count = 0
    forbidding: Count = 0
    forbidden: Count = 0
    tool_pairs: Count = 0
    tool_matches: Count = 0
    streamed: Count = 0
    unstable: Count = 0
    updates: Count = 0
    revisions: Count = 0
    final_words: Count = 0
    taken_back: Count = 0
    finals: Count = 0
    false_finals: Count = 0
    speculations: Count = 0
    wasted_speculations: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationTimes:
    """What one row of a run measured once, in ms; None where it was not measured, never 0.

    ``overlap_ms`` is per minute of conversation; ``stages`` is empty where a response was not
    measured.
    """

    response_ms: float | None = None
    eot_delay_ms: float | None = None
    barge_in_stop_ms: float | None = None
    dead_air_ms: float | None = None
    overlap_ms: float | None = None
    first_partial_ms: float | None = None
    settled_ms: float | None = None
    finalisation_ms: float | None = None
    stages: Mapping[ResponseStage, float] = field(default_factory=dict)


_IF_MEASURED = OPTIONAL | OMITTED


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """How long a stage of a response takes, in ms, over the turns that have it."""

    FILE: ClassVar = Shape(required=True)

    mean: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """The stages of a response that were measured in a slice.

    ``sum_ms`` is what they come to in a mean turn, ``response_ms`` the mean response; None where no
    turn has one. Means add; percentiles do not.
    """

    endpoint: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    asr: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    retrieval: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    tool: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    llm: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    tts: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    playout: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    unexplained: StageTime | None = field(default=None, metadata=_IF_MEASURED)
    sum_ms: float | None
    response_ms: float | None

    @property
    def measured(self) -> dict[ResponseStage, StageTime]:
        """Every stage that was measured, in the order of the milestones."""
        times = {stage: getattr(self, stage) for stage in RESPONSE_STAGES}
        return {stage: time for stage, time in times.items() if time is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSummary:
    """What a report says of its conversations besides metrics.

    ``held`` conversations could be measured, ``unusable`` ones the harness spoilt; of their turns
    ``censored_turns`` had no time to be answered, and ``contradictions`` went on speaking although
    the system said that it was interrupted. ``pacing_p99_ms`` is that of the worst conversation
    held, None where nobody knows one of them.
    """

    FILE: ClassVar = Shape(required=True)

    held: Count
    unusable: Count
    turns: Count
    censored_turns: Count
    contradictions: Count
    held_again: Count = 0
    pacing_p99_ms: float | None = None
    source: TimingSource | Literal["mixed"] = "events"
    not_measured: Mapping[str, Count] = field(default_factory=dict, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredConversation:
    """A conversation that was held, with what became of each entry of its script, in order.

    ``unusable`` says why nothing of it counts, None where it does.
    """

    conversation: Conversation
    turns: tuple[MeasuredTurn, ...]
    repeat: int = 0
    unusable: str | None = None


EventFormat = Literal["otlp", "rtvi", "livekit", "twilio", "tau2"]
"""Whose logs ``relkit events convert`` reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedEvents:
    """What was read out of logs, in counts.

    ``not_measured`` counts by kind what stands for no number, ``unknown`` messages by their names.
    """

    format: EventFormat
    conversations: Count
    failures: Count
    events: Count
    tool_calls: Count
    not_measured: Mapping[str, Count] = field(default_factory=dict)
    unknown: Mapping[str, Count] = field(default_factory=dict)


VadKind = Literal["energy", "silero"]
"""What finds speech in a recording that was made elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VadTurn:
    """A stretch of the user's speech, and what became of it; ``response_ms`` where answered."""

    start_ms: float
    stop_ms: float
    response_ms: float | None
    kind: TurnEnding


@dataclass(frozen=True, slots=True, kw_only=True)
class VadRecording:
    """Turns of one recording; ``overlap_ms`` per minute, ``cross_talk`` the echo's correlation.

    ``cross_talk`` is that of the levels of both channels while the agent speaks, None where it is
    too low to mean anything.
    """

    path: str
    turns: tuple[VadTurn, ...]
    overlap_ms: float | None
    dead_air_ms: float | None
    cross_talk: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What was measured in recordings, by which voice activity."""

    vad: VadKind
    source: TimingSource
    recordings: tuple[VadRecording, ...]
