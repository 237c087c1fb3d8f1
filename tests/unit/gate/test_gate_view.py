"""A decision in words: what blocks first, nothing vanishes, and no better verdict than its checks.

The golden summaries are written anew, to be looked at in the diff, by
``RELKIT_REGENERATE_GOLDEN=1 pytest tests/unit/gate/test_gate_view.py``.
"""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.gate.reasons import figures
from relkit.gate.types import ORDER, Coverage, GateDecision, RuleResult, Verdict
from relkit.gate.view import (
    MOST_BLOCKING,
    GateView,
    drawn,
    gate_summary,
    null_line,
    part_lines,
    shown_verdict,
)
from relkit.statistics.types import NullReplay
from tests.gate_decisions import (
    HOSTILE,
    NASTY,
    blocked,
    decision,
    failing,
    floor,
    open_question,
    override,
    part,
    passing,
    result,
    undecided,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
VERDICTS = st.sampled_from(ORDER)
MODES = st.sampled_from(["required", "advisory", "dry_run"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [("pass", passing()), ("fail", blocked()), ("undecided", open_question())],
)
def test_the_summary_is_the_golden_one(name: str, shown: GateDecision) -> None:
    """What a release manager sees in the terminal, to the letter."""
    overrides = (override(), override(key=None)) if name == "fail" else ()
    text = gate_summary(shown, overrides) + "\n"
    path = GOLDEN / f"gate_{name}.txt"
    if os.environ.get("RELKIT_REGENERATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_what_passed_says_which_of_it_is_held_against_the_anchor() -> None:
    """The same rule is listed twice then, with other numbers."""
    slices = ("overall", "noise=babble")
    results = [result(against=a, slice=s) for s in slices for a in ("baseline", "anchor")]
    rows = [row for row in gate_summary(decision(*results)).splitlines() if row.startswith("  wer")]
    assert sorted(row.split("  ")[1] for row in rows) == [
        "wer-slices",
        "wer-slices (anchor)",
        "wer-slices noise=babble",
        "wer-slices noise=babble (anchor)",
    ]


def test_a_warning_about_a_launch_names_its_part() -> None:
    """Two systems are judged there, and it is about one."""
    parts = tuple(part(name=name, warnings=("loops",)) for name in ("asr", "tts"))
    text = gate_summary(decision(result(), parts=parts))
    assert [line for line in text.splitlines() if line.startswith("warning")] == [
        "warning: asr: loops",
        "warning: tts: loops",
    ]
    assert "warning: loops" in gate_summary(decision(result(), parts=(part(warnings=("loops",)),)))


def test_a_family_of_slices_allows_no_worsening() -> None:
    """What the family's test finds is one: a number that is allowed would contradict it."""
    shown = figures(result(test="no_regression", bound=0.0))
    assert shown.allowed == "no worsening"


ERROR = Verdict.ERROR
HEADLINES = [
    (passing(), "PASS: all 2 required checks pass"),
    (decision(result()), "PASS: the one required check passes"),
    (blocked(), "BLOCKED: 2 of 5 required checks fail; 1 is undecided"),
    (
        open_question(),
        (
            "UNDECIDED: 2 of 3 required checks are undecided; about 13 more clusters would decide "
            "wer-slices on noise=babble; for 1 it cannot be said"
        ),
    ),
    (
        decision(undecided(), undecided(needed_clusters=30), verdict=Verdict.INCONCLUSIVE),
        (
            "UNDECIDED: 2 of 2 required checks are undecided; about 24 more clusters would decide "
            "wer-slices on noise=babble, the one that lacks most"
        ),
    ),
    (
        decision(undecided(needed_clusters=None), verdict=Verdict.INCONCLUSIVE),
        (
            "UNDECIDED: 1 of 1 required check is undecided; what would decide it cannot be said "
            "from this data"
        ),
    ),
    (
        decision(result(), result(verdict=Verdict.NO_DATA), verdict=Verdict.NO_DATA),
        "BLOCKED: 1 of 2 required checks has no data",
    ),
    (
        decision(*[result(verdict=ERROR)] * 2, verdict=ERROR),
        "BLOCKED: 2 of 2 required checks could not be evaluated",
    ),
    (decision(floor(), verdict=ERROR), "BLOCKED: nothing that is required was evaluated"),
    (decision(floor()), "BLOCKED: nothing that is required was evaluated"),
    (decision(), "BLOCKED: nothing that is required was evaluated"),
    (
        decision(result(), verdict=Verdict.FAIL),
        "BLOCKED: the verdict is fail, for a reason outside its checks",
    ),
    (
        decision(result(), failing()),
        "BLOCKED: the decision says pass, and its checks do not",
    ),
    (
        decision(failing(), verdict=Verdict.FAIL, enforcement="shadow"),
        "SHADOW: would be blocked: 1 of 1 required check fails; a shadow decision never promotes",
    ),
    (
        decision(result(), enforcement="shadow"),
        "SHADOW: would pass: the one required check passes; a shadow decision never promotes",
    ),
]


@pytest.mark.parametrize(("shown", "expected"), HEADLINES, ids=[text for _, text in HEADLINES])
def test_the_headline(shown: GateDecision, expected: str) -> None:
    """The first line says whether the candidate may go, and what keeps it."""
    view = GateView(shown)
    assert view.headline == expected
    assert f"{view.stance}: {view.because}" == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(VERDICTS, MODES), max_size=12), VERDICTS)
def test_no_view_is_better_than_its_checks_and_none_vanishes(
    asked: list[tuple[Verdict, str]], verdict: Verdict
) -> None:
    """PASS is shown only where every required check passed; each result is in one list."""
    results = [result(verdict=v, mode=mode, slice=f"a={i}") for i, (v, mode) in enumerate(asked)]
    view = GateView(decision(*results, verdict=verdict))
    required = [v for v, mode in asked if mode == "required"]
    if view.stance == "PASS":
        assert required
        assert set(required) == {Verdict.PASS}
    assert (shown_verdict(view.decision) is Verdict.PASS) == (view.stance == "PASS")
    listed = [f.result for f in (*view.blocking, *view.passed, *view.aside)]
    assert sorted(r.slice for r in listed) == sorted(r.slice for r in results)
    ranks = [ORDER.index(f.result.verdict) for f in view.blocking]
    assert ranks == sorted(ranks)


def test_the_most_harmful_comes_first_among_equals() -> None:
    """Two failing slices are ordered by extra wrong words."""
    first, second, third = GateView(blocked()).blocking
    assert [first.result.slice, second.result.slice] == ["accent=irish", "accent=scottish"]
    assert third.verdict == "UNDECIDED"
    assert third.reason.endswith("13 more clusters would decide it (19 in all)")


def test_a_reason_that_says_what_is_missing_is_not_told_twice() -> None:
    """The judge may have put the number of voices into its own words."""
    said = "too weak; about 19 voices would decide it"
    (shown,) = GateView(decision(undecided(reason=said), verdict=Verdict.INCONCLUSIVE)).blocking
    assert shown.reason == said


FIGURES = [
    (failing(), ("+2.1 points", "+0.4 to +3.8", "at most +1.0 points")),
    (result(), ("-0.1 points", "-0.6 to +0.4", "at most +1.0 points")),
    (
        failing(observed=0.0104, low=0.0102, high=0.0108),
        ("+1.04 points", "+1.02 to +1.08", "at most +1.00 points"),
    ),
    (
        result(quantity="improvement", observed=0.02, low=None, high=None, bound=0.01),
        ("-2.0 points", "-", "at most -1.0 points"),
    ),
    (
        result(quantity="value", observed=0.081, low=0.05, high=0.12, bound=0.2),
        ("8.1 %", "5.0 to 12.0 %", "20.0 %"),
    ),
    (
        result(quantity="value", unit="ms", observed=812.0, low=None, high=900.0, bound=800.0),
        ("812 ms", "… to 900 ms", "800 ms"),
    ),
    (floor(), ("2.31", "2.25 to 2.38", "2.50")),
    (result(observed=None, low=None, high=None, bound=None), ("-", "-", "-")),
    (
        result(observed=0.0, low=0.0, high=0.0),
        ("no change", "0.0 to 0.0", "at most +1.0 points"),
    ),
]


@pytest.mark.parametrize(("shown", "expected"), FIGURES)
def test_numbers_have_as_many_digits_as_tell_them_apart(
    shown: RuleResult, expected: tuple[str, str, str]
) -> None:
    """1.04 points against 1.0 allowed never looks like 1.0 against 1.0."""
    found = figures(shown)
    assert (found.observed, found.span, found.allowed) == expected


def test_an_interval_is_drawn_with_its_bound_and_no_difference() -> None:
    """All places are on the axis; a number that is none is not drawn."""
    place = drawn(failing())
    assert place is not None
    assert place.mark.low is not None
    assert place.bound is not None
    assert place.zero is not None
    assert 0 <= place.zero < place.mark.low < place.mark.at <= 100
    assert drawn(result(observed=None)) is None
    assert drawn(result(observed=float("nan"))) is None
    assert drawn(result(high=float("inf"))) is None
    alone = drawn(result(quantity="value", observed=0.0, low=None, high=None, bound=None))
    assert alone is not None
    assert (alone.bound, alone.zero, alone.mark.low) == (None, None, None)


def test_what_else_has_to_be_known_is_said() -> None:
    """Coverage, A/A, baseline failures, approvals and overrides, the overrides first."""
    view = GateView(passing(), (override(), override(key=None, by="eve")))
    assert list(view.remarks) == [
        (
            "OVERRIDDEN by rita@example.org (REL-12, 2026-01-31T14:00:00Z until "
            "2026-02-02T14:00:00Z): the Scottish recordings are being redone"
        ),
        (
            "override by eve (REL-12, 2026-01-31T14:00:00Z until 2026-02-02T14:00:00Z): the "
            "Scottish recordings are being redone - without a trusted signature, so it counts "
            "for nothing"
        ),
        "coverage: 398 of 400 scored (99.5 %), 2 unusable",
        (
            "A/A: 3 of 200 replays of equal systems were blocked (1.5 %), 40 undecided; signs "
            "flipped by cluster"
        ),
        "baseline: no answer to 1 utterance, counted as right for it",
        (
            "check load-test: PASS, by ci@example.org (signed, 2026-01-31T11:00:00Z): p95 stayed "
            "below 300 ms at 50 streams"
        ),
    ]
    again = Coverage(expected=36, scored=35, unusable=1, repeats=3)
    assert part_lines(part(coverage=again))[0] == (
        "coverage: 12 items, each asked 3 times: 35 of 36 scored (97.2 %), 1 unusable"
    )
    none = NullReplay(replays=0, blocked=0, undecided=0, method="none")
    for replay in (None, none):
        assert "unknown" in null_line(part(null_replay=replay, name="asr"))


def test_how_much_is_hidden_is_said() -> None:
    """A summary shows thirty blocking findings and counts the others."""
    many = [failing(slice=f"accent={i:03}") for i in range(MOST_BLOCKING + 12)]
    lines = gate_summary(decision(*many, verdict=Verdict.FAIL)).splitlines()
    assert "  … and 12 more in the decision file" in lines
    assert sum(line.startswith("  FAIL ") for line in lines) == MOST_BLOCKING


@settings(max_examples=120, deadline=None)
@given(NASTY, NASTY)
def test_no_data_steers_a_terminal_or_a_runner(name: str, reason: str) -> None:
    """No control character, no workflow command, and no line that data made."""
    harmless = gate_summary(decision(failing(), failing(slice="b=c"), verdict=Verdict.FAIL))
    shown = decision(
        failing(slice=name, reason=reason or "x"),
        failing(slice="b=c", rule=name),
        verdict=Verdict.FAIL,
        policy=name,
    )
    text = gate_summary(shown)
    lines = text.split("\n")
    assert len(lines) == len(harmless.split("\n"))
    for line in lines:
        assert line.isprintable()
        assert "##[" not in line
        assert not line.lstrip().startswith("::")


def test_hostile_names_are_still_shown() -> None:
    """Neutralised text is text, not nothing."""
    for name in HOSTILE[:3]:
        assert "set-output" in gate_summary(decision(failing(slice=HOSTILE[0])))
        assert len(gate_summary(decision(failing(slice=name)))) > 100
