"""What a run of conversations counts: a row for each conversation, and one per script entry.

Rows are fixed by the dataset, so that those of two runs pair one to one. A conversation of which
nobody knows when the user spoke, or that was sent too late, is unusable with all its rows; where
the agent failed, every turn it did not answer is unanswered (docs/conversations.md).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relkit.conversation.record import conversation_of
from relkit.conversation.tasks import pass_counts, task_counts
from relkit.conversation.turns import (
    conversation_times,
    measure_turns,
    turn_counts,
    turn_times,
)
from relkit.conversation.types import (
    Conversation,
    ConversationCounts,
    ConversationSummary,
    MeasuredConversation,
    SoundSpan,
)
from relkit.core.errors import InvalidInput
from relkit.core.metrics import STAGE_METRICS, TURN_METRICS
from relkit.core.wording import counted, number
from relkit.core.yaml_text import shown, where
from relkit.datasets.types import (
    Answer,
    Failure,
    FailureReason,
    Unusable,
    UnusableReason,
    Utterance,
)
from relkit.evaluation.types import Outcome, Result, RowUnit, Suite
from relkit.safety.calls import calls_of
from relkit.scoring.types import ScoredText, Texts

_OTHERWISE_MEASURED = frozenset(
    {"over_budget_rate", "pass_all_k", "pass_any_k", "tool_call_validity"}
    | {"unconfirmed_sensitive_rate", "speculation_waste"}
)
DEFAULT_TURN_METRICS = tuple(name for name in TURN_METRICS if name not in _OTHERWISE_MEASURED)
"""What a suite of the task turn measures where it names no metrics: no budget, repeats or tools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConversations:
    """The conversations of a run (O,), each None where it could not be measured.

    ``outcomes`` are those of the run, but that a record which contradicts its script has failed,
    and one without truth, or sent too late, is unusable.
    """

    outcomes: tuple[Outcome, ...]
    conversations: tuple[Conversation | None, ...]
    notes: tuple[str, ...] = ()


def check_conversation(answer: Answer, source: str, line: int) -> None:
    """Refuse a record that contradicts itself; raises InvalidInput with file and line."""
    try:
        conversation_of(answer, id="")
    except ValueError as error:
        raise InvalidInput(
            f"{where(source, line)}: {error}",
            hint="times are ms from the first audio sample sent (docs/conversations.md)",
        ) from None
    calls_of(answer.tool_calls, source=source, line=line)


def check_scripts(
    utterances: Iterable[Utterance], lookup: Callable[[str], Answer | Failure]
) -> None:
    """Refuse records of other scripts, before a run begins; raises InvalidInput with the id."""
    for item in utterances:
        answer = lookup(item.id)
        if isinstance(answer, Failure):
            continue
        try:
            conversation_of(answer, id=item.id, script=item.script)
        except ValueError as error:
            raise InvalidInput(
                f'the record of the conversation "{shown(item.id)}": {error}',
                hint="record the conversations of this dataset",
            ) from None


FAILED = "failed"
"""The kind of the event by which a harness says that an agent did not see a conversation through;
its ``data.reason`` is that of a failure."""

AgentSound = Callable[[Answer], Sequence[SoundSpan] | None]
"""Returns where the agent's channel of a recording has sound; None where there is no recording."""


def run_conversations(
    outcomes: Sequence[Outcome],
    utterances: Mapping[str, Utterance],
    suite: Suite,
    sound: AgentSound | None = None,
) -> RunConversations:
    """Return the conversations of a run.

    They are measured on their events, or, for another ``source``, on the ``sound`` of recordings:
    one without a recording has no truth.
    """
    judged = list(outcomes)
    conversations: list[Conversation | None] = [None] * len(outcomes)
    seen: Counter[UnusableReason] = Counter()
    for i, outcome in enumerate(outcomes):
        prediction = outcome.prediction
        if prediction is None or not isinstance(answer := prediction.outcome, Answer):
            continue
        spans = None if sound is None or suite.source == "events" else sound(answer)
        try:
            calls_of(answer.tool_calls)
            conversation = conversation_of(
                answer,
                id=outcome.id,
                script=utterances[outcome.id].script,
                agent=spans,
                source=suite.source,
                bridge_ms=suite.windows.bridge_ms,
            )
        except (ValueError, InvalidInput) as error:
            failure = Failure(reason=FailureReason.PROTOCOL, detail=str(error))
            judged[i] = replace(outcome, prediction=replace(prediction, outcome=failure))
            continue
        late = conversation.pacing_p99_ms
        reason = None
        if late is not None and late > suite.windows.pacing_ms:
            reason = UnusableReason.NOT_PACED
        elif (suite.source != "events" and spans is None) or (
            not conversation.user and broken_off(answer) is None
        ):
            reason = UnusableReason.NO_TRUTH
        if reason is None:
            conversations[i] = conversation
            continue
        seen[reason] += 1
        judged[i] = replace(outcome, prediction=None, unusable=Unusable(reason=reason))
    return RunConversations(
        outcomes=tuple(judged),
        conversations=tuple(conversations),
        notes=tuple(_spoilt(seen, suite)),
    )


def _spoilt(seen: Counter[UnusableReason], suite: Suite) -> Iterator[str]:
    if late := seen[UnusableReason.NOT_PACED]:
        limit = number(suite.windows.pacing_ms, "ms")
        yield f"{counted(late, 'conversation')} sent more than {limit} late: unusable"
    if unknown := seen[UnusableReason.NO_TRUTH]:
        talks = counted(unknown, "conversation")
        lacking = "" if suite.source == "events" else ", or without a recording"
        yield f"{talks} without events that tell when the user spoke{lacking}: unusable"


def broken_off(answer: Answer) -> str | None:
    """Return why an agent did not see a conversation through, None where it did."""
    reasons = {reason.value for reason in FailureReason}
    for event in reversed(answer.events):
        if event.kind == FAILED:
            reason = (event.data or {}).get("reason")
            return str(reason) if reason in reasons else FailureReason.PROTOCOL.value
    return None


def conversation_rows(
    results: Sequence[Result],
    talks: RunConversations,
    utterances: Mapping[str, Utterance],
    *,
    suite: Suite,
    wordless: ScoredText,
    held_again: int = 0,
) -> tuple[list[Result], ConversationSummary, tuple[str, ...]]:
    """Return all rows of a run, what its report says of conversations, and notes.

    ``results`` are those of the outcomes of ``talks``, in their order; ``wordless`` is the score of
    a row that no words are held against, ``held_again`` how many had to be held twice. A turn that
    was not said because the agent failed is unanswered; one that was not said without that is
    unusable (``no_truth``).
    """
    tells_ends = _tells_ends(talks)
    rows: list[Result] = []
    for result, outcome, conversation in zip(
        results, talks.outcomes, talks.conversations, strict=True
    ):
        utterance = utterances[result.id]
        response = None if outcome.prediction is None else outcome.prediction.outcome
        if isinstance(response, Answer) and (reason := broken_off(response)) is not None:
            result = replace(result, failure=reason)  # noqa: PLW2901 - what was measured stays
        rows.append(_whole(result, outcome, conversation, utterance, wordless))
        measured = (
            ()
            if conversation is None
            else measure_turns(
                conversation,
                suite.windows,
                failed=result.failure is not None,
                tells_ends=tells_ends,
            )
        )
        by_turn = {turn.speech.turn: turn for turn in measured}
        for entry in utterance.script:
            is_turn = entry.label == "turn"
            unit: RowUnit = "turn" if is_turn else "interruption"
            row = replace(
                result,
                id=f"{result.id}#{entry.turn}",
                unit=unit,
                safety=None,  # the calls are the conversation's
                duration=None,
                latency_ms=None,
                first_byte_ms=None,
                score=None if outcome.unusable else wordless,
                texts=Texts(
                    reference=entry.text,
                    hypothesis=None,
                    reference_normalized=entry.text,
                    hypothesis_normalized=None,
                ),
            )
            if (turn := by_turn.get(entry.turn)) is not None:
                budget_ms = (suite.budget or {}).get("response_ms")
                counts = turn_counts(turn, budget_ms=budget_ms)
                row = replace(row, conversation=counts, times=turn_times(turn))
            elif result.failure is not None:
                # An entry that is no turn, and was never heard, asks nothing of the agent.
                unanswered = ConversationCounts(turns=1, unanswered=1)
                row = replace(row, conversation=unanswered if is_turn else ConversationCounts())
            elif row.score is not None:
                row = replace(row, score=None, unusable=UnusableReason.NO_TRUTH.value)
            rows.append(row)
    rows = _with_repeats(rows, suite)
    summary = _summary(rows, talks, suite, held_again)
    return rows, summary, (*talks.notes, *_notes(rows, summary), *_over_total(suite))


def _tells_ends(talks: RunConversations) -> bool | None:
    """Tell whether the system says anywhere in a run when a turn is over; None where it does not.

    A system that never does has no ends of turn to be seen or missed.
    """
    return (
        any(
            event.kind == "user_stopped_speaking"
            for conversation in talks.conversations
            if conversation is not None
            for event in conversation.events
        )
        or None
    )


def measured_conversations(
    outcomes: Sequence[Outcome],
    utterances: Mapping[str, Utterance],
    suite: Suite,
    sound: AgentSound | None = None,
) -> tuple[MeasuredConversation, ...]:
    """Return the conversations of a run that could be measured, with what became of each turn."""
    talks = run_conversations(outcomes, utterances, suite, sound)
    tells_ends = _tells_ends(talks)
    return tuple(
        MeasuredConversation(
            conversation=conversation,
            repeat=outcome.repeat,
            turns=measure_turns(
                conversation, suite.windows, failed=_has_failed(outcome), tells_ends=tells_ends
            ),
        )
        for outcome, conversation in zip(talks.outcomes, talks.conversations, strict=True)
        if conversation is not None
    )


def _has_failed(outcome: Outcome) -> bool:
    answer = None if outcome.prediction is None else outcome.prediction.outcome
    return isinstance(answer, Answer) and broken_off(answer) is not None


def _whole(
    result: Result,
    outcome: Outcome,
    conversation: Conversation | None,
    utterance: Utterance,
    wordless: ScoredText,
) -> Result:
    """Return the row of a conversation: its task, its tools, its silence."""
    if outcome.unusable is not None:
        return replace(result, unit="conversation", score=None)
    row = replace(result, unit="conversation", score=wordless)
    answer = None if outcome.prediction is None else outcome.prediction.outcome
    if conversation is None or not isinstance(answer, Answer):
        # What a failed agent did not do is no merit: its task is not done.
        counts = task_counts(utterance.expect, (), text=None, state=None)
        counts = replace(counts, tasks_done=0, forbidding=0)
        return replace(row, conversation=counts)
    counts = task_counts(
        utterance.expect, calls_of(answer.tool_calls), text=answer.text, state=answer.state
    )
    if row.failure is not None:
        counts = replace(counts, tasks_done=0)
    return replace(
        row,
        duration=conversation.duration_ms / 1000,
        conversation=counts,
        times=conversation_times(conversation),
    )


def _with_repeats(rows: Sequence[Result], suite: Suite) -> list[Result]:
    """Return rows with what repeats of a conversation tell, on each one that was scored.

    Counts are divided by the repeats: a conversation that is asked three times counts once.
    """
    repeats: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        counts = row.conversation
        if row.unit == "conversation" and counts is not None and counts.tasks:
            repeats.setdefault(row.id, []).append(i)
    filled = list(rows)
    for places in repeats.values():
        done = sum(_counts(rows[i]).tasks_done for i in places)
        passed = pass_counts(len(places), done, suite.k)
        for i in places:
            filled[i] = replace(
                rows[i],
                conversation=replace(
                    _counts(rows[i]),
                    pass_scored=passed.pass_scored,
                    pass_any=passed.pass_any,
                    pass_all=passed.pass_all,
                ),
            )
    return filled


def _counts(row: Result) -> ConversationCounts:
    return row.conversation or ConversationCounts()


def _summary(
    rows: Sequence[Result], talks: RunConversations, suite: Suite, held_again: int
) -> ConversationSummary:
    counts = [_counts(row) for row in rows]
    held = [row for row in rows if row.is_item and row.unusable is None]
    paced = [item.pacing_p99_ms for item in talks.conversations if item is not None]
    late = [value for value in paced if value is not None]
    return ConversationSummary(
        held=len(held),
        unusable=sum(row.is_item for row in rows) - len(held),
        turns=sum(item.turns + item.censored for item in counts),
        censored_turns=sum(item.censored for item in counts),
        contradictions=sum(item.contradictions for item in counts),
        pacing_p99_ms=max(late) if late and len(late) == len(paced) else None,
        source=suite.source,
        held_again=held_again,
    )


def _notes(rows: Sequence[Result], summary: ConversationSummary) -> Iterator[str]:
    if summary.source == "events":
        yield "latencies are those of the events of whoever recorded them (source: events)"
    if summary.held_again:
        talks = counted(summary.held_again, "conversation")
        yield f"{talks} held a second time, alone: the harness was late for the first"
    if summary.held and summary.pacing_p99_ms is None:
        yield "nobody recorded how late the user's audio was sent (pacing)"
    if summary.censored_turns:
        turns = counted(summary.censored_turns, "turn")
        yield f"{turns} had no time left to be answered: in no rate"
    if ended := sum(_counts(row).natural_ends for row in rows):
        yield f"the agent's speech ran out by itself under {ended} of the user's: in no rate"
    if summary.contradictions:
        times = counted(summary.contradictions, "time")
        yield f"{times} the agent went on although the system told that it was interrupted"
    said = sum(not row.is_item and row.unusable is not None for row in rows)
    of_unusable = {(row.id, row.repeat) for row in rows if row.is_item and row.unusable}
    missing = said - sum(
        (row.id.rpartition("#")[0], row.repeat) in of_unusable for row in rows if not row.is_item
    )
    if missing:
        yield f"{counted(missing, 'part')} of scripts without events: not measured"


def _over_total(suite: Suite) -> Iterator[str]:
    """Yield that the stages of a budget together take longer than its response may."""
    budget = suite.budget or {}
    total = budget.get("response_ms")
    stages = sum(value for name, value in budget.items() if name in STAGE_METRICS)
    if total is not None and stages > total:
        yield (
            f"the budget's stages take {number(stages, 'ms')} together, more than its "
            f"{number(total, 'ms')} for a response"
        )
