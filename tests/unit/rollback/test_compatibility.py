"""Whether a release fits what is running: every field, in both directions, in words."""

from dataclasses import replace

import pytest

from relkit.registry.types import Interface
from relkit.rollback.compatibility import (
    Running,
    fit_each_other,
    interface_misfits,
    only_stated_by,
    partner_misfits,
)
from tests.rollback_data import release

FULL = Interface(
    sample_rate_hz=16_000,
    languages=("en", "de"),
    label_schema="3",
    feature_schema="mel-80",
    api_version="1.2",
    tokenizer="bpe-1k",
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample_rate_hz": 8_000}, "its sample rate is 8000 Hz, and what runs has 16000 Hz"),
        (
            {"sample_rate_hz": None},
            "it does not state its sample rate, and what runs has 16000 Hz",
        ),
        ({"label_schema": "2"}, "its label schema is 2, and what runs has 3"),
        ({"label_schema": None}, "it does not state its label schema, and what runs has 3"),
        ({"feature_schema": "mel-40"}, "its feature schema is mel-40, and what runs has mel-80"),
        (
            {"feature_schema": None},
            "it does not state its feature schema, and what runs has mel-80",
        ),
        (
            {"api_version": "1.1"},
            "its API version is 1.1, which does not offer what 1.2 does, and 1.2 runs",
        ),
        ({"api_version": None}, "it does not state its API version, and what runs has 1.2"),
        ({"tokenizer": "bpe-2k"}, "its tokenizer is bpe-2k, and what runs has bpe-1k"),
        ({"tokenizer": None}, "it does not state its tokenizer, and what runs has bpe-1k"),
        ({"languages": ("en",)}, "it does not serve de, which is running"),
        ({"languages": ()}, "it does not state its languages, and what runs serves en, de"),
    ],
)
def test_what_does_not_fit_is_said(change: dict[str, object], words: str) -> None:
    """Another value does not fit, and neither does none."""
    running = release("asr", "2", interface=FULL)
    target = release("asr", "1", interface=replace(FULL, **change))  # type: ignore[arg-type]  # a table of any field
    assert interface_misfits(target, running) == (words,)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"api_version": "1.3"},
        {"api_version": "1.2.9"},
        {"languages": ("DE", "en", "fr")},
    ],
)
def test_what_offers_as_much_fits(change: dict[str, object]) -> None:
    """More languages and a newer minor API are no misfit."""
    running = release("asr", "2", interface=FULL)
    target = release("asr", "1", interface=replace(FULL, **change))  # type: ignore[arg-type]  # a table of any field
    assert interface_misfits(target, running) == ()


def test_what_neither_states_is_not_held() -> None:
    """Absent on both sides is fine; only the target's word is a note."""
    silent, says = release("asr", "2", interface=Interface()), release("asr", "1", interface=FULL)
    assert interface_misfits(silent, silent) == ()
    assert interface_misfits(says, silent) == ()
    assert len(only_stated_by(says, silent)) == 6
    assert only_stated_by(silent, says) == ()


def test_every_misfit_is_said_at_once() -> None:
    """Nobody mends one to find the next."""
    assert len(interface_misfits(release("a", "1", interface=Interface()), release("a", "2"))) == 4


def test_another_component_does_not_fit() -> None:
    """A speaker cannot take the place of a recogniser."""
    found = interface_misfits(release("a", "1", component="tts"), release("a", "2"))
    assert found == ("it is of the component tts, what runs is asr",)


LLM = release("llm", "2.3", component="llm")


@pytest.mark.parametrize(
    ("wanted", "partner", "words"),
    [
        ({"llm": ">=2,<3"}, LLM, None),
        ({}, LLM, None),
        ({"llm": ">=3"}, LLM, "it requires llm >=3, which 2.3 is not"),
        ({"tts": "*"}, LLM, "it requires tts *, and no tts is running"),
        ({"llm": ">=main"}, LLM, 'it requires llm >=main, which cannot be read: ">=main": "main"'),
        (
            {},
            replace(LLM, requires={"asr": ">=2"}),
            "llm 2.3 is running and requires asr >=2, which 1.0 is not",
        ),
        ({}, replace(LLM, requires={"asr": "1.*.1"}), "llm 2.3 is running and requires asr 1.*.1"),
        ({}, replace(LLM, requires={"asr": "<2", "tts": ">=9"}), None),
    ],
)
def test_ranges_hold_both_ways(wanted: dict[str, str], partner: object, words: str | None) -> None:
    """What it requires of what runs, and what runs requires of it; no range accepts everything."""
    assert isinstance(partner, type(LLM))
    target = release("asr", "1.0", requires=wanted)
    found = partner_misfits(target, Running(partners={"llm": partner}))
    assert len(found) == (words is not None)
    assert words is None or found[0].startswith(words)
    assert fit_each_other(target, partner, {}) is (words is None or "tts" in words)


def test_partners_inside_the_same_stack_are_left_out() -> None:
    """They may change together with it."""
    target = release("asr", "1.0", requires={"llm": ">=9", "vad": ">=1"})
    partners = {"llm": replace(LLM, requires={"asr": ">=9"})}
    found = partner_misfits(target, Running(partners=partners), inside={"llm"})
    assert found == ("it requires vad >=1, and no vad is running",)


def test_names_are_in_a_range_by_when_they_were_registered() -> None:
    """A partner that is called by a name is as new as its registration."""
    target = release("asr", "1.0", requires={"llm": ">=2.0"})
    named = replace(LLM, version="main-7f3a")
    orders = {"llm": ("2.0", "main-7f3a")}
    assert partner_misfits(target, Running(partners={"llm": named}, orders=orders)) == ()
    assert partner_misfits(target, Running(partners={"llm": named})) == (
        "it requires llm >=2.0, which main-7f3a is not",
    )
