"""What a ledger says: what is served, what was, and what may happen next.

``plan_…`` functions return the next event, not yet appended, and refuse one that cannot happen. It
has the sequence it is to get, and neither its digest nor that of the line before: the ledger fills
these in, if nobody was faster (compare-and-set).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import named
from relkit.core.wording import percent
from relkit.registry.types import Attested, EventKind, Release, ReleaseEvent

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
    kind: EventKind = field(metadata=named("event"))
    decision: str | None = None


@dataclass(slots=True)
class _Span:
    """A time in which a version has a share of the traffic, since an event."""

    version: str
    share: float
    event: ReleaseEvent
    until: str | None = None


@dataclass(slots=True, kw_only=True)
class LedgerState:
    """What is so after the last event; only :func:`state_of` and :func:`refusal_in` change it.

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
    registered: dict[str, str | None] = field(default_factory=dict)
    attested: dict[str, Attested] = field(default_factory=dict)
    yanked: dict[str, str] = field(default_factory=dict)
    condemned: dict[str, str] = field(default_factory=dict)
    verified: dict[str, str] = field(default_factory=dict)
    decisions: dict[str, str | None] = field(default_factory=dict)
    _spans: list[_Span] = field(default_factory=list)
    _open: dict[str, _Span] = field(default_factory=dict)

    @property
    def served(self) -> tuple[Served, ...]:
        """The times in which a version had a share of the traffic, oldest first."""
        return tuple(
            Served(
                version=span.version,
                share=span.share,
                since=span.event.at,
                until=span.until,
                sequence=span.event.sequence,
                kind=span.event.kind,
                decision=span.event.decision if span.version == span.event.version else None,
            )
            for span in self._spans
        )

    @property
    def full(self) -> tuple[Served, ...]:
        """The times in which one version had all traffic, oldest first, one after the other."""
        return tuple(span for span in self.served if span.share == 1.0)

    @property
    def held_full_traffic(self) -> tuple[str, ...]:
        """The versions that ever held all traffic, in the order in which they last began to."""
        last = {span.version: None for span in reversed(self.full)}
        return tuple(reversed(last))

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
        shares = {}
        if self.live is not None:
            shares[self.live] = 1.0 - self.share
        if self.candidate is not None:
            shares[self.candidate] = self.share
        for version, span in tuple(self._open.items()):
            if shares.get(version) != span.share:
                span.until = event.at
                del self._open[version]
        for version, share in shares.items():
            if version not in self._open:
                self._open[version] = span = _Span(version, share, event)
                self._spans.append(span)


def state_of(model: str, events: Iterable[ReleaseEvent]) -> LedgerState:
    """Return what is so after the events, which are in order; a ledger that exists is believed."""
    state = LedgerState(model=model)
    for event in events:
        state.apply(event)
    return state


def refusal_in(events: Iterable[ReleaseEvent]) -> tuple[ReleaseEvent, str] | None:
    """Return the first event that could not have happened after those before it, and why."""
    state: LedgerState | None = None
    for event in events:
        state = state or LedgerState(model=event.model)
        why = refusal(state, event)
        if why is not None:
            return event, why
        state.apply(event)
    return None


def refusal(state: LedgerState, event: ReleaseEvent) -> str | None:
    """Return why an event cannot happen after a state, None where it can."""
    version, kind = event.version, event.kind
    if kind is EventKind.REGISTERED:
        digest = state.registered.get(version, event.release)
        return None if digest == event.release else "it is registered with another digest"
    if version not in state.registered:
        return "it was never registered"
    if kind is EventKind.RESTORED:
        return None if version in state.yanked else "it is not yanked"
    if kind is EventKind.HELD:
        if version != state.candidate:
            return "it is not in canary"
        more = (event.traffic or 0) > state.share
        return "more traffic needs a decision, not a hold" if more else None
    return _serving_refusal(state, event) if kind in SERVING else None


def _serving_refusal(state: LedgerState, event: ReleaseEvent) -> str | None:
    """Return why a version cannot get a share of traffic."""
    version, kind = event.version, event.kind
    if version in state.yanked:
        return "it is yanked"
    if kind is EventKind.ROLLED_BACK:
        return "it is one of the bad versions" if version in event.bad else None
    if state.candidate not in (None, version):
        return f"{state.candidate} is in canary"
    if version == state.live:
        return "it is served already"
    canary = kind is EventKind.CANARY
    if canary and state.live is None:
        return "nothing is served that it could be compared with"
    partly = 0 < (event.traffic or 0) < 1
    return "a canary has more than no and less than all traffic" if canary and not partly else None


MirrorState = Literal["none", "updated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvents:
    """Events that are in the ledger now, and what became of the mirror."""

    events: tuple[ReleaseEvent, ...]
    state: LedgerState
    mirror: MirrorState

    @property
    def event(self) -> ReleaseEvent:
        """The last of them."""
        return self.events[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredRelease:
    """A release that is registered; ``recorded`` is None where exactly it was before.

    ``notes`` say what it names and what is not here.
    """

    release: Release
    recorded: RecordedEvents | None
    notes: tuple[str, ...] = ()


_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """When an event happens (UTC), who says so, and why."""

    at: str
    by: str
    reason: str = ""


def plan_registered(state: LedgerState, release: Release, entry: Entry) -> ReleaseEvent | None:
    """Return the registration of a release, None where exactly it is registered.

    Raises InvalidInput where the version is registered with another digest.
    """
    if state.registered.get(release.version) == release.digest:
        return None
    event = replace(
        _event(state, EventKind.REGISTERED, release.version, entry),
        release=release.digest,
        decision=release.decision,
        attested=release.attested,
    )
    return _checked(state, event, hint="give it a new version: what was registered stays as it is")


def plan_canary(
    state: LedgerState, version: str, share: float, entry: Entry, *, decision: str | None
) -> ReleaseEvent:
    """Return a step of a canary: ``version`` gets ``share`` (0 to 1, both excluded) of traffic."""
    if version == state.candidate and share == state.share:
        raise InvalidInput(f"{state.model} {version} has {percent(share)} of the traffic already")
    event = replace(
        _event(state, EventKind.CANARY, version, entry),
        traffic=share,
        decision=decision,
    )
    return _checked(state, event, hint=_steps(state))


def plan_promoted(
    state: LedgerState,
    version: str,
    entry: Entry,
    *,
    decision: str | None,
    attested: Attested = "gate",
) -> ReleaseEvent:
    """Return a promotion to all traffic; see :func:`refuse_condemned` for the age of a decision."""
    event = replace(
        _event(state, EventKind.PROMOTED, version, entry),
        traffic=1.0,
        decision=decision,
        attested=attested,
    )
    return _checked(state, event, hint=_steps(state))


def plan_held(
    state: LedgerState, version: str, entry: Entry, *, share: float | None = None
) -> ReleaseEvent:
    """Return that a canary does not go on; it keeps its share, or gets ``share`` (0: it ends)."""
    event = replace(
        _event(state, EventKind.HELD, version, entry),
        traffic=state.share if share is None else share,
    )
    return _checked(state, event, hint=f"in canary: {state.candidate or 'no version'}")


def plan_rolled_back(
    state: LedgerState,
    target: str,
    entry: Entry,
    *,
    bad: Sequence[str],
    failing_slice: str | None = None,
    attested: Attested = "none",
) -> ReleaseEvent:
    """Return a rollback to ``target``, which gets all traffic; ``bad`` versions are removed.

    Whether the target is a good one is for :mod:`relkit.rollback.target` to say.
    """
    event = replace(
        _event(state, EventKind.ROLLED_BACK, target, entry),
        traffic=1.0,
        bad=tuple(bad),
        slice=failing_slice,
        attested=attested,
    )
    return _checked(state, event)


def plan_yanked(state: LedgerState, version: str, entry: Entry) -> ReleaseEvent:
    """Return that a version may never be served again unless it is restored."""
    if version in state.yanked:
        raise InvalidInput(
            f"{state.model} {version} is yanked already, since {state.yanked[version]}"
        )
    return _checked(state, _event(state, EventKind.YANKED, version, entry))


def plan_restored(state: LedgerState, version: str, entry: Entry) -> ReleaseEvent:
    """Return that a yanked version may be served again."""
    return _checked(state, _event(state, EventKind.RESTORED, version, entry))


def plan_overridden(
    state: LedgerState, version: str, entry: Entry, *, override: str
) -> ReleaseEvent:
    """Return that a signed override (its digest) stands for a decision that did not pass."""
    event = replace(_event(state, EventKind.OVERRIDDEN, version, entry), decision=override)
    return _checked(state, event)


def plan_verified(state: LedgerState, version: str, entry: Entry) -> ReleaseEvent:
    """Return that a version's artifact was verified now."""
    return _checked(state, _event(state, EventKind.VERIFIED, version, entry))


def known(state: LedgerState, version: str) -> None:
    """Raise UsageError for a version that was never registered."""
    if version not in state.registered:
        last = ", ".join(tuple(state.registered)[-_SHOWN:])
        raise UsageError(
            f'{state.model} has no version "{version}" in its ledger',
            hint=f"registered last: {last}" if last else "relkit registry register RELEASE",
        )


def refuse_condemned(state: LedgerState, version: str, decided: str | None) -> None:
    """Raise InvalidInput for a version removed as bad by a rollback after the decision about it."""
    since = state.condemned.get(version)
    if since is not None and (decided is None or decided <= since):
        raise InvalidInput(
            f"{state.model} {version} was removed as bad by the rollback of {since}, and the "
            "decision is older",
            hint="mend it and release a new version, or gate it again",
        )


def _event(state: LedgerState, kind: EventKind, version: str, entry: Entry) -> ReleaseEvent:
    if kind is not EventKind.REGISTERED:
        known(state, version)
    return ReleaseEvent(
        model=state.model,
        sequence=state.sequence + 1,
        kind=kind,
        version=version,
        at=entry.at,
        by=entry.by,
        digest="",
        reason=entry.reason,
        from_version=state.live if kind in SERVING else None,
        release=state.registered.get(version),
    )


def _checked(state: LedgerState, event: ReleaseEvent, *, hint: str | None = None) -> ReleaseEvent:
    why = refusal(state, event)
    if why is not None:
        words = {EventKind.CANARY: "put in canary", EventKind.ROLLED_BACK: "rolled back to"}
        done = words.get(event.kind, str(event.kind))
        raise InvalidInput(f"{event.model} {event.version} cannot be {done}: {why}", hint=hint)
    return event


def _steps(state: LedgerState) -> str | None:
    if state.candidate is None:
        return None if state.live is not None else "promote the first version whole"
    return (
        f"end the canary first: relkit registry promote {state.model} {state.candidate} "
        "--hold --canary 0 --reason …"
    )
