"""Latency budgets: what each stage of a turn may take, and what is wrong with a budget itself.

The shipped budgets are what teams that build voice agents start from (docs/serving.md). They hold
for ``relkit health`` and for the limits of a canary alike.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from math import isfinite

from relkit.monitoring.serving.types import (
    BudgetLine,
    JudgedStage,
    LineStatus,
    StageBudget,
    StageFigures,
)
from relkit.telemetry.types import STAGES

WHOLE_TURN = "latency_ms"
"""The column of the whole turn: end of the user's speech to first audible answer."""

BUDGETS: Mapping[str, tuple[BudgetLine, ...]] = {
    "voice-cloud": (
        BudgetLine(stage="asr_ms", target=(200, 350), limit=500),
        BudgetLine(stage="llm_ttft_ms", target=(100, 200), limit=400),
        BudgetLine(stage="tts_ttfb_ms", target=(75, 150), limit=250),
        BudgetLine(stage="network_ms", target=(50, 100), limit=150),
        BudgetLine(stage=WHOLE_TURN, target=(500, 800), limit=1100),
    ),
    "voice-local-cpu": (
        BudgetLine(stage=WHOLE_TURN, target=(1200, 1500), turns="first"),
        BudgetLine(stage=WHOLE_TURN, target=(800, 1000), turns="warm"),
    ),
}
"""The shipped budgets by name; ``asr_ms`` counts from the end of turn that was detected."""


def budget_findings(
    lines: tuple[BudgetLine, ...], unmeasured: Collection[str] = ()
) -> Iterator[str]:
    """Yield what is wrong with a budget by itself, in words.

    Limits of stages may add up to more than the limit of the whole, since percentiles do not add
    up; who reads them as parts of it is told. What no line is about is named: its time is in the
    whole all the same (docs/serving.md). Stages that are ``unmeasured`` are not spoken of.
    """
    every = [line for line in lines if line.turns == "all"]
    totals = [line for line in every if line.stage == WHOLE_TURN]
    stages = [line for line in every if line.stage != WHOLE_TURN]
    if not totals or not stages:
        return
    total = totals[0]
    limits, least = sum(line.most for line in stages), sum(line.target[0] for line in stages)
    if least > total.target[1]:
        yield (
            f"the targets of the stages begin at {least:,.0f} ms together, and the whole turn is "
            f"to take {total.target[1]:,.0f} ms at the most"
        )
    if limits > total.most:
        yield (
            f"the limits of the stages add up to {limits:,.0f} ms, that of the whole turn is "
            f"{total.most:,.0f} ms: all at their limits are too slow together"
        )
    for stage in STAGES:
        if stage not in {line.stage for line in stages} and stage not in unmeasured:
            yield f"no line is about {stage}, whose time counts in {WHOLE_TURN}"


def budget_lines(budget: str | Mapping[str, StageBudget]) -> tuple[BudgetLine, ...]:
    """Return the lines of a budget, a shipped one by name or a policy's own; KeyError."""
    if isinstance(budget, str):
        return BUDGETS[budget]
    return tuple(
        BudgetLine(stage=stage, target=line.target, limit=line.limit)
        for stage, line in budget.items()
    )


def judge_stages(
    lines: tuple[BudgetLine, ...],
    figures: Iterable[StageFigures],
    fewest: int,
    unmeasured: Collection[str] = (),
) -> tuple[JudgedStage, ...]:
    """Return every stage against its line: p50 against the target, p95 against the limit.

    A stage without a line that was measured stands there without a verdict: its time is in the
    whole. Fewer than ``fewest`` turns are no data, but for a stage that is ``unmeasured``: what
    sends the telemetry never knows it. Percentiles of stages are never added up.
    """
    measured = {(stage.stage, stage.of): stage for stage in figures}
    judged = []
    for line in lines:
        figure = measured.pop((line.stage, line.turns), None)
        judged.append(
            JudgedStage(
                stage=line.stage,
                of=line.turns,
                turns=0 if figure is None else figure.turns,
                p50=None if figure is None else _finite(figure.p50),
                p95=None if figure is None else _finite(figure.p95),
                target=line.target,
                limit=line.most,
                status="not_measured"
                if line.stage in unmeasured and line.stage != WHOLE_TURN
                else _status(line, figure, fewest),
            )
        )
    for (stage, of), figure in measured.items():
        if figure.turns and of == "all":
            judged.append(
                JudgedStage(
                    stage=stage,
                    of=of,
                    turns=figure.turns,
                    p50=_finite(figure.p50),
                    p95=_finite(figure.p95),
                    target=None,
                    limit=None,
                    status="no_line",
                )
            )
    return tuple(judged)


def _status(line: BudgetLine, figure: StageFigures | None, fewest: int) -> LineStatus:
    if figure is None or figure.turns < fewest or figure.p50 is None or figure.p95 is None:
        return "no_data"
    if figure.p95 > line.most:
        return "over_limit"
    return "over_target" if figure.p50 > line.target[1] else "ok"


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
