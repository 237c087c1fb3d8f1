"""Scores of a spoofing detector with their keys, as rows of a run with intervals over speakers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown, where
from relkit.safety.imported import ImportedAnswer, ImportedResults
from relkit.statistics.detection import trial_sums
from relkit.statistics.types import DetectionCost, TrialCosts

_ABSENT = "(none)"
_REVERSED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One line of a file: what it says of a trial; None for what it does not say.

    ``line`` is where it stands. ``columns`` are ``attack``, ``codec`` and ``gender`` where told.
    """

    trial: str
    line: int
    speaker: str | None = None
    spoofed: bool | None = None
    score: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


def labelled(
    scores: Mapping[str, Trial], keys: Mapping[str, Trial] | None, *, source: str, key_source: str
) -> tuple[Trial, ...]:
    """Return every trial with its speaker and label, by id; those of the key without a score, too.

    Raises InvalidInput for a score without a key, a trial without a speaker, labels that
    contradict each other, and scores or keys of one class only.
    """
    if keys is not None:
        for trial in scores.values():
            if trial.trial not in keys:
                raise InvalidInput(
                    f'{where(source, trial.line)}: "{shown(trial.trial)}" is not in {key_source}',
                    hint="name the key of this set: --key FILE",
                )
    merged: list[Trial] = []
    for name in sorted(scores if keys is None else keys):
        trial = _merged(scores.get(name), None if keys is None else keys[name], source)
        at = where(key_source if keys is not None else source, trial.line)
        if trial.spoofed is None:
            raise InvalidInput(
                f"{at}: says neither bonafide nor spoof",
                hint="name the file that does: --key FILE",
            )
        if trial.speaker is None:
            raise InvalidInput(
                f"{at}: names no speaker, and intervals are over speakers",
                hint="name a key whose lines begin with the speaker, or that has a column spk",
            )
        merged.append(trial)
    for spoofed, what in ((False, "bonafide"), (True, "spoof")):
        if not any(item.spoofed is spoofed and item.score is not None for item in merged):
            raise InvalidInput(
                f"{source}: holds no score of a {what} trial: there is nothing to tell apart",
                hint="both bona fide and spoofed trials are needed",
            )
    return tuple(merged)


def _merged(score: Trial | None, key: Trial | None, source: str) -> Trial:
    if score is None or key is None:
        trial = key or score
        if trial is None:
            raise ValueError("a trial of neither file")
        return trial if score is not None else replace(trial, score=None)
    if score.spoofed is not None and score.spoofed != key.spoofed:
        raise InvalidInput(
            f"{where(source, score.line)}: its label is not that of the key",
            hint="these scores belong to another key, or were changed",
        )
    return replace(
        key,
        speaker=key.speaker or score.speaker,
        score=score.score,
        columns={**score.columns, **key.columns},
    )


def imported_scores(trials: tuple[Trial, ...], cost: DetectionCost) -> ImportedResults:
    """Return the trials as rows: a row each, the speaker as its cluster.

    A trial of the key without a score was not judged. Both metrics are those of all scored trials
    together; a slice is judged at the thresholds of the whole.
    """
    scored = [trial for trial in trials if trial.score is not None]
    sums = trial_sums(
        np.array([trial.score for trial in scored], dtype=np.float64),
        np.array([trial.spoofed for trial in scored], dtype=np.bool_),
        cost,
    )
    costs = {
        trial.trial: TrialCosts(
            eer_errors=float(sums.eer_errors[i]),
            eer_weight=float(sums.eer_weight[i]),
            dcf_cost=float(sums.dcf_cost[i]),
            dcf_weight=float(sums.dcf_weight[i]),
            scarce=float(sums.scarce[i]),
        )
        for i, trial in enumerate(scored)
    }
    names = sorted({name for trial in trials for name in trial.columns})
    spoofs = sum(trial.spoofed is True for trial in scored)
    trials_of = f"{len(scored) - spoofs} bona fide and {spoofs} spoofed trials"
    notes = [f"{trials_of}; slices are judged at the thresholds of the whole run"]
    if sums.eer >= _REVERSED:
        notes.append("an equal error rate of 50 %: a lower score may be meant to be bona fide")
    return ImportedResults(
        tool="scores",
        target={},
        scorer=f"equal error rate of the convex hull; spoof prior {cost.spoof_prior:g}, costs "
        f"{cost.miss:g} and {cost.false_acceptance:g}",
        created=None,
        cluster="speaker",
        prompts=tuple(f"{trial.trial} {trial.speaker} {trial.spoofed}" for trial in trials),
        answers=tuple(
            ImportedAnswer(
                id=trial.trial,
                cluster=trial.speaker or _ABSENT,
                slices={name: trial.columns.get(name, _ABSENT) for name in names},
                trial=costs.get(trial.trial),
                unjudged="" if trial.trial in costs else "without a score",
            )
            for trial in trials
        ),
        notes=tuple(notes),
    )
