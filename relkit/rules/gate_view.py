"""A gate's decision as people are shown it: what blocks first, in words; markup is elsewhere.

Nothing vanishes here: whoever shows less than a view holds has to say how much less.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relkit.domain.decisions import Override
from relkit.domain.gates import (
    ORDER,
    GateDecision,
    RuleResult,
    Verdict,
)
from relkit.rules.gate_figures import Drawn, basis, drawn, figures
from relkit.rules.gate_notes import WORDS, check_line, override_line, part_lines
from relkit.rules.presenting import number

NO_METRIC = "-"
"""Stands for the metric of findings about runs, checks and approvals."""

_DECIDES = "would decide it"
"""Reasons that end so say themselves how much is missing."""

_MODES = {"required": "", "advisory": "advisory", "dry_run": "dry run"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result in words. ``mode`` is empty for a required one; ``needs`` says what would decide.

    ``observed``, ``span`` and ``allowed`` are its numbers, "-" where there is none; ``basis`` is
    what they rest on.
    """

    result: RuleResult
    name: str
    verdict: str
    mode: str
    reason: str
    needs: str
    observed: str
    span: str
    allowed: str
    baseline: str
    basis: str
    drawn: Drawn | None

    @property
    def line(self) -> str:
        """The finding in one line of plain text."""
        mode = f" ({self.mode})" if self.mode else ""
        return f"{self.name}{self.where}{mode}: {self.sentence}"

    @property
    def where(self) -> str:
        """`` on accent=scottish``; empty for what is about no slice, as an approval."""
        return "" if self.result.metric == NO_METRIC else f" on {self.result.slice}"

    @property
    def sentence(self) -> str:
        """The reason, and what would decide it."""
        return f"{self.reason}; {self.needs}" if self.needs else self.reason


class GateView:
    """What is shown of a decision, and of the overrides that were signed against it."""

    def __init__(self, decision: GateDecision, overrides: Sequence[Override] = ()) -> None:
        """Look at a decision; ``overrides`` carry who, why and which ticket."""
        self.decision = decision
        self.overrides = tuple(overrides)
        ranked = [finding(item) for item in sorted(decision.results, key=_rank)]
        required = [item for item in ranked if item.result.mode == "required"]
        self.blocking = tuple(f for f in required if f.result.verdict is not Verdict.PASS)
        self.passed = tuple(f for f in required if f.result.verdict is Verdict.PASS)
        self.aside = tuple(f for f in ranked if f.result.mode != "required")
        self.verdict = shown_verdict(decision)

    @property
    def required(self) -> int:
        """How many required results there are."""
        return len(self.blocking) + len(self.passed)

    @property
    def shadow(self) -> bool:
        """Whether the decision only shows what it would do."""
        return self.decision.enforcement != "enforce"

    @property
    def stance(self) -> str:
        """``BLOCKED``, ``UNDECIDED``, ``PASS`` or ``SHADOW``: the first word of the headline."""
        if self.shadow:
            return "SHADOW"
        if self.verdict is Verdict.PASS:
            return "PASS"
        return "UNDECIDED" if self.verdict is Verdict.INCONCLUSIVE else "BLOCKED"

    @property
    def headline(self) -> str:
        """The decision in one line."""
        if not self.shadow:
            return f"{self.stance}: {self._because()}"
        would = {Verdict.PASS: "pass", Verdict.INCONCLUSIVE: "be undecided"}
        said = would.get(self.verdict, "be blocked")
        return f"SHADOW: would {said}: {self._because()}; a shadow decision never promotes"

    @property
    def because(self) -> str:
        """The headline without its first word."""
        return self.headline.removeprefix(f"{self.stance}: ")

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a reader has to know: coverage, A/A, baseline failures, checks."""
        lines = [line for part in self.decision.parts for line in part_lines(part)]
        return (*lines, *(check_line(item) for item in self.decision.checks))

    @property
    def remarks(self) -> tuple[str, ...]:
        """The overrides, which nobody may miss, and the notes."""
        return (*(override_line(item) for item in self.overrides), *self.notes)

    def _because(self) -> str:
        of = f"of {self.required} required check{'' if self.required == 1 else 's'}"
        if self.verdict is Verdict.PASS:
            return (
                "the one required check passes"
                if self.required == 1
                else (f"all {self.required} required checks pass")
            )
        if not self.required:
            return "nothing that is required was evaluated"
        if self.decision.verdict is Verdict.PASS:
            return "the decision says pass, and its checks do not"
        counted = [(v, _count(self.blocking, v)) for v in ORDER if v is not Verdict.PASS]
        parts = [f"{count} {_verb(v, count)}" for v, count in counted if count]
        if not parts:
            return f"the verdict is {self.verdict.value}, for a reason outside its checks"
        first, *others = parts
        head, _, tail = first.partition(" ")
        said = f"{head} {of} {tail}"
        rest = f"; {' and '.join(others)}" if others else ""
        return said + rest + self._would_decide()

    def _would_decide(self) -> str:
        """Return what an undecided gate is missing, empty for another verdict."""
        if self.verdict is not Verdict.INCONCLUSIVE:
            return ""
        wanted = [f.result for f in self.blocking if missing_clusters(f.result)]
        if not wanted:
            return "; what would decide it cannot be said from this data"
        most = max(wanted, key=missing_clusters)
        unknown = len(self.blocking) - len(wanted)
        also = f"; for {unknown} it cannot be said" if unknown else ""
        lacks = ", the one that lacks most" if len(wanted) > 1 else ""
        where = "" if most.metric == NO_METRIC else f" on {most.slice}"
        missing = f"; about {missing_clusters(most):,} more clusters would decide"
        return f"{missing} {most.rule}{where}{lacks}{also}"


def shown_verdict(decision: GateDecision) -> Verdict:
    """Return the verdict a decision may be shown with: never a better one than its results give.

    A required result that did not pass, or no required result at all, makes a pass an error.
    """
    required = [item.verdict for item in decision.results if item.mode == "required"]
    if decision.verdict is Verdict.PASS and not (
        required and all(verdict is Verdict.PASS for verdict in required)
    ):
        return Verdict.ERROR
    return decision.verdict


def finding(result: RuleResult) -> Finding:
    """Return one result in words."""
    numbers = figures(result)
    return Finding(
        result=result,
        name=f"{result.part}/{result.rule}" if result.part else result.rule,
        verdict=WORDS[result.verdict],
        mode=_MODES[result.mode],
        reason=result.reason or result.code or "no reason was given",
        needs=_needs(result),
        observed=numbers.observed,
        span=numbers.span,
        allowed=numbers.allowed,
        baseline=number(result.baseline, result.unit),
        basis=basis(result),
        drawn=drawn(result),
    )


def missing_clusters(result: RuleResult) -> int:
    """Return how many clusters more would decide a result; 0 where that is not known."""
    return max(0, (result.needed_clusters or 0) - result.clusters)


def _rank(result: RuleResult) -> tuple[bool, int, float, float, str, str, str]:
    """Sort required before others, the most blocking first, then harm and evidence."""
    return (
        result.mode != "required",
        ORDER.index(result.verdict),
        -(result.harm or 0.0),
        1.0 if result.p_adjusted is None else result.p_adjusted,
        result.part or "",
        result.rule,
        result.slice,
    )


def _count(findings: Iterable[Finding], verdict: Verdict) -> int:
    return sum(item.result.verdict is verdict for item in findings)


def _verb(verdict: Verdict, count: int) -> str:
    one = count == 1
    return {
        Verdict.FAIL: "fails" if one else "fail",
        Verdict.ERROR: "could not be evaluated",
        Verdict.NO_DATA: "has no data" if one else "have no data",
        Verdict.INCONCLUSIVE: "is undecided" if one else "are undecided",
    }[verdict]


def _needs(result: RuleResult) -> str:
    missing = missing_clusters(result)
    if result.verdict is not Verdict.INCONCLUSIVE or not missing or _DECIDES in result.reason:
        return ""
    return f"{missing:,} more clusters {_DECIDES} ({result.needed_clusters:,} in all)"
