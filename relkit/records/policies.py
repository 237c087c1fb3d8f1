"""Gate policies: ``gates/NAME.yaml`` to :class:`GatePolicy`, each defect with its line."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from relkit.domain.errors import InvalidInput
from relkit.domain.gates import Enforcement, GatePolicy, Mode, Requirement, Rule, Test
from relkit.domain.metrics import METRICS, STATISTICS, expand, metric_of
from relkit.records import yaml_text
from relkit.records.digests import JsonValue, digest_of
from relkit.records.durations import DURATION, checked_duration, duration_s
from relkit.records.strict import Record, check, nearest
from relkit.records.yaml_text import shown, where
from relkit.rules.rule_checks import first_defect, test_asked_for
from relkit.rules.slice_patterns import normal_slice

SCHEMA = "relkit.gate/v1"
_LARGEST = 1e9
_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_RULE_ID = r"^[a-z0-9._-]{1,64}$"

Name = Annotated[str, Field(pattern=_NAME)]
Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
Least = Annotated[int, Field(ge=1, le=_LARGEST)]
Duration = Annotated[
    str,
    BeforeValidator(checked_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION}),
]
Signature = Literal["required", "optional"]
Lines = Mapping[tuple[str | int, ...], int]


class RuleRecord(Record):
    """One rule as it is written."""

    id: Annotated[str, Field(pattern=_RULE_ID)]
    metric: Annotated[str, Field(min_length=1)]
    slice: Annotated[str, Field(min_length=1)] = "overall"
    test: Test | None = None
    mode: Mode = "required"
    max: Number | None = None
    min: Number | None = None
    margin: Number | None = None
    detectable: Number | None = None
    min_change: Number | None = None
    min_relative_change: Number | None = None
    anchor_margin: Number | None = None
    min_clusters: Least | None = None
    min_utterances: Least | None = None


class RequirementRecord(Record):
    """A named check or approval with what it has to have."""

    name: Name
    signed: bool = False
    max_age: Duration | None = None


class PolicyRecord(Record):
    """The whole of a gate policy."""

    schema_: Literal["relkit.gate/v1"] = Field(alias="schema")
    name: Name
    enforcement: Enforcement = "enforce"
    max_age: Duration = "24h"
    valid_for: Duration = "24h"
    baseline_max_age: Duration | None = None
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.99
    paired: bool = True
    anchor: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    signature: Signature = "optional"
    min_clusters: Least = 5
    min_utterances: Least = 30
    requires: list[Name | RequirementRecord] = []
    parts: dict[Name, Name] = {}
    rules: list[RuleRecord] = []


def parse_policy(text: str, *, source: str) -> GatePolicy:
    """Return a policy from YAML; raises InvalidInput with file, line and what to do.

    What is refused: rules.md section 4 and docs/gates.md. The digest is that of the parsed
    document, so that comments and the order of keys do not matter.
    """
    document, lines = yaml_text.load(text, source=source)
    if not isinstance(document, Mapping):
        raise InvalidInput(
            f"{source}: a mapping of keys to values was expected",
            hint=f'a policy begins with "schema: {SCHEMA}"',
        )
    _check_schema(document, source, lines)
    _check_words(document, source, lines)
    _check_requirements(document, source, lines)
    record = check(PolicyRecord, document, source=source, lines=lines)
    _check_whole(record, source, lines)
    return GatePolicy(
        name=record.name,
        digest=digest_of(document),
        rules=tuple(_rule(record, i, source, lines) for i in range(len(record.rules))),
        enforcement=record.enforcement,
        coverage=record.coverage,
        max_age_s=duration_s(record.max_age),
        baseline_max_age_s=_seconds(record.baseline_max_age),
        valid_for_s=duration_s(record.valid_for),
        paired=record.paired,
        anchor=record.anchor,
        requires=tuple(_requirement(item) for item in record.requires),
        parts=dict(record.parts),
        signature=record.signature == "required",
        source=source,
        document=document,
    )


def policy_digest(policy: GatePolicy, parts: Mapping[str, GatePolicy]) -> str:
    """Return the digest of a policy; of one with parts, over the policies of these, too."""
    if not parts:
        return policy.digest
    return digest_of(
        {"policy": policy.digest, "parts": {part: own.digest for part, own in parts.items()}}
    )


def _check_schema(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    begin = f'begin the file with "schema: {SCHEMA}"'
    if "schema" not in document:
        raise InvalidInput(f'{where(source, 1)}: the key "schema" is missing', hint=begin)
    found = document["schema"]
    if found != SCHEMA:
        raise InvalidInput(
            f'{where(source, lines.get(("schema",)))}: unknown schema "{shown(str(found))}"',
            hint=f"this relkit knows {SCHEMA}",
        )


def _check_requirements(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Check each requirement by itself, which gives better errors than name or mapping."""
    requires = document.get("requires")
    for i, item in enumerate(requires if isinstance(requires, list) else []):
        spelled = {"name": item} if isinstance(item, str) else item
        inner = {path[2:]: at for path, at in lines.items() if path[:2] == ("requires", i)}
        check(RequirementRecord, spelled, source=source, lines=inner, inside=f"requires.{i}")


def _check_words(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Refuse misspelt words from fixed lists with the nearest one."""
    _check_word(document, "enforcement", get_args(Enforcement), (), source, lines)
    _check_word(document, "signature", get_args(Signature), (), source, lines)
    rules = document.get("rules")
    for i, rule in enumerate(rules if isinstance(rules, list) else []):
        if isinstance(rule, Mapping):
            _check_word(rule, "test", get_args(Test), ("rules", i), source, lines)
            _check_word(rule, "mode", get_args(Mode), ("rules", i), source, lines)
            _check_metric(rule.get("metric"), where(source, lines.get(("rules", i, "metric"))))


def _check_word(
    holder: Mapping[str, JsonValue],
    key: str,
    known: tuple[str, ...],
    path: tuple[str | int, ...],
    source: str,
    lines: Lines,
) -> None:
    word = holder.get(key)
    if isinstance(word, str) and word not in known:
        at = where(source, lines.get((*path, key)))
        raise InvalidInput(f'{at}: unknown {key} "{shown(word)}"', hint=nearest(word, known))


def _check_metric(metric: JsonValue, at: str) -> None:
    if not isinstance(metric, str):
        return  # the record says what is missing
    if metric in STATISTICS:
        statistics = STATISTICS[metric]
        likely = "p95" if "p95" in statistics else statistics[0]
        raise InvalidInput(
            f'{at}: "{metric}" has several statistics'
            if len(statistics) > 1
            else f'{at}: "{metric}" is not spelled out',
            hint=f'did you mean "{metric}.{likely}"?',
        )
    try:
        metric_of(metric)
    except KeyError:
        known = expand(tuple(METRICS))
        close = difflib.get_close_matches(metric, known, n=1)
        hint = f'did you mean "{close[0]}"?' if close else "known: " + ", ".join(METRICS)
        raise InvalidInput(f'{at}: unknown metric "{shown(metric)}"', hint=hint) from None


def _check_whole(record: PolicyRecord, source: str, lines: Lines) -> None:
    if not record.rules and not record.parts and not record.requires:
        raise InvalidInput(
            f"{where(source, lines.get(('rules',)))}: the policy asks for nothing",
            hint="give it rules, parts or requires",
        )
    if record.rules and record.parts:
        raise InvalidInput(
            f"{where(source, lines.get(('rules',)))}: a policy with parts has no rules of its own",
            hint="move the rules into the policy of a part",
        )
    _check_unique([rule.id for rule in record.rules], "rule id", ("rules", "id"), source, lines)
    names = [item if isinstance(item, str) else item.name for item in record.requires]
    _check_unique(names, "required check", ("requires", "name"), source, lines)


def _check_unique(
    names: list[str], what: str, path: tuple[str, str], source: str, lines: Lines
) -> None:
    holder, key = path
    places = [lines.get((holder, i, key)) or lines.get((holder, i)) for i in range(len(names))]
    for i, name in enumerate(names):
        if name in names[:i]:
            first = places[names.index(name)]
            raise InvalidInput(
                f'{where(source, places[i])}: the {what} "{shown(name)}" stands already in line '
                f"{first}",
                hint="give each a name of its own",
            )


def _rule(record: PolicyRecord, i: int, source: str, lines: Lines) -> Rule:
    written = record.rules[i]
    given = {key for key in written.model_fields_set if getattr(written, key) is not None}
    line = lines.get(("rules", i))
    rule = Rule(
        id=written.id,
        metric=written.metric,
        slice=_slice(written, where(source, lines.get(("rules", i, "slice")))),
        test=test_asked_for(given, written.test),
        mode=written.mode,
        max=written.max,
        min=written.min,
        margin=written.margin,
        min_change=written.min_change,
        min_relative_change=written.min_relative_change,
        anchor_margin=written.anchor_margin,
        min_clusters=written.min_clusters or record.min_clusters,
        min_utterances=written.min_utterances or record.min_utterances,
        line=line,
    )
    if written.detectable is not None:
        rule = replace(rule, detectable=written.detectable)
    defect = first_defect(rule, given)
    if defect is not None:
        at = line if defect.key is None else lines.get(("rules", i, defect.key), line)
        raise InvalidInput(
            f'{where(source, at)}: rule "{rule.id}": {defect.message}', hint=defect.hint
        )
    return rule


def _slice(written: RuleRecord, at: str) -> str:
    try:
        return normal_slice(written.slice)
    except ValueError as error:
        what, hint = error.args
        raise InvalidInput(
            f'{at}: rule "{written.id}": the slice "{shown(written.slice)}" {what}', hint=hint
        ) from None


def _requirement(item: str | RequirementRecord) -> Requirement:
    if isinstance(item, str):
        return Requirement(name=item)
    return Requirement(name=item.name, signed=item.signed, max_age_s=_seconds(item.max_age))


def _seconds(text: str | None) -> float | None:
    return None if text is None else duration_s(text)
