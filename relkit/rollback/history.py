"""What the ledgers say about the releases of a model, and what runs now.

A release was served by its own events, or inside a stack that pinned it and held full traffic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from relkit.registry.types import EventKind, Release, ReleaseEvent
from relkit.rollback.compatibility import Running
from relkit.rollback.types import Life, StackService

FULL = 1.0
"""The share of traffic that is all of it."""


def serves(event: ReleaseEvent) -> bool:
    """Return whether an event makes its version the one that is served.

    ``promoted`` and ``rolled_back`` do unless they name a part of the traffic (without a share
    they mean all of it); a canary does at all of it.
    """
    if event.kind in {EventKind.PROMOTED, EventKind.ROLLED_BACK}:
        return event.traffic is None or event.traffic >= FULL
    return event.kind is EventKind.CANARY and event.traffic is not None and event.traffic >= FULL


@dataclass(frozen=True)  # no slots: what is derived is kept
class History:
    """A model's ledger by version."""

    model: str
    events: tuple[ReleaseEvent, ...] = ()

    @cached_property
    def by_version(self) -> Mapping[str, Sequence[ReleaseEvent]]:
        """Version to its events, as registered."""
        by_version: dict[str, list[ReleaseEvent]] = {}
        for event in self.events:
            by_version.setdefault(event.version, []).append(event)
        return by_version

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The versions as registered, oldest first."""
        return tuple(self.by_version)

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
        rollbacks = []
        for event in self.events:
            if event.kind is EventKind.ROLLED_BACK:
                bad = [self.places[version] for version in event.bad if version in self.places]
                live = self.places.get(event.from_version or "", -1)
                rollbacks.append((event, min(bad, default=live), max([live, *bad])))
        return tuple(rollbacks)

    def life(self, version: str) -> Life:
        """Return what happened to a release; raises KeyError for one the ledger does not know."""
        place, events = self.places[version], self.by_version[version]
        newest = events[::-1]
        promoted = next(
            (e.sequence for e in newest if e.kind is EventKind.PROMOTED and serves(e)), 0
        )
        gate, ungated = _gate(events)
        return Life(
            version=version,
            place=place,
            records=tuple(dict.fromkeys(e.release for e in events if e.release is not None)),
            full=next((e for e in newest if serves(e)), None),
            gate=gate,
            ungated=ungated,
            legacy=any(e.attested == "legacy" for e in events),
            yanked=_standing(newest, EventKind.YANKED, ended_by={EventKind.RESTORED}),
            left_by=next(
                (
                    event
                    for event, first, last in reversed(self.rollbacks)
                    if event.sequence > promoted
                    and first <= place <= last
                    and event.version != version
                ),
                None,
            ),
            worse=tuple(
                e for e, _, _ in self.rollbacks if e.slice is not None and version in e.bad
            ),
            verified=_standing(newest, EventKind.VERIFIED, ended_by=_CHANGES),
        )


_CHANGES = {EventKind.REGISTERED, EventKind.YANKED, EventKind.RESTORED, EventKind.OVERRIDDEN}


def _standing(
    newest_first: Sequence[ReleaseEvent], kind: EventKind, *, ended_by: set[EventKind]
) -> ReleaseEvent | None:
    """Return the newest event of a kind, None where one that ends it came after it."""
    last = next((e for e in newest_first if e.kind is kind or e.kind in ended_by), None)
    return last if last is not None and last.kind is kind else None


def _gate(events: Sequence[ReleaseEvent]) -> tuple[ReleaseEvent | None, str]:
    """Return the last promotion behind which a gate passed, and why there is none."""
    why, proof = "it was never promoted by a gate", None
    overridden: set[str | None] = set()
    pending = False
    for event in events:
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
            proof = event
    return proof, why


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One model as rollback sees it.

    ``release`` returns the record of a version, or why it cannot be read. ``verify`` returns None
    where the artifact's digest verifies now, else why not; it is asked for a release that all
    other rules allow, the newest first. ``live`` is the version that is served, which a stack may
    have put there; ``in_stack`` gives a version's service there. ``unlisted`` are versions with a
    record that the ledger does not know.
    """

    history: History
    release: Callable[[str], Release | str]
    verify: Callable[[Release], str | None]
    live: str | None
    running: Running = field(default_factory=Running)
    in_stack: Callable[[str], StackService | None]
    unlisted: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.history.model

    def live_release(self) -> Release | str:
        """Return the record of what runs now, or why it cannot be told."""
        return "nothing is live" if self.live is None else self.release(self.live)

    def gate(self, life: Life) -> ReleaseEvent | None:
        """Return the gate that a release passed, by itself or in a stack that pinned it."""
        service = self.in_stack(life.version) if life.gate is None else None
        return life.gate if service is None else service.gate


ReadRecord = Callable[[str, str], Release | str]
"""Called with (model, version); returns the record, or why it cannot be read."""


def served_now(histories: Mapping[str, History], read: ReadRecord) -> dict[str, str]:
    """Return model to the version that is live, by its own ledger or that of a stack.

    Of both the later one counts (times are UTC to the second), the model's own where they are
    equal: a component that was rolled back alone is no longer what the stack pinned.
    """
    served: dict[str, tuple[str, bool, str]] = {}  # since when, by its own ledger, version
    for model, history in histories.items():
        if (event := history.serving) is None:
            continue
        release = read(model, event.version)
        since = {model: (event.at, True, event.version)}
        if isinstance(release, Release) and release.component == "stack":
            for component, version in release.pins.items():
                since.setdefault(component, (event.at, False, version))
        for name, latest in since.items():
            if name not in served or served[name][:2] < latest[:2]:
                served[name] = latest
    return {model: version for model, (_, _, version) in served.items()}


def stack_services(
    histories: Mapping[str, History], read: ReadRecord
) -> dict[tuple[str, str], StackService]:
    """Return (component, version) to its service in stacks, the newest with a gate first."""
    services: dict[tuple[str, str], StackService] = {}
    for model, history in histories.items():
        newest = read(model, history.order[-1]) if history.order else None
        if not isinstance(newest, Release) or newest.component != "stack":
            continue
        for version in reversed(history.order):
            life = history.life(version)
            release = None if life.full is None else read(model, version)
            if life.full is None or not isinstance(release, Release):
                continue
            service = StackService(stack=f"{model} {version}", at=life.full.at, gate=life.gate)
            for pin in release.pins.items():
                if pin not in services or (services[pin].gate is None and life.gate is not None):
                    services[pin] = service
    return services
