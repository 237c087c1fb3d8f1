"""What a registry that serving systems read has to say, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.domain.releases import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    """What is served after the event ``sequence`` (0: before the first): versions or None."""

    sequence: int = 0
    champion: str | None = None
    candidate: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """What a registry that serving systems read has to say of a model.

    ``releases`` are all registered ones in the order of registration, ``champion`` what is live;
    ``share`` is the candidate's share of traffic. ``sequence`` is that of the last event,
    ``registered`` maps versions to the event that registered them, and ``history`` is what was
    served after each event that changed it, oldest first. ``guarded`` says that an alias is moved
    only from where the ledger once had it: the mirror follows an event, and repairs nothing.
    """

    model: str
    releases: tuple[Release, ...]
    champion: str | None
    candidate: str | None
    previous: str | None
    share: float = 0.0
    yanked: frozenset[str] = frozenset()
    sequence: int = 0
    registered: Mapping[str, int] = field(default_factory=dict)
    history: tuple[Aliases, ...] = ()
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorVersion:
    """A version of a registered model: its own number, where it lies, what it is tagged with."""

    number: str
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorModel:
    """A registered model as it was found; ``aliases`` maps an alias to a number."""

    versions: tuple[MirrorVersion, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyVersion:
    """A version of an existing registry, as much of it as there is to know.

    ``source`` is the address it was registered with, ``location`` where that leads to. Times are
    UTC. ``aliases`` are its names, ``stage`` that of an old registry (``Production``).
    """

    model: str
    number: str
    created: str
    source: str = ""
    location: str = ""
    run: str | None = None
    stage: str | None = None
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
