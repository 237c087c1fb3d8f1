"""A dataset as it was read: its version, its utterances, and how it wants to be cut."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relkit.domain.utterances import NO_VALUE, Utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """A slice column derived from a number: values fall into ``[a,b)`` between the edges."""

    name: str
    column: str
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """Which data a number was measured on.

    ``revision`` is a git commit or None for the working tree; ``dirty`` says that the working tree
    differs from its commit (None where that cannot be known). ``digest`` does not depend on file
    order or machine. ``contract`` is the outcome of the dataset's contract.
    """

    name: str
    revision: str | None
    dirty: bool | None
    digest: str
    utterances: int
    contract: str = "not_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset's version, settings and utterances (sorted by id).

    ``cluster`` is the column whose values are the independent units (speakers, conversations).
    ``root`` is the absolute folder that audio paths are resolved from. ``registered`` maps each
    slice column to the values it had when the dataset was locked; None where it was not.
    ``consent`` says whether an utterance needs its speaker's consent to be used.
    """

    version: DatasetVersion
    root: str
    cluster: str
    slices: tuple[str, ...]
    bins: tuple[Bins, ...]
    utterances: tuple[Utterance, ...]
    manifest: str = "manifest.jsonl"
    consent: Literal["optional", "required"] = "optional"
    registered: Mapping[str, tuple[str, ...]] | None = None

    def columns(self) -> frozenset[str]:
        """Return every slice column that occurs: manifest attributes, ``duration`` and bins."""
        seen: set[str] = {bins.name for bins in self.bins}
        for utterance in self.utterances:
            seen.update(utterance.attributes)
        return frozenset(seen)


def value_of(attributes: Mapping[str, str], column: str) -> str:
    """Return an attribute, or ``(none)`` where it is missing."""
    return attributes.get(column, NO_VALUE)
