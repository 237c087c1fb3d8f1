"""Which number of a report comes first, and which slice is the worst.

What an evaluation says: metrics by slice, with the digests of everything they rest on.

A run: what it was asked to do, under which conditions, and where it stands.

One scored item of a run: a row of results.parquet, and its texts kept apart.

What to measure: a suite names the data, the system, the normalizer, metrics and slices.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from relkit.audio.types import Quality, QualitySummary, SpeechSummary, SpokenAudio
from relkit.core.metrics import metric_of
from relkit.core.slices import OVERALL
from relkit.core.tokens import Segmenter
from relkit.core.values import OPTIONAL, ErrorCounts, Estimate, Named, Shape, SystemId
from relkit.datasets.types import DatasetVersion, Prediction, Unusable
from relkit.scoring.types import EntityType, MaskingStep, ScoredText, Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceResult:
    """One slice: how much was in it, what failed, and its metrics by name."""

    slice: str
    utterances: int
    clusters: int
    failures: int
    counts: ErrorCounts
    metrics: Mapping[str, Estimate]


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
    where the dataset is not locked. ``cluster`` is the column of the independent units. ``load`` is
    the digest of the load fingerprint that latencies were measured under, or ``mixed``. Rates are
    fractions, times in ms.
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
    registered: Mapping[str, tuple[str, ...]] | None = field(default=None, metadata=OPTIONAL)
    cluster: str = field(default="cluster", metadata=OPTIONAL)

    @property
    def path(self) -> str:
        """Where the run lies, relative to the workspace."""
        return f".relkit/runs/{self.run}"

    @property
    def coverage(self) -> float | None:
        """Scored / expected, a fraction; None where nothing was expected."""
        return self.scored / self.expected if self.expected else None


Scalar = str | int | float | bool | None


Task = Literal["asr", "tts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSpec:
    """A system under test as a suite names it: its kind, its options, its bounds.

    ``timeout_s`` bounds one call in seconds; ``retries`` is how often a retryable failure is asked
    again. ``options`` are the kind's own keys.
    """

    kind: str
    timeout_s: float = 60.0
    retries: int = 1
    options: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """The part of a dataset that a suite uses: ``where`` maps a column to its wanted values."""

    name: str
    rev: str | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite, whole and checked.

    ``digest`` is the SHA-256 of the effective suite without its system
    (docs/cli.md, section "A run and its digests"); ``cluster`` overrides the dataset's;
    ``max_audio_s`` bounds what is decoded of one clip. ``recogniser`` listens to what a system of
    the task tts says, and is None for every other task.
    """

    name: str
    dataset: DatasetRef
    normalizer: str
    metrics: tuple[str, ...]
    slices: tuple[str, ...]
    system: SystemSpec
    digest: str
    task: Task = "asr"
    segmenter: Segmenter = "auto"
    cluster: str | None = None
    keywords: tuple[str, ...] = ()
    max_audio_s: float = 600.0
    recogniser: SystemSpec | None = None


RunStatus = Literal["running", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """Everything that decides a run's numbers, written before the first clip is decoded.

    ``load`` is the load fingerprint (cores, processes, threads, hardware): latencies under
    different ones are never compared. ``versions`` maps a distribution to its version.
    ``source`` names the run whose predictions a rescored run uses.
    """

    run: str
    created: str
    suite: Suite
    dataset: DatasetVersion
    candidate: SystemId
    normalizer: Named
    repeats: int
    load: Mapping[str, Scalar]
    load_digest: str
    versions: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One utterance and repeat of a run.

    ``score`` is None where the item was unusable; a failed item is scored as all deleted and names
    its ``failure``. Times in ms, ``duration`` in s; ``slices`` are the columns the data is cut by.
    ``quality`` is that of the audio, None where the suite does not ask for it.
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


_PREFERRED = ("wer_capped", "wer", "cer", "entity_error_rate", "ser")


def primary_metric(report: EvalReport) -> str | None:
    """Return the metric slices are ranked by: the one intervals are claimed for, where measured."""
    measured = overall(report).metrics if report.slices else {}
    ranked = (name for name in (*_PREFERRED, *measured) if name in measured)
    return next(ranked, None)


def overall(report: EvalReport) -> SliceResult:
    """Return the slice of everything; raises ValueError where a report lacks it."""
    for item in report.slices:
        if item.slice == OVERALL:
            return item
    raise ValueError("a report without its overall slice")


def worst_first(slices: Iterable[SliceResult], metric: str) -> list[SliceResult]:
    """Return slices ranked by a metric, the worst first and those without a value last."""
    sign = 1.0 if metric_of(metric).better == "up" else -1.0

    def rank(item: SliceResult) -> tuple[bool, float, str]:
        value = item.metrics[metric].value if metric in item.metrics else None
        return value is None, sign * (value or 0.0), item.slice

    return sorted(slices, key=rank)
