"""What a user confirmed in a conversation, by what both said: an agent's own record is belief.

The agent says every value of a call; the next turn of the user affirms it, and nothing is denied
before the call. Backchannels, side talk, silence and the agent's echo are no turns, and confirm
nothing. Source: docs/conversations.md, section "Confirmations".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from relkit.conversation.types import Conversation, UserSpeech
from relkit.datasets.types import AnswerEvent
from relkit.safety.calls import leaves
from relkit.safety.spoken import says
from relkit.safety.types import ToolCall

CONFIRMING = ("readback", "confirm", "deny")
"""Kinds of events that an agent tells of itself, and that count for nothing here."""

_SAID = ("tts_started", "llm_token")
"""What carries the agent's words, the one that is nearer to its sound first."""

_CUT = ("agent_cut", "interrupted")
_WORDS = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_YES = re.compile(
    r"(?:(?:um+|uh+|er+|oh|well|so|ok|okay|and) )*"
    r"(?:yes|yeah|yep|yup|sure|correct|right|exactly|absolutely|definitely|certainly|of course|"
    r"please do|do it|do that|go ahead|go for it|confirm|confirmed|i confirm|"
    r"that(?: is|'s) (?:right|correct|fine|it))\b"
)
_NO = re.compile(
    r"\b(?:no|nope|nah|not|never|don't|dont|isn't|isnt|wasn't|can't|cannot|wait|hold on|stop|"
    r"cancel|abort|wrong|incorrect|instead|actually|change|rather|but|unless|if)\b"
)


def affirms(text: str) -> bool | None:
    """Tell whether a turn is a yes, False for a no or a yes with a condition; None for neither.

    Only English is known: a turn in another language is neither, and so no confirmation.
    """
    words = " ".join(word.lower().replace("\u2019", "'") for word in _WORDS.findall(text))
    if _NO.search(words):
        return False
    return True if _YES.match(words) else None


def confirming_events(
    conversation: Conversation, calls: Sequence[ToolCall]
) -> tuple[AnswerEvent, ...]:
    """Return readbacks, confirmations and denials as they were said, ordered by time.

    A call without a time has none: nobody knows what was said before it.
    """
    if any(call.t_ms is None for call in calls):
        return ()
    turns = [speech for speech in conversation.user if speech.label == "turn"]
    events: list[AnswerEvent] = []
    since_ms = 0.0
    for turn in turns:
        verdict = affirms(turn.text)
        if verdict is False:
            events.append(AnswerEvent(t_ms=turn.stop_ms, kind="deny", speaker="user"))
        elif verdict:
            events.extend(_confirmed(conversation, turn, since_ms, calls))
        since_ms = turn.start_ms
    return tuple(sorted(events, key=lambda event: event.t_ms))


def _confirmed(
    conversation: Conversation, turn: UserSpeech, since_ms: float, calls: Sequence[ToolCall]
) -> Iterator[AnswerEvent]:
    """Yield for each later call that was read back before a yes its readback and that yes."""
    said = _said_before(conversation, turn, since_ms)
    if said is None:
        return
    at_ms, text = said
    for call in calls:
        if not isinstance(call.arguments, Mapping) or (call.t_ms or 0.0) <= turn.stop_ms:
            continue
        if all(says(text, _spelled(value)) for value in leaves(call.arguments)):
            readback = AnswerEvent(
                t_ms=at_ms, kind="readback", tool=call.name, arguments=dict(call.arguments)
            )
            yield readback
            yield replace(readback, t_ms=turn.stop_ms, kind="confirm", speaker="user")


def _said_before(
    conversation: Conversation, turn: UserSpeech, since_ms: float
) -> tuple[float, str] | None:
    """Return when the agent began what it said between two turns, and its words; None without.

    What was cut before the user answered was not played to its end, and does not count.
    """
    cuts = [
        event.t_ms
        for event in conversation.events
        if event.kind in _CUT
        and since_ms <= event.t_ms <= turn.stop_ms
        and (event.data or {}).get("ms", 1.0) != 0.0
    ]
    begin_ms = max(cuts, default=since_ms)
    for kind in _SAID:
        pieces = [
            (event.t_ms, event.text)
            for event in conversation.events
            if event.kind == kind and event.text and begin_ms <= event.t_ms < turn.start_ms
        ]
        if pieces:
            texts = [text for _, text in pieces]
            fragments = any(text != text.strip() for text in texts)
            return pieces[0][0], ("" if fragments else " ").join(texts)
    return None


def _spelled(value: object) -> str:
    """Return a value as it is said: 50.0 is fifty."""
    plain = isinstance(value, float) and value.is_integer()
    return str(int(value) if plain and isinstance(value, float) else value)
