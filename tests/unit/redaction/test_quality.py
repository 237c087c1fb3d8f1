"""The bars of redaction hold on sentences that the scanner was not written on."""

import pytest

from benchmarks.redaction_quality import (
    BARS,
    LANGUAGES,
    TOUCHED,
    clean_sentences,
    masked,
    own_lines,
    sentences,
    spans_of,
)


@pytest.mark.parametrize("way", ["spoken", "written"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_values_are_masked_and_clean_sentences_are_not(language: str, way: str) -> None:
    """Each language masks the share that it has to, and touches few sentences of nobody's."""
    made, clean = sentences(language, way), clean_sentences(language, way)
    spans = spans_of([sentence.text for sentence in made], language)
    hits = sum(masked(sentence, marks) for sentence, marks in zip(made, spans, strict=True))
    assert hits / len(made) >= BARS[way][language]
    touched = sum(map(bool, spans_of([sentence.text for sentence in clean], language)))
    assert touched / len(clean) <= TOUCHED[way]


def test_few_lines_of_our_own_are_touched() -> None:
    """Versions, percentiles, digests and dates of our documents stay as they are."""
    lines = own_lines()[::4]
    assert sum(map(bool, spans_of(lines, ",".join(LANGUAGES)))) / len(lines) <= TOUCHED["written"]
