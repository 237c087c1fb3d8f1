"""Numbers, codes and spellings as they are said: what a run of digits and letters is."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from relkit.redaction.grammar import Cue, Grammar, LineWords, Symbols, nearby
from relkit.redaction.types import PersonalValue

REACH = 7
"""Words between a cue and what it speaks of."""

_AFTER = 4
_LONG, _LONGEST_PHONE, _LONGEST_CARD = 7, 12, 19
_MONTH_DIGITS = 8

_SHORTEST = {
    "PHONE": 5,
    "CARD": 4,
    "PIN": 3,
    "CODE": 4,
    "ACCOUNT": 4,
    "ID": 4,
    "PLATE": 4,
    "POSTCODE": 4,
    "IP": 7,
}
"""Digits and letters that a value has at least, after a cue."""


def personal_runs(
    grammar: Grammar,
    words: LineWords,
    cues: Sequence[Cue],
    units: Sequence[Symbols],
    runs: Sequence[Sequence[Symbols]],
) -> list[PersonalValue]:
    """Return the runs that are personal: by the cue beside them, or by their length alone."""
    starting = {unit.start: unit for unit in units}
    ending = {unit.end: unit for unit in units}
    values = []
    previous_end = 0
    for short in runs:
        cue = cue_before(words, cues, short[0].start, previous_end)
        run = short if cue is None else _widened(grammar, short, cue, words, starting, ending)
        kind = _kind(grammar, words, cues, run, previous_end)
        if kind is not None:
            start = run[0].start
            if kind == "PHONE" and (plus := grammar.plus.ending(words.keys, start)) is not None:
                start = plus
            values.append(value_of(words, start, run[-1].end, kind, _text(run)))
            previous_end = run[-1].end
    return values


def _widened(
    grammar: Grammar,
    run: Sequence[Symbols],
    cue: Cue,
    words: LineWords,
    starting: dict[int, Symbols],
    ending: dict[int, Symbols],
) -> Sequence[Symbols]:
    """Return a run with letters beside it that are words elsewhere: a plate may begin with one."""
    if cue.type not in {"PLATE", "CODE", "ACCOUNT", "ID", "POSTCODE", "PIN"}:
        return run
    before, after = ending.get(run[0].start), starting.get(run[-1].end)
    if before is not None and before.start >= cue.end and before.kind in {"letter", "spelled"}:
        mine = cue.type == "PLATE" or words.keys[before.start] not in grammar.stop_words
        run = [before, *run] if mine else run
    if after is not None and after.kind in {"letter", "spelled"} and cue.type != "POSTCODE":
        last = after.end == len(words) or not words.keys[after.end][:1].isalnum()
        run = [*run, after] if last else run
    return run


def value_of(words: LineWords, start: int, end: int, kind: str, text: str) -> PersonalValue:
    """Return words ``start`` to ``end`` as a value whose normal form is ``text``."""
    if kind == "PHONE":
        text = text.lstrip("0")
        text = text[1:] if len(text) == 11 and text.startswith("1") else text
    return PersonalValue(words.starts[start], words.ends[end - 1], kind, text)


def cue_before(words: LineWords, cues: Sequence[Cue], start: int, floor: int = 0) -> Cue | None:
    """Return the nearest cue that ends before word ``start`` and reaches it, or None."""
    for cue in reversed(nearby(cues, start - REACH, start)):
        if cue.end > start:
            continue
        if cue.start < floor:
            return None
        return None if any(map(words.barrier, range(cue.end, start))) else cue
    return None


def _text(run: Sequence[Symbols]) -> str:
    return "".join(unit.text for unit in run)


def _kind(
    grammar: Grammar,
    words: LineWords,
    cues: Sequence[Cue],
    run: Sequence[Symbols],
    floor: int,
) -> str | None:
    """Return the type of a run, or None where it is nobody's."""
    start, end, text = run[0].start, run[-1].end, _text(run)
    if _part_of_decimal(grammar, words, start, end):
        return None
    singles = sum(len(unit.text) for unit in run if unit.kind == "digit")
    counted = end < len(words) and words.keys[end] in grammar.units_after
    if counted and singles < 6 and all(unit.is_number for unit in run):
        return None
    cue = cue_before(words, cues, start, floor)
    if cue is None or (not cue.type and start - cue.end > 3):
        after = _cue_after(grammar, words, cues, end)
        cue = after or cue
    if cue is not None and cue.type and not _is_date_or_time(grammar, words, run):
        kind = _after_cue(cue.type, run, text, words)
        if kind is not None:
            return kind
    return _without_cue(run, text, singles, blocked=cue is not None and not cue.type)


def _is_date_or_time(grammar: Grammar, words: LineWords, run: Sequence[Symbols]) -> bool:
    """Return whether a short number stands beside a month, or is said as a time of day."""
    start, end = run[0].start, run[-1].end
    if sum(len(unit.text) for unit in run) > _MONTH_DIGITS or len(run) > 4:
        return False
    before = words.keys[max(0, start - 3) : start]
    if any(key in grammar.months for key in before):
        return True
    after = [key for key in words.keys[end : end + 2] if key not in grammar.date_joiners]
    if after[:1] and after[0] in grammar.months:
        return True
    pairs = len(run) <= 2 and all(unit.kind in {"digit", "pair"} for unit in run)
    return pairs and bool(before) and before[-1] in grammar.time_words


def _part_of_decimal(grammar: Grammar, words: LineWords, start: int, end: int) -> bool:
    """Return whether a point stands before or after: a version, a decimal, an address of a host."""
    if grammar.dot.ending(words.keys, start) is not None and words.keys[start - 1] != ".":
        return True
    if start >= 2 and words.keys[start - 1] in {".", ":"} and words.close(start):
        return words.close(start - 1)
    if end + 1 < len(words) and words.keys[end] in {".", ":", "%"} and words.close(end):
        return words.keys[end] == "%" or words.close(end + 1)
    place = grammar.dot.at(words.keys, end)
    if place is None or words.keys[end] == ".":
        return False
    return grammar.numbers.at(words.keys, place[0]) is not None


def _cue_after(grammar: Grammar, words: LineWords, cues: Sequence[Cue], end: int) -> Cue | None:
    """Return a cue shortly after (… is my PIN), or None."""
    for cue in nearby(cues, end, end + _AFTER + 1):
        if cue.start < end:
            continue
        between = range(end, cue.start)
        if not 1 <= len(between) <= _AFTER or not cue.type or any(map(words.barrier, between)):
            return None
        linked = all(words.keys[index] in grammar.stop_words for index in between)
        return cue if linked else None
    return None


def _after_cue(kind: str, run: Sequence[Symbols], text: str, words: LineWords) -> str | None:
    """Return what a cue makes of a run: its type, or None where the run is no such thing."""
    digits = sum(char.isdigit() for char in text)
    letters = len(text) - digits
    if kind in {"SPELLED", "EMAIL"}:
        spelled = sum(unit.kind in {"letter", "spelled"} for unit in run)
        return "SPELLED" if spelled >= (2 if kind == "SPELLED" else 3) else None
    if len(text) < _SHORTEST.get(kind, len(text) + 1) or _looks_like_date(run, words):
        return None
    amount = len(run) == 1 and run[0].kind == "cardinal"
    if kind == "IP":
        fits = len(run) >= 6
    elif kind == "PLATE":
        fits = bool(letters and digits) or letters >= 5 or digits >= 5
    elif kind == "POSTCODE":
        fits = bool(digits) and len(text) <= 9
    elif kind in {"PHONE", "CARD"}:
        fits = digits == len(text) and not amount
    elif all(unit.is_number for unit in run):
        fits = not amount
    else:
        parts = len(run) >= 4 or (len(text) >= 6 and digits >= 1)
        fits = len(text) > 4 - (len(run) == len(text)) and (digits >= 2 or parts)
    return kind if fits else None


def _looks_like_date(run: Sequence[Symbols], words: LineWords) -> bool:
    """Return whether written numbers are a day: 2026-01-13, 13/01/2026."""
    first = run[:3]
    return (
        len(first) == 3
        and all(unit.kind in {"numeral", "digit"} for unit in first)
        and sorted(len(unit.text) for unit in first) in ([2, 2, 4], [1, 2, 4], [1, 1, 4])
        and words.keys[first[0].end] in "-/."
    )


def _without_cue(run: Sequence[Symbols], text: str, singles: int, *, blocked: bool) -> str | None:
    """Return the type of a run that nothing announces: long, and said digit by digit."""
    digits = sum(char.isdigit() for char in text)
    spelled = sum(unit.kind == "spelled" for unit in run)
    if all(unit.is_number for unit in run):
        said = sum(unit.kind in {"digit", "pair"} for unit in run)
        if digits < _LONG or (blocked and digits < 9) or _counts(run) or said < 4:
            return None
        if singles < 4 and not (singles + 2 * sum(u.kind == "pair" for u in run) == digits >= 8):
            return None
        if digits <= _LONGEST_PHONE:
            return "PHONE"
        return "CARD" if digits <= _LONGEST_CARD else "ACCOUNT"
    if spelled >= 3:
        return "CODE" if digits else "SPELLED"
    letters = [unit for unit in run if unit.kind in {"letter", "spelled"}]
    if blocked or any(unit.kind == "mixed" for unit in run):
        return None
    if min(digits, len(letters)) >= 1 and singles + len(letters) >= 6:
        return "CODE"
    return "SPELLED" if len(letters) >= 5 and not digits and not _alphabet(text) else None


def _counts(run: Sequence[Symbols]) -> bool:
    """Return whether somebody counts: each number is as far from the one before."""
    if any(len(unit.text) > _LONGEST_PHONE for unit in run):
        return False
    numbers = [int(unit.text) for unit in run]
    steps = {after - before for before, after in pairwise(numbers)}
    return len(steps) == 1 and len(run) >= 4 and steps != {0}


def _alphabet(text: str) -> bool:
    return text in "abcdefghijklmnopqrstuvwxyz" or text in {"https", "qwerty"}


def birth_dates(grammar: Grammar, words: LineWords, cues: Sequence[Cue]) -> list[PersonalValue]:
    """Return the dates beside a cue of birth: day and month, or at least a year."""
    values = []
    for cue in cues:
        if cue.type != "DATE_OF_BIRTH":
            continue
        for start in range(cue.end, min(len(words), cue.end + 4)):
            if words.barrier(start):
                break
            if _date_part(grammar, words, start) is not None:
                if (date := _date(grammar, words, start, cue.end)) is not None:
                    values.append(date[1])
                break
        for start in range(max(0, cue.start - 8), cue.start):
            date = _date(grammar, words, start, start)
            if date is not None and date[0] == cue.start:
                values.append(date[1])
                break
    return values


def _date(
    grammar: Grammar, words: LineWords, start: int, floor: int
) -> tuple[int, PersonalValue] | None:
    """Return where a date ends that begins at a word, and the date; None where there is none.

    Its article belongs to it, where that is not before word ``floor``.
    """
    parts: list[str] = []
    index = end = start
    while index < len(words) and len(parts) < 8:
        part = _date_part(grammar, words, index)
        if part is not None:
            end = index = part[0]
            parts.append(part[1])
        elif parts and (words.keys[index] in grammar.date_joiners or words.keys[index] in ",./-"):
            index += 1
        else:
            break
    digits = sum(len(part) for part in parts if part.isdigit())
    month = any(not part.isdigit() for part in parts)
    if not (month and len(parts) >= 2) and digits < 4:
        return None
    text = "".join(part.lstrip("0") for part in parts)
    if start > floor and words.keys[start - 1] in grammar.date_joiners:
        start -= 1
    return end, value_of(words, start, end, "DATE_OF_BIRTH", text)


def _date_part(grammar: Grammar, words: LineWords, index: int) -> tuple[int, str] | None:
    """Return (end, text) of a month, a day or a part of a year at a word, or None."""
    key = words.keys[index]
    if key in grammar.months:
        return index + 1, key[:3]
    if key in grammar.ordinals:
        return index + 1, str(grammar.ordinals[key])
    if key.isascii() and key.isdigit() and len(key) <= _MONTH_DIGITS:
        return index + 1, key
    if len(key) <= 4 and key[:1].isdigit() and key[-2:] in {"st", "nd", "rd", "th", "er"}:
        return index + 1, key.rstrip("sterndh")
    if key in grammar.interjections and len(key) > 1:
        return index + 1, "0"
    place = grammar.number(words.keys, index)
    if place is None:
        return None
    end, value = place
    if end < len(words) and words.keys[end] in grammar.ordinals and value % 10 == 0 < value:
        return end + 1, str(value + grammar.ordinals[words.keys[end]])
    return end, str(value)


def addresses(
    grammar: Grammar,
    words: LineWords,
    cues: Sequence[Cue],
    runs: Sequence[Sequence[Symbols]],
) -> list[PersonalValue]:
    """Return addresses: a number and a street in the language's order, mostly after a cue."""
    values = []
    starting = {run[0].start: run for run in runs}
    ending = {run[-1].end: run for run in runs}
    order = grammar.table.address_order
    last = 0
    for index in range(len(words)):
        key = words.keys[index]
        ended = bool(grammar.street_endings) and key.endswith(grammar.street_endings)
        if index < last or (key not in grammar.streets and not ended):
            continue
        if order == "number name street":
            place = _number_first(grammar, words, cues, ending, index)
        elif order == "number street name":
            place = _number_before(grammar, words, cues, ending, index)
        else:
            place = _number_last(grammar, words, cues, starting, index)
        if place is None:
            continue
        start, end = place
        end = _door(grammar, words, starting, end)
        text = "".join(words.keys[start:end])
        values.append(value_of(words, start, end, "ADDRESS", text))
        last = end
        if (code := _postcode_after(words, runs, end)) is not None:
            values.append(code)
            last = max(last, end)
    return values


def _cued(words: LineWords, cues: Sequence[Cue], start: int) -> bool:
    return any(
        cue.type == "ADDRESS"
        and cue.start <= start
        and start - cue.end <= REACH
        and not any(map(words.barrier, range(cue.end, start)))
        for cue in nearby(cues, start - REACH, start + 1)
    )


def _blocked(words: LineWords, cues: Sequence[Cue], start: int) -> bool:
    cue = cue_before(words, cues, start)
    return cue is not None and not cue.type and start - cue.end <= 2


def _number_first(
    grammar: Grammar,
    words: LineWords,
    cues: Sequence[Cue],
    ending: dict[int, Sequence[Symbols]],
    street: int,
) -> tuple[int, int] | None:
    """Find ``12 Oak Street`` by its street: the number stands one to four words before it."""
    for number_end in range(street - 1, max(-1, street - 5), -1):
        run = ending.get(number_end)
        between = range(number_end, street)
        if any(words.barrier(index) or words.keys[index] == "," for index in between):
            return None
        if run is None or not run[0].text[:1].isdigit():
            continue
        start = run[0].start
        if _cued(words, cues, start):
            return start, street + 1
        named = all(
            words.keys[index] not in grammar.stop_words
            and words.keys[index] not in grammar.streets
            and words.keys[index] not in grammar.units_after
            for index in between
        )
        sure = words.keys[street] in grammar.sure_streets and not _blocked(words, cues, start)
        return (start, street + 1) if named and sure else None
    return None


def _number_before(
    grammar: Grammar,
    words: LineWords,
    cues: Sequence[Cue],
    ending: dict[int, Sequence[Symbols]],
    street: int,
) -> tuple[int, int] | None:
    """Find ``12 rue de la Paix``: the number, perhaps ``bis``, then the street and its name."""
    at = street - 1 if street and words.keys[street - 1] in {"bis", "ter", ","} else street
    run = ending.get(at)
    if run is None or not run[0].text[:1].isdigit():
        return None
    start = run[0].start
    cued = _cued(words, cues, start)
    if not cued and (
        words.keys[street] not in grammar.sure_streets or _blocked(words, cues, start)
    ):
        return None
    end = _name_end(grammar, words, street + 1, 3)
    return (start, end) if end > street + 1 else None


def _name_end(grammar: Grammar, words: LineWords, index: int, most: int) -> int:
    """Return where a street's name ends: joiners, and at most so many words of its own."""
    end, names, start = index, 0, index
    while index < len(words) and names < most:
        key = words.keys[index]
        tight = key == "-" and words.close(index) and names > 0
        if key in grammar.name_joiners or tight or (key == "." and index == start):
            index += 1
            continue
        if (
            not key[:1].isalpha()
            or grammar.doors.at(words.keys, index)
            or key in grammar.stop_words
            or grammar.numbers.at(words.keys, index)
        ):
            break
        names, index = names + 1, index + 1
        end = index
    return end


def _number_last(
    grammar: Grammar,
    words: LineWords,
    cues: Sequence[Cue],
    starting: dict[int, Sequence[Symbols]],
    street: int,
) -> tuple[int, int] | None:
    """Find ``calle Mayor 12`` and ``Hauptstraße 12``: the number comes last."""
    key = words.keys[street]
    if grammar.table.address_order == "street number":
        start, index = street, street + 1
        sure = key in grammar.sure_streets or key.endswith(tuple(grammar.sure_streets))
        if key in grammar.streets and start and words.keys[start - 1] not in grammar.stop_words:
            start -= 1 if words.keys[start - 1].isalpha() else 0
    else:
        start, index = street, _name_end(grammar, words, street + 1, 4)
        sure = key in grammar.sure_streets and index > street + 1
    while index < len(words) and words.keys[index] == ",":
        index += 1
    door = grammar.doors.at(words.keys, index)
    index = index if door is None else door[0]
    run = starting.get(index)
    if run is None or not run[0].text[:1].isdigit():
        return None
    if len(run) > 2 and not run[0].is_number:
        return None
    end = run[-1].end
    counted = end < len(words) and words.keys[end] in grammar.units_after
    if not _cued(words, cues, start) and (counted or not sure):
        return None
    return start, end


def _door(
    grammar: Grammar, words: LineWords, starting: dict[int, Sequence[Symbols]], end: int
) -> int:
    """Return where an address ends with its apartment, floor or suite."""
    index = end
    while index < len(words) and words.keys[index] == ",":
        index += 1
    place = grammar.doors.at(words.keys, index)
    if place is None:
        return end
    run = starting.get(place[0])
    if run is not None:
        return run[-1].end
    single = place[0] < len(words) and len(words.keys[place[0]]) == 1
    return place[0] + 1 if single and words.keys[place[0]].isalnum() else end


def _postcode_after(
    words: LineWords, runs: Sequence[Sequence[Symbols]], end: int
) -> PersonalValue | None:
    """Return the postcode of an address: the next run of its shape, a few words on."""
    place = bisect_left(runs, end, key=lambda run: run[0].start)
    if place == len(runs):
        return None
    run = runs[place]
    start, text = run[0].start, _text(run)
    if start - end > REACH or any(map(words.barrier, range(end, start))):
        return None
    digits = sum(char.isdigit() for char in text)
    if digits == 5 or (len(text) in {5, 6, 7} and 2 <= digits < len(text)):
        return value_of(words, start, run[-1].end, "POSTCODE", text)
    return None
