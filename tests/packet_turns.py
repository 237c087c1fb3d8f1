"""Turns of some hours in which one accent is served badly, and a workspace that can tell of it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relkit.core.codec import encode
from relkit.incident.types import Onset, TriageRead, TriageReport
from relkit.rollback.types import Refused
from tests.conftest import Said, Workspace

BEGIN = datetime(2026, 11, 1, 3, tzinfo=UTC)
NOW = "2026-11-02T00:00:00Z"
WINDOW = "2026-11-01T03Z/2026-11-01T09Z"
PRIVACY = """\
privacy:
  share: {accent: [american, scottish, welsh], noise: "*", region: [eu, us]}
"""
ACCENTS = ("american", "british", "scottish", "welsh")

REPORT = TriageReport(
    verdict="release",
    reason="asr 2.4 is worse for one accent",
    cause="release",
    evidence="concurrent",
    component="asr",
    first_bad="2.4",
    slice="accent=scottish",
    metric="failed",
    onset=Onset(from_="2026-11-01T03:20:00Z", to="2026-11-01T03:25:00Z"),
    ended=None,
    effect=None,
    log_odds=9.0,
    target="2.3",
    target_verified=True,
    refused=(Refused(version="2.2", code="yanked", reason="it is known to Bob only"),),
    command="relkit rollback asr",
    candidates=(),
    ruled_out=(),
    probe=None,
    packet=None,
    read=TriageRead(turns=4800, seconds=1.0, late=0, future=0, duplicates=0),
)
"""What triage says of these turns."""


def turns(
    count: int = 4800,
    *,
    people: int = 400,
    hours: int = 12,
    seed: int = 0,
    **columns: Any,  # noqa: ANN401 - of any kind
) -> dict[str, Any]:
    """Return columns of turns from ``BEGIN`` on; ``columns`` add to them, None takes one away."""
    random = np.random.default_rng(seed)
    person = random.integers(0, people, count)
    accent = np.array(ACCENTS)[person % 4]
    release = np.where(random.random(count) < 0.5, "2.4", "2.3")
    bad = (accent == "scottish") & (release == "2.4")
    seconds = np.sort(random.integers(0, 3600 * hours, count))
    table: dict[str, Any] = {
        "ts": [(BEGIN + timedelta(seconds=int(s))).isoformat() for s in seconds],
        "session": [f"session {p} {s // 1800}" for p, s in zip(person, seconds, strict=True)],
        "turn_id": [f"turn {n}" for n in range(count)],
        "user": [f"user {p}" for p in person],
        "ok": random.random(count) > np.where(bad, 0.4, 0.05),
        "latency_ms": np.exp(random.normal(6.5, 0.5, count)),
        "asr_ms": np.exp(random.normal(5, 0.5, count)),
        "reprompt": random.random(count) < np.where(bad, 0.5, 0.1),
        "accent": accent,
        "noise": np.array(["none", "babble"])[random.integers(0, 2, count)],
        "region": np.array(["eu", "us"])[person % 2],
        "tenant": np.array([f"acme {n}" for n in range(5)])[person % 5],
        "release_asr": release,
    }
    table |= columns
    return {name: values for name, values in table.items() if values is not None}


def written(path: Path, table: dict[str, Any]) -> Path:
    """Write turns as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: list(values) for name, values in table.items()}), path)
    return path


class Responder:
    """A workspace with a key, telemetry and a triage, whose owner sends packets."""

    def __init__(self, workspace: Workspace, *, privacy: str = PRIVACY, **columns: Any) -> None:  # noqa: ANN401 - of turns
        """Write all of it."""
        self.workspace, self.folder = workspace, workspace.folder
        with (self.folder / "relkit.yaml").open("a", encoding="utf-8") as file:
            file.write(privacy)
        made = workspace.relkit("doctor", "--make-key", str(self.folder / "keys"))
        assert made.code == 0, made.err
        self.key, self.public = self.folder / "keys/relkit.key", self.folder / "keys/relkit.pub"
        self.telemetry = written(self.folder / "turns/day.parquet", turns(**columns))
        self.triage = self.folder / "triage.json"
        self.say(REPORT)
        self.out = self.folder / "out"

    def say(self, report: TriageReport) -> None:
        """Make this what triage says."""
        self.triage.write_text(json.dumps(encode(report)), encoding="utf-8")

    def packet(
        self, *options: str, window: str = WINDOW, triage: bool = True, now: str = NOW
    ) -> Said:
        """Send a packet."""
        report: Sequence[str] = ("--triage", str(self.triage)) if triage else ()
        return self.workspace.relkit(
            "incident", "packet", "--telemetry", str(self.telemetry), "--window", window,
            *report, "--sign", str(self.key), "--out", str(self.out), "--now", now, *options,
        )  # fmt: skip

    def update(self, before: str, hours: str, *options: str) -> Said:
        """Send a packet that goes on where another ended."""
        path = self.out / f"{before}.packet.json"
        return self.packet("--update", str(path), *options, window=hours)
