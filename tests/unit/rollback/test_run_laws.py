"""A random history never yields a target that the method refuses.

See docs/method.md, section "Rollback".

The oracle below reads the whole history for every question and shares nothing with the rules.
"""

from dataclasses import replace
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.registry.types import EventKind, Interface, ReleaseEvent
from relkit.rollback.run import RollbackOptions, apply, plan_rollback
from tests.rollback_data import Registry, hosted, release

SLICE = "accent=scottish"
VERSIONS = ("a", "b", "c", "d", "e")
KINDS = tuple(EventKind)


GATE: dict[str, object] = {"decision": "sha256:y"}
SCRIPTS: tuple[tuple[tuple[EventKind, dict[str, object]], ...], ...] = (
    ((EventKind.PROMOTED, GATE),),
    ((EventKind.PROMOTED, GATE),),
    ((EventKind.PROMOTED, GATE), (EventKind.YANKED, {})),
    ((EventKind.PROMOTED, GATE), (EventKind.YANKED, {}), (EventKind.RESTORED, {})),
    ((EventKind.PROMOTED, {"attested": "none"}),),
    ((EventKind.PROMOTED, {"attested": "none"}), (EventKind.VERIFIED, {})),
    ((EventKind.PROMOTED, {"decision": None}),),
    ((EventKind.PROMOTED, {**GATE, "traffic": 0.5}),),
    ((EventKind.CANARY, {"traffic": 0.5}),),
    ((EventKind.OVERRIDDEN, {"decision": "sha256:o"}), (EventKind.PROMOTED, GATE)),
    (
        (EventKind.OVERRIDDEN, {"decision": "sha256:o"}),
        (EventKind.CANARY, {"traffic": 0.5, "decision": "sha256:x"}),
        (EventKind.PROMOTED, GATE),
    ),
    ((EventKind.PROMOTED, {"attested": "legacy"}),),
    ((EventKind.PROMOTED, {"attested": "legacy"}), (EventKind.VERIFIED, {})),
    (
        (EventKind.PROMOTED, {"attested": "legacy"}),
        (EventKind.VERIFIED, {}),
        (EventKind.RESTORED, {}),
    ),
    (
        (EventKind.PROMOTED, {"attested": "legacy"}),
        (EventKind.VERIFIED, {"at": "2025-06-01T00:00:00Z"}),
    ),
)
"""What releases go through, each with its own trap."""


@st.composite
def histories(draw: st.DrawFn) -> Registry:
    """Draw releases that differ in all that matters, and anything happening to them."""
    registry = Registry()
    vendor = draw(st.integers(0, 3)) == 0
    for version in VERSIONS:
        rare = draw(st.integers(0, 9))
        fields: dict[str, object] = {
            "interface": Interface(sample_rate_hz=8_000 if rare == 0 else 16_000),
            "worse_slices": (SLICE,) if rare == 1 else (),
        }
        if vendor:
            print_ = draw(st.sampled_from(["sha256:p", "sha256:p", "sha256:q", None]))
            registry.add(hosted("asr", version, print_, **fields))
        else:
            registry.add(release("asr", version, **fields))
        for kind, event in draw(st.sampled_from(SCRIPTS)):
            registry.happens("asr", kind, version, **event)
        if rare == 2:
            registry.broken["asr", version] = "gone"
    if draw(st.booleans()):
        go_back(draw, registry)
    for _ in range(draw(st.integers(0, 2))):
        happen(draw, registry, draw(st.sampled_from(VERSIONS)), draw(st.sampled_from(KINDS)))
    if draw(st.integers(0, 9)) == 0:
        version = draw(st.sampled_from(VERSIONS))
        registry.write(replace(registry.read("asr", version), digest="sha256:changed"))
    return registry


def go_back(draw: st.DrawFn, registry: Registry) -> None:
    """Roll back from one of the newest releases, and perhaps promote what was left again."""
    bad = draw(st.sampled_from(VERSIONS[1:]))
    later = VERSIONS[VERSIONS.index(bad) :]
    registry.happens(
        "asr",
        EventKind.ROLLED_BACK,
        draw(st.sampled_from(VERSIONS[: VERSIONS.index(bad)])),
        bad=(bad,),
        from_version=draw(st.sampled_from(later)),
        slice=draw(st.sampled_from([None, SLICE])),
        traffic=1.0,
    )
    for version in draw(st.lists(st.sampled_from(later), max_size=2, unique=True)):
        registry.happens("asr", EventKind.PROMOTED, version, **GATE)


def happen(draw: st.DrawFn, registry: Registry, version: str, kind: EventKind) -> None:
    """Make one event, with fields as anybody could have written them."""
    fields: dict[str, object] = {}
    if kind in {EventKind.REGISTERED, EventKind.OVERRIDDEN}:
        fields = {"decision": draw(st.sampled_from([None, "sha256:x"]))}
    elif kind is EventKind.CANARY:
        fields = {"traffic": draw(st.sampled_from([0.1, 1.0])), "decision": "sha256:x"}
    elif kind is EventKind.PROMOTED:
        fields = {
            "traffic": draw(st.sampled_from([1.0, 1.0, 1.0, None, 0.5])),
            "decision": draw(st.sampled_from(["sha256:x", "sha256:y", "sha256:y", None])),
            "attested": draw(st.sampled_from(["gate", "gate", "gate", "legacy", "none"])),
        }
    elif kind is EventKind.ROLLED_BACK:
        others = [other for other in VERSIONS if other != version]
        fields = {
            "bad": tuple(draw(st.sets(st.sampled_from(others), max_size=2))),
            "from_version": draw(st.sampled_from([None, *others])),
            "slice": draw(st.sampled_from([None, SLICE])),
            "traffic": 1.0,
        }
    elif kind is EventKind.VERIFIED and draw(st.booleans()):
        fields = {"at": "2025-06-01T00:00:00Z"}
    registry.happens("asr", kind, version, **fields)


class Oracle:
    """Section 7 as one reads it, slowly."""

    def __init__(self, registry: Registry, bad: tuple[str, ...], slice_: str | None) -> None:
        """Look at one history and one question."""
        self.registry, self.slice = registry, slice_
        self.events = list(registry.events("asr"))
        self.order: list[str] = []
        for event in self.events:
            if event.version not in self.order:
                self.order.append(event.version)
        self.live = None
        for event in self.events:
            if self.full(event):
                self.live = event.version
        self.bad = bad or tuple(v for v in [self.live] if v is not None)

    @staticmethod
    def full(event: ReleaseEvent) -> bool:
        """Return whether the event gave its version all traffic."""
        if event.kind == "canary":
            return event.traffic == 1.0
        return event.kind in {"promoted", "rolled_back"} and event.traffic in {None, 1.0}

    def of(self, version: str) -> list[ReleaseEvent]:
        """Return the events of a version."""
        return [event for event in self.events if event.version == version]

    def good(self, version: str) -> bool:
        """Return whether a version may be a target."""
        return all(
            (
                all(self.order.index(version) < self.order.index(one) for one in self.bad),
                version not in self.bad,
                any(self.full(event) for event in self.of(version)),
                self.gated(version) or self.legacy_and_fresh(version),
                not self.yanked(version),
                not self.left(version),
                self.same_record(version),
                self.bytes_are_there(version),
                self.fits(version),
                not self.worse(version),
            )
        )

    def gated(self, version: str) -> bool:
        """Return whether a promotion rests on a decision that passed."""
        own = self.of(version)
        return any(
            event.kind == "promoted"
            and event.attested == "gate"
            and event.decision is not None
            and event.decision not in self.spoilt_before(own, event)
            for event in own
        )

    @staticmethod
    def spoilt_before(own: list[ReleaseEvent], until: ReleaseEvent) -> set[str | None]:
        """Return the decisions that an override stands for, up to an event."""
        spoilt: set[str | None] = set()
        for at, event in enumerate(own):
            if event.kind == "overridden" and event.sequence < until.sequence:
                steps = [e for e in own[at + 1 :] if e.kind in {"canary", "promoted"}]
                spoilt |= {event.decision, *(e.decision for e in steps[:1])}
        return spoilt

    def legacy_and_fresh(self, version: str) -> bool:
        """Return whether it came from elsewhere and was verified within a day, unchanged."""
        own = self.of(version)
        if not any(event.attested == "legacy" for event in own):
            return False
        for event in reversed(own):
            if event.kind in {"registered", "yanked", "restored", "overridden"}:
                return False
            if event.kind == "verified":
                now = datetime.fromisoformat(self.registry.now())
                age = (now - datetime.fromisoformat(event.at)).total_seconds()
                there = self.registry.read("asr", version).digest
                return 0 <= age <= 86_400 and event.release == there
        return False

    def yanked(self, version: str) -> bool:
        """Return whether it was withdrawn and not restored."""
        state = False
        for event in self.of(version):
            state = {"yanked": True, "restored": False}.get(event.kind, state)
        return state

    def left(self, version: str) -> bool:
        """Return whether a rollback left it behind after its last promotion."""
        place = self.order.index(version)
        for event in self.events:
            if event.kind != "rolled_back" or event.version == version:
                continue
            marks = [self.order.index(one) for one in event.bad if one in self.order]
            from_ = [self.order.index(event.from_version)] if event.from_version else []
            low = min(marks or from_ or [99])
            later = [
                e
                for e in self.of(version)
                if e.kind == "promoted" and self.full(e) and e.sequence > event.sequence
            ]
            if low <= place <= max(marks + from_, default=-1) and not later:
                return True
        return False

    def same_record(self, version: str) -> bool:
        """Return whether the record is the one of every event."""
        named = {event.release for event in self.of(version)} - {None}
        return named == {self.registry.read("asr", version).digest}

    def bytes_are_there(self, version: str) -> bool:
        """Return whether what is served is what was gated."""
        one = self.registry.read("asr", version)
        if one.hosted is not None:
            prints = [
                other.hosted.fingerprint
                for other in (self.registry.read("asr", v) for v in self.order)
                if other.hosted is not None and other.hosted.fingerprint is not None
            ]
            mine = one.hosted.fingerprint
            if mine is None or prints[-1] != mine:
                return False
        return ("asr", version) not in self.registry.broken

    def fits(self, version: str) -> bool:
        """Return whether its sample rate is that of what runs."""
        if self.live is None:
            return False
        mine, runs = (self.registry.read("asr", v).interface for v in (version, self.live))
        return mine.sample_rate_hz == runs.sample_rate_hz

    def worse(self, version: str) -> bool:
        """Return whether it is known to fail where the live one fails."""
        if self.slice is None:
            return False
        earlier = any(
            event.kind == "rolled_back" and version in event.bad and event.slice == self.slice
            for event in self.events
        )
        return earlier or self.slice in self.registry.read("asr", version).worse_slices


QUESTIONS = st.tuples(
    st.sets(st.sampled_from(VERSIONS), max_size=2).map(lambda found: tuple(sorted(found))),
    st.sampled_from([None, None, *VERSIONS]),
    st.sampled_from([None, SLICE]),
)


@settings(deadline=None, max_examples=700)
@given(histories(), QUESTIONS)
def test_a_target_keeps_every_rule_and_no_better_one_is_passed_over(
    registry: Registry, question: tuple[tuple[str, ...], str | None, str | None]
) -> None:
    """The target is good; all newer good ones are newer than what is live; nothing is lost."""
    bad, to, slice_ = question
    target = registry.ask("asr", *bad, to=to, slice_=slice_)
    oracle = Oracle(registry, bad, slice_)
    assert target.live == oracle.live
    good = [version for version in oracle.order if oracle.good(version)]
    refused = {one.version: one for one in target.refused}
    assert len(refused) == len(target.refused)
    assert all(one.reason and one.code for one in target.refused)
    if to is not None:
        assert target.target == (to if to in good else None)
        assert target.target is not None or to in refused
        return
    back = [v for v in good if v not in refused or refused[v].code != "newer_than_live"]
    assert target.target == (back[-1] if back else None)
    assert not {v for v in good if v in refused} - {
        v for v, one in refused.items() if one.code == "newer_than_live"
    }
    looked = (
        oracle.order
        if target.target is None
        else oracle.order[oracle.order.index(target.target) + 1 :]
    )
    assert [one.version for one in target.refused] == list(reversed(looked))


@settings(deadline=None, max_examples=100)
@given(histories(), QUESTIONS)
def test_what_is_applied_is_what_was_planned(
    registry: Registry, question: tuple[tuple[str, ...], str | None, str | None]
) -> None:
    """One event more, none lost, the target is live, and the bad ones are not."""
    bad, to, slice_ = question
    planned = plan_rollback(
        RollbackOptions(model="asr", bad=bad, to=to, slice=slice_), registry.ports()
    )
    before = registry.events("asr")
    done = apply(planned, registry.ports(), by="me", reason="")
    assert registry.events("asr")[: len(before)] == before
    assert len(registry.events("asr")) == len(before) + len(done.events)
    if done.events:
        assert Oracle(registry, (), None).live == planned.target.target
        assert planned.target.target not in planned.target.bad
        again = plan_rollback(
            RollbackOptions(model="asr", bad=planned.target.bad, slice=slice_), registry.ports()
        )
        assert (again.target.target, again.moves) == (planned.target.target, ())
