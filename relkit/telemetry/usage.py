"""Token counts of a model call under their many names, made inclusive.

Inclusive: cached and written tokens are inside ``input``, reasoning inside ``output``. Sources
that report them beside it are recognised by their own figures (docs/telemetry.md, "Tokens").
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "input": ("input_tokens", "prompt_tokens"),
    "output": ("output_tokens", "completion_tokens"),
    "cache_read": (
        "cache_read.input_tokens",
        "cache_read_input_tokens",
        "cache_read_tokens",
        "input_cached_tokens",
        "cached_input_tokens",
        "cached_tokens",
        "input_tokens.cached",
        "details.cache_read_tokens",
    ),
    "cache_write": (
        "cache_creation.input_tokens",
        "cache_write.input_tokens",
        "cache_creation_input_tokens",
        "cache_write_input_tokens",
        "cache_write_tokens",
        "input_tokens.cache_write",
        "details.cache_write_tokens",
    ),
    "reasoning": (
        "reasoning.output_tokens",
        "reasoning_tokens",
        "reasoning_output_tokens",
        "output_reasoning_tokens",
        "output_tokens.reasoning",
        "details.reasoning_tokens",
    ),
    "input_audio": (
        "audio.input_tokens",
        "input_audio_tokens",
        "audio_input_tokens",
        "prompt_audio_tokens",
        "details.input_audio_tokens",
    ),
    "output_audio": (
        "audio.output_tokens",
        "output_audio_tokens",
        "audio_output_tokens",
        "completion_audio_tokens",
        "details.output_audio_tokens",
    ),
    "total": ("total_tokens",),
}
"""A count, and what it is called after ``gen_ai.usage.`` in the wild.

OpenTelemetry's GenAI conventions before 1.27, 1.27 to 1.36 and later, Langfuse, Sentry, pydantic-ai
and the frameworks that spell them with underscores.
"""

FIELDS: Mapping[str, str] = {
    f"gen_ai.usage.{spelling}": field
    for field, spellings in SPELLINGS.items()
    for spelling in spellings
} | {"llm.usage.total_tokens": "total"}
"""Attribute name to count."""

COLUMNS_OF: Mapping[str, str] = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
    "input_audio": "input_audio_tokens",
    "output_audio": "output_audio_tokens",
}
"""Count to column of the turn table."""

_PARTS = frozenset({"cache_read", "cache_write", "reasoning"})

TokenCounts = Mapping[str, float]
"""TokenCounts of one call by name, those that it reports."""


class UsageSource(NamedTuple):
    """Who reports usage: what one call of it proves is so for all of its calls."""

    provider: str
    model: str


class Net(NamedTuple):
    """What a source leaves out of its totals; None: its figures do not tell."""

    cache: bool | None = None
    reasoning: bool | None = None


def net_of(counts: TokenCounts) -> Net:
    """Return what one call proves about its source.

    Cache above input is proof that the input is net of it, and so is a total that only adds up
    with it; a total that is input + output proves the contrary.
    """
    cache = counts.get("cache_read", 0.0) + counts.get("cache_write", 0.0)
    reasoning = counts.get("reasoning", 0.0)
    if not cache and not reasoning:
        return Net()
    input_, output = counts.get("input", 0.0), counts.get("output", 0.0)
    rest = counts["total"] - input_ - output if "total" in counts else None
    net_cache = net_reasoning = None
    if rest == 0:
        net_cache, net_reasoning = False, False
    elif rest is not None and cache != reasoning:
        if rest == cache + reasoning:
            net_cache, net_reasoning = True, True
        elif rest == cache:
            net_cache, net_reasoning = True, False
        elif rest == reasoning:
            net_cache, net_reasoning = False, True
    if cache > input_:
        net_cache = True
    if reasoning > output:
        net_reasoning = True
    return Net(cache=net_cache if cache else None, reasoning=net_reasoning if reasoning else None)


class Accounting:
    """What the calls of each source prove about it; the order in which they are seen is nothing.

    A source that proves both, in different calls, is taken call by call and is ``mixed``.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._cache: dict[UsageSource, set[bool]] = {}
        self._reasoning: dict[UsageSource, set[bool]] = {}

    def observe(self, source: UsageSource, counts: TokenCounts) -> None:
        """Take in one call."""
        if _PARTS.isdisjoint(counts):
            return
        net = net_of(counts)
        if net.cache is not None:
            self._cache.setdefault(source, set()).add(net.cache)
        if net.reasoning is not None:
            self._reasoning.setdefault(source, set()).add(net.reasoning)

    @property
    def net_sources(self) -> tuple[UsageSource, ...]:
        """Sources that report input net of the cache or output net of reasoning, sorted."""
        proofs = (*self._cache.items(), *self._reasoning.items())
        return tuple(sorted({source for source, proof in proofs if True in proof}))

    @property
    def mixed_sources(self) -> tuple[UsageSource, ...]:
        """Sources whose calls contradict each other, sorted."""
        proofs = (*self._cache.items(), *self._reasoning.items())
        return tuple(sorted({source for source, proof in proofs if len(proof) > 1}))

    def inclusive(self, source: UsageSource, counts: TokenCounts) -> tuple[TokenCounts, bool]:
        """Return the counts with everything inside, and whether they were not so before."""
        if _PARTS.isdisjoint(counts):
            return counts, False
        cache = counts.get("cache_read", 0.0) + counts.get("cache_write", 0.0)
        reasoning = counts.get("reasoning", 0.0)
        net = net_of(counts)
        add_cache = cache and _is_net(net.cache, self._cache.get(source))
        add_reasoning = reasoning and _is_net(net.reasoning, self._reasoning.get(source))
        if not add_cache and not add_reasoning:
            return counts, False
        changed = dict(counts)
        if add_cache:
            changed["input"] = changed.get("input", 0.0) + cache
        if add_reasoning:
            changed["output"] = changed.get("output", 0.0) + reasoning
        return changed, True


def _is_net(call: bool | None, proof: set[bool] | None) -> bool:  # noqa: FBT001 - of this call
    return bool(call) if not proof or len(proof) > 1 else True in proof


def add_up(calls: Iterable[TokenCounts]) -> dict[str, float]:
    """Return the sums by column of the turn table; a count that no call reports is not there."""
    sums: dict[str, float] = {}
    for counts in calls:
        for field, tokens in counts.items():
            column = COLUMNS_OF.get(field)
            if column is not None:
                sums[column] = sums.get(column, 0.0) + tokens
    return sums
