"""The verbs of the command line for notebooks and pipelines; nothing heavy is imported here."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from relkit.canary.types import CanaryReport
    from relkit.comparison.types import CompareReport
    from relkit.core.config import Workspace
    from relkit.core.ports import Progress
    from relkit.documents.types import CardFormat, DocumentFormat
    from relkit.evaluation.types import EvalReport
    from relkit.gate.types import GateDecision
    from relkit.incident.types import TriageReport
    from relkit.monitoring.cost.types import CostReport
    from relkit.monitoring.drift.types import DriftReport
    from relkit.monitoring.serving.types import CapacityReport, HealthReport
    from relkit.monitoring.slo.types import SloReport
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A card or a runbook: its bytes, and what it leaves open, in its own words."""

    data: bytes
    not_measured: tuple[str, ...]
    not_stated: tuple[str, ...]

    @property
    def text(self) -> str:
        """The document as text; raises UnicodeDecodeError for paper (``format="pdf"``)."""
        return self.data.decode()


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
    jobs: int | Literal["auto"] = 1,
    executor: Literal["local", "ray"] = "local",
    fresh: bool = False,
    limit: int | None = None,
    stderr: bool = False,
    allow_remote: bool = False,
    replay: str | None = None,
    progress: "Progress | None" = None,
) -> Run:
    """Run a suite and return the finished run; the options of ``relkit eval``.

    ``jobs`` other than 1 start processes: call it under ``if __name__ == "__main__"`` in a script.
    """
    from relkit.evaluation.evaluate import EvalOptions
    from relkit.wiring import evaluation

    options = EvalOptions(
        suite=suite,
        system=tuple(system),
        repeat=repeat,
        resume=resume,
        jobs=jobs,
        executor=executor,
        fresh=fresh,
        limit=limit,
        stderr=stderr,
        allow_remote=allow_remote,
        replay=replay,
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


def _runs(runs: str | Path | Mapping[str, str | Path] | None) -> tuple[str, ...]:
    """Return runs as the command line spells them."""
    if runs is None:
        return ()
    if isinstance(runs, Mapping):
        return tuple(f"{part}={os.fspath(run)}" for part, run in runs.items())
    return (os.fspath(runs),)


Paths = str | Path | Sequence[str | Path]
"""Files, folders or globs of telemetry: one, or several."""


def canary(
    policy: str | Path,
    *,
    telemetry: Paths,
    reference: Paths = (),
    state: str | Path | None = None,
    decision: str | Path | None = None,
    sign: str | Path | None = None,
    key: str | Path | None = None,
    now: str | None = None,
    workspace: str | Path = ".",
) -> "CanaryReport":
    """Return whether a canary may have more traffic, and why; the options of ``relkit canary``.

    ``report.verdict`` is ``advance``, ``hold`` or ``roll_back``, ``report.reason`` a sentence.
    ``now`` is a UTC time such as ``2026-01-06T00:00:00Z`` (default: the clock). Nothing is written
    but ``state`` and ``decision``: what a gate requires is the record of the command. Raises
    InvalidInput, UsageError, StorageFailed.
    """
    from relkit.canary.run import CanaryOptions
    from relkit.core.errors import UsageError
    from relkit.wiring import canary as wiring
    from relkit.wiring.telemetry import as_of

    if sign is not None and decision is None:
        raise UsageError("sign signs a decision", hint="decision=FILE")
    opened, at = _open(workspace), as_of(now)
    options = CanaryOptions(
        policy=os.fspath(policy),
        telemetry=_paths(telemetry),
        reference=_paths(reference),
        state=_path(state),
        decision=_path(decision),
        now=at,
    )
    return wiring.judge_canary_telemetry(opened, options, _path(key), _path(sign)).report


def drift(
    policy: str | Path,
    *,
    reference: str | Path,
    current: Paths,
    window: str | None = None,
    now: str | None = None,
    workspace: str | Path = ".",
) -> "DriftReport":
    """Return whether traffic still looks like a profile; the options of ``relkit drift``.

    ``reference`` is the file of ``relkit drift profile``; ``report.verdict`` is ``quiet``,
    ``drifted`` or ``no_data``. No record is written. Raises InvalidInput, UsageError.
    """
    from relkit.monitoring.drift.run import DriftOptions
    from relkit.wiring import monitoring as wiring
    from relkit.wiring.telemetry import as_of

    opened, at = _open(workspace), as_of(now)
    options = DriftOptions(
        policy=os.fspath(policy),
        reference=Path(reference),
        current=_paths(current),
        window=window,
        now=at,
    )
    return wiring.drift(opened, options)


def cost(
    policy: str | Path,
    *,
    baseline: Paths,
    candidate: Paths,
    prices: Paths = (),
    now: str | None = None,
    workspace: str | Path = ".",
) -> "CostReport":
    """Return what two arms cost per call and success; the options of ``relkit cost``.

    ``report.verdict`` is ``pass``, ``fail``, ``inconclusive`` or ``no_data``; costs are pairs of
    baseline and candidate in ``report.currency``. No record is written. Raises InvalidInput,
    UsageError.
    """
    from relkit.monitoring.cost.types import CostOptions
    from relkit.wiring import monitoring as wiring
    from relkit.wiring.telemetry import as_of

    opened = _open(workspace)
    options = CostOptions(
        policy=os.fspath(policy),
        baseline=_paths(baseline),
        candidate=_paths(candidate),
        prices=_paths(prices),
        now=as_of(now),
    )
    return wiring.compare_costs(opened, options)


def slo(
    policy: str | Path,
    *,
    telemetry: Paths = (),
    prometheus: str | None = None,
    now: str | None = None,
    workspace: str | Path = ".",
) -> "SloReport":
    """Return whether an error budget burns too fast; the options of ``relkit slo``.

    Give ``telemetry`` or the address of a ``prometheus``; ``report.verdict`` is ``page``,
    ``ticket``, ``none`` or ``no_data``. No record is written. Raises InvalidInput, UsageError,
    BackendUnavailable.
    """
    from relkit.wiring import monitoring as wiring

    report, _ = wiring.check_slo(
        _open(workspace), os.fspath(policy), paths=_paths(telemetry), prometheus=prometheus, now=now
    )
    return report


def health(
    policy: str | Path,
    *,
    telemetry: Paths = (),
    prometheus: str | None = None,
    now: str | None = None,
    workspace: str | Path = ".",
) -> "HealthReport":
    """Return how a service bears its load; the options of ``relkit health``.

    Give ``telemetry`` or the address of a ``prometheus``; ``report.verdict`` is ``ok``,
    ``saturated``, ``storm``, ``spike``, ``fail`` or ``no_data``. No record is written. Raises
    InvalidInput, UsageError, BackendUnavailable.
    """
    from relkit.wiring import monitoring as wiring

    opened, paths = _open(workspace), _paths(telemetry)
    return wiring.check_health(opened, os.fspath(policy), paths, prometheus=prometheus, now=now)


def capacity(
    policy: str | Path,
    *,
    load_test: Paths = (),
    telemetry: Paths = (),
    about: str | None = None,
    now: str | None = None,
    workspace: str | Path = ".",
) -> "CapacityReport":
    """Return what a service can bear and what it needs; the options of ``relkit capacity``.

    Give ``load_test``, ``telemetry`` or both; ``report.verdict`` is ``pass``, ``fail`` or
    ``no_data``. ``about`` is the release that was under load. No record is written. Raises
    InvalidInput, UsageError.
    """
    from relkit.wiring import monitoring as wiring

    opened, tests = _open(workspace), [Path(path) for path in _paths(load_test)]
    name, paths = os.fspath(policy), _paths(telemetry)
    return wiring.check_capacity(opened, name, tests, paths, now=now, about=about)


def triage(
    model: str | None = None,
    *,
    telemetry: Paths,
    since: str | None = None,
    until: str | None = None,
    policy: str | Path | None = None,
    events: str | Path | None = None,
    mapping: Mapping[str, str] | None = None,
    now: str | None = None,
    workspace: str | Path | None = None,
) -> "TriageReport":
    """Return what broke and which release did it; the options of ``relkit triage``.

    ``mapping`` is name to column, as in ``--map``. ``report.verdict`` is ``nothing``, ``release``,
    ``not_release``, ``undetermined`` or ``no_data``. Without a workspace the history of releases is
    that of the telemetry. Raises InvalidInput, UsageError.
    """
    from relkit.wiring import incident as wiring

    options = wiring.triage_options(
        _paths(telemetry),
        model=model,
        since=since,
        until=until,
        mapping=[f"{name}={column}" for name, column in (mapping or {}).items()],
        now=now,
    )
    opened = None if workspace is None else _open(workspace)
    return wiring.triage(opened, options, policy=_path(policy), events=_path(events))


def card(
    subject: str,
    *,
    format: "CardFormat" = "markdown",  # noqa: A002 - as the option
    workspace: str | Path = ".",
) -> Document:
    """Return the model card of ``MODEL[@VERSION]``; the options of ``relkit card``.

    No record is written. Raises InvalidInput, UsageError, MissingDependency.
    """
    from relkit.documents.run import CardOptions
    from relkit.wiring import documents as wiring

    options = CardOptions(subject=subject, format=format)
    document, data, _ = wiring.card(_open(workspace), options)
    return Document(data=data, not_measured=document.not_measured, not_stated=document.not_stated)


def runbook(
    kind: str,
    subject: str | None = None,
    *,
    format: "DocumentFormat" = "markdown",  # noqa: A002 - as the option
    workspace: str | Path = ".",
) -> Document:
    """Return a runbook about ``MODEL[@VERSION]``; the options of ``relkit runbook``.

    Raises InvalidInput, UsageError, MissingDependency.
    """
    from relkit.documents.runbooks import RunbookOptions
    from relkit.wiring import documents as wiring

    options = RunbookOptions(kind=kind, subject=subject, format=format)
    document, data = wiring.runbook(_open(workspace), options)
    return Document(data=data, not_measured=document.not_measured, not_stated=document.not_stated)


def redact(texts: Iterable[str], *, language: str = "en") -> list[str]:
    """Return texts with a placeholder for each personal value, the same for the same value.

    For local debugging: names are not covered, and what comes out is not anonymous. ``language``
    is one or several of ``en,de,es,fr``. Raises UsageError, MissingDependency.
    """
    from relkit.redaction.run import Masking
    from relkit.wiring.redaction import languages_of, scanner_of

    masking = Masking(scanner_of(languages_of(language)))
    return [masking.mask(text)[0] for text in texts]


def _paths(paths: Paths) -> tuple[str, ...]:
    several = [paths] if isinstance(paths, str | Path) else paths
    return tuple(os.fspath(path) for path in several)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


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
