"""``relkit.slo/v1`` in YAML, and OpenSLO v1 files of kind ``SLO`` as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from relkit.core import yaml_text
from relkit.core.codec import encode, line_of, nearest, parse
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.values import duration_s
from relkit.core.yaml_text import KeyPath, shown, where
from relkit.monitoring.slo.burn import alerts_of
from relkit.monitoring.slo.openslo_files import OPENSLO, policy_of_openslo
from relkit.monitoring.slo.selectors import WRITE_A_COUNTER, selector_of
from relkit.monitoring.slo.types import GoodEvents, PrometheusEvents, SloPolicy
from relkit.telemetry.columns import NAMES_PERSONS, RENAME_IT, is_of_persons
from relkit.telemetry.types import COLUMNS

SLO_SCHEMA = "relkit.slo/v1"

GOOD_IS: Mapping[str, bool] = {
    "failed": False,
    "interrupted": False,
    "abandoned": False,
    "success": True,
}
"""Rates of every telemetry, and what they are in a good turn."""

DURATIONS = tuple(name for name, kind in COLUMNS.items() if kind == "ms")
"""Columns that a ``tail`` may name."""


class _Defect(NamedTuple):
    path: KeyPath
    message: str
    hint: str


def parse_slo(text: str, *, source: str) -> SloPolicy:
    """Return an objective from YAML; raises InvalidInput with file, line and what to do.

    ``apiVersion: openslo/v1`` is read as OpenSLO, ``schema: relkit.slo/v1`` as relkit's own.
    """
    document, lines = yaml_text.load(text, source=source)
    if not isinstance(document, Mapping):
        raise InvalidInput(
            f"{source}: a mapping of keys to values was expected",
            hint=f'begin with "schema: {SLO_SCHEMA}" or "apiVersion: {OPENSLO}"',
        )
    is_openslo = "apiVersion" in document
    if not is_openslo and document.get("schema") != SLO_SCHEMA:
        at = where(source, lines.get(("schema",), 1))
        schema = document.get("schema")
        problem = (
            'the key "schema" is missing'
            if schema is None
            else f'unknown schema "{shown(str(schema))}"'
        )
        raise InvalidInput(f"{at}: {problem}", hint=f'write "schema: {SLO_SCHEMA}"')
    if is_openslo:
        policy = policy_of_openslo(document, source=source, lines=lines)
    else:
        policy = parse(SloPolicy, document, source=source, lines=lines)
    defect = next(_defects(policy), None)
    if defect is not None:
        line = None if is_openslo else line_of(defect.path, lines)
        raise InvalidInput(f"{where(source, line)}: {defect.message}", hint=defect.hint)
    if policy.good.rate is not None and policy.good.is_ is None:
        policy = replace(policy, good=replace(policy.good, is_=GOOD_IS[policy.good.rate]))
    return replace(policy, digest=digest_of(encode(policy)))


def _defects(policy: SloPolicy) -> Iterator[_Defect]:
    """Yield what makes an objective senseless."""
    yield from _events(policy.good)
    if persons := next(filter(is_of_persons, policy.slices), None):
        yield _Defect(("slices",), f'"{shown(persons)}" {NAMES_PERSONS}', RENAME_IT)
    if policy.good.prometheus is not None:
        yield from _prometheus(policy.good.prometheus)
    try:
        alerts_of(policy.window_s, policy.alerts)
    except ValueError as error:
        what, hint = error.args
        yield _Defect(("window",), f'"window: {policy.window}" {what}', hint)
    for i, alert in enumerate(policy.alerts):
        if duration_s(alert.short) >= duration_s(alert.long):
            message = f'"short: {alert.short}" is no shorter than "long: {alert.long}"'
            yield _Defect(("alerts", i), message, "the short window ends an alert soon")
        if duration_s(alert.long) > policy.window_s:
            message = f'"long: {alert.long}" is longer than "window: {policy.window}"'
            yield _Defect(("alerts", i), message, "take a window inside the period")
        if duration_s(alert.short) % 60:
            message = f'"short: {alert.short}" is no whole number of minutes'
            yield _Defect(("alerts", i), message, "events are counted by the minute")


def _events(good: GoodEvents) -> Iterator[_Defect]:
    here: KeyPath = ("good",)
    if good.rate is None and good.tail is None and good.prometheus is None:
        message = '"good" does not say what a good event is'
        yield _Defect(here, message, "give it rate:, tail: or prometheus:")
    if good.rate is not None and good.tail is not None:
        yield _Defect(here, '"good" has a rate and a tail', "write an objective for each")
    if good.rate is None and good.is_ is not None:
        yield _Defect((*here, "is"), '"is" says nothing without a rate', "name the rate:")
    if good.rate is not None and good.is_ is None and good.rate not in GOOD_IS:
        message = f'"{shown(good.rate)}" may be good or bad'
        yield _Defect((*here, "rate"), message, 'add "is: true" or "is: false"')
    if good.tail is not None and good.tail not in DURATIONS:
        message = f'"{shown(good.tail)}" is no duration of a turn'
        yield _Defect((*here, "tail"), message, nearest(good.tail, DURATIONS) or "")
    if (good.tail is None) != (good.below is None):
        lacks = "below" if good.below is None else "tail"
        yield _Defect(here, f'"{lacks}" is missing', "for example {tail: latency_ms, below: 1100}")


def _prometheus(events: PrometheusEvents) -> Iterator[_Defect]:
    here: KeyPath = ("good", "prometheus")
    counters = [events.bad, events.good, events.total]
    if events.histogram is None:
        if events.total is None or (events.bad is None) == (events.good is None):
            message = '"prometheus" needs "total" and one of "bad" and "good"'
            yield _Defect(here, message, "or histogram: and below:")
        if events.below is not None or events.native:
            yield _Defect(here, '"below" and "native" belong to a histogram', "name histogram:")
    elif events.below is None or any(counter is not None for counter in counters):
        message = '"histogram" needs "below", and neither "bad", "good" nor "total"'
        yield _Defect(here, message, "for example {histogram: turn_seconds, below: 1.1}")
    for key in ("bad", "good", "total", "histogram"):
        query = getattr(events, key)
        if query is None:
            continue
        try:
            selector = selector_of(query)
        except ValueError as error:
            what, hint = error.args
            yield _Defect((*here, key), f'"{key}" {what}', hint)
            continue
        if key == "histogram" and selector.metric.endswith(("_bucket", "_count", "_sum")):
            base = selector.metric.rpartition("_")[0]
            yield _Defect((*here, key), f'"{selector.metric}" is a part of it', f"write {base}")
        if key == "histogram" and any(matcher.label == "le" for matcher in selector.matchers):
            yield _Defect((*here, key), "the buckets are found by below:", WRITE_A_COUNTER)
