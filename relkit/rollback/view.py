"""A rollback for people: evidence, numbered steps with their commands, the checklist, the text.

Rules say where to go back to; what speaks for it, and what is to be done then, is worded here: for
the document of ``relkit rollback --json``, and for a terminal.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.wording import safe, short_digest
from relkit.registry.types import Release
from relkit.rollback.compatibility import only_stated_by
from relkit.rollback.history import ServedModel
from relkit.rollback.target import RollbackPlan, already_there, overlap
from relkit.rollback.types import (
    Applied,
    ModelAnswer,
    Question,
    RollbackTarget,
    StackAnswer,
    Suspects,
)

_SHOWN = 12
"""Refused releases that the terminal shows; ``--json`` has all."""

_AGREE = "artifacts and aliases agree: relkit registry verify"


def rollback_json(planned: RollbackPlan, done: Applied) -> dict[str, JsonValue]:
    """Return the document of ``--json``."""
    target = planned.target
    return {
        **encode(target),
        "already": target.target is not None and not planned.moves,
        "applied": bool(done.events),
        "events": [
            {
                "model": event.model,
                "sequence": event.sequence,
                "version": event.version,
                "digest": event.digest,
            }
            for event in done.events
        ],
        "mirrored": done.mirrored,
    }


def rollback_lines(planned: RollbackPlan, done: Applied) -> str:
    """Return the text for people; whatever came from data cannot steer the terminal."""
    target = planned.target
    head = f"{target.model}: live {target.live or 'none'}, bad {', '.join(target.bad) or 'none'}"
    if target.slice is not None:
        head += f", failing on {target.slice}"
    if target.target is None:
        state = "no target: every release is refused"
    elif not planned.moves:
        state = f"target {target.target}: live already, nothing to move"
    else:
        legacy = " (attested: legacy)" if target.attested == "legacy" else ""
        state = f"{'rolled back to' if done.events else 'target'} {target.target}{legacy}"
    refusals = [f"{refused.version}: {refused.reason}" for refused in target.refused[:_SHOWN]]
    if len(target.refused) > _SHOWN:
        refusals.append(f"and {len(target.refused) - _SHOWN} more: --json lists them")
    sets = [
        ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        for versions in target.alternatives
    ]
    lines = [head, state]
    for title, block in (
        ("evidence", target.evidence),
        ("next best (artifacts not verified yet)", sets),
        ("refused", refusals),
        ("plan", target.steps),
        ("checklist", [f"[ ] {line}" for line in target.checklist]),
    ):
        lines += ["", title, *(f"  {line}" for line in block)] if block else []
    return "\n".join(safe(part) for line in lines for part in line.split("\n")) + "\n"


def worded_target(model: ServedModel, question: Question, answer: ModelAnswer) -> RollbackTarget:
    """Return where a model goes back to, with its reasons, the plan and the checklist."""
    target, bad = answer.target, answer.bad
    worded = RollbackTarget(
        model=model.name,
        live=model.live,
        bad=bad,
        slice=question.slice,
        target=None,
        refused=answer.refused,
        steps=_stuck(model.name, bad, question),
    )
    if target is None:
        return worded
    if already_there(model, answer):
        steps = _nothing_to_do(model.name, target.version, bad)
    else:
        steps = _steps(model.name, target.version, bad, question)
    return replace(
        worded,
        target=target.version,
        evidence=tuple(_evidence(model, target, question, answer)),
        steps=_numbered(steps),
        checklist=tuple(_checklist(model, target, bad, question)),
        attested="legacy" if model.gate(model.history.life(target.version)) is None else "gate",
    )


def worded_stack_target(
    stack: ServedModel, parts: Mapping[str, ServedModel], question: Question, answer: StackAnswer
) -> RollbackTarget:
    """Return where a stack goes back to, with its reasons, the plan and the checklist."""
    evidence = [*_suspect_lines(answer.suspects)]
    worded = RollbackTarget(
        model=stack.name,
        live=stack.live,
        bad=answer.bad,
        slice=question.slice,
        target=answer.target,
        refused=answer.refused,
    )
    if answer.gone:
        what = f"nothing of {', '.join(answer.bad)} is running"
        return replace(
            worded, evidence=(*evidence, what), steps=_numbered([f"nothing to move: {what}"])
        )
    bound = "the search ended at its bound: a smaller set, or another one, may exist"
    if answer.target is None:
        evidence += [bound] if answer.exhausted else []
        return replace(
            worded, evidence=tuple(evidence), steps=_stuck(stack.name, answer.bad, question)
        )
    evidence += _stack_evidence(answer)
    gates = []
    for name, release in answer.revert.items():
        part = parts[name]
        gates.append(part.gate(part.history.life(release.version)))
        lines = (*_service(part, release), _proof(part, release), _identity(release))
        evidence += [f"{name}: {line}" for line in lines]
    if answer.nearest is not None:
        words = [*_words(stack.name, answer.bad, question), "--to", answer.nearest]
        nearest = f"the newest stack release that was served as one is {answer.nearest}"
        evidence.append(f"{nearest}: {_command(*words)}")
    evidence += [bound] if answer.exhausted else []
    return replace(
        worded,
        evidence=tuple(evidence),
        steps=_numbered(_stack_steps(stack.name, question, answer)),
        checklist=tuple(_stack_checklist(stack.name, question, answer)),
        revert={name: release.version for name, release in answer.revert.items()},
        alternatives=answer.alternatives,
        attested="legacy" if None in gates else "gate",
    )


def _command(*words: str) -> str:
    return "relkit " + " ".join(shlex.quote(word) for word in words)


def _words(model: str, bad: Sequence[str], question: Question) -> list[str]:
    """Return ``rollback MODEL --bad …`` as words, with the failing slice."""
    words = ["rollback", model]
    for version in bad:
        words += ["--bad", version]
    return words if question.slice is None else [*words, "--slice", question.slice]


def _yank(model: str, version: str, question: Question) -> str:
    why = f"failed on {question.slice}" if question.slice else "first bad release"
    return _command("registry", "yank", model, version, "--reason", why)


def _numbered(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def _pins(versions: Mapping[str, str]) -> str:
    """Return ``asr 1.4, llm 2.0``."""
    return ", ".join(f"{name} {versions[name]}" for name in sorted(versions))


def _stuck(model: str, bad: Sequence[str], question: Question) -> tuple[str, ...]:
    what = model if question.to is None else f"{model} {question.to}"
    lines = [f"no rollback: {what} has no release that may be gone back to; read the reasons"]
    if question.to is not None:
        instead = _command(*_words(model, bad, question))
        lines.append(f"see which release would do instead: {instead}")
    lines.append("mend what can be mended (a missing artifact, a stale verification), plan again")
    lines.append(
        f"otherwise gate a mended release: {_command('registry', 'promote', model)} VERSION"
    )
    return _numbered(lines)


def _evidence(
    model: ServedModel, target: Release, question: Question, answer: ModelAnswer
) -> Iterator[str]:
    version, bad = target.version, answer.bad
    yield from _service(model, target)
    yield _proof(model, target)
    yield _identity(target)
    live = model.live_release()
    if isinstance(live, Release):
        beside = {
            name: release.version
            for name, release in model.running.partners.items()
            if name in target.requires or target.model in release.requires
        }
        partners = f", and what runs beside it: {_pins(beside)}" if beside else ""
        yield f"its contract fits that of {live.version}, which is live{partners}"
    if question.slice is not None:
        yield f"{version} is not known to be worse on {question.slice}"
    if bad:
        which = f"before {bad[0]}" + (", the first of the bad set" if len(bad) > 1 else "")
        how = "is the named" if question.to is not None else "is the newest fitting"
        passed = f"{len(answer.refused)} refused on the way"
        yield f"{version} {how} release of {model.name} {which}; {passed}"


def _service(model: ServedModel, target: Release) -> Iterator[str]:
    full, in_stack = model.history.life(target.version).full, model.in_stack(target.version)
    if full is not None:
        at = f"at {full.at} (event {full.sequence})"  # by whom stays in the ledger
        yield f"{target.version} held full traffic: {full.kind} {at}"
    elif in_stack is not None:
        yield f"{target.version} held full traffic in {in_stack.stack}, from {in_stack.at}"


def _proof(model: ServedModel, target: Release) -> str:
    """Return what shows that a release passed its gate, or what stands in for it."""
    life = model.history.life(target.version)
    gate = model.gate(life)
    if gate is not None:
        whose = "" if gate.model == model.name else f" of {gate.model}"
        return (
            f"{target.version} passed its gate: decision {short_digest(gate.decision or '')} "
            f"(event {gate.sequence}{whose})"
        )
    at = "" if life.verified is None else f" at {life.verified.at}"
    return f"{target.version} has no gate behind it (attested: legacy) and was verified{at}"


def _identity(target: Release) -> str:
    if target.hosted is not None:
        hosted = target.hosted
        return (
            f"{target.version} is {hosted.provider} {hosted.model}, configuration "
            f"{short_digest(hosted.configuration)}, fingerprint "
            f"{short_digest(hosted.fingerprint or '')}, none newer differs"
        )
    if target.artifact is not None:
        return f"its artifact {short_digest(target.artifact.digest)} verifies now"
    return f"its components verify now: {_pins(target.pins)}"


def _steps(model: str, target: str, bad: Sequence[str], question: Question) -> Iterator[str]:
    back = _command(*_words(model, bad, question), "--to", target, "--apply")
    yield f"append the event and move the alias champion to {target}: {back}"
    yield f"see that ledger, {_AGREE}"
    yield f"go through the checklist with {target} serving"
    for version in bad:
        yield f"keep {version} from being a target later: {_yank(model, version, question)}"
    if len(bad) > 1:
        find = _command("bisect", model, "--good", target, "--bad", bad[-1], "--run", "CMD")
        yield f"find out which of the {len(bad)} is the first bad one: {find}"


def _nothing_to_do(model: str, target: str, bad: Sequence[str]) -> Iterator[str]:
    yield f"nothing to move: {target} is live, and {', '.join(bad)} has no traffic"
    yield f"see that ledger, {_AGREE}"
    yield f"where {target} is bad, too: {_command('rollback', model, '--bad', target)}"


def _checklist(
    model: ServedModel, target: Release, bad: Sequence[str], question: Question
) -> Iterator[str]:
    version, removed = target.version, ", ".join(bad) or "the bad release"
    yield f"{version} has all traffic, {removed} has none (canaries, shadows and caches, too)"
    yield f"every consumer reads the alias champion = {version}; none pins {removed}"
    yield f"sessions that began on {removed} end well or are restarted"
    yield f"data that {removed} wrote (caches, indexes, prompts) is readable by {version}"
    where = "overall and on every slice"
    where = f", {where}" if question.slice is None else f" on {question.slice}, and overall"
    yield f"the failing metric is back where it was{where}"
    if target.hosted is not None:
        yield f"the probe clips still give the fingerprint of {version}"
    live = model.live_release()
    if isinstance(live, Release):
        yield from only_stated_by(target, live)
    if question.slice is None and target.worse_slices:
        yield f"{version} is known to be worse on {', '.join(target.worse_slices)}"
    elif elsewhere := [s for s in target.worse_slices if not overlap(s, question.slice or s)]:
        yield f"{version} is known to be worse elsewhere: {', '.join(elsewhere)}"


def _suspect_lines(suspects: Suspects) -> Iterator[str]:
    if suspects.last_good is not None:
        yield f"the last stack before {suspects.stacks[0]} is {suspects.last_good.version}"
    for version, pins in suspects.brought_in.items():
        if isinstance(pins, str):
            yield f"what {version} pinned cannot be told: {pins}"
        else:
            yield from (f"{version} brought in {name} {pin}" for name, pin in pins.items())


def _stack_evidence(answer: StackAnswer) -> Iterator[str]:
    """Yield which components go back, which stay, and whether the result was ever served."""
    back = ", ".join(
        f"{name} {answer.running[name].version} -> {release.version}"
        for name, release in answer.revert.items()
    )
    stay = {
        name: release.version
        for name, release in answer.running.items()
        if name not in answer.revert
    }
    yield f"revert {back or 'no component'}" + (f"; {_pins(stay)} stay" if stay else "")
    if answer.smallest:
        yield "no smaller set of components leaves a stack that may be gone back to"
    if answer.release is not None:
        yield f"that is the stack release {answer.release}, which held full traffic"
    else:
        yield "these releases held full traffic, but never together as one stack release"


def _stack_steps(stack: str, question: Question, answer: StackAnswer) -> Iterator[str]:
    words, release = _words(stack, answer.bad, question), answer.release
    if release is not None:
        back = _command(*words, "--to", release, "--apply")
        yield f"append the event and move the alias champion to {release}: {back}"
    else:
        each = ", ".join(f"{name} to {part.version}" for name, part in answer.revert.items())
        yield f"append an event and move the alias of {each}: {_command(*words, '--apply')}"
    yield f"see that ledgers, {_AGREE}"
    if release is None:
        register = _command("registry", "register")
        yield f"make what runs a stack release of its own, and gate it: {register} RELEASE"
    suspects = answer.suspects.bad
    for name in sorted(suspects):
        if name in answer.revert and (len(suspects) == 1 or question.bad):
            for version in sorted(suspects[name]):
                yank = _yank(name, version, question)
                yield f"once it is known to be the bad one: {yank}"


def _stack_checklist(stack: str, question: Question, answer: StackAnswer) -> Iterator[str]:
    removed = ", ".join(answer.bad)
    what = answer.release or _pins({name: r.version for name, r in answer.revert.items()})
    yield f"{what} has all traffic, {removed} has none (canaries, shadows and caches, too)"
    yield f"every consumer of {stack} reads the aliases; none pins {removed}"
    yield "a turn goes through every component: audio in, text, answer, audio out"
    where = f"on {question.slice}, and overall" if question.slice else "overall and on every slice"
    yield f"the failing metric is back where it was {where}"
    for name, release in answer.revert.items():
        if release.hosted is not None:
            yield f"the probe clips still give the fingerprint of {name} {release.version}"
