"""Where to go back to (rules.md section 7), for a model that is served by itself.

Releases are ordered as registered. The target is the newest one before the whole first-bad set
against which nothing is held; :mod:`relkit.rules.rollback_refusals` says what can be.
"""

from collections.abc import Iterator

from relkit.domain.releases import Attested, Refused, Release, RollbackTarget
from relkit.rules.rollback_refusals import Question, Shelf, judge
from relkit.rules.rollback_words import checklist, evidence, nothing_to_do, steps, stuck

AFTER = "after_bad"


def plan_rollback(shelf: Shelf, question: Question) -> RollbackTarget:
    """Return where to go back to and why, with every release that was refused, newest first.

    Without ``question.bad`` what is live is bad. Every version of the question has to be one of
    the ledger (KeyError otherwise). Older releases than the target are not looked at. Nothing is
    changed.
    """
    places = shelf.history.places
    bad = question.bad or (() if shelf.live is None else (shelf.live,))
    bad = tuple(sorted(dict.fromkeys(bad), key=places.__getitem__))
    target, passed = _search(shelf, question, bad)
    found = None if target is None else target.version
    return RollbackTarget(
        model=shelf.history.model,
        live=shelf.live,
        bad=bad,
        target=found,
        refused=passed,
        evidence=() if target is None else evidence(shelf, target, bad, question, len(passed)),
        steps=_steps(shelf, found, bad, question),
        checklist=() if target is None else checklist(shelf, target, bad, question),
        attested="none" if target is None else _attested(shelf, target),
    )


def already_there(shelf: Shelf, target: RollbackTarget) -> bool:
    """Return whether the target is what is served already and no bad release has traffic left."""
    there = target.target is not None and target.target == shelf.live
    return there and not _left(shelf, target.bad)


def _left(shelf: Shelf, bad: tuple[str, ...]) -> bool:
    """Return whether a bad release still has a part of the traffic."""
    return any(version in shelf.history.shares for version in bad)


def _steps(
    shelf: Shelf, target: str | None, bad: tuple[str, ...], question: Question
) -> tuple[str, ...]:
    model = shelf.history.model
    if target is None:
        return stuck(model, bad, question)
    if target == shelf.live and not _left(shelf, bad):
        return nothing_to_do(model, target, bad)
    return steps(model, target, bad, question)


def _attested(shelf: Shelf, target: Release) -> Attested:
    life, lent = shelf.history.life(target.version), shelf.lent(target.version)
    return "gate" if life.gate is not None or (lent is not None and lent.gate) else "legacy"


def _search(
    shelf: Shelf, question: Question, bad: tuple[str, ...]
) -> tuple[Release | None, tuple[Refused, ...]]:
    live = None if shelf.live is None else shelf.release(shelf.live)
    passed: list[Refused] = []
    for version in reversed(shelf.history.order):
        outside = _outside(shelf, version, bad, question)
        if outside is not None:
            passed.append(outside)
            continue
        if question.to is not None and version != question.to:
            continue
        verdict = judge(shelf, version, question, live)
        if isinstance(verdict, Release):
            return verdict, tuple(passed)
        passed.append(verdict)
    passed += _not_registered(shelf, question)
    return None, tuple(passed)


def _outside(
    shelf: Shelf, version: str, bad: tuple[str, ...], question: Question
) -> Refused | None:
    """Return why a release is not before the whole first-bad set."""
    places = shelf.history.places
    if version in bad:
        return Refused(version=version, code="bad", reason="it is in the first-bad set")
    if bad and places[version] > places[bad[0]]:
        reason = f"it was registered after {bad[0]}, the first of the first-bad set"
        return Refused(version=version, code=AFTER, reason=reason)
    live = shelf.live
    if live is None or live in bad or question.to == version or live not in places:
        return None
    if places[version] > places[live] and places[live] < places[bad[0]]:
        reason = (
            f"it is newer than {live}, which is live and before the first-bad set: going to it is "
            "no way back (--to names it if it is meant)"
        )
        return Refused(version=version, code="newer_than_live", reason=reason)
    return None


def _not_registered(shelf: Shelf, question: Question) -> Iterator[Refused]:
    for version in shelf.unlisted:
        if question.to in {None, version}:
            reason = "it has a record, and the ledger does not know it: it was never registered"
            yield Refused(version=version, code="not_registered", reason=reason)
