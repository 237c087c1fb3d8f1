"""Which format a transcript file has: its ending says so, and nothing is guessed into a number.

A file whose ending says nothing is plain text, unless it looks like something else: then it is
refused, and the message names the way out.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import Literal

from relkit.core.errors import InvalidInput

Format = Literal["trn", "jsonl", "kaldi", "txt", "stm", "ctm"]
"""``ctm`` is an STM reference and a CTM hypothesis, every other one the format of both files."""

NAMES: Mapping[Format, str] = {
    "trn": "TRN",
    "jsonl": "JSON lines",
    "kaldi": "Kaldi's text",
    "txt": "plain text",
    "stm": "STM",
    "ctm": "CTM",
}

_ENDINGS: Mapping[str, Format] = {
    ".trn": "trn",
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".stm": "stm",
    ".ctm": "ctm",
    ".txt": "txt",
}

_LINES = 'write {"id": …, "text": …} a line'
_SUBTITLES = f"subtitles have no utterance ids and are cut for reading: {_LINES}, or STM and CTM"
_REFUSED: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys((".srt", ".vtt", ".ass", ".ttml"), ("subtitles", _SUBTITLES)),
    ".rttm": ("RTTM, which says who spoke when", "give the words: STM, and CTM"),
    **dict.fromkeys(
        (".csv", ".tsv", ".parquet", ".xlsx"),
        ("a table", f"{_LINES}; relkit dataset import reads tables of a dataset"),
    ),
    **dict.fromkeys((".textgrid", ".eaf", ".mlf", ".xml"), ("annotations", _LINES)),
}

_CUE = re.compile(r"\d\d:\d\d[.,]\d{3} --> (?:\d\d:)?\d\d:\d\d[.,]\d{3}")
_TRN_LINE = re.compile(r".*\(([^\s()]+)\)\s*")
_HEADER = re.compile(r"[A-Za-z_ ]+(?:[,;\t][A-Za-z_ ]+)+")
_TEXT_COLUMNS = frozenset(
    {"text", "sentence", "transcript", "transcription", "reference", "hypothesis", "ref", "hyp"}
)
_ID = re.compile(r"(?=.*\d)(?=.*[^\d.,:%$€£])[^\s]+|[^\s]*_[^\s]*|0\d{2,}|\d{6,}")
_SORTED, _ALL_DIFFERENT = 10, 20
_FIRST = 50
_LOOK = 1 << 16  # characters that the first lines are taken from


class _Lines:
    """A file of no known format, looked at line by line."""

    def __init__(self, text: str) -> None:
        self._text = text
        lines = text[:_LOOK].split("\n")
        lines = ((lines if len(text) <= _LOOK else lines[:-1]) or [text])[:_FIRST]
        self._seen = len(lines)
        self.first = [line for line in lines if line and not line.isspace()]
        self.start = self.first[0].strip() if self.first else ""

    @cached_property
    def all(self) -> Sequence[str]:
        """All lines; few files are looked at so far."""
        return self._text.removesuffix("\n").split("\n")

    def each(self, test: Callable[[str], object]) -> bool:
        """Tell whether a test holds for every line that is not blank.

        Most texts fail it on the first lines, so that a long one costs nothing.
        """
        return all(map(test, self.first)) and all(
            test(line) for line in self.all[self._seen :] if line and not line.isspace()
        )


def pair_format(names: tuple[str, str], texts: tuple[str, str]) -> Format:
    """Return the format of a reference and a hypothesis; raises InvalidInput.

    ``names`` are the names of the files. Where one ending says nothing the other file's holds.
    """
    endings = _by_ending(names[0]), _by_ending(names[1])
    if endings in (("stm", "ctm"), ("stm", None), (None, "ctm")):
        return "ctm"
    reference = endings[0] or endings[1] or "txt"
    hypothesis = endings[1] or reference
    if reference == "ctm":
        raise InvalidInput(
            f"{names[0]}: a CTM file holds no segments", hint="the reference of a CTM is an STM"
        )
    if reference != hypothesis:
        raise InvalidInput(
            f"{names[0]} is {NAMES[reference]}, {names[1]} is {NAMES[hypothesis]}",
            hint="write both in one format; --format says which, where an ending does not fit",
        )
    if reference == "txt":
        _refuse_other_formats(names, texts)
    return reference


def _by_ending(name: str) -> Format | None:
    ending = PurePath(name).suffix.lower()
    if ending in _REFUSED:
        what, hint = _REFUSED[ending]
        raise InvalidInput(f"{name}: {what}, no transcripts by utterance", hint=hint)
    return _ENDINGS.get(ending)


def _refuse_other_formats(names: tuple[str, str], texts: tuple[str, str]) -> None:
    """Refuse files that look like anything but plain text; raises InvalidInput."""
    files = []
    for name, text in zip(names, texts, strict=True):
        file = _Lines(text)
        _refuse_by_look(name, file)
        files.append(file)
    ids = [_first_words(file) for file in files]
    for name, words in zip(names, ids, strict=True):
        if len(words) > 1 and _are_ids(words):
            raise _looks_like(name, "kaldi")
    if ids[0] and set(ids[0]) == set(ids[1]) and _are_ids_together(*ids):
        raise _looks_like(names[0], "kaldi")


def _refuse_by_look(name: str, file: _Lines) -> None:
    first = file.start
    if first.startswith("WEBVTT") or any(map(_CUE.search, file.first)):
        raise InvalidInput(f"{name}: looks like subtitles", hint=_SUBTITLES)
    separated = re.split(r"[,;\t]", first.lower())
    if _HEADER.fullmatch(first) and _TEXT_COLUMNS & {column.strip() for column in separated}:
        raise InvalidInput(f"{name}: looks like a table", hint=_REFUSED[".csv"][1])
    tests: tuple[tuple[Format, Callable[[str], object]], ...] = (
        ("jsonl", lambda line: line.lstrip().startswith(('{"', '[{"')) or line.strip() in "[]{}"),
        ("stm", lambda line: line.startswith(";;") or _has_times(line, 3)),
        ("ctm", lambda line: line.startswith(";;") or _has_times(line, 2)),
    )
    for format_, test in tests:
        if first and file.each(test):
            if first.startswith("SPEAKER "):
                raise InvalidInput(f"{name}: looks like RTTM", hint=_REFUSED[".rttm"][1])
            raise _looks_like(name, format_)
    if first and file.each(_TRN_LINE.fullmatch):
        ids = [match[1] for line in file.all if (match := _TRN_LINE.fullmatch(line))]
        if len(set(ids)) == len(ids) and (len(ids) > 1 or _ID.fullmatch(ids[0])):
            raise _looks_like(name, "trn")


def _has_times(line: str, place: int) -> bool:
    """Tell whether two numbers stand in fields ``place`` and ``place`` + 1, with a point in one."""
    fields = line.split(maxsplit=place + 2)
    times = fields[place : place + 2]
    return (
        len(fields) > place + 1
        and any("." in time for time in times)
        and all(time.replace(".", "", 1).isdecimal() for time in times)
    )


def _first_words(file: _Lines) -> list[str]:
    """Return the first word of every line, none where lines are blank or begin alike."""
    if _repeat(_first_fields(file.first)):
        return []
    words = _first_fields(file.all)
    only_words = all(len(line.split(maxsplit=1)) == 1 for line in file.first)
    return [] if len(words) < len(file.all) or only_words or _repeat(words) else words


def _first_fields(lines: Sequence[str]) -> list[str]:
    return [fields[0] for line in lines if (fields := line.split(maxsplit=1))]


def _repeat(words: Sequence[str]) -> bool:
    return len(set(words)) < len(words)


def _are_ids(words: Sequence[str]) -> bool:
    """Tell whether first words of lines look like ids (``spk1-utt2``), or count them."""
    if all(map(_ID.fullmatch, words[:_FIRST])) and all(map(_ID.fullmatch, words)):
        return True
    counted = [str(number) for number in range(len(words) + 1)]
    return list(words) in (counted[1:], counted[:-1])


def _are_ids_together(reference: Sequence[str], hypothesis: Sequence[str]) -> bool:
    """Tell whether the same first words, all different, are too orderly for speech."""
    size = len(reference)
    return (
        _are_ids(reference)
        or (size > 1 and list(reference) != list(hypothesis))
        or (size >= _SORTED and list(reference) == sorted(reference))
        or size >= _ALL_DIFFERENT
    )


def _looks_like(name: str, format_: Format) -> InvalidInput:
    return InvalidInput(
        f"{name}: looks like {NAMES[format_]}, not like plain text",
        hint=f"say which it is: --format {format_}, or --format txt",
    )
