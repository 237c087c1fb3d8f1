"""Why another library's word error rate differs from ours: steps that add up exactly."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from relkit.core.tokens import ZERO_WIDTH, Segmenter, tokens, visible
from relkit.core.values import ErrorCounts
from relkit.core.wording import counted
from relkit.scoring.types import ExplainedStep, Explanation
from relkit.scoring.words import count_errors

Words = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerScore:
    """What another library counted, and the tokens it made of each text (n lists each)."""

    library: str
    version: str
    counts: ErrorCounts
    references: Sequence[Words]
    hypotheses: Sequence[Words]


Peer = Callable[[Sequence[str], Sequence[str]], PeerScore]
"""Scores n references against n hypotheses, texts as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerComparison:
    """What is explained: the texts as they stand in the files, and our counts on the way.

    ``hypotheses`` has None for a failure. ``answered`` are our counts of the answered utterances
    as read (case and marks of the format applied), ``raw`` of all of them, ``normalized`` after
    ``normalizer``, its name. ``reading`` says in words what the format changes, "" for nothing.
    """

    references: Sequence[str]
    hypotheses: Sequence[str | None]
    answered: ErrorCounts
    raw: ErrorCounts
    normalized: ErrorCounts
    normalizer: str
    reading: str
    segmenter: Segmenter


class _Stage(NamedTuple):
    name: str
    sentence: str
    counts: ErrorCounts
    touched: int


def explain(compared: PeerComparison, peer: Peer) -> Explanation:
    """Return the way from a library's rate on the answered texts to ours, step by step.

    Each step is the difference of two exact fractions E / N, so that the effects add up to the
    whole difference. Steps that change nothing are left out.
    """
    pairs = zip(compared.references, compared.hypotheses, strict=True)
    answered = [
        (reference, hypothesis) for reference, hypothesis in pairs if hypothesis is not None
    ]
    references, hypotheses = [r for r, _ in answered], [h for _, h in answered]
    theirs = peer(references, hypotheses)
    same = _count(zip(theirs.references, theirs.hypotheses, strict=True))
    stages = [
        _Stage("", "", theirs.counts, 0),
        _Stage("alignment", "the fewest errors between the same tokens", same, 0),
        *_token_stages(theirs, references, hypotheses, compared.segmenter),
        _Stage("format", compared.reading, compared.answered, len(answered)),
        _Stage(
            "failures",
            "utterances without an answer cannot be handed over; here all their words are deleted",
            compared.raw,
            len(compared.references) - len(answered),
        ),
        _Stage(
            "normalizer",
            f'the normalizer "{compared.normalizer}"',
            compared.normalized,
            len(compared.references),
        ),
    ]
    return Explanation(
        library=theirs.library,
        version=theirs.version,
        theirs=theirs.counts,
        same_tokens=same,
        ours=compared.normalized,
        start=_rate(theirs.counts),
        end=_rate(compared.normalized),
        steps=tuple(_steps(stages)),
    )


def _token_stages(
    theirs: PeerScore, references: Sequence[str], hypotheses: Sequence[str], segmenter: Segmenter
) -> Iterator[_Stage]:
    """Yield the counts as the tokens become ours, one difference at a time."""
    before = list(zip(theirs.references, theirs.hypotheses, strict=True))
    for name, sentence, cut in (
        (
            "white space",
            "only the ASCII space separates words there; here every Unicode white space does",
            lambda text: text.translate(ZERO_WIDTH).split(),
        ),
        (
            "invisible characters",
            "direction marks, soft hyphens and the like are part of a word there; here they go",
            lambda text: visible(text).translate(ZERO_WIDTH).split(),
        ),
        (
            "composition",
            "the same letter in two encodings counts as an error there; here texts are in NFC",
            lambda text: tokens(text, "words"),
        ),
        (
            "script",
            "scripts written without spaces are scored by character here",
            lambda text: tokens(text, segmenter),
        ),
    ):
        after = [(cut(r), cut(h)) for r, h in zip(references, hypotheses, strict=True)]
        touched = sum(old != new for old, new in zip(before, after, strict=True))
        yield _Stage(name, sentence, _count(after), touched)
        before = after


def _count(pairs: Iterable[tuple[Words, Words]]) -> ErrorCounts:
    return sum(
        (count_errors(reference, hypothesis) for reference, hypothesis in pairs), ErrorCounts()
    )


def _rate(counts: ErrorCounts) -> Fraction | None:
    length = counts.reference_length
    return Fraction(counts.errors, length) if length else None


def _steps(stages: Sequence[_Stage]) -> Iterator[ExplainedStep]:
    """Yield the steps between stages that differ; none where a stage has no rate."""
    rates = [_rate(stage.counts) for stage in stages]
    if None in rates:
        return
    for (before, after), stage in zip(pairwise(rates), stages[1:], strict=True):
        if before is not None and after is not None and before != after:
            yield ExplainedStep(
                name=stage.name,
                sentence=stage.sentence,
                before=before,
                after=after,
                touched=stage.touched,
            )


def explanation_lines(explanation: Explanation) -> list[str]:
    """Return the explanation for people: both rates, a line a step, and the two splits of E."""
    library = f"{explanation.library} {explanation.version}"
    start, end = explanation.start, explanation.end
    if start is None:
        lines = [f"{library} has no WER here: no reference word among the answered utterances"]
    else:
        lines = [f"{_percent(start):>9} %  {library}, answered utterances, texts as they came"]
    for step in explanation.steps:
        touched = f" ({counted(step.touched, 'utterance')})" if step.touched else ""
        effect = _percent(step.effect, signed=True)
        lines.append(f"{effect:>9}    {step.name}: {step.sentence}{touched}")
    if start is not None and start == end:
        lines.append("the two rates are the same")
    elif end is None:
        lines.append("relkit has no WER here: no reference word")
    else:
        lines.append(f"{_percent(end):>9} %  relkit")
    theirs, same = explanation.theirs, explanation.same_tokens
    if theirs.errors == same.errors and theirs != same:
        lines.append(
            f"the same {same.errors} errors between the same tokens are split into "
            f"S {same.substitutions} D {same.deletions} I {same.insertions} here and "
            f"S {theirs.substitutions} D {theirs.deletions} I {theirs.insertions} there: here an "
            "alignment with the fewest errors has the most hits"
        )
    return lines


def _percent(rate: Fraction, *, signed: bool = False) -> str:
    """Return a rate in %, or an effect in WER points, with three decimals."""
    return f"{float(rate * 100):{'+' if signed else ''}.3f}"
