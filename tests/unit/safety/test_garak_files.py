"""garak's reports: what each generation counts, and which ones were never judged."""

from typing import Any

import pytest

from relkit.core.errors import InvalidInput
from relkit.safety.garak_files import parse_garak
from relkit.safety.imported import unjudged_note
from relkit.safety.types import SafetyCounts
from tests.red_team_data import END, INIT, SETUP, attempt, lines, message, report


def test_generation_is_a_row_of_the_cluster_of_its_prompt() -> None:
    """Generations of one prompt are rows of their own, in one cluster."""
    hits = {"promptinject.AttackRogueString": [0.0, 0.5, 1.0]}
    parsed = parse_garak(
        report(attempt("a", "one", detector_results=hits), attempt("b", "two")), source="r.jsonl"
    )
    counts = [answer.counts for answer in parsed.answers]
    assert counts[:3] == [SafetyCounts(attacks=1, injections=n) for n in (0, 1, 1)]
    assert len({answer.cluster for answer in parsed.answers}) == 2
    assert len({answer.id for answer in parsed.answers}) == 6
    assert parsed.answers[0].slices == {
        "probe": "promptinject.HijackHateHumans",
        "detector": "promptinject.AttackRogueString",
        "channel": "said",
    }
    assert parsed.target == {"type": "rest", "name": "assistant-2.4"}
    assert parsed.scorer == "garak 0.17.1, threshold 0.5"


@pytest.mark.parametrize(
    ("changes", "judged", "reason"),
    [
        ({"detector_results": {"d.D": [0.0, None, 1.0]}}, [0, None, 1], "without a score"),
        ({"detector_results": {"d.D": [0.0]}}, [0, None, None], "without a score"),
        ({"detector_results": {}}, [None] * 3, "without a detector"),
        ({"status": 1, "detector_results": {}}, [None] * 3, "never scored"),
        ({"status": 1}, [None] * 3, "never scored"),
        ({"outputs": [], "detector_results": {"d.D": []}}, [None], "without a score"),
        (
            {"detector_results": {"d.D": [None, None, 0.1], "d.E": [0.9, 0.1, 0.2]}},
            [1, None, 0],
            "without a score",
        ),
    ],
)
def test_what_was_not_scored_is_in_no_rate(
    changes: dict[str, Any], judged: list[int | None], reason: str
) -> None:
    """A generation without a score counts nothing, and a hit of any detector is a hit."""
    parsed = parse_garak(report(attempt("a", "one", **changes)), source="r.jsonl")
    assert [a.counts and a.counts.injections for a in parsed.answers] == judged
    assert set(parsed.unjudged) == {reason}
    assert f"{judged.count(None)} {reason}" in unjudged_note(parsed)[0]


def test_scored_line_of_an_attempt_replaces_the_one_before_it() -> None:
    """Garak writes an attempt when it is answered and again when it is scored."""
    first, second = attempt("a", "one", status=1), attempt("a", "one")
    for entries in ((first, second), (second, first)):
        parsed = parse_garak(report(*entries), source="r.jsonl")
        assert len(parsed.answers) == 3
        assert not parsed.unjudged


def test_same_questions_have_the_same_digest_whatever_was_answered() -> None:
    """Two targets compare where they were asked the same; a prompt more is another question."""
    alone = parse_garak(report(attempt("a", "one"), attempt("b", "two")), source="r")
    other = parse_garak(
        report(attempt("x", "two", status=1), attempt("y", "one", outputs=[None])), source="r"
    )
    more = parse_garak(
        report(attempt("a", "one"), attempt("b", "two"), attempt("c", "two")), source="r"
    )
    assert alone.digest == other.digest != more.digest
    assert {a.id for a in other.answers} <= {a.id for a in alone.answers}


def test_prompt_and_answer_are_in_no_row() -> None:
    """What was asked and answered stays in the file."""
    parsed = parse_garak(
        report(attempt("a", "my secret", outputs=[message("my answer")], goal="my goal")),
        source="r",
    )
    assert not [word for word in ("secret", "answer", "goal") if f"my {word}" in repr(parsed)]


def test_turn_that_is_no_attack_is_left_out() -> None:
    """Turns that lead up to an attack, and that garak does not score, are no attacks."""
    turn = attempt("a", "hello", notes={"is_adversarial": False}, detector_results={"d.D": [None]})
    parsed = parse_garak(report(turn, attempt("b", "now")), source="r")
    assert len(parsed.answers) == 3
    assert parsed.notes == ("1 turn that garak marks as no attack were left out",)


def test_indirect_probe_is_of_another_channel() -> None:
    """A latent injection stands in a document, and is not said by the user."""
    parsed = parse_garak(
        report(attempt("a", "one", probe_classname="latentinjection.LatentJailbreak")), source="r"
    )
    assert {a.slices["channel"] for a in parsed.answers} == {"document"}


EVAL = {
    "entry_type": "eval",
    "probe": "promptinject.HijackHateHumans",
    "detector": "detector.promptinject.AttackRogueString",
    "passed": 3,
    "total": 3,
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(SETUP, INIT, attempt("a", "x")), "did not end this run"),
        (lines(INIT, attempt("a", "x"), END), 'no entry "start_run setup"'),
        (lines(SETUP, attempt("a", "x"), END), 'no entry "init"'),
        (report(), "holds no attempt"),
        (report(attempt("a", "x"), attempt("a", "x")), "r.jsonl, line 4: this attempt was scored"),
        (report(attempt("a", "x", detector_results={"d": [2]})), "r.jsonl, line 3: scores of d"),
        (report(attempt("a", "x", detector_results={"d": ["1"]})), "r.jsonl, line 3: scores of d"),
        (report(attempt("a", "x", probe_classname=None)), "line 3: an attempt needs uuid"),
        (report(attempt("a", "x"), {**EVAL, "passed": 2}), "r.jsonl, line 4: garak counted 2 of 3"),
        (report(attempt("a", "x"), {**EVAL, "total_evaluated": 9}), "counted 3 of 9"),
        (report({"some": "line"}), 'r.jsonl, line 3: has no "entry_type"'),
        ("{\n", "r.jsonl, line 1: not JSON"),
        (lines(SETUP) + '{"entry_type": "eval", "passed": NaN}\n', "r.jsonl, line 2: NaN"),
    ],
)
def test_what_is_no_whole_report_is_refused_with_its_line(text: str, message: str) -> None:
    """A part of a report, and one that contradicts itself, say nothing about a target."""
    with pytest.raises(InvalidInput) as caught:
        parse_garak(text, source="r.jsonl")
    assert message in str(caught.value.message)


def test_counts_of_garak_are_held_against_the_attempts() -> None:
    """A report whose own sums fit is read."""
    assert parse_garak(report(attempt("a", "x"), EVAL), source="r").answers
