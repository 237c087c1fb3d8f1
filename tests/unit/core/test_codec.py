"""One codec for every file: what is written is read as it was, and what is wrong is named."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from relkit.attestation.checks import LoggedDecision
from relkit.attestation.envelopes import Envelope
from relkit.attestation.statements import WrittenStatement
from relkit.attestation.types import VerificationSummary
from relkit.audio.types import Quality
from relkit.bisect.types import CommandAnswer, LogHead
from relkit.canary.types import CanaryDecision, CanaryState, WrittenCanaryPolicy
from relkit.comparison.types import CompareReport
from relkit.core.codec import defects, encode, parse, parse_yaml, schema
from relkit.core.config import WorkspaceFile
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.values import (
    OMITTED,
    OPTIONAL,
    OUTSIDE,
    REQUIRED,
    WRITTEN,
    Count,
    Digest,
    Limits,
    Named,
    Rate,
    Read,
    Shape,
    Tagged,
    Time,
    named,
)
from relkit.curation.types import Contract, ContractOutcome
from relkit.datasets.files import ManifestRow
from relkit.datasets.types import DatasetLock, DatasetSettings
from relkit.disclosure.types import Packet
from relkit.documents.runbook_types import DegradationPlan
from relkit.documents.types import CardText
from relkit.evaluation.run_files import AnswerLine, JournalLine
from relkit.evaluation.types import EvalReport, RunHeader, Suite
from relkit.gate.plan_types import GatePlan
from relkit.gate.types import GateDecision, WrittenCheck, WrittenOverride, WrittenPolicy
from relkit.incident.drills.types import (
    Drill,
    DrillAnswer,
    DrillScore,
    DrillState,
    HandedIn,
)
from relkit.incident.packets.types import IncidentNames, IncidentOpenings
from relkit.incident.simulation.types import IncidentAnswer
from relkit.incident.types import (
    AbusePolicy,
    AbuseReport,
    OtherEvent,
    TriagePolicy,
    TriageReport,
)
from relkit.monitoring.consent import ConsentReport
from relkit.monitoring.cost.types import CostPolicy, CostReport, PriceTable
from relkit.monitoring.drift.types import DriftPolicy, DriftProfile, DriftReport
from relkit.monitoring.serving.types import (
    CapacityPolicy,
    CapacityReport,
    HealthPolicy,
    HealthReport,
    LoadStep,
)
from relkit.monitoring.slo.openslo_files import OpenSloFile
from relkit.monitoring.slo.types import SloPolicy, SloReport
from relkit.monitoring.types import LiveFinding
from relkit.registry.types import Fingerprint, Release, ReleaseEvent
from relkit.rollback.types import RollbackTarget
from relkit.safety.types import ToolTable
from relkit.safety.voices import VoiceList
from relkit.scoring.normalizers import NormalizerFile
from tests.file_values import values

SOME = "sha256:" + "ab" * 32


class Colour(StrEnum):
    """Fixed words."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A nested type."""

    edges: tuple[float, ...]
    pair: tuple[int, int] = (0, 0)
    class_: str = "c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A member of a union."""

    kind: Literal["square"]
    side: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """Another one."""

    kind: Literal["disc", "circle"]
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A type with everything that an error can be about."""

    name: Annotated[str, Limits(min_length=1)]
    size: int = 1
    share: Rate = 1.0
    count: Count = 0
    digest: Digest = SOME
    at: Time | None = None
    colour: Colour = Colour.RED
    inner: Inner | None = None
    parts: Annotated[tuple[Inner, ...], Limits(max_length=2)] = ()
    places: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    shape: Annotated[Square | Disc, Tagged("kind")] | None = None
    named: tuple[
        Annotated[Named, Read(lambda x: {"name": x, "digest": SOME} if isinstance(x, str) else x)],
        ...,
    ] = ()
    free: Mapping[str, object] = field(default_factory=dict)
    next: "Outer | None" = None
    line: int | None = field(default=None, metadata=OUTSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A type whose file has every key, one of them worked out from the others."""

    FILE: ClassVar[Shape] = Shape(required=True, derived={"rate": "errors"})

    schema: Literal["x/v1"] = "x/v1"
    errors: int = 0
    words: int = field(default=1, metadata=named("allWords"))
    later: int = field(default=3, metadata=OPTIONAL)

    @property
    def rate(self) -> float | None:
        """Errors / words."""
        return self.errors / self.words if self.words else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """A type whose file says only what is to be said."""

    FILE: ClassVar[Shape] = Shape(omitted=True)

    schema: Literal["y/v1"] = field(default="y/v1", metadata=REQUIRED | WRITTEN)
    reason: str = ""
    bad: tuple[str, ...] = ()
    use: str = field(default="all", metadata=WRITTEN)
    inner: Inner = Inner(edges=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """A type with one field that is left out."""

    a: int | None = None
    b: int | None = field(default=None, metadata=OMITTED)


FILES: tuple[type, ...] = (
    Outer,
    Whole,
    Sparse,
    Half,
    AnswerLine,
    CardText,
    CommandAnswer,
    CompareReport,
    DegradationPlan,
    Contract,
    ContractOutcome,
    DatasetLock,
    DatasetSettings,
    EvalReport,
    Fingerprint,
    GatePlan,
    JournalLine,
    LogHead,
    ManifestRow,
    NormalizerFile,
    OpenSloFile,
    Quality,
    Release,
    ReleaseEvent,
    RollbackTarget,
    Envelope,
    GateDecision,
    LoggedDecision,
    RunHeader,
    SloPolicy,
    SloReport,
    Suite,
    CostPolicy,
    CostReport,
    PriceTable,
    DriftPolicy,
    DriftProfile,
    DriftReport,
    LiveFinding,
    CanaryState,
    CanaryDecision,
    WrittenCanaryPolicy,
    IncidentNames,
    IncidentOpenings,
    Packet,
    VerificationSummary,
    HealthPolicy,
    HealthReport,
    CapacityPolicy,
    CapacityReport,
    LoadStep,
    WrittenCheck,
    WrittenOverride,
    WrittenPolicy,
    WrittenStatement,
    Drill,
    DrillAnswer,
    DrillScore,
    DrillState,
    HandedIn,
    IncidentAnswer,
    OtherEvent,
    AbusePolicy,
    AbuseReport,
    ConsentReport,
    TriagePolicy,
    TriageReport,
    ToolTable,
    VoiceList,
    WorkspaceFile,
)
"""Every type that is a file or a line of one."""


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.__name__)
def test_what_is_written_is_read_as_it_was(kind: type) -> None:
    """``parse(T, encode(x)) == x`` for every type that is a file."""

    @settings(max_examples=20, deadline=None, suppress_health_check=[*HealthCheck])
    @given(values(kind))
    def law(value: object) -> None:
        document = encode(value)
        assert json.loads(json.dumps(document)) == document
        read: object = parse(kind, document, source="f")
        assert read == value
        assert encode(read) == document

    law()


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.__name__)
def test_what_is_written_fits_the_schema(kind: type) -> None:
    """The schema an editor completes from takes every file that relkit writes."""
    validator = jsonschema.Draft202012Validator(schema(kind))

    @settings(max_examples=10, deadline=None, suppress_health_check=[*HealthCheck])
    @given(values(kind))
    def law(value: object) -> None:
        validator.validate(encode(value))

    law()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("name: x\nsiez: 2\n", 'line 2: unknown key "siez"', 'did you mean "size"?'),
        ("size: 2\n", 'line 1: the key "name" is missing', None),
        ("name: ''\n", 'line 1: "name": String should have at least 1 character', None),
        ("name: x\nsize: two\n", 'line 2: "size": Input should be a valid integer', None),
        ("name: x\nsize: true\n", 'line 2: "size": Input should be a valid integer', None),
        ("name: x\nsize: 1.0\n", 'line 2: "size": Input should be a valid integer', None),
        (
            "name: 3\n",
            'line 1: "name": Input should be a valid string',
            'YAML takes 3 for no text: write "3"',
        ),
        ("name: x\nshare: 1.5\n", 'line 2: "share": Input should be less than or equal to 1', None),
        (
            "name: x\nat: now\n",
            'line 2: "at": a UTC time such as 2026-01-31T12:00:00Z was expected',
            None,
        ),
        ("name: x\ncolour: green\n", "line 2: \"colour\": Input should be 'red' or 'blue'", None),
        ("name: x\nline: 3\n", 'line 2: unknown key "line"', 'did you mean "inner"?'),
        (
            "name: x\ninner:\n  edgse: [1]\n",
            'line 3: unknown key "inner.edgse"',
            'did you mean "edges"?',
        ),
        ("name: x\ninner: {}\n", 'line 2: the key "inner.edges" is missing', None),
        (
            "name: x\ninner: [1]\n",
            'line 2: "inner": a mapping of keys to values was expected',
            None,
        ),
        ("name: x\nparts: {}\n", 'line 2: "parts": Input should be a valid list', None),
        (
            "name: x\ninner: {edges: [1], pair: [1]}\n",
            'line 2: "inner.pair.1": Field required',
            None,
        ),
        (
            "name: x\nparts:\n- edges: [1]\n- edges: [1]\n  klass: 1\n",
            'line 5: unknown key "parts.1.klass"',
            'did you mean "class"?',
        ),
        (
            "name: x\nplaces:\n  a: b\n  c: {d: e}\n",
            'line 4: "places.c": Input should be a valid string',
            None,
        ),
        (
            "name: x\nplaces: []\n",
            'line 2: "places": a mapping of keys to values was expected',
            None,
        ),
        (
            "name: x\nshape: {kind: disc, side: 1}\n",
            'line 2: unknown key "shape.side"',
            "known: kind, radius",
        ),
        (
            "name: x\nshape: {kind: cube}\n",
            "line 2: \"shape\": 'cube' is none of 'square', 'disc', 'circle'",
            None,
        ),
        ("- a\n", "line 1: a mapping of keys to values was expected", "it needs the keys name"),
        ('"na\\u202Eme": x\n', 'line 1: unknown key "na\\x202eme"', 'did you mean "name"?'),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused_with_line_and_nearest_key(
    text: str, message: str, hint: str | None
) -> None:
    """The error names file, line and key, and the hint the way out."""
    with pytest.raises(InvalidInput) as caught:
        parse_yaml(text, Outer, source="f.yaml")
    assert (caught.value.message, caught.value.hint) == (f"f.yaml, {message}", hint)


def test_every_key_of_a_file_that_has_them_all_is_required() -> None:
    """A default is for code; the value that is worked out has to be there, and is not believed."""
    document = {"schema": "x/v1", "errors": 2, "rate": None, "allWords": 4}
    assert parse(Whole, document, source="f") == Whole(errors=2, words=4)
    assert encode(Whole(errors=2, words=4)) == {**document, "rate": 0.5, "later": 3}
    assert list(encode(Whole())) == ["schema", "errors", "rate", "allWords", "later"]
    for key in document:
        with pytest.raises(InvalidInput, match=f'the key "{key}" is missing'):
            parse(Whole, {k: v for k, v in document.items() if k != key}, source="f")
    with pytest.raises(InvalidInput, match='unknown key "words"'):
        parse(Whole, {**document, "words": 1}, source="f")


def test_what_a_file_need_not_say_is_left_out() -> None:
    """Nothing but what differs from the defaults, and what is always written."""
    assert encode(Sparse()) == {"schema": "y/v1", "use": "all"}
    assert encode(Sparse(bad=("a",), inner=Inner(edges=(1.0,)))) == {
        "schema": "y/v1",
        "bad": ["a"],
        "use": "all",
        "inner": {"edges": [1.0], "pair": [0, 0], "class": "c"},
    }
    assert encode(Half(a=None, b=None)) == {"a": None}
    with pytest.raises(InvalidInput, match='the key "schema" is missing'):
        parse(Sparse, {}, source="f")


def test_a_mapping_is_kept_as_it_is_and_never_shared() -> None:
    """What a file leaves out is made anew for each value."""
    first, second = (parse(Outer, {"name": "x"}, source="f") for _ in "ab")
    assert first.free == {}
    assert first.free is not second.free
    free = {"b": [1, {"a": None}], "a": True}
    assert parse(Outer, {"name": "x", "free": free}, source="f").free == free


def test_numbers_that_are_none_are_refused_wherever_they_come_from() -> None:
    """NaN from code is as wrong as NaN in a file."""
    with pytest.raises(InvalidInput, match=r'"inner\.edges\.0": Input should be a finite number'):
        parse(Outer, {"name": "x", "inner": {"edges": [float("nan")]}}, source="f")


def test_a_part_is_named_as_a_part_of_what_is_around_it() -> None:
    """A document that is the value of a key says so."""
    with pytest.raises(InvalidInput, match=r'^f, line 7: the key "system\.edges" is missing'):
        parse(Inner, {}, source="f", line=7, inside="system")


def test_all_defects_of_a_document_are_listed() -> None:
    """A person mends a file once, not once for each defect."""
    assert defects(Outer, {"name": "x"}) == Outer(name="x")
    assert defects(Outer, {"size": "2", "nmae": "x"}) == [
        (("name",), 'the key "name" is missing', None),
        (("size",), '"size": Input should be a valid integer', None),
        (("nmae",), 'unknown key "nmae"', 'did you mean "name"?'),
    ]


def test_the_digest_of_a_value_is_that_of_its_document() -> None:
    """Whole numbers are written as such, whatever the type says."""
    inner = Inner(edges=(1, 2.5))
    assert digest_of(encode(inner)) == digest_of({"edges": [1, 2.5], "pair": [0, 0], "class": "c"})


def test_a_schema_has_the_keys_of_the_file() -> None:
    """Editors complete what is read: not what code adds, and by the names of the file."""
    assert list(schema(Sparse)["properties"]) == ["schema", "reason", "bad", "use", "inner"]
    assert schema(Sparse)["required"] == ["schema"]
    assert "line" not in schema(Outer)["$defs"]["Outer"]["properties"]
    assert "allWords" in schema(Whole)["required"]
