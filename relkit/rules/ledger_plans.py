"""The next event of a ledger, planned and not yet appended: pure, and refused where it cannot be.

Every function returns an event with the sequence it is to get, and neither its digest nor that of
the line before: the ledger fills these in, if nobody was faster (compare-and-set).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relkit.domain.errors import InvalidInput, UsageError
from relkit.domain.releases import Attested, EventKind, Release, ReleaseEvent
from relkit.rules.ledger import LedgerState, refusal

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """When an event happens (UTC), who says so, and why."""

    at: str
    by: str
    reason: str = ""


def plan_registered(state: LedgerState, release: Release, entry: Entry) -> ReleaseEvent | None:
    """Return the registration of a release, None where exactly it is registered.

    Raises InvalidInput where the version is registered with another digest.
    """
    if state.registered.get(release.version) == release.digest:
        return None
    event = replace(
        _event(state, EventKind.REGISTERED, release.version, entry),
        release=release.digest,
        decision=release.decision,
        attested=release.attested,
    )
    return _checked(state, event, hint="give it a new version: what was registered stays as it is")


def plan_canary(
    state: LedgerState, version: str, share: float, entry: Entry, *, decision: str | None
) -> ReleaseEvent:
    """Return a step of a canary: ``version`` gets ``share`` (0 to 1, both excluded) of traffic."""
    known(state, version)
    if version == state.candidate and share == state.share:
        raise InvalidInput(f"{state.model} {version} has {share:.6g} of the traffic already")
    event = replace(
        _event(state, EventKind.CANARY, version, entry),
        traffic=share,
        decision=decision,
        from_version=state.live,
    )
    return _checked(state, event, hint=_steps(state))


def plan_promoted(
    state: LedgerState,
    version: str,
    entry: Entry,
    *,
    decision: str | None,
    attested: Attested = "gate",
) -> ReleaseEvent:
    """Return a promotion to all traffic; see :func:`refuse_condemned` for the age of a decision."""
    known(state, version)
    event = replace(
        _event(state, EventKind.PROMOTED, version, entry),
        traffic=1.0,
        decision=decision,
        from_version=state.live,
        attested=attested,
    )
    return _checked(state, event, hint=_steps(state))


def plan_held(
    state: LedgerState, version: str, entry: Entry, *, share: float | None = None
) -> ReleaseEvent:
    """Return that a canary does not go on; it keeps its share, or gets ``share`` (0: it ends)."""
    known(state, version)
    event = replace(
        _event(state, EventKind.HELD, version, entry),
        traffic=state.share if share is None else share,
        from_version=state.live,
    )
    return _checked(state, event, hint=f"in canary: {state.candidate or 'no version'}")


def plan_rolled_back(
    state: LedgerState,
    target: str,
    entry: Entry,
    *,
    bad: Sequence[str],
    failing_slice: str | None = None,
    attested: Attested = "none",
) -> ReleaseEvent:
    """Return a rollback to ``target``, which gets all traffic; ``bad`` versions are removed.

    Whether the target is a good one is for :mod:`relkit.rules.rollback` to say.
    """
    known(state, target)
    event = replace(
        _event(state, EventKind.ROLLED_BACK, target, entry),
        traffic=1.0,
        from_version=state.live,
        bad=tuple(bad),
        slice=failing_slice,
        attested=attested,
    )
    return _checked(state, event)


def plan_yanked(state: LedgerState, version: str, entry: Entry) -> ReleaseEvent:
    """Return that a version may never be served again unless it is restored."""
    known(state, version)
    if version in state.yanked:
        raise InvalidInput(
            f"{state.model} {version} is yanked already, since {state.yanked[version]}"
        )
    return _checked(state, _event(state, EventKind.YANKED, version, entry))


def plan_restored(state: LedgerState, version: str, entry: Entry) -> ReleaseEvent:
    """Return that a yanked version may be served again."""
    known(state, version)
    return _checked(state, _event(state, EventKind.RESTORED, version, entry))


def plan_overridden(
    state: LedgerState, version: str, entry: Entry, *, override: str
) -> ReleaseEvent:
    """Return that a signed override (its digest) stands for a decision that did not pass."""
    known(state, version)
    event = replace(_event(state, EventKind.OVERRIDDEN, version, entry), decision=override)
    return _checked(state, event)


def plan_verified(state: LedgerState, version: str, entry: Entry) -> ReleaseEvent:
    """Return that a version's artifact was verified now."""
    known(state, version)
    return _checked(state, _event(state, EventKind.VERIFIED, version, entry))


def known(state: LedgerState, version: str) -> None:
    """Raise UsageError for a version that was never registered."""
    if version not in state.registered:
        last = ", ".join(tuple(state.registered)[-_SHOWN:])
        raise UsageError(
            f'{state.model} has no version "{version}" in its ledger',
            hint=f"registered last: {last}" if last else "relkit registry register RELEASE",
        )


def refuse_condemned(state: LedgerState, version: str, decided: str | None) -> None:
    """Raise InvalidInput for a version removed as bad by a rollback after the decision about it."""
    since = state.condemned.get(version)
    if since is not None and (decided is None or decided <= since):
        raise InvalidInput(
            f"{state.model} {version} was removed as bad by the rollback of {since}, and the "
            "decision is older",
            hint="mend it and release a new version, or gate it again",
        )


def _event(state: LedgerState, kind: EventKind, version: str, entry: Entry) -> ReleaseEvent:
    return ReleaseEvent(
        model=state.model,
        sequence=state.sequence + 1,
        kind=kind,
        version=version,
        at=entry.at,
        by=entry.by,
        digest="",
        previous=None,
        reason=entry.reason,
        release=state.registered.get(version),
    )


def _checked(state: LedgerState, event: ReleaseEvent, *, hint: str | None = None) -> ReleaseEvent:
    why = refusal(state, event)
    if why is not None:
        raise InvalidInput(
            f"{event.model} {event.version} cannot be {_done(event)}: {why}", hint=hint
        )
    return event


def _done(event: ReleaseEvent) -> str:
    words = {EventKind.CANARY: "put in canary", EventKind.ROLLED_BACK: "rolled back to"}
    return words.get(event.kind, str(event.kind))


def _steps(state: LedgerState) -> str | None:
    if state.candidate is None:
        return None if state.live is not None else "promote the first version whole"
    return (
        f"end the canary first: relkit registry promote {state.model} {state.candidate} "
        "--hold --canary 0 --reason …"
    )
