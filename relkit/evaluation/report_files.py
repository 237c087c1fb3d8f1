"""``report.json``: what a run says, as users and later decisions read it."""

import json
from dataclasses import asdict
from typing import Literal

from pydantic import Field

from relkit.audio.types import Floor, NoiseFloor, QualitySummary, SpeechSummary
from relkit.core.codec import Record, parse, parse_json
from relkit.core.digests import JsonValue
from relkit.core.values import ErrorCounts, Estimate
from relkit.datasets.types import DatasetVersion
from relkit.evaluation.types import EvalReport, Hallucinations, Runaways, SliceResult
from relkit.scoring.types import EntityType, MaskingStep

SCHEMA: Literal["relkit.report/v1"] = "relkit.report/v1"


class EstimateRecord(Record):
    """A value with its interval; null where there is none."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    unit: str
    method: str
    note: str | None = None


class CountsRecord(Record):
    """Error counts of a slice."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int


class SliceRecord(Record):
    """One slice."""

    slice: str
    utterances: int
    clusters: int
    failures: int
    counts: CountsRecord
    metrics: dict[str, EstimateRecord]


class DatasetVersionRecord(Record):
    """Which data was measured on."""

    name: str
    revision: str | None
    dirty: bool | None
    digest: str
    utterances: int
    contract: str


class MaskingRecord(Record):
    """What one step of the normalizer hid."""

    step: str
    errors_before: int
    errors_after: int
    hidden: int


class EntityTypeRecord(Record):
    """How labelled entities of one type came out."""

    type: str
    entities: int
    errors: int
    rate: float | None


class RunawaysRecord(Record):
    """Runaways seen, and what an unseen rate could cost."""

    count: int
    loops: int
    hidden_rate: float | None
    hidden_wer: float | None
    loop_words: int


class HallucinationsRecord(Record):
    """Words on clips without speech."""

    clips: int
    with_words: int
    words: int
    words_per_minute: float | None


class NamedDigest(Record):
    """A named input by digest."""

    name: str
    digest: str


class CandidateRecord(Record):
    """The system under test by digest."""

    digest: str
    artifact: str | None


class NoiseFloorRecord(Record):
    """How far a clip's score moves between repeats, in the metric's unit."""

    sd: float
    repeated: int


class QualityRecord(Record):
    """How the audio's quality was scored; the scores are predicted or computed, never human."""

    protocol: str
    models: dict[str, str]
    clips: int
    windows: int
    dropped_windows: int
    levels_dbfs: dict[str, float]
    noise_floor: dict[str, NoiseFloorRecord]
    unscored: dict[str, dict[str, int]]


class FloorRecord(Record):
    """What the recogniser gets wrong on the dataset's own recordings."""

    recordings: int
    failures: int
    missing: int
    metrics: dict[str, EstimateRecord]


class SpeechRecord(Record):
    """A round trip besides its metrics: who listened, warm-up, and the recogniser's floor."""

    recogniser: str
    artifact: str | None
    warm_ups: int
    warm_up_ms: float | None
    warm_ms: float | None
    floor: FloorRecord | None


class ReportRecord(Record):
    """The whole of ``report.json``."""

    schema_: Literal["relkit.report/v1"] = Field(alias="schema")
    run: str
    path: str
    created: str
    tool_version: str
    suite: NamedDigest
    candidate: CandidateRecord
    dataset: DatasetVersionRecord
    normalizer: NamedDigest
    scorer: str
    load: str
    repeats: int
    expected: int
    scored: int
    failures: int
    unusable: int
    coverage: float | None
    failure_reasons: dict[str, int]
    unusable_reasons: dict[str, int]
    slices: list[SliceRecord]
    masking: list[MaskingRecord]
    runaways: RunawaysRecord
    hallucinations: HallucinationsRecord
    notes: list[str]
    entity_types: list[EntityTypeRecord] = []
    quality: QualityRecord | None = None
    speech: SpeechRecord | None = None
    registered: dict[str, list[str]] | None = None
    cluster: str = "cluster"


def report_document(report: EvalReport) -> dict[str, JsonValue]:
    """Return the JSON document of a report; all rates are fractions, times in ms."""
    record = ReportRecord.model_validate(
        {
            "schema": SCHEMA,
            "run": report.run,
            "path": f".relkit/runs/{report.run}",
            "created": report.created,
            "tool_version": report.tool_version,
            "suite": {"name": report.suite, "digest": report.suite_digest},
            "candidate": {"digest": report.candidate_digest, "artifact": report.artifact_digest},
            "dataset": _fields(report.dataset),
            "normalizer": {"name": report.normalizer, "digest": report.normalizer_digest},
            "scorer": report.scorer,
            "load": report.load_digest,
            "repeats": report.repeats,
            "expected": report.expected,
            "scored": report.scored,
            "failures": report.failures,
            "unusable": report.unusable,
            "coverage": report.coverage,
            "failure_reasons": dict(report.failure_reasons),
            "unusable_reasons": dict(report.unusable_reasons),
            "slices": [_slice_document(item) for item in report.slices],
            "masking": [{**_fields(step), "hidden": step.hidden} for step in report.masking],
            "runaways": _fields(report.runaways),
            "hallucinations": _fields(report.hallucinations),
            "notes": list(report.notes),
            "entity_types": [{**_fields(e), "rate": e.rate} for e in report.entity_types],
            "quality": None if report.quality is None else asdict(report.quality),
            "speech": None if report.speech is None else asdict(report.speech),
            "cluster": report.cluster,
            "registered": None
            if report.registered is None
            else {column: list(values) for column, values in report.registered.items()},
        }
    )
    document: dict[str, JsonValue] = record.model_dump(mode="json", by_alias=True)
    return document


def _fields(value: object) -> dict[str, JsonValue]:
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}  # type: ignore[attr-defined]  # always one of our dataclasses


def _slice_document(item: SliceResult) -> dict[str, JsonValue]:
    return {
        "slice": item.slice,
        "utterances": item.utterances,
        "clusters": item.clusters,
        "failures": item.failures,
        "counts": _fields(item.counts),
        "metrics": {name: _fields(estimate) for name, estimate in item.metrics.items()},
    }


def render_report(report: EvalReport) -> str:
    """Return ``report.json`` as text."""
    return json.dumps(report_document(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_report(text: str, *, source: str) -> EvalReport:
    """Return a report; raises InvalidInput for NaN, duplicate or unknown keys, other types."""
    record = parse(ReportRecord, parse_json(text, source=source), source=source)
    return EvalReport(
        run=record.run,
        created=record.created,
        tool_version=record.tool_version,
        suite=record.suite.name,
        suite_digest=record.suite.digest,
        candidate_digest=record.candidate.digest,
        artifact_digest=record.candidate.artifact,
        dataset=DatasetVersion(**record.dataset.model_dump()),
        normalizer=record.normalizer.name,
        normalizer_digest=record.normalizer.digest,
        scorer=record.scorer,
        load_digest=record.load,
        repeats=record.repeats,
        expected=record.expected,
        scored=record.scored,
        failures=record.failures,
        unusable=record.unusable,
        failure_reasons=record.failure_reasons,
        unusable_reasons=record.unusable_reasons,
        slices=tuple(_slice(item) for item in record.slices),
        masking=tuple(
            MaskingStep(step=m.step, errors_before=m.errors_before, errors_after=m.errors_after)
            for m in record.masking
        ),
        runaways=Runaways(**record.runaways.model_dump()),
        hallucinations=Hallucinations(**record.hallucinations.model_dump()),
        notes=tuple(record.notes),
        entity_types=tuple(
            EntityType(type=e.type, entities=e.entities, errors=e.errors)
            for e in record.entity_types
        ),
        quality=None if record.quality is None else _quality(record.quality),
        speech=None if record.speech is None else _speech(record.speech),
        cluster=record.cluster,
        registered=None
        if record.registered is None
        else {column: tuple(values) for column, values in record.registered.items()},
    )


def _speech(record: SpeechRecord) -> SpeechSummary:
    floor = record.floor
    return SpeechSummary(
        recogniser=record.recogniser,
        artifact=record.artifact,
        warm_ups=record.warm_ups,
        warm_up_ms=record.warm_up_ms,
        warm_ms=record.warm_ms,
        floor=None
        if floor is None
        else Floor(
            recordings=floor.recordings,
            failures=floor.failures,
            missing=floor.missing,
            metrics={name: Estimate(**e.model_dump()) for name, e in floor.metrics.items()},
        ),
    )


def _quality(record: QualityRecord) -> QualitySummary:
    return QualitySummary(
        protocol=record.protocol,
        models=record.models,
        clips=record.clips,
        windows=record.windows,
        dropped_windows=record.dropped_windows,
        levels_dbfs=record.levels_dbfs,
        noise_floor={
            name: NoiseFloor(sd=floor.sd, repeated=floor.repeated)
            for name, floor in record.noise_floor.items()
        },
        unscored=record.unscored,
    )


def _slice(record: SliceRecord) -> SliceResult:
    return SliceResult(
        slice=record.slice,
        utterances=record.utterances,
        clusters=record.clusters,
        failures=record.failures,
        counts=ErrorCounts(**record.counts.model_dump()),
        metrics={
            name: Estimate(**estimate.model_dump()) for name, estimate in record.metrics.items()
        },
    )
