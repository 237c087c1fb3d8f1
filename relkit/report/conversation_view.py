"""Conversations as a page shows them: who spoke when, where the time went, which turns were worst.

Markup is the template's. Without ``with_text`` nothing that was said is in any of these values.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from relkit.conversation.types import (
    RESPONSE_STAGES,
    Conversation,
    MeasuredConversation,
    MeasuredTurn,
    ResponseStage,
    SoundSpan,
)
from relkit.core.charts import Scale, nice_scale, quantile
from relkit.core.wording import counted, number
from relkit.datasets.types import AnswerEvent
from relkit.evaluation.types import EvalReport, SliceResult

MOST_TIMELINES = 12
"""Conversations that are drawn: those with the worst turns."""

MOST_TURNS = 15
_MOST_TICKS = 400

_LANES = {
    "user_started_speaking": "turn taken",
    "user_stopped_speaking": "end of turn",
    "final": "final transcript",
    "llm_started": "language model",
    "tool_started": "tool",
    "tts_started": "synthesis",
    "interrupted": "interrupted",
    "agent_cut": "sound thrown away",
}
"""Events that a timeline names; of the others it draws where they were."""

_ENDINGS = {
    "answered": "answered",
    "early": "agent spoke into it",
    "unanswered": "not answered",
    "censored": "no time left to answer",
}
_REACTIONS = {
    "yielded": "agent stopped",
    "kept_on": "agent went on",
    "ended": "agent ended by itself",
    "contradiction": "agent went on, though it said interrupted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineBlock:
    """A stretch of a lane, in percent of the conversation's length."""

    x: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLine:
    """What became of an entry of a script, in words; ``bad`` says that it counts against the agent.

    ``stages`` are blocks of its response in percent of the longest response of the page.
    """

    conversation: str
    repeat: int
    turn: str
    label: str
    text: str
    at: str
    ending: str
    response: str
    end_of_turn: str
    stop: str
    bad: bool
    badness: tuple[int, float]
    stages: tuple[TimelineBlock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One conversation: both channels, events, and its turns; places in percent."""

    id: str
    repeat: int
    length: str
    unusable: str | None
    user: tuple[TimelineBlock, ...]
    agent: tuple[TimelineBlock, ...]
    events: tuple[TimelineBlock, ...]
    ticks: tuple[tuple[float, str], ...]
    turns: tuple[TurnLine, ...]
    not_drawn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBar:
    """A stage over all responses: its mean from where the stage before ended, in percent."""

    stage: str
    left: float
    width: float
    mean: str
    p50: str
    p95: str
    budget: str
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePoint:
    """A slice's delay of the end of turn against its false ends, with places in percent."""

    slice: str
    delay: str
    delay_span: str
    false_ends: str
    false_span: str
    x: float
    y: float


class ConversationsView:
    """What a page says of conversations besides the metrics that every report has."""

    def __init__(
        self,
        report: EvalReport,
        conversations: Sequence[MeasuredConversation],
        *,
        budget: Mapping[str, float] | None,
        with_text: bool,
    ) -> None:
        """Show the conversations of a report; ``budget`` maps a metric in ms to its limit."""
        self.report = report
        self._conversations = conversations
        self._budget = budget or {}
        self._with_text = with_text
        counted_ones = [item for item in conversations if item.unusable is None]
        self._turns = [turn for item in counted_ones for turn in item.turns]
        self._longest = max((turn.response_ms or 0.0 for turn in self._turns), default=0.0) or 1.0

    def endings(self) -> tuple[tuple[str, int], ...]:
        """Return how turns ended, in words and how often, the most frequent first."""
        endings = Counter(_ENDINGS[turn.ending] for turn in self._turns if turn.ending is not None)
        return tuple(endings.most_common())

    def reactions(self) -> tuple[tuple[str, int], ...]:
        """Return what the agent's speech did when somebody spoke into it."""
        reactions = Counter(
            _REACTIONS[turn.reaction] for turn in self._turns if turn.reaction is not None
        )
        return tuple(reactions.most_common())

    def stages(self) -> tuple[StageBar, ...]:
        """Return where the time of a response went on average: the bars end at its mean.

        Means add up; percentiles do not, and stand beside each stage for itself alone.
        """
        responses = [turn.stages for turn in self._turns if turn.stages]
        if not responses:
            return ()
        means = {
            stage: fmean(stages.get(stage, 0.0) for stages in responses)
            for stage in RESPONSE_STAGES
        }
        total = sum(means.values()) or 1.0
        bars, left = [], 0.0
        for stage in RESPONSE_STAGES:
            times = sorted(stages[stage] for stages in responses if stage in stages)
            if not times:
                continue
            limit = self._budget.get(f"stage_ms.{stage}")
            p95 = quantile(times, 0.95)
            bars.append(
                StageBar(
                    stage=stage,
                    left=round(100.0 * left / total, 2),
                    width=round(100.0 * means[stage] / total, 2),
                    mean=number(means[stage], "ms"),
                    p50=number(quantile(times, 0.5), "ms"),
                    p95=number(p95, "ms"),
                    budget="" if limit is None else number(limit, "ms"),
                    over=limit is not None and p95 > limit,
                )
            )
            left += means[stage]
        return tuple(bars)

    def responses(self) -> str:
        """Return in words how many responses the stages are of, and their mean."""
        times = [turn.response_ms for turn in self._turns if turn.stages and turn.response_ms]
        return f"{counted(len(times), 'response')}, on average {number(fmean(times), 'ms')}"

    def trade(self) -> tuple[TradePoint, ...]:
        """Return each slice's delay of the end of turn against its false ends of turn."""
        measured = [item for item in self.report.slices if _has_trade(item)]
        if not measured:
            return ()
        delays = [item.metrics[_DELAY].value or 0.0 for item in measured]
        rates = [item.metrics[_FALSE].value or 0.0 for item in measured]
        across, up = nice_scale(0.0, max(delays)), nice_scale(0.0, max(*rates, 0.01))
        return tuple(
            TradePoint(
                slice=item.slice,
                delay=number(delay, "ms"),
                delay_span=_span(item, _DELAY),
                false_ends=number(rate, "fraction"),
                false_span=_span(item, _FALSE),
                x=across.at(delay),
                y=round(100.0 - up.at(rate), 2),
            )
            for item, delay, rate in zip(measured, delays, rates, strict=True)
        )

    def worst(self) -> tuple[TurnLine, ...]:
        """Return the turns that count most against the agent, the worst first."""
        lines = (line for item in self._usable() for line in self._lines(item))
        ranked = sorted(lines, key=lambda line: line.badness, reverse=True)
        return tuple(line for line in ranked[:MOST_TURNS] if line.badness > (0, 0.0))

    def timelines(self) -> tuple[Timeline, ...]:
        """Return the conversations with the worst turns, at most :data:`MOST_TIMELINES`."""
        drawn = [(self._lines(item), item) for item in self._conversations]

        def rank(pair: tuple[tuple[TurnLine, ...], MeasuredConversation]) -> object:
            lines, item = pair
            return item.unusable is None, max((line.badness for line in lines), default=(0, 0.0))

        ranked = sorted(drawn, key=rank, reverse=True)  # type: ignore[arg-type]
        return tuple(_timeline(item, lines) for lines, item in ranked[:MOST_TIMELINES])

    def _usable(self) -> Iterator[MeasuredConversation]:
        return (item for item in self._conversations if item.unusable is None)

    def _lines(self, item: MeasuredConversation) -> tuple[TurnLine, ...]:
        return tuple(self._line(item, turn) for turn in item.turns)

    def _line(self, item: MeasuredConversation, turn: MeasuredTurn) -> TurnLine:
        badness = _badness(turn)
        return TurnLine(
            conversation=item.conversation.id,
            repeat=item.repeat,
            turn=turn.speech.turn,
            label=turn.speech.label.replace("_", " "),
            text=turn.speech.text if self._with_text else "",
            at=f"{turn.speech.start_ms / 1000:.1f} s",
            ending=_outcome(turn),
            response=number(turn.response_ms, "ms") if turn.response_ms is not None else "",
            end_of_turn=_end_of_turn(turn),
            stop="" if turn.barge_in_stop_ms is None else number(turn.barge_in_stop_ms, "ms"),
            bad=badness[0] > 0,
            badness=badness,
            stages=tuple(_stages(turn.stages, self._longest)),
        )


_DELAY, _FALSE = "eot_delay_ms.p50", "false_eot_rate"


def _has_trade(item: SliceResult) -> bool:
    return all(
        name in item.metrics and item.metrics[name].value is not None for name in (_DELAY, _FALSE)
    )


def _span(item: SliceResult, name: str) -> str:
    estimate = item.metrics[name]
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{number(estimate.low, estimate.unit)} to {number(estimate.high, estimate.unit)}"


def _badness(turn: MeasuredTurn) -> tuple[int, float]:
    """Return how much a turn counts against the agent: its gravest fault first, then its time."""
    faults = (
        turn.ending == "unanswered",
        turn.reaction == "contradiction",
        turn.speech.label == "turn" and turn.reaction == "kept_on",
        turn.speech.label != "turn" and turn.reaction == "yielded",
        turn.speech.label != "turn" and bool(turn.replied),
        turn.ending == "early",
        bool(turn.false_end),
        bool(turn.missed_end),
    )
    gravity = sum(1 << i for i, fault in enumerate(reversed(faults)) if fault)
    return gravity, turn.response_ms or 0.0


def _outcome(turn: MeasuredTurn) -> str:
    words = [] if turn.ending is None else [_ENDINGS[turn.ending]]
    if turn.reaction is not None:
        words.append(_REACTIONS[turn.reaction])
    elif turn.replied is not None:
        words.append("answered, though it is no turn" if turn.replied else "ignored")
    return ", ".join(words)


def _end_of_turn(turn: MeasuredTurn) -> str:
    words = [] if turn.eot_delay_ms is None else [number(turn.eot_delay_ms, "ms")]
    words += ["too early"] if turn.false_end else []
    words += ["not seen"] if turn.missed_end else []
    words += ["by time-out"] if turn.forced_end else []
    return ", ".join(words)


def _stages(stages: Mapping[ResponseStage, float], longest: float) -> Iterator[TimelineBlock]:
    left = 0.0
    for stage in RESPONSE_STAGES:
        if stages.get(stage, 0.0) > 0.0:
            title = f"{stage} {number(stages[stage], 'ms')}"
            yield _block(left, left + stages[stage], longest, f"stage-{stage}", title)
            left += stages[stage]


def _timeline(item: MeasuredConversation, lines: tuple[TurnLine, ...]) -> Timeline:
    conversation = item.conversation
    scale = nice_scale(0.0, max(conversation.duration_ms, 1.0) / 1000.0, ticks=8)
    length = 1000.0 * scale.high
    ticks = [event for event in conversation.events if not event.kind.startswith("agent_speech")]
    return Timeline(
        id=conversation.id,
        repeat=item.repeat,
        length=f"{conversation.duration_ms / 1000:.1f} s",
        unusable=item.unusable,
        user=tuple(
            _block(
                turn.speech.start_ms,
                turn.speech.stop_ms,
                length,
                turn.speech.label,
                _title(f"{turn.speech.turn}: {line.label}", line.text, turn.speech),
            )
            for turn, line in zip(item.turns, lines, strict=True)
        ),
        agent=tuple(
            _block(span.start_ms, span.stop_ms, length, "agent", _title("agent", "", span))
            for span in conversation.agent
        ),
        events=tuple(_events(ticks[:_MOST_TICKS], conversation, length)),
        ticks=_axis(scale),
        turns=lines,
        not_drawn=max(0, len(ticks) - _MOST_TICKS),
    )


def _events(
    events: Iterable[AnswerEvent], conversation: Conversation, length: float
) -> Iterator[TimelineBlock]:
    for event in events:
        if event.kind.startswith("user_speech") or event.t_ms > conversation.duration_ms:
            continue
        words = _LANES.get(event.kind, event.kind.replace("_", " "))
        kind = "named" if event.kind in _LANES else "other"
        yield _block(event.t_ms, event.t_ms, length, kind, f"{words} at {event.t_ms / 1000:.2f} s")


def _axis(scale: Scale) -> tuple[tuple[float, str], ...]:
    return tuple((scale.at(value), f"{value:g} s") for value in scale.ticks)


def _title(name: str, text: str, span: SoundSpan) -> str:
    at = f"{span.start_ms / 1000:.2f} to {span.stop_ms / 1000:.2f} s"
    return f"{name}, {at}" + (f": {text}" if text else "")


def _block(start: float, stop: float, length: float, kind: str, title: str) -> TimelineBlock:
    left, right = (min(100.0, max(0.0, 100.0 * at / length)) for at in (start, stop))
    return TimelineBlock(x=round(left, 3), width=round(right - left, 3), kind=kind, title=title)
