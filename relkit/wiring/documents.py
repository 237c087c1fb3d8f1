"""Builds what documents need: templates of relkit's and of the workspace, pages, paper."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from relkit.wiring.stores import (
    check_files,
    decision_files,
    policy_files,
    release_files,
    run_folders,
)

if TYPE_CHECKING:
    from relkit.core.config import Workspace
    from relkit.documents.ports import DocumentRenderer
    from relkit.documents.run import CardOptions, CardPorts
    from relkit.documents.runbooks import RunbookOptions, RunbookPorts
    from relkit.documents.types import ModelCard, WrittenDocument


def document_renderer(workspace: "Workspace | None") -> "DocumentRenderer":
    """Return what fills templates and draws pages; without a workspace with relkit's alone."""
    from relkit.adapters.documents.pages import DocumentPages

    return DocumentPages(None if workspace is None else workspace.folder)


def runbook_ports(workspace: "Workspace") -> "RunbookPorts":
    """Return the records and policies of a workspace, and what draws documents."""
    from relkit.adapters.decisions import FindingFiles
    from relkit.attestation.run import read_checks
    from relkit.core.codec import decode
    from relkit.core.storage import read_bytes
    from relkit.documents.runbooks import DEGRADATION_FILE, RunbookPorts
    from relkit.wiring.gate import signing_ports, trusted_keys
    from relkit.wiring.incident import incident_state
    from relkit.wiring.rollback import rollback_ports

    findings = FindingFiles(workspace.state / "findings", workspace.state / "checks")

    def policies() -> Iterator[tuple[str, str]]:
        files = policy_files(workspace)
        for name in files.names():
            yield f"{name}.yaml", files.text(name) or ""

    def decisions(names: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        files = decision_files(workspace)
        for entry in reversed(files.log()):
            data = files.decision(entry.digest) if entry.policy in names else None
            if data is not None:
                yield entry.digest, data

    def degradation() -> str | None:
        path = workspace.folder / DEGRADATION_FILE
        if not path.is_file():
            return None
        return decode(read_bytes(path, what=DEGRADATION_FILE), source=DEGRADATION_FILE)

    incidents = incident_state(workspace)
    return RunbookPorts(
        decisions=decisions,
        keys=partial(trusted_keys, workspace),
        incidents=lambda: ((name, incidents.issued(name)) for name in incidents.incidents()),
        degradation=degradation,
        registry=rollback_ports(workspace),
        releases=release_files(workspace),
        policies=policies,
        gates=workspace.shown(workspace.gates),
        findings=lambda: (finding for _, _, finding in findings.recorded()),
        checks=lambda names: read_checks(signing_ports(workspace), names, {}),
        documents=document_renderer(workspace),
        shown=workspace.shown,
    )


def runbook(workspace: "Workspace", options: "RunbookOptions") -> "tuple[WrittenDocument, bytes]":
    """Write a runbook; see :func:`relkit.documents.runbooks.runbook`."""
    from relkit.documents import runbooks

    return runbooks.runbook(options, runbook_ports(workspace))


def card_ports(workspace: "Workspace") -> "CardPorts":
    """Return the records of a workspace, and what draws a card."""
    from relkit._version import __version__
    from relkit.adapters.decisions import FindingFiles
    from relkit.adapters.duckdb.results import DuckDBSlices
    from relkit.attestation.run import overrides_of
    from relkit.documents.card_files import CARD
    from relkit.documents.run import CardPorts
    from relkit.rollback.run import plan_rollback
    from relkit.wiring.gate import signing_ports, trusted_keys
    from relkit.wiring.registry import registry_ports
    from relkit.wiring.rollback import rollback_ports

    rollback = rollback_ports(workspace)
    findings = FindingFiles(workspace.state / "findings", workspace.state / "checks")
    return CardPorts(
        registry=registry_ports(workspace),
        runs=run_folders(workspace),
        slices=DuckDBSlices,
        keys=partial(trusted_keys, workspace),
        overrides=partial(overrides_of, signing_ports(workspace)),
        rollback=lambda options: plan_rollback(options, rollback),
        findings=lambda: (finding for _, _, finding in findings.recorded()),
        text=partial(release_files(workspace).beside, name=CARD),
        documents=document_renderer(workspace),
        privacy=workspace.privacy,
        keep=check_files(workspace).write,
        shown=workspace.shown,
        tool_version=__version__,
    )


def card(
    workspace: "Workspace", options: "CardOptions"
) -> "tuple[WrittenDocument, bytes, ModelCard]":
    """Write the card of a release; see :func:`relkit.documents.run.card`."""
    from relkit.documents import run

    return run.card(options, card_ports(workspace))
