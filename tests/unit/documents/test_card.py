"""The facts of a card: what of the records may be public, and what is named as missing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from relkit.core.config import Privacy
from relkit.core.errors import InvalidInput
from relkit.core.values import Estimate, Named
from relkit.disclosure.types import Subjects
from relkit.documents.card import card_of
from relkit.documents.card_evaluation import CardRecords, report_tails
from relkit.documents.card_view import card_values
from relkit.documents.types import CardNumber, CardText, Fairness, ModelCard
from relkit.evaluation.types import EvalReport
from relkit.gate.types import Verdict
from relkit.monitoring.types import LiveFinding
from relkit.registry.ledger import state_of
from relkit.registry.types import EventKind, HostedIdentity, Interface, ServingCost
from relkit.report.shared_numbers import Sharing
from relkit.report.shared_view import shared_decision
from relkit.report.types import NOT_SHARED
from relkit.rollback.types import Refused, RollbackTarget
from relkit.statistics.estimates import sums_needed
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, SliceValues
from tests import builders
from tests.decisions import statement
from tests.release_data import DIGEST, OTHER, chained, event, promoted, registered, release

PRIVACY = Privacy(share={"noise": ("0", "1", "2"), "accent": ("*",)})
NAMES = ("wer_capped", "failure_rate", "runaway_rate")


def measured(
    sizes: dict[str, int],
    *,
    subjects: Subjects = "people",
    errors: float = 0.1,
    **fields: Any,  # noqa: ANN401  # of a report
) -> tuple[EvalReport, ClusterSums]:
    """Return a report of so many speakers per slice, everything included, with its sums."""
    draw = np.random.default_rng(7)
    rows: list[tuple[int, int]] = []
    first, people = 0, {}
    for name, size in sizes.items():
        people[name] = range(first, first + size)
        first += size
    slices = ("overall", *sizes)
    rows = [(0, person) for person in range(first)]
    rows += [(i, person) for i, name in enumerate(sizes, 1) for person in people[name]]
    words = dict.fromkeys(range(first), 200.0)
    wrong = {person: float(draw.binomial(200, errors)) for person in range(first)}
    columns = dict.fromkeys(sums_needed(NAMES), np.zeros(len(rows)))
    columns |= {
        "words": np.array([words[person] for _, person in rows]),
        "capped_errors": np.array([wrong[person] for _, person in rows]),
        "with_words": np.full(len(rows), 20.0),
        "utterances": np.full(len(rows), 20.0),
    }
    sums = ClusterSums(
        slices=slices,
        slice_index=np.array([i for i, _ in rows]),
        cluster_index=np.array([person for _, person in rows]),
        columns=columns,
    )
    metric = RATE_METRICS["wer_capped"]
    estimates = estimate_rates(metric, RateEvidence(sums=sums))
    results = [
        builders.slice_result(name, {"wer_capped": estimate}, utterances=20 * estimate.clusters)
        for name, estimate in zip(slices, estimates, strict=True)
    ]
    given: dict[str, Any] = {
        "cluster": "speaker",
        "expected": 400,
        "scored": 400,
        "unusable": 0,
        "failures": 0,
        "registered": {"accent": ("scottish", "american")},
    }
    report = builders.report(*results, **(given | fields))
    return replace(report, dataset=replace(report.dataset, subjects=subjects)), sums


def made(
    sizes: dict[str, int] | None = None,
    *,
    text: CardText = CardText(),  # noqa: B008 - frozen
    privacy: Privacy = PRIVACY,
    records: dict[str, Any] | None = None,
    **fields: Any,  # noqa: ANN401  # of measured
) -> ModelCard:
    """Return the card of a release that was measured on so many speakers."""
    report, sums = measured(sizes or {"noise=0": 12, "noise=1": 9, "noise=7": 15}, **fields)
    given: dict[str, Any] = {
        "release": release(),
        "text": text,
        "sharing": Sharing(privacy=privacy),
        "report": report,
        "sums": dict.fromkeys(NAMES, sums),
        **(records or {}),
    }
    return card_of(CardRecords(**given))


def numbers(card: ModelCard) -> dict[str, CardNumber]:
    """Return the primary metric of a card by slice."""
    assert card.evaluation is not None
    return {item.slice: item for item in card.evaluation.numbers if item.metric == "wer_capped"}


def test_a_slice_of_fewer_than_k_people_has_no_number() -> None:
    """Nine speakers are not shown, twelve are, and the card says how many numbers are not."""
    card = made()
    assert set(numbers(card)) == {"overall", "noise=0"}
    assert card.evaluation is not None
    assert card.evaluation.hidden == 1
    assert (card.evaluation.k, card.evaluation.report) == (10, None)
    shown = numbers(card)["noise=0"].number
    assert shown.basis == "10 to 19 speakers, 200 to 499 utterances"
    assert shown.value is not None
    assert shown.low is not None
    assert shown.high is not None
    assert 0 <= shown.low < shown.value < shown.high <= 1
    assert any("Not shown: 1" in remark for remark in card.remarks)


@pytest.mark.parametrize("subjects", ["public", "synthetic"])
def test_data_of_nobody_is_shown_and_the_card_says_whose_it_is(subjects: Subjects) -> None:
    """Control applies to people; a name that is not shared has no number all the same."""
    card = made(subjects=subjects)
    assert set(numbers(card)) == {"overall", "noise=0", "noise=1"}
    assert card.evaluation is not None
    assert (card.evaluation.k, card.evaluation.subjects) == (1, subjects)
    assert any(subjects in remark for remark in card.remarks)
    assert "noise=7" not in str(card)


def test_a_dataset_that_does_not_say_is_of_people() -> None:
    """The strictest rule holds where nobody said otherwise."""
    card = made(cluster="")
    assert card.evaluation is not None
    assert card.evaluation.numbers == ()


def test_few_events_are_not_told_apart_from_none() -> None:
    """Of people's data no rate is shown, and zero reads like nine."""
    for errors in (0.0, 0.002):
        shown = numbers(made({"noise=0": 12}, errors=errors))["overall"].number
        assert (shown.value, shown.missing) == (None, "fewer than 10 events")


def test_without_sums_no_number_is_shown() -> None:
    """Of how many people a number is nobody knows then, and that is said."""
    card = made(records={"sums": {}})
    assert card.evaluation is not None
    assert card.evaluation.numbers == ()
    assert card.evaluation.failures.missing is not None
    assert card.not_measured[0] == "gaps between groups"


def test_names_leave_only_where_they_are_shared() -> None:
    """Columns and values that relkit.yaml does not share are counted, and are nowhere."""
    card = made({"noise=0": 12, "speaker=ann": 12}, privacy=Privacy())
    assert set(numbers(card)) == {"overall"}
    assert "ann" not in str(card)
    assert any("does not share (privacy.share): 2" in remark for remark in card.remarks)


def test_failures_and_runaways_of_people_are_bands() -> None:
    """A count stands in a band or as fewer than k, never as itself."""
    card = made(failures=3)
    assert card.evaluation is not None
    assert card.evaluation.failures.missing == "fewer than 10 utterances"
    card = made(failures=31)
    assert card.evaluation is not None
    assert card.evaluation.failures.missing == "20 to 49 utterances"
    assert card.evaluation.failures.value is None
    again = made(failures=93, repeats=3)
    assert again.evaluation is not None
    assert again.evaluation.failures == card.evaluation.failures


def test_latency_of_people_needs_a_tail_that_many_bear() -> None:
    """The percentile lies on its grid without ends; a thin tail says why it is not shown."""
    report, sums = measured({"noise=0": 40})
    everything = report.slices[0]
    metrics = {
        **everything.metrics,
        "latency_ms.p50": Estimate(value=400.0, low=380.0, high=411.0, unit="ms"),
        "latency_ms.p99": Estimate(value=795.0, low=700.0, unit="ms"),
    }
    report = replace(report, slices=(replace(everything, metrics=metrics), *report.slices[1:]))
    values = SliceValues(
        slices=("overall",),
        slice_index=np.zeros(800, dtype=np.int64),
        cluster_index=np.arange(800) % 40,
        values=np.arange(800.0),
    )
    card = made(
        records={
            "report": report,
            "sums": dict.fromkeys(NAMES, sums),
            "tails": report_tails(report, {"latency_ms": values}),
            "load": {"cores": 2},
        }
    )
    assert card.evaluation is not None
    median, last = (item.number for item in card.evaluation.latency)
    assert median.value == pytest.approx(400, rel=0.03)
    assert (median.low, median.high) == (None, None)
    assert median.basis == "20 to 49 speakers, 500 to 999 measurements"
    assert (last.value, "beyond it" in (last.missing or "")) == (None, True)


def test_the_gap_between_groups_has_an_interval_and_what_could_be_seen() -> None:
    """Groups that are too small are left out and said to be; the tolerance is held against it."""
    text = CardText(fairness=Fairness(group="noise=*", tolerance=0.5))
    card = made({"noise=0": 12, "noise=1": 12, "noise=2": 4}, text=text)
    assert card.evaluation is not None
    (gap,) = card.evaluation.gaps
    assert (gap.column, gap.groups, gap.left_out) == ("noise", 2, True)
    assert {gap.best, gap.worst} == {"noise=0", "noise=1"}
    assert gap.gap.value is not None
    assert gap.gap.low is not None
    assert gap.gap.high is not None
    assert gap.gap.low <= gap.gap.value <= gap.gap.high
    assert gap.visible is not None
    assert 0 < gap.visible < 0.2
    assert (gap.tolerance, gap.within) == (0.5, True)


def test_a_column_of_one_large_group_has_no_gap() -> None:
    """It reads as not measured, and says why."""
    text = CardText(fairness=Fairness(group="noise=*", tolerance=0.03))
    card = made({"noise=0": 12, "noise=1": 4}, text=text)
    assert card.evaluation is not None
    (gap,) = card.evaluation.gaps
    assert (gap.gap.value, gap.within) == (None, None)
    assert gap.gap.missing == "fewer than two groups are large enough"
    assert "gaps between groups" in card.not_measured


def test_fairness_of_a_column_that_was_not_measured_is_missing() -> None:
    """What people want to hold a release to cannot be looked at, and the card says so."""
    text = CardText(fairness=Fairness(group="accent=*", tolerance=0.03))
    card = made({"noise=0": 12, "noise=1": 12}, text=text)
    assert card.not_measured[0] == "gaps between groups of accent=*"


def test_nothing_but_the_record_is_a_card_that_says_so() -> None:
    """A release without report, decision and ledger: each part is named, none is blank or 0."""
    bare = release(serving_cost=None, lineage=(), licence="", interface=Interface())
    card = card_of(CardRecords(release=bare, text=CardText(), sharing=Sharing(privacy=Privacy())))
    assert card.not_measured == (
        "evaluation",
        "gaps between groups",
        "failures",
        "runaways",
        "latency",
        "cost",
        "lineage",
        "decision",
        "rollback target",
    )
    assert card.not_stated == (
        "intended use",
        "out of scope",
        "limitations",
        "risks",
        "fairness",
        "training data",
        "consent of the training data",
        "source of the training data",
        "languages",
        "base model",
        "licence",
        "contact",
    )
    values = card_values(card)
    assert values["cost"] == values["signature"] == "not measured"


def test_the_ledger_says_what_became_of_a_release() -> None:
    """Live, withdrawn and removed as bad, to the minute; who did it and why is never there."""
    events = chained(
        [
            registered("1.0.0", 0, by="ann"),
            promoted("1.0.0", 1, by="ann"),
            registered("1.1.0", 2, by="ann"),
            promoted("1.1.0", 3, by="ann"),
            event(
                EventKind.ROLLED_BACK,
                "1.0.0",
                at="2026-01-31T12:04:44Z",
                bad=("1.1.0",),
                from_version="1.1.0",
                traffic=1.0,
                slice="noise=1",
                reason="ann saw it",
            ),
            event(EventKind.YANKED, "1.1.0", at="2026-01-31T12:05:17Z", reason="ann again"),
        ]
    )
    ledger = {"events": events, "state": state_of("asr", events)}
    card = made(records={"release": release("1.1.0"), **ledger})
    assert card.release.yanked == "2026-01-31T12:05:00Z"
    assert [item.kind for item in card.release.served][-2:] == [
        EventKind.ROLLED_BACK,
        EventKind.YANKED,
    ]
    assert [item.traffic for item in card.release.served] == [None, 1.0, 0.0, None]
    assert [(item.slice, item.source) for item in card.worse] == [("noise=1", "ledger")]
    assert "ann" not in str(card)
    assert made(records={"release": release("1.0.0"), **ledger}).release.live


def test_known_worse_slices_have_names_only_where_those_are_shared() -> None:
    """The release record and the ledger may name any slice; the card does not."""
    worse = ("noise=1", "speaker=ann", "accent=northern")
    card = made(records={"release": release(worse_slices=worse)})
    assert [item.slice for item in card.worse] == [
        "noise=1",
        "(not shared)",
        "accent=(not shared)",
    ]


def test_a_check_that_failed_in_a_slice_is_known_to_be_worse() -> None:
    """Only where the check itself may be shown."""
    decision = statement(2, worse=3.0, speakers=14)
    parts = tuple(
        replace(part, cluster="speaker", dataset=replace(part.dataset, subjects="people"))
        for part in decision.parts
    )
    decision = replace(decision, parts=parts)
    shown = shared_decision(decision, (), Sharing(privacy=PRIVACY))
    failed = {row.slice for row in shown.rows if row.verdict is Verdict.FAIL} - {"overall"}
    card = made(records={"decision": decision, "shown": shown, "decision_digest": DIGEST})
    assert {item.slice for item in card.worse} == failed
    assert card.decision is not None
    assert (card.decision.verdict, card.decision.digest) == (decision.verdict, None)


def test_a_target_of_rollback_and_why_others_are_refused() -> None:
    """By version and code; the words of a refusal, which quote the ledger, stay at home."""
    target = RollbackTarget(
        model="asr",
        live="1.0.0",
        bad=("1.0.0",),
        slice=None,
        target="0.9.0",
        attested="gate",
        refused=(Refused(version="0.9.1", code="yanked", reason="ann withdrew it"),),
    )
    card = made(records={"rollback": target})
    assert card_values(card)["rollback"] == (
        "If this release is bad, go back to asr 0.9.0 (a gate passed it)."
    )
    nothing = made(records={"rollback": replace(target, target=None)})
    assert card_values(nothing)["rollback"] == (
        "There is no earlier release to go back to (0.9.1: withdrawn)."
    )
    assert "ann" not in str(card)


@pytest.mark.parametrize("version", ["a" * 65])
def test_a_name_that_may_not_be_shared_is_refused(version: str) -> None:
    """It is refused and never masked: a masked one could stand for another."""
    with pytest.raises(InvalidInput) as caught:
        made(records={"release": release(version)})
    assert version not in str(caught.value)


def test_text_of_records_is_shown_only_in_the_form_of_names() -> None:
    """A tokenizer may be named; a sentence in its place may not."""
    interface = Interface(tokenizer="bpe-32k", label_schema="ask ann: 415 555 0142!")
    card = made(records={"release": release(interface=interface, runtime="ctranslate2 4.6")})
    assert card.release.interface.tokenizer == "bpe-32k"
    assert card.release.interface.label_schema == "(not shared)"
    assert card.release.runtime == "ctranslate2 4.6"


def test_a_vendors_model_is_its_configuration() -> None:
    """It has no artifact: what decisions are about stands in its place, and who makes it."""
    hosted = HostedIdentity(provider="acme", model="listen-2", configuration=OTHER)
    card = made(records={"release": release(kind="hosted", artifact=None, hosted=hosted)})
    assert (card.release.digest, card.release.vendor) == (OTHER, "acme listen-2")


def test_an_address_of_an_artifact_is_not_said() -> None:
    """Where a team keeps its models is its own."""
    assert "ghcr.io" not in str(made())
    assert made().release.digest == DIGEST


def test_the_newest_look_at_its_canary_is_named_with_its_verdict() -> None:
    """By policy and time; looks at other releases, in shadow, and every number stay at home."""
    look = LiveFinding(
        kind="canary",
        policy=Named(name="rollout", digest=DIGEST),
        enforcement="enforce",
        verdict="hold",
        gate_verdict="inconclusive",
        reason="failures on language=de in 39 of 270 turns",
        created="2026-02-01T10:00:30Z",
        subject="1.0.0",
        checks=(),
        report={"subject": {"model": "asr", "canary": "1.0.0", "control": "0.9"}},
    )
    other = {"subject": {"model": "tts", "canary": "1.0.0"}}
    looks = (
        replace(look, verdict="advance", created="2026-02-01T11:00:30Z"),
        look,
        replace(look, verdict="roll_back", created="2026-02-02T11:00:30Z", report=other),
        replace(look, verdict="roll_back", created="2026-02-02T12:00:30Z", enforcement="shadow"),
        replace(look, verdict="breach", created="2026-02-03T12:00:30Z", report={"subject": None}),
    )
    card = made(records={"findings": looks})
    assert [(item.policy, item.verdict, item.at) for item in card.findings] == [
        ("rollout", "advance", "2026-02-01T11:00:00Z")
    ]
    assert "language=de" not in str(card)


def test_no_field_of_a_record_carries_a_personal_value() -> None:
    """What is free in a record is not shared then; a model or a version is refused."""
    planted = "5551234567"
    record = replace(
        release(),
        runtime=f"call 555-123-4567 {planted}",
        licence="asr.example.com",
        serving_cost=ServingCost(amount=1.0, currency="EUR", per="call 555-123-4567"),
    )
    card = made(records={"release": record})
    assert (card.release.runtime, card.release.licence) == (NOT_SHARED, NOT_SHARED)
    assert card.cost is not None
    assert card.cost.per == NOT_SHARED
    assert planted not in str(card)
    for refused in (release(model="asr.example.com"), release("555-123-4567")):
        with pytest.raises(InvalidInput, match="reads as a personal value"):
            made(records={"release": refused})


def test_the_load_of_recorded_answers_of_people_has_no_digest() -> None:
    """A digest of their answers would confirm a guess of them; nobody's are named by it."""
    records = {"load": {"recorded": DIGEST, "cores": 2}}
    for subjects, told in (("people", "answers of people"), ("synthetic", DIGEST)):
        card = made(records=records, subjects=subjects)
        assert card.evaluation is not None
        assert card.evaluation.load == {"recorded": told, "cores": 2}
        assert bool(card.evaluation.load_digest) == (subjects == "synthetic")
        assert told in str(card_values(card)["load"])
    assert card_values(made())["load"] == "a load that is not here"


def test_the_metric_that_slices_are_ranked_by_stands_first() -> None:
    """Whatever the order of the suite: it is the one of the slices, of the gaps and of a hub."""
    report, sums = measured({"noise=0": 12, "noise=1": 14})
    slices = tuple(
        replace(item, metrics={"runaway_rate": item.metrics["wer_capped"], **item.metrics})
        for item in report.slices
    )
    card = card_of(
        CardRecords(
            release=release(),
            text=CardText(),
            sharing=Sharing(privacy=PRIVACY),
            report=replace(report, slices=slices),
            sums=dict.fromkeys(NAMES, sums),
        )
    )
    assert card.evaluation is not None
    assert card.evaluation.numbers[0].metric == "wer_capped" == card.evaluation.gaps[0].metric
    assert card_values(card)["by_slice"][0][0] == "wer_capped"  # type: ignore[index]


def test_a_licence_may_be_an_expression_in_brackets() -> None:
    """Brackets and commas are no text of their own."""
    for licence in ("(MIT OR Apache-2.0)", "MIT (code), CC-BY-4.0 (data)"):
        card = made(records={"release": release(licence=licence)})
        assert card.release.licence == licence
