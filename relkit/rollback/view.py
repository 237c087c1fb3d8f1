"""The plan of a rollback in words: evidence, numbered steps with their commands, the checklist.

The plan of a stack's rollback in words.
"""

import shlex
from collections.abc import Mapping, Sequence

from relkit.core.wording import short_digest
from relkit.registry.types import Release
from relkit.rollback.compatibility import only_stated_by
from relkit.rollback.refusals import Question, Shelf, overlap


def command(*words: str) -> str:
    """Return a command line that a shell reads as these words."""
    return "relkit " + " ".join(shlex.quote(word) for word in words)


def numbered(lines: Sequence[str]) -> tuple[str, ...]:
    """Return lines with their numbers from 1."""
    return tuple(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def rollback_words(model: str, question: Question, bad: Sequence[str]) -> list[str]:
    """Return ``rollback MODEL --bad …`` as words, with the failing slice."""
    words = ["rollback", model]
    for version in bad:
        words += ["--bad", version]
    if question.slice is not None:
        words += ["--slice", question.slice]
    return words


def evidence(
    shelf: Shelf, target: Release, bad: Sequence[str], question: Question, passed: int
) -> tuple[str, ...]:
    """Return in words what speaks for a target."""
    version, model = target.version, shelf.history.model
    found = [*service(shelf, target), proof(shelf, target), identity(target)]
    live = None if shelf.live is None else shelf.release(shelf.live)
    if isinstance(live, Release):
        found.append(_fits(shelf, target, live))
    if question.slice is not None:
        found.append(f"{version} is not known to be worse on {question.slice}")
    if bad:
        which = f"before {bad[0]}" + (", the first of the bad set" if len(bad) > 1 else "")
        how = "is the named" if question.to is not None else "is the newest fitting"
        found.append(f"{version} {how} release of {model} {which}; {passed} refused on the way")
    return tuple(found)


def service(shelf: Shelf, target: Release) -> list[str]:
    """Return since when a release held full traffic."""
    life, lent = shelf.history.life(target.version), shelf.lent(target.version)
    if life.full is not None:
        at = f"at {life.full.at} by {life.full.by} (event {life.full.sequence})"
        return [f"{target.version} held full traffic: {life.full.kind} {at}"]
    if lent is not None:
        return [f"{target.version} held full traffic in {lent.stack}, from {lent.at}"]
    return []


def proof(shelf: Shelf, target: Release) -> str:
    """Return what shows that a release passed its gate, or what stands in for it."""
    life, lent = shelf.history.life(target.version), shelf.lent(target.version)
    gate = life.gate or (None if lent is None else lent.gate)
    if gate is not None:
        whose = "" if gate.model == shelf.history.model else f" of {gate.model}"
        return (
            f"{target.version} passed its gate: decision {short_digest(gate.decision)} "
            f"(event {gate.sequence}{whose})"
        )
    at = "" if life.verified is None else f" at {life.verified.at}"
    return f"{target.version} has no gate behind it (attested: legacy) and was verified{at}"


def identity(target: Release) -> str:
    """Return what was verified of a release."""
    if target.hosted is not None:
        hosted = target.hosted
        print_ = short_digest(hosted.fingerprint or "")
        return (
            f"{target.version} is {hosted.provider} {hosted.model}, configuration "
            f"{short_digest(hosted.configuration)}, fingerprint {print_}, none newer differs"
        )
    if target.artifact is not None:
        return f"its artifact {short_digest(target.artifact.digest)} verifies now"
    return f"its components verify now: {pairs(target.pins)}"


def _fits(shelf: Shelf, target: Release, live: Release) -> str:
    beside = {
        name: release.version
        for name, release in shelf.running.partners.items()
        if name in target.requires or target.model in release.requires
    }
    words = f"its contract fits that of {live.version}, which is live"
    return f"{words}, and what runs beside it: {pairs(beside)}" if beside else words


def pairs(versions: Mapping[str, str]) -> str:
    """Return ``asr 1.4, llm 2.0``."""
    return ", ".join(f"{name} {versions[name]}" for name in sorted(versions))


def steps(model: str, target: str, bad: Sequence[str], question: Question) -> tuple[str, ...]:
    """Return the plan: what to run, in order."""
    back = command(*rollback_words(model, question, bad), "--to", target, "--apply")
    found = [
        f"append the event and move the alias champion to {target}: {back}",
        "see that ledger, artifacts and aliases agree: relkit registry verify",
        f"go through the checklist with {target} serving",
    ]
    for version in bad:
        why = f"failed on {question.slice}" if question.slice else "first bad release"
        yank = command("registry", "yank", model, version, "--reason", why)
        found.append(f"keep {version} from being a target later: {yank}")
    if len(bad) > 1:
        find = command("bisect", model, "--good", target, "--bad", bad[-1], "--run", "CMD")
        found.append(f"find out which of the {len(bad)} is the first bad one: {find}")
    return numbered(found)


def nothing_to_do(model: str, target: str, bad: Sequence[str]) -> tuple[str, ...]:
    """Return the plan where the bad releases have no traffic any more."""
    gone = ", ".join(bad)
    return numbered(
        [
            f"nothing to move: {target} is live, and {gone} has no traffic",
            "see that ledger, artifacts and aliases agree: relkit registry verify",
            f"where {target} is bad, too: {command('rollback', model, '--bad', target)}",
        ]
    )


def stuck(model: str, bad: Sequence[str], question: Question) -> tuple[str, ...]:
    """Return what to do where there is no target."""
    what = f"{model} {question.to}" if question.to is not None else f"{model}"
    found = [f"no rollback: {what} has no release that may be gone back to; read the reasons"]
    if question.to is not None:
        words = rollback_words(model, question, bad)
        found.append(f"see which release would do instead: {command(*words)}")
    found.append("mend what can be mended (a missing artifact, a stale verification), plan again")
    found.append(
        f"otherwise gate a mended release: {command('registry', 'promote', model)} VERSION"
    )
    return numbered(found)


def checklist(
    shelf: Shelf, target: Release, bad: Sequence[str], question: Question
) -> tuple[str, ...]:
    """Return what people check once a target serves."""
    removed = ", ".join(bad) or "the bad release"
    found = [
        f"{target.version} has all traffic, {removed} has none (canaries, shadows and caches, too)",
        f"every consumer reads the alias champion = {target.version}; none pins {removed}",
        f"sessions that began on {removed} end well or are restarted",
        f"data that {removed} wrote (caches, indexes, prompts) is readable by {target.version}",
    ]
    if question.slice is not None:
        found.append(f"the failing metric is back where it was on {question.slice}, and overall")
    else:
        found.append("the failing metric is back where it was, overall and on every slice")
    if target.hosted is not None:
        found.append(f"the probe clips still give the fingerprint of {target.version}")
    live = None if shelf.live is None else shelf.release(shelf.live)
    if isinstance(live, Release):
        found += only_stated_by(target, live)
    if question.slice is None and target.worse_slices:
        found.append(f"{target.version} is known to be worse on {', '.join(target.worse_slices)}")
    elif others := [s for s in target.worse_slices if not overlap(s, question.slice or s)]:
        found.append(f"{target.version} is known to be worse elsewhere: {', '.join(others)}")
    return tuple(found)


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
