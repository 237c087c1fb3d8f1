"""Personal values as they are written: patterns, and what check digits and plans say of them."""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from relkit.redaction.types import PersonalValue


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


# Every repetition is bounded or possessive, and begins where no character of its kind stands
# before: time grows with the line and no more.
_EMAIL = re.compile(
    r"(?<![\w.+%'-])[\w.+%'-]{1,64}+@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
_URL = re.compile(
    r"(?<![\w@])(?:(?:https?|ftp|wss?)://[^\s<>\"'`\ue000]{1,2048}+"
    r"|www\.[^\s<>\"'`\ue000]{1,2048}+)",
    re.IGNORECASE,
)
_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IP6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w.,:/#$€£+-])(?:\+|\(?\d)(?:(?:[ ./-]|\)[ -]?|[ -]?\()?\d){6,15}(?![\w/:%-]|[.,]\d)"
)
_SSN = re.compile(r"(?<![\w.-])(?!000|666|9\d\d)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_IDENTITY = re.compile(
    r"(?<![\w.-])(?:\d{8}[ -]?[A-Z]|[XYZ][ -]?\d{7}[ -]?[A-Z]"
    r"|[12] ?\d\d ?\d\d ?[\dAB]\d ?\d{3} ?\d{3} ?\d\d)(?![\w-])"
)
_UK_POSTCODE = re.compile(
    r"(?<![\w-])(?:GIR ?0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-HJKPSTUW\d]? \d[ABD-HJLNP-UW-Z]{2})(?![\w-])"
)
_US_STATE_ZIP = re.compile(r"(?<=[ ,][A-Z]{2} )\d{5}(?:-\d{4})?(?![\w-])")
_MAC = re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])")
_TRAILING = ".,;:!?)]}>'\"*"
_DAY = re.compile(
    r"(?:19|20)\d\d[-./ ]?[01]\d[-./ ]?[0-3]\d|[0-3]?\d[-./][0-3]?\d[-./](?:19|20)\d\d"
)
_VERSION = re.compile(
    r"(?:version|release|build|rev(?:ision)?|v|firmware)[ :=-]{0,3}v?$", re.IGNORECASE
)
_BEFORE = 12


def written_values(
    text: str, regions: Sequence[str], plan: PhonePlan, checks: CheckDigits
) -> Iterator[PersonalValue]:
    """Yield what is written in a line: several of them may overlap."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield PersonalValue(match.start(), match.end(), "EMAIL", match[0].lower())
    if "://" in text or "ww." in text.lower():
        for match in _URL.finditer(text):
            address = match[0].rstrip(_TRAILING)
            if len(address) > 6:
                end = match.start() + len(address)
                yield PersonalValue(match.start(), end, "URL", address.lower())
    if not any(char.isdigit() for char in text):
        if "::" in text:
            yield from _hosts(text)
        return
    yield from _hosts(text)
    yield from _numbers(text, checks)
    for match in _PHONE.finditer(text):
        number = match[0]
        if _is_phone_shaped(number) and (digits := plan.national(number, regions)):
            yield PersonalValue(match.start(), match.end(), "PHONE", digits.lstrip("0"))


def _hosts(text: str) -> Iterator[PersonalValue]:
    for match in _IP4.finditer(text):
        groups = match[0].split(".")
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        real = groups[0].strip("0") and all(int(group) <= 255 for group in groups)
        if real and not _VERSION.search(before):
            yield PersonalValue(match.start(), match.end(), "IP", match[0])
    for match in _IP6.finditer(text):
        groups = match[0].split(":")
        short = match[0].count("::")
        filled = sum(bool(group) for group in groups)
        complete = len(groups) == 8 == filled or (short == 1 and 2 <= filled <= 7)
        if complete and (len(match[0]) >= 6 or any(char.isalpha() for char in match[0])):
            yield PersonalValue(match.start(), match.end(), "IP", match[0].lower())
    for match in _MAC.finditer(text):
        yield PersonalValue(match.start(), match.end(), "IP", match[0].lower())


def _numbers(text: str, checks: CheckDigits) -> Iterator[PersonalValue]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if checks.card(digits) and len(set(digits)) > 1 and not _DAY.match(match[0]):
            yield PersonalValue(match.start(), match.end(), "CARD", digits)
    for match in _IBAN.finditer(text):
        number = match[0]
        while len(number) >= 15:  # the words after it look like more of it
            letters = re.sub(r"[ -]", "", number).upper()
            if number[-1].isalnum() and checks.iban(letters):
                end = match.start() + len(number)
                yield PersonalValue(match.start(), end, "IBAN", letters)
                break
            number = number[:-1]
    yield from _identities(text, checks)


def _identities(text: str, checks: CheckDigits) -> Iterator[PersonalValue]:
    for match in _SSN.finditer(text):
        yield PersonalValue(match.start(), match.end(), "ID", re.sub(r"\D", "", match[0]))
    for match in _IDENTITY.finditer(text):
        letters = re.sub(r"[ -]", "", match[0])
        if checks.identity(letters):
            yield PersonalValue(match.start(), match.end(), "ID", letters.lower())
    for pattern in (_UK_POSTCODE, _US_STATE_ZIP):
        for match in pattern.finditer(text):
            value = re.sub(r"\W", "", match[0]).lower()
            yield PersonalValue(match.start(), match.end(), "POSTCODE", value)


def _is_phone_shaped(number: str) -> bool:
    """Return whether digits are grouped, or begin, as only phone numbers are."""
    if _DAY.search(number) or number.count("/") > 1:
        return False
    if number.startswith(("+", "0", "(")):
        return not re.search(r"\d[.]\d[.]|\d\.\d+$", number) or number.count(".") >= 2
    separators = re.findall(r"[ ./()-]{1,2}", number)
    groups = [len(group) for group in re.findall(r"\d+", number)]
    if not separators or len(groups) > 5 or min(groups) < 2:
        return False
    even = {separator.strip() or " " for separator in separators}
    if len(even) == 1 and even & {"-", "."}:
        return len(groups) in {3, 4} and max(groups) <= 4
    if even == {" "}:
        return len(groups) >= 3 and max(groups) <= 4
    return "(" in number or (even <= {" ", "-"} and len(groups) >= 3)
