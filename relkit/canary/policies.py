"""Canary policies: ``gates/NAME.yaml`` to :class:`CanaryPolicy`, each defect with its line.

What is senseless by itself is refused before any telemetry is looked at.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from relkit.canary.types import (
    ArmSource,
    CanaryLimit,
    CanaryPolicy,
    CanaryStep,
    Trigger,
    WatchedColumn,
    WrittenCanaryPolicy,
    WrittenTrigger,
)
from relkit.core import yaml_text
from relkit.core.codec import Lines, as_type, line_of, nearest, parse
from relkit.core.digests import JsonValue, digest_of
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import KeyPath, shown, where
from relkit.monitoring.serving.budgets import BUDGETS
from relkit.statistics.bets import THETAS
from relkit.statistics.measured_bets import DELTAS
from relkit.telemetry.columns import NAMES_PERSONS, RENAME_IT, is_of_persons
from relkit.telemetry.types import COLUMNS

CANARY_SCHEMA = "relkit.canary/v1"

TURN_RATES = ("failed", "interrupted", "abandoned", "no_answer")
"""Rates that every turn table has; others are columns of true and false."""

TIMES = tuple(name for name, kind in COLUMNS.items() if kind == "ms")
"""Columns that tails are about."""

QUANTITIES = (
    *(name for name, kind in COLUMNS.items() if kind in {"number", "count", "s"}),
    "turns",
)
"""Columns that means are about; ``turns`` counts those of a unit."""

DEFAULT_FLOOR = 0.001
"""A rate of the canary below this is small enough by itself."""

_RATIOS = ", ".join(f"{ratio:g}" for ratio in THETAS)


class CanaryDefect(NamedTuple):
    """Why a policy is refused: the place of the key that is wrong, and the way out."""

    path: KeyPath
    message: str
    hint: str | None = None


def parse_canary_policy(text: str, *, source: str) -> CanaryPolicy:
    """Return a policy from YAML; raises InvalidInput with file, line and what to do."""
    document, lines = yaml_text.load(text, source=source)
    if not isinstance(document, Mapping):
        raise InvalidInput(
            f"{source}: a mapping of keys to values was expected",
            hint=f'a canary policy begins with "schema: {CANARY_SCHEMA}"',
        )
    schema = document.get("schema")
    if schema != CANARY_SCHEMA:
        at = where(source, lines.get(("schema",), 1))
        problem = (
            'the key "schema" is missing'
            if schema is None
            else f'unknown schema "{shown(str(schema))}"'
        )
        raise InvalidInput(f"{at}: {problem}", hint=f"a canary policy has schema: {CANARY_SCHEMA}")
    written = parse(WrittenCanaryPolicy, document, source=source, lines=lines)
    defect = next(_defects(written), None)
    if defect is not None:
        at = where(source, line_of(defect.path, lines))
        raise InvalidInput(f"{at}: {defect.message}", hint=defect.hint)
    return as_type(
        CanaryPolicy,
        written,
        digest=digest_of(document),
        rollout=digest_of(_without_times(document)),
        watched=tuple(_spelled_out(written, lines)),
        source=source,
        document=document,
    )


def _without_times(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a policy without when its steps began, which is written down as they do."""
    steps = document.get("steps")
    listed = steps if isinstance(steps, list) else []
    plain = [
        {key: value for key, value in step.items() if key != "from"}
        for step in listed
        if isinstance(step, Mapping)
    ]
    return {**document, "steps": plain}


def sliced_triggers(policy: CanaryPolicy) -> tuple[Trigger, ...]:
    """Return the triggers that slices are watched for: all but the advisory ones."""
    return tuple(trigger for trigger in policy.watched if trigger.mode != "advisory")


def require_begun(policy: CanaryPolicy) -> None:
    """Raise UsageError for a policy that says nowhere when its first step began."""
    if policy.model is None and policy.steps[0].from_ is None:
        raise UsageError(
            f"{policy.source}: no step has begun",
            hint='give the first step "from: 2026-01-31T12:00:00Z", or name a "model"',
        )


def _spelled_out(policy: WrittenCanaryPolicy, lines: Lines) -> Iterator[Trigger]:
    for i, trigger in enumerate(policy.triggers):
        line = lines.get(("triggers", i))
        floor = DEFAULT_FLOOR if trigger.floor is None else trigger.floor
        if trigger.rate is not None:
            yield Trigger(
                id=trigger.id,
                kind="rate",
                column=trigger.rate,
                mode=trigger.mode,
                floor=floor,
                per_unit=trigger.per == "session",
                line=line,
            )
        elif trigger.mean is not None:
            yield Trigger(
                id=trigger.id,
                kind="mean",
                column=trigger.mean,
                mode=trigger.mode,
                floor=floor,
                per=trigger.per or "turn",
                detectable=trigger.detectable,
                line=line,
            )
        for column in trigger.tail or ():
            for percentile in trigger.at or ("p95",):
                stage = "" if len(trigger.tail or ()) == 1 else f".{column}"
                yield Trigger(
                    id=f"{trigger.id}{stage}.{percentile}",
                    kind="tail",
                    column=column,
                    mode=trigger.mode,
                    floor=floor,
                    percentile=int(percentile[1:]) / 100,
                    line=line,
                )


def _defects(policy: WrittenCanaryPolicy) -> Iterator[CanaryDefect]:
    """Yield what makes a policy senseless, the first things first."""
    yield from _arms(policy)
    if not 0 < policy.alpha <= 0.5:  # noqa: PLR2004 - a coin is no evidence
        hint = "it is the chance that an equal canary is ever rolled back, such as 0.05"
        yield CanaryDefect(("alpha",), f'"alpha: {policy.alpha:g}" is no such chance', hint)
    if policy.max_missing >= 1:
        yield CanaryDefect(("max_missing",), '"max_missing" allows that every turn is lost')
    yield from _steps(policy)
    yield from _columns(policy)
    yield from _triggers(policy)
    yield from _limits(policy)


def _arms(policy: WrittenCanaryPolicy) -> Iterator[CanaryDefect]:
    sources = {"control": policy.control, "canary": policy.canary}
    for name, source in sources.items():
        if source is None:
            if policy.model is None:
                hint = f'{name}: {{release: "1.4.0"}}, or {name}: {{arm: {name}}}'
                yield CanaryDefect(
                    (), f'nothing says which turns are of the {name}: "{name}"', hint
                )
        elif (source.release is None) == (source.arm is None):
            yield CanaryDefect((name,), f'"{name}" has either a release or an arm')
        elif source.arm not in (None, name):
            yield CanaryDefect((name, "arm"), f"the {name} is the arm {name}, not {source.arm}")
    control, canary = policy.control or ArmSource(), policy.canary or ArmSource()
    if policy.control and policy.canary and (control.release is None) != (canary.release is None):
        hint = "name the release of both, or the arm of both"
        yield CanaryDefect(("canary",), "one arm is told by its release, the other by arm", hint)
    if control.release is not None and control.release == canary.release:
        yield CanaryDefect(("canary",), "both arms are the same release: nothing is compared")


def _steps(policy: WrittenCanaryPolicy) -> Iterator[CanaryDefect]:
    if not policy.steps:
        yield CanaryDefect(("steps",), "there is no step")
    for i, step in enumerate(policy.steps):
        path = ("steps", i)
        if not 0 < step.share < 1:
            hint = "a canary has more than no and less than all traffic"
            yield CanaryDefect((*path, "share"), f'"share: {step.share:g}" is no canary', hint)
        yield from _ratio(step.detectable, (*path, "detectable"))
        before = policy.steps[i - 1] if i else None
        if before is not None and step.share <= before.share:
            hint = "each step gives the canary more traffic than the one before"
            yield CanaryDefect((*path, "share"), "the share does not rise", hint)
        yield from _began(policy, step, before, (*path, "from"))


def _began(
    policy: WrittenCanaryPolicy, step: CanaryStep, before: CanaryStep | None, path: KeyPath
) -> Iterator[CanaryDefect]:
    if step.from_ is None:
        return
    if policy.model is not None:
        hint = 'leave out "from", or "model"'
        yield CanaryDefect(path, f"the ledger of {policy.model} says when a step began", hint)
    elif before is not None and (before.from_ is None or before.from_ >= step.from_):
        yield CanaryDefect(path, "the step began before the one that stands before it")


def _ratio(ratio: float | None, path: KeyPath) -> Iterator[CanaryDefect]:
    if ratio is not None and ratio not in THETAS:
        hint = f"what is bet on: {_RATIOS} (a ratio of odds: 2 is a doubled rate)"
        yield CanaryDefect(path, f'"detectable: {ratio:g}" is not among the ratios', hint)


def _columns(policy: WrittenCanaryPolicy) -> Iterator[CanaryDefect]:
    names = [watched.column for watched in policy.slices]
    for i, watched in enumerate(policy.slices):
        path = ("slices", i)
        if watched.column in names[:i]:
            yield CanaryDefect(path, f'"{shown(watched.column)}" stands twice')
        if COLUMNS.get(watched.column, "text") != "text" or watched.column in {"arm", "outcome"}:
            yield CanaryDefect(path, f'"{watched.column}" is no attribute to slice by')
        if is_of_persons(watched.column):
            yield CanaryDefect(path, f'"{shown(watched.column)}" {NAMES_PERSONS}', RENAME_IT)
        yield from _ratio(watched.detectable, (*path, "detectable"))
        yield from _waits(watched, path)


def _waits(watched: WatchedColumn, path: KeyPath) -> Iterator[CanaryDefect]:
    if watched.detectable is not None and watched.mode != "required":
        hint = 'add "mode: required", so that the last step waits for it'
        yield CanaryDefect((*path, "detectable"), '"detectable" says nothing here', hint)


def _triggers(policy: WrittenCanaryPolicy) -> Iterator[CanaryDefect]:
    if all(trigger.mode != "required" for trigger in policy.triggers):
        hint = "without one nothing has to be ruled out, and every step would advance"
        yield CanaryDefect(("triggers",), "no trigger is required", hint)
    names = [trigger.id for trigger in policy.triggers]
    for i, trigger in enumerate(policy.triggers):
        for defect in _trigger(trigger):
            named = f'trigger "{trigger.id}": {defect.message}'
            yield CanaryDefect(("triggers", i, *defect.path), named, defect.hint)
        if trigger.id in names[:i]:
            path = ("triggers", i, "id")
            yield CanaryDefect(path, f'the trigger id "{trigger.id}" stands twice')


def _trigger(trigger: WrittenTrigger) -> Iterator[CanaryDefect]:
    kinds = {"rate": trigger.rate, "tail": trigger.tail, "mean": trigger.mean}
    chosen = [kind for kind, value in kinds.items() if value is not None]
    if len(chosen) != 1:
        yield CanaryDefect((), "has one of rate, tail and mean")
        return
    kind = chosen[0]
    for key, owner in {"at": "tail", "floor": "rate", "detectable": "mean"}.items():
        if getattr(trigger, key) is not None and owner != kind:
            yield CanaryDefect((key,), f'"{key}" says nothing to a {kind}', f"it is for a {owner}")
    if kind == "tail":
        yield from _tail(trigger)
    elif kind == "mean":
        yield from _mean(trigger)
    elif trigger.per == "success":
        yield CanaryDefect(("per",), "a rate is per turn or per session")
    if trigger.floor is not None and not 0 < trigger.floor < 1:
        yield CanaryDefect(("floor",), '"floor" is a rate between 0 and 1')


def _tail(trigger: WrittenTrigger) -> Iterator[CanaryDefect]:
    if trigger.per is not None:
        yield CanaryDefect(("per",), '"per" says nothing to a tail')
    times, percentiles = trigger.tail or (), trigger.at or ("p95",)
    for column in times:
        if column not in TIMES:
            yield CanaryDefect(("tail",), f'no time "{shown(column)}"', nearest(column, TIMES))
    if not times or len(set(times)) != len(times):
        yield CanaryDefect(("tail",), "names each time once, and one at least")
    if trigger.at == () or len(set(percentiles)) != len(percentiles):
        yield CanaryDefect(("at",), "names each percentile once, and one at least")
    if {"p0", "p00"} & set(percentiles):
        yield CanaryDefect(("at",), "every turn is slower than p0")


def _mean(trigger: WrittenTrigger) -> Iterator[CanaryDefect]:
    if trigger.mean not in QUANTITIES:
        hint = nearest(trigger.mean or "", QUANTITIES)
        yield CanaryDefect(("mean",), f'no quantity "{shown(trigger.mean or "")}"', hint)
    if trigger.detectable not in DELTAS:
        hint = 'relative changes that are bet on: "detectable: 5%", 10%, 20%, 50% or 100%'
        yield CanaryDefect(("detectable",), "a mean needs the change that matters", hint)


def _limits(policy: WrittenCanaryPolicy) -> Iterator[CanaryDefect]:
    names = [trigger.id for trigger in policy.triggers]
    for i, limit in enumerate(policy.limits):
        for defect in _limit(limit):
            named = f'limit "{limit.id}": {defect.message}'
            yield CanaryDefect(("limits", i, *defect.path), named, defect.hint)
        if limit.id in [*names, *(other.id for other in policy.limits[:i])]:
            yield CanaryDefect(("limits", i, "id"), f'the id "{limit.id}" stands twice')


def _limit(limit: CanaryLimit) -> Iterator[CanaryDefect]:
    if (limit.rate is None) == (limit.budget is None):
        yield CanaryDefect((), "has either a rate or a budget")
    elif limit.rate is not None:
        if limit.max is None:
            yield CanaryDefect((), 'lacks "max"', "for example max: 20%")
        elif not 0 <= limit.max < 1:
            yield CanaryDefect(("max",), f'"max: {limit.max:g}" can never fire', "it is a rate")
        if limit.at is not None:
            yield CanaryDefect(("at",), '"at" says nothing to a rate')
    elif limit.budget not in BUDGETS:
        hint = nearest(limit.budget or "", tuple(BUDGETS))
        yield CanaryDefect(("budget",), f'no budget "{shown(limit.budget or "")}"', hint)
    elif limit.max is not None:
        yield CanaryDefect(("max",), "a budget has limits of its own")
