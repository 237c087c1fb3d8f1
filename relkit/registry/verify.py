"""``relkit registry validate`` and ``verify``: all that is wrong at once, with file and line."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

from relkit.core.codec import Defect, line_of, lines_of
from relkit.core.errors import BackendUnavailable, InvalidInput, UsageError
from relkit.core.yaml_text import KeyPath
from relkit.registry.ledger import Entry, plan_verified, state_of
from relkit.registry.mirror import entry, mirrored, tell_mirror
from relkit.registry.ports import RegistryPorts
from relkit.registry.promote import evidence_digests
from relkit.registry.register import probe_problems
from relkit.registry.types import (
    EventKind,
    LedgerReading,
    RegistryValidation,
    RegistryVerification,
    Release,
)
from relkit.registry.versions import VersionRange

Known = Mapping[str, Mapping[str, Release]]
"""Releases that can be read, by model and version."""


def read_all(ports: RegistryPorts, models: tuple[str, ...]) -> tuple[Known, tuple[Defect, ...]]:
    """Return the releases of models that can be read, and the defects of those that cannot."""
    releases: dict[str, dict[str, Release]] = {}
    defects: list[Defect] = []
    for model in models:
        releases[model] = {}
        for version in ports.releases.versions(model):
            reading = ports.releases.examine(model, version)
            defects += reading.defects
            if reading.release is not None:
                releases[model][version] = reading.release
    return releases, tuple(defects)


def reference_defects(ports: RegistryPorts, by_model: Known) -> Iterator[Defect]:
    """Yield pins of what does not exist, and requirements that nothing satisfies."""
    for releases in by_model.values():
        for release in releases.values():
            for model, text in release.requires.items():
                versions = tuple(by_model.get(model, ()))
                if not any(
                    VersionRange.parse(text).holds(version, versions) for version in versions
                ):
                    have = ", ".join(versions[-5:]) or "none"
                    message = f"requires {model} {text}, which no release satisfies (there: {have})"
                    yield _at(ports, release, ("requires", model), message)
            yield from _pin_defects(ports, release, by_model)


def _pin_defects(ports: RegistryPorts, stack: Release, by_model: Known) -> Iterator[Defect]:
    components: dict[str, str] = {}
    for model, version in stack.pins.items():
        pinned = by_model.get(model, {}).get(version)
        at: KeyPath = ("pins", model)
        if pinned is None:
            yield _at(ports, stack, at, f"pins {model} {version}, which does not exist")
            continue
        if pinned.component == "stack":
            yield _at(ports, stack, at, f"pins {model} {version}, which is a stack itself")
        if pinned.component in components:
            first = components[pinned.component]
            yield _at(
                ports, stack, at, f"pins two {pinned.component} releases, {first} and {model}"
            )
        components.setdefault(pinned.component, model)
        for partner, text in pinned.requires.items():
            beside = stack.pins.get(partner)
            if beside is None or not VersionRange.parse(text).holds(
                beside, tuple(by_model[partner])
            ):
                stack_pins = "does not pin it" if beside is None else f"pins {partner} {beside}"
                message = (
                    f"pins {model} {version}, which requires {partner} {text}, and {stack_pins}"
                )
                yield _at(ports, stack, at, message)


def _model_defects(
    ports: RegistryPorts,
    reading: LedgerReading,
    model: str,
    releases: Mapping[str, Release],
    *,
    artifacts: bool,
) -> Iterator[Defect]:
    """Yield what is wrong with a model's ledger, and with evidence and artifacts of its releases.

    An artifact that does not verify now is wrong; a download that is elsewhere is not.
    """
    for problem in reading.problems:
        yield Defect(
            source=f"events/{reading.source}",
            line=problem.line,
            message=problem.message,
            hint="docs/registry.md says what can be repaired",
        )
    evidence = cache(partial(evidence_digests, ports.releases, model))
    yield from _ledger_defects(ports, reading, model, releases, evidence)
    for release in releases.values():
        for key, digest in (("report", release.report), ("decision", release.decision)):
            if digest is not None and digest not in evidence(release.version):
                message = f"the {key} {digest} does not lie beside the release, or was changed"
                yield _at(ports, release, (key,), message)
    for release in releases.values() if artifacts else ():
        why = ports.artifacts.verify(release)
        if why is not None and not ports.artifacts.absent(release):
            yield _at(ports, release, ("artifact",), f"the artifact does not verify: {why}")


def _ledger_defects(
    ports: RegistryPorts,
    reading: LedgerReading,
    model: str,
    releases: Mapping[str, Release],
    evidence: Callable[[str], frozenset[str]],
) -> Iterator[Defect]:
    """Yield where a ledger and the releases disagree; nothing of one whose chain is broken."""
    if any(problem.code != "torn" for problem in reading.problems):
        return
    source = f"events/{reading.source}"
    events = reading.events
    state = state_of(model, events)
    versions = ports.releases.versions(model)
    first = {event.version: line for line, event in reversed([*enumerate(events, start=1)])}
    for version, digest in state.registered.items():
        release = releases.get(version)
        if version not in versions:
            message = (
                f"{version} is registered, and {ports.releases.source(model, version)} is gone"
            )
            yield Defect(source=source, line=first[version], message=message)
        elif release is not None and release.digest != digest:
            message = f"is not the release that was registered: it has digest {release.digest}"
            yield _at(ports, release, (), message)
    for version, release in releases.items():
        if version not in state.registered:
            hint = "finish it: relkit registry register with this file"
            yield _at(ports, release, (), "is in no ledger: it was never registered", hint=hint)
    for event in events:
        if (
            event.kind is EventKind.REGISTERED
            or event.decision is None
            or event.version not in versions
        ):
            continue
        if event.decision not in evidence(event.version):
            message = f"the decision {event.decision} of event {event.sequence} is not kept"
            hint = f"put it beside {ports.releases.source(model, event.version)}"
            yield Defect(source=source, line=event.sequence, message=message, hint=hint)


def _at(
    ports: RegistryPorts, release: Release, path: KeyPath, message: str, *, hint: str | None = None
) -> Defect:
    source = ports.releases.source(release.model, release.version)
    text = ports.releases.text(release.model, release.version)
    line = line_of(path, lines_of(text, source=source)) if path else None
    return Defect(source=source, line=line, message=message, hint=hint)


def validate(ports: RegistryPorts, *, artifacts: bool = True) -> RegistryValidation:
    """Return all that is wrong with all releases and ledgers; raises nothing for any of it.

    ``artifacts`` False leaves the files of artifacts unread.
    """
    models = _models(ports)
    by_model, unreadable = read_all(ports, models)
    defects = [*unreadable, *reference_defects(ports, by_model)]
    for model in models:
        reading = ports.ledger.read(model)
        defects += _model_defects(ports, reading, model, by_model[model], artifacts=artifacts)
    return RegistryValidation(
        releases=sum(len(ports.releases.versions(model)) for model in models),
        defects=tuple(sorted(defects, key=lambda defect: (defect.source, defect.line or 0))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRegistryOptions:
    """Which model's ledger to prove, None for all.

    ``repair`` first mends ledgers from what is certain, and the mirror from the ledger. ``record``
    notes what verified in the ledger, where nothing but the mirror is wrong, by whom (None: the
    actor). ``probe``
    is a finished run over the clips that a vendor's model was probed with when it was registered.
    """

    model: str | None = None
    repair: bool = False
    record: bool = False
    probe: str | None = None
    by: str | None = None


def verify_registry(options: VerifyRegistryOptions, ports: RegistryPorts) -> RegistryVerification:
    """Prove chains and digests; raises UsageError for an unknown model."""
    if options.probe is not None and options.model is None:
        raise UsageError("--probe needs the model that was probed", hint="name it: MODEL")
    probe = None if options.probe is None else ports.fingerprint(options.probe)
    proven, differing = _prove(ports, options.model, repair=options.repair)
    if probe is not None and options.model is not None:
        changed = probe_problems(options.model, probe, ports)
        proven = replace(proven, problems=(*proven.problems, *changed))
    if not options.record or len(proven.problems) > len(differing):
        return proven
    if proven.silent is not None or differing:  # it is told of them with all that it has missed
        ports = replace(ports, mirror=None)
    recorded = record_verified(ports, proven.models, entry=entry(ports, options.by))
    return replace(proven, recorded=recorded)


def _prove(
    ports: RegistryPorts, model: str | None, *, repair: bool
) -> tuple[RegistryVerification, tuple[str, ...]]:
    """Return what is wrong, and what of it is the mirror's; one that is silent is asked once."""
    models = _models(ports)
    if model is not None:
        if model not in models:
            ports.releases.read(model, "0")  # says which models there are
        models = (model,)
    problems: list[str] = []
    differing: list[str] = []
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
        by_model, defects = read_all(ports, (name,))
        releases = by_model[name]
        read = ports.ledger.read(name)
        problems += map(
            str, [*defects, *_model_defects(ports, read, name, releases, artifacts=True)]
        )
        unchecked += [
            f"{release.model} {release.version}: {ports.artifacts.verify(release)}"
            for release in releases.values()
            if ports.artifacts.absent(release)
        ]
        events += len(read.events)
        if ports.mirror is not None and (read.problems or defects):
            unchecked.append(
                f"{name}: what the mirror says, until the ledger and releases are whole"
            )
        elif ports.mirror is not None and silent is None:
            state = state_of(name, read.events)
            try:
                required = mirrored(ports, state)
                done = ports.mirror.repair(required) if repair else ()
                differing += ports.mirror.compare(required)
            except BackendUnavailable as error:
                silent = error
                continue
            repaired += done
    proven = RegistryVerification(
        models=models,
        events=events,
        problems=(*problems, *differing),
        repaired=tuple(repaired),
        unchecked=tuple(unchecked),
        mirror="skipped" if ports.mirror is None else "silent" if silent else "compared",
        silent=silent,
    )
    return proven, tuple(differing)


def record_verified(
    ports: RegistryPorts, models: tuple[str, ...], *, entry: Entry
) -> tuple[str, ...]:
    """Note in ledgers which releases without a gate verify now; return them, ``asr 1.0.0``.

    Only they need it: a rollback goes to what was imported only after a fresh verification. The
    mirror follows. Raises InvalidInput for a broken ledger, Busy where it has gone on meanwhile,
    BackendUnavailable where the mirror does not follow.
    """
    good = []
    for model in models:
        state = state_of(model, ports.ledger.events(model))
        before = state.sequence
        for version, attested in state.attested.items():
            if attested != "legacy" or version not in ports.releases.versions(model):
                continue
            release = ports.releases.read(model, version)
            same = release.digest == state.registered[version]
            if same and ports.artifacts.verify(release) is None:
                ports.ledger.append(plan_verified(state, version, entry), expected=state.sequence)
                state = state_of(model, ports.ledger.events(model))
                good.append(f"{model} {version}")
        if state.sequence > before:
            tell_mirror(ports, state)
    return tuple(good)


def _models(ports: RegistryPorts) -> tuple[str, ...]:
    return tuple(sorted({*ports.releases.models(), *ports.ledger.models()}))
