"""What rare events could cost that this much data cannot show."""

from collections.abc import Sequence

from relkit.domain.reports import Hallucinations, Runaways
from relkit.domain.results import Result
from relkit.rules.binomial import unseen_share

LOOP_WORDS = 200
"""How many words a repetition loop is taken to insert (rules.md section 2)."""


def runaways(results: Sequence[Result]) -> Runaways:
    """Return the runaways among results, and what an unseen rate of them would cost.

    Each utterance of the rate that shows nothing with 2.5 % chance is taken to insert 200 words.
    """
    scored = [(result, result.score) for result in results if result.score is not None]
    count = sum(score.runaway for _, score in scored)
    loops = sum(score.loop for _, score in scored)
    utterances = len({result.id for result, _ in scored})
    words = sum(score.counts.reference_length for _, score in scored)
    if count or not utterances:
        return Runaways(count=count, loops=loops, loop_words=LOOP_WORDS)
    rate = unseen_share(utterances)
    cost = rate * LOOP_WORDS * len(scored) / words if words else None
    return Runaways(count=0, loops=loops, hidden_rate=rate, hidden_wer=cost, loop_words=LOOP_WORDS)


def hallucinations(results: Sequence[Result]) -> Hallucinations:
    """Return how many words were heard on answered clips whose reference is empty.

    Words per minute are over the clips of known length; None where there is none.
    """
    empty = [
        (result, result.score.counts.insertions)
        for result in results
        if result.score is not None
        and result.failure is None
        and result.score.counts.reference_length == 0
    ]
    timed = [(result.duration, words) for result, words in empty if result.duration]
    minutes = sum(duration for duration, _ in timed) / 60
    return Hallucinations(
        clips=len(empty),
        with_words=sum(words > 0 for _, words in empty),
        words=sum(words for _, words in empty),
        words_per_minute=sum(words for _, words in timed) / minutes if minutes else None,
    )
