"""A contract and what came of it; utterances to review, as ids and numbers, never a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from relkit.core.values import OMITTED, OPTIONAL, OUTSIDE, ErrorCounts, Limits, Named, Shape
from relkit.datasets.types import Consent

Cell = str | int | float | bool | None
Severity = Literal["critical", "warning", "info"]

State = Literal["passed", "failed", "warning", "not_checked"]
"""``warning``: it does not hold, and the contract says that this alone breaks nothing."""

Table = Literal["utterances", "slices"]
UTTERANCES: Literal["utterances"] = "utterances"
SLICES: Literal["slices"] = "slices"
_COUNTED = ("declared", "loaded", "evaluated", "problems")


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
class ExpectationSettings:
    """relkit's own of an expectation: the facts it is about, and whether it needs a run.

    One that needs a run is judged only when a recogniser's run is given.
    """

    FILE: ClassVar = Shape(omitted=True)

    table: Table = UTTERANCES
    needs: Literal["run"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationMeta:
    """``meta`` of one expectation: whatever a user notes, and relkit's settings."""

    FILE: ClassVar = Shape(open=True, omitted=True)

    relkit: ExpectationSettings = ExpectationSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One declared expectation with the keys of Great Expectations 1; ``line`` is where it stands.

    ``kwargs`` are its arguments.
    """

    type: Annotated[str, Limits(min_length=1)]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    meta: ExpectationMeta | None = ExpectationMeta()
    severity: Severity = "critical"
    id: str | None = field(default=None, metadata=OMITTED)
    notes: str | tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    description: str | None = field(default=None, metadata=OMITTED)
    rendered_content: tuple[object, ...] | None = field(default=None, metadata=OMITTED)
    line: int | None = field(default=None, metadata=OUTSIDE)

    @property
    def column(self) -> str | None:
        """The column it is about, None where it is about more or none."""
        column = self.kwargs.get("column")
        return column if isinstance(column, str) else None

    @property
    def settings(self) -> ExpectationSettings:
        """Relkit's own settings."""
        return (self.meta or ExpectationMeta()).relkit


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSettings:
    """relkit's own of a contract.

    ``split`` is the column that separates training from test data, None where there is none;
    ``alike`` is the similarity (0 to 1) from which two texts count as near-identical.
    """

    alike: Annotated[float, Limits(ge=0.6, le=1)] = 0.9
    split: Annotated[str, Limits(min_length=1)] | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractMeta:
    """``meta`` of a contract: the version that wrote it, notes, and relkit's settings."""

    FILE: ClassVar = Shape(open=True)

    relkit: ContractSettings = ContractSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A dataset's contract, ``contract.json``: an ExpectationSuite of Great Expectations 1."""

    name: Annotated[str, Limits(min_length=1)]
    id: str | None = None
    expectations: tuple[Expectation, ...]
    meta: ContractMeta | None = ContractMeta()
    notes: str | tuple[str, ...] | None = None
    suite_parameters: Mapping[str, object] | None = field(default=None, metadata=OMITTED)
    digest: str = field(default="", metadata=OUTSIDE)

    @property
    def settings(self) -> ContractSettings:
        """Relkit's own settings."""
        return (self.meta or ContractMeta()).relkit


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one expectation.

    ``values`` were judged, ``unexpected`` of them are not as expected; ``ids`` are those (or the
    slices) of some of these, ``found`` their slice values where they have any. ``observed`` is the
    number that an expectation about a whole column or table looked at. ``problem`` says why it
    could not be judged, or what a table lacks; none of them holds a text.
    """

    FILE: ClassVar = Shape(required=True)

    type: str
    column: str | None
    table: str
    line: int | None
    severity: Severity
    outcome: State
    loaded: bool = True
    evaluated: bool = True
    values: int | None = None
    unexpected: int | None = None
    missing: int | None = None
    observed: float | None = None
    ids: tuple[str, ...] = ()
    found: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None

    @classmethod
    def of(cls, expectation: Expectation, outcome: State, **fields: Any) -> "Judged":  # noqa: ANN401 - any field of the type
        """Return what came of an expectation; ``fields`` are the fields after ``outcome``."""
        return cls(
            type=expectation.type,
            column=expectation.column,
            table=expectation.settings.table,
            line=expectation.line,
            severity=expectation.severity,
            outcome=outcome,
            **fields,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOutcome:
    """Whether a version of a dataset keeps its contract, with every expectation's outcome.

    ``runs`` are those whose hypotheses the labels were compared with; ``notes`` are what breaks
    nothing and has to be known.
    """

    FILE: ClassVar = Shape(
        required=True, derived={"outcome": "schema"} | dict.fromkeys(_COUNTED, "checked")
    )

    schema: Literal["relkit.contract-outcome/v1"] = "relkit.contract-outcome/v1"
    dataset: Named
    contract: Named
    checked: str
    expectations: tuple[Judged, ...]
    runs: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), metadata=OPTIONAL)

    @property
    def declared(self) -> int:
        """How many expectations the contract declares."""
        return len(self.expectations)

    @property
    def loaded(self) -> int:
        """How many of them the checker knows."""
        return sum(item.loaded for item in self.expectations)

    @property
    def evaluated(self) -> int:
        """How many of them were judged."""
        return sum(item.evaluated for item in self.expectations)

    @property
    def problems(self) -> tuple[str, ...]:
        """What breaks the contract as a whole, in words: an expectation lost, nothing judged."""
        lost = self.declared - self.loaded
        problems = []
        if not self.declared:
            problems.append("the contract declares no expectation")
        elif not self.evaluated:
            problems.append("no expectation was evaluated")
        if lost:
            problems.append(f"{lost} of {self.declared} declared expectations could not be loaded")
        return tuple(problems)

    @property
    def passed(self) -> bool:
        """Everything was loaded, something was evaluated, and nothing failed."""
        return not self.problems and all(item.outcome != "failed" for item in self.expectations)

    @property
    def outcome(self) -> Literal["passed", "failed"]:
        """The same as a word."""
        return "passed" if self.passed else "failed"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItem:
    """One utterance of one run, its repeats together.

    ``errors`` are capped per repeat at max(1, N), ``words`` are max(1, N) per repeat, both over the
    scored repeats. ``tokens`` is the first answer as normalized tokens, None without an answer;
    ``counts`` compare it with the reference. ``slices`` are the columns the data is cut by.
    """

    id: str
    cluster: str
    slices: Mapping[str, str]
    repeats: int
    errors: int
    words: int
    failures: int
    unusable: int
    runaways: int
    tokens: Sequence[str] | None = None
    counts: ErrorCounts | None = None

    @property
    def error(self) -> float | None:
        """Capped errors per word, 0 to 1; None where nothing was scored."""
        return self.errors / self.words if self.words else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Why an utterance may need a person, each from 0 to 1; None where it cannot be known."""

    slice_regression: float = 0.0
    low_coverage: float = 0.0
    disagreement: float | None = None
    label_error: float = 0.0
    runaway: float = 0.0
    failure: float = 0.0
    unusable: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCandidate:
    """One utterance to review.

    ``slice`` is the one behind the strongest slice signal; ``numbers`` are what the signals were
    made from (fractions and counts).
    """

    id: str
    score: float
    slice: str
    signals: Signals
    numbers: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewList:
    """The ranked utterances, and who is not among them.

    ``considered`` utterances could be listed, ``flagged`` of them have a score above 0.
    ``withheld`` counts utterances by why their consent keeps them out.
    """

    runs: tuple[str, ...]
    baseline: str | None
    dataset: str
    considered: int
    flagged: int
    withheld: Mapping[str, int]
    candidates: tuple[ReviewCandidate, ...]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTerms:
    """What may be shown of a dataset today: its rule, and the word of each utterance by id."""

    required: bool
    by_id: Mapping[str, Consent]
