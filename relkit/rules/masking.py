"""The masking report: how many word errors each step of a normalizer hid (rules.md section 2)."""

from collections.abc import Iterable, Sequence

from relkit.domain.reports import MaskingStep


def masking_steps(
    steps: Sequence[str], stage_errors: Iterable[Sequence[int]]
) -> tuple[MaskingStep, ...]:
    """Return the errors before and after each step, summed over utterances.

    ``stage_errors`` holds, per utterance, the errors of the raw text and then after each step, as
    in :class:`relkit.domain.results.ScoredText`. Raises ValueError where a row has another length.
    """
    totals = [0] * (len(steps) + 1)
    for row in stage_errors:
        totals = [total + errors for total, errors in zip(totals, row, strict=True)]
    return tuple(
        MaskingStep(step=step, errors_before=totals[i], errors_after=totals[i + 1])
        for i, step in enumerate(steps)
    )
