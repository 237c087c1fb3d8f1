"""What the registry's verbs need from the outside, as narrow Protocols."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relkit.registry.types import (
    Fingerprint,
    LedgerReading,
    Release,
    ReleaseEvent,
    ReleaseReading,
    RequiredModel,
)

if TYPE_CHECKING:
    from relkit.core.ports import Clock
    from relkit.evaluation.types import EvalReport


class ReleaseStore(Protocol):
    """The releases of a workspace."""

    def models(self) -> tuple[str, ...]:
        """Return the models that have releases, sorted."""

    def versions(self, model: str) -> tuple[str, ...]:
        """Return a model's versions; none for an unknown model."""

    def read(self, model: str, version: str) -> Release:
        """Return a release; raises UsageError for an unknown one, InvalidInput for a bad file."""

    def write(self, release: Release) -> None:
        """Write a release; raises InvalidInput where the version has another digest."""


class ReleaseFolder(ReleaseStore, Protocol):
    """Releases with their files: what is wrong with them, and the evidence beside them."""

    def examine(self, model: str, version: str) -> ReleaseReading:
        """Return a release, or all that is wrong with it; raises nothing."""

    def source(self, model: str, version: str) -> str:
        """Return how messages call a release's file."""

    def text(self, model: str, version: str) -> str:
        """Return the text of a release's file."""

    def keep(self, model: str, version: str, name: str, data: bytes) -> None:
        """Keep evidence beside a release."""

    def evidence(self, model: str, version: str) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of the evidence beside a release."""


class ReleaseLedger(Protocol):
    """What happened to releases, append-only."""

    def models(self) -> tuple[str, ...]:
        """Return the models that have a ledger, sorted."""

    def events(self, model: str) -> tuple[ReleaseEvent, ...]:
        """Return a model's events, oldest first; raises InvalidInput for a broken chain."""

    def append(self, event: ReleaseEvent, *, expected: int) -> ReleaseEvent:
        """Append an event and return it sealed.

        ``expected`` is the sequence of the last event that the plan was made from, 0 for none;
        raises Busy where the ledger has gone on since, InvalidInput where it is broken.
        """


class MendableLedger(ReleaseLedger, Protocol):
    """A ledger that can be examined and repaired."""

    def read(self, model: str) -> LedgerReading:
        """Return a ledger with all that is wrong with it."""

    def repair(self, model: str) -> tuple[str, ...]:
        """Mend what is certain and return what was done; raises InvalidInput for the rest."""


class ArtifactStore(Protocol):
    """What is served, by digest."""

    def verify(self, release: Release) -> str | None:
        """Return None where the artifact's digest verifies now, else why not."""


class ArtifactListing(ArtifactStore, Protocol):
    """Artifacts whose files can be listed with their digests."""

    def listing(self, root: str) -> tuple[str, dict[str, str], str]:
        """Return (folder, files by path, digest) of a folder or file of the workspace."""

    def absent(self, release: Release) -> bool:
        """Return whether the only thing amiss is that a download is not on this machine."""


class Mirror(Protocol):
    """Another registry that follows the ledger, such as MLflow's."""

    def compare(self, required: RequiredModel) -> tuple[str, ...]:
        """Return where the mirror differs, in words; raises BackendUnavailable."""

    def repair(self, required: RequiredModel) -> tuple[str, ...]:
        """Make the mirror say it and return what was changed; raises BackendUnavailable.

        Where ``required`` is guarded, an alias that somebody else moved is refused the same way.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPorts:
    """What the registry's verbs need.

    ``actor`` is who acts where nobody was named. ``report`` gives a finished run's report with its
    bytes, ``decision`` the bytes of a decision by its digest; None where they are not here.
    ``fingerprint`` tells how the vendor's model behind a run behaves. ``mirror`` is None where none
    is configured.
    """

    releases: ReleaseFolder
    ledger: MendableLedger
    artifacts: ArtifactListing
    clock: "Clock"
    actor: str
    report: "Callable[[str], tuple[EvalReport, bytes] | None]"
    decision: Callable[[str], bytes | None]
    fingerprint: Callable[[str], Fingerprint]
    mirror: Mirror | None = None
