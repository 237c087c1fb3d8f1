"""Where what was seen in live traffic is kept."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace

if TYPE_CHECKING:
    from relkit.monitoring.types import LiveFinding


def keep_finding(workspace: Workspace, finding: "LiveFinding") -> Path:
    """Write a finding, and the check of its policy's name that a gate reads; return its path."""
    from relkit._version import __version__
    from relkit.adapters.decisions import FindingFiles
    from relkit.attestation.checks import check_of

    files = FindingFiles(workspace.state / "findings", workspace.state / "checks")
    by = f"relkit {finding.kind} {__version__}"
    return files.write(finding, partial(check_of, finding, by=by))
