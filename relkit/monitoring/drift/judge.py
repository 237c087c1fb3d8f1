"""Judges the windows of current telemetry against a frozen reference: a pure function of counts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.values import Named
from relkit.core.wording import count, counted
from relkit.monitoring.drift.alarm import (
    FEWEST_CLUSTERS,
    REFERENCE_TIMES,
    Alarms,
    ReferenceArrays,
    beside,
    column_alarms,
    rare_bins,
)
from relkit.monitoring.drift.effects import effect_labels, population_stability, psi_band
from relkit.monitoring.drift.schema import (
    column_changes,
    is_deciding,
    label_coverage,
    value_changes,
)
from relkit.monitoring.drift.types import (
    ColumnCounts,
    ColumnFinding,
    ColumnProfile,
    DriftPolicy,
    DriftProfile,
    DriftReport,
    Status,
    SustainedAlert,
    WindowFinding,
    WindowTotals,
)
from relkit.monitoring.drift.windows import slots_of, sustained_alert, window_time
from relkit.telemetry.types import Telemetry

Flags = NDArray[np.bool_]

MOST_DROPPED = 0.01
"""A larger share of rows that could not be read means no verdict: they may be the drifted ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentCounts:
    """What the current telemetry holds, counted: windows, columns by window and bin, medians.

    ``seen`` maps the columns that are there to their kinds; ``columns`` has those that could be
    sorted into the bins of the profile.
    """

    seen: Mapping[str, str]
    windows: WindowTotals
    columns: Mapping[str, ColumnCounts]
    medians: Mapping[str, float]
    telemetry: Telemetry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _JudgedColumn:
    """A column over all windows; ``judged`` and ``drifted`` are flags by window."""

    profile: ColumnProfile
    counts: ColumnCounts
    alarms: Alarms
    reference: ReferenceArrays
    psi: FloatArray
    judged: Flags
    drifted: Flags


def bins_to_count(
    profile: ColumnProfile, counts: ColumnCounts, windows: WindowTotals, policy: DriftPolicy
) -> tuple[int, ...]:
    """Return the bins whose clusters have to be counted: those rare in a window with turns."""
    totals = counts.totals or windows
    if not len(totals.turns):
        return ()
    reference = beside(profile, slots_of(totals.starts, policy.season))
    rare = (rare_bins(totals, reference) == 1.0) & (counts.turns > 0)
    return tuple(np.flatnonzero(rare.any(axis=0)).tolist())


def judge_drift(policy: DriftPolicy, profile: DriftProfile, current: CurrentCounts) -> DriftReport:
    """Return what the windows show, with a reason for every verdict but ``quiet``."""
    windows = current.windows
    slots = slots_of(windows.starts, policy.season)
    profiles = {name: column for name in policy.judged if (column := profile.column(name))}
    bins = sum(len(column.bins) for column in profiles.values())
    level = policy.alarm / max(bins, 1)
    reasons = [_window_reason(policy, profile, windows, slots, i) for i in range(len(slots))]
    judged_windows = np.array([reason is None for reason in reasons], dtype=bool)

    columns = {
        name: _judged_column(
            profiles[name], current.columns[name], windows, slots, judged_windows, policy, level
        )
        for name in profiles
        if name in current.columns
    }
    statuses: list[Status] = []
    findings = []
    for i, reason in enumerate(reasons):
        drifted = tuple(name for name, column in columns.items() if column.drifted[i])
        status: Status = "no_data" if reason else "drifted" if drifted else "quiet"
        statuses.append(status)
        findings.append(
            WindowFinding(
                from_=window_time(int(windows.starts[i])),
                rows=int(windows.turns[i]),
                clusters=int(windows.clusters[i]),
                status=status,
                drifted=drifted,
                reason=reason,
            )
        )
    sustained = sustained_alert(windows.starts.tolist(), statuses, policy.sustained)
    schema = _schema(policy, profile, current)
    verdict, why = _verdict(policy, current, findings, sustained, schema, columns)
    return DriftReport(
        verdict=verdict,
        enforcement=policy.enforcement,
        policy=Named(name=policy.name, digest=policy.digest),
        reference=Named(name=profile.source, digest=profile.digest),
        window=policy.window,
        columns=tuple(
            _column_finding(name, columns.get(name), windows, schema, level)
            for name in policy.judged
        ),
        windows=tuple(findings),
        sustained=sustained,
        schema=schema,
        reasons=why,
        alarm_per_bin=level,
        bins=bins,
        telemetry=current.telemetry,
    )


def _window_reason(
    policy: DriftPolicy, profile: DriftProfile, windows: WindowTotals, slots: IntArray, i: int
) -> str | None:
    """Return why a window cannot be judged, None where it can."""
    turns, clusters = int(windows.turns[i]), int(windows.clusters[i])
    if turns < policy.min_rows:
        return f"{counted(turns, 'turn')}, {count(policy.min_rows)} needed"
    if clusters < FEWEST_CLUSTERS:
        return f"{counted(clusters, 'cluster')}, {FEWEST_CLUSTERS} needed"
    has = profile.totals[int(slots[i])].clusters
    if has < REFERENCE_TIMES * clusters:
        hour = "" if policy.season == "none" else " at that hour"
        return (
            f"the reference has {counted(has, 'cluster')}{hour},"
            f" {count(REFERENCE_TIMES * clusters)} needed"
        )
    return None


def _judged_column(
    profile: ColumnProfile,
    counts: ColumnCounts,
    windows: WindowTotals,
    slots: IntArray,
    judged_windows: Flags,
    policy: DriftPolicy,
    level: float,
) -> _JudgedColumn:
    totals = counts.totals or windows
    reference = beside(profile, slots)
    alarms = column_alarms(counts, totals, reference)
    share = counts.turns / np.maximum(totals.turns, 1)[:, None]
    before = reference.turns / np.maximum(reference.total, 1.0)[:, None]
    psi = population_stability(share, before)
    enough = (totals.clusters >= FEWEST_CLUSTERS) & (
        reference.clusters >= REFERENCE_TIMES * totals.clusters
    )
    judged = judged_windows & enough
    alarmed = judged & (alarms.p <= level)
    return _JudgedColumn(
        profile=profile,
        counts=counts,
        alarms=alarms,
        reference=reference,
        psi=psi,
        judged=judged,
        drifted=alarmed & (psi >= policy.threshold.psi),
    )


def _column_finding(
    name: str,
    column: _JudgedColumn | None,
    windows: WindowTotals,
    schema: tuple[str, ...],
    level: float,
) -> ColumnFinding:
    """Return a column in the window in which it drifted most, else in its least likely one."""
    codes = tuple(code for code in schema if code.split(":")[1] == name and is_deciding(code))
    if column is None or not column.judged.any():
        reason = "no window with enough turns and clusters that have it"
        if codes:
            reason = ", ".join(code.partition(":")[0].replace("_", " ") for code in codes)
        return ColumnFinding(
            column=name,
            test="none",
            statistic=None,
            threshold=None,
            psi=None,
            band=None,
            z=None,
            p=None,
            drifted=bool(codes),
            worst_bin=None,
            reference_share=None,
            window_share=None,
            window=None,
            windows=0,
            labels=None,
            reason=reason,
        )
    alarms, psi = column.alarms, column.psi
    if column.drifted.any():
        at = int(np.argmax(np.where(column.drifted, psi, -1.0)))
    else:
        at = int(np.argmin(np.where(column.judged, alarms.p, 2.0)))
    turns = column.counts.turns[at].astype(np.float64)
    before = column.reference.turns[at] / max(column.reference.total[at], 1.0)
    by_clusters = bool(alarms.by_clusters[at])
    totals = column.counts.totals or windows
    drifted = bool(column.drifted.any())
    return ColumnFinding(
        column=name,
        test="cluster_binomial" if by_clusters else "clustered_z",
        statistic=float(alarms.statistic[at]),
        threshold=alarms.critical(at, int(totals.clusters[at]), level),
        psi=float(psi[at]),
        band=psi_band(float(psi[at])),
        z=None if by_clusters else float(alarms.statistic[at]),
        p=float(alarms.p[at]),
        drifted=drifted or bool(codes),
        worst_bin=column.profile.bins[int(alarms.bin[at])].bin,
        reference_share=float(alarms.reference_share[at]),
        window_share=float(alarms.share[at]),
        window=window_time(int(windows.starts[at])),
        windows=int(column.drifted.sum()),
        labels=effect_labels(turns, before, column.profile.edges, column.profile.spread),
        reason=", ".join(code.partition(":")[0].replace("_", " ") for code in codes) or None,
    )


def _schema(policy: DriftPolicy, profile: DriftProfile, current: CurrentCounts) -> tuple[str, ...]:
    if not len(current.windows.starts):  # no turn has no columns
        return ()
    codes = [*column_changes(policy, profile, current.seen)]
    for name, counts in current.columns.items():
        column = profile.column(name)
        if column is not None:
            totals = counts.totals or current.windows
            codes += value_changes(column, counts, totals, current.medians.get(name))
    if policy.labels is not None:
        name = policy.labels.column
        labels = profile.column(name)
        counts_now = current.columns.get(name)
        if labels is not None and counts_now is not None and counts_now.totals is not None:
            before = sum(total.turns for total in labels.totals) / max(profile.turns, 1)
            every = int(current.windows.turns.sum())
            now = int(counts_now.totals.turns.sum()) / every if every else None
            codes += label_coverage(policy, before, now)
    for problem in () if current.telemetry is None else current.telemetry.problems:
        kind = {"unit_change": "unit_suspicion", "type_change": "type_change"}.get(problem.code)
        if kind is not None and problem.where in policy.judged:
            codes.append(f"{kind}:{problem.where}")
    return tuple(dict.fromkeys(codes))


def _lost(telemetry: Telemetry) -> Iterator[str]:
    """Yield what of the telemetry could not be judged: it may be what drifted."""
    if telemetry.unreadable is not None:
        yield telemetry.unreadable
    dropped = telemetry.dropped
    lost = dropped.naive + dropped.unnamed + dropped.future
    if lost > MOST_DROPPED * telemetry.rows:
        yield (
            f"{count(lost)} of {counted(telemetry.rows, 'row')} do not count: {dropped.naive}"
            f" without an offset in their time, {dropped.future} of the future,"
            f" {dropped.unnamed} without time, session or turn_id"
        )


def _verdict(
    policy: DriftPolicy,
    current: CurrentCounts,
    findings: list[WindowFinding],
    sustained: SustainedAlert,
    schema: tuple[str, ...],
    columns: Mapping[str, _JudgedColumn],
) -> tuple[Status, tuple[str, ...]]:
    """Return the verdict: drift is judged first, and nothing that is missing is ever quiet."""
    drifted = [f"the schema changed: {code}" for code in schema if is_deciding(code)]
    if sustained.alert:
        drifted.append(
            f"drift was sustained from {sustained.first_window} to {sustained.confirmed_window}"
        )
    missing = []
    judged = sum(finding.status != "no_data" for finding in findings)
    # Those with turns enough that are not judged may hold most of the traffic.
    unjudged = [x for x in findings if x.status == "no_data" and x.rows >= policy.min_rows]
    rows_judged = sum(finding.rows for finding in findings if finding.status != "no_data")
    if not findings:
        missing.append("there is no turn in the current telemetry")
    elif not judged:
        reason, times = Counter(finding.reason for finding in findings).most_common(1)[0]
        missing.append(f"no window could be judged; {reason} (in {times} of {len(findings)})")
    elif sum(finding.rows for finding in unjudged) > rows_judged:
        reason, _ = Counter(finding.reason for finding in unjudged).most_common(1)[0]
        missing.append(
            f"most turns are in {counted(len(unjudged), 'window')} that could not be judged;"
            f" {reason}"
        )
    elif sustained.pending and judged < policy.sustained.among:
        missing.append(
            f"{sustained.pending} of {counted(judged, 'window')} drifted, and"
            f" {policy.sustained.needed} have to: more windows are needed"
        )
    if judged:
        never = [name for name, column in columns.items() if not column.judged.any()]
        missing += [f"{name} could not be judged in any window" for name in never]
    missing += [] if current.telemetry is None else _lost(current.telemetry)
    if drifted:
        return "drifted", (*drifted, *missing)
    return ("no_data", tuple(missing)) if missing else ("quiet", ())
