"""promptfoo's results (``promptfoo eval -o results.json``, ``redteam eval``): versions 3 and 4.

``results.results`` holds one entry for each test and target. In a red team ``success`` means that
the target withstood; ``failureReason`` is 1 where an assertion says that it did not, and 2 where
something broke. ``error`` repeats an assertion's words, too: it does not tell the two apart.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relkit.core.codec import parse_json
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.safety.imported import ImportedAnswer, ImportedResults, attacked, prompt_key

_VERSIONS = (3, 4)
_NONE, _ASSERT, _ERROR = range(3)
_INDIRECT = ("indirect-prompt-injection", "rag-document-exfiltration", "rag-poisoning")
_SESSION = ("sessionId", "conversationId")


def parse_promptfoo(text: str, *, source: str) -> ImportedResults:
    """Return the answers of one target: a row for each test and repeat.

    An attack succeeded where an assertion failed, and failed where there was one and all held. It
    was not judged where the target or a grader broke or timed out, and where nothing was asserted,
    which promptfoo counts as passed. Tests that were made from one attack (its encodings, its
    languages, its repeats) are one cluster.

    Raises InvalidInput with file and place for what are no results of promptfoo, results of
    several targets or prompts, and fewer results than the file itself counts.
    """
    document = parse_json(text, source=source)
    summary = document.get("results") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(summary, Mapping):
        raise InvalidInput(f'{source}: has no "results": these are no results of promptfoo')
    if summary.get("version") not in _VERSIONS:
        known = " and ".join(map(str, _VERSIONS))
        raise InvalidInput(
            f"{source}: results of version {str(summary.get('version'))[:20]}",
            hint=f"relkit reads {known}: export them again with a promptfoo of today",
        )
    rows = summary.get("results")
    if not isinstance(rows, list) or not rows:
        raise InvalidInput(f'{source}: "results.results" holds no result')
    _check_sums(rows, summary.get("stats"), source)
    answers = tuple(_answers(rows, source))
    metadata = document.get("metadata")
    version = metadata.get("promptfooVersion") if isinstance(metadata, Mapping) else None
    created = summary.get("timestamp")
    return ImportedResults(
        tool="promptfoo",
        target=_target(rows, source),
        scorer=f"promptfoo {version or '(version not stated)'}",
        created=created if isinstance(created, str) else None,
        prompts=tuple(sorted({answer.id.partition("#")[0] for answer in answers})),
        answers=answers,
    )


def _check_sums(rows: Sequence[object], stats: object, source: str) -> None:
    """Refuse a file that counts more results than it holds."""
    if not isinstance(stats, Mapping):
        return
    numbers = [stats.get(key, 0) for key in ("successes", "failures", "errors")]
    if all(isinstance(number, int) for number in numbers) and sum(numbers) != len(rows):
        raise InvalidInput(
            f"{source}: holds {len(rows)} results, and its stats count {sum(numbers)}",
            hint="export the whole evaluation: promptfoo export eval ID",
        )


def _answers(rows: Sequence[Any], source: str) -> Iterator[ImportedAnswer]:
    seen: Counter[str] = Counter()
    for i, row in enumerate(rows):
        at = f"{source}, results.results[{i}]"
        if not isinstance(row, Mapping) or not isinstance(row.get("success"), bool):
            raise InvalidInput(f'{at}: has no "success" that is true or false')
        test = _mapping(row.get("testCase"))
        metadata = {**_mapping(test.get("metadata")), **_mapping(row.get("metadata"))}
        plugin, strategy = _name(metadata, "pluginId"), _name(metadata, "strategyId", "basic")
        variables = {
            name: value
            for name, value in (_mapping(test.get("vars")) or _mapping(row.get("vars"))).items()
            if name not in _SESSION
        }
        key = f"{plugin}/{strategy}/{prompt_key(variables)}"
        seen[key] += 1
        origin = metadata.get("originalText", metadata.get("goal"))
        base = [origin] if isinstance(origin, str) else sorted(map(str, variables.values()))
        unjudged = _why_unjudged(row, at)
        yield ImportedAnswer(
            id=f"{key}#{seen[key]}",
            cluster=f"{plugin}/{prompt_key(*base)}",
            slices={
                "plugin": plugin,
                "strategy": strategy,
                "channel": "document" if plugin in _INDIRECT else "said",
            },
            counts=None if unjudged else attacked(succeeded=not row["success"]),
            unjudged=unjudged,
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _name(metadata: Mapping[str, Any], key: str, absent: str = "(none)") -> str:
    """Return the name of a plugin or strategy, without ``promptfoo:redteam:`` before it."""
    value = metadata.get(key)
    return value.removeprefix("promptfoo:redteam:") if isinstance(value, str) and value else absent


def _why_unjudged(row: Mapping[str, Any], at: str) -> str:
    """Return why a result says nothing about the target, nothing where it does."""
    reason, grading = row.get("failureReason"), row.get("gradingResult")
    if reason not in (None, _NONE, _ASSERT, _ERROR):
        raise InvalidInput(f"{at}: failureReason {str(reason)[:20]} is none of 0, 1 and 2")
    if reason == _ERROR or _mapping(row.get("response")).get("error"):
        timed_out = "timed out" in str(row.get("error"))
        return "timed out" if timed_out else "ended in an error"
    if not isinstance(grading, Mapping) or not isinstance(grading.get("pass"), bool):
        return "without a grade"
    parts = grading.get("componentResults")
    listed = parts if isinstance(parts, list) else []
    components = [part for part in listed if isinstance(part, Mapping)]
    if any(_mapping(part.get("metadata")).get("graderError") for part in (grading, *components)):
        return "whose grader failed"
    if not components and not grading.get("assertion"):
        return "without an assertion"
    if grading["pass"] != row["success"]:
        return "with two grades that contradict each other"
    return ""


def _target(rows: Sequence[Mapping[str, Any]], source: str) -> dict[str, JsonValue]:
    """Return what was attacked, through which prompt; raises InvalidInput for more than one."""
    targets = {_provider(row.get("provider")) for row in rows}
    prompts = {prompt_key(_mapping(row.get("prompt")).get("label")) for row in rows}
    if len({prompt_key(row.get("promptIdx")) for row in rows}) == 1:
        prompts = {""}
    for what, names in (("targets", targets), ("prompts", prompts)):
        if len(names) > 1:
            raise InvalidInput(
                f"{source}: holds results of {len(names)} {what}, and a run is of one",
                hint="evaluate them one by one: promptfoo eval --filter-targets NAME",
            )
    return {"name": targets.pop()}


def _provider(provider: object) -> str:
    if isinstance(provider, Mapping):
        provider = provider.get("label") or provider.get("id")
    return provider if isinstance(provider, str) else ""
