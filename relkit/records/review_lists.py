"""A review list as JSON and as CSV: ids and numbers, never a text."""

import csv
import io
from dataclasses import asdict

from relkit.domain.candidates import ReviewCandidate, ReviewList, Signals
from relkit.records.digests import JsonValue

SIGNALS = tuple(Signals.__dataclass_fields__)
NUMBERS = (
    *("error", "words", "slice_worse", "slice_wer", "slice_utterances", "slice_clusters"),
    *("rest_wer", "systems"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_DIGITS = 6


def review_document(found: ReviewList) -> dict[str, JsonValue]:
    """Return the JSON document; scores, signals and rates are rounded to 6 digits."""
    return {
        "runs": list(found.runs),
        "baseline": found.baseline,
        "dataset": found.dataset,
        "considered": found.considered,
        "flagged": found.flagged,
        "withheld": dict(found.withheld),
        "candidates": [_document(one) for one in found.candidates],
        "notes": list(found.notes),
    }


def _document(one: ReviewCandidate) -> dict[str, JsonValue]:
    return {
        "id": one.id,
        "score": round(one.score, _DIGITS),
        "slice": one.slice,
        "signals": {name: _rounded(value) for name, value in asdict(one.signals).items()},
        "numbers": {name: _rounded(one.numbers.get(name)) for name in NUMBERS},
    }


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else round(value, _DIGITS)


def review_csv(found: ReviewList) -> str:
    """Return a CSV table with a head; what a spreadsheet could run gets an apostrophe."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "score", "slice", *SIGNALS, *NUMBERS])
    for one in found.candidates:
        signals = [_rounded(getattr(one.signals, name)) for name in SIGNALS]
        numbers = [_rounded(one.numbers.get(name)) for name in NUMBERS]
        cells = [_inert(one.id), round(one.score, _DIGITS), _inert(one.slice), *signals, *numbers]
        writer.writerow(cells)
    return out.getvalue()


def _inert(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text
