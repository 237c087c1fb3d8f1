"""Price tables in YAML, and the price maps of LiteLLM and Langfuse.

A map has hundreds of keys that say what something costs. Those that mean one of our units are
taken; every other one that is not 0 is listed with the reason, and so is what cannot be a price.
Nothing is derived from something else: a price that is wrong is worse than one that is missing.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from relkit.core import yaml_text
from relkit.core.codec import Lines, line_of, parse, parse_json
from relkit.core.errors import InvalidInput, Malformed
from relkit.core.yaml_text import shown
from relkit.monitoring.cost.prices import check_table, suspicions
from relkit.monitoring.cost.types import (
    MOST_PER_TOKEN,
    TOKEN_UNITS,
    CostPolicy,
    ImportedPrices,
    MapFormat,
    ModelPrice,
    NotPriced,
    PriceTable,
    PriceTier,
    Unit,
    Validity,
)
from relkit.telemetry.columns import NAMES_PERSONS, RENAME_IT, is_of_persons


def parse_prices(text: str, *, source: str) -> PriceTable:
    """Return a price table from YAML; raises InvalidInput with file, line and what to do."""
    document, lines = yaml_text.load(text, source=source)
    _check_schema(document, "relkit.prices/v1", source, lines)
    table = parse(PriceTable, document, source=source, lines=lines)
    defect = check_table(table)
    if defect is not None:
        path, problem, hint = defect
        raise Malformed(problem, source=source, line=line_of(path, lines), hint=hint)
    return table


def parse_cost_policy(text: str, *, source: str) -> CostPolicy:
    """Return a cost policy from YAML; raises InvalidInput with file, line and what to do."""
    document, lines = yaml_text.load(text, source=source)
    _check_schema(document, "relkit.cost/v1", source, lines)
    policy = parse(CostPolicy, document, source=source, lines=lines)
    defect = next(_defects(policy), None)
    if defect is not None:
        key, problem, hint = defect
        raise Malformed(problem, source=source, line=line_of((key,), lines), hint=hint)
    return policy


def _check_schema(document: object, schema: str, source: str, lines: Lines) -> None:
    begin = f'begin the file with "schema: {schema}"'
    if not isinstance(document, Mapping):
        raise Malformed("a mapping of keys to values was expected", source=source, hint=begin)
    if "schema" not in document:
        raise Malformed('the key "schema" is missing', source=source, line=1, hint=begin)
    if document["schema"] != schema:
        raise Malformed(
            f'the schema is "{shown(str(document["schema"]))}", and {schema} was expected',
            source=source,
            line=lines.get(("schema",)),
            hint=begin,
        )


def _defects(policy: CostPolicy) -> Iterator[tuple[str, str, str]]:
    """Yield (key, defect, hint) of what makes no sense in a policy."""
    if policy.margin >= 10:  # noqa: PLR2004 - eleven times the cost
        yield "margin", f"a margin of {policy.margin:g} can never fail", "10% or 0.1 is a tenth"
    if policy.max_unpriced >= 1:
        yield "max_unpriced", "all calls may be without a price", "the default is 1%"
    for name, component in policy.components.items():
        if (component.model is None) == (component.column is None):
            yield "components", f"{name} needs a model or a column", f"{name}: {{column: NAME}}"
    for key in ("baseline", "candidate"):
        choice = getattr(policy, key)
        if choice is not None and (choice.release is None) == (choice.arm is None):
            yield key, f"{key} needs a release or an arm", f"{key}: {{release: NAME}}"
    if persons := next(filter(is_of_persons, policy.slices), None):
        yield "slices", f'"{shown(persons)}" {NAMES_PERSONS}', RENAME_IT
    for key in ("slices", "per"):
        values = getattr(policy, key)
        if len(set(values)) != len(values):
            yield key, f"{key} has an entry twice", "name each once"


def render_prices(table: PriceTable, *, comment: str) -> str:
    """Return a price table as YAML; reading it gives the same table."""
    valid = _mapping({"from": table.valid.from_, "to": table.valid.to or "null"})
    lines = [
        *(f"# {line}" for line in comment.splitlines()),
        f"schema: {table.schema}",
        f"currency: {table.currency}",
        f"valid: {valid}",
        "models:",
    ]
    for name, price in table.models.items():
        keys: dict[str, str] = {
            unit: repr(value) for unit, value in _priced(price) if value is not None
        }
        if price.tiers:
            keys["tiers"] = "[" + ", ".join(map(_tier, price.tiers)) + "]"
        if price.valid is not None:
            keys["valid"] = _mapping({"from": price.valid.from_, "to": price.valid.to or "null"})
        lines.append(f"  {_quoted(name)}: {_mapping(keys)}")
    return "\n".join(lines) + "\n"


def _priced(price: ModelPrice) -> Iterator[tuple[str, float | None]]:
    for unit in (*TOKEN_UNITS, "audio_minute", "second", "character", "query"):
        yield unit, getattr(price, unit)


def _tier(tier: PriceTier) -> str:
    prices = ((str(unit), getattr(tier, unit)) for unit in TOKEN_UNITS)
    written = {unit: repr(value) for unit, value in prices if value is not None}
    return _mapping({"above": str(tier.above), **written})


def _mapping(keys: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


def _quoted(name: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", name) and name.lower() not in _WORDS:
        return name
    escaped = "".join(
        char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in name
    )
    return f'"{escaped}"'


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}

_CONTEXT = re.compile(r"_above_([0-9]+)(k?)_tokens$")

_LITELLM: Mapping[str, Unit] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_second": "second",
    "input_cost_per_character": "character",
    "input_cost_per_query": "query",
}

_ONLY_FOR: Mapping[Unit, str] = {
    "second": "audio_transcription",
    "character": "audio_speech",
    "query": "rerank",
}
"""The ``mode`` in which LiteLLM's key is our unit; elsewhere a second is one of computing."""

_REASONS: Mapping[str, str] = {
    "batches": "price of another service tier",
    "priority": "price of another service tier",
    "flex": "price of another service tier",
    "hr": "price of a longer cache",
    "image": "images are not counted",
    "video": "video is not counted",
    "pixel": "images are not counted",
    "page": "pages are not counted",
    "dbu": "in units of the provider",
    "per_query": "searches are not counted",
    "audio_token_cost": "cached audio is not counted apart",
    "tiered": "another form of tiers",
    "per_second": "seconds of computing or output are not counted",
}


def import_prices(
    text: str,
    *,
    source: str,
    currency: str,
    valid_from: str,
    format_: MapFormat | None = None,
    models: Sequence[str] = (),
) -> ImportedPrices:
    """Return a price table from a price map of LiteLLM or Langfuse, and what is not in it.

    ``models`` keeps those alone. Neither map has a currency or days: both are the caller's word.
    Raises InvalidInput for what is no such map, and for a model that it does not have.
    """
    document = parse_json(text, source=source)
    guessed: MapFormat = "langfuse" if isinstance(document, list) else "litellm"
    kind = guessed if format_ is None else format_
    entries = _langfuse(document) if kind == "langfuse" else _litellm(document)
    if entries is None:
        expected = "a list of models" if kind == "langfuse" else "models by name"
        raise Malformed(
            f"is no price map of {kind}: {expected} was expected",
            source=source,
            hint="say which it is: --format litellm or --format langfuse",
        )
    for name in models:
        if name not in entries:
            close = difflib.get_close_matches(name, entries, n=1)
            raise InvalidInput(
                f'{source}: no model "{shown(name)}"',
                hint=f'did you mean "{close[0]}"?' if close else "leave --models out to see all",
            )
    chosen = models or tuple(entries)
    priced: dict[str, ModelPrice] = {}
    not_priced: list[NotPriced] = []
    for name in chosen:
        price, listed = entries[name]
        not_priced += listed
        if price is not None:
            priced[name] = price
    for doubt in suspicions(priced):
        not_priced.append(NotPriced(model=doubt.model, reason=doubt.reason))
        priced.pop(doubt.model, None)
    if not priced:
        raise InvalidInput(
            f"{source}: no model of it has a price that relkit knows"
            + (f" ({shown(not_priced[0].reason)})" if not_priced else ""),
            hint="say which it is: --format litellm or --format langfuse",
        )
    return ImportedPrices(
        format=kind,
        entries=len(chosen),
        table=PriceTable(currency=currency, valid=Validity(from_=valid_from), models=priced),
        not_priced=tuple(not_priced),
    )


_MOST_AMOUNT = 10**15

_Entry = tuple[ModelPrice | None, list[NotPriced]]


def _amount(value: object, unit: Unit) -> float | str:
    """Return a price, or why it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is no number but {type(value).__name__}"
    if not -_MOST_AMOUNT < value < _MOST_AMOUNT:  # JSON has integers of any length, and 1e999
        return "is larger than any price"
    if value < 0:
        return f"is negative: {value:g}"
    if unit not in {"second", "audio_minute", "query"} and value > MOST_PER_TOKEN:
        return f"{value:g} is no price per token or character"
    return float(value)


def _litellm(document: object) -> dict[str, _Entry] | None:
    if not isinstance(document, Mapping) or not all(
        isinstance(entry, Mapping) for entry in document.values()
    ):
        return None
    return {
        name: _litellm_model(name, cast("Mapping[str, Any]", entry))
        for name, entry in document.items()
        if name != "sample_spec"
    }


def _litellm_model(name: str, entry: Mapping[str, Any]) -> _Entry:
    listed: list[NotPriced] = []
    base: dict[Unit, float] = {}
    tiers: dict[int, dict[Unit, float]] = {}
    broken = False
    for key, value in entry.items():
        if "cost" not in key and key != "tiered_pricing":
            continue
        context = _CONTEXT.search(key)
        unit = _LITELLM.get(key[: context.start()] if context else key)
        if unit is None or (unit in _ONLY_FOR and entry.get("mode") != _ONLY_FOR[unit]):
            if value != 0:
                reason = _NO_UNIT if unit is None else "means something else here"
                reason = next((text for part, text in _REASONS.items() if part in key), reason)
                listed.append(NotPriced(model=name, key=key, reason=reason))
            continue
        amount = _amount(value, unit)
        if isinstance(amount, str):
            listed.append(NotPriced(model=name, key=key, reason=amount))
            broken = True
        elif context is None:
            base[unit] = amount
        elif unit in TOKEN_UNITS:
            above = int(context[1]) * (1000 if context[2] else 1)
            tiers.setdefault(above, {})[unit] = amount
        elif amount:
            listed.append(NotPriced(model=name, key=key, reason="only tokens have tiers here"))
    if "second" in base and "input" in base:
        listed.append(
            NotPriced(model=name, key="input_cost_per_second", reason="tokens are priced, too")
        )
        del base["second"]
    return _model(name, base, tiers, listed, broken=broken)


def _model(
    name: str,
    base: Mapping[Unit, float],
    tiers: Mapping[int, Mapping[Unit, float]],
    listed: list[NotPriced],
    *,
    broken: bool,
) -> _Entry:
    """Return a model's price, None where one of its prices is none: half a price is too low."""
    if broken:
        return None, [*listed, NotPriced(model=name, reason="one of its prices is none")]
    if not any(base.values()):
        reason = "all its prices are 0" if base else "no price that relkit knows"
        return None, [*listed, NotPriced(model=name, reason=reason)]
    for above, prices in tiers.items():
        new = [unit for unit in prices if unit not in base]
        if new or above < 1:
            reason = f"priced above {above} tokens, and not below"
            return None, [
                *listed,
                NotPriced(model=name, key=new[0] if new else None, reason=reason),
            ]
    steps = tuple(
        PriceTier(above=above, **cast("Any", dict(tiers[above]))) for above in sorted(tiers)
    )
    return ModelPrice(**cast("Any", dict(base)), tiers=steps), listed


_LANGFUSE: Mapping[str, Unit] = {
    **dict.fromkeys(("input", "input_tokens", "input_text", "input_modality_1"), "input"),
    **dict.fromkeys(("prompt_token_count", "promptTokenCount", "input_text_tokens"), "input"),
    **dict.fromkeys(("output", "output_tokens", "output_text", "output_modality_1"), "output"),
    **dict.fromkeys(
        ("candidates_token_count", "candidatesTokenCount", "output_text_tokens"), "output"
    ),
    **dict.fromkeys(
        (
            "input_cached_tokens",
            "input_cached_text_tokens",
            "input_cache_read",
            "cache_read_input_tokens",
            "cached_content_token_count",
        ),
        "cache_read",
    ),
    **dict.fromkeys(
        ("cache_creation_input_tokens", "input_cache_creation", "input_cache_creation_5m"),
        "cache_write",
    ),
    **dict.fromkeys(("input_audio_tokens", "input_audio"), "audio_in"),
    **dict.fromkeys(("output_audio_tokens", "output_audio"), "audio_out"),
    **dict.fromkeys(
        ("output_reasoning_tokens", "output_reasoning", "thoughts_token_count"), "reasoning"
    ),
    "thoughtsTokenCount": "reasoning",
}

_NO_UNIT = "no unit of relkit"
_OTHERS = {
    "_1h": "price of a longer cache",
    "cached_audio": "cached audio is not counted apart",
    "queries": "searches are not counted",
    "Queries": "searches are not counted",
}

_OF_INPUT = re.compile(r"\^?\(?input(\|prompt)?(\|cached)?\)?")
"""Patterns of usage keys that add up to all of the input."""


def _langfuse(document: object) -> dict[str, _Entry] | None:
    if not isinstance(document, list) or not all(
        isinstance(entry, Mapping) and isinstance(entry.get("modelName"), str) for entry in document
    ):
        return None
    entries: dict[str, _Entry] = {}
    for entry in document:
        name = entry["modelName"]
        if name in entries:
            entries[name] = None, [NotPriced(model=name, reason="stands in the map twice")]
        else:
            entries[name] = _langfuse_model(name, entry)
    return entries


def _langfuse_model(name: str, entry: Mapping[str, Any]) -> _Entry:
    tiers = entry.get("pricingTiers")
    if not isinstance(tiers, list) or not all(isinstance(tier, Mapping) for tier in tiers):
        flat = entry.get("prices")
        tiers = [{"isDefault": True, "conditions": [], "prices": flat}]
    listed: list[NotPriced] = []
    by_length: dict[int, dict[Unit, float]] = {}
    for tier in tiers:
        above = _above(tier)
        if above is None or above in by_length:
            reason = "a tier has another condition than the length of the input"
            return None, [*listed, NotPriced(model=name, key="pricingTiers", reason=reason)]
        prices = tier.get("prices")
        if not isinstance(prices, Mapping):
            return None, [NotPriced(model=name, key="prices", reason="is no mapping of prices")]
        priced = _langfuse_prices(name, prices, listed)
        if priced is None:
            return None, [*listed, NotPriced(model=name, reason="one of its prices is none")]
        by_length[above] = priced
    base = by_length.pop(0, {})
    # A tier has all its prices in Langfuse, of which only those that differ are kept.
    steps = {
        above: {u: p for u, p in prices.items() if base.get(u) != p}
        for above, prices in by_length.items()
    }
    return _model(name, base, {a: p for a, p in steps.items() if p}, listed, broken=False)


def _above(tier: Mapping[str, Any]) -> int | None:
    """Return above how many tokens of input a tier holds, None where it is about something else."""
    conditions = tier.get("conditions", [])
    if not conditions:
        return 0 if tier.get("isDefault") else None
    if not isinstance(conditions, list) or len(conditions) != 1:
        return None
    condition = conditions[0]
    if not isinstance(condition, Mapping):
        return None
    value, operator = condition.get("value"), condition.get("operator")
    pattern = condition.get("usageDetailPattern")
    if type(value) is not int or not isinstance(pattern, str) or not _OF_INPUT.fullmatch(pattern):
        return None
    above = {"gt": value, "gte": value - 1}.get(str(operator))
    return above if above is not None and above >= 1 else None


def _langfuse_prices(
    name: str, prices: Mapping[str, Any], listed: list[NotPriced]
) -> dict[Unit, float] | None:
    """Return the prices by unit, and list the others; None where one is none."""
    by_unit: dict[Unit, float] = {}
    sound = True
    for key, value in prices.items():
        unit = _LANGFUSE.get(key)
        if unit is None:
            if value != 0:
                reason = next((text for part, text in _OTHERS.items() if part in key), _NO_UNIT)
                listed.append(NotPriced(model=name, key=key, reason=reason))
            continue
        amount = _amount(value, unit)
        if isinstance(amount, str):
            listed.append(NotPriced(model=name, key=key, reason=amount))
            sound = False
        elif by_unit.setdefault(unit, amount) != amount:
            reason = f"another price for {unit} than the key before it"
            listed.append(NotPriced(model=name, key=key, reason=reason))
            sound = False
    return by_unit if sound else None
