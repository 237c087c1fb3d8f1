"""Turns outcomes into scored results: one row per utterance and repeat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relkit.domain.datasets import Bins, Dataset
from relkit.domain.quality import Quality
from relkit.domain.results import Outcome, Result, Texts
from relkit.domain.suites import Suite
from relkit.domain.utterances import Answer, Prediction, Utterance
from relkit.ports import Normalizer
from relkit.rules.slicing import (
    cluster_column,
    cluster_of,
    promised_values,
    slice_columns,
    slice_values,
)
from relkit.rules.text_scoring import TextScorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How results are cut: slice columns, derived bins, and the column of independent units.

    ``registered`` maps slice columns to the values that the dataset's lock promises, None where the
    dataset is not locked.
    """

    columns: tuple[str, ...]
    bins: tuple[Bins, ...]
    cluster: str
    registered: Mapping[str, tuple[str, ...]] | None = None

    @classmethod
    def of(cls, dataset: Dataset, suite: Suite) -> "Cut":
        """Return how a suite cuts a dataset; raises InvalidInput for unknown columns."""
        columns = slice_columns(dataset, suite)
        return cls(
            columns=columns,
            bins=dataset.bins,
            cluster=cluster_column(dataset, suite),
            registered=promised_values(dataset, suite, columns),
        )


def score_outcomes(
    outcomes: Sequence[Outcome],
    utterances: Mapping[str, Utterance],
    *,
    suite: Suite,
    normalizer: Normalizer,
    cut: Cut,
    qualities: Mapping[str, Quality] | None = None,
) -> list[Result]:
    """Return a result per outcome, in the same order.

    A failed item is scored as all deleted; an unusable one has no score. ``qualities`` are those of
    the audio by utterance id.
    """
    scorer = TextScorer(normalizer.stages, keywords=suite.keywords, segmenter=suite.segmenter)
    known = qualities or {}
    return [
        _result(outcome, utterances[outcome.id], scorer, cut, known.get(outcome.id))
        for outcome in outcomes
    ]


def _result(
    outcome: Outcome, utterance: Utterance, scorer: TextScorer, cut: Cut, quality: Quality | None
) -> Result:
    prediction = outcome.prediction
    answer = _answer(prediction)
    hypothesis = None if answer is None else answer.text
    entities = [entity.text for entity in utterance.entities]
    usable = prediction is not None
    return Result(
        id=outcome.id,
        repeat=outcome.repeat,
        cluster=cluster_of(utterance, cut.cluster),
        slices=slice_values(utterance, cut.columns, cut.bins, outcome.duration),
        duration=outcome.duration,
        score=scorer.score(utterance.reference, hypothesis, entities) if usable else None,
        texts=Texts(
            reference=utterance.reference,
            hypothesis=hypothesis,
            reference_normalized=scorer.normalize(utterance.reference),
            hypothesis_normalized=None if hypothesis is None else scorer.normalize(hypothesis),
        ),
        failure=_failure(prediction),
        unusable=None if outcome.unusable is None else outcome.unusable.reason.value,
        latency_ms=None if answer is None else answer.latency_ms,
        first_byte_ms=None if answer is None else answer.first_byte_ms,
        attempts=0 if prediction is None else prediction.attempts,
        cached=prediction is not None and prediction.cached,
        load="" if prediction is None else prediction.load,
        quality=quality if usable else None,
        speech=outcome.speech,
    )


def _answer(prediction: Prediction | None) -> Answer | None:
    if prediction is not None and isinstance(prediction.outcome, Answer):
        return prediction.outcome
    return None


def _failure(prediction: Prediction | None) -> str | None:
    if prediction is None or isinstance(prediction.outcome, Answer):
        return None
    return prediction.outcome.reason.value
