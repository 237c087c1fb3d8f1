"""``relkit canary``: telemetry folded onto what was seen before, judged, kept and written."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from relkit.canary.judge import judge_canary
from relkit.canary.plan import assumed_units, planned_rollout
from relkit.canary.policies import require_begun
from relkit.canary.ports import (
    FoldedTurns,
    FoldRequest,
    FoldTurns,
    KeptTurns,
    LedgerCanary,
    Ledgers,
    SampleUnits,
    StateFiles,
    TelemetryFiles,
)
from relkit.canary.state_files import (
    added_up,
    amount_entries,
    amounts_added_up,
    amounts_of,
    check_steps,
    histogram_entries,
    histogram_of,
    parse_state,
    render_state,
)
from relkit.canary.types import (
    AMOUNT_BIN,
    AmountHistogram,
    CanaryDecision,
    CanaryLook,
    CanaryPlan,
    CanaryPolicy,
    CanaryReport,
    CanaryState,
    CanarySubject,
    FinalRollback,
    FrozenThresholds,
    JudgedCanary,
    JudgedPolicy,
    LostTurns,
    ReadFile,
    ServedRelease,
    StateName,
    StepTime,
    TimeBins,
    UnitHistogram,
)
from relkit.core import storage
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import Named, duration_s, seconds_between
from relkit.core.wording import duration, percent, short_digest

_STALE_S = 3600.0
_NO_DIGEST = f"sha256:{'0' * 64}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryOptions:
    """The policy by name or path, the telemetry to judge, and where state and decision go.

    Without ``state`` all of the telemetry is one look. ``now`` is the time of the look.
    """

    policy: str
    telemetry: tuple[str, ...]
    reference: tuple[str, ...] = ()
    state: Path | None = None
    decision: Path | None = None
    now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """The states of shards that are joined into ``state`` and judged as a whole."""

    policy: str
    states: tuple[Path, ...]
    state: Path
    decision: Path | None = None
    now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPlanOptions:
    """The policy, and the traffic that is planned for: telemetry, or only how much there is."""

    policy: str
    reference: tuple[str, ...] = ()
    turns_per_hour: float | None = None
    now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPorts:
    """What judging a canary needs; ``shown`` names a path without a folder of the machine.

    ``sealed`` gives the file of a decision, signed where it has a private key.
    """

    policy: Callable[[str], CanaryPolicy]
    fold: FoldTurns
    sample: SampleUnits
    files: TelemetryFiles
    states: StateFiles
    ledgers: Ledgers
    key: Callable[[], bytes]
    shown: Callable[[Path], str]
    tool_version: str
    sealed: Callable[[CanaryDecision], bytes]


def judge_telemetry(options: CanaryOptions, ports: CanaryPorts) -> JudgedCanary:
    """Fold telemetry onto what was seen before, judge the whole, and keep it.

    The state is written before the decision, the decision before this returns. Raises UsageError,
    InvalidInput, StorageFailed, Busy.
    """
    policy = ports.policy(options.policy)
    subject, steps, ledger_final = _begun(policy, ports.ledgers, options.now)
    key = ports.key()
    with nullcontext() if options.state is None else ports.states.hold(options.state):
        before = _read_state(options.state, policy, ports)
        if before is not None:
            _check_same(before, subject, steps, key, source=_source(options.state))
        paths, fresh, repeated = _unread(options, before, ports)
        request = FoldRequest(
            policy=policy,
            steps=steps,
            control=subject.control if _by_release(policy) else None,
            canary=subject.canary if _by_release(policy) else None,
            paths=paths,
            reference=options.reference,
            now=options.now,
            key=key,
            thresholds=FrozenThresholds() if before is None else before.thresholds,
            keep=None
            if options.state is None
            else (KeptTurns(),)
            if before is None
            else (_kept(before),),
        )
        folded = ports.fold(request)
        if repeated:
            lost = replace(folded.lost, duplicate=folded.lost.duplicate + repeated)
            folded = replace(folded, lost=lost)
        seen = _Seen.of(before).after(folded, fresh)
        return _judge_and_keep(policy, subject, steps, seen, folded, options, ports, ledger_final)


def plan_rollout(options: CanaryPlanOptions, ports: CanaryPorts) -> CanaryPlan:
    """Return what a policy can find on this traffic; raises UsageError, InvalidInput."""
    policy = ports.policy(options.policy)
    if (options.turns_per_hour is None) == (not options.reference):
        raise UsageError(
            "a plan needs traffic to look at, or how much there is",
            hint="--reference PATH, or --turns-per-hour N",
        )
    if options.turns_per_hour is not None:
        return planned_rollout(policy, assumed_units(policy, options.turns_per_hour))
    request = FoldRequest(
        policy=policy,
        steps=(),
        control=None,
        canary=None,
        paths=options.reference,
        reference=(),
        now=options.now,
        key=b"",
    )
    return planned_rollout(policy, ports.sample(request))


def merge_states(options: MergeOptions, ports: CanaryPorts) -> JudgedCanary:
    """Join the states of shards and judge the whole; raises UsageError, InvalidInput."""
    if len(options.states) < 2:  # noqa: PLR2004 - one state is whole
        raise UsageError(
            "--merge needs two states at least", hint="relkit canary POLICY --merge A B"
        )
    policy = ports.policy(options.policy)
    subject, steps, ledger_final = _begun(policy, ports.ledgers, options.now)
    key = ports.key()
    shards = []
    for path in options.states:
        shard = _read_state(path, policy, ports, newest=False)
        if shard is None:
            raise InvalidInput(f"{_source(path)}: no such state", hint="name the states of shards")
        _check_same(shard, subject, steps, key, source=_source(path))
        shards.append(shard)
    _check_shards(shards)
    request = FoldRequest(
        policy=policy,
        steps=steps,
        control=subject.control if _by_release(policy) else None,
        canary=subject.canary if _by_release(policy) else None,
        paths=(),
        reference=(),
        now=options.now,
        key=key,
        thresholds=shards[0].thresholds,
        keep=tuple(_kept(shard) for shard in shards),
    )
    folded = ports.fold(request)
    seen = _Seen.of(None)
    for shard in shards:
        seen = seen.with_shard(_Seen.of(shard))
    seen = seen.after(folded, ())
    folded = replace(folded, telemetry=None)
    with ports.states.hold(options.state):
        return _judge_and_keep(policy, subject, steps, seen, folded, options, ports, ledger_final)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What all looks so far add up to, the units that may go on aside."""

    closed: UnitHistogram
    amounts: AmountHistogram
    lost: LostTurns
    served: tuple[ServedRelease, ...]
    files: tuple[ReadFile, ...]
    times: tuple[TimeBins, ...]
    final: FinalRollback | None
    sequence: int
    previous: str | None
    thresholds: FrozenThresholds

    @classmethod
    def of(cls, state: CanaryState | None) -> "_Seen":
        """Return what a state has seen."""
        if state is None:
            return cls(
                closed={},
                amounts={},
                lost=LostTurns(),
                served=(),
                files=(),
                times=(),
                final=None,
                sequence=0,
                previous=None,
                thresholds=FrozenThresholds(),
            )
        return cls(
            closed=histogram_of(state.histogram, source="the state"),
            amounts=amounts_of(state.amounts),
            lost=state.lost,
            served=state.served,
            files=state.files,
            times=state.times,
            final=state.final,
            sequence=state.sequence,
            previous=state.digest,
            thresholds=state.thresholds,
        )

    def after(self, folded: FoldedTurns, files: tuple[ReadFile, ...]) -> "_Seen":
        """Return this with a look more."""
        return replace(
            self,
            closed=added_up(self.closed, folded.closed),
            amounts=amounts_added_up(self.amounts, folded.closed_amounts),
            lost=self.lost + folded.lost,
            served=_added(self.served, folded.served),
            files=tuple(sorted({*self.files, *files}, key=lambda file: file.digest)),
            times=_binned(self.times, folded.times),
            thresholds=folded.thresholds,
        )

    def with_shard(self, shard: "_Seen") -> "_Seen":
        """Return two shards as one."""
        return replace(
            self,
            closed=added_up(self.closed, shard.closed),
            amounts=amounts_added_up(self.amounts, shard.amounts),
            lost=self.lost + shard.lost,
            served=_added(self.served, shard.served),
            files=tuple(sorted({*self.files, *shard.files}, key=lambda file: file.digest)),
            times=_binned(self.times, shard.times),
            final=self.final or shard.final,
            sequence=max(self.sequence, shard.sequence),
        )


def _added(
    served: tuple[ServedRelease, ...], more: tuple[ServedRelease, ...]
) -> tuple[ServedRelease, ...]:
    turns: dict[tuple[int, str, str], ServedRelease] = {}
    for entry in (*served, *more):
        place = (entry.step, entry.arm, entry.release)
        before = turns.get(place)
        turns[place] = entry if before is None else replace(entry, turns=entry.turns + before.turns)
    return tuple(turns[place] for place in sorted(turns))


def _binned(times: tuple[TimeBins, ...], more: tuple[TimeBins, ...]) -> tuple[TimeBins, ...]:
    total: dict[tuple[int, str], dict[int, int]] = {}
    for entry in (*times, *more):
        bins = total.setdefault((entry.step, entry.column), {})
        for place, turns in entry.bins:
            bins[place] = bins.get(place, 0) + turns
    return tuple(
        TimeBins(step=step, column=column, bins=tuple(sorted(bins.items())))
        for (step, column), bins in sorted(total.items())
    )


def _begun(
    policy: CanaryPolicy, ledgers: Ledgers, now: str
) -> tuple[CanarySubject, tuple[StepTime, ...], FinalRollback | None]:
    """Return what is judged, the steps that have begun, and a rollback that the ledger knows of."""
    control, canary = policy.control, policy.canary
    if policy.model is None:
        require_begun(policy)
        steps = tuple(
            StepTime(index=i, share=step.share, since=step.from_)
            for i, step in enumerate(policy.steps, 1)
            if step.from_ is not None and step.from_ <= now
        )
        subject = CanarySubject(
            model=None,
            control=None if control is None else control.release,
            canary=None if canary is None else canary.release,
        )
        return subject, steps, None
    ledger = ledgers.canary(policy.model)
    for name, source, version in (
        ("control", control, ledger.control),
        ("canary", canary, ledger.canary),
    ):
        if source is not None and source.release not in (None, version):
            raise InvalidInput(
                f"{policy.source}: the {name} is {source.release}, and in the ledger of "
                f"{policy.model} it is {version}",
                hint=f'leave "{name}" out of the policy, or correct it',
            )
    subject = CanarySubject(
        model=policy.model,
        control=ledger.control,
        canary=ledger.canary,
        artifact=ledger.artifact,
    )
    return subject, _ledger_steps(policy, ledger), ledger.rolled_back


def _ledger_steps(policy: CanaryPolicy, ledger: LedgerCanary) -> tuple[StepTime, ...]:
    shares = [step.share for step in policy.steps]
    steps: list[StepTime] = []
    for share, since in ledger.shares:
        if share not in shares:
            listed = ", ".join(map(percent, shares))
            raise InvalidInput(
                f"{policy.source}: the ledger of {policy.model} gives the canary {percent(share)} "
                f"of the traffic since {since}, which is no step of the policy",
                hint=f"its steps: {listed}",
            )
        steps.append(StepTime(index=shares.index(share) + 1, share=share, since=since))
    return tuple(steps)


def _by_release(policy: CanaryPolicy) -> bool:
    """Return whether turns are told apart by their release."""
    return policy.canary is None or policy.canary.release is not None


def _source(path: Path | None) -> str:
    return "" if path is None else path.name


def _read_state(
    path: Path | None, policy: CanaryPolicy, ports: CanaryPorts, *, newest: bool = True
) -> CanaryState | None:
    if path is None:
        return None
    last = ports.states.newest(path) if newest else None
    data = ports.states.read(path)
    if data is None:
        if last is not None:
            raise InvalidInput(
                f"{path.name}: is gone; the state of look {last[0]} was written there",
                hint="restore it, or give the new state another name",
            )
        return None
    return parse_state(data, policy, source=path.name, newest=last)


def _check_same(
    state: CanaryState,
    subject: CanarySubject,
    steps: tuple[StepTime, ...],
    key: bytes,
    *,
    source: str,
) -> None:
    """Raise InvalidInput where a state is about other releases or steps, or of another key."""
    if (state.control, state.canary) != (subject.control, subject.canary):
        raise InvalidInput(
            f"{source}: is about {state.canary} against {state.control}, not about "
            f"{subject.canary} against {subject.control}",
            hint="a rollout of another release has a state of its own",
        )
    if state.key != sha256_bytes(key):
        raise InvalidInput(
            f"{source}: was written with another telemetry key ({short_digest(state.key)})",
            hint="give the key it was written with: --key FILE",
        )
    check_steps(state, steps, source=source)


def _check_shards(shards: list[CanaryState]) -> None:
    """Raise InvalidInput where shards cannot be parts of one whole."""
    files = [file.digest for shard in shards for file in shard.files]
    if len(set(files)) < len(files):
        raise InvalidInput(
            "the same file was read into two of the states",
            hint="each shard reads files of its own",
        )
    if any(shard.thresholds != shards[0].thresholds for shard in shards):
        raise InvalidInput(
            "the states hold tails against different thresholds",
            hint="give every shard the same --reference",
        )


def _kept(state: CanaryState) -> KeptTurns:
    return KeptTurns(
        open_=state.open_,
        recent=state.recent,
        first=state.first,
        watermark_us=state.watermark_us,
        hashing=state.hashing,
    )


def _unread(
    options: CanaryOptions, before: CanaryState | None, ports: CanaryPorts
) -> tuple[tuple[str, ...], tuple[ReadFile, ...], int]:
    """Return the files that were not read before, their digests, and the turns of the others."""
    if options.state is None:
        return options.telemetry, (), 0
    read = {} if before is None else {file.digest: file for file in before.files}
    lengths = sorted({file.length for file in read.values() if file.length})
    fresh: dict[str, tuple[str, ReadFile]] = {}
    again = []
    for path, content in ports.files.digests(options.telemetry, lengths).items():
        digest = content.file.digest
        if digest in read or digest in fresh:
            again.append(path)
            continue
        # A file that has grown is read from where it ended: what was seen is not seen again.
        earlier = [length for length, begun in content.beginnings.items() if begun in read]
        rest = ports.files.after(path, max(earlier)) if earlier else path
        fresh[digest] = rest, content.file
    repeated = ports.files.turns(tuple(again), options.now) if again else 0
    paths = tuple(path for path, _ in fresh.values())
    return paths, tuple(file for _, file in fresh.values()), repeated


def _judge_and_keep(  # noqa: PLR0913, PLR0917 - what a look is made of
    policy: CanaryPolicy,
    subject: CanarySubject,
    steps: tuple[StepTime, ...],
    seen: _Seen,
    folded: FoldedTurns,
    options: CanaryOptions | MergeOptions,
    ports: CanaryPorts,
    ledger_final: FinalRollback | None,
) -> JudgedCanary:
    """Judge what was seen, then write state and decision."""
    look = CanaryLook(
        steps=steps,
        histogram=added_up(seen.closed, folded.going_on),
        amounts=amounts_added_up(seen.amounts, folded.amounts_going_on),
        elapsed_s=_elapsed(steps, folded.newest_us, options.now),
        lost=seen.lost,
        served=seen.served,
        thresholds=seen.thresholds,
        final=seen.final or ledger_final,
        tails=_percentiles(policy, seen.times, len(steps)),
        suspect=(*folded.suspect, *_stale(policy, folded.newest_us, options.now)),
        warnings=folded.warnings,
    )
    report = judge_canary(policy, look)
    state = None
    if options.state is not None:
        state = _write_state(policy, subject, seen, folded, look, report, options, ports)
    decision_file = None
    if options.decision is not None:
        decision = CanaryDecision(
            policy=JudgedPolicy(
                name=policy.name, digest=policy.digest, document=dict(policy.document)
            ),
            subject=subject,
            created=options.now,
            report=report,
            steps=steps,
            histogram=histogram_entries(look.histogram),
            amounts=amount_entries(look.amounts),
            state=state,
            tool_version=ports.tool_version,
        )
        storage.write_bytes(options.decision, ports.sealed(decision))
        decision_file = ports.shown(options.decision)
    if report.verdict == "roll_back" and policy.model is not None and subject.canary is not None:
        ports.ledgers.hold(policy.model, subject.canary, report)
    return JudgedCanary(
        report=report,
        policy=policy,
        subject=subject,
        telemetry=folded.telemetry,
        state=state,
        decision_file=decision_file,
        rollback=_rollback(subject, report),
    )


def _elapsed(steps: tuple[StepTime, ...], watermark_us: int | None, now: str) -> float:
    """Return how long the step has lasted, as far as there are turns of it."""
    if not steps or watermark_us is None:
        return 0.0
    since = steps[-1].since
    lasted = seconds_between(since, now) or 0.0
    newest = watermark_us / 1e6 - _epoch_s(since)
    return max(0.0, min(lasted, newest))


def _epoch_s(time: str) -> float:
    return seconds_between("1970-01-01T00:00:00Z", time) or 0.0


def _stale(policy: CanaryPolicy, watermark_us: int | None, now: str) -> tuple[str, ...]:
    """Return a code where the newest turn is so old that what happens now is not known."""
    if watermark_us is None:
        return ()
    behind = _epoch_s(now) - watermark_us / 1e6
    most = _STALE_S + duration_s(policy.lateness) + duration_s(policy.session_gap)
    return (f"stale:{duration(behind)}",) if behind > most else ()


def _percentiles(
    policy: CanaryPolicy, times: tuple[TimeBins, ...], step: int
) -> dict[tuple[str, float], float]:
    """Return the upper ends of the bins that hold the percentiles of limits, in ms."""
    levels = {int((limit.at or "p95")[1:]) / 100 for limit in policy.limits if limit.budget}
    found = {}
    for entry in times:
        if entry.step != step:
            continue
        total = sum(turns for _, turns in entry.bins)
        for level in levels:
            reached = 0
            for place, turns in entry.bins:
                reached += turns
                if reached >= level * total:
                    found[entry.column, level] = AMOUNT_BIN**place
                    break
    return found


def _write_state(  # noqa: PLR0913, PLR0917 - as above
    policy: CanaryPolicy,
    subject: CanarySubject,
    seen: _Seen,
    folded: FoldedTurns,
    look: CanaryLook,
    report: CanaryReport,
    options: CanaryOptions | MergeOptions,
    ports: CanaryPorts,
) -> StateName:
    path = options.state
    if path is None:
        raise UsageError("no state was named", hint="--state FILE")
    final = look.final
    if final is None and report.verdict == "roll_back":
        final = FinalRollback(
            at=options.now, evidence=report.evidence, reason_codes=report.reason_codes
        )
    state = CanaryState(
        policy=Named(name=policy.name, digest=policy.rollout),
        control=subject.control,
        canary=subject.canary,
        key=sha256_bytes(ports.key()),
        hashing=folded.kept.hashing,
        sequence=seen.sequence + 1,
        previous=seen.previous,
        at=options.now,
        steps=look.steps,
        watermark_us=folded.kept.watermark_us,
        lost=seen.lost,
        served=seen.served,
        thresholds=seen.thresholds,
        files=seen.files,
        times=seen.times,
        histogram=histogram_entries(seen.closed),
        amounts=amount_entries(seen.amounts),
        open_=folded.kept.open_,
        recent=folded.kept.recent,
        first=folded.kept.first,
        final=final,
        digest=_NO_DIGEST,
    )
    data, digest = render_state(state)
    ports.states.write(path, data, sequence=state.sequence, digest=digest)
    return StateName(path=ports.shown(path), digest=digest, previous=seen.previous)


def _rollback(subject: CanarySubject, report: CanaryReport) -> str | None:
    """Return the command that goes back, with the slice that fails where it is one slice."""
    if report.verdict != "roll_back" or subject.model is None or subject.canary is None:
        return None
    harm = next((check for check in report.checks if check.status == "harm"), None)
    sliced = "" if harm is None or harm.slice == "overall" else f" --slice {harm.slice}"
    return f"relkit rollback {subject.model} --bad {subject.canary}{sliced}"
