"""What comparing costs needs from outside."""

from dataclasses import dataclass
from typing import Protocol

from relkit.monitoring.cost.types import ArmName, ArmUsage, CostPolicy, PriceBook, PriceTable


class UsageReader(Protocol):
    """Reads the usage of an arm from telemetry."""

    def __call__(
        self,
        arm: ArmName,
        paths: tuple[str, ...],
        policy: CostPolicy,
        book: PriceBook | None,
        now: str,
        /,
    ) -> ArmUsage:
        """Return what an arm's turns of some files used, priced by a book.

        Raises InvalidInput for a column that is not there and for billed cost of several
        currencies (or another than the book's), UsageError for no files.
        """


class TableReader(Protocol):
    """Reads price tables of a workspace."""

    def __call__(self, path: str, /) -> PriceTable:
        """Return a price table; raises UsageError, InvalidInput."""


class CostPolicyReader(Protocol):
    """Reads cost policies of a workspace."""

    def __call__(self, name: str, /) -> CostPolicy:
        """Return a policy by its name, or by path; raises UsageError, InvalidInput."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPorts:
    """What comparing costs needs from outside."""

    policy: CostPolicyReader
    table: TableReader
    usage: UsageReader
