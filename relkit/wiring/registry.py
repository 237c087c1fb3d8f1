"""Builds what the registry needs; MLflow is never imported here."""

from functools import partial
from typing import TYPE_CHECKING

from relkit.core.config import MlflowSettings, Workspace
from relkit.wiring.stores import (
    artifact_files,
    decision_files,
    ledger_files,
    normalizer_files,
    policy_files,
    release_files,
    run_folders,
)

if TYPE_CHECKING:
    from relkit.registry.adopt import ImportRegistryOptions
    from relkit.registry.ledger import LedgerState, RecordedEvents, RegisteredRelease
    from relkit.registry.ports import Mirror, RegistryPorts
    from relkit.registry.promote import PromoteOptions, YankOptions
    from relkit.registry.register import RegisterOptions
    from relkit.registry.types import (
        Fingerprint,
        ImportedModel,
        RegistryValidation,
        RegistryVerification,
        ReleaseEvent,
    )
    from relkit.registry.verify import VerifyRegistryOptions


_NAMES = ("RELKIT_BY", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME")
"""Variables that say who acts, the first that is set."""


def registry_ports(workspace: Workspace) -> "RegistryPorts":
    """Return what the registry's verbs need."""
    from relkit.adapters.workspace import SystemClock
    from relkit.registry.ports import RegistryPorts

    environment = workspace.environment
    return RegistryPorts(
        releases=release_files(workspace),
        ledger=ledger_files(workspace),
        artifacts=artifact_files(workspace),
        clock=SystemClock(),
        actor=next((environment[name] for name in _NAMES if environment.get(name)), "unknown"),
        report=lambda run: run_folders(workspace).stored_report(run),
        decision=lambda digest: decision_files(workspace).decision(digest),
        fingerprint=partial(_fingerprint, workspace),
        mirror=mirror(workspace),
    )


def mirror(workspace: Workspace) -> "Mirror | None":
    """Return MLflow's registry where MLflow is configured; it is neither imported nor asked yet."""
    if workspace.mlflow is None:
        return None
    from relkit.adapters.mlflow.registry import MlflowRegistry

    return MlflowRegistry(
        workspace.mlflow, state=workspace.state, environment=workspace.environment
    )


def _fingerprint(workspace: Workspace, run: str) -> "Fingerprint":
    from relkit.registry.register import take_fingerprint

    return take_fingerprint(run, run_folders(workspace), normalizer_files(workspace))


def register(workspace: Workspace, options: "RegisterOptions") -> "RegisteredRelease":
    """Register a release; see :func:`relkit.registry.register.register`."""
    from relkit.registry import register as registry_register

    return registry_register.register(options, registry_ports(workspace))


def validate(workspace: Workspace, *, artifacts: bool) -> "RegistryValidation":
    """Say all that is wrong; see :func:`relkit.registry.verify.validate`."""
    from relkit.registry import verify as registry_verify

    return registry_verify.validate(registry_ports(workspace), artifacts=artifacts)


def verify(workspace: Workspace, options: "VerifyRegistryOptions") -> "RegistryVerification":
    """Prove the ledgers; see :func:`relkit.registry.verify.verify_registry`."""
    from relkit.registry import verify as registry_verify

    return registry_verify.verify_registry(options, registry_ports(workspace))


def yank(workspace: Workspace, options: "YankOptions") -> "RecordedEvents":
    """Withdraw or restore a version; see :func:`relkit.registry.promote.yank`."""
    from relkit.registry import promote as registry_yank

    return registry_yank.yank(options, registry_ports(workspace))


def history(workspace: Workspace, model: str) -> "tuple[tuple[ReleaseEvent, ...], LedgerState]":
    """Return a model's events and state; raises UsageError for an unknown model."""
    from relkit.registry.mirror import read_history

    return read_history(registry_ports(workspace), model)


def promote(workspace: Workspace, options: "PromoteOptions") -> "RecordedEvents":
    """Promote or hold; see :func:`relkit.registry.promote.promote`."""
    from relkit.registry import promote as registry_promote
    from relkit.wiring.gate import trusted_keys

    ports = registry_promote.PromotePorts(
        registry=registry_ports(workspace),
        keys=partial(trusted_keys, workspace),
        policies=policy_files(workspace),
        log=decision_files(workspace).log,
    )
    return registry_promote.promote(options, ports)


def import_models(
    workspace: Workspace, options: "ImportRegistryOptions"
) -> "tuple[ImportedModel, ...]":
    """Import a registry; see :func:`relkit.registry.adopt.import_registry`."""
    from relkit.adapters.mlflow.registry import MlflowRegistry
    from relkit.registry import adopt as registry_import

    ports = registry_import.ImportPorts(
        legacy=MlflowRegistry(
            workspace.mlflow or MlflowSettings(),
            state=workspace.state,
            environment=workspace.environment,
            uri=options.registry_uri,
        ),
        registry=registry_ports(workspace),
        locate=artifact_files(workspace).located,
    )
    return registry_import.import_registry(options, ports)


def artifact_of(workspace: Workspace, about: str) -> tuple[str, str | None]:
    """Return ``MODEL@VERSION`` and the digest of its artifact; raises UsageError, InvalidInput."""
    from relkit.core.errors import UsageError
    from relkit.core.yaml_text import shown

    model, sign, version = about.partition("@")
    if not (model and sign and version):
        raise UsageError(f'"{shown(about)}" is no release', hint="MODEL@VERSION")
    return about, release_files(workspace).read(model, version).artifact_digest
