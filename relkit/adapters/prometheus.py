"""A Prometheus server, asked over its HTTP API: aligned samples, and events of an objective.

API: https://prometheus.io/docs/prometheus/latest/querying/api/ (``query_range``).
"""

import json
import math
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import numpy as np

from relkit.core.codec import nearest
from relkit.core.errors import BackendUnavailable, InvalidInput, UsageError
from relkit.core.slices import SliceSpec
from relkit.core.values import time_text
from relkit.core.wording import counted, duration, without_secrets
from relkit.core.yaml_text import shown
from relkit.datasets.types import NO_VALUE
from relkit.monitoring.counters import increases, stretches_without
from relkit.monitoring.slo.judge import history_s, last_minute, longest_window_s, utc_of
from relkit.monitoring.slo.selectors import EventQueries, event_queries
from relkit.monitoring.slo.types import (
    EventCounts,
    SloPolicy,
    SloProblem,
    SloProblemCode,
)
from relkit.monitoring.types import Increases, RangeSamples, Series

TOKEN_VARIABLE = "RELKIT_PROMETHEUS_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable whose value is sent as a bearer token."""

MOST_POINTS = 10_000
"""Times in one range query; a server gives 11,000 at the most."""

MOST_BYTES = 256 << 20
"""The longest response that is read."""

TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
FINE_S = 60
COARSE_S = 600
"""Seconds between samples in the windows of alerts, and in the rest of a period."""

_NOT_LET_IN = {401, 403}
_INFO = "PromQL info"


class PrometheusServer:
    """A server at one address; no proxies, redirects or cookies.

    A user name and a password may stand in the address, a token in ``RELKIT_PROMETHEUS_TOKEN``;
    none of them is ever printed.
    """

    def __init__(
        self, url: str, environment: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Take the address; raises UsageError where it is none, and nothing is sent yet."""
        address = urlsplit(url)
        with suppress(ValueError):
            if address.scheme in {"http", "https"} and address.hostname and address.port != 0:
                self.name = without_secrets(url).rstrip("/")
                self._login = (
                    (address.username, address.password or "") if address.username else None
                )
                port = "" if address.port is None else f":{address.port}"
                host = f"[{address.hostname}]" if ":" in address.hostname else address.hostname
                self._base = f"{address.scheme}://{host}{port}{address.path.rstrip('/')}"
                self._token = environment.get(TOKEN_VARIABLE, "").strip()
                self._timeout_s = timeout_s
                return
        raise UsageError(
            "--prometheus: no address", hint="for example --prometheus http://localhost:9090"
        )

    def samples(self, query: str, *, start: int, end: int, step: int) -> RangeSamples:
        """Return the samples of a query on the times start, start + step … up to end.

        Times are seconds since 1970. Values that are no finite number are NaN and counted. Long
        ranges are asked for in pieces. Raises BackendUnavailable for a server that is down, slow
        or answers in part, InvalidInput for a query that it refuses or that gives no numbers.
        """
        times = np.arange(start, end + 1, step, dtype=np.int64)
        columns: dict[tuple[tuple[str, str], ...], np.ndarray[Any, Any]] = {}
        warnings: dict[str, None] = {}
        refused = 0
        for low in range(0, len(times), MOST_POINTS):
            part = times[low : low + MOST_POINTS]
            document = self._ask(query, int(part[0]), int(part[-1]), step)
            warnings.update(dict.fromkeys(_warnings(document)))
            for labels, pairs in _matrix(document, query, self.name):
                values = columns.setdefault(
                    tuple(sorted(labels.items())), np.full(len(times), math.nan)
                )
                for at, text in pairs:
                    value = float(text)
                    place = round((float(at) - start) / step)
                    if not 0 <= place < len(times):
                        raise self._strange("with times that were not asked for")
                    if math.isfinite(value):
                        values[place] = value
                    else:
                        refused += 1
        series = tuple(
            Series(labels=dict(labels), values=values) for labels, values in columns.items()
        )
        return RangeSamples(
            query=query,
            step=step,
            times=times,
            series=series,
            warnings=tuple(warnings),
            refused=refused,
        )

    def _ask(self, query: str, start: int, end: int, step: int) -> Mapping[str, Any]:
        form = {
            "query": query,
            "start": str(start),
            "end": str(end),
            "step": str(step),
            "timeout": f"{max(1, int(self._timeout_s))}s",
        }
        status, body = self._post("/api/v1/query_range", form)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, Mapping) or "status" not in document:
            raise self._strange(
                f"with status {status} and nothing that Prometheus would say"
                if status != httpx.codes.OK
                else "with something that is cut off, or no answer of Prometheus"
            )
        if document["status"] != "success" or status != httpx.codes.OK:
            message = shown(without_secrets(str(document.get("error", ""))), 200)
            if document.get("errorType") == "bad_data":
                raise InvalidInput(
                    f"Prometheus refuses the query {shown(query, 120)}: {message}",
                    hint="mend the query in the policy",
                )
            raise BackendUnavailable(
                f"Prometheus at {self.name} could not answer: {message or f'status {status}'}",
                hint="ask for less, or look at the server",
            )
        return document

    def _post(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body; raises BackendUnavailable for a server that does not answer."""
        headers = {"User-Agent": "relkit", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        limits = httpx.Timeout(self._timeout_s, connect=min(CONNECT_TIMEOUT_S, self._timeout_s))
        deadline = time.monotonic() + self._timeout_s
        blocks, size = [], 0
        try:
            with (
                httpx.Client(
                    trust_env=False,
                    timeout=limits,
                    auth=self._login,
                    verify=ssl.create_default_context(),
                ) as client,
                client.stream("POST", self._base + path, data=form, headers=headers) as response,
            ):
                status = response.status_code
                if status in _NOT_LET_IN:
                    raise BackendUnavailable(
                        f"Prometheus at {self.name} does not let us in (status {status})",
                        hint=f"put the token into {TOKEN_VARIABLE}",
                    )
                if response.is_redirect:
                    raise self._strange("with a redirect: give the address it leads to")
                for block in response.iter_bytes():
                    size += len(block)
                    blocks.append(block)
                    if size > MOST_BYTES:
                        raise self._strange("with more than 256 MiB: select fewer series")
                    _hurry(deadline)
        except (TimeoutError, httpx.TimeoutException):
            raise BackendUnavailable(
                f"Prometheus at {self.name} gave no answer in {self._timeout_s:g} s",
                hint="is the address right, and is the server not overloaded?",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, UnicodeError) as error:
            raise BackendUnavailable(
                f"Prometheus at {self.name} did not answer: {type(error).__name__}",
                hint="is the server up, and is the address right?",
            ) from None
        return status, b"".join(blocks)

    def _strange(self, how: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"Prometheus at {self.name} answered {how}",
            hint="check the address: it is that of the server's own page",
        )


def _hurry(deadline: float) -> None:
    """Raise TimeoutError where a deadline has passed."""
    if time.monotonic() > deadline:
        raise TimeoutError


def _warnings(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the server warns of, without remarks on the query's style."""
    warnings = document.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        if not str(warning).startswith(_INFO):
            yield shown(without_secrets(str(warning)), 200)


def _matrix(
    document: Mapping[str, Any], query: str, name: str
) -> Iterator[tuple[dict[str, str], list[tuple[float, str]]]]:
    """Yield (labels, [time, value]) of each series of an answer."""
    data = document.get("data")
    result = data.get("result") if isinstance(data, Mapping) else None
    if not isinstance(result, list) or not isinstance(data, Mapping):
        raise BackendUnavailable(f"Prometheus at {name} answered without a result")
    if data.get("resultType") != "matrix":
        raise InvalidInput(
            f"the query {shown(query, 120)} gives no series", hint="ask for a counter or gauge"
        )
    for part in result:
        try:
            labels = {str(key): str(value) for key, value in part["metric"].items()}
            if "histograms" in part and "values" not in part:
                raise InvalidInput(
                    f"{shown(query, 120)} is a native histogram",
                    hint="in a policy: {histogram: …, below: …, native: true}",
                )
            pairs = [(float(at), str(float(value))) for at, value in part["values"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BackendUnavailable(
                f"Prometheus at {name} answered with a series that cannot be read"
            ) from None
        yield labels, pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """A counter's increases over the coarse and then the fine part of a period."""

    query: str
    at: np.ndarray[Any, np.dtype[np.int64]]
    total: np.ndarray[Any, np.dtype[np.float64]]
    parts: tuple[Increases, ...]
    by_labels: tuple[tuple[Mapping[str, str], np.ndarray[Any, np.dtype[np.float64]]], ...]
    sampled: np.ndarray[Any, np.dtype[np.int64]]
    resets: int
    adopted: int
    warnings: tuple[str, ...]
    refused: int

    @property
    def empty(self) -> bool:
        """Whether the server has no such series."""
        return not self.by_labels


class PrometheusLevels:
    """Implements ServiceLevels with the counters and histograms of a Prometheus server."""

    source: Literal["prometheus"] = "prometheus"

    def __init__(self, server: PrometheusServer) -> None:
        """Ask a server; nothing is sent yet."""
        self._server = server

    def counts(self, policy: SloPolicy, at: str) -> EventCounts:
        """Return the events of an objective; raises InvalidInput, UsageError, BackendUnavailable.

        Windows of alerts are counted by the minute, the rest of the period by ten minutes.
        """
        events = policy.good.prometheus
        if events is None:
            raise UsageError(
                f'"{policy.name}" says nothing about Prometheus',
                hint="add prometheus: {bad: …, total: …} to its good:, or use --telemetry",
            )
        end = last_minute(at)
        queries = event_queries(events)
        total = self._counted(queries.total, policy, end)
        side = self._counted(queries.side, policy, end, total.parts)
        partial = self._partial(queries, total, side)
        if total.empty or side.empty:
            nothing = np.empty(0)
            return EventCounts(
                at=np.empty(0, dtype=np.int64),
                bad=nothing,
                total=nothing,
                gaps=((end - history_s(policy), end),),
                problems=tuple(_problems(policy, end, (total, side), ())),
                partial=partial,
            )
        sides = 1.0 if queries.bad else -1.0
        bad = side.total if queries.bad else total.total - side.total
        gaps = self._gaps(queries, policy, end, total)
        return EventCounts(
            at=total.at,
            bad=bad,
            total=total.total,
            gaps=gaps,
            by_slice=_by_slice(policy, end, total, side, sides),
            problems=(
                *_problems(policy, end, (total, side), gaps),
                *_unlabelled(policy, total),
            ),
            partial=partial,
        )

    def _counted(
        self, query: str, policy: SloPolicy, end: int, beside: tuple[Increases, ...] = ()
    ) -> _Counted:
        fine_s = int(longest_window_s(policy))
        first = end - math.ceil((history_s(policy) - fine_s) / COARSE_S) * COARSE_S - fine_s
        ranges = [(end - fine_s, end, FINE_S)]
        if first < end - fine_s:
            ranges.insert(0, (first, end - fine_s, COARSE_S))
        parts: list[tuple[RangeSamples, Increases]] = []
        for i, (start, stop, step) in enumerate(ranges):
            samples = self._server.samples(query, start=start, end=stop, step=step)
            parts.append((samples, increases(samples, beside[i] if beside else None)))
        at = np.concatenate([samples.times[1:] for samples, _ in parts])
        rows: dict[tuple[tuple[str, str], ...], np.ndarray[Any, np.dtype[np.float64]]] = {}
        place = 0
        for samples, grown in parts:
            width = len(samples.times) - 1
            for series, line in zip(samples.series, grown.by_series, strict=True):
                key = tuple(sorted(series.labels.items()))
                rows.setdefault(key, np.zeros(len(at)))[place : place + width] = line[1:]
            place += width
        sampled = [samples.times[grown.present] for samples, grown in parts]
        return _Counted(
            query=query,
            at=at,
            total=np.concatenate([grown.total[1:] for _, grown in parts]),
            parts=tuple(grown for _, grown in parts),
            by_labels=tuple((dict(key), line) for key, line in rows.items()),
            sampled=np.unique(np.concatenate(sampled)),
            resets=sum(grown.resets for _, grown in parts),
            adopted=sum(grown.adopted for _, grown in parts),
            warnings=tuple(
                dict.fromkeys(text for samples, _ in parts for text in samples.warnings)
            ),
            refused=sum(samples.refused for samples, _ in parts),
        )

    def _gaps(
        self, queries: EventQueries, policy: SloPolicy, end: int, total: _Counted
    ) -> tuple[tuple[float, float], ...]:
        """Return the stretches without a fresh sample.

        A server answers with a sample of up to five minutes ago: the time of the newest one says
        whether it was scraped since.
        """
        start = end - history_s(policy)
        if policy.since is not None:
            start = max(start, last_minute(policy.since))
        fine_from = max(start, end - longest_window_s(policy))
        older = total.sampled[total.sampled <= fine_from]
        gaps = list(stretches_without(older, start, fine_from, 2 * COARSE_S))
        for selector in queries.scraped:
            samples = self._server.samples(
                f"max(timestamp({selector.text}))", start=int(fine_from), end=end, step=FINE_S
            )
            scraped = np.unique(
                np.concatenate([series.values for series in samples.series] or [np.empty(0)])
            )
            scraped = scraped[np.isfinite(scraped)]
            usual = float(np.median(np.diff(scraped))) if len(scraped) > 1 else 0.0
            gaps += stretches_without(scraped, fine_from, end, max(2.0 * FINE_S, 3 * usual))
        return _union(gaps)

    def _partial(self, queries: EventQueries, total: _Counted, side: _Counted) -> str | None:
        """Return why the counts may be a part of what happened, None where they are not."""
        warning = next((text for part in (total, side) for text in part.warnings), None)
        if warning is not None:
            return f"the server warns: {warning}"
        for part in (total, side):
            if part.refused:
                return f"{counted(part.refused, 'value')} of {shown(part.query)} are no numbers"
        if total.empty:
            return f"the server has no series {shown(total.query)}"
        if side.empty:
            buckets = self._buckets(queries)
            if buckets:
                return f"the histogram has no bucket of its bound; {buckets}"
            return (
                f"the server has no series {shown(side.query)}: never one, or is it misspelt?"
                " let the service expose it from 0"
            )
        return None

    def _buckets(self, queries: EventQueries) -> str | None:
        """Return the buckets that a classic histogram has."""
        if queries.buckets is None:
            return None
        now = int(time.time()) // FINE_S * FINE_S
        present = self._server.samples(
            f"group by (le) ({queries.buckets.text})", start=now, end=now, step=FINE_S
        )
        names = [series.labels.get("le", "") for series in present.series]
        return nearest("", sorted(names, key=_bound)[:20])


def _bound(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    return math.inf


def _by_slice(
    policy: SloPolicy, end: int, total: _Counted, side: _Counted, sides: float
) -> dict[str, tuple[float, float]]:
    """Return (bad, total) of each label value over the period."""
    inside = total.at > end - policy.window_s
    spent: dict[str, tuple[float, float]] = {}
    for name in dict.fromkeys((*policy.slices, policy.release)):
        if not any(name in labels for labels, _ in (*total.by_labels, *side.by_labels)):
            continue
        spec = SliceSpec.parse(name)
        for part, weight, is_total in ((total, 1.0, True), (side, sides, False)):
            for labels, line in part.by_labels:
                key = spec.key([labels.get(name, NO_VALUE)])
                bad, events = spent.get(key, (0.0, 0.0))
                grown = float(line[inside].sum())
                if is_total:
                    events += grown
                    bad += grown if sides < 0 else 0.0
                else:
                    bad += weight * grown
                spent[key] = (bad, events)
    return {key: pair for key, pair in spent.items() if any(pair)}


def _union(stretches: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return disjoint stretches that cover the same time."""
    joined: list[tuple[float, float]] = []
    for low, high in sorted(stretches):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def _problems(
    policy: SloPolicy,
    end: int,
    parts: tuple[_Counted, _Counted],
    gaps: tuple[tuple[float, float], ...],
) -> Iterator[SloProblem]:
    codes: dict[SloProblemCode, list[str]] = {
        "counter_reset": [
            f"{counted(part.resets, 'restart')} of {shown(part.query)}"
            for part in parts
            if part.resets
        ],
        "began": [
            f"{counted(part.adopted, 'series')} of {shown(part.query)} appeared with a count of"
            " their own, which is left out"
            for part in parts
            if part.adopted
        ],
        "not_a_number": [
            f"{counted(part.refused, 'value')} of {shown(part.query)} are no numbers"
            for part in parts
            if part.refused
        ],
        "partial": [f"the server warns: {text}" for part in parts for text in part.warnings],
    }
    for code, messages in codes.items():
        for message in dict.fromkeys(messages):
            yield SloProblem(code=code, message=message)
    start = end - longest_window_s(policy)
    inside = [(max(low, start), high) for low, high in gaps if high > start]
    if inside:
        low, high = max(inside, key=lambda gap: gap[1] - gap[0])
        message = (
            f"{counted(len(inside), 'gap')} without a sample in the last {duration(end - start)},"
            f" the longest {duration(high - low)} from {time_text(utc_of(low))}"
        )
        yield SloProblem(code="gap", message=message)


def _unlabelled(policy: SloPolicy, total: _Counted) -> Iterator[SloProblem]:
    for name in policy.slices:
        if total.by_labels and not any(name in labels for labels, _ in total.by_labels):
            labels = sorted({key for labels, _ in total.by_labels for key in labels})
            message = f'no series has the label "{shown(name)}" to slice by'
            yield SloProblem(
                code="left_out", message=f"{message}; {nearest(name, labels) or 'there is none'}"
            )
