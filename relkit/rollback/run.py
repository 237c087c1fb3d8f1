"""Going back: plan from the ledger and what lies here, then, if asked, one event and one alias."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from relkit.core.codec import nearest
from relkit.core.errors import BackendUnavailable, Busy, InvalidInput, RelkitError, UsageError
from relkit.core.slices import is_pattern, normal_slice
from relkit.core.yaml_text import shown
from relkit.registry.ledger import Entry, plan_rolled_back, state_of
from relkit.registry.ports import ArtifactStore, ReleaseLedger, ReleaseStore
from relkit.registry.types import EventKind, Release, ReleaseEvent
from relkit.rollback.compatibility import Running
from relkit.rollback.history import History, ServedModel, served_now, stack_services
from relkit.rollback.target import (
    SIGN,
    Move,
    RollbackPlan,
    already_there,
    model_target,
    move,
)
from relkit.rollback.types import Applied, Question, StackService
from relkit.rollback.view import worded_stack_target, worded_target

if TYPE_CHECKING:
    from relkit.core.ports import Clock


REPAIR = "relkit registry verify --repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPorts:
    """What a rollback needs; ``actor`` is who acts where nobody was named.

    ``mirror`` moves the aliases of a model that serving systems read to where its ledger has them
    and raises BackendUnavailable; None where none is configured.
    """

    releases: ReleaseStore
    ledger: ReleaseLedger
    artifacts: ArtifactStore
    clock: "Clock"
    actor: str = "unknown"
    mirror: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """What was asked for; ``bad`` empty: what is live. ``apply`` goes there, by whom and why."""

    model: str
    bad: tuple[str, ...] = ()
    to: str | None = None
    slice: str | None = None
    apply: bool = False
    by: str | None = None
    reason: str | None = None


def rollback(options: RollbackOptions, ports: RollbackPorts) -> tuple[RollbackPlan, Applied]:
    """Return where to go back to, and what was appended where the plan was to be applied.

    Raises what :func:`plan_rollback` and :func:`apply` raise.
    """
    planned = plan_rollback(options, ports)
    if not options.apply:
        return planned, Applied()
    return planned, apply(
        planned,
        ports,
        by=(options.by or ports.actor).strip(),
        reason=options.reason or f"rollback of {', '.join(planned.target.bad)}",
        named=bool(options.bad),
    )


def plan_rollback(options: RollbackOptions, ports: RollbackPorts) -> RollbackPlan:
    """Return where to go back to; nothing is changed.

    Raises UsageError for an unknown model, version or slice, InvalidInput for a broken ledger of
    any model: what is running could not be told.
    """
    registry = _Registry(ports)
    if options.model not in registry.histories:
        raise UsageError(
            f'no model "{shown(options.model)}" in the registry',
            hint=nearest(options.model, tuple(registry.histories))
            or "relkit registry register RELEASE",
        )
    slice_ = None if options.slice is None else _failing_slice(options.slice)
    model = registry.served_model(options.model)
    question = Question(now=ports.clock.now(), bad=options.bad, to=options.to, slice=slice_)
    parts = registry.parts(model)
    _refuse_unknown(options, model, parts or {})
    moves: tuple[Move, ...] = ()
    if parts is None:
        answer = model_target(model, question)
        target = worded_target(model, question, answer)
        if answer.target is not None and not already_there(model, answer):
            moves = (move(model, answer.target.version, answer.bad),)
    else:
        from relkit.rollback.stack import stack_moves, stack_target  # noqa: PLC0415 - only for one

        target = worded_stack_target(model, parts, question, stack_target(model, parts, question))
        moves = tuple(stack_moves(model, parts, target))
    serving = model.history.serving
    rolled = serving is not None and serving.kind is EventKind.ROLLED_BACK
    return RollbackPlan(target=target, moves=moves, by_rollback=serving if rolled else None)


def _failing_slice(text: str) -> str:
    try:
        normal = normal_slice(text)
    except ValueError as error:
        hint = str(error.args[-1])
        raise UsageError(f'--slice "{shown(text)}" {error.args[0]}', hint=hint) from error
    if is_pattern(normal):
        raise UsageError(
            f'--slice "{shown(text)}" stands for several slices', hint="name the one that fails"
        )
    return normal


def _refuse_unknown(
    options: RollbackOptions, model: ServedModel, parts: Mapping[str, ServedModel]
) -> None:
    """Raise UsageError for versions that nobody knows, InvalidInput where what is live is one."""
    versions = []
    for label in options.bad:
        name, sign, version = label.partition(SIGN)
        part = parts.get(name) if sign else None
        versions.append(("--bad", part or model, version if part else label))
    if options.to is not None and options.to not in model.unlisted:
        versions.append(("--to", model, options.to))
    for option, owner, version in versions:
        if version not in owner.history.places:
            raise UsageError(
                f'{option}: the ledger of {owner.name} knows no version "{shown(version)}"',
                hint=nearest(version, owner.history.order)
                or f"relkit registry history {owner.name}",
            )
    if not options.bad and model.live is not None and model.live not in model.history.places:
        raise InvalidInput(
            f"{model.name} {model.live} is live in a stack, and the ledger of {model.name} "
            "does not know it",
            hint="register it, or say what is bad: --bad VERSION",
        )


class _Registry:
    """Every ledger, and the records that are needed, each read once."""

    def __init__(self, ports: RollbackPorts) -> None:
        """Read every ledger; raises InvalidInput for a broken one."""
        self._ports = ports
        self.read = cache(self._read)
        models = sorted({*ports.releases.models(), *ports.ledger.models()})
        self.histories = {model: History(model, ports.ledger.events(model)) for model in models}

    def _read(self, model: str, version: str) -> Release | str:
        try:
            return self._ports.releases.read(model, version)
        except (InvalidInput, UsageError) as error:
            return f"its record cannot be read: {error.message}"

    @cached_property
    def served(self) -> Mapping[str, str]:
        """Model to the version that is live."""
        return served_now(self.histories, self.read)

    @cached_property
    def services(self) -> Mapping[tuple[str, str], StackService]:
        """(component, version) to its service in a stack; read where a ledger does not do."""
        return stack_services(self.histories, self.read)

    def served_model(self, name: str) -> ServedModel:
        """Return a model; raises InvalidInput where what runs beside it cannot be told."""
        history = self.histories.get(name, History(name))
        partners: dict[str, Release] = {}
        for partner, version in self.served.items():
            if partner == name:
                continue
            release = self.read(partner, version)
            if isinstance(release, str):
                raise InvalidInput(
                    f"what runs beside {name} cannot be told: {partner} {version}: {release}",
                    hint="put its record back: git checkout registry/releases",
                )
            partners[partner] = release
        return ServedModel(
            history=history,
            release=partial(self.read, name),
            verify=self._ports.artifacts.verify,
            live=self.served.get(name),
            running=Running(
                partners=partners, orders={n: h.order for n, h in self.histories.items()}
            ),
            in_stack=lambda version: self.services.get((name, version)),
            unlisted=tuple(
                version
                for version in self._ports.releases.versions(name)
                if version not in history.places
            ),
        )

    def parts(self, model: ServedModel) -> dict[str, ServedModel] | None:
        """Return each component of a live stack, None for what is no stack."""
        version = model.live or (model.history.order[-1] if model.history.order else None)
        release = None if version is None else model.release(version)
        if not isinstance(release, Release) or release.component != "stack":
            return None
        return {name: self.served_model(name) for name in release.pins}


def apply(
    planned: RollbackPlan, ports: RollbackPorts, *, by: str, reason: str, named: bool = True
) -> Applied:
    """Append the events of a plan, then move the aliases.

    ``named`` says that the bad versions were named and not supposed. Raises Busy where a ledger
    went on since the plan was made, BackendUnavailable where the mirror did not answer: the event
    is safe then.
    """
    if not planned.moves:
        return Applied()
    if not named and planned.by_rollback is not None:
        event = planned.by_rollback
        raise UsageError(
            f"{event.version} is live since the rollback at {event.at}: going back once more has "
            "to be meant",
            hint=f"say what is bad: relkit rollback {event.model} --bad {event.version} --apply",
        )
    entry = Entry(at=ports.clock.now(), by=by, reason=reason)
    done: list[ReleaseEvent] = []
    for step in planned.moves:
        event = plan_rolled_back(
            state_of(step.model, step.history.events),
            step.version,
            entry,
            bad=step.bad,
            failing_slice=planned.target.slice,
            attested=planned.target.attested,
        )
        event = replace(event, from_version=step.from_version)  # a stack or canary may have served
        try:
            done.append(ports.ledger.append(event, expected=step.history.sequence))
        except RelkitError as error:
            before = "".join(f"{event.model} went back to {event.version}; " for event in done)
            raise _with_message(
                error,
                f"{before}{step.model} was not rolled back: {error.message}",
                hint=f"plan again: relkit rollback {step.model}",
            ) from error
    if ports.mirror is None:
        return Applied(events=tuple(done))
    for event in done:
        try:
            ports.mirror(event.model)
        except RelkitError as error:
            raise _with_message(
                error,
                f"the rollback of {event.model} to {event.version} is recorded (event "
                f"{event.sequence}), and the alias was not moved: {error.message}",
                hint=f"nothing is lost; finish it: {REPAIR}",
            ) from error
    return Applied(events=tuple(done), mirrored=True)


def _with_message(error: RelkitError, message: str, *, hint: str) -> RelkitError:
    """Return an error of the same kind, and so the same exit code, that says where things stand."""
    kinds = (BackendUnavailable, Busy, UsageError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), InvalidInput)
    return kind(message, hint=hint)
