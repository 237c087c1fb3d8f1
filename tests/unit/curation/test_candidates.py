"""Ranking for review: each signal's law, one score, and who is left out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import ErrorCounts, Named
from relkit.curation.candidates import GONE, ReviewOptions, candidates
from relkit.curation.files import review_csv, review_document
from relkit.curation.review import (
    WEIGHTS,
    SliceState,
    agreed_label_signal,
    candidate,
    disagreement_signal,
    lonely_error_signal,
    rank,
    regression_signal,
    score,
    slice_states,
)
from relkit.curation.types import ConsentTerms, ReviewCandidate, ReviewList, ScoredItem, Signals
from relkit.datasets.types import Consent
from relkit.evaluation.types import RunHeader
from tests.builders import DIGEST, header, version

UNIT = st.floats(min_value=0, max_value=1)
TOKENS = st.lists(st.sampled_from("abcd"), max_size=6)
SIGNALS = st.fixed_dictionaries(dict.fromkeys(WEIGHTS, UNIT))
RUN, OTHER, THIRD = (f"20260131T120000Z-00000{letter}" for letter in "abc")


def item(name: str = "u1", *, wrong: int = 0, of: int = 10, **fields: Any) -> ScoredItem:  # noqa: ANN401  # any field
    """Return an utterance with so many wrong words, answered unless said otherwise."""
    given: dict[str, Any] = {
        "cluster": "s1",
        "slices": {"accent": "plain"},
        "repeats": 1,
        "errors": wrong,
        "words": of,
        "failures": 0,
        "unusable": 0,
        "runaways": 0,
        "tokens": tuple("right" for _ in range(of - wrong)) + ("wrong",) * wrong,
        "counts": ErrorCounts(hits=of - wrong, substitutions=wrong),
    }
    return ScoredItem(id=name, **(given | fields))


@given(SIGNALS, st.sampled_from(sorted(WEIGHTS)), UNIT)
def test_the_score_rises_with_every_signal(
    signals: dict[str, float], name: str, other: float
) -> None:
    """A stronger signal never lowers the score, which stays within [0, 1)."""
    low, high = sorted((signals[name], other))
    weaker, stronger = (score(Signals(**signals | {name: value})) for value in (low, high))
    assert 0 <= weaker <= stronger + 1e-12
    assert stronger < 1


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_signal_alone_gives_its_weight(name: str) -> None:
    """Every signal counts: none is forgotten in the formula."""
    assert score(Signals(**{name: 1.0})) == pytest.approx(WEIGHTS[name])
    assert score(Signals()) == 0


@given(UNIT, UNIT, UNIT, UNIT)
def test_a_regression_rises_with_its_size_and_the_error(
    worse: float, more: float, error: float, wronger: float
) -> None:
    """Monotone in both, 0 without either, and half at five points."""
    low, high = sorted((worse, more))
    right, wrong = sorted((error, wronger))
    assert regression_signal(low, right) <= regression_signal(high, wrong) <= 1
    assert regression_signal(0, error) == regression_signal(worse, 0) == 0
    assert regression_signal(0.05, 1) == pytest.approx(0.5)


@given(UNIT, UNIT, UNIT, UNIT)
def test_a_lonely_error_is_likelier_a_label(
    error: float, wronger: float, rest: float, worse: float
) -> None:
    """Rises with the error, falls with the errors around it, and is 0 up to half wrong."""
    right, wrong = sorted((error, wronger))
    fine, poor = sorted((rest, worse))
    assert lonely_error_signal(right, poor) <= lonely_error_signal(wrong, fine) <= 1
    assert lonely_error_signal(0.5, fine) == 0
    assert lonely_error_signal(1, 0) == 1


@given(UNIT, UNIT, st.lists(UNIT, min_size=1, max_size=4), UNIT)
def test_agreement_against_the_label_is_likelier_a_label(
    apart: float, further: float, errors: list[float], more: float
) -> None:
    """Falls with disagreement, rises with the smallest error."""
    near, far = sorted((apart, further))
    wronger = [max(error, more) for error in errors]
    assert agreed_label_signal(far, errors) <= agreed_label_signal(near, wronger) <= 1
    assert agreed_label_signal(1, errors) == 0


@given(st.lists(TOKENS, min_size=2, max_size=4))
def test_disagreement_is_a_symmetric_mean_distance(answers: list[list[str]]) -> None:
    """Between 0 and 1, whatever the order of the systems; 0 where all say the same."""
    value = disagreement_signal(answers)
    assert value is not None
    assert 0 <= value <= 1
    assert disagreement_signal(answers[::-1]) == pytest.approx(value)
    assert disagreement_signal([answers[0], answers[0]]) == 0
    assert disagreement_signal(answers[:1]) is None


@given(st.integers(1, 8), st.integers(1, 60), st.integers(1, 8), st.integers(1, 60))
def test_the_coverage_gap_falls_with_evidence(
    clusters: int, utterances: int, more_clusters: int, more_utterances: int
) -> None:
    """More speakers and more utterances never widen it; 5 and 30 close it."""

    def gap(clusters: int, utterances: int) -> float:
        state = SliceState(utterances=utterances, clusters=clusters, errors=0, words=1, worse=0.0)
        return state.coverage_gap

    few = gap(min(clusters, more_clusters), min(utterances, more_utterances))
    many = gap(max(clusters, more_clusters), max(utterances, more_utterances))
    assert 0 <= many <= few < 1
    assert gap(5, 30) == 0


@given(UNIT, st.integers(1, 100), st.integers(1, 100))
def test_a_slice_of_few_says_less(worse: float, some: int, others: int) -> None:
    """The same worsening weighs more in a slice of more utterances, and never more than it is."""
    few, many = (
        SliceState(utterances=count, clusters=1, errors=0, words=1, worse=worse).likely_worse
        for count in sorted((some, others))
    )
    assert few <= many <= worse


def test_a_small_slice_is_pooled_with_the_whole_run() -> None:
    """One bad neighbour does not hide a label error; thirty do."""
    state = SliceState(utterances=2, clusters=1, errors=20, words=20, worse=0.0)
    lost = item("a", wrong=10)
    assert state.rate_without(lost) == 1
    assert state.rate_without(lost, prior=0.0, weight=300) == pytest.approx(10 / 310)
    assert state.rate_without(item("a", of=20), prior=0.5) == 0


def test_slices_are_compared_with_the_baseline_on_the_same_utterances() -> None:
    """Utterances that the baseline lacks say nothing; where it failed it counts as perfect."""
    own = [item("a", wrong=4), item("b", wrong=2), item("c", wrong=9, cluster="s2")]
    before = {"a": item("a", wrong=1), "b": item("b", wrong=10, failures=1, tokens=None)}
    state = slice_states(own, before)["accent=plain"]
    assert state.worse == pytest.approx((4 + 2) / 20 - 1 / 20)
    assert (state.utterances, state.clusters) == (3, 2)
    assert slice_states(own, {})["overall"].worse == 0


def test_without_a_baseline_a_slice_is_held_against_the_whole_run() -> None:
    """The worst slice stands out, the better one does not."""
    own = [item("a", wrong=4), item("b", slices={"accent": "broad"})]
    states = slice_states(own, None)
    assert states["accent=plain"].worse == pytest.approx(0.2)
    assert states["accent=broad"].worse == states["overall"].worse == 0


def test_a_wrong_label_is_what_all_systems_hear_otherwise() -> None:
    """Two systems that agree with each other and not with the reference outrank the rest."""
    heard = ("not", "what", "is", "written")
    states = slice_states([item("a", wrong=4, of=4), item("b", wrong=2, of=4)], None)

    def signal(first: tuple[str, ...], second: tuple[str, ...]) -> float:
        one, two = (item("a", wrong=4, of=4, tokens=said) for said in (first, second))
        return candidate(one, [two], states).signals.label_error

    assert signal(heard, heard) == 1
    assert signal(heard, ("quite", "another", "thing", "altogether")) == 0


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"runaways": 1}, "runaway"),
        ({"failures": 1, "tokens": None, "counts": None}, "failure"),
        ({"unusable": 1, "words": 0, "tokens": None, "counts": None}, "unusable"),
    ],
)
def test_the_systems_fault_is_not_the_labels(fields: Mapping[str, Any], name: str) -> None:
    """A loop, a failure or broken audio is its own signal and no sign of a wrong label."""
    bad = item("a", **{"wrong": 10, **fields} if name != "unusable" else dict(fields))
    states = slice_states([bad, item("b")], None)
    signals = candidate(bad, [], states).signals
    assert getattr(signals, name) == 1
    assert signals.label_error == 0


def test_equal_scores_are_listed_by_id_and_nothing_is_listed_for_nothing() -> None:
    """The order is the same each time; a score of 0 is no candidate."""
    made = ReviewCandidate(id="b", score=0.5, slice="overall", signals=Signals(), numbers={})
    others = [replace(made, id="a"), replace(made, id="c", score=0.0), replace(made, id="d")]
    assert [one.id for one in rank([made, *others])] == ["a", "b", "d"]


class Runs:
    """Finished runs in memory."""

    def __init__(self, **runs: list[ScoredItem]) -> None:
        """Hold the utterances of runs; headers can be replaced."""
        self.stored = runs
        self.headers = {name: header(run=name) for name in runs}

    def header(self, run: str) -> RunHeader:
        """Return a run's header."""
        return self.headers[run]

    def items(self, run: str) -> tuple[ScoredItem, ...]:
        """Return a run's utterances."""
        return tuple(self.stored[run])


def allowing(required: bool = False, **words: Consent) -> ConsentTerms:  # noqa: FBT001, FBT002  # a word per name
    """Return a dataset's terms."""
    return ConsentTerms(required=required, by_id=words)


@pytest.mark.parametrize(
    ("required", "listed", "withheld"),
    [
        (False, {"yes", "unknown"}, {GONE: 1, "revoked": 1}),
        (True, {"yes"}, {GONE: 1, "revoked": 1, "unknown": 1}),
    ],
)
def test_consent_decides_who_is_listed(
    *, required: bool, listed: set[str], withheld: dict[str, int]
) -> None:
    """Revoked never, unknown only where that is allowed, and the unheard-of never."""
    names = ("yes", "no", "unknown", "gone")
    runs = Runs(a=[item(name, wrong=10) for name in names])
    terms = allowing(required, yes=Consent.GRANTED, no=Consent.REVOKED, unknown=Consent.UNKNOWN)
    found = candidates(ReviewOptions(runs=("a",)), runs, lambda _: terms)
    assert {one.id for one in found.candidates} == listed
    assert found.withheld == withheld
    assert found.considered == len(listed)


def test_what_is_revoked_is_used_for_nothing() -> None:
    """Its errors move no slice of the others."""
    terms = allowing(a=Consent.GRANTED, b=Consent.REVOKED)
    with_it = Runs(r=[item("a", wrong=3), item("b", wrong=10)])
    without = Runs(r=[item("a", wrong=3)])
    request = ReviewOptions(runs=("r",))
    first, second = (candidates(request, runs, lambda _: terms) for runs in (with_it, without))
    assert first.candidates == second.candidates


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": version(digest="sha256:" + "1" * 64)}, "on different data"),
        (
            {"normalizer": Named(name="english", digest="sha256:" + "1" * 64)},
            "scored by different rules",
        ),
    ],
)
def test_runs_that_do_not_compare_are_refused(change: dict[str, Any], words: str) -> None:
    """Other data or another normalizer: the way out is to score again."""
    runs = Runs(a=[item("u")], b=[item("u")])
    runs.headers["b"] = replace(runs.headers["b"], **change)
    terms = allowing(u=Consent.GRANTED)
    with pytest.raises(InvalidInput, match=words) as caught:
        candidates(ReviewOptions(runs=("a", "b")), runs, lambda _: terms)
    assert "relkit rescore b" in (caught.value.hint or "")


def test_a_run_is_not_its_own_baseline() -> None:
    """The same run on both sides compares nothing."""
    runs = Runs(a=[item("u")])
    with pytest.raises(UsageError, match="named twice"):
        candidates(ReviewOptions(runs=("a",), baseline="a"), runs, lambda _: allowing())


def test_runs_must_share_utterances() -> None:
    """None in common is an error, some missing a note."""
    terms = allowing(u=Consent.GRANTED, v=Consent.GRANTED)
    request = ReviewOptions(runs=("a", "b"))
    with pytest.raises(InvalidInput, match="no utterance in common"):
        candidates(request, Runs(a=[item("u")], b=[item("v")]), lambda _: terms)
    some = Runs(a=[item("u"), item("v")], b=[item("v")])
    assert candidates(request, some, lambda _: terms).notes == (
        "1 utterances are not in the run b",
    )


def review_of(candidate: ReviewCandidate) -> ReviewList:
    """Return a list of one candidate."""
    return ReviewList(
        runs=(RUN,),
        baseline=None,
        dataset="words",
        considered=1,
        flagged=1,
        withheld={},
        candidates=(candidate,),
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", " =1", "\uff1d1"])
def test_no_cell_is_a_formula(name: str) -> None:
    """Ids and slices come from data; a spreadsheet runs none of them."""
    one = ReviewCandidate(
        id=name, score=0.25, slice=name, signals=Signals(runaway=1.0), numbers={"error": 1 / 3}
    )
    found = review_of(one)
    head, row = review_csv(found).split("\n", maxsplit=1)
    assert head.startswith("id,score,slice,slice_regression,")
    assert row.startswith(("'", "\"'"))
    assert row.count("'") == 2
    assert review_document(found)["candidates"][0]["id"] == name  # type: ignore[index,call-overload]  # a JSON document


@pytest.mark.parametrize("name", ["a\n##[error]x", "##[group]", "a\x1b[2J", "a\u202eb", "a\r::x::"])
def test_no_cell_steers_what_shows_the_table(name: str) -> None:
    """A row is one line, whatever is in it, and no command of a runner's."""
    one = ReviewCandidate(id=name, score=0.25, slice=name, signals=Signals(), numbers={})
    _, row, rest = review_csv(review_of(one)).split("\n")
    assert (row.isprintable(), "##[" in row, rest) == (True, False, "")


def test_headers_come_in_the_order_of_the_runs() -> None:
    """The list names the runs it was made from, and the baseline apart."""
    u = [item("u", wrong=1)]
    runs = Runs(**{RUN: u, OTHER: u, THIRD: u})
    request = ReviewOptions(runs=(RUN, OTHER), baseline=THIRD, limit=1)
    found = candidates(request, runs, lambda _: allowing(u=Consent.GRANTED))
    assert (found.runs, found.baseline, found.dataset) == ((RUN, OTHER), THIRD, "words")
    assert runs.headers[RUN].dataset.digest == DIGEST
