"""Simulations of tau2-bench as answers: one simulation is one exchange, and one session.

The file is what ``tau2 run`` saves: ``simulations`` with ``messages`` of the roles ``user``,
``assistant`` and ``tool``. Calls of the simulated user (its own phone) are none of the agent's.
Times are from the simulation's start, where the file tells them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from relkit.core.codec import parse
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.values import Id, NonEmpty, Shape
from relkit.core.yaml_text import shown
from relkit.datasets.types import Answer, Failure, FailureReason

_ENDED = frozenset({"agent_stop", "user_stop", "max_steps"})
"""How a simulation ends that tells what the agent did; every other end is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulation:
    FILE: ClassVar = Shape(open=True)

    task_id: Id
    trial: int | None = None
    start_time: NonEmpty | None = None
    termination_reason: NonEmpty
    messages: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Results:
    FILE: ClassVar = Shape(open=True)

    simulations: tuple[_Simulation, ...]


def tau2_answers(document: JsonValue, *, source: str) -> Iterator[tuple[str, Answer | Failure]]:
    """Yield the id and the answer of every simulation; raises InvalidInput.

    The id is that of the task, with ``#`` and the number of the trial where a task has several. A
    simulation that ended in an error is a failure: what its agent would have done is not known.
    """
    simulations = parse(_Results, document, source=source).simulations
    trials = Counter(item.task_id for item in simulations)
    for item in simulations:
        several = trials[item.task_id] > 1
        name = f"{item.task_id}#{item.trial or 0}" if several else item.task_id
        if item.termination_reason not in _ENDED:
            yield name, Failure(reason=FailureReason.REPORTED, detail=_code(item))
        elif item.messages is None:
            raise InvalidInput(
                f'{source}: the simulation of task "{shown(item.task_id)}" has no messages',
                hint="relkit reads half-duplex simulations: save them with their messages",
            )
        else:
            yield name, _answer(item, list(_flat(item.messages)))


def _code(item: _Simulation) -> str:
    code = item.termination_reason
    return code if code.isascii() and code.replace("_", "").isalpha() else ""


def _flat(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield messages, those that answer several calls one by one."""
    for message in messages:
        several = message.get("tool_messages")
        if isinstance(several, list):
            yield from (item for item in several if isinstance(item, Mapping))
        else:
            yield message


def _answer(item: _Simulation, messages: Sequence[Mapping[str, Any]]) -> Answer:
    begun = _time(item.start_time or (messages[0].get("timestamp") if messages else None))
    words: list[str] = []
    calls: list[object] = []
    for message in messages:
        if message.get("role") == "tool" and message.get("requestor") != "user":
            output = {"type": "function_call_output", "call_id": message.get("id")}
            error = message.get("error") is True
            calls.append({**output, "output": message.get("content"), "is_error": error})
        if message.get("role") != "assistant":
            continue
        if isinstance(text := message.get("content"), str):
            words.append(text)
        for call in message.get("tool_calls") or ():
            if isinstance(call, Mapping) and call.get("requestor") == "user":
                continue
            calls.append(_call(call, begun, _time(message.get("timestamp"))))
    return Answer(text=" ".join(words), tool_calls=tuple(calls))


def _call(call: object, begun: datetime | None, at: datetime | None) -> object:
    if not isinstance(call, Mapping):
        return call  # which is refused with the other calls that are none
    read = {"type": "function_call", "call_id": call.get("id")}
    read |= {key: call.get(key) for key in ("name", "arguments")}
    if begun is not None and at is not None and (begun.tzinfo is None) == (at.tzinfo is None):
        read["t_ms"] = max(0.0, (at - begun).total_seconds() * 1000.0)
    return read


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
