"""Errors by the type of an entity."""

import pytest

from relkit.domain.reports import EntityType
from relkit.rules.entity_types import entity_types
from relkit.rules.text_scoring import score_text


def test_the_worst_type_comes_first_and_the_unlocated_are_left_out() -> None:
    """Types are ranked by rate; a label that its reference does not hold counts nowhere."""
    items: list[tuple[list[str], list[bool | None]]] = [
        (["city", "digits"], [False, True]),
        (["digits", "person", "city"], [True, None, True]),
    ]
    assert entity_types(items) == (
        EntityType(type="digits", entities=2, errors=2),
        EntityType(type="city", entities=2, errors=1),
    )


def test_marks_follow_the_order_of_the_labels() -> None:
    """Each label has its own mark, which add up to the totals."""
    scored = score_text(
        "call anna in rome at nine",
        "call emma in rome at nine",
        entities=["anna", "paris", "rome", "nine"],
    )
    assert scored.entity_marks == (True, None, False, False)
    assert (scored.entities, scored.entity_errors, scored.unlocated) == (3, 1, 1)


def test_a_failure_loses_every_entity_it_should_have_had() -> None:
    """Without an answer every located entity is wrong."""
    scored = score_text("call anna in rome", None, entities=["anna", "rome", "oslo"])
    assert scored.entity_marks == (True, True, None)


def test_marks_and_labels_must_belong_together() -> None:
    """A mark without its label would be counted under another type."""
    with pytest.raises(ValueError, match=r"shorter|longer"):
        entity_types([(["city"], [True, False])])


def test_a_type_without_an_entity_has_no_rate() -> None:
    """Nothing seen is no 0 %."""
    assert EntityType(type="city", entities=0, errors=0).rate is None
