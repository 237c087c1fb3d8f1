"""``python -m benchmarks.redaction_quality``."""

from benchmarks.redaction_quality import main

main()
