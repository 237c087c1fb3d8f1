"""``relkit bisect`` with real commands, a real ledger and stored reports."""

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from relkit.core.digests import sha256_bytes
from relkit.registry.types import EventKind, ReleaseEvent
from relkit.wiring.stores import ledger_files, open_workspace, release_files
from tests.conftest import Said, Workspace
from tests.release_data import DIGEST, event, release

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
VERSIONS = tuple(f"1.{i}.0" for i in range(9))
CHECK = """\
import json, os, signal, sys, time
version = os.environ["RELKIT_VERSION"]
with open("asked.txt", "a") as diary:
    diary.write(version + "\\n")
assert json.load(open(os.environ["RELKIT_RELEASE"]))["version"] == version
assert os.environ["RELKIT_MODEL"] == "asr" and sys.stdin.read() == ""
print("looking at", version, flush=True)
say = json.load(open("script.json")).get(version, 0)
if say == "hang":
    open("hanging.txt", "w").write(str(os.getpid()))
    time.sleep(60)
if say == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("hanging.txt", "w").write(str(os.getpid()))
    time.sleep(60)
if say == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(say)
"""


def write(workspace: Workspace, reports: Mapping[str, bytes] | None = None) -> None:
    """Register nine releases; 1.0.0, 1.3.0 and 1.8.0 are promoted, the last one is live."""
    found = open_workspace(workspace.folder)
    releases, ledger = release_files(found), ledger_files(found)
    events: list[ReleaseEvent] = []
    for version in VERSIONS:
        data = (reports or {}).get(version)
        one = release(version, report=None if data is None else sha256_bytes(data))
        releases.write(one)
        if data is not None:
            releases.keep("asr", version, "report.json", data)
        events.append(event(EventKind.REGISTERED, version, release=one.digest))
    events += [
        event(EventKind.PROMOTED, version, traffic=1.0, decision=DIGEST)
        for version in ("1.0.0", "1.3.0", "1.8.0")
    ]
    for number, one_event in enumerate(events):
        ledger.append(one_event, expected=number)


def script(workspace: Workspace, says: Mapping[str, object], *, bad_from: str = "1.5.0") -> str:
    """Write the command's script and return its command line: 1 from ``bad_from`` on."""
    told = {version: int(version >= bad_from) for version in VERSIONS}
    (workspace.folder / "script.json").write_text(json.dumps({**told, **says}), encoding="utf-8")
    (workspace.folder / "check it.py").write_text(CHECK, encoding="utf-8")
    return shlex.join([sys.executable, "check it.py"])


def asked(workspace: Workspace) -> list[str]:
    """Return the versions that the command was run for, in order."""
    path = workspace.folder / "asked.txt"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def bisect(workspace: Workspace, *arguments: str) -> Said:
    """Run ``relkit bisect asr … --json``."""
    return workspace.relkit("bisect", "asr", *arguments, "--json")


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    """Give a workspace with nine releases."""
    write(workspace)
    return workspace


def test_a_command_finds_the_first_bad_release(ready: Workspace) -> None:
    """Named bounds are believed; two releases are tested of the three between them."""
    told = bisect(ready, "--good", "1.3.0", "--bad", "1.7.0", "--run", script(ready, {}))
    assert told.code == 0, told
    assert told.document["first_bad"] == "1.5.0"
    assert told.document["candidates"] == ["1.5.0"]
    assert told.document["steps"] == 2
    assert asked(ready) == ["1.5.0", "1.4.0"]


def test_bounds_that_nobody_named_are_tested(ready: Workspace) -> None:
    """Good is the newest before that passed and held traffic, bad what is live: both are asked."""
    told = bisect(ready, "--run", script(ready, {}))
    assert told.code == 0, told
    assert (told.document["good"], told.document["bad"]) == ("1.3.0", "1.8.0")
    assert asked(ready)[:2] == ["1.8.0", "1.3.0"]
    assert told.document["first_bad"] == "1.5.0"
    assert told.document["steps"] == len(asked(ready))


def test_after_a_rollback_the_release_it_left_is_the_bad_one(ready: Workspace) -> None:
    """What is live then is the good one."""
    back = event(EventKind.ROLLED_BACK, "1.3.0", traffic=1.0, bad=("1.8.0",))
    ledger_files(open_workspace(ready.folder)).append(back, expected=12)
    told = bisect(ready, "--run", script(ready, {}))
    assert (told.document["good"], told.document["bad"]) == ("1.3.0", "1.8.0")
    assert told.document["first_bad"] == "1.5.0"


def test_a_live_release_that_is_good_is_no_bad_release(ready: Workspace) -> None:
    """Nothing bad is found, and nothing is named."""
    told = bisect(ready, "--run", script(ready, {}, bad_from="9"))
    assert told.code == 1
    assert (told.document["status"], told.document["first_bad"]) == ("no_bad", None)
    assert told.document["candidates"] == []
    assert asked(ready) == ["1.8.0"]


def test_a_good_end_that_is_bad_is_told(ready: Workspace) -> None:
    """An older good release is needed."""
    told = bisect(ready, "--run", script(ready, {}, bad_from="1.0.0"))
    assert (told.code, told.document["status"]) == (1, "no_good")
    assert told.document["candidates"] == []


def test_bounds_that_contradict_the_command_are_told(ready: Workspace) -> None:
    """With --check-bounds a named end is asked for, too."""
    command = script(ready, {}, bad_from="1.2.0")
    told = bisect(ready, "--good", "1.3.0", "--bad", "1.6.0", "--check-bounds", "--run", command)
    assert (told.code, told.document["status"]) == (1, "no_good")


def test_skipped_releases_at_the_boundary_are_a_set(ready: Workspace) -> None:
    """Exit 3, all that it may be, and no guess."""
    command = script(ready, {"1.4.0": 125, "1.5.0": 125})
    told = bisect(ready, "--good", "1.3.0", "--bad", "1.8.0", "--run", command)
    assert told.code == 3
    assert told.document["first_bad"] is None
    assert told.document["candidates"] == ["1.4.0", "1.5.0", "1.6.0"]
    assert [one["version"] for one in told.document["skipped"]] == ["1.4.0", "1.5.0"]


@pytest.mark.parametrize("say", [128, 130, 255, "killed"])
def test_what_is_no_verdict_aborts(ready: Workspace, say: object) -> None:
    """From exit code 128 on, and killed by a signal: nothing follows, exit 2."""
    told = bisect(
        ready, "--good", "1.3.0", "--bad", "1.7.0", "--run", script(ready, {"1.5.0": say})
    )
    assert told.code == 2
    assert told.document["error"]["code"] == "aborted"
    assert "1.5.0" in told.document["error"]["message"]
    assert asked(ready) == ["1.5.0"]


def test_a_missing_program_is_not_a_bad_release(ready: Workspace) -> None:
    """127 at the good release, too: git's rule since 2.36."""
    told = bisect(ready, "--good", "1.3.0", "--bad", "1.7.0", "--run", "sh -c no-such-program-here")
    assert told.code == 2
    assert "cannot be run" in told.document["error"]["message"]
    direct = bisect(ready, "--good", "1.3.0", "--bad", "1.7.0", "--run", "no-such-program-here")
    assert direct.code == 2
    assert "cannot be started" in direct.document["error"]["message"]


def test_127_is_bad_where_the_good_release_runs(ready: Workspace) -> None:
    """A release may be bad because its program is gone."""
    command = script(ready, {"1.5.0": 127, "1.4.0": 126})
    told = bisect(ready, "--good", "1.3.0", "--bad", "1.7.0", "--run", command)
    assert (told.code, told.document["first_bad"]) == (0, "1.4.0")
    assert asked(ready) == ["1.5.0", "1.3.0", "1.4.0"]


@pytest.mark.parametrize(
    ("meaning", "code", "candidates"),
    [("abort", 2, None), ("skip", 3, ["1.5.0", "1.6.0"]), ("bad", 0, ["1.5.0"])],
)
def test_a_command_that_takes_too_long(
    ready: Workspace, meaning: str, code: int, candidates: list[str] | None
) -> None:
    """It is ended with all it started, and means what it was told to mean."""
    command = script(ready, {"1.5.0": "hang"})
    limits = ("--timeout", "2.5", "--on-timeout", meaning)
    told = bisect(ready, "--good", "1.3.0", "--bad", "1.7.0", *limits, "--run", command)
    assert told.code == code
    assert told.document.get("candidates") == candidates
    assert gone(int((ready.folder / "hanging.txt").read_text(encoding="utf-8")))


def gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("number", "code", "say"),
    [(signal.SIGINT, 130, "hang"), (signal.SIGTERM, 143, "stubborn")],
)
def test_a_signal_ends_the_command_and_the_log_goes_on(
    ready: Workspace, number: signal.Signals, code: int, say: str
) -> None:
    """Ctrl-C and SIGTERM stop the child; the same command again asks only for the rest."""
    command = script(ready, {"1.4.0": say})
    log = ready.folder / "bisect.log"
    arguments = ("--good", "1.3.0", "--bad", "1.7.0", "--run", command, "--log", str(log))
    process = ready.start("bisect", "asr", *arguments)
    diary = ready.folder / "hanging.txt"
    deadline = time.monotonic() + 60
    while not (diary.exists() and diary.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert gone(int(diary.read_text(encoding="utf-8")))
    assert asked(ready) == ["1.5.0", "1.4.0"]
    script(ready, {})
    told = bisect(ready, *arguments)
    assert (told.code, told.document["first_bad"]) == (0, "1.5.0")
    assert (told.document["steps"], told.document["replayed"]) == (2, 1)
    assert asked(ready) == ["1.5.0", "1.4.0", "1.4.0"]


def test_a_log_of_another_search_is_refused(ready: Workspace) -> None:
    """Answers to another question answer nothing; a torn last line is left out."""
    log = ready.folder / "bisect.log"
    arguments = ("--good", "1.3.0", "--bad", "1.7.0", "--log", str(log), "--run")
    assert bisect(ready, *arguments, script(ready, {})).code == 0
    other = bisect(ready, *arguments, "true")
    assert other.code == 2
    assert "the log of another search" in other.document["error"]["message"]
    log.write_text(log.read_text(encoding="utf-8") + '{"version": "1.4', encoding="utf-8")
    again = bisect(ready, *arguments, script(ready, {}))
    assert again.document["replayed"] == again.document["steps"] == 2
    log.write_text(log.read_text(encoding="utf-8") + "[]\n", encoding="utf-8")
    assert bisect(ready, *arguments, script(ready, {})).code == 2


def test_answers_of_the_log_that_contradict_are_reported(ready: Workspace) -> None:
    """Good after bad: the versions, exit 1."""
    command = script(ready, {})
    log = ready.folder / "bisect.log"
    head = {"schema": "relkit.bisect/v1", "model": "asr", "command": command}
    lines: list[dict[str, Any]] = [{**head, "on_timeout": "abort"}]
    for version, mark in (("1.4.0", "bad"), ("1.6.0", "good")):
        digest = release_files(open_workspace(ready.folder)).read("asr", version).digest
        code = int(mark == "bad")
        lines.append({"version": version, "release": digest, "mark": mark, "exit_code": code})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    bounds = ("--good", "1.3.0", "--bad", "1.8.0", "--log", str(log))
    told = bisect(ready, *bounds, "--run", command)
    assert (told.code, told.document["status"]) == (1, "contradiction")
    assert told.document["bad_before"] == ["1.4.0"]
    assert told.document["good_after"] == ["1.6.0"]
    assert told.document["first_bad"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs --run or --metric"),
        (("--run", "true", "--metric", "wer"), "needs --run or --metric"),
        (("--run", "'"), "--run is no command line"),
        (("--run", " "), "--run is empty"),
        (("--metric", "wer", "--timeout", "3"), "are for --run"),
        (("--metric", "wear"), 'no metric "wear"'),
        (("--metric", "wer", "--slice", "accent"), "--slice is no slice"),
        (("--metric", "wer", "--slice", "accent=*"), "--slice names several slices"),
        (("--run", "true", "--good", "1.9.9"), 'the ledger has no release "1.9.9"'),
        (("--run", "true", "--good", "1.8.0"), "1.8.0 cannot be good and bad"),
        (("--run", "true", "--good", "1.7.0", "--bad", "1.2.0"), "comes after the bad one"),
        (("--run", "true", "--bad", "1.0.0"), "no release before 1.0.0 passed its gate"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    ready: Workspace, arguments: tuple[str, ...], message: str
) -> None:
    """Exit 2 with one clear message."""
    told = bisect(ready, *arguments)
    assert told.code == 2, told
    assert message in told.document["error"]["message"]


def test_an_unknown_model_is_refused_with_the_nearest(ready: Workspace) -> None:
    """The hint names the one that is there."""
    told = ready.relkit("bisect", "asrr", "--run", "true", "--json")
    assert told.code == 2
    assert told.document["error"]["hint"] == 'did you mean "asr"?'


def reports(workspace: Workspace, values: Mapping[str, float | None]) -> dict[str, bytes]:
    """Return a real report by version, with these values of its overall WER and one slice's."""
    said = workspace.relkit("eval", workspace.recorded(lambda row: {"text": row["text"]}), "--json")
    assert said.code == 0, said
    made = {}
    for version, value in values.items():
        document = json.loads(said.out)
        for part in document["slices"]:
            part["metrics"]["wer"].update(value=value, low=None, high=None)
        made[version] = json.dumps(document).encode()
    return made


WER = (0.080, 0.081, 0.079, 0.0805, 0.0795, 0.120, 0.121, 0.1195, 0.120)


def test_a_stored_metric_finds_the_first_bad_release(workspace: Workspace) -> None:
    """From the reports beside the releases, overall and on a slice, text and JSON as kept.

    The golden files are what this test's two commands print; write them again from it.
    """
    write(workspace, reports(workspace, dict(zip(VERSIONS, WER, strict=True))))
    told = bisect(workspace, "--metric", "wer")
    assert (told.code, told.document["first_bad"]) == (0, "1.5.0"), told
    assert told.document == json.loads((GOLDEN / "bisect.json").read_text(encoding="utf-8"))
    shown = workspace.relkit("bisect", "asr", "--metric", "wer", "--slice", "noise=clean")
    assert shown.code == 0, shown
    assert shown.out == (GOLDEN / "bisect.txt").read_text(encoding="utf-8")


def test_releases_without_the_metric_are_listed_and_may_be_the_first_bad(
    workspace: Workspace,
) -> None:
    """No value is no 0: the release before the change is a candidate, exit 3."""
    values: dict[str, float | None] = dict(zip(VERSIONS, WER, strict=True))
    made = reports(workspace, {**values, "1.4.0": None})
    del made["1.0.0"]
    write(workspace, made)
    told = bisect(workspace, "--metric", "wer")
    assert told.code == 3
    assert told.document["candidates"] == ["1.4.0", "1.5.0"]
    assert told.document["skipped"] == [
        {"version": "1.0.0", "reason": "the release names no report"},
        {"version": "1.4.0", "reason": "its report has no wer of overall"},
    ]


def test_no_stored_metric_is_no_data(ready: Workspace) -> None:
    """Nothing to read: exit 4."""
    told = bisect(ready, "--metric", "wer")
    assert told.code == 4
    assert "no release of asr has wer of overall" in told.document["error"]["message"]


def test_a_report_that_was_changed_is_not_believed(workspace: Workspace) -> None:
    """By digest only: a changed file beside the release is no report of it."""
    write(workspace, reports(workspace, dict(zip(VERSIONS, WER, strict=True))))
    folder = workspace.folder / "registry" / "releases" / "asr" / "1.5.0"
    path = folder / "report.json"
    path.write_bytes(path.read_bytes().replace(b"0.12", b"0.08"))
    told = bisect(workspace, "--metric", "wer")
    assert told.document["skipped"] == [{"version": "1.5.0", "reason": "its report is not here"}]
    assert told.document["candidates"] == ["1.5.0", "1.6.0"]
