"""Numbering plans and check digits, from ``phonenumbers`` and ``python-stdnum``; lines of text."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from relkit._version import with_extra
from relkit.core.errors import InvalidInput, Malformed, MissingDependency
from relkit.core.storage import unreadable
from relkit.core.yaml_text import shown


def require_redaction() -> None:
    """Raise MissingDependency where a library of the extra ``redact`` is not installed."""
    for module, package in (("phonenumbers", "phonenumbers"), ("stdnum", "python-stdnum")):
        if find_spec(module) is None:
            raise MissingDependency(
                f"the package {package} is not installed: written numbers could not be checked, "
                "and nothing is masked by half",
                hint=with_extra("redact"),
            )


class PhoneNumbersPlan:
    """Implements PhonePlan by libphonenumber's tables, at VALID."""

    def national(self, text: str, regions: Sequence[str]) -> str | None:
        """Return the national digits of a valid number; see the port."""
        return _national(text, ("ZZ",) if text.startswith("+") else tuple(regions))


@lru_cache(maxsize=4096)
def _national(text: str, regions: tuple[str, ...]) -> str | None:
    from phonenumbers import NumberParseException, is_valid_number, parse

    for region in regions:
        try:
            number = parse(text, None if region == "ZZ" else region)
        except NumberParseException:
            continue
        if is_valid_number(number):
            return str(number.national_number)
    return None


class StandardCheckDigits:
    """Implements CheckDigits by python-stdnum."""

    def card(self, digits: str) -> bool:
        """Return whether digits pass Luhn's check."""
        from stdnum import luhn

        return bool(luhn.is_valid(digits))

    def iban(self, text: str) -> bool:
        """Return whether a text is an IBAN of a country that has them."""
        from stdnum import iban

        return bool(iban.is_valid(text, check_country=False))

    def identity(self, text: str) -> bool:
        """Return whether a text is a Spanish DNI or NIE, or a French NIR."""
        from stdnum.es import dni, nie
        from stdnum.fr import nir

        return bool(dni.is_valid(text) or nie.is_valid(text) or nir.is_valid(text))


_MOST_BYTES = 8 << 20
"""Bytes of the longest line that is read."""


def text_lines(path: Path | None) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, or of standard input, each with the end it has.

    One line is held at a time. Raises InvalidInput where a file cannot be read, a line is no UTF-8
    or longer than 8 MiB, by its number and never with what is in it.
    """
    source = "standard input" if path is None else shown(path.name)
    try:
        stream = sys.stdin.buffer if path is None else path.open("rb")
    except FileNotFoundError as error:
        raise InvalidInput(f"{source}: no such file") from error
    except OSError as error:
        raise unreadable(error, among=source) from error
    with stream if path is not None else nullcontext():
        number = 0
        while True:
            try:
                data = stream.readline(_MOST_BYTES + 1)
            except OSError as error:
                raise unreadable(error, among=source) from error
            if not data:
                return
            number += 1
            if len(data) > _MOST_BYTES:
                raise Malformed("is longer than 8 MiB", source=source, line=number)
            try:
                line = data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise Malformed(
                    f"byte {error.start + 1} is no UTF-8",
                    source=source,
                    line=number,
                    hint="convert it first: iconv -f latin1 -t utf-8",
                ) from error
            yield line
