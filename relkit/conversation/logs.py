"""Conversations as logs tell them: events on one clock, and what was not measured.

A log may hold its lines in any order: times decide. Numbers that stand for "not measured" (0.0, -1,
delays above a minute: livekit/agents 2388, 2606, 3591, 4388) are null, and counted by kind.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from relkit.conversation.types import SoundSpan
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown, where
from relkit.datasets.types import Answer, AnswerEvent, Failure, SpeechLabel
from relkit.telemetry.spans import read_delay

LogLine = tuple[int, Mapping[str, Any]]
"""An object of a log with the number of its line."""

_Event = tuple[float, str, str | None, Mapping[str, Any] | None, str | None, SpeechLabel | None]

PAUSE_MS = 1000.0
"""Stretches of the user less than that apart, with the agent silent between, are one turn."""

_LONGEST_WORD = 200
"""Characters of a text that is kept of a message that nobody computes with: no sound, no page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedConversation:
    """A conversation read out of a log, and what of it is no number.

    ``not_measured`` counts stand-ins and times before the first sample by kind, ``unknown``
    messages by the name that their sender gives them; those are kept as events.
    """

    id: str
    outcome: Answer | Failure
    not_measured: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)


class ConversationLog:
    """Takes in what a log tells of one conversation, in any order of its lines.

    Times are in ms of one clock, whatever its zero; ``zero`` of :meth:`recorded` is the moment of
    the first audio sample.
    """

    def __init__(self, form: str) -> None:
        """Start with nothing; ``form`` goes before the kind of events that nobody computes with."""
        self._form = form
        self._events: list[_Event] = []
        self._calls: list[tuple[float, dict[str, Any]]] = []
        self._words: list[tuple[float, str]] = []
        self.not_measured: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    def __bool__(self) -> bool:
        """Tell whether anything happened."""
        return bool(self._events)

    def event(
        self,
        at_ms: float,
        kind: str,
        *,
        text: str | None = None,
        data: Mapping[str, Any] | None = None,
        turn: str | None = None,
        label: SpeechLabel | None = None,
    ) -> None:
        """Take in an event of a kind that relkit computes with."""
        self._events.append((at_ms, kind, text, data or None, turn, label))

    def speech(self, span: SoundSpan, turn: str, label: SpeechLabel = "turn") -> None:
        """Take in speech of the user that somebody knows of: truth."""
        self.event(span.start_ms, "user_speech_start", turn=turn, label=label)
        self.event(span.stop_ms, "user_speech_stop", turn=turn, label=label)

    def sound(self, span: SoundSpan) -> None:
        """Take in sound of the agent that was played: truth."""
        self.event(span.start_ms, "agent_speech_start")
        self.event(span.stop_ms, "agent_speech_stop")

    def other(self, at_ms: float, name: str, content: object, *, expected: bool = True) -> None:
        """Keep a message that nobody computes with, by its name: its text, and short values.

        One that is not ``expected`` in this form of log is counted.
        """
        text, data = None, {}
        if isinstance(content, Mapping):
            words = content.get("text")
            text = words if isinstance(words, str) else None
            data = {key: value for key, value in content.items() if _is_short(value)}
            data.pop("text", None)
        self.event(at_ms, f"{self._form}.{shown(name)}", text=text, data=data)
        if not expected:
            self.unknown[shown(name)] += 1

    def says(self, at_ms: float, text: str) -> None:
        """Take in words of the agent; all of them, by time, are the text of the answer."""
        self._words.append((at_ms, text))

    def tool(self, at_ms: float, name: object, arguments: object) -> dict[str, Any]:
        """Take in a call of a tool, and return it so that its result can be added."""
        data = {key: value for key, value in (("name", name), ("arguments", arguments)) if value}
        self.event(at_ms, "tool_started", data=data)
        call: dict[str, Any] = {"name": name, "arguments": arguments}
        if isinstance(name, str) and name:
            self._calls.append((at_ms, call))
        else:
            self.not_measured["tool_name"] += 1
        return call

    def delay_ms(self, name: str, seconds: object) -> float | None:
        """Return a delay in ms; null, and counted, where the number stands for "not measured"."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return None
        delay = read_delay(float(seconds))
        if delay is None:
            self.not_measured[name] += 1
            return None
        return delay * 1000.0

    def first_ms(self) -> float:
        """Return the time of the earliest event."""
        return min(event[0] for event in self._events)

    def recorded(
        self, name: str, *, zero: float | None = None, duration_ms: float | None = None
    ) -> RecordedConversation:
        """Return the conversation; without ``zero`` its first event is the first moment.

        What happened before ``zero`` is left out and counted: no time is ever moved.
        """
        start = self.first_ms() if zero is None else zero
        not_measured = Counter(self.not_measured)
        events = []
        for at, kind, text, data, turn, label in sorted(self._events, key=_by_time):
            if at < start:
                not_measured["before_audio"] += 1
            else:
                events.append(
                    AnswerEvent(
                        t_ms=round(at - start, 3),
                        kind=kind,
                        text=text,
                        data=data,
                        turn=turn,
                        label=label,
                    )
                )
        calls = [
            {"t_ms": round(at - start, 3), **call}
            for at, call in sorted(self._calls, key=lambda item: item[0])
            if at >= start
        ]
        last = events[-1].t_ms if events else 0.0
        usage = {f"not_measured.{key}": float(n) for key, n in sorted(not_measured.items())}
        if self.unknown:
            usage["unknown_messages"] = float(self.unknown.total())
        answer = Answer(
            text=" ".join(text.strip() for _, text in sorted(self._words) if text.strip()),
            clock="system",
            events=tuple(events),
            usage=usage,
            tool_calls=tuple(calls),
            duration_ms=last if duration_ms is None else max(last, duration_ms),
        )
        return RecordedConversation(
            id=name,
            outcome=answer,
            not_measured=dict(sorted(not_measured.items())),
            unknown=dict(sorted(self.unknown.items())),
        )


def _by_time(event: _Event) -> tuple[Any, ...]:
    at, kind, text, data, turn, _ = event
    return at, kind, text or "", turn or "", repr(data)


def _is_short(value: object) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= _LONGEST_WORD)
    )


def tool_result(output: object, *, error: str | None = None) -> dict[str, JsonValue]:
    """Return how much a tool gave back: never the rows themselves."""
    text = output if isinstance(output, str) else ""
    result: dict[str, JsonValue] = {"bytes": len(text.encode("utf-8", "replace"))} if text else {}
    if isinstance(output, list):
        result["rows"] = len(output)
    if error is not None:
        result["error"] = error
    return result


def turns_of_user(user: Sequence[SoundSpan], agent: Sequence[SoundSpan]) -> tuple[SoundSpan, ...]:
    """Return the user's speech by turns: a pause of less than ``PAUSE_MS`` ends none.

    Where the agent speaks in the pause, it does. What is said after a pause for thought would else
    make the words before it a turn that nobody answered.
    """
    turns: list[SoundSpan] = []
    for span in sorted(user, key=lambda span: span.start_ms):
        if (
            turns
            and span.start_ms - turns[-1].stop_ms < PAUSE_MS
            and not any(
                sound.start_ms < span.start_ms and sound.stop_ms > turns[-1].stop_ms
                for sound in agent
            )
        ):
            turns[-1] = SoundSpan(start_ms=turns[-1].start_ms, stop_ms=span.stop_ms)
        else:
            turns.append(span)
    return tuple(turns)


TIME_KEYS = ("t_ms", "timestamp", "time", "ts", "created_at", "received_at")
"""Where a line of a log may have its time; the first one there counts."""

_UNIX = ((1e8, 1e11, 1e3), (1e11, 1e14, 1.0), (1e14, 1e17, 1e-3), (1e17, 1e20, 1e-6))
"""Numbers from, to: Unix times of 1973 to 5138 in s, ms, µs and ns, and what makes them ms."""


class LogClock:
    """Reads the times of the lines of one file, which must all be of one clock."""

    def __init__(self, source: str) -> None:
        """Take the name that messages call the file by."""
        self._source = source
        self._clock: tuple[str, str] | None = None
        self._line = 0

    @property
    def key(self) -> str | None:
        """The key that times stand under; ``t_ms`` counts from the first audio sample."""
        return None if self._clock is None else self._clock[0]

    def read(self, line: int, document: Mapping[str, Any]) -> float:
        """Return the time of a line in ms; raises InvalidInput, also for another clock."""
        key = next((key for key in TIME_KEYS if document.get(key) is not None), None)
        if key is None:
            raise InvalidInput(
                f"{where(self._source, line)}: the message has no time",
                hint='give every line "t_ms" (from the first audio sample) or "timestamp" '
                "(ISO 8601 or Unix)",
            )
        written = document[key]
        if key == "t_ms":
            at, form = self._relative(line, written), "ms"
        elif isinstance(written, str):
            at, form = self._iso(line, key, written)
        else:
            at, form = self._unix(line, key, written)
        if self._clock is None:
            self._clock, self._line = (key, form), line
        elif self._clock != (key, form):
            raise InvalidInput(
                f'{where(self._source, line)}: "{key}" ({form}) is another clock than '
                f'"{self._clock[0]}" ({self._clock[1]}) in line {self._line}',
                hint="times of two clocks cannot be put in order: write one clock to the log",
            )
        return at

    def _relative(self, line: int, written: object) -> float:
        if isinstance(written, bool) or not isinstance(written, int | float):
            raise InvalidInput(f'{where(self._source, line)}: "t_ms": a number was expected')
        if not 0 <= written < math.inf:
            raise InvalidInput(
                f'{where(self._source, line)}: "t_ms": {written} is before the first audio sample',
                hint="times count from the first audio sample, and are never negative",
            )
        return float(written)

    def _iso(self, line: int, key: str, written: str) -> tuple[float, str]:
        try:
            at = datetime.fromisoformat(written)
        except ValueError:
            raise InvalidInput(
                f'{where(self._source, line)}: "{key}": {shown(written, 40)} is no ISO time',
                hint="for example 2026-03-01T12:00:00.250Z",
            ) from None
        if at.tzinfo is None:
            return at.replace(tzinfo=UTC).timestamp() * 1000.0, "ISO 8601 without a zone"
        return at.timestamp() * 1000.0, "ISO 8601"

    def _unix(self, line: int, key: str, written: object) -> tuple[float, str]:
        if not isinstance(written, bool) and isinstance(written, int | float):
            for (low, high, factor), unit in zip(_UNIX, ("s", "ms", "µs", "ns"), strict=True):
                if low <= written < high:
                    return written * factor, f"Unix {unit}"
        raise InvalidInput(
            f'{where(self._source, line)}: "{key}" is no Unix time',
            hint='times from the first audio sample are called "t_ms", in ms',
        )


def union(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return counts by name, added up."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def numbered(name: str, conversations: Sequence[object]) -> list[str]:
    """Return what the conversations of one file are called: as the file, or numbered after it."""
    if len(conversations) == 1:
        return [name]
    return [f"{name}-{number}" for number in range(1, len(conversations) + 1)]
