"""What is done with telemetry: import to the turn table."""

from collections.abc import Callable

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.errors import NoData
from relkit.telemetry.ports import TurnSummary
from relkit.telemetry.types import TelemetryImport


def import_turns(turns: TurnSummary, file: str, write: Callable[[], None]) -> TelemetryImport:
    """Write turns to a file; ``file`` is what people call it. Raises NoData, StorageFailed."""
    telemetry = turns.summary()
    if not telemetry.turns:
        reasons = "; ".join(f"{p.where}: {p.message}" for p in telemetry.problems[:3])
        raise NoData(
            "no turn to import" + (f": {reasons}" if reasons else ""),
            hint="see what is in there: relkit telemetry check PATH",
        )
    write()
    counts = turns.trace_counts
    return TelemetryImport(
        file=file,
        spans=counts.get("spans", 0),
        unused_spans=counts.get("unused", 0),
        unfinished=counts.get("unfinished", 0),
        made_inclusive=counts.get("made_inclusive", 0),
        telemetry=telemetry,
    )


def import_document(result: TelemetryImport) -> dict[str, JsonValue]:
    """Return the document of an import: that of a check, and what is its own."""
    document = encode(result)
    telemetry = document.pop("telemetry")
    return {**document, **telemetry}
