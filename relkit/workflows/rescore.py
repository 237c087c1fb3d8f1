"""``relkit rescore``: a new run from the predictions of an old one; nothing is decoded."""

from collections.abc import Mapping
from dataclasses import replace

from relkit.domain.datasets import Dataset
from relkit.domain.errors import InvalidInput
from relkit.domain.results import Outcome
from relkit.domain.runs import RunHeader
from relkit.domain.utterances import Unusable, Utterance
from relkit.ports import AudioReader, Progress
from relkit.workflows.conclude import conclude
from relkit.workflows.evaluate import (
    EvalPorts,
    EvalResult,
    Plan,
    finish,
    quality_of,
    quality_versions,
)
from relkit.workflows.quality import quality_scorer
from relkit.workflows.speak import rescored_summary


def rescore(
    planned: Plan, run: str, ports: EvalPorts, *, progress: Progress = lambda _done, _total: None
) -> EvalResult:
    """Score a finished run's predictions by another suite or normalizer, as a new run.

    The suite's references are today's, so corrected labels count. Quality metrics of the audio come
    from the cache, or from the audio. Raises InvalidInput where the
    old run lacks an utterance, or its audio has changed since.
    """
    source, _, _ = ports.runs.read_header(run)
    speaks = _check_task(source, planned)
    outcomes = {(item.id, item.repeat): item for item in ports.runs.read_outcomes(run)}
    wanted = [
        _stored(outcomes, item, repeat, source.run)
        for repeat in range(source.repeats)
        for item in planned.utterances
    ]
    if source.dataset.digest != planned.dataset.version.digest:
        _check_audio(planned, wanted, ports.audio)
    # What was spoken lies in the old run, and nothing else is its audio.
    scorer = None if speaks else quality_scorer(planned.suite.metrics, ports.quality)
    header = _header(source, planned, ports, quality_versions(scorer))
    with ports.runs.create(header) as opened:
        opened.log(ports.clock.now(), "rescored", source=source.run)
        quality = quality_of(planned, wanted, scorer, ports, progress)
        same = source.normalizer_digest == planned.normalizer.digest
        speech, notes = rescored_summary(ports.runs.read_report(run).speech, same_text_rules=same)
        report = conclude(
            opened,
            wanted,
            {item.id: item for item in planned.utterances},
            normalizer=planned.normalizer,
            cut=planned.cut,
            aggregators=ports.aggregators,
            quality=quality,
            notes=(*planned.notes, *notes),
        )
        return finish(opened, replace(report, speech=speech), ports)


def _header(
    source: RunHeader, planned: Plan, ports: EvalPorts, quality: Mapping[str, str]
) -> RunHeader:
    """Return the old header with what decides the scores replaced; the system stays its own."""
    now = ports.clock.now()
    return replace(
        source,
        run=ports.runs.new_id(now),
        created=now,
        suite=replace(planned.suite, system=source.suite.system),
        dataset=planned.dataset.version,
        normalizer=planned.normalizer.name,
        normalizer_digest=planned.normalizer.digest,
        versions={**source.versions, **ports.versions, **quality},
        source=source.run,
    )


def _check_task(source: RunHeader, planned: Plan) -> bool:
    """Return whether the run is one of a system that speaks; raises InvalidInput.

    What was spoken cannot be scored against another text, so its dataset has to be the same.
    """
    speaks = source.suite.task == "tts"
    if source.suite.task != planned.suite.task:
        raise InvalidInput(
            f"the run {source.run} is one of the task {source.suite.task}, the suite is not",
            hint=f"choose a suite of the task {source.suite.task}",
        )
    if source.suite.recogniser != planned.suite.recogniser:
        raise InvalidInput(
            "another recogniser listened to this run than the suite names",
            hint="let it listen: relkit eval SUITE",
        )
    if speaks and source.dataset.digest != planned.dataset.version.digest:
        raise InvalidInput(
            "the dataset has changed since its texts were spoken",
            hint="speak them again: relkit eval SUITE",
        )
    return speaks


def _stored(
    outcomes: dict[tuple[str, int], Outcome], utterance: Utterance, repeat: int, run: str
) -> Outcome:
    found = outcomes.get((utterance.id, repeat))
    if found is None:
        raise InvalidInput(
            f"the run {run} holds no prediction for every utterance of the suite",
            hint="decode them: relkit eval SUITE (what the cache holds is not decoded again)",
        )
    return found


def _check_audio(planned: Plan, outcomes: list[Outcome], audio: AudioReader) -> None:
    """Refuse predictions of other audio: a label may be corrected, a recording is another item."""
    dataset: Dataset = planned.dataset
    by_id = {item.id: item for item in planned.utterances}
    for outcome in outcomes:
        if outcome.repeat or outcome.audio is None:
            continue
        span = by_id[outcome.id].audio
        clip = audio.read(dataset.root, span, max_s=planned.suite.max_audio_s)
        if isinstance(clip, Unusable) or clip.digest != outcome.audio:
            raise InvalidInput(
                f"{dataset.manifest}, line {by_id[outcome.id].line}: the audio is not the one that "
                "was decoded",
                hint="decode it: relkit eval SUITE",
            )
