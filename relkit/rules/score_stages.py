"""Pairs of texts through the steps of a normalizer, and their counts at each stage."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from relkit.domain.suites import Segmenter
from relkit.rules.network_counts import NetworkScore, count_phrases
from relkit.rules.score_columns import count_characters, with_rows
from relkit.rules.word_errors import CountColumns, count_texts
from relkit.rules.word_networks import Phrase, map_text

PhrasePairs = Mapping[int, tuple[Phrase, Phrase]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
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
    pairs: Pairs, normalize: Callable[[str], Sequence[str]], *, steps: int
) -> Iterator[Stage]:
    """Yield the texts as they came, then after each of the ``steps`` of the normalizer."""
    hypotheses = [said or "" for said in pairs.hypotheses]
    yield Stage(references=pairs.references, hypotheses=hypotheses, phrases=pairs.phrases)
    if not steps:
        return
    nothing = ("",) * steps  # a failure stays without words whatever a normalizer makes of ""
    expected = [normalize(text) for text in pairs.references]
    given = [nothing if said is None else normalize(said) for said in pairs.hypotheses]
    for step in range(steps):
        yield Stage(
            references=[texts[step] for texts in expected],
            hypotheses=[texts[step] for texts in given],
            phrases=_mapped(pairs.phrases, normalize, step),
        )


def _mapped(
    phrases: PhrasePairs, normalize: Callable[[str], Sequence[str]], step: int
) -> PhrasePairs:
    def change(text: str) -> str:
        return normalize(text)[step]

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
