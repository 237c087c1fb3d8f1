"""What the registry's verbs share: a model's state, and an event that is appended and mirrored."""

from dataclasses import dataclass
from typing import Literal

from relkit.domain.errors import BackendUnavailable
from relkit.domain.mirrors import Mirrored
from relkit.domain.releases import EventKind, ReleaseEvent
from relkit.rules.ledger import LedgerState, state_of
from relkit.rules.mirroring import served_after
from relkit.workflows.registry_ports import Mirror, RegistryPorts

MirrorState = Literal["none", "updated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Events that are in the ledger now, and what became of the mirror."""

    events: tuple[ReleaseEvent, ...]
    state: LedgerState
    mirror: MirrorState

    @property
    def event(self) -> ReleaseEvent:
        """The last of them."""
        return self.events[-1]


def read_history(ports: RegistryPorts, model: str) -> tuple[tuple[ReleaseEvent, ...], LedgerState]:
    """Return a model's events and what is so after them.

    Raises UsageError for an unknown model, InvalidInput for a broken ledger.
    """
    events = ports.ledger.events(model)
    if not events and not ports.releases.versions(model):
        ports.releases.read(model, "0")  # says which models there are
    return events, state_of(model, events)


def read_state(ports: RegistryPorts, model: str) -> LedgerState:
    """Return what is so; raises as :func:`read_history` does."""
    return read_history(ports, model)[1]


def record(ports: RegistryPorts, planned: ReleaseEvent) -> Recorded:
    """Append an event, then tell the mirror.

    Raises Busy where the ledger has gone on since the plan; BackendUnavailable where the mirror
    does not answer: the event is safe then, and ``verify --repair`` tells it later.
    """
    sealed = ports.ledger.append(planned, expected=planned.sequence - 1)
    state = read_state(ports, planned.model)
    return Recorded(events=(sealed,), state=state, mirror=tell_mirror(ports, state))


def tell_mirror(ports: RegistryPorts, state: LedgerState) -> MirrorState:
    """Make the mirror follow the ledger.

    Raises BackendUnavailable where it does not answer, or somebody else moved an alias.
    """
    if ports.mirror is None:
        return "none"
    try:
        follow(ports, ports.mirror, state)
    except BackendUnavailable as error:
        raise BackendUnavailable(
            f"event {state.sequence} is in the ledger, and the mirror was not told: "
            f"{error.message}",
            hint=f"finish it when it answers: relkit registry verify {state.model} --repair",
        ) from error
    return "updated"


def follow(ports: RegistryPorts, mirror: Mirror, state: LedgerState) -> None:
    """Make a mirror follow, past events that others append meanwhile; raises BackendUnavailable."""
    while True:
        try:
            mirror.repair(mirrored(ports, state, guarded=True))
        except BackendUnavailable:
            newer = read_state(ports, state.model)
            if newer.sequence <= state.sequence:
                raise
            state = newer
        else:
            return


def mirrored(ports: RegistryPorts, state: LedgerState, *, guarded: bool = False) -> Mirrored:
    """Return what a mirror has to say; releases whose files are gone are left out.

    ``guarded``: the mirror follows an event, and what somebody else did there is left alone.
    """
    there = set(ports.releases.versions(state.model))
    events = ports.ledger.events(state.model)
    registered: dict[str, int] = {}
    for event in events:
        if event.kind is EventKind.REGISTERED:
            registered.setdefault(event.version, event.sequence)
    return Mirrored(
        model=state.model,
        releases=tuple(
            ports.releases.read(state.model, version)
            for version in state.registered
            if version in there
        ),
        champion=state.live,
        candidate=state.candidate,
        previous=state.previous,
        share=state.share,
        yanked=frozenset(state.yanked),
        sequence=state.sequence,
        registered=registered,
        history=tuple(served_after(events)),
        guarded=guarded,
    )
