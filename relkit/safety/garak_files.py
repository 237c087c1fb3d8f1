"""garak's report (``*.report.jsonl``): one line an entry, attempts by probe, scores by detector.

The shape is that of garak 0.9 to 0.17. An attempt is one prompt with several generations; it is
written when it is answered (status 1) and again when it is scored (status 2). A detector's score is
from 0 to 1, or null where it could not score: garak then leaves the answer out of its total.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relkit.core.codec import parse_json
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.wording import counted
from relkit.core.yaml_text import where
from relkit.safety.imported import ImportedAnswer, ImportedResults, attacked, prompt_key

_SCORED = 2
_THRESHOLD = 0.5
_INDIRECT = ("latentinjection", "web_injection")
"""Modules of probes whose attack stands in a text that the user asks about."""


@dataclass(slots=True)
class _Report:
    """What the lines of a report say, the last word of each attempt."""

    setup: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    attempts: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    evals: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    completed: bool = False


def parse_garak(text: str, *, source: str) -> ImportedResults:
    """Return the answers of a report: a row for each generation of each attempt.

    A generation is an attack that succeeded where a detector's score reaches the report's
    threshold, and one that failed where every detector of the attempt scored it below. It was not
    judged where a score is missing, or the attempt was never scored. Generations of one prompt are
    one cluster. Turns of a longer attack that garak marks as no attack of their own, and did not
    score, are left out.

    Raises InvalidInput with file and line for what is no report of garak's, for a report of a run
    that did not end, and where the scores are not those that garak's own sums count.
    """
    report = _read(text, source)
    if not report.init or not report.setup:
        missing = "start_run setup" if not report.setup else "init"
        raise InvalidInput(
            f'{source}: no entry "{missing}": this is no report of garak',
            hint="name the file that ends in .report.jsonl",
        )
    if not report.completed:
        raise InvalidInput(
            f"{source}: garak did not end this run: it has no completion entry",
            hint="let garak finish; a part of a run says nothing about the rest",
        )
    if not report.attempts:
        raise InvalidInput(f"{source}: holds no attempt", hint="run garak with a probe")
    threshold = _threshold(report, source)
    _check_sums(report, threshold, source)
    return _results(report, threshold, source)


def _read(text: str, source: str) -> _Report:
    report = _Report()
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        entry = parse_json(written, source=source, line=line)
        row: dict[str, Any] = entry if isinstance(entry, dict) else {}
        match row.get("entry_type"):
            case "start_run setup":
                report.setup = row
            case "init":
                report.init = row
            case "attempt":
                _add_attempt(report, row, line, source)
            case "eval":
                report.evals.append((line, row))
            case "completion":
                report.completed = True
            case str():
                pass  # a digest, a summary, a plugin: said again from the attempts
            case _:
                raise InvalidInput(
                    f'{where(source, line)}: has no "entry_type"',
                    hint="name garak's file that ends in .report.jsonl",
                )
    return report


def _add_attempt(report: _Report, row: Mapping[str, Any], line: int, source: str) -> None:
    """Keep an attempt under its uuid; one that was scored is not taken back by one that was not."""
    at = where(source, line)
    uuid, probe, status = (row.get(key) for key in ("uuid", "probe_classname", "status"))
    if not isinstance(uuid, str) or not isinstance(probe, str) or not isinstance(status, int):
        raise InvalidInput(
            f"{at}: an attempt needs uuid, probe_classname and status",
            hint="import the report as garak wrote it",
        )
    results = row.get("detector_results") or {}
    if not isinstance(results, Mapping) or not isinstance(row.get("outputs") or [], list):
        raise InvalidInput(f"{at}: detector_results is no object, or outputs no list")
    for name, scores in results.items():
        if not isinstance(scores, list) or not all(_is_score(score) for score in scores):
            raise InvalidInput(f"{at}: scores of {name[:80]} are not numbers from 0 to 1, or null")
    earlier = report.attempts.get(uuid)
    if earlier is not None and earlier[1]["status"] >= _SCORED:
        if status >= _SCORED:
            raise InvalidInput(
                f"{at}: this attempt was scored in line {earlier[0]} already",
                hint="import each report by itself",
            )
        return
    report.attempts[uuid] = line, row


def _is_score(score: object) -> bool:
    if score is None:
        return True
    return isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1


def _threshold(report: _Report, source: str) -> float:
    threshold = report.setup.get("run.eval_threshold", _THRESHOLD)
    if not _is_score(threshold) or threshold is None:
        raise InvalidInput(f"{source}: run.eval_threshold is no number from 0 to 1")
    return float(threshold)


def _scored(report: _Report) -> Iterable[Mapping[str, Any]]:
    return (row for _, row in report.attempts.values() if row["status"] >= _SCORED)


def _check_sums(report: _Report, threshold: float, source: str) -> None:
    """Hold garak's own counts of passed answers, by probe and detector, against the attempts."""
    passed: Counter[tuple[str, str]] = Counter()
    judged: Counter[tuple[str, str]] = Counter()
    for row in _scored(report):
        for name, scores in (row.get("detector_results") or {}).items():
            key = _bare(row["probe_classname"]), _bare(name)
            judged[key] += sum(score is not None for score in scores)
            passed[key] += sum(score is not None and score < threshold for score in scores)
    for line, entry in report.evals:
        key = _bare(str(entry.get("probe"))), _bare(str(entry.get("detector")))
        counts = entry.get("passed"), entry.get("total_evaluated", judged[key])
        if counts != (passed[key], judged[key]):
            raise InvalidInput(
                f"{where(source, line)}: garak counted {counts[0]} of {counts[1]} answers as "
                f"passed, the attempts hold {passed[key]} of {judged[key]}",
                hint="lines are missing, or were changed: import the report as garak wrote it",
            )


def _bare(name: str) -> str:
    return name.removeprefix("detector.").removeprefix("garak.").removeprefix("probes.")


def _results(report: _Report, threshold: float, source: str) -> ImportedResults:
    answers: list[ImportedAnswer] = []
    prompts: list[str] = []
    seen: defaultdict[str, int] = defaultdict(int)
    no_attack = 0
    for _, row in report.attempts.values():
        scores = _generations(row)
        notes = row.get("notes")
        marked = isinstance(notes, Mapping) and notes.get("is_adversarial") is False
        if marked and not any(score is not None for part in scores for score in part):
            no_attack += 1
            continue
        probe = _bare(row["probe_classname"])
        key = prompt_key(probe, _prompt(row))
        seen[key] += 1
        name = f"{probe}/{key}" + (f"~{seen[key]}" if seen[key] > 1 else "")
        prompts.append(name)
        detectors = sorted(_bare(name) for name in row.get("detector_results") or {})
        slices = {
            "probe": probe,
            "detector": "+".join(detectors) or "(none)",
            "channel": "document" if probe.partition(".")[0] in _INDIRECT else "said",
        }
        for i, part in enumerate(scores):
            unjudged = _why_unjudged(row, part, threshold)
            hit = any(score is not None and score >= threshold for score in part)
            answers.append(
                ImportedAnswer(
                    id=f"{name}#{i + 1}",
                    cluster=f"{probe}/{key}",
                    slices=slices,
                    counts=None if unjudged else attacked(succeeded=hit),
                    unjudged=unjudged,
                )
            )
    if not answers:
        raise InvalidInput(f"{source}: holds no attack", hint="run garak with other probes")
    left_out = f"{counted(no_attack, 'turn')} that garak marks as no attack were left out"
    return ImportedResults(
        tool="garak",
        target=_target(report.setup),
        scorer=f"garak {report.init.get('garak_version')}, threshold {threshold:g}",
        created=_text(report.init.get("start_time")),
        prompts=tuple(prompts),
        answers=tuple(answers),
        notes=(left_out,) if no_attack else (),
    )


def _generations(row: Mapping[str, Any]) -> list[list[float | None]]:
    """Return the scores of each generation by detector, null where a detector gave none."""
    by_detector = list((row.get("detector_results") or {}).values())
    most = max([1, len(row.get("outputs") or []), *(len(scores) for scores in by_detector)])
    return [[scores[i] if i < len(scores) else None for scores in by_detector] for i in range(most)]


def _why_unjudged(row: Mapping[str, Any], scores: list[float | None], threshold: float) -> str:
    """Return why a generation was not judged, nothing where it was.

    A hit of one detector is a hit; that the others could not score it changes nothing.
    """
    if row["status"] < _SCORED:
        return "never scored"
    if not scores:
        return "without a detector"
    if any(score is not None and score >= threshold for score in scores):
        return ""
    return "without a score" if None in scores else ""


def _prompt(row: Mapping[str, Any]) -> JsonValue:
    """Return what was asked, without what garak notes about it: text, or the texts of turns."""
    prompt = row.get("prompt")
    if not isinstance(prompt, Mapping):
        return prompt
    turns = prompt.get("turns", [prompt])
    return [
        [turn.get("role"), content.get("text"), content.get("data_checksum")]
        for turn in (turns if isinstance(turns, list) else [prompt])
        if isinstance(turn, Mapping)
        for content in [turn.get("content", turn)]
        if isinstance(content, Mapping)
    ]


def _target(setup: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return what was attacked; ``model_…`` is what versions before 0.13 call it."""
    return {
        part: _text(setup.get(f"plugins.target_{part}", setup.get(f"plugins.model_{part}")))
        for part in ("type", "name")
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
