"""The evidence inside a signed decision: sums by slice and cluster, to JSON and back."""

from typing import Annotated, Literal

from pydantic import Field

from relkit.domain.decisions import OrderStatistics, PartEvidence, PercentileTable, SumsTable
from relkit.domain.gates import Mode, Rule, Test
from relkit.records.digests import JsonValue
from relkit.records.strict import Record

ABOUT_PERCENTILES = (
    "a percentile's rows are (values, values above it) by cluster; that low and high are the "
    "measurements of their ranks has to be believed"
)
"""What a third party cannot recompute, said inside the evidence."""

Row = list[float]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]


class _RuleRecord(Record):
    id: str
    metric: str
    slice: str
    test: Test
    mode: Mode
    max: float | None
    min: float | None
    margin: float | None
    detectable: float
    min_change: float | None
    min_relative_change: float | None
    anchor_margin: float | None
    min_clusters: int
    min_utterances: int

    def rule(self) -> Rule:
        return Rule(**self.model_dump())


class _SumsRecord(Record):
    metric: str
    against: Literal["baseline", "anchor"] | None
    by: Literal["cluster", "repeat"]
    slices: list[Name]
    columns: list[Name]
    rows: list[Row]

    def table(self) -> SumsTable:
        return SumsTable(
            metric=self.metric,
            against=self.against,
            by=self.by,
            slices=tuple(self.slices),
            columns=tuple(self.columns),
            rows=tuple(tuple(row) for row in self.rows),
        )


class _OrderRecord(Record):
    slice: str
    value: float
    values: Count
    utterances: Count
    rows: list[Annotated[list[float], Field(min_length=2, max_length=2)]]
    low_rank: int | None
    low: float | None
    high_rank: int | None
    high: float | None
    other: "_OrderRecord | None"

    def statistics(self) -> OrderStatistics:
        return OrderStatistics(
            slice=self.slice,
            value=self.value,
            values=self.values,
            utterances=self.utterances,
            rows=tuple((row[0], row[1]) for row in self.rows),
            low_rank=self.low_rank,
            low=self.low,
            high_rank=self.high_rank,
            high=self.high,
            other=None if self.other is None else self.other.statistics(),
        )


class _PercentileRecord(Record):
    metric: str
    against: Literal["baseline", "anchor"] | None
    share: float
    slices: list[_OrderRecord]

    def table(self) -> PercentileTable:
        return PercentileTable(
            metric=self.metric,
            against=self.against,
            share=self.share,
            slices=tuple(one.statistics() for one in self.slices),
        )


class _PartRecord(Record):
    part: str | None
    rules: list[_RuleRecord]
    sums: list[_SumsRecord]
    percentiles: list[_PercentileRecord]


class EvidenceRecord(Record):
    """What stands under ``evidence``."""

    about_percentiles: str
    parts: list[_PartRecord]

    def evidence(self) -> tuple[PartEvidence, ...]:
        """Return it as the domain knows it."""
        return tuple(
            PartEvidence(
                part=one.part,
                rules=tuple(rule.rule() for rule in one.rules),
                sums=tuple(table.table() for table in one.sums),
                percentiles=tuple(table.table() for table in one.percentiles),
            )
            for one in self.parts
        )


def evidence_document(parts: tuple[PartEvidence, ...]) -> JsonValue:
    """Return the evidence as JSON; sums that are whole numbers are written as such."""
    return {
        "about_percentiles": ABOUT_PERCENTILES,
        "parts": [
            {
                "part": part.part,
                "rules": [_rule_document(rule) for rule in part.rules],
                "sums": [_sums_document(table) for table in part.sums],
                "percentiles": [_percentile_document(table) for table in part.percentiles],
            }
            for part in parts
        ],
    }


def _rule_document(rule: Rule) -> JsonValue:
    return {name: getattr(rule, name) for name in _RuleRecord.model_fields}


def _sums_document(table: SumsTable) -> JsonValue:
    return {
        "metric": table.metric,
        "against": table.against,
        "by": table.by,
        "slices": list(table.slices),
        "columns": list(table.columns),
        "rows": [list(row) for row in table.rows],
    }


def _percentile_document(table: PercentileTable) -> JsonValue:
    return {
        "metric": table.metric,
        "against": table.against,
        "share": table.share,
        "slices": [_order_document(one) for one in table.slices],
    }


def _order_document(one: OrderStatistics) -> JsonValue:
    return {
        "slice": one.slice,
        "value": one.value,
        "values": one.values,
        "utterances": one.utterances,
        "rows": [list(row) for row in one.rows],
        "low_rank": one.low_rank,
        "low": one.low,
        "high_rank": one.high_rank,
        "high": one.high,
        "other": None if one.other is None else _order_document(one.other),
    }
