"""Capacity by a policy: load-test steps and observed sessions to what is needed, with reasons."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil

import numpy as np

from relkit.core.values import Named, moment, time_text
from relkit.core.wording import count, counted, percent
from relkit.monitoring.serving.capacity import (
    find_knee,
    gpu_memory,
    headroom,
    observed_ramp,
    peak_of,
    slots_for,
    steepest_hour,
    streams_of,
    warm_pool,
)
from relkit.monitoring.serving.health import telemetry_defects
from relkit.monitoring.serving.types import (
    CapacityPolicy,
    CapacityReport,
    CapacityVerdict,
    GpuMemory,
    LoadStep,
    Peak,
    ReplicaStreams,
    SessionFigures,
)

_HOUR_S = 3600.0
_MISSING = "missing"
_TIMES = ("latency_ms", "audio_in_s", "audio_out_s")


@dataclass(slots=True)
class _Shortfalls:
    """What speaks against a pass: what was shown to be too little, and what is not there."""

    failures: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_NO_PEAK = Peak(observed=None, at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    """What telemetry shows; None where it shows nothing."""

    arrivals_per_hour: float | None = None
    mean_call_s: float | None = None
    peak: Peak = _NO_PEAK
    ramp_per_s: float | None = None


def plan_capacity(
    policy: CapacityPolicy,
    tests: Sequence[Sequence[LoadStep]],
    sessions: SessionFigures | None,
    *,
    now: str,
    replayed: bool = False,
) -> CapacityReport:
    """Return what a service can bear and needs, by load tests and by the sessions of telemetry.

    ``tests`` are empty and ``sessions`` None where there are none. ``replayed`` says that ``now``
    was named, so that later turns are no fault of the clocks.
    """
    short = _Shortfalls()
    steps = merged_steps(tests)
    knee, knee_reason, safe = _knee(policy, steps, short)
    seen = _Observed() if sessions is None else _observe(policy, sessions, short, replayed=replayed)
    shown = None if knee_reason.startswith(_MISSING) else safe
    streams = _streams(policy, steps, safe, shown, short)
    arrivals = _needed(
        "arrivals_per_hour", policy.arrivals_per_hour, seen.arrivals_per_hour, sessions, short
    )
    if policy.arrivals_per_hour == "observed" and arrivals is not None:
        arrivals *= 1.0 + policy.growth
    call_s = policy.mean_call_s or seen.mean_call_s
    if call_s is None:
        short.missing.append(
            "mean_call_s is not given, and no telemetry says how long sessions are"
        )
    ramp = _needed("ramp_per_s", policy.ramp_per_s, seen.ramp_per_s, sessions, short)
    slots = _slots(arrivals, call_s, policy.waiting, short)
    peak = seen.peak.observed
    forecast = None if peak is None else peak * (1.0 + policy.growth)
    if slots is not None and peak is not None and peak > slots:
        short.notes.append(
            f"{count(peak)} sessions were open at once, and {counted(slots, 'slot')} would do if "
            "arrivals were independent: they come in bursts, and the peak decides"
        )
    replicas = None
    if slots is not None and streams:
        replicas = ceil(max(slots, forecast or 0.0) / streams)
        if policy.replicas is not None and policy.replicas < replicas:
            short.failures.append(
                f"{counted(replicas, 'replica')} are needed, and there are {policy.replicas}"
            )
    room = None
    provided = policy.replicas or replicas
    if peak is not None and provided and streams:
        room = headroom(peak, policy.growth, provided * streams)
        if room < 0:
            short.failures.append(
                f"the forecast peak of {forecast:,.0f} sessions at once is more than the "
                f"{count(provided * streams)} slots there are"
            )
    if sessions is None:
        short.notes.append("no telemetry: head-room against the observed peak is not known")
    memory = _memory(policy, short)
    verdict: CapacityVerdict = "fail" if short.failures else "no_data" if short.missing else "pass"
    return CapacityReport(
        policy=Named(name=policy.name, digest=policy.digest),
        enforcement=policy.enforcement,
        created=now,
        verdict=verdict,
        steps=steps,
        knee=knee,
        knee_reason=knee_reason or None,
        safe=safe,
        arrivals_per_hour=arrivals,
        mean_call_s=call_s,
        peak=seen.peak,
        streams_per_replica=streams,
        slots_needed=slots,
        replicas_needed=replicas,
        ramp_per_s=ramp,
        warm_pool=warm_pool(ramp, policy.startup_s, streams)
        if streams and ramp is not None
        else None,
        gpu_memory_gb=memory,
        headroom=room,
        reasons=(*short.failures, *short.missing),
        notes=tuple(short.notes),
        telemetry=None if sessions is None else sessions.telemetry,
    )


def merged_steps(tests: Iterable[Sequence[LoadStep]]) -> tuple[LoadStep, ...]:
    """Return the steps of load tests in the order of their concurrency, each once.

    Of a step that was run several times each figure is its worst, and missing where it is missing
    in one of them.
    """
    runs: dict[float, LoadStep] = {}
    for step in (step for steps in tests for step in steps):
        before = runs.get(step.concurrency, step)
        runs[step.concurrency] = LoadStep(
            concurrency=step.concurrency,
            throughput=_worse(min, before.throughput, step.throughput),
            p95_ms=_worse(max, before.p95_ms, step.p95_ms),
            error_rate=_worse(max, before.error_rate, step.error_rate),
            duration_s=_worse(min, before.duration_s, step.duration_s),
        )
    return tuple(runs[concurrency] for concurrency in sorted(runs))


def _worse(
    pick: Callable[[float, float], float], before: float | None, figure: float | None
) -> float | None:
    return None if before is None or figure is None else pick(before, figure)


def _knee(
    policy: CapacityPolicy, steps: tuple[LoadStep, ...], short: _Shortfalls
) -> tuple[float | None, str, float | None]:
    """Return (concurrency of the knee, why, the safe concurrency)."""
    if not steps:
        return None, "", None
    place, why = find_knee(steps, policy.slo)
    if place is None:
        safe = steps[-1].concurrency
        short.notes.append(f"no knee up to {safe:g} at once: what lies beyond was not tried")
        return None, "", safe
    knee, before = steps[place].concurrency, steps[place - 1].concurrency if place else None
    if why.startswith(_MISSING):
        short.missing.append(f"load test: at {knee:g} at once a figure is {why}")
    elif before is None:
        short.failures.append(f"load test: the first step, {knee:g} at once, is no good: {why}")
    return knee, why, before


def _streams(
    policy: CapacityPolicy,
    steps: tuple[LoadStep, ...],
    safe: float | None,
    shown: float | None,
    short: _Shortfalls,
) -> int | None:
    """Return the streams of a replica, as the policy reckons or the load test measured.

    ``shown`` is the most that the load test showed to be safe; None where a figure is missing.
    """
    if not isinstance(policy.streams_per_replica, ReplicaStreams):
        if not steps:
            short.missing.append("streams_per_replica is measured, and no --load-test is there")
        return None if safe is None else int(safe)
    rtf, most = policy.streams_per_replica.rtf, policy.streams_per_replica.utilisation
    streams = streams_of(rtf, most)
    if streams == 0:
        short.failures.append(
            f"a replica serves no stream in real time: RTF {rtf:g} at {percent(most)} utilisation"
        )
    elif shown is not None and shown < streams:
        short.failures.append(
            f"a replica is to serve {counted(streams, 'stream')} by its RTF, and the load test is "
            f"safe up to {shown:g} only"
        )
    return streams


def _needed(
    name: str,
    set_value: float | str,
    observed: float | None,
    sessions: SessionFigures | None,
    short: _Shortfalls,
) -> float | None:
    """Return a figure as it was set, or as it was observed."""
    if not isinstance(set_value, str):
        return set_value
    if observed is None:
        why = "no --telemetry is there" if sessions is None else "the telemetry is too short for it"
        short.missing.append(f"{name} is observed, and {why}")
    return observed


def _slots(
    arrivals: float | None, call_s: float | None, waiting: float, short: _Shortfalls
) -> int | None:
    if arrivals is None or call_s is None:
        return None
    try:
        return slots_for(arrivals * call_s / _HOUR_S, waiting)
    except OverflowError:
        short.failures.append("more slots are needed than any service has")
        return None


def _memory(policy: CapacityPolicy, short: _Shortfalls) -> GpuMemory | None:
    if policy.model is None:
        return None
    memory = gpu_memory(policy.model)
    if policy.model.device_gb is not None and memory.total > policy.model.device_gb:
        short.failures.append(
            f"the model takes {memory.total:.1f} GB, and the device has {policy.model.device_gb:g}"
        )
    return memory


def _observe(
    policy: CapacityPolicy, sessions: SessionFigures, short: _Shortfalls, *, replayed: bool
) -> _Observed:
    """Return what sessions show: arrivals, length, peak and ramp.

    A session of one turn whose times are not known has no length of its own: ``mean_call_s``.
    """
    defects = telemetry_defects(sessions.telemetry, _TIMES, policy.max_missing, replayed=replayed)
    short.missing += [f"telemetry: {defect}" for defect in defects]
    starts, ends = sessions.starts, sessions.ends
    if not len(starts):
        short.missing.append("telemetry: there is no turn until then")
        return _Observed()
    timed = ends > starts
    unknown = len(starts) - int(timed.sum())
    if unknown:
        about = counted(unknown, "session")
        call_s, where = policy.mean_call_s, "mean_call_s"
        if call_s is None and unknown <= policy.max_missing * len(starts):
            call_s, where = float((ends - starts)[timed].mean()), "the mean of the others"
        if call_s is None:
            short.missing.append(
                f"telemetry: {about} of one turn without times: how long they are has to be said, "
                "mean_call_s"
            )
            return _Observed(arrivals_per_hour=steepest_hour(starts))
        ends = np.where(timed, ends, starts + call_s)
        short.notes.append(
            f"{about} of {count(len(starts))} of one turn without times: {call_s:.3g} s ({where}) "
            "each"
        )
    most, at = peak_of(starts, ends)
    if sessions.concurrency is not None and sessions.concurrency > most:
        short.notes.append(
            f"the service counted {sessions.concurrency:,.0f} at once (concurrency), the sessions "
            f"show {count(most)}: the telemetry may be a sample"
        )
    seen_s = float(starts.max() - starts.min())
    if seen_s < _HOUR_S:
        short.notes.append(
            f"the telemetry is {seen_s / 60:.0f} minutes long: arrivals are those of an hour at "
            "its rate"
        )
    begin = moment("1970-01-01T00:00:00Z")
    return _Observed(
        arrivals_per_hour=steepest_hour(starts),
        mean_call_s=float((ends - starts).mean()),
        peak=Peak(
            observed=most, at=None if at is None else time_text(begin + timedelta(seconds=at))
        ),
        ramp_per_s=observed_ramp(starts, ends, policy.startup_s),
    )
