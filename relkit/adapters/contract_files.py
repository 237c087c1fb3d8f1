"""Contracts beside the data, and their outcomes below ``.relkit/contracts``."""

from pathlib import Path

from relkit import storage
from relkit.domain.contracts import Contract, ContractOutcome
from relkit.domain.datasets import Dataset
from relkit.domain.errors import InvalidInput
from relkit.records.contract_outcomes import parse_outcome, render_outcome
from relkit.records.contracts import parse_contract, render_contract
from relkit.records.digests import PREFIX
from relkit.records.strict import decode

CONTRACT = "contract.json"


class ContractFiles:
    """Implements ContractStore."""

    def __init__(self, folder: Path) -> None:
        """Keep outcomes in ``folder``, a file per dataset digest; it need not exist yet."""
        self._folder = folder

    def read(self, dataset: Dataset) -> Contract | None:
        """Return the contract beside a dataset's manifest, None where it has none."""
        path = Path(dataset.root) / CONTRACT
        if not path.exists():
            return None
        source = _source(dataset)
        return parse_contract(storage.read_bytes(path, what=source), source=source)

    def write(self, dataset: Dataset, contract: Contract, *, notes: str) -> str:
        """Write a first contract and return its name; raises InvalidInput where there is one."""
        path = Path(dataset.root) / CONTRACT
        if path.exists():
            raise InvalidInput(
                f"{_source(dataset)}: is there already", hint="change it, or remove it first"
            )
        storage.write_text(path, render_contract(contract, notes=notes))
        return _source(dataset)

    def keep(self, outcome: ContractOutcome) -> None:
        """Store an outcome, in place of an earlier one on the same data."""
        storage.write_text(self._path(outcome.dataset_digest), render_outcome(outcome))

    def outcome(self, dataset: Dataset) -> str:
        """Return ``passed``, ``failed`` or ``not_checked``.

        A stored outcome counts only for the same data and the same contract; one that cannot be
        read counts as none.
        """
        path = self._path(dataset.version.digest)
        contract = Path(dataset.root) / CONTRACT
        try:
            if not path.is_file() or not contract.is_file():
                return "not_checked"
            text = decode(storage.read_bytes(path, what=path.name), source=path.name)
            kept = parse_outcome(text, source=path.name)
            wanted = parse_contract(
                storage.read_bytes(contract, what=CONTRACT), source=_source(dataset)
            )
        except InvalidInput:
            return "not_checked"
        same = kept.contract.digest == wanted.digest
        same = same and kept.dataset.digest == dataset.version.digest
        return kept.outcome if same else "not_checked"

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest.removeprefix(PREFIX)}.json"


def _source(dataset: Dataset) -> str:
    return f"{dataset.version.name}/{CONTRACT}"
