"""What a suite takes of a dataset: its utterances, slice columns and clusters."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relkit.conversation.partials import StreamBounds
from relkit.core.errors import InvalidInput
from relkit.core.slices import SliceSpec
from relkit.datasets.selection import CONSENT, ID, TEXT, cluster_of, prompts_of
from relkit.datasets.types import NO_VALUE, Bins, Dataset, Utterance, Ways
from relkit.evaluation.types import Suite
from relkit.safety.exchanges import AgentTools
from relkit.scoring.types import Normalizer
from relkit.statistics.crossed import FEWEST_PROMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How results are cut: slice columns, derived bins, and the column of independent units.

    ``crossed`` is a second one, as in :class:`relkit.datasets.types.Ways`.
    ``registered`` maps slice columns to the values that the dataset's lock promises, None where the
    dataset is not locked.
    """

    columns: tuple[str, ...]
    bins: tuple[Bins, ...]
    cluster: str
    crossed: str | None = None
    registered: Mapping[str, tuple[str, ...]] | None = None

    @classmethod
    def of(cls, dataset: Dataset, suite: Suite) -> "Cut":
        """Return how a suite cuts a dataset; raises InvalidInput for unknown columns."""
        columns, ways = slice_columns(dataset, suite), cluster_ways(dataset, suite)
        return cls(
            columns=columns,
            bins=dataset.settings.bins,
            cluster=ways.column,
            crossed=ways.crossed,
            registered=promised_values(dataset, suite, columns),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A suite with everything it names found and checked; nothing has been decoded.

    ``notes`` are what a reader of the report has to know about the selection, ``limit`` is how many
    utterances a smoke run takes of it (None: all). ``tools`` are an agent's, None for other tasks.
    ``bounds`` are those of speech in clips that are streamed, by id, once these were decoded.
    """

    suite: Suite
    dataset: Dataset
    utterances: tuple[Utterance, ...]
    cut: Cut
    normalizer: Normalizer
    notes: tuple[str, ...] = ()
    limit: int | None = None
    tools: AgentTools | None = None
    bounds: Mapping[str, StreamBounds] = field(default_factory=dict)


def select(dataset: Dataset, where: Mapping[str, tuple[str, ...]]) -> tuple[Utterance, ...]:
    """Return the utterances whose columns have one of the wanted values, sorted by id.

    Raises InvalidInput for an unknown column and for a selection that matches nothing.
    """
    chosen = dataset.utterances
    for column, required in where.items():
        values = {_selectable(item, column) for item in dataset.utterances}
        if values == {NO_VALUE}:
            raise _unknown(column, _attribute_columns(dataset) | {CONSENT}, "where")
        chosen = tuple(u for u in chosen if _selectable(u, column) in required)
        if not chosen:
            shown = ", ".join(sorted(values)[:8])
            raise InvalidInput(
                f"no utterance of {dataset.version.name} has {column} in {', '.join(required)}",
                hint=f"values of {column}: {shown}",
            )
    return chosen


def _selectable(utterance: Utterance, column: str) -> str:
    if column == CONSENT:
        return utterance.consent.value
    return utterance.attributes.get(column, NO_VALUE)


def slice_columns(dataset: Dataset, suite: Suite) -> tuple[str, ...]:
    """Return the columns that results carry: the suite's and the dataset's slices, in order.

    Raises InvalidInput for a column that no utterance has.
    """
    columns = [column for name in suite.slices for column in SliceSpec.parse(name).columns]
    available = _attribute_columns(dataset) | {bins.name for bins in dataset.settings.bins}
    for column in columns:
        if column not in available:
            raise _unknown(column, available, "slice")
    extra = [column for column in dataset.settings.slices if column in available]
    return tuple(dict.fromkeys([*columns, *extra, *(bins.name for bins in dataset.settings.bins)]))


def promised_values(
    dataset: Dataset, suite: Suite, columns: Iterable[str]
) -> dict[str, tuple[str, ...]] | None:
    """Return the values of each column that the dataset's lock promises for a suite's selection.

    A value that the whole dataset has and the selection has not was never in it; one that the whole
    dataset lost is still promised. A lock knows nothing of the bins of a part of the data, so a
    suite that selects has none of them. None where the dataset is not locked.
    """
    if dataset.registered is None:
        return None
    chosen = select(dataset, suite.dataset.where)
    derived = {bins.name for bins in dataset.settings.bins}
    promised: dict[str, tuple[str, ...]] = {}
    for column in columns:
        if column not in dataset.registered or (suite.dataset.where and column in derived):
            continue
        anywhere = {item.attributes.get(column, NO_VALUE) for item in dataset.utterances}
        here = {item.attributes.get(column, NO_VALUE) for item in chosen}
        promised[column] = tuple(
            value
            for value in dataset.registered[column]
            if column in derived or value in here or value not in anywhere
        )
    return promised


TALK_CLUSTERS = ("conversation", "speaker")
"""The columns that tell which conversations are independent, the first that there is."""


def cluster_ways(dataset: Dataset, suite: Suite) -> Ways:
    """Return by what numbers are clustered, the suite's word first; raises InvalidInput.

    A suite of the task tts may name ``id``: every text is a unit of its own. Where it names none,
    conversations are clusters by the column ``conversation``, else by ``speaker``.
    """
    ways = dataset.settings.ways if suite.cluster is None else Ways.of(suite.cluster)
    available = _attribute_columns(dataset)
    if suite.cluster is None and suite.task == "turn":
        column = next((name for name in TALK_CLUSTERS if name in available), ways.column)
        ways = replace(ways, column=column)
    if ways.column not in available and (ways.column, suite.task) != (ID, "tts"):
        raise _unknown(ways.column, available, "cluster")
    if ways.crossed in {None, NO_VALUE}:
        return ways
    if ways.crossed == ways.column:
        raise InvalidInput(f"cluster: {ways.column} is both columns: name two that differ")
    if ways.crossed != TEXT and ways.crossed not in available:
        raise _unknown(str(ways.crossed), available, "cluster")
    _check_crossed(select(dataset, suite.dataset.where), ways)
    return ways


def _check_crossed(utterances: Sequence[Utterance], ways: Ways) -> None:
    """Raise InvalidInput for a second way of which several clusters share only a few values.

    They would be no sample of values, and to leave them out as if they were none is no answer.
    """
    clusters = [cluster_of(item, ways.column) for item in utterances]
    values = prompts_of(
        utterances, [item.reference.casefold() for item in utterances], clusters, ways.crossed
    )
    readers = defaultdict[str, set[str]](set)
    for value, cluster in zip(values, clusters, strict=True):
        readers[value].add(cluster)
    shared = sum(len(names) > 1 for value, names in readers.items() if value)
    if 0 < shared < FEWEST_PROMPTS:
        raise InvalidInput(
            f"cluster: only {shared} values of {ways.crossed} have several values of {ways.column}:"
            f" they are no sample of others, of which there must be {FEWEST_PROMPTS}",
            hint=f"cluster: [{ways.column}] speaks of these values alone; slices compare them",
        )


def _attribute_columns(dataset: Dataset) -> set[str]:
    return {column for item in dataset.utterances for column in item.attributes}


def _unknown(column: str, columns: Iterable[str], what: str) -> InvalidInput:
    names = sorted(columns)
    close = difflib.get_close_matches(column, names, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"columns: {', '.join(names)}"
    return InvalidInput(f'unknown {what} column "{column}"', hint=hint)
