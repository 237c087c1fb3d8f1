"""The bill of materials of a release: CycloneDX 1.6 that strict validators take."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Consent
from relkit.disclosure.types import PacketRollback
from relkit.documents.bom_files import model_bom
from relkit.documents.types import (
    CardDecision,
    CardEvaluation,
    CardEvent,
    CardGap,
    CardNumber,
    CardRelease,
    CardRisk,
    CardSignature,
    CardText,
    ModelCard,
    TrainingData,
    WorseSlice,
)
from relkit.gate.types import Verdict
from relkit.registry.types import EventKind, Interface, Lineage, ServingCost
from relkit.report.types import SharedDocument, SharedNumber
from tests.file_values import values

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
VALIDATORS = {
    "1.6": JsonStrictValidator(SchemaVersion.V1_6),
    "1.7": JsonStrictValidator(SchemaVersion.V1_7),
}


def bare() -> ModelCard:
    """Return the card of a release of which nothing is measured or stated."""
    return ModelCard(
        release=CardRelease(
            model="asr",
            version="2.4.0",
            component="asr",
            kind="files",
            created="2026-11-01T10:00:00Z",
            licence="",
            attested="none",
            digest=DIGEST,
            vendor=None,
            interface=Interface(),
            requires={},
            pins={},
            runtime=None,
            served=(),
            live=False,
            yanked=None,
        ),
        text=CardText(),
        evaluation=None,
        decision=None,
        signature=None,
        cost=None,
        lineage=(),
        rollback=None,
        worse=(),
        remarks=(),
        not_measured=("evaluation", "cost"),
        not_stated=("intended use",),
    )


def _number(metric: str, key: str, shown: SharedNumber) -> CardNumber:
    return CardNumber(metric=metric, slice=key, number=shown, better="down", help="errors")


def full() -> ModelCard:
    """Return a card with something in every part."""
    shown = SharedNumber(value=0.125, low=0.1, high=0.2, basis="100 to 199 speakers")
    few = SharedNumber(missing="fewer than 10 events")
    evaluation = CardEvaluation(
        dataset="calls",
        dataset_digest=OTHER,
        revision="v3",
        subjects="people",
        k=10,
        suite="demo",
        suite_digest=DIGEST,
        normalizer="english",
        scorer="relkit-text/2",
        created="2026-11-02T10:00:00Z",
        cluster="speaker",
        coverage=SharedNumber(value=0.95),
        numbers=(
            _number("wer", "overall", shown),
            _number("wer", "accent=american", replace(shown, low=None, high=None)),
            _number("wer", "accent=scottish", few),
        ),
        gaps=(
            CardGap(
                column="accent",
                metric="wer",
                best="accent=american",
                worst="accent=scottish",
                gap=SharedNumber(value=0.05, low=-0.01, high=0.11),
                visible=0.03,
                groups=3,
                left_out=False,
                tolerance=0.03,
                within=None,
            ),
            CardGap(
                column="noise",
                metric="wer",
                best="",
                worst="",
                gap=few,
                visible=None,
                groups=1,
                left_out=True,
            ),
        ),
        failures=few,
        runaways=SharedNumber(value=0.0, low=0.0, high=0.01),
        latency=(_number("latency_ms.p95", "overall", replace(shown, value=812.4, unit="ms")),),
        load={"cores": 2, "hardware": "cpu"},
        load_digest=DIGEST,
        hidden=4,
        limit=None,
        report=None,
    )
    decision = CardDecision(
        policy="release",
        policy_digest=DIGEST,
        enforcement="enforce",
        verdict=Verdict.PASS,
        created="2026-11-03T10:00:00Z",
        expires="2026-12-03T10:00:00Z",
        shown=SharedDocument(
            title="gate",
            created="2026-11-03T10:00:00Z",
            verdict="passed",
            outcome=Verdict.PASS,
            blocks=False,
            subjects="people",
            k=10,
            rows=(),
            hidden=0,
        ),
        overrides=1,
        digest=None,
    )
    card = bare()
    return replace(
        card,
        release=replace(
            card.release,
            licence="apache-2.0",
            interface=Interface(sample_rate_hz=16000, languages=("en",), tokenizer="bpe-1"),
            requires={"llm": ">=3"},
            pins={"tts": "1.2.0"},
            runtime="onnx-1.19",
            served=(CardEvent(at="2026-11-04T10:00:00Z", kind=EventKind.PROMOTED, traffic=0.05),),
            live=True,
        ),
        text=CardText(
            intended_use="Short commands <b>in a car</b>; =cmd|' /C calc'!A0.",
            out_of_scope=("emergency calls",),
            limitations=("names of places",),
            training_data=TrainingData(description="Licensed calls", consent=Consent.GRANTED),
            languages=("en",),
            base_model="openai/whisper-tiny.en",
            contact="speech-team",
            risks=(CardRisk(risk="wrong number", mitigation="read back"), CardRisk(risk="b")),
        ),
        evaluation=evaluation,
        decision=decision,
        signature=CardSignature(signers=("ab" * 8,), problem=None),
        cost=ServingCost(amount=0.0004, currency="EUR", per="call"),
        lineage=(
            Lineage(dataset="calls", digest=OTHER, revision="v3"),
            Lineage(dataset="corpus", digest=DIGEST, use="training"),
        ),
        rollback=PacketRollback(target="2.3.1", verified=True, refused=()),
        worse=(WorseSlice(slice="accent=scottish", source="decision"),),
        remarks=("Numbers are of at least 10 speakers.",),
        not_measured=(),
        not_stated=("consent",),
    )


def assert_valid(text: str) -> None:
    """Assert that the strict validators of both versions take it, offline."""
    for version, validator in VALIDATORS.items():
        document = json.loads(text) | {
            "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
            "specVersion": version,
        }
        problem = validator.validate_str(json.dumps(document))
        assert problem is None, (version, str(problem)[:2000])


def of(text: str, *path: str | int) -> Any:  # noqa: ANN401 - a place of a JSON document
    """Return what stands in the component that a document describes."""
    place = json.loads(text)["metadata"]["component"]
    for step in path:
        place = place[step]
    return place


def properties(*places: list[dict[str, str]]) -> dict[str, list[str]]:
    """Return the values of properties by name."""
    by_name: dict[str, list[str]] = {}
    for item in (item for place in places for item in place):
        by_name.setdefault(item["name"].removeprefix("relkit:"), []).append(item["value"])
    return by_name


def test_a_card_is_a_bill_of_materials_that_strict_validators_take() -> None:
    """Every part of it is there: numbers as strings, people's words, data, what is open."""
    text = model_bom(full(), tool_version="0.1.0")
    assert_valid(text)
    assert of(text, "hashes") == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert of(text, "licenses", 0, "license", "id") == "Apache-2.0"
    assert of(text, "pedigree", "ancestors", 0, "name") == "openai/whisper-tiny.en"
    assert of(text, "modelCard", "quantitativeAnalysis", "performanceMetrics") == [
        {
            "type": "wer",
            "value": "0.125",
            "slice": "overall",
            "confidenceInterval": {"lowerBound": "0.1", "upperBound": "0.2"},
        },
        {"type": "wer", "value": "0.125", "slice": "accent=american"},
        {
            "type": "latency_ms.p95",
            "value": "812.4",
            "slice": "overall",
            "confidenceInterval": {"lowerBound": "0.1", "upperBound": "0.2"},
        },
    ]
    considerations = of(text, "modelCard", "considerations")
    assert considerations["useCases"] == ["Short commands <b>in a car</b>; =cmd|' /C calc'!A0."]
    assert considerations["technicalLimitations"] == [
        "names of places",
        "out of scope: emergency calls",
        "worse on accent=scottish, by the decision",
    ]
    assert considerations["ethicalConsiderations"] == [
        {"name": "wrong number", "mitigationStrategy": "read back"},
        {"name": "b"},
    ]
    assert considerations["fairnessAssessments"] == [
        {
            "groupAtRisk": "accent=scottish",
            "harms": "wer differs by 5.0 points (-1.0 to +11.0) from accent=american; "
            "not shown to be within the tolerance of 3.0 points",
        }
    ]
    facts = properties(of(text, "properties"), of(text, "modelCard", "properties"))
    assert facts["not_stated"] == ["consent"]
    assert "not_measured" not in facts
    assert facts["not_shown"] == [
        "wer on accent=scottish: fewer than 10 events",
        "gap of wer by noise: fewer than 10 events",
    ]
    assert facts["smallest_visible_gap"] == ["wer by accent: 3.0 points"]
    assert facts["failures"] == ["fewer than 10 events"]
    assert facts["event"] == ["2026-11-04T10:00:00Z promoted 0.05"]
    assert facts["verdict"] == ["pass"]
    assert facts["serving_cost"] == ["0.0004 EUR per call"]
    assert facts["rollback_target"] == ["2.3.1"]
    document = json.loads(text)
    assert [part["bom-ref"] for part in document["components"]] == [
        f"dataset:calls@{'cd' * 32}:evaluation",
        f"dataset:corpus@{'ab' * 32}:training",
        "dataset:stated",
        "model:tts@1.2.0",
    ]
    assert document["dependencies"][0]["dependsOn"] == ["model:tts@1.2.0"]
    assert document["metadata"]["timestamp"] == "2026-11-04T10:00:00Z"


def test_what_nobody_measured_or_stated_has_no_field() -> None:
    """It is named instead: no empty text, no 0, no guess."""
    text = model_bom(bare(), tool_version="0.1.0")
    assert_valid(text)
    assert "quantitativeAnalysis" not in of(text, "modelCard")
    assert of(text, "modelCard", "considerations") == {}
    assert not {"licenses", "pedigree", "supplier", "description"} & set(of(text))
    facts = properties(of(text, "properties"))
    assert facts["not_measured"] == ["evaluation", "cost"]
    assert facts["not_stated"] == ["intended use"]


def test_the_serial_number_is_of_the_release_and_of_what_is_said_about_it() -> None:
    """The same card gives the same bytes; another fact gives another number, never the same one."""
    text = model_bom(full(), tool_version="0.1.0")
    assert model_bom(full(), tool_version="0.1.0") == text
    others = (replace(full(), not_stated=()), bare(), replace(full(), cost=None))
    serials = {
        json.loads(model_bom(card, tool_version="0.1.0"))["serialNumber"]
        for card in (full(), *others)
    }
    assert len(serials) == 4


@pytest.mark.parametrize(
    ("licence", "written"),
    [
        ("MIT", {"license": {"id": "MIT", "acknowledgement": "declared"}}),
        ("cc-by-4.0", {"license": {"id": "CC-BY-4.0", "acknowledgement": "declared"}}),
        ("ours alone", {"license": {"name": "ours alone", "acknowledgement": "declared"}}),
        (
            "MIT OR apache-2.0",
            {"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"},
        ),
        ("MIT OR ours", {"license": {"name": "MIT OR ours", "acknowledgement": "declared"}}),
    ],
)
def test_a_licence_is_an_identifier_an_expression_or_a_name(
    licence: str, written: dict[str, object]
) -> None:
    """Only identifiers of the SPDX list are written as such."""
    card = replace(bare(), release=replace(bare().release, licence=licence))
    text = model_bom(card, tool_version="0.1.0")
    assert_valid(text)
    assert of(text, "licenses") == [written]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_none_is_refused(value: float) -> None:
    """Neither NaN nor an infinity gets into a string that somebody may read as a number."""
    card = full()
    assert card.evaluation is not None
    number = _number("wer", "overall", SharedNumber(value=value))
    broken = replace(card, evaluation=replace(card.evaluation, numbers=(number,)))
    with pytest.raises(InvalidInput, match="wer is no number"):
        model_bom(broken, tool_version="0.1.0")


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(card=values(ModelCard))
def test_any_card_is_valid(card: ModelCard) -> None:
    """Whatever a card says, the validators take it, and nothing in it is not finite."""
    at = "2026-11-01T10:00:00Z"  # times of a card are those of records, which are checked
    events = tuple(replace(event, at=at) for event in card.release.served)
    card = replace(
        card,
        release=replace(card.release, created=at, served=events),
        evaluation=card.evaluation and replace(card.evaluation, created=at),
        decision=card.decision and replace(card.decision, created=at),
    )
    assert_valid(model_bom(card, tool_version="0.1.0"))


def test_of_equal_groups_none_is_at_risk() -> None:
    """A gap of 0 is said of the column, and names no group."""
    card = full()
    assert card.evaluation is not None
    equal = tuple(replace(gap, best="", worst="") for gap in card.evaluation.gaps)
    card = replace(card, evaluation=replace(card.evaluation, gaps=equal))
    text = model_bom(card, tool_version="0.1.0")
    assert_valid(text)
    assert "between the groups of" in text
    assert "groupAtRisk" not in text
