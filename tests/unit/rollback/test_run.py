"""Going back: every refusal with its words, and the laws of a plan.

See docs/method.md, section "Rollback".
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from relkit.core.errors import BackendUnavailable, Busy, InvalidInput, UsageError
from relkit.registry.types import Artifact, EventKind, Interface
from relkit.rollback.run import RollbackOptions, apply, plan_rollback
from tests.rollback_data import SPEECH, Registry, hosted, release, three

REGISTERED, PROMOTED, CANARY = EventKind.REGISTERED, EventKind.PROMOTED, EventKind.CANARY
YANKED, RESTORED, ROLLED = EventKind.YANKED, EventKind.RESTORED, EventKind.ROLLED_BACK
OVERRIDDEN, VERIFIED, HELD = EventKind.OVERRIDDEN, EventKind.VERIFIED, EventKind.HELD

Make = Callable[[Registry], object]
VERIFY = "verify it first: relkit registry verify asr --record"


def middle(make: Make, **fields: object) -> Registry:
    """Return three releases of which the middle one is made special before the last is served."""
    registry = Registry().serve(release("asr", "1.0"))
    registry.add(release("asr", "1.1", **fields))
    make(registry)
    return registry.serve(release("asr", "1.2"))


def promoted(**fields: object) -> Make:
    """Return what promotes 1.1, with fields of the event."""
    return lambda registry: registry.happens("asr", PROMOTED, "1.1", **fields)


def then(*makes: Make) -> Make:
    """Return what does all of these, one after the other."""

    def run(registry: Registry) -> None:
        for make in makes:
            make(registry)

    return run


def happens(kind: EventKind, **fields: object) -> Make:
    """Return what makes an event of 1.1."""
    return lambda registry: registry.happens("asr", kind, "1.1", **fields)


def nothing(_registry: Registry) -> None:
    """Do nothing more."""


def broken(why: str) -> Make:
    """Return what spoils the artifact of 1.1."""

    def run(registry: Registry) -> None:
        registry.broken["asr", "1.1"] = why

    return run


def other_record(registry: Registry) -> None:
    """Change the record of 1.1 after it was promoted."""
    registry.write(replace(registry.read("asr", "1.1"), digest="sha256:" + "0" * 64))


def lost_record(registry: Registry) -> None:
    """Lose the record of 1.1."""
    del registry.records["asr", "1.1"]


REFUSALS: dict[str, tuple[Registry, str, str]] = {
    "registered only": (middle(nothing), "never_full_traffic", "it never held full traffic"),
    "canary only": (
        middle(happens(CANARY, traffic=0.5)),
        "never_full_traffic",
        "it never held full traffic",
    ),
    "promoted to a part": (
        middle(promoted(traffic=0.5)),
        "never_full_traffic",
        "it never held full traffic",
    ),
    "no gate": (
        middle(promoted(attested="none")),
        "no_gate",
        "no gate stands behind its promotion (event 4)",
    ),
    "no decision": (
        middle(promoted(decision=None)),
        "no_gate",
        "its promotion (event 4) names no decision",
    ),
    "overridden": (
        middle(then(happens(OVERRIDDEN, decision="sha256:o"), promoted())),
        "no_gate",
        "its gate did not pass: an override promoted it (event 5)",
    ),
    "overridden in canary": (
        middle(
            then(
                happens(OVERRIDDEN, decision="sha256:o"),
                happens(CANARY, traffic=0.1, decision="sha256:d"),
                promoted(decision="sha256:d"),
            )
        ),
        "no_gate",
        "its gate did not pass: an override promoted it (event 6)",
    ),
    "yanked": (
        middle(then(promoted(), happens(YANKED, reason="wrong labels"))),
        "yanked",
        "it was yanked at 2026-01-01T05:00:00Z: wrong labels",
    ),
    "changed record": (
        middle(then(promoted(), other_record)),
        "record_changed",
        "its record is not the one that the ledger names: it changed",
    ),
    "no digest in the ledger": (
        Registry()
        .serve(release("asr", "1.0"))
        .add(release("asr", "1.1"), release=None)
        .happens("asr", PROMOTED, "1.1", release=None)
        .serve(release("asr", "1.2")),
        "record_changed",
        "the ledger names no digest of its record",
    ),
    "lost record": (
        middle(then(promoted(), lost_record)),
        "unreadable",
        'its record cannot be read: asr has no release "1.1"',
    ),
    "artifact": (
        middle(then(promoted(), broken("model.bin is missing"))),
        "unverifiable",
        "its artifact does not verify: model.bin is missing",
    ),
    "no artifact": (
        middle(promoted(), artifact=None),
        "unverifiable",
        "it has no artifact, so nothing can be verified",
    ),
    "sample rate": (
        middle(promoted(), interface=replace(SPEECH, sample_rate_hz=8_000)),
        "contract",
        "its sample rate is 8000 Hz, and what runs has 16000 Hz",
    ),
    "partner": (
        middle(promoted(), requires={"llm": ">=2"}),
        "partners",
        "it requires llm >=2, and no llm is running",
    ),
    "legacy": (
        middle(promoted(attested="legacy", decision=None), attested="legacy"),
        "legacy_unverified",
        "it is attested: legacy, and not verified since its last change; " + VERIFY,
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_release_with_something_against_it_is_passed_over(name: str) -> None:
    """The target is the next older one, and the refused one has its reason in words."""
    registry, code, words = REFUSALS[name]
    target = registry.ask("asr")
    assert target.target == "1.0"
    assert [one.version for one in target.refused] == ["1.2", "1.1"]
    assert target.refused[0].reason == "it is in the first-bad set"
    assert (target.refused[1].code, target.refused[1].reason) == (code, words)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_release_is_refused_when_it_is_named(name: str) -> None:
    """``--to`` takes no reason away; there is no force."""
    registry, code, words = REFUSALS[name]
    target = registry.ask("asr", to="1.1")
    assert target.target is None
    assert (target.refused[-1].version, target.refused[-1].code) == ("1.1", code)
    assert target.refused[-1].reason == words
    assert target.steps[1].endswith("relkit rollback asr --bad 1.2")


def test_the_newest_release_before_the_bad_one_is_the_target() -> None:
    """Nothing held against it: one step back, with what speaks for it."""
    target = three().ask("asr")
    assert (target.target, target.live, target.bad, target.attested) == (
        "1.1",
        "1.2",
        ("1.2",),
        "gate",
    )
    words = " | ".join(target.evidence)
    assert "1.1 held full traffic: promoted at 2026-01-01T04:00:00Z (event 4)" in words
    assert "1.1 passed its gate: decision sha256:" in words
    assert "verifies now" in words
    assert "1.1 is the newest fitting release of asr before 1.2; 1 refused on the way" in words
    assert target.steps[0].startswith("1. ")
    assert "relkit rollback asr --bad 1.2 --to 1.1 --apply" in target.steps[0]


def test_going_back_two_steps_needs_no_force() -> None:
    """An older release may be named."""
    assert three().ask("asr", to="1.0").target == "1.0"


def test_the_whole_first_bad_set_is_left_behind() -> None:
    """The target is before every release of the set; what lies between is none, either."""
    registry = three().serve(release("asr", "1.3")).serve(release("asr", "1.4"))
    target = registry.ask("asr", "1.3", "1.1")
    assert target.target == "1.0"
    assert target.bad == ("1.1", "1.3")
    assert {one.version: one.code for one in target.refused} == {
        "1.4": "after_bad",
        "1.3": "bad",
        "1.2": "after_bad",
        "1.1": "bad",
    }
    assert target.refused[0].reason == (
        "it was registered after 1.1, the first of the first-bad set"
    )
    assert any("relkit bisect asr --good 1.0 --bad 1.3" in step for step in target.steps)


def test_no_target_says_why_each_release_was_refused() -> None:
    """Nothing is left out of the list, and nothing is done."""
    registry = three()
    registry.broken = {("asr", "1.0"): "gone", ("asr", "1.1"): "gone"}
    target = registry.ask("asr")
    assert target.target is None
    assert [one.code for one in target.refused] == ["bad", "unverifiable", "unverifiable"]
    assert target.steps[0].startswith("1. no rollback")


def test_nothing_live_gives_no_target() -> None:
    """A model that was only registered has nowhere to go back to."""
    target = Registry().add(release("asr", "1.0")).ask("asr")
    assert (target.target, target.live, target.bad) == (None, None, ())
    assert target.refused[0].reason.startswith("it never held full traffic")


def test_a_record_that_the_ledger_does_not_know_is_no_target() -> None:
    """A folder beside the ledger was never registered."""
    registry = Registry().serve(release("asr", "1.0"))
    registry.write(release("asr", "0.9"))
    for to in (None, "0.9"):
        target = registry.ask("asr", to=to)
        assert target.target is None
        assert target.refused[-1].version == "0.9"
        assert target.refused[-1].code == "not_registered"


def test_a_restored_release_may_be_a_target() -> None:
    """Yanking can be taken back."""
    registry = middle(then(promoted(), happens(YANKED), happens(RESTORED)))
    assert registry.ask("asr").target == "1.1"


def test_a_later_gate_takes_the_place_of_an_override() -> None:
    """An overridden release that then passed its gate has passed it."""
    registry = middle(
        then(
            happens(OVERRIDDEN, decision="sha256:o"),
            happens(CANARY, traffic=0.1, decision="sha256:d"),
            promoted(decision="sha256:e"),
        )
    )
    assert registry.ask("asr").target == "1.1"


def test_only_what_could_be_the_target_is_verified() -> None:
    """Artifacts are large: the first that verifies ends the search."""
    registry = three()
    registry.ask("asr")
    assert registry.verified == [("asr", "1.1")]


# --- slices


@pytest.mark.parametrize(
    ("known", "failing", "words"),
    [
        ("accent=scottish", "accent=scottish", ", which is failing"),
        (
            "accent=scottish",
            "accent=scottish&noise=cafe",
            ", which holds the failing accent=scottish&noise=cafe",
        ),
        (
            "accent=scottish&noise=cafe",
            "accent=scottish",
            ", which is part of the failing accent=scottish",
        ),
        ("overall", "accent=scottish", ", which holds the failing accent=scottish"),
        ("overall", "overall", ", which is failing"),
    ],
)
def test_a_release_known_to_be_worse_on_the_failing_slice_is_refused(
    known: str, failing: str, words: str
) -> None:
    """Going back must not go to the same failure."""
    registry = middle(promoted(), worse_slices=(known,))
    target = registry.ask("asr", slice_=failing)
    assert target.target == "1.0"
    assert target.refused[-1].reason == f"it is known to be worse on {known}{words}"


@pytest.mark.parametrize(
    ("known", "failing"),
    [
        ("accent=scottish", "accent=welsh"),
        ("accent=scottish", "noise=cafe"),
        ("accent=scottish", "overall"),
        ("accent=scottish", None),
    ],
)
def test_a_release_worse_elsewhere_is_a_target_that_says_so(
    known: str, failing: str | None
) -> None:
    """It is the better of two evils, and people are told."""
    registry = middle(promoted(), worse_slices=(known,))
    target = registry.ask("asr", slice_=failing)
    assert target.target == "1.1"
    assert any(known in line for line in target.checklist)


def test_what_was_rolled_back_for_a_slice_stays_known_to_be_worse_there() -> None:
    """A new gate brings it back, but not where it failed."""
    registry = three()
    registry.happens(
        "asr", ROLLED, "1.1", bad=("1.2",), from_version="1.2", slice="accent=scottish"
    )
    registry.happens("asr", PROMOTED, "1.2", decision="sha256:new")
    registry.serve(release("asr", "1.3"))
    assert registry.ask("asr").target == "1.2"
    target = registry.ask("asr", slice_="accent=scottish")
    assert target.target == "1.1"
    assert target.refused[1].code == "worse_slice"
    assert target.refused[1].reason == (
        "it was rolled back at 2026-01-01T07:00:00Z for accent=scottish, which is failing"
    )


def test_a_slice_in_another_order_is_the_same_slice() -> None:
    """Columns are sorted."""
    registry = middle(promoted(), worse_slices=("accent=scottish&noise=cafe",))
    assert registry.ask("asr", slice_="noise=cafe&accent=scottish").target == "1.0"


# --- histories with gaps, earlier rollbacks, canaries


def test_what_an_earlier_rollback_left_behind_is_no_target() -> None:
    """Neither the bad release nor those after it that were live then, until promoted again."""
    registry = three().serve(release("asr", "1.3"))
    registry.happens("asr", ROLLED, "1.1", bad=("1.2",), from_version="1.3")
    registry.serve(release("asr", "1.4"))
    target = registry.ask("asr")
    assert target.target == "1.1"
    assert [one.code for one in target.refused] == ["bad", "rolled_back", "rolled_back"]
    assert target.refused[1].reason == (
        "the rollback of 1.2 at 2026-01-01T09:00:00Z left it behind, and it was not promoted since"
    )
    registry.happens("asr", PROMOTED, "1.3")
    registry.serve(release("asr", "1.5"))
    assert registry.ask("asr", "1.4").target == "1.3"


def test_after_a_rollback_the_bad_release_needs_no_second_one() -> None:
    """Asked again about the same bad release, the answer is that it has gone."""
    registry = three()
    registry.happens("asr", ROLLED, "1.1", bad=("1.2",), from_version="1.2")
    planned = plan_rollback(RollbackOptions(model="asr", bad=("1.2",)), registry.ports())
    assert planned.target.target == "1.1"
    assert planned.moves == ()
    assert planned.target.steps[0] == "1. nothing to move: 1.1 is live, and 1.2 has no traffic"


def test_what_is_live_after_a_rollback_can_be_bad_too() -> None:
    """Unless said, bad is what is live; to apply that a second time it has to be said."""
    registry = three()
    registry.happens("asr", ROLLED, "1.1", bad=("1.2",), from_version="1.2")
    planned = plan_rollback(RollbackOptions(model="asr"), registry.ports())
    assert planned.target.target == "1.0"
    with pytest.raises(UsageError, match="going back once more has to be meant") as caught:
        apply(planned, registry.ports(), by="me", reason="", named=False)
    assert caught.value.hint == "say what is bad: relkit rollback asr --bad 1.1 --apply"
    assert apply(planned, registry.ports(), by="me", reason="").events[0].version == "1.0"


def test_the_way_back_does_not_lead_forward() -> None:
    """Where what is live is before the bad set, a newer release is a target only when named."""
    registry = three()
    registry.happens("asr", ROLLED, "1.0", bad=("1.2",), from_version="1.2")
    registry.happens("asr", PROMOTED, "1.1")
    registry.happens("asr", PROMOTED, "1.0")
    target = registry.ask("asr", "1.2")
    assert target.target == "1.0"
    assert target.refused[-1].code == "newer_than_live"
    assert registry.ask("asr", "1.2", to="1.1").target == "1.1"


def test_a_bad_canary_goes_back_to_what_is_live() -> None:
    """It never held all traffic; the release beside it does then."""
    registry = three().add(release("asr", "1.3"))
    registry.happens("asr", CANARY, "1.3", traffic=0.25, from_version="1.2")
    planned = plan_rollback(RollbackOptions(model="asr", bad=("1.3",)), registry.ports())
    assert planned.target.target == planned.target.live == "1.2"
    event = apply(planned, registry.ports(), by="me", reason="").events[0]
    assert (event.version, event.from_version, event.bad) == ("1.2", "1.3", ("1.3",))
    again = plan_rollback(RollbackOptions(model="asr", bad=("1.3",)), registry.ports())
    assert again.moves == ()


def test_an_ended_canary_has_no_traffic() -> None:
    """Nothing is left to take away."""
    registry = three().add(release("asr", "1.3"))
    registry.happens("asr", CANARY, "1.3", traffic=0.25).happens("asr", HELD, "1.3", traffic=0.0)
    assert plan_rollback(RollbackOptions(model="asr", bad=("1.3",)), registry.ports()).moves == ()


# --- releases from elsewhere


def legacy(at_hours: int, **fields: object) -> Registry:
    """Return a history whose middle release is legacy and was verified so many hours ago."""
    registry = middle(promoted(attested="legacy", decision=None), attested="legacy")
    hours = registry.time.hour - at_hours
    known: dict[str, object] = {"at": f"2026-01-01T{hours:02d}:00:00Z", **fields}
    registry.happens("asr", VERIFIED, "1.1", **known)
    return registry


def test_a_legacy_release_is_a_target_after_a_fresh_verification() -> None:
    """No gate stands behind it: its bytes do, and it says so."""
    target = legacy(0).ask("asr")
    assert (target.target, target.attested) == ("1.1", "legacy")
    assert any("no gate behind it (attested: legacy)" in line for line in target.evidence)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"at": "2025-12-30T00:00:00Z"}, "was verified at 2025-12-30T00:00:00Z, which is not"),
        ({"at": "2026-02-01T00:00:00Z"}, "was verified at 2026-02-01T00:00:00Z, which is not"),
        ({"at": "yesterday"}, "was verified at yesterday, which is not"),
        ({"release": None}, "is not its record"),
    ],
)
def test_a_verification_that_is_stale_or_of_something_else_does_not_count(
    fields: dict[str, object], words: str
) -> None:
    """A day at most, not from the future, and of exactly this record."""
    target = legacy(0, **fields).ask("asr")
    assert target.target == "1.0"
    assert target.refused[-1].code == "legacy_unverified"
    assert words in target.refused[-1].reason


def test_a_change_after_the_verification_takes_it_away() -> None:
    """What was yanked and restored has to be verified again."""
    registry = legacy(0).happens("asr", YANKED, "1.1").happens("asr", RESTORED, "1.1")
    assert "not verified since its last change" in registry.ask("asr").refused[-1].reason
    registry.happens("asr", VERIFIED, "1.1")
    assert registry.ask("asr").target == "1.1"


def test_a_legacy_release_that_then_passed_a_gate_is_one_like_any_other() -> None:
    """The gate counts, wherever the release came from."""
    registry = middle(promoted(), attested="legacy")
    target = registry.ask("asr")
    assert (target.target, target.attested) == ("1.1", "gate")


# --- hosted models


def test_a_hosted_model_that_still_behaves_alike_is_a_target() -> None:
    """Its identity stands in for an artifact."""
    registry = Registry()
    for version in ("1", "2"):
        registry.serve(hosted("asr", version, "sha256:same"))
    target = registry.ask("asr")
    assert target.target == "1"
    assert any("acme speech-1" in line for line in target.evidence)


def test_a_changed_fingerprint_behind_the_same_name_is_reported_and_refused() -> None:
    """Going back to a name would not go back to the behaviour."""
    registry = Registry().serve(hosted("asr", "1", "sha256:aaaa"))
    registry.serve(hosted("asr", "2", "sha256:bbbb"))
    target = registry.ask("asr")
    assert target.target is None
    assert target.refused[-1].code == "fingerprint_changed"
    assert target.refused[-1].reason == (
        "acme speech-1 changed its behaviour behind the same name: the fingerprint was "
        "sha256:aaaa and is sha256:bbbb"
    )


def test_a_hosted_model_without_a_fingerprint_is_no_target() -> None:
    """Nothing says that it is what was gated."""
    registry = Registry().serve(hosted("asr", "1", None)).serve(hosted("asr", "2", "sha256:b"))
    assert "no behavioural fingerprint was taken" in registry.ask("asr").refused[-1].reason


# --- what was asked


@pytest.mark.parametrize(
    ("request_", "message", "hint"),
    [
        (
            RollbackOptions(model="asl"),
            'no model "asl" in the registry',
            'did you mean "asr"?',
        ),
        (
            RollbackOptions(model="asr", bad=("1.22",)),
            '--bad: the ledger of asr knows no version "1.22"',
            'did you mean "1.2"?',
        ),
        (
            RollbackOptions(model="asr", to="9"),
            '--to: the ledger of asr knows no version "9"',
            "known: 1.0, 1.1, 1.2",
        ),
        (
            RollbackOptions(model="asr", slice="accent=*"),
            '--slice "accent=*" stands for several slices',
            "name the one that fails",
        ),
        (
            RollbackOptions(model="asr", slice="accent"),
            '--slice "accent" is no slice',
            'for example "accent=*", or overall',
        ),
    ],
)
def test_unknown_names_are_refused(request_: RollbackOptions, message: str, hint: str) -> None:
    """With the nearest known one, or where to look."""
    with pytest.raises(UsageError) as caught:
        plan_rollback(request_, three().ports())
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_partner_whose_record_is_lost_stops_the_plan() -> None:
    """What runs beside a model decides what fits: not knowing it is no pass."""
    registry = three().serve(release("llm", "2.0", component="llm"))
    del registry.records["llm", "2.0"]
    with pytest.raises(InvalidInput, match=r"what runs beside asr cannot be told: llm 2\.0"):
        registry.ask("asr")


def test_the_record_of_what_is_live_has_to_be_readable() -> None:
    """Without it nobody can say what fits; every release is refused with that reason."""
    registry = three()
    del registry.records["asr", "1.2"]
    target = registry.ask("asr")
    assert target.target is None
    assert target.refused[-1].reason.startswith("what is running cannot be told: its record")


def test_a_partner_that_runs_keeps_out_what_it_does_not_accept() -> None:
    """Ranges are held in the other direction, too."""
    registry = three()
    registry.serve(release("llm", "2.0", component="llm", requires={"asr": ">=1.2"}))
    target = registry.ask("asr")
    assert target.target is None
    assert target.refused[-1].reason == (
        "llm 2.0 is running and requires asr >=1.2, which 1.0 is not"
    )


def test_what_only_the_target_states_is_for_people_to_check() -> None:
    """Nothing running is known to need it, and nobody can have checked it."""
    registry = middle(promoted())
    registry.write(replace(registry.read("asr", "1.2"), interface=Interface()))
    target = registry.ask("asr")
    assert target.target == "1.1"
    assert (
        "1.1 states its sample rate (16000 Hz), what runs does not: nobody checked that it fits"
    ) in target.checklist


# --- applying


def test_planning_changes_nothing() -> None:
    """No event, no alias."""
    registry = three()
    before = registry.events("asr")
    registry.ask("asr")
    assert (registry.events("asr"), registry.aliases) == (before, {})


def test_applying_appends_the_event_and_moves_the_alias() -> None:
    """In this order, with what was bad, where, and why."""
    registry = three()
    request = RollbackOptions(model="asr", slice="accent=scottish")
    planned = plan_rollback(request, registry.ports())
    done = apply(planned, registry.ports(), by="me", reason="scots are not understood")
    event = registry.events("asr")[-1]
    assert done.events == (event,)
    assert done.mirrored
    assert (event.kind, event.version, event.from_version) == (ROLLED, "1.1", "1.2")
    assert (event.bad, event.slice, event.traffic) == (("1.2",), "accent=scottish", 1.0)
    assert (event.by, event.reason, event.attested) == ("me", "scots are not understood", "gate")
    assert event.release == registry.read("asr", "1.1").digest
    assert registry.aliases["asr"] == {"champion": "1.1", "previous": "1.2"}


def test_an_event_in_between_means_to_plan_again() -> None:
    """A plan is about one state of the ledger."""
    registry = three()
    planned = plan_rollback(RollbackOptions(model="asr"), registry.ports())
    registry.in_between = replace(registry.events("asr")[-1], kind=YANKED, version="1.1")
    with pytest.raises(Busy, match="asr was not rolled back: the ledger of asr has ch") as caught:
        apply(planned, registry.ports(), by="me", reason="")
    assert caught.value.hint == "plan again: relkit rollback asr"
    assert registry.aliases == {}
    assert registry.events("asr")[-1].kind is YANKED


def test_a_mirror_that_is_down_loses_nothing() -> None:
    """The event is safe, the exit code says which backend, and the hint finishes it."""
    registry = three()
    registry.mirror_down = True
    planned = plan_rollback(RollbackOptions(model="asr"), registry.ports())
    with pytest.raises(BackendUnavailable) as caught:
        apply(planned, registry.ports(), by="me", reason="")
    assert caught.value.exit_code == 5
    assert caught.value.message == (
        "the rollback of asr to 1.1 is recorded (event 7), and the alias was not moved: MLflow "
        "did not answer at http://127.0.0.1:1"
    )
    assert caught.value.hint == "nothing is lost; finish it: relkit registry verify --repair"
    assert registry.events("asr")[-1].kind is ROLLED


def test_an_alias_that_somebody_moved_is_not_moved_again() -> None:
    """Compare-and-set in the mirror, too."""
    registry = three()
    registry.aliases["asr"] = {"champion": "0.5", "previous": None}
    planned = plan_rollback(RollbackOptions(model="asr"), registry.ports())
    with pytest.raises(InvalidInput, match=r"alias was not moved: the alias champion names 0\.5"):
        apply(planned, registry.ports(), by="me", reason="")
    assert registry.aliases["asr"]["champion"] == "0.5"


def test_without_a_mirror_the_event_is_all() -> None:
    """A workspace without MLflow rolls back, too."""
    registry = three()
    planned = plan_rollback(RollbackOptions(model="asr"), registry.ports(mirror=False))
    done = apply(planned, registry.ports(mirror=False), by="me", reason="")
    assert len(done.events) == 1
    assert not done.mirrored


def test_an_artifact_by_reference_is_judged_by_its_store() -> None:
    """What cannot be verified from here is no target."""
    reference = Artifact(digest="sha256:a", reference="https://models.example/asr-1.1.tar")
    registry = middle(promoted(), artifact=reference)
    registry.broken["asr", "1.1"] = "the bytes of https://models.example/asr-1.1.tar are not here"
    assert registry.ask("asr").target == "1.0"
