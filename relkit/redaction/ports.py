"""What the scanner asks of libraries that know numbering plans and check digits."""

from collections.abc import Sequence
from typing import Protocol


class PhonePlan(Protocol):
    """Knows which numbers a numbering plan has given out."""

    def national(self, text: str, regions: Sequence[str]) -> str | None:
        """Return the digits within the country of a valid number, or None where it is none.

        ``regions`` (US, DE …) are tried in order where the text names no country.
        """
        ...


class CheckDigits(Protocol):
    """Knows numbers by their check digits."""

    def card(self, digits: str) -> bool:
        """Return whether digits pass the check of payment cards (Luhn)."""
        ...

    def iban(self, text: str) -> bool:
        """Return whether letters and digits are an IBAN, by country, length and check digits."""
        ...

    def identity(self, text: str) -> bool:
        """Return whether a text is a national identity number, by its check character."""
        ...
