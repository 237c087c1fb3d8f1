"""How long ``relkit card`` and every kind of runbook take as whole processes.

Beside them stands the start-up of ``relkit --help`` in the same runs. The workspace is that of the
incident ``accent``: five models with their ledgers, and the policies that relkit ships.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import get_args

from benchmarks.processes import in_turn
from relkit.documents.types import RunbookKind
from relkit.incident.simulation.kinds import incident
from relkit.wiring.simulation import simulate_incident

RUNS = 7
LIMIT_S = 2.0
"""Seconds that a document may take."""


def main() -> None:
    """Print the table; exit 1 where a document takes longer than it may."""
    relkit = Path(sys.executable).with_name("relkit")
    kinds = get_args(RunbookKind)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "assistant"
        simulate_incident(folder, incident("accent", turns_per_hour=100), lambda _done, _of: None)
        shutil.copytree(Path(__file__).parents[1] / "gates", folder / "gates")
        here = ("--workspace", folder)
        commands = (
            (relkit, "--help"),
            (relkit, "card", "asr@2.4", *here),
            *((relkit, "runbook", kind, "asr@2.4", *here) for kind in kinds),
        )
        start, *times = in_turn(commands, RUNS)
    print(f"documents, median of {RUNS} whole processes")
    print(f"  {'relkit --help':<24}{start:.3f} s")
    names = ("card", *(f"runbook {kind}" for kind in kinds))
    for name, time in zip(names, times, strict=True):
        print(f"  {name:<24}{time:.3f} s   {time / start:.1f} x the start-up")
    slow = [name for name, time in zip(names, times, strict=True) if time > LIMIT_S]
    if slow:
        sys.exit(f"longer than {LIMIT_S:g} s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
