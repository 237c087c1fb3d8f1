"""Errors by the type of an entity."""

from dataclasses import replace

import pytest

from relkit.adapters.html import JinjaPages
from relkit.evaluation.run_files import parse_report, render_report
from relkit.scoring.text import entity_types, score_text
from relkit.scoring.types import EntityType
from tests.builders import report


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


def test_the_types_are_in_the_report_and_on_its_page() -> None:
    """They survive the file, and a hostile label stays text."""
    types = (EntityType(type="a|<b>", entities=4, errors=3),)
    measured = replace(report(), entity_types=types)
    assert parse_report(render_report(measured), source="report.json") == measured
    page = JinjaPages().report_markdown(measured)
    assert r"| a\|\<b\> | 4 | 3 | 75.0 % |" in page
