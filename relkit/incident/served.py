"""Which versions of which components there are, by ledgers or by telemetry, and the way back."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from relkit.core.codec import nearest
from relkit.core.errors import RelkitError, UsageError
from relkit.core.slices import OVERALL
from relkit.core.values import after, moment
from relkit.core.wording import duration
from relkit.core.yaml_text import shown
from relkit.incident.blame import holders
from relkit.incident.ports import IncidentTurns
from relkit.incident.signals import STACK, TELEMETRY_NAMES
from relkit.incident.types import BIN_S, IncidentCounts, ReleaseColumn, TriageReport
from relkit.registry.types import Release, ReleaseEvent
from relkit.rollback.run import RollbackOptions, RollbackPorts, plan_rollback
from relkit.rollback.types import Refused

_RELEASE = "release_"
_SOONEST_CONTRADICTION_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerModel:
    """A model of the registry that is a component, with its ledger."""

    model: str
    component: str
    events: tuple[ReleaseEvent, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """The versions, in the order in which they first had traffic, then as registered."""
        served = [e.version for e in self.events if e.traffic or e.kind.value == "promoted"]
        return tuple(dict.fromkeys([*served, *(event.version for event in self.events)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageLedgers:
    """Components with their ledgers; ``stacks`` has the pins of each version of a stack."""

    models: tuple[LedgerModel, ...] = ()
    stacks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_ledgers(name: str | None, registry: RollbackPorts | None) -> TriageLedgers:
    """Return the models to look at: all there are, a component, or what a stack pins."""
    if registry is None:
        if name is not None:
            raise UsageError(
                f'no model "{shown(name)}": there is no workspace here',
                hint="leave MODEL out, or name the workspace: --workspace DIR",
            )
        return TriageLedgers()
    every = registry.ledger.models()
    if name is not None and name not in every:
        raise UsageError(
            f'no model "{shown(name)}" in the registry',
            hint=nearest(name, every) or "leave MODEL out: every model is looked at",
        )
    models: dict[str, LedgerModel] = {}
    stacks: dict[str, Mapping[str, str]] = {}
    waiting = list(every if name is None else (name,))
    while waiting:
        model = waiting.pop(0)
        events = registry.ledger.events(model)
        release = _newest(model, events, registry)
        if release is None or model in models:
            continue
        if release.component == "stack":
            waiting += [pin for pin in release.pins if pin in every]
            for version in dict.fromkeys(event.version for event in events):
                pinned = _read(model, version, registry)
                if pinned is not None:
                    stacks[version] = pinned.pins
            continue
        component = TELEMETRY_NAMES.get(release.component, release.component)
        models[model] = LedgerModel(model=model, component=component, events=events)
    return TriageLedgers(models=tuple(models.values()), stacks=stacks)


def _read(model: str, version: str, registry: RollbackPorts) -> Release | None:
    """Return the record of a release, None where it cannot be read."""
    try:
        return registry.releases.read(model, version)
    except RelkitError:
        return None


def _newest(model: str, events: Sequence[ReleaseEvent], registry: RollbackPorts) -> Release | None:
    """Return the newest release whose record can be read."""
    read = (_read(model, event.version, registry) for event in reversed(events))
    return next((release for release in read if release is not None), None)


def release_columns(
    turns: IncidentTurns, ledgers: TriageLedgers, end: int
) -> dict[str, ReleaseColumn]:
    """Return where the versions of each component stand, in the order of the ledger.

    ``end`` is the second up to which turns count. Versions that no ledger has come where they first
    appear. Where turns name a release of a stack alone, its pins say what that is of each
    component.
    """
    columns = {
        name.removeprefix(_RELEASE): name for name in turns.attributes if name.startswith(_RELEASE)
    }
    models = ledgers.models
    if not columns and "release" in turns.attributes:
        seen = turns.versions("release", before=end)
        if any(version in ledgers.stacks for version in seen):
            return {model.component: _pinned(model, seen, ledgers.stacks) for model in models}
        component = models[0].component if len(models) == 1 else STACK
        columns = {component: "release"}
    by_component: dict[str, ReleaseColumn] = {}
    for component, column in sorted(columns.items()):
        seen = turns.versions(column, before=end)
        order = next((m.order for m in models if m.component == component), ())
        by_component[component] = ReleaseColumn(column=column, order=_merged(order, seen))
    return by_component


def _pinned(
    model: LedgerModel, seen: Sequence[str], stacks: Mapping[str, Mapping[str, str]]
) -> ReleaseColumn:
    """Return the versions of a component by those of the stack that pinned them."""
    versions = {
        stack: stacks[stack][model.model] for stack in seen if model.model in stacks.get(stack, {})
    }
    return ReleaseColumn(
        column="release",
        order=_merged(model.order, tuple(dict.fromkeys(versions.values()))),
        versions=versions,
    )


def _merged(order: Sequence[str], seen: Sequence[str]) -> tuple[str, ...]:
    """Return the versions that were seen: in ledger order, unknown ones after their predecessor."""
    merged = [version for version in order if version in seen]
    for i, version in enumerate(seen):
        if version not in merged:
            before = seen[i - 1] if i else None
            merged.insert(merged.index(before) + 1 if before in merged else 0, version)
    return tuple(merged)


def contradiction_of(
    counts: IncidentCounts,
    models: Sequence[LedgerModel],
    component: str,
    version: str,
) -> str | None:
    """Return how a ledger contradicts the telemetry about a release that is to blame."""
    model = next((m for m in models if m.component == component), None)
    if model is None:
        return None
    column = counts.releases[component]
    place = column.names.index(version)
    first = int(counts.bins[column.codes == place].min())
    at = after(counts.start, (first + 1) * BIN_S)
    what = f"the ledger of {model.model} contradicts the telemetry"
    if version not in {event.version for event in model.events}:
        return f"{what}: it does not know {version}, which had traffic"
    served = [
        event.at for event in model.events if event.version == version and _has_traffic(event)
    ]
    if not served:
        return f"{what}: by it {version} never had traffic"
    early = (moment(min(served)) - moment(at)).total_seconds()
    if early > _SOONEST_CONTRADICTION_S:
        return f"{what}: {version} had traffic {duration(early)} before the ledger gave it any"
    return None


def _has_traffic(event: ReleaseEvent) -> bool:
    if event.kind.value in {"promoted", "rolled_back"}:
        return True
    return event.kind.value == "canary" and bool(event.traffic)


def with_target(
    report: TriageReport,
    counts: IncidentCounts,
    models: Sequence[LedgerModel],
    registry: RollbackPorts | None,
) -> TriageReport:
    """Return a report with where to go back to; without blame there is no target."""
    component, version = report.component, report.first_bad
    if report.verdict != "release" or component is None or version is None:
        return report
    model = next((m for m in models if m.component == component), None)
    if model is None or registry is None:
        names = counts.releases[component].names
        held = holders(counts, component)
        earlier = [name for name in names[: names.index(version)] if name in held]
        return replace(report, target=earlier[-1] if earlier else None)
    cell = None if report.slice == OVERALL else report.slice
    options = RollbackOptions(model=model.model, bad=(version,), slice=cell)
    command = f"relkit rollback {model.model} --bad {version}"
    if cell is not None:
        command += f" --slice {shlex.quote(cell)}"
    try:
        planned = plan_rollback(options, registry)
    except RelkitError as error:
        refused = Refused(version=version, code="plan", reason=error.message)
        return replace(report, refused=(refused,), command=command)
    target = planned.target
    return replace(
        report,
        target=target.target,
        target_verified=target.target is not None,
        refused=target.refused,
        command=f"{command} --apply" if target.target is not None else command,
    )
