"""The scorer as a workflow sees it: clips go to an executor's workers, qualities come back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from relkit.adapters.mos.models import identities, require
from relkit.domain.quality import ComparedClip, Quality
from relkit.domain.utterances import Failure
from relkit.ports import Executor
from relkit.records.digests import digest_of
from relkit.records.quality import parse_quality
from relkit.rules.quality import PROTOCOL, unscored

ALGORITHM = "relkit.mos/v1"
"""Rises when the same models would give other numbers."""


class MosScorer:
    """Implements QualityScorer by an executor of :class:`MosSystem`."""

    def __init__(self, metrics: Sequence[str], executor: Executor) -> None:
        """Name the models; raises MissingDependency, InvalidInput where one is not there."""
        require(metrics)
        self._metrics = tuple(metrics)
        self._executor = executor
        self._models = identities(metrics)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The quality metrics asked for."""
        return self._metrics

    @property
    def models(self) -> Mapping[str, str]:
        """Model file to SHA-256, library to version."""
        return self._models

    @property
    def protocol(self) -> str:
        """What is done to the audio before it is scored."""
        return PROTOCOL

    @property
    def digest(self) -> str:
        """SHA-256 over metrics, models, protocol and algorithm."""
        return digest_of(
            {
                "algorithm": ALGORITHM,
                "protocol": PROTOCOL,
                "metrics": list(self._metrics),
                "models": dict(self._models),
            }
        )

    def score(self, clips: Iterable[tuple[str, ComparedClip]]) -> Iterator[tuple[str, Quality]]:
        """Yield a quality per (id, clip), in any order; one that ends a worker has no scores."""
        for prediction in self._executor.predict((name, 0, clip) for name, clip in clips):
            outcome = prediction.outcome
            if isinstance(outcome, Failure):
                yield prediction.id, unscored(self._metrics, outcome.reason.value)
            else:
                yield prediction.id, parse_quality(outcome.text, source="a quality worker")
