"""E-mail addresses, web addresses and addresses of hosts, said aloud."""

from collections.abc import Sequence

from relkit.redaction.grammar import Cue, Grammar, LineWords, Phrases, Symbols, nearby
from relkit.redaction.spoken import cue_before, value_of
from relkit.redaction.types import PersonalValue

_TOP_LEVEL = frozenset(
    """com org net edu gov mil int io ai dev app co uk de fr es at ch eu info biz me us ca au nl it
    be mx ar cl pe br pt pl se no dk fi ie in jp cn ru tv xyz online site shop cloud tech local
    test example localhost internal lu li cat nz za""".split()
)
_PROVIDERS = frozenset(
    """gmail googlemail hotmail outlook yahoo icloud gmx proton protonmail aol live msn webde
    wanadoo orange laposte free""".split()
)
_SCHEMES = frozenset({"http", "https", "ftp"})
_MOST_LABELS, _MOST_ELEMENTS = 8, 24
_BYTE = 255


def hosts(
    grammar: Grammar, words: LineWords, cues: Sequence[Cue], units: Sequence[Symbols]
) -> list[PersonalValue]:
    """Return e-mail and web addresses, and addresses of hosts by number."""
    reader = _Reader(grammar, words, cues, units)
    return [*reader.names(), *reader.numbers()]


class _Reader:
    """One line, with its units by where they begin and end."""

    def __init__(
        self,
        grammar: Grammar,
        words: LineWords,
        cues: Sequence[Cue],
        units: Sequence[Symbols],
    ) -> None:
        self.grammar, self.words, self.cues = grammar, words, cues
        self.keys = words.keys
        self.starting = {unit.start: unit for unit in units}
        self.ending = {unit.end: unit for unit in units}

    def names(self) -> list[PersonalValue]:
        """Return every name of a host, with the mailbox before it or the path after it."""
        values: list[PersonalValue] = []
        index = floor = 0
        while index < len(self.keys):
            dot = self._at(self.grammar.dot, index)
            top = None if dot is None else self._top_level(dot[0])
            value = self._provider(index, floor) if top is None else self._host(index, top, floor)
            if value is not None:
                kind, start, end = value
                values.append(value_of(self.words, start, end, kind, self._text(start, end)))
                index = floor = end
            else:
                index += 1
        return values

    def _at(self, phrases: Phrases, index: int) -> tuple[int, str | int] | None:
        """Return the end of a sign that is said at a word, or written there without spaces."""
        place = phrases.at(self.keys, index)
        return place if place is not None and self._tight(index) else None

    def _ending(self, phrases: Phrases, end: int) -> int | None:
        """Return where such a sign begins that ends before a word, or None."""
        start = phrases.ending(self.keys, end)
        return start if start is not None and self._tight(start) else None

    def _tight(self, index: int) -> bool:
        if self.keys[index].isalnum():
            return True
        last = index + 1 == len(self.keys)
        return self.words.close(index) and not last and self.words.close(index + 1)

    def _top_level(self, index: int) -> int | None:
        """Return where a top-level domain at a word ends (com; d e; co dot uk), or None."""
        if index >= len(self.keys):
            return None
        end = None
        if self.keys[index] in _TOP_LEVEL:
            end = index + 1
        else:
            text, at = "", index
            while at < len(self.keys) and len(text) < 3 and len(self.keys[at]) == 1:
                text, at = text + self.keys[at], at + 1
                if text in _TOP_LEVEL:
                    end = at
        if end is not None and (dot := self._at(self.grammar.dot, end)) is not None:
            return self._top_level(dot[0]) or end
        return end

    def _element(self, end: int, floor: int) -> int | None:
        """Return where an element of a label begins that ends before a word, or None."""
        if end <= floor:
            return None
        unit = self.ending.get(end)
        if unit is not None and unit.start >= floor:
            return unit.start
        key = self.keys[end - 1]
        if not key[:1].isalnum() or key in self.grammar.stop_words:
            return None
        return end - 1

    def _label(self, end: int, floor: int) -> int | None:
        """Return where the label begins that ends before a word: a word, or letters and digits."""
        start = self._element(end, floor)
        if start is None:
            return None
        for _ in range(_MOST_ELEMENTS):
            dash = self._ending(self.grammar.dash, start)
            under = self._ending(self.grammar.underscore, start)
            joiner = dash if under is None else under
            if joiner is not None and joiner > floor:
                before = self._element(joiner, floor)
                if before is None:
                    return start
                start = before
                continue
            unit, first = self.ending.get(start), self.starting.get(start)
            if unit is None or first is None or unit.start < floor:
                return start
            if self._ending(self.grammar.at, start) is not None:
                return start
            if self._is_word(unit) and first.kind not in {"letter", "digit"}:
                return start
            start = unit.start
        return start

    def _host(self, dot: int, end: int, floor: int) -> tuple[str, int, int] | None:
        """Return (type, start, end) of the host whose last dot is at ``dot``, or None."""
        start = self._label(dot, floor)
        if start is None:
            return None
        for _ in range(_MOST_LABELS):
            before = self._ending(self.grammar.dot, start)
            label = None if before is None else self._label(before, floor)
            if label is None:
                break
            start = label
        mailbox = self._mailbox(start, floor)
        if mailbox is None and (wider := self._wider(start, floor)) is not None:
            mailbox = wider
        if mailbox is not None:
            return "EMAIL", mailbox, end
        # "punto es", "dot it" and the like are words as often as domains
        written = self.keys[dot] == "." or end - dot == 2
        doubtful = (
            written and self.keys[end - 1] in self.grammar.stop_words and self.keys[start] != "www"
        )
        if doubtful and not self._with_path(end) and not self._cue(start) and not self._last(end):
            return None
        return "URL", self._scheme(start, floor), self._path(end)

    def _last(self, end: int) -> bool:
        return self.keys[end - 2] != "." and (
            end == len(self.keys) or self.words.barrier(end) or self.keys[end] == ","
        )

    def _cue(self, start: int) -> bool:
        cue = cue_before(self.words, self.cues, start)
        return cue is not None and cue.type in {"EMAIL", "URL"}

    def _mail_cue(self, start: int, floor: int) -> bool:
        return any(
            cue.type == "EMAIL" and floor <= cue.start and cue.end <= start <= cue.end + 12
            for cue in nearby(self.cues, start - 12, start)
        )

    def _wider(self, start: int, floor: int) -> int | None:
        """Return where a mailbox begins whose host is said in two or three words, or None."""
        for index in range(start - 1, max(floor, start - 3), -1):
            if self.words.barrier(index):
                return None
            mailbox = self._mailbox(index, floor)
            if mailbox is not None:
                return mailbox if self._mail_cue(mailbox, floor) else None
        return None

    def _mailbox(self, host: int, floor: int) -> int | None:
        """Return where the mailbox before a host begins, or None where there is none."""
        at = self._ending(self.grammar.at, host)
        if at is None or at <= floor:
            return None
        start = self._element(at, floor)
        if start is None:
            return None
        extra, cued = 0, self._mail_cue(at, floor)
        grammar = self.grammar
        for _ in range(_MOST_ELEMENTS):
            joiners = (grammar.dot, grammar.dash, grammar.underscore, grammar.plus)
            ends = (self._ending(joiner, start) for joiner in joiners)
            places = [place for place in ends if place is not None and place > floor]
            if places:
                before = self._element(min(places), floor)
                if before is None:
                    break
                start = before
                continue
            before = self._element(start, floor)
            if before is None or self._inside_cue(before):
                break
            unit = self.ending.get(start)
            if unit is None:
                numbered = extra == 0 and start in self.starting
                if extra >= 3 or not (cued or numbered):
                    break
                extra += 1
            elif self._alone(unit):
                break
            start = before
        return start

    def _inside_cue(self, index: int) -> bool:
        return any(cue.end > index and cue.type for cue in nearby(self.cues, index, index + 1))

    def _is_word(self, unit: Symbols) -> bool:
        return unit.kind == "letter" and unit.text in self.grammar.table.words_as_letters

    def _alone(self, unit: Symbols) -> bool:
        """Return whether a letter is a word of its own: no letter or digit stands beside it."""
        beside = unit.end in self.starting or unit.start in self.ending
        return self._is_word(unit) and not beside

    def _provider(self, index: int, floor: int) -> tuple[str, int, int] | None:
        """Return a mailbox at a provider whose ending is left out (jane at gmail), or None."""
        after = range(index + 1, min(index + 3, len(self.keys)))
        if self.keys[index] not in _PROVIDERS or any(
            self._at(self.grammar.dot, place) for place in after
        ):
            return None
        start = self._mailbox(index, floor)
        if start is None or not self._mail_cue(start, floor):
            return None
        return "EMAIL", start, index + 1

    def _scheme(self, start: int, floor: int) -> int:
        """Return where a web address begins with what stands before its first label."""
        index, slashes = start, 0
        for skipped in (1, 2):  # slash slash my site dot io
            slash = self._ending(self.grammar.slash, start - skipped)
            if slash is not None and slash > floor:
                index = start - skipped
        while (before := self._ending(self.grammar.slash, index)) is not None and slashes < 2:
            index, slashes = before, slashes + 1
        colon = self._ending(self.grammar.colon, index)
        if colon is not None and slashes:
            index = colon
            letters = index
            while letters > floor and len(self.keys[letters - 1]) == 1 and index - letters < 5:
                letters -= 1
            if "".join(self.keys[letters:index]) in _SCHEMES:
                return letters
            if index > floor and self.keys[index - 1] in _SCHEMES:
                return index - 1
        return start

    def _with_path(self, end: int) -> bool:
        return self._at(self.grammar.slash, end) is not None

    def _path(self, end: int) -> int:
        """Return where a web address ends with its path: slashes, and words tied by signs."""
        joiners = (
            self.grammar.slash,
            self.grammar.dash,
            self.grammar.underscore,
            self.grammar.dot,
        )
        first = True
        while end < len(self.keys):
            place = self._at(self.grammar.slash, end) if first else None
            if not first:
                for joiner in joiners:
                    place = place or self._at(joiner, end)
            if place is None or place[0] >= len(self.keys):
                break
            index = place[0]
            if not self.keys[index][:1].isalnum():
                break
            unit = self.starting.get(index)
            end = index + 1 if unit is None else unit.end
            while unit is not None and (unit := self.starting.get(end)) is not None:
                end = unit.end
            first = False
        return end

    def _text(self, start: int, end: int) -> str:
        """Return an address as it is written, however it was said."""
        grammar, parts, index = self.grammar, [], start
        signs = (
            (grammar.at, "@"),
            (grammar.underscore, "_"),
            (grammar.dot, "."),
            (grammar.dash, "-"),
            (grammar.slash, "/"),
            (grammar.colon, ":"),
            (grammar.plus, "+"),
        )
        while index < end:
            for phrases, sign in signs:
                place = self._at(phrases, index)
                if place is not None and place[0] < end:
                    parts.append(sign)
                    index = place[0]
                    break
            else:
                unit = self.starting.get(index)
                parts.append(self.keys[index] if unit is None else unit.text)
                index = index + 1 if unit is None else unit.end
        return "".join(parts)

    def numbers(self) -> list[PersonalValue]:
        """Return four numbers up to 255 with dots between, where they are no version."""
        values, index = [], 0
        while index < len(self.keys):
            groups, end = self._groups(index)
            if len(groups) < 4:
                index = index + 1 if len(groups) < 2 else end
                continue
            cue = cue_before(self.words, self.cues, index)
            tied = self._ending(self.grammar.slash, index) is not None
            mine = tied or cue is None or bool(cue.type) or index - cue.end > 3
            if len(groups) == 4 and mine:
                text = ".".join(groups)
                values.append(value_of(self.words, index, end, "IP", text))
            index = end
        return values

    def _groups(self, start: int) -> tuple[list[str], int]:
        """Return numbers up to 255 from a word on, with dots between them, and where they end."""
        groups: list[str] = []
        index = end = start
        while index < len(self.keys):
            text = ""
            while (unit := self.starting.get(index)) is not None and len(text) < 3:
                said = "0" if unit.text == "o" else unit.text
                if not said.isdigit():
                    break
                text, index = text + said, unit.end
            if not text or len(text) > 3 or int(text) > _BYTE:
                break
            if not groups and int(text) == 0:
                break
            groups.append(text)
            end = index
            dot = self._at(self.grammar.dot, index)
            if dot is None:
                break
            index = dot[0]
        return groups, end
