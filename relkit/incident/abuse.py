"""``relkit safety abuse``: whether a class of tenants does far more than at these hours before.

Each class is held against itself: how many turns it has, what they cost, and how many are refused,
by hour of day and weekend, as the days before had them. The scan of triage finds the window in
which most is too much; what varies from day to day anyway is in the dispersion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, NoData
from relkit.core.values import Named, after, duration_s, moment
from relkit.core.wording import counted, duration, times
from relkit.core.yaml_text import shown
from relkit.disclosure.names import SharedNames
from relkit.incident.blame import LEAST_SCORE
from relkit.incident.expected import fit_rate, part_of
from relkit.incident.ports import IncidentTurns
from relkit.incident.scan import COLUMN_COST, Scanned, refined, scan
from relkit.incident.triage import SearchSpan, search_span
from relkit.incident.types import (
    BIN_S,
    AbuseMeasure,
    AbusePolicy,
    AbuseReport,
    AbuseSpike,
    AbuseVerdict,
    IncidentCounts,
    NotJudged,
    Signal,
    TriagePolicy,
    TriageRead,
)
from relkit.telemetry.types import TelemetryOptions

CLASS, TENANT, REFUSED, SPENT = "tenant_class", "tenant", "refused", "spent"
"""The columns that tell classes and refusals, and what the sum of the cost is called."""

_EPOCH = "1970-01-01T00:00:00Z"
_NOBODY = "(none)"
_HOUR = 3600 // BIN_S
_BLOCKS = tuple(hours * _HOUR for hours in (1, 2, 4, 8, 24))
_EXPOSURE = 50
_COST_UNITS = 10.0
_FEWEST_TURNS = 30
_LATE_WINDOWS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AbuseOptions:
    """What was asked for: telemetry up to its ``now``, in which span, by which policy."""

    telemetry: TelemetryOptions
    policy: AbusePolicy
    digest: str
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AbusePorts:
    """What a look for abuse needs: turns, what classes are called, and a clock for its own time."""

    turns: Callable[[TelemetryOptions], AbstractContextManager[IncidentTurns]]
    names: SharedNames
    seconds: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    """What one class did by bin (B,): turns, and what else is measured; its reference is first.

    ``served`` says in which bins anybody had a turn: where nobody had one, telemetry is missing.
    """

    name: str
    amounts: Mapping[AbuseMeasure, IntArray] = field(repr=False)
    served: IntArray = field(repr=False)


def abuse(options: AbuseOptions, ports: AbusePorts) -> AbuseReport:
    """Return which classes of tenants had a spike, of what, and since when.

    Raises UsageError for a span that cannot be, InvalidInput for a policy that names what is not
    there, NoData where there is nothing to compare with or no class at all.
    """
    began, policy = ports.seconds(), options.policy
    with ports.turns(options.telemetry) as turns:
        windows = TriagePolicy(
            window=policy.window, recent=policy.recent, reference=policy.reference
        )
        span = search_span(
            turns, windows, since=options.since, until=options.until, now=options.telemetry.now
        )
        column = _class_column(turns, policy)
        signals = _signals(turns, policy)
        counts = turns.counts(
            signals, (column,), {}, start=span.start, reference=span.reference, end=span.end
        )
        summary = turns.summary()
    measures = _measures(policy, counts, signals)
    spikes: list[AbuseSpike] = []
    not_judged = [
        NotJudged(tenant_class=None, measure=measure, reason="the telemetry does not measure it")
        for measure in policy.measures or ()
        if measure not in measures
    ]
    classes = list(_classes(counts, column, policy, measures, ports.names, span))
    for item in classes:
        if (why_not := _why_not(item, span)) is not None:
            not_judged.append(why_not)
            continue
        worst = (_spike(item, measure, span, policy) for measure in measures)
        spikes += [spike for spike in worst if spike is not None]
    if (stale := _stale(options, span)) is not None:
        not_judged.append(stale)
    if summary.unreadable is not None:
        lost = f"a part of the telemetry could not be read ({shown(summary.unreadable, 120)})"
        not_judged.append(NotJudged(tenant_class=None, measure="turns", reason=lost))
    spikes.sort(key=lambda item: (-item.score, item.tenant_class, item.measure))
    verdict: AbuseVerdict = "spike" if spikes else "no_data" if not_judged else "nothing"
    return AbuseReport(
        policy=Named(name=policy.name, digest=options.digest),
        enforcement=policy.enforcement,
        verdict=verdict,
        reason=_reason(spikes, not_judged, len(classes), measures),
        searched_from=after(_EPOCH, span.reference),
        searched_to=after(_EPOCH, span.end),
        classes=len(classes),
        measures=measures,
        spikes=tuple(spikes),
        not_judged=tuple(not_judged),
        read=TriageRead(
            turns=int(counts.turns.sum()),
            seconds=round(ports.seconds() - began, 3),
            late=summary.dropped.late,
            future=summary.dropped.future,
            duplicates=summary.dropped.duplicate,
        ),
    )


def _class_column(turns: IncidentTurns, policy: AbusePolicy) -> str:
    """Return the column that tells classes: their own, or the tenants that the policy sorts."""
    column = TENANT if policy.classes else CLASS
    if column in turns.attributes:
        return column
    hint = (
        "name the column: --map tenant=COLUMN"
        if policy.classes
        else ("name the column (--map tenant_class=COLUMN), or sort tenants in a policy: classes:")
    )
    raise NoData(f'the telemetry has no column "{column}"', hint=hint)


def _signals(turns: IncidentTurns, policy: AbusePolicy) -> tuple[Signal, ...]:
    column = policy.refused or REFUSED
    if column in turns.flags:
        return (Signal(name="refusals", column=column),)
    if policy.refused is not None:
        raise InvalidInput(
            f'refused: the telemetry has no column "{shown(column)}" of true and false',
            hint=nearest(column, tuple(turns.flags)) or "see: relkit telemetry check",
        )
    return ()


def _measures(
    policy: AbusePolicy, counts: IncidentCounts, signals: Sequence[Signal]
) -> tuple[AbuseMeasure, ...]:
    """Return what is measured of what is asked for; all that there is where nothing is named."""
    available: list[AbuseMeasure] = ["turns"]
    if counts.sums.get(SPENT) is not None and float(counts.sums[SPENT].sum()) > 0:
        available.append("cost")
    if signals and int(counts.measured["refusals"].sum()):
        available.append("refusals")
    return tuple(name for name in available if policy.measures is None or name in policy.measures)


def _classes(
    counts: IncidentCounts,
    column: str,
    policy: AbusePolicy,
    measures: Sequence[AbuseMeasure],
    names: SharedNames,
    span: SearchSpan,
) -> Iterator[_Class]:
    """Yield what each class did, by the name it is shown under."""
    codes = counts.columns.get(column)
    values = () if codes is None else codes.names
    numbers = np.full(len(counts.bins), -1) if codes is None else codes.codes
    bins = (span.end - span.start) // BIN_S
    of_tenant = {tenant: name for name, listed in policy.classes.items() for tenant in listed}
    labels = [of_tenant.get(value, _NOBODY) if policy.classes else value for value in values]
    labels.append(_NOBODY)  # which is what -1 stands for
    hours = np.bincount(counts.bins // _HOUR, counts.turns, -(-bins // _HOUR))
    served = np.asarray(hours[np.arange(bins) // _HOUR] > 0, np.int64)
    spent = counts.sums.get(SPENT)
    unit = 1.0
    if spent is not None and spent.sum() > 0:
        unit = _COST_UNITS * float(counts.turns.sum()) / float(spent.sum())
    for label in dict.fromkeys(labels):
        mask = np.array([other == label for other in labels])[numbers]
        if not counts.turns[mask].sum():
            continue
        weights: dict[AbuseMeasure, FloatArray | IntArray] = {"turns": counts.turns}
        if "cost" in measures and spent is not None:
            weights["cost"] = spent * unit
        if "refusals" in measures:
            weights["refusals"] = counts.events["refusals"]
        amounts: dict[AbuseMeasure, IntArray] = {
            measure: np.rint(np.bincount(counts.bins[mask], weight[mask], bins)).astype(np.int64)
            for measure, weight in weights.items()
        }
        yield _Class(name=_name(label, policy, names), amounts=amounts, served=served)


def _name(label: str, policy: AbusePolicy, names: SharedNames) -> str:
    """Return what a class is called: by its name only where the team named or shared it."""
    if label == _NOBODY or label in policy.classes or label in names.share.get(CLASS, ()):
        return label
    return names.pseudonyms.of("class", f"{CLASS}={label}")


def _why_not(item: _Class, span: SearchSpan) -> NotJudged | None:
    """Return why a class cannot be held against its own hours, None where it can."""
    first = (span.reference - span.start) // BIN_S
    before, since = item.amounts["turns"][:first].sum(), item.amounts["turns"][first:].sum()
    if before or since < _FEWEST_TURNS:
        return None
    reason = "had no turn before: there are no hours of its own"
    return NotJudged(tenant_class=item.name, measure="turns", reason=reason)


def _stale(options: AbuseOptions, span: SearchSpan) -> NotJudged | None:
    """Return that the telemetry ended long before the time as of which it is looked at."""
    behind = int(moment(options.telemetry.now).timestamp()) - span.end
    if options.until is not None or behind <= _LATE_WINDOWS * duration_s(options.policy.window):
        return None
    reason = f"the last turn is {duration(behind)} before {options.telemetry.now}"
    return NotJudged(tenant_class=None, measure="turns", reason=reason)


def _spike(
    item: _Class, measure: AbuseMeasure, span: SearchSpan, policy: AbusePolicy
) -> AbuseSpike | None:
    """Return the worst window of a measure, None where nothing stands out."""
    first = (span.reference - span.start) // BIN_S
    window = round(duration_s(policy.window)) // BIN_S
    seen = item.amounts[measure]
    exposure = item.amounts["turns"]
    if measure != "refusals":  # by time, in units of which none is ever used up
        exposure = item.served * max(1, _EXPOSURE * int(seen.max()))
    counts = IncidentCounts(
        start=after(_EPOCH, span.start),
        bins=np.arange(len(seen), dtype=np.int64),
        columns={},
        releases={},
        turns=item.amounts["turns"],
        measured={measure: exposure},
        events={measure: seen},
    )
    before, recent = (part_of(counts, mask) for mask in (counts.bins < first, counts.bins >= first))
    rate = fit_rate(before, before.measured[measure], before.events[measure], ())
    if rate is None:
        return None
    expected = rate.of(counts) * exposure
    usual = _dispersion(seen[:first], expected[:first], window)
    scanned = Scanned(
        counts=replace(recent, bins=recent.bins - first, dispersion={measure: usual}),
        bins=len(seen) - first,
        window=window,
        expected={measure: expected[first:]},
    )
    signal = Signal(name=measure, column=measure)
    hypotheses = scan(scanned, (signal,), most_columns=0, releases=False)
    if not hypotheses:
        return None
    best = refined(scanned, hypotheses[0])
    # What varies from hour to hour and from day to day counts for windows that are as long.
    blocks = [block for block in _BLOCKS if block <= max(window, best.last - best.first)]
    varies = max(_dispersion(seen[:first], expected[:first], block) for block in (window, *blocks))
    score = best.likelihood * max(1.0, usual) / max(1.0, varies) - COLUMN_COST
    if score < LEAST_SCORE or best.observed < policy.factor * best.expected:
        return None
    start = after(_EPOCH, span.reference)
    return AbuseSpike(
        tenant_class=item.name,
        measure=measure,
        from_=after(start, best.first * BIN_S),
        to=after(start, best.last * BIN_S),
        ratio=round(best.observed / max(best.expected, 0.5), 2),
        score=round(score, 2),
    )


def _dispersion(seen: IntArray, expected: FloatArray, block: int) -> float:
    """Return by how much more blocks of bins differ than chance has it: Pearson's statistic."""
    whole = len(seen) // block * block
    if whole < 2 * block:
        return 1.0
    observed = seen[:whole].reshape(-1, block).sum(axis=1)
    sums = expected[:whole].reshape(-1, block).sum(axis=1)
    used = sums > 0
    blocks = int(np.count_nonzero(used))
    if blocks < 2:  # noqa: PLR2004 - one block differs from nothing
        return 1.0
    return float(((observed[used] - sums[used]) ** 2 / sums[used]).sum() / (blocks - 1))


def _reason(
    spikes: Sequence[AbuseSpike],
    not_judged: Sequence[NotJudged],
    classes: int,
    measures: Sequence[AbuseMeasure],
) -> str:
    if spikes:
        worst = spikes[0]
        more = f", and {counted(len(spikes) - 1, 'more spike')}" if len(spikes) > 1 else ""
        return (
            f"{worst.measure} of {worst.tenant_class}: {times(worst.ratio)} what its own hours "
            f"had before, from {worst.from_}{more}"
        )
    if not_judged:
        first = not_judged[0]
        whom = "" if first.tenant_class is None else f" of {first.tenant_class}"
        return f"{first.measure}{whom}: {first.reason}"
    judged = ", ".join(measures)
    return f"{judged} of {classes} {'class' if classes == 1 else 'classes'}: as in the days before"
