"""What is wrong with the chain of a ledger, and how the events of two branches are merged.

A problem is told by what must have happened; a merge is one order, or a refusal that names two.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product

from relkit.core.errors import InvalidInput
from relkit.registry.ledger import SERVING, refusal_in
from relkit.registry.types import Anchor, ChainProblem, EventKind, LedgerLine, ReleaseEvent


def label(event: ReleaseEvent) -> str:
    """Return an event for messages: ``event 4 (promoted 1.2.0, 2026-01-31T12:00:00Z, ann)``."""
    return f"event {event.sequence} ({event.kind} {event.version}, {event.at}, {event.by})"


def chain_problems(
    model: str, lines: Sequence[LedgerLine], anchors: Sequence[Anchor]
) -> tuple[ChainProblem, ...]:
    """Return all that is wrong with a chain, in the order of the lines, anchors last."""
    edited = [
        ChainProblem(code="edited", message=f"was edited: {line.wrong}", line=line.number)
        for line in lines
        if line.wrong is not None
    ]
    sound = [(line.number, line.event) for line in lines if line.event and line.wrong is None]
    foreign = [
        ChainProblem(
            code="foreign", message=f"holds an event of {event.model}, not of {model}", line=number
        )
        for number, event in sound
        if event.model != model
    ]
    events = [(number, event) for number, event in sound if event.model == model]
    first: dict[str, tuple[int, ReleaseEvent]] = {}
    duplicated = []
    for number, event in events:
        if event.digest in first:
            message = f"{label(event)} stands already in line {first[event.digest][0]}: duplicated"
            duplicated.append(ChainProblem(code="duplicated", message=message, line=number))
        else:
            first[event.digest] = number, event
    structure = list(_links(first, excused=bool(edited)))
    if not structure and not edited:
        structure = [
            ChainProblem(
                code="reordered",
                message=f"event {event.sequence} stands where event {place} belongs: reordered",
                line=number,
            )
            for place, (number, event) in enumerate(first.values(), start=1)
            if event.sequence != place
        ][:1]
    return (
        *sorted(
            (*edited, *foreign, *duplicated, *structure), key=lambda problem: problem.line or 0
        ),
        *_anchored(first, anchors, excused=bool(edited)),
    )


def _links(
    first: Mapping[str, tuple[int, ReleaseEvent]], *, excused: bool
) -> Iterator[ChainProblem]:
    """Yield events that follow none or one that is followed by another.

    ``excused``: what follows an edited line is not to blame.
    """
    followers: dict[str | None, list[tuple[int, ReleaseEvent]]] = defaultdict(list)
    for number, event in first.values():
        followers[event.previous].append((number, event))
        before = None if event.previous is None else first.get(event.previous)
        place = 0 if before is None else before[1].sequence
        if event.previous is not None and before is None:
            if not excused:
                message = f"{label(event)} follows an event that is not there: removed before it"
                yield ChainProblem(code="removed", message=message, line=number)
        elif event.sequence != place + 1:
            message = f"was edited: event {event.sequence} follows event {place}"
            yield ChainProblem(code="edited", message=message, line=number)
    for group in followers.values():
        for number, event in group[1:]:
            message = (
                f"{label(event)} and {label(group[0][1])} in line {group[0][0]} follow the same "
                "event: two branches were merged"
            )
            yield ChainProblem(code="forked", message=message, line=number)


def _anchored(
    first: Mapping[str, tuple[int, ReleaseEvent]], anchors: Sequence[Anchor], *, excused: bool
) -> Iterator[ChainProblem]:
    last = max((event.sequence for _, event in first.values()), default=0)
    if not anchors and last > 1:
        message = "its .head file is missing: nobody can tell whether events were cut off"
        yield ChainProblem(code="unanchored", message=message)
    for anchor in anchors:
        if anchor.digest in first:
            sequence = first[anchor.digest][1].sequence
            if anchor.sequence != sequence:
                message = (
                    f"its .head file was changed: it names event {anchor.sequence} by the digest "
                    f"of event {sequence}"
                )
                yield ChainProblem(code="unanchored", message=message)
        elif anchor.sequence > last:
            message = (
                f"truncated: the .head file names event {anchor.sequence}, and the ledger ends "
                f"with event {last}"
            )
            yield ChainProblem(code="truncated", message=message)
        elif not excused:
            message = f"rewritten: event {anchor.sequence} is not the one that .head names"
            yield ChainProblem(code="rewritten", message=message)


_Key = tuple[str, int]
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
    for first, second in combinations(branches, 2):
        for a, b in product(
            [event for key, event in first.items() if key not in second],
            [event for key, event in second.items() if key not in first],
        ):
            why = _conflict(a, b) or _conflict(b, a)
            if why is not None:
                raise InvalidInput(
                    f"two branches of {a.model} cannot be merged: {label(a)} and {label(b)}: {why}",
                    hint=_BY_HAND,
                )
    ordered = _sorted(branches)
    refused = refusal_in(ordered)
    if refused is not None:
        raise InvalidInput(
            f"the branches cannot be merged: {label(refused[0])}: {refused[1]}", hint=_BY_HAND
        )
    return ordered


_BY_HAND = "keep one branch's ledger (git checkout --ours or --theirs) and do the other again"


def _branches(events: Sequence[ReleaseEvent]) -> Iterator[list[ReleaseEvent]]:
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
) -> Iterator[tuple[_Key, ReleaseEvent]]:
    counts: Counter[str] = Counter()
    for event in branch:
        text = content(event)
        yield (text, counts[text]), event
        counts[text] += 1


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


def _sorted(branches: Sequence[Mapping[_Key, ReleaseEvent]]) -> tuple[ReleaseEvent, ...]:
    """Return all events: each branch in its order, between branches by time, then content."""
    events: dict[_Key, ReleaseEvent] = {}
    after: dict[_Key, set[_Key]] = defaultdict(set)
    for branch in branches:
        previous: _Key | None = None
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
