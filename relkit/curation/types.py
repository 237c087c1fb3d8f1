"""A dataset's contract: what is expected of it, what was found, and whether that is enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Cell = str | int | float | bool | None


Severity = Literal["critical", "warning", "info"]


State = Literal["passed", "failed", "warning", "not_checked"]
"""``warning``: it does not hold, and the contract says that this alone breaks nothing."""


UTTERANCES = "utterances"


SLICES = "slices"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTable:
    """Facts as columns of equal length; ``key`` names the column that tells rows apart."""

    key: str
    columns: Mapping[str, Sequence[Cell]]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.columns[self.key])


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One declared expectation, as the contract writes it.

    ``kwargs`` are its arguments as JSON text, ``table`` the facts it is about. ``needs_run`` says
    that it is judged only when a recogniser's run is given. ``line`` is its line in the contract.
    """

    type: str
    kwargs: str
    column: str | None
    table: str = UTTERANCES
    severity: Severity = "critical"
    needs_run: bool = False
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A dataset's contract, read but not yet judged.

    ``split`` is the column that separates training from test data, None where there is none;
    ``alike`` is the similarity (0 to 1) from which two texts count as near-identical.
    """

    name: str
    digest: str
    expectations: tuple[Expectation, ...]
    split: str | None = None
    alike: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one expectation.

    ``values`` were judged, ``unexpected`` of them are not as expected; ``keys`` are the ids (or
    slices) of some of those, ``found`` their slice values where they have any. ``observed`` is the
    number that an expectation about a whole column or table looked at. ``problem`` says why it
    could not be judged, or what a table lacks; none of them holds a text.
    """

    expectation: Expectation
    state: State
    loaded: bool = True
    evaluated: bool = True
    values: int | None = None
    unexpected: int | None = None
    missing: int | None = None
    observed: float | None = None
    keys: tuple[str, ...] = ()
    found: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOutcome:
    """Whether a version of a dataset keeps its contract, with every expectation's outcome.

    ``runs`` are those whose hypotheses the labels were compared with.
    """

    dataset: str
    dataset_digest: str
    contract: str
    contract_digest: str
    checked: str
    judged: tuple[Judged, ...]
    runs: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared(self) -> int:
        """How many expectations the contract declares."""
        return len(self.judged)

    @property
    def loaded(self) -> int:
        """How many of them the checker knows."""
        return sum(item.loaded for item in self.judged)

    @property
    def evaluated(self) -> int:
        """How many of them were judged."""
        return sum(item.evaluated for item in self.judged)

    @property
    def problems(self) -> tuple[str, ...]:
        """What breaks the contract as a whole, in words: an expectation lost, nothing judged."""
        lost = self.declared - self.loaded
        found = []
        if not self.declared:
            found.append("the contract declares no expectation")
        elif not self.evaluated:
            found.append("no expectation was evaluated")
        if lost:
            found.append(f"{lost} of {self.declared} declared expectations could not be loaded")
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Everything was loaded, something was evaluated, and nothing failed."""
        return not self.problems and all(item.state != "failed" for item in self.judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How far recognisers contradict a label; rates are errors over words, None without words.

    ``rate`` is the lowest of all systems, ``neighbours`` the pooled rate of the speaker's other
    utterances (of all others, where the speaker has too few), ``systems`` how many answered.
    """

    rate: float | None = None
    neighbours: float | None = None
    systems: int = 0

    @property
    def excess(self) -> float | None:
        """By how much the rate exceeds the neighbours'; high: a candidate for a wrong label."""
        if self.rate is None or self.neighbours is None:
            return None
        return self.rate - self.neighbours
