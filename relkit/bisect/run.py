"""``relkit bisect``: the first bad release, by a command or by a metric that evaluations stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relkit.bisect.metric import judge_history
from relkit.bisect.ports import BisectPorts, MetricPorts
from relkit.bisect.search import (
    NOT_RUN,
    between,
    bounds,
    default_bad,
    mark_of,
    narrow,
    unknown_version,
)
from relkit.bisect.types import (
    Bisection,
    CommandAnswer,
    LogHead,
    MetricPoint,
    Narrowed,
    OnTimeout,
    ReleaseMark,
    Skipped,
)
from relkit.bisect.view import narrowed_reasons, step_line
from relkit.core.codec import decode, nearest, parse, parse_json
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput, NoData, RelkitError, UsageError, describe_exit
from relkit.core.metrics import metric_of
from relkit.core.slices import OVERALL, is_pattern, normal_slice
from relkit.core.yaml_text import shown, where
from relkit.evaluation.run_files import parse_report
from relkit.registry.ledger import LedgerState, state_of
from relkit.registry.ports import ReleaseLedger
from relkit.registry.types import Release

_TIMED_OUT: Mapping[OnTimeout, ReleaseMark | None] = {
    "abort": None,
    "skip": ReleaseMark.SKIP,
    "bad": ReleaseMark.BAD,
}


class BisectAborted(RelkitError):
    """The command could not say anything about a release, and nothing may be concluded."""

    code = "aborted"


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
    search.bound(bad, named=options.bad is not None, mark=ReleaseMark.BAD)
    if search.marks[bad] is ReleaseMark.BAD:
        search.bound(good, named=options.good is not None, mark=ReleaseMark.GOOD)
    narrowed = search.narrow(versions)
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
            if search.marks.get(version) is ReleaseMark.SKIP
        ),
        bad_before=narrowed.bad_before,
        good_after=narrowed.good_after,
        reasons=(*narrowed_reasons(narrowed, good, bad), *reasons),
    )


@dataclass(slots=True, kw_only=True)
class _Search:
    options: BisectOptions
    ports: BisectPorts
    logged: dict[tuple[str, str], CommandAnswer]
    marks: dict[str, ReleaseMark] = field(default_factory=dict)
    steps: int = 0
    replayed: int = 0
    runs: bool = False  # the program is known to run where it is good

    def bound(self, version: str, *, named: bool, mark: ReleaseMark) -> None:
        """Mark a bound: as it was named, or as the command says."""
        if named and not self.options.check_bounds:
            self.marks[version] = mark
            return
        answer = self.ask(version)
        if answer.mark is ReleaseMark.SKIP:
            raise UsageError(
                f"the command skips {version}, which is one end of the search",
                hint=f"name another with --{mark.value}",
            )
        if mark is ReleaseMark.GOOD:
            self.runs = answer.mark is ReleaseMark.GOOD

    def narrow(self, versions: tuple[str, ...]) -> Narrowed:
        """Test one release after the other until nothing is left to test.

        All answers of the log between the ends come first, also those that nobody would ask for.
        """
        for version in dict.fromkeys(version for version, _ in self.logged):
            if version in versions[1:-1]:
                release = self.ports.releases.read(self.options.model, version)
                if (version, release.digest) in self.logged:
                    self.ask(version)
        while (narrowed := narrow(versions, self.marks)).next is not None:
            answer = self.ask(narrowed.next)
            if answer.exit_code in NOT_RUN and not self.runs:
                # The command may be missing: the good release is asked once, as git does since 2.36
                good = self.ports.releases.read(self.options.model, versions[0])
                if (code := self.ports.command.run(good)) == answer.exit_code:
                    raise BisectAborted(
                        f"the command ends with exit code {code} at the good release "
                        f"{versions[0]}, too: it cannot be run",
                        hint="check its name and that it may be executed",
                    )
                self.runs = True
        return narrowed

    def ask(self, version: str) -> CommandAnswer:
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
        self.ports.tell(step_line(self.steps, answer))
        return answer

    def _run(self, release: Release) -> CommandAnswer:
        code = self.ports.command.run(release)
        mark = _TIMED_OUT[self.options.on_timeout] if code is None else mark_of(code)
        if mark is None:
            what = "took too long" if code is None else f"ended with {describe_exit(code)}"
            raise BisectAborted(
                f"the command {what} at {release.version}, which says nothing about the release",
                hint="mend it and run the same again; with --log FILE answers so far are kept",
            )
        return CommandAnswer(
            version=release.version, release=release.digest, mark=mark, exit_code=code
        )


def parse_answers(lines: Sequence[str], *, head: LogHead, source: str) -> tuple[CommandAnswer, ...]:
    """Return the answers of a log that begins with ``head``.

    Raises InvalidInput for lines that are none and for the log of another search.
    """
    answers = []
    for number, line in enumerate(lines, start=1):
        document = parse_json(line, source=source, line=number)
        if number > 1:
            answers.append(parse(CommandAnswer, document, source=source, line=number))
        elif parse(LogHead, document, source=source, line=1) != head:
            raise InvalidInput(
                f"{where(source, 1)}: the log of another search (model, command or --on-timeout)",
                hint="give another file with --log, or remove this one",
            )
    return tuple(answers)


def bisect_by_metric(options: BisectOptions, ports: MetricPorts) -> Bisection:
    """Return the first bad release by where the level of a stored metric changed for the worse.

    Without a named good release the whole history counts: the badness begins after the last
    recovery. Raises UsageError for unknown names, NoData where no release has the metric,
    InvalidInput where a report is not the one that a release was registered with.
    """
    metric = options.metric
    slice_ = OVERALL if options.slice is None else checked_slice(options.slice)
    try:
        measure = metric_of(metric)
    except KeyError as error:
        raise UsageError(
            f'no metric "{shown(metric)}"', hint="for example wer, cer, latency_ms.p95"
        ) from error
    state = ledger_state(options.model, ports.ledger)
    order = tuple(state.registered)
    bad = options.bad or default_bad(state)[0]
    if options.good is not None:
        between(order, options.good, bad)
    elif bad not in order:
        raise unknown_version(bad, order)
    releases = [ports.releases.read(options.model, version) for version in order]
    points = [_point(release, metric, slice_, ports) for release in releases]
    skipped = tuple(
        Skipped(version=point.version, reason=point.reason or "no value")
        for point in points
        if point.value is None
    )
    if len(skipped) == len(points):
        raise NoData(
            f"no release of {options.model} has {metric} of {slice_}: {skipped[0].reason}",
            hint="releases name their report with report and run; see: relkit registry validate",
        )
    verdict = judge_history(
        points, better=measure.better, good=options.good, bad=bad, unit=measure.unit
    )
    return Bisection(
        model=options.model,
        by="metric",
        status="no_bad" if verdict.status == "open" else verdict.status,
        good=options.good,
        bad=bad,
        candidates=verdict.candidates,
        steps=len(points) - len(skipped),
        skipped=skipped,
        bad_before=verdict.bad_before,
        good_after=verdict.good_after,
        changes=verdict.changes,
        reasons=verdict.reasons,
    )


def _point(release: Release, metric: str, slice_: str, ports: MetricPorts) -> MetricPoint:
    def without(reason: str) -> MetricPoint:
        return MetricPoint(version=release.version, value=None, reason=reason)

    if release.report is None:
        return without("the release names no report")
    data = _report(release, ports)
    if data is None:
        return without("its report is not here")
    source = f"the report of {release.version}"
    report = parse_report(decode(data, source=source), source=source)
    part = next((item for item in report.slices if item.slice == slice_), None)
    if part is None:
        return without(f"its report has no slice {slice_}")
    estimate = part.metrics.get(metric)
    if estimate is None or estimate.value is None:
        return without(f"its report has no {metric} of {slice_}")
    return MetricPoint(
        version=release.version, value=estimate.value, low=estimate.low, high=estimate.high
    )


def _report(release: Release, ports: MetricPorts) -> bytes | None:
    """Return the report of the release's digest, beside it or in its run; None where it is not.

    Raises InvalidInput where the run it names has another report now.
    """
    for _, data in ports.releases.evidence(release.model, release.version):
        if sha256_bytes(data) == release.report:
            return data
    data_of_run = None if release.run is None else ports.run_report(release.run)
    if data_of_run is not None and sha256_bytes(data_of_run) != release.report:
        raise InvalidInput(
            f"the report of {release.model} {release.version} is not the one it was "
            "registered with",
            hint=f"bring back the report.json of run {release.run}",
        )
    return data_of_run


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


def ledger_state(model: str, ledger: ReleaseLedger) -> LedgerState:
    """Return what a model's ledger says; raises UsageError for a model that has none."""
    state = state_of(model, ledger.events(model))
    if not state.registered:
        raise UsageError(
            f'the ledger has no release of a model "{shown(model)}"',
            hint=nearest(model, ledger.models())
            or "register one: relkit registry register RELEASE",
        )
    return state
