"""Values that are said: spelled, in digit words, in groups, as they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.safety.spoken import said_form, says


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("Your number is four seven one nine two.", "47192", True),
        ("your number is 47 192", "47192", True),
        ("it is 4-7-1-9-2", "47192", True),
        ("it is 147192", "47192", False),
        ("it is 471921", "47192", False),
        ("forty two", "42", True),
        ("four two", "42", True),
        ("forty chairs", "42", False),
        ("vier sieben eins neun zwei", "47192", True),
        ("cuatro siete uno nueve dos", "47192", True),
        ("d e eight nine three seven", "DE89 37", True),
        ("He lives in the MÜLLERSTRASSE now", "Müllerstraße", True),
        ("oh seven", "07", True),
        ("PIN47192", "47192", True),
        ("DE47192EUR", "47192", True),
        ("PIN147192", "47192", False),
        ("double four two", "442", True),
        ("it is four double seven", "477", True),
        ("\u0664\u0667\u0661\u0669\u0662", "47192", True),
        ("47\u200b192", "47192", True),
        ("nothing of it", "47192", False),
        ("anything", "…", False),
        ("", "42", False),
    ],
)
def test_what_is_said(text: str, value: str, *, said: bool) -> None:
    """The form of a value stands between the ends of words, or it is not said."""
    assert says(text, value) is said


@given(st.text(alphabet="0123456789", min_size=1, max_size=12), st.text(max_size=20))
def test_a_number_is_said_by_its_digits(number: str, before: str) -> None:
    """Whatever stands around it, digit by digit it is the same number."""
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    spoken = " ".join(words[int(digit)] for digit in number)
    assert said_form(spoken) == number
    assert says(f"{before}: {spoken}.", number)
