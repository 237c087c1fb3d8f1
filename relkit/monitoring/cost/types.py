"""Cost policies, price tables and what came of comparing two arms (docs/cost.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction as Amount
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from relkit.core.values import (
    OMITTED,
    REQUIRED,
    WRITTEN,
    Checked,
    Count,
    Fraction,
    Limits,
    Named,
    NonEmpty,
    Read,
    Shape,
    named,
)
from relkit.telemetry.types import ColumnMapping, Dialect, Telemetry

if TYPE_CHECKING:
    from relkit.core.arrays import IntArray
    from relkit.statistics.types import ClusterSums

TokenUnit = Literal[
    "input", "output", "cache_read", "cache_write", "audio_in", "audio_out", "reasoning"
]
OtherUnit = Literal["audio_minute", "second", "character", "query"]
Unit = Literal[TokenUnit, OtherUnit]

TOKEN_UNITS: tuple[TokenUnit, ...] = get_args(TokenUnit)
"""What is priced per token: each token of a call belongs to exactly one of them."""

PRICE_UNITS: tuple[Unit, ...] = (*TOKEN_UNITS, *get_args(OtherUnit))
"""What can have a price; ``query`` is the call itself."""

MOST_PER_TOKEN = 1.0
"""No token costs more than 1 of any currency: such a price is one per thousand or per million."""


def checked_token_price(price: float) -> float:
    """Return a price per token; raises ValueError for what is one per million tokens."""
    if price > MOST_PER_TOKEN:
        raise ValueError(
            f"{price:g} is no price per token; {price:g} per million tokens is {price / 1e6:g}"
        )
    return price


def checked_date(text: str) -> str:
    """Return a day as it is written, ``2026-11-01``; raises ValueError for what is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("a day such as 2026-11-01 was expected") from error
    if day.isoformat() != text:
        raise ValueError("a day such as 2026-11-01 was expected")
    return text


def checked_currency(text: str) -> str:
    """Return the code of a currency (ISO 4217); raises ValueError for what cannot be one."""
    if len(text) == 3 and text.isascii() and text.isalpha() and text.isupper():  # noqa: PLR2004 - letters of a code
        return text
    raise ValueError("three capital letters such as USD were expected")


TokenPrice = Annotated[float, Limits(ge=0), Checked(checked_token_price)]
UnitPrice = Annotated[float, Limits(ge=0, le=1e6)]
Day = Annotated[str, Checked(checked_date)]
"""A day in UTC, ``2026-11-01``."""

Currency = Annotated[str, Checked(checked_currency)]
PricedModel = Annotated[str, Limits(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The days on which a price holds, both included; ``to`` None: until further notice."""

    from_: Day = field(metadata=named("from"))
    to: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """Prices per token, of one currency; None where there is none.

    Input that is neither cached, written nor audio costs ``input``; output that is not audio costs
    ``output``, reasoning included unless ``reasoning`` has a price of its own.
    """

    FILE: ClassVar = Shape(omitted=True)

    input: TokenPrice | None = None
    output: TokenPrice | None = None
    cache_read: TokenPrice | None = None
    cache_write: TokenPrice | None = None
    audio_in: TokenPrice | None = None
    audio_out: TokenPrice | None = None
    reasoning: TokenPrice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier(TokenPrices):
    """Prices of calls with more than ``above`` tokens of input, for all of their tokens.

    What a tier does not price costs what it costs below it.
    """

    above: Annotated[int, Limits(ge=1, le=10**9)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice(TokenPrices):
    """What a model costs.

    ``audio_minute`` and ``second`` are prices of the user's audio, ``character`` one of text that
    is spoken, ``query`` one of each call. ``valid`` is for a model whose price holds on other days
    than the rest of its table.
    """

    audio_minute: UnitPrice | None = None
    second: UnitPrice | None = None
    character: TokenPrice | None = None
    query: UnitPrice | None = None
    tiers: tuple[PriceTier, ...] = ()
    valid: Validity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """A price table as its file has it: one currency, the days it holds, prices by model."""

    schema: Literal["relkit.prices/v1"] = field(default="relkit.prices/v1", metadata=REQUIRED)
    currency: Currency
    valid: Validity
    models: Mapping[PricedModel, ModelPrice]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceCell:
    """The prices that hold for one model, on some days, for some lengths of input.

    Valid from the beginning of day ``start`` to that of ``end``; for calls with more than ``above``
    and at most ``upto`` tokens of input (None: any number). ``prices`` are exact decimals.
    """

    number: int
    model: str
    start: str
    end: str
    above: int
    upto: int | None
    prices: Mapping[Unit, Amount]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """The prices of some tables of one currency, by model."""

    currency: str
    cells: tuple[PriceCell, ...]

    @property
    def models(self) -> frozenset[str]:
        """The models that have a price on some day."""
        return frozenset(cell.model for cell in self.cells)

    def cell(self, model: str, day: str, input_tokens: float) -> PriceCell | None:
        """Return the prices of a call of a model on a day, None where none holds."""
        holding = (
            cell
            for cell in self.cells
            if cell.model == model
            and cell.start <= day < cell.end
            and (input_tokens > cell.above or not cell.above)
            and (cell.upto is None or input_tokens <= cell.upto)
        )
        return next(holding, None)


Payee = Literal["llm", "stt", "tts"]
"""Who is paid for a turn: its ``model``, and who recognised or spoke for it."""

Denominator = Literal["call", "audio_minute", "success"]

DENOMINATORS: tuple[Denominator, ...] = get_args(Denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentModel:
    """Which model did a part of the turn: a fixed one, or the one that a column names."""

    FILE: ClassVar = Shape(omitted=True)

    model: PricedModel | None = None
    column: NonEmpty | None = None


def component_model(written: object) -> object:
    """Return a component as a mapping; a file may have the model's name only."""
    return {"model": written} if isinstance(written, str) else written


def several(written: object) -> object:
    """Return a list; a file may have its only entry instead."""
    return [written] if isinstance(written, str) else written


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnChoice:
    """Which turns of the files are an arm's: those of a release, or of an arm."""

    FILE: ClassVar = Shape(omitted=True)

    release: NonEmpty | None = None
    arm: Literal["control", "canary"] | None = None


_Component = Annotated[ComponentModel, Read(component_model, PricedModel)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPolicy:
    """A cost policy as its file has it.

    ``margin`` is by which fraction the cost per success may grow (per the first of ``per`` where
    that has no success). ``prices`` are price tables, by their place in the workspace.
    ``components`` price the speech of a turn besides its ``model``: ``stt`` by the user's
    audio, ``tts`` by the characters or the audio that are spoken; ``llm`` stands for ``model``
    itself. ``billed`` takes the cost that turns have themselves where they have one, in their
    ``currency``, or in that of the policy where turns do not say. ``usage`` says how input is
    counted: with cached and written tokens (``inclusive``), without them (``net``), or as the
    data shows. ``max_unpriced`` is the share of calls without a price above which there is no
    verdict. ``words`` is the column with the words that tokens are counted against.
    ``baseline`` and ``candidate`` choose the turns of files that hold both.
    """

    FILE: ClassVar = Shape(omitted=True)

    schema: Literal["relkit.cost/v1"] = field(default="relkit.cost/v1", metadata=REQUIRED | WRITTEN)
    name: Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    enforcement: Literal["enforce", "shadow"] = "enforce"
    per: Annotated[tuple[Denominator, ...], Limits(min_length=1)] = DENOMINATORS
    slices: tuple[NonEmpty, ...] = ()
    margin: Fraction
    prices: Annotated[tuple[NonEmpty, ...], Read(several, NonEmpty)] = ()
    components: Mapping[Payee, _Component] = field(default_factory=dict)
    billed: bool = True
    currency: Currency | None = None
    usage: Literal["auto", "inclusive", "net"] = "auto"
    max_unpriced: Fraction = 0.01
    words: NonEmpty | None = None
    baseline: TurnChoice | None = None
    candidate: TurnChoice | None = None
    mapping: ColumnMapping = field(default_factory=dict)
    dialect: Dialect | None = None

    @property
    def gated(self) -> Denominator:
        """What the margin holds for."""
        return "success" if "success" in self.per else self.per[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostOptions:
    """What ``relkit cost`` is asked for; ``prices`` replace those of the policy."""

    policy: str
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    prices: tuple[str, ...] = ()
    now: str


ArmName = Literal["baseline", "candidate"]

CostVerdict = Literal["pass", "fail", "inconclusive", "no_data"]

Two = tuple[float | None, float | None]
"""A figure of the baseline and of the candidate; None where there is none."""

UnpricedCode = Literal[
    "no_model",
    "unknown_model",
    "expired",
    "no_price",
    "no_usage",
    "contradiction",
    "no_currency",
]
"""Why a call has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedCalls:
    """Calls of one model without a price: why, and how many in baseline and candidate.

    ``unit`` is what has no price, or what was not counted.
    """

    model: str | None
    code: UnpricedCode
    unit: Unit | None = None
    calls: tuple[Count, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSlice:
    """One slice: what it costs per what the margin holds for, and by how much that grew.

    ``delta_pct``, ``low`` and ``high`` are fractions. ``share`` is that of all cost.
    """

    slice: str
    cost: Two
    share: Two
    sessions: tuple[Count, Count]
    delta_pct: float | None = None
    low: float | None = None
    high: float | None = None
    status: CostVerdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """What came of comparing two arms; the fractions are never percent.

    ``delta_pct`` is by which fraction the cost per ``gated`` grew, with its two-sided 95 % ends
    ``low`` and ``high``. The effects are parts of the change of the cost per call, in ``currency``;
    they add up to ``difference``. ``billed_effect`` is what changed within models and slices of
    cost that was billed: usage and price cannot be told apart there.
    """

    FILE: ClassVar = Shape(required=True)

    verdict: CostVerdict
    reason: str
    policy: Named
    enforcement: Literal["enforce", "shadow"]
    currency: str
    gated: Denominator
    margin: float
    delta_pct: float | None
    low: float | None
    high: float | None
    calls: tuple[Count, Count]
    sessions: tuple[Count, Count]
    successes: tuple[Count, Count]
    audio_minutes: Two
    cost: Two
    cost_per_call: Two
    cost_per_session: Two
    cost_per_audio_minute: Two
    cost_per_success: Two
    difference: float | None
    usage_effect: float | None
    price_effect: float | None
    mix_effect: float | None
    billed_effect: float | None
    slices: tuple[CostSlice, ...]
    tokens_per_word: Mapping[str, Two]
    unpriced: tuple[UnpricedCalls, ...]
    notes: tuple[str, ...]


MapFormat = Literal["litellm", "langfuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPriced:
    """What a price map has and a price table does not: a key of a model, or the whole model."""

    model: str
    key: str | None = field(default=None, metadata=OMITTED)
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPrices:
    """A price table made from a price map, and everything of the map that is not in it."""

    format: MapFormat
    entries: Count
    table: PriceTable
    not_priced: tuple[NotPriced, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPrices:
    """A price table that could be read, and what looks wrong about it all the same."""

    currency: str
    valid: Validity
    models: Count
    suspicions: tuple[NotPriced, ...]


Priced = tuple[Payee, int, Unit]
"""Who was paid, the number of the price cell, and for what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUsage:
    """Priced calls of one arm with the same models and slice values.

    ``used`` is how much of what was paid for, exactly; ``billed`` what was billed for calls that
    have a cost of their own.
    """

    group: tuple[str | None, ...]
    calls: int
    used: Mapping[Priced, Amount]
    billed: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCounts:
    """Tokens and words of turns whose words were counted."""

    tokens: float
    words: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmUsage:
    """What one arm used.

    ``priced`` of ``calls`` have a price and ``billed`` of these a cost of their own. ``unpriced``
    counts the others by (model, code, unit). ``sums`` are by slice and session, of sessions whose
    calls all have a price: ``cost``, ``call``, ``audio_minute``, ``success``; ``keys`` are the
    hashes of all sessions. ``success`` counts sessions that succeeded, that did not, and of which
    it is not known. ``net`` are the models whose input was counted without the cache. ``silent``
    says what was used and is not part of the cost, ``words`` is by language. ``last_day`` is the
    day of the last turn, ``currency`` that of billed cost.
    """

    calls: int
    sessions: int
    priced: int
    billed: int
    audio_minutes: float
    currency: str | None
    last_day: str | None
    groups: tuple[GroupUsage, ...]
    unpriced: Mapping[tuple[str | None, UnpricedCode, Unit | None], int]
    sums: "ClusterSums"
    keys: "IntArray"
    success: tuple[int, int, int]
    words: Mapping[str, WordCounts]
    net: tuple[str, ...]
    silent: tuple[Unit, ...]
    telemetry: Telemetry
