"""What a model's ledger says about each of its releases, read once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from relkit.registry.types import EventKind, ReleaseEvent

FULL = 1.0
"""The share of traffic that is all of it."""


_SERVING = {EventKind.PROMOTED, EventKind.ROLLED_BACK}


_CHANGES = {
    EventKind.REGISTERED,
    EventKind.YANKED,
    EventKind.RESTORED,
    EventKind.OVERRIDDEN,
}


def serves(event: ReleaseEvent) -> bool:
    """Return whether an event makes its version the one that is served.

    ``promoted`` and ``rolled_back`` do unless they name a part of the traffic (without a share
    they mean all of it); a canary does at all of it.
    """
    if event.kind in _SERVING:
        return event.traffic is None or event.traffic >= FULL
    return event.kind is EventKind.CANARY and event.traffic is not None and event.traffic >= FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class GateProof:
    """The promotion that shows a passed gate: whose event it is, its number and its decision."""

    model: str
    sequence: int
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one release went through, by its own ledger; times are UTC.

    ``place`` counts releases as registered, from 0. ``records`` are the digests of its record that
    the ledger names. ``full`` is its latest event of full traffic. ``gate`` is None without a
    passed gate, and then ``ungated`` says why. ``left`` is the rollback that left it behind, where
    it was not promoted again since. ``verified`` is the newest verification since its last change.
    """

    version: str
    place: int
    records: tuple[str, ...]
    full: ReleaseEvent | None
    gate: GateProof | None
    ungated: str
    legacy: bool
    yanked: ReleaseEvent | None
    left: ReleaseEvent | None
    worse: tuple[ReleaseEvent, ...]
    verified: ReleaseEvent | None


@dataclass(frozen=True)  # no slots: what is derived is kept
class History:
    """A ledger by version; ``order`` is the versions as registered, oldest first."""

    model: str
    events: tuple[ReleaseEvent, ...] = ()
    order: tuple[str, ...] = field(init=False)
    own: Mapping[str, Sequence[ReleaseEvent]] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the events by version."""
        own: dict[str, list[ReleaseEvent]] = {}
        for event in self.events:
            own.setdefault(event.version, []).append(event)
        object.__setattr__(self, "own", own)
        object.__setattr__(self, "order", tuple(own))

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Version to its place in ``order``."""
        return {version: place for place, version in enumerate(self.order)}

    @cached_property
    def serving(self) -> ReleaseEvent | None:
        """The event since when what is live is live."""
        return next((event for event in reversed(self.events) if serves(event)), None)

    @property
    def sequence(self) -> int:
        """The number of the last event, 0 for none."""
        return self.events[-1].sequence if self.events else 0

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Versions beside the live one that have a part of the traffic now, with the share."""
        shares: dict[str, float] = {}
        for event in self.events:
            if serves(event):
                shares.clear()
            elif event.traffic is not None:
                shares[event.version] = event.traffic
        return {version: share for version, share in shares.items() if share > 0}

    @cached_property
    def rollbacks(self) -> tuple[tuple[ReleaseEvent, int, int], ...]:
        """Rollbacks with the places of the first and the last release that each left behind."""
        found = []
        for event in self.events:
            if event.kind is EventKind.ROLLED_BACK:
                bad = [self.places[version] for version in event.bad if version in self.places]
                live = self.places.get(event.from_version or "", -1)
                found.append((event, min(bad, default=live), max([live, *bad])))
        return tuple(found)

    def life(self, version: str) -> Life:
        """Return what happened to a release; raises KeyError for one the ledger does not know."""
        place, own = self.places[version], self.own[version]
        worse = tuple(e for e, _, _ in self.rollbacks if e.slice is not None and version in e.bad)
        gate, ungated = _gate(own)
        return Life(
            version=version,
            place=place,
            records=tuple(dict.fromkeys(e.release for e in own if e.release is not None)),
            full=_last(e for e in own if serves(e)),
            gate=gate,
            ungated=ungated,
            legacy=any(e.attested == "legacy" for e in own),
            yanked=_yanked(own),
            left=self._left(place, own),
            worse=worse,
            verified=_verified(own),
        )

    def _left(self, place: int, own: Sequence[ReleaseEvent]) -> ReleaseEvent | None:
        again = _last(e for e in own if e.kind is EventKind.PROMOTED and serves(e))
        since = 0 if again is None else again.sequence
        return _last(
            event
            for event, first, last in self.rollbacks
            if event.sequence > since and first <= place <= last and event.version != own[0].version
        )


def _last(events: Iterable[ReleaseEvent]) -> ReleaseEvent | None:
    found = None
    for event in events:
        found = event
    return found


def _gate(own: Sequence[ReleaseEvent]) -> tuple[GateProof | None, str]:
    """Return the last promotion behind which a gate passed, and why there is none."""
    why, proof = "it was never promoted by a gate", None
    overridden: set[str | None] = set()
    pending = False
    for event in own:
        if event.kind is EventKind.OVERRIDDEN:
            # It names the override, and the next step the decision that did not pass.
            overridden.add(event.decision)
            pending = True
        if pending and event.kind in {EventKind.CANARY, EventKind.PROMOTED}:
            overridden.add(event.decision)
            pending = False
        if event.kind is not EventKind.PROMOTED:
            continue
        if event.attested != "gate":
            why = f"no gate stands behind its promotion (event {event.sequence})"
        elif event.decision is None:
            why = f"its promotion (event {event.sequence}) names no decision"
        elif event.decision in overridden:
            why = f"its gate did not pass: an override promoted it (event {event.sequence})"
        else:
            proof = GateProof(model=event.model, sequence=event.sequence, decision=event.decision)
    return proof, why


def _yanked(own: Sequence[ReleaseEvent]) -> ReleaseEvent | None:
    last = _last(e for e in own if e.kind in {EventKind.YANKED, EventKind.RESTORED})
    return last if last is not None and last.kind is EventKind.YANKED else None


def _verified(own: Sequence[ReleaseEvent]) -> ReleaseEvent | None:
    found = None
    for event in own:
        if event.kind is EventKind.VERIFIED:
            found = event
        elif event.kind in _CHANGES:
            found = None
    return found
