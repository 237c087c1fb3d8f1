"""Leakage between splits: the same audio, the same speaker, or nearly the same words."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

MOST_EDITS = 10
"""However long two texts are, more changed characters than this are another text."""


def text_key(text: str) -> str:
    """Return a text without case, punctuation and repeated spaces: what it says, roughly.

    Apostrophes inside of a word are dropped, other punctuation and symbols separate words.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("\u2019", "")
    characters = (c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return " ".join("".join(characters).split())


def near_texts(keys: Iterable[str], alike: float = 0.9) -> dict[str, tuple[str, ...]]:
    """Return for each text the other ones that are near-identical; texts without any are left out.

    Near-identical: at most ``(1 - alike) * L`` and at most 10 characters have to be changed, where
    L is the longer length. Exact, without comparing all pairs: if k edits suffice, then one of
    k + 1 pieces of the shorter text stands unchanged in the longer one, shifted by at most k
    (Li, Deng, Wang, Feng: Pass-Join, VLDB 2011).
    """
    unique = sorted({key for key in keys if key}, key=lambda key: (len(key), key))
    pieces: dict[tuple[int, int, str], list[str]] = defaultdict(list)
    near: dict[str, set[str]] = defaultdict(set)
    for text in unique:
        limit = _edits(len(text), alike)
        for candidate in _candidates(text, limit, pieces, alike):
            if Levenshtein.distance(text, candidate, score_cutoff=limit) <= limit:
                near[text].add(candidate)
                near[candidate].add(text)
        for i, start, stop in _pieces(len(text), alike):
            pieces[len(text), i, text[start:stop]].append(text)
    return {text: tuple(sorted(matches)) for text, matches in near.items()}


def _edits(length: int, alike: float) -> int:
    # The tolerance keeps (1 - 0.9) * 10 from being 0.9999999999999998.
    return min(MOST_EDITS, int((1 - alike) * length + 1e-9))


@lru_cache(maxsize=4096)
def _pieces(length: int, alike: float) -> tuple[tuple[int, int, int], ...]:
    """Return (number, start, stop) of the pieces that a text of this length is cut into.

    There is one more than the edits that the longest text it can be near to may need.
    """
    longest = length if alike <= 0 else min(int(length / alike + 1e-9), length + MOST_EDITS)
    count = min(_edits(longest, alike) + 1, length)
    return tuple((i, i * length // count, (i + 1) * length // count) for i in range(count))


def _candidates(
    text: str, limit: int, pieces: Mapping[tuple[int, int, str], list[str]], alike: float
) -> set[str]:
    """Return the shorter or equally long texts that share a piece with this one.

    Some unchanged piece ``i`` has at most ``i`` edits before it and at most ``last - i`` after
    it, which bounds how far it can have moved (Pass-Join, multi-match-aware selection).
    """
    candidates: set[str] = set()
    for length in range(max(1, len(text) - limit), len(text) + 1):
        longer = len(text) - length
        cuts = _pieces(length, alike)
        last = len(cuts) - 1
        for i, start, stop in cuts:
            for shift in range(max(-i, longer - last + i, -start), min(i, longer + last - i) + 1):
                if same := pieces.get((length, i, text[start + shift : stop + shift])):
                    candidates.update(same)
    return candidates


def elsewhere(values: Sequence[str | None], splits: Sequence[str | None]) -> list[int | None]:
    """Return how many items of other splits have the same value; None without value or split."""
    total = Counter(value for value, split in zip(values, splits, strict=True) if split is not None)
    within = Counter(zip(values, splits, strict=True))
    return [
        None if value is None or split is None else total[value] - within[value, split]
        for value, split in zip(values, splits, strict=True)
    ]


def near_elsewhere(
    texts: Sequence[str], splits: Sequence[str | None], *, alike: float = 0.9
) -> list[int | None]:
    """Return how many items of other splits have a near-identical text.

    None without a split, and for texts without any word, which say nothing twice.
    """
    keys = [text_key(text) for text in texts]
    near = near_texts(keys, alike)
    total = Counter(key for key, split in zip(keys, splits, strict=True) if split is not None)
    within = Counter(zip(keys, splits, strict=True))
    return [
        sum(total[match] - within[match, split] for match in (key, *near.get(key, ())))
        if key and split is not None
        else None
        for key, split in zip(keys, splits, strict=True)
    ]
