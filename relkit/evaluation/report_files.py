"""``report.json``: what a run says, as users and later decisions read it."""

import json

from relkit.core.codec import encode, parse, parse_json
from relkit.evaluation.types import EvalReport


def render_report(report: EvalReport) -> str:
    """Return ``report.json`` as text; raises ValueError for NaN and infinities."""
    return json.dumps(encode(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_report(text: str, *, source: str) -> EvalReport:
    """Return a report; raises InvalidInput for NaN, duplicate or unknown keys, other types."""
    return parse(EvalReport, parse_json(text, source=source), source=source)
