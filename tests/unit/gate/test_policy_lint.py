"""What is doubtful about a policy: found before a gate is red, or green, for no reason."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.datasets.types import Entity
from relkit.gate.assumptions import Measured
from relkit.gate.facts import facts_of
from relkit.gate.lint import lint
from relkit.gate.plan import plan_rules
from relkit.gate.plan_types import LintFinding, SelectionFacts
from relkit.gate.policies import parse_policy
from relkit.gate.types import GatePolicy
from tests.builders import MINIMAL_SUITE, dataset, suite, utterance

TEN = " ".join(["word"] * 10)


def policy(*rules: str, head: str = "") -> GatePolicy:
    """Return a policy of these rules."""
    listed = "".join(f"  - {{id: r{i}, {rule}}}\n" for i, rule in enumerate(rules))
    text = f"schema: relkit.gate/v1\nname: p\n{head}rules:\n{listed}"
    return parse_policy(text, source="p.yaml")


def facts(
    asked: GatePolicy,
    speakers: int = 10,
    each: int = 4,
    *,
    accents: Sequence[str] = ("plain", "broad"),
    text: str = TEN,
    by_accent: Mapping[str, str] | None = None,
) -> SelectionFacts:
    """Return the facts of speakers with so many utterances each, accents in turn."""
    items = [
        utterance(
            f"s{s}-{u}",
            reference=(by_accent or {}).get(accents[s % len(accents)], text),
            attributes={"speaker": f"s{s}", "accent": accents[s % len(accents)]},
            entities=(Entity(text="word", type="x"),),
        )
        for s in range(speakers)
        for u in range(each)
    ]
    return facts_of(dataset(items), asked.rules)


def found(asked: GatePolicy, on: SelectionFacts | None = None) -> list[LintFinding]:
    """Return what lint finds, on data where there is some, but that loops are unseen.

    Nearly every policy here has a capped rate alone; a test of its own is about that.
    """
    findings = lint(asked, on, () if on is None else plan_rules(asked, on))
    return [item for item in findings if item.code != "loops_unseen"]


ALONE = [
    ("metric: wer, test: non_inferiority, margin: 0.1", "warn", "wer_not_capped"),
    ("metric: wer, test: no_regression", "warn", "wer_not_capped"),
    ("metric: failure_rate, max: 0", "refuse", "never_passes"),
    ("metric: failure_rate, max: 0, mode: advisory", "warn", "never_passes"),
    ("metric: plcmos.mean, test: non_inferiority, margin: 0.01", "warn", "below_noise"),
    ("metric: dnsmos_ovrl.mean, min_change: 0.02", "warn", "below_noise"),
]


@pytest.mark.parametrize(("rule", "severity", "code"), ALONE)
def test_a_doubtful_rule_is_found_without_data(rule: str, severity: str, code: str) -> None:
    """Each finding names its rule, its line and what to do."""
    asked = policy("metric: wer_capped, max: 0.5", rule)
    (only,) = found(asked)
    assert (only.rule, only.severity, only.code, only.line) == ("r1", severity, code, 5)
    assert only.message
    assert only.hint


def test_a_sound_policy_has_no_finding() -> None:
    """Lint that always complains is not read."""
    asked = policy(
        "metric: wer_capped, max: 0.5",
        "metric: wer_capped, test: non_inferiority, margin: 0.1",
        "metric: wer_capped, slice: 'accent=*', test: no_regression, detectable: 4",
    )
    assert found(asked) == []
    assert found(asked, facts(asked, speakers=60, each=10)) == []


@pytest.mark.parametrize(
    ("rules", "codes"),
    [
        (("metric: wer_capped, max: 0.5",), ["loops_unseen"]),
        (("metric: wer_capped, max: 0.5", "metric: runaway_rate, max: 0.1"), []),
        (("metric: wer_capped, max: 0.5", "metric: wer, max: 0.9"), []),
        (("metric: cer, max: 0.5", "metric: wer_capped, max: 0.5, mode: advisory"), []),
        (
            ("metric: wer_capped, max: 0.5", "metric: runaway_rate, max: 0.1, mode: advisory"),
            ["loops_unseen"],
        ),
    ],
)
def test_a_capped_rate_alone_does_not_see_loops(rules: tuple[str, ...], codes: list[str]) -> None:
    """Three loops can take the plain WER from 10 to 80 % while the capped one stays."""
    assert [item.code for item in lint(policy(*rules))] == codes


def test_a_policy_in_which_nothing_is_required() -> None:
    """The gate says error: an advisory rule can never be the only thing that passed."""
    asked = policy("metric: wer, max: 0.5, mode: advisory", "metric: cer, max: 1, mode: dry_run")
    (only,) = found(asked)
    assert (only.rule, only.severity, only.code) == (None, "warn", "nothing_required")


def test_two_rules_that_ask_the_same() -> None:
    """The looser one says nothing."""
    asked = policy("metric: cer, max: 0.5", "metric: cer, max: 0.6")
    assert [item.code for item in found(asked)] == ["same_twice"]


def test_unpaired_runs_have_no_family_of_slices() -> None:
    """A sign-flip test needs pairs."""
    asked = policy("metric: cer, test: no_regression", head="paired: false\n")
    assert [item.code for item in found(asked)] == ["needs_pairs"]


ON_DATA = [
    ("slice: 'accnt=*'", "unknown_column", 'did you mean "accent"?'),
    ("slice: 'accent=plian'", "slice_matches_nothing", 'did you mean "plain"?'),
    ("slice: 'accent=x'", "slice_matches_nothing", "values of accent: broad, plain"),
    ("slice: 'accent=plain&speaker=s1'", "slice_matches_nothing", "never occur together"),
    ("slice: 'speaker=s1'", "inside_one_cluster", "advisory"),
    ("slice: 'speaker=*'", "inside_one_cluster", "advisory"),
    ("min_clusters: 11", "never_passes", "add 1 more speaker,"),
    ("min_utterances: 41", "never_passes", "add 1 more speaker,"),
    ("slice: 'accent=plain', min_clusters: 6", "never_passes", "add 1 more speaker,"),
]


@pytest.mark.parametrize(("keys", "code", "hint"), ON_DATA)
def test_a_rule_that_this_data_can_never_satisfy_is_refused(
    keys: str, code: str, hint: str
) -> None:
    """Ten speakers of four utterances, five of each accent."""
    asked = policy(f"metric: wer_capped, max: 0.5, {keys}")
    first = found(asked, facts(asked))[0]
    assert (first.rule, first.severity, first.code) == ("r0", "refuse", code)
    assert hint in first.hint


def test_what_blocks_nothing_is_only_a_warning() -> None:
    """An advisory rule on one speaker is allowed, and said."""
    asked = policy("metric: wer_capped, max: 0.5, slice: 'speaker=s1', mode: advisory")
    severities = {item.severity for item in found(asked, facts(asked)) if item.rule == "r0"}
    assert severities == {"warn"}


def test_a_small_slice_of_many_is_a_warning() -> None:
    """One accent that can never pass does not make the rule senseless for the others."""
    asked = policy("metric: wer_capped, max: 0.5, slice: 'accent=*', min_utterances: 5")
    data = facts(asked, speakers=14, accents=("plain", "plain", "plain", "broad"))
    (only,) = found(asked, data)
    assert (only.severity, only.code) == ("warn", "never_passes")
    assert "accent=broad" in only.message


def test_a_slice_without_words_never_passes_a_rule_on_words() -> None:
    """Silent clips have no word error rate."""
    asked = policy("metric: wer_capped, max: 0.5, slice: 'accent=broad'")
    (only,) = found(asked, facts(asked, speakers=20, by_accent={"broad": ""}))
    assert (only.severity, only.code) == ("refuse", "no_units")


def test_slices_of_missing_labels_are_no_slices() -> None:
    """A pattern asks for what is labelled."""
    asked = policy("metric: wer_capped, max: 0.5, slice: 'accent=*', min_utterances: 5")
    only_none = facts(asked, accents=("(none)",))
    assert [item.code for item in found(asked, only_none)] == ["slice_matches_nothing"]


def test_a_margin_that_equal_systems_miss() -> None:
    """It says how often, and what would do."""
    asked = policy("metric: wer_capped, test: non_inferiority, margin: 0.002")
    (only,) = found(asked, facts(asked))
    assert (only.severity, only.code) == ("warn", "margin_below_data")
    assert "clusters" in only.hint


def test_a_ratio_that_the_data_cannot_see() -> None:
    """The slice would stay inconclusive: the hint counts the clusters."""
    asked = policy("metric: wer_capped, slice: 'accent=*', test: no_regression, detectable: 1.05")
    codes = [item.code for item in found(asked, facts(asked, each=8))]
    assert codes == ["ratio_below_data"]


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [("dnsmos_ovrl.mean, min: 3", "dnsmos_ovrl"), ("first_audio_ms.mean, max: 300", "spe")],
)
def test_a_metric_that_the_suite_does_not_measure(metric: str, wanted: str) -> None:
    """It could never be judged: refused where the rule is required."""
    asked = policy(f"metric: {metric}")
    items = [utterance(f"u{i}", attributes={"speaker": f"s{i % 9}"}) for i in range(40)]
    on = facts_of(dataset(items), asked.rules, suite(MINIMAL_SUITE))
    (only,) = found(asked, on)
    assert (only.severity, only.code) == ("refuse", "metric_not_measured")
    assert wanted in only.message + only.hint


def test_a_bound_within_the_noise_of_a_score() -> None:
    """A measured 3.01 against a floor of 3.0 changes its verdict between repeats."""
    asked = policy("metric: plcmos.mean, min: 3.0")
    observed = {("overall", "plcmos.mean"): 3.01}
    assert [item.code for item in lint(asked, observed=observed)] == ["bound_in_noise"]
    assert lint(asked, observed={("overall", "plcmos.mean"): 3.2}) == ()


RULES = st.sampled_from(
    [
        "metric: wer_capped, max: 0.5",
        "metric: latency_ms.p99, max: 5",
        "metric: dnsmos_sig.p10, min: 2",
        "metric: cer, test: non_inferiority, margin: 0.01",
        "metric: latency_ms.p50, test: non_inferiority, margin: 9",
        "metric: entity_error_rate, test: no_regression",
        "metric: hallucination_rate, test: no_regression",
        "metric: keyword_error_rate, min_relative_change: 0.5",
    ]
)
SLICES = st.sampled_from(["overall", "accent=*", "accent=plain", "x=*", "speaker=*&accent=*"])


@settings(max_examples=80, deadline=None)
@given(
    rules=st.lists(st.tuples(RULES, SLICES), min_size=1, max_size=3),
    speakers=st.integers(1, 12),
    each=st.integers(1, 4),
    text=st.sampled_from(["", "one", TEN]),
)
def test_lint_and_plan_never_crash(
    rules: list[tuple[str, str]], speakers: int, each: int, text: str
) -> None:
    """Whatever is asked of whatever data, each rule is planned and each finding has a way out."""
    asked = policy(*(f"{rule}, slice: '{slice_}'" for rule, slice_ in rules))
    on = facts(asked, speakers, each, text=text)
    plans = plan_rules(asked, on, Measured())
    assert [plan.rule for plan in plans] == [rule.id for rule in asked.rules]
    for plan in plans:
        for item in plan.slices:
            assert item.says
            assert item.missing_clusters is None or item.missing_clusters >= 0
    for finding in lint(asked, on, plans):
        assert finding.message
        assert finding.hint
