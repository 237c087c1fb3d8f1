"""When somebody speaks to the demo agent and when the turn is over, counted in time of audio."""

from dataclasses import dataclass
from typing import Literal

STEP_MS = 32.0
"""How much sound each probability is about."""

_SPEECH = 0.5
_STILL_SPEECH = 0.35
_SURE = 3  # chunks in a row that make a beginning or an end of raw speech
LONGEST_TURN_MS = 29_000.0
"""After so long a turn is over, whoever speaks: the recogniser hears at most 30 s."""

TurnEvent = Literal[
    "vad_user_started_speaking",
    "user_started_speaking",
    "vad_user_stopped_speaking",
    "user_stopped_speaking",
]


@dataclass(slots=True)
class Endpointer:
    """Follows the probability of speech: a turn ends after ``stop_ms`` of silence.

    ``spoken_ms`` is how much of the turn was speech, ``turn_ms`` how long it is so far, from its
    first chunk of speech; both are 0 where there is no turn. ``forced`` says that the last turn
    ended because it was too long.
    """

    stop_ms: float
    in_turn: bool = False
    forced: bool = False
    spoken_ms: float = 0.0
    turn_ms: float = 0.0
    _is_speech: bool = False
    _raw: bool = False
    _loud: int = 0
    _quiet: int = 0

    def chunk(self, probability: float) -> tuple[TurnEvent, ...]:
        """Take the probability of the next 32 ms; return what began or ended with it, in order."""
        events: list[TurnEvent] = []
        self._is_speech = probability >= (_STILL_SPEECH if self._is_speech else _SPEECH)
        self._loud = self._loud + 1 if self._is_speech else 0
        self._quiet = 0 if self._is_speech else self._quiet + 1
        if self.in_turn:
            self.turn_ms += STEP_MS
            self.spoken_ms += STEP_MS if self._is_speech else 0.0
        if not self._raw and self._loud >= _SURE:
            self._raw = True
            events.append("vad_user_started_speaking")
            if not self.in_turn:
                self.in_turn, self.forced = True, False
                self.spoken_ms = self.turn_ms = self._loud * STEP_MS
                events.append("user_started_speaking")
        elif self._raw and self._quiet >= _SURE:
            self._raw = False
            events.append("vad_user_stopped_speaking")
        is_over = not self._raw and self._quiet * STEP_MS >= self.stop_ms
        if self.in_turn and (is_over or self.turn_ms >= LONGEST_TURN_MS):
            self.in_turn, self.forced = False, not is_over
            if self._raw:  # what goes on is the next turn
                self._raw, self._loud = False, 0
                events.append("vad_user_stopped_speaking")
            events.append("user_stopped_speaking")
        return tuple(events)

    def next_turn(self) -> None:
        """Forget what the last turn was like, after its length was read."""
        self.spoken_ms = self.turn_ms = 0.0
