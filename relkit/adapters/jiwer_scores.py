"""The library jiwer, asked for word errors the way people ask it."""

from collections.abc import Sequence
from importlib import metadata

from relkit.domain.counts import ErrorCounts
from relkit.domain.errors import MissingDependency
from relkit.rules.peer_differences import PeerScore


def jiwer_score(references: Sequence[str], hypotheses: Sequence[str]) -> PeerScore:
    """Return what ``jiwer.wer(references, hypotheses)`` counts, with the tokens it made.

    Texts go in as they are, one reference to one hypothesis, through jiwer's default
    transformation; empty references are kept, as jiwer 4 takes them. Raises MissingDependency
    where jiwer is not installed.
    """
    try:
        import jiwer
    except ImportError as error:
        raise MissingDependency(
            "the package jiwer is not installed", hint="pip install jiwer"
        ) from error
    version = metadata.version("jiwer")
    if not references:
        return PeerScore(
            library="jiwer", version=version, counts=ErrorCounts(), references=(), hypotheses=()
        )
    output = jiwer.process_words(list(references), list(hypotheses))
    return PeerScore(
        library="jiwer",
        version=version,
        counts=ErrorCounts(
            hits=output.hits,
            substitutions=output.substitutions,
            deletions=output.deletions,
            insertions=output.insertions,
        ),
        references=output.references,
        hypotheses=output.hypotheses,
    )
