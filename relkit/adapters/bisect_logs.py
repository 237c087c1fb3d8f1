"""Logs of searches as files, so that an interrupted search does not ask again."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from relkit import storage
from relkit.domain.bisections import Answer, LogHead
from relkit.records.bisect_logs import parse_log
from relkit.records.codec import encode


class LogFile:
    """Implements AnswerLog with an append-only file of JSON lines."""

    def __init__(self, log: storage.AppendLog, answers: Sequence[Answer]) -> None:
        """Keep an open log and what it says already."""
        self._log = log
        self._answers = answers

    def answers(self) -> Sequence[Answer]:
        """Return what was logged before, oldest first."""
        return self._answers

    def append(self, answer: Answer) -> None:
        """Append an answer and make it durable; raises StorageFailed."""
        self._log.append(_line(answer))
        self._log.sync()


class NoLog:
    """Implements AnswerLog where nothing is kept."""

    def answers(self) -> Sequence[Answer]:
        """Return nothing."""
        return ()

    def append(self, answer: Answer) -> None:
        """Drop the answer."""


@contextmanager
def log_file(path: Path, head: LogHead) -> Iterator[LogFile]:
    """Hold the log of one search, new or begun; raises Busy, InvalidInput, StorageFailed."""
    with storage.lock(path.with_name(f".{path.name}.lock"), what=f"the log {path.name}"):
        lines = storage.read_lines(path)
        answers = parse_log(lines, head=head, source=path.name)
        with storage.AppendLog(path) as log:
            if not lines:
                log.append(_line(head))
            yield LogFile(log, answers)


def _line(value: LogHead | Answer) -> str:
    return json.dumps(encode(value), ensure_ascii=False)
