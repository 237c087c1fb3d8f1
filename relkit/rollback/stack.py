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

The smallest set of components to revert, found exactly (within a bound that is said).

A set maps components to an earlier version each. It has to take back every tainted component and
leave a stack whose ranges hold. Sets are ranked by the number of components, then by how many
registered releases they go back in all, then by the component that comes first in the alphabet.
Sets of more components than the best one are not looked for.
"""

from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations

from relkit.registry.types import Attested, Refused, Release, RollbackTarget
from relkit.rollback.compatibility import fit_each_other
from relkit.rollback.refusals import Question, Shelf, judge_record, refused, verification_reasons
from relkit.rollback.target import SIGN
from relkit.rollback.view import (
    identity,
    nearest_words,
    numbered,
    proof,
    service,
    stack_checklist,
    stack_evidence,
    stack_steps,
    stuck,
)

MOST_NODES = 1_000_000
"""Tried versions after which a search ends: seconds at the most."""


MOST_SETS = 3


Steps = tuple[tuple[str, int], ...]


Rank = tuple[int, int, Steps]


@dataclass(frozen=True, slots=True)
class Choice:
    """A version a component could go back to; ``back`` counts registered releases."""

    release: Release
    back: int


@dataclass(frozen=True, slots=True)
class RevertSet:
    """One answer; ``choices`` by component."""

    rank: Rank
    choices: Mapping[str, Choice]

    @property
    def versions(self) -> dict[str, str]:
        """Component to version."""
        return {name: choice.release.version for name, choice in self.choices.items()}


@dataclass(slots=True, kw_only=True)
class StackSearch:
    """A search over one running stack.

    ``running`` is what is pinned now, ``must`` the components that cannot stay, ``choices`` gives
    the earlier versions of a component, newest first (asked for when needed). ``fit`` says whether
    two releases accept each other, ``allowed`` whether a whole stack may be left.
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
    _pools: dict[str, "_Pool"] = field(default_factory=dict)

    def best(self) -> tuple[RevertSet, ...]:
        """Return up to ``most`` of the smallest sets, the best first; none where there is none.

        ``exhausted`` says afterwards that the bound ended the search, so that a better set than
        the ones found may exist.
        """
        free = sorted(set(self.running) - self.must)
        for extra in range(len(free) + 1):
            found: list[RevertSet] = []
            for more in combinations(free, extra):
                # What has to go is tried first: its newest choices leave most for the others.
                names = [*sorted(self.must), *more]
                if names:
                    self._assign(names, 0, {}, 0, found)
            if found or self.exhausted:
                return tuple(found)
        return ()

    def _assign(
        self,
        names: Sequence[str],
        cost: int,
        chosen: dict[str, Choice],
        at: int,
        found: list[RevertSet],
    ) -> None:
        if at == len(names):
            self._keep(chosen, cost, found)
            return
        kept = () if at else self._kept(names)
        if kept is None:
            return
        name = names[at]
        for choice in self._pool(name):
            total = cost + choice.back
            if self.exhausted or (len(found) == self.most and total > found[-1].rank[1]):
                return
            self.nodes += 1
            self.exhausted = self.nodes >= self.max_nodes
            if self._fits(choice.release, names, chosen):
                self._assign(names, total, {**chosen, name: choice}, at + 1, found)

    def _kept(self, names: Sequence[str]) -> tuple[Release, ...] | None:
        """Return the releases that stay, None where they do not fit each other."""
        kept = tuple(release for name, release in self.running.items() if name not in names)
        return kept if all(self.fit(a, b) for a, b in combinations(kept, 2)) else None

    def _fits(self, release: Release, names: Sequence[str], chosen: Mapping[str, Choice]) -> bool:
        return all(self.fit(release, choice.release) for choice in chosen.values()) and all(
            self.fit(release, kept) for name, kept in self.running.items() if name not in names
        )

    def _keep(self, chosen: Mapping[str, Choice], cost: int, found: list[RevertSet]) -> None:
        left = {**self.running, **{name: choice.release for name, choice in chosen.items()}}
        if not self.allowed(left):
            return
        steps = tuple((name, chosen[name].back) for name in sorted(chosen))
        one = RevertSet((len(chosen), cost, steps), dict(chosen))
        insort(found, one, key=lambda answer: answer.rank)
        del found[self.most :]

    def _pool(self, name: str) -> "_Pool":
        if name not in self._pools:
            self._pools[name] = _Pool(self.choices(name))
        return self._pools[name]


class _Pool:
    """Choices that are made when first looked at, and kept."""

    def __init__(self, source: Iterator[Choice]) -> None:
        self._source = source
        self._made: list[Choice] = []

    def __iter__(self) -> Iterator[Choice]:
        at = 0
        while True:
            if at == len(self._made):
                following = next(self._source, None)
                if following is None:
                    return
                self._made.append(following)
            yield self._made[at]
            at += 1


_KNOWN_BAD = {"yanked", "rolled_back", "worse_slice", "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """What is bad: component to bad versions, and the pins that are known to be good.

    ``stacks`` are the bad releases of the stack itself, as registered.
    """

    bad: Mapping[str, frozenset[str]]
    good: Mapping[str, str] = field(default_factory=dict)
    stacks: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Case:
    """One question about one stack; what was found out about its components is kept."""

    stack: Shelf
    parts: Mapping[str, Shelf]
    question: Question
    suspects: Suspects
    live: Release
    running: Mapping[str, Release]
    refused: dict[str, Refused] = field(default_factory=dict)
    verified: dict[tuple[str, str], bool] = field(default_factory=dict)
    matches: dict[tuple[tuple[str, str], ...], tuple[str, ...]] | None = None

    @property
    def orders(self) -> Mapping[str, tuple[str, ...]]:
        """Component to its versions as registered."""
        return {name: shelf.history.order for name, shelf in self.parts.items()}

    def tainted(self, name: str, version: str) -> bool:
        """Return whether a version of a component is bad or was registered after a bad one."""
        bad = self.suspects.bad.get(name, frozenset())
        if version in bad:
            return True
        places = self.parts[name].history.places
        first = min((places[one] for one in bad if one in places), default=None)
        if first is None or self.suspects.good.get(name) == version:
            return False
        return places.get(version, first) >= first

    def choices(self, name: str) -> Iterator[Choice]:
        """Yield the earlier releases of a component that may be gone back to, newest first."""
        shelf = self.parts[name]
        order, running = shelf.history.order, self.running[name]
        here = shelf.history.places.get(running.version, len(order))
        for back, version in enumerate(reversed(order[:here]), start=1):
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
        key = (name, release.version)
        if key not in self.verified:
            reasons = verification_reasons(self.parts[name], release)
            self.verified[key] = not reasons
            if reasons:
                label = SIGN.join(key)
                self.refused[label] = refused(label, reasons)
        return self.verified[key]

    def allowed(self, left: Mapping[str, Release]) -> bool:
        """Return whether a whole stack may be left: its pins are not those of one known bad."""
        versions = {name: release.version for name, release in left.items()}
        found, codes = self.match(versions)
        return found is not None or not codes & _KNOWN_BAD

    def match(self, versions: Mapping[str, str]) -> tuple[str | None, set[str]]:
        """Return the stack release with these pins that may be gone back to, else what is held."""
        codes: set[str] = set()
        for version in self._same_pins(versions):
            verdict = self.judge_stack(version)
            if isinstance(verdict, Release):
                return version, codes
            self.refused[version] = verdict
            codes.add(verdict.code)
        return None, codes

    def _same_pins(self, versions: Mapping[str, str]) -> tuple[str, ...]:
        if self.matches is None:
            self.matches = {}
            for version in reversed(self.stack.history.order):
                release = self.stack.release(version)
                if isinstance(release, Release):
                    key = tuple(sorted(release.pins.items()))
                    self.matches[key] = (*self.matches.get(key, ()), version)
        return self.matches.get(tuple(sorted(versions.items())), ())

    def judge_stack(self, version: str) -> Release | Refused:
        """Judge a release of the stack itself, its components aside."""
        places, bad = self.stack.history.places, self.suspects.stacks
        if version in bad:
            return Refused(version=version, code="bad", reason="it is in the first-bad set")
        if bad and places[version] > places[bad[0]]:
            reason = f"it was registered after {bad[0]}, the first of the first-bad set"
            return Refused(version=version, code="after_bad", reason=reason)
        return judge_record(
            self.stack, version, self.question, self.live, inside=frozenset(self.running)
        )

    def fit(self, one: Release, other: Release) -> bool:
        """Return whether two components accept each other."""
        return fit_each_other(one, other, self.orders)

    def whole(self, version: str) -> Refused | dict[str, Release]:
        """Return the components of a stack release that may be gone back to, else why not."""
        stack = self.judge_stack(version)
        if isinstance(stack, Refused):
            return stack
        found: list[tuple[str, str]] = []
        left: dict[str, Release] = {}
        for name, pinned in sorted(stack.pins.items()):
            release = self._pinned(name, pinned)
            if isinstance(release, str):
                found.append(("components", release))
            else:
                left[name] = release
        names = sorted(left)
        found += [
            ("partners", f"its {a} {left[a].version} and {b} {left[b].version} exclude each other")
            for i, a in enumerate(names)
            for b in names[i + 1 :]
            if not self.fit(left[a], left[b])
        ]
        return refused(version, found) if found else left

    def _pinned(self, name: str, version: str) -> Release | str:
        """Return a pinned release, or why it may not be served again."""
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


def suspects_of(stack: Shelf, parts: Mapping[str, Shelf], bad: tuple[str, ...]) -> Suspects:
    """Return what is bad by component; ``bad`` are stack versions and ``component@version``.

    Versions of the stack have to be in its ledger (KeyError otherwise).
    """
    named: dict[str, set[str]] = {}
    for one in bad:
        name, sign, version = one.partition(SIGN)
        if sign and name in parts:
            named.setdefault(name, set()).add(version)
    places = stack.history.places
    stacks = [one for one in bad if SIGN not in one or one.partition(SIGN)[0] not in parts]
    stacks = sorted(dict.fromkeys(stacks), key=places.__getitem__)
    if not stacks:
        return Suspects(bad={name: frozenset(versions) for name, versions in named.items()})
    good = _before(stack, stacks[0])
    before = {} if good is None else dict(good.pins)
    words = [] if good is None else [f"the last stack before {stacks[0]} is {good.version}"]
    for version in stacks:
        release = stack.release(version)
        if isinstance(release, str):
            words.append(f"what {version} pinned cannot be told: {release}")
            continue
        for name, pinned in sorted(release.pins.items()):
            if before.get(name) != pinned:
                named.setdefault(name, set()).add(pinned)
                words.append(f"{version} brought in {name} {pinned}")
    return Suspects(
        bad={name: frozenset(versions) for name, versions in named.items()},
        good=before,
        stacks=tuple(stacks),
        words=tuple(words),
    )


def _before(stack: Shelf, first: str) -> Release | None:
    """Return the last stack before the first bad one that held full traffic."""
    history = stack.history
    for version in reversed(history.order[: history.places[first]]):
        release = stack.release(version)
        if history.life(version).full is not None and isinstance(release, Release):
            return release
    return None


def plan_stack_rollback(
    stack: Shelf, parts: Mapping[str, Shelf], question: Question
) -> RollbackTarget:
    """Return which components to revert and why, with everything that was refused.

    ``parts`` has a shelf for each component that the live stack pins; its ``live`` is what runs.
    Without ``question.bad`` the live stack release is bad. Nothing is changed.
    """
    bad = question.bad or (() if stack.live is None else (stack.live,))
    live = None if stack.live is None else stack.release(stack.live)
    if not isinstance(live, Release):
        why = f"what is running cannot be told: {live or 'nothing is live'}"
        return _none(stack, bad, question, _all_refused(stack, why))
    running, unknown = _running(parts)
    if unknown:
        why = f"what is running cannot be told: {'; '.join(unknown)}"
        return _none(stack, bad, question, _all_refused(stack, why))
    case = _Case(
        stack=stack,
        parts=parts,
        question=question,
        suspects=suspects_of(stack, parts, bad),
        live=live,
        running=running,
    )
    return _named(case, bad) if question.to is not None else _smallest(case, bad)


def _running(parts: Mapping[str, Shelf]) -> tuple[dict[str, Release], list[str]]:
    running: dict[str, Release] = {}
    unknown = []
    for name, shelf in sorted(parts.items()):
        release = "it is not live" if shelf.live is None else shelf.release(shelf.live)
        if isinstance(release, Release):
            running[name] = release
        else:
            unknown.append(f"{name}: {release}")
    return running, unknown


def _all_refused(stack: Shelf, why: str) -> tuple[Refused, ...]:
    return tuple(
        Refused(version=version, code="contract", reason=why)
        for version in reversed(stack.history.order)
    )


def _none(
    stack: Shelf, bad: tuple[str, ...], question: Question, passed: tuple[Refused, ...]
) -> RollbackTarget:
    return RollbackTarget(
        model=stack.history.model,
        live=stack.live,
        bad=bad,
        slice=question.slice,
        target=None,
        refused=passed,
        steps=stuck(stack.history.model, bad, question),
    )


def _smallest(case: _Case, bad: tuple[str, ...]) -> RollbackTarget:
    must = {name for name, one in case.running.items() if case.tainted(name, one.version)}
    if not must:
        return _gone_or_same_pins(case, bad)
    while True:
        search = StackSearch(
            running=case.running,
            must=frozenset(must),
            choices=case.choices,
            fit=case.fit,
            allowed=case.allowed,
        )
        found = search.best()
        if not found:
            return _refused(case, bad, exhausted=search.exhausted)
        chosen = {name: choice.release for name, choice in found[0].choices.items()}
        left = {**case.running, **chosen}
        broken = {name for name, release in left.items() if not case.verifies(name, release)}
        if not broken:
            return _answer(case, bad, chosen, found[1:], exhausted=search.exhausted)
        must |= broken  # what stays has to verify, too: else it goes back as well


def _gone_or_same_pins(case: _Case, bad: tuple[str, ...]) -> RollbackTarget:
    """Answer where no component has to go: it has gone, or stacks differ in themselves only."""
    if case.suspects.bad or not _after(case):
        return _gone(case, bad)
    for version in reversed(case.stack.history.order):
        answer = _whole(case, bad, version)
        if answer is not None:
            return answer
    return _refused(case, bad, exhausted=False)


def _gone(case: _Case, bad: tuple[str, ...]) -> RollbackTarget:
    """Return the answer that what is bad runs no more; the target is what runs."""
    now = {name: release.version for name, release in case.running.items()}
    what = f"nothing of {', '.join(bad)} is running"
    return RollbackTarget(
        model=case.stack.history.model,
        live=case.stack.live,
        bad=bad,
        slice=case.question.slice,
        target=case.live.version if now == dict(case.live.pins) else _labels(now),
        refused=_list(case),
        evidence=(*case.suspects.words, what),
        steps=numbered([f"nothing to move: {what}"]),
    )


def _labels(versions: Mapping[str, str]) -> str:
    return ",".join(f"{name}{SIGN}{versions[name]}" for name in sorted(versions))


def _after(case: _Case) -> bool:
    """Return whether what is live is in the bad set of stacks, or was registered after it."""
    places, stacks = case.stack.history.places, case.suspects.stacks
    return bool(stacks) and places[case.live.version] >= places[stacks[0]]


def _named(case: _Case, bad: tuple[str, ...]) -> RollbackTarget:
    to = case.question.to
    answer = None if to is None else _whole(case, bad, to)
    return answer or _refused(case, bad, exhausted=False)


def _whole(case: _Case, bad: tuple[str, ...], version: str) -> RollbackTarget | None:
    """Return the answer that goes back to one release of the stack, None where it is refused."""
    left = case.whole(version)
    if isinstance(left, Refused):
        case.refused[version] = left
        return None
    missing = [name for name, release in sorted(left.items()) if not case.verifies(name, release)]
    if missing:
        words = [case.refused[f"{name}{SIGN}{left[name].version}"].reason for name in missing]
        reasons = [
            ("unverifiable", f"of its {name}: {why}")
            for name, why in zip(missing, words, strict=True)
        ]
        case.refused[version] = refused(version, reasons)
        return None
    chosen = {
        name: release
        for name, release in left.items()
        if case.running[name].version != release.version
    }
    return _answer(case, bad, chosen, (), exhausted=False, served=version)


def _refused(case: _Case, bad: tuple[str, ...], *, exhausted: bool) -> RollbackTarget:
    answer = _none(case.stack, bad, case.question, _list(case))
    words = (*case.suspects.words, *(_BOUND if exhausted else ()))
    return replace(answer, evidence=words)


_BOUND = ("the search ended at its bound: a smaller set, or another one, may exist",)


def _list(case: _Case) -> tuple[Refused, ...]:
    """Return all refusals: stack releases, then components by name, each newest first."""

    def place(label: str) -> tuple[str, int]:
        name, _, version = label.rpartition(SIGN)
        shelf = case.parts.get(name, case.stack)
        return (name if name in case.parts else "", -shelf.history.places.get(version, -1))

    return tuple(case.refused[label] for label in sorted(case.refused, key=place))


def _answer(
    case: _Case,
    bad: tuple[str, ...],
    chosen: Mapping[str, Release],
    others: tuple[RevertSet, ...],
    *,
    exhausted: bool,
    served: str | None = None,
) -> RollbackTarget:
    revert = {name: release.version for name, release in sorted(chosen.items())}
    now = {name: release.version for name, release in case.running.items()}
    smallest = served is None and not exhausted
    served = served or case.match({**now, **revert})[0]
    target = served or _labels(revert)
    nearest = None if served is not None else _nearest(case)
    told = partial(_about, case, chosen)
    model = case.stack.history.model
    return RollbackTarget(
        model=model,
        live=case.stack.live,
        bad=bad,
        slice=case.question.slice,
        target=target,
        refused=_list(case),
        evidence=(
            *case.suspects.words,
            *stack_evidence(now, revert, served, smallest=smallest),
            *told(),
            *nearest_words(model, bad, case.question, nearest),
            *(_BOUND if exhausted else ()),
        ),
        steps=stack_steps(model, bad, case.question, served, revert, case.suspects.bad),
        checklist=stack_checklist(case.stack, bad, chosen, case.question, served),
        revert=revert,
        alternatives=tuple(one.versions for one in others),
        attested=_attested(case, chosen),
    )


def _attested(case: _Case, chosen: Mapping[str, Release]) -> Attested:
    for name, release in chosen.items():
        life, lent = (
            case.parts[name].history.life(release.version),
            case.parts[name].lent(release.version),
        )
        if life.gate is None and (lent is None or lent.gate is None):
            return "legacy"
    return "gate"


def _about(case: _Case, chosen: Mapping[str, Release]) -> list[str]:
    found = []
    for name, release in sorted(chosen.items()):
        shelf = case.parts[name]
        lines = [*service(shelf, release), proof(shelf, release), identity(release)]
        found += [f"{name}: {line}" for line in lines]
    return found


def _nearest(case: _Case) -> str | None:
    """Return the newest stack release that could be gone back to as a whole."""
    for version in reversed(case.stack.history.order):
        if isinstance(case.whole(version), dict):
            return version
    return None
