"""Kaldi data directories: the tables, what they leave open, and what is refused."""

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.imports.kaldi import parse_kaldi, within_recordings
from relkit.datasets.imports.rows import LocatedAudio, ParsedSource, SourceFile

WHOLE = {"wav.scp": "b /data/b.wav\na wav/a.flac\n", "text": "a hello there\nb\n"}
CUT = {
    "wav.scp": "call1 /data/call1.wav\n",
    "segments": "c-2 call1 2.5 4.25\nc-1 call1 0.0 2.5\nc-3 call1 4.25 -1\n",
    "text": "c-1\u00a0x one\nc-1 hello  there\nc-2 good bye\nc-3\t\n",
}


def parse(**changes: str) -> ParsedSource:
    """Parse a directory; names come with underscores for dots."""
    tables = {name.replace("wav_scp", "wav.scp"): text for name, text in changes.items()}
    return parse_kaldi(
        [SourceFile(name=name, folder="", text=text) for name, text in tables.items()]
    )


def test_whole_recordings_need_no_order() -> None:
    """Utterances come in the order of ``text``; an empty transcript is a clip without words."""
    rows = parse(wav_scp=WHOLE["wav.scp"], text=WHOLE["text"]).rows
    assert [(row.id, row.audio, row.reference) for row in rows] == [
        ("a", "wav/a.flac", "hello there"),
        ("b", "/data/b.wav", ""),
    ]
    assert all(row.offset_s is None and row.length_s is None for row in rows)


def test_segments_become_offsets_and_lengths() -> None:
    """Start and end are times in the recording; -1 is its end; U+00A0 is part of an id."""
    parsed = parse(wav_scp=CUT["wav.scp"], segments=CUT["segments"], text=CUT["text"])
    assert [(row.id, row.offset_s, row.length_s) for row in parsed.rows] == [
        ("c-1", 0.0, 2.5),
        ("c-2", 2.5, 1.75),
        ("c-3", 4.25, None),
    ]
    assert parsed.rows[0].reference == "hello  there"
    assert parsed.left_out == {"a transcript without audio": 1}


def test_properties_come_from_utterance_and_speaker() -> None:
    """``spk2gender`` speaks for all utterances of a speaker, ``utt2lang`` for one."""
    rows = parse(
        wav_scp=WHOLE["wav.scp"],
        text=WHOLE["text"],
        utt2spk="a s1\nb s2\n",
        spk2gender="s1 f\ns2 m\n",
        spk2lang="s1 en\ns2 en\n",
        utt2lang="b cy\n",
        utt2dur="a 1.5\n",
    ).rows
    assert rows[0].attributes == {"speaker": "s1", "gender": "f", "lang": "en"}
    assert rows[1].attributes == {"speaker": "s2", "gender": "m", "lang": "cy"}
    assert [row.length_s for row in rows] == [1.5, None]


def test_what_does_not_match_is_counted() -> None:
    """A transcript without audio, audio without one, and a segment of nothing are no silence."""
    parsed = parse(
        wav_scp="r1 a.wav\n",
        segments="u1 r1 0 1\nu2 gone 0 1\nu3 r1 1 2\n",
        text="u1 yes\nu2 no\nu4 maybe\n",
    )
    assert [row.id for row in parsed.rows] == ["u1"]
    assert parsed.left_out == {
        "a segment of a recording that wav.scp does not have": 1,
        "a transcript without audio": 1,
        "audio without a transcript": 1,
    }


def test_speakers_that_are_utterances_are_nobody_known() -> None:
    """Kaldi wants an utt2spk; where nobody knows, the recipe writes every id twice."""
    parsed = parse(wav_scp=WHOLE["wav.scp"], text=WHOLE["text"], utt2spk="a a\nb b\n")
    assert "who spoke is not known" in parsed.notes[0]


@pytest.mark.parametrize(
    ("entry", "words", "advice"),
    [
        ("flac -c -d -s /secret/a.flac |", 'a pipe through "flac"', "name the .flac file"),
        ("/opt/tools/sph2pipe -f wav x.wv1 |", 'a pipe through "sph2pipe"', "yourself"),
        ("sox a.wav -t wav - |", 'a pipe through "sox"', "yourself"),
        ("-", "names no file", "recording-id path"),
        ("", "names no file", "recording-id path"),
        ("/data/raw.ark:1234", "inside an archive", "wav-copy"),
    ],
)
def test_what_is_no_file_is_refused_by_name(entry: str, words: str, advice: str) -> None:
    """A pipe would run a program from the data: its name is said, its arguments are not."""
    with pytest.raises(InvalidInput, match=r"wav\.scp, line 2") as caught:
        parse(wav_scp=f"a a.wav\nb {entry}\n", text="a x\nb y\n")
    assert words in caught.value.message
    assert advice in (caught.value.hint or "")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("text", "a hello\na again\n", "stands already in line 1"),
        ("segments", "a r\n", "is no segment"),
        ("segments", "a r 2 1\n", "ends before it starts"),
        ("segments", "a r x 1\n", '"start" is no length'),
        ("segments", "a r 0 1 1\n", "names a channel"),
        ("utt2dur", "a long\n", '"utt2dur" is no length'),
        ("text", "", "is missing or empty"),
        ("wav_scp", "\n", "is missing or empty"),
    ],
)
def test_a_bad_line_is_named(name: str, text: str, words: str) -> None:
    """Every table says which of its lines cannot be read."""
    with pytest.raises(InvalidInput) as caught:
        parse(**({"wav_scp": "a a.wav\n", "text": "a hello\n"} | {name: text}))
    assert words in caught.value.message
    assert caught.value.message.startswith(name.replace("wav_scp", "wav.scp"))


@pytest.mark.parametrize(
    ("end", "cut", "said"),
    [
        ("10.365", 2.365, None),
        ("10.37", 2.365, "1 segment ended up to 0.005 s past the end of the recording: cut there"),
        ("10.45", 2.365, "1 segment ended up to 0.085 s past the end of the recording: cut there"),
        ("10.865", 2.365, "1 segment ended up to 0.5 s past the end of the recording: cut there"),
        ("10.866", 2.866, "1 segment ended more than 0.5 s past the end of the recording"),
    ],
)
def test_a_segment_past_the_end_is_cut_as_kaldi_does(
    end: str, cut: float, said: str | None
) -> None:
    """Up to 0.5 s, extract-segments' max-overshoot; what ends later stays, and is unusable."""
    rows = parse(
        wav_scp="r r.wav\n",
        text="u1 one\nu2 two\n",
        segments=f"u1 r 8.00 {end}\nu2 r 0 -1\n",
    ).rows
    located = [LocatedAudio(path="/a/b/r.wav", real="/a/b/r.wav", exists=True)] * 2
    within, notes = within_recordings(rows, located, lambda _: 10.365)
    assert [row.length_s for row in within] == [cut, None]
    assert (notes == ()) if said is None else notes[0].startswith(said)
    assert within_recordings(rows, located, lambda _: None) == (rows, ())
