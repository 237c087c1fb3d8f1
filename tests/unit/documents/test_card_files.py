"""``card.yaml``, front matter and ``.eval_results``: strict to read, finite to write."""

import math
from dataclasses import replace

import pytest
import yaml

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Consent
from relkit.documents.card import card_of
from relkit.documents.card_evaluation import CardRecords
from relkit.documents.card_files import eval_results, finite, front_matter, parse_card_text
from relkit.documents.types import CardNumber, CardText, ModelCard
from relkit.report.shared_numbers import Sharing
from relkit.report.types import SharedNumber
from tests.release_data import release
from tests.unit.documents.test_card import PRIVACY, made

FULL = """\
schema: relkit.card/v1
intended_use: >
  Short commands
  in a car.
out_of_scope: [emergency calls, minors]
limitations: [names]
training_data: {description: Licensed calls, consent: granted, source: internal}
languages: [en, en-GB]
base_model: openai/whisper-tiny.en
contact: speech-team
risks: [{risk: wrong number, mitigation: read back}]
fairness: {group: "accent=*", tolerance: 3%}
"""


def read(text: str) -> CardText:
    """Return what a card.yaml says."""
    return parse_card_text(text.encode(), source="1.0.0/card.yaml")


def test_every_key_is_read() -> None:
    """Folded text is one paragraph, a tolerance may be in percent."""
    text = read(FULL)
    assert text.intended_use == "Short commands in a car."
    assert text.training_data is not None
    assert text.training_data.consent is Consent.GRANTED
    assert text.fairness is not None
    assert text.fairness.tolerance == 0.03
    assert read("schema: relkit.card/v1\n") == CardText()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("schema: relkit.card/v1\nlimits: [x]\n", 2, "limitations"),
        ("schema: relkit.card/v1\nrisks: [{risk: x, mitigations: y}]\n", 2, "mitigation"),
        ("schema: relkit.card/v1\ntraining_data: {consent: maybe}\n", 2, "consent"),
        ("schema: relkit.card/v1\nlanguages: [english!]\n", 2, "language"),
        ("schema: relkit.card/v1\nintended_use: '  '\n", 2, "empty"),
        ("schema: relkit.card/v1\nfairness: {group: a&b=*, tolerance: 1}\n", 2, "group"),
        ("schema: relkit.card/v1\ncontact: [a]\n", 2, "contact"),
        ("schema: relkit.card/v1\ncontact: &a x\nbase_model: *a\n", 2, "anchor"),
    ],
)
def test_what_a_card_may_not_say_names_its_line(text: str, line: int, words: str) -> None:
    """One message with the file, the line, and the nearest key where there is one."""
    with pytest.raises(InvalidInput) as caught:
        read(text)
    message = f"{caught.value.message} {caught.value.hint}"
    assert f"1.0.0/card.yaml, line {line}" in message
    assert words in message


def test_what_is_no_text_is_refused() -> None:
    """Bytes that are no UTF-8, and nothing at all."""
    for data in (b"schema: \xff", b"", b"\n"):
        with pytest.raises(InvalidInput, match=r"card\.yaml"):
            parse_card_text(data, source="1.0.0/card.yaml")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True])
def test_what_is_no_number_is_refused_where_a_hub_would_take_it(value: float) -> None:
    """NaN in a card would be believed: neither format is written."""
    card = made()
    assert card.evaluation is not None
    first = card.evaluation.numbers[0]
    broken = replace(first, number=SharedNumber(value=value, low=0.0, high=1.0, basis="x"))
    card = replace(card, evaluation=replace(card.evaluation, numbers=(broken,)))
    for render in (front_matter, eval_results):
        with pytest.raises(InvalidInput, match="is no number"):
            render(card)
    with pytest.raises(InvalidInput):
        finite(value, what="wer")


def test_an_end_of_an_interval_has_to_be_a_number_too() -> None:
    """The notes of an entry hold it."""
    card = made()
    assert card.evaluation is not None
    shown = SharedNumber(value=0.1, low=math.nan, high=0.2, basis="x")
    broken = replace(card.evaluation.numbers[0], number=shown)
    card = replace(card, evaluation=replace(card.evaluation, numbers=(broken,)))
    with pytest.raises(InvalidInput, match="is no number"):
        eval_results(card)


def matter(card: ModelCard) -> dict[str, object]:
    """Return the front matter of a card, read again."""
    first, text, rest = front_matter(card).split("---\n")
    assert first == rest == ""
    document = yaml.safe_load(text)
    assert isinstance(document, dict)
    return document


def test_the_front_matter_has_what_hubs_know() -> None:
    """A licence is lower case where they know it, a base model only where it names one."""
    card = made(text=read(FULL))
    document = matter(card)
    assert document["license"] == "apache-2.0"
    assert document["base_model"] == "openai/whisper-tiny.en"
    assert document["language"] == ["en", "en-GB"]
    own = card_of(
        CardRecords(
            release=release(licence="Acme-1"),
            text=CardText(base_model="one of ours"),
            sharing=Sharing(privacy=PRIVACY),
        )
    )
    document = matter(own)
    assert (document["license"], document["license_name"]) == ("other", "Acme-1")
    unshared = matter(made(records={"release": release(licence="a | b")}))
    assert unshared["license"] == "other"
    assert "license_name" not in unshared
    assert "base_model" not in document
    assert "model-index" not in document


def test_what_is_not_shown_is_in_no_result() -> None:
    """Neither as null nor as 0."""
    card = made({"noise=0": 12}, errors=0.0)
    assert "model-index" not in matter(card)
    with pytest.raises(InvalidInput, match="no number to show") as refused:
        eval_results(card)
    assert "too few people" in (refused.value.hint or "")


def test_text_that_looks_like_yaml_stays_text() -> None:
    """Nothing in a value ends the front matter or adds a key to it."""
    text = CardText(languages=("no",), base_model="a/b")
    assert matter(made(text=text))["language"] == ["no"]


def test_entries_hold_interval_and_basis() -> None:
    """What a hub shows beside a number says of how much it is."""
    entries = yaml.safe_load(eval_results(made()))
    by_task = {entry["dataset"]["task_id"]: entry for entry in entries}
    entry = by_task["wer_capped@noise=0"]
    assert "95 % interval" in entry["notes"]
    assert "10 to 19 speakers" in entry["notes"]
    assert isinstance(entry["value"], float)
    assert CardNumber.__slots__
