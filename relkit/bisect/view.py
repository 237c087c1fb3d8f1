"""How a search for the first bad release is shown to people."""

from relkit.bisect.types import Bisection, CommandAnswer, Narrowed, ReleaseMark
from relkit.core.wording import counted, safe

_HEAD = {
    "contradiction": "contradiction: no one first bad release",
    "no_bad": "no first bad release: nothing bad was found",
    "no_good": "no first bad release: nothing good was found",
    "no_data": "no data: too few releases have the metric",
}


def bisect_text(bisection: Bisection) -> str:
    """Return what ``relkit bisect`` prints for people: the release or the set, and why."""
    head = _HEAD.get(bisection.status)
    if head is None and bisection.first_bad is not None:
        head = f"{bisection.first_bad} is the first bad release of {bisection.model}"
    lines = [head or f"the first bad release of {bisection.model} is one of these:"]
    if bisection.first_bad is None:
        lines += [f"  {version}" for version in bisection.candidates]
    lines += [f"  bad, though a later one is good: {version}" for version in bisection.bad_before]
    lines += [f"  good, though an earlier one is bad: {v}" for v in bisection.good_after]
    lines += [f"  {reason}" for reason in bisection.reasons]
    lines += [f"  skipped: {item.version}: {item.reason}" for item in bisection.skipped]
    noun = "tested" if bisection.by == "command" else "measured"
    again = f", {bisection.replayed} from the log" if bisection.replayed else ""
    lines.append(f"{counted(bisection.steps, 'release')} {noun}{again}")
    return "\n".join(safe(line) for line in lines)


_MARKS = {ReleaseMark.GOOD: "good", ReleaseMark.BAD: "bad", ReleaseMark.SKIP: "skipped"}


def step_line(step: int, answer: CommandAnswer) -> str:
    """Return what one step of a search found: ``step 3: 1.4.0 is bad (exit 1)``."""
    code = "took too long" if answer.exit_code is None else f"exit {answer.exit_code}"
    return f"step {step}: {answer.version} is {_MARKS[answer.mark]} ({code})"


def narrowed_reasons(narrowed: Narrowed, good: str, bad: str) -> tuple[str, ...]:
    """Return why a search by a command ended as it did; nothing where one release is left."""
    reasons = {
        "no_bad": f"no bad release: the command says that {bad} is good",
        "no_good": f"the command says that {good}, the good end, is bad: name an older one",
        "contradiction": "a good release follows a bad one: there is no one first bad release",
        "set": "only skipped releases are left: any of the candidates may be the first bad",
    }
    return (reasons[narrowed.status],) if narrowed.status in reasons else ()
