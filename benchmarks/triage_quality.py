"""How often triage is right, undetermined, wrong, or blames an innocent release.

    python -m benchmarks.triage_quality [--rates 800,400,200] [--seeds 3] [--kinds noise,accent]

Each kind of ``relkit simulate incident`` is written with each seed, and triage is asked as by
``relkit triage --telemetry DIR/telemetry --events DIR/events.jsonl`` in its workspace; the verdict
is held against ``answer.json``. The table has a row for each kind and a column for each rate of
turns an hour; what was not right is listed below it with triage's reason. ``--alone`` asks with
the telemetry only. Exits 1 where an innocent release was blamed, at any rate.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from relkit.core.wording import columns
from relkit.incident.simulation.answers import graded
from relkit.incident.simulation.kinds import INCIDENT_KINDS, incident
from relkit.incident.simulation.run import EVENTS, TELEMETRY
from relkit.incident.simulation.types import Grade, IncidentAnswer
from relkit.incident.simulation.view import answer_text
from relkit.incident.types import TriageReport
from relkit.wiring.incident import triage, triage_options
from relkit.wiring.simulation import simulate_incident
from relkit.wiring.stores import open_workspace

RATES, SEEDS, FIRST_SEED = "800,400,200", 3, 11
GRADES: tuple[Grade, ...] = ("right", "undetermined", "wrong", "blamed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One incident: how it was graded, and what triage said of it, in how many seconds."""

    kind: str
    rate: float
    seed: int
    grade: Grade
    right: IncidentAnswer
    report: TriageReport
    seconds: float


def judged(kind: str, *, rate: float, seed: int, alone: bool = False) -> Judged:
    """Write an incident into a temporary folder and ask triage about it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "incident"
        plan = incident(kind, seed=seed, turns_per_hour=rate)
        written = simulate_incident(folder, plan, lambda _done, _total: None)
        events = folder / EVENTS
        options = triage_options([str(folder / TELEMETRY)], now=written.answer.now)
        began = time.perf_counter()
        report = triage(
            None if alone else open_workspace(folder),
            options,
            events=events if events.exists() else None,
        )
        seconds = time.perf_counter() - began
    grade = graded(written.answer, report)
    return Judged(
        kind=kind,
        rate=rate,
        seed=seed,
        grade=grade,
        right=written.answer,
        report=report,
        seconds=seconds,
    )


def said(report: TriageReport) -> str:
    """Return a report's verdict in one line."""
    text: str = report.cause or report.verdict
    if report.first_bad is not None:
        text += f" {report.component} {report.first_bad}"
    return f"{text} ({report.slice or '-'})"


def table(every: list[Judged]) -> str:
    """Return grades by kind and rate: letters, one a seed, and their sums in the last rows."""
    rates = sorted({one.rate for one in every}, reverse=True)
    rows = [("kind", *(f"{rate:g}/h" for rate in rates))]
    for kind in dict.fromkeys(one.kind for one in every):
        marks = [
            " ".join(one.grade for one in every if (one.kind, one.rate) == (kind, rate))
            if len({one.grade for one in every if (one.kind, one.rate) == (kind, rate)}) > 1
            else next(one.grade for one in every if (one.kind, one.rate) == (kind, rate))
            for rate in rates
        ]
        rows.append((kind, *marks))
    counts = {rate: Counter(one.grade for one in every if one.rate == rate) for rate in rates}
    rows += [(grade, *(str(counts[rate][grade]) for rate in rates)) for grade in GRADES]
    shares = (f"{counts[rate]['right'] / counts[rate].total():.1%}" for rate in rates)
    rows.append(("share right", *shares))
    return columns(rows, to_left=tuple(range(len(rates) + 1)))


def main() -> None:
    """Print the table, and everything that was not right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default=RATES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--kinds", default=",".join(INCIDENT_KINDS))
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    every: list[Judged] = []
    for rate in map(float, asked.rates.split(",")):
        for kind in asked.kinds.split(","):
            for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
                one = judged(kind, rate=rate, seed=seed, alone=asked.alone)
                every.append(one)
                if one.grade != "right":
                    print(
                        f"{one.grade}: {kind}, seed {seed}, {rate:g}/h: {said(one.report)},"
                        f" right is {answer_text(one.right)}: {one.report.reason}",
                        flush=True,
                    )
    print()
    print(table(every))
    seconds = sum(one.seconds for one in every) / len(every)
    print(f"{len(every)} incidents, {seconds:.1f} s of triage each")
    sys.exit(any(one.grade == "blamed" for one in every))


if __name__ == "__main__":
    main()
