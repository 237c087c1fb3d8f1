"""The libraries ``whisper-normalizer``, as normalizer steps, and ``jiwer``, as people ask it.

Each is loaded when it is first used.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import metadata

from relkit.core.errors import MissingDependency
from relkit.core.values import ErrorCounts
from relkit.scoring.normalizers import Step
from relkit.scoring.peers import PeerScore

_PACKAGE = "whisper-normalizer"
_LONGEST_WORD = 1000

# What the library raises on a number of more digits than Python turns into text (4,300, a digit
# loop of a recogniser); the second one under ``python -O``.
_NUMBER_TOO_LONG = (AssertionError, AttributeError, ValueError)


def whisper_steps() -> dict[str, Step]:
    """Return ``whisper_basic`` and ``whisper_english``, with the library's version as theirs.

    Raises MissingDependency where the library is not installed.
    """
    try:
        version = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise MissingDependency(
            f"the package {_PACKAGE} is not installed", hint=f"pip install {_PACKAGE}"
        ) from error
    return {
        "whisper_basic": Step(name="whisper_basic", version=version, apply=_basic),
        "whisper_english": Step(name="whisper_english", version=version, apply=_english),
    }


def _basic(text: str) -> str:
    return _library()[0](text)


def _english(text: str) -> str:
    """Normalize as a whole, or word by word where a number is too long for the library."""
    normalize = _library()[1]
    try:
        return normalize(text)
    except _NUMBER_TOO_LONG:
        words = text.split()
    pieces = (
        word[start : start + _LONGEST_WORD]
        for word in words
        for start in range(0, len(word), _LONGEST_WORD)
    )
    return " ".join(normalize(piece) for piece in pieces)


@lru_cache(maxsize=1)
def _library() -> tuple[Callable[[str], str], Callable[[str], str]]:
    """Return the basic and the English normalizer, loaded once."""
    with warnings.catch_warnings():
        # The library's source has a backslash that Python warns about, on the user's terminal.
        for category in (DeprecationWarning, SyntaxWarning):
            warnings.filterwarnings("ignore", "invalid escape sequence", category)
        from whisper_normalizer.basic import BasicTextNormalizer
        from whisper_normalizer.english import EnglishTextNormalizer
    return BasicTextNormalizer(), EnglishTextNormalizer()


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
