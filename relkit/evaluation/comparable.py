"""Whether two runs measured the same, so that their numbers can stand side by side."""

from collections.abc import Iterator

from relkit.core.errors import InvalidInput, UsageError
from relkit.evaluation.types import EvalReport

MIXED_LOAD = "mixed"
"""The load of results that were measured under different conditions: comparable to nothing."""


def other_measures(report: EvalReport, baseline: EvalReport) -> Iterator[str]:
    """Yield what two runs were measured with otherwise: dataset, suite, normalizer, scorer."""
    pairs = (
        ("dataset", report.dataset.digest, baseline.dataset.digest),
        ("suite", report.suite.digest, baseline.suite.digest),
        ("normalizer", report.normalizer.digest, baseline.normalizer.digest),
        ("scorer", report.scorer, baseline.scorer),
    )
    yield from (name for name, ours, theirs in pairs if ours != theirs)


_PACED = ("rtf", "rtfx")


def comparable(name: str, unit: str, report: EvalReport, baseline: EvalReport) -> bool:
    """Tell whether a number may stand beside the baseline's: times only under the same load."""
    if unit != "ms" and name not in _PACED:
        return True
    return report.load == baseline.load != MIXED_LOAD


def check_same_measure(report: EvalReport, baseline: EvalReport) -> None:
    """Refuse two runs whose numbers do not measure the same; raises UsageError, InvalidInput."""
    if report.run == baseline.run:
        raise UsageError("RUN and BASELINE are the same run", hint="name an older run as BASELINE")
    for what in other_measures(report, baseline):
        raise InvalidInput(
            f"{report.run} and {baseline.run} have another {what}: "
            "their numbers cannot stand side by side",
            hint=f"score the baseline alike: relkit rescore {baseline.run}",
        )
