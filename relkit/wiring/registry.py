"""Builds what the registry needs; MLflow is never imported here."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core import storage
from relkit.core.config import Settings
from relkit.core.errors import InvalidInput, UsageError
from relkit.registry.ledger import Entry

if TYPE_CHECKING:
    from relkit.adapters.ledgers import LedgerFiles
    from relkit.adapters.releases import ReleaseFiles
    from relkit.attestation.types import DecisionStatement
    from relkit.evaluation.types import EvalReport
    from relkit.registry.ledger import LedgerState
    from relkit.registry.mirror import Recorded
    from relkit.registry.ports import Mirror, RegistryPorts
    from relkit.registry.promote import DecisionFacts, OverrideFacts
    from relkit.registry.register import Registered
    from relkit.registry.types import ReleaseEvent
    from relkit.registry.verify import Validation, Verification


FOLDER = "registry"


_NAMES = ("RELKIT_BY", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME")
"""Variables that say who acts, the first that is set."""


def release_files(settings: Settings) -> "ReleaseFiles":
    """Return the releases of a workspace."""
    from relkit.adapters.releases import ReleaseFiles

    return ReleaseFiles(settings.workspace / FOLDER / "releases")


def ledger_files(settings: Settings) -> "LedgerFiles":
    """Return the ledgers of a workspace."""
    from relkit.adapters.ledgers import LedgerFiles

    return LedgerFiles(settings.workspace / FOLDER / "events", locks=settings.state / "locks")


def registry_ports(settings: Settings) -> "RegistryPorts":
    """Return what the registry's verbs need."""
    from relkit.adapters.releases import ArtifactFiles
    from relkit.adapters.workspace import SystemClock
    from relkit.registry.ports import RegistryPorts

    releases = release_files(settings)
    return RegistryPorts(
        releases=releases,
        ledger=ledger_files(settings),
        artifacts=ArtifactFiles(
            settings.workspace, settings.cache / "artifacts", read=releases.read
        ),
        clock=SystemClock(),
        report=lambda run: _report(settings, run),
        decision=lambda digest: _decision(settings, digest),
        mirror=mirror(settings),
    )


def mirror(settings: Settings) -> "Mirror | None":
    """Return MLflow's registry where MLflow is configured; it is neither imported nor asked yet."""
    if settings.mlflow is None:
        return None
    from relkit.adapters.mlflow.registry import MlflowRegistry

    return MlflowRegistry(settings.mlflow, state=settings.state, environment=settings.environment)


def entry(settings: Settings, by: str | None, reason: str = "") -> Entry:
    """Return who acts now and why; the name falls back to the environment's."""
    from relkit.adapters.workspace import SystemClock

    found = by or next((v for n in _NAMES if (v := settings.environment.get(n))), "unknown")
    return Entry(at=SystemClock().now(), by=found.strip(), reason=reason)


def register(
    settings: Settings, path: Path, *, by: str | None, probe: str | None = None
) -> "Registered":
    """Register a release; see :func:`relkit.registry.register.register`.

    ``probe`` is a finished run of a vendor's model over fixed clips.
    """
    from relkit.registry.register import register as workflow
    from relkit.wiring.registry_probe import fingerprint

    data = storage.read_bytes(path, what=path.name, hint="docs/registry.md shows one")
    ports = registry_ports(settings)
    taken = None if probe is None else fingerprint(settings, probe)
    return workflow(data, source=path.name, by=entry(settings, by).by, ports=ports, probe=taken)


def validate(settings: Settings, *, artifacts: bool) -> "Validation":
    """Say all that is wrong; see :func:`relkit.registry.verify.validate`."""
    from relkit.registry.verify import validate as workflow

    return workflow(registry_ports(settings), artifacts=artifacts)


def verify(
    settings: Settings,
    model: str | None,
    *,
    repair: bool,
    record: bool = False,
    by: str | None = None,
    probe: str | None = None,
) -> "Verification":
    """Prove the ledgers; see :func:`relkit.registry.verify.verify`.

    ``record`` notes what verified in the ledger, where nothing is wrong. ``probe`` is a finished
    run over the clips that ``model``, a vendor's, was probed with when it was registered.
    """
    from dataclasses import replace

    from relkit.registry.register import probe_problems
    from relkit.registry.verify import record_verified
    from relkit.registry.verify import verify as workflow
    from relkit.wiring.registry_probe import fingerprint

    ports = registry_ports(settings)
    if probe is not None and model is None:
        raise UsageError("--probe needs the model that was probed", hint="name it: MODEL")
    taken = None if probe is None else fingerprint(settings, probe)
    found = workflow(ports, model, repair=repair)
    if taken is not None and model is not None:
        changed = probe_problems(model, taken, ports)
        found = replace(found, problems=(*found.problems, *changed))
    if not record or found.problems:
        return found
    recorded = record_verified(ports, found.models, entry=entry(settings, by))
    return replace(found, recorded=recorded)


def yank(
    settings: Settings, model: str, version: str, *, by: str | None, reason: str, restore: bool
) -> "Recorded":
    """Withdraw or restore a version; see :func:`relkit.registry.promote.yank`."""
    from relkit.registry.promote import yank as workflow

    ports = registry_ports(settings)
    return workflow(model, version, ports, entry=entry(settings, by, reason), restore=restore)


def history(settings: Settings, model: str) -> "tuple[tuple[ReleaseEvent, ...], LedgerState]":
    """Return a model's events and state; raises UsageError for an unknown model."""
    from relkit.registry.mirror import read_history

    return read_history(registry_ports(settings), model)


def promote(
    settings: Settings,
    model: str,
    version: str,
    *,
    decision: Path,
    override: Path | None = None,
    share: float | None = None,
    by: str | None = None,
    reason: str = "",
) -> "Recorded":
    """Promote by a decision; see :func:`relkit.registry.promote.promote`."""
    from relkit.registry.promote import Evidence
    from relkit.registry.promote import promote as workflow

    evidence = Evidence(
        name=decision.name,
        facts=read_decision(settings, decision),
        data=storage.read_bytes(decision, what=decision.name),
        override=None if override is None else read_override(settings, override),
        override_data=b"" if override is None else override.read_bytes(),
    )
    return workflow(
        model,
        version,
        evidence,
        registry_ports(settings),
        entry=lambda default: entry(settings, by, reason or default),
        share=share,
    )


def hold(
    settings: Settings,
    model: str,
    version: str,
    *,
    share: float | None,
    by: str | None,
    reason: str,
) -> "Recorded":
    """Hold a canary; see :func:`relkit.registry.promote.hold`."""
    from relkit.registry.promote import hold as workflow

    ports = registry_ports(settings)
    return workflow(model, version, ports, entry=entry(settings, by, reason), share=share)


def read_decision(settings: Settings, path: Path) -> "DecisionFacts":
    """Return what is known of a decision's file; raises InvalidInput where it is none.

    The one place that knows how decisions are verified: :mod:`relkit.attestation.verify`.
    """
    from relkit.attestation.types import DecisionStatement
    from relkit.attestation.verify import Wanted
    from relkit.registry.promote import DecisionFacts
    from relkit.wiring.policies import read_policy
    from relkit.wiring.signing import trusted_keys, verify_file

    found = verify_file(path, trusted_keys(settings), Wanted(unsigned=True))
    if not isinstance(found.content, DecisionStatement) or found.digest is None:
        why = "; ".join(found.problems) or f"is a signed {found.kind}"
        raise InvalidInput(
            f"{path.name}: is no decision that can be believed: {why}",
            hint="make one: relkit gate POLICY …",
        )
    decision = found.content.decision
    policy = None
    with suppress(UsageError):
        policy, _ = read_policy(settings, decision.policy)
    return DecisionFacts(
        decision=decision,
        digest=found.digest,
        problems=found.problems,
        signed=bool(found.signers),
        policy=None if policy is None else policy.digest,
        signature=policy is not None and policy.signature,
        newer=next(_newer(settings, decision.policy, decision.serial, found.content), None),
    )


def read_override(settings: Settings, path: Path) -> "OverrideFacts":
    """Return what is known of an override's file; raises InvalidInput where it is none."""
    from relkit.attestation.verify import Wanted
    from relkit.gate.types import Override
    from relkit.registry.promote import OverrideFacts
    from relkit.wiring.signing import trusted_keys, verify_file

    found = verify_file(path, trusted_keys(settings), Wanted())
    if not isinstance(found.content, Override) or found.digest is None:
        why = "; ".join(found.problems) or f"is a signed {found.kind}"
        raise InvalidInput(f"{path.name}: is no override that can be believed: {why}")
    return OverrideFacts(override=found.content, digest=found.digest, problems=found.problems)


def _newer(
    settings: Settings, policy: str, serial: int, content: "DecisionStatement"
) -> Iterator[str]:
    """Yield later decisions of the same policy about the same run that stand in the log."""
    from relkit.wiring.signing import decision_files

    runs = {part.candidate.run for part in content.decision.parts}
    for logged in decision_files(settings).log():
        if logged.serial > serial and logged.policy == policy and logged.run in runs:
            yield f"{logged.file} (serial {logged.serial}, {logged.verdict})"


def _report(settings: Settings, run: str) -> "tuple[EvalReport, bytes] | None":
    """Return a finished run's report and its bytes, None where the run is not here."""
    from relkit.wiring import run_folders

    runs = run_folders(settings)
    try:
        folder = runs.find(run)
    except UsageError:
        return None
    report = runs.read_report(run)
    return report, storage.read_bytes(folder / "report.json", what=f"{run}: report.json")


def _decision(settings: Settings, digest: str) -> bytes | None:
    """Return the bytes of a decision of the workspace by its digest, None where it is not here."""
    from relkit.wiring.signing import DECISIONS, decision_files

    for logged in decision_files(settings).log():
        path = settings.state / DECISIONS / logged.file
        if logged.digest == digest and path.is_file():
            return path.read_bytes()
    return None
