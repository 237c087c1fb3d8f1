"""Values of a slice column that people take for one are named; others are not."""

import pytest

from relkit.datasets.look_alikes import appearance, look_alikes
from tests.builders import dataset, utterance


def notes(*values: str) -> list[str]:
    """Return what is said of the values of one column."""
    rows = [
        utterance(f"u{i}", attributes={"accent": value, "speaker": "s"})
        for i, value in enumerate(values)
    ]
    return list(look_alikes(dataset(rows), ["accent"]))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("us", "u\u0455"),  # Cyrillic
        ("us", "\u03c5s"),  # Greek
        ("us", "US"),
        ("us", "us "),
        ("en US", "en\u00a0US"),
        ("en US", "en  us"),
        ("us", "\uff55\uff53"),  # full width
        ("us", "u\u200bs"),  # a space of no width
        ("us", "u\u00ads"),  # a soft hyphen
        ("MOCKBA", "\u041c\u041e\u0421\u041a\u0412\u0410"),
        ("caf\u00e9", "cafe\u0301"),
        ("ma\u00dfe", "MASSE"),
    ],
)
def test_values_that_look_the_same_are_named_together(first: str, second: str) -> None:
    """Each with the numbers of its characters that are not plain ASCII, to tell them apart."""
    (note,) = notes(first, second, "other", first)
    assert note.startswith("accent: ")
    assert "differ only in case, white space or letters that look alike" in note
    assert note.isprintable()
    if not second.isascii():
        assert "U+" in note


@pytest.mark.parametrize(
    "values", [("us", "uk"), ("en-US", "en_US"), ("b", "d"), ("1", "l"), ("", "-"), ("us",)]
)
def test_values_that_differ_to_the_eye_are_left_alone(values: tuple[str, ...]) -> None:
    """Punctuation and digits are what they are."""
    assert notes(*values) == []


def test_what_is_left_of_a_value_stays_as_it_is() -> None:
    """Looking twice changes nothing."""
    for value in ("\u0410\u0412", "\uff21 b", "\u00df", "\u0130x"):
        assert appearance(appearance(value)) == appearance(value)
