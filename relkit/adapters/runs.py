"""Runs as folders below ``.relkit/runs``: locked, journalled, finished in one step."""

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from relkit.core import storage
from relkit.core.codec import decode
from relkit.core.digests import sha256_bytes
from relkit.core.errors import Busy, InvalidInput, UsageError
from relkit.core.yaml_text import shown
from relkit.datasets.types import Answer
from relkit.evaluation.listing import ListedRun, listed, moving, run_at
from relkit.evaluation.run_files import (
    JOURNAL,
    parse_journal_line,
    parse_report,
    parse_run,
    render_journal_line,
    render_report,
    render_run,
    seal_line,
    unseal_line,
)
from relkit.evaluation.types import EvalReport, Outcome, Result, RunHeader, Scalar

_SYNC_EVERY = 64


class ResultTables(Protocol):
    """Writes and reads the tables of a run."""

    def write_results(self, path: Path, results: Sequence[Result]) -> None:
        """Write the results, without text."""

    def write_texts(
        self, path: Path, results: Sequence[Result], outcomes: Sequence[Outcome]
    ) -> None:
        """Write the texts and whole answers."""

    def read_outcomes(self, results: Path, texts: Path) -> list[Outcome]:
        """Return the stored outcomes."""


class RunFolder:
    """One run's folder, held by a lock while it is open."""

    def __init__(self, path: Path, header: RunHeader, tables: ResultTables) -> None:
        """Use the folder of a run that ``header`` describes; it exists already."""
        self.path = path
        self.header = header
        self._tables = tables
        self._journal = storage.AppendLog(path / JOURNAL)
        self._log = storage.AppendLog(path / "log.jsonl")
        self._pending = 0

    def outcomes(self) -> list[Outcome]:
        """Return what the journal holds; a torn last line was cut off when it was opened.

        Raises InvalidInput naming a line that was changed or is another run's. Lines without a
        digest are those of an older version, which come before all others.
        """
        outcomes, sealed = [], False
        for number, line in enumerate(storage.read_lines(self.path / JOURNAL), start=1):
            body = unseal_line(line, self.header.run, line=number)
            if body is None and sealed:
                raise InvalidInput(
                    f"{JOURNAL}, line {number}: has no digest, and the lines before it have",
                    hint="run the suite again; what was answered comes from the cache",
                )
            sealed = body is not None
            outcomes.append(parse_journal_line(body or line, line=number))
        return outcomes

    def append(self, outcome: Outcome) -> None:
        """Keep an outcome: at once against a kill, every 64th time against a power cut."""
        self._journal.append(seal_line(render_journal_line(outcome), self.header.run))
        self._pending += 1
        if self._pending >= _SYNC_EVERY:
            self._journal.sync()
            self._pending = 0

    @property
    def begun(self) -> bool:
        """Whether the journal holds an answer."""
        if not (self.path / JOURNAL).exists():
            return False
        predictions = (outcome.prediction for outcome in self.outcomes())
        return any(item is not None and isinstance(item.outcome, Answer) for item in predictions)

    def log(self, at: str, event: str, **facts: Scalar) -> None:
        """Append an event with numbers and digests to ``log.jsonl``; never a text."""
        self._log.append(json.dumps({"at": at, "event": event, **facts}))

    def write_results(self, results: Sequence[Result], outcomes: Sequence[Outcome]) -> Path:
        """Write both tables (rows in the same order) and return the path of the results."""
        with storage.replacing(self.path / "texts.parquet") as temporary:
            self._tables.write_texts(temporary, results, outcomes)
        with storage.replacing(self.path / "results.parquet") as temporary:
            self._tables.write_results(temporary, results)
        return self.path / "results.parquet"

    def finish(self, report: EvalReport, at: str) -> None:
        """Write the report, mark the run as finished, and only then drop the journal."""
        storage.write_text(self.path / "report.json", render_report(report))
        names = ("report.json", "results.parquet", "texts.parquet")
        outputs = {name: sha256_bytes((self.path / name).read_bytes()) for name in names}
        header = replace(self.header, status="finished", finished=at, outputs=outputs)
        storage.write_text(self.path / "run.json", render_run(header))
        self.close()
        (self.path / JOURNAL).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the open files."""
        self._journal.close()
        self._log.close()


class RunFolders:
    """All runs of a workspace."""

    def __init__(self, folder: Path, tables: ResultTables) -> None:
        """Keep runs below ``folder``, which need not exist yet."""
        self._folder = folder
        self._tables = tables

    def new_id(self, now: str) -> str:
        """Return a fresh id: the UTC time ``2026-01-31T12:00:00Z`` as digits, and 6 hex."""
        stamp = now.replace("-", "").replace(":", "")
        return f"{stamp}-{secrets.token_hex(3)}"

    @contextmanager
    def create(self, header: RunHeader) -> Iterator[RunFolder]:
        """Make and hold a new run; raises Busy, StorageFailed.

        Where the block fails before the system has answered, nothing of the run is left.
        """
        path = self._folder / header.run
        with _held(path):
            if (path / "run.json").exists():
                raise Busy(f"the run {path.name} exists already", hint="start the command again")
            storage.write_text(path / "run.json", render_run(header))
            with closing(RunFolder(path, header, self._tables)) as run:
                try:
                    yield run
                except BaseException:
                    if not run.begun:  # a start that failed: there is nothing to go on with
                        shutil.rmtree(path, ignore_errors=True)
                    raise

    @contextmanager
    def resume(self, name: str) -> Iterator[RunFolder]:
        """Hold a run that was interrupted; raises Busy, InvalidInput where it is finished."""
        path = self.find(name)
        with _held(path):
            header = self.read_header(str(path))
            if header.status == "finished":
                (path / JOURNAL).unlink(missing_ok=True)
                raise InvalidInput(
                    f"the run {path.name} is finished", hint=f"read it: relkit report {path.name}"
                )
            storage.drop_leftovers(path)  # parts of a table that a kill cut short hold texts
            with closing(RunFolder(path, header, self._tables)) as run:
                yield run

    def find(self, run: str) -> Path:
        """Return a run's folder from its id, a unique prefix, its path, or ``@latest``.

        Raises UsageError.
        """
        if moving(run):
            run = self.named(run)
        folder = Path(run)
        if (folder / "run.json").is_file():
            return folder.absolute()
        runs = sorted(path.parent.name for path in self._folder.glob("*/run.json"))
        matches = [name for name in runs if run and name.startswith(run)]
        if run in runs:
            matches = [run]
        if len(matches) == 1:
            return self._folder / matches[0]
        problem = "names more than one run" if matches else "names no run"
        listed = ", ".join((matches or runs)[-3:]) or "there is none yet: relkit eval SUITE"
        raise UsageError(f'"{shown(run)}" {problem}', hint=f"newest: {listed}")

    def newest_first(self) -> list[str]:
        """Return the ids of all runs: by their time, and within a second by that of the file."""
        headers = self._folder.glob("*/run.json")
        ordered = sorted(
            (path.parent.name.partition("-")[0], path.stat().st_mtime_ns, path.parent.name)
            for path in headers
        )
        return [name for *_, name in reversed(ordered)]

    def named(self, run: str, *, finished: bool = True) -> str:
        """Return the run that ``@latest`` or ``@prev`` names now.

        Raises UsageError where there is none, InvalidInput where a newer one cannot be read.
        """
        return run_at(run, self.newest_first(), self.read_header, finished=finished)

    def listed(self, *, suite: str | None, most: int) -> list[ListedRun]:
        """Return the newest runs, at most ``most`` of them; of one suite where it is named.

        What cannot be read is in the list, too, unless a suite is named.
        """
        entries = []
        for run in self.newest_first():
            try:
                header = self.read_header(run)
                if suite is not None and header.suite.name != suite:
                    continue
                report = self.read_report(run) if header.status == "finished" else None
                entries.append(listed(header, report))
            except InvalidInput:
                if suite is None:
                    entries.append(ListedRun(run=run, status="unreadable"))
            if len(entries) == most:
                break
        return entries

    def read_header(self, run: str) -> RunHeader:
        """Return a run's header; raises InvalidInput, UsageError."""
        path = self.find(run)
        source = f"{path.name}/run.json"
        data = storage.read_bytes(path / "run.json", what=source)
        return parse_run(decode(data, source=source), source=source)

    def read_report(self, run: str) -> EvalReport:
        """Return a finished run's report, checked against its recorded digest.

        Raises InvalidInput where the run is unfinished or the report was changed.
        """
        path, _, data = self._finished(run)
        return _report(path, data)

    def _finished(self, run: str) -> tuple[Path, Mapping[str, str], bytes]:
        """Return a finished run's folder, the digests of its files, and its unchanged report."""
        path = self.find(run)
        header = self.read_header(run)
        if header.status != "finished":
            raise InvalidInput(
                f"the run {path.name} is not finished",
                hint=f"finish it: relkit eval SUITE --resume {path.name}",
            )
        outputs = header.outputs
        return path, outputs, _unchanged(path / "report.json", outputs)

    def stored_report(self, run: str) -> tuple[EvalReport, bytes] | None:
        """Return a finished run's report and its bytes, None where the run is not here.

        Raises InvalidInput where the run is unfinished or the report was changed.
        """
        try:
            path, _, data = self._finished(run)
        except UsageError:
            return None
        return _report(path, data), data

    def report_bytes(self, run: str) -> bytes | None:
        """Return a run's report as it is now; None where the run or its report is not here."""
        try:
            path = self.find(run) / "report.json"
        except UsageError:  # a run of another machine
            return None
        return storage.read_bytes(path, what=f"{run}/report.json") if path.is_file() else None

    def read_outcomes(self, run: str) -> list[Outcome]:
        """Return the stored predictions of a finished run, checked against their digests.

        Raises InvalidInput where the run is unfinished or a file was changed.
        """
        path, outputs, _ = self._finished(run)
        for name in ("results.parquet", "texts.parquet"):
            _unchanged(path / name, outputs)
        return self._tables.read_outcomes(path / "results.parquet", path / "texts.parquet")

    def results(self, run: str) -> Path | None:
        """Return a finished run's results, None where only its report is left.

        Raises InvalidInput where the run is unfinished or its results were changed.
        """
        folder, outputs, _ = self._finished(run)
        path = folder / "results.parquet"
        if not path.exists():
            return None
        _unchanged(path, outputs)
        return path


def _held(path: Path) -> AbstractContextManager[None]:
    return storage.lock_file(path / ".lock", what=f"the run {path.name}")


def _report(path: Path, data: bytes) -> EvalReport:
    source = f"{path.name}/report.json"
    return parse_report(decode(data, source=source), source=source)


def _unchanged(path: Path, outputs: Mapping[str, str]) -> bytes:
    """Return a run's file; raises InvalidInput where it is not what the run wrote."""
    source = f"{path.parent.name}/{path.name}"
    data = storage.read_bytes(path, what=source)
    if outputs.get(path.name) != sha256_bytes(data):
        raise InvalidInput(f"{source}: was changed after the run", hint="run the suite again")
    return data
