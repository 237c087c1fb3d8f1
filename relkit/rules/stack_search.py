"""The smallest set of components to revert, found exactly (within a bound that is said).

A set maps components to an earlier version each. It has to take back every tainted component and
leave a stack whose ranges hold. Sets are ranked by the number of components, then by how many
registered releases they go back in all, then by the component that comes first in the alphabet.
Sets of more components than the best one are not looked for.
"""

from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from relkit.domain.releases import Release

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
