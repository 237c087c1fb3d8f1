"""``relkit eval``: predict, score, aggregate, report; resumable at any moment.

``relkit rescore``: a new run from the predictions of an old one; nothing is decoded.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Protocol

from relkit.audio.samples import speech_bounds
from relkit.audio.types import QualityEvidence
from relkit.core.codec import encode
from relkit.core.digests import sha256_bytes
from relkit.core.errors import BackendUnavailable, InvalidInput, MissingDependency, UsageError
from relkit.core.ports import Clock, Progress
from relkit.core.values import Named
from relkit.datasets.look_alikes import look_alikes
from relkit.datasets.ports import AudioReader, DatasetStore
from relkit.datasets.selection import require_consent
from relkit.datasets.types import Unusable, UnusableReason
from relkit.evaluation.conclude import Aggregators, RunEvidence, conclude
from relkit.evaluation.conversations import check_scripts
from relkit.evaluation.converse import converse, sound_in
from relkit.evaluation.ports import (
    ContractOutcomes,
    OpenRun,
    PredictionCache,
    QualityScorer,
    RecordingFiles,
    ReportRenderer,
    RunStore,
    RunTracker,
    SystemUnderTest,
)
from relkit.evaluation.predict import predict
from relkit.evaluation.quality import QualityPorts, quality_scorer, recordings, score_quality
from relkit.evaluation.safety import check_cases
from relkit.evaluation.slicing import Cut, Plan, select
from relkit.evaluation.speak import (
    check_texts,
    recogniser_floor,
    rescored_summary,
    speak,
    speech_notes,
    speech_summary,
    spoken_clips,
)
from relkit.evaluation.suites import suite_digest
from relkit.evaluation.types import (
    EvalReport,
    ExecutorKind,
    JobCount,
    Outcome,
    RunHeader,
    Scalar,
    Suite,
)
from relkit.safety.exchanges import AgentTools
from relkit.scoring.types import Normalizer


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """What is evaluated and how: a suite by name or path, with options of its system changed.

    ``replay`` measures the conversations of another run again, and speaks to nobody.
    ``repeat`` asks for every clip so often, ``resume`` goes on with an interrupted run, ``jobs``
    processes decode, or with the ``executor`` ray actors of a cluster, ``fresh`` uses no stored
    answer, ``limit`` takes so many utterances only, ``stderr`` shows what the program of a system
    writes there, and ``allow_remote`` lets audio go to a socket on another machine.
    """

    suite: str
    system: tuple[str, ...] = ()
    repeat: int | None = None
    resume: str | None = None
    jobs: JobCount = 1
    executor: ExecutorKind = "local"
    fresh: bool = False
    limit: int | None = None
    stderr: bool = False
    allow_remote: bool = False
    replay: str | None = None


class Suites(Protocol):
    """The suites of a workspace."""

    def read(self, name: str, system: tuple[str, ...] = ()) -> Suite:
        """Return a suite by name or path, options of its system changed; raises UsageError."""


class Normalizers(Protocol):
    """The normalizers that a suite can name."""

    def read(self, name: str, digest: str | None = None) -> Normalizer:
        """Return a normalizer by name, in the version of a digest where there is one.

        Raises UsageError, InvalidInput.
        """


class FinishPorts(Protocol):
    """What writing a report and telling the tracker needs."""

    @property
    def clock(self) -> Clock:
        """What says when."""

    @property
    def renderer(self) -> ReportRenderer:
        """Makes the page that the tracker keeps."""

    @property
    def tracker(self) -> RunTracker | None:
        """Where runs are tracked, if anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalPorts:
    """What an evaluation needs from the outside; ``system`` builds what a suite names.

    ``tools`` reads the tools of an agent, by the name or path of its suite, and the suite.
    ``folders`` are where recordings of a run may lie: in it, or in one that it was measured from.
    """

    suites: Suites
    normalizers: Normalizers
    system: Callable[[Suite], SystemUnderTest]
    datasets: DatasetStore
    audio: AudioReader
    cache: PredictionCache
    runs: RunStore
    aggregators: Aggregators
    clock: Clock
    renderer: ReportRenderer
    versions: Mapping[str, str]
    tracker: RunTracker | None = None
    contracts: ContractOutcomes | None = None
    quality: QualityPorts | None = None
    tools: Callable[[str, Suite], AgentTools] | None = None
    recordings: RecordingFiles | None = None
    folders: Callable[[RunHeader], tuple[Path, ...]] = lambda _run: ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalResult:
    """A finished run's report, and what the user should know besides."""

    report: EvalReport
    warnings: tuple[str, ...] = ()


def plan(
    suite: Suite, ports: EvalPorts, *, name: str | None = None, limit: int | None = None
) -> Plan:
    """Return what a suite will do; raises InvalidInput for anything it names and is not there.

    ``name`` is how the suite was named, which may be by its path: its tools lie beside it.
    ``limit`` takes so many utterances, by the digests of their ids: the first ones, or each tenth,
    may all be of one speaker.
    Utterances without the consent they need are left out or refused, see
    :func:`relkit.datasets.selection.require_consent`.
    """
    normalizer = ports.normalizers.read(suite.normalizer)
    dataset = ports.datasets.load(suite.dataset.name, rev=suite.dataset.rev)
    if ports.contracts is not None:
        contract = ports.contracts.outcome(dataset)
        dataset = replace(dataset, version=replace(dataset.version, contract=contract))
    selected = select(dataset, suite.dataset.where)
    usable = require_consent(selected, dataset.settings.consent, dataset=dataset.version.name)
    cut = Cut.of(dataset, suite)
    tools = None
    if suite.tools is not None and ports.tools is not None:
        tools = ports.tools(name or suite.name, suite)
        check_cases(dataset, usable.utterances, tools)
    planned = Plan(
        suite=suite,
        dataset=dataset,
        utterances=usable.utterances,
        cut=cut,
        normalizer=normalizer,
        notes=(*usable.notes, *look_alikes(dataset, cut.columns)),
        tools=tools,
    )
    total = len(planned.utterances)
    if limit is None or limit >= total:
        return planned
    note = f"a smoke run: {limit} of {total} utterances (--limit); no gate passes on it"
    digests = sorted(sha256_bytes(item.id.encode()) for item in planned.utterances)[:limit]
    return replace(
        planned,
        utterances=tuple(
            item for item in planned.utterances if sha256_bytes(item.id.encode()) in digests
        ),
        notes=(note, *planned.notes),
        limit=limit,
    )


def _check_replay(options: EvalOptions) -> None:
    """Raise UsageError for options of asking, of which a run that asks nobody makes no use."""
    idle = (
        ("--system", bool(options.system)),
        ("--repeat", options.repeat is not None),
        ("--resume", options.resume is not None),
        ("--limit", options.limit is not None),
        ("--fresh", options.fresh),
        ("--executor", options.executor != "local"),
        ("--stderr", options.stderr),
        ("--allow-remote", options.allow_remote),
    )
    if named := [name for name, is_set in idle if is_set]:
        raise UsageError(
            f"--replay asks nobody: {', '.join(named)} would do nothing",
            hint=f"leave {named[0]} out",
        )


def evaluate(options: EvalOptions, ports: EvalPorts, *, progress: Progress) -> EvalResult:
    """Run a suite and return its report, or go on with an interrupted run.

    Raises UsageError for an unknown suite, InvalidInput where the run to resume was asked something
    else, BackendUnavailable where the system cannot be reached; what was answered until then stays
    in the run.
    """
    if options.replay is not None:
        _check_replay(options)
        return rescore(RescoreOptions(run=options.replay, suite=options.suite), ports)
    header = None if options.resume is None else ports.runs.read_header(options.resume)
    limit = options.limit or (None if header is None else header.limit)
    suite = ports.suites.read(options.suite, options.system)
    planned = plan(suite, ports, name=options.suite, limit=limit)
    system = ports.system(planned.suite)
    _check_recorded(planned, system)
    _check_roots(planned, system, ports.audio)
    if system.round_trip is not None:
        check_texts(planned.utterances, planned.dataset.manifest)
    scorer = quality_scorer(planned.suite.metrics, ports.quality)
    if header is None or options.resume is None:
        versions = {**ports.versions, **system.versions, **_models(scorer)}
        header = _new_header(planned, ports, system, options.repeat or 1, versions)
        opened = ports.runs.create(header)
    else:
        _check_same(header, planned, system, options.repeat or header.repeats)
        opened = ports.runs.resume(options.resume)
    with opened as run:
        run.log(ports.clock.now(), "started" if options.resume is None else "resumed")
        try:
            return _measure(run, planned, system, scorer, ports, progress)
        except BaseException as error:
            if run.begun:  # whatever ended it: the command line shows how the run goes on
                error.add_note(f"go on with: {_way_on(options, header)}")
            raise


def _way_on(options: EvalOptions, header: RunHeader) -> str:
    system = [word for option in options.system for word in ("--system", option)]
    remote = ["--allow-remote"] if options.allow_remote else []
    executor = ["--executor", options.executor] if options.executor != "local" else []
    return shlex.join(
        ["relkit", "eval", options.suite, *system, *remote, *executor, "--resume", header.run]
    )


def _measure(
    run: OpenRun,
    planned: Plan,
    system: SystemUnderTest,
    scorer: QualityScorer | None,
    ports: EvalPorts,
    progress: Progress,
) -> EvalResult:
    """Ask for what the run lacks, score it, and finish the run."""
    utterances, trip, summary = planned.utterances, system.round_trip, None
    if (held := system.conversations) is not None and ports.recordings is not None:
        outcomes, again = converse(
            run,
            planned,
            system,
            held,
            audio=ports.audio,
            recordings=ports.recordings,
            progress=progress,
        )
        return finish(run, _concluded(run, outcomes, planned, ports, held_again=again), ports)
    if trip is None:
        outcomes = predict(
            run,
            utterances,
            system,
            audio=ports.audio,
            cache=ports.cache,
            root=planned.dataset.root,
            progress=progress,
        )
        if planned.suite.task == "turn":
            return finish(run, _concluded(run, outcomes, planned, ports), ports)
        quality = _quality(planned, outcomes, scorer, ports, progress)
    else:
        outcomes = speak(
            run, utterances, trip, audio=ports.audio, cache=ports.cache, progress=progress
        )
        floor = recogniser_floor(planned, trip.recogniser, audio=ports.audio, cache=ports.cache)
        folder = str(trip.folder(run.header.run))
        quality = _quality(planned, outcomes, scorer, ports, progress, spoken_in=folder)
        summary = speech_summary(outcomes, trip.recogniser, floor)
    report = conclude(
        run,
        outcomes,
        _with_bounds(planned, ports.audio),
        ports.aggregators,
        evidence=RunEvidence(quality=quality, speech=summary),
        notes=() if summary is None else speech_notes(summary),
    )
    return finish(run, report, ports)


def _with_bounds(planned: Plan, audio: AudioReader) -> Plan:
    """Return the plan with the bounds of speech of its clips, where streams are timed by them.

    They are those of each clip's level; one that has none, or cannot be decoded, is left out.
    """
    suite = planned.suite
    if suite.task != "stream" or suite.pace == "fast":
        return planned
    bounds = {}
    for item in planned.utterances:
        clip = audio.read(planned.dataset.root, item.audio, max_s=suite.max_audio_s)
        if isinstance(clip, Unusable):
            continue
        if (spoken := speech_bounds(clip.samples, clip.sample_rate)) is not None:
            bounds[item.id] = spoken
    return replace(planned, bounds=bounds)


def _concluded(
    run: OpenRun,
    outcomes: Sequence[Outcome],
    planned: Plan,
    ports: EvalPorts,
    *,
    held_again: int = 0,
) -> EvalReport:
    """Return the report of conversations; recordings lie in the run, or in one it comes from."""
    sound = None
    if ports.recordings is not None:
        sound = sound_in(planned.suite, ports.recordings, ports.folders(run.header))
    evidence = RunEvidence(sound=sound, held_again=held_again)
    return conclude(run, outcomes, planned, ports.aggregators, evidence=evidence)


def finish(run: OpenRun, report: EvalReport, ports: FinishPorts) -> EvalResult:
    """Write the report, then tell the tracker; a tracker that is down costs a warning only."""
    now = ports.clock.now()
    run.log(now, "finished", scored=report.scored, failures=report.failures)
    run.finish(report, now)
    if ports.tracker is None:
        return EvalResult(report=report)
    try:
        page = ports.renderer.report_markdown(report)
        ports.tracker.track(report, parameters=_parameters(run.header), page=page)
    except (BackendUnavailable, MissingDependency) as error:
        hint = f" ({error.hint})" if error.hint else ""
        return EvalResult(report=report, warnings=(f"not tracked: {error.message}{hint}",))
    return EvalResult(report=report)


def _parameters(header: RunHeader) -> dict[str, Scalar]:
    """Return what a tracker shows as the run's parameters; no text of any utterance."""
    system = header.suite.system
    options = {
        f"system.{name}": value
        for name, value in encode(system).items()
        if name not in {"timeout_s", "retries"}
    }
    versions = {f"version.{name}": version for name, version in header.versions.items()}
    return {
        "suite": header.suite.name,
        **options,
        "normalizer": header.normalizer.name,
        "repeats": header.repeats,
        **versions,
        **{f"load.{name}": value for name, value in header.load.items()},
    }


def _check_recorded(planned: Plan, system: SystemUnderTest) -> None:
    """Refuse answers to utterances that the dataset does not have: they belong to other data."""
    if system.recorded is None:
        return
    unknown = system.recorded.unknown(item.id for item in planned.dataset.utterances)
    if unknown:
        name = planned.dataset.version.name
        raise InvalidInput(
            f"{len(unknown)} recorded answers have ids that {name} does not have, "
            f'such as "{unknown[0]}"',
            hint="record the answers to this dataset, or remove the others",
        )
    if planned.suite.task == "turn":
        check_scripts(planned.utterances, system.recorded.lookup)


def _check_roots(planned: Plan, system: SystemUnderTest, audio: AudioReader) -> None:
    """Refuse audio that lies in a folder of another machine, before all of it is unusable here."""
    roots = planned.dataset.settings.audio_roots
    if system.executor is None or not any(PurePath(root).is_absolute() for root in roots):
        return
    root, limit = planned.dataset.root, planned.suite.max_audio_s
    clips = (audio.read(root, item.audio, max_s=limit) for item in planned.utterances)
    if all(isinstance(c, Unusable) and c.reason is UnusableReason.MISSING for c in clips):
        name = planned.dataset.version.name
        raise InvalidInput(
            f"{name}/dataset.yaml: audio_roots names a folder of one machine, and no audio of "
            "the suite is on this one",
            hint="import the dataset again with --copy, so that its audio goes where it goes",
        )


def _quality(
    planned: Plan,
    outcomes: Sequence[Outcome],
    scorer: QualityScorer | None,
    ports: EvalPorts,
    progress: Progress,
    *,
    spoken_in: str | None = None,
) -> QualityEvidence | None:
    """Return the quality of the recordings, or of what was spoken; None where not asked for."""
    if scorer is None or ports.quality is None:
        return None
    return score_quality(
        recordings(planned.utterances, outcomes, manifest=planned.dataset.manifest)
        if spoken_in is None
        else spoken_clips(outcomes),
        scorer,
        ports.quality,
        audio=ports.audio,
        root=spoken_in or planned.dataset.root,
        max_s=planned.suite.max_audio_s,
        progress=progress,
    )


def _new_header(
    planned: Plan,
    ports: EvalPorts,
    measured: SystemUnderTest | RunHeader,
    repeats: int,
    versions: Mapping[str, str],
) -> RunHeader:
    """Return the header of a new run of a system, or of another run's predictions."""
    now = ports.clock.now()
    return RunHeader(
        run=ports.runs.new_id(now),
        created=now,
        source=measured.run if isinstance(measured, RunHeader) else None,
        suite_digest=_digest(planned),
        suite=planned.suite,
        dataset=planned.dataset.version,
        candidate=measured.candidate,
        normalizer=Named(name=planned.normalizer.name, digest=planned.normalizer.digest),
        repeats=repeats,
        load=measured.load,
        load_digest=measured.load_digest,
        versions=versions,
        limit=planned.limit,
    )


def _digest(planned: Plan) -> str:
    """Return the digest of a suite with what its tools say."""
    return suite_digest(planned.suite, None if planned.tools is None else planned.tools.digest)


def _models(scorer: QualityScorer | None) -> Mapping[str, str]:
    """Return what makes the quality scores, as versions of a run: models by their digest."""
    return {} if scorer is None else scorer.models


def _check_same(header: RunHeader, planned: Plan, system: SystemUnderTest, repeats: int) -> None:
    """Refuse to mix two evaluations in one run."""
    pairs: Sequence[tuple[str, object, object]] = (
        ("suite", header.suite_digest, _digest(planned)),
        ("system", header.candidate.digest, system.candidate.digest),
        ("dataset", header.dataset.digest, planned.dataset.version.digest),
        ("normalizer", header.normalizer.digest, planned.normalizer.digest),
        ("number of repeats", header.repeats, repeats),
        ("limit", header.limit, planned.limit),
        ("recogniser", header.versions.get("recogniser"), system.versions.get("recogniser")),
    )
    for what, before, now in pairs:
        if before != now:
            raise InvalidInput(
                f"the run {header.run} was started with another {what}",
                hint="start a new run: what the cache holds is not decoded again",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreOptions:
    """The run to score again, and by what: None for what it was scored by."""

    run: str
    normalizer: str | None = None
    suite: str | None = None


def rescore(options: RescoreOptions, ports: EvalPorts) -> EvalResult:
    """Score a finished run's predictions by another suite or normalizer, as a new run.

    The suite's references are today's, so corrected labels count. Quality metrics of the audio come
    from the cache, or from the audio. Raises InvalidInput where the
    old run lacks an utterance, or its audio has changed since.
    """
    source = ports.runs.read_header(options.run)
    suite = source.suite if options.suite is None else ports.suites.read(options.suite)
    if options.normalizer is not None:
        suite = replace(suite, normalizer=options.normalizer)
    planned = plan(
        replace(suite, system=source.suite.system), ports, name=options.suite, limit=source.limit
    )
    speaks = _check_task(source, planned)
    stored = {(item.id, item.repeat): item for item in ports.runs.read_outcomes(options.run)}
    keys = [(item.id, i) for i in range(source.repeats) for item in planned.utterances]
    if any(key not in stored for key in keys):
        raise InvalidInput(
            f"the run {source.run} holds no prediction for every utterance of the suite",
            hint="decode them: relkit eval SUITE (what the cache holds is not decoded again)",
        )
    outcomes = [stored[key] for key in keys]
    if source.dataset.digest != planned.dataset.version.digest:
        _check_audio(planned, outcomes, ports.audio)
    # What was spoken lies in the old run, and nothing else is its audio.
    scorer = None if speaks else quality_scorer(planned.suite.metrics, ports.quality)
    versions = {**source.versions, **ports.versions, **_models(scorer)}
    header = _new_header(planned, ports, source, source.repeats, versions)
    with ports.runs.create(header) as run:
        run.log(ports.clock.now(), "rescored", source=source.run)
        if planned.suite.task == "turn":
            return finish(run, _concluded(run, outcomes, planned, ports), ports)
        quality = _quality(planned, outcomes, scorer, ports, lambda _done, _total: None)
        same = source.normalizer.digest == planned.normalizer.digest
        speech, notes = rescored_summary(
            ports.runs.read_report(options.run).speech, same_text_rules=same
        )
        report = conclude(
            run,
            outcomes,
            _with_bounds(planned, ports.audio),
            ports.aggregators,
            evidence=RunEvidence(quality=quality, speech=speech),
            notes=notes,
        )
        return finish(run, report, ports)


_SPOKEN = {"tts": "texts were spoken", "turn": "conversations were held"}


def _check_task(source: RunHeader, planned: Plan) -> bool:
    """Return whether the run is one of a system that speaks; raises InvalidInput.

    What was spoken cannot be scored against another text, so its dataset has to be the same.
    """
    speaks = source.suite.task in _SPOKEN
    if source.suite.task != planned.suite.task:
        raise InvalidInput(
            f"the run {source.run} is one of the task {source.suite.task}, the suite is not",
            hint=f"choose a suite of the task {source.suite.task}",
        )
    if source.suite.recogniser != planned.suite.recogniser:
        raise InvalidInput(
            "another recogniser listened to this run than the suite names",
            hint="let it listen: relkit eval SUITE",
        )
    if speaks and source.dataset.digest != planned.dataset.version.digest:
        raise InvalidInput(
            f"the dataset has changed since its {_SPOKEN[source.suite.task]}",
            hint="speak again: relkit eval SUITE",
        )
    return speaks


def _check_audio(planned: Plan, outcomes: list[Outcome], audio: AudioReader) -> None:
    """Refuse predictions of other audio: a label may be corrected, a recording is another item."""
    dataset = planned.dataset
    by_id = {item.id: item for item in planned.utterances}
    for outcome in outcomes:
        if outcome.repeat or outcome.audio is None:
            continue
        span = by_id[outcome.id].audio
        clip = audio.read(dataset.root, span, max_s=planned.suite.max_audio_s)
        if isinstance(clip, Unusable) or clip.digest != outcome.audio:
            raise InvalidInput(
                f"{dataset.manifest}, line {by_id[outcome.id].line}: the audio is not the one that "
                "was decoded",
                hint="decode it: relkit eval SUITE",
            )
