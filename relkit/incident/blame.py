"""Whether a release is to blame: the old version beside it, or the time of the switch.

D is what a release explains better than anything without one. The old version that served at the
same time is the control: where it suffered, too, D is far below 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relkit.incident.expected import Mask
from relkit.incident.scan import Hypothesis, Scanned, likelihood_ratio, refined, series
from relkit.incident.types import IncidentCounts

LEAST_SCORE = 18.0
"""Below this nothing happened."""

BLAME, COUNTS_ALONE, INNOCENT = 5.0, 3.0, -6.0
"""D from which a release is blamed, how much of it without cost and timing, and where it is not."""

DROP = 4.0
"""Log-likelihood that an onset may be away from the best one (docs/incidents.md)."""

_SAME_COUNTS = -2.5
"""D of a release that explains the same counts: its cost, and the worse window it may have."""

_LONGEST_ONSET = 18
"""Bins that an onset may be uncertain by for the time of a switch to say anything: 90 minutes."""

FULL_SHARE = 0.85
"""Share of the traffic from which a version holds it."""

_HOUR = 12
"""Bins of the hours that are compared for a switch."""

_MOVED, _FEWEST_TURNS = 0.35, 20

_OTHER_CAUSES = frozenset({"region", "client", "tenant", "tenant_class"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BinSpan:
    """Bins between which something began, or ended; both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A component's traffic that went to a version, in bins of the search.

    ``at_once``: nearly all of it, so that no old version served beside it.
    """

    component: str
    version: str
    at: BinSpan
    at_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """What the counts say about releases, of the signal that rose the most.

    ``plain`` is the best hypothesis without a release, ``release`` the best with one; ``odds`` is
    D, None without a hypothesis with a release, ``from_counts`` its part from the counts alone.
    ``rivals`` are other versions and components that explain as much, ``open`` those that may have
    caused it. ``kind`` is ``concurrent``,
    ``temporal`` or None, and then ``why`` says why no release is blamed.
    """

    plain: Hypothesis | None
    release: Hypothesis | None
    odds: float | None
    from_counts: float | None
    rivals: tuple[Hypothesis, ...]
    open: tuple[Hypothesis, ...]
    kind: str | None
    why: str
    ranked: tuple[Hypothesis, ...] = ()
    """All hypotheses about the signal, the best first."""


def onset_of(scanned: Scanned, hypothesis: Hypothesis) -> BinSpan:
    """Return between which bins it began: where the log-likelihood is within ``DROP`` of its best.

    The end stays where the hypothesis has it. A bin is the first one of the rise.
    """
    cells = scanned.cells_of(hypothesis, every_window=True)
    seen, sums = series(scanned, hypothesis.signal, cells)
    end = hypothesis.last
    dispersion = max(1.0, scanned.counts.dispersion.get(hypothesis.signal, 1.0))
    tails = np.cumsum(seen[:end][::-1])[::-1], np.cumsum(sums[:end][::-1])[::-1]
    ratios = likelihood_ratio(*tails) / dispersion
    ratios[sums[:end] <= 0] = -np.inf  # before there was any such traffic nothing began
    near = np.flatnonzero(ratios >= ratios.max() - DROP)
    return BinSpan(first=int(near[0]), last=int(near[-1]))


def end_of(scanned: Scanned, hypothesis: Hypothesis, onset: BinSpan) -> int | None:
    """Return the bin after which it was over, None where it goes on, or may."""
    cells = scanned.cells_of(hypothesis, every_window=True)
    seen, sums = series(scanned, hypothesis.signal, cells)
    start = (onset.first + onset.last) // 2
    dispersion = max(1.0, scanned.counts.dispersion.get(hypothesis.signal, 1.0))
    ratios = likelihood_ratio(np.cumsum(seen[start:]), np.cumsum(sums[start:])) / dispersion
    best = int(np.argmax(ratios))
    over = scanned.bins - (start + best + 1) >= scanned.window
    return start + best + 1 if over and ratios[-1] < ratios[best] - DROP else None


def switches_of(counts: IncidentCounts, bins: int) -> tuple[Switch, ...]:
    """Return where the shares of versions moved between an hour and the next, by time."""
    switches = []
    places = np.arange(1, max(bins, 1))
    before, after = np.maximum(places - _HOUR, 0), np.minimum(places + _HOUR, bins)
    for component, column in counts.releases.items():
        versions = len(column.names)
        mask = column.codes >= 0
        index = counts.bins[mask] * versions + column.codes[mask]
        turns = np.bincount(index, counts.turns[mask], bins * versions).reshape(bins, versions)
        total = np.concatenate([np.zeros((1, versions)), np.cumsum(turns, axis=0)])
        earlier, later = total[places] - total[before], total[after] - total[places]
        enough = np.minimum(earlier.sum(axis=1), later.sum(axis=1)) >= _FEWEST_TURNS
        shares = [
            part / np.maximum(part.sum(axis=1, keepdims=True), 1) for part in (earlier, later)
        ]
        moved = np.where(enough[:, None], shares[1] - shares[0], 0.0)
        most = moved.max(axis=1)
        marked = np.flatnonzero(most >= _MOVED)
        for group in np.split(marked, np.flatnonzero(np.diff(marked) > 1) + 1):
            if not len(group):
                continue
            # A step is the same from anywhere around it, and largest at itself.
            at = int(group[np.argmax(most[group])])
            old, new = int(np.argmax(shares[0][at])), int(np.argmax(moved[at]))
            switches.append(
                Switch(
                    component=component,
                    version=column.names[new],
                    at=BinSpan(first=at, last=at + 1),
                    at_once=bool(min(shares[0][at, old], shares[1][at, new]) >= FULL_SHARE),
                )
            )
    return tuple(sorted(switches, key=lambda switch: (switch.at.first, switch.component)))


def judge_releases(
    scanned: Scanned, hypotheses: Sequence[Hypothesis], switches: Sequence[Switch]
) -> Blame:
    """Return what the counts say about releases, from the hypotheses about one signal.

    The caller has to see to what else could be the cause where ``kind`` is ``temporal``.
    """
    ranked = sorted((refined(scanned, h) for h in hypotheses), key=lambda h: -h.score)
    plain = next((h for h in ranked if h.component is None), None)
    releases = [h for h in ranked if h.component is not None]
    if not releases or plain is None:
        release = releases[0] if releases else None
        why = "no release can cause it, or none changed"
        if not scanned.counts.releases:
            why = "the telemetry names no release"
        return Blame(
            plain=plain, release=release, odds=None, from_counts=None, rivals=(), open=(),
            kind=None, why=why, ranked=tuple(ranked),
        )  # fmt: skip
    release = releases[0]
    onset = onset_of(scanned, plain)
    # A switch in steps lasts for hours; its old version, which served beside it, acquits it.
    suspects = {h.component for h in releases if h.score - plain.score > INNOCENT}
    inside = tuple(s for s in switches if _near(s, onset) and s.component in suspects)
    rivals = tuple(_rivals(releases, release))
    odds, from_counts = release.score - plain.score, release.likelihood - plain.likelihood
    kind, why, chosen = None, "", release
    if odds >= BLAME and from_counts >= COUNTS_ALONE:
        kind, why = "concurrent", "the version before it served at the same time and was well"
        if rivals:
            kind, why = None, f"{_named(rivals[0])} explains it about as well as {_named(release)}"
    elif odds <= INNOCENT:
        why = "versions that served at the same time suffered alike"
    elif odds < _SAME_COUNTS:
        why = "the counts do not tell a release from everything else"
    else:
        why = _not_by_time(inside, onset)
        switched = [
            h for h in releases if inside and (h.component, h.version) == _version_of(inside[-1])
        ]
        if not why and switched:
            kind, why, chosen = "temporal", "all traffic was switched when it began", switched[0]
    return Blame(
        plain=plain,
        release=chosen,
        odds=odds,
        from_counts=from_counts,
        rivals=rivals,
        open=tuple(_undecided(scanned, plain, releases, switches, onset)),
        kind=kind,
        why=why or "no release that was switched when it began can cause it",
        ranked=tuple(ranked),
    )


def _near(switch: Switch, onset: BinSpan) -> bool:
    return switch.at.first <= onset.last + 1 and switch.at.last >= onset.first - 1


def _version_of(switch: Switch) -> tuple[str, str]:
    return switch.component, switch.version


def _named(release: Hypothesis) -> str:
    return f"{release.component} {release.version}"


def _not_by_time(inside: Sequence[Switch], onset: BinSpan) -> str:
    """Return why the time of a switch says nothing, empty where it names one release."""
    components = sorted({switch.component for switch in inside})
    if not inside:
        return "no release was switched when it began"
    if len(components) > 1:
        return f"several components were switched when it began: {', '.join(components)}"
    if onset.last - onset.first > _LONGEST_ONSET:
        return "when it began is too uncertain to say which switch it was"
    if len(inside) > 1 or not inside[0].at_once:
        return "a release was switched when it began, and not cleanly at once"
    return ""


def _undecided(
    scanned: Scanned,
    plain: Hypothesis,
    releases: Sequence[Hypothesis],
    switches: Sequence[Switch],
    onset: BinSpan,
) -> Iterator[Hypothesis]:
    """Yield the releases that may have caused what a hypothesis without one is about.

    Not those whose old version suffered alike, and not those that had all of its traffic already:
    these are not what changed when it began, unless they were switched then. Where one place got
    a release when it began, and no other did, the share of all traffic need not have moved: what
    was never switched is looked for in that place's last turns before.
    """
    near = {_version_of(switch): _near(switch, onset) for switch in switches}
    bins, cells = scanned.counts.bins, scanned.cells_of(plain, every_window=True)
    during = scanned.cells_of(plain)
    before = during
    for hours in (0.25, 1, 6, 48):
        recent = cells & (bins >= onset.first - hours * _HOUR) & (bins < onset.first)
        turns = int(scanned.counts.turns[recent].sum())
        before = recent if turns else during
        if turns >= _FEWEST_TURNS:
            break
    for release in releases:
        if release.score - plain.score <= INNOCENT:
            continue
        switched = near.get((str(release.component), str(release.version)))
        had = before if switched is None else during
        if switched or not _holds(scanned, release, had):
            yield release


def _holds(scanned: Scanned, release: Hypothesis, cells: Mask) -> bool:
    """Return whether a release has nearly all traffic of some cells, so that nothing tells."""
    alone = replace(release, slice=())
    turns = scanned.counts.turns
    part = turns[cells & scanned.cells_of(alone, every_window=True)].sum()
    return bool(part >= FULL_SHARE * turns[cells].sum())


def names_other(hypothesis: Hypothesis) -> bool:
    """Return whether the cell of a hypothesis is one that something else than a release has."""
    return any(name in _OTHER_CAUSES for name, _ in hypothesis.slice)


def _rivals(releases: Sequence[Hypothesis], release: Hypothesis) -> list[Hypothesis]:
    """Return the best hypotheses of other versions and components that are within ``BLAME``."""
    best: dict[tuple[str | None, str | None], Hypothesis] = {}
    for hypothesis in releases:
        best.setdefault((hypothesis.component, hypothesis.version), hypothesis)
    best.pop((release.component, release.version), None)
    return [h for h in best.values() if release.score - h.score < BLAME]


def holders(counts: IncidentCounts, component: str) -> Mapping[str, int]:
    """Return the versions that held a component's traffic, to the last bin in which they did."""
    column = counts.releases[component]
    versions = len(column.names)
    mask = column.codes >= 0
    hours = counts.bins[mask] // 12
    size = int(counts.bins.max()) // 12 + 1 if len(counts.bins) else 0
    turns = np.bincount(
        hours * versions + column.codes[mask], counts.turns[mask], size * versions
    ).reshape(size, versions)
    held = turns >= FULL_SHARE * np.maximum(turns.sum(axis=1, keepdims=True), 1)
    return {
        name: int(np.flatnonzero(held[:, i])[-1]) * 12
        for i, name in enumerate(column.names)
        if held[:, i].any()
    }
