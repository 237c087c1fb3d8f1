"""Scores how good the audio of a run sounds, each different clip once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import PurePath

from relkit.audio.quality import bases_of, level_percentiles, noise_floor, reasons_counted, unscored
from relkit.audio.types import (
    REFERENCE_COLUMN,
    ComparedClip,
    Quality,
    QualityEvidence,
    QualitySummary,
)
from relkit.core.errors import InvalidInput
from relkit.core.metrics import INTRUSIVE, QUALITY_METRICS
from relkit.core.ports import Progress
from relkit.datasets.ports import AudioReader
from relkit.datasets.types import AudioSpan, Unusable, Utterance
from relkit.evaluation.ports import QualityCache, QualityScorer
from relkit.evaluation.types import Outcome

REPEATED = 3
"""Clips of a run that are scored a second time, for the noise floor."""

_AGAIN = "again:"
_TRANSIENT = frozenset({"timeout", "crashed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPorts:
    """What scoring needs from the outside; nothing is opened before a suite asks for a metric."""

    scorer: Callable[[tuple[str, ...]], QualityScorer]
    cache: Callable[[], AbstractContextManager[QualityCache]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Audio to be scored under an utterance's id; ``digest`` where the samples are known.

    ``reference`` is the recording it is compared with.
    """

    id: str
    audio: AudioSpan
    digest: str | None = None
    reference: AudioSpan | None = None


def quality_scorer(metrics: Sequence[str], ports: QualityPorts | None) -> QualityScorer | None:
    """Return the scorer behind a suite's metrics, None where it names no quality metric.

    Raises MissingDependency where what it needs is not installed.
    """
    named = bases_of(metrics, QUALITY_METRICS)
    return ports.scorer(named) if named and ports is not None else None


def recordings(
    utterances: Sequence[Utterance], outcomes: Sequence[Outcome], *, manifest: str
) -> list[Spoken]:
    """Return the recordings that a system was given, as audio to be scored.

    Raises InvalidInput for a reference recording outside the dataset.
    """
    first = {outcome.id: outcome for outcome in reversed(outcomes)}
    return [
        Spoken(
            id=utterance.id,
            audio=utterance.audio,
            digest=first[utterance.id].audio,
            reference=_reference(utterance, manifest),
        )
        for utterance in utterances
        if utterance.id in first and first[utterance.id].unusable is None
    ]


def _reference(utterance: Utterance, manifest: str) -> AudioSpan | None:
    path = utterance.attributes.get(REFERENCE_COLUMN)
    if path is None:
        return None
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise InvalidInput(
            f"{manifest}, line {utterance.line}: {REFERENCE_COLUMN} lies outside the dataset",
            hint="move the reference recordings into the dataset's folder",
        )
    return AudioSpan(path=path)


def score_quality(
    items: Sequence[Spoken],
    scorer: QualityScorer,
    ports: QualityPorts,
    *,
    audio: AudioReader,
    root: str,
    max_s: float,
    progress: Progress,
) -> QualityEvidence:
    """Return the quality of every item; ``root`` is the folder that their paths are resolved from.

    What was scored before comes from the cache; the same samples are scored once. A few clips are
    scored a second time, whatever the cache holds, for the noise floor. Items that cannot be
    decoded have no score, and the reason.
    """
    with ports.cache() as cache:
        scoring = _Scoring(scorer, cache, audio, root, max_s)
        for done in scoring.results(items):
            progress(done, len(items))
        return scoring.evidence()


@dataclass(slots=True)
class _Scoring:
    """Feeds clips to a scorer, taking known and undecodable ones out on the way."""

    scorer: QualityScorer
    cache: QualityCache
    audio: AudioReader
    root: str
    max_s: float
    _known: dict[str, Quality] = field(default_factory=dict)
    _waiting: dict[str, list[str]] = field(default_factory=dict)
    _again: dict[str, Quality] = field(default_factory=dict)

    @property
    def _compares(self) -> bool:
        return any(metric in INTRUSIVE for metric in self.scorer.metrics)

    def results(self, items: Sequence[Spoken]) -> Iterator[int]:
        """Score everything, yielding how many items are done."""
        for key, quality in self.scorer.score(self._clips(items)):
            if key.startswith(_AGAIN):
                self._again[key.removeprefix(_AGAIN)] = quality
                continue
            for name in self._waiting.pop(key):
                self._known[name] = quality
            if not _TRANSIENT.intersection(quality.reasons.values()):
                self.cache.put(self.scorer.digest, key, quality)
            yield len(self._known)
        yield len(self._known)

    def evidence(self) -> QualityEvidence:
        """Return what was found, and its summary."""
        qualities = self._known.values()
        metrics = self.scorer.metrics
        pairs = [(self._known[name], again) for name, again in self._again.items()]
        summary = QualitySummary(
            protocol=self.scorer.protocol,
            models=self.scorer.models,
            clips=sum(bool(quality.scores) for quality in qualities),
            windows=sum(quality.windows for quality in qualities),
            dropped_windows=sum(quality.dropped for quality in qualities),
            levels_dbfs=level_percentiles(qualities),
            noise_floor=noise_floor(metrics, qualities, pairs),
            unscored=reasons_counted(metrics, qualities),
        )
        return QualityEvidence(by_id=self._known, summary=summary)

    def _clips(self, items: Sequence[Spoken]) -> Iterator[tuple[str, ComparedClip]]:
        for item in items:
            yield from self._first(item)
        repeated = 0
        for item in items:
            if repeated == REPEATED:
                return
            clip = self._read(item)
            if not isinstance(clip, Unusable):
                repeated += 1
                yield _AGAIN + item.id, clip

    def _first(self, item: Spoken) -> Iterator[tuple[str, ComparedClip]]:
        """Yield the item's clip unless its quality is known already."""
        compared = self._compares and item.reference is not None
        if item.digest is not None and not compared and self._seen(item.id, item.digest):
            return
        clip = self._read(item)
        if isinstance(clip, Unusable):
            self._known[item.id] = unscored(self.scorer.metrics, clip.reason.value)
            return
        if not self._seen(item.id, clip.key):
            self._waiting[clip.key] = [item.id]
            yield clip.key, clip

    def _seen(self, name: str, key: str) -> bool:
        """Settle an item whose samples are under way or in the cache."""
        if key in self._waiting:
            self._waiting[key].append(name)
            return True
        quality = self.cache.get(self.scorer.digest, key)
        if quality is not None:
            self._known[name] = quality
        return quality is not None

    def _read(self, item: Spoken) -> ComparedClip | Unusable:
        """Return the item's clip with its reference, where that is wanted and can be decoded."""
        clip = self.audio.read(self.root, item.audio, max_s=self.max_s)
        if isinstance(clip, Unusable):
            return clip
        reference = missing = None
        if self._compares and item.reference is not None:
            other_clip = self.audio.read(self.root, item.reference, max_s=self.max_s)
            if isinstance(other_clip, Unusable):
                missing = other_clip.reason.value
            else:
                reference = other_clip
        return ComparedClip(
            samples=clip.samples,
            sample_rate=clip.sample_rate,
            digest=clip.digest,
            path=clip.path,
            whole=clip.whole,
            reference=reference,
            missing=missing,
        )
