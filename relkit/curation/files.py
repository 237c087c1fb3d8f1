"""Contracts, as Great Expectations writes them, their outcomes, and review lists."""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from relkit.core import yaml_text
from relkit.core.codec import Lines, decode, encode, parse, parse_json
from relkit.core.digests import JsonValue, sha256_bytes
from relkit.core.errors import InvalidInput, Malformed
from relkit.core.wording import log_line
from relkit.core.yaml_text import where
from relkit.curation.types import Contract, ContractOutcome, ReviewList, Signals

_NO_NUMBER = re.compile(r"[:\[,]\s*(NaN|-?Infinity)\b")


def parse_contract(data: bytes, *, source: str) -> Contract:
    """Return a contract; raises InvalidInput naming file and line.

    What Great Expectations makes of the names and arguments is not looked at here.
    """
    text = decode(data, source=source)
    document, lines = _load(text, source)
    contract = parse(Contract, document, source=source, lines=lines)
    if contract.suite_parameters:
        raise InvalidInput(
            f"{source}: suite_parameters are not used", hint="write the values where they belong"
        )
    expectations = tuple(
        replace(item, line=lines.get(("expectations", i)))
        for i, item in enumerate(contract.expectations)
    )
    return replace(contract, expectations=expectations, digest=sha256_bytes(data))


def _load(text: str, source: str) -> tuple[JsonValue, Lines]:
    """Return the document and the lines of its keys, which YAML's reader knows and JSON's not."""
    try:
        document = parse_json(text, source=source)
    except Malformed as error:
        if error.line is not None:
            raise
        if constant := _NO_NUMBER.search(text):
            line = text.count("\n", 0, constant.start(1)) + 1
            raise InvalidInput(
                f"{where(source, line)}: {constant[1]} is no JSON number", hint=error.hint
            ) from error
        yaml_text.load(text, source=source)  # says where a repeated key stands
        raise
    try:
        return document, yaml_text.load(text, source=source)[1]
    except InvalidInput:  # JSON that is no YAML, such as one indented by tabs
        return document, {}


def render_contract(contract: Contract) -> str:
    """Return ``contract.json`` as Great Expectations would write it; the digest is not in it."""
    return json.dumps(encode(contract), indent=2, ensure_ascii=False) + "\n"


def render_outcome(outcome: ContractOutcome) -> str:
    """Return a stored outcome as text; ids and numbers, no text of an utterance."""
    return json.dumps(encode(outcome), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_outcome(text: str, *, source: str) -> ContractOutcome:
    """Return a stored outcome; raises InvalidInput, also where its parts contradict each other."""
    document = parse_json(text, source=source)
    outcome = parse(ContractOutcome, document, source=source)
    if encode(outcome) != document:  # what follows from its expectations says something else
        stated = cast("Mapping[str, str]", document)["outcome"]
        raise InvalidInput(
            f"{source}: says {stated}, and its expectations say otherwise",
            hint="check the dataset again: relkit dataset check NAME",
        )
    return outcome


SIGNALS = tuple(Signals.__dataclass_fields__)

NUMBERS = (
    *("error", "words", "slice_worse", "slice_wer", "slice_utterances", "slice_clusters"),
    *("rest_wer", "systems"),
)

_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # the full-width ones, too
_DIGITS = 6


def review_document(review: ReviewList) -> dict[str, JsonValue]:
    """Return the JSON document; scores, signals and rates are rounded to 6 digits."""
    candidates: list[JsonValue] = [
        {
            "id": item.id,
            "score": round(item.score, _DIGITS),
            "slice": item.slice,
            "signals": {name: _rounded(value) for name, value in encode(item.signals).items()},
            "numbers": {name: _rounded(item.numbers.get(name)) for name in NUMBERS},
        }
        for item in review.candidates
    ]
    return {**encode(review), "candidates": candidates}


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else round(value, _DIGITS)


def review_csv(review: ReviewList) -> str:
    """Return a CSV table with a head; what a spreadsheet could run gets an apostrophe."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "score", "slice", *SIGNALS, *NUMBERS])
    for item in review.candidates:
        cells = [_inert(item.id), round(item.score, _DIGITS), _inert(item.slice)]
        cells += [_rounded(getattr(item.signals, name)) for name in SIGNALS]
        cells += [_rounded(item.numbers.get(name)) for name in NUMBERS]
        writer.writerow(cells)
    return out.getvalue()


def _inert(text: str) -> str:
    """Return a cell on one line that no spreadsheet takes for a formula (OWASP, CSV injection).

    Nor does it steer a terminal, or the runner whose log the table is printed to.
    """
    line = log_line(text)
    runs = text.lstrip(" ").startswith(_FORMULA) or line.lstrip().startswith(_FORMULA)
    return f"'{line}" if runs else line
