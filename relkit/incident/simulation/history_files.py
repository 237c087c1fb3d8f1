"""Releases and ledgers of an incident, as relkit itself would have written them.

Ledgers have the steps of the rollouts; a version that only some sessions can get has their share.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from relkit.attestation.envelopes import render_envelope
from relkit.core.digests import PREFIX, digest_of, sha256_bytes
from relkit.core.values import after
from relkit.incident.simulation.decision_files import passed_gate
from relkit.incident.simulation.kinds import VERSIONS
from relkit.incident.simulation.people import PEOPLE_SHARES
from relkit.incident.simulation.rollouts import rollout_share, versions_in
from relkit.incident.simulation.types import (
    IncidentComponent,
    IncidentHistory,
    Rollout,
    SimulatedIncident,
)
from relkit.registry.ledger_files import seal
from relkit.registry.release_files import sealed, tree_digest
from relkit.registry.types import (
    Artifact,
    Component,
    EventKind,
    Interface,
    Lineage,
    Release,
    ReleaseEvent,
)

_KINDS: Mapping[IncidentComponent, Component] = {
    "asr": "asr",
    "llm": "llm",
    "tts": "tts",
    "retrieval": "retriever",
}
_FULL = 0.9999
_REGISTERED_BEFORE_S = 7200
_FIRST_S = -10 * 86_400


def incident_history(incident: SimulatedIncident) -> IncidentHistory:
    """Return the releases and the ledgers of all components; their files are made up, too."""
    releases: list[Release] = []
    events: dict[str, tuple[ReleaseEvent, ...]] = {}
    artifacts: dict[str, bytes] = {}
    for component in VERSIONS:
        records = {}
        for version in versions_in(incident, component):
            root = f"artifacts/{component}/{version}"
            data = f"{component} {version}: made up for a rehearsal\n".encode()
            artifacts[f"{root}/model.bin"] = data
            files = {"model.bin": sha256_bytes(data)}
            begins = min(
                (
                    r.at
                    for r in incident.rollouts
                    if (r.component, r.version) == (component, version)
                ),
                default=None,
            )
            created = (
                after(incident.start, _FIRST_S)
                if begins is None
                else _time(incident, begins, -_REGISTERED_BEFORE_S)
            )
            artifact = Artifact(digest=tree_digest(files), root=root, files=files)
            decision = passed_gate(artifact.digest, created)
            name = f"decision-{decision.digest.removeprefix(PREFIX)[:16]}.json"
            artifacts[f"registry/releases/{component}/{version}/{name}"] = render_envelope(decision)
            records[version] = _release(component, version, created, artifact, decision.digest)
        releases += records.values()
        events[component] = _chained(_events(incident, component, records))
    return IncidentHistory(releases=tuple(releases), events=events, artifacts=artifacts)


def _release(
    component: IncidentComponent,
    version: str,
    created: str,
    artifact: Artifact,
    decision: str,
) -> Release:
    return sealed(
        Release(
            model=component,
            version=version,
            component=_KINDS[component],
            created=created,
            owner="simulation",
            licence="CC0-1.0",
            artifact=artifact,
            decision=decision,
            attested="gate",
            interface=Interface(api_version="1"),
            lineage=(Lineage(dataset="made-up", digest=digest_of([component])),),
        )
    )


def _events(
    incident: SimulatedIncident, component: IncidentComponent, records: Mapping[str, Release]
) -> Iterator[ReleaseEvent]:
    """Yield the events of a component, unsealed, in the order of time."""

    def event(kind: EventKind, version: str, at: str, **fields: object) -> ReleaseEvent:
        record = records[version]
        return ReleaseEvent(
            model=component,
            sequence=1,
            kind=kind,
            version=version,
            at=at,
            by="simulation",
            release=record.digest,
            digest="",
            **fields,  # type: ignore[arg-type]
        )

    live, *_ = records
    first = records[live]
    yield event(EventKind.REGISTERED, live, first.created, attested="gate", decision=first.decision)
    yield event(
        EventKind.PROMOTED,
        live,
        after(first.created, 3600),
        traffic=1.0,
        decision=first.decision,
        attested="gate",
    )
    for version in list(records)[1:]:
        record = records[version]
        yield event(
            EventKind.REGISTERED,
            version,
            record.created,
            attested="gate",
            decision=record.decision,
        )
        shares = _shares(
            [r for r in incident.rollouts if (r.component, r.version) == (component, version)]
        )
        for at, share in shares:
            if incident.onset_hours + at >= incident.hours:
                break
            full = share >= _FULL
            yield event(
                EventKind.PROMOTED if full else EventKind.CANARY,
                version,
                _time(incident, at),
                traffic=1.0 if full else share,
                decision=record.decision,
                from_version=live if full else None,
                attested="gate" if full else "none",
            )
            live = version if full else live


def _shares(rollouts: Sequence[Rollout]) -> Iterator[tuple[float, float]]:
    """Yield when a version's share of all traffic changes, in hours from the onset, and to what."""
    times = sorted(
        {
            round(rollout.at + hours, 6)
            for rollout in rollouts
            for hours in (0.0, *np.cumsum([step.hours for step in rollout.steps]).tolist())
        }
    )
    share_before = 0.0
    for at in times:
        share = sum(
            float(rollout_share(rollout, np.array([at - rollout.at + 1e-6]))[0])
            * float(np.prod([PEOPLE_SHARES[column][v] for column, v in rollout.only.items()]))
            for rollout in rollouts
        )
        share = round(min(share, 1.0), 4)
        if share != share_before:
            yield at, share
            share_before = share


def _chained(events: Iterable[ReleaseEvent]) -> tuple[ReleaseEvent, ...]:
    chained: list[ReleaseEvent] = []
    in_order = sorted(events, key=lambda event: event.at)
    for number, event in enumerate(in_order, start=1):
        previous = chained[-1].digest if chained else None
        chained.append(seal(event, sequence=number, previous=previous))
    return tuple(chained)


def _time(incident: SimulatedIncident, hours: float, seconds: int = 0) -> str:
    """Return a time that is so many hours from the onset, and seconds more."""
    return after(incident.start, round((incident.onset_hours + hours) * 3600) + seconds)
