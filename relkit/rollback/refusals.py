"""Why a release may not be gone back to; every reason in words.

See docs/method.md, section "Rollback".
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.core.slices import OVERALL
from relkit.core.values import seconds_between
from relkit.core.wording import duration, short_digest
from relkit.registry.types import HostedIdentity, Refused, Release, ReleaseEvent
from relkit.rollback.compatibility import Running, interface_misfits, partner_misfits
from relkit.rollback.history import GateProof, History, Life

LEGACY_WINDOW_S = 24 * 3600.0
"""How old the verification of a release without a gate may be: a day, as a decision is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """What a release of a component has from stacks that pinned it and held full traffic.

    ``stack`` names the newest such release, ``at`` since when it had all traffic, ``gate`` the
    promotion of a stack with it behind which a gate passed.
    """

    stack: str
    at: str
    gate: GateProof | None = None


def _no_stack(_version: str) -> Lent | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One model as rollback sees it.

    ``release`` returns the record of a version, or why it cannot be read. ``verify`` returns None
    where the artifact's digest verifies now, else why not; it is asked for a release that all
    other rules allow, the newest first. ``live`` is the version that is served, which a stack may
    have put there. ``unlisted`` are versions with a record that the ledger does not know.
    """

    history: History
    release: Callable[[str], Release | str]
    verify: Callable[[Release], str | None]
    live: str | None
    running: Running = field(default_factory=Running)
    lent: Callable[[str], Lent | None] = _no_stack
    unlisted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked: the first-bad set, a wanted target, the failing slice, and the time."""

    now: str
    bad: tuple[str, ...] = ()
    to: str | None = None
    slice: str | None = None


Reason = tuple[str, str]
"""A code and the reason in words."""


def refused(version: str, reasons: Sequence[Reason]) -> Refused:
    """Return a refusal with all reasons; the code is that of the first."""
    words = "; ".join(words for _, words in reasons)
    return Refused(version=version, code=reasons[0][0], reason=words)


def ledger_reasons(shelf: Shelf, life: Life) -> list[Reason]:
    """Return what the ledger alone holds against a release."""
    found: list[Reason] = []
    lent = shelf.lent(life.version) if life.full is None or life.gate is None else None
    if life.full is None and lent is None:
        found.append(("never_full_traffic", "it never held full traffic"))
    elif life.gate is None and not life.legacy and (lent is None or lent.gate is None):
        found.append(("no_gate", life.ungated))
    if life.yanked is not None:
        why = f": {life.yanked.reason}" if life.yanked.reason else ""
        found.append(("yanked", f"it was yanked at {life.yanked.at}{why}"))
    if life.left is not None:
        found.append(("rolled_back", _left_words(life.left)))
    return found


def _left_words(event: ReleaseEvent) -> str:
    where = f", which failed on {event.slice}" if event.slice else ""
    bad = ", ".join(event.bad)
    return (
        f"the rollback of {bad} at {event.at}{where} left it behind, and it was not promoted since"
    )


def slice_reasons(release: Release, life: Life, failing: str | None) -> list[Reason]:
    """Return why a release is known to be worse on the failing slice."""
    if failing is None:
        return []
    found: list[Reason] = [
        ("worse_slice", f"it is known to be worse on {known}{_beside(known, failing)}")
        for known in release.worse_slices
        if overlap(known, failing)
    ]
    found += [
        (
            "worse_slice",
            f"it was rolled back at {event.at} for {event.slice}{_beside(event.slice, failing)}",
        )
        for event in life.worse
        if event.slice is not None and overlap(event.slice, failing)
    ]
    return found


def _beside(known: str, failing: str) -> str:
    if known == failing:
        return ", which is failing"
    wider = set(known.split("&")) < set(failing.split("&")) or known == OVERALL
    return f", which {'holds' if wider else 'is part of'} the failing {failing}"


def overlap(known: str, failing: str) -> bool:
    """Return whether a slice known to be worse holds the failing one, is it, or is part of it.

    Slices in their normal spelling. What is worse overall is worse everywhere; where everything
    fails (``overall``), only what is worse overall counts.
    """
    if OVERALL in {known, failing}:
        return known == OVERALL
    one, other = set(known.split("&")), set(failing.split("&"))
    return one <= other or other <= one


def record_reasons(release: Release, life: Life) -> list[Reason]:
    """Return why a record is not the one that the ledger speaks of."""
    if not life.records:
        return [("record_changed", "the ledger names no digest of its record")]
    if any(digest != release.digest for digest in life.records):
        return [("record_changed", "its record is not the one that the ledger names: it changed")]
    return []


def legacy_reasons(life: Life, lent: Lent | None, release: Release, now: str) -> list[Reason]:
    """Return why a release without a gate, from another registry, may not be a target yet."""
    if life.gate is not None or (lent is not None and lent.gate is not None):
        return []
    event = life.verified
    if event is None:
        why = "not verified since its last change"
    elif not _is_fresh(event, now):
        why = (
            f"was verified at {event.at}, which is not within the last {duration(LEGACY_WINDOW_S)}"
        )
    elif event.release != release.digest:
        why = f"what was verified at {event.at} is not its record"
    else:
        return []
    todo = f"relkit registry verify {release.model} --record"
    words = f"it is attested: legacy, and {why}; verify it first: {todo}"
    return [("legacy_unverified", words)]


def _is_fresh(event: ReleaseEvent, now: str) -> bool:
    age = seconds_between(event.at, now)
    return age is not None and 0 <= age <= LEGACY_WINDOW_S


def contract_reasons(
    release: Release, live: Release, running: Running, inside: Container[str]
) -> list[Reason]:
    """Return why a release does not fit what is running."""
    found: list[Reason] = [("contract", words) for words in interface_misfits(release, live)]
    words = partner_misfits(release, running, inside=inside)
    return found + [("partners", word) for word in words]


def identity_reasons(release: Release, observed: Mapping[tuple[str, ...], str]) -> list[Reason]:
    """Return why what is served under a release's identity may not be what was gated.

    ``observed`` maps (provider, model, configuration) to the newest known fingerprint.
    """
    if release.kind == "hosted":
        return _hosted_reasons(release.hosted, observed)
    if release.kind != "stack" and release.artifact is None:
        return [("unverifiable", "it has no artifact, so nothing can be verified")]
    return []


def _hosted_reasons(
    hosted: HostedIdentity | None, observed: Mapping[tuple[str, ...], str]
) -> list[Reason]:
    if hosted is None:
        return [("unverifiable", "it is hosted and does not say by whom")]
    if hosted.fingerprint is None:
        return [("unverifiable", "it is hosted, and no behavioural fingerprint was taken")]
    seen = observed.get((hosted.provider, hosted.model, hosted.configuration))
    if seen is None or seen == hosted.fingerprint:
        return []
    words = (
        f"{hosted.provider} {hosted.model} changed its behaviour behind the same name: the "
        f"fingerprint was {short_digest(hosted.fingerprint)} and is {short_digest(seen)}"
    )
    return [("fingerprint_changed", words)]


def observed_fingerprints(shelf: Shelf) -> Mapping[tuple[str, ...], str]:
    """Return the newest fingerprint of each hosted identity among a model's releases."""
    seen: dict[tuple[str, ...], str] = {}
    for version in reversed(shelf.history.order):
        release = shelf.release(version)
        if isinstance(release, str) or release.hosted is None:
            continue
        hosted = release.hosted
        if hosted.fingerprint is not None:
            key = (hosted.provider, hosted.model, hosted.configuration)
            seen.setdefault(key, hosted.fingerprint)
    return seen


def own_reasons(shelf: Shelf, life: Life, release: Release, question: Question) -> list[Reason]:
    """Return everything but ranges, contract and artifact that is held against a release."""
    found = ledger_reasons(shelf, life)
    found += record_reasons(release, life)
    found += slice_reasons(release, life, question.slice)
    if not any(code in {"never_full_traffic", "no_gate"} for code, _ in found):
        found += legacy_reasons(life, shelf.lent(life.version), release, question.now)
    observed = observed_fingerprints(shelf) if release.kind == "hosted" else {}
    found += identity_reasons(release, observed)
    return found


def verification_reasons(shelf: Shelf, release: Release) -> list[Reason]:
    """Return why the artifact does not verify now."""
    why = shelf.verify(release)
    return [] if why is None else [("unverifiable", f"its artifact does not verify: {why}")]


def judge(
    shelf: Shelf, version: str, question: Question, live: Release | str | None
) -> Refused | Release:
    """Return the release where it may be gone back to, else why not; bad sets are not looked at.

    ``live`` is the release that runs now, or why it cannot be told.
    """
    release = judge_record(shelf, version, question, live)
    if isinstance(release, Refused):
        return release
    found = verification_reasons(shelf, release)
    return refused(version, found) if found else release


def judge_record(
    shelf: Shelf,
    version: str,
    question: Question,
    live: Release | str | None,
    *,
    inside: Container[str] = (),
) -> Refused | Release:
    """Judge everything but the artifact; ranges of models ``inside`` the same stack are not held.

    Returns as :func:`judge` does.
    """
    life = shelf.history.life(version)
    release = shelf.release(version)
    if isinstance(release, str):
        return refused(version, [*ledger_reasons(shelf, life), ("unreadable", release)])
    found = own_reasons(shelf, life, release, question)
    if isinstance(live, Release):
        found += contract_reasons(release, live, shelf.running, inside)
    else:
        found.append(("contract", f"what is running cannot be told: {live or 'nothing is live'}"))
    return refused(version, found) if found else release
