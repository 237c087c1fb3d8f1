"""Builds what evaluating, scoring, showing and comparing runs need."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core import storage
from relkit.core.config import Workspace
from relkit.wiring.stores import (
    contract_files,
    dataset_files,
    normalizer_files,
    run_folders,
    suite_files,
)

if TYPE_CHECKING:
    from relkit.adapters.recordings import Channel
    from relkit.adapters.runs import RunFolders
    from relkit.comparison.compare import CompareOptions
    from relkit.comparison.ports import Rows
    from relkit.comparison.types import CompareReport, Row
    from relkit.conversation.types import MeasuredConversation, SoundSpan
    from relkit.core.ports import Progress
    from relkit.evaluation.evaluate import EvalOptions, EvalPorts, EvalResult, RescoreOptions
    from relkit.evaluation.listing import ListedRun
    from relkit.evaluation.ports import RecordingFiles, RunTracker
    from relkit.evaluation.types import EvalReport, ExecutorKind, JobCount, RunHeader
    from relkit.report.ports import Renderer
    from relkit.report.run import PagePorts, ReportOptions
    from relkit.report.shared_numbers import Sharing
    from relkit.report.types import Page, SharedDocument
    from relkit.safety.exchanges import AgentTools
    from relkit.safety.tool_files import ToolFile
    from relkit.scoring.run import ScoreOptions
    from relkit.scoring.types import ScoreResult


def renderer() -> "Renderer":
    """Return the renderer of pages."""
    from relkit.adapters.html import JinjaPages

    return JinjaPages()


def tracker(workspace: Workspace) -> "RunTracker | None":
    """Return the MLflow tracker where tracking is configured."""
    if workspace.mlflow is None:
        return None
    from relkit.adapters.mlflow.tracker import MlflowTracker

    return MlflowTracker(workspace.mlflow, state=workspace.state, environment=workspace.environment)


def score_files(workspace: Workspace | None, options: "ScoreOptions") -> "ScoreResult":
    """Score one file against another; see :func:`relkit.scoring.run.score_files`."""
    from relkit.scoring import run as workflow

    peer = None
    if options.against_jiwer:
        from relkit.adapters.libraries import jiwer_score

        peer = jiwer_score
    reference, hypothesis = (
        workflow.ScoreFile(name=path.name, data=storage.read_bytes(path, what=path.name))
        for path in (options.reference, options.hypothesis)
    )
    return workflow.score_files(
        reference,
        hypothesis,
        format_=options.format,
        normalizer=normalizer_files(workspace).read(options.normalizer),
        trn=options.trn,
        peer=peer,
    )


def score_texts(
    workspace: Workspace | None,
    references: Sequence[str],
    hypotheses: Sequence[str | None],
    normalizer: str,
) -> "ScoreResult":
    """Score texts in memory; see :func:`relkit.scoring.run.score_texts`."""
    from relkit.scoring import run as workflow

    chosen = normalizer_files(workspace).read(normalizer)
    return workflow.score_texts(references, hypotheses, normalizer=chosen)


@contextmanager
def eval_ports(
    workspace: Workspace,
    *,
    jobs: "JobCount" = 1,
    executor: "ExecutorKind" = "local",
    fresh: bool = False,
    show_stderr: bool = False,
    allow_remote: bool = False,
) -> Iterator["EvalPorts"]:
    """Give the ports of an evaluation; what they hold open is closed with the block.

    ``jobs`` processes decode, or with the ``executor`` ray actors of a cluster; processes score the
    quality of audio where a suite asks for it. ``fresh`` uses no answer of an earlier run,
    ``show_stderr`` shows what a program complains about, ``allow_remote`` lets a suite name a
    socket on another machine.
    """
    from relkit.adapters.audio import SoundfileReader
    from relkit.adapters.caches import SqlitePredictionCache
    from relkit.adapters.duckdb.results import DuckDBSlices
    from relkit.adapters.workspace import SystemClock, versions
    from relkit.evaluation.evaluate import EvalPorts
    from relkit.wiring.systems import Workers, quality_ports, system_under_test

    suites = suite_files(workspace)
    workers = Workers(jobs, executor, workspace.environment)
    predictions = SqlitePredictionCache(workspace.cache / "predictions.sqlite", fresh=fresh)
    with predictions as cache, closing(workers):
        yield EvalPorts(
            suites=suites,
            normalizers=normalizer_files(workspace),
            system=partial(
                system_under_test,
                workspace,
                workers=workers,
                show_stderr=show_stderr,
                allow_remote=allow_remote,
            ),
            datasets=dataset_files(workspace),
            audio=SoundfileReader(),
            cache=cache,
            runs=run_folders(workspace),
            aggregators=DuckDBSlices,
            clock=SystemClock(),
            renderer=renderer(),
            versions=versions(),
            tracker=tracker(workspace),
            contracts=contract_files(workspace),
            quality=quality_ports(workspace, jobs=Workers(jobs).count),
            tools=lambda name, suite: agent_tools(suites.tools(name, suite)),
            recordings=recording_files(workspace, fresh=fresh),
            folders=partial(recording_folders, workspace),
        )


def recording_folders(workspace: Workspace, header: "RunHeader") -> tuple[Path, ...]:
    """Return where recordings of a run may lie: in it, in those it was measured from, or here."""
    folders = run_folders(workspace)
    named, source = [header.run], header.source
    while source is not None and source not in named:
        named.append(source)
        source = folders.read_header(source).source
    return (*(folders.find(run) for run in named), workspace.folder)


def recording_files(workspace: Workspace, *, fresh: bool = False) -> "RecordingFiles":
    """Return the recordings of conversations; ``fresh`` uses none of an earlier run."""
    from relkit.adapters.recordings import RecordingFolder

    return RecordingFolder(
        workspace.cache / "recordings", resample=_resampled, speech=_speech, fresh=fresh
    )


def _resampled(samples: "Channel", source_rate: int, target_rate: int) -> "Channel":
    from relkit.adapters.voice_activity import Resampler

    return Resampler(source_rate, target_rate).all_of(samples)


def _speech(samples: "Channel", sample_rate: int, bridge_ms: float) -> "Sequence[SoundSpan]":
    from relkit.adapters.voice_activity import SileroVad

    return SileroVad().speech(samples, sample_rate, bridge_ms=bridge_ms)


def agent_tools(file: "ToolFile") -> "AgentTools":
    """Return the tools of an agent with their schemas compiled; raises InvalidInput."""
    from relkit.adapters.json_schemas import JsonSchemas
    from relkit.safety.exchanges import AgentTools

    return AgentTools(table=file.table, digest=file.digest, accepts=JsonSchemas(file).accepts)


def evaluate(workspace: Workspace, options: "EvalOptions", progress: "Progress") -> "EvalResult":
    """Run a suite; see :func:`relkit.evaluation.evaluate.evaluate`."""
    from relkit.evaluation import evaluate as workflow

    with eval_ports(
        workspace,
        jobs=options.jobs,
        executor=options.executor,
        fresh=options.fresh,
        show_stderr=options.stderr,
        allow_remote=options.allow_remote,
    ) as ports:
        return workflow.evaluate(options, ports, progress=progress)


def rescore(workspace: Workspace, options: "RescoreOptions") -> "EvalResult":
    """Score a run again; see :func:`relkit.evaluation.evaluate.rescore`."""
    from relkit.evaluation import evaluate as workflow

    with eval_ports(workspace) as ports:
        return workflow.rescore(options, ports)


def list_runs(workspace: Workspace, *, suite: str | None, most: int) -> "list[ListedRun]":
    """Return the newest runs of a workspace; see :mod:`relkit.evaluation.listing`."""
    return run_folders(workspace).listed(suite=suite, most=most)


def read_report(workspace: Workspace, run: str) -> "EvalReport":
    """Return the report of a finished run; raises InvalidInput, UsageError."""
    return run_folders(workspace).read_report(run)


def report_page(workspace: Workspace, options: "ReportOptions") -> "Page":
    """Return a run's page; see :func:`relkit.report.run.report_page`."""
    from relkit.report import run

    return run.report_page(options, _page_ports(workspace))


def report_markdown(workspace: Workspace, run: str) -> str:
    """Return a run as Markdown; see :func:`relkit.report.run.report_markdown`."""
    from relkit.report import run as workflow

    return workflow.report_markdown(run, _page_ports(workspace), renderer())


def junit_xml(workspace: Workspace, run: str, decision: Path | None) -> bytes:
    """Return a run or a decision about it as JUnit XML; see :func:`relkit.report.run.junit_xml`."""
    from relkit.report import run as workflow

    return workflow.junit_xml(run, decision, _page_ports(workspace))


def sharing_of(workspace: Workspace | None, runs: "Sequence[str]" = ()) -> "Sharing | None":
    """Return what may leave the team of some runs; None where CI systems are the team's own.

    Outside of a workspace nothing has a name. A run that cannot be read has no locked values.
    """
    from relkit.adapters.workspace import stricter
    from relkit.core.config import Privacy
    from relkit.core.errors import InvalidInput
    from relkit.report.shared_numbers import Sharing

    privacy = stricter(Privacy(), os.environ) if workspace is None else workspace.privacy
    if privacy.ci == "internal":
        return None
    registered = {}
    for run in runs:
        if workspace is not None:
            with suppress(InvalidInput):
                registered[run] = read_report(workspace, run).registered or {}
    return Sharing(privacy=privacy, registered=registered)


def shared_documents(
    workspace: Workspace, run: str, decision: Path | None, sharing: "Sharing"
) -> "tuple[SharedDocument, ...]":
    """Return what may leave the team of a run; see :func:`relkit.report.run.shared_documents`."""
    from relkit.report import run as workflow

    return workflow.shared_documents(run, decision, _page_ports(workspace), sharing)


def _page_ports(workspace: Workspace) -> "PagePorts":
    from relkit.adapters.audio import MEDIA_TYPE, SoundfileReader, flac
    from relkit.adapters.duckdb.results import DuckDBSlices
    from relkit.attestation.run import decision_about, overrides_of_run
    from relkit.report.run import PagePorts
    from relkit.wiring.gate import signing_ports

    signing = signing_ports(workspace)
    folders = run_folders(workspace)
    return PagePorts(
        runs=folders,
        rows=_rows(folders),
        datasets=dataset_files(workspace),
        audio=SoundfileReader(),
        encode=flac,
        media_type=MEDIA_TYPE,
        decision=partial(decision_about, signing),
        overrides=partial(overrides_of_run, signing),
        compare=partial(compare, workspace),
        slices=DuckDBSlices,
        conversations=partial(_conversations_of, workspace),
        recording=partial(_recording_of, workspace),
        normalizers=normalizer_files(workspace),
    )


def _recording_of(workspace: Workspace, header: "RunHeader", path: str) -> bytes | None:
    """Return the recording of a run by its path in it; None where it is not there any more."""
    for folder in recording_folders(workspace, header)[:-1]:
        if (folder / path).is_file() and ".." not in Path(path).parts:
            return (folder / path).read_bytes()
    return None


def _conversations_of(
    workspace: Workspace, header: "RunHeader"
) -> "tuple[MeasuredConversation, ...] | None":
    """Return the conversations that a run held; None where its dataset is another now."""
    from relkit.evaluation.conversations import measured_conversations
    from relkit.evaluation.converse import sound_in

    folders = run_folders(workspace)
    dataset = dataset_files(workspace).load(header.dataset.name, rev=header.suite.dataset.rev)
    if dataset.version.digest != header.dataset.digest:
        return None
    places = recording_folders(workspace, header)
    return measured_conversations(
        folders.read_outcomes(header.run),
        {item.id: item for item in dataset.utterances},
        header.suite,
        sound_in(header.suite, recording_files(workspace), places),
    )


def compare(workspace: Workspace, options: "CompareOptions") -> "CompareReport":
    """Return where two runs differ; see :func:`relkit.comparison.compare.compare`."""
    from relkit.adapters.duckdb.results import DuckDBPairs
    from relkit.comparison import compare as workflow

    folders = run_folders(workspace)
    ports = workflow.ComparePorts(runs=folders, pairs=DuckDBPairs, rows=_rows(folders))
    return workflow.compare(options, ports)


def _rows(folders: "RunFolders") -> "Rows":
    from relkit.adapters.results import read_rows

    def rows(run: str, *, with_text: bool, with_audio: bool) -> "tuple[Row, ...]":
        outputs = folders.read_header(run).outputs
        return read_rows(folders.find(run), outputs, with_text=with_text, with_audio=with_audio)

    return rows
