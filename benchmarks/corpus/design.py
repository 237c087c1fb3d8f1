"""Which sentence is said by which voice under which conditions: a crossed design without chance.

Within each accent every pairing of twelve noise places (six clean, two noises at three levels),
two channels and three rates occurs once. Voices and then sentences are laid over those cells and
exchanged pairwise for as long as an exchange makes the counts of their pairings more even. The
start order comes from SHA-256, so that every Python gives the same design.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TypeVar

from benchmarks.corpus.noise import number
from benchmarks.corpus.sentences import Sentence
from benchmarks.corpus.voices import RATES, VOICES, Voice, accents

NOISES = ("babble", "pink")
SNRS = ("20", "10", "0")
CHANNELS = ("wideband", "telephone")
SUBSETS = ("demo", "full")
_PLACES = tuple(product(range(len(NOISES)), range(len(SNRS))))

Label = tuple[Hashable, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """The conditions of one clip before anybody speaks in it."""

    accent: str
    noise: str
    snr: str
    channel: str
    rate: str
    subset: str


@dataclass(frozen=True)
class Clip:
    """One clip of the dataset: its conditions, its voice and its sentence."""

    id: str
    cell: Cell
    voice: Voice
    sentence: Sentence


def _accent_cells(place: int, accent: str) -> list[Cell]:
    """Cross all conditions for one accent; every second combination is in the demo subset."""
    cells = []
    noisy = [(a, b, NOISES[a], SNRS[b]) for a, b in _PLACES]
    clean = [(a, b, "clean", "clean") for a, b in _PLACES]
    for a, b, noise, snr in clean + noisy:
        for c, r in product(range(len(CHANNELS)), range(len(RATES))):
            subset = SUBSETS[(place + a + b + c + r) % 2]
            cells.append(Cell(accent, noise, snr, CHANNELS[c], RATES[r], subset))
    return cells


def cells() -> list[Cell]:
    """Return all 288 cells, accent by accent."""
    return [cell for place, accent in enumerate(accents()) for cell in _accent_cells(place, accent)]


def _conditions(cell: Cell) -> list[Label]:
    """Name the conditions that whatever is laid over a cell should meet equally often."""
    return [
        ("noise", cell.noise),
        ("snr", cell.snr),
        ("channel", cell.channel),
        ("rate", cell.rate),
        ("subset", cell.subset),
    ]


class Balance:
    """Counts of (what is laid, condition) pairings and their sum of squares, the cost to lower."""

    def __init__(self) -> None:
        """Start with nothing laid."""
        self.counts: Counter[Label] = Counter()

    def move(self, pairs: Sequence[Label], step: int) -> int:
        """Add (`step` 1) or take away (-1) pairings and return by how much the cost changed."""
        change = 0
        for pair in pairs:
            change += 2 * step * self.counts[pair] + 1
            self.counts[pair] += step
        return change


def exchange(
    laid: list[T], groups: Sequence[Sequence[int]], pairs: Callable[[T, int], list[Label]]
) -> None:
    """Exchange what is laid on two places of one group until no exchange lowers the cost."""
    balance = Balance()
    for place, item in enumerate(laid):
        balance.move(pairs(item, place), 1)
    improved = True
    while improved:
        improved = False
        for i, j in (pair for group in groups for pair in combinations(group, 2)):
            before = pairs(laid[i], i) + pairs(laid[j], j)
            after = pairs(laid[j], i) + pairs(laid[i], j)
            if balance.move(before, -1) + balance.move(after, 1) < 0:
                laid[i], laid[j] = laid[j], laid[i]
                improved = True
            else:
                balance.move(after, -1)
                balance.move(before, 1)


def _groups(keys: Sequence[str]) -> list[list[int]]:
    """Collect the places that share a key."""
    return [[i for i, key in enumerate(keys) if key == wanted] for wanted in dict.fromkeys(keys)]


def _lay_voices(plan: Sequence[Cell]) -> list[Voice]:
    """Give every cell a voice of its accent, each voice equally often and under even conditions."""
    laid: list[Voice] = []
    for accent in accents():
        own = [voice for voice in VOICES if voice.accent == accent]
        places = sum(cell.accent == accent for cell in plan)
        many = [(voice, turn) for turn in range(places // len(own)) for voice in own]
        laid += [voice for voice, _ in sorted(many, key=lambda x: number(f"{x[0].name}/{x[1]}"))]
    marks = [_conditions(cell) for cell in plan]
    groups = _groups([cell.accent for cell in plan])
    exchange(laid, groups, lambda voice, i: [(voice.name, *mark) for mark in marks[i]])
    return laid


def _lay_sentences(
    plan: Sequence[Cell], voices: Sequence[Voice], said: Sequence[Sentence]
) -> list[Sentence]:
    """Use each sentence once in each subset, its two uses and its intent under even conditions."""
    laid = [said[0]] * len(plan)
    groups = _groups([cell.subset for cell in plan])
    for group in groups:
        order = sorted(said, key=lambda sentence: number(f"{group[0]}/{sentence.spoken}"))
        for place, sentence in zip(group, order, strict=True):
            laid[place] = sentence
    marks = [
        [*_conditions(cell), ("accent", cell.accent), ("voice", voice.name)]
        for cell, voice in zip(plan, voices, strict=True)
    ]

    def pairs(sentence: Sentence, place: int) -> list[Label]:
        by_intent: list[Label] = [(sentence.intent, *mark) for mark in marks[place]]
        return by_intent + [(sentence.text, *mark) for mark in marks[place]]

    exchange(laid, groups, pairs)
    return laid


def clips(said: Sequence[Sentence]) -> list[Clip]:
    """Return the spoken clips sorted by id; needs half as many sentences as cells."""
    plan = cells()
    voices = _lay_voices(plan)
    sentences = _lay_sentences(plan, voices, said)
    seen: Counter[str] = Counter()
    result = []
    for cell, voice, sentence in zip(plan, voices, sentences, strict=True):
        seen[sentence.intent] += 1
        name = f"{sentence.intent}-{seen[sentence.intent]:03d}-{voice.name}"
        result.append(Clip(name, cell, voice, sentence))
    return sorted(result, key=lambda clip: clip.id)
