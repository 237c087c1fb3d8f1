"""What became of every entry of a script: turns, interruptions, and what wants no answer.

Truth decides: when the user spoke, and when the loudspeaker sounded. What the system said of itself
tells its ends of turn, whether it meant to stop, and where the time went. Definitions and their
sources are in docs/conversations.md, sections "Turns" and "Interruptions".
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from relkit.conversation.segments import joined_spans
from relkit.conversation.stages import EventTimes, response_stages
from relkit.conversation.types import (
    DEFAULT_WINDOWS,
    Conversation,
    ConversationCounts,
    ConversationTimes,
    MeasuredTurn,
    Reaction,
    ReactionWindows,
    SoundSpan,
    TurnEnding,
    UserSpeech,
)
from relkit.datasets.types import AnswerEvent

FALSE_END_MS = 100.0
"""How long before the true end an end of turn is false: bounds of speech are not sharper."""

_END_OF_TURN = "user_stopped_speaking"


def measure_turns(
    conversation: Conversation,
    windows: ReactionWindows = DEFAULT_WINDOWS,
    *,
    failed: bool = False,
    tells_ends: bool | None = None,
) -> tuple[MeasuredTurn, ...]:
    """Return what became of each entry that was said, in their order.

    ``failed`` says that the agent ended the conversation or broke it: turns that it had no time
    left to answer are unanswered then and not censored. ``tells_ends`` says whether the system
    tells when it takes a turn for ended, None that the conversation's own events show it.
    """
    return _Measurement(conversation, windows, failed=failed, tells_ends=tells_ends).turns()


class _Measurement:
    """One conversation, with what is looked up in it for every entry."""

    def __init__(
        self,
        conversation: Conversation,
        windows: ReactionWindows,
        *,
        failed: bool,
        tells_ends: bool | None,
    ) -> None:
        self.windows, self.failed = windows, failed
        self.end_ms = conversation.duration_ms
        self.user = sorted(conversation.user, key=lambda speech: speech.start_ms)
        self.agent = sorted(conversation.agent, key=lambda span: span.start_ms)
        self.starts = [span.start_ms for span in self.agent]
        self.turn_starts = [speech.start_ms for speech in self.user if speech.label == "turn"]
        self.times = EventTimes(conversation.events)
        self.tells_ends = self.times.tells(_END_OF_TURN) if tells_ends is None else tells_ends
        self.answers: set[float] = set()
        """When the agent began to speak in answer to a turn."""

    def turns(self) -> tuple[MeasuredTurn, ...]:
        nexts = iter((*self.turn_starts[1:], math.inf))
        turns = {
            i: self.turn(speech, next(nexts))
            for i, speech in enumerate(self.user)
            if speech.label == "turn"
        }
        return tuple(
            turns[i] if i in turns else self.ignorable(speech) for i, speech in enumerate(self.user)
        )

    def turn(self, speech: UserSpeech, next_ms: float) -> MeasuredTurn:
        """Return what became of a turn; the next one starts at ``next_ms``."""
        ending, sound_ms = self.ending(speech, next_ms)
        reaction, stop_ms = self.reaction(speech, self.windows.yield_ms)
        end, is_false = self.end_of_turn(speech, next_ms)
        waited = min(self.end_ms, next_ms) >= speech.stop_ms + self.windows.answer_ms
        unseen = waited or next_ms < math.inf or self.failed
        return MeasuredTurn(
            speech=speech,
            ending=ending,
            response_ms=None if sound_ms is None else sound_ms - speech.stop_ms,
            eot_delay_ms=None if end is None else end.t_ms - speech.stop_ms,
            false_end=is_false,
            missed_end=end is None if self.tells_ends and (end or unseen) else None,
            forced_end=(
                (end is not None and bool((end.data or {}).get("forced")))
                if self.tells_ends and (end or unseen)
                else None
            ),
            reaction=reaction,
            barge_in_stop_ms=None if reaction == "ended" else stop_ms,
            stages=(
                {}
                if sound_ms is None
                else response_stages(
                    self.times,
                    start_ms=speech.start_ms,
                    stop_ms=speech.stop_ms,
                    sound_ms=sound_ms,
                )
            ),
        )

    def ending(self, speech: UserSpeech, next_ms: float) -> tuple[TurnEnding, float | None]:
        """Return how a turn ended, and when the sound began that answers it."""
        after = bisect_left(self.starts, speech.stop_ms)
        before = self.agent[after - 1] if after else None
        if before and before.stop_ms > speech.stop_ms:
            return "early", None
        limit = speech.stop_ms + self.windows.answer_ms
        if after < len(self.starts):
            sound_ms = self.starts[after]
            if sound_ms < next_ms and sound_ms <= limit:
                self.answers.add(sound_ms)
                return "answered", sound_ms
        if before and before.start_ms > speech.start_ms:
            return "early", None
        if next_ms < math.inf or self.end_ms >= limit or self.failed:
            return "unanswered", None
        return "censored", None

    def end_of_turn(
        self, speech: UserSpeech, next_ms: float
    ) -> tuple[AnswerEvent | None, bool | None]:
        """Return the system's end of a turn, and whether it told one falsely before."""
        before_next = math.nextafter(next_ms, 0.0)
        limit = min(before_next, speech.stop_ms + self.windows.answer_ms)
        sharp_ms = max(speech.start_ms, speech.stop_ms - FALSE_END_MS)
        end = self.times.first(_END_OF_TURN, speech.stop_ms, limit) or self.times.last(
            _END_OF_TURN, sharp_ms, limit
        )
        is_false = sharp_ms > speech.start_ms and bool(
            self.times.first(_END_OF_TURN, speech.start_ms, math.nextafter(sharp_ms, 0.0))
        )
        return end, is_false if is_false or end else None

    def reaction(
        self, speech: UserSpeech, window_ms: float
    ) -> tuple[Reaction | None, float | None]:
        """Return what the agent's speech did, and for how long it went on; None in silence.

        None, too, where the conversation ended before that could be seen.
        """
        i = bisect_right(self.starts, speech.start_ms) - 1
        if i < 0 or self.agent[i].stop_ms <= speech.start_ms:
            return None, None
        span, start_ms = self.agent[i], speech.start_ms
        went_on_ms = span.stop_ms - start_ms
        again_ms = self.starts[i + 1] if i + 1 < len(self.starts) else math.inf
        until = min(start_ms + window_ms, math.nextafter(again_ms, 0.0))
        interrupted = self.times.first("interrupted", start_ms, until)
        if went_on_ms <= window_ms:
            if interrupted or self.is_cut(start_ms, until):
                return "yielded", went_on_ms
            return (None, None) if span.stop_ms >= self.end_ms else ("ended", went_on_ms)
        if interrupted and span.stop_ms - interrupted.t_ms >= self.windows.yield_ms:
            return "contradiction", went_on_ms
        return "kept_on", went_on_ms

    def is_cut(self, start_ms: float, stop_ms: float) -> bool:
        """Tell whether sound was thrown away in that time: none is no cut."""
        while cut := self.times.first("agent_cut", start_ms, stop_ms):
            if (cut.data or {}).get("ms") != 0:
                return True
            start_ms = math.nextafter(cut.t_ms, math.inf)
        return False

    def ignorable(self, speech: UserSpeech) -> MeasuredTurn:
        """Return what became of an entry that wants no answer."""
        reaction, _ = self.reaction(speech, self.windows.ignore_ms)
        i = bisect_right(self.starts, speech.start_ms) - 1
        if i >= 0 and self.agent[i].stop_ms > speech.start_ms:
            return MeasuredTurn(speech=speech, reaction=reaction)
        limit = speech.stop_ms + self.windows.reply_ms
        after = bisect_left(self.starts, speech.start_ms)
        turn = bisect_right(self.turn_starts, speech.start_ms)
        next_ms = self.turn_starts[turn] if turn < len(self.turn_starts) else math.inf
        sound_ms = self.starts[after] if after < len(self.starts) else math.inf
        replied: bool | None = sound_ms <= limit and sound_ms < next_ms
        if replied and sound_ms in self.answers:
            replied = False
        if not replied and min(next_ms, limit, sound_ms) > self.end_ms:
            replied = None
        return MeasuredTurn(speech=speech, replied=replied)


def turn_counts(turn: MeasuredTurn, *, budget_ms: float | None = None) -> ConversationCounts:
    """Return what the row of an entry counts; ``budget_ms`` is the suite's for a response.

    Source: docs/conversations.md, section "Rates". An entry that is no turn counts for the rates of
    such alone. Speech that ran out by itself is in no denominator, nor is a censored turn.
    """
    reacted = turn.reaction in {"yielded", "kept_on", "contradiction"}
    if turn.speech.label != "turn":
        return ConversationCounts(
            ignorable_over_speech=int(reacted),
            false_yields=int(turn.reaction == "yielded"),
            natural_ends=int(turn.reaction == "ended"),
            contradictions=int(turn.reaction == "contradiction"),
            ignorable_in_silence=int(turn.replied is not None),
            false_replies=int(turn.replied is True),
        )
    budgeted = budget_ms is not None and turn.response_ms is not None
    return ConversationCounts(
        turns=int(turn.ending in {"answered", "early", "unanswered"}),
        unanswered=int(turn.ending == "unanswered"),
        early=int(turn.ending == "early"),
        answered=int(turn.ending == "answered"),
        censored=int(turn.ending == "censored"),
        endpointed=int(turn.false_end is not None),
        false_ends=int(turn.false_end is True),
        observed_ends=int(turn.missed_end is not None),
        missed_ends=int(turn.missed_end is True),
        forced_ends=int(turn.forced_end is True),
        interruptions=int(reacted),
        yields=int(turn.reaction == "yielded"),
        natural_ends=int(turn.reaction == "ended"),
        contradictions=int(turn.reaction == "contradiction"),
        budgeted=int(budgeted),
        over_budget=int(budgeted and (turn.response_ms or 0.0) > (budget_ms or 0.0)),
    )


def turn_times(turn: MeasuredTurn) -> ConversationTimes:
    """Return what the row of an entry measured, in ms."""
    return ConversationTimes(
        response_ms=turn.response_ms,
        eot_delay_ms=turn.eot_delay_ms,
        barge_in_stop_ms=turn.barge_in_stop_ms,
        stages=turn.stages,
    )


def conversation_times(conversation: Conversation) -> ConversationTimes:
    """Return the dead air and the overlap of a conversation (its row of the unit conversation).

    Dead air is the longest silence of both from the first speech to the last; where the user spoke
    last, to the end of the conversation. Overlap is the time in which both speak, per minute. A
    ``noise`` is no speech. None where nobody spoke, and for a conversation of no length.
    """
    user = joined_spans(
        [speech for speech in conversation.user if speech.label != "noise"], bridge_ms=0.0
    )
    agent = joined_spans(conversation.agent, bridge_ms=0.0)
    both = joined_spans((*user, *agent), bridge_ms=0.0)
    if not both or conversation.duration_ms <= 0:
        return ConversationTimes()
    pauses = [after.start_ms - before.stop_ms for before, after in pairwise(both)]
    if user and (not agent or user[-1].stop_ms > agent[-1].stop_ms):
        pauses.append(conversation.duration_ms - user[-1].stop_ms)
    overlap_ms = _length(user) + _length(agent) - _length(both)
    return ConversationTimes(
        dead_air_ms=max(pauses, default=0.0),
        overlap_ms=max(0.0, overlap_ms) * 60_000.0 / conversation.duration_ms,
    )


def _length(spans: Sequence[SoundSpan]) -> float:
    return math.fsum(span.stop_ms - span.start_ms for span in spans)
