"""Writes the traffic of a rehearsal, hour by hour, and says what is in it."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from relkit.core.codec import encode
from relkit.core.ports import Progress
from relkit.core.values import moment
from relkit.telemetry.simulation.calls import CallRecords
from relkit.telemetry.simulation.ports import TrafficFiles
from relkit.telemetry.simulation.spans import OTLP_SPELLINGS, SimulatedSpan, batches, lines
from relkit.telemetry.simulation.traces import spans_of
from relkit.telemetry.simulation.traffic import hourly
from relkit.telemetry.simulation.types import Rehearsal, SimulatedTraffic, TurnColumns

RECORD = "scenario.json"
"""The file that says what was simulated; no reader of telemetry takes it for telemetry."""

_ROTATED = 2
"""Files of traces that are written in an hour."""


def simulate(rehearsal: Rehearsal, files: TrafficFiles, progress: Progress) -> SimulatedTraffic:
    """Write the files of a rehearsal, and last its record; raises StorageFailed."""
    arms: Counter[str] = Counter()
    sessions = 0
    writer = _Writer(rehearsal, files)
    for hour, turns in hourly(rehearsal):
        writer.write(hour, turns)
        arm = turns.texts("arm")
        counted = np.bincount(arm.codes, minlength=len(arm.names)).tolist()
        arms.update(dict(zip(arm.names, counted, strict=True)))
        sessions += int(np.count_nonzero(turns.times("_number") == 0))
        progress(hour + 1, rehearsal.hours)
    writer.finish()
    text = json.dumps(encode(rehearsal), indent=2, ensure_ascii=False)
    files.write_lines(RECORD, [text])
    return SimulatedTraffic(
        rehearsal=rehearsal,
        now=rehearsal.judged_at,
        files=tuple(writer.names),
        turns=sum(arms.values()),
        sessions=sessions,
        arms=dict(arms),
    )


class _Writer:
    """Writes turns in the format of the rehearsal; a second time for an hour under another name."""

    def __init__(self, rehearsal: Rehearsal, files: TrafficFiles) -> None:
        self.names: list[str] = []
        self._rehearsal = rehearsal
        self._files = files
        self._calls = CallRecords()
        self._held: list[list[SimulatedSpan]] = []
        self._written: dict[str, list[str]] = {}
        self._hour = -1

    def write(self, hour: int, turns: TurnColumns) -> None:
        """Write what ended in an hour."""
        again = hour == self._hour
        self._hour = hour
        if self._rehearsal.format == "turns":
            name = f"turns-{self._at(hour)}{'.again' if again else ''}.parquet"
            self._files.write_turns(name, turns)
            self.names.append(name)
            return
        if again:
            copies = {name.replace(".", ".again.", 1): ls for name, ls in self._written.items()}
            self._write_lines(copies)
            return
        if self._rehearsal.format == "vapi":
            records = {f"calls-{self._at(hour)}.jsonl": list(self._calls.ended(turns))}
        else:
            records = dict(self._traces(hour, spans_of(self._rehearsal.format, turns)))
        self._written = records
        self._write_lines(records)

    def finish(self) -> None:
        """Write the exports that were held back in the last hour."""
        name = f"traces-{self._at(self._hour + 1)}-0.jsonl"
        self._write_lines({name: list(lines(self._held, OTLP_SPELLINGS[0]))})

    def _traces(self, hour: int, spans: list[SimulatedSpan]) -> Iterator[tuple[str, list[str]]]:
        """Yield the names of an hour's files, and their lines."""
        exports, held = batches(spans, np.random.Generator(np.random.SFC64([hour, 99])))
        exports, self._held = [*self._held, *exports], held
        size = -(-len(exports) // _ROTATED)
        for number in range(_ROTATED):
            spelling = OTLP_SPELLINGS[(hour * _ROTATED + number) % len(OTLP_SPELLINGS)]
            part = exports[number * size : (number + 1) * size]
            yield f"traces-{self._at(hour)}-{number}.jsonl", list(lines(part, spelling))

    def _write_lines(self, records: dict[str, list[str]]) -> None:
        for name, texts in records.items():
            if texts:
                self._files.write_lines(name, texts)
                self.names.append(name)

    def _at(self, hour: int) -> str:
        return f"{moment(self._rehearsal.start) + timedelta(hours=hour):%Y-%m-%dT%H}"
