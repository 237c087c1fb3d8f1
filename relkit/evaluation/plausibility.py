"""What two runs say that the rates of a gate leave out, and what is too good to be true.

An error rate whose errors are capped does not see repetition loops; no rate sees that two runs are
the same one, or that a system knew the references.
"""

from relkit.core.wording import change, count, counted, number
from relkit.evaluation.types import EvalReport, overall_if_any

SAME_ERRORS = "candidate and baseline make the same errors in every utterance: nothing differs"
"""Said of two runs that are one system asked twice, or a copy."""

_LEAST_UTTERANCES = 100
_MANY_ERRORS = 30
_HIDDEN = 0.005
_HIDDEN_SHARE = 0.1


def hidden_loops(report: EvalReport, baseline: EvalReport) -> str | None:
    """Return in words that loops made the plain WER worse, where a capped rate does not show it.

    That is where there are more runaways or loops than before, and the plain WER rose by half a
    point and a tenth of its value more than the capped one did.
    """
    ours, theirs = overall_if_any(report), overall_if_any(baseline)
    if ours is None or theirs is None:
        return None
    plain, before = ours.counts.rate, theirs.counts.rate
    if plain is None or before is None:
        return None
    capped, capped_before = (
        None if (estimate := item.metrics.get("wer_capped")) is None else estimate.value
        for item in (ours, theirs)
    )
    rise = 0.0 if capped is None or capped_before is None else capped - capped_before
    hidden = plain - before - max(0.0, rise)
    more = (
        report.runaways.count > baseline.runaways.count
        or report.runaways.loops > baseline.runaways.loops
    )
    if not more or hidden < max(_HIDDEN, _HIDDEN_SHARE * before):
        return None
    runaways, loops = report.runaways.count, report.runaways.loops
    moved = change(rise, None, None, "fraction").sentence
    return (
        f"repetition loops: wer went from {number(before, 'fraction')} to "
        f"{number(plain, 'fraction')} while wer_capped is {moved}; "
        f"{counted(runaways, 'runaway utterance')} and {counted(loops, 'loop')} against "
        f"{count(baseline.runaways.count)} and {count(baseline.runaways.loops)}"
    )


def leaked(report: EvalReport, baseline: EvalReport | None) -> str | None:
    """Return why a system seems to know the references; None where nothing says so.

    No error at all in 100 utterances or more, and either the texts are the references as they stand
    (before any normalizing), or the baseline made 30 errors in them or more.
    """
    if (item := overall_if_any(report)) is None:
        return None
    words, errors = item.counts.reference_length, item.counts.errors
    if item.utterances < _LEAST_UTTERANCES or not words or errors:
        return None
    untouched = report.masking[0].errors_before if report.masking else 0
    if not untouched:
        return (
            f"the answers to {count(item.utterances)} utterances are the references, letter by "
            "letter: check that they did not leak into the system"
        )
    earlier = None if baseline is None else overall_if_any(baseline)
    before = 0 if earlier is None else earlier.counts.errors
    if before < _MANY_ERRORS:
        return None
    return (
        f"no error in {count(item.utterances)} utterances in which the baseline made "
        f"{count(before)}: check that the references did not leak into the system"
    )
