"""What telemetry is, in words and tables for people."""

from collections.abc import Iterator, Mapping

from relkit.core import wording
from relkit.core.codec import encode
from relkit.telemetry.types import Dropped, Telemetry, TelemetryImport

_DROPPED: Mapping[str, str] = {
    "duplicate": "sent twice: counted once",
    "late": "late: left out",
    "future": "in the future: left out",
    "naive": "with a time without an offset: left out",
    "unnamed": "without time, session or turn id: left out",
    "unknown_arm": "in neither arm",
    "no_outcome": "without an outcome: counted as failed",
}


def telemetry_text(telemetry: Telemetry) -> str:
    """Return what was read, what was dropped and why, and what to look at."""
    return "\n".join(_lines(telemetry))


def _lines(telemetry: Telemetry) -> Iterator[str]:
    sessions = wording.counted(telemetry.sessions, "session")
    yield f"{wording.counted(telemetry.turns, 'turn')} of {sessions}, dialect {telemetry.dialect}"
    if telemetry.from_ is not None:
        yield f"from {telemetry.from_} to {telemetry.to}"
    for name, counts in (("arms", telemetry.arms), ("releases", telemetry.releases)):
        if counts:
            shown = ", ".join(
                f"{_short(value)} {wording.count(turns)}" for value, turns in counts.items()
            )
            yield f"{name}: {shown}"
    yield ""
    rows = [["column", "from", "unit", "missing"]]
    for column in telemetry.columns:
        share = column.missing / telemetry.turns if telemetry.turns else 0.0
        source = "" if column.source == column.name else _short(column.source)
        missing = wording.number(share, "fraction") if column.missing else ""
        rows.append([_short(column.name), source, column.unit or "", missing])
    yield wording.columns(rows, to_left=(0, 1, 2))
    yield ""
    yield from dropped_lines(telemetry.dropped)
    for problem in telemetry.problems:
        yield f"{wording.safe(problem.where)}: {wording.safe(problem.message)}"


def _short(text: str) -> str:
    return wording.safe(text, wording.SHORT)


def dropped_lines(dropped: Dropped) -> Iterator[str]:
    """Yield a line for each kind of row or value that does not count as it stands."""
    for name, words in _DROPPED.items():
        if number := encode(dropped)[name]:
            yield f"{wording.counted(number, 'turn')} {words}"
    if dropped.bad_value:
        yield f"{wording.counted(dropped.bad_value, 'value')} that cannot be: counted as missing"


def turns_written_text(result: TelemetryImport) -> str:
    """Return what was written, what was dropped and why, and what to look at."""
    telemetry = result.telemetry
    span = "" if telemetry.from_ is None else f", {telemetry.from_} to {telemetry.to}"
    sessions = wording.counted(telemetry.sessions, "session")
    lines = [
        f"wrote {wording.counted(telemetry.turns, 'turn')} of {sessions} to {result.file}",
        f"{telemetry.dialect}{span}",
    ]
    if result.spans:
        unused = f", {wording.count(result.unused_spans)} of them of no turn"
        lines.append(f"read {wording.counted(result.spans, 'span')}{unused}")
    lines += dropped_lines(telemetry.dropped)
    if result.made_inclusive:
        calls = wording.counted(result.made_inclusive, "call")
        lines.append(f"{calls} of models with tokens net of cache or reasoning: made inclusive")
    lines += [f"{wording.safe(p.where)}: {wording.safe(p.message)}" for p in telemetry.problems]
    return "\n".join(lines)
