"""Counts a selection of a dataset by the slices that a policy's rules name."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from relkit.core.metrics import STAGE_METRICS, metric_of, split_metric
from relkit.core.slices import OVERALL, columns_of, expand_slices, is_pattern, matches, spec_of
from relkit.core.tokens import Segmenter, graphemes, tokens
from relkit.datasets.selection import cluster_of, prompts_of, require_consent, slice_values
from relkit.datasets.types import Dataset, ScriptEntry, Utterance
from relkit.evaluation.slicing import cluster_ways, select, slice_columns
from relkit.evaluation.types import Suite
from relkit.gate.evidence import unlabelled
from relkit.gate.plan_types import SelectionFacts, SliceFacts, UnitCount
from relkit.gate.types import Population, Rule
from relkit.scoring.text import NO_KEYWORDS, Keywords
from relkit.statistics.crossed import are_shared
from relkit.statistics.intervals import MIN_CLUSTERS
from relkit.statistics.power import SliceSize
from relkit.statistics.rates import RATE_METRICS

_UNIT_NAMES = {
    "timed": "answers",
    "first_byte_timed": "answers",
    "first_audio_timed": "spoken clips",
    "spoken": "spoken clips",
    "paced": "answers",
    "aligned": "words",
    "reading_calls": "reading calls",
    "sensitive_calls": "sensitive calls",
    "raw_words": "words",
    "eer_weight": "trials",
    "dcf_weight": "trials",
    "tool_calls": "tool calls",
    "tool_pairs": "tool calls",
    "final_words": "words",
    "updates": "partials",
    "speculations": "answers begun early",
    "pass_scored": "conversations",
    "tasks": "conversations that expect something",
    "forbidding": "conversations that forbid a tool",
}


_TIMED_UNITS = {
    "response_ms": "turns",
    "eot_delay_ms": "turns",
    "barge_in_stop_ms": "interruptions",
    "dead_air_ms": "utterances",
    "overlap_ms": "utterances",
    **dict.fromkeys(STAGE_METRICS, "turns"),
}
"""Times of conversations and what they are of; a conversation is counted as an utterance is."""


def units_name(metric: str) -> str:
    """Return what a metric's denominator counts, in the plural."""
    if (timed := _TIMED_UNITS.get(split_metric(metric)[0])) is not None:
        return "conversations" if timed == "utterances" else timed
    rate = RATE_METRICS.get(metric)
    if rate is not None and rate.n in _UNIT_NAMES:
        return _UNIT_NAMES[rate.n]
    if rate is None or rate.n.endswith(("_timed", "_scored")):
        return "answers" if metric_of(metric).unit == "ms" else "scored clips"
    return rate.items if rate.n == rate.utterances else rate.n


def planned_slices(rule: Rule, facts: SelectionFacts) -> tuple[str, ...]:
    """Return the slices a rule is judged in; of a pattern, not those of missing labels."""
    keys = expand_slices(rule.slice, facts.slices)
    if not is_pattern(rule.slice):
        return keys
    return tuple(key for key in keys if not unlabelled(key))


def size_of(metric: str, facts: SliceFacts) -> SliceSize:
    """Return how much a slice has for a metric: its denominator's units and who holds them.

    What only a run can count (latencies, scored clips, calls) is taken as one per utterance.
    """
    rate = RATE_METRICS.get(metric)
    timed = _TIMED_UNITS.get(split_metric(metric)[0])
    counted = facts.units.get(timed or (rate.n if rate is not None else "utterances"))
    if counted is None:
        counted = facts.units["utterances"]
    return SliceSize(
        slice=facts.slice,
        clusters=counted.clusters,
        utterances=counted.utterances,
        units=float(counted.total),
        shared=facts.shared,
    )


def too_small(rule: Rule, size: SliceSize) -> bool:
    """Return whether a slice never passes a rule, whatever the systems do."""
    return (
        size.units <= 0
        or size.clusters < max(rule.min_clusters, MIN_CLUSTERS)
        or size.utterances < rule.min_utterances
    )


UNITS = ("utterances", "words", "characters", "entities", "keywords", "empty_clips")
"""Denominators of metrics that a manifest can count before anything is decoded."""

CASE_UNITS = ("attacks", "attacked_tasks", "readback_chances")
"""The same of exchanges with an agent, where the manifest says what they are about."""

SCRIPT_UNITS = (
    "turns",
    "endpointed",
    "observed_ends",
    "budgeted",
    "interruptions",
    "ignorable_over_speech",
    "ignorable_in_silence",
    "tasks",
    "forbidding",
)
"""The same of conversations, where the manifest has their scripts: at most what a run will have."""

_AUTO: Segmenter = "auto"


@dataclass(slots=True)
class _Counter:
    """What was seen of one slice, by unit."""

    totals: Counter[str] = field(default_factory=Counter)
    utterances: Counter[str] = field(default_factory=Counter)
    clusters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    prompts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, cluster: str, prompt: str, units: Mapping[str, int]) -> None:
        """Count one utterance."""
        if prompt:
            self.prompts[prompt][cluster] += 1
        for name, total in units.items():
            if total:
                self.totals[name] += total
                self.utterances[name] += total if name in SCRIPT_UNITS else 1
                self.clusters[name].add(cluster)

    @property
    def shares_prompts(self) -> bool:
        """Whether clusters share as many prompts as count."""
        return are_shared(self.prompts.values(), self.utterances["utterances"])

    @property
    def shared(self) -> float:
        """The share of pairs of utterances in which two clusters read the same prompt."""
        pairs = sum(
            readers.total() ** 2 - sum(count**2 for count in readers.values())
            for readers in self.prompts.values()
        )
        return pairs / max(1, self.utterances["utterances"]) ** 2

    def facts(self, key: str, names: Iterable[str], *, shared: bool) -> SliceFacts:
        """Return what was counted of the units that were."""
        units = {
            name: UnitCount(
                total=self.totals[name],
                utterances=self.utterances[name],
                clusters=len(self.clusters[name]),
            )
            for name in names
        }
        utterances = units["utterances"]
        return SliceFacts(
            slice=key,
            utterances=utterances.utterances,
            clusters=utterances.clusters,
            units=units,
            shared=self.shared if shared else 0.0,
        )


def facts_of(
    dataset: Dataset,
    rules: Iterable[Rule],
    suite: Suite | None = None,
    *,
    population: Population = "clusters",
) -> SelectionFacts:
    """Return the facts of what a suite selects, or of a whole dataset cut by all its columns.

    In a closed set of clusters each utterance is one. Raises InvalidInput as an evaluation would.
    """
    closed = population == "these_clusters"
    version, settings = dataset.version, dataset.settings
    if suite is None:
        selected, columns = dataset.utterances, tuple(sorted(dataset.columns()))
        ways, segmenter, keywords = settings.ways, _AUTO, NO_KEYWORDS
    else:
        selected, columns = select(dataset, suite.dataset.where), slice_columns(dataset, suite)
        ways, segmenter = cluster_ways(dataset, suite), suite.segmenter
        keywords = Keywords.of(suite.keywords, segmenter)
    cluster = ways.column
    patterns = sorted({OVERALL, *(rule.slice for rule in rules)})
    cuttable = [pattern for pattern in patterns if set(columns_of(pattern)) <= set(columns)]
    counters: dict[str, _Counter] = {OVERALL: _Counter()}
    values: dict[str, set[str]] = {column: set() for column in columns}
    usable = require_consent(selected, settings.consent, dataset=version.name).utterances
    prompts = prompts_of(
        usable,
        [item.reference.casefold() for item in usable],
        [cluster_of(item, cluster) for item in usable],
        ways.crossed,
    )
    names = UNITS if all(item.case is None for item in usable) else (*UNITS, *CASE_UNITS)
    if any(item.script for item in usable):
        names = (*names, *SCRIPT_UNITS)
    planters = {cluster_of(item, cluster) for item in usable if item.case and item.case.planted}
    for item, prompt in zip(usable, prompts, strict=True):
        row_values = slice_values(item, columns, settings.bins, item.audio.length_s)
        for column, value in row_values.items():
            values[column].add(value)
        units = _units(item, keywords, segmenter) | _case_units(item, cluster, planters)
        units |= _script_units(item)
        group = item.id if closed else cluster_of(item, cluster)
        specs = map(spec_of, cuttable)
        for key in {s.key([row_values[column] for column in s.columns]) for s in specs}:
            if any(matches(pattern, key) for pattern in cuttable):
                counters.setdefault(key, _Counter()).add(group, prompt.casefold(), units)
    shared = counters[OVERALL].shares_prompts
    return SelectionFacts(
        dataset=version.name,
        revision=version.revision,
        digest=version.digest,
        cluster="utterance" if closed else cluster,
        values={column: tuple(sorted(column_values)) for column, column_values in values.items()},
        slices={key: counters[key].facts(key, names, shared=shared) for key in sorted(counters)},
        suite=None if suite is None else suite.name,
        task=None if suite is None else suite.task,
        metrics=None if suite is None else suite.metrics,
    )


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


def _script_units(item: Utterance) -> dict[str, int]:
    """Return what a conversation is a chance for, by its script.

    An entry that waits for the agent's speech is taken to be said over it, every other one in
    silence.
    """
    turns = [entry for entry in item.script if entry.label == "turn"]
    others = [entry for entry in item.script if entry.label != "turn"]

    def over_speech(entries: Iterable[ScriptEntry]) -> int:
        return sum(entry.when.after == "agent_speech_start" for entry in entries)

    expect = item.expect
    return {
        **dict.fromkeys(("turns", "endpointed", "observed_ends", "budgeted"), len(turns)),
        "interruptions": over_speech(turns),
        "ignorable_over_speech": over_speech(others),
        "ignorable_in_silence": len(others) - over_speech(others),
        "tasks": int(expect is not None),
        "forbidding": int(expect is not None and bool(expect.no_tools)),
    }


def _case_units(item: Utterance, cluster: str, planters: AbstractSet[str]) -> dict[str, int]:
    """Return what an exchange is a chance for; ``planters`` are the sessions that plant values."""
    case = item.case
    if case is None:
        return {"readback_chances": int(bool(planters - {cluster_of(item, cluster)}))}
    return {
        "attacks": int(case.attack is not None),
        "attacked_tasks": int(case.attack is not None and case.task is not None),
        "readback_chances": int(bool(planters - {cluster_of(item, cluster)})),
    }
