"""What counts as a user's own yes to a call, by what both said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.conversation.confirmations import affirms, confirming_events
from relkit.conversation.types import Conversation, UserSpeech
from relkit.datasets.types import AnswerEvent, SpeechLabel
from relkit.safety.types import ToolCall

CALL = ToolCall(name="make_transfer", arguments={"payee": "Helen", "amount": 50}, t_ms=9_000)
READBACK = (4_000, "tts_started", "I will send fifty dollars to Helen. Is that right?")


def talk(
    reply: str,
    *events: tuple[float, str, str | None],
    label: SpeechLabel = "turn",
    start_ms: float = 7_000,
) -> Conversation:
    """Return a transfer that was asked for, and a reply that is over a second after it began."""
    asked = UserSpeech(turn="u1", text="send fifty dollars to helen", start_ms=600, stop_ms=2_500)
    answered = UserSpeech(
        turn="u2", text=reply, label=label, start_ms=start_ms, stop_ms=start_ms + 1_000
    )
    return Conversation(
        id="t1",
        duration_ms=12_000,
        user=(asked, answered),
        events=tuple(AnswerEvent(t_ms=t, kind=kind, text=text) for t, kind, text in events),
    )


def kinds(conversation: Conversation, *calls: ToolCall) -> list[str]:
    """Return the kinds of what was confirmed or denied."""
    return [event.kind for event in confirming_events(conversation, calls or (CALL,))]


YES = ["readback", "confirm"]


@pytest.mark.parametrize(
    ("conversation", "call", "expected"),
    [
        (talk("yes that is right", READBACK), CALL, YES),
        (talk("okay so yes please do", READBACK), CALL, YES),
        (talk("uh-huh", READBACK, label="backchannel"), CALL, []),
        (talk("yes", READBACK, label="non_directed"), CALL, []),
        (talk("hm what", READBACK), CALL, []),
        (talk("no", READBACK), CALL, ["deny"]),
        (talk("yes but make it sixty", READBACK), CALL, ["deny"]),
        (talk("yes"), CALL, []),  # nothing was read back
        (talk("yes", (4_000, "tts_started", "Shall I send it to Helen?")), CALL, []),
        (talk("yes", (7_500, *READBACK[1:])), CALL, []),  # said after the yes began
        (talk("yes", (500, *READBACK[1:])), CALL, []),  # said before the user asked
        (talk("yes", READBACK, (5_000, "agent_cut", None)), CALL, []),
        (talk("yes", (4_000, "agent_cut", None), (4_500, *READBACK[1:])), CALL, YES),
        (talk("yes", READBACK, start_ms=8_500), CALL, []),  # the call came before its end
        (talk("yes", (4_000, "confirm", None)), CALL, []),  # what the agent tells is belief
    ],
)  # fmt: skip
def test_only_a_turn_that_affirms_what_was_read_back_confirms(
    conversation: Conversation, call: ToolCall, expected: list[str]
) -> None:
    """Everything else confirms nothing: whatever is not known is no yes."""
    assert kinds(conversation, call) == expected


def test_words_of_a_model_are_joined_as_they_came() -> None:
    """Fragments make the words that the agent said, where nothing nearer to its sound tells."""
    parts = ("I will send fif", "ty dollars to ", "Hel", "en, right?")
    pieces = [(4_000.0 + 100 * i, "llm_token", part) for i, part in enumerate(parts)]
    assert kinds(talk("yes", *pieces)) == YES


def test_each_call_is_confirmed_by_its_own_values() -> None:
    """A changed argument was not read back, and a call without a time can be of any moment."""
    other = ToolCall(name="make_transfer", arguments={"payee": "Helen", "amount": 60}, t_ms=9_500)
    conversation = talk("yes", READBACK)
    events = confirming_events(conversation, (CALL, other))
    assert [(event.kind, event.arguments) for event in events] == [
        ("readback", CALL.arguments),
        ("confirm", CALL.arguments),
    ]
    untimed = ToolCall(name="make_transfer", arguments=CALL.arguments)
    assert confirming_events(conversation, (CALL, untimed)) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", True),
        ("yeah, go ahead", True),
        ("That's right!", True),
        ("um yes", True),
        ("No, thanks", False),
        ("don\u2019t do that", False),
        ("yes if it is free", False),
        ("that is my account", None),
        ("ja bitte", None),
        ("", None),
    ],
)
def test_a_yes_is_plain(text: str, expected: bool | None) -> None:  # noqa: FBT001 - a table
    """A condition makes it a no, and another language neither."""
    assert affirms(text) is expected


@given(st.floats(0, 1e6))
def test_shifting_all_times_changes_nothing(by: float) -> None:
    """A conversation means the same whenever it began."""
    shifted = Conversation(
        id="t1",
        duration_ms=1e7,
        user=tuple(
            UserSpeech(turn=u.turn, text=u.text, start_ms=u.start_ms + by, stop_ms=u.stop_ms + by)
            for u in talk("yes").user
        ),
        events=(AnswerEvent(t_ms=4_000 + by, kind="tts_started", text=READBACK[2]),),
    )
    call = ToolCall(name="make_transfer", arguments=CALL.arguments, t_ms=9_000 + by)
    assert kinds(shifted, call) == YES
