"""Builds what signs, verifies, overrides and approves; ``cryptography`` only when it is needed."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.attestation.types import TrustedKey
from relkit.core import storage
from relkit.core.config import Workspace
from relkit.core.errors import InvalidInput
from relkit.gate.types import CheckRecord, GateDecision, Override
from relkit.wiring.stores import decision_files, workspace_if_any

if TYPE_CHECKING:
    from relkit.adapters.signing import SigningKey
    from relkit.attestation.envelopes import Envelope
    from relkit.attestation.exceptions import Said
    from relkit.attestation.verify import Verification, Wanted


CHECKS = "checks"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDecision:
    """A decision as it was written: with its serial, where, by which digest and signed by whom."""

    path: Path
    decision: GateDecision
    digest: str
    key: str | None


def trusted_keys(workspace: Workspace) -> tuple[TrustedKey, ...]:
    """Return the public keys that relkit.yaml trusts; raises InvalidInput."""
    return public_keys(workspace.trusted_keys, relative_to=workspace.folder)


def public_keys(texts: Iterable[str], *, relative_to: Path) -> tuple[TrustedKey, ...]:
    """Return public keys by path or ``ed25519:<base64>``, each once; raises InvalidInput."""
    texts = tuple(texts)
    if not texts:
        return ()
    from relkit.adapters.signing import load_public

    found = (load_public(text, relative_to=relative_to) for text in texts)
    return tuple({key.key: key for key in found}.values())


def keys_to_verify(start: Path, texts: Sequence[str]) -> tuple[TrustedKey, ...]:
    """Return the keys that were named, else those of the workspace at or above a folder.

    What was named counts alone: who pins a signer does not want another one's word.
    """
    if texts:
        return public_keys(texts, relative_to=Path())

    workspace = workspace_if_any(start)
    return () if workspace is None else trusted_keys(workspace)


def auditors_verifier() -> str:
    """Return the source of the verifier that needs no relkit."""
    from importlib.resources import files

    return (files("relkit.attestation") / "auditor.py").read_text(encoding="utf-8")


def write_decision(
    workspace: Workspace,
    decision: GateDecision,
    *,
    path: Path | None = None,
    key: Path | None = None,
) -> WrittenDecision:
    """Give a decision its serial, sign it where there is a key, and write it.

    The key is read first: a decision that cannot be signed as asked is not written at all.
    """
    from relkit.adapters.decisions import Facts
    from relkit.attestation.envelopes import Envelope
    from relkit.attestation.statements import render_statement

    signer = None if key is None else _signer(key)
    run = decision.parts[0].candidate.run if decision.parts else "none"

    def make(serial: int, previous: str | None) -> Envelope:
        numbered = replace(decision, serial=serial, previous=previous)
        envelope = Envelope(payload=render_statement(numbered))
        return envelope if signer is None else signer.sign(envelope)

    facts = Facts(
        policy=decision.policy.name,
        run=run,
        verdict=str(decision.verdict),
        created=decision.created,
    )
    written, entry = decision_files(workspace).append(facts, make, path=path)
    return WrittenDecision(
        path=written,
        decision=replace(decision, serial=entry.serial, previous=entry.previous),
        digest=entry.digest,
        key=None if signer is None else signer.public.key,
    )


def verify_file(
    path: Path, keys: Sequence[TrustedKey], wanted: "Wanted", *, now: str | None = None
) -> "Verification":
    """Return what is wrong with a signed file; raises InvalidInput where it cannot be read."""
    from relkit.attestation.verify import verify

    data = storage.read_bytes(path, what=path.name)
    return verify(data, keys, now=now or _now(), wanted=wanted, source=path.name)


def overrides_of(workspace: Workspace, decision: GateDecision) -> tuple[Override, ...]:
    """Return the overrides about the candidates of a decision; see :func:`overrides_for`."""
    digests = {
        digest
        for part in decision.parts
        for digest in (part.candidate.artifact, part.candidate.candidate)
        if digest is not None
    }
    return overrides_for(workspace, {p.candidate.run for p in decision.parts}, digests)


def overrides_for(
    workspace: Workspace, runs: Iterable[str], digests: Iterable[str] = ()
) -> tuple[Override, ...]:
    """Return every override about some runs or candidates, expired ones too, oldest first.

    ``key`` is None where no trusted key has signed it, or the file is not what was signed: such a
    one allows nothing, and is shown so that nobody takes it for one that does. What is no override
    at all is passed over.
    """
    from relkit.attestation.envelopes import parse_envelope
    from relkit.attestation.statements import parse_content
    from relkit.attestation.verify import signed_by

    keys = trusted_keys(workspace)
    wanted_runs, wanted_digests = set(runs), set(digests)
    found = []
    for name, data in decision_files(workspace).overrides():
        try:
            envelope = parse_envelope(data, source=name)
            override = parse_content(envelope.payload, Override, source=name)
        except InvalidInput:
            continue
        if wanted_runs & set(override.decision.runs) or wanted_digests & set(override.subjects):
            signers, problems = signed_by(envelope, keys)
            good = signers and not problems
            found.append(replace(override, key=signers[0] if good else None))
    return tuple(sorted(found, key=lambda one: one.created))


def read_checks(
    workspace: Workspace, names: Iterable[str], given: Mapping[str, Path]
) -> dict[str, CheckRecord | str]:
    """Return the record of each name, or why there is none that can be used.

    ``given`` maps names to files; the others are looked for below ``.relkit/checks``. A name that
    has no file is left out.
    """
    from relkit.adapters.decisions import CheckFiles
    from relkit.attestation.checks import read_check

    files = CheckFiles(workspace.state / CHECKS)
    keys = trusted_keys(workspace)
    found: dict[str, CheckRecord | str] = {}
    for name in names:
        read = files.read(name, given)
        if read is not None:
            found[name] = read_check(name, read[1], keys, source=read[0])
    return found


def override(
    workspace: Workspace, decision: Path, said: "Said", *, key: Path, output: Path | None = None
) -> tuple[Path, Override]:
    """Write a signed override of a decision; see ``plan_override``.

    The signing key is one of those that may have signed the decision.
    """
    from relkit._version import __version__
    from relkit.attestation.envelopes import Envelope
    from relkit.attestation.exceptions import plan_override
    from relkit.attestation.verify import Wanted

    signer = _signer(key)
    keys = (*trusted_keys(workspace), signer.public)
    now = _now()
    verification = verify_file(decision, keys, Wanted(unsigned=True), now=now)
    made, payload = plan_override(
        verification, said, now=now, tool_version=__version__, source=decision.name
    )
    envelope = Envelope(payload=payload)
    path = output or decision_files(workspace).override_path(decision)
    _write(path, signer.sign(envelope))
    return path, replace(made, key=signer.public.key)


def approve(
    workspace: Workspace,
    record: CheckRecord,
    *,
    key: Path,
    valid_for_s: float | None,
    output: Path | None = None,
) -> tuple[Path, CheckRecord]:
    """Sign a check and write it; see :func:`relkit.attestation.exceptions.plan_approval`."""
    from relkit.adapters.decisions import CheckFiles
    from relkit.attestation.envelopes import Envelope
    from relkit.attestation.exceptions import plan_approval
    from relkit.attestation.statements import render_statement

    signer = _signer(key)
    made = plan_approval(record, now=_now(), valid_for_s=valid_for_s)
    envelope = Envelope(payload=render_statement(made))
    path = output or CheckFiles(workspace.state / CHECKS).path(made.name)
    _write(path, signer.sign(envelope))
    return path, replace(made, digest=envelope.digest, key=signer.public.key)


def approval(
    workspace: Workspace,
    name: str,
    *,
    verdict: str,
    by: str | None,
    reason: str | None,
    run: str | None,
    key: Path,
) -> CheckRecord:
    """Return a new approval by a person, about a run's candidate where one is named.

    ``by`` falls back to the id of the key. Raises InvalidInput.
    """
    from relkit.attestation.checks import new_check

    by = by or f"key {_signer(key).public.key[:16]}"
    return new_check(
        name,
        verdict=verdict,
        by=by,
        reason=reason or f"{verdict} by {by}",
        created=_now(),
        candidate=None if run is None else candidate_digest(workspace, run),
    )


def candidate_digest(workspace: Workspace, run: str) -> str:
    """Return the digest of what a run measured: its artifact, or the system's workspace."""
    from relkit.wiring.evaluation import read_report

    report = read_report(workspace, run)
    return report.artifact_digest or report.candidate_digest


def read_record(path: Path) -> CheckRecord:
    """Return the plain check that another tool wrote; raises InvalidInput."""
    from relkit.attestation.checks import parse_check

    return parse_check(storage.read_bytes(path, what=path.name), source=path.name)


def _write(path: Path, envelope: "Envelope") -> None:
    from relkit.attestation.envelopes import render_envelope

    storage.write_bytes(path, render_envelope(envelope))


def _signer(key: Path) -> "SigningKey":
    from relkit.adapters.signing import load_private

    return load_private(key, os.environ)


def _now() -> str:
    from relkit.adapters.workspace import SystemClock

    return SystemClock().now()
