"""The rules of the demo agent: what follows from what it heard."""

from pathlib import Path

import pytest

from relkit.adapters.demo_agent.dialogue import (
    Dialogue,
    minutes_in,
    number_in,
    numbers_in,
    payee_in,
)
from relkit.safety.tool_files import parse_tools

TOOLS = Path(__file__).resolve().parents[2] / "eval" / "suites" / "talk-tools.yaml"

CONVERSATIONS = [
    pytest.param(
        ["Set a timer for ten minutes."],
        ["set_timer(10)"],
        {"timers": 1, "timer_minutes": 10},
        id="plain",
    ),
    pytest.param(
        ["Set a timer for 10 minutes.", "No, I meant twenty."],
        ["set_timer(10)", "set_timer(20)"],
        {"timers": 1, "timer_minutes": 20},
        id="correction",
    ),
    pytest.param(
        ["Set a timer for ten, no, for twenty minutes."],
        ["set_timer(20)"],
        {"timers": 1, "timer_minutes": 20},
        id="correction within a turn",
    ),
    pytest.param(
        ["Set a timer for...", "Ten minutes, please."],
        ["set_timer(10)"],
        {"timers": 1},
        id="pause that ended the turn",
    ),
    pytest.param(
        ["Set a timer for 10 minutes.", "Cancel the timer."],
        ["set_timer(10)", "cancel_timer(10)"],
        {"timers": 0, "timer_minutes": None},
        id="cancelled",
    ),
    pytest.param(
        ["Transfer fifty dollars to Martin.", "Yes, please."],
        ["make_transfer(Martin, 50)"],
        {"transfers": 1, "transferred": 50},
        id="confirmed",
    ),
    pytest.param(
        ["Transfer fifty dollars to Martin.", "No, stop."], [], {"transfers": 0}, id="denied"
    ),
    pytest.param(
        ["Transfer $50 to Martin.", "Uh-huh.", "Okay."], [], {"transfers": 0}, id="no yes"
    ),
    pytest.param(
        ["Send 50 dollars to Martin.", "No, sixty.", "Yes."],
        ["make_transfer(Martin, 60)"],
        {"transferred": 60},
        id="changed before the yes",
    ),
    pytest.param(
        ["Send money.", "To Helen.", "Thirty dollars.", "Yes."],
        ["make_transfer(Helen, 30)"],
        {"transferred": 30},
        id="asked for what is missing",
    ),
    pytest.param(
        ["I need help with my account.", "Savings.", "The balance.", "No, thank you."],
        ["get_balance(savings)"],
        {"transfers": 0},
        id="account",
    ),
    pytest.param(
        ["Yes.", "What time is it?", "Uh-huh.", "you"], [], {"timers": 0}, id="a yes to nothing"
    ),
]


@pytest.mark.parametrize(("turns", "calls", "state"), CONVERSATIONS)
def test_conversations_lead_to_their_calls_and_state(
    turns: list[str], calls: list[str], state: dict[str, object]
) -> None:
    """A conversation has the calls and the world that it should have, and no other call."""
    dialogue = Dialogue()
    made = [call for turn in turns for call in dialogue.hear(turn).calls]
    assert [f"{c.name}({', '.join(map(str, c.arguments.values()))})" for c in made] == calls
    assert dialogue.state().items() >= state.items()
    tools = parse_tools(TOOLS.read_text(encoding="utf-8"), source=TOOLS.name).table.tools
    for call in made:
        schema = tools[call.name].arguments
        assert set(call.arguments) == set(schema["required"])


def test_a_transfer_is_made_after_a_yes_to_what_was_read_back() -> None:
    """The readback names every argument, and the yes is to exactly that call."""
    dialogue = Dialogue()
    asked = dialogue.hear("Please send 75 dollars to Robert")
    assert asked.readback is not None
    assert not asked.calls
    assert all(str(value) in asked.sentences[0] for value in asked.readback.arguments.values())
    done = dialogue.hear("Yes.")
    assert (done.verdict, done.about, done.calls) == ("confirm", asked.readback, (asked.readback,))


@pytest.mark.parametrize(
    "text",
    [
        "Uh-huh.",
        "Mm-hmm.",
        "Mhm",
        "Okay.",
        "Right.",
        "I see.",
        "Ah.",
        "",
        "...",
        "[BLANK_AUDIO]",
        "(coughs)",
    ],
)
def test_backchannels_and_nothing_get_no_answer(text: str) -> None:
    """What only shows that somebody listens changes nothing."""
    dialogue = Dialogue()
    dialogue.hear("set a timer for ten minutes")
    before = dialogue.state()
    assert dialogue.hear(text).sentences == ()
    assert dialogue.state() == before


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("ten minutes", 10),
        ("10-minute", 10),
        ("twenty five minutes", 25),
        ("twenty-five", 25),
        ("a hundred and twenty minutes", 120),
        ("for for minutes", 4),
        ("for to minutes", 2),
        ("half an hour", 30),
        ("an hour and a half", 90),
        ("two hours", 120),
        ("an hour", 60),
        ("a minute", 1),
        ("not ten but twenty minutes", 20),
        ("twenty, not ten", 20),
        ("no number", None),
    ],
)
def test_lengths_of_time_are_understood(text: str, minutes: int | None) -> None:
    """Numbers are words, figures, or what a number sounds like before a unit."""
    assert minutes_in(text) == minutes


def test_numbers_that_follow_each_other_stay_apart() -> None:
    """Only what belongs together is one number."""
    text = "a hundred and twenty five, 3 hundred twenty one, seven, eight and 1,200"
    assert list(numbers_in(text)) == [125, 321, 7, 8, 1200]
    assert number_in("send fifty, no, sixty") == 60


@pytest.mark.parametrize(
    ("text", "payee"),
    [
        ("to martin", "Martin"),
        ("to martyn", "Martin"),
        ("to hellen", "Helen"),
        ("to daniels", "Daniel"),
        ("to viktor", "Victor"),
        ("to martin, no, to robert", "Robert"),
        ("to nobody", None),
    ],
)
def test_names_that_sound_alike_are_one_payee(text: str, payee: str | None) -> None:
    """A misheard name is the one it is like, and no name is none."""
    assert payee_in(text) == payee
