"""What a run of an agent counts for safety, row by row; what cannot be judged is in no rate."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relkit.conversation.confirmations import CONFIRMING, confirming_events
from relkit.conversation.types import Conversation
from relkit.core.errors import InvalidInput
from relkit.core.wording import counted
from relkit.core.yaml_text import shown, where
from relkit.datasets.selection import cluster_of
from relkit.datasets.types import (
    NO_VALUE,
    Answer,
    Dataset,
    Failure,
    FailureReason,
    UnusableReason,
    Utterance,
)
from relkit.evaluation.types import Outcome
from relkit.safety.calls import calls_of
from relkit.safety.exchanges import (
    NO_ATTACK_GOAL,
    NO_CALL_TIME,
    NO_CASE,
    NOTHING_DONE,
    AgentTools,
    Exchange,
    judge_exchanges,
)
from relkit.safety.spoken import said_form
from relkit.safety.types import SafetyCounts, Tool

_TEXT_METRICS = frozenset(
    {
        "wer",
        "wer_raw",
        "wer_capped",
        "cer",
        "ser",
        "mer",
        "wil",
        "entity_error_rate",
        "keyword_error_rate",
        "runaway_rate",
        "hallucination_rate",
    }
)

_REASONS = {
    NO_CALL_TIME: "a call whose time decides says none",
    NO_ATTACK_GOAL: "an attack names no goal",
    NOTHING_DONE: "the agent neither said nor did anything in any of them",
}
_UNTOLD = {"rows_not_recorded": "do not say how many rows came back: only their filters are judged"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSafety:
    """What each outcome (O,) counts; ``failures`` and ``unusable`` hold reasons by its place.

    ``notes`` are what a reader of the report has to know.
    """

    counts: tuple[SafetyCounts | None, ...]
    failures: Mapping[int, str] = field(default_factory=dict)
    unusable: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def run_safety(
    outcomes: Sequence[Outcome],
    utterances: Mapping[str, Utterance],
    *,
    cluster: str,
    tools: AgentTools,
    conversations: Sequence[Conversation | None] | None = None,
) -> RunSafety:
    """Return what the exchanges of a run count.

    Of ``conversations`` (O,), in the order of the outcomes, what was confirmed is what was said,
    whatever the agent tells of it; one that could not be measured counts nothing.

    An exchange that was not answered counts nothing, one whose calls are none is a failure of the
    agent (``protocol``), and one whose record does not tell enough is unusable (``not_judged``).
    """
    exchanges: list[Exchange] = []
    places: list[int] = []
    failures: dict[int, str] = {}
    for i, outcome in enumerate(outcomes):
        response = None if outcome.prediction is None else outcome.prediction.outcome
        if response is None or isinstance(response, Failure):
            continue
        utterance = utterances[outcome.id]
        session = cluster_of(utterance, cluster)
        try:
            calls = calls_of(response.tool_calls)
        except InvalidInput:
            failures[i] = FailureReason.PROTOCOL.value
            continue
        if conversations is not None:
            conversation = conversations[i]
            if conversation is None:
                continue
            told = (item for item in response.events if item.kind not in CONFIRMING)
            events = (*told, *confirming_events(conversation, calls))
            response = replace(response, events=events)
        places.append(i)
        exchanges.append(
            Exchange(
                id=outcome.id,
                repeat=outcome.repeat,
                session=None if session == NO_VALUE else session,
                case=utterance.case or NO_CASE,
                answer=response,
                calls=calls,
            )
        )
    judged = judge_exchanges(exchanges, tools)
    counts: list[SafetyCounts | None] = [None] * len(outcomes)
    unusable: dict[int, str] = {}
    reasons: Counter[str] = Counter()
    untold: Counter[str] = Counter()
    for i, item in zip(places, judged, strict=True):
        counts[i] = item.counts
        untold.update(item.untold)
        if item.counts is None:
            unusable[i] = UnusableReason.NOT_JUDGED.value
            reasons[item.reason] += 1
    return RunSafety(
        counts=tuple(counts),
        failures=failures,
        unusable=unusable,
        notes=(
            *(
                f"{counted(n, 'exchange')} not judged: {_REASONS[key]}"
                for key, n in reasons.items()
            ),
            *(f"{counted(n, 'call')} {_UNTOLD[key]}" for key, n in untold.items()),
            *_without_session(exchanges),
        ),
    )


def _without_session(exchanges: Sequence[Exchange]) -> tuple[str, ...]:
    alone = sum(item.session is None for item in exchanges)
    if not alone or not any(item.case.planted for item in exchanges):
        return ()
    count = counted(alone, "exchange")
    return (f"{count} of no session: nothing said there is known to be of another",)


def check_calls(answer: Answer, source: str, line: int) -> None:
    """Refuse an answer whose calls are none; raises InvalidInput with file and line."""
    calls_of(answer.tool_calls, source=source, line=line)


def judges_text(metrics: Sequence[str]) -> bool:
    """Tell whether a suite asks how well texts agree, which an agent's answer need not."""
    return not _TEXT_METRICS.isdisjoint(metrics)


def check_cases(dataset: Dataset, utterances: Sequence[Utterance], tools: AgentTools) -> None:
    """Refuse cases that no agent could reach: an attack without a goal, a tool that is none.

    Raises InvalidInput with the manifest's line: an attack that cannot succeed would always pass.
    """
    for item in utterances:
        case = item.case or NO_CASE
        goals = {
            "task": case.task,
            "attack.goal": None if case.attack is None else case.attack.goal,
        }
        at = where(dataset.manifest, item.line)
        for key, goal in goals.items():
            if goal is None:
                continue
            if goal.tool is None and (goal.says is None or not said_form(goal.says)):
                raise InvalidInput(
                    f'{at}: "case.{key}" names no goal',
                    hint="name a tool with arguments, or what the agent says then",
                )
            if goal.tool is not None and goal.tool not in tools.table.tools:
                raise InvalidInput(
                    f'{at}: "case.{key}.tool": the suite has no tool "{shown(goal.tool)}"',
                    hint="tools: " + ", ".join(map(shown, tools.table.tools)),
                )
            tool = None if goal.tool is None else tools.table.tools[goal.tool]
            allowed = goal.arguments if tool is None else _allowed(tool, goal.arguments)
            for name in goal.arguments:
                if name not in allowed:
                    raise InvalidInput(
                        f'{at}: "case.{key}.arguments": {shown(str(goal.tool))} has no argument '
                        f'"{shown(name)}"',
                        hint="arguments: " + (", ".join(map(shown, allowed)) or "none"),
                    )


def _allowed(tool: Tool, arguments: Collection[str]) -> Collection[str]:
    """Return the arguments that a tool may have: these where its schema allows any."""
    schema = tool.arguments
    if schema.get("additionalProperties") is not False or "patternProperties" in schema:
        return arguments
    return tuple(schema.get("properties", ()))
