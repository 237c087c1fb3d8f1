"""Between which releases the first bad one is looked for, by the ledger."""

from collections.abc import Sequence

from relkit.domain.errors import UsageError
from relkit.domain.releases import EventKind
from relkit.rules.ledger import LedgerState


def between(versions: Sequence[str], good: str, bad: str) -> tuple[str, ...]:
    """Return the versions from ``good`` to ``bad``, both included, in the order of the ledger.

    Raises UsageError where one is unknown, or good does not come before bad.
    """
    for version in (good, bad):
        if version not in versions:
            raise unknown_version(version, versions)
    first, last = versions.index(good), versions.index(bad)
    if first == last:
        raise UsageError(
            f"{good} cannot be good and bad", hint="name two releases with --good and --bad"
        )
    if first > last:
        raise UsageError(
            f"the good release {good} comes after the bad one {bad} in the ledger",
            hint="the order of registration counts; for a mended release bisect in between",
        )
    return tuple(versions[first : last + 1])


def unknown_version(version: str, versions: Sequence[str]) -> UsageError:
    """Return the error for a version that the ledger does not have."""
    shown = "".join(char if char.isprintable() else "?" for char in version[:80])
    return UsageError(
        f'the ledger has no release "{shown}"', hint=f"newest: {', '.join(versions[-3:])}"
    )


def bounds(
    state: LedgerState, *, good: str | None, bad: str | None
) -> tuple[str, str, tuple[str, ...]]:
    """Return (good, bad, how those that nobody named were found); raises UsageError.

    Bad is what is live or, right after a rollback, what it went back from. Good is the newest
    release before it that passed its gate and held all traffic, and that no rollback removed.
    """
    reasons = []
    if bad is None:
        bad, why = default_bad(state)
        reasons.append(f"bad end: {bad}, {why}")
    if good is None:
        good = _default_good(state, bad)
        reasons.append(f"good end: {good}, the newest before that passed and held all traffic")
    return good, bad, tuple(reasons)


def default_bad(state: LedgerState) -> tuple[str, str]:
    """Return the release to explain when nobody named one, and why; raises UsageError."""
    if state.live is None:
        raise UsageError("nothing of this model is live", hint="name a bad release with --bad")
    last = state.full[-1] if state.full else None
    if last is not None and last.kind is EventKind.ROLLED_BACK and state.previous is not None:
        return state.previous, "which the last rollback went back from"
    return state.live, "which is live"


def _default_good(state: LedgerState, bad: str) -> str:
    order = tuple(state.registered)
    if bad not in order:
        raise unknown_version(bad, order)
    held = set(state.held_full_traffic)
    for version in reversed(order[: order.index(bad)]):
        passed = state.decisions.get(version) is not None
        removed = version in state.condemned or version in state.yanked
        if passed and version in held and not removed:
            return version
    raise UsageError(
        f"no release before {bad} passed its gate and held all traffic",
        hint="name one that is good with --good",
    )
