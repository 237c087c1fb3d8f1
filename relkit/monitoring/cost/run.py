"""Compare what two arms cost: prices and usage in, a verdict with its reasons out."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import PurePath

import numpy as np

from relkit.core.codec import encode
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL
from relkit.core.values import Named
from relkit.core.wording import count, counted
from relkit.monitoring.cost.effects import Effects, amount_of, rounded, split_change
from relkit.monitoring.cost.judging import (
    ARM_NAMES,
    DENOMINATOR_NAMES,
    growths,
    judge_cost,
    slice_costs,
)
from relkit.monitoring.cost.ports import CostPorts
from relkit.monitoring.cost.prices import nearest_model, price_book, suspicions
from relkit.monitoring.cost.types import (
    ArmUsage,
    CheckedPrices,
    CostOptions,
    CostPolicy,
    CostReport,
    PriceBook,
    PriceTable,
    Two,
    UnpricedCalls,
)
from relkit.monitoring.types import LiveCheck, LiveFinding

_PLACES = 12
"""Decimals of the effects in the report."""


def compare_costs(options: CostOptions, ports: CostPorts) -> CostReport:
    """Return what baseline and candidate cost, why that differs, and whether it may.

    Raises UsageError, InvalidInput: for an unreadable file, a price table or policy that is
    refused, mixed currencies, a column that is not there, and an arm compared with itself.
    """
    policy = ports.policy(options.policy)
    names = options.prices or policy.prices
    tables: dict[str, PriceTable] = {}
    for name in dict.fromkeys(names):
        place = PurePath(name)
        label = place.name if place.is_absolute() else name  # no folder beyond the workspace
        while label in tables:
            label += "'"
        tables[label] = ports.table(name)
    book = price_book(tables) if tables else None
    if book is None and not policy.billed:
        raise InvalidInput(
            "there is no price table, and billed cost is not to be used",
            hint="give one: --prices FILE, or prices: in the policy",
        )
    _check_currency(policy, book)
    arms = (
        ports.usage("baseline", options.baseline, policy, book, options.now),
        ports.usage("candidate", options.candidate, policy, book, options.now),
    )
    shared = int(np.intersect1d(arms[0].keys, arms[1].keys, assume_unique=True).size)
    smaller = min(arm.sessions for arm in arms)
    if shared > policy.max_unpriced * smaller:
        raise InvalidInput(
            f"{counted(shared, 'session')} of {count(smaller)} are in baseline and candidate",
            hint="give each arm its own files, or choose its turns: baseline: {arm: control}",
        )
    return cost_report(policy, book, tables, arms, shared=shared)


def _check_currency(policy: CostPolicy, book: PriceBook | None) -> None:
    if book is not None and policy.currency not in (None, book.currency):
        raise InvalidInput(
            f"the policy is in {policy.currency}, its prices are in {book.currency}",
            hint="amounts of several currencies are never added",
        )


def cost_report(
    policy: CostPolicy,
    book: PriceBook | None,
    tables: dict[str, PriceTable],
    arms: tuple[ArmUsage, ArmUsage],
    *,
    shared: int = 0,
) -> CostReport:
    """Return the report on two arms; ``shared`` sessions are in both of them."""
    growth = growths(arms[0].sums, arms[1].sums, policy.gated)
    verdict, reason = judge_cost(policy, arms, growth[OVERALL])
    decided = verdict in {"pass", "fail", "inconclusive"}
    amounts = [amount_of(arm.groups, book) for arm in arms]
    effects = _effects(arms, book)
    parts = (
        [None] * 4
        if effects is None
        else [
            float(part)
            for part in rounded(
                [effects.usage, effects.price, effects.mix, effects.billed], _PLACES
            )
        ]
    )
    currencies = {arm.currency for arm in arms if arm.currency}
    return CostReport(
        verdict=verdict,
        reason=reason,
        policy=Named(name=policy.name, digest=digest_of(encode(policy))),
        enforcement=policy.enforcement,
        currency=book.currency if book else policy.currency or min(currencies, default=""),
        gated=policy.gated,
        margin=policy.margin,
        delta_pct=growth[OVERALL].value,
        low=growth[OVERALL].low,
        high=growth[OVERALL].high,
        calls=(arms[0].calls, arms[1].calls),
        sessions=(arms[0].sessions, arms[1].sessions),
        successes=(arms[0].success[0], arms[1].success[0]),
        audio_minutes=_each(arm.audio_minutes if arm.audio_minutes > 0 else None for arm in arms),
        cost=_each(
            float(amount) if arm.priced else None for amount, arm in zip(amounts, arms, strict=True)
        ),
        cost_per_call=_each(
            _per(amount, arm.priced) for amount, arm in zip(amounts, arms, strict=True)
        ),
        cost_per_session=_per_unit(arms, None),
        cost_per_audio_minute=_per_unit(arms, "audio_minute"),
        cost_per_success=_per_unit(arms, "success"),
        difference=None if effects is None else float(rounded([effects.difference], _PLACES)[0]),
        usage_effect=parts[0],
        price_effect=parts[1],
        mix_effect=parts[2],
        billed_effect=parts[3],
        slices=slice_costs(growth, policy.margin, DENOMINATOR_NAMES[policy.gated], decided=decided),
        tokens_per_word=_tokens_per_word(arms),
        unpriced=_unpriced(arms),
        notes=(*_notes(policy, tables, arms, shared), *_hints(arms, book)),
    )


def _effects(arms: tuple[ArmUsage, ArmUsage], book: PriceBook | None) -> Effects | None:
    if not all(arm.priced for arm in arms):
        return None
    return split_change(arms[0].groups, arms[1].groups, book, day=arms[0].last_day)


def _each(values: Iterator[float | None]) -> Two:
    first, second = values
    return first, second


def _per(amount: Fraction, calls: int) -> float | None:
    return float(amount / calls) if calls else None


def _per_unit(arms: Sequence[ArmUsage], unit: str | None) -> Two:
    """Return the cost per unit (None: per session) of sessions whose calls all have a price."""
    figures: list[float | None] = []
    for arm in arms:
        overall = arm.sums.slice_index == arm.sums.slices.index(OVERALL)
        cost = float(arm.sums.columns["cost"][overall].sum())
        units = int(overall.sum()) if unit is None else arm.sums.columns[unit][overall].sum()
        figures.append(cost / float(units) if units > 0 else None)
    return figures[0], figures[1]


def _tokens_per_word(arms: Sequence[ArmUsage]) -> dict[str, Two]:
    languages = sorted({language for arm in arms for language in arm.words})
    tokens = {}
    for language in languages:
        counts = [arm.words.get(language) for arm in arms]
        tokens[language] = _each(
            iter([None if c is None or not c.words else c.tokens / c.words for c in counts])
        )
    return tokens


def _unpriced(arms: Sequence[ArmUsage]) -> tuple[UnpricedCalls, ...]:
    keys = {key for arm in arms for key in arm.unpriced}
    counts = {key: [arm.unpriced.get(key, 0) for arm in arms] for key in keys}
    order = sorted(keys, key=lambda key: (-sum(counts[key]), tuple(map(str, key))))
    return tuple(
        UnpricedCalls(
            model=key[0], code=key[1], unit=key[2], calls=(counts[key][0], counts[key][1])
        )
        for key in order
    )


def _notes(
    policy: CostPolicy,
    tables: dict[str, PriceTable],
    arms: Sequence[ArmUsage],
    shared: int,
) -> Iterator[str]:
    """Yield what a reader of the figures should know."""
    net = sorted({model for arm in arms for model in arm.net})
    if net:
        yield f"input was counted without the cache by {', '.join(net)}: its tokens were added"
    silent = list(dict.fromkeys(unit for arm in arms for unit in arm.silent))
    for unit in silent:
        what = {"character": "spoken characters", "second": "the user's audio"}.get(unit, unit)
        component = "tts" if unit == "character" else "stt"
        yield f"{what} cost nothing here: no price; see components: {{{component}: MODEL}}"
    for name, table in tables.items():
        for doubt in suspicions(table.models):
            yield f"{name}: {doubt.model}: {doubt.reason}"
    if shared:
        yield f"{counted(shared, 'session')} are in both arms and count in both"
    for name, arm in zip(ARM_NAMES, arms, strict=True):
        yield from _arm_notes(name, arm, policy)


def _hints(arms: Sequence[ArmUsage], book: PriceBook | None) -> Iterator[str]:
    """Yield which models of the tables those without a price may be."""
    unknown = {model for arm in arms for model, code, _ in arm.unpriced if code == "unknown_model"}
    for model in sorted(name for name in unknown if name is not None):
        near = nearest_model(model, sorted(book.models) if book is not None else ())
        if near is not None:
            yield f'{model} has no price; did you mean "{near}"?'


def _arm_notes(name: str, arm: ArmUsage, policy: CostPolicy) -> Iterator[str]:
    if arm.billed:
        yield f"{counted(arm.billed, 'call')} of the {name} have a billed cost, which counts"
    for problem in arm.telemetry.problems:
        if problem.code != "left_out":
            yield f"{name}, {problem.where}: {problem.message}"
    if arm.success[1] == 0 and arm.success[2] and policy.gated == "success":
        yield f"no session of the {name} says that it failed: one that says nothing did"


def cost_finding(report: CostReport, created: str) -> LiveFinding:
    """Return the record of a comparison, which a gate can require; slices advise."""
    return LiveFinding(
        kind="cost",
        policy=report.policy,
        enforcement=report.enforcement,
        verdict=report.verdict,
        gate_verdict=report.verdict,
        reason=report.reason,
        created=created,
        subject=None,
        checks=(
            LiveCheck(
                name=f"cost_per_{report.gated}", verdict=report.verdict, reason=report.reason
            ),
            *(
                LiveCheck(
                    name=f"cost_per_{report.gated}",
                    slice=part.slice,
                    verdict=part.status,
                    reason=part.reason,
                    advisory=True,
                )
                for part in report.slices
            ),
        ),
        report=encode(report),
    )


def check_prices(table: PriceTable) -> CheckedPrices:
    """Return what a price table holds and what looks wrong about it."""
    return CheckedPrices(
        currency=table.currency,
        valid=table.valid,
        models=len(table.models),
        suspicions=suspicions(table.models),
    )
