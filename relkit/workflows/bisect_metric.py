"""``bisect --metric``: the first bad release by a metric that its evaluations stored."""

from collections.abc import Sequence
from typing import Protocol

from relkit.domain.bisections import Bisection, MetricPoint, Skipped
from relkit.domain.errors import NoData, UsageError
from relkit.domain.metrics import metric_of
from relkit.domain.releases import Release
from relkit.records.yaml_text import shown
from relkit.rules.bisect_bounds import between, default_bad, unknown_version
from relkit.rules.metric_bisecting import judge_history
from relkit.workflows.bisect import Asked, LedgerReader, ReleaseReader, ledger_state


class MetricHistory(Protocol):
    """Stored metrics of releases."""

    def __call__(
        self, releases: Sequence[Release], metric: str, slice_: str
    ) -> Sequence[MetricPoint]:
        """Return a point for each release, in order; raises InvalidInput for a changed report."""
        ...


def bisect_by_metric(
    asked: Asked,
    metric: str,
    slice_: str,
    *,
    ledger: LedgerReader,
    releases: ReleaseReader,
    history: MetricHistory,
) -> Bisection:
    """Return the first bad release by where the level of a stored metric changed for the worse.

    Without a named good release the whole history counts: the badness begins after the last
    recovery. Raises UsageError for unknown names, NoData where no release has the metric.
    """
    try:
        better = metric_of(metric).better
    except KeyError as error:
        raise UsageError(
            f'no metric "{shown(metric)}"', hint="for example wer, cer, latency_ms.p95"
        ) from error
    state = ledger_state(asked.model, ledger)
    order = tuple(state.registered)
    bad = asked.bad or default_bad(state)[0]
    if asked.good is not None:
        between(order, asked.good, bad)
    elif bad not in order:
        raise unknown_version(bad, order)
    points = history([releases.read(asked.model, one) for one in order], metric, slice_)
    skipped = tuple(
        Skipped(version=point.version, reason=point.reason or "no value")
        for point in points
        if point.value is None
    )
    if len(skipped) == len(points):
        raise NoData(
            f"no release of {asked.model} has {metric} of {slice_}: {skipped[0].reason}",
            hint="releases name their report with report and run; see: relkit registry validate",
        )
    verdict = judge_history(points, better=better, good=asked.good, bad=bad)
    return Bisection(
        model=asked.model,
        by="metric",
        status=verdict.status,
        good=asked.good,
        bad=bad,
        candidates=verdict.candidates,
        steps=len(points) - len(skipped),
        skipped=skipped,
        bad_before=verdict.bad_before,
        good_after=verdict.good_after,
        changes=verdict.changes,
        reasons=verdict.reasons,
    )
