"""What capped rates hide, and what is too good to be true."""

from dataclasses import replace

import pytest

from relkit.core.values import Estimate
from relkit.evaluation.plausibility import hidden_loops, leaked
from relkit.evaluation.types import EvalReport, Runaways
from relkit.scoring.types import MaskingStep
from tests.builders import counts, report, slice_result


def measured(
    *,
    capped: float,
    hits: int = 1000,
    subs: int = 0,
    ins: int = 0,
    runaways: int = 0,
    loops: int = 0,
) -> EvalReport:
    """Return the report of 200 utterances with these words, and a capped rate beside them."""
    item = slice_result(
        "overall",
        {"wer_capped": Estimate(value=capped, n=1000, clusters=20)},
        utterances=200,
        counts=counts(hits - subs, subs, 0, ins),
    )
    return report(item, runaways=Runaways(count=runaways, loops=loops))


BEFORE = measured(capped=0.096, subs=96)


@pytest.mark.parametrize(
    ("after", "warned"),
    [
        (measured(capped=0.096, subs=90, ins=703, runaways=3, loops=3), True),
        (measured(capped=0.096, subs=90, ins=703, runaways=0, loops=3), True),
        (measured(capped=0.096, subs=90, ins=703), False),
        (measured(capped=0.097, subs=97, runaways=1), False),
        (measured(capped=0.79, subs=790, runaways=1), False),
        (measured(capped=0.05, subs=50, ins=30, loops=1), False),
        (measured(capped=0.05, subs=50, ins=160, loops=1), True),
    ],
)
def test_loops_that_a_capped_rate_does_not_show_are_said(
    after: EvalReport, *, warned: bool
) -> None:
    """9.6 % to 79.3 % by three loops is no detail, whatever wer_capped says."""
    warning = hidden_loops(after, BEFORE)
    assert (warning is not None) == warned
    if after.runaways.count == 3:
        assert warning == (
            "repetition loops: wer went from 9.6 % to 79.3 % while wer_capped is the same; "
            "3 runaway utterances and 3 loops against 0 and 0"
        )


def test_without_words_nothing_is_said_of_loops() -> None:
    """A rate that does not exist rose by nothing."""
    empty = measured(capped=0.0, hits=0)
    assert hidden_loops(empty, BEFORE) is None
    assert hidden_loops(BEFORE, empty) is None


def masked(item: EvalReport, *, before: int) -> EvalReport:
    """Return a report whose normalizer began with so many errors."""
    return replace(
        item, masking=(MaskingStep(step="lowercase", errors_before=before, errors_after=0),)
    )


PERFECT = measured(capped=0.0)


@pytest.mark.parametrize(
    ("candidate", "baseline", "reason"),
    [
        (masked(PERFECT, before=40), BEFORE, "in which the baseline made 96"),
        (masked(PERFECT, before=0), BEFORE, "letter by letter"),
        (replace(PERFECT, masking=()), None, "letter by letter"),
        (masked(PERFECT, before=40), measured(capped=0.02, subs=20), None),
        (masked(PERFECT, before=40), None, None),
        (masked(measured(capped=0.001, subs=1), before=0), BEFORE, None),
        (measured(capped=0.0, hits=0), BEFORE, None),
    ],
)
def test_a_system_without_errors_is_doubted_where_there_is_a_reason(
    candidate: EvalReport, baseline: EvalReport | None, reason: str | None
) -> None:
    """The references in the prompt, or in the training data, look like a perfect system."""
    doubt = leaked(candidate, baseline)
    assert doubt is None if reason is None else doubt is not None and reason in doubt


def test_few_utterances_are_no_reason_to_doubt() -> None:
    """Ten right answers are a good day."""
    item = replace(PERFECT.slices[0], utterances=99)
    assert leaked(replace(PERFECT, slices=(item,), masking=()), BEFORE) is None
