"""Why a call costs more or less than before: usage, price and mix, which add up exactly.

Calls are grouped by models and slice values. With s a group's share of the calls, u its use of a
unit per call and p what that unit cost on average (baseline s, u, p; candidate s', u', p'), the
change of the cost per call is the sum over the groups of

- usage  s (u' - u) p, at old prices and mix,
- price  s u' (p' - p), at new usage,
- mix    (s' - s) u' p', between models and slices,

summed over units: s u p -> s u' p -> s u' p' -> s' u' p', one factor at a time. So usage is weighed
as in Laspeyres' index and price as in Paasche's (docs/cost.md, section "Why it changed").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor

from relkit.monitoring.cost.types import GroupUsage, Payee, PriceBook, Unit

_GRAIN = 10**18
"""Effects of groups are whole multiples of 1/this, so that their sum is exact and short."""

_Paid = tuple[Payee, int, Unit]
"""Who was paid, above how many tokens of input, and for what: the same on any day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Parts of the change of the cost per call, exact; they add up to ``difference``.

    ``billed`` is the change within groups of cost that was billed: it has no usage and no price.
    """

    usage: Fraction
    price: Fraction
    mix: Fraction
    billed: Fraction
    difference: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One group's calls, (quantity, amount) of what was paid for, and what was billed."""

    calls: int
    paid: Mapping[_Paid, tuple[Fraction, Fraction]]
    billed: Fraction

    @property
    def amount(self) -> Fraction:
        """All it cost."""
        return sum((amount for _, amount in self.paid.values()), self.billed)


def amount_of(groups: Sequence[GroupUsage], book: PriceBook | None) -> Fraction:
    """Return what groups cost together, exactly."""
    return sum((_group(group, book).amount for group in groups), Fraction(0))


def split_change(
    baseline: Sequence[GroupUsage],
    candidate: Sequence[GroupUsage],
    book: PriceBook | None,
    *,
    day: str | None = None,
) -> Effects:
    """Return why the cost per call of two arms with calls differs.

    A group that only one arm has is mix. What the baseline did not use is priced as on ``day``, its
    last, where the book has that price, and else as the candidate paid for it.
    """
    old = {group.group: _group(group, book) for group in baseline}
    new = {group.group: _group(group, book) for group in candidate}
    calls = [Fraction(sum(group.calls for group in arm.values())) for arm in (old, new)]
    totals = [sum((group.amount for group in arm.values()), Fraction(0)) for arm in (old, new)]
    difference = totals[1] / calls[1] - totals[0] / calls[0]
    listed = {} if book is None else _listed(book, day)
    usage = price = billed = Fraction(0)
    cells = {} if book is None else {cell.number: cell.model for cell in book.cells}
    models = {group.group: _models(group, cells) for group in candidate}
    for key in old.keys() & new.keys():
        before, after = old[key], new[key]
        share = before.calls / calls[0]
        usages, prices = Fraction(0), Fraction(0)
        for paid in before.paid.keys() | after.paid.keys():
            quantity, amount = before.paid.get(paid, (Fraction(0), Fraction(0)))
            later, later_amount = after.paid.get(paid, (Fraction(0), Fraction(0)))
            per_call, later_per_call = quantity / before.calls, later / after.calls
            if quantity:
                unit_price = amount / quantity
            else:
                model = models[key].get(paid[0])
                listing = listed.get((model, *paid[1:]))
                unit_price = later_amount / later if later else Fraction(0)
                unit_price = unit_price if listing is None else listing
            usages += (later_per_call - per_call) * unit_price
            prices += later_amount / after.calls - later_per_call * unit_price
        usage += _grained(share * usages)
        price += _grained(share * prices)
        billed += _grained(share * (after.billed / after.calls - before.billed / before.calls))
    return Effects(
        usage=usage,
        price=price,
        mix=difference - usage - price - billed,
        billed=billed,
        difference=difference,
    )


def _grained(effect: Fraction) -> Fraction:
    return Fraction(round(effect * _GRAIN), _GRAIN)


def _group(usage: GroupUsage, book: PriceBook | None) -> _Group:
    paid: dict[_Paid, tuple[Fraction, Fraction]] = {}
    cells = {} if book is None else {cell.number: cell for cell in book.cells}
    for (component, number, unit), quantity in usage.used.items():
        cell = cells[number]
        key = (component, cell.above, unit)
        before, amount = paid.get(key, (Fraction(0), Fraction(0)))
        paid[key] = (before + quantity, amount + quantity * cell.prices.get(unit, Fraction(0)))
    return _Group(calls=usage.calls, paid=paid, billed=usage.billed)


def _models(usage: GroupUsage, cells: Mapping[int, str]) -> dict[Payee, str]:
    return {component: cells[number] for component, number, _ in usage.used}


def _listed(book: PriceBook, day: str | None) -> dict[tuple[str | None, int, Unit], Fraction]:
    """Return the prices of a day by model, tier and unit."""
    return {
        (cell.model, cell.above, unit): price
        for cell in book.cells
        if day is not None and cell.start <= day < cell.end
        for unit, price in cell.prices.items()
    }


def rounded(parts: Sequence[Fraction], places: int) -> list[Decimal]:
    """Return amounts with so many decimals that add up to their rounded sum.

    The parts that lose most by rounding down are rounded up (Hamilton's method), so that what a
    reader adds up is what stands below.
    """
    grain = 10**places
    total = floor(sum(parts, Fraction(0)) * grain + Fraction(1, 2))
    down = [floor(part * grain) for part in parts]
    order = sorted(range(len(parts)), key=lambda i: (down[i] - parts[i] * grain, i))
    for i in order[: total - sum(down)]:
        down[i] += 1
    return [Decimal(value).scaleb(-places) for value in down]
