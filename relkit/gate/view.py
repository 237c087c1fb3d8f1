"""What people are shown of a decision, and of a plan: what blocks first, in words.

Nothing vanishes: whoever shows less than a view holds has to say how much less. No line of the
terminal summaries steers a terminal or a CI runner.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from relkit.core.charts import PlottedEstimate, mark, nice_scale
from relkit.core.slices import OVERALL
from relkit.core.values import Estimate
from relkit.core.wording import (
    NONE,
    clustering,
    clusters,
    columns,
    count,
    counted,
    each_asked,
    log_line,
    number,
    safe,
    short_digest,
)
from relkit.evaluation.view import settings_line
from relkit.gate.plan_types import OUTLOOKS, GatePlan, LintFinding, RulePlan, SlicePlan
from relkit.gate.reasons import Figures, figures
from relkit.gate.types import (
    ORDER,
    CheckRecord,
    GateDecision,
    JudgedPart,
    Override,
    RuleResult,
    Verdict,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An interval on an axis of its own, in percent; None where there is no bound or no zero."""

    mark: PlottedEstimate
    bound: float | None
    zero: float | None


def basis(result: RuleResult) -> str:
    """Return what a result rests on: clusters, utterances, units of the denominator."""
    parts = [(result.clusters, "cluster"), (result.utterances, "utterance")]
    words = [counted(value, noun) for value, noun in parts if value]
    return ", ".join([*words, f"n {count(result.n)}"] if result.n else words) or NONE


def drawn(result: RuleResult) -> Drawn | None:
    """Return interval and bound on an axis that holds both; None without numbers to draw."""
    if result.observed is None:
        return None
    zero = result.quantity != "value"
    ends = [result.observed, result.low, result.high, result.bound, 0.0 if zero else None]
    finite = [value for value in ends if value is not None]
    if not all(map(math.isfinite, finite)):
        return None
    scale = nice_scale(min(finite), max(finite))
    estimate = Estimate(value=result.observed, low=result.low, high=result.high)
    placed = mark(estimate, scale)
    if placed is None:
        return None
    return Drawn(
        mark=placed,
        bound=None if result.bound is None else scale.at(result.bound),
        zero=scale.at(0.0) if zero else None,
    )


WORDS = {
    Verdict.FAIL: "FAIL",
    Verdict.ERROR: "ERROR",
    Verdict.NO_DATA: "NO DATA",
    Verdict.INCONCLUSIVE: "UNDECIDED",
    Verdict.PASS: "PASS",
}
"""Verdicts as people are shown them."""


def check_line(check: CheckRecord) -> str:
    """Return a named check or approval in one line."""
    signed = "signed" if check.key else "not signed"
    until = f", until {check.expires}" if check.expires else ""
    reason = f": {check.reason}" if check.reason else ""
    word = WORDS[check.verdict]
    return f"check {check.name}: {word}, by {check.by} ({signed}, {check.created}{until}){reason}"


def override_line(override: Override) -> str:
    """Return an override: who took it upon themselves, why, and the ticket."""
    text = (
        f"by {override.by} ({override.ticket}, {override.created} until {override.expires}): "
        f"{override.reason}"
    )
    if override.key is None:
        return f"override {text} - without a trusted signature, so it counts for nothing"
    return f"OVERRIDDEN {text}"


def null_line(part: JudgedPart) -> str:
    """Return the A/A certificate: how often this data blocks a system that is equal to itself."""
    named = f" of {part.name}" if part.name else ""
    replay = part.null_replay
    if replay is None or replay.false_block_rate is None:
        return f"A/A{named}: not replayed, so the false-block rate is unknown"
    return (
        f"A/A{named}: {count(replay.blocked)} of {count(replay.replays)} replays of equal systems "
        f"were blocked ({number(replay.false_block_rate, 'fraction')}), "
        f"{count(replay.undecided)} undecided; {replay.method}"
    )


def part_lines(part: JudgedPart) -> list[str]:
    """Return what has to be known of a part: coverage, A/A, what the baseline left out."""
    coverage, named = part.coverage, f" of {part.name}" if part.name else ""
    share = number(coverage.scored / coverage.expected, "fraction") if coverage.expected else NONE
    scored = each_asked(round(coverage.expected / coverage.repeats), coverage.repeats)
    scored += f"{count(coverage.scored)} of {count(coverage.expected)} scored ({share})"
    failed = f", {counted(coverage.failures, 'failure')} among them" if coverage.failures else ""
    unusable = f"{count(coverage.unusable)} unusable"
    lines = [f"coverage{named}: {scored}{failed}, {unusable}", null_line(part)]
    if part.cluster is not None:
        twofold = clustering(part.cluster, part.shared_prompts, crossed=part.crossed)
        lines += [twofold] if twofold else []
    if part.baseline_failures:
        failures = counted(len(part.baseline_failures), "utterance")
        lines.append(f"baseline{named}: no answer to {failures}, counted as right for it")
    return lines


NO_METRIC = "-"
"""Stands for the metric of findings about runs, checks and approvals."""

_MODES = {"required": "", "advisory": "advisory", "dry_run": "dry run"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownResult(Figures):
    """One result in words; ``mode`` is empty for a required one, ``basis`` what numbers rest on."""

    result: RuleResult
    name: str
    verdict: str
    mode: str
    reason: str
    basis: str
    drawn: Drawn | None

    @property
    def on(self) -> str:
        """`` accent=scottish (anchor)``: the slice, unless it is the whole, and the older run."""
        whole = self.result.slice == OVERALL or self.result.metric == NO_METRIC
        anchor = " (anchor)" if self.result.against == "anchor" else ""
        return anchor if whole else f" {safe(self.result.slice)}{anchor}"

    @property
    def where(self) -> str:
        """`` on accent=scottish``; empty for what is about no slice, as an approval."""
        return "" if self.result.metric == NO_METRIC else f" on {self.result.slice}"


class GateView:
    """What is shown of a decision, and of the overrides that were signed against it."""

    def __init__(self, decision: GateDecision, overrides: Sequence[Override] = ()) -> None:
        """Look at a decision; ``overrides`` carry who, why and which ticket."""
        self.decision = decision
        self.overrides = tuple(overrides)
        ranked = [shown_result(item) for item in sorted(decision.results, key=_rank)]
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
        return self.decision.policy.enforcement != "enforce"

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
        return f"{self.stance}: {self.because}"

    @property
    def because(self) -> str:
        """The headline without its first word."""
        if not self.shadow:
            return self._because()
        words = {Verdict.PASS: "pass", Verdict.INCONCLUSIVE: "be undecided"}
        would = words.get(self.verdict, "be blocked")
        return f"would {would}: {self._because()}; a shadow decision never promotes"

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a reader has to know: coverage, A/A, baseline failures, checks."""
        lines = [line for part in self.decision.parts for line in part_lines(part)]
        return (*lines, *(check_line(item) for item in self.decision.checks))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What no rule sees and people should know, of a launch with its part."""
        return tuple(
            f"{part.name}: {warning}" if part.name else warning
            for part in self.decision.parts
            for warning in part.warnings
        )

    @property
    def settings(self) -> tuple[str, ...]:
        """The systems, and in which settings candidate and baseline differ."""
        return tuple(line for part in self.decision.parts for line in part_settings(part))

    @property
    def remarks(self) -> tuple[str, ...]:
        """The overrides and warnings, which nobody may miss, the settings, and the notes."""
        overrides = (override_line(item) for item in self.overrides)
        return (*overrides, *self.warnings, *self.settings, *self.notes)

    def _because(self) -> str:
        checks = counted(self.required, "required check")
        if self.verdict is Verdict.PASS:
            return "the one required check passes" if self.required == 1 else f"all {checks} pass"
        if not self.required:
            return "nothing that is required was evaluated"
        if self.decision.verdict is Verdict.PASS:
            return "the decision says pass, and its checks do not"
        totals = Counter(item.result.verdict for item in self.blocking)
        blocking = [(count(totals[v]), _VERBS[v][totals[v] > 1]) for v in ORDER if totals[v]]
        if not blocking:
            return f"the verdict is {self.verdict.value}, for a reason outside its checks"
        (most, verb), *fewer = blocking
        rest = " and ".join(f"{total} {verb}" for total, verb in fewer)
        words = f"{most} of {checks} {verb}" + (f"; {rest}" if rest else "")
        return words + self._would_decide()

    def _would_decide(self) -> str:
        """Return what an undecided gate is missing, empty for another verdict."""
        if self.verdict is not Verdict.INCONCLUSIVE:
            return ""
        undecided = [f.result for f in self.blocking if missing_clusters(f.result)]
        if not undecided:
            return "; what would decide it cannot be said from this data"
        most = max(undecided, key=missing_clusters)
        unknown = len(self.blocking) - len(undecided)
        also = f"; for {unknown} it cannot be said" if unknown else ""
        lacks = ", the one that lacks most" if len(undecided) > 1 else ""
        where = "" if most.metric == NO_METRIC else f" on {most.slice}"
        missing = f"; about {count(missing_clusters(most))} more clusters would decide"
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


def shown_result(result: RuleResult) -> ShownResult:
    """Return one result in words."""
    return ShownResult(
        **asdict(figures(result)),
        result=result,
        name=f"{result.part}/{result.rule}" if result.part else result.rule,
        verdict=WORDS[result.verdict],
        mode=_MODES[result.mode],
        reason=result.reason or result.code or "no reason was given",
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


_VERBS = {
    Verdict.FAIL: ("fails", "fail"),
    Verdict.ERROR: ("could not be evaluated", "could not be evaluated"),
    Verdict.NO_DATA: ("has no data", "have no data"),
    Verdict.INCONCLUSIVE: ("is undecided", "are undecided"),
}
"""Of one check, and of several."""

MOST_BLOCKING = 30
MOST_OTHERS = 20
"""Findings shown of each kind; how many more there are is said."""


def gate_summary(decision: GateDecision, overrides: Sequence[Override] = ()) -> str:
    """Return what ``relkit gate`` tells people about a decision."""
    view = GateView(decision, overrides)
    blocks = [
        _head(view),
        [f"warning: {warning}" for warning in view.warnings],
        [override_line(item) for item in view.overrides],
        _sentences("what would block" if view.shadow else "what blocks", view.blocking),
        _passed(view),
        _sentences("does not count towards the verdict", view.aside),
        list(view.notes),
    ]
    return "\n\n".join("\n".join(log_line(safe(x)) for x in lines) for lines in blocks if lines)


def _head(view: GateView) -> list[str]:
    decision = view.decision
    policy = decision.policy
    lines = (
        f"policy {policy.name} ({policy.enforcement}), decision {decision.serial} of "
        f"{decision.created or 'an unknown time'}, until {decision.expires or 'an unknown one'}"
    )
    runs = [line for part in decision.parts for line in (_runs(part), *part_settings(part))]
    return [view.headline, lines, *runs]


def part_settings(part: JudgedPart) -> list[str]:
    """Return the candidate's system, and the settings in which it is not the baseline's."""
    of = f" of {part.name}" if part.name else ""
    system = f"system{of}: {part.candidate.system}" if part.candidate.system else ""
    return [line for line in (system, settings_line(part.settings)) if line]


def _runs(part: JudgedPart) -> str:
    name = f"{part.name}: " if part.name else ""
    against = f" against {part.baseline.run}" if part.baseline else ", alone"
    anchor = f", anchor {part.anchor.run}" if part.anchor else ""
    return f"{name}candidate {part.candidate.run}{against}{anchor}, on {part.dataset.name}"


def _sentences(title: str, findings: Sequence[ShownResult]) -> list[str]:
    """Return findings with their reasons, two lines each."""
    if not findings:
        return []
    lines = [f"{title}:"]
    for item in findings[:MOST_BLOCKING]:
        mode = f", {item.mode}" if item.mode else ""
        lines.append(f"  {item.verdict:<9} {item.name}{item.where}{mode}")
        lines.append(f"            {item.reason}")
    return lines + _hidden(len(findings) - MOST_BLOCKING)


def _passed(view: GateView) -> list[str]:
    if not view.passed:
        return []
    rows = [["  passed", "observed", "95 % interval", "allowed"]]
    rows += [
        [f"  {safe(item.name)}{item.on}", item.observed, item.span, item.allowed]
        for item in view.passed[:MOST_OTHERS]
    ]
    return columns(rows).split("\n") + _hidden(len(view.passed) - MOST_OTHERS)


def _hidden(findings: int) -> list[str]:
    return [f"  … and {count(findings)} more in the decision file"] if findings > 0 else []


MOST_PLANNED_SLICES = 12
"""Slices shown of one rule; how many more there are is said."""


def plan_summary(plan: GatePlan) -> str:
    """Return what ``relkit gate POLICY --plan`` tells people."""
    parts = [_plan_head(plan), *(_rule(rule, plan.cluster) for rule in plan.rules)]
    basis = ["supposed or measured:", *(f"  {safe(line)}" for line in plan.assumptions)]
    parts += [_findings(plan.findings), "\n".join(basis)]
    return "\n\n".join(part for part in parts if part)


def _plan_head(plan: GatePlan) -> str:
    suite = "" if plan.suite is None else f", suite {safe(plan.suite)}"
    revision = "" if plan.revision is None else f" ({short_digest(plan.revision)})"
    about = f"{safe(plan.policy)} on {safe(plan.dataset)}{revision}{suite}"
    items, of_what = counted(plan.utterances, "utterance"), counted(plan.words, "word")
    done = "decoded"
    if plan.turns:
        items, of_what = counted(plan.utterances, "conversation"), counted(plan.turns, "turn")
        done = "spoken"
    return (
        f"plan of {about}: nothing was {done}\n"
        f"{items}, {counted(plan.clusters, 'cluster')} ({safe(plan.cluster)}), {of_what}"
    )


def _rule(rule: RulePlan, cluster: str) -> str:
    mode = "" if rule.mode == "required" else f", {rule.mode}"
    head = f"{rule.rule}: {rule.metric} on {safe(rule.slice)}, {rule.test}{mode}: {rule.asks}"
    if not rule.slices:
        return f"{head}\n  CANNOT  no slice of the data is meant"
    ranked = sorted(rule.slices, key=lambda item: OUTLOOKS.index(item.outlook))
    rows = [_row(item, cluster) for item in ranked[:MOST_PLANNED_SLICES]]
    table = columns(rows, to_left=(0, 1, 4), indent=2)
    hidden = len(ranked) - MOST_PLANNED_SLICES
    more = f"\n  … and {hidden} more slices" if hidden > 0 else ""
    return f"{head}\n{table}{more}"


def _row(item: SlicePlan, cluster: str) -> list[str]:
    missing, needed = "", item.needed_clusters
    if item.missing_clusters:
        more = clusters(item.missing_clusters, f"more {safe(cluster)}")
        missing = f"; or {more}, {needed} in all"
    name = "all" if item.slice == OVERALL else safe(item.slice)
    outlook = "CANNOT" if item.outlook == "cannot" else item.outlook
    has = counted(item.clusters, "cluster"), f"{item.units} {item.unit}"
    return [outlook, name, *has, item.says + missing]


def _findings(findings: tuple[LintFinding, ...]) -> str:
    lines = []
    for item in findings:
        about = "policy" if item.rule is None else f"rule {item.rule}"
        at = "" if item.line is None else f" (line {item.line})"
        lines.append(f"{item.severity}: {about}{at}: {safe(item.message)}; {safe(item.hint)}")
    return "\n".join(lines)
