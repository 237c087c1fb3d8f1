"""Rules to results to a decision: tables, and the laws every gate has to keep."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.values import Estimate
from relkit.gate.decide import decide, judge, judge_all, reason_codes, worst_of
from relkit.gate.reasons import reason_of
from relkit.gate.types import ORDER, Rule, RuleResult, Verdict
from tests import gate_data
from tests.gate_data import BETTER, EQUAL, NOW, WORSE, evidence, policy, rule

LOCKED = {"accent": ("a", "b")}
VERDICTS = st.sampled_from(list(Verdict))


def results(*verdicts: Verdict, mode: str = "required") -> list[RuleResult]:
    """Return a result for each verdict."""
    return [
        RuleResult(
            rule=f"r{i}",
            slice="overall",
            metric="wer",
            test="bound",
            mode=mode,  # type: ignore[arg-type]  # one of the modes
            verdict=verdict,
            code=verdict.value,
            reason="because",
        )
        for i, verdict in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("candidate", "margin", "verdict", "code"),
    [
        (BETTER, 0.0, Verdict.PASS, "within_margin"),
        (EQUAL, 0.05, Verdict.PASS, "within_margin"),
        (WORSE, 0.02, Verdict.FAIL, "worse_than_margin"),
        (WORSE, 0.5, Verdict.PASS, "within_margin"),
        (WORSE, 0.101, Verdict.INCONCLUSIVE, "margin_inside_interval"),
    ],
)
def test_non_inferiority_of_the_whole(
    candidate: gate_data.Errors, margin: float, verdict: Verdict, code: str
) -> None:
    """A worsening is held against the margin, with words for the reason."""
    (found,) = judge(rule(margin=margin), evidence(candidate))
    assert (found.verdict, found.code) == (verdict, code)
    assert found.quantity == "worsening"
    assert found.bound == margin


def test_the_reason_is_one_a_release_manager_can_read() -> None:
    """It says what, where, by how much with which interval, what was allowed, and on how many."""
    (found,) = judge(rule(slice="accent=a", margin=0.02), evidence(WORSE))
    assert found.reason == (
        "wer_capped on accent=a is worse: +10.0 points (+9.0 to +11.0); allowed at most +2.0 "
        "points; 6 voices"
    )
    assert found.harm == pytest.approx(500.0)


def test_an_undecided_rule_says_how_many_clusters_are_missing() -> None:
    """Too little data comes with the number that would be enough."""
    (found,) = judge(rule(margin=0.101), evidence(WORSE))
    assert found.needed_clusters is not None
    assert found.needed_clusters > found.clusters
    assert "would decide it" in found.reason


@pytest.mark.parametrize(
    ("excludes", "says"), [(None, "no multiple of the rate"), (3.1, "only 3.1 times the rate")]
)
def test_an_undecided_family_says_what_its_data_exclude(excludes: float | None, says: str) -> None:
    """In a sentence, also where that is nothing."""
    asked = rule(test="no_regression", detectable=2.0)
    (shown,) = results(Verdict.INCONCLUSIVE)
    shown = replace(shown, code="ratio_not_excluded", excludes=excludes)
    assert f"this data excludes {says}, 2 times is asked for" in reason_of(
        asked, shown, column="speaker"
    )


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"max": 0.2}, Verdict.PASS),
        ({"max": 0.01}, Verdict.FAIL),
        ({"max": 0.08}, Verdict.INCONCLUSIVE),
        ({"min": 0.01}, Verdict.PASS),
        ({"min": 0.5}, Verdict.FAIL),
    ],
)
def test_a_bound_is_about_the_candidate_alone(fields: dict[str, float], verdict: Verdict) -> None:
    """A test of the limit decides, with or without a baseline."""
    asked = rule(test="bound", **fields)
    with_one = evidence()
    without = replace(with_one, baseline=None)
    assert [r.verdict for r in judge(asked, with_one)] == [verdict]
    assert [r.verdict for r in judge(asked, without)] == [verdict]


def _limited(errors: list[float], limit: float) -> RuleResult:
    """Return the result of a limit on the capped WER of speakers with 180 words each."""
    asked = rule(test="bound", max=limit)
    given_errors = {"overall": errors}
    (found,) = judge(asked, evidence(given_errors, given_errors, words=180.0))
    return found


def test_a_better_system_is_not_undecided_where_a_worse_one_passes() -> None:
    """One bad speaker among six makes the interval of 2.4 % reach far, and the test does not care.

    What is shown are the limits that the test excludes, and the reason says so.
    """
    even, uneven = [7.0, 9.0, 11.0, 14.0, 16.0, 19.0], [1.0, 1.0, 1.0, 2.0, 3.0, 18.0]
    assert _limited(even, 0.15).verdict is Verdict.PASS
    found = _limited(uneven, 0.15)
    assert found.verdict is Verdict.PASS
    assert found.method == "score"
    assert found.reason == (
        "wer_capped is 2.4 % (0.0 to 9.7 % by the test of the limit); allowed at most 15.0 %; "
        "6 voices"
    )


@given(
    speakers=st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=5, max_size=12),
    limit=st.sampled_from([0.02, 0.05, 0.1, 0.15, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_better_for_every_speaker_is_never_judged_worse(
    speakers: list[tuple[int, float]], limit: float
) -> None:
    """However uneven the improvement, the verdict moves toward pass only."""
    rank = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
    worse = [float(errors) for errors, _ in speakers]
    better = [float(int(errors * left)) for errors, left in speakers]
    of_better, of_worse = (_limited(errors, limit).verdict for errors in (better, worse))
    assert rank[of_better] >= rank[of_worse]


@pytest.mark.parametrize(
    ("candidate", "fields", "verdict"),
    [
        (BETTER, {"min_change": 0.01}, Verdict.PASS),
        (BETTER, {"min_change": 0.05}, Verdict.FAIL),
        (BETTER, {"min_relative_change": 0.1}, Verdict.PASS),
        (BETTER, {"min_relative_change": 0.9}, Verdict.FAIL),
        (EQUAL, {"min_change": 0.001}, Verdict.INCONCLUSIVE),
        (WORSE, {"min_change": 0.001}, Verdict.FAIL),
        (BETTER, {"min_change": 0.001, "min_relative_change": 0.9}, Verdict.FAIL),
    ],
)
def test_a_candidate_that_has_to_be_better(
    candidate: gate_data.Errors, fields: dict[str, float], verdict: Verdict
) -> None:
    """The gain is held against the wanted change, absolute and of the baseline."""
    (found,) = judge(rule(test="min_change", **fields), evidence(candidate))
    assert found.verdict is verdict
    assert found.quantity == "improvement"


def test_a_relative_change_of_nothing_is_said_in_words() -> None:
    """Of a baseline of 0 there is no share, and no guard of ours is shown for one."""
    perfect = {name: [0.0] * len(errors) for name, errors in EQUAL.items()}
    rules = rule(test="min_change", min_relative_change=0.1)
    (found,) = judge(rules, evidence(perfect, baseline=perfect))
    assert found.verdict is not Verdict.PASS
    assert "nothing is relatively better than a baseline of 0; wanted less than 0.0 %" in (
        found.reason
    )


def test_a_family_of_slices_finds_the_one_that_became_worse() -> None:
    """One slice fails although the whole is better."""
    harmed = {**BETTER, "accent=b": WORSE["accent=b"]}
    found = judge(
        rule(test="no_regression", slice="accent=*", margin=None),
        evidence(harmed, registered=LOCKED),
    )
    assert {r.slice: r.verdict for r in found}["accent=b"] is Verdict.FAIL
    assert {r.slice: r.code for r in found}["accent=b"] == "regressed"
    worse = next(r for r in found if r.slice == "accent=b")
    assert worse.p_adjusted is not None
    assert worse.p_adjusted <= 0.05


def test_a_vanished_slice_is_missing_and_a_new_one_advises() -> None:
    """What the lock promises has to be there; what it did not know cannot block."""
    found = judge(
        rule(test="no_regression", slice="accent=*"),
        evidence(registered={"accent": ("a", "gone")}),
    )
    by_slice = {r.slice: r for r in found}
    assert by_slice["accent=gone"].verdict is Verdict.NO_DATA
    assert by_slice["accent=gone"].mode == "required"
    assert by_slice["accent=b"].mode == "advisory"
    assert by_slice["accent=a"].mode == "required"


def test_an_anchor_holds_a_margin_of_its_own() -> None:
    """A candidate a little worse than its baseline may be far worse than where it began."""
    began = {name: [1.0 for _ in values] for name, values in EQUAL.items()}
    found = judge(rule(margin=0.05), evidence(EQUAL, EQUAL, anchor=began))
    assert [(r.against, r.verdict) for r in found] == [
        ("baseline", Verdict.PASS),
        ("anchor", Verdict.FAIL),
    ]
    wide = judge(rule(margin=0.05, anchor_margin=0.5), evidence(EQUAL, EQUAL, anchor=began))
    assert [r.verdict for r in wide] == [Verdict.PASS, Verdict.PASS]


def test_latencies_are_compared_as_percentiles() -> None:
    """A p50 that is 100 ms slower fails a margin of 20 ms and passes one of 200."""
    base = [200.0 + (i * 7) % 100 for i in range(480)]
    slower = [value + 100.0 for value in base]
    given_ = gate_data.with_latencies(evidence(), slower, base)
    asked = rule(metric="latency_ms.p50", margin=20.0)
    assert [r.verdict for r in judge(asked, given_)] == [Verdict.FAIL]
    assert [r.verdict for r in judge(replace(asked, margin=200.0), given_)] == [Verdict.PASS]


@given(st.lists(VERDICTS, min_size=1, max_size=8))
def test_the_most_blocking_verdict_wins(verdicts: list[Verdict]) -> None:
    """Overall is the first of the order that occurs."""
    assert worst_of(verdicts) is next(v for v in ORDER if v in verdicts)
    decided = decide(policy(), results(*verdicts))
    assert decided.verdict is worst_of(verdicts)


@given(st.lists(VERDICTS, max_size=6), st.permutations(range(6)))
def test_the_order_of_results_does_not_matter(verdicts: list[Verdict], order: list[int]) -> None:
    """A decision is a property of the set of results."""
    found = results(*verdicts)
    shuffled = [found[i] for i in order if i < len(found)]
    assert decide(policy(), found).verdict is decide(policy(), shuffled).verdict


@given(st.lists(VERDICTS, max_size=6), VERDICTS)
def test_one_more_result_never_unblocks(verdicts: list[Verdict], more: Verdict) -> None:
    """Adding a result that is no pass never turns a block into a pass."""
    before = decide(policy(), results(*verdicts)).verdict
    after = decide(policy(), results(*verdicts, more)).verdict
    if verdicts and more is not Verdict.PASS:
        assert after is not Verdict.PASS
        assert ORDER.index(after) <= ORDER.index(before)


@given(st.lists(VERDICTS, max_size=6), st.sampled_from(["advisory", "dry_run"]))
def test_what_only_advises_never_passes_a_gate(verdicts: list[Verdict], mode: str) -> None:
    """Advisory and dry-run results are never the only thing that passed, and block nothing."""
    assert decide(policy(), results(*verdicts, mode=mode)).verdict is Verdict.ERROR
    required = results(Verdict.PASS)
    assert decide(policy(), [*required, *results(*verdicts, mode=mode)]).verdict is Verdict.PASS


def test_reason_codes_name_what_blocks_first() -> None:
    """Codes come in the order of verdicts, each once, and none for what passed."""
    found = results(Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.FAIL, Verdict.FAIL)
    assert reason_codes(found) == ("fail", "inconclusive")


@given(
    candidate=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    baseline=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    margin=st.floats(0, 0.3),
    more=st.floats(0, 0.3),
)
def test_a_wider_margin_never_blocks_more(
    candidate: list[int], baseline: list[int], margin: float, more: float
) -> None:
    """The verdict of non-inferiority is monotone in the margin."""
    rank = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
    found = evidence(
        {"overall": [float(v) for v in candidate]}, {"overall": [float(v) for v in baseline]}
    )
    (narrow,) = judge(rule(margin=margin), found)
    (wide,) = judge(rule(margin=margin + more), found)
    assert rank[wide.verdict] >= rank[narrow.verdict]


@given(st.permutations(range(3)))
def test_the_order_of_rules_does_not_matter(order: list[int]) -> None:
    """The same rules in another order come to the same decision."""
    rules = [
        rule(id="one", margin=0.001),
        rule(id="two", test="bound", max=0.2),
        rule(id="three", test="bound", max=0.01),
    ]
    given_ = evidence()
    verdicts = set()
    for chosen in (rules, [rules[i] for i in order]):
        asked = policy(*chosen)
        verdicts.add(decide(asked, judge_all(asked, given_, now=NOW)).verdict)
    assert len(verdicts) == 1


@given(names=st.permutations(["accent=a", "accent=b"]))
def test_the_order_of_slices_does_not_matter(names: list[str]) -> None:
    """Families are judged alike however their slices were aggregated."""
    harmed = {**BETTER, "accent=b": WORSE["accent=b"]}
    order = ["overall", *names]
    found = judge(
        rule(test="no_regression", slice="accent=*"),
        evidence(
            {name: harmed[name] for name in order},
            {name: EQUAL[name] for name in order},
            registered=LOCKED,
        ),
    )
    assert {r.slice: r.verdict for r in found}["accent=b"] is Verdict.FAIL


def test_advice_of_a_failing_rule_is_kept() -> None:
    """An advisory rule that fails is listed, and promotes nothing by itself."""
    asked = policy(rule(), rule(id="floor", test="bound", max=0.0, mode="advisory"))
    decided = decide(asked, judge_all(asked, evidence(), now=NOW))
    assert decided.verdict is Verdict.PASS
    assert [r.verdict for r in decided.results] == [Verdict.PASS, Verdict.FAIL]


def test_a_shadow_decision_promotes_nothing() -> None:
    """The verdict is real, and it can never promote."""
    asked = policy(rule(), enforcement="shadow")
    decided = decide(asked, judge_all(asked, evidence(), now=NOW))
    assert decided.verdict is Verdict.PASS
    assert not decided.promotes
    assert replace(decided, policy=replace(decided.policy, enforcement="enforce")).promotes


def test_the_noise_of_a_single_cluster_decides_nothing() -> None:
    """An interval over the utterances of one voice is advice; a policy cannot require it."""
    inside = Estimate(value=0.01, low=0.0, high=0.02, n=500, clusters=1, method="within-cluster")
    given_ = evidence()
    given_ = replace(given_, estimates={"overall": {"wer_capped": inside}})
    asked = Rule(id="x", metric="wer_capped", max=0.5, min_clusters=1)
    (found,) = judge(asked, given_)
    assert (found.verdict, found.code) == (Verdict.ERROR, "one_cluster")
    (advised,) = judge(replace(asked, mode="advisory"), given_)
    assert (advised.verdict, advised.code) == (Verdict.INCONCLUSIVE, "one_cluster")
