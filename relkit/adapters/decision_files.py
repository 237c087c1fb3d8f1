"""Decisions of a workspace: a file each, and a log that only grows and gives them their serials."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from relkit import storage
from relkit.domain.errors import Busy
from relkit.records.decision_logs import LoggedDecision, parse_log, render_line
from relkit.records.envelopes import Envelope, render_envelope

LOG = "log.jsonl"
OVERRIDE = ".override"
_PATIENCE_S = 10.0
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the log says about a decision besides its place: all of it stands in the decision."""

    policy: str
    run: str
    verdict: str
    created: str


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
        facts: Facts,
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
                lines.append(render_line(entry))
                lines.sync()
            storage.write_bytes(target, render_envelope(envelope))
        return target, entry

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
                        storage.lock(self._folder / "log.lock", what="the log of decisions")
                    )
                except Busy:
                    if time.monotonic() > until:
                        raise
                    time.sleep(_PAUSE_S)
                else:
                    return stack.pop_all()
