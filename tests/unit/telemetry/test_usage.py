"""Token counts of many spellings, made inclusive by what their own figures prove."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.telemetry.usage import (
    FIELDS,
    SPELLINGS,
    Accounting,
    Net,
    UsageSource,
    add_up,
    net_of,
)

SOURCE = UsageSource("provider", "model")


def counts_of(text: str) -> dict[str, float]:
    """Return counts from ``input 9 output 8 cache_read 5``."""
    words = text.split()
    return dict(zip(words[::2], map(float, words[1::2]), strict=True))


NET, GROSS = True, False


@pytest.mark.parametrize(
    ("text", "net"),
    [
        ("input 100 output 9", Net()),
        ("input 100 output 9 cache_read 80", Net()),
        ("input 100 output 9 cache_read 300", Net(cache=NET)),
        ("input 50 output 9 cache_read 30 cache_write 30", Net(cache=NET)),
        ("input 100 output 9 cache_read 80 total 109", Net(cache=GROSS)),
        ("input 100 output 9 cache_read 80 total 189", Net(cache=NET)),
        ("input 100 output 9 reasoning 40", Net(reasoning=NET)),
        ("input 100 output 9 reasoning 4 total 113", Net(reasoning=NET)),
        ("input 9 output 9 cache_read 5 reasoning 4 total 22", Net(cache=GROSS, reasoning=NET)),
        ("input 9 output 9 cache_read 5 reasoning 4 total 23", Net(cache=NET, reasoning=GROSS)),
        ("input 9 output 9 cache_read 5 reasoning 4 total 27", Net(cache=NET, reasoning=NET)),
        ("input 9 output 9 cache_read 5 reasoning 4 total 18", Net(cache=GROSS, reasoning=GROSS)),
        ("input 9 output 9 cache_read 5 reasoning 4 total 99", Net()),
        ("input 9 output 9 cache_read 4 reasoning 4 total 22", Net()),
    ],
)
def test_what_a_call_proves(text: str, net: Net) -> None:
    """Cache above input, or a total that only adds up with it; what fits both proves nothing."""
    assert net_of(counts_of(text)) == net


def test_no_spelling_means_two_counts() -> None:
    """Every name of the table is one count, with four spellings of audio tokens and more."""
    assert len(FIELDS) == sum(map(len, SPELLINGS.values())) + 1
    assert min(len(SPELLINGS[name]) for name in ("input_audio", "output_audio")) >= 4
    assert FIELDS["gen_ai.usage.prompt_tokens"] == "input"
    assert FIELDS["gen_ai.usage.cache_creation_input_tokens"] == "cache_write"


def test_a_proof_holds_for_all_calls_of_its_source_alone() -> None:
    """What one call proves makes the others inclusive, not those of another model."""
    accounting = Accounting()
    accounting.observe(SOURCE, {"input": 10.0, "cache_read": 90.0})
    plain = {"input": 100.0, "output": 5.0, "cache_read": 40.0}
    changed, was_net = accounting.inclusive(SOURCE, plain)
    assert (changed["input"], was_net) == (140.0, True)
    assert accounting.inclusive(UsageSource("provider", "other"), plain) == (plain, False)
    assert accounting.net_sources == (SOURCE,)


def test_a_source_that_contradicts_itself_is_taken_call_by_call() -> None:
    """Where calls prove both, only those that prove it themselves are changed."""
    accounting = Accounting()
    net = {"input": 10.0, "output": 1.0, "cache_read": 90.0}
    gross = {"input": 100.0, "output": 1.0, "cache_read": 90.0, "total": 101.0}
    silent = {"input": 100.0, "output": 1.0, "cache_read": 90.0}
    for counts in (net, gross):
        accounting.observe(SOURCE, counts)
    assert accounting.mixed_sources == (SOURCE,)
    assert accounting.inclusive(SOURCE, net)[0]["input"] == 100.0
    assert accounting.inclusive(SOURCE, gross)[0]["input"] == 100.0
    assert accounting.inclusive(SOURCE, silent)[0]["input"] == 100.0


CALLS = st.lists(
    st.fixed_dictionaries(
        {"input": st.integers(0, 99).map(float), "output": st.integers(0, 99).map(float)},
        optional={
            name: st.integers(0, 99).map(float) for name in ("cache_read", "reasoning", "total")
        },
    ),
    max_size=12,
)


@given(calls=CALLS, seed=st.integers(0, 999))
def test_the_order_of_calls_changes_nothing(calls: list[dict[str, float]], seed: int) -> None:
    """Any order gives the same sums, and cache and reasoning are never above their whole."""
    shuffled = calls.copy()
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - no secret
    sums = []
    for order in (calls, shuffled):
        accounting = Accounting()
        for counts in order:
            accounting.observe(SOURCE, counts)
        inclusive = [accounting.inclusive(SOURCE, counts)[0] for counts in order]
        sums.append(add_up(inclusive))
        if not accounting.mixed_sources:
            assert all(c["input"] >= c.get("cache_read", 0.0) for c in inclusive)
            assert all(c["output"] >= c.get("reasoning", 0.0) for c in inclusive)
    assert sums[0] == sums[1]
