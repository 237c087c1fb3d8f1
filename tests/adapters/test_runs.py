"""Runs as folders: found by name, held by one process, believed only as they were written."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relkit.adapters.results import ParquetResults
from relkit.adapters.runs import RunFolders
from relkit.core.errors import Busy, InvalidInput, UsageError
from relkit.datasets.types import Answer, Failure, FailureReason
from relkit.evaluation.run_files import render_journal_line
from relkit.evaluation.types import EvalReport, Outcome
from tests.builders import FULL_ANSWER, header, outcome, report, result_of

ROOT = Path(__file__).resolve().parents[2]
RUN = "20260131T120000Z-00000a"
ITEMS = [outcome("a", FULL_ANSWER), outcome("b", Answer(text="hi\u2028there\x85"))]


@pytest.fixture
def runs(tmp_path: Path) -> RunFolders:
    """Give the runs of an empty workspace."""
    return RunFolders(tmp_path / "runs", ParquetResults())


def finished(runs: RunFolders, run: str = RUN) -> EvalReport:
    """Make a run from beginning to end, and return its report."""
    said = report(run=run)
    with runs.create(header(run)) as held:
        for item in ITEMS:
            held.append(item)
        held.write_results([result_of(item) for item in ITEMS], ITEMS)
        held.finish(said, "2026-01-31T12:05:00Z")
    return said


def begun(runs: RunFolders, run: str = RUN) -> None:
    """Make a run that ended after its first answer."""
    with runs.create(header(run)) as held:
        held.append(ITEMS[0])


def test_a_run_gives_back_what_it_was_given(runs: RunFolders) -> None:
    """Header, report, predictions; and the journal is gone when it is finished."""
    said = finished(runs)
    found = runs.read_header(RUN)
    at, outputs = "2026-01-31T12:05:00Z", found.outputs
    assert found == header(status="finished", finished=at, outputs=outputs)
    assert set(outputs) == {"report.json", "results.parquet", "texts.parquet"}
    assert runs.read_report(RUN) == said
    assert runs.read_outcomes(RUN) == ITEMS
    names = sorted(path.name for path in runs.find(RUN).iterdir())
    assert names == [
        ".lock",
        "log.jsonl",
        "report.json",
        "results.parquet",
        "run.json",
        "texts.parquet",
    ]


def test_new_ids_sort_by_time_and_are_never_the_same(runs: RunFolders) -> None:
    """UTC time and six hex digits, as docs/cli.md has it."""
    ids = [runs.new_id("2026-01-31T12:00:00Z") for _ in range(50)]
    assert all(re.fullmatch(r"20260131T120000Z-[0-9a-f]{6}", item) for item in ids)
    assert len(set(ids)) == 50
    assert max(ids) < runs.new_id("2026-01-31T12:00:01Z")


def test_a_run_that_was_interrupted_goes_on(runs: RunFolders) -> None:
    """What was answered is there, what comes is added, and the header is the old one."""
    begun(runs)
    with runs.resume(RUN) as held:
        assert held.header == header()
        assert held.outcomes() == ITEMS[:1]
        held.append(ITEMS[1])
    with runs.resume(RUN) as held:
        assert held.outcomes() == ITEMS


def test_a_torn_last_answer_is_asked_again(runs: RunFolders) -> None:
    """The rest of the journal is believed."""
    begun(runs)
    journal = runs.find(RUN) / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"id":"b","repeat":0,"ans')
    with runs.resume(RUN) as held:
        assert held.outcomes() == ITEMS[:1]
        held.append(ITEMS[1])
        assert held.outcomes() == ITEMS


@pytest.mark.parametrize("line", [b"{}\n", b"\xff\n", b'{"id":"b"}\n', b"\0\0\n"])
def test_a_damaged_journal_is_refused_with_its_line(runs: RunFolders, line: bytes) -> None:
    """A whole line that is no outcome is damage, not a kill."""
    begun(runs)
    with (runs.find(RUN) / "journal.jsonl").open("ab") as file:
        file.write(line)
    with runs.resume(RUN) as held, pytest.raises(InvalidInput, match=r"^journal\.jsonl, line 2: "):
        held.outcomes()


def test_every_flipped_bit_of_a_journal_is_noticed(runs: RunFolders) -> None:
    """A line is refused with its number; a last line without its end is asked again."""
    begun(runs)
    journal = runs.find(RUN) / "journal.jsonl"
    good = journal.read_bytes()
    for bit in range(8 * len(good)):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        journal.write_bytes(changed)
        with runs.resume(RUN) as held:
            if bit // 8 == len(good) - 1:
                assert held.outcomes() == []
            else:
                with pytest.raises(InvalidInput, match=r"^journal\.jsonl, line 1: "):
                    held.outcomes()


def test_another_runs_answer_is_refused(runs: RunFolders) -> None:
    """A digest binds a line to its run."""
    begun(runs)
    other = RUN.replace("0a", "0b")
    begun(runs, other)
    line = (runs.find(other) / "journal.jsonl").read_bytes()
    with (runs.find(RUN) / "journal.jsonl").open("ab") as file:
        file.write(line)
    with runs.resume(RUN) as held, pytest.raises(InvalidInput, match="line 2: was changed, or is"):
        held.outcomes()


def test_an_older_journal_goes_on(runs: RunFolders) -> None:
    """Its lines have no digest; those that follow have, and none without comes after them."""
    begun(runs)
    journal = runs.find(RUN) / "journal.jsonl"
    plain = render_journal_line(ITEMS[0]) + "\n"
    journal.write_text(plain, encoding="utf-8")
    with runs.resume(RUN) as held:
        held.append(ITEMS[1])
        assert held.outcomes() == ITEMS
    with journal.open("a", encoding="utf-8") as file:
        file.write(plain)
    with runs.resume(RUN) as held, pytest.raises(InvalidInput, match="line 3: has no digest"):
        held.outcomes()


def test_a_finished_run_cannot_be_resumed(runs: RunFolders) -> None:
    """And nothing of it changes by trying."""
    said = finished(runs)
    with pytest.raises(InvalidInput) as caught, runs.resume(RUN):
        pytest.fail("a finished run was opened")
    assert caught.value.message == f"the run {RUN} is finished"
    assert caught.value.hint == f"read it: relkit report {RUN}"
    assert runs.read_report(RUN) == said


@pytest.mark.parametrize("read", [RunFolders.read_report, RunFolders.read_outcomes])
def test_an_unfinished_run_is_not_read(
    runs: RunFolders, read: Callable[[RunFolders, str], object]
) -> None:
    """Its numbers would be those of a part; the hint says how to finish it."""
    begun(runs)
    with pytest.raises(InvalidInput) as caught:
        read(runs, RUN)
    assert caught.value.message == f"the run {RUN} is not finished"
    assert caught.value.hint == f"finish it: relkit eval SUITE --resume {RUN}"


def test_tables_are_read_without_the_report(
    runs: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest is checked; parsing it is for those who want its numbers."""
    finished(runs)
    monkeypatch.setattr("relkit.adapters.runs.parse_report", None)
    assert runs.results(RUN) == runs.find(RUN) / "results.parquet"
    assert runs.read_outcomes(RUN) == ITEMS


def _edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace('"value": 0.25', '"value": 0.05'))


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("report.json", _edit, "was changed after the run"),
        ("report.json", _append, "was changed after the run"),
        ("report.json", Path.unlink, "no such file"),
        ("results.parquet", _append, "was changed after the run"),
        ("results.parquet", Path.unlink, "no such file"),
        ("texts.parquet", _append, "was changed after the run"),
        ("texts.parquet", Path.unlink, "no such file"),
    ],
)
def test_a_file_that_was_changed_after_the_run_is_refused(
    runs: RunFolders, name: str, change: Callable[[Path], object], message: str
) -> None:
    """By the digests in run.json: an edited report is no evidence, nor is an edited answer."""
    finished(runs)
    change(runs.find(RUN) / name)
    with pytest.raises(InvalidInput) as caught:
        runs.read_outcomes(RUN)
    assert caught.value.message == f"{RUN}/{name}: {message}"


def test_a_report_without_a_recorded_digest_is_refused(runs: RunFolders) -> None:
    """Taking the digest out of run.json does not make an edit good."""
    finished(runs)
    path = runs.find(RUN) / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["outputs"]["report.json"]
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InvalidInput, match="was changed after the run"):
        runs.read_report(RUN)


def test_a_damaged_run_file_is_refused_by_name(runs: RunFolders) -> None:
    """run.json is read as strictly as any file."""
    finished(runs)
    (runs.find(RUN) / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidInput, match=rf"^{RUN}/run\.json, line 1: not JSON"):
        runs.read_header(RUN)


def test_a_run_is_found_by_id_prefix_or_path(runs: RunFolders, tmp_path: Path) -> None:
    """A whole id wins over being the prefix of another one."""
    for run in ("20260131T120000Z-aa", "20260131T120000Z-aab", "20260201T120000Z-cc"):
        begun(runs, run)
    for given, name in (
        ("20260201", "20260201T120000Z-cc"),
        ("20260131T120000Z-aab", "20260131T120000Z-aab"),
        ("20260131T120000Z-aa", "20260131T120000Z-aa"),
        (str(tmp_path / "runs" / "20260201T120000Z-cc"), "20260201T120000Z-cc"),
    ):
        assert runs.find(given).name == name
        assert runs.find(given).is_absolute()


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("2026013", '"2026013" names more than one run', "newest: 20260131T120000Z-aa, 2026"),
        ("1999", '"1999" names no run', "newest: 20260131T120000Z-aa, 20260131T120000Z-ab"),
        ("", '"" names no run', "newest: "),
        ("*", '"*" names no run', "newest: "),
        ("../runs", '"../runs" names no run', "newest: "),
        ("a\0b\x1b", '"a\\x00b\\x1b" names no run', "newest: "),
    ],
)
def test_a_name_that_is_not_one_run_is_refused(
    runs: RunFolders, given: str, message: str, hint: str
) -> None:
    """With the newest ones it could have been."""
    for run in ("20260131T120000Z-aa", "20260131T120000Z-ab"):
        begun(runs, run)
    with pytest.raises(UsageError) as caught:
        runs.find(given)
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(hint)


def test_without_any_run_the_way_to_one_is_named(runs: RunFolders) -> None:
    """An empty workspace is no error of the user's."""
    with pytest.raises(UsageError) as caught:
        runs.find("2026")
    assert caught.value.hint == "newest: there is none yet: relkit eval SUITE"


def test_a_run_elsewhere_is_resumed_where_it_lies(runs: RunFolders, tmp_path: Path) -> None:
    """By its path, even where a run of that name stands in the workspace, too."""
    begun(runs)
    moved = tmp_path / "copies" / RUN
    shutil.copytree(runs.find(RUN), moved)
    with runs.resume(str(moved)) as held:
        held.append(ITEMS[1])
        assert held.outcomes() == ITEMS
    shutil.rmtree(tmp_path / "runs")
    with runs.resume(str(moved)) as held:
        assert held.outcomes() == ITEMS


def test_one_process_at_a_time(runs: RunFolders) -> None:
    """A run that is under way cannot be resumed beside itself."""
    in_use = pytest.raises(Busy, match=f"the run {RUN} is in use")
    with runs.create(header()), in_use, runs.resume(RUN):
        pytest.fail("held twice")
    with runs.resume(RUN):
        pass


def test_the_log_holds_facts_and_times(runs: RunFolders) -> None:
    """One JSON document a line."""
    begun(runs)
    with runs.resume(RUN) as held:
        held.log("2026-01-31T12:00:00Z", "resumed", done=1, share=0.5, name="x\u2028")
    lines = (runs.find(RUN) / "log.jsonl").read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0]) == {
        "at": "2026-01-31T12:00:00Z",
        "event": "resumed",
        "done": 1,
        "share": 0.5,
        "name": "x\u2028",
    }


KILLED = """
import os, signal, sys
from pathlib import Path

from relkit.adapters.runs import RunFolders
from relkit.datasets.types import Answer
from tests.builders import FULL_ANSWER, header, outcome, report

folder, moment, name, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
method = "unlink" if name == "journal.jsonl" else "replace"
seen = 0


class Tables:
    def write_results(self, path, results):
        path.write_bytes(b"results")

    def write_texts(self, path, results, outcomes):
        path.write_bytes(b"texts")


def dying(self, *arguments, **options):
    global seen
    target = arguments[0] if method == "replace" else self
    seen += target.name == name
    last = target.name == name and seen == count
    if last and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, *arguments, **options)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)


real = getattr(Path, method)
setattr(Path, method, dying)
items = [outcome("a", FULL_ANSWER), outcome("b", Answer(text="hi\\u2028there\\x85"))]
with RunFolders(folder, Tables()).create(header()) as run:
    for item in items:
        run.append(item)
    run.write_results([], items)
    run.finish(report(), "2026-01-31T12:05:00Z")
"""


@pytest.mark.parametrize(
    ("moment", "name", "count", "status"),
    [
        ("before", "texts.parquet", 1, "running"),
        ("after", "texts.parquet", 1, "running"),
        ("before", "results.parquet", 1, "running"),
        ("after", "results.parquet", 1, "running"),
        ("before", "report.json", 1, "running"),
        ("after", "report.json", 1, "running"),
        ("before", "run.json", 2, "running"),
        ("after", "run.json", 2, "finished"),
        ("before", "journal.jsonl", 1, "finished"),
        ("after", "journal.jsonl", 1, "finished"),
    ],
)
def test_a_kill_between_any_two_steps_of_finishing_loses_nothing(
    runs: RunFolders, moment: str, name: str, count: int, status: str
) -> None:
    """A real process kills itself there: the run is either whole, or resumed with every answer."""
    folder = runs._folder  # noqa: SLF001  # where the other process has to write
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), moment, name, str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    path = runs.find(RUN)
    assert runs.read_header(RUN).status == status
    if status == "finished":
        with pytest.raises(InvalidInput, match="is finished"), runs.resume(RUN):
            pytest.fail("a finished run was opened")
        assert not (path / "journal.jsonl").exists()
    else:
        with pytest.raises(InvalidInput, match="is not finished"):
            runs.read_report(RUN)
        with runs.resume(RUN) as held:
            left = [item.name for item in path.iterdir() if re.match(r"\..+\.", item.name)]
            assert left == []
            assert held.outcomes() == ITEMS
            held.write_results([result_of(item) for item in ITEMS], ITEMS)
            held.finish(report(), "2026-01-31T12:06:00Z")
        assert runs.read_outcomes(RUN) == ITEMS
    assert runs.read_report(RUN) == report()


def test_a_kill_before_the_first_file_leaves_no_run(runs: RunFolders) -> None:
    """A folder without run.json is not found, and the id can be used."""
    folder = runs._folder  # noqa: SLF001  # where the other process has to write
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), "before", "run.json", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.raises(UsageError, match="names no run"):
        runs.find(RUN)
    finished(runs)


def test_a_start_that_failed_leaves_no_run(runs: RunFolders, tmp_path: Path) -> None:
    """Without an answer there is nothing to go on with; with one the run stays."""
    failed = outcome("a", Failure(reason=FailureReason.CRASHED))

    def start(*answers: Outcome) -> None:
        with runs.create(header(RUN)) as held:
            held.log("2026-01-31T12:00:00Z", "started")
            for item in answers:
                held.append(item)
            raise KeyboardInterrupt

    for answers in ([], [failed]):
        with pytest.raises(KeyboardInterrupt):
            start(*answers)
        assert not list((tmp_path / "runs").iterdir())
    with pytest.raises(KeyboardInterrupt):
        start(ITEMS[0])
    with runs.resume(RUN) as held:
        assert held.outcomes() == ITEMS[:1]


def test_runs_of_one_second_are_ordered_by_their_files(runs: RunFolders, tmp_path: Path) -> None:
    """Ids made within a second differ by chance: the file that was written last is the newest."""
    for minute, run in enumerate(
        ["20260131T120000Z-f", "20260131T120000Z-a", "20260130T120000Z-z"]
    ):
        finished(runs, run)
        os.utime(tmp_path / "runs" / run / "run.json", (minute, minute))
    assert runs.newest_first() == ["20260131T120000Z-a", "20260131T120000Z-f", "20260130T120000Z-z"]
    assert runs.find("@latest").name == "20260131T120000Z-a"
    assert runs.find("@prev").name == "20260131T120000Z-f"


def test_a_damaged_run_is_listed_and_never_passed_over(runs: RunFolders, tmp_path: Path) -> None:
    """@latest must not mean an older run because the newest cannot be read."""
    finished(runs, "20260130T120000Z-a")
    begun(runs, "20260131T110000Z-b")
    finished(runs, "20260131T120000Z-c")
    (tmp_path / "runs" / "20260131T120000Z-c" / "run.json").write_text("{")
    entries = [(entry.run[-1], entry.status) for entry in runs.listed(suite=None, most=9)]
    assert entries == [("c", "unreadable"), ("b", "unfinished"), ("a", "finished")]
    assert len(runs.listed(suite=None, most=2)) == 2
    assert [entry.run[-1] for entry in runs.listed(suite=header().suite.name, most=9)] == ["b", "a"]
    with pytest.raises(InvalidInput, match=r"run\.json"):
        runs.find("@latest")
