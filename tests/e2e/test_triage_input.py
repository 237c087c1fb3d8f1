"""What ``relkit triage`` makes of bad input: one message, its exit code, and never a traceback."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Said, Workspace

START = datetime.fromisoformat("2026-03-02T00:00:00+00:00")
NOW = "2026-03-08T00:00:00Z"
Row = dict[str, Any]


def turns(*, days: int = 6, an_hour: int = 12, rate: float = 0.05) -> Iterator[Row]:
    """Yield turns of so many days, some of which fail."""
    rng = np.random.default_rng(3)
    for i in range(days * 24 * an_hour):
        at = START + timedelta(hours=i / an_hour)
        yield {
            "ts": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "session": f"s{i // 3}",
            "turn_id": f"t{i}",
            "ok": bool(rng.random() > rate),
            "release_llm": "1.0" if at.day < 7 else "1.1",
            "region": str(rng.choice(["eu", "us"])),
            "latency_ms": round(300 + 200 * float(rng.random()), 1),
        }


def last_day(row: Row) -> bool:
    """Return whether a turn is of the last day."""
    return str(row["ts"]) >= "2026-03-07T00:00:00Z"


@pytest.fixture
def triage(workspace: Workspace) -> Callable[..., Said]:
    """Write turns and run triage over them."""

    def run(rows: list[Row], *options: str, now: str = NOW) -> Said:
        path = workspace.folder / "turns.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return workspace.relkit("triage", "--telemetry", str(path), "--now", now, *options)

    return run


def refused(said: Said, code: int, *words: str) -> None:
    """Check for one message with its exit code, and no traceback."""
    assert said.code == code, said
    assert "Traceback" not in said.err
    assert said.out == ""
    flat = " ".join(said.err.split())
    assert all(word in flat for word in words), said.err


def test_days_to_compare_with_have_to_be_there(triage: Callable[..., Said]) -> None:
    """Three days before what is searched, or no verdict."""
    rows = [row for row in turns() if str(row["ts"]) >= "2026-03-05"]
    refused(triage(rows), 4, "nothing to compare with", "3 days are needed")


def test_three_days_whose_first_turn_is_not_at_midnight_are_enough(
    triage: Callable[..., Said],
) -> None:
    """The first hour counts from its beginning: no "3 days, and 3 days are needed"."""
    rows = [row for row in turns() if str(row["ts"]) >= "2026-03-03T00:05"]
    assert triage(rows).code in {0, 3}


def test_words_instead_of_true_and_false_are_no_quiet_week(triage: Callable[..., Said]) -> None:
    """Where no turn is known to have gone well it cannot be said that nothing rose."""
    said = triage([{**row, "ok": "maybe"} for row in turns()], "--json")
    assert said.code == 4, said
    assert said.document["verdict"] == "no_data"


@pytest.mark.parametrize("column", ["region", "release_llm"])
def test_a_column_that_is_empty_is_not_cut_by(triage: Callable[..., Said], column: str) -> None:
    """A place or a release that no turn names is no defect."""
    assert triage([{**row, column: None} for row in turns()]).code in {0, 3}


def test_times_without_an_offset_are_no_times(triage: Callable[..., Said]) -> None:
    """It says how to say that they are in UTC."""
    rows = [{**row, "ts": str(row["ts"]).removesuffix("Z")} for row in turns()]
    refused(triage(rows), 4, "have no offset", "--map ts=COLUMN:UTC")
    assert triage(rows, "--map", "ts=ts:UTC").code in {0, 3}


def test_turns_of_the_future_do_not_count(triage: Callable[..., Said]) -> None:
    """All of them: no data; some of them: counted as left out."""
    refused(triage(list(turns()), now="2026-01-01T00:00:00Z"), 4, "are after 2026-01-01T00:00:00Z")
    rows = [*turns(), {**next(turns()), "turn_id": "later", "ts": "2027-01-01T00:00:00Z"}]
    assert triage(rows, "--json").document["read"]["future"] == 1


def test_turns_that_were_sent_twice_are_counted_once(triage: Callable[..., Said]) -> None:
    """A client that sends the last day twice is no surge."""
    rows = [*turns(), *(row for row in turns() if last_day(row))]
    report = triage(rows, "--json").document
    assert report["read"]["duplicates"] == 288
    assert report["verdict"] == "nothing"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--since", "2026-03-09T00:00:00Z"), ("--since is not before",)),
        (
            ("--since", "2026-03-07T00:00:00Z", "--until", "2026-03-06T00:00:00Z"),
            ("--since is not before --until",),
        ),
        (("--until", "2026-03-01T00:00:00Z"), ("--until is before the first turn",)),
        (("--since", "yesterday"), ("--since:", "UTC")),
        (("assistant-asrr",), ('no model "assistant-asrr"',)),
    ],
    ids=["since after the end", "since after until", "until too early", "no time", "no model"],
)
def test_a_span_or_model_that_cannot_be_is_refused(
    triage: Callable[..., Said], options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """A usage error that names the option."""
    refused(triage(list(turns()), *options), 2, *words)


POLICY = "schema: relkit.triage/v1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("window: 45m\n", ("line 2", "window: 45m")),
        ("recent: 30m\n", ("line 2", "recent:")),
        ("reference: 2h\n", ("line 2", "reference:")),
        ("slices: [caller]\n", ("line 2", "names persons")),
        ("slices: [regio]\n", ('no column "regio"',)),
        ("signals: [{name: failed, column: ok}]\n", ("line 2", "there already")),
        ("signals: [{name: x, column: ok, above: 0.9, over: 1}]\n", ("exclude each other",)),
        ("signals: [{name: x, column: ok, above: 95}]\n", ("no quantile",)),
        ("signals: [{name: x, column: latenci_ms}]\n", ("latency_ms",)),
        ("signals: [{name: x, column: latency_ms}]\n", ("is a number",)),
        ("signals: [{name: x, column: ok, bad: false, components: [lm]}]\n", ('component "lm"',)),
        ("signal: []\n", ("signals",)),
    ],
)
def test_a_policy_that_cannot_be_is_refused(
    triage: Callable[..., Said], tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    """Each defect with its place and what to do."""
    path = tmp_path / "triage.yaml"
    path.write_text(POLICY + text, encoding="utf-8")
    refused(triage(list(turns(days=5)), "--policy", str(path)), 2, *words)


def test_a_signal_of_ones_own_is_searched(triage: Callable[..., Said], tmp_path: Path) -> None:
    """A name, a column and what is bad are all it takes."""
    path = tmp_path / "triage.yaml"
    path.write_text(
        f"{POLICY}signals: [{{name: echo, column: echo_db, over: 10, components: [llm]}}]\n",
        encoding="utf-8",
    )
    rows = [
        {**row, "echo_db": 20 if i % (2 if last_day(row) else 20) == 0 else 1}
        for i, row in enumerate(turns())
    ]
    report = triage(rows, "--policy", str(path), "--json").document
    assert report["metric"] == "echo"
    assert report["verdict"] in {"release", "undetermined"}


def test_events_elsewhere_that_are_none_are_refused(
    triage: Callable[..., Said], tmp_path: Path
) -> None:
    """File and line are named."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"at": "2026-03-07T00:00:00Z", "kind": "sunspots", "name": "x"}\n')
    refused(triage(list(turns(days=5)), "--events", str(path)), 2, "events.jsonl, line 1", "kind")


def test_a_column_that_changes_its_unit_half_way_is_measurement(
    triage: Callable[..., Said],
) -> None:
    """Milliseconds become microseconds: no release is slow."""
    rows = [
        {**row, "latency_ms": float(row["latency_ms"]) * (1000 if last_day(row) else 1)}
        for row in turns(an_hour=60)
    ]
    said = triage(rows, "--json")
    assert said.code == 3, said
    assert said.document["cause"] == "measurement"


def test_a_column_that_changes_its_type_half_way_is_measurement(
    workspace: Workspace,
) -> None:
    """Numbers become words in the file of the last day."""
    rows = list(turns(an_hour=60))
    folder = workspace.folder / "turns"
    folder.mkdir()
    for name, part in (
        ("a.jsonl", [row for row in rows if not last_day(row)]),
        ("b.jsonl", [{**row, "latency_ms": "fast"} for row in rows if last_day(row)]),
    ):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / name).write_text(text, encoding="utf-8")
    said = workspace.relkit("triage", "--telemetry", str(folder), "--now", NOW, "--json")
    assert said.code == 3, said
    assert said.document["cause"] == "measurement"


def test_versions_and_values_cannot_steer_a_terminal(triage: Callable[..., Said]) -> None:
    """Escapes, line breaks and commands of runners come out as text."""
    evil = "\x1b[31m2.0\n::error::x$(id)`id`"
    rows = [
        {
            **row,
            "ok": bool(row["ok"]) and not (last_day(row) and i % 2),
            "release_llm": evil if last_day(row) and i % 2 else "1.0",
            "region": "\x1b]0;owned\x07|=cmd",
        }
        for i, row in enumerate(turns(an_hour=40))
    ]
    said = triage(rows)
    assert said.code == 1, said
    assert "\x1b" not in said.out
    assert "\x07" not in said.out
    assert not any(line.startswith("::") for line in said.out.splitlines())
    assert max(map(len, said.out.splitlines())) <= 80
    report = triage(rows, "--json").document
    assert report["first_bad"] == evil
