"""Files of serving health and capacity: their policies in YAML, load tests as CSV or JSON lines."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import TypeVar

from relkit.core import yaml_text
from relkit.core.codec import Lines, decode, line_of, nearest, parse
from relkit.core.csv_rows import csv_rows
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput, Malformed
from relkit.core.json_lines import row_blocks
from relkit.core.yaml_text import shown, where
from relkit.monitoring.serving.budgets import BUDGETS, WHOLE_TURN
from relkit.monitoring.serving.types import CapacityPolicy, HealthPolicy, LoadStep
from relkit.monitoring.slo.selectors import selector_of
from relkit.telemetry.types import STAGES

HEALTH = "relkit.health/v1"
CAPACITY = "relkit.capacity/v1"

STEP_COLUMNS = ("concurrency", "throughput", "p95_ms", "error_rate", "duration_s")
"""The columns of a load test; it may have others, which are passed over."""

_Policy = TypeVar("_Policy", HealthPolicy, CapacityPolicy)


def parse_health_policy(text: str, *, source: str) -> HealthPolicy:
    """Return a policy of ``relkit health`` from YAML; raises InvalidInput with file and line."""
    policy, lines = _policy(HealthPolicy, HEALTH, text, source)
    parts = (policy.queue, policy.retries, policy.tenants, policy.churn, policy.budget)
    if all(part is None for part in parts):
        hint = "give it queue, retries, tenants, churn or budget"
        raise InvalidInput(f"{source}: the policy asks for nothing", hint=hint)
    _check_budget(policy, source, lines)
    _check_metrics(policy, source, lines)
    for i, step in enumerate(policy.degrade):
        asked = {
            "saturated": policy.queue,
            "storm": policy.retries,
            "spike": policy.tenants,
            "fail": policy.queue or policy.churn or policy.budget,
        }[step.when]
        if asked is None:
            at = where(source, line_of(("degrade", i, "when"), lines))
            raise InvalidInput(
                f'{at}: nothing in this policy says when it is "{step.when}"',
                hint="add the part that does, or leave this level out",
            )
    return policy


def parse_capacity_policy(text: str, *, source: str) -> CapacityPolicy:
    """Return a policy of ``relkit capacity`` from YAML; raises InvalidInput with file and line."""
    return _policy(CapacityPolicy, CAPACITY, text, source)[0]


def _policy(kind: type[_Policy], schema: str, text: str, source: str) -> tuple[_Policy, Lines]:
    document, lines = yaml_text.load(text, source=source)
    if not isinstance(document, Mapping) or "schema" not in document:
        raise Malformed(
            'the key "schema" is missing',
            source=source,
            line=1,
            hint=f'begin the file with "schema: {schema}"',
        )
    if document["schema"] != schema:
        raise Malformed(
            f'is "{shown(str(document["schema"]))}", and {schema} was expected',
            source=source,
            line=lines.get(("schema",)),
            hint="name a policy of this kind",
        )
    policy = parse(kind, document, source=source, lines=lines)
    return replace(policy, digest=digest_of(document)), lines


def _check_budget(policy: HealthPolicy, source: str, lines: Lines) -> None:
    """Refuse a budget that nobody knows, a stage that is none, and a sum of percentiles."""
    at = where(source, line_of(("budget",), lines))
    if isinstance(policy.budget, str) and policy.budget not in BUDGETS:
        raise InvalidInput(
            f'{at}: no budget "{shown(policy.budget)}"',
            hint=nearest(policy.budget, tuple(BUDGETS)),
        )
    if not isinstance(policy.budget, Mapping):
        return
    names = (*STAGES, WHOLE_TURN)
    for stage, line in policy.budget.items():
        at = where(source, line_of(("budget", stage), lines))
        if "+" in stage or stage.startswith("sum"):
            raise InvalidInput(
                f'{at}: "{shown(stage)}": percentiles of stages do not add up to one of their sum',
                hint=f"bound the whole turn: {WHOLE_TURN}",
            )
        if stage not in names:
            raise InvalidInput(f'{at}: no stage "{shown(stage)}"', hint=nearest(stage, names))
        if not line.target[0] <= line.target[1] <= line.most:
            raise InvalidInput(
                f'{at}: "{stage}": the target is to rise, and the limit is not to be under it',
                hint="target: [200, 350], limit: 500",
            )


def _check_metrics(policy: HealthPolicy, source: str, lines: Lines) -> None:
    """Refuse what is no counter, and stages that are none, under ``prometheus``."""
    metrics = policy.prometheus
    if metrics is None:
        return
    places: dict[tuple[str, ...], str | None] = {
        ("turns",): metrics.turns,
        ("attempts",): metrics.attempts,
        ("partial_changes",): metrics.partial_changes,
        ("partial_words",): metrics.partial_words,
        ("queue",): None if metrics.queue is None else metrics.queue.histogram,
        ("service",): None if metrics.service is None else metrics.service.histogram,
        **{("stages", name): stage.histogram for name, stage in metrics.stages.items()},
    }
    names = (*STAGES, WHOLE_TURN)
    for path, query in places.items():
        at = where(source, line_of(("prometheus", *path), lines))
        if path[0] == "stages" and path[1] not in names:
            raise InvalidInput(f'{at}: no stage "{shown(path[1])}"', hint=nearest(path[1], names))
        try:
            if query is not None:
                selector_of(query)
        except ValueError as error:
            problem, *hints = error.args
            hint = str(hints[0]) if hints else "name a counter: turns_total"
            raise InvalidInput(f'{at}: "{shown(query or "")}": {problem}', hint=hint) from error


def parse_load_test(data: bytes, *, source: str) -> tuple[LoadStep, ...]:
    """Return the steps of a load test in the order of the file, CSV by its ending, else JSON lines.

    An empty field and null are a figure that is missing. Raises InvalidInput, with file and line,
    for a column that is not there, for what is no number, and for no step at all.
    """
    text = decode(data, source=source)
    steps = []
    for line, row in _rows(text, source):
        for column in STEP_COLUMNS:
            if column not in row:
                hint = nearest(column, tuple(row)) or f"columns: {', '.join(STEP_COLUMNS)}"
                raise Malformed(f"no column {column}", source=source, line=line, hint=hint)
        document = {column: row[column] for column in STEP_COLUMNS}
        steps.append(parse(LoadStep, document, source=source, line=line))
    if not steps:
        raise InvalidInput(
            f"{source}: holds no step of a load test",
            hint=f"a row per step: {', '.join(STEP_COLUMNS)}",
        )
    return tuple(steps)


def _rows(text: str, source: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    if not source.lower().endswith((".csv", ".tsv")):
        for rows, numbers in row_blocks(text, source=source):
            yield from zip(numbers, rows, strict=True)
        return
    if not text.strip():
        return
    for line, row in csv_rows(text, source=source):
        yield line, {column: _number(field, column, source, line) for column, field in row.items()}


def _number(field: str, column: str, source: str, line: int) -> object:
    """Return a field as a number, None for an empty one; of other columns as it is."""
    if column not in STEP_COLUMNS or field.strip().endswith("%"):
        return field.strip()
    if not field.strip():
        return None
    try:
        number = float(field)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise Malformed(
            f'"{column}": {shown(field)} is no number',
            source=source,
            line=line,
            hint="leave the field empty where the figure is missing",
        )
    return number
