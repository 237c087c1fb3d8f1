"""What ``bisect --json`` prints."""

from dataclasses import asdict

from relkit.domain.bisections import Bisection
from relkit.records.digests import JsonValue


def bisect_document(found: Bisection) -> dict[str, JsonValue]:
    """Return the JSON document of a search for the first bad release."""
    return {
        "model": found.model,
        "by": found.by,
        "status": found.status,
        "first_bad": found.first_bad,
        "candidates": list(found.candidates),
        "steps": found.steps,
        "replayed": found.replayed,
        "good": found.good,
        "bad": found.bad,
        "marks": {version: mark.value for version, mark in found.marks.items()},
        "skipped": [
            {"version": version, "reason": reason} for version, reason in found.skipped.items()
        ],
        "bad_before": list(found.bad_before),
        "good_after": list(found.good_after),
        "changes": [
            {**asdict(change), "candidates": list(change.candidates)} for change in found.changes
        ],
        "reasons": list(found.reasons),
    }
