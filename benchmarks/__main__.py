"""``python -m benchmarks [--smallest] [NAME …]``: run all benchmarks, or the named ones.

One that fails does not keep the others from running: what became of each stands at the end, and the
exit code is 1. ``--smallest`` shows that they run, not how fast anything is.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

SMALLEST: Mapping[str, Sequence[str]] = {
    "start_up": ("--runs", "1"),
    "counts": ("--utterances", "2000"),
    "score_files": (),
    "telemetry_speed": ("--calls", "2000"),
    "aggregate_speed": ("--rows", "20000", "--speakers", "60"),
    "coverage": ("--quick",),
    "detection_coverage": ("--runs", "20"),
    "mos_speed": ("--seconds", "1", "--rounds", "1", "--clips", "2"),
    "eval_speed": (),
    "gate_speed": ("--rows", "4000", "--speakers", "40", "--slices", "20"),
    "decision_quality": ("--whole", "1"),
    "canary_quality": ("--runs", "2"),
    "triage_quality": ("--rates", "400", "--seeds", "1", "--kinds", "noise"),
    "incident_speed": ("--turns", "20000", "--runs", "1"),
    "drift_quality": ("--references", "1", "--windows", "2"),
    "drift_speed": ("--turns", "20000", "--hours", "24"),
    "canary_speed": ("--turns", "20000", "--runs", "1"),
    "rollback_speed": (),
    "cost_speed": ("--calls", "5000", "--runs", "1"),
    "safety_speed": ("--calls", "2000"),
    "conversation_speed": ("--rounds", "1"),
    "document_speed": (),
    "bisect_power": ("20",),
    "structure": (),
    "walks": (),
    "install_size": (),
    "honeytokens": (),
    "redaction_quality": (),
    "disclosure_audit": ("--windows", "5", "--turns", "20000"),
    "disclosure_attacks": ("--populations", "2", "--replaced", "1"),
}
"""Every benchmark, in the order in which they run, with its options for the smallest run."""


def main_of(name: str) -> Callable[[], object]:
    """Return what runs a benchmark; it reads its options from ``sys.argv``."""
    main: Callable[[], object] = import_module(f"benchmarks.{name}").main
    return main


def run(
    names: Sequence[str], *, smallest: bool, find: Callable[[str], Callable[[], object]] = main_of
) -> dict[str, str]:
    """Run benchmarks one after the other, so that none disturbs another.

    Return why each that failed did, in the order in which they ran.
    """
    failed: dict[str, str] = {}
    for name in names:
        sys.argv = [f"benchmarks.{name}", *(SMALLEST[name] if smallest else ())]
        print(f"== {name}")
        try:
            find(name)()
        except SystemExit as end:
            if end.code not in {None, 0}:
                failed[name] = str(end.code)
        except Exception as error:  # noqa: BLE001 - the others are still to be run
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}"
        print(flush=True)
    return failed


def main() -> None:
    """Run what is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--smallest", action="store_true", help="show only that they run")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SMALLEST]:
        sys.exit(f"no benchmark {unknown[0]}; options go with: python -m benchmarks.NAME")
    names = options.names or list(SMALLEST)
    failed = run(names, smallest=options.smallest)
    for name in names:
        print(f"{name:20} {'failed: ' + failed[name] if name in failed else 'ran'}")
    if failed:
        sys.exit(f"{len(failed)} of {len(names)} benchmarks failed")


if __name__ == "__main__":
    main()
