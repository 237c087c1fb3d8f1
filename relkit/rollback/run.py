"""Going back: plan from the ledger and what lies here, then, if asked, one event and one alias.

How a rollback is shown: JSON for programs, text for people.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from relkit.core.codec import encode, nearest
from relkit.core.digests import JsonValue
from relkit.core.errors import BackendUnavailable, Busy, InvalidInput, RelkitError, UsageError
from relkit.core.slices import is_pattern, normal_slice
from relkit.core.wording import safe
from relkit.core.yaml_text import shown
from relkit.registry.ledger import Entry, plan_rolled_back, state_of
from relkit.registry.ports import ArtifactStore, ReleaseLedger, ReleaseStore
from relkit.registry.types import EventKind, Refused, Release, ReleaseEvent, RollbackTarget
from relkit.rollback.compatibility import Running
from relkit.rollback.history import History
from relkit.rollback.refusals import Question, Shelf
from relkit.rollback.target import SIGN, Stacks, already_there, plan_rollback, served_now

if TYPE_CHECKING:
    from relkit.core.ports import Clock


REPAIR = "relkit registry verify --repair"


class Ledger(ReleaseLedger, Protocol):
    """What happened to releases, and of which models."""

    def models(self) -> tuple[str, ...]:
        """Return the models that have a ledger."""
        ...


class Mirror(Protocol):
    """The aliases that serving systems read."""

    def point(
        self, model: str, *, champion: str, previous: str | None, expected: str | None
    ) -> None:
        """Move the aliases; raises BackendUnavailable, InvalidInput where it is not ``expected``.

        ``expected`` is the version that ``champion`` should name before; ``previous`` None leaves
        that alias as it is.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPorts:
    """What a rollback needs; ``mirror`` is None where none is configured.

    ``actor`` is who acts where nobody was named.
    """

    releases: ReleaseStore
    ledger: Ledger
    artifacts: ArtifactStore
    clock: "Clock"
    actor: str = "unknown"
    mirror: Mirror | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One event that a plan would append to a ledger as it was when planned."""

    history: History
    version: str
    from_version: str | None
    live: str | None
    bad: tuple[str, ...]

    @property
    def model(self) -> str:
        """The model that goes back."""
        return self.history.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A target and the events it takes; none where there is nothing to move, or no target.

    ``by_rollback`` is the event that made live what is live, where that was a rollback.
    """

    target: RollbackTarget
    moves: tuple[Move, ...] = ()
    by_rollback: ReleaseEvent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The events that were appended, and whether a mirror was told."""

    events: tuple[ReleaseEvent, ...] = ()
    mirrored: bool = False


@dataclass(slots=True)
class _Registry:
    """Everything that is known, read when needed and once."""

    ports: RollbackPorts
    _read: dict[tuple[str, str], Release | str] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    stacks: Stacks = field(init=False)

    def __post_init__(self) -> None:
        """Read every ledger; raises InvalidInput for a broken one."""
        releases, ledger = self.ports.releases, self.ports.ledger
        for model in sorted({*releases.models(), *ledger.models()}):
            self.histories[model] = History(model, ledger.events(model))
        self.stacks = Stacks(self.histories, self.read)

    def read(self, model: str, version: str) -> Release | str:
        """Return a record, or why it cannot be read."""
        key = (model, version)
        if key not in self._read:
            try:
                self._read[key] = self.ports.releases.read(model, version)
            except (InvalidInput, UsageError) as error:
                self._read[key] = f"its record cannot be read: {error.message}"
        return self._read[key]


def rollback(options: RollbackOptions, ports: RollbackPorts) -> tuple[Plan, Applied]:
    """Return where to go back to, and what was appended where the plan was to be applied.

    Raises what :func:`plan` and :func:`apply` raise.
    """
    with _no_collection():
        planned = plan(options, ports)
    if not options.apply:
        return planned, Applied()
    return planned, apply(
        planned,
        ports,
        by=(options.by or ports.actor).strip(),
        reason=options.reason or f"rollback of {', '.join(planned.target.bad)}",
        named=bool(options.bad),
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: a plan makes thousands of events, and all of them stay."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def plan(options: RollbackOptions, ports: RollbackPorts) -> Plan:
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
    served = served_now(registry.histories, registry.read)
    slice_ = _slice(options.slice)
    shelf = _shelf(registry, options.model, served)
    question = Question(now=ports.clock.now(), bad=options.bad, to=options.to, slice=slice_)
    parts = _parts(registry, options.model, served)
    _check(options, shelf, parts)
    moves: tuple[Move, ...] = ()
    if parts is None:
        target = plan_rollback(shelf, question)
        if target.target is not None and not already_there(shelf, target):
            moves = (_move(shelf, target.target, target.bad),)
    else:
        from relkit.rollback.stack import plan_stack_rollback  # noqa: PLC0415 - only stacks pay

        target = plan_stack_rollback(shelf, parts, question)
        moves = _stack_moves(shelf, parts, target)
    serving = shelf.history.serving
    rolled = serving is not None and serving.kind is EventKind.ROLLED_BACK
    return Plan(target=target, moves=moves, by_rollback=serving if rolled else None)


def _slice(text: str | None) -> str | None:
    if text is None:
        return None
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


def _shelf(registry: _Registry, model: str, served: Mapping[str, str]) -> Shelf:
    history = registry.histories.get(model, History(model))
    partners: dict[str, Release] = {}
    for name, version in served.items():
        if name == model:
            continue
        release = registry.read(name, version)
        if isinstance(release, str):
            raise InvalidInput(
                f"what runs beside {model} cannot be told: {name} {version}: {release}",
                hint="put its record back: git checkout registry/releases",
            )
        partners[name] = release
    known = set(history.order)
    return Shelf(
        history=history,
        release=partial(registry.read, model),
        verify=registry.ports.artifacts.verify,
        live=served.get(model),
        running=Running(
            partners=partners, orders={n: h.order for n, h in registry.histories.items()}
        ),
        lent=partial(registry.stacks.lent, model),
        unlisted=tuple(v for v in registry.ports.releases.versions(model) if v not in known),
    )


def _parts(registry: _Registry, model: str, served: Mapping[str, str]) -> dict[str, Shelf] | None:
    """Return a shelf per component of a live stack, None for what is no stack."""
    order = registry.histories[model].order
    version = served.get(model) or (order[-1] if order else None)
    release = None if version is None else registry.read(model, version)
    if not isinstance(release, Release) or release.component != "stack":
        return None
    return {name: _shelf(registry, name, served) for name in release.pins}


def _check(options: RollbackOptions, shelf: Shelf, parts: Mapping[str, Shelf] | None) -> None:
    """Refuse versions that nobody knows."""
    for version in options.bad:
        name, sign, inner = version.partition(SIGN)
        if parts is not None and sign and name in parts:
            _known(inner, parts[name].history, "--bad")
        else:
            _known(version, shelf.history, "--bad")
    if options.to is not None and options.to not in shelf.unlisted:
        _known(options.to, shelf.history, "--to")
    if not options.bad and shelf.live is not None and shelf.live not in shelf.history.places:
        raise InvalidInput(
            f"{options.model} {shelf.live} is live in a stack, and the ledger of {options.model} "
            "does not know it",
            hint="register it, or say what is bad: --bad VERSION",
        )


def _known(version: str, history: History, option: str) -> None:
    if version not in history.places:
        raise UsageError(
            f'{option}: the ledger of {history.model} knows no version "{shown(version)}"',
            hint=nearest(version, history.order) or f"relkit registry history {history.model}",
        )


def _move(shelf: Shelf, version: str, bad: tuple[str, ...]) -> Move:
    canary = next((one for one in bad if one in shelf.history.shares), None)
    return Move(
        history=shelf.history,
        version=version,
        from_version=canary if version == shelf.live else shelf.live,
        live=shelf.live,
        bad=bad,
    )


def _stack_moves(
    stack: Shelf, parts: Mapping[str, Shelf], target: RollbackTarget
) -> tuple[Move, ...]:
    if target.target is None or target.target == stack.live:
        return ()
    if target.target in stack.history.places:
        bad = tuple(one for one in target.bad if one in stack.history.places)
        live = () if stack.live is None else (stack.live,)
        return (_move(stack, target.target, bad or live),)
    return tuple(
        _move(parts[name], version, _removed(parts[name], name, target))
        for name, version in target.revert.items()
    )


def _removed(part: Shelf, name: str, target: RollbackTarget) -> tuple[str, ...]:
    """Return the bad releases of a component: those named, else what runs."""
    named = tuple(one.partition(SIGN)[2] for one in target.bad if one.partition(SIGN)[0] == name)
    return named or (() if part.live is None else (part.live,))


def apply(
    planned: Plan, ports: RollbackPorts, *, by: str, reason: str, named: bool = True
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
    for move in planned.moves:
        event = _event(planned, move, entry)
        done.append(_append(event, move, ports.ledger, done))
    if ports.mirror is None:
        return Applied(events=tuple(done))
    for move, written in zip(planned.moves, done, strict=True):
        _point(ports.mirror, move, written)
    return Applied(events=tuple(done), mirrored=True)


def _event(planned: Plan, move: Move, entry: Entry) -> ReleaseEvent:
    event = plan_rolled_back(
        state_of(move.model, move.history.events),
        move.version,
        entry,
        bad=move.bad,
        failing_slice=planned.target.slice,
        attested=planned.target.attested,
    )
    return replace(event, from_version=move.from_version)  # a stack or a canary may have served it


def _append(
    event: ReleaseEvent, move: Move, ledger: Ledger, done: list[ReleaseEvent]
) -> ReleaseEvent:
    try:
        return ledger.append(event, expected=move.history.sequence)
    except RelkitError as error:
        before = "".join(f"{one.model} went back to {one.version}; " for one in done)
        again = "plan again: relkit rollback " + move.model
        raise _same(
            error, f"{before}{move.model} was not rolled back: {error.message}", again
        ) from error


def _point(mirror: Mirror, move: Move, event: ReleaseEvent) -> None:
    previous = None if move.version == move.live else move.live
    try:
        mirror.point(move.model, champion=move.version, previous=previous, expected=move.live)
    except RelkitError as error:
        raise _same(
            error,
            f"the rollback of {move.model} to {move.version} is recorded (event "
            f"{event.sequence}), and the alias was not moved: {error.message}",
            f"nothing is lost; finish it: {REPAIR}",
        ) from error


def _same(error: RelkitError, message: str, hint: str) -> RelkitError:
    """Return an error of the same kind, and so the same exit code, that says where things stand."""
    kinds = (BackendUnavailable, Busy, UsageError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), InvalidInput)
    return kind(message, hint=hint)


_SHOWN = 12
"""Refused releases that the terminal shows; ``--json`` has all."""


def rollback_json(planned: Plan, done: Applied) -> dict[str, JsonValue]:
    """Return the document of ``--json``."""
    target = planned.target
    return {
        **encode(target),
        "already": target.target is not None and not planned.moves,
        "applied": bool(done.events),
        "events": [
            {
                "model": event.model,
                "sequence": event.sequence,
                "version": event.version,
                "digest": event.digest,
            }
            for event in done.events
        ],
        "mirrored": done.mirrored,
    }


def rollback_lines(planned: Plan, done: Applied) -> str:
    """Return the text for people; whatever came from data cannot steer the terminal."""
    target = planned.target
    lines = [_headline(planned, done)]
    lines += _block("evidence", target.evidence)
    if target.alternatives:
        sets = [
            ", ".join(f"{name} {version}" for name, version in sorted(one.items()))
            for one in target.alternatives
        ]
        lines += _block("next best (artifacts not verified yet)", sets)
    lines += _block("refused", _refusals(target.refused))
    lines += _block("plan", target.steps)
    lines += _block("checklist", [f"[ ] {line}" for line in target.checklist])
    return "\n".join(safe(part) for line in lines for part in line.split("\n")) + "\n"


def _headline(planned: Plan, done: Applied) -> str:
    target = planned.target
    bad = ", ".join(target.bad) or "none"
    where = f"{target.model}: live {target.live or 'none'}, bad {bad}"
    if target.slice is not None:
        where += f", failing on {target.slice}"
    if target.target is None:
        return f"{where}\nno target: every release is refused"
    if not planned.moves:
        return f"{where}\ntarget {target.target}: live already, nothing to move"
    state = "rolled back to" if done.events else "target"
    legacy = " (attested: legacy)" if target.attested == "legacy" else ""
    return f"{where}\n{state} {target.target}{legacy}"


def _refusals(refused: Sequence[Refused]) -> list[str]:
    lines = [f"{one.version}: {one.reason}" for one in refused[:_SHOWN]]
    if len(refused) > _SHOWN:
        lines.append(f"and {len(refused) - _SHOWN} more: --json lists them")
    return lines


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []
