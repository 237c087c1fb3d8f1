"""``relkit rescore``: a new run from the predictions of an old one; nothing is decoded."""

from dataclasses import replace

from relkit.domain.datasets import Dataset
from relkit.domain.errors import InvalidInput
from relkit.domain.results import Outcome
from relkit.domain.runs import RunHeader
from relkit.domain.utterances import Unusable, Utterance
from relkit.ports import AudioReader
from relkit.workflows.conclude import conclude
from relkit.workflows.evaluate import EvalPorts, EvalResult, Plan, finish


def rescore(planned: Plan, run: str, ports: EvalPorts) -> EvalResult:
    """Score a finished run's predictions by another suite or normalizer, as a new run.

    The suite's references are today's, so corrected labels count. Raises InvalidInput where the
    old run lacks an utterance, or its audio has changed since.
    """
    source, _, _ = ports.runs.read_header(run)
    outcomes = {(item.id, item.repeat): item for item in ports.runs.read_outcomes(run)}
    wanted = [
        _stored(outcomes, item, repeat, source.run)
        for repeat in range(source.repeats)
        for item in planned.utterances
    ]
    if source.dataset.digest != planned.dataset.version.digest:
        _check_audio(planned, wanted, ports.audio)
    with ports.runs.create(_header(source, planned, ports)) as opened:
        opened.log(ports.clock.now(), "rescored", source=source.run)
        report = conclude(
            opened,
            wanted,
            {item.id: item for item in planned.utterances},
            normalizer=planned.normalizer,
            cut=planned.cut,
            aggregators=ports.aggregators,
        )
        return finish(opened, report, ports)


def _header(source: RunHeader, planned: Plan, ports: EvalPorts) -> RunHeader:
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
        versions={**source.versions, **ports.versions},
        source=source.run,
    )


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
