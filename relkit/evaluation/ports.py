"""What the workflows need from the outside, as narrow Protocols."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self, TypeVar

from relkit.audio.types import ComparedClip, Quality, Script
from relkit.conversation.types import ConversationScript, ReactionWindows, SoundSpan
from relkit.core.values import SystemId
from relkit.datasets.types import Answer, Clip, Dataset, Failure, Prediction
from relkit.evaluation.types import EvalReport, Outcome, Result, RunHeader, Scalar
from relkit.statistics.types import ClusterSums, PairedSums, PairedValues, Pairing, SliceValues

Asked_contra = TypeVar("Asked_contra", contravariant=True)


class AnsweringSystem(Protocol[Asked_contra]):
    """A system under test, ready to answer; one instance serves one process."""

    def answer(self, item: Asked_contra, /) -> Answer | Failure:
        """Answer, or say why not; raises BackendUnavailable only if all hope is lost.

        The answer to a script names the clip in the script's folder.
        """

    def close(self) -> None:
        """Let go of processes, sockets and memory."""


SpeechSystem = AnsweringSystem[Clip]
SpeakingSystem = AnsweringSystem[Script]


class AskingSystem(Protocol[Asked_contra]):
    """Asks a system on one or many processes, with bounded time and retries."""

    def predict(self, clips: Iterable[tuple[str, int, Asked_contra]]) -> Iterator[Prediction]:
        """Yield a prediction per (utterance id, repeat, clip or script), in any order."""


Executor = AskingSystem[Clip]
Speaker = AskingSystem[Script]


class SpeechEngine(Protocol):
    """Something that turns text into a WAV file, piece by piece; serves one process."""

    def say(self, text: str) -> Iterator[bytes]:
        """Yield the pieces as they come; raises Unspoken, BackendUnavailable if hope is lost."""

    def close(self) -> None:
        """Let go of processes, sockets and memory."""


class RecordedSystem(Protocol):
    """Answers that were given earlier, looked up by utterance id."""

    def lookup(self, utterance_id: str) -> Answer | Failure:
        """Return the recorded answer, or the failure ``no_answer`` where there is none."""

    def unknown(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return the recorded ids, sorted, that are not among ``ids``."""


class ContractOutcomes(Protocol):
    """What came of checking the data of a dataset against its contract."""

    def outcome(self, dataset: Dataset) -> str:
        """Return ``passed``, ``failed`` or ``not_checked`` for this data and its contract."""


class PredictionCache(Protocol):
    """Answers of earlier runs by candidate, audio and repeat; failures are never kept."""

    def get(self, candidate: str, audio: str, repeat: int) -> tuple[Answer, str] | None:
        """Return the answer and the digest of the load it was measured under, or None."""

    def put(self, candidate: str, audio: str, repeat: int, answer: Answer, load: str) -> None:
        """Keep an answer; it is on disk when ``flush`` returns."""

    def flush(self) -> None:
        """Make everything put so far durable."""


class QualityScorer(Protocol):
    """Scores how good audio sounds, on one or many processes, with bounded time."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The quality metrics it was made for."""

    @property
    def models(self) -> Mapping[str, str]:
        """What makes the scores: model file to SHA-256 digest, library to version."""

    @property
    def protocol(self) -> str:
        """What is done to the audio before it is scored, level included."""

    @property
    def digest(self) -> str:
        """SHA-256 over metrics, models and protocol: scores under another differ."""

    def score(self, clips: Iterable[tuple[str, ComparedClip]]) -> Iterator[tuple[str, Quality]]:
        """Yield a quality per (id, clip), in any order; a bad clip has reasons and no scores."""


class QualityCache(Protocol):
    """Qualities of earlier runs by scorer and audio."""

    def get(self, scorer: str, audio: str) -> Quality | None:
        """Return the quality of a clip by a scorer, or None."""

    def put(self, scorer: str, audio: str, quality: Quality) -> None:
        """Keep a quality; it is on disk when ``flush`` returns."""

    def flush(self) -> None:
        """Make everything put so far durable."""


By = Literal["cluster", "utterance", "repeat"]
"""What a row of sums stands for within its slice."""


class SliceAggregator(Protocol):
    """Sums results by slice and cluster; a ``with`` block bounds its resources."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Let go of memory and spilled files."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The slice columns that results can be cut by."""

    def sums(
        self, slices: Sequence[str], columns: Mapping[str, str], *, by: By = "cluster"
    ) -> ClusterSums:
        """Return sums of SQL expressions (name to expression) for each slice specification.

        ``by="utterance"`` keeps only slices that are one cluster.
        """

    def values(self, slices: Sequence[str], column: str, *, by: By = "cluster") -> SliceValues:
        """Return the finite values of a column by slice, ascending."""


class PairAggregator(Protocol):
    """Sums the results of two runs over the same utterances; a ``with`` block bounds its resources.

    Where the baseline failed it counts as perfect: its errors are 0 and its words are all hits, and
    single measurements of such an utterance are left out of both.
    """

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Let go of memory and spilled files."""

    def pairing(self, slices: Sequence[str] | None = None) -> Pairing:
        """Return how the rows of the two runs match; ``slices`` are the cuts that have to agree.

        Without them all slice columns have to.
        """

    def sums(self, slices: Sequence[str], columns: Mapping[str, str]) -> PairedSums:
        """Return sums of SQL expressions by slice and cluster over rows that both runs scored."""

    def values(self, slices: Sequence[str], column: str) -> PairedValues:
        """Return the finite values of a column over rows for which both runs have one."""


class OpenRun(Protocol):
    """A run that is under way, held by this process."""

    @property
    def header(self) -> RunHeader:
        """What the run was asked to do."""

    @property
    def begun(self) -> bool:
        """Whether it holds an answer: a run without one is not worth going on with."""

    def outcomes(self) -> list[Outcome]:
        """Return what is done so far."""

    def append(self, outcome: Outcome) -> None:
        """Keep an outcome, safe against a kill."""

    def log(self, at: str, event: str, **facts: Scalar) -> None:
        """Note an event with numbers and digests, never a text."""

    def write_results(self, results: Sequence[Result], outcomes: Sequence[Outcome]) -> Path:
        """Write results and texts (rows in the same order); return the path of the results."""

    def finish(self, report: EvalReport, at: str) -> None:
        """Write the report and close the run for good."""


class RunStore(Protocol):
    """All runs of a workspace."""

    def new_id(self, now: str) -> str:
        """Return a fresh run id."""

    def create(self, header: RunHeader) -> AbstractContextManager[OpenRun]:
        """Make and hold a new run."""

    def resume(self, run: str) -> AbstractContextManager[OpenRun]:
        """Hold a run that was interrupted; raises InvalidInput where it is finished."""

    def read_header(self, run: str) -> RunHeader:
        """Return what a run was asked to do, where it stands, and the digests of its files."""

    def read_report(self, run: str) -> EvalReport:
        """Return a finished run's report."""

    def read_outcomes(self, run: str) -> list[Outcome]:
        """Return the stored predictions of a finished run."""

    def results(self, run: str) -> Path | None:
        """Return a finished run's results, None where only its report is left."""


class ReportRenderer(Protocol):
    """Turns a report into a page for people."""

    def report_markdown(self, report: EvalReport) -> str:
        """Return the report as Markdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUnderTest:
    """A system that is ready to be measured: identity, load fingerprint, and a way to ask it.

    Exactly one of ``executor`` (asked now, needs the audio), ``recorded`` (asked earlier),
    ``round_trip`` (speaks now) and ``conversations`` (converses now) is set. ``versions`` maps a
    distribution that shapes the answers to its version.
    """

    candidate: SystemId
    load: Mapping[str, Scalar]
    load_digest: str
    versions: Mapping[str, str]
    executor: Executor | None = None
    recorded: RecordedSystem | None = None
    round_trip: "RoundTrip | None" = None
    conversations: "HeldConversations | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """How a system that speaks is measured: it speaks, and a recogniser listens.

    ``folder`` maps a run's id to the absolute folder that its clips are kept in.
    """

    speaker: Speaker
    recogniser: SystemUnderTest
    folder: Callable[[str], Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldConversations:
    """How conversations are held: several at a time, or one ``alone``.

    ``sample_rate`` in Hz is what the system hears; ``folder`` maps a run's id to the absolute
    folder that its recordings are kept below.
    """

    executor: AskingSystem[ConversationScript]
    alone: AskingSystem[ConversationScript]
    sample_rate: int
    folder: Callable[[str], Path]


class RecordingFiles(Protocol):
    """Recordings of conversations: where the agent sounded in one, and those of earlier runs."""

    def resampled(self, clip: Clip, sample_rate: int) -> bytes:
        """Return a clip's samples (float32, mono) at another rate; raises MissingDependency."""

    def sound(
        self, path: str, folders: Sequence[Path], *, windows: ReactionWindows, source: str
    ) -> Sequence[SoundSpan] | None:
        """Return where the agent sounded in the recording of a path below one of the folders.

        None where there is none; raises InvalidInput for one that cannot be read, or is not stereo.
        """

    def fetch(self, key: str, folder: Path) -> Answer | None:
        """Return the answer kept under a key, its recording copied into a folder; None without."""

    def keep(self, key: str, answer: Answer, folder: Path) -> None:
        """Keep an answer with its recording from a folder, at once and whole."""


class RunTracker(Protocol):
    """Tells an experiment tracker about a finished run; never sees a text."""

    def track(self, report: EvalReport, *, parameters: Mapping[str, Scalar], page: str) -> None:
        """Record the run; raises BackendUnavailable when the tracker does not answer in time."""
