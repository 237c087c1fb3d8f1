"""``relkit dataset check``: facts about a dataset, judged by its contract.

Labels are compared with what recognisers understood: candidates for a wrong one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from relkit.core.errors import InvalidInput
from relkit.core.ports import Clock, Progress
from relkit.core.values import Named
from relkit.curation.contracts import (
    NOTES,
    ClipFacts,
    clip_facts,
    conversation_facts,
    default_expectations,
    slice_facts,
    utterance_facts,
)
from relkit.curation.ports import ContractChecker, ContractStore
from relkit.curation.types import SLICES, UTTERANCES, Contract, ContractOutcome, Doubt
from relkit.datasets.look_alikes import look_alikes
from relkit.datasets.ports import AudioReader, DatasetStore
from relkit.datasets.types import NO_VALUE, Answer, AudioSpan, Dataset
from relkit.evaluation.evaluate import Normalizers
from relkit.evaluation.ports import RunStore
from relkit.evaluation.types import Outcome
from relkit.scoring.types import Normalizer
from relkit.scoring.words import count_text

_FEWEST_NEIGHBOURS = 3


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
        answers = [texts[name] for texts in hypotheses if name in texts]
        counts = [count_text(reference, text) for text in answers]
        if counts and (words := counts[0].reference_length):
            best[name] = min(min(c.errors, words) for c in counts), words, len(answers)
    everyone = sum(e for e, _, _ in best.values()), sum(w for _, w, _ in best.values()), len(best)
    groups: dict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for name, (errors, words, _) in best.items():
        had = groups[speakers[name]]
        groups[speakers[name]] = had[0] + errors, had[1] + words, had[2] + 1
    by_id = dict.fromkeys(references, Doubt())
    for name, (errors, words, systems) in best.items():
        group = groups[speakers[name]]
        pool = group if group[2] > _FEWEST_NEIGHBOURS else everyone
        rest = pool[1] - words
        by_id[name] = Doubt(
            rate=errors / words,
            neighbours=(pool[0] - errors) / rest if rest else None,
            systems=systems,
        )
    return by_id


MAX_AUDIO_S = 600.0
"""Longer clips are not decoded: an utterance is no recording of an hour."""

SHOWN = ("consent", "audio_state", "audio_sample_rate", "slice", "column", "value")
"""Columns beside the dataset's slices whose values may be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The dataset to check, its revision, and runs whose hypotheses labels are compared with."""

    name: str
    rev: str | None = None
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPorts:
    """What checking a dataset needs from the outside."""

    datasets: DatasetStore
    audio: AudioReader
    runs: RunStore
    normalizers: Normalizers
    contracts: ContractStore
    checker: ContractChecker
    clock: Clock
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What a finished run's system understood, with the normalizer of that run."""

    run: str
    dataset: str
    outcomes: Sequence[Outcome]
    normalizer: Normalizer


def check_dataset(
    options: CheckOptions, ports: CheckPorts, *, progress: Progress
) -> ContractOutcome:
    """Check a dataset against its contract, keep the outcome and return it.

    Raises InvalidInput where there is no contract, or a run is about another dataset;
    MissingDependency.
    """
    name = options.name
    recognised = [
        Recognised(
            run=header.run,
            dataset=header.dataset.name,
            outcomes=ports.runs.read_outcomes(run),
            normalizer=ports.normalizers.read(header.normalizer.name, header.normalizer.digest),
        )
        for run, header in ((run, ports.runs.read_header(run)) for run in options.runs)
    ]
    dataset = ports.datasets.load(name, rev=options.rev)
    contract = ports.contracts.read(dataset)
    if contract is None:
        raise InvalidInput(
            f"{name}/contract.json: no such file",
            hint=f"start from the data: relkit dataset check {name} --write-default",
        )
    _check_names(dataset, contract, recognised)
    versions = {**ports.versions, **ports.checker.versions()}
    sounds = _listen(dataset, ports.audio, progress)
    labels = _doubts(dataset, sounds, recognised) if recognised else None
    settings = contract.settings
    tables = {
        UTTERANCES: utterance_facts(
            dataset, sounds, split=settings.split, alike=settings.alike, labels=labels
        ),
        SLICES: slice_facts(dataset, sounds),
    }
    judged = ports.checker.check(
        contract,
        tables,
        shown=frozenset({*dataset.settings.slices, *SHOWN}),
        with_run=bool(recognised),
    )
    outcome = ContractOutcome(
        dataset=Named(name=name, digest=dataset.version.digest),
        contract=Named(name=contract.name, digest=contract.digest),
        checked=ports.clock.now(),
        expectations=judged,
        runs=tuple(item.run for item in recognised),
        versions=versions,
        notes=tuple(look_alikes(dataset, dataset.settings.slices)),
    )
    ports.contracts.keep(outcome)
    return outcome


def write_default(name: str, ports: CheckPorts, *, progress: Progress) -> str:
    """Write a first contract from what the data is now, and return its name.

    Raises InvalidInput where there is one already.
    """
    dataset = ports.datasets.load(name, rev=None)
    if ports.contracts.read(dataset) is not None:
        raise InvalidInput(
            f"{name}/contract.json: is there already", hint="change it, or remove it first"
        )
    sounds = _listen(dataset, ports.audio, progress)
    facts = utterance_facts(dataset, sounds, split=None, alike=1.0, labels=None)
    slices = slice_facts(dataset, sounds)
    contract = Contract(
        name=name, expectations=tuple(default_expectations(dataset, facts, slices)), notes=NOTES
    )
    return ports.contracts.write(dataset, contract)


def _check_names(dataset: Dataset, contract: Contract, recognised: Sequence[Recognised]) -> None:
    name = dataset.version.name
    for item in recognised:
        if item.dataset != name:
            raise InvalidInput(
                f"the run {item.run} is about another dataset", hint=f"name a run on {name}"
            )
    split = contract.settings.split
    if split is not None and not any(split in item.attributes for item in dataset.utterances):
        raise InvalidInput(
            f'{name}/contract.json: no utterance has the column "{split}" of meta.relkit.split',
            hint="name the column that separates the splits, or remove the key",
        )


def _listen(dataset: Dataset, audio: AudioReader, progress: Progress) -> dict[str, ClipFacts]:
    """Decode every utterance once, keeping numbers only; a conversation is all of its clips."""
    clips: dict[str, ClipFacts] = {}
    sounds = {}
    for done, item in enumerate(dataset.utterances, start=1):
        if item.script:
            for path in item.audio_paths:
                if path not in clips:
                    span = AudioSpan(path=path)
                    clips[path] = clip_facts(audio.read(dataset.root, span, max_s=MAX_AUDIO_S))
            entries = [clips[entry.audio_filepath] for entry in item.script]
            sounds[item.id] = conversation_facts(entries, [clips[p] for p in item.audio_paths])
        else:
            sounds[item.id] = clip_facts(audio.read(dataset.root, item.audio, max_s=MAX_AUDIO_S))
        progress(done, len(dataset.utterances))
    return sounds


def _doubts(
    dataset: Dataset, sounds: Mapping[str, ClipFacts], recognised: Sequence[Recognised]
) -> dict[str, Doubt]:
    """Return how far each label is contradicted, every text normalized as the run's were.

    The first run's normalizer serves all, so that their rates compare.
    """
    normalizer = recognised[0].normalizer
    references = {item.id: _normalized(normalizer, item.reference) for item in dataset.utterances}
    hypotheses = [
        {name: _normalized(normalizer, text) for name, text in _answers(item.outcomes, sounds)}
        for item in recognised
    ]
    column = dataset.settings.ways.column
    speakers = {item.id: item.attributes.get(column, NO_VALUE) for item in dataset.utterances}
    return doubts(references, hypotheses, speakers)


def _normalized(normalizer: Normalizer, text: str) -> str:
    stages = normalizer.stages(text)
    return stages[-1] if stages else text


def _answers(
    outcomes: Iterable[Outcome], sounds: Mapping[str, ClipFacts]
) -> Iterable[tuple[str, str]]:
    """Yield the first answer to each utterance whose audio is still the one that was heard."""
    answered: set[str] = set()
    for item in outcomes:
        if item.prediction is None or item.id in answered or item.id not in sounds:
            continue
        answer = item.prediction.outcome
        same = item.audio is None or item.audio == sounds[item.id].digest
        if isinstance(answer, Answer) and same:
            answered.add(item.id)
            yield item.id, answer.text
