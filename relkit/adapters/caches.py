"""What was decoded or scored before, in SQLite files, so that it is done once per clip."""

import sqlite3
import time
from pathlib import Path
from typing import ClassVar, Self

from relkit.audio.quality import parse_quality, render_quality
from relkit.audio.types import Quality
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.datasets.types import Answer
from relkit.evaluation.run_files import parse_answer, render_answer

_FLUSH_EVERY = 64
_BUSY_S = 30.0
_ASK_AGAIN_S = 0.01


class SqliteCache:
    """One table in a file that several processes may share; what it holds is a subclass's to say.

    Every method raises StorageFailed where the file cannot be read or written.
    """

    what: ClassVar[str]
    create: ClassVar[str]
    select: ClassVar[str]
    """Asked with the key of a row, in the order of the columns."""
    insert: ClassVar[str]

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        self._path = path
        self._pending: list[tuple[str | int, ...]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_S)
        except (OSError, sqlite3.Error) as error:
            raise self.failed() from error
        try:
            _let_others_read(self._db)
            with self._db:
                self._db.execute(self.create)
        except sqlite3.Error as error:
            self._db.close()
            raise self.failed() from error

    def row(self, *key: str | int) -> tuple[str, ...] | None:
        """Return what is kept under a key, or None."""
        try:
            row: tuple[str, ...] | None = self._db.execute(self.select, key).fetchone()
        except sqlite3.Error as error:
            raise self.failed() from error
        return row

    def keep(self, *row: str | int) -> None:
        """Keep a row; every 64th time all of them become durable.

        They wait in memory meanwhile: an open transaction would shut out other processes.
        """
        self._pending.append(row)
        if len(self._pending) >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Make everything put so far durable."""
        try:
            with self._db:
                self._db.executemany(self.insert, self._pending)
        except sqlite3.Error as error:
            raise self.failed() from error
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

    def failed(self) -> StorageFailed:
        """Return the error of a file that is no such cache, or cannot be reached."""
        return StorageFailed(
            f"the {self.what} cache {self._path.name} cannot be used",
            hint="check free disk space, or delete the file: it can be made again",
        )


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


class SqlitePredictionCache(SqliteCache):
    """Implements the ``PredictionCache`` port: answers by system, audio and repeat."""

    what = "prediction"
    create = """
    CREATE TABLE IF NOT EXISTS answers (
        candidate TEXT NOT NULL, audio TEXT NOT NULL, repeat INTEGER NOT NULL,
        answer TEXT NOT NULL, load TEXT NOT NULL,
        PRIMARY KEY (candidate, audio, repeat)
    ) WITHOUT ROWID
    """
    select = "SELECT answer, load FROM answers WHERE candidate=? AND audio=? AND repeat=?"
    insert = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)"

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Open or make the file; ``fresh`` finds nothing in it, and keeps what comes anew."""
        super().__init__(path)
        self._fresh = fresh

    def get(self, candidate: str, audio: str, repeat: int) -> tuple[Answer, str] | None:
        """Return an answer and the digest of its load fingerprint, or None."""
        row = None if self._fresh else self.row(candidate, audio, repeat)
        if row is None:
            return None
        answer, load = row
        try:
            _, outcome = parse_answer(answer, source=self._path.name)
        except InvalidInput as error:
            raise self.failed() from error
        return (outcome, load) if isinstance(outcome, Answer) else None

    def put(self, candidate: str, audio: str, repeat: int, answer: Answer, load: str) -> None:
        """Keep an answer."""
        self.keep(candidate, audio, repeat, render_answer("cached", answer), load)


class SqliteQualityCache(SqliteCache):
    """Implements the ``QualityCache`` port: qualities by scorer and audio."""

    what = "quality"
    create = """
    CREATE TABLE IF NOT EXISTS qualities (
        scorer TEXT NOT NULL, audio TEXT NOT NULL, quality TEXT NOT NULL,
        PRIMARY KEY (scorer, audio)
    ) WITHOUT ROWID
    """
    select = "SELECT quality FROM qualities WHERE scorer=? AND audio=?"
    insert = "INSERT OR REPLACE INTO qualities VALUES (?, ?, ?)"

    def get(self, scorer: str, audio: str) -> Quality | None:
        """Return the quality of a clip by a scorer, or None."""
        row = self.row(scorer, audio)
        try:
            return None if row is None else parse_quality(row[0], source=self._path.name)
        except InvalidInput as error:
            raise self.failed() from error

    def put(self, scorer: str, audio: str, quality: Quality) -> None:
        """Keep a quality."""
        self.keep(scorer, audio, render_quality(quality))
