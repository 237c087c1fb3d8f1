"""Fractions that people may write in percent."""

from dataclasses import dataclass

import pytest

from relkit.core.codec import parse_yaml
from relkit.core.errors import InvalidInput
from relkit.core.values import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A file with one fraction."""

    share: Fraction


@pytest.mark.parametrize(
    ("written", "share"),
    [("5%", 0.05), ("0.05", 0.05), ("0.1 %", 0.001), ("'120%'", 1.2), ("1", 1.0), ("99.5%", 0.995)],
)
def test_percent_and_fraction_are_the_same_number(written: str, share: float) -> None:
    """``5%`` is exactly the float that 0.05 is."""
    assert parse_yaml(f"share: {written}\n", Shared, source="s.yaml").share == share


@pytest.mark.parametrize("written", ["-5%", "-0.1", "five", "5%%", "5 percent", "true"])
def test_what_is_no_fraction_is_refused(written: str) -> None:
    """A negative share and words name the file and line."""
    with pytest.raises(InvalidInput, match=r"s\.yaml, line 1"):
        parse_yaml(f"share: {written}\n", Shared, source="s.yaml")
