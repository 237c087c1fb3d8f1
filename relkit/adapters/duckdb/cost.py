"""What the turns of one arm used and cost, summed by DuckDB over the turn table.

Three scans of few columns each: what has to be known first (which models and currencies there are,
which sources count input without the cache), exact sums by models and slice values, and the cost
by session. Prices are linear in what was counted, so that sums are enough; only tiers, days and
what could be wrong are asked of every turn.
"""

# ruff: noqa: S608 - queries hold expressions of our own tables and names we quote

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from relkit.adapters.duckdb.session import literal, quoted
from relkit.adapters.duckdb.turns import TurnTable
from relkit.core.arrays import FloatArray, IntArray
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL, escape_value
from relkit.core.yaml_text import shown
from relkit.datasets.types import NO_VALUE
from relkit.monitoring.cost.prices import COUNTED
from relkit.monitoring.cost.types import (
    PRICE_UNITS,
    TOKEN_UNITS,
    ArmName,
    ArmUsage,
    CostPolicy,
    GroupUsage,
    Payee,
    PriceBook,
    PriceCell,
    Priced,
    TurnChoice,
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

_PARTS: Mapping[Unit, tuple[Unit, ...]] = {
    "input": ("cache_read", "cache_write", "audio_in"),
    "output": ("audio_out", "reasoning"),
}
"""Counts that are inside another one: what is left of it is paid by its own price."""

_NET_SHARE = 0.01
"""The share of calls with cached tokens that count more of them than input, from which the source
counts input without them; fewer such calls are mistakes of their own."""

_GRAIN = 10**9
"""Billed amounts are summed in whole multiples of 1/this, so that no order of turns matters."""

_MS = 1000
"""Audio is summed in whole milliseconds, for the same reason."""

_OF_PAYEE = 1000
"""Reasons of the second component are numbered from this on."""

_BROKEN_OFF = "outcome IN ('interrupted', 'abandoned')"
"""A turn that its user broke off, and that names no model and no token, called none."""

_SPOKEN = " AND (outcome IS NULL OR outcome = 'completed')"
"""Of a turn that did not come to its answer, no characters means that nothing was spoken."""

_FEW = 1 << 15
"""Fewer slice values than this are numbered in 16 bits, which sort in no time."""

_LANGUAGE = "language"
_ALL = "(all)"


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
            f"(provider IS NOT DISTINCT FROM {literal(provider)} AND model IS NOT DISTINCT FROM"
            f" {literal(model)})"
            for provider, model in self.sources
        )
        return f"input_tokens + CASE WHEN {which} THEN {cached} ELSE 0 END"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is known of an arm before its turns are priced."""

    calls: int
    first_day: str
    last_day: str
    audio_s: float
    with_audio: bool
    with_characters: bool
    currency: str | None
    net: _Net


class _Query:
    """The SQL of one arm: which price cell pays for a turn, why none does, and what it costs.

    Expressions are written for each cell with its own prices, so that a turn is asked only what
    can be wrong with it, and columns that the files lack are asked nothing.
    """

    def __init__(
        self, policy: CostPolicy, book: PriceBook | None, table: TurnTable, facts: _Facts
    ) -> None:
        """Take the policy's slices and components; raises InvalidInput for an unknown column."""
        self.book = book
        self.facts = facts
        self.columns = table.columns
        self.slices = {
            name: table.require(name, table.attributes, what="column to slice by")
            for name in policy.slices
        }
        self.billed = "cost IS NOT NULL" if policy.billed and "cost" in table.columns else "FALSE"
        self.needs_currency = policy.currency is None
        self.models: dict[Payee, str] = {}
        self.cells: dict[Payee, tuple[PriceCell, ...]] = {}
        if book is not None:
            self.models["llm"] = "model"
            for component, chosen in policy.components.items():
                self.models[component] = (
                    literal(chosen.model)
                    if chosen.model is not None
                    else table.require(str(chosen.column), table.attributes)
                )
            for component, model in self.models.items():
                names = table.fetch(f"SELECT DISTINCT {model} AS name FROM cost_turns LIMIT 10000")
                present = set(_strings(names["name"]))
                self.cells[component] = tuple(c for c in book.cells if c.model in present)
        self.words = ""
        if policy.words is not None:
            self.words = table.require(policy.words, (*table.measures, *table.columns))
        elif "words" in table.measures:
            self.words = quoted("words")
        elif "partial_words" in table.columns:
            self.words = "partial_words"
        self.language = quoted(_LANGUAGE) if _LANGUAGE in table.attributes else literal(_ALL)

    def units(self, component: Payee) -> tuple[Unit, ...]:
        """Return the units that a component's models can be paid for."""
        if component == "stt":
            return ("audio_minute", "second")
        if component == "tts":
            return ("audio_minute", "second", "character")
        replaced: set[Unit] = set()
        if "stt" in self.models:
            replaced |= {"audio_minute", "second"}
        if "tts" in self.models:
            replaced.add("character")
        return tuple(unit for unit in PRICE_UNITS if unit not in replaced)

    def priced_units(self, component: Payee) -> tuple[Unit, ...]:
        """Return the units that any of a component's cells prices."""
        units = {unit for cell in self.cells[component] for unit in cell.prices}
        return tuple(unit for unit in self.units(component) if unit in units)

    def column(self, component: Payee, unit: Unit) -> str | None:
        """Return the column that counts a unit, None where the files have none."""
        name = _COLUMN.get(unit, "tts_chars")
        if unit in {"audio_minute", "second"}:
            name = "audio_out_s" if component == "tts" else "audio_in_s"
        return name if name in self.columns else None

    def raw(self, component: Payee, unit: Unit) -> str:
        """Return how much a turn counted of a unit, NULL where it did not."""
        if unit == "query":
            return "1"
        column = self.column(component, unit)
        if column is None:
            return "CAST(NULL AS DOUBLE)"
        if unit in {"audio_minute", "second"}:
            scale = _MS * 60 if unit == "audio_minute" else _MS
            return f"(round({column} * {_MS}) / {scale})"
        return "input" if unit == "input" else column

    def quantity(self, component: Payee, unit: Unit, prices: Container[Unit]) -> str:
        """Return how much of a unit a turn is paid for, each token once; see ``quantities``."""
        parts = [self.raw(component, unit)]
        for part in _PARTS.get(unit, ()):
            column = self.column(component, part)
            if column is not None and (part != "reasoning" or part in prices):
                parts.append(f"coalesce({column}, 0)")
        return f"({' - '.join(parts)})" if len(parts) > 1 else parts[0]

    def cell(self, component: Payee) -> str:
        """Return the number of the price cell that pays for a turn, NULL where none does."""
        cases = []
        for cell in self.cells[component]:
            conditions = [f"{self.models[component]} = {literal(cell.model)}"]
            if not cell.start <= self.facts.first_day:
                conditions.append(f"ts >= TIMESTAMP '{cell.start}'")
            if not self.facts.last_day < cell.end:
                conditions.append(f"ts < TIMESTAMP '{cell.end}'")
            if cell.above:
                conditions.append(f"coalesce(input, 0) > {cell.above}")
            if cell.upto is not None:
                conditions.append(f"coalesce(input, 0) <= {cell.upto}")
            cases.append(f"WHEN {' AND '.join(conditions)} THEN {cell.number}")
        return f"CASE {' '.join(cases)} ELSE NULL END" if cases else "CAST(NULL AS INTEGER)"

    def reason(self, component: Payee) -> str:
        """Return an expression for why a component of a turn has no price: 0, or code and unit."""
        model = self.models[component]
        known = ", ".join(literal(n) for n in sorted({c.model for c in self.cells[component]}))
        without = [f"WHEN {model} IS NULL THEN {_number('no_model')}"]
        if component == "llm":
            tokens = [f"{_COLUMN[unit]} IS NULL" for unit in ("input", "output")]
            uncalled = " AND ".join((f"{model} IS NULL", *tokens, _BROKEN_OFF))
            without.insert(0, f"WHEN {uncalled} THEN 0")
        if known:
            without.append(f"WHEN {model} IN ({known}) THEN {_number('expired')}")
        otherwise = f"CASE {' '.join(without)} ELSE {_number('unknown_model')} END"
        cases = [
            f"WHEN {cell.number} THEN {self.reason_in(component, cell)}"
            for cell in self.cells[component]
        ]
        return (
            f"CASE {component}_cell {' '.join(cases)} ELSE {otherwise} END" if cases else otherwise
        )

    def reason_in(self, component: Payee, cell: PriceCell) -> str:
        """Return why a turn has no price although a cell is its own; see ``price_call``."""
        units = self.units(component)
        cases = [
            (
                f"{self.raw(component, unit)} IS NULL{_SPOKEN if component == 'tts' else ''}",
                _number("no_usage", unit),
            )
            for unit in units
            if unit in COUNTED and cell.prices.get(unit)
        ]
        if component == "llm":
            whole: tuple[Unit, ...] = ("input", "output")
            amounts = {unit: self.quantity(component, unit, cell.prices) for unit in whole}
            cases += [
                (f"{amount} < 0", _number("contradiction", unit))
                for unit, amount in amounts.items()
                if " - " in amount
            ]
            cases += [
                (f"{self.quantity(component, unit, cell.prices)} > 0", _number("no_price", unit))
                for unit in TOKEN_UNITS
                if unit not in {"reasoning", *cell.prices} and self.column(component, unit)
            ]
        elif not set(units) & set(cell.prices):
            missing: Unit = "second" if component == "stt" else "character"
            return str(_number("no_price", missing))
        if not cases:
            return "0"
        return (
            "CASE " + " ".join(f"WHEN {when} THEN {code}" for when, code in cases) + " ELSE 0 END"
        )

    def amount(self, component: Payee) -> str:
        """Return what a component of a turn costs, 0 where it has no price."""
        cases = []
        for cell in self.cells[component]:
            paid = [
                f"coalesce({self.quantity(component, unit, cell.prices)}, 0)"
                f" * {float(cell.prices[unit])!r}"
                for unit in self.units(component)
                if cell.prices.get(unit) and (unit == "query" or self.column(component, unit))
            ]
            cases.append(f"WHEN {cell.number} THEN {' + '.join(paid) or '0.0'}")
        return f"CASE {component}_cell {' '.join(cases)} ELSE 0.0 END" if cases else "0.0"

    def priced_rows(self) -> str:
        """Return a query of all turns with their cells, why they have no price, and their cost."""
        turns = f"(SELECT *, {self.facts.net.input_column()} AS input FROM cost_turns)"
        cells = "".join(f", {self.cell(c)} AS {c}_cell" for c in self.models)
        reasons = "".join(f", {self.reason(c)} AS {c}_why" for c in self.models)
        why = [
            f"WHEN {component}_why <> 0 THEN {component}_why + {i * _OF_PAYEE}"
            for i, component in enumerate(self.models)
        ]
        if self.billed != "FALSE":
            why.insert(0, f"WHEN {self.billed} THEN 0")
            if self.needs_currency:
                no_currency = _number("no_currency")
                why.insert(0, f"WHEN {self.billed} AND currency IS NULL THEN {no_currency}")
        otherwise = 0 if self.models else _number("no_model")
        amounts = " + ".join(self.amount(component) for component in self.models) or "0.0"
        return (
            f"SELECT *, CASE {' '.join(why)} ELSE {otherwise} END AS why,"
            f" {self.billed} AS is_billed,"
            f" CASE WHEN {self.billed} THEN cost ELSE {amounts} END AS amount,"
            " coalesce(audio_in_s, 0) + coalesce(audio_out_s, 0) AS audio_s"
            f" FROM (SELECT *{reasons} FROM (SELECT *{cells} FROM {turns}))"
        )


def _number(code: UnpricedCode, unit: Unit | None = None) -> int:
    """Return a reason as a number: code times 100, and the unit."""
    return 100 * (1 + _CODES.index(code)) + (0 if unit is None else 1 + PRICE_UNITS.index(unit))


def _reason_of(number: int) -> tuple[int, UnpricedCode, Unit | None]:
    """Return whose reason it is (the how many-th component), the code and the unit."""
    payee, reason = divmod(number, _OF_PAYEE)
    unit = reason % 100
    return payee, _CODES[reason // 100 - 1], PRICE_UNITS[unit - 1] if unit else None


class ArmUsageReader:
    """Implements UsageReader: the files of an arm as turns of DuckDB."""

    def __init__(self, open_turns: Callable[[TelemetryOptions], TurnTable]) -> None:
        """Open telemetry by a function; what it opens is closed here."""
        self._open = open_turns

    def __call__(
        self,
        arm: ArmName,
        paths: tuple[str, ...],
        policy: CostPolicy,
        book: PriceBook | None,
        now: str,
    ) -> ArmUsage:
        """Return what an arm's turns of some files used; see the port."""
        options = TelemetryOptions(
            paths=paths, now=now, mapping=policy.mapping, dialect=policy.dialect
        )
        with self._open(options) as table:
            return arm_usage(table, policy, book, getattr(policy, arm))


def arm_usage(
    table: TurnTable, policy: CostPolicy, book: PriceBook | None, choice: TurnChoice | None = None
) -> ArmUsage:
    """Return what the turns of a table (those chosen) used; raises InvalidInput."""
    _check_columns(table, policy, book)
    table.execute(f"CREATE OR REPLACE TEMP VIEW cost_turns AS SELECT * FROM turns{_where(choice)}")
    facts = _facts(table, policy, book)
    query = _Query(policy, book, table, facts)
    groups, unpriced, billed, words = _groups(table, query)
    sums, keys, success = _sessions(table, query)
    return ArmUsage(
        calls=facts.calls,
        sessions=len(keys),
        priced=sum(group.calls for group in groups),
        billed=billed,
        audio_minutes=facts.audio_s / 60,
        currency=facts.currency,
        last_day=facts.last_day or None,
        groups=groups,
        unpriced=unpriced,
        sums=sums,
        keys=keys,
        success=success,
        words=words,
        net=tuple(sorted({str(model) for _, model in facts.net.sources})),
        silent=tuple(_silent(query)),
        telemetry=table.summary(),
    )


def _where(choice: TurnChoice | None) -> str:
    if choice is None:
        return ""
    column, value = ("arm", choice.arm) if choice.arm is not None else ("release", choice.release)
    return f" WHERE {column} = {literal(value)}"


def _check_columns(table: TurnTable, policy: CostPolicy, book: PriceBook | None) -> None:
    """Refuse telemetry that names no model and bills nothing."""
    if policy.billed and "cost" in table.columns:
        return
    if book is None:
        raise InvalidInput(
            "the turns have no billed cost, and there is no price table",
            hint="give one: --prices FILE, or prices: in the policy",
        )
    if "model" not in table.columns and "llm" not in policy.components:
        names = (*table.attributes, *table.measures)
        hint = nearest("model", names)
        like = hint.removeprefix("did you mean ").strip('"?') if hint else ""
        raise InvalidInput(
            "the turns have no column model, so that nothing has a price",
            hint=f"mapping: {{model: {shown(like)}}}"
            if hint and hint.startswith("did you mean")
            else "mapping: {model: COLUMN}, or for a single one components: {llm: NAME}",
        )


def _facts(table: TurnTable, policy: CostPolicy, book: PriceBook | None) -> _Facts:
    """Return what has to be known before turns are priced; raises InvalidInput for currencies."""
    cached = "coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)"
    rows = table.fetch(
        "SELECT provider, model, CASE WHEN cost IS NOT NULL THEN coalesce(currency, '') END AS"
        " billed_in, count(*) AS calls, strftime(min(ts), '%Y-%m-%d') AS first_day,"
        " strftime(max(ts), '%Y-%m-%d') AS last_day,"
        " sum(coalesce(audio_in_s, 0) + coalesce(audio_out_s, 0)) AS audio_s,"
        " count(audio_in_s) AS with_audio, count(tts_chars) AS with_chars,"
        f" count(*) FILTER (WHERE {cached} > 0) AS cached,"
        f" count(*) FILTER (WHERE {cached} > coalesce(input_tokens, 0)) AS beyond"
        " FROM cost_turns GROUP BY ALL ORDER BY ALL"
    )
    days = [
        [day for day in _strings(rows[name]) if day is not None]
        for name in ("first_day", "last_day")
    ]
    return _Facts(
        calls=int(_column(rows, "calls").sum()),
        first_day=min(days[0], default=""),
        last_day=max(days[1], default=""),
        audio_s=float(_column(rows, "audio_s").sum()),
        with_audio=bool(_column(rows, "with_audio").sum()),
        with_characters=bool(_column(rows, "with_chars").sum()),
        currency=_currency(rows, policy, book),
        net=_net(rows, policy),
    )


def _strings(values: Any) -> list[str | None]:  # noqa: ANN401 - an array of DuckDB, masked or not
    masked = np.ma.asarray(values)
    filled = np.ma.getmaskarray(masked)
    return [
        None if gone or value is None else str(value)
        for value, gone in zip(masked.data, filled, strict=True)
    ]


def _column(fetched: Mapping[str, Any], name: str, missing: float = 0.0) -> FloatArray:
    values = np.ma.asarray(fetched[name]).astype(np.float64)
    return np.asarray(np.ma.filled(values, missing), dtype=np.float64)


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


def _sessions(
    table: TurnTable, query: _Query
) -> tuple[ClusterSums, IntArray, tuple[int, int, int]]:
    """Return sums by slice and session, the keys of all sessions, and their success.

    Slice values are numbered in the order of their spelling.
    """
    named = list(enumerate(query.slices.items()))
    values = {
        name: sorted(
            NO_VALUE if value is None else value
            for value in _strings(table.fetch(f"SELECT DISTINCT {sql} AS v FROM cost_turns")["v"])
        )
        for name, sql in query.slices.items()
    }
    codes = "".join(
        f", list_position([{', '.join(map(literal, values[name]))}]::VARCHAR[],"
        f" coalesce(slice_{i}, {literal(NO_VALUE)})) AS code_{i}"
        for i, (name, _) in named
    )
    keys = "".join(f", {sql} AS slice_{i}" for i, (_, sql) in named)
    grouped = "".join(f", slice_{i}" for i, _ in named)
    rows = table.fetch(
        f"SELECT session, amount, n, audio_s, solved, complete{codes}"
        f" FROM (SELECT session{grouped}, sum(amount) AS amount, count(*) AS n,"
        " sum(audio_s) AS audio_s, bool_and(why = 0) AS complete,"
        " max(CASE WHEN success THEN 2 WHEN NOT success THEN 1 ELSE 0 END) AS solved"
        f" FROM (SELECT *{keys} FROM ({query.priced_rows()})) GROUP BY session{grouped})"
    )
    sums = {
        "cost": _column(rows, "amount"),
        "call": _column(rows, "n"),
        "audio_minute": _column(rows, "audio_s") / 60,
        "solved": _column(rows, "solved"),
        "incomplete": 1.0 - _column(rows, "complete"),
    }
    session = np.asarray(rows["session"]).astype(np.uint64).view(np.int64)
    order = np.argsort(session)
    session, sums = session[order], {name: column[order] for name, column in sums.items()}
    parts = [_by_session(session, np.zeros(len(session), dtype=np.int64), sums)]
    slices = [OVERALL]
    for i, (name, _) in named:
        code = _column(rows, f"code_{i}").astype(np.int64)[order] - 1
        small = np.int16 if len(values[name]) < _FEW else np.int64
        by_code = np.argsort(code.astype(small), kind="stable")
        of_slice = {key: column[by_code] for key, column in sums.items()}
        parts.append(_by_session(session[by_code], code[by_code] + len(slices), of_slice))
        slices += [f"{name}={escape_value(value)}" for value in values[name]]
    overall = parts[0]
    won = int(np.count_nonzero(overall.sums["solved"] == 2))  # noqa: PLR2004 - as numbered above
    lost = int(np.count_nonzero(overall.sums["solved"] == 1))
    index = np.concatenate([part.slice_index for part in parts])
    joined = {name: np.concatenate([part.sums[name] for part in parts]) for name in sums}
    complete = joined["incomplete"] == 0
    return (
        ClusterSums(
            slices=tuple(slices),
            slice_index=index[complete],
            cluster_index=np.concatenate([part.session for part in parts])[complete],
            columns={
                **{name: joined[name][complete] for name in ("cost", "call", "audio_minute")},
                "success": (joined["solved"][complete] == 2).astype(np.float64),  # noqa: PLR2004 - as above
            },
        ),
        overall.session,
        (won, lost, len(overall.session) - won - lost),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Sums by session of some slices, sorted by slice."""

    session: IntArray
    slice_index: IntArray
    sums: Mapping[str, FloatArray]


def _by_session(session: IntArray, code: IntArray, sums: Mapping[str, FloatArray]) -> _Part:
    """Return sums, and the largest of ``solved``, of rows sorted by slice and session."""
    first = np.ones(len(session), dtype=np.bool_)
    first[1:] = (session[1:] != session[:-1]) | (code[1:] != code[:-1])
    if first.all():
        return _Part(session=session, slice_index=code, sums=sums)
    start = np.flatnonzero(first)
    joined = {
        name: (np.maximum if name == "solved" else np.add).reduceat(column, start)
        for name, column in sums.items()
    }
    return _Part(session=session[start], slice_index=code[start], sums=joined)


_Unpriced = dict[tuple[str | None, UnpricedCode, Unit | None], int]


def _groups(
    table: TurnTable, query: _Query
) -> tuple[tuple[GroupUsage, ...], _Unpriced, int, dict[str, WordCounts]]:
    """Return the usage of priced calls by models and slices, the others, billed ones, and words."""
    labels = {"model": query.models.get("llm", "model")}
    labels |= {f"{c}_name": model for c, model in query.models.items() if c != "llm"}
    labels |= {f"slice_{i}": sql for i, sql in enumerate(query.slices.values())}
    keys = [f"{sql} AS {name}" for name, sql in labels.items()]
    keys += [f"{component}_cell" for component in query.models]
    keys += ["why", "is_billed", f"{query.language} AS language_of"]
    counted = {
        (component, unit): query.raw(component, unit)
        for component in query.models
        for unit in _counted(query, component)
    }
    sums = [f"sum({sql}) AS {c}_{u}_sum" for (c, u), sql in counted.items()]
    sums.append(
        f"sum(CAST(round(cost * {_GRAIN}) AS BIGINT)) FILTER (WHERE is_billed) AS billed"
        if query.billed != "FALSE"
        else "0 AS billed"
    )
    if query.words:
        tokens = "coalesce(input, 0) + coalesce(output_tokens, 0)"
        sums.append(f"sum({query.words}) FILTER (WHERE {query.words} > 0) AS words_sum")
        sums.append(f"sum({tokens}) FILTER (WHERE {query.words} > 0) AS tokens_sum")
    rows = table.fetch(
        f"SELECT {', '.join(keys)}, count(*) AS n, {', '.join(sums)}"
        f" FROM ({query.priced_rows()}) GROUP BY ALL ORDER BY ALL"
    )
    groups, unpriced = _collect(rows, list(labels), query, tuple(counted))
    priced = _column(rows, "why") == 0
    billed = _column(rows, "n")[priced & np.asarray(rows["is_billed"], dtype=np.bool_)].sum()
    return groups, unpriced, int(billed), _words(rows) if query.words else {}


def _counted(query: _Query, component: Payee) -> Iterator[Unit]:
    """Yield the units whose counts have to be summed to know the quantities of those priced."""
    priced = query.priced_units(component)
    needed = {*priced, *(part for unit in priced for part in _PARTS.get(unit, ()))}
    for unit in query.units(component):
        if unit in needed and (unit == "query" or query.column(component, unit)):
            yield unit


def _collect(
    rows: Mapping[str, Any],
    labels: Sequence[str],
    query: _Query,
    counted: Sequence[tuple[Payee, Unit]],
) -> tuple[tuple[GroupUsage, ...], _Unpriced]:
    """Return groups from sums by label, cell and reason.

    Quantities are differences of sums, as they are of counts: all turns of a row have one cell.
    """
    cells = {cell.number: cell for each in query.cells.values() for cell in each}
    groups: dict[tuple[str | None, ...], tuple[int, dict[Priced, Fraction], Fraction]] = {}
    unpriced: _Unpriced = {}
    named = list(zip(*(_strings(rows[name]) for name in labels), strict=True))
    why, calls = _column(rows, "why").astype(int), _column(rows, "n").astype(int)
    is_billed = np.asarray(rows["is_billed"], dtype=np.bool_)
    numbers = {c: _column(rows, f"{c}_cell", -1).astype(int) for c in query.models}
    amounts = {(c, u): _column(rows, f"{c}_{u}_sum") for c, u in counted}
    billed = [int(value) for value in np.ma.filled(np.ma.asarray(rows["billed"]), 0)]
    for i, label in enumerate(named):
        if why[i]:
            payee, code, unit_of = _reason_of(int(why[i]))
            key = (label[payee], code, unit_of)
            unpriced[key] = unpriced.get(key, 0) + int(calls[i])
            continue
        before, paid, sum_billed = groups.get(label, (0, {}, Fraction(0)))
        if is_billed[i]:
            sum_billed += Fraction(billed[i], _GRAIN)
        for component in () if is_billed[i] else query.models:
            cell = cells.get(int(numbers[component][i]))
            for unit in query.units(component) if cell is not None else ():
                if cell is None or unit not in cell.prices or (component, unit) not in amounts:
                    continue
                quantity = _exact(amounts[component, unit][i], unit)
                for part in _PARTS.get(unit, ()):
                    if (component, part) in amounts and (
                        part != "reasoning" or part in cell.prices
                    ):
                        quantity -= _exact(amounts[component, part][i], part)
                if quantity:
                    place: Priced = (component, cell.number, unit)
                    paid[place] = paid.get(place, Fraction(0)) + quantity
        groups[label] = (before + int(calls[i]), paid, sum_billed)
    return (
        tuple(
            GroupUsage(group=label, calls=number, used=paid, billed=amount)
            for label, (number, paid, amount) in groups.items()
        ),
        unpriced,
    )


def _exact(quantity: float, unit: Unit) -> Fraction:
    """Return a summed quantity without the rounding of its sum: audio in whole milliseconds."""
    scale = {"audio_minute": 60 * _MS, "second": _MS}.get(unit)
    return Fraction(quantity) if scale is None else Fraction(round(quantity * scale), scale)


def _words(rows: Mapping[str, Any]) -> dict[str, WordCounts]:
    tokens, words = _column(rows, "tokens_sum"), _column(rows, "words_sum")
    languages = [NO_VALUE if name is None else name for name in _strings(rows["language_of"])]
    counts: dict[str, tuple[float, float]] = {}
    for language, more_tokens, more_words in zip(languages, tokens, words, strict=True):
        before = counts.get(language, (0.0, 0.0))
        counts[language] = (before[0] + float(more_tokens), before[1] + float(more_words))
    return {
        language: WordCounts(tokens=total[0], words=total[1])
        for language, total in sorted(counts.items())
        if total[1] > 0
    }


def _silent(query: _Query) -> Iterator[Unit]:
    """Yield what was used and has no price anywhere: audio, characters."""
    if query.book is None:
        return
    units = {unit for component in query.models for unit in query.priced_units(component)}
    recognised, spoken = "stt" in query.models, "tts" in query.models
    recognised = recognised or bool(units & {"second", "audio_minute", "audio_in"})
    if query.facts.with_audio and not recognised:
        yield "second"
    if query.facts.with_characters and not spoken and not units & {"character", "audio_out"}:
        yield "character"
