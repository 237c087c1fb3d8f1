"""Where to go back to (docs/method.md, section "Rollback"), for a model that is served by itself.

Releases are ordered as registered. The target is the newest one before the whole first-bad set
against which nothing is held; :mod:`relkit.rollback.refusals` says what can be.

What is served now across all models: a stack release serves what it pins.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from relkit.registry.types import Attested, Refused, Release, RollbackTarget
from relkit.rollback.history import History
from relkit.rollback.refusals import Lent, Question, Shelf, judge
from relkit.rollback.view import checklist, evidence, nothing_to_do, steps, stuck

AFTER = "after_bad"


def plan_rollback(shelf: Shelf, question: Question) -> RollbackTarget:
    """Return where to go back to and why, with every release that was refused, newest first.

    Without ``question.bad`` what is live is bad. Every version of the question has to be one of
    the ledger (KeyError otherwise). Older releases than the target are not looked at. Nothing is
    changed.
    """
    places = shelf.history.places
    bad = question.bad or (() if shelf.live is None else (shelf.live,))
    bad = tuple(sorted(dict.fromkeys(bad), key=places.__getitem__))
    target, passed = _search(shelf, question, bad)
    found = None if target is None else target.version
    return RollbackTarget(
        model=shelf.history.model,
        live=shelf.live,
        bad=bad,
        slice=question.slice,
        target=found,
        refused=passed,
        evidence=() if target is None else evidence(shelf, target, bad, question, len(passed)),
        steps=_steps(shelf, found, bad, question),
        checklist=() if target is None else checklist(shelf, target, bad, question),
        attested="none" if target is None else _attested(shelf, target),
    )


def already_there(shelf: Shelf, target: RollbackTarget) -> bool:
    """Return whether the target is what is served already and no bad release has traffic left."""
    there = target.target is not None and target.target == shelf.live
    return there and not _left(shelf, target.bad)


def _left(shelf: Shelf, bad: tuple[str, ...]) -> bool:
    """Return whether a bad release still has a part of the traffic."""
    return any(version in shelf.history.shares for version in bad)


def _steps(
    shelf: Shelf, target: str | None, bad: tuple[str, ...], question: Question
) -> tuple[str, ...]:
    model = shelf.history.model
    if target is None:
        return stuck(model, bad, question)
    if target == shelf.live and not _left(shelf, bad):
        return nothing_to_do(model, target, bad)
    return steps(model, target, bad, question)


def _attested(shelf: Shelf, target: Release) -> Attested:
    life, lent = shelf.history.life(target.version), shelf.lent(target.version)
    return "gate" if life.gate is not None or (lent is not None and lent.gate) else "legacy"


def _search(
    shelf: Shelf, question: Question, bad: tuple[str, ...]
) -> tuple[Release | None, tuple[Refused, ...]]:
    live = None if shelf.live is None else shelf.release(shelf.live)
    passed: list[Refused] = []
    for version in reversed(shelf.history.order):
        outside = _outside(shelf, version, bad, question)
        if outside is not None:
            passed.append(outside)
            continue
        if question.to is not None and version != question.to:
            continue
        verdict = judge(shelf, version, question, live)
        if isinstance(verdict, Release):
            return verdict, tuple(passed)
        passed.append(verdict)
    passed += _not_registered(shelf, question)
    return None, tuple(passed)


def _outside(
    shelf: Shelf, version: str, bad: tuple[str, ...], question: Question
) -> Refused | None:
    """Return why a release is not before the whole first-bad set."""
    places = shelf.history.places
    if version in bad:
        return Refused(version=version, code="bad", reason="it is in the first-bad set")
    if bad and places[version] > places[bad[0]]:
        reason = f"it was registered after {bad[0]}, the first of the first-bad set"
        return Refused(version=version, code=AFTER, reason=reason)
    live = shelf.live
    if live is None or live in bad or question.to == version or live not in places:
        return None
    if places[version] > places[live] and places[live] < places[bad[0]]:
        reason = (
            f"it is newer than {live}, which is live and before the first-bad set: going to it is "
            "no way back (--to names it if it is meant)"
        )
        return Refused(version=version, code="newer_than_live", reason=reason)
    return None


def _not_registered(shelf: Shelf, question: Question) -> Iterator[Refused]:
    for version in shelf.unlisted:
        if question.to in {None, version}:
            reason = "it has a record, and the ledger does not know it: it was never registered"
            yield Refused(version=version, code="not_registered", reason=reason)


ReadRelease = Callable[[str, str], Release | str]
"""Called with (model, version); returns the record, or why it cannot be read."""


SIGN = "@"
"""Between a component and its version, as in ``asr@1.4.0``."""


def served_now(histories: Mapping[str, History], read: ReadRelease) -> dict[str, str]:
    """Return model to the version that is live, by its own ledger or that of a stack.

    Of both the later one counts (times are UTC to the second), the model's own where they are
    equal: a component that was rolled back alone is no longer what the stack pinned.
    """
    served: dict[str, tuple[str, int, str]] = {}
    for model, history in histories.items():
        event = history.serving
        if event is None:
            continue
        _later(served, model, (event.at, 1, event.version))
        release = read(model, event.version)
        if isinstance(release, Release) and release.component == "stack":
            for component, version in release.pins.items():
                _later(served, component, (event.at, 0, version))
    return {model: version for model, (_, _, version) in served.items()}


def _later(served: dict[str, tuple[str, int, str]], model: str, one: tuple[str, int, str]) -> None:
    if model not in served or served[model][:2] < one[:2]:
        served[model] = one


@dataclass(slots=True)
class Stacks:
    """What releases of components have from the stacks that pinned them."""

    histories: Mapping[str, History]
    read: ReadRelease
    _lent: dict[tuple[str, str], Lent] | None = field(default=None, init=False)

    def lent(self, component: str, version: str) -> Lent | None:
        """Return the service of a component's release in a stack, the newest with a gate first."""
        if self._lent is None:
            self._lent = {}
            for model, history in self.histories.items():
                if self._is_stack(model, history):
                    self._collect(model, history, self._lent)
        return self._lent.get((component, version))

    def _is_stack(self, model: str, history: History) -> bool:
        if not history.order:
            return False
        newest = self.read(model, history.order[-1])
        return isinstance(newest, Release) and newest.component == "stack"

    def _collect(self, model: str, history: History, found: dict[tuple[str, str], Lent]) -> None:
        for version in reversed(history.order):
            life = history.life(version)
            release = self.read(model, version) if life.full is not None else "never served"
            if life.full is None or isinstance(release, str):
                continue
            one = Lent(stack=f"{model} {version}", at=life.full.at, gate=life.gate)
            for pin in release.pins.items():
                if pin not in found or (found[pin].gate is None and one.gate is not None):
                    found[pin] = one
