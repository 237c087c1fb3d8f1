"""Worker processes for real: order, retries, hangs, crashes, outages, and nothing left running."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from relkit.adapters.workers import ProcessExecutor, threads_per_job
from relkit.core.errors import BackendUnavailable, InvalidInput
from relkit.datasets.types import Answer, Clip, Failure, FailureReason, Prediction
from relkit.evaluation.pool import LOST_IN_A_ROW, UNREACHABLE_IN_A_ROW
from tests.fakes import EchoSystem, tone, tones

ROOT = Path(__file__).resolve().parents[2]


def _executor(
    script: dict[str, str] | None = None,
    *,
    jobs: int = 1,
    timeout_s: float = 30.0,
    retries: int = 0,
    diary: Path | None = None,
    load: str = "",
) -> ProcessExecutor:
    build = partial(EchoSystem, script, diary)
    return ProcessExecutor(
        build, jobs=jobs, timeout_s=timeout_s, retries=retries, load=load, grace_s=0.2
    )


def _said(predictions: list[Prediction]) -> dict[str, str]:
    return {p.id: p.outcome.text for p in predictions if isinstance(p.outcome, Answer)}


def _failure(prediction: Prediction) -> Failure:
    assert isinstance(prediction.outcome, Failure), prediction
    return prediction.outcome


def _events(diary: Path) -> Counter[str]:
    return Counter(line.split(" ", 1)[1] for line in diary.read_text().splitlines())


def _pids(diary: Path) -> set[int]:
    return {int(line.split()[0]) for line in diary.read_text().splitlines()}


def _all_gone(pids: set[int]) -> bool:
    for _ in range(400):
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_clip_is_answered_once_whoever_answers_it(tmp_path: Path, jobs: int) -> None:
    """Ids, repeats and loads stay with their clips, on one worker and on several."""
    diary = tmp_path / "diary"
    clips = [("a", 0, tone(1)), ("a", 1, tone(2)), ("b", 0, tone(3)), ("c", 0, tone(4))]
    predictions = list(_executor(jobs=jobs, diary=diary, load="sha256:l").predict(clips))
    assert {
        (
            p.id,
            p.repeat,
            p.load,
            p.attempts,
            p.outcome.text if isinstance(p.outcome, Answer) else "",
        )
        for p in predictions
    } == {
        ("a", 0, "sha256:l", 1, "1"),
        ("a", 1, "sha256:l", 1, "2"),
        ("b", 0, "sha256:l", 1, "3"),
        ("c", 0, "sha256:l", 1, "4"),
    }
    assert len(predictions) == len(clips)
    events = _events(diary)
    assert 1 <= events["built"] <= jobs
    assert events["built"] == events["closed"] == len(_pids(diary))


def test_no_more_workers_are_started_than_there_are_clips(tmp_path: Path) -> None:
    """Loading a model that gets nothing to do would only cost."""
    diary = tmp_path / "diary"
    list(_executor(jobs=8, diary=diary).predict(tones(2)))
    assert _events(diary)["built"] <= 2
    assert list(_executor(jobs=8, diary=diary).predict([])) == []


def test_clips_are_taken_a_few_ahead_and_no_more() -> None:
    """Memory is bounded: however many clips there are, few of them are decoded early."""
    taken = 0

    def counted() -> Iterator[tuple[str, int, Clip]]:
        nonlocal taken
        for item in tones(40):
            taken += 1
            yield item

    jobs = 2
    for done, _ in enumerate(_executor(jobs=jobs).predict(counted()), start=1):
        assert taken <= done + 3 * jobs
    assert taken == 40


def test_a_retryable_failure_is_asked_again_as_often_as_allowed(tmp_path: Path) -> None:
    """Two failures and two retries end in an answer; three do not, and others are never retried."""
    script = {"0": "flaky:2", "1": "flaky:3", "2": "refuse"}
    diary = tmp_path / "diary"
    predictions = {p.id: p for p in _executor(script, retries=2, diary=diary).predict(tones(4))}
    assert isinstance(predictions["u0"].outcome, Answer)
    assert predictions["u0"].attempts == 3
    assert _failure(predictions["u1"]).detail == "status 500"
    assert predictions["u1"].attempts == 3
    assert _failure(predictions["u2"]).detail == "status 400"
    assert predictions["u2"].attempts == 1
    assert _events(diary)["asked 1"] == 3


def test_a_system_that_hangs_is_killed_and_the_rest_is_answered(tmp_path: Path) -> None:
    """A time-out costs one clip and one worker, never the run."""
    diary = tmp_path / "diary"
    executor = _executor({"1": "hang"}, timeout_s=0.5, diary=diary)
    predictions = {p.id: p for p in executor.predict(tones(4))}
    assert _failure(predictions["u1"]) == Failure(
        reason=FailureReason.TIMEOUT, detail="no answer in 0.5 s", retryable=True
    )
    assert _said(list(predictions.values())) == {"u0": "0", "u2": "2", "u3": "3"}
    assert _events(diary)["built"] == 2
    assert _all_gone(_pids(diary))


@pytest.mark.parametrize(
    ("order", "detail"), [("crash", "signal SIGABRT"), ("exit", "exit code 3")]
)
def test_a_system_that_crashes_is_replaced_and_the_rest_is_answered(
    tmp_path: Path, order: str, detail: str
) -> None:
    """A crash is the failure of its clip, says how it ended, and is retried in a new worker."""
    diary = tmp_path / "diary"
    executor = _executor({"1": order}, retries=1, diary=diary)
    predictions = {p.id: p for p in executor.predict(tones(3))}
    assert _failure(predictions["u1"]) == Failure(
        reason=FailureReason.CRASHED, detail=detail, retryable=True
    )
    assert predictions["u1"].attempts == 2
    assert _said(list(predictions.values())) == {"u0": "0", "u2": "2"}
    assert _events(diary)["built"] == 3


def test_a_crash_on_the_first_clip_is_told_once_another_is_answered() -> None:
    """What was held back at first is a result as soon as the system has shown that it works."""
    predictions = list(_executor({"0": "exit"}).predict(tones(2)))
    assert [p.id for p in predictions] == ["u0", "u1"]
    assert _failure(predictions[0]).reason is FailureReason.CRASHED


def test_few_clips_that_all_crash_are_failures() -> None:
    """A candidate that crashes on everything it was given is scored as that."""
    predictions = list(_executor({"*": "exit"}).predict(tones(3)))
    assert [_failure(p).reason for p in predictions] == [FailureReason.CRASHED] * 3


def test_a_system_that_only_crashes_ends_the_run_and_says_nothing_of_the_clips() -> None:
    """Many crashes and no answer are no result: a resumed run asks again."""
    given: list[Prediction] = []
    with pytest.raises(BackendUnavailable, match=f"{LOST_IN_A_ROW} times in a row"):
        given.extend(_executor({"*": "exit"}, jobs=2).predict(tones(40)))
    assert given == []


def test_an_endpoint_that_goes_away_ends_the_run_and_keeps_what_was_answered(
    tmp_path: Path,
) -> None:
    """Ten clips in a row that found nobody are held back, so that a resumed run asks them again."""
    diary = tmp_path / "diary"
    script = {"0": "", "1": "", "2": "", "*": "unreachable"}
    given: list[Prediction] = []
    with pytest.raises(BackendUnavailable, match="could not be reached for 10 calls"):
        given.extend(_executor(script, diary=diary).predict(tones(1000)))
    assert [p.id for p in given] == ["u0", "u1", "u2"]
    asked = sum(count for event, count in _events(diary).items() if event.startswith("asked"))
    assert asked <= 3 + UNREACHABLE_IN_A_ROW + 1
    assert _all_gone(_pids(diary))


def test_a_short_outage_is_a_failure_of_its_clips() -> None:
    """Fewer than ten clips without an endpoint count as failures once it is back."""
    script = {str(i): "unreachable" for i in range(2, 9)}
    predictions = list(_executor(script).predict(tones(12)))
    reasons = [p.id for p in predictions if isinstance(p.outcome, Failure)]
    assert reasons == [f"u{i}" for i in range(2, 9)]
    assert [p.id for p in predictions] == [f"u{i}" for i in range(12)]


def test_an_outage_at_the_end_is_a_failure_of_its_clips() -> None:
    """The last clips are told even if the endpoint never comes back."""
    predictions = list(_executor({"2": "unreachable"}).predict(tones(3)))
    assert [p.id for p in predictions] == ["u0", "u1", "u2"]


def test_an_endpoint_that_never_was_there_ends_even_a_short_run() -> None:
    """Three clips and nobody to ask: that says nothing about the system."""
    with pytest.raises(BackendUnavailable, match="could not be reached for 3 calls"):
        list(_executor({"*": "unreachable"}, retries=1).predict(tones(3)))


def test_what_a_system_refuses_to_be_built_with_is_raised_here(tmp_path: Path) -> None:
    """The error of a worker arrives whole, hint included, and no worker stays."""
    diary = tmp_path / "diary"
    with pytest.raises(InvalidInput, match="refused to be built") as caught:
        list(_executor({"build": "refuse"}, jobs=2, diary=diary).predict(tones(5)))
    assert caught.value.hint == "build another"
    assert _all_gone(_pids(diary))


def test_a_system_that_dies_while_it_is_built_ends_the_run() -> None:
    """There is no use in starting it again and again."""
    with pytest.raises(BackendUnavailable, match=r"could not be started: .* exit code 9"):
        list(_executor({"build": "crash"}).predict(tones(5)))


def test_a_reader_that_fails_ends_the_workers(tmp_path: Path) -> None:
    """An error from the side of the clips passes through, and nothing stays behind."""
    diary = tmp_path / "diary"

    def broken() -> Iterator[tuple[str, int, Clip]]:
        yield from tones(2)
        raise InvalidInput("manifest.jsonl, line 3: broken")

    with pytest.raises(InvalidInput, match="line 3"):
        list(_executor(diary=diary).predict(broken()))
    assert _all_gone(_pids(diary))


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    """A caller may stop in the middle: busy and idle workers end at once."""
    diary = tmp_path / "diary"
    predictions = _executor({"3": "hang"}, jobs=2, diary=diary).predict(tones(9))
    assert isinstance(next(predictions), Prediction)
    predictions.close()  # type: ignore[attr-defined]  # it is a generator
    assert _all_gone(_pids(diary))


def test_a_slow_caller_costs_no_answer() -> None:
    """An answer that was there in time counts, even if nobody looked for longer than the limit."""
    predictions = []
    for prediction in _executor(jobs=2, timeout_s=0.3).predict(tones(4)):
        time.sleep(0.7)
        predictions.append(prediction)
    assert _said(predictions) == {f"u{i}": str(i) for i in range(4)}


def test_what_a_library_prints_stays_off_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to the one document that a command prints."""
    list(_executor({"*": "print"}).predict(tones(2)))
    out, err = capfd.readouterr()
    assert out == ""
    assert "noise from a library" in err


def test_a_defect_in_a_worker_quotes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Where it ended is told on standard error; its message may hold what was said."""
    failed, answered = _executor({"0": "defect"}).predict(tones(2))
    assert _failure(failed).detail == "exit code 1"
    assert _said([answered]) == {"u1": "1"}
    err = capfd.readouterr().err
    assert "relkit: a worker ended: KeyError in fakes.py, line " in err
    assert "zq7x" not in err
    assert "Traceback" not in err


def test_workers_share_the_cores_and_numpy_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker is told its share before it loads a library, unless the user has said it.

    numpy gets one thread whatever the share is, since its last bits, and so words, depend on it.
    """
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    for jobs in (1, 2):
        predictions = list(_executor({"*": "threads"}, jobs=jobs).predict(tones(2)))
        assert set(_said(predictions).values()) == {f"{threads_per_job(jobs)} 1"}
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    predictions = list(_executor({"*": "threads"}).predict(tones(1)))
    assert set(_said(predictions).values()) == {"7 1"}
    assert threads_per_job(10_000) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However the parent ends, even killed with a worker busy, its workers end, too."""
    diary = tmp_path / "diary"
    script = textwrap.dedent(f"""
        import signal
        from functools import partial
        from pathlib import Path
        from relkit.adapters.workers import ProcessExecutor
        from tests.fakes import EchoSystem, tones

        if __name__ == "__main__":
            # A shell's background job inherits SIGINT ignored; the test is about one that arrives.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            build = partial(EchoSystem, {{"1": "hang"}}, Path({str(diary)!r}))
            list(ProcessExecutor(build, jobs=2, timeout_s=60, retries=0).predict(tones(9)))
    """)
    path = tmp_path / "parent.py"
    path.write_text(script)
    parent = subprocess.Popen(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(500):
            if diary.exists() and "asked 1\n" in diary.read_text():
                break
            time.sleep(0.02)
        parent.send_signal(number)
        parent.wait(20)
        assert _pids(diary)
        assert _all_gone(_pids(diary))
    finally:
        parent.kill()
        parent.wait()
