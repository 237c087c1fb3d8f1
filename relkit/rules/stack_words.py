"""The plan of a stack's rollback in words."""

from collections.abc import Mapping, Sequence

from relkit.domain.releases import Release
from relkit.rules.rollback_refusals import Question, Shelf
from relkit.rules.rollback_words import command, numbered, pairs, rollback_words


def stack_evidence(
    now: Mapping[str, str], revert: Mapping[str, str], served: str | None, *, smallest: bool
) -> list[str]:
    """Return which components go back, which stay, and whether the result was ever served."""
    back = ", ".join(f"{name} {now[name]} -> {version}" for name, version in revert.items())
    kept = {name: version for name, version in now.items() if name not in revert}
    found = [f"revert {back or 'no component'}" + (f"; {pairs(kept)} stay" if kept else "")]
    if smallest:
        found.append("no smaller set of components leaves a stack that may be gone back to")
    if served is not None:
        found.append(f"that is the stack release {served}, which held full traffic")
    else:
        found.append("these releases held full traffic, but never together as one stack release")
    return found


def nearest_words(
    model: str, bad: Sequence[str], question: Question, nearest: str | None
) -> list[str]:
    """Return how to go back to a stack that was served as one instead."""
    if nearest is None:
        return []
    words = [*rollback_words(model, question, bad), "--to", nearest]
    return [f"the newest stack release that was served as one is {nearest}: {command(*words)}"]


def stack_steps(
    model: str,
    bad: Sequence[str],
    question: Question,
    served: str | None,
    revert: Mapping[str, str],
    suspects: Mapping[str, frozenset[str]],
) -> tuple[str, ...]:
    """Return the plan: what to run, in order."""
    words = rollback_words(model, question, bad)
    if served is not None:
        back = command(*words, "--to", served, "--apply")
        found = [f"append the event and move the alias champion to {served}: {back}"]
    else:
        each = ", ".join(f"{name} to {version}" for name, version in revert.items())
        found = [f"append an event and move the alias of {each}: {command(*words, '--apply')}"]
    found.append("see that ledgers, artifacts and aliases agree: relkit registry verify")
    if served is None:
        register = command("registry", "register")
        found.append(f"make what runs a stack release of its own, and gate it: {register} RELEASE")
    for name in sorted(suspects):
        for version in sorted(suspects[name]):
            if name in revert and (len(suspects) == 1 or question.bad):
                why = f"failed on {question.slice}" if question.slice else "first bad release"
                yank = command("registry", "yank", name, version, "--reason", why)
                found.append(f"once it is known to be the bad one: {yank}")
    return numbered(found)


def stack_checklist(
    stack: Shelf,
    bad: Sequence[str],
    chosen: Mapping[str, Release],
    question: Question,
    served: str | None,
) -> tuple[str, ...]:
    """Return what people check once the stack serves again."""
    removed = ", ".join(bad)
    what = served or pairs({name: release.version for name, release in chosen.items()})
    where = f"on {question.slice}, and overall" if question.slice else "overall and on every slice"
    found = [
        f"{what} has all traffic, {removed} has none (canaries, shadows and caches, too)",
        f"every consumer of {stack.history.model} reads the aliases; none pins {removed}",
        "a turn goes through every component: audio in, text, answer, audio out",
        f"the failing metric is back where it was {where}",
    ]
    found += [
        f"the probe clips still give the fingerprint of {name} {release.version}"
        for name, release in sorted(chosen.items())
        if release.hosted is not None
    ]
    return tuple(found)
