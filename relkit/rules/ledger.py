"""What a ledger says: what is served, what was, and what may happen next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from relkit.domain.releases import Attested, EventKind, ReleaseEvent

SERVING = frozenset({EventKind.CANARY, EventKind.PROMOTED, EventKind.HELD, EventKind.ROLLED_BACK})
"""The kinds of events that say what is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A time in which a version had a share of the traffic (0 to 1).

    ``since`` and ``until`` are UTC, ``until`` None where it goes on. ``sequence`` is that of the
    event that began it, ``kind`` and ``decision`` are its.
    """

    version: str
    share: float
    since: str
    until: str | None
    sequence: int
    kind: EventKind
    decision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """What is so after the last event.

    ``live`` has the traffic less ``share``, which ``candidate`` has. ``previous`` held all traffic
    before ``live`` did. ``registered`` maps versions, in the order of registration, to the digests
    of their records; ``yanked`` and ``condemned`` (removed by a rollback as bad) to the times;
    ``verified`` to the time of the last good verification; ``decisions`` to the decision that last
    promoted them. ``served`` is the history by share of traffic, ``full`` the times in which one
    version had all of it, both oldest first.
    """

    model: str
    sequence: int = 0
    live: str | None = None
    previous: str | None = None
    candidate: str | None = None
    share: float = 0.0
    registered: Mapping[str, str | None] = field(default_factory=dict)
    attested: Mapping[str, Attested] = field(default_factory=dict)
    yanked: Mapping[str, str] = field(default_factory=dict)
    condemned: Mapping[str, str] = field(default_factory=dict)
    verified: Mapping[str, str] = field(default_factory=dict)
    decisions: Mapping[str, str | None] = field(default_factory=dict)
    served: tuple[Served, ...] = ()

    @property
    def full(self) -> tuple[Served, ...]:
        """The times in which one version had all traffic, oldest first, one after the other."""
        return tuple(span for span in self.served if span.share == 1.0)

    @property
    def held_full_traffic(self) -> tuple[str, ...]:
        """The versions that ever held all traffic, in the order in which they last began to."""
        last = {span.version: None for span in reversed(self.full)}
        return tuple(reversed(last))


def state_of(model: str, events: Iterable[ReleaseEvent]) -> LedgerState:
    """Return what is so after the events, which are in order; a ledger that exists is believed."""
    ledger = _Ledger(model)
    for event in events:
        ledger.apply(event)
    return ledger.state()


def refusal_in(events: Iterable[ReleaseEvent]) -> tuple[ReleaseEvent, str] | None:
    """Return the first event that could not have happened after those before it, and why."""
    ledger: _Ledger | None = None
    for event in events:
        ledger = ledger or _Ledger(event.model)
        why = refusal(ledger, event)
        if why is not None:
            return event, why
        ledger.apply(event)
    return None


def refusal(state: "LedgerState | _Ledger", event: ReleaseEvent) -> str | None:
    """Return why an event cannot happen after a state, None where it can."""
    version, kind = event.version, event.kind
    if kind is EventKind.REGISTERED:
        known = state.registered.get(version, event.release)
        return None if known == event.release else "it is registered with another digest"
    if version not in state.registered:
        return "it was never registered"
    needed = {
        EventKind.HELD: (
            (version == state.candidate, "it is not in canary"),
            ((event.traffic or 0) <= state.share, "more traffic needs a decision, not a hold"),
        ),
        EventKind.RESTORED: ((version in state.yanked, "it is not yanked"),),
    }
    if kind in needed:
        return next((why for holds, why in needed[kind] if not holds), None)
    return _serving_refusal(state, event) if kind in SERVING else None


def _serving_refusal(state: "LedgerState | _Ledger", event: ReleaseEvent) -> str | None:
    """Return why a version cannot get a share of traffic; the first reason counts."""
    version, kind = event.version, event.kind
    forward = kind is not EventKind.ROLLED_BACK
    canary = kind is EventKind.CANARY
    reasons = (
        (version in state.yanked, "it is yanked"),
        (not forward and version in event.bad, "it is one of the bad versions"),
        (forward and state.candidate not in (None, version), f"{state.candidate} is in canary"),
        (forward and version == state.live, "it is served already"),
        (canary and state.live is None, "nothing is served that it could be compared with"),
        (
            canary and not 0 < (event.traffic or 0) < 1,
            "a canary has more than no and less than all traffic",
        ),
    )
    return next((why for holds, why in reasons if holds), None)


class _Ledger:
    """A state while events are applied, so that a long ledger takes linear time."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.sequence = 0
        self.live: str | None = None
        self.previous: str | None = None
        self.candidate: str | None = None
        self.share = 0.0
        self.registered: dict[str, str | None] = {}
        self.attested: dict[str, Attested] = {}
        self.yanked: dict[str, str] = {}
        self.condemned: dict[str, str] = {}
        self.verified: dict[str, str] = {}
        self.decisions: dict[str, str | None] = {}
        self._served: list[Served] = []
        self._open: dict[str, int] = {}  # version to its place in what was served

    def apply(self, event: ReleaseEvent) -> None:
        """Make an event part of the state."""
        version, kind = event.version, event.kind
        self.sequence = event.sequence
        if kind is EventKind.REGISTERED:
            self.registered.setdefault(version, event.release)
            self.attested.setdefault(version, event.attested)
        elif kind is EventKind.YANKED:
            self.yanked[version] = event.at
        elif kind is EventKind.RESTORED:
            self.yanked.pop(version, None)
        elif kind is EventKind.VERIFIED:
            self.verified[version] = event.at
        elif kind in SERVING:
            self._serve(event)

    def _serve(self, event: ReleaseEvent) -> None:
        version = event.version
        share = 1.0 if event.traffic is None else event.traffic
        if event.kind is EventKind.CANARY:
            self.candidate, self.share = version, share
            self.decisions[version] = event.decision
        elif event.kind is EventKind.HELD:
            self.share = self.share if event.traffic is None else share
            self.candidate = version if self.share else None
        else:
            if version != self.live:
                self.previous, self.live = self.live, version
            self.candidate, self.share = None, 0.0
            if event.kind is EventKind.PROMOTED:
                self.decisions[version] = event.decision
            self.condemned.update(dict.fromkeys(event.bad, event.at))
        self._reopen(event)

    def _reopen(self, event: ReleaseEvent) -> None:
        """End the times that go on, and begin those of the new shares; what stays goes on."""
        wanted = {}
        if self.live is not None:
            wanted[self.live] = 1.0 - self.share
        if self.candidate is not None:
            wanted[self.candidate] = self.share
        for version, i in tuple(self._open.items()):
            if wanted.get(version) != self._served[i].share:
                self._served[i] = replace(self._served[i], until=event.at)
                del self._open[version]
        for version, share in wanted.items():
            if version not in self._open:
                self._open[version] = len(self._served)
                self._served.append(_begun(version, share, event))

    def state(self) -> LedgerState:
        """Return the state, frozen."""
        return LedgerState(
            model=self.model,
            sequence=self.sequence,
            live=self.live,
            previous=self.previous,
            candidate=self.candidate,
            share=self.share,
            registered=dict(self.registered),
            attested=dict(self.attested),
            yanked=dict(self.yanked),
            condemned=dict(self.condemned),
            verified=dict(self.verified),
            decisions=dict(self.decisions),
            served=tuple(self._served),
        )


def _begun(version: str, share: float, event: ReleaseEvent) -> Served:
    return Served(
        version=version,
        share=share,
        since=event.at,
        until=None,
        sequence=event.sequence,
        kind=event.kind,
        decision=event.decision if version == event.version else None,
    )
