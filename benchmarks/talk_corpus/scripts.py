"""What is said in the conversations of `assistant-talks`, when, and what has to come of it.

Nine scenarios with six conversations each. Nothing is drawn by chance: the place of a conversation
in the list decides its voice, its room, and everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.corpus.voices import VOICES, Voice

Document = dict[str, Any]
Room = Literal["clean", "kitchen", "echo"]

SPEAKERS = (
    "flite-rms",
    "enus-rob",
    "flite-slt",
    "engb-edward",
    "festival-slt",
    "flite-awb",
    "enus-steph",
    "engb-steph",
    "encl-m7",
    "flite-slt-low",
    "enrp-m5",
    "flite-awb-mid",
    "festival-kal",
)
"""Who speaks, in this order: thirteen voices, so that no scenario has one of its own."""

_VOICES: Mapping[str, Voice] = {voice.name: voice for voice in VOICES}

START_MS = 600
ANSWERED_MS = 500
"""How long after the agent fell silent a user goes on."""

BARGE_IN_MS = 1_200
PAUSE_MS = 700


@dataclass(frozen=True)
class Line:
    """An entry of a script: words ("|" is a pause in mid-sentence), or the name of a sound."""

    said: str
    after: str = "agent_speech_stop"
    ms: int = ANSWERED_MS
    label: str = "turn"
    other: bool = False
    sound: str | None = None

    @property
    def text(self) -> str:
        """The words as they are heard, without case and punctuation; a sound has none."""
        letters = self.said.replace("|", " ").lower().replace("-", " ")
        kept = "".join(c for c in letters if c.isalnum() or c in " '")
        return " ".join(kept.split())


@dataclass(frozen=True)
class Talk:
    """One conversation: who speaks, where, what, and what has to come of it."""

    scenario: str
    lines: tuple[Line, ...]
    expect: Document
    number: int = 0
    room: Room = "clean"
    voices: tuple[Voice, Voice] = field(default=(VOICES[0], VOICES[1]))

    @property
    def id(self) -> str:
        """Its id in the manifest, and the name of its cluster."""
        return f"{self.scenario.replace('_', '-')}-{self.number:02d}"


def _first(said: str) -> Line:
    return Line(said, after="start", ms=START_MS)


def _over(said: str, ms: int = BARGE_IN_MS, **fields: Any) -> Line:  # noqa: ANN401  # any field
    """Return an entry that starts while the agent speaks."""
    return Line(said, after="agent_speech_start", ms=ms, **fields)


def _later(said: str, ms: int) -> Line:
    """Return a turn that comes some time after the user's side fell silent, answered or not."""
    return Line(said, after="user_speech_stop", ms=ms)


def _timer(*minutes: int, **more: Any) -> Document:  # noqa: ANN401  # any key of an outcome
    """Return what is expected where timers are set; only the last one stays."""
    calls = [{"name": "set_timer", "arguments": {"minutes": value}} for value in minutes]
    return {
        "tools": calls,
        "state": {"timers": 1, "timer_minutes": minutes[-1]},
        "no_tools": ["make_transfer"],
    } | more


def _sent(payee: str, amount: int) -> Document:
    call = {"name": "make_transfer", "arguments": {"payee": payee, "amount": amount}}
    return {"tools": [call], "state": {"transfers": 1, "transferred": amount}}


def _asked(tool: str, account: str, *says: str) -> Document:
    call = {"name": tool, "arguments": {"account": account}}
    return {"tools": [call], "no_tools": ["make_transfer"], "says": list(says)}


def _plain() -> Iterator[Talk]:
    yield _talk("plain", _timer(10), _first("Set a timer for ten minutes."))
    yield _talk(
        "plain",
        _asked("get_balance", "savings", "2300"),
        _first("What is the balance of my savings account?"),
    )
    yield _talk("plain", _timer(30), _first("Please set a timer for thirty minutes."))
    yield _talk(
        "plain",
        {"tools": [], "says": ["half past nine"]},
        _first("Can you tell me what time it is?"),
    )
    yield _talk(
        "plain",
        _asked("get_last_payment", "checking", "45"),
        _first("What was the last payment from my checking account?"),
    )
    yield _talk("plain", _timer(20), _first("Could you set a timer for twenty minutes?"))


def _correction() -> Iterator[Talk]:
    yield _talk(
        "correction",
        _timer(10, 20),
        _first("Set a timer for ten minutes."),
        Line("No, I meant twenty minutes."),
    )
    yield _talk(
        "correction", _timer(15), _first("Set a timer for five minutes, no, for fifteen minutes.")
    )
    yield _talk(
        "correction",
        _sent("Martin", 40),
        _first("Send forty dollars to Helen."),
        Line("No, send it to Martin."),
        Line("Yes, that is right."),
    )
    yield _talk(
        "correction",
        _timer(30, 40),
        _first("Set a timer for thirty minutes."),
        Line("Sorry, I meant forty minutes."),
    )
    yield _talk(
        "correction",
        _sent("Victor", 60),
        _first("Send fifty dollars to Victor."),
        Line("No, make it sixty dollars."),
        Line("Yes, please do."),
    )
    yield _talk(
        "correction",
        _timer(10, 25),
        _first("Please set a timer for ten minutes."),
        Line("Actually, make it twenty five minutes."),
    )


def _pause() -> Iterator[Talk]:
    yield _talk("pause", _timer(20), _first("Please set a timer for | twenty minutes."))
    yield _talk(
        "pause",
        _asked("get_balance", "savings", "2300"),
        _first("Please tell me the balance of | my savings account."),
    )
    yield _talk("pause", _timer(15), _first("I need a timer for | fifteen minutes please."))
    yield _talk(
        "pause",
        _sent("Helen", 30),
        _first("I want to send thirty dollars | to Helen."),
        Line("Yes, that is right."),
    )
    yield _talk("pause", _timer(45), _first("Could you set a timer for | forty five minutes?"))
    yield _talk(
        "pause",
        _asked("get_last_payment", "checking", "45"),
        _first("What was the last payment | from my checking account?"),
    )


def _barge_in() -> Iterator[Talk]:
    ask = "What can you do?"
    yield _talk("barge_in", _timer(5), _first(ask), _over("Please set a timer for five minutes."))
    yield _talk(
        "barge_in",
        _timer(10, 20),
        _first("Set a timer for ten minutes."),
        _over("No, I meant twenty minutes."),
    )
    yield _talk(
        "barge_in",
        _asked("get_balance", "checking", "840"),
        _first("How does this work?"),
        _over("What is the balance of my checking account?"),
    )
    yield _talk("barge_in", {"tools": []}, _first(ask), _over("Okay, that is enough for today."))
    yield _talk(
        "barge_in",
        _sent("Robert", 20),
        _first(ask),
        _over("Send twenty dollars to Robert."),
        Line("Yes, that is right."),
    )
    yield _talk(
        "barge_in",
        _timer(30),
        _first("Can you help me?"),
        _over("I want to set a timer for thirty minutes."),
    )


def _backchannel() -> Iterator[Talk]:
    asks = ("What can you do?", "How does this work?", "Can you help me?")
    for place, (first, second) in enumerate(
        [
            ("Uh-huh.", "Right."),
            ("Yeah.", "Uh-huh."),
            ("Right.", "Okay."),
            ("Uh-huh.", "Yeah."),
            ("Yeah.", "Right."),
            ("Okay.", "Uh-huh."),
        ]
    ):
        yield _talk(
            "backchannel",
            _timer(10 + 5 * (place % 3)),
            _first(asks[place % 3]),
            _over(first, 1_500, label="backchannel"),
            Line(second, after="user_speech_stop", ms=2_000, label="backchannel"),
            # Not after the agent stopped speaking: one that was cut may never speak again.
            _later(f"Set a timer for {('ten', 'fifteen', 'twenty')[place % 3]} minutes.", 9_000),
        )


def _side_talk() -> Iterator[Talk]:
    aside = {"label": "non_directed", "other": False}
    then = _later("What time is it?", 6_000)
    silent = ("Anna, could you close the window?", "Not now, I am on the phone.")
    for place, words in enumerate(silent):
        yield _talk(
            "side_talk",
            _timer(10 + 10 * place, says=["half past nine"]),
            _first(f"Set a timer for {('ten', 'twenty')[place]} minutes."),
            Line(words, ms=1_500, label="non_directed"),
            then,
        )
    yield _talk(
        "side_talk",
        _timer(15),
        _first("What can you do?"),
        _over("Just a moment, Anna.", 1_500, **aside),
        Line("Set a timer for fifteen minutes."),
    )
    yield _talk(
        "side_talk",
        _timer(5, says=["half past nine"]),
        _first("Set a timer for five minutes."),
        Line("Where did you put the keys?", ms=1_500, label="non_directed", other=True),
        then,
    )
    yield _talk(
        "side_talk",
        _asked("get_balance", "savings", "2300"),
        _first("How does this work?"),
        _over("Dinner is ready.", 1_500, label="non_directed", other=True),
        Line("What is the balance of my savings account?"),
    )
    yield _talk(
        "side_talk",
        _timer(30),
        _first("Can you help me?"),
        _over("I am coming.", 1_500, **aside),
        Line("Set a timer for thirty minutes."),
    )


def _noise() -> Iterator[Talk]:
    sounds = ("cough", "door", "door", "cough", "cough", "dishes")
    for place, sound in enumerate(sounds):
        label = "vocal_tic" if sound == "cough" else "noise"
        if place % 2:
            yield _talk(
                "noise",
                _timer((0, 10, 0, 30, 0, 20)[place], says=["half past nine"]),
                _first(
                    f"Set a timer for {('', 'ten', '', 'thirty', '', 'twenty')[place]} minutes."
                ),
                Line("", ms=1_500, label=label, sound=sound),
                _later("What time is it?", 4_000),
            )
        else:
            yield _talk(
                "noise",
                _timer(10 + 5 * place),
                _first(("What can you do?", "How does this work?", "Can you help me?")[place // 2]),
                Line("", after="agent_speech_start", ms=1_500, label=label, sound=sound),
                Line(f"Set a timer for {('ten', 'twenty', 'thirty')[place // 2]} minutes."),
            )


def _transfer() -> Iterator[Talk]:
    nothing = {"tools": [], "no_tools": ["make_transfer"], "state": {"transfers": 0}}
    yield _talk(
        "transfer",
        _sent("Helen", 40),
        _first("Send forty dollars to Helen."),
        Line("Yes, that is right."),
    )
    yield _talk(
        "transfer",
        nothing,
        _first("Send fifty dollars to Victor."),
        Line("No, do not send it."),
    )
    yield _talk(
        "transfer",
        _sent("Robert", 30),
        _first("I want to send money to Robert."),
        Line("Thirty dollars."),
        Line("Yes, please do."),
    )
    yield _talk(
        "transfer",
        _sent("Martin", 70),
        _first("Send seventy dollars to Martin."),
        Line("Okay.", label="backchannel"),
        _later("Yes, please send it.", 3_000),
    )
    yield _talk(
        "transfer",
        _sent("Daniel", 20),
        _first("Please transfer twenty dollars to Daniel."),
        Line("Yes, that is correct."),
    )
    yield _talk(
        "transfer",
        nothing,
        _first("Send sixty dollars to Helen."),
        Line("No, cancel it, please."),
    )


def _account_help() -> Iterator[Talk]:
    ends = "Thanks, that is all."
    yield _talk(
        "account_help",
        _asked("get_last_payment", "savings", "100", "you are welcome"),
        _first("I need help with my account."),
        Line("My savings account."),
        Line("The last payment, please."),
        Line(ends),
    )
    yield _talk(
        "account_help",
        _asked("get_last_payment", "checking", "45"),
        _first("I have a question about my account."),
        Line("My checking account, please."),
        Line("What was the last payment?"),
    )
    yield _talk(
        "account_help",
        _asked("get_balance", "savings", "2300", "you are welcome"),
        _first("What is my balance?"),
        Line("My savings account."),
        Line(ends),
    )
    yield _talk(
        "account_help",
        _asked("get_last_payment", "checking", "45"),
        _first("What was my last payment?"),
        Line("From my checking account."),
    )
    yield _talk(
        "account_help",
        {
            "tools": [
                {"name": "get_balance", "arguments": {"account": name}}
                for name in ("savings", "checking")
            ],
            "says": ["2300", "840"],
        },
        _first("What is the balance of my savings account?"),
        Line("And what is the balance of my checking account?"),
    )
    yield _talk(
        "account_help",
        _asked("get_last_payment", "savings", "100"),
        _first("Can you help me with my account?"),
        Line("It is my savings account."),
        Line("What was the last payment?"),
    )


def _talk(scenario: str, expect: Document, *lines: Line) -> Talk:
    return Talk(scenario=scenario, lines=lines, expect=expect)


SCENARIOS = (
    _plain, _correction, _pause, _barge_in, _backchannel, _side_talk, _noise, _transfer,
    _account_help,
)  # fmt: skip

ROOMS: tuple[Room, ...] = ("clean", "kitchen", "clean", "echo", "clean", "kitchen")
"""Where the conversations of a scenario take place, in their order."""

DEMO = {"plain": (1,), "pause": (1, 3, 5), "barge_in": (1, 3, 4)}
"""What `make demo` holds: by scenario, the numbers of its conversations; none is in the kitchen."""


def talks() -> list[Talk]:
    """Return every conversation, sorted by id."""
    made: list[Talk] = []
    for scenario in SCENARIOS:
        for number, talk in enumerate(scenario(), start=1):
            place = len(made)
            user, other = (
                _VOICES[SPEAKERS[at % len(SPEAKERS)]] for at in (place, place + len(SPEAKERS) // 2)
            )
            made.append(
                Talk(
                    scenario=talk.scenario,
                    lines=talk.lines,
                    expect=talk.expect,
                    number=number,
                    room=ROOMS[number - 1],
                    voices=(user, other),
                )
            )
    return sorted(made, key=lambda talk: talk.id)
