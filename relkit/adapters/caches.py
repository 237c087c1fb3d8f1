"""Answers of earlier runs in a SQLite file, so that a clip is decoded once per system.

Qualities of clips that were scored before, in a SQLite file.
"""

import sqlite3
import time
from pathlib import Path
from typing import Self

from relkit.audio.quality import parse_quality, render_quality
from relkit.audio.types import Quality
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.datasets.types import Answer
from relkit.evaluation.run_files import parse_answer, render_answer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    candidate TEXT NOT NULL, audio TEXT NOT NULL, repeat INTEGER NOT NULL,
    answer TEXT NOT NULL, load TEXT NOT NULL,
    PRIMARY KEY (candidate, audio, repeat)
) WITHOUT ROWID
"""


_FLUSH_EVERY = 64


_BUSY_S = 30.0


_ASK_AGAIN_S = 0.01


class SqliteCache:
    """Implements the ``PredictionCache`` port on one file; several processes may share it.

    Every method raises StorageFailed where the file cannot be read or written.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Open or make the file; ``fresh`` finds nothing in it, and keeps what comes anew."""
        self._fresh = fresh
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_S)
        except (OSError, sqlite3.Error) as error:
            raise _failed(path) from error
        try:
            _let_others_read(self._db)
            self._db.execute(_SCHEMA)
            self._db.commit()
        except sqlite3.Error as error:
            self._db.close()
            raise _failed(path) from error
        self._path = path
        self._pending: list[tuple[str, str, int, str, str]] = []

    def get(self, candidate: str, audio: str, repeat: int) -> tuple[Answer, str] | None:
        """Return an answer and the digest of its load fingerprint, or None."""
        if self._fresh:
            return None
        try:
            row = self._db.execute(
                "SELECT answer, load FROM answers WHERE candidate=? AND audio=? AND repeat=?",
                (candidate, audio, repeat),
            ).fetchone()
        except sqlite3.Error as error:
            raise _failed(self._path) from error
        if row is None:
            return None
        try:
            _, outcome = parse_answer(row[0], source=self._path.name)
        except InvalidInput as error:
            raise _failed(self._path) from error
        return (outcome, str(row[1])) if isinstance(outcome, Answer) else None

    def put(self, candidate: str, audio: str, repeat: int, answer: Answer, load: str) -> None:
        """Keep an answer; every 64th time all of them become durable.

        They wait in memory meanwhile: an open transaction would shut out other processes.
        """
        self._pending.append((candidate, audio, repeat, render_answer("cached", answer), load))
        if len(self._pending) >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Make everything put so far durable."""
        try:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", self._pending
                )
        except sqlite3.Error as error:
            raise _failed(self._path) from error
        self._pending.clear()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what was put and close the file."""
        try:
            self.flush()
        finally:
            self._db.close()


def _let_others_read(db: sqlite3.Connection) -> None:
    """Turn on write-ahead logging; where another process is opening the file, too, ask again.

    SQLite waits for every lock but the one that changing the mode takes.
    """
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_ASK_AGAIN_S)
        else:
            return


def _failed(path: Path) -> StorageFailed:
    return StorageFailed(
        f"the prediction cache {path.name} cannot be used",
        hint="check free disk space, or delete the file: it can be made again",
    )


_QUALITY_CACHE_SCHEMA = """
CREATE TABLE IF NOT EXISTS qualities (
    scorer TEXT NOT NULL, audio TEXT NOT NULL, quality TEXT NOT NULL,
    PRIMARY KEY (scorer, audio)
) WITHOUT ROWID
"""


_QUALITY_CACHE_FLUSH_EVERY = 64


_QUALITY_CACHE_BUSY_S = 30.0


class SqliteQualityCache:
    """Implements QualityCache on one file; several processes may share it.

    Every method raises StorageFailed where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        self._path = path
        self._pending: list[tuple[str, str, str]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_QUALITY_CACHE_BUSY_S)
        except (OSError, sqlite3.Error) as error:
            raise self._failed() from error
        try:
            with self._db:
                self._db.execute(_QUALITY_CACHE_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise self._failed() from error

    def get(self, scorer: str, audio: str) -> Quality | None:
        """Return the quality of a clip by a scorer, or None."""
        try:
            row = self._db.execute(
                "SELECT quality FROM qualities WHERE scorer=? AND audio=?", (scorer, audio)
            ).fetchone()
            return None if row is None else parse_quality(row[0], source=self._path.name)
        except (sqlite3.Error, InvalidInput) as error:
            raise self._failed() from error

    def put(self, scorer: str, audio: str, quality: Quality) -> None:
        """Keep a quality; every 64th time all of them become durable."""
        self._pending.append((scorer, audio, render_quality(quality)))
        if len(self._pending) >= _QUALITY_CACHE_FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Make everything put so far durable."""
        try:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO qualities VALUES (?, ?, ?)", self._pending
                )
        except sqlite3.Error as error:
            raise self._failed() from error
        self._pending.clear()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what was put and close the file."""
        try:
            self.flush()
        finally:
            self._db.close()

    def _failed(self) -> StorageFailed:
        return StorageFailed(
            f"the quality cache {self._path.name} cannot be used",
            hint="check free disk space, or delete the file: it can be made again",
        )
