"""The merge rule: the events of two branches in one order, or a refusal that names two of them."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from relkit.domain.errors import InvalidInput
from relkit.domain.releases import EventKind, ReleaseEvent
from relkit.rules.ledger import SERVING, refusal_in
from relkit.rules.ledger_chain import named

Key = tuple[str, int]
"""What an event says, wherever it stands, and how many before it in its branch say the same."""

_TOWARDS = frozenset({EventKind.CANARY, EventKind.PROMOTED, EventKind.ROLLED_BACK})


def merged(
    events: Iterable[ReleaseEvent], content: Callable[[ReleaseEvent], str]
) -> tuple[ReleaseEvent, ...]:
    """Return the events of a ledger in one order, each once, for being chained anew.

    ``events`` are distinct and lead back to the start. Branches keep their own order; between
    them, time decides, then ``content`` (a key of what an event says): the same for whoever merges,
    in whatever direction. Raises InvalidInput naming both events where the order would matter.
    """
    branches = [dict(_keyed(branch, content)) for branch in _branches(tuple(events))]
    for one, other in combinations(branches, 2):
        _refuse_conflict(
            [event for key, event in one.items() if key not in other],
            [event for key, event in other.items() if key not in one],
        )
    ordered = _sorted(branches)
    refused = refusal_in(ordered)
    if refused is not None:
        raise InvalidInput(
            f"the branches cannot be merged: {named(refused[0])}: {refused[1]}", hint=_BY_HAND
        )
    return ordered


_BY_HAND = "keep one branch's ledger (git checkout --ours or --theirs) and do the other again"


def _branches(events: Sequence[ReleaseEvent]) -> Iterator[list[ReleaseEvent]]:
    """Yield the chain that leads to each last event, from the first one on."""
    by_digest = {event.digest: event for event in events}
    followed = {event.previous for event in events}
    for last in events:
        if last.digest in followed:
            continue
        chain = [last]
        while (previous := chain[-1].previous) is not None:
            chain.append(by_digest[previous])
        yield chain[::-1]


def _keyed(
    branch: Sequence[ReleaseEvent], content: Callable[[ReleaseEvent], str]
) -> Iterator[tuple[Key, ReleaseEvent]]:
    seen: Counter[str] = Counter()
    for event in branch:
        text = content(event)
        yield (text, seen[text]), event
        seen[text] += 1


def _refuse_conflict(one: Sequence[ReleaseEvent], other: Sequence[ReleaseEvent]) -> None:
    for a in one:
        for b in other:
            why = _conflict(a, b) or _conflict(b, a)
            if why is not None:
                raise InvalidInput(
                    f"two branches of {a.model} cannot be merged: {named(a)} and {named(b)}: {why}",
                    hint=_BY_HAND,
                )


def _conflict(a: ReleaseEvent, b: ReleaseEvent) -> str | None:
    """Return why two events of two branches depend on their order, None where they do not."""
    if a.kind in SERVING and b.kind in SERVING:
        return "both say what is served"
    if a.version != b.version:
        return None
    if a.kind == b.kind == EventKind.REGISTERED and a.release != b.release:
        return "the same version with other digests"
    if a.kind is EventKind.YANKED and b.kind in _TOWARDS:
        return "one withdraws what the other serves"
    if {a.kind, b.kind} == {EventKind.YANKED, EventKind.RESTORED}:
        return "one withdraws what the other restores"
    return None


def _sorted(branches: Sequence[Mapping[Key, ReleaseEvent]]) -> tuple[ReleaseEvent, ...]:
    """Return all events: each branch in its order, between branches by time, then content."""
    events: dict[Key, ReleaseEvent] = {}
    after: dict[Key, set[Key]] = defaultdict(set)
    for branch in branches:
        previous: Key | None = None
        for key, event in branch.items():
            events.setdefault(key, event)
            if previous is not None:
                after[previous].add(key)
            previous = key
    waiting = Counter(key for keys in after.values() for key in keys)
    ready = [(event.at, key) for key, event in events.items() if not waiting[key]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, key = heapq.heappop(ready)
        ordered.append(events[key])
        for follower in after[key]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (events[follower].at, follower))
    if len(ordered) != len(events):
        raise InvalidInput(
            "the branches have the same events in another order and cannot be merged",
            hint=_BY_HAND,
        )
    return tuple(ordered)
