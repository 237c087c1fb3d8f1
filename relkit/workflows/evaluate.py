"""``relkit eval``: predict, score, aggregate, report; resumable at any moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relkit.domain.datasets import Dataset
from relkit.domain.errors import BackendUnavailable, InvalidInput, MissingDependency
from relkit.domain.reports import EvalReport
from relkit.domain.runs import RunHeader
from relkit.domain.suites import Scalar, Suite
from relkit.domain.utterances import Utterance
from relkit.ports import (
    AudioReader,
    Clock,
    DatasetStore,
    Normalizer,
    OpenRun,
    PredictionCache,
    Progress,
    Renderer,
    RunStore,
    RunTracker,
    SystemUnderTest,
)
from relkit.rules.slicing import select
from relkit.workflows.conclude import Aggregators, conclude
from relkit.workflows.predict import predict
from relkit.workflows.scoring import Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalPorts:
    """What an evaluation needs from the outside."""

    datasets: DatasetStore
    audio: AudioReader
    cache: PredictionCache
    runs: RunStore
    aggregators: Aggregators
    clock: Clock
    renderer: Renderer
    versions: Mapping[str, str]
    tracker: RunTracker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalResult:
    """A finished run's report, and what the user should know besides."""

    report: EvalReport
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A suite with everything it names found and checked; nothing has been decoded."""

    suite: Suite
    dataset: Dataset
    utterances: tuple[Utterance, ...]
    cut: Cut
    normalizer: Normalizer


def plan(suite: Suite, normalizer: Normalizer, ports: EvalPorts) -> Plan:
    """Return what a suite will do; raises InvalidInput for anything it names and is not there."""
    dataset = ports.datasets.load(suite.dataset.name, rev=suite.dataset.rev)
    return Plan(
        suite=suite,
        dataset=dataset,
        utterances=select(dataset, suite.dataset.where),
        cut=Cut.of(dataset, suite),
        normalizer=normalizer,
    )


def evaluate(
    planned: Plan,
    system: SystemUnderTest,
    ports: EvalPorts,
    *,
    repeats: int | None = None,
    resume: str | None = None,
    progress: Progress,
) -> EvalResult:
    """Run a suite and return its report; with ``resume`` go on with an interrupted run.

    Raises InvalidInput where the run to resume was asked something else, BackendUnavailable where
    the system cannot be reached; what was answered until then stays in the run.
    """
    _check_recorded(planned, system)
    if resume is None:
        header = _header(planned, system, ports, repeats or 1)
        opened = ports.runs.create(header)
    else:
        header, _, _ = ports.runs.read_header(resume)
        _check_same(header, planned, system, repeats or header.repeats)
        opened = ports.runs.resume(resume)
    with opened as run:
        run.log(ports.clock.now(), "started" if resume is None else "resumed")
        outcomes = predict(
            run,
            planned.utterances,
            system,
            audio=ports.audio,
            cache=ports.cache,
            root=planned.dataset.root,
            progress=progress,
        )
        report = conclude(
            run,
            outcomes,
            {item.id: item for item in planned.utterances},
            normalizer=planned.normalizer,
            cut=planned.cut,
            aggregators=ports.aggregators,
        )
        return finish(run, report, ports)


def finish(run: OpenRun, report: EvalReport, ports: EvalPorts) -> EvalResult:
    """Write the report, then tell the tracker; a tracker that is down costs a warning only."""
    now = ports.clock.now()
    run.log(now, "finished", scored=report.scored, failures=report.failures)
    run.finish(report, now)
    if ports.tracker is None:
        return EvalResult(report=report)
    try:
        page = ports.renderer.report_markdown(report)
        ports.tracker.track(report, parameters=parameters(run.header), page=page)
    except (BackendUnavailable, MissingDependency) as error:
        hint = f" ({error.hint})" if error.hint else ""
        return EvalResult(report=report, warnings=(f"not tracked: {error.message}{hint}",))
    return EvalResult(report=report)


def parameters(header: RunHeader) -> dict[str, Scalar]:
    """Return what a tracker shows as the run's parameters; no text of any utterance."""
    system = header.suite.system
    options = {f"system.{name}": value for name, value in system.options.items()}
    versions = {f"version.{name}": version for name, version in header.versions.items()}
    return {
        "suite": header.suite.name,
        "system.kind": system.kind,
        **options,
        "normalizer": header.normalizer,
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


def _header(planned: Plan, system: SystemUnderTest, ports: EvalPorts, repeats: int) -> RunHeader:
    now = ports.clock.now()
    return RunHeader(
        run=ports.runs.new_id(now),
        created=now,
        suite=planned.suite,
        dataset=planned.dataset.version,
        candidate=system.candidate,
        normalizer=planned.normalizer.name,
        normalizer_digest=planned.normalizer.digest,
        repeats=repeats,
        load=system.load,
        load_digest=system.load_digest,
        versions={**ports.versions, **system.versions},
    )


def _check_same(header: RunHeader, planned: Plan, system: SystemUnderTest, repeats: int) -> None:
    """Refuse to mix two evaluations in one run."""
    pairs: Sequence[tuple[str, object, object]] = (
        ("suite", header.suite.digest, planned.suite.digest),
        ("system", header.candidate.digest, system.candidate.digest),
        ("dataset", header.dataset.digest, planned.dataset.version.digest),
        ("normalizer", header.normalizer_digest, planned.normalizer.digest),
        ("number of repeats", header.repeats, repeats),
    )
    for what, before, now in pairs:
        if before != now:
            raise InvalidInput(
                f"the run {header.run} was started with another {what}",
                hint="start a new run: what the cache holds is not decoded again",
            )
