"""Attacks on what stands for something: digests, pseudonyms, the numbers of clusters, the page."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from itertools import product

from benchmarks.disclosure_attacks.counts import Outcome

Guess = Callable[[Mapping[str, int]], str]


def open_digest(
    digest: str, table: Mapping[str, int | None], guesses: Sequence[Guess], k: int
) -> tuple[dict[str, int] | None, int]:
    """Return the table whose digest it is, and after how many tries.

    The table is known but for its hidden cells, None here, each of which is fewer than k.
    ``guesses`` are ways to make a digest of a table, tried one after the other.
    """
    hidden = [name for name, count in table.items() if count is None]
    tries = 0
    for counts in product(range(k), repeat=len(hidden)):
        filled = {name: count for name, count in table.items() if count is not None}
        filled |= dict(zip(hidden, counts, strict=True))
        for guess in guesses:
            tries += 1
            if guess(filled) == digest:
                return filled, tries
    return None, tries


def by_dictionary(
    shown: Mapping[str, str], dictionary: Sequence[str], guesses: Sequence[Callable[[str], str]]
) -> Outcome:
    """Look pseudonyms up in a list of likely names; ``shown`` maps them to the truth.

    ``guesses`` are ways to make the pseudonym of a name. A pseudonym is opened where the guess
    that explains most of them leaves exactly one name, and it is the right one.
    """
    explained: dict[str, set[str]] = {}
    for guess in guesses:
        table: dict[str, set[str]] = {}
        for name in dictionary:
            table.setdefault(guess(name), set()).add(name)
        matched = {text: table[text] for text in shown if text in table}
        if len(matched) > len(explained):
            explained = matched
    # One in 65,536 names fits four digits by chance: a way that explains few explains none.
    if len(explained) * 2 <= len(shown):
        explained = {}
    right = sum(explained.get(text) == {name} for text, name in shown.items())
    return Outcome(len(shown), right)


def linked(first: Mapping[str, str], second: Mapping[str, str]) -> Outcome:
    """Look for the same pseudonym in two incidents: who was in both.

    Both map pseudonyms to the truth: four digits agree by chance, but not for the same name.
    """
    same = [text for text, name in first.items() if second.get(text) == name]
    return Outcome(len(first), len(same))


def by_rank(numbers: Mapping[str, int]) -> Outcome:
    """Take the number of a cluster for the rank of its name, as one who has the list of names.

    ``numbers`` maps each name to the number it has. By chance one of a decision's is right.
    """
    ranked = sorted(numbers)
    return Outcome(len(ranked), sum(numbers[name] == rank for rank, name in enumerate(ranked)))


def followed(first: Mapping[str, int], second: Mapping[str, int]) -> Outcome:
    """Follow the number of a cluster from one decision into the next, over the same names."""
    return Outcome(len(first), sum(second[name] == number for name, number in first.items()))


_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1>|<!--.*?-->", re.DOTALL)
_DRAWN = re.compile(r'<tr class="axis">.*?</tr>|\bin \d+ other slices?\b', re.DOTALL)
"""What a page says of itself: the marks of an axis, and how many rows are below."""
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")


def numbers_in(page: str) -> set[str]:
    """Return the numbers that a page shows, as text without commas."""
    text = unescape(re.sub(r"<[^>]+>", " ", _DRAWN.sub(" ", _UNSEEN.sub(" ", page))))
    return {number.replace(",", "").rstrip(".") for number in _NUMBER.findall(text)}


def extra_numbers(page: str, file: str) -> set[str]:
    """Return the numbers that a page shows and the file does not hold.

    A page may round a fraction, and show it as percent; a whole number it shows as it is.
    """
    held = set(re.findall(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", file))
    exact = {float(number) for number in held}
    fractions = [float(number) for number in held if not number.isdigit()]
    return {
        number
        for number in numbers_in(page)
        if float(number) not in exact and not any(_rounds_to(value, number) for value in fractions)
    }


def _rounds_to(value: float, number: str) -> bool:
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-9
    shown = (value, 100.0 * value) if value <= 1.0 else (value,)
    return any(abs(form - float(number)) <= half for form in shown)


def sha256(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
