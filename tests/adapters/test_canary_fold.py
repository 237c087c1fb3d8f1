"""Turns become histograms of units, and the evidence is that of the turns however they come."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from relkit.canary.run import CanaryPorts, MergeOptions, merge_states
from relkit.canary.types import CanaryCheck, JudgedCanary
from relkit.core.errors import InvalidInput
from tests.canary_data import (
    NOW,
    POLICY,
    Row,
    look_at,
    minutes,
    ports_in,
    turns,
    write_turns,
)

REFERENCE = turns(700, seed=9, share=0.0, began="2026-02-28T12:00:00Z")
TURNS = [
    row | {"cost": 0.002 * (1 + i % 7), "success": i % 3 > 0}
    for i, row in enumerate(turns(260, seed=3, fail=(0.03, 0.12)))
]
RICH = POLICY.replace(
    "limits:",
    """\
  - {id: cost, mean: cost, per: success, detectable: 20%, mode: watch}
  - {id: length, mean: turns, per: session, detectable: 50%, mode: watch}
limits:""",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the reference in it."""
    path = tmp_path_factory.mktemp("canary")
    write_turns(path / "reference.parquet", REFERENCE)
    return path


@pytest.fixture(scope="module")
def ports(folder: Path) -> CanaryPorts:
    """Give the ports of a workspace."""
    return ports_in(folder / "ws", RICH)


@pytest.fixture(scope="module")
def whole(folder: Path, ports: CanaryPorts) -> JudgedCanary:
    """Give what one look at all turns comes to."""
    path = write_turns(folder / "all.parquet", TURNS)
    return look_at(ports, path, reference=(str(folder / "reference.parquet"),))


def quickly(examples: int) -> settings:
    """Return settings for a law that takes a second an example: nothing is shrunk."""
    checks = list(HealthCheck)
    return settings(
        max_examples=examples, deadline=None, phases=[Phase.generate], suppress_health_check=checks
    )


def overall(judged: JudgedCanary, trigger: str) -> CanaryCheck:
    """Return the overall check of a trigger."""
    return next(c for c in judged.report.checks if (c.trigger, c.slice) == (trigger, "overall"))


def same(judged: JudgedCanary, whole: JudgedCanary) -> None:
    """Assert that two looks saw the same, every trigger to 1e-9."""
    expected = {(c.trigger, c.slice): c for c in whole.report.checks}
    assert {(c.trigger, c.slice) for c in judged.report.checks} == set(expected)
    for check in judged.report.checks:
        other = expected[check.trigger, check.slice]
        assert (check.control, check.canary) == (other.control, other.canary)
        assert math.isclose(check.evidence, other.evidence, rel_tol=1e-9)
    assert math.isclose(judged.report.evidence, whole.report.evidence, rel_tol=1e-9)
    assert judged.report.verdict == whole.report.verdict


def test_units_turns_and_events_are_those_of_the_turns(whole: JudgedCanary) -> None:
    """The histogram counts each session and turn once, and what went wrong in it."""
    check = overall(whole, "failures")
    for arm, figures in (("control", check.control), ("canary", check.canary)):
        rows = [row for row in TURNS if row["arm"] == arm]
        assert figures.turns == len(rows)
        assert figures.units == len({row["session"] for row in rows})
        assert figures.events == sum(not row["ok"] for row in rows)
    sliced = [c for c in whole.report.checks if c.trigger == "failures" and c.slice != "overall"]
    assert {c.slice for c in sliced} == {"language=de", "language=en", "language=fr"}
    assert sum(c.canary.events for c in sliced) == check.canary.events
    tail = next(
        c for c in whole.report.checks if (c.trigger, c.slice) == ("latency.p95", "overall")
    )
    silent = sum(row["latency_ms"] is None for row in TURNS if row["arm"] == "canary")
    assert tail.canary.events > silent > 0


@quickly(8)
@given(data=st.data())
def test_any_split_into_files_and_looks_gives_the_same_evidence(
    folder: Path, whole: JudgedCanary, data: st.DataObject
) -> None:
    """Turns out of order within ``lateness``, in several files a look, over several looks."""
    run = Path(tempfile.mkdtemp(dir=folder))
    ports = ports_in(run, RICH)
    late = [data.draw(st.floats(0, 9)) for _ in range(40)]
    arrived = sorted(range(len(TURNS)), key=lambda i: TURNS[i]["ts"] + minutes(late[i % len(late)]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(TURNS)), min_size=1, max_size=3)))
    judged = whole
    for k, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(TURNS)], strict=True)):
        rows = [TURNS[i] for i in arrived[start:end]]
        parts = data.draw(st.integers(1, 2))
        paths = [
            write_turns(run / f"look{k}-{part}.parquet", rows[part::parts])
            for part in range(parts)
            if rows[part::parts]
        ]
        if paths:
            judged = look_at(
                ports,
                *paths,
                state=run / "state.json",
                reference=(str(folder / "reference.parquet"),),
            )
    same(judged, whole)
    assert judged.report.lost == whole.report.lost


@quickly(3)
@given(data=st.data())
def test_shards_joined_give_the_same_evidence(
    folder: Path, whole: JudgedCanary, data: st.DataObject
) -> None:
    """Each session is seen by one shard; a session that may go on is joined, too."""
    run = Path(tempfile.mkdtemp(dir=folder))
    ports = ports_in(run, RICH)
    shard = {row["session"]: data.draw(st.integers(0, 1)) for row in TURNS}
    states = []
    for k in (0, 1):
        rows = [row for row in TURNS if shard[row["session"]] == k]
        state = run / f"shard{k}.json"
        path = write_turns(run / f"shard{k}.parquet", rows or TURNS[:0])
        look_at(ports, path, state=state, reference=(str(folder / "reference.parquet"),))
        states.append(state)
    merged = merge_states(
        MergeOptions(policy="rollout", states=tuple(states), state=run / "all.json", now=NOW),
        ports,
    )
    same(merged, whole)


def test_a_file_read_twice_changes_only_the_duplicates(folder: Path, whole: JudgedCanary) -> None:
    """The same bytes, under the same name or another, are counted and not used."""
    run = folder / "twice"
    ports = ports_in(run, RICH)
    path, again = (write_turns(run / f"{name}.parquet", TURNS) for name in "ab")
    options = {"state": run / "s.json", "reference": (str(folder / "reference.parquet"),)}
    look_at(ports, path, **options)
    judged = look_at(ports, again, **options)
    same(judged, whole)
    assert judged.report.lost == replace(whole.report.lost, duplicate=len(TURNS))


def test_the_same_turns_in_another_file_are_duplicates(folder: Path, whole: JudgedCanary) -> None:
    """Turns of the last ``lateness`` are known by their ids, those before as late."""
    run = folder / "newest"
    ports = ports_in(run, RICH)
    newest = max(row["ts"] for row in TURNS)
    tail = [row for row in TURNS if row["ts"] > newest - minutes(9)]
    options = {"state": run / "s.json", "reference": (str(folder / "reference.parquet"),)}
    look_at(ports, write_turns(run / "a.parquet", TURNS), **options)
    judged = look_at(ports, write_turns(run / "b.parquet", tail), **options)
    same(judged, whole)
    assert judged.report.lost == replace(whole.report.lost, duplicate=len(tail))


def first_turns(folder: Path, looks: Sequence[Sequence[Row]], **options: object) -> JudgedCanary:
    """Judge looks without a reference."""
    ports = ports_in(folder, RICH.replace("limits:", "reference: {min_turns: 300}\nlimits:"))
    judged = None
    for k, rows in enumerate(looks):
        path = write_turns(folder / f"{k}.parquet", rows)
        judged = look_at(ports, path, **options)
    assert judged is not None
    return judged


def test_without_a_reference_the_first_turns_give_the_thresholds(folder: Path) -> None:
    """Both arms together, blind to the arm; these turns are not bet on, and it is said."""
    alone = first_turns(folder / "first1", [TURNS])
    assert alone.report.thresholds == "first_turns"
    assert "first 300 turns of both arms" in " ".join(alone.report.notes)
    tail = next(
        c for c in alone.report.checks if (c.trigger, c.slice) == ("latency.p95", "overall")
    )
    assert tail.control.turns + tail.canary.turns <= len(TURNS) - 300
    looks = [TURNS[:120], TURNS[120:500], TURNS[500:]]
    split = first_turns(folder / "first2", looks, state=folder / "first2" / "s.json")
    same(split, alone)


def test_late_turns_are_counted_and_not_used(folder: Path) -> None:
    """A turn more than ``lateness`` behind the newest of the look before comes too late."""
    run = folder / "late"
    ports = ports_in(run, RICH)
    old = TURNS[:50]
    options = {"state": run / "s.json", "reference": (str(folder / "reference.parquet"),)}
    look_at(ports, write_turns(run / "a.parquet", TURNS[50:]), **options)
    judged = look_at(ports, write_turns(run / "b.parquet", old), **options)
    assert judged.report.lost.late == 50
    assert judged.report.lost.used == len(TURNS) - 50
    assert "missing_data" in judged.report.reason_codes or judged.report.verdict == "roll_back"


def test_another_key_does_not_open_a_state(folder: Path, tmp_path: Path) -> None:
    """Ids are kept as bytes that only the key opens."""
    run = folder / "keys"
    path = write_turns(run.parent / "keys.parquet", TURNS)
    ports = ports_in(run, RICH)
    look_at(ports, path, state=run / "s.json")
    state = (run / "s.json").read_text()
    assert not any(row["session"] in state for row in TURNS[-20:])
    other = ports_in(tmp_path, RICH)
    with pytest.raises(InvalidInput, match="another telemetry key"):
        look_at(other, path, state=run / "s.json")
