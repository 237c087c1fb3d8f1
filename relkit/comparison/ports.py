"""What a comparison needs from the outside, as narrow Protocols."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from relkit.comparison.types import Flips, Row
from relkit.evaluation.ports import PairAggregator

if TYPE_CHECKING:
    from relkit.statistics.types import PairedSums


class Rows(Protocol):
    """Reads the rows of a finished run."""

    def __call__(self, run: str, *, with_text: bool, with_audio: bool) -> tuple[Row, ...]:
        """Return a run's rows; transcripts and audio digests only where asked for."""


class ComparedPairs(PairAggregator, Protocol):
    """Paired results that can also be looked at row by row and cell by cell."""

    def cells(self, slices: Sequence[str], columns: Mapping[str, str]) -> "PairedSums":
        """Return sums of whole slices, one row each."""

    def flips(self, most: int, metric: str) -> Flips:
        """Return the utterances only one of the runs has right, at most so many each way.

        Right is without a word error, or what a metric of safety counts.
        """
