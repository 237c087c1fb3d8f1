"""The text of triage: the verdict first, at 80 columns, and nothing in it that steers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.incident.types import (
    Candidate,
    Effect,
    Onset,
    Probe,
    RuledOut,
    TriageRead,
)
from relkit.incident.view import triage_text
from relkit.rollback.types import Refused
from tests.incident_data import triage_report

EFFECT = Effect(observed=0.2, expected=0.05, low=0.18, high=0.22, turns=4000)
ONSET = Onset(from_="2026-03-07T03:00:00Z", to="2026-03-07T03:20:00Z")


def test_a_blame_says_what_to_do_in_its_first_lines() -> None:
    """Release, slice, since when, how much, back to what, and the command."""
    text = triage_text(
        triage_report(
            verdict="release",
            cause="release",
            evidence="temporal",
            component="llm",
            first_bad="2.0",
            slice="client=web",
            metric="failed",
            onset=ONSET,
            effect=EFFECT,
            log_odds=2.0,
            target="1.9",
            command="relkit rollback llm --bad 2.0 --apply",
            refused=(Refused(version="1.8", code="yanked", reason="it was yanked"),),
            probe=Probe(component="llm", version="1.9", share=0.1, minutes=20),
            read=TriageRead(turns=9000, seconds=1.0, late=0, future=2, duplicates=3),
        )
    )
    lines = text.splitlines()
    assert lines[0] == "RELEASE TO BLAME: llm 2.0"
    assert max(map(len, lines)) <= 80
    flat = " ".join(text.split())
    for words in (
        "where client=web",
        "began between 2026-03-07T03:00:00Z and 2026-03-07T03:20:00Z",
        "20.0 % (18.0 to 22.0 %) of 4,000 turns, 5.0 % expected: 4 times",
        "the time of the switch alone",
        "back to 1.9, unverified",
        "not 1.8: it was yanked",
        "run relkit rollback llm --bad 2.0 --apply",
        "serve 10 % on llm 1.9 for 20 minutes",
        "2 of the future, 3 sent twice",
    ):
        assert words in flat, words


def test_what_cannot_be_told_lists_the_candidates() -> None:
    """With the odds of each, and what was ruled out and why."""
    text = triage_text(
        triage_report(
            verdict="undetermined",
            reason="something is wrong, and it cannot be told what",
            candidates=(
                Candidate(
                    cause="release", component="llm", version="2", slice="overall", log_odds=2.1
                ),
                Candidate(cause=None, component=None, version=None, slice="a=b", log_odds=-2.1),
            ),
            ruled_out=(RuledOut(cause="load", name="traffic", reason="it was as ever"),),
        )
    )
    assert text.startswith("CANNOT BE TOLD\n")
    assert "llm 2" in text
    assert "+2.1" in text
    assert "no release on a=b" in text
    assert "it was as ever" in text


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=120))
def test_nothing_from_data_steers_a_terminal(name: str) -> None:
    """Whatever a version, slice or reason is called, the lines stay printable."""
    text = triage_text(
        triage_report(
            verdict="release",
            reason=name,
            component=name,
            first_bad=name,
            slice=f"client={name}",
            target=name,
            command=name,
            refused=(Refused(version=name, code="x", reason=name),),
            ruled_out=(RuledOut(cause="load", name=name, reason=name),),
            candidates=(
                Candidate(cause=None, component=name, version=name, slice=name, log_odds=0.0),
            ),
        )
    )
    assert all(line.isprintable() for line in text.split("\n"))
