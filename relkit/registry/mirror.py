"""Does another registry say what the ledger says? Which steps make it so, pure and in words.

What the registry's verbs share: a model's state, and an event that is appended and mirrored.
"""

from collections.abc import Iterable, Iterator, Mapping

from relkit.core.errors import BackendUnavailable
from relkit.registry.ledger import Entry, LedgerState, MirrorState, RecordedEvents, state_of
from relkit.registry.ports import Mirror, RegistryPorts
from relkit.registry.types import (
    EventKind,
    MirrorModel,
    MirrorVersion,
    Release,
    ReleaseEvent,
    RequiredModel,
    RequiredVersion,
)

ALIASES = ("champion", "candidate", "previous")
VERSION = "relkit.version"

SEQUENCE = "relkit.sequence"
"""Tag of a version: the event that registered it; of a model: the last event it was told of."""

_PREFIX = "relkit."


def required_model(
    state: LedgerState,
    events: Iterable[ReleaseEvent],
    releases: Iterable[Release],
    *,
    guarded: bool = False,
) -> RequiredModel:
    """Return what a mirror has to have: the registered releases, and what the ledger serves."""
    then = LedgerState(model=state.model)
    history = [(0, _aliases(then))]
    registered: dict[str, int] = {}
    for event in events:
        then.apply(event)
        if event.kind is EventKind.REGISTERED:
            registered.setdefault(event.version, event.sequence)
        if (aliases := _aliases(then)) != history[-1][1]:
            history.append((event.sequence, aliases))
    return RequiredModel(
        model=state.model,
        versions=tuple(
            _required_version(release, state, registered.get(release.version, 0))
            for release in releases
        ),
        aliases=_aliases(state),
        sequence=state.sequence,
        allowed={
            name: tuple((sequence, aliases[name]) for sequence, aliases in history)
            for name in ALIASES
        },
        guarded=guarded,
    )


def _aliases(state: LedgerState) -> dict[str, str | None]:
    return {"champion": state.live, "candidate": state.candidate, "previous": state.previous}


def _required_version(release: Release, state: LedgerState, registered: int) -> RequiredVersion:
    artifact, origin = release.artifact, release.origin
    tags = {
        VERSION: release.version,
        "relkit.release": release.digest,
        "relkit.component": release.component,
        SEQUENCE: str(registered),
        "relkit.yanked": "true" if release.version in state.yanked else "false",
        "relkit.artifact": release.artifact_digest,
        "relkit.root": None if artifact is None else artifact.root,
        "relkit.traffic": f"{state.share:.6g}" if release.version == state.candidate else None,
    }
    # MLflow refuses local paths over HTTP, so that a version has an address of relkit's own.
    reference = None if artifact is None else artifact.reference
    return RequiredVersion(
        version=release.version,
        source=reference or f"relkit://registry/{release.model}/{release.version}",
        tags={name: value for name, value in tags.items() if value is not None},
        registered=registered,
        adopts=origin.version if origin is not None and origin.registry == "mlflow" else None,
    )


def matched(required: RequiredModel, current: MirrorModel) -> dict[str, MirrorVersion]:
    """Return which version of the mirror is which of relkit's, the lowest number where two are.

    One that was imported is known by its number until it has the tags.
    """
    names = {version.version for version in required.versions}
    by_version: dict[str, MirrorVersion] = {}
    plain = {}
    for version in sorted(current.versions, key=_number):
        name = version.tags.get(VERSION)
        if name is None:
            plain[version.number] = version
        elif name in names:
            by_version.setdefault(name, version)
    for required_version in required.versions:
        if required_version.adopts in plain:
            by_version.setdefault(required_version.version, plain[required_version.adopts])
    return by_version


def _number(version: MirrorVersion) -> tuple[int, str]:
    return (int(version.number) if version.number.isdecimal() else 0, version.number)


def mirrored_sequence(current: MirrorModel) -> int | None:
    """Return the last event that the mirror was told of wholly, None where of none."""
    text = current.tags.get(SEQUENCE, "")
    return int(text) if text.isdecimal() else None


def wrong_tags(required: RequiredVersion, current: MirrorVersion) -> dict[str, str | None]:
    """Return relkit's tags that differ, with the value they have to have (None: gone)."""
    stale = {name: None for name in current.tags if name.startswith(_PREFIX)}
    right = {**stale, **required.tags}
    return {name: value for name, value in right.items() if current.tags.get(name) != value}


def differences(required: RequiredModel, current: MirrorModel) -> tuple[str, ...]:
    """Return in words where a mirror does not say what the ledger says; none: it does."""
    if current.there:
        return tuple(f"{required.model}: {words}" for words in _differences(required, current))
    if not required.versions:
        return ()
    return (f"{required.model}: the registered model is not in the mirror",)


def _differences(required: RequiredModel, current: MirrorModel) -> Iterator[str]:
    matches = matched(required, current)
    sequence = mirrored_sequence(current)
    for version in required.versions:
        if version.version not in matches:
            new = sequence is None or version.registered > sequence
            yield f"{version.version} " + (
                "is not in the mirror yet" if new else "was deleted from the mirror"
            )
            continue
        match = matches[version.version]
        for name, value in wrong_tags(version, match).items():
            yield (
                f"{version.version} (version {match.number}): the tag {name} is "
                f"{_shown(match.tags.get(name))}, not {_shown(value)}"
            )
        if version.adopts is None and match.source != version.source:
            yield f"{version.version} (version {match.number}): its source is another one"
    numbers = {match.number for match in matches.values()}
    for number in sorted(current.versions, key=_number):
        if number.number not in numbers:
            yield f"version {number.number} of the mirror is not one of relkit's"
    yield from alias_differences(required, current).values()
    named = any(alias.casefold() in ALIASES for alias in current.aliases)
    if sequence != required.sequence and named:
        yield (
            f"the mirror was told up to event {sequence or 0}, and the ledger has "
            f"{required.sequence}"
            if sequence is None or sequence < required.sequence
            else f"the mirror was told of event {sequence}, which this ledger does not have"
        )


def spellings(current: MirrorModel, name: str) -> tuple[str, ...]:
    """Return how an alias is spelled in a mirror, where case does not count; as it is, if nowhere.

    Serving systems may read each of them: all are moved.
    """
    return tuple(sorted(alias for alias in current.aliases if alias.casefold() == name)) or (name,)


def alias_difference(
    required: RequiredModel, current: MirrorModel, matches: Mapping[str, MirrorVersion], alias: str
) -> str | None:
    """Return how an alias, as the mirror spells it, differs, in words; None where it is right."""
    version = required.aliases[alias.casefold()]
    number = current.aliases.get(alias)
    right = matches[version].number if version is not None and version in matches else None
    if number == right and (version is None or right is not None):
        return None
    if number is None:
        return f"the alias {alias} is missing: it has to name {version}"
    has = name_of(number, current, matches)
    if version is None:
        return f"the alias {alias} names {has}, and there is no {alias}"
    return f"the alias {alias} names {has}, not {version}"


def alias_differences(required: RequiredModel, current: MirrorModel) -> dict[str, str]:
    """Return the aliases that differ, as the mirror spells them, each with how, in words."""
    matches = matched(required, current)
    words = {
        alias: alias_difference(required, current, matches, alias)
        for name in ALIASES
        for alias in spellings(current, name)
    }
    return {alias: difference for alias, difference in words.items() if difference is not None}


def is_dangling(current: MirrorModel, alias: str) -> bool:
    """Return whether an alias names a version that is not there: MLflow may leave it so."""
    number = current.aliases.get(alias)
    return number is not None and all(version.number != number for version in current.versions)


def name_of(number: str, current: MirrorModel, matches: Mapping[str, MirrorVersion]) -> str:
    """Return how messages call a version of the mirror."""
    if all(version.number != number for version in current.versions):
        return f"version {number}, which was deleted"
    version = next((name for name, match in matches.items() if match.number == number), None)
    return f"version {number} (not relkit's)" if version is None else version


def moved_by_others(required: RequiredModel, current: MirrorModel, alias: str) -> str | None:
    """Return why an alias may not be moved: somebody else put it where the ledger never had it.

    The ledger's own places are those since the last event that the mirror was told of: an alias
    is there after a crash or after events that the mirror was not told of, and nowhere else. One
    that names a deleted version was left there by the deletion, and nobody moved it.
    """
    if is_dangling(current, alias):
        return None
    matches = matched(required, current)
    number = current.aliases.get(alias)
    now = None if number is None else name_of(number, current, matches)
    sequence = mirrored_sequence(current)
    places = required.allowed.get(alias.casefold(), ())
    since = max((event for event, _ in places if sequence is None or event <= sequence), default=0)
    if sequence is None:
        since = 0
    allowed = {version for event, version in places if event >= since}
    if now in allowed or now == required.aliases[alias.casefold()]:
        return None
    placed = next((version for event, version in places if event == since), None)
    shown = "names no version" if now is None else f"names {now}"
    return (
        f"the alias {alias} of {required.model} {shown}, and relkit left it at {placed or 'none'}: "
        "somebody else moved it"
    )


def _shown(value: str | None) -> str:
    return "missing" if value is None else f'"{value[:80]}"'


def entry(ports: RegistryPorts, by: str | None, reason: str = "") -> Entry:
    """Return who acts now and why; without a name it is the actor of the environment."""
    return Entry(at=ports.clock.now(), by=(by or ports.actor).strip(), reason=reason)


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


def record(ports: RegistryPorts, planned: ReleaseEvent) -> RecordedEvents:
    """Append an event, then tell the mirror.

    Raises Busy where the ledger has gone on since the plan; BackendUnavailable where the mirror
    does not answer: the event is safe then, and ``verify --repair`` tells it later.
    """
    sealed = ports.ledger.append(planned, expected=planned.sequence - 1)
    state = read_state(ports, planned.model)
    return RecordedEvents(events=(sealed,), state=state, mirror=tell_mirror(ports, state))


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


def mirrored(ports: RegistryPorts, state: LedgerState, *, guarded: bool = False) -> RequiredModel:
    """Return what a mirror has to say; releases whose files are gone are left out.

    ``guarded``: the mirror follows an event, and what somebody else did there is left alone.
    """
    versions = set(ports.releases.versions(state.model))
    releases = (
        ports.releases.read(state.model, version)
        for version in state.registered
        if version in versions
    )
    return required_model(state, ports.ledger.events(state.model), releases, guarded=guarded)
