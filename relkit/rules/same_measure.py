"""Whether two runs measured the same, so that their numbers can stand side by side."""

from collections.abc import Iterator

from relkit.domain.reports import EvalReport

MIXED_LOAD = "mixed"
"""The load of results that were measured under different conditions: comparable to nothing."""


def other_measures(report: EvalReport, baseline: EvalReport) -> Iterator[str]:
    """Yield what two runs were measured with otherwise: dataset, suite, normalizer, scorer."""
    pairs = (
        ("dataset", report.dataset.digest, baseline.dataset.digest),
        ("suite", report.suite_digest, baseline.suite_digest),
        ("normalizer", report.normalizer_digest, baseline.normalizer_digest),
        ("scorer", report.scorer, baseline.scorer),
    )
    yield from (name for name, ours, theirs in pairs if ours != theirs)
