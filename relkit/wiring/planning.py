"""Builds what a plan of a gate is made with."""

from typing import TYPE_CHECKING

from relkit.core.config import Settings
from relkit.core.errors import UsageError
from relkit.gate.types import GatePolicy
from relkit.wiring import read_suite, run_folders
from relkit.wiring.dataset_versions import dataset_files

if TYPE_CHECKING:
    from relkit.evaluation.types import Suite
    from relkit.gate.types import GatePlan


def plan_gate(
    settings: Settings,
    policy: GatePolicy | str,
    *,
    dataset: str | None = None,
    suite: str | None = None,
    baseline: str | None = None,
    candidate: str | None = None,
) -> "GatePlan":
    """Return what a policy can decide; see :func:`relkit.gate.plan_run.plan_gate`.

    Without a suite it is that of a named run, else the whole dataset is meant. Raises UsageError.
    """
    from relkit.adapters.duckdb.results import DuckDBPairs
    from relkit.gate import plan_run as workflow
    from relkit.wiring.policies import read_policy

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
