"""Whether a name that leaves the team holds a personal value: by forms and check digits alone.

The libraries that know numbering plans are not needed here: what has the form of a phone number is
one, and a name that reads as a personal value is refused or left out, never masked.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from relkit.redaction.scanner import Scanner

_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_NIE = {"X": "0", "Y": "1", "Z": "2"}
_CORSE = {"2A": "19", "2B": "18"}
_IBAN_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "PT",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
}
"""How long the IBANs of a country are (SWIFT, IBAN registry)."""


class WrittenForms:
    """Implements PhonePlan and CheckDigits without a table: forms, and sums of digits."""

    def national(self, text: str, regions: Sequence[str]) -> str | None:  # noqa: ARG002 - a port
        """Return the digits of what is written as a number abroad, at home or in North America."""
        digits = re.sub(r"\D", "", text)
        if text.startswith("+"):
            return digits if 8 <= len(digits) <= 15 else None
        if digits.startswith("0"):
            return digits if 9 <= len(digits) <= 12 else None
        return digits if re.fullmatch(r"1?[2-9]\d{9}", digits) else None

    def card(self, digits: str) -> bool:
        """Return whether digits pass Luhn's check (ISO/IEC 7812-1, annex B)."""
        doubled = (int(digit) * 2 for digit in digits[-2::-2])
        return (
            not (
                sum(map(int, digits[-1::-2])) + sum(map(sum, (divmod(two, 10) for two in doubled)))
            )
            % 10
        )

    def iban(self, text: str) -> bool:
        """Return whether country and length fit, and the check digits (ISO 7064, MOD 97-10)."""
        countries = _IBAN_LENGTHS.get(len(text), "").split()
        if not text.isascii() or text[:2] not in countries:
            return False
        moved = text[4:] + text[:4]
        return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1

    def identity(self, text: str) -> bool:
        """Return whether a text is a Spanish DNI or NIE (letter by 23), or a French NIR (by 97)."""
        text = text.upper()
        spanish = re.fullmatch(r"([XYZ]?)(\d{7,8})([A-Z])", text)
        if spanish is not None:
            number = _NIE.get(spanish[1], "") + spanish[2]
            return len(number) == 8 and _DNI[int(number) % 23] == spanish[3]
        french = re.fullmatch(r"(\d{5})(\d\d|2A|2B)(\d{6})(\d\d)", text)
        if french is None:
            return False
        body = int(french[1] + _CORSE.get(french[2], french[2]) + french[3])
        return 97 - body % 97 == int(french[4])


@lru_cache(maxsize=8192)
def personal_type(name: str) -> str | None:
    """Return which personal value a name holds (``PHONE``, ``URL``), None where it holds none.

    Four numbers between dots and nothing else are a version here, not an address.
    """
    values = _SCANNER.values(f"version {name}")
    return values[0].type if values else None


_FORMS = WrittenForms()
_SCANNER = Scanner(("de", "en", "es", "fr"), _FORMS, _FORMS)
