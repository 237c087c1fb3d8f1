"""Price tables and what one call costs: each token once, nothing without a price for free."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput
from relkit.monitoring.cost.price_files import parse_cost_policy, parse_prices, render_prices
from relkit.monitoring.cost.prices import (
    Usage,
    WithoutPrice,
    inclusive,
    price_book,
    price_call,
    quantities,
    suspicions,
)
from relkit.monitoring.cost.types import (
    ModelPrice,
    PriceBook,
    PriceTable,
    PriceTier,
    Validity,
)

HEAD = "schema: relkit.prices/v1\ncurrency: USD\nvalid: {from: 2026-11-01, to: null}\n"

MODELS = {
    "mini": ModelPrice(input=1.5e-7, cache_read=7.5e-8, output=6e-7),
    "large": ModelPrice(
        input=2.5e-6,
        output=1e-5,
        cache_read=1.25e-6,
        cache_write=3e-6,
        audio_in=4e-5,
        audio_out=8e-5,
        tiers=(PriceTier(above=1000, input=5e-6),),
    ),
    "thinker": ModelPrice(input=1e-6, output=2e-6, reasoning=4e-6),
    "ears": ModelPrice(audio_minute=0.0043),
    "mouth": ModelPrice(character=6.5e-5),
    "ranker": ModelPrice(query=0.001),
}


def table(**changes: object) -> PriceTable:
    """Return a price table of November 2026."""
    valid = Validity(from_="2026-11-01", to="2026-11-30")
    return replace(PriceTable(currency="USD", valid=valid, models=MODELS), **changes)  # type: ignore[arg-type]


BOOK = price_book({"a": table()})


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        ("mini", Usage(input=1000, output=100), "1000 * 1.5e-7 + 100 * 6e-7"),
        ("mini", Usage(input=1000, output=0, cache_read=600), "400 * 1.5e-7 + 600 * 7.5e-8"),
        ("mini", Usage(input=10, output=100, reasoning=90), "10 * 1.5e-7 + 100 * 6e-7"),
        ("thinker", Usage(input=0, output=100, reasoning=90), "10 * 2e-6 + 90 * 4e-6"),
        (
            "large",
            Usage(input=100, output=50, cache_write=20, audio_in=30, audio_out=10),
            "50 * 2.5e-6 + 20 * 3e-6 + 30 * 4e-5 + 40 * 1e-5 + 10 * 8e-5",
        ),
        ("large", Usage(input=1000, output=0), "1000 * 2.5e-6"),
        ("large", Usage(input=1001, output=1), "1001 * 5e-6 + 1 * 1e-5"),
        ("ears", Usage(audio_in_s=90), "1.5 * 0.0043"),
        ("mouth", Usage(characters=12), "12 * 6.5e-5"),
        ("ranker", Usage(), "0.001"),
        ("mini", Usage(input=0, output=0, audio_in_s=90, characters=12), "0"),
    ],
)
def test_each_token_is_priced_once(model: str, usage: Usage, cost: str) -> None:
    """Cached, written and audio tokens are part of input, reasoning is part of output."""
    assert price_call(BOOK, model, "2026-11-15", usage) == pytest.approx(eval(cost))  # noqa: S307 - sums written above


@pytest.mark.parametrize(
    ("model", "day", "usage", "code", "unit"),
    [
        (None, "2026-11-15", Usage(input=1, output=1), "no_model", None),
        ("other", "2026-11-15", Usage(input=1, output=1), "unknown_model", None),
        ("mini", "2026-10-31", Usage(input=1, output=1), "expired", None),
        ("mini", "2026-12-01", Usage(input=1, output=1), "expired", None),
        ("mini", "2026-11-15", Usage(output=1), "no_usage", "input"),
        ("mini", "2026-11-15", Usage(input=1), "no_usage", "output"),
        ("ears", "2026-11-15", Usage(input=1, output=1), "no_usage", "audio_minute"),
        ("mini", "2026-11-15", Usage(input=9, output=1, cache_write=1), "no_price", "cache_write"),
        ("mini", "2026-11-15", Usage(input=9, output=1, audio_in=1), "no_price", "audio_in"),
        ("mini", "2026-11-15", Usage(input=9, output=1, cache_read=10), "contradiction", "input"),
        ("mini", "2026-11-15", Usage(input=9, output=1, audio_out=2), "contradiction", "output"),
        ("ears", "2026-11-15", Usage(input=1, audio_in_s=1), "no_price", "input"),
    ],
)
def test_what_has_no_price_is_never_free(
    model: str | None, day: str, usage: Usage, code: str, unit: str | None
) -> None:
    """Unknown, expired, missing, uncounted and contradictory calls say so."""
    assert price_call(BOOK, model, day, usage) == WithoutPrice(code=code, unit=unit)  # type: ignore[arg-type]


COUNTS = st.integers(0, 10**7)


@given(text=COUNTS, read=COUNTS, written=COUNTS)
def test_gross_and_net_sources_cost_the_same(text: int, read: int, written: int) -> None:
    """Input without the cache, made inclusive, is input with it."""
    net = Usage(input=text, output=0, cache_read=read, cache_write=written)
    gross = replace(net, input=text + read + written)
    assert inclusive(net, net=True) == gross == inclusive(gross, net=False)
    assert price_call(BOOK, "large", "2026-11-15", gross) == (
        text * Fraction("5e-6" if text + read + written > 1000 else "2.5e-6")
        + read * Fraction("1.25e-6")
        + written * Fraction("3e-6")
    )


@given(counts=st.tuples(*[COUNTS] * 7), own_price=st.booleans())
def test_quantities_add_up_to_the_tokens(counts: tuple[int, ...], *, own_price: bool) -> None:
    """No token is counted twice, and none is lost."""
    usage = Usage(
        **dict(zip(("input", "output", "cache_read", "cache_write"), counts, strict=False))
    )
    usage = replace(usage, audio_in=counts[4], audio_out=counts[5], reasoning=counts[6])
    used = quantities(usage, ["reasoning"] if own_price else [])
    assert (
        sum(used[unit] or 0 for unit in ("input", "cache_read", "cache_write", "audio_in"))
        == counts[0]
    )
    assert sum(used[unit] or 0 for unit in ("output", "audio_out", "reasoning")) == counts[1]


def test_a_price_change_is_two_tables() -> None:
    """Each call has the price of its own day, and no day has two."""
    december = table(
        valid=Validity(from_="2026-12-01"), models={"mini": ModelPrice(input=3e-7, output=6e-7)}
    )
    book = price_book({"november.yaml": table(), "december.yaml": december})
    usage = Usage(input=100, output=0)
    assert price_call(book, "mini", "2026-11-30", usage) == 100 * Fraction("1.5e-7")
    assert price_call(book, "mini", "2026-12-01", usage) == 100 * Fraction("3e-7")
    with pytest.raises(InvalidInput, match=r'december.yaml: "mini" has a price in november.yaml'):
        price_book(
            {"november.yaml": table(valid=Validity(from_="2026-11-01")), "december.yaml": december}
        )


def test_currencies_are_never_added() -> None:
    """Tables in two currencies are refused."""
    with pytest.raises(InvalidInput, match="prices in EUR and USD"):
        price_book({"a": table(), "b": table(currency="EUR", models={"x": MODELS["mini"]})})


def test_a_table_is_read_as_it_was_written() -> None:
    """What an import writes is what is read back."""
    written = table(
        models=MODELS
        | {
            'a "b": é\n': replace(MODELS["mini"], valid=Validity(from_="2026-11-05", to=None)),
            "null": MODELS["mini"],
        }
    )
    text = render_prices(written, comment="From somewhere.")
    assert parse_prices(text, source="p.yaml") == written
    assert isinstance(price_book({"p": written}), PriceBook)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (
            "{m: {input: 2.5}}",
            "line 4: .*2.5 is no price per token; 2.5 per million tokens is 2.5e-06",
        ),
        ("{m: {input: -1e-7}}", "line 4: .*greater than or equal to 0"),
        ("{m: {input: .nan}}", "line 4: "),
        ("{m: {input: '1e-7'}}", "line 4: .*valid number"),
        ("{m: {input: true}}", "line 4: .*valid number"),
        ("{m: {inptu: 1e-7}}", 'unknown key "models.m.inptu"'),
        ("{m: {}}", '"m": has no price'),
        ("{}", "no model has a price"),
        ("{m: {input: 1e-7}, m: {input: 2e-7}}", "m"),
        ("{m: {audio_minute: 1, second: 1}}", "audio has two prices"),
        ("{m: {input: 1e-7, tiers: [{above: 9, output: 1e-7}]}}", "a tier prices output"),
        ("{m: {input: 1e-7, tiers: [{above: 9, input: 1e-7}, {above: 9, input: 2e-7}]}}", "rise"),
        ("{m: {input: 1e-7, tiers: [{above: 9}]}}", "the tier above 9 has no price"),
        ("{m: {input: 1e-7, valid: {from: 2026-12-02, to: 2026-12-01}}}", "ends before it begins"),
        ("{m: {input: 1e-7, valid: {from: 2026-13-02}}}", "a day such as 2026-11-01"),
    ],
)
def test_a_senseless_price_is_refused(models: str, message: str) -> None:
    """A unit, a sign, a number or a key that cannot be ends the reading with its line."""
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_prices(f"{HEAD}models: {models}\n", source="p.yaml")
    assert str(caught.value).startswith("p.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "schema: relkit.prices/v1\nvalid: {from: 2026-11-01}\nmodels: {m: {input: 1}}\n",
            "currency",
        ),
        (HEAD.replace("USD", "usd") + "models: {m: {input: 1e-7}}\n", "three capital letters"),
        ("schema: relkit.prices/v2\n", "relkit.prices/v1 was expected"),
        ("currency: USD\n", 'the key "schema" is missing'),
        ("[]\n", "a mapping of keys to values was expected"),
        (HEAD.replace("valid: {from: 2026-11-01, to: null}\n", "") + "models: {}\n", '"valid"'),
    ],
)
def test_a_table_needs_currency_and_days(text: str, message: str) -> None:
    """A price without a currency or without days is none."""
    with pytest.raises(InvalidInput, match=message):
        parse_prices(text, source="p.yaml")


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (ModelPrice(input=6e-7, output=1.5e-7), "are they swapped"),
        (ModelPrice(input=0.15, output=0.6), "per million"),
        (ModelPrice(input=0.0, output=0.0), "all its prices are 0"),
        (ModelPrice(input=1e-7, output=2e-7, cache_read=2e-7), "dearer than input"),
    ],
)
def test_a_doubtful_price_is_pointed_at(price: ModelPrice, reason: str) -> None:
    """What could be right and hardly ever is has a line of its own."""
    assert any(reason in doubt.reason for doubt in suspicions({"m": price}))
    assert not suspicions({"mini": MODELS["mini"], "ears": MODELS["ears"]})


POLICY = "schema: relkit.cost/v1\nname: cost\nmargin: 10%\n"


def test_a_policy_is_read_with_its_defaults() -> None:
    """Percent is a fraction, one price table needs no list, a model's name is enough."""
    policy = parse_cost_policy(
        f"{POLICY}prices: p.yaml\ncomponents: {{stt: ears, tts: {{column: voice}}}}\n", source="c"
    )
    assert (policy.margin, policy.max_unpriced, policy.gated) == (0.1, 0.01, "success")
    assert policy.prices == ("p.yaml",)
    assert policy.components["stt"].model == "ears"
    assert policy.components["tts"].column == "voice"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("marign: 1", 'unknown key "marign"'),
        ("per: []", "per"),
        ("per: [call, call]", "per has an entry twice"),
        ("per: [minute]", "per"),
        ("max_unpriced: 100%", "all calls may be without a price"),
        ("components: {stt: {}}", "stt needs a model or a column"),
        ("enforcement: maybe", "enforcement"),
        ("currency: dollars", "three capital letters"),
    ],
)
def test_a_senseless_policy_is_refused(line: str, message: str) -> None:
    """A misspelt key, and what could never fail, is named with its line."""
    with pytest.raises(InvalidInput, match=message):
        parse_cost_policy(f"{POLICY}{line}\n", source="cost.yaml")


def test_a_margin_is_needed() -> None:
    """A policy without one would let everything pass."""
    with pytest.raises(InvalidInput, match='"margin"'):
        parse_cost_policy("schema: relkit.cost/v1\nname: cost\n", source="cost.yaml")
    with pytest.raises(InvalidInput, match="can never fail"):
        parse_cost_policy(f"{POLICY.replace('10%', '1000%')}", source="cost.yaml")
