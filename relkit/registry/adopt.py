"""``relkit registry import``: what another registry has, as releases and events without a gate."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown
from relkit.registry.ledger import Entry, plan_promoted, plan_registered, state_of
from relkit.registry.mirror import VERSION, entry, record
from relkit.registry.ports import RegistryPorts
from relkit.registry.release_files import sealed
from relkit.registry.types import (
    MODEL_NAME,
    VERSION_NAME,
    Artifact,
    Component,
    ImportedModel,
    LegacyModel,
    LegacyVersion,
    Origin,
    Release,
)

COMPONENTS: tuple[Component, ...] = ("asr", "llm", "tts", "retriever", "safety")
_LIVE = ("champion", "production", "prod", "live")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_SOURCE = 300


class LegacyRegistry(Protocol):
    """An existing registry."""

    def legacy(self, names: Sequence[str] | None) -> Mapping[str, LegacyModel]:
        """Return models (None: all of them) by name.

        A model that does not exist has no entry; raises BackendUnavailable.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRegistryOptions:
    """The registry to import, by kind and address (None: as its client finds it).

    No ``models``: all of them. ``component`` None: tags say it. ``by`` None: the actor.
    """

    kind: str
    models: tuple[str, ...] = ()
    registry_uri: str | None = None
    component: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPorts:
    """What an import needs.

    ``locate`` gives the path inside the workspace of an address of files, None where it leads
    elsewhere.
    """

    legacy: LegacyRegistry
    registry: RegistryPorts
    locate: Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One import: no mirror is told of it."""

    ports: RegistryPorts
    locate: Callable[[str], str | None]
    entry: Entry
    kind: str
    component: Component | None


def import_registry(
    options: ImportRegistryOptions, ports: ImportPorts
) -> tuple[ImportedModel, ...]:
    """Bring in the versions of models (none named: of all), oldest first.

    The ledger is written and no mirror is told. Everything that is there already stays as it is, so
    that the same again finishes what a kill cut short. Raises UsageError for an unknown model,
    BackendUnavailable, and InvalidInput for two models that would share a name or a broken ledger.
    """
    if options.kind != "mlflow":
        raise UsageError(
            f'no registry of the kind "{options.kind}" can be imported', hint="use mlflow"
        )
    component = next((name for name in COMPONENTS if name == options.component), None)
    if options.component is not None and component is None:
        raise UsageError(
            f'"{options.component}" is no component', hint=f"one of {', '.join(COMPONENTS)}"
        )
    legacy = ports.legacy.legacy(tuple(dict.fromkeys(options.models)) or None)
    for name in options.models:
        if name not in legacy:
            raise UsageError(f'{options.kind} has no registered model "{shown(name)}"')
    models: dict[str, str] = {}
    for name in legacy:
        model = _NOT_IN_NAME.sub("-", name).strip("-._")
        if not re.fullmatch(MODEL_NAME, model):
            raise InvalidInput(f'the name of the model "{shown(name)}" has nothing relkit can use')
        if model in models.values():
            raise InvalidInput(
                f'two models of {options.kind} would both be "{model}" here',
                hint="import one of them: --model NAME",
            )
        models[name] = model
    task = _Task(
        ports=replace(ports.registry, mirror=None),
        locate=ports.locate,
        entry=entry(ports.registry, options.by),
        kind=options.kind,
        component=component,
    )
    return tuple(_import(name, models[name], legacy[name], task) for name in legacy)


def _import(name: str, model: str, legacy: LegacyModel, task: _Task) -> ImportedModel:
    registered, unchanged, unverifiable = [], [], []
    notes = [] if name == model else [f"it is called {model} here"]
    conflicts: list[str] = []
    usable = []
    for version in legacy.versions:
        if VERSION in version.tags:
            notes.append(f"{version.number} is {version.tags[VERSION]} of relkit's own")
            continue
        if not re.fullmatch(VERSION_NAME, version.number):
            conflicts.append(
                f'the version "{shown(version.number)}" is no name that relkit can use'
            )
            continue
        release, why = _release(model, version, task)
        if why is not None:
            unverifiable.append(version.number)
            notes.append(f"{version.number} cannot be verified: {why}")
        state = state_of(model, task.ports.ledger.events(model))
        registered_digest = state.registered.get(version.number)
        if registered_digest is not None and registered_digest != release.digest:
            conflicts.append(
                f"{version.number} is registered with another digest: it stays as it is"
            )
            continue
        usable.append(version)
        task.ports.releases.write(release)
        reason = f"imported: version {version.number} of {task.kind}, made {version.created}"
        planned = plan_registered(state, release, replace(task.entry, reason=reason))
        if planned is None:
            unchanged.append(version.number)
            continue
        record(task.ports, planned)
        registered.append(version.number)
    if any(_component(version, task) is None for version in usable):
        notes.append("nothing says which component it is: taken for asr (--component)")
    notes += _serve(model, replace(legacy, versions=tuple(usable)), task)
    numbers = {version.number for version in legacy.versions}
    notes += [
        f"the alias {shown(alias)} names version {shown(number)}, which was deleted"
        for alias, number in sorted(legacy.aliases.items())
        if number not in numbers
    ]
    state = state_of(model, task.ports.ledger.events(model))
    return ImportedModel(
        name=name,
        model=model,
        registered=tuple(registered),
        unchanged=tuple(unchanged),
        unverifiable=tuple(unverifiable),
        live=state.live,
        previous=state.previous,
        notes=tuple(notes),
        conflicts=tuple(conflicts),
    )


def _release(model: str, version: LegacyVersion, task: _Task) -> tuple[Release, str | None]:
    """Return a release of what is known, and why it cannot be verified, if it cannot."""
    artifact, why = None, None
    root = task.locate(version.location)
    if root is None:
        where = _plain_address(version.location or version.source) or "an address nobody gave"
        why = f"its files are not in this workspace ({where})"
    else:
        try:
            folder, files, digest = task.ports.artifacts.listing(root)
            artifact = Artifact(digest=digest, root=folder, files=files)
        except InvalidInput as error:
            why = error.message
    source = _plain_address(version.source)
    return sealed(
        Release(
            model=model,
            version=version.number,
            component=_component(version, task) or "asr",
            kind="files",
            digest="",
            created=version.created,
            artifact=artifact,
            attested="legacy",
            origin=Origin(
                registry=task.kind,
                version=version.number,
                source=source[:_LONGEST_SOURCE] or None,
                run=version.run,
            ),
        )
    ), why


def _component(version: LegacyVersion, task: _Task) -> Component | None:
    tag = version.tags.get("relkit.component") or version.tags.get("component")
    return task.component or next((name for name in COMPONENTS if name == tag), None)


def _plain_address(text: str) -> str:
    """Return an address without user, password and query, which may be secrets, on one line."""
    head = text.partition("?")[0]
    parts = urlsplit(head) if "://" in head else None
    if parts is not None and "@" in parts.netloc:
        head = head.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)
    if head.startswith(("file:", "/")):  # a folder of some machine is nobody's business
        head = f"file:…/{head.rstrip('/').rpartition('/')[2]}"
    return "".join(char if char.isprintable() else "?" for char in head).strip()


def _serve(model: str, legacy: LegacyModel, task: _Task) -> Iterator[str]:
    """Record what the other registry says is served; yield what it does not say."""
    served = _served(legacy)
    state = state_of(model, task.ports.ledger.events(model))
    done = [span.version for span in state.served]
    if not served:
        aliases = sorted(legacy.aliases.items())
        there = ", ".join(f"{shown(alias)} ({shown(number)})" for alias, number in aliases)
        yield (
            "nothing says which version is served: no alias champion, no stage Production; "
            f"its aliases: {there or 'none'}"
        )
    elif done != served[: len(done)]:
        if state.live != served[-1]:
            yield (
                f"{task.kind} serves {served[-1]}, and the ledger says {state.live}: "
                "what is served is promoted here now"
            )
    else:
        for name in served[len(done) :]:
            note = replace(task.entry, reason=f"imported: served as {task.kind} says")
            state = state_of(model, task.ports.ledger.events(model))
            planned = plan_promoted(state, name, note, decision=None, attested="legacy")
            record(task.ports, planned)
        yield "since when each was served is not known: the ledger begins with the import"
    for version in legacy.versions:
        named = [
            alias
            for alias, number in sorted(legacy.aliases.items())
            if number == version.number and alias.casefold() in {"candidate", "challenger"}
        ]
        number = version.number
        if named or version.stage == "Staging":
            what = named[0] if named else "in Staging"
            yield f"{number} is {what}: which share it has is not known, so it is no canary"
        if version.stage == "Archived":
            yield f"{number} is Archived: whether it was ever served is not known"


def _served(legacy: LegacyModel) -> list[str]:
    """Return the versions that were served, in order, the live one last.

    Names are compared without case; of two that differ by case alone, the one in small letters.
    """
    numbers = [version.number for version in legacy.versions]
    staged = [version.number for version in legacy.versions if version.stage == "Production"]
    named = {
        alias.casefold(): number
        for alias, number in sorted(legacy.aliases.items())
        if number in numbers
    }
    previous = [named["previous"]] if "previous" in named else []
    live = next((named[alias] for alias in _LIVE if alias in named), None)
    if live is None and not staged:
        return []  # what was there before nobody knows what came after it
    order = [*staged, *previous, *([] if live is None else [live])]
    if live is None:
        order = [*previous, *staged]
    return list(reversed(dict.fromkeys(reversed(order))))
