"""What is called by its name outside, and what gets a pseudonym."""

import re

import pytest

from relkit.core.errors import InvalidInput
from relkit.disclosure.names import (
    PSEUDONYM,
    IncidentPseudonyms,
    SharedNames,
    checked_name,
    is_name,
    packet_stem,
    page_name,
    shared_values,
)
from tests.packet_data import packet

KEY = bytes(range(32))


def names(**share: frozenset[str]) -> SharedNames:
    """Return names of an incident that share these values."""
    return SharedNames(share, IncidentPseudonyms(KEY))


def test_only_what_is_shared_is_named() -> None:
    """A column and a value have their names where relkit.yaml lists them, else pseudonyms."""
    shared = names(accent=frozenset({"scottish"}))
    assert shared.column("accent") == "accent"
    assert shared.value("accent", "scottish") == "scottish"
    assert re.fullmatch(r"accent-[0-9a-f]{4}", shared.value("accent", "welsh"))
    assert re.fullmatch(r"column-[0-9a-f]{4}", shared.column("ward"))
    assert re.fullmatch(r"value-[0-9a-f]{4}", shared.value("ward", "oncology"))
    assert set(shared.pseudonyms.issued.values()) == {
        "accent=welsh",
        "ward",
        "ward=oncology",
    }


def test_tenants_are_never_named() -> None:
    """Not even one that is on the list."""
    shared = names(tenant=frozenset({"acme"}))
    assert shared.column("tenant") == "tenant"
    assert re.fullmatch(r"tenant-[0-9a-f]{4}", shared.value("tenant", "acme"))


@pytest.mark.parametrize(
    "value",
    ["{{7*7}}", "<b>x</b>", "[x](y)", "\x1b[2J", "=1+1", "", "a b", "a\n", "é", "a" * 65],
    ids=["jinja", "html", "markdown", "terminal", "csv", "empty", "blank", "line", "é", "long"],
)
def test_a_name_of_another_form_is_never_shown(value: str) -> None:
    """A shared value of another form gets a pseudonym, a version is refused unrepeated."""
    shared = names(accent=frozenset({value}), **{value: frozenset({"x"})})
    assert not is_name(value)
    assert re.fullmatch(PSEUDONYM, shared.value("accent", value))
    assert re.fullmatch(PSEUDONYM, shared.column(value))
    with pytest.raises(InvalidInput, match="no packet may hold") as refused:
        shared.value("release_asr", value)
    assert not value or value not in refused.value.message
    with pytest.raises(InvalidInput):
        checked_name(value, what="a policy")


@pytest.mark.parametrize(
    "value", ["555-123-4567", "five-five-five-one-two-three-four-five-six-seven", "asr.example.com"]
)
def test_a_name_that_reads_as_a_personal_value_is_refused_and_not_masked(value: str) -> None:
    """A version or a model is refused unrepeated, a shared value gets a pseudonym."""
    assert not is_name(value)
    assert re.fullmatch(PSEUDONYM, names(accent=frozenset({value})).value("accent", value))
    with pytest.raises(InvalidInput, match="reads as a personal value") as refused:
        checked_name(value, what="the model")
    assert value not in refused.value.message


def test_packets_of_one_incident_agree_and_others_do_not() -> None:
    """A pseudonym depends on the incident's key, and on nothing else."""
    again = names().value("tenant", "acme")
    assert names().value("tenant", "acme") == again
    other = SharedNames({}, IncidentPseudonyms(bytes(32)))
    assert other.value("tenant", "acme") != again


def test_pseudonyms_that_collide_are_longer() -> None:
    """Of two names with one beginning of their hashes the second gets more digits."""
    taken = names().value("tenant", "acme")
    pseudonyms = IncidentPseudonyms(KEY, {taken: "tenant=other"})
    longer = SharedNames({}, pseudonyms).value("tenant", "acme")
    assert len(longer) == len(taken) + 1
    assert longer.startswith(taken)
    reserved = IncidentPseudonyms(KEY, reserved=frozenset({taken}))
    assert SharedNames({}, reserved).value("tenant", "acme") == longer


def test_an_asterisk_shares_what_was_locked() -> None:
    """It stands for the values of the datasets, and for none where no dataset has the column."""
    share = {"noise": ("*",), "accent": ("welsh",), "city": ("*", "york")}
    assert shared_values(share, {"noise": ("car", "room"), "accent": ("irish",)}) == {
        "noise": frozenset({"car", "room"}),
        "accent": frozenset({"welsh"}),
        "city": frozenset({"york"}),
    }


def test_files_are_called_by_incident_stage_and_hour() -> None:
    """The first packet has the incident's name, later ones their stage and first hour."""
    assert page_name(packet()) == "INC-2026-11-29.html"
    assert packet_stem("asr", "update", "2026-11-01T09:00:00Z") == "asr-update-20261101T09Z"
