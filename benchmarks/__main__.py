"""``python -m benchmarks [NAME …]``: run all benchmarks, or the named ones."""

import sys
from importlib import import_module

NAMES = (
    "start_up",
    "counts",
    "score_files",
    "telemetry_speed",
    "aggregate_speed",
    "coverage",
    "mos_speed",
    "eval_speed",
    "gate_speed",
    "decision_quality",
    "canary_quality",
    "triage_quality",
    "incident_speed",
    "drift_quality",
    "drift_speed",
    "canary_speed",
    "rollback_speed",
    "cost_speed",
    "safety_speed",
    "conversation_speed",
    "document_speed",
    "bisect_power",
    "structure",
    "walks",
    "install_size",
    "honeytokens",
    "redaction_quality",
    "disclosure_attacks",
)


def main() -> None:
    """Run them one after the other, so that none disturbs another."""
    names = sys.argv[1:] or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        sys.exit(f"no benchmark {unknown[0]}; options go with: python -m benchmarks.NAME")
    for name in names:
        sys.argv = [f"benchmarks.{name}"]  # each reads its own options, here none
        print(f"== {name}")
        import_module(f"benchmarks.{name}").main()
        print(flush=True)


if __name__ == "__main__":
    main()
