"""Builds what ``rollback`` and ``bisect`` need; a mirror is asked when an event is safe."""

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from relkit.core.config import Workspace
from relkit.rollback import run as workflow
from relkit.rollback.target import RollbackPlan
from relkit.rollback.types import Applied
from relkit.wiring.registry import registry_ports
from relkit.wiring.stores import ledger_files, release_files, run_folders

if TYPE_CHECKING:
    from relkit.bisect.ports import Tell
    from relkit.bisect.run import BisectOptions
    from relkit.bisect.types import Bisection
    from relkit.registry.ports import RegistryPorts


def _follow(ports: "RegistryPorts", model: str) -> None:
    """Make the mirror say what the ledger says; raises BackendUnavailable."""
    from relkit.registry.mirror import follow, read_state

    if ports.mirror is not None:
        follow(ports, ports.mirror, read_state(ports, model))


def rollback_ports(workspace: Workspace) -> workflow.RollbackPorts:
    """Return the ledgers, records and artifacts of a workspace, and its mirror."""
    ports = registry_ports(workspace)
    return workflow.RollbackPorts(
        releases=ports.releases,
        ledger=ports.ledger,
        artifacts=ports.artifacts,
        clock=ports.clock,
        actor=ports.actor,
        mirror=None if ports.mirror is None else partial(_follow, ports),
    )


def rollback(
    workspace: Workspace, options: workflow.RollbackOptions
) -> tuple[RollbackPlan, Applied]:
    """Plan, and apply where asked; see :func:`relkit.rollback.run.rollback`."""
    return workflow.rollback(options, rollback_ports(workspace))


def bisect_by_command(workspace: Workspace, options: "BisectOptions", tell: "Tell") -> "Bisection":
    """Search with a command; see :func:`relkit.bisect.run.bisect_by_command`."""
    from relkit.adapters.decisions import NoLog, log_file
    from relkit.adapters.systems.command import ShellessCommand
    from relkit.bisect import run as bisect
    from relkit.bisect.ports import BisectPorts
    from relkit.bisect.types import LogHead

    releases = release_files(workspace)
    slice_ = {} if options.slice is None else {"RELKIT_SLICE": bisect.checked_slice(options.slice)}
    command = ShellessCommand(
        options.run,
        folder=workspace.folder,
        environment={**workspace.environment, **slice_},
        release_path=releases.path,
        timeout_s=options.timeout_s,
    )
    head = LogHead(model=options.model, command=options.run, on_timeout=options.on_timeout)
    with nullcontext(NoLog()) if options.log is None else log_file(options.log, head) as answers:
        ports = BisectPorts(
            ledger=ledger_files(workspace),
            releases=releases,
            command=command,
            log=answers,
            tell=tell,
        )
        return bisect.bisect_by_command(options, ports)


def bisect_by_metric(workspace: Workspace, options: "BisectOptions") -> "Bisection":
    """Search in stored metrics; see :func:`relkit.bisect.run.bisect_by_metric`."""
    from relkit.bisect import run as bisect
    from relkit.bisect.ports import MetricPorts

    ports = MetricPorts(
        ledger=ledger_files(workspace),
        releases=release_files(workspace),
        run_report=run_folders(workspace).report_bytes,
    )
    return bisect.bisect_by_metric(options, ports)
