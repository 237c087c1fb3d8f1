"""Counts a selection of a dataset by the slices that a policy's rules name."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.domain.datasets import Dataset
from relkit.domain.gates import Rule
from relkit.domain.plans import SelectionFacts, SliceFacts, UnitCount
from relkit.domain.slices import OVERALL
from relkit.domain.suites import Segmenter, Suite
from relkit.domain.utterances import Utterance
from relkit.rules.consent import require_consent
from relkit.rules.slice_patterns import columns_of, matches, spec_of
from relkit.rules.slicing import cluster_column, cluster_of, select, slice_columns, slice_values
from relkit.rules.spans import NO_KEYWORDS, Keywords
from relkit.rules.word_errors import graphemes, tokens

UNITS = ("utterances", "words", "characters", "entities", "keywords", "empty_clips")
"""Denominators of metrics that a manifest can count before anything is decoded."""


@dataclass(slots=True)
class _Counter:
    """What was seen of one slice."""

    utterances: int = 0
    clusters: set[str] = field(default_factory=set)
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))
    holders: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))
    unit_clusters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, cluster: str, units: Mapping[str, int]) -> None:
        """Count one utterance."""
        self.utterances += 1
        self.clusters.add(cluster)
        for name, count in units.items():
            if count:
                self.totals[name] += count
                self.holders[name] += 1
                self.unit_clusters[name].add(cluster)

    def facts(self, key: str) -> SliceFacts:
        """Return what was counted."""
        return SliceFacts(
            slice=key,
            utterances=self.utterances,
            clusters=len(self.clusters),
            units={
                name: UnitCount(
                    total=self.totals[name],
                    utterances=self.holders[name],
                    clusters=len(self.unit_clusters[name]),
                )
                for name in UNITS
            },
        )


def facts_of_suite(dataset: Dataset, suite: Suite, rules: Iterable[Rule]) -> SelectionFacts:
    """Return the facts of what a suite selects; raises InvalidInput as an evaluation would."""
    selected = select(dataset, suite.dataset.where)
    usable = require_consent(selected, dataset.consent, dataset=dataset.version.name).utterances
    return _facts(
        dataset,
        usable,
        rules,
        columns=slice_columns(dataset, suite),
        cluster=cluster_column(dataset, suite),
        suite=suite,
    )


def facts_of_dataset(dataset: Dataset, rules: Iterable[Rule]) -> SelectionFacts:
    """Return the facts of a whole dataset, cut by every column it has."""
    usable = require_consent(dataset.utterances, dataset.consent, dataset=dataset.version.name)
    return _facts(
        dataset,
        usable.utterances,
        rules,
        columns=tuple(sorted(dataset.columns())),
        cluster=dataset.cluster,
        suite=None,
    )


def _facts(
    dataset: Dataset,
    utterances: Sequence[Utterance],
    rules: Iterable[Rule],
    *,
    columns: tuple[str, ...],
    cluster: str,
    suite: Suite | None,
) -> SelectionFacts:
    patterns = sorted({OVERALL, *(rule.slice for rule in rules)})
    cuttable = [pattern for pattern in patterns if set(columns_of(pattern)) <= set(columns)]
    counters: dict[str, _Counter] = {OVERALL: _Counter()}
    values: dict[str, set[str]] = {column: set() for column in columns}
    segmenter: Segmenter = "auto" if suite is None else suite.segmenter
    keywords = NO_KEYWORDS if suite is None else Keywords.of(suite.keywords, segmenter)
    for item in utterances:
        own = slice_values(item, columns, dataset.bins, item.audio.length_s)
        for column, value in own.items():
            values[column].add(value)
        units, group = _units(item, keywords, segmenter), cluster_of(item, cluster)
        for key in {_key(pattern, own) for pattern in cuttable}:
            if any(matches(pattern, key) for pattern in cuttable):
                counters.setdefault(key, _Counter()).add(group, units)
    return SelectionFacts(
        dataset=dataset.version.name,
        revision=dataset.version.revision,
        digest=dataset.version.digest,
        cluster=cluster,
        values={column: tuple(sorted(found)) for column, found in values.items()},
        slices={key: counters[key].facts(key) for key in sorted(counters)},
        suite=None if suite is None else suite.name,
        task=None if suite is None else suite.task,
        metrics=None if suite is None else suite.metrics,
    )


def _key(pattern: str, values: Mapping[str, str]) -> str:
    spec = spec_of(pattern)
    return spec.key([values[column] for column in spec.columns])


def _units(item: Utterance, keywords: Keywords, segmenter: Segmenter) -> dict[str, int]:
    """Return how many units of each kind an utterance has, before any normalizing."""
    words = tokens(item.reference, segmenter)
    return {
        "utterances": 1,
        "words": len(words),
        "characters": len(graphemes(item.reference)),
        "entities": len(item.entities),
        "keywords": len(keywords.spans(words)),
        "empty_clips": int(not words),
    }
