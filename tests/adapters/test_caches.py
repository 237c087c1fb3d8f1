"""The cache of answers: shared by processes, and nothing but answers."""

import sqlite3
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings

from relkit.adapters.caches import SqlitePredictionCache
from relkit.core.errors import StorageFailed
from relkit.datasets.types import Answer, Failure, FailureReason
from tests.builders import ANSWERS, FULL_ANSWER

ROOT = Path(__file__).resolve().parents[2]


def test_an_answer_is_found_by_candidate_audio_and_repeat(tmp_path: Path) -> None:
    """With the load it was measured under; any other key is a miss."""
    with SqlitePredictionCache(tmp_path / "deep" / "cache.db") as cache:
        cache.put("c", "a", 0, FULL_ANSWER, "load")
        cache.flush()
        assert cache.get("c", "a", 0) == (FULL_ANSWER, "load")
        for key in (("x", "a", 0), ("c", "x", 0), ("c", "a", 1)):
            assert cache.get(*key) is None


def test_the_last_answer_wins(tmp_path: Path) -> None:
    """A candidate that was asked again replaces what it said."""
    with SqlitePredictionCache(tmp_path / "cache.db") as cache:
        for text in ("one", "two"):
            cache.put("c", "a", 0, Answer(text=text), text)
        cache.flush()
        assert cache.get("c", "a", 0) == (Answer(text="two"), "two")


def test_a_fresh_cache_finds_nothing_and_keeps_what_comes(tmp_path: Path) -> None:
    """Who asks for everything again gets today's answers, and so does the next run."""
    path = tmp_path / "cache.sqlite"
    with SqlitePredictionCache(path) as cache:
        cache.put("c", "a", 0, Answer(text="then"), "load")
    with SqlitePredictionCache(path, fresh=True) as cache:
        assert cache.get("c", "a", 0) is None
        cache.put("c", "a", 0, Answer(text="now"), "load")
    with SqlitePredictionCache(path) as cache:
        assert cache.get("c", "a", 0) == (Answer(text="now"), "load")


def test_the_end_of_the_block_keeps_everything(tmp_path: Path) -> None:
    """Also after an error: what was answered was answered."""
    with suppress(KeyError), SqlitePredictionCache(tmp_path / "cache.db") as cache:
        cache.put("c", "a", 0, FULL_ANSWER, "load")
        raise KeyError
    with SqlitePredictionCache(tmp_path / "cache.db") as cache:
        assert cache.get("c", "a", 0) == (FULL_ANSWER, "load")


@settings(max_examples=60, deadline=None)
@given(ANSWERS)
def test_any_answer_survives_the_cache(answer: Answer) -> None:
    """The whole protocol, to the last bit."""
    with SqlitePredictionCache(Path(":memory:")) as cache:
        cache.put("c", "a", 0, answer, "load")
        cache.flush()
        assert cache.get("c", "a", 0) == (answer, "load")


def test_a_failure_cannot_be_kept(tmp_path: Path) -> None:
    """A system that failed once is asked again: nothing of a failure reaches the file."""
    path = tmp_path / "cache.db"
    with SqlitePredictionCache(path) as cache:
        with pytest.raises(AttributeError):
            cache.put("c", "a", 0, Failure(reason=FailureReason.TIMEOUT), "load")  # type: ignore[arg-type]  # what is tested
        cache.flush()
        assert cache.get("c", "a", 0) is None
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    db.close()


def test_a_failure_that_somebody_wrote_is_no_answer(tmp_path: Path) -> None:
    """An error line in the file is a miss."""
    path = tmp_path / "cache.db"
    _plant(path, '{"id": "cached", "error": "timeout"}')
    with SqlitePredictionCache(path) as cache:
        assert cache.get("c", "a", 0) is None


def _plant(path: Path, answer: str) -> None:
    with SqlitePredictionCache(path):
        pass
    db = sqlite3.connect(path)
    with db:
        db.execute("INSERT INTO answers VALUES ('c', 'a', 0, ?, 'load')", (answer,))
    db.close()


@pytest.mark.parametrize("text", ["", "{", '{"id": "x"}', '{"id": "x", "text": "a", "new": 1}'])
def test_a_damaged_row_is_a_damaged_cache(tmp_path: Path, text: str) -> None:
    """The way out is to delete the file, not to mend a suite."""
    path = tmp_path / "cache.db"
    _plant(path, text)
    with (
        SqlitePredictionCache(path) as cache,
        pytest.raises(StorageFailed, match=r"prediction cache cache\.db cannot be used") as caught,
    ):
        cache.get("c", "a", 0)
    assert "delete the file" in (caught.value.hint or "")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """And is not overwritten."""
    path = tmp_path / "cache.db"
    path.write_text("no database at all, but long enough to be read as one" * 20)
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match=r"cache\.db cannot be used"):
        SqlitePredictionCache(path)
    assert path.read_bytes() == before


WRITE = """
import sys
from pathlib import Path
from relkit.adapters.caches import SqlitePredictionCache
from relkit.datasets.types import Answer
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
with SqlitePredictionCache(path) as cache:
    for i in range(count):
        cache.put(name, f"audio {i}", 0, Answer(text=f"{name} {i}"), "load")
        cache.put("shared", f"audio {i}", 0, Answer(text=f"shared {i}"), name)
        if i % 10 == 0:
            cache.flush()
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Real processes open the file, and write to it, at the same moment."""
    path = tmp_path / "cache.db"
    count, names = 300, ("one", "two", "three")
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WRITE, str(path), name, str(count)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for name in names
        ]
        ready = [process.stdout.readline() for process in processes if process.stdout]
        assert ready == ["ready\n"] * len(names)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=60)[1] for process in processes]
        assert ended == [""] * len(names)
        assert [process.returncode for process in processes] == [0] * len(names)
    with SqlitePredictionCache(path) as cache:
        for name in (*names, "shared"):
            for i in range(count):
                found = cache.get(name, f"audio {i}", 0)
                assert found is not None
                assert found[0] == Answer(text=f"{name} {i}")


def test_what_was_flushed_survives_a_kill(tmp_path: Path) -> None:
    """SIGKILL after a flush: the file is whole and holds every answer."""
    path = tmp_path / "cache.db"
    code = WRITE.replace("if i % 10 == 0:", "if i == count - 1:")
    code = code.replace("cache.flush()", "cache.flush(); import os; os.kill(os.getpid(), 9)")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), "one", "100"],
        cwd=ROOT,
        input="go\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    with SqlitePredictionCache(path) as cache:
        assert all(cache.get("one", f"audio {i}", 0) is not None for i in range(100))
