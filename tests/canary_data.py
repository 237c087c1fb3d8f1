"""Turns, policies and looks for the tests of the canary."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relkit.canary.policies import parse_canary_policy
from relkit.canary.run import CanaryOptions, CanaryPorts, judge_telemetry
from relkit.canary.types import (
    EVERY_UNIT,
    CanaryLook,
    CanaryPolicy,
    CellKey,
    JudgedCanary,
    LostTurns,
    StepTime,
)
from relkit.core.config import Workspace
from relkit.statistics.types import UnitCounts
from relkit.wiring.canary import canary_ports

BEGAN = "2026-03-01T12:00:00Z"
NOW = "2026-03-01T18:00:00Z"
HOURS = 5.9

POLICY = """\
schema: relkit.canary/v1
name: rollout
control: {arm: control}
canary: {arm: canary}
slices: [language]
steps:
  - {share: 25%, min_duration: 4h, detectable: 2, from: 2026-03-01T12:00:00Z}
  - {share: 50%, min_duration: 8h, detectable: 1.5}
triggers:
  - {id: failures, rate: failed}
  - {id: hangups, rate: abandoned, per: session, mode: watch}
  - {id: latency, tail: latency_ms, at: [p95, p99]}
limits:
  - {id: hard, rate: failed, max: 50%}
"""

Row = dict[str, Any]


def policy(text: str = POLICY, **changes: str) -> CanaryPolicy:
    """Return a policy; ``changes`` replace words of its text."""
    for before, after in changes.items():
        text = text.replace(before, after)
    return parse_canary_policy(text, source="rollout.yaml")


def turns(
    sessions: int,
    *,
    seed: int = 1,
    share: float = 0.25,
    fail: tuple[float, float] = (0.02, 0.02),
    slower: float = 1.0,
    began: str = BEGAN,
    hours: float = HOURS,
) -> list[Row]:
    """Return turns of sessions in the order of time; ``fail`` are the rates of both arms."""
    draw = np.random.default_rng(seed)
    start = datetime.fromisoformat(began)
    rows = []
    for i in range(sessions):
        canary = draw.random() < share
        language = ("de", "en", "fr")[draw.integers(3)]
        at = start + timedelta(hours=float(draw.random()) * (hours - 0.2))
        rate = fail[canary] * draw.gamma(2.0) / 2.0
        for k in range(1 + draw.poisson(3)):
            at += timedelta(seconds=float(draw.uniform(5, 60)))
            ok = bool(draw.random() >= rate)
            rows.append(
                {
                    "ts": at,
                    "session": f"s{seed}-{i}",
                    "turn_id": f"t{k}",
                    "arm": "canary" if canary else "control",
                    "ok": ok,
                    "outcome": "completed" if ok else "failed",
                    "latency_ms": float(draw.lognormal(6.6, 0.5)) * (slower if canary else 1.0)
                    if ok
                    else None,
                    "language": language,
                }
            )
    return sorted(rows, key=lambda row: (row["ts"], row["session"]))


def write_turns(path: Path, rows: Sequence[Row]) -> str:
    """Write turns as Parquet and return the path as text."""
    schema = pa.schema(
        [
            ("ts", pa.timestamp("us", tz="UTC")),
            *((name, pa.string()) for name in ("session", "turn_id", "arm")),
            ("ok", pa.bool_()),
            ("outcome", pa.string()),
            ("latency_ms", pa.float64()),
            ("language", pa.string()),
        ]
    )
    known = {field.name for field in schema}
    for row in rows[:1]:
        for name, value in row.items():
            if name not in known:
                schema = schema.append(pa.field(name, pa.scalar(value).type))
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return str(path)


def workspace(folder: Path, text: str = POLICY) -> Workspace:
    """Return a workspace with a policy ``rollout``."""
    gates = folder / "gates"
    gates.mkdir(parents=True, exist_ok=True)
    (gates / "rollout.yaml").write_text(text)
    return Workspace(
        folder=folder,
        name="test",
        datasets=folder / "datasets",
        suites=folder / "suites",
        normalizers=folder / "normalizers",
        gates=gates,
    )


def look_at(ports: CanaryPorts, *telemetry: str, **options: Any) -> JudgedCanary:  # noqa: ANN401 - as CanaryOptions has them
    """Judge telemetry as of the usual time."""
    return judge_telemetry(
        CanaryOptions(policy="rollout", telemetry=telemetry, **{"now": NOW, **options}), ports
    )


def ports_in(folder: Path, text: str = POLICY) -> CanaryPorts:
    """Return the ports of a new workspace."""
    return canary_ports(workspace(folder, text))


def counts(control: Mapping[tuple[int, int], int], canary: Mapping[tuple[int, int], int]) -> Any:  # noqa: ANN401 - two types of arrays
    """Return a histogram from (turns, events) to units."""
    cells = [(False, n, e, u) for (n, e), u in control.items()]
    cells += [(True, n, e, u) for (n, e), u in canary.items()]
    return UnitCounts(
        canary=np.array([c[0] for c in cells], dtype=np.bool_),
        turns=np.array([c[1] for c in cells], dtype=np.int64),
        events=np.array([c[2] for c in cells], dtype=np.int64),
        units=np.array([c[3] for c in cells], dtype=np.int64),
    )


def look(
    histogram: Mapping[CellKey, UnitCounts],
    *,
    elapsed_h: float = 5.0,
    **changes: Any,  # noqa: ANN401 - as CanaryLook has them
) -> CanaryLook:
    """Return a look at the first step, with units that lost nothing."""
    known = dict(histogram)
    for (step, _, key), each in histogram.items():
        known.setdefault((step, EVERY_UNIT, key), each)
    base = CanaryLook(
        steps=(StepTime(index=1, share=0.25, since=BEGAN),),
        histogram=known,
        elapsed_s=elapsed_h * 3600,
        lost=LostTurns(used=1000),
    )
    return replace(base, **changes)


def minutes(count: float) -> timedelta:
    """Return so many minutes."""
    return timedelta(minutes=count)


def at(text: str) -> datetime:
    """Return a time in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
