"""The sentences of the dataset: what is said, the reference text and the entities in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

SENTENCES_FILE = Path(__file__).with_name("sentences.yaml")
_ENTITY = re.compile(r"\[([^\]]+)\]\(([a-z_]+)\)")
_REFERENCE = re.compile(r"[a-z' ]+")


@dataclass(frozen=True)
class Entity:
    """Some words of a reference text and what kind of thing they name."""

    text: str
    type: str


@dataclass(frozen=True)
class Sentence:
    """One sentence: `spoken` goes to the engine, `text` is the reference for scoring."""

    intent: str
    spoken: str
    text: str
    entities: tuple[Entity, ...]


def reference(spoken: str) -> str:
    """Return the reference form: lower case, apostrophes kept, no other punctuation."""
    text = " ".join(re.sub(r"[,.?!]", " ", spoken.lower()).split())
    if not _REFERENCE.fullmatch(text):
        message = f"only letters, apostrophes and spaces can be a reference: {text!r}"
        raise ValueError(message)
    return text


def parse(intent: str, marked: str) -> Sentence:
    """Read one sentence whose entities are marked as `[words](type)`."""
    found = _ENTITY.findall(marked)
    spoken = _ENTITY.sub(r"\1", marked)
    entities = tuple(Entity(reference(words), kind) for words, kind in found)
    return Sentence(intent, spoken, reference(spoken), entities)


def load(path: Path = SENTENCES_FILE) -> list[Sentence]:
    """Read every sentence, in the order of the file."""
    data: dict[str, list[str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [parse(intent, marked) for intent, rows in data.items() for marked in rows]
