"""Test vectors of decisions, for every verifier there is: they have to be of one opinion."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from relkit.gate.types import CheckRecord, GateDecision, Verdict
from tests.decisions import ADVISORY, ARTIFACT, NEW_NOISE, NOW, OTHER, POLICY, launch, statement

_HEAD = "schema: relkit.gate/v1\nname: asr-promotion\nrules:\n"
REQUIRES = POLICY + "requires: [load-test, {name: approval, signed: true, max_age: 1h}]\n"
RECORDS = tuple(
    CheckRecord(
        name=name,
        verdict=Verdict.PASS,
        reason="as it should be",
        by="k6",
        created=NOW,
        digest=OTHER,
        key="ab12",
        candidate=ARTIFACT,
    )
    for name in ("load-test", "approval")
)

_POLICIES = {
    "a change": _HEAD + "  - {id: b, metric: wer_capped, min_change: 0.01}\n",
    "a relative change": _HEAD + "  - {id: b, metric: wer_capped, min_relative_change: 0.1}\n",
    "both changes": _HEAD
    + "  - {id: b, metric: wer_capped, min_change: 0.001, min_relative_change: 0.1}\n",
    "two bounds": _HEAD + "  - {id: b, metric: latency_ms.mean, min: 100, max: 900}\n",
    "a bound by slice": _HEAD + '  - {id: b, metric: wer_capped, slice: "noise=*", max: 0.4}\n',
    "a margin by slice": _HEAD
    + '  - {id: b, metric: wer_capped, slice: "noise=*", test: non_inferiority, margin: 0.02}\n',
    "a shadow": POLICY.replace("rules:", "enforcement: shadow\nrules:"),
    "least clusters": POLICY.replace("rules:", "min_clusters: 20\nrules:"),
    "least utterances": POLICY.replace("rules:", "min_utterances: 500\nrules:"),
    "a dry run": POLICY.replace("detectable: 4}", "detectable: 4, mode: dry_run}"),
    "advice": ADVISORY,
    "families": POLICY
    + '  - {id: more, metric: wer_capped, slice: "noise=1", test: no_regression, detectable: 2}\n'
    + '  - {id: loops, metric: runaway_rate, slice: "noise=*", test: no_regression}\n',
    "nothing measured": POLICY
    + "  - {id: x, metric: cer, max: 0.3}\n"
    + '  - {id: y, metric: wer_capped, slice: "accent=*", max: 0.3}\n'
    + "  - {id: a, metric: keyword_error_rate, max: 0.3}\n"
    + "  - {id: b, metric: keyword_error_rate, test: non_inferiority, margin: 0.1}\n"
    + "  - {id: c, metric: keyword_error_rate, min_change: 0.1}\n"
    + '  - {id: d, metric: keyword_error_rate, slice: "noise=*", test: no_regression}\n',
}
_ARGUMENTS: Mapping[str, dict[str, Any]] = {
    **{
        f"seed {seed}, {6 + 3 * seed} speakers, {worse:g} times the errors": {
            "seed": seed,
            "worse": worse,
            "speakers": 6 + 3 * seed,
            "slices": 2 + seed % 3,
        }
        for seed in range(6)
        for worse in (1.0, 3.0)
    },
    **{f"{n} speakers": {"seed": 2, "worse": 3.0, "speakers": n} for n in (1, 2, 4, 5, 7, 8)},
    **{
        f"{name}, {worse:g} times the errors": {"seed": 3, "worse": worse, "text": text}
        for name, text in _POLICIES.items()
        for worse in (1.0, 2.0)
    },
    **{
        f"{n} speakers asked three times": {"seed": 3, "speakers": n, "repeats": 3, "worse": 2.0}
        for n in (5, 14)
    },
    **{
        f"{n} prompts that all read, {worse:g} times the errors": {
            "seed": 3,
            "worse": worse,
            "prompts": n,
        }
        for n in (1, 2, 12)
        for worse in (1.0, 2.0)
    },
    "12 prompts, asked three times": {"seed": 3, "prompts": 12, "repeats": 3},
    "advice on five slices": {"seed": 3, "worse": 2.0, "slices": 5, "text": ADVISORY},
    "new slices": {"seed": 3, "worse": 2.0, "registered": NEW_NOISE},
    "an anchor": {"seed": 3, "anchor": True},
    "alike": {"seed": 4, "speakers": 12, "alike": True},
    "alike, without errors": {"seed": 4, "speakers": 12, "alike": True, "errors": False},
    "without an artifact": {"artifact": None},
    "records that are there": {"text": REQUIRES, "checks": RECORDS},
    "records that are missing": {"text": REQUIRES},
    "a record that nobody signed": {
        "text": REQUIRES,
        "checks": [replace(one, key=None) for one in RECORDS],
    },
}


def honest(name: str) -> GateDecision:
    """Return a decision as it was made."""
    if name.startswith("a launch"):
        parts = statement(2), statement(3, worse=3.0)
        return launch(*parts, checks=RECORDS[:1] if name == LAUNCHES[0] else ())
    return statement(**_ARGUMENTS[name])


LAUNCHES = ("a launch", "a launch without its record")
HONEST = (*_ARGUMENTS, *LAUNCHES)

Predicate = dict[str, Any]
Change = Callable[[Predicate], object]


def of_rule(name: str, **change: object) -> Change:
    """Return a change of the checks of a rule."""
    return lambda p: [check.update(change) for check in p["checks"] if check["rule"] == name]


def of_rows(change: Callable[[list[list[float]]], object]) -> Change:
    """Return a change of the rows of every table of the capped WER."""
    return lambda p: [
        change(table["rows"])
        for table in p["evidence"]["parts"][0]["sums"]
        if table["metric"] == "wer_capped"
    ]


def of_rules(**change: object) -> Change:
    """Return a change of every rule in the evidence."""
    return lambda p: [rule.update(change) for rule in p["evidence"]["parts"][0]["rules"]]


def of_document(**change: object) -> Change:
    """Return a change of the policy's document."""
    return lambda p: p["policy"]["documents"]["asr-promotion"].update(change)


def of_percentiles(**change: object) -> Change:
    """Return a change of every percentile."""
    return lambda p: [
        figures.update(change)
        for table in p["evidence"]["parts"][0]["percentiles"]
        for figures in table["slices"]
    ]


def to_pass(predicate: Predicate) -> None:
    """Turn a decision into one that passes, as a dishonest signer would."""
    predicate.update(verdict="pass", promotable=True, not_promotable=[], reason_codes=[])


def checks_to_pass(predicate: Predicate) -> None:
    """Turn every check into one that passes, too."""
    to_pass(predicate)
    for check in predicate["checks"]:
        check.update(verdict="pass", code="ratio_excluded")


def fewer_errors(rows: list[list[float]]) -> None:
    """Take errors out of the sums of the candidate."""
    for row in rows:
        row[2] = max(0, row[2] - 10)


def fewer_and_pass(predicate: Predicate) -> None:
    """Do both."""
    checks_to_pass(predicate)
    of_rows(fewer_errors)(predicate)


def unknowable(predicate: Predicate) -> None:
    """Let every check pass that has nothing to be judged by."""
    to_pass(predicate)
    for check in predicate["checks"]:
        check.update(verdict="pass", code="no_slice")


def of_record(**change: object) -> Change:
    """Return a change of the required checks."""
    return lambda p: [record.update(change) for record in p["required_checks"]]


DISHONEST: Mapping[str, Change] = {
    "a verdict": to_pass,
    "verdicts": checks_to_pass,
    "sums and verdicts": fewer_and_pass,
    "nothing to be judged by": unknowable,
    "a check's verdict": of_rule("wer-slices", verdict="pass", code="ratio_excluded"),
    "a code": of_rule("wer-limit", code="within_margin"),
    "the reason codes": lambda p: p.update(reason_codes=[]),
    "what it promotes": lambda p: p.update(promotable=True, not_promotable=[]),
    "that it promotes": lambda p: p.update(promotable=True),
    "why it does not promote": lambda p: p["not_promotable"].clear(),
    "an estimate": of_rule("wer-limit", observed=0.05),
    "an interval": of_rule("wer-overall", high=0.001),
    "a p-value": of_rule("wer-slices", p_adjusted=0.9),
    "what is excluded": of_rule("wer-slices", excludes=1.01),
    "a bound": of_rule("wer-limit", bound=0.9),
    "a unit": of_rule("wer-limit", unit="ms"),
    "a quantity": of_rule("wer-limit", quantity="worsening"),
    "what it is held against": of_rule("wer-limit", against="baseline"),
    "clusters": of_rule("wer-limit", clusters=400),
    "utterances": of_rule("wer-limit", utterances=400_000),
    "a mode": of_rule("wer-slices", mode="advisory"),
    "another metric": of_rule("wer-limit", metric="cer"),
    "a percentile": of_rule("latency-p95", observed=10.0),
    "an unknown rule": of_rule("wer-limit", rule="easy"),
    "a check less": lambda p: p["checks"].pop(0),
    "a slice less": lambda p: p["checks"].pop(3),
    "a rule without a check": lambda p: p.update(
        checks=[check for check in p["checks"] if check["rule"] != "wer-slices"]
    ),
    "sums": of_rows(fewer_errors),
    "one error less": of_rows(lambda rows: rows[0].__setitem__(2, rows[0][2] - 1)),
    "a row less": of_rows(lambda rows: rows.pop(0)),
    "a row twice": of_rows(lambda rows: rows.insert(0, rows[0])),
    "a short row": of_rows(lambda rows: rows.append([1.0])),
    "half a cluster": of_rows(lambda rows: rows[-1].__setitem__(1, rows[-1][1] + 0.5)),
    "a negative sum": of_rows(lambda rows: rows[0].__setitem__(2, -1)),
    "no evidence": lambda p: p["evidence"]["parts"].clear(),
    "evidence twice": lambda p: p["evidence"]["parts"].append(p["evidence"]["parts"][0]),
    "counts of percentiles": lambda p: [
        figures["rows"].__setitem__(0, [figures["rows"][0][0], 0])
        for table in p["evidence"]["parts"][0]["percentiles"]
        for figures in table["slices"]
    ],
    "how many were measured": of_percentiles(values=9),
    "a rank": of_percentiles(high_rank=100, high=1e6),
    "an end without a rank": of_percentiles(high_rank=None),
    "a margin in the evidence": of_rules(margin=0.5),
    "a margin nobody asked for": of_rules(anchor_margin=0.5),
    "a limit in the evidence": of_rules(max=0.9),
    "the policy's coverage": of_document(coverage=0.5),
    "the population": lambda p: p["parts"][0].update(population="these_clusters"),
    "the policy's rules": of_document(rules=[]),
    "the policy's name": of_document(name="other"),
    "a rule of the policy": lambda p: p["policy"]["documents"]["asr-promotion"]["rules"][1].update(
        max=0.9
    ),
    "a rule of the policy less": lambda p: p["policy"]["documents"]["asr-promotion"]["rules"].pop(),
    "evidence that is none": lambda p: p.update(evidence=None),
    "no policy": lambda p: p["policy"]["documents"].clear(),
    "the policy's digest": lambda p: p["policy"].update(digest="sha256:" + "9" * 64),
    "the enforcement": lambda p: p["policy"].update(enforcement="shadow"),
    "coverage": lambda p: p["parts"][0]["coverage"].update(scored=500),
    "more than all": lambda p: p["parts"][0]["coverage"].update(scored=1001),
}
"""Changes of a decision that fails on a slice and passes elsewhere."""

FORGED: Mapping[str, Change] = {
    "no record": lambda p: p["required_checks"].clear(),
    "a record that failed": of_record(verdict="fail"),
    "a record without a signature": of_record(key=None),
    "a record about another": of_record(candidate="sha256:" + "9" * 64),
    "a record that had expired": of_record(expires=NOW),
    "a record of the future": of_record(created="2026-01-31T12:00:01Z"),
    "no result": lambda p: p.update(
        checks=[check for check in p["checks"] if check["test"] != "requirement"]
    ),
    "a result that is no more than advice": of_rule("approval", mode="advisory"),
    "a requirement nobody asked for": of_rule("approval", rule="blessing"),
}
"""Changes of a decision whose required checks are all there."""

HALVED: Mapping[str, Change] = {
    "a part less": lambda p: p["parts"].pop(),
    "a part's policy": lambda p: p["parts"][0]["policy"].update(digest="sha256:" + "9" * 64),
    "the launch's digest": lambda p: p["policy"].update(digest="sha256:" + "9" * 64),
    "no record": lambda p: p["required_checks"].clear(),
    "a part's verdict": to_pass,
}
"""Changes of the decision of a launch, which fails in one of its parts."""
