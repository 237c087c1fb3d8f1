"""Drift through the command line, from files on disk to verdict, record and exit code.

The golden file is written again with: RELKIT_GOLDEN=1 pytest tests/e2e/test_drift.py
"""

import json
import os
from collections.abc import Callable

import pytest

import relkit
from relkit.core.codec import encode
from tests.conftest import ROOT, Said, Workspace
from tests.documented import assert_keys
from tests.drift_data import START, Row, turns, written

GOLDEN = ROOT / "tests" / "golden" / "drift.txt"
NOW = "2026-12-01T00:00:00Z"
POLICY = """\
schema: relkit.drift/v1
name: inputs
cluster: speaker
columns: [snr_db, length, language, empty]
"""
HOURS = 3

MADE: dict[tuple[str, int], tuple[str, str]] = {}
"""Policy and speakers to what making their profile printed, and the profile."""


class Watched:
    """A workspace with a policy, a profile of a quiet week, and turns to judge."""

    def __init__(self, workspace: Workspace, policy: str = POLICY, speakers: int = 900) -> None:
        """Freeze the reference."""
        self.workspace, self.folder = workspace, workspace.folder
        (self.folder / "gates" / "inputs.yaml").write_text(policy, encoding="utf-8")
        self.profile = self.folder / "week.json"
        if (policy, speakers) not in MADE:
            week = turns(9 * speakers, seed=1, speakers=speakers, hours=24, start=START - 7 * 86400)
            reference = written(self.folder / "week.jsonl", week)
            made = workspace.relkit(
                "drift", "profile", str(reference), "--to", str(self.profile),
                "--policy", "inputs", "--now", NOW,
            )  # fmt: skip
            assert made.code == 0, made.err
            MADE[policy, speakers] = made.out, self.profile.read_text(encoding="utf-8")
        self.made, text = MADE[policy, speakers]
        self.profile.write_text(text, encoding="utf-8")

    def judge(self, rows: list[Row], *options: str) -> Said:
        """Judge turns."""
        current = written(self.folder / "current.jsonl", rows)
        return self.workspace.relkit(
            "drift", "inputs", "--reference", str(self.profile), "--current", str(current),
            "--now", NOW, *options,
        )  # fmt: skip


def hours(change: Callable[[Row], object] = lambda _row: None, *, seed: int = 2) -> list[Row]:
    """Return three hours of turns of 150 speakers each, changed."""
    rows = []
    for hour in range(HOURS):
        rows += turns(700, seed=seed * 100 + hour, speakers=150, hours=1, start=START + hour * 3600)
    for row in rows:
        change(row)
    return rows


def noisier(row: Row) -> None:
    """Let it be 4 dB noisier, and a fifth of the callers speak Tamil."""
    row["snr_db"] -= 4
    if row["speaker"].endswith(("1", "2")):
        row["language"] = "ta"


def test_the_same_traffic_is_quiet(workspace: Workspace) -> None:
    """Exit 0, a record, and a check of the policy's name that a gate can require."""
    said = Watched(workspace).judge(hours(), "--json")
    assert (said.code, said.document["verdict"]) == (0, "quiet"), said.document["reasons"]
    assert [window["status"] for window in said.document["windows"]] == ["quiet"] * HOURS
    assert_keys("drift", "columns[]", said.document["columns"][0])
    assert_keys("drift", "windows[]", said.document["windows"][0])
    check = json.loads((workspace.folder / ".relkit/checks/inputs.json").read_text())
    assert check["verdict"] == "pass"


def test_drift_reads_like_this(workspace: Workspace) -> None:
    """Held as a golden file, at most 80 columns wide, exit 1."""
    watched = Watched(workspace)
    said = watched.judge(hours(noisier))
    assert said.code == 1
    text = f"{watched.made}---\n{said.out}"
    assert max(map(len, text.splitlines())) <= 80
    if os.environ.get("RELKIT_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
    page = (ROOT / "docs" / "drift.md").read_text(encoding="utf-8")
    assert said.out.partition("\n\n3 windows")[0] in page


def test_in_shadow_drift_stops_nothing(workspace: Workspace) -> None:
    """Exit 0 with the real verdict, and its check never promotes."""
    said = Watched(workspace, POLICY + "enforcement: shadow\n").judge(hours(noisier), "--json")
    assert (said.code, said.document["verdict"]) == (0, "drifted")
    check = json.loads((workspace.folder / ".relkit/checks/inputs.json").read_text())
    assert check["verdict"] == "inconclusive"


def renamed(row: Row) -> None:
    """Misspell a column."""
    row["snr"] = row.pop("snr_db")


def spoken(row: Row) -> None:
    """Write a number as a word."""
    row["snr_db"] = "loud"


@pytest.mark.parametrize(
    ("change", "code", "verdict", "word"),
    [
        (renamed, 1, "drifted", "missing_column:snr_db"),
        (spoken, 1, "drifted", "type_change:snr_db"),
        (lambda row: row.update(snr_db=row["snr_db"] * 1000), 1, "drifted", "unit_suspicion"),
        (lambda row: row.update(snr_db=row["snr_db"] / 60), 1, "drifted", "unit_suspicion"),
        (lambda row: row.update(language="en"), 1, "drifted", "constant:language"),
        (lambda row: row.update(snr_db=None), 1, "drifted", "missing_column:snr_db"),
        (lambda row: row.update(speaker="one"), 4, "no_data", "1 cluster, 5 needed"),
        (lambda row: row.update(ts=row["ts"][:-1]), 4, "no_data", "there is no turn"),
        (lambda row: row.update(ts="2027-01-01T00:00:00Z"), 4, "no_data", "there is no turn"),
    ],
)
def test_bad_input_is_never_quiet(
    workspace: Workspace, change: Callable[[Row], object], code: int, verdict: str, word: str
) -> None:
    """A misspelt column, another type or unit, a constant, nulls, one speaker, naive times."""
    said = Watched(workspace, speakers=900).judge(hours(change), "--json")
    document = said.document
    assert (said.code, document["verdict"]) == (code, verdict), document["reasons"]
    assert word in " ".join([*document["reasons"], *document["schema"]])


def test_a_part_of_naive_times_is_no_verdict(workspace: Workspace) -> None:
    """Over 1 % of the rows without an offset: they may be the drifted ones."""
    rows = hours()
    for row in rows[::50]:
        row["ts"] = row["ts"][:-1]
    said = Watched(workspace).judge(rows, "--json")
    assert (said.code, said.document["verdict"]) == (4, "no_data")
    assert "without an offset" in said.document["reasons"][0]


def test_an_empty_file_is_no_verdict(workspace: Workspace) -> None:
    """No turn, no column, no cluster: no data, and no drift."""
    said = Watched(workspace).judge([], "--json")
    assert (said.code, said.document["verdict"], said.document["schema"]) == (4, "no_data", [])


def test_too_small_a_reference_is_no_verdict(workspace: Workspace) -> None:
    """It needs five times the speakers of a window, and the reason says so."""
    said = Watched(workspace, speakers=300).judge(hours(), "--json")
    assert (said.code, said.document["verdict"]) == (4, "no_data")
    assert "the reference has 300 clusters" in said.document["reasons"][0]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("inptus",), 'no policy "inptus"', 'did you mean "inputs"?'),
        (("inputs", "--window", "soon"), "--window: a duration", None),
        (("inputs", "--reference", "nope.json"), "nope.json", "relkit drift profile"),
        (("inputs", "--current", "nope"), "no telemetry at nope", None),
        (("inputs", "--now", "today"), "--now: a UTC time", None),
    ],
)
def test_what_cannot_be_judged_is_refused(
    workspace: Workspace, arguments: tuple[str, ...], message: str, hint: str | None
) -> None:
    """Exit 2 with one clear message, and no record."""
    watched = Watched(workspace)
    current = written(watched.folder / "c.jsonl", hours())
    options = {"--reference": str(watched.profile), "--current": str(current)}
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    flat = [word for pair in (options | given).items() for word in pair]
    said = workspace.relkit("drift", arguments[0], *flat, "--json")
    error = said.document["error"]
    assert said.code == 2
    assert message in error["message"]
    assert hint is None or hint in (error["hint"] or "")
    assert not (workspace.folder / ".relkit/checks").exists()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (POLICY.replace("snr_db", "snr"), 'no column "snr"'),
        (POLICY.replace("snr_db", "failed"), None),
        (POLICY.replace("cluster: speaker\n", ""), "clustered by speaker, the policy by session"),
        (POLICY + "season: hour_of_day\n", "its season is none"),
        (POLICY + "labels: {column: session}\n", 'no column "session"'),
        (POLICY.replace(", empty", "") + "labels: {column: empty}\n", "not as labels"),
    ],
)
def test_a_profile_of_another_policy_is_refused(
    workspace: Workspace, policy: str, message: str | None
) -> None:
    """Another cluster, season or column than what was frozen: exit 2, with the way out."""
    watched = Watched(workspace)
    (watched.folder / "gates" / "inputs.yaml").write_text(policy, encoding="utf-8")
    said = watched.judge(hours(), "--json")
    assert said.code == 2
    error = said.document["error"]
    assert (message or '"failed" is not frozen in it') in error["message"]
    assert error["hint"]


def test_from_python_it_is_the_same(workspace: Workspace) -> None:
    """``relkit.drift`` gives the report of ``--json``, and writes nothing."""
    watched = Watched(workspace)
    current = written(watched.folder / "current.jsonl", hours(noisier))
    report = relkit.drift(
        "inputs", reference=watched.profile, current=current, now=NOW, workspace=watched.folder
    )
    assert not (watched.folder / ".relkit" / "findings").exists()
    assert encode(report) == watched.judge(hours(noisier), "--json").document


def test_labels_and_seasons_work_together(workspace: Workspace) -> None:
    """Labels are judged among labelled turns; an hour of the day is compared with itself."""
    policy = POLICY.replace(", empty", "") + "season: hour_of_day\nlabels: {column: empty}\n"
    watched = Watched(workspace, policy)
    document = json.loads(watched.profile.read_text())
    assert len(document["columns"][0]["totals"]) == 24
    said = watched.judge(hours(), "--json")
    assert said.code == 4
    assert "at that hour" in said.document["reasons"][0]


def test_a_profile_without_policy_holds_every_column(workspace: Workspace) -> None:
    """All that can be frozen, by session; identifiers are passed over."""
    rows = turns(600, seed=1, speakers=60)
    for row in rows:
        row["caller_no"] = 31_000_000 + len(row["speaker"])
    path = written(workspace.folder / "w.jsonl", rows)
    said = workspace.relkit(
        "drift", "profile", str(path), "--to", str(workspace.folder / "p.json"), "--json"
    )
    assert said.code == 0
    assert said.document["cluster"] == "session"
    names = [column["column"] for column in said.document["columns"]]
    assert names == ["empty", "failed", "language", "length", "ok", "snr_db"]
    text = (workspace.folder / "p.json").read_text(encoding="utf-8")
    assert "person" not in text
    assert "3100000" not in text


def test_an_empty_reference_is_no_data(workspace: Workspace) -> None:
    """Nothing is frozen from nothing, and no file is written."""
    path = written(workspace.folder / "w.jsonl", [])
    said = workspace.relkit("drift", "profile", str(path), "--to", str(workspace.folder / "p.json"))
    assert said.code == 4
    assert not (workspace.folder / "p.json").exists()
