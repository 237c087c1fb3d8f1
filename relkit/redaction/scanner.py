"""Finds what is personal in one line: what is written and what is said in it, by tables."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from relkit.redaction.grammar import OPAQUE, Grammar, LineWords, grammar_of
from relkit.redaction.hosts import hosts
from relkit.redaction.spoken import addresses, birth_dates, personal_runs
from relkit.redaction.types import Language, PersonalValue
from relkit.redaction.written import CheckDigits, PhonePlan, written_values

PLACEHOLDER = re.compile(r"\[([A-Z]{2,16}(?:_[A-Z]{2,16}){0,3})_(\d{1,9})\]")
"""What stands in a text for a value that was masked: its type and number."""

_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Scanner:
    """Finds personal values in lines, by the tables of some languages.

    It is exact about repetition: what it would find in a masked line is masked at once.
    """

    languages: tuple[Language, ...]
    plan: PhonePlan
    checks: CheckDigits

    def values(self, line: str) -> list[PersonalValue]:
        """Return what is personal in a line, in order, disjoint, placed in code points."""
        text, origin = line, None
        if "[" in line:
            masks = [match.span() for match in PLACEHOLDER.finditer(line)]
            text, origin = _hidden(line, masks, origin)
        masked: list[PersonalValue] = []
        for _ in range(_ROUNDS):
            values = _united(self._read(text))
            if not values:
                break
            starts = [_at(origin, value.start) for value in values]
            ends = [_at(origin, value.end - 1) + 1 for value in values]
            masked += [
                PersonalValue(start, end, value.type, value.value)
                for value, start, end in zip(values, starts, ends, strict=True)
            ]
            text, origin = _hidden(text, [(value.start, value.end) for value in values], origin)
        return sorted(masked, key=lambda value: value.start)

    def _read(self, text: str) -> Iterator[PersonalValue]:
        grammars = [grammar_of(language) for language in self.languages]
        regions = [region for grammar in grammars for region in grammar.table.regions]
        yield from written_values(text, regions, self.plan, self.checks)
        words = LineWords(text)
        for grammar in grammars:
            yield from _spoken(grammar, words)


def _spoken(grammar: Grammar, words: LineWords) -> Iterator[PersonalValue]:
    units = grammar.units(words)
    cues = grammar.find_cues(words)
    runs = grammar.runs(units, words, cues)
    yield from hosts(grammar, words, cues, units)
    yield from birth_dates(grammar, words, cues)
    yield from addresses(grammar, words, cues, runs)
    yield from personal_runs(grammar, words, cues, units, runs)


Places = Sequence[int] | None
"""Where each character of a text stood in the line; None while that is the same place."""


def _at(origin: Places, index: int) -> int:
    return index if origin is None else origin[index]


def _hidden(text: str, masks: Iterable[tuple[int, int]], origin: Places) -> tuple[str, Places]:
    """Return a text with one opaque character for each mask, and where its characters stood."""
    parts: list[str] = []
    places: list[int] = []
    last = 0
    for start, end in masks:
        parts += text[last:start], OPAQUE
        places += (_at(origin, index) for index in range(last, start))
        places.append(_at(origin, start))
        last = end
    if not parts:
        return text, origin
    parts.append(text[last:])
    places += (_at(origin, index) for index in range(last, len(text)))
    return "".join(parts), places


def _united(values: Iterable[PersonalValue]) -> list[PersonalValue]:
    """Return values in order and disjoint: those that overlap become one, of the longest's type."""
    united: list[PersonalValue] = []
    longest = 0
    for value in sorted(values, key=lambda value: (value.start, -value.end)):
        if not united or value.start >= united[-1].end:
            united.append(value)
            longest = value.end - value.start
            continue
        last, size = united[-1], value.end - value.start
        cued = size == longest and last.type == "PHONE" != value.type
        winner = value if size > longest or cued else last
        longest = max(longest, size)
        end = max(last.end, value.end)
        united[-1] = PersonalValue(last.start, end, winner.type, winner.value)
    return united
