"""Builds what masks text: the scanner with the libraries that know numbers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from relkit.core.errors import UsageError

if TYPE_CHECKING:
    from relkit.redaction.scanner import Scanner
    from relkit.redaction.types import Language


def scanner_of(languages: "Sequence[Language]") -> "Scanner":
    """Return a scanner of these languages; raises MissingDependency without the extra."""
    from relkit.adapters.redaction import (
        PhoneNumbersPlan,
        StandardCheckDigits,
        require_redaction,
    )
    from relkit.redaction.scanner import Scanner

    require_redaction()
    return Scanner(tuple(languages), PhoneNumbersPlan(), StandardCheckDigits())


def languages_of(text: str) -> "tuple[Language, ...]":
    """Return the languages of ``en,de``, each once; raises UsageError for one without a table."""
    from relkit.core.codec import nearest
    from relkit.core.yaml_text import shown
    from relkit.redaction.grammar import TABLES

    chosen = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    for name in chosen:
        if name not in TABLES:
            raise UsageError(
                f'--language: there is no table for "{shown(name)}"',
                hint=nearest(name, tuple(TABLES)),
            )
    return cast("tuple[Language, ...]", chosen)


def text_lines(path: Path | None) -> Iterator[str]:
    """Yield the lines of a file or of standard input, as they are; raises InvalidInput."""
    from relkit.adapters import redaction

    return redaction.text_lines(path)
