"""Simulations of tau2-bench: what becomes of their calls, times, errors and trials."""

from typing import Any

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, Failure
from relkit.safety.calls import calls_of
from relkit.safety.tau2_files import tau2_answers

SIMULATION: dict[str, Any] = {
    "id": "f2b1",
    "task_id": "12",
    "trial": 0,
    "timestamp": "2025-06-04T09:52:40.000000",
    "start_time": "2025-06-04T09:51:40.000000",
    "end_time": "2025-06-04T09:52:40.000000",
    "duration": 60.0,
    "termination_reason": "user_stop",
    "reward_info": {"reward": 1.0},
    "messages": [
        {"role": "assistant", "content": "Hi!", "tool_calls": None, "turn_idx": 0},
        {"role": "user", "content": "Cancel order 7.", "turn_idx": 1},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "name": "find", "arguments": {"n": 7}, "requestor": "assistant"},
                {"id": "c2", "name": "cancel", "arguments": {"n": 7}, "requestor": "assistant"},
            ],
            "turn_idx": 2,
            "timestamp": "2025-06-04T09:51:42.500000",
        },
        {
            "role": "tool",
            "tool_messages": [
                {"id": "c1", "role": "tool", "content": "[1, 2]", "requestor": "assistant"},
                {"id": "c2", "role": "tool", "content": "no", "error": True},
            ],
        },
        {
            "role": "user",
            "content": None,
            "tool_calls": [{"id": "u1", "name": "reboot", "arguments": {}, "requestor": "user"}],
        },
        {"id": "u1", "role": "tool", "content": "ok", "requestor": "user"},
        {"role": "assistant", "content": "Done."},
    ],
}


def answers(*simulations: object) -> list[tuple[str, Answer | Failure]]:
    """Return what a file with these simulations holds."""
    document = {"timestamp": "x", "info": {}, "tasks": [], "simulations": list(simulations)}
    return list(tau2_answers(document, source="airline.json"))  # type: ignore[arg-type]  # JSON


def test_a_simulation_is_an_answer_with_calls() -> None:
    """The agent's calls have their times and results; the user's own tools are left out."""
    ((name, answer),) = answers(SIMULATION)
    assert isinstance(answer, Answer)
    assert (name, answer.text) == ("12", "Hi! Done.")
    find, cancel = calls_of(answer.tool_calls)
    assert (find.name, find.arguments, find.t_ms) == ("find", {"n": 7}, 2500.0)
    assert find.result is not None
    assert find.result.rows == 2
    assert cancel.result is not None
    assert cancel.result.error == "error"


def test_trials_of_a_task_are_apart() -> None:
    """A task that was tried twice is two answers."""
    assert [name for name, _ in answers(SIMULATION, {**SIMULATION, "trial": 1})] == ["12#0", "12#1"]


@pytest.mark.parametrize("reason", ["too_many_errors", "agent_error", "infrastructure_error"])
def test_a_simulation_that_ended_in_an_error_is_a_failure(reason: str) -> None:
    """An error is never taken for an agent that behaved."""
    ((_, outcome),) = answers({**SIMULATION, "termination_reason": reason})
    assert isinstance(outcome, Failure)
    assert outcome.detail == reason


def test_a_call_without_a_time_has_none() -> None:
    """Simulations that say no start and no time leave it open."""
    untimed = {key: value for key, value in SIMULATION.items() if key != "start_time"}
    ((_, answer),) = answers(untimed)
    assert isinstance(answer, Answer)
    assert [call.t_ms for call in calls_of(answer.tool_calls)] == [None, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": None}, 'the simulation of task "12" has no messages'),
        ({"termination_reason": None}, '"simulations.0.termination_reason"'),
        ({"task_id": ""}, '"simulations.0.task_id"'),
    ],
)
def test_simulations_that_are_refused(change: dict[str, object], message: str) -> None:
    """One message that names the file and the key."""
    with pytest.raises(InvalidInput) as caught:
        answers({**SIMULATION, **change})
    assert message in caught.value.message
    assert caught.value.message.startswith("airline.json")
