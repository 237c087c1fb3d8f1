"""``bisect --run``: the first bad release by a command that tests one release at a time.

The log of a search by a command: a line for what is searched, then one for each answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from relkit.bisect.search import (
    NOT_RUN,
    Answer,
    BisectAborted,
    Bisection,
    LogHead,
    Mark,
    Narrowed,
    OnTimeout,
    Skipped,
    between,
    bounds,
    mark_of,
    narrow,
)
from relkit.core.codec import nearest, parse, parse_json
from relkit.core.errors import InvalidInput, UsageError, describe_exit
from relkit.core.slices import is_pattern, normal_slice
from relkit.core.yaml_text import shown, where
from relkit.registry.ledger import LedgerState, state_of
from relkit.registry.types import Release, ReleaseEvent


def parse_log(lines: Sequence[str], *, head: LogHead, source: str) -> tuple[Answer, ...]:
    """Return the answers of a log that begins with ``head``.

    Raises InvalidInput for lines that are none and for the log of another search.
    """
    answers = []
    for number, line in enumerate(lines, start=1):
        document = parse_json(line, source=source, line=number)
        if number > 1:
            answers.append(parse(Answer, document, source=source, line=number))
        elif parse(LogHead, document, source=source, line=1) != head:
            raise InvalidInput(
                f"{where(source, 1)}: the log of another search (model, command or --on-timeout)",
                hint="give another file with --log, or remove this one",
            )
    return tuple(answers)


class LedgerReader(Protocol):
    """The part of a ledger that a search reads."""

    def models(self) -> tuple[str, ...]:
        """Return the models that have a ledger."""
        ...

    def events(self, model: str) -> tuple[ReleaseEvent, ...]:
        """Return a model's events in order; raises UsageError, InvalidInput."""
        ...


class ReleaseReader(Protocol):
    """The part of a release store that a search reads."""

    def read(self, model: str, version: str) -> Release:
        """Return a release; raises UsageError, InvalidInput."""
        ...


class ReleaseCommand(Protocol):
    """A command that says whether a release is good."""

    def run(self, release: Release) -> int | None:
        """Return its exit code (below 0: killed by that signal), None where it took too long."""
        ...


class AnswerLog(Protocol):
    """The answers of an earlier, interrupted search, and those of this one."""

    def answers(self) -> Sequence[Answer]:
        """Return what is logged, oldest first."""
        ...

    def append(self, answer: Answer) -> None:
        """Keep an answer, safe against a kill."""
        ...


Tell = Callable[[str], None]
"""Tells people how far it is."""


_TIMED_OUT: Mapping[OnTimeout, Mark | None] = {"abort": None, "skip": Mark.SKIP, "bad": Mark.BAD}


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectOptions:
    """What is searched: bounds that were named (None: by default), and how to be sure of them.

    ``run`` is a command, ``metric`` the name of a stored metric; one of them is empty. ``slice`` is
    the failing one. ``timeout_s`` is how long a command may take, ``log`` where answers are kept.
    """

    model: str
    good: str | None = None
    bad: str | None = None
    run: str = ""
    metric: str = ""
    slice: str | None = None
    timeout_s: float | None = None
    on_timeout: OnTimeout = "abort"
    check_bounds: bool = False
    log: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectPorts:
    """What a search by a command needs."""

    ledger: LedgerReader
    releases: ReleaseReader
    command: ReleaseCommand
    log: AnswerLog
    tell: Tell


@dataclass(slots=True, kw_only=True)
class _Search:
    """A search by a command while it goes on."""

    options: BisectOptions
    ports: BisectPorts
    logged: dict[tuple[str, str], Answer]
    marks: dict[str, Mark] = field(default_factory=dict)
    steps: int = 0
    replayed: int = 0
    runs: bool = False  # the program is known to run where it is good

    def ask(self, version: str) -> Answer:
        """Return what the command (or the log) says about a version, and mark it."""
        release = self.ports.releases.read(self.options.model, version)
        answer = self.logged.get((version, release.digest))
        self.steps += 1
        if answer is None:
            answer = self._run(release)
            self.ports.log.append(answer)
        else:
            self.replayed += 1
        self.marks[version] = answer.mark
        self.ports.tell(f"step {self.steps}: {version} is {_SAID[answer.mark]}{_code(answer)}")
        return answer

    def _run(self, release: Release) -> Answer:
        code = self.ports.command.run(release)
        mark = _TIMED_OUT[self.options.on_timeout] if code is None else mark_of(code)
        if mark is None:
            what = "took too long" if code is None else f"ended with {describe_exit(code)}"
            raise BisectAborted(
                f"the command {what} at {release.version}, which says nothing about the release",
                hint="mend it and run the same again; with --log FILE answers so far are kept",
            )
        return Answer(version=release.version, release=release.digest, mark=mark, exit_code=code)


_SAID = {Mark.GOOD: "good", Mark.BAD: "bad", Mark.SKIP: "skipped"}


def _code(answer: Answer) -> str:
    return " (took too long)" if answer.exit_code is None else f" (exit {answer.exit_code})"


def checked_slice(text: str) -> str:
    """Return one slice in its one spelling; raises UsageError."""
    try:
        key = normal_slice(text)
    except ValueError as error:
        what, hint = error.args
        raise UsageError(f"--slice {what}", hint=hint) from error
    if is_pattern(key):
        raise UsageError("--slice names several slices", hint="name one: column=value")
    return key


def bisect_by_command(options: BisectOptions, ports: BisectPorts) -> Bisection:
    """Return the first bad release by testing releases with a command.

    Bounds that nobody named are tested first, since believing them would be a guess; named ones
    are believed, as git does, unless they are to be checked. Raises UsageError for bounds that
    cannot be, BisectAborted where the command came to grief.
    """
    state = ledger_state(options.model, ports.ledger)
    good, bad, reasons = bounds(state, good=options.good, bad=options.bad)
    versions = between(tuple(state.registered), good, bad)
    logged = {(answer.version, answer.release): answer for answer in ports.log.answers()}
    search = _Search(options=options, ports=ports, logged=logged)
    _bound(search, bad, named=options.bad is not None, mark=Mark.BAD)
    if search.marks[bad] is Mark.BAD:
        _bound(search, good, named=options.good is not None, mark=Mark.GOOD)
    _recall(search, versions)
    narrowed = _searched(search, versions)
    return Bisection(
        model=options.model,
        by="command",
        status="no_bad" if narrowed.status == "open" else narrowed.status,
        good=good,
        bad=bad,
        candidates=narrowed.candidates if narrowed.status in {"found", "set"} else (),
        steps=search.steps,
        replayed=search.replayed,
        marks=dict(search.marks),
        skipped=tuple(
            Skipped(version=version, reason="skipped by the command")
            for version in versions
            if search.marks.get(version) is Mark.SKIP
        ),
        bad_before=narrowed.bad_before,
        good_after=narrowed.good_after,
        reasons=(*_words(narrowed, good, bad), *reasons),
    )


def _recall(search: _Search, versions: tuple[str, ...]) -> None:
    """Take up all answers of the log between the ends, also those that nobody would ask for now."""
    for version in dict.fromkeys(version for version, _ in search.logged):
        if version in versions[1:-1]:
            release = search.ports.releases.read(search.options.model, version)
            if (version, release.digest) in search.logged:
                search.ask(version)


def _searched(search: _Search, versions: tuple[str, ...]) -> Narrowed:
    """Test one release after the other until nothing is left to test."""
    while (narrowed := narrow(versions, search.marks)).next is not None:
        answer = search.ask(narrowed.next)
        if answer.exit_code in NOT_RUN and not search.runs:
            _check_that_it_runs(search, versions[0], answer)
    return narrowed


def _check_that_it_runs(search: _Search, good: str, answer: Answer) -> None:
    """Ask the good release once where a command may be missing, as git does since 2.36."""
    proof = search.ports.command.run(search.ports.releases.read(search.options.model, good))
    if proof == answer.exit_code:
        raise BisectAborted(
            f"the command ends with exit code {proof} at the good release {good}, too: "
            "it cannot be run",
            hint="check its name and that it may be executed",
        )
    search.runs = True


def _bound(search: _Search, version: str, *, named: bool, mark: Mark) -> None:
    """Mark a bound: as it was named, or as the command says."""
    if named and not search.options.check_bounds:
        search.marks[version] = mark
        return
    answer = search.ask(version)
    if answer.mark is Mark.SKIP:
        raise UsageError(
            f"the command skips {version}, which is one end of the search",
            hint=f"name another with --{mark.value}",
        )
    if mark is Mark.GOOD:
        search.runs = answer.mark is Mark.GOOD


def ledger_state(model: str, ledger: LedgerReader) -> LedgerState:
    """Return what a model's ledger says; raises UsageError for a model that has none."""
    state = state_of(model, ledger.events(model))
    if not state.registered:
        known = nearest(model, ledger.models())
        raise UsageError(
            f'the ledger has no release of a model "{shown(model)}"',
            hint=known or "register one: relkit registry register RELEASE",
        )
    return state


def _words(narrowed: Narrowed, good: str, bad: str) -> tuple[str, ...]:
    match narrowed.status:
        case "no_bad":
            return (f"no bad release: the command says that {bad} is good",)
        case "no_good":
            return (f"the command says that {good}, the good end, is bad: name an older one",)
        case "contradiction":
            return ("a good release follows a bad one: there is no one first bad release",)
        case "set":
            return ("only skipped releases are left: any of the candidates may be the first bad",)
        case _:
            return ()
