"""What was decided and checked in a workspace, as files.

Decisions are a file each, with a log that only grows and gives them their serials; checks are a
file each, by name; the log of a search lets an interrupted one go on without asking again;
contracts lie beside the data, and their outcomes below ``.relkit/contracts``.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from relkit.attestation.checks import DecisionEntry, LoggedDecision, parse_log, render_log_line
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.bisect.run import parse_answers
from relkit.bisect.types import CommandAnswer, LogHead
from relkit.core import storage
from relkit.core.codec import decode, encode, parse, parse_json
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.core.errors import Busy, InvalidInput
from relkit.curation.files import (
    parse_contract,
    parse_outcome,
    render_contract,
    render_outcome,
)
from relkit.curation.types import Contract, ContractOutcome
from relkit.datasets.types import Dataset
from relkit.gate.types import WrittenCheck
from relkit.monitoring.types import LiveFinding

LOG = "log.jsonl"
OVERRIDE = ".override"
_PATIENCE_S = 10.0
_PAUSE_S = 0.05


class DecisionFiles:
    """The decisions below ``.relkit/decisions``."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made when something is written."""
        self._folder = folder

    def default_path(self, policy: str, run: str) -> Path:
        """Return where the decision of a policy about a candidate's run is written."""
        return self._folder / f"{policy}-{run}.json"

    def log(self) -> tuple[LoggedDecision, ...]:
        """Return the log, oldest first, without a torn last line.

        Raises InvalidInput where it does not hang together.
        """
        return parse_log(storage.read_lines(self._folder / LOG), source=LOG)

    def append(
        self,
        facts: DecisionEntry,
        make: Callable[[int, str | None], Envelope],
        *,
        path: Path | None = None,
    ) -> tuple[Path, LoggedDecision]:
        """Write a decision and return its path and log line.

        ``make`` gets the serial and the digest of the decision before, and returns the envelope;
        two processes never get the same serial. The log is written first: a kill between the two
        burns a serial and never gives one out twice. Raises Busy, InvalidInput, StorageFailed.
        """
        target = path or self.default_path(facts.policy, facts.run)
        with self._locked():
            log = self.log()
            serial = len(log) + 1
            previous = log[-1].digest if log else None
            envelope = make(serial, previous)
            entry = LoggedDecision(
                serial=serial,
                digest=envelope.digest,
                previous=previous,
                file=target.name,
                **asdict(facts),
            )
            with storage.AppendLog(self._folder / LOG) as lines:
                lines.append(render_log_line(entry))
                lines.sync()
            storage.write_bytes(target, render_envelope(envelope))
        return target, entry

    def decision(self, digest: str) -> bytes | None:
        """Return the bytes of a logged decision by its digest, None where it is not here."""
        for entry in self.log():
            path = self._folder / entry.file
            if entry.digest == digest and path.is_file():
                return path.read_bytes()
        return None

    def override_path(self, decision: Path) -> Path:
        """Return where the next override of a decision is written: beside it, never over one."""
        stem = decision.name.removesuffix(".json")
        number = 1
        while (path := decision.with_name(f"{stem}{OVERRIDE}-{number}.json")).exists():
            number += 1
        return path

    def overrides(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of every override that lies with the decisions, by name."""
        if self._folder.is_dir():
            for path in sorted(self._folder.glob(f"*{OVERRIDE}-*.json")):
                yield path.name, storage.read_bytes(path, what=path.name)

    def decisions(self, runs: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of the decisions about any of some runs, oldest first, each once."""
        names = dict.fromkeys(entry.file for entry in self.log() if entry.run in runs)
        for name in names:
            path = self._folder / name
            if path.is_file():
                yield name, storage.read_bytes(path, what=name)

    def _locked(self) -> ExitStack:
        """Return the lock, held, waiting a while for it: another gate is done in a moment."""
        until = time.monotonic() + _PATIENCE_S
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(
                        storage.lock_file(self._folder / "log.lock", what="the log of decisions")
                    )
                except Busy:
                    if time.monotonic() > until:
                        raise
                    time.sleep(_PAUSE_S)
                else:
                    return stack.pop_all()


class CheckFiles:
    """The checks below ``.relkit/checks``, and those that were given by path."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not be there."""
        self._folder = folder

    def path(self, name: str) -> Path:
        """Return where the check of a name is."""
        return self._folder / f"{name}.json"

    def read(self, name: str, paths: Mapping[str, Path]) -> tuple[str, bytes] | None:
        """Return (file name, bytes) of a check; None where there is none.

        One that was given by path has to be there: raises InvalidInput.
        """
        path = paths.get(name, self.path(name))
        if name not in paths and not path.is_file():
            return None
        return path.name, storage.read_bytes(path, what=path.name)

    def write(self, check: WrittenCheck) -> Path:
        """Write a check in place of an earlier one of its name; raises StorageFailed."""
        path = self.path(check.name)
        storage.write_bytes(path, _document(check))
        return path


class FindingFiles:
    """What was seen in live traffic, below ``.relkit/findings``: a file for each look."""

    def __init__(self, folder: Path, checks: Path) -> None:
        """Use a folder for findings, and that of the checks which a gate reads."""
        self._folder = folder
        self._checks = checks

    def write(self, finding: LiveFinding, check: Callable[[str], WrittenCheck]) -> Path:
        """Write a finding, and the check of its policy's name; raises StorageFailed.

        ``check`` makes it from the finding's digest. It is written last: it never speaks of a
        finding that is not there.
        """
        data = _document(finding)
        stem = f"{finding.policy.name}-{re.sub('[-:]', '', finding.created)}"
        folder = self._folder / finding.kind
        path, number = folder / f"{stem}.json", 1
        while path.is_file() and path.read_bytes() != data:
            number += 1
            path = folder / f"{stem}-{number}.json"
        storage.write_bytes(path, data)
        CheckFiles(self._checks).write(check(sha256_bytes(data)))
        return path

    def recorded(self) -> Iterator[tuple[str, str, LiveFinding]]:
        """Yield (name, digest, finding) of every look, by name; raises InvalidInput."""
        for path in sorted(self._folder.glob("*/*.json")):
            data = storage.read_bytes(path, what=path.name)
            document = parse_json(decode(data, source=path.name), source=path.name)
            yield path.name, sha256_bytes(data), parse(LiveFinding, document, source=path.name)


def _document(record: LiveFinding | WrittenCheck) -> bytes:
    text = json.dumps(encode(record), ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode() + b"\n"


class LogFile:
    """Implements AnswerLog with an append-only file of JSON lines."""

    def __init__(self, log: storage.AppendLog, answers: Sequence[CommandAnswer]) -> None:
        """Keep an open log and what it says already."""
        self._log = log
        self._answers = answers

    def answers(self) -> Sequence[CommandAnswer]:
        """Return what was logged before, oldest first."""
        return self._answers

    def append(self, answer: CommandAnswer) -> None:
        """Append an answer and make it durable; raises StorageFailed."""
        self._log.append(_line(answer))
        self._log.sync()


class NoLog:
    """Implements AnswerLog where nothing is kept."""

    def answers(self) -> Sequence[CommandAnswer]:
        """Return nothing."""
        return ()

    def append(self, answer: CommandAnswer) -> None:
        """Drop the answer."""


@contextmanager
def log_file(path: Path, head: LogHead) -> Iterator[LogFile]:
    """Hold the log of one search, new or begun; raises Busy, InvalidInput, StorageFailed."""
    with storage.lock_file(path.with_name(f".{path.name}.lock"), what=f"the log {path.name}"):
        lines = storage.read_lines(path)
        answers = parse_answers(lines, head=head, source=path.name)
        with storage.AppendLog(path) as log:
            if not lines:
                log.append(_line(head))
            yield LogFile(log, answers)


def _line(value: LogHead | CommandAnswer) -> str:
    return json.dumps(encode(value), ensure_ascii=False)


CONTRACT = "contract.json"


class ContractFiles:
    """Implements ContractStore."""

    def __init__(self, folder: Path) -> None:
        """Keep outcomes in ``folder``, a file per dataset digest; it need not exist yet."""
        self._folder = folder

    def read(self, dataset: Dataset) -> Contract | None:
        """Return the contract beside a dataset's manifest, None where it has none."""
        path = Path(dataset.root) / CONTRACT
        if not path.exists():
            return None
        source = _source(dataset)
        return parse_contract(storage.read_bytes(path, what=source), source=source)

    def write(self, dataset: Dataset, contract: Contract) -> str:
        """Write a first contract and return its name; raises InvalidInput where there is one."""
        path = Path(dataset.root) / CONTRACT
        if path.exists():
            raise InvalidInput(
                f"{_source(dataset)}: is there already", hint="change it, or remove it first"
            )
        storage.write_text(path, render_contract(contract))
        return _source(dataset)

    def keep(self, outcome: ContractOutcome) -> None:
        """Store an outcome, in place of an earlier one on the same data."""
        storage.write_text(self._path(outcome.dataset.digest), render_outcome(outcome))

    def outcome(self, dataset: Dataset) -> str:
        """Return ``passed``, ``failed`` or ``not_checked``.

        A stored outcome counts only for the same data and the same contract; one that cannot be
        read counts as none.
        """
        path = self._path(dataset.version.digest)
        try:
            if not path.is_file():
                return "not_checked"
            text = decode(storage.read_bytes(path, what=path.name), source=path.name)
            stored = parse_outcome(text, source=path.name)
            current = self.read(dataset)
        except InvalidInput:
            return "not_checked"
        same = current is not None and stored.contract.digest == current.digest
        same = same and stored.dataset.digest == dataset.version.digest
        return stored.outcome if same else "not_checked"

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest.removeprefix(PREFIX)}.json"


def _source(dataset: Dataset) -> str:
    return f"{dataset.version.name}/{CONTRACT}"
