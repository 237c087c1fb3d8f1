"""What the demo agent makes of what it heard: its rules, its tools, and the state of its world.

It sets timers, tells what is in an account, and sends money, which it reads back and does after a
yes. Its texts come from a small recogniser, so that numbers are words or figures, and names and
key words are taken when they sound alike.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PAYEES = ("Daniel", "Helen", "Martin", "Robert", "Victor")
"""Who money can be sent to."""

VOCABULARY = (
    "Set a timer. Cancel it. No, I meant twenty. Yes, that is right. Uh-huh. "
    "My account, savings or checking, the balance or the last payment. "
    f"Send, transfer forty dollars to {', '.join(PAYEES)}."
)
"""What the recogniser is told to expect."""

ACCOUNTS: Mapping[str, int] = {"checking": 840, "savings": 2300}
"""What is in each account at the beginning, in dollars."""

LAST_PAYMENTS: Mapping[str, int] = {"checking": 45, "savings": 100}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool: its name, and its arguments by name."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogueReply:
    """What follows from a turn, in this order: a yes or no, calls, words, and a call read back.

    Without ``sentences`` the agent stays silent. ``about`` is the call that the yes or no is to,
    ``readback`` the one that ``sentences`` ask a yes for.
    """

    verdict: Literal["confirm", "deny"] | None = None
    about: ToolUse | None = None
    calls: tuple[ToolUse, ...] = ()
    sentences: tuple[str, ...] = ()
    readback: ToolUse | None = None


_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TEENS = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS: Mapping[str, int] = {
    **{word: value for value, word in enumerate((*_UNITS, *_TEENS, "nineteen"))},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
    "tin": 10,
    "fourty": 40,
    "fifthy": 50,
    "twenny": 20,
    "fife": 5,
}
_BEFORE_A_UNIT: Mapping[str, str] = {
    "won": "one", "to": "two", "too": "two", "for": "four", "fore": "four", "ate": "eight"
}  # fmt: skip
"""What a number sounds like where it has to be one."""

_UNIT = r"(?:minutes?|minuets?|hours?|euros?|dollars?|pounds?)"
_CORRECTION = re.compile(
    r"\b(?:no|not|know|nope|sorry|actually|wait|rather|instead|i (?:meant|mean|said|want)|"
    r"make (?:it|that)|change (?:it|that))\b"
)
_YES = re.compile(
    r"(?:yes|yeah|yep|yup|yea|sure|correct|exactly|confirm(?:ed)?|do it|do that|go ahead|"
    r"send it|please do|that(?:'s| is) (?:right|correct)|of course)\b"
)
_NO = re.compile(
    r"(?:no|nope|know|don't|do not|stop|cancel|never ?mind|forget (?:it|that)|wrong|leave it)\b"
)
_DROP = re.compile(
    r"\b(?:stop|cancel|never ?mind|forget (?:it|that)|leave it|quiet|that(?:'s| is) enough)\b"
)
_BACKCHANNEL = re.compile(
    r"(?:(?:u+h+|a+h+|o+h+|m+|m+h*m+|h+m+|u+m+|ha|hu+h|aha|mhm|ok|okay|right|alright|i see|wow|"
    r"well|hey|you|nice|good|great|yeah|yes|sure|so|and|the|i|a)[\s,.!?-]*)+"
)
_LOOP = re.compile(r"\b([a-z]+)(?:[\s,.!?-]+\1\b){4}")  # what recognisers make of a hum
_TIMER = re.compile(r"\b(?:timer?s?|tim[eo]r|timber|time are|tymer|tyner|alarm|reminder|remind)\b")
_CLOCK = re.compile(r"\b(?:what(?:'s| is|s)?|tell me|have)\b.*\btime\b|\btime is it\b")
_BALANCE = re.compile(
    r"\b(?:bal+[ae]n[cst]\w*|how much (?:money|is (?:there )?(?:in|on)|do i have))"
)
_PAYMENT = re.compile(r"\b(?:pay?ments?|last (?:pay\w*|bill|purchase))\b")
_TRANSFER = re.compile(r"\b(?:trans ?f[eiu]rs?\w*|trance ?fers?|send|sent|sand|pay|wire)\b")
_ACCOUNT = re.compile(r"\b(?:account|a count|accounts|banking)\b")
_FIRST_NAMES = re.compile(r"[a-z']+")

CAPABILITIES = (
    "I can set timers and send money, and tell you what is in your accounts.",
    "Say for example, set a timer for ten minutes, or what is my balance.",
    "Before I send money I read it back, and I wait until you say yes.",
)

_SMALL_TALK: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\btime\b", ("It is half past nine.",)),
    (r"\bwhat can you|\bhelp\b|\bhow does (?:this|it) work|\btell me (?:more|about)", CAPABILITIES),
    (r"\b(?:repeat|say that again|pardon|what did you say|come again)\b", ()),
    (r"\b(?:bye|goodbye|good bye|good night)\b", ("Goodbye.",)),
    (r"\bthanks?\b|\bthat(?:'s| is|ll be|'ll be)? all\b", ("You are welcome.",)),
    (r"\b(?:hello|hi|good (?:morning|evening|day))\b", ("Hello, what can I do for you?",)),
    (r"^(?:no|nope)\b", ("Okay.",)),
)
"""What is answered to a pattern; nothing stands for what was said last."""


@dataclass(slots=True)
class Dialogue:
    """One conversation: what is still to be asked, and what was done."""

    timers: list[int] = field(default_factory=list)
    transfers: list[ToolUse] = field(default_factory=list)
    pending: ToolUse | None = None
    payee: str | None = None
    amount: int | None = None
    asking: Literal["minutes", "transfer", "account", "topic"] | None = None
    account: str | None = None
    topic: Literal["balance", "payment"] | None = None
    last_act: Literal["timer", "transfer"] | None = None
    last_words: tuple[str, ...] = ("Hello, what can I do for you?",)

    def hear(self, text: str) -> DialogueReply:
        """Return what follows from a turn of the user, and keep it in the state."""
        spoken = re.sub(r"[\[(*][^\])*]*[\])*]", " ", text)  # "[BLANK_AUDIO]", "(coughs)"
        words = spoken.lower().replace("\u2019", "'").strip(" .,!?-\"'")
        reply = self._decide(words)
        if reply.sentences:
            self.last_words = reply.sentences
        return reply

    def state(self) -> dict[str, Any]:
        """Return what the agent's world is like now."""
        return {
            "timers": len(self.timers),
            "timer_minutes": self.timers[-1] if self.timers else None,
            "transfers": len(self.transfers),
            "transferred": sum(int(item.arguments["amount"]) for item in self.transfers),
        }

    def _decide(self, words: str) -> DialogueReply:
        if not re.search("[a-z0-9]", words) or _LOOP.search(words):
            return DialogueReply()
        if self.pending is not None and (reply := self._verdict(self.pending, words)):
            return reply
        if self.pending is None and _BACKCHANNEL.fullmatch(words):
            return DialogueReply()
        for rule in (self._correction, self._drop, self._tasks, self._slot, self._small_talk):
            if (reply := rule(words)) is not None:
                return reply
        if self.pending is not None:
            return self._read_back(self.pending)
        return DialogueReply(
            sentences=("Sorry, I did not understand that.", "Please say it again.")
        )

    def _verdict(self, pending: ToolUse, words: str) -> DialogueReply | None:
        """Return what a yes, a no or a change does to a transfer that was read back.

        What only shows that somebody listens ("uh-huh", "okay") is no yes, and gets no answer.
        """
        payee, amount = payee_in(words), number_in(words)
        is_no, is_yes = _NO.match(words), _YES.match(words)
        changed = (payee or self.payee, amount or self.amount) != (self.payee, self.amount)
        if changed:
            self.payee, self.amount = payee or self.payee, amount or self.amount
            reply = self._transfer()
            return DialogueReply(
                verdict="deny", about=pending, sentences=reply.sentences, readback=reply.readback
            )
        if is_yes and not is_no:
            self._forget()
            self.transfers.append(pending)
            self.last_act = "transfer"
            amount, payee = pending.arguments["amount"], pending.arguments["payee"]
            text = f"Done, I sent {amount} dollars to {payee}."
            return DialogueReply(
                verdict="confirm", about=pending, calls=(pending,), sentences=(text,)
            )
        if is_no:
            self._forget()
            return DialogueReply(
                verdict="deny", about=pending, sentences=("Okay, I will not send it.",)
            )
        return DialogueReply() if _BACKCHANNEL.fullmatch(words) else None

    def _correction(self, words: str) -> DialogueReply | None:
        """Return a timer set anew: "no, I meant twenty", "make it half an hour"."""
        minutes = minutes_in(words)
        is_about_timer = self.last_act == "timer" and self.asking is None and bool(self.timers)
        if not is_about_timer or minutes is None or not _CORRECTION.search(words):
            return None
        if _TRANSFER.search(words) or payee_in(words):
            return None
        self.timers.pop()
        return self._set_timer(minutes)

    def _drop(self, words: str) -> DialogueReply | None:
        """Return what "cancel the timer", "stop" and "never mind" do."""
        if not _DROP.search(words) or (minutes_in(words) and _CORRECTION.search(words)):
            return None
        if _TIMER.search(words) or (re.search(r"\bcancel it\b", words) and self.timers):
            if not self.timers:
                return DialogueReply(sentences=("There is no timer to cancel.",))
            call = ToolUse("cancel_timer", {"minutes": self.timers.pop()})
            return DialogueReply(calls=(call,), sentences=("Okay, the timer is cancelled.",))
        self._forget()
        return DialogueReply(sentences=("Okay.",))

    def _tasks(self, words: str) -> DialogueReply | None:
        """Return what a turn that names a task leads to; what is missing is asked for."""
        if _TIMER.search(words) and not _CLOCK.search(words):
            self._forget()
            minutes = minutes_in(words)
            if minutes is None:
                self.asking = "minutes"
                return DialogueReply(sentences=("For how many minutes?",))
            return self._set_timer(minutes)
        names_both = payee_in(words) is not None and number_in(words) is not None
        asks_to_send = _TRANSFER.search(words) is not None and not _PAYMENT.search(words)
        is_enough = payee_in(words) or number_in(words) or "money" in words
        if names_both or (asks_to_send and is_enough):
            self._forget()
            self.payee, self.amount = payee_in(words), number_in(words)
            return self._transfer()
        topic: Literal["balance", "payment"] | None = None
        if _BALANCE.search(words):
            topic = "balance"
        elif _PAYMENT.search(words):
            topic = "payment"
        if topic is not None or (_ACCOUNT.search(words) and self.asking != "account"):
            account = account_in(words) or self.account
            self._forget()
            self.topic, self.account = topic, account
            return self._account()
        return None

    def _slot(self, words: str) -> DialogueReply | None:
        """Return what an answer to the agent's own question leads to."""
        if self.asking == "minutes" and (minutes := minutes_in(words)) is not None:
            return self._set_timer(minutes)
        if self.asking == "transfer":
            payee, amount = payee_in(words), number_in(words)
            if payee or amount:
                self.payee, self.amount = payee or self.payee, amount or self.amount
                return self._transfer()
        account = account_in(words)
        if account is None and self.asking == "account":  # it is one of two
            is_one = re.search(r"\b(?:(ch[ae])|sa[vf])", words)
            account = None if is_one is None else "checking" if is_one[1] else "savings"
        if account is not None and self.pending is None:
            self.account = account
            return self._account()
        return None

    def _small_talk(self, words: str) -> DialogueReply | None:
        for pattern, sentences in _SMALL_TALK:
            if re.search(pattern, words):
                return DialogueReply(sentences=sentences or self.last_words)
        return None

    def _set_timer(self, minutes: int) -> DialogueReply:
        self._forget()
        self.timers.append(minutes)
        self.last_act = "timer"
        text = f"Okay, a timer for {counted_minutes(minutes)} is set."
        call = ToolUse("set_timer", {"minutes": minutes})
        return DialogueReply(
            calls=(call,), sentences=(text, "I will tell you when the time is over.")
        )

    def _transfer(self) -> DialogueReply:
        self.asking, self.pending = "transfer", None
        if self.payee is None:
            return DialogueReply(sentences=("Who shall I send it to?",))
        if self.amount is None:
            return DialogueReply(sentences=(f"How much shall I send to {self.payee}?",))
        return self._read_back(
            ToolUse("make_transfer", {"payee": self.payee, "amount": self.amount})
        )

    def _read_back(self, call: ToolUse) -> DialogueReply:
        self.asking, self.pending = None, call
        text = f"I will send {call.arguments['amount']} dollars to {call.arguments['payee']}."
        return DialogueReply(sentences=(text, "Is that right?"), readback=call)

    def _account(self) -> DialogueReply:
        if self.account is None:
            self.asking = "account"
            return DialogueReply(sentences=("Sure, is it about checking or savings?",))
        if self.topic is None:
            self.asking = "topic"
            return DialogueReply(
                sentences=("Do you want to know the balance, or the last payment?",)
            )
        account, topic = self.account, self.topic
        self.asking, self.topic = None, None
        if topic == "balance":
            sent = sum(int(item.arguments["amount"]) for item in self.transfers)
            held = ACCOUNTS[account] - (sent if account == "checking" else 0)
            name, text = "get_balance", f"There are {held} dollars in your {account} account."
        else:
            name = "get_last_payment"
            text = f"The last payment from {account} was {LAST_PAYMENTS[account]} dollars."
        call = ToolUse(name, {"account": account})
        return DialogueReply(calls=(call,), sentences=(text, "Is there anything else?"))

    def _forget(self) -> None:
        """Give up what was not finished; what was done stays done."""
        self.pending, self.asking, self.payee, self.amount, self.topic = (None,) * 5


def counted_minutes(minutes: int) -> str:
    """Return ``1 minute``, ``10 minutes``, ``1 hour``."""
    count, unit = (minutes, "minute") if minutes % 60 else (minutes // 60, "hour")
    return f"{count} {unit}" + ("s" if count > 1 else "")


def numbers_in(words: str) -> Iterator[int]:
    """Yield the numbers above 0 of a text in lower case, in figures or words, in order."""
    said_as = rf"\b({'|'.join(_BEFORE_A_UNIT)})(?=[ -]{_UNIT}\b)"
    words = re.sub(said_as, lambda match: _BEFORE_A_UNIT[match[1]], words)
    total: int | None = None
    for token in [*re.findall(r"\d[\d,]*|[a-z']+", words), ""]:
        if total is not None and token == "hundred":  # noqa: S105 - a word, no secret
            total *= 100
        elif token == "hundred":  # noqa: S105 - as above
            total = 100
        elif token in _NUMBERS:
            value = _NUMBERS[token]
            joins = total is not None and (
                total % 100 == 0 or (total % 10 == 0 and token in _UNITS)
            )
            if total is not None and not joins:
                yield total
            total = value + (total if joins and total is not None else 0)
        elif total is None or token != "and" or total % 100:  # noqa: S105 - as above
            if total:
                yield total
            total = int(token.replace(",", "")) if token[:1].isdigit() else None


def number_in(words: str) -> int | None:
    """Return the number that a text means: the last one, as corrections come after what was wrong.

    "not ten but twenty" is 20; "twenty, not ten" is 20.
    """
    wrong = {int(value) for value in numbers_in(" ".join(re.findall(r"\bnot (\w+)", words)))}
    numbers = list(numbers_in(words))
    right = [number for number in numbers if number not in wrong]
    return next(reversed(right or numbers), None)


def minutes_in(words: str) -> int | None:
    """Return a length of time in minutes; a number without a unit is one of minutes."""
    half = re.search(r"\b(?:half an? (?:hour|our)|half hour|1/2 hour)\b", words)
    if half:
        return 30
    if re.search(r"\b(?:an|one|1) (?:hour|our) and a half\b", words):
        return 90
    number = number_in(words)
    if re.search(r"\b(?:hours?|ours)\b", words):
        return 60 * (number or 1)
    if number is None and re.search(r"\b(?:a|one) minute\b", words):
        return 1
    return number


def payee_in(words: str) -> str | None:
    """Return the one of ``PAYEES`` whose name a text in lower case has, or one that sounds alike.

    The last one counts: "to Martin, no, to Helen" is to Helen.
    """
    for word in reversed(_FIRST_NAMES.findall(words)):
        name = word.removesuffix("'s").title()
        cutoff = 0.7 if len(name) > 4 else 0.75  # noqa: PLR2004 - short words are alike by chance
        if name.lower() not in _NUMBERS and (
            close := difflib.get_close_matches(name, PAYEES, 1, cutoff)
        ):
            return str(close[0])
    return None


def account_in(words: str) -> str | None:
    """Return which account a text in lower case is about."""
    if re.search(r"\b(?:savings?|saving's|save (?:ings?|and)|see,? (?:thanks|things))\b", words):
        return "savings"
    if re.search(r"\b(?:check(?:ing|in|ings|er| it)?|chicken|cack\w*|checks|current)\b", words):
        return "checking"
    return None
