"""How often ``relkit drift`` alarms where nothing changed, and what it finds, by simulation.

    python -m benchmarks.drift_quality [--references 12] [--windows 100]

Callers differ in how much they say and in voice, their calls in noise; each speaks one language and
mostly uses one device. A reference of 8,000 callers with three calls each is frozen, and windows of
other callers, one call each, are judged by the rules of ``relkit drift`` with their defaults: 1 %
of alarms a window over all columns, PSI from 0.1. Beside it what is usual: chi-square and KS at
5 %, turns as if independent, and a PSI from 0.2 alone. Seeds are fixed.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from relkit.core.arrays import IntArray
from relkit.monitoring.drift.bins import (
    column_profile,
    frozen_categories,
    frozen_numbers,
)
from relkit.monitoring.drift.effects import effect_labels, population_stability
from relkit.monitoring.drift.judge import CurrentCounts, bins_to_count, judge_drift
from relkit.monitoring.drift.types import (
    CategoryCount,
    ClusterMoments,
    ColumnCounts,
    DriftPolicy,
    DriftProfile,
    EffectThreshold,
    FrozenBins,
    ReferenceSums,
    SlotTotals,
    WindowTotals,
)

REFERENCE_CALLERS = 8000
SIZES = {200: 45, 1000: 200, 5000: 800}
"""Turns of a window to its callers."""

NUMBERS = ("duration_s", "snr_db", "confidence", "words", "dnsmos_ovrl")
LANGUAGES = (("en", 0.55), ("de", 0.2), ("fr", 0.12), ("es", 0.08), ("hi", 0.04), ("ta", 0.01))
DEVICES = (("phone", 0.6), ("car", 0.2), ("speaker", 0.15), ("watch", 0.05))
NEW_DEVICE = "glasses"
OF_CALLER = (0.1, 0.15, 0.2, 0.1, 0.2)
OF_CALL = (0.1, 0.45, 0.1, 0.0, 0.3)
"""Shares of the variance of each number that belong to the caller and to the call."""

CALLS = 3
"""Calls of a caller in the reference; in a window each has one."""

USUAL = 0.05
USUAL_PSI = 0.2

POLICY = DriftPolicy(
    schema="relkit.drift/v1",
    name="simulated",
    columns=(*NUMBERS, "language", "device", "empty"),
    cluster="speaker",
    min_rows=100,
    digest="sha256:" + "0" * 64,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Turns by column, and the caller and the call of each."""

    caller: IntArray
    call: IntArray
    columns: Mapping[str, NDArray[np.generic]]


Change = Callable[[dict[str, NDArray[np.generic]], IntArray, np.random.Generator], None]


def turns_of(
    callers: int, calls: int, rng: np.random.Generator, change: Change | None, turns: int | None
) -> Turns:
    """Return turns of some callers, of so many calls each: so many in all, or six a call.

    A caller has a voice and a language, a call its own noise.
    """
    weights = rng.lognormal(0.0, 0.8, callers)
    total = 6 * callers * calls if turns is None else turns
    caller = np.sort(rng.choice(callers, total, p=weights / weights.sum()))
    call = caller * calls + rng.integers(calls, size=total)
    voice, noise = rng.normal(size=(callers, 5)), rng.normal(size=(callers * calls, 5))
    mixed = voice[caller] * np.sqrt(OF_CALLER) + noise[call] * np.sqrt(OF_CALL)
    mixed += rng.normal(size=(total, 5)) * np.sqrt(1.0 - np.array(OF_CALLER) - np.array(OF_CALL))
    languages, devices = (np.array([name for name, _ in x]) for x in (LANGUAGES, DEVICES))
    language = rng.choice(len(LANGUAGES), callers, p=[share for _, share in LANGUAGES])
    device = rng.choice(len(DEVICES), callers, p=[share for _, share in DEVICES])
    often_empty = rng.beta(0.3, 9.7, callers * calls)
    columns: dict[str, NDArray[np.generic]] = {
        "duration_s": np.exp(0.7 + 0.6 * mixed[:, 0]),
        "snr_db": 18.0 + 6.0 * mixed[:, 1],
        "confidence": 1.0 / (1.0 + np.exp(-2.0 - mixed[:, 2])),
        "words": np.ceil(np.exp(1.5 + 0.7 * mixed[:, 3])),
        "dnsmos_ovrl": 3.2 + 0.27 * mixed[:, 4],
        "language": languages[language[caller]],
        "device": np.where(
            rng.random(callers * calls)[call] < 0.2,
            devices[rng.choice(len(DEVICES), callers * calls)][call],
            devices[device[caller]],
        ),
        "empty": np.where(rng.random(total) < often_empty[call], "true", "false"),
    }
    if change is not None:
        change(columns, caller, rng)
    return Turns(caller=caller, call=call, columns=columns)


def _quieter(columns: dict[str, NDArray[np.generic]], *_: object) -> None:
    columns["snr_db"] = np.asarray(columns["snr_db"], np.float64) - 3.0


def _of_callers(column: str, value: str, share: float) -> Change:
    def change(
        columns: dict[str, NDArray[np.generic]], caller: IntArray, rng: np.random.Generator
    ) -> None:
        changed = rng.random(int(caller.max()) + 1) < share
        columns[column] = np.where(changed[caller], value, columns[column])

    return change


def _worse(columns: dict[str, NDArray[np.generic]], *_: object) -> None:
    columns["dnsmos_ovrl"] = np.asarray(columns["dnsmos_ovrl"], np.float64) - 0.1


CHANGES: Mapping[str, tuple[str, Change]] = {
    "-3 dB": ("snr_db", _quieter),
    "15 % rare language": ("language", _of_callers("language", "ta", 0.15)),
    "10 % new device": ("device", _of_callers("device", NEW_DEVICE, 0.10)),
    "MOS -0.1": ("dnsmos_ovrl", _worse),
}


def frozen_bins(reference: Turns) -> dict[str, FrozenBins]:
    """Return the bins of every column, as ``relkit drift profile`` freezes them."""
    bins = {}
    for name, values in reference.columns.items():
        if name in NUMBERS:
            numbers = np.asarray(values, np.float64)
            deciles = tuple(np.quantile(numbers, np.arange(1, 10) / 10).tolist())
            bins[name] = frozen_numbers(name, deciles, labelled=False)
        elif name == "empty":
            bins[name] = FrozenBins(column=name, kind="flag", categories=("false", "true"))
        else:
            counts = tuple(
                CategoryCount(
                    value=str(value),
                    turns=int((values == value).sum()),
                    clusters=len(np.unique(reference.caller[values == value])),
                )
                for value in np.unique(values)
            )
            bins[name] = frozen_categories(name, counts, labelled=False)
    return bins


def codes(frozen: FrozenBins, values: NDArray[np.generic]) -> IntArray:
    """Return the bin of each value."""
    if frozen.kind == "number":
        edges = np.array(frozen.edges)
        return np.searchsorted(edges, np.asarray(values, np.float64), side="left").astype(np.int64)
    result = np.full(len(values), len(frozen.bins) - 2, np.int64)  # (new), of flags unused
    for i, category in enumerate(frozen.categories):
        result[values == category] = i
    return result


def by_cluster(cluster: IntArray, turns: Turns, frozen: FrozenBins) -> IntArray:
    """Return turns by cluster and bin, of clusters with any turn."""
    size = len(frozen.bins)
    at = cluster * size + codes(frozen, turns.columns[frozen.column])
    cells = np.bincount(at, minlength=(int(cluster.max()) + 1) * size).reshape(-1, size)
    return np.asarray(cells[cells.sum(axis=1) > 0], dtype=np.int64)


def moments_of(cells: IntArray) -> ClusterMoments:
    """Return the sums over clusters."""
    e = cells.astype(np.float64)
    n = e.sum(axis=1)
    return ClusterMoments(
        squares=(e**2).sum(axis=0),
        products=(e * n[:, None]).sum(axis=0),
        sizes=float((n**2).sum()),
    )


def profile_of(reference: Turns) -> tuple[DriftProfile, dict[str, FrozenBins]]:
    """Return the profile of a reference."""
    bins = frozen_bins(reference)
    columns = []
    for name, frozen in bins.items():
        e = by_cluster(reference.caller, reference, frozen)
        n = e.sum(axis=1)
        totals = SlotTotals(turns=int(n.sum()), clusters=len(n), squares=int((n**2).sum()))
        sums = ReferenceSums(
            span=moments_of(e),
            hour=moments_of(by_cluster(reference.call, reference, frozen)),
            by_slot=e.sum(axis=0, keepdims=True),
            clusters=(e > 0).sum(axis=0, keepdims=True),
            totals=(totals,),
        )
        values = reference.columns[name]
        spread = float(np.std(np.asarray(values, np.float64))) if name in NUMBERS else None
        columns.append(column_profile(frozen, sums, median=None, spread=spread))
    kinds = {name: "number" if name in NUMBERS else "category" for name in bins}
    profile = DriftProfile(
        schema="relkit.profile/v1",
        from_="2026-09-01T00:00:00Z",
        to="2026-09-08T00:00:00Z",
        cluster="speaker",
        season="none",
        turns=len(reference.caller),
        columns_seen=kinds,
        columns=tuple(columns),
        source="simulated",
        digest="sha256:" + "0" * 64,
    )
    return profile, bins


def counted(
    windows: list[Turns], profile: DriftProfile, bins: Mapping[str, FrozenBins]
) -> CurrentCounts:
    """Return windows as the adapter counts them."""
    first = [by_cluster(turns.caller, turns, bins["empty"]).sum(axis=1) for turns in windows]
    totals = WindowTotals(
        starts=np.arange(len(windows), dtype=np.int64) * 3600,
        turns=np.array([n.sum() for n in first]),
        clusters=np.array([len(n) for n in first]),
        squares=np.array([(n**2).sum() for n in first]),
    )
    columns = {}
    for column in profile.columns:
        cells = [by_cluster(turns.caller, turns, bins[column.column]) for turns in windows]
        counts = ColumnCounts(
            turns=np.array([e.sum(axis=0) for e in cells]),
            clusters=np.array([(e > 0).sum(axis=0) for e in cells]),
        )
        rare = list(bins_to_count(column, counts, totals, POLICY))
        clusters = np.full_like(counts.clusters, -1)
        clusters[:, rare] = counts.clusters[:, rare]  # no other is counted by the adapter
        columns[column.column] = ColumnCounts(turns=counts.turns, clusters=clusters)
    return CurrentCounts(
        seen=profile.columns_seen, windows=totals, columns=columns, medians={}, telemetry=None
    )


ALARM_ALONE = replace(POLICY, threshold=EffectThreshold(psi=1e-9))
LARGE_EFFECT = replace(POLICY, threshold=EffectThreshold(psi=USUAL_PSI))


def drifted(policy: DriftPolicy, profile: DriftProfile, counts: CurrentCounts) -> list[str]:
    """Return the columns that drifted, of each window together in one text."""
    report = judge_drift(policy, profile, counts)
    if any(window.status == "no_data" for window in report.windows):
        raise SystemExit(f"a window could not be judged: {report.reasons}")
    return [" ".join(window.drifted) for window in report.windows]


def usual_alarms(profile: DriftProfile, counts: CurrentCounts) -> dict[str, int]:
    """Return in how many windows chi-square, KS and a PSI alone fire on any column."""
    windows = len(counts.windows.starts)
    fired = {name: np.zeros(windows, dtype=bool) for name in ("chi2", "ks", "psi")}
    ks_at = stats.kstwobign.ppf(1 - USUAL)
    for column in profile.columns:
        turns = counts.columns[column.column].turns.astype(np.float64)
        reference = np.array([b.share for b in column.bins])
        shares = turns / turns.sum(axis=1, keepdims=True)
        fired["psi"] |= population_stability(shares, reference) >= USUAL_PSI
        chi2_at = stats.chi2.ppf(1 - USUAL, max(int((reference > 0).sum()) - 1, 1))
        for i, row in enumerate(turns):
            labels = effect_labels(row, reference, column.edges, column.spread)
            fired["chi2"][i] |= labels.chi2 > chi2_at
            pairs = row.sum() * profile.turns / (row.sum() + profile.turns)
            fired["ks"][i] |= (labels.ks or 0.0) * np.sqrt(pairs) > ks_at
    return {name: int(flags.sum()) for name, flags in fired.items()}


def with_one_rho(profile: DriftProfile) -> DriftProfile:
    """Return a profile in which an hour is no more alike than the whole, for comparison."""
    columns = tuple(
        replace(column, bins=tuple(replace(b, rho=b.rho_span) for b in column.bins))
        for column in profile.columns
    )
    return replace(profile, columns=columns)


def in_a_row(flags: list[bool], length: int = 3) -> int:
    """Return how often so many windows in a row fire."""
    return sum(all(flags[i : i + length]) for i in range(len(flags) - length + 1))


def print_tables(references: int, windows: int) -> None:
    """Print what fires where nothing changed, and what is found."""
    frozen = [
        profile_of(turns_of(REFERENCE_CALLERS, CALLS, np.random.default_rng([7, seed]), None, None))
        for seed in range(references)
    ]

    def simulated(turns: int, seed: int, what: int, change: Change | None) -> CurrentCounts:
        rng = np.random.default_rng([seed, turns, what])
        several = [turns_of(SIZES[turns], 1, rng, change, turns) for _ in range(windows)]
        return counted(several, *frozen[seed])

    every = references * windows
    print(f"nothing changed: % of {every:,} windows a line, {references} references\n")
    print(f"{'turns':>6} {'callers':>8} {'alarm':>7} {'drifted':>8} {'3 in a row':>11}", end="")
    print(f"   | {'one rho':>9} {'chi2 5 %':>9} {'KS 5 %':>7} {'PSI 0.2':>8}")
    for turns in SIZES:
        alarms = effects = rows = callers = one_rho = 0
        usual = dict.fromkeys(("chi2", "ks", "psi"), 0)
        for seed in range(references):
            counts = simulated(turns, seed, 0, None)
            flags = [bool(x) for x in drifted(ALARM_ALONE, frozen[seed][0], counts)]
            alarms += sum(flags)
            rows += in_a_row(flags)
            effects += sum(map(bool, drifted(POLICY, frozen[seed][0], counts)))
            callers += int(counts.windows.clusters.sum())
            plain = with_one_rho(frozen[seed][0])
            one_rho += sum(map(bool, drifted(ALARM_ALONE, plain, counts)))
            for name, fires in usual_alarms(frozen[seed][0], counts).items():
                usual[name] += fires
        shares = " ".join(
            f"{100 * usual[name] / every:>{width}.0f}"
            for name, width in (("chi2", 9), ("ks", 7), ("psi", 8))
        )
        print(
            f"{turns:>6,} {callers / every:>8.0f} {100 * alarms / every:>7.2f}"
            f" {100 * effects / every:>8.2f} {rows:>11}   | {100 * one_rho / every:>9.1f} {shares}"
        )
    for policy, title in ((POLICY, "PSI from 0.1"), (LARGE_EFFECT, "PSI from 0.2")):
        print(f"\nfound, {title}: % of {every:,} windows a cell\n")
        print(f"{'turns':>6} " + " ".join(f"{name:>20}" for name in CHANGES))
        for turns in SIZES:
            cells = []
            for what, (column, change) in enumerate(CHANGES.values(), start=1):
                hits = sum(
                    column in names.split()
                    for seed in range(references)
                    for names in drifted(
                        policy, frozen[seed][0], simulated(turns, seed, what, change)
                    )
                )
                cells.append(f"{100 * hits / every:>20.0f}")
            print(f"{turns:>6,} " + " ".join(cells))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", type=int, default=12)
    parser.add_argument("--windows", type=int, default=100, help="of each reference and size")
    options = parser.parse_args()
    print_tables(options.references, options.windows)


if __name__ == "__main__":
    main()
