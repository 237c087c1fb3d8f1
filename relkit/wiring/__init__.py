"""Composition root: the only place that builds adapters, each when it is needed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core import storage
from relkit.core.codec import decode, nearest
from relkit.core.config import Settings
from relkit.core.digests import digest_of
from relkit.core.errors import UsageError
from relkit.core.yaml_text import shown

if TYPE_CHECKING:
    from relkit.adapters.runs import RunFolders
    from relkit.core.ports import Progress
    from relkit.core.tokens import Segmenter
    from relkit.evaluation.evaluate import EvalPorts, EvalResult
    from relkit.evaluation.ports import RunTracker
    from relkit.evaluation.types import EvalReport, Suite
    from relkit.report.ports import Renderer
    from relkit.scoring.files import Format
    from relkit.scoring.types import Normalizer, ScoreResult, TrnOptions


def settings(start: Path) -> Settings:
    """Return the settings of the workspace at or above a folder; raises InvalidInput."""
    from relkit.adapters.workspace import find_workspace

    return find_workspace(start, os.environ)


def settings_if_any(start: Path) -> Settings | None:
    """Return the settings of the workspace at or above a folder, None where there is none."""
    from relkit.adapters.workspace import read_workspace, workspace_folder

    folder = workspace_folder(start)
    return None if folder is None else read_workspace(folder, os.environ)


def init_workspace(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Write a workspace and return (names written, what was made of it: ``git``, ``dvc``).

    The margins of its policies are those that its own data can decide.
    """
    from relkit.adapters.dvc import dvc_init
    from relkit.adapters.workspace import git_init, scaffold_source, write_scaffold
    from relkit.wiring.margins import set_margins

    written = write_scaffold(folder, scaffold_source(), prepare=set_margins)
    made = [("git", git_init(folder))]
    root = folder.absolute()
    made.append(("dvc", dvc_init(root, root / ".relkit" / "cache" / "dvc")))
    return written, tuple(name for name, done in made if done)


def score_files(
    reference: Path,
    hypothesis: Path,
    *,
    settings: Settings | None,
    format_: "Format",
    normalizer: str = "none",
    segmenter: "Segmenter" = "auto",
    trn: "TrnOptions | None" = None,
    against_jiwer: bool = False,
) -> "ScoreResult":
    """Score one file against another; see :func:`relkit.scoring.score.score_files`."""
    from relkit.scoring import score as workflow

    peer = None
    if against_jiwer:
        from relkit.adapters.libraries import jiwer_score

        peer = jiwer_score
    files = (
        workflow.ScoreFile(name=path.name, data=storage.read_bytes(path, what=path.name))
        for path in (reference, hypothesis)
    )
    return workflow.score_files(
        *files,
        format_=format_,
        normalizer=_normalizer(settings, normalizer),
        segmenter=segmenter,
        trn=trn,
        peer=peer,
    )


def score_texts(
    settings: Settings | None,
    references: Sequence[str],
    hypotheses: Sequence[str | None],
    *,
    normalizer: str = "none",
) -> "ScoreResult":
    """Score texts in memory; see :func:`relkit.scoring.score.score_texts`."""
    from relkit.scoring import score as workflow

    chosen = _normalizer(settings, normalizer)
    return workflow.score_texts(references, hypotheses, normalizer=chosen)


def evaluate(
    settings: Settings,
    suite: str,
    *,
    system: tuple[str, ...] = (),
    repeats: int | None = None,
    resume: str | None = None,
    jobs: int = 1,
    fresh: bool = False,
    progress: "Progress",
) -> "EvalResult":
    """Run a suite by name or path; see :func:`relkit.evaluation.evaluate.evaluate`."""
    from relkit.evaluation import evaluate as workflow
    from relkit.wiring.systems import system_under_test

    wanted = read_suite(settings, suite, system)
    with eval_ports(settings, jobs=jobs, fresh=fresh) as ports:
        planned = workflow.plan(wanted, normalizer(settings, wanted.normalizer), ports)
        under_test = system_under_test(settings, wanted, jobs=jobs)
        return workflow.evaluate(
            planned, under_test, ports, repeats=repeats, resume=resume, progress=progress
        )


def rescore(
    settings: Settings, run: str, *, normalizer: str | None = None, suite: str | None = None
) -> "EvalResult":
    """Score a run again; see :func:`relkit.evaluation.evaluate.rescore`."""
    from dataclasses import replace

    from relkit.evaluation import evaluate as workflow
    from relkit.evaluation.evaluate import rescore as workflow_rescore
    from relkit.evaluation.suites import with_normalizer

    header, _, _ = run_folders(settings).read_header(run)
    wanted = header.suite if suite is None else read_suite(settings, suite, ())
    if normalizer is not None:
        wanted = with_normalizer(wanted, normalizer)
    with eval_ports(settings) as ports:
        chosen = _normalizer(settings, wanted.normalizer)
        planned = workflow.plan(replace(wanted, system=header.suite.system), chosen, ports)
        return workflow_rescore(planned, run, ports)


def read_report(settings: Settings, run: str) -> "EvalReport":
    """Return the report of a finished run; raises InvalidInput, UsageError."""
    return run_folders(settings).read_report(run)


def renderer() -> "Renderer":
    """Return the renderer of pages."""
    from relkit.adapters.html import JinjaPages

    return JinjaPages()


def run_folders(settings: Settings) -> "RunFolders":
    """Return the runs of a workspace."""
    return runs_in(settings.runs)


def runs_in(folder: Path) -> "RunFolders":
    """Return the runs below a folder."""
    from relkit.adapters.results import ParquetResults
    from relkit.adapters.runs import RunFolders

    return RunFolders(folder, ParquetResults())


def read_suite(settings: Settings, name: str, system: tuple[str, ...]) -> "Suite":
    """Return a suite by its name in the suites folder, or by path; raises UsageError."""
    from relkit.evaluation.suites import parse_suite

    path = Path(name) if name.endswith((".yaml", ".yml")) else settings.suites / f"{name}.yaml"
    if not path.is_file():
        known = tuple(sorted(found.stem for found in settings.suites.glob("*.yaml")))
        raise UsageError(
            f'no suite "{shown(name)}"', hint=nearest(name, known) or "make one, or: relkit init"
        )
    source = path.name
    text = decode(storage.read_bytes(path, what=source), source=source)
    return parse_suite(text, source=source, system=system)


def normalizer(settings: Settings | None, name: str) -> "Normalizer":
    """Return a built-in normalizer, or one of the workspace's; raises UsageError."""
    from relkit.adapters.libraries import whisper_steps
    from relkit.scoring.normalizers import BUILT_IN, PURE_STEPS, built_in, parse_normalizer

    if name in ("none", "digits"):
        return built_in(name, PURE_STEPS, digest_of)
    available = {**PURE_STEPS, **whisper_steps()}
    if name in BUILT_IN:
        return built_in(name, available, digest_of)
    folder = settings.normalizers if settings is not None else None
    path = folder / f"{name}.yaml" if folder is not None else None
    if path is None or folder is None or Path(name).name != name or not path.is_file():
        own = () if folder is None else tuple(found.stem for found in folder.glob("*.yaml"))
        raise UsageError(
            f'unknown normalizer "{shown(name)}"', hint=nearest(name, (*BUILT_IN, *own))
        )
    source = f"normalizers/{path.name}"
    text = decode(storage.read_bytes(path, what=source), source=source)
    return parse_normalizer(text, source=source, available=available)


_normalizer = normalizer


@contextmanager
def eval_ports(settings: Settings, *, jobs: int = 1, fresh: bool = False) -> Iterator["EvalPorts"]:
    """Give the ports of an evaluation; what they hold open is closed with the block.

    ``jobs`` processes score the quality of audio, where a suite asks for it. ``fresh`` uses no
    answer of an earlier run.
    """
    from relkit.adapters.audio import SoundfileReader
    from relkit.adapters.caches import SqliteCache
    from relkit.adapters.duckdb.results import DuckDBSlices
    from relkit.adapters.workspace import SystemClock, versions
    from relkit.evaluation.evaluate import EvalPorts
    from relkit.wiring.contracts import contract_files
    from relkit.wiring.dataset_versions import dataset_files
    from relkit.wiring.quality import quality_ports

    with SqliteCache(settings.cache / "predictions.sqlite", fresh=fresh) as cache:
        yield EvalPorts(
            datasets=dataset_files(settings),
            audio=SoundfileReader(),
            cache=cache,
            runs=run_folders(settings),
            aggregators=DuckDBSlices,
            clock=SystemClock(),
            renderer=renderer(),
            versions=versions(),
            tracker=tracker(settings),
            contracts=contract_files(settings),
            quality=quality_ports(settings, jobs=jobs),
        )


def tracker(settings: Settings) -> "RunTracker | None":
    """Return the MLflow tracker where tracking is configured."""
    if settings.mlflow is None:
        return None
    from relkit.adapters.mlflow.tracker import MlflowTracker

    return MlflowTracker(settings.mlflow, state=settings.state, environment=settings.environment)
