"""What the turns of one arm used and cost, summed by DuckDB over the turn table.

Two scans: one over few columns for what has to be known first (which models there are, which of
them count input without the cache, which currencies were billed), and one that prices each turn
by a join with the few price cells of those models, and sums by session, models and slice values
into a small table, from which everything else is read.
"""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from relkit.adapters.duckdb.session import quoted
from relkit.adapters.duckdb.turns import TurnTable
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL, escape_value
from relkit.core.yaml_text import shown
from relkit.datasets.types import NO_VALUE
from relkit.monitoring.cost.prices import COUNTED
from relkit.monitoring.cost.types import (
    PRICE_UNITS,
    TOKEN_UNITS,
    ArmUsage,
    CostPolicy,
    GroupUsage,
    Payee,
    PriceBook,
    PriceCell,
    Priced,
    Unit,
    UnpricedCode,
    WordCounts,
)
from relkit.statistics.types import ClusterSums
from relkit.telemetry.types import TelemetryOptions

_CODES: tuple[UnpricedCode, ...] = (
    "no_model",
    "unknown_model",
    "expired",
    "no_price",
    "no_usage",
    "contradiction",
    "no_currency",
)

_COLUMN: Mapping[str, str] = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "audio_in": "input_audio_tokens",
    "audio_out": "output_audio_tokens",
    "reasoning": "reasoning_tokens",
}

_NET_SHARE = 0.01
"""The share of calls with cached tokens that count more of them than input, from which the source
counts input without them; fewer such calls are mistakes of their own."""

_GRAIN = 10**9
"""Billed amounts are summed in whole multiples of 1/this, so that no order of turns matters."""

_MS = 1000
"""Audio is summed in whole milliseconds, for the same reason."""

_LANGUAGE = "language"
_ALL = "(all)"


class _Query:
    """The SQL of one arm: prices as a relation, quantities and reasons as expressions."""

    def __init__(
        self, policy: CostPolicy, book: PriceBook | None, table: TurnTable, net: "_Net"
    ) -> None:
        """Take the policy's slices and components; raises InvalidInput for an unknown column."""
        self.book = book
        self.net = net
        self.slices = {
            name: table.require(name, table.attributes, what="column to slice by")
            for name in policy.slices
        }
        self.billed = policy.billed and "cost" in table.columns
        self.needs_currency = policy.currency is None
        self.models: dict[Payee, str] = {}
        if book is not None:
            self.models["llm"] = "model"
            for component, chosen in policy.components.items():
                self.models[component] = (
                    _text(chosen.model)
                    if chosen.model is not None
                    else table.require(str(chosen.column), table.attributes)
                )
        self.words = ""
        if policy.words is not None:
            self.words = table.require(policy.words, (*table.measures, *table.columns))
        elif "words" in table.measures:
            self.words = quoted("words")
        elif "partial_words" in table.columns:
            self.words = "partial_words"
        self.language = quoted(_LANGUAGE) if _LANGUAGE in table.attributes else _text(_ALL)

    def units(self, component: Payee) -> tuple[Unit, ...]:
        """Return the units that a component's models can be paid for."""
        if component == "llm":
            replaced: set[Unit] = set()
            if "stt" in self.models:
                replaced |= {"audio_minute", "second"}
            if "tts" in self.models:
                replaced.add("character")
            return tuple(unit for unit in PRICE_UNITS if unit not in replaced)
        return (
            ("audio_minute", "second")
            if component == "stt"
            else ("audio_minute", "second", "character")
        )

    def raw(self, component: Payee, unit: Unit) -> str:
        """Return how much a turn counted of a unit, NULL where it did not."""
        if unit == "query":
            return "1"
        if unit == "character":
            return "tts_chars"
        if unit in {"audio_minute", "second"}:
            column = "audio_out_s" if component == "tts" else "audio_in_s"
            scale = _MS * 60 if unit == "audio_minute" else _MS
            return f"(round({column} * {_MS}) / {scale})"
        return "input" if unit == "input" else _COLUMN[unit]

    def quantity(self, component: Payee, unit: Unit) -> str:
        """Return how much of a unit a turn is paid for, each token once; see ``quantities``."""
        raw = self.raw(component, unit)
        if unit == "input":
            parts = ("cache_read", "cache_write", "audio_in")
            return " - ".join([raw, *(f"coalesce({_COLUMN[part]}, 0)" for part in parts)])
        if unit == "output":
            spoken = f"coalesce({_COLUMN['audio_out']}, 0)"
            thought = f"coalesce({_COLUMN['reasoning']}, 0)"
            own_price = f"{component}_reasoning IS NOT NULL"
            return f"{raw} - {spoken} - CASE WHEN {own_price} THEN {thought} ELSE 0 END"
        if unit == "reasoning":
            return f"CASE WHEN {component}_reasoning IS NOT NULL THEN coalesce({raw}, 0) ELSE 0 END"
        return f"coalesce({raw}, 0)"

    def cells(self, component: Payee) -> tuple[PriceCell, ...]:
        """Return the price cells that a component can be paid by."""
        if self.book is None or component not in self.models:
            return ()
        return self.book.cells

    def priced_units(self, component: Payee) -> tuple[Unit, ...]:
        """Return the units that any of a component's cells prices."""
        units = {unit for cell in self.cells(component) for unit in cell.prices}
        return tuple(unit for unit in self.units(component) if unit in units)

    def prices(self, component: Payee) -> str:
        """Return the join with a component's price cells."""
        rows = []
        for cell in self.cells(component):
            values = [
                "NULL" if unit not in cell.prices else repr(float(cell.prices[unit]))
                for unit in self.price_columns(component)
            ]
            upto = "1e300" if cell.upto is None else repr(float(cell.upto))
            above = "-1" if not cell.above else repr(float(cell.above))
            rows.append(
                f"({cell.number}, {_text(cell.model)}, TIMESTAMP '{cell.start}',"
                f" TIMESTAMP '{cell.end}', {above}, {upto}, {', '.join(values)})"
            )
        names = ", ".join(
            f"{component}_{name}" for name in ("cell", "model", "start", "end", "above", "upto")
        )
        columns = ", ".join(f"{component}_{unit}" for unit in self.price_columns(component))
        tokens = "coalesce(input, 0)"
        return (
            f" LEFT JOIN (VALUES {', '.join(rows)}) AS {component}_prices({names}, {columns})"
            f" ON {self.models[component]} = {component}_model AND ts >= {component}_start"
            f" AND ts < {component}_end AND {tokens} > {component}_above"
            f" AND {tokens} <= {component}_upto"
        )

    def price_columns(self, component: Payee) -> tuple[Unit, ...]:
        """Return the units that the relation of prices has a column for."""
        return (
            TOKEN_UNITS + self.units(component)[len(TOKEN_UNITS) :]
            if component == "llm"
            else self.units(component)
        )

    def reason(self, component: Payee) -> str:
        """Return an expression for why a component of a turn has no price: 0, or code and unit."""
        model = self.models[component]
        known = ", ".join(_text(name) for name in sorted({c.model for c in self.cells(component)}))
        price = f"{component}_cell"
        cases = [
            f"WHEN {model} IS NULL THEN {_number('no_model')}",
            f"WHEN {price} IS NULL AND {model} NOT IN ({known}) THEN {_number('unknown_model')}",
            f"WHEN {price} IS NULL THEN {_number('expired')}",
        ]
        if component == "llm" and len(self.models) > 1:
            tokens = " AND ".join(f"{_COLUMN[unit]} IS NULL" for unit in ("input", "output"))
            cases.insert(0, f"WHEN {model} IS NULL AND {tokens} THEN 0")
        cases += [
            f"WHEN {component}_{unit} > 0 AND {self.raw(component, unit)} IS NULL"
            f" THEN {_number('no_usage', unit)}"
            for unit in self.units(component)
            if unit in COUNTED
        ]
        if component == "llm":
            whole: tuple[Unit, ...] = ("input", "output")
            cases += [
                f"WHEN {self.quantity(component, unit)} < 0 THEN {_number('contradiction', unit)}"
                for unit in whole
            ]
            cases += [
                f"WHEN {self.quantity(component, unit)} > 0 AND {component}_{unit} IS NULL"
                f" THEN {_number('no_price', unit)}"
                for unit in TOKEN_UNITS
                if unit != "reasoning"
            ]
        else:
            priced = " AND ".join(f"{component}_{unit} IS NULL" for unit in self.units(component))
            missing: Unit = "second" if component == "stt" else "character"
            cases.append(f"WHEN {priced} THEN {_number('no_price', missing)}")
        return f"CASE {' '.join(cases)} ELSE 0 END"

    def priced_rows(self) -> str:
        """Return a query that prices every turn: reason, cells, quantities and cost."""
        models = list(self.models)
        billed = "cost IS NOT NULL" if self.billed else "FALSE"
        no_currency = (
            f"WHEN is_billed AND currency IS NULL THEN {_number('no_currency')}"
            if self.billed and self.needs_currency
            else ""
        )
        reasons = "".join(
            f" WHEN {component}_why <> 0 THEN {component}_why" for component in models
        )
        without = "" if models else f" WHEN NOT is_billed THEN {_number('no_model')}"
        why = f"CASE {no_currency} WHEN is_billed THEN 0{reasons}{without} ELSE 0 END"
        inner = [
            "session",
            "success",
            f"{billed} AS is_billed",
            "cost AS billed_cost",
            "currency",
            "model",
            "coalesce(audio_in_s, 0) + coalesce(audio_out_s, 0) AS audio_s",
            *(f"{sql} AS slice_{i}" for i, sql in enumerate(self.slices.values())),
        ]
        paid = []
        for component in models:
            inner.append(f"{self.reason(component)} AS {component}_why")
            inner.append(f"{component}_cell")
            for unit in self.priced_units(component):
                name = f"{component}_used_{unit}"
                inner.append(
                    f"CASE WHEN {component}_{unit} IS NULL THEN 0"
                    f" ELSE coalesce({self.quantity(component, unit)}, 0) END AS {name}"
                )
                paid.append(f"{name} * coalesce({component}_{unit}, 0)")
                inner.append(f"{component}_{unit}")
        inner += [
            f"{self.models[component]} AS {component}_name"
            for component in models
            if component != "llm"
        ]
        if self.words:
            inner.append(f"{self.language} AS language_of, {self.words} AS words_of")
            inner.append("input AS tokens_in, output_tokens AS tokens_out")
        joins = "".join(self.prices(component) for component in models)
        turns = f"(SELECT *, {self.net.input_column()} AS input FROM turns)"
        cost = " + ".join(paid) or "0"
        amount = f"CASE WHEN is_billed THEN billed_cost ELSE {cost} END"
        return (
            f"SELECT *, {why} AS why, {amount} AS amount"
            f" FROM (SELECT {', '.join(inner)} FROM {turns}{joins})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Net:
    """Which sources (provider and model) count input without the cache."""

    sources: tuple[tuple[str | None, str | None], ...] = ()
    everywhere: bool = False

    def input_column(self) -> str:
        """Return inclusive input of a turn."""
        cached = "coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)"
        if self.everywhere:
            return f"input_tokens + {cached}"
        if not self.sources:
            return "input_tokens"
        which = " OR ".join(
            f"(provider IS NOT DISTINCT FROM {_text(provider)} AND model IS NOT DISTINCT FROM"
            f" {_text(model)})"
            for provider, model in self.sources
        )
        return f"input_tokens + CASE WHEN {which} THEN {cached} ELSE 0 END"


def _number(code: UnpricedCode, unit: Unit | None = None) -> int:
    """Return a reason as a number: code times 100, and the unit."""
    return 100 * (1 + _CODES.index(code)) + (0 if unit is None else 1 + PRICE_UNITS.index(unit))


def _reason_of(number: int) -> tuple[UnpricedCode, Unit | None]:
    unit = number % 100
    return _CODES[number // 100 - 1], PRICE_UNITS[unit - 1] if unit else None


def _text(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


class ArmUsageReader:
    """Implements UsageReader: the files of an arm as turns of DuckDB."""

    def __init__(self, open_turns: Callable[[TelemetryOptions], TurnTable]) -> None:
        """Open telemetry by a function; what it opens is closed here."""
        self._open = open_turns

    def __call__(
        self, paths: tuple[str, ...], policy: CostPolicy, book: PriceBook | None, now: str
    ) -> ArmUsage:
        """Return what the turns of some files used; see the port."""
        options = TelemetryOptions(
            paths=paths, now=now, mapping=policy.mapping, dialect=policy.dialect
        )
        with self._open(options) as table:
            return arm_usage(table, policy, book)


def arm_usage(table: TurnTable, policy: CostPolicy, book: PriceBook | None) -> ArmUsage:
    """Return what the turns of a table used, priced by a book; raises InvalidInput."""
    _check_columns(table, policy, book)
    facts = _facts(table)
    currency = _currency(facts, policy, book)
    net = _net(facts, policy)
    query = _Query(policy, _present(book, facts, policy), table, net)
    _sum(table, query)
    sums, keys, success = _sessions(table, query)
    groups, unpriced = _groups(table, query)
    calls = int(_column(facts, "calls").sum())
    last = max((str(day) for day in _strings(facts["last_day"]) if day is not None), default=None)
    billed = "SELECT coalesce(sum(n), 0) AS n FROM cost_sums WHERE is_billed AND why = 0"
    return ArmUsage(
        calls=calls,
        sessions=len(keys),
        priced=sum(group.calls for group in groups),
        billed=int(table.fetch(billed)["n"][0]),
        audio_minutes=float(_column(facts, "audio_s").sum()) / 60,
        currency=currency,
        last_day=last,
        groups=groups,
        unpriced=unpriced,
        sums=sums,
        keys=keys,
        success=success,
        words=_words(table, query),
        net=tuple(sorted({str(model) for _, model in net.sources})),
        silent=tuple(_silent(facts, query)),
        telemetry=table.summary(),
    )


def _check_columns(table: TurnTable, policy: CostPolicy, book: PriceBook | None) -> None:
    """Refuse telemetry that names no model and bills nothing."""
    if policy.billed and "cost" in table.columns:
        return
    if book is None:
        raise InvalidInput(
            "the turns have no billed cost, and there is no price table",
            hint="give one: --prices FILE, or prices: in the policy",
        )
    if "model" not in table.columns:
        names = (*table.attributes, *table.measures)
        hint = nearest("model", names)
        like = hint.removeprefix("did you mean ").strip('"?') if hint else ""
        raise InvalidInput(
            "the turns have no column model, so that nothing has a price",
            hint=f"mapping: {{model: {shown(like)}}}"
            if hint and hint.startswith("did you mean")
            else "say which column it is: mapping: {model: COLUMN}",
        )


def _facts(table: TurnTable) -> dict[str, Any]:
    """Return what has to be known before turns are priced, by provider, model and currency."""
    cached = "coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)"
    return table.fetch(
        "SELECT provider, model, CASE WHEN cost IS NOT NULL THEN coalesce(currency, '') END AS"
        " billed_in, count(*) AS calls, strftime(max(ts), '%Y-%m-%d') AS last_day,"
        " sum(coalesce(audio_in_s, 0) + coalesce(audio_out_s, 0)) AS audio_s,"
        " count(audio_in_s) AS with_audio, count(tts_chars) AS with_chars,"
        f" count(*) FILTER (WHERE {cached} > 0) AS cached,"
        f" count(*) FILTER (WHERE {cached} > coalesce(input_tokens, 0)) AS beyond"
        " FROM turns GROUP BY ALL ORDER BY ALL"
    )


def _strings(values: Any) -> list[str | None]:  # noqa: ANN401 - an array of DuckDB, masked or not
    masked = np.ma.asarray(values)
    filled = np.ma.getmaskarray(masked)
    return [
        None if gone or value is None else str(value)
        for value, gone in zip(masked.data, filled, strict=True)
    ]


def _column(fetched: Mapping[str, Any], name: str) -> np.ndarray[Any, Any]:
    return np.asarray(np.ma.filled(np.ma.asarray(fetched[name]).astype(np.float64), 0.0))


def _currency(facts: Mapping[str, Any], policy: CostPolicy, book: PriceBook | None) -> str | None:
    """Return the currency of billed cost; raises InvalidInput for more than one."""
    if not policy.billed:
        return None
    billed = {text for text in _strings(facts["billed_in"]) if text}
    expected = {book.currency} if book is not None else set()
    if policy.currency is not None:
        expected.add(policy.currency)
    if len(billed | expected) > 1:
        raise InvalidInput(
            f"costs in {' and '.join(sorted(shown(code) for code in billed | expected))} together",
            hint="amounts of several currencies are never added: convert them, or leave billed"
            " cost out (billed: false)",
        )
    return min(billed, default=policy.currency)


def _net(facts: Mapping[str, Any], policy: CostPolicy) -> _Net:
    if policy.usage != "auto":
        return _Net(everywhere=policy.usage == "net")
    counts: dict[tuple[str | None, str | None], tuple[float, float]] = {}
    rows = zip(
        _strings(facts["provider"]),
        _strings(facts["model"]),
        _column(facts, "cached"),
        _column(facts, "beyond"),
        strict=True,
    )
    for provider, model, cached, beyond in rows:
        before = counts.get((provider, model), (0.0, 0.0))
        counts[provider, model] = (before[0] + cached, before[1] + beyond)
    return _Net(
        sources=tuple(
            source
            for source, (cached, beyond) in counts.items()
            if beyond > 0 and beyond >= _NET_SHARE * cached
        )
    )


def _present(
    book: PriceBook | None, facts: Mapping[str, Any], policy: CostPolicy
) -> PriceBook | None:
    """Return the prices of the models that occur: a map has thousands of others."""
    if book is None:
        return None
    if any(chosen.column is not None for chosen in policy.components.values()):
        return book
    models = set(_strings(facts["model"]))
    models |= {chosen.model for chosen in policy.components.values()}
    cells = tuple(cell for cell in book.cells if cell.model in models)
    return PriceBook(currency=book.currency, cells=cells or book.cells[:1])


def _sum(table: TurnTable, query: _Query) -> None:
    """Make the table that everything is read from: sums by session, models, slices and reason."""
    keys = ["session", "why", "is_billed", "model"]
    keys += [f"{component}_cell" for component in query.models]
    keys += [f"{component}_name" for component in query.models if component != "llm"]
    keys += [f"slice_{i}" for i in range(len(query.slices))]
    if query.words:
        keys.append("language_of")
    sums = [
        "count(*) AS n",
        "sum(amount) AS amount",
        f"sum(CAST(round(coalesce(billed_cost, 0) * {_GRAIN}) AS BIGINT)) AS billed",
        "sum(audio_s) AS audio_s",
        "bool_or(success) AS solved",
        *(
            f"sum({component}_used_{unit}) AS {component}_used_{unit}"
            for component in query.models
            for unit in query.priced_units(component)
        ),
    ]
    if query.words:
        counted = "words_of > 0"
        sums.append(f"sum(words_of) FILTER (WHERE {counted}) AS words_sum")
        sums.append(
            "sum(coalesce(tokens_in, 0) + coalesce(tokens_out, 0))"
            f" FILTER (WHERE {counted}) AS tokens_sum"
        )
    grouped = ", ".join(keys)
    table.execute(
        f"CREATE OR REPLACE TEMP TABLE cost_sums AS SELECT {grouped}, {', '.join(sums)}"
        f" FROM ({query.priced_rows()}) GROUP BY {grouped}"
    )


def _sessions(
    table: TurnTable, query: _Query
) -> tuple[ClusterSums, np.ndarray[Any, Any], tuple[int, int, int]]:
    """Return sums by slice and session, the keys of all sessions, and their success."""
    named = [f"slice_{i}" for i in range(len(query.slices))]
    sets = ["(session)", *(f"(session, {name})" for name in named)]
    grouping = f"grouping({', '.join(named)})" if named else "0"
    shown_ = "".join(f", {name}" for name in named)
    rows = table.fetch(
        f"SELECT session{shown_}, {grouping} AS which, sum(amount) AS cost, sum(n) AS call,"
        " sum(audio_s) / 60 AS audio_minute, bool_or(solved) AS solved,"
        " bool_and(why = 0) AS complete"
        f" FROM cost_sums GROUP BY GROUPING SETS ({', '.join(sets)}) ORDER BY session"
    )
    session = np.asarray(rows["session"]).astype(np.uint64).view(np.int64)
    complete = np.asarray(rows["complete"], dtype=bool)
    solved = np.ma.asarray(rows["solved"])
    unsaid = np.ma.getmaskarray(solved)
    solved_flags = np.asarray(np.ma.filled(solved, fill_value=False), dtype=bool)
    which = _column(rows, "which").astype(np.int64)
    full = (1 << len(named)) - 1
    slices, indexes, positions = [OVERALL], [], []
    overall = np.flatnonzero(which == full)
    for number, (name, _) in enumerate(query.slices.items()):
        here = np.flatnonzero(which == full - (1 << (len(named) - 1 - number)))
        values = [
            NO_VALUE if v is None else v
            for v in _strings(np.ma.asarray(rows[f"slice_{number}"])[here])
        ]
        distinct = sorted(set(values))
        place = {value: i for i, value in enumerate(distinct)}
        index = np.array([place[value] for value in values], dtype=np.int64) + len(slices)
        slices += [f"{name}={escape_value(value)}" for value in distinct]
        positions.append(here)
        indexes.append(index)
    at = np.concatenate([overall, *positions])
    slice_index = np.concatenate([np.zeros(len(overall), dtype=np.int64), *indexes])
    order = np.argsort(slice_index, kind="stable")
    order = order[complete[at[order]]]
    at, slice_index = at[order], slice_index[order]
    sums = ClusterSums(
        slices=tuple(slices),
        slice_index=slice_index,
        cluster_index=session[at],
        columns={
            "cost": _column(rows, "cost")[at],
            "call": _column(rows, "call")[at],
            "audio_minute": _column(rows, "audio_minute")[at],
            "success": solved_flags.astype(np.float64)[at],
        },
    )
    count = len(overall)
    none = int(unsaid[overall].sum())
    won = int(solved_flags[overall].sum())
    return sums, session[overall], (won, count - won - none, none)


def _groups(
    table: TurnTable, query: _Query
) -> tuple[tuple[GroupUsage, ...], dict[tuple[str | None, UnpricedCode, Unit | None], int]]:
    """Return the usage of priced calls by models and slices, and the calls without a price."""
    names = [f"{component}_name" for component in query.models if component != "llm"]
    names += [f"slice_{i}" for i in range(len(query.slices))]
    cells = [f"{component}_cell" for component in query.models]
    used = [
        (component, unit) for component in query.models for unit in query.priced_units(component)
    ]
    keys = ", ".join(["model", *names, *cells, "why", "is_billed"])
    sums = "".join(f", sum({c}_used_{u}) AS {c}_used_{u}" for c, u in used)
    rows = table.fetch(
        f"SELECT {keys}, sum(n) AS n, sum(billed) AS billed{sums} FROM cost_sums"
        f" GROUP BY {keys} ORDER BY ALL"
    )
    return _collect(rows, names, list(query.models), used)


def _collect(
    rows: Mapping[str, Any],
    names: Sequence[str],
    components: Sequence[Payee],
    used: Sequence[tuple[Payee, Unit]],
) -> tuple[tuple[GroupUsage, ...], dict[tuple[str | None, UnpricedCode, Unit | None], int]]:
    groups: dict[tuple[str | None, ...], tuple[int, dict[Priced, Fraction], Fraction]] = {}
    unpriced: dict[tuple[str | None, UnpricedCode, Unit | None], int] = {}
    labels = list(zip(*(_strings(rows[name]) for name in ("model", *names)), strict=True))
    why, calls = _column(rows, "why").astype(int), _column(rows, "n").astype(int)
    is_billed = np.asarray(rows["is_billed"], dtype=bool)
    numbers = {
        component: _column(rows, f"{component}_cell").astype(int) for component in components
    }
    amounts = {key: _column(rows, f"{key[0]}_used_{key[1]}") for key in used}
    billed = [int(value) for value in np.ma.filled(np.ma.asarray(rows["billed"]), 0)]
    for i, label in enumerate(labels):
        if why[i]:
            key = (label[0], *_reason_of(int(why[i])))
            unpriced[key] = unpriced.get(key, 0) + int(calls[i])
            continue
        before, paid, sum_billed = groups.get(label, (0, {}, Fraction(0)))
        if is_billed[i]:
            sum_billed += Fraction(billed[i], _GRAIN)
        else:
            for component, unit in used:
                quantity = amounts[component, unit][i]
                if quantity:
                    cell = (component, int(numbers[component][i]), unit)
                    paid[cell] = paid.get(cell, Fraction(0)) + _exact(quantity, unit)
        groups[label] = (before + int(calls[i]), paid, sum_billed)
    return (
        tuple(
            GroupUsage(group=label, calls=count, used=paid, billed=amount)
            for label, (count, paid, amount) in groups.items()
        ),
        unpriced,
    )


def _exact(quantity: float, unit: Unit) -> Fraction:
    """Return a summed quantity without the rounding of its sum: audio in whole milliseconds."""
    scale = {"audio_minute": 60 * _MS, "second": _MS}.get(unit)
    return Fraction(quantity) if scale is None else Fraction(round(quantity * scale), scale)


def _words(table: TurnTable, query: _Query) -> dict[str, WordCounts]:
    if not query.words:
        return {}
    rows = table.fetch(
        "SELECT language_of, sum(tokens_sum) AS tokens, sum(words_sum) AS words FROM cost_sums"
        " GROUP BY language_of HAVING sum(words_sum) > 0 ORDER BY language_of"
    )
    return {
        NO_VALUE if language is None else language: WordCounts(tokens=float(t), words=float(w))
        for language, t, w in zip(
            _strings(rows["language_of"]),
            _column(rows, "tokens"),
            _column(rows, "words"),
            strict=True,
        )
    }


def _silent(facts: Mapping[str, Any], query: _Query) -> Iterator[Unit]:
    """Yield what was used and has no price anywhere: audio, characters."""
    if query.book is None:
        return
    units: Iterable[Unit] = [u for c in query.models for u in query.priced_units(c)]
    if _column(facts, "with_audio").sum() and not {"second", "audio_minute", "audio_in"} & set(
        units
    ):
        yield "second"
    if _column(facts, "with_chars").sum() and not {"character", "audio_out"} & set(units):
        yield "character"
