"""Releases and ledgers to test with: every field can be given."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from relkit.adapters.ledgers import LedgerFiles
from relkit.registry.ledger import Entry
from relkit.registry.ledger_files import seal
from relkit.registry.release_files import sealed
from relkit.registry.types import (
    Artifact,
    EventKind,
    Interface,
    Lineage,
    Release,
    ReleaseEvent,
    ServingCost,
)

NOW = "2026-01-31T12:00:00Z"
DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def at(minute: int) -> str:
    """Return a time of one afternoon."""
    return f"2026-01-31T{12 + minute // 60:02}:{minute % 60:02}:00Z"


def entry(minute: int = 0, by: str = "ann", reason: str = "") -> Entry:
    """Return who acts when."""
    return Entry(at=at(minute), by=by, reason=reason)


def release(version: str = "1.0.0", **fields: Any) -> Release:  # noqa: ANN401  # any field
    """Return a release with its digest."""
    given: dict[str, Any] = {
        "model": "asr",
        "component": "asr",
        "kind": "reference",
        "created": NOW,
        "owner": "speech team",
        "licence": "Apache-2.0",
        "artifact": Artifact(digest=DIGEST, reference=f"ghcr.io/acme/asr@{DIGEST}"),
        "interface": Interface(sample_rate_hz=16_000, languages=("en", "de")),
        "lineage": (Lineage(dataset="calls", digest=OTHER, revision="v1"),),
        "serving_cost": ServingCost(amount=0.25, currency="EUR", per="minute"),
        **fields,
    }
    return sealed(Release(version=version, digest="", **given))


def event(kind: EventKind, version: str = "1.0.0", **fields: Any) -> ReleaseEvent:  # noqa: ANN401  # any field
    """Return an event that is in no chain yet."""
    given: dict[str, Any] = {"model": "asr", "at": NOW, "by": "ann", **fields}
    return ReleaseEvent(kind=kind, version=version, sequence=1, digest="", previous=None, **given)


def registered(version: str, minute: int = 0, by: str = "ann") -> ReleaseEvent:
    """Return the registration of a release."""
    digest = release(version).digest
    return event(EventKind.REGISTERED, version, at=at(minute), by=by, release=digest)


def promoted(version: str, minute: int = 0, by: str = "ann") -> ReleaseEvent:
    """Return a promotion to all traffic."""
    return event(EventKind.PROMOTED, version, at=at(minute), by=by, traffic=1.0, decision=DIGEST)


def chained(events: Sequence[ReleaseEvent]) -> tuple[ReleaseEvent, ...]:
    """Return events chained in their order."""
    made: list[ReleaseEvent] = []
    for number, one in enumerate(events, start=1):
        made.append(seal(one, sequence=number, previous=made[-1].digest if made else None))
    return tuple(made)


def history(*extra: ReleaseEvent) -> tuple[ReleaseEvent, ...]:
    """Return two registrations and a promotion, chained, and what comes after them."""
    return chained([registered("1.0.0", 0), registered("1.1.0", 1), promoted("1.0.0", 2), *extra])


def ledger_in(folder: Path) -> LedgerFiles:
    """Return the ledgers of a folder."""
    return LedgerFiles(folder / "events", locks=folder / "locks")


def write_history(folder: Path, events: Sequence[ReleaseEvent]) -> LedgerFiles:
    """Append events to a ledger through the adapter and return it."""
    ledger = ledger_in(folder)
    for number, one in enumerate(events):
        ledger.append(replace(one, digest="", previous=None), expected=number)
    return ledger
