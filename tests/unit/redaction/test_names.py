"""Names that leave the team, read by the scanner without its libraries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn
from stdnum.es import dni, nie
from stdnum.fr import nir

from relkit.redaction.names import WrittenForms, personal_type

FORMS = WrittenForms()


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("555-123-4567", "PHONE"),
        ("030-1234567", "PHONE"),
        ("five-five-five-one-two-three-four-five-six-seven", "PHONE"),
        ("jane.doe@example.com", "EMAIL"),
        ("asr.example.com", "URL"),
        ("asr-10.0.0.1", "IP"),
        ("123-45-6789", "ID"),
        ("12345678Z", "ID"),
        ("4539578763621486", "CARD"),
        ("DE89370400440532013000", "IBAN"),
        ("runtime +49 30 901820", "PHONE"),
    ],
)
def test_a_personal_value_in_a_name_is_found(name: str, type_: str) -> None:
    """Each kind by its form and its check digits, without a numbering plan."""
    assert personal_type(name) == type_


@pytest.mark.parametrize(
    "name",
    [
        *("1.0.0", "2.10.0-rc.1+build.5", "1.2.3.4", "12.4.131.1", "2024.10.12", "24.10.1200"),
        *("1.0.0+20241012.1234", "20241012", "2024-08-06", "7f3c9e1", "100-200-3000"),
        *("gpt-4o-2024-08-06", "whisper-large-v3", "gpt-4-0613", "llama.cpp-b4321", "kokoro-82M"),
        *("20261201T032756Z-a3c379", "tenant-3fa2", "value-90182055", "wer-limit", "eu-west-1"),
        *("assistant-commands", "commands-2026-12-01", "CTranslate2 4.5.0", "NVIDIA H200"),
        "ef339e636cb3b53c4281e5d9e943c4c33c911892",
    ],
)
def test_names_of_releases_hold_nothing_personal(name: str) -> None:
    """Versions, days, commits, runs and pseudonyms are none."""
    assert personal_type(name) is None


@given(st.text("0123456789", min_size=13, max_size=19))
def test_the_check_of_cards_is_luhns(digits: str) -> None:
    """It agrees with the library that is not needed here."""
    assert FORMS.card(digits) == luhn.is_valid(digits)


@given(
    st.sampled_from(["DE", "FR", "GB", "NO", "MT"]), st.text("0123456789A", min_size=9, max_size=29)
)
def test_the_check_of_ibans_is_by_country_and_97(country: str, rest: str) -> None:
    """What is one for the library, which knows banks too, is one here; of other lengths none is."""
    for check in range(2, 99):
        text = f"{country}{check:02}{rest}"
        assert FORMS.iban(text) or not iban.is_valid(text, check_country=False)
        assert not FORMS.iban(text[:14])


@given(st.integers(0, 99_999_999), st.sampled_from("TRWAGMYFPDXBNJZSQVHLCKE"))
def test_the_check_of_identity_numbers_is_the_librarys(number: int, letter: str) -> None:
    """Of Spain and of France, with and without departments of Corsica."""
    spanish = (f"{number:08}{letter}", f"Y{number % 10**7:07}{letter}")
    assert FORMS.identity(spanish[0]) == dni.is_valid(spanish[0])
    assert FORMS.identity(spanish[1]) == nie.is_valid(spanish[1])
    for department in ("75", "2A", "2B"):
        body = f"25508{department}{number % 10**6:06}"
        digits = body.replace("2A", "19").replace("2B", "18")
        assert FORMS.identity(f"{body}{97 - int(digits) % 97:02}")
        text = f"{body}{number % 97:02}"
        assert FORMS.identity(text) == nir.is_valid(text)
