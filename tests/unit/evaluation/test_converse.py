"""Conversations that a harness holds: once each, and again where it was late."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from relkit.conversation.types import ConversationScript, ReactionWindows, SoundSpan
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.datasets.types import (
    Answer,
    AnswerEvent,
    AudioSpan,
    Clip,
    Prediction,
    ScriptEntry,
    Unusable,
    UnusableReason,
    Utterance,
)
from relkit.evaluation.converse import converse
from relkit.evaluation.ports import HeldConversations, SystemUnderTest
from relkit.evaluation.slicing import Cut, Plan
from relkit.evaluation.types import Outcome, Result, RunHeader
from relkit.scoring.normalizers import PURE_STEPS, Pipeline
from tests import builders
from tests.fakes import tone

LATE_MS = 500.0
NORMALIZER = Pipeline(name="lower", steps=[PURE_STEPS["lowercase"]], digest_of=digest_of)
SUITE = """\
schema: relkit.suite/v1
name: talks
task: turn
dataset: {name: words}
metrics: [response_ms]
system: {kind: voice-ws, url: "ws://127.0.0.1:1"}
"""


@dataclass
class Journal:
    """A run in memory."""

    header: RunHeader = field(default_factory=builders.header)
    done: list[Outcome] = field(default_factory=list)
    begun: bool = True

    def outcomes(self) -> list[Outcome]:
        """Return what is done so far."""
        return list(self.done)

    def append(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        self.done.append(outcome)

    def log(self, at: str, event: str, **facts: Any) -> None:  # noqa: ANN401 - of any kind
        """Note nothing."""

    def write_results(self, results: Sequence[Result], outcomes: Sequence[Outcome]) -> Path:
        """Write nothing."""
        raise NotImplementedError

    def finish(self, report: Any, at: str) -> None:  # noqa: ANN401 - never asked
        """Write nothing."""
        raise NotImplementedError


@dataclass
class Harness:
    """Holds every conversation at once, those of ``late`` too late."""

    late: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    held: list[str] = field(default_factory=list)
    most: int = 1_000

    def predict(self, clips: Iterable[tuple[str, int, ConversationScript]]) -> Iterator[Prediction]:
        """Yield an answer for each conversation, and die after so many."""
        for name, repeat, _ in clips:
            if len(self.held) == self.most:
                raise KeyboardInterrupt
            self.held.append(name)
            late_ms = LATE_MS if name in self.late else 1.0
            end = AnswerEvent(t_ms=1.0, kind="failed", data={"reason": "closed"})
            answer = Answer(
                text="",
                audio=f"{name}.flac",
                events=(end,) if name in self.broken else (),
                usage={"pacing_p99_ms": late_ms},
            )
            yield Prediction(id=name, repeat=repeat, outcome=answer, load="l")


@dataclass
class Recordings:
    """Keeps answers in memory."""

    kept: dict[str, Answer] = field(default_factory=dict)

    def resampled(self, clip: Clip, _sample_rate: int) -> bytes:
        """Return the clip as it is."""
        return clip.samples

    def sound(
        self, path: str, folders: Sequence[Path], *, windows: ReactionWindows, source: str
    ) -> Sequence[SoundSpan] | None:
        """Know of no sound."""

    def fetch(self, key: str, _folder: Path) -> Answer | None:
        """Return what was kept under a key."""
        return self.kept.get(key)

    def keep(self, key: str, answer: Answer, _folder: Path) -> None:
        """Keep an answer."""
        self.kept[key] = answer


class Clips:
    """Reads a tone wherever it is asked to, but for one clip that is broken."""

    def read(self, _root: str, span: AudioSpan, *, max_s: float) -> Clip | Unusable:  # noqa: ARG002 - the port's
        """Return a clip."""
        if span.path == "broken":
            return Unusable(reason=UnusableReason.UNREADABLE)
        return tone(0)


def talk(name: str, path: str = "a.wav", bounds: tuple[float, float] | None = (0, 5)) -> Utterance:
    """Return a conversation of one turn."""
    entry = ScriptEntry(turn="u1", audio_filepath=path, text="hello", bounds_ms=bounds)
    return replace(builders.utterance(name), script=(entry,))


@dataclass
class World:
    """A plan of conversations, and all that holds them."""

    talks: Sequence[Utterance]
    harness: Harness = field(default_factory=Harness)
    alone: Harness = field(default_factory=Harness)
    recordings: Recordings = field(default_factory=Recordings)
    journal: Journal = field(default_factory=Journal)
    shown: list[int] = field(default_factory=list)

    def hold(self) -> tuple[list[Outcome], int]:
        """Hold what is missing."""
        dataset = builders.dataset(self.talks)
        planned = Plan(
            suite=builders.suite(SUITE),
            dataset=dataset,
            utterances=tuple(self.talks),
            cut=Cut(columns=(), bins=(), cluster="speaker", registered=None),
            normalizer=NORMALIZER,
        )
        held = HeldConversations(
            executor=self.harness,
            alone=self.alone,
            sample_rate=16_000,
            folder=lambda run: Path("/runs") / run,
        )
        system = SystemUnderTest(
            candidate=self.journal.header.candidate,
            load={},
            load_digest="l",
            versions={},
            conversations=held,
        )
        return converse(
            self.journal,
            planned,
            system,
            held,
            audio=Clips(),
            recordings=self.recordings,
            progress=lambda done, _total: self.shown.append(done),
        )


def test_a_late_conversation_is_held_again_once_and_alone() -> None:
    """What the harness was late for says nothing of the agent; the second time counts."""
    world = World([talk("a"), talk("b"), talk("c")], harness=Harness(late=frozenset("b")))
    outcomes, again = world.hold()
    assert (world.harness.held, world.alone.held, again) == (["a", "b", "c"], ["b"], 1)
    assert [outcome.id for outcome in outcomes] == ["a", "b", "c"]
    assert [item.id for item in world.journal.done] == ["a", "c", "b"]
    assert world.shown == [1, 2, 3]


def test_what_is_late_twice_is_kept_as_it_is() -> None:
    """It is unusable by its own pacing, which stays with it, and is not held a third time."""
    late = Harness(late=frozenset("a"))
    world = World([talk("a")], harness=late, alone=replace(late, held=[]))
    (outcome,), again = world.hold()
    answer = outcome.prediction.outcome if outcome.prediction else None
    assert isinstance(answer, Answer)
    assert (answer.usage["pacing_p99_ms"], again, world.alone.held) == (LATE_MS, 1, ["a"])


def test_a_run_that_was_killed_goes_on_where_it_was() -> None:
    """What stands in its journal is not held again, and each conversation is there once."""
    names = ["a", "b", "c", "d"]
    world = World([talk(name) for name in names], harness=Harness(most=2))
    with pytest.raises(KeyboardInterrupt):
        world.hold()
    assert [item.id for item in world.journal.done] == ["a", "b"]
    resumed = World(world.talks, journal=world.journal)
    outcomes, _ = resumed.hold()
    assert resumed.harness.held == ["c", "d"]
    assert [outcome.id for outcome in outcomes] == names


def test_a_recording_serves_the_next_run_and_a_failed_one_does_not() -> None:
    """A conversation that an agent broke off is held again."""
    world = World([talk("a"), talk("b")], harness=Harness(broken=frozenset("b")))
    world.hold()
    again = World(world.talks, recordings=world.recordings)
    outcomes, _ = again.hold()
    assert again.harness.held == ["b"]
    cached = [outcome.prediction and outcome.prediction.cached for outcome in outcomes]
    assert cached == [True, False]
    assert outcomes[0].prediction is not None
    assert isinstance(outcomes[0].prediction.outcome, Answer)
    assert outcomes[0].prediction.outcome.audio == "audio/a.flac"


def test_two_conversations_with_one_script_are_held_each() -> None:
    """One recording is not two conversations, in this run or the next."""
    world = World([talk("a"), talk("b")])
    world.hold()
    assert world.harness.held == ["a", "b"]
    assert len(world.recordings.kept) == 2


def test_a_clip_that_cannot_be_read_spoils_its_conversation_alone() -> None:
    """It is unusable with the reason, wherever in the order it comes."""
    world = World([talk("a", "broken"), talk("b"), talk("c", "broken")])
    outcomes, _ = world.hold()
    assert world.harness.held == ["b"]
    unusable = [outcome.unusable and outcome.unusable.reason for outcome in outcomes]
    assert unusable == [UnusableReason.UNREADABLE, None, UnusableReason.UNREADABLE]


def test_a_script_without_bounds_of_speech_is_refused() -> None:
    """Nobody would know when the user spoke: it says to lock the dataset."""
    world = World([talk("a", bounds=None)])
    with pytest.raises(InvalidInput, match='nobody knows when "u1" begins and ends') as caught:
        world.hold()
    assert caught.value.hint == "lock it: relkit dataset lock words"
