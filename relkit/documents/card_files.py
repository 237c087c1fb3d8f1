"""The files around a card: ``card.yaml``, the front matter of model hubs, ``.eval_results``.

A hub takes any value for a number, NaN included, so that every one is checked here.
"""

import math
import re
from collections.abc import Iterator

import yaml

from relkit.core.codec import decode, parse_yaml
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.metrics import help_of
from relkit.core.slices import OVERALL
from relkit.core.wording import metric_name
from relkit.documents.types import CardNumber, CardText, ModelCard
from relkit.registry.types import Component
from relkit.report.types import NOT_SHARED

CARD = "card.yaml"

_TASKS: dict[Component, tuple[str, str]] = {
    "asr": ("automatic-speech-recognition", "Automatic Speech Recognition"),
    "llm": ("text-generation", "Text Generation"),
    "tts": ("text-to-speech", "Text to Speech"),
    "retriever": ("sentence-similarity", "Retrieval"),
    "safety": ("text-classification", "Safety"),
    "stack": ("audio-to-audio", "Speech Assistant"),
}
"""The task of a component as hubs call it, and its name for people."""

_LICENCES = frozenset(
    {"apache-2.0", "mit", "openrail", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0"}
    | {"cc-by-sa-4.0", "cc-by-nc-4.0", "gpl-3.0", "lgpl-3.0", "mpl-2.0", "unlicense"}
)
"""Licences that hubs know by the lower-case form of their SPDX identifier; others are ``other``."""


_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+")
"""A model of a hub; other words of ``base_model`` are for people."""


def parse_card_text(data: bytes, *, source: str) -> CardText:
    """Return what people state of a release; raises InvalidInput with file, line and what to do."""
    return parse_yaml(decode(data, source=source), CardText, source=source)


def finite(number: float, *, what: str) -> float:
    """Return a number that a hub may read; raises InvalidInput for NaN and infinities."""
    if isinstance(number, bool) or not math.isfinite(number):
        raise InvalidInput(
            f"{what} is no number: a card with it would be refused, or believed",
            hint="the report of the release is damaged: relkit registry validate",
        )
    return number


def front_matter(card: ModelCard) -> str:
    """Return the metadata that model hubs read, between its two lines of ``---``.

    ``model-index`` has a result of everything with all metrics, and one per slice with the first;
    rates are fractions, and what is not shown as a number is left out. Raises InvalidInput for a
    value that is no finite number.
    """
    release, evaluation = card.release, card.evaluation
    task, _ = _TASKS[release.component]
    document: dict[str, JsonValue] = {}
    if card.text.languages:
        document["language"] = [*card.text.languages]
    licence = release.licence.lower()
    if licence:
        document["license"] = licence if licence in _LICENCES else "other"
        if licence not in _LICENCES and release.licence != NOT_SHARED:
            document["license_name"] = release.licence
    if card.text.base_model is not None and _MODEL_ID.fullmatch(card.text.base_model):
        document["base_model"] = card.text.base_model
    document["pipeline_tag"] = task
    document["tags"] = ["relkit", release.component]
    if evaluation is not None:
        document["metrics"] = [*dict.fromkeys(n.metric for n in _numbers(card))]
        results = [*_results(card)]
        if results:
            name = f"{release.model} {release.version}"
            document["model-index"] = [{"name": name, "results": results}]
    return f"---\n{_yaml(document)}---\n"


def _results(card: ModelCard) -> Iterator[JsonValue]:
    evaluation = card.evaluation
    if evaluation is None:
        return
    task, task_name = _TASKS[card.release.component]
    by_slice: dict[str, list[CardNumber]] = {}
    first = next((number.metric for number in evaluation.numbers), None)
    for number in _numbers(card):
        if number.slice == OVERALL or number.metric == first:
            by_slice.setdefault(number.slice, []).append(number)
    for key, numbers in by_slice.items():
        dataset: dict[str, JsonValue] = {
            "name": evaluation.dataset if key == OVERALL else f"{evaluation.dataset} ({key})",
            "type": evaluation.dataset,
        }
        if evaluation.revision is not None:
            dataset["revision"] = evaluation.revision
        if key != OVERALL:
            dataset["config"] = key
        metrics: list[JsonValue] = [
            {"type": item.metric, "name": metric_name(item.metric), "value": _value(item)}
            for item in numbers
        ]
        yield {"task": {"type": task, "name": task_name}, "dataset": dataset, "metrics": metrics}


def eval_results(card: ModelCard) -> str:
    """Return the entries of an ``.eval_results`` file, YAML: a metric of a slice each.

    ``task_id`` names metric and slice, ``notes`` the interval and of how much it is. Raises
    InvalidInput where the card has no number, or one that is not finite.
    """
    evaluation, entries = card.evaluation, list[JsonValue]()
    for item in _numbers(card):
        if evaluation is None:
            break
        dataset: dict[str, JsonValue] = {
            "id": evaluation.dataset,
            "task_id": item.metric if item.slice == OVERALL else f"{item.metric}@{item.slice}",
        }
        if evaluation.revision is not None:
            dataset["revision"] = evaluation.revision
        entries.append(
            {
                "dataset": dataset,
                "value": _value(item),
                "date": evaluation.created,
                "notes": _note(item),
            }
        )
    if not entries:
        raise InvalidInput(
            "the card has no number to show",
            hint="register the release with its run: relkit registry register"
            if evaluation is None
            else "each is of too few people, or it is not known here of how many: see the card",
        )
    return _yaml(entries)


def _note(item: CardNumber) -> str:
    shown, said = item.number, [help_of(item.metric)]
    if shown.low is not None and shown.high is not None:
        low, high = (finite(end, what=item.metric) for end in (shown.low, shown.high))
        said.append(f"95 % interval {low:g} to {high:g}")
    said.append(shown.basis)
    return "; ".join(said)


def _numbers(card: ModelCard) -> Iterator[CardNumber]:
    """Yield what a card shows as a number: rates by slice, then times."""
    if card.evaluation is not None:
        for item in (*card.evaluation.numbers, *card.evaluation.latency):
            if item.number.value is not None:
                yield item


def _value(item: CardNumber) -> float:
    value = item.number.value
    return finite(math.nan if value is None else value, what=f"{item.metric} in {item.slice}")


def _yaml(document: JsonValue) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
