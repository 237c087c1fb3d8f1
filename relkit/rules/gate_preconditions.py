"""What has to be true of the runs before any of their numbers may promote (rules.md section 4).

Each finding blocks; what is in order is not listed: it cannot be the only thing that passed.
"""

from collections.abc import Iterator, Sequence

from relkit.domain.gates import GatePolicy, RuleResult, Verdict
from relkit.domain.reports import EvalReport
from relkit.domain.slices import OVERALL
from relkit.rules.elapsed import seconds_between
from relkit.rules.gate_evidence import Compared, Evidence, comparing_rules
from relkit.rules.same_measure import other_measures

EVIDENCE = "evidence"
"""The rule and test under which findings about the runs themselves are listed."""


def finding(code: str, verdict: Verdict, reason: str) -> RuleResult:
    """Return a blocking finding about the runs."""
    return RuleResult(
        rule=EVIDENCE,
        slice=OVERALL,
        metric="-",
        test=EVIDENCE,
        mode="required",
        verdict=verdict,
        code=code,
        reason=reason,
    )


def preconditions(policy: GatePolicy, evidence: Evidence, *, now: str) -> tuple[RuleResult, ...]:
    """Return what is wrong with the runs; ``now`` is UTC, ``2026-01-31T12:00:00Z``."""
    return (
        *_candidate(policy, evidence.candidate, now),
        *_against(policy, evidence, evidence.baseline, "baseline", now),
        *_against(policy, evidence, evidence.anchor, "anchor", now),
        *_missing(policy, evidence),
    )


def _candidate(policy: GatePolicy, report: EvalReport, now: str) -> Iterator[RuleResult]:
    yield from _age(report, "candidate", now, policy.max_age_s)
    coverage = report.coverage
    if coverage is None or report.scored <= 0:
        yield finding("nothing_scored", Verdict.NO_DATA, "nothing of the candidate could be scored")
    elif coverage < policy.coverage or report.scored > report.expected:
        yield finding(
            "coverage",
            Verdict.NO_DATA,
            f"{report.scored} of {report.expected} items were scored ({100 * coverage:.1f} %), "
            f"{100 * policy.coverage:.4g} % are needed",
        )
    if report.dataset.contract == "failed":
        yield finding(
            "contract_failed", Verdict.ERROR, "the dataset breaks its contract: repair it first"
        )


def _against(
    policy: GatePolicy, evidence: Evidence, other: Compared | None, what: str, now: str
) -> Iterator[RuleResult]:
    if other is None:
        return
    report, candidate = other.report, evidence.candidate
    yield from _age(report, what, now, policy.baseline_max_age_s if what == "baseline" else None)
    if report.run == candidate.run:
        yield finding("same_run", Verdict.ERROR, f"candidate and {what} are the same run")
    coverage = report.coverage
    if coverage is None or coverage < policy.coverage:
        shown = "none" if coverage is None else f"{100 * coverage:.1f} %"
        yield finding(
            f"{what}_coverage",
            Verdict.NO_DATA,
            f"the {what} scored {shown} of its items, {100 * policy.coverage:.4g} % are needed",
        )
    yield from _mismatches(candidate, report, what)
    yield from _unpaired(policy, other, what)


def _mismatches(candidate: EvalReport, report: EvalReport, what: str) -> Iterator[RuleResult]:
    for name in other_measures(candidate, report):
        yield finding(
            f"other_{name}",
            Verdict.ERROR,
            f"candidate and {what} were measured with another {name}",
        )


def _unpaired(policy: GatePolicy, other: Compared, what: str) -> Iterator[RuleResult]:
    pairing = other.pairing
    if pairing is None or not policy.paired:
        return
    if pairing.duplicates:
        yield finding(
            "duplicate_results",
            Verdict.ERROR,
            f"{pairing.duplicates} results of candidate or {what} stand more than once",
        )
    alone = pairing.only_candidate + pairing.only_baseline
    if alone or pairing.moved:
        yield finding(
            "unpaired",
            Verdict.ERROR,
            f"the {what} did not answer the same utterances: {alone} results have no partner, "
            f"{pairing.moved} another speaker or slice",
        )
    elif not pairing.compared:
        yield finding("nothing_paired", Verdict.NO_DATA, f"no utterance is scored in the {what}")


def _missing(policy: GatePolicy, evidence: Evidence) -> Iterator[RuleResult]:
    if evidence.baseline is None and (rules := _required(policy)):
        yield finding(
            "no_baseline",
            Verdict.NO_DATA,
            f"{', '.join(rules[:3])}{' …' if len(rules) > 3 else ''} compare with a baseline, "  # noqa: PLR2004
            "and none was given",
        )
    wanted = policy.anchor is not None or any(r.anchor_margin is not None for r in policy.rules)
    if wanted and evidence.anchor is None:
        yield finding(
            "no_anchor", Verdict.NO_DATA, "the policy holds against an anchor, and none was given"
        )


def _required(policy: GatePolicy) -> Sequence[str]:
    return [rule.id for rule in comparing_rules(policy) if rule.mode == "required"]


def _age(report: EvalReport, what: str, now: str, most_s: float | None) -> Iterator[RuleResult]:
    age = seconds_between(report.created, now)
    if age is None:
        yield finding("no_time", Verdict.ERROR, f"the {what} does not say when it was measured")
    elif age < 0:
        yield finding(
            "from_the_future",
            Verdict.ERROR,
            f"the {what} was measured {duration_words(-age)} after now: a clock is wrong",
        )
    elif most_s is not None and age > most_s:
        yield finding(
            "stale",
            Verdict.NO_DATA,
            f"the {what} is {duration_words(age)} old, {duration_words(most_s)} are allowed",
        )


_UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))


def duration_words(seconds: float) -> str:
    """Return ``26 hours`` or ``3 days``: a duration in the largest unit with at least two."""
    for name, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} seconds"
