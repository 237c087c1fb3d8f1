"""Where a model goes back to, and why a release may not be gone back to.

See docs/method.md, section "Rollback". Releases are ordered as registered. The target is the newest
one before the whole first-bad set against which nothing is held. Every release on the way is
refused with all that is held against it: by the ledger, its record, the failing slice, its
identity, its contract with what is running and, last, its artifact.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from relkit.core.slices import OVERALL
from relkit.core.values import seconds_between
from relkit.core.wording import duration, short_digest
from relkit.registry.types import Release, ReleaseEvent
from relkit.rollback.compatibility import interface_misfits, partner_misfits
from relkit.rollback.history import History, ServedModel
from relkit.rollback.types import Life, ModelAnswer, Question, Refused, RollbackTarget

LEGACY_WINDOW_S = 24 * 3600.0
"""How old the verification of a release without a gate may be: a day, as a decision is valid."""

SIGN = "@"
"""Between a component and its version, as in ``asr@1.4.0``."""

NOT_REGISTERED = "it has a record, and the ledger does not know it: it was never registered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One event that a plan would append to a ledger as it was when planned."""

    history: History
    version: str
    from_version: str | None
    live: str | None
    bad: tuple[str, ...]

    @property
    def model(self) -> str:
        """The model that goes back."""
        return self.history.model


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """A target and the events it takes; none where there is nothing to move, or no target.

    ``by_rollback`` is the event that made live what is live, where that was a rollback.
    """

    target: RollbackTarget
    moves: tuple[Move, ...] = ()
    by_rollback: ReleaseEvent | None = None


def model_target(model: ServedModel, question: Question) -> ModelAnswer:
    """Return where to go back to, with every release that was refused on the way.

    Without ``question.bad`` what is live is bad. Every version of the question has to be one of
    the ledger (KeyError otherwise). Older releases than the target are not looked at. Nothing is
    changed.
    """
    bad = question.bad or (() if model.live is None else (model.live,))
    bad = tuple(sorted(dict.fromkeys(bad), key=model.history.places.__getitem__))
    live = model.live_release()
    refusals: list[Refused] = []
    for version in reversed(model.history.order):
        outside = _outside(model, version, bad, question)
        if outside is not None:
            refusals.append(outside)
        elif question.to in {None, version}:
            verdict = judge_record(model, version, question, live)
            if isinstance(verdict, Release):
                objections = artifact_objections(model, verdict)
                if not objections:
                    return ModelAnswer(bad=bad, target=verdict, refused=tuple(refusals))
                verdict = refused(version, objections)
            refusals.append(verdict)
    refusals += [
        Refused(version=version, code="not_registered", reason=NOT_REGISTERED)
        for version in model.unlisted
        if question.to in {None, version}
    ]
    return ModelAnswer(bad=bad, target=None, refused=tuple(refusals))


def already_there(model: ServedModel, answer: ModelAnswer) -> bool:
    """Return whether the target is what is served already and no bad release has traffic left."""
    return (
        answer.target is not None
        and answer.target.version == model.live
        and not any(version in model.history.shares for version in answer.bad)
    )


def move(model: ServedModel, version: str, bad: tuple[str, ...]) -> Move:
    """Return the event that goes back; a bad canary is left before what is live."""
    canary = next((name for name in bad if name in model.history.shares), None)
    return Move(
        history=model.history,
        version=version,
        from_version=canary if version == model.live else model.live,
        live=model.live,
        bad=bad,
    )


def in_bad_set(version: str, bad: Sequence[str], places: Mapping[str, int]) -> Refused | None:
    """Return why a release is not before the first-bad set, which is in the order of places."""
    if version in bad:
        return Refused(version=version, code="bad", reason="it is in the first-bad set")
    if bad and places[version] > places[bad[0]]:
        reason = f"it was registered after {bad[0]}, the first of the first-bad set"
        return Refused(version=version, code="after_bad", reason=reason)
    return None


def _outside(
    model: ServedModel, version: str, bad: tuple[str, ...], question: Question
) -> Refused | None:
    """Return why a release is not before the whole first-bad set, or is ahead of what is live."""
    places, live = model.history.places, model.live
    outside = in_bad_set(version, bad, places)
    if outside is not None or live is None or live in bad or live not in places:
        return outside
    if question.to == version or not places[live] < min(places[version], places[bad[0]]):
        return None
    reason = (
        f"it is newer than {live}, which is live and before the first-bad set: going to it is "
        "no way back (--to names it if it is meant)"
    )
    return Refused(version=version, code="newer_than_live", reason=reason)


Objection = tuple[str, str]
"""A code, and in words what is held against a release."""


def refused(version: str, objections: Sequence[Objection]) -> Refused:
    """Return a refusal with all that is held against a release; the code is that of the first."""
    words = "; ".join(words for _, words in objections)
    return Refused(version=version, code=objections[0][0], reason=words)


def judge_record(
    model: ServedModel,
    version: str,
    question: Question,
    live: Release | str,
    *,
    inside: Container[str] = (),
) -> Refused | Release:
    """Return the release where all but the artifact lets it be gone back to, else why not.

    Bad sets are not looked at. ``live`` is the release that runs now, or why it cannot be told;
    ranges of models ``inside`` the same stack are not held.
    """
    life = model.history.life(version)
    objections = _ledger_objections(model, life)
    release = model.release(version)
    if isinstance(release, str):
        return refused(version, [*objections, ("unreadable", release)])
    if not life.records:
        objections.append(("record_changed", "the ledger names no digest of its record"))
    elif any(digest != release.digest for digest in life.records):
        changed = "its record is not the one that the ledger names: it changed"
        objections.append(("record_changed", changed))
    if question.slice is not None:
        objections += _slice_objections(release, life, question.slice)
    if not any(code in {"never_full_traffic", "no_gate"} for code, _ in objections):
        objections += _legacy_objections(model, life, release, question.now)
    objections += _identity_objections(model, release)
    if isinstance(live, Release):
        objections += [("contract", words) for words in interface_misfits(release, live)]
        partners = partner_misfits(release, model.running, inside=inside)
        objections += [("partners", words) for words in partners]
    else:
        objections.append(("contract", f"what is running cannot be told: {live}"))
    return refused(version, objections) if objections else release


def artifact_objections(model: ServedModel, release: Release) -> list[Objection]:
    """Return why the artifact does not verify now."""
    why = model.verify(release)
    return [] if why is None else [("unverifiable", f"its artifact does not verify: {why}")]


def _ledger_objections(model: ServedModel, life: Life) -> list[Objection]:
    objections: list[Objection] = []
    if life.full is None and model.in_stack(life.version) is None:
        objections.append(("never_full_traffic", "it never held full traffic"))
    elif not life.legacy and model.gate(life) is None:
        objections.append(("no_gate", life.ungated))
    if life.yanked is not None:
        why = f": {life.yanked.reason}" if life.yanked.reason else ""
        objections.append(("yanked", f"it was yanked at {life.yanked.at}{why}"))
    if life.left_by is not None:
        event = life.left_by
        where = f", which failed on {event.slice}" if event.slice else ""
        words = (
            f"the rollback of {', '.join(event.bad)} at {event.at}{where} left it behind, and it "
            "was not promoted since"
        )
        objections.append(("rolled_back", words))
    return objections


def _slice_objections(release: Release, life: Life, failing: str) -> list[Objection]:
    worse = [(name, f"it is known to be worse on {name}") for name in release.worse_slices]
    worse += [
        (event.slice, f"it was rolled back at {event.at} for {event.slice}")
        for event in life.worse
        if event.slice is not None
    ]
    objections = []
    for name, words in worse:
        if overlap(name, failing):
            wider = set(name.split("&")) < set(failing.split("&")) or name == OVERALL
            which = f"{'holds' if wider else 'is part of'} the failing {failing}"
            which = "is failing" if name == failing else which
            objections.append(("worse_slice", f"{words}, which {which}"))
    return objections


def overlap(worse: str, failing: str) -> bool:
    """Return whether a slice known to be worse holds the failing one, is it, or is part of it.

    Slices in their normal spelling. What is worse overall is worse everywhere; where everything
    fails (``overall``), only what is worse overall counts.
    """
    if OVERALL in {worse, failing}:
        return worse == OVERALL
    terms, failing_terms = set(worse.split("&")), set(failing.split("&"))
    return terms <= failing_terms or failing_terms <= terms


def _legacy_objections(
    model: ServedModel, life: Life, release: Release, now: str
) -> list[Objection]:
    """Return why a release without a gate, from another registry, may not be a target yet."""
    if model.gate(life) is not None:
        return []
    event = life.verified
    if event is None:
        why = "not verified since its last change"
    elif (age := seconds_between(event.at, now)) is None or not 0 <= age <= LEGACY_WINDOW_S:
        window = duration(LEGACY_WINDOW_S)
        why = f"was verified at {event.at}, which is not within the last {window}"
    elif event.release != release.digest:
        why = f"what was verified at {event.at} is not its record"
    else:
        return []
    command = f"relkit registry verify {release.model} --record"
    words = f"it is attested: legacy, and {why}; verify it first: {command}"
    return [("legacy_unverified", words)]


def _identity_objections(model: ServedModel, release: Release) -> list[Objection]:
    """Return why what is served under a release's identity may not be what was gated."""
    if release.kind != "hosted":
        if release.kind == "stack" or release.artifact is not None:
            return []
        return [("unverifiable", "it has no artifact, so nothing can be verified")]
    hosted = release.hosted
    if hosted is None:
        return [("unverifiable", "it is hosted and does not say by whom")]
    if hosted.fingerprint is None:
        return [("unverifiable", "it is hosted, and no behavioural fingerprint was taken")]
    identity = (hosted.provider, hosted.model, hosted.configuration)
    newest = _newest_fingerprint(model, identity)
    if newest in {None, hosted.fingerprint}:
        return []
    words = (
        f"{hosted.provider} {hosted.model} changed its behaviour behind the same name: the "
        f"fingerprint was {short_digest(hosted.fingerprint)} and is {short_digest(newest or '')}"
    )
    return [("fingerprint_changed", words)]


def _newest_fingerprint(model: ServedModel, identity: tuple[str, str, str]) -> str | None:
    for version in reversed(model.history.order):
        release = model.release(version)
        hosted = None if isinstance(release, str) else release.hosted
        if hosted is None or hosted.fingerprint is None:
            continue
        if (hosted.provider, hosted.model, hosted.configuration) == identity:
            return hosted.fingerprint
    return None
