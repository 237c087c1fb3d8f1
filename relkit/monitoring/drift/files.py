"""Drift policies (YAML) and reference profiles (JSON): text to types and back."""

import json
from collections.abc import Mapping
from dataclasses import replace

from relkit.core import yaml_text
from relkit.core.codec import encode, parse, parse_json, parse_yaml
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput, Malformed
from relkit.core.yaml_text import shown, where
from relkit.monitoring.drift.types import SLOTS, ColumnProfile, DriftPolicy, DriftProfile
from relkit.monitoring.drift.windows import SLOT_S
from relkit.telemetry.columns import is_of_persons

DRIFT = "relkit.drift/v1"
"""The schema of a drift policy."""


def parse_drift_policy(text: str, *, source: str) -> DriftPolicy:
    """Return a policy from YAML; raises InvalidInput with file, line and what to do."""
    document, lines = yaml_text.load(text, source=source)
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if isinstance(schema, str) and schema != DRIFT:
        raise InvalidInput(
            f'{where(source, lines.get(("schema",)))}: is a "{shown(schema)}"',
            hint=f"a drift policy begins with: schema: {DRIFT}",
        )
    policy = parse_yaml(text, DriftPolicy, source=source)

    def refuse(key: str, problem: str, hint: str) -> InvalidInput:
        return InvalidInput(f"{where(source, lines.get((key,)))}: {problem}", hint=hint)

    rule = policy.sustained
    in_a_row = rule.windows is not None and rule.k is None and rule.of is None
    of_several = rule.windows is None and rule.k is not None and rule.of is not None
    if not in_a_row and not of_several:
        raise refuse("sustained", "sustained: says neither", "write {windows: 3} or {k: 3, of: 5}")
    if rule.k is not None and rule.of is not None and rule.k > rule.of:
        raise refuse("sustained", f"sustained: {rule.k} of {rule.of} windows", "k is at most of")
    if len(set(policy.columns)) != len(policy.columns):
        raise refuse("columns", "columns: one stands twice", "name each column once")
    if policy.labels is not None and policy.labels.column in policy.columns:
        raise refuse(
            "labels",
            f'labels: "{shown(policy.labels.column)}" is one of the columns, too',
            "leave it out of columns: labels are judged by themselves",
        )
    if persons := [name for name in policy.judged if is_of_persons(name)]:
        raise refuse(
            "columns",
            f'columns: "{shown(persons[0])}" names persons, whom no profile may hold',
            "cluster by it instead",
        )
    if policy.cluster in policy.judged:
        raise refuse(
            "cluster",
            f'cluster: "{shown(policy.cluster or "")}" is judged, too',
            "a column of persons is no column to watch",
        )
    check_window(policy, where(source, lines.get(("window",))))
    return replace(policy, digest=digest_of(document))


def check_window(policy: DriftPolicy, at: str) -> None:
    """Raise InvalidInput for a window that fits neither whole seconds nor the hours of a season."""
    hint = "such as 10m, 1h or 24h"
    if policy.window_s < 1:
        raise InvalidInput(f"{at}: a window is at least a second long", hint=hint)
    if policy.season != "none" and SLOT_S % policy.window_s:
        raise InvalidInput(
            f"{at}: windows of {policy.window} do not divide an hour, and the season is"
            f" {policy.season}",
            hint="use 1h, 30m, 15m …, or season: none",
        )


def render_profile(profile: DriftProfile) -> str:
    """Return a profile as JSON with a column a line: two of them can be compared by eye."""
    document = encode(profile)
    columns = document.pop("columns")
    head = json.dumps(document, ensure_ascii=False, allow_nan=False)[:-1]
    body = ",\n".join(json.dumps(column, ensure_ascii=False, allow_nan=False) for column in columns)
    return f'{head}, "columns": [\n{body}\n]}}\n'


def parse_profile(text: str, *, source: str) -> DriftProfile:
    """Return a profile; raises InvalidInput, also for counts that contradict each other."""
    document = parse_json(text, source=source)
    profile = parse(DriftProfile, document, source=source)
    for column in profile.columns:
        problem = _contradiction(column, SLOTS[profile.season], profile.turns)
        if problem:
            raise Malformed(
                f'column "{shown(column.column)}": {problem}',
                source=source,
                hint="make it anew: relkit drift profile PATH --to FILE",
            )
    if all(column.labelled for column in profile.columns):
        raise Malformed("has no column but labels", source=source, hint="make it anew")
    if len({column.column for column in profile.columns}) != len(profile.columns):
        raise Malformed("a column stands twice", source=source, hint="keep one of them")
    return replace(profile, source=source, digest=digest_of(document))


def _contradiction(column: ColumnProfile, slots: int, turns: int) -> str | None:
    """Return how a column's counts contradict each other, None where they do not."""
    if len(column.totals) != slots or any(
        len(b.turns) != slots or len(b.clusters) != slots for b in column.bins
    ):
        return f"the season has {slots} slots"
    if column.kind == "number" and (
        len(column.bins) != len(column.edges) + 2
        or list(column.edges) != sorted(set(column.edges))
        or not column.edges
    ):
        return "its edges do not fit its bins"
    total = sum(slot.turns for slot in column.totals)
    problems = (
        (
            any(
                sum(b.turns[slot] for b in column.bins) != totals.turns
                for slot, totals in enumerate(column.totals)
            ),
            "the turns of its bins do not add up",
        ),
        (
            any(
                clusters > min(turns, totals.clusters)
                for b in column.bins
                for turns, clusters, totals in zip(b.turns, b.clusters, column.totals, strict=True)
            ),
            "a bin has more clusters than turns",
        ),
        (
            any(abs(b.share * total - sum(b.turns)) > 1e-6 * max(total, 1) for b in column.bins),
            "its shares are not those of its turns",
        ),
        (
            total > turns or (total < turns and not column.labelled),
            "it has other turns than the profile",
        ),
    )
    return next((words for is_wrong, words in problems if is_wrong), None)
