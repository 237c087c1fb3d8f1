"""Turns counted for triage, against the same counts in plain Python."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relkit.adapters.duckdb.incident import TurnTableIncidents
from relkit.incident.causes import LACKS, LOG_SUM
from relkit.incident.signals import SHIPPED_SIGNALS
from relkit.incident.types import IncidentCounts, ReleaseColumn, Signal
from relkit.telemetry.types import TelemetryOptions
from relkit.wiring.telemetry import open_turns

START = int(datetime.fromisoformat("2026-03-02T00:00:00+00:00").timestamp())
REFERENCE, END = START + 3 * 3600, START + 4 * 3600
Row = dict[str, Any]
CELLS = ("region", "release_llm")


def rows() -> list[Row]:
    """Return 400 turns of four hours, some of which lack what others have."""
    rng = np.random.default_rng(5)
    made = []
    for i in range(400):
        ok = bool(rng.random() > 0.2)
        made.append(
            {
                "ts": datetime.fromtimestamp(START + i * 36, UTC).isoformat(),
                "session": f"s{i // 4}",
                "turn_id": f"t{i}",
                "ok": ok,
                "outcome": "failed" if not ok else ("interrupted" if i % 11 == 0 else "completed"),
                "latency_ms": round(200 + 900 * float(rng.random()), 1) if ok else None,
                "llm_ttft_ms": None if i % 7 == 0 else 100.0 + i % 50,
                "retries": i % 13 // 12,
                "attempt": 1 + i % 9 // 8,
                "partial_changes": i % 5,
                "partial_words": 0 if i % 17 == 0 else 8,
                "grounded": None if i % 3 == 0 else i % 10 != 1,
                "input_tokens": 100 + i % 40,
                "output_tokens": 20,
                "cost": 0.001 * (1 + i % 3),
                "error_code": None if ok else ("upstream_timeout" if i % 2 else "internal"),
                "region": ["eu", "us", None][i % 3],
                "release_llm": "1.0" if i < 250 else "1.1",
            }
        )
    return made


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[IncidentCounts, frozenset[str]]:
    """Count them once."""
    path = tmp_path_factory.mktemp("turns") / "turns.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return counts_of(path)


def counts_of(path: Path) -> tuple[IncidentCounts, frozenset[str]]:
    """Return the counts of a file and the columns that signals may be about."""
    options = TelemetryOptions(paths=(str(path),), now="2027-01-01T00:00:00Z")
    with TurnTableIncidents(open_turns(options)) as turns:
        signals = [s for s in SHIPPED_SIGNALS if s.column in turns.quantities]
        order = turns.versions("release_llm", before=END)
        assert order == ("1.0", "1.1")
        counts = turns.counts(
            signals,
            ("region",),
            {"llm": ReleaseColumn(column="release_llm", order=order)},
            start=START,
            reference=REFERENCE,
            end=END,
        )
        return counts, turns.quantities


def by_cell(counts: IncidentCounts, values: Iterable[float]) -> Counter[tuple[object, ...]]:
    """Return sums by bin, region and version."""
    total: Counter[tuple[object, ...]] = Counter()
    region, version = counts.columns["region"], counts.releases["llm"]
    names = [*region.names, None], [*version.names, None]
    for i, value in enumerate(values):
        cell = (int(counts.bins[i]), names[0][region.codes[i]], names[1][version.codes[i]])
        total[cell] += value  # type: ignore[assignment]  # a sum
    return +total


def by_hand(test: Callable[[Row], bool | None]) -> Counter[tuple[object, ...]]:
    """Return how many turns a test holds for, by the same cells."""
    total: Counter[tuple[object, ...]] = Counter()
    for i, row in enumerate(rows()):
        if test(row):
            total[(i * 36 // 300, *(row[name] for name in CELLS))] += 1
    return total


def p95(column: str, share: float = 0.95) -> float:
    """Return a quantile of the reference."""
    values = [row[column] for row in rows()[: 3 * 100] if row[column] is not None]
    return float(np.quantile(values, share))


EVENTS: dict[str, tuple[Callable[[Row], bool | None], Callable[[Row], bool | None]]] = {
    "failed": (lambda row: not row["ok"], lambda _row: True),
    "barge_in": (lambda row: row["outcome"] == "interrupted", lambda _row: True),
    "not_grounded": (lambda row: row["grounded"] is False, lambda row: row["grounded"] is not None),
    "retried": (lambda row: row["retries"] > 0 or row["attempt"] > 1, lambda _row: True),
    "slow": (
        lambda row: not row["ok"] or row["latency_ms"] > p95("latency_ms"),
        lambda _row: True,
    ),
    "slow_llm": (
        lambda row: row["llm_ttft_ms"] is not None and row["llm_ttft_ms"] > p95("llm_ttft_ms"),
        lambda row: row["llm_ttft_ms"] is not None,
    ),
    "partial_churn": (
        lambda row: row["partial_words"] and row["partial_changes"] / 8 > 0.5,
        lambda row: row["partial_words"],
    ),
    "costly": (lambda row: row["cost"] > p95("cost", 0.9), lambda _row: True),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_those_counted_by_hand(
    counted: tuple[IncidentCounts, frozenset[str]], name: str
) -> None:
    """Each signal has its events and the turns that it was measured in, by bin and cell."""
    counts, _ = counted
    event, measured = EVENTS[name]
    if name != "partial_churn":
        assert by_cell(counts, counts.events[name]) == by_hand(event)
    assert by_cell(counts, counts.measured[name]) == by_hand(measured)


def test_turns_are_counted_once_each(counted: tuple[IncidentCounts, frozenset[str]]) -> None:
    """All cells together are all turns, in the order of time."""
    counts, quantities = counted
    assert by_cell(counts, counts.turns) == by_hand(lambda _row: True)
    assert list(counts.bins) == sorted(counts.bins)
    assert {"failed", "interrupted", "retried", "churn", "tokens", "latency_ms"} <= quantities


def test_what_is_missing_counts_only_in_turns_that_went_well(
    counted: tuple[IncidentCounts, frozenset[str]],
) -> None:
    """A turn that failed has no first audio, and nobody forgot to measure it."""
    counts, _ = counted
    lacks = by_cell(counts, counts.events[f"{LACKS}latency_ms"])
    assert not lacks
    well = by_hand(lambda row: row["outcome"] == "completed" and row["llm_ttft_ms"] is None)
    assert by_cell(counts, counts.events[f"{LACKS}llm_ttft_ms"]) == well


def test_sums_say_what_no_yes_or_no_does(counted: tuple[IncidentCounts, frozenset[str]]) -> None:
    """Failures and their upstream codes, cost and its tokens, logarithms of durations."""
    counts, _ = counted
    upstream = [row for row in rows() if row["error_code"] == "upstream_timeout"]
    assert counts.sums["upstream"].sum() == len(upstream)
    assert counts.sums["failures"].sum() == sum(not row["ok"] for row in rows())
    assert counts.sums["cost"].sum() == pytest.approx(sum(row["cost"] for row in rows()))
    tokens = sum(row["input_tokens"] + row["output_tokens"] for row in rows())
    assert counts.sums["priced_tokens"].sum() == tokens
    logs = sum(np.log10(row["latency_ms"]) for row in rows() if row["outcome"] == "completed")
    assert counts.sums[f"{LOG_SUM}latency_ms"].sum() == pytest.approx(logs, rel=1e-5)


def test_sessions_that_fail_whole_are_overdispersed(tmp_path: Path) -> None:
    """Four turns of a session that fail together weigh about as much as one."""
    made = [
        {**row, "ok": i // 4 % 5 != 0, "outcome": None, "latency_ms": 300.0}
        for i, row in enumerate(rows())
    ]
    path = tmp_path / "turns.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    counts, _ = counts_of(path)
    assert counts.dispersion["failed"] == pytest.approx(4.0, rel=0.05)
    assert counts.dispersion["retried"] < 1.5


def test_the_pins_of_a_stack_become_the_versions_of_its_parts(tmp_path: Path) -> None:
    """A column of stacks says the version of each component."""
    path = tmp_path / "turns.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    options = TelemetryOptions(paths=(str(path),), now="2027-01-01T00:00:00Z")
    column = ReleaseColumn(
        column="release_llm", order=("a", "b"), versions={"1.0": "b", "1.1": "a"}
    )
    with TurnTableIncidents(open_turns(options)) as turns:
        counts = turns.counts(
            (Signal(name="failed", column="failed"),),
            (),
            {"tts": column},
            start=START,
            reference=REFERENCE,
            end=END,
        )
    codes = counts.releases["tts"].codes
    assert counts.turns[codes == 0].sum() == 150
    assert counts.turns[codes == 1].sum() == 250
