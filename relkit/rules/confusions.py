"""Which words were taken for which: counted over aligned utterances, the widest spread first."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from relkit.rules.alignment import EditKind

Edit = tuple[EditKind, int, str | None, str | None]
"""Kind, place in the reference, expected token, given token; None where there is none."""

_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A kind of error: what was expected, what was given, how often, in how many utterances."""

    expected: str | None
    given: str | None
    count: int
    utterances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusions:
    """The three lists, each cut to its first entries; ``kinds`` counts all entries before that."""

    substitutions: tuple[Confusion, ...]
    deletions: tuple[Confusion, ...]
    insertions: tuple[Confusion, ...]
    kinds: tuple[int, int, int]


def confusions(
    utterances: Iterable[tuple[str, Iterable[Edit]]], *, most: int = _SHOWN
) -> Confusions:
    """Return what was confused, from (utterance id, its edits); an id may come with each repeat.

    Ranked by utterances, then by count: a repetition loop adds one word hundreds of times and
    would otherwise lead every list.
    """
    times: Counter[tuple[EditKind, str | None, str | None]] = Counter()
    where: dict[tuple[EditKind, str | None, str | None], set[str]] = {}
    for name, edits in utterances:
        for kind, _, expected, given in edits:
            key = kind, expected, given
            times[key] += 1
            where.setdefault(key, set()).add(name)
    found: dict[EditKind, list[Confusion]] = {"substitution": [], "deletion": [], "insertion": []}
    for (kind, expected, given), count in times.items():
        spread = len(where[kind, expected, given])
        found[kind].append(
            Confusion(expected=expected, given=given, count=count, utterances=spread)
        )
    ranked = {kind: sorted(items, key=_rank) for kind, items in found.items()}
    return Confusions(
        substitutions=tuple(ranked["substitution"][:most]),
        deletions=tuple(ranked["deletion"][:most]),
        insertions=tuple(ranked["insertion"][:most]),
        kinds=(
            len(ranked["substitution"]),
            len(ranked["deletion"]),
            len(ranked["insertion"]),
        ),
    )


def _rank(item: Confusion) -> tuple[int, int, str, str]:
    return -item.utterances, -item.count, item.expected or "", item.given or ""
