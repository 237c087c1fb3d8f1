"""Builds what a plan of a gate is made with."""

from typing import TYPE_CHECKING

from relkit.config import Settings
from relkit.domain.errors import UsageError
from relkit.domain.gates import GatePolicy
from relkit.wiring import read_suite, run_folders
from relkit.wiring.dataset_versions import dataset_files

if TYPE_CHECKING:
    from relkit.domain.plans import GatePlan
    from relkit.domain.suites import Suite


def plan_gate(
    settings: Settings,
    policy: GatePolicy | str,
    *,
    dataset: str | None = None,
    suite: str | None = None,
    baseline: str | None = None,
    candidate: str | None = None,
) -> "GatePlan":
    """Return what a policy can decide; see :func:`relkit.workflows.plan_gate.plan_gate`.

    Without a suite it is that of a named run, else the whole dataset is meant. Raises UsageError.
    """
    from relkit.adapters.duckdb_slices import DuckDBPairs
    from relkit.wiring.policies import read_policy
    from relkit.workflows import plan_gate as workflow

    asked = read_policy(settings, policy)[0] if isinstance(policy, str) else policy
    wanted = _suite(settings, suite, baseline or candidate)
    name = dataset or (wanted.dataset.name if wanted is not None else None)
    if name is None:
        raise UsageError(
            "a plan needs data to look at", hint="add --dataset NAME, and --suite SUITE for a part"
        )
    if wanted is not None and wanted.dataset.name != name:
        raise UsageError(
            f'the suite "{wanted.name}" is about {wanted.dataset.name}, not {name}',
            hint=f"use --dataset {wanted.dataset.name}, or another suite",
        )
    rev = None if wanted is None else wanted.dataset.rev
    return workflow.plan_gate(
        asked,
        dataset_files(settings).snapshot(name, rev=rev).dataset,
        wanted,
        workflow.PlanPorts(runs=run_folders(settings), pairs=DuckDBPairs),
        workflow.NamedRuns(baseline=baseline, candidate=candidate),
    )


def _suite(settings: Settings, suite: str | None, run: str | None) -> "Suite | None":
    if suite is not None:
        return read_suite(settings, suite, ())
    if run is not None:
        header, _, _ = run_folders(settings).read_header(run)
        return header.suite
    return None
