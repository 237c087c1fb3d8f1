"""The verbs of the command line for notebooks and pipelines; nothing heavy is imported here."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relkit.comparison.types import CompareReport
    from relkit.core.config import Workspace
    from relkit.core.ports import Progress
    from relkit.evaluation.types import EvalReport
    from relkit.gate.types import GateDecision
    from relkit.monitoring.drift.types import DriftReport
    from relkit.scoring.types import ScoreResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run: its report, and its results row by row (no text)."""

    path: Path
    report: "EvalReport"

    def to_arrow(self) -> Any:  # noqa: ANN401  # pyarrow ships no types
        """Return ``results.parquet`` as an Arrow table, one row per utterance and repeat."""
        from relkit.adapters.results import read_table

        return read_table(self.path / "results.parquet")

    def to_pandas(self) -> Any:  # noqa: ANN401  # as above
        """Return the same as a pandas frame; raises MissingDependency without pandas."""
        from relkit._version import with_extra
        from relkit.core.errors import MissingDependency

        try:
            return self.to_arrow().to_pandas()
        except ModuleNotFoundError as error:
            raise MissingDependency(
                "pandas is not installed", hint=with_extra("notebook")
            ) from error


def score(
    references: Sequence[str],
    hypotheses: Sequence[str | None],
    *,
    normalizer: str = "none",
    workspace: str | Path | None = None,
) -> "ScoreResult":
    """Score hypotheses against references, position by position; None is a failure.

    ``normalizer`` is a built-in name, or one of ``workspace``'s. Raises InvalidInput where the two
    differ in length, UsageError for an unknown normalizer.
    """
    from relkit.wiring.evaluation import score_texts

    opened = None if workspace is None else _open(workspace)
    return score_texts(opened, references, hypotheses, normalizer)


def evaluate(
    suite: str,
    *,
    workspace: str | Path = ".",
    system: Sequence[str] = (),
    repeat: int | None = None,
    resume: str | None = None,
    jobs: int = 1,
    fresh: bool = False,
    limit: int | None = None,
    stderr: bool = False,
    progress: "Progress | None" = None,
) -> Run:
    """Run a suite and return the finished run; the options of ``relkit eval``.

    ``jobs`` above 1 starts processes: call it under ``if __name__ == "__main__"`` in a script.
    """
    from relkit.evaluation.evaluate import EvalOptions
    from relkit.wiring import evaluation

    options = EvalOptions(
        suite=suite,
        system=tuple(system),
        repeat=repeat,
        resume=resume,
        jobs=jobs,
        fresh=fresh,
        limit=limit,
        stderr=stderr,
    )
    opened = _open(workspace)
    result = evaluation.evaluate(opened, options, progress or (lambda _done, _total: None))
    return Run(path=opened.runs / result.report.run, report=result.report)


def rescore(
    run: str | Path,
    *,
    workspace: str | Path = ".",
    normalizer: str | None = None,
    suite: str | None = None,
) -> Run:
    """Score the stored predictions of a run again; the options of ``relkit rescore``."""
    from relkit.evaluation.evaluate import RescoreOptions
    from relkit.wiring import evaluation

    opened = _open(workspace)
    options = RescoreOptions(run=os.fspath(run), normalizer=normalizer, suite=suite)
    result = evaluation.rescore(opened, options)
    return Run(path=opened.runs / result.report.run, report=result.report)


def compare(
    baseline: str | Path,
    candidate: str | Path,
    *,
    workspace: str | Path = ".",
    metric: str | None = None,
    with_text: bool = False,
    top: int = 10,
) -> "CompareReport":
    """Return where two runs differ, slice by slice; the options of ``relkit compare``."""
    from relkit.comparison.compare import CompareOptions
    from relkit.wiring import evaluation

    options = CompareOptions(
        baseline=os.fspath(baseline),
        candidate=os.fspath(candidate),
        metric=metric,
        with_text=with_text,
        top=top,
    )
    return evaluation.compare(_open(workspace), options)


def gate(
    policy: str | Path,
    *,
    candidate: str | Path | Mapping[str, str | Path],
    baseline: str | Path | Mapping[str, str | Path] | None = None,
    anchor: str | Path | Mapping[str, str | Path] | None = None,
    check: Mapping[str, str | Path] | None = None,
    decision: str | Path | None = None,
    sign: str | Path | None = None,
    workspace: str | Path = ".",
) -> "GateDecision":
    """Return whether a candidate may be promoted, and why; the options of ``relkit gate``.

    Runs are ids, unique prefixes or folders; a mapping of parts to runs for a policy with parts.
    The decision is written before this returns. Raises InvalidInput, UsageError, StorageFailed.
    """
    from relkit.gate.run import GateOptions
    from relkit.wiring import gate as wiring

    options = GateOptions(
        policy=os.fspath(policy),
        candidates=_runs(candidate),
        baselines=_runs(baseline),
        anchors=_runs(anchor),
        checks=tuple(f"{name}={os.fspath(path)}" for name, path in (check or {}).items()),
        decision=None if decision is None else Path(decision),
        sign=None if sign is None else Path(sign),
    )
    return wiring.gate(_open(workspace), options).decision


def drift(
    policy: str | Path,
    *,
    reference: str | Path,
    current: str | Path | Sequence[str | Path],
    window: str | None = None,
    now: str | None = None,
    workspace: str | Path = ".",
) -> "DriftReport":
    """Return what windows of live traffic show against a profile; the options of ``relkit drift``.

    Nothing is written. Raises InvalidInput, UsageError.
    """
    from relkit.monitoring.drift.run import DriftOptions
    from relkit.wiring import monitoring as wiring

    several = [current] if isinstance(current, str | Path) else current
    options = DriftOptions(
        policy=os.fspath(policy),
        reference=Path(reference),
        current=tuple(os.fspath(path) for path in several),
        window=window,
        now=now,
    )
    return wiring.drift(_open(workspace), options)


def _runs(runs: str | Path | Mapping[str, str | Path] | None) -> tuple[str, ...]:
    """Return runs as the command line spells them."""
    if runs is None:
        return ()
    if isinstance(runs, Mapping):
        return tuple(f"{part}={os.fspath(run)}" for part, run in runs.items())
    return (os.fspath(runs),)


def load_run(path: str | Path, *, workspace: str | Path | None = None) -> Run:
    """Return a finished run by its folder, by id within a workspace, or as ``@latest``.

    Raises InvalidInput where it is unfinished or was changed, UsageError where it is not there.
    """
    from relkit.evaluation.listing import moving
    from relkit.wiring.stores import runs_in

    name = os.fspath(path)
    by_folder = workspace is None and not moving(name)
    folder = Path(path).absolute().parent if by_folder else _open(workspace or ".").runs
    runs = runs_in(folder)
    return Run(path=runs.find(name), report=runs.read_report(name))


def _open(workspace: str | Path) -> "Workspace":
    from relkit.wiring.stores import open_workspace

    return open_workspace(Path(workspace))
