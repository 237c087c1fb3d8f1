"""What the workflows need from the outside, as narrow Protocols."""

from collections.abc import Mapping
from typing import Protocol

from relkit.curation.types import Contract, ContractOutcome, FactTable, Judged, ScoredItem
from relkit.datasets.types import Dataset
from relkit.evaluation.ports import ContractOutcomes
from relkit.evaluation.types import RunHeader


class ContractStore(ContractOutcomes, Protocol):
    """The contracts of datasets, and the outcomes of having checked them."""

    def read(self, dataset: Dataset) -> Contract | None:
        """Return the contract of a dataset, None where it has none; raises InvalidInput."""

    def write(self, dataset: Dataset, contract: Contract) -> str:
        """Write a first contract and return its name; raises InvalidInput where there is one."""

    def keep(self, outcome: ContractOutcome) -> None:
        """Store an outcome."""


class ContractChecker(Protocol):
    """Judges facts about a dataset by its contract."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions of what judges."""

    def check(
        self,
        contract: Contract,
        tables: Mapping[str, FactTable],
        *,
        shown: frozenset[str],
        with_run: bool,
    ) -> tuple[Judged, ...]:
        """Return what came of each expectation, in order; values only of ``shown`` columns."""


class ReviewedRuns(Protocol):
    """Finished runs, utterance by utterance."""

    def header(self, run: str) -> RunHeader:
        """Return what a finished run was asked to do; raises InvalidInput, UsageError."""

    def items(self, run: str) -> tuple[ScoredItem, ...]:
        """Return the utterances of a finished run, sorted by id; raises InvalidInput."""
