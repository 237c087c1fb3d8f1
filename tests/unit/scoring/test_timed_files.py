"""STM references and CTM hypotheses: which word belongs to which segment, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.values import ErrorCounts
from relkit.scoring.normalizers import PURE_STEPS, built_in
from relkit.scoring.run import ScoreFile, score_document, score_files
from relkit.scoring.types import ScoreResult, TrnOptions

NONE = built_in("none", PURE_STEPS, digest_of)
STM = """;; comment
call A anna 0.00 2.00 <O,F0,F> hello there
call A anna 2.00 4.00 <O,F0,F> good { morning / day }
call A x 4.00 5.00 IGNORE_TIME_SEGMENT_IN_SCORING
call B ben 0.50 3.00 hi
"""
CTM = """;; comment
call A 0.10 0.40 Hello 0.9
call A 1.80 0.20 there
call A 2.10 0.20 good 0.9 lex anna
call A 3.00 0.50 day
call A 4.20 0.50 noise
call B 0.10 0.20 hi
"""


def score(reference: str, hypothesis: str, *, trn: TrnOptions | None = None) -> ScoreResult:
    """Score an STM file against a CTM file."""
    return score_files(
        ScoreFile(name="r.stm", data=reference.encode()),
        ScoreFile(name="h.ctm", data=hypothesis.encode()),
        normalizer=NONE,
        trn=trn,
    )


def test_segments_are_scored_by_file_channel_and_time() -> None:
    """Marks and case count as in TRN, labels are no words, an ignored segment is left out."""
    result = score(STM, CTM)
    assert list(result.ids) == [
        "call:a:anna:0.00-2.00",
        "call:a:anna:2.00-4.00",
        "call:b:ben:0.50-3.00",
    ]
    assert result.counts == ErrorCounts(hits=5)
    assert (result.failures, result.ignored_segments) == (0, 1)
    assert score_document(result)["ignored_segments"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("<O,F0,M> a b", 2), ("<NA> a", 1), ("<o>", 0), ("a <b> c", 3), ("", 0), ("<x>a b", 1)],
)
def test_a_first_word_in_angle_brackets_is_the_label(text: str, words: int) -> None:
    """As sclite has it, whatever the label says."""
    assert score(f"f 1 s 0 1 {text}\n", "f 1 0.1 0.1 z\n").counts.reference_length == words


@pytest.mark.parametrize(
    ("begin", "duration", "segment"),
    [
        ("0.0", "1.0", 0),
        ("1.4", "1.0", 0),
        ("1.5", "1.0", 1),  # its middle is where the first one ends
        ("1.9", "0.1", 0),
        ("2.5", "0.2", 1),  # between the two: the next that ends later
        ("9.0", "0.2", 1),  # behind all: the last
    ],
)
def test_a_word_belongs_where_its_middle_is(begin: str, duration: str, segment: int) -> None:
    """The first segment that ends after the middle has it; sclite's rule."""
    result = score("f 1 s 0.5 2.0\nf 1 s 3.0 4.0\n", f"f 1 {begin} {duration} word\n")
    insertions = [result.by_utterance[row].insertions for row in range(2)]
    assert insertions == [int(segment == 0), int(segment == 1)]


def test_alternatives_stay_together() -> None:
    """They belong where their last middle is; nothing is one of them."""
    alternatives = (
        "f 1 * * <ALT_BEGIN>\nf 1 1.0 0.4 um\nf 1 * * <ALT>\nf 1 1.0 0.2 a\nf 1 2.1 0.2 b\n"
        "f 1 * * <ALT>\nf 1 * * <ALT_END>\n"
    )
    for text, counts in (
        ("um", ErrorCounts(hits=1)),
        ("a b", ErrorCounts(hits=2)),
        ("", ErrorCounts()),
    ):
        result = score(f"f 1 s 0.0 2.0\nf 1 s 2.0 4.0 {text}\n", alternatives)
        assert (result.by_utterance[0], result.by_utterance[1]) == (ErrorCounts(), counts)


def test_a_channel_without_words_failed() -> None:
    """A segment of a channel that was answered is empty, one of another channel is a failure."""
    result = score(STM, "call A 0.1 0.2 hello\n")
    assert [result.ids[row] for row in result.failed] == ["call:b:ben:0.50-3.00"]
    assert result.counts == ErrorCounts(hits=1, deletions=4)


def test_words_count_in_the_order_of_their_times() -> None:
    """The order of the lines says nothing, nor does that of the segments."""
    turned = "\n".join(reversed(CTM.strip().split("\n")))
    segments = "\n".join(reversed(STM.strip().split("\n")))
    assert score(segments, turned).counts == score(STM, CTM).counts


@given(st.lists(st.tuples(st.floats(0, 99), st.floats(0, 3)), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_no_word_is_lost(times: list[tuple[float, float]]) -> None:
    """Whatever its times, every word is in one segment of its channel."""
    words = "".join(f"f 1 {begin:.3f} {length:.3f} w\n" for begin, length in times)
    segments = "".join(f"f 1 s {at}.0 {at + 2}.0\n" for at in range(5, 60, 5))
    assert score(segments, words).counts.insertions == len(times)


def test_two_stm_files_meet_by_segment() -> None:
    """The same segments on both sides, as a recogniser of given segments writes them."""
    answered = STM.replace("hello there", "hello").replace("call B ben", "CALL B ben")
    answered = answered.replace("IGNORE_TIME_SEGMENT_IN_SCORING", "what nobody scores")
    result = score_files(
        ScoreFile(name="r.stm", data=STM.encode()),
        ScoreFile(name="h.stm", data=answered.encode()),
        normalizer=NONE,
    )
    assert result.counts == ErrorCounts(hits=4, deletions=1)
    assert (result.utterances, result.ignored_segments) == (3, 1)


def test_case_counts_where_it_is_asked_for() -> None:
    """Of words, files and channels."""
    with pytest.raises(InvalidInput, match="file and channel are not in"):
        score(STM, CTM.replace("call", "CALL"), trn=TrnOptions(case_sensitive=True))
    assert score(STM, CTM, trn=TrnOptions(case_sensitive=True)).counts.errors == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("call B ben 0.50", "call A ben 0.50", "r.stm, line 5: the segment overlaps the one of"),
        ("0.00 2.00", "2.00 0.00", "r.stm, line 2: the segment ends before it begins"),
        ("0.00 2.00", "x 2.00", "r.stm, line 2: a time is no number"),
        ("0.00 2.00", "-1 2.00", "r.stm, line 2: a time is no number"),
        ("0.00 2.00", "0.00 2_0", "r.stm, line 2: a time is no number"),
        ("0.00 2.00", "nan 2.00", "r.stm, line 2: a time is no number"),
        ("call B ben 0.50 3.00 hi", "call B ben 0.50", "r.stm, line 5: no STM segment"),
        ("{ morning / day }", "{ morning / day", "r.stm, line 3: a { is never closed"),
        ("call A 0.10", "call C 0.10", "h.ctm, line 2: file and channel are not in r.stm"),
        ("0.40 Hello", "inf Hello", "h.ctm, line 2: a time is no number"),
        ("Hello 0.9", "Hello high", "h.ctm, line 2: the confidence is no number"),
        ("0.9 lex", "0.9 fp", "h.ctm, line 4: a word of a type that is not scored"),
        ("0.40 Hello 0.9", "0.40", "h.ctm, line 2: no CTM word"),
        ("Hello 0.9", "a b c d e f", "h.ctm, line 2: no CTM word"),
        ("Hello 0.9", "<ALT>", "h.ctm, line 2: ALT where none belongs"),
        ("Hello 0.9", "<ALT_END>", "h.ctm, line 2: ALT_END where none belongs"),
        ("Hello 0.9", "<ALT_BEGIN>", "h.ctm, line 2: <ALT_BEGIN> without <ALT_END>"),
    ],
)
def test_what_cannot_be_scored_is_refused(old: str, new: str, message: str) -> None:
    """File and line, and never a number."""
    with pytest.raises(InvalidInput) as caught:
        score(STM.replace(old, new, 1), CTM.replace(old, new, 1))
    assert caught.value.message.startswith(message)


def test_a_hypothesis_of_ignored_time_alone_is_refused() -> None:
    """Nothing would be scored."""
    with pytest.raises(InvalidInput, match="holds no word of a segment"):
        score("f 1 s 0 1 ignore_time_segment_in_scoring\n", "f 1 0.1 0.1 a\n")
