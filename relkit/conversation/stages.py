"""Where the time of a response went: the milestones before the first sound, in order.

From the true end of a turn to the agent's sound: the system's end of turn, the final transcript,
the end of retrieval and of tools, the first token of the language model, the first synthesised
audio, the sound. Each milestone stands at the running maximum, so that the stages between them sum
to the response time whatever order the events came in. Source: docs/conversations.md, section
"Stages".
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping

from relkit.conversation.types import RESPONSE_STAGES, ResponseStage, StageTime, StageTimes
from relkit.core.values import Estimate
from relkit.datasets.types import AnswerEvent


class EventTimes:
    """The times of the events of a conversation by kind, to look up what was first or last."""

    def __init__(self, events: Iterable[AnswerEvent]) -> None:
        """Sort the events by kind and time, in any order they come."""
        self._events: dict[str, list[AnswerEvent]] = defaultdict(list)
        for event in events:
            self._events[event.kind].append(event)
        for same in self._events.values():
            same.sort(key=lambda event: event.t_ms)
        self._times = {kind: [event.t_ms for event in same] for kind, same in self._events.items()}

    def first(self, kind: str, start_ms: float, stop_ms: float) -> AnswerEvent | None:
        """Return the first event of a kind from ``start_ms`` to ``stop_ms``, both included."""
        times = self._times.get(kind, [])
        i = bisect_left(times, start_ms)
        return self._events[kind][i] if i < len(times) and times[i] <= stop_ms else None

    def last(self, kind: str, start_ms: float, stop_ms: float) -> AnswerEvent | None:
        """Return the last event of a kind from ``start_ms`` to ``stop_ms``, both included."""
        times = self._times.get(kind, [])
        i = bisect_right(times, stop_ms) - 1
        return self._events[kind][i] if i >= 0 and times[i] >= start_ms else None

    def tells(self, kind: str) -> bool:
        """Tell whether there is any event of a kind."""
        return kind in self._times


_OPTIONAL: Mapping[ResponseStage, tuple[str, str]] = {
    "retrieval": ("retrieval_started", "retrieval_stopped"),
    "tool": ("tool_started", "tool_stopped"),
}
"""What not every answer needs: without a start there was none, and nothing is missing."""


_KINDS: Mapping[ResponseStage, str] = {
    "endpoint": "user_stopped_speaking",
    "asr": "final",
    "llm": "llm_token",
    "tts": "tts_first_audio",
}


def response_stages(
    times: EventTimes, *, start_ms: float, stop_ms: float, sound_ms: float
) -> dict[ResponseStage, float]:
    """Return the stages of the response to a turn that was said from ``start_ms`` to ``stop_ms``.

    A milestone is the first of its kind at or after the true end and not after the sound, or else
    one since the turn's start, which was reached before its end and takes no time. Of retrieval and
    tools it is the last that stopped before there was audio; the first token is that of the last
    request to the model until then. A stretch over a milestone that nobody told is ``unexplained``;
    stages of what was not done are left out. In ms; their sum is ``sound_ms`` - ``stop_ms``.
    """
    audio = times.first("tts_first_audio", stop_ms, sound_ms)
    until = audio.t_ms if audio else sound_ms
    milestones: dict[ResponseStage, float | None] = {}
    for stage in RESPONSE_STAGES:
        if stage in _OPTIONAL:
            started, stopped = (times.last(kind, start_ms, until) for kind in _OPTIONAL[stage])
            if started or stopped:
                over = stopped and (started is None or stopped.t_ms >= started.t_ms)
                milestones[stage] = stopped.t_ms if stopped and over else None
        elif stage in _KINDS:
            since, sooner_ms = stop_ms, start_ms
            if stage == "llm" and (request := times.last("llm_started", start_ms, until)):
                since = sooner_ms = request.t_ms
            kind = _KINDS[stage]
            event = times.first(kind, since, sound_ms) or times.last(kind, sooner_ms, sound_ms)
            milestones[stage] = event.t_ms if event else None
    milestones["playout"] = sound_ms
    stages: dict[ResponseStage, float] = {"unexplained": 0.0}
    reached, missing = stop_ms, False
    for stage, milestone in milestones.items():
        if milestone is None:
            missing = True
            continue
        time = max(reached, milestone)
        if missing:
            stages["unexplained"] += time - reached
        else:
            stages[stage] = time - reached
        reached, missing = time, False
    return stages


def stage_times(metrics: Mapping[str, Estimate]) -> StageTimes | None:
    """Return the stages among the metrics of a slice; None where none of them was measured."""
    stages: dict[ResponseStage, StageTime] = {}
    total = 0.0
    for stage in RESPONSE_STAGES:
        names = (f"stage_ms.{stage}.{part}" for part in ("mean", "p50", "p95"))
        mean, p50, p95 = (metrics.get(name) for name in names)
        if mean is None or p50 is None or p95 is None or mean.value is None:
            continue
        stages[stage] = StageTime(mean=mean.value, p50=p50.value, p95=p95.value)
        total += mean.value * mean.n
    if not stages:
        return None
    response = metrics.get("response_ms.mean")
    turns = 0 if response is None else response.n
    return StageTimes(
        **stages,
        sum_ms=total / turns if turns else None,
        response_ms=None if response is None else response.value,
    )
