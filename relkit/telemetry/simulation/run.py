"""Writes the traffic of a rehearsal, hour by hour, and says what is in it."""

import json
from collections import Counter
from datetime import timedelta

import numpy as np

from relkit.core.codec import encode
from relkit.core.ports import Progress
from relkit.core.values import moment
from relkit.telemetry.simulation.ports import TrafficFiles
from relkit.telemetry.simulation.traffic import hourly
from relkit.telemetry.simulation.types import Rehearsal, SimulatedTraffic

RECORD = "scenario.json"
"""The file that says what was simulated; no reader of telemetry takes it for telemetry."""


def simulate(rehearsal: Rehearsal, files: TrafficFiles, progress: Progress) -> SimulatedTraffic:
    """Write the files of a rehearsal, and last its record; raises StorageFailed."""
    arms: Counter[str] = Counter()
    sessions = 0
    names: list[str] = []
    start = moment(rehearsal.start)
    for hour, turns in hourly(rehearsal):
        at = f"{start + timedelta(hours=hour):%Y-%m-%dT%H}"
        name = f"turns-{at}.parquet"
        if name in names:
            name = f"turns-{at}.again.parquet"
        files.write_turns(name, turns)
        names.append(name)
        for value, count in zip(
            turns.texts("arm").names,
            np.bincount(turns.texts("arm").codes, minlength=2).tolist(),
            strict=True,
        ):
            arms[value] += count
        sessions += int(np.count_nonzero(turns.times("_number") == 0))
        progress(hour + 1, rehearsal.hours)
    text = json.dumps(encode(rehearsal), indent=2, ensure_ascii=False)
    files.write_lines(RECORD, [text])
    return SimulatedTraffic(
        rehearsal=rehearsal,
        files=tuple(names),
        turns=sum(arms.values()),
        sessions=sessions,
        arms=dict(arms),
    )
