"""Where a stack goes back to: the smallest set of components to revert.

See docs/method.md, section "Rollback".

What is bad is either releases of components (``asr@1.5.0``), or releases of the stack: then every
pin that they brought in and the last stack before them did not have is suspected. A component is
tainted where it runs a bad release, or one registered after it; what the last good stack pinned is
not. All tainted components are reverted, each to a release of its own that may be gone back to, and
others only where the ranges ask for it or where their artifact does not verify now.

The target is the stack release with exactly the pins that are left, where there is one and nothing
is held against it. Where those releases were never served together, the target is written as
``asr@1.4.0,llm@2.0.0``, and the plan reverts each component.
"""

from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, tee

from relkit.registry.types import Release
from relkit.rollback.compatibility import fit_each_other
from relkit.rollback.history import ServedModel
from relkit.rollback.target import (
    NOT_REGISTERED,
    SIGN,
    Move,
    artifact_objections,
    in_bad_set,
    judge_record,
    move,
    refused,
)
from relkit.rollback.types import (
    Choice,
    Question,
    Refused,
    RevertSet,
    RollbackTarget,
    StackAnswer,
    Suspects,
)

MOST_NODES = 1_000_000
"""Tried versions after which a search ends: seconds at the most."""

MOST_SETS = 3
_KNOWN_BAD = {"yanked", "rolled_back", "worse_slice", "bad"}


def stack_target(
    stack: ServedModel, parts: Mapping[str, ServedModel], question: Question
) -> StackAnswer:
    """Return which components to revert, with everything that was refused.

    ``parts`` has each component that the live stack pins; its ``live`` is what runs. Without
    ``question.bad`` the live stack release is bad. Nothing is changed.
    """
    bad = question.bad or (() if stack.live is None else (stack.live,))
    live = stack.live_release()
    running: dict[str, Release] = {}
    unknown = []
    for name, part in sorted(parts.items()):
        release = "it is not live" if part.live is None else part.live_release()
        if isinstance(release, Release):
            running[name] = release
        else:
            unknown.append(f"{name}: {release}")
    if unknown or not isinstance(live, Release):
        what = "; ".join(unknown) if isinstance(live, Release) else live
        why = f"what is running cannot be told: {what}"
        versions = reversed(stack.history.order)
        refusals = (Refused(version=name, code="contract", reason=why) for name in versions)
        return StackAnswer(bad=bad, refused=tuple(refusals))
    return _Case(
        stack=stack,
        parts=parts,
        question=question,
        bad=bad,
        suspects=_suspects(stack, parts, bad),
        live=live,
        running=running,
    ).answer()


def stack_moves(
    stack: ServedModel, parts: Mapping[str, ServedModel], target: RollbackTarget
) -> Iterator[Move]:
    """Yield the events of a plan: one of the stack, or one of each component."""
    if target.target is None or target.target == stack.live:
        return
    if target.target in stack.history.places:
        bad = tuple(name for name in target.bad if name in stack.history.places)
        yield move(stack, target.target, bad or (() if stack.live is None else (stack.live,)))
        return
    for name, version in target.revert.items():
        part = parts[name]
        labels = (label.partition(SIGN) for label in target.bad)
        bad = tuple(inner for component, _, inner in labels if component == name)
        yield move(part, version, bad or (() if part.live is None else (part.live,)))


def _suspects(
    stack: ServedModel, parts: Mapping[str, ServedModel], labels: tuple[str, ...]
) -> Suspects:
    """Return what is bad by component; the labels are stack versions and ``component@version``.

    Versions of the stack have to be in its ledger (KeyError otherwise).
    """
    bad: dict[str, set[str]] = {}
    versions = set()
    for label in labels:
        name, sign, version = label.partition(SIGN)
        if sign and name in parts:
            bad.setdefault(name, set()).add(version)
        else:
            versions.add(label)
    history = stack.history
    stacks = tuple(sorted(versions, key=history.places.__getitem__))
    last_good = None
    for version in reversed(history.order[: history.places[stacks[0]]]) if stacks else ():
        release = stack.release(version)
        if isinstance(release, Release) and history.life(version).full is not None:
            last_good = release
            break
    before = {} if last_good is None else last_good.pins
    brought_in: dict[str, Mapping[str, str] | str] = {}
    for version in stacks:
        release = stack.release(version)
        if isinstance(release, str):
            brought_in[version] = release
            continue
        new = {name: pin for name, pin in sorted(release.pins.items()) if before.get(name) != pin}
        brought_in[version] = new
        for name, pin in new.items():
            bad.setdefault(name, set()).add(pin)
    return Suspects(
        bad={name: frozenset(versions) for name, versions in bad.items()},
        stacks=stacks,
        last_good=last_good,
        brought_in=brought_in,
    )


@dataclass(slots=True, kw_only=True)
class _Case:
    """One question about one stack; what turned out about its components is kept."""

    stack: ServedModel
    parts: Mapping[str, ServedModel]
    question: Question
    bad: tuple[str, ...]
    suspects: Suspects
    live: Release
    running: Mapping[str, Release]
    refused: dict[str, Refused] = field(default_factory=dict)
    verified: dict[str, bool] = field(default_factory=dict)
    by_pins: dict[tuple[tuple[str, str], ...], tuple[str, ...]] | None = None

    def answer(self) -> StackAnswer:
        """Return the answer to the question."""
        if self.question.to is not None:
            return self._release_as_target(self.question.to) or self._nothing()
        tainted = {name for name, now in self.running.items() if self.tainted(name, now.version)}
        return self._smallest(tainted) if tainted else self._untainted()

    def _smallest(self, must: set[str]) -> StackAnswer:
        while True:
            search = StackSearch(
                running=self.running,
                must=frozenset(must),
                choices=self.choices,
                fit=partial(fit_each_other, orders=self.stack.running.orders),
                allowed=self.allowed,
            )
            sets = search.best()
            if not sets:
                return self._nothing(exhausted=search.exhausted)
            revert = {name: choice.release for name, choice in sets[0].choices.items()}
            after = {**self.running, **revert}
            broken = {name for name, release in after.items() if not self.verifies(name, release)}
            if not broken:
                release = self.match({name: part.version for name, part in after.items()})[0]
                return replace(
                    self._found(revert, release),
                    exhausted=search.exhausted,
                    smallest=not search.exhausted,
                    alternatives=tuple(alternative.versions for alternative in sets[1:]),
                )
            must |= broken  # what stays has to verify, too: else it goes back as well

    def _untainted(self) -> StackAnswer:
        """Answer where no component has to go: it has gone, or stacks differ in themselves only."""
        places, stacks = self.stack.history.places, self.suspects.stacks
        after_bad = bool(stacks) and places[self.live.version] >= places[stacks[0]]
        if self.suspects.bad or not after_bad:
            now = {name: release.version for name, release in self.running.items()}
            target = self.live.version if now == dict(self.live.pins) else _labels(now)
            return replace(self._nothing(), target=target, gone=True)
        answers = map(self._release_as_target, reversed(self.stack.history.order))
        return next((answer for answer in answers if answer is not None), None) or self._nothing()

    def _release_as_target(self, version: str) -> StackAnswer | None:
        """Return the answer that goes back to a release of the stack, None where it is refused."""
        pinned = self.components(version)
        if isinstance(pinned, Refused):
            self.refused[version] = pinned
            return None
        objections = [
            ("unverifiable", f"of its {name}: {self.refused[_label(name, release)].reason}")
            for name, release in sorted(pinned.items())
            if not self.verifies(name, release)
        ]
        if objections:
            self.refused[version] = refused(version, objections)
            return None
        revert = {
            name: release
            for name, release in pinned.items()
            if self.running[name].version != release.version
        }
        return self._found(revert, version)

    def _found(self, revert: Mapping[str, Release], release: str | None) -> StackAnswer:
        newest = reversed(self.stack.history.order) if release is None else ()
        nearest = next((v for v in newest if isinstance(self.components(v), dict)), None)
        return replace(
            self._nothing(),
            target=release or _labels({name: part.version for name, part in revert.items()}),
            revert=dict(sorted(revert.items())),
            release=release,
            nearest=nearest,
        )

    def _nothing(self, *, exhausted: bool = False) -> StackAnswer:
        """Return the answer without a target, with all that was refused so far.

        Releases of the stack come first, then components by name, each newest first.
        """

        def place(label: str) -> tuple[str, int]:
            name, _, version = label.rpartition(SIGN)
            model = self.parts.get(name, self.stack)
            return (name if name in self.parts else "", -model.history.places.get(version, -1))

        return StackAnswer(
            bad=self.bad,
            refused=tuple(self.refused[label] for label in sorted(self.refused, key=place)),
            suspects=self.suspects,
            running=self.running,
            exhausted=exhausted,
        )

    def tainted(self, name: str, version: str) -> bool:
        """Return whether a version of a component is bad or was registered after a bad one."""
        bad = self.suspects.bad.get(name, frozenset())
        if version in bad:
            return True
        places, good = self.parts[name].history.places, self.suspects.last_good
        first = min((places[suspect] for suspect in bad if suspect in places), default=None)
        if first is None or (good is not None and good.pins.get(name) == version):
            return False
        return places.get(version, first) >= first

    def choices(self, name: str) -> Iterator[Choice]:
        """Yield the earlier releases of a component that may be gone back to, newest first."""
        history, running = self.parts[name].history, self.running[name]
        earlier = history.order[: history.places.get(running.version, len(history.order))]
        for back, version in enumerate(reversed(earlier), start=1):
            release = self.component(name, version)
            if release is not None:
                yield Choice(release, back)

    def component(self, name: str, version: str) -> Release | None:
        """Return a component's release where nothing is held against it; the artifact is later."""
        label = f"{name}{SIGN}{version}"
        if label in self.refused:
            return None
        if self.tainted(name, version):
            reason = "it is in the first-bad set, or registered after it"
            self.refused[label] = Refused(version=label, code="bad", reason=reason)
            return None
        verdict = judge_record(
            self.parts[name], version, self.question, self.running[name], inside=self.running
        )
        if isinstance(verdict, Release):
            return verdict
        self.refused[label] = replace(verdict, version=label)
        return None

    def verifies(self, name: str, release: Release) -> bool:
        """Return whether a component's artifact verifies now; asked once."""
        label = _label(name, release)
        if label not in self.verified:
            objections = artifact_objections(self.parts[name], release)
            self.verified[label] = not objections
            if objections:
                self.refused[label] = refused(label, objections)
        return self.verified[label]

    def allowed(self, pinned: Mapping[str, Release]) -> bool:
        """Return whether a stack may be left: its pins are not those of one that is known bad."""
        release, codes = self.match({name: part.version for name, part in pinned.items()})
        return release is not None or not codes & _KNOWN_BAD

    def match(self, versions: Mapping[str, str]) -> tuple[str | None, set[str]]:
        """Return the stack release with these pins that may be gone back to, else what is held."""
        if self.by_pins is None:
            self.by_pins = {}
            for version in reversed(self.stack.history.order):
                release = self.stack.release(version)
                if isinstance(release, Release):
                    key = tuple(sorted(release.pins.items()))
                    self.by_pins[key] = (*self.by_pins.get(key, ()), version)
        codes: set[str] = set()
        for version in self.by_pins.get(tuple(sorted(versions.items())), ()):
            verdict = self.judge_stack(version)
            if isinstance(verdict, Release):
                return version, codes
            self.refused[version] = verdict
            codes.add(verdict.code)
        return None, codes

    def judge_stack(self, version: str) -> Release | Refused:
        """Judge a release of the stack itself, its components aside."""
        if version not in self.stack.history.places:
            return Refused(version=version, code="not_registered", reason=NOT_REGISTERED)
        outside = in_bad_set(version, self.suspects.stacks, self.stack.history.places)
        return outside or judge_record(
            self.stack, version, self.question, self.live, inside=self.running
        )

    def components(self, version: str) -> Refused | dict[str, Release]:
        """Return the components of a stack release that may be gone back to, else why not."""
        stack = self.judge_stack(version)
        if isinstance(stack, Refused):
            return stack
        objections: list[tuple[str, str]] = []
        pinned: dict[str, Release] = {}
        for name, pin in sorted(stack.pins.items()):
            release = self._pinned(name, pin)
            if isinstance(release, str):
                objections.append(("components", release))
            else:
                pinned[name] = release
        orders = self.stack.running.orders
        objections += [
            ("partners", f"its {a} {first.version} and {b} {second.version} exclude each other")
            for (a, first), (b, second) in combinations(pinned.items(), 2)
            if not fit_each_other(first, second, orders)
        ]
        return refused(version, objections) if objections else pinned

    def _pinned(self, name: str, version: str) -> Release | str:
        running = self.running.get(name)
        if name not in self.parts or running is None:
            return f"its {name} is no component of what is running"
        if self.tainted(name, version):
            return f"it pins {name} {version}, which is in the first-bad set or after it"
        if running.version == version:
            return running
        if version not in self.parts[name].history.places:
            return f"it pins {name} {version}, which was never registered"
        release = self.component(name, version)
        if release is None:
            why = self.refused[f"{name}{SIGN}{version}"].reason
            return f"it pins {name} {version}, and of that: {why}"
        return release


def _label(name: str, release: Release) -> str:
    return f"{name}{SIGN}{release.version}"


def _labels(versions: Mapping[str, str]) -> str:
    return ",".join(f"{name}{SIGN}{versions[name]}" for name in sorted(versions))


@dataclass(slots=True, kw_only=True)
class StackSearch:
    """An exact search for the smallest sets of components to revert, within a bound that is said.

    A set maps components to an earlier version each. It has to take back every tainted component
    and leave a stack whose ranges hold. Sets of more components than the best one are not looked
    for. ``running`` is what is pinned now, ``must`` the components that cannot stay, ``choices``
    gives the earlier versions of a component, newest first (asked for when needed). ``fit`` says
    whether two releases accept each other, ``allowed`` whether a whole stack may be left.
    """

    running: Mapping[str, Release]
    must: frozenset[str]
    choices: Callable[[str], Iterator[Choice]]
    fit: Callable[[Release, Release], bool]
    allowed: Callable[[Mapping[str, Release]], bool]
    most: int = MOST_SETS
    max_nodes: int = MOST_NODES
    nodes: int = 0
    exhausted: bool = False
    _choices: dict[str, Iterator[Choice]] = field(default_factory=dict)

    def best(self) -> tuple[RevertSet, ...]:
        """Return up to ``most`` of the smallest sets, the best first; none where there is none.

        ``exhausted`` says afterwards that the bound ended the search, so that a better set than
        these may exist.
        """
        free = sorted(set(self.running) - self.must)
        for extra in range(len(free) + 1):
            sets: list[RevertSet] = []
            for more in combinations(free, extra):
                # What has to go is tried first: its newest choices leave most for the others.
                names = [*sorted(self.must), *more]
                stay = [release for name, release in self.running.items() if name not in names]
                if names and all(self.fit(a, b) for a, b in combinations(stay, 2)):
                    self._assign(names, stay, {}, 0, sets)
            if sets or self.exhausted:
                return tuple(sets)
        return ()

    def _assign(
        self,
        names: Sequence[str],
        stay: Sequence[Release],
        chosen: dict[str, Choice],
        cost: int,
        sets: list[RevertSet],
    ) -> None:
        """Add the sets that begin with what is chosen; the releases that ``stay`` fit so far."""
        if len(chosen) == len(names):
            reverted = {name: choice.release for name, choice in chosen.items()}
            if self.allowed({**self.running, **reverted}):
                steps = tuple((name, chosen[name].back) for name in sorted(chosen))
                insort(
                    sets, RevertSet((len(chosen), cost, steps), chosen), key=lambda best: best.rank
                )
                del sets[self.most :]
            return
        name = names[len(chosen)]
        # The first copy stays at the newest version: what was looked at is kept for the next time.
        self._choices[name], choices = tee(self._choices.get(name) or self.choices(name))
        for choice in choices:
            total = cost + choice.back
            if self.exhausted or (len(sets) == self.most and total > sets[-1].rank[1]):
                return
            self.nodes += 1
            self.exhausted = self.nodes >= self.max_nodes
            if all(self.fit(choice.release, release) for release in stay):
                self._assign(names, [*stay, choice.release], {**chosen, name: choice}, total, sets)
