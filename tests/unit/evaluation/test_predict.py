"""A system is asked for what the journal lacks, and a journal that is not the run's is refused."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, AudioSpan, Clip, Prediction
from relkit.evaluation.predict import Asking, predict
from relkit.evaluation.types import Outcome
from tests.builders import header, outcome, utterance
from tests.fakes import tone


class Utterance:
    """Stands for an utterance of which the id alone counts."""

    def __init__(self, name: str) -> None:
        """Take the id."""
        self.id = name


class Journalled:
    """Stands for a run that has outcomes already."""

    header = header()

    def __init__(self, *items: Outcome) -> None:
        """Take the outcomes in the order of their lines."""
        self._items = [*items]

    def outcomes(self) -> list[Outcome]:
        """Return them."""
        return self._items


class Recorded:
    """Stands for a system that nobody has to ask."""

    recorded: Any = object()
    executor = None


def answers(*items: Outcome) -> list[Outcome]:
    """Return the outcomes of a run of the utterances a and b."""
    utterances = [cast("Any", Utterance(name)) for name in "ab"]
    run, system = cast("Any", Journalled(*items)), cast("Any", Recorded())
    unused = cast("Any", None)
    return predict(
        run, utterances, system, audio=unused, cache=unused, root="", progress=lambda *_: None
    )


FIRST, SECOND = outcome("a", Answer(text="one")), outcome("b", Answer(text="two"))


def test_a_whole_journal_is_taken() -> None:
    """Also where a line stands twice."""
    assert answers(FIRST, SECOND) == [FIRST, SECOND]
    assert answers(SECOND, FIRST, SECOND) == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (outcome("a", Answer(text="other")), "line 2: has another answer"),
        (outcome("c", Answer(text="one")), "line 2: names an utterance or repeat that is not"),
    ],
)
def test_a_journal_of_another_run_is_refused(second: Outcome, said: str) -> None:
    """Neither of two answers is taken, nor one to what was not asked."""
    with pytest.raises(InvalidInput, match=said):
        answers(FIRST, second, SECOND)


class Reader:
    """Reads a tone for every path, and notes how much the journal held by then."""

    def __init__(self, journal: list[Outcome]) -> None:
        """Take the journal to look at."""
        self.journal = journal
        self.held: list[int] = []

    def read(self, _root: str, _span: AudioSpan, *, max_s: float) -> Clip:  # noqa: ARG002 - the port's
        """Return a clip."""
        self.held.append(len(self.journal))
        return tone(0)


class Cache:
    """Has an answer to everything."""

    def get(self, *_: object) -> tuple[Answer, str]:
        """Return an answer and its load."""
        return Answer(text="one"), "load"

    def put(self, *_: object) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Write nothing."""


class Idle:
    """Looks for a clip to ask about, and finds none."""

    def predict(self, clips: Iterable[tuple[str, int, Clip]]) -> Iterator[Prediction]:
        """Yield nothing, as there is nothing to ask."""
        assert list(clips) == []
        yield from ()


def test_what_is_cached_is_taken_one_by_one() -> None:
    """Each answer is in the journal before the next clip is read, though nobody is asked."""
    journal: list[Outcome] = []
    reader = Reader(journal)
    asking = Asking("sha256:s", reader, cast("Any", Cache()), "/data", 60.0)
    asking.ask([(utterance(f"u{i}"), 0) for i in range(5)], Idle(), journal.append)
    assert reader.held == [0, 1, 2, 3, 4]
    assert [item.id for item in journal] == ["u0", "u1", "u2", "u3", "u4"]
    assert all(item.prediction is not None and item.prediction.cached for item in journal)
