"""A system is asked for what the journal lacks, and a journal that is not the run's is refused."""

from typing import Any, cast

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer
from relkit.evaluation.predict import predict
from relkit.evaluation.types import Outcome
from tests.builders import header, outcome


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
