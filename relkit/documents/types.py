"""What is written about a release: the part that people state, and what became of a document."""

from dataclasses import dataclass
from typing import Literal

CardFormat = Literal["markdown", "html", "pdf", "cyclonedx", "eval-results"]
DocumentFormat = Literal["markdown", "html", "pdf"]
RunbookKind = Literal[
    "rollout",
    "rollback",
    "first-hour",
    "post-release",
    "launch-review",
    "degradation",
    "handoff",
    "postmortem",
]

NOT_MEASURED = "not measured"
"""Stands for a number that no record has: never a blank, never 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDocument:
    """A document that was written: what ``card`` and ``runbook`` print with ``--json``.

    ``path`` is None where it went to standard output; ``sha256`` is of its bytes, in hex.
    ``not_measured`` and ``not_stated`` name what it has to leave open, in its own order.
    """

    path: str | None
    sha256: str
    not_measured: tuple[str, ...]
    not_stated: tuple[str, ...]
