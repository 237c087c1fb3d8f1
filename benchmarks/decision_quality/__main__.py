"""``python -m benchmarks.decision_quality [--quick]``."""

from benchmarks.decision_quality import main

main()
