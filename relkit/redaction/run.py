"""Reads text line by line and masks what is personal in it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from relkit.core.errors import InvalidInput
from relkit.core.wording import safe
from relkit.redaction.grammar import OPAQUE, Grammar, LineWords, grammar_of
from relkit.redaction.hosts import hosts
from relkit.redaction.jsonl_files import encode_string, in_fields, parse_strings
from relkit.redaction.ports import CheckDigits, PhonePlan
from relkit.redaction.spoken import addresses, birth_dates, personal_runs
from relkit.redaction.types import (
    Language,
    LineSpans,
    PersonalSpan,
    PersonalValue,
    RedactionCounts,
)
from relkit.redaction.written import written_values

_PLACEHOLDER = re.compile(r"\[([A-Z]{2,16}(?:_[A-Z]{2,16}){0,3})_(\d{1,9})\]")
_ROUNDS = 10
_MOST_VALUES = 200_000


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
            masks = [match.span() for match in _PLACEHOLDER.finditer(line)]
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


@dataclass(slots=True)
class Masking:
    """Masks the texts of one file: the same value has the same placeholder in all of them.

    Its memory is bounded: after 200,000 values a value that is new gets a number each time.
    """

    scanner: Scanner
    lines: int = 0
    lines_masked: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    _last: Counter[str] = field(default_factory=Counter)

    def mask(self, text: str) -> tuple[str, list[PersonalValue]]:
        """Return a text with a placeholder for each personal value, and these values."""
        if "[" in text:
            for match in _PLACEHOLDER.finditer(text):
                self._last[match[1]] = max(self._last[match[1]], int(match[2]))
        parts: list[str] = []
        last = 0
        values = self.scanner.values(text)
        for value in values:
            parts += text[last : value.start], f"[{value.type}_{self._number(value)}]"
            last = value.end
        self.by_type.update(value.type for value in values)
        return "".join([*parts, text[last:]]), values

    def counts(self) -> RedactionCounts:
        """Return what was masked until now, in numbers."""
        return RedactionCounts(
            lines=self.lines,
            lines_masked=self.lines_masked,
            spans=self.by_type.total(),
            by_type=dict(sorted(self.by_type.items())),
            languages=self.scanner.languages,
        )

    def _number(self, value: PersonalValue) -> int:
        key = (value.type, value.value)
        number = self._numbers.get(key)
        if number is None:
            number = self._last[value.type] = self._last[value.type] + 1
            if len(self._numbers) < _MOST_VALUES:
                self._numbers[key] = number
        return number


def redact_lines(
    masking: Masking,
    lines: Iterable[str],
    *,
    source: str,
    jsonl: bool = False,
    fields: Sequence[str] = (),
) -> Iterator[tuple[str, LineSpans]]:
    """Yield each line masked, with its end as it was, and where it had personal values.

    Of JSON lines the strings of ``fields`` are masked (``turns.text``; arrays add nothing, what
    lies within a field belongs to it), all strings without any. Raises Malformed where a line is
    no JSON, and InvalidInput at the end where a field never was there.
    """
    absent = set(fields)
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n")
        if jsonl:
            masked, spans = _mask_json(masking, line, number, source, fields, absent)
        else:
            masked, values = masking.mask(line)
            spans = [PersonalSpan(start=v.start, end=v.end, type=v.type) for v in values]
        masking.lines += 1
        masking.lines_masked += bool(spans)
        yield masked + raw[len(line) :], LineSpans(line=number, spans=tuple(spans))
    if absent and masking.lines:
        raise InvalidInput(
            f"{source}: no line has text in {safe(', '.join(sorted(absent)), 200)}; nothing of it "
            "was masked",
            hint="--field takes names of members, with dots: turns.text",
        )


def _mask_json(
    masking: Masking,
    line: str,
    number: int,
    source: str,
    fields: Sequence[str],
    absent: set[str],
) -> tuple[str, list[PersonalSpan]]:
    body = line.removeprefix("\ufeff") if number == 1 else line
    shift = last = len(line) - len(body)
    parts, spans = [line[:shift]], []
    strings = parse_strings(body, number, source=source) if body.strip() else []
    for string in strings:
        if fields:
            name = in_fields(string.path, fields)
            if name is None:
                continue
            absent.discard(name)
        masked, values = masking.mask(string.text)
        if values:
            parts += line[last : string.start + shift], encode_string(masked, body)
            last = string.end + shift
        for value in values:
            start, end = string.place(body, value.start, value.end)
            spans.append(PersonalSpan(start=start + shift, end=end + shift, type=value.type))
    return "".join([*parts, line[last:]]), spans
