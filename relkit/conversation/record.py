"""A recorded answer as the conversation that is measured: truth apart from belief.

Rules for records that are not as they should be (docs/conversations.md, section "Records"):

- Events come in any order and are sorted; those at the same time stay in theirs.
- An entry that was started or stopped twice lasts from its first start to its last stop. One that
  was started and not stopped was cut by the end of the conversation. One that was stopped and not
  started, or stopped before it started, is refused.
- Of the agent's sound a start while it sounds, and a stop in silence, say nothing new; sound
  without a stop lasts until the end. Stretches less than ``bridge_ms`` apart are one.
- A conversation without an end is refused, and so is truth that lies beyond it; belief may come
  late. Times that are negative or no number are refused.
"""

import math
from collections.abc import Iterable, Sequence

from relkit.conversation.segments import joined_spans
from relkit.conversation.types import (
    DEFAULT_WINDOWS,
    Conversation,
    SoundSpan,
    TimingSource,
    UserSpeech,
)
from relkit.datasets.types import Answer, AnswerEvent, ScriptEntry

USER_TRUTH = ("user_speech_start", "user_speech_stop")
AGENT_TRUTH = ("agent_speech_start", "agent_speech_stop")

ROUNDING_MS = 100.0
"""How much later than the end of a recording its last truth may lie: a frame, and rounding."""


def conversation_of(
    answer: Answer,
    *,
    id: str,  # noqa: A002 - the name of the field
    script: Sequence[ScriptEntry] = (),
    agent: Sequence[SoundSpan] | None = None,
    source: TimingSource = "events",
    bridge_ms: float = DEFAULT_WINDOWS.bridge_ms,
) -> Conversation:
    """Return a recorded conversation, by the rules of this module.

    The user's truth is that of the events ``user_speech_start`` and ``user_speech_stop``, which
    name their entry of the ``script``; label and text are the script's. The agent's is ``agent``,
    spans of the recording, or where that is None the events ``agent_speech_start`` and
    ``agent_speech_stop``. A conversation whose events hold no truth of the user has no ``user``.
    Raises ValueError, with words for people, for what is refused.
    """
    for event in answer.events:
        if not event.t_ms >= 0 or math.isinf(event.t_ms):
            raise ValueError(f'the time of an event "{event.kind}" is negative or no number')
    if answer.duration_ms is None or not 0 <= answer.duration_ms < math.inf:
        raise ValueError('the conversation has no end: "duration_ms" is missing')
    events = sorted(answer.events, key=lambda event: event.t_ms)
    truth = [event for event in events if event.kind in {*USER_TRUTH, *AGENT_TRUTH}]
    end_ms = _end(
        answer.duration_ms,
        [event.t_ms for event in truth if agent is None or event.kind in USER_TRUTH],
        agent or (),
    )
    if agent is None:
        agent = _sounds([event for event in truth if event.kind in AGENT_TRUTH], end_ms)
    return Conversation(
        id=id,
        duration_ms=end_ms,
        user=_speeches([event for event in truth if event.kind in USER_TRUTH], script, end_ms),
        agent=joined_spans(agent, bridge_ms=bridge_ms),
        events=tuple(event for event in events if event.kind not in {*USER_TRUTH, *AGENT_TRUTH}),
        source=source,
        pacing_p99_ms=answer.usage.get("pacing_p99_ms"),
    )


def conversation_of_spans(
    *,
    id: str,  # noqa: A002 - the name of the field
    duration_ms: float,
    user: Sequence[SoundSpan],
    agent: Sequence[SoundSpan],
    source: TimingSource = "vad",
) -> Conversation:
    """Return a conversation of which nobody but the recording tells: every stretch is a turn.

    The turns are called ``u1``, ``u2`` and so on. Raises ValueError as :func:`conversation_of`.
    """
    for span in (*user, *agent):
        if not 0 <= span.start_ms <= span.stop_ms:
            raise ValueError("a stretch of speech stops before it starts, or has no time")
    end_ms = _end(duration_ms, (), (*user, *agent))
    return Conversation(
        id=id,
        duration_ms=end_ms,
        user=tuple(
            UserSpeech(start_ms=span.start_ms, stop_ms=span.stop_ms, turn=f"u{i + 1}")
            for i, span in enumerate(joined_spans(user, bridge_ms=0.0))
        ),
        agent=joined_spans(agent, bridge_ms=0.0),
        source=source,
    )


def _end(duration_ms: float, times: Iterable[float], spans: Iterable[SoundSpan]) -> float:
    """Return when a conversation ends, which no truth may be later than."""
    last = max((*times, *(span.stop_ms for span in spans)), default=0.0)
    if last > duration_ms + ROUNDING_MS:
        raise ValueError(
            f"the conversation ends at {duration_ms:,.0f} ms, and somebody spoke at {last:,.0f} ms"
        )
    return max(duration_ms, last)


def _sounds(events: Sequence[AnswerEvent], end_ms: float) -> list[SoundSpan]:
    spans: list[SoundSpan] = []
    start_ms: float | None = None
    for event in events:
        if event.kind == "agent_speech_start":
            start_ms = event.t_ms if start_ms is None else start_ms
        elif start_ms is not None:
            spans.append(SoundSpan(start_ms=start_ms, stop_ms=event.t_ms))
            start_ms = None
    if start_ms is not None:
        spans.append(SoundSpan(start_ms=start_ms, stop_ms=end_ms))
    return spans


def _speeches(
    events: Sequence[AnswerEvent], script: Sequence[ScriptEntry], end_ms: float
) -> tuple[UserSpeech, ...]:
    entries = {entry.turn: entry for entry in script}
    starts: dict[str, AnswerEvent] = {}
    stops: dict[str, float] = {}
    for event in events:
        if event.turn is None:
            raise ValueError(f'an event "{event.kind}" does not name its turn')
        if script and event.turn not in entries:
            raise ValueError(f'the script has no entry "{event.turn}", which an event names')
        if event.kind == "user_speech_start":
            starts.setdefault(event.turn, event)
        else:
            stops[event.turn] = event.t_ms
    for turn in stops:
        if turn not in starts:
            raise ValueError(f'the turn "{turn}" has a stop and no start')
    speeches = []
    for turn, event in starts.items():
        stop_ms = stops.get(turn, end_ms)
        if stop_ms < event.t_ms:
            raise ValueError(f'the turn "{turn}" stops before it starts')
        entry = entries.get(turn)
        speeches.append(
            UserSpeech(
                start_ms=event.t_ms,
                stop_ms=stop_ms,
                turn=turn,
                label=entry.label if entry else event.label or "turn",
                text=entry.text if entry else event.text or "",
            )
        )
    return tuple(speeches)
