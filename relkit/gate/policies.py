"""Gate policies: ``gates/NAME.yaml`` to :class:`GatePolicy`, each defect with its line.

A rule that is senseless by itself is refused before any data is looked at. Other margins can be
written into the text of a policy, which keeps its comments and its order.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Literal, NamedTuple, get_args

from relkit.core import yaml_text
from relkit.core.codec import Lines, as_type, nearest, parse
from relkit.core.digests import JsonValue, digest_of
from relkit.core.errors import InvalidInput
from relkit.core.metrics import METRICS, STATISTICS, expand, metric_of
from relkit.core.slices import normal_slice
from relkit.core.yaml_text import shown, where
from relkit.gate.types import (
    CANDIDATE,
    Enforcement,
    GatePolicy,
    Mode,
    Population,
    Rule,
    SignaturePolicy,
    Test,
    WrittenPolicy,
    WrittenRule,
)
from relkit.statistics.families import FAMILY_METRICS
from relkit.statistics.rates import MetricRange, metric_range

SCHEMA = "relkit.gate/v1"

BOUND_KEYS: Mapping[Test, tuple[str, ...]] = {
    "bound": ("max", "min"),
    "non_inferiority": ("margin", "anchor_margin"),
    "no_regression": ("detectable", "tolerate"),
    "min_change": ("min_change", "min_relative_change"),
}
"""Test to the keys that say what it asks for."""

REQUIRED_BOUNDS: Mapping[Test, tuple[str, ...]] = {
    "bound": ("max", "min"),
    "non_inferiority": ("margin",),
    "no_regression": (),
    "min_change": ("min_change", "min_relative_change"),
}
"""Test to the keys of which one must be there."""

_ALL_BOUND_KEYS = tuple(dict.fromkeys(key for keys in BOUND_KEYS.values() for key in keys))
_MOST_DETECTABLE = 100.0


def parse_policy(text: str, *, source: str) -> GatePolicy:
    """Return a policy from YAML; raises InvalidInput with file, line and what to do.

    What is refused: docs/gates.md. The digest is that of the parsed document, so that comments and
    the order of keys do not matter.
    """
    document, lines = yaml_text.load(text, source=source)
    if not isinstance(document, Mapping):
        raise InvalidInput(
            f"{source}: a mapping of keys to values was expected",
            hint=f'a policy begins with "schema: {SCHEMA}"',
        )
    _check_schema(document, source, lines)
    _check_words(document, source, lines)
    written = parse(WrittenPolicy, document, source=source, lines=lines)
    _check_whole(written, source, lines)
    return as_type(
        GatePolicy,
        written,
        digest=digest_of(document),
        rules=tuple(_rule(written, i, source, lines) for i in range(len(written.rules))),
        source=source,
        document=document,
    )


def policy_digest(policy: GatePolicy, parts: Mapping[str, GatePolicy]) -> str:
    """Return the digest of a policy; of one with parts, over the policies of these, too."""
    if not parts:
        return policy.digest
    of_parts = {part: part_policy.digest for part, part_policy in parts.items()}
    return digest_of({"policy": policy.digest, "parts": of_parts})


def _check_schema(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    if "schema" not in document:
        begin = f'begin the file with "schema: {SCHEMA}"'
        raise InvalidInput(f'{where(source, 1)}: the key "schema" is missing', hint=begin)
    schema = document["schema"]
    if schema != SCHEMA:
        raise InvalidInput(
            f'{where(source, lines.get(("schema",)))}: unknown schema "{shown(str(schema))}"',
            hint=f"this relkit knows {SCHEMA}",
        )


def _check_words(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Refuse misspelt words from fixed lists with the nearest one."""
    _check_word(document, "enforcement", get_args(Enforcement), (), source, lines)
    _check_word(document, "signature", get_args(SignaturePolicy), (), source, lines)
    _check_word(document, "population", get_args(Population), (), source, lines)
    rules = document.get("rules")
    for i, rule in enumerate(rules if isinstance(rules, list) else []):
        if isinstance(rule, Mapping):
            _check_sum(rule, where(source, lines.get(("rules", i, "sum_of"))))
            _check_word(rule, "test", get_args(Test), ("rules", i), source, lines)
            _check_word(rule, "mode", get_args(Mode), ("rules", i), source, lines)
            _check_metric(rule.get("metric"), where(source, lines.get(("rules", i, "metric"))))


def _check_sum(rule: Mapping[str, JsonValue], at: str) -> None:
    """Refuse a sum of percentiles: the slow stages of two turns are not those of one."""
    if "sum_of" in rule:
        raise InvalidInput(
            f'{at}: "sum_of": percentiles do not add',
            hint="limit what is meant, for example metric: response_ms.p95; means of stages do "
            "add, to response_ms.mean",
        )


def _check_word(
    holder: Mapping[str, JsonValue],
    key: str,
    words: tuple[str, ...],
    path: tuple[str | int, ...],
    source: str,
    lines: Lines,
) -> None:
    word = holder.get(key)
    if isinstance(word, str) and word not in words:
        at = where(source, lines.get((*path, key)))
        raise InvalidInput(f'{at}: unknown {key} "{shown(word)}"', hint=nearest(word, words))


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
        available = expand(tuple(METRICS))
        close = difflib.get_close_matches(metric, available, n=1)
        hint = f'did you mean "{close[0]}"?' if close else "known: " + ", ".join(METRICS)
        raise InvalidInput(f'{at}: unknown metric "{shown(metric)}"', hint=hint) from None


def _check_whole(policy: WrittenPolicy, source: str, lines: Lines) -> None:
    at = where(source, lines.get(("rules",)))
    if not policy.rules and not policy.parts and not policy.requires:
        hint = "give it rules, parts or requires"
        raise InvalidInput(f"{at}: the policy asks for nothing", hint=hint)
    if policy.rules and policy.parts:
        raise InvalidInput(
            f"{at}: a policy with parts has no rules of its own",
            hint="move the rules into the policy of a part",
        )
    _check_unique([rule.id for rule in policy.rules], "rule id", ("rules", "id"), source, lines)
    names = [item.name for item in policy.requires]
    _check_unique(names, "required check", ("requires", "name"), source, lines)
    parts = (CANDIDATE, *policy.parts)
    for i, item in enumerate(policy.requires):
        if item.about is not None and item.about not in parts:
            place = lines.get(("requires", i, "about")) or lines.get(("requires", i))
            raise InvalidInput(
                f'{where(source, place)}: "about: {shown(item.about)}" is neither {CANDIDATE} nor '
                "a part",
                hint=f"one of {', '.join(parts)}",
            )


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


def _rule(policy: WrittenPolicy, i: int, source: str, lines: Lines) -> Rule:
    written = policy.rules[i]
    keys = {item.name for item in fields(written) if getattr(written, item.name) is not None}
    line = lines.get(("rules", i))
    rule = as_type(
        Rule,
        written,
        slice=_slice(written, where(source, lines.get(("rules", i, "slice")))),
        test=written.test or ("min_change" if keys & set(BOUND_KEYS["min_change"]) else "bound"),
        detectable=2.0 if written.detectable is None else written.detectable,
        min_clusters=written.min_clusters or policy.min_clusters,
        min_utterances=written.min_utterances or policy.min_utterances,
        line=line,
    )
    defect = next(_defects(rule, keys), None)
    if defect is not None:
        at = line if defect.key is None else lines.get(("rules", i, defect.key), line)
        raise InvalidInput(
            f'{where(source, at)}: rule "{rule.id}": {defect.message}', hint=defect.hint
        )
    return rule


def _slice(written: WrittenRule, at: str) -> str:
    try:
        return normal_slice(written.slice)
    except ValueError as error:
        what, hint = error.args
        raise InvalidInput(
            f'{at}: rule "{written.id}": the slice "{shown(written.slice)}" {what}', hint=hint
        ) from None


class RuleDefect(NamedTuple):
    """Why a rule is refused: the ``key`` that is wrong (None: the whole rule), and the way out."""

    key: str | None
    message: str
    hint: str | None = None


def _defects(rule: Rule, keys: Collection[str]) -> Iterator[RuleDefect]:
    """Yield what makes a rule senseless; ``keys`` are the keys it was written by."""
    yield from _keys(rule, keys)
    limits = metric_range(rule.metric)
    if rule.test == "bound":
        yield from _limits(rule, limits)
    elif rule.test == "non_inferiority":
        yield from _margin("margin", rule.margin, limits)
    elif rule.test == "no_regression":
        yield from _family(rule)
    else:
        yield from _change(rule, limits)
    if "anchor_margin" in keys:
        yield from _margin("anchor_margin", rule.anchor_margin, limits)


def _keys(rule: Rule, written: Collection[str]) -> Iterator[RuleDefect]:
    required = BOUND_KEYS[rule.test]
    for key in _ALL_BOUND_KEYS:
        if key in written and key not in required:
            owner = next(test for test, keys in BOUND_KEYS.items() if key in keys)
            message = f'"{key}" says nothing to the test {rule.test}'
            yield RuleDefect(key, message, f'add "test: {owner}", or remove "{key}"')
    needed = REQUIRED_BOUNDS[rule.test]
    if needed and not set(needed) & set(written):
        listed = " or ".join(f'"{key}"' for key in needed)
        example = f"for example {_EXAMPLES[rule.test]}"
        yield RuleDefect(None, f"the test {rule.test} needs {listed}", example)


_EXAMPLES: Mapping[Test, str] = {
    "bound": "max: 0.20",
    "non_inferiority": "margin: 0.01, the largest acceptable worsening",
    "min_change": "min_change: 0.01",
}


def _limits(rule: Rule, limits: MetricRange) -> Iterator[RuleDefect]:
    low, high, name = limits.low, limits.high, rule.metric
    span = f"{name} >= {low:g}"
    if high < float("inf"):
        span = f"{name} is between {low:g} and {high:g}"
    if rule.max is not None and rule.max >= high:
        yield RuleDefect("max", f'"max: {rule.max:g}" can never fire', span)
    if rule.max is not None and rule.max < low:
        yield RuleDefect("max", f'"max: {rule.max:g}" can never hold', span)
    if rule.min is not None and rule.min <= low:
        yield RuleDefect("min", f'"min: {rule.min:g}" can never fire', span)
    if rule.min is not None and rule.min > high:
        yield RuleDefect("min", f'"min: {rule.min:g}" can never hold', span)
    if rule.min is not None and rule.max is not None and rule.min >= rule.max:
        message = f'"min: {rule.min:g}" leaves nothing below "max: {rule.max:g}"'
        yield RuleDefect("min", message, "min has to be lower than max")


def _margin(key: str, margin: float | None, limits: MetricRange) -> Iterator[RuleDefect]:
    if margin is None:
        return
    if margin < 0:
        hint = "a margin is the largest acceptable worsening; to ask for an improvement use "
        hint += "test: min_change"
        yield RuleDefect(key, f'"{key}: {margin:g}" is negative', hint)
    if margin >= limits.width:
        hint = f"two values are never further apart than {limits.width:g}"
        yield RuleDefect(key, f'"{key}: {margin:g}" can never fire', hint)


def _family(rule: Rule) -> Iterator[RuleDefect]:
    if rule.metric not in FAMILY_METRICS:
        message = f"no_regression is for error rates, and {rule.metric} is none"
        hint = "use test: non_inferiority with a margin, or test: bound"
        yield RuleDefect("metric", message, hint)
    if not 1 < rule.detectable <= _MOST_DETECTABLE:
        message = f'"detectable: {rule.detectable:g}" is no worsening that could be found'
        hint = "it is a ratio of rates above 1: 2.0 is a doubled rate"
        yield RuleDefect("detectable", message, hint)
    if rule.tolerate is not None and not 0 < rule.tolerate < 1:
        message = f'"tolerate: {rule.tolerate:g}" is no worsening of a rate'
        yield RuleDefect("tolerate", message, "0.005 is half a point; leave it out for none")


def _change(rule: Rule, limits: MetricRange) -> Iterator[RuleDefect]:
    lower_is_better = metric_of(rule.metric).better == "down"
    absolute, relative = rule.min_change, rule.min_relative_change
    for key, value in (("min_change", absolute), ("min_relative_change", relative)):
        if value is not None and value <= 0:
            hint = 'write how much better it must be, or use "test: non_inferiority"'
            yield RuleDefect(key, f'"{key}: {value:g}" asks for no improvement', hint)
    if absolute is not None and absolute >= limits.width:
        hint = f"two values are never further apart than {limits.width:g}"
        yield RuleDefect("min_change", f'"min_change: {absolute:g}" can never hold', hint)
    if relative is not None and lower_is_better and relative >= 1:
        message = f'"min_relative_change: {relative:g}" can never hold'
        hint = "it is a fraction of the baseline: 0.1 is a tenth better"
        yield RuleDefect("min_relative_change", message, hint)


def with_numbers(
    text: str, key: Literal["margin", "detectable"], numbers: Mapping[str, float], *, source: str
) -> str:
    """Return the text of a policy with the ``margin`` (or ``detectable``) of rules replaced.

    ``numbers`` go by the ids of rules. Raises InvalidInput where the line of one holds another.
    """
    number = re.compile(rf"(?<![\w-])({key}\s*:\s*)([-+.0-9eE]+)")
    document, lines = yaml_text.load(text, source=source)
    written = text.split("\n")
    rules = document.get("rules") if isinstance(document, Mapping) else None
    for i, rule in enumerate(rules if isinstance(rules, list) else []):
        name = rule.get("id") if isinstance(rule, Mapping) else None
        at = lines.get(("rules", i, key))
        if not isinstance(name, str) or name not in numbers or at is None:
            continue
        line = written[at - 1]
        if len(number.findall(line)) != 1:
            raise InvalidInput(
                f'{where(source, at)}: the {key} of rule "{name}" cannot be told from another',
                hint="write one rule a line",
            )
        written[at - 1] = number.sub(rf"\g<1>{numbers[name]:g}", line)
    return "\n".join(written)
