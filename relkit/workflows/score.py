"""Score text against text: match, normalize, count, and say why another tool differs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relkit.domain.counts import ErrorCounts
from relkit.domain.errors import InvalidInput
from relkit.domain.scores import ScoreResult, TrnOptions
from relkit.domain.suites import Segmenter
from relkit.ports import Normalizer
from relkit.records.score_files import Format, read_transcripts
from relkit.records.transcripts import Transcripts, check_same_length, matching_rows
from relkit.rules.masking import masking_steps
from relkit.rules.peer_differences import Compared, Peer, explain
from relkit.rules.score_columns import capped_errors, runaways, wrong
from relkit.rules.score_stages import (
    Pairs,
    PhrasePairs,
    count_stage,
    errors_between,
    stage_characters,
    stages,
)
from relkit.rules.text_scoring import SCORER
from relkit.rules.word_errors import CountColumns
from relkit.rules.word_networks import Phrase, written_words

_READING = "case, alternatives and marked words count as TRN has them"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFile:
    """A file to score: its name, for messages, and its bytes."""

    name: str
    data: bytes


def score_files(
    reference: ScoreFile,
    hypothesis: ScoreFile,
    *,
    format_: Format,
    normalizer: Normalizer,
    trn: TrnOptions | None = None,
    segmenter: Segmenter = "auto",
    peer: Peer | None = None,
) -> ScoreResult:
    """Return the scores of a hypothesis file against a reference file of the same format.

    Utterances meet by id, in ``txt`` by line. ``trn`` says how marks count in TRN files. With a
    ``peer`` (:func:`relkit.adapters.jiwer_scores.jiwer_score`) the result explains how its number
    differs. Raises InvalidInput for anything wrong in a file, for duplicate and unknown ids, and
    for different numbers of lines.
    """
    options = trn or TrnOptions()
    expected = read_transcripts(
        reference.data, source=reference.name, side="reference", format_=format_, trn=options
    )
    given = read_transcripts(
        hypothesis.data, source=hypothesis.name, side="hypothesis", format_=format_, trn=options
    )
    if format_ == "txt":
        check_same_length(expected, given)
    order = matching_rows(expected, given)
    result, raw = _score(_pairs(expected, given, order), normalizer, segmenter)
    if peer is None:
        return result
    failed = frozenset(result.failed)
    answered = (raw[row] for row in range(len(raw)) if row not in failed)
    compared = Compared(
        references=[text or "" for text in expected.as_written()],
        hypotheses=_in_order(given.as_written(), order),
        answered=sum(answered, ErrorCounts()),
        raw=result.raw_counts,
        normalized=result.counts,
        normalizer=normalizer.name,
        reading=_READING if format_ == "trn" else "",
        segmenter=segmenter,
    )
    return replace(result, explanation=explain(compared, peer))


def score_texts(
    references: Sequence[str],
    hypotheses: Sequence[str | None],
    *,
    normalizer: Normalizer,
    ids: Sequence[str] | None = None,
    segmenter: Segmenter = "auto",
) -> ScoreResult:
    """Return the scores of n hypotheses against n references; None is a failure.

    Ids default to "1" … "n". Raises InvalidInput where there is nothing to score, or the numbers
    differ.
    """
    names = [str(row + 1) for row in range(len(references))] if ids is None else ids
    if not references:
        raise InvalidInput("there is nothing to score", hint="give at least one reference")
    if not len(references) == len(hypotheses) == len(names):
        raise InvalidInput(
            f"{len(references)} references, {len(hypotheses)} hypotheses and {len(names)} ids",
            hint="give one hypothesis, and one id, for each reference; None for a failure",
        )
    pairs = Pairs(ids=names, references=references, hypotheses=hypotheses)
    return _score(pairs, normalizer, segmenter)[0]


def _in_order(texts: Sequence[str | None], order: Sequence[int | None]) -> list[str | None]:
    return [None if row is None else texts[row] for row in order]


def _pairs(expected: Transcripts, given: Transcripts, order: Sequence[int | None]) -> Pairs:
    references = [text or "" for text in expected.texts]  # a reference is never None
    hypotheses = _in_order(given.texts, order)
    phrases: PhrasePairs = {}
    if expected.phrases or given.phrases:
        phrases = _phrases(expected, given, order)
    return Pairs(ids=expected.ids, references=references, hypotheses=hypotheses, phrases=phrases)


def _phrases(expected: Transcripts, given: Transcripts, order: Sequence[int | None]) -> PhrasePairs:
    """Return the pairs that are no plain text; of a failure all words are deleted."""
    phrases: dict[int, tuple[Phrase, Phrase]] = {}
    for row, at in enumerate(order):
        reference = expected.phrases.get(row)
        said = None if at is None else given.phrases.get(at)
        if reference is None and said is None:
            continue
        reference = (expected.texts[row] or "",) if reference is None else reference
        if at is None:
            phrases[row] = written_words(reference), ()
        else:
            phrases[row] = reference, (given.texts[at] or "",) if said is None else said
    return phrases


def _score(
    pairs: Pairs, normalizer: Normalizer, segmenter: Segmenter
) -> tuple[ScoreResult, CountColumns]:
    """Return the result for matched pairs, and the counts of the texts as they came."""
    passed = list(stages(pairs, normalizer.stages, steps=len(normalizer.steps)))
    raw = count_stage(passed[0], segmenter)
    last = count_stage(passed[-1], segmenter) if normalizer.steps else raw
    counts, raw_counts = last.columns.total(), raw.columns.total()
    errors = [raw_counts.errors, *errors_between(passed, raw_counts.errors, segmenter)]
    character_errors, characters = stage_characters(passed[-1], last.networks)
    result = ScoreResult(
        utterances=len(pairs.ids),
        counts=counts,
        raw_counts=raw_counts,
        character_errors=character_errors,
        characters=characters,
        capped_errors=capped_errors(last.columns),
        wrong=wrong(last.columns),
        runaways=runaways(last.columns),
        failed=tuple(row for row, said in enumerate(pairs.hypotheses) if said is None),
        normalizer=normalizer.name,
        normalizer_digest=normalizer.digest,
        scorer=SCORER,
        masking=masking_steps(
            normalizer.steps, [[*errors, counts.errors] if normalizer.steps else errors]
        ),
        ids=pairs.ids,
        by_utterance=last.columns,
    )
    return result, raw.columns
