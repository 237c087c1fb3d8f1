"""What was taken for what, counted and ranked."""

from relkit.scoring.alignment import Confusion, ConfusionsEdit, confusions

HER: ConfusionsEdit = ("substitution", 0, "the", "her")
GONE: ConfusionsEdit = ("deletion", 1, "on", None)
LOOP: ConfusionsEdit = ("insertion", 2, None, "number")
AND: ConfusionsEdit = ("insertion", 2, None, "and")


def test_each_kind_has_its_list_with_times_and_utterances() -> None:
    """Two in one utterance are two times and one utterance."""
    found = confusions([("a", [HER, HER, GONE]), ("b", [HER])])
    assert found.substitutions == (Confusion(expected="the", given="her", count=3, utterances=2),)
    assert found.deletions == (Confusion(expected="on", given=None, count=1, utterances=1),)
    assert found.insertions == ()
    assert found.kinds == (1, 1, 0)


def test_a_repetition_loop_does_not_lead_the_list() -> None:
    """A word inserted 200 times in one utterance comes after one inserted in two."""
    found = confusions([("a", [LOOP] * 200), ("b", [AND]), ("c", [AND])])
    assert [item.given for item in found.insertions] == ["and", "number"]


def test_repeats_of_an_utterance_are_one_utterance() -> None:
    """Asking three times shows the same confusion in one place."""
    found = confusions([("a", [HER])] * 3)
    assert found.substitutions[0].count == 3
    assert found.substitutions[0].utterances == 1


def test_lists_are_cut_and_say_how_many_there_were() -> None:
    """Ties are ordered by word, so that the page is the same every time."""
    edits: list[ConfusionsEdit] = [("substitution", 0, word, "x") for word in "cab"]
    found = confusions([("a", edits)], most=2)
    assert [item.expected for item in found.substitutions] == ["a", "b"]
    assert found.kinds == (3, 0, 0)
