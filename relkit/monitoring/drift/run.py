"""``relkit drift``: freeze a reference, and judge windows of current telemetry against it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, NoData
from relkit.core.values import duration_s
from relkit.core.yaml_text import shown
from relkit.monitoring.drift.bins import (
    FEW_VALUES,
    MOST_CATEGORIES,
    column_profile,
    frozen_categories,
    frozen_numbers,
    frozen_values,
    thawed,
)
from relkit.monitoring.drift.files import check_window
from relkit.monitoring.drift.judge import CurrentCounts, bins_to_count, judge_drift
from relkit.monitoring.drift.ports import DriftTurns
from relkit.monitoring.drift.schema import unit_may_have_changed
from relkit.monitoring.drift.types import (
    ColumnCounts,
    ColumnProfile,
    DriftPolicy,
    DriftProfile,
    DriftReport,
    FrozenBins,
    WindowTotals,
)
from relkit.monitoring.drift.windows import window_time
from relkit.telemetry.columns import is_of_persons

MOST_WINDOWS = 20_000
"""Windows of one judgement, over two years of hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """What is asked of ``relkit drift profile``."""

    paths: tuple[str, ...]
    to: Path
    policy: str | None = None
    now: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftOptions:
    """What is asked of ``relkit drift``; ``window`` is another one than that of the policy."""

    policy: str
    reference: Path
    current: tuple[str, ...]
    window: str | None = None
    now: str | None = None


def windowed(policy: DriftPolicy, window: str | None) -> DriftPolicy:
    """Return a policy with other windows; raises InvalidInput where they do not fit."""
    if window is None:
        return policy
    try:
        duration_s(window)
    except ValueError as error:
        raise InvalidInput(f"--window: {error}") from error
    changed = replace(policy, window=window)
    check_window(changed, "--window")
    return changed


def make_profile(turns: DriftTurns, policy: DriftPolicy | None) -> DriftProfile:
    """Return the frozen reference: of the columns of a policy, else of all that can be frozen.

    Raises NoData without turns, InvalidInput for a column that is not there or cannot be frozen.
    """
    span = turns.span()
    if span is None:
        raise NoData("the reference has no turns", hint="see: relkit telemetry check PATH")
    kinds = turns.kinds
    labels = None if policy is None or policy.labels is None else policy.labels.column
    every = tuple(name for name in kinds if name != turns.cluster and not is_of_persons(name))
    frozen = []
    moments: dict[str, tuple[float | None, float | None]] = {}
    for name in every if policy is None else policy.judged:
        if name not in kinds:
            raise _no_column(name, "the reference", kinds)
        try:
            frozen.append(_frozen(turns, name, kinds[name], moments, labelled=name == labels))
        except InvalidInput:
            if policy is not None:
                raise
    season = "none" if policy is None else policy.season
    sums = turns.reference_sums(frozen, season)
    columns = []
    for bins in frozen:
        median, spread = moments.get(bins.column, (None, None))
        columns.append(column_profile(bins, sums[bins.column], median=median, spread=spread))
    return DriftProfile(
        schema="relkit.profile/v1",
        from_=window_time(span[0]),
        to=window_time(span[1]),
        cluster=turns.cluster,
        season=season,
        turns=sum(total.turns for total in columns[0].totals),
        columns_seen=kinds,
        columns=tuple(columns),
    )


def _frozen(
    turns: DriftTurns,
    name: str,
    kind: str,
    moments: dict[str, tuple[float | None, float | None]],
    *,
    labelled: bool,
) -> FrozenBins:
    """Return the bins of a column; median and spread of numbers go into ``moments``."""
    if kind == "flag":
        categories = ("false", "true")
        return FrozenBins(column=name, kind="flag", categories=categories, labelled=labelled)
    empty = InvalidInput(
        f'the reference has no value of "{shown(name)}"', hint="leave the column out"
    )
    if kind == "category":
        counts = turns.categories(name, MOST_CATEGORIES + 1)
        if not counts:
            raise empty
        return frozen_categories(name, counts, labelled=labelled)
    moments[name] = turns.moments(name)
    if moments[name][0] is None:
        raise empty
    values = turns.distinct(name, FEW_VALUES + 1)
    if len(values) <= FEW_VALUES:
        return frozen_values(name, values, labelled=labelled)
    return frozen_numbers(name, turns.deciles(name), labelled=labelled)


def judge_turns(turns: DriftTurns, policy: DriftPolicy, profile: DriftProfile) -> DriftReport:
    """Return what current turns show against a profile; raises InvalidInput where they do not fit.

    Call :func:`check_fit` first: it needs no telemetry.
    """
    kinds, seconds = turns.kinds, policy.window_s
    profiles = {
        name: column
        for name in policy.judged
        if (column := profile.column(name)) and kinds.get(name) == profile.columns_seen.get(name)
    }
    windows, counted = turns.counts([thawed(column) for column in profiles.values()], seconds)
    if len(windows.starts) > MOST_WINDOWS:
        raise InvalidInput(
            f"{len(windows.starts):,} windows of {policy.window} have turns",
            hint="use a larger --window, or less telemetry at once",
        )
    columns = {
        name: _with_clusters(turns, profiles[name], counts, windows, policy)
        for name, counts in counted.items()
    }
    medians: dict[str, float] = {}
    for name, column in profiles.items():
        if unit_may_have_changed(column, columns[name]):
            median, _ = turns.moments(name)
            medians |= {} if median is None else {name: median}
    return judge_drift(
        policy,
        profile,
        CurrentCounts(
            seen=kinds,
            windows=windows,
            columns=columns,
            medians=medians,
            telemetry=turns.telemetry,
        ),
    )


def _with_clusters(
    turns: DriftTurns,
    profile: ColumnProfile,
    counts: ColumnCounts,
    windows: WindowTotals,
    policy: DriftPolicy,
) -> ColumnCounts:
    """Return counts with the clusters of those bins that are judged by them."""
    bins = bins_to_count(profile, counts, windows, policy)
    if not bins:
        return counts
    clusters = counts.clusters.copy()
    clusters[:, list(bins)] = turns.clusters(profile.column, bins, windows)
    return replace(counts, clusters=clusters)


def check_fit(policy: DriftPolicy, profile: DriftProfile) -> None:
    """Raise InvalidInput where a profile cannot be the reference of a policy."""
    source = profile.source
    again = f"make it with the policy: relkit drift profile PATH --to {source} --policy POLICY"
    for name in policy.judged:
        if profile.column(name) is None:
            if name in profile.columns_seen:
                raise InvalidInput(f'{source}: "{shown(name)}" is not frozen in it', hint=again)
            raise _no_column(name, f"{source}: the reference", profile.columns_seen)
    if policy.by != profile.cluster:
        raise InvalidInput(
            f"{source}: clustered by {shown(profile.cluster)}, the policy by"
            f" {shown(policy.cluster or 'session')}",
            hint=again,
        )
    if policy.season != profile.season:
        raise InvalidInput(
            f"{source}: its season is {profile.season}, that of the policy {policy.season}",
            hint=again,
        )
    labels = None if policy.labels is None else profile.column(policy.labels.column)
    if labels is not None and not labels.labelled:
        raise InvalidInput(
            f'{source}: "{shown(labels.column)}" is frozen as a column, not as labels', hint=again
        )


def _no_column(name: str, where: str, kinds: Mapping[str, str]) -> InvalidInput:
    return InvalidInput(
        f'{where} has no column "{shown(name)}" that can be judged',
        hint=nearest(name, tuple(kinds)),
    )
