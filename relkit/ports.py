"""What the workflows need from the outside, as narrow Protocols."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from relkit.domain.datasets import Dataset
from relkit.domain.reports import EvalReport
from relkit.domain.suites import Scalar
from relkit.domain.utterances import Answer, AudioSpan, Clip, Failure, Prediction, Unusable
from relkit.rules.cluster_sums import ClusterSums, SliceValues


class SpeechSystem(Protocol):
    """A system under test, ready to answer; one instance serves one process."""

    def answer(self, clip: Clip) -> Answer | Failure:
        """Answer one clip, or say why not; raises BackendUnavailable only if all hope is lost."""
        ...

    def close(self) -> None:
        """Let go of processes, sockets and memory."""
        ...


class RecordedSystem(Protocol):
    """Answers that were given earlier, looked up by utterance id."""

    def lookup(self, utterance_id: str) -> Answer | Failure:
        """Return the recorded answer, or the failure ``no_answer`` where there is none."""
        ...


class Executor(Protocol):
    """Runs clips through a system, on one or many processes, with bounded time and retries."""

    def predict(self, clips: Iterable[tuple[str, int, Clip]]) -> Iterator[Prediction]:
        """Yield a prediction per (utterance id, repeat, clip), in any order."""
        ...


class AudioReader(Protocol):
    """Decodes audio files, a bounded length of them."""

    def read(self, root: str, span: AudioSpan, *, max_s: float) -> Clip | Unusable:
        """Return the decoded clip, or why it cannot be used; raises nothing for bad audio."""
        ...


class DatasetStore(Protocol):
    """Finds datasets and their versions."""

    def load(self, name: str, *, rev: str | None) -> Dataset:
        """Return the dataset at a git revision, or the working tree; raises InvalidInput."""
        ...


class Normalizer(Protocol):
    """A named, versioned text normalizer made of steps."""

    @property
    def name(self) -> str:
        """The name a suite uses."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over name, versions and every rule that shapes the output."""
        ...

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps in order; empty for ``none``."""
        ...

    def stages(self, text: str) -> tuple[str, ...]:
        """Return the text after each step, in order; the last one is the normalized text."""
        ...


class PredictionCache(Protocol):
    """Answers of earlier runs by candidate, audio and repeat; failures are never kept."""

    def get(self, candidate: str, audio: str, repeat: int) -> tuple[Answer, str] | None:
        """Return the answer and the digest of the load it was measured under, or None."""
        ...

    def put(self, candidate: str, audio: str, repeat: int, answer: Answer, load: str) -> None:
        """Keep an answer; it is on disk when ``flush`` returns."""
        ...

    def flush(self) -> None:
        """Make everything put so far durable."""
        ...


class SliceAggregator(Protocol):
    """Sums results by slice and cluster."""

    def sums(self, slices: Sequence[str], columns: Mapping[str, str]) -> ClusterSums:
        """Return sums of SQL expressions (name → expression) for each slice specification."""
        ...

    def values(self, slices: Sequence[str], column: str) -> SliceValues:
        """Return the non-null values of a column by slice."""
        ...


class RunTracker(Protocol):
    """Tells an experiment tracker about a finished run; never sees a text."""

    def track(self, report: EvalReport, *, parameters: Mapping[str, Scalar], page: str) -> None:
        """Record the run; raises BackendUnavailable when the tracker does not answer in time."""
        ...


class Clock(Protocol):
    """The time, injected so that tests own it."""

    def now(self) -> str:
        """Return the UTC time as ``2026-01-31T12:00:00Z``."""
        ...


Progress = Callable[[int, int], None]
"""Called with (done, total)."""
