"""Writes what other systems read of a decision: JUnit XML, GitHub's summary and comment."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from relkit.core import storage
from relkit.gate.types import GateDecision, Override
from relkit.report.github import SUMMARY_BYTES, annotations, comment, step_summary
from relkit.report.junit import decision_junit

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file that a GitHub runner shows as the summary of a step."""

COMMENT_VARIABLE = "RELKIT_GITHUB_COMMENT"
"""Names the file that the body of a pull request comment is written to; unset: none is."""


def publish(
    decision: GateDecision,
    environment: Mapping[str, str],
    *,
    junit: Path | None = None,
    github: bool = False,
    overrides: Sequence[Override] = (),
) -> tuple[str, ...]:
    """Write what was asked for; return the lines to print to stderr, GitHub's annotations.

    A runner reads workflow commands on stderr, too, so stdout stays free for ``--json``. With
    ``github`` the summary goes to the file of ``GITHUB_STEP_SUMMARY`` and a comment's body to that
    of ``RELKIT_GITHUB_COMMENT``, where they are set. Raises StorageFailed.
    """
    if junit is not None:
        storage.write_bytes(junit, decision_junit(decision, overrides))
    if not github:
        return ()
    if target := environment.get(SUMMARY_VARIABLE):
        _append(Path(target), decision, overrides)
    if target := environment.get(COMMENT_VARIABLE):
        storage.write_text(Path(target), comment(decision, overrides))
    return annotations(decision, overrides)


def _append(path: Path, decision: GateDecision, overrides: Sequence[Override]) -> None:
    """Add to a step's summary; what another command of the step wrote there takes its room."""
    before = path.read_bytes() if path.is_file() else b""
    room = SUMMARY_BYTES - len(before) - 1
    page = step_summary(decision, overrides, limit=room).encode("utf-8", "replace")
    if len(page) <= room:
        storage.write_bytes(path, before + (b"\n" if before else b"") + page)
