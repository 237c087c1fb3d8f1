"""A dataset and its versions, what a system is given of it, and what the system answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from relkit.core.values import OMITTED, OPTIONAL, OUTSIDE, Checked, Digest, Limits, Shape, named
from relkit.disclosure.types import Subjects

Text = Annotated[str, Limits(min_length=1)]

NO_VALUE = "(none)"
"""How a missing slice value is written."""


MOST_WAYS = 2


def one_or_two(named: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return a column, or one or two that differ; raises ValueError."""
    columns = (named,) if isinstance(named, str) else named
    if not 1 <= len(columns) <= MOST_WAYS or not all(columns):
        raise ValueError("name one column or two")
    if len(set(columns)) < len(columns):
        raise ValueError(f'"{columns[0]}" is named twice: name two columns that differ')
    return named


Clustering = Annotated[str | tuple[str, ...], Checked(one_or_two)]
"""The column of independent units, and whether another one is a second way: by default what several
of them read is, ``[speaker, sentence]`` names the column (``text``: the reference), and
``[speaker]`` is by speakers alone."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What numbers are clustered by: a column, and ``crossed``, another one.

    ``crossed`` is None where it is what was read, as far as that is shared, and ``(none)`` where
    there is to be none.
    """

    column: str
    crossed: str | None = None

    @classmethod
    def of(cls, named: Clustering) -> "Ways":
        """Return the ways that a file names."""
        if isinstance(named, str):
            return cls(named)
        return cls(named[0], named[1] if len(named) > 1 else NO_VALUE)


class Consent(StrEnum):
    """Whether a speaker allows the use of a recording."""

    GRANTED = "granted"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A labelled span of the reference: its words as spoken, and its type."""

    text: Text
    type: Text


AttackChannel = Literal["said", "played", "replayed", "document", "tool"]
"""How an injected instruction reaches an agent: said by the user, played in the room, replayed from
a recording, in a retrieved document, or in a tool's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What somebody wants of an agent: a call of ``tool``, or words in what it ``says``.

    A call reaches it whose arguments hold all of ``arguments``; None of both is no goal.
    """

    FILE: ClassVar = Shape(omitted=True)

    tool: Text | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    says: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An injected instruction: the channel it comes by, and what it wants done."""

    channel: AttackChannel
    goal: Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCase:
    """What an exchange with an agent is about, besides its words.

    ``attack`` None: nobody attacks. ``task`` is what the user asks for, which a good agent does,
    attacked or not. ``planted`` are values that belong to this session: said in another, they
    leaked.
    """

    FILE: ClassVar = Shape(omitted=True)

    attack: Attack | None = None
    task: Goal | None = None
    planted: tuple[Text, ...] = ()


SpeechLabel = Literal["turn", "backchannel", "non_directed", "vocal_tic", "noise"]
"""What an entry of a script is: a turn of the user, which wants an answer, or what wants none: an
"uh-huh", words to somebody else, a cough, a noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When an entry of a script begins: ``ms`` after something.

    ``after`` is ``start`` (of the conversation), ``agent_speech_start``, ``agent_speech_stop``,
    ``user_speech_stop``, or the kind of any other event; the first one counts that is later than
    the entry before began. After ``agent_speech_stop`` the agent has to stay silent for ``ms``.
    ``turn`` names an earlier entry whose event it has to be.
    """

    FILE: ClassVar = Shape(omitted=True)

    after: Text = "agent_speech_stop"
    ms: Annotated[float, Limits(ge=0, le=600_000)] = 0.0
    turn: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptEntry:
    """What the user says, or what is heard at the user's side, and when.

    ``bounds_ms`` are the first and the last moment of speech within the clip, in ms, by the
    dataset's lock; None where it is not locked.
    """

    FILE: ClassVar = Shape(omitted=True)

    turn: Text
    audio_filepath: Text
    text: str = ""
    label: SpeechLabel = "turn"
    when: When = field(default_factory=When)
    bounds_ms: tuple[float, float] | None = field(default=None, metadata=OUTSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acoustics:
    """What the microphone hears besides the user: a noise, and the loudspeaker.

    ``noise`` is a clip that is repeated, mixed in at ``snr_db`` to the speech of the script.
    ``echo_db`` is the level of the loudspeaker's sound at the microphone relative to what it plays,
    after ``echo_ms``. ``seed`` decides where the noise begins.
    """

    FILE: ClassVar = Shape(omitted=True)

    noise: Text | None = None
    snr_db: Annotated[float, Limits(ge=-30, le=80)] | None = None
    echo_db: Annotated[float, Limits(ge=-90, le=0)] | None = None
    echo_ms: Annotated[float, Limits(ge=0, le=500)] = 40.0
    seed: Annotated[int, Limits(ge=0, le=2**32 - 1)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCall:
    """A call that a conversation has to lead to; ``arguments`` are compared normalized."""

    FILE: ClassVar = Shape(omitted=True)

    name: Text
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutcome:
    """What has to hold at the end of a conversation for its task to be done.

    ``tools`` is None where the calls do not matter, and () where there must be none. ``state`` is
    compared key by key. ``rubrics`` are for judges.
    """

    FILE: ClassVar = Shape(omitted=True)

    tools: tuple[ExpectedCall, ...] | None = None
    no_tools: tuple[Text, ...] = ()
    says: tuple[Text, ...] = ()
    never_says: tuple[Text, ...] = ()
    state: Mapping[str, Any] | None = None
    rubrics: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSpan:
    """Where the audio of an utterance lies: path inside the dataset, offset and length in s.

    ``length_s`` is the manifest's word and None where it says nothing; with an ``offset_s`` it
    bounds the segment, without one the whole file is meant.
    """

    path: str
    offset_s: float | None = None
    length_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One labelled item of a dataset.

    ``attributes`` are the slice columns of the manifest (strings); ``case`` is what an exchange
    with an agent is about; ``line`` is the manifest line it came from, for messages. A conversation
    has a ``script``, and no audio of its own.
    """

    id: str
    audio: AudioSpan
    reference: str
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    entities: tuple[Entity, ...] = ()
    consent: Consent = Consent.UNKNOWN
    case: AgentCase | None = None
    script: tuple[ScriptEntry, ...] = ()
    expect: ExpectedOutcome | None = None
    acoustics: Acoustics | None = None
    line: int = 0

    @property
    def audio_paths(self) -> tuple[str, ...]:
        """Where its audio lies, each file once: its clip, or those of its script and its noise."""
        if not self.script:
            return (self.audio.path,)
        noise = None if self.acoustics is None else self.acoustics.noise
        paths = [entry.audio_filepath for entry in self.script] + ([noise] if noise else [])
        return tuple(dict.fromkeys(paths))

    @property
    def spoken(self) -> str:
        """The words of its audio: the reference, or what the script says, in its order."""
        texts = (entry.text for entry in self.script)
        return " ".join(text for text in texts if text) if self.script else self.reference


class UnusableReason(StrEnum):
    """Why an item could not be given to the system; it is not scored and lowers coverage.

    ``not_judged``: the system had it, and the record does not tell what its answer was worth.
    ``not_paced``: audio was sent too late, so that the harness and not the system is measured.
    ``no_truth``: nobody knows when the user spoke, or what the loudspeaker played.
    """

    MISSING = "missing"
    EMPTY = "empty"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    NOT_FINITE = "not_finite"
    TOO_LONG = "too_long"
    OUTSIDE = "outside"
    NOT_JUDGED = "not_judged"
    NOT_PACED = "not_paced"
    NO_TRUTH = "no_truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """An item that cannot be scored, with the reason; ``detail`` holds numbers, never text."""

    reason: UnusableReason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Decoded audio of one utterance.

    ``samples``: float32 little endian, mono, at ``sample_rate`` Hz, nominal range -1 to 1;
    ``digest``: SHA-256 over rate, channels and samples as decoded, independent of the container.
    ``path`` is the absolute source file and ``whole`` says that the clip is all of it.
    """

    samples: bytes
    sample_rate: int
    digest: str
    path: str
    whole: bool

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / 4 / self.sample_rate


AnswerClock = Literal["system", "harness"]
Milliseconds = Annotated[float, Limits(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEvent:
    """Something that happened while the system answered; ``t_ms`` from the first audio sample.

    An agent's are, besides others: ``readback`` of a call it is about to make (``tool``,
    ``arguments``), ``confirm`` and ``deny`` by a ``speaker``, and ``attack`` by a ``channel`` with
    a ``goal``, where the dataset does not say that the exchange is attacked. In a conversation
    ``turn`` names the entry of the script, ``label`` what it is, and ``data`` holds numbers and
    names of the kind (docs/conversations.md, section "Events").
    """

    t_ms: Milliseconds
    kind: Text
    text: str | None = field(default=None, metadata=OMITTED)
    tool: Text | None = field(default=None, metadata=OMITTED)
    arguments: Mapping[str, Any] | None = field(default=None, metadata=OMITTED)
    speaker: Literal["user", "agent", "other"] | None = field(default=None, metadata=OMITTED)
    channel: AttackChannel | None = field(default=None, metadata=OMITTED)
    goal: Goal | None = field(default=None, metadata=OMITTED)
    turn: Text | None = field(default=None, metadata=OMITTED)
    label: SpeechLabel | None = field(default=None, metadata=OMITTED)
    data: Mapping[str, Any] | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a system said about one clip: the answer protocol (docs/cli.md, section "Answers").

    ``latency_ms`` and ``first_byte_ms`` are in milliseconds by ``clock``; ``usage`` holds numbers
    by name, ``tool_calls`` JSON documents, ``audio`` the path of spoken output. Of a conversation
    ``audio`` is the stereo recording (user, agent), ``duration_ms`` its length, and ``state`` what
    the system's world was like at its end.
    """

    FILE: ClassVar = Shape(omitted=True)

    text: str
    audio: Text | None = None
    latency_ms: Milliseconds | None = None
    first_byte_ms: Milliseconds | None = None
    clock: AnswerClock = "harness"
    events: tuple[AnswerEvent, ...] = ()
    usage: Mapping[str, float] = field(default_factory=dict)
    tool_calls: tuple[object, ...] = ()
    duration_ms: Milliseconds | None = None
    state: Mapping[str, Any] | None = None


class FailureReason(StrEnum):
    """Why a system gave no answer; all words of the utterance then count as deleted.

    Three belong to systems that speak: the clip is empty or silent, it cannot be decoded, or the
    recogniser (not the system under test) did not answer. ``closed``: an agent ended a conversation
    before its script did; ``flooded``: it sent more than anybody could play or read.
    """

    TIMEOUT = "timeout"
    REFUSED = "refused"
    CRASHED = "crashed"
    UNREACHABLE = "unreachable"
    PROTOCOL = "protocol"
    NO_ANSWER = "no_answer"
    REPORTED = "reported"
    NO_SPEECH = "no_speech"
    BAD_AUDIO = "bad_audio"
    NOT_HEARD = "not_heard"
    CLOSED = "closed"
    FLOODED = "flooded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A system that did not answer: the reason, and whether asking again may help.

    ``detail`` is for people (a status code, a signal); it never holds a transcript or a key.
    """

    reason: FailureReason
    detail: str = ""
    retryable: bool = field(default=False, metadata=OUTSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer or the failure of a system for one utterance and one repeat.

    ``attempts`` counts the calls made, retries included; ``cached`` says that an earlier run's
    answer was used; ``load`` is the digest of the load fingerprint it was measured under.
    """

    id: str
    repeat: int = 0
    outcome: Answer | Failure
    attempts: int = 1
    cached: bool = False
    load: str = ""


def checked_edges(edges: tuple[float, ...]) -> tuple[float, ...]:
    """Return edges that increase; raises ValueError for others."""
    if tuple(sorted(set(edges))) != edges:
        raise ValueError("the edges must increase")
    return edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """A slice column derived from a number: values fall into ``[a,b)`` between the edges."""

    name: Text
    column: Text
    edges: Annotated[tuple[float, ...], Limits(min_length=1), Checked(checked_edges)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSettings:
    """``dataset.yaml``: where a dataset's parts lie, and how it wants to be cut.

    ``cluster`` is the column whose values are the independent units (speakers, conversations), or
    two of them. ``audio_roots`` are further folders that audio may lie in. ``consent`` says whether
    an utterance needs its speaker's consent to be used. ``subjects`` is whose data it is: what is
    shared about ``people`` tells of no few of them.
    """

    schema: Literal["relkit.dataset/v1"] = "relkit.dataset/v1"
    name: Text
    licence: str | None = None
    manifest: str = "manifest.jsonl"
    audio_roots: tuple[str, ...] = ()
    cluster: Clustering = "speaker"
    consent: Literal["optional", "required"] = "optional"
    subjects: Subjects = "people"
    slices: tuple[str, ...] = ()
    bins: tuple[Bins, ...] = ()

    @property
    def ways(self) -> Ways:
        """What numbers are clustered by."""
        return Ways.of(self.cluster)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """Which data a number was measured on.

    ``revision`` is a git commit or None for the working tree; ``dirty`` says that the working tree
    differs from its commit (None where that cannot be known). ``digest`` does not depend on file
    order or machine. ``contract`` is the outcome of the dataset's contract, ``subjects`` whose data
    it is.
    """

    FILE: ClassVar = Shape(required=True)

    name: str
    revision: str | None
    dirty: bool | None
    digest: Digest
    utterances: int
    contract: str = "not_checked"
    subjects: Subjects = field(default="people", metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset's version, settings and utterances (sorted by id).

    ``root`` is the absolute folder that audio paths are resolved from. ``registered`` maps each
    slice column to the values it had when the dataset was locked; None where it was not.
    """

    version: DatasetVersion
    root: str
    settings: DatasetSettings
    utterances: tuple[Utterance, ...]
    registered: Mapping[str, tuple[str, ...]] | None = None

    @property
    def manifest(self) -> str:
        """What messages call the manifest: ``words/manifest.jsonl``."""
        return f"{self.version.name}/{self.settings.manifest}"

    def columns(self) -> frozenset[str]:
        """Return every slice column that occurs: manifest attributes, ``duration`` and bins."""
        names: set[str] = {bins.name for bins in self.settings.bins}
        for utterance in self.utterances:
            names.update(utterance.attributes)
        return frozenset(names)


def checked_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return bounds of speech that last; raises ValueError for others."""
    if bounds[1] <= bounds[0]:
        raise ValueError("speech must end after it begins")
    return bounds


LockState = Literal["none", "fresh", "stale"]
"""No lock, one that says what the files say, or one that was written before they changed."""

Inside = Annotated[str, Limits(min_length=1, max_length=4096)]
"""A path relative to the dataset's folder, with forward slashes."""

Md5 = Annotated[str, Limits(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
"""A DVC hash, with ``.dir`` at the end for a folder."""

Hex = Annotated[str, Limits(pattern=r"^[0-9a-f]{64}$")]


Moment = Annotated[float, Limits(ge=0)]
SpeechBounds = Annotated[tuple[Moment, Moment], Checked(checked_bounds)]
"""The first and the last moment of speech within a clip, in ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedAudio:
    """The audio of a version: each path under DVC by its DVC hash, each file by its SHA-256.

    ``speech`` holds of each clip of a script the first and the last moment of its speech, in ms.
    """

    dvc: Mapping[Inside, Md5]
    sha256: Mapping[Inside, Hex]
    speech: Mapping[Inside, SpeechBounds] = field(default_factory=dict, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLock:
    """What ``lock.json`` records of one version; ``slices`` maps each column to its values.

    ``subjects`` is whose data the version was said to be.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.dataset-lock/v1"] = "relkit.dataset-lock/v1"
    name: Text
    digest: Digest
    utterances: Annotated[int, Limits(ge=1)]
    slices: Mapping[str, tuple[str, ...]]
    audio: LockedAudio
    subjects: Subjects = field(default="people", metadata=OPTIONAL | OMITTED)

    def describes(self, digest: str, settings: DatasetSettings) -> bool:
        """Return whether it is about a dataset of this digest, and says the same of its people."""
        return (self.digest, self.subjects) == (digest, settings.subjects)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSnapshot:
    """A dataset with the hex SHA-256 of the audio of each utterance.

    ``audio`` maps utterance ids to digests, a conversation's to one over all of its clips, and to
    None what is missing; it is None where no fresh lock tells them, and ``dataset.version.digest``
    then says nothing. ``files`` maps paths inside the dataset to their digests, in the same way.
    ``present`` says that no path under DVC is absent.
    """

    dataset: Dataset
    audio: Mapping[str, str | None] | None
    files: Mapping[str, str | None]
    lock: DatasetLock | None
    present: bool

    @property
    def state(self) -> LockState:
        """Whether the lock still says what the dataset is."""
        if self.lock is None:
            return "none"
        of_this = self.lock.describes(self.dataset.version.digest, self.dataset.settings)
        return "fresh" if of_this else "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedAudio:
    """What putting paths under DVC did.

    ``outs`` maps each path to its DVC hash; ``untracked`` counts the files that were taken out of
    git's index; ``initialised`` says that DVC was set up first; ``remote`` that one is set.
    """

    outs: Mapping[str, str]
    untracked: int
    initialised: bool
    remote: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCoverage:
    """How much of a slice there is; ``seconds`` is None where a length is not known."""

    slice: str
    utterances: int
    clusters: int
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageMove:
    """A slice before and after; zeros where it does not exist."""

    slice: str
    utterances: tuple[int, int]
    clusters: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetChanges:
    """What changed, as ids.

    ``relabelled``: text or entities; ``attributes``: id to the columns that changed; ``consent``:
    id to the value before and after; ``audio``: bytes or segment, None where one of the versions
    has no lock to compare with; ``settings``: keys of ``dataset.yaml`` that shape a measurement.
    """

    settings: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    consent: Mapping[str, tuple[str, str]]
    audio: tuple[str, ...] | None = field(metadata=named("audio_changed"))
    coverage: tuple[CoverageMove, ...]

    @property
    def any(self) -> bool:
        """Whether anything at all is known to have changed."""
        ids = (self.added, self.removed, self.relabelled, self.attributes, self.consent)
        return any(map(bool, ids)) or bool(self.audio) or bool(self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNumbers:
    """Numbers about references: words are the scorer's tokens."""

    words: int
    empty: int
    shortest: int
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOutcome:
    """A dataset's lock and what was done to write it; ``changed`` says that it is another.

    ``untold`` are slice columns whose values the manifest cannot tell.
    """

    lock: DatasetLock
    changed: bool
    tracked: TrackedAudio
    untold: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOutcome:
    """Two versions and what changed from one to the other."""

    before: DatasetSnapshot
    after: DatasetSnapshot
    changes: DatasetChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsOutcome:
    """What a dataset holds; ``timed`` utterances have a length in the manifest."""

    snapshot: DatasetSnapshot
    timed: int
    seconds: float
    coverage: tuple[SliceCoverage, ...]
    untold: tuple[str, ...]
    text: TextNumbers
