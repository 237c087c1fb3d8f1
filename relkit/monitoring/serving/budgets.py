"""Latency budgets: what each stage of a turn may take, and what is wrong with a budget itself.

The shipped budgets are what teams that build voice agents start from (docs/serving.md). They hold
for ``relkit health`` and for the limits of a canary alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from relkit.core.values import Limits
from relkit.telemetry.types import STAGES

WHOLE_TURN = "latency_ms"
"""The column of the whole turn: end of the user's speech to first audible answer."""

BudgetMs = Annotated[float, Limits(ge=0, le=1e7)]
Turns = Literal["all", "first", "warm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """What one stage, or the whole turn, may take, in ms.

    ``target`` is the range that its median is aimed at, ``limit`` the most that its p95 may be;
    without one it is the upper end of ``target``. ``turns`` are those it is about: the ``first``
    of a session, those after it (``warm``), or all.
    """

    stage: str
    target: tuple[BudgetMs, BudgetMs]
    limit: BudgetMs | None = None
    turns: Turns = "all"

    @property
    def most(self) -> float:
        """The most that p95 may be, in ms."""
        return self.target[1] if self.limit is None else self.limit


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


def budget_findings(lines: tuple[BudgetLine, ...]) -> Iterator[str]:
    """Yield what is wrong with a budget by itself, in words.

    Limits of stages may add up to more than the limit of the whole, since percentiles do not add
    up; who reads them as parts of it is told. What no line is about is named: its time is in the
    whole all the same (docs/method.md, section "Serving health").
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
        if stage not in {line.stage for line in stages}:
            yield f"no line is about {stage}, whose time counts in {WHOLE_TURN}"
