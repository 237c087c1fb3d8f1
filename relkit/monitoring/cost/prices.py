"""What one call costs: the price of its model at its time, each token priced once.

Tokens are counted inclusively: cached, written and audio tokens are part of input, reasoning and
audio part of output (docs/cost.md, section "Each token once"). A price is looked up by the exact
name of the model and by the day; what has none is never free.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from fractions import Fraction

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown
from relkit.monitoring.cost.types import (
    PRICE_UNITS,
    TOKEN_UNITS,
    ModelPrice,
    NotPriced,
    PriceBook,
    PriceCell,
    PriceTable,
    TokenPrices,
    Unit,
    UnpricedCode,
)

DEAR_PER_TOKEN = 1e-3
"""More than a thousand per million tokens: nobody sells those, so the unit is likely another."""

_FOREVER = "9999-12-31"

COUNTED: tuple[Unit, ...] = ("input", "output", "audio_minute", "second", "character")
"""Units whose count a call has to have where their price is above 0."""


def price_book(tables: Mapping[str, PriceTable]) -> PriceBook:
    """Return the prices of tables (name to table) together.

    Raises InvalidInput for several currencies, and for two prices of a model on one day: which of
    them holds would be a guess.
    """
    currencies = sorted({table.currency for table in tables.values()})
    if len(currencies) != 1:
        raise InvalidInput(
            f"{' and '.join(tables) or 'no price table'}: "
            f"prices in {' and '.join(currencies) or 'no currency'}",
            hint="amounts of several currencies are never added: give prices in one",
        )
    cells: list[PriceCell] = []
    ends: dict[str, list[tuple[str, str, str]]] = {}
    for source, table in tables.items():
        for model, price in table.models.items():
            start, end = _days(table, price)
            for first, last, other in ends.setdefault(model, []):
                if start < last and first < end:
                    raise InvalidInput(
                        f'{source}: "{shown(model)}" has a price in {other} for some of these days',
                        hint="end the older one: valid: {from: …, to: …}",
                    )
            ends[model].append((start, end, source))
            cells.extend(_cells(model, price, start, end, len(cells)))
    return PriceBook(currency=currencies[0], cells=tuple(cells))


def _days(table: PriceTable, price: ModelPrice) -> tuple[str, str]:
    """Return the first day of a price, and the first on which it holds no more."""
    valid = price.valid or table.valid
    if valid.to is None or valid.to == _FOREVER:
        return valid.from_, _FOREVER
    return valid.from_, (date.fromisoformat(valid.to) + timedelta(days=1)).isoformat()


def _cells(model: str, price: ModelPrice, start: str, end: str, number: int) -> Iterator[PriceCell]:
    limits = [0, *(tier.above for tier in price.tiers)]
    prices = exact_prices(price)
    for i, above in enumerate(limits):
        if i:
            prices = prices | exact_prices(price.tiers[i - 1])
        yield PriceCell(
            number=number + i,
            model=model,
            start=start,
            end=end,
            above=above,
            upto=limits[i + 1] if i + 1 < len(limits) else None,
            prices=prices,
        )


def exact_prices(price: TokenPrices) -> dict[Unit, Fraction]:
    """Return the prices that there are, as the decimals they were written as."""
    units = [item.name for item in fields(price) if item.name in PRICE_UNITS]
    return {
        unit: Fraction(repr(value))
        for unit in PRICE_UNITS
        if unit in units and (value := getattr(price, unit)) is not None
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one call used, as it was counted; None where it was not."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    audio_in: float | None = None
    audio_out: float | None = None
    reasoning: float | None = None
    audio_in_s: float | None = None
    characters: float | None = None


def inclusive(usage: Usage, *, net: bool) -> Usage:
    """Return usage whose input counts cached and written tokens.

    ``net``: the source leaves them out, as Anthropic's interface does.
    """
    if not net or usage.input is None:
        return usage
    counted = {item.name: getattr(usage, item.name) for item in fields(usage)}
    counted["input"] = usage.input + (usage.cache_read or 0) + (usage.cache_write or 0)
    return Usage(**counted)


def quantities(usage: Usage, priced: Iterable[Unit]) -> dict[Unit, float | Fraction | None]:
    """Return how much of each unit a call of inclusive usage used, each token in one of them.

    Reasoning is output where it has no price of its own (``priced``). Audio is counted in whole
    milliseconds. None: not counted.
    """
    audio = usage.audio_in_s
    seconds = None if audio is None else Fraction(round(audio * 1000), 1000)
    reasoning = usage.reasoning if "reasoning" in priced else 0.0
    within = (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.audio_in or 0)
    spoken = (usage.audio_out or 0) + (reasoning or 0)
    return {
        "input": None if usage.input is None else usage.input - within,
        "output": None if usage.output is None else usage.output - spoken,
        "cache_read": usage.cache_read or 0,
        "cache_write": usage.cache_write or 0,
        "audio_in": usage.audio_in or 0,
        "audio_out": usage.audio_out or 0,
        "reasoning": reasoning or 0,
        "audio_minute": None if seconds is None else seconds / 60,
        "second": seconds,
        "character": usage.characters,
        "query": 1,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutPrice:
    """Why a call has no price; ``unit`` is what has none, or was not counted."""

    code: UnpricedCode
    unit: Unit | None = None


def price_call(
    book: PriceBook, model: str | None, day: str, usage: Usage
) -> Fraction | WithoutPrice:
    """Return what a call of inclusive usage costs, or why it has no price.

    The cost is sum(quantity * price) over the units: nothing of it depends on another call. Audio
    and characters cost nothing where the model has no price for them: another model did them.
    """
    cell = None if model is None else book.cell(model, day, usage.input or 0)
    if cell is None:
        unknown: UnpricedCode = "expired" if model in book.models else "unknown_model"
        return WithoutPrice(code="no_model" if model is None else unknown)
    used = quantities(usage, cell.prices)
    without = next(_without(used, cell.prices), None)
    if without is not None:
        return without
    amounts = (Fraction(used[unit] or 0) * price for unit, price in cell.prices.items())
    return sum(amounts, Fraction(0))


def _without(
    used: Mapping[Unit, float | Fraction | None], prices: Mapping[Unit, Fraction]
) -> Iterator[WithoutPrice]:
    """Yield why a call has no price, the most telling reason first."""
    for unit in COUNTED:
        if prices.get(unit) and used[unit] is None:
            yield WithoutPrice(code="no_usage", unit=unit)
    for unit in TOKEN_UNITS:
        if (used[unit] or 0) < 0:
            yield WithoutPrice(code="contradiction", unit=unit)
    for unit in TOKEN_UNITS:
        if (used[unit] or 0) > 0 and unit not in prices:
            yield WithoutPrice(code="no_price", unit=unit)


def suspicions(models: Mapping[str, ModelPrice]) -> tuple[NotPriced, ...]:
    """Return what looks wrong about prices that could be right, in the order of the models."""
    return tuple(
        NotPriced(model=model, key=key, reason=reason)
        for model, price in models.items()
        for key, reason in _doubts(price)
    )


def _doubts(price: ModelPrice) -> Iterator[tuple[str | None, str]]:
    prices = exact_prices(price)
    if not any(prices.values()):
        yield None, "all its prices are 0"
    for tier in (price, *price.tiers):
        tokens = {unit: value for unit, value in exact_prices(tier).items() if unit in TOKEN_UNITS}
        for unit, value in tokens.items():
            if value > DEAR_PER_TOKEN:
                yield unit, f"{float(value):g} per token: is it one per thousand, or per million?"
        read, written = tokens.get("input"), tokens.get("output")
        if read and written and written < read:
            yield "output", "output is cheaper than input: are they swapped?"
        cached = tokens.get("cache_read")
        if cached and read and cached > read:
            yield "cache_read", "cached input is dearer than input"


def check_table(table: PriceTable) -> tuple[tuple[str | int, ...], str, str] | None:
    """Return the (path, defect, hint) of a table that contradicts itself, None for a sound one."""
    if not table.models:
        return ("models",), "no model has a price", "models: {NAME: {input: …, output: …}}"
    for validity, path in (
        (table.valid, ("valid",)),
        *((price.valid, ("models", name, "valid")) for name, price in table.models.items()),
    ):
        if validity and validity.to is not None and validity.to < validity.from_:
            return path, "ends before it begins", "both days are included"
    for name, price in table.models.items():
        defect = _defect(price)
        if defect is not None:
            return ("models", name), f'"{shown(name)}": {defect[0]}', defect[1]
    return None


def _defect(price: ModelPrice) -> tuple[str, str] | None:
    prices = exact_prices(price)
    if not prices:
        return "has no price", f"units: {', '.join(PRICE_UNITS)}"
    if "audio_minute" in prices and "second" in prices:
        return "audio has two prices", "keep audio_minute or second"
    limits = [tier.above for tier in price.tiers]
    if limits != sorted(set(limits)):
        return "its tiers do not rise", "give each tier a larger above than the one before"
    for tier in price.tiers:
        new = [unit for unit in exact_prices(tier) if unit not in prices]
        if new:
            return f"a tier prices {new[0]}, which has no price below it", "price it outside, too"
        if not exact_prices(tier):
            return f"the tier above {tier.above} has no price", "give it one, or remove it"
    return None


def nearest_model(name: str, names: Sequence[str]) -> str | None:
    """Return the model of a table that a name may mean: with a provider before it, or misspelt."""
    of_provider = [other for other in names if other.rpartition("/")[2] == name]
    close = min(of_provider, key=len, default=None)
    return close or next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.8)), None)
