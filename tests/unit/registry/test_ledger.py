"""What a ledger says, what may happen next, how branches merge, and that nothing is ever lost."""

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relkit.core.errors import InvalidInput, RelkitError, UsageError
from relkit.registry.chain import merged
from relkit.registry.ledger import (
    Entry,
    LedgerState,
    plan_canary,
    plan_held,
    plan_overridden,
    plan_promoted,
    plan_registered,
    plan_restored,
    plan_rolled_back,
    plan_verified,
    plan_yanked,
    refusal_in,
    refuse_condemned,
    state_of,
)
from relkit.registry.ledger_files import content_key, rechained, render_event, seal
from relkit.registry.types import EventKind, ReleaseEvent
from tests.release_data import (
    DIGEST,
    OTHER,
    at,
    chained,
    entry,
    event,
    history,
    ledger_in,
    promoted,
    registered,
    release,
)

Plan = Callable[[LedgerState], ReleaseEvent | None]


def after(*plans: Plan) -> LedgerState:
    """Return the state after plans that are carried out one after the other."""
    events: list[ReleaseEvent] = []
    for plan in plans:
        planned = plan(state_of("asr", events))
        assert planned is not None
        events.append(seal(planned, sequence=len(events) + 1, previous=_last(events)))
    return state_of("asr", events)


def _last(events: list[ReleaseEvent]) -> str | None:
    return events[-1].digest if events else None


def register(version: str, minute: int = 0) -> Plan:
    """Return a plan that registers."""
    return lambda state: plan_registered(state, release(version), entry(minute))


def promote(version: str, minute: int = 0) -> Plan:
    """Return a plan that promotes."""
    return lambda state: plan_promoted(state, version, entry(minute), decision=DIGEST)


def canary(version: str, share: float, minute: int = 0) -> Plan:
    """Return a plan of a canary step."""
    return lambda state: plan_canary(state, version, share, entry(minute), decision=DIGEST)


def hold(version: str, share: float | None, minute: int = 0) -> Plan:
    """Return a plan that holds."""
    return lambda state: plan_held(state, version, entry(minute, reason="slow"), share=share)


def back(target: str, bad: str, minute: int = 0) -> Plan:
    """Return a plan that rolls back."""
    return lambda state: plan_rolled_back(state, target, entry(minute), bad=[bad])


def yank(version: str, minute: int = 0) -> Plan:
    """Return a plan that yanks."""
    return lambda state: plan_yanked(state, version, entry(minute, reason="bad"))


def restore(version: str) -> Plan:
    """Return a plan that restores."""
    return lambda state: plan_restored(state, version, entry())


START = (register("1"), register("2", 1), register("3", 2), promote("1", 3))


def test_a_story_by_share_of_traffic() -> None:
    """Canary, steps, promotion, rollback: who had what share from when to when."""
    state = after(
        *START,
        canary("2", 0.05, 10),
        canary("2", 0.5, 20),
        promote("2", 30),
        back("1", "2", 40),
        yank("2", 50),
    )
    spans = [(s.version, s.share, s.since, s.until) for s in state.served]
    assert spans == [
        ("1", 1.0, at(3), at(10)),
        ("1", 0.95, at(10), at(20)),
        ("2", 0.05, at(10), at(20)),
        ("1", 0.5, at(20), at(30)),
        ("2", 0.5, at(20), at(30)),
        ("2", 1.0, at(30), at(40)),
        ("1", 1.0, at(40), None),
    ]
    assert (state.live, state.previous, state.candidate) == ("1", "2", None)
    assert state.held_full_traffic == ("2", "1")
    assert state.condemned == {"2": at(40)}
    assert state.yanked == {"2": at(50)}
    assert list(state.registered) == ["1", "2", "3"]


def test_a_held_canary_keeps_its_share_and_one_without_any_ends() -> None:
    """Held is not ended; a share of 0 is."""
    held = after(*START, canary("2", 0.05), hold("2", None))
    assert (held.candidate, held.share, len(held.served)) == ("2", 0.05, 3)
    ended = after(*START, canary("2", 0.05), hold("2", 0.0))
    assert (ended.candidate, ended.live, ended.served[-1].share) == (None, "1", 1.0)


def test_a_rollback_ends_a_bad_canary() -> None:
    """All traffic goes to the version that had the rest, and its time goes on anew."""
    state = after(*START, canary("2", 0.05, 10), back("1", "2", 20))
    assert (state.live, state.candidate, state.condemned) == ("1", None, {"2": at(20)})
    assert state.previous is None


REFUSED: list[tuple[tuple[Plan, ...], Plan, str]] = [
    (START, promote("9"), "no version"),
    (START, promote("1"), "it is served already"),
    ((*START, yank("2")), promote("2"), "it is yanked"),
    ((*START, yank("2")), canary("2", 0.1), "it is yanked"),
    ((*START, yank("2")), back("2", "1"), "it is yanked"),
    ((*START, yank("2")), yank("2"), "yanked already"),
    (START, restore("2"), "it is not yanked"),
    ((*START, canary("2", 0.1)), promote("3"), "2 is in canary"),
    ((*START, canary("2", 0.1)), canary("3", 0.1), "2 is in canary"),
    ((*START, canary("2", 0.1)), canary("2", 0.1), "already"),
    (START, canary("1", 0.1), "served already"),
    (START, canary("2", 0.0), "more than no and less than all"),
    (START, canary("2", 1.0), "more than no and less than all"),
    ((register("1"),), canary("1", 0.1), "nothing is served"),
    (START, hold("2", None), "it is not in canary"),
    ((*START, canary("2", 0.1)), hold("2", 0.2), "more traffic needs a decision"),
    (START, back("1", "1"), "one of the bad versions"),
]


@pytest.mark.parametrize(("before", "plan", "said"), REFUSED)
def test_what_cannot_happen_is_not_planned(before: tuple[Plan, ...], plan: Plan, said: str) -> None:
    """Each refusal with its reason."""
    state = after(*before)
    with pytest.raises((InvalidInput, UsageError), match=said):
        plan(state)


def test_registering_again_is_nothing_and_otherwise_is_refused() -> None:
    """The same digest needs no event; another one needs another version."""
    state = after(*START)
    assert plan_registered(state, release("1"), entry()) is None
    with pytest.raises(InvalidInput, match="registered with another digest"):
        plan_registered(state, release("1", owner="x"), entry())


def test_a_version_that_was_removed_as_bad_needs_a_later_decision() -> None:
    """A decision that let it go before says nothing about what was found since."""
    state = after(*START, promote("2", 30), back("1", "2", 40))
    for decided in (None, at(20), at(40)):
        with pytest.raises(InvalidInput, match="was removed as bad by the rollback"):
            refuse_condemned(state, "2", decided)
    refuse_condemned(state, "2", at(41))
    refuse_condemned(state, "3", None)


def test_overridden_and_verified_change_nothing_that_is_served() -> None:
    """They are noted with their decision and time."""
    state = after(
        *START,
        lambda state: plan_overridden(state, "2", entry(5), override=OTHER),
        lambda state: plan_verified(state, "2", entry(6)),
    )
    assert (state.live, state.verified, len(state.served)) == ("1", {"2": at(6)}, 1)


def branches(trunk: tuple[ReleaseEvent, ...], *tails: list[ReleaseEvent]) -> list[ReleaseEvent]:
    """Return the lines of a ledger that branches with these tails were merged into."""
    lines = list(trunk)
    for tail in tails:
        lines += chained([*trunk, *tail])[len(trunk) :]
    return list({one.digest: one for one in lines}.values())


def kinds(events: tuple[ReleaseEvent, ...]) -> list[str]:
    """Return events in short."""
    return [f"{one.kind} {one.version} {one.at[14:16]}" for one in events]


TRUNK = history()


def test_branches_that_commute_are_merged_by_time() -> None:
    """Each branch keeps its order, the times decide between them, and the chain is whole."""
    one = [registered("2.0.0", 10), event(EventKind.YANKED, "1.1.0", at=at(30), reason="x")]
    other = [registered("3.0.0", 20), promoted("3.0.0", 40)]
    result = merged(branches(TRUNK, one, other), content_key)
    assert kinds(result)[3:] == [
        "registered 2.0.0 10",
        "registered 3.0.0 20",
        "yanked 1.1.0 30",
        "promoted 3.0.0 40",
    ]
    assert [e.sequence for e in rechained(result)] == [1, 2, 3, 4, 5, 6, 7]


COMMUTING = [
    registered("2.0.0", 10),
    registered("3.0.0", 10),
    event(EventKind.YANKED, "1.1.0", at=at(11), reason="x"),
    event(EventKind.VERIFIED, "1.0.0", at=at(11)),
    event(EventKind.VERIFIED, "1.1.0", at=at(12), by="bob"),
    registered("4.0.0", 9, by="bob"),
]


@settings(max_examples=60, deadline=None)
@given(
    split=st.lists(st.booleans(), min_size=6, max_size=6),
    order=st.permutations(range(6)),
    lines=st.randoms(use_true_random=False),
)
def test_whoever_merges_gets_the_same_ledger(
    split: list[bool], order: list[int], lines: random.Random
) -> None:
    """Neither the direction of the merge nor the order of lines matters, and no event is lost."""
    dealt = [COMMUTING[i] for i in order]
    one = [e for e, left in zip(dealt, split, strict=True) if left]
    other = [e for e, left in zip(dealt, split, strict=True) if not left]
    there = merged(branches(TRUNK, one, other), content_key)
    mixed = branches(TRUNK, other, one)
    lines.shuffle(mixed)
    assert list(rechained(merged(mixed, content_key))) == list(rechained(there))
    assert {content_key(e) for e in there} == {content_key(e) for e in (*TRUNK, *COMMUTING)}


def test_a_merge_of_what_was_merged_before_doubles_nothing() -> None:
    """A third clone that still has the old lines brings only what is new in it."""
    one, other = [registered("2.0.0", 10)], [registered("3.0.0", 5)]
    repaired = tuple(rechained(merged(branches(TRUNK, one, other), content_key)))
    third = chained([*TRUNK, *one, registered("4.0.0", 50)])
    lines = list({e.digest: e for e in (*repaired, *third)}.values())
    result = merged(lines, content_key)
    assert [e.version for e in result[3:]] == ["3.0.0", "2.0.0", "4.0.0"]


CONFLICTS = [
    (promoted("1.1.0", 5), promoted("1.1.0", 6, by="bob"), "both say what is served"),
    (
        promoted("1.1.0", 5),
        event(EventKind.YANKED, "1.1.0", at=at(6), reason="x"),
        "one withdraws what the other serves",
    ),
    (
        registered("2.0.0", 5),
        replace(registered("2.0.0", 6), release=OTHER),
        "the same version with other digests",
    ),
    (
        promoted("1.1.0", 5),
        event(EventKind.ROLLED_BACK, "1.0.0", bad=("1.1.0",), traffic=1.0),
        "both say what is served",
    ),
]


@pytest.mark.parametrize(("one", "other", "why"), CONFLICTS)
def test_branches_that_do_not_commute_are_refused_with_both_events(
    one: ReleaseEvent, other: ReleaseEvent, why: str
) -> None:
    """Nobody but the people who wrote them can say which of the two counts."""
    for lines in (branches(TRUNK, [one], [other]), branches(TRUNK, [other], [one])):
        with pytest.raises(InvalidInput, match=why) as caught:
            merged(lines, content_key)
        for named in (one, other):
            assert f"({named.kind} {named.version}, {named.at}, {named.by})" in str(caught.value)


def test_a_history_that_cannot_have_happened_is_found() -> None:
    """A chain can be whole and still tell nonsense."""
    events = chained([registered("1.0.0"), promoted("9.9.9")])
    found = refusal_in(events)
    assert found is not None
    assert found[0].version == "9.9.9"
    assert refusal_in(TRUNK) is None


VERSIONS = ("1", "2", "3", "4")


class LedgerStory(RuleBasedStateMachine):
    """A random history of events, kills and repairs, on real files.

    ``acknowledged`` is what an append returned for; ``maybe`` the event that a kill came into.
    """

    def __init__(self) -> None:
        """Begin with an empty workspace."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="relkit-ledger-"))
        self.ledger = ledger_in(self.folder)
        self.acknowledged: list[ReleaseEvent] = []
        self.minutes = itertools.count()

    def teardown(self) -> None:
        """Remove the workspace."""
        shutil.rmtree(self.folder)

    def entry(self) -> Entry:
        """Return who acts now."""
        return entry(next(self.minutes), reason="because")

    def plan(self, version: str, share: float) -> ReleaseEvent | None:
        """Return what the first plan that is possible says, None where it is nothing."""
        state = state_of("asr", self.ledger.events("asr"))
        plans: list[Callable[[], ReleaseEvent | None]] = [
            lambda: plan_registered(state, release(version), self.entry()),
            lambda: plan_canary(state, version, share, self.entry(), decision=DIGEST),
            lambda: plan_promoted(state, version, self.entry(), decision=DIGEST),
            lambda: plan_rolled_back(state, version, self.entry(), bad=["4"]),
            lambda: plan_yanked(state, version, self.entry()),
            lambda: plan_restored(state, version, self.entry()),
        ]
        start = round(share * 100) % len(plans)
        for plan in (*plans[start:], *plans[:start]):
            try:
                planned = plan()
            except RelkitError:
                continue
            if planned is not None:
                return planned
        return None

    @rule(version=st.sampled_from(VERSIONS), share=st.floats(0.01, 0.99))
    def happens(self, version: str, share: float) -> None:
        """An event is planned and appended."""
        planned = self.plan(version, share)
        if planned is not None:
            self.acknowledged.append(
                self.ledger.append(planned, expected=len(self.ledger.events("asr")))
            )

    @precondition(lambda self: bool(self.acknowledged))
    @rule(
        version=st.sampled_from(VERSIONS),
        share=st.floats(0.01, 0.99),
        written=st.floats(0, 1),
    )
    def is_killed(self, version: str, share: float, written: float) -> None:
        """A kill comes into an append: part of the line, or all of it, and no anchor."""
        planned = self.plan(version, share)
        if planned is None:
            return
        there = self.ledger.events("asr")
        made = seal(planned, sequence=len(there) + 1, previous=there[-1].digest)
        line = render_event(made).encode() + b"\n"
        size = round(written * len(line))
        path = self.folder / "events" / "asr.jsonl"
        before = path.read_bytes()
        whole = before if before.endswith(b"\n") else before[: before.rfind(b"\n") + 1]
        unended = self.ledger.read("asr").parsed.unended
        path.write_bytes((before + b"\n" if unended else whole) + line[:size])
        if size >= len(line) - 1:
            self.acknowledged.append(made)

    @rule()
    def is_repaired(self) -> None:
        """``verify --repair`` mends it, and then nothing is wrong."""
        self.ledger.repair("asr")
        assert self.ledger.read("asr").problems == ()
        assert self.ledger.repair("asr") == ()

    @rule(version=st.sampled_from(VERSIONS))
    def is_overtaken(self, version: str) -> None:
        """A plan that was made before another event never gets in."""
        planned = self.plan(version, 0.5)
        if planned is not None and self.acknowledged:
            with pytest.raises(RelkitError, match="has changed since"):
                self.ledger.append(planned, expected=len(self.ledger.events("asr")) - 1)

    @invariant()
    def nothing_is_lost(self) -> None:
        """What was acknowledged is there, in its order, and the chain is whole."""
        assert list(self.ledger.events("asr")) == self.acknowledged
        assert refusal_in(self.acknowledged) is None
        state = state_of("asr", self.acknowledged)
        assert sum(s.share for s in state.served if s.until is None) in (0, pytest.approx(1))
        assert state.live is None or state.live in state.registered


TestLedgerStory = LedgerStory.TestCase
TestLedgerStory.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
