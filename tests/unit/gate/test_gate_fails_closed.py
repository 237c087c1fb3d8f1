"""Everything that must never pass: one line each, with the verdict and exit code it gives."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from relkit.cli.gate import EXIT_CODES, exit_code
from relkit.conversation.types import ConversationSummary
from relkit.core.values import Estimate, Named
from relkit.evaluation.types import EvalReport
from relkit.gate.decide import decide, judge_all, judge_requirements
from relkit.gate.evidence import Evidence
from relkit.gate.types import CheckRecord, GatePolicy, Requirement, RuleResult, Verdict
from relkit.scoring.types import MaskingStep
from tests import builders, gate_data
from tests.gate_data import EQUAL, NOW, OTHER, WORSE, evidence, policy, rule

Given = Callable[[], tuple[GatePolicy, Evidence]]
FAR = "sha256:" + "2" * 64
LOCKED = {"accent": ("a", "b")}


TURNS = policy(rule(metric="no_response_rate", margin=0.1))


def talks(**fields: Any) -> ConversationSummary:  # noqa: ANN401  # any field of the type
    """Return what a report says of 100 turns, all of them as they should be."""
    given: dict[str, Any] = {
        "held": 50,
        "unusable": 0,
        "turns": 100,
        "censored_turns": 0,
        "contradictions": 0,
        "pacing_p99_ms": 9.0,
    }
    return ConversationSummary(**(given | fields))


def _case(
    asked: GatePolicy | None = None,
    change: Callable[[Evidence], Evidence] | None = None,
    **fields: Any,  # noqa: ANN401  # any argument of evidence()
) -> Given:
    """Return a policy and its evidence, made when the test runs."""

    def given() -> tuple[GatePolicy, Evidence]:
        found = evidence(**fields)
        return asked or policy(), found if change is None else change(found)

    return given


def _estimate(**fields: Any) -> Given:  # noqa: ANN401  # any field of the type
    """Return a bound on an estimate with these fields, of a run without its results."""
    good = Estimate(value=0.05, low=0.04, high=0.06, n=1200, clusters=12, method="log-jackknife")

    def change(found: Evidence) -> Evidence:
        estimates = {"overall": {"wer_capped": replace(good, **fields)}}
        return replace(found, estimates=estimates, rates=None)

    return _case(policy(rule(test="bound", max=0.2)), change)


def _sums(column: str, value: float, *, of: str = "candidate") -> Given:
    """Return a comparison in which one cluster's sum is this value."""

    def change(found: Evidence) -> Evidence:
        compared = found.baseline
        if compared is None or compared.pairs is None:
            raise AssertionError("a comparison was asked for")
        side = getattr(compared.pairs, of)
        columns = {
            **side.columns,
            column: np.where(side.cluster_index == 0, value, side.columns[column]),
        }
        pairs = replace(compared.pairs, **{of: replace(side, columns=columns)})
        return replace(found, baseline=replace(compared, pairs=pairs))

    return _case(change=change)


def _pairing(**fields: int) -> Given:
    return _case(pairing=fields)


def _without_results(asked: GatePolicy, lost: tuple[str, ...] = ()) -> Given:
    """Return what is left where only reports are, the candidate's without ``lost`` slices."""

    def change(found: Evidence) -> Evidence:
        compared = found.baseline
        if compared is None:
            raise AssertionError("a comparison was asked for")
        bare = replace(compared, pairs=None, pairing=None)
        left = {name: n for name, n in found.utterances.items() if name not in lost}
        return replace(found, baseline=bare, rates=None, utterances=left)

    return _case(asked, change)


def _slow(load: str, other: str, test: str = "non_inferiority") -> Given:
    """Return a latency rule over runs with these load fingerprints."""
    values = [200.0 + i % 90 for i in range(480)]
    bound: dict[str, Any] = {"max": 900.0, "margin": None} if test == "bound" else {"margin": 50.0}
    asked = policy(rule(metric="latency_ms.mean", test=test, **bound))
    return _case(
        asked,
        lambda found: gate_data.with_latencies(found, values, values),
        ours={"load": load},
        theirs={"load": other},
    )


def _without_errors(*, untouched: int) -> Callable[[Evidence], Evidence]:
    """Return what gives the candidate no error, and the baseline many.

    ``untouched`` are the candidate's errors before the normalizer's first step.
    """

    def counted(report: EvalReport, **words: int) -> EvalReport:
        slices = [
            replace(item, counts=builders.counts(**words)) if item.slice == "overall" else item
            for item in report.slices
        ]
        return replace(report, slices=tuple(slices))

    def change(found: Evidence) -> Evidence:
        if found.baseline is None:
            raise AssertionError("too good is said beside a baseline")
        step = MaskingStep(step="lowercase", errors_before=untouched, errors_after=0)
        return replace(
            found,
            candidate=replace(counted(found.candidate, hits=2400), masking=(step,)),
            baseline=replace(
                found.baseline, report=counted(found.baseline.report, hits=2200, subs=200)
            ),
        )

    return change


EMPTY = {name: [0.0 for _ in values] for name, values in EQUAL.items()}
FEW = {"overall": [1.0, 2.0, 1.0]}

CASES: list[tuple[str, Given, Verdict, str]] = [
    # the policy
    ("no rules at all", _case(replace(policy(), rules=())), Verdict.ERROR, "nothing_required"),
    ("all rules advisory", _case(policy(rule(mode="advisory"))), Verdict.ERROR, "nothing_required"),
    ("all rules dry-run", _case(policy(rule(mode="dry_run"))), Verdict.ERROR, "nothing_required"),
    (
        "advisory beside dry-run",
        _case(policy(rule(mode="advisory"), rule(id="b", mode="dry_run"))),
        Verdict.ERROR,
        "nothing_required",
    ),
    ("misspelt metric", _case(policy(rule(metric="wre"))), Verdict.ERROR, "unknown_metric"),
    (
        "metric without statistic",
        _case(policy(rule(metric="wer.p95"))),
        Verdict.ERROR,
        "unknown_metric",
    ),
    ("misspelt slice column", _case(policy(rule(slice="acent=*"))), Verdict.ERROR, "not_cut"),
    (
        "misspelt slice value",
        _case(policy(rule(slice="accent=c"))),
        Verdict.NO_DATA,
        "slice_missing",
    ),
    (
        "crossing nobody cut",
        _case(policy(rule(slice="accent=a&noise=x"))),
        Verdict.ERROR,
        "not_cut",
    ),
    (
        "a pattern without values",
        _case(policy(rule(slice="accent=*")), registered={"accent": ()}),
        Verdict.ERROR,
        "no_slice",
    ),
    (
        "no_regression on what is no rate",
        _case(policy(rule(metric="latency_ms.mean", test="no_regression"))),
        Verdict.ERROR,
        "no_error_rate",
    ),
    (
        "a change nobody named",
        _case(policy(rule(test="min_change"))),
        Verdict.ERROR,
        "no_bound",
    ),
    # the numbers
    ("value NaN", _estimate(value=math.nan), Verdict.ERROR, "not_finite"),
    ("value infinite", _estimate(value=math.inf), Verdict.ERROR, "not_finite"),
    ("value minus infinite", _estimate(value=-math.inf), Verdict.ERROR, "not_finite"),
    ("upper end NaN", _estimate(high=math.nan), Verdict.ERROR, "not_finite"),
    ("lower end infinite", _estimate(low=-math.inf), Verdict.ERROR, "not_finite"),
    ("negative rate", _estimate(value=-0.1), Verdict.ERROR, "not_finite"),
    ("negative lower end", _estimate(low=-0.1), Verdict.ERROR, "not_finite"),
    (
        "value missing",
        _estimate(value=None, low=None, high=None),
        Verdict.NO_DATA,
        "nothing_measured",
    ),
    ("no units", _estimate(n=0), Verdict.NO_DATA, "nothing_measured"),
    ("negative units", _estimate(n=-4), Verdict.NO_DATA, "nothing_measured"),
    ("no interval", _estimate(low=None, high=None), Verdict.INCONCLUSIVE, "no_interval"),
    ("open upper end", _estimate(high=None), Verdict.INCONCLUSIVE, "bound_inside_interval"),
    ("too few clusters", _estimate(clusters=4), Verdict.INCONCLUSIVE, "few_clusters"),
    (
        "one voice's own interval",
        _estimate(method="within-cluster"),
        Verdict.INCONCLUSIVE,
        "one_cluster",
    ),
    (
        "metric not measured",
        _case(policy(rule(metric="cer", test="bound", max=0.5))),
        Verdict.NO_DATA,
        "metric_missing",
    ),
    ("errors NaN", _sums("capped_errors", math.nan), Verdict.NO_DATA, "nothing_measured"),
    ("errors infinite", _sums("capped_errors", math.inf), Verdict.NO_DATA, "nothing_measured"),
    ("errors negative", _sums("capped_errors", -5.0), Verdict.NO_DATA, "nothing_measured"),
    ("words NaN", _sums("words", math.nan), Verdict.NO_DATA, "nothing_measured"),
    (
        "the baseline's errors NaN",
        _sums("capped_errors", math.nan, of="baseline"),
        Verdict.NO_DATA,
        "nothing_measured",
    ),
    (
        "no words at all",
        _case(words=0.0),
        Verdict.NO_DATA,
        "nothing_measured",
    ),
    (
        "entities nobody labelled",
        _case(policy(rule(metric="entity_error_rate"))),
        Verdict.NO_DATA,
        "nothing_measured",
    ),
    (
        "three clusters",
        _case(candidate=FEW, baseline=FEW),
        Verdict.INCONCLUSIVE,
        "few_clusters",
    ),
    (
        "a handful of utterances",
        _case(utterances=2.0),
        Verdict.INCONCLUSIVE,
        "few_utterances",
    ),
    (
        "slices too small to see a doubled rate",
        _case(
            policy(rule(test="no_regression", slice="accent=*")),
            registered=LOCKED,
            candidate={**EMPTY, "accent=a": [1.0, *[0.0] * 5]},
            baseline=EMPTY,
            words=40.0,
        ),
        Verdict.INCONCLUSIVE,
        "ratio_not_excluded",
    ),
    (
        "no error in either system, tight margin",
        _case(policy(rule(margin=0.001)), candidate=EMPTY, baseline=EMPTY),
        Verdict.INCONCLUSIVE,
        "margin_inside_interval",
    ),
    # the slices
    (
        "a locked slice vanished",
        _case(
            policy(rule(test="no_regression", slice="accent=*")),
            registered={"accent": ("a", "b", "gone")},
        ),
        Verdict.NO_DATA,
        "slice_missing",
    ),
    (
        "a slice the baseline had vanished",
        _without_results(policy(rule(test="no_regression", slice="accent=*")), lost=("accent=b",)),
        Verdict.NO_DATA,
        "slice_missing",
    ),
    (
        "all locked slices vanished",
        _case(policy(rule(slice="accent=*")), registered={"accent": ("x", "y")}),
        Verdict.NO_DATA,
        "slice_missing",
    ),
    # the runs
    (
        "no baseline",
        _case(change=lambda e: replace(e, baseline=None)),
        Verdict.NO_DATA,
        "no_baseline",
    ),
    ("the same run", _case(theirs={"run": "run-b"}), Verdict.ERROR, "same_run"),
    (
        "candidate too old",
        _case(ours={"created": "2026-01-29T12:00:00Z"}),
        Verdict.NO_DATA,
        "stale",
    ),
    (
        "one second too old",
        _case(policy(max_age="3599s")),
        Verdict.NO_DATA,
        "stale",
    ),
    (
        "baseline too old",
        _case(policy(baseline_max_age="1h")),
        Verdict.NO_DATA,
        "stale",
    ),
    (
        "candidate from the future",
        _case(ours={"created": "2026-01-31T13:00:01Z"}),
        Verdict.ERROR,
        "from_the_future",
    ),
    (
        "baseline from the future",
        _case(theirs={"created": "2027-01-31T13:00:00Z"}),
        Verdict.ERROR,
        "from_the_future",
    ),
    ("candidate without a time", _case(ours={"created": "yesterday"}), Verdict.ERROR, "no_time"),
    (
        "a time without a zone",
        _case(ours={"created": "2026-01-31T12:00:00"}),
        Verdict.ERROR,
        "no_time",
    ),
    (
        "another dataset",
        _case(theirs={"dataset": builders.version(digest=FAR)}),
        Verdict.ERROR,
        "other_dataset",
    ),
    (
        "another suite",
        _case(theirs={"suite": Named(name="small", digest=FAR)}),
        Verdict.ERROR,
        "other_suite",
    ),
    (
        "another normalizer",
        _case(theirs={"normalizer": Named(name="english", digest=FAR)}),
        Verdict.ERROR,
        "other_normalizer",
    ),
    ("another scorer", _case(theirs={"scorer": "other/9"}), Verdict.ERROR, "other_scorer"),
    ("a smoke run", _case(ours={"limit": 12}), Verdict.NO_DATA, "candidate_smoke_run"),
    (
        "a smoke run as baseline",
        _case(theirs={"limit": 12}),
        Verdict.NO_DATA,
        "baseline_smoke_run",
    ),
    ("no conversations", _case(TURNS), Verdict.NO_DATA, "candidate_no_conversations"),
    (
        "turns without time to be answered",
        _case(TURNS, ours={"conversations": talks(censored_turns=3)}),
        Verdict.NO_DATA,
        "candidate_spoilt_turns",
    ),
    (
        "contradictions in the baseline",
        _case(
            TURNS,
            ours={"conversations": talks()},
            theirs={"conversations": talks(contradictions=4)},
        ),
        Verdict.NO_DATA,
        "baseline_spoilt_turns",
    ),
    (
        "sources mixed",
        _case(TURNS, ours={"conversations": talks(source="mixed")}),
        Verdict.NO_DATA,
        "candidate_mixed_source",
    ),
    (
        "nobody knows the pacing",
        _case(
            policy(rule(metric="response_ms.p95", test="bound", max=900.0)),
            ours={"conversations": talks(pacing_p99_ms=None)},
        ),
        Verdict.NO_DATA,
        "candidate_no_pacing",
    ),
    ("coverage just under", _case(ours={"scored": 237}), Verdict.NO_DATA, "coverage"),
    ("nothing scored", _case(ours={"scored": 0}), Verdict.NO_DATA, "nothing_scored"),
    (
        "nothing expected",
        _case(ours={"scored": 0, "expected": 0}),
        Verdict.NO_DATA,
        "nothing_scored",
    ),
    ("more scored than expected", _case(ours={"scored": 241}), Verdict.NO_DATA, "coverage"),
    (
        "the baseline's coverage",
        _case(theirs={"scored": 200}),
        Verdict.NO_DATA,
        "baseline_coverage",
    ),
    (
        "a broken dataset contract",
        _case(ours={"dataset": builders.version(contract="failed")}),
        Verdict.ERROR,
        "contract_failed",
    ),
    ("utterances only here", _pairing(only_candidate=1), Verdict.ERROR, "unpaired"),
    ("utterances only there", _pairing(only_baseline=1), Verdict.ERROR, "unpaired"),
    ("utterances of another speaker", _pairing(moved=3), Verdict.ERROR, "unpaired"),
    ("duplicate results", _pairing(duplicates=1), Verdict.ERROR, "duplicate_results"),
    ("nothing both scored", _pairing(compared=0), Verdict.NO_DATA, "nothing_paired"),
    ("another load fingerprint", _slow(OTHER, FAR), Verdict.NO_DATA, "other_load"),
    ("mixed loads", _slow("mixed", "mixed"), Verdict.NO_DATA, "other_load"),
    ("a bound under mixed loads", _slow("mixed", FAR, "bound"), Verdict.INCONCLUSIVE, "other_load"),
    (
        "answers that are the references",
        _case(change=_without_errors(untouched=0)),
        Verdict.INCONCLUSIVE,
        "too_good",
    ),
    (
        "no error where the baseline made many",
        _case(change=_without_errors(untouched=3)),
        Verdict.INCONCLUSIVE,
        "too_good",
    ),
    ("only reports are left", _without_results(policy()), Verdict.NO_DATA, "not_comparable"),
    (
        "only reports, a family",
        _without_results(policy(rule(test="no_regression", slice="accent=*"))),
        Verdict.NO_DATA,
        "not_comparable",
    ),
    ("an anchor nobody gave", _case(policy(anchor="run-0")), Verdict.NO_DATA, "no_anchor"),
    (
        "an anchor's margin without one",
        _case(policy(rule(anchor_margin=0.1))),
        Verdict.NO_DATA,
        "no_anchor",
    ),
    (
        "a little worse than a baseline that is far worse than the anchor",
        _case(
            policy(rule(margin=0.05)),
            candidate=WORSE,
            baseline=WORSE,
            anchor={name: [1.0 for _ in values] for name, values in EQUAL.items()},
        ),
        Verdict.FAIL,
        "worse_than_margin",
    ),
    # plainly worse
    ("worse than the margin", _case(candidate=WORSE), Verdict.FAIL, "worse_than_margin"),
    (
        "above the limit",
        _case(policy(rule(test="bound", max=0.01))),
        Verdict.FAIL,
        "above_maximum",
    ),
]


def test_every_verdict_ends_the_command_in_its_way() -> None:
    """The table names each verdict, and 0 stands for one alone."""
    assert set(EXIT_CODES) == set(Verdict)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


@pytest.mark.parametrize(
    ("given", "verdict", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_it_never_passes(given: Given, verdict: Verdict, code: str) -> None:
    """The verdict, the reason's code and the exit code of each case; never 0."""
    asked, found = given()
    decided = decide(asked, judge_all(asked, found, now=NOW))
    assert (decided.verdict, code in decided.reason_codes) == (verdict, True), decided.results
    assert exit_code(decided) == EXIT_CODES[verdict] != 0
    assert all(result.reason for result in decided.results)


def test_there_are_enough_cases_and_a_healthy_gate_passes() -> None:
    """The table is long, and the gate it damages would pass: it is the damage that blocks."""
    assert len(CASES) >= 60
    asked = policy(
        rule(),
        rule(id="limit", test="bound", max=0.2),
        rule(id="slices", test="no_regression", slice="accent=*"),
    )
    decided = decide(asked, judge_all(asked, evidence(registered=LOCKED), now=NOW))
    assert decided.verdict is Verdict.PASS, [r.reason for r in decided.results]
    assert exit_code(decided) == 0


GOOD = CheckRecord(
    name="load-test",
    verdict=Verdict.PASS,
    reason="p95 under 800 ms at 50 calls a second",
    by="k6",
    created="2026-01-31T12:30:00Z",
    digest=builders.DIGEST,
    candidate=OTHER,
    key="abc",
)
WANTED = Requirement(name="load-test", signed=True, max_age="1h", about="candidate")


@pytest.mark.parametrize(
    ("record", "verdict", "code"),
    [
        (None, Verdict.NO_DATA, "check_missing"),
        ("load-test.json: was changed", Verdict.ERROR, "check_refused"),
        (replace(GOOD, verdict=Verdict.FAIL), Verdict.FAIL, "check_not_passed"),
        (replace(GOOD, verdict=Verdict.INCONCLUSIVE), Verdict.INCONCLUSIVE, "check_not_passed"),
        (replace(GOOD, verdict=Verdict.NO_DATA), Verdict.NO_DATA, "check_not_passed"),
        (replace(GOOD, verdict=Verdict.ERROR), Verdict.ERROR, "check_not_passed"),
        (replace(GOOD, created="2026-01-31T11:59:59Z"), Verdict.NO_DATA, "check_stale"),
        (replace(GOOD, created="2026-01-31T13:00:01Z"), Verdict.ERROR, "check_from_the_future"),
        (replace(GOOD, created="soon"), Verdict.ERROR, "check_from_the_future"),
        (replace(GOOD, expires=NOW), Verdict.NO_DATA, "check_expired"),
        (replace(GOOD, expires="never"), Verdict.ERROR, "check_without_time"),
        (replace(GOOD, key=None), Verdict.ERROR, "check_unsigned"),
        (replace(GOOD, candidate=FAR), Verdict.ERROR, "check_of_another"),
        (replace(GOOD, candidate=None), Verdict.ERROR, "check_of_nothing"),
    ],
)
def test_a_requirement_that_is_not_met_blocks(
    record: CheckRecord | str | None, verdict: Verdict, code: str
) -> None:
    """A named check has to be there, passed, fresh, signed where asked, about this candidate."""
    asked = policy(requires=(WANTED,))
    records = {} if record is None else {"load-test": record}
    results = [
        *judge_all(asked, evidence(), now=NOW),
        *judge_requirements(asked, records, candidates={"": {OTHER}}, now=NOW),
    ]
    decided = decide(asked, results)
    assert (decided.verdict, decided.reason_codes) == (verdict, (code,))
    assert exit_code(decided) != 0


def test_a_requirement_that_is_met_passes() -> None:
    """The same record in order lets the gate pass."""
    asked = policy(requires=(WANTED,))
    (found,) = judge_requirements(asked, {"load-test": GOOD}, candidates={"": {OTHER}}, now=NOW)
    assert found.verdict is Verdict.PASS
    assert found.reason == "load-test: pass by k6: p95 under 800 ms at 50 calls a second"


@pytest.mark.parametrize(
    ("about", "digest", "code"),
    [
        ("asr", OTHER, "check_passed"),
        ("asr", FAR, "check_of_another"),
        ("tts", OTHER, "check_of_another"),
        ("llm", OTHER, "check_of_another"),
        ("candidate", FAR, "check_passed"),
        (None, None, "check_passed"),
        ("asr", None, "check_of_nothing"),
    ],
)
def test_a_requirement_is_about_the_part_it_names(
    about: str | None, digest: str | None, code: str
) -> None:
    """In a launch a record of one part says nothing of another."""
    asked = policy(requires=(replace(WANTED, about=about),))
    records = {"load-test": replace(GOOD, candidate=digest)}
    parts = {"asr": {OTHER}, "tts": {FAR}}
    (judged,) = judge_requirements(asked, records, candidates=parts, now=NOW)
    assert judged.code == code


def test_a_shadow_policy_lets_the_pipeline_go_on_and_shows_the_verdict() -> None:
    """Exit 0, the real verdict, and nothing that can promote."""
    asked = policy(enforcement="shadow")
    decided = decide(asked, judge_all(asked, evidence(WORSE), now=NOW))
    assert (exit_code(decided), decided.verdict, decided.promotes) == (0, Verdict.FAIL, False)


def test_findings_about_the_runs_are_not_what_passed() -> None:
    """A gate of which only the age was looked at has decided nothing."""
    stale = RuleResult(
        rule="evidence",
        slice="overall",
        metric="-",
        test="evidence",
        mode="required",
        verdict=Verdict.PASS,
        code="fresh",
        reason="it is fresh",
    )
    assert decide(policy(), [stale]).verdict is Verdict.ERROR
