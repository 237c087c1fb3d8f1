"""Whether a conversation did its task, what its tools were called with, and repeats of it.

A task is done where everything that its dataset expects came true. Calls are compared by name and
arguments in one form: what is said alike is alike ("10 minutes", "ten minutes"). Sources:
docs/conversations.md, section "Tasks"; for repeats Chen et al. 2021 (pass@k) and Yao et al. 2024
(pass^k).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

from relkit.conversation.types import ConversationCounts
from relkit.datasets.types import ExpectedCall, ExpectedOutcome
from relkit.safety.calls import JsonKey
from relkit.safety.spoken import said_words, says
from relkit.safety.types import ToolCall

TaskShortfall = Literal[
    "missing_call", "extra_call", "wrong_arguments", "forbidden_call", "not_said", "said", "state"
]
"""What kept a task from being done; no word of the conversation is in it."""

_MINUS = re.compile(r"(?<![\w)])[-\u2212](?=[\d.])")


def _words(text: str) -> tuple[str, ...]:
    """Return a text as it is said, with what would change its value: sign, unit, currency."""
    signed = _MINUS.sub(" minus ", text)
    marks = [char for char in text if char in "%+" or unicodedata.category(char) == "Sc"]
    return (*said_words(signed), *sorted(marks)) or tuple(text.casefold().split())


def argument_key(value: object) -> JsonKey:
    """Return arguments in a form that is equal where they mean the same.

    Texts are compared as they are said, without case, accents and punctuation; a number equals its
    digits as text. A member that is null is not there. Names of members are taken as they are.
    """
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    if isinstance(value, int | float):
        plain = int(value) if isinstance(value, float) and value.is_integer() else value
        return ("text", _words(str(plain)))
    if isinstance(value, str):
        return ("text", _words(value))
    if isinstance(value, Mapping):
        return (
            "object",
            frozenset((k, argument_key(item)) for k, item in value.items() if item is not None),
        )
    if isinstance(value, list | tuple):
        return ("array", tuple(argument_key(item) for item in value))
    return ("other", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPairing:
    """Expected and made calls, matched one to one by name and arguments.

    ``wrong`` have the name of a call that was expected, with other arguments; ``missing`` were
    expected and ``extra`` made without a partner.
    """

    matches: int = 0
    wrong: int = 0
    missing: int = 0
    extra: int = 0

    @property
    def pairs(self) -> int:
        """What accuracy is a share of: every call counts once, with its partner if it has one."""
        return self.matches + self.wrong + self.missing + self.extra


def pair_calls(expected: Sequence[ExpectedCall], calls: Sequence[ToolCall]) -> CallPairing:
    """Return how expected and made calls pair up, whatever their order.

    Equal calls are paired first, so that as many match as can; of the others those of one name are
    wrong in pairs.
    """
    hoped = Counter((call.name, argument_key(call.arguments)) for call in expected)
    made = Counter((call.name, argument_key(call.arguments)) for call in calls)
    matches = (hoped & made).total()
    hoped_names: Counter[str] = Counter()
    made_names: Counter[str] = Counter()
    for (name, _), count in (hoped - made).items():
        hoped_names[name] += count
    for (name, _), count in (made - hoped).items():
        made_names[name] += count
    return CallPairing(
        matches=matches,
        wrong=(hoped_names & made_names).total(),
        missing=(hoped_names - made_names).total(),
        extra=(made_names - hoped_names).total(),
    )


def is_empty(arguments: object) -> bool:
    """Tell whether arguments say nothing: null, or only empty texts, lists and objects."""
    if isinstance(arguments, Mapping):
        return all(map(is_empty, arguments.values()))
    if isinstance(arguments, list | tuple):
        return all(map(is_empty, arguments))
    return arguments is None or (isinstance(arguments, str) and not arguments.strip())


def task_shortfalls(
    expect: ExpectedOutcome,
    calls: Sequence[ToolCall],
    *,
    text: str | None,
    state: Mapping[str, object] | None,
) -> tuple[TaskShortfall, ...] | None:
    """Return what kept a task from being done: () where it is; None where nothing is expected.

    ``text`` is what the agent said and ``state`` how its world was left, None where nobody recorded
    it: what is expected of them then did not come true. Rubrics are for judges, and not looked at.
    """
    checks: dict[TaskShortfall, bool] = {}
    if expect.tools is not None:
        pairing = pair_calls(expect.tools, calls)
        checks["missing_call"] = pairing.missing > 0
        checks["extra_call"] = pairing.extra > 0
        checks["wrong_arguments"] = pairing.wrong > 0
    if expect.no_tools:
        checks["forbidden_call"] = any(call.name in expect.no_tools for call in calls)
    if expect.says:
        checks["not_said"] = text is None or not all(says(text, value) for value in expect.says)
    if expect.never_says:
        checks["said"] = text is None or any(says(text, value) for value in expect.never_says)
    if expect.state is not None:
        checks["state"] = state is None or any(
            key not in state or argument_key(state[key]) != argument_key(value)
            for key, value in expect.state.items()
        )
    if not checks:
        return None
    return tuple(name for name, falls_short in checks.items() if falls_short)


def task_counts(
    expect: ExpectedOutcome | None,
    calls: Sequence[ToolCall],
    *,
    text: str | None,
    state: Mapping[str, object] | None,
) -> ConversationCounts:
    """Return what a conversation counts for its task and its tools (its row of the unit)."""
    outcome = expect or ExpectedOutcome()
    shortfalls = task_shortfalls(outcome, calls, text=text, state=state)
    pairing = CallPairing() if outcome.tools is None else pair_calls(outcome.tools, calls)
    return ConversationCounts(
        tasks=int(shortfalls is not None),
        tasks_done=int(shortfalls == ()),
        tool_calls=len(calls),
        empty_arguments=sum(is_empty(call.arguments) for call in calls),
        forbidding=int(bool(outcome.no_tools)),
        forbidden=int(any(call.name in outcome.no_tools for call in calls)),
        tool_pairs=pairing.pairs,
        tool_matches=pairing.matches,
    )


def _checked(n: int, successes: int, k: int) -> None:
    if not 0 <= successes <= n or k < 1:
        raise ValueError(f"{successes} successes of {n} repeats, {k} at a time")


def pass_any_k(n: int, successes: int, k: int) -> float | None:
    """Return the chance that one of k repeats succeeds; None with fewer than k repeats.

    1 - C(n - c, k) / C(n, k), without bias from n repeats with c successes (Chen et al. 2021).
    """
    _checked(n, successes, k)
    return None if n < k else 1.0 - comb(n - successes, k) / comb(n, k)


def pass_all_k(n: int, successes: int, k: int) -> float | None:
    """Return the chance that k repeats all succeed; None with fewer than k repeats.

    C(c, k) / C(n, k), without bias from n repeats with c successes (Yao et al. 2024).
    """
    _checked(n, successes, k)
    return None if n < k else comb(successes, k) / comb(n, k)


def pass_counts(n: int, successes: int, k: int | None) -> ConversationCounts:
    """Return what one row of a conversation counts for its repeats; ``k`` None stands for all."""
    size = n if k is None else k
    if size < 1 or n < size:
        return ConversationCounts()
    return ConversationCounts(
        pass_scored=1,
        pass_any=pass_any_k(n, successes, size) or 0.0,
        pass_all=pass_all_k(n, successes, size) or 0.0,
    )
