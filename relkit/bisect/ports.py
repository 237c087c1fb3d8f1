"""What a search for the first bad release needs from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from relkit.bisect.types import CommandAnswer
from relkit.registry.ports import ReleaseFolder, ReleaseLedger, ReleaseStore
from relkit.registry.types import Release


class ReleaseCommand(Protocol):
    """A command that says whether a release is good."""

    def run(self, release: Release) -> int | None:
        """Return its exit code (below 0: killed by that signal), None where it took too long."""


class AnswerLog(Protocol):
    """The answers of an earlier, interrupted search, and those of this one."""

    def answers(self) -> Sequence[CommandAnswer]:
        """Return what is logged, oldest first."""

    def append(self, answer: CommandAnswer) -> None:
        """Keep an answer, safe against a kill."""


Tell = Callable[[str], None]
"""Tells people how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectPorts:
    """What a search by a command needs."""

    ledger: ReleaseLedger
    releases: ReleaseStore
    command: ReleaseCommand
    log: AnswerLog
    tell: Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPorts:
    """What a search in stored metrics reads.

    ``run_report`` gives the bytes of a run's report, None where the run is not here.
    """

    ledger: ReleaseLedger
    releases: ReleaseFolder
    run_report: Callable[[str], bytes | None]
