"""The verdict of triage, from counts alone: no clock, no file, no registry.

Measurement first, for what is not measured cannot be judged; then releases, with the old version
as control; then everything else, in the order of docs/incidents.md; then, where nothing holds,
what would tell it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relkit.core.values import after
from relkit.core.wording import chance, count, duration
from relkit.disclosure.types import Cause, CauseEvidence
from relkit.incident.blame import (
    BLAME,
    LEAST_SCORE,
    BinSpan,
    Blame,
    end_of,
    judge_releases,
    names_other,
    onset_of,
    switches_of,
)
from relkit.incident.causes import LACKS, NamedCause, measurement, other_cause
from relkit.incident.expected import fit_rate, part_of
from relkit.incident.scan import Hypothesis, Scanned, cell_key, scan
from relkit.incident.types import (
    BIN_S,
    Candidate,
    Effect,
    IncidentCounts,
    Probe,
    RuledOut,
    Signal,
    TriageVerdict,
)

_MIX = 16.0
_MOST_FAILED = 0.5
_MOST_CANDIDATES = 5
_HALF_A_DAY = 144
_PROBE_SHARES = (0.05, 0.1, 0.25, 0.5)
_PROBE_MINUTES = 60
_Z = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the counts say; ``onset`` and ``ended`` in bins from the first that was searched."""

    verdict: TriageVerdict
    reason: str
    cause: Cause | None = None
    evidence: CauseEvidence | None = None
    component: str | None = None
    version: str | None = None
    slice: str | None = None
    metric: str | None = None
    onset: BinSpan | None = None
    ended: int | None = None
    effect: Effect | None = None
    log_odds: float | None = None
    candidates: tuple[Candidate, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    probe: Probe | None = None
    command: str | None = None


def searched(
    counts: IncidentCounts, signals: Sequence[Signal], *, first: int, bins: int, window: int
) -> tuple[Scanned, IncidentCounts]:
    """Return the cells from bin ``first`` with what was expected in them, and those before it."""
    reference = part_of(counts, counts.bins < first)
    recent = part_of(counts, counts.bins >= first)
    columns = tuple(counts.columns)
    expected = {}
    names = [signal.name for signal in signals]
    names += [name for name in counts.events if name.startswith(LACKS)]
    for name in names:
        rate = fit_rate(reference, reference.measured[name], reference.events[name], columns)
        if rate is not None:
            expected[name] = rate.of(recent) * recent.measured[name]
    start = after(counts.start, first * BIN_S)
    recent = replace(recent, start=start, bins=recent.bins - first)
    recent = replace(
        recent,
        events={n: v for n, v in recent.events.items() if n in expected},
        measured={n: v for n, v in recent.measured.items() if n in expected},
    )
    return Scanned(counts=recent, bins=bins - first, window=window, expected=expected), reference


def diagnose(
    counts: IncidentCounts,
    signals: Sequence[Signal],
    *,
    first: int,
    bins: int,
    window: int,
    other_events: Sequence[tuple[int, str]] = (),
) -> Diagnosis:
    """Return the verdict about the bins from ``first`` on; those before it are the reference.

    ``bins`` is how many there are in all, ``window`` how many a window has. ``other_events`` are
    bins (from the first that is searched) in which something else changed, and what.
    """
    scanned, reference = searched(counts, signals, first=first, bins=bins, window=window)
    judged = [signal for signal in signals if signal.name in scanned.expected]
    compared = f"the last {_hours(scanned.bins)} compared with the {_hours(first)} before"
    hypotheses = scan(scanned, judged)
    spoilt = measurement(scanned, reference)
    top = hypotheses[0] if hypotheses else None
    if top is None or top.score < LEAST_SCORE:
        if spoilt is not None:
            return _not_release(scanned, spoilt, top, (), ())
        return _quiet(scanned, reference, judged, compared, top)
    blame = judge_releases(
        scanned,
        [h for h in hypotheses if h.signal == top.signal],
        switches_of(scanned.counts, scanned.bins),
    )
    candidates = _candidates(blame.ranked)
    column = next(signal.column for signal in signals if signal.name == top.signal)
    if spoilt is not None and (blame.kind != "concurrent" or column in spoilt.columns):
        return _not_release(scanned, spoilt, top, candidates, ())
    return _explained(scanned, reference, blame, top, candidates, other_events)


def _hours(bins: int) -> str:
    """Return how long so many bins are, in whole hours."""
    return duration(max(1, round(bins * BIN_S / 3600)) * 3600)


def _explained(
    scanned: Scanned,
    reference: IncidentCounts,
    blame: Blame,
    top: Hypothesis,
    candidates: tuple[Candidate, ...],
    other_events: Sequence[tuple[int, str]],
) -> Diagnosis:
    """Return the verdict about something that did happen."""
    if blame.kind == "concurrent" and blame.release is not None:
        return _blamed(scanned, blame, blame.release, candidates, "concurrent")
    plain = blame.plain or top
    cause, ruled_out = other_cause(scanned, reference, blame)
    if cause is not None:
        return _not_release(scanned, cause, plain, candidates, (*_release_out(blame), *ruled_out))
    onset = onset_of(scanned, plain)
    near = [name for at, name in other_events if onset.first - 1 <= at <= onset.last + 1]
    why = blame.why
    if blame.kind == "temporal" and blame.release is not None:
        if near:
            why = f"when it began something else changed, too: {near[0]}"
        elif names_other(plain):
            why = "all traffic was switched when it began, and it is limited to one place"
        else:
            return _blamed(scanned, blame, blame.release, candidates, "temporal", ruled_out)
    suspect = blame.release
    return replace(
        _described(scanned, plain),
        verdict="undetermined",
        reason=f"something is wrong, and it cannot be told what: {why}",
        candidates=candidates,
        ruled_out=ruled_out,
        probe=None if suspect is None else probe_of(scanned, suspect),
        log_odds=blame.odds,
    )


def _release_out(blame: Blame) -> tuple[RuledOut, ...]:
    if blame.release is None or blame.odds is None or blame.odds > 0:
        return ()
    name = f"{blame.release.component} {blame.release.version}"
    return (RuledOut(cause="release", name=name, reason=blame.why),)


def _quiet(
    scanned: Scanned,
    reference: IncidentCounts,
    signals: Sequence[Signal],
    compared: str,
    top: Hypothesis | None,
) -> Diagnosis:
    """Return that nothing happened, or that other traffic came."""
    expected = {}
    for signal in signals:
        name = signal.name
        rate = fit_rate(reference, reference.measured[name], reference.events[name], ())
        if rate is not None:
            expected[name] = rate.of(scanned.counts) * scanned.counts.measured[name]
    plain = replace(scanned, expected=expected)
    rough = scan(plain, signals, most_columns=0, releases=False)
    if rough and rough[0].score >= _MIX:
        return replace(
            _described(plain, rough[0]),
            verdict="not_release",
            cause="mix",
            reason=f"{rough[0].signal} rose because other traffic came: in every slice it is what"
            " was to be expected",
        )
    unseen = _unseen(reference)
    if unseen is not None:
        return Diagnosis(verdict="no_data", reason=unseen)
    best = (
        "" if top is None else f"; the best hypothesis scores {top.score:.1f} of {LEAST_SCORE:.0f}"
    )
    turns = int(scanned.counts.turns.sum())
    return Diagnosis(
        verdict="nothing",
        reason=f"nothing rose in {count(turns)} turns, {compared}{best}",
    )


def _unseen(reference: IncidentCounts) -> str | None:
    """Return why a rise of failures could not be seen: half of the turns count as failed anyway."""
    if "failed" not in reference.events:
        return None
    share = float(reference.events["failed"].sum()) / max(1.0, float(reference.turns.sum()))
    if share < _MOST_FAILED:
        return None
    return (
        f"{chance(share)} of the turns that it is compared with failed, or have neither ok nor"
        " outcome that can be read: more could not be seen"
    )


def _described(scanned: Scanned, hypothesis: Hypothesis) -> Diagnosis:
    """Return where, when and how much, with no verdict yet."""
    onset = onset_of(scanned, hypothesis)
    return Diagnosis(
        verdict="undetermined",
        reason="",
        slice=hypothesis.key,
        metric=hypothesis.signal,
        onset=onset,
        ended=end_of(scanned, hypothesis, onset),
        effect=effect_of(scanned, hypothesis),
    )


def _blamed(
    scanned: Scanned,
    blame: Blame,
    release: Hypothesis,
    candidates: tuple[Candidate, ...],
    evidence: CauseEvidence,
    ruled_out: tuple[RuledOut, ...] = (),
) -> Diagnosis:
    return replace(
        _described(scanned, release),
        verdict="release",
        cause="release",
        evidence=evidence,
        component=release.component,
        version=release.version,
        reason=blame.why,
        log_odds=blame.odds,
        candidates=candidates,
        ruled_out=ruled_out,
        probe=probe_of(scanned, release) if evidence == "temporal" else None,
    )


def _not_release(
    scanned: Scanned,
    cause: NamedCause,
    hypothesis: Hypothesis | None,
    candidates: tuple[Candidate, ...],
    ruled_out: tuple[RuledOut, ...],
) -> Diagnosis:
    described = (
        Diagnosis(verdict="not_release", reason="")
        if hypothesis is None
        else _described(scanned, hypothesis)
    )
    cell = described.slice
    if cause.slice is not None:
        cell = cell_key(cause.slice)
    return replace(
        described,
        verdict="not_release",
        cause=cause.cause,
        slice=cell,
        reason=cause.reason,
        candidates=candidates,
        ruled_out=ruled_out,
    )


def effect_of(scanned: Scanned, hypothesis: Hypothesis) -> Effect:
    """Return how often it was seen and expected, with Wilson's interval over the overdispersion."""
    cells = scanned.cells_of(hypothesis)
    measured = float(scanned.counts.measured[hypothesis.signal][cells].sum())
    seen = float(scanned.counts.events[hypothesis.signal][cells].sum())
    expected = float(scanned.expected[hypothesis.signal][cells].sum())
    n = max(measured, 1.0)
    dispersion = max(1.0, scanned.counts.dispersion.get(hypothesis.signal, 1.0))
    size, share = n / dispersion, seen / n
    middle = (share + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = (
        _Z / (1 + _Z**2 / size) * float(np.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2)))
    )
    return Effect(
        observed=share,
        expected=expected / n,
        low=max(0.0, middle - half),
        high=min(1.0, middle + half),
        turns=int(measured),
    )


def _candidates(hypotheses: Sequence[Hypothesis]) -> tuple[Candidate, ...]:
    """Return the best of each kind, and by how much each is better than the best other one."""
    best: dict[tuple[str | None, str | None], Hypothesis] = {}
    for hypothesis in hypotheses:
        best.setdefault((hypothesis.component, hypothesis.version), hypothesis)
    ranked = sorted(best.values(), key=lambda h: -h.score)[:_MOST_CANDIDATES]
    scores = [h.score for h in ranked]
    return tuple(
        Candidate(
            cause="release" if h.component is not None else None,
            component=h.component,
            version=h.version,
            slice=h.key,
            log_odds=round(h.score - max([*scores[:i], *scores[i + 1 :]], default=0.0), 2),
        )
        for i, h in enumerate(ranked)
    )


def probe_of(scanned: Scanned, release: Hypothesis) -> Probe | None:
    """Return the share on the version before that would decide, and in how many minutes.

    Each turn on it tells p ln(p/q) - p + q of a rate p that was expected from a rate q that is
    seen now (Kullback and Leibler 1951, for Poisson counts); 8 are asked for, so that 5 are likely.
    """
    if release.component is None or release.version is None:
        return None
    names = scanned.counts.releases[release.component].names
    place = names.index(release.version)
    if place == 0:
        return None
    effect = effect_of(scanned, release)
    rate, usual = effect.observed, max(effect.expected, 1e-6)
    if rate <= usual:
        return None
    told = usual * float(np.log(usual / rate)) - usual + rate
    dispersion = max(1.0, scanned.counts.dispersion.get(release.signal, 1.0))
    minutes = max(1, (release.last - release.first) * BIN_S // 60)
    per_minute = effect.turns / minutes
    if told <= 0 or per_minute <= 0:
        return None
    for share in _PROBE_SHARES:
        needed = 8.0 * dispersion / (told * per_minute * share)
        if needed <= _PROBE_MINUTES or share == _PROBE_SHARES[-1]:
            return Probe(
                component=release.component,
                version=names[place - 1],
                share=share,
                minutes=int(np.ceil(needed)),
            )
    return None


def long_lived(
    counts: IncidentCounts,
    signals: Sequence[Signal],
    diagnosis: Diagnosis,
    *,
    first: int,
    bins: int,
    window: int,
) -> Diagnosis:
    """Return that something rose before what is searched, and stayed; else the diagnosis.

    What lasts longer than the search is part of what it is compared with, and hides: the later half
    of the reference is searched against the earlier one, all traffic at once.
    """
    middle = first // 2 // window * window
    before = part_of(counts, counts.bins < first)
    scanned, _ = searched(before, signals, first=middle, bins=first, window=window)
    judged = [signal for signal in signals if signal.name in scanned.expected]
    rough = scan(scanned, judged, most_columns=1, releases=False)
    onset = onset_of(scanned, rough[0]) if rough else None
    if (
        onset is None
        or rough[0].score < LEAST_SCORE
        or end_of(scanned, rough[0], onset) is not None
    ):
        return _standing(counts, signals, diagnosis, first=first, bins=bins)
    at = after(scanned.counts.start, onset.first * BIN_S)
    return replace(
        _described(scanned, rough[0]),
        verdict="undetermined",
        reason=f"{diagnosis.reason}; but {rough[0].signal} rose at about {at}, before that, and"
        " stayed: it is part of what was compared with",
        onset=BinSpan(first=onset.first + middle - first, last=onset.last + middle - first),
        command=f"relkit triage --since {at}",
    )


def _standing(
    counts: IncidentCounts,
    signals: Sequence[Signal],
    diagnosis: Diagnosis,
    *,
    first: int,
    bins: int,
) -> Diagnosis:
    """Return that a version was worse than the others all along; else the diagnosis.

    Nothing began that could be dated, so that no release is blamed: the rates are those of all the
    telemetry, and the version stands out against them.
    """
    expected = {}
    for signal in signals:
        name = signal.name
        rate = fit_rate(counts, counts.measured[name], counts.events[name], tuple(counts.columns))
        if rate is not None:
            expected[name] = rate.of(counts) * counts.measured[name]
    scanned = Scanned(counts=counts, bins=bins, window=_HALF_A_DAY, expected=expected)
    judged = [signal for signal in signals if signal.name in expected]
    hypotheses = scan(scanned, judged, most_columns=1)
    top = next((h for h in hypotheses if h.component is not None), None)
    if top is None or top.score < LEAST_SCORE:
        return diagnosis
    plain = next((h for h in hypotheses if h.component is None and h.signal == top.signal), None)
    if plain is not None and top.score - plain.score < BLAME:
        return diagnosis
    effect = effect_of(scanned, top)
    return Diagnosis(
        verdict="undetermined",
        reason=f"{diagnosis.reason}; but {top.component} {top.version} has been worse than the"
        " other versions for longer than that: it is part of what was compared with",
        slice=top.key,
        metric=top.signal,
        effect=effect,
        onset=BinSpan(first=top.first - first, last=top.first - first),
        candidates=_candidates([h for h in hypotheses if h.signal == top.signal]),
        command=None,
    )
