"""Traffic of a voice service, a minute at a time, for tests of health and capacity."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Workspace

START = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
MINUTES = 90
NOW = "2026-11-01T11:30:00Z"
"""The end of the last minute."""

Row = dict[str, Any]
Minute = Callable[[int], Mapping[str, Any]]
"""What the turns of a minute have in place of the usual figures; ``turns`` is how many."""

HEALTH = """\
schema: relkit.health/v1
name: serving
queue: {p95_ms: 200, slots: 40}
retries: {amplification: 1.5}
tenants: {column: tenant_class, evidence: 1000}
churn: {max: 0.35}
budget: voice-cloud
degrade: [{level: shed_batch, when: saturated}, {level: smaller_model, when: storm}]
"""


def bare_workspace(folder: Path, capture: pytest.CaptureFixture[str]) -> Workspace:
    """Return a workspace with a folder of policies and nothing else."""
    (folder / "gates").mkdir()
    (folder / "relkit.yaml").write_text("name: live\n", encoding="utf-8")
    return Workspace(folder=folder, capture=capture)


def turns(change: Minute = lambda _: {}, *, minutes: int = MINUTES) -> list[Row]:
    """Return turns of a calm service, minute by minute, as ``change`` has them."""
    rows: list[Row] = []
    for minute in range(minutes):
        changed = dict(change(minute))
        for number in range(changed.pop("turns", 24)):
            at = START + timedelta(minutes=minute, seconds=60 * number / 1000)
            jitter = (7 * number + 3 * minute) % 11
            usual = {
                "ts": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z",
                "session": f"s{minute // 3}-{number % 24}",
                "turn_id": f"{minute}-{number}",
                "ok": True,
                "outcome": "completed",
                "latency_ms": 690 + 5 * jitter,
                "eou_ms": 60,
                "asr_ms": 210 + jitter,
                "llm_ttft_ms": 150 + jitter,
                "tts_ttfb_ms": 100 + jitter,
                "network_ms": 60,
                "queue_ms": 20 + jitter,
                "retries": int(jitter == 0),
                "tenant_class": ("free", "paid")[number % 2],
                "language": ("en", "de")[number % 2],
                "partial_changes": 1,
                "partial_words": 8,
            }
            rows.append(usual | changed)
    return rows


def write_turns(path: Path, rows: list[Row]) -> str:
    """Write turns as JSON lines and return the path as text."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)
