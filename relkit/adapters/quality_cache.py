"""Qualities of clips that were scored before, in a SQLite file."""

import sqlite3
from pathlib import Path
from typing import Self

from relkit.domain.errors import InvalidInput, StorageFailed
from relkit.domain.quality import Quality
from relkit.records.quality import parse_quality, render_quality

_SCHEMA = """
CREATE TABLE IF NOT EXISTS qualities (
    scorer TEXT NOT NULL, audio TEXT NOT NULL, quality TEXT NOT NULL,
    PRIMARY KEY (scorer, audio)
) WITHOUT ROWID
"""
_FLUSH_EVERY = 64
_BUSY_S = 30.0


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
            self._db = sqlite3.connect(path, timeout=_BUSY_S)
        except (OSError, sqlite3.Error) as error:
            raise self._failed() from error
        try:
            with self._db:
                self._db.execute(_SCHEMA)
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
        if len(self._pending) >= _FLUSH_EVERY:
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
