"""Which format a file has: told by its ending, or refused; never guessed into a number."""

import pytest

from relkit.core.errors import InvalidInput
from relkit.scoring.formats import Format, pair_format

PLAIN = "hello world\ngood day\n"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "format_"),
    [
        ("r.trn", "h.trn", "trn"),
        ("r.trn", "h", "trn"),
        ("r", "h.jsonl", "jsonl"),
        ("r.JSON", "h.ndjson", "jsonl"),
        ("r.txt", "h", "txt"),
        ("r.ref", "h.hyp", "txt"),
        ("r.stm", "h.stm", "stm"),
        ("r.stm", "h.ctm", "ctm"),
        ("r.stm", "h", "ctm"),
        ("r", "h.ctm", "ctm"),
    ],
)
def test_endings_tell_the_format(reference: str, hypothesis: str, format_: Format) -> None:
    """One that says nothing follows the other; STM and CTM go together."""
    assert pair_format((reference, hypothesis), (PLAIN, PLAIN)) == format_


@pytest.mark.parametrize(
    ("reference", "hypothesis", "message", "hint"),
    [
        ("r.txt", "h.jsonl", "r.txt is plain text, h.jsonl is JSON lines", "--format"),
        ("r.txt", "h.trn", "r.txt is plain text, h.trn is TRN", "--format"),
        ("r.trn", "h.txt", "r.trn is TRN, h.txt is plain text", "--format"),
        ("r.trn", "h.ctm", "r.trn is TRN, h.ctm is CTM", "--format"),
        ("r.ctm", "h.ctm", "r.ctm: a CTM file holds no segments", "STM"),
        ("r.srt", "h.srt", "r.srt: subtitles", '{"id": …, "text": …}'),
        ("r.txt", "h.VTT", "h.VTT: subtitles", '{"id": …, "text": …}'),
        ("r.rttm", "h.ctm", "r.rttm: RTTM", "STM"),
        ("r.csv", "h.csv", "r.csv: a table", "dataset import"),
        ("r.tsv", "h.parquet", "r.tsv: a table", "dataset import"),
        ("r.TextGrid", "h.txt", "r.TextGrid: annotations", '{"id": …, "text": …}'),
    ],
)
def test_endings_that_do_not_go_together_are_refused(
    reference: str, hypothesis: str, message: str, hint: str
) -> None:
    """With what to do instead."""
    with pytest.raises(InvalidInput) as refused:
        pair_format((reference, hypothesis), (PLAIN, PLAIN))
    assert refused.value.message.startswith(message)
    assert hint in str(refused.value.hint)


KALDI = "looks like Kaldi's text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u1 hello world\nu2 good day\n", KALDI),
        ("1089-134686-0000 hello\n1089-134686-0001\n", KALDI),
        ("alice_a hello\nbob_b day\n", KALDI),
        ("u1\thello world\nu2\tgood day\n", KALDI),
        ("001 hello\n002 day\n", KALDI),
        ("1 hello\n2 day\n3 yes\n", KALDI),
        ("0 hello\n1 day\n", KALDI),
        ("hello (u1)\nday (u2)\n", "looks like TRN"),
        ("hello world (u1)\n", "looks like TRN"),
        ('{"id": "1", "text": "a"}\n{"id": "2", "text": "b"}\n', "looks like JSON lines"),
        ('[\n{"id": "1", "text": "a"}\n]\n', "looks like JSON lines"),
        (";; c\nf 1 spk 0.00 1.5 <O> hello\nf 1 spk 2.0 3 hi\n", "looks like STM"),
        ("f 1 0.10 0.20 hello\nf 1 0.30 0.2 there 0.9\n", "looks like CTM"),
        ("SPEAKER f 1 0.10 0.20 <NA> <NA> a <NA> <NA>\n", "looks like RTTM"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n", "looks like subtitles"),
        ("1\n00:00:01,000 --> 00:00:02,000\nhello\n", "looks like subtitles"),
        ("id,text\nu1,hello world\n", "looks like a table"),
        ("path\tsentence\na.wav\thello world\n", "looks like a table"),
    ],
)
@pytest.mark.parametrize("names", [("text", "hyp"), ("r.txt", "h.txt")])
@pytest.mark.parametrize("side", [0, 1])
def test_what_looks_like_another_format_is_no_plain_text(
    text: str, message: str, names: tuple[str, str], side: int
) -> None:
    """On either side; a refusal says how to go on."""
    texts = (text, PLAIN) if side == 0 else (PLAIN, text)
    with pytest.raises(InvalidInput) as refused:
        pair_format(names, texts)
    assert refused.value.message.startswith(f"{names[side]}: {message}")
    assert refused.value.hint


def test_every_line_counts_however_long_they_are() -> None:
    """The first lines only say that a closer look is worth it."""
    long = " ".join(["word"] * 30_000)
    ids = f"u1 {long}\nu2 {long}\nu3 hello\n"
    with pytest.raises(InvalidInput, match=KALDI):
        pair_format(("text", "hyp"), (ids, PLAIN))
    assert pair_format(("text", "hyp"), (ids + "hello u4\n", PLAIN)) == "txt"
    assert pair_format(("text", "hyp"), (f"u1 {long}", PLAIN)) == "txt"


WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
]


@pytest.mark.parametrize(
    ("reference", "hypothesis"),
    [
        ("anna hello\nbert day\n", "bert day\nanna hello\n"),
        ("u1 hello world\n", "u1 hello word\n"),
        ("".join(f"{word} hello\n" for word in WORDS), "".join(f"{word} hi\n" for word in WORDS)),
    ],
)
def test_ids_that_only_both_files_show_are_seen(reference: str, hypothesis: str) -> None:
    """The same first words, all different, in another order or sorted, are no speech."""
    with pytest.raises(InvalidInput, match=KALDI):
        pair_format(("text", "hyp"), (reference, hypothesis))


@pytest.mark.parametrize(
    ("reference", "hypothesis"),
    [
        (PLAIN, PLAIN),
        ("don't stop it's me\n", "don\u2019t stop it\u2019s me\n"),
        ("turn on the light\nplay music\n", "turn on a light\nplay music\n"),
        ("7 4 1\n6 6 0\n", "7 4 1\n6 6\n"),
        ("7\n4\n6\n", "7\n4\n6\n"),
        ("b52 take off\nclear for landing\n", "b52 take off\nclear for landing\n"),
        ("one, two\nthree, four\n", "one two\nthree, four\n"),
        ("hello (laughs)\nbye (laughs)\n", "hello\nbye\n"),
        ("call me at 12.30 or 13.45 please\nok\n", "call me\nok\n"),
        ("\nhello\n", "hello\n\n"),
        ("", ""),
        ("a b\n" * 30, "a b\n" * 30),
        ("打开客厅的灯\n你好\n", "打开客厅的灯\n你好\n"),
    ],
)
def test_speech_stays_plain_text(reference: str, hypothesis: str) -> None:
    """Numbers, commas and parentheses are spoken and written, too."""
    assert pair_format(("r.txt", "h"), (reference, hypothesis)) == "txt"
