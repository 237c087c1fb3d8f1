"""Builds what a search for the first bad release needs."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.bisect.search import Bisection, LogHead, Mark, MetricPoint, OnTimeout
from relkit.core import storage
from relkit.core.codec import decode
from relkit.core.config import Settings
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput, UsageError
from relkit.evaluation.report_files import parse_report
from relkit.registry.types import Release
from relkit.wiring import run_folders
from relkit.wiring.registry import FOLDER, ledger_files, release_files

if TYPE_CHECKING:
    from relkit.adapters.releases import ReleaseFiles


_MEANING: dict[OnTimeout, Mark | None] = {"abort": None, "skip": Mark.SKIP, "bad": Mark.BAD}


def bisect_by_command(
    settings: Settings,
    model: str,
    command: str,
    *,
    good: str | None = None,
    bad: str | None = None,
    slice_: str | None = None,
    timeout_s: float | None = None,
    on_timeout: OnTimeout = "abort",
    check_bounds: bool = False,
    log: Path | None = None,
    tell: Callable[[str], None],
) -> Bisection:
    """Search with a command; see :func:`relkit.bisect.run.bisect_by_command`."""
    from relkit.adapters.decisions import NoLog, log_file
    from relkit.adapters.systems.command import ShellessCommand
    from relkit.bisect import run as workflow

    named = {} if slice_ is None else {"RELKIT_SLICE": checked_slice(slice_)}
    releases = settings.workspace / FOLDER / "releases"
    program = ShellessCommand(
        command,
        folder=settings.workspace,
        environment={**settings.environment, **named},
        release_path=lambda model, version: releases / model / version / "release.json",
        timeout_s=timeout_s,
    )
    asked = workflow.Asked(
        model=model,
        good=good,
        bad=bad,
        check_bounds=check_bounds,
        timed_out=_MEANING[on_timeout],
    )
    head = LogHead(model=model, command=command, on_timeout=on_timeout)
    with nullcontext(NoLog()) if log is None else log_file(log, head) as answers:
        return workflow.bisect_by_command(
            asked,
            ledger=ledger_files(settings),
            releases=release_files(settings),
            command=program,
            log=answers,
            tell=tell,
        )


def bisect_by_metric(
    settings: Settings,
    model: str,
    metric: str,
    *,
    good: str | None = None,
    bad: str | None = None,
    slice_: str | None = None,
) -> Bisection:
    """Search in stored metrics; see :func:`relkit.bisect.metric.bisect_by_metric`."""
    from relkit.bisect.metric import bisect_by_metric as workflow
    from relkit.bisect.run import Asked

    releases = release_files(settings)
    return workflow(
        Asked(model=model, good=good, bad=bad),
        metric,
        "overall" if slice_ is None else checked_slice(slice_),
        ledger=ledger_files(settings),
        releases=releases,
        history=_StoredMetrics(settings, releases),
    )


def checked_slice(text: str) -> str:
    """Return one slice in its one spelling; raises UsageError."""
    from relkit.core.slices import is_pattern, normal_slice

    try:
        key = normal_slice(text)
    except ValueError as error:
        what, hint = error.args
        raise UsageError(f"--slice {what}", hint=hint) from error
    if is_pattern(key):
        raise UsageError("--slice names several slices", hint="name one: column=value")
    return key


class _StoredMetrics:
    """Implements MetricHistory with the reports beside releases, else those of runs."""

    def __init__(self, settings: Settings, releases: "ReleaseFiles") -> None:
        self._settings = settings
        self._releases = releases

    def __call__(
        self, releases: Sequence[Release], metric: str, slice_: str
    ) -> Sequence[MetricPoint]:
        return [self._point(release, metric, slice_) for release in releases]

    def _point(self, release: Release, metric: str, slice_: str) -> MetricPoint:
        def without(reason: str) -> MetricPoint:
            return MetricPoint(version=release.version, value=None, reason=reason)

        if release.report is None:
            return without("the release names no report")
        data = self._report(release)
        if data is None:
            return without("its report is not here")
        source = f"the report of {release.version}"
        report = parse_report(decode(data, source=source), source=source)
        found = next((part for part in report.slices if part.slice == slice_), None)
        if found is None:
            return without(f"its report has no slice {slice_}")
        estimate = found.metrics.get(metric)
        if estimate is None or estimate.value is None:
            return without(f"its report has no {metric} of {slice_}")
        return MetricPoint(
            version=release.version, value=estimate.value, low=estimate.low, high=estimate.high
        )

    def _report(self, release: Release) -> bytes | None:
        """Return the report of the release's digest, None where there is none.

        Raises InvalidInput where the run it names has another report now.
        """
        for _, data in self._releases.evidence(release.model, release.version):
            if sha256_bytes(data) == release.report:
                return data
        if release.run is None:
            return None
        try:
            path = run_folders(self._settings).find(release.run) / "report.json"
        except UsageError:  # a run of another machine
            return None
        if not path.is_file():
            return None
        data = storage.read_bytes(path, what=f"{release.run}/report.json")
        if sha256_bytes(data) != release.report:
            raise InvalidInput(
                f"the report of {release.model} {release.version} is not the one it was "
                "registered with",
                hint=f"bring back the report.json of run {release.run}",
            )
        return data
