"""Plans: what a rule can decide on data of a given size, and what would change that."""

import json
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relkit.core.codec import encode
from relkit.core.values import Estimate
from relkit.datasets.types import Entity, ExpectedOutcome, ScriptEntry, When
from relkit.gate.assumptions import Measured, sentences
from relkit.gate.facts import facts_of
from relkit.gate.plan import margins, plan_rules, ratios
from relkit.gate.plan_types import GatePlan, RulePlan, SelectionFacts, SlicePlan
from relkit.gate.policies import parse_policy
from relkit.gate.types import GatePolicy
from relkit.scoring.text import TextScorer
from relkit.statistics.ceilings import limits_excluded, scores_of
from relkit.statistics.distributions import unseen
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.percentiles import values_needed
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, Difference, Regression
from tests.builders import MINIMAL_SUITE, dataset, suite, utterance

NI = "metric: wer_capped, test: non_inferiority, margin: {}"
NR = "metric: wer_capped, slice: 'accent=*', test: no_regression, detectable: {}"


def policy(*rules: str) -> GatePolicy:
    """Return a policy of these rules."""
    listed = "".join(f"  - {{id: r{i}, {rule}}}\n" for i, rule in enumerate(rules))
    return parse_policy(f"schema: relkit.gate/v1\nname: p\nrules:\n{listed}", source="p.yaml")


def facts(asked: GatePolicy, speakers: int = 20, each: int = 10) -> SelectionFacts:
    """Return the facts of speakers of four accents who say ten words an utterance."""
    items = [
        utterance(
            f"s{s}-{u}",
            reference=" ".join(["word"] * 10),
            attributes={"speaker": f"s{s}", "accent": f"a{s % 4}"},
            entities=(Entity(text="word", type="x"),) if u % 2 else (),
        )
        for s in range(speakers)
        for u in range(each)
    ]
    return facts_of(dataset(items), asked.rules)


def planned(rule: str, speakers: int = 20, each: int = 10, **known: object) -> RulePlan:
    """Return the plan of one rule."""
    asked = policy(rule)
    measured = Measured(run="r1", **known)  # type: ignore[arg-type]  # its own fields, by name
    (plan,) = plan_rules(asked, facts(asked, speakers, each), measured)
    return plan


def only(plan: RulePlan) -> SlicePlan:
    """Return the one slice of a plan."""
    (item,) = plan.slices
    return item


def test_units_are_those_of_the_metrics_denominator() -> None:
    """Words for word errors, entities for entities, each with the clusters that have some."""
    asked = policy("metric: wer_capped, max: 0.5", "metric: entity_error_rate, max: 0.5")
    words, entities = (only(plan) for plan in plan_rules(asked, facts(asked)))
    assert (words.units, words.unit, words.clusters) == (2000, "words", 20)
    assert (entities.units, entities.unit, entities.utterances) == (100, "entities", 200)


@pytest.mark.parametrize(("margin", "outlook"), [(0.001, "weak"), (0.2, "decides")])
def test_a_margin_decides_where_equal_systems_pass_it(margin: float, outlook: str) -> None:
    """The chance, the margin that would do, and how many speakers this one needs."""
    item = only(planned(NI.format(margin)))
    assert item.outlook == outlook
    assert item.equal_passes is not None
    assert (item.equal_passes >= 0.8) == (outlook == "decides")
    assert item.smallest is not None
    assert bool(item.missing_clusters) == (outlook == "weak")


def test_the_clusters_it_asks_for_are_enough() -> None:
    """With as many speakers as the plan wants, an equal system passes in 80 %."""
    before = only(planned(NI.format(0.01)))
    assert before.needed_clusters is not None
    assert before.needed_clusters > 20
    after = only(planned(NI.format(0.01), speakers=before.needed_clusters))
    assert after.equal_passes == pytest.approx(0.8, abs=0.02)


@settings(max_examples=25, deadline=None)
@given(speakers=st.integers(5, 60), more=st.integers(1, 60))
def test_more_speakers_never_ask_for_a_larger_margin(speakers: int, more: int) -> None:
    """More data decides more."""
    asked = policy(NI.format(0.01))
    few, many = (margins(asked, facts(asked, n, 4))["r0"] for n in (speakers, speakers + more))
    assert many <= few


@settings(max_examples=25, deadline=None)
@given(speakers=st.integers(5, 60), each=st.integers(6, 12))
def test_at_its_margin_an_equal_system_passes_in_80_percent(speakers: int, each: int) -> None:
    """What relkit init writes is what the plan then says of it."""
    asked = policy(NI.format(0.5))
    own = margins(asked, facts(asked, speakers, each))["r0"]
    chance = only(planned(NI.format(own), speakers, each)).equal_passes
    assert chance is not None
    assert chance >= 0.8 - 1e-9
    below = only(planned(NI.format(own * 0.9), speakers, each)).equal_passes
    assert below is not None
    assert below < 0.8


def test_too_little_data_for_any_margin_leaves_the_policy_alone() -> None:
    """Four speakers have no interval, so no margin would be honest."""
    asked = policy(NI.format(0.01), "metric: latency_ms.mean, test: non_inferiority, margin: 9")
    assert margins(asked, facts(asked, speakers=4)) == {}


def test_systems_that_never_differ_still_need_a_margin() -> None:
    """Of a rare event hardly a cluster differs: the interval is what so much data can miss."""
    rule = "metric: failure_rate, test: non_inferiority, margin: {}"
    item = only(planned(rule.format(0.01)))
    assert item.equal_passes == 0.0
    assert item.smallest is not None
    assert item.smallest >= unseen(200)


def test_the_policys_own_limit_is_the_rate_that_is_supposed() -> None:
    """At the worst rate a policy allows, an equal system should still pass."""
    asked = policy(NI.format(0.1), "metric: wer_capped, max: 0.5")
    supposed = only(plan_rules(asked, facts(asked))[0]).assumed
    assert supposed is not None
    assert (supposed.rate, supposed.rate_from) == (0.5, "the limit of rule r1")
    assert margins(asked, facts(asked))["r0"] > margins(policy(NI.format(0.1)), facts(asked))["r0"]


def test_a_measured_rate_replaces_the_supposed_one() -> None:
    """A finished run knows better; where it has no value the overall one serves."""
    values = {"overall": {"wer_capped": Estimate(value=0.4)}}
    plan = planned(NR.format(2), values=values)
    rates = {item.assumed.rate for item in plan.slices if item.assumed is not None}
    assert rates == {0.4}
    assert sentences([plan])[0] == "wer_capped: measured in r1, overall"


def test_two_runs_replace_every_assumption() -> None:
    """The spread of a measured difference, and what a tested family said it excludes."""
    difference = Difference(
        slice="overall", candidate=0.1, baseline=0.1, worsening=0.0, se=0.01, df=19.0, clusters=20
    )
    item = only(planned(NI.format(0.05), differences={("wer_capped", "overall"): difference}))
    assert item.assumed is not None
    assert item.assumed.rate_from == "measured by both runs"
    assert item.assumed.discordance is None
    assert item.smallest == pytest.approx(0.01 * (2.09 + 0.87), rel=0.03)
    known = Regression(slice="accent=a1", difference=difference, p_adjusted=0.5, excludes=1.4)
    plan = planned(NR.format(1.5), regressions={("r0", "accent=a1"): known})
    by_slice = {item.slice: item for item in plan.slices}
    assert by_slice["accent=a1"].excludes_ratio == 1.4
    assert by_slice["accent=a1"].outlook == "decides"


def test_a_family_says_the_ratio_that_equal_systems_exclude() -> None:
    """More data exclude more."""
    small, large = planned(NR.format(2)), planned(NR.format(2), speakers=80)
    ratios = [
        item.excludes_ratio
        for plan in (small, large)
        for item in plan.slices
        if item.excludes_ratio
    ]
    assert len(ratios) == 8
    assert max(ratios[4:]) < min(ratios[:4])
    weak = planned(NR.format(1.05)).slices[0]
    assert weak.outlook == "cannot"
    assert weak.needed_clusters is None or weak.needed_clusters > weak.clusters


def test_what_nothing_seen_may_hide_is_the_intervals_own() -> None:
    """The plan and the interval of a rate agree about 3.7 / utterances."""
    ones = np.ones(20)
    sums = ClusterSums(
        slices=("overall",),
        slice_index=np.zeros(20, dtype=np.int64),
        cluster_index=np.arange(20, dtype=np.int64),
        columns={"failures": 0 * ones, "utterances": 10 * ones},
    )
    (estimate,) = estimate_rates(RATE_METRICS["failure_rate"], RateEvidence(sums=sums))
    assert estimate.high == pytest.approx(unseen(200))


@pytest.mark.parametrize(
    ("rule", "outlook", "says"),
    [
        ("metric: failure_rate, max: 0.018", "cannot", "it takes 206"),
        ("metric: failure_rate, max: 0.019", "weak", "only if none is seen"),
        ("metric: failure_rate, max: 0.04", "decides", "with up to 1 event among 200 utterances"),
        ("metric: failure_rate, max: 0.05", "decides", "2 events among 200 utterances; 80 % of"),
        ("metric: ser, max: 0.2", "decides", "passes in 80 % if the true value is 6.8 % or less"),
        ("metric: wer_capped, max: 0.001", "weak", "only if none is seen"),
        ("metric: wer_capped, max: 0.2", "decides", "passes in 80 % if the true value is"),
        ("metric: latency_ms.p99, max: 9", "cannot", "200 of 368 values"),
        ("metric: latency_ms.p95, max: 9", "unknown", "only a finished run"),
        ("metric: latency_ms.p95, min: 9", "unknown", "only a finished run"),
        ("metric: dnsmos_ovrl.mean, min: 3", "unknown", "only a finished run"),
        ("metric: ser, min: 0.1", "unknown", "only a finished run"),
        ("metric: wer_capped, max: 0.2, slice: 'speaker=s1'", "cannot", "1 of 5 clusters"),
        ("metric: wer_capped, max: 0.2, min_utterances: 201", "cannot", "200 of 201 utterances"),
        ("metric: hallucination_rate, max: 0.2", "cannot", "has no clips without speech"),
        ("metric: latency_ms.mean, test: non_inferiority, margin: 9", "unknown", "name two"),
        ("metric: wer_capped, min_change: 0.01", "decides", "shows an improvement"),
        ("metric: wer_capped, min_change: 0.079", "weak", "more than the supposed rate"),
    ],
)
def test_what_a_rule_can_decide(rule: str, outlook: str, says: str) -> None:
    """Twenty speakers of ten utterances of ten words."""
    item = only(planned(rule))
    assert item.outlook == outlook
    assert says in item.says


@pytest.mark.parametrize("limit", [0.02, 0.03, 0.04, 0.05])
@pytest.mark.parametrize(("speakers", "each"), [(20, 10), (40, 4), (10, 30), (6, 30)])
def test_as_many_events_pass_as_the_plan_says(limit: float, speakers: int, each: int) -> None:
    """The test of a finished run agrees, to the event; 80 % of systems at the rate manage."""
    item = only(planned(f"metric: failure_rate, max: {limit}", speakers, each))
    units = speakers * each
    inside = [k for k in range(1, 5) if (high_of(k, speakers, each) or 1.0) <= limit]
    if "passes in 80 %" in item.says:
        assert inside == [1, 2, 3, 4]
        return
    most = max(inside, default=0)
    said = "if none is seen" if not most else f"up to {most} event"
    assert said in item.says or item.outlook == "cannot"
    if item.outlook != "cannot":
        assert item.smallest is not None
        assert stats.binom.cdf(most, units, item.smallest) == pytest.approx(0.8, abs=1e-6)


def high_of(events: int, speakers: int, each: int) -> float | None:
    """Return the upper end of a failure rate with events of so many speakers."""
    ones = np.ones(speakers)
    sums = ClusterSums(
        slices=("overall",),
        slice_index=np.zeros(speakers, dtype=np.int64),
        cluster_index=np.arange(speakers, dtype=np.int64),
        columns={
            "failures": (np.arange(speakers) < events).astype(np.float64),
            "utterances": each * ones,
        },
    )
    scores = scores_of(RATE_METRICS["failure_rate"], RateEvidence(sums=sums), "overall")
    assert scores is not None
    return limits_excluded(scores)[1]


def test_all_slices_of_a_family_have_to_pass_in_the_plan_too() -> None:
    """Beside the slices of a second rule each has to pass more often than alone."""
    two = policy(NR.format(2), "metric: wer_capped, slice: 'speaker=*', test: no_regression")
    alone = planned(NR.format(2), each=40)
    beside = plan_rules(two, facts(two, each=40))[0]
    ratios = [[item.excludes_ratio or np.inf for item in plan.slices] for plan in (alone, beside)]
    assert all(one < other for one, other in zip(*ratios, strict=True))


def test_p95_needs_as_many_values_as_the_interval() -> None:
    """A plan that promised an end the percentile does not give would mislead."""
    assert only(planned("metric: latency_ms.p95, max: 9", 8, 8)).needed_clusters == 9
    assert only(planned("metric: latency_ms.p95, max: 9", 9, 8)).outlook == "unknown"
    assert values_needed(0.95) == 72
    assert only(planned("metric: latency_ms.p95, max: 9", 7, 20)).missing_clusters == 1


@pytest.mark.parametrize(
    ("estimate", "would"),
    [
        (Estimate(value=0.1, low=0.08, high=0.15), "would pass"),
        (Estimate(value=0.4, low=0.3, high=0.5), "would fail"),
        (Estimate(value=0.19, low=0.15, high=0.25), "would be inconclusive"),
        (Estimate(value=0.01, note="one cluster has all the errors"), "one cluster has all"),
    ],
)
def test_a_bound_says_what_the_named_run_would_get(estimate: Estimate, would: str) -> None:
    """Its own interval against the limit of 0.2."""
    values = {"overall": {"wer_capped": estimate}}
    assert would in only(planned("metric: wer_capped, max: 0.2", values=values)).says


def test_a_suite_selects_and_clusters() -> None:
    """The plan counts what an evaluation of the suite would be judged on."""
    asked = policy("metric: wer_capped, max: 0.5, slice: 'accent=*'")
    text = MINIMAL_SUITE.replace("{name: words}", "{name: words, where: {accent: a1}}")
    items = [
        utterance(f"u{i}", attributes={"speaker": f"s{i % 7}", "accent": f"a{i % 2}"})
        for i in range(28)
    ]
    found = facts_of(
        dataset(items, slices=("accent",)), asked.rules, replace(suite(text), cluster="accent")
    )
    assert (found.suite, found.cluster) == ("small", "accent")
    assert set(found.slices) == {"overall", "accent=a1"}
    assert (found.slices["overall"].utterances, found.slices["overall"].clusters) == (14, 1)


SPACES = "turn\u00a0on\u3000the\u2009light"
COMBINING = "cafe\u0301 o\u031bn\u0323"
THAI = "เปิดไฟ"


@pytest.mark.parametrize(
    ("segmenter", "reference", "words", "characters"),
    [
        ("auto", "打开客厅的灯", 6, 6),
        ("words", "打开客厅的灯", 1, 6),
        ("auto", "リビングの電気をつけて", 11, 11),
        ("auto", THAI, 5, 5),
        ("auto", "播放 Hello World", 4, 14),
        ("auto", SPACES, 4, 17),
        ("auto", "one\u200btwo\ufeffthree", 3, 13),
        ("auto", COMBINING, 2, 7),
        ("characters", "on it", 4, 5),
        ("auto", "\u200b \u3000", 0, 0),
    ],
)
def test_a_plan_counts_as_the_scorer_counts(
    segmenter: Literal["auto", "words", "characters"], reference: str, words: int, characters: int
) -> None:
    """Whatever the script and the suite's segmenter, the units are the scorer's denominators."""
    asked = policy("metric: wer_capped, max: 0.5")
    keywords = (reference, f"{reference} x")
    changed = replace(
        suite(MINIMAL_SUITE), segmenter=segmenter, keywords=keywords, cluster="accent"
    )
    facts = facts_of(dataset([utterance(reference=reference)]), asked.rules, changed)
    units = {name: unit.total for name, unit in facts.slices["overall"].units.items()}
    scorer = TextScorer(lambda _: (), keywords=keywords, segmenter=segmenter)
    scored = scorer.score(reference, None)
    assert units["words"] == words == scored.counts.reference_length
    assert units["characters"] == characters == scored.characters.reference_length
    assert units["keywords"] == scored.keywords == int(words > 0)
    assert units["empty_clips"] == int(words == 0)


def test_a_rule_without_a_slice_cannot_decide() -> None:
    """Nothing to judge is the worst outlook, never a good one."""
    plan = planned("metric: wer_capped, max: 0.5, slice: 'x=*'")
    assert plan.slices == ()
    assert plan.outlook == "cannot"


def test_the_document_of_a_plan_is_plain_json() -> None:
    """Everything in it can be written, and the outlook of each rule is said."""
    rules = plan_rules(asked := policy(NI.format(0.1)), facts(asked))
    plan = GatePlan(
        policy="p",
        policy_digest=asked.digest,
        dataset="words",
        revision=None,
        suite=None,
        cluster="speaker",
        utterances=200,
        clusters=20,
        words=2000,
        rules=rules,
        assumptions=sentences(rules),
    )
    document = json.loads(json.dumps(encode(plan), allow_nan=False))
    assert [rule["outlook"] for rule in document["rules"]] == ["decides"]


@pytest.mark.parametrize(
    ("texts", "shared"),
    [
        ([f"text {i}" for i in range(6)], 5 / 36),
        ([f"Text  {i} " if i % 2 else f"text {i}" for i in range(6)], 5 / 36),
        ([f"text {i}" for i in range(4)], 0.0),
    ],
)
def test_prompts_that_clusters_share_are_counted(texts: list[str], shared: float) -> None:
    """A pair of utterances counts where two speakers read one text; four texts are too few."""
    items = [
        utterance(f"{speaker}-{i}", reference=text, attributes={"speaker": f"s{speaker}"})
        for speaker in range(6)
        for i, text in enumerate(texts if speaker % 2 else [text.upper() for text in texts])
    ]
    asked = policy("metric: wer, max: 0.3")
    facts = facts_of(dataset(items), asked.rules)
    assert facts.slices["overall"].shared == pytest.approx(shared)


def test_a_ratio_finer_than_the_data_is_made_one_that_it_excludes() -> None:
    """What relkit init writes into a small data set is what the plan then says it decides."""
    asked = policy(NR.format(1.05), NR.format(5.0), NI.format(0.1))
    chosen = ratios(asked, facts(asked, speakers=40, each=6))
    assert set(chosen) == {"r0"}
    outlooks = {
        item.outlook for item in planned(NR.format(chosen["r0"]), speakers=40, each=6).slices
    }
    assert outlooks == {"decides"}


def test_data_that_excludes_no_ratio_leaves_the_rule_alone() -> None:
    """A ratio that nobody would ask for is not written: the plan says that the rule cannot."""
    asked = policy(NR.format(2.0))
    assert ratios(asked, facts(asked, speakers=8, each=1)) == {}


def test_a_script_is_counted_before_anything_is_said() -> None:
    """Turns, interruptions and backchannels are those of the scripts, and a p95 needs 72 turns."""
    over = When(after="agent_speech_start", ms=400.0)
    entries = (
        ScriptEntry(turn="u1", audio_filepath="a"),
        ScriptEntry(turn="u2", audio_filepath="b", when=over),
        ScriptEntry(turn="u3", audio_filepath="c", label="backchannel", when=over),
    )
    items = [
        utterance(f"t{i}", reference="", attributes={"speaker": f"t{i}"}, script=entries)
        for i in range(30)
    ]
    asked = policy(
        "metric: response_ms.p95, test: bound, max: 900",
        "metric: false_yield_rate, test: bound, max: 0.05",
    )
    plans = [only(plan) for plan in plan_rules(asked, facts_of(dataset(items), asked.rules))]
    assert [(plan.units, plan.unit) for plan in plans] == [
        (60, "turns"),
        (30, "entries over the agent's speech"),
    ]
    assert "60 of 72 values" in plans[0].says
    assert "it takes 74" in plans[1].says


def test_margins_of_turns_are_those_that_their_scripts_can_decide() -> None:
    """Equal agents pass at them in 80 %; what mostly comes true is planned by what does not."""
    entries = (
        ScriptEntry(turn="u1", audio_filepath="a"),
        ScriptEntry(turn="u2", audio_filepath="b"),
    )
    items = [
        utterance(
            f"t{i}",
            reference="",
            attributes={"speaker": f"t{i}"},
            script=entries,
            expect=ExpectedOutcome(says=("yes",)),
        )
        for i in range(60)
    ]
    asked = policy(
        "metric: false_eot_rate, test: non_inferiority, margin: 0.01",
        "metric: task_success, test: non_inferiority, margin: 0.01",
    )
    facts = facts_of(dataset(items), asked.rules)
    chosen = margins(asked, facts)
    assert set(chosen) == {"r0", "r1"}
    assert 0.05 < chosen["r0"] < chosen["r1"] < 0.2  # 120 turns, 60 tasks of the same rate
    rules = [replace(rule, margin=chosen[rule.id]) for rule in asked.rules]
    for plan in plan_rules(replace(asked, rules=tuple(rules)), facts):
        assert (only(plan).equal_passes or 0.0) >= 0.8
