"""What drift is to people: the verdict, the drifted columns with their worst bins, the windows."""

from collections import Counter
from collections.abc import Iterator, Mapping

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.wording import (
    columns,
    count,
    counted,
    number,
    p_value,
    safe,
    short_digest,
)
from relkit.core.yaml_text import shown
from relkit.monitoring.drift.types import (
    ColumnFinding,
    DriftProfile,
    DriftReport,
    Status,
    WindowFinding,
)
from relkit.monitoring.types import GateWord, LiveCheck, LiveFinding

_GATE: Mapping[Status, GateWord] = {"quiet": "pass", "drifted": "fail", "no_data": "no_data"}
_MOST_WINDOWS = 8
_WIDEST_BIN = 24


def drift_finding(report: DriftReport, *, created: str) -> LiveFinding:
    """Return the record of a judgement, with a check for each column."""
    return LiveFinding(
        kind="drift",
        policy=report.policy,
        enforcement=report.enforcement,
        verdict=report.verdict,
        gate_verdict=_GATE[report.verdict],
        reason=_because(report),
        created=created,
        subject=None,
        checks=tuple(_check(column, report.verdict) for column in report.columns),
        report=encode(report),
    )


def _check(column: ColumnFinding, verdict: Status) -> LiveCheck:
    word: GateWord = "pass"
    if column.drifted and verdict == "drifted":
        word = "fail"
    elif column.test == "none":
        word = "no_data"
    return LiveCheck(name=column.column, verdict=word, reason=_column_words(column))


def _column_words(column: ColumnFinding) -> str:
    if column.psi is None:
        return column.reason or "not judged"
    words = (
        f"PSI {number(column.psi, 'ratio')} ({column.band}), {shown(column.worst_bin or '')} was"
        f" {number(column.reference_share, 'fraction')}, is"
        f" {number(column.window_share, 'fraction')} in {column.window}"
    )
    return f"{column.reason}; {words}" if column.reason else words


def _because(report: DriftReport) -> str:
    if report.reasons:
        return "; ".join(report.reasons)
    judged = [window for window in report.windows if window.status != "no_data"]
    drifted = sum(window.status == "drifted" for window in judged)
    words = f"{drifted} of {counted(len(judged), 'judged window')} drifted"
    if report.sustained.pending:
        return f"{words}, {report.sustained.pending} of them at the end: not sustained yet"
    return f"{words}, none of it sustained" if drifted else words


def drift_text(report: DriftReport) -> str:
    """Return the text for people; whatever came from data cannot steer the terminal."""
    verdict = report.verdict.replace("_", " ")
    head = f"{verdict.upper()}: {_because(report)}"
    if report.enforcement == "shadow":
        head = f"SHADOW: would be {verdict}: {_because(report)}"
    blocks = [
        [
            head,
            f"policy {report.policy.name}, windows of {report.window}, {_reference(report)}",
        ],
        list(_column_lines(report)),
        list(_window_lines(report)),
        [f"schema: {', '.join(report.schema)}"] if report.schema else [],
        list(_telemetry_lines(report)),
    ]
    return "\n\n".join(
        "\n".join(safe(part) for line in lines for part in line.split("\n"))
        for lines in blocks
        if lines
    )


def _reference(report: DriftReport) -> str:
    return f"reference {report.reference.name} ({short_digest(report.reference.digest)})"


def _column_lines(report: DriftReport) -> Iterator[str]:
    drifted = [column for column in report.columns if column.drifted]
    judged = [column for column in drifted if column.psi is not None]
    if judged:
        rows = [("column", "worst bin", "reference", "window", "PSI", "p", "windows")]
        rows += [
            (
                column.column,
                shown(column.worst_bin or "", _WIDEST_BIN),
                number(column.reference_share, "fraction"),
                number(column.window_share, "fraction"),
                number(column.psi, "ratio"),
                p_value(column.p),
                count(column.windows),
            )
            for column in sorted(judged, key=lambda column: -(column.psi or 0.0))
        ]
        yield columns(rows, to_left=(0, 1))
    for column in report.columns:
        if column.psi is None:
            yield f"{column.column}: {column.reason}"
    quiet = [c.column for c in report.columns if not c.drifted and c.psi is not None]
    if quiet:
        yield f"without drift: {', '.join(quiet)}"


def _window_lines(report: DriftReport) -> Iterator[str]:
    by_status = Counter(window.status for window in report.windows)
    judged = by_status["quiet"] + by_status["drifted"]
    line = f"{counted(len(report.windows), 'window')}, {count(judged)} judged"
    yield f"{line}, {count(by_status['drifted'])} drifted"
    drifted = [window for window in report.windows if window.status == "drifted"]
    for window in drifted[:_MOST_WINDOWS]:
        yield f"  {_window_words(window)}"
    if len(drifted) > _MOST_WINDOWS:
        yield f"  and {len(drifted) - _MOST_WINDOWS} more: --json lists them"
    reasons = Counter(window.reason for window in report.windows if window.reason)
    if reasons:
        reason, times = reasons.most_common(1)[0]
        yield f"  without data: {count(by_status['no_data'])}, such as {reason} (in {count(times)})"
    alert = report.sustained
    if alert.alert:
        yield f"sustained: from {alert.first_window}, confirmed by {alert.confirmed_window}"
    elif alert.pending:
        yield f"sustained: not yet, {counted(alert.pending, 'window')} from {alert.first_window}"
    else:
        yield "sustained: no"


def _window_words(window: WindowFinding) -> str:
    size = f"{counted(window.rows, 'turn')} of {counted(window.clusters, 'cluster')}"
    return f"{window.from_}  {', '.join(window.drifted)} ({size})"


def _telemetry_lines(report: DriftReport) -> Iterator[str]:
    telemetry = report.telemetry
    if telemetry is None:
        return
    dropped = {name: value for name, value in encode(telemetry.dropped).items() if value}
    if dropped:
        listed = ", ".join(f"{name.replace('_', ' ')} {count(n)}" for name, n in dropped.items())
        yield f"of {counted(telemetry.rows, 'row')}: {listed}"
    for problem in telemetry.problems:
        yield f"{problem.where}: {problem.message}"


def profile_text(profile: DriftProfile) -> str:
    """Return what was frozen, for people."""
    rows = [("column", "kind", "bins", "largest bin", "its share", "rho")]
    for column in profile.columns:
        largest = max(column.bins, key=lambda b: b.share)
        rows.append(
            (
                column.column,
                "labels" if column.labelled else column.kind,
                count(len(column.bins)),
                shown(largest.bin, _WIDEST_BIN),
                number(largest.share, "fraction"),
                f"{largest.rho:.2f}",
            )
        )
    clusters = sum(total.clusters for total in profile.totals)
    slots = "" if profile.season == "none" else f", by {profile.season.replace('_', ' ')}"
    head = (
        f"{counted(profile.turns, 'turn')} from {profile.from_} to {profile.to},"
        f" {counted(clusters, 'cluster')} ({profile.cluster}){slots}"
    )
    return (
        safe(head)
        + "\n\n"
        + "\n".join(safe(line) for line in columns(rows, to_left=(0, 1, 3)).split("\n"))
    )


def profile_document(profile: DriftProfile, to: str) -> Mapping[str, JsonValue]:
    """Return the document of ``--json``: what was frozen from how much, and where it is."""
    return {
        "profile": to,
        "from": profile.from_,
        "to": profile.to,
        "cluster": profile.cluster,
        "season": profile.season,
        "turns": profile.turns,
        "clusters": sum(total.clusters for total in profile.totals),
        "columns": [
            {"column": column.column, "kind": column.kind, "bins": len(column.bins)}
            for column in profile.columns
        ],
    }
