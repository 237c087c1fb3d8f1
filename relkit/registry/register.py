"""``relkit registry register``: a release's file is completed, checked, kept and recorded.

The behavioural fingerprint of a vendor's model is taken then, and compared by ``verify``.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relkit.core import storage
from relkit.core.codec import decode, encode, parse, parse_json
from relkit.core.digests import JsonValue, digest_of, sha256_bytes
from relkit.core.errors import Busy, InvalidInput, UsageError
from relkit.core.wording import counted
from relkit.datasets.types import Answer
from relkit.evaluation.evaluate import Normalizers
from relkit.evaluation.ports import RunStore
from relkit.evaluation.types import EvalReport, Outcome
from relkit.registry.ledger import (
    Entry,
    LedgerState,
    RecordedEvents,
    RegisteredRelease,
    plan_registered,
    state_of,
)
from relkit.registry.mirror import entry, read_state, record
from relkit.registry.ports import RegistryPorts
from relkit.registry.promote import DECISION, REPORT, evidence_name
from relkit.registry.release_files import load_document, release_of
from relkit.registry.types import Fingerprint, Release
from relkit.scoring.types import Normalizer

PROBE = "probe.json"


def take_fingerprint(run: str, runs: RunStore, normalizers: Normalizers) -> Fingerprint:
    """Return the fingerprint of a finished run.

    Raises InvalidInput where an answer is missing or comes from the cache (neither says how the
    model behaves), and where the normalizer is no longer the run's.
    """
    report = runs.read_report(run)
    _refuse_smoke(report)
    outcomes = runs.read_outcomes(run)
    normalizer = normalizers.read(report.normalizer.name, report.normalizer.digest)
    if normalizer.digest != report.normalizer.digest:
        raise InvalidInput(
            f"the normalizer {report.normalizer.name} is no longer the one of the run {report.run}",
            hint="run the probe suite again: relkit eval SUITE",
        )
    answers: list[JsonValue] = [
        list(answer) for answer in sorted(_answers(report.run, outcomes, normalizer))
    ]
    if not answers:
        raise InvalidInput(f"the run {report.run} has no answer", hint="probe clips with speech")
    measure = {"dataset": report.dataset.digest, "normalizer": report.normalizer.digest}
    return Fingerprint(
        digest=digest_of({**measure, "answers": answers}),
        configuration=report.candidate.digest,
        dataset=report.dataset.digest,
        normalizer=report.normalizer.digest,
        clips=len(answers),
        run=report.run,
    )


def _refuse_smoke(report: EvalReport) -> None:
    if report.limit is not None:
        raise InvalidInput(
            f"{report.run} is a smoke run of {counted(report.limit, 'utterance')} (--limit)",
            hint=f"measure the release whole: relkit eval {report.suite.name}",
        )


def _answers(
    run: str, outcomes: Iterable[Outcome], normalizer: Normalizer
) -> Iterator[tuple[str, int, str]]:
    for outcome in outcomes:
        answer = None if outcome.prediction is None else outcome.prediction.outcome
        if not isinstance(answer, Answer):
            raise InvalidInput(
                f"the run {run} has no answer for every probe clip: {outcome.id} failed",
                hint="run the probe suite again when the model answers: relkit eval SUITE",
            )
        if outcome.prediction is not None and outcome.prediction.cached:
            raise InvalidInput(
                f"the run {run} has answers from the cache, which say nothing about today",
                hint="ask again: relkit eval SUITE --fresh",
            )
        yield outcome.id, outcome.repeat, (answer.text, *normalizer.stages(answer.text))[-1]


def with_fingerprint(hosted: object, fingerprint: Fingerprint) -> dict[str, object]:
    """Return the ``hosted`` part of a release's file with what a probe run says.

    Raises UsageError where the release is not hosted, InvalidInput where it says otherwise.
    """
    if not isinstance(hosted, dict):
        raise UsageError(
            "--probe is for a vendor's model, and the release is not hosted",
            hint="its artifact has a digest: leave out --probe",
        )
    says = {"configuration": fingerprint.configuration, "fingerprint": fingerprint.digest}
    for key, value in says.items():
        if hosted.get(key, value) != value:
            raise InvalidInput(
                f'the probe run {fingerprint.run} is not one of this release: "hosted.{key}" says '
                f"{hosted[key]}, the run {value}",
                hint="leave the key out, or probe the model that the release is about",
            )
    return {**hosted, **says}


def probe_problems(model: str, now: Fingerprint, ports: RegistryPorts) -> tuple[str, ...]:
    """Return in words whether a hosted model behaves as it did when it was registered.

    The release is the newest one with the run's configuration, the live one first. Raises
    UsageError where there is none, InvalidInput where the two cannot be compared.
    """
    release = _release(model, read_state(ports, model), now, ports)
    identity = release.hosted
    if identity is None or identity.fingerprint is None:
        raise UsageError(
            f"{model} {release.version} was registered without a fingerprint",
            hint="register a new version: relkit registry register RELEASE --probe RUN",
        )
    probes = (
        parse(Fingerprint, parse_json(decode(data, source=name), source=name), source=name)
        for name, data in ports.releases.evidence(model, release.version)
        if name == PROBE
    )
    then = next((probe for probe in probes if probe.digest == identity.fingerprint), None)
    for what in ("dataset", "normalizer", "clips"):
        if then is not None and getattr(then, what) != getattr(now, what):
            raise InvalidInput(
                f"the run {now.run} cannot be compared with the probe of {model} "
                f"{release.version}: its {what} is another one",
                hint="run the suite that was used at registration",
            )
    if now.digest == identity.fingerprint:
        return ()
    changed = f"{model} {release.version} answers otherwise than when it was registered"
    return (f"{changed}: fingerprint {now.digest}, not {identity.fingerprint} ({now.clips} clips)",)


def _release(model: str, state: LedgerState, now: Fingerprint, ports: RegistryPorts) -> Release:
    versions = [*([] if state.live is None else [state.live]), *reversed(tuple(state.registered))]
    for version in versions:
        release = ports.releases.read(model, version)
        if release.hosted is not None and release.hosted.configuration == now.configuration:
            return release
    raise UsageError(
        f"no hosted release of {model} has the configuration of the run {now.run}",
        hint=f"it is {now.configuration}; relkit registry history {model}",
    )


_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOptions:
    """The file of a release, and by whom it is registered (None: the actor).

    ``probe`` is a finished run of a vendor's model over fixed clips.
    """

    release: Path
    probe: str | None = None
    by: str | None = None


def register(options: RegisterOptions, ports: RegistryPorts) -> RegisteredRelease:
    """Register a release from its file, JSON or YAML.

    The digests of an artifact's files are computed; time, and a run's report and dataset, are
    filled in where the file leaves them out. The file is written first, then the event: after a
    kill between the two the same command finishes. How a probed model behaves becomes part of its
    identity. Raises InvalidInput for every defect of the file (all of them in one message) and for
    another digest of a version that is there.
    """
    source = options.release.name
    data = storage.read_bytes(options.release, what=source, hint="docs/registry.md shows one")
    probe = None if options.probe is None else ports.fingerprint(options.probe)
    by = entry(ports, options.by).by
    document, text = load_document(data, source=source)
    _complete(document, ports)
    if probe is not None:
        document["hosted"] = with_fingerprint(document.get("hosted"), probe)
    reading = release_of(document, source=source, text=text)
    if reading.release is None:
        first = reading.defects[0]
        raise InvalidInput("\n  ".join(str(defect) for defect in reading.defects), hint=first.hint)
    release = reading.release
    if (why := ports.artifacts.verify(release)) is not None and not ports.artifacts.absent(release):
        raise InvalidInput(f"{source}: the artifact does not verify: {why}")
    # Another digest is refused before anything is written.
    state = state_of(release.model, ports.ledger.events(release.model))
    plan_registered(state, release, Entry(at=release.created, by="-"))
    ports.releases.write(release)
    notes = tuple(_keep_evidence(release, ports))
    if probe is not None:
        data = (json.dumps(encode(probe), indent=2) + "\n").encode("utf-8")
        ports.releases.keep(release.model, release.version, PROBE, data)
    return RegisteredRelease(release=release, recorded=_record(release, by, ports), notes=notes)


def _record(release: Release, by: str, ports: RegistryPorts) -> RecordedEvents | None:
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
    model, version = str(document.get("model")), str(document.get("version"))
    created = ports.clock.now()
    if version in ports.releases.versions(model):  # so that registering again changes nothing
        created = ports.releases.read(model, version).created
    document.setdefault("created", created)
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
    if isinstance(run, str) and (stored := ports.report(run)) is not None:
        report, data = stored
        _refuse_smoke(report)
        document["run"] = report.run
        document.setdefault("report", sha256_bytes(data))
        dataset = report.dataset
        evaluated = {
            "dataset": dataset.name,
            "digest": dataset.digest,
            "revision": dataset.revision,
        }
        lineage = document.setdefault("lineage", [])
        if isinstance(lineage, list) and not any(
            isinstance(entry, dict) and entry.get("digest") == dataset.digest for entry in lineage
        ):
            lineage.append({key: value for key, value in evaluated.items() if value is not None})


def _keep_evidence(release: Release, ports: RegistryPorts) -> list[str]:
    """Keep the report and the decision that a release names beside it; say what is not here."""
    notes = []
    stored = None if release.run is None else ports.report(release.run)
    if release.report is not None:
        if stored is not None and sha256_bytes(stored[1]) == release.report:
            ports.releases.keep(release.model, release.version, REPORT, stored[1])
        else:
            notes.append(f"the report {release.report} is not here: put it beside the release")
    if release.decision is not None:
        decision = ports.decision(release.decision)
        if decision is None:
            notes.append(f"the decision {release.decision} is not here: put it beside the release")
        else:
            name = evidence_name(DECISION, release.decision)
            ports.releases.keep(release.model, release.version, name, decision)
    return notes
