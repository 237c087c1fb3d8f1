"""Checks and approvals that a policy asks for: there, passed, fresh, about this candidate."""

from collections.abc import Collection, Iterator, Mapping

from relkit.domain.gates import CheckRecord, GatePolicy, Requirement, RuleResult, Verdict
from relkit.domain.slices import OVERALL
from relkit.rules.elapsed import seconds_between
from relkit.rules.gate_preconditions import duration_words

REQUIREMENT = "requirement"
"""The test under which required checks and approvals are listed."""


def judge_requirements(
    policy: GatePolicy,
    records: Mapping[str, CheckRecord | str],
    *,
    candidates: Collection[str],
    now: str,
) -> tuple[RuleResult, ...]:
    """Return a result for each requirement, in order.

    ``records`` maps a name to its record, or to why it cannot be used. ``candidates`` are the
    digests (artifact and candidate) that a record may be about; ``now`` is UTC.
    """
    return tuple(
        _judge(wanted, records.get(wanted.name), candidates, now) for wanted in policy.requires
    )


def _judge(
    wanted: Requirement, record: CheckRecord | str | None, candidates: Collection[str], now: str
) -> RuleResult:
    if record is None:
        return _result(wanted, Verdict.NO_DATA, "check_missing", "was not given")
    if isinstance(record, str):
        return _result(wanted, Verdict.ERROR, "check_refused", record)
    for verdict, code, reason in _problems(wanted, record, candidates, now):
        return _result(wanted, verdict, code, reason)
    said = f"{record.verdict.value} by {record.by}: {record.reason}"
    code = "check_passed" if record.verdict is Verdict.PASS else "check_not_passed"
    return _result(wanted, record.verdict, code, said)


def _problems(
    wanted: Requirement, record: CheckRecord, candidates: Collection[str], now: str
) -> Iterator[tuple[Verdict, str, str]]:
    age = seconds_between(record.created, now)
    if age is None or age < 0:
        yield Verdict.ERROR, "check_from_the_future", "its time is later than now, or none"
    elif wanted.max_age_s is not None and age > wanted.max_age_s:
        most = duration_words(wanted.max_age_s)
        yield Verdict.NO_DATA, "check_stale", f"{duration_words(age)} old, {most} are allowed"
    if record.expires is not None and (left := seconds_between(now, record.expires)) is not None:
        if left <= 0:
            yield Verdict.NO_DATA, "check_expired", "has expired"
    elif record.expires is not None:
        yield Verdict.ERROR, "check_without_time", "its expiry is no UTC time"
    if wanted.signed and record.key is None:
        yield Verdict.ERROR, "check_unsigned", "has no trusted signature"
    if record.candidate is not None and record.candidate not in candidates:
        yield Verdict.ERROR, "check_of_another", "is about another candidate"


def _result(wanted: Requirement, verdict: Verdict, code: str, reason: str) -> RuleResult:
    return RuleResult(
        rule=wanted.name,
        slice=OVERALL,
        metric="-",
        test=REQUIREMENT,
        mode="required",
        verdict=verdict,
        code=code,
        reason=f"{wanted.name}: {reason}",
    )
