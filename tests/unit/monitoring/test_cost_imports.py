"""Price maps of LiteLLM and Langfuse: what has a unit is taken, everything else is listed."""

import json
from typing import Any

import pytest

from relkit.core.errors import InvalidInput
from relkit.monitoring.cost.price_files import import_prices, parse_prices, render_prices
from relkit.monitoring.cost.types import ImportedPrices, MapFormat, ModelPrice, PriceTier
from relkit.monitoring.cost.view import price_import_text

CHAT: dict[str, Any] = {
    "litellm_provider": "openai",
    "mode": "chat",
    "max_tokens": 16384,
    "supports_vision": True,
    "input_cost_per_token": 2.5e-06,
    "output_cost_per_token": 1e-05,
    "cache_read_input_token_cost": 1.25e-06,
    "input_cost_per_token_batches": 1.25e-06,
    "search_context_cost_per_query": {"search_context_size_low": 0.025},
}
LITELLM: dict[str, Any] = {
    "sample_spec": {"input_cost_per_token": 0.0, "mode": "one of: chat, embedding"},
    "chat": CHAT,
    "long": CHAT
    | {
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
        "input_cost_per_token_above_128k_tokens": 5e-06,
        "output_cost_per_token_above_128k_tokens": 2e-05,
        "input_cost_per_token_above_200k_tokens": 7e-06,
        "input_cost_per_token_above_200k_tokens_priority": 9e-06,
    },
    "spoken": CHAT | {"input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": 8e-05},
    "whisper": {
        "mode": "audio_transcription",
        "input_cost_per_second": 0.0001,
        "output_cost_per_second": 0.0001,
    },
    "tts": {"mode": "audio_speech", "input_cost_per_character": 1.5e-05},
    "rerank": {"mode": "rerank", "input_cost_per_query": 0.001, "input_cost_per_token": 0.0},
    "bedrock-hours": {"mode": "chat", "input_cost_per_second": 0.011},
    "picture": {"mode": "image_generation", "output_cost_per_image": 0.04},
    "free": {"mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0},
    "steps": {"mode": "chat", "tiered_pricing": [{"input_cost_per_token": 5e-08}]},
}


def litellm(document: object, **options: Any) -> ImportedPrices:  # noqa: ANN401  # those of the import
    """Return what a map gives."""
    named = {"source": "map.json", "currency": "USD", "valid_from": "2026-11-01", **options}
    return import_prices(json.dumps(document), **named)


def reasons(imported: ImportedPrices, model: str) -> dict[str | None, str]:
    """Return why keys of a model are not priced."""
    return {entry.key: entry.reason for entry in imported.not_priced if entry.model == model}


def test_what_has_a_unit_is_taken() -> None:
    """Tokens, tiers by length, audio, seconds of a recogniser, characters of a voice, queries."""
    imported = litellm(LITELLM)
    plain = ModelPrice(input=2.5e-06, output=1e-05, cache_read=1.25e-06)
    assert imported.table.models == {
        "chat": plain,
        "long": ModelPrice(
            input=2.5e-06,
            output=1e-05,
            cache_read=1.25e-06,
            cache_write=3.75e-06,
            tiers=(
                PriceTier(above=128_000, input=5e-06, output=2e-05),
                PriceTier(above=200_000, input=7e-06),
            ),
        ),
        "spoken": ModelPrice(
            input=2.5e-06, output=1e-05, cache_read=1.25e-06, audio_in=4e-05, audio_out=8e-05
        ),
        "whisper": ModelPrice(second=0.0001),
        "tts": ModelPrice(character=1.5e-05),
        "rerank": ModelPrice(input=0.0, query=0.001),
    }
    assert (imported.format, imported.entries) == ("litellm", 10)


def test_what_has_no_unit_is_listed() -> None:
    """Other service tiers, longer caches, computing time, pictures and free models are not ours."""
    imported = litellm(LITELLM)
    assert reasons(imported, "chat") == {
        "input_cost_per_token_batches": "price of another service tier",
        "search_context_cost_per_query": "searches are not counted",
    }
    longer = reasons(imported, "long")
    assert "price of a longer cache" in longer.values()
    assert "input_cost_per_token_above_200k_tokens_priority" in longer
    assert "output_cost_per_second" in reasons(imported, "whisper")
    assert reasons(imported, "free") == {None: "all its prices are 0"}
    for model in ("bedrock-hours", "picture", "steps"):
        assert None in reasons(imported, model)
        assert len(reasons(imported, model)) == 2
    text = price_import_text(imported)
    assert text.startswith("litellm: 6 models of 10 have a price in USD from 2026-11-01 on")
    written = render_prices(imported.table, comment="x")
    assert parse_prices(written, source="t.yaml") == imported.table


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_cost_per_token": "2.5e-06"}, "is no number but str"),
        ({"input_cost_per_token": None}, "is no number but NoneType"),
        ({"input_cost_per_token": True}, "is no number but bool"),
        ({"output_cost_per_token": -1e-05}, "is negative: -1e-05"),
        ({"output_cost_per_token": 10}, "10 is no price per token or character"),
        ({"output_cost_per_token": 10**400}, "is larger than any price"),
        ({"input_cost_per_token": 0.0025}, "is it one per thousand, or per million?"),
        ({"input_cost_per_token": 1e-05, "output_cost_per_token": 2.5e-06}, "are they swapped?"),
        ({"cache_read_input_token_cost": 1}, "per token"),
    ],
)
def test_a_mutated_price_is_never_taken(change: dict[str, object], reason: str) -> None:
    """A model of which one price cannot be is left out whole, and listed with the reason."""
    imported = litellm({"good": CHAT, "bad": CHAT | change})
    assert list(imported.table.models) == ["good"]
    listed = [item for item in imported.not_priced if item.model == "bad"]
    assert any(reason in item.reason for item in listed)
    assert None in {item.key for item in listed}


def test_a_missing_unit_is_no_price() -> None:
    """A tier above nothing is listed: what the first tokens cost would be a guess."""
    imported = litellm({"good": CHAT, "bad": {"input_cost_per_token_above_128k_tokens": 5e-06}})
    assert list(imported.table.models) == ["good"]
    assert None in reasons(imported, "bad")


@pytest.mark.parametrize(
    ("text", "format_", "message"),
    [
        ('{"a": {"input_cost_per_token": NaN}}', None, "NaN is no JSON number"),
        ('{"a": {"input_cost_per_token": 1e-6}, "a": {}}', None, 'the key "a" stands twice'),
        ('{"a": 1}', None, "is no price map of litellm"),
        ("[1]", None, "is no price map of langfuse"),
        ("{}", "langfuse", "is no price map of langfuse"),
        ("{", None, "not JSON"),
        ('{"a": {"mode": "chat"}}', None, "no model of it has a price"),
    ],
)
def test_what_is_no_map_is_refused(text: str, format_: MapFormat | None, message: str) -> None:
    """Text, another shape, a model twice and a map of nothing end with one message."""
    with pytest.raises(InvalidInput, match=message):
        import_prices(
            text, source="map.json", currency="USD", valid_from="2026-11-01", format_=format_
        )


def test_models_are_chosen_by_name() -> None:
    """Only those named are taken, and a misspelt one is answered with the nearest."""
    assert list(litellm(LITELLM, models=["tts"]).table.models) == ["tts"]
    with pytest.raises(InvalidInput, match='no model "whispr"') as caught:
        litellm(LITELLM, models=["whispr"])
    assert caught.value.hint == 'did you mean "whisper"?'


def tier(prices: dict[str, Any], *conditions: dict[str, Any]) -> dict[str, Any]:
    """Return a pricing tier as Langfuse writes it."""
    return {
        "id": "t",
        "name": "Large Context" if conditions else "Standard",
        "isDefault": not conditions,
        "priority": len(conditions),
        "conditions": list(conditions),
        "prices": prices,
    }


def entry(name: str, *tiers: dict[str, Any]) -> dict[str, Any]:
    """Return a model as Langfuse writes it."""
    return {
        "id": name,
        "modelName": name,
        "matchPattern": f"(?i)^(openai/)?({name})$",
        "createdAt": "2025-09-29T00:00:00.000Z",
        "tokenizerConfig": None,
        "tokenizerId": "openai",
        "pricingTiers": list(tiers),
    }


SONNET = {
    "input": 0.000003,
    "input_tokens": 0.000003,
    "output": 0.000015,
    "output_tokens": 0.000015,
    "cache_creation_input_tokens": 0.00000375,
    "input_cache_creation": 0.00000375,
    "input_cache_creation_5m": 0.00000375,
    "input_cache_creation_1h": 0.000006,
    "cache_read_input_tokens": 3e-7,
    "input_cache_read": 3e-7,
}
LARGE = {
    "usageDetailPattern": "input",
    "operator": "gt",
    "value": 200000,
    "caseSensitive": False,
}
TWICE = {key: 2 * price for key, price in SONNET.items()}
SPOKEN = {
    "input_text_tokens": 5e-6,
    "input_cached_text_tokens": 2.5e-6,
    "output_text_tokens": 2e-5,
    "input_audio_tokens": 1e-4,
    "input_audio": 1e-4,
    "input_cached_audio_tokens": 2e-5,
    "output_audio_tokens": 2e-4,
    "output_audio": 2e-4,
}
FLASH = {
    "input": 3e-7,
    "promptTokenCount": 3e-7,
    "input_cached_tokens": 3e-8,
    "output": 2.5e-6,
    "thoughts_token_count": 2.5e-6,
    "input_audio_tokens": 1e-6,
    "grounding_queries": 0.014,
}


def test_langfuse_names_a_unit_many_ways() -> None:
    """The spellings of one unit are one price; a tier by length keeps what differs."""
    by_prompt = LARGE | {"usageDetailPattern": "(input|prompt|cached)", "operator": "gte"}
    document = [
        entry("sonnet", tier(SONNET), tier(TWICE, LARGE)),
        entry("flash", tier(FLASH), tier(FLASH | {"output": 5e-6}, by_prompt)),
        entry("realtime", tier(SPOKEN)),
        entry("ada", tier({"total": 4e-6})),
    ]
    imported = litellm(document)
    models = imported.table.models
    assert models["sonnet"].cache_write == 3.75e-6
    assert models["sonnet"].tiers == (
        PriceTier(above=200_000, input=6e-6, output=3e-5, cache_read=6e-7, cache_write=7.5e-6),
    )
    assert models["flash"].tiers == (PriceTier(above=199_999, output=5e-6),)
    assert (models["flash"].audio_in, models["flash"].reasoning) == (1e-6, 2.5e-6)
    assert reasons(imported, "sonnet") == {"input_cache_creation_1h": "price of a longer cache"}
    assert reasons(imported, "flash") == {"grounding_queries": "searches are not counted"}
    assert models["realtime"] == ModelPrice(
        input=5e-6, output=2e-5, cache_read=2.5e-6, audio_in=1e-4, audio_out=2e-4
    )
    assert list(reasons(imported, "realtime")) == ["input_cached_audio_tokens"]
    assert reasons(imported, "ada") == {
        "total": "no unit of relkit",
        None: "no price that relkit knows",
    }
    assert imported.format == "langfuse"


@pytest.mark.parametrize(
    "entries",
    [
        [entry("bad", tier(SONNET | {"input_tokens": 1e-6}))],
        [entry("bad", tier(SONNET | {"output": "15"}))],
        [entry("bad", tier(SONNET), tier(TWICE, LARGE | {"operator": "lt"}))],
        [entry("bad", tier(SONNET), tier(TWICE, LARGE | {"usageDetailPattern": "output"}))],
        [entry("bad", tier(SONNET), tier(TWICE, LARGE, LARGE))],
        [entry("bad", tier(TWICE, LARGE))],
        [entry("bad") | {"pricingTiers": "none"}],
        [entry("bad", tier(SONNET)), entry("bad", tier(SONNET))],
        [entry("bad", tier({"input": 15e-6, "output": 3e-6}))],
    ],
    ids=[
        "two prices",
        "text",
        "operator",
        "pattern",
        "two conditions",
        "no default",
        "no tiers",
        "a model twice",
        "swapped",
    ],
)
def test_what_langfuse_does_not_say_plainly_is_listed(entries: list[dict[str, Any]]) -> None:
    """A model whose price would have to be guessed is left out whole."""
    imported = litellm([entry("good", tier(SONNET)), *entries])
    assert list(imported.table.models) == ["good"]
    assert reasons(imported, "bad")
