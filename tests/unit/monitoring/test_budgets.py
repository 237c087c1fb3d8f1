"""Latency budgets: the shipped ones, and what is wrong with a budget by itself."""

from relkit.monitoring.serving.budgets import BUDGETS, budget_findings
from relkit.monitoring.serving.types import BudgetLine


def test_shipped_budgets_are_those_of_the_method() -> None:
    """Targets and limits of voice-cloud, and the two of voice-local-cpu."""
    cloud = {line.stage: (*line.target, line.most) for line in BUDGETS["voice-cloud"]}
    assert cloud == {
        "asr_ms": (200, 350, 500),
        "llm_ttft_ms": (100, 200, 400),
        "tts_ttfb_ms": (75, 150, 250),
        "network_ms": (50, 100, 150),
        "latency_ms": (500, 800, 1100),
    }
    local = {line.turns: (*line.target, line.most) for line in BUDGETS["voice-local-cpu"]}
    assert local == {"first": (1200, 1500, 1500), "warm": (800, 1000, 1000)}


def test_limits_that_exceed_the_whole_are_named() -> None:
    """The limits of voice-cloud add up to 1,300 ms, and nothing is about the end of turn."""
    findings = list(budget_findings(BUDGETS["voice-cloud"]))
    assert findings[0].startswith("the limits of the stages add up to 1,300 ms")
    assert [finding for finding in findings if "eou_ms" in finding]


def test_targets_that_cannot_be_met_together_are_named() -> None:
    """Where the least of every stage is more than the most of the whole, nothing can be right."""
    lines = (
        BudgetLine(stage="llm_ttft_ms", target=(400, 500)),
        BudgetLine(stage="tts_ttfb_ms", target=(500, 600)),
        BudgetLine(stage="latency_ms", target=(500, 800)),
    )
    assert next(budget_findings(lines)).startswith("the targets of the stages begin at 900 ms")


def test_budget_of_the_whole_turn_alone_has_no_findings() -> None:
    """Without stages nothing can contradict the whole."""
    assert not list(budget_findings(BUDGETS["voice-local-cpu"]))
