"""Candidates for a wrong label: what recognisers understood, against what is written."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relkit.rules.word_errors import count_text

_FEWEST_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How far recognisers contradict a label; rates are errors over words, None without words.

    ``rate`` is the lowest of all systems, ``neighbours`` the pooled rate of the speaker's other
    utterances (of all others, where the speaker has too few), ``systems`` how many answered.
    """

    rate: float | None = None
    neighbours: float | None = None
    systems: int = 0

    @property
    def excess(self) -> float | None:
        """By how much the rate exceeds the neighbours'; high: a candidate for a wrong label."""
        if self.rate is None or self.neighbours is None:
            return None
        return self.rate - self.neighbours


def doubts(
    references: Mapping[str, str],
    hypotheses: Sequence[Mapping[str, str]],
    speakers: Mapping[str, str],
) -> dict[str, Doubt]:
    """Return a doubt per utterance id, from the hypotheses of one or more systems.

    All texts are normalized already. The rate can exceed 1; it is capped at 1, so that one
    hallucination does not stand for a hundred wrong words.
    """
    best: dict[str, tuple[int, int, int]] = {}
    for name, reference in references.items():
        given = [texts[name] for texts in hypotheses if name in texts]
        counts = [count_text(reference, text) for text in given]
        if counts and (words := counts[0].reference_length):
            best[name] = min(min(c.errors, words) for c in counts), words, len(given)
    everyone = sum(e for e, _, _ in best.values()), sum(w for _, w, _ in best.values()), len(best)
    groups: dict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for name, (errors, words, _) in best.items():
        had = groups[speakers[name]]
        groups[speakers[name]] = had[0] + errors, had[1] + words, had[2] + 1
    found = {}
    for name in references:
        if name not in best:
            found[name] = Doubt()
            continue
        errors, words, systems = best[name]
        group = groups[speakers[name]]
        pool = group if group[2] > _FEWEST_NEIGHBOURS else everyone
        others = pool[1] - words
        found[name] = Doubt(
            rate=errors / words,
            neighbours=(pool[0] - errors) / others if others else None,
            systems=systems,
        )
    return found
