"""A registry in memory: releases, ledgers with compare-and-set, artifacts, a mirror."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from relkit.core.digests import digest_of
from relkit.core.errors import BackendUnavailable, Busy, InvalidInput, UsageError
from relkit.registry.types import (
    Artifact,
    EventKind,
    HostedIdentity,
    Interface,
    Release,
    ReleaseEvent,
)
from relkit.rollback.run import RollbackOptions, RollbackPorts, plan_rollback
from relkit.rollback.types import RollbackTarget

START = datetime(2026, 1, 1, tzinfo=UTC)
FORM = "%Y-%m-%dT%H:%M:%SZ"
SPEECH = Interface(sample_rate_hz=16_000, languages=("en",), label_schema="3", api_version="1.2")


def release(model: str, version: str, **fields: object) -> Release:
    """Return a release of a speech recogniser, with any field given."""
    known: dict[str, Any] = {
        "component": "asr",
        "kind": "files",
        "created": "2026-01-01T00:00:00Z",
        "artifact": Artifact(digest=digest_of([model, version])),
        "interface": SPEECH,
        "attested": "none",
    }
    known.update(fields)
    return Release(model=model, version=version, digest=digest_of([model, version, "r"]), **known)


def hosted(model: str, version: str, fingerprint: str | None, **fields: object) -> Release:
    """Return a vendor's model with the same name and settings, whatever it behaves like."""
    identity = HostedIdentity(
        provider="acme", model="speech-1", configuration=digest_of("c"), fingerprint=fingerprint
    )
    return release(model, version, kind="hosted", artifact=None, hosted=identity, **fields)


def stack(model: str, version: str, pins: Mapping[str, str], **fields: object) -> Release:
    """Return a release of a stack."""
    known: dict[str, object] = {"component": "stack", "kind": "stack", "artifact": None}
    return release(model, version, **{**known, "pins": pins, **fields})


@dataclass
class Registry:
    """Implements the ports of a rollback, all of them; each event is an hour after the last."""

    records: dict[tuple[str, str], Release] = field(default_factory=dict)
    lines: dict[str, list[ReleaseEvent]] = field(default_factory=dict)
    broken: dict[tuple[str, str], str] = field(default_factory=dict)
    verified: list[tuple[str, str]] = field(default_factory=list)
    aliases: dict[str, dict[str, str | None]] = field(default_factory=dict)
    mirror_down: bool = False
    time: datetime = START
    in_between: ReleaseEvent | None = None

    # --- ReleaseStore
    def models(self) -> tuple[str, ...]:
        """Return the models with a record or a ledger."""
        return tuple(sorted({model for model, _ in self.records} | set(self.lines)))

    def versions(self, model: str) -> tuple[str, ...]:
        """Return the versions of a model that have a record."""
        return tuple(version for name, version in self.records if name == model)

    def read(self, model: str, version: str) -> Release:
        """Return a record."""
        if (model, version) not in self.records:
            raise UsageError(f'{model} has no release "{version}"')
        return self.records[model, version]

    def write(self, one: Release) -> None:
        """Keep a record."""
        self.records[one.model, one.version] = one

    # --- ReleaseLedger
    def events(self, model: str) -> tuple[ReleaseEvent, ...]:
        """Return a model's events."""
        return tuple(self.lines.get(model, ()))

    def append(self, event: ReleaseEvent, *, expected: int) -> ReleaseEvent:
        """Append where nobody was faster; ``in_between`` is somebody who is."""
        lines = self.lines.setdefault(event.model, [])
        if self.in_between is not None:
            lines.append(replace(self.in_between, sequence=len(lines) + 1))
            self.in_between = None
        if len(lines) != expected:
            raise Busy(f"the ledger of {event.model} has changed since it was read")
        if event.version in event.bad:
            raise InvalidInput("it is one of the bad versions")
        sealed = replace(event, sequence=expected + 1, digest=digest_of([event.model, expected]))
        lines.append(sealed)
        return sealed

    # --- ArtifactStore
    def verify(self, one: Release) -> str | None:
        """Return why an artifact is not whole, noting that it was asked for."""
        self.verified.append((one.model, one.version))
        return self.broken.get((one.model, one.version))

    # --- Clock
    def now(self) -> str:
        """Return the time of the last event and a minute."""
        return (self.time + timedelta(minutes=1)).strftime(FORM)

    # --- Mirror
    def point(self, model: str) -> None:
        """Move the aliases to where the ledger has them, with compare-and-set."""
        if self.mirror_down:
            raise BackendUnavailable("MLflow did not answer at http://127.0.0.1:1")
        event = self.lines[model][-1]
        there = self.aliases.setdefault(model, {"champion": event.from_version, "previous": None})
        if there["champion"] != event.from_version:
            raise InvalidInput(f"the alias champion names {there['champion']}")
        there["champion"], there["previous"] = event.version, event.from_version

    # --- what tests do
    def add(self, one: Release, **event: object) -> "Registry":
        """Write a record and register it."""
        self.write(one)
        fields: dict[str, object] = {"release": one.digest, "attested": one.attested, **event}
        return self.happens(one.model, EventKind.REGISTERED, one.version, **fields)

    def happens(self, model: str, kind: EventKind, version: str, **fields: object) -> "Registry":
        """Append an event an hour later; fields that are not given are as relkit writes them."""
        self.time += timedelta(hours=1)
        lines = self.lines.setdefault(model, [])
        record = self.records.get((model, version))
        known: dict[str, Any] = {
            "at": self.time.strftime(FORM),
            "by": "ci",
            "release": None if record is None else record.digest,
        }
        if kind is EventKind.PROMOTED:
            known |= {
                "traffic": 1.0,
                "decision": digest_of([model, version, "d"]),
                "attested": "gate",
            }
        known.update(fields)
        sequence = len(lines) + 1
        lines.append(
            ReleaseEvent(
                model=model,
                sequence=sequence,
                kind=kind,
                version=version,
                digest=digest_of([model, sequence]),
                previous=None,
                **known,
            )
        )
        return self

    def serve(self, one: Release, **event: object) -> "Registry":
        """Register a release and promote it by a gate."""
        return self.add(one).happens(one.model, EventKind.PROMOTED, one.version, **event)

    def ports(self, *, mirror: bool = True) -> RollbackPorts:
        """Return this registry as the ports of a rollback."""
        return RollbackPorts(
            releases=self,
            ledger=self,
            artifacts=self,
            clock=self,
            mirror=self.point if mirror else None,
        )

    def ask(
        self, model: str, *bad: str, to: str | None = None, slice_: str | None = None
    ) -> RollbackTarget:
        """Plan a rollback and return the target."""
        request = RollbackOptions(model=model, bad=bad, to=to, slice=slice_)
        return plan_rollback(request, self.ports()).target


def three(**fields: object) -> Registry:
    """Return a registry in which 1.0, 1.1 and 1.2 of ``asr`` were served, 1.2 now."""
    registry = Registry()
    for version in ("1.0", "1.1", "1.2"):
        registry.serve(release("asr", version, **fields))
    return registry
