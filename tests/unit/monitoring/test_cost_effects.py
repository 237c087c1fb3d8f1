"""Usage, price and mix add up to the change of the cost per call, to the last digit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.monitoring.cost.effects import amount_of, rounded, split_change
from relkit.monitoring.cost.prices import price_book
from relkit.monitoring.cost.types import (
    GroupUsage,
    ModelPrice,
    Priced,
    PriceTable,
    PriceTier,
    Unit,
    Validity,
)

OLD = PriceTable(
    currency="USD",
    valid=Validity(from_="2026-11-01", to="2026-11-30"),
    models={
        "a": ModelPrice(input=1e-6, output=2e-6, tiers=(PriceTier(above=100, input=2e-6),)),
        "b": ModelPrice(input=3e-6, output=5e-6),
    },
)
NEW = PriceTable(
    currency="USD",
    valid=Validity(from_="2026-12-01"),
    models={
        "a": ModelPrice(input=1.5e-6, output=2e-6, tiers=(PriceTier(above=100, input=2e-6),)),
        "b": ModelPrice(input=3e-6, output=4e-6),
    },
)
BOOK = price_book({"old": OLD, "new": NEW})
NUMBERS = {(cell.model, cell.start, cell.above): cell.number for cell in BOOK.cells}


def usage(model: str, start: str, calls: int, given_out: int, given_in: int) -> GroupUsage:
    """Return calls of a model at the prices from a day on."""
    cell = NUMBERS[model, start, 0]
    used: dict[Priced, Fraction] = {
        ("llm", cell, "input"): Fraction(given_in),
        ("llm", cell, "output"): Fraction(given_out),
    }
    return GroupUsage(group=(model,), calls=calls, used=used, billed=Fraction(0))


NOV, DEC = "2026-11-01", "2026-12-01"


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        (
            [usage("a", NOV, 10, 100, 1000)],
            [usage("a", NOV, 10, 200, 1000)],
            ("2e-5", "0", "0"),
        ),
        (
            [usage("a", NOV, 10, 100, 1000)],
            [usage("a", DEC, 10, 100, 1000)],
            ("0", "5e-5", "0"),
        ),
        (
            [usage("a", NOV, 5, 50, 500), usage("b", NOV, 5, 50, 500)],
            [usage("a", NOV, 9, 90, 900), usage("b", NOV, 1, 10, 100)],
            ("0", "0", "-0.000092"),
        ),
        ([usage("a", NOV, 10, 0, 1000)], [usage("b", NOV, 10, 0, 1000)], ("0", "0", "2e-4")),
        (
            [usage("b", NOV, 10, 0, 1000)],
            [usage("b", DEC, 10, 100, 1000)],
            ("5e-5", "-1e-5", "0"),
        ),
    ],
    ids=["more output", "dearer", "other shares", "another model", "unused before"],
)
def test_each_cause_has_its_effect(
    baseline: list[GroupUsage], candidate: list[GroupUsage], expected: tuple[str, str, str]
) -> None:
    """One thing changed has one effect; a new use is priced as it cost before."""
    effects = split_change(baseline, candidate, BOOK, day="2026-11-30")
    assert (effects.usage, effects.price, effects.mix) == tuple(map(Fraction, expected))


def test_longer_prompts_in_a_dearer_tier_are_usage() -> None:
    """The price list is the same: it is the use that changed."""
    short, long = NUMBERS["a", NOV, 0], NUMBERS["a", NOV, 100]
    before = GroupUsage(
        group=("a",), calls=1, used={("llm", short, "input"): Fraction(100)}, billed=Fraction(0)
    )
    after = GroupUsage(
        group=("a",), calls=1, used={("llm", long, "input"): Fraction(200)}, billed=Fraction(0)
    )
    effects = split_change([before], [after], BOOK, day="2026-11-30")
    assert (effects.usage, effects.price) == (Fraction("3e-4"), Fraction(0))


def test_billed_cost_has_no_usage_and_no_price() -> None:
    """What was billed changes by itself, and is not given to a cause that nobody knows."""
    before = GroupUsage(group=("x",), calls=2, used={}, billed=Fraction(1))
    after = GroupUsage(group=("x",), calls=4, used={}, billed=Fraction(3))
    effects = split_change([before], [after], None)
    none = Fraction(0)
    parts = (effects.billed, effects.usage, effects.price, effects.mix)
    assert parts == (Fraction(1, 4), none, none, none)


COUNTS = st.integers(0, 10**9)
GROUPS = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["en", "de", None])),
    st.tuples(
        st.integers(1, 10**6),
        st.dictionaries(
            st.tuples(st.sampled_from([NOV, DEC]), st.sampled_from(["input", "output"])), COUNTS
        ),
        st.fractions(0, 10, max_denominator=10**9),
    ),
    min_size=1,
)


def arm(
    groups: dict[tuple[str, str | None], tuple[int, dict[tuple[str, Unit], int], Fraction]],
) -> list[GroupUsage]:
    """Return drawn groups as an arm."""
    return [
        GroupUsage(
            group=group,
            calls=calls,
            used={
                ("llm", NUMBERS[group[0], day, 0], unit): Fraction(n)
                for (day, unit), n in used.items()
            },
            billed=billed,
        )
        for group, (calls, used, billed) in groups.items()
    ]


@given(GROUPS, GROUPS, st.sampled_from(["2026-11-30", "2027-01-01", None]))
def test_the_effects_add_up_exactly(old: dict, new: dict, day: str | None) -> None:  # type: ignore[type-arg]
    """Whatever the groups, the sum is the change, exactly and also as it is shown."""
    baseline, candidate = arm(old), arm(new)
    effects = split_change(baseline, candidate, BOOK, day=day)
    parts = [effects.usage, effects.price, effects.mix, effects.billed]
    calls = [sum(group.calls for group in groups) for groups in (baseline, candidate)]
    change = amount_of(candidate, BOOK) / calls[1] - amount_of(baseline, BOOK) / calls[0]
    assert sum(parts) == effects.difference == change
    for places in (2, 12):
        assert sum(rounded(parts, places)) == rounded([effects.difference], places)[0]


@given(GROUPS, GROUPS)
def test_mix_is_what_the_formula_says(old: dict, new: dict) -> None:  # type: ignore[type-arg]
    """The rest of the other effects is the sum of (s' - s) times the new cost."""
    baseline, candidate = arm(old), arm(new)
    before, after = ({group.group: group for group in groups} for groups in (baseline, candidate))
    calls = [sum(group.calls for group in groups) for groups in (baseline, candidate)]
    mix = Fraction(0)
    for key in before.keys() | after.keys():
        shares = [
            Fraction(arms[key].calls, n) if key in arms else Fraction(0)
            for arms, n in zip((before, after), calls, strict=True)
        ]
        latest = after.get(key) or before[key]
        mix += (shares[1] - shares[0]) * amount_of([latest], BOOK) / latest.calls
    assert abs(split_change(baseline, candidate, BOOK, day="2026-11-30").mix - mix) < Fraction(
        "1e-15"
    )


@given(st.lists(st.fractions(-5, 5, max_denominator=997), max_size=6), st.integers(0, 4))
def test_rounded_parts_add_up_to_the_rounded_sum(parts: list[Fraction], places: int) -> None:
    """No part is moved by a whole unit of the last place."""
    shown = rounded(parts, places)
    total = sum(parts, Fraction(0))
    assert abs(Fraction(sum(shown, Decimal(0))) - total) <= Fraction(1, 2 * 10**places)
    for exact, amount in zip(parts, shown, strict=True):
        assert abs(Fraction(amount) - exact) < Fraction(1, 10**places)
