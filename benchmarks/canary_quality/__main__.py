"""``python -m benchmarks.canary_quality [--runs N] [--only TABLE]``."""

from benchmarks.canary_quality import main

main()
