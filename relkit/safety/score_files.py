"""Scores of a spoofing detector and their keys, as the ASVspoof challenges write them.

Scores: ``trial score`` (2021), ``trial attack label score`` (2019), ``speaker trial score label``
(the first evaluation package of ASVspoof 5), or columns under a header, such as ``filename`` and
``cm-score`` (ASVspoof 5). Keys: the protocols and ``trial_metadata.txt`` of 2019 and 2021 and the
protocols of ASVspoof 5 (``speaker trial … label …``), or columns under a header. Columns are
separated by tabs or spaces; a higher score is taken for bona fide speech.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown, where
from relkit.safety.scores import Trial

_LABELS = {"bonafide": False, "bona-fide": False, "genuine": False, "spoof": True}
_NAMES: Mapping[str, tuple[str, ...]] = {
    "trial": ("filename", "trial", "trial_anon", "utterance", "flac_file_name"),
    "speaker": ("spk", "speaker", "speaker_id", "tar_spk_anon"),
    "label": ("cm-label", "cm_label", "label", "key"),
    "score": ("cm-score", "cm_score", "score"),
    "attack": ("attack", "attack_anon", "attack_label"),
    "codec": ("codec",),
    "gender": ("gender", "speaker_gender"),
}
_ATTACK = re.compile(r"A\d{1,3}")
_ABSENT = {"", "-"}
_PAIR, _FOUR = 2, 4


def parse_scores(text: str, *, source: str) -> dict[str, Trial]:
    """Return the trials of a score file by id; raises InvalidInput with file and line.

    Refused are what has no score, NaN and infinities, and an id that stands twice.
    """
    trials = _parse(text, source, _score_line)
    for trial in trials.values():
        if trial.score is None:
            raise InvalidInput(
                f"{where(source, trial.line)}: has no score",
                hint="a line is: trial score, or has the columns filename and cm-score",
            )
    return trials


def parse_keys(text: str, *, source: str) -> dict[str, Trial]:
    """Return the trials of a key file by id, each with its label; raises InvalidInput."""
    trials = _parse(text, source, _key_line)
    for trial in trials.values():
        if trial.spoofed is None:
            raise InvalidInput(
                f"{where(source, trial.line)}: says neither bonafide nor spoof",
                hint="a line is: speaker trial … label, or has the columns filename and cm-label",
            )
    return trials


def _parse(
    text: str, source: str, headless: Callable[[list[str], str], dict[str, str]]
) -> dict[str, Trial]:
    trials: dict[str, Trial] = {}
    header: list[str] | None = None
    for line, fields in _lines(text):
        at = where(source, line)
        if header is None and not trials and (columns := _header(fields)):
            header = columns
            continue
        if header is not None and len(fields) != len(header):
            raise InvalidInput(f"{at}: {len(fields)} columns where the header has {len(header)}")
        named = dict(zip(header, fields, strict=True)) if header else headless(fields, at)
        trial = _trial({key: value for key, value in named.items() if key}, line, at)
        if trial.trial in trials:
            first = trials[trial.trial].line
            raise InvalidInput(
                f'{at}: "{shown(trial.trial)}" stands in line {first} already',
                hint="a trial has one score and one key",
            )
        trials[trial.trial] = trial
    if not trials:
        raise InvalidInput(f"{source}: holds no trial")
    return trials


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            fields = line.rstrip("\r").split("\t") if "\t" in line else line.split()
            yield number, [item.strip() for item in fields]


def _header(fields: Sequence[str]) -> list[str] | None:
    """Return what columns are about, empty for others; None where the line is no header."""
    lower = [name.lower() for name in fields]
    columns = [
        next((what for what, names in _NAMES.items() if name in names), "") for name in lower
    ]
    return columns if "trial" in columns else None


def _score_line(fields: list[str], at: str) -> dict[str, str]:
    if len(fields) == _PAIR:
        return {"trial": fields[0], "score": fields[1]}
    if len(fields) == _FOUR and fields[2] in _LABELS:
        return {"trial": fields[0], "attack": fields[1], "label": fields[2], "score": fields[3]}
    if len(fields) == _FOUR and fields[3] in _LABELS:
        return {"speaker": fields[0], "trial": fields[1], "score": fields[2], "label": fields[3]}
    raise InvalidInput(
        f"{at}: {len(fields)} columns that no score file of ASVspoof has",
        hint="trial score, or a header with filename and cm-score",
    )


def _key_line(fields: list[str], at: str) -> dict[str, str]:
    labels = {item for item in fields[2:] if item in _LABELS}  # ASVspoof 5 says it twice
    if len(fields) < 3 or len(labels) != 1:  # noqa: PLR2004 - speaker, trial, label
        raise InvalidInput(
            f"{at}: is no line of a key: speaker trial … bonafide or spoof",
            hint="or give the columns a header: spk, filename, cm-label",
        )
    attack = next((item for item in fields[2:] if _ATTACK.fullmatch(item)), "-")
    return {"speaker": fields[0], "trial": fields[1], "label": labels.pop(), "attack": attack}


def _trial(named: Mapping[str, str], line: int, at: str) -> Trial:
    score = label = None
    if "score" in named:
        try:
            score = float(named["score"])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise InvalidInput(
                f"{at}: the score is no finite number",
                hint="leave the line out: a trial without a score lowers the coverage",
            )
    if "label" in named:
        if named["label"] not in _LABELS:
            raise InvalidInput(f"{at}: the label is neither bonafide nor spoof")
        label = _LABELS[named["label"]]
    name = named.get("trial", "")
    if name in _ABSENT:
        raise InvalidInput(f"{at}: names no trial")
    speaker = named.get("speaker", "")
    return Trial(
        trial=name,
        line=line,
        speaker=None if speaker in _ABSENT else speaker,
        spoofed=label,
        score=score,
        columns={
            key: named[key]
            for key in ("attack", "codec", "gender")
            if named.get(key, "") not in _ABSENT
        },
    )
