"""What may leave the team of a decision, a report and a finding: enough people, bands, grids."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.config import Privacy, Profile
from relkit.core.values import Estimate, Named
from relkit.disclosure.types import Subjects
from relkit.evaluation.types import EvalReport
from relkit.gate.reasons import figures
from relkit.gate.types import GateDecision, SumsTable, Verdict
from relkit.monitoring.types import LiveCheck, LiveFinding
from relkit.report.github_view import shared_annotations, shared_markdown
from relkit.report.junit_view import shared_junit
from relkit.report.shared_numbers import Sharing, change_on_grid
from relkit.report.shared_view import shared_decision, shared_finding, shared_report
from relkit.report.types import SharedDocument, SharedRow
from relkit.statistics.types import ClusterSums
from tests import builders
from tests.decisions import statement
from tests.gate_decisions import override

NOISE = Privacy(ci="shared", share={"noise": ("0", "1")})
NO_NUMBER = "-"


def decided(
    speakers: int = 14,
    *,
    cluster: str | None = "speaker",
    subjects: Subjects | None = "people",
    **given: Any,  # noqa: ANN401  # of tests.decisions.statement
) -> GateDecision:
    """Return a decision about this many speakers in each of three slices of noise."""
    content = statement(2, worse=3.0, speakers=speakers, **given)
    parts = tuple(
        replace(part, cluster=cluster, dataset=replace(part.dataset, subjects=subjects))
        for part in content.parts
    )
    return replace(content, parts=parts)


def shared(decision: GateDecision, privacy: Privacy = NOISE, **registered: Any) -> SharedDocument:  # noqa: ANN401  # values by column
    """Return what may be shown of a decision."""
    return shared_decision(
        decision, (), Sharing(privacy=privacy, registered={"new-run": registered})
    )


def checks(document: SharedDocument) -> dict[tuple[str, str], SharedRow]:
    """Return the rows of a document by check and slice."""
    return {(row.name, row.slice): row for row in document.rows}


@pytest.mark.parametrize(
    ("speakers", "profile", "shown"),
    [(9, "default", 0), (10, "default", 3), (10, "health", 0), (11, "health", 3)],
)
def test_a_check_is_shown_from_k_people_on(speakers: int, profile: Profile, shown: int) -> None:
    """One person fewer, and neither its numbers nor its verdict are there."""
    decision = decided(speakers)
    privacy = Privacy(ci="shared", profile=profile, share={"noise": ("0", "1", "2")})
    document = shared(decision, privacy)
    slices = [row for row in document.rows if row.slice != "overall"]
    assert len(slices) == shown
    assert document.k == (11 if profile == "health" else 10)
    assert document.hidden + sum(row.slices for row in document.rows) == len(decision.results)
    assert document.outcome is decision.verdict


@pytest.mark.parametrize("cluster", [None, "utterance", ""])
def test_of_nobody_knows_how_many_nothing_is_shown(cluster: str | None) -> None:
    """Clusters that are no people count none: the verdict is all that is left."""
    decision = decided(cluster=cluster)
    document = shared(decision)
    assert document.rows == ()
    assert document.hidden == len(decision.results)


def test_a_decision_without_sums_shows_no_check() -> None:
    """What cannot be counted is not shown, whatever the check says its clusters are."""
    decision = decided()
    bare = replace(decision, evidence=replace(decision.evidence, parts=()))
    assert shared(bare).rows == ()
    empty = tuple(replace(part, sums=(), percentiles=()) for part in decision.evidence.parts)
    assert shared(replace(decision, evidence=replace(decision.evidence, parts=empty))).rows == ()


def test_a_closed_set_of_utterances_is_no_people() -> None:
    """Its clusters are utterances, whatever the dataset is clustered by."""
    decision = decided()
    parts = tuple(replace(part, population="these_clusters") for part in decision.parts)
    assert shared(replace(decision, parts=parts)).rows == ()


def test_a_dataset_that_does_not_say_is_of_people() -> None:
    """Decisions from before the key are held to the same k."""
    assert shared(decided(9, subjects=None)).k == 10


@pytest.mark.parametrize("subjects", ["public", "synthetic"])
def test_control_applies_to_people(subjects: Subjects) -> None:
    """What is nobody's private data has no fewest; the document says whose it is."""
    document = shared(decided(6, cluster=None, subjects=subjects))
    assert (document.k, document.hidden, document.subjects) == (1, 0, subjects)
    assert any(subjects in remark for remark in document.remarks)
    assert checks(document)["wer-limit", "overall"].basis.startswith("fewer than 10 speakers")


def test_several_datasets_are_of_people_where_one_is() -> None:
    """The strictest word of all parts is the document's."""
    decision = decided(subjects="synthetic")
    part = decision.parts[0]
    other = replace(part, name="tts", dataset=replace(part.dataset, subjects=None))
    assert shared(replace(decision, parts=(part, other))).subjects == "people"


def test_values_that_are_not_shared_are_one_row_with_their_number() -> None:
    """No name and no figure of them, and how many they are."""
    document = shared(decided())
    rows = [row for row in document.rows if row.name == "wer-slices"]
    assert {row.slice for row in rows} == {"noise=0", "noise=1", "noise=(not shared)"}
    pool = checks(document)["wer-slices", "noise=(not shared)"]
    assert (pool.slices, pool.observed, pool.basis) == (1, NO_NUMBER, NO_NUMBER)
    assert "noise=2" not in everything(document)
    unnamed = shared(decided(), Privacy(ci="shared"))
    assert {row.slice for row in unnamed.rows} == {"overall", "(not shared)"}
    assert "noise" not in everything(unnamed)


@pytest.mark.parametrize(
    ("share", "registered", "named"),
    [
        ("*", ("0", "2"), {"noise=0", "noise=2"}),
        ("*", (), set()),
        ("0", ("0", "1"), {"noise=0"}),
    ],
)
def test_a_star_names_what_the_dataset_was_locked_with(
    share: str, registered: tuple[str, ...], named: set[str]
) -> None:
    """A value that appeared since, and all values of data that is not locked, have no name."""
    document = shared(decided(), Privacy(share={"noise": (share,)}), noise=registered)
    slices = {row.slice for row in document.rows} - {"overall"}
    assert slices == named | {"noise=(not shared)"}


def test_numbers_are_in_bands_and_on_grids() -> None:
    """No exact count, and no digit that the interval does not bear."""
    decision = decided(40)
    document = shared(decision)
    limit = checks(document)["wer-limit", "overall"]
    assert limit.basis == "20 to 49 speakers, 1,000 to 1,999 utterances"
    assert limit.allowed == "at most 40.0 %"
    assert re.fullmatch(r"[\d.]+ % \([\d.]+ to [\d.]+ %\)", limit.observed)
    assert checks(document)["runaways", "overall"].observed == "fewer than 10 events"
    text = everything(document)
    for result in decision.results:
        assert result.reason not in text
        assert f"{result.n:,}" not in text or result.n < 10
    paired = checks(document)["wer-overall", "overall"]
    assert re.fullmatch(r"[+-][\d.]+ points \([+-].* points to [+-].* points\)", paired.observed)


def heavy(table: SumsTable, column: str) -> SumsTable:
    """Return a table in which one speaker of each slice has almost all of a column."""
    place = table.columns.index(column) + 2
    seen: set[float] = set()
    rows = []
    for row in table.rows:
        first = row[0] not in seen
        seen.add(row[0])
        rows.append((*row[:place], 500.0 if first else 1.0, *row[place + 1 :]))
    return replace(table, rows=tuple(rows))


def with_tables(decision: GateDecision, change: Callable[[SumsTable], SumsTable]) -> GateDecision:
    """Return a decision with other tables of sums."""
    parts = tuple(
        replace(part, sums=tuple(map(change, part.sums))) for part in decision.evidence.parts
    )
    return replace(decision, evidence=replace(decision.evidence, parts=parts))


def test_a_rate_that_is_one_persons_is_not_shown() -> None:
    """Errors that one speaker makes are theirs: the rate goes, the check stays."""

    def errors_of_one(table: SumsTable) -> SumsTable:
        return heavy(table, "capped_errors") if "capped_errors" in table.columns else table

    rows = checks(shared(with_tables(decided(20), errors_of_one)))
    assert rows["wer-limit", "overall"].observed == NO_NUMBER
    assert rows["wer-overall", "overall"].observed == NO_NUMBER
    assert rows["wer-limit", "overall"].basis != NO_NUMBER


def test_words_that_one_person_says_are_no_cell() -> None:
    """A slice of 20 people of whom one says nearly everything is that person's."""

    def words_of_one(table: SumsTable) -> SumsTable:
        return heavy(table, "words") if "words" in table.columns else table

    document = shared(with_tables(decided(20), words_of_one))
    assert ("wer-limit", "overall") not in checks(document)


def test_a_percentile_needs_a_tail_of_several_people() -> None:
    """Where one speaker has the slow answers, theirs is the percentile."""
    decision = decided(20)
    assert checks(shared(decision))["latency-p95", "overall"].observed.endswith(" ms")
    parts = [
        replace(
            part,
            percentiles=tuple(
                replace(
                    table,
                    slices=tuple(
                        replace(
                            item,
                            rows=tuple(
                                (n, 12.0 if i == 0 else 0.0) for i, (n, _) in enumerate(item.rows)
                            ),
                        )
                        for item in table.slices
                    ),
                )
                for table in part.percentiles
            ),
        )
        for part in decision.evidence.parts
    ]
    lonely = replace(decision, evidence=replace(decision.evidence, parts=tuple(parts)))
    assert ("latency-p95", "overall") not in checks(shared(lonely))


def test_words_of_people_stay_at_home() -> None:
    """Who overrode it and why, warnings, and the ids of utterances are in no shared document."""
    decision = decided()
    told = replace(
        decision.parts[0],
        baseline_failures=("anna-042",),
        warnings=("anna-042 loops",),
        candidate=replace(decision.parts[0].candidate, system="command /home/anna/run"),
    )
    words = override(by="Anna Lee", reason="Anna said so", ticket="ANNA-1")
    document = shared_decision(
        replace(decision, parts=(told,)), (words,), Sharing(privacy=NOISE), marker="<!-- m -->"
    )
    assert "nna" not in everything(document)
    assert "ANNA" not in everything(document)
    assert any("verrid" in remark for remark in document.remarks)


def everything(document: SharedDocument) -> str:
    """Return all that any view shows of a document."""
    pages = (shared_markdown(document), shared_junit(document).decode())
    return "\n".join((*pages, *shared_annotations(document)))


def test_a_finding_shows_its_verdict_only() -> None:
    """Of how many people its checks are, the record does not say."""
    finding = LiveFinding(
        kind="canary",
        policy=Named(name="asr-canary", digest=builders.DIGEST),
        enforcement="enforce",
        verdict="roll_back",
        gate_verdict="fail",
        reason="31 of 412 turns failed on region=eu",
        created="2026-01-31T12:00:00Z",
        subject="asr@2.4",
        checks=(
            LiveCheck(name="errors", slice="region=eu", verdict="fail", reason="31 of 412 turns"),
        ),
        report={"turns": 412},
    )
    document = shared_finding(finding, Sharing(privacy=NOISE))
    assert (document.verdict, document.outcome, document.blocks) == ("roll back", "fail", True)
    assert (document.rows, document.hidden) == ((), 1)
    text = everything(document)
    assert "412" not in text
    assert "region" not in text
    assert 'failures="1"' in text
    sessions = replace(NOISE, unit="session")
    assert shared_finding(finding, Sharing(privacy=sessions)).k == 50
    shadow = shared_finding(replace(finding, enforcement="shadow"), Sharing(privacy=NOISE))
    assert not shadow.blocks
    assert 'failures="0"' in everything(shadow)


def measured(speakers: int, errors: Sequence[float]) -> tuple[EvalReport, ClusterSums]:
    """Return a report of one slice, and the sums behind its word error rate."""
    estimate = Estimate(value=0.1, low=0.08, high=0.13, n=100 * speakers, clusters=speakers)
    item = builders.slice_result("overall", {"wer": estimate, "latency_ms.p95": estimate})
    sums = ClusterSums(
        slices=("overall",),
        slice_index=np.zeros(speakers, dtype=np.int64),
        cluster_index=np.arange(speakers, dtype=np.int64),
        columns={
            "errors": np.asarray(errors, dtype=np.float64),
            "words": np.full(speakers, 100.0),
            "with_words": np.full(speakers, 10.0),
        },
    )
    return builders.report(item, cluster="speaker"), sums


@pytest.mark.parametrize(
    ("speakers", "errors", "observed"),
    [
        (12, [10.0] * 12, "10.0 % (8.0 to 14.0 %)"),
        (12, [0.0] * 12, "fewer than 10 events"),
        (12, [50.0, 50.0] + [0.0] * 10, "fewer than 10 events"),
        (12, [90.0, 1.0, 1.0] + [0.0] * 9, "-"),
        (9, [10.0] * 9, None),
    ],
)
def test_a_report_shows_rates_of_enough_people(
    speakers: int, errors: list[float], observed: str | None
) -> None:
    """Zero and few events read alike, one person's rate is none, fewer people are no row."""
    report, sums = measured(speakers, errors)
    document = shared_report(report, sums, Sharing(privacy=NOISE))
    assert [row.observed for row in document.rows] == [observed] * (observed is not None)
    assert document.hidden == 2 - len(document.rows)
    assert shared_report(report, None, Sharing(privacy=NOISE)).rows == ()


def test_every_result_is_shown_or_counted() -> None:
    """Nothing vanishes: rows, pools and what is hidden add up, whatever the verdict."""
    for speakers in (5, 10, 25):
        decision = decided(speakers)
        document = shared(decision)
        shown = sum(row.slices for row in document.rows)
        assert shown + document.hidden == len(decision.results)
        assert document.outcome in set(Verdict)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rule", ["min_change: 0.01", "test: non_inferiority, margin: 0.02"])
def test_a_change_has_the_direction_that_the_gate_shows(seed: int, rule: str) -> None:
    """The grid moves a difference by less than a step, and turns it round never."""
    text = f"schema: relkit.gate/v1\nname: g\nrules:\n  - {{id: b, metric: wer_capped, {rule}}}\n"
    content = statement(seed, worse=3.0 if seed % 2 else 1.0, speakers=20, text=text)
    parts = tuple(replace(part, cluster="speaker") for part in content.parts)
    document = shared(replace(content, parts=parts))
    (row,) = document.rows
    shown = figures(content.results[0])
    value, low, high = map(float, re.findall(r"[+-]?[\d.]+", row.observed.replace("±", "")))
    exact = float(shown.observed.split()[0])
    assert low <= value <= high
    assert abs(value - exact) <= (high - low) / 2
    assert value * exact >= 0


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_change_lies_between_its_ends_and_no_change_is_none(
    value: float, below: float, above: float
) -> None:
    """Ends go outward, the value moves by no more than half of the interval, and keeps its sign."""
    low, high = max(-1.0, value - below), min(1.0, value + above)
    shown = change_on_grid((value, low, high))
    assert shown.value is not None
    assert shown.low is not None
    assert shown.high is not None
    assert -1 <= shown.low <= min(shown.value, low + 1e-6)
    assert max(shown.value, high - 1e-6) <= shown.high <= 1
    assert abs(shown.value - value) <= max(0.0010001, (high - low) / 2 + 1e-9)
    assert shown.value * value >= 0
    assert change_on_grid((0.0, max(-1.0, -below), min(1.0, above))).value == 0
