"""Reads text line by line and masks what is personal in it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from relkit.core.errors import InvalidInput
from relkit.core.wording import safe
from relkit.redaction.jsonl_files import encode_string, in_fields, parse_strings
from relkit.redaction.scanner import PLACEHOLDER, Scanner
from relkit.redaction.types import (
    LineSpans,
    PersonalSpan,
    PersonalValue,
    RedactionCounts,
)

_MOST_VALUES = 200_000


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
            for match in PLACEHOLDER.finditer(text):
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
