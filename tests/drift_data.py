"""Turns for drift, made up by seed, and a slow count of them to hold the fast one against."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from relkit.core.values import time_text
from relkit.monitoring.drift.types import (
    ClusterMoments,
    FrozenBins,
    ReferenceSums,
    Season,
    SlotTotals,
)
from relkit.monitoring.drift.windows import slots_of

START = 1_790_000_000 // 3600 * 3600
"""A full hour in September 2026."""

Row = dict[str, Any]


def turns(
    count: int, *, seed: int, speakers: int, hours: float = 1.0, start: int = START
) -> list[Row]:
    """Return turns of speakers who have a voice, a language and a device of their own."""
    rng = np.random.default_rng(seed)
    voices = rng.normal(size=speakers)
    languages = rng.choice(["en", "de", "fr", "hi"], size=speakers, p=[0.6, 0.25, 0.1, 0.05])
    times = np.sort(rng.integers(0, int(hours * 3600), size=count))
    rows = []
    for number in range(count):
        speaker = int(rng.integers(speakers))
        rows.append(
            {
                "ts": time_text(datetime.fromtimestamp(start + int(times[number]), UTC)),
                "session": f"{seed}-session-{speaker}",
                "turn_id": f"{seed}-{number}",
                "ok": bool(rng.random() > 0.02),
                "speaker": f"{seed}-person-{speaker}",
                "snr_db": round(15 + 4 * float(voices[speaker]) + 4 * float(rng.normal()), 3),
                "length": int(rng.integers(1, 6)),
                "language": str(languages[speaker]),
                "empty": bool(rng.random() < 0.05),
            }
        )
    return rows


def written(path: Path, rows: Sequence[Row]) -> Path:
    """Write turns as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def slow_sums(
    frozen: FrozenBins, rows: Sequence[Row], bin_of: Callable[[Row], int], season: Season
) -> ReferenceSums:
    """Return the sums of a reference, counted row by row."""
    bins = len(frozen.bins)
    slots = {"none": 1, "hour_of_day": 24, "hour_of_week": 168}[season]

    def moments(key: Callable[[Row], object]) -> ClusterMoments:
        turns_of = Counter(key(row) for row in rows)
        squares, products = np.zeros(bins), np.zeros(bins)
        for (cluster, at), e in Counter((key(row), bin_of(row)) for row in rows).items():
            squares[at] += e * e
            products[at] += e * turns_of[cluster]
        sizes = float(sum(n * n for n in turns_of.values()))
        return ClusterMoments(squares=squares, products=products, sizes=sizes)

    by_slot = np.zeros((slots, bins), np.int64)
    having: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    sizes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        second = int(datetime.fromisoformat(row["ts"]).timestamp())
        slot = int(slots_of(np.array([second]), season)[0])
        by_slot[slot, bin_of(row)] += 1
        having[slot, bin_of(row)].add(row["speaker"])
        sizes[slot][row["speaker"]] += 1
    clusters = np.array([[len(having[s, b]) for b in range(bins)] for s in range(slots)])
    return ReferenceSums(
        span=moments(lambda row: row["speaker"]),
        hour=moments(lambda row: (row["speaker"], row["ts"][:13])),
        by_slot=by_slot,
        clusters=clusters,
        totals=tuple(
            SlotTotals(
                turns=sum(sizes[s].values()),
                clusters=len(sizes[s]),
                squares=sum(n * n for n in sizes[s].values()),
            )
            for s in range(slots)
        ),
    )
