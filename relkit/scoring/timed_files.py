"""NIST's STM references and CTM hypotheses: words with times, scored by segment as sclite does."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isfinite

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where
from relkit.scoring.trn import COMMENT, Transcripts, refuse_empty, with_marks
from relkit.scoring.types import TrnOptions

IGNORED = "ignoretimesegmentinscoring"
"""The text of a segment in which nothing is scored; case and low lines do not matter."""

Track = tuple[str, str]
"""File and channel."""

_STM_FIELDS = 5
_STM_LINE = "a line is: file channel speaker begin end <label> text"
_CTM_LINE = "a line is: file channel begin duration word confidence"
_CTM_FIELDS = range(5, 9)
_LEXICAL = ("lex", "na")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A line of an STM file: who speaks where, from ``begin`` to ``end`` in s, and what."""

    name: str
    track: Track
    begin: float
    end: float
    text: str
    line: int

    @property
    def ignored(self) -> bool:
        """Whether nothing in it is scored."""
        return self.text.strip().replace("_", "").lower() == IGNORED


@dataclass(slots=True, kw_only=True)
class _Words:
    """Words of a CTM file that belong together: one, or all of an alternation."""

    line: int
    begin: float = inf
    middle: float = 0.0
    branches: list[list[str]] = field(default_factory=lambda: [[]])

    def text(self) -> str:
        if len(self.branches) == 1:
            return " ".join(self.branches[0])
        return "{ " + " / ".join(" ".join(words) or "@" for words in self.branches) + " }"


def parse_stm_pair(
    reference: str, hypothesis: str, *, sources: tuple[str, str], options: TrnOptions
) -> tuple[Transcripts, Transcripts]:
    """Return the segments of two STM files that are scored; marks count as in TRN.

    An utterance is called ``file:channel:speaker:begin-end``. What the reference says not to score
    is not scored whatever the hypothesis has there. Raises InvalidInput.
    """
    expected = _segments(reference, sources[0], options)
    ignored = {segment.name for segment in expected if segment.ignored}
    answered = _segments(hypothesis, sources[1], options)
    answered = [segment for segment in answered if segment.name not in ignored]
    return _transcripts(expected, sources[0], options), _transcripts(answered, sources[1], options)


def parse_stm_and_ctm(
    reference: str, hypothesis: str, *, sources: tuple[str, str], options: TrnOptions
) -> tuple[Transcripts, Transcripts]:
    """Return the segments of an STM file, and the words of a CTM file by segment.

    As sclite does, a word belongs to the first segment of its file and channel that ends after the
    word's middle (of alternatives: the last middle among them), the words behind all segments to
    the last one. A segment of a channel of which the hypothesis has nothing is a failure. Raises
    InvalidInput, also where segments of a channel overlap and for words of another channel.
    """
    segments = _segments(reference, sources[0], options)
    words = _words(hypothesis, sources[1], options)
    tracks: dict[Track, list[Segment]] = defaultdict(list)
    for segment in segments:
        tracks[segment.track].append(segment)
    texts: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for track, spoken in words.items():
        if track not in tracks:
            raise InvalidInput(
                f"{where(sources[1], spoken[0].line)}: file and channel are not in {sources[0]}",
                hint="a segment of the reference has the file and channel of its words",
            )
        ordered = sorted(tracks[track], key=lambda segment: (segment.begin, segment.end))
        _refuse_overlap(ordered, sources[0])
        at = 0
        for segment in ordered:
            texts[segment.name] = []
            lines[segment.name] = spoken[min(at, len(spoken) - 1)].line
            while at < len(spoken) and (segment is ordered[-1] or spoken[at].middle < segment.end):
                texts[segment.name].append(spoken[at].text())
                at += 1
    scored = [segment for segment in segments if not segment.ignored and segment.name in texts]
    if not scored:
        raise InvalidInput(f"{sources[1]}: holds no word of a segment of {sources[0]}")
    answered = with_marks(
        [segment.name for segment in scored],
        [" ".join(texts[segment.name]) for segment in scored],
        [lines[segment.name] for segment in scored],
        source=sources[1],
        options=options,
    )
    return _transcripts(segments, sources[0], options), answered


def _transcripts(segments: Sequence[Segment], source: str, options: TrnOptions) -> Transcripts:
    scored = [segment for segment in segments if not segment.ignored]
    return with_marks(
        [segment.name for segment in scored],
        [segment.text for segment in scored],
        [segment.line for segment in scored],
        source=source,
        options=options,
        ignored=len(segments) - len(scored),
    )


def _refuse_overlap(ordered: Sequence[Segment], source: str) -> None:
    for before, after in pairwise(ordered):
        if after.begin < before.end:
            raise InvalidInput(
                f"{where(source, after.line)}: the segment overlaps the one of line {before.line}",
                hint="a word has one segment; score overlapping speakers with MeetEval or asclite",
            )


def _segments(text: str, source: str, options: TrnOptions) -> list[Segment]:
    return [
        _segment(fields, line, source)
        for line, fields in _lines(text, source, options, _STM_FIELDS)
    ]


def _segment(fields: Sequence[str], line: int, source: str) -> Segment:
    at = where(source, line)
    if len(fields) < _STM_FIELDS:
        raise InvalidInput(f"{at}: no STM segment", hint=_STM_LINE)
    file, channel, speaker, *times = fields[:_STM_FIELDS]
    begin, end = (_seconds(written, at, _STM_LINE) for written in times)
    if end < begin:
        raise InvalidInput(f"{at}: the segment ends before it begins")
    body = "".join(fields[_STM_FIELDS:])
    if body.startswith("<"):  # a label, whatever it says: so sclite has it
        body = "".join(body.split(maxsplit=1)[1:])
    return Segment(
        name=f"{file}:{channel}:{speaker}:{'-'.join(times)}",
        track=(file, channel),
        begin=begin,
        end=end,
        text=body,
        line=line,
    )


def _words(text: str, source: str, options: TrnOptions) -> dict[Track, list[_Words]]:
    """Return the words of each file and channel in their order in time."""
    tracks: dict[Track, list[_Words]] = defaultdict(list)
    open_: dict[Track, _Words] = {}
    for line, fields in _lines(text, source, options, max(_CTM_FIELDS)):
        at = where(source, line)
        if len(fields) not in _CTM_FIELDS:
            raise InvalidInput(f"{at}: no CTM word", hint=_CTM_LINE)
        file, channel, begin, duration, word, *further = fields
        track, mark = (file, channel), word.lower()
        group = open_.get(track)
        if mark == "<alt_begin>" and group is None:
            open_[track] = _Words(line=line)
        elif mark == "<alt>" and group is not None:
            group.branches.append([])
        elif mark == "<alt_end>" and group is not None:
            tracks[track].append(open_.pop(track))
        elif mark.startswith("<alt"):
            raise InvalidInput(
                f"{at}: {mark[1:-1].upper()} where none belongs",
                hint="alternatives are <ALT_BEGIN> … <ALT> … <ALT_END>, and do not nest",
            )
        else:
            _check_further(further, at)
            if group is None:
                group = _Words(line=line)
                tracks[track].append(group)
            elif set(word) & set("{}/"):
                raise InvalidInput(f"{at}: one of {{ }} / inside of an alternative")
            start = _seconds(begin, at, _CTM_LINE)
            group.branches[-1].append(word)
            group.begin = min(group.begin, start)
            group.middle = max(group.middle, start + _seconds(duration, at, _CTM_LINE) / 2)
    for group in open_.values():
        raise InvalidInput(f"{where(source, group.line)}: <ALT_BEGIN> without <ALT_END>")
    return {track: sorted(words, key=lambda word: word.begin) for track, words in tracks.items()}


def _check_further(further: Sequence[str], at: str) -> None:
    """Refuse a confidence that is no number, and words that are not to be scored as words."""
    if further and further[0].lower() != "na":
        _seconds(further[0], at, _CTM_LINE, what="the confidence")
    if len(further) > 1 and further[1].lower() not in _LEXICAL:
        raise InvalidInput(
            f"{at}: a word of a type that is not scored as a word",
            hint='score words of the type "lex" alone: leave the others out',
        )


def _seconds(written: str, at: str, hint: str, *, what: str = "a time") -> float:
    try:
        value = -1.0 if "_" in written else float(written)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < 0:
        raise InvalidInput(f"{at}: {what} is no number from 0 on", hint=hint)
    return value


def _lines(
    text: str, source: str, options: TrnOptions, splits: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each line that is no comment, names in lower case unless -s is given."""
    refuse_empty(text, source)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith(COMMENT):
            fields = line.split(maxsplit=splits)
            names = fields[:3] if splits == _STM_FIELDS else fields[:2]
            if not options.case_sensitive:
                names = [name.lower() for name in names]
            yield number, [*names, *fields[len(names) :]]
