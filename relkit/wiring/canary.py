"""Builds what ``relkit canary`` needs."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace
from relkit.wiring.stores import monitor_files
from relkit.wiring.telemetry import open_turns

if TYPE_CHECKING:
    from relkit.canary.run import (
        CanaryOptions,
        CanaryPlanOptions,
        CanaryPorts,
        MergeOptions,
    )
    from relkit.canary.types import CanaryPlan, JudgedCanary


def canary_ports(
    workspace: Workspace, key: Path | None = None, sign: Path | None = None
) -> "CanaryPorts":
    """Return the policies, states, telemetry and ledgers of a workspace.

    Decisions are signed with the private key ``sign``. It is read here, before any turn is: a
    decision that cannot be signed as asked is not made, and no state goes on without it.
    """
    from relkit._version import __version__
    from relkit.adapters.canaries import CanaryStateFiles
    from relkit.adapters.duckdb.canary import DigestedFiles, fold_turns, sample_units
    from relkit.adapters.secret_keys import TELEMETRY_KEY, secret_key
    from relkit.canary.policies import parse_canary_policy
    from relkit.canary.run import CanaryPorts
    from relkit.registry.canary import LedgerCanaries
    from relkit.wiring.gate import decision_sealer
    from relkit.wiring.registry import registry_ports

    return CanaryPorts(
        policy=lambda name: monitor_files(workspace).read(name, parse_canary_policy),
        fold=partial(fold_turns, open_turns=open_turns),
        sample=partial(sample_units, open_turns=open_turns),
        files=DigestedFiles(open_turns),
        states=CanaryStateFiles(workspace.state / "canary"),
        ledgers=LedgerCanaries(registry_ports(workspace)),
        key=partial(secret_key, key or workspace.state / TELEMETRY_KEY, make=key is None),
        shown=workspace.shown,
        tool_version=__version__,
        sealed=decision_sealer(sign),
    )


def judge_canary_telemetry(
    workspace: Workspace, options: "CanaryOptions", key: Path | None, sign: Path | None = None
) -> "JudgedCanary":
    """Judge telemetry; see :func:`relkit.canary.run.judge_telemetry`."""
    from relkit.canary.run import judge_telemetry

    return judge_telemetry(options, canary_ports(workspace, key, sign))


def merge_canary_states(
    workspace: Workspace, options: "MergeOptions", key: Path | None, sign: Path | None = None
) -> "JudgedCanary":
    """Join the states of shards; see :func:`relkit.canary.run.merge_states`."""
    from relkit.canary.run import merge_states

    return merge_states(options, canary_ports(workspace, key, sign))


def plan_canary_rollout(workspace: Workspace, options: "CanaryPlanOptions") -> "CanaryPlan":
    """Return what a policy can find; see :func:`relkit.canary.run.plan_rollout`."""
    from relkit.canary.run import plan_rollout

    return plan_rollout(options, canary_ports(workspace))
