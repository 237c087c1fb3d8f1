"""What is served now across all models: a stack release serves what it pins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relkit.domain.releases import Release
from relkit.rules.rollback_history import History
from relkit.rules.rollback_refusals import Lent

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
