"""``relkit registry register``: a release's file is completed, checked, kept and recorded."""

from dataclasses import dataclass
from typing import Any

from relkit.domain.errors import Busy, InvalidInput
from relkit.domain.releases import Fingerprint, Release
from relkit.records.digests import sha256_bytes
from relkit.records.releases import load_document, release_of
from relkit.rules.ledger import state_of
from relkit.rules.ledger_plans import Entry, plan_registered
from relkit.workflows.registry import Recorded, record
from relkit.workflows.registry_evidence import DECISION, REPORT, evidence_name
from relkit.workflows.registry_ports import RegistryPorts
from relkit.workflows.registry_probe import keep_probe, with_fingerprint

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A release that is registered; ``recorded`` is None where exactly it was before.

    ``notes`` say what it names and what is not here.
    """

    release: Release
    recorded: Recorded | None
    notes: tuple[str, ...] = ()


def register(
    data: bytes, *, source: str, by: str, ports: RegistryPorts, probe: Fingerprint | None = None
) -> Registered:
    """Register a release from the bytes of its file (JSON, or YAML by the name ``source``).

    The digests of an artifact's files are computed; time, and a run's report and dataset, are
    filled in where the file leaves them out. The file is written first, then the event: after a
    kill between the two the same command finishes. ``probe`` is how a vendor's model behaves; it
    becomes part of its identity. Raises InvalidInput for every defect of the
    file (all of them in one message) and for another digest of a version that is there.
    """
    document, text = load_document(data, source=source)
    _complete(document, ports)
    if probe is not None:
        document["hosted"] = with_fingerprint(document.get("hosted"), probe)
    found = release_of(document, source=source, text=text)
    if found.release is None:
        first = found.defects[0]
        raise InvalidInput("\n  ".join(str(one) for one in found.defects), hint=first.hint)
    release = found.release
    if (why := ports.artifacts.verify(release)) is not None and not ports.artifacts.absent(release):
        raise InvalidInput(f"{source}: the artifact does not verify: {why}")
    _refuse_other(release, ports)
    ports.releases.write(release)
    notes = tuple(_keep_evidence(release, ports))
    if probe is not None:
        keep_probe(release, probe, ports)
    return Registered(release=release, recorded=_record(release, by, ports), notes=notes)


def _refuse_other(release: Release, ports: RegistryPorts) -> None:
    """Refuse another digest before anything is written."""
    state = state_of(release.model, ports.ledger.events(release.model))
    plan_registered(state, release, Entry(at=release.created, by="-"))


def _record(release: Release, by: str, ports: RegistryPorts) -> Recorded | None:
    """Append the event; registrations commute, so that one which was overtaken is planned again."""
    for attempt in range(_ATTEMPTS):
        state = state_of(release.model, ports.ledger.events(release.model))
        planned = plan_registered(state, release, Entry(at=ports.clock.now(), by=by))
        if planned is None:
            return None
        try:
            return record(ports, planned)
        except Busy:
            if attempt == _ATTEMPTS - 1:
                raise
    return None


def _complete(document: dict[str, Any], ports: RegistryPorts) -> None:
    """Fill in what can be known; what is wrong is left for the check."""
    document.setdefault("created", _created(document, ports))
    artifact = document.get("artifact")
    if isinstance(artifact, dict) and isinstance(artifact.get("root"), str):
        if "files" not in artifact and "reference" not in artifact:
            root, files, digest = ports.artifacts.listing(artifact["root"])
            document["artifact"] = {"digest": digest, **artifact, "root": root, "files": files}
    elif isinstance(artifact, dict) and "digest" not in artifact:
        _, _, pinned = str(artifact.get("reference", "")).partition("@")
        if pinned:
            artifact["digest"] = pinned
    run = document.get("run")
    if isinstance(run, str) and (found := ports.report(run)) is not None:
        report, data = found
        document["run"] = report.run
        document.setdefault("report", sha256_bytes(data))
        dataset = report.dataset
        entry = {"dataset": dataset.name, "digest": dataset.digest, "revision": dataset.revision}
        lineage = document.setdefault("lineage", [])
        if isinstance(lineage, list) and not any(_same(one, dataset.digest) for one in lineage):
            lineage.append({key: value for key, value in entry.items() if value is not None})


def _same(entry: object, digest: str) -> bool:
    return isinstance(entry, dict) and entry.get("digest") == digest


def _created(document: dict[str, Any], ports: RegistryPorts) -> str:
    """Return the time of the release that is there, so that registering again changes nothing."""
    model, version = str(document.get("model")), str(document.get("version"))
    if version in ports.releases.versions(model):
        return ports.releases.read(model, version).created
    return ports.clock.now()


def _keep_evidence(release: Release, ports: RegistryPorts) -> list[str]:
    """Keep the report and the decision that a release names beside it; say what is not here."""
    notes = []
    found = None if release.run is None else ports.report(release.run)
    if release.report is not None:
        if found is not None and sha256_bytes(found[1]) == release.report:
            _keep(release, REPORT, found[1], ports)
        else:
            notes.append(f"the report {release.report} is not here: put it beside the release")
    if release.decision is not None:
        decision = ports.decision(release.decision)
        if decision is None:
            notes.append(f"the decision {release.decision} is not here: put it beside the release")
        else:
            _keep(release, evidence_name(DECISION, release.decision), decision, ports)
    return notes


def _keep(release: Release, name: str, data: bytes, ports: RegistryPorts) -> None:
    ports.releases.keep(release.model, release.version, name, data)
