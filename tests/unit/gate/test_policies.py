"""Gate policies: every key, every refusal with its line, and a digest that knows no comments."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.canary.policies import parse_canary_policy
from relkit.core.errors import InvalidInput
from relkit.core.values import duration_s
from relkit.gate.policies import SCHEMA, parse_policy, policy_digest, with_numbers
from relkit.gate.types import GatePolicy, Requirement
from relkit.monitoring.cost.price_files import parse_cost_policy
from relkit.monitoring.drift.files import parse_drift_policy
from relkit.monitoring.serving.files import parse_capacity_policy, parse_health_policy
from relkit.monitoring.slo.files import parse_slo

ROOT = Path(__file__).resolve().parents[3]
HEAD = "schema: relkit.gate/v1\nname: p\n"
RULE = "{id: a, metric: wer_capped, test: bound, max: 0.2}"


def policy(text: str) -> GatePolicy:
    """Return a policy from what follows its schema and name."""
    return parse_policy(HEAD + text, source="p.yaml")


def rule(text: str) -> GatePolicy:
    """Return a policy of one rule ``a``, whose further keys are given."""
    return policy("rules:\n  - {id: a, " + text + "}\n")


def refused(text: str) -> str:
    """Return message and hint of a policy that is refused."""
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text, source="p.yaml")
    assert caught.value.exit_code == 2
    return f"{caught.value.message} | {caught.value.hint}"


def test_every_key_reaches_the_policy() -> None:
    """What is written is what the gate is given, in seconds and fractions."""
    found = policy(
        "enforcement: shadow\nmax_age: 30m\nvalid_for: 7d\nbaseline_max_age: 90s\ncoverage: 0.95\n"
        "paired: false\nanchor: '2026'\nsignature: required\nmin_clusters: 8\nmin_utterances: 50\n"
        "requires: [load-test, {name: approval, signed: true, max_age: 1h}]\n"
        "rules:\n"
        "  - {id: ni, metric: wer_capped, test: non_inferiority, margin: 0.01, min_clusters: 3}\n"
        "  - {id: nr, metric: cer, slice: 'noise=*&accent=a%26b', test: no_regression}\n"
        "  - {id: mc, metric: wer, min_relative_change: 0.1, mode: advisory}\n"
    )
    assert (found.enforcement, found.max_age_s, found.valid_for_s) == ("shadow", 1800, 604800)
    assert (found.baseline_max_age_s, found.coverage, found.paired) == (90, 0.95, False)
    assert (found.anchor, found.signature, found.source) == ("2026", "required", "p.yaml")
    assert found.requires == (
        Requirement(name="load-test"),
        Requirement(name="approval", signed=True, max_age="1h"),
    )
    ni, nr, mc = found.rules
    assert (ni.margin, ni.anchor_margin, ni.min_clusters, ni.min_utterances) == (0.01, None, 3, 50)
    assert (nr.slice, nr.detectable, nr.min_clusters) == ("accent=a%26b&noise=*", 2.0, 8)
    assert (mc.test, mc.mode, mc.min_relative_change, mc.line) == (
        "min_change",
        "advisory",
        0.1,
        17,
    )


def test_a_policy_speaks_of_others_like_these_unless_it_says_otherwise() -> None:
    """A closed set of clusters has to be declared, in a word of its own."""
    text = "schema: relkit.gate/v1\nname: p\nrules:\n  - {id: a, metric: wer, max: 0.2}\n"
    assert parse_policy(text, source="p.yaml").population == "clusters"
    closed = parse_policy(text + "population: these_clusters\n", source="p.yaml")
    assert closed.population == "these_clusters"
    assert closed.digest != parse_policy(text, source="p.yaml").digest
    with pytest.raises(InvalidInput, match="unknown population"):
        parse_policy(text + "population: these\n", source="p.yaml")


def test_a_rule_is_a_bound_unless_it_says_otherwise() -> None:
    """The default test, overall, required, with the default evidence."""
    (only,) = rule("metric: wer, max: 0.2").rules
    assert (only.test, only.slice, only.mode) == ("bound", "overall", "required")
    assert (only.min_clusters, only.min_utterances, only.line) == (5, 30, 4)


def test_an_anchor_may_have_a_margin_of_its_own() -> None:
    """A cumulative margin is usually wider than that of one release."""
    (only,) = rule("metric: cer, test: non_inferiority, margin: 0.01, anchor_margin: 0.03").rules
    assert (only.margin, only.anchor_margin) == (0.01, 0.03)


REFUSED = [
    # the policy
    ("name: p\nrules: []\n", 'line 1: the key "schema" is missing', SCHEMA),
    ("schema: relkit.gate/v2\nname: p\n", 'line 1: unknown schema "relkit.gate/v2"', SCHEMA),
    ("schema: relkit.suite/v1\nname: p\n", "unknown schema", SCHEMA),
    ("- a\n", "p.yaml: a mapping of keys", SCHEMA),
    ("", "p.yaml: a mapping of keys", SCHEMA),
    (HEAD, "p.yaml: the policy asks for nothing", "rules, parts or requires"),
    (HEAD + "rules: []\n", "line 3: the policy asks for nothing", "rules, parts or requires"),
    (HEAD + "rulse: []\n", 'line 3: unknown key "rulse"', 'did you mean "rules"?'),
    (
        HEAD + "rules:\n- {id: a, metric: response_ms.p95, sum_of: [stage_ms.asr.p95], max: 9}\n",
        'line 4: "sum_of": percentiles do not add',
        "response_ms.p95",
    ),
    (HEAD + f"parts: {{asr: p}}\nrules: [{RULE}]\n", "line 4: a policy with parts", "move"),
    (HEAD.replace("name: p", "name: A/b"), 'line 2: "name"', ""),
    (HEAD + f"enforcement: off\nrules: [{RULE}]\n", 'unknown enforcement "off"', "enforce"),
    (HEAD + f"signature: requierd\nrules: [{RULE}]\n", "line 3", 'did you mean "required"?'),
    (HEAD + f"coverage: 0\nrules: [{RULE}]\n", 'line 3: "coverage"', ""),
    (HEAD + f"coverage: 1.01\nrules: [{RULE}]\n", 'line 3: "coverage"', ""),
    (HEAD + f"coverage: .nan\nrules: [{RULE}]\n", "line 3: NaN", ""),
    (HEAD + f"max_age: 24\nrules: [{RULE}]\n", 'line 3: "max_age": a duration such as', ""),
    (HEAD + f"max_age: 0h\nrules: [{RULE}]\n", "longer than 0", ""),
    (HEAD + f"valid_for: 2w\nrules: [{RULE}]\n", 'line 3: "valid_for": a duration such as', ""),
    (HEAD + f"valid_for: 9999d\nrules: [{RULE}]\n", "at most 3650d", ""),
    (HEAD + f"min_clusters: 0\nrules: [{RULE}]\n", 'line 3: "min_clusters"', ""),
    (HEAD + f"max_age: 1h\nmax_age: 2h\nrules: [{RULE}]\n", "line 4", "keep one of them"),
    (HEAD + "requires: [a, b, a]\n", 'line 3: the required check "a" stands already', "name"),
    (HEAD + "requires: [{name: a, signd: true}]\n", "signd", 'did you mean "signed"?'),
    (HEAD + "requires: [{signed: true}]\n", '"requires.0.name" is missing', ""),
    (HEAD + "requires: [{name: a, max_age: 5}]\n", "a duration such as", ""),
    (HEAD + "requires: ['A b']\n", "requires", ""),
    (HEAD + "rules: {a: 1}\n", '"rules"', ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), REFUSED)
def test_a_policy_is_refused_with_its_line(text: str, message: str, hint: str) -> None:
    """The message says what and where, the hint what to do."""
    said, _, way_out = refused(text).partition(" | ")
    assert message in said
    assert hint in way_out


BAD_RULES = [
    ("metric: wre, max: 0.2", 'unknown metric "wre"', 'did you mean "wer"?'),
    ("metric: latency_ms, max: 2", '"latency_ms" has several statistics', '"latency_ms.p95"?'),
    ("metric: latency_ms.p59, max: 2", 'unknown metric "latency_ms.p59"', "latency_ms.p9"),
    ("metric: plcmos, min: 2", '"plcmos" is not spelled out', '"plcmos.mean"?'),
    ("metric: dnsmos_ovrl, min: 2", "several statistics", '"dnsmos_ovrl.mean"?'),
    ("metric: wer.p95, max: 2", 'unknown metric "wer.p95"', ""),
    ("metric: wer, test: bond, max: 0.2", 'unknown test "bond"', 'did you mean "bound"?'),
    ("metric: wer, mode: advisry, max: 0.2", 'unknown mode "advisry"', '"advisory"?'),
    ("metric: wer, mx: 0.2", 'unknown key "rules.0.mx"', "max"),
    ("max: 0.2", '"rules.0.metric" is missing', ""),
    ("metric: wer, slice: accent, max: 1", 'the slice "accent" is no slice', '"accent=*"'),
    ("metric: wer, slice: 'a=1&a=2', max: 1", "names a column twice", "once"),
    ("metric: wer, slice: 'a=', max: 1", "lacks a column or a value", "column=*"),
    ("metric: wer, slice: 'a=b*', max: 1", "not escaped", "%2A"),
    ("metric: wer, slice: 'a=50%', max: 1", "not escaped", "%25"),
    ("metric: wer, slice: 'a=b=c', max: 1", "not escaped", "%3D"),
    ("metric: wer", 'the test bound needs "max" or "min"', "max: 0.20"),
    ("metric: wer, margin: 0.1", '"margin" says nothing to the test bound', "non_inferiority"),
    ("metric: wer, detectable: 3, max: 1", '"detectable" says nothing', "no_regression"),
    ("metric: wer, test: non_inferiority", 'needs "margin"', "margin: 0.01"),
    ("metric: wer, test: non_inferiority, margin: 0.1, max: 1", '"max" says nothing', "bound"),
    ("metric: wer, test: no_regression, margin: 0.1", '"margin" says nothing', "non_inf"),
    ("metric: wer, test: min_change", 'needs "min_change" or', "min_change: 0.01"),
    ("metric: wer, test: non_inferiority, margin: -0.1", "is negative", "min_change"),
    ("metric: ser, test: non_inferiority, margin: 1", "can never fire", "than 1"),
    ("metric: dnsmos_ovrl.mean, test: non_inferiority, margin: 4", "can never fire", "than 4"),
    ("metric: wer, test: non_inferiority, margin: .inf", "NaN and infinities", ""),
    ("metric: wer, test: non_inferiority, margin: 1e400", "out of range", ""),
    ("metric: latency_ms.p95, max: 1e12", '"rules.0.max"', ""),
    ("metric: ser, max: 1", '"max: 1" can never fire', "between 0 and 1"),
    ("metric: wer_capped, max: 1.5", "can never fire", "between 0 and 1"),
    ("metric: wer, max: -0.1", "can never hold", "wer >= 0"),
    ("metric: plcmos.mean, min: 1", '"min: 1" can never fire', "between 1 and 5"),
    ("metric: plcmos.mean, max: 0.5", "can never hold", "between 1 and 5"),
    ("metric: plcmos.mean, min: 5.5", "can never hold", "between 1 and 5"),
    ("metric: pesq.mean, max: 4.64", "can never fire", "4.64"),
    ("metric: ser, min: 0", '"min: 0" can never fire', ""),
    ("metric: ser, min: 0.3, max: 0.2", "leaves nothing below", "lower than max"),
    ("metric: rtf, test: no_regression", "rtf is none", "non_inferiority"),
    ("metric: latency_ms.p95, test: no_regression", "is none", "bound"),
    ("metric: mer, test: no_regression", "mer is none", ""),
    ("metric: wer, test: no_regression, detectable: 1", "could be found", "2.0 is a doubled"),
    ("metric: wer, test: no_regression, detectable: 101", "could be found", "ratio"),
    ("metric: wer, min_change: 0", "asks for no improvement", "non_inferiority"),
    ("metric: ser, min_change: 1", "can never hold", ""),
    ("metric: wer, min_relative_change: 1", "can never hold", "0.1 is a tenth"),
    ("metric: wer, max: 1, anchor_margin: 0.1", '"anchor_margin" says nothing', ""),
    ("metric: wer, test: no_regression, anchor_margin: 1", '"anchor_margin" says nothing', ""),
    ("metric: wer, test: non_inferiority, margin: 0.1, anchor_margin: -1", "is negative", ""),
    ("metric: wer, max: '0.2'", '"rules.0.max"', ""),
    ("metric: wer, max: true", '"rules.0.max"', ""),
    ("metric: 3, max: 1", '"rules.0.metric"', ""),
    ("metric: wer, max: 1, min_utterances: 2.5", '"rules.0.min_utterances"', ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), BAD_RULES)
def test_a_rule_is_refused_with_its_line(text: str, message: str, hint: str) -> None:
    """Each senseless rule says why, in line 5 of the file."""
    said, _, way_out = refused(f"{HEAD}rules:\n  - {RULE}\n  - {{id: b, {text}}}\n").partition(
        " | "
    )
    said = said.replace("rules.1.", "rules.0.")
    assert said.startswith("p.yaml, line 5: ")
    assert message in said
    assert hint in way_out


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "é", "x" * 65])
def test_a_rule_needs_a_plain_id(name: str) -> None:
    """Ids stand in reports, in CI systems and in overrides."""
    said = refused(f"{HEAD}rules:\n  - {json.dumps({'id': name, 'metric': 'wer', 'max': 1})}\n")
    assert said.startswith('p.yaml, line 4: "rules.0.id"')


def test_two_rules_cannot_have_one_id() -> None:
    """An override or a report could not say which is meant."""
    said = refused(f"{HEAD}rules:\n  - {RULE}\n  - {RULE}\n")
    assert said.startswith('p.yaml, line 5: the rule id "a" stands already in line 4')


def test_a_policy_of_advisory_rules_can_be_read() -> None:
    """The gate says error of it; reading it is no error."""
    found = rule("metric: wer, max: 0.2, mode: advisory")
    assert {item.mode for item in found.rules} == {"advisory"}


def test_parts_and_requires_are_enough() -> None:
    """A launch has no rules of its own."""
    launch = policy("parts: {asr: asr-promotion, tts: tts-promotion}\nrequires: [load-test]\n")
    assert dict(launch.parts) == {"asr": "asr-promotion", "tts": "tts-promotion"}
    assert launch.rules == ()


def test_the_digest_of_a_launch_covers_its_parts() -> None:
    """A looser rule in a part makes another policy."""
    launch = policy("parts: {asr: a}\n")
    strict, loose = rule("metric: wer, max: 0.2"), rule("metric: wer, max: 0.3")
    assert policy_digest(strict, {}) == strict.digest
    digests = {policy_digest(launch, {"asr": part}) for part in (strict, loose)}
    assert len(digests | {launch.digest}) == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("24h", 86400), ("7d", 604800), ("1.5h", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    """The four units of the contract."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1 h", "1h30m", "0d", "٣h", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="a duration"):
        duration_s(text)


NUMBERS = st.floats(min_value=0.001, max_value=0.9).map(lambda x: round(x, 4))
VALUES = st.sampled_from(["*", "scottish", "a%26b", "[1,2)", "(none)"])
SLICES = st.one_of(
    st.just("overall"),
    st.dictionaries(st.sampled_from(["accent", "noise", "channel"]), VALUES, min_size=1).map(
        lambda pairs: "&".join(f"{column}={value}" for column, value in pairs.items())
    ),
)
BOUNDS = st.one_of(
    st.fixed_dictionaries({"metric": st.just("wer_capped"), "max": NUMBERS}),
    st.fixed_dictionaries(
        {"metric": st.just("cer"), "test": st.just("non_inferiority"), "margin": NUMBERS}
    ),
    st.fixed_dictionaries(
        {
            "metric": st.just("ser"),
            "test": st.just("no_regression"),
            "detectable": NUMBERS.map(lambda x: 1 + x),
        }
    ),
    st.fixed_dictionaries({"metric": st.just("wer"), "min_relative_change": NUMBERS}),
)
RULES = st.lists(st.tuples(BOUNDS, SLICES), min_size=1, max_size=4).map(
    lambda pairs: [{"id": f"r{i}", "slice": s} | b for i, (b, s) in enumerate(pairs)]
)
POLICIES = st.fixed_dictionaries(
    {"schema": st.just(SCHEMA), "name": st.just("p"), "rules": RULES},
    optional={
        "max_age": st.sampled_from(["1h", "2d"]),
        "coverage": NUMBERS,
        "requires": st.just(["load-test"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(document=POLICIES, data=st.data())
def test_a_rendered_policy_reads_back_whatever_its_order(
    document: dict[str, object], data: st.DataObject
) -> None:
    """The digest knows neither the order of keys nor comments, and slices have one spelling."""
    shuffled = dict(data.draw(st.permutations(list(document.items()))))
    first = parse_policy(json.dumps(document), source="p.yaml")
    lines = json.dumps(shuffled, indent=1).replace("\n", "  # a comment\n")
    second = parse_policy(lines, source="p.yaml")
    assert first.digest == second.digest
    assert [r.slice for r in first.rules] == [r.slice for r in second.rules]
    for item in first.rules:
        columns = [part.partition("=")[0] for part in item.slice.split("&")]
        assert columns == sorted(columns)


@settings(max_examples=60, deadline=None)
@given(document=POLICIES, margin=NUMBERS)
def test_another_bound_is_another_digest(document: dict[str, object], margin: float) -> None:
    """What the gate asks for is what is signed."""
    other = {**document, "rules": [{"id": "z", "metric": "wer", "max": margin + 1}]}
    texts = [json.dumps(one) for one in (document, other)]
    assert len({parse_policy(text, source="p").digest for text in texts}) == 2


def test_margins_are_replaced_and_nothing_else() -> None:
    """Comments, order and the margin of an anchor stay as they were."""
    text = (
        HEAD + "rules:\n"
        "  - {id: a, metric: wer, test: non_inferiority, anchor_margin: 0.5, margin: 0.1}  # why\n"
        "  - id: b\n    metric: cer\n    test: non_inferiority\n    margin: 0.1\n"
    )
    changed = with_numbers(text, "margin", {"a": 0.025, "b": 0.00001, "c": 1.0}, source="p.yaml")
    assert changed == text.replace(" margin: 0.1}", " margin: 0.025}").replace(
        "    margin: 0.1", "    margin: 1e-05"
    )
    assert [r.margin for r in parse_policy(changed, source="p.yaml").rules] == [0.025, 0.00001]


def test_the_ratio_of_a_rule_is_replaced_alike() -> None:
    """What the data can exclude, where a finer ratio was asked for."""
    text = HEAD + "rules:\n  - {id: a, metric: wer, test: no_regression, detectable: 2.0}  # why\n"
    changed = with_numbers(text, "detectable", {"a": 3.0}, source="p.yaml")
    assert changed == text.replace("detectable: 2.0", "detectable: 3")


def test_two_rules_in_one_line_are_not_guessed_at() -> None:
    """A margin is only written where it is clear whose it is."""
    one = "metric: cer, test: non_inferiority, margin: 0.1"
    text = HEAD + f"rules: [{{id: a, {one}}}, {{id: b, {one}}}]\n"
    with pytest.raises(InvalidInput, match='line 3: the margin of rule "a"'):
        with_numbers(text, "margin", {"a": 0.2}, source="p.yaml")


PARSERS: Mapping[str, Callable[..., Any]] = {
    "gate": parse_policy,
    "canary": parse_canary_policy,
    "drift": parse_drift_policy,
    "cost": parse_cost_policy,
    "slo": parse_slo,
    "health": parse_health_policy,
    "capacity": parse_capacity_policy,
}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "gates").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_policies_that_ship_can_be_read(path: Path) -> None:
    """The reference workspace is the first user of its policies, of every kind."""
    text = path.read_text(encoding="utf-8")
    parse = PARSERS[text.split("schema: relkit.")[1].split("/")[0]]
    assert parse(text, source=path.name).name == path.stem
