"""How long the safety rules take over many tool calls, beside a bare loop over jsonschema.

python benchmarks/safety_speed.py [--calls 100000]
"""

import argparse
import json
import random
import time
from collections.abc import Mapping
from typing import Any

from relkit.adapters.json_schemas import JsonSchemas
from relkit.datasets.types import (
    AgentCase,
    Answer,
    AnswerEvent,
    Attack,
    AudioSpan,
    Goal,
    Prediction,
    Utterance,
)
from relkit.evaluation.safety import run_safety
from relkit.evaluation.types import Outcome
from relkit.safety.exchanges import AgentTools
from relkit.safety.tool_files import parse_tools

TOOLS = """\
schema: relkit.tools/v1
tools:
  transfer_money:
    sensitive: true
    effect: once
    arguments:
      type: object
      required: [iban, amount]
      properties:
        iban: {type: string, pattern: "^[A-Z]{2}[0-9]+$"}
        amount: {type: number, exclusiveMinimum: 0}
      additionalProperties: false
  find_orders:
    filters: [customer, from, to]
    max_rows: 200
    arguments: {type: object, minProperties: 1}
"""
CALLS_EACH = 4
SESSION = 5
TARGET_S = 10.0


def exchange(number: int, draw: random.Random) -> tuple[Utterance, Outcome]:
    """Return an exchange of four calls: payments read back and confirmed, and orders looked up."""
    events: list[AnswerEvent] = []
    calls: list[object] = []
    for i in range(CALLS_EACH):
        at = 3000.0 * (i + 1)
        if i % 2:
            find = {"customer": f"c{draw.randrange(10_000)}", "from": "2026-01-01"}
            calls.append(
                {"name": "find_orders", "arguments": find, "t_ms": at, "result": {"rows": 3}}
            )
            continue
        pay = {"iban": f"DE{draw.randrange(10**12)}", "amount": draw.randrange(1, 900)}
        read = AnswerEvent(t_ms=at - 900, kind="readback", tool="transfer_money", arguments=pay)
        events += [read, AnswerEvent(t_ms=at - 300, kind="confirm", speaker="user")]
        call = {"name": "transfer_money", "arguments": json.dumps(pay)}
        calls.append({"type": "function", "function": call, "t_ms": at})
    goal = Goal(tool="transfer_money", arguments={"iban": "DE99"})
    case = AgentCase(
        attack=Attack(channel="played", goal=goal) if number % 2 else None,
        planted=(str(draw.randrange(10_000, 99_999)),) if number % SESSION == 0 else (),
    )
    name = f"e{number}"
    utterance = Utterance(
        id=name,
        audio=AudioSpan(path=f"{name}.wav"),
        reference="",
        attributes={"session": f"s{number // SESSION}"},
        case=case,
    )
    text = "I have sent it, and your order comes on the fourth of May."
    answer = Answer(text=text, events=tuple(events), tool_calls=tuple(calls))
    return utterance, Outcome(id=name, repeat=0, prediction=Prediction(id=name, outcome=answer))


def arguments(outcomes: list[Outcome]) -> list[tuple[str, Any]]:
    """Return the tool and the decoded arguments of every call."""
    pairs: list[tuple[str, Any]] = []
    for outcome in outcomes:
        answer = None if outcome.prediction is None else outcome.prediction.outcome
        for call in answer.tool_calls if isinstance(answer, Answer) else ():
            if isinstance(call, Mapping):
                inner = call.get("function", call)
                written = inner["arguments"]
                pairs.append(
                    (inner["name"], json.loads(written) if isinstance(written, str) else written)
                )
    return pairs


def main() -> None:
    """Print seconds and the ratio of one run; exit 1 where it takes longer than it may."""
    from jsonschema import Draft202012Validator

    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=100_000)
    calls = parser.parse_args().calls
    draw = random.Random(1)  # noqa: S311 - no secret
    rows = [exchange(number, draw) for number in range(calls // CALLS_EACH)]
    utterances = {utterance.id: utterance for utterance, _ in rows}
    outcomes = [outcome for _, outcome in rows]
    file = parse_tools(TOOLS, source="tools.yaml")
    tools = AgentTools(table=file.table, digest=file.digest, accepts=JsonSchemas(file).accepts)
    start = time.perf_counter()
    judged = run_safety(outcomes, utterances, cluster="session", tools=tools)
    ours = time.perf_counter() - start
    bare = {n: Draft202012Validator(dict(t.arguments)) for n, t in file.table.tools.items()}
    pairs = arguments(outcomes)
    start = time.perf_counter()
    valid = sum(bare[name].is_valid(item) for name, item in pairs)
    theirs = time.perf_counter() - start
    counted = sum(item.calls for item in judged.counts if item is not None)
    print(f"calls judged by all rules: {counted:,}")
    print(f"calls valid by jsonschema: {valid:,}")
    print(f"all rules:          {ours:6.2f} s (at most {TARGET_S:g} s for 100,000)")
    print(f"bare jsonschema:    {theirs:6.2f} s")
    print(f"ratio:              {ours / theirs:6.2f}")
    if ours > TARGET_S * calls / 100_000:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
