"""Lets a harness hold every conversation that a run lacks, and keeps each outcome.

A conversation that the harness was late for says nothing of the system: it is held once more,
alone, and is unusable if that is late, too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from relkit.conversation.types import ConversationScript, ScriptClip, SoundSpan
from relkit.core.codec import encode
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.ports import Progress
from relkit.core.yaml_text import shown, where
from relkit.datasets.ports import AudioReader
from relkit.datasets.types import (
    Answer,
    AudioSpan,
    Clip,
    Failure,
    Prediction,
    Unusable,
    Utterance,
)
from relkit.evaluation.conversations import FAILED, AgentSound
from relkit.evaluation.ports import (
    AskingSystem,
    HeldConversations,
    OpenRun,
    RecordingFiles,
    SystemUnderTest,
)
from relkit.evaluation.predict import Key, journalled
from relkit.evaluation.slicing import Plan
from relkit.evaluation.types import Outcome, Suite

RECORDINGS = "audio"
"""The folder of a run that holds what was spoken."""


def converse(
    run: OpenRun,
    planned: Plan,
    system: SystemUnderTest,
    held: HeldConversations,
    *,
    audio: AudioReader,
    recordings: RecordingFiles,
    progress: Progress,
) -> tuple[list[Outcome], int]:
    """Return one outcome per conversation and repeat, and how many were held a second time.

    Raises BackendUnavailable where the system cannot be reached, InvalidInput for a script whose
    bounds of speech nobody knows.
    """
    items = [(item, i) for i in range(run.header.repeats) for item in planned.utterances]
    done = journalled(run, {(item.id, i) for item, i in items})
    folder = held.folder(run.header.run) / RECORDINGS
    scripts = _Scripts(planned, held.sample_rate, audio, recordings, str(folder))
    missing = [(item, i) for item, i in items if (item.id, i) not in done]
    late: list[tuple[Utterance, int]] = []
    limit_ms = planned.suite.windows.pacing_ms

    def take(outcome: Outcome) -> None:
        run.append(outcome)
        done[outcome.id, outcome.repeat] = outcome
        progress(len(done), len(items))

    by_key = {(item.id, i): (item, i) for item, i in missing}
    holding = _Holding(system, recordings, folder, limit_ms)

    def take_if_paced(outcome: Outcome) -> None:
        prediction = outcome.prediction
        if prediction is not None and _lateness(prediction.outcome) > limit_ms:
            late.append(by_key[outcome.id, outcome.repeat])
        else:
            take(outcome)

    holding.hold(missing, scripts, held.executor, take_if_paced)
    holding.hold(late, scripts, held.alone, take)
    return [done[item.id, i] for item, i in items], len(late)


def _lateness(response: Answer | Failure) -> float:
    return response.usage.get("pacing_p99_ms", 0.0) if isinstance(response, Answer) else 0.0


@dataclass(slots=True)
class _Scripts:
    """Makes what a harness is asked to hold of the conversations of a dataset."""

    planned: Plan
    sample_rate: int
    audio: AudioReader
    recordings: RecordingFiles
    folder: str

    def script(self, utterance: Utterance) -> ConversationScript | Unusable:
        """Return a conversation ready to be sent, or why a clip of it cannot be used."""
        clips: list[ScriptClip] = []
        digests: list[str] = []
        for entry in utterance.script:
            clip = self._read(entry.audio_filepath)
            if isinstance(clip, Unusable):
                return clip
            if entry.bounds_ms is None:
                at = where(self.planned.dataset.manifest, utterance.line)
                raise InvalidInput(
                    f'{at}: nobody knows when "{shown(entry.turn)}" begins and ends',
                    hint=f"lock it: relkit dataset lock {self.planned.dataset.version.name}",
                )
            samples = self.recordings.resampled(clip, self.sample_rate)
            clips.append(ScriptClip(entry=entry, samples=samples, bounds_ms=entry.bounds_ms))
            digests.append(clip.digest)
        noise = None
        if utterance.acoustics is not None and utterance.acoustics.noise is not None:
            sound = self._read(utterance.acoustics.noise)
            if isinstance(sound, Unusable):
                return sound
            noise = self.recordings.resampled(sound, self.sample_rate)
            digests.append(sound.digest)
        windows = self.planned.suite.windows
        decides = {
            "entries": [encode(replace(e, audio_filepath="-")) for e in utterance.script],
            "bounds": [list(clip.bounds_ms) for clip in clips],
            "clips": digests,
            "acoustics": None if utterance.acoustics is None else encode(utterance.acoustics),
            "windows": [windows.answer_ms, windows.reply_ms, windows.bridge_ms],
            "sample_rate": self.sample_rate,
        }
        return ConversationScript(
            id=utterance.id,
            clips=tuple(clips),
            sample_rate=self.sample_rate,
            acoustics=utterance.acoustics,
            noise=noise,
            windows=windows,
            digest=digest_of(decides),
            folder=self.folder,
        )

    def _read(self, path: str) -> Clip | Unusable:
        root, limit_s = self.planned.dataset.root, self.planned.suite.max_audio_s
        return self.audio.read(root, AudioSpan(path=path), max_s=limit_s)


@dataclass(slots=True)
class _Holding:
    """Feeds scripts to a harness, taking what was held before out on the way."""

    system: SystemUnderTest
    recordings: RecordingFiles
    folder: Path
    limit_ms: float
    _asked: dict[Key, str] = field(default_factory=dict)

    def hold(
        self,
        missing: Sequence[tuple[Utterance, int]],
        scripts: _Scripts,
        executor: AskingSystem[ConversationScript],
        take: Callable[[Outcome], None],
    ) -> None:
        """Hand an outcome per conversation to ``take``, in the order in which they become known."""
        for prediction in executor.predict(self._feed(missing, scripts, take)):
            take(self._held(prediction))

    def _feed(
        self,
        missing: Sequence[tuple[Utterance, int]],
        scripts: _Scripts,
        take: Callable[[Outcome], None],
    ) -> Iterator[tuple[str, int, ConversationScript]]:
        for utterance, repeat in missing:
            script = scripts.script(utterance)
            if isinstance(script, Unusable):
                take(Outcome(id=utterance.id, repeat=repeat, unusable=script))
                continue
            key = self._key(script, repeat)
            answer = self.recordings.fetch(key, self.folder)
            if answer is not None:
                prediction = Prediction(
                    id=utterance.id,
                    repeat=repeat,
                    outcome=answer,
                    attempts=0,
                    cached=True,
                    load=self.system.load_digest,
                )
                take(_outcome(prediction))
                continue
            self._asked[utterance.id, repeat] = key
            yield utterance.id, repeat, script

    def _key(self, script: ConversationScript, repeat: int) -> str:
        """Return what a recording is kept under: never one of another system, script or load.

        Two conversations with the same script are held each: one recording is not two of them.
        """
        return digest_of(
            {
                "id": script.id,
                "candidate": self.system.candidate.digest,
                "script": script.digest,
                "repeat": repeat,
                "load": self.system.load_digest,
            }
        )

    def _held(self, prediction: Prediction) -> Outcome:
        answer = prediction.outcome
        if isinstance(answer, Answer) and answer.audio is not None:
            answer = replace(answer, audio=f"{RECORDINGS}/{answer.audio}")
            key = self._asked.pop((prediction.id, prediction.repeat))
            if _whole(answer) and _lateness(answer) <= self.limit_ms:
                self.recordings.keep(key, answer, self.folder)
            prediction = replace(prediction, outcome=answer)
        return _outcome(prediction)


def _whole(answer: Answer) -> bool:
    """Tell whether a conversation may serve a later run: what failed is tried again."""
    return all(event.kind != FAILED for event in answer.events)


def _outcome(prediction: Prediction) -> Outcome:
    answer = prediction.outcome
    length = answer.duration_ms if isinstance(answer, Answer) else None
    return Outcome(
        id=prediction.id,
        repeat=prediction.repeat,
        prediction=prediction,
        duration=None if length is None else length / 1000.0,
    )


def sound_in(suite: Suite, recordings: RecordingFiles, folders: Sequence[Path]) -> AgentSound:
    """Return what finds the agent's sound in recordings that lie below one of the folders."""

    def sound(answer: Answer) -> Sequence[SoundSpan] | None:
        if answer.audio is None:
            return None
        return recordings.sound(answer.audio, folders, windows=suite.windows, source=suite.source)

    return sound
