"""Writes what other systems read of a decision: JUnit XML, GitHub's summary and comment."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core import storage
from relkit.core.config import Settings
from relkit.core.errors import InvalidInput

if TYPE_CHECKING:
    from relkit.attestation.types import DecisionStatement
    from relkit.evaluation.types import EvalReport
    from relkit.gate.types import GateDecision, Override


SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file that a GitHub runner shows as the summary of a step."""


COMMENT_VARIABLE = "RELKIT_GITHUB_COMMENT"
"""Names the file that the body of a pull request comment is written to; unset: none is."""


def write(
    decision: "GateDecision",
    settings: Settings,
    *,
    junit: Path | None = None,
    github: bool = False,
    overrides: Sequence["Override"] = (),
) -> tuple[str, ...]:
    """Write what was asked for; return the lines to print to stderr, GitHub's annotations.

    A runner reads workflow commands on stderr, too, so stdout stays free for ``--json``. With
    ``github`` the summary goes to the file of ``GITHUB_STEP_SUMMARY`` and a comment's body to that
    of ``RELKIT_GITHUB_COMMENT``, where they are set. Raises StorageFailed.
    """
    if junit is not None:
        from relkit.report.junit import decision_junit

        storage.write_bytes(junit, decision_junit(decision, overrides))
    return _github(decision, settings, overrides) if github else ()


def _github(
    decision: "GateDecision", settings: Settings, overrides: Sequence["Override"]
) -> tuple[str, ...]:
    from relkit.report import github as github_summary

    if target := settings.environment.get(SUMMARY_VARIABLE):
        _append(Path(target), decision, overrides)
    if target := settings.environment.get(COMMENT_VARIABLE):
        storage.write_text(Path(target), github_summary.comment(decision, overrides))
    return github_summary.annotations(decision, overrides)


def _append(path: Path, decision: "GateDecision", overrides: Sequence["Override"]) -> None:
    """Add to a step's summary; what another command of the step wrote there takes its room."""
    from relkit.report.github import SUMMARY_BYTES, step_summary

    before = path.read_bytes() if path.is_file() else b""
    left = SUMMARY_BYTES - len(before) - 1
    page = step_summary(decision, overrides, limit=left).encode("utf-8", "replace")
    if len(page) <= left:
        storage.write_bytes(path, before + (b"\n" if before else b"") + page)


def write_report(path: Path, report: "EvalReport") -> None:
    """Write the JUnit XML of a report that no gate judged; raises StorageFailed."""
    from relkit.report.junit import report_junit

    storage.write_bytes(path, report_junit(report))


def decision_about(path: Path, run: str) -> "GateDecision":
    """Return the decision in a file; raises InvalidInput where it is about another run."""
    decision = read_decision(path).decision
    judged = [part.candidate.run for part in decision.parts]
    if run not in judged:
        raise InvalidInput(
            f"{path.name}: is a decision about {', '.join(judged) or 'no run'}, not about {run}",
            hint="name the decision of this run, or the run of this decision",
        )
    return decision


def decision_of_run(settings: Settings, path: Path | None, run: str) -> "GateDecision | None":
    """Return the decision in a file, or the newest one about a run; None where there is none."""
    if path is not None:
        return decision_about(path, run)
    from relkit.attestation.envelopes import parse_envelope
    from relkit.attestation.statements import parse_decision
    from relkit.wiring.signing import decision_files

    newest = None
    for name, data in decision_files(settings).decisions(frozenset({run})):
        newest = parse_decision(parse_envelope(data, source=name).payload, source=name).decision
    return newest


def overrides_of_run(settings: Settings, report: "EvalReport") -> "tuple[Override, ...]":
    """Return every override about a run or its candidate: each later report shows them."""
    from relkit.wiring.signing import overrides_for

    digests = (report.candidate_digest, report.artifact_digest)
    return overrides_for(settings, {report.run}, [one for one in digests if one is not None])


def overrides_markdown(settings: Settings, report: "EvalReport") -> str:
    """Return the overrides about a run as the last section of its Markdown, empty without any."""
    from relkit.core.wording import markdown
    from relkit.gate.view import override_line

    found = overrides_of_run(settings, report)
    if not found:
        return ""
    lines = [f"- {markdown(override_line(one))}" for one in found]
    return "\n".join(["", "## Overrides", "", *lines, ""])


def read_decision(path: Path) -> "DecisionStatement":
    """Return the decision in a file, for showing it; raises InvalidInput.

    Its signatures are not looked at: ``relkit verify`` does that.
    """
    from relkit.attestation.envelopes import parse_envelope
    from relkit.attestation.statements import parse_decision

    data = storage.read_bytes(path, what=path.name, hint="make one: relkit gate POLICY …")
    return parse_decision(parse_envelope(data, source=path.name).payload, source=path.name)
