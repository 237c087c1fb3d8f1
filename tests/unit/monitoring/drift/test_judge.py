"""What windows of counts are judged to be, and that nothing missing is ever quiet."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from relkit.core.wording import terminal
from relkit.monitoring.drift.judge import CurrentCounts, bins_to_count, judge_drift
from relkit.monitoring.drift.types import (
    BinProfile,
    ColumnCounts,
    ColumnProfile,
    DriftPolicy,
    DriftProfile,
    DriftReport,
    LabelRule,
    SlotTotals,
    SustainedRule,
    WindowTotals,
)
from relkit.monitoring.drift.view import drift_finding, drift_text
from relkit.telemetry.types import Dropped, Telemetry, TelemetryProblem

DIGEST = "sha256:" + "ab" * 32
HOUR = 3600
SHARES = (0.5, 0.3, 0.2, 0.0, 0.0, 0.0)
BINS = ("de", "en", "fr", "(other)", "(new)", "(missing)")

POLICY = DriftPolicy(
    schema="relkit.drift/v1",
    name="inputs",
    columns=("language",),
    cluster="speaker",
    digest=DIGEST,
)


def column(
    shares: tuple[float, ...] = SHARES, *, turns: int = 100_000, clusters: int = 20_000
) -> ColumnProfile:
    """Return the profile of a column of languages, five turns a speaker, who speaks one."""
    return ColumnProfile(
        column="language",
        kind="category",
        bins=tuple(
            BinProfile(
                bin=name,
                share=share,
                rho=0.5,
                rho_span=0.5,
                turns=(round(share * turns),),
                clusters=(round(share * clusters),),
            )
            for name, share in zip(BINS, shares, strict=True)
        ),
        totals=(SlotTotals(turns=turns, clusters=clusters, squares=turns * 5),),
    )


def profile(*columns: ColumnProfile, seen: Mapping[str, str] | None = None) -> DriftProfile:
    """Return a profile of such columns."""
    return DriftProfile(
        schema="relkit.profile/v1",
        from_="2026-09-01T00:00:00Z",
        to="2026-09-08T00:00:00Z",
        cluster="speaker",
        season="none",
        turns=columns[0].totals[0].turns,
        columns_seen={"language": "category"} if seen is None else seen,
        columns=columns,
        source="week.json",
        digest=DIGEST,
    )


def current(
    *windows: tuple[int, ...],
    clusters: tuple[int, ...] | None = None,
    **changes: object,
) -> CurrentCounts:
    """Return windows that each have such turns by bin, five turns a speaker."""
    turns = np.array(windows, np.int64).reshape(len(windows), len(BINS))
    every = turns.sum(axis=1)
    speakers = every // 5 if clusters is None else np.array(clusters, np.int64)
    totals = WindowTotals(
        starts=np.arange(len(windows), dtype=np.int64) * HOUR,
        turns=every,
        clusters=speakers,
        squares=np.where(speakers > 0, every**2 // np.maximum(speakers, 1), 0),
    )
    counts = ColumnCounts(turns=turns, clusters=-(-turns // 5))
    made = CurrentCounts(
        seen={"language": "category"}, windows=totals, columns={"language": counts}, medians={}
    )
    return replace(made, **changes)  # type: ignore[arg-type]


SAME = (500, 300, 200, 0, 0, 0)
OTHER = (300, 300, 400, 0, 0, 0)


def verdict_of(counts: CurrentCounts, policy: DriftPolicy = POLICY) -> DriftReport:
    """Judge counts, and hold that every verdict but quiet has a reason, and a text."""
    report = judge_drift(policy, profile(column()), counts)
    assert bool(report.reasons) == (report.verdict != "quiet")
    assert all(len(line) <= 80 for line in terminal(drift_text(report)).splitlines())
    finding = drift_finding(report, created="2026-09-08T00:00:00Z")
    expected = {"quiet": "pass", "drifted": "fail", "no_data": "no_data"}
    assert finding.gate_verdict == expected[report.verdict]
    return report


def test_the_same_shares_are_quiet() -> None:
    """Nothing changed: no window drifts, and the column says by how little."""
    report = verdict_of(current(SAME, SAME, SAME))
    assert report.verdict == "quiet"
    assert [window.status for window in report.windows] == ["quiet"] * 3
    assert report.columns[0].band == "none"
    assert report.bins == 6
    assert report.alarm_per_bin == pytest.approx(0.01 / 6)


def test_three_drifted_windows_are_drift() -> None:
    """Sustained: the first window, the one that confirmed it, the worst bin and its shares."""
    report = verdict_of(current(SAME, OTHER, OTHER, OTHER))
    assert report.verdict == "drifted"
    assert report.sustained.first_window == "1970-01-01T01:00:00Z"
    assert report.sustained.confirmed_window == "1970-01-01T03:00:00Z"
    worst = report.columns[0]
    assert (worst.drifted, worst.worst_bin, worst.windows) == (True, "fr", 3)
    assert (worst.reference_share, worst.window_share) == (0.2, 0.4)
    assert worst.test == "clustered_z"
    assert worst.z is not None
    assert worst.z == worst.statistic
    assert worst.z > (worst.threshold or 0) > 2
    assert worst.psi is not None
    assert worst.psi >= 0.1


def test_a_large_effect_alone_and_an_alarm_alone_are_quiet() -> None:
    """Both are needed: chance makes the first, and large windows the second."""
    small = tuple(n // 10 for n in OTHER)
    few = judge_drift(replace(POLICY, min_rows=50), profile(column()), current(*[small] * 3))
    assert few.verdict == "quiet"
    assert few.columns[0].psi is not None
    assert few.columns[0].psi > 0.1
    slight = tuple(n * 10 for n in (460, 320, 220, 0, 0, 0))
    much = verdict_of(current(slight, slight, slight))
    assert much.verdict == "quiet"
    assert much.columns[0].p is not None
    assert much.columns[0].p < much.alarm_per_bin


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (current(), "there is no turn in the current telemetry"),
        (current(seen={}, columns={}), "there is no turn in the current telemetry"),
        (current((20, 10, 5, 0, 0, 0)), "35 turns, 200 needed"),
        (current(OTHER, clusters=(1,)), "1 cluster, 5 needed"),
        (current(tuple(30 * n for n in SAME)), "the reference has 20,000 clusters, 30,000 needed"),
        (
            current(SAME, tuple(30 * n for n in OTHER)),
            "most turns are in 1 window that could not be judged; the reference has 20,000",
        ),
        (current(OTHER), "1 of 1 window drifted, and 3 have to: more windows are needed"),
        (current(OTHER, OTHER), "2 of 2 windows drifted"),
    ],
)
def test_too_little_is_no_data(counts: CurrentCounts, reason: str) -> None:
    """Empty, too few turns, one cluster, too small a reference, too few windows: never quiet."""
    report = verdict_of(counts)
    assert report.verdict == "no_data"
    assert reason in report.reasons[0]


def test_windows_without_data_neither_count_nor_reset() -> None:
    """Three drifted windows around an empty hour are three in a row."""
    empty = (3, 2, 1, 0, 0, 0)
    assert verdict_of(current(OTHER, empty, OTHER, OTHER)).verdict == "drifted"
    assert verdict_of(current(OTHER, SAME, OTHER, OTHER)).verdict == "quiet"
    two_of_four = replace(POLICY, sustained=SustainedRule(k=2, of=4))
    assert verdict_of(current(OTHER, SAME, SAME, OTHER), two_of_four).verdict == "drifted"


def test_a_column_that_is_gone_is_drift() -> None:
    """Missing from the current telemetry, or of another type: never quiet."""
    gone = verdict_of(current(SAME, SAME, SAME, seen={}, columns={}))
    assert (gone.verdict, gone.schema) == ("drifted", ("missing_column:language",))
    assert gone.columns[0].reason == "missing column"
    other = verdict_of(current(SAME, SAME, SAME, seen={"language": "number"}, columns={}))
    assert (other.verdict, other.schema) == ("drifted", ("type_change:language",))
    empty = verdict_of(current(*[(0, 0, 0, 0, 0, 1000)] * 3))
    assert "missing_column:language" in empty.schema


def test_a_constant_column_is_drift_where_chance_would_not_do_it() -> None:
    """All turns of one language: the code says so, one window or three."""
    report = verdict_of(current((1000, 0, 0, 0, 0, 0)))
    assert report.schema == ("constant:language",)
    assert report.verdict == "drifted"
    rare = profile(column((0.9999, 0.0001, 0.0, 0.0, 0.0, 0.0)))
    assert judge_drift(POLICY, rare, current((1000, 0, 0, 0, 0, 0))).schema == ()


def test_new_categories_are_named_if_they_are_plain_words() -> None:
    """A code names at most ten, and none that looks like a sentence."""
    fresh = (("ta", 9), ("my name is Ada", 3), *((f"x{i:02}", 1) for i in range(11)))
    counts = current(SAME, SAME, SAME)
    with_new = replace(counts.columns["language"], fresh=fresh)
    report = verdict_of(replace(counts, columns={"language": with_new}))
    assert report.schema[0] == "new_category:language:ta"
    assert report.schema[-1] == "new_category:language:(3 more)"
    assert not any("Ada" in code for code in report.schema)
    assert report.verdict == "quiet"


@pytest.mark.parametrize(("factor", "codes"), [(1000, 1), (1 / 1000, 1), (60, 1), (2, 0), (30, 0)])
def test_a_median_that_moves_by_a_unit_is_drift(factor: float, codes: int) -> None:
    """A thousand, sixty and one over those are units; twice as long is none."""
    numbers = replace(column(), median=0.8)
    counts = current(SAME, SAME, SAME, medians={"language": 0.8 * factor})
    report = judge_drift(POLICY, profile(numbers), counts)
    assert len(report.schema) == codes
    assert report.verdict == ("drifted" if codes else "quiet")


@pytest.mark.parametrize(
    ("labelled", "verdict"), [(950, "quiet"), (850, "quiet"), (840, "drifted")]
)
def test_label_coverage_may_drop_by_so_much(labelled: int, verdict: str) -> None:
    """Coverage of 95 % may fall to 85 % where ``max_drop`` is 0.1, and not below."""
    policy = replace(POLICY, columns=("device",), labels=LabelRule(column="language"))
    device = replace(column(), column="device")
    labels = replace(
        column(), labelled=True, totals=(SlotTotals(turns=95_000, clusters=20_000, squares=1),)
    )
    counts = current(SAME, SAME, SAME)
    totals = replace(counts.windows, turns=np.array([labelled] * 3))
    report = judge_drift(
        policy,
        profile(device, labels, seen={"device": "category", "language": "category"}),
        replace(
            counts,
            seen={"device": "category", "language": "category"},
            columns={
                "device": counts.columns["language"],
                "language": replace(
                    counts.columns["language"],
                    turns=np.array(
                        [[labelled // 2, labelled * 3 // 10, labelled // 5, 0, 0, 0]] * 3
                    ),
                    totals=totals,
                ),
            },
        ),
    )
    assert report.verdict == verdict
    assert ("label_coverage:language" in report.schema) == (verdict == "drifted")


def telemetry(**changes: object) -> Telemetry:
    """Return a summary of 1,000 rows."""
    made = Telemetry(
        dialect="turns",
        rows=1000,
        turns=1000,
        sessions=200,
        units=200,
        from_=None,
        to=None,
        arms={},
        releases={},
        columns=(),
        dropped=Dropped(),
        mapping={},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dropped", "verdict"),
    [
        (Dropped(naive=11), "no_data"),
        (Dropped(naive=10), "quiet"),
        (Dropped(unnamed=6, future=5), "no_data"),
        (Dropped(duplicate=900), "quiet"),
    ],
)
def test_rows_that_do_not_count_are_no_verdict(dropped: Dropped, verdict: str) -> None:
    """Over 1 % without offset, of the future or without a name: they may be the drifted ones."""
    counts = current(SAME, SAME, SAME, telemetry=telemetry(dropped=dropped))
    assert verdict_of(counts).verdict == verdict


def test_what_cannot_be_read_is_no_verdict() -> None:
    """What was in a file that is cut off may be what drifted; drift that is seen is drift."""
    cut = TelemetryProblem(code="unreadable", where="a.jsonl, line 3", message="is cut off")
    quiet = current(SAME, SAME, SAME, telemetry=telemetry(problems=(cut, cut)))
    report = verdict_of(quiet)
    assert report.verdict == "no_data"
    assert "a.jsonl, line 3: is cut off (and 1 more)" in report.reasons[0]


def test_what_telemetry_noticed_is_schema_drift() -> None:
    """A unit that changed half-way is named for the column that it is about, and no other."""
    noticed = tuple(
        TelemetryProblem(code="unit_change", where=where, message="x")
        for where in ("language", "latency_ms")
    )
    report = verdict_of(current(SAME, SAME, SAME, telemetry=telemetry(problems=noticed)))
    assert report.schema == ("unit_suspicion:language",)


def test_only_rare_bins_need_their_clusters() -> None:
    """What is common enough for z is not counted by cluster again."""
    rare = (480, 300, 200, 10, 10, 0)
    counts = current(rare)
    bins = bins_to_count(column(), counts.columns["language"], counts.windows, POLICY)
    assert bins == (3, 4)
