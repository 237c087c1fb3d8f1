"""``relkit score``: match, normalize and count texts, and say why another tool differs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.tokens import Segmenter, visible
from relkit.core.values import ErrorCounts
from relkit.core.wording import columns, count, counted, number
from relkit.scoring.files import read_pair
from relkit.scoring.formats import Format
from relkit.scoring.networks import NetworkScore, Phrase, count_phrases, map_text, written_words
from relkit.scoring.normalizers import masking_steps
from relkit.scoring.peers import Peer, PeerComparison, explain, explanation_lines
from relkit.scoring.trn import Transcripts, check_same_length, matching_rows
from relkit.scoring.types import Explanation, Normalizer, ScoreResult, TrnOptions
from relkit.scoring.words import (
    SCORER,
    CountColumns,
    capped_errors,
    count_characters,
    count_texts,
    runaways,
    with_rows,
    wrong,
)

PhrasePairs = Mapping[int, tuple[Phrase, Phrase]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPairs:
    """n references with their hypotheses; None is a failure.

    ``phrases`` are, by row, the pairs in which either side has alternatives or marked words.
    """

    ids: Sequence[str]
    references: Sequence[str]
    hypotheses: Sequence[str | None]
    phrases: PhrasePairs = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All texts after a step of the normalizer; a failure is an empty text."""

    references: Sequence[str]
    hypotheses: Sequence[str]
    phrases: PhrasePairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The counts of a stage, and the readings that were chosen of its phrases."""

    columns: CountColumns
    networks: Mapping[int, NetworkScore]


def stages(
    pairs: TextPairs, normalize: Callable[[str], Sequence[str]], *, steps: int
) -> Iterator[Stage]:
    """Yield the texts as they came, then after each of the ``steps`` of the normalizer."""
    hypotheses = [hypothesis or "" for hypothesis in pairs.hypotheses]
    yield Stage(references=pairs.references, hypotheses=hypotheses, phrases=pairs.phrases)
    if not steps:
        return
    nothing = ("",) * steps  # a failure stays without words whatever a normalizer makes of ""
    expected = [normalize(visible(text)) for text in pairs.references]
    normalized = [
        nothing if hypothesis is None else normalize(visible(hypothesis))
        for hypothesis in pairs.hypotheses
    ]
    for step in range(steps):
        yield Stage(
            references=[texts[step] for texts in expected],
            hypotheses=[texts[step] for texts in normalized],
            phrases=_mapped(pairs.phrases, normalize, step),
        )


def _mapped(
    phrases: PhrasePairs, normalize: Callable[[str], Sequence[str]], step: int
) -> PhrasePairs:
    def change(text: str) -> str:
        return normalize(visible(text))[step]

    return {
        row: (map_text(reference, change), map_text(hypothesis, change))
        for row, (reference, hypothesis) in phrases.items()
    }


def count_stage(stage: Stage, segmenter: Segmenter) -> Counted:
    """Return the canonical counts of all pairs."""
    networks = {row: count_phrases(*pair, segmenter) for row, pair in stage.phrases.items()}
    columns = count_texts(stage.references, stage.hypotheses, segmenter)
    rows = {row: score.counts for row, score in networks.items()}
    return Counted(columns=with_rows(columns, rows), networks=networks)


def errors_between(all_stages: Sequence[Stage], first: int, segmenter: Segmenter) -> Iterator[int]:
    """Yield the word errors of the stages between the first and the last.

    ``first`` are those of the first one. A step that changed nothing is not counted again.
    """
    errors = first
    for before, stage in pairwise(all_stages[:-1]):
        if stage != before:
            errors = count_stage(stage, segmenter).columns.total().errors
        yield errors


def stage_characters(stage: Stage, networks: Mapping[int, NetworkScore]) -> tuple[int, int]:
    """Return character errors and characters; of alternatives, those of the chosen readings."""
    if not networks:
        return count_characters(stage.references, stage.hypotheses)
    references, hypotheses = list(stage.references), list(stage.hypotheses)
    for row, score in networks.items():
        references[row], hypotheses[row] = score.reference, score.hypothesis
    return count_characters(references, hypotheses)


_READING = "case, alternatives and marked words count as TRN has them"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """The two files to score, how they are written (None: as they end), a normalizer by name.

    ``against_jiwer`` explains how jiwer's number differs.
    """

    reference: Path
    hypothesis: Path
    format: Format | None = None
    normalizer: str = "none"
    trn: TrnOptions = TrnOptions()  # noqa: RUF009 - frozen
    against_jiwer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFile:
    """A file to score: its name, for messages, and its bytes."""

    name: str
    data: bytes


def score_files(
    reference: ScoreFile,
    hypothesis: ScoreFile,
    *,
    format_: Format | None = None,
    normalizer: Normalizer,
    trn: TrnOptions | None = None,
    segmenter: Segmenter = "auto",
    peer: Peer | None = None,
) -> ScoreResult:
    """Return the scores of a hypothesis file against a reference file.

    Without a ``format_`` their endings tell it. Utterances meet by id, in ``txt`` by line, in
    ``stm`` and ``ctm`` by segment. ``trn`` says how marks count in files of NIST's formats. With a
    ``peer`` (:func:`relkit.adapters.libraries.jiwer_score`) the result explains how its number
    differs. Raises InvalidInput for anything wrong in a file, for duplicate and unknown ids, and
    for different numbers of lines.
    """
    chosen, expected, hypothesis_texts = read_pair(
        (reference.name, hypothesis.name),
        (reference.data, hypothesis.data),
        format_=format_,
        trn=trn or TrnOptions(),
    )
    if chosen == "txt":
        check_same_length(expected, hypothesis_texts)
    order = matching_rows(expected, hypothesis_texts)
    pairs = TextPairs(
        ids=expected.ids,
        references=[text or "" for text in expected.texts],  # a reference is never None
        hypotheses=_in_order(hypothesis_texts.texts, order),
        phrases=_phrases(expected, hypothesis_texts, order)
        if expected.phrases or hypothesis_texts.phrases
        else {},
    )
    result, raw = _score(pairs, normalizer, segmenter)
    result = replace(result, ignored_segments=expected.ignored)
    if peer is None:
        return result
    failed = frozenset(result.failed)
    answered = (raw[row] for row in range(len(raw)) if row not in failed)
    compared = PeerComparison(
        references=[text or "" for text in expected.as_written()],
        hypotheses=_in_order(hypothesis_texts.as_written(), order),
        answered=sum(answered, ErrorCounts()),
        raw=result.raw_counts,
        normalized=result.counts,
        normalizer=normalizer.name,
        reading=_READING if chosen in ("trn", "stm", "ctm") else "",
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
    pairs = TextPairs(ids=names, references=references, hypotheses=hypotheses)
    return _score(pairs, normalizer, segmenter)[0]


def _in_order(texts: Sequence[str | None], order: Sequence[int | None]) -> list[str | None]:
    return [None if row is None else texts[row] for row in order]


def _phrases(
    expected: Transcripts, answered: Transcripts, order: Sequence[int | None]
) -> PhrasePairs:
    """Return the pairs that are no plain text; of a failure all words are deleted."""
    phrases: dict[int, tuple[Phrase, Phrase]] = {}
    for row, at in enumerate(order):
        reference = expected.phrases.get(row)
        phrase = None if at is None else answered.phrases.get(at)
        if reference is None and phrase is None:
            continue
        reference = (expected.texts[row] or "",) if reference is None else reference
        if at is None:
            phrases[row] = written_words(reference), ()
        else:
            phrases[row] = reference, (answered.texts[at] or "",) if phrase is None else phrase
    return phrases


def _score(
    pairs: TextPairs, normalizer: Normalizer, segmenter: Segmenter
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
        failed=tuple(row for row, hypothesis in enumerate(pairs.hypotheses) if hypothesis is None),
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


def score_document(result: ScoreResult) -> dict[str, JsonValue]:
    """Return a result as docs/cli.md has it; rates are fractions, null without a reference."""
    failed = frozenset(result.failed)
    document: dict[str, JsonValue] = {
        "words": result.counts.reference_length,
        **_counts(result.counts),
        "wer": result.wer,
        "wer_raw": result.wer_raw,
        "wer_capped": result.wer_capped,
        "cer": result.cer,
        "ser": result.ser,
        "mer": result.counts.match_error_rate,
        "wil": result.counts.information_lost,
        "characters": result.characters,
        "character_errors": result.character_errors,
        "utterances": result.utterances,
        "failures": result.failures,
        "runaways": result.runaways,
        "runaway_rate": result.runaway_rate,
        "ignored_segments": result.ignored_segments,
        "raw": {"words": result.raw_counts.reference_length, **_counts(result.raw_counts)},
        "normalizer": {"name": result.normalizer, "digest": result.normalizer_digest},
        "masking": encode(result.masking),
        "scorer": result.scorer,
        "by_utterance": [
            {"id": name, **_counts(result.by_utterance[row]), "failure": row in failed}
            for row, name in enumerate(result.ids)
        ],
    }
    if result.explanation is not None:
        document["against"] = _explanation(result.explanation)
    return document


def _counts(counts: ErrorCounts) -> dict[str, JsonValue]:
    return {
        "hits": counts.hits,
        "substitutions": counts.substitutions,
        "deletions": counts.deletions,
        "insertions": counts.insertions,
    }


def _explanation(explanation: Explanation) -> dict[str, JsonValue]:
    start, end = explanation.start, explanation.end
    return {
        "library": explanation.library,
        "version": explanation.version,
        "wer": None if start is None else float(start),
        "counts": _counts(explanation.theirs),
        "same_tokens": _counts(explanation.same_tokens),
        "relkit_wer": None if end is None else float(end),
        "steps": [
            {
                "name": step.name,
                "effect": float(step.effect),
                "utterances": step.touched,
                "sentence": step.sentence,
            }
            for step in explanation.steps
        ],
    }


def score_summary(result: ScoreResult) -> str:
    """Return rates, counts, what the normalizer hid, and the explanation where asked for."""
    counts = result.counts
    rows = (
        ("wer", result.wer, "words", counts.reference_length),
        ("wer_raw", result.wer_raw, "hits", counts.hits),
        ("wer_capped", result.wer_capped, "substitutions", counts.substitutions),
        ("cer", result.cer, "deletions", counts.deletions),
        ("ser", result.ser, "insertions", counts.insertions),
        ("mer", counts.match_error_rate, "utterances", result.utterances),
        ("wil", counts.information_lost, "failures", result.failures),
    )
    cells = [[a, number(rate, "fraction"), f"  {b}", count(total)] for a, rate, b, total in rows]
    parts = [columns(cells)]
    parts += [step.sentence for step in result.masking if step.hidden]
    if result.runaways:
        parts.append(counted(result.runaways, "runaway utterance"))
    if result.ignored_segments:
        parts.append(f"{counted(result.ignored_segments, 'segment')} left out, as the STM says")
    if result.explanation is not None:
        parts += ["", *explanation_lines(result.explanation)]
    return "\n".join(parts)
