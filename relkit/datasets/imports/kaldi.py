"""Kaldi data directories: ``wav.scp``, ``text``, ``segments``, ``utt2spk`` and their kin.

The format is that of kaldi-asr.org/doc/data_prep.html. The order of the lines does not matter here;
Kaldi's own tools want them sorted in the C locale.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePosixPath

from relkit.core.errors import InvalidInput
from relkit.core.wording import counted
from relkit.core.yaml_text import shown, where
from relkit.datasets.imports.rows import (
    SPEAKER,
    ImportedColumns,
    ImportedRow,
    LocatedAudio,
    ParsedSource,
    SourceFile,
    seconds,
)
from relkit.datasets.types import AudioSpan

FILES = (
    *("wav.scp", "text", "segments", "utt2spk", "utt2lang", "utt2dur", "reco2dur"),
    *("utt2accent", "utt2age", "utt2gender", "utt2dialect", "utt2domain", "utt2noise"),
    *("spk2gender", "spk2accent", "spk2age", "spk2dialect", "spk2lang"),
)
"""The files that are read; the first two are needed."""

COPY = (
    'D=$(cd data/test && pwd) && mkdir -p "$D/wav" && mv "$D/wav.scp" "$D/wav.scp.pipes" && '
    'while read -r id source; do case "$source" in *"|") sh -c "${source%|}" </dev/null '
    '>"$D/wav/$id.wav" && echo "$id $D/wav/$id.wav";; *) echo "$id $source";; esac; done '
    '<"$D/wav.scp.pipes" >"$D/wav.scp"'
)
"""A line for a shell that writes the recordings of ``wav.scp`` out and names them there."""

_GAP = re.compile(r"[ \t]+")  # Kaldi splits at ASCII blanks only: U+00A0 and U+3000 are text
_ARCHIVE = re.compile(r":\d+$")
_TO_THE_END = re.compile(r"-1(\.0*)?")  # as extract-segments reads it
_TIMES = ("utt2dur", "reco2dur")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    value: str
    line: int


Entries = Mapping[str, _Entry]


def parse_kaldi(files: Sequence[SourceFile]) -> ParsedSource:
    """Return an utterance per line of ``text`` that has audio; raises InvalidInput.

    Utterances without audio, and audio without a transcript, are counted.
    """
    texts = {PurePosixPath(file.name).name: file for file in files}
    tables = {name: _table(file) for name, file in texts.items()}
    for name in FILES[:2]:
        if not tables.get(name):
            raise InvalidInput(
                f"{name}: is missing or empty", hint="name the data directory, such as data/test"
            )
    recordings, transcripts = tables["wav.scp"], tables["text"]
    names = {name: file.name for name, file in texts.items()}
    for entry in recordings.values():
        _refuse_commands(entry, names["wav.scp"])
    if "segments" in tables:
        pieces = {
            name: _piece(entry, names["segments"]) for name, entry in tables["segments"].items()
        }
        left_out = Counter(
            "a segment of a recording that wav.scp does not have"
            for name, piece in pieces.items()
            if name in transcripts and piece.path not in recordings
        )
    else:
        pieces = {name: AudioSpan(path=name) for name in recordings}
        left_out = Counter[str]()
    left_out["a transcript without audio"] += sum(name not in pieces for name in transcripts)
    left_out["audio without a transcript"] += sum(name not in transcripts for name in pieces)
    columns = ImportedColumns()
    rows = [
        ImportedRow(
            audio=recordings[piece.path].value,
            folder="",
            reference=entry.value,
            file=names["text"],
            line=entry.line,
            id=name,
            offset_s=piece.offset_s,
            length_s=_length(name, piece, tables, names),
            attributes=columns.attributes(
                {**_properties(name, tables)}, source=names["text"], line=entry.line
            ),
        )
        for name, entry in transcripts.items()
        if (piece := pieces.get(name)) is not None and piece.path in recordings
    ]
    speakers = tables.get("utt2spk", {})
    alone = len(speakers) > 1 and all(name == entry.value for name, entry in speakers.items())
    note = "utt2spk names every utterance its own speaker: who spoke is not known"
    return ParsedSource(
        rows=tuple(rows),
        renamed=columns.renamed,
        dropped=columns.dropped,
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
        notes=(note,) if alone else (),
    )


MAX_OVERSHOOT_S = 0.5
"""How far past its recording a segment may end and is cut: extract-segments' --max-overshoot."""


def within_recordings(
    rows: Sequence[ImportedRow],
    located: Sequence[LocatedAudio],
    length: Callable[[str], float | None],
) -> tuple[tuple[ImportedRow, ...], tuple[str, ...]]:
    """Return rows whose segments end with their recording at the latest, and what is to be said.

    ``length`` is that of a file in s. What ends later than Kaldi allows, which leaves it out, stays
    as it is, and is unusable.
    """
    length = cache(length)  # a recording has many segments
    cut: list[ImportedRow] = []
    overshoots, outside = [], 0
    for row, audio in zip(rows, located, strict=True):
        start, length_s = row.offset_s, row.length_s
        segment = start is not None and length_s is not None and audio.exists
        total_s = length(audio.real) if segment else None
        if start is not None and length_s is not None and total_s is not None:
            over = round(start + length_s - total_s, 6)
            if over > MAX_OVERSHOOT_S or start >= total_s:
                outside += 1
            elif over > 0:
                overshoots.append(over)
                row = replace(row, length_s=round(total_s - start, 6))  # noqa: PLW2901 - cut
        cut.append(row)
    notes = []
    if overshoots:
        notes.append(
            f"{counted(len(overshoots), 'segment')} ended up to {max(overshoots):.3g} s past the "
            "end of the recording: cut there, as Kaldi does"
        )
    if outside:
        notes.append(
            f"{counted(outside, 'segment')} ended more than {MAX_OVERSHOOT_S} s past the end of "
            "the recording: unusable, as Kaldi leaves them out"
        )
    return tuple(cut), tuple(notes)


def _table(file: SourceFile) -> Entries:
    """Return a file's entries by their first field; the rest of a line may be empty."""
    table: dict[str, _Entry] = {}
    for number, line in enumerate(file.text.split("\n"), start=1):
        parts = _GAP.split(line.strip(" \t\r"), maxsplit=1)
        if not parts[0]:
            continue
        if parts[0] in table:
            raise InvalidInput(
                f'{where(file.name, number)}: the id "{shown(parts[0])}" stands already in line '
                f"{table[parts[0]].line}",
                hint="give every utterance an id of its own",
            )
        table[parts[0]] = _Entry(value=parts[1] if parts[1:] else "", line=number)
    return table


def _refuse_commands(entry: _Entry, source: str) -> None:
    """Refuse what is not a file: a pipe would run a program from the data."""
    at = where(source, entry.line)
    if entry.value.startswith("|") or entry.value.endswith("|"):
        program = PurePosixPath(_GAP.split(entry.value.strip("| \t"), maxsplit=1)[0]).name
        direct = "; FLAC is read as it is: name the .flac file" if program == "flac" else ""
        raise InvalidInput(
            f'{at}: a pipe through "{shown(program, 30)}", which is not run',
            hint="run the programs once yourself, where their paths start from; data/test stands "
            f"for your folder{direct}:\n{COPY}",
        )
    if entry.value in {"", "-"}:
        raise InvalidInput(f"{at}: names no file", hint="a line is: recording-id path")
    if _ARCHIVE.search(entry.value):
        raise InvalidInput(
            f"{at}: names a place inside an archive",
            hint="write the recordings out as files: wav-copy scp:wav.scp scp,p:files.scp",
        )


def _piece(entry: _Entry, source: str) -> AudioSpan:
    at = where(source, entry.line)
    fields = _GAP.split(entry.value)
    if len(fields) == 4:  # noqa: PLR2004  # the channel is the fifth column of the file
        raise InvalidInput(
            f"{at}: names a channel, and relkit mixes channels to one",
            hint="write each channel to a file of its own",
        )
    if len(fields) != 3:  # noqa: PLR2004  # as the hint says
        raise InvalidInput(
            f"{at}: is no segment", hint="a line is: utterance-id recording-id start end"
        )
    start = seconds(fields[1], "start", source=source, line=entry.line) or 0.0
    if _TO_THE_END.fullmatch(fields[2]):
        return AudioSpan(path=fields[0], offset_s=start)
    end = seconds(fields[2], "end", source=source, line=entry.line) or 0.0
    if end <= start:
        raise InvalidInput(f"{at}: the segment ends before it starts", hint="end > start, in s")
    return AudioSpan(path=fields[0], offset_s=start, length_s=round(end - start, 6))


def _properties(name: str, tables: Mapping[str, Entries]) -> dict[str, str]:
    """Return the utterance's own properties and its speaker's; its own win."""
    speaker = tables.get("utt2spk", {}).get(name)
    values = {} if speaker is None else {SPEAKER: speaker.value}
    for file, table in tables.items():
        kind, _, column = file.partition("2")
        if speaker is not None and kind == "spk" and speaker.value in table:
            values.setdefault(column, table[speaker.value].value)
    for file, table in tables.items():
        kind, _, column = file.partition("2")
        if kind == "utt" and column not in {"spk", "dur"} and name in table:
            values[column] = table[name].value
    return values


def _length(
    name: str, piece: AudioSpan, tables: Mapping[str, Entries], names: Mapping[str, str]
) -> float | None:
    """Return the length in s: the segment's, else what a table of lengths says."""
    if piece.length_s is not None or piece.offset_s is not None:
        return piece.length_s
    for file in _TIMES:
        entry = tables.get(file, {}).get(name)
        if entry is not None:
            return seconds(entry.value, file, source=names[file], line=entry.line)
    return None
