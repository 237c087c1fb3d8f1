"""Builds what a gate judges, plans and signs with; ``cryptography`` only when it is needed."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace
from relkit.wiring.stores import (
    check_files,
    dataset_files,
    decision_files,
    policy_files,
    run_folders,
    suite_files,
    workspace_if_any,
)

if TYPE_CHECKING:
    from relkit.attestation.exceptions import OverrideOptions
    from relkit.attestation.run import ApproveOptions, Decided, SigningPorts
    from relkit.attestation.types import TrustedKey
    from relkit.attestation.verify import Verification, VerifyOptions
    from relkit.canary.types import CanaryDecision
    from relkit.gate.plan_run import MarginPorts, PlanOptions
    from relkit.gate.plan_types import GatePlan
    from relkit.gate.run import GateOptions
    from relkit.gate.starter import StarterSummary
    from relkit.gate.types import CheckRecord, Override


def gate(workspace: Workspace, options: "GateOptions") -> "Decided":
    """Judge runs by a policy and write the decision; see :func:`relkit.attestation.run.decide`."""
    from relkit.adapters.duckdb.results import DuckDBPairs, DuckDBSlices
    from relkit.adapters.secret_keys import EVIDENCE_KEY, secret_key
    from relkit.attestation import run
    from relkit.gate.run import GatePorts

    signing = signing_ports(workspace)
    ports = GatePorts(
        policies=policy_files(workspace),
        runs=signing.runs,
        aggregators=DuckDBSlices,
        pairs=DuckDBPairs,
        records=partial(run.read_checks, signing),
        now=signing.clock.now(),
        key=secret_key(workspace.state / EVIDENCE_KEY, make=True),
    )
    return run.decide_and_write(options, ports, signing)


def signing_ports(workspace: Workspace) -> "SigningPorts":
    """Return what keeping, signing and approving need."""
    from relkit._version import __version__
    from relkit.adapters.signing import load_private
    from relkit.adapters.workspace import SystemClock
    from relkit.attestation.run import SigningPorts

    return SigningPorts(
        decisions=decision_files(workspace),
        checks=check_files(workspace),
        runs=run_folders(workspace),
        keys=partial(trusted_keys, workspace),
        signer=partial(load_private, environment=os.environ),
        clock=SystemClock(),
        tool_version=__version__,
    )


def override(workspace: Workspace, options: "OverrideOptions") -> "tuple[Path, Override]":
    """Write a signed override of a decision; see :func:`relkit.attestation.run.override`."""
    from relkit.attestation import run

    return run.override(options, signing_ports(workspace))


def approve(workspace: Workspace, options: "ApproveOptions") -> "tuple[Path, CheckRecord]":
    """Sign a check and write it; see :func:`relkit.attestation.run.approve`."""
    from relkit.attestation import run

    return run.approve(options, signing_ports(workspace))


def verify_file(
    path: Path, options: "VerifyOptions", keys: "Sequence[TrustedKey]"
) -> "Verification":
    """Return what is wrong with a signed file; see :func:`relkit.attestation.run.verify_file`."""
    from relkit.adapters.workspace import SystemClock
    from relkit.attestation import run

    return run.verify_file(path, options, keys, now=SystemClock().now())


def decision_sealer(key: Path | None) -> "Callable[[CanaryDecision], bytes]":
    """Return what makes the file of a canary decision, signed where a private key is named.

    The key is read now: raises InvalidInput, MissingDependency.
    """
    from relkit.adapters.signing import load_private
    from relkit.attestation.run import statement_file

    signer = None if key is None else load_private(key, environment=os.environ)
    return partial(statement_file, signer=signer)


def trusted_keys(workspace: Workspace) -> "tuple[TrustedKey, ...]":
    """Return the public keys that relkit.yaml trusts; raises InvalidInput."""
    from relkit.adapters.signing import load_trusted

    return load_trusted(workspace.trusted_keys, relative_to=workspace.folder)


def keys_to_verify(start: Path, texts: Sequence[str]) -> "tuple[TrustedKey, ...]":
    """Return the keys that were named, else those of the workspace at or above a folder.

    What was named counts alone: who pins a signer does not want another one's word.
    """
    from relkit.adapters.signing import load_trusted

    if texts:
        return load_trusted(texts, relative_to=Path())
    workspace = workspace_if_any(start)
    return () if workspace is None else trusted_keys(workspace)


def plan_gate(workspace: Workspace, options: "PlanOptions") -> "GatePlan":
    """Return what a policy can decide; see :func:`relkit.gate.plan_run.plan_gate`."""
    from relkit.adapters.duckdb.results import DuckDBPairs
    from relkit.gate import plan_run as workflow

    ports = workflow.PlanPorts(
        policies=policy_files(workspace),
        suites=suite_files(workspace),
        datasets=dataset_files(workspace),
        runs=run_folders(workspace),
        pairs=DuckDBPairs,
    )
    return workflow.plan_gate(options, ports)


def set_margins(folder: Path) -> dict[str, dict[str, float]]:
    """Set the margins of a workspace's policies; see :func:`relkit.gate.plan_run.set_margins`."""
    from relkit.adapters.workspace import read_workspace
    from relkit.gate import plan_run

    return plan_run.set_margins(_margin_ports(read_workspace(folder, os.environ)))


def _margin_ports(workspace: Workspace) -> "MarginPorts":
    from relkit.gate.plan_run import MarginPorts

    return MarginPorts(
        policies=policy_files(workspace),
        suites=suite_files(workspace),
        datasets=dataset_files(workspace),
    )


def write_starter(workspace: Workspace, dataset: str) -> "StarterSummary":
    """Write a suite and a policy for a dataset where there are none, and say what they can do.

    The policy's margins are those that the data can decide.
    """
    from relkit.gate.plan_run import set_margins
    from relkit.gate.starter import StarterSummary, starter_files

    ports = _margin_ports(workspace)
    files = starter_files(ports.datasets.snapshot(dataset, rev=None).dataset)
    suites, policies = suite_files(workspace), policy_files(workspace)
    written = []
    if files.suite not in suites.names():
        suites.write(files.suite, files.suite_text)
        written.append(workspace.shown(workspace.suites / f"{files.suite}.yaml"))
    margin = None
    if policies.text(files.policy) is None:
        policies.write(files.policy, files.policy_text)
        written.append(workspace.shown(workspace.gates / f"{files.policy}.yaml"))
        margins = set_margins(ports, {files.policy: files.suite})
        margin = next(iter(margins.get(files.policy, {}).values()), None)
    return StarterSummary(
        suite=files.suite,
        policy=files.policy,
        written=tuple(written),
        margin=margin,
        untested=files.untested,
    )
