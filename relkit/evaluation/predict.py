"""Asks the system under test about every clip that has no answer yet, and keeps each outcome."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from relkit.core.errors import InvalidInput
from relkit.core.ports import Progress
from relkit.core.yaml_text import where
from relkit.datasets.ports import AudioReader
from relkit.datasets.types import Answer, Clip, Prediction, Unusable, Utterance
from relkit.evaluation.ports import (
    Executor,
    OpenRun,
    PredictionCache,
    RecordedSystem,
    SystemUnderTest,
)
from relkit.evaluation.run_files import JOURNAL
from relkit.evaluation.types import Outcome

Key = tuple[str, int]


def predict(
    run: OpenRun,
    utterances: Sequence[Utterance],
    system: SystemUnderTest,
    *,
    audio: AudioReader,
    cache: PredictionCache,
    root: str,
    progress: Progress,
) -> list[Outcome]:
    """Return one outcome per utterance and repeat, asking only for what the journal lacks.

    Whatever is learned is in the journal before the next clip is asked for, so that a kill loses
    at most the clips in flight. Raises BackendUnavailable where the system cannot be reached,
    InvalidInput for a journal that is not of these utterances or contradicts itself.
    """
    items = [(item, repeat) for repeat in range(run.header.repeats) for item in utterances]
    done = journalled(run, {(item.id, repeat) for item, repeat in items})
    missing = [(item, repeat) for item, repeat in items if (item.id, repeat) not in done]

    def take(outcome: Outcome) -> None:
        run.append(outcome)
        done[outcome.id, outcome.repeat] = outcome
        progress(len(done), len(items))

    if system.recorded is not None:
        for outcome in _recorded(missing, system, system.recorded):
            take(outcome)
    elif system.executor is not None:
        limit = run.header.suite.max_audio_s
        asking = Asking(run.header.candidate.digest, audio, cache, root, limit)
        asking.ask(missing, system.executor, take)
    return [done[item.id, repeat] for item, repeat in items]


def journalled(run: OpenRun, keys: AbstractSet[Key]) -> dict[Key, Outcome]:
    """Return what the journal holds; raises InvalidInput for what is not of these items."""
    done: dict[Key, Outcome] = {}
    for number, item in enumerate(run.outcomes(), start=1):
        key = item.id, item.repeat
        if key not in keys:
            problem = "names an utterance or repeat that is not in this run"
        elif done.setdefault(key, item) != item:
            problem = "has another answer to an utterance than a line before it"
        else:
            continue
        raise InvalidInput(
            f"{where(JOURNAL, number)}: {problem}",
            hint="run the suite again; what was answered comes from the cache",
        )
    return done


def _recorded(
    missing: Sequence[tuple[Utterance, int]], system: SystemUnderTest, answers: RecordedSystem
) -> Iterator[Outcome]:
    for utterance, repeat in missing:
        answer, load = answers.lookup(utterance.id), system.load_digest
        prediction = Prediction(id=utterance.id, repeat=repeat, outcome=answer, load=load)
        length = utterance.audio.length_s
        yield Outcome(id=utterance.id, repeat=repeat, prediction=prediction, duration=length)


Look = Callable[[Utterance, int, Clip], Outcome | None]
"""Looks at a decoded clip before anybody is asked about it; an outcome settles it."""


@dataclass(slots=True)
class Asking:
    """Feeds clips to an executor, taking the unusable and the already answered out on the way.

    The system with the digest ``candidate`` is asked about audio below the folder ``root``.
    """

    candidate: str
    audio: AudioReader
    cache: PredictionCache
    root: str
    limit_s: float
    look: Look | None = None
    _asked: dict[Key, tuple[str, float]] = field(default_factory=dict)

    def ask(
        self,
        missing: Sequence[tuple[Utterance, int]],
        executor: Executor,
        take: Callable[[Outcome], None],
    ) -> None:
        """Hand an outcome per item to ``take``, in the order in which they become known.

        What needs nobody's answer is known as soon as it was looked at, also while the executor
        waits for its next clip: a run whose answers are all cached goes on line by line.
        """
        for prediction in executor.predict(self._clips(missing, take)):
            take(self._answered(prediction))
        self.cache.flush()

    def _clips(
        self, missing: Sequence[tuple[Utterance, int]], take: Callable[[Outcome], None]
    ) -> Iterator[tuple[str, int, Clip]]:
        for utterance, repeat in missing:
            clip = self.audio.read(self.root, utterance.audio, max_s=self.limit_s)
            if isinstance(clip, Unusable):
                take(Outcome(id=utterance.id, repeat=repeat, unusable=clip))
            elif self.look and (settled := self.look(utterance, repeat, clip)) is not None:
                take(settled)
            elif (earlier := self._earlier(utterance.id, repeat, clip)) is not None:
                take(earlier)
            else:
                self._asked[utterance.id, repeat] = clip.digest, clip.duration_s
                yield utterance.id, repeat, clip

    def _earlier(self, utterance_id: str, repeat: int, clip: Clip) -> Outcome | None:
        cached = self.cache.get(self.candidate, clip.digest, repeat)
        if cached is None:
            return None
        answer, load = cached
        return Outcome(
            id=utterance_id,
            repeat=repeat,
            prediction=Prediction(
                id=utterance_id, repeat=repeat, outcome=answer, attempts=0, cached=True, load=load
            ),
            audio=clip.digest,
            duration=clip.duration_s,
        )

    def _answered(self, prediction: Prediction) -> Outcome:
        audio, duration = self._asked.pop((prediction.id, prediction.repeat))
        if isinstance(answer := prediction.outcome, Answer):
            self.cache.put(self.candidate, audio, prediction.repeat, answer, prediction.load)
        return Outcome(
            id=prediction.id,
            repeat=prediction.repeat,
            prediction=prediction,
            audio=audio,
            duration=duration,
        )
