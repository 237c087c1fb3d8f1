"""``relkit registry validate`` and ``verify``: everything that is wrong, at once."""

from dataclasses import dataclass
from typing import Literal

from relkit.domain.errors import BackendUnavailable, InvalidInput
from relkit.records.defects import Defect
from relkit.rules.ledger import LedgerState, state_of
from relkit.rules.ledger_plans import Entry, plan_verified
from relkit.workflows import registry_checks as checks
from relkit.workflows.registry import mirrored
from relkit.workflows.registry_ports import Mirror, RegistryPorts


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What is wrong with the releases of a workspace."""

    releases: int
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is wrong with models' ledgers and digests; none: all of it is as it was recorded.

    ``repaired`` says what was mended, ``unchecked`` what could not be looked at here, ``recorded``
    which verifications are in the ledger now, ``mirror`` whether there is one. ``silent`` says why
    it could not be asked; what it says is not known then.
    """

    models: tuple[str, ...]
    events: int
    problems: tuple[str, ...]
    repaired: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    mirror: Literal["skipped", "compared", "silent"] = "skipped"
    silent: BackendUnavailable | None = None


def validate(ports: RegistryPorts, *, artifacts: bool = True) -> Validation:
    """Return all that is wrong with all releases and ledgers; raises nothing for any of it.

    ``artifacts`` False leaves the files of artifacts unread.
    """
    models = _models(ports)
    known, found = checks.read_all(ports, models)
    defects = [*found, *checks.reference_defects(ports, known)]
    for model in models:
        releases = known[model]
        defects += checks.chain_defects(ports, model)
        defects += checks.ledger_defects(ports, model, releases)
        defects += checks.evidence_defects(ports, releases)
        if artifacts:
            defects += checks.artifact_defects(ports, releases)
    return Validation(
        releases=sum(len(ports.releases.versions(model)) for model in models),
        defects=tuple(sorted(defects, key=lambda one: (one.source, one.line or 0))),
    )


def verify(ports: RegistryPorts, model: str | None = None, *, repair: bool = False) -> Verification:
    """Prove chains and digests; raises UsageError for an unknown model.

    ``repair`` first mends ledgers from what is certain, and the mirror from the ledger. A mirror
    that does not answer is asked once, and all the rest is proven without it.
    """
    models = _models(ports)
    if model is not None:
        if model not in models:
            ports.releases.read(model, "0")  # says which models there are
        models = (model,)
    problems: list[str] = []
    repaired: list[str] = []
    unchecked: list[str] = []
    events = 0
    silent: BackendUnavailable | None = None
    for name in models:
        if repair:
            try:
                repaired += ports.ledger.repair(name)
            except InvalidInput as error:
                problems.append(f"cannot be repaired: {error.message}")
        known, defects = checks.read_all(ports, (name,))
        releases = known[name]
        found = [
            *defects,
            *checks.chain_defects(ports, name),
            *checks.ledger_defects(ports, name, releases),
            *checks.evidence_defects(ports, releases),
            *checks.artifact_defects(ports, releases),
        ]
        problems += [str(one) for one in found]
        unchecked += checks.unchecked(ports, releases)
        read = ports.ledger.read(name)
        events += len(read.events)
        if ports.mirror is not None and (read.problems or defects):
            unchecked.append(
                f"{name}: what the mirror says, until the ledger and releases are whole"
            )
        elif ports.mirror is not None and silent is None:
            state = state_of(name, read.events)
            try:
                done, differing = _mirror(ports, ports.mirror, state, repair=repair)
            except BackendUnavailable as error:
                silent = error
                continue
            repaired += done
            problems += differing
    return Verification(
        models=models,
        events=events,
        problems=tuple(problems),
        repaired=tuple(repaired),
        unchecked=tuple(unchecked),
        mirror="skipped" if ports.mirror is None else "silent" if silent else "compared",
        silent=silent,
    )


def record_verified(
    ports: RegistryPorts, models: tuple[str, ...], *, entry: Entry
) -> tuple[str, ...]:
    """Note in ledgers which releases without a gate verify now; return them, ``asr 1.0.0``.

    Only they need it: a rollback goes to what was imported only after a fresh verification. Raises
    InvalidInput for a broken ledger, Busy where it has gone on meanwhile.
    """
    good = []
    for model in models:
        state = state_of(model, ports.ledger.events(model))
        for version, attested in state.attested.items():
            if attested != "legacy" or version not in ports.releases.versions(model):
                continue
            release = ports.releases.read(model, version)
            same = release.digest == state.registered[version]
            if same and ports.artifacts.verify(release) is None:
                ports.ledger.append(plan_verified(state, version, entry), expected=state.sequence)
                state = state_of(model, ports.ledger.events(model))
                good.append(f"{model} {version}")
    return tuple(good)


def _models(ports: RegistryPorts) -> tuple[str, ...]:
    return tuple(sorted({*ports.releases.models(), *ports.ledger.models()}))


def _mirror(
    ports: RegistryPorts, mirror: Mirror, state: LedgerState, *, repair: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (what was mended, where the mirror differs still)."""
    wanted = mirrored(ports, state)
    done = mirror.repair(wanted) if repair else ()
    return done, mirror.compare(wanted)
