"""A stack goes back by the smallest set of components, each of them a good target by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.registry.types import EventKind, Release
from relkit.rollback.compatibility import fit_each_other
from relkit.rollback.run import RollbackOptions, apply, plan_rollback
from relkit.rollback.stack import StackSearch
from relkit.rollback.types import Choice
from tests.rollback_data import Registry, release, stack


def part(name: str, version: str, **requires: str) -> Release:
    """Return a release of a component that requires others."""
    return release(name, version, component=name, requires=requires)


def voice(*more: Release) -> Registry:
    """Return a stack of asr and llm: s1 had both at 1, s2 brought in asr 2, s3 llm 2."""
    registry = Registry()
    for one in (part("asr", "1"), part("asr", "2"), part("llm", "1"), part("llm", "2"), *more):
        registry.add(one)
    registry.serve(stack("voice", "s1", {"asr": "1", "llm": "1"}))
    registry.serve(stack("voice", "s2", {"asr": "2", "llm": "1"}))
    return registry.serve(stack("voice", "s3", {"asr": "2", "llm": "2"}))


def test_the_last_stack_is_undone_by_what_it_brought_in() -> None:
    """s3 brought in llm 2 only: llm goes back, asr stays, and that is s2."""
    target = voice().ask("voice")
    assert (target.target, dict(target.revert)) == ("s2", {"llm": "1"})
    assert "s3 brought in llm 2" in target.evidence
    assert "revert llm 2 -> 1; asr 2 stay" in target.evidence
    smallest = "no smaller set of components leaves a stack that may be gone back to"
    assert smallest in target.evidence
    assert smallest not in voice().ask("voice", to="s1").evidence
    assert "that is the stack release s2, which held full traffic" in target.evidence
    assert "relkit rollback voice --bad s3 --to s2 --apply" in target.steps[0]


def test_only_the_component_of_the_first_bad_release_goes_back() -> None:
    """s2 was first bad: its asr goes, and llm, which came later and fits, stays."""
    target = voice().ask("voice", "s2")
    assert dict(target.revert) == {"asr": "1"}
    assert target.target == "asr@1"
    assert any("never together as one stack release" in line for line in target.evidence)
    assert any(line.endswith("relkit rollback voice --bad s2 --to s1") for line in target.evidence)


def test_a_bad_release_of_a_component_can_be_named() -> None:
    """As MODEL@VERSION."""
    target = voice().ask("voice", "asr@2")
    assert (target.target, target.bad) == ("asr@1", ("asr@2",))


def test_a_second_component_goes_back_where_the_ranges_ask_for_it() -> None:
    """The llm 2 does not accept asr 1: both go, which is a stack that was served."""
    registry = voice()
    registry.write(replace(registry.read("llm", "2"), requires={"asr": ">=2"}))
    target = registry.ask("voice", "asr@2")
    assert (target.target, dict(target.revert)) == ("s1", {"asr": "1", "llm": "1"})


def test_one_component_further_back_comes_before_two() -> None:
    """Fewest components first, then the newest versions."""
    registry = Registry()
    for one in (part("asr", "1"), part("asr", "2", llm=">=9"), part("asr", "3"), part("llm", "1")):
        registry.add(one)
    registry.serve(stack("voice", "s1", {"asr": "1", "llm": "1"}))
    registry.serve(stack("voice", "s2", {"asr": "2", "llm": "1"}))
    registry.serve(stack("voice", "s3", {"asr": "3", "llm": "1"}))
    target = registry.ask("voice")
    assert (target.target, dict(target.revert)) == ("s1", {"asr": "1"})


def test_further_sets_are_ranked() -> None:
    """The next best follow, and every refused component has its reason."""
    registry = Registry()
    for version in ("1", "2", "3", "4", "5"):
        registry.add(part("asr", version))
        registry.serve(stack("voice", f"s{version}", {"asr": version}))
    registry.broken["asr", "4"] = "model.bin is missing"
    target = registry.ask("voice")
    assert target.target == "s3"
    assert [dict(one) for one in target.alternatives] == [{"asr": "2"}, {"asr": "1"}]
    assert ("asr@4", "unverifiable") in [(one.version, one.code) for one in target.refused]


def test_pins_of_a_yanked_stack_are_not_put_together_again() -> None:
    """That combination is known to be bad, though its components are not: more go back."""
    registry = voice().happens("voice", EventKind.YANKED, "s2", reason="echo")
    target = registry.ask("voice")
    assert (target.target, dict(target.revert)) == ("s1", {"asr": "1", "llm": "1"})
    assert [(one.version, one.code) for one in target.refused if one.version == "s2"] == [
        ("s2", "yanked")
    ]


def test_a_component_that_was_never_served_is_no_way_back() -> None:
    """Neither by itself nor in a stack."""
    registry = Registry().add(part("asr", "1")).add(part("asr", "2")).add(part("llm", "1"))
    registry.serve(stack("voice", "s1", {"asr": "2", "llm": "1"}))
    target = registry.ask("voice", "asr@2")
    assert target.target is None
    assert {one.version: one.code for one in target.refused} == {
        "asr@1": "never_full_traffic",
    }


def test_what_stays_has_to_verify_too() -> None:
    """Else it goes back as well, or there is no target."""
    registry = voice()
    registry.broken["asr", "2"] = "model.bin is missing"
    target = registry.ask("voice")
    assert (target.target, dict(target.revert)) == ("s1", {"asr": "1", "llm": "1"})
    registry.broken["llm", "1"] = "model.bin is missing"
    assert registry.ask("voice").target is None


def test_a_whole_stack_can_be_named() -> None:
    """``--to`` takes back what differs, and refuses what holds a bad component."""
    registry = voice()
    target = registry.ask("voice", to="s1")
    assert (target.target, dict(target.revert)) == ("s1", {"asr": "1", "llm": "1"})
    refused = registry.ask("voice", "asr@2", to="s2")
    assert refused.target is None
    assert refused.refused[-1].reason == (
        "it pins asr 2, which is in the first-bad set or after it"
    )


def test_a_stack_that_differs_in_nothing_it_pins_goes_back_as_a_whole() -> None:
    """Its own settings may be what is bad."""
    registry = voice().serve(stack("voice", "s4", {"asr": "2", "llm": "2"}))
    target = registry.ask("voice")
    assert (target.target, dict(target.revert)) == ("s3", {})


def test_a_bad_component_that_does_not_run_needs_nothing() -> None:
    """It was taken back already."""
    registry = voice(part("asr", "3"))
    planned = plan_rollback(RollbackOptions(model="voice", bad=("asr@3",)), registry.ports())
    assert (planned.target.target, planned.moves) == ("s3", ())


def test_partners_outside_the_stack_are_held_to_their_ranges() -> None:
    """A component that something else needs stays as new as that needs it."""
    registry = voice()
    registry.serve(release("billing", "7", component="safety", requires={"llm": ">=2"}))
    target = registry.ask("voice")
    assert target.target is None
    assert any("billing 7 is running and requires llm >=2" in one.reason for one in target.refused)


def test_a_served_stack_gets_one_event_of_its_own() -> None:
    """The ledger of the stack says what is served; those of its components stay as they are."""
    registry = voice()
    planned = plan_rollback(RollbackOptions(model="voice"), registry.ports())
    done = apply(planned, registry.ports(), by="me", reason="")
    assert [(e.model, e.version, e.bad) for e in done.events] == [("voice", "s2", ("s3",))]
    assert registry.aliases["voice"]["champion"] == "s2"


def test_a_new_combination_is_an_event_of_each_component() -> None:
    """And from then on that is what is running, until a stack is promoted again."""
    registry = voice()
    planned = plan_rollback(RollbackOptions(model="voice", bad=("s2",)), registry.ports())
    done = apply(planned, registry.ports(), by="me", reason="")
    assert [(e.model, e.version, e.from_version, e.bad) for e in done.events] == [
        ("asr", "1", "2", ("2",))
    ]
    assert registry.ask("asr").live == "1"
    again = plan_rollback(RollbackOptions(model="voice", bad=("s2",)), registry.ports())
    assert (again.target.target, again.moves) == ("asr@1,llm@2", ())
    registry.time = registry.time.replace(day=2)
    registry.serve(stack("voice", "s4", {"asr": "2", "llm": "2"}))
    assert registry.ask("asr").live == "2"


def test_a_component_that_a_stack_served_can_go_back_by_itself() -> None:
    """Its full traffic and its gate are those of the stack."""
    target = voice().ask("asr")
    assert (target.live, target.target, target.attested) == ("2", "1", "gate")
    assert any("1 held full traffic in voice s1" in line for line in target.evidence)


# --- the smallest set, against trying everything

PARTS = ("asr", "llm", "tts")
VERSIONS = ("1", "2", "3")
RANGES = st.sampled_from(["*", ">=2", "<3", "==2", "!=2", ">=3"])


def family(draw: st.DrawFn, name: str) -> list[Release]:
    """Draw the releases of one component, oldest first."""
    others = [other for other in PARTS if other != name]
    wanted = st.dictionaries(st.sampled_from(others), RANGES, max_size=2)
    return [release(name, version, requires=draw(wanted)) for version in VERSIONS]


@st.composite
def searches(draw: st.DrawFn) -> tuple[dict[str, list[Release]], frozenset[str]]:
    """Draw components, of which all run their newest release, and those that have to go."""
    families = {name: family(draw, name) for name in PARTS}
    return families, draw(st.frozensets(st.sampled_from(PARTS), min_size=1))


def brute_force(
    families: Mapping[str, list[Release]], must: frozenset[str]
) -> list[tuple[int, int, tuple[tuple[str, int], ...]]]:
    """Return the ranks of all sets that leave a compatible stack, by trying each combination."""
    found = []
    for backs in product(range(len(VERSIONS)), repeat=len(PARTS)):
        back = dict(zip(PARTS, backs, strict=True))
        left = {name: families[name][-1 - steps] for name, steps in back.items()}
        moved = tuple((name, steps) for name, steps in sorted(back.items()) if steps)
        if must <= {name for name, _ in moved} and all(
            fit_each_other(left[a], left[b], {}) for a in PARTS for b in PARTS if a < b
        ):
            found.append((len(moved), sum(steps for _, steps in moved), moved))
    return sorted(found)


@settings(deadline=None)
@given(searches())
def test_the_smallest_set_is_found(
    drawn: tuple[dict[str, list[Release]], frozenset[str]],
) -> None:
    """The answers are exactly the best ones of the smallest size, in their order."""
    families, must = drawn

    def choices(name: str) -> Iterator[Choice]:
        for steps, one in enumerate(reversed(families[name][:-1]), start=1):
            yield Choice(one, steps)

    search = StackSearch(
        running={name: family[-1] for name, family in families.items()},
        must=must,
        choices=choices,
        fit=lambda a, b: fit_each_other(a, b, {}),
        allowed=lambda _left: True,
    )
    expected = brute_force(families, must)
    smallest = [rank for rank in expected if rank[0] == expected[0][0]]
    assert [answer.rank for answer in search.best()] == smallest[:3]
    assert not search.exhausted


def test_a_search_that_reaches_its_bound_says_so() -> None:
    """A bounded search is never passed off as a whole one."""

    def choices(_name: str) -> Iterator[Choice]:
        for steps in range(1, 1_000):
            yield Choice(part("llm", str(steps), asr=">=9"), steps)

    search = StackSearch(
        running={name: part(name, "1") for name in ("asr", "llm")},
        must=frozenset({"llm"}),
        choices=choices,
        fit=lambda a, b: fit_each_other(a, b, {}),
        allowed=lambda _left: True,
        max_nodes=100,
    )
    assert search.best() == ()
    assert search.exhausted


def test_a_stack_that_was_never_registered_is_refused() -> None:
    """A record without an event can be named, and is no target."""
    registry = voice()
    registry.write(stack("voice", "s4", {"asr": "1", "llm": "1"}))
    target = registry.ask("voice", to="s4")
    assert target.target is None
    assert [refused.code for refused in target.refused] == ["not_registered"]
