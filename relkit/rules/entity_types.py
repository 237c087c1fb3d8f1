"""Which kinds of entities are lost: errors by the type of the label."""

from collections import Counter
from collections.abc import Iterable, Sequence

from relkit.domain.reports import EntityType


def entity_types(
    items: Iterable[tuple[Sequence[str], Sequence[bool | None]]],
) -> tuple[EntityType, ...]:
    """Return entities and errors by type, the worst type first.

    Each item is one result: the types of its labels, and for each whether it is wrong (None where
    it was not found in the reference, and is left out). Raises ValueError where the two differ in
    length.
    """
    seen: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for types, marks in items:
        for name, mark in zip(types, marks, strict=True):
            if mark is not None:
                seen[name] += 1
                wrong[name] += mark
    found = [EntityType(type=name, entities=seen[name], errors=wrong[name]) for name in seen]
    return tuple(sorted(found, key=lambda item: (-item.errors / item.entities, item.type)))
