"""What was masked, in words for people."""

from relkit.core.wording import columns, count, counted
from relkit.redaction.types import RedactionCounts

NAMES_NOT_COVERED = (
    "names are not covered, nor is anything else that makes a person known without a number: "
    "this is for local debugging, and no anonymisation"
)
"""Said with every result."""


def redaction_text(counts: RedactionCounts) -> str:
    """Return how much was masked, by type."""
    total = f"{counted(counts.spans, 'value')} in {count(counts.lines_masked)} of "
    rows = [(kind, count(number)) for kind, number in sorted(counts.by_type.items())]
    table = [columns(rows, indent=2)] if rows else []
    return "\n".join([total + counted(counts.lines, "line"), *table])
