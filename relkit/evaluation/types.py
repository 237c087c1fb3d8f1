"""What to measure (suites and systems), under which conditions (runs), and what came of it.

Reports hold metrics by slice with the digests of everything they rest on; two of them compare only
where they measured the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, Literal

from relkit.audio.types import Quality, QualitySummary, SpeechSummary, SpokenAudio
from relkit.conversation.types import (
    DEFAULT_WINDOWS,
    ConversationCounts,
    ConversationSummary,
    ConversationTimes,
    ReactionWindows,
    StageTimes,
    TimingSource,
)
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.metrics import METRICS, PREDICTED, STAGE_METRICS, expand, metric_of
from relkit.core.slices import OVERALL, SliceSpec
from relkit.core.tokens import Segmenter
from relkit.core.values import (
    OMITTED,
    OPTIONAL,
    REQUIRED,
    Checked,
    Count,
    Digest,
    ErrorCounts,
    Estimate,
    Limits,
    Named,
    Read,
    Shape,
    SystemId,
    Tagged,
)
from relkit.core.yaml_text import shown
from relkit.datasets.types import Answer, Clustering, DatasetVersion, Prediction, Unusable
from relkit.safety.types import SafetyCounts
from relkit.scoring.types import EntityType, MaskingStep, ScoredText, Texts
from relkit.statistics.types import DetectionCost, TrialCosts


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceResult:
    """One slice: how much was in it, what failed, and its metrics by name."""

    slice: str
    utterances: int
    clusters: int
    failures: int
    counts: ErrorCounts
    metrics: Mapping[str, Estimate]
    stages: StageTimes | None = field(default=None, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runaways:
    """Utterances with far more insertions than words, and what an unseen rate could cost.

    ``hidden_rate`` is the highest rate that still shows nothing in this much data (97.5 %), and
    ``hidden_wer`` what it would add to the WER if each runaway inserted ``loop_words`` words.
    """

    FILE: ClassVar = Shape(required=True)

    count: int
    loops: int
    hidden_rate: float | None = None
    hidden_wer: float | None = None
    loop_words: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Hallucinations:
    """Words on clips whose reference is empty: clips, clips with a word, words per minute."""

    clips: int
    with_words: int
    words: int
    words_per_minute: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalReport:
    """The result of a run, ``report.json``: what was measured, on what, with which system.

    ``expected`` items were asked for, ``scored`` of them could be given to the system (failures
    included), ``unusable`` could not. ``coverage`` = scored / expected. ``registered`` maps each
    slice column to the values that the dataset's lock promises for the suite's selection; None
    where the dataset is not locked. ``cluster`` is the column of the independent units, and
    ``shared_prompts`` how many prompts numbers are clustered by as well, 0 where too few are shared
    to count, None where it is not known. ``crossed`` is the column of these where it was chosen,
    ``(none)`` where there are to be none. ``load`` is the digest of the load fingerprint that
    latencies were measured under, or ``mixed``. ``limit`` marks a smoke run of so many utterances.
    ``expected``, ``scored``, ``failures`` and ``unusable`` count answers, ``repeats`` of each item.
    Rates are fractions, times in ms.
    """

    FILE: ClassVar = Shape(required=True, derived={"path": "run", "coverage": "unusable"})

    schema: Literal["relkit.report/v1"] = "relkit.report/v1"
    run: str
    created: str
    tool_version: str
    suite: Named
    candidate: SystemId
    dataset: DatasetVersion
    normalizer: Named
    scorer: str
    load: str
    repeats: int
    expected: int
    scored: int
    failures: int
    unusable: int
    failure_reasons: Mapping[str, int] = field(default_factory=dict)
    unusable_reasons: Mapping[str, int] = field(default_factory=dict)
    slices: tuple[SliceResult, ...]
    masking: tuple[MaskingStep, ...]
    runaways: Runaways
    hallucinations: Hallucinations
    notes: tuple[str, ...] = ()
    entity_types: tuple[EntityType, ...] = field(default=(), metadata=OPTIONAL)
    quality: QualitySummary | None = field(default=None, metadata=OPTIONAL)
    speech: SpeechSummary | None = field(default=None, metadata=OPTIONAL)
    conversations: ConversationSummary | None = field(default=None, metadata=OPTIONAL | OMITTED)
    registered: Mapping[str, tuple[str, ...]] | None = field(default=None, metadata=OPTIONAL)
    cluster: str = field(default="cluster", metadata=OPTIONAL)
    crossed: str | None = field(default=None, metadata=OPTIONAL | OMITTED)
    shared_prompts: int | None = field(default=None, metadata=OPTIONAL | OMITTED)
    limit: Count | None = field(default=None, metadata=OPTIONAL | OMITTED)

    @property
    def path(self) -> str:
        """Where the run lies, relative to the workspace."""
        return f".relkit/runs/{self.run}"

    @property
    def items(self) -> int:
        """How many utterances (or conversations) there were, each once whatever the repeats."""
        return round(self.expected / max(1, self.repeats))

    @property
    def coverage(self) -> float | None:
        """Scored / expected, a fraction; None where nothing was expected."""
        return self.scored / self.expected if self.expected else None


Scalar = str | int | float | bool | None
Task = Literal["asr", "tts", "agent", "turn", "stream"]
Name = Annotated[str, Limits(min_length=1, max_length=200)]
ToolFileName = Annotated[str, Limits(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.ya?ml$")]
"""The name of a file beside the suite."""
Voice = Annotated[str, Limits(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+./-]{0,79}$")]
SocketAddress = Annotated[str, Limits(pattern=r"^wss?://[^\s@]+$")]
Address = Annotated[str, Limits(pattern=r"^https?://[^\s@]+$")]
Variable = Annotated[str, Limits(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A system under test as a suite names it.

    ``timeout_s`` bounds one call in seconds; ``retries`` is how often a retryable failure is asked
    again. ``artifact`` is the digest of what is served, where the suite holds it to one.
    """

    kind: str
    timeout_s: Annotated[float, Limits(gt=0, le=3600)] = 60.0
    retries: Annotated[int, Limits(ge=0, le=10)] = 1
    artifact: Digest | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FasterWhisper(System):
    """A Whisper model run here by faster-whisper."""

    kind: Literal["faster-whisper"] = field(default="faster-whisper", metadata=REQUIRED)
    model: Name
    compute_type: Literal["int8", "int8_float32", "float32", "float16", "int8_float16"] = "int8"
    beam_size: Annotated[int, Limits(ge=1, le=100)] = 1
    temperature: Annotated[float, Limits(ge=0, le=2)] = 0.0
    language: Name | None = field(default=None, metadata=OMITTED)
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    cpu_threads: Annotated[int, Limits(ge=0, le=1024)] = 0
    vad_filter: bool = False
    initial_prompt: str | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIHttp(System):
    """A server that speaks OpenAI's transcription API."""

    kind: Literal["openai-http"] = field(default="openai-http", metadata=REQUIRED)
    base_url: Address
    model: Name
    api_key_env: Variable | None = field(default=None, metadata=OMITTED)
    language: Name | None = field(default=None, metadata=OMITTED)
    prompt: str | None = field(default=None, metadata=OMITTED)
    temperature: Annotated[float, Limits(ge=0, le=2)] = 0.0
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISpeech(System):
    """A server that speaks OpenAI's speech API; ``rate`` is its ``speed``."""

    kind: Literal["openai-http"] = field(default="openai-http", metadata=REQUIRED)
    base_url: Address
    model: Name
    voice: Name
    api_key_env: Variable | None = field(default=None, metadata=OMITTED)
    rate: Annotated[float, Limits(ge=0.25, le=4)] | None = field(default=None, metadata=OMITTED)
    instructions: str | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Espeak(System):
    """espeak-ng on this machine; ``rate`` in words per minute, ``pitch`` 0 to 99."""

    kind: Literal["espeak-ng"] = field(default="espeak-ng", metadata=REQUIRED)
    voice: Voice = "en-us"
    rate: Annotated[int, Limits(ge=80, le=450)] = 175
    pitch: Annotated[int, Limits(ge=0, le=99)] = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Flite(System):
    """flite on this machine; ``rate`` 1 is the voice's own, ``pitch`` its mean in Hz."""

    kind: Literal["flite"] = field(default="flite", metadata=REQUIRED)
    voice: Voice = "slt"
    rate: Annotated[float, Limits(ge=0.25, le=4)] = 1.0
    pitch: Annotated[float, Limits(ge=40, le=400)] | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hibari(System):
    """hibari-tts in this process; ``rate`` 1 is the voice's own."""

    kind: Literal["hibari-tts"] = field(default="hibari-tts", metadata=REQUIRED)
    voice: Voice = "heart"
    rate: Annotated[float, Limits(ge=0.5, le=2)] = 1.0
    seed: Annotated[int, Limits(ge=0, le=2**32 - 1)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(System):
    """A program that reads utterances as JSON lines and answers one line each."""

    kind: Literal["command"] = field(default="command", metadata=REQUIRED)
    run: Name


ExecutorKind = Literal["local", "ray"]
"""Who asks a system: processes of this machine, or actors of a Ray cluster."""

ConversationProtocol = Literal["pcm", "twilio", "rtvi", "openai-realtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceWs(System):
    """A running voice agent that is spoken to over a WebSocket, in real time.

    ``sample_rate`` in Hz is that of both directions. ``protocol`` names a table of message types
    (docs/conversations.md, section "Protocols"). ``headers_env`` maps a header to the environment
    variable that holds its value. ``timeout_s`` bounds a conversation, besides what its script
    takes.
    """

    kind: Literal["voice-ws"] = field(default="voice-ws", metadata=REQUIRED)
    url: SocketAddress
    protocol: ConversationProtocol = "pcm"
    sample_rate: Literal[8000, 16000, 24000, 48000] = 16000
    headers_env: Mapping[str, Variable] | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAgent(System):
    """The small voice agent that comes with relkit, started here for as long as it is spoken to.

    ``stop_ms`` of silence end a turn; with ``barge_in`` it stops when somebody speaks.
    """

    kind: Literal["demo-agent"] = field(default="demo-agent", metadata=REQUIRED)
    stop_ms: Annotated[int, Limits(ge=50, le=10_000)] = 500
    barge_in: bool = True
    model: Name = "tiny.en"
    voice: Voice = "en-us"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsrWs(System):
    """A recogniser that hears audio over a WebSocket and gives partials as JSON lines."""

    kind: Literal["asr-ws"] = field(default="asr-ws", metadata=REQUIRED)
    url: SocketAddress
    protocol: Literal["pcm"] = "pcm"
    sample_rate: Literal[8000, 16000, 24000, 48000] = 16000
    headers_env: Mapping[str, Variable] | None = field(default=None, metadata=OMITTED)


ANSWER_KEYS = ("id", "error", *(item.name for item in fields(Answer)))
"""The keys of an answer line (docs/cli.md, section "Answers")."""


def checked_mapping(mapping: Mapping[str, str]) -> Mapping[str, str]:
    """Return columns by key of an answer; raises ValueError for an unknown key."""
    for key in mapping:
        if key not in ANSWER_KEYS:
            raise ValueError(f'unknown key "{shown(key)}"; {nearest(key, ANSWER_KEYS)}')
    return mapping


ForeignAnswers = Literal["tau2"]
"""Formats of other tools that hold answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(System):
    """Answers given earlier: a JSONL, CSV or Parquet file, relative to the workspace.

    ``mapping`` names the columns that hold keys of an answer under other names, or a format of
    another tool: ``tau2`` for simulations of tau2-bench.
    """

    kind: Literal["recorded"] = field(default="recorded", metadata=REQUIRED)
    path: Name
    mapping: Annotated[Mapping[str, Name], Checked(checked_mapping)] | ForeignAnswers | None = (
        field(default=None, metadata=OMITTED)
    )


AnySystem = Annotated[
    FasterWhisper
    | OpenAIHttp
    | OpenAISpeech
    | Command
    | Recorded
    | Espeak
    | Flite
    | Hibari
    | VoiceWs
    | DemoAgent
    | AsrWs,
    Tagged("kind"),
]
Recogniser = Annotated[FasterWhisper | OpenAIHttp | Command, Tagged("kind")]
"""What can listen to a system that speaks: answers given earlier cannot."""


def _one_or_more(values: object) -> object:
    return (values,) if isinstance(values, str | int | float) else values


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """The part of a dataset that a suite uses: ``where`` maps a column to the values in it."""

    name: Name
    rev: Name | None = None
    where: Mapping[str, Annotated[tuple[str, ...], Read(_one_or_more, str)]] = field(
        default_factory=dict
    )


def checked_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return metrics with their statistics spelled out; raises ValueError for an unknown one."""
    for name in names:
        try:
            metric_of(STAGE_METRICS[0] if name == "stage_ms" else name)
        except KeyError:
            hint = nearest(name, tuple(METRICS))
            raise ValueError(f'unknown metric "{shown(name)}"; {hint}') from None
    return expand(names)


def with_overall(slices: tuple[str, ...]) -> tuple[str, ...]:
    """Return cuts without repeats, the whole first, the columns of crossings sorted."""
    return tuple(dict.fromkeys(SliceSpec.parse(name).name for name in (OVERALL, *slices)))


MOST_JOBS = 256
JobCount = int | Literal["auto"]
"""How many workers ask at a time; ``auto``: as many as the machine or cluster has place for."""


def job_count(text: str) -> JobCount:
    """Return how many workers a text asks for; raises UsageError."""
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= MOST_JOBS:
        raise UsageError(f"--jobs is a number from 1 to {MOST_JOBS}, or auto")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResources:
    """What a worker takes of a machine: ``cpus``, ``gpus`` (parts of one count), memory in GiB.

    None of a CPU count is what the system says, else an equal part of this machine, or 1 CPU of a
    cluster. GPUs are shared out by a cluster only.
    """

    FILE: ClassVar = Shape(omitted=True)

    cpus: Annotated[int, Limits(ge=1, le=1024)] | None = None
    gpus: Annotated[float, Limits(ge=0, le=64)] = 0.0
    memory_gib: Annotated[float, Limits(gt=0, le=65536)] | None = None

    def places(self, cpus: float, gpus: float, memory_gib: float) -> int:
        """Return how many workers such a machine has place for."""
        needs = ((self.cpus or 1, cpus), (self.gpus, gpus), (self.memory_gib or 0.0, memory_gib))
        return min(int(there / each + 1e-9) for each, there in needs if each > 0)


DEFAULT_RESOURCES = JobResources()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite, whole and checked.

    ``cluster`` overrides the dataset's; ``max_audio_s`` bounds what is decoded of one clip.
    ``recogniser`` listens to what a system of the task tts says, and is None for every other task.
    ``detection_cost`` is what errors of a detector of spoofed speech cost, for ``min_dcf``.
    ``tools`` is the file, beside the suite, of the tools that an agent may call (docs/safety.md).
    Of conversations ``windows`` say how long reactions may take, ``source`` what latencies are
    measured on, ``budget`` maps a metric in ms to what its p95 should stay below, and ``k`` is how
    many repeats ``pass_all_k`` and ``pass_any_k`` are about (None: all). ``pace`` is how a stream
    is sent: faster than real time its times mean nothing. ``update_ms`` is how often a recogniser
    makes the text of a stream again, where it does. ``resources`` is what each worker takes, which
    is no part of what is measured.
    """

    schema: Literal["relkit.suite/v1"] = field(default="relkit.suite/v1", metadata=OMITTED)
    name: Name
    dataset: DatasetRef
    task: Task = "asr"
    normalizer: Name = "none"
    segmenter: Segmenter = "auto"
    metrics: Annotated[tuple[str, ...], Limits(min_length=1), Checked(checked_metrics)] = (
        "wer",
        "wer_capped",
        "cer",
    )
    slices: Annotated[tuple[Name, ...], Checked(with_overall)] = (OVERALL,)
    cluster: Clustering | None = None
    keywords: tuple[Name, ...] = ()
    max_audio_s: Annotated[float, Limits(gt=0, le=86400)] = 600.0
    system: AnySystem
    recogniser: Recogniser | None = None
    detection_cost: DetectionCost | None = field(default=None, metadata=OMITTED)
    tools: ToolFileName | None = field(default=None, metadata=OMITTED)
    windows: ReactionWindows = field(default=DEFAULT_WINDOWS, metadata=OMITTED)
    source: TimingSource = field(default="audio", metadata=OMITTED)
    budget: Mapping[Name, Annotated[float, Limits(gt=0)]] | None = field(
        default=None, metadata=OMITTED
    )
    k: Annotated[int, Limits(ge=1, le=100)] | None = field(default=None, metadata=OMITTED)
    pace: Literal["realtime", "fast"] = field(default="realtime", metadata=OMITTED)
    update_ms: Annotated[float, Limits(ge=20, le=60_000)] | None = field(
        default=None, metadata=OMITTED
    )
    resources: JobResources | None = field(default=None, metadata=OMITTED)


JOBS: Mapping[Task, str] = {
    "asr": "listens",
    "tts": "speaks",
    "agent": "acts",
    "turn": "converses",
    "stream": "gives partials",
}
DOES: Mapping[Task, tuple[type[System], ...]] = {
    "asr": (FasterWhisper, OpenAIHttp, Command, Recorded),
    "tts": (OpenAISpeech, Command, Espeak, Flite, Hibari),
    "agent": (Recorded, Command),
    "turn": (VoiceWs, DemoAgent, Command, Recorded),
    "stream": (AsrWs, FasterWhisper, OpenAIHttp, Command, Recorded),
}
"""The systems that do what a task asks for."""
RECOGNISERS = (FasterWhisper, OpenAIHttp, Command)
NEEDS_RECOGNISER = 'the task tts needs a "recogniser", and no other task has one'


def wrong_kind(kind: str, task: Task) -> str:
    """Return in words that a system does not do what its task asks for."""
    return f'the system kind "{kind}" is no system that {JOBS[task]}'


def checked_systems(suite: Suite) -> Suite:
    """Return a suite whose systems do what its task asks for; raises ValueError for others."""
    if not isinstance(suite.system, DOES[suite.task]):
        raise ValueError(wrong_kind(suite.system.kind, suite.task))  # noqa: TRY004 - not its type alone
    if (suite.recogniser is None) == (suite.task == "tts"):
        raise ValueError(NEEDS_RECOGNISER)
    return suite


RunStatus = Literal["running", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """``run.json``: everything that decides a run's numbers, and the digests of what it wrote.

    It is written before the first clip is decoded, and again when the run is ``finished``.
    ``suite_digest`` is the SHA-256 of the effective suite without its system
    (docs/cli.md, section "A run and its digests"). ``load`` is the load fingerprint (cores,
    processes, threads, hardware): latencies under different ones are never compared. ``versions``
    maps a distribution to its version, ``outputs`` a file name to its digest. ``source`` names the
    run whose predictions a rescored run uses, ``limit`` marks a smoke run of so many utterances.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.run/v1"] = "relkit.run/v1"
    run: str
    status: RunStatus = "running"
    created: str
    finished: str | None = None
    source: str | None = None
    suite_digest: str
    suite: Annotated[Suite, Checked(checked_systems)]
    dataset: DatasetVersion
    candidate: SystemId
    normalizer: Named
    repeats: int
    load: Mapping[str, Scalar]
    load_digest: str
    versions: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    limit: Count | None = field(default=None, metadata=OPTIONAL | OMITTED)


RowUnit = Literal["conversation", "turn", "interruption"]
"""What a row is where it is no utterance; an interruption is an entry of a script that is no
turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row of a run: an utterance, or a part of one, in one repeat.

    ``score`` is None where the item was unusable; a failed item is scored as all deleted and names
    its ``failure``. Times in ms, ``duration`` in s; ``slices`` are the columns the data is cut by.
    ``quality`` is that of the audio, None where the suite does not ask for it. ``prompt_number`` is
    the same for what was to be read alike, None where nothing was. ``unit`` is None for an
    utterance; a ``conversation`` has rows of its parts besides its own, whose ids begin with its id
    and ``#``. ``conversation`` and ``times`` are what the row adds to their metrics. ``trial`` is
    what a scored trial of a detector of spoofed speech adds. ``safety`` is what an exchange with an
    agent adds to the safety metrics, None where nothing was evaluated.
    """

    id: str
    repeat: int
    cluster: str
    slices: Mapping[str, str]
    duration: float | None
    score: ScoredText | None
    texts: Texts
    failure: str | None = None
    unusable: str | None = None
    latency_ms: float | None = None
    first_byte_ms: float | None = None
    attempts: int = 0
    cached: bool = False
    load: str = ""
    quality: Quality | None = None
    speech: SpokenAudio | None = None
    prompt_number: int | None = None
    trial: TrialCosts | None = None
    safety: SafetyCounts | None = None
    unit: RowUnit | None = None
    conversation: ConversationCounts | None = None
    times: ConversationTimes | None = None

    @property
    def is_item(self) -> bool:
        """Whether the row stands for an item of the dataset, and not for a part of one."""
        return self.unit in {None, "conversation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one utterance and repeat: a prediction, or why it could not be used.

    Exactly one of ``prediction`` and ``unusable`` is set. ``audio`` is the digest of the decoded
    samples and ``duration`` their length in s, where the audio could be decoded. For a system that
    speaks they are those of the spoken clip, and ``speech`` is what was measured on it.
    """

    id: str
    repeat: int
    prediction: Prediction | None = None
    unusable: Unusable | None = None
    audio: str | None = None
    duration: float | None = None
    speech: SpokenAudio | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSetting:
    """A setting of the system in which two runs differ.

    ``candidate`` and ``baseline`` are its values: null on a side that lacks it, and on both where
    it is one that is not shown: an address, a path, a program, a prompt.
    """

    setting: str
    candidate: Scalar
    baseline: Scalar


_PREFERRED = (
    "wer_capped",
    "wer",
    "cer",
    "entity_error_rate",
    "ser",
    "injection_success_rate",
    "unconfirmed_rate",
)


def primary_metric(report: EvalReport) -> str | None:
    """Return the metric slices are ranked by: the one intervals are claimed for, where measured."""
    measured = overall(report).metrics if report.slices else {}
    ranked = (name for name in (*_PREFERRED, *measured) if name in measured)
    return next(ranked, None)


def besides(report: EvalReport) -> tuple[str, ...]:
    """Return what stands beside the primary metric: one predicted MOS and one time, if measured."""
    measured = overall(report).metrics
    kinds = ([f"{name}.mean" for name in PREDICTED], ["latency_ms.p50"])
    ranked = (next((name for name in names if name in measured), None) for names in kinds)
    return tuple(name for name in ranked if name is not None)


def overall_if_any(report: EvalReport) -> SliceResult | None:
    """Return the slice of everything, None in a report that lacks it."""
    return next((item for item in report.slices if item.slice == OVERALL), None)


def overall(report: EvalReport) -> SliceResult:
    """Return the slice of everything; raises ValueError where a report lacks it."""
    if (item := overall_if_any(report)) is None:
        raise ValueError("a report without its overall slice")
    return item


def worst_first(slices: Iterable[SliceResult], metric: str) -> list[SliceResult]:
    """Return slices ranked by a metric, the worst first and those without a value last."""
    sign = 1.0 if metric_of(metric).better == "up" else -1.0

    def rank(item: SliceResult) -> tuple[bool, float, str]:
        value = item.metrics[metric].value if metric in item.metrics else None
        return value is None, sign * (value or 0.0), item.slice

    return sorted(slices, key=rank)


MIXED_LOAD = "mixed"
"""The load of results that were measured under different conditions: comparable to nothing."""


def other_measures(report: EvalReport, baseline: EvalReport) -> Iterator[str]:
    """Yield what two runs were measured with otherwise, such as ``dataset`` or ``suite``."""
    pairs = (
        ("dataset", report.dataset.digest, baseline.dataset.digest),
        ("suite", report.suite.digest, baseline.suite.digest),
        ("normalizer", report.normalizer.digest, baseline.normalizer.digest),
        ("scorer", report.scorer, baseline.scorer),
        ("limit", report.limit, baseline.limit),
    )
    yield from (name for name, ours, theirs in pairs if ours != theirs)


_PACED = ("rtf", "rtfx")


def comparable(name: str, unit: str, report: EvalReport, baseline: EvalReport) -> bool:
    """Tell whether a number may stand beside the baseline's: times only under the same load."""
    if unit != "ms" and name not in _PACED:
        return True
    return report.load == baseline.load != MIXED_LOAD


def check_same_measure(report: EvalReport, baseline: EvalReport) -> None:
    """Refuse two runs whose numbers do not measure the same; raises UsageError, InvalidInput."""
    if report.run == baseline.run:
        raise UsageError("RUN and BASELINE are the same run", hint="name an older run as BASELINE")
    for what in other_measures(report, baseline):
        raise InvalidInput(
            f"{report.run} and {baseline.run} have another {what}: "
            "their numbers cannot stand side by side",
            hint=_alike_hint(what, report, baseline),
        )


def _alike_hint(what: str, report: EvalReport, baseline: EvalReport) -> str:
    """Return how two runs come to measure the same, by the first thing that they do not share."""
    if what == "dataset" and report.dataset.name != baseline.dataset.name:
        return (
            f"{baseline.dataset.name} and {report.dataset.name} hold other utterances: run both "
            "systems by one suite (relkit eval SUITE --system KEY=VALUE)"
        )
    if what == "dataset":
        older = min(report, baseline, key=lambda item: item.created)
        return (
            f"the data was changed in between: relkit rescore {older.run} scores its answers by "
            "today's references; where audio changed: relkit eval SUITE"
        )
    if what == "limit":
        return f"run the whole suite for both: relkit eval {report.suite.name}"
    one_suite = what == "suite" and report.suite.name == baseline.suite.name
    if one_suite and report.normalizer != baseline.normalizer:
        what = "normalizer"  # the digest of a suite covers it
    option = {
        "suite": f" --suite {report.suite.name}",
        "normalizer": f" --normalizer {report.normalizer.name}",
    }.get(what, "")
    return f"score the baseline alike: relkit rescore {baseline.run}{option}"
