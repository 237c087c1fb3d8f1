"""The behavioural fingerprint of a vendor's model: taken at registration, compared by verify."""

import json
from collections.abc import Iterable, Iterator

from relkit.domain.errors import InvalidInput, UsageError
from relkit.domain.releases import Fingerprint, Release
from relkit.domain.reports import EvalReport
from relkit.domain.results import Outcome
from relkit.domain.utterances import Answer
from relkit.ports import Normalizer
from relkit.records.codec import encode, parse
from relkit.records.digests import JsonValue, digest_of
from relkit.records.strict import decode, parse_json
from relkit.rules.ledger import LedgerState
from relkit.workflows.registry import read_state
from relkit.workflows.registry_ports import RegistryPorts

PROBE = "probe.json"


def take_fingerprint(
    report: EvalReport, outcomes: Iterable[Outcome], normalizer: Normalizer
) -> Fingerprint:
    """Return the fingerprint of a finished run.

    Raises InvalidInput where an answer is missing or comes from the cache (neither says how the
    model behaves), and where the normalizer is no longer the run's.
    """
    if normalizer.digest != report.normalizer_digest:
        raise InvalidInput(
            f"the normalizer {report.normalizer} is no longer the one of the run {report.run}",
            hint="run the probe suite again: relkit eval SUITE",
        )
    answers: list[JsonValue] = [
        list(answer) for answer in sorted(_answers(report.run, outcomes, normalizer))
    ]
    if not answers:
        raise InvalidInput(f"the run {report.run} has no answer", hint="probe clips with speech")
    measure = {"dataset": report.dataset.digest, "normalizer": report.normalizer_digest}
    return Fingerprint(
        digest=digest_of({**measure, "answers": answers}),
        configuration=report.candidate_digest,
        dataset=report.dataset.digest,
        normalizer=report.normalizer_digest,
        clips=len(answers),
        run=report.run,
    )


def _answers(
    run: str, outcomes: Iterable[Outcome], normalizer: Normalizer
) -> Iterator[tuple[str, int, str]]:
    for one in outcomes:
        answer = None if one.prediction is None else one.prediction.outcome
        if not isinstance(answer, Answer):
            raise InvalidInput(
                f"the run {run} has no answer for every probe clip: {one.id} failed",
                hint="run the probe suite again when the model answers: relkit eval SUITE",
            )
        if one.prediction is not None and one.prediction.cached:
            raise InvalidInput(
                f"the run {run} has answers from the cache, which say nothing about today",
                hint="ask again: relkit eval SUITE --fresh",
            )
        yield one.id, one.repeat, (answer.text, *normalizer.stages(answer.text))[-1]


def with_fingerprint(hosted: object, found: Fingerprint) -> dict[str, object]:
    """Return the ``hosted`` part of a release's file with what a probe run says.

    Raises UsageError where the release is not hosted, InvalidInput where it says otherwise.
    """
    if not isinstance(hosted, dict):
        raise UsageError(
            "--probe is for a vendor's model, and the release is not hosted",
            hint="its artifact has a digest: leave out --probe",
        )
    says = {"configuration": found.configuration, "fingerprint": found.digest}
    for key, value in says.items():
        if hosted.get(key, value) != value:
            raise InvalidInput(
                f'the probe run {found.run} is not one of this release: "hosted.{key}" says '
                f"{hosted[key]}, the run {value}",
                hint="leave the key out, or probe the model that the release is about",
            )
    return {**hosted, **says}


def keep_probe(release: Release, found: Fingerprint, ports: RegistryPorts) -> None:
    """Keep what a fingerprint was taken of beside its release: digests and a count, no text."""
    text = json.dumps(encode(found), indent=2) + "\n"
    ports.releases.keep(release.model, release.version, PROBE, text.encode("utf-8"))


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
    then = _kept(release, ports)
    for what in ("dataset", "normalizer", "clips"):
        if then is not None and getattr(then, what) != getattr(now, what):
            raise InvalidInput(
                f"the run {now.run} cannot be compared with the probe of {model} "
                f"{release.version}: its {what} is another one",
                hint="run the suite that was used at registration",
            )
    if now.digest == identity.fingerprint:
        return ()
    said = f"{model} {release.version} answers otherwise than when it was registered"
    return (f"{said}: fingerprint {now.digest}, not {identity.fingerprint} ({now.clips} clips)",)


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


def _kept(release: Release, ports: RegistryPorts) -> Fingerprint | None:
    for name, data in ports.releases.evidence(release.model, release.version):
        if name == PROBE:
            document = parse_json(decode(data, source=name), source=name)
            found = parse(Fingerprint, document, source=name)
            if release.hosted is not None and found.digest == release.hosted.fingerprint:
                return found
    return None
